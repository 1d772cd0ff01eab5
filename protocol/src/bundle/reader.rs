//! Reading a stream: it is fed bytes and gives frames, each in its order, or says where it breaks.

use sha2::{Digest as _, Sha256};

use super::{Counts, Kind, Manifest, Piece, Seal, Stage};
use crate::codec::DecodeError;
use crate::ids::{AuthorId, Digest};
use crate::keys::BadSignature;
use crate::limits::FRAME_BYTES_MAX;
use crate::message::run::Run;

/// Where a frame stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes before its length.
    pub offset: u64,
    /// Its number, from 1; 0 for the first line.
    pub frame: u64,
}

/// A frame as read.
#[derive(Clone, Debug)]
pub struct Framed {
    /// Where it stands.
    pub place: Place,
    /// Tag and encoding, without the length.
    pub bytes: Vec<u8>,
    /// What it is.
    pub piece: Piece,
}

/// A stream that was read to its end and is as it was written.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// What it is.
    pub kind: Kind,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its seal; a signature in it is valid under the exporter's key.
    pub seal: Seal,
    /// Its bytes.
    pub bytes: u64,
}

/// Why bytes are no stream of ours, or not all of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// The first line is another.
    #[error("the first line is neither COMITY-BUNDLE 1 nor COMITY-COURIER 1")]
    Magic,
    /// It ends inside a frame, or before the seal.
    #[error("ends in the middle: {have} of {need} bytes of what stands there")]
    Truncated {
        /// What is incomplete.
        place: Place,
        /// Bytes that are there.
        have: u64,
        /// Bytes that belong there; 4 more than is there where not even a length is.
        need: u64,
    },
    /// It ends between two frames, before the seal.
    #[error("ends before its seal, after {}", after.name())]
    Unsealed {
        /// Where.
        place: Place,
        /// What came last.
        after: Stage,
    },
    /// A frame is longer than any may be.
    #[error("announces {length} bytes, at most {FRAME_BYTES_MAX} are possible")]
    Length {
        /// Which.
        place: Place,
        /// What it announces.
        length: u32,
    },
    /// A frame does not decode.
    #[error("does not decode: {source}")]
    Decode {
        /// Which.
        place: Place,
        /// Why.
        source: DecodeError,
    },
    /// A frame stands where it does not belong.
    #[error("{} after {}", found.name(), after.name())]
    Order {
        /// Which.
        place: Place,
        /// What it is.
        found: Stage,
        /// What came before it.
        after: Stage,
    },
    /// Runs are not ascending by author.
    #[error("a run of an author that stands before the last one's")]
    Authors {
        /// Which.
        place: Place,
    },
    /// The manifest counts something else.
    #[error("the manifest counts {manifest} {what}, {found} stand before it")]
    Count {
        /// The manifest.
        place: Place,
        /// What differs.
        what: &'static str,
        /// What it says.
        manifest: u64,
        /// What was read.
        found: u64,
    },
    /// The bytes are not those that were sealed.
    #[error("the bytes before the seal are not those that were sealed")]
    Seal {
        /// The seal.
        place: Place,
    },
    /// The seal's signature is not the exporter's.
    #[error("the seal: {source}")]
    Signature {
        /// The seal.
        place: Place,
        /// Why.
        source: BadSignature,
    },
    /// Bytes stand behind the seal.
    #[error("bytes stand behind the seal")]
    Trailing {
        /// Where they begin.
        place: Place,
    },
}

impl ReaderError {
    /// Where it breaks.
    pub const fn place(&self) -> Place {
        match self {
            Self::Magic => Place { offset: 0, frame: 0 },
            Self::Truncated { place, .. }
            | Self::Unsealed { place, .. }
            | Self::Length { place, .. }
            | Self::Decode { place, .. }
            | Self::Order { place, .. }
            | Self::Authors { place }
            | Self::Count { place, .. }
            | Self::Seal { place }
            | Self::Signature { place, .. }
            | Self::Trailing { place } => *place,
        }
    }

    /// The rule that is broken, where one of spec 4.4 is.
    pub const fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Length { .. } | Self::Decode { .. } => Some("R01"),
            Self::Signature { .. } => Some("R05"),
            Self::Magic
            | Self::Truncated { .. }
            | Self::Unsealed { .. }
            | Self::Order { .. }
            | Self::Authors { .. }
            | Self::Count { .. }
            | Self::Seal { .. }
            | Self::Trailing { .. } => None,
        }
    }
}

/// Reads a stream; holds at most one frame of it.
#[derive(Clone, Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    kind: Option<Kind>,
    place: Place,
    stage: Stage,
    counts: Counts,
    author: Option<AuthorId>,
    hash: Sha256,
    manifest: Option<Manifest>,
    seal: Option<Seal>,
}

