//! The receipt checks R01–R08 by their codes, strikes, rates and bounds (spec 4.4, T1–T9, T44–T50).

use super::lone::{LINK, Lone, pushed};
use super::sync::chain;
use crate::effect::{CloseReason, Input, LinkId, LinkUp, Source};
use crate::ids::EnvelopeId;
use crate::keys::Signature;
use crate::message::{ByIdRequest, Frame, Outcome, RangeRequest, RefusedCode};
use crate::rules::{Rule, Rules};
use crate::testing::TestAlliance;

fn lone(seed: u64) -> Lone {
    Lone::new(TestAlliance::new(seed, &[("UKR", 1), ("POL", 1), ("DEU", 1)]), Rules::default())
}

#[test]
fn every_flipped_bit_of_a_pushed_envelope_is_refused_and_changes_nothing() {
    let envelope = {
        let mut alliance = TestAlliance::new(50, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
        alliance.node(1, 0).envelope(900, b"golden".to_vec())
    };
    let honest = pushed(&envelope);
    let mut lone = lone(50);
    let before = lone.digests();
    for bit in (0..honest.header.len() * 8).step_by(7).chain([0, 1, 2, 3, 4, 5, 6]) {
        let mut spoilt = honest.clone();
        spoilt.header[bit / 8] ^= 1 << (bit % 8);
        lone.push_raw(vec![spoilt]);
        assert_eq!(lone.digests(), before, "header bit {bit}");
        if !lone.closed.is_empty() {
            lone = self::lone(50);
        }
    }
    for bit in (0..512).step_by(11) {
        let mut spoilt = honest.clone();
        let Signature(mut bytes) = spoilt.signature;
        bytes[bit / 8] ^= 1 << (bit % 8);
        spoilt.signature = Signature(bytes);
        let mut lone = self::lone(50);
        lone.push_raw(vec![spoilt]);
        assert_eq!((lone.digests(), lone.strikes()), (before, 1), "signature bit {bit}");
        assert_eq!(lone.replica.counters().refused_signature, 1);
    }
}

#[test]
fn a_repeated_envelope_is_no_news() {
    let mut lone = lone(51);
    let envelope = lone.alliance.node(1, 0).envelope(900, b"once".to_vec());
    lone.push(std::slice::from_ref(&envelope));
    let once = lone.digests();
    lone.push(&[envelope.clone(), envelope]);
    assert_eq!((lone.digests(), lone.strikes()), (once, 0));
    assert_eq!(lone.replica.counters().pushed_known, 2);
}

#[test]
fn each_code_has_its_verdict() {
    // R02: another wire version is no fault.
    let mut lone = lone(52);
    let envelope = lone.alliance.node(1, 0).envelope(900, b"x".to_vec());
    let mut newer = pushed(&envelope);
    newer.header[0] = 2;
    lone.push_raw(vec![newer]);
    assert!((lone.strikes(), lone.replica.peers()[0].newer) == (0, true));

    // R03: another alliance.
    let mut other = TestAlliance::new(53, &[("UKR", 1), ("POL", 1)]);
    lone.push(&[other.node(1, 0).envelope(900, b"x".to_vec())]);
    assert_eq!((lone.strikes(), lone.replica.counters().refused_alliance), (1, 1));

    // R04: an author no roster lists is early, not wrong; control records are asked for.
    lone.questions();
    let early = lone.alliance.add_node(1, 52).envelope(900, b"x".to_vec());
    lone.push(&[early]);
    lone.tick(300);
    assert_eq!((lone.strikes(), lone.replica.counters().refused_unknown), (1, 1));
    assert!(lone.questions().iter().any(|(_, frame)| matches!(frame, Frame::Control(_))));

    // R07: the header stands, the body does not.
    let mut spoilt = pushed(&envelope);
    spoilt.body = (*b"y").into();
    lone.push_raw(vec![spoilt]);
    assert_eq!((lone.strikes(), lone.replica.counters().refused_body), (2, 1));
    let view = lone.replica.state().envelope(&envelope.id()).expect("its header is kept");
    assert!(view.held.body().is_none());
    lone.push(std::slice::from_ref(&envelope));
    assert!(lone.replica.state().envelope(&envelope.id()).expect("held").held.body().is_some());

    // R06, the third strike: closed, and kept away for ten minutes.
    let mut late = envelope.header.header().clone();
    late.time_ms = u64::MAX;
    let mut spoilt = pushed(&envelope);
    spoilt.header = late.encode();
    lone.push_raw(vec![spoilt]);
    assert_eq!(lone.closed, [CloseReason::Strikes { retry_after_ms: 600_000 }]);
    lone.link();
    assert_eq!(lone.closed[1], CloseReason::BackOff { retry_after_ms: 600_000 });
}

#[test]
fn garbage_closes_a_link_at_once_and_ever_longer() {
    let mut lone = lone(54);
    for back_off in [600_000, 1_200_000, 2_400_000] {
        lone.closed.clear();
        lone.input(Input::Pushed { link: LINK, frame: vec![0xff; 40] });
        assert_eq!(lone.closed, [CloseReason::Strikes { retry_after_ms: back_off }]);
        lone.now = lone.now.plus_ms(back_off);
        lone.link();
    }
    let answer = lone.ask(&Frame::End(Outcome::Complete));
    assert!(answer.is_empty() && lone.closed.len() == 2, "a frame without business on its stream is garbage too");
    assert_eq!(lone.replica.counters().refused_frame, 4);
}

#[test]
fn strikes_are_forgotten_after_ten_minutes() {
    let mut lone = lone(55);
    let envelope = lone.alliance.node(1, 0).envelope(900, b"x".to_vec());
    for _ in 0..6 {
        let mut spoilt = pushed(&envelope);
        spoilt.signature = Signature([1; 64]);
        lone.push_raw(vec![spoilt]);
        // The link is kept alive meanwhile.
        for _ in 0..200 {
            lone.now = lone.now.plus_ms(2_000);
            let held = lone.replica.state().held();
            let beat = Frame::Heartbeat(crate::message::Heartbeat { time_ms: lone.now.0, held });
            lone.input(Input::Pushed { link: LINK, frame: beat.encode() });
        }
    }
    assert!(lone.closed.is_empty(), "never three in ten minutes");
}

#[test]
fn nobody_is_struck_for_forks_void_bodies_or_unknown_kinds() {
    let mut lone = lone(56);
    let mut twin = lone.alliance.node(2, 0).clone();
    let envelopes = [
        lone.alliance.node(2, 0).envelope(900, b"unknown kind".to_vec()),
        twin.envelope(900, b"another one".to_vec()),
        lone.alliance.node(2, 0).raw_change(b"no change".to_vec()),
        lone.alliance.node(2, 0).envelope(1, b"malformed".to_vec()),
        lone.alliance.node(2, 0).envelope(2, b"malformed".to_vec()),
    ];
    lone.push(&envelopes);
    assert_eq!(lone.strikes(), 0);
    assert_eq!(lone.replica.state().chain(&twin.author).expect("held").len(), 5);

    let mut unfair = Lone::new(lone.alliance.clone(), Rules::broken(Rule::StrikeOwnFaultsOnly));
    unfair.push(&envelopes[4..]);
    assert!(unfair.strikes() > 0, "a broken rule is noticed");
}

#[test]
fn a_flood_of_unlinkable_headers_is_not_kept() {
    let mut lone = lone(57);
    let mut author = lone.alliance.node(2, 0).clone();
    author.tip = crate::ids::Tip { seq: 5, id: EnvelopeId::new([7; 32]) };
    let before = lone.digests();
    let flood = chain(&mut author, 10_000, "far ahead");
    for part in flood.chunks(200) {
        lone.push(part);
    }
    assert_eq!(lone.digests(), before);
    assert_eq!(lone.replica.counters().pushed_unlinked, 10_000);
    assert_eq!(lone.replica.state().chain(&author.author).map_or(0, crate::chain::Chain::len), 0);
    let memory = format!("{:?}", lone.replica).len();
    assert!(memory < 200_000, "{memory} characters describe it");
    let ranges: Vec<_> = lone.questions().into_iter().filter(|(_, frame)| matches!(frame, Frame::Range(_))).collect();
    assert_eq!(ranges.len(), 1, "the range is asked for once");
    assert_eq!(lone.strikes(), 0);

    let mut parked = Lone::new(lone.alliance.clone(), Rules::broken(Rule::StoreLinkedOnly));
    parked.push(&flood[..10]);
    assert_ne!(parked.digests(), before, "a broken rule is noticed");
}

#[test]
fn branches_somebody_makes_up_fill_neither_memory_nor_disk() {
    let mut lone = lone(63);
    let author = lone.alliance.node(2, 0).author;
    for n in 0..200 {
        let mut twin = lone.alliance.node(2, 0).clone();
        lone.push(&chain(&mut twin, 3, &format!("branch {n}")));
    }
    let chain = lone.replica.state().chain(&author).expect("held");
    assert_eq!(chain.len() - chain.unkept(), 6, "two branches of three are kept; the others wait in memory");
    assert!(lone.headers_saved < 100, "{} headers of 600 were saved", lone.headers_saved);
    assert_eq!(lone.strikes(), 0);
}

#[test]
fn a_peer_that_shows_what_it_does_not_deliver_is_asked_ever_more_rarely() {
    let mut lone = lone(58);
    let mut author = lone.alliance.node(2, 0).clone();
    author.tip = crate::ids::Tip { seq: 5, id: EnvelopeId::new([7; 32]) };
    lone.push(&chain(&mut author, 1, "from nowhere"));
    let mut asked = 0;
    for _ in 0..600 {
        for (exchange, frame) in lone.questions() {
            asked += usize::from(matches!(frame, Frame::Range(_)));
            lone.reply(exchange, &Frame::End(Outcome::Complete));
        }
        lone.tick(1_000);
        let held = crate::ids::Digest::new([1; 32]);
        let beat = Frame::Heartbeat(crate::message::Heartbeat { time_ms: lone.now.0, held });
        lone.input(Input::Pushed { link: LINK, frame: beat.encode() });
    }
    assert!((3..20).contains(&asked), "asked {asked} times in ten minutes");
}

#[test]
fn a_reply_that_answers_another_question_is_a_strike() {
    let mut lone = lone(59);
    let (exchange, _) = lone.questions().into_iter().next().expect("a Hello");
    lone.reply(exchange, &Frame::FrontierReply(Vec::new()));
    assert_eq!((lone.strikes(), lone.replica.counters().refused_reply), (1, 1));
}

#[test]
fn requests_over_the_rate_are_refused_and_then_the_link_is_closed() {
    let mut lone = lone(60);
    let refused = |answer: &[Frame]| answer.first() == Some(&Frame::Refused(RefusedCode::Rate));
    let served = (0..120).filter(|_| !refused(&lone.ask(&Frame::Frontier))).count();
    assert_eq!(served, 100);
    lone.tick(1_000);
    assert!(!refused(&lone.ask(&Frame::Frontier)));
    for _ in 0..400 {
        lone.ask(&Frame::Frontier);
    }
    assert_eq!(lone.closed, [CloseReason::Rate]);
}

#[test]
fn the_lobby_is_served_control_only() {
    let mut lone = lone(61);
    let stranger = crate::keys::SecretKey::from_seed(&[1; 32]).public();
    lone.input(Input::LinkDown { link: LINK });
    lone.input(Input::LinkUp(LinkUp { link: LinkId(1), peer: stranger, source: Source::Loopback }));
    let author = lone.alliance.nations[1].nodes[0].author;
    for question in [
        Frame::Frontier,
        Frame::Range(RangeRequest { author, from: 1, to: 9 }),
        Frame::ById(ByIdRequest { ids: Vec::new(), bodies: true }),
    ] {
        assert_eq!(lone.ask(&question)[0], Frame::Refused(RefusedCode::NotInRoster));
    }
    let envelope = lone.alliance.node(1, 0).envelope(900, b"x".to_vec());
    let before = lone.digests();
    lone.push(&[envelope]);
    assert_eq!(lone.digests(), before, "no envelope is taken from the lobby");
}

#[test]
fn envelopes_are_served_by_id_with_or_without_their_bodies() {
    let mut lone = lone(62);
    let envelopes = chain(lone.alliance.node(1, 0), 3, "by id");
    lone.push(&envelopes);
    let mut ids: Vec<EnvelopeId> =
        envelopes.iter().map(crate::testing::TestEnvelope::id).chain([EnvelopeId::ZERO]).collect();
    ids.sort_unstable();
    for bodies in [false, true] {
        let answer = lone.ask(&Frame::ById(ByIdRequest { ids: ids.clone(), bodies }));
        let [Frame::ByIdReply(items), Frame::End(Outcome::Complete)] = &answer[..] else { panic!("{answer:?}") };
        assert_eq!(items.len(), 3, "those not held are left out");
        assert!(items.iter().all(|item| item.body.is_some() == bodies && item.signature.is_some()));
    }
}
