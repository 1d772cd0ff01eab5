//! Making a failing run smaller: less of everything, as long as it breaks the same invariant.

use std::collections::BTreeSet;

use comity_protocol::rules::Rules;

use super::plan::{Plan, Step};
use super::replay::{Replay, Without};
use super::{Outcome, run};

/// Runs tried at most.
pub const RUNS_MAX: u32 = 400;
/// No heal comes earlier than this, in milliseconds.
const HEAL_AT_MS_MIN: u64 = 500;

/// A smaller run that breaks the same invariant.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left.
    pub replay: Replay,
    /// What it came to.
    pub outcome: Outcome,
    /// How many runs were made, the first included.
    pub runs: u32,
}

/// Leaves out as much as possible of a failing run; `None` if it does not fail.
///
/// First what makes whole classes of causes go away (time, weather, clocks, lies), then all steps of a kind, then ever fewer
/// steps (delta debugging). What is left need not be the smallest: leaving one thing out moves everything after it, so each
/// try is a run. At most [`RUNS_MAX`] runs are made, and none after `go_on` has said no; what was reached by then is returned.
pub fn shrink(replay: &Replay, rules: Rules, go_on: &mut dyn FnMut() -> bool) -> Option<Shrunk> {
    let plan = replay.plan();
    let outcome = run(&plan, rules);
    let invariant = outcome.violation.as_ref()?.invariant;
    let mut search = Search { replay: replay.clone(), outcome, runs: 1, invariant, rules, go_on };
    search.heal_earlier(plan.hostile_ms);
    search.leave_out_conditions();
    search.leave_out_kinds(&plan);
    search.leave_out_steps(&plan);
    search.leave_out_conditions();
    Some(Shrunk { replay: search.replay, outcome: search.outcome, runs: search.runs })
}

/// The smallest failing run so far.
struct Search<'a> {
    replay: Replay,
    outcome: Outcome,
    runs: u32,
    invariant: &'static str,
    rules: Rules,
    go_on: &'a mut dyn FnMut() -> bool,
}

impl Search<'_> {
    /// Whether another run may be made.
    fn may_try(&mut self) -> bool {
        self.runs < RUNS_MAX && (self.go_on)()
    }

    /// Runs a smaller one, and keeps it if it fails the same way.
    fn attempt(&mut self, smaller: Replay) -> bool {
        if !self.may_try() {
            return false;
        }
        let outcome = run(&smaller.plan(), self.rules);
        self.runs += 1;
        let fails = outcome.violation.as_ref().is_some_and(|violation| violation.invariant == self.invariant);
        if fails {
            (self.replay, self.outcome) = (smaller, outcome);
        }
        fails
    }

    fn heal_earlier(&mut self, hostile_ms: u64) {
        let mut heal_at_ms = hostile_ms / 2;
        while heal_at_ms >= HEAL_AT_MS_MIN
            && self.attempt(Replay { heal_at_ms: Some(heal_at_ms), ..self.replay.clone() })
        {
            heal_at_ms /= 2;
        }
    }

    fn leave_out_conditions(&mut self) {
        for without in Without::ALL {
            let mut smaller = self.replay.clone();
            // Leaving out what changes nothing would only make the command longer.
            if smaller.without.insert(without) && smaller.plan() != self.replay.plan() {
                self.attempt(smaller);
            }
        }
    }

    /// Leaves out what would come after the heal, and then all steps of a kind at once.
    fn leave_out_kinds(&mut self, whole: &Plan) {
        let numbers = |of: &dyn Fn(&Step) -> bool| -> BTreeSet<usize> {
            whole.steps.iter().filter(|step| of(step)).map(|step| step.number).collect()
        };
        let late = numbers(&|step| self.replay.heal_at_ms.is_some_and(|at| step.at_ms >= at));
        let kinds: BTreeSet<&str> = whole.steps.iter().map(|step| step.what.name()).collect();
        let of_kinds = kinds.into_iter().map(|kind| numbers(&|step| step.what.name() == kind));
        for group in std::iter::once(late).chain(of_kinds) {
            let kept = self.kept(whole);
            if !kept.is_disjoint(&group) {
                self.attempt(Replay { only: Some(&kept - &group), ..self.replay.clone() });
            }
        }
    }

    fn leave_out_steps(&mut self, whole: &Plan) {
        let mut chunk = self.kept(whole).len().div_ceil(2).max(1);
        loop {
            let mut removed = false;
            let mut from = 0;
            loop {
                let kept = self.kept(whole);
                if from >= kept.len() || !self.may_try() {
                    break;
                }
                let dropped: BTreeSet<usize> = kept.iter().skip(from).take(chunk).copied().collect();
                if self.attempt(Replay { only: Some(&kept - &dropped), ..self.replay.clone() }) {
                    removed = true;
                } else {
                    from += chunk;
                }
            }
            if !self.may_try() || (chunk == 1 && !removed) {
                return;
            }
            chunk = chunk.div_ceil(2);
        }
    }

    /// The steps that are left.
    fn kept(&self, whole: &Plan) -> BTreeSet<usize> {
        let all = || whole.steps.iter().map(|step| step.number).collect();
        self.replay.only.clone().unwrap_or_else(all)
    }
}
