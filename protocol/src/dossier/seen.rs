//! "Seen by 5 of 7": which nations' witnesses acknowledge what stands, kept apart from the state for views.

use std::collections::BTreeMap;

use crate::chain::{Chain, Held};
use crate::evaluate::State;
use crate::ids::{AuthorId, NationId};

/// How far each nation's witness acknowledges each accepted chain.
///
/// Taking it copies a few numbers for each author, so a view can go on while the state changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    members: usize,
    authors: BTreeMap<AuthorId, Upto>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Upto {
    /// Nations with the highest accepted position that their acknowledgement covers, ascending by nation.
    nations: Vec<(NationId, u64)>,
    final_to: u64,
    /// The highest accepted position.
    tip: u64,
}

impl Seen {
    /// Takes what the witnesses acknowledge of all chains.
    pub fn of(state: &State) -> Self {
        let members = state.charter().map_or(0, |charter| charter.members.len());
        let authors = state.chains().map(|chain| (chain.author(), Upto::of(state, chain))).collect();
        Self { members, authors }
    }

    /// Members of the alliance.
    pub const fn members(&self) -> usize {
        self.members
    }

    /// Returns the members that acknowledge the accepted envelope at a position, ascending.
    pub fn nations(&self, author: &AuthorId, seq: u64) -> impl Iterator<Item = &NationId> {
        let nations = self.authors.get(author).map_or(&[][..], |upto| &upto.nations);
        nations.iter().filter(move |(_, to)| *to >= seq).map(|(nation, _)| nation)
    }

    /// Returns, by nation, how many of its accepted envelopes fewer than `least` members are known to hold, itself included:
    /// those that would be lost with few machines. Nations without any are left out.
    pub fn held_by_fewer(&self, least: usize) -> BTreeMap<NationId, u64> {
        let mut few = BTreeMap::new();
        for (author, upto) in &self.authors {
            let others = upto.nations.iter().filter(|(nation, _)| *nation != author.nation).map(|(_, to)| *to);
            let mut to: Vec<u64> = others.chain([upto.tip]).collect();
            to.sort_unstable_by(|a, b| b.cmp(a));
            let held = least.checked_sub(1).map_or(upto.tip, |place| to.get(place).copied().unwrap_or(0));
            if upto.tip > held {
                *few.entry(author.nation).or_insert(0) += upto.tip - held;
            }
        }
        few
    }

    /// Whether the accepted envelope at a position is final.
    pub fn is_final(&self, author: &AuthorId, seq: u64) -> bool {
        self.authors.get(author).is_some_and(|upto| upto.final_to >= seq)
    }
}

impl Upto {
    fn of(state: &State, chain: &Chain) -> Self {
        let members = state.charter().into_iter().flat_map(|charter| charter.members.keys());
        let covered = |nation: &NationId| {
            let mut to = 0;
            let mut above = chain.tip().seq;
            while to < above {
                let middle = to + (above - to).div_ceil(2);
                let seen = chain.accepted(middle).is_some_and(|held| seen_by(state, chain, held).contains(nation));
                if seen { to = middle } else { above = middle - 1 }
            }
            (to > 0).then_some((*nation, to))
        };
        let tip = chain.tip().seq;
        Self { nations: members.filter_map(covered).collect(), final_to: final_on_path(state, chain), tip }
    }
}

/// Returns the members whose witness acknowledges an envelope or one above it, ascending.
pub fn seen_by(state: &State, chain: &Chain, held: &Held) -> Vec<NationId> {
    state.seen_by(&chain.author(), held)
}

/// Whether more than two thirds of the members acknowledge an envelope or one above it.
pub fn is_final(state: &State, chain: &Chain, held: &Held) -> bool {
    state.is_final(&chain.author(), held)
}

fn final_on_path(state: &State, chain: &Chain) -> u64 {
    let (mut to, mut above) = (0, chain.tip().seq);
    while to < above {
        let middle = to + (above - to).div_ceil(2);
        if chain.accepted(middle).is_some_and(|held| is_final(state, chain, held)) {
            to = middle;
        } else {
            above = middle - 1;
        }
    }
    to
}
