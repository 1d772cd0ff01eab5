//! What the state says of the charter beside the version in force: its history, the votes, the conflicts and the anchor.

use std::sync::Arc;

use super::State;
use crate::body::KIND_WITNESS;
use crate::chain::{Chain, Held};
use crate::charter::{Anchor, Ballots, Charter, CharterConflict, CharterHealth, health};
use crate::control::Motion;
use crate::ids::{ControlId, NationId, Timestamp};
use crate::roster::{KeyStanding, NationRoster};

impl State {
    /// Returns every version of the charter from the founding to the one in force.
    pub fn charter_versions(&self) -> &[Arc<Charter>] {
        &self.controls.course().versions
    }

    /// Two motions are sealed for the version in force: membership is frozen, ordinary work goes on (spec 4.9).
    pub fn charter_conflict(&self) -> Option<&CharterConflict> {
        self.controls.course().conflict.as_ref()
    }

    /// Two motions are sealed for a version below the anchor: an alarm, and nothing else.
    pub fn conflict_below_anchor(&self) -> Option<&CharterConflict> {
        self.controls.course().below.as_ref()
    }

    /// The anchored version cannot be reached from the records held: control records were lost, nothing counts until a peer
    /// or a backup brings them back, and no other path is taken.
    pub fn anchor_lost(&self) -> bool {
        self.controls.course().lost
    }

    /// Returns the votes kept on the version in force.
    pub fn ballots(&self) -> &Ballots {
        &self.controls.course().ballots
    }

    /// Returns a motion that is kept.
    pub fn motion(&self, id: &ControlId) -> Option<&Motion> {
        self.controls.motion(id)
    }

    /// Returns how far the charter is from being stuck, from the nations' rosters and the times their witnesses claim.
    pub fn charter_health(&self, as_of: Timestamp) -> Option<CharterHealth> {
        let charter = self.charter()?;
        let closed = |nation: &&NationId| self.roster(nation).and_then(NationRoster::record).is_some_and(|r| r.closed);
        let closed = charter.members.keys().filter(closed).copied().collect();
        let heard = charter.members.keys().filter_map(|nation| Some((*nation, self.last_witness(nation)?))).collect();
        Some(health(charter, &closed, &heard, as_of))
    }

    /// Returns the latest time that an accepted envelope of a nation's witness key claims.
    fn last_witness(&self, nation: &NationId) -> Option<Timestamp> {
        let witness = |chain: &&Chain| {
            let standing = self.key_standing(&chain.author());
            matches!(standing, Some(KeyStanding::Active { witness: true } | KeyStanding::Retired { witness: true, .. }))
        };
        let last = self.chains_of(nation).filter(witness).filter_map(|chain| {
            let accepted = (1..=chain.tip().seq).rev().filter_map(|seq| chain.accepted(seq));
            accepted.into_iter().find(|held| held.kind() == KIND_WITNESS).map(Held::time_ms)
        });
        last.max().map(Timestamp)
    }

    /// Returns what the anchor may advance to: the highest version above it that more than two thirds of its members'
    /// witnesses name, or a later one of the path (spec 4.5.1).
    pub fn next_anchor(&self) -> Option<Anchor> {
        let versions = self.charter_versions();
        let first = usize::try_from(self.anchor.height).ok()?.checked_add(1)?;
        let named = |nation: &NationId| {
            let (height, id) = self.acknowledgements.charter_of(nation)?;
            versions.get(usize::try_from(height).ok()?).filter(|charter| charter.id == id).map(|_| height)
        };
        let next = versions.get(first..)?.iter().rev().find(|charter| {
            let members = charter.members.keys();
            members.filter(|nation| named(nation) >= Some(charter.height)).count() >= charter.quorum()
        })?;
        Some(Anchor { height: next.height, charter: next.id, ..self.anchor })
    }

    /// Moves the anchor up to a version of the path, as [`State::next_anchor`] gives it; whether it was one. Nothing else
    /// changes: the state is that of `evaluate` under the new anchor.
    pub fn set_anchor(&mut self, anchor: Anchor) -> bool {
        let at = usize::try_from(anchor.height).ok().and_then(|height| self.charter_versions().get(height));
        let higher = anchor.alliance == self.anchor.alliance && anchor.height >= self.anchor.height;
        let ours = higher && at.is_some_and(|charter| charter.id == anchor.charter);
        if ours {
            self.anchor = anchor;
        }
        ours
    }
}
