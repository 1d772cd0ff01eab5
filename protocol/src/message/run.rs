//! Packed runs (spec 4.13.1): a stretch of one branch of a chain under few signatures.
//!
//! A header names its predecessor's hash, so a signature over a header is one over the whole chain below it. A run
//! therefore carries only what cannot be recomputed, and [`Run::verify`] turns it into attested headers or into nothing.

use std::io::Read;
use std::sync::Arc;

use crate::codec::{DecodeError, Reader, Writer};
use crate::envelope::{AttestedHeader, Header, HeaderDecodeError, body_hash};
use crate::ids::{AllianceId, AuthorId, Digest, EnvelopeId};
use crate::keys::{BadSignature, RecordKind, Signature, verify};
use crate::limits::{BODY_BYTES_MAX, HEADER_BYTES, RUN_BYTES_MAX, RUN_ITEMS_MAX, SEQ_MAX, SIGNATURE_BYTES};

/// A stretch of one branch of a chain, its signatures not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The author.
    pub author: AuthorId,
    /// Sequence number of the first item, at least 1.
    pub first_seq: u64,
    /// The predecessor of the first item; zero iff that is number 1.
    pub first_prev: EnvelopeId,
    /// 1 to [`RUN_ITEMS_MAX`] consecutive envelopes.
    pub items: Vec<RunItem>,
    /// The signature over the last item, whose own `signature` is absent.
    pub signature: Signature,
}

/// One envelope of a run: what cannot be recomputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunItem {
    /// Claimed time.
    pub time_ms: u64,
    /// Kind of body.
    pub kind: u16,
    /// The body, or what names it.
    pub body: RunBody,
    /// The header's own signature, if it is a signature point or a branch head.
    pub signature: Option<Signature>,
}

/// The body of a [`RunItem`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunBody {
    /// The sender does not hold it.
    Missing {
        /// Its hash.
        hash: Digest,
        /// Its length.
        len: u32,
    },
    /// The body itself, at most [`BODY_BYTES_MAX`].
    Held(Arc<[u8]>),
}

/// An item of a checked run: an attested header, and the body that matches it where the run carried one.
#[derive(Clone, Debug)]
pub struct VerifiedItem {
    /// The header.
    pub header: AttestedHeader,
    /// Its body.
    pub body: Option<Arc<[u8]>>,
}

/// Why a run is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A header that the run implies breaks its field ranges (R06).
    #[error("item {item}: {source}")]
    Header {
        /// Index of the item.
        item: usize,
        /// What is wrong.
        source: HeaderDecodeError,
    },
    /// A signature that the run carries is not valid (R05).
    #[error("item {item}: {source}")]
    Signature {
        /// Index of the item.
        item: usize,
        /// What is wrong.
        source: BadSignature,
    },
}

/// Bytes of a run beside its items: nation, author, first position and its predecessor, count, signature.
pub const RUN_HEAD_BYTES: usize = 32 + 32 + 8 + 32 + 2 + SIGNATURE_BYTES;
const ITEM_BYTES_MIN: usize = 8 + 2 + 1 + 4 + 1;
/// Below this a run is sent plain: compressing it would not pay.
const COMPRESS_BYTES_MIN: usize = 512;
const COMPRESSION_LEVEL: i32 = 3;
/// Windows above twice the largest run are refused, so that a frame cannot choose our memory.
const WINDOW_LOG_MAX: u32 = 21;

impl RunItem {
    /// Bytes of this item in its run.
    pub fn bytes(&self) -> usize {
        let body = match &self.body {
            RunBody::Missing { .. } => 32 + 4,
            RunBody::Held(bytes) => 4 + bytes.len(),
        };
        8 + 2 + 1 + body + 1 + if self.signature.is_some() { SIGNATURE_BYTES } else { 0 }
    }
}

impl Run {
    /// Recomputes every header along the run and checks every signature in it; all of it stands or none.
    ///
    /// Every body in the result matches its header, since the header's hash and length are computed from it.
    ///
    /// # Errors
    /// [`RunError`] naming the first item that fails; nothing of the run may then be kept.
    pub fn verify(self, alliance: &AllianceId) -> Result<Vec<VerifiedItem>, RunError> {
        let last = self.items.len().saturating_sub(1);
        let mut verified = Vec::with_capacity(self.items.len());
        let mut prev = self.first_prev;
        for (item, (seq, entry)) in (self.first_seq..).zip(self.items).enumerate() {
            let header = header_of(alliance, &self.author, seq, prev, &entry);
            header.check_fields().map_err(|source| RunError::Header { item, source })?;
            let signature = if item == last { Some(self.signature) } else { entry.signature };
            if let Some(signature) = &signature {
                verify(RecordKind::Envelope, &header.author, &header.encode(), signature)
                    .map_err(|source| RunError::Signature { item, source })?;
            }
            let header = AttestedHeader::trusted(header, signature);
            prev = header.id();
            let body = match entry.body {
                RunBody::Missing { .. } => None,
                RunBody::Held(bytes) => Some(bytes),
            };
            verified.push(VerifiedItem { header, body });
        }
        Ok(verified)
    }

