//! Token buckets that say how long to stop reading, instead of dropping anything.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A bucket of `burst` tokens, refilled at `rate` a second.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    burst: u64,
    /// Tokens left, in billionths; negative while in debt.
    level: i128,
    at: Instant,
}

const BILLION: i128 = 1_000_000_000;

impl Bucket {
    fn new(rate: u64, burst: u64, now: Instant) -> Self {
        Self { rate: rate.max(1), burst, level: i128::from(burst) * BILLION, at: now }
    }

    /// Takes `tokens` and returns how long to wait until the bucket is out of debt.
    fn take(&mut self, tokens: u64, now: Instant) -> Duration {
        let elapsed = i128::try_from(now.saturating_duration_since(self.at).as_nanos()).unwrap_or(i128::MAX / 2);
        self.at = now;
        let refill = elapsed.saturating_mul(i128::from(self.rate));
        self.level = self.level.saturating_add(refill).min(i128::from(self.burst) * BILLION);
        self.level -= i128::from(tokens) * BILLION;
        let debt = u128::try_from(-self.level).unwrap_or(0);
        let nanos = debt.div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A bucket shared by the tasks of one link.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Bucket>);

impl Throttle {
    /// A full bucket.
    pub(super) fn new(rate: u64, burst: u64) -> Self {
        Self(Mutex::new(Bucket::new(rate, burst, Instant::now())))
    }

    /// Takes `tokens` and waits until the bucket is out of debt; returns whether it had to wait.
    pub(super) async fn take(&self, tokens: u64) -> Throttled {
        let wait = self.0.lock().unwrap_or_else(PoisonError::into_inner).take(tokens, Instant::now());
        if wait.is_zero() {
            return Throttled::No;
        }
        tokio::time::sleep(wait).await;
        Throttled::Yes
    }
}

/// Whether a reader was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttled {
    /// It went on at once.
    No,
    /// It paused.
    Yes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_waits_for_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 100, start);
        assert_eq!(bucket.take(100, start), Duration::ZERO);
        assert_eq!(bucket.take(5, start), Duration::from_millis(500));
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.take(5, later), Duration::ZERO);
        assert_eq!(bucket.take(100, later + Duration::from_secs(3600)), Duration::ZERO);
    }
}
