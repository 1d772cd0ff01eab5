//! Flooding: far too much of what is allowed, and some of what is not (T23, T44, T45).
//!
//! In turn and at random: a burst of own envelopes that link and count, most of them tiny, some as large as a body may
//! be; pushes of headers far ahead of the chain, validly signed, that link to nothing; the same push over and over; and
//! questions of every kind, more than the rate and its burst allow. Rosters of one version would need the nation's root
//! key, which a lying node does not have.

use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, ControlId, Tip};
use comity_protocol::limits::BODY_BYTES_MAX;
use comity_protocol::message::{ByIdRequest, ControlRequest, Frame, Page, PushedEnvelope, RangeRequest};

use super::desk::{Desk, Pen};

/// A kind of body that nobody knows: carried, linked, without effect.
const KIND: u16 = 901;
/// Own envelopes of one burst.
const BURST_MAX: usize = 12;
/// Largest bodies sent in all.
const LARGE_MAX: u32 = 3;
/// Headers far ahead that are signed in all; they are pushed again and again.
const AHEAD_MAX: usize = 12;
/// Questions of one volley.
const QUESTIONS: usize = 200;
/// Repetitions of one push.
const REPEATS: usize = 40;

/// What a flooder remembers.
#[derive(Debug, Default)]
pub(super) struct Flood {
    large: u32,
    ahead: Vec<PushedEnvelope>,
}

impl Flood {
    pub(super) fn act(&mut self, desk: &mut Desk, state: &State) {
        match desk.below(8) {
            0..=2 => self.burst(desk, state),
            3..=5 => self.far_ahead(desk, state),
            6 => questions(desk, state),
            _ => self.repeat(desk),
        }
    }

    fn burst(&mut self, desk: &mut Desk, state: &State) {
        let Some(mut pen) = desk.pen(state) else { return };
        let mut envelopes = Vec::new();
        for _ in 0..=desk.below(BURST_MAX) {
            let length = if self.large < LARGE_MAX && desk.one_in(10) {
                self.large += 1;
                BODY_BYTES_MAX
            } else {
                desk.below(40)
            };
            let body = desk.random_bytes(length);
            envelopes.extend(pen.write(desk, KIND, body));
        }
        desk.publish(envelopes);
    }

    /// Pushes headers that stand far above the chain, one frame each.
    fn far_ahead(&mut self, desk: &mut Desk, state: &State) {
        if self.ahead.len() < AHEAD_MAX {
            let height = state.chain(&desk.me).map_or(0, |chain| chain.tip().seq);
            for _ in 0..4 {
                let seq = height + 2 + u64::try_from(desk.below(1 << 40)).unwrap_or(0);
                let mut pen = Pen { tip: Tip { seq, id: desk.id() }, time_ms: desk.now.0 };
                self.ahead.extend(pen.write(desk, KIND, Vec::new()));
            }
        }
        let Some(link) = desk.some_link() else { return };
        for envelope in &self.ahead {
            desk.push(link, Frame::Push(vec![envelope.clone()]).encode());
        }
    }

    fn repeat(&self, desk: &mut Desk) {
        let Some(link) = desk.some_link() else { return };
        let Some(envelope) = desk.pick(&self.ahead).cloned() else { return };
        let frame = Frame::Push(vec![envelope]).encode();
        for _ in 0..desk.below(REPEATS) {
            desk.push(link, frame.clone());
        }
    }
}

/// Asks one peer everything, many times.
fn questions(desk: &mut Desk, state: &State) {
    let Some(link) = desk.some_link() else { return };
    let authors: Vec<AuthorId> = state.chains().map(|chain| chain.author()).collect();
    for _ in 0..QUESTIONS {
        let author = desk.pick(&authors).copied().unwrap_or(desk.me);
        let frame = match desk.below(4) {
            0 => Frame::Frontier,
            1 => Frame::Range(RangeRequest { author, from: 1, to: u64::MAX }),
            2 => Frame::ById(ByIdRequest {
                ids: state.chain(&author).map(|chain| chain.tip().id).into_iter().collect(),
                bodies: true,
            }),
            _ => Frame::Control(ControlRequest { after: ControlId::ZERO, have: Vec::new(), page: Page::Last }),
        };
        desk.ask(link, frame.encode());
    }
}
