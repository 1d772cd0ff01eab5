//! Software of two versions in one alliance (spec 4.17, I26): the older one carries everything, and says nothing under rules
//! that it does not know.

use super::world::World;
use crate::control::CharterChange;
use crate::effect::{HaltReason, Input, WriteRefused};
use crate::evaluate::Element;
use crate::ids::AuthorId;
use crate::replica::{RULES_MAX, WitnessCadence};
use crate::testing::TestAlliance;

/// The node whose software is old; all that goes from the first node to the others goes through it.
const OLD: usize = 1;
const NEW: [usize; 3] = [0, 2, 3];
/// A nation without a replica, which says something of a kind that nobody knows.
const STRANGE: usize = 4;

fn mixed(seed: u64) -> (World, AuthorId) {
    let codes = [("UKR", 1), ("POL", 1), ("LTU", 1), ("DEU", 1), ("NLD", 1)];
    let mut alliance = TestAlliance::new(seed, &codes);
    let founding: Vec<Element> = alliance.elements();
    let strange = alliance.node(STRANGE, 0);
    let (author, envelope) = (strange.author, strange.envelope(900, b"a body of later software".to_vec()));
    let mut world = World::new(seed, alliance);
    world.witness = WitnessCadence { on_change_ms: 1_000, heartbeat_ms: 4_000 };
    for nation in 0..4 {
        let mut elements = founding.clone();
        if nation == 0 {
            elements.extend(envelope.elements());
        }
        world.add(nation, 0, elements);
    }
    for node in NEW {
        change_software(&mut world, node, RULES_MAX + 1);
    }
    for (a, b) in [(0, OLD), (OLD, 2), (2, 3)] {
        world.connect(a, b);
    }
    (world, author)
}

/// Starts a node again on what it holds, with software that knows these rules.
fn change_software(world: &mut World, node: usize, rules_max: u16) {
    world.nodes[node].config.rules_max = rules_max;
    world.crash(node);
}

fn raise_rules(world: &mut World) {
    let charter = world.nodes[0].replica.state().charter().expect("founded").clone();
    let motion = world.alliance.motion(&charter, 1, vec![CharterChange::SetRules(charter.rules + 1)]);
    let mut controls = world.alliance.pass(&[0, 1, 2, 3], &charter, 0, &motion.id());
    controls.push(motion);
    let request = world.request();
    let records = controls.iter().map(|control| (control.record().kind(), control.record().encode())).collect();
    world.input(0, Input::Import { request, records });
}

fn said(world: &World, author: &AuthorId) -> usize {
    let lengths = world.nodes.iter().map(|node| node.replica.state().chain(author).map_or(0, crate::chain::Chain::len));
    let lengths: std::collections::BTreeSet<usize> = lengths.collect();
    assert_eq!(lengths.len(), 1, "all hold the same of it: {lengths:?}");
    lengths.into_iter().next().unwrap_or_default()
}

#[test]
fn old_software_carries_everything_and_says_nothing_under_rules_it_does_not_know() {
    let (mut world, strange) = mixed(60);
    world.write(OLD, 1, "under rules it knows");
    world.write(0, 2, "by newer software, under the same rules");
    world.run_until(30_000, "both kinds of software agree", World::converged);
    assert_eq!(said(&world, &strange), 1, "a kind that nobody knows is carried");
    raise_rules(&mut world);
    world.run_until(30_000, "the rules are raised everywhere", |world| {
        world.nodes.iter().all(|node| node.replica.state().charter().is_some_and(|charter| charter.rules == 2))
    });
    let rules = HaltReason::Rules { rules: RULES_MAX + 1 };
    assert_eq!(world.nodes[OLD].replica.halted(), Some(rules), "it says why");
    let refused = world.write(OLD, 3, "under rules it does not know");
    assert_eq!(world.nodes[OLD].written[&refused], Err(WriteRefused::Halted(rules)));
    let me = world.nodes[OLD].replica.me();
    let before = world.nodes[OLD].replica.state().chain(&me).map_or(0, crate::chain::Chain::len);
    for node in NEW {
        let request = world.write(node, 4, "under the new rules");
        assert!(world.nodes[node].written[&request].is_ok(), "who knows them writes on");
    }
    world.run(20_000);
    world.run_until(30_000, "what newer software says goes through the older", World::converged);
    assert_eq!(said(&world, &me), before, "neither it nor its witness has said a word");
    assert!(NEW.iter().all(|node| said(&world, &world.nodes[*node].replica.me()) > 1));
    assert_eq!(said(&world, &strange), 1);
    world.check_honest();
}

#[test]
fn a_node_that_is_upgraded_downgraded_and_upgraded_again_is_no_attacker() {
    let (mut world, _) = mixed(61);
    world.write(OLD, 1, "before");
    raise_rules(&mut world);
    world.run_until(30_000, "the rules are raised everywhere", |world| {
        world.nodes[OLD].replica.halted().is_some() && world.converged()
    });
    for (nth, rules_max) in [RULES_MAX + 1, RULES_MAX, RULES_MAX + 1].into_iter().enumerate() {
        change_software(&mut world, OLD, rules_max);
        let knows = rules_max > RULES_MAX;
        assert_eq!(world.nodes[OLD].replica.halted().is_none(), knows);
        let request = world.write(OLD, 10 + nth as u64, "after a change of software");
        assert_eq!(world.nodes[OLD].written[&request].is_ok(), knows);
        let other = world.write(2, 20 + nth as u64, "meanwhile");
        assert!(world.nodes[2].written[&other].is_ok());
        world.run(3_000);
        world.run_until(30_000, "whatever its software, it reads everything", World::converged);
    }
    let me = world.nodes[OLD].replica.me();
    for node in &world.nodes {
        let state = node.replica.state();
        assert_eq!(state.chain(&me).and_then(crate::chain::Chain::fork), None, "it speaks on where it stopped");
        assert!(node.replica.peers().iter().all(|peer| peer.strikes == 0), "and nobody holds anything against it");
    }
    world.check_honest();
}
