//! What else of a nation waits when one of its keys is cut: changes that build on what is left out.

use std::collections::BTreeSet;

use crate::chain::{Chain, Held};
use crate::evaluate::{Placed, State};
use crate::guard::Prescan;
use crate::ids::{AuthorId, ChangeHash, Tip};
use crate::section::{Verdict, carried};

/// An accepted change of the nation that builds on changes above a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// The envelope.
    pub placed: Placed,
    /// It waits now, since what it builds on does not count; otherwise it would with the cut.
    pub waits: bool,
}

/// One change of the nation with where it stands.
struct Carried<'a> {
    chain: &'a Chain,
    held: &'a Held,
    change: Prescan,
}

/// Returns the accepted changes of an author's nation that wait, or would wait, if the author's chain counted up to `cut`:
/// those that build, directly or not, on a change left out. In the order in which they build on each other.
///
/// Looks through all the nation has said.
pub fn dependents(state: &State, author: &AuthorId, cut: Tip) -> Vec<Dependent> {
    let Some(own) = state.chain(author) else { return Vec::new() };
    let kept: BTreeSet<_> = own.path(&cut.id, 1, cut.seq).into_iter().map(Held::id).collect();
    let hash = |held: &Held| carried(&author.key, held).map(|(change, _)| change.hash);
    // Both branches may carry the same change: then it is not left out.
    let counted: BTreeSet<ChangeHash> = own.iter().filter(|held| kept.contains(&held.id())).filter_map(hash).collect();
    let mut out: BTreeSet<ChangeHash> =
        own.iter().filter(|held| held.linked() && !kept.contains(&held.id())).filter_map(hash).collect();
    out.retain(|change| !counted.contains(change));
    if out.is_empty() {
        return Vec::new();
    }
    let mut changes: Vec<Carried<'_>> = Vec::new();
    for chain in state.chains_of(&author.nation) {
        let counts = |held: &&Held| chain.author() != *author || kept.contains(&held.id());
        let carries = |held| carried(&chain.author().key, held).map(|(change, _)| Carried { chain, held, change });
        changes.extend(chain.accepted_from(1).filter(counts).filter_map(carries));
    }
    // A change's first counter is above all of those it builds on.
    changes.sort_unstable_by_key(|carried| (carried.change.start_op, carried.change.hash));
    let mut found = Vec::new();
    for Carried { chain, held, change } in changes {
        let waits = match state.view_of(chain, held).verdict {
            Some(Verdict::Valid) => false,
            Some(Verdict::Waiting(_)) => true,
            Some(Verdict::Void(_) | Verdict::NotAChange | Verdict::Sealed | Verdict::UnknownKind) | None => continue,
        };
        if change.deps.iter().any(|dep| out.contains(dep)) {
            out.insert(change.hash);
            found.push(Dependent { placed: Placed { author: chain.author(), tip: held.tip() }, waits });
        }
    }
    found
}
