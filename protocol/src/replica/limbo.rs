//! What is held of a forked chain and not kept (spec 4.12): it waits in memory, unsaved, in case something that comes later
//! makes it kept.
//!
//! An acknowledgement may name a branch that is not here, and stand on a branch of the witness's own chain that is kept only
//! because of it. Forgetting either at once would keep the other from ever counting. What peers make up is bounded by headers
//! and bytes, of one author and of all, and never reaches the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Replica, op_envelope};
use crate::chain::{Chain, Held};
use crate::effect::SaveOp;
use crate::ids::{AuthorId, EnvelopeId, Tip};
use crate::limits::{HEADERS_UNKEPT_IN_ALL_MAX, HEADERS_UNKEPT_MAX, UNKEPT_BYTES_IN_ALL_MAX, UNKEPT_BYTES_MAX};

/// Saves held back.
#[derive(Debug, Default)]
pub(super) struct Limbo {
    waiting: BTreeMap<AuthorId, Waiting>,
    authors: BTreeMap<EnvelopeId, AuthorId>,
}

/// Saves held back of one author's chain.
#[derive(Debug, Default)]
struct Waiting {
    saves: BTreeMap<EnvelopeId, Vec<SaveOp>>,
    /// Bytes of the bodies among them.
    bytes: usize,
    /// What the chain kept when it was last looked through: only another one may keep more of this.
    seen: Arc<BTreeSet<u32>>,
}

impl Limbo {
    fn hold(&mut self, author: AuthorId, id: EnvelopeId, op: SaveOp) {
        let waiting = self.waiting.entry(author).or_default();
        waiting.bytes += op_bytes(&op);
        waiting.saves.entry(id).or_default().push(op);
        self.authors.insert(id, author);
    }

    fn forget(&mut self, author: &AuthorId) {
        for id in self.waiting.remove(author).into_iter().flat_map(|waiting| waiting.saves.into_keys()) {
            self.authors.remove(&id);
        }
    }

    fn bytes_of(&self, author: &AuthorId) -> usize {
        self.waiting.get(author).map_or(0, |waiting| waiting.bytes)
    }
}

impl Waiting {
    /// Takes out what `chain` keeps now, ascending by position.
    fn take_kept(&mut self, chain: &Chain) -> Vec<(EnvelopeId, Vec<SaveOp>)> {
        if Arc::ptr_eq(&self.seen, chain.kept_now()) {
            return Vec::new();
        }
        self.seen = Arc::clone(chain.kept_now());
        let held = self.saves.keys().filter_map(|id| chain.get(id));
        let mut kept: Vec<Tip> = held.filter(|held| chain.keeps(held)).map(Held::tip).collect();
        kept.sort_unstable();
        let taken: Vec<(EnvelopeId, Vec<SaveOp>)> =
            kept.into_iter().filter_map(|tip| Some((tip.id, self.saves.remove(&tip.id)?))).collect();
        self.bytes -= taken.iter().flat_map(|(_, ops)| ops).map(op_bytes).sum::<usize>();
        taken
    }
}

impl Replica {
    /// Takes out of `ops`, all of which the state has taken in, what is not kept, and adds what was held back and is kept now.
    /// A chain that holds too much that is not kept forgets all of that.
    ///
    /// It costs what `ops` and the changed chains cost, not what waits.
    pub(super) fn hold_back_unkept(&mut self, ops: Vec<SaveOp>) -> Vec<SaveOp> {
        let mut fresh = Vec::with_capacity(ops.len());
        for op in ops {
            match self.not_kept(&op) {
                Some((author, id)) => self.limbo.hold(author, id, op),
                None => fresh.push(op),
            }
        }
        let mut saves = self.release();
        saves.append(&mut fresh);
        self.bound_unkept();
        saves
    }

    /// The author and the envelope of a save that is not for the disk yet.
    fn not_kept(&self, op: &SaveOp) -> Option<(AuthorId, EnvelopeId)> {
        let id = op_envelope(op)?;
        let SaveOp::Header(header) = op else { return Some((*self.limbo.authors.get(&id)?, id)) };
        let author = header.header().author_id();
        let chain = self.state.chain(&author)?;
        chain.get(&id).filter(|held| !chain.keeps(held)).map(|_| (author, id))
    }

    /// Returns what was held back and is kept now.
    fn release(&mut self) -> Vec<SaveOp> {
        let mut saves = Vec::new();
        for (author, waiting) in &mut self.limbo.waiting {
            let Some(chain) = self.state.chain(author) else { continue };
            for (id, ops) in waiting.take_kept(chain) {
                self.limbo.authors.remove(&id);
                saves.extend(ops);
            }
        }
        self.limbo.waiting.retain(|_, waiting| !waiting.saves.is_empty());
        saves
    }

    /// Forgets what is not kept of each chain that holds too much of it, and then of those that hold the most, until all
    /// together hold no more than is allowed.
    pub(super) fn bound_unkept(&mut self) {
        let of = |chain: &Chain| (chain.unkept(), self.limbo.bytes_of(&chain.author()), chain.author());
        let mut all: Vec<(usize, usize, AuthorId)> =
            self.state.chains().filter(|chain| chain.fork().is_some()).map(of).filter(|of| of.0 > 0).collect();
        // Counted in shares of what one may hold, so that neither many headers nor long bodies go first.
        let share =
            |of: &(usize, usize, AuthorId)| (of.0 * 1_024 / HEADERS_UNKEPT_MAX).max(of.1 * 1_024 / UNKEPT_BYTES_MAX);
        all.sort_by_key(|of| (share(of), of.2));
        let (mut headers, mut bytes) = all.iter().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        while let Some((of_headers, of_bytes, author)) = all.pop() {
            let alone = of_headers > HEADERS_UNKEPT_MAX || of_bytes > UNKEPT_BYTES_MAX;
            if !alone && headers <= HEADERS_UNKEPT_IN_ALL_MAX && bytes <= UNKEPT_BYTES_IN_ALL_MAX {
                return;
            }
            (headers, bytes) = (headers - of_headers, bytes - of_bytes);
            self.forget_unkept(&author);
        }
    }

    /// Forgets what a forked chain holds beyond what every store keeps. What of it was kept once stays on the disk: evidence
    /// is never deleted there.
    fn forget_unkept(&mut self, author: &AuthorId) {
        self.limbo.forget(author);
        self.state.forget_unkept_headers(author);
        self.history.stale();
        // Whoever shows so much is not asked for it over and over.
        if let Some(fetch) = self.fetching.get_mut(author) {
            fetch.futile = true;
        }
    }
}

fn op_bytes(op: &SaveOp) -> usize {
    match op {
        SaveOp::Body { bytes, .. } => bytes.len(),
        SaveOp::Header(_)
        | SaveOp::Control(_)
        | SaveOp::Signature { .. }
        | SaveOp::Remember(_)
        | SaveOp::Anchor(_)
        | SaveOp::Halt { .. }
        | SaveOp::Release { .. } => 0,
    }
}
