//! Small files of a testnet: written whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a file of the testnet could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file does not hold what it should.
    #[error("{} is not what a testnet writes", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads a JSON file.
/// # Errors
/// [`FileError::Read`] or [`FileError::Content`].
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|source| FileError::Content { path: path.to_owned(), source })
}

/// Reads a text file.
/// # Errors
/// [`FileError::Read`].
pub fn read_text(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// Writes a JSON file, replacing an old one in one step.
/// # Errors
/// [`FileError::Write`]; an old file is then unchanged.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|source| FileError::Content { path: path.to_owned(), source })?;
    write_text(path, &text)
}

/// Writes a text file, replacing an old one in one step.
/// # Errors
/// [`FileError::Write`]; an old file is then unchanged.
pub fn write_text(path: &Path, text: &str) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.to_owned(), source };
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&draft, text).map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}
