//! The one connection that writes: requests in groups, each alone in a savepoint, all in one transaction.
//!
//! Nothing here knows of threads, so that the simulator can run the same code over its own disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_protocol::control::VerifiedControl;
use comity_protocol::effect::{Remembered, SaveOp};
use comity_protocol::envelope::AttestedHeader;
use comity_protocol::ids::{AuthorId, EnvelopeId, Id, Tip};
use comity_protocol::keys::Signature;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::authors::{AuthorRow, read_authors, sum_rows};
use super::damage::{Findings, Spot};
use super::error::{Full, OpenError, SaveError};
use super::held::{HALT, Held, RELEASE, check32, remembered_check32, signature_column, tip_column};
use super::schema::{self, Access, PAGE_BYTES};
use super::{Identity, Lane, Loaded, OwnHeld, Saved, Settings, Space};

/// Below this much free space an error of the disk counts as "no space left".
const DEVICE_FULL_BYTES: u64 = 1_048_576;

/// This much must be free before a full store counts as having room again: a few envelopes of the largest size.
const ROOM_BYTES_MIN: u64 = 524_288;
/// The most pages that SQLite can count.
const PAGES_MAX: u64 = 4_294_967_294;

/// The writer's connection.
pub struct Database {
    connection: Connection,
    path: PathBuf,
    settings: Settings,
    own: AuthorId,
    authors: BTreeMap<AuthorId, AuthorRow>,
    /// Authors touched by the transaction under way.
    pending: BTreeMap<AuthorId, AuthorRow>,
    /// Rows that loading found damaged, by author row and seq: a header that comes again replaces them in place.
    damaged: BTreeMap<Spot, i64>,
    /// The header saved last and its cumulative bytes: mostly the parent of the next one.
    last: Option<(EnvelopeId, u64)>,
    failed: Option<Arc<rusqlite::Error>>,
}

impl Database {
    /// Creates a store on the simulated disk that `path` names in `vfs`; the daemon's are made by `Store::create`.
    ///
    /// # Errors
    /// [`OpenError`], [`OpenError::Exists`] if there is one; any other may leave a file that does not open.
    pub fn create(path: &Path, vfs: &str, identity: &Identity, control: &[VerifiedControl]) -> Result<(), OpenError> {
        super::create::create_simulated(path, vfs, identity, control)
    }

