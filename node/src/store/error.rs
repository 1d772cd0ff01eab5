//! What can go wrong with the store, and what an operator reads about it.

use std::path::PathBuf;
use std::sync::Arc;

use comity_protocol::ids::EnvelopeId;

use crate::blame::Blame;

use super::schema::{APPLICATION_ID, SCHEMA_VERSION};

/// Why a store cannot be created or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not there; it is never created by opening, since an empty store would restart our own chain.
    #[error("no store at {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A store may be created only where there is none.
    #[error("a store exists already at {}", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An SQLite file of another program.
    #[error("{} has application id {found:#010x}, a store of comity has {APPLICATION_ID:#010x}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id it carries.
        found: i32,
    },
    /// Written by a newer release.
    #[error("{} has schema version {found}, this release knows up to {SCHEMA_VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// A file that never got its tables.
    #[error("{} has schema version {found}, the first is 1", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// The file system or the library did not take a setting on which durability rests.
    #[error("{} runs with {pragma} = {found}, {wanted} is needed", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// Which setting.
        pragma: &'static str,
        /// What we need.
        wanted: &'static str,
        /// What we got.
        found: String,
    },
    /// Another process holds the lock.
    #[error("{} is held by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The file is not a database, or its structure is broken.
    #[error("the store {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        source: rusqlite::Error,
    },
    /// Another error of the database.
    #[error("cannot {doing} the store {}", path.display())]
    Sql {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the database says.
        source: rusqlite::Error,
    },
    /// An error of the file system.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

impl OpenError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Exists { .. } => Blame::Operator,
            Self::Missing { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Setting { .. }
            | Self::Locked { .. }
            | Self::Damaged { .. }
            | Self::Sql { .. }
            | Self::Io { .. } => Blame::Environment,
        }
    }

    /// What the operator may do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some(
                "is its volume mounted, and is --home right? never run `comity init` again for a node that has signed: \
                 an empty store would restart its chain",
            ),
            Self::Exists { .. } => Some("use another --home, or keep this one"),
            Self::Foreign { .. } | Self::Older { .. } => Some("is --home right?"),
            Self::Newer { .. } => Some("run the release that wrote it, or a later one"),
            Self::Setting { .. } => Some("put the home on a local file system; network file systems do not work"),
            Self::Locked { .. } => Some("a node is running on this home; see `comity status`, or stop it first"),
            Self::Damaged { .. } => Some("run `comity node check --deep` for what is damaged"),
            Self::Sql { .. } | Self::Io { .. } => None,
        }
    }
}

/// What a full disk ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// `store.bytes_max`.
    Quota {
        /// The bound in bytes.
        bytes_max: u64,
    },
    /// The floor of free space below which this kind of save is not tried.
    Floor {
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    },
    /// The device itself.
    Device,
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quota { bytes_max } => write!(f, "the store has reached store.bytes_max = {bytes_max}"),
            Self::Floor { free, floor } => write!(f, "{free} bytes are free, {floor} are kept in reserve"),
            Self::Device => f.write_str("no space left on the device"),
        }
    }
}

/// Why a request was not saved; nothing of it is in the store then.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SaveError {
    /// No room. Everything was rolled back, the store goes on and a later save may succeed.
    #[error("disk full: {0}")]
    DiskFull(Full),
    /// Another process held the write lock for too long; a later save may succeed.
    #[error("another process is writing to the store")]
    Busy,
    /// A body for a header that is not held.
    #[error("no header {id} for this body")]
    NoHeader {
        /// The envelope.
        id: EnvelopeId,
    },
    /// An idempotency key that was used for other content.
    #[error("idempotency key {key:?} was used for other content")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// A number that does not fit the store's signed 64 bits.
    #[error("{what} does not fit 63 bits")]
    Range {
        /// Which number.
        what: &'static str,
    },
    /// The disk or the file failed; the store takes no more writes until the node was restarted (STORE 6).
    #[error("the store failed and takes no more writes: {0}")]
    Fatal(Arc<rusqlite::Error>),
    /// What was signed cannot be written down beside the store; it takes no more writes until the node was restarted.
    #[error("the sentinel cannot be written: {0}")]
    Sentinel(Arc<std::io::Error>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl SaveError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::KeyReused { .. } => Blame::Operator,
            Self::DiskFull(_)
            | Self::Busy
            | Self::NoHeader { .. }
            | Self::Range { .. }
            | Self::Fatal(_)
            | Self::Sentinel(_)
            | Self::Closed => Blame::Environment,
        }
    }

    /// Whether the same request may succeed later without anything else being done to the store.
    pub const fn may_retry(&self) -> bool {
        matches!(self, Self::DiskFull(_) | Self::Busy)
    }

    /// What the operator may do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DiskFull(Full::Quota { .. }) => Some("raise store.bytes_max in comity.toml"),
            Self::DiskFull(_) => Some("free space on the volume of the home; the node goes on by itself"),
            Self::Fatal(_) | Self::Sentinel(_) => Some("look at the disk, then run `comity node check --deep`"),
            Self::KeyReused { .. } => Some("use a new --id for new content"),
            Self::NoHeader { .. } => Some("the store's file is damaged: run `comity node check --deep`"),
            Self::Busy | Self::Range { .. } | Self::Closed => None,
        }
    }
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The database refused.
    #[error("cannot read the store")]
    Sql(#[from] rusqlite::Error),
}

impl ReadError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        Blame::Environment
    }
}
