//! Empty bodies past deadlines: one where it is needed, none where it is not, and a bound on all of them.

use std::collections::BTreeMap;

use crate::body::{Body, KIND_WITNESS};
use crate::effect::{Input, RecordWrite, Replaces, WriteRequest};
use crate::ids::Timestamp;
use crate::replica::silence::BODIES_PER_HOUR_MAX;
use crate::replica::tests::world::World;
use crate::statement::draft::{Draft, DraftValue};
use crate::statement::ledger::Ledger;
use crate::statement::prepare::{Entry, prepare};
use crate::testing::TestAlliance;
use crate::value::record_id_from;

const HOUR: u64 = 3_600_000;
/// The second node of UKR, which is no witness, and POL's, in [`world`].
const UKR_OTHER: usize = 1;
const POL: usize = 2;

fn world() -> World {
    let mut world = World::new(5, TestAlliance::new(5, &[("UKR", 2), ("POL", 1), ("DEU", 1)]));
    for (nation, node) in [(0, 0), (0, 1), (1, 0)] {
        let elements = world.alliance.elements();
        world.add(nation, node, elements);
    }
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        world.connect(a, b);
    }
    world.run(5_000);
    world
}

/// POL proposes something that closes at a moment.
fn propose(world: &mut World, number: u64, participants: &[&str], closes_at: Timestamp) {
    let text = |text: &str| DraftValue::from(text);
    let opens_at = Timestamp(world.now.0.min(closes_at.0 - 1)).rfc3339();
    let fields = BTreeMap::from([
        ("title".to_owned(), text("who leads")),
        ("text".to_owned(), text("POL leads.")),
        ("participants".to_owned(), DraftValue::List(participants.iter().map(|code| text(code)).collect())),
        ("opens_at".to_owned(), text(&opens_at)),
        ("closes_at".to_owned(), text(&closes_at.rfc3339())),
    ]);
    let draft = Draft { kind: "propose".to_owned(), fields, ..Draft::default() };
    let id = record_id_from(number);
    let prepared = {
        let replica = &world.nodes[POL].replica;
        let ledger = Ledger::of(replica.state());
        let nation = replica.me().nation;
        prepare(&Entry { ledger: &ledger, nation, draft: &draft, if_version: None, id: &id }).expect("a draft")
    };
    let write = RecordWrite {
        kind: "propose".to_owned(),
        id: prepared.id,
        replaces: Replaces::Nothing,
        fields: prepared.fields,
    };
    let request = world.request();
    world.input(POL, Input::Write(WriteRequest { request, writes: vec![write], idempotency: None, wait: 0 }));
}

/// The empty Witness bodies a node has written, with their times.
fn empty(world: &World, node: usize) -> Vec<Timestamp> {
    let replica = &world.nodes[node].replica;
    let chain = replica.state().chain(&replica.me());
    let bodies = chain.into_iter().flat_map(|chain| chain.iter()).filter(|held| held.kind() == KIND_WITNESS);
    let acknowledging = |held: &crate::chain::Held| match Body::decode(KIND_WITNESS, held.body().expect("its own")) {
        Ok(Body::Witness(witness)) => !witness.acks.is_empty(),
        _ => true,
    };
    bodies.filter(|held| !acknowledging(held)).map(|held| Timestamp(held.time_ms())).collect()
}

#[test]
fn a_key_that_says_nothing_writes_one_empty_body_past_the_deadline() {
    let mut world = world();
    let deadline = world.now.plus_ms(HOUR);
    propose(&mut world, 1, &["UKR", "POL"], deadline);
    world.run(HOUR - 10_000);
    assert_eq!(empty(&world, UKR_OTHER), []);
    world.run(2 * HOUR);
    let written = empty(&world, UKR_OTHER);
    assert_eq!(written.len(), 1, "{written:?}");
    assert!(written[0] >= deadline && written[0].since(deadline) < 60_000, "soon after it");
    assert!(world.converged());
    world.crash(UKR_OTHER);
    world.run(HOUR);
    assert_eq!(empty(&world, UKR_OTHER).len(), 1, "nor another one after a restart");
}

#[test]
fn a_node_that_was_down_at_the_deadline_writes_when_it_is_back() {
    let mut world = world();
    let deadline = world.now.plus_ms(HOUR);
    propose(&mut world, 1, &["UKR", "POL"], deadline);
    world.run(10_000);
    // Hours in which nobody came.
    world.now = deadline.plus_ms(5 * HOUR);
    world.crash(UKR_OTHER);
    world.run(120_000);
    assert_eq!(empty(&world, UKR_OTHER).len(), 1);
}

#[test]
fn a_key_that_wrote_past_the_deadline_and_one_that_takes_no_part_write_nothing() {
    let mut world = world();
    let deadline = world.now.plus_ms(HOUR);
    propose(&mut world, 1, &["DEU", "POL"], deadline);
    world.run(2 * HOUR);
    assert_eq!(empty(&world, UKR_OTHER), [], "it takes no part");
    // A proposal that closed long ago when it arrives, and the key has spoken since.
    world.write(UKR_OTHER, 9, "something");
    let past = Timestamp(world.now.0 - HOUR);
    propose(&mut world, 2, &["UKR", "POL"], past);
    world.run(HOUR);
    assert_eq!(empty(&world, UKR_OTHER), []);
}

#[test]
fn many_proposals_write_no_more_than_a_few_bodies_an_hour() {
    let mut world = world();
    let start = world.now.plus_ms(HOUR);
    for number in 0..40 {
        propose(&mut world, number, &["UKR", "POL"], start.plus_ms(number * 60_000));
    }
    world.run(4 * HOUR);
    let written = empty(&world, UKR_OTHER);
    assert!(written.last().is_some_and(|at| *at >= start.plus_ms(39 * 60_000)), "the last deadline too is proved");
    let in_any_hour = |some: &[Timestamp]| some[BODIES_PER_HOUR_MAX].since(some[0]) >= HOUR;
    assert!(written.len() <= 2 * BODIES_PER_HOUR_MAX, "{written:?}");
    assert!(written.windows(BODIES_PER_HOUR_MAX + 1).all(in_any_hour), "{written:?}");
}
