//! What must hold at every step of a run, on every honest node.

use comity_protocol::effect::{HaltReason, LinkId};
use comity_protocol::evaluate::{Changes, Standing, State};
use comity_protocol::ids::Digest;
use comity_protocol::message::{Frame, TAG_BY_ID_REPLY, TAG_FRONTIER_REPLY, TAG_RUN};

use super::{Violation, evaluation, record, votes, witness};
use crate::sim::world::World;

pub(in crate::sim) use super::promises::{
    after_answer, after_confirmation, after_held, after_order, after_start, said_no_more_than_once,
};

/// Every so many turns of honest nodes, the record of the one whose turn it was is looked at in whole.
const RECORD_EVERY: u64 = 97;
/// Every so many turns, it is evaluated again from the set.
const EVALUATION_EVERY: u64 = 1_501;

/// Checks a node after its turn.
pub(in crate::sim) fn after_turn(world: &mut World, node: usize) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let digests = digests(process.replica.state());
    honest_never_strikes_honest(world, node)?;
    nothing_changes_unsaid(world, node, &digests)?;
    witness::stopped_witnesses_say_nothing(world, node)?;
    votes::anchor_stands(world, node)?;
    let watch = &mut world.nodes[node].watch;
    watch.digests = Some(digests);
    watch.changed = false;
    world.chronicle.turns += 1;
    if world.chronicle.turns.is_multiple_of(RECORD_EVERY) {
        record::is_sound(world, node)?;
        nobody_honest_has_a_strike(world, node)?;
    }
    if world.chronicle.turns.is_multiple_of(EVALUATION_EVERY) {
        evaluation::of_the_set_is_the_state(world, node)?;
    }
    Ok(())
}

/// Checks what a node says has changed in its record, in the middle of a turn.
pub(in crate::sim) fn after_change(world: &mut World, node: usize, changes: &Changes) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let (state, me) = (process.replica.state(), world.nodes[node].author);
    let mut foreign_own = None;
    for id in &changes.headers {
        let Some(view) = state.envelope(id) else { continue };
        record::nobody_speaks_for_another(world, node, &view.chain.author(), id)?;
        let of = &world.nodes[node];
        // A row of the own chain that rotted comes back from peers; this home has signed it.
        let mended = of.harm.rotten && of.watch.wrote.contains(id);
        if view.chain.author() == me && !of.watch.fresh.contains(id) && !mended {
            foreign_own = Some(*id);
        } else if view.chain.author() == me && of.watch.fresh.contains(id) {
            witness::acknowledges_what_it_holds(world, node, id)?;
            votes::speaks_by_rules_it_knows(world, node)?;
        }
    }
    for placed in &changes.accepted {
        if let Some(chain) = state.chain(&placed.author) {
            record::ends_at_its_cut(world, node, chain)?;
        }
    }
    // A restored home has stopped already, and only its sentinel says so: a disk that lies may lose it and keep the envelope.
    let restored = matches!(process.replica.halted(), Some(HaltReason::Restored { .. }));
    let forgets = restored && world.nodes[node].harm.betrayed;
    if changes.charter {
        votes::one_successor(world, node)?;
    }
    let watch = &mut world.nodes[node].watch;
    watch.changed = true;
    watch.foreign_own = watch.foreign_own.or(foreign_own);
    watch.met = watch.met.or(foreign_own.filter(|_| !forgets));
    witness::take_note(world, node, &changes.acknowledged)
}

/// Checks a frame of an answer that a node gives.
pub(in crate::sim) fn after_answer_to(world: &World, node: usize, link: LinkId, frame: &[u8]) -> Result<(), Violation> {
    let tag = frame.get(..2).map_or(0, |tag| u16::from_be_bytes([tag[0], tag[1]]));
    if !matches!(tag, TAG_FRONTIER_REPLY | TAG_RUN | TAG_BY_ID_REPLY) {
        return Ok(());
    }
    spoken_to_members_only(world, node, link)?;
    if tag == TAG_FRONTIER_REPLY { claims_only_what_is_durable(world, node, frame) } else { Ok(()) }
}

