//! The task that owns the swarm: dials, accepts, chooses one connection for each peer, and starts its link.
//!
//! It waits for the network, for commands and for its own deadlines, never for the node: links report to the node
//! themselves.

pub(super) mod build;
mod choice;
mod error;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comity_protocol::ids::AuthorKey;
use futures::StreamExt;
use libp2p::core::{ConnectedPoint, transport::TransportError};
use libp2p::metrics::{Metrics, Recorder};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, ListenError, Swarm, SwarmEvent};
use libp2p::{Multiaddr, mdns};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::build::{Node, NodeEvent};
use self::choice::{Held, choose};
use self::error::{dial_error, system_error};
use super::framing::is_whole;
use super::identity::{author_key, is_tcp, peer_id, source};
use super::link::{Port, Refusal};
use super::push::{PushQueue, Queued};
use super::redial::{Dial, Redial, TargetId};
use super::session::{LinkCommand, LinkFacts, Session, Shared};
use super::stats::Stats;
use super::{
    Admission, DialError, DownReason, LinkId, LinkStatus, NetCommand, NetEvent, NetStatus, StartError, TransportConfig,
    TransportLimits, TransportTiming,
};

/// Longest time a shutdown takes.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// Listening addresses not yet reported; more interfaces than that are only in the status.
const ANNOUNCEMENTS_MAX: usize = 64;

/// A connection that may be, or is, the link of its peer.
struct Connection {
    held: Held,
    remote: Multiaddr,
    /// Until the session takes it.
    port: Option<Port>,
}

/// A running session, as the swarm's task steers it.
struct Running {
    link: LinkId,
    connection: ConnectionId,
    commands: mpsc::Sender<LinkCommand>,
    push: Arc<PushQueue>,
    /// Taken when the session is told to end.
    close: Option<oneshot::Sender<DownReason>>,
    facts: LinkFacts,
    since: Instant,
    round_trip: Option<Duration>,
}

/// What is known of a peer while it has a connection or a session.
#[derive(Default)]
struct Peer {
    connections: Vec<Connection>,
    session: Option<Running>,
    /// When to choose again.
    again: Option<Instant>,
}

/// How a session ended.
struct Finished {
    peer: AuthorKey,
    connection: ConnectionId,
}

/// Everything the swarm's task owns.
pub(super) struct Network {
    me: AuthorKey,
    swarm: Swarm<Node>,
    metrics: Metrics,
    stats: Stats,
    timing: TransportTiming,
    limits: TransportLimits,
    redial: Redial,
    peers: BTreeMap<AuthorKey, Peer>,
    links: BTreeMap<LinkId, AuthorKey>,
    /// Whose connection it is, for connections not yet given up.
    connections: BTreeMap<ConnectionId, AuthorKey>,
    sessions: JoinSet<Finished>,
    next_link: u64,
    commands: mpsc::Receiver<NetCommand>,
    events: mpsc::Sender<NetEvent>,
    announcements: VecDeque<NetEvent>,
    /// When something is due; recomputed when `stale`.
    due: Option<Instant>,
    stale: bool,
}

/// Whether the task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    On,
    Down,
}

/// Fails if another socket listens on the address.
///
/// The library listens with port reuse, under which the system lets a second process of the same user share the port and
/// gives each some of the connections; a plain socket is refused, as an operator expects.
fn port_free(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let (ip, port) = match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => (IpAddr::V4(ip), port),
        (Some(Protocol::Ip6(ip)), Some(Protocol::Tcp(port))) => (IpAddr::V6(ip), port),
        _ => return Ok(()),
    };
    if port == 0 {
        return Ok(());
    }
    std::net::TcpListener::bind((ip, port)).map(drop)
}

impl Network {
    /// Builds the swarm and listens.
    ///
    /// # Errors
    /// [`StartError`] if an address cannot be listened on or mDNS cannot start.
    pub(super) fn new(
        config: TransportConfig,
        registry: &mut Registry,
        commands: mpsc::Receiver<NetCommand>,
        events: mpsc::Sender<NetEvent>,
    ) -> Result<Self, StartError> {
        let me: AuthorKey = config.key.public();
        let mut swarm = build::swarm(&config, registry)?;
        for address in &config.listen {
            port_free(address).map_err(|source| StartError::Listen { address: address.clone(), source })?;
            swarm.listen_on(address.clone()).map_err(|error| match error {
                TransportError::MultiaddrNotSupported(address) => StartError::ListenUnsupported { address },
                TransportError::Other(error) => {
                    let source = system_error(&error).unwrap_or(error);
                    StartError::Listen { address: address.clone(), source }
                }
            })?;
        }
        let seed = getrandom::u64().unwrap_or_else(|_| u64::from_be_bytes(*first_eight(&me)));
        let mut redial = Redial::new(me, config.timing.clone(), seed);
        redial.set_targets(config.dial, Instant::now());
        Ok(Self {
            me,
            swarm,
            metrics: Metrics::new(registry),
            stats: Stats::register(registry),
            timing: config.timing,
            limits: config.limits,
            redial,
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            sessions: JoinSet::new(),
            next_link: 0,
            commands,
            events,
            announcements: VecDeque::new(),
            due: None,
            stale: true,
        })
    }

