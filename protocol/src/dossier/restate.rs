//! Re-stating (spec 4.5.4, D12): what a cut left waiting, as writes to be made anew under a key that may speak.
//!
//! A change that builds on a disavowed one waits for ever. What it said is still readable, so its nation can say it again in a
//! change of its own that builds on the document as it stands. Nothing is re-stated that may yet come to count by itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::{EnvelopeStanding, Held};
use crate::evaluate::{Placed, State};
use crate::guard::{self, DraftWrite, Prescan};
use crate::ids::{AuthorKey, ChangeHash, EnvelopeId, NationId};
use crate::section::{Verdict, carried};
use crate::table::{Record, Table};
use crate::value::{OpId, Write};

/// One envelope's writes, to be made anew in one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restatement {
    /// The envelope that said it first.
    pub envelope: Placed,
    /// What is written: kind, id and fields as they were, replacing what they replaced as far as that counts.
    pub writes: Vec<DraftWrite>,
}

/// A write that is not made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The envelope that said it.
    pub envelope: Placed,
    /// Kind and id of the record.
    pub record: (String, String),
    /// Why it is left.
    pub why: Unsaid,
}

/// Why a write is not made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsaid {
    /// The record says it already.
    Restated,
    /// Another write that is made anew revises it.
    Revised,
    /// The record says something newer that does not build on it.
    NewerSaid,
    /// What it builds on is suspended: its nation has to retire the forked key first.
    Suspended,
    /// What it builds on is not held: it may still come.
    NotHeld,
}

impl Unsaid {
    /// Returns the stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Restated => "restated",
            Self::Revised => "revised",
            Self::NewerSaid => "newer_said",
            Self::Suspended => "suspended",
            Self::NotHeld => "not_held",
        }
    }

    /// Returns the reason as a sentence for people.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Restated => "the record says it already",
            Self::Revised => "a later version, which is stated again, revises it",
            Self::NewerSaid => "the record says something newer",
            Self::Suspended => "what it builds on is suspended; retire the forked key first",
            Self::NotHeld => "what it builds on is not held; it may still come",
        }
    }
}

/// What is to be written, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restating {
    /// Each to be written as one change, in this order.
    pub writes: Vec<Restatement>,
    /// What is left, in the order of the envelopes.
    pub kept: Vec<Kept>,
}

/// What a change that does not count lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    /// Something that is not held.
    NotHeld,
    /// Something suspended.
    Suspended,
    /// Something that can never count: disavowed, or void.
    Gone,
}

/// A change of the nation that does not count.
struct Uncounted<'a> {
    author: AuthorKey,
    placed: Placed,
    held: &'a Held,
    change: Prescan,
    /// It is accepted and waits.
    waits: bool,
    writes: Vec<Write>,
}

/// All of a nation that bears on what is said anew.
struct Said<'a> {
    table: &'a Table,
    uncounted: Vec<Uncounted<'a>>,
    /// What each write of an uncounted change replaces.
    replaces: BTreeMap<OpId, Vec<OpId>>,
}

/// Returns what a nation has to say anew: the changes that wait for what can never count, and those of `also`, which are
/// uncounted for whatever reason and which the nation wants to stand by.
///
/// Kind, id and fields are as they were. A version replaces what it replaced, directly or through versions that do not count,
/// as far as that still stands; of several versions of one record only the last is written. What the record says already, or
/// has said differently since, is left. Looks through all the nation has said.
pub fn restatements(state: &State, nation: &NationId, also: &[EnvelopeId]) -> Restating {
    let also: BTreeSet<EnvelopeId> = also.iter().copied().collect();
    let (said, lacks) = Said::of(state, nation);
    let mut restating = Restating::default();
    let mut chosen: Vec<&Uncounted<'_>> = Vec::new();
    for change in &said.uncounted {
        let lack = lacks.get(&change.change.hash).copied();
        let why = match lack {
            _ if also.contains(&change.held.id()) => None,
            _ if !change.waits => continue,
            Some(Lack::Gone) => None,
            Some(Lack::Suspended) => Some(Unsaid::Suspended),
            Some(Lack::NotHeld) | None => Some(Unsaid::NotHeld),
        };
        match why {
            None => chosen.push(change),
            Some(why) => restating.kept.extend(change.writes.iter().map(|write| kept(change, write, why))),
        }
    }
    let revised: BTreeSet<OpId> =
        chosen.iter().flat_map(|change| &change.writes).flat_map(|write| said.uncounted_below(write)).collect();
    for change in chosen {
        let mut writes = Vec::new();
        for write in &change.writes {
            if revised.contains(&write.op) {
                restating.kept.push(kept(change, write, Unsaid::Revised));
                continue;
            }
            match said.anew(change.held, write) {
                Ok(draft) => writes.push(draft),
                Err(why) => restating.kept.push(kept(change, write, why)),
            }
        }
        if !writes.is_empty() {
            restating.writes.push(Restatement { envelope: change.placed, writes });
        }
    }
    restating
}

