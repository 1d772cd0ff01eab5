//! Packing: a stretch of a chain that is held becomes a run (spec 4.13.1).

use std::sync::Arc;

use crate::chain::{Chain, Held};
use crate::limits::{RUN_BYTES_MAX, RUN_ITEMS_MAX};
use crate::message::run::{RUN_HEAD_BYTES, Run, RunBody, RunItem};

/// Which signatures a run carries beside that of its last item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// Those of signature points: what attestation needs.
    Sparse,
    /// Every one that is held.
    AllSignatures,
}

/// Returns how many of these headers fit one run that ends with a signed one; 0 if none does.
pub fn run_length(path: &[&Held], packed: Packed) -> usize {
    let mut bytes = RUN_HEAD_BYTES;
    let mut fits = 0;
    for (at, held) in path.iter().enumerate() {
        bytes += item(held, packed).bytes();
        if bytes > RUN_BYTES_MAX || at == RUN_ITEMS_MAX {
            break;
        }
        if held.signature().is_some() {
            fits = at + 1;
        }
    }
    fits
}

/// Packs these consecutive headers of one branch with the bodies held; `None` if there are none or the last is not signed.
pub fn pack(chain: &Chain, path: &[&Held], packed: Packed) -> Option<Run> {
    let (first, last) = (path.first()?, path.last()?);
    let mut items: Vec<RunItem> = path.iter().map(|held| item(held, packed)).collect();
    items.last_mut()?.signature = None;
    Some(Run {
        author: chain.author(),
        first_seq: first.seq(),
        first_prev: first.prev(),
        items,
        signature: *last.signature()?,
    })
}

fn item(held: &Held, packed: Packed) -> RunItem {
    RunItem {
        time_ms: held.time_ms(),
        kind: held.kind(),
        body: match held.body() {
            Some(body) => RunBody::Held(Arc::clone(body)),
            None => RunBody::Missing { hash: held.body_hash(), len: held.body_len() },
        },
        signature: held.signature().copied().filter(|_| packed == Packed::AllSignatures || held.signature_point()),
    }
}
