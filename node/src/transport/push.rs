//! The queue of a link's outgoing push stream: bounded in bytes, emptied on overflow, drained many frames at a time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use comity_protocol::limits::PUSH_QUEUE_BYTES_MAX;
use tokio::sync::Notify;

/// Most bytes taken for one write.
const BATCH_BYTES: usize = 256 * 1024;

/// Frames waiting for the push stream of one link.
#[derive(Debug, Default)]
pub(super) struct PushQueue {
    waiting: Mutex<Waiting>,
    filled: Notify,
    overflowed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    overflows: u64,
}

/// What a push did to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    /// The frame waits behind the others.
    Behind,
    /// The others were dropped: the peer is behind and will sync.
    Alone,
}

impl PushQueue {
    /// Appends a frame; where the bound would be passed, drops what waits first.
    pub(super) fn push(&self, frame: Vec<u8>) -> Queued {
        let mut waiting = self.waiting();
        let overflow = !waiting.frames.is_empty() && waiting.bytes + frame.len() > PUSH_QUEUE_BYTES_MAX;
        if overflow {
            waiting.frames.clear();
            waiting.bytes = 0;
            waiting.overflows += 1;
        }
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        drop(waiting);
        self.filled.notify_one();
        if overflow {
            self.overflowed.notify_one();
            Queued::Alone
        } else {
            Queued::Behind
        }
    }

    /// Waits for frames and takes as many as one write should carry, joined. For one reader.
    pub(super) async fn take(&self) -> Vec<u8> {
        loop {
            // The permit of a notification that comes between look and wait is kept, so none is missed.
            let batch = self.take_now();
            if !batch.is_empty() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    /// Waits until the queue overflowed since the last call. For one reader.
    pub(super) async fn overflowed(&self) {
        self.overflowed.notified().await;
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.waiting().bytes
    }

    /// How often the queue overflowed.
    pub(super) fn overflows(&self) -> u64 {
        self.waiting().overflows
    }

    fn take_now(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        let Some(mut batch) = waiting.frames.pop_front() else { return Vec::new() };
        while let Some(frame) = waiting.frames.front()
            && batch.len() + frame.len() <= BATCH_BYTES
        {
            batch.extend_from_slice(frame);
            waiting.frames.pop_front();
        }
        waiting.bytes = waiting.bytes.saturating_sub(batch.len());
        batch
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_frames_leave_together_and_in_order() {
        let queue = PushQueue::default();
        for byte in 0..100_u8 {
            assert_eq!(queue.push(vec![byte; 3]), Queued::Behind);
        }
        let batch = queue.take().await;
        assert_eq!(batch.len(), 300);
        assert!(batch.is_sorted());
        assert_eq!(queue.bytes(), 0);
    }

    #[tokio::test]
    async fn overflow_drops_what_waits_and_keeps_the_newest() {
        let queue = PushQueue::default();
        let frame = vec![1; PUSH_QUEUE_BYTES_MAX / 4];
        for _ in 0..4 {
            assert_eq!(queue.push(frame.clone()), Queued::Behind);
        }
        assert_eq!(queue.push(vec![2; 10]), Queued::Alone);
        assert_eq!((queue.bytes(), queue.overflows()), (10, 1));
        queue.overflowed().await;
        assert_eq!(queue.take().await, vec![2; 10]);
    }
}
