//! Backups: a whole copy of a store while it is in use, and putting one in the place of a store.
//!
//! A backup holds the record and nothing else: never a key, so that a stolen one signs nothing (spec 4.18), and never the
//! sentinel, so that whoever puts it back is found out (spec 4.12).

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use comity_protocol::ids::{AuthorKey, Tip};
use rusqlite::{Connection, OpenFlags};

use super::check::{Checked, Depth, check, own_tip};
use super::error::OpenError;
use super::schema::{self, Access};
use super::sentinel::{SentinelFile, io};
use super::{Identity, Lock};
use crate::blame::Blame;

/// Why a backup is not made or not put back; what was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A store or file cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Something has the name of the backup.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The copy is not whole.
    #[error("{} is damaged: {first}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing found.
        first: String,
    },
    /// The backup is of another node.
    #[error("{} is a backup of node {}, the key in this home is that of node {}", path.display(), found.short(), key.short())]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Whose backup it is.
        found: AuthorKey,
        /// Whose home it is.
        key: AuthorKey,
    },
    /// The backup is of another alliance or nation than the store in its place.
    #[error("{} is of another alliance or nation than the store of this home", path.display())]
    OtherAlliance {
        /// The file.
        path: PathBuf,
    },
    /// A store is there, and nobody said that it may be replaced.
    #[error("a store is there already: {}", path.display())]
    Occupied {
        /// The store.
        path: PathBuf,
    },
}

impl BackupError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Store(error) => error.blame(),
            Self::Exists { .. } | Self::Occupied { .. } | Self::OtherNode { .. } | Self::OtherAlliance { .. } => {
                Blame::Operator
            }
            Self::Damaged { .. } => Blame::Environment,
        }
    }

    /// What the operator may do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Exists { .. } => Some("choose another path; nothing is overwritten"),
            Self::Damaged { .. } => {
                Some("use another backup; with none, have the nation's root retire the key and enrol a new node")
            }
            Self::OtherNode { .. } | Self::OtherAlliance { .. } => Some(
                "a home's keys and its backups belong together; use a backup of this node, or the home of the other",
            ),
            Self::Occupied { .. } => Some("use --replace to move it aside and put the backup in its place"),
        }
    }
}

/// Copies the store at `path` into a new file, also beside a running node; complete or not at all.
///
/// The copy is what one moment of the store was, compacted, checked, synced, and readable by its owner alone.
///
/// # Errors
/// [`BackupError`]; nothing is left at `to` then, and what was there is not touched.
pub fn back_up(path: &Path, to: &Path) -> Result<Checked, BackupError> {
    // Takes the name first, so that nothing that comes later is overwritten.
    match File::options().write(true).create_new(true).mode(0o600).open(to) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists { path: to.to_owned() });
        }
        Err(source) => return Err(io(to, "create", source).into()),
    }
    let draft = beside(to, ".part");
    let made = copy(path, &draft).and_then(|checked| {
        put(&draft, to)?;
        Ok(checked)
    });
    made.inspect_err(|_| {
        // What is left is of no use to anybody, and the first error says more than a second one.
        for left in [draft.clone(), beside(&draft, "-journal"), to.to_owned()] {
            std::fs::remove_file(left).unwrap_or_default();
        }
    })
}

fn copy(path: &Path, draft: &Path) -> Result<Checked, BackupError> {
    let failed = |source| schema::sql(path, "copy", source);
    let file = File::options().write(true).create_new(true).mode(0o600).open(draft);
    drop(file.map_err(|source| io(draft, "create", source))?);
    let connection = schema::open(path, Access::Read, None)?;
    // It keeps a connection from writing into any file, and the copy is one.
    connection.pragma_update(None, "query_only", false).map_err(failed)?;
    let name = draft
        .to_str()
        .ok_or_else(|| io(draft, "name", std::io::Error::new(ErrorKind::InvalidInput, "the path is not UTF-8")))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
    drop(connection);
    let checked = check(draft, Depth::Quick)?;
    match checked.damage.first() {
        None => Ok(checked),
        Some(first) => Err(BackupError::Damaged { path: path.to_owned(), first: first.to_string() }),
    }
}

/// Makes a copy a store: a backup is one file alone, a store has a write-ahead log beside it.
fn into_log_mode(draft: &Path) -> Result<(), OpenError> {
    let failed = |source| schema::sql(draft, "finish", source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection: Connection = schema::connect(draft, flags, None)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(failed)?;
    connection.close().map_err(|(_, source)| failed(source))
}

/// Where a backup is put back.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The store's file.
    pub store: &'a Path,
    /// The sentinel's file.
    pub sentinel: &'a Path,
    /// The key in the home.
    pub key: AuthorKey,
}

/// What to do where a store is in the place of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// Leave it.
    Refuse,
    /// Move it aside.
    MoveAside,
}

/// Puts the backup `from` in the place of the store of a home, whose lock the caller holds.
///
/// The sentinel comes first: whatever happens after it, the next start authors nothing until somebody confirms it. What was
/// in the place is moved aside, and its name returned; what the key is known to have signed stays known.
///
/// # Errors
/// [`BackupError`]; the store is as it was, but the sentinel may say already that it was restored.
pub fn restore(
    from: &Path,
    place: &Place<'_>,
    occupied: Occupied,
    _lock: &Lock,
) -> Result<(Checked, Option<PathBuf>), BackupError> {
    let Place { store, sentinel, key } = *place;
    let checked = check(from, Depth::Deep)?;
    let Identity { node, .. } = checked.identity;
    if node != key {
        return Err(BackupError::OtherNode { path: from.to_owned(), found: node, key });
    }
    if let Some(first) = checked.damage.first() {
        return Err(BackupError::Damaged { path: from.to_owned(), first: first.to_string() });
    }
    let is_occupied = std::fs::symlink_metadata(store).is_ok();
    if is_occupied && occupied == Occupied::Refuse {
        return Err(BackupError::Occupied { path: store.to_owned() });
    }
    // What is replaced may be damaged: then only the sentinel says what the key has signed.
    let before = own_tip(store).ok();
    if before.is_some_and(|(identity, _)| identity != checked.identity) {
        return Err(BackupError::OtherAlliance { path: from.to_owned() });
    }
    let folder = store.parent().unwrap_or(Path::new("/"));
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| io(folder, "make", source))?;
    let draft = beside(store, ".restored");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(&draft, "remove", error).into()),
        Ok(()) | Err(_) => {}
    }
    copy(from, &draft)?;
    into_log_mode(&draft)?;
    let signed = before.map_or(Tip::NONE, |(_, tip)| tip);
    let known = SentinelFile::peek(sentinel, checked.identity.author())?;
    SentinelFile::replace(sentinel, &known.restored(signed))?;
    let aside = if is_occupied { Some(move_aside(store)?) } else { None };
    put(&draft, store)?;
    Ok((checked, aside))
}

/// Moves a store with its log to the first free name beside it.
fn move_aside(store: &Path) -> Result<PathBuf, OpenError> {
    let free = (1_u32..).map(|number| beside(store, &format!(".old-{number}")));
    let aside = free.into_iter().find(|aside| std::fs::symlink_metadata(aside).is_err()).expect("numbers do not end");
    for suffix in ["-wal", "-shm", ""] {
        match std::fs::rename(beside(store, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(store, "move aside", error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// Gives a finished file its name, durably.
fn put(draft: &Path, to: &Path) -> Result<(), OpenError> {
    File::open(draft).and_then(|file| file.sync_all()).map_err(|source| io(draft, "sync", source))?;
    std::fs::rename(draft, to).map_err(|source| io(to, "create", source))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| io(folder, "sync", source))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
