//! Schema, settings and versions of the store file (STORE 5).

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;

/// `'COMT'`: what makes an SQLite file one of ours.
pub const APPLICATION_ID: i32 = 0x434F_4D54;
/// The schema version this software writes.
pub const SCHEMA_VERSION: i32 = 1;
/// Bytes of a page; larger ones write more for the same commit (STORE 3).
pub(super) const PAGE_BYTES: u64 = 4_096;

const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE author(id INTEGER PRIMARY KEY, nation BLOB NOT NULL, key BLOB NOT NULL, UNIQUE(nation, key)) STRICT;
CREATE TABLE header(pos INTEGER PRIMARY KEY, author INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL,
                    bytes BLOB NOT NULL, sig BLOB, cum INTEGER NOT NULL, UNIQUE(author, seq, id)) STRICT;
CREATE UNIQUE INDEX header_id ON header(id);
CREATE TABLE body(header_pos INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE control(id BLOB PRIMARY KEY, kind INTEGER NOT NULL, nation BLOB, n INTEGER NOT NULL, bytes BLOB NOT NULL,
                     sig BLOB) STRICT;
CREATE TABLE idempotency(key TEXT PRIMARY KEY, content BLOB NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
                         version BLOB NOT NULL, check32 BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE frontier(author INTEGER PRIMARY KEY, held BLOB NOT NULL, check32 BLOB) STRICT;
CREATE TABLE proof(author INTEGER, seq INTEGER, id_a BLOB, id_b BLOB, PRIMARY KEY(author, seq, id_a, id_b)) STRICT,
                   WITHOUT ROWID;
CREATE TABLE own_key(id BLOB PRIMARY KEY, meta BLOB, check32 BLOB) STRICT, WITHOUT ROWID;
CREATE TABLE peer(id BLOB PRIMARY KEY, meta BLOB, check32 BLOB) STRICT, WITHOUT ROWID;
CREATE TABLE document(nation BLOB, compartment INTEGER, upto BLOB, bytes BLOB, check32 BLOB,
                      PRIMARY KEY(nation, compartment)) STRICT;
CREATE VIEW envelopes AS
    SELECT h.pos, lower(hex(a.nation)) AS nation, lower(hex(a.key)) AS node, h.seq, lower(hex(h.id)) AS id,
           h.sig IS NOT NULL AS signed, h.cum, length(b.bytes) AS body_bytes
    FROM header h JOIN author a ON a.id = h.author LEFT JOIN body b ON b.header_pos = h.pos;
CREATE VIEW controls AS
    SELECT lower(hex(id)) AS id, kind, lower(hex(nation)) AS nation, n, length(bytes) AS record_bytes FROM control;
";

/// One step of the schema: the statements that lead from version `n` to `n + 1`, where `n` counts from 1.
type Migration = &'static str;

/// Every step ever shipped, in order.
const MIGRATIONS: &[Migration] = &[];

/// What a connection may do to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The one writer.
    Write,
    /// Beside it; any write is an error.
    Read,
}

/// Makes the tables in an empty file.
pub(super) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "page_size", 4_096)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    connection.execute_batch("COMMIT")
}

/// Opens an existing file, checks that it is ours and applies the settings; never creates one.
pub(super) fn open(path: &Path, access: Access, vfs: Option<&str>) -> Result<Connection, OpenError> {
    if vfs.is_none() && !path.is_file() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let flags = match access {
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    } | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags, vfs)?;
    connection.busy_timeout(super::BUSY_TIMEOUT).map_err(|source| sql(path, "set the busy timeout of", source))?;
    check_versions(&connection, path, access)?;
    apply_settings(&connection, path, access)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Connects to a file with the given flags and nothing else.
pub(super) fn connect(path: &Path, flags: OpenFlags, vfs: Option<&str>) -> Result<Connection, OpenError> {
    match vfs {
        None => Connection::open_with_flags(path, flags),
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs).and_then(exclusive),
    }
    .map_err(|source| sql(path, "open", source))
}

/// Makes a connection the only one of its file: a virtual file system has no shared memory for the index of the log.
fn exclusive(connection: Connection) -> rusqlite::Result<Connection> {
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    Ok(connection)
}

/// Wraps an error of the database with what was being done.
pub(super) fn sql(path: &Path, doing: &'static str, source: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => OpenError::Damaged { path: path.to_owned(), source },
        _ => OpenError::Sql { path: path.to_owned(), doing, source },
    }
}

