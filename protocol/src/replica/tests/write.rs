//! Own writes: answers, repetitions, confirmations, and when a node must not write.

use super::world::World;
use crate::effect::{Alarm, HaltReason, Input, Replaces, Storage, WriteRefused};
use crate::testing::TestAlliance;

#[test]
fn the_same_key_gives_the_same_answer_even_after_a_restart() {
    let mut world = World::mesh(40, 2);
    world.run(1_000);
    let first = world.write_with(0, 1, "tents", Replaces::Nothing, Some("order-1"), 0);
    let first = world.nodes[0].written[&first].clone().expect("written");
    assert!(!first.replayed);
    world.crash(0);
    world.run(2_000);
    // A new id for the record, as a caller draws it again: the key decides.
    let again = world.write_with(0, 2, "tents", Replaces::Nothing, Some("order-1"), 0);
    let again = world.nodes[0].written[&again].clone().expect("the remembered answer");
    assert_eq!((again.record, again.version, again.replayed), (first.record, first.version, true));
    assert_eq!(again.held_by, [world.alliance.nations[1].id]);
    let other = world.write_with(0, 3, "blankets", Replaces::Nothing, Some("order-1"), 0);
    let refused = WriteRefused::OtherContent { key: "order-1".into(), version: first.version };
    assert_eq!(world.nodes[0].written[&other], Err(refused));
    for bad in [String::new(), "x".repeat(129)] {
        let request = world.write_with(0, 4, "tents", Replaces::Nothing, Some(&bad), 0);
        assert_eq!(world.nodes[0].written[&request], Err(WriteRefused::IdempotencyKey));
    }
    assert_eq!(world.nodes[0].replica.state().chain(&world.nodes[0].replica.me()).expect("held").len(), 1);
}

#[test]
fn waiting_ends_when_as_many_nations_confirm() {
    let mut world = World::mesh(41, 4);
    world.run(2_000);
    let before = world.now;
    let request = world.write_with(0, 1, "tents", Replaces::Nothing, None, 3);
    assert!(world.nodes[0].written[&request].is_ok(), "answered before anybody confirmed");
    world.run_until(500, "three confirmations", |world| world.nodes[0].held.contains_key(&request));
    let (at, nations) = world.nodes[0].held[&request].clone();
    assert!(at.since(before) <= 50, "confirmed after {} ms", at.since(before));
    let mut others: Vec<_> = world.alliance.nations[1..].iter().map(|nation| nation.id).collect();
    others.sort_unstable();
    assert_eq!(nations, others);
    let id = world.version(0, request);
    assert_eq!(world.nodes[0].replica.held_by(&id), others);
}

#[test]
fn waiting_works_while_everybody_writes() {
    let mut world = World::mesh(42, 4);
    world.run(2_000);
    for round in 0..20 {
        for node in 0..4 {
            world.write_with(node, round * 4 + node as u64, "busy", Replaces::Nothing, None, 2);
        }
        world.run(20);
    }
    world.run_until(2_000, "all confirmations", |world| world.nodes.iter().all(|node| node.held.len() == 20));
    world.check_honest();
}

#[test]
fn a_nation_cut_off_confirms_nothing_until_it_is_back() {
    let mut world = World::mesh(43, 3);
    world.run(2_000);
    for peer in 0..2 {
        world.cut(peer, 2);
    }
    let request = world.write_with(0, 1, "tents", Replaces::Nothing, None, 2);
    let given_up = world.write_with(0, 2, "tents", Replaces::Nothing, None, 2);
    world.run(20_000);
    assert!(!world.nodes[0].held.contains_key(&request));
    let id = world.version(0, request);
    assert_eq!(world.nodes[0].replica.held_by(&id), [world.alliance.nations[1].id]);
    world.input(0, Input::StopWaiting { request: given_up });
    for peer in 0..2 {
        world.heal(peer, 2);
    }
    world.run_until(10_000, "the second confirmation", |world| world.nodes[0].held.contains_key(&request));
    assert!(!world.nodes[0].held.contains_key(&given_up));
}

#[test]
fn a_foreign_envelope_under_the_own_key_stops_authoring() {
    let mut alliance = TestAlliance::new(44, &[("UKR", 1), ("POL", 1)]);
    let mut clone = alliance.node(0, 0).clone();
    let envelope = clone.envelope(900, b"said by a clone".to_vec());
    let mut world = World::new(44, alliance);
    let elements = world.alliance.elements();
    world.add(0, 0, elements.clone());
    let mut all = elements;
    all.extend(envelope.elements());
    world.add(1, 0, all);
    world.connect(0, 1);
    world.run(2_000);
    let reason = HaltReason::ForeignOwn { tip: envelope.header.tip() };
    assert_eq!(world.nodes[0].replica.halted(), Some(reason));
    assert!(world.nodes[0].alarms.contains(&Alarm::Halted(reason)));
    let request = world.write(0, 1, "no");
    assert_eq!(world.nodes[0].written[&request], Err(WriteRefused::Halted(reason)));
    assert!(world.converged(), "what it said is kept and carried all the same");
}

#[test]
fn a_full_disk_refuses_writes_and_foreign_records_and_goes_on_serving() {
    let mut world = World::mesh(45, 3);
    world.run(2_000);
    world.write(0, 1, "before");
    world.run(2_000);
    world.input(0, Input::Storage(Storage::Full));
    let request = world.write(0, 2, "refused");
    assert_eq!(world.nodes[0].written[&request], Err(WriteRefused::StorageFull));
    world.write(1, 3, "not taken in");
    world.run(10_000);
    assert_eq!(world.nodes[0].replica.state().chains().count(), 1);
    world.cut(1, 2);
    world.crash(2);
    world.run(5_000);
    world.input(0, Input::Storage(Storage::Room));
    world.heal(1, 2);
    world.run_until(30_000, "convergence", World::converged);
    world.check_honest();
}

#[test]
fn a_node_in_no_roster_does_not_write() {
    let alliance = TestAlliance::new(46, &[("UKR", 1)]);
    let mut world = World::new(46, alliance);
    let genesis = world.alliance.genesis.clone();
    world.add(0, 0, vec![crate::evaluate::Element::Control(genesis)]);
    let request = world.write(0, 1, "too early");
    assert_eq!(world.nodes[0].written[&request], Err(WriteRefused::NotActive));
    let roster = world.alliance.nations[0].rosters[0].record().clone();
    let import = world.request();
    world.input(0, Input::Import { request: import, records: vec![(roster.kind(), roster.encode()), (9, vec![])] });
    let outcomes = world.nodes[0].imported[&import].clone();
    assert!(matches!(
        outcomes[..],
        [crate::effect::ImportOutcome::Accepted(_), crate::effect::ImportOutcome::Refused(_)]
    ));
    let request = world.write(0, 1, "in time");
    assert!(world.nodes[0].written[&request].is_ok());
    world.crash(0);
    let request = world.write(0, 2, "the roster was saved");
    assert!(world.nodes[0].written[&request].is_ok());
}
