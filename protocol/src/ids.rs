//! Names of things: 32-byte identifiers by what they name, moments, and positions in a chain.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 32-byte identifier of a `K`; two kinds of identifier never mix.
pub struct Id<K>([u8; 32], PhantomData<fn() -> K>);

/// What an [`AllianceId`] names.
pub enum Alliance {}
/// What a [`NationId`] names.
pub enum Nation {}
/// What an [`AuthorKey`] names.
pub enum Author {}
/// What a [`RootKey`] names.
pub enum Root {}
/// What an [`EnvelopeId`] names.
pub enum Envelope {}
/// What a [`ControlId`] names.
pub enum Control {}
/// What a [`CharterId`] names.
pub enum Charter {}
/// What a [`ChangeHash`] names.
pub enum Change {}
/// What a [`Digest`] names.
pub enum Summary {}

/// The alliance: the id of its genesis (spec 4.3.1).
pub type AllianceId = Id<Alliance>;
/// A nation for as long as it belongs: hash of the alliance and its first root key (spec 4.3.1).
pub type NationId = Id<Nation>;
/// A node's ed25519 public key: it signs that node's envelopes and is its network identity.
pub type AuthorKey = Id<Author>;
/// A nation's offline ed25519 public key: it signs rosters and votes.
pub type RootKey = Id<Root>;
/// The id of an envelope: a hash of its header, never of its signature (spec 4.1, D10).
pub type EnvelopeId = Id<Envelope>;
/// The id of a control record (genesis, motion, vote, roster).
pub type ControlId = Id<Control>;
/// The id of one version of the charter (spec 4.5.1).
pub type CharterId = Id<Charter>;
/// The hash of an Automerge change.
pub type ChangeHash = Id<Change>;
/// A digest over a set (spec 4.5.6).
pub type Digest = Id<Summary>;

impl<K> Id<K> {
    /// The identifier of nothing: 32 zero bytes.
    pub const ZERO: Self = Self([0; 32], PhantomData);

    /// Wraps raw bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes, PhantomData)
    }

    /// Returns the raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is [`Id::ZERO`].
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 32]
    }

    /// Returns all 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Returns the first ten hexadecimal digits, for logs and tables.
    pub fn short(&self) -> String {
        hex(&self.0[..5])
    }

    /// Reads 64 hexadecimal digits; `None` if the text is anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = unhex(text)?;
        Some(Self::new(bytes.try_into().ok()?))
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// A moment: milliseconds since 1970-01-01 UTC, at most [`crate::limits::TIME_MS_MAX`] in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds in a day.
    pub const DAY_MS: u64 = 86_400_000;

    /// Returns this moment moved later by `ms` milliseconds, saturating.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to this moment, 0 if it is not later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A position in a chain: the envelope with this `seq` and `id`; seq 0 and a zero id mean "nothing" (spec 4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tip {
    /// Sequence number, 1 for the first envelope.
    pub seq: u64,
    /// The envelope (or, in a charter change, roster) at that position.
    pub id: EnvelopeId,
}

impl Tip {
    /// "Nothing".
    pub const NONE: Self = Self { seq: 0, id: EnvelopeId::ZERO };
}

/// An author as the record knows it: one key speaking for one nation (spec F8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AuthorId {
    /// The nation the key speaks for.
    pub nation: NationId,
    /// The node's key.
    pub key: AuthorKey,
}

/// Returns lower-case hexadecimal digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads hexadecimal digits of either case, two a byte; `None` for an odd count or any other character.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_refuses_other_text() {
        let id = NationId::new(std::array::from_fn(|i| u8::try_from(i).expect("below 32")));
        assert_eq!(NationId::from_hex(&id.hex()), Some(id));
        assert_eq!(NationId::from_hex(&id.hex()[1..]), None);
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("aB"), Some(vec![0xab]));
    }
}
