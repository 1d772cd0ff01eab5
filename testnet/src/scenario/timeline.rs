//! Whether each step of a timeline is possible where it stands.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::raw::Fault;
use super::read::RawStep;
use super::{Entry, Leaver, MotionChange, OrderProblem, Problem, Scenario, Step, VoteOutcome};

/// Follows a timeline to tell which step is possible.
pub(super) struct Timeline<'a> {
    /// Every nation, founding or not.
    pub(super) codes: BTreeSet<String>,
    pub(super) founders: BTreeSet<String>,
    pub(super) sets: BTreeSet<&'a str>,
    /// Every node there is by now.
    pub(super) nodes: BTreeMap<String, NodeThere>,
    pub(super) batches: BTreeSet<String>,
    pub(super) motions: BTreeSet<String>,
    pub(super) marks: BTreeSet<String>,
    supported: BTreeSet<String>,
    is_cut: bool,
    is_writing: bool,
    largest_donor: Option<String>,
    left: Option<String>,
}

/// A node as a timeline knows it.
pub(super) struct NodeThere {
    pub(super) nation: String,
    run: Run,
    /// The clone of another node: nobody waits for it at the end.
    is_clone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    /// It has a home and was never started.
    Made,
    Up,
    Down,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let founders: BTreeSet<String> = scenario.founders().into_iter().collect();
        let nodes = scenario.nations.iter().filter(|nation| nation.entry == Entry::Founder).map(|nation| {
            let node = NodeThere { nation: nation.code.clone(), run: Run::Up, is_clone: false };
            (nation.code.clone(), node)
        });
        Self {
            codes: scenario.codes().into_iter().collect(),
            sets: scenario.records.iter().map(|record| record.set.as_str()).collect(),
            nodes: nodes.collect(),
            founders,
            batches: BTreeSet::new(),
            motions: BTreeSet::new(),
            marks: BTreeSet::new(),
            supported: BTreeSet::new(),
            is_cut: false,
            is_writing: false,
            largest_donor: scenario.largest_donor(),
            left: None,
        }
    }

    pub(super) fn read(mut self, raw: &[Spanned<RawStep>]) -> Result<Vec<Step>, Fault> {
        let mut steps = Vec::new();
        for spanned in raw {
            let raw = spanned.get_ref();
            let step = self.step(raw)?;
            self.follow(&step).map_err(|problem| Fault::new(&raw.step.span(), "step", Problem::Order(problem)))?;
            steps.push(step);
        }
        let is_missing = |(name, node): (&String, &NodeThere)| {
            node.run == Run::Down && !node.is_clone && self.left.as_ref() != Some(name)
        };
        let is_whole = !self.nodes.iter().any(is_missing) && !self.is_cut && !self.is_writing;
        match raw.last() {
            Some(last) if !is_whole => {
                Err(Fault::new(&last.span(), "timeline", Problem::Order(OrderProblem::NotWholeAtEnd)))
            }
            Some(_) | None => Ok(steps),
        }
    }

    fn follow(&mut self, step: &Step) -> Result<(), OrderProblem> {
        match step {
            Step::Delay { .. } => Ok(()),
            Step::Write { .. } | Step::Burst { .. } if self.is_writing => Err(OrderProblem::WritersWrite),
            Step::Write { .. } => Ok(()),
            Step::Burst { .. } => {
                self.is_writing = true;
                Ok(())
            }
            Step::Wait { .. } | Step::Stop { .. } if !self.is_writing => Err(OrderProblem::NoWriters),
            Step::Wait { .. } => Ok(()),
            Step::Stop { .. } => {
                self.is_writing = false;
                Ok(())
            }
            Step::Partition { .. } if self.is_cut => Err(OrderProblem::PartitionStands),
            Step::Partition { .. } | Step::CutOneWay { .. } => {
                self.is_cut = true;
                Ok(())
            }
            Step::Heal if !self.is_cut => Err(OrderProblem::NothingToHeal),
            Step::Heal => {
                self.is_cut = false;
                Ok(())
            }
            Step::Kill { nation } if !self.is(nation, Run::Up) => Err(OrderProblem::NodeDown),
            Step::Kill { nation } => self.becomes(nation, Run::Down),
            Step::Restart { nation } if !self.is(nation, Run::Down) || self.left.as_ref() == Some(nation) => {
                Err(OrderProblem::NotKilled)
            }
            Step::Restart { nation } => self.becomes(nation, Run::Up),
            Step::Leave { nation, acknowledged } => self.follow_leave(nation, *acknowledged),
            Step::WriteAs { .. }
            | Step::Clone { .. }
            | Step::Init { .. }
            | Step::Roster { .. }
            | Step::Start { .. }
            | Step::Link { .. }
            | Step::Propose { .. }
            | Step::Vote { .. }
            | Step::Run { .. }
            | Step::Destroy { .. }
            | Step::Mark { .. }
            | Step::Expect { .. } => self.follow_trust(step),
        }
    }

    fn follow_leave(&mut self, nation: &Leaver, acknowledged: u32) -> Result<(), OrderProblem> {
        if self.left.is_some() {
            return Err(OrderProblem::SecondLeaver);
        }
        if !self.is_writing && acknowledged > 0 {
            return Err(OrderProblem::NoWriters);
        }
        let leaver = match nation {
            Leaver::LargestDonor => self.largest_donor.clone().ok_or(OrderProblem::NoDonor)?,
            Leaver::Nation(nation) => nation.clone(),
        };
        if !self.is(&leaver, Run::Up) {
            return Err(OrderProblem::NodeDown);
        }
        self.becomes(&leaver, Run::Down)?;
        self.left = Some(leaver);
        Ok(())
    }

    /// Follows a step about keys, rosters, votes and homes.
    fn follow_trust(&mut self, step: &Step) -> Result<(), OrderProblem> {
        match step {
            Step::WriteAs { node, batch, .. } => {
                self.batches.insert(batch.clone());
                self.runs(node)
            }
            Step::Clone { node, of, .. } => {
                let nation = self.nodes.get(of).ok_or(OrderProblem::NotRunning)?.nation.clone();
                self.makes(node, NodeThere { nation, run: Run::Up, is_clone: true })
            }
            Step::Init { node, nation } => {
                self.makes(node, NodeThere { nation: nation.clone(), run: Run::Made, is_clone: false })
            }
            Step::Start { node, .. } if !self.is(node, Run::Made) => Err(OrderProblem::Started),
            Step::Start { node, .. } => self.becomes(node, Run::Up),
            Step::Roster { at, .. } => self.runs(at),
            Step::Link { node, .. } => self.runs(node),
            Step::Propose { motion, change, at } => {
                let (nation, is_founder) = match change {
                    MotionChange::Admit(nation) => (Some(nation), false),
                    MotionChange::Remove(nation) | MotionChange::ReplaceRoot { nation, .. } => (Some(nation), true),
                    MotionChange::Quota(_) => (None, true),
                };
                if nation.is_some_and(|nation| self.founders.contains(nation) != is_founder) {
                    return Err(OrderProblem::WrongNation);
                }
                self.motions.insert(motion.clone());
                self.runs(at)
            }
            Step::Vote { step, motion, nations, outcome, .. } => {
                let is_seal = *step == comity_protocol::control::VoteStep::Seal;
                let is_early = is_seal && !self.supported.contains(motion) && *outcome == VoteOutcome::Signed;
                if nations.is_empty() || is_early {
                    return Err(OrderProblem::NoVoters);
                }
                self.supported.insert(motion.clone());
                Ok(())
            }
            Step::Destroy { node } if !self.is(node, Run::Up) => Err(OrderProblem::NodeDown),
            Step::Destroy { node } => self.becomes(node, Run::Down),
            Step::Mark { mark } => {
                self.marks.insert(mark.clone());
                Ok(())
            }
            Step::Expect { at, .. } => at.iter().try_for_each(|node| self.runs(node)),
            // A command may work on the home of a node that is down; the rest is followed elsewhere.
            Step::Run { .. }
            | Step::Write { .. }
            | Step::Burst { .. }
            | Step::Wait { .. }
            | Step::Stop { .. }
            | Step::Partition { .. }
            | Step::CutOneWay { .. }
            | Step::Delay { .. }
            | Step::Heal
            | Step::Kill { .. }
            | Step::Restart { .. }
            | Step::Leave { .. } => Ok(()),
        }
    }

    fn is(&self, node: &str, run: Run) -> bool {
        self.nodes.get(node).is_some_and(|node| node.run == run)
    }

    fn runs(&self, node: &str) -> Result<(), OrderProblem> {
        if self.is(node, Run::Up) { Ok(()) } else { Err(OrderProblem::NotRunning) }
    }

    fn becomes(&mut self, node: &str, run: Run) -> Result<(), OrderProblem> {
        self.nodes.get_mut(node).ok_or(OrderProblem::NotRunning)?.run = run;
        Ok(())
    }

    fn makes(&mut self, name: &str, node: NodeThere) -> Result<(), OrderProblem> {
        if self.nodes.contains_key(name) || self.codes.contains(name) && name != node.nation {
            return Err(OrderProblem::Started);
        }
        self.nodes.insert(name.to_owned(), node);
        Ok(())
    }
}
