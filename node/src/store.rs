//! The durable store: records are the truth, everything else can be rebuilt from them (STORE 5 and 6).
//!
//! One thread owns the only connection that writes. Requests wait in a bounded queue and are saved in groups, one
//! transaction a group, and answered only after its commit; there is no timer, the queue fills while the disk syncs.
//! All SQL of the product is in this module.

mod anchor;
mod authors;
mod backup;
mod check;
mod control;
mod create;
mod damage;
mod database;
mod error;
mod held;
mod load;
mod readers;
mod schema;
mod sentinel;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_protocol::control::VerifiedControl;
use comity_protocol::effect::SaveOp;
use comity_protocol::ids::{AllianceId, AuthorId, AuthorKey, NationId};
use tokio::sync::{mpsc, oneshot};

pub use backup::{BackupError, Occupied, Place, back_up, restore};
pub use check::{Checked, Depth, OwnEnvelope, OwnRecords, check, own_records};
pub use damage::{Counted, Damage};
pub use database::Database;
pub use error::{Full, OpenError, ReadError, SaveError};
pub use load::{Loaded, StoredEnvelope};
pub use readers::{Reader, Stats};
pub use schema::{APPLICATION_ID, SCHEMA_VERSION};
pub use sentinel::{FILE_NAME as SENTINEL_NAME, OwnHeld, Sentinel, SentinelFile, SentinelWrite};

use writer::{Command, Request, Writer};

/// Requests that may wait for the writer, per lane; a sender waits when it is full.
pub const QUEUE_MAX: usize = 4_096;
/// How long the database waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How a store is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bound on the file in bytes (`store.bytes_max`), in steps of a page of 4,096; none if absent.
    pub bytes_max: Option<u64>,
    /// Free bytes of the volume below which catch-up stops; the rest is kept for our own writes.
    pub catch_up_free_min: u64,
    /// Free bytes of the volume below which nothing is saved (the reserve of spec 4.12).
    pub free_min: u64,
    /// Name of a virtual file system registered with SQLite, for the simulator; the operating system's if absent.
    pub vfs: Option<String>,
    /// The sentinel of the home; without one nothing may be signed on what the store holds.
    pub sentinel: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bytes_max: None, catch_up_free_min: 256 << 20, free_min: 64 << 20, vfs: None, sentinel: None }
    }
}

/// Whose store it is; written at its creation and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The alliance.
    pub alliance: AllianceId,
    /// The nation that the node speaks for.
    pub nation: NationId,
    /// The node's key.
    pub node: AuthorKey,
}

impl Identity {
    /// Returns the author that this node is.
    pub const fn author(&self) -> AuthorId {
        AuthorId { nation: self.nation, key: self.node }
    }
}

/// Returns about how many bytes an operation adds to the file.
fn op_bytes(op: &SaveOp) -> usize {
    match op {
        SaveOp::Header(_) => 400,
        SaveOp::Signature { .. } => 64,
        SaveOp::Body { bytes, .. } => bytes.len(),
        SaveOp::Control(_) | SaveOp::Remember(_) | SaveOp::Anchor(_) | SaveOp::Halt { .. } | SaveOp::Release { .. } => {
            512
        }
    }
}

/// What is true after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Bytes of the file and its write-ahead log.
    pub store_bytes: u64,
    /// How much room is left.
    pub space: Space,
}

/// How much room the volume has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Enough.
    Ample,
    /// Below the floor of catch-up: it is refused until there is more.
    Low,
}

/// Which queue a request waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Own writes and what peers push: first, whatever else waits.
    Live,
    /// What a node fetches to catch up: waits for nothing but an empty first lane, stops first when room runs out.
    CatchUp,
}

/// An exclusive lock on a home, held by the store for as long as it may write; the system drops it with the process.
#[derive(Debug)]
pub struct Lock {
    file: std::fs::File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not left to closing: a program that this process is just starting holds a copy of every open file until it
        // runs, and with it the lock. An error leaves it to closing after all.
        rustix::fs::flock(&self.file, rustix::fs::FlockOperation::Unlock).unwrap_or_default();
    }
}

impl Lock {
    /// Takes the lock at `path`, creating the file; never waits.
    ///
    /// # Errors
    /// [`OpenError::Locked`] if another process, or another part of this one, has it; [`OpenError::Io`].
    pub fn acquire(path: &Path) -> Result<Self, OpenError> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|source| OpenError::Io { path: path.to_owned(), doing: "open", source })?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { path: path.to_owned() }),
            Err(error) => {
                Err(OpenError::Io { path: path.to_owned(), doing: "lock", source: std::io::Error::from(error) })
            }
        }
    }
}

/// A running store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    vfs: Option<String>,
    sentinel: Option<Arc<Mutex<SentinelFile>>>,
    live: mpsc::Sender<Command>,
    catch_up: mpsc::Sender<Command>,
    reader: Reader,
    stopped: oneshot::Receiver<()>,
}

impl Store {
    /// Creates the store of one node with its first control records; it is there complete or not at all.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Exists`] if there is one.
    pub fn create(path: &Path, identity: &Identity, control: &[VerifiedControl]) -> Result<(), OpenError> {
        create::create(path, identity, control)
    }

