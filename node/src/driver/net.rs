//! Between the transport's words and the replica's.

use std::net::IpAddr;
use std::time::Duration;

use comity_protocol::effect::{self, CloseReason, ExchangeId, Input, LinkId, LinkUp, Source};

use crate::transport::{self, NetEvent};

/// Returns what the event means to the replica; `None` if nothing.
pub(super) fn input(event: NetEvent) -> Option<Input> {
    Some(match event {
        NetEvent::Listening { .. } => return None,
        NetEvent::LinkUp { link, peer, source: address, .. } => {
            Input::LinkUp(LinkUp { link: LinkId(link.0), peer, source: source(address) })
        }
        NetEvent::LinkDown { link, .. } => Input::LinkDown { link: LinkId(link.0) },
        NetEvent::Push { link, frame } => Input::Pushed { link: LinkId(link.0), frame: content(frame) },
        NetEvent::Asked { link, exchange, frame } => {
            Input::Asked { link: LinkId(link.0), exchange: ExchangeId(exchange), frame: content(frame) }
        }
        NetEvent::Reply { link, exchange, frame } => {
            Input::Reply { link: LinkId(link.0), exchange: ExchangeId(exchange), frame: content(frame) }
        }
        NetEvent::ExchangeFailed { link, exchange, .. } => {
            Input::ExchangeFailed { link: LinkId(link.0), exchange: ExchangeId(exchange) }
        }
        NetEvent::PushStalled { link } => Input::PushStalled { link: LinkId(link.0) },
        // Every answer is handed over whole.
        NetEvent::AnswerDrained { .. } => return None,
    })
}

/// An address that is no internet address counts as one address, the strictest reading.
fn source(address: Option<IpAddr>) -> Source {
    match address {
        Some(address) if address.to_canonical().is_loopback() => Source::Loopback,
        Some(IpAddr::V4(address)) => Source::Address(address.to_ipv6_mapped().octets()),
        Some(IpAddr::V6(address)) => Source::Address(address.octets()),
        None => Source::Address([0; 16]),
    }
}

/// Bytes of a frame's length field; the transport counts it in, the replica does not.
const LENGTH_BYTES: usize = 4;

fn content(mut frame: Vec<u8>) -> Vec<u8> {
    frame.drain(..LENGTH_BYTES.min(frame.len()));
    frame
}

/// Puts the length in front of a frame.
pub(super) fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("the replica keeps frames below their bound");
    [&length.to_be_bytes(), content].concat()
}

/// Returns the bytes of frames an event carries.
pub(super) fn frame_bytes(event: &NetEvent) -> usize {
    match event {
        NetEvent::Push { frame, .. } | NetEvent::Asked { frame, .. } | NetEvent::Reply { frame, .. } => frame.len(),
        NetEvent::Listening { .. }
        | NetEvent::LinkUp { .. }
        | NetEvent::LinkDown { .. }
        | NetEvent::ExchangeFailed { .. }
        | NetEvent::PushStalled { .. }
        | NetEvent::AnswerDrained { .. } => 0,
    }
}

/// Returns the transport's name of a link.
pub(super) const fn link(link: LinkId) -> transport::LinkId {
    transport::LinkId(link.0)
}

/// Returns what the handshake lets in.
pub(super) fn admission(admission: effect::Admission) -> transport::Admission {
    transport::Admission { active: admission.active, refused: admission.refused }
}

/// Returns why a link is closed, for logs and metrics.
pub(super) const fn close_reason(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::OwnKey => "own_key",
        CloseReason::Retired => "retired",
        CloseReason::LobbyFull => "lobby_full",
        CloseReason::NotInRoster => "refused_not_in_roster",
        CloseReason::LobbyBytes => "lobby_bytes",
        CloseReason::Silent => "silent",
        CloseReason::Strikes { .. } => "strikes",
        CloseReason::BackOff { .. } => "back_off",
        CloseReason::OtherAlliance => "other_alliance",
        CloseReason::NoCommonVersion => "no_common_version",
        CloseReason::Rate => "rate",
    }
}

/// Returns for how long the peer is not to be dialled after a close, if at all.
pub(super) const fn hold_off(reason: CloseReason) -> Option<Duration> {
    match reason {
        CloseReason::Strikes { retry_after_ms } | CloseReason::BackOff { retry_after_ms } => {
            Some(Duration::from_millis(retry_after_ms))
        }
        CloseReason::OwnKey
        | CloseReason::Retired
        | CloseReason::LobbyFull
        | CloseReason::NotInRoster
        | CloseReason::LobbyBytes
        | CloseReason::Silent
        | CloseReason::OtherAlliance
        | CloseReason::NoCommonVersion
        | CloseReason::Rate => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_lose_and_regain_their_length() {
        assert_eq!(framed(&[0, 12, 1]), [0, 0, 0, 3, 0, 12, 1]);
        assert_eq!(content(framed(&[0, 12, 1])), [0, 12, 1]);
        assert!(content(vec![1]).is_empty());
    }

    #[test]
    fn loopback_is_told_apart_in_both_families() {
        for text in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(source(text.parse().ok()), Source::Loopback, "{text}");
        }
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert_eq!(source("192.0.2.1".parse().ok()), source(Some(mapped)));
    }
}
