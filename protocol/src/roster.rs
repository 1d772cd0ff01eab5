//! Stratum 2, rosters (spec 4.5.2): which keys speak for a nation, and how far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::charter::{Charter, CharterMember, Generation, Lineage};
use crate::control::{ControlRecord, KeyStatus, Params, Roster, RosterKey, VerifiedControl};
use crate::ids::{AuthorKey, ControlId, Tip};
use crate::limits::ROSTER_KEYS_MAX;

mod step;

pub use step::{StepError, check_step};

/// A nation's evaluated roster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NationRoster {
    /// The roster in force; `None` before the first one, and where two first ones contradict each other.
    pub roster: Option<Arc<VerifiedControl>>,
    /// Lowest version of which two valid rosters are held (`RosterFork`).
    pub fork: Option<u64>,
    /// The roster that the charter names, to start from or to end at, is not held (`RosterMissing`).
    pub missing: bool,
    /// Every key of the roster in force, with its standing.
    pub keys: BTreeMap<AuthorKey, KeyStanding>,
    /// Ids of the rosters kept (spec 4.11), ascending by version, then id.
    pub kept: Vec<(u64, ControlId)>,
}

/// Whether a key of a nation's evaluated roster may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStanding {
    /// It may.
    Active {
        /// It witnesses for the nation.
        witness: bool,
    },
    /// It may not; what it said up to the cut stands.
    Retired {
        /// Its last envelope that counts.
        cut: Tip,
        /// It witnessed for the nation.
        witness: bool,
    },
}

impl NationRoster {
    /// Returns the record of the roster in force.
    pub fn record(&self) -> Option<&Roster> {
        self.roster.as_deref().and_then(roster_of)
    }

    /// Returns version and id of the roster in force; version 0 and a zero id for none.
    pub fn tip(&self) -> (u64, ControlId) {
        match (&self.roster, self.record()) {
            (Some(control), Some(roster)) => (roster.version, control.id()),
            _ => (0, ControlId::ZERO),
        }
    }

    /// Returns what the roster in force says of a key, label and encryption key included.
    pub fn key(&self, node: &AuthorKey) -> Option<&RosterKey> {
        let keys = &self.record()?.keys;
        keys.binary_search_by_key(node, |key| key.node).ok().map(|i| &keys[i])
    }
}

/// All rosters held that one nation's root may have signed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rosters {
    held: BTreeMap<(u64, ControlId), Arc<VerifiedControl>>,
    /// Every key any of them lists, by the first roster that does.
    listed: BTreeMap<AuthorKey, (u64, ControlId)>,
    /// Of more keys than a nation may ever list, those that count (R04).
    admitted: Option<BTreeSet<AuthorKey>>,
}

impl Rosters {
    /// Takes in a roster; whether it was new.
    pub(crate) fn insert(&mut self, control: Arc<VerifiedControl>) -> bool {
        let Some(roster) = roster_of(&control) else { return false };
        let place = (roster.version, control.id());
        let new = self.held.insert(place, control.clone()).is_none();
        self.list(place, roster);
        self.bound_listed();
        new
    }

    /// Whether any roster held lists `key`, valid or not (R04).
    ///
    /// A nation lists at most 256 keys ever; a root that signs rosters against each other, with more keys in all, opens
    /// chains for those only that the lowest versions list.
    pub(crate) fn lists(&self, key: &AuthorKey) -> bool {
        self.admitted.as_ref().map_or_else(|| self.listed.contains_key(key), |admitted| admitted.contains(key))
    }

    fn list(&mut self, place: (u64, ControlId), roster: &Roster) {
        for key in &roster.keys {
            let first = self.listed.entry(key.node).or_insert(place);
            *first = place.min(*first);
        }
    }

    fn bound_listed(&mut self) {
        self.admitted = (self.listed.len() > ROSTER_KEYS_MAX).then(|| {
            let mut keys: Vec<_> = self.listed.iter().map(|(key, place)| (*place, *key)).collect();
            keys.sort_unstable();
            keys.into_iter().take(ROSTER_KEYS_MAX).map(|(_, key)| key).collect()
        });
    }

    /// Returns a roster held, by its version and id.
    pub(crate) fn get(&self, version: u64, id: &ControlId) -> Option<&Arc<VerifiedControl>> {
        self.held.get(&(version, *id))
    }

