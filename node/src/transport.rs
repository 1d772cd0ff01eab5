//! The network: libp2p over TCP, Noise and Yamux, one link for each peer, frames in and out (spec 4.13).
//!
//! One task owns the swarm: it dials, accepts, refuses, and decides which of several connections to a peer is the link. It
//! never waits for the node; what a slow node leaves unread stays in the sockets. Each link has tasks of its own for its
//! streams. A frame is opaque here but for its length and the tag of the frame that ends a reply.

mod bucket;
mod framing;
mod identity;
mod link;
mod muxer;
mod push;
mod redial;
mod session;
mod stats;
mod swarm;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use comity_protocol::ids::AuthorKey;
use comity_protocol::keys::SecretKey;
use comity_protocol::limits;
use libp2p::Multiaddr;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

/// A link: one connection to one peer, from its [`NetEvent::LinkUp`] to its [`NetEvent::LinkDown`]; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What the network tells the node. Events of one link come in order: `LinkUp` first, `LinkDown` last, each once.
#[derive(Debug)]
pub enum NetEvent {
    /// We accept connections on this address.
    Listening {
        /// The address, with the port the system chose.
        address: Multiaddr,
    },
    /// A peer is connected, has proved its key and speaks our protocols.
    LinkUp {
        /// The link.
        link: LinkId,
        /// The peer's key.
        peer: AuthorKey,
        /// Whether we dialled.
        dialer: bool,
        /// The address at the other end: the one we dialled, or the one it came from.
        remote: Multiaddr,
        /// The internet address in `remote`, if it holds one.
        source: Option<IpAddr>,
    },
    /// The link is over, and with it every exchange on it; commands that name it are ignored from now on.
    LinkDown {
        /// The link.
        link: LinkId,
        /// Why it ended.
        reason: DownReason,
    },
    /// A frame came on the push stream.
    Push {
        /// The link.
        link: LinkId,
        /// The whole frame: length, tag, content.
        frame: Vec<u8>,
    },
    /// The peer asks; it is answered by [`NetCommand::Answer`].
    Asked {
        /// The link.
        link: LinkId,
        /// Names the exchange among those the peer opened on this link.
        exchange: u64,
        /// The request: length, tag, content.
        frame: Vec<u8>,
    },
    /// A frame of the answer to one of our requests; the one with tag 12 is the last.
    Reply {
        /// The link.
        link: LinkId,
        /// As named in [`NetCommand::Ask`].
        exchange: u64,
        /// The whole frame: length, tag, content.
        frame: Vec<u8>,
    },
    /// One of our requests will get no (further) reply. Not sent for exchanges that end with their link.
    ExchangeFailed {
        /// The link.
        link: LinkId,
        /// As named in [`NetCommand::Ask`].
        exchange: u64,
        /// Why.
        why: ExchangeError,
    },
    /// The link's push queue was full and has been emptied: what was in it must reach the peer by sync. Overflows that
    /// follow at once may share one event.
    PushStalled {
        /// The link.
        link: LinkId,
    },
    /// All frames of an answer that was not the last part were taken over by the connection: time for the next part.
    AnswerDrained {
        /// The link.
        link: LinkId,
        /// As named in [`NetEvent::Asked`].
        exchange: u64,
    },
}

