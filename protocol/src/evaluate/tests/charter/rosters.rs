//! Rosters under charter versions: new roots, removals and raised parameters (spec 4.5.2).

use super::{FOUR, World, digests, quota};
use crate::chain::{AuthorStatus, EnvelopeStanding};
use crate::control::{CharterChange, Params, VerifiedControl};
use crate::evaluate::{ControlReceipt, Element, Receipt};
use crate::ids::{EnvelopeId, Tip};
use crate::testing::TestAlliance;

fn tip_of(roster: &VerifiedControl, version: u64) -> Tip {
    Tip { seq: version, id: EnvelopeId::new(*roster.id().as_bytes()) }
}

/// Replaces the first nation's root by a new one from a roster on; returns the old alliance, which signs with the old root.
fn replace_root(world: &mut World, floor: Tip) -> TestAlliance {
    let old = world.alliance.clone();
    let fresh = world.alliance.candidate(99, "TMP", 0);
    let nation = world.id(0);
    world.adopt(&[1, 2, 3], vec![CharterChange::ReplaceRoot { nation, root: fresh.root, roster: floor }]);
    world.alliance.nations[0].root = world.alliance.nations.pop().expect("just made").root;
    old
}

#[test]
fn a_lost_root_is_replaced_and_the_new_one_goes_on_from_the_floor() {
    let mut world = World::new(&FOUR);
    let first = world.alliance.nations[0].rosters[0].clone();
    let nation = world.id(0);
    replace_root(&mut world, tip_of(&first, 1));
    let node = world.alliance.nations[0].nodes[0].author;
    assert_eq!(world.state.author_status(&node), AuthorStatus::Active, "nodes keep working");
    assert_eq!(world.state.roster(&nation).expect("evaluated").tip(), (1, first.id()));
    let line = world.alliance.add_node(0, 5).roster_key(false);
    let root = world.alliance.nations[0].root.public();
    let next = world.alliance.roster(0, |roster| {
        roster.root = root;
        roster.root_gen = 1;
        roster.keys.push(line);
    });
    assert_eq!(world.state.control_receipt(next.record(), &next.id()), ControlReceipt::Welcome);
    world.publish(vec![next.clone()]);
    let roster = world.state.roster(&nation).expect("evaluated");
    assert_eq!((roster.tip(), roster.fork, roster.missing), ((2, next.id()), None, false));
    assert_eq!(digests(&world.fresh(world.alliance.anchor())), digests(&world.state));
}

#[test]
fn a_stolen_roots_nodes_are_suspended_once_the_root_is_replaced_below_them() {
    let mut world = World::new(&FOUR);
    let first = world.alliance.nations[0].rosters[0].clone();
    let nation = world.id(0);
    let mut thief = world.alliance.add_node(0, 666).clone();
    let line = thief.roster_key(false);
    let stolen = world.alliance.roster(0, |roster| roster.keys.push(line));
    world.publish(vec![stolen.clone()]);
    let said = thief.envelope(99, vec![1]);
    world.state.admit(said.elements().into());
    assert_eq!(world.state.envelope(&said.id()).expect("held").standing, EnvelopeStanding::Accepted);
    let old = replace_root(&mut world, tip_of(&first, 1));
    assert_eq!(world.state.envelope(&said.id()).expect("held").standing, EnvelopeStanding::Suspended);
    assert_eq!(world.state.roster(&nation).expect("evaluated").tip(), (1, first.id()));
    assert!(world.state.control_record(&stolen.id()).is_some(), "evidence is kept");
    // What the old root signs later is taken in as evidence and counts for nothing.
    let more = old.roster_after(0, Some(&stolen), |roster| roster.note = "more".into());
    assert_eq!(world.state.control_receipt(more.record(), &more.id()), ControlReceipt::Welcome);
    world.publish(vec![more.clone()]);
    assert!(world.state.control_record(&more.id()).is_some());
    assert_eq!(world.state.roster(&nation).expect("evaluated").tip(), (1, first.id()));
    let next = thief.envelope(99, vec![2]);
    assert!(matches!(world.state.receipt(next.header.header()), Receipt::Links { .. }), "the same set everywhere");
}

