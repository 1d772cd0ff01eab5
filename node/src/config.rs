//! What a node was told: flags before environment before `comity.toml` before defaults, each value with its source.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use comity_protocol::ids::AuthorKey;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::Deserialize;

use crate::blame::Blame;

mod file;
mod merge;
mod peers;
mod shown;

pub use file::ConfigFileError;
pub use peers::{AddedPeers, PEERS_FILE_NAME, PeersError};
pub use shown::ShownSetting;

/// The name of the configuration file within a home.
pub const FILE_NAME: &str = "comity.toml";
/// Most addresses `listen` and `peers` may each hold: every node of a full alliance, twice.
pub const ADDRESSES_MAX: usize = 1_024;
/// Smallest `store.bytes_max`: an empty store with its write-ahead log.
pub const STORE_BYTES_MAX_MIN: u64 = 1 << 20;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Env(&'static str),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line } => write!(f, "{FILE_NAME} line {line}"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value in effect.
    pub value: T,
    /// Who set it.
    pub source: Source,
}

/// An address to dial, with the key expected there where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The address, without a `/p2p` part.
    pub address: Multiaddr,
    /// The node expected at it; any if `None`.
    pub node: Option<AuthorKey>,
}

/// Form of the log on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything a node can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Setting<Vec<Multiaddr>>,
    /// Addresses to keep dialling.
    pub peers: Setting<Vec<PeerAddress>>,
    /// Whether to find neighbours by multicast DNS.
    pub mdns: Setting<Switch>,
    /// Whether to dial addresses from the members' own profiles.
    pub learn_addresses: Setting<Switch>,
    /// Longest pause between two dials of one peer.
    pub redial_max: Setting<Duration>,
    /// Most bytes of the store; `None` for no bound but the disk's.
    pub store_bytes_max: Setting<Option<u64>>,
    /// Filter of log lines, as `RUST_LOG` writes it.
    pub log: Setting<String>,
    /// Form of log lines.
    pub log_format: Setting<LogFormat>,
    /// Loopback TCP address of the local API; `None` for the socket only.
    pub api_tcp: Setting<Option<SocketAddr>>,
    /// `Host` names accepted over TCP, beside the loopback addresses themselves.
    pub api_hosts: Setting<Vec<String>>,
    /// `Origin` values accepted over TCP; none by default.
    pub api_origins: Setting<Vec<String>>,
    /// Group whose members may read over the socket.
    pub api_read_gid: Setting<Option<u32>>,
    /// Group whose members may read and write over the socket.
    pub api_author_gid: Setting<Option<u32>>,
    /// Pause between two witness envelopes of this node, if it is its nation's witness, while there is something new to
    /// acknowledge.
    pub witness_on_change_ms: Setting<u64>,
    /// The same while there is not.
    pub witness_heartbeat_ms: Setting<u64>,
}

/// Something that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It happens.
    On,
    /// It does not.
    Off,
}

impl Switch {
    /// Whether it is on.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// What the command line says; `None` or empty where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`, replacing the configured addresses.
    pub listen: Vec<String>,
    /// `--peer`, replacing the configured peers.
    pub peers: Vec<String>,
    /// `--log`.
    pub log: Option<String>,
    /// `--log-json`.
    pub log_format: Option<LogFormat>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file does not parse, or names a key that does not exist.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// A value is not what its key takes.
    #[error("{key} ({from}): {value:?} is not {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Where the value stands.
        from: Source,
        /// The value as written.
        value: String,
        /// What the key takes.
        expected: &'static str,
    },
    /// An environment variable is not UTF-8.
    #[error("environment {0} is not UTF-8")]
    EnvEncoding(&'static str),
}

impl ConfigError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::File(error) => error.blame(),
            Self::Value { .. } | Self::EnvEncoding(_) => Blame::Operator,
        }
    }
}

impl Config {
    /// Loads the configuration of `home`: flags before `env` before the file before defaults.
    ///
    /// A missing file is an empty one. `env` is asked for each variable by name.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key and where it stands.
    pub fn load(
        home: &Path,
        env: impl Fn(&str) -> Option<std::ffi::OsString>,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        merge::load(home, env, flags)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{}@{}", node.hex(), self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// Why text is not the address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a TCP multiaddress such as /ip4/192.0.2.1/tcp/7400, with the node's 64 hex digits and @ before it where wanted"
)]
pub struct PeerAddressError;

impl std::str::FromStr for PeerAddress {
    type Err = PeerAddressError;

    /// Reads `MULTIADDR` or `NODE@MULTIADDR`, the node as 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let (node, address) = match text.split_once('@') {
            Some((node, address)) => (Some(AuthorKey::from_hex(node).ok_or(PeerAddressError)?), address),
            None => (None, text),
        };
        Ok(Self { address: tcp_address(address).ok_or(PeerAddressError)?, node })
    }
}

/// Reads a multiaddress of an IP address or DNS name and a TCP port, and nothing more.
pub fn tcp_address(text: &str) -> Option<Multiaddr> {
    let address: Multiaddr = text.parse().ok()?;
    let mut parts = address.iter();
    let host = matches!(
        parts.next()?,
        Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)
    );
    let tcp = matches!(parts.next()?, Protocol::Tcp(_));
    (host && tcp && parts.next().is_none()).then_some(address)
}

#[cfg(test)]
mod tests;
