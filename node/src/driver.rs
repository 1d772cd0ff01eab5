//! The one loop that owns the replica (DESIGN section 2).
//!
//! It drains what waits (calls, network, the clock) into one batch of inputs, lets the replica handle each, makes all they
//! want saved durable in one transaction, and only then carries out the other effects, in their order. Reads are answered
//! last, so that they show nothing that is not durable. Nothing else touches the replica, and nothing here waits for a peer or
//! computes for long: a view is computed elsewhere, from a snapshot taken here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use comity_protocol::chain::AuthorStatus;
use comity_protocol::dossier;
use comity_protocol::effect::{Effect, HaltReason, Input, LinkId, SaveOp, Storage};
use comity_protocol::evaluate::{Changes, State};
use comity_protocol::ids::{AuthorId, AuthorKey, NationId, Timestamp};
use comity_protocol::replica::Replica;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::api::model::{Change, PeerAnswer};
use crate::blame::Blame;
use crate::store::{SaveError, Store};
use crate::transport::{NetCommand, NetEvent, TransportHandle};

mod batch;
mod clock;
mod dial;
mod handle;
mod net;
mod notice;
mod restate;
mod room;
mod start;
mod views;
mod writes;

pub use handle::{Handle, WAIT_MS, WAIT_MS_MAX, Write, as_of};
pub use start::{Setup, StartError, start};
pub use views::{Outlook, VIEWS_ASKED_MAX};

use clock::Clock;
use dial::Dialing;
use handle::{Answer, Call, Read};
use room::Room;
use writes::{Names, Writes};

/// Longest sleep of the loop: a clock that was set is noticed within it.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What does not change while the node runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The own nation.
    pub nation: NationId,
    /// The own key.
    pub key: AuthorKey,
    /// When the process started.
    pub started: Timestamp,
    /// Configured bound of the store.
    pub store_bytes_max: Option<u64>,
    /// How often a witness speaks at least, as configured.
    pub witness_heartbeat_ms: u64,
}

/// What a read sees: the replica between two batches, with nothing in it that is not durable.
pub struct Reading<'a> {
    /// The replica.
    pub replica: &'a Replica,
    /// What does not change.
    pub facts: &'a Facts,
    /// The present moment.
    pub now: Timestamp,
    /// Bytes of the store's files after the last save.
    pub store_bytes: u64,
    /// Whether the store takes records.
    pub storage: Storage,
    /// Damaged rows of the own chain, in words.
    pub own_damage: &'a [String],
}

impl Reading<'_> {
    /// The evaluated record.
    pub const fn state(&self) -> &State {
        self.replica.state()
    }

    /// Returns why the node does not write; `None` if it does.
    pub fn not_authoring(&self) -> Option<NotAuthoring> {
        let because = |reason: String, hint| Some(NotAuthoring { reason, hint });
        if let Some(damage) = self.own_damage.first() {
            return because(damage.clone(), "let it reach a peer: it fetches what is missing, and goes on");
        }
        if self.storage == Storage::Full {
            return because("the disk is full".to_owned(), "free space, or raise store.bytes_max");
        }
        let me = AuthorId { nation: self.facts.nation, key: self.facts.key };
        let status = self.state().author_status(&me);
        match status {
            AuthorStatus::Retired { cut } => {
                let version = dossier::retired_in(self.state(), &me).map_or(0, |(version, _)| version);
                let reason = format!("roster {version} of its nation retires its key at {}", cut.seq);
                return because(reason, "a retired key never speaks again: `comity init` makes another node");
            }
            AuthorStatus::Removed { .. } => {
                return because("its nation was removed from the alliance".to_owned(), "see `comity charter show`");
            }
            AuthorStatus::Active | AuthorStatus::Unlisted => {}
        }
        if let Some(reason) = self.replica.halted() {
            return because(reason.to_string(), halted_hint(&reason));
        }
        if status == AuthorStatus::Active {
            return None;
        }
        match self.state().roster(&me.nation).and_then(|roster| roster.fork) {
            Some(version) => because(
                format!("the rosters of its nation fork at version {version}, and none in force lists its key"),
                "the members replace the nation's root key by a motion, see `comity forks`",
            ),
            None => because(
                "no roster of its nation held here lists its key".to_owned(),
                "have the nation's root enrol it (`comity roster enrol`), and import the roster",
            ),
        }
    }
}

/// Why a node does not write, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAuthoring {
    /// Why.
    pub reason: String,
    /// What to do.
    pub hint: &'static str,
}

const fn halted_hint(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::Restored { .. } | HaltReason::ForeignOwn { .. } => "see `comity node confirm`",
        HaltReason::Rules { .. } => "install the version of Comity that the alliance has decided for",
        HaltReason::Forked { .. } => "have the nation's root retire the key, see `comity forks`",
        HaltReason::OwnBodyMissing { .. } => "let it reach a peer: it fetches what is missing, and goes on",
    }
}

