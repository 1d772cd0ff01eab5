//! Reading everything at the start: each row is checked against its id on the way, a damaged one is named and left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_protocol::charter::Anchor;
use comity_protocol::control::{ControlRecord, VerifiedControl};
use comity_protocol::effect::{Authoring, HaltReason, Remembered};
use comity_protocol::envelope::AttestedHeader;
use comity_protocol::evaluate::Element;
use comity_protocol::ids::{AuthorId, EnvelopeId, Id, Tip, hex};
use rusqlite::{Connection, Row};

use super::Identity;
use super::authors::cached_held;
use super::damage::{Counted, Damage, Findings, Spot};
use super::held::{HALT, Held, check32, read_signature, read_tip, remembered_check32};

/// An envelope as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEnvelope {
    /// The header; its bytes were checked against its id.
    pub header: AttestedHeader,
    /// Cumulative quota bytes of its chain up to and with it, as they were saved.
    pub cum: u64,
    /// The body, if it is held; checked against the header.
    pub body: Option<Arc<[u8]>>,
}

/// Everything a store holds.
#[derive(Debug)]
pub struct Loaded {
    /// Whose store it is.
    pub identity: Identity,
    /// Where the evaluation starts.
    pub anchor: Anchor,
    /// Control records: genesis, motions, votes, rosters; each by height or version, then id.
    pub control: Vec<VerifiedControl>,
    /// Envelopes by author, position and id.
    pub envelopes: Vec<StoredEnvelope>,
    /// Answers to writes with an idempotency key, by key.
    pub remembered: Vec<Remembered>,
    /// Whether the home forbids authoring.
    pub authoring: Authoring,
    /// The last envelope that the node's key is known to have signed; [`Tip::NONE`] where nothing says it.
    pub signed: Tip,
    /// What is damaged, sorted; none of it is among the above.
    pub damage: Vec<Damage>,
    pub(super) findings: Findings,
}

impl Loaded {
    /// Returns what is to be evaluated, and the remembered answers.
    pub fn into_elements(self) -> (Vec<Element>, Vec<Remembered>) {
        let mut elements: Vec<Element> = self.control.into_iter().map(Element::Control).collect();
        for envelope in self.envelopes {
            let id = envelope.header.id();
            elements.push(Element::Header(envelope.header));
            elements.extend(envelope.body.map(|bytes| Element::Body { id, bytes }));
        }
        (elements, self.remembered)
    }

    /// Where the node's own chain ends, as far as it can be read.
    pub(super) fn own_to(&self) -> u64 {
        let own = self.identity.author();
        let headers = self.envelopes.iter().map(|envelope| envelope.header.header());
        headers.filter(|header| header.author_id() == own).map(|header| header.seq).max().unwrap_or(0)
    }

    /// Tells the log what is damaged and takes out what the writer must know; `None` if nothing is.
    pub(super) fn take_findings(&mut self) -> Option<Findings> {
        for damage in &self.damage {
            tracing::error!(%damage, "damaged row");
        }
        let findings = std::mem::take(&mut self.findings);
        (!self.damage.is_empty()).then_some(findings)
    }

    /// Returns what is damaged of the node's own chain; while this is not empty the node must not author (STORE 6).
    pub fn own_damage(&self) -> impl Iterator<Item = &Damage> {
        let own = self.identity.author();
        self.damage.iter().filter(move |damage| damage.forbids_authoring(&own))
    }
}

/// Reads everything in one read transaction.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    // Dropped on an error, it is rolled back: the connection may be the one that writes.
    let transaction = connection.unchecked_transaction()?;
    let loaded = load_all(&transaction)?;
    transaction.commit()?;
    Ok(loaded)
}

