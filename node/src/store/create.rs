//! Creating a store: under another name first, so that it is there complete or not at all.
//!
//! Only a simulated disk gets the file under its own name at once.

use std::path::{Path, PathBuf};

use comity_protocol::control::VerifiedControl;
use rusqlite::{Connection, OpenFlags, params};

use super::Identity;
use super::database::insert_control;
use super::error::OpenError;
use super::held::check32;
use super::schema;

/// Creates the store of one node; complete or not there at all, whatever happens meanwhile.
///
/// # Errors
/// [`OpenError`], [`OpenError::Exists`] if there is one; the folder is then unchanged.
pub(super) fn create(path: &Path, identity: &Identity, control: &[VerifiedControl]) -> Result<(), OpenError> {
    if path.exists() {
        return Err(OpenError::Exists { path: path.to_owned() });
    }
    let draft = path.with_extension("sqlite.new");
    remove_draft(&draft).map_err(|source| io(&draft, "remove", source))?;
    create_draft(&draft, identity, control).inspect_err(|_| {
        // What is left is of no use to anybody, and the first error says more than a second one.
        remove_draft(&draft).unwrap_or_default();
    })?;
    std::fs::rename(&draft, path).map_err(|source| io(path, "create", source))?;
    if let Some(folder) = path.parent() {
        let sync = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        sync.map_err(|source| io(folder, "sync", source))?;
    }
    Ok(())
}

/// Removes a half-made file and what SQLite puts beside it.
fn remove_draft(draft: &Path) -> std::io::Result<()> {
    let beside = |suffix: &str| {
        let mut name = draft.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    for path in [draft.to_owned(), beside("-journal"), beside("-wal"), beside("-shm")] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn create_draft(draft: &Path, identity: &Identity, control: &[VerifiedControl]) -> Result<(), OpenError> {
    use std::os::unix::fs::OpenOptionsExt;
    // Made by us first, so that nobody but us can read it from its first moment.
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)
        .map_err(|source| io(draft, "create", source))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = schema::connect(draft, flags, None)?;
    fill(connection, draft, identity, control)?;
    std::fs::File::open(draft).and_then(|file| file.sync_all()).map_err(|source| io(draft, "sync", source))
}

/// Creates the store of a simulated node directly under its name; what a crash leaves half done no opening accepts.
///
/// # Errors
/// [`OpenError`], [`OpenError::Exists`] if there is one.
pub(super) fn create_simulated(
    path: &Path,
    vfs: &str,
    identity: &Identity,
    control: &[VerifiedControl],
) -> Result<(), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Connecting opens the file, and without the flag to create it a file that opens is there.
    if schema::connect(path, flags, Some(vfs)).is_ok() {
        return Err(OpenError::Exists { path: path.to_owned() });
    }
    let connection = schema::connect(path, flags | OpenFlags::SQLITE_OPEN_CREATE, Some(vfs))?;
    fill(connection, path, identity, control)
}

/// Makes tables and first rows in the empty file at `path` and closes it.
fn fill(
    connection: Connection,
    path: &Path,
    identity: &Identity,
    control: &[VerifiedControl],
) -> Result<(), OpenError> {
    let failed = |source| schema::sql(path, "create", source);
    schema::create_tables(&connection).map_err(failed)?;
    let rows: [(&str, &[u8]); 5] = [
        ("alliance", identity.alliance.as_bytes()),
        ("nation", identity.nation.as_bytes()),
        ("node", identity.node.as_bytes()),
        ("created_by", concat!("comity ", env!("CARGO_PKG_VERSION")).as_bytes()),
        ("min_reader", &1_u32.to_be_bytes()),
    ];
    for (key, value) in rows {
        connection.execute("INSERT INTO meta(key, value) VALUES (?1, ?2)", params![key, value]).map_err(failed)?;
    }
    let meta = identity.nation.as_bytes();
    let check = check32("own_key", &[identity.node.as_bytes(), meta]);
    connection
        .execute(
            "INSERT INTO own_key(id, meta, check32) VALUES (?1, ?2, ?3)",
            params![identity.node.as_bytes(), meta, check.as_bytes()],
        )
        .map_err(failed)?;
    for record in control {
        insert_control(&connection, record).map_err(failed)?;
    }
    // Read to its end: the change is committed only there, and may fail there.
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL").map_err(failed)?;
    let modes = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect::<rusqlite::Result<Vec<String>>>);
    let mode = modes.map_err(failed)?.pop().unwrap_or_default();
    drop(statement);
    if mode != "wal" {
        let (pragma, wanted) = ("journal_mode", "wal");
        return Err(OpenError::Setting { path: path.to_owned(), pragma, wanted, found: mode });
    }
    connection.close().map_err(|(_, source)| failed(source))
}

fn io(path: &Path, doing: &'static str, source: std::io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), doing, source }
}
