//! `peers.toml`: the peers an operator added while the node ran.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ADDRESSES_MAX, ConfigFileError, PeerAddress, file};
use crate::blame::Blame;

/// The name of the file within a home.
pub const PEERS_FILE_NAME: &str = "peers.toml";

/// Why the peers cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// An entry is not an address.
    #[error("{}: {address:?} is not the address of a peer", path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// The entry.
        address: String,
    },
    /// No room for another.
    #[error("{} holds {ADDRESSES_MAX} peers already", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl PeersError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::File(error) => error.blame(),
            Self::Address { .. } | Self::Full { .. } => Blame::Operator,
            Self::Write { .. } => Blame::Environment,
        }
    }
}

/// The peers an operator added, kept on disk.
#[derive(Clone, Debug)]
pub struct AddedPeers {
    path: PathBuf,
    list: Vec<PeerAddress>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeersFile {
    #[serde(default)]
    peers: Vec<String>,
}

impl AddedPeers {
    /// Reads the file in `home`; a missing one holds nobody.
    ///
    /// # Errors
    /// [`PeersError`].
    pub fn load(home: &Path) -> Result<Self, PeersError> {
        let path = home.join(PEERS_FILE_NAME);
        let PeersFile { peers } = file::parse(&path, &file::read(&path)?)?;
        let mut list = Vec::new();
        for text in peers.into_iter().take(ADDRESSES_MAX) {
            match text.parse() {
                Ok(peer) => list.push(peer),
                Err(_) => return Err(PeersError::Address { path, address: text }),
            }
        }
        Ok(Self { path, list })
    }

    /// The peers, in the order in which they were added.
    pub fn list(&self) -> &[PeerAddress] {
        &self.list
    }

    /// Adds a peer, or changes the key expected at its address; returns whether anything changed.
    ///
    /// # Errors
    /// [`PeersError`]; nothing changed then.
    pub fn add(&mut self, peer: PeerAddress) -> Result<bool, PeersError> {
        if self.list.contains(&peer) {
            return Ok(false);
        }
        let mut list = self.list.clone();
        list.retain(|known| known.address != peer.address);
        if list.len() >= ADDRESSES_MAX {
            return Err(PeersError::Full { path: self.path.clone() });
        }
        list.push(peer);
        self.write(list)?;
        Ok(true)
    }

    /// Removes the peer at `address`; returns whether there was one.
    ///
    /// # Errors
    /// [`PeersError`]; nothing changed then.
    pub fn remove(&mut self, address: &libp2p::Multiaddr) -> Result<bool, PeersError> {
        let mut list = self.list.clone();
        list.retain(|known| known.address != *address);
        if list.len() == self.list.len() {
            return Ok(false);
        }
        self.write(list)?;
        Ok(true)
    }

    /// Writes a new file and puts it in place of the old one, so that a crash leaves one of the two.
    fn write(&mut self, list: Vec<PeerAddress>) -> Result<(), PeersError> {
        let fail = |source| PeersError::Write { path: self.path.clone(), source };
        let text = PeersFile { peers: list.iter().map(ToString::to_string).collect() };
        let text = toml::to_string(&text).expect("a list of strings is TOML");
        let fresh = self.path.with_extension("toml.new");
        let mut file = std::fs::File::create(&fresh).map_err(fail)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
        std::fs::rename(&fresh, &self.path).map_err(fail)?;
        self.list = list;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_peers_survive_and_are_removed_by_address() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut peers = AddedPeers::load(home.path()).expect("no file is an empty one");
        let plain: PeerAddress = "/ip4/192.0.2.1/tcp/7400".parse().expect("an address");
        let keyed: PeerAddress = format!("{}@/ip4/192.0.2.1/tcp/7400", "cd".repeat(32)).parse().expect("an address");
        assert!(peers.add(plain.clone()).expect("kept"));
        assert!(!peers.add(plain.clone()).expect("known"));
        assert!(peers.add(keyed.clone()).expect("the key is learnt"));
        assert_eq!(AddedPeers::load(home.path()).expect("loads").list(), [keyed]);
        assert!(peers.remove(&plain.address).expect("removed"));
        assert!(!peers.remove(&plain.address).expect("gone"));
        assert!(AddedPeers::load(home.path()).expect("loads").list().is_empty());
    }
}
