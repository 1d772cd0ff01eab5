//! A TCP relay whose bytes can be stopped, as a cut cable or a firewall stops them: without a word to either end.

use libp2p::multiaddr::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// They pass.
    Pass,
    /// Nothing is accepted and nothing read.
    Hold,
    /// Connections are accepted, bytes read and forgotten.
    Swallow,
}

/// A relay to one address; ends when dropped.
pub(super) struct Relay {
    pub(super) address: Multiaddr,
    flow: watch::Sender<Flow>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// A relay that passes everything to `to`.
    pub(super) async fn to(to: &Multiaddr) -> Self {
        let port = to.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None });
        let port = port.expect("a tcp address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let own = listener.local_addr().expect("bound").port();
        let (flow, watched) = watch::channel(Flow::Pass);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, port, watched));
        let address = format!("/ip4/127.0.0.1/tcp/{own}").parse().expect("an address");
        Self { address, flow, _tasks: tasks }
    }

    /// From now on bytes fare so.
    pub(super) fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }
}

async fn accept(listener: TcpListener, port: u16, mut flow: watch::Receiver<Flow>) {
    let mut pumps = JoinSet::new();
    loop {
        flow.wait_for(|flow| *flow != Flow::Hold).await.expect("the relay lives as long as its tasks");
        let (near, _) = tokio::select! {
            accepted = listener.accept() => accepted.expect("a listener"),
            _ = flow.changed() => continue,
        };
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        pumps.spawn(pump(near_read, far_write, flow.clone()));
        pumps.spawn(pump(far_read, near_write, flow.clone()));
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut flow: watch::Receiver<Flow>) {
    let mut bytes = vec![0; 65_536];
    loop {
        if flow.wait_for(|flow| *flow != Flow::Hold).await.is_err() {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            _ = flow.changed() => continue,
        };
        // While bytes are swallowed the end of a connection is too.
        if read == 0 && flow.wait_for(|flow| *flow == Flow::Pass).await.is_err() {
            return;
        }
        let now = *flow.borrow();
        if read == 0 || (now == Flow::Pass && to.write_all(&bytes[..read]).await.is_err()) {
            return;
        }
    }
}
