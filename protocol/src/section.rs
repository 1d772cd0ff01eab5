//! Stratum 4, documents (spec 4.5.5): what a nation's accepted changes add up to, as rows, with a verdict for each.

use std::collections::{BTreeMap, BTreeSet};

use crate::body::{Body, ChangeBody};
use crate::chain::{Chain, Held};
use crate::compartment::PUBLIC;
use crate::guard::{self, Draft, DraftWrite, Guard, Prescan, VoidReason, prescan};
use crate::ids::{AuthorKey, ChangeHash, EnvelopeId};
use crate::rules::{Rule, Rules};
use crate::table::{Source, Table};
use crate::value::{Actor, OpId, Write};

mod document;

pub use document::Quarantined;

/// What an accepted envelope counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A change in the document.
    Valid,
    /// A witness or a key grant that decodes; it changes no document.
    NotAChange,
    /// A change that is not applied yet.
    Waiting(WaitingReason),
    /// A body that counts for nothing, whatever comes.
    Void(VoidReason),
    /// A change this replica cannot read.
    Sealed,
    /// A kind of a later version: carried, without effect.
    UnknownKind,
}

/// What a change waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitingReason {
    /// Its own body is not held.
    BodyMissing,
    /// A body below it in its chain is not held.
    EarlierBodyMissing,
    /// A change it builds on is in no accepted envelope held.
    DepMissing,
    /// A change it builds on waits itself.
    DepWaiting,
    /// A change it builds on is void.
    DepVoid,
}

impl WaitingReason {
    /// Every reason.
    pub const ALL: &[Self] =
        &[Self::BodyMissing, Self::EarlierBodyMissing, Self::DepMissing, Self::DepWaiting, Self::DepVoid];

    /// Returns the stable name of the reason.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BodyMissing => "body_missing",
            Self::EarlierBodyMissing => "earlier_body_missing",
            Self::DepMissing => "dep_missing",
            Self::DepWaiting => "dep_waiting",
            Self::DepVoid => "dep_void",
        }
    }

    /// Returns the reason as a sentence for people.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::BodyMissing => "its body has not arrived",
            Self::EarlierBodyMissing => "the body of an earlier envelope of its author has not arrived",
            Self::DepMissing => "it builds on a change that stands in no accepted envelope held",
            Self::DepWaiting => "it builds on a change that waits itself",
            Self::DepVoid => "it builds on a change that is void",
        }
    }
}

impl Verdict {
    /// Returns the stable name of the verdict.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::NotAChange => "not_a_change",
            Self::Waiting(_) => "waiting",
            Self::Void(_) => "void",
            Self::Sealed => "sealed",
            Self::UnknownKind => "unknown_kind",
        }
    }

    /// Returns the stable name of the reason, where the verdict has one.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Waiting(reason) => Some(reason.code()),
            Self::Void(reason) => Some(reason.code()),
            Self::Valid | Self::NotAChange | Self::Sealed | Self::UnknownKind => None,
        }
    }
}

/// How many accepted envelopes of a nation have which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes in the document.
    pub valid: u64,
    /// Bodies that count for nothing.
    pub void: u64,
    /// Changes waiting for another; those above a missing body are not among them.
    pub waiting: u64,
    /// Changes of compartments this replica does not read.
    pub sealed: u64,
    /// Witness and key grant bodies.
    pub not_a_change: u64,
    /// Bodies of a kind this version does not know.
    pub unknown_kind: u64,
}

/// One nation's public document (compartment 0).
#[derive(Clone, Debug, Default)]
pub struct Section {
    rules: Rules,
    guard: Guard,
    table: Table,
    authors: BTreeMap<AuthorKey, Log>,
    pending: BTreeMap<ChangeHash, Pending>,
    /// Waiting changes by a dependency they lack.
    waits: BTreeMap<ChangeHash, BTreeSet<ChangeHash>>,
    void: BTreeSet<ChangeHash>,
    counts: Counts,
}

/// What has been read of one author's accepted path.
#[derive(Clone, Debug, Default)]
struct Log {
    marks: Vec<Mark>,
    generation: Option<u32>,
    seq: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Valid,
    NotAChange,
    Waiting,
    Void(VoidReason),
    Sealed,
    UnknownKind,
}

/// What reading on brought.
#[derive(Debug, Default)]
pub(crate) struct ReadOn {
    /// Whether anything was read.
    pub(crate) any: bool,
    /// The envelopes whose changes entered the document, with their authors.
    pub(crate) valid: Vec<(AuthorKey, EnvelopeId)>,
}

/// A change whose own form is right.
#[derive(Clone, Debug)]
struct Pending {
    source: Source,
    prescan: Prescan,
    change: Vec<u8>,
    lacking: usize,
}