/// What the node tells the network. A command that names a link already down is ignored.
#[derive(Debug)]
pub enum NetCommand {
    /// Queues a frame for the link's push stream; if more than [`limits::PUSH_QUEUE_BYTES_MAX`] wait there, the queue is
    /// emptied first and the peer is left to sync.
    Push {
        /// The link.
        link: LinkId,
        /// The whole frame: length, tag, content.
        frame: Vec<u8>,
    },
    /// Opens an exchange and sends its request. Beyond the streams a peer allows, requests wait their turn.
    Ask {
        /// The link.
        link: LinkId,
        /// Chosen by the caller, unique among its exchanges on this link.
        exchange: u64,
        /// The whole frame: length, tag, content.
        frame: Vec<u8>,
    },
    /// Sends (part of) the answer to a request of the peer.
    Answer {
        /// The link.
        link: LinkId,
        /// As named in [`NetEvent::Asked`].
        exchange: u64,
        /// Whole frames; the very last of an answer is the End frame.
        frames: Vec<Vec<u8>>,
        /// Whether this is all; otherwise [`NetEvent::AnswerDrained`] asks for more.
        last: bool,
    },
    /// Ends the link at once, whatever state its connection is in.
    Close {
        /// The link.
        link: LinkId,
        /// For logs and [`DownReason::Closed`].
        reason: &'static str,
    },
    /// Does not dial a peer for a while, whichever way it is listed; it may still come by itself.
    HoldOff {
        /// The peer's key.
        peer: AuthorKey,
        /// For how long from now.
        pause: Duration,
    },
    /// Replaces the list of peers to keep links with.
    SetDial(Vec<DialTarget>),
    /// Replaces what is known about keys; links of keys that are now refused are closed.
    SetAdmission(Admission),
    /// Asks for the state of links and redials.
    Status(oneshot::Sender<NetStatus>),
    /// Ends all links and stops; the event channel closes when everything is down.
    Shutdown,
}

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// We closed it on command.
    #[error("closed: {0}")]
    Closed(&'static str),
    /// The peer closed the connection, or it broke.
    #[error("connection lost")]
    Lost,
    /// Both ends dialled; the other connection stays.
    #[error("another connection to the same peer stays")]
    Duplicate,
    /// The peer's key is refused since a change of the rosters.
    #[error("key is refused")]
    Refused,
    /// The push stream of one direction ended or stalled.
    #[error("push stream ended")]
    PushEnded,
    /// The peer sent a frame over its bound, or another thing no frame allows.
    #[error("malformed frame")]
    Malformed,
    /// The link's commands were not taken up in time.
    #[error("overloaded")]
    Overloaded,
    /// The network stops.
    #[error("shutting down")]
    Shutdown,
}

/// Why a request gets no (further) reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// No stream could be opened.
    #[error("no stream could be opened")]
    NoStream,
    /// Too many requests wait for a stream already.
    #[error("too many requests wait")]
    Busy,
    /// The stream ended before the End frame.
    #[error("stream ended before the end of the reply")]
    Ended,
    /// Nothing moved for the idle deadline.
    #[error("no progress within the idle deadline")]
    Idle,
    /// The reply holds a frame that announces {length} bytes.
    #[error("frame announces {length} bytes")]
    FrameLength {
        /// The announced length.
        length: u32,
    },
}

/// A peer to keep a link with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialTarget {
    /// Where it may be reached; a trailing `/p2p/…` counts as the expected key.
    pub address: Multiaddr,
    /// The key expected there; any other key that answers is then refused.
    pub node: Option<AuthorKey>,
    /// Who says so.
    pub origin: DialOrigin,
}

/// Where a dial target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialOrigin {
    /// The operator; dialled whatever key answers.
    Static,
    /// A member's profile or the local network; dialled only while the key is in [`Admission::active`].
    Learned,
}

/// What the rosters say about keys (spec 4.13).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Keys Active in an evaluated roster.
    pub active: BTreeSet<AuthorKey>,
    /// Keys Retired or of a removed nation: refused at the handshake unless also active.
    pub refused: BTreeSet<AuthorKey>,
}

/// The state of links and redials at one moment.
#[derive(Clone, Debug, Default)]
pub struct NetStatus {
    /// Addresses we accept connections on.
    pub listen: Vec<Multiaddr>,
    /// Links that are up or coming up.
    pub links: Vec<LinkStatus>,
    /// Peers we keep links with.
    pub dials: Vec<DialStatus>,
    /// Connections that exist, those that still flush before they close included.
    pub connections: u32,
}

/// The state of one link.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The link.
    pub link: LinkId,
    /// The peer's key.
    pub peer: AuthorKey,
    /// Whether we dialled.
    pub dialer: bool,
    /// The address at the other end.
    pub remote: Multiaddr,
    /// How long the connection has existed.
    pub age: Duration,
    /// Round trip as last measured; for display only.
    pub round_trip: Option<Duration>,
    /// Bytes waiting for the push stream.
    pub push_queue_bytes: usize,
    /// How often the push queue overflowed and was emptied.
    pub push_overflows: u64,
}

