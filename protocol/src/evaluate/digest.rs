//! The digests of spec 4.5.6, worked out when asked for and kept until the next change.

use std::sync::OnceLock;

use super::State;
use crate::body::encode_tip;
use crate::chain::{AuthorStatus, Chain};
use crate::codec::Writer;
use crate::ids::{AuthorId, Digest, Tip};
use crate::keys::tagged_hash;

/// Digests already worked out for the present set.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests {
    frontier: OnceLock<Digest>,
    held: OnceLock<Digest>,
    control: OnceLock<Digest>,
    state: OnceLock<Digest>,
}

/// A list of the canonical encoding holds at most this many items. Nothing that nodes exchange comes near it but what one
/// hostile nation says; a digest then covers the first of them, and nobody falls over it.
const LIST_MAX: usize = 65_535;

const FLAG_FORK: u8 = 1;
const FLAG_MISSING: u8 = 2;

impl State {
    /// Digest of the accepted tips.
    pub fn frontier(&self) -> Digest {
        *self.digests.frontier.get_or_init(|| {
            let tips: Vec<(AuthorId, Tip)> =
                self.chains().map(|chain| (chain.author(), chain.tip())).filter(|(_, tip)| *tip != Tip::NONE).collect();
            let mut out = Writer::new();
            out.list(tips.iter().take(LIST_MAX), |out, (author, tip)| {
                encode_author(out, author);
                encode_tip(out, tip);
            });
            tagged_hash("frontier", &out.into_bytes())
        })
    }

    /// Digest of everything held: the heads of all kept branches, how far their bodies are held, and the forks.
    pub fn held(&self) -> Digest {
        *self.digests.held.get_or_init(|| {
            let chains: Vec<&Chain> = self.chains().collect();
            let mut out = Writer::new();
            out.list(chains.iter().take(LIST_MAX), |out, chain| {
                encode_author(out, &chain.author());
                out.list(chain.heads().iter(), |out, head| {
                    encode_tip(out, &head.tip);
                    out.u64(head.bodies_to);
                });
                encode_fork(out, chain);
            });
            tagged_hash("held", &out.into_bytes())
        })
    }

    /// Digest of the control records kept.
    pub fn control(&self) -> Digest {
        *self.digests.control.get_or_init(|| {
            let ids: Vec<u8> = self.control_ids().flat_map(|id| *id.as_bytes()).collect();
            tagged_hash("control", &ids)
        })
    }

    /// The state digest, unless a document would have to be built for it: what nobody reads is not built because a peer says
    /// Hello.
    pub fn state_at_hand(&self) -> Option<Digest> {
        let built = self.sections.values().all(|section| section.get().is_some());
        (built || self.digests.state.get().is_some()).then(|| self.state())
    }

    /// Digest of what the evaluation found: charter, rosters, chains and documents.
    ///
    /// A roster's flags are one byte, 1 for a fork and 2 for a missing floor, with the fork's version behind it; an author's
    /// status is one byte, 1 Active, 2 Retired, 3 removed, 4 unlisted.
    pub fn state(&self) -> Digest {
        *self.digests.state.get_or_init(|| {
            let mut out = Writer::new();
            out.id(&self.charter_id());
            out.list(self.rosters.iter(), |out, (nation, roster)| {
                let (version, id) = roster.tip();
                let fork = if roster.fork.is_some() { FLAG_FORK } else { 0 };
                let missing = if roster.missing { FLAG_MISSING } else { 0 };
                out.id(nation).u64(version).id(&id).u8(fork | missing).u64(roster.fork.unwrap_or(0));
            });
            let chains: Vec<&Chain> = self.chains().collect();
            out.list(chains.iter().take(LIST_MAX), |out, chain| {
                encode_author(out, &chain.author());
                out.u8(match chain.status() {
                    AuthorStatus::Active => 1,
                    AuthorStatus::Retired { .. } => 2,
                    AuthorStatus::Removed { .. } => 3,
                    AuthorStatus::Unlisted => 4,
                });
                encode_tip(out, &chain.tip());
                encode_fork(out, chain);
            });
            out.list(self.sections.keys(), |out, nation| {
                let section = self.section(nation);
                out.id(nation).list(section.heads().take(LIST_MAX), |out, head| {
                    out.id(head);
                });
                let counts = section.counts();
                out.u64(counts.valid).u64(counts.void).u64(counts.waiting);
            });
            tagged_hash("state", &out.into_bytes())
        })
    }
}

fn encode_author(out: &mut Writer, author: &AuthorId) {
    out.id(&author.nation).id(&author.key);
}

fn encode_fork(out: &mut Writer, chain: &Chain) {
    out.opt(chain.fork(), |out, seq| {
        out.u64(seq);
    });
}
