//! What witnesses say, and what is final by it.

use std::collections::BTreeSet;

use comity_protocol::body::{Body, KIND_WITNESS};
use comity_protocol::chain::{AuthorStatus, Chain};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, ControlId, Digest, EnvelopeId, NationId, Tip};
use comity_protocol::keys::sha256;
use comity_protocol::replica::WitnessCadence;
use comity_protocol::roster::KeyStanding;

use super::Violation;
use crate::sim::votes::tolerated;
use crate::sim::world::World;

/// What finality rests on beside the chains: the charter and every nation's roster. A roster may take a witness's words back.
pub(super) fn basis(state: &State) -> Digest {
    let mut bytes = state.charter_id().as_bytes().to_vec();
    for nation in state.nations() {
        let roster = state.roster(&nation.id).map_or(ControlId::ZERO, |roster| roster.tip().1);
        bytes.extend_from_slice(nation.id.as_bytes());
        bytes.extend_from_slice(roster.as_bytes());
    }
    Digest::new(sha256(&bytes))
}

/// Nations whose witness may say anything: they lie, or one of their keys may have two lives.
fn faulty(world: &World) -> BTreeSet<usize> {
    let blind_counts = world.somebody_lies();
    let odd = |node: &&crate::sim::node::Node| node.harm.chain_may_fork() || (node.harm.blind && blind_counts);
    let mut faulty: BTreeSet<usize> = world.nodes.iter().filter(odd).map(|node| node.nation).collect();
    faulty.extend((0..world.plan.nations.len()).filter(|nation| world.lies(*nation)));
    faulty
}

/// Whether of the members that a node's charter names fewer than a third have witnesses that may say anything.
fn bears_its_faults(world: &World, node: usize) -> bool {
    let Some(charter) = world.nodes[node].state().and_then(State::charter) else { return false };
    let member = |nation: &usize| charter.members.contains_key(&world.alliance.nations[*nation].id);
    let faults = faulty(world).into_iter().filter(member).count();
    faults <= tolerated(charter.members.len())
}

/// Takes note of what is final at a node now, and compares it with what was.
pub(super) fn take_note(world: &mut World, node: usize, authors: &BTreeSet<AuthorId>) -> Result<(), Violation> {
    let Some(state) = world.nodes[node].state() else { return Ok(()) };
    let basis = basis(state);
    let finals: Vec<(AuthorId, Tip)> = authors
        .iter()
        .filter(|author| state.author_status(author) == AuthorStatus::Active)
        .map(|author| (*author, state.final_tip(author)))
        .filter(|(_, tip)| *tip != Tip::NONE)
        .collect();
    for (author, tip) in finals {
        for known in [&mut world.chronicle.finals, &mut world.nodes[node].watch.finals] {
            let known = known.entry((author, basis)).or_insert(tip);
            if known.seq < tip.seq {
                *known = tip;
            }
        }
        let state = world.nodes[node].state();
        if let Some(chain) = state.and_then(|state| state.chain(&author)) {
            final_stays_accepted(world, node, chain, &basis)?;
        }
    }
    Ok(())
}

/// I5: what was final at a node stays accepted there, while its key is Active and neither the charter nor a roster changed;
/// fewer than a third of the nations lie or have keys with two lives. (Who has heard of one branch only accepts that one.)
pub(super) fn final_stays_accepted(world: &World, node: usize, chain: &Chain, basis: &Digest) -> Result<(), Violation> {
    if !bears_its_faults(world, node) || chain.status() != AuthorStatus::Active {
        return Ok(());
    }
    let of = &world.nodes[node];
    let at = (chain.author(), *basis);
    let accepted = |tip: &Tip| chain.accepted(tip.seq).map(comity_protocol::chain::Held::id);
    match of.watch.finals.get(&at).filter(|tip| accepted(tip) != Some(tip.id)) {
        None => Ok(()),
        Some(tip) => {
            let author = world.name_of(&chain.author().key);
            let text =
                format!("{} of {author} at {} was final, and is not accepted at {}", tip.id.short(), tip.seq, of.name);
            Err(Violation::new("I5 a final envelope stays accepted", text))
        }
    }
}

/// I5 at the end: what was final anywhere is accepted everywhere.
pub(super) fn final_is_accepted_everywhere(world: &mut World) -> Result<(), Violation> {
    let speakers = world.speakers();
    for node in &speakers {
        let authors = world.nodes[*node].state().map(|state| state.chains().map(Chain::author).collect());
        take_note(world, *node, &authors.unwrap_or_default())?;
    }
    for node in speakers {
        if !bears_its_faults(world, node) {
            continue;
        }
        let Some(state) = world.nodes[node].state() else { continue };
        let basis = basis(state);
        for ((author, _), tip) in world.chronicle.finals.iter().filter(|((_, at), _)| *at == basis) {
            let Some(chain) = state.chain(author).filter(|chain| chain.status() == AuthorStatus::Active) else {
                continue;
            };
            if chain.accepted(tip.seq).map(comity_protocol::chain::Held::id) != Some(tip.id) {
                let (author, at) = (world.name_of(&author.key), &world.nodes[node].name);
                let text = format!("{} of {author} at {} is final and not accepted at {at}", tip.id.short(), tip.seq);
                return Err(Violation::new("I5 a final envelope stays accepted", text));
            }
        }
    }
    Ok(())
}

