//! Whole networks: what is written reaches everybody, whatever happens on the way.

use super::world::{CALM, STORM, World};
use crate::control::{CharterChange, Params, VoteStep};
use crate::effect::{CloseReason, Input, LinkId, LinkUp, Replaces, Source};
use crate::evaluate::{Element, State};
use crate::ids::AuthorKey;
use crate::replica::{PeerStanding, Replica};
use crate::rules::Rules;
use crate::testing::{TestAlliance, TestNode};

#[test]
fn what_is_written_reaches_everybody_at_once_by_push() {
    let mut world = World::mesh(1, 4);
    world.run(2_000);
    let request = world.write(0, 1, "tents");
    let id = world.version(0, request);
    world.run(60);
    for node in &world.nodes[1..] {
        assert!(node.replica.state().envelope(&id).is_some_and(|view| view.verdict.is_some()));
    }
    world.run(5_000);
    assert!(world.converged());
    world.check_honest();
    assert!(world.nodes.iter().all(|node| {
        node.replica
            .peers()
            .iter()
            .all(|peer| peer.standing == PeerStanding::Full && (peer.lag.ahead, peer.lag.behind) == (0, 0))
    }));
}

#[test]
fn in_a_full_mesh_each_envelope_comes_to_each_node_once() {
    let mut world = World::mesh(2, 5);
    world.run(2_000);
    for round in 0..10 {
        for node in 0..5 {
            world.write(node, round * 5 + node as u64, "one at a time");
            world.run(300);
        }
    }
    world.run(3_000);
    assert!(world.converged());
    world.check_honest();
    for node in &world.nodes {
        assert_eq!(node.pushes_in.len(), 40);
        assert!(node.pushes_in.values().all(|times| *times == 1), "{:?}", node.pushes_in);
        assert_eq!(node.replica.counters().relayed, 0);
    }
}

#[test]
fn a_busy_full_mesh_passes_on_little() {
    let mut world = World::mesh(3, 5);
    world.run(2_000);
    for round in 0..40 {
        for node in 0..5 {
            world.write(node, round * 5 + node as u64, "all at once");
        }
        world.run(50);
    }
    world.run_until(10_000, "convergence", World::converged);
    world.check_honest();
    let received: usize = world.nodes.iter().flat_map(|node| node.pushes_in.values()).sum();
    let needed = 200 * 4;
    assert!(received <= needed + needed / 20, "{received} envelopes were pushed where {needed} were needed");
}

#[test]
fn along_a_line_everything_is_passed_on() {
    let mut world = World::mesh(4, 5);
    for a in 0..5 {
        for b in a + 2..5 {
            world.cut(a, b);
        }
    }
    world.run(10_000);
    world.write(0, 1, "from one end");
    world.write(4, 2, "from the other");
    world.run_until(10_000, "convergence along a line", World::converged);
    world.check_honest();
}

#[test]
fn any_order_of_frames_followed_by_sync_gives_the_same_set() {
    for seed in 0..8 {
        let mut world = World::mesh(100 + seed, 4);
        world.weather = STORM;
        let mut number = 0;
        for _ in 0..60 {
            let (node, other) = (world.random(4), world.random(4));
            let (node, other) = (usize::try_from(node).expect("small"), usize::try_from(other).expect("small"));
            match world.random(10) {
                0 if node != other => world.cut(node, other),
                1 | 2 if node != other => world.heal(node, other),
                3 => world.crash(node),
                _ => {
                    number += 1;
                    world.write(node, number, "in the storm");
                }
            }
            let pause = world.random(700);
            world.run(pause);
        }
        for a in 0..4 {
            for b in a + 1..4 {
                world.heal(a, b);
            }
        }
        world.weather = CALM;
        world.run_until(120_000, &format!("convergence, seed {seed}"), World::converged);
        world.check_honest();
        let written: Vec<_> = world
            .nodes
            .iter()
            .flat_map(|node| node.written.values().flatten())
            .map(|written| written.version)
            .collect();
        assert_eq!(written.len() as u64, number, "every write was answered");
        for node in &world.nodes {
            let state = node.replica.state();
            assert!(written.iter().all(|id| state.envelope(id).is_some()), "seed {seed}: nothing answered is lost");
            assert!(node.replica.halted().is_none());
        }
    }
}

