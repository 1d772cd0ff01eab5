//! What goes into a stream, settled at one moment, so that it can be packed piece by piece while the node goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Digests;
use crate::body::{Body, KIND_WITNESS};
use crate::chain::{AuthorStatus, Chain, Head, Held};
use crate::control::VerifiedControl;
use crate::evaluate::State;
use crate::frontier::FrontierEntry;
use crate::ids::{AllianceId, AuthorId, CharterId, EnvelopeId, NationId, Tip};
use crate::limits::RUN_ITEMS_MAX;
use crate::message::pack::{Packed, pack, run_length};
use crate::message::run::{Run, RunBody};

/// What a stream is to hold.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Everything.
    All,
    /// What a node that showed this frontier lacks.
    Since(Vec<FrontierEntry>),
    /// What a nation's witness does not acknowledge.
    Nation(NationId),
    /// No chain: the sender's frontier alone.
    Nothing,
}

/// One branch, or the upper part of one, that is still to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The author.
    pub author: AuthorId,
    /// Its last header.
    pub head: Tip,
    /// The position it starts at.
    pub from: u64,
}

/// What a stream will hold; later records are not in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The control records kept, in the order of a ControlReply.
    pub control: Vec<Arc<VerifiedControl>>,
    /// What is held of every chain.
    pub frontier: Vec<FrontierEntry>,
    /// The chains' parts, ascending by author.
    pub stretches: Vec<Stretch>,
    /// What the evaluation gives.
    pub digests: Digests,
    /// Where it starts, if that is not the founding.
    pub anchor: Option<(u32, CharterId)>,
    /// Bodies that were not held when the plan was made; they are left out even if they came since, for the digests do not
    /// cover them.
    pub missing: BTreeSet<EnvelopeId>,
}

/// What another node has of one chain, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Sparing {
    heads: Vec<Head>,
    fork: bool,
}

impl Plan {
    /// Settles what a stream of `wanted` holds.
    pub fn of(state: &State, wanted: &Wanted) -> Self {
        let chains = || state.chains().filter(|chain| !chain.is_empty());
        let spared: BTreeMap<AuthorId, Sparing> = match wanted {
            Wanted::All | Wanted::Nothing => BTreeMap::new(),
            Wanted::Since(entries) => entries.iter().map(|entry| (entry.author, Sparing::of(entry))).collect(),
            Wanted::Nation(nation) => acknowledged(state, nation),
        };
        let none = Sparing::default();
        let stretches = match wanted {
            Wanted::Nothing => Vec::new(),
            Wanted::All | Wanted::Since(_) | Wanted::Nation(_) => {
                chains().flat_map(|chain| stretches(chain, spared.get(&chain.author()).unwrap_or(&none))).collect()
            }
        };
        let missing = chains()
            .filter(|chain| chain.heads().iter().any(|head| head.bodies_to < head.tip.seq))
            .flat_map(|chain| chain.iter().filter(|held| held.body().is_none()).map(Held::id))
            .collect();
        let anchor = state.anchor();
        Self {
            control: state.control_records().into_iter().map(Arc::clone).collect(),
            frontier: chains().map(entry).collect(),
            stretches,
            digests: Digests {
                height: state.charter().map_or(anchor.height, |charter| charter.height),
                charter: state.charter_id(),
                frontier: state.frontier(),
                control: state.control(),
                state: state.state(),
            },
            anchor: (anchor.height > 0).then_some((anchor.height, anchor.charter)),
            missing,
        }
    }

    /// Leaves out of a run what was not held when the plan was made.
    pub fn spare(&self, alliance: &AllianceId, run: &mut Run) {
        if self.missing.is_empty() {
            return;
        }
        let bodies = run.bodies(alliance);
        for (item, (id, hash, len)) in run.items.iter_mut().zip(bodies) {
            if self.missing.contains(&id) {
                item.body = RunBody::Missing { hash, len };
            }
        }
    }
}

/// What a plan named is held no more: a branch of a forked chain that no store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a branch of a forked chain that was to be written is no longer kept")]
pub struct Gone;

