//! Documents: what counts, what waits, what is void, and that the rest goes on (spec 4.5.5).

use std::collections::BTreeSet;

use super::{admit_all, standing, verdict};
use crate::body::{Body, ChangeBody, KIND_CHANGE, KIND_KEY_GRANT, KIND_WITNESS};
use crate::chain::EnvelopeStanding;
use crate::evaluate::{AuthorError, Element, Placed, State, evaluate};
use crate::guard::{Draft, VoidReason, compose};
use crate::ids::{ChangeHash, Digest, Timestamp};
use crate::section::{Verdict, WaitingReason};
use crate::testing::{FOUNDED_MS, TestAlliance, TestEnvelope, draft, revision};
use crate::value::{Actor, record_id_from};

/// A nation with two nodes, and the state of a replica that holds everything said so far.
struct Story {
    alliance: TestAlliance,
    state: State,
}

impl Story {
    fn new() -> Self {
        let alliance = TestAlliance::new(1, &[("UKR", 2), ("POL", 1)]);
        let state = alliance.state();
        Self { alliance, state }
    }

    fn draft(&self, node: usize, number: u64) -> Draft {
        let author = self.alliance.nations[0].nodes[node].author;
        self.state.section(&author.nation).draft(&author.key, FOUNDED_MS, vec![draft("pledge", number, "x")])
    }

    fn say(&mut self, node: usize, change: &Draft) -> TestEnvelope {
        let bytes = compose(change).expect("a change in the dialect");
        self.raw(node, bytes)
    }

    fn raw(&mut self, node: usize, change: Vec<u8>) -> TestEnvelope {
        let envelope = self.alliance.node(0, node).raw_change(change);
        admit_all(&mut self.state, &[&envelope]);
        envelope
    }

    fn envelope(&mut self, node: usize, kind: u16, body: Vec<u8>) -> TestEnvelope {
        let envelope = self.alliance.node(0, node).envelope(kind, body);
        admit_all(&mut self.state, &[&envelope]);
        envelope
    }

    fn verdict(&self, envelope: &TestEnvelope) -> Verdict {
        verdict(&self.state, envelope).expect("accepted")
    }

    fn valid(&self) -> u64 {
        self.state.section(&self.alliance.nations[0].id).counts().valid
    }
}

fn hash(change: &Draft) -> ChangeHash {
    let bytes = compose(change).expect("a change in the dialect");
    crate::guard::prescan(&change.actor.author(), &bytes).expect("sound").hash
}

