//! Garbage: what is no frame, or no answer (T1, T9, T46, T47).
//!
//! A frame that does not decode closes the link at once and keeps the liar away for ten minutes, as do three strikes. So
//! it counts what it cost itself at each peer: flipped bits in valid envelopes and answers to other questions come twice
//! at most, and most of the time it does what costs nothing, such as no answer, answers without an end or going on behind it, refusals
//! for made-up reasons, and questions that lead nowhere. Now and then it does one of the hard sort, each kind as often as
//! the others.

use std::collections::{BTreeMap, VecDeque};

use comity_protocol::codec::Writer;
use comity_protocol::effect::{Effect, ExchangeId, Input, LinkId};
use comity_protocol::envelope::{Header, body_hash};
use comity_protocol::ids::{AuthorId, AuthorKey, EnvelopeId};
use comity_protocol::keys::Signature;
use comity_protocol::limits::{FRAME_BYTES_MAX, PUSH_BYTES_MAX, RUN_BYTES_MAX};
use comity_protocol::message::run::Run;
use comity_protocol::message::{
    Frame, Heartbeat, Outcome, PushedEnvelope, RangeRequest, RefusedCode, TAG_BY_ID, TAG_CONTROL, TAG_CONTROL_REPLY,
    TAG_FRONTIER_REPLY, TAG_PUSH, TAG_RUN,
};

use super::Rewritten;
use super::desk::Desk;
use super::spoil;

/// Of the frames of its own, and of the answers, one in so many is of the harder sort.
const HARD_ONE_IN: usize = 24;
/// Strikes that the liar risks at one peer: one below what closes the link.
const STRIKES: u32 = 2;
/// One answer in so many is spoilt.
const ANSWERS_ONE_IN: usize = 3;
/// Frames over the limit that the liar sends in all; each is more than a megabyte.
const OVERSIZED_MAX: u32 = 2;
/// Envelopes remembered, to be damaged.
const ENVELOPES_MAX: usize = 16;

/// A kind of garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A push with a damaged envelope.
    Damaged(Damage),
    /// A frame on the push stream that is none, or has no business there.
    Broken(Breakage),
    /// A question that is none, or an odd one.
    Question(Oddity),
    /// An answer that costs a strike at most.
    Evasive(Evasion),
    /// An answer that does not decode.
    Poisoned(Poison),
}

/// What is wrong with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Damage {
    /// One bit of its header is flipped.
    Header,
    /// One bit of its signature is flipped.
    Signature,
    /// It has another body.
    Body,
    /// Its wire version is one that nobody knows.
    Wire,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breakage {
    /// Random bytes.
    Random,
    /// No bytes at all.
    Empty,
    /// Cut short.
    Truncated,
    /// Something stands behind it.
    Trailing,
    /// A count or a length of what is not there.
    GiantCount,
    /// A tag nobody knows.
    UnknownTag,
    /// It belongs on no push stream.
    WrongStream,
    /// Larger than pushes, or frames, are.
    Oversized,
}

/// What is wrong with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Oddity {
    /// It does not decode.
    Malformed,
    /// It is an answer.
    Answer,
    /// It is sound, and no honest node would ask it.
    Pointless,
}

/// How an answer avoids the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evasion {
    /// It answers another question.
    Other,
    /// It is a run of another author than the one asked for.
    OtherAuthor,
    /// It does not come.
    Silence,
    /// It does not end.
    NoEnd,
    /// Frames stand behind its end.
    BehindEnd,
    /// It refuses, with a code of its own.
    Refusal,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Poison {
    /// A run without items, or whose last item is signed twice, or that starts nowhere.
    Run,
    /// A small run that unpacks to far more than it announces.
    Bomb,
    /// A sound answer with a flipped bit.
    Flipped,
}

impl Damage {
    pub(super) const ALL: [Self; 4] = [Self::Header, Self::Signature, Self::Body, Self::Wire];
}

impl Breakage {
    pub(super) const ALL: [Self; 8] = [
        Self::Random,
        Self::Empty,
        Self::Truncated,
        Self::Trailing,
        Self::GiantCount,
        Self::UnknownTag,
        Self::WrongStream,
        Self::Oversized,
    ];
}

impl Oddity {
    pub(super) const ALL: [Self; 3] = [Self::Malformed, Self::Answer, Self::Pointless];
}

impl Evasion {
    pub(super) const ALL: [Self; 6] =
        [Self::Other, Self::OtherAuthor, Self::Silence, Self::NoEnd, Self::BehindEnd, Self::Refusal];
}