#[test]
fn a_stolen_root_cannot_crowd_out_the_keys_of_the_roster_in_force() {
    let mut world = World::new(&FOUR);
    let first = world.alliance.nations[0].rosters[0].clone();
    let nation = world.id(0);
    let old = replace_root(&mut world, tip_of(&first, 1));
    let (root, line) = (world.alliance.nations[0].root.public(), world.alliance.add_node(0, 5).roster_key(false));
    let fresh = line.node;
    let next = world.alliance.roster(0, |roster| {
        roster.root = root;
        roster.root_gen = 1;
        roster.keys.push(line);
    });
    // Rosters of the same version with smaller ids, which list as many keys as they may.
    let mut thief = old;
    for batch in 0..3 {
        let many: Vec<_> = (0..200)
            .map(|seed| {
                let mut key = thief.add_node(0, 1_000 * (batch + 1) + seed).roster_key(false);
                key.status = crate::control::KeyStatus::Retired { cut: Tip::NONE };
                key
            })
            .collect();
        let fake = thief.roster_after(0, Some(&first), |roster| roster.keys.extend(many));
        world.publish(vec![fake]);
    }
    world.publish(vec![next]);
    assert!(world.state.lists(&crate::ids::AuthorId { nation, key: fresh }));
}

#[test]
fn a_floor_that_is_not_held_is_said_to_be_missing_until_it_comes() {
    let mut world = World::new(&FOUR);
    let second = world.alliance.roster(0, |roster| roster.note = "second".into());
    let nation = world.id(0);
    replace_root(&mut world, tip_of(&second, 2));
    let roster = world.state.roster(&nation).expect("evaluated").clone();
    assert!(roster.missing && roster.roster.is_none() && roster.keys.is_empty());
    assert!(world.state.control_record(&world.alliance.nations[0].rosters[0].id()).is_some(), "its ancestor is kept");
    world.publish(vec![second.clone()]);
    let roster = world.state.roster(&nation).expect("evaluated");
    assert_eq!((roster.missing, roster.tip()), (false, (2, second.id())));
}

#[test]
fn a_forked_roster_goes_on_under_a_new_root_from_the_branch_the_charter_names() {
    let mut world = World::new(&FOUR);
    let nation = world.id(0);
    let first = world.alliance.nations[0].rosters[0].clone();
    let branches: Vec<_> = (0..4)
        .map(|i| world.alliance.roster_after(0, Some(&first), |roster| roster.note = format!("branch {i}")))
        .collect();
    world.publish(branches.clone());
    assert_eq!(world.state.roster(&nation).expect("evaluated").fork, Some(2));
    // Not one of the two that are kept anyway.
    let named = branches.iter().max_by_key(|branch| branch.id()).expect("four").clone();
    replace_root(&mut world, tip_of(&named, 2));
    let roster = world.state.roster(&nation).expect("evaluated");
    assert_eq!((roster.tip(), roster.fork), ((2, named.id()), None));
    assert!(world.state.control_record(&named.id()).is_some());
    world.state.forget_unkept_control();
    assert_eq!(world.state.roster(&nation).expect("evaluated").tip(), (2, named.id()));
    assert_eq!(digests(&world.fresh(world.alliance.anchor())), digests(&world.state));
}

#[test]
fn a_removed_nations_rosters_end_where_its_removal_says() {
    let mut world = World::new(&FOUR);
    let nation = world.id(3);
    let first = world.alliance.nations[3].rosters[0].clone();
    let second = world.alliance.roster(3, |roster| roster.note = "second".into());
    world.publish(vec![second.clone()]);
    let gone = CharterChange::Remove { nation, cuts: Vec::new(), roster: tip_of(&first, 1) };
    world.adopt(&[0, 1, 2], vec![gone]);
    let roster = world.state.roster(&nation).expect("evaluated");
    assert_eq!((roster.tip(), roster.missing), ((1, first.id()), false));
    assert!(world.state.control_record(&second.id()).is_some(), "what it signed afterwards is evidence");
    let third = world.alliance.roster(3, |roster| roster.note = "third".into());
    assert_eq!(world.state.control_receipt(third.record(), &third.id()), ControlReceipt::Welcome);
    world.publish(vec![third.clone()]);
    assert_eq!(world.state.roster(&nation).expect("evaluated").tip(), (1, first.id()));
    assert!(world.state.control_record(&third.id()).is_some());
    let node = world.alliance.nations[3].nodes[0].author;
    assert_eq!(world.state.author_status(&node), AuthorStatus::Removed { cut: Tip::NONE });
}