#[test]
fn two_founders_who_each_hold_only_their_own_roster_meet_in_the_lobby() {
    let alliance = TestAlliance::new(5, &[("UKR", 1), ("POL", 1)]);
    let mut world = World::new(5, alliance);
    for nation in 0..2 {
        let own = world.alliance.nations[nation].rosters[0].clone();
        let genesis = world.alliance.genesis.clone();
        world.add(nation, 0, vec![Element::Control(genesis), Element::Control(own)]);
        world.write(nation, nation as u64, "before we met");
    }
    assert!(!world.converged());
    world.connect(0, 1);
    world.run_until(3_000, "the lobby", World::converged);
    assert!(world.nodes.iter().all(|node| node.replica.counters().promoted == 1));
    world.check_honest();
}

#[test]
fn a_newly_enrolled_node_gets_in_where_only_the_old_roster_is_known() {
    let alliance = TestAlliance::new(6, &[("UKR", 1), ("POL", 1)]);
    let mut world = World::new(6, alliance);
    let before = world.alliance.elements();
    world.add(0, 0, before.clone());
    world.add(1, 0, before);
    world.connect(0, 1);
    world.write(1, 1, "from the node that will be lost");
    world.run_until(3_000, "convergence", World::converged);
    // Poland's only node is lost; a new one is enrolled, the old one retired at its last known envelope.
    world.cut(0, 1);
    world.run(10_000);
    let lost = world.nodes[1].replica.me();
    let cut = world.nodes[0].replica.state().chain(&lost).expect("held").tip();
    let key = world.alliance.add_node(1, 6).roster_key(true);
    world.alliance.roster(1, |roster| {
        crate::testing::retire(roster, &lost.key, cut);
        roster.keys.push(key);
    });
    let after = world.alliance.elements();
    let new = world.add(1, 1, after);
    world.connect(0, new);
    world.run_until(3_000, "the new node", |world| {
        world.nodes[0].replica.state().held() == world.nodes[new].replica.state().held()
            && world.nodes[0].replica.state().state() == world.nodes[new].replica.state().state()
    });
    world.write(new, 2, "from its successor");
    world.run(500);
    assert_eq!(world.nodes[0].replica.state().section(&lost.nation).counts().valid, 2);
    // The old one is refused at the door from now on.
    world.heal(0, 1);
    world.run(3_000);
    assert!(world.nodes[0].closed.contains(&CloseReason::Retired));
    assert!(world.nodes[0].replica.counters().refused_retired > 0);
}

#[test]
fn a_stranger_gets_the_lobby_for_a_while_and_is_counted() {
    let alliance = TestAlliance::new(7, &[("UKR", 1), ("POL", 1)]);
    let mut world = World::new(7, alliance);
    let elements = world.alliance.elements();
    world.add(0, 0, elements.clone());
    let stranger =
        TestNode::new(crate::keys::SecretKey::from_seed(&[99; 32]), world.alliance.id, world.alliance.nations[1].id);
    let node = world.add_key(stranger.key, stranger.author.nation, elements, Rules::default());
    world.write(0, 1, "not for strangers");
    world.connect(0, node);
    world.run(14_000);
    assert_eq!(world.nodes[0].replica.peers()[0].standing, PeerStanding::Lobby);
    world.run(2_000);
    assert_eq!(world.nodes[0].closed[0], CloseReason::NotInRoster);
    assert_eq!(world.nodes[0].replica.counters().refused_not_in_roster, 1);
    assert_eq!(world.nodes[node].replica.state().chains().count(), 0, "no envelope leaves for the lobby");
    world.check_honest();
}

fn come(world: &mut World, link: u64, peer: u8, source: Source) {
    let key: AuthorKey = crate::keys::SecretKey::from_seed(&[peer; 32]).public();
    world.input(0, Input::LinkUp(LinkUp { link: LinkId(link), peer: key, source }));
}

#[test]
fn the_lobby_has_eight_places_and_one_for_each_address() {
    let alliance = TestAlliance::new(8, &[("UKR", 1)]);
    let mut world = World::new(8, alliance);
    let elements = world.alliance.elements();
    world.add(0, 0, elements);
    let own = world.nodes[0].replica.me().key;
    world.input(0, Input::LinkUp(LinkUp { link: LinkId(1), peer: own, source: Source::Loopback }));
    assert_eq!(world.nodes[0].closed, [CloseReason::OwnKey]);
    for n in 0..8_u8 {
        come(&mut world, 10 + u64::from(n), 100 + n, Source::Address([n; 16]));
    }
    assert_eq!(world.nodes[0].closed.len(), 1);
    come(&mut world, 30, 200, Source::Address([30; 16]));
    assert_eq!(world.nodes[0].closed.last(), Some(&CloseReason::LobbyFull));
    world.input(0, Input::LinkDown { link: LinkId(10) });
    come(&mut world, 31, 201, Source::Address([1; 16]));
    assert_eq!(world.nodes[0].closed.last(), Some(&CloseReason::LobbyFull), "this address has a link already");
    come(&mut world, 32, 202, Source::Loopback);
    assert_eq!(world.nodes[0].closed.len(), 3);
    world.input(0, Input::Pushed { link: LinkId(32), frame: vec![0; 1_048_577] });
    assert_eq!(world.nodes[0].closed.last(), Some(&CloseReason::LobbyBytes));
}

