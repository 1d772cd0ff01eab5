//! Whether the store takes records, and when to try again.

use std::time::Duration;

use comity_protocol::effect::Storage;
use tokio::time::Instant;

use crate::store::SaveError;

/// First pause after the store was full; doubles up to [`RETRY_MAX`], since each failed try reads the store again.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// Longest pause.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// Failures in a row that no room and no waiting mends, after which the store counts as broken: a replica built from it
/// again wished again for what it cannot take, as with a file whose pages are mixed up.
const BROKEN_AFTER: u32 = 3;

/// Room in the store.
#[derive(Debug)]
pub(super) struct Room {
    storage: Storage,
    in_a_row: u32,
    pause: Duration,
    retry_at: Option<Instant>,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self { storage: Storage::Room, in_a_row: 0, pause: RETRY_FIRST, retry_at: None }
    }

    pub(super) const fn storage(&self) -> Storage {
        self.storage
    }

    /// A save went through.
    pub(super) fn saved(&mut self) {
        *self = Self::new();
    }

    /// Whether a save that failed says that the store is broken for good.
    pub(super) const fn is_broken_by(&mut self, error: &SaveError) -> bool {
        match error {
            SaveError::Fatal(_) | SaveError::Sentinel(_) | SaveError::Closed => true,
            SaveError::DiskFull(_) | SaveError::Busy => false,
            SaveError::NoHeader { .. } | SaveError::KeyReused { .. } | SaveError::Range { .. } => {
                self.in_a_row += 1;
                self.in_a_row >= BROKEN_AFTER
            }
        }
    }

    /// A save failed; returns what the replica is to know.
    pub(super) fn failed(&mut self, error: &SaveError) -> Storage {
        match error {
            SaveError::DiskFull(_) => {
                self.storage = Storage::Full;
                self.retry_at = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(RETRY_MAX);
            }
            // The next save is the retry.
            SaveError::Busy
            | SaveError::NoHeader { .. }
            | SaveError::KeyReused { .. }
            | SaveError::Range { .. }
            | SaveError::Fatal(_)
            | SaveError::Sentinel(_)
            | SaveError::Closed => {}
        }
        self.storage
    }

    pub(super) const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether it is time to try again; records are then taken until a save fails.
    pub(super) fn retry(&mut self, now: Instant) -> bool {
        let due = self.retry_at.is_some_and(|at| at <= now);
        if due {
            self.retry_at = None;
            self.storage = Storage::Room;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Full;

    #[test]
    fn a_store_that_cannot_take_what_was_built_from_it_is_not_tried_for_ever() {
        let mut room = Room::new();
        let refused = SaveError::Range { what: "seq" };
        assert!(!room.is_broken_by(&refused) && !room.is_broken_by(&refused));
        assert!(!room.is_broken_by(&SaveError::Busy) && !room.is_broken_by(&SaveError::DiskFull(Full::Device)));
        room.saved();
        assert!(!room.is_broken_by(&refused) && !room.is_broken_by(&refused) && room.is_broken_by(&refused));
        assert!(Room::new().is_broken_by(&SaveError::Closed));
    }

    #[test]
    fn a_full_disk_is_tried_again_after_growing_pauses() {
        let mut room = Room::new();
        let full = SaveError::DiskFull(Full::Device);
        assert_eq!(room.failed(&full), Storage::Full);
        let first = room.retry_at().expect("planned");
        assert!(!room.retry(Instant::now()));
        assert!(room.retry(first));
        assert_eq!(room.storage(), Storage::Room);
        room.failed(&full);
        assert!(room.retry_at().expect("planned") > first + RETRY_FIRST);
        for _ in 0..10 {
            room.failed(&full);
        }
        assert!(room.retry_at().expect("planned") <= Instant::now() + RETRY_MAX);
        room.saved();
        assert_eq!((room.storage(), room.retry_at()), (Storage::Room, None));
        assert_eq!(room.failed(&SaveError::Busy), Storage::Room);
    }
}
