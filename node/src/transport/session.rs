//! The tasks of one link: its two push streams and its exchanges.
//!
//! The session's own loop never waits for the node or the peer; whatever does runs in a task of its own, and all of them
//! end before the link is reported down.

mod exchange;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use comity_protocol::ids::AuthorKey;
use comity_protocol::limits::PUSH_BYTES_MAX;
use futures::StreamExt;
use libp2p::{Multiaddr, Stream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::exchange::{Answered, Part};
use super::bucket::{Throttle, Throttled};
use super::framing::{Begin, FrameError, FrameRules, read_frame, write_all};
use super::link::{Inbound, Port, Protocol};
use super::push::PushQueue;
use super::stats::Stats;
use super::{DownReason, ExchangeError, LinkId, NetEvent, TransportLimits, TransportTiming};

/// Exchange streams we keep open on one link: with the push stream, the 8 of spec 4.11.
const ASKED_MAX: usize = 7;
/// Requests that may wait for one of them.
const ASKS_WAITING_MAX: usize = 256;
/// Exchange streams of the peer: its 7, and as many that it closed and we did not see closed yet.
const ANSWERING_MAX: usize = 14;
/// Parts of one answer that may wait.
const PARTS_MAX: usize = 16;
/// Bytes of answers that may wait on one link; an answer that would pass it is broken off, and asked for again.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Largest length on a push stream: the bound of a push and what its list costs.
const PUSH_LENGTH_MAX: usize = PUSH_BYTES_MAX + 1_024;
/// Commands that may wait for the session; its loop never waits, so a few suffice.
pub(super) const LINK_COMMANDS_MAX: usize = 512;

/// What the swarm's task passes on to a link.
#[derive(Debug)]
pub(super) enum LinkCommand {
    /// As [`super::NetCommand::Ask`].
    Ask { exchange: u64, frame: Vec<u8> },
    /// As [`super::NetCommand::Answer`].
    Answer { exchange: u64, frames: Vec<Vec<u8>>, last: bool },
}

/// What a link is, and how the node knows it.
#[derive(Clone, Debug)]
pub(super) struct LinkFacts {
    pub(super) link: LinkId,
    pub(super) peer: AuthorKey,
    pub(super) dialer: bool,
    pub(super) remote: Multiaddr,
    pub(super) source: Option<IpAddr>,
}

/// What every task of a link needs.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) link: LinkId,
    pub(super) events: mpsc::Sender<NetEvent>,
    pub(super) timing: TransportTiming,
    pub(super) stats: Stats,
    bytes: Arc<Throttle>,
    requests: Arc<Throttle>,
    answer_bytes: Arc<AtomicUsize>,
}

impl Shared {
    /// What the tasks of `link` share.
    pub(super) fn new(
        link: LinkId,
        events: mpsc::Sender<NetEvent>,
        timing: TransportTiming,
        limits: &TransportLimits,
        stats: Stats,
    ) -> Self {
        Self {
            link,
            events,
            timing,
            stats,
            bytes: Arc::new(Throttle::new(limits.bytes_per_second, limits.bytes_burst)),
            requests: Arc::new(Throttle::new(limits.requests_per_second, limits.requests_burst)),
            answer_bytes: Arc::default(),
        }
    }

    /// Reads a frame and pauses as the link's rate demands.
    async fn read(&self, stream: &mut Stream, rules: FrameRules) -> Result<Vec<u8>, FrameError> {
        let frame = read_frame(stream, rules).await?;
        let bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        self.stats.frame_bytes_in.inc_by(bytes);
        self.pause(&self.bytes, bytes).await;
        Ok(frame)
    }

    async fn pause(&self, throttle: &Throttle, tokens: u64) {
        match throttle.take(tokens).await {
            Throttled::Yes => {
                self.stats.throttled.inc();
            }
            Throttled::No => {}
        }
    }

