//! Stratum 3a, acknowledgements (spec 4.5.3): what each nation's witness says it holds.
//!
//! An acknowledgement is a raw fact: whether the witness's own chain is accepted plays no part, so this stratum stands below
//! the chains' acceptance.

use std::collections::BTreeMap;

use crate::body::{Body, KIND_WITNESS};
use crate::chain::{Chain, Held};
use crate::ids::{AuthorId, AuthorKey, CharterId, NationId, Tip};
use crate::roster::KeyStanding;

/// The highest position of each author that each witness key acknowledges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgements {
    by_witness: BTreeMap<AuthorId, BTreeMap<AuthorId, Tip>>,
    /// The highest charter version that each witness key names.
    charters: BTreeMap<AuthorId, (u32, CharterId)>,
}

impl Acknowledgements {
    /// Returns the nations that acknowledge `author` at or above a position, ascending.
    pub fn nations(&self, author: &AuthorId, seq: u64) -> Vec<NationId> {
        let mut nations: Vec<NationId> = self
            .by_witness
            .iter()
            .filter(|(_, acks)| acks.get(author).is_some_and(|tip| tip.seq >= seq))
            .map(|(witness, _)| witness.nation)
            .collect();
        nations.dedup();
        nations
    }

    /// Returns height and id of the highest charter version that a nation's witness names.
    pub fn charter_of(&self, nation: &NationId) -> Option<(u32, CharterId)> {
        let first = AuthorId { nation: *nation, key: AuthorKey::ZERO };
        let own = self.charters.range(first..).take_while(|(witness, _)| witness.nation == *nation);
        own.map(|(_, named)| *named).max()
    }

    /// Works out again what the witness key of `chain` acknowledges; a key that is no witness acknowledges nothing.
    pub(crate) fn refresh(&mut self, chain: &Chain, standing: Option<KeyStanding>) {
        let (acks, charter) = match standing {
            Some(KeyStanding::Active { witness: true }) => acks_of(chain.iter()),
            Some(KeyStanding::Retired { cut, witness: true }) => {
                if chain.get(&cut.id).is_some_and(Held::linked) {
                    acks_of(chain.path(&cut.id, 1, cut.seq).into_iter())
                } else {
                    acks_of(chain.iter().filter(|held| held.seq() <= cut.seq))
                }
            }
            Some(KeyStanding::Active { witness: false } | KeyStanding::Retired { witness: false, .. }) | None => {
                (BTreeMap::new(), None)
            }
        };
        match charter {
            Some(charter) => self.charters.insert(chain.author(), charter),
            None => self.charters.remove(&chain.author()),
        };
        if acks.is_empty() {
            self.by_witness.remove(&chain.author());
        } else {
            self.by_witness.insert(chain.author(), acks);
        }
    }
}

/// What witness bodies acknowledge, and the highest charter version they name.
type Named = (BTreeMap<AuthorId, Tip>, Option<(u32, CharterId)>);

fn acks_of<'a>(headers: impl Iterator<Item = &'a Held>) -> Named {
    let mut named = (BTreeMap::new(), None);
    headers.for_each(|held| merge(&mut named, held));
    named
}

fn merge((acks, charter): &mut Named, held: &Held) {
    let Some(body) = held.body().filter(|_| held.kind() == KIND_WITNESS) else { return };
    let Ok(Body::Witness(witness)) = Body::decode(KIND_WITNESS, body) else { return };
    *charter = (*charter).max(Some((witness.height, witness.charter)));
    for ack in &witness.acks {
        let highest = acks.entry(ack.author).or_insert(Tip::NONE);
        *highest = (*highest).max(ack.tip);
    }
}
