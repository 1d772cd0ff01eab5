//! Every rule, broken: what differs then is what a simulation has to notice.

use super::lone::{LINK, Lone, pushed};
use super::sync::chain;
use super::world::World;
use crate::chain::EnvelopeStanding;
use crate::effect::{Input, LinkUp, Replaces, Source};
use crate::evaluate::{Element, State};
use crate::guard::compose;
use crate::keys::Signature;
use crate::message::{Frame, RefusedCode};
use crate::rules::{DOUBTED_AHEAD_MS, Rule, Rules};
use crate::section::Verdict;
use crate::testing::{TestAlliance, TestEnvelope, draft};
use crate::value::{Actor, OpId};

fn three(seed: u64) -> TestAlliance {
    TestAlliance::new(seed, &[("UKR", 1), ("POL", 1), ("DEU", 1)])
}

/// Two nations whose first keeps `rules`; the second keeps all.
fn two(seed: u64, rules: Rules) -> World {
    let mut world = World::new(seed, TestAlliance::new(seed, &[("UKR", 1), ("POL", 1)]));
    let test = world.alliance.nations[0].nodes[0].clone();
    let elements = world.alliance.elements();
    world.add_key(test.key, test.author.nation, elements.clone(), rules);
    world.add(1, 0, elements);
    world
}

fn state(alliance: &TestAlliance, rules: Rules, envelopes: &[TestEnvelope]) -> State {
    let mut state = State::under(alliance.anchor(), rules);
    state.admit(alliance.elements());
    for envelope in envelopes {
        state.admit(envelope.elements().into());
    }
    state
}

fn both(rule: Rule) -> [Rules; 2] {
    [Rules::default(), Rules::broken(rule)]
}

#[test]
fn every_rule_has_its_name() {
    let names: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert!(names.len() == Rule::ALL.len() && names.len() >= 12, "{names:?}");
    assert!(Rule::ALL.is_sorted(), "in the order they are declared in");
    for rule in Rule::ALL {
        assert!(Rules::default().keeps(*rule) && !Rules::broken(*rule).keeps(*rule));
    }
}

#[test]
fn what_is_saved_late_is_spoken_of_first() {
    for (rules, early) in both(Rule::SaveBeforeSpeaking).into_iter().zip([false, true]) {
        let mut world = two(70, rules);
        world.connect(0, 1);
        world.run(1_000);
        let request = world.write(0, 1, "spoken of");
        let version = world.version(0, request);
        assert_eq!(world.nodes[0].spoken_unsaved > 0, early);
        // A driver commits the saves of all inputs of one moment first, so they come with a later one.
        world.input(0, Input::Tick);
        assert_eq!(world.nodes[0].saved(&version), !early);
        world.run(5_000);
        assert!(world.nodes[0].saved(&version), "in the end it is saved");
    }
}

#[test]
fn a_row_left_out_is_missing_after_a_restart() {
    for (rules, missing) in both(Rule::SaveEveryRow).into_iter().zip([false, true]) {
        let mut world = two(71, rules);
        for number in 0..2 {
            world.write(0, number, "saved");
        }
        assert!(world.nodes[0].replica.halted().is_none());
        world.crash(0);
        assert_eq!(world.nodes[0].replica.halted().is_some(), missing);
    }
}

#[test]
fn a_node_that_saw_its_own_key_elsewhere_writes_on() {
    for (rules, writes_on) in both(Rule::HaltOnForeignOwn).into_iter().zip([false, true]) {
        let mut lone = Lone::new(three(72), rules);
        let foreign = lone.alliance.node(0, 0).clone().envelope(900, b"said by a clone".to_vec());
        lone.push(&[foreign]);
        assert_eq!(lone.replica.halted().is_none(), writes_on);
    }
}

