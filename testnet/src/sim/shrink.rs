//! Making a failing run smaller: fewer steps that break the same invariant.

use std::collections::BTreeSet;

use comity_protocol::rules::Rules;

use super::plan::Plan;
use super::{Outcome, run};

/// Runs tried at most.
const RUNS_MAX: u32 = 400;

/// A smaller run that breaks the same invariant.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The numbers of the steps that are left, as the whole plan counts them.
    pub steps: BTreeSet<usize>,
    /// What the smaller run came to.
    pub outcome: Outcome,
    /// How many runs were tried.
    pub runs: u32,
}

/// Leaves out as many steps of a failing plan as possible (delta debugging); `None` if the plan does not fail.
///
/// What is left need not be the smallest: leaving a step out moves everything after it, so each try is a run.
pub fn shrink(plan: &Plan, rules: Rules) -> Option<Shrunk> {
    let outcome = run(plan, rules);
    let invariant = outcome.violation.as_ref()?.invariant;
    let mut shrunk = Shrunk { steps: (0..plan.steps.len()).collect(), outcome, runs: 1 };
    let mut chunk = shrunk.steps.len().div_ceil(2).max(1);
    loop {
        let mut removed = false;
        let mut from = 0;
        while from < shrunk.steps.len() && shrunk.runs < RUNS_MAX {
            let dropped: BTreeSet<usize> = shrunk.steps.iter().skip(from).take(chunk).copied().collect();
            let kept: BTreeSet<usize> = shrunk.steps.difference(&dropped).copied().collect();
            let outcome = run(&plan.only(&kept), rules);
            shrunk.runs += 1;
            if outcome.violation.as_ref().is_some_and(|violation| violation.invariant == invariant) {
                (shrunk.steps, shrunk.outcome) = (kept, outcome);
                removed = true;
            } else {
                from += chunk;
            }
        }
        if shrunk.runs >= RUNS_MAX || (chunk == 1 && !removed) {
            return Some(shrunk);
        }
        chunk = chunk.div_ceil(2).max(1);
    }
}
