//! Frames (spec 4.13): what two nodes say to each other, to the byte.
//!
//! A frame here is its u16 tag and its canonical encoding; the transport puts the u32 length in front and takes it off
//! again, and refuses a length over [`FRAME_BYTES_MAX`] before it reads on. Decoding checks every bound before it
//! allocates. What a frame *says* is believed only after the receipt checks of spec 4.4.

pub mod pack;
pub mod run;

use std::sync::Arc;

use crate::body::{decode_tip, encode_tip};
use crate::chain::Head;
use crate::codec::{DecodeError, Reader, Writer, ascending};
use crate::frontier::FrontierEntry;
use crate::ids::{AllianceId, AuthorId, CharterId, ControlId, Digest, EnvelopeId, NationId};
use crate::keys::Signature;
use crate::limits::{
    BODY_BYTES_MAX, BY_ID_MAX, CONTROL_HAVE_MAX, CONTROL_RECORD_BYTES_MAX, CONTROL_REPLY_MAX, FRAME_BYTES_MAX,
    FRONTIER_ENTRIES_MAX, FRONTIER_HEADS_MAX, HEADER_BYTES, PUSH_BYTES_MAX, PUSH_ENVELOPES_MAX, SEQ_MAX,
    SIGNATURE_BYTES, TIME_MS_MAX,
};
use crate::message::run::Run;

/// Tag of [`Frame::Hello`].
pub const TAG_HELLO: u16 = 1;
/// Tag of [`Frame::Control`].
pub const TAG_CONTROL: u16 = 2;
/// Tag of [`Frame::ControlReply`].
pub const TAG_CONTROL_REPLY: u16 = 3;
/// Tag of [`Frame::Frontier`].
pub const TAG_FRONTIER: u16 = 4;
/// Tag of [`Frame::FrontierReply`].
pub const TAG_FRONTIER_REPLY: u16 = 5;
/// Tag of [`Frame::Range`].
pub const TAG_RANGE: u16 = 6;
/// Tag of [`Frame::Run`].
pub const TAG_RUN: u16 = 7;
/// Tag of [`Frame::ById`].
pub const TAG_BY_ID: u16 = 8;
/// Tag of [`Frame::ByIdReply`].
pub const TAG_BY_ID_REPLY: u16 = 9;
/// Tag of [`Frame::Push`].
pub const TAG_PUSH: u16 = 10;
/// Tag of [`Frame::Heartbeat`].
pub const TAG_HEARTBEAT: u16 = 11;
/// Tag of [`Frame::End`], the last frame of every answer.
pub const TAG_END: u16 = 12;
/// Tag of [`Frame::Refused`].
pub const TAG_REFUSED: u16 = 13;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Who and what a node is, and digests of what it holds; asks for the other side's in return.
    Hello(Hello),
    /// Asks for control records.
    Control(ControlRequest),
    /// Control records the asker lacks.
    ControlReply(ControlReply),
    /// Asks for a [`Frame::FrontierReply`].
    Frontier,
    /// What the answerer holds of every chain, ascending by author.
    FrontierReply(Vec<FrontierEntry>),
    /// Asks for a part of a chain, all kept branches.
    Range(RangeRequest),
    /// A part of one branch of a chain.
    Run(Run),
    /// Asks for envelopes by id.
    ById(ByIdRequest),
    /// Envelopes asked for by id; those not held are left out.
    ByIdReply(Vec<ByIdItem>),
    /// New envelopes, on the push stream only; no reply.
    Push(Vec<PushedEnvelope>),
    /// A sign of life, on the push stream only.
    Heartbeat(Heartbeat),
    /// The end of an answer: an early end of the stream is never completion.
    End(Outcome),
    /// Why a request is not served; an End follows.
    Refused(RefusedCode),
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything the answerer has was sent.
    Complete,
    /// The answerer stopped before.
    Incomplete,
}

/// Who and what a node is, and digests of what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lowest wire version spoken.
    pub wire_min: u8,
    /// Highest wire version spoken.
    pub wire_max: u8,
    /// Highest rules version evaluated.
    pub rules_max: u16,
    /// The alliance.
    pub alliance: AllianceId,
    /// The nation the node says it speaks for; a roster decides.
    pub nation: NationId,
    /// Height of the charter in force.
    pub charter_height: u64,
    /// The charter version in force.
    pub charter: CharterId,
    /// Digest of the control records kept (spec 4.5.6).
    pub control: Digest,
    /// Digest of the chains held (spec 4.5.6).
    pub held: Digest,
    /// Digest of what the evaluation finds, at the same moment (spec 4.5.6): equal sets must give equal ones.
    pub state: Digest,
    /// The node's clock, for the operator only (D8).
    pub time_ms: u64,
}