impl Poison {
    pub(super) const ALL: [Self; 3] = [Self::Run, Self::Bomb, Self::Flipped];
}

impl Kind {
    /// Whether a peer strikes for it, once: the hard sort, which costs the link, is no matter of counting.
    const fn costs(self) -> bool {
        match self {
            Self::Damaged(Damage::Header | Damage::Signature | Damage::Body)
            | Self::Evasive(Evasion::Other | Evasion::OtherAuthor) => true,
            Self::Damaged(Damage::Wire)
            | Self::Evasive(Evasion::Silence | Evasion::NoEnd | Evasion::BehindEnd | Evasion::Refusal)
            | Self::Broken(_)
            | Self::Question(_)
            | Self::Poisoned(_) => false,
        }
    }

    /// Every kind.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let damaged = Damage::ALL.map(Self::Damaged).into_iter();
        let broken = Breakage::ALL.map(Self::Broken);
        let questions = Oddity::ALL.map(Self::Question);
        damaged
            .chain(broken)
            .chain(questions)
            .chain(Evasion::ALL.map(Self::Evasive))
            .chain(Poison::ALL.map(Self::Poisoned))
            .collect()
    }

    /// Something to do unasked: of the hard sort only now and then.
    fn choose(desk: &mut Desk) -> Self {
        if !desk.one_in(HARD_ONE_IN) {
            return if desk.one_in(4) {
                Self::Question(Oddity::Pointless)
            } else {
                Self::Damaged(desk.pick(&Damage::ALL).copied().unwrap_or(Damage::Header))
            };
        }
        if desk.one_in(5) {
            Self::Question(desk.pick(&Oddity::ALL).copied().unwrap_or(Oddity::Malformed))
        } else {
            Self::Broken(desk.pick(&Breakage::ALL).copied().unwrap_or(Breakage::Random))
        }
    }
}

/// What a garbler remembers.
#[derive(Debug, Default)]
pub(super) struct Garbage {
    envelopes: VecDeque<PushedEnvelope>,
    oversized: u32,
    strikes: BTreeMap<AuthorKey, u32>,
    /// How often each kind was sent.
    #[cfg(test)]
    pub(super) sent: BTreeMap<Kind, u32>,
}

impl Garbage {
    pub(super) fn hear(&mut self, input: &Input) {
        if let Input::Pushed { frame, .. } = input {
            self.keep(frame);
        }
    }

    fn keep(&mut self, frame: &[u8]) {
        for envelope in spoil::pushed(frame) {
            if self.envelopes.len() == ENVELOPES_MAX {
                self.envelopes.pop_front();
            }
            self.envelopes.push_back(envelope);
        }
    }

    pub(super) fn act(&mut self, desk: &mut Desk) {
        let Some(link) = desk.some_link() else { return };
        let kind = Kind::choose(desk);
        if !self.affords(desk, link, kind) {
            return;
        }
        let sent = match kind {
            Kind::Damaged(damage) => self.damaged(desk, damage).is_some_and(|frame| desk.push(link, frame)),
            Kind::Broken(breakage) => self.broken(desk, breakage).is_some_and(|frame| desk.push(link, frame)),
            Kind::Question(oddity) => {
                let frame = question(desk, oddity);
                desk.ask(link, frame)
            }
            Kind::Evasive(_) | Kind::Poisoned(_) => false,
        };
        if sent {
            self.count(kind);
        }
    }

    /// Whether a kind costs no more than the liar risks; it is counted then.
    fn affords(&mut self, desk: &Desk, link: LinkId, kind: Kind) -> bool {
        let Some(wire) = desk.links.get(&link) else { return false };
        if !kind.costs() {
            return true;
        }
        let strikes = self.strikes.entry(wire.peer).or_default();
        *strikes += 1;
        *strikes <= STRIKES
    }

    fn count(&mut self, kind: Kind) {
        #[cfg(test)]
        {
            *self.sent.entry(kind).or_default() += 1;
        }
        if kind == Kind::Broken(Breakage::Oversized) {
            self.oversized += 1;
        }
    }

    fn envelope(&self, desk: &mut Desk) -> Option<PushedEnvelope> {
        let at = desk.below(self.envelopes.len());
        self.envelopes.get(at).cloned()
    }

