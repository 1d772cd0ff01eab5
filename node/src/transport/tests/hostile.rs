//! Peers that break the rules, below and above the handshake.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::Stream;
use libp2p::swarm::SwarmEvent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::*;
use crate::transport::link::{Inbound, Port, Protocol};
use crate::transport::swarm::build;

/// A peer with the right handshake and streams in our hands.
struct Rogue {
    port: Port,
    _swarm: JoinSet<()>,
}

impl Rogue {
    async fn towards(seed: u8, victim: &TestNode) -> Self {
        let mut swarm = build::swarm(&config(seed), &mut Registry::default()).expect("no mdns wanted");
        swarm.dial(victim.address.clone()).expect("an address");
        let (sender, port) = oneshot::channel();
        let mut sender = Some(sender);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                if let SwarmEvent::ConnectionEstablished { connection_id, .. } = swarm.select_next_some().await {
                    let port = swarm.behaviour_mut().link.take_port(connection_id).expect("one for each");
                    sender.take().expect("one connection").send(port).expect("awaited");
                }
            }
        });
        Self { port: within(port).await.expect("connected"), _swarm: tasks }
    }

    async fn open(&mut self, protocol: Protocol) -> Stream {
        within(self.port.opener.open(protocol)).await.expect("a stream")
    }

    /// The next exchange the victim opens, its request read.
    async fn asked(&mut self) -> Stream {
        loop {
            let Inbound { protocol, mut stream } = within(self.port.inbound.next()).await.expect("connected");
            if protocol == Protocol::Sync {
                let mut request = [0; 6];
                within(stream.read_exact(&mut request)).await.expect("a request");
                assert_eq!(request.as_slice(), frame(4, b""));
                return stream;
            }
        }
    }
}

async fn write(stream: &mut Stream, bytes: &[u8]) {
    within(stream.write_all(bytes)).await.expect("room");
    within(stream.flush()).await.expect("room");
}