/// Asks for the control records of one span of ids that the asker lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlRequest {
    /// The span starts above this id.
    pub after: ControlId,
    /// The ids the asker keeps in the span, ascending, at most [`CONTROL_HAVE_MAX`].
    pub have: Vec<ControlId>,
    /// Where the span ends.
    pub page: Page,
}

/// Where the span of a [`ControlRequest`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// With the highest id in `have`.
    More,
    /// Nowhere: it is the last one.
    Last,
}

/// Control records in their signed form: kind and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlReply {
    /// Genesis; by height the votes, then the motions they name; rosters by version.
    pub records: Vec<(u8, Vec<u8>)>,
    /// Whether another frame of this answer follows.
    pub more: bool,
}

/// Asks for the headers and bodies of one author from `from` to `to`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// The author.
    pub author: AuthorId,
    /// First sequence number, at least 1.
    pub from: u64,
    /// Last sequence number, at least `from`.
    pub to: u64,
}

/// Asks for envelopes by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByIdRequest {
    /// At most [`BY_ID_MAX`], ascending.
    pub ids: Vec<EnvelopeId>,
    /// Whether bodies are wanted too.
    pub bodies: bool,
}

/// An envelope asked for by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByIdItem {
    /// The header's bytes, not looked at yet.
    pub header: [u8; HEADER_BYTES],
    /// Its own signature, where the answerer keeps one.
    pub signature: Option<Signature>,
    /// Its body, where wanted and held.
    pub body: Option<Arc<[u8]>>,
}

/// A pushed envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedEnvelope {
    /// The header's bytes, not looked at yet: another wire version must not look like damage (R02).
    pub header: [u8; HEADER_BYTES],
    /// The author's signature, not checked yet.
    pub signature: Signature,
    /// The body.
    pub body: Arc<[u8]>,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The sender's clock.
    pub time_ms: u64,
    /// Digest of the chains the sender holds, durably.
    pub held: Digest,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedCode {
    /// The asker's key is in no roster the answerer holds.
    NotInRoster,
    /// The asker names another alliance.
    OtherAlliance,
    /// The two speak no common wire version.
    NoCommonVersion,
    /// The answerer has too much to do.
    Busy,
    /// The asker asks too often.
    Rate,
    /// The request does not decode.
    Malformed,
    /// A code of a later version.
    Other(u16),
}

impl RefusedCode {
    /// Returns the code on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::NotInRoster => 1,
            Self::OtherAlliance => 2,
            Self::NoCommonVersion => 3,
            Self::Busy => 4,
            Self::Rate => 5,
            Self::Malformed => 6,
            Self::Other(code) => code,
        }
    }

    /// Returns the meaning of a code on the wire.
    pub const fn from_number(code: u16) -> Self {
        match code {
            1 => Self::NotInRoster,
            2 => Self::OtherAlliance,
            3 => Self::NoCommonVersion,
            4 => Self::Busy,
            5 => Self::Rate,
            6 => Self::Malformed,
            other => Self::Other(other),
        }
    }
}

impl Frame {
    /// Returns the tag.
    pub const fn tag(&self) -> u16 {
        match self {
            Self::Hello(_) => TAG_HELLO,
            Self::Control(_) => TAG_CONTROL,
            Self::ControlReply(_) => TAG_CONTROL_REPLY,
            Self::Frontier => TAG_FRONTIER,
            Self::FrontierReply(_) => TAG_FRONTIER_REPLY,
            Self::Range(_) => TAG_RANGE,
            Self::Run(_) => TAG_RUN,
            Self::ById(_) => TAG_BY_ID,
            Self::ByIdReply(_) => TAG_BY_ID_REPLY,
            Self::Push(_) => TAG_PUSH,
            Self::Heartbeat(_) => TAG_HEARTBEAT,
            Self::End(_) => TAG_END,
            Self::Refused(_) => TAG_REFUSED,
        }
    }

