//! Audit bundles and courier files (spec 4.16): what a node holds, as one stream of bytes that certifies itself.
//!
//! A first line says what it is. Frames follow, each a u32 length, a u16 tag and an encoding: genesis; votes and motions in
//! the order of a ControlReply; rosters; in a courier file the sender's frontier; runs, ascending by author; a manifest that
//! counts them; and a seal with the hash of all that stands before it. A bundle holds all a node holds, with the digests of
//! its evaluation, for somebody who has nothing else; a courier file holds what another node lacks.
//!
//! Nothing here reads or writes a file: [`Writer`] returns the bytes of each frame, [`Reader`] is fed bytes and holds at most
//! one frame of them.

mod audit;
mod carry;
mod export;
mod manifest;
mod plan;
mod reader;

pub use audit::{Audit, Audited, Broken, Missing, Omission, PublishedDigests};
pub use carry::{BrokenRecord, Carried, check_run, control_record};
pub use export::{Export, export};
pub use manifest::{Counts, Digests, Exporter, Manifest, SOFTWARE_BYTES_MAX, Seal};
pub use plan::{Gone, Plan, Sparing, Stretch, Wanted};
pub use reader::{Framed, Place, Reader, ReaderError, Sealed};

use sha2::{Digest as _, Sha256};

use crate::codec::{DecodeError, Reader as Input, Writer as Out};
use crate::control::VerifiedControl;
use crate::frontier::FrontierEntry;
use crate::ids::Digest;
use crate::keys::{RecordKind, SecretKey, Signature};
use crate::limits::{CONTROL_RECORD_BYTES_MAX, FRAME_BYTES_MAX};
use crate::message::run::Run;
use crate::message::{Frame, TAG_FRONTIER_REPLY, TAG_RUN};

/// Tag of a genesis; a motion, a vote and a roster have the next three, as their kinds follow.
pub const TAG_CONTROL: u16 = 100;
/// Tag of the manifest.
pub const TAG_MANIFEST: u16 = 110;
/// Tag of the seal, the last frame.
pub const TAG_SEAL: u16 = 111;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All a node holds, for an auditor.
    Bundle,
    /// What another node lacks, for a courier.
    Courier,
}

impl Kind {
    /// The first line.
    pub const fn magic(self) -> &'static [u8] {
        match self {
            Self::Bundle => b"COMITY-BUNDLE 1\n",
            Self::Courier => b"COMITY-COURIER 1\n",
        }
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A control record in its signed form.
    Control {
        /// Its kind.
        kind: u8,
        /// Its bytes, not looked at yet.
        bytes: Vec<u8>,
    },
    /// A part of what the sender holds of every chain.
    Frontier(Vec<FrontierEntry>),
    /// A part of one branch of a chain, as on the wire.
    Run(Run),
    /// What stands before it.
    Manifest(Box<Manifest>),
    /// The end.
    Seal(Seal),
}

impl Piece {
    /// Returns tag and encoding, without the length.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out::new();
        match self {
            Self::Control { kind, bytes } => {
                out.u16(TAG_CONTROL + u16::from(*kind)).raw(bytes);
            }
            // The two frames that the wire has too are the wire's, to the byte.
            Self::Frontier(entries) => return Frame::FrontierReply(entries.clone()).encode(),
            Self::Run(run) => return Frame::Run(run.clone()).encode(),
            Self::Manifest(manifest) => {
                out.u16(TAG_MANIFEST);
                manifest.encode(&mut out);
            }
            Self::Seal(seal) => {
                out.u16(TAG_SEAL);
                seal.encode(&mut out);
            }
        }
        out.into_bytes()
    }

    /// Reads one frame, tag and encoding, which must take all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] (R01). A control record is only measured: whether it decodes shows when it is checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        let tag = input.u16()?;
        match tag {
            TAG_FRONTIER_REPLY | TAG_RUN => match Frame::decode(bytes)? {
                Frame::FrontierReply(entries) => Ok(Self::Frontier(entries)),
                Frame::Run(run) => Ok(Self::Run(run)),
                _ => Err(DecodeError::Tag { what: "frame", tag: tag.into() }),
            },
            TAG_MANIFEST => {
                let manifest = Manifest::decode(&mut input)?;
                input.finish()?;
                Ok(Self::Manifest(Box::new(manifest)))
            }
            TAG_SEAL => {
                let seal = Seal::decode(&mut input)?;
                input.finish()?;
                Ok(Self::Seal(seal))
            }
            tag => match tag.checked_sub(TAG_CONTROL).and_then(|kind| u8::try_from(kind).ok()) {
                Some(kind @ 1..=4) => {
                    let bytes = input.take(input.left())?;
                    if bytes.len() > CONTROL_RECORD_BYTES_MAX {
                        let wide = |n| u64::try_from(n).unwrap_or(u64::MAX);
                        let (value, max) = (wide(bytes.len()), wide(CONTROL_RECORD_BYTES_MAX));
                        return Err(DecodeError::TooLarge { what: "control record", value, max });
                    }
                    Ok(Self::Control { kind, bytes: bytes.to_vec() })
                }
                _ => Err(DecodeError::Tag { what: "frame", tag: tag.into() }),
            },
        }
    }

    /// Returns the frame of a control record.
    pub fn of_control(control: &VerifiedControl) -> Self {
        Self::Control { kind: control.record().kind(), bytes: control.record().encode() }
    }

    const fn stage(&self) -> Stage {
        match self {
            Self::Control { kind: 1, .. } => Stage::Genesis,
            Self::Control { kind: 2 | 3, .. } => Stage::Votes,
            Self::Control { .. } => Stage::Rosters,
            Self::Frontier(_) => Stage::Frontier,
            Self::Run(_) => Stage::Runs,
            Self::Manifest(_) => Stage::Manifest,
            Self::Seal(_) => Stage::Seal,
        }
    }
}

