//! TCP relays between ordered pairs of nodes: the only way one node of a testnet reaches another, and so the place to
//! cut, slow and count.
//!
//! The node of `from` dials the relay's port; the relay dials the node of `to`. Nothing of the nodes changes when a
//! link is cut: they see what a cut cable, a firewall or a slow line would show them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use utoipa::ToSchema;

mod pump;
mod serve;

pub use serve::{RelayPlan, RelayServeError, serve};

/// Connections one relay carries at a time; a node keeps one link per peer, so more than this is a dial storm.
pub const CONNECTIONS_PER_LINK_MAX: usize = 32;

/// How a cut shows itself to the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutKind {
    /// Nothing is forwarded or accepted and nobody is told, as when a line goes dead.
    #[default]
    Silent,
    /// Connections are reset and new ones closed at once, as when a firewall rejects.
    Reset,
}

/// An ordered pair of nations: `from` dials, `to` is dialled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// The nation whose node dials this relay.
    pub from: String,
    /// The nation whose node the relay dials.
    pub to: String,
}

/// Returns every ordered pair of distinct nations, in order.
pub fn pairs(nations: &[String]) -> Vec<Pair> {
    let mut all = Vec::new();
    for from in nations {
        for to in nations.iter().filter(|to| *to != from) {
            all.push(Pair { from: from.clone(), to: to.clone() });
        }
    }
    all
}

/// Bytes and connections a relay has carried since it opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkCount {
    /// The pair the relay stands between.
    #[serde(flatten)]
    pub pair: Pair,
    /// Bytes written to the node of `to`.
    pub bytes_out: u64,
    /// Bytes written back to the node of `from`.
    pub bytes_back: u64,
    /// Connections accepted.
    pub connections: u64,
}

/// Why relays could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The operating system gave no port.
    #[error("cannot listen for the link from {from} to {to}")]
    Listen {
        /// The dialling nation.
        from: String,
        /// The dialled nation.
        to: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Which way bytes flow through a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// From the dialling node to the dialled one.
    Out,
    /// From the dialled node back.
    Back,
}

/// What a relay does with new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Accepts and carries them.
    Open,
    /// Leaves them waiting.
    Hold,
    /// Accepts and resets them.
    Refuse,
}

/// Where the dialled node is found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// Nowhere yet.
    Unknown,
    /// At this address.
    Address(SocketAddr),
    /// At the address this file names, read anew for every connection.
    File(PathBuf),
}

/// The switch of one relay; every pump looks at it before each write, under its lock.
#[derive(Clone, Debug)]
struct Gate {
    access: Access,
    out_open: bool,
    back_open: bool,
    delay: Duration,
    /// Counts resets: a connection older than the latest one dies.
    resets: u64,
    target: Target,
}

impl Gate {
    fn new() -> Self {
        let (access, target) = (Access::Open, Target::Unknown);
        Self { access, out_open: true, back_open: true, delay: Duration::ZERO, resets: 0, target }
    }

    fn is_open(&self, direction: Direction) -> bool {
        match direction {
            Direction::Out => self.out_open,
            Direction::Back => self.back_open,
        }
    }
}

/// One relay: its switch and its counters.
#[derive(Debug)]
struct Link {
    pair: Pair,
    gate: watch::Sender<Gate>,
    bytes_out: AtomicU64,
    bytes_back: AtomicU64,
    connections: AtomicU64,
}

impl Link {
    fn counter(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Out => &self.bytes_out,
            Direction::Back => &self.bytes_back,
        }
    }

    fn count(&self) -> LinkCount {
        LinkCount {
            pair: self.pair.clone(),
            bytes_out: self.bytes_out.load(Ordering::SeqCst),
            bytes_back: self.bytes_back.load(Ordering::SeqCst),
            connections: self.connections.load(Ordering::SeqCst),
        }
    }
}

/// The relays of a testnet; dropping them closes every link.
#[derive(Debug)]
pub struct Relays {
    links: BTreeMap<Pair, (u16, Arc<Link>)>,
    tasks: Vec<AbortHandle>,
}

impl Relays {
    /// Opens one relay per pair on a loopback port: the one in `ports` where it is free, else one the system chooses.
    ///
    /// Targets are unknown at first: until [`Relays::set_target`], a connection is accepted and closed.
    /// # Errors
    /// [`RelayError::Listen`] if no port can be had; nothing stays open then.
    pub async fn open(pairs: &[Pair], ports: &BTreeMap<Pair, u16>) -> Result<Self, RelayError> {
        let mut relays = Self { links: BTreeMap::new(), tasks: Vec::new() };
        relays.add(pairs, ports).await?;
        Ok(relays)
    }

