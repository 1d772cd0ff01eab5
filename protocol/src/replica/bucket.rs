//! A token bucket: how many requests a link may make.

use crate::ids::Timestamp;

/// So many tokens, refilled at a steady rate; counted in thousandths, so that milliseconds lose nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    level: u64,
    at: Timestamp,
    per_second: u64,
    burst: u64,
}

impl Bucket {
    /// Starts full.
    pub(super) const fn new(now: Timestamp, per_second: u64, burst: u64) -> Self {
        Self { level: burst * 1_000, at: now, per_second, burst }
    }

    /// Takes one token if there is one.
    ///
    /// # Errors
    /// The moment at which there is one again; nothing is taken.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let gained = now.since(self.at).saturating_mul(self.per_second);
        self.level = self.level.saturating_add(gained).min(self.burst * 1_000);
        self.at = self.at.max(now);
        if self.level >= 1_000 {
            self.level -= 1_000;
            return Ok(());
        }
        Err(self.at.plus_ms((1_000 - self.level).div_ceil(self.per_second.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_steady_rate() {
        let mut bucket = Bucket::new(Timestamp(0), 20, 100);
        let taken = (0..200).filter(|_| bucket.take(Timestamp(0)).is_ok()).count();
        assert_eq!(taken, 100);
        assert_eq!(bucket.take(Timestamp(0)), Err(Timestamp(50)));
        assert_eq!(bucket.take(Timestamp(50)), Ok(()));
        assert_eq!(bucket.take(Timestamp(60)), Err(Timestamp(100)));
        assert_eq!(bucket.take(Timestamp(10)), Err(Timestamp(100)), "a clock set back gives nothing");
    }
}
