//! A node's home: its folder, its keys, its lock and its socket.
//!
//! ```text
//! HOME/comity.toml         configuration
//! HOME/keys/node.key       what the node signs with; 0600 in a folder of 0700
//! HOME/keys/kem.key        what others encrypt to
//! HOME/store/node.sqlite   the record
//! HOME/node.sentinel       what the node's key has signed last; apart from the store, and never in a backup with it
//! HOME/node.lock           held by whoever may write the store
//! HOME/node.sock           the local API, or a link to it where the path would be too long
//! HOME/peers.toml          added by `comity peers add`
//! ```

mod keys;
mod socket;

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use comity_protocol::control::{ControlRecord, VerifiedControl};
use comity_protocol::ids::{AuthorKey, NationId};
use comity_protocol::keys::SecretKey;

use crate::blame::Blame;
use crate::store::{Identity, Lock, OpenError, SENTINEL_NAME, Sentinel, SentinelFile, Store};

pub use keys::{KemKey, KeyError};
pub use socket::{SOCKET_PATH_MAX, SocketError, SocketPlace};

/// A node's folder; nothing of it need exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

/// The public half of a new node: what its nation's root enrols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// Whose store was created.
    pub identity: Identity,
    /// The node's X25519 key for compartments.
    pub kem: [u8; 32],
}

/// Why a home cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither `XDG_DATA_HOME` nor `HOME` says where it is.
    #[error("no home is given, and neither XDG_DATA_HOME nor HOME is an absolute path")]
    Nowhere,
    /// A home is initialised once: a second node key or an empty store would fork the chain.
    #[error("{} is a home already", path.display())]
    Initialised {
        /// What is there.
        path: PathBuf,
    },
    /// Nothing there.
    #[error("{} is no home of a node", path.display())]
    NotInitialised {
        /// The home.
        path: PathBuf,
    },
    /// The record given is no genesis.
    #[error("the record given is no genesis")]
    NoGenesis,
    /// A file or folder cannot be made.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The operating system has no entropy to give.
    #[error("the operating system gives no random bytes")]
    Entropy(#[source] getrandom::Error),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
}

impl HomeError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Nowhere | Self::Initialised { .. } | Self::NotInitialised { .. } | Self::NoGenesis => Blame::Operator,
            Self::Io { .. } | Self::Entropy(_) => Blame::Environment,
            Self::Key(error) => error.blame(),
            Self::Store(error) => error.blame(),
        }
    }

    /// What the operator may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Nowhere => Some("use --home, or set COMITY_HOME".to_owned()),
            Self::Initialised { .. } => Some("use another --home for another node".to_owned()),
            Self::NotInitialised { .. } => {
                Some("is --home right, and its volume mounted? `comity init` makes a home for a new node".to_owned())
            }
            Self::NoGenesis => Some("use the file that `comity genesis assemble` wrote".to_owned()),
            Self::Io { .. } | Self::Entropy(_) => None,
            Self::Key(error) => error.hint(),
            Self::Store(error) => error.hint().map(str::to_owned),
        }
    }
}

impl Home {
    /// Takes a folder as a home.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the home that is used where none is given: `$XDG_DATA_HOME/comity`, else `~/.local/share/comity`.
    ///
    /// `env` is asked for each variable by name; a relative path counts as not set, as the XDG base directory
    /// specification wants it.
    ///
    /// # Errors
    /// [`HomeError::Nowhere`].
    pub fn default_place(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, HomeError> {
        let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        data.map(|data| Self::new(data.join("comity"))).ok_or(HomeError::Nowhere)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path.join(crate::config::FILE_NAME)
    }

    /// The file with peers added by hand.
    pub fn peers(&self) -> PathBuf {
        self.path.join("peers.toml")
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.path.join("store/node.sqlite")
    }

    /// The sentinel's file.
    pub fn sentinel(&self) -> PathBuf {
        self.path.join(SENTINEL_NAME)
    }

    /// The lock file.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("node.lock")
    }

    /// The node's request to be enrolled, written by `comity init`.
    pub fn request(&self) -> PathBuf {
        self.path.join("node.request")
    }

    fn keys_folder(&self) -> PathBuf {
        self.path.join("keys")
    }

    fn node_key_file(&self) -> PathBuf {
        self.keys_folder().join("node.key")
    }

    fn kem_key_file(&self) -> PathBuf {
        self.keys_folder().join("kem.key")
    }

    /// Makes the home of a new node of `nation`: folders, keys from the operating system's entropy, a store that holds
    /// the genesis, and a configuration in which everything is commented out.
    ///
    /// # Errors
    /// [`HomeError`]; what was made until then is removed again. A folder that holds a key or a store is left alone.
    pub fn init(&self, genesis: &VerifiedControl, nation: NationId) -> Result<Initialised, HomeError> {
        let ControlRecord::Genesis(signed) = genesis.record() else { return Err(HomeError::NoGenesis) };
        let alliance = signed.genesis.alliance_id();
        for taken in [self.keys_folder(), self.path.join("store"), self.config(), self.sentinel()] {
            if std::fs::symlink_metadata(&taken).is_ok() {
                return Err(HomeError::Initialised { path: taken });
            }
        }
        make_folder(&self.path)?;
        let _lock = self.lock()?;
        self.fill(genesis, |node| Identity { alliance, nation, node }).inspect_err(|_| {
            // Nothing of it was ever used, and the first error says more than a second one.
            std::fs::remove_dir_all(self.keys_folder()).unwrap_or_default();
            std::fs::remove_dir_all(self.path.join("store")).unwrap_or_default();
            std::fs::remove_file(self.config()).unwrap_or_default();
            std::fs::remove_file(self.sentinel()).unwrap_or_default();
        })
    }

