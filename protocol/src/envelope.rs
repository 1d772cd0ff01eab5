//! Envelopes: the fixed header that a node signs, and the line between bytes of strangers and attested headers.

use crate::codec::{DecodeError, Reader, Writer};
use crate::ids::{AllianceId, AuthorId, AuthorKey, Digest, EnvelopeId, NationId, Tip};
use crate::keys::{BadSignature, RecordKind, SecretKey, Signature, record_id, tagged_hash, verify};
use crate::limits::{BODY_BYTES_MAX, ENVELOPE_OVERHEAD_BYTES, HEADER_BYTES, TIME_MS_MAX};

/// The wire version of this header layout; frozen for ever (spec 4.17).
pub const WIRE: u8 = 1;

/// What a node signs about one envelope (spec 4.3.4); 183 bytes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The alliance.
    pub alliance: AllianceId,
    /// The nation the author speaks for.
    pub nation: NationId,
    /// The author's key.
    pub author: AuthorKey,
    /// Position in the author's chain, from 1.
    pub seq: u64,
    /// Id of the author's envelope `seq − 1`; zero iff `seq` is 1.
    pub prev: EnvelopeId,
    /// Claimed time in milliseconds; only ever compared with the same chain's (D8).
    pub time_ms: u64,
    /// The body's kind (spec 4.3.5).
    pub kind: u16,
    /// The body's length in bytes.
    pub body_len: u32,
    /// `hash("body", body)`.
    pub body_hash: Digest,
}

/// Why bytes are not a header of this protocol version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderDecodeError {
    /// Another wire version (R02).
    #[error("wire version {0} is not known")]
    Wire(u8),
    /// Not the fixed layout (R01).
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A field breaks its range (R06).
    #[error("{0} is out of range")]
    Field(&'static str),
}

impl Header {
    /// Returns the 183 bytes that are signed and hashed.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Writer::new();
        out.u8(WIRE)
            .id(&self.alliance)
            .id(&self.nation)
            .id(&self.author)
            .u64(self.seq)
            .id(&self.prev)
            .u64(self.time_ms)
            .u16(self.kind)
            .u32(self.body_len)
            .id(&self.body_hash);
        out.into_bytes().try_into().expect("the layout is 183 bytes")
    }

    /// Reads the fixed layout and checks field ranges (R01, R02, R06); the signature is not looked at.
    ///
    /// # Errors
    /// [`HeaderDecodeError`] naming the first field that fails.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderDecodeError> {
        let mut input = Reader::new(bytes);
        let wire = input.u8()?;
        if wire != WIRE {
            return Err(HeaderDecodeError::Wire(wire));
        }
        let header = Self {
            alliance: input.id()?,
            nation: input.id()?,
            author: input.id()?,
            seq: input.u64()?,
            prev: input.id()?,
            time_ms: input.u64()?,
            kind: input.u16()?,
            body_len: input.u32()?,
            body_hash: input.id()?,
        };
        input.finish()?;
        header.check_fields()?;
        Ok(header)
    }

    /// Checks the field ranges of R06, which hold for every header however it arrived.
    ///
    /// # Errors
    /// [`HeaderDecodeError::Field`].
    pub fn check_fields(&self) -> Result<(), HeaderDecodeError> {
        // SQLite and most tools count in signed 64 bits, so the upper half of the range is never used.
        if self.seq == 0 || i64::try_from(self.seq).is_err() {
            return Err(HeaderDecodeError::Field("seq"));
        }
        if (self.seq == 1) != self.prev.is_zero() {
            return Err(HeaderDecodeError::Field("prev"));
        }
        if self.time_ms > TIME_MS_MAX {
            return Err(HeaderDecodeError::Field("time"));
        }
        if self.body_len as usize > BODY_BYTES_MAX {
            return Err(HeaderDecodeError::Field("body length"));
        }
        Ok(())
    }

    /// Returns the envelope's id.
    pub fn id(&self) -> EnvelopeId {
        record_id(RecordKind::Envelope, &self.encode())
    }

    /// Returns who speaks: the pair of nation and key.
    pub const fn author_id(&self) -> AuthorId {
        AuthorId { nation: self.nation, key: self.author }
    }

    /// Returns what this envelope costs the chain's quota.
    pub fn quota_bytes(&self) -> u64 {
        ENVELOPE_OVERHEAD_BYTES + u64::from(self.body_len)
    }

    /// Whether `body` is the one this header names (R07).
    pub fn body_matches(&self, body: &[u8]) -> bool {
        usize::try_from(self.body_len) == Ok(body.len()) && body_hash(body) == self.body_hash
    }
}