impl Stretch {
    /// Packs the next run and returns it with what is left. What stands above the last signature of a branch is attested by
    /// nothing here, and is left out.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn pack(&self, state: &State, packed: Packed) -> Result<(Option<Run>, Option<Self>), Gone> {
        let chain = state.chain(&self.author).filter(|chain| chain.get(&self.head.id).is_some()).ok_or(Gone)?;
        let span = u64::try_from(RUN_ITEMS_MAX).unwrap_or(u64::MAX);
        let wanted = self.head.seq.min(self.from.saturating_add(span - 1));
        let last = chain.next_signed(&self.head.id, wanted).unwrap_or(self.head.seq);
        let path = chain.path(&self.head.id, self.from, last);
        let take = run_length(&path, packed);
        let run = pack(chain, &path[..take], packed);
        let next = path[..take].last().map(|held| held.seq() + 1).filter(|next| *next <= self.head.seq);
        Ok((run, next.map(|from| Self { from, ..*self })))
    }
}

impl Sparing {
    fn of(entry: &FrontierEntry) -> Self {
        Self { heads: entry.heads.clone(), fork: entry.fork.is_some() }
    }

    /// The first position of the path to `head` that is to be sent; `None` if nothing is.
    fn first_lacking(&self, chain: &Chain, head: &Tip) -> Option<u64> {
        let on_path = |known: &&Head| {
            let at = chain.path(&head.id, known.tip.seq, known.tip.seq);
            at.first().is_some_and(|held| held.id() == known.tip.id)
        };
        let shared = self.heads.iter().filter(on_path).map(|known| known.bodies_to.min(known.tip.seq)).max();
        if let Some(shared) = shared {
            return (shared < head.seq).then_some(shared + 1);
        }
        // It is ahead, or on another branch: the last header, signed, is enough to link in the one case and to prove the fork
        // in the other.
        let forked = self.fork || chain.fork().is_some();
        let ahead = self.heads.iter().find(|known| known.tip.seq > head.seq && chain.get(&known.tip.id).is_none());
        Some(ahead.filter(|_| !forked).map_or(1, |known| head.seq.min(known.bodies_to + 1)))
    }
}

/// The parts of a chain's kept branches that are to be sent, no header twice.
fn stretches(chain: &Chain, spared: &Sparing) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut written: BTreeSet<EnvelopeId> = BTreeSet::new();
    let forked = chain.heads().len() > 1;
    for head in chain.heads() {
        let Some(from) = spared.first_lacking(chain, &head.tip) else { continue };
        let mut from = from;
        if forked {
            let path = chain.path(&head.tip.id, from, head.tip.seq);
            let Some(first) = path.iter().find(|held| !written.contains(&held.id())) else { continue };
            from = first.seq();
            written.extend(path.iter().map(|held| held.id()));
        }
        stretches.push(Stretch { author: chain.author(), head: head.tip, from });
    }
    stretches
}

fn entry(chain: &Chain) -> FrontierEntry {
    FrontierEntry {
        author: chain.author(),
        heads: chain.heads().to_vec(),
        fork: chain.fork(),
        closed: chain.status() != AuthorStatus::Active,
    }
}

/// What a nation's witnesses acknowledge: bodies included, as they must have held them.
fn acknowledged(state: &State, nation: &NationId) -> BTreeMap<AuthorId, Sparing> {
    let mut tips: BTreeMap<AuthorId, Tip> = BTreeMap::new();
    let witness = |chain: &&Chain| {
        state.roster(nation).is_some_and(|roster| {
            roster
                .record()
                .is_some_and(|roster| roster.keys.iter().any(|key| key.node == chain.author().key && key.witness))
        })
    };
    for chain in state.chains_of(nation).filter(witness) {
        for body in chain.iter().filter(|held| held.kind() == KIND_WITNESS).filter_map(Held::body) {
            let Ok(Body::Witness(witness)) = Body::decode(KIND_WITNESS, body) else { continue };
            for ack in &witness.acks {
                let tip = tips.entry(ack.author).or_insert(Tip::NONE);
                *tip = (*tip).max(ack.tip);
            }
        }
    }
    let sparing = |tip: Tip| Sparing { heads: vec![Head { tip, bodies_to: tip.seq }], fork: false };
    tips.into_iter().map(|(author, tip)| (author, sparing(tip))).collect()
}
