//! When a replica wants to be woken: never for what it would not do then.

use super::lone::{LINK, Lone};
use super::sync::chain;
use crate::effect::Input;
use crate::message::{Frame, RefusedCode};
use crate::rules::Rules;
use crate::testing::TestAlliance;

#[test]
fn a_node_that_its_peer_does_not_know_yet_is_not_woken_for_what_it_may_not_ask() {
    let mut lone = Lone::new(TestAlliance::new(90, &[("UKR", 1), ("POL", 1)]), Rules::default());
    let said = chain(lone.alliance.node(1, 0), 3, "said");
    let hello =
        lone.questions().into_iter().find(|(_, frame)| matches!(frame, Frame::Hello(_))).expect("asked first").0;
    // The third envelope alone: what is below it is missing, and the peer fails to serve it once.
    lone.push(&said[2..]);
    let range = lone.questions().into_iter().find(|(_, frame)| matches!(frame, Frame::Range(_))).expect("asked for").0;
    lone.input(Input::ExchangeFailed { link: LINK, exchange: range });
    lone.reply(hello, &Frame::Refused(RefusedCode::NotInRoster));
    let mut wakes = 0;
    let until = lone.now.plus_ms(8_000);
    while let Some(at) = lone.replica.next_wakeup().filter(|at| *at <= until) {
        lone.tick(at.since(lone.now).max(1));
        wakes += 1;
        assert!(wakes < 100, "it wakes for nothing, {wakes} times until {at:?}");
    }
    assert!(lone.closed.is_empty(), "the link is up: {:?}", lone.closed);
}