/// Bytes of a length.
const LENGTH_BYTES: usize = 4;
/// The buffer never grows over this.
const BUFFER_BYTES_MAX: usize = LENGTH_BYTES + FRAME_BYTES_MAX;

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Starts before the first line.
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            kind: None,
            place: Place::default(),
            stage: Stage::Start,
            counts: Counts::default(),
            author: None,
            hash: Sha256::new(),
            manifest: None,
            seal: None,
        }
    }

    /// Takes bytes and returns how many: at least one of them if everything was polled before.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BUFFER_BYTES_MAX.saturating_sub(self.buffer.len()));
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// What the first line said, once it was read.
    pub const fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Returns the next frame; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`ReaderError`]; everything returned before stands, and nothing after it is read.
    pub fn poll(&mut self) -> Result<Option<Framed>, ReaderError> {
        if self.kind.is_none() && !self.first_line()? {
            return Ok(None);
        }
        let place = self.place;
        if self.seal.is_some() {
            return if self.buffer.is_empty() { Ok(None) } else { Err(ReaderError::Trailing { place }) };
        }
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>().copied().map(u32::from_be_bytes) else {
            return Ok(None);
        };
        let end = match usize::try_from(length) {
            Ok(length) if length <= FRAME_BYTES_MAX => LENGTH_BYTES + length,
            _ => return Err(ReaderError::Length { place, length }),
        };
        if self.buffer.len() < end {
            return Ok(None);
        }
        let rest = self.buffer.split_off(end);
        let whole = std::mem::replace(&mut self.buffer, rest);
        let bytes = whole[LENGTH_BYTES..].to_vec();
        let piece = Piece::decode(&bytes).map_err(|source| ReaderError::Decode { place, source })?;
        self.check(&piece)?;
        self.hash.update(&whole);
        self.advance(whole.len());
        Ok(Some(Framed { place, bytes, piece }))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`ReaderError::Truncated`] or [`ReaderError::Unsealed`] if it is not at its end.
    pub fn finish(self) -> Result<Sealed, ReaderError> {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let place = self.place;
        let have = wide(self.buffer.len());
        let (Some(kind), Some(manifest), Some(seal)) = (self.kind, self.manifest, self.seal) else {
            let need = match (self.kind, self.buffer.first_chunk::<LENGTH_BYTES>()) {
                (None, _) => return Err(if have == 0 { ReaderError::Magic } else { magic_cut(have) }),
                (Some(_), Some(length)) => 4 + u64::from(u32::from_be_bytes(*length)),
                (Some(_), None) => 4,
            };
            return Err(if have == 0 {
                ReaderError::Unsealed { place, after: self.stage }
            } else {
                ReaderError::Truncated { place, have, need }
            });
        };
        if have > 0 {
            return Err(ReaderError::Trailing { place });
        }
        Ok(Sealed { kind, manifest, seal, bytes: place.offset })
    }

    fn first_line(&mut self) -> Result<bool, ReaderError> {
        for kind in [Kind::Bundle, Kind::Courier] {
            let magic = kind.magic();
            if self.buffer.starts_with(magic) {
                self.hash.update(magic);
                self.buffer.drain(..magic.len());
                self.kind = Some(kind);
                self.advance(magic.len());
                return Ok(true);
            }
        }
        let begins = |kind: Kind| kind.magic().starts_with(&self.buffer);
        if begins(Kind::Bundle) || begins(Kind::Courier) { Ok(false) } else { Err(ReaderError::Magic) }
    }

    fn advance(&mut self, bytes: usize) {
        self.place.offset += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.place.frame += 1;
    }

    /// Order, counts and seal.
    fn check(&mut self, piece: &Piece) -> Result<(), ReaderError> {
        let (place, after, found) = (self.place, self.stage, piece.stage());
        let repeats = matches!(found, Stage::Votes | Stage::Rosters | Stage::Frontier | Stage::Runs);
        let in_order = found > after || found == after && repeats;
        let belongs = match self.kind {
            Some(Kind::Bundle) => found != Stage::Frontier && (after > Stage::Start || found == Stage::Genesis),
            Some(Kind::Courier) | None => true,
        };
        let ends = (found == Stage::Seal) == (after == Stage::Manifest);
        if !(in_order && belongs && ends) {
            return Err(ReaderError::Order { place, found, after });
        }
        match piece {
            Piece::Run(Run { author, .. }) if self.author.replace(*author).is_some_and(|last| last > *author) => {
                return Err(ReaderError::Authors { place });
            }
            Piece::Manifest(manifest) => {
                if let Some((what, manifest, found)) = manifest.counts.difference(&self.counts) {
                    return Err(ReaderError::Count { place, what, manifest, found });
                }
                self.manifest = Some(manifest.as_ref().clone());
            }
            Piece::Seal(seal) => {
                let hash = Digest::new(self.hash.clone().finalize().into());
                if seal.hash != hash {
                    return Err(ReaderError::Seal { place });
                }
                let exporter = self.manifest.as_ref().map(|manifest| manifest.exporter);
                let exporter = exporter.expect("a seal stands only behind a manifest");
                seal.verify(&exporter).map_err(|source| ReaderError::Signature { place, source })?;
                self.seal = Some(*seal);
            }
            Piece::Run(_) | Piece::Control { .. } | Piece::Frontier(_) => {}
        }
        self.counts.count(piece);
        self.stage = found;
        Ok(())
    }
}

fn magic_cut(have: u64) -> ReaderError {
    let need = u64::try_from(Kind::Bundle.magic().len()).unwrap_or(u64::MAX);
    ReaderError::Truncated { place: Place::default(), have, need }
}