#[test]
fn void_bodies_break_nothing_and_name_their_reason() {
    let mut story = Story::new();
    let first = story.draft(0, 1);
    let bytes = compose(&first).expect("a change in the dialect");
    let said = story.raw(0, bytes.clone());
    assert_eq!(story.verdict(&said), Verdict::Valid);

    let sibling = Actor::new(&story.alliance.nations[0].nodes[1].author.key, 0);
    let cases: Vec<(VoidReason, Vec<u8>)> = vec![
        (VoidReason::SeqNotConsecutive, bytes.clone()),
        (VoidReason::BadChecksum, spoilt(&bytes)),
        (VoidReason::WrongActor, compose(&Draft { actor: sibling, ..story.draft(1, 2) }).expect("sound")),
        (VoidReason::SeqNotConsecutive, compose(&Draft { seq: 50, ..story.draft(0, 2) }).expect("sound")),
        (VoidReason::BadMagic, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ];
    for (reason, change) in cases {
        let envelope = story.raw(0, change);
        assert_eq!(story.verdict(&envelope), Verdict::Void(reason));
        let next = story.draft(0, 50);
        let good = story.say(0, &next);
        assert_eq!(story.verdict(&good), Verdict::Valid, "after {}", reason.code());
    }
    for (kind, body) in [(KIND_CHANGE, vec![1]), (KIND_WITNESS, vec![1]), (KIND_KEY_GRANT, vec![0; 8])] {
        let envelope = story.envelope(0, kind, body);
        assert_eq!(story.verdict(&envelope), Verdict::Void(VoidReason::Malformed));
    }
    // The generation moves on and never back.
    let author = story.alliance.nations[0].nodes[0].author.key;
    let first_of_second = Draft { actor: Actor::new(&author, 1), seq: 1, ..story.draft(0, 3) };
    let envelope = story.say(0, &first_of_second);
    assert_eq!(story.verdict(&envelope), Verdict::Valid);
    let back = Draft { actor: Actor::new(&author, 0), seq: 7, ..story.draft(0, 4) };
    let envelope = story.say(0, &back);
    assert_eq!(story.verdict(&envelope), Verdict::Void(VoidReason::GenerationDecreases));
    let counts = story.state.section(&story.alliance.nations[0].id).counts();
    assert_eq!((counts.valid, counts.void, counts.waiting), (7, 9, 0));
}

fn spoilt(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().expect("not empty") ^= 1;
    bytes
}

#[test]
fn what_the_document_refuses_is_void_and_its_author_goes_on_in_a_new_generation() {
    let mut story = Story::new();
    let good = story.draft(0, 1);
    story.say(0, &good);
    let wrong = Draft { start_op: 9, ..story.draft(0, 2) };
    let refused = story.say(0, &wrong);
    assert_eq!(story.verdict(&refused), Verdict::Void(VoidReason::StartOp));

    let on_void = Draft { deps: vec![hash(&wrong)], start_op: 11, seq: 3, ..story.draft(0, 3) };
    let dependent = story.say(0, &Draft { actor: good.actor, ..on_void });
    assert_eq!(story.verdict(&dependent), Verdict::Waiting(WaitingReason::DepVoid));
    let unknown = Draft { actor: good.actor, deps: vec![ChangeHash::new([3; 32])], seq: 4, ..story.draft(0, 4) };
    let dependent = story.say(0, &unknown);
    assert_eq!(story.verdict(&dependent), Verdict::Waiting(WaitingReason::DepMissing));
    let on_waiting = Draft { actor: good.actor, deps: vec![hash(&unknown)], seq: 5, ..story.draft(0, 5) };
    let dependent = story.say(0, &on_waiting);
    assert_eq!(story.verdict(&dependent), Verdict::Waiting(WaitingReason::DepWaiting));

    let restated = story.draft(0, 6);
    assert_eq!((restated.actor.generation(), restated.seq), (1, 1));
    let envelope = story.say(0, &restated);
    assert_eq!(story.verdict(&envelope), Verdict::Valid);
    assert_eq!(story.valid(), 2);
}

#[test]
fn every_waiting_reason_is_reached_and_has_its_own_name() {
    // The reasons of missing bodies are reached in the tests of chains, the others above.
    let names: BTreeSet<&str> = WaitingReason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["body_missing", "earlier_body_missing", "dep_missing", "dep_waiting", "dep_void"])
    );
}

#[test]
fn a_siblings_change_on_a_disavowed_one_waits_and_nothing_else_is_affected() {
    let mut story = Story::new();
    let polish = story.alliance.node(1, 0).write(&story.state, vec![draft("pledge", 70, "x")]).expect("writes");
    admit_all(&mut story.state, &[&polish]);
    let kept = story.draft(0, 1);
    let kept = story.say(0, &kept);
    let cut_off = story.draft(0, 2);
    let cut_off = story.say(0, &cut_off);
    let sibling = story.draft(1, 3);
    let dependent = story.say(1, &sibling);
    assert_eq!(story.verdict(&dependent), Verdict::Valid);
    let other_nation = story.state.section(&story.alliance.nations[1].id).table().clone();

    let retired = story.alliance.retire(0, 0, kept.header.tip());
    let changes = story.state.admit(vec![Element::Control(retired)]);
    assert_eq!(changes.rebuilt.len(), 1);
    assert_eq!(standing(&story.state, &cut_off), EnvelopeStanding::Disavowed);
    assert_eq!(story.verdict(&dependent), Verdict::Waiting(WaitingReason::DepMissing));
    let author = story.alliance.nations[0].nodes[1].author;
    let view = story.state.envelope(&dependent.id()).expect("held");
    let lacking = story.state.lacking(&view);
    let carriers: Vec<_> = lacking.iter().filter_map(|lacking| lacking.carrier).collect();
    let place = Placed { author: story.alliance.nations[0].nodes[0].author, tip: cut_off.header.tip() };
    assert_eq!(carriers, [(place, EnvelopeStanding::Disavowed)]);
    assert_eq!(story.state.section(&story.alliance.nations[1].id).table(), &other_nation);

    // The sibling re-states under its next generation, on what stands.
    let node = story.alliance.node(0, 1);
    let restated = node.write(&story.state, vec![draft("pledge", 3, "again")]).expect("writes");
    admit_all(&mut story.state, &[&restated]);
    assert_eq!(story.verdict(&restated), Verdict::Valid);
    assert_eq!(story.state.section(&author.nation).draft(&author.key, 0, Vec::new()).actor.generation(), 1);
    assert_eq!(story.valid(), 2);
    assert_eq!(story.state.section(&author.nation).counts().waiting, 1);
}