/// Why a driver ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The store takes no more writes: a disk that fails once is not to be trusted with new signatures (STORE 6).
    #[error("the store failed")]
    Store(#[source] SaveError),
    /// The store could not be read again after a failed save.
    #[error("the store cannot be read again")]
    Reload(#[source] crate::store::OpenError),
    /// The network task ended.
    #[error("the network has stopped")]
    Network,
}

/// The running loop.
pub struct Driver {
    facts: Facts,
    replica: Replica,
    make: start::Make,
    clock: Clock,
    store: Store,
    store_bytes: u64,
    room: Room,
    own_damage: Vec<String>,
    damage_checked: Instant,
    saved_since_check: bool,
    transport: TransportHandle,
    events: mpsc::Receiver<NetEvent>,
    calls: mpsc::Receiver<Call>,
    changes: broadcast::Sender<Change>,
    links: BTreeMap<LinkId, AuthorKey>,
    writes: Writes,
    dialing: Dialing,
    stop: watch::Receiver<bool>,
    counts: Arc<Counts>,
}

/// What the loop did, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Batches carried out.
    pub batches: std::sync::atomic::AtomicU64,
    /// Inputs handled.
    pub inputs: std::sync::atomic::AtomicU64,
    /// Transactions committed.
    pub saves: std::sync::atomic::AtomicU64,
    /// Transactions that failed.
    pub saves_failed: std::sync::atomic::AtomicU64,
    /// Microseconds spent handling inputs and answering reads.
    pub busy_micros: std::sync::atomic::AtomicU64,
}

impl DriverError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Store(error) => error.blame(),
            Self::Reload(error) => error.blame(),
            Self::Network => Blame::Environment,
        }
    }
}

impl Driver {
    /// Runs until told to stop, then finishes what was begun: saves, an emptied write-ahead log, closed links.
    ///
    /// # Errors
    /// [`DriverError`] if the node cannot go on; links and store are closed then too.
    pub async fn run(mut self) -> Result<(), DriverError> {
        let outcome = self.turn_until_stopped().await;
        if let Err(error) = &outcome {
            error!(%error, "the node cannot go on");
        }
        // Callers that still wait are told that the node is stopping: their channel closes.
        let Self { transport, mut events, store, calls, writes, .. } = self;
        drop((calls, writes));
        if transport.send(NetCommand::Shutdown).await.is_ok() {
            while events.recv().await.is_some() {}
        }
        store.close().await;
        info!("stopped");
        outcome
    }

    async fn turn_until_stopped(&mut self) -> Result<(), DriverError> {
        // The first effects tell the transport whom to let in.
        self.carry_out(batch::Batch::default()).await?;
        self.redial().await;
        loop {
            let Some(batch) = self.gather().await? else { return Ok(()) };
            self.carry_out(batch).await?;
        }
    }

    /// Waits for something to do, then takes all that waits, within bounds; `None` when told to stop.
    async fn gather(&mut self) -> Result<Option<batch::Batch>, DriverError> {
        let mut batch = batch::Batch::default();
        let wake = self.wake_at();
        tokio::select! {
            biased;
            () = crate::api::server::stopped(&mut self.stop) => return Ok(None),
            call = self.calls.recv() => batch.call(call.expect("the driver's own handle keeps the channel open")),
            event = self.events.recv() => batch.event(event.ok_or(DriverError::Network)?),
            () = tokio::time::sleep_until(wake) => batch.tick = true,
        }
        while batch.has_room() {
            match self.calls.try_recv() {
                Ok(call) => batch.call(call),
                Err(_) => break,
            }
        }
        while batch.has_room() {
            match self.events.try_recv() {
                Ok(event) => batch.event(event),
                Err(_) => break,
            }
        }
        Ok(Some(batch))
    }

    fn wake_at(&mut self) -> Instant {
        let now = self.clock.now();
        let replica = self.replica.next_wakeup().map_or(SLEEP_MAX, |at| Duration::from_millis(at.since(now)));
        let wake = Instant::now() + replica.min(SLEEP_MAX);
        [self.writes.deadline(), self.room.retry_at()].into_iter().flatten().fold(wake, Instant::min)
    }

    async fn redial(&self) {
        let targets = self.dialing.targets(self.replica.state(), self.replica.me());
        self.tell(NetCommand::SetDial(targets)).await;
    }

    /// Commands to a transport that has stopped are lost; the loop learns of that from its event channel.
    async fn tell(&self, command: NetCommand) {
        let _ = self.transport.send(command).await;
    }
}

/// Returns the system's time; for messages outside the driver.
pub(crate) fn system_now() -> Timestamp {
    clock::system()
}
