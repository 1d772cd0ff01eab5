//! The dialect of changes as data (spec Appendix A): actors, operation ids, and the fields a record version carries.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::{AuthorKey, hex};
use crate::limits::ACTOR_BYTES;

/// An Automerge actor: author key, then generation (D12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor([u8; ACTOR_BYTES]);

impl Actor {
    /// Returns the actor of an author's generation.
    pub fn new(author: &AuthorKey, generation: u32) -> Self {
        let mut bytes = [0; ACTOR_BYTES];
        bytes[..32].copy_from_slice(author.as_bytes());
        bytes[32..].copy_from_slice(&generation.to_be_bytes());
        Self(bytes)
    }

    /// Wraps raw bytes.
    pub const fn from_bytes(bytes: [u8; ACTOR_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the raw bytes.
    pub const fn as_bytes(&self) -> &[u8; ACTOR_BYTES] {
        &self.0
    }

    /// The author it belongs to.
    pub fn author(&self) -> AuthorKey {
        AuthorKey::new(self.0[..32].try_into().expect("an actor starts with 32 key bytes"))
    }

    /// Its generation.
    pub fn generation(&self) -> u32 {
        u32::from_be_bytes(self.0[32..].try_into().expect("an actor ends with 4 generation bytes"))
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", hex(&self.0[..5]), self.generation())
    }
}

/// An operation: its counter, then its actor; this order decides the winner of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId {
    /// Position in causal order.
    pub counter: u64,
    /// Who made it.
    pub actor: Actor,
}

/// A value of the dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// UTF-8 text.
    Text(String),
    /// Raw bytes; references are of this type.
    Bytes(Vec<u8>),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer; quantities are of this type.
    Uint(u64),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Null,
    /// A map; lists are maps keyed by index or id (DOMAIN R1).
    Map(Fields),
}

/// A map of the dialect, by key.
pub type Fields = BTreeMap<String, Value>;

/// One record version as a change wrote it: a make-map operation at a root key with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The record's kind, lower snake case.
    pub kind: String,
    /// The record's id: ten lower-case Crockford characters.
    pub id: String,
    /// The make-map operation.
    pub op: OpId,
    /// The versions this one replaces, ascending.
    pub replaces: Vec<OpId>,
    /// All its fields.
    pub fields: Fields,
}

/// Whether `id` is ten lower-case Crockford base32 characters.
pub fn record_id_permitted(id: &str) -> bool {
    id.len() == 10 && id.bytes().all(|b| CROCKFORD.contains(&b))
}

/// Whether `kind` is lower snake case of 1 to 64 characters, starting with a letter.
pub fn record_kind_permitted(kind: &str) -> bool {
    (1..=64).contains(&kind.len())
        && kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Returns a record id from 50 random bits; the upper 14 bits of `entropy` are ignored.
pub fn record_id_from(entropy: u64) -> String {
    (0..10)
        .map(|i| char::from(CROCKFORD[usize::try_from(entropy >> (5 * i) & 31).expect("masked to 5 bits")]))
        .collect()
}

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_the_crockford_alphabet() {
        assert!(record_id_permitted(&record_id_from(u64::MAX)));
        assert_eq!(record_id_from(0), "0000000000");
        for bad in ["", "000000000", "00000000000", "000000000i", "000000000L", "000000000u"] {
            assert!(!record_id_permitted(bad), "{bad}");
        }
    }

    #[test]
    fn kinds_are_lower_snake_case() {
        for good in ["pledge", "loss_report", "a1"] {
            assert!(record_kind_permitted(good), "{good}");
        }
        for bad in ["", "Pledge", "1a", "_a", "loss-report"] {
            assert!(!record_kind_permitted(bad), "{bad}");
        }
    }
}
