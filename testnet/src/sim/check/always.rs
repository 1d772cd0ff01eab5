//! What must hold at every step of a run, on every honest node.

use comity_protocol::effect::RequestId;

use super::Violation;
use crate::sim::node::Started;
use crate::sim::operator::Answered;
use crate::sim::world::World;

/// Checks a node after its turn.
pub(in crate::sim) fn after_turn(world: &World, node: usize) -> Result<(), Violation> {
    honest_never_strikes_honest(world, node)
}

/// Checks what a start found on the disk.
///
/// Promise 1: whatever was acknowledged at this node is there after any crash, unless its disk lied or rotted, or somebody
/// put an older copy in its place.
pub(in crate::sim) fn after_start(world: &World, node: usize, started: &Started) -> Result<(), Violation> {
    let harm = world.nodes[node].harm;
    if harm.chain_may_fork() || (harm.rotten && !started.damage.is_empty()) {
        return Ok(());
    }
    let lost = world.chronicle.acknowledged.iter().find(|(id, at)| **at == node && !started.envelopes.contains(id));
    match lost {
        None => Ok(()),
        Some((id, _)) => {
            let name = &world.nodes[node].name;
            Err(Violation::new("nothing acknowledged is lost", format!("{name} starts without {}", id.short())))
        }
    }
}

/// Checks an answer to a write: an order is carried out or refused for the reason it was made for, unless the node's own
/// circumstances forbid it to write.
pub(in crate::sim) fn after_answer(world: &World, request: RequestId) -> Result<(), Violation> {
    let placed = &world.chronicle.placed[&request];
    let Some(outcome) = &placed.outcome else { return Ok(()) };
    let key = placed.order.idempotency.as_ref().map(|idempotency| (placed.node, idempotency.key.clone()));
    let forgot = key.is_some_and(|key| !world.chronicle.remembered.contains_key(&key));
    if forgot || world.nodes[placed.node].harm.chain_may_fork() {
        // Nobody was ever answered under that key, or the memory of it went with the node's disk.
        return Ok(());
    }
    match placed.order.meant.compare(outcome) {
        Answered::AsMeant | Answered::Circumstances => Ok(()),
        Answered::Otherwise => {
            let text = format!(
                "{}: {} was meant {:?} and got {outcome:?}",
                world.nodes[placed.node].name, placed.order.what, placed.order.meant
            );
            Err(Violation::new("orders are answered as they are meant", text))
        }
    }
}

/// Checks the nations that confirm holding a write.
pub(in crate::sim) fn after_held(_world: &World, _request: RequestId) -> Result<(), Violation> {
    Ok(())
}

/// I12: an honest node never gets three strikes from an honest node.
fn honest_never_strikes_honest(world: &World, node: usize) -> Result<(), Violation> {
    let honest = |key| world.nodes.iter().any(|node| node.author.key == key && !world.lies(node.nation));
    match world.chronicle.struck.iter().find(|(by, peer)| *by == node && honest(*peer)) {
        Some((_, peer)) if !world.lies(world.nodes[node].nation) => {
            let text = format!("{} struck out {}", world.nodes[node].name, world.name_of(peer));
            Err(Violation::new("I12 an honest node is never struck out by an honest one", text))
        }
        Some(_) | None => Ok(()),
    }
}
