//! Where things are in a testnet's folder.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::TestnetError;
use crate::files::read_json;

/// The name under which the relay process keeps its files.
pub(super) const RELAY: &str = "relay";
/// Bytes of a log shown when its process failed.
const LOG_END_BYTES: usize = 2_000;

/// Shortest pause of a testnet's witnesses.
const WITNESS_ON_CHANGE_MIN_MS: usize = 250;

/// A nation of a testnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its code.
    pub code: String,
    /// Its node's key, 64 hexadecimal digits.
    pub node: String,
}

/// `testnet.json`: written once, when the founding is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestnetFile {
    /// The nations in the order they were asked for.
    pub members: Vec<Member>,
}

/// The paths of one testnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Creates the folder and its parts where they are missing.
    /// # Errors
    /// [`TestnetError::Folder`].
    pub fn create(dir: &Path) -> Result<Self, TestnetError> {
        let failed = |source| TestnetError::Folder { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        Self::open(dir)
    }

    /// Opens an existing folder.
    /// # Errors
    /// [`TestnetError::Folder`] if there is none.
    pub fn open(dir: &Path) -> Result<Self, TestnetError> {
        let dir = dir.canonicalize().map_err(|source| TestnetError::Folder { path: dir.to_owned(), source })?;
        Ok(Self { dir })
    }

    /// Creates `alliance`, `logs` and `run`.
    pub(super) fn create_parts(&self) -> Result<(), TestnetError> {
        for path in [self.alliance(), self.dir.join("logs"), self.dir.join("run")] {
            std::fs::create_dir_all(&path).map_err(|source| TestnetError::Folder { path, source })?;
        }
        Ok(())
    }

    /// Returns the folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the home of a nation's node.
    pub fn home(&self, code: &str) -> PathBuf {
        self.dir.join(code)
    }

    /// Returns where root keys, genesis and rosters are.
    pub fn alliance(&self) -> PathBuf {
        self.dir.join("alliance")
    }

    /// Returns the log of a process: a nation's code, or the relay's name.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    /// Returns where a process is remembered.
    pub(super) fn pid_path(&self, name: &str) -> PathBuf {
        self.dir.join("run").join(format!("{name}.pid"))
    }

    /// Returns the end of a log, for an error message.
    pub(super) fn log_end(&self, name: &str) -> String {
        let path = self.log_path(name);
        let bytes = std::fs::read(&path).unwrap_or_default();
        let end = bytes.get(bytes.len().saturating_sub(LOG_END_BYTES)..).unwrap_or_default();
        let text = String::from_utf8_lossy(end).trim().to_owned();
        if text.is_empty() { format!("nothing in {}", path.display()) } else { text }
    }

    /// Returns what the folder says about its testnet; `None` if there is none.
    pub(super) fn testnet(&self) -> Result<Option<TestnetFile>, TestnetError> {
        let path = self.testnet_path();
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(read_json(&path)?))
    }

    /// Returns the pause after which a witness says what it has seen.
    ///
    /// A testnet has no minute to wait for that; but every witness tells everybody about everybody, so that twenty of them
    /// on one machine would do little else.
    pub(super) fn witness_on_change_ms(&self) -> Result<usize, TestnetError> {
        let nations = self.testnet()?.map_or(0, |testnet| testnet.members.len());
        Ok((nations * nations * 10).max(WITNESS_ON_CHANGE_MIN_MS))
    }

    pub(super) fn testnet_path(&self) -> PathBuf {
        self.dir.join("testnet.json")
    }

    /// Refuses a folder that holds anything but an interrupted founding.
    pub(crate) fn check_empty(&self) -> Result<(), TestnetError> {
        let failed = |source| TestnetError::Folder { path: self.dir.clone(), source };
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != LOCK && !name.to_string_lossy().starts_with(super::founding::DRAFT) {
                return Err(TestnetError::NotATestnet { dir: self.dir.clone() });
            }
        }
        Ok(())
    }

    /// Takes the testnet's lock until the returned file is dropped.
    pub(super) fn lock(&self) -> Result<File, TestnetError> {
        let path = self.dir.join(LOCK);
        let failed = |source| TestnetError::Folder { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(TestnetError::Busy { dir: self.dir.clone() }),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// The lock file.
const LOCK: &str = "testnet.lock";