fn load_all(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut damage = Vec::new();
    let identity = read_identity(connection)?;
    let anchor = super::anchor::read(connection, identity.alliance, &mut damage)?;
    let control = read_control(connection, &mut damage)?;
    check_rows_of(connection, "own_key", &mut damage)?;
    check_identity(connection, &identity, &control, &mut damage)?;
    let authors = read_authors(connection)?;
    let mut envelopes = Envelopes::default();
    envelopes.read(connection, &authors, &mut damage)?;
    envelopes.compare(&authors, &mut damage);
    envelopes.found.sort_unstable_by_key(|envelope| {
        let header = envelope.header.header();
        (header.author_id(), header.seq, envelope.header.id())
    });
    let remembered = read_remembered(connection, &mut damage)?;
    let halt = read_halt(connection, &mut damage)?;
    damage.sort();
    let findings = envelopes.findings;
    let (authoring, signed) = (Authoring::Free, Tip::NONE);
    let mut loaded = Loaded {
        identity,
        anchor,
        control,
        envelopes: envelopes.found,
        remembered,
        authoring,
        signed,
        damage,
        findings,
    };
    loaded.authoring = match halt {
        None => Authoring::Free,
        Some(Some(tip)) => Authoring::Halted(HaltReason::ForeignOwn { tip }),
        // It stopped, and nobody can say for what.
        Some(None) => Authoring::Restored { sentinel: None, stored: loaded.own_to() },
    };
    Ok(loaded)
}

/// Reads whether the node stopped; `Some(None)` if the row that says so is damaged.
fn read_halt(connection: &Connection, damage: &mut Vec<Damage>) -> rusqlite::Result<Option<Option<Tip>>> {
    let mut statement = connection.prepare("SELECT value FROM meta WHERE key = ?1")?;
    let mut rows = statement.query([HALT])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let tip = read_tip(HALT, blob(row, 0));
    if tip.is_none() {
        damage.push(Damage::Row { table: "meta", key: HALT.to_owned() });
    }
    Ok(Some(tip))
}

pub(super) fn read_identity(connection: &Connection) -> rusqlite::Result<Identity> {
    let mut statement = connection.prepare("SELECT value FROM meta WHERE key = ?1")?;
    let mut read = |key: &str| statement.query_row([key], |row| row.get::<_, [u8; 32]>(0));
    Ok(Identity {
        alliance: Id::new(read("alliance")?),
        nation: Id::new(read("nation")?),
        node: Id::new(read("node")?),
    })
}

/// Compares the identity, whose rows carry no hash, with what else names the node, its nation and its alliance.
pub(super) fn check_identity(
    connection: &Connection,
    identity: &Identity,
    control: &[VerifiedControl],
    damage: &mut Vec<Damage>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT id, meta, check32 FROM own_key")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (node, nation) = (blob(row, 0), blob(row, 1));
        let same = node == identity.node.as_bytes() && nation == identity.nation.as_bytes();
        if !same && is_checked(row, "own_key") {
            damage.push(Damage::Row { table: "meta", key: "node or nation".to_owned() });
        }
    }
    let mut founded = control.iter().filter_map(|control| match control.record() {
        ControlRecord::Genesis(signed) => Some(signed.genesis.alliance_id()),
        ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    });
    if founded.next().is_some_and(|first| first != identity.alliance && founded.all(|id| id != identity.alliance)) {
        damage.push(Damage::Row { table: "meta", key: "alliance".to_owned() });
    }
    Ok(())
}

/// Checks the rows of a table of the shape (id, meta, check32).
pub(super) fn check_rows_of(
    connection: &Connection,
    table: &'static str,
    damage: &mut Vec<Damage>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("SELECT id, meta, check32 FROM {table}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !is_checked(row, table) {
            damage.push(Damage::Row { table, key: hex(blob(row, 0)) });
        }
    }
    Ok(())
}

/// Whether a row (id, meta, check32) carries its own hash.
fn is_checked(row: &Row<'_>, table: &str) -> bool {
    blob(row, 2) == check32(table, &[blob(row, 0), blob(row, 1)]).as_bytes()
}

