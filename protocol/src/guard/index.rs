//! What the guard remembers of one document, and the checks against it (spec A.2).

use std::collections::{BTreeMap, BTreeSet};

use super::{Draft, DraftWrite, Prescan, VoidReason, dialect};
use crate::ids::ChangeHash;
use crate::limits::{CHANGE_CLOCK_ACTORS_MAX, CHANGE_DEPS_MAX};
use crate::value::{Actor, OpId, Write};

/// The index of one nation's document of one compartment, filled only from admitted changes.
///
/// It holds no fields: about 70 bytes for each change and 30 for each record version. Since every version of a record is
/// written whole by one change, the operations that make records are the only ones a later change may name. Since each
/// actor's changes are a path, an ancestry is known by one counter for each actor in it.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    changes: BTreeMap<ChangeHash, Admitted>,
    heads: BTreeSet<ChangeHash>,
    clocks: Clocks,
    /// By the number an actor has here, in the order of first admission.
    actors: Vec<ActorEntry>,
    actor_numbers: BTreeMap<Actor, u32>,
    kinds: BTreeMap<String, u32>,
    max_op: u32,
}

/// A change in the document.
#[derive(Clone, Copy, Debug)]
struct Admitted {
    actor: u32,
    max_op: u32,
    /// The ancestry without the change's own actor, as a number in [`Clocks`]; a run of changes that learnt nothing new of
    /// others shares one.
    others: u32,
}

/// "Everything this actor made up to this counter"; lists are ascending by actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    actor: u32,
    max_op: u32,
}

/// What an actor has in the document.
#[derive(Clone, Debug, Default)]
struct ActorEntry {
    last_seq: u32,
    last_max_op: u32,
    /// The record versions it made, ascending by counter.
    versions: Vec<Version>,
}

/// A record version: the counter of its operation, and its record by the kind's number and the id.
#[derive(Clone, Copy, Debug)]
struct Version {
    counter: u32,
    kind: u32,
    id: [u8; 10],
}

/// All ancestries, one after the other.
#[derive(Clone, Debug, Default)]
struct Clocks {
    seen: Vec<Seen>,
    ends: Vec<usize>,
}

/// What a change has in its ancestry: the highest counter, and that of each actor by number.
struct Ancestry {
    clock: BTreeMap<u32, u32>,
    max_op: u32,
}

impl Guard {
    /// Starts the index of an empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks a change against the document, takes it into the index and returns the record versions it writes, in the
    /// order of its operations and with all their fields.
    ///
    /// `prescan` is that of `bytes`. The cost grows with the change, not with the document.
    ///
    /// # Errors
    /// The first check of A.2 that fails; the index is then as before. [`VoidReason::DepMissing`] is no verdict: such a
    /// change waits.
    ///
    /// # Panics
    /// If `prescan` was made from other bytes.
    pub fn admit(&mut self, prescan: &Prescan, bytes: &[u8]) -> Result<Vec<Write>, VoidReason> {
        let ancestry = self.ancestry(&prescan.deps)?;
        if prescan.start_op != u64::from(ancestry.max_op) + 1 {
            return Err(VoidReason::StartOp);
        }
        self.check_actors(prescan, &ancestry)?;
        let writes = dialect::read(prescan, bytes)?;
        for write in &writes {
            self.check_preds(write, &ancestry)?;
        }
        self.merge(prescan, &ancestry, &writes);
        Ok(writes)
    }

    /// Whether the change was admitted.
    pub fn contains(&self, change: &ChangeHash) -> bool {
        self.changes.contains_key(change)
    }

    /// Returns the changes no other builds on, ascending.
    pub fn heads(&self) -> impl ExactSizeIterator<Item = &ChangeHash> {
        self.heads.iter()
    }

    /// Changes admitted.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing was admitted yet.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The highest operation counter of the document, 0 if it is empty.
    pub fn max_op(&self) -> u64 {
        u64::from(self.max_op)
    }