    /// Returns every roster held.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<VerifiedControl>> {
        self.held.values()
    }

    /// Drops every roster whose id `keep` does not name.
    pub(crate) fn retain(&mut self, keep: impl Fn(&ControlId) -> bool) {
        self.held.retain(|(_, id), _| keep(id));
        self.listed.clear();
        for (place, control) in self.held.clone() {
            if let Some(roster) = roster_of(&control) {
                self.list(place, roster);
            }
        }
        self.bound_listed();
    }

    /// Follows the valid steps of each of the nation's root keys, and takes the last key's as the result (spec 4.5.2); a
    /// removed nation's ends at the roster its removal names.
    ///
    /// Of each version only the two smallest ids that are valid steps from a kept one take part, since only those are kept by
    /// every node (4.11): what is not kept cannot change the result. What an earlier root key signed above the roster that
    /// the charter named counts for nothing, and is kept: the chains of the keys it lists are evidence.
    pub(crate) fn evaluate(&self, charter: &Charter, line: &Lineage) -> NationRoster {
        let mut result = NationRoster::default();
        let mut kept = BTreeSet::new();
        for generation in &line.generations {
            let steps = self.steps_of(charter, generation);
            kept.extend(steps.kept.iter().copied());
            kept.extend(self.ancestry(&generation.member.floor));
            result = steps;
        }
        if let Some(stop) = &line.stop {
            kept.extend(self.ancestry(stop));
            result = self.stopped(result, stop);
        }
        result.kept = kept.into_iter().collect();
        result
    }

    /// A removed nation's rosters as far as its removal says. The named one counts whether or not its root signed against
    /// it: the charter is above the rosters. Where that is not held, what is held below it counts.
    fn stopped(&self, steps: NationRoster, stop: &Tip) -> NationRoster {
        if stop.seq == 0 {
            return NationRoster::default();
        }
        let named = self.named(stop).cloned();
        let missing = named.is_none();
        let mut below = steps.roster;
        while let Some(roster) = below.as_deref().and_then(roster_of).filter(|roster| roster.version > stop.seq) {
            below = self.get(roster.version - 1, &roster.prev).cloned();
        }
        let roster = named.or(below);
        let mut result = NationRoster { roster, missing, ..NationRoster::default() };
        result.keys = standings(result.record(), &BTreeMap::new());
        result
    }

    /// The roster that the charter names.
    fn named(&self, tip: &Tip) -> Option<&Arc<VerifiedControl>> {
        self.held.get(&(tip.seq, ControlId::new(*tip.id.as_bytes())))
    }

    /// The roster that the charter names, and those before it as far as they are held.
    fn ancestry(&self, tip: &Tip) -> Vec<(u64, ControlId)> {
        let mut ancestry = Vec::new();
        let mut next = self.named(tip);
        while let Some(roster) = next.and_then(|control| roster_of(control)) {
            ancestry.extend(next.map(|control| (roster.version, control.id())));
            next = self.get(roster.version - 1, &roster.prev);
        }
        ancestry
    }

    /// Follows the valid steps of one root key from its floor.
    ///
    /// Of one version those count that need the lowest limit of Active keys the charter ever had: what was refused for too
    /// many, and signed again with fewer, does not come alive beside its successor once the limit is raised.
    fn steps_of(&self, charter: &Charter, generation: &Generation) -> NationRoster {
        let member = &generation.member;
        let mut result = NationRoster::default();
        let mut level: Vec<&Arc<VerifiedControl>> = Vec::new();
        if member.floor.seq > 0 {
            let Some(floor) = self.named(&member.floor) else {
                result.missing = true;
                return result;
            };
            result.roster = Some(floor.clone());
            level.push(floor);
        }
        let mut retired: BTreeMap<AuthorKey, Tip> = BTreeMap::new();
        let mut version = member.floor.seq + 1;
        loop {
            let steps = |limit: u8| {
                let params = Params { max_active_keys: limit, ..charter.params };
                let steps = self.versions(version).filter(|c| is_step(&params, member, &level, version, c));
                steps.take(2).collect::<Vec<_>>()
            };
            let limits = generation.key_limits.iter().map(|limit| steps(*limit));
            let Some(next) = limits.into_iter().find(|next| !next.is_empty()) else { break };
            // What would count without them is kept as well: its signer signed twice.
            let others = steps(charter.params.max_active_keys);
            result.kept.extend(next.iter().chain(&others).map(|control| (version, control.id())));
            next.iter().for_each(|control| note_cuts(&mut retired, control));
            if next.len() > 1 && result.fork.is_none() {
                result.fork = Some(version);
            }
            if result.fork.is_none() {
                result.roster = Some(next[0].clone());
            }
            level = next;
            version += 1;
        }
        if result.fork.is_none() {
            // On one path a cut only ever moves down, and the last word on it is the roster in force.
            retired.clear();
        }
        result.keys = standings(result.record(), &retired);
        result
    }

    fn versions(&self, version: u64) -> impl Iterator<Item = &Arc<VerifiedControl>> {
        self.held.range((version, ControlId::ZERO)..).take_while(move |((v, _), _)| *v == version).map(|(_, c)| c)
    }
}

fn roster_of(control: &VerifiedControl) -> Option<&Roster> {
    match control.record() {
        ControlRecord::Roster(roster, _) => Some(roster),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..) => None,
    }
}

fn note_cuts(retired: &mut BTreeMap<AuthorKey, Tip>, control: &VerifiedControl) {
    for key in roster_of(control).map_or(&[][..], |roster| &roster.keys) {
        if let KeyStatus::Retired { cut } = key.status {
            let smallest = retired.entry(key.node).or_insert(cut);
            *smallest = (*smallest).min(cut);
        }
    }
}

fn standings(record: Option<&Roster>, retired: &BTreeMap<AuthorKey, Tip>) -> BTreeMap<AuthorKey, KeyStanding> {
    let keys = record.map_or(&[][..], |roster| &roster.keys);
    keys.iter()
        .map(|key| {
            let own = match key.status {
                KeyStatus::Active => None,
                KeyStatus::Retired { cut } => Some(cut),
            };
            let cut = own.into_iter().chain(retired.get(&key.node).copied()).min();
            let standing = match cut {
                None => KeyStanding::Active { witness: key.witness },
                Some(cut) => KeyStanding::Retired { cut, witness: key.witness },
            };
            (key.node, standing)
        })
        .collect()
}

fn is_step(
    params: &Params,
    member: &CharterMember,
    level: &[&Arc<VerifiedControl>],
    version: u64,
    control: &VerifiedControl,
) -> bool {
    let Some(roster) = roster_of(control) else { return false };
    if roster.nation != member.id || roster.root != member.root || roster.root_gen != member.root_gen {
        return false;
    }
    if version == 1 {
        return check_step(params, None, roster).is_ok();
    }
    let steps = |prev: &Roster| check_step(params, Some(prev), roster).is_ok();
    level.iter().any(|prev| prev.id() == roster.prev && roster_of(prev).is_some_and(steps))
}
