//! The control records held, and which of them are kept (spec 4.11).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::charter::{Anchor, Course, Lineage, Records, lineages, walk};
use crate::control::{ControlRecord, Motion, Roster, VerifiedControl, Vote};
use crate::ids::{AllianceId, AuthorId, CharterId, ControlId, NationId};
use crate::roster::{NationRoster, Rosters};

/// Every control record held.
#[derive(Clone, Debug)]
pub(super) struct Controls {
    alliance: AllianceId,
    genesis: Option<Arc<VerifiedControl>>,
    rosters: BTreeMap<NationId, Rosters>,
    /// By the height and version they are on.
    votes: BTreeMap<(u32, CharterId), BTreeMap<ControlId, Arc<VerifiedControl>>>,
    motions: BTreeMap<ControlId, Arc<VerifiedControl>>,
    /// A genesis, votes or motions came since the charter was walked.
    moved: bool,
    course: Course,
    lineages: BTreeMap<NationId, Lineage>,
    /// Nations of which rosters came since they were evaluated.
    fresh: BTreeSet<NationId>,
    kept: BTreeMap<ControlId, Arc<VerifiedControl>>,
}

impl Controls {
    pub(super) fn new(alliance: AllianceId) -> Self {
        Self {
            alliance,
            genesis: None,
            rosters: BTreeMap::new(),
            votes: BTreeMap::new(),
            motions: BTreeMap::new(),
            moved: false,
            course: Course::default(),
            lineages: BTreeMap::new(),
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
                self.moved |= new;
                new
            }
            ControlRecord::Motion(motion) if ours(&motion.alliance) => {
                let new = self.motions.insert(id, Arc::new(control)).is_none();
                self.moved |= new;
                new
            }
            ControlRecord::Vote(vote, _) if ours(&vote.alliance) => {
                let votes = self.votes.entry((vote.height, vote.base)).or_default();
                let new = votes.insert(id, Arc::new(control)).is_none();
                self.moved |= new;
                new
            }
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

    /// Stratum 1: walks the charter again if something it rests on came in. Returns whether the versions are others now.
    pub(super) fn walk(&mut self, anchor: &Anchor) -> bool {
        let Some(ControlRecord::Genesis(signed)) = self.genesis.as_deref().map(VerifiedControl::record) else {
            return false;
        };
        if !std::mem::take(&mut self.moved) {
            return false;
        }
        let records = Records { genesis: &signed.genesis, votes: &self.votes, motions: &self.motions };
        let course = walk(anchor, records, &self.course.versions);
        let other = course.versions != self.course.versions;
        if other {
            self.lineages = lineages(&course.versions);
        }
        self.course = course;
        other
    }

    /// Where the charter stands.
    pub(super) const fn course(&self) -> &Course {
        &self.course
    }

    /// Stratum 2: the rosters of the nations of the charter that `evaluated` does not have, of those with new records, and
    /// where the charter changed all.
    pub(super) fn fresh_rosters(
        &mut self,
        all: bool,
        evaluated: &BTreeMap<NationId, NationRoster>,
    ) -> Vec<(NationId, NationRoster)> {
        let none = Rosters::default();
        let fresh = std::mem::take(&mut self.fresh);
        let Some(charter) = self.course.versions.last() else { return Vec::new() };
        let concerned = |nation: &NationId| all || fresh.contains(nation) || !evaluated.contains_key(nation);
        self.lineages
            .iter()
            .filter(|(nation, _)| concerned(nation))
            .map(|(nation, line)| (*nation, self.rosters.get(nation).unwrap_or(&none).evaluate(charter, line)))
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
            ControlRecord::Vote(vote, _) => {
                self.votes.get(&(vote.height, vote.base)).is_some_and(|votes| votes.contains_key(id))
            }
            ControlRecord::Roster(roster, _) => {
                self.rosters.get(&roster.nation).is_some_and(|rosters| rosters.get(roster.version, id).is_some())
            }
        }
    }

