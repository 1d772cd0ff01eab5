//! Envelope bodies (spec 4.3.5): what an envelope carries, by kind.

use crate::codec::{DecodeError, Reader, Writer, ascending};
use crate::ids::{AuthorId, CharterId, ControlId, Digest, NationId, Tip};
use crate::limits::{BODY_BYTES_MAX, CHANGE_BYTES_MAX, GRANT_PREV_MAX, GRANT_WRAPS_MAX, NATIONS_MAX, WITNESS_ACKS_MAX};

/// Kind of a [`ChangeBody`].
pub const KIND_CHANGE: u16 = 1;
/// Kind of a [`WitnessBody`].
pub const KIND_WITNESS: u16 = 2;
/// Kind of a [`KeyGrantBody`].
pub const KIND_KEY_GRANT: u16 = 3;

/// A decoded body of a kind this version knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// One change to a document of the author's own nation.
    Change(ChangeBody),
    /// What the author's nation has received from everybody.
    Witness(WitnessBody),
    /// Keys of an encrypted compartment.
    KeyGrant(KeyGrantBody),
    /// A kind of a later version: carried, linked, without effect.
    Unknown(u16),
}

/// A change to the nation's document of one compartment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeBody {
    /// Readable by everybody; compartment 0 is always clear.
    Clear {
        /// The compartment.
        compartment: u32,
        /// An Automerge change, as the guard must find it.
        change: Vec<u8>,
    },
    /// Readable by holders of the key `kid`.
    Encrypted {
        /// The compartment, never 0.
        compartment: u32,
        /// Which key.
        kid: Digest,
        /// XChaCha20-Poly1305 nonce.
        nonce: [u8; 24],
        /// The ciphertext.
        ciphertext: Vec<u8>,
    },
}

/// What a nation's witness node holds (spec 4.7); only changes since its last one are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessBody {
    /// Charter height in force at the witness.
    pub height: u32,
    /// Charter version in force at the witness.
    pub charter: CharterId,
    /// Roster heads, ascending by nation.
    pub rosters: Vec<RosterAck>,
    /// Acknowledged chain heads, ascending by author.
    pub acks: Vec<Ack>,
    /// Digest of accepted tips.
    pub frontier: Digest,
    /// Digest of the evaluated state.
    pub state: Digest,
}

/// The roster version of one nation as a witness sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterAck {
    /// The nation.
    pub nation: NationId,
    /// Its roster's version.
    pub version: u64,
    /// Its roster's id.
    pub id: ControlId,
}

/// "I hold this author's chain, bodies included, up to this envelope."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The author.
    pub author: AuthorId,
    /// The envelope.
    pub tip: Tip,
}

/// Keys of a compartment, wrapped for each node of its audience (spec 4.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGrantBody {
    /// The compartment, never 0.
    pub compartment: u32,
    /// Hash of the current key.
    pub kid: Digest,
    /// HPKE wraps and padding, ascending.
    pub wraps: Vec<[u8; 80]>,
    /// Earlier keys sealed under the current one, ascending by key hash.
    pub prev: Vec<SealedKey>,
}

/// An earlier key of a compartment, sealed under its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// Hash of the earlier key.
    pub kid: Digest,
    /// XChaCha20-Poly1305 nonce.
    pub nonce: [u8; 24],
    /// Sealed key: 32 bytes and a 16-byte tag.
    pub ciphertext: [u8; 48],
}

impl Body {
    /// Returns the kind as the header names it.
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Change(_) => KIND_CHANGE,
            Self::Witness(_) => KIND_WITNESS,
            Self::KeyGrant(_) => KIND_KEY_GRANT,
            Self::Unknown(kind) => *kind,
        }
    }

    /// Returns the body's bytes; none for a kind we do not know.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Change(change) => change.encode(&mut out),
            Self::Witness(witness) => witness.encode(&mut out),
            Self::KeyGrant(grant) => grant.encode(&mut out),
            Self::Unknown(_) => {}
        }
        out.into_bytes()
    }

    /// Reads a body of `kind`; an unknown kind is no error.
    ///
    /// # Errors
    /// [`DecodeError`]; the envelope is then Void(malformed), and nobody is struck for it (R08, spec 4.4).
    pub fn decode(kind: u16, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        let body = match kind {
            KIND_CHANGE => Self::Change(ChangeBody::decode(&mut input)?),
            KIND_WITNESS => Self::Witness(WitnessBody::decode(&mut input)?),
            KIND_KEY_GRANT => Self::KeyGrant(KeyGrantBody::decode(&mut input)?),
            other => return Ok(Self::Unknown(other)),
        };
        input.finish()?;
        Ok(body)
    }
}

