//! The node's clock: never goes back, and finds back to the system's clock when that was set.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use comity_protocol::ids::Timestamp;
use comity_protocol::limits::TIME_MS_MAX;

/// A step of the system's clock smaller than this is left to elapsed time.
const STEP_MS: u64 = 1_000;

/// Moments for the replica: elapsed time, corrected towards the system's clock.
///
/// Deadlines need time that passes; claimed times need the calendar. When the system's clock is ahead, as after a
/// suspend, this one jumps; when it was set back, this one runs at half speed until both agree, so that heartbeats go on.
#[derive(Debug)]
pub(super) struct Clock {
    last: Timestamp,
    read: Instant,
    /// Elapsed time not yet worth a millisecond.
    rest: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { last: system(), read: Instant::now(), rest: Duration::ZERO }
    }

    /// Returns the present moment.
    pub(super) fn now(&mut self) -> Timestamp {
        let read = Instant::now();
        let elapsed = read.duration_since(self.read);
        self.read = read;
        self.advance(elapsed, system())
    }

    fn advance(&mut self, elapsed: Duration, system: Timestamp) -> Timestamp {
        let behind = self.last.since(system) > STEP_MS;
        self.rest += if behind { elapsed / 2 } else { elapsed };
        let whole = u64::try_from(self.rest.as_millis()).unwrap_or(u64::MAX);
        self.rest -= Duration::from_millis(whole);
        self.last = self.last.plus_ms(whole);
        if system.since(self.last) > STEP_MS {
            self.last = system;
        }
        self.last
    }
}

pub(super) fn system() -> Timestamp {
    // A clock before 1970 or after 9999 is broken; the moments of the protocol end there.
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp(u64::try_from(ms).unwrap_or(u64::MAX).min(TIME_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_slows_and_one_set_forward_jumps() {
        let mut clock = Clock { last: Timestamp(1_000_000), read: Instant::now(), rest: Duration::ZERO };
        let second = Duration::from_secs(1);
        assert_eq!(clock.advance(second, Timestamp(1_001_000)), Timestamp(1_001_000));
        assert_eq!(clock.advance(second, Timestamp(1_001_500)), Timestamp(1_002_000), "small differences are ignored");
        assert_eq!(clock.advance(second, Timestamp(900_000)), Timestamp(1_002_500));
        assert_eq!(clock.advance(second, Timestamp(901_000)), Timestamp(1_003_000));
        assert_eq!(clock.advance(second, Timestamp(5_000_000)), Timestamp(5_000_000));
        assert_eq!(clock.advance(Duration::from_micros(600), Timestamp(5_000_000)), Timestamp(5_000_000));
        assert_eq!(clock.advance(Duration::from_micros(600), Timestamp(5_000_001)), Timestamp(5_000_001));
    }
}
