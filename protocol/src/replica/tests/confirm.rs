//! Restored homes, stopped keys, and what a confirmation takes (spec 4.12).

use crate::effect::{Authoring, ConfirmRefused, Evidence, HaltReason, Replaces, WriteRefused};
use crate::ids::{Id, Tip};
use crate::testing::TestAlliance;

use super::world::World;

/// Three nations; the first has written three statements that all hold, and its home is an older copy with one of them.
fn restored(seed: u64, with_sentinel: bool) -> (World, Tip) {
    let mut world = World::mesh(seed, 3);
    world.run(2_000);
    for number in 1..=3 {
        world.write(0, number, "tents");
    }
    world.run(3_000);
    assert!(world.converged());
    let me = world.nodes[0].replica.me();
    let tip = world.nodes[0].replica.state().chain(&me).expect("it wrote").tip();
    world.nodes[0].disk.forget_above(me, 1);
    world.nodes[0].disk.authoring = Authoring::Restored { sentinel: with_sentinel.then_some(tip), stored: 1 };
    (world, tip)
}

#[test]
fn a_restored_home_fetches_its_own_chain_and_writes_only_after_a_confirmation() {
    for with_sentinel in [true, false] {
        let (mut world, tip) = restored(61, with_sentinel);
        world.crash(0);
        let reason = HaltReason::Restored { sentinel: with_sentinel.then_some(tip), stored: 1 };
        let refused = world.write(0, 4, "too early");
        assert_eq!(world.nodes[0].written[&refused], Err(WriteRefused::Halted(reason)));
        world.run(5_000);
        assert!(world.converged(), "it serves and syncs, its own chain included");
        assert_eq!(world.nodes[0].replica.halted(), Some(reason), "having it back is not enough");
        let adoption = world.nodes[0].replica.adoption();
        assert_eq!((adoption.tip, adoption.shown, adoption.compared.len(), adoption.nations.len()), (tip, 3, 2, 2));
        assert_eq!((adoption.halted, adoption.against), (Some(reason), None));
        let other = Tip { seq: 3, id: Id::new([9; 32]) };
        assert_eq!(world.confirm(0, other, Evidence::Peers), Err(ConfirmRefused::OtherTip { tip }));
        assert_eq!(world.confirm(0, tip, Evidence::Peers), Ok(tip));
        let written = world.write(0, 4, "again");
        assert!(world.nodes[0].written[&written].is_ok());
        assert_eq!(world.confirm(0, tip, Evidence::Peers), Err(ConfirmRefused::NotHalted));
        world.run(3_000);
        assert!(world.converged());
        let me = world.nodes[0].replica.me();
        let chain = world.nodes[2].replica.state().chain(&me).expect("everybody has it");
        assert_eq!((chain.fork(), chain.tip().seq), (None, 4));
        world.crash(0);
        assert_eq!(world.nodes[0].replica.halted(), None, "the release is durable");
    }
}

#[test]
fn a_restored_home_without_peers_confirms_only_at_its_owners_peril_and_never_below_its_sentinel() {
    for with_sentinel in [true, false] {
        let (mut world, sentinel) = restored(62, with_sentinel);
        world.cut(0, 1);
        world.cut(0, 2);
        world.crash(0);
        world.run(30_000);
        let tip = world.nodes[0].replica.adoption().tip;
        assert_eq!(tip.seq, 1);
        let below = ConfirmRefused::BelowSentinel { sentinel, held: 1 };
        let asked = world.confirm(0, tip, Evidence::Peers);
        let alone = world.confirm(0, tip, Evidence::Nobody);
        match with_sentinel {
            true => assert_eq!((asked, alone), (Err(below), Err(below))),
            false => assert_eq!((asked, alone), (Err(ConfirmRefused::NoPeer), Ok(tip))),
        }
    }
}

