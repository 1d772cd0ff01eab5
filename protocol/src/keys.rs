//! Hashes and signatures under domain separation (spec 4.1).

use std::fmt;

use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::ids::{Id, hex};
use crate::limits::SIGNATURE_BYTES;

/// What a signature or an id is over; the tag keeps one kind of record from passing as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// The founding record.
    Genesis,
    /// A proposed change of the charter; never signed itself.
    Motion,
    /// A nation's support for, or seal on, a motion.
    Vote,
    /// A nation's list of node keys.
    Roster,
    /// An envelope's header.
    Envelope,
    /// An audit bundle's manifest.
    Bundle,
}

impl RecordKind {
    /// Returns the tag as it stands under signatures and in ids.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Motion => "motion",
            Self::Vote => "vote",
            Self::Roster => "roster",
            Self::Envelope => "envelope",
            Self::Bundle => "bundle",
        }
    }
}

/// An ed25519 signature, not yet checked against anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature(pub [u8; SIGNATURE_BYTES]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex(&self.0[..5]))
    }
}

/// A signature that is not strictly valid under its key (R05).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature is not strictly valid under the named key")]
pub struct BadSignature;

/// A secret ed25519 seed: a node's or a nation root's; wiped when dropped, never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes the key of a 32-byte seed, which the caller drew from the operating system.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Returns the seed, to be written to a key file.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Returns the public key, as the kind of identifier the caller uses it for.
    pub fn public<K>(&self) -> Id<K> {
        Id::new(self.0.verifying_key().to_bytes())
    }

    /// Signs `bytes` as a record of `kind`; deterministic.
    pub fn sign(&self, kind: RecordKind, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(&sign_input(kind, bytes)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Checks a signature over `bytes` as a record of `kind`: canonical S, no small-order A or R, one at a time (D10).
///
/// # Errors
/// [`BadSignature`], also where the key itself is small-order or not canonically encoded.
pub fn verify<K>(kind: RecordKind, key: &Id<K>, bytes: &[u8], signature: &Signature) -> Result<(), BadSignature> {
    let verifying = verifying_key(key).ok_or(BadSignature)?;
    verifying
        .verify_strict(&sign_input(kind, bytes), &DalekSignature::from_bytes(&signature.0))
        .map_err(|_| BadSignature)
}

/// Whether `key` may stand in any record: a canonical encoding of a point that is not of small order (T7).
pub fn key_permitted<K>(key: &Id<K>) -> bool {
    verifying_key(key).is_some()
}

fn verifying_key<K>(key: &Id<K>) -> Option<VerifyingKey> {
    let verifying = VerifyingKey::from_bytes(key.as_bytes()).ok()?;
    // Decompression reduces the coordinate, so compressing again shows whether the encoding was the canonical one.
    let canonical = verifying.to_edwards().compress().to_bytes() == *key.as_bytes();
    (canonical && !verifying.is_weak()).then_some(verifying)
}

/// Returns what a signature of `kind` is over.
pub fn sign_input(kind: RecordKind, bytes: &[u8]) -> Vec<u8> {
    [b"comity/1/sign/", kind.tag().as_bytes(), &[0], bytes].concat()
}

/// Returns the id of a record: a hash that never covers a signature.
pub fn record_id<K>(kind: RecordKind, bytes: &[u8]) -> Id<K> {
    let mut sha = Sha256::new();
    sha.update(b"comity/1/id/");
    sha.update(kind.tag().as_bytes());
    sha.update([0]);
    sha.update(bytes);
    Id::new(sha.finalize().into())
}

/// Returns the hash of `bytes` under a tag of spec 4.1.
pub fn tagged_hash<K>(tag: &str, bytes: &[u8]) -> Id<K> {
    let mut sha = Sha256::new();
    sha.update(b"comity/1/");
    sha.update(tag.as_bytes());
    sha.update([0]);
    sha.update(bytes);
    Id::new(sha.finalize().into())
}

/// Returns plain SHA-256, as the change format uses it.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AuthorKey, EnvelopeId};

    #[test]
    fn a_signature_of_one_kind_is_none_of_another() {
        let key = SecretKey::from_seed(&[7; 32]);
        let signature = key.sign(RecordKind::Envelope, b"x");
        assert_eq!(verify::<crate::ids::Author>(RecordKind::Envelope, &key.public(), b"x", &signature), Ok(()));
        assert_eq!(
            verify::<crate::ids::Author>(RecordKind::Roster, &key.public(), b"x", &signature),
            Err(BadSignature)
        );
        assert_eq!(
            verify::<crate::ids::Author>(RecordKind::Envelope, &key.public(), b"y", &signature),
            Err(BadSignature)
        );
    }

    #[test]
    fn a_signature_made_for_another_protocol_is_none_of_a_record() {
        let signing = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let key = AuthorKey::new(signing.verifying_key().to_bytes());
        // What the handshake has the node key sign, with a header or its id in the place of the handshake's own key.
        let record = b"a header of an envelope".as_slice();
        let id: EnvelopeId = record_id(RecordKind::Envelope, record);
        let handshake = [b"noise-libp2p-static-key:".as_slice(), id.as_bytes()].concat();
        for signed in [handshake.as_slice(), record, id.as_bytes(), b"comity/1/sign/envelope"] {
            let signature = Signature(ed25519_dalek::Signer::sign(&signing, signed).to_bytes());
            for kind in [RecordKind::Envelope, RecordKind::Roster, RecordKind::Vote, RecordKind::Genesis] {
                for bytes in [handshake.as_slice(), record, id.as_bytes()] {
                    assert_eq!(verify(kind, &key, bytes, &signature), Err(BadSignature));
                }
            }
        }
        // Nor does what is signed for a record ever begin as a payload of the handshake does.
        assert!(sign_input(RecordKind::Envelope, &handshake).starts_with(b"comity/1/sign/"));
    }

    #[test]
    fn a_signature_with_s_plus_l_is_refused() {
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = SecretKey::from_seed(&[9; 32]);
        let mut signature = key.sign(RecordKind::Vote, b"m");
        let mut carry = 0_u16;
        for (byte, add) in signature.0[32..].iter_mut().zip(L) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = u8::try_from(carry & 0xff).expect("masked to a byte");
            carry >>= 8;
        }
        assert_eq!(verify::<crate::ids::Root>(RecordKind::Vote, &key.public(), b"m", &signature), Err(BadSignature));
    }

    #[test]
    fn small_order_and_non_canonical_keys_are_never_permitted() {
        // The identity, the point of order 2, and the identity with its coordinate written as p + 1.
        let identity: [u8; 32] = std::array::from_fn(|i| u8::from(i == 0));
        let order_two: [u8; 32] = std::array::from_fn(|i| match i {
            0 => 0xec,
            31 => 0x7f,
            _ => 0xff,
        });
        let p_plus_one: [u8; 32] = std::array::from_fn(|i| match i {
            0 => 0xee,
            31 => 0x7f,
            _ => 0xff,
        });
        for bytes in [identity, order_two, p_plus_one, [0; 32]] {
            assert!(!key_permitted(&AuthorKey::new(bytes)), "{}", hex(&bytes));
        }
        assert!(key_permitted(&SecretKey::from_seed(&[1; 32]).public::<crate::ids::Author>()));
    }

    #[test]
    fn ids_and_hashes_are_separated_by_tag() {
        let a: EnvelopeId = record_id(RecordKind::Envelope, b"");
        let b: EnvelopeId = record_id(RecordKind::Roster, b"");
        let c: EnvelopeId = tagged_hash("envelope", b"");
        assert!(a != b && b != c && a != c);
    }
}
