//! What is held of a forked chain and not kept (spec 4.12): it waits in memory, unsaved, in case something that comes later
//! makes it kept.
//!
//! An acknowledgement may name a branch that is not here, and stand on a branch of the witness's own chain that is kept only
//! because of it. Forgetting either at once would keep the other from ever counting. What peers make up is bounded by headers
//! and bytes, and never reaches the disk.

use std::collections::{BTreeMap, BTreeSet};

use super::{Replica, op_envelope};
use crate::effect::SaveOp;
use crate::ids::{AuthorId, EnvelopeId};
use crate::limits::{HEADERS_UNKEPT_MAX, UNKEPT_BYTES_MAX};

/// Saves held back, by author and envelope.
#[derive(Debug, Default)]
pub(super) struct Limbo {
    waiting: BTreeMap<AuthorId, BTreeMap<EnvelopeId, Vec<SaveOp>>>,
}

impl Limbo {
    fn author_of(&self, op: &SaveOp) -> Option<AuthorId> {
        if let SaveOp::Header(header) = op {
            return Some(header.header().author_id());
        }
        let id = op_envelope(op)?;
        self.waiting.iter().find(|(_, waiting)| waiting.contains_key(&id)).map(|(author, _)| *author)
    }
}

impl Replica {
    /// Takes out of `ops` what is not kept, and adds what was held back and is kept now. Of a chain that holds too much that is
    /// not kept everything of that is forgotten.
    pub(super) fn hold_back_unkept(&mut self, ops: &mut Vec<SaveOp>) {
        let mut fresh: BTreeMap<AuthorId, BTreeSet<EnvelopeId>> = BTreeMap::new();
        for op in ops.iter() {
            if let (Some(author), Some(id)) = (self.limbo.author_of(op), op_envelope(op)) {
                fresh.entry(author).or_default().insert(id);
            }
        }
        let mut unkept: BTreeMap<EnvelopeId, AuthorId> = BTreeMap::new();
        for (author, ids) in fresh {
            let of_it = self.state.chain(&author).map_or_else(BTreeSet::new, |chain| chain.unkept_of(ids));
            unkept.extend(of_it.into_iter().map(|id| (id, author)));
        }
        for op in std::mem::take(ops) {
            match op_envelope(&op).and_then(|id| Some((id, *unkept.get(&id)?))) {
                Some((id, author)) => self.limbo.waiting.entry(author).or_default().entry(id).or_default().push(op),
                None => ops.push(op),
            }
        }
        for author in self.limbo.waiting.keys().copied().collect::<Vec<_>>() {
            self.save_what_is_kept_now(&author, ops);
            self.bound_unkept(&author);
        }
    }

    fn save_what_is_kept_now(&mut self, author: &AuthorId, ops: &mut Vec<SaveOp>) {
        let (Some(chain), Some(waiting)) = (self.state.chain(author), self.limbo.waiting.get_mut(author)) else {
            return;
        };
        let unkept = chain.unkept_of(waiting.keys().copied());
        let kept = waiting.keys().filter(|id| !unkept.contains(id)).filter_map(|id| Some(chain.get(id)?.tip()));
        let mut kept: Vec<_> = kept.collect();
        kept.sort_unstable();
        let mut now: Vec<SaveOp> = kept.iter().filter_map(|tip| waiting.remove(&tip.id)).flatten().collect();
        now.append(ops);
        *ops = now;
        waiting.retain(|id, _| chain.get(id).is_some());
        if waiting.is_empty() {
            self.limbo.waiting.remove(author);
        }
    }

    fn bound_unkept(&mut self, author: &AuthorId) {
        let Some(waiting) = self.limbo.waiting.get(author) else { return };
        let bytes: usize = waiting.values().flatten().map(op_bytes).sum();
        if waiting.len() <= HEADERS_UNKEPT_MAX && bytes <= UNKEPT_BYTES_MAX {
            return;
        }
        self.limbo.waiting.remove(author);
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