    fn fill(
        &self,
        genesis: &VerifiedControl,
        identity: impl FnOnce(AuthorKey) -> Identity,
    ) -> Result<Initialised, HomeError> {
        make_folder(&self.keys_folder())?;
        let node = SecretKey::from_seed(&*keys::draw(&self.node_key_file())?);
        let kem = KemKey::from_secret(*keys::draw(&self.kem_key_file())?).public();
        write_new(&self.config(), CONFIG_TEMPLATE.as_bytes(), 0o644)?;
        let folder = self.path.join("store");
        make_folder(&folder)?;
        let identity = identity(node.public());
        Store::create(&self.store(), &identity, std::slice::from_ref(genesis))?;
        // Last: without it the node would author nothing, and there is nothing else to finish.
        SentinelFile::replace(&self.sentinel(), &Sentinel::fresh(identity.node))?;
        for folder in [&self.keys_folder(), &self.path] {
            let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|source| HomeError::Io { doing: "sync", path: folder.clone(), source })?;
        }
        Ok(Initialised { identity, kem })
    }

    /// Takes the home's lock; whoever opens the store for writing hands it over.
    ///
    /// # Errors
    /// [`HomeError::NotInitialised`] if there is no such folder; [`OpenError::Locked`] if another process has it.
    pub fn lock(&self) -> Result<Lock, HomeError> {
        if !self.path.is_dir() {
            return Err(HomeError::NotInitialised { path: self.path.clone() });
        }
        Ok(Lock::acquire(&self.lock_file())?)
    }

    /// Loads the key that the node signs with, refusing one that others could have read (spec 4.18).
    ///
    /// # Errors
    /// [`HomeError::NotInitialised`] if there is no keys folder; [`KeyError`].
    pub fn node_key(&self) -> Result<SecretKey, HomeError> {
        if !self.keys_folder().is_dir() {
            return Err(HomeError::NotInitialised { path: self.path.clone() });
        }
        Ok(SecretKey::from_seed(&*keys::load(&self.node_key_file())?))
    }

    /// Loads the key that others encrypt to, under the rules of [`Home::node_key`].
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn kem_key(&self) -> Result<KemKey, HomeError> {
        Ok(KemKey::from_secret(*keys::load(&self.kem_key_file())?))
    }

    /// Returns where the node's socket goes, making what is needed for it; only for whoever holds the lock.
    ///
    /// `HOME/node.sock`, or for a home whose path is too long a file in the run folder with a link to it at
    /// `HOME/node.sock`. A socket left by a killed node is removed.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn prepare_socket(
        &self,
        _lock: &Lock,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<SocketPlace, SocketError> {
        socket::prepare(&self.path, env)
    }

    /// Returns the path by which a client reaches the node's socket.
    ///
    /// # Errors
    /// [`SocketError`] if the path is too long and no link leads to a shorter one.
    pub fn socket(&self) -> Result<PathBuf, SocketError> {
        socket::find(&self.path)
    }
}

/// Makes a folder of 0700 with its parents, or takes one that is there.
fn make_folder(path: &Path) -> Result<(), HomeError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| HomeError::Io { doing: "make", path: path.to_owned(), source })
}

/// Writes a file that must not be there yet, through to the disk.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HomeError> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(
        |source| match source.kind() {
            ErrorKind::AlreadyExists => HomeError::Initialised { path: path.to_owned() },
            _ => HomeError::Io { doing: "create", path: path.to_owned(), source },
        },
    )?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| HomeError::Io {
        doing: "write",
        path: path.to_owned(),
        source,
    })
}

const CONFIG_TEMPLATE: &str = r#"# Configuration of this Comity node. Every value is commented out and shows its default or an example.
# Flags go before the environment, the environment before this file; `comity node run --print-config` shows what counts.

# Where the node listens for other nodes.
#listen = ["/ip4/0.0.0.0/tcp/7400"]

# Nodes to dial; a node's 64 hex digits and @ before an address make sure who answers.
#peers = ["/dns/node.example.org/tcp/7400"]

# Find nodes of the alliance on the local network.
#mdns = false

# Dial addresses that members publish in their profiles.
#learn_addresses = true

# Longest pause between two attempts to reach a peer.
#redial_max = "30s"

# Log filter and format ("text" or "json").
#log = "info"
#log_format = "text"

[store]
# Bound on the store's file in bytes; when it is reached the node stops writing and goes on serving.
#bytes_max = 10737418240

[api]
# The local API also on this loopback address, with a bearer token; off unless set.
#tcp = "127.0.0.1:7480"
#hosts = ["localhost"]
#origins = []
# Groups whose members may read, or read and write, over the socket, beside the node's own user.
#read_gid = 1000
#author_gid = 1000
"#;

#[cfg(test)]
mod tests;