/// The state of one peer we keep a link with.
#[derive(Clone, Debug)]
pub struct DialStatus {
    /// The key expected, or the one that answered last.
    pub node: Option<AuthorKey>,
    /// Where it is tried, all at once.
    pub addresses: Vec<Multiaddr>,
    /// What happens now.
    pub state: DialState,
    /// Failed attempts since the last lasting link.
    pub attempts: u32,
    /// Why the last attempt failed or the last connection ended; none after a lasting link.
    pub last_error: Option<DialError>,
}

/// What happens to a dial target now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialState {
    /// The peer is connected.
    Connected,
    /// An attempt runs.
    Dialling,
    /// The next attempt starts in so long.
    Waiting(Duration),
    /// Not tried: its key is refused, or learned and not Active.
    Held,
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Neither connection nor handshake within the dial timeout, or the handshake failed.
    #[error("no answer, or no Comity node there")]
    Handshake,
    /// The operating system says.
    #[error("cannot connect: {0}")]
    Io(io::ErrorKind),
    /// Another key answers at the address.
    #[error("another key answers there: {0}")]
    WrongKey(AuthorKey),
    /// The address leads back to this node.
    #[error("the address is this node's own")]
    Myself,
    /// The transport cannot dial such an address.
    #[error("not an address for tcp")]
    Unsupported,
    /// A limit of ours, or the key is refused.
    #[error("denied here by a limit or by admission")]
    Denied,
    /// The peer closed the connection soon after it was made.
    #[error("the peer closed the connection")]
    ClosedEarly,
}

/// Times of the transport; tests shorten them.
#[derive(Clone, Debug)]
pub struct TransportTiming {
    /// A dial, and a handshake of either direction, in all.
    pub handshake: Duration,
    /// Opening a stream, either direction.
    pub stream_open: Duration,
    /// Longest time without progress inside a frame, of a reply, or of a write.
    pub idle: Duration,
    /// First back-off of a redial; doubles up to `redial_max`.
    pub redial_first: Duration,
    /// Longest back-off of a redial.
    pub redial_max: Duration,
    /// What the larger key waits before each dial, to make duplicates rare.
    pub head_start: Duration,
    /// How long a connection that might lose the tie-break waits for a better one.
    pub settle: Duration,
    /// A connection that lasted so long resets the back-off; longer than a stay in the lobby.
    pub lasting: Duration,
    /// Interval of pings, which only measure.
    pub ping: Duration,
    /// How long a closing connection may flush.
    pub close: Duration,
}

impl Default for TransportTiming {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            stream_open: Duration::from_secs(5),
            idle: Duration::from_millis(limits::EXCHANGE_IDLE_MS),
            redial_first: Duration::from_millis(500),
            redial_max: Duration::from_secs(30),
            head_start: Duration::from_millis(300),
            settle: Duration::from_millis(250),
            lasting: Duration::from_secs(20),
            ping: Duration::from_secs(15),
            close: Duration::from_secs(1),
        }
    }
}