#[test]
fn a_peer_that_shows_more_than_it_delivers_stands_against_a_confirmation() {
    let (mut world, tip) = restored(63, false);
    world.crash(0);
    // Frontiers come before the runs that they make the node ask for.
    world.run_until(10_000, "a comparison", |world| !world.nodes[0].replica.adoption().compared.is_empty());
    let adoption = world.nodes[0].replica.adoption();
    if adoption.tip != tip {
        assert!(matches!(adoption.against, Some(ConfirmRefused::PeerShowsMore { shown: 3, held, .. }) if held < 3));
        assert_eq!(adoption.against_alone, None);
    }
    world.run_until(10_000, "its own chain", |world| world.nodes[0].replica.adoption().tip == tip);
    assert_eq!(world.nodes[0].replica.adoption().against, None);
}

#[test]
fn an_envelope_from_elsewhere_stops_authoring_also_after_a_restart_until_it_is_adopted() {
    let mut alliance = TestAlliance::new(64, &[("UKR", 1), ("POL", 1)]);
    let mut clone = alliance.node(0, 0).clone();
    let envelope = clone.envelope(900, b"said by a clone".to_vec());
    let mut world = World::new(64, alliance);
    let elements = world.alliance.elements();
    world.add(0, 0, elements.clone());
    world.add(1, 0, [elements, envelope.elements().to_vec()].concat());
    world.connect(0, 1);
    world.run(2_000);
    let tip = envelope.header.tip();
    let reason = HaltReason::ForeignOwn { tip };
    assert_eq!(world.nodes[0].disk.authoring, Authoring::Halted(reason), "saved with what caused it");
    world.crash(0);
    assert_eq!(world.nodes[0].replica.halted(), Some(reason));
    let refused = world.write(0, 1, "no");
    assert_eq!(world.nodes[0].written[&refused], Err(WriteRefused::Halted(reason)));
    world.run(3_000);
    assert_eq!(world.confirm(0, tip, Evidence::Peers), Ok(tip));
    let written = world.write(0, 1, "yes");
    assert!(world.nodes[0].written[&written].is_ok());
}

#[test]
fn a_forked_key_is_never_released() {
    let mut world = World::mesh(65, 3);
    world.run(2_000);
    world.write(0, 1, "tents");
    world.run(2_000);
    // The home loses its second envelope, its sentinel and its guard; what it says instead makes a fork.
    world.cut(0, 1);
    world.cut(0, 2);
    let me = world.nodes[0].replica.me();
    world.nodes[0].disk.forget_above(me, 0);
    world.crash(0);
    world.write_with(0, 2, "tents of another life", Replaces::Nothing, None, 0);
    world.nodes[0].disk.authoring = Authoring::Restored { sentinel: None, stored: 0 };
    world.crash(0);
    world.heal(0, 1);
    world.heal(0, 2);
    world.run(30_000);
    let tip = world.nodes[0].replica.adoption().tip;
    for evidence in [Evidence::Peers, Evidence::Nobody] {
        assert_eq!(world.confirm(0, tip, evidence), Err(ConfirmRefused::Forked { seq: 1 }));
    }
}

#[test]
fn an_envelope_other_than_the_sentinels_is_not_adopted() {
    let (mut world, tip) = restored(66, true);
    let sentinel = Tip { seq: tip.seq, id: Id::new([7; 32]) };
    world.nodes[0].disk.authoring = Authoring::Restored { sentinel: Some(sentinel), stored: 1 };
    world.crash(0);
    world.run(5_000);
    assert_eq!(world.confirm(0, tip, Evidence::Peers), Err(ConfirmRefused::OtherAtSentinel { sentinel }));
    assert_eq!(world.confirm(0, tip, Evidence::Nobody), Err(ConfirmRefused::OtherAtSentinel { sentinel }));
}

#[test]
fn an_own_envelope_whose_row_was_damaged_is_taken_back_without_an_alarm() {
    let mut world = World::mesh(67, 3);
    world.run(2_000);
    for number in 1..=4 {
        world.write(0, number, "tents");
    }
    world.run(3_000);
    let me = world.nodes[0].replica.me();
    world.nodes[0].disk.lose(me, 2..=3);
    world.crash(0);
    assert_eq!(world.nodes[0].replica.halted(), Some(HaltReason::OwnBodyMissing { seq: 2 }));
    world.run(10_000);
    assert!(world.converged());
    assert_eq!(world.nodes[0].replica.halted(), None);
}