    /// Opens relays for further pairs, uncut, to where the relays towards the same node lead; a pair that has one keeps it.
    /// # Errors
    /// [`RelayError::Listen`] if no port can be had; those opened until then stay open.
    pub async fn add(&mut self, pairs: &[Pair], ports: &BTreeMap<Pair, u16>) -> Result<(), RelayError> {
        for pair in pairs {
            if self.links.contains_key(pair) {
                continue;
            }
            let (port, listener) = listen(ports.get(pair).copied()).await.map_err(|source| RelayError::Listen {
                from: pair.from.clone(),
                to: pair.to.clone(),
                source,
            })?;
            let mut gate = Gate::new();
            let known = self.links.iter().find(|(other, _)| other.to == pair.to);
            if let Some((_, (_, link))) = known {
                gate.target = link.gate.borrow().target.clone();
            }
            let link = Arc::new(Link {
                pair: pair.clone(),
                gate: watch::Sender::new(gate),
                bytes_out: AtomicU64::new(0),
                bytes_back: AtomicU64::new(0),
                connections: AtomicU64::new(0),
            });
            let accepting = tokio::spawn(pump::accept(listener, Arc::clone(&link)));
            self.tasks.push(accepting.abort_handle());
            self.links.insert(pair.clone(), (port, link));
        }
        Ok(())
    }

    /// Returns the port `from` dials to reach `to`; `None` if the pair has no relay.
    pub fn port(&self, from: &str, to: &str) -> Option<u16> {
        let pair = Pair { from: from.to_owned(), to: to.to_owned() };
        self.links.get(&pair).map(|(port, _)| *port)
    }

    /// Returns the port of every pair.
    pub fn ports(&self) -> BTreeMap<Pair, u16> {
        self.links.iter().map(|(pair, (port, _))| (pair.clone(), *port)).collect()
    }

    /// Says where the node of `nation` listens now; `None` while it is down, so that dialers see a closed connection.
    pub fn set_target(&self, nation: &str, address: Option<SocketAddr>) {
        let target = address.map_or(Target::Unknown, Target::Address);
        self.change(|pair| pair.to == nation, |_, gate| gate.target = target.clone());
    }

    /// Makes the relays towards `nation` read its address from `file` for every connection.
    fn set_target_file(&self, nation: &str, file: PathBuf) {
        let target = Target::File(file);
        self.change(|pair| pair.to == nation, |_, gate| gate.target = target.clone());
    }

    /// Cuts every link between different sides, both ways; a nation on no side keeps all its links.
    ///
    /// When this returns no further byte crosses until [`Relays::heal`]: pumps write under the switch's lock.
    pub fn cut(&self, sides: &[BTreeSet<String>], kind: CutKind) {
        self.change(
            |pair| crosses(pair, sides),
            |_, gate| {
                (gate.out_open, gate.back_open) = (false, false);
                match kind {
                    CutKind::Silent => gate.access = Access::Hold,
                    CutKind::Reset => {
                        gate.access = Access::Refuse;
                        gate.resets += 1;
                    }
                }
            },
        );
    }

    /// Silently stops bytes from `from` to `to`, whoever dialled; the other way stays open for connections that stand.
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.change(
            |pair| is_between(pair, from, to),
            |pair, gate| {
                gate.access = Access::Hold;
                if pair.from == from { gate.out_open = false } else { gate.back_open = false }
            },
        );
    }

    /// Delays every byte between two nations by `delay` each way, keeping their order; zero ends it.
    pub fn set_delay(&self, one: &str, other: &str, delay: Duration) {
        self.change(|pair| is_between(pair, one, other), |_, gate| gate.delay = delay);
    }

    /// Ends every cut; delays stay. Bytes held back by a silent cut flow on if their connection still stands.
    pub fn heal(&self) {
        self.change(|_| true, |_, gate| (gate.access, gate.out_open, gate.back_open) = (Access::Open, true, true));
    }

    /// Returns what each relay has carried.
    pub fn counts(&self) -> Vec<LinkCount> {
        self.links.values().map(|(_, link)| link.count()).collect()
    }

    /// Returns the bytes carried so far, both ways, by all links between different sides.
    pub fn bytes_across(&self, sides: &[BTreeSet<String>]) -> u64 {
        let crossing = self.counts().into_iter().filter(|count| crosses(&count.pair, sides));
        crossing.map(|count| count.bytes_out.saturating_add(count.bytes_back)).fold(0, u64::saturating_add)
    }

    fn change(&self, concerns: impl Fn(&Pair) -> bool, change: impl Fn(&Pair, &mut Gate)) {
        for (pair, (_, link)) in self.links.iter().filter(|(pair, _)| concerns(pair)) {
            link.gate.send_modify(|gate| change(pair, gate));
        }
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(wanted: Option<u16>) -> io::Result<(u16, TcpListener)> {
    let bound = match wanted {
        Some(port) => TcpListener::bind(("127.0.0.1", port)).await.ok(),
        None => None,
    };
    let listener = match bound {
        Some(listener) => listener,
        None => TcpListener::bind(("127.0.0.1", 0)).await?,
    };
    Ok((listener.local_addr()?.port(), listener))
}

fn side_of(nation: &str, sides: &[BTreeSet<String>]) -> Option<usize> {
    sides.iter().position(|side| side.contains(nation))
}

fn crosses(pair: &Pair, sides: &[BTreeSet<String>]) -> bool {
    match (side_of(&pair.from, sides), side_of(&pair.to, sides)) {
        (Some(from), Some(to)) => from != to,
        (None, _) | (_, None) => false,
    }
}

fn is_between(pair: &Pair, one: &str, other: &str) -> bool {
    (pair.from == one && pair.to == other) || (pair.from == other && pair.to == one)
}

#[cfg(test)]
mod tests;