impl Section {
    /// Starts with nothing read.
    pub(crate) fn under(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The rows of the document.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// How many envelopes have which verdict.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the changes no other builds on, ascending.
    pub fn heads(&self) -> impl ExactSizeIterator<Item = &ChangeHash> {
        self.guard.heads()
    }

    /// Returns how far an author's accepted path has been read.
    pub fn read_to(&self, author: &AuthorKey) -> u64 {
        self.authors.get(author).map_or(0, |log| log.marks.len() as u64)
    }

    /// Returns the surviving versions of a record, ascending: what a revision replaces.
    pub fn replaces(&self, kind: &str, id: &str) -> Vec<OpId> {
        self.table.record(kind, id).map_or_else(Vec::new, |record| record.surviving().map(|(op, _)| *op).collect())
    }

    /// Returns the draft of `author`'s next change, building on the whole document (D12).
    ///
    /// An author whose last change of its generation is not in the document opens the next generation.
    pub fn draft(&self, author: &AuthorKey, time_ms: u64, writes: Vec<DraftWrite>) -> Draft {
        let generation = match self.authors.get(author) {
            None => 0,
            Some(log) => match log.generation {
                None => 0,
                Some(last) if self.guard.next_seq(&Actor::new(author, last)) == log.seq + 1 => last,
                Some(last) => last.saturating_add(1),
            },
        };
        self.guard.draft(Actor::new(author, generation), time_ms, writes)
    }

    /// Returns the verdict on the envelope at a position of an author's accepted path, if it was read.
    pub(crate) fn verdict(&self, author: &AuthorKey, held: &Held) -> Option<Verdict> {
        let at = usize::try_from(held.seq().checked_sub(1)?).ok()?;
        let mark = self.authors.get(author)?.marks.get(at)?;
        Some(match mark {
            Mark::Valid => Verdict::Valid,
            Mark::Void(reason) => Verdict::Void(*reason),
            Mark::Sealed => Verdict::Sealed,
            Mark::UnknownKind => Verdict::UnknownKind,
            Mark::NotAChange => Verdict::NotAChange,
            Mark::Waiting => Verdict::Waiting(self.waiting_reason(&self.lacking(author, held))),
        })
    }

    /// Returns the changes that a change builds on and that are not in the document, ascending.
    pub fn lacking(&self, author: &AuthorKey, held: &Held) -> Vec<ChangeHash> {
        let change = held.body().and_then(|body| clear_change(held.kind(), body));
        let deps = change.and_then(|change| prescan(author, &change).ok()).map_or_else(Vec::new, |change| change.deps);
        deps.into_iter().filter(|dep| !self.guard.contains(dep)).collect()
    }

    fn waiting_reason(&self, lacking: &[ChangeHash]) -> WaitingReason {
        // What can never come outweighs what may, and what is nowhere outweighs what is only delayed.
        if lacking.iter().any(|dep| self.void.contains(dep) && !self.pending.contains_key(dep)) {
            WaitingReason::DepVoid
        } else if lacking.iter().any(|dep| !self.pending.contains_key(dep)) {
            WaitingReason::DepMissing
        } else {
            WaitingReason::DepWaiting
        }
    }

    /// Reads what the accepted path of `chain` has beyond what was read, as far as bodies are held.
    pub(crate) fn read_chain(&mut self, chain: &Chain) -> ReadOn {
        let author = chain.author().key;
        let mut read = ReadOn::default();
        for seq in self.read_to(&author) + 1..=chain.bodies_to() {
            let Some((held, body)) = chain.accepted(seq).and_then(|held| Some((held, held.body()?))) else { break };
            read.valid.extend(self.read(&author, held, body));
            read.any = true;
        }
        read
    }

    /// Reads the next envelope of an author's accepted path; returns the envelopes that became valid by it.
    fn read(&mut self, author: &AuthorKey, held: &Held, body: &[u8]) -> Vec<(AuthorKey, EnvelopeId)> {
        let mark = match Body::decode(held.kind(), body) {
            Err(_) => Mark::Void(VoidReason::Malformed),
            Ok(Body::Unknown(_)) => Mark::UnknownKind,
            Ok(Body::Witness(_) | Body::KeyGrant(_)) => Mark::NotAChange,
            Ok(Body::Change(ChangeBody::Encrypted { .. })) => Mark::Sealed,
            Ok(Body::Change(ChangeBody::Clear { compartment, change })) if compartment == PUBLIC => {
                return self.read_change(author, held, change);
            }
            // Other compartments are carried and counted.
            Ok(Body::Change(ChangeBody::Clear { .. })) => Mark::Sealed,
        };
        self.mark_next(author, mark);
        Vec::new()
    }

    fn read_change(&mut self, author: &AuthorKey, held: &Held, change: Vec<u8>) -> Vec<(AuthorKey, EnvelopeId)> {
        let prescan = match prescan(author, &change) {
            Ok(prescan) => prescan,
            Err(reason) => {
                self.mark_next(author, Mark::Void(reason));
                return Vec::new();
            }
        };
        if let Err(reason) = self.follow(author, &prescan) {
            self.void.insert(prescan.hash);
            self.mark_next(author, Mark::Void(reason));
            return Vec::new();
        }
        let source = Source { envelope: held.id(), author: *author, seq: held.seq(), time_ms: held.time_ms() };
        let lacking: Vec<ChangeHash> = prescan.deps.iter().filter(|dep| !self.guard.contains(dep)).copied().collect();
        self.mark_next(author, Mark::Waiting);
        let pending = Pending { source, prescan, change, lacking: lacking.len() };
        if lacking.is_empty() {
            return self.admit(pending);
        }
        for dep in lacking {
            self.waits.entry(dep).or_default().insert(pending.prescan.hash);
        }
        self.pending.insert(pending.prescan.hash, pending);
        Vec::new()
    }

    /// Checks generation and sequence number against the author's earlier changes (F17), and moves on to this one.
    fn follow(&mut self, author: &AuthorKey, prescan: &Prescan) -> Result<(), VoidReason> {
        let log = self.authors.entry(*author).or_default();
        let generation = prescan.actor.generation();
        if log.generation.is_some_and(|last| generation < last) {
            return Err(VoidReason::GenerationDecreases);
        }
        let expected = if log.generation == Some(generation) { log.seq + 1 } else { 1 };
        if prescan.seq != expected {
            return Err(VoidReason::SeqNotConsecutive);
        }
        log.generation = Some(generation);
        log.seq = prescan.seq;
        Ok(())
    }

    /// Admits a change whose dependencies are all in the document, and then those that waited for it.
    fn admit(&mut self, first: Pending) -> Vec<(AuthorKey, EnvelopeId)> {
        let mut valid = Vec::new();
        let mut ready = vec![first];
        while let Some(pending) = ready.pop() {
            let hash = pending.prescan.hash;
            match self.judge(&pending) {
                Err(reason) => {
                    self.settle(&pending.source, Mark::Void(reason));
                    self.void.insert(hash);
                }
                Ok(writes) => {
                    for write in writes {
                        self.table.apply(write, pending.source);
                    }
                    self.settle(&pending.source, Mark::Valid);
                    valid.push((pending.source.author, pending.source.envelope));
                    for waiting in self.waits.remove(&hash).unwrap_or_default() {
                        let now_ready = self.pending.get_mut(&waiting).is_some_and(|pending| {
                            pending.lacking -= 1;
                            pending.lacking == 0
                        });
                        if now_ready {
                            ready.extend(self.pending.remove(&waiting));
                        }
                    }
                }
            }
        }
        valid
    }

    /// Returns what a change writes if the guard admits it, or if that rule is broken on purpose and it can be read at all.
    fn judge(&mut self, pending: &Pending) -> Result<Vec<Write>, VoidReason> {
        let Pending { source, prescan, change, .. } = pending;
        self.guard.admit(prescan, change).or_else(|reason| match self.rules.keeps(Rule::GuardChanges) {
            true => Err(reason),
            false => guard::writes(&source.author, change),
        })
    }

    fn mark_next(&mut self, author: &AuthorKey, mark: Mark) {
        self.authors.entry(*author).or_default().marks.push(mark);
        *self.count(mark) += 1;
    }

    fn settle(&mut self, source: &Source, mark: Mark) {
        self.counts.waiting -= 1;
        *self.count(mark) += 1;
        let at = usize::try_from(source.seq - 1).expect("a position in memory");
        if let Some(slot) = self.authors.get_mut(&source.author).and_then(|log| log.marks.get_mut(at)) {
            *slot = mark;
        }
    }

    fn count(&mut self, mark: Mark) -> &mut u64 {
        match mark {
            Mark::Valid => &mut self.counts.valid,
            Mark::NotAChange => &mut self.counts.not_a_change,
            Mark::Waiting => &mut self.counts.waiting,
            Mark::Void(_) => &mut self.counts.void,
            Mark::Sealed => &mut self.counts.sealed,
            Mark::UnknownKind => &mut self.counts.unknown_kind,
        }
    }
}

/// Returns the hash of the change that an envelope carries for the public document, if its bytes are those of one.
pub(crate) fn carried_change(author: &AuthorKey, held: &Held) -> Option<ChangeHash> {
    Some(carried(author, held)?.0.hash)
}

/// Returns the change that an envelope carries for the public document with what it says of itself, if its bytes are those
/// of one.
pub(crate) fn carried(author: &AuthorKey, held: &Held) -> Option<(Prescan, Vec<u8>)> {
    let change = clear_change(held.kind(), held.body()?)?;
    Some((prescan(author, &change).ok()?, change))
}

/// Returns the change of a clear compartment-0 body.
fn clear_change(kind: u16, body: &[u8]) -> Option<Vec<u8>> {
    match Body::decode(kind, body) {
        Ok(Body::Change(ChangeBody::Clear { compartment: PUBLIC, change })) => Some(change),
        Ok(_) | Err(_) => None,
    }
}
