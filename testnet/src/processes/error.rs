//! Why testnets fail.

use std::io;
use std::path::PathBuf;

use crate::files::FileError;
use crate::scenario::Problem;

/// Why a testnet cannot be started, looked at or stopped.
#[derive(Debug, thiserror::Error)]
pub enum TestnetError {
    /// The nations are none.
    #[error("nations: {0}")]
    Nations(Problem),
    /// The folder holds a testnet of other nations.
    #[error("{} holds a testnet of {there}", dir.display())]
    OtherNations {
        /// The folder.
        dir: PathBuf,
        /// Its nations.
        there: String,
    },
    /// The folder holds something else.
    #[error("{} is not empty and holds no testnet", dir.display())]
    NotATestnet {
        /// The folder.
        dir: PathBuf,
    },
    /// There is no testnet.
    #[error("there is no testnet in {}", dir.display())]
    Missing {
        /// The folder.
        dir: PathBuf,
    },
    /// The nation takes no part.
    #[error("{nation} is not in the testnet of {there}")]
    UnknownNation {
        /// What was asked for.
        nation: String,
        /// The nations of the testnet.
        there: String,
    },
    /// Another command starts or stops the same testnet.
    #[error("another command is starting or stopping the testnet in {}", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder cannot be used.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file of the testnet cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The binary cannot be started.
    #[error("cannot start {}", exe.display())]
    Start {
        /// The binary.
        exe: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A step of the founding failed.
    #[error("`comity {command}` failed: {said}")]
    Founding {
        /// The arguments.
        command: String,
        /// What it printed.
        said: String,
    },
    /// A process ended or did not answer in time.
    #[error("{who} did not start: {said}")]
    NotReady {
        /// Which process.
        who: String,
        /// The end of its log.
        said: String,
    },
}

impl TestnetError {
    /// Returns the exit code: 2 for what the operator asked for, 4 for what the machine did not do.
    pub const fn exit(&self) -> u8 {
        match self {
            Self::Nations(_)
            | Self::OtherNations { .. }
            | Self::NotATestnet { .. }
            | Self::Missing { .. }
            | Self::UnknownNation { .. } => 2,
            Self::Busy { .. }
            | Self::Folder { .. }
            | Self::File(_)
            | Self::Start { .. }
            | Self::Founding { .. }
            | Self::NotReady { .. } => 4,
        }
    }

    /// Returns what the operator can do, where that is clear.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OtherNations { .. } => Some("leave --nations out to start that testnet, or choose another --dir"),
            Self::NotATestnet { .. } => Some("choose an empty or a new folder with --dir"),
            Self::Missing { .. } => Some("start one with `comity testnet up --nations UKR,POL,DEU --dir DIR`"),
            Self::Busy { .. } => Some("wait until it is done"),
            _ => None,
        }
    }
}
