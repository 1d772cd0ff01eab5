//! A node's clock in a simulated world: wrong by a skew that may jump, and read the way the daemon reads its own.

use comity_protocol::ids::Timestamp;
use comity_protocol::limits::TIME_MS_MAX;

/// A step of the system's clock smaller than this is left to elapsed time.
const STEP_MS: u64 = 1_000;

/// Moments for a replica: elapsed time, corrected towards a wall clock that is wrong by `skew_ms`.
///
/// As in the daemon, a wall clock that was set back makes it run at half speed until both agree, one set forward makes it
/// jump; so it never goes back.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    skew_ms: i64,
    last: u64,
    read_at: u64,
    odd_ms: u64,
}

impl Clock {
    /// A clock that is read for the first time at `world_ms`.
    pub(super) const fn new(world_ms: u64, skew_ms: i64) -> Self {
        let last = world_ms.saturating_add_signed(skew_ms);
        Self { skew_ms, last, read_at: world_ms, odd_ms: 0 }
    }

    /// Sets the wall clock.
    pub(super) const fn set_skew(&mut self, skew_ms: i64) {
        self.skew_ms = skew_ms;
    }

    /// Forgets what it showed, as a process does that starts anew and has only the wall clock.
    pub(super) const fn restart(&mut self, world_ms: u64) {
        *self = Self::new(world_ms, self.skew_ms);
    }

    /// Returns the present moment as the node sees it.
    pub(super) fn now(&mut self, world_ms: u64) -> Timestamp {
        let wall = world_ms.saturating_add_signed(self.skew_ms).min(TIME_MS_MAX);
        let elapsed = world_ms.saturating_sub(self.read_at);
        self.read_at = world_ms;
        if self.last > wall.saturating_add(STEP_MS) {
            self.odd_ms += elapsed;
            self.last += self.odd_ms / 2;
            self.odd_ms %= 2;
        } else {
            self.last = self.last.saturating_add(elapsed);
        }
        if wall > self.last.saturating_add(STEP_MS) {
            self.last = wall;
        }
        Timestamp(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_slows_and_one_set_forward_jumps() {
        let mut clock = Clock::new(1_000_000, 0);
        assert_eq!(clock.now(1_001_000), Timestamp(1_001_000));
        clock.set_skew(-100_000);
        assert_eq!(clock.now(1_003_000), Timestamp(1_002_000));
        clock.set_skew(50_000);
        assert_eq!(clock.now(1_003_000), Timestamp(1_053_000));
        clock.set_skew(0);
        clock.restart(1_004_000);
        assert_eq!(clock.now(1_004_000), Timestamp(1_004_000));
    }
}
