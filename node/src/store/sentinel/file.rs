//! The sentinel's file on a real disk.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use comity_protocol::effect::{Authoring, SaveOp};
use comity_protocol::ids::{AuthorId, Tip};

use super::{BYTES, OpenError, OwnHeld, Sentinel, SentinelWrite, io};

/// Name of the file in a home, apart from the folder of the store, so that nobody copies one with the other unawares.
pub const FILE_NAME: &str = "node.sentinel";
/// Shortest time between two syncs in the background.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The open file with what it says.
#[derive(Debug)]
pub struct SentinelFile {
    sentinel: Sentinel,
    path: PathBuf,
    file: Arc<File>,
    dirty: SyncSender<()>,
    syncing: std::thread::Thread,
}

impl SentinelFile {
    /// Puts a whole file in the place of what is there, durably or not at all.
    ///
    /// # Errors
    /// [`OpenError::Io`]; what was there is then still there.
    pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
        let draft = path.with_extension("sentinel.new");
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(&draft, "remove", error)),
            Ok(()) | Err(_) => {}
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(&draft);
        let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|source| io(&draft, "write", source))?;
        std::fs::rename(&draft, path).map_err(|source| io(path, "create", source))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| io(folder, "sync", source))
    }

    /// Reads what is at `path`; a missing file says nothing.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn peek(path: &Path, me: AuthorId) -> Result<Sentinel, OpenError> {
        match File::open(path) {
            Ok(file) => {
                let mut bytes = vec![0; BYTES];
                let mut read = 0;
                while read < BYTES {
                    match file.read_at(&mut bytes[read..], read as u64).map_err(|source| io(path, "read", source))? {
                        0 => break,
                        more => read += more,
                    }
                }
                Ok(Sentinel::read(me, &bytes[..read]))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Sentinel::read(me, &[])),
            Err(source) => Err(io(path, "open", source)),
        }
    }

    /// Opens the sentinel of a home, making it if it is missing, and compares it with what the store holds.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn open(path: &Path, me: AuthorId, held: &OwnHeld) -> Result<(Self, Authoring), OpenError> {
        let mut sentinel = Self::peek(path, me)?;
        let (authoring, write) = sentinel.judge(held);
        if write.is_some() && authoring != Authoring::Free {
            // Whole and in one step: what was there may be damaged, or have another length.
            Self::replace(path, &sentinel.restored(Tip::NONE))?;
            sentinel = Self::peek(path, me)?;
        }
        let file = File::options().read(true).write(true).open(path).map_err(|source| io(path, "open", source))?;
        if let (Some(write), Authoring::Free) = (write, authoring) {
            let written = file.write_all_at(&write.bytes, write.at).and_then(|()| file.sync_data());
            written.map_err(|source| io(path, "write", source))?;
        }
        let file = Arc::new(file);
        let (dirty, syncs) = mpsc::sync_channel(1);
        let synced = Arc::clone(&file);
        let thread = std::thread::Builder::new().name("sentinel-sync".to_owned()).spawn(move || {
            while syncs.recv().is_ok() {
                if let Err(error) = synced.sync_data() {
                    tracing::error!(%error, "the sentinel cannot be synced");
                }
                // Ends early when the store is closed.
                std::thread::park_timeout(SYNC_EVERY);
            }
        });
        let thread = thread.map_err(|source| io(path, "start a thread for", source))?;
        let syncing = thread.thread().clone();
        Ok((Self { sentinel, path: path.to_owned(), file, dirty, syncing }, authoring))
    }

    /// Writes down what was committed, before anything of it leaves the process.
    ///
    /// # Errors
    /// What the system says; the node must not speak then.
    pub fn committed<'a>(&mut self, ops: impl Iterator<Item = &'a SaveOp>) -> std::io::Result<()> {
        let Some(SentinelWrite { at, bytes, sync }) = self.sentinel.committed(ops) else { return Ok(()) };
        self.file.write_all_at(&bytes, at)?;
        if sync {
            return self.file.sync_data();
        }
        // A sync that is due already takes this one along.
        self.dirty.try_send(()).unwrap_or_default();
        Ok(())
    }

    /// What it says.
    pub const fn sentinel(&self) -> &Sentinel {
        &self.sentinel
    }

    /// Syncs what was written; the thread in the background ends with the last handle.
    pub fn close(&self) {
        self.syncing.unpark();
        if let Err(error) = self.file.sync_data() {
            tracing::error!(%error, path = %self.path.display(), "the sentinel cannot be synced");
        }
    }
}
