//! The configuration file as it is written: every key optional, every value with its place.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::blame::Blame;

/// `comity.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    pub(super) listen: Option<Spanned<Vec<String>>>,
    pub(super) peers: Option<Spanned<Vec<String>>>,
    pub(super) mdns: Option<Spanned<bool>>,
    pub(super) learn_addresses: Option<Spanned<bool>>,
    pub(super) redial_max: Option<Spanned<String>>,
    pub(super) log: Option<Spanned<String>>,
    pub(super) log_format: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) store: FileStore,
    #[serde(default)]
    pub(super) api: FileApi,
    #[serde(default)]
    pub(super) witness: FileWitness,
}

/// The `[witness]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileWitness {
    pub(super) on_change_ms: Option<Spanned<u64>>,
    pub(super) heartbeat_ms: Option<Spanned<u64>>,
}

/// The `[store]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileStore {
    pub(super) bytes_max: Option<Spanned<u64>>,
}

/// The `[api]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileApi {
    pub(super) tcp: Option<Spanned<String>>,
    pub(super) hosts: Option<Spanned<Vec<String>>>,
    pub(super) origins: Option<Spanned<Vec<String>>>,
    pub(super) read_gid: Option<Spanned<u32>>,
    pub(super) author_gid: Option<Spanned<u32>>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, has a key that does not exist, or a value of another type.
    #[error("{} line {line}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

impl ConfigFileError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Read { .. } => Blame::Environment,
            Self::Parse { .. } => Blame::Operator,
        }
    }
}

/// Largest configuration file read: far above 1,024 peers.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Returns the text of the file, empty if there is none.
pub(super) fn read(path: &Path) -> Result<String, ConfigFileError> {
    use std::io::Read as _;
    let fail = |source| ConfigFileError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// Reads the file's text.
pub(super) fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigFileError> {
    toml::from_str(text).map_err(|error| ConfigFileError::Parse {
        path: path.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })
}

/// Returns the line of a byte position, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}
