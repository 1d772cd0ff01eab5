//! Witnessing: a node whose key is its nation's witness says what it holds (spec 4.7).
//!
//! W1 and W2 are [`State::acknowledgeable`](crate::evaluate::State::acknowledgeable), W3 is the ordinary way of an own write:
//! saved before it is spoken of. W4 is here: a new witness key says nothing before what the retired ones said is held. W5,
//! the cadence, is no matter of validity.

use std::collections::BTreeMap;

use super::Replica;
use crate::body::{Ack, Body, KIND_WITNESS, RosterAck, WitnessBody};
use crate::chain::Held;
use crate::effect::Storage;
use crate::evaluate::{Changes, Placed};
use crate::ids::{AuthorId, CharterId, ControlId, NationId, Timestamp, Tip};
use crate::limits::{NATIONS_MAX, WITNESS_ACKS_MAX};
use crate::roster::KeyStanding;

/// How often a witness speaks (W5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessCadence {
    /// After a change, and then at most once in this time.
    pub on_change_ms: u64,
    /// Without any change, once in this time.
    pub heartbeat_ms: u64,
}

impl WitnessCadence {
    /// A witness that never speaks: for tests of something else.
    #[doc(hidden)]
    pub const NEVER: Self = Self { on_change_ms: u64::MAX, heartbeat_ms: u64::MAX };
}

impl Default for WitnessCadence {
    fn default() -> Self {
        Self { on_change_ms: 60_000, heartbeat_ms: 900_000 }
    }
}

/// When this node's witness speaks next, and what it need not repeat.
#[derive(Debug)]
pub(super) struct Witness {
    cadence: WitnessCadence,
    /// Since when something waits to be acknowledged.
    changed_at: Option<Timestamp>,
    /// When it last spoke; at first when it started.
    spoke_at: Option<Timestamp>,
    /// What its last words were about rosters and the charter; read from the own chain when first needed.
    told: Option<Told>,
}

#[derive(Debug, Default)]
struct Told {
    charter: Option<CharterId>,
    rosters: BTreeMap<NationId, ControlId>,
}

impl Witness {
    pub(super) const fn new(cadence: WitnessCadence) -> Self {
        Self { cadence, changed_at: None, spoke_at: None, told: None }
    }

    /// When it speaks next, if nothing keeps it from that.
    fn due(&self) -> Option<Timestamp> {
        // A node that only started has not looked at its chain yet: it does that at once, links or none.
        let Some(spoke_at) = self.spoke_at else {
            return (self.cadence != WitnessCadence::NEVER).then_some(Timestamp(0));
        };
        let regular = spoke_at.plus_ms(self.cadence.heartbeat_ms);
        let earliest = spoke_at.plus_ms(self.cadence.on_change_ms);
        let due = self.changed_at.map_or(regular, |changed| changed.max(earliest).min(regular));
        (due < Timestamp(u64::MAX)).then_some(due)
    }
}

impl Replica {
    /// When this node's witness speaks next; `None` for a node that is no witness.
    pub(super) fn witness_due(&self) -> Option<Timestamp> {
        let witness = matches!(self.state.key_standing(&self.me), Some(KeyStanding::Active { witness: true }));
        (witness && self.storage == Storage::Room).then(|| self.witness.due()).flatten()
    }

    /// Something came that a witness acknowledges. What other nations' witnesses say is none of it: they would keep each
    /// other talking for ever.
    pub(super) fn note_change(&mut self, changes: &Changes) {
        let other = |held: &Held| held.kind() != KIND_WITNESS;
        let accepted = |placed: &Placed| self.state.chain(&placed.author)?.get(&placed.tip.id);
        let news = changes.charter
            || !changes.rosters.is_empty()
            || changes.accepted.iter().filter_map(accepted).any(other)
            || changes.bodies.iter().any(|id| self.state.envelope(id).is_some_and(|view| other(view.held)));
        if news {
            self.witness.changed_at.get_or_insert(self.now);
        }
    }

    /// Speaks, if it is time to and nothing forbids it.
    pub(super) fn witness_if_due(&mut self) {
        if self.witness.spoke_at.is_none() {
            self.witness.spoke_at = Some(self.last_witnessed().unwrap_or(self.now).min(self.now));
            // What came while this node was away waits to be acknowledged.
            self.witness.changed_at.get_or_insert(self.now);
        }
        if self.witness_due().is_none_or(|due| due > self.now) {
            return;
        }
        let regular = self.witness.spoke_at.is_none_or(|at| self.now >= at.plus_ms(self.witness.cadence.heartbeat_ms));
        self.witness.changed_at = None;
        self.witness.spoke_at = Some(self.now);
        if self.halted().is_some() || !self.retired_witnesses_held() {
            // Looked at again after the usual pause.
            self.witness.changed_at = Some(self.now);
            return;
        }
        self.speak(regular);
    }