#[test]
fn changes_that_arrive_before_what_they_build_on_wait_and_enter_together() {
    let mut story = Story::new();
    let mut said = Vec::new();
    for i in 0..6 {
        let change = story.draft(i % 2, 10 + i as u64);
        said.push(story.say(i % 2, &change));
    }
    let mut late = story.alliance.state();
    for envelope in
        said.iter().rev().filter(|envelope| envelope.header.header().author == said[1].header.header().author)
    {
        admit_all(&mut late, &[envelope]);
    }
    assert_eq!(verdict(&late, &said[1]), Some(Verdict::Waiting(WaitingReason::DepMissing)));
    assert_eq!(verdict(&late, &said[3]), Some(Verdict::Waiting(WaitingReason::DepMissing)));
    let changes = admit_all(&mut late, &[&said[0], &said[2], &said[4]]);
    assert_eq!((changes.accepted.len(), changes.valid.len()), (3, 6));
    assert_eq!((late.state(), late.held()), (story.state.state(), story.state.held()));
}

#[test]
fn a_flood_of_orphans_waits_and_costs_the_rest_nothing() {
    let mut story = Story::new();
    let before = story.draft(0, 1);
    let before = story.say(0, &before);
    let actor = Actor::new(&story.alliance.nations[0].nodes[0].author.key, 1);
    let (mut last, mut dep) = (None, ChangeHash::new([3; 32]));
    for seq in 1..=400 {
        // Each builds on the one before, and the first on a change that never was.
        let orphan = Draft { actor, seq, start_op: 1 + 2 * seq, deps: vec![dep], ..story.draft(0, 1_000 + seq) };
        dep = hash(&orphan);
        last = Some(story.say(0, &orphan));
    }
    let last = last.expect("some");
    assert_eq!(story.verdict(&last), Verdict::Waiting(WaitingReason::DepWaiting));
    let good = story.draft(1, 2);
    let good = story.say(1, &good);
    assert_eq!((story.verdict(&before), story.verdict(&good)), (Verdict::Valid, Verdict::Valid));
    let nation = story.alliance.nations[0].id;
    let counts = story.state.section(&nation).counts();
    assert_eq!((counts.valid, counts.waiting), (2, 400));
    let document = story.state.document(&nation).expect("none of them reaches the library");
    assert_eq!(automerge::ReadDoc::length(&document, automerge::ROOT), 2);
}

#[test]
fn sealed_and_unknown_bodies_are_carried_and_counted() {
    let mut story = Story::new();
    let node = story.alliance.node(0, 0);
    let sealed = node.body(&Body::Change(ChangeBody::Encrypted {
        compartment: 1,
        kid: Digest::new([1; 32]),
        nonce: [0; 24],
        ciphertext: vec![0; 48],
    }));
    let clear = node.body(&Body::Change(ChangeBody::Clear { compartment: 1, change: vec![1] }));
    let unknown = node.envelope(77, vec![1]);
    admit_all(&mut story.state, &[&sealed, &clear, &unknown]);
    assert_eq!(story.verdict(&sealed), Verdict::Sealed);
    assert_eq!(story.verdict(&clear), Verdict::Sealed);
    assert_eq!(story.verdict(&unknown), Verdict::UnknownKind);
    let change = story.draft(0, 1);
    let good = story.say(0, &change);
    assert_eq!(story.verdict(&good), Verdict::Valid);
    let counts = story.state.section(&story.alliance.nations[0].id).counts();
    assert_eq!((counts.sealed, counts.unknown_kind, counts.valid), (2, 1, 1));
}