    fn damaged(&self, desk: &mut Desk, damage: Damage) -> Option<Vec<u8>> {
        let mut envelope = self.envelope(desk)?;
        match damage {
            Damage::Header => {
                // The first byte is the wire version: a flip there is no damage.
                let at = 1 + desk.below(envelope.header.len() - 1);
                envelope.header[at] ^= 1 << desk.below(8);
            }
            Damage::Signature => {
                let at = desk.below(envelope.signature.0.len());
                envelope.signature.0[at] ^= 1 << desk.below(8);
            }
            Damage::Body => {
                let length = desk.below(64);
                envelope.body = desk.random_bytes(length).into();
            }
            Damage::Wire => envelope.header[0] = 2 + u8::try_from(desk.below(9)).unwrap_or(0),
        }
        Some(Frame::Push(vec![envelope]).encode())
    }

    fn broken(&self, desk: &mut Desk, breakage: Breakage) -> Option<Vec<u8>> {
        let mut frame = Frame::Push(vec![self.envelope(desk)?]).encode();
        match breakage {
            Breakage::Random => {
                let length = 1 + desk.below(400);
                frame = desk.random_bytes(length);
            }
            Breakage::Empty => frame.clear(),
            Breakage::Truncated => frame.truncate(desk.below(frame.len())),
            Breakage::Trailing => frame.push(0),
            Breakage::GiantCount => frame = giant(desk),
            Breakage::UnknownTag => frame[..2].copy_from_slice(&[0x7f, 14]),
            Breakage::WrongStream => frame = wrong_stream(desk),
            Breakage::Oversized if self.oversized == OVERSIZED_MAX => return None,
            Breakage::Oversized => {
                let over = if desk.one_in(2) { PUSH_BYTES_MAX } else { FRAME_BYTES_MAX };
                frame.resize(over + 1, 0);
            }
        }
        Some(frame)
    }

