//! The swarm's parts: TCP with DNS names, Noise, Yamux, and the behaviours in the order they are asked.

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::metrics::BandwidthTransport;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{Config, NetworkBehaviour, Swarm};
use libp2p::{
    PeerId, Transport, connection_limits, dns, identify, identity, mdns, memory_connection_limits, noise, ping, tcp,
    yamux,
};
use prometheus_client::registry::Registry;

use crate::transport::identity::keypair;
use crate::transport::link::{Behaviour, Gate};
use crate::transport::muxer::BoundedClose;
use crate::transport::{StartError, TransportConfig, TransportTiming};

/// Streams of a connection, both directions: 8 of ours each way, as many of the peer's that it closed and we did not see
/// closed yet, and what ping and identify need.
const YAMUX_STREAMS_MAX: usize = 32;
/// Streams that may be negotiated at a time on a connection; more wait.
const NEGOTIATING_MAX: usize = 16;
/// How identify names us.
const PROTOCOL_VERSION: &str = "comity/1";

/// The behaviours. The limits stand first: the swarm asks in this order and stops at the first refusal.
#[derive(NetworkBehaviour)]
pub(in crate::transport) struct Node {
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(in crate::transport) link: Behaviour,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

/// Builds the swarm; it neither listens nor dials yet.
///
/// # Errors
/// [`StartError::Mdns`] if the search on the local network is wanted and cannot start.
pub(in crate::transport) fn swarm(
    config: &TransportConfig,
    registry: &mut Registry,
) -> Result<Swarm<Node>, StartError> {
    let key = keypair(&config.key);
    let me = key.public().to_peer_id();
    let transport = transport(&key, &config.timing, registry);
    let limits = &config.limits;
    let counts = connection_limits::ConnectionLimits::default()
        .with_max_established(Some(limits.connections))
        .with_max_established_per_peer(Some(limits.connections_per_peer))
        .with_max_pending_incoming(Some(limits.pending_inbound));
    let gate = Gate::new(config.admission.clone(), limits.pending_inbound_per_source, limits.unknown_inbound);
    let mdns = match config.mdns {
        true => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), me).map_err(StartError::Mdns)?),
        false => None,
    };
    let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), key.public())
        .with_agent_version(concat!("comity/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_cache_size(0)
        .with_hide_listen_addrs(true);
    let node = Node {
        limits: connection_limits::Behaviour::new(counts),
        memory: memory_connection_limits::Behaviour::with_max_percentage(limits.memory_share),
        link: Behaviour::new(gate, config.timing.stream_open),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(config.timing.ping)),
        identify: identify::Behaviour::new(identify),
        mdns: mdns.into(),
    };
    let settings = Config::with_tokio_executor().with_max_negotiating_inbound_streams(NEGOTIATING_MAX);
    Ok(Swarm::new(transport, node, me, settings))
}

fn transport(
    key: &identity::Keypair,
    timing: &TransportTiming,
    registry: &mut Registry,
) -> Boxed<(PeerId, StreamMuxerBox)> {
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    // A machine without a resolver configuration still reaches plain addresses.
    match dns::tokio::Transport::system(tcp()) {
        Ok(named) => secure(named.boxed(), key, timing, registry),
        Err(error) => {
            tracing::warn!(%error, "no name resolution: only plain addresses can be dialled");
            secure(tcp().boxed(), key, timing, registry)
        }
    }
}

fn secure<S>(
    raw: Boxed<S>,
    key: &identity::Keypair,
    timing: &TransportTiming,
    registry: &mut Registry,
) -> Boxed<(PeerId, StreamMuxerBox)>
where
    S: futures::AsyncRead + futures::AsyncWrite + Send + Unpin + 'static,
{
    let mut streams = yamux::Config::default();
    streams.set_max_num_streams(YAMUX_STREAMS_MAX);
    let close = timing.close;
    let secured = raw
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).expect("an ed25519 key signs"))
        .multiplex(streams)
        .timeout(timing.handshake)
        .boxed();
    BandwidthTransport::new(secured, registry)
        .map(move |(peer, muxer), _| (peer, StreamMuxerBox::new(BoundedClose::new(StreamMuxerBox::new(muxer), close))))
        .boxed()
}