    /// Runs until told to stop, or until the node is gone.
    pub(super) async fn run(mut self) {
        while self.step().await == Go::On {}
        self.shut_down().await;
    }

    async fn step(&mut self) -> Go {
        if self.stale {
            self.refresh(Instant::now());
        }
        let (due, events) = (self.due, self.events.clone());
        tokio::select! {
            event = self.swarm.select_next_some() => self.on_swarm(event),
            command = self.commands.recv() => match command {
                Some(command) => return self.on_command(command),
                None => return Go::Down,
            },
            Some(finished) = self.sessions.join_next() => match finished {
                Ok(finished) => self.on_finished(&finished),
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            },
            permit = events.reserve(), if !self.announcements.is_empty() => {
                if let (Ok(permit), Some(event)) = (permit, self.announcements.pop_front()) {
                    permit.send(event);
                }
            }
            // Nobody listens to us any more.
            () = events.closed() => return Go::Down,
            () = sleep_until(due), if due.is_some() => self.stale = true,
        }
        Go::On
    }

    /// Starts what is due and finds out when to look again.
    fn refresh(&mut self, now: Instant) {
        self.stale = false;
        let waiting: Vec<AuthorKey> =
            self.peers.iter().filter(|(_, peer)| peer.again.is_some_and(|at| at <= now)).map(|(key, _)| *key).collect();
        for key in waiting {
            self.settle(key, now);
        }
        while let Some(dial) = self.redial.due(self.swarm.behaviour().link.gate.admission(), now) {
            self.dial(dial, now);
        }
        let dial = self.redial.next_due(self.swarm.behaviour().link.gate.admission());
        let again = self.peers.values().filter_map(|peer| peer.again).min();
        self.due = [dial, again].into_iter().flatten().min();
    }

