//! What the guard remembers of one document, and the checks against it (spec A.2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Draft, DraftWrite, Prescan, VoidReason, dialect};
use crate::ids::ChangeHash;
use crate::limits::{CHANGE_CLOCK_ACTORS_MAX, CHANGE_DEPS_MAX};
use crate::value::{Actor, OpId, Write};

/// The index of one nation's document of one compartment, filled only from admitted changes.
///
/// It holds no fields: about 150 bytes for each change and 50 for each record version. Since every version of a record is
/// written whole by one change, the operations that make records are the only ones a later change may name.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    changes: BTreeMap<ChangeHash, Admitted>,
    heads: BTreeSet<ChangeHash>,
    versions: BTreeMap<Position, Version>,
    actors: BTreeMap<Actor, ActorEntry>,
    kinds: BTreeMap<String, u32>,
    max_op: u32,
}

/// A change in the document.
#[derive(Clone, Debug)]
struct Admitted {
    actor: u32,
    seq: u32,
    max_op: u32,
    /// The ancestry without the change's own actor; shared along a run of changes that learnt nothing new of others.
    others: Arc<[Seen]>,
}

/// "All changes of this actor up to this seq"; lists are ascending by actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    actor: u32,
    seq: u32,
}

/// An actor by the number it has here, in the order of first admission.
#[derive(Clone, Copy, Debug)]
struct ActorEntry {
    number: u32,
    last_seq: u32,
}

/// An operation, its actor by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    counter: u32,
    actor: u32,
}

/// A record version: which record, and which change of its actor made it.
#[derive(Clone, Copy, Debug)]
struct Version {
    record: RecordNumber,
    seq: u32,
}

/// A record: its kind by number, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordNumber {
    kind: u32,
    id: [u8; 10],
}

