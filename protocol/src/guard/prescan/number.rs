//! A cursor over bytes with LEB128 numbers in their shortest form only.

use crate::guard::VoidReason;

/// The bytes not yet read.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.0.len()).expect("a length fits 64 bits")
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], VoidReason> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(VoidReason::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads an unsigned number of at most `max`; anything larger is void for `reason`.
    pub(super) fn count(&mut self, max: usize, reason: VoidReason) -> Result<usize, VoidReason> {
        usize::try_from(self.uleb()?).ok().filter(|count| *count <= max).ok_or(reason)
    }

    /// Reads an unsigned number.
    pub(super) fn uleb(&mut self) -> Result<u64, VoidReason> {
        let group = self.group()?;
        let mut value = 0_u64;
        for (byte, shift) in group.iter().zip((0_u32..).step_by(7)) {
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(VoidReason::BadNumber);
            }
            value |= bits << shift;
        }
        if let [.., _, 0] = group {
            return Err(VoidReason::BadNumber);
        }
        Ok(value)
    }

    /// Reads a signed number.
    pub(super) fn sleb(&mut self) -> Result<i64, VoidReason> {
        let group = self.group()?;
        let mut value = 0_i64;
        let mut width = 0_u32;
        for byte in group {
            let bits = byte & 0x7f;
            if width == 63 && bits != 0 && bits != 0x7f {
                return Err(VoidReason::BadNumber);
            }
            value |= i64::from(bits) << width;
            width += 7;
        }
        let last = group.last().expect("a group has at least one byte") & 0x7f;
        if width < 64 && last & 0x40 != 0 {
            value |= -1 << width;
        }
        if let [.., before, _] = group {
            let sign_already_there = before & 0x40 != 0;
            if (last == 0 && !sign_already_there) || (last == 0x7f && sign_already_there) {
                return Err(VoidReason::BadNumber);
            }
        }
        Ok(value)
    }

    /// Takes one number's bytes, at most ten.
    fn group(&mut self) -> Result<&'a [u8], VoidReason> {
        let length = self.0.iter().take(10).position(|byte| byte & 0x80 == 0).ok_or(VoidReason::BadNumber)?;
        self.take(length + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uleb(bytes: &[u8]) -> Result<u64, VoidReason> {
        Bytes::new(bytes).uleb()
    }

    fn sleb(bytes: &[u8]) -> Result<i64, VoidReason> {
        Bytes::new(bytes).sleb()
    }

    #[test]
    fn unsigned_numbers_have_one_form() {
        assert_eq!(uleb(&[0]), Ok(0));
        assert_eq!(uleb(&[0x7f]), Ok(127));
        assert_eq!(uleb(&[0x80, 1]), Ok(128));
        assert_eq!(uleb(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
        for bad in [
            &[][..],
            &[0x80],
            &[0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        ] {
            assert_eq!(uleb(bad), Err(VoidReason::BadNumber), "{bad:?}");
        }
    }

    #[test]
    fn signed_numbers_have_one_form() {
        assert_eq!(sleb(&[0]), Ok(0));
        assert_eq!(sleb(&[0x7f]), Ok(-1));
        assert_eq!(sleb(&[0x3f]), Ok(63));
        assert_eq!(sleb(&[0xc0, 0]), Ok(64));
        assert_eq!(sleb(&[0x40]), Ok(-64));
        assert_eq!(sleb(&[0xbf, 0x7f]), Ok(-65));
        assert_eq!(sleb(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]), Ok(i64::MIN));
        assert_eq!(sleb(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]), Ok(i64::MAX));
        for bad in
            [&[][..], &[0x80], &[0x80, 0], &[0xff, 0x7f], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]]
        {
            assert_eq!(sleb(bad), Err(VoidReason::BadNumber), "{bad:?}");
        }
    }
}
