//! The last two frames of a stream: what it holds, and the hash of it.

use super::Piece;
use crate::charter::Anchor;
use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::{AllianceId, AuthorId, CharterId, Digest};
use crate::keys::{BadSignature, RecordKind, Signature, verify};
use crate::limits::TIME_MS_MAX;
use crate::message::run::RunBody;

/// Longest name of the software that wrote a stream.
pub const SOFTWARE_BYTES_MAX: usize = 64;

/// How much of what a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Genesis, motions, votes and rosters.
    pub control: u64,
    /// Entries of the sender's frontier.
    pub frontier: u64,
    /// Runs.
    pub runs: u64,
    /// Headers in them.
    pub headers: u64,
    /// Bodies in them.
    pub bodies: u64,
    /// Signatures in them.
    pub signatures: u64,
}

/// What the exporter's evaluation of a bundle gives (spec 4.5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Height of the charter in force.
    pub height: u32,
    /// The charter in force.
    pub charter: CharterId,
    /// Digest of the accepted tips.
    pub frontier: Digest,
    /// Digest of the control records kept.
    pub control: Digest,
    /// Digest of charter, rosters, chains and documents.
    pub state: Digest,
}

/// Who wrote a stream; it is believed only where the seal is signed.
pub type Exporter = AuthorId;

/// What a stream holds, as its exporter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The alliance.
    pub alliance: AllianceId,
    /// Who wrote it.
    pub exporter: Exporter,
    /// How much of what stands before the manifest.
    pub counts: Counts,
    /// What the evaluation of a bundle gives; none in a courier file, which is a part of something.
    pub digests: Option<Digests>,
    /// The charter version that the exporter has pinned, if it has one.
    pub anchor: Option<(u32, CharterId)>,
    /// The exporter's clock.
    pub created_ms: u64,
    /// Name and version of the software, 1 to 64 bytes.
    pub software: String,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// SHA-256 of every byte before this frame's length.
    pub hash: Digest,
    /// The exporter's signature over the hash, as a record of kind `bundle`.
    pub signature: Option<Signature>,
}

impl Counts {
    /// Adds a frame.
    pub fn count(&mut self, piece: &Piece) {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        match piece {
            Piece::Control { .. } => self.control += 1,
            Piece::Frontier(entries) => self.frontier += wide(entries.len()),
            Piece::Run(run) => {
                self.runs += 1;
                self.headers += wide(run.items.len());
                let held = run.items.iter().filter(|item| matches!(item.body, RunBody::Held(_)));
                self.bodies += wide(held.count());
                // The last item's stands behind the items.
                self.signatures += 1 + wide(run.items.iter().filter(|item| item.signature.is_some()).count());
            }
            Piece::Manifest(_) | Piece::Seal(_) => {}
        }
    }

    /// Returns the first figure in which two counts differ: its name, ours, theirs.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, u64, u64)> {
        let pairs = [
            ("control records", self.control, other.control),
            ("frontier entries", self.frontier, other.frontier),
            ("runs", self.runs, other.runs),
            ("headers", self.headers, other.headers),
            ("bodies", self.bodies, other.bodies),
            ("signatures", self.signatures, other.signatures),
        ];
        pairs.into_iter().find(|(_, ours, theirs)| ours != theirs)
    }
}

impl Manifest {
    pub(super) fn encode(&self, out: &mut Writer) {
        out.id(&self.alliance).id(&self.exporter.nation).id(&self.exporter.key);
        let Counts { control, frontier, runs, headers, bodies, signatures } = self.counts;
        for count in [control, frontier, runs, headers, bodies, signatures] {
            out.u64(count);
        }
        out.opt(self.digests, |out, digests| {
            out.u32(digests.height).id(&digests.charter);
            out.id(&digests.frontier).id(&digests.control).id(&digests.state);
        });
        out.opt(self.anchor, |out, (height, charter)| {
            out.u32(height).id(&charter);
        });
        out.u64(self.created_ms).str(&self.software);
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let alliance = input.id()?;
        let exporter = Exporter { nation: input.id()?, key: input.id()? };
        let counts = Counts {
            control: input.u64()?,
            frontier: input.u64()?,
            runs: input.u64()?,
            headers: input.u64()?,
            bodies: input.u64()?,
            signatures: input.u64()?,
        };
        let digests = input.opt("digests", |input| {
            Ok(Digests {
                height: input.u32()?,
                charter: input.id()?,
                frontier: input.id()?,
                control: input.id()?,
                state: input.id()?,
            })
        })?;
        let anchor = input.opt("anchor", |input| Ok((input.u32()?, input.id()?)))?;
        let created_ms = input.u64()?;
        if created_ms > TIME_MS_MAX {
            return Err(DecodeError::Range("time"));
        }
        let software = input.control_str("software")?.to_owned();
        Ok(Self { alliance, exporter, counts, digests, anchor, created_ms, software })
    }

    /// Where the exporter's evaluation starts.
    pub fn anchor(&self) -> Anchor {
        let founding = Anchor::founding(self.alliance);
        self.anchor.map_or(founding, |(height, charter)| Anchor { height, charter, ..founding })
    }
}

impl Seal {
    pub(super) fn encode(&self, out: &mut Writer) {
        out.id(&self.hash);
        out.opt(self.signature, |out, signature| {
            out.raw(&signature.0);
        });
    }

    pub(super) fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { hash: input.id()?, signature: input.opt("signature", |input| input.array().map(Signature))? })
    }

    /// Checks the signature, where there is one, under the exporter's key.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub(super) fn verify(&self, exporter: &Exporter) -> Result<(), BadSignature> {
        match &self.signature {
            Some(signature) => verify(RecordKind::Bundle, &exporter.key, self.hash.as_bytes(), signature),
            None => Ok(()),
        }
    }
}