/// Returns what an envelope writes, whatever it counts for; nothing where its body is missing or no readable change.
pub fn said_by(author: &AuthorKey, held: &Held) -> Vec<Write> {
    carried(author, held).and_then(|(_, bytes)| guard::writes(author, &bytes).ok()).unwrap_or_default()
}

fn kept(change: &Uncounted<'_>, write: &Write, why: Unsaid) -> Kept {
    Kept { envelope: change.placed, record: (write.kind.clone(), write.id.clone()), why }
}

impl<'a> Said<'a> {
    fn of(state: &'a State, nation: &NationId) -> (Self, BTreeMap<ChangeHash, Lack>) {
        let mut valid: BTreeSet<ChangeHash> = BTreeSet::new();
        let mut lacks: BTreeMap<ChangeHash, Lack> = BTreeMap::new();
        let mut uncounted: Vec<Uncounted<'a>> = Vec::new();
        for chain in state.chains_of(nation) {
            let author = chain.author();
            for held in chain.iter() {
                let Some((change, bytes)) = carried(&author.key, held) else { continue };
                let view = state.view_of(chain, held);
                let (waits, lack) = match (view.standing, view.verdict) {
                    (_, Some(Verdict::Valid)) => {
                        valid.insert(change.hash);
                        continue;
                    }
                    (_, Some(Verdict::Waiting(_))) => (true, None),
                    (EnvelopeStanding::Suspended, _) => (false, Some(Lack::Suspended)),
                    (EnvelopeStanding::Unlinked, _) => continue,
                    (EnvelopeStanding::Accepted | EnvelopeStanding::Disavowed | EnvelopeStanding::PostRemoval, _) => {
                        (false, Some(Lack::Gone))
                    }
                };
                // Of two envelopes with one change the one that may still count decides.
                if let Some(lack) = lack {
                    lacks.entry(change.hash).and_modify(|known| *known = lack.min(*known)).or_insert(lack);
                }
                let placed = Placed { author, tip: held.tip() };
                let writes = guard::writes(&author.key, &bytes).unwrap_or_default();
                uncounted.push(Uncounted { author: author.key, placed, held, change, waits, writes });
            }
        }
        lacks.retain(|change, _| !valid.contains(change));
        uncounted.retain(|change| !valid.contains(&change.change.hash));
        uncounted.sort_unstable_by_key(|change| (change.change.start_op, change.change.hash, change.author));
        for change in uncounted.iter().filter(|change| change.waits) {
            let lacking = change.change.deps.iter().filter(|dep| !valid.contains(dep));
            let lack = lacking.map(|dep| lacks.get(dep).copied().unwrap_or(Lack::NotHeld)).max();
            lacks.insert(change.change.hash, lack.unwrap_or(Lack::NotHeld));
        }
        let writes = uncounted.iter().flat_map(|change| &change.writes);
        let replaces = writes.map(|write| (write.op, write.replaces.clone())).collect();
        (Self { table: state.section(nation).table(), uncounted, replaces }, lacks)
    }

    /// Returns the uncounted versions that a write replaces, directly or not.
    fn uncounted_below(&self, write: &Write) -> BTreeSet<OpId> {
        let mut below = BTreeSet::new();
        let mut next = write.replaces.clone();
        while let Some(op) = next.pop() {
            if let Some(replaces) = self.replaces.get(&op)
                && below.insert(op)
            {
                next.extend(replaces);
            }
        }
        below
    }

    /// Returns a write as it is made anew, or why it is not.
    fn anew(&self, held: &Held, write: &Write) -> Result<DraftWrite, Unsaid> {
        let mut replaces = Vec::new();
        if let Some(record) = self.table.record(&write.kind, &write.id) {
            let below = self.counted_below(record, write);
            let beside = || record.versions.iter().filter(|(op, _)| !below.contains(op));
            if beside().any(|(_, version)| version.fields == write.fields) {
                return Err(Unsaid::Restated);
            }
            if beside().any(|(_, version)| !version.replaced && version.source.time_ms > held.time_ms()) {
                return Err(Unsaid::NewerSaid);
            }
            replaces.extend(record.surviving().map(|(op, _)| *op).filter(|op| below.contains(op)));
        }
        Ok(DraftWrite { kind: write.kind.clone(), id: write.id.clone(), replaces, fields: write.fields.clone() })
    }

    /// Returns the counted versions that a write replaces, directly or through others.
    fn counted_below(&self, record: &Record, write: &Write) -> BTreeSet<OpId> {
        let mut below = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut next = write.replaces.clone();
        while let Some(op) = next.pop() {
            if !seen.insert(op) {
                continue;
            }
            if let Some(version) = record.versions.get(&op) {
                below.insert(op);
                next.extend(&version.replaces);
            } else if let Some(replaces) = self.replaces.get(&op) {
                next.extend(replaces);
            }
        }
        below
    }
}
