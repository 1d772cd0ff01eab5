//! Witnessed finality (spec 4.5.3, 4.5.4, T4): by stories here, at random in [`world`].

use super::{admit_all, standing};
use crate::body::{Ack, Body, WitnessBody};
use crate::chain::EnvelopeStanding;
use crate::evaluate::{Element, State};
use crate::ids::{AuthorId, CharterId, Digest, EnvelopeId, Tip};
use crate::testing::{TestAlliance, TestEnvelope, TestNode};

mod world;

/// Four nations, each with a witness and, of the first, an author beside it: q = 3, one may lie.
fn four() -> TestAlliance {
    TestAlliance::new(1, &[("UKR", 2), ("POL", 1), ("DEU", 1), ("EST", 1)])
}

pub(super) fn acks(acks: &[(AuthorId, Tip)]) -> Body {
    let mut acks: Vec<Ack> = acks.iter().map(|&(author, tip)| Ack { author, tip }).collect();
    acks.sort_by_key(|ack| ack.author);
    Body::Witness(WitnessBody {
        height: 0,
        charter: CharterId::ZERO,
        rosters: Vec::new(),
        acks,
        frontier: Digest::ZERO,
        state: Digest::ZERO,
    })
}

/// The nation's witness says that it holds an envelope.
fn ack(alliance: &mut TestAlliance, nation: usize, of: &TestEnvelope) -> TestEnvelope {
    let author = of.header.header().author_id();
    alliance.node(nation, 0).body(&acks(&[(author, of.header.tip())]))
}

fn say(node: &mut TestNode, count: usize) -> Vec<TestEnvelope> {
    (0..count).map(|_| node.envelope(99, vec![1])).collect()
}

fn fork(node: &TestNode, count: usize) -> Vec<TestEnvelope> {
    let mut twin = node.clone();
    (0..count).map(|_| twin.envelope(99, vec![2])).collect()
}

fn elements(envelopes: &[TestEnvelope]) -> Vec<Element> {
    envelopes.iter().flat_map(TestEnvelope::elements).collect()
}

#[test]
fn a_statement_is_final_when_more_than_two_thirds_of_the_nations_acknowledge_it() {
    let mut alliance = four();
    let mut state = alliance.state();
    let author = alliance.nations[0].nodes[1].author;
    let said = say(alliance.node(0, 1), 3);
    state.admit(elements(&said));
    let see = |state: &State, at: usize| {
        let held = state.chain(&author).and_then(|chain| chain.get(&said[at].id())).expect("held");
        (state.seen_by(&author, held).len(), state.is_final(&author, held))
    };
    assert_eq!((see(&state, 0), state.final_tip(&author)), ((0, false), Tip::NONE));
    for (nation, at, expected) in [(1, 2, Tip::NONE), (2, 0, Tip::NONE), (3, 1, said[0].header.tip())] {
        let word = ack(&mut alliance, nation, &said[at]);
        let changes = admit_all(&mut state, &[&word]);
        assert_eq!(state.final_tip(&author), expected);
        assert!(changes.acknowledged.contains(&author));
    }
    assert_eq!([see(&state, 0), see(&state, 1), see(&state, 2)], [(3, true), (2, false), (1, false)]);
    let own = ack(&mut alliance, 0, &said[2]);
    admit_all(&mut state, &[&own]);
    assert_eq!(state.final_tip(&author), said[1].header.tip(), "the own nation's word counts too");
}

/// T10: a stolen key signs again below what was seen.
#[test]
fn a_fork_below_what_is_final_takes_nothing_final_away() {
    let mut alliance = four();
    let mut state = alliance.state();
    let author = alliance.nations[0].nodes[1].author;
    let first = say(alliance.node(0, 1), 1);
    let place = alliance.nations[0].nodes[1].clone();
    let said = say(alliance.node(0, 1), 4);
    state.admit(elements(&first));
    state.admit(elements(&said));
    for nation in 1..4 {
        let word = ack(&mut alliance, nation, &said[2]);
        admit_all(&mut state, &[&word]);
    }
    let stolen = fork(&place, 6);
    let changes = state.admit(elements(&stolen));
    let chain = state.chain(&author).expect("held");
    assert_eq!((chain.fork(), chain.tip()), (Some(2), said[2].header.tip()));
    assert_eq!(changes.dropped, [(author, said[3].id())], "what too few had seen is suspended");
    assert_eq!(standing(&state, &said[3]), EnvelopeStanding::Suspended);
    assert!(stolen.iter().all(|envelope| standing(&state, envelope) == EnvelopeStanding::Suspended));
    assert!(state.author_tip(&author).is_err(), "a forked chain is not written on");
}