    /// Opens an existing store for writing.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, settings: Settings) -> Result<Self, OpenError> {
        let mut connection = schema::open(path, Access::Write, settings.vfs.as_deref())?;
        schema::migrate(&mut connection, path)?;
        let authors = read_authors(&connection).map_err(|source| schema::sql(path, "read", source))?;
        let own = super::load::read_identity(&connection).map_err(|source| schema::sql(path, "read", source))?.author();
        let mut database = Self {
            connection,
            path: path.to_owned(),
            settings,
            own,
            authors,
            pending: BTreeMap::new(),
            damaged: BTreeMap::new(),
            last: None,
            failed: None,
        };
        database.set_bytes_max(database.settings.bytes_max).map_err(|source| schema::sql(path, "configure", source))?;
        Ok(database)
    }

    /// Whose store it is.
    pub const fn own(&self) -> AuthorId {
        self.own
    }

    /// Returns what is held of the node's own chain, to be compared with its sentinel.
    ///
    /// # Errors
    /// [`OpenError`], if the file cannot be read.
    pub fn own_held(&self) -> Result<OwnHeld, OpenError> {
        let Some(row) = self.authors.get(&self.own) else { return Ok(OwnHeld::default()) };
        let headers = super::authors::positions(&self.connection, row.row);
        let headers = headers.map_err(|source| schema::sql(&self.path, "read", source))?;
        Ok(OwnHeld { headers, counted: row.held.headers })
    }

    /// Reads everything over this connection, as `Store::load` does over one of its own.
    ///
    /// # Errors
    /// [`OpenError`], if the file cannot be read at all.
    pub fn load(&mut self) -> Result<Loaded, OpenError> {
        let loaded = super::load::load(&self.connection);
        let mut loaded = loaded.map_err(|source| schema::sql(&self.path, "read", source))?;
        if let Some(findings) = loaded.take_findings() {
            self.set_findings(findings);
        }
        Ok(loaded)
    }

    /// Changes the bound on the file; a bound below its present size keeps it from growing.
    ///
    /// # Errors
    /// What the database says.
    pub fn set_bytes_max(&mut self, bytes_max: Option<u64>) -> rusqlite::Result<()> {
        let pages = bytes_max.map_or(PAGES_MAX, |bytes| bytes / PAGE_BYTES).clamp(1, PAGES_MAX);
        let pages = i64::try_from(pages).expect("at most PAGES_MAX");
        self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        self.settings.bytes_max = bytes_max;
        Ok(())
    }

    /// Remembers what loading found damaged or missing.
    ///
    /// A damaged row is replaced when its envelope comes again. Where rows of the node's own chain are missing, the cache
    /// goes on counting them until exactly those have come back: a lost end of it, once forgotten, would be signed over.
    /// Of another author the rows that are there are counted from now on, since peers fill the gap.
    pub(super) fn set_findings(&mut self, findings: Findings) {
        self.damaged = findings.spots;
        for (author, found) in findings.sums {
            if let Some(row) = self.authors.get_mut(&author) {
                if author == self.own {
                    row.found = Some(found);
                } else {
                    (row.held, row.found) = (found, None);
                }
            }
        }
    }

    /// Saves a group of requests in one transaction and answers each; a bad request fails alone.
    ///
    /// When this returns, every request answered with `Ok` is on the disk.
    pub fn save(&mut self, lane: Lane, group: &[Vec<SaveOp>]) -> Vec<Result<Saved, SaveError>> {
        match self.try_save(lane, group) {
            Ok(answers) => answers,
            Err(error) => {
                self.roll_back();
                group.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn try_save(&mut self, lane: Lane, group: &[Vec<SaveOp>]) -> Result<Vec<Result<Saved, SaveError>>, SaveError> {
        if let Some(error) = &self.failed {
            return Err(SaveError::Fatal(Arc::clone(error)));
        }
        let free = self.free_bytes();
        self.check_floor(lane, free)?;
        self.run("BEGIN IMMEDIATE")?;
        let mut outcomes = Vec::with_capacity(group.len());
        for ops in group {
            let before = self.pending.clone();
            self.run("SAVEPOINT request")?;
            let outcome = ops.iter().try_for_each(|op| self.apply(op));
            if let Err(error) = &outcome {
                // A full disk or a failing one ends the whole group: the database may have rolled it back already.
                if !matches!(error, SaveError::NoHeader { .. } | SaveError::KeyReused { .. } | SaveError::Range { .. })
                {
                    return Err(error.clone());
                }
                self.run("ROLLBACK TO request")?;
                self.pending = before;
                self.last = None;
            }
            self.run("RELEASE request")?;
            outcomes.push(outcome);
        }
        self.write_frontiers()?;
        self.run("COMMIT")?;
        self.authors.append(&mut self.pending);
        let saved = Saved { store_bytes: self.bytes(), space: self.space(free) };
        Ok(outcomes.into_iter().map(|outcome| outcome.map(|()| saved)).collect())
    }

    fn apply(&mut self, op: &SaveOp) -> Result<(), SaveError> {
        match op {
            SaveOp::Header(header) => self.save_header(header),
            SaveOp::Signature { id, signature } => self.save_signature(id, signature),
            SaveOp::Body { id, bytes } => self.save_body(id, bytes),
            SaveOp::Control(control) => insert_control(&self.connection, control).map_err(|error| self.failure(error)),
            SaveOp::Remember(remembered) => self.save_remembered(remembered),
            SaveOp::Anchor(anchor) => {
                super::anchor::save(&self.connection, anchor).map_err(|error| self.failure(error))
            }
            SaveOp::Halt { tip } => self.save_stop(HALT, tip),
            SaveOp::Release { tip } => {
                self.execute("DELETE FROM meta WHERE key = ?1", [HALT])?;
                self.save_stop(RELEASE, tip)
            }
        }
    }

    fn save_header(&mut self, attested: &AttestedHeader) -> Result<(), SaveError> {
        let header = attested.header();
        let id = attested.id();
        let seq = signed(header.seq, "seq")?;
        let cum = signed(self.cumulative(attested)?, "cumulative size")?;
        let bytes = header.encode();
        let signature = attested.signature().map(|signature| signature_column(&id, signature));
        let mut author = self.author_row(&header.author_id())?;
        if let Some(pos) = self.damaged_spot(author.row, seq, &id)? {
            self.execute(
                "UPDATE header SET author = ?2, seq = ?3, id = ?4, bytes = ?5, sig = ?6, cum = ?7 WHERE pos = ?1",
                params![pos, author.row, seq, id.as_bytes(), bytes, signature, cum],
            )?;
            return Ok(());
        }
        let added = self.execute(
            "INSERT INTO header(author, seq, id, bytes, sig, cum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(id) DO NOTHING",
            params![author.row, seq, id.as_bytes(), bytes, signature, cum],
        )?;
        if added == 1 {
            author.add_header(&id);
            self.pending.insert(header.author_id(), author);
        } else if let Some(signature) = attested.signature() {
            self.save_signature(&id, signature)?;
        }
        Ok(())
    }

    fn save_signature(&mut self, id: &EnvelopeId, signature: &Signature) -> Result<(), SaveError> {
        let found = self.execute(
            "UPDATE header SET sig = ?2 WHERE id = ?1",
            params![id.as_bytes(), signature_column(id, signature)],
        )?;
        if found == 1 { Ok(()) } else { Err(SaveError::NoHeader { id: *id }) }
    }

    /// Returns the quota bytes of the chain up to and with this header; 0 if its parent is not held (fork evidence).
    fn cumulative(&mut self, attested: &AttestedHeader) -> Result<u64, SaveError> {
        let header = attested.header();
        let below = match &self.last {
            _ if header.seq == 1 => Some(0),
            Some((id, cum)) if *id == header.prev => Some(*cum),
            Some(_) | None => self.query("SELECT cum FROM header WHERE id = ?1", [header.prev.as_bytes()], |row| {
                row.get::<_, i64>(0).map(i64::unsigned_abs)
            })?,
        };
        let cum = below.filter(|below| header.seq == 1 || *below > 0).map_or(0, |below| below + header.quota_bytes());
        self.last = Some((attested.id(), cum));
        Ok(cum)
    }

    /// Returns the row that `id` should be in if that row was found damaged.
    fn damaged_spot(&mut self, author: i64, seq: i64, id: &EnvelopeId) -> Result<Option<i64>, SaveError> {
        if self.damaged.is_empty() {
            return Ok(None);
        }
        let pos = match self.damaged.get(&Spot::Id(*id)).copied() {
            Some(pos) => Some(pos),
            None if self.header_at(id)?.is_some() => None,
            None => self.damaged.get(&Spot::Seq { author, seq }).copied(),
        };
        self.damaged.retain(|_, held| Some(*held) != pos);
        Ok(pos)
    }

    fn save_body(&mut self, id: &EnvelopeId, bytes: &[u8]) -> Result<(), SaveError> {
        let Some((pos, author)) = self.header_at(id)? else {
            return Err(SaveError::NoHeader { id: *id });
        };
        let added = self.execute(
            "INSERT INTO body(header_pos, bytes) VALUES (?1, ?2) ON CONFLICT(header_pos) DO NOTHING",
            params![pos, bytes],
        )?;
        if added == 1 {
            let known = self.pending.get(&author).or_else(|| self.authors.get(&author)).copied();
            let mut row = known.expect("an author whose header was found has a row");
            row.add_body(id);
            self.pending.insert(author, row);
        } else {
            self.execute("UPDATE body SET bytes = ?2 WHERE header_pos = ?1 AND bytes IS NOT ?2", params![pos, bytes])?;
        }
        Ok(())
    }

    fn save_remembered(&mut self, answer: &Remembered) -> Result<(), SaveError> {
        let sql = "SELECT key, content, kind, id, version, check32 FROM idempotency WHERE key = ?1";
        let held = self.query(sql, [&answer.key], |row| Ok(super::load::remembered_row(row)))?;
        if let Some(Some(held)) = held {
            let key = answer.key.clone();
            return if held == *answer { Ok(()) } else { Err(SaveError::KeyReused { key }) };
        }
        let (kind, id) = &answer.record;
        self.execute(
            "INSERT OR REPLACE INTO idempotency(key, content, kind, id, version, check32) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                answer.key,
                answer.content.as_bytes(),
                kind,
                id,
                answer.version.as_bytes(),
                remembered_check32(answer).as_bytes()
            ],
        )?;
        Ok(())
    }

    /// Writes down where authoring stopped, or was released; the first stop stands until then.
    fn save_stop(&mut self, key: &'static str, tip: &Tip) -> Result<(), SaveError> {
        let sql = if key == HALT {
            "INSERT INTO meta(key, value) VALUES (?1, ?2) ON CONFLICT(key) DO NOTHING"
        } else {
            "INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)"
        };
        self.execute(sql, params![key, tip_column(key, tip)]).map(|_| ())
    }

    /// Returns the position of a header and its author.
    fn header_at(&mut self, id: &EnvelopeId) -> Result<Option<(i64, AuthorId)>, SaveError> {
        self.query(
            "SELECT h.pos, a.nation, a.key FROM header h JOIN author a ON a.id = h.author WHERE h.id = ?1",
            [id.as_bytes()],
            |row| Ok((row.get(0)?, AuthorId { nation: Id::new(row.get(1)?), key: Id::new(row.get(2)?) })),
        )
    }

    fn author_row(&mut self, author: &AuthorId) -> Result<AuthorRow, SaveError> {
        if let Some(row) = self.pending.get(author).or_else(|| self.authors.get(author)) {
            return Ok(*row);
        }
        self.execute(
            "INSERT INTO author(nation, key) VALUES (?1, ?2)",
            params![author.nation.as_bytes(), author.key.as_bytes()],
        )?;
        let row = AuthorRow { row: self.connection.last_insert_rowid(), held: Held::default(), found: None };
        self.pending.insert(*author, row);
        Ok(row)
    }

    fn write_frontiers(&mut self) -> Result<(), SaveError> {
        let touched: Vec<AuthorRow> = self.pending.values().copied().collect();
        touched.iter().try_for_each(|author| self.write_frontier(author))
    }

    fn write_frontier(&mut self, author: &AuthorRow) -> Result<(), SaveError> {
        let held = author.held.encode();
        let check = check32("frontier", &[&author.row.to_be_bytes(), &held]);
        self.execute(
            "INSERT INTO frontier(author, held, check32) VALUES (?1, ?2, ?3)
             ON CONFLICT(author) DO UPDATE SET held = excluded.held, check32 = excluded.check32",
            params![author.row, held, check.as_bytes()],
        )?;
        Ok(())
    }

    /// Makes the frontier cache of `author` say what the rows say, after what was missing was fetched again.
    ///
    /// # Errors
    /// [`SaveError`]; the cache is then unchanged.
    pub fn rebuild_frontier(&mut self, author: &AuthorId) -> Result<(), SaveError> {
        let Some(mut row) = self.authors.get(author).copied() else { return Ok(()) };
        row.held = sum_rows(&self.connection, row.row).map_err(|error| self.failure(error))?;
        row.found = None;
        self.write_frontier(&row)?;
        self.authors.insert(*author, row);
        Ok(())
    }

    /// Moves what the write-ahead log holds into the file and empties the log, so that little of what was acknowledged
    /// lies where a flipped bit would drop all that follows (STORE 2). Waits for nobody.
    ///
    /// Returns whether the log is empty now.
    pub fn checkpoint(&mut self) -> bool {
        if self.failed.is_some() {
            return true;
        }
        let waited = self.connection.busy_timeout(std::time::Duration::ZERO);
        let result = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
        let restored = self.connection.busy_timeout(super::BUSY_TIMEOUT);
        match waited.and(result).and_then(|done| restored.map(|()| done)) {
            Ok(_) => true,
            Err(error) => {
                // A reader in the way is no failure; the next idle second tries again.
                if let SaveError::Fatal(error) = self.failure(error) {
                    tracing::error!(%error, "checkpoint failed");
                }
                false
            }
        }
    }

    /// Bytes of the write-ahead log; 0 on a simulated disk, which nobody can ask.
    pub fn wal_bytes(&self) -> u64 {
        if self.settings.vfs.is_some() {
            return 0;
        }
        std::fs::metadata(super::wal_path(&self.path)).map_or(0, |meta| meta.len())
    }

    /// Bytes of the file and its write-ahead log; on a simulated disk of the file's pages, 0 if it does not say.
    pub fn bytes(&self) -> u64 {
        if self.settings.vfs.is_some() {
            return self.pages("PRAGMA page_count").map_or(0, |pages| pages.saturating_mul(PAGE_BYTES));
        }
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len()) + self.wal_bytes()
    }

    /// Whether the disk or the file failed, so that every further write is refused.
    pub fn failed(&self) -> Option<&Arc<rusqlite::Error>> {
        self.failed.as_ref()
    }

    /// Returns what keeps the live lane from saving, if anything does.
    ///
    /// # Errors
    /// [`SaveError::Fatal`] if the store takes no more writes at all.
    pub fn full(&mut self) -> Result<Option<Full>, SaveError> {
        if let Some(error) = &self.failed {
            return Err(SaveError::Fatal(Arc::clone(error)));
        }
        let free = self.free_bytes();
        if let Err(SaveError::DiskFull(full)) = self.check_floor(Lane::Live, free) {
            return Ok(Some(full));
        }
        if free < ROOM_BYTES_MIN {
            return Ok(Some(Full::Device));
        }
        let Some(bytes_max) = self.settings.bytes_max else { return Ok(None) };
        let used = self.pages("PRAGMA page_count").and_then(|all| Ok(all - self.pages("PRAGMA freelist_count")?));
        let used = used.map_err(|error| self.failure(error))?.saturating_mul(PAGE_BYTES);
        Ok((used.saturating_add(ROOM_BYTES_MIN) > bytes_max).then_some(Full::Quota { bytes_max }))
    }

    fn pages(&self, sql: &str) -> rusqlite::Result<u64> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row([], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    }

    fn free_bytes(&self) -> u64 {
        if self.settings.vfs.is_some() {
            return u64::MAX;
        }
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        // A file system that cannot say is treated as roomy: the write itself will tell.
        rustix::fs::statvfs(folder).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn check_floor(&self, lane: Lane, free: u64) -> Result<(), SaveError> {
        let floor = match lane {
            Lane::Live => self.settings.free_min,
            Lane::CatchUp => self.settings.catch_up_free_min,
        };
        if free < floor { Err(SaveError::DiskFull(Full::Floor { free, floor })) } else { Ok(()) }
    }

    fn space(&self, free: u64) -> Space {
        if free < self.settings.catch_up_free_min { Space::Low } else { Space::Ample }
    }

    fn roll_back(&mut self) {
        self.pending.clear();
        self.last = None;
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            tracing::error!(%error, "rollback failed");
            self.failed.get_or_insert_with(|| Arc::new(error));
        }
    }

    fn execute(&mut self, sql: &str, params: impl rusqlite::Params) -> Result<usize, SaveError> {
        let result = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params));
        result.map_err(|error| self.failure(error))
    }

    fn query<T>(
        &mut self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, SaveError> {
        let result = self.connection.prepare_cached(sql);
        let result = result.and_then(|mut statement| statement.query_row(params, read).optional());
        result.map_err(|error| self.failure(error))
    }

    fn run(&mut self, sql: &str) -> Result<(), SaveError> {
        self.execute(sql, []).map(|_| ())
    }

    /// Sorts an error of the database: full, busy, or the end of all writing.
    fn failure(&mut self, error: rusqlite::Error) -> SaveError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => SaveError::DiskFull(match self.settings.bytes_max {
                Some(bytes_max) if self.free_bytes() >= DEVICE_FULL_BYTES => Full::Quota { bytes_max },
                _ => Full::Device,
            }),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SaveError::Busy,
            // The shared memory of the write-ahead log cannot grow on a full disk; nothing was written then.
            Some(ErrorCode::SystemIoFailure)
                if error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
                    && self.free_bytes() < DEVICE_FULL_BYTES =>
            {
                SaveError::DiskFull(Full::Device)
            }
            _ => {
                let error = Arc::clone(self.failed.get_or_insert_with(|| Arc::new(error)));
                SaveError::Fatal(error)
            }
        }
    }
}

fn signed(value: u64, what: &'static str) -> Result<i64, SaveError> {
    i64::try_from(value).map_err(|_| SaveError::Range { what })
}

/// Adds a control record, or replaces a damaged row of the same id.
pub(super) fn insert_control(connection: &Connection, control: &VerifiedControl) -> rusqlite::Result<()> {
    let row = super::control::to_row(control);
    let nation = row.nation.map(|nation| *nation.as_bytes());
    // Heights are 32 bits and versions at most 4,096, so this never saturates.
    let n = i64::try_from(row.n).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "INSERT INTO control(id, kind, nation, n, bytes, sig) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT(id) DO UPDATE SET kind = excluded.kind, nation = excluded.nation, n = excluded.n,
                                       bytes = excluded.bytes, sig = excluded.sig",
    )?;
    statement.execute(params![control.id().as_bytes(), row.kind, nation, n, row.bytes, row.sig])?;
    Ok(())
}
