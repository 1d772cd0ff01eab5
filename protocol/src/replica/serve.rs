//! Answering: what peers ask is answered from the state, within the bounds of 4.11.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Replica;
use super::peers::Fault;
use super::push::frontier_of;
use crate::chain::Chain;
use crate::effect::{CloseReason, Effect, ExchangeId, LinkId};
use crate::ids::EnvelopeId;
use crate::limits::{
    CONTROL_ANSWER_BYTES_MAX, CONTROL_FRAME_BYTES, CONTROL_REPLY_MAX, FRONTIER_FRAME_ENTRIES, FRONTIER_HEADS_MAX,
    HEADER_BYTES, RATE_REFUSALS_MAX, RUN_BYTES_MAX, RUN_ITEMS_MAX, RUNS_PER_ANSWER_MAX,
};
use crate::message::pack::{Packed, pack, run_length};
use crate::message::run::Run;
use crate::message::{
    ByIdItem, ByIdRequest, ControlReply, ControlRequest, Frame, Outcome, Page, RangeRequest, RefusedCode,
};
use crate::rules::Rule;

/// Bytes of one answer to a ById request after which a new frame is begun.
const BY_ID_FRAME_BYTES: usize = 524_288;

impl Replica {
    /// Answers a question of a peer.
    pub(super) fn asked(&mut self, id: LinkId, exchange: ExchangeId, frame: &[u8]) {
        if !self.heard(id, frame.len()) {
            return;
        }
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.asked.take(now).is_err() {
            link.refused_for_rate += 1;
            let too_many = link.refused_for_rate > RATE_REFUSALS_MAX;
            self.counters.refused_rate += 1;
            self.refuse(id, exchange, RefusedCode::Rate);
            if too_many {
                self.close(id, CloseReason::Rate);
            }
            return;
        }
        link.refused_for_rate = 0;
        let full = link.is_full();
        let frame = match Frame::decode(frame) {
            Ok(frame) => frame,
            Err(_) => {
                self.refuse(id, exchange, RefusedCode::Malformed);
                self.strike(id, Fault::Frame);
                return;
            }
        };
        self.counters.requests_served += 1;
        match frame {
            Frame::Hello(hello) => {
                let answer = Frame::Hello(self.hello());
                let (ours, theirs) = (self.alliance, hello.alliance);
                if ours == theirs {
                    self.answer(id, exchange, vec![answer], Outcome::Complete);
                } else {
                    self.refuse(id, exchange, RefusedCode::OtherAlliance);
                }
                self.hello_came(id, &hello);
            }
            Frame::Control(request) => {
                let (frames, outcome) = self.serve_control(&request);
                self.answer(id, exchange, frames, outcome);
            }
            Frame::Frontier | Frame::Range(_) | Frame::ById(_)
                if !full && self.rules.keeps(Rule::SpeakOnlyToMembers) =>
            {
                self.refuse(id, exchange, RefusedCode::NotInRoster);
            }
            Frame::Frontier => {
                let entries = frontier_of(&self.state);
                let mut frames: Vec<Frame> =
                    entries.chunks(FRONTIER_FRAME_ENTRIES).map(|part| Frame::FrontierReply(part.to_vec())).collect();
                if frames.is_empty() {
                    frames.push(Frame::FrontierReply(Vec::new()));
                }
                self.answer(id, exchange, frames, Outcome::Complete);
                self.asked_in_full(id);
            }
            Frame::Range(range) => {
                let (frames, outcome) = self.serve_range(&range);
                self.answer(id, exchange, frames, outcome);
                self.asked_in_full(id);
            }
            Frame::ById(request) => {
                let frames = self.serve_by_id(&request);
                self.answer(id, exchange, frames, Outcome::Complete);
                self.asked_in_full(id);
            }
            Frame::ControlReply(_)
            | Frame::FrontierReply(_)
            | Frame::Run(_)
            | Frame::ByIdReply(_)
            | Frame::Push(_)
            | Frame::Heartbeat(_)
            | Frame::End(_)
            | Frame::Refused(_) => self.strike(id, Fault::Frame),
        }
    }

