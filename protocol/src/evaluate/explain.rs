//! Why an envelope waits: the changes it lacks, and where they are.

use std::collections::BTreeMap;

use super::{EnvelopeView, Placed, State};
use crate::chain::EnvelopeStanding;
use crate::ids::ChangeHash;
use crate::section::carried_change;

/// A change that another builds on and that is not in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The change.
    pub change: ChangeHash,
    /// The envelope of the nation that carries it, where one is held, and where that stands: a suspended or disavowed one is
    /// why its sibling's change waits.
    pub carrier: Option<(Placed, EnvelopeStanding)>,
}

impl State {
    /// Returns what a waiting envelope lacks, ascending by change; looks through all the nation has said, so it is for one
    /// envelope that somebody asks about.
    pub fn lacking(&self, view: &EnvelopeView<'_>) -> Vec<Lacking> {
        let author = view.chain.author();
        let lacking = self.section(&author.nation).lacking(&author.key, view.held);
        let mut carriers: BTreeMap<ChangeHash, (Placed, EnvelopeStanding)> = BTreeMap::new();
        for chain in self.chains_of(&author.nation).filter(|_| !lacking.is_empty()) {
            for held in chain.iter() {
                let change = carried_change(&chain.author().key, held).filter(|change| lacking.contains(change));
                let placed = Placed { author: chain.author(), tip: held.tip() };
                carriers.extend(change.map(|change| (change, (placed, chain.standing(held)))));
            }
        }
        lacking.into_iter().map(|change| Lacking { change, carrier: carriers.get(&change).copied() }).collect()
    }
}
