//! What must hold between a node's state and its store.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::envelope::SignedHeader;
use comity_protocol::ids::{AuthorId, ControlId, EnvelopeId};
use comity_protocol::keys::Signature;

use super::Violation;
use crate::sim::node::Machine;
use crate::sim::world::World;

/// A signature that was checked.
pub(super) type Checked = BTreeSet<(EnvelopeId, [u8; 64])>;

/// I10, what the store holds is what the state keeps: the same headers, bodies and control records, no fewer, and more only
/// of a forked chain or of control records that are not kept, which the state forgets and the store never deletes.
pub(super) fn holds_what_the_state_keeps(world: &mut World, number: usize) -> Result<(), Violation> {
    let node = &mut world.nodes[number];
    let Machine::Honest(process) = &mut node.machine else { return Ok(()) };
    let said = |text: String| Err(Violation::new("I10 the store holds what the state keeps", text));
    let name = &node.name;
    let loaded = match process.database.load() {
        Ok(loaded) => loaded,
        Err(error) => return said(format!("the store of {name} cannot be read: {error}")),
    };
    let state = process.replica.state();
    let control: BTreeSet<ControlId> =
        loaded.control.iter().map(comity_protocol::control::VerifiedControl::id).collect();
    if let Some(lost) = state.control_ids().find(|id| !control.contains(id)) {
        // A bit that flipped in a row's own id stays there: its index still finds the row, and what is saved again goes into it
        // under the wrong id. Each start names the row and the record is fetched again.
        if !(node.harm.rotten && loaded.damage.iter().any(|damage| damage.table() == "control")) {
            return said(format!("control record {} is not in the store of {name}", lost.short()));
        }
    }
    let mut stored: BTreeMap<AuthorId, BTreeMap<EnvelopeId, bool>> = BTreeMap::new();
    for envelope in &loaded.envelopes {
        let author = stored.entry(envelope.header.header().author_id()).or_default();
        author.insert(envelope.header.id(), envelope.body.is_some());
    }
    for chain in state.chains() {
        let mut rows = stored.remove(&chain.author()).unwrap_or_default();
        for held in chain.iter().filter(|held| chain.keeps(held)) {
            if rows.remove(&held.id()) != Some(held.body().is_some()) {
                return said(format!(
                    "envelope {} ({}) of {name} is not stored as held",
                    held.seq(),
                    held.id().short()
                ));
            }
        }
        if chain.fork().is_none() && !rows.is_empty() {
            return said(format!("{} envelopes in the store of {name} are not in its state", rows.len()));
        }
    }
    if let Some((author, rows)) = stored.iter().next() {
        return said(format!("{} envelopes of {} are in the store of {name} only", rows.len(), author.key.short()));
    }
    Ok(())
}

/// I3, for signatures: every signature a node holds is a valid one of the key it speaks for, and no header is held that
/// none of them attests.
///
/// A home whose bits flipped may have dropped the signature of a head: it is shown until its successor attests it.
pub(super) fn signatures_are_valid(world: &World, number: usize, checked: &mut Checked) -> Result<(), Violation> {
    let Some(process) = world.nodes[number].process() else { return Ok(()) };
    let rotten = world.nodes[number].harm.rotten;
    for chain in process.replica.state().chains() {
        for held in chain.iter() {
            let Some(signature) = held.signature() else { continue };
            if !checked.insert((held.id(), signature.0)) {
                continue;
            }
            let signed = SignedHeader { header: chain.header(held), signature: Signature(signature.0) };
            if signed.verify().is_err() {
                let (name, author) = (&world.nodes[number].name, world.name_of(&chain.author().key));
                let text = format!("{name} holds envelope {} of {author} with a signature that is none", held.seq());
                return Err(Violation::new("I3 nobody speaks for anybody else", text));
            }
        }
        let top_is_signed = |head: &comity_protocol::chain::Head| {
            chain.get(&head.tip.id).is_some_and(|held| held.signature().is_some() || !held.linked())
        };
        if !rotten && !chain.heads().iter().all(top_is_signed) {
            let (name, author) = (&world.nodes[number].name, world.name_of(&chain.author().key));
            let text = format!("{name} holds a branch of {author} that no signature attests");
            return Err(Violation::new("I3 nobody speaks for anybody else", text));
        }
    }
    Ok(())
}
