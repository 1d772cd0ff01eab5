//! One exchange: a request and its reply on a stream of their own, asking and answering side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use comity_protocol::limits::FRAME_BYTES_MAX;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use tokio::sync::mpsc;

use super::Shared;
use crate::transport::framing::{Begin, FrameError, FrameRules, TAG_END, coalesce, tag};
use crate::transport::link::{Opener, Protocol};
use crate::transport::{ExchangeError, NetEvent};

/// Largest length of a request: a page of Control with 4,096 ids is 128 KiB, nothing else comes near.
const REQUEST_LENGTH_MAX: usize = 256 * 1024;

/// Part of an answer, counted against what may wait on its link.
pub(super) struct Part {
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) bytes: usize,
    pub(super) last: bool,
    pub(super) waiting: Arc<AtomicUsize>,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How the answering side of an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Answered, or given up by either end.
    Over,
    /// The request was no frame: whoever sends that is not one of us.
    Malformed,
}

/// Asks, and reports every frame of the reply or the failure.
pub(super) async fn ask(shared: &Shared, opener: Opener, exchange: u64, frame: Vec<u8>) {
    if let Err(why) = ask_for(shared, opener, exchange, frame).await {
        failed(shared, exchange, why).await;
    }
}

/// Reports a failed exchange.
pub(super) async fn failed(shared: &Shared, exchange: u64, why: ExchangeError) {
    shared.stats.exchanges_failed.inc();
    tracing::debug!(link = shared.link.0, exchange, %why, "exchange failed");
    let event = NetEvent::ExchangeFailed { link: shared.link, exchange, why };
    // A node that dropped the receiver wants no news.
    let _node_gone = shared.events.send(event).await;
}

async fn ask_for(shared: &Shared, mut opener: Opener, exchange: u64, frame: Vec<u8>) -> Result<(), ExchangeError> {
    let mut stream = opener.open(Protocol::Sync).await.map_err(|_| ExchangeError::NoStream)?;
    shared.write(&mut stream, &frame).await?;
    let rules = FrameRules { length_max: FRAME_BYTES_MAX, idle: shared.timing.idle, begin: Begin::WithinIdle };
    loop {
        let frame = shared.read(&mut stream, rules).await?;
        let end = tag(&frame) == TAG_END;
        let event = NetEvent::Reply { link: shared.link, exchange, frame };
        shared.events.send(event).await.map_err(|_| ExchangeError::Ended)?;
        if end {
            return Ok(());
        }
    }
}

impl From<FrameError> for ExchangeError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Ended | FrameError::Truncated | FrameError::Io(_) => Self::Ended,
            FrameError::Length { length } => Self::FrameLength { length },
            FrameError::Idle => Self::Idle,
        }
    }
}

/// Reads a request, hands it to the node and writes the parts of its answer.
pub(super) async fn answer(
    shared: &Shared,
    mut stream: Stream,
    exchange: u64,
    parts: mpsc::Receiver<Part>,
) -> Answered {
    let rules = FrameRules { length_max: REQUEST_LENGTH_MAX, idle: shared.timing.idle, begin: Begin::WithinIdle };
    let frame = match shared.read(&mut stream, rules).await {
        Ok(frame) => frame,
        Err(FrameError::Length { .. }) => return Answered::Malformed,
        Err(_) => return Answered::Over,
    };
    shared.pause(&shared.requests, 1).await;
    let asked = NetEvent::Asked { link: shared.link, exchange, frame };
    if shared.events.send(asked).await.is_err() {
        return Answered::Over;
    }
    match write_parts(shared, &mut stream, exchange, parts).await {
        Ok(()) => {}
        Err(error) => tracing::debug!(link = shared.link.0, exchange, %error, "answer broken off"),
    }
    Answered::Over
}

async fn write_parts(
    shared: &Shared,
    stream: &mut Stream,
    exchange: u64,
    mut parts: mpsc::Receiver<Part>,
) -> Result<(), FrameError> {
    loop {
        let mut part = next_part(shared, stream, &mut parts).await?;
        for bytes in coalesce(std::mem::take(&mut part.frames)) {
            shared.write(stream, &bytes).await?;
        }
        if part.last {
            return stream.close().await.map_err(FrameError::Io);
        }
        drop(part);
        let drained = NetEvent::AnswerDrained { link: shared.link, exchange };
        shared.events.send(drained).await.map_err(|_| FrameError::Ended)?;
    }
}

/// Waits for the node, but no longer than the asker does, and not once the asker gave up.
async fn next_part(shared: &Shared, stream: &mut Stream, parts: &mut mpsc::Receiver<Part>) -> Result<Part, FrameError> {
    let mut nothing_more = [0; 1];
    tokio::select! {
        biased;
        part = parts.recv() => part.ok_or(FrameError::Ended),
        _ = stream.read(&mut nothing_more) => Err(FrameError::Ended),
        () = tokio::time::sleep(shared.timing.idle) => Err(FrameError::Idle),
    }
}