/// Waits for the other end to close or reset.
async fn ended(stream: &mut Stream) {
    let mut rest = Vec::new();
    // Broken or closed: both are an end.
    let _either = within(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
}

fn quick() -> TransportConfig {
    let mut config = config(1);
    config.timing.idle = Duration::from_millis(300);
    config.timing.handshake = Duration::from_millis(300);
    config
}

#[tokio::test]
async fn a_length_over_the_bound_ends_the_link() {
    for protocol in [Protocol::Push, Protocol::Sync] {
        let mut victim = start(config(1)).await;
        let mut rogue = Rogue::towards(2, &victim).await;
        let link = victim.up(public(2)).await;
        let mut stream = rogue.open(protocol).await;
        write(&mut stream, &[0xff; 8]).await;
        assert_eq!(victim.down(link).await, DownReason::Malformed, "{protocol:?}");
        assert_eq!(victim.counter("net_malformed_total"), 1);
    }
}

#[tokio::test]
async fn half_a_push_ends_the_link_and_half_a_request_only_its_stream() {
    let mut victim = start(quick()).await;
    let mut rogue = Rogue::towards(2, &victim).await;
    let link = victim.up(public(2)).await;
    let mut stream = rogue.open(Protocol::Sync).await;
    write(&mut stream, &[0, 0]).await;
    ended(&mut stream).await;
    let mut push = rogue.open(Protocol::Push).await;
    write(&mut push, &frame(10, b"whole")).await;
    let NetEvent::Push { frame: pushed, .. } = victim.next().await else { panic!("the whole one") };
    assert_eq!(pushed, frame(10, b"whole"));
    write(&mut push, &frame(10, b"half")[..7]).await;
    assert_eq!(victim.down(link).await, DownReason::PushEnded);
}

#[tokio::test]
async fn a_reply_that_ends_without_the_end_frame_fails() {
    let mut victim = start(quick()).await;
    let mut rogue = Rogue::towards(2, &victim).await;
    let link = victim.up(public(2)).await;
    let reply = frame(5, b"part");
    // What is written, whether the stream is then closed, what the asker makes of it.
    let cases = [
        (reply.clone(), true, ExchangeError::Ended),
        ([&reply[..], &reply[..5]].concat(), true, ExchangeError::Ended),
        (reply.clone(), false, ExchangeError::Idle),
        ([&reply[..], &[0xff; 4]].concat(), false, ExchangeError::FrameLength { length: u32::MAX }),
    ];
    for (exchange, (bytes, close, expected)) in (0..).zip(cases) {
        victim.send(NetCommand::Ask { link, exchange, frame: frame(4, b"") }).await;
        let mut stream = rogue.asked().await;
        write(&mut stream, &bytes).await;
        if close {
            within(stream.close()).await.expect("open");
        }
        match victim.next().await {
            NetEvent::Reply { exchange: of, frame, .. } => assert_eq!((of, frame), (exchange, reply.clone())),
            other => panic!("{other:?}"),
        }
        match victim.next().await {
            NetEvent::ExchangeFailed { exchange: of, why, .. } => assert_eq!((of, why), (exchange, expected)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(victim.counter("net_exchanges_failed_total"), 4);
}

#[tokio::test]
async fn requests_that_are_given_up_make_room_and_more_than_allowed_are_reset() {
    let mut victim = start(config(1)).await;
    let mut rogue = Rogue::towards(2, &victim).await;
    let link = victim.up(public(2)).await;
    let mut streams = Vec::new();
    for _ in 0..14 {
        let mut stream = rogue.open(Protocol::Sync).await;
        write(&mut stream, &frame(4, b"")).await;
        assert!(matches!(victim.next().await, NetEvent::Asked { .. }));
        streams.push(stream);
    }
    let mut over = rogue.open(Protocol::Sync).await;
    ended(&mut over).await;
    assert_eq!(victim.counter("net_streams_reset_total"), 1);
    drop(streams);
    // Resets travel apart from the next stream: try until one is taken.
    let exchange = within(async {
        loop {
            let mut stream = rogue.open(Protocol::Sync).await;
            let request = frame(4, b"");
            if stream.write_all(&request).await.is_err() || stream.flush().await.is_err() {
                continue;
            }
            let mut byte = [0; 1];
            tokio::select! {
                event = victim.next() => match event {
                    NetEvent::Asked { exchange, .. } => break exchange,
                    other => panic!("{other:?}"),
                },
                _ = stream.read(&mut byte) => {}
            }
        }
    })
    .await;
    victim.send(NetCommand::Answer { link, exchange, frames: vec![end()], last: true }).await;
}

#[tokio::test]
async fn garbage_and_silence_on_the_port_are_closed_and_disturb_nobody() {
    let mut victim = start(quick()).await;
    let port = victim.address.to_string().rsplit('/').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
    let mut sockets = Vec::new();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4_096], b"\x13/multistream/1.0.0\n", b"\x13", b""] {
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        socket.write_all(garbage).await.expect("room");
        sockets.push(socket);
    }
    let mut member = start_towards(2, &victim).await;
    victim.up(member.key).await;
    member.up(victim.key).await;
    for mut socket in sockets {
        let mut rest = Vec::new();
        // Reset or closed: both are an end.
        let _either = within(socket.read_to_end(&mut rest)).await;
    }
    assert_eq!(victim.status_until(|status| status.connections == 1).await.links.len(), 1);
}

#[tokio::test]
async fn a_peer_that_sends_too_fast_is_read_more_slowly_and_loses_nothing() {
    let mut config = config(1);
    config.limits.bytes_burst = 10_000;
    config.limits.bytes_per_second = 200_000;
    config.limits.requests_burst = 2;
    config.limits.requests_per_second = 50;
    let mut victim = start(config).await;
    let mut rogue = Rogue::towards(2, &victim).await;
    victim.up(public(2)).await;
    let mut push = rogue.open(Protocol::Push).await;
    for number in 0..60_u8 {
        write(&mut push, &frame(10, &[number; 1_000])).await;
    }
    for number in 0..60_u8 {
        let NetEvent::Push { frame: pushed, .. } = victim.next().await else { panic!("a push") };
        assert_eq!(pushed, frame(10, &[number; 1_000]));
    }
    assert!(victim.counter("net_throttled_total") > 0);
}
