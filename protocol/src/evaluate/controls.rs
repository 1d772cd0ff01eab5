//! The control records held, and which of them are kept (spec 4.11).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::charter::Charter;
use crate::control::{ControlRecord, Roster, VerifiedControl, Vote, VoteStep};
use crate::ids::{AllianceId, AuthorId, ControlId, NationId};
use crate::roster::{NationRoster, Rosters};

/// Every control record held.
#[derive(Clone, Debug)]
pub(super) struct Controls {
    alliance: AllianceId,
    genesis: Option<Arc<VerifiedControl>>,
    rosters: BTreeMap<NationId, Rosters>,
    votes: BTreeMap<ControlId, Arc<VerifiedControl>>,
    motions: BTreeMap<ControlId, Arc<VerifiedControl>>,
    /// Nations of which rosters came since they were evaluated.
    fresh: BTreeSet<NationId>,
    kept: BTreeMap<ControlId, Arc<VerifiedControl>>,
}

/// One thing a nation may say once in a round.
type VoteSlot = (NationId, u32, u16, VoteStep);

impl Controls {
    pub(super) fn new(alliance: AllianceId) -> Self {
        Self {
            alliance,
            genesis: None,
            rosters: BTreeMap::new(),
            votes: BTreeMap::new(),
            motions: BTreeMap::new(),
            fresh: BTreeSet::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Takes in a record of this alliance; whether it was new.
    pub(super) fn insert(&mut self, control: VerifiedControl) -> bool {
        let id = control.id();
        let ours = |alliance: &AllianceId| *alliance == self.alliance;
        match control.record() {
            ControlRecord::Genesis(_) => {
                let new = *id.as_bytes() == *self.alliance.as_bytes() && self.genesis.is_none();
                if new {
                    self.genesis = Some(Arc::new(control));
                }
                new
            }
            ControlRecord::Motion(motion) if ours(&motion.alliance) => {
                self.motions.insert(id, Arc::new(control)).is_none()
            }
            ControlRecord::Vote(vote, _) if ours(&vote.alliance) => self.votes.insert(id, Arc::new(control)).is_none(),
            ControlRecord::Roster(roster, _) if ours(&roster.alliance) => {
                let nation = roster.nation;
                let new = self.rosters.entry(nation).or_default().insert(Arc::new(control));
                if new {
                    self.fresh.insert(nation);
                }
                new
            }
            ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => false,
        }
    }

    /// Stratum 1: the charter in force.
    pub(super) fn charter(&self) -> Option<Charter> {
        match self.genesis.as_deref().map(VerifiedControl::record) {
            Some(ControlRecord::Genesis(signed)) => Some(Charter::founded(&signed.genesis)),
            Some(ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..)) | None => None,
        }
    }

    /// Stratum 2: the rosters of the nations of the charter that `evaluated` does not have, and of those with new records.
    pub(super) fn fresh_rosters(
        &mut self,
        charter: &Charter,
        evaluated: &BTreeMap<NationId, NationRoster>,
    ) -> Vec<(NationId, NationRoster)> {
        let none = Rosters::default();
        let fresh = std::mem::take(&mut self.fresh);
        charter
            .nations()
            .filter(|member| fresh.contains(&member.id) || !evaluated.contains_key(&member.id))
            .map(|member| (member.id, self.rosters.get(&member.id).unwrap_or(&none).evaluate(charter, member)))
            .collect()
    }

    /// Whether any roster held of the author's nation lists its key (R04).
    pub(super) fn lists(&self, author: &AuthorId) -> bool {
        self.rosters.get(&author.nation).is_some_and(|rosters| rosters.lists(&author.key))
    }

    /// Whether a record is held, kept or not.
    pub(super) fn holds(&self, control: &ControlRecord, id: &ControlId) -> bool {
        match control {
            ControlRecord::Genesis(_) => self.genesis.as_ref().is_some_and(|genesis| genesis.id() == *id),
            ControlRecord::Motion(_) => self.motions.contains_key(id),
            ControlRecord::Vote(..) => self.votes.contains_key(id),
            ControlRecord::Roster(roster, _) => {
                self.rosters.get(&roster.nation).is_some_and(|rosters| rosters.get(roster.version, id).is_some())
            }
        }
    }

    /// Works out again which records are kept; returns those newly kept and those kept no more, ascending.
    pub(super) fn keep(
        &mut self,
        charter: &Charter,
        evaluated: &BTreeMap<NationId, NationRoster>,
    ) -> (Vec<ControlId>, Vec<ControlId>) {
        let mut kept: BTreeMap<ControlId, Arc<VerifiedControl>> = BTreeMap::new();
        let mut keep = |control: &Arc<VerifiedControl>| kept.insert(control.id(), control.clone());
        if let Some(genesis) = &self.genesis {
            keep(genesis);
        }
        for (nation, roster) in evaluated {
            let Some(held) = self.rosters.get(nation) else { continue };
            for (version, id) in &roster.kept {
                if let Some(control) = held.get(*version, id) {
                    keep(control);
                }
            }
        }
        for vote in self.votes_kept(charter) {
            keep(vote);
            if let Some(motion) = vote_of(vote).and_then(|vote| self.motions.get(&vote.motion)) {
                keep(motion);
            }
        }
        let new = kept.keys().filter(|id| !self.kept.contains_key(id)).copied().collect();
        let gone = self.kept.keys().filter(|id| !kept.contains_key(id)).copied().collect();
        self.kept = kept;
        (new, gone)
    }

    /// Of each nation, height, round and step, the votes for the two smallest motion ids, one vote each.
    fn votes_kept(&self, charter: &Charter) -> Vec<&Arc<VerifiedControl>> {
        let mut slots: BTreeMap<VoteSlot, BTreeMap<ControlId, &Arc<VerifiedControl>>> = BTreeMap::new();
        // Ascending by id, so of two votes that differ in their claimed time only, the smaller id stays.
        for control in self.votes.values() {
            let Some(vote) = vote_of(control) else { continue };
            if may_vote(charter, vote) {
                let slot = slots.entry((vote.nation, vote.height, vote.round, vote.step)).or_default();
                slot.entry(vote.motion).or_insert(control);
            }
        }
        slots.into_values().flat_map(|motions| motions.into_values().take(2)).collect()
    }

    pub(super) const fn kept(&self) -> &BTreeMap<ControlId, Arc<VerifiedControl>> {
        &self.kept
    }

    pub(super) fn in_reply_order(&self) -> Vec<&Arc<VerifiedControl>> {
        let mut records: Vec<&Arc<VerifiedControl>> = self.kept.values().collect();
        records.sort_by_cached_key(|control| match control.record() {
            ControlRecord::Genesis(_) => (0, 0, 0, control.id()),
            ControlRecord::Vote(vote, _) => (1, u64::from(vote.height), 0, control.id()),
            ControlRecord::Motion(motion) => (1, u64::from(motion.height), 1, control.id()),
            ControlRecord::Roster(roster, _) => (2, u64::from(roster.root_gen) << 32 | roster.version, 0, control.id()),
        });
        records
    }

    pub(super) fn forget_unkept(&mut self, charter: &Charter, evaluated: &BTreeMap<NationId, NationRoster>) {
        let kept = &self.kept;
        self.votes.retain(|id, _| kept.contains_key(id));
        self.motions.retain(|id, _| kept.contains_key(id));
        self.rosters.retain(|nation, _| charter.nation(nation).is_some());
        for (nation, rosters) in &mut self.rosters {
            if let Some(evaluated) = evaluated.get(nation) {
                rosters.retain_kept(evaluated);
            }
        }
    }

    /// Every record held, kept or not.
    pub(super) fn held(&self) -> usize {
        let rosters: usize = self.rosters.values().map(|rosters| rosters.iter().count()).sum();
        usize::from(self.genesis.is_some()) + rosters + self.votes.len() + self.motions.len()
    }
}

/// Whether the vote's nation and root are of the charter version it votes on (R04).
pub(super) fn may_vote(charter: &Charter, vote: &Vote) -> bool {
    vote.height == charter.height
        && vote.base == charter.id
        && charter.members.get(&vote.nation).is_some_and(|member| member.root == vote.root)
}

/// Whether the roster's nation and root are of a held charter version (R04).
pub(super) fn may_list(charter: &Charter, roster: &Roster) -> bool {
    charter.nation(&roster.nation).is_some_and(|member| member.root == roster.root)
}

fn vote_of(control: &VerifiedControl) -> Option<&Vote> {
    match control.record() {
        ControlRecord::Vote(vote, _) => Some(vote),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => None,
    }
}
