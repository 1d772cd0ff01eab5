//! Courier files: what a file brings is checked and taken in as from a peer, and nobody is struck.

use std::convert::Infallible;

use super::world::World;
use crate::bundle::{BrokenRecord, Carried, Export, Kind, Piece, Plan, Reader, Wanted, export};
use crate::effect::Input;
use crate::ids::EnvelopeId;
use crate::message::pack::Packed;
use crate::message::run::RunError;
use crate::testing::{FOUNDED_MS, TestAlliance};

/// The frames of the courier file that one node writes for another.
fn frames(world: &World, from: usize, wanted: Wanted) -> Vec<Vec<u8>> {
    let replica = &world.nodes[from].replica;
    let request = Export {
        kind: Kind::Courier,
        wanted,
        packed: Packed::Sparse,
        exporter: replica.me(),
        created_ms: FOUNDED_MS,
        software: "comity test".to_owned(),
    };
    let mut reader = Reader::new();
    let mut frames = Vec::new();
    let written = export(replica.state(), &request, None, |bytes| {
        assert_eq!(reader.feed(bytes), bytes.len());
        while let Some(frame) = reader.poll().expect("it is whole") {
            if !matches!(frame.piece, Piece::Manifest(_) | Piece::Seal(_)) {
                frames.push(frame.bytes);
            }
        }
        Ok::<(), Infallible>(())
    });
    written.expect("nothing fails");
    reader.finish().expect("it is whole");
    frames
}

fn carry(world: &mut World, to: usize, frames: Vec<Vec<u8>>) -> Carried {
    let request = world.request();
    world.input(to, Input::Carried { request, frames });
    world.nodes[to].carried[&request].clone()
}

/// Two nodes that never meet, each with its own nation's words.
fn apart(seed: u64) -> World {
    let alliance = TestAlliance::new(seed, &[("DEU", 1), ("UKR", 1)]);
    let elements = alliance.elements();
    let mut world = World::new(seed, alliance);
    for nation in 0..2 {
        world.add(nation, 0, elements.clone());
    }
    for number in 0..20 {
        world.write(0, number, "from Berlin");
        world.write(1, number, "from Kyiv");
    }
    world
}

fn frontier(world: &World, node: usize) -> Wanted {
    Wanted::Since(Plan::of(world.nodes[node].replica.state(), &Wanted::Nothing).frontier)
}

#[test]
fn two_nodes_that_never_meet_converge_by_files() {
    let mut world = apart(71);
    let there = frames(&world, 0, Wanted::All);
    let carried = carry(&mut world, 1, there.clone());
    assert_eq!(carried.envelopes_new.values().sum::<u64>(), 20, "{carried:?}");
    assert!(carried.refused.is_empty(), "{carried:?}");
    let back = frames(&world, 1, frontier(&world, 0));
    let carried = carry(&mut world, 0, back);
    // The last of Berlin's own comes back with it: it would prove a fork.
    assert_eq!((carried.envelopes_new.values().sum::<u64>(), carried.envelopes_known), (20, 0), "{carried:?}");
    let digests = |node: usize| {
        let state = world.nodes[node].replica.state();
        (state.held(), state.control(), state.state())
    };
    assert_eq!(digests(0), digests(1));
    let again = carry(&mut world, 1, there);
    assert!(again.envelopes_new.is_empty() && again.control_new == 0 && again.refused.is_empty(), "{again:?}");
    assert_eq!(again.envelopes_known, 20);
    // What was taken in is durable.
    let held = world.nodes[1].replica.state().held();
    world.crash(1);
    assert_eq!(world.nodes[1].replica.state().held(), held);
}

#[test]
fn a_file_that_lies_changes_nothing_and_strikes_nobody() {
    let mut world = apart(72);
    world.connect(0, 1);
    let honest = frames(&world, 0, Wanted::All);
    let before = world.nodes[1].replica.state().held();
    let Some(Ok(Piece::Run(run))) = honest
        .iter()
        .map(|frame| Piece::decode(frame))
        .find(|piece| matches!(piece, Ok(Piece::Run(run)) if run.author == world.nodes[0].replica.me()))
    else {
        panic!("Berlin's run")
    };
    let mut forged = run.clone();
    forged.items[3].time_ms += 1;
    let mut lost = run.clone();
    lost.first_seq += 5;
    lost.first_prev = EnvelopeId::new([7; 32]);
    let pieces = [Piece::Run(forged), Piece::Run(lost), Piece::Control { kind: 4, bytes: vec![1, 2, 3] }];
    let mut bad: Vec<Vec<u8>> = pieces.iter().map(Piece::encode).collect();
    bad.push(vec![9]);
    let carried = carry(&mut world, 1, bad);
    let rules: Vec<_> = carried.refused.iter().map(|(index, reason)| (*index, reason.rule())).collect();
    assert_eq!(rules, [(0, Some("R05")), (1, Some("R05")), (2, Some("R01")), (3, Some("R01"))]);
    assert!(matches!(carried.refused[0].1, BrokenRecord::Run(RunError::Signature { .. })));
    assert_eq!(world.nodes[1].replica.state().held(), before);
    assert!(world.nodes[1].replica.peers().iter().all(|peer| peer.strikes == 0));
}

#[test]
fn a_file_that_starts_above_what_is_held_is_refused_and_says_how_far_it_links() {
    let mut world = apart(73);
    let early = frontier(&world, 0);
    world.write(0, 99, "later");
    let late = frames(&world, 0, early);
    let carried = carry(&mut world, 1, late);
    let [(_, BrokenRecord::Unlinked { linked_to })] = carried.refused[..] else { panic!("{carried:?}") };
    assert_eq!(linked_to.seq, 0);
    assert!(carried.envelopes_new.is_empty());
}

#[test]
fn an_envelope_of_the_own_key_in_a_file_stops_authoring_as_from_a_peer() {
    let mut world = apart(74);
    let elements = world.alliance.elements();
    // A clone of Kyiv's node, with an empty store, is handed what the first one wrote.
    let clone = world.add(1, 0, elements);
    let carried = frames(&world, 1, Wanted::All);
    carry(&mut world, clone, carried);
    assert!(world.nodes[clone].replica.halted().is_some());
}
