//! The anchor: what no later record can undo (spec 4.5.1).

use super::{FOUR, World, digests, quota};
use crate::body::{Body, WitnessBody};
use crate::charter::{Anchor, Charter};
use crate::control::CharterChange;
use crate::evaluate::{Element, evaluate};
use crate::ids::{CharterId, Digest, Tip};
use crate::testing::TestEnvelope;

/// A witness of the nation that names a version.
fn witness(world: &mut World, nation: usize, height: u32, charter: CharterId) -> TestEnvelope {
    let body = WitnessBody {
        height,
        charter,
        rosters: Vec::new(),
        acks: Vec::new(),
        frontier: Digest::ZERO,
        state: Digest::ZERO,
    };
    let said = world.alliance.node(nation, 0).body(&Body::Witness(body));
    world.state.admit(said.elements().into());
    said
}

fn at(world: &World, charter: &Charter) -> Anchor {
    Anchor { alliance: world.alliance.id, height: charter.height, charter: charter.id }
}

/// Four nations that adopted two versions one after the other.
fn two_versions() -> World {
    let mut world = World::new(&FOUR);
    for more in [1, 2] {
        let charter = world.charter();
        world.adopt(&[0, 1, 2], vec![quota(&charter, more)]);
    }
    world
}

#[test]
fn the_anchor_advances_to_what_more_than_two_thirds_of_witnesses_name() {
    let mut world = two_versions();
    let versions: Vec<Charter> = world.state.charter_versions().iter().map(|charter| (**charter).clone()).collect();
    assert_eq!(world.state.next_anchor(), None);
    let mut said = vec![witness(&mut world, 0, 2, versions[2].id), witness(&mut world, 1, 1, versions[1].id)];
    said.push(witness(&mut world, 3, 9, CharterId::new([9; 32])));
    assert_eq!(world.state.next_anchor(), None, "what names a version nobody holds counts for none");
    said.push(witness(&mut world, 2, 1, versions[1].id));
    assert_eq!(world.state.next_anchor(), Some(at(&world, &versions[1])));
    said.push(witness(&mut world, 1, 2, versions[2].id));
    assert_eq!(world.state.next_anchor(), Some(at(&world, &versions[1])), "two of four name the second version");
    said.push(witness(&mut world, 2, 2, versions[2].id));
    assert_eq!(world.state.next_anchor(), Some(at(&world, &versions[2])));

    let before = digests(&world.state);
    assert!(!world.state.set_anchor(Anchor { charter: CharterId::new([9; 32]), ..at(&world, &versions[2]) }));
    assert!(world.state.set_anchor(at(&world, &versions[2])));
    assert!(!world.state.set_anchor(at(&world, &versions[1])), "it never goes back");
    assert_eq!((digests(&world.state), world.state.next_anchor()), (before, None));
    let mut elements: Vec<Element> = said.iter().flat_map(TestEnvelope::elements).collect();
    elements.extend(world.published.iter().cloned().map(Element::Control));
    let fresh = evaluate(at(&world, &versions[2]), elements);
    assert_eq!((digests(&fresh), fresh.charter_versions()), (before, world.state.charter_versions()));
    assert_eq!((fresh.anchor(), fresh.ballots()), (world.state.anchor(), world.state.ballots()));
}

#[test]
fn a_second_seal_below_the_anchor_is_an_alarm_and_changes_nothing() {
    let mut world = two_versions();
    let versions: Vec<Charter> = world.state.charter_versions().iter().map(|charter| (**charter).clone()).collect();
    assert!(world.state.set_anchor(at(&world, &versions[1])));
    let before = (world.charter(), world.state.state());
    let rival = world.alliance.motion(&versions[0], 7, vec![quota(&versions[0], 7)]);
    let votes = world.alliance.pass(&[1, 2, 3], &versions[0], 3, &rival.id());
    world.publish(votes);
    world.publish(vec![rival.clone()]);
    assert_eq!((world.charter(), world.state.state()), before);
    assert_eq!(world.state.charter_conflict(), None);
    let conflict = world.state.conflict_below_anchor().expect("an alarm").clone();
    assert!(conflict.height == 0 && conflict.motions.contains(&rival.id()));
    assert!(conflict.motions.contains(&versions[1].motion.expect("a motion made it")));
    // One who starts from the anchor finds the path that leads there, whichever of the two motions is smaller.
    let fresh = world.fresh(at(&world, &versions[1]));
    assert_eq!((fresh.charter(), fresh.conflict_below_anchor()), (Some(&before.0), Some(&conflict)));
    assert_eq!(digests(&fresh), digests(&world.state));
    // One who has no anchor there yet is frozen.
    let late = world.fresh(world.alliance.anchor());
    assert_eq!(late.charter(), Some(&versions[0]));
    assert!(late.charter_conflict().is_some());
    // At the anchor itself a second seal freezes.
    let rival = world.alliance.motion(&versions[1], 7, vec![quota(&versions[1], 7)]);
    world.publish(world.alliance.pass(&[1, 2, 3], &versions[1], 0, &rival.id()));
    world.publish(vec![rival]);
    assert_eq!(world.charter(), versions[1]);
    assert_eq!(world.state.charter_conflict().map(|conflict| conflict.height), Some(1));
}