/// T11: a liar acknowledges both sides of a fork.
#[test]
fn one_nation_that_acknowledges_both_sides_decides_nothing() {
    let mut alliance = four();
    let mut state = alliance.state();
    let author = alliance.nations[0].nodes[1].author;
    let place = alliance.nations[0].nodes[1].clone();
    let (one, other) = (say(alliance.node(0, 1), 3), fork(&place, 5));
    state.admit(elements(&one));
    state.admit(elements(&other));
    assert_eq!(state.chain(&author).expect("held").tip(), Tip::NONE);
    // The liar says both; of the honest ones two saw one side, one saw the other.
    for (nation, of) in [(3, &other[4]), (3, &one[2]), (1, &one[1]), (2, &other[0])] {
        let word = ack(&mut alliance, nation, of);
        admit_all(&mut state, &[&word]);
    }
    let liar = alliance.nations[3].id;
    assert_eq!(state.acknowledged(&liar, &author), [one[2].header.tip(), other[4].header.tip()]);
    assert_eq!((state.final_tip(&author), state.witness_split(&author)), (Tip::NONE, false));
    let word = ack(&mut alliance, 0, &one[2]);
    admit_all(&mut state, &[&word]);
    assert_eq!(state.final_tip(&author), one[1].header.tip());
    assert_eq!(state.chain(&author).expect("held").tip(), one[1].header.tip());
}

#[test]
fn where_a_third_lies_what_is_final_stands_as_far_as_both_sides_agree() {
    let mut alliance = four();
    let mut state = alliance.state();
    let author = alliance.nations[0].nodes[1].author;
    let common = say(alliance.node(0, 1), 2);
    let place = alliance.nations[0].nodes[1].clone();
    let (one, other) = (say(alliance.node(0, 1), 2), fork(&place, 2));
    [&common, &one, &other].into_iter().for_each(|said| drop(state.admit(elements(said))));
    for (nation, of) in [(0, &one[1]), (1, &one[0]), (1, &other[0]), (2, &one[0]), (2, &other[1]), (3, &other[0])] {
        let word = ack(&mut alliance, nation, of);
        admit_all(&mut state, &[&word]);
    }
    assert!(state.witness_split(&author));
    assert_eq!(state.final_tip(&author), common[1].header.tip());
    assert_eq!(state.chain(&author).expect("held").tip(), common[1].header.tip());
}

#[test]
fn a_cut_of_the_roster_wins_over_what_is_final() {
    let mut alliance = four();
    let author = alliance.nations[0].nodes[1].author;
    let place = alliance.nations[0].nodes[1].clone();
    let (said, other) = (say(alliance.node(0, 1), 3), fork(&place, 2));
    let words: Vec<TestEnvelope> = (1..4).map(|nation| ack(&mut alliance, nation, &said[2])).collect();
    let mut state = alliance.state();
    state.admit([elements(&said), elements(&other), elements(&words)].concat());
    assert_eq!(state.chain(&author).expect("held").tip(), said[2].header.tip());
    // A cut that nobody holds lets the final part stand up to its position.
    let unknown = Tip { seq: 2, id: EnvelopeId::new([9; 32]) };
    let mut other_way = alliance.clone();
    let roster = other_way.retire(0, 1, unknown);
    let mut waiting = state.clone();
    waiting.admit(vec![Element::Control(roster)]);
    let chain = waiting.chain(&author).expect("held");
    assert_eq!((chain.tip(), chain.incomplete()), (said[1].header.tip(), Some(unknown)));
    let roster = alliance.retire(0, 1, other[0].header.tip());
    state.admit(vec![Element::Control(roster)]);
    assert_eq!(state.chain(&author).expect("held").tip(), other[0].header.tip());
    assert_eq!(standing(&state, &said[0]), EnvelopeStanding::Disavowed);
}

#[test]
fn a_retired_witness_is_heard_up_to_its_cut_and_only_on_the_path_to_it() {
    let mut alliance = four();
    let said = say(alliance.node(0, 1), 4);
    let author = alliance.nations[0].nodes[1].author;
    let nation = alliance.nations[1].id;
    let first = ack(&mut alliance, 1, &said[0]);
    let place = alliance.nations[1].nodes[0].clone();
    let second = ack(&mut alliance, 1, &said[1]);
    let third = ack(&mut alliance, 1, &said[2]);
    let mut twin = place.clone();
    let beside = twin.body(&acks(&[(author, said[3].header.tip())]));
    let mut state = alliance.state();
    state.admit(elements(&said));
    state.admit(elements(&[first, third, beside]));
    assert_eq!(state.acknowledged(&nation, &author), [said[3].header.tip()], "an acknowledgement is a raw fact");
    admit_all(&mut state, &[&second]);
    assert_eq!(state.acknowledged(&nation, &author), [said[3].header.tip()], "what it built on is here");
    let mut elsewhere = alliance.clone();
    let roster = elsewhere.retire(1, 0, Tip { seq: 2, id: EnvelopeId::new([9; 32]) });
    let mut waiting = state.clone();
    waiting.admit(vec![Element::Control(roster)]);
    assert_eq!(waiting.acknowledged(&nation, &author), [said[3].header.tip()], "up to the place of a cut not held");
    let roster = alliance.retire(1, 0, second.header.tip());
    state.admit(vec![Element::Control(roster)]);
    assert_eq!(state.acknowledged(&nation, &author), [said[1].header.tip()], "and then on the path to it");
}

