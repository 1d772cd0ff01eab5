//! What the people at a node are told, and whether it stays true.

use comity_protocol::chain::Chain;
use comity_protocol::effect::{Authoring, ConfirmRefused, HaltReason, RequestId, WriteRefused, Written};
use comity_protocol::ids::{EnvelopeId, NationId};

use super::Violation;
use crate::sim::chronicle::Placed;
use crate::sim::node::Started;
use crate::sim::operator::Answered;
use crate::sim::plan::What;
use crate::sim::world::World;

/// Checks what a start found on the disk.
///
/// Promise 1: whatever was acknowledged at this node is there after any crash, unless its disk lied or rotted, or somebody
/// put an older copy in its place.
pub(in crate::sim) fn after_start(world: &World, node: usize, started: &Started) -> Result<(), Violation> {
    stopped_stays_stopped(world, node, started)?;
    let harm = world.nodes[node].harm;
    if harm.may_have_forgotten() || (harm.rotten && !started.damage.is_empty()) {
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

/// I17, across restarts: a home that met an envelope under its own key, and has it on its disk, remembers that it stopped.
fn stopped_stays_stopped(world: &World, node: usize, started: &Started) -> Result<(), Violation> {
    let of = &world.nodes[node];
    match of.watch.met.filter(|met| started.envelopes.contains(met)) {
        Some(met) if started.authoring == Authoring::Free && !of.harm.rotten => {
            let text = format!("{} has forgotten that it met {}", of.name, met.short());
            Err(Violation::new("I17 a node that was stopped stays so", text))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks that an order was answered.
///
/// I23: writes never wait. Every order at a node that is up gets its answer in the same turn, whoever else is reachable;
/// only a turn whose saving failed, or that ended the process, leaves its callers without one.
pub(in crate::sim) fn after_order(world: &World, request: RequestId, went: bool) -> Result<(), Violation> {
    match world.chronicle.placed.get(&request) {
        Some(placed) if went && placed.outcome.is_none() => {
            let text = format!("{} at {} got no answer", placed.order.what, world.nodes[placed.node].name);
            Err(Violation::new("I23 writes never wait", text))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks an answer to a write.
pub(in crate::sim) fn after_answer(world: &mut World, request: RequestId) -> Result<(), Violation> {
    let placed = &world.chronicle.placed[&request];
    match &placed.outcome {
        None => Ok(()),
        Some(Ok(written)) => {
            let (node, written) = (placed.node, written.clone());
            answered_as_meant(world, placed)?;
            one_answer_for_one_key(world, placed, &written)?;
            halted_nodes_write_nothing(world, node, &written)?;
            confirmed_is_held(world, node, &written.version, &written.held_by)?;
            said_once(world, node, &written.version)
        }
        Some(Err(refused)) => {
            refused_for_a_reason(world, placed.node, refused)?;
            answered_as_meant(world, placed)
        }
    }
}

/// Checks the nations that confirm holding a write.
pub(in crate::sim) fn after_held(world: &World, request: RequestId) -> Result<(), Violation> {
    let placed = &world.chronicle.placed[&request];
    let (Some(Ok(written)), Some(nations)) = (&placed.outcome, &placed.held) else {
        let text = format!("{} was told who holds it before it was answered", world.nodes[placed.node].name);
        return Err(Violation::new("what is said to be held is held (4.12)", text));
    };
    if nations.len() < placed.order.wait {
        let text = format!("asked for {} nations, told of {}", placed.order.wait, nations.len());
        return Err(Violation::new("what is said to be held is held (4.12)", text));
    }
    confirmed_is_held(world, placed.node, &written.version, nations)
}

/// An order is carried out, or refused for the reason it was made for, unless the node's own circumstances forbid it to write.
fn answered_as_meant(world: &World, placed: &Placed) -> Result<(), Violation> {
    let Some(outcome) = &placed.outcome else { return Ok(()) };
    let key = placed.order.idempotency.as_ref().map(|idempotency| (placed.node, idempotency.key.clone()));
    let of_another = matches!(placed.order.what, "repeat" | "key of another order");
    let forgot = of_another && key.is_some_and(|key| !world.chronicle.remembered.contains_key(&key));
    if forgot || world.nodes[placed.node].harm.may_have_forgotten() {
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

/// I23, the other half: a node refuses to write for its own circumstances only where it has them. A key that stands is
/// active; only a home that was restored, cloned, betrayed by its disk or damaged halts; only a disk that was filled is full.
fn refused_for_a_reason(world: &World, node: usize, refused: &WriteRefused) -> Result<(), Violation> {
    let of = &world.nodes[node];
    let excused = match refused {
        // A damaged roster comes again from peers.
        WriteRefused::NotActive => {
            // Whoever was not let in yet, or has not heard of it.
            let charter = of.state().and_then(comity_protocol::evaluate::State::charter);
            let is_out = charter.is_none_or(|charter| !charter.members.contains_key(&of.config.nation));
            of.retired || of.harm.rotten || of.suspended || is_out || world.officers[of.nation].was_upset
        }
        WriteRefused::Halted(
            HaltReason::ForeignOwn { .. }
            | HaltReason::Restored { .. }
            | HaltReason::Forked { .. }
            | HaltReason::OwnBodyMissing { .. },
        ) => of.harm.may_have_forgotten() || of.harm.rotten,
        WriteRefused::StorageFull => {
            world.plan.steps.iter().any(|step| matches!(step.what, What::DiskFull { node: full, .. } if full == node))
        }
        WriteRefused::Halted(HaltReason::Rules { rules }) => *rules > of.config.rules_max,
        // No run writes so much, or waits for so many.
        WriteRefused::Quota { .. } | WriteRefused::TooManyWaiting => false,
        WriteRefused::OtherContent { .. }
        | WriteRefused::IdempotencyKey
        | WriteRefused::Count { .. }
        | WriteRefused::Exists { .. }
        | WriteRefused::NoRecord { .. }
        | WriteRefused::OtherVersion { .. }
        | WriteRefused::Void(_)
        | WriteRefused::TooLarge { .. } => true,
    };
    if excused {
        return Ok(());
    }
    Err(Violation::new("I23 writes never wait", format!("{} has no reason to refuse: {refused}", of.name)))
}

/// One key, one answer: a write under an idempotency key gives the same version for ever at one node, through crashes and
/// restarts, unless its home was replaced by an older copy or its disk lied or rotted.
fn one_answer_for_one_key(world: &World, placed: &Placed, written: &Written) -> Result<(), Violation> {
    let Some(idempotency) = &placed.order.idempotency else { return Ok(()) };
    let first = world.chronicle.remembered.get(&(placed.node, idempotency.key.clone())).unwrap_or(&written.version);
    let of = &world.nodes[placed.node];
    if *first == written.version || of.harm.may_have_forgotten() || of.harm.rotten {
        return Ok(());
    }
    let text = format!("{} answered one key with {} and {}", of.name, first.short(), written.version.short());
    Err(Violation::new("one idempotency key has one answer (4.12)", text))
}

/// I17: a node whose home lost its sentinel, or that met an envelope under its own key which it did not write, acknowledges
/// and says nothing new until it is released.
fn halted_nodes_write_nothing(world: &World, node: usize, written: &Written) -> Result<(), Violation> {
    let of = &world.nodes[node];
    if written.replayed || (of.watch.foreign_own.is_none() && !of.watch.stopped) {
        return Ok(());
    }
    let why = of
        .watch
        .foreign_own
        .map_or_else(|| "its home was restored".to_owned(), |met| format!("it met {}", met.short()));
    let text = format!("{} wrote {} after {why}", of.name, written.version.short());
    Err(Violation::new("I17 a stopped node says nothing new", text))
}

/// Checks the answer to a confirmation, once all is healed and quiet.
///
/// The other half of I17: a node is not stopped for ever. Where its whole chain is with its peers, nothing stands against it.
pub(in crate::sim) fn after_confirmation(
    world: &World,
    node: usize,
    refused: &ConfirmRefused,
) -> Result<(), Violation> {
    let of = &world.nodes[node];
    let lost = match refused {
        ConfirmRefused::BelowSentinel { sentinel, .. } | ConfirmRefused::OtherAtSentinel { sentinel } => {
            !world.speakers().iter().any(|other| *other != node && world.nodes[*other].durable.contains(&sentinel.id))
        }
        ConfirmRefused::Forked { .. } => true,
        // A liar shows what it does not have; a flipped bit may have hit what nobody else holds.
        ConfirmRefused::PeerShowsMore { .. } | ConfirmRefused::NoPeer => {
            world.somebody_lies() || world.speakers().len() < 2
        }
        // What it told only nodes that lie, or that were retired since, they may keep to themselves.
        ConfirmRefused::Incomplete { seq } => {
            let has = |other: &usize| {
                let chain = world.nodes[*other].state().and_then(|state| state.chain(&of.author));
                chain.is_some_and(|chain| chain.at(*seq).any(|held| held.body().is_some()))
            };
            !world.speakers().iter().any(|other| *other != node && has(other))
        }
        // It looks again for room after a pause.
        ConfirmRefused::StorageFull => true,
        ConfirmRefused::NotHalted | ConfirmRefused::OtherTip { .. } => false,
    };
    if lost || of.harm.chain_may_fork() || of.harm.rotten {
        return Ok(());
    }
    Err(Violation::new("I17 a restored node is released when its chain is back", format!("{}: {refused}", of.name)))
}

/// I2: no honest key says two envelopes at one position, in any of its lives, unless it was restored, cloned or betrayed by
/// its disk.
fn said_once(world: &mut World, node: usize, id: &EnvelopeId) -> Result<(), Violation> {
    let author = world.nodes[node].author;
    let chain = world.nodes[node].state().and_then(|state| state.chain(&author));
    let Some(seq) = chain.and_then(|chain| chain.get(id)).map(comity_protocol::chain::Held::seq) else { return Ok(()) };
    let said = world.chronicle.spoken.entry((author, seq)).or_default();
    said.entry(*id).or_insert(node);
    said_no_more_than_once(world, &author, seq)
}

/// I2, for what was overheard or acknowledged at a position.
pub(in crate::sim) fn said_no_more_than_once(
    world: &World,
    author: &comity_protocol::ids::AuthorId,
    seq: u64,
) -> Result<(), Violation> {
    let said = world.chronicle.spoken.get(&(*author, seq));
    let homes = || world.nodes.iter().filter(|node| node.author == *author);
    let harmed = homes().any(|node| node.harm.chain_may_fork());
    // What a home lost with its sentinel nobody can know who never heard it, and a liar may keep to himself.
    let blind = homes().any(|node| node.harm.blind);
    let others = || world.nodes.iter().filter(|node| node.author != *author);
    let forgotten = |id: &EnvelopeId| blind && !others().any(|other| other.durable.contains(id));
    let known = said.map_or(0, |said| said.keys().filter(|id| !forgotten(id)).count());
    match said {
        Some(said) if known > 1 && !harmed && !(blind && world.somebody_lies()) => {
            let ids: Vec<String> = said.keys().map(EnvelopeId::short).collect();
            let text = format!("{} said {} at {seq}", world.name_of(&author.key), ids.join(" and "));
            Err(Violation::new("I2 no honest key says two envelopes at one position", text))
        }
        Some(_) | None => Ok(()),
    }
}

/// Held means held: every honest nation that is said to hold an envelope has a node on whose disk it is, body included,
/// unless that nation's homes were replaced, cloned, betrayed or damaged since.
fn confirmed_is_held(world: &World, node: usize, id: &EnvelopeId, nations: &[NationId]) -> Result<(), Violation> {
    for nation in nations {
        let mut of = world.nodes.iter().filter(|node| node.config.nation == *nation && !world.lies(node.nation));
        let excused = of.clone().any(|node| node.harm.may_have_forgotten() || node.harm.rotten);
        if excused || of.clone().next().is_none() || of.any(|node| node.durable.contains(id)) {
            continue;
        }
        let text = format!("{} was told that {} holds {}", world.nodes[node].name, nation.short(), id.short());
        return Err(Violation::new("what is said to be held is held (4.12)", text));
    }
    Ok(())
}

/// Promise 1 for `--wait`: what other nations were said to hold is with every honest node in the end, even if the node that
/// wrote it is gone, as long as one of those nations is honest and kept its homes. Whether it still counts is for the cuts
/// and forks of its author's chain.
pub(super) fn confirmed_is_everywhere(world: &World) -> Result<(), Violation> {
    let speakers = world.speakers();
    let sound = |nation: &NationId| {
        let mut of = world.nodes.iter().filter(|node| node.config.nation == *nation);
        of.clone().next().is_some_and(|first| !world.lies(first.nation))
            && of.clone().any(|node| node.is_honest_and_up() && !node.retired && !node.gone)
            && of.all(|node| !node.harm.may_have_forgotten() && !node.harm.rotten && !node.retired && !node.gone)
    };
    for placed in world.chronicle.placed.values() {
        let (Some(Ok(written)), Some(nations)) = (&placed.outcome, &placed.held) else { continue };
        if !nations.iter().any(sound) {
            continue;
        }
        let author = world.nodes[placed.node].author;
        for number in &speakers {
            let chain = world.nodes[*number].state().and_then(|state| state.chain(&author));
            let held = chain.and_then(|chain| chain.get(&written.version)).is_some_and(|held| held.body().is_some());
            if !held && chain.is_none_or(|chain: &Chain| chain.fork().is_none()) {
                let (name, at) = (&world.nodes[placed.node].name, &world.nodes[*number].name);
                let text = format!("{} of {name} was confirmed and is not at {at}", written.version.short());
                return Err(Violation::new("what is said to be held is held (4.12)", text));
            }
        }
    }
    Ok(())
}
