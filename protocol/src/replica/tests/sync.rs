//! Catching up, and forks.

use super::world::World;
use crate::effect::Alarm;
use crate::evaluate::Element;
use crate::testing::{TestAlliance, TestEnvelope, TestNode};

/// `count` envelopes of a node, their bodies short and without meaning.
pub(super) fn chain(node: &mut TestNode, count: usize, text: &str) -> Vec<TestEnvelope> {
    (0..count).map(|i| node.envelope(900, format!("{text} {i}").into_bytes())).collect()
}

fn elements(envelopes: &[TestEnvelope]) -> Vec<Element> {
    envelopes.iter().flat_map(TestEnvelope::elements).collect()
}

fn pair(seed: u64, first: &[TestEnvelope], second: &[TestEnvelope], alliance: TestAlliance) -> World {
    let mut world = World::new(seed, alliance);
    for (nation, envelopes) in [(0, first), (1, second)] {
        let mut all = world.alliance.elements();
        all.extend(elements(envelopes));
        world.add(nation, 0, all);
    }
    world.connect(0, 1);
    world
}

#[test]
fn a_late_joiner_catches_up_with_five_thousand_envelopes_in_few_pieces() {
    let mut alliance = TestAlliance::new(20, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
    let envelopes = chain(alliance.node(2, 0), 5_000, "written while you were away");
    let mut world = pair(20, &envelopes, &[], alliance);
    world.run_until(5_000, "catch-up", World::converged);
    let counters = world.nodes[1].replica.counters();
    assert_eq!(counters.run_items_taken, 5_000);
    assert!(counters.ranges_asked <= 3, "{} ranges", counters.ranges_asked);
    world.check_honest();
    // What came as runs is served as runs: the signature points are kept.
    let elements = world.alliance.elements();
    let third = world.add(2, 0, elements);
    world.connect(1, third);
    world.run_until(5_000, "catch-up at second hand", World::converged);
    world.check_honest();
}

#[test]
fn one_range_is_fetched_from_one_peer_only() {
    let mut alliance = TestAlliance::new(21, &[("UKR", 1), ("POL", 1), ("DEU", 1), ("FRA", 1)]);
    let envelopes = chain(alliance.node(3, 0), 1_000, "held by three");
    let mut world = World::new(21, alliance);
    for nation in 0..4 {
        let mut all = world.alliance.elements();
        if nation > 0 {
            all.extend(elements(&envelopes));
        }
        world.add(nation, 0, all);
    }
    for peer in 1..4 {
        world.connect(0, peer);
    }
    world.run_until(5_000, "catch-up", World::converged);
    assert_eq!(world.nodes[0].replica.counters().run_items_taken, 1_000);
    assert_eq!(world.nodes[0].replica.counters().ranges_asked, 1);
    world.check_honest();
}

#[test]
fn catch_up_goes_on_with_another_peer_when_one_is_lost() {
    let mut alliance = TestAlliance::new(22, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
    let node = alliance.node(2, 0);
    let envelopes: Vec<TestEnvelope> = (0..400).map(|_| node.envelope(900, vec![7; 60_000])).collect();
    let mut world = pair(22, &envelopes, &[], alliance);
    let mut all = world.alliance.elements();
    all.extend(elements(&envelopes));
    let third = world.add(2, 0, all);
    world.run_until(5_000, "a first piece", |world| world.nodes[1].replica.counters().runs_taken > 1);
    assert!(world.nodes[1].replica.counters().run_items_taken < 400, "24 MB do not fit one answer");
    world.cut(0, 1);
    world.connect(1, third);
    world.run_until(60_000, "catch-up", |world| {
        world.nodes[1].replica.state().held() == world.nodes[third].replica.state().held()
    });
    assert_eq!(world.nodes[1].replica.counters().run_items_taken, 400);
    world.check_honest();
}

#[test]
fn missing_bodies_are_fetched_elsewhere() {
    let mut alliance = TestAlliance::new(23, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
    let envelopes = chain(alliance.node(2, 0), 50, "with a body");
    let mut world = World::new(23, alliance);
    let headers = envelopes.iter().map(|envelope| Element::Header(envelope.header.clone()));
    let mut all = world.alliance.elements();
    all.extend(headers);
    all.extend(envelopes[..20].iter().map(TestEnvelope::body_element));
    world.add(0, 0, all);
    let mut all = world.alliance.elements();
    all.extend(elements(&envelopes));
    world.add(1, 0, all);
    world.connect(0, 1);
    world.run_until(5_000, "the bodies", World::converged);
    assert_eq!(world.nodes[0].replica.counters().run_items_taken, 0);
    world.check_honest();
}

#[test]
fn a_fork_at_the_first_of_five_thousand_envelopes_is_proved_in_sixteen_requests() {
    let mut alliance = TestAlliance::new(24, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
    let mut twin = alliance.node(2, 0).clone();
    let one = chain(alliance.node(2, 0), 5_000, "to some");
    let other = chain(&mut twin, 5_000, "to others");
    let author = twin.author;
    let mut world = pair(24, &one, &other, alliance);
    let forked = |world: &World, node: usize| {
        world.nodes[node].replica.state().chain(&author).and_then(crate::chain::Chain::fork) == Some(1)
    };
    world.run_until(10_000, "the proof at the first", |world| forked(world, 0));
    let first = world.nodes[0].replica.counters().ranges_asked;
    world.run_until(10_000, "the proof at the second", |world| forked(world, 1));
    let second = world.nodes[1].replica.counters().ranges_asked;
    assert!(first <= 16 && second <= 16, "{first} and {second} requests");
    assert!(world.nodes[0].alarms.contains(&Alarm::Fork { author, seq: 1 }));
    world.run_until(60_000, "convergence", World::converged);
    world.check_honest();
}

#[test]
fn forks_at_every_depth_converge() {
    for (seed, (shared, one, other)) in
        [(0, 1, 1), (10, 1, 40), (300, 700, 5), (255, 2, 600), (40, 0, 1_500)].into_iter().enumerate()
    {
        let seed = 30 + seed as u64;
        let mut alliance = TestAlliance::new(seed, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
        let node = alliance.node(2, 0);
        let mut first = chain(node, shared, "shared");
        let mut twin = node.clone();
        let mut second = first.clone();
        first.extend(chain(node, one, "to some"));
        second.extend(chain(&mut twin, other, "to others"));
        let mut world = pair(seed, &first, &second, alliance);
        world.run_until(60_000, &format!("{shared} shared, {one} and {other}"), World::converged);
        let fork = (one > 0 && other > 0).then_some(shared as u64 + 1);
        assert_eq!(world.nodes[0].replica.state().chain(&twin.author).expect("held").fork(), fork);
        world.check_honest();
    }
}

/// Such a header can never link, so nobody takes it unless it contradicts one that he holds; neither it nor what its author
/// put on top of it may be part of a branch that is kept.
#[test]
fn a_header_whose_time_goes_back_is_on_no_branch_that_is_kept() {
    let mut alliance = TestAlliance::new(36, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
    let node = alliance.node(2, 0);
    let first = chain(&mut node.clone(), 1, "to others");
    let shared = chain(node, 2, "shared");
    let honest = chain(&mut node.clone(), 2, "went on");
    // Of two headers on top of one the smaller id is followed: this one has it, and stands a moment before its parent.
    let back = (0..).map(|i: u32| {
        let mut twin = node.clone();
        let body = i.to_be_bytes().to_vec();
        let mut header = twin.clone().envelope(900, body.clone()).header.header().clone();
        header.time_ms = twin.time_ms - 1;
        let envelope = twin.sign(header, body);
        (twin, envelope)
    });
    let (mut twin, back) = back.into_iter().find(|(_, back)| back.id() < honest[0].id()).expect("half of them are");
    let above = chain(&mut twin, 1, "on top");
    let few = [&first[..], &shared].concat();
    let many = [&few[..], &honest, &[back], &above].concat();
    let mut world = pair(36, &few, &many, alliance);
    world.run_until(20_000, "convergence", World::converged);
    let asked = world.nodes.iter().map(|node| node.replica.counters().ranges_asked).sum::<u64>();
    assert!(asked < 20, "{asked} requests");
    let kept = world.nodes[0].replica.state().chain(&twin.author).expect("held");
    assert!(kept.heads().iter().any(|head| head.tip == honest[1].header.tip()), "the branch that links is kept");
    world.check_honest();
}

/// Each of the two keeps a branch that the other would not, and lacks one that it would keep.
#[test]
fn many_forks_of_one_chain_converge() {
    let mut alliance = TestAlliance::new(37, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
    let fork = |node: &TestNode, ways: usize| {
        let mut branches: Vec<(TestNode, Vec<TestEnvelope>)> = (0..ways)
            .map(|way| {
                let mut twin = node.clone();
                let first = chain(&mut twin, 1, &format!("way {way}"));
                (twin, first)
            })
            .collect();
        branches.sort_by_key(|(_, first)| first[0].id());
        branches
    };
    let [(mut low, mut lowest), (mut middle, shared), (_, highest)] =
        <[_; 3]>::try_from(fork(alliance.node(2, 0), 3)).expect("three");
    lowest.extend(chain(&mut low, 3, "lowest"));
    let shared = [shared, chain(&mut middle, 1, "shared")].concat();
    let [(mut x, smaller), (mut y, larger)] = <[_; 2]>::try_from(fork(&middle, 2)).expect("two");
    let smaller = [smaller, chain(&mut x, 1, "smaller")].concat();
    let larger = [larger, chain(&mut y, 17, "larger")].concat();
    let first = [highest, shared.clone(), smaller.clone()].concat();
    let second = [lowest.clone(), shared, larger].concat();
    let mut world = pair(37, &first, &second, alliance);
    world.run_until(30_000, "convergence", World::converged);
    let asked = world.nodes.iter().map(|node| node.replica.counters().ranges_asked).sum::<u64>();
    assert!(asked < 40, "{asked} requests");
    let heads = world.nodes[0].replica.state().chain(&x.author).expect("held").heads();
    let tips: Vec<_> = heads.iter().map(|head| head.tip).collect();
    assert!([&lowest, &smaller].iter().all(|branch| tips.contains(&branch[branch.len() - 1].header.tip())), "{tips:?}");
    world.check_honest();
}

#[test]
fn a_fork_proved_at_one_node_is_proved_at_all_connected_ones_without_a_question() {
    let mut alliance = TestAlliance::new(29, &[("UKR", 1), ("POL", 1), ("DEU", 1), ("FRA", 1), ("NLD", 1), ("CZE", 1)]);
    let mut twin = alliance.node(5, 0).clone();
    let one = chain(alliance.node(5, 0), 3, "to some");
    let other = chain(&mut twin, 3, "to others");
    let author = twin.author;
    let mut world = World::new(29, alliance);
    // A line of five: the first holds one side, all others the other one.
    for nation in 0..5 {
        let mut all = world.alliance.elements();
        all.extend(elements(if nation == 0 { &one } else { &other }));
        world.add(nation, 0, all);
    }
    for nation in 1..4 {
        world.connect(nation, nation + 1);
    }
    world.run(5_000);
    let ranges = |world: &World, node: usize| world.nodes[node].replica.counters().ranges_asked;
    world.connect(0, 1);
    let knows = |world: &World, node: usize| {
        world.nodes[node].replica.state().chain(&author).and_then(crate::chain::Chain::fork) == Some(1)
    };
    world.run_until(5_000, "the first contact proves it", |world| knows(world, 1));
    let at = world.now;
    let before: Vec<u64> = (0..5).map(|node| ranges(&world, node)).collect();
    let all_see = |world: &World| {
        let chains = world.nodes.iter().filter_map(|node| node.replica.state().chain(&author));
        chains.filter(|chain| chain.fork().is_some()).count() == 5
    };
    // A way takes a millisecond; a comparison would begin after a second at the earliest.
    world.run_until(50, "a proof reaches all", all_see);
    world.run_until(3_000, "all know the lowest", |world| (2..5).all(|node| knows(world, node)));
    for (node, before) in before.iter().enumerate().skip(2) {
        assert!(ranges(&world, node) <= before + 4, "{} ranges", ranges(&world, node) - before);
    }
    assert!(world.now.since(at) <= 3_000);
    world.run_until(30_000, "convergence", World::converged);
    for node in &world.nodes {
        let pushes = node.pushes_in.values().copied().max().unwrap_or(0);
        assert!(pushes <= 6, "each piece of proof goes a few times over a link: {pushes}");
    }
    world.check_honest();
}
