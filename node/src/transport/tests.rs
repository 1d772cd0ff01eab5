//! Two and more transports over real sockets on loopback.

mod hostile;
mod lifecycle;
mod relay;
mod traffic;

use std::time::Duration;

use comity_protocol::keys::SecretKey;

use super::*;

/// Far longer than anything here takes; what it guards against is hanging.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running transport that listens on loopback.
struct TestNode {
    key: AuthorKey,
    address: Multiaddr,
    handle: TransportHandle,
    events: mpsc::Receiver<NetEvent>,
    registry: Registry,
}

/// Default bounds, short times.
fn config(seed: u8) -> TransportConfig {
    let mut config = TransportConfig::new(SecretKey::from_seed(&[seed; 32]));
    config.listen.push("/ip4/127.0.0.1/tcp/0".parse().expect("an address"));
    config.timing.handshake = Duration::from_secs(2);
    config.timing.redial_first = Duration::from_millis(100);
    config.timing.redial_max = Duration::from_millis(400);
    config
}

fn public(seed: u8) -> AuthorKey {
    SecretKey::from_seed(&[seed; 32]).public()
}

fn to(address: &Multiaddr, node: Option<AuthorKey>) -> DialTarget {
    DialTarget { address: address.clone(), node, origin: DialOrigin::Static }
}

async fn start(config: TransportConfig) -> TestNode {
    let key = config.key.public();
    let mut registry = Registry::default();
    let (handle, events) = Transport::start(config, &mut registry).expect("loopback can be listened on");
    let mut node = TestNode { key, address: Multiaddr::empty(), handle, events, registry };
    node.address = node.status_until(|status| !status.listen.is_empty()).await.listen.remove(0);
    node
}

/// A node that knows where `peer` is.
async fn start_towards(seed: u8, peer: &TestNode) -> TestNode {
    let mut config = config(seed);
    config.dial.push(to(&peer.address, Some(peer.key)));
    start(config).await
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("done long before the deadline")
}

impl TestNode {
    /// The next event that is not about listening.
    async fn next(&mut self) -> NetEvent {
        loop {
            match within(self.events.recv()).await.expect("the transport runs") {
                NetEvent::Listening { .. } => {}
                event => return event,
            }
        }
    }

    /// Waits for the link to `peer`, passing over links to others and their ends.
    async fn up(&mut self, with: AuthorKey) -> LinkId {
        loop {
            match self.next().await {
                NetEvent::LinkUp { link, peer, .. } if peer == with => return link,
                NetEvent::LinkUp { .. } | NetEvent::LinkDown { .. } => {}
                other => panic!("{other:?} before the link is up"),
            }
        }
    }

    /// Waits for the end of `link`, passing over everything else.
    async fn down(&mut self, link: LinkId) -> DownReason {
        loop {
            if let NetEvent::LinkDown { link: ended, reason } = self.next().await
                && ended == link
            {
                return reason;
            }
        }
    }

    async fn send(&self, command: NetCommand) {
        self.handle.send(command).await.expect("the transport runs");
    }

    async fn status(&self) -> NetStatus {
        self.handle.status().await.expect("the transport runs")
    }

    /// Asks for the status until it is as wanted.
    async fn status_until(&self, wanted: impl Fn(&NetStatus) -> bool) -> NetStatus {
        let start = tokio::time::Instant::now();
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "still {status:#?}");
            tokio::task::yield_now().await;
        }
    }

    /// The value of a counter as it is exported.
    fn counter(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("a string takes all");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).expect("the counter is exported")
    }
}

fn frame(tag: u16, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 2).expect("a small frame");
    [&length.to_be_bytes()[..], &tag.to_be_bytes(), content].concat()
}

fn end() -> Vec<u8> {
    frame(framing::TAG_END, &[1])
}
