//! Lying acknowledgements: claims to hold what the liar does not (T10, T41), and Hellos that lie (T50, T69).
//!
//! The liar signs Witness bodies that acknowledge envelopes that do not exist, positions far above every head, and of a
//! forked author each branch in turn. Its frontiers name higher heads than it holds; its heartbeats name sets that nobody
//! holds, sets it heard others name, and its own old ones. Its Hellos, asked and answered, do the same, and claim other
//! control records, another charter, rules from the future, and clocks that are years off.

use std::collections::VecDeque;

use comity_protocol::body::{Ack, Body, WitnessBody};
use comity_protocol::chain::Head;
use comity_protocol::effect::{Effect, Input};
use comity_protocol::evaluate::State;
use comity_protocol::frontier::FrontierEntry;
use comity_protocol::ids::{Digest, Tip};
use comity_protocol::limits::TIME_MS_MAX;
use comity_protocol::message::{Frame, Heartbeat, Hello, TAG_HEARTBEAT};

use super::Rewritten;
use super::desk::Desk;
use super::spoil;

/// Digests of sets remembered.
const SETS_MAX: usize = 32;
/// How far above a head a claimed one may stand.
const ABOVE_MAX: usize = 40;

/// What a lying witness remembers.
#[derive(Debug, Default)]
pub(super) struct LyingAcks {
    /// Digests that it named or heard named.
    sets: VecDeque<Digest>,
    witnessed: usize,
}

impl LyingAcks {
    pub(super) fn hear(&mut self, input: &Input) {
        if let Input::Pushed { frame, .. } = input
            && let Some(beat) = heartbeat(frame)
        {
            self.keep(beat.held);
        }
    }

    fn keep(&mut self, held: Digest) {
        if self.sets.contains(&held) {
            return;
        }
        if self.sets.len() == SETS_MAX {
            self.sets.pop_front();
        }
        self.sets.push_back(held);
    }

    pub(super) fn rewrite(&mut self, desk: &mut Desk, effect: &Effect) -> Rewritten {
        match effect {
            Effect::Push { link, frame } => {
                let Some(beat) = heartbeat(frame) else { return Rewritten::Kept };
                self.keep(beat.held);
                if desk.one_in(3) {
                    return Rewritten::Kept;
                }
                let held = self.some_set(desk);
                let frame = Frame::Heartbeat(Heartbeat { time_ms: beat.time_ms, held }).encode();
                Rewritten::Changed(Effect::Push { link: *link, frame })
            }
            Effect::Answer { .. } => spoil::rewrite_answer(effect, |frame| match frame {
                Frame::Hello(hello) => vec![Frame::Hello(self.hello(desk, hello))],
                Frame::FrontierReply(entries) if !desk.one_in(3) => {
                    vec![Frame::FrontierReply(entries.into_iter().map(|entry| more(desk, entry)).collect())]
                }
                other => vec![other],
            }),
            Effect::Ask { link, exchange, frame } => match Frame::decode(frame) {
                Ok(Frame::Hello(hello)) => {
                    let frame = Frame::Hello(self.hello(desk, hello)).encode();
                    Rewritten::Changed(Effect::Ask { link: *link, exchange: *exchange, frame })
                }
                Ok(_) | Err(_) => Rewritten::Kept,
            },
            Effect::Save(_)
            | Effect::Close { .. }
            | Effect::Admission(_)
            | Effect::Written { .. }
            | Effect::Held { .. }
            | Effect::Imported { .. }
            | Effect::Confirmed { .. }
            | Effect::Carried { .. }
            | Effect::Changed(_)
            | Effect::Alarm(_) => Rewritten::Kept,
        }
    }

    fn some_set(&self, desk: &mut Desk) -> Digest {
        let sets: Vec<Digest> = self.sets.iter().copied().collect();
        match desk.pick(&sets).copied() {
            Some(held) if !desk.one_in(3) => held,
            Some(_) | None => desk.id(),
        }
    }

    /// A Hello with one or two lies in it.
    fn hello(&self, desk: &mut Desk, mut hello: Hello) -> Hello {
        for _ in 0..=desk.below(2) {
            match desk.below(8) {
                0 | 1 => hello.held = self.some_set(desk),
                2 => hello.control = desk.id(),
                3 => hello.nation = desk.id(),
                4 => hello.rules_max = u16::MAX,
                5 => hello.wire_max = u8::MAX,
                6 => (hello.charter_height, hello.charter) = (hello.charter_height + 7, desk.id()),
                _ => hello.time_ms = if desk.one_in(2) { 0 } else { TIME_MS_MAX },
            }
        }
        hello
    }

    pub(super) fn act(&mut self, desk: &mut Desk, state: &State) {
        if desk.one_in(3) {
            let held = self.some_set(desk);
            let beat = Frame::Heartbeat(Heartbeat { time_ms: desk.now.0, held }).encode();
            if let Some(link) = desk.some_link() {
                desk.push(link, beat);
            }
            return;
        }
        let Some(mut pen) = desk.pen(state) else { return };
        self.witnessed += 1;
        let acks = state.chains().filter_map(|chain| {
            // Of a forked chain one branch after the other, and each time as if there were no other.
            let branches: Vec<Tip> =
                chain.fork().map_or_else(Vec::new, |fork| chain.at(fork).map(|held| held.tip()).collect());
            let branch = (!branches.is_empty()).then(|| branches[self.witnessed % branches.len()]);
            let tip = match branch {
                Some(branch) => branch,
                None => {
                    let seq = chain.tip().seq + u64::try_from(desk.below(ABOVE_MAX)).unwrap_or(0);
                    Tip { seq: seq.max(1), id: desk.id() }
                }
            };
            (!chain.is_empty()).then(|| Ack { author: chain.author(), tip })
        });
        let acks = acks.collect();
        let body = Body::Witness(WitnessBody {
            height: state.charter().map_or(0, |charter| charter.height),
            charter: state.charter_id(),
            rosters: Vec::new(),
            acks,
            frontier: desk.id(),
            state: state.state(),
        });
        let envelope = pen.write_body(desk, &body);
        desk.publish(envelope.into_iter().collect());
    }
}

fn heartbeat(frame: &[u8]) -> Option<Heartbeat> {
    if !spoil::has_tag(frame, TAG_HEARTBEAT) {
        return None;
    }
    match Frame::decode(frame) {
        Ok(Frame::Heartbeat(beat)) => Some(beat),
        Ok(_) | Err(_) => None,
    }
}

/// An entry that claims more: a higher head that does not exist, or every body, or no fork.
fn more(desk: &mut Desk, mut entry: FrontierEntry) -> FrontierEntry {
    match desk.below(4) {
        0 => entry.heads.iter_mut().for_each(|head| head.bodies_to = head.tip.seq),
        1 => {
            entry.fork = None;
            entry.heads.truncate(1);
        }
        _ => {
            let top = entry.heads.last().map_or(0, |head| head.tip.seq);
            let seq = top + 1 + u64::try_from(desk.below(ABOVE_MAX)).unwrap_or(0);
            let head = Head { tip: Tip { seq, id: desk.id() }, bodies_to: seq };
            if desk.one_in(2) {
                entry.heads.clear();
            }
            entry.heads.push(head);
        }
    }
    entry
}