    fn dial(&mut self, dial: Dial, now: Instant) {
        let Dial { target, mut addresses } = dial;
        addresses.retain(is_tcp);
        if addresses.is_empty() {
            self.stats.dials_failed.inc();
            self.redial.not_started(&target, DialError::Unsupported, now);
            return;
        }
        let options = match &target {
            TargetId::Node(key) => DialOpts::peer_id(peer_id(key))
                // Whether to dial is the redial's decision; connections that only still close must not forbid it.
                .condition(PeerCondition::Always)
                .addresses(addresses)
                .allocate_new_port()
                .build(),
            TargetId::Address(address) => {
                DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build()
            }
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.redial.started(&target, connection),
            Err(error) => {
                self.stats.dials_failed.inc();
                self.redial.not_started(&target, dial_error(&error), now);
            }
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<NodeEvent>) {
        self.metrics.record(&event);
        let now = Instant::now();
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                if let Some(key) = author_key(&peer_id) {
                    self.on_established(key, connection_id, &endpoint, now);
                }
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                if let Some(key) = self.connections.remove(&connection_id) {
                    self.give_up(key, connection_id, DownReason::Lost, now);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.stats.dials_failed.inc();
                self.redial.failed(connection_id, dial_error(&error), now);
                self.stale = true;
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                self.on_refused(&error, &send_back_addr);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                if self.announcements.len() < ANNOUNCEMENTS_MAX {
                    self.announcements.push_back(NetEvent::Listening { address });
                }
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "no longer listening");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            // The enum may grow; none of the rest asks anything of us.
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: NodeEvent, now: Instant) {
        match event {
            NodeEvent::Ping(event) => {
                self.metrics.record(&event);
                let session = author_key(&event.peer)
                    .and_then(|key| self.peers.get_mut(&key))
                    .and_then(|peer| peer.session.as_mut());
                if let (Some(session), Ok(round_trip)) = (session, event.result)
                    && session.connection == event.connection
                {
                    session.round_trip = Some(round_trip);
                }
            }
            NodeEvent::Identify(event) => self.metrics.record(&event),
            NodeEvent::Mdns(mdns::Event::Discovered(list)) => {
                for (peer, address) in list {
                    if let Some(key) = author_key(&peer) {
                        self.redial.found(key, &address, now);
                    }
                }
                self.stale = true;
            }
            NodeEvent::Mdns(mdns::Event::Expired(list)) => {
                for (peer, address) in list {
                    if let Some(key) = author_key(&peer) {
                        self.redial.lost_sight(key, &address);
                    }
                }
                self.stale = true;
            }
            NodeEvent::Limits(never) | NodeEvent::Memory(never) | NodeEvent::Link(never) => match never {},
        }
    }

    fn on_established(&mut self, key: AuthorKey, id: ConnectionId, endpoint: &ConnectedPoint, now: Instant) {
        let remote = endpoint.get_remote_address().clone();
        let port = self.swarm.behaviour_mut().link.take_port(id);
        tracing::debug!(peer = %key, %remote, dialer = endpoint.is_dialer(), "connected");
        self.connections.insert(id, key);
        self.redial.connected(key, id, now);
        let held = Held { id, dialer: endpoint.is_dialer(), since: now };
        self.peers.entry(key).or_default().connections.push(Connection { held, remote, port });
        self.settle(key, now);
    }

    fn on_refused(&mut self, error: &ListenError, from: &Multiaddr) {
        let refusal = match error {
            ListenError::Denied { cause } => cause.downcast_ref::<Refusal>(),
            _ => None,
        };
        match refusal {
            Some(Refusal::Key) => {
                self.stats.refused_keys.inc();
            }
            Some(Refusal::KeyKind | Refusal::UnknownPeers | Refusal::Source) => {
                self.stats.refused_limits.inc();
            }
            None => {}
        }
        tracing::debug!(%from, %error, "inbound connection failed");
    }

    /// Chooses the connection that is the link of `key`, closes the others, and starts or ends the session accordingly.
    fn settle(&mut self, key: AuthorKey, now: Instant) {
        self.stale = true;
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let held: Vec<Held> = peer.connections.iter().map(|connection| connection.held).collect();
        let choice = choose(&self.me, &key, &held, now, self.timing.settle);
        peer.again = choice.again;
        for id in choice.close {
            peer.connections.retain(|connection| connection.held.id != id);
            self.connections.remove(&id);
            self.stats.duplicates.inc();
            self.swarm.close_connection(id);
        }
        if let Some(session) = &mut peer.session {
            let stays = peer.connections.iter().any(|connection| connection.held.id == session.connection);
            if !stays || choice.link.is_some_and(|link| link != session.connection) {
                end(session, DownReason::Duplicate);
            }
            // The next session starts when this one has reported its end.
            return;
        }
        let Some(chosen) = choice.link else {
            if peer.connections.is_empty() {
                self.peers.remove(&key);
            }
            return;
        };
        let Some(connection) = peer.connections.iter_mut().find(|connection| connection.held.id == chosen) else {
            return;
        };
        match connection.port.take() {
            Some(port) => {
                let remote = connection.remote.clone();
                let link = LinkId(self.next_link);
                self.next_link += 1;
                let dialer = connection.held.dialer;
                let facts = LinkFacts { link, peer: key, dialer, source: source(&remote), remote };
                self.start(chosen, facts, port, now);
            }
            // Its session has ended already: the connection is spent.
            None => self.close(key, chosen, DownReason::Lost, now),
        }
    }

    fn start(&mut self, connection: ConnectionId, facts: LinkFacts, port: Port, now: Instant) {
        let (link, key) = (facts.link, facts.peer);
        let shared = Shared::new(link, self.events.clone(), self.timing.clone(), &self.limits, self.stats.clone());
        let (session, ends) = Session::new(facts.clone(), shared, port);
        self.sessions.spawn(async move {
            let reason = session.run().await;
            tracing::debug!(peer = %key, %reason, "session over");
            Finished { peer: key, connection }
        });
        self.links.insert(link, key);
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.session = Some(Running {
                link,
                connection,
                commands: ends.commands,
                push: ends.push,
                close: Some(ends.close),
                facts,
                since: now,
                round_trip: None,
            });
        }
    }

