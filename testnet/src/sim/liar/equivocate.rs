//! Equivocation: one position, two envelopes (T10).
//!
//! From one of its writes on the liar has two chains. The first half of its peers, in the order in which they linked, is
//! shown what the inner replica wrote; the other half a twin that says something else at the same position, and every
//! later write again on top of that twin. Pushes, frontiers and runs all fit the side they are shown to. After some
//! seconds the liar mixes: it pushes each side's envelopes to the other, and answers with either. What it hears of its own
//! twins is kept from the inner replica, so that it goes on writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_protocol::chain::Head;
use comity_protocol::effect::{Effect, Input, LinkId, Replaces, WriteRequest};
use comity_protocol::envelope::Header;
use comity_protocol::evaluate::State;
use comity_protocol::guard::DraftWrite;
use comity_protocol::ids::{AuthorKey, EnvelopeId, Timestamp, Tip};
use comity_protocol::message::run::Run;
use comity_protocol::message::{Frame, PushedEnvelope, RangeRequest};
use comity_protocol::value::{Fields, Value};

use super::Rewritten;
use super::desk::{Desk, Pen};
use super::spoil;

/// Longest second chain.
const TWINS_MAX: usize = 24;
/// How long each side sees one chain only, in milliseconds.
const APART_MS: (usize, usize) = (2_000, 12_000);
/// The liar writes something itself if its operator has not, this long after the first link.
const IDLE_ACTS: u32 = 3;

/// Which of the two chains a peer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// What the inner replica wrote.
    First,
    /// The twins.
    Second,
}

/// An envelope of the second chain.
#[derive(Clone, Debug)]
struct Twin {
    of: EnvelopeId,
    header: Header,
    id: EnvelopeId,
    envelope: PushedEnvelope,
}

/// What an equivocator remembers.
#[derive(Debug)]
pub(super) struct Equivocate {
    sides: BTreeMap<AuthorKey, Side>,
    /// Honest envelopes before the first twin.
    honest: u64,
    /// What the next twin would be, while its original is being written.
    planned: Option<(Header, Vec<u8>)>,
    /// The second chain from the fork on, ascending.
    twins: Vec<Twin>,
    mix_at: Option<Timestamp>,
    mixed: bool,
    acts: u32,
}

impl Equivocate {
    pub(super) fn new(desk: &mut Desk) -> Self {
        Self {
            sides: BTreeMap::new(),
            honest: u64::try_from(desk.below(4)).unwrap_or(0),
            planned: None,
            twins: Vec::new(),
            mix_at: None,
            mixed: false,
            acts: 0,
        }
    }

    pub(super) fn hear(&mut self, desk: &mut Desk, state: &State, input: Input) -> Option<Input> {
        match &input {
            Input::LinkUp(up) => {
                let side = if self.sides.len().is_multiple_of(2) { Side::First } else { Side::Second };
                self.sides.entry(up.peer).or_insert(side);
            }
            Input::Write(request) if self.twins.is_empty() => self.plan(desk, state, request),
            _ => {}
        }
        spoil::hide_own(desk.me, state, input)
    }

    /// Prepares a twin of what is about to be written: the same records, saying something else.
    fn plan(&mut self, desk: &Desk, state: &State, request: &WriteRequest) {
        let written = state.chain(&desk.me).map_or(0, |chain| chain.tip().seq);
        if written < self.honest || self.sides.len() < 2 {
            return;
        }
        let table = state.section(&desk.me.nation);
        let drafts = request.writes.iter().map(|write| DraftWrite {
            kind: write.kind.clone(),
            id: write.id.clone(),
            replaces: match &write.replaces {
                Replaces::Nothing => Vec::new(),
                Replaces::Exactly(replaces) => replaces.clone(),
                Replaces::Surviving | Replaces::IfWinner(_) => table.replaces(&write.kind, &write.id),
            },
            fields: otherwise(&write.fields),
        });
        self.planned = state.next_change(&desk.me, desk.now, drafts.collect()).ok();
    }

    pub(super) fn rewrite(&mut self, desk: &mut Desk, state: &State, effect: &Effect) -> Rewritten {
        match effect {
            Effect::Written { outcome: Ok(written), .. } => {
                self.written(desk, state, written.version);
                Rewritten::Kept
            }
            Effect::Written { outcome: Err(_), .. } => {
                self.planned = None;
                Rewritten::Kept
            }
            Effect::Push { link, .. } => {
                let side = self.side(desk, *link);
                spoil::rewrite_push(effect, |envelope| self.shown(desk, side, envelope))
            }
            Effect::Answer { link, exchange, .. } => {
                let side = self.side_to_answer(desk, *link);
                let range = match desk.questions.get(&(*link, *exchange)).map(|frame| Frame::decode(frame)) {
                    Some(Ok(Frame::Range(range))) if range.author == desk.me => Some(range),
                    _ => None,
                };
                if side == Side::First || self.twins.is_empty() {
                    return Rewritten::Kept;
                }
                self.answer(desk, state, effect, range)
            }
            Effect::Save(_)
            | Effect::Ask { .. }
            | Effect::Close { .. }
            | Effect::Admission(_)
            | Effect::Held { .. }
            | Effect::Imported { .. }
            | Effect::Confirmed { .. }
            | Effect::Carried { .. }
            | Effect::Changed(_)
            | Effect::Alarm(_) => Rewritten::Kept,
        }
    }

