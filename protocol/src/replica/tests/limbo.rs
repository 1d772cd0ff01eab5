//! What a forked chain does not keep and may have to keep later (spec 4.12 (d)), and how much of that is held.

use super::lone::{LINK, Lone};
use super::sync::chain;
use crate::effect::{ExchangeId, Input};
use crate::evaluate::{Element, evaluate};
use crate::ids::{AuthorId, Digest, Tip};
use crate::limits::{HEADERS_UNKEPT_IN_ALL_MAX, HEADERS_UNKEPT_MAX, UNKEPT_BYTES_MAX};
use crate::message::{Frame, Heartbeat, Outcome};
use crate::rules::Rules;
use crate::testing::{TestAlliance, TestEnvelope, TestNode, witness_of};

fn lone(seed: u64) -> Lone {
    Lone::new(TestAlliance::new(seed, &[("UKR", 1), ("POL", 2), ("DEU", 1), ("FRA", 1)]), Rules::default())
}

/// First envelopes of one key at one position, ascending by id.
fn ways(node: &TestNode, count: u32, say: impl Fn(&mut TestNode, u32) -> TestEnvelope) -> Vec<TestEnvelope> {
    let mut ways: Vec<TestEnvelope> = (0..count).map(|way| say(&mut node.clone(), way)).collect();
    ways.sort_by_key(TestEnvelope::id);
    ways
}

/// A branch that no store keeps for its own sake, and an acknowledgement of it that stands on one of its author's that no
/// store keeps for its own sake either; before them what makes that so.
fn kept_for_each_other(lone: &mut Lone) -> (Vec<TestEnvelope>, TestEnvelope, TestEnvelope) {
    let node = lone.alliance.node(1, 1).clone();
    let author = node.author;
    let mut branches = ways(&node, 3, |twin, way| twin.envelope(99, way.to_be_bytes().to_vec()));
    let branch = branches.pop().expect("three");
    let witness = lone.alliance.node(2, 0).clone();
    let mut words = ways(&witness, 2, |twin, way| twin.envelope(99, way.to_be_bytes().to_vec()));
    // Time moves the id until it is the last of the three.
    let word = (0..)
        .map(|later| TestNode { time_ms: witness.time_ms + later, ..witness.clone() })
        .map(|mut twin| twin.body(&witness_of(author, branch.header.tip())))
        .find(|word| word.id() > words[1].id())
        .expect("one in three");
    words.append(&mut branches);
    (words, branch, word)
}

