//! Control records of several charter versions, exchanged (spec 4.13), and the anchor, saved (spec 4.5.1).

use super::world::World;
use crate::control::{CharterChange, Params, VerifiedControl};
use crate::effect::{Alarm, ImportOutcome, Input};
use crate::evaluate::{Element, evaluate};
use crate::testing::TestAlliance;

/// Three versions above the founding, the last of which has a nation of its own, with all records in the order of an answer.
fn four_versions() -> (TestAlliance, Vec<VerifiedControl>) {
    let mut alliance = TestAlliance::new(50, &[("UKR", 1), ("POL", 1), ("LTU", 1), ("DEU", 1)]);
    let mut published = alliance.control();
    for version in 0..3 {
        let all = published.iter().cloned().map(Element::Control).collect();
        let charter = evaluate(alliance.anchor(), all).charter().expect("founded").clone();
        let params = Params { chain_quota: charter.params.chain_quota + 1, ..charter.params };
        let mut changes = vec![CharterChange::SetParams(params)];
        if version == 2 {
            changes.push(CharterChange::Admit(alliance.candidate(51, "EST", 1)));
        }
        let motion = alliance.motion(&charter, version, changes);
        published.extend(alliance.pass(&[0, 1, 2], &charter, 0, &motion.id()));
        published.push(motion);
    }
    published.push(alliance.first_roster(4));
    let state = evaluate(alliance.anchor(), published.into_iter().map(Element::Control).collect());
    assert_eq!(state.charter().map(|charter| charter.height), Some(3));
    let records = state.control_records().into_iter().map(|control| (**control).clone()).collect();
    (alliance, records)
}

fn elements(controls: &[VerifiedControl]) -> Vec<Element> {
    controls.iter().cloned().map(Element::Control).collect()
}

#[test]
fn one_delivery_brings_several_versions_and_the_roster_of_a_nation_they_admit() {
    let (alliance, records) = four_versions();
    let mut world = World::new(50, alliance);
    let founding: Vec<Element> =
        [&world.alliance.genesis, &world.alliance.nations[0].rosters[0]].map(|c| Element::Control(c.clone())).into();
    world.add(0, 0, founding);
    let import = world.request();
    let signed = records.iter().map(|control| (control.record().kind(), control.record().encode())).collect();
    world.input(0, Input::Import { request: import, records: signed });
    let outcomes = world.nodes[0].imported[&import].clone();
    assert!(outcomes.iter().all(|outcome| !matches!(outcome, ImportOutcome::Refused(_))), "{outcomes:?}");
    let state = world.nodes[0].replica.state();
    assert_eq!((state.charter().map(|charter| charter.height), state.control_ids().count()), (Some(3), records.len()));
    world.crash(0);
    assert_eq!(world.nodes[0].replica.state().charter().map(|charter| charter.height), Some(3), "all of it was saved");
}

#[test]
fn a_delivery_that_leads_nowhere_leaves_nothing_behind() {
    let (alliance, records) = four_versions();
    let mut world = World::new(50, alliance);
    let founding = elements(&world.alliance.control()[..5]);
    world.add(0, 0, founding);
    let before = world.nodes[0].replica.state().control_held();
    // Votes on later versions and the roster of a nation nobody admitted, without the motions.
    let early = records
        .iter()
        .filter(|control| control.record().kind() > 2 && !world.alliance.control()[..5].contains(control));
    let early: Vec<_> = early.map(|control| (control.record().kind(), control.record().encode())).skip(6).collect();
    let import = world.request();
    world.input(0, Input::Import { request: import, records: early.clone() });
    let refused =
        world.nodes[0].imported[&import].iter().filter(|outcome| matches!(outcome, ImportOutcome::Refused(_)));
    assert_eq!((refused.count(), early.is_empty()), (early.len(), false));
    assert_eq!(world.nodes[0].replica.state().control_held(), before);
    let newcomer = world.alliance.nations[4].nodes[0].author;
    assert!(!world.nodes[0].replica.state().lists(&newcomer), "its envelopes stay unknown");
}

#[test]
fn two_nodes_exchange_a_chain_of_versions_and_agree() {
    let (alliance, records) = four_versions();
    let mut world = World::new(50, alliance);
    let founding = elements(&world.alliance.control()[..5]);
    world.add(0, 0, elements(&records));
    world.add(1, 0, founding);
    world.connect(0, 1);
    world.run_until(30_000, "convergence", World::converged);
    assert_eq!(world.nodes[1].replica.state().charter().map(|charter| charter.height), Some(3));
    world.check_honest();
}

#[test]
fn a_conflict_is_told_once() {
    let (alliance, records) = four_versions();
    let mut world = World::new(50, alliance);
    world.add(0, 0, elements(&records));
    let founding = (*world.nodes[0].replica.state().charter_versions()[0]).clone();
    let params = Params { chain_quota: founding.params.chain_quota + 9, ..founding.params };
    let rival = world.alliance.motion(&founding, 9, vec![CharterChange::SetParams(params)]);
    let mut controls = world.alliance.pass(&[1, 2, 3], &founding, 0, &rival.id());
    controls.push(rival);
    for _ in 0..2 {
        let records = controls.iter().map(|control| (control.record().kind(), control.record().encode())).collect();
        let import = world.request();
        world.input(0, Input::Import { request: import, records });
    }
    let told = |alarm: &&Alarm| matches!(alarm, Alarm::CharterConflict { height: 0, below_anchor: false, .. });
    assert_eq!(world.nodes[0].alarms.iter().filter(told).count(), 1);
}
