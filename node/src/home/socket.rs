//! Where the node's socket is: a Unix socket's path has at most 107 bytes, a home's may have more.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use comity_protocol::ids::{Digest, hex};
use comity_protocol::keys::tagged_hash;

use crate::blame::Blame;

/// Longest path of a Unix socket in bytes: `sun_path` has 108 with its final zero.
pub const SOCKET_PATH_MAX: usize = 107;
const SOCKET_NAME: &str = "node.sock";

/// Where a node binds its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPlace {
    /// The path to bind; at most [`SOCKET_PATH_MAX`] bytes.
    pub bind: PathBuf,
    /// The link in the home that leads there, if the home's own path is too long.
    pub link: Option<PathBuf>,
}

/// Why a home has no usable socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Neither the home nor the run folder has a path that is short enough.
    #[error("the socket's path {} has {} bytes, at most {SOCKET_PATH_MAX} are possible", path.display(), path.as_os_str().len())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The run folder is not ours alone.
    #[error("the run folder {} is not a folder of our own with mode 0700", path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Something else has the socket's name.
    #[error("{} is there and is no socket", path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Which path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl SocketError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        Blame::Environment
    }

    /// What the operator may do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TooLong { .. } => Some("use a home with a shorter path, or set XDG_RUNTIME_DIR"),
            Self::RunFolder { .. } => Some("remove it, or set XDG_RUNTIME_DIR to a folder of your own"),
            Self::Occupied { .. } => Some("move it away"),
            Self::Io { .. } => None,
        }
    }
}

/// Finds the place to bind and clears it.
pub(super) fn prepare(home: &Path, env: impl Fn(&str) -> Option<OsString>) -> Result<SocketPlace, SocketError> {
    let direct = home.join(SOCKET_NAME);
    clear(&direct)?;
    if fits(&direct) {
        return Ok(SocketPlace { bind: direct, link: None });
    }
    let bind = run_folder(env)?.join(format!("{}.sock", name_of(home)?));
    if !fits(&bind) {
        return Err(SocketError::TooLong { path: direct });
    }
    clear(&bind)?;
    std::os::unix::fs::symlink(&bind, &direct).map_err(|source| SocketError::Io {
        doing: "make the link",
        path: direct.clone(),
        source,
    })?;
    Ok(SocketPlace { bind, link: Some(direct) })
}

/// Finds the path to connect to.
pub(super) fn find(home: &Path) -> Result<PathBuf, SocketError> {
    let direct = home.join(SOCKET_NAME);
    if fits(&direct) {
        return Ok(direct);
    }
    match std::fs::read_link(&direct) {
        Ok(target) if fits(&target) => Ok(target),
        // No link: the node is not running, which is what the caller finds out by connecting in vain.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(SocketError::Io { doing: "find the socket", path: direct, source: error })
        }
        Ok(_) | Err(_) => Err(SocketError::TooLong { path: direct }),
    }
}

fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX
}

/// A name that two homes do not share.
fn name_of(home: &Path) -> Result<String, SocketError> {
    let whole = std::fs::canonicalize(home).map_err(|source| SocketError::Io {
        doing: "resolve",
        path: home.to_owned(),
        source,
    })?;
    let hash: Digest = tagged_hash("socket", whole.as_os_str().as_bytes());
    Ok(hex(&hash.as_bytes()[..8]))
}

/// Removes a socket or link that a killed node left.
fn clear(path: &Path) -> Result<(), SocketError> {
    use std::os::unix::fs::FileTypeExt as _;
    let io = |doing, source| SocketError::Io { doing, path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("look at", error)),
        Ok(meta) if meta.file_type().is_socket() || meta.file_type().is_symlink() => {
            std::fs::remove_file(path).map_err(|error| io("remove", error))
        }
        Ok(_) => Err(SocketError::Occupied { path: path.to_owned() }),
    }
}

/// Returns the folder for sockets of long homes, made if needed: nobody else may put anything there.
fn run_folder(env: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, SocketError> {
    let user = rustix::process::geteuid().as_raw();
    let given = env("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = given.map_or_else(|| PathBuf::from(format!("/tmp/comity-{user}")), |run| run.join("comity"));
    let io = |doing, source| SocketError::Io { doing, path: folder.clone(), source };
    match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(io("make", error)),
        Ok(()) | Err(_) => {}
    }
    let meta = std::fs::symlink_metadata(&folder).map_err(|error| io("look at", error))?;
    let ours = meta.is_dir() && meta.uid() == user && meta.mode() & 0o077 == 0;
    if ours { Ok(folder) } else { Err(SocketError::RunFolder { path: folder }) }
}