fn check_versions(connection: &Connection, path: &Path, access: Access) -> Result<(), OpenError> {
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|source| sql(path, "read the version of", source))
    };
    let found = number("application_id")?;
    if found != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned(), found });
    }
    let found = number("user_version")?;
    if found > SCHEMA_VERSION && !(access == Access::Read && min_reader(connection) <= i64::from(SCHEMA_VERSION)) {
        return Err(OpenError::Newer { path: path.to_owned(), found });
    }
    if found < 1 {
        return Err(OpenError::Older { path: path.to_owned(), found });
    }
    Ok(())
}

/// The lowest schema version whose software can still read the file.
fn min_reader(connection: &Connection) -> i64 {
    connection
        .query_row("SELECT value FROM meta WHERE key = 'min_reader'", [], |row| row.get::<_, Vec<u8>>(0))
        .ok()
        .and_then(|bytes| Some(i64::from(u32::from_be_bytes(bytes.try_into().ok()?))))
        .unwrap_or(i64::MAX)
}

fn apply_settings(connection: &Connection, path: &Path, access: Access) -> Result<(), OpenError> {
    let set = |pragma, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, pragma, value).map_err(|source| sql(path, "configure", source))
    };
    set("trusted_schema", &false)?;
    set("cell_size_check", &true)?;
    set("mmap_size", &0)?;
    match access {
        Access::Write => {
            set("synchronous", &"FULL")?;
            set("cache_size", &-131_072)?;
            set("wal_autocheckpoint", &4_000)?;
            set("journal_size_limit", &67_108_864)?;
            set("fullfsync", &true)?;
            set("checkpoint_fullfsync", &true)?;
            expect_setting(connection, path, "synchronous", "2")?;
            expect_setting(connection, path, "journal_mode", "wal")?;
        }
        Access::Read => {
            set("cache_size", &-16_384)?;
            set("query_only", &true)?;
        }
    }
    // A backup has no write-ahead log: it is one file, which may lie on a medium that nobody can write.
    expect_setting(connection, path, "page_size", "4096")
}

fn expect_setting(
    connection: &Connection,
    path: &Path,
    pragma: &'static str,
    wanted: &'static str,
) -> Result<(), OpenError> {
    let found = connection
        .pragma_query_value(None, pragma, |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str()?.to_owned(),
            })
        })
        .map_err(|source| sql(path, "read the settings of", source))?;
    if found == wanted { Ok(()) } else { Err(OpenError::Setting { path: path.to_owned(), pragma, wanted, found }) }
}

/// Brings an older file to [`SCHEMA_VERSION`], after a copy of it was put beside it.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    migrate_by(connection, path, MIGRATIONS)
}

/// Applies each step that the file's version lacks, one transaction a step with the version in it.
fn migrate_by(connection: &mut Connection, path: &Path, steps: &[Migration]) -> Result<(), OpenError> {
    let failed = |source| sql(path, "migrate", source);
    let version: usize =
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).map_err(failed)? as usize;
    let missing = steps.get(version.saturating_sub(1)..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    let copy = copy_path(path, version);
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy().as_ref()]).map_err(failed)?;
    for (step, to) in missing.iter().zip(version + 1..) {
        let transaction = connection.transaction().map_err(failed)?;
        transaction.execute_batch(step).map_err(failed)?;
        transaction.pragma_update(None, "user_version", u32::try_from(to).unwrap_or(u32::MAX)).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

fn copy_path(path: &Path, version: usize) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".v{version}"));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_keeps_a_copy_and_counts_up() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("node.sqlite");
        let mut connection = Connection::open(&path).expect("open");
        create_tables(&connection).expect("tables");
        migrate_by(&mut connection, &path, &["CREATE TABLE added(x) STRICT"]).expect_err("STRICT wants a type");
        let version =
            |c: &Connection| c.pragma_query_value(None, "user_version", |r| r.get::<_, i32>(0)).expect("read");
        assert_eq!(version(&connection), 1, "a failed step leaves the old version");
        std::fs::remove_file(copy_path(&path, 1)).expect("the copy of the failed attempt");

        migrate_by(&mut connection, &path, &["CREATE TABLE a(x INT) STRICT", "CREATE TABLE b(x INT) STRICT"])
            .expect("migrates");
        assert_eq!(version(&connection), 3);
        connection.execute("INSERT INTO b VALUES (1)", []).expect("the new table is there");
        let copy = Connection::open(copy_path(&path, 1)).expect("the copy opens");
        assert_eq!(version(&copy), 1);
    }
}
