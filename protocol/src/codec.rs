//! The canonical encoding (spec 4.2): big-endian, length-prefixed, one byte string for each value.
//!
//! Decoding is total: it never panics and never allocates more than a small multiple of its input.

use crate::ids::Id;

/// Why bytes are not the canonical encoding of anything we know (R01).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended inside a value.
    #[error("input ends after {have} of {need} bytes")]
    Truncated {
        /// Bytes that were wanted.
        need: usize,
        /// Bytes that were left.
        have: usize,
    },
    /// Bytes stand behind the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// An enum tag we do not know.
    #[error("unknown tag {tag} for {what}")]
    Tag {
        /// The enum.
        what: &'static str,
        /// The tag read.
        tag: u64,
    },
    /// A count or length over its bound.
    #[error("{what} is {value}, at most {max} allowed")]
    TooLarge {
        /// The field.
        what: &'static str,
        /// The value read.
        value: u64,
        /// The bound.
        max: u64,
    },
    /// A list that stands for a set or map is not strictly ascending.
    #[error("{0} is not strictly ascending")]
    Unsorted(&'static str),
    /// A string is not UTF-8 or holds a code point the rules refuse.
    #[error("{0} is not a permitted string")]
    Text(&'static str),
    /// A fixed field is out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// A compressed frame does not decompress to what it announces.
    #[error("compressed frame is damaged")]
    Compression,
}

/// Builds a canonical encoding.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts an empty encoding.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Appends two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends an identifier's 32 bytes.
    pub fn id<K>(&mut self, id: &Id<K>) -> &mut Self {
        self.0.extend_from_slice(id.as_bytes());
        self
    }

    /// Appends bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a u32 length and the bytes.
    ///
    /// The caller keeps `bytes` below 4 GiB; every field of the protocol has a far smaller bound.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u32::try_from(bytes.len()).expect("every byte field is bounded far below 4 GiB");
        self.u32(length).raw(bytes)
    }

    /// Appends a u16 length and UTF-8.
    ///
    /// The caller keeps `text` below 64 KiB; every string of the protocol has a smaller bound.
    pub fn str(&mut self, text: &str) -> &mut Self {
        let length = u16::try_from(text.len()).expect("every string is bounded below 64 KiB");
        self.u16(length).raw(text.as_bytes())
    }

    /// Appends a u16 count and each item.
    ///
    /// The caller keeps lists below 65,536 items; every list of the protocol has a smaller bound.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        let count = u16::try_from(items.len()).expect("every list is bounded below 65,536 items");
        self.u16(count);
        for item in items {
            each(self, item);
        }
        self
    }

    /// Appends 0x00, or 0x01 and the value.
    pub fn opt<T>(&mut self, value: Option<T>, each: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => {
                self.u8(0);
            }
            Some(value) => {
                self.u8(1);
                each(self, value);
            }
        }
        self
    }
}