#[test]
fn an_acknowledgement_and_the_branch_it_names_are_kept_in_either_order() {
    let mut digests = Vec::new();
    for first_the_branch in [true, false] {
        let mut lone = lone(130);
        let (before, branch, word) = kept_for_each_other(&mut lone);
        lone.push(&before);
        let (saved, held) = (lone.headers_saved, lone.digests());
        let (first, second) = if first_the_branch { (&branch, &word) } else { (&word, &branch) };
        lone.push(std::slice::from_ref(first));
        assert_eq!((lone.headers_saved, lone.digests()), (saved, held), "alone it is not kept");
        lone.push(std::slice::from_ref(second));
        for envelope in [&branch, &word] {
            let view = lone.replica.state().envelope(&envelope.id()).expect("held");
            assert!(view.chain.keeps(view.held), "together both are kept");
            assert!(lone.saved(envelope), "and saved");
        }
        let all = [&before[..], &[branch, word]].concat();
        let mut elements = lone.alliance.elements();
        elements.extend(all.iter().flat_map(TestEnvelope::elements));
        let whole = evaluate(lone.alliance.anchor(), elements);
        assert_eq!((whole.held(), whole.state()), (lone.digests().0, lone.digests().2));
        digests.push(lone.digests());
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn what_is_kept_later_is_saved_then_and_a_start_knows_it() {
    let mut lone = lone(131);
    let node = lone.alliance.node(1, 1).clone();
    let branches = ways(&node, 3, |twin, way| twin.envelope(99, way.to_be_bytes().to_vec()));
    // The branch that is not kept goes on, and then is acknowledged, as a chain is by its nation's own witness too.
    let mut on = TestNode { tip: branches[2].header.tip(), ..node.clone() };
    let above = chain(&mut on, 40, "above");
    lone.push(&branches);
    lone.push(&above);
    assert_eq!(lone.headers_saved, 3 - 1, "two branches are saved");
    let word = lone.alliance.node(2, 0).body(&witness_of(node.author, above[30].header.tip()));
    lone.push(&[word]);
    let restarted = lone.restarted();
    assert_eq!((restarted.held(), restarted.state()), (lone.digests().0, lone.digests().2));
    assert!(branches[2..].iter().chain(&above[..=30]).all(|envelope| lone.saved(envelope)));
    let again = lone.headers_saved;
    lone.push(&above);
    assert_eq!(lone.headers_saved, again, "nothing is saved twice");
}

#[test]
fn a_cut_on_a_branch_that_waits_in_memory_has_it_saved() {
    let mut lone = lone(132);
    let node = lone.alliance.node(1, 1).clone();
    let branches = ways(&node, 3, |twin, way| twin.envelope(99, way.to_be_bytes().to_vec()));
    lone.push(&branches);
    assert!(!lone.saved(&branches[2]));
    let roster = lone.alliance.retire(1, 1, branches[2].header.tip());
    let records = vec![(roster.record().kind(), roster.record().encode())];
    lone.input(Input::Import { request: crate::effect::RequestId(1), records });
    assert!(lone.saved(&branches[2]));
    let restarted = lone.restarted();
    assert_eq!((restarted.held(), restarted.state()), (lone.digests().0, lone.digests().2));
}

/// Lets ten minutes pass in which the peer answers nothing and holds something else; how many ranges it is asked for.
fn asked_in_ten_minutes(lone: &mut Lone, mut answer: impl FnMut(&mut Lone, ExchangeId)) -> usize {
    let mut asked = 0;
    for _ in 0..600 {
        for (exchange, frame) in lone.questions() {
            if matches!(frame, Frame::Range(_)) {
                asked += 1;
                answer(lone, exchange);
            }
            lone.reply(exchange, &Frame::End(Outcome::Complete));
        }
        lone.tick(1_000);
        let beat = Frame::Heartbeat(Heartbeat { time_ms: lone.now.0, held: Digest::new([1; 32]) });
        lone.input(Input::Pushed { link: LINK, frame: beat.encode() });
    }
    asked
}

fn unkept(lone: &Lone, author: &AuthorId) -> usize {
    lone.replica.state().chain(author).expect("held").unkept()
}

#[test]
fn a_flood_of_made_up_branches_is_forgotten_and_not_asked_for_again_and_again() {
    let mut lone = lone(133);
    let node = lone.alliance.node(1, 1).clone();
    let mut most = 0;
    for part in 0..(HEADERS_UNKEPT_MAX / 50 + 20) {
        let flood: Vec<TestEnvelope> =
            (0..50).map(|n| node.clone().envelope(99, format!("branch {part} {n}").into_bytes())).collect();
        lone.push(&flood);
        most = most.max(unkept(&lone, &node.author));
    }
    assert!(most <= HEADERS_UNKEPT_MAX && most > HEADERS_UNKEPT_MAX - 51, "at most {most} wait");
    assert!(unkept(&lone, &node.author) < 2_000, "and were forgotten");
    assert!(lone.headers_saved < 100, "{} headers were saved", lone.headers_saved);
    let restarted = lone.restarted();
    assert_eq!((restarted.held(), restarted.state()), (lone.digests().0, lone.digests().2));
    let asked = asked_in_ten_minutes(&mut lone, |_, _| {});
    assert!(asked < 20, "asked {asked} times in ten minutes");
    assert_eq!(lone.strikes(), 0);
}

/// A peer that shows branches and makes up others whenever it is asked: each answer is new, and nothing of it is kept.
#[test]
fn a_peer_that_answers_with_ever_new_branches_is_asked_ever_more_rarely() {
    let mut lone = lone(134);
    let mut node = lone.alliance.node(1, 1).clone();
    lone.push(&chain(&mut node.clone(), 1, "one"));
    node.tip = Tip { seq: 5, id: crate::ids::EnvelopeId::new([7; 32]) };
    lone.push(&chain(&mut node.clone(), 1, "from nowhere"));
    let twin = lone.alliance.node(1, 1).clone();
    let mut made = 0;
    let asked = asked_in_ten_minutes(&mut lone, |lone, exchange| {
        for _ in 0..3 {
            made += 1;
            let branch = chain(&mut twin.clone(), HEADERS_UNKEPT_MAX / 2 + 600, &format!("made up, {made}"));
            lone.reply(exchange, &Frame::Run(super::witness::run_of(&branch)));
        }
    });
    assert!((2..30).contains(&asked), "asked {asked} times in ten minutes");
}

#[test]
fn many_authors_that_make_up_branches_share_what_may_wait() {
    let nations: Vec<String> = (0..26_u8).map(|n| format!("NA{}", char::from(b'A' + n))).collect();
    let nations: Vec<(&str, usize)> = nations.iter().map(|code| (code.as_str(), 1)).collect();
    let mut lone = Lone::new(TestAlliance::new(135, &nations), Rules::default());
    let mut authors: Vec<TestNode> = (2..26).map(|nation| lone.alliance.nations[nation].nodes[0].clone()).collect();
    let honest = authors.pop().expect("many");
    let few = ways(&honest, 10, |twin, way| twin.envelope(99, way.to_be_bytes().to_vec()));
    lone.push(&few);
    for author in &authors {
        for part in 0..18 {
            let flood: Vec<TestEnvelope> =
                (0..100).map(|n| author.clone().envelope(99, format!("branch {part} {n}").into_bytes())).collect();
            lone.push(&flood);
        }
    }
    let all: usize = lone.replica.state().chains().map(crate::chain::Chain::unkept).sum();
    assert!(all <= HEADERS_UNKEPT_IN_ALL_MAX, "{all} wait");
    assert!(all > HEADERS_UNKEPT_IN_ALL_MAX / 2, "{all} wait");
    assert_eq!(unkept(&lone, &honest.author), 8, "who has few is not the first to lose them");
}

#[test]
fn long_bodies_of_what_is_not_kept_are_bounded_too() {
    let mut lone = lone(136);
    let node = lone.alliance.node(1, 1).clone();
    let held = |lone: &Lone| -> usize {
        let chain = lone.replica.state().chain(&node.author).expect("held");
        chain.iter().filter_map(|held| held.body()).map(|body| body.len()).sum()
    };
    let mut most = 0;
    for n in 0..(UNKEPT_BYTES_MAX / 60_000 + 40) {
        let mut body = vec![0; 60_000];
        body[..8].copy_from_slice(&u64::try_from(n).expect("small").to_be_bytes());
        lone.push(&[node.clone().envelope(99, body)]);
        most = most.max(held(&lone));
    }
    // Beside what waits are the few that were kept until a smaller id came.
    assert!((UNKEPT_BYTES_MAX / 2..UNKEPT_BYTES_MAX + 20 * 60_000).contains(&most), "{most} bytes");
    assert!(held(&lone) < UNKEPT_BYTES_MAX / 2);
}

/// A made-up branch may be cut off by any start: what was kept must not have leaned on it.
#[test]
fn a_start_at_any_time_holds_what_was_kept() {
    let mut lone = lone(137);
    let (before, branch, word) = kept_for_each_other(&mut lone);
    let mut on = TestNode { tip: branch.header.tip(), ..lone.alliance.node(1, 1).clone() };
    let above = chain(&mut on, 3, "above");
    let second = TestNode { tip: word.header.tip(), ..lone.alliance.node(2, 0).clone() }
        .body(&witness_of(on.author, above[2].header.tip()));
    let all = [&before[..], &above[..1], &[word, branch], &above[1..], &[second]].concat();
    for envelope in &all {
        lone.push(std::slice::from_ref(envelope));
        let elements: Vec<Element> = all.iter().flat_map(TestEnvelope::elements).collect();
        let mut restarted = lone.restarted();
        assert_eq!((restarted.held(), restarted.state()), (lone.digests().0, lone.digests().2));
        restarted.admit(elements);
        let mut whole = lone.alliance.state();
        whole.admit(all.iter().flat_map(TestEnvelope::elements).collect());
        assert_eq!((restarted.held(), restarted.state()), (whole.held(), whole.state()), "and catches up from there");
    }
}

/// An answer is bounded by bytes: the branch that is looked for may be the last of many.
#[test]
fn every_branch_of_a_chain_with_many_short_ones_is_served() {
    let mut lone = lone(138);
    let node = lone.alliance.node(1, 1).clone();
    let branches = ways(&node, 20, |twin, way| twin.envelope(99, way.to_be_bytes().to_vec()));
    lone.push(&branches);
    let mut author = lone.alliance.node(2, 0).clone();
    let words: Vec<TestEnvelope> = branches
        .iter()
        .enumerate()
        .map(|(nation, branch)| {
            let word = witness_of(node.author, branch.header.tip());
            if nation % 2 == 0 { author.body(&word) } else { lone.alliance.node(3, 0).body(&word) }
        })
        .collect();
    lone.push(&words);
    let heads: Vec<Tip> =
        lone.replica.state().chain(&node.author).expect("held").heads().iter().map(|head| head.tip).collect();
    assert!(heads.len() > 4, "{} heads", heads.len());
    let answer = lone.ask(&Frame::Range(crate::message::RangeRequest { author: node.author, from: 1, to: 1 }));
    let runs = answer.iter().filter(|frame| matches!(frame, Frame::Run(_))).count();
    assert_eq!((runs, answer.last()), (heads.len(), Some(&Frame::End(Outcome::Complete))));
}