    /// Returns the frame's bytes: tag and encoding, without the length in front.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u16(self.tag());
        match self {
            Self::Hello(hello) => hello.encode(&mut out),
            Self::Control(request) => request.encode(&mut out),
            Self::ControlReply(reply) => reply.encode(&mut out),
            Self::Frontier => {}
            Self::FrontierReply(entries) => {
                out.list(entries.iter(), encode_entry);
            }
            Self::Range(range) => {
                out.id(&range.author.nation).id(&range.author.key).u64(range.from).u64(range.to);
            }
            Self::Run(run) => run.encode_frame(&mut out),
            Self::ById(request) => {
                out.list(request.ids.iter(), |out, id| {
                    out.id(id);
                });
                out.u8(request.bodies.into());
            }
            Self::ByIdReply(items) => {
                out.list(items.iter(), encode_item);
            }
            Self::Push(envelopes) => {
                out.list(envelopes.iter(), |out, envelope| {
                    out.raw(&envelope.header).raw(&envelope.signature.0).bytes(&envelope.body);
                });
            }
            Self::Heartbeat(heartbeat) => {
                out.u64(heartbeat.time_ms).id(&heartbeat.held);
            }
            Self::End(outcome) => {
                out.u8(u8::from(*outcome == Outcome::Complete));
            }
            Self::Refused(code) => {
                out.u16(code.number());
            }
        }
        out.into_bytes()
    }

    /// Reads one frame, which must take all of `bytes` (R01).
    ///
    /// # Errors
    /// [`DecodeError`] naming the first thing that is not canonical or over its bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        bound("frame", bytes.len(), FRAME_BYTES_MAX)?;
        let mut input = Reader::new(bytes);
        let frame = match input.u16()? {
            TAG_HELLO => Self::Hello(Hello::decode(&mut input)?),
            TAG_CONTROL => Self::Control(ControlRequest::decode(&mut input)?),
            TAG_CONTROL_REPLY => Self::ControlReply(ControlReply::decode(&mut input)?),
            TAG_FRONTIER => Self::Frontier,
            TAG_FRONTIER_REPLY => {
                let entries = input.list("frontier", FRONTIER_ENTRIES_MAX, ENTRY_BYTES_MIN, decode_entry)?;
                ascending("frontier", &entries, |entry| entry.author)?;
                Self::FrontierReply(entries)
            }
            TAG_RANGE => Self::Range(decode_range(&mut input)?),
            TAG_RUN => Self::Run(Run::decode_frame(&mut input)?),
            TAG_BY_ID => {
                let ids = input.list("ids", BY_ID_MAX, 32, Reader::id)?;
                ascending("ids", &ids, |id| *id)?;
                Self::ById(ByIdRequest { ids, bodies: input.flag("bodies")? })
            }
            TAG_BY_ID_REPLY => Self::ByIdReply(input.list("items", BY_ID_MAX, HEADER_BYTES + 2, decode_item)?),
            TAG_PUSH => {
                bound("push", bytes.len(), PUSH_BYTES_MAX)?;
                Self::Push(input.list("push", PUSH_ENVELOPES_MAX, PUSHED_BYTES_MIN, decode_pushed)?)
            }
            TAG_HEARTBEAT => Self::Heartbeat(Heartbeat { time_ms: decode_time(&mut input)?, held: input.id()? }),
            TAG_END => Self::End(if input.flag("end")? { Outcome::Complete } else { Outcome::Incomplete }),
            TAG_REFUSED => Self::Refused(RefusedCode::from_number(input.u16()?)),
            tag => return Err(DecodeError::Tag { what: "frame", tag: tag.into() }),
        };
        input.finish()?;
        Ok(frame)
    }
}

impl PushedEnvelope {
    /// Bytes one envelope with a body of `body_len` bytes takes in a push frame.
    pub const fn bytes(body_len: usize) -> usize {
        PUSHED_BYTES_MIN + body_len
    }
}

impl Hello {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.wire_min).u8(self.wire_max).u16(self.rules_max).id(&self.alliance).id(&self.nation);
        out.u64(self.charter_height)
            .id(&self.charter)
            .id(&self.control)
            .id(&self.held)
            .id(&self.state)
            .u64(self.time_ms);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            wire_min: input.u8()?,
            wire_max: input.u8()?,
            rules_max: input.u16()?,
            alliance: input.id()?,
            nation: input.id()?,
            charter_height: input.u64()?,
            charter: input.id()?,
            control: input.id()?,
            held: input.id()?,
            state: input.id()?,
            time_ms: decode_time(input)?,
        })
    }
}