/// Reads a canonical encoding from the front.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts reading at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes not yet read.
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] if bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }

    /// Takes `count` bytes as they are.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left; the reader is then unchanged.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) =
            self.0.split_at_checked(count).ok_or(DecodeError::Truncated { need: count, have: self.0.len() })?;
        self.0 = tail;
        Ok(head)
    }

    /// Takes exactly `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returned exactly N bytes"))
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Takes a big-endian u16.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a big-endian u32.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a big-endian u64.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes a byte that must be 0 or 1.
    ///
    /// # Errors
    /// [`DecodeError::Tag`] for any other byte.
    pub fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::Tag { what, tag: tag.into() }),
        }
    }

    /// Takes an identifier.
    ///
    /// # Errors
    /// As [`Reader::take`].
    pub fn id<K>(&mut self) -> Result<Id<K>, DecodeError> {
        self.array().map(Id::new)
    }

    /// Takes a u32 length, at most `max`, and that many bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] or [`DecodeError::Truncated`].
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let length = bounded(what, u64::from(self.u32()?), max)?;
        self.take(length)
    }

    /// Takes a u16 length, at most `max`, and that much UTF-8.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`], [`DecodeError::Truncated`] or [`DecodeError::Text`].
    pub fn str(&mut self, what: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        let length = bounded(what, u64::from(self.u16()?), max)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Text(what))
    }

    /// Takes a string under the rule of control records: 1 to 64 bytes, no invisible or directional code point (4.2).
    ///
    /// # Errors
    /// As [`Reader::str`], and [`DecodeError::Text`] for a refused code point or an empty string.
    pub fn control_str(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let text = self.str(what, crate::limits::CONTROL_STRING_BYTES_MAX)?;
        if control_text_permitted(text) { Ok(text) } else { Err(DecodeError::Text(what)) }
    }

    /// Takes a u16 count, at most `max`, then each item; an item takes at least `item_bytes_min` bytes, so a count that
    /// cannot fit what is left is refused before anything is allocated.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`], [`DecodeError::Truncated`], or what `each` returns.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        max: usize,
        item_bytes_min: usize,
        mut each: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = bounded(what, u64::from(self.u16()?), max)?;
        let need = count.saturating_mul(item_bytes_min.max(1));
        if need > self.left() {
            return Err(DecodeError::Truncated { need, have: self.left() });
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(each(self)?);
        }
        Ok(items)
    }

    /// Takes 0x00, or 0x01 and a value.
    ///
    /// # Errors
    /// [`DecodeError::Tag`], or what `each` returns.
    pub fn opt<T>(
        &mut self,
        what: &'static str,
        each: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.flag(what)? { each(self).map(Some) } else { Ok(None) }
    }
}

/// Whether `text` may stand in a control record: 1 to 64 bytes and no code point of the fixed ranges of spec 4.2.
pub fn control_text_permitted(text: &str) -> bool {
    let refused = |c: char| {
        matches!(u32::from(c),
            0x0000..=0x001f | 0x007f..=0x009f | 0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2064
            | 0x2066..=0x206f | 0xfeff | 0xfff9..=0xfffb)
    };
    (1..=crate::limits::CONTROL_STRING_BYTES_MAX).contains(&text.len()) && !text.chars().any(refused)
}

/// Checks that the keys of consecutive items are strictly ascending.
///
/// # Errors
/// [`DecodeError::Unsorted`] naming `what`.
pub fn ascending<T, K: Ord>(what: &'static str, items: &[T], key: impl Fn(&T) -> K) -> Result<(), DecodeError> {
    if items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) { Ok(()) } else { Err(DecodeError::Unsorted(what)) }
}

fn bounded(what: &'static str, value: u64, max: usize) -> Result<usize, DecodeError> {
    match usize::try_from(value) {
        Ok(small) if small <= max => Ok(small),
        _ => Err(DecodeError::TooLarge { what, value, max: u64::try_from(max).unwrap_or(u64::MAX) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_larger_than_the_input_is_refused_before_allocation() {
        let mut reader = Reader::new(&[0xff, 0xff, 1, 2]);
        assert_eq!(
            reader.list("ids", 65_535, 32, Reader::array::<32>),
            Err(DecodeError::Truncated { need: 65_535 * 32, have: 2 })
        );
    }

    #[test]
    fn control_strings_refuse_invisible_and_directional_code_points() {
        for bad in ["", "a\u{0}", "\u{202e}abc", "zero\u{200b}width", "\u{feff}", "a\u{61c}", &"x".repeat(65)] {
            assert!(!control_text_permitted(bad), "{bad:?}");
        }
        for good in ["Україна", "Côte d’Ivoire", "日本", &"x".repeat(64)] {
            assert!(control_text_permitted(good), "{good:?}");
        }
    }

    #[test]
    fn options_and_flags_know_only_two_tags() {
        assert_eq!(Reader::new(&[2]).opt("x", Reader::u8), Err(DecodeError::Tag { what: "x", tag: 2 }));
        assert_eq!(Reader::new(&[1, 7]).opt("x", Reader::u8), Ok(Some(7)));
    }
}