/// Strangers hear of no envelope (4.13): what is pushed, or answered to a question for envelopes, goes to keys that stand in
/// an evaluated roster of the node that speaks. A key that was retired in this very turn may still be answered.
pub(in crate::sim) fn spoken_to_members_only(world: &World, node: usize, link: LinkId) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let Some(peer) = world.nodes[node].links.get(&link) else { return Ok(()) };
    match process.replica.state().standing(peer) {
        Standing::Active { .. } | Standing::Retired { .. } => Ok(()),
        Standing::Unknown => {
            let text = format!("{} tells {} of envelopes", world.nodes[node].name, world.name_of(peer));
            Err(Violation::new("strangers hear of no envelope (4.13)", text))
        }
    }
}

/// Saved before claimed (4.12): a frontier names as held with its body only what is durable at the node that says so, since
/// others count on it as a copy.
fn claims_only_what_is_durable(world: &World, node: usize, frame: &[u8]) -> Result<(), Violation> {
    if world.nodes[node].process().is_none() {
        return Ok(());
    }
    let Ok(Frame::FrontierReply(entries)) = Frame::decode(frame) else { return Ok(()) };
    let whole = entries.iter().flat_map(|entry| &entry.heads).filter(|head| head.bodies_to >= head.tip.seq);
    match whole.map(|head| head.tip).find(|tip| !world.nodes[node].durable.contains(&tip.id)) {
        None => Ok(()),
        Some(tip) => {
            let text = format!(
                "{} claims to hold envelope {} ({}), not durable",
                world.nodes[node].name,
                tip.seq,
                tip.id.short()
            );
            Err(Violation::new("saved before spoken (4.12)", text))
        }
    }
}

/// I12: an honest node never gets three strikes from an honest node.
fn honest_never_strikes_honest(world: &World, node: usize) -> Result<(), Violation> {
    let honest = |key| world.nodes.iter().any(|node| node.author.key == key && !world.lies(node.nation));
    match world.chronicle.struck.iter().find(|(by, peer)| *by == node && honest(*peer)) {
        Some((_, peer)) => {
            let text = format!("{} struck out {}", world.nodes[node].name, world.name_of(peer));
            Err(Violation::new("I12 an honest node is never struck out by an honest one", text))
        }
        None => Ok(()),
    }
}

/// I12, the stronger half: an honest node does not get a single strike from an honest node, whatever liars, crashes and
/// clones do, for all it is struck for is what it could have checked itself (F18).
pub(super) fn nobody_honest_has_a_strike(world: &World, node: usize) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let honest = |key| world.nodes.iter().any(|node| node.author.key == key && !world.lies(node.nation));
    match process.replica.peers().iter().find(|peer| peer.strikes > 0 && honest(peer.key)) {
        None => Ok(()),
        Some(peer) => {
            let text =
                format!("{} has {} strikes against {}", world.nodes[node].name, peer.strikes, world.name_of(&peer.key));
            Err(Violation::new("I12 an honest node gets no strike from an honest one", text))
        }
    }
}

/// I9: invalid input changes nothing. A node says of every change of its record that it happened, and has it saved in the
/// same turn; in a turn in which it says of none, `held`, `control` and `state` stay what they were, whatever came.
fn nothing_changes_unsaid(world: &World, node: usize, digests: &[Digest; 3]) -> Result<(), Violation> {
    let watch = &world.nodes[node].watch;
    match &watch.digests {
        Some(before) if before != digests && !watch.changed => {
            let text = format!("the digests of {} changed in a turn that took nothing in", world.nodes[node].name);
            Err(Violation::new("I9 invalid input changes nothing", text))
        }
        Some(_) | None => Ok(()),
    }
}

fn digests(state: &State) -> [Digest; 3] {
    [state.held(), state.control(), state.state()]
}