    /// An own envelope was written: its twin is signed, or one more on top of the last twin.
    fn written(&mut self, desk: &mut Desk, state: &State, version: EnvelopeId) {
        let planned = self.planned.take();
        let Some(view) = state.envelope(&version) else { return };
        if self.twins.iter().any(|twin| twin.of == version) || self.twins.len() == TWINS_MAX {
            return;
        }
        let original = view.chain.header(view.held);
        let (header, body) = match (self.twins.last(), planned) {
            (Some(last), _) => {
                let time_ms = original.time_ms.max(last.header.time_ms);
                let pen = Pen { tip: Tip { seq: last.header.seq, id: last.id }, time_ms };
                let Some(body) = view.held.body() else { return };
                (pen.header(desk, original.kind, body), body.to_vec())
            }
            (None, Some((header, body))) if header.seq == original.seq && header.id() != version => (header, body),
            (None, _) => return,
        };
        let id = header.id();
        let Some(envelope) = desk.sign(header.clone(), body) else { return };
        if self.mix_at.is_none() {
            let apart = APART_MS.0 + desk.below(APART_MS.1 - APART_MS.0);
            self.mix_at = Some(desk.now.plus_ms(u64::try_from(apart).unwrap_or(0)));
        }
        self.twins.push(Twin { of: version, header, id, envelope });
    }

    fn side(&self, desk: &Desk, link: LinkId) -> Side {
        let peer = desk.links.get(&link).map(|wire| wire.peer);
        peer.and_then(|peer| self.sides.get(&peer)).copied().unwrap_or(Side::First)
    }

    fn side_to_answer(&self, desk: &mut Desk, link: LinkId) -> Side {
        if !self.mixed {
            return self.side(desk, link);
        }
        if desk.one_in(2) { Side::First } else { Side::Second }
    }

    fn shown(&self, desk: &Desk, side: Side, envelope: PushedEnvelope) -> Option<PushedEnvelope> {
        let Some((header, id)) = spoil::header_of(&envelope) else { return Some(envelope) };
        let fork = self.twins.first().map(|twin| twin.header.seq);
        if side == Side::First || header.author_id() != desk.me || fork.is_none_or(|fork| header.seq < fork) {
            return Some(envelope);
        }
        self.twins.iter().find(|twin| twin.of == id).map(|twin| twin.envelope.clone())
    }

    /// Answers from the second chain.
    fn answer(&self, desk: &Desk, state: &State, effect: &Effect, range: Option<RangeRequest>) -> Rewritten {
        let (Some(first), Some(last)) = (self.twins.first(), self.twins.last()) else { return Rewritten::Kept };
        let mut runs = range.filter(|range| range.to >= first.header.seq).map(|range| self.run(state, &range));
        spoil::rewrite_answer(effect, |frame| match frame {
            Frame::FrontierReply(mut entries) => {
                let tip = Tip { seq: last.header.seq, id: last.id };
                for entry in entries.iter_mut().filter(|entry| entry.author == desk.me) {
                    entry.heads = vec![Head { tip, bodies_to: tip.seq }];
                    entry.fork = None;
                }
                vec![Frame::FrontierReply(entries)]
            }
            Frame::Run(run) if run.author == desk.me && range.is_some() => match &mut runs {
                Some(runs) => runs.take().into_iter().map(Frame::Run).collect(),
                None => vec![Frame::Run(run)],
            },
            other => vec![other],
        })
    }

    /// One run over a range that reaches into the second chain.
    fn run(&self, state: &State, range: &RangeRequest) -> Option<Run> {
        let fork = self.twins.first()?.header.seq;
        let mut items: Vec<(Header, Arc<[u8]>)> = Vec::new();
        if let Some(chain) = state.chain(&range.author) {
            let below = chain.accepted_from(range.from).take_while(|held| held.seq() < fork);
            items.extend(below.filter_map(|held| Some((chain.header(held), Arc::clone(held.body()?)))));
        }
        let twins = self.twins.iter().filter(|twin| (range.from..=range.to).contains(&twin.header.seq));
        let signature = twins.clone().next_back()?.envelope.signature;
        items.extend(twins.map(|twin| (twin.header.clone(), Arc::clone(&twin.envelope.body))));
        spoil::run_of(range.author, &items, signature)
    }

    pub(super) fn act(&mut self, desk: &mut Desk, state: &State) {
        self.acts += 1;
        if self.twins.is_empty() {
            if self.acts >= IDLE_ACTS && self.sides.len() >= 2 {
                desk.write_something();
            }
            return;
        }
        if self.mixed || self.mix_at.is_none_or(|at| at > desk.now) {
            return;
        }
        self.mixed = true;
        let twins: Vec<PushedEnvelope> = self.twins.iter().map(|twin| twin.envelope.clone()).collect();
        let first: Vec<PushedEnvelope> =
            self.twins.iter().filter_map(|twin| spoil::envelope_of(state, &twin.of)).collect();
        for link in desk.all_links() {
            match self.side(desk, link) {
                Side::First => desk.push_envelopes(link, &twins),
                Side::Second => desk.push_envelopes(link, &first),
            }
        }
    }
}

/// The same fields, saying something else.
fn otherwise(fields: &Fields) -> Fields {
    let mut other = fields.clone();
    for value in other.values_mut() {
        match value {
            Value::Text(text) => text.push_str(", as told to others"),
            Value::Uint(number) => *number = number.saturating_mul(3).max(1),
            Value::Int(number) => *number = number.saturating_add(1),
            Value::Bool(yes) => *yes = !*yes,
            Value::Map(inner) => *inner = otherwise(inner),
            Value::Bytes(_) | Value::Null => {}
        }
    }
    other
}
