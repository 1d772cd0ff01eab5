//! The behaviour of links inside the swarm: who is let in, and streams that are neither lost nor left open (NETWORK 6).
//!
//! The streams of a connection do not pass through the swarm's task. Each connection has a [`Port`]: a channel of stream
//! requests down to its handler and one of inbound streams up. When the connection dies the handler goes, and with it
//! both channels, so every open request fails by itself and nothing is left behind.

mod gate;
mod handler;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use comity_protocol::ids::AuthorKey;
use futures::channel::{mpsc, oneshot};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};

pub(super) use gate::{Gate, Refusal};
use handler::Handler;

use super::identity::author_key;

/// Stream requests that may wait for a handler.
const REQUESTS_MAX: usize = 16;
/// Inbound streams that may wait for the link's task.
const INBOUND_MAX: usize = 16;

/// The protocols of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// One long stream each way: envelopes and heartbeats.
    Push,
    /// One stream for each exchange.
    Sync,
}

impl Protocol {
    const ALL: [Self; 2] = [Self::Push, Self::Sync];

    /// The name negotiated on the wire.
    pub(super) const fn name(self) -> StreamProtocol {
        match self {
            Self::Push => StreamProtocol::new("/comity/push/1"),
            Self::Sync => StreamProtocol::new("/comity/sync/1"),
        }
    }
}

/// A stream the peer opened.
#[derive(Debug)]
pub(super) struct Inbound {
    /// What it is for.
    pub(super) protocol: Protocol,
    /// The stream.
    pub(super) stream: Stream,
}

/// A wish for a stream.
#[derive(Debug)]
pub(super) struct OpenRequest {
    protocol: Protocol,
    reply: oneshot::Sender<Stream>,
}

/// The streams of one connection, for the link's task.
#[derive(Debug)]
pub(super) struct Port {
    /// Opens streams.
    pub(super) opener: Opener,
    /// Streams the peer opened; ends when the connection does.
    pub(super) inbound: mpsc::Receiver<Inbound>,
}

/// Opens streams on one connection.
#[derive(Clone, Debug)]
pub(super) struct Opener(mpsc::Sender<OpenRequest>);

/// A stream could not be opened: the connection is gone, the peer refused, or it took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no stream could be opened")]
pub(super) struct OpenError;

impl Opener {
    /// Opens a stream within the handler's deadline.
    ///
    /// # Errors
    /// [`OpenError`], also when the connection ends meanwhile.
    pub(super) async fn open(&mut self, protocol: Protocol) -> Result<Stream, OpenError> {
        let (reply, stream) = oneshot::channel();
        futures::SinkExt::send(&mut self.0, OpenRequest { protocol, reply }).await.map_err(|_| OpenError)?;
        stream.await.map_err(|_| OpenError)
    }
}

/// The behaviour: a gate in front, a handler for each connection, and the ports not yet collected.
pub(super) struct Behaviour {
    /// Who is let in.
    pub(super) gate: Gate,
    ports: BTreeMap<ConnectionId, Port>,
    stream_open: Duration,
}

impl Behaviour {
    /// A behaviour whose streams open within `stream_open`, either direction.
    pub(super) fn new(gate: Gate, stream_open: Duration) -> Self {
        Self { gate, ports: BTreeMap::new(), stream_open }
    }

    /// Takes the port of a connection just established.
    pub(super) fn take_port(&mut self, connection: ConnectionId) -> Option<Port> {
        self.ports.remove(&connection)
    }

    fn handler(&mut self, connection: ConnectionId) -> Handler {
        let (request_sender, requests) = mpsc::channel(REQUESTS_MAX);
        let (inbound_sender, inbound) = mpsc::channel(INBOUND_MAX);
        self.ports.insert(connection, Port { opener: Opener(request_sender), inbound });
        Handler::new(requests, inbound_sender, self.stream_open)
    }

    fn key_of(peer: &PeerId) -> Result<AuthorKey, ConnectionDenied> {
        author_key(peer).ok_or_else(|| ConnectionDenied::new(Refusal::KeyKind))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.gate.pending(connection, remote).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let key = Self::key_of(&peer)?;
        self.gate.inbound(connection, key, remote).map_err(ConnectionDenied::new)?;
        Ok(self.handler(connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let key = Self::key_of(&peer)?;
        self.gate.outbound(&key).map_err(ConnectionDenied::new)?;
        Ok(self.handler(connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let gone = match event {
            FromSwarm::ConnectionClosed(closed) => closed.connection_id,
            FromSwarm::DialFailure(failure) => failure.connection_id,
            FromSwarm::ListenFailure(failure) => failure.connection_id,
            _ => return,
        };
        self.gate.forget(gone);
        self.ports.remove(&gone);
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