#[test]
fn words_that_come_first_count_when_what_they_name_is_here() {
    let mut alliance = four();
    let author = alliance.nations[0].nodes[1].author;
    let said = say(alliance.node(0, 1), 3);
    let words: Vec<TestEnvelope> = (1..4).map(|nation| ack(&mut alliance, nation, &said[2])).collect();
    let mut state = alliance.state();
    state.admit(elements(&words));
    let absent: Vec<_> = state.acknowledgements().absent().map(|(author, tip, _)| (author, tip)).collect();
    assert_eq!(absent, vec![(author, said[2].header.tip()); 3]);
    state.admit(elements(&said[1..]));
    assert_eq!(state.final_tip(&author), Tip::NONE);
    admit_all(&mut state, &[&said[0]]);
    assert_eq!(state.final_tip(&author), said[2].header.tip());
    assert_eq!(state.acknowledgements().absent().count(), 0);
}

/// What only a liar's words say, each on a branch of its witness's own chain.
struct Words {
    alliance: TestAlliance,
    author: AuthorId,
    /// Branches of the author's chain, and below each word of the liar's the decoys that come before it at its fork.
    before: Vec<TestEnvelope>,
    /// A word for the lowest of three branches, which no store keeps for its own sake.
    word: TestEnvelope,
    cut: Tip,
}

fn words() -> Words {
    let mut alliance = four();
    let node = alliance.nations[0].nodes[1].clone();
    let mut before = Vec::new();
    let mut tips = Vec::new();
    for (way, length) in [(0, 5), (1, 5), (2, 2)] {
        let mut twin = node.clone();
        let branch: Vec<TestEnvelope> = (0..length).map(|_| twin.envelope(99, vec![way])).collect();
        tips.push(branch[branch.len() - 1].header.tip());
        before.extend(branch);
    }
    let witness = alliance.node(1, 0).clone();
    before.extend(tips[..2].iter().map(|tip| witness.clone().body(&acks(&[(node.author, *tip)]))));
    let decoys: Vec<TestEnvelope> = (0..2).map(|way| witness.clone().envelope(99, vec![way])).collect();
    let highest = decoys.iter().map(TestEnvelope::id).max().expect("two");
    let word = (0..)
        .map(|later| TestNode { time_ms: witness.time_ms + later, ..witness.clone() })
        .map(|mut twin| twin.body(&acks(&[(node.author, tips[2])])))
        .find(|word| word.id() > highest)
        .expect("one in three");
    before.extend(decoys);
    Words { author: node.author, alliance, before, word, cut: tips[2] }
}

#[test]
fn where_a_key_is_cut_off_all_stores_keep_who_has_seen_what_stands() {
    let Words { mut alliance, author, before, word, cut } = words();
    let mut without = alliance.state();
    without.admit(elements(&before));
    let mut with = without.clone();
    with.admit(word.elements().into());
    assert_eq!(with.held(), without.held(), "before the cut nobody keeps the word");
    let roster = Element::Control(alliance.retire(0, 1, cut));
    // In whatever order the cut, the word and what it names come.
    let mut orders = Vec::new();
    with.admit(vec![roster.clone()]);
    orders.push(with.clone());
    without.admit(vec![roster.clone()]);
    without.admit(word.elements().into());
    orders.push(without);
    let mut late = alliance.state();
    late.admit(elements(&before[10..]));
    late.admit(word.elements().into());
    late.admit(elements(&before[..10]));
    late.admit(elements(&before[10..]));
    orders.push(late);
    let seen = |state: &State| {
        let chain = state.chain(&author).expect("held");
        state.seen_by(&author, chain.get(&cut.id).expect("held")).len()
    };
    for mut state in orders {
        let digests = (state.held(), state.state(), seen(&state));
        assert_eq!(digests, (with.held(), with.state(), 1));
        state.forget_unkept_headers(&author);
        state.forget_unkept_headers(&word.header.header().author_id());
        assert_eq!((state.held(), state.state(), seen(&state)), digests, "what is not kept changes nothing");
    }
}