    /// Works out again which records are kept; returns those newly kept and those kept no more, ascending.
    pub(super) fn keep(&mut self, evaluated: &BTreeMap<NationId, NationRoster>) -> (Vec<ControlId>, Vec<ControlId>) {
        let mut kept: BTreeMap<ControlId, Arc<VerifiedControl>> = BTreeMap::new();
        let mut keep = |control: &Arc<VerifiedControl>| kept.insert(control.id(), control.clone());
        if let Some(genesis) = &self.genesis {
            keep(genesis);
        }
        for (nation, rosters) in &self.rosters {
            for control in rosters.iter() {
                let counts = match (evaluated.get(nation), control.record()) {
                    (Some(evaluated), ControlRecord::Roster(roster, _)) => {
                        evaluated.kept.binary_search(&(roster.version, control.id())).is_ok()
                    }
                    // Without the anchored charter nothing is evaluated, and whatever may count later stays.
                    (None, ControlRecord::Roster(roster, _)) => self.course.lost && self.may_list(roster),
                    (_, ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..)) => false,
                };
                if counts {
                    keep(control);
                }
            }
        }
        for base in &self.course.bases {
            let votes = self.votes.get(&(base.height, base.id)).into_iter().flatten();
            for (_, vote) in votes.filter(|(id, _)| self.course.kept.contains(id)) {
                keep(vote);
                if let Some(motion) = vote_of(vote).and_then(|vote| self.motions.get(&vote.motion)) {
                    keep(motion);
                }
            }
        }
        let new = kept.keys().filter(|id| !self.kept.contains_key(id)).copied().collect();
        let gone = self.kept.keys().filter(|id| !kept.contains_key(id)).copied().collect();
        self.kept = kept;
        (new, gone)
    }

    /// Returns a motion that is kept.
    pub(super) fn motion(&self, id: &ControlId) -> Option<&Motion> {
        match self.kept.get(id)?.record() {
            ControlRecord::Motion(motion) => Some(motion),
            ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
        }
    }

    /// Whether the version that a vote is on is held (R04).
    pub(super) fn knows_base(&self, vote: &Vote) -> bool {
        self.course.base(vote.height, &vote.base).is_some()
    }

    /// Whether the vote's nation and root are of the version it votes on (R04).
    pub(super) fn may_vote(&self, vote: &Vote) -> bool {
        self.course.base(vote.height, &vote.base).is_some_and(|charter| charter.may_vote(vote))
    }

    /// Whether the roster's nation and root are of a version held (R04).
    pub(super) fn may_list(&self, roster: &Roster) -> bool {
        if self.course.lost {
            return self.course.bases.iter().any(|charter| charter.may_list(roster));
        }
        let line = self.lineages.get(&roster.nation);
        line.is_some_and(|line| line.generations.iter().any(|generation| generation.member.root == roster.root))
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

    pub(super) fn forget_unkept(&mut self) {
        let kept = &self.kept;
        self.votes.retain(|_, votes| {
            votes.retain(|id, _| kept.contains_key(id));
            !votes.is_empty()
        });
        self.motions.retain(|id, _| kept.contains_key(id));
        for rosters in self.rosters.values_mut() {
            rosters.retain(|id| kept.contains_key(id));
        }
        self.rosters.retain(|_, rosters| rosters.iter().next().is_some());
    }

    /// Every record held, kept or not.
    pub(super) fn held(&self) -> usize {
        let rosters: usize = self.rosters.values().map(|rosters| rosters.iter().count()).sum();
        let votes: usize = self.votes.values().map(BTreeMap::len).sum();
        usize::from(self.genesis.is_some()) + rosters + votes + self.motions.len()
    }
}

fn vote_of(control: &VerifiedControl) -> Option<&Vote> {
    match control.record() {
        ControlRecord::Vote(vote, _) => Some(vote),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => None,
    }
}