/// What a change has in its ancestry.
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
        let actor = self.actors.get(&prescan.actor).copied();
        let seen = actor.and_then(|actor| ancestry.clock.get(&actor.number)).copied().unwrap_or(0);
        if prescan.seq != u64::from(seen) + 1 {
            return Err(VoidReason::Seq);
        }
        if actor.is_some_and(|actor| actor.last_seq != seen) {
            return Err(VoidReason::SeqTaken);
        }
        let known = actor.is_some_and(|actor| ancestry.clock.contains_key(&actor.number));
        if ancestry.clock.len() + usize::from(!known) > CHANGE_CLOCK_ACTORS_MAX {
            return Err(VoidReason::AncestryTooWide);
        }
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
        self.actors.get(actor).map_or(0, |actor| u64::from(actor.last_seq)) + 1
    }

    /// Returns a draft that builds on the whole document.
    ///
    /// More than 64 heads do not fit one change: then the actor's own last change and the 63 others with the highest
    /// counters are taken, and the next change takes the rest.
    pub fn draft(&self, actor: Actor, time_ms: u64, writes: Vec<DraftWrite>) -> Draft {
        let deps = self.deps_for(&actor);
        let max_op = deps.iter().filter_map(|dep| self.changes.get(dep)).map(|change| change.max_op).max();
        Draft { actor, seq: self.next_seq(&actor), start_op: u64::from(max_op.unwrap_or(0)) + 1, deps, time_ms, writes }
    }

    fn deps_for(&self, actor: &Actor) -> Vec<ChangeHash> {
        let mut heads: Vec<_> = self.heads.iter().copied().collect();
        if heads.len() > CHANGE_DEPS_MAX {
            let own = self.actors.get(actor).map(|entry| (entry.number, entry.last_seq));
            heads.sort_by_key(|head| {
                let change = self.changes.get(head);
                let holds_own = own.zip(change).is_some_and(|((number, seq), change)| change.has(number, seq));
                std::cmp::Reverse((holds_own, change.map(|change| change.max_op)))
            });
            heads.truncate(CHANGE_DEPS_MAX);
        }
        heads
    }

    fn ancestry(&self, deps: &[ChangeHash]) -> Result<Ancestry, VoidReason> {
        let mut ancestry = Ancestry { clock: BTreeMap::new(), max_op: 0 };
        for dep in deps {
            let change = self.changes.get(dep).ok_or(VoidReason::DepMissing)?;
            ancestry.max_op = ancestry.max_op.max(change.max_op);
            for seen in change.clock() {
                let seq = ancestry.clock.entry(seen.actor).or_insert(0);
                *seq = seen.seq.max(*seq);
            }
        }
        Ok(ancestry)
    }

    fn check_preds(&self, write: &Write, ancestry: &Ancestry) -> Result<(), VoidReason> {
        if write.replaces.is_empty() {
            return Ok(());
        }
        let record = self.kinds.get(&write.kind).map(|kind| RecordNumber { kind: *kind, id: id_bytes(&write.id) });
        for pred in &write.replaces {
            let position = self.position(pred).ok_or(VoidReason::PredUnknown)?;
            let version = self.versions.get(&position).ok_or(VoidReason::PredUnknown)?;
            if Some(version.record) != record {
                return Err(VoidReason::PredUnknown);
            }
            if ancestry.clock.get(&position.actor).is_none_or(|seq| *seq < version.seq) {
                return Err(VoidReason::PredNotAncestor);
            }
        }
        Ok(())
    }

    fn position(&self, op: &OpId) -> Option<Position> {
        let actor = self.actors.get(&op.actor)?.number;
        Some(Position { counter: u32::try_from(op.counter).ok()?, actor })
    }

    /// Takes a checked change into the index.
    fn merge(&mut self, prescan: &Prescan, ancestry: &Ancestry, writes: &[Write]) {
        let fresh = ActorEntry { number: number(self.actors.len()), last_seq: 0 };
        let entry = self.actors.entry(prescan.actor).or_insert(fresh);
        entry.last_seq += 1;
        let (actor, seq) = (entry.number, entry.last_seq);
        for write in writes {
            let kinds = number(self.kinds.len());
            let kind = match self.kinds.get(&write.kind) {
                Some(kind) => *kind,
                None => *self.kinds.entry(write.kind.clone()).or_insert(kinds),
            };
            let position = Position { counter: counter(write.op.counter), actor };
            let record = RecordNumber { kind, id: id_bytes(&write.id) };
            self.versions.insert(position, Version { record, seq });
        }
        let max_op = counter(prescan.max_op());
        self.max_op = self.max_op.max(max_op);
        for dep in &prescan.deps {
            self.heads.remove(dep);
        }
        self.heads.insert(prescan.hash);
        let others = self.others(prescan, ancestry, actor);
        self.changes.insert(prescan.hash, Admitted { actor, seq, max_op, others });
    }

    /// Returns the ancestry without the actor itself, the list of an own dependency where that is the same.
    fn others(&self, prescan: &Prescan, ancestry: &Ancestry, actor: u32) -> Arc<[Seen]> {
        let others =
            || ancestry.clock.iter().filter(|(number, _)| **number != actor).map(|(&actor, &seq)| Seen { actor, seq });
        let own = prescan.deps.iter().filter_map(|dep| self.changes.get(dep)).find(|change| change.actor == actor);
        match own {
            Some(change) if others().eq(change.others.iter().copied()) => Arc::clone(&change.others),
            _ => others().collect(),
        }
    }
}

impl Admitted {
    fn clock(&self) -> impl Iterator<Item = Seen> + '_ {
        self.others.iter().copied().chain(std::iter::once(Seen { actor: self.actor, seq: self.seq }))
    }

    fn has(&self, actor: u32, seq: u32) -> bool {
        self.clock().any(|seen| seen.actor == actor && seen.seq >= seq)
    }
}

/// Returns an operation counter in 32 bits.
fn counter(value: u64) -> u32 {
    u32::try_from(value).expect("a first counter is below 2^30 and a change has at most 2,048 operations")
}

/// Returns the next number of an interned name.
fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer actors and kinds than changes, fewer changes than counters")
}

/// Returns the characters of a record id the dialect has permitted.
fn id_bytes(id: &str) -> [u8; 10] {
    id.as_bytes().try_into().expect("a permitted record id has ten characters")
}