#[test]
fn an_answer_forgotten_is_a_write_repeated() {
    for (rules, written) in both(Rule::RememberAnswers).into_iter().zip([1, 2]) {
        let mut world = two(73, rules);
        for number in 0..2 {
            // A new id for the record, as a caller draws it again.
            world.write_with(0, number, "tents", Replaces::Nothing, Some("order-1"), 0);
        }
        let me = world.nodes[0].replica.me();
        assert_eq!(world.nodes[0].replica.state().chain(&me).expect("written").len(), written);
    }
}

#[test]
fn a_signature_not_checked_lets_anybody_speak_for_anybody() {
    for (rules, believed) in both(Rule::VerifySignatures).into_iter().zip([false, true]) {
        let mut lone = Lone::new(three(74), rules);
        let mut forged = pushed(&lone.alliance.node(2, 0).envelope(900, b"never said".to_vec()));
        forged.signature = Signature([1; 64]);
        let before = lone.digests();
        lone.push_raw(vec![forged]);
        assert_eq!(lone.digests() != before, believed);
        assert_eq!(lone.strikes(), usize::from(!believed));
    }
}

#[test]
fn evidence_dropped_leaves_two_nodes_with_two_truths() {
    for (rules, hidden) in both(Rule::KeepForkEvidence).into_iter().zip([false, true]) {
        let alliance = three(75);
        let branches = [b"one", b"two"].map(|said| alliance.nations[2].nodes[0].clone().envelope(900, said.to_vec()));
        let orders = [[0, 1], [1, 0]].map(|order| {
            let mut lone = Lone::new(alliance.clone(), rules);
            order.iter().for_each(|branch| lone.push(&branches[*branch..=*branch]));
            (lone.replica.state().chain(&alliance.nations[2].nodes[0].author).expect("held").fork(), lone.digests())
        });
        assert_eq!(orders[0] != orders[1], hidden);
        assert_eq!(orders[0].0, (!hidden).then_some(1));
        // The same by a run.
        let state = state(&alliance, rules, &branches[..1]);
        let verdict = state.receipt_run(&[branches[1].header.header().clone()]);
        assert_eq!(verdict == crate::evaluate::Receipt::ForkEvidence, !hidden);
    }
}

#[test]
fn a_clock_that_decides_keeps_an_honest_envelope_out() {
    for (rules, kept_out) in both(Rule::ClaimedTimeIsAdvisory).into_iter().zip([false, true]) {
        let mut lone = Lone::new(three(76), rules);
        let mut author = lone.alliance.node(2, 0).clone();
        author.time_ms = lone.now.plus_ms(DOUBTED_AHEAD_MS).0;
        let ahead = author.envelope(900, b"from a fast clock".to_vec());
        lone.push(std::slice::from_ref(&ahead));
        assert_eq!(lone.replica.state().envelope(&ahead.id()).is_none(), kept_out);
    }
    // By a run: the whole world may be late.
    for (rules, kept_out) in both(Rule::ClaimedTimeIsAdvisory).into_iter().zip([false, true]) {
        let mut world = two(77, rules);
        let mut author = world.alliance.node(1, 0).clone();
        author.time_ms = world.now.plus_ms(10 * DOUBTED_AHEAD_MS).0;
        let ahead = chain(&mut author, 3, "from a fast clock");
        let mut all = world.alliance.elements();
        all.extend(ahead.iter().flat_map(TestEnvelope::elements));
        let test = world.alliance.nations[1].nodes[0].clone();
        let fast = world.add_key(test.key, test.author.nation, all, Rules::default());
        world.connect(0, fast);
        world.run(10_000);
        assert_eq!(world.nodes[0].replica.state().chain(&author.author).is_none(), kept_out);
    }
}

#[test]
fn a_fork_not_frozen_reads_differently_by_order_of_arrival() {
    for (rules, differs) in both(Rule::FreezeOnFork).into_iter().zip([false, true]) {
        let alliance = three(78);
        let mut author = alliance.nations[2].nodes[0].clone();
        let common = chain(&mut author, 2, "common");
        let [one, two] = ["one", "two"].map(|said| chain(&mut author.clone(), 3, said));
        let reading = |order: [&[TestEnvelope]; 3]| {
            let state = state(&alliance, rules, &order.concat());
            let chain = state.chain(&author.author).expect("held");
            assert_eq!(chain.fork(), Some(3), "the fork is known either way");
            (chain.tip().seq, state.state())
        };
        let [first, second] = [reading([&common, &one, &two]), reading([&common, &two, &one])];
        assert_eq!(first.0, if differs { 5 } else { 2 });
        assert_eq!(first != second, differs);
    }
}