impl ChangeBody {
    /// The compartment the change belongs to.
    pub const fn compartment(&self) -> u32 {
        match self {
            Self::Clear { compartment, .. } | Self::Encrypted { compartment, .. } => *compartment,
        }
    }

    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Clear { compartment, change } => {
                out.u32(*compartment).u8(0).bytes(change);
            }
            Self::Encrypted { compartment, kid, nonce, ciphertext } => {
                out.u32(*compartment).u8(1).id(kid).raw(nonce).bytes(ciphertext);
            }
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let compartment = input.u32()?;
        if !input.flag("change form")? {
            // The guard has the bound on a change; here only the body's own bound holds, so that the reason is the guard's.
            return Ok(Self::Clear { compartment, change: input.bytes("change", BODY_BYTES_MAX)?.to_vec() });
        }
        if compartment == 0 {
            return Err(DecodeError::Range("compartment 0 is never encrypted"));
        }
        Ok(Self::Encrypted {
            compartment,
            kid: input.id()?,
            nonce: input.array()?,
            ciphertext: input.bytes("ciphertext", CHANGE_BYTES_MAX)?.to_vec(),
        })
    }
}

impl WitnessBody {
    fn encode(&self, out: &mut Writer) {
        out.u32(self.height).id(&self.charter);
        out.list(self.rosters.iter(), |out, roster| {
            out.id(&roster.nation).u64(roster.version).id(&roster.id);
        });
        out.list(self.acks.iter(), |out, ack| {
            out.id(&ack.author.nation).id(&ack.author.key).u64(ack.tip.seq).id(&ack.tip.id);
        });
        out.id(&self.frontier).id(&self.state);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let height = input.u32()?;
        let charter = input.id()?;
        let rosters = input.list("witness rosters", NATIONS_MAX * 2, 72, |input| {
            Ok(RosterAck { nation: input.id()?, version: input.u64()?, id: input.id()? })
        })?;
        ascending("witness rosters", &rosters, |roster| roster.nation)?;
        let acks = input.list("witness acks", WITNESS_ACKS_MAX, 104, |input| {
            let author = AuthorId { nation: input.id()?, key: input.id::<crate::ids::Author>()? };
            Ok(Ack { author, tip: decode_tip(input)? })
        })?;
        ascending("witness acks", &acks, |ack| ack.author)?;
        Ok(Self { height, charter, rosters, acks, frontier: input.id()?, state: input.id()? })
    }
}

impl KeyGrantBody {
    fn encode(&self, out: &mut Writer) {
        out.u32(self.compartment).id(&self.kid);
        out.list(self.wraps.iter(), |out, wrap| {
            out.raw(wrap);
        });
        out.list(self.prev.iter(), |out, key| {
            out.id(&key.kid).raw(&key.nonce).raw(&key.ciphertext);
        });
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let compartment = input.u32()?;
        if compartment == 0 {
            return Err(DecodeError::Range("compartment 0 has no keys"));
        }
        let kid = input.id()?;
        let wraps = input.list("key wraps", GRANT_WRAPS_MAX, 80, Reader::array::<80>)?;
        ascending("key wraps", &wraps, |wrap| *wrap)?;
        let prev = input.list("earlier keys", GRANT_PREV_MAX, 104, |input| {
            Ok(SealedKey { kid: input.id()?, nonce: input.array()?, ciphertext: input.array()? })
        })?;
        ascending("earlier keys", &prev, |key| key.kid)?;
        Ok(Self { compartment, kid, wraps, prev })
    }
}

/// Reads a tip: seq 0 iff the id is zero.
///
/// # Errors
/// [`DecodeError::Range`] where one of the two says "nothing" and the other does not.
pub fn decode_tip(input: &mut Reader<'_>) -> Result<Tip, DecodeError> {
    let tip = Tip { seq: input.u64()?, id: input.id::<crate::ids::Envelope>()? };
    if (tip.seq == 0) == tip.id.is_zero() { Ok(tip) } else { Err(DecodeError::Range("tip")) }
}

/// Appends a tip.
pub fn encode_tip(out: &mut Writer, tip: &Tip) {
    out.u64(tip.seq).id::<crate::ids::Envelope>(&tip.id);
}
