//! Keys, rosters, votes and homes: the steps of an exercise that are about trust.
//!
//! What an operator does at a node goes through the node's socket or the product's own commands; what is signed with a root
//! key is signed here, by the rules of an honest signer, as if the key lay in a safe of its own.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::control::{ControlRecord, Motion};
use comity_protocol::ids::hex;
use serde::Serialize;

use super::ExerciseError;
use super::stage::{Seat, Stage};
use crate::report::{Command, Finding, Said, SetAside, SignedRecord};
use crate::scenario::{BatchStanding, Step};
use crate::wire::ControlAnswer;

mod command;
mod expect;
mod known;
mod nodes;
mod rosters;
mod safe;
mod votes;

pub(super) use nodes::prepare;
pub(super) use safe::Safe;

/// What an exercise remembers about trust.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// Root keys, and what each signed.
    safe: Safe,
    /// Nodes nobody waits for: clones, and nodes whose key is not active any more.
    pub(super) outsiders: BTreeSet<String>,
    /// Processes with the keys of another node.
    clones: BTreeSet<String>,
    batches: BTreeMap<String, Batch>,
    /// By mark, node and nation: the versions held.
    marks: BTreeMap<String, BTreeMap<String, BTreeMap<String, BTreeSet<String>>>>,
    motions: BTreeMap<String, Motion>,
    /// What was expected, and what came of it.
    pub(super) findings: Vec<Finding>,
    /// What root keys signed.
    pub(super) signed: Vec<SignedRecord>,
    /// Commands that were run.
    pub(super) commands: Vec<Command>,
}

/// Statements written together.
#[derive(Clone, Debug)]
struct Batch {
    node: String,
    versions: Vec<String>,
    /// How an expectation last found them to stand.
    standing: Option<BatchStanding>,
    /// Whether an expectation found all of them final.
    is_final: bool,
}

impl Trust {
    /// Remembers the keys in the safe.
    pub(super) fn new(safe: Safe) -> Self {
        Self { safe, ..Self::default() }
    }

    /// Returns how a statement that not everybody has was expected to stand; `None` if nobody expected anything of it.
    pub(super) fn expected(&self, version: &str) -> Option<BatchStanding> {
        let batch = self.batches.values().find(|batch| batch.versions.iter().any(|known| known == version))?;
        batch.standing.filter(|standing| *standing != BatchStanding::Accepted)
    }

    /// Returns a batch of statements.
    /// # Errors
    /// If nothing of it was written, in words: of nothing nothing can be expected.
    fn written(&self, batch: &str) -> Result<&Batch, String> {
        let written = self.batches.get(batch).filter(|batch| !batch.versions.is_empty());
        written.ok_or_else(|| "nothing of it was written".to_owned())
    }

    /// Whether a statement was written with copied keys.
    pub(super) fn is_of_a_clone(&self, nation: &str) -> bool {
        self.clones.contains(nation)
    }

    /// Returns what was written in batches, for the report.
    pub(super) fn said(&self) -> Vec<Said> {
        let said = |(name, batch): (&String, &Batch)| Said {
            batch: name.clone(),
            by: batch.node.clone(),
            statements: u64::try_from(batch.versions.len()).unwrap_or(u64::MAX),
            standing: batch.standing.map(|standing| standing.word().to_owned()),
            finality: batch.is_final,
        };
        self.batches.iter().map(said).collect()
    }

    /// Returns what does not count and was expected not to, for the report.
    pub(super) fn set_aside(versions: &BTreeMap<String, BatchStanding>) -> Vec<SetAside> {
        let row = |(version, standing): (&String, &BatchStanding)| SetAside {
            version: version.clone(),
            standing: standing.word().to_owned(),
        };
        versions.iter().map(row).collect()
    }
}

/// Runs one step.
pub(super) async fn run(stage: &mut Stage, step: Step) -> Result<(), ExerciseError> {
    match step {
        Step::WriteAs { node, statements, batch } => nodes::write_as(stage, &node, statements, &batch).await,
        Step::Clone { node, of, links } => nodes::clone(stage, &node, &of, links).await?,
        Step::Init { node, nation } => nodes::init(stage, &node, &nation).await?,
        Step::Start { node, links } => nodes::start(stage, &node, links).await?,
        Step::Link { node, to } => nodes::link(stage, &node, &to).await?,
        Step::Run { node, args, exit, says, within } => {
            let expected = command::Expected { exit, says: says.as_deref(), within };
            command::run(stage, &node, &args, &expected).await?;
        }
        Step::Destroy { node } => nodes::destroy(stage, &node).await,
        Step::Roster { nation, retire, enrol, at } => rosters::sign(stage, &nation, &retire, &enrol, &at).await,
        Step::Propose { motion, change, at } => votes::propose(stage, &motion, &change, &at).await?,
        Step::Vote { step, motion, nations, round, outcome } => {
            votes::vote(stage, step, &motion, &nations, round, outcome).await;
        }
        Step::Mark { mark } => expect::mark(stage, &mark).await,
        Step::Expect { condition, at, within } => expect::expect(stage, &condition, &at, within).await,
        Step::Write { .. }
        | Step::Burst { .. }
        | Step::Wait { .. }
        | Step::Stop { .. }
        | Step::Partition { .. }
        | Step::CutOneWay { .. }
        | Step::Delay { .. }
        | Step::Heal
        | Step::Kill { .. }
        | Step::Restart { .. }
        | Step::Leave { .. } => unreachable!("the other steps are run elsewhere"),
    }
    Ok(())
}

#[derive(Serialize)]
struct ControlRequest {
    records: Vec<String>,
}

/// Takes control records into one node, as an operator imports them; what it refuses is a problem of the run.
async fn import(stage: &mut Stage, node: &str, records: &[ControlRecord]) {
    let records = records.iter().map(|record| hex(&[&[record.kind()], record.encode().as_slice()].concat())).collect();
    let answer = stage.client(node).post::<_, ControlAnswer>("/v1/control", None, &ControlRequest { records }).await;
    let problem = match answer {
        Ok(answer) if answer.refused.is_empty() => return,
        Ok(answer) => {
            let reasons: Vec<String> = answer.refused.into_iter().map(|refusal| refusal.reason).collect();
            reasons.join("; ")
        }
        Err(error) => super::said(&error),
    };
    stage.problems.push(format!("{node} does not take in what was signed: {problem}"));
}

/// Returns the names of all nodes of a nation, the first one first.
fn nodes_of(stage: &Stage, nation: &str) -> Vec<String> {
    let of_nation = |(name, seat): &(&String, &Seat)| seat.nation == nation && !stage.trust.clones.contains(*name);
    stage.seats.iter().filter(of_nation).map(|(name, _)| name.clone()).collect()
}
