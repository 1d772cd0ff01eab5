//! How old what is known of each nation is (spec 4.9, staleness; T41).
//!
//! Whoever controls all of a node's links can withhold, and cannot forge: the newest word of an honest nation then stays where
//! it was. Times are as their authors claim them, so a nation that lies may seem to be heard; as long as fewer than a third do,
//! they are too few to make a record that is cut off look like one that is not.

use crate::body::KIND_WITNESS;
use crate::chain::{Chain, Held};
use crate::control::ControlRecord;
use crate::evaluate::State;
use crate::ids::{NationId, Timestamp};
use crate::limits::SILENT_AFTER_HEARTBEATS;

/// How old the record is, nation by nation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordAge {
    /// Every member, ascending by id.
    pub nations: Vec<NationAge>,
    /// Members heard of in time, the own nation included.
    pub heard: usize,
    /// Members needed for anything to become final.
    pub quorum: usize,
    /// How long a nation says nothing before it is silent.
    pub silent_after_ms: u64,
}

/// What was last heard of one nation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NationAge {
    /// The nation.
    pub nation: NationId,
    /// Claimed time of its newest accepted envelope that is no witness's word.
    pub statement: Option<Timestamp>,
    /// Claimed time of the newest accepted word of its witness.
    pub witness: Option<Timestamp>,
    /// It closed its chains: nothing more is to come.
    pub closed: bool,
    /// Nothing was heard of it for too long. Never said of the own nation.
    pub silent: bool,
}

impl NationAge {
    /// Claimed time of whatever it said last.
    pub fn last(&self) -> Option<Timestamp> {
        self.statement.max(self.witness)
    }
}

impl RecordAge {
    /// Looks at what is known of every member at the moment `now`; `own` is the nation that looks, and `heartbeat_ms` how often
    /// a witness speaks at least (W5).
    ///
    /// A nation that never spoke counts as heard of when the alliance was founded.
    pub fn of(state: &State, own: Option<&NationId>, now: Timestamp, heartbeat_ms: u64) -> Self {
        let silent_after_ms = heartbeat_ms.saturating_mul(SILENT_AFTER_HEARTBEATS);
        let founded = founded(state);
        let Some(charter) = state.charter() else {
            return Self { nations: Vec::new(), heard: 0, quorum: 0, silent_after_ms };
        };
        let nation = |nation: &NationId| {
            let newest = |words: bool| {
                let times = state.chains_of(nation).filter_map(|chain| newest(chain, words));
                times.max().map(Timestamp)
            };
            let (statement, witness) = (newest(false), newest(true));
            let last = statement.max(witness).unwrap_or(founded);
            let closed = state.roster(nation).and_then(|roster| roster.record()).is_some_and(|roster| roster.closed);
            let silent = own != Some(nation) && now.since(last) > silent_after_ms;
            NationAge { nation: *nation, statement, witness, closed, silent }
        };
        let nations: Vec<NationAge> = charter.members.keys().map(nation).collect();
        let heard = nations.iter().filter(|nation| !nation.silent).count();
        Self { nations, heard, quorum: charter.quorum(), silent_after_ms }
    }

    /// Whether so few members were heard of in time that nothing new can become final here: the record is old, or this node is
    /// cut off.
    pub const fn is_old(&self) -> bool {
        self.heard < self.quorum
    }
}

/// Returns the claimed time of a chain's newest accepted witness envelope, or of its newest other one.
fn newest(chain: &Chain, words: bool) -> Option<u64> {
    let wanted = |held: &&Held| (held.kind() == KIND_WITNESS) == words;
    (1..=chain.tip().seq).rev().filter_map(|seq| chain.accepted(seq)).find(wanted).map(Held::time_ms)
}

fn founded(state: &State) -> Timestamp {
    let genesis = state.control_records().into_iter().find_map(|control| match control.record() {
        ControlRecord::Genesis(signed) => Some(signed.genesis.created_ms),
        ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    });
    Timestamp(genesis.unwrap_or_default())
}