    async fn write(&self, stream: &mut Stream, bytes: &[u8]) -> Result<(), FrameError> {
        write_all(stream, bytes, self.timing.idle).await?;
        self.stats.frame_bytes_out.inc_by(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

/// How a task of a link ended.
enum Done {
    /// One of ours has its whole reply, or failed and said so.
    Asked,
    /// One of the peer's is over.
    Answered(u64, Answered),
    /// A push stream is over, which ends the link.
    Push(DownReason),
    /// Nothing to add.
    Quiet,
}

/// One link, from the moment its connection was chosen.
pub(super) struct Session {
    facts: LinkFacts,
    shared: Shared,
    port: Port,
    commands: mpsc::Receiver<LinkCommand>,
    closing: oneshot::Receiver<DownReason>,
    push: Arc<PushQueue>,
    tasks: JoinSet<Done>,
    asks_waiting: VecDeque<(u64, Vec<u8>)>,
    asked: usize,
    answering: BTreeMap<u64, mpsc::Sender<Part>>,
    next_exchange: u64,
    push_in: bool,
}

/// The ends of a session that the swarm's task keeps.
pub(super) struct SessionEnds {
    pub(super) commands: mpsc::Sender<LinkCommand>,
    pub(super) close: oneshot::Sender<DownReason>,
    pub(super) push: Arc<PushQueue>,
}

impl Session {
    /// A session on a connection's port, and the ends to steer it by.
    pub(super) fn new(facts: LinkFacts, shared: Shared, port: Port) -> (Self, SessionEnds) {
        let (command_sender, commands) = mpsc::channel(LINK_COMMANDS_MAX);
        let (close, closing) = oneshot::channel();
        let push = Arc::new(PushQueue::default());
        let session = Self {
            facts,
            shared,
            port,
            commands,
            closing,
            push: Arc::clone(&push),
            tasks: JoinSet::new(),
            asks_waiting: VecDeque::new(),
            asked: 0,
            answering: BTreeMap::new(),
            next_exchange: 0,
            push_in: false,
        };
        (session, SessionEnds { commands: command_sender, close, push })
    }

    /// Runs until the link is over and the node knows; returns why it ended.
    pub(super) async fn run(mut self) -> DownReason {
        match self.come_up().await {
            Err(reason) => return reason,
            Ok(stream) => {
                self.tasks.spawn(write_pushes(self.shared.clone(), stream, Arc::clone(&self.push)));
                self.tasks.spawn(report_overflows(self.shared.clone(), Arc::clone(&self.push)));
            }
        }
        self.shared.stats.links.inc();
        tracing::info!(link = self.facts.link.0, peer = %self.facts.peer, remote = %self.facts.remote, "link up");
        let reason = self.serve().await;
        self.tasks.shutdown().await;
        self.shared.stats.links.dec();
        tracing::info!(link = self.facts.link.0, peer = %self.facts.peer, %reason, "link down");
        // A node that dropped the receiver wants no news.
        let _node_gone = self.shared.events.send(NetEvent::LinkDown { link: self.facts.link, reason }).await;
        reason
    }

    /// Opens the push stream, which shows that the peer speaks our protocols, and announces the link.
    async fn come_up(&mut self) -> Result<Stream, DownReason> {
        let stream = tokio::select! {
            biased;
            reason = &mut self.closing => return Err(reason.unwrap_or(DownReason::Shutdown)),
            opened = self.port.opener.open(Protocol::Push) => opened.map_err(|_| DownReason::PushEnded)?,
        };
        let permit = tokio::select! {
            biased;
            reason = &mut self.closing => return Err(reason.unwrap_or(DownReason::Shutdown)),
            permit = self.shared.events.reserve() => permit.map_err(|_| DownReason::Shutdown)?,
        };
        let LinkFacts { link, peer, dialer, remote, source } = self.facts.clone();
        permit.send(NetEvent::LinkUp { link, peer, dialer, remote, source });
        Ok(stream)
    }

    async fn serve(&mut self) -> DownReason {
        loop {
            tokio::select! {
                biased;
                reason = &mut self.closing => return reason.unwrap_or(DownReason::Shutdown),
                Some(done) = self.tasks.join_next() => match done {
                    Ok(Done::Push(reason)) => return reason,
                    Ok(Done::Answered(_, Answered::Malformed)) => {
                        self.shared.stats.malformed.inc();
                        return DownReason::Malformed;
                    }
                    Ok(Done::Answered(exchange, Answered::Over)) => {
                        self.answering.remove(&exchange);
                    }
                    Ok(Done::Asked) => {
                        self.asked -= 1;
                        self.ask_next();
                    }
                    Ok(Done::Quiet) => {}
                    Err(failed) => std::panic::resume_unwind(failed.into_panic()),
                },
                command = self.commands.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return DownReason::Shutdown,
                },
                inbound = self.port.inbound.next() => match inbound {
                    Some(inbound) => self.accept(inbound),
                    None => return DownReason::Lost,
                },
            }
        }
    }

    fn handle(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Ask { exchange, frame } => {
                if self.asks_waiting.len() < ASKS_WAITING_MAX {
                    self.asks_waiting.push_back((exchange, frame));
                    self.ask_next();
                } else {
                    let shared = self.shared.clone();
                    self.tasks.spawn(async move {
                        exchange::failed(&shared, exchange, ExchangeError::Busy).await;
                        Done::Quiet
                    });
                }
            }
            LinkCommand::Answer { exchange, frames, last } => {
                let Some(parts) = self.answering.get(&exchange) else { return };
                let bytes = frames.iter().map(Vec::len).sum::<usize>();
                let waiting = self.shared.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
                let part = Part { frames, bytes, last, waiting: Arc::clone(&self.shared.answer_bytes) };
                if waiting.saturating_add(bytes) > ANSWER_BYTES_MAX.max(bytes) || parts.try_send(part).is_err() {
                    tracing::warn!(link = self.facts.link.0, exchange, bytes, "answer broken off: too much waits");
                    self.answering.remove(&exchange);
                }
            }
        }
    }

    fn ask_next(&mut self) {
        while self.asked < ASKED_MAX
            && let Some((exchange, frame)) = self.asks_waiting.pop_front()
        {
            self.asked += 1;
            let (shared, opener) = (self.shared.clone(), self.port.opener.clone());
            self.tasks.spawn(async move {
                exchange::ask(&shared, opener, exchange, frame).await;
                Done::Asked
            });
        }
    }

    fn accept(&mut self, inbound: Inbound) {
        let shared = self.shared.clone();
        let Inbound { protocol, stream } = inbound;
        match protocol {
            Protocol::Push if !self.push_in => {
                self.push_in = true;
                self.tasks.spawn(read_pushes(shared, stream));
            }
            Protocol::Sync if self.answering.len() < ANSWERING_MAX => {
                let exchange = self.next_exchange;
                self.next_exchange += 1;
                let (sender, parts) = mpsc::channel(PARTS_MAX);
                self.answering.insert(exchange, sender);
                self.tasks.spawn(async move {
                    Done::Answered(exchange, exchange::answer(&shared, stream, exchange, parts).await)
                });
            }
            // Dropping the stream resets it.
            Protocol::Push | Protocol::Sync => {
                shared.stats.streams_reset.inc();
            }
        }
    }
}

/// Writes what the queue holds, many frames in one write, until the stream fails.
async fn write_pushes(shared: Shared, mut stream: Stream, queue: Arc<PushQueue>) -> Done {
    loop {
        let batch = queue.take().await;
        if let Err(error) = shared.write(&mut stream, &batch).await {
            tracing::debug!(link = shared.link.0, %error, "push stream ended");
            return Done::Push(DownReason::PushEnded);
        }
    }
}

/// Tells the node that pushes were dropped, at the node's pace.
async fn report_overflows(shared: Shared, queue: Arc<PushQueue>) -> Done {
    loop {
        queue.overflowed().await;
        if shared.events.send(NetEvent::PushStalled { link: shared.link }).await.is_err() {
            return Done::Push(DownReason::Shutdown);
        }
    }
}

/// Reads frames and hands them to the node, at the node's pace, until the stream fails.
async fn read_pushes(shared: Shared, mut stream: Stream) -> Done {
    let rules = FrameRules { length_max: PUSH_LENGTH_MAX, idle: shared.timing.idle, begin: Begin::AnyTime };
    loop {
        match shared.read(&mut stream, rules).await {
            Ok(frame) => {
                if shared.events.send(NetEvent::Push { link: shared.link, frame }).await.is_err() {
                    return Done::Push(DownReason::Shutdown);
                }
            }
            Err(FrameError::Length { length }) => {
                tracing::warn!(link = shared.link.0, length, "push frame over its bound");
                shared.stats.malformed.inc();
                return Done::Push(DownReason::Malformed);
            }
            Err(error) => {
                tracing::debug!(link = shared.link.0, %error, "push stream ended");
                return Done::Push(DownReason::PushEnded);
            }
        }
    }
}
