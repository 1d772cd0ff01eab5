//! What must hold when all is healed and quiet, on all honest nodes together.

use std::collections::BTreeSet;

use comity_protocol::chain::{Chain, EnvelopeStanding};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, EnvelopeId, Timestamp};

use super::store::Checked;
use super::{Violation, always, bundle, domain, evaluation, promises, record, store, votes, witness};
use crate::sim::world::World;

/// Whether all honest nodes that may speak hold and compute the same.
pub(in crate::sim) fn all_agree(world: &World) -> bool {
    let starting = world.nodes.iter().any(|node| node.restart_at.is_some());
    !starting && disagreement(world).is_none()
}

/// Checks a run's end.
pub(in crate::sim) fn at_the_end(world: &mut World) -> Result<(), Violation> {
    if let Some(node) = world.nodes.iter().find(|node| node.restart_at.is_some()) {
        return Err(Violation::new("every node comes up again", format!("{} does not", node.name)));
    }
    for node in world.speakers() {
        votes::one_successor(world, node)?;
    }
    if let Some(text) = disagreement(world) {
        return Err(Violation::new("I19 all honest replicas agree", text));
    }
    acknowledged_is_accepted(world)?;
    promises::confirmed_is_everywhere(world)?;
    forks_are_known_to_all(world)?;
    witness::final_is_accepted_everywhere(world)?;
    witness::honest_statements_are_final(world)?;
    let mut checked = Checked::new();
    let speakers = world.speakers();
    for node in speakers.iter().copied() {
        record::is_sound(world, node)?;
        always::nobody_honest_has_a_strike(world, node)?;
        store::signatures_are_valid(world, node, &mut checked)?;
        store::holds_what_the_state_keeps(world, node)?;
    }
    // These are functions of the set, and all hold the same set by now.
    if let (Some(first), Some(last)) = (speakers.first(), speakers.last()) {
        evaluation::of_the_set_is_the_state(world, *last)?;
        evaluation::documents_are_what_the_rows_say(world, *first)?;
        evaluation::others_stand_without_the_largest(world, *first)?;
        bundle::verifies_offline(world, *last)?;
        let ends = [*first, *last];
        let states: Vec<_> = ends.iter().filter_map(|node| world.nodes[*node].state()).collect();
        if let Some(violation) = domain::all(&states, Timestamp(world.now)).into_iter().next() {
            return Err(violation);
        }
    }
    Ok(())
}

/// I19: all honest replicas whose keys stand hold the same set and compute the same from it: equal `held`, `control` and
/// `state` digests.
fn disagreement(world: &World) -> Option<String> {
    let speakers = world.speakers();
    let is_divided = votes::is_divided(world);
    speakers.iter().find_map(|number| {
        let node = &world.nodes[*number];
        let state = node.state()?;
        // Where two versions of the charter stand, those agree that have adopted the same one.
        let alike = |of: &State| !is_divided || of.charter_id() == state.charter_id();
        let first = speakers.iter().filter_map(|of| world.nodes[*of].state()).find(|of| alike(of))?;
        let differs = [
            ("held", first.held() == state.held()),
            ("control", first.control() == state.control()),
            ("state", first.state() == state.state()),
        ];
        let differs: Vec<&str> = differs.iter().filter(|(_, same)| !same).map(|(what, _)| *what).collect();
        let text = || {
            let of = chains_that_differ(world, first, state);
            format!("{} and {} differ in {differs:?}{of}", world.nodes[speakers[0]].name, node.name)
        };
        (!differs.is_empty()).then(text)
    })
}

/// Says of which authors two states hold or accept something else.
fn chains_that_differ(world: &World, one: &State, other: &State) -> String {
    let said = |state: &State, author: &AuthorId| {
        let chain = state.chain(author)?;
        let final_to = state.final_tip(author).seq;
        let (held, bodies) = (chain.len(), chain.iter().filter(|held| held.body().is_some()).count());
        let heads = chain.heads().len();
        Some(format!(
            "{held} held, {bodies} bodies, {heads} heads, accepted to {}, final to {final_to}",
            chain.tip().seq
        ))
    };
    let authors: BTreeSet<AuthorId> = one.chains().chain(other.chains()).map(Chain::author).collect();
    let differ = |author: &AuthorId| one.chain(author).map(Chain::heads) != other.chain(author).map(Chain::heads);
    let told =
        authors.iter().filter(|author| differ(author) || said(one, author) != said(other, author)).map(|author| {
            format!("; {}: {:?} and {:?}", world.name_of(&author.key), said(one, author), said(other, author))
        });
    told.collect()
}

/// I20: every envelope that an honest, unretired key acknowledged is accepted everywhere, with its body.
fn acknowledged_is_accepted(world: &World) -> Result<(), Violation> {
    for (id, at) in &world.chronicle.acknowledged {
        let author = &world.nodes[*at];
        let stands = !author.retired && !author.suspended && !author.gone && world.belongs(author);
        if author.harm.may_have_forgotten() || author.harm.rotten || !stands {
            continue;
        }
        for number in world.speakers() {
            let node = &world.nodes[number];
            let accepted = node.state().and_then(|state| state.chain(&author.author)).is_some_and(|chain| {
                chain
                    .get(id)
                    .is_some_and(|held| chain.standing(held) == EnvelopeStanding::Accepted && held.body().is_some())
            });
            if !accepted {
                let text = format!("{} of {} is not accepted at {}", id.short(), author.name, node.name);
                return Err(Violation::new("I20 no honest statement is lost", text));
            }
        }
    }
    Ok(())
}

/// I21: a fork of two envelopes that were both sent to somebody and are both on the disk of an honest node is known to all
/// of them, no higher than where it is and at the same position; and no honest key that was never cloned, rolled
/// back or betrayed is said to have forked.
fn forks_are_known_to_all(world: &World) -> Result<(), Violation> {
    let speakers = world.speakers();
    let on_disk = |id: &EnvelopeId| speakers.iter().any(|node| world.nodes[*node].durable.contains(id));
    for ((author, seq), ids) in &world.chronicle.seen {
        let held: BTreeSet<&EnvelopeId> = ids.iter().filter(|id| on_disk(id)).collect();
        if held.len() < 2 {
            continue;
        }
        let known: BTreeSet<Option<u64>> =
            speakers.iter().map(|node| world.nodes[*node].state()?.chain(author).and_then(Chain::fork)).collect();
        if known.len() != 1 || known.iter().any(|fork| fork.is_none_or(|fork| fork > *seq)) {
            let text = format!("{} forked at {seq}, and it is known as {known:?}", world.name_of(&author.key));
            return Err(Violation::new("I21 every fork is known to all", text));
        }
    }
    for node in world.nodes.iter().filter(|node| !world.lies(node.nation)) {
        let harmed = world.nodes.iter().any(|twin| {
            let blind = twin.harm.blind && world.somebody_lies();
            twin.author == node.author && (twin.harm.chain_may_fork() || blind)
        });
        let fork = speakers.iter().find_map(|at| world.nodes[*at].state()?.chain(&node.author).and_then(Chain::fork));
        if let (Some(seq), false) = (fork, harmed) {
            return Err(Violation::new(
                "I2 no honest key says two envelopes at one position",
                format!("{} forked at {seq}", node.name),
            ));
        }
    }
    Ok(())
}