/// I7, W2: an honest nation acknowledges one path of every chain, unless one of its keys has two lives.
pub(super) fn witnesses_keep_to_one_path(world: &World, node: usize, state: &State) -> Result<(), Violation> {
    let faulty = faulty(world);
    for (number, nation) in world.alliance.nations.iter().enumerate().filter(|(number, _)| !faulty.contains(number)) {
        for chain in state.chains() {
            let tops = state.acknowledged(&nation.id, &chain.author());
            if tops.len() > 1 {
                let author = world.name_of(&chain.author().key);
                let (code, at) = (&world.alliance.nations[number].code, &world.nodes[node].name);
                let ids: Vec<String> = tops.iter().map(|tip| format!("{} at {}", tip.id.short(), tip.seq)).collect();
                let text = format!("{code} acknowledges {} of {author}, as {at} has it", ids.join(" and "));
                return Err(Violation::new("I7 a witness acknowledges one path (W2)", text));
            }
        }
    }
    Ok(())
}

/// I7, W1: what a witness acknowledges it holds, bodies included, and on its disk.
pub(super) fn acknowledges_what_it_holds(world: &World, node: usize, said: &EnvelopeId) -> Result<(), Violation> {
    let of = &world.nodes[node];
    let Some(state) = of.state() else { return Ok(()) };
    let Some(body) =
        state.envelope(said).filter(|view| view.held.kind() == KIND_WITNESS).and_then(|view| view.held.body())
    else {
        return Ok(());
    };
    let Ok(Body::Witness(witness)) = Body::decode(KIND_WITNESS, body) else { return Ok(()) };
    for ack in &witness.acks {
        let held = state.chain(&ack.author).and_then(|chain| chain.get(&ack.tip.id));
        if !held.is_some_and(|held| held.complete()) || !of.durable.contains(&ack.tip.id) {
            let author = world.name_of(&ack.author.key);
            let text = format!("{} acknowledges {} of {author} and does not hold it", of.name, ack.tip.seq);
            return Err(Violation::new("I7 a witness holds what it acknowledges (W1)", text));
        }
    }
    Ok(())
}

/// I17 for witnesses: a stopped node's witness says nothing.
pub(super) fn stopped_witnesses_say_nothing(world: &World, node: usize) -> Result<(), Violation> {
    if !world.nodes[node].watch.spoke_though_stopped {
        return Ok(());
    }
    let text = format!("{} witnessed though it was stopped", world.nodes[node].name);
    Err(Violation::new("I17 a stopped node says nothing new", text))
}

/// Nations with a witness that is up, honest, and may speak.
fn speaking(world: &World) -> BTreeSet<NationId> {
    let speaks = |number: &usize| {
        let node = &world.nodes[*number];
        node.process().is_some_and(|process| {
            let state = process.replica.state();
            let witness = matches!(state.key_standing(&node.author), Some(KeyStanding::Active { witness: true }));
            witness && process.replica.halted().is_none() && process.own_damage.is_empty()
        })
    };
    world.speakers().into_iter().filter(speaks).map(|number| world.nodes[number].config.nation).collect()
}

/// I22: what honest nations say becomes final at every honest node, while witnesses of more than two thirds of the nations
/// are up and linked. Returns what is not final yet.
pub(in crate::sim) fn waits_for_finality(world: &World) -> Option<String> {
    if world.nodes.iter().any(|node| node.config.witness == WitnessCadence::NEVER) {
        return None;
    }
    let speaking = speaking(world);
    for number in world.speakers() {
        let node = &world.nodes[number];
        let Some(state) = node.state() else { continue };
        let Some(charter) = state.charter() else { continue };
        if speaking.iter().filter(|nation| charter.members.contains_key(*nation)).count() < charter.quorum() {
            return None;
        }
        for chain in state.chains() {
            let author = chain.author();
            let mut homes = world.nodes.iter().filter(|node| node.author == author).peekable();
            let honest = homes.peek().is_some_and(|home| !world.lies(home.nation));
            let excused = homes.any(|home| home.harm.may_have_forgotten() || home.harm.rotten || home.retired);
            if !honest || excused || chain.fork().is_some() || chain.status() != AuthorStatus::Active {
                continue;
            }
            let last = (1..=chain.tip().seq).rev().filter_map(|seq| chain.accepted(seq));
            let last = last.filter(|held| held.kind() != KIND_WITNESS).map(comity_protocol::chain::Held::seq).next();
            let tip = state.final_tip(&author);
            if last.is_some_and(|last| last > tip.seq) {
                let author = world.name_of(&author.key);
                let to = last.unwrap_or_default();
                return Some(format!("{author} says {to} envelopes, of which {} are final at {}", tip.seq, node.name));
            }
        }
    }
    None
}

/// I22 at the end.
pub(super) fn honest_statements_are_final(world: &World) -> Result<(), Violation> {
    let waits = waits_for_finality(world);
    waits.map_or(Ok(()), |text| Err(Violation::new("I22 honest statements become final", text)))
}