    fn on_finished(&mut self, finished: &Finished) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(&finished.peer) else { return };
        if let Some(session) = peer.session.take() {
            self.links.remove(&session.link);
        }
        self.close(finished.peer, finished.connection, DownReason::Lost, now);
        self.settle(finished.peer, now);
    }

    /// Closes a connection of `key`, and its session with `reason`.
    fn close(&mut self, key: AuthorKey, connection: ConnectionId, reason: DownReason, now: Instant) {
        self.swarm.close_connection(connection);
        if self.connections.remove(&connection).is_some() {
            self.give_up(key, connection, reason, now);
        }
    }

    /// Forgets a connection that closed or is being closed; a new one may take its place at once.
    fn give_up(&mut self, key: AuthorKey, connection: ConnectionId, reason: DownReason, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.connections.retain(|other| other.held.id != connection);
        if let Some(session) = &mut peer.session
            && session.connection == connection
        {
            end(session, reason);
        }
        if peer.connections.is_empty() {
            self.redial.disconnected(key, now);
        }
        self.settle(key, now);
    }

    fn on_command(&mut self, command: NetCommand) -> Go {
        let now = Instant::now();
        match command {
            NetCommand::Push { link, frame } => {
                debug_assert!(is_whole(&frame), "the node pushes whole frames");
                if let Some(session) = self.session(link)
                    && session.push.push(frame) == Queued::Alone
                {
                    self.stats.push_overflows.inc();
                }
            }
            NetCommand::Ask { link, exchange, frame } => self.pass(link, LinkCommand::Ask { exchange, frame }),
            NetCommand::Answer { link, exchange, frames, last } => {
                self.pass(link, LinkCommand::Answer { exchange, frames, last });
            }
            NetCommand::Close { link, reason } => {
                if let Some((key, connection)) = self.session(link).map(|s| (s.facts.peer, s.connection)) {
                    self.close(key, connection, DownReason::Closed(reason), now);
                }
            }
            NetCommand::HoldOff { peer, pause } => {
                self.redial.hold_off(peer, now + pause);
                self.stale = true;
            }
            NetCommand::SetDial(list) => {
                self.redial.set_targets(list, now);
                self.stale = true;
            }
            NetCommand::SetAdmission(admission) => self.admit(admission, now),
            NetCommand::Status(reply) => {
                // Whoever asked may have given up.
                let _given_up = reply.send(self.status(now));
            }
            NetCommand::Shutdown => return Go::Down,
        }
        Go::On
    }

    fn session(&mut self, link: LinkId) -> Option<&mut Running> {
        let key = self.links.get(&link)?;
        self.peers.get_mut(key)?.session.as_mut().filter(|session| session.link == link)
    }

    fn pass(&mut self, link: LinkId, command: LinkCommand) {
        let Some(session) = self.session(link) else { return };
        match session.commands.try_send(command) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let (key, connection) = (session.facts.peer, session.connection);
                self.close(key, connection, DownReason::Overloaded, Instant::now());
            }
        }
    }

    fn admit(&mut self, admission: Admission, now: Instant) {
        self.swarm.behaviour_mut().link.gate.admit(admission);
        let gate = &self.swarm.behaviour().link.gate;
        let refused: Vec<(ConnectionId, AuthorKey)> =
            self.connections.iter().filter(|(_, key)| gate.refuses(key)).map(|(id, key)| (*id, *key)).collect();
        for (connection, key) in refused {
            self.close(key, connection, DownReason::Refused, now);
        }
        self.stale = true;
    }

    fn status(&self, now: Instant) -> NetStatus {
        let link = |session: &Running| LinkStatus {
            link: session.link,
            peer: session.facts.peer,
            dialer: session.facts.dialer,
            remote: session.facts.remote.clone(),
            age: now.saturating_duration_since(session.since),
            round_trip: session.round_trip,
            push_queue_bytes: session.push.bytes(),
            push_overflows: session.push.overflows(),
        };
        NetStatus {
            listen: self.swarm.listeners().cloned().collect(),
            links: self.peers.values().filter_map(|peer| peer.session.as_ref()).map(link).collect(),
            dials: self.redial.status(self.swarm.behaviour().link.gate.admission(), now),
            connections: self.swarm.network_info().connection_counters().num_established(),
        }
    }

    /// Ends every link and connection, within [`SHUTDOWN`].
    async fn shut_down(mut self) {
        self.commands.close();
        for peer in self.peers.values_mut() {
            if let Some(session) = &mut peer.session {
                end(session, DownReason::Shutdown);
            }
        }
        let connections: Vec<ConnectionId> = self.connections.keys().copied().collect();
        let down = async {
            while self.sessions.join_next().await.is_some() {}
            for connection in connections {
                self.swarm.close_connection(connection);
            }
            while self.swarm.network_info().num_peers() > 0 {
                let _last_words = self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(SHUTDOWN, down).await.is_err() {
            tracing::warn!("some connections did not close in time");
        }
    }
}

/// Tells a session to end, once.
fn end(session: &mut Running, reason: DownReason) {
    if let Some(close) = session.close.take() {
        // It may have ended by itself just now.
        let _ended = close.send(reason);
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn first_eight(key: &AuthorKey) -> &[u8; 8] {
    key.as_bytes().first_chunk().expect("a key has 32 bytes")
}