pub(super) fn read_control(
    connection: &Connection,
    damage: &mut Vec<Damage>,
) -> rusqlite::Result<Vec<VerifiedControl>> {
    let mut statement = connection.prepare("SELECT id, kind, bytes, sig FROM control ORDER BY kind, n, id")?;
    let mut rows = statement.query([])?;
    let mut control = Vec::new();
    while let Some(row) = rows.next()? {
        let id = blob(row, 0);
        let sig = row.get_ref(3)?.as_blob_or_null().ok().flatten();
        match super::control::from_row(id, row.get(1).unwrap_or(0), blob(row, 2), sig) {
            Some(record) => control.push(record),
            None => damage.push(Damage::Control { id: hex(id) }),
        }
    }
    Ok(control)
}

/// An author's row: who, if it can be read, and the cached sums, if they can be read.
pub(super) struct AuthorRow {
    pub(super) author: Option<AuthorId>,
    pub(super) cached: Option<Held>,
}

pub(super) fn read_authors(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, AuthorRow>> {
    let mut statement = connection.prepare(
        "SELECT a.id, a.nation, a.key, f.held, f.check32 FROM author a LEFT JOIN frontier f ON f.author = a.id",
    )?;
    let mut rows = statement.query([])?;
    let mut authors = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        let author = match (row.get(1), row.get(2)) {
            (Ok(nation), Ok(key)) => Some(AuthorId { nation: Id::new(nation), key: Id::new(key) }),
            _ => None,
        };
        authors.insert(number, AuthorRow { author, cached: cached_held(row, number, 3, 4) });
    }
    Ok(authors)
}

/// The envelopes read so far.
#[derive(Default)]
pub(super) struct Envelopes {
    pub(super) found: Vec<StoredEnvelope>,
    findings: Findings,
    sums: BTreeMap<i64, Held>,
}