/// Returns the hash by which a header names its body.
pub fn body_hash(body: &[u8]) -> Digest {
    tagged_hash("body", body)
}

/// A header with a signature that nobody checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeader {
    /// The header.
    pub header: Header,
    /// The signature over its 183 bytes.
    pub signature: Signature,
}

impl SignedHeader {
    /// Signs `header` with the node's key.
    pub fn sign(header: Header, key: &SecretKey) -> Self {
        let signature = key.sign(RecordKind::Envelope, &header.encode());
        Self { header, signature }
    }

    /// Checks the signature under the header's own author key (R05).
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(self) -> Result<AttestedHeader, BadSignature> {
        verify(RecordKind::Envelope, &self.header.author, &self.header.encode(), &self.signature)?;
        let id = self.header.id();
        Ok(AttestedHeader { header: self.header, id, signature: Some(self.signature) })
    }
}

/// A header that a strict-valid signature covers: its own, or that of a descendant in the same run (spec 4.13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedHeader {
    header: Header,
    id: EnvelopeId,
    signature: Option<Signature>,
}

impl AttestedHeader {
    /// Takes a header whose attestation the caller established: a run with a checked later signature, a held descendant
    /// that names it, or a row of our own store, which only ever holds attested headers.
    pub(crate) fn trusted(header: Header, signature: Option<Signature>) -> Self {
        let id = header.id();
        Self { header, id, signature }
    }

    /// Takes a row of our own durable store, whose id the store has checked against the bytes.
    ///
    /// # Errors
    /// [`HeaderDecodeError`] if the row is damaged.
    pub fn from_store(bytes: &[u8], signature: Option<Signature>) -> Result<Self, HeaderDecodeError> {
        Ok(Self::trusted(Header::decode(bytes)?, signature))
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Its id.
    pub const fn id(&self) -> EnvelopeId {
        self.id
    }

    /// Its own signature, where one is held; checked.
    pub const fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// Its position.
    pub const fn tip(&self) -> Tip {
        Tip { seq: self.header.seq, id: self.id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            alliance: AllianceId::new([1; 32]),
            nation: NationId::new([2; 32]),
            author: SecretKey::from_seed(&[3; 32]).public(),
            seq: 2,
            prev: EnvelopeId::new([4; 32]),
            time_ms: 5,
            kind: 1,
            body_len: 3,
            body_hash: body_hash(b"abc"),
        }
    }

    #[test]
    fn every_flipped_bit_of_a_signed_header_is_refused() {
        let key = SecretKey::from_seed(&[3; 32]);
        let signed = SignedHeader::sign(header(), &key);
        assert!(signed.clone().verify().is_ok());
        let bytes = signed.header.encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let accepted = Header::decode(&flipped)
                .is_ok_and(|header| SignedHeader { header, signature: signed.signature }.verify().is_ok());
            assert!(!accepted, "bit {bit}");
        }
        for bit in 0..SIGNATURE_BITS {
            let mut signature = signed.signature;
            signature.0[bit / 8] ^= 1 << (bit % 8);
            assert!(SignedHeader { header: header(), signature }.verify().is_err(), "signature bit {bit}");
        }
    }

    const SIGNATURE_BITS: usize = crate::limits::SIGNATURE_BYTES * 8;

    #[test]
    fn field_ranges_are_checked() {
        type Spoil = fn(&mut Header);
        let cases: [(&str, Spoil); 6] = [
            ("seq", |h| h.seq = 0),
            ("seq", |h| h.seq = u64::MAX),
            ("prev", |h| h.prev = EnvelopeId::ZERO),
            ("prev", |h| h.seq = 1),
            ("time", |h| h.time_ms = TIME_MS_MAX + 1),
            ("body length", |h| h.body_len = 65_537),
        ];
        for (field, spoil) in cases {
            let mut header = header();
            spoil(&mut header);
            assert_eq!(Header::decode(&header.encode()), Err(HeaderDecodeError::Field(field)));
        }
    }

    #[test]
    fn another_wire_version_is_told_apart_from_damage() {
        let mut bytes = header().encode();
        bytes[0] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderDecodeError::Wire(2)));
        assert!(matches!(
            Header::decode(&header().encode()[1..]),
            Err(HeaderDecodeError::Wire(_) | HeaderDecodeError::Decode(_))
        ));
    }
}
