//! The deterministic simulator: whole alliances in one process, with the daemon's replica, evaluation and store code over
//! simulated clocks, networks, disks and people (spec 7; docs/simulation.md).
//!
//! A seed gives a [`plan::Plan`], a plan gives a run, and a run gives a [`trace::Trace`] that is the same byte for byte whenever
//! and wherever it is run. A run has a hostile phase, in which links, disks, clocks, people and lying nations do what the plan
//! says; a heal; and a quiet phase, at whose end every honest node must show the same record and nothing acknowledged may be
//! missing.

pub mod batch;
pub mod check;
pub mod chronicle;
mod clock;
pub mod disk;
mod homes;
pub mod liar;
mod links;
mod network;
mod node;
pub mod officer;
pub mod operator;
mod people;
pub mod plan;
pub mod profile;
pub mod replay;
mod sentinel;
pub mod report;
pub mod shrink;
pub mod trace;
mod votes;
mod world;

use std::collections::BTreeMap;

use comity_protocol::ids::{AuthorId, Digest};
use comity_protocol::rules::Rules;

use check::Violation;
use chronicle::Stats;
use plan::Plan;
use trace::Trace;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first invariant that did not hold, if one did not; the run ended there.
    pub violation: Option<Violation>,
    /// What happened.
    pub trace: Trace,
    /// Counts.
    pub stats: Stats,
    /// What counts in the end, as the first honest node has it.
    pub ending: Ending,
}

/// What counts when a run ended, without the times that its clocks put into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The control digest; none if no honest node was left.
    pub control: Option<Digest>,
    /// By author and position among its statements: what was written there, and whether it was replaced.
    pub statements: BTreeMap<(AuthorId, u64), Vec<String>>,
}

/// Runs a plan; with all rules kept, a violation is a bug of the product or of the simulator.
pub fn run(plan: &Plan, rules: Rules) -> Outcome {
    world::World::new(plan.clone(), rules).run()
}