#[test]
fn a_link_that_falls_silent_is_dead_after_six_seconds_and_comes_back() {
    let mut world = World::mesh(9, 2);
    world.run(5_000);
    world.cut(0, 1);
    world.run(3_500);
    assert!(world.nodes.iter().all(|node| node.closed.is_empty()));
    world.run(3_000);
    assert!(world.nodes.iter().all(|node| node.closed == [CloseReason::Silent]));
    world.write(0, 1, "on one side");
    world.write(1, 2, "on the other");
    world.heal(0, 1);
    world.run_until(30_000, "convergence", World::converged);
    world.check_honest();
}

#[test]
fn a_link_whose_push_queue_was_full_is_repaired_by_comparison() {
    let mut world = World::mesh(13, 3);
    world.run(3_000);
    let link = world.nodes[0].replica.peers()[0].link.expect("linked");
    world.input(0, Input::PushStalled { link });
    let lost = world.nodes[0].replica.peers()[0].key;
    let behind = (0..3).find(|node| world.nodes[*node].replica.me().key == lost).expect("a node of this world");
    assert!(world.nodes[0].replica.peers()[0].too_far_behind);
    world.write(0, 1, "not pushed to one of them");
    world.run(100);
    assert_eq!(world.nodes[behind].pushes_in.len(), 0);
    world.run_until(5_000, "convergence", World::converged);
    world.run(3_000);
    assert!(!world.nodes[0].replica.peers()[0].too_far_behind);
    world.write(0, 2, "pushed again");
    world.run(100);
    assert!(world.converged());
    world.check_honest();
}

#[test]
fn a_node_that_stood_still_does_not_take_its_peers_for_dead() {
    let mut world = World::mesh(10, 2);
    world.run(5_000);
    let later = world.now.plus_ms(60_000);
    let replica: &mut Replica = &mut world.nodes[0].replica;
    replica.handle(later, Input::Tick);
    assert_eq!(replica.peers()[0].standing, PeerStanding::Full);
}

#[test]
fn revisions_replace_what_survives_and_a_stale_one_is_refused() {
    let mut world = World::mesh(12, 2);
    world.run(1_000);
    let first = world.write(0, 1, "first");
    let first = world.version(0, first);
    let second = world.write_with(0, 1, "second", Replaces::IfWinner(first), None, 0);
    let second = world.version(0, second);
    let stale = world.write_with(0, 1, "third", Replaces::IfWinner(first), None, 0);
    assert!(world.nodes[0].written[&stale].as_ref().is_err_and(|error| error.to_string().contains(&second.short())));
    let third = world.write_with(0, 1, "third", Replaces::Surviving, None, 0);
    assert!(world.nodes[0].written[&third].is_ok());
    world.run_until(2_000, "convergence", World::converged);
    let nation = world.nodes[0].replica.me().nation;
    let table = world.nodes[1].replica.state().section(&nation).table();
    assert_eq!((table.len(), table.versions()), (1, 3));
    let (_, record) = table.records().next().expect("one record");
    assert_eq!(record.surviving().count(), 1);
    world.check_honest();
}

/// A vote changes nothing by itself, but the officers of the other nations wait for it before they sign.
#[test]
fn a_vote_taken_in_at_one_node_is_with_all_the_others_before_the_next_regular_hello() {
    let mut world = World::mesh(7, 4);
    world.run_until(20_000, "everybody is linked", World::converged);
    world.run(3_000);
    let charter = world.nodes[0].replica.state().charter().expect("it is founded").clone();
    let params = Params { chain_quota: charter.params.chain_quota + 1, ..charter.params };
    let motion = world.alliance.motion(&charter, 1, vec![CharterChange::SetParams(params)]);
    let vote = world.alliance.vote(0, &charter, (0, VoteStep::Support), &motion.id());
    let records = [&vote, &motion].map(|control| (control.record().kind(), control.record().encode())).to_vec();
    let request = world.request();
    world.input(0, Input::Import { request, records });
    let ids = [vote.id(), motion.id()];
    let is_known = |world: &World| {
        let holds_both = |state: &State| ids.iter().all(|id| state.control_record(id).is_some());
        world.nodes.iter().all(|node| holds_both(node.replica.state()))
    };
    world.run_until(1_000, "the vote is with all", is_known);
}
