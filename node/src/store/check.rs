//! Integrity checks, which only read: beside a running node, on a stopped one, or on a dead one's home.

use std::collections::BTreeMap;
use std::path::Path;

use comity_protocol::effect::Remembered;
use comity_protocol::envelope::SignedHeader;
use comity_protocol::ids::{AuthorId, EnvelopeId, Tip};
use comity_protocol::keys::Signature;
use rusqlite::{Connection, ErrorCode};

use super::Identity;
use super::damage::Damage;
use super::error::OpenError;
use super::load::{self, Envelopes, StoredEnvelope};
use super::schema::{self, Access};

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The file's structure, and the rows against what was counted when they were saved.
    Quick,
    /// Also every hash, id, signature and `check32`.
    Deep,
}

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// Whose store it is.
    pub identity: Identity,
    /// How much was checked.
    pub depth: Depth,
    /// Headers found.
    pub headers: u64,
    /// Bodies found.
    pub bodies: u64,
    /// Control records found.
    pub control: u64,
    /// What is damaged, sorted; empty if all is well.
    pub damage: Vec<Damage>,
}

impl Checked {
    /// Whether nothing is damaged.
    pub const fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Checks the store at `path` without writing to it.
///
/// # Errors
/// [`OpenError`] if it cannot be opened or read at all; damaged rows are in the result.
pub fn check(path: &Path, depth: Depth) -> Result<Checked, OpenError> {
    let connection = schema::open(path, Access::Read, None)?;
    let failed = |source| schema::sql(path, "read", source);
    connection.execute_batch("BEGIN").map_err(failed)?;
    let mut damage = check_structure(&connection, depth).map_err(failed)?;
    let identity = load::read_identity(&connection).map_err(failed)?;
    let counts = match depth {
        Depth::Quick => check_sums(&connection, &mut damage),
        Depth::Deep => check_rows(&connection, &identity, &mut damage),
    };
    let (headers, bodies, control) = match counts {
        Ok(counts) => counts,
        // A broken tree ends the reading of rows.
        Err(error) if is_damage(&error) => {
            damage.push(Damage::Structure { line: error.to_string() });
            (0, 0, 0)
        }
        Err(error) => return Err(failed(error)),
    };
    damage.sort();
    Ok(Checked { identity, depth, headers, bodies, control, damage })
}

fn check_structure(connection: &Connection, depth: Depth) -> rusqlite::Result<Vec<Damage>> {
    let sql = match depth {
        Depth::Quick => "PRAGMA quick_check",
        Depth::Deep => "PRAGMA integrity_check",
    };
    let mut statement = connection.prepare(sql)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut damage = Vec::new();
    for line in lines {
        match line {
            Ok(line) if line == "ok" => {}
            Ok(line) => damage.push(Damage::Structure { line }),
            // Some damage ends the check itself.
            Err(error) if is_damage(&error) => damage.push(Damage::Structure { line: error.to_string() }),
            Err(error) => return Err(error),
        }
    }
    Ok(damage)
}

/// Whether the database says that its file is broken.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

type Counts = (u64, u64, u64);

/// Compares counts and sums only.
fn check_sums(connection: &Connection, damage: &mut Vec<Damage>) -> rusqlite::Result<Counts> {
    let authors = load::read_authors(connection)?;
    let mut envelopes = Envelopes::default();
    envelopes.sum(connection)?;
    envelopes.compare(&authors, damage);
    let (headers, bodies) = envelopes.totals();
    let control = connection.query_row("SELECT count(*) FROM control", [], |row| row.get::<_, i64>(0))?;
    Ok((headers, bodies, control.unsigned_abs()))
}

/// Rehashes and verifies everything.
fn check_rows(connection: &Connection, identity: &Identity, damage: &mut Vec<Damage>) -> rusqlite::Result<Counts> {
    let authors = load::read_authors(connection)?;
    let mut envelopes = Envelopes::default();
    envelopes.read(connection, &authors, damage)?;
    envelopes.compare(&authors, damage);
    let (headers, bodies) = envelopes.totals();
    check_signatures(&envelopes.found, damage);
    let control = load::read_control(connection, damage)?;
    load::read_remembered(connection, damage)?;
    load::check_rows_of(connection, "own_key", damage)?;
    load::check_rows_of(connection, "peer", damage)?;
    load::check_identity(connection, identity, &control, damage)?;
    Ok((headers, bodies, u64::try_from(control.len()).unwrap_or(u64::MAX)))
}

/// Verifies every signature, and that every header without one has a descendant that carries one (spec 4.13.1).
fn check_signatures(found: &[StoredEnvelope], damage: &mut Vec<Damage>) {
    let mut parents: BTreeMap<(AuthorId, EnvelopeId), bool> = BTreeMap::new();
    let mut order: Vec<&StoredEnvelope> = found.iter().collect();
    order.sort_by_key(|envelope| std::cmp::Reverse(envelope.header.header().seq));
    for envelope in order {
        let (header, id) = (envelope.header.header(), envelope.header.id());
        let author = header.author_id();
        let good = envelope.header.signature().map(|signature| signature_good(envelope, signature));
        if good == Some(false) {
            damage.push(Damage::Signature { author, seq: header.seq, id });
        }
        let covered = good == Some(true) || parents.get(&(author, id)).copied().unwrap_or(false);
        if !covered && good.is_none() {
            damage.push(Damage::Unattested { author, seq: header.seq, id });
        }
        *parents.entry((author, header.prev)).or_default() |= covered;
    }
}

fn signature_good(envelope: &StoredEnvelope, signature: &Signature) -> bool {
    SignedHeader { header: envelope.header.header().clone(), signature: *signature }.verify().is_ok()
}

/// One envelope of the node itself, durable in its home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEnvelope {
    /// Its position in the node's chain.
    pub seq: u64,
    /// Its id, which names the version of the statement it carries.
    pub id: EnvelopeId,
    /// Its body; none if that is missing or damaged.
    pub body: Option<std::sync::Arc<[u8]>>,
}