    /// Returns the ids of the run's headers, ascending by position, with each body's hash and length; nothing is checked.
    pub(crate) fn bodies(&self, alliance: &AllianceId) -> Vec<(EnvelopeId, Digest, u32)> {
        let mut prev = self.first_prev;
        let entries = (self.first_seq..).zip(&self.items).map(|(seq, entry)| {
            let header = header_of(alliance, &self.author, seq, prev, entry);
            prev = header.id();
            (prev, header.body_hash, header.body_len)
        });
        entries.collect()
    }

    /// Returns the canonical encoding of the run itself, as it stands under compression.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.id(&self.author.nation).id(&self.author.key).u64(self.first_seq).id(&self.first_prev);
        out.list(self.items.iter(), |out, item| {
            out.u64(item.time_ms).u16(item.kind);
            match &item.body {
                RunBody::Missing { hash, len } => out.u8(0).id(hash).u32(*len),
                RunBody::Held(bytes) => out.u8(1).bytes(bytes),
            };
            out.opt(item.signature, |out, signature| {
                out.raw(&signature.0);
            });
        });
        out.raw(&self.signature.0);
        out.into_bytes()
    }

    /// Reads the canonical encoding of a run, which must take all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] (R01); also for an empty run, for a last item with a signature of its own, and where `first_prev`
    /// is zero though the run does not start at 1, or the reverse.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        super::bound("run", bytes.len(), RUN_BYTES_MAX)?;
        let mut input = Reader::new(bytes);
        let author = AuthorId { nation: input.id()?, key: input.id()? };
        let first_seq = input.u64()?;
        let first_prev: EnvelopeId = input.id()?;
        let items = input.list("run items", RUN_ITEMS_MAX, ITEM_BYTES_MIN, decode_run_item)?;
        let signature = Signature(input.array()?);
        input.finish()?;
        if !(1..=SEQ_MAX).contains(&first_seq) || (first_seq == 1) != first_prev.is_zero() {
            return Err(DecodeError::Range("run start"));
        }
        if items.last().is_none_or(|last| last.signature.is_some()) {
            return Err(DecodeError::Range("last item of a run"));
        }
        Ok(Self { author, first_seq, first_prev, items, signature })
    }

    /// Appends the frame form: plain, or compressed where that is shorter.
    ///
    /// The caller keeps the run within [`RUN_BYTES_MAX`] and [`RUN_ITEMS_MAX`].
    pub(super) fn encode_frame(&self, out: &mut Writer) {
        let plain = self.encode();
        let length = u32::try_from(plain.len()).expect("a run is at most 1 MiB");
        if plain.len() >= COMPRESS_BYTES_MIN
            && let Ok(packed) = zstd::bulk::compress(&plain, COMPRESSION_LEVEL)
            && packed.len() + 4 < plain.len()
        {
            out.u8(1).u32(length).raw(&packed);
            return;
        }
        out.u8(0).raw(&plain);
    }

    /// Reads the frame form; what is left of `input` belongs to the run.
    pub(super) fn decode_frame(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if !input.flag("run form")? {
            let plain = input.take(input.left())?;
            return Self::decode(plain);
        }
        let length = input.u32()? as usize;
        super::bound("run", length, RUN_BYTES_MAX)?;
        let packed = input.take(input.left())?;
        Self::decode(&decompress(packed, length)?)
    }
}

fn header_of(alliance: &AllianceId, author: &AuthorId, seq: u64, prev: EnvelopeId, item: &RunItem) -> Header {
    let (body_hash, body_len) = match &item.body {
        RunBody::Missing { hash, len } => (*hash, *len),
        RunBody::Held(bytes) => (body_hash(bytes), u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
    };
    Header {
        alliance: *alliance,
        nation: author.nation,
        author: author.key,
        seq,
        prev,
        time_ms: item.time_ms,
        kind: item.kind,
        body_len,
        body_hash,
    }
}

/// Decompresses one zstd frame that must yield exactly `length` bytes and end with its input.
///
/// Memory grows with what is really produced, never with what is announced.
fn decompress(packed: &[u8], length: usize) -> Result<Vec<u8>, DecodeError> {
    let damaged = |_| DecodeError::Compression;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(damaged)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
    let mut plain = Vec::new();
    let one_more = u64::try_from(length).map_err(|_| DecodeError::Compression)?.saturating_add(1);
    decoder.by_ref().take(one_more).read_to_end(&mut plain).map_err(damaged)?;
    if plain.len() == length && decoder.finish().is_empty() { Ok(plain) } else { Err(DecodeError::Compression) }
}

fn decode_run_item(input: &mut Reader<'_>) -> Result<RunItem, DecodeError> {
    Ok(RunItem {
        time_ms: input.u64()?,
        kind: input.u16()?,
        body: if input.flag("run body")? {
            RunBody::Held(Arc::from(input.bytes("body", BODY_BYTES_MAX)?))
        } else {
            RunBody::Missing { hash: input.id()?, len: input.u32()? }
        },
        signature: input.opt("signature", |input| input.array().map(Signature))?,
    })
}

/// Bytes a header adds to its chain's quota beyond what a run spends on it: a run is always the shorter form.
const _: () = assert!(ITEM_BYTES_MIN + 36 + SIGNATURE_BYTES < HEADER_BYTES + SIGNATURE_BYTES);