impl Envelopes {
    /// Reads in arrival order, which is the order on the disk.
    pub(super) fn read(
        &mut self,
        connection: &Connection,
        authors: &BTreeMap<i64, AuthorRow>,
        damage: &mut Vec<Damage>,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "SELECT h.pos, h.author, h.seq, h.id, h.bytes, h.sig, h.cum, b.bytes
             FROM header h LEFT JOIN body b ON b.header_pos = h.pos ORDER BY h.pos",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.read_row(row, authors, damage)?;
        }
        let mut orphans = connection
            .prepare("SELECT header_pos FROM body WHERE NOT EXISTS (SELECT 1 FROM header WHERE pos = header_pos)")?;
        let mut rows = orphans.query([])?;
        while let Some(row) = rows.next()? {
            damage.push(Damage::Orphan { pos: row.get(0)? });
        }
        Ok(())
    }

    fn read_row(
        &mut self,
        row: &Row<'_>,
        authors: &BTreeMap<i64, AuthorRow>,
        damage: &mut Vec<Damage>,
    ) -> rusqlite::Result<()> {
        let (pos, author, seq): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let column_author = authors.get(&author).and_then(|row| row.author);
        let id_column = <[u8; 32]>::try_from(blob(row, 3)).ok().map(EnvelopeId::new);
        let body = row.get_ref(7)?.as_blob_or_null().ok().flatten();
        if let Some(id) = &id_column {
            self.add(author, id, body.is_some());
        }
        let column = row.get_ref(5)?.as_blob_or_null().ok().flatten();
        let signature = id_column.and_then(|id| read_signature(&id, column?));
        let header = match AttestedHeader::from_store(blob(row, 4), signature) {
            Ok(header) if id_column == Some(header.id()) => header,
            Ok(_) | Err(_) => {
                self.findings.spots.insert(Spot::Seq { author, seq }, pos);
                if let Some(id) = id_column {
                    self.findings.spots.insert(Spot::Id(id), pos);
                }
                damage.push(Damage::Header { author: column_author, seq, id: hex(blob(row, 3)) });
                return Ok(());
            }
        };
        let (author, seq_held, id) = (header.header().author_id(), header.header().seq, header.id());
        if column.is_some() && signature.is_none() {
            damage.push(Damage::Signature { author, seq: seq_held, id });
        }
        let cum = row.get::<_, i64>(6).ok().and_then(|cum| u64::try_from(cum).ok());
        if column_author != Some(author) || u64::try_from(seq) != Ok(seq_held) || cum.is_none() {
            self.findings.spots.insert(Spot::Id(id), pos);
            damage.push(Damage::Columns { author, seq: seq_held, id });
        }
        let body = body.and_then(|bytes| {
            let good = header.header().body_matches(bytes);
            if !good {
                damage.push(Damage::Body { author, seq: seq_held, id });
            }
            good.then(|| Arc::from(bytes))
        });
        self.found.push(StoredEnvelope { header, cum: cum.unwrap_or(0), body });
        Ok(())
    }

    /// Only adds up the rows, reading ids and no bytes.
    pub(super) fn sum(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "SELECT h.author, h.id, b.header_pos IS NOT NULL
             FROM header h LEFT JOIN body b ON b.header_pos = h.pos ORDER BY h.pos",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Ok(id) = row.get(1) {
                self.add(row.get(0)?, &Id::new(id), row.get(2)?);
            }
        }
        Ok(())
    }

    fn add(&mut self, author: i64, id: &EnvelopeId, body_held: bool) {
        let sums = self.sums.entry(author).or_default();
        sums.add_header(id);
        if body_held {
            sums.add_body(id);
        }
    }

    /// Returns how many headers and bodies were found.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.sums.values().fold((0, 0), |(headers, bodies), sums| (headers + sums.headers, bodies + sums.bodies))
    }

    /// Compares what was found with what was counted when it was saved.
    pub(super) fn compare(&mut self, authors: &BTreeMap<i64, AuthorRow>, damage: &mut Vec<Damage>) {
        for (number, row) in authors {
            let found = self.sums.get(number).copied().unwrap_or_default();
            let Some(author) = row.author else {
                damage.push(Damage::Row { table: "author", key: number.to_string() });
                continue;
            };
            if row.cached != Some(found) {
                self.findings.sums.insert(author, found);
                damage.push(Damage::Frontier {
                    author,
                    headers: Counted { expected: row.cached.map(|held| held.headers), found: found.headers },
                    bodies: Counted { expected: row.cached.map(|held| held.bodies), found: found.bodies },
                });
            }
        }
    }
}

pub(super) fn read_remembered(connection: &Connection, damage: &mut Vec<Damage>) -> rusqlite::Result<Vec<Remembered>> {
    let mut statement =
        connection.prepare("SELECT key, content, kind, id, version, check32 FROM idempotency ORDER BY key")?;
    let mut rows = statement.query([])?;
    let mut remembered = Vec::new();
    while let Some(row) = rows.next()? {
        match remembered_row(row) {
            Some(row) => remembered.push(row),
            None => {
                let key = row.get_ref(0)?.as_bytes().unwrap_or_default();
                damage.push(Damage::Row { table: "idempotency", key: String::from_utf8_lossy(key).into_owned() });
            }
        }
    }
    Ok(remembered)
}

/// Reads the columns key, content, kind, id, version and check32; `None` if the row is damaged.
pub(super) fn remembered_row(row: &Row<'_>) -> Option<Remembered> {
    let answer = Remembered {
        key: row.get(0).ok()?,
        content: Id::new(row.get(1).ok()?),
        record: (row.get(2).ok()?, row.get(3).ok()?),
        version: Id::new(row.get(4).ok()?),
    };
    (blob(row, 5) == remembered_check32(&answer).as_bytes()).then_some(answer)
}

/// Returns a column's bytes; none if it is no blob, which only a damaged row has.
pub(super) fn blob<'a>(row: &'a Row<'_>, column: usize) -> &'a [u8] {
    row.get_ref(column).ok().and_then(|value| value.as_blob().ok()).unwrap_or_default()
}