    /// Opens an existing store and starts its threads; `lock` is held until the last of them has ended.
    ///
    /// # Errors
    /// [`OpenError`]; a missing file is one, since an empty store would restart our own chain.
    pub fn open(path: &Path, settings: Settings, lock: Lock) -> Result<Self, OpenError> {
        let vfs = settings.vfs.clone();
        let sentinel_path = settings.sentinel.clone();
        let database = Database::open(path, settings)?;
        let sentinel = match sentinel_path {
            None => None,
            Some(sentinel) => {
                let (sentinel, _) = SentinelFile::open(&sentinel, database.own(), &database.own_held()?)?;
                Some(Arc::new(Mutex::new(sentinel)))
            }
        };
        let reader = Reader::start(path, vfs.as_deref())?;
        let (live, live_queue) = mpsc::channel(QUEUE_MAX);
        let (catch_up, catch_up_queue) = mpsc::channel(QUEUE_MAX);
        let (ended, stopped) = oneshot::channel();
        let writer = Writer::new(database, sentinel.clone(), live_queue, catch_up_queue, reader.activity());
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                writer.run();
                drop(lock);
                // Nobody may be waiting, which is fine.
                ended.send(()).unwrap_or_default();
            })
            .map_err(|source| OpenError::Io { path: path.to_owned(), doing: "start a thread for", source })?;
        Ok(Self { path: path.to_owned(), vfs, sentinel, live, catch_up, reader, stopped })
    }

    /// Makes `ops` durable, all or none; resolves after the commit.
    ///
    /// Saving what is held already changes nothing, so a request may be repeated. A body stands behind its header, here
    /// or in an earlier request; a signature fills in a header saved without one; a row that loading found damaged is
    /// replaced.
    ///
    /// # Errors
    /// [`SaveError`]; nothing of the request is stored then.
    pub async fn save(&self, ops: Vec<SaveOp>) -> Result<Saved, SaveError> {
        request(&self.live, ops).await
    }

    /// Makes `ops` durable as [`Store::save`] does, after everything that waits there, and not when room runs low.
    ///
    /// # Errors
    /// [`SaveError`]; nothing of the request is stored then.
    pub async fn save_catch_up(&self, ops: Vec<SaveOp>) -> Result<Saved, SaveError> {
        request(&self.catch_up, ops).await
    }

    /// Reads everything, checking each row against its id, and blocks while it does.
    ///
    /// Damaged rows are named in the result and otherwise as if they were not held; when their envelopes are saved again
    /// the rows are replaced.
    ///
    /// # Errors
    /// [`OpenError`], if the file cannot be read at all.
    pub fn load(&self) -> Result<Loaded, OpenError> {
        let connection = schema::open(&self.path, schema::Access::Read, self.vfs.as_deref())?;
        let mut loaded = load::load(&connection).map_err(|source| schema::sql(&self.path, "read", source))?;
        if let Some(sentinel) = &self.sentinel {
            sentinel.lock().unwrap_or_else(PoisonError::into_inner).sentinel().tell(&mut loaded);
        }
        let findings = loaded.take_findings();
        if findings.is_some_and(|findings| self.live.try_send(Command::Findings(findings)).is_err()) {
            tracing::warn!("the writer is busy, damaged rows are replaced after the next load");
        }
        Ok(loaded)
    }

    /// Changes the bound on the file.
    ///
    /// # Errors
    /// [`SaveError`].
    pub async fn set_bytes_max(&self, bytes_max: Option<u64>) -> Result<(), SaveError> {
        command(&self.live, |answer| Command::SetBytesMax(bytes_max, answer)).await
    }

    /// Returns what keeps the live lane from saving, if anything does: asked again and again after
    /// [`SaveError::DiskFull`], until there is room.
    ///
    /// # Errors
    /// [`SaveError::Fatal`] if the store takes no more writes at all, [`SaveError::Closed`].
    pub async fn full(&self) -> Result<Option<Full>, SaveError> {
        command(&self.live, Command::Full).await
    }

    /// Takes the present rows of `author` for all there are, where what is missing can never come back.
    ///
    /// Needed for nothing but the node's own chain, and only by an operator's word: once exactly what was missing is
    /// saved again, the store is satisfied by itself.
    ///
    /// # Errors
    /// [`SaveError`].
    pub async fn rebuild_frontier(&self, author: AuthorId) -> Result<(), SaveError> {
        command(&self.live, |answer| Command::RebuildFrontier(author, answer)).await
    }

    /// Returns a handle for reading beside the writer.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Finishes what waits, empties the write-ahead log, and releases the lock.
    pub async fn close(self) {
        let Self { live, catch_up, reader, stopped, sentinel, .. } = self;
        reader.close().await;
        drop((live, catch_up));
        // An error means the thread has ended already.
        stopped.await.unwrap_or_default();
        if let Some(sentinel) = sentinel {
            sentinel.lock().unwrap_or_else(PoisonError::into_inner).close();
        }
    }
}

async fn request(queue: &mpsc::Sender<Command>, ops: Vec<SaveOp>) -> Result<Saved, SaveError> {
    command(queue, |answer| Command::Save(Request { ops, answer })).await
}

async fn command<T>(
    queue: &mpsc::Sender<Command>,
    make: impl FnOnce(oneshot::Sender<Result<T, SaveError>>) -> Command,
) -> Result<T, SaveError> {
    let (answer, answered) = oneshot::channel();
    queue.send(make(answer)).await.map_err(|_| SaveError::Closed)?;
    answered.await.map_err(|_| SaveError::Closed)?
}

/// Returns where the write-ahead log of a store is.
fn wal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