    pub(super) fn rewrite(&mut self, desk: &mut Desk, effect: &Effect) -> Rewritten {
        match effect {
            Effect::Push { frame, .. } => {
                self.keep(frame);
                Rewritten::Kept
            }
            Effect::Answer { link, exchange, frames } if desk.one_in(ANSWERS_ONE_IN) => {
                self.answer(desk, *link, *exchange, frames)
            }
            Effect::Answer { .. }
            | Effect::Save(_)
            | Effect::Ask { .. }
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

    fn answer(&mut self, desk: &mut Desk, link: LinkId, exchange: ExchangeId, frames: &[Vec<u8>]) -> Rewritten {
        let (kind, frames) = if desk.one_in(HARD_ONE_IN) {
            let poison = desk.pick(&Poison::ALL).copied().unwrap_or(Poison::Run);
            (Kind::Poisoned(poison), poisoned(desk, poison, frames.to_vec()))
        } else {
            let evasion = desk.pick(&Evasion::ALL).copied().unwrap_or(Evasion::Other);
            (Kind::Evasive(evasion), evasive(desk, evasion, frames.to_vec()))
        };
        if !self.affords(desk, link, kind) {
            return Rewritten::Kept;
        }
        self.count(kind);
        if frames.is_empty() {
            return Rewritten::Dropped;
        }
        Rewritten::Changed(Effect::Answer { link, exchange, frames })
    }
}

fn evasive(desk: &mut Desk, evasion: Evasion, mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let end = Frame::End(Outcome::Complete).encode();
    match evasion {
        Evasion::Other => {
            let other = if frames.first().is_some_and(|frame| spoil::has_tag(frame, TAG_FRONTIER_REPLY)) {
                Frame::ByIdReply(Vec::new())
            } else {
                Frame::FrontierReply(Vec::new())
            };
            frames = vec![other.encode(), end];
        }
        Evasion::OtherAuthor => frames = vec![Frame::Run(made_up_run(desk)).encode(), end],
        Evasion::Silence => frames.clear(),
        Evasion::NoEnd => drop(frames.pop()),
        Evasion::BehindEnd => frames.extend([Frame::Frontier.encode(), end]),
        Evasion::Refusal => {
            let code = u16::try_from(4 + desk.below(60)).unwrap_or(4);
            frames = vec![Frame::Refused(RefusedCode::from_number(code)).encode(), end];
        }
    }
    frames
}

fn poisoned(desk: &mut Desk, poison: Poison, mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let end = Frame::End(Outcome::Complete).encode();
    match poison {
        Poison::Run => frames = vec![malformed_run(desk), end],
        Poison::Bomb => frames = vec![bomb(desk), end],
        Poison::Flipped => {
            if let Some(frame) = frames.first_mut() {
                let at = desk.below(frame.len());
                frame[at] ^= 1 << desk.below(8);
            }
        }
    }
    frames
}

/// A question that is none, or an odd one.
fn question(desk: &mut Desk, oddity: Oddity) -> Vec<u8> {
    let author = AuthorId { nation: desk.id(), key: desk.id() };
    let raw = |tag: u16, bytes: &[&[u8]]| {
        let mut out = Writer::new();
        out.u16(tag).raw(&bytes.concat());
        out.into_bytes()
    };
    match (oddity, desk.below(4)) {
        // From above to; and an empty page that is not the last.
        (Oddity::Malformed, 0 | 1) => Frame::Range(RangeRequest { author, from: 9, to: 3 }).encode(),
        (Oddity::Malformed, _) => raw(TAG_CONTROL, &[&[0; 32], &[0, 0, 0]]),
        (Oddity::Answer, 0 | 1) => Frame::End(Outcome::Complete).encode(),
        (Oddity::Answer, _) => Frame::Heartbeat(Heartbeat { time_ms: desk.now.0, held: desk.id() }).encode(),
        (Oddity::Pointless, 0) => Frame::Range(RangeRequest { author, from: 1, to: u64::MAX }).encode(),
        (Oddity::Pointless, 1) => Frame::Range(RangeRequest { author: desk.me, from: u64::MAX, to: u64::MAX }).encode(),
        (Oddity::Pointless, 2) => raw(TAG_BY_ID, &[&[0, 0, 1]]),
        (Oddity::Pointless, _) => raw(TAG_CONTROL, &[&[0xff; 32], &[0, 0, 1]]),
    }
}

/// A frame that announces what it does not hold.
fn giant(desk: &mut Desk) -> Vec<u8> {
    let mut out = Writer::new();
    match desk.below(4) {
        0 => out.u16(TAG_PUSH).u16(u16::MAX),
        1 => out.u16(TAG_PUSH).u16(1).raw(&[1; 183 + 64]).u32(u32::MAX),
        2 => out.u16(TAG_FRONTIER_REPLY).u16(u16::MAX),
        _ => out.u16(TAG_CONTROL_REPLY).u16(1).u8(4).u32(u32::MAX),
    };
    out.into_bytes()
}

/// A sound frame that belongs on no push stream.
fn wrong_stream(desk: &mut Desk) -> Vec<u8> {
    match desk.below(3) {
        0 => Frame::Frontier.encode(),
        1 => Frame::End(Outcome::Incomplete).encode(),
        _ => Frame::FrontierReply(Vec::new()).encode(),
    }
}

/// A run that decodes, of an author nobody knows, under a signature that is none.
fn made_up_run(desk: &mut Desk) -> Run {
    let author = AuthorId { nation: desk.id(), key: desk.id() };
    let header = Header {
        alliance: desk.alliance,
        nation: author.nation,
        author: author.key,
        seq: 1,
        prev: EnvelopeId::ZERO,
        time_ms: desk.now.0,
        kind: 1,
        body_len: 0,
        body_hash: body_hash(&[]),
    };
    Run {
        author,
        first_seq: 1,
        first_prev: EnvelopeId::ZERO,
        items: vec![spoil::run_item(&header, None)],
        signature: Signature([7; 64]),
    }
}

fn malformed_run(desk: &mut Desk) -> Vec<u8> {
    let mut run = made_up_run(desk);
    match desk.below(3) {
        0 => run.items.clear(),
        1 => run.items[0].signature = Some(Signature([1; 64])),
        _ => run.first_seq = 0,
    }
    Frame::Run(run).encode()
}

/// A few hundred bytes that unpack to megabytes: blocks that repeat one byte.
fn bomb(desk: &mut Desk) -> Vec<u8> {
    const BLOCK_BYTES: u32 = 131_072;
    let announced = if desk.one_in(2) { RUN_BYTES_MAX } else { RUN_BYTES_MAX * 1_000 };
    let mut out = Writer::new();
    out.u16(TAG_RUN).u8(1).u32(u32::try_from(announced).unwrap_or(u32::MAX));
    // Magic number, no content size, a window of 2 MiB.
    out.raw(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
    for left in (0..100_u32).rev() {
        let head = BLOCK_BYTES << 3 | 1 << 1 | u32::from(left == 0);
        out.raw(&head.to_le_bytes()[..3]).u8(0);
    }
    out.into_bytes()
}