/// What the node of a home has said, as far as that is durable there.
#[derive(Debug)]
pub struct OwnRecords {
    /// Whose store it is.
    pub identity: Identity,
    /// Its own envelopes by position.
    pub envelopes: Vec<OwnEnvelope>,
    /// Statements written with an idempotency key, by key.
    pub remembered: Vec<Remembered>,
}

/// Returns whose store it is and where its node's own chain ends, without writing to it.
///
/// # Errors
/// [`OpenError`].
pub(super) fn own_tip(path: &Path) -> Result<(Identity, Tip), OpenError> {
    let connection = schema::open(path, Access::Read, None)?;
    let failed = |source| schema::sql(path, "read", source);
    let identity = load::read_identity(&connection).map_err(failed)?;
    let authors = super::authors::read_authors(&connection).map_err(failed)?;
    let Some(row) = authors.get(&identity.author()) else { return Ok((identity, Tip::NONE)) };
    let positions = super::authors::positions(&connection, row.row).map_err(failed)?;
    Ok((identity, positions.last().map_or(Tip::NONE, |(seq, id)| Tip { seq: *seq, id: *id })))
}

/// Lists what the node of a store has said, without writing to it; also for the home of a killed node.
///
/// # Errors
/// [`OpenError`].
pub fn own_records(path: &Path) -> Result<OwnRecords, OpenError> {
    let connection = schema::open(path, Access::Read, None)?;
    let loaded = load::load(&connection).map_err(|source| schema::sql(path, "read", source))?;
    let own = loaded.identity.author();
    let mine = loaded.envelopes.into_iter().filter(|envelope| envelope.header.header().author_id() == own);
    let envelopes = mine.map(|envelope| OwnEnvelope {
        seq: envelope.header.header().seq,
        id: envelope.header.id(),
        body: envelope.body,
    });
    Ok(OwnRecords { identity: loaded.identity, envelopes: envelopes.collect(), remembered: loaded.remembered })
}
