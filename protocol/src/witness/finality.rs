//! What more than two thirds of the nations acknowledge (spec 4.5.4), and which acknowledgements that rests on (4.12).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::chain::{AuthorStatus, Chain};
use crate::ids::{NationId, Tip};

/// How much of an author's chain is final: acknowledged by more than two thirds of the nations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finality {
    /// The deepest final header, or the deepest that leads to all final ones where these lie on two paths.
    pub tip: Tip,
    /// Two final headers neither of which leads to the other: at least a third of the nations acknowledged both sides
    /// (`WitnessSplit`).
    pub split: Option<[Tip; 2]>,
}

/// The topmost headers each member nation acknowledges.
pub(super) type Tops<'a> = BTreeMap<NationId, &'a [Tip]>;

/// A nation that acknowledges more branches than this is no measure of what others acknowledge.
const HONEST_TOPS_MAX: usize = 2;

impl Default for Finality {
    fn default() -> Self {
        Self { tip: Tip::NONE, split: None }
    }
}

impl Finality {
    pub(super) fn of(chain: &Chain, tops: &Tops<'_>, members: usize, quorum: usize) -> Self {
        if tops.len() < quorum {
            return Self::default();
        }
        let agreed = chain.agreed_to();
        if tops.values().all(|tops| tops.len() == 1 && tops[0].seq <= agreed) {
            let mut highest: Vec<Tip> = tops.values().map(|tops| tops[0]).collect();
            highest.sort_unstable_by_key(|tip| Reverse(tip.seq));
            return Self { tip: highest[quorum - 1], split: None };
        }
        let nodes: Vec<Vec<u32>> =
            tops.values().map(|tops| tops.iter().filter_map(|top| chain.linked_node(&top.id)).collect()).collect();
        let mut fins: Vec<u32> = candidates(&nodes, members, quorum)
            .into_iter()
            .filter_map(|top| deepest_below(chain, top, &nodes, quorum))
            .collect();
        fins.sort_unstable_by_key(|&node| (Reverse(chain.held_at(node).seq()), chain.held_at(node).id()));
        fins.dedup();
        let highest: Vec<u32> =
            fins.iter().filter(|&&x| !fins.iter().any(|&y| x != y && chain.is_ancestor(x, y))).copied().collect();
        let Some((&first, others)) = highest.split_first() else { return Self::default() };
        let tip = |node: u32| chain.held_at(node).tip();
        let depth = |common: Option<u32>| common.map_or(0, |node| chain.held_at(node).seq());
        // The deepest one common to all is what the first has in common with some other one.
        match others.iter().copied().min_by_key(|&other| depth(chain.common_node(first, other))) {
            None => Self { tip: tip(first), split: None },
            Some(other) => {
                let common = chain.common_node(first, other).map_or(Tip::NONE, tip);
                Self { tip: common, split: Some([tip(first), tip(other)]) }
            }
        }
    }

    /// The headers whose finality decides.
    fn targets(&self) -> Vec<Tip> {
        match self.split {
            Some(both) => both.to_vec(),
            None => std::iter::once(self.tip).filter(|tip| *tip != Tip::NONE).collect(),
        }
    }
}

/// Every quorum shares a nation with any `members − quorum + 1` others: it is enough to look below what these acknowledge,
/// and liars, who may acknowledge thousands of branches, are the last ones to be looked at.
fn candidates(nodes: &[Vec<u32>], members: usize, quorum: usize) -> Vec<u32> {
    let mut by_few: Vec<&Vec<u32>> = nodes.iter().collect();
    by_few.sort_by_key(|tops| tops.len());
    let silent = members.saturating_sub(nodes.len());
    let enough = (members + 1).saturating_sub(quorum + silent);
    let mut all: Vec<u32> = by_few.into_iter().take(enough).flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The deepest ancestor-or-self of `top` that a quorum acknowledges.
fn deepest_below(chain: &Chain, top: u32, nodes: &[Vec<u32>], quorum: usize) -> Option<u32> {
    let depth = |tops: &Vec<u32>| {
        let common = tops.iter().filter_map(|&other| chain.common_node(top, other));
        common.map(|node| chain.held_at(node).seq()).max().unwrap_or(0)
    };
    let mut depths: Vec<u64> = nodes.iter().map(depth).collect();
    depths.sort_unstable_by_key(|&depth| Reverse(depth));
    let seq = depths.get(quorum - 1).copied().filter(|&seq| seq > 0)?;
    Some(chain.ancestor_at(top, seq))
}

/// Returns of each nation the topmost headers that a store must not lose, whichever else it forgets.
///
/// An honest nation acknowledges one path. Of one that lies the following are kept: the two highest; what supports the final
/// header, or each side of a split; and what agrees furthest with each nation that acknowledges few branches, so that its
/// word counts wherever the words of the honest do, also where what makes up a quorum has not all arrived yet; and with the
/// cut of a key that was retired, so that all see alike who has seen what stands. All this is a function of the set, and what
/// is kept by it stays kept when the rest is forgotten.
pub(super) fn kept_tops(chain: &Chain, tops: &Tops<'_>, finality: &Finality) -> BTreeMap<NationId, Vec<Tip>> {
    let few = |of: &&[Tip]| of.len() <= HONEST_TOPS_MAX;
    let cut = match chain.status() {
        AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut } => Some(cut),
        AuthorStatus::Active | AuthorStatus::Unlisted => None,
    };
    let measures: Vec<Tip> = tops.values().filter(|of| few(of)).flat_map(|of| of.iter().copied()).chain(cut).collect();
    let keep = |of: &&[Tip]| {
        if few(of) {
            return of.to_vec();
        }
        let mut ordered = of.to_vec();
        ordered.sort_unstable_by_key(|top| (Reverse(top.seq), top.id));
        let mut kept: Vec<Tip> = ordered[..HONEST_TOPS_MAX].to_vec();
        for target in finality.targets() {
            kept.extend(ordered.iter().find(|top| chain.leads_to(&target.id, &top.id)));
        }
        for measure in &measures {
            let depth = |top: &Tip| chain.common(&measure.id, &top.id).map_or(0, |common| common.seq());
            let deepest = ordered.iter().map(depth).max().filter(|&depth| depth > chain.agreed_to());
            kept.extend(deepest.and_then(|deepest| ordered.iter().find(|top| depth(top) == deepest)));
        }
        kept.sort_unstable();
        kept.dedup();
        kept
    };
    tops.iter().map(|(nation, of)| (*nation, keep(of))).collect()
}