    /// Returns the sequence number of the actor's next change, from 1.
    pub fn next_seq(&self, actor: &Actor) -> u64 {
        self.actor(actor).map_or(0, |(_, entry)| u64::from(entry.last_seq)) + 1
    }

    /// Returns a draft that builds on the whole document.
    ///
    /// More than 64 heads do not fit one change: then one that has the actor's last change in its ancestry and those with
    /// the highest counters are taken, and the next change takes more.
    pub fn draft(&self, actor: Actor, time_ms: u64, writes: Vec<DraftWrite>) -> Draft {
        let deps = self.deps_for(&actor);
        let max_op = deps.iter().filter_map(|dep| self.changes.get(dep)).map(|change| change.max_op).max();
        Draft { actor, seq: self.next_seq(&actor), start_op: u64::from(max_op.unwrap_or(0)) + 1, deps, time_ms, writes }
    }

    fn deps_for(&self, actor: &Actor) -> Vec<ChangeHash> {
        let mut heads: Vec<_> = self.heads.iter().copied().collect();
        if heads.len() > CHANGE_DEPS_MAX {
            let own = self.actor(actor).map(|(actor, entry)| Seen { actor, max_op: entry.last_max_op });
            heads.sort_by_cached_key(|head| {
                let change = self.changes.get(head);
                let holds_own = change.is_some_and(|change| self.clock(change).any(|seen| Some(seen) == own));
                std::cmp::Reverse((holds_own, change.map(|change| change.max_op)))
            });
            heads.truncate(CHANGE_DEPS_MAX);
        }
        heads
    }

    fn actor(&self, actor: &Actor) -> Option<(u32, &ActorEntry)> {
        let number = *self.actor_numbers.get(actor)?;
        Some((number, self.actors.get(usize::try_from(number).ok()?)?))
    }