#[test]
fn raised_parameters_count_for_what_was_over_them() {
    let params = Params { max_active_keys: 1, chain_quota: 600 };
    let mut alliance = TestAlliance::with_params(1, &FOUR, params);
    let mut world = World { state: alliance.state(), published: alliance.control(), alliance: alliance.clone() };
    let envelopes: Vec<_> = (0..4).map(|_| alliance.node(0, 0).envelope(99, vec![0; 40])).collect();
    for envelope in &envelopes {
        world.state.admit(envelope.elements().into());
    }
    let author = alliance.nations[0].nodes[0].author;
    let linked = |world: &World| world.state.chain(&author).expect("held").linked_to();
    assert_eq!(linked(&world), 2);
    assert_eq!(world.state.receipt(envelopes[3].header.header()), Receipt::Held);
    let line = world.alliance.add_node(0, 5).roster_key(false);
    let two = world.alliance.roster(0, |roster| roster.keys.push(line));
    world.publish(vec![two.clone()]);
    assert_eq!(world.state.roster(&author.nation).expect("evaluated").tip().0, 1, "two Active keys are too many");
    world.adopt(&[0, 1, 2], vec![CharterChange::SetParams(Params { max_active_keys: 2, chain_quota: 6_000 })]);
    assert_eq!(linked(&world), 4);
    assert_eq!(world.state.roster(&author.nation).expect("evaluated").tip(), (2, two.id()));
    let charter = world.charter();
    world.adopt(&[0, 1, 2], vec![quota(&charter, 1)]);
    let mut all: Vec<Element> = envelopes.iter().rev().flat_map(|envelope| envelope.elements()).collect();
    all.extend(world.published.iter().cloned().map(Element::Control));
    let fresh = crate::evaluate::evaluate(world.alliance.anchor(), all);
    assert_eq!(digests(&fresh), digests(&world.state));
}

#[test]
fn a_raise_that_a_conflict_takes_back_counts_no_more() {
    let params = Params { max_active_keys: 1, chain_quota: 600 };
    let mut alliance = TestAlliance::with_params(1, &FOUR, params);
    let mut world = World { state: alliance.state(), published: alliance.control(), alliance: alliance.clone() };
    let founding = world.charter();
    world.adopt(&[0, 1, 2], vec![CharterChange::SetParams(Params { chain_quota: 6_000, ..params })]);
    let envelopes: Vec<_> = (0..4).map(|_| alliance.node(0, 0).envelope(99, vec![0; 40])).collect();
    for envelope in &envelopes {
        world.state.admit(envelope.elements().into());
    }
    let author = alliance.nations[0].nodes[0].author;
    assert_eq!(world.state.chain(&author).expect("held").linked_to(), 4);
    let rival = world.alliance.motion(&founding, 7, vec![quota(&founding, 1)]);
    world.publish(world.alliance.pass(&[1, 2, 3], &founding, 0, &rival.id()));
    let changes = world.publish(vec![rival]);
    assert_eq!((world.charter(), changes.dropped.len()), (founding, 2));
    let mut all: Vec<Element> = envelopes.iter().flat_map(|envelope| envelope.elements()).collect();
    all.extend(world.published.iter().cloned().map(Element::Control));
    let fresh = crate::evaluate::evaluate(world.alliance.anchor(), all);
    assert_eq!(digests(&fresh), digests(&world.state));
    assert_eq!(world.state.chain(&author).expect("held").linked_to(), 2);
}