/// Bounds of the transport, each with its reason in NETWORK section 5 or spec 4.11.
#[derive(Clone, Debug)]
pub struct TransportLimits {
    /// Connections in all.
    pub connections: u32,
    /// Connections of one peer until the tie-break leaves one.
    pub connections_per_peer: u32,
    /// Handshakes of inbound connections under way, in all.
    pub pending_inbound: u32,
    /// Handshakes of inbound connections under way from one source address, loopback excepted.
    pub pending_inbound_per_source: usize,
    /// Inbound connections of keys that are not Active, in all; one for each source address, loopback excepted.
    pub unknown_inbound: usize,
    /// Share of the machine's memory this process may use before connections are refused.
    pub memory_share: f64,
    /// Events the node may leave unread before links stop reading.
    pub events: usize,
    /// Bytes a link may send us in a second, sustained; over it we stop reading.
    pub bytes_per_second: u64,
    /// Bytes a link may send us in a burst.
    pub bytes_burst: u64,
    /// Requests a link may make in a second, sustained; over it they wait.
    pub requests_per_second: u64,
    /// Requests a link may make in a burst.
    pub requests_burst: u64,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            connections: 600,
            connections_per_peer: 4,
            pending_inbound: 32,
            pending_inbound_per_source: 8,
            unknown_inbound: limits::LOBBY_LINKS_MAX,
            memory_share: 0.9,
            // At most 80 MiB even if every one is a frame of the largest size.
            events: 64,
            // A loopback catch-up stays below it; one peer cannot keep a gigabit line and our disk busy for ever.
            bytes_per_second: 64 << 20,
            bytes_burst: 256 << 20,
            requests_per_second: limits::REQUESTS_PER_SECOND,
            requests_burst: limits::REQUESTS_BURST,
        }
    }
}

/// What a transport is started with.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// The node's key, which is its network identity.
    pub key: SecretKey,
    /// Addresses to accept connections on.
    pub listen: Vec<Multiaddr>,
    /// Peers to keep links with.
    pub dial: Vec<DialTarget>,
    /// What is known about keys.
    pub admission: Admission,
    /// Whether members are looked for on the local network.
    pub mdns: bool,
    /// Times.
    pub timing: TransportTiming,
    /// Bounds.
    pub limits: TransportLimits,
}

impl TransportConfig {
    /// A transport with `key` that neither listens nor dials yet, with the default times and bounds.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            listen: Vec::new(),
            dial: Vec::new(),
            admission: Admission::default(),
            mdns: false,
            timing: TransportTiming::default(),
            limits: TransportLimits::default(),
        }
    }
}

/// Why a transport could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system refuses an address to listen on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An address to listen on is no TCP address.
    #[error("cannot listen on {address}: not an address for tcp")]
    ListenUnsupported {
        /// The address.
        address: Multiaddr,
    },
    /// The search on the local network could not start.
    #[error("cannot start the search on the local network")]
    Mdns(#[source] io::Error),
}

/// The transport has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the network has stopped")]
pub struct Stopped;

/// Starts transports.
#[derive(Debug)]
pub enum Transport {}

/// Gives commands to a running transport; dropping the last one stops it.
#[derive(Clone, Debug)]
pub struct TransportHandle {
    commands: mpsc::Sender<NetCommand>,
}

/// Commands that may wait for the swarm's task; it never blocks, so a few suffice.
const COMMANDS_MAX: usize = 256;

impl Transport {
    /// Listens, registers its metrics and starts to dial; must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if an address cannot be listened on or mDNS cannot start; nothing then runs.
    pub fn start(
        config: TransportConfig,
        registry: &mut Registry,
    ) -> Result<(TransportHandle, mpsc::Receiver<NetEvent>), StartError> {
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (events, event_receiver) = mpsc::channel(config.limits.events.max(1));
        let network = swarm::Network::new(config, registry, commands, events)?;
        tokio::spawn(network.run());
        Ok((TransportHandle { commands: command_sender }, event_receiver))
    }
}

impl TransportHandle {
    /// Hands over a command, waiting only for the swarm's task, never for a peer.
    ///
    /// # Errors
    /// [`Stopped`] after a shutdown.
    pub async fn send(&self, command: NetCommand) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    /// Returns the state of links and redials.
    ///
    /// # Errors
    /// [`Stopped`] after a shutdown.
    pub async fn status(&self) -> Result<NetStatus, Stopped> {
        let (reply, status) = oneshot::channel();
        self.send(NetCommand::Status(reply)).await?;
        status.await.map_err(|_| Stopped)
    }

    /// Waits until the transport has stopped.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }
}

/// Whether a connection survives where both ends dialled; both ends decide alike (NETWORK section 6).
pub fn keep(me: &AuthorKey, peer: &AuthorKey, i_dialled: bool) -> bool {
    (me < peer) == i_dialled
}

#[cfg(test)]
mod tests;
