//! Carries the bytes of one relay.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Access, CONNECTIONS_PER_LINK_MAX, Direction, Gate, Link, Target};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 16_384;
/// Chunks on their way through a delay; a slow line is no store, beyond this the sender feels it.
const CHUNKS_UNDER_WAY_MAX: usize = 64;
/// Pause after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long the relay tries to reach the dialled node.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Accepts for one relay until it is aborted.
pub(super) async fn accept(listener: TcpListener, link: Arc<Link>) {
    let mut gate = link.gate.subscribe();
    let mut carried = JoinSet::new();
    loop {
        let access = gate.borrow_and_update().access;
        if access == Access::Hold {
            if gate.changed().await.is_err() {
                return;
            }
            continue;
        }
        let accepted = tokio::select! {
            changed = gate.changed() => if changed.is_err() { return } else { continue },
            accepted = listener.accept() => accepted,
            Some(_) = carried.join_next() => continue,
        };
        let Ok((dialer, _)) = accepted else {
            // Out of descriptors, most likely: let some close.
            sleep(ACCEPT_RETRY).await;
            continue;
        };
        // The gate may have closed while we accepted; a connection of a held link then waits unread in its pump.
        if access == Access::Refuse || carried.len() >= CONNECTIONS_PER_LINK_MAX {
            let _ = dialer.set_zero_linger();
            continue;
        }
        link.connections.fetch_add(1, Ordering::SeqCst);
        carried.spawn(carry(dialer, Arc::clone(&link)));
    }
}

/// Joins one accepted connection to the dialled node until both ends closed, one failed, or a reset came.
async fn carry(dialer: TcpStream, link: Arc<Link>) {
    let mut gate = link.gate.subscribe();
    let resets = gate.borrow_and_update().resets;
    let Ok(dialled) = dial(&dialer, &link).await else {
        let _ = dialer.set_zero_linger();
        return;
    };
    let (mut dialer, mut dialled) = (dialer, dialled);
    let is_clean = tokio::select! {
        _ = gate.wait_for(|gate| gate.resets != resets) => false,
        joined = join(&mut dialer, &mut dialled, &link) => joined.is_ok(),
    };
    if !is_clean {
        // Both nodes then see a reset and no orderly end.
        let _ = (dialer.set_zero_linger(), dialled.set_zero_linger());
    }
}

async fn dial(dialer: &TcpStream, link: &Link) -> io::Result<TcpStream> {
    let mut gate = link.gate.subscribe();
    dialer.set_nodelay(true)?;
    wait_open(&mut gate, Direction::Out).await?;
    let target = gate.borrow_and_update().target.clone();
    let Some(address) = resolve(&target).await else { return Err(io::ErrorKind::ConnectionRefused.into()) };
    let dialled = timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await??;
    dialled.set_nodelay(true)?;
    Ok(dialled)
}

async fn join(dialer: &mut TcpStream, dialled: &mut TcpStream, link: &Link) -> io::Result<()> {
    let (dialer_read, dialer_write) = dialer.split();
    let (dialled_read, dialled_write) = dialled.split();
    tokio::try_join!(
        pump(dialer_read, dialled_write, link, Direction::Out),
        pump(dialled_read, dialer_write, link, Direction::Back),
    )?;
    Ok(())
}

async fn resolve(target: &Target) -> Option<SocketAddr> {
    match target {
        Target::Unknown => None,
        Target::Address(address) => Some(*address),
        Target::File(path) => tokio::fs::read_to_string(path).await.ok()?.trim().parse().ok(),
    }
}

/// Moves one direction's bytes, each chunk not before its delay has passed and never while the gate is shut.
async fn pump(read: ReadHalf<'_>, write: WriteHalf<'_>, link: &Link, direction: Direction) -> io::Result<()> {
    let (queue, under_way) = mpsc::channel(CHUNKS_UNDER_WAY_MAX);
    tokio::try_join!(fill(read, queue, link, direction), drain(write, under_way, link, direction))?;
    Ok(())
}

async fn fill(
    read: ReadHalf<'_>,
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
    link: &Link,
    direction: Direction,
) -> io::Result<()> {
    let mut gate = link.gate.subscribe();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        wait_open(&mut gate, direction).await?;
        read.readable().await?;
        let (is_open, delay) = {
            let gate = gate.borrow();
            (gate.is_open(direction), gate.delay)
        };
        if !is_open {
            continue;
        }
        match read.try_read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                let due = Instant::now() + delay;
                if queue.send((due, chunk[..length].to_vec())).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn drain(
    mut write: WriteHalf<'_>,
    mut under_way: mpsc::Receiver<(Instant, Vec<u8>)>,
    link: &Link,
    direction: Direction,
) -> io::Result<()> {
    let mut gate = link.gate.subscribe();
    while let Some((due, chunk)) = under_way.recv().await {
        sleep_until(due).await;
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            wait_open(&mut gate, direction).await?;
            write.writable().await?;
            // Written and counted under the gate's lock: after `cut` returned, neither can happen.
            let gate = gate.borrow();
            if !gate.is_open(direction) {
                continue;
            }
            match write.try_write(rest) {
                Ok(written) => {
                    link.counter(direction).fetch_add(u64::try_from(written).unwrap_or(u64::MAX), Ordering::SeqCst);
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    wait_open(&mut gate, direction).await?;
    write.shutdown().await
}

async fn wait_open(gate: &mut watch::Receiver<Gate>, direction: Direction) -> io::Result<()> {
    match gate.wait_for(|gate| gate.is_open(direction)).await {
        Ok(_) => Ok(()),
        Err(_) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}