#[test]
fn the_path_to_the_anchor_is_searched_through_dead_ends() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    // Four motions are sealed for the founding version, and for what each of them makes two more.
    let mut paths = Vec::new();
    for more in 1..=4 {
        let first = world.alliance.motion(&founding, more, vec![quota(&founding, more)]);
        let next = founding.apply(&first.id(), &super::motion_of(&first)).expect("well-formed");
        world.publish(world.alliance.pass(&[0, 1, 2], &founding, 0, &first.id()));
        world.publish(vec![first]);
        for further in [5, 6] {
            let second = world.alliance.motion(&next, further, vec![quota(&next, further)]);
            let last = next.apply(&second.id(), &super::motion_of(&second)).expect("well-formed");
            world.publish(world.alliance.pass(&[0, 1, 2], &next, 0, &second.id()));
            world.publish(vec![second]);
            paths.push(last);
        }
    }
    for last in &paths {
        let state = world.fresh(at(&world, last));
        assert_eq!((state.charter(), state.anchor_lost()), (Some(last), false));
        let kept = state.control_records().into_iter().map(|control| Element::Control((**control).clone()));
        assert_eq!(digests(&evaluate(at(&world, last), kept.collect())), digests(&state), "from what is kept alone");
    }
}

#[test]
fn records_lost_below_the_anchor_are_said_to_be_lost_and_no_other_path_is_taken() {
    let mut world = two_versions();
    let charter = world.charter();
    let founding = (*world.state.charter_versions()[0]).clone();
    let rival = world.alliance.motion(&founding, 7, vec![quota(&founding, 7)]);
    world.publish(world.alliance.pass(&[1, 2, 3], &founding, 3, &rival.id()));
    world.publish(vec![rival]);
    let anchor = at(&world, &charter);
    let whole = world.fresh(anchor);
    assert_eq!(whole.charter(), Some(&charter));
    let lost = charter.motion.expect("a motion made it");
    let (there, missing): (Vec<_>, Vec<_>) = world
        .published
        .iter()
        .cloned()
        .map(Element::Control)
        .partition(|element| !matches!(element, Element::Control(control) if control.id() == lost));
    let mut state = evaluate(anchor, there);
    assert!(state.anchor_lost());
    assert_eq!((state.charter(), state.charter_versions().len(), state.next_anchor()), (None, 0, None));
    assert!(state.control_ids().count() > 4, "what may lead there is kept: {}", state.control_ids().count());
    assert!(state.active_authors().next().is_none(), "nothing counts meanwhile");
    state.admit(missing);
    assert_eq!((state.anchor_lost(), digests(&state)), (false, digests(&whole)));
}

#[test]
fn a_removed_nations_witness_does_not_move_the_anchor() {
    let mut world = World::new(&[("AAA", 1), ("BBB", 1), ("CCC", 1), ("DDD", 1), ("EEE", 1)]);
    let nation = world.id(4);
    world.adopt(&[0, 1, 2, 3], vec![CharterChange::Remove { nation, cuts: Vec::new(), roster: Tip::NONE }]);
    let charter = world.charter();
    for nation in [0, 1, 4] {
        witness(&mut world, nation, 1, charter.id);
    }
    assert_eq!(world.state.next_anchor(), None);
    witness(&mut world, 2, 1, charter.id);
    assert_eq!(world.state.next_anchor(), Some(at(&world, &charter)));
}