#[test]
fn two_first_writes_and_two_revisions_apart_both_survive() {
    let mut story = Story::new();
    let author = story.alliance.nations[0].nodes[0].author;
    let apart = story.state.clone();
    let first = story.alliance.node(0, 0).write(&apart, vec![draft("pledge", 1, "ours")]).expect("writes");
    let second = story.alliance.node(0, 1).write(&apart, vec![draft("pledge", 1, "theirs")]).expect("writes");
    admit_all(&mut story.state, &[&first, &second]);
    let id = record_id_from(1);
    let surviving = story.state.section(&author.nation).replaces("pledge", &id);
    assert_eq!(surviving.len(), 2);
    let apart = story.state.clone();
    let settle = revision("pledge", 1, surviving, "settled");
    let ours = story.alliance.node(0, 0).write(&apart, vec![settle.clone()]).expect("writes");
    admit_all(&mut story.state, &[&ours]);
    assert_eq!(story.state.section(&author.nation).replaces("pledge", &id).len(), 1);
    let theirs = story.alliance.node(0, 1).write(&apart, vec![settle]).expect("writes");
    admit_all(&mut story.state, &[&theirs]);
    let record = story.state.section(&author.nation).table().record("pledge", &id).expect("held").clone();
    assert_eq!((record.versions.len(), record.surviving().count()), (4, 2));
    assert!(record.by_envelope(&theirs.id()).is_some_and(|version| !version.replaced));
}

#[test]
fn an_author_writes_on_what_stands_or_is_told_why_not() {
    let mut story = Story::new();
    let author = story.alliance.nations[0].nodes[0].author;
    let first = story.alliance.node(0, 0).write(&story.state, vec![draft("pledge", 1, "x")]).expect("writes");
    admit_all(&mut story.state, &[&first]);
    let (header, _) = story.state.next_change(&author, Timestamp(5), vec![draft("pledge", 2, "x")]).expect("writes");
    assert_eq!((header.seq, header.prev), (2, first.id()));
    assert_eq!(header.time_ms, first.header.header().time_ms, "a clock that went back claims its last time");
    let unknown =
        revision("pledge", 9, story.state.section(&author.nation).replaces("pledge", &record_id_from(1)), "x");
    let refused = story.state.next_change(&author, Timestamp(5), vec![unknown]);
    assert_eq!(refused, Err(AuthorError::Void(VoidReason::PredUnknown)));
    assert!(matches!(story.state.next_change(&author, Timestamp(5), Vec::new()), Err(AuthorError::Void(_))));
    let stranger = story.alliance.add_node(0, 3).author;
    assert!(matches!(story.state.author_tip(&stranger), Err(AuthorError::NotActive(_))));
    let mut twin = story.alliance.nations[0].nodes[0].clone();
    twin.tip = crate::ids::Tip::NONE;
    admit_all(&mut story.state, &[&twin.envelope(99, vec![])]);
    assert_eq!(story.state.author_tip(&author), Err(AuthorError::Forked { seq: 1 }));
}

#[test]
fn the_record_of_a_replica_without_the_genesis_waits_for_it() {
    let mut story = Story::new();
    let change = story.draft(0, 1);
    let said = story.say(0, &change);
    let mut elements: Vec<Element> = said.elements().into();
    elements.extend(story.alliance.elements().into_iter().rev());
    let mut state = State::new(story.alliance.anchor());
    for element in elements.clone() {
        state.admit(vec![element]);
    }
    assert_eq!(state.state(), story.state.state());
    assert_eq!(evaluate(story.alliance.anchor(), elements).state(), story.state.state());
}