    /// The change itself and its whole ancestry.
    fn clock(&self, change: &Admitted) -> impl Iterator<Item = Seen> + '_ {
        let own = Seen { actor: change.actor, max_op: change.max_op };
        self.clocks.get(change.others).iter().copied().chain(std::iter::once(own))
    }

    fn ancestry(&self, deps: &[ChangeHash]) -> Result<Ancestry, VoidReason> {
        let mut ancestry = Ancestry { clock: BTreeMap::new(), max_op: 0 };
        for dep in deps {
            let change = self.changes.get(dep).ok_or(VoidReason::DepMissing)?;
            ancestry.max_op = ancestry.max_op.max(change.max_op);
            for seen in self.clock(change) {
                let max_op = ancestry.clock.entry(seen.actor).or_insert(0);
                *max_op = seen.max_op.max(*max_op);
            }
        }
        Ok(ancestry)
    }

    /// Checks that the change is the next of its actor, whose last one is in its ancestry, and that this is not too wide.
    fn check_actors(&self, prescan: &Prescan, ancestry: &Ancestry) -> Result<(), VoidReason> {
        let known = self.actor(&prescan.actor);
        let seen = known.and_then(|(number, _)| ancestry.clock.get(&number)).copied();
        let (last_seq, last_max_op) = known.map_or((0, None), |(_, entry)| (entry.last_seq, Some(entry.last_max_op)));
        if (1..=u64::from(last_seq)).contains(&prescan.seq) {
            Err(VoidReason::SeqTaken)
        } else if prescan.seq != u64::from(last_seq) + 1 || seen != last_max_op {
            Err(VoidReason::Seq)
        } else if ancestry.clock.len() + usize::from(seen.is_none()) > CHANGE_CLOCK_ACTORS_MAX {
            Err(VoidReason::AncestryTooWide)
        } else {
            Ok(())
        }
    }

    fn check_preds(&self, write: &Write, ancestry: &Ancestry) -> Result<(), VoidReason> {
        for pred in &write.replaces {
            // First the ancestry, which is all that every index has of the document: whether more of it is here already
            // must not show in the reason.
            let seen = self.actor(&pred.actor).and_then(|(number, _)| ancestry.clock.get(&number));
            if seen.is_none_or(|max_op| u64::from(*max_op) < pred.counter) {
                return Err(VoidReason::PredNotAncestor);
            }
            let version = self.version(pred).ok_or(VoidReason::PredUnknown)?;
            if self.kinds.get(&write.kind) != Some(&version.kind) || version.id != id_bytes(&write.id) {
                return Err(VoidReason::PredUnknown);
            }
        }
        Ok(())
    }

    fn version(&self, op: &OpId) -> Option<&Version> {
        let (_, entry) = self.actor(&op.actor)?;
        let counter = u32::try_from(op.counter).ok()?;
        let at = entry.versions.binary_search_by_key(&counter, |version| version.counter).ok()?;
        entry.versions.get(at)
    }

    /// Takes a checked change into the index.
    fn merge(&mut self, prescan: &Prescan, ancestry: &Ancestry, writes: &[Write]) {
        let max_op = counter(prescan.max_op());
        let fresh = number(self.actors.len());
        let actor = *self.actor_numbers.entry(prescan.actor).or_insert(fresh);
        if actor == fresh {
            self.actors.push(ActorEntry::default());
        }
        let others = self.others(prescan, ancestry, actor);
        let entry = &mut self.actors[usize::try_from(actor).expect("a number made from a length")];
        (entry.last_seq, entry.last_max_op) = (entry.last_seq + 1, max_op);
        for write in writes {
            let fresh = number(self.kinds.len());
            let kind = match self.kinds.get(&write.kind) {
                Some(kind) => *kind,
                None => *self.kinds.entry(write.kind.clone()).or_insert(fresh),
            };
            entry.versions.push(Version { counter: counter(write.op.counter), kind, id: id_bytes(&write.id) });
        }
        self.max_op = self.max_op.max(max_op);
        for dep in &prescan.deps {
            self.heads.remove(dep);
        }
        self.heads.insert(prescan.hash);
        self.changes.insert(prescan.hash, Admitted { actor, max_op, others });
    }

    /// Returns the ancestry without the actor itself, that of an own dependency where they are the same.
    fn others(&mut self, prescan: &Prescan, ancestry: &Ancestry, actor: u32) -> u32 {
        let others = || {
            let clock = ancestry.clock.iter().filter(|(number, _)| **number != actor);
            clock.map(|(&actor, &max_op)| Seen { actor, max_op })
        };
        let mut own = prescan.deps.iter().filter_map(|dep| self.changes.get(dep)).filter(|dep| dep.actor == actor);
        match own.find(|dep| others().eq(self.clocks.get(dep.others).iter().copied())) {
            Some(dep) => dep.others,
            None => self.clocks.push(others()),
        }
    }
}

impl Clocks {
    fn get(&self, clock: u32) -> &[Seen] {
        let at = usize::try_from(clock).expect("a number made from a length");
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.seen[start..self.ends[at]]
    }

    fn push(&mut self, clock: impl Iterator<Item = Seen>) -> u32 {
        self.seen.extend(clock);
        self.ends.push(self.seen.len());
        number(self.ends.len() - 1)
    }
}

/// Returns an operation counter in 32 bits.
fn counter(value: u64) -> u32 {
    u32::try_from(value).expect("a first counter is below 2^30 and a change has at most 2,048 operations")
}

/// Returns the number of what comes next in a list that no more than one change adds to at a time.
fn number(count: usize) -> u32 {
    u32::try_from(count).expect("four billion changes do not fit any memory")
}

/// Returns the characters of a record id the dialect has permitted.
fn id_bytes(id: &str) -> [u8; 10] {
    id.as_bytes().try_into().expect("a permitted record id has ten characters")
}
