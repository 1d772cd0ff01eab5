//! Authors as the writer keeps them: their rows and what their envelopes add up to.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::ids::{AuthorId, EnvelopeId, Id};
use rusqlite::Connection;

use super::held::{Held, check32};

/// An author's row and what its rows add up to.
#[derive(Clone, Copy)]
pub(super) struct AuthorRow {
    pub(super) row: i64,
    /// What is counted, which the cache says.
    pub(super) held: Held,
    /// What loading found, where that is less: what comes now fills the gap and was counted before.
    pub(super) found: Option<Held>,
}

impl AuthorRow {
    /// Counts a header in.
    pub(super) fn add_header(&mut self, id: &EnvelopeId) {
        match &mut self.found {
            Some(found) if found.headers < self.held.headers => found.add_header(id),
            Some(found) => {
                found.add_header(id);
                self.held.add_header(id);
            }
            None => self.held.add_header(id),
        }
        self.mend();
    }

    /// Counts a body in.
    pub(super) fn add_body(&mut self, id: &EnvelopeId) {
        match &mut self.found {
            Some(found) if found.bodies < self.held.bodies => found.add_body(id),
            Some(found) => {
                found.add_body(id);
                self.held.add_body(id);
            }
            None => self.held.add_body(id),
        }
        self.mend();
    }

    /// Forgets the gap once exactly what was missing has come back.
    fn mend(&mut self) {
        if self.found == Some(self.held) {
            self.found = None;
        }
    }
}

/// Reads every author with its cached sums; a damaged cache row is summed up anew.
pub(super) fn read_authors(connection: &Connection) -> rusqlite::Result<BTreeMap<AuthorId, AuthorRow>> {
    let mut statement = connection.prepare(
        "SELECT a.id, a.nation, a.key, f.held, f.check32 FROM author a LEFT JOIN frontier f ON f.author = a.id",
    )?;
    let mut rows = statement.query([])?;
    let mut authors = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let (Ok(nation), Ok(key)) = (row.get(1), row.get(2)) else { continue };
        let cached = cached_held(row, number, 3, 4);
        let held = cached.map_or_else(|| sum_rows(connection, number), Ok)?;
        authors.insert(
            AuthorId { nation: Id::new(nation), key: Id::new(key) },
            AuthorRow { row: number, held, found: None },
        );
    }
    Ok(authors)
}

/// Returns the cached sums in these two columns; `None` if they are missing or damaged.
pub(super) fn cached_held(row: &rusqlite::Row<'_>, author: i64, held: usize, check: usize) -> Option<Held> {
    let bytes = row.get_ref(held).ok()?.as_blob().ok()?;
    let check = row.get_ref(check).ok()?.as_blob().ok()?;
    let good = check == check32("frontier", &[&author.to_be_bytes(), bytes]).as_bytes();
    if good { Held::decode(bytes).ok() } else { None }
}

/// Adds up the rows of one author.
pub(super) fn sum_rows(connection: &Connection, author: i64) -> rusqlite::Result<Held> {
    let mut statement = connection.prepare(
        "SELECT h.id, b.header_pos IS NOT NULL FROM header h LEFT JOIN body b ON b.header_pos = h.pos
         WHERE h.author = ?1",
    )?;
    let mut rows = statement.query([author])?;
    let mut held = Held::default();
    while let Some(row) = rows.next()? {
        let Ok(id) = row.get(0) else { continue };
        let id = Id::new(id);
        held.add_header(&id);
        if row.get(1)? {
            held.add_body(&id);
        }
    }
    Ok(held)
}

/// Returns the positions and ids of the headers of one author.
pub(super) fn positions(connection: &Connection, author: i64) -> rusqlite::Result<BTreeSet<(u64, EnvelopeId)>> {
    let mut statement = connection.prepare("SELECT seq, id FROM header WHERE author = ?1")?;
    let mut rows = statement.query([author])?;
    let mut positions = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let (Ok(seq), Ok(id)) = (row.get::<_, i64>(0), row.get(1)) else { continue };
        positions.insert((seq.unsigned_abs(), Id::new(id)));
    }
    Ok(positions)
}
