//! Taking frames apart and putting them together again.

use std::sync::Arc;

use comity_protocol::effect::{Effect, Input};
use comity_protocol::envelope::Header;
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, EnvelopeId};
use comity_protocol::keys::Signature;
use comity_protocol::message::run::{Run, RunBody, RunItem};
use comity_protocol::message::{Frame, PushedEnvelope, TAG_HEARTBEAT, TAG_PUSH};

use super::Rewritten;

/// Whether a frame has this tag.
pub(super) fn has_tag(frame: &[u8], tag: u16) -> bool {
    frame.starts_with(&tag.to_be_bytes())
}

/// The envelopes of a push frame; none for any other frame.
pub(super) fn pushed(frame: &[u8]) -> Vec<PushedEnvelope> {
    if !has_tag(frame, TAG_PUSH) {
        return Vec::new();
    }
    match Frame::decode(frame) {
        Ok(Frame::Push(envelopes)) => envelopes,
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// The header and id of a pushed envelope, if it is one.
pub(super) fn header_of(envelope: &PushedEnvelope) -> Option<(Header, EnvelopeId)> {
    let header = Header::decode(&envelope.header).ok()?;
    let id = header.id();
    Some((header, id))
}

/// An envelope that is held with its signature and its body, as a push carries it.
pub(super) fn envelope_of(state: &State, id: &EnvelopeId) -> Option<PushedEnvelope> {
    let view = state.envelope(id)?;
    Some(PushedEnvelope {
        header: view.chain.header(view.held).encode(),
        signature: *view.held.signature()?,
        body: Arc::clone(view.held.body()?),
    })
}

/// Changes the envelopes of an [`Effect::Push`]: each may be left out or replaced. Heartbeats go out as they are.
pub(super) fn rewrite_push(
    effect: &Effect,
    mut each: impl FnMut(PushedEnvelope) -> Option<PushedEnvelope>,
) -> Rewritten {
    let Effect::Push { link, frame } = effect else { return Rewritten::Kept };
    if has_tag(frame, TAG_HEARTBEAT) {
        return Rewritten::Kept;
    }
    let before = pushed(frame);
    let after: Vec<PushedEnvelope> = before.iter().cloned().filter_map(&mut each).collect();
    if after == before {
        Rewritten::Kept
    } else if after.is_empty() {
        Rewritten::Dropped
    } else {
        Rewritten::Changed(Effect::Push { link: *link, frame: Frame::Push(after).encode() })
    }
}

/// Changes the frames of an [`Effect::Answer`]: each may be left out or replaced by several.
pub(super) fn rewrite_answer(effect: &Effect, each: impl FnMut(Frame) -> Vec<Frame>) -> Rewritten {
    let Effect::Answer { link, exchange, frames } = effect else { return Rewritten::Kept };
    let decoded = frames.iter().filter_map(|frame| Frame::decode(frame).ok());
    let after: Vec<Vec<u8>> = decoded.flat_map(each).map(|frame| frame.encode()).collect();
    if after == *frames {
        return Rewritten::Kept;
    }
    Rewritten::Changed(Effect::Answer { link: *link, exchange: *exchange, frames: after })
}

/// Keeps from the inner replica what others hold of its own chain and it does not, so that it writes on where it is.
pub(super) fn hide_own(me: AuthorId, state: &State, input: Input) -> Option<Input> {
    let known = |id: &EnvelopeId| state.chain(&me).is_some_and(|chain| chain.get(id).is_some());
    match input {
        Input::Pushed { link, frame } if has_tag(&frame, TAG_PUSH) => {
            let mut envelopes = pushed(&frame);
            let all = envelopes.len();
            envelopes.retain(|envelope| {
                header_of(envelope).is_none_or(|(header, id)| header.author_id() != me || known(&id))
            });
            if envelopes.len() == all {
                return Some(Input::Pushed { link, frame });
            }
            (!envelopes.is_empty()).then(|| Input::Pushed { link, frame: Frame::Push(envelopes).encode() })
        }
        Input::Reply { link, exchange, frame } => {
            if let Ok(Frame::FrontierReply(mut entries)) = Frame::decode(&frame) {
                for entry in entries.iter_mut().filter(|entry| entry.author == me) {
                    entry.heads.retain(|head| known(&head.tip.id));
                }
                entries.retain(|entry| !entry.heads.is_empty());
                return Some(Input::Reply { link, exchange, frame: Frame::FrontierReply(entries).encode() });
            }
            Some(Input::Reply { link, exchange, frame })
        }
        other => Some(other),
    }
}

/// The item of a run that carries this envelope.
pub(super) fn run_item(header: &Header, body: Option<&Arc<[u8]>>) -> RunItem {
    RunItem {
        time_ms: header.time_ms,
        kind: header.kind,
        body: match body {
            Some(body) => RunBody::Held(Arc::clone(body)),
            None => RunBody::Missing { hash: header.body_hash, len: header.body_len },
        },
        signature: None,
    }
}

/// Packs consecutive envelopes of one author into a run; none if there are none.
pub(super) fn run_of(author: AuthorId, items: &[(Header, Arc<[u8]>)], signature: Signature) -> Option<Run> {
    let (first, _) = items.first()?;
    Some(Run {
        author,
        first_seq: first.seq,
        first_prev: first.prev,
        items: items.iter().map(|(header, body)| run_item(header, Some(body))).collect(),
        signature,
    })
}