    fn last_witnessed(&self) -> Option<Timestamp> {
        let chain = self.state.chain(&self.me)?;
        let seqs = (1..=chain.tip().seq).rev();
        let last = seqs.filter_map(|seq| chain.accepted(seq)).find(|held| held.kind() == KIND_WITNESS)?;
        Some(Timestamp(last.time_ms()))
    }

    /// W4: whether all that the nation's earlier witnesses said is held, so that it binds this one.
    fn retired_witnesses_held(&self) -> bool {
        let Some(roster) = self.state.roster(&self.me.nation) else { return false };
        roster.keys.iter().all(|(key, standing)| match standing {
            KeyStanding::Retired { cut, witness: true } => {
                let chain = self.state.chain(&AuthorId { nation: self.me.nation, key: *key });
                let held = chain.and_then(|chain| chain.get(&cut.id)).is_some_and(Held::complete);
                *cut == Tip::NONE || held
            }
            KeyStanding::Active { .. } | KeyStanding::Retired { witness: false, .. } => true,
        })
    }

    fn speak(&mut self, regular: bool) {
        let mut acks: Vec<Ack> = Vec::new();
        for chain in self.state.chains() {
            let author = chain.author();
            acks.extend(self.state.acknowledgeable(&self.me.nation, &author).map(|tip| Ack { author, tip }));
        }
        let others = acks.iter().any(|ack| ack.author != self.me);
        let more = acks.len() > WITNESS_ACKS_MAX;
        acks.truncate(WITNESS_ACKS_MAX);
        let told = self.witness.told.take().unwrap_or_else(|| self.told_before());
        let rosters: Vec<RosterAck> = self.rosters_since(&told);
        let charter = self.state.charter_id();
        let news = others || self.own_news() || !rosters.is_empty() || told.charter != Some(charter);
        self.witness.told = Some(told);
        if !news && !regular {
            return;
        }
        let body = Body::Witness(WitnessBody {
            height: self.state.charter().map_or(0, |charter| charter.height),
            charter,
            rosters: rosters.clone(),
            acks,
            frontier: self.state.frontier(),
            state: self.state.state(),
        });
        // Where the chain has no room left nothing is said: `status` says that the quota is used up.
        let Ok((header, body)) = self.state.next_header(&self.me, self.now, &body) else { return };
        self.take_own(self.author.sign(header, body), None);
        self.counters.witnessed += 1;
        if let Some(told) = &mut self.witness.told {
            told.charter = Some(charter);
            told.rosters.extend(rosters.into_iter().map(|roster| (roster.nation, roster.id)));
        }
        if more {
            self.witness.changed_at = Some(self.now);
        }
    }

    /// Whether this key said anything but witness words that its nation has not acknowledged.
    fn own_news(&self) -> bool {
        let (Some(chain), nation) = (self.state.chain(&self.me), self.me.nation) else { return false };
        let seen = self.state.acknowledged(&nation, &self.me).iter().map(|top| top.seq).max().unwrap_or(0);
        chain.accepted_from(seen + 1).any(|held| held.kind() != KIND_WITNESS)
    }

    fn rosters_since(&self, told: &Told) -> Vec<RosterAck> {
        let rosters = self.state.nations().filter_map(|nation| Some((nation.id, self.state.roster(&nation.id)?.tip())));
        let mut rosters: Vec<RosterAck> = rosters
            .filter(|(nation, (version, id))| *version > 0 && told.rosters.get(nation) != Some(id))
            .map(|(nation, (version, id))| RosterAck { nation, version, id })
            .collect();
        rosters.sort_by_key(|roster| roster.nation);
        rosters.truncate(NATIONS_MAX);
        rosters
    }

    /// What this key said of rosters and the charter so far.
    fn told_before(&self) -> Told {
        let mut told = Told::default();
        for held in self.state.chain(&self.me).into_iter().flat_map(|chain| chain.accepted_from(1)) {
            let body = held.body().filter(|_| held.kind() == KIND_WITNESS);
            if let Some(Ok(Body::Witness(witness))) = body.map(|body| Body::decode(KIND_WITNESS, body)) {
                told.charter = Some(witness.charter);
                told.rosters.extend(witness.rosters.iter().map(|roster| (roster.nation, roster.id)));
            }
        }
        told
    }
}
