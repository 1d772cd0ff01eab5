//! The driver's door: what the rest of the process asks of it.

use comity_protocol::effect::Evidence;
use comity_protocol::ids::{Timestamp, Tip};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::Reading;
use super::views::Views;
use crate::api::Refusal;
use crate::api::model::{
    Change, ConfirmAnswer, ControlAnswer, CourierAnswer, Draft, PeerAnswer, RestateRequest, Restated, WriteAnswer,
};
use crate::config::PeerAddress;
use crate::transport::{NetStatus, TransportHandle};

/// Calls that may wait for the driver; callers beyond wait outside.
pub(super) const CALLS_MAX: usize = 1_024;
/// Changes a slow reader of `/v1/watch` may be behind before it misses some.
pub(super) const CHANGES_MAX: usize = 4_096;

/// Asks things of a running driver; any number of tasks may hold one.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) calls: mpsc::Sender<Call>,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) transport: TransportHandle,
    pub(super) views: Views,
}

/// A read of the replica between two batches; it answers its caller itself.
pub(super) type Read = Box<dyn FnOnce(&Reading<'_>) + Send>;

/// What the driver is asked.
pub(super) enum Call {
    /// Look at what is durable.
    Read(Read),
    /// Write a statement.
    Write(WriteCall),
    /// State anew what a cut left waiting.
    Restate {
        /// Which.
        request: RestateRequest,
        /// The answer.
        answer: Answer<Restated>,
    },
    /// Take in control records.
    Import {
        /// Kind and signed form of each.
        records: Vec<(u8, Vec<u8>)>,
        /// The answer.
        answer: Answer<ControlAnswer>,
    },
    /// Take the own chain for whole, so that the node authors again.
    Confirm {
        /// Where it ends, as the caller saw it.
        adopt: Tip,
        /// What the caller rests on.
        evidence: Evidence,
        /// The answer.
        answer: Answer<ConfirmAnswer>,
    },
    /// Take in frames of a courier file.
    Carry {
        /// Tag and encoding of each.
        frames: Vec<Vec<u8>>,
        /// The answer.
        answer: Answer<CourierAnswer>,
    },
    /// Dial a peer from now on.
    AddPeer {
        /// Whom.
        peer: PeerAddress,
        /// The answer.
        answer: Answer<PeerAnswer>,
    },
    /// Dial a peer no longer.
    RemovePeer {
        /// Where.
        address: libp2p::Multiaddr,
        /// The answer.
        answer: Answer<PeerAnswer>,
    },
}

/// Where an answer goes; the caller may have gone away.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// A statement to write.
#[derive(Debug)]
pub struct Write {
    /// What to write.
    pub draft: Draft,
    /// The version the caller revises, in hexadecimal digits.
    pub if_version: Option<String>,
    /// The caller's own name for the write.
    pub key: Option<String>,
    /// How many other nations must confirm holding it.
    pub wait: u32,
    /// How long to wait for them, in milliseconds.
    pub timeout_ms: u64,
}

/// A write with its answer.
pub(super) struct WriteCall {
    pub(super) write: Write,
    pub(super) answer: Answer<WriteAnswer>,
}

impl Handle {
    /// Reads what is durable; `look` runs in the driver, so it neither waits nor computes for long (see [`Handle::view`]).
    ///
    /// # Errors
    /// What `look` refuses, or that the node is stopping.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Reading<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.ask(|answer| {
            Call::Read(Box::new(move |reading| {
                // A caller that went away wants no answer.
                drop(answer.send(look(reading)));
            }))
        })
        .await
    }

    /// Writes a statement; the answer comes when it is durable, and held by as many nations as asked for or not in time.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn write(&self, write: Write) -> Result<WriteAnswer, Refusal> {
        self.ask(|answer| Call::Write(WriteCall { write, answer })).await
    }

    /// States anew what a cut left waiting; the answer comes when it is durable.
    ///
    /// # Errors
    /// Why nothing was written; what was written before stays and is found by the next call.
    pub async fn restate(&self, request: RestateRequest) -> Result<Restated, Refusal> {
        self.ask(|answer| Call::Restate { request, answer }).await
    }

    /// Takes in control records: kind and signed form of each.
    ///
    /// # Errors
    /// Why none was; that one is refused is part of the answer.
    pub async fn import(&self, records: Vec<(u8, Vec<u8>)>) -> Result<ControlAnswer, Refusal> {
        self.ask(|answer| Call::Import { records, answer }).await
    }

    /// Takes the own chain for whole up to `adopt`, so that the node authors again.
    ///
    /// # Errors
    /// What stands against it.
    pub async fn confirm(&self, adopt: Tip, evidence: Evidence) -> Result<ConfirmAnswer, Refusal> {
        self.ask(|answer| Call::Confirm { adopt, evidence, answer }).await
    }

    /// Takes in frames of a courier file: tag and encoding of each.
    ///
    /// # Errors
    /// Why none was; that one is refused is part of the answer.
    pub async fn carry(&self, frames: Vec<Vec<u8>>) -> Result<CourierAnswer, Refusal> {
        self.ask(|answer| Call::Carry { frames, answer }).await
    }

    /// Dials a peer from now on, also after a restart.
    ///
    /// # Errors
    /// Why it is not kept.
    pub async fn add_peer(&self, peer: PeerAddress) -> Result<PeerAnswer, Refusal> {
        self.ask(|answer| Call::AddPeer { peer, answer }).await
    }

    /// Dials the peer at `address` no longer; a link that is up stays.
    ///
    /// # Errors
    /// Why it is still kept.
    pub async fn remove_peer(&self, address: libp2p::Multiaddr) -> Result<PeerAnswer, Refusal> {
        self.ask(|answer| Call::RemovePeer { address, answer }).await
    }

    /// Returns the state of links and redials.
    ///
    /// # Errors
    /// That the node is stopping.
    pub async fn network(&self) -> Result<NetStatus, Refusal> {
        self.transport.status().await.map_err(|_| Refusal::stopping())
    }

    /// Subscribes to changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    async fn ask<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(call(answer)).await.map_err(|_| Refusal::stopping())?;
        answered.await.unwrap_or_else(|_| Err(Refusal::stopping()))
    }
}

/// Longest a write waits for other nations.
pub const WAIT_MS_MAX: u64 = 600_000;
/// How long a write waits for other nations if the caller does not say.
pub const WAIT_MS: u64 = 10_000;

/// Returns the moment an answer holds for: as asked, or now.
///
/// # Errors
/// If the text is neither a moment nor a day.
pub fn as_of(text: Option<&str>, now: Timestamp) -> Result<Timestamp, Refusal> {
    match text {
        None => Ok(now),
        Some(text) => crate::api::model::moment(text).ok_or_else(|| {
            Refusal::new(axum::http::StatusCode::BAD_REQUEST, "as_of is neither a moment nor a day")
                .hint("write 2026-07-19T12:00:00Z, or 2026-07-19 for the end of that day in UTC")
        }),
    }
}
