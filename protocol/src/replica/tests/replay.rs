//! What was said once, shown again elsewhere or later (spec 4.4, T3–T5, T50).

use super::lone::{Lone, pushed};
use super::sync::chain;
use crate::body::{Body, ChangeBody};
use crate::chain::Head;
use crate::control::Params;
use crate::effect::CloseReason;
use crate::frontier::FrontierEntry;
use crate::ids::{AllianceId, Digest, NationId};
use crate::limits::HEADER_BYTES;
use crate::message::{Frame, Hello, Outcome};
use crate::rules::Rules;
use crate::testing::TestAlliance;

const NATIONS: &[(&str, usize)] = &[("UKR", 1), ("POL", 1), ("DEU", 1)];

fn lone(seed: u64) -> Lone {
    Lone::new(TestAlliance::new(seed, NATIONS), Rules::default())
}

#[test]
fn what_the_same_key_said_in_another_alliance_is_refused() {
    let mut lone = lone(84);
    let mut other = TestAlliance::with_params(84, NATIONS, Params { max_active_keys: 7, ..Params::default() });
    let elsewhere = other.node(2, 0).envelope(900, b"said there".to_vec());
    assert_eq!(
        elsewhere.header.header().author,
        lone.alliance.nations[2].nodes[0].author.key,
        "one key, two alliances"
    );
    assert_ne!(other.id, lone.alliance.id);
    let before = lone.digests();
    lone.push(std::slice::from_ref(&elsewhere));
    assert_eq!((lone.digests(), lone.strikes()), (before, 1));
    assert_eq!(lone.replica.counters().refused_alliance, 1);

    // Made out to be of this alliance, its signature is none.
    let mut moved = elsewhere.header.header().clone();
    moved.alliance = lone.alliance.id;
    moved.nation = lone.alliance.nations[2].id;
    let mut spoilt = pushed(&elsewhere);
    spoilt.header = moved.encode();
    lone.push_raw(vec![spoilt]);
    assert_eq!((lone.digests(), lone.replica.counters().refused_signature), (before, 1));
}

#[test]
fn an_envelope_moved_to_another_nation_kind_or_compartment_is_none() {
    let mut lone = lone(85);
    // Germany lists Poland's key too, so that only the signature can tell.
    let foreign = lone.alliance.nations[1].nodes[0].roster_key(false);
    lone.alliance.roster(2, |roster| roster.keys.push(foreign));
    let mut lone = Lone::new(lone.alliance, Rules::default());
    let said = lone.alliance.node(1, 0).raw_change(b"in the public document".to_vec());
    let before = lone.digests();
    let german = lone.alliance.nations[2].id;
    for (place, strikes) in [(0, 1), (1, 2)] {
        let mut moved = said.header.header().clone();
        match place {
            0 => moved.nation = german,
            _ => moved.kind = 2,
        }
        let mut spoilt = pushed(&said);
        spoilt.header = moved.encode();
        lone.push_raw(vec![spoilt]);
        assert_eq!((lone.digests(), lone.strikes()), (before, strikes), "moved in place {place}");
    }
    assert_eq!(lone.replica.counters().refused_signature, 2);

    // The compartment stands in the body, which the header names by its hash.
    let mut lone = Lone::new(lone.alliance, Rules::default());
    let mut spoilt = pushed(&said);
    let secret = ChangeBody::Clear { compartment: 3, change: b"in the public document".to_vec() };
    spoilt.body = Body::Change(secret).encode().into();
    assert_eq!(spoilt.body.len(), said.body.len());
    lone.push_raw(vec![spoilt]);
    assert_eq!((lone.strikes(), lone.replica.counters().refused_body), (1, 1));
    assert!(lone.replica.state().envelope(&said.id()).expect("its header stands").held.body().is_none());
}

#[test]
fn an_old_state_shown_as_new_changes_nothing() {
    let mut lone = lone(86);
    let said = chain(lone.alliance.node(2, 0), 5, "said");
    lone.push(&said);
    let before = lone.digests();
    // By push, and as all that a peer claims to hold.
    lone.push(&said[..3]);
    let author = lone.alliance.nations[2].nodes[0].author;
    let heads = vec![Head { tip: said[2].header.tip(), bodies_to: 3 }];
    let old = FrontierEntry { author, heads, fork: None, closed: false };
    let hello = Hello { held: Digest::new([1; 32]), ..lone.replica.hello() };
    let mut shown = 0;
    for _ in 0..40 {
        for (exchange, frame) in lone.questions() {
            match frame {
                Frame::Hello(_) => lone.reply(exchange, &Frame::Hello(hello.clone())),
                Frame::Frontier => {
                    shown += 1;
                    lone.reply(exchange, &Frame::FrontierReply(vec![old.clone()]));
                }
                other => panic!("nothing old is asked for: {other:?}"),
            }
            lone.reply(exchange, &Frame::End(Outcome::Complete));
        }
        lone.tick(500);
    }
    assert!(shown > 0, "the old frontier was shown");
    assert_eq!(lone.digests(), before);
    assert_eq!(lone.replica.state().chain(&author).expect("held").tip(), said[4].header.tip());
}

#[test]
fn a_hello_limits_what_is_spoken_and_decides_nothing() {
    let hello = |lone: &Lone| lone.replica.hello();
    let mut lone = lone(87);
    let before = (lone.digests(), lone.replica.state().charter().cloned());
    let old = Hello { rules_max: 0, charter_height: 0, ..hello(&lone) };
    let new = Hello { wire_max: u8::MAX, rules_max: u16::MAX, charter_height: u64::MAX, ..hello(&lone) };
    let own = hello(&lone);
    for said in [old, new] {
        let answer = lone.ask(&Frame::Hello(said));
        assert_eq!(answer.first(), Some(&Frame::Hello(own.clone())), "what is answered is what is held");
        assert_eq!((lone.digests(), lone.replica.state().charter().cloned()), before);
        let envelope = lone.alliance.node(0, 0).envelope(900, b"one wire version, whatever was said".to_vec());
        assert_eq!(pushed(&envelope).header.len(), HEADER_BYTES);
    }
    assert!(lone.closed.is_empty());
    lone.ask(&Frame::Hello(Hello { wire_min: 2, wire_max: 3, ..own.clone() }));
    assert_eq!(lone.closed, [CloseReason::NoCommonVersion]);
    lone.link();
    let alliance = AllianceId::new([9; 32]);
    lone.ask(&Frame::Hello(Hello { alliance, nation: NationId::new([8; 32]), ..own }));
    assert_eq!(lone.closed[1..], [CloseReason::OtherAlliance]);
    assert_eq!((lone.digests(), lone.replica.state().charter().cloned()), before);
}