/// Where in its stream a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing came yet.
    Start,
    /// The genesis.
    Genesis,
    /// Votes and motions.
    Votes,
    /// Rosters.
    Rosters,
    /// The sender's frontier.
    Frontier,
    /// Runs.
    Runs,
    /// The manifest.
    Manifest,
    /// The seal.
    Seal,
}

impl Stage {
    /// What stands there, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "the first line",
            Self::Genesis => "the genesis",
            Self::Votes => "votes and motions",
            Self::Rosters => "rosters",
            Self::Frontier => "the frontier",
            Self::Runs => "runs",
            Self::Manifest => "the manifest",
            Self::Seal => "the seal",
        }
    }
}

/// Builds a stream, frame by frame; keeps counts and a running hash, no records.
#[derive(Clone, Debug)]
pub struct Writer {
    hash: Sha256,
    counts: Counts,
}

impl Writer {
    /// Starts a stream; the bytes returned are its first line.
    pub fn new(kind: Kind) -> (Self, Vec<u8>) {
        let mut writer = Self { hash: Sha256::new(), counts: Counts::default() };
        writer.hash.update(kind.magic());
        (writer, kind.magic().to_vec())
    }

    /// Returns the bytes of a frame, its length in front. The caller keeps the order of the stages.
    ///
    /// # Panics
    /// If the frame is longer than [`FRAME_BYTES_MAX`]; no record, run or part of a frontier is.
    pub fn frame(&mut self, piece: &Piece) -> Vec<u8> {
        self.counts.count(piece);
        let bytes = framed(&piece.encode());
        self.hash.update(&bytes);
        bytes
    }

    /// What was written so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the hash of everything written so far.
    pub fn digest(&self) -> Digest {
        Digest::new(self.hash.clone().finalize().into())
    }

    /// Ends the stream after its manifest; a signature is the exporter's over [`Writer::digest`].
    pub fn seal(mut self, signature: Option<Signature>) -> Vec<u8> {
        let hash = self.digest();
        self.frame(&Piece::Seal(Seal { hash, signature }))
    }
}

/// Signs what a stream's writer hashed.
pub fn sign(key: &SecretKey, digest: &Digest) -> Signature {
    key.sign(RecordKind::Bundle, digest.as_bytes())
}

/// Returns a frame with its length in front.
///
/// # Panics
/// If it is longer than [`FRAME_BYTES_MAX`].
pub fn framed(frame: &[u8]) -> Vec<u8> {
    assert!(frame.len() <= FRAME_BYTES_MAX, "a frame of {} bytes", frame.len());
    let length = u32::try_from(frame.len()).expect("frames are bounded far below 4 GiB");
    [&length.to_be_bytes(), frame].concat()
}

/// Takes the first frame, without its length, off a chunk of frames that a caller cut between frames.
///
/// # Errors
/// [`DecodeError`] if the chunk ends inside the frame, or the frame is too long; the chunk is then left as it was.
pub fn split_frame<'a>(chunk: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let mut input = Input::new(chunk);
    let frame = input.bytes("frame", FRAME_BYTES_MAX)?;
    *chunk = input.take(input.left())?;
    Ok(frame)
}

#[cfg(test)]
mod tests;
