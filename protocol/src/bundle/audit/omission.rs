//! What a witness acknowledged and a bundle lacks.

use std::collections::{BTreeMap, BTreeSet};

use crate::body::{Body, KIND_WITNESS, WitnessBody};
use crate::chain::Held;
use crate::evaluate::State;
use crate::ids::{AuthorId, ControlId, EnvelopeId, NationId, Tip};

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// An envelope: at or below its position the chain is not all here.
    Envelope {
        /// Its author.
        author: AuthorId,
        /// Its position and id.
        tip: Tip,
    },
    /// The body of an envelope whose header is here.
    Body {
        /// Its author.
        author: AuthorId,
        /// Its position and id.
        tip: Tip,
    },
    /// A roster.
    Roster {
        /// Whose.
        nation: NationId,
        /// Its version.
        version: u64,
        /// Its id.
        id: ControlId,
    },
    /// The votes and motions that lead to a charter version.
    Charter {
        /// Its height.
        height: u32,
    },
}

/// Something missing, and the nations whose witnesses say that they hold it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Omission {
    /// What.
    pub missing: Missing,
    /// Who, ascending.
    pub nations: BTreeSet<NationId>,
}

/// The keys of a nation that its evaluated roster marks witness, retired ones included.
pub(super) fn witnesses<'a>(state: &'a State, nation: &NationId) -> impl Iterator<Item = AuthorId> + use<'a> {
    let roster = state.roster(nation).and_then(|roster| roster.record());
    let nation = *nation;
    let keys = roster.into_iter().flat_map(|roster| roster.keys.iter().filter(|key| key.witness));
    keys.map(move |key| AuthorId { nation, key: key.node })
}

/// Lists everything that a witness in `state` acknowledges and `state` does not hold.
pub(super) fn omissions(state: &State) -> Vec<Omission> {
    let mut found: BTreeMap<Missing, BTreeSet<NationId>> = BTreeMap::new();
    let mut highest: BTreeMap<(AuthorId, NationId), Tip> = BTreeMap::new();
    let nations: Vec<NationId> = state.nations().map(|nation| nation.id).collect();
    for nation in nations {
        let mut add = |missing| {
            found.entry(missing).or_default().insert(nation);
        };
        for witness in witnesses(state, &nation).filter_map(|author| state.chain(&author)) {
            for body in witness.iter().filter_map(witness_body) {
                for ack in &body.acks {
                    match state.chain(&ack.author).and_then(|chain| chain.get(&ack.tip.id)) {
                        None => add(Missing::Envelope { author: ack.author, tip: ack.tip }),
                        Some(_) => {
                            let tip = highest.entry((ack.author, nation)).or_insert(ack.tip);
                            *tip = (*tip).max(ack.tip);
                        }
                    }
                }
                for roster in &body.rosters {
                    if roster.version > 0 && state.control_record(&roster.id).is_none() {
                        let (nation, version, id) = (roster.nation, roster.version, roster.id);
                        add(Missing::Roster { nation, version, id });
                    }
                }
                if state.charter().is_none_or(|charter| charter.height < body.height) {
                    add(Missing::Charter { height: body.height });
                }
            }
        }
    }
    for ((author, nation), tip) in highest {
        for missing in below(state, &author, &tip) {
            found.entry(missing).or_default().insert(nation);
        }
    }
    found.into_iter().map(|(missing, nations)| Omission { missing, nations }).collect()
}

fn witness_body(held: &Held) -> Option<WitnessBody> {
    let body = held.body().filter(|_| held.kind() == KIND_WITNESS)?;
    match Body::decode(KIND_WITNESS, body) {
        Ok(Body::Witness(witness)) => Some(witness),
        Ok(Body::Change(_) | Body::KeyGrant(_) | Body::Unknown(_)) | Err(_) => None,
    }
}

/// What is missing at or below an envelope that is held: its ancestors, or bodies.
fn below(state: &State, author: &AuthorId, tip: &Tip) -> Vec<Missing> {
    let Some(chain) = state.chain(author) else { return Vec::new() };
    let path = chain.path(&tip.id, 1, tip.seq);
    let gap = path.first().filter(|first| first.seq() > 1).map(|first| {
        let id: EnvelopeId = first.prev();
        Missing::Envelope { author: *author, tip: Tip { seq: first.seq() - 1, id } }
    });
    let bodies = path.iter().filter(|held| held.body().is_none());
    gap.into_iter().chain(bodies.map(|held| Missing::Body { author: *author, tip: held.tip() })).collect()
}