    /// A peer that asks for envelopes takes the link for a full one: if it did not before, it is asked again.
    fn asked_in_full(&mut self, id: LinkId) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(&id)
            && std::mem::take(&mut link.in_peers_lobby)
        {
            link.frontier_due = Some(now);
        }
    }

    fn answer(&mut self, link: LinkId, exchange: ExchangeId, frames: Vec<Frame>, outcome: Outcome) {
        let frames = frames.into_iter().chain([Frame::End(outcome)]).map(|frame| frame.encode()).collect();
        self.effects.push_back(Effect::Answer { link, exchange, frames });
    }

    fn refuse(&mut self, link: LinkId, exchange: ExchangeId, code: RefusedCode) {
        self.answer(link, exchange, vec![Frame::Refused(code)], Outcome::Incomplete);
    }

    fn serve_control(&self, request: &ControlRequest) -> (Vec<Frame>, Outcome) {
        let span_end = match request.page {
            Page::Last => None,
            Page::More => request.have.last().copied(),
        };
        let lacking = self.state.control_records().into_iter().filter(|control| {
            let id = control.id();
            id > request.after && span_end.is_none_or(|end| id <= end) && request.have.binary_search(&id).is_err()
        });
        let mut outcome = Outcome::Complete;
        let mut replies: Vec<ControlReply> = Vec::new();
        let (mut in_frame, mut in_all) = (0, 0);
        for control in lacking {
            let bytes = control.record().encode();
            if in_all + bytes.len() > CONTROL_ANSWER_BYTES_MAX {
                outcome = Outcome::Incomplete;
                break;
            }
            let room = in_frame + bytes.len() <= CONTROL_FRAME_BYTES
                && replies.last().is_some_and(|reply| reply.records.len() < CONTROL_REPLY_MAX);
            if !room {
                if let Some(last) = replies.last_mut() {
                    last.more = true;
                }
                replies.push(ControlReply { records: Vec::new(), more: false });
                in_frame = 0;
            }
            in_frame += bytes.len();
            in_all += bytes.len();
            if let Some(reply) = replies.last_mut() {
                reply.records.push((control.record().kind(), bytes));
            }
        }
        if replies.is_empty() {
            replies.push(ControlReply { records: Vec::new(), more: false });
        }
        (replies.into_iter().map(Frame::ControlReply).collect(), outcome)
    }

    fn serve_range(&self, range: &RangeRequest) -> (Vec<Frame>, Outcome) {
        let Some(chain) = self.state.chain(&range.author) else { return (Vec::new(), Outcome::Complete) };
        let (runs, outcome) = runs_of(chain, range.from, range.to);
        (runs.into_iter().map(Frame::Run).collect(), outcome)
    }

    fn serve_by_id(&self, request: &ByIdRequest) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut items = Vec::new();
        let mut bytes = 0;
        for view in request.ids.iter().filter_map(|id| self.state.envelope(id)) {
            let body = view.held.body().filter(|_| request.bodies).map(Arc::clone);
            bytes += body.as_ref().map_or(0, |body| body.len());
            items.push(ByIdItem {
                header: view.chain.header(view.held).encode(),
                signature: view.held.signature().copied(),
                body,
            });
            if bytes > BY_ID_FRAME_BYTES {
                frames.push(Frame::ByIdReply(std::mem::take(&mut items)));
                bytes = 0;
            }
        }
        if !items.is_empty() || frames.is_empty() {
            frames.push(Frame::ByIdReply(items));
        }
        frames
    }
}

/// Bytes of the runs of one answer, decompressed.
const ANSWER_BYTES_MAX: usize = RUNS_PER_ANSWER_MAX * RUN_BYTES_MAX;

/// Packs the headers of a chain from position `from` to `to`, on all kept branches, into as many runs as one answer takes.
///
/// Every run ends with a signed header: the range is extended to the next one (spec 4.13.1).
fn runs_of(chain: &Chain, from: u64, to: u64) -> (Vec<Run>, Outcome) {
    let mut runs = Vec::new();
    let mut bytes = 0;
    let mut served: BTreeSet<EnvelopeId> = BTreeSet::new();
    let span = u64::try_from(RUNS_PER_ANSWER_MAX * RUN_ITEMS_MAX).unwrap_or(u64::MAX);
    for head in chain.heads() {
        if head.tip.seq < from {
            continue;
        }
        let wanted = to.min(head.tip.seq).min(from.saturating_add(span));
        let last = chain.next_signed(&head.tip.id, wanted).unwrap_or(head.tip.seq);
        let path = chain.path(&head.tip.id, from, last);
        let fresh = path.iter().position(|held| !served.contains(&held.id())).unwrap_or(path.len());
        let mut rest = &path[fresh..];
        while !rest.is_empty() {
            let take = run_length(rest, Packed::Sparse);
            if take == 0 {
                break;
            }
            // Counted in bytes: a forked chain has many short branches, and the one that is looked for may be the last.
            let size =
                rest[..take].iter().map(|held| HEADER_BYTES + held.body().map_or(0, |body| body.len())).sum::<usize>();
            if !runs.is_empty() && (bytes + size > ANSWER_BYTES_MAX || runs.len() >= FRONTIER_HEADS_MAX) {
                return (runs, Outcome::Incomplete);
            }
            bytes += size;
            runs.extend(pack(chain, &rest[..take], Packed::Sparse));
            rest = &rest[take..];
        }
        if last < to.min(head.tip.seq) {
            return (runs, Outcome::Incomplete);
        }
        if chain.heads().len() > 1 {
            served.extend(path.iter().map(|held| held.id()));
        }
    }
    (runs, Outcome::Complete)
}
