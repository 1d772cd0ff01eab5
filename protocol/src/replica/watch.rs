//! What only shows over time: acknowledged envelopes that nobody delivers (`withheld`), and a peer that makes something else
//! of the same set (`divergence`).

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use crate::effect::{Alarm, Effect};
use crate::evaluate::State;
use crate::ids::{AuthorId, AuthorKey, Digest, NationId, Timestamp};
use crate::limits::{WITHHELD_MS, WITHHELD_STEP_MS, WITHHELD_WATCHED_MAX};
use crate::message::Hello;

/// An envelope that nations acknowledge and nobody has delivered for ten minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Its author.
    pub author: AuthorId,
    /// Its sequence number.
    pub seq: u64,
    /// The member nations that say they hold it, ascending.
    pub witnesses: Vec<NationId>,
    /// Since when it is missed here.
    pub since: Timestamp,
}

/// What is missed, and which peers differ.
#[derive(Debug, Default)]
pub(super) struct Watch {
    started: bool,
    next: Option<Timestamp>,
    missed: BTreeMap<(AuthorId, u64), Missed>,
    /// Peers that evaluate an equal set differently.
    diverging: BTreeSet<AuthorKey>,
}

#[derive(Debug)]
struct Missed {
    since: Timestamp,
    witnesses: Vec<NationId>,
    told: bool,
}

impl Watch {
    /// Looks at it soon, if anything is missed.
    pub(super) fn begin(&mut self, state: &State, now: Timestamp) {
        if self.next.is_none()
            && (state.acknowledgements().any_absent()
                || state.chains().any(|chain| chain.bodies_to() < chain.tip().seq))
        {
            self.next = Some(now.plus_ms(WITHHELD_STEP_MS));
            self.look(state, now);
        }
    }

    pub(super) const fn due(&self) -> Option<Timestamp> {
        self.next
    }

    /// The nations that say they hold what is missed of an author.
    pub(super) fn witnesses_of(&self, author: &AuthorId) -> BTreeSet<NationId> {
        let of_it = self.missed.range((*author, 0)..=(*author, u64::MAX));
        of_it.flat_map(|(_, missed)| missed.witnesses.iter().copied()).collect()
    }

    fn look(&mut self, state: &State, now: Timestamp) {
        let absent = absent(state);
        self.missed.retain(|place, _| absent.contains_key(place));
        for (place, witnesses) in absent {
            let witnesses: Vec<NationId> = witnesses.into_iter().collect();
            let missed = self.missed.entry(place).or_insert(Missed { since: now, witnesses: Vec::new(), told: false });
            missed.witnesses = witnesses;
        }
    }
}

/// What member nations acknowledge and is not held here with all bodies below it: the lowest few of each author.
fn absent(state: &State) -> BTreeMap<(AuthorId, u64), BTreeSet<NationId>> {
    let mut absent: BTreeMap<(AuthorId, u64), BTreeSet<NationId>> = BTreeMap::new();
    let Some(charter) = state.charter() else { return absent };
    let authors: BTreeSet<AuthorId> =
        state.active_authors().chain(state.chains().map(|chain| chain.author())).collect();
    for author in authors {
        for (tip, nation) in state.acknowledgements().absent_for(&author, WITHHELD_WATCHED_MAX) {
            if charter.members.contains_key(&nation) {
                absent.entry((author, tip.seq)).or_default().insert(nation);
            }
        }
        let Some(chain) = state.chain(&author).filter(|chain| chain.bodies_to() < chain.tip().seq) else { continue };
        let body = chain.bodies_to() + 1;
        if let Some(held) = chain.accepted(body) {
            let witnesses = state.seen_by(&author, held);
            if !witnesses.is_empty() {
                absent.entry((author, body)).or_default().extend(witnesses);
            }
        }
    }
    absent
}

impl Replica {
    /// Returns what nations acknowledge and nobody has delivered for ten minutes, ascending.
    pub fn withheld(&self) -> Vec<Withheld> {
        let told = self.watch.missed.iter().filter(|(_, missed)| missed.told);
        let withheld = told.map(|(&(author, seq), missed)| Withheld {
            author,
            seq,
            witnesses: missed.witnesses.clone(),
            since: missed.since,
        });
        withheld.collect()
    }

    /// Returns the peers that evaluate an equal set differently, ascending.
    pub fn diverging(&self) -> Vec<AuthorKey> {
        self.watch.diverging.iter().copied().collect()
    }

    pub(super) fn watch_if_due(&mut self) {
        let now = self.now;
        if !self.watch.started {
            self.watch.started = true;
            self.watch.begin(&self.state, now);
        }
        if self.watch.next.is_none_or(|due| due > now) {
            return;
        }
        self.watch.look(&self.state, now);
        self.watch.next = (!self.watch.missed.is_empty()).then(|| now.plus_ms(WITHHELD_STEP_MS));
        for (&(author, seq), missed) in &mut self.watch.missed {
            if !missed.told && now.since(missed.since) >= WITHHELD_MS {
                missed.told = true;
                let witnesses = missed.witnesses.clone();
                self.effects.push_back(Effect::Alarm(Alarm::Withheld { author, seq, witnesses }));
            }
        }
    }

    /// Compares what a peer and we make of one set, at a moment when both hold it: each of its digests is of one moment, and
    /// ours are of now.
    pub(super) fn compare_states(&mut self, peer: AuthorKey, hello: &Hello) {
        let same = hello.held == self.state.held()
            && hello.control == self.state.control()
            && hello.charter == self.state.charter_id();
        let ours = self.state.state_at_hand().filter(|_| same && hello.state != Digest::ZERO);
        match ours {
            Some(ours) if ours == hello.state => {
                self.watch.diverging.remove(&peer);
            }
            Some(_) if self.watch.diverging.insert(peer) => {
                self.effects.push_back(Effect::Alarm(Alarm::Divergence { peer }));
            }
            Some(_) | None => {}
        }
    }
}