impl ControlRequest {
    fn encode(&self, out: &mut Writer) {
        out.id(&self.after);
        out.list(self.have.iter(), |out, id| {
            out.id(id);
        });
        out.u8(u8::from(self.page == Page::Last));
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let after = input.id()?;
        let have = input.list("have", CONTROL_HAVE_MAX, 32, Reader::id)?;
        ascending("have", &have, |id| *id)?;
        if have.first().is_some_and(|first| *first <= after) {
            return Err(DecodeError::Unsorted("have"));
        }
        let page = if input.flag("last")? { Page::Last } else { Page::More };
        if page == Page::More && have.is_empty() {
            return Err(DecodeError::Range("have"));
        }
        Ok(Self { after, have, page })
    }
}

impl ControlReply {
    fn encode(&self, out: &mut Writer) {
        out.list(self.records.iter(), |out, (kind, bytes)| {
            out.u8(*kind).bytes(bytes);
        });
        out.u8(self.more.into());
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let records = input.list("control records", CONTROL_REPLY_MAX, 5, |input| {
            Ok((input.u8()?, input.bytes("control record", CONTROL_RECORD_BYTES_MAX)?.to_vec()))
        })?;
        Ok(Self { records, more: input.flag("more")? })
    }
}

const ENTRY_BYTES_MIN: usize = 32 + 32 + 2 + 1 + 1;
const PUSHED_BYTES_MIN: usize = HEADER_BYTES + SIGNATURE_BYTES + 4;

fn encode_entry(out: &mut Writer, entry: &FrontierEntry) {
    out.id(&entry.author.nation).id(&entry.author.key);
    out.list(entry.heads.iter(), |out, head| {
        encode_tip(out, &head.tip);
        out.u64(head.bodies_to);
    });
    out.opt(entry.fork, |out, seq| {
        out.u64(seq);
    });
    out.u8(entry.closed.into());
}

fn decode_entry(input: &mut Reader<'_>) -> Result<FrontierEntry, DecodeError> {
    let author = AuthorId { nation: input.id()?, key: input.id()? };
    let heads = input.list("heads", FRONTIER_HEADS_MAX, 48, |input| {
        let head = Head { tip: decode_tip(input)?, bodies_to: input.u64()? };
        let in_range = (1..=SEQ_MAX).contains(&head.tip.seq) && head.bodies_to <= head.tip.seq;
        if in_range { Ok(head) } else { Err(DecodeError::Range("head")) }
    })?;
    ascending("heads", &heads, |head| head.tip)?;
    let fork = input.opt("fork", Reader::u64)?;
    Ok(FrontierEntry { author, heads, fork, closed: input.flag("closed")? })
}

fn decode_range(input: &mut Reader<'_>) -> Result<RangeRequest, DecodeError> {
    let range = RangeRequest {
        author: AuthorId { nation: input.id()?, key: input.id()? },
        from: input.u64()?,
        to: input.u64()?,
    };
    let in_range = range.from >= 1 && range.from <= range.to;
    if in_range { Ok(range) } else { Err(DecodeError::Range("range")) }
}

fn encode_item(out: &mut Writer, item: &ByIdItem) {
    out.raw(&item.header);
    out.opt(item.signature, |out, signature| {
        out.raw(&signature.0);
    });
    out.opt(item.body.as_ref(), |out, body| {
        out.bytes(body);
    });
}

fn decode_item(input: &mut Reader<'_>) -> Result<ByIdItem, DecodeError> {
    Ok(ByIdItem {
        header: input.array()?,
        signature: input.opt("signature", |input| input.array().map(Signature))?,
        body: input.opt("body", |input| input.bytes("body", BODY_BYTES_MAX).map(Arc::from))?,
    })
}

fn decode_pushed(input: &mut Reader<'_>) -> Result<PushedEnvelope, DecodeError> {
    Ok(PushedEnvelope {
        header: input.array()?,
        signature: Signature(input.array()?),
        body: Arc::from(input.bytes("body", BODY_BYTES_MAX)?),
    })
}

fn decode_time(input: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let time_ms = input.u64()?;
    if time_ms <= TIME_MS_MAX { Ok(time_ms) } else { Err(DecodeError::Range("time")) }
}

fn bound(what: &'static str, value: usize, max: usize) -> Result<(), DecodeError> {
    if value <= max {
        return Ok(());
    }
    let wide = |n| u64::try_from(n).unwrap_or(u64::MAX);
    Err(DecodeError::TooLarge { what, value: wide(value), max: wide(max) })
}

#[cfg(test)]
mod tests;