#[test]
fn a_cut_not_kept_lets_a_retired_key_speak_on() {
    for (rules, speaks_on) in both(Rule::CutAtRetirement).into_iter().zip([false, true]) {
        let mut alliance = three(79);
        let said = chain(alliance.node(2, 0), 3, "said");
        alliance.retire(2, 0, said[0].header.tip());
        let state = state(&alliance, rules, &said);
        let last = state.envelope(&said[2].id()).expect("held");
        assert_eq!(last.standing == EnvelopeStanding::Accepted, speaks_on);
    }
}

#[test]
fn a_change_not_guarded_reaches_the_rows() {
    for (rules, reaches) in both(Rule::GuardChanges).into_iter().zip([false, true]) {
        let mut alliance = three(80);
        let mut made = state(&alliance, Rules::default(), &[]).section(&alliance.nations[2].id).draft(
            &alliance.nations[2].nodes[0].author.key,
            1,
            vec![draft("pledge", 1, "replaces what never was")],
        );
        made.writes[0].replaces = vec![OpId { counter: 7, actor: Actor::new(&alliance.node(2, 0).author.key, 0) }];
        let change = compose(&made).expect("in the dialect");
        let envelope = alliance.node(2, 0).raw_change(change);
        let state = state(&alliance, rules, std::slice::from_ref(&envelope));
        let nation = alliance.nations[2].id;
        assert_eq!(state.section(&nation).table().len(), usize::from(reaches));
        let verdict = state.envelope(&envelope.id()).expect("held").verdict;
        assert_eq!(verdict == Some(Verdict::Valid), reaches);
        let document = state.document(&nation).expect("the library takes what it should not");
        let same_heads = document.get_heads().len() == state.section(&nation).heads().len();
        assert_eq!(same_heads, !reaches, "the document built from the log tells");
    }
}

#[test]
fn what_is_never_asked_for_never_comes() {
    for (rules, lacks) in both(Rule::AskForMissing).into_iter().zip([false, true]) {
        let mut world = two(81, rules);
        world.write(1, 1, "before the link");
        world.connect(0, 1);
        world.run(60_000);
        assert_eq!(!world.converged(), lacks);
    }
}

#[test]
fn a_stranger_hears_what_only_members_may() {
    for (rules, hears) in both(Rule::SpeakOnlyToMembers).into_iter().zip([false, true]) {
        let mut lone = Lone::new(three(82), rules);
        lone.input(Input::LinkDown { link: LINK });
        let stranger = crate::keys::SecretKey::from_seed(&[1; 32]).public();
        lone.input(Input::LinkUp(LinkUp { link: LINK, peer: stranger, source: Source::Loopback }));
        assert_eq!(lone.ask(&Frame::Frontier)[0] != Frame::Refused(RefusedCode::NotInRoster), hears);

        // A whole node that is in no roster: what it gets by asking, and by push.
        let mut world = two(83, rules);
        let key = crate::keys::SecretKey::from_seed(&[99; 32]);
        let nation = world.alliance.nations[1].id;
        let elements: Vec<Element> = world.alliance.elements();
        let stranger = world.add_key(key, nation, elements, Rules::default());
        world.write(0, 1, "before");
        world.connect(0, stranger);
        world.run(3_000);
        world.write(0, 2, "after");
        world.run(3_000);
        let me = world.nodes[0].replica.me();
        let heard = world.nodes[stranger].replica.state().chain(&me).map_or(0, crate::chain::Chain::len);
        assert_eq!(heard, if hears { 2 } else { 0 });
        assert_eq!(!world.nodes[stranger].pushes_in.is_empty(), hears);
    }
}
