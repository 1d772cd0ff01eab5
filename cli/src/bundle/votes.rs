//! Every membership decision of a bundle, with the votes that made it, and whether the voters kept to the two steps.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::charter::next_charter;
use comity_protocol::control::{CharterChange, ControlRecord, Motion, VerifiedControl, Vote, VoteStep};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{CharterId, ControlId, NationId};
use serde::Serialize;
use utoipa::ToSchema;

use super::report::{code, moment};

/// A motion and the votes on it.
#[derive(Serialize, ToSchema)]
pub struct DecisionRow {
    /// The charter version it changes.
    pub height: u32,
    /// Id of the motion.
    pub motion: String,
    /// Its title.
    pub title: String,
    /// What it changes, in words.
    pub changes: Vec<String>,
    /// Whether the evaluation adopted it.
    pub adopted: bool,
    /// The votes on it, ascending by round.
    pub votes: Vec<VoteRow>,
}

/// A vote.
#[derive(Serialize, ToSchema)]
pub struct VoteRow {
    /// The round, from 0.
    pub round: u16,
    /// `support` or `seal`.
    pub step: &'static str,
    /// Code of the nation.
    pub nation: String,
    /// The root key that signed it.
    pub root: String,
    /// When it says it was signed.
    pub time: String,
    /// The signature.
    pub signature: String,
}

/// A breach of the two steps that published votes prove.
#[derive(Serialize, ToSchema)]
pub struct BreachRow {
    /// The charter version.
    pub height: u32,
    /// Code of the nation.
    pub nation: String,
    /// The rule of spec 4.6: `V2`, `V3` or `V4`.
    pub rule: &'static str,
    /// What it did.
    pub what: String,
}

type Base = (u32, CharterId);

/// Returns every motion held with its votes, by height.
pub fn decisions(state: &State) -> Vec<DecisionRow> {
    let adopted: BTreeSet<ControlId> = adopted(state);
    let votes = votes(state);
    let motions = state.control_records().into_iter().filter_map(|control| match control.record() {
        ControlRecord::Motion(motion) => Some((control.id(), motion)),
        ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    });
    let mut rows: Vec<DecisionRow> = motions
        .map(|(id, motion)| DecisionRow {
            height: motion.height,
            motion: id.hex(),
            title: motion.title.clone(),
            changes: changes(state, motion),
            adopted: adopted.contains(&id),
            votes: votes
                .iter()
                .filter(|(vote, _)| vote.motion == id)
                .map(|(vote, row)| row_of(state, vote, row))
                .collect(),
        })
        .collect();
    rows.sort_by_key(|row| row.height);
    rows
}

fn adopted(state: &State) -> BTreeSet<ControlId> {
    let versions = state.charter_versions();
    let leads = |control: &VerifiedControl| match control.record() {
        ControlRecord::Motion(motion) => {
            let next = next_charter(&motion.base, &control.id());
            versions.iter().any(|version| version.id == next)
        }
        ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => false,
    };
    let control = state.control_records().into_iter();
    control.filter(|control| leads(control)).map(|control| control.id()).collect()
}

fn votes(state: &State) -> Vec<(Vote, String)> {
    let mut votes: Vec<(Vote, String)> = state
        .control_records()
        .into_iter()
        .filter_map(|control| match control.record() {
            ControlRecord::Vote(vote, signature) => Some((vote.clone(), comity_protocol::ids::hex(&signature.0))),
            ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => None,
        })
        .collect();
    votes.sort_by_key(|(vote, _)| (vote.height, vote.round, vote.step == VoteStep::Seal, vote.nation));
    votes
}

fn row_of(state: &State, vote: &Vote, signature: &str) -> VoteRow {
    VoteRow {
        round: vote.round,
        step: step(vote.step),
        nation: code(state, &vote.nation),
        root: vote.root.hex(),
        time: moment(vote.time_ms),
        signature: signature.to_owned(),
    }
}

const fn step(step: VoteStep) -> &'static str {
    match step {
        VoteStep::Support => "support",
        VoteStep::Seal => "seal",
    }
}

fn changes(state: &State, motion: &Motion) -> Vec<String> {
    let words = |change: &CharterChange| match change {
        CharterChange::Admit(member) => format!("admit {} ({})", member.code, member.name),
        CharterChange::Remove { nation, .. } => format!("remove {}", code(state, nation)),
        CharterChange::ReplaceRoot { nation, .. } => format!("replace the root key of {}", code(state, nation)),
        CharterChange::SetParams(_) => "set parameters".to_owned(),
        CharterChange::SetRules(rules) => format!("set rules {rules}"),
    };
    motion.changes.iter().map(words).collect()
}

/// Returns what published votes prove against their signers; an empty list proves no more than that they did not prove it.
pub fn breaches(state: &State) -> Vec<BreachRow> {
    let mut by_base: BTreeMap<Base, Vec<Vote>> = BTreeMap::new();
    for (vote, _) in votes(state) {
        by_base.entry((vote.height, vote.base)).or_default().push(vote);
    }
    let mut rows = Vec::new();
    for ((height, _), votes) in by_base {
        let nations: BTreeSet<NationId> = votes.iter().map(|vote| vote.nation).collect();
        for nation in nations {
            let own: Vec<&Vote> = votes.iter().filter(|vote| vote.nation == nation).collect();
            for (rule, what) in breaches_of(&own, &votes, quorum(state, height)) {
                rows.push(BreachRow { height, nation: code(state, &nation), rule, what });
            }
        }
    }
    rows
}

/// The quorum of a charter version; none where this evaluation does not hold it.
fn quorum(state: &State, height: u32) -> Option<usize> {
    let version = state.charter_versions().iter().find(|charter| charter.height == height)?;
    Some(version.quorum())
}

fn breaches_of(own: &[&Vote], all: &[Vote], quorum: Option<usize>) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let supports = |round: u16, motion: &ControlId| {
        let of = |vote: &&Vote| vote.step == VoteStep::Support && vote.round == round && vote.motion == *motion;
        all.iter().filter(of).map(|vote| vote.nation).collect::<BTreeSet<_>>().len()
    };
    for (at, vote) in own.iter().enumerate() {
        let twin = |other: &&&Vote| (other.round, other.step) == (vote.round, vote.step) && other.motion != vote.motion;
        if own[..at].iter().any(|other| twin(&other)) {
            found.push(("V2", format!("two motions in one {} of round {}", step(vote.step), vote.round)));
        }
        let Some(quorum) = quorum else { continue };
        match vote.step {
            VoteStep::Seal if supports(vote.round, &vote.motion) < quorum => {
                let held = supports(vote.round, &vote.motion);
                let what = format!("a seal in round {} with {held} of {quorum} supports shown", vote.round);
                found.push(("V3", what));
            }
            VoteStep::Support => {
                let sealed = own.iter().filter(|other| other.step == VoteStep::Seal && other.round < vote.round);
                if let Some(last) = sealed.max_by_key(|other| other.round)
                    && last.motion != vote.motion
                    && !(last.round + 1..vote.round).any(|round| supports(round, &vote.motion) >= quorum)
                {
                    let what =
                        format!("supported another motion in round {} than it sealed in {}", vote.round, last.round);
                    found.push(("V4", what));
                }
            }
            VoteStep::Seal => {}
        }
    }
    found
}
