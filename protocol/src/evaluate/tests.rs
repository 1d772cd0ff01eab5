//! The evaluation, by stories.

use super::{Changes, Element, Placed, State, evaluate};
use crate::chain::EnvelopeStanding;
use crate::ids::Tip;
use crate::section::Verdict;
use crate::testing::{TestAlliance, TestEnvelope, draft};

mod chains;
mod charter;
mod documents;
mod finality;
mod histories;
mod rosters;

/// Admits envelopes one batch each and returns all changes together.
fn admit_all(state: &mut State, envelopes: &[&TestEnvelope]) -> Changes {
    state.admit(envelopes.iter().flat_map(|envelope| envelope.elements()).collect())
}

fn verdict(state: &State, envelope: &TestEnvelope) -> Option<Verdict> {
    state.envelope(&envelope.id()).expect("held").verdict
}

fn standing(state: &State, envelope: &TestEnvelope) -> EnvelopeStanding {
    state.envelope(&envelope.id()).expect("held").standing
}

#[test]
fn what_a_node_writes_is_accepted_and_read() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1), ("POL", 2)]);
    let mut state = alliance.state();
    let node = alliance.node(1, 0);
    let first = node.write(&state, vec![draft("pledge", 1, "tents")]).expect("writes");
    let changes = admit_all(&mut state, &[&first]);
    assert_eq!(changes.accepted, [Placed { author: node.author, tip: first.header.tip() }]);
    assert_eq!(changes.valid, [(node.author, first.id())]);
    assert_eq!(verdict(&state, &first), Some(Verdict::Valid));
    let second = node.write(&state, vec![draft("pledge", 2, "blankets")]).expect("writes");
    admit_all(&mut state, &[&second]);
    let section = state.section(&node.author.nation);
    assert_eq!((section.table().len(), section.counts().valid, section.heads().len()), (2, 2, 1));
    let chain = state.chain(&node.author).expect("held");
    assert_eq!((chain.tip(), chain.bodies_to()), (Tip { seq: 2, id: second.id() }, 2));
    let mut all = alliance.elements();
    all.extend([&second, &first].iter().flat_map(|envelope| envelope.elements()));
    let fresh = evaluate(alliance.anchor(), all);
    assert_eq!((fresh.state(), fresh.held(), fresh.control()), (state.state(), state.held(), state.control()));
}

#[test]
fn records_of_another_alliance_are_no_elements() {
    let mut other = TestAlliance::new(2, &[("UKR", 1)]);
    let alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut state = alliance.state();
    let before = (state.state(), state.held(), state.control());
    let foreign = other.node(0, 0).raw_change(vec![1]);
    let mut elements: Vec<Element> = other.elements();
    elements.extend(foreign.elements());
    assert_eq!(state.admit(elements), Changes::default());
    assert_eq!(before, (state.state(), state.held(), state.control()));
}
