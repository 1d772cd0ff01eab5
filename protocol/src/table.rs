//! The row table: every record of one nation's document, with every version, fed by what the guard admitted.
//!
//! This is the read model (AUTOMERGE section 10): no Automerge document is consulted. Its contents are a function of the
//! set of writes applied, whatever their order.

use std::cmp::Ordering;

use crate::ids::{AuthorKey, EnvelopeId};
use crate::value::{Fields, OpId, Value, Write};

mod shelves;
mod versions;

use shelves::Shelves;
pub use versions::{Versions, VersionsIter};

/// Where a version comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The envelope that carried the change; names the version (DOMAIN R1).
    pub envelope: EnvelopeId,
    /// The node that wrote it ("site" in DOMAIN).
    pub author: AuthorKey,
    /// The envelope's position in that node's chain.
    pub seq: u64,
    /// The envelope's claimed time in milliseconds.
    pub time_ms: u64,
}

/// One version of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Where it comes from.
    pub source: Source,
    /// The versions it replaces.
    pub replaces: Vec<OpId>,
    /// Whether another version replaces it.
    pub replaced: bool,
    /// All its fields.
    pub fields: Fields,
}

/// A record with all its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// By operation, ascending: the last surviving one is Automerge's winner.
    pub versions: Versions,
}

impl Record {
    /// Returns the versions that no other replaces, ascending by operation: one, unless revisions were concurrent (C20).
    pub fn surviving(&self) -> impl DoubleEndedIterator<Item = (&OpId, &Version)> {
        self.versions.iter().filter(|(_, version)| !version.replaced)
    }

    /// Returns the version Automerge shows: the surviving operation with the highest (counter, actor).
    pub fn winner(&self) -> Option<&Version> {
        self.surviving().next_back().map(|(_, version)| version)
    }

    /// Returns the version written by `envelope`.
    pub fn by_envelope(&self, envelope: &EnvelopeId) -> Option<&Version> {
        self.versions.values().find(|version| version.source.envelope == *envelope)
    }
}

/// Name of a record within its nation's document: kind, then id.
pub type RecordKey = (String, String);

/// All records of one nation's document.
///
/// A copy is cheap: it shares every record with its original, and stays as it was when that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    records: Shelves<(RecordKey, Record)>,
    /// Who has byte strings in a field of some version, by these.
    naming: Shelves<Naming>,
    versions: usize,
}

/// Longest field that [`Table::naming`] finds a record by: references are shorter.
pub const NAMING_BYTES_MAX: usize = 160;

/// A record with bytes it has in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Naming {
    bytes: Box<[u8]>,
    key: RecordKey,
}

fn by_key(kind: &str, id: &str) -> impl Fn(&(RecordKey, Record)) -> Ordering {
    move |((k, i), _)| (k.as_str(), i.as_str()).cmp(&(kind, id))
}

impl Table {
    /// Takes in one admitted write.
    ///
    /// The guard has checked that everything in `replaces` was admitted before, so the order of two calls matters only
    /// where it must: a version comes after those it replaces.
    pub fn apply(&mut self, write: Write, source: Source) {
        let key = (write.kind, write.id);
        for value in write.fields.values() {
            let Value::Bytes(bytes) = value else { continue };
            if bytes.len() <= NAMING_BYTES_MAX {
                let order = |entry: &Naming| (&*entry.bytes, &entry.key).cmp(&(bytes.as_slice(), &key));
                self.naming.entry(order, || Naming { bytes: bytes.as_slice().into(), key: key.clone() });
            }
        }
        let new = || (key.clone(), Record::default());
        let (_, record) = self.records.entry(by_key(&key.0, &key.1), new);
        for op in &write.replaces {
            if let Some(version) = record.versions.get_mut(op) {
                version.replaced = true;
            }
        }
        let version = Version { source, replaces: write.replaces, replaced: false, fields: write.fields };
        if record.versions.insert(write.op, version) {
            self.versions += 1;
        }
    }

    /// Returns one record.
    pub fn record(&self, kind: &str, id: &str) -> Option<&Record> {
        self.records.get(by_key(kind, id)).map(|(_, record)| record)
    }

    /// Returns all records, ascending by kind and id.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        self.records.iter().map(|(key, record)| (key, record))
    }

    /// Returns the records with a version, replaced or not, that has a field of bytes beginning with `bytes`, such as a
    /// reference; a record comes once for each such content. Fields below others and those longer than
    /// [`NAMING_BYTES_MAX`] are not looked at.
    pub fn naming<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = &'a RecordKey> {
        self.naming
            .starting_at(&|entry| (*entry.bytes).cmp(bytes).then(Ordering::Greater))
            .take_while(move |entry| entry.bytes.starts_with(bytes))
            .map(|entry| &entry.key)
    }

    /// Returns the records of one kind, ascending by id.
    pub fn records_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Record)> {
        self.records
            .starting_at(&by_key(kind, ""))
            .take_while(move |((k, _), _)| k == kind)
            .map(|((_, id), record)| (id.as_str(), record))
    }

    /// Returns the records of one kind whose ids begin with `prefix`, ascending by id.
    pub fn records_starting<'a>(
        &'a self,
        kind: &str,
        prefix: &str,
    ) -> impl Iterator<Item = (&'a RecordKey, &'a Record)> + use<'a> {
        let from = self.records.starting_at(&by_key(kind, prefix));
        let (kind, prefix) = (kind.to_owned(), prefix.to_owned());
        from.take_while(move |((k, id), _)| *k == kind && id.starts_with(&prefix)).map(|(key, record)| (key, record))
    }

    /// Records held.
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.records.len() == 0
    }

    /// Versions held, replaced ones included.
    pub const fn versions(&self) -> usize {
        self.versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Actor;

    #[test]
    fn records_are_found_by_the_bytes_in_any_of_their_versions() {
        let author = AuthorKey::new([1; 32]);
        let mut table = Table::default();
        let mut counter = 0;
        let mut write = |id: &str, replaces: &[OpId], bytes: &[u8]| {
            counter += 1;
            let op = OpId { counter, actor: Actor::new(&author, 0) };
            let fields = Fields::from([("pledge".to_owned(), Value::Bytes(bytes.to_vec()))]);
            let source = Source { envelope: EnvelopeId::ZERO, author, seq: counter, time_ms: 0 };
            let write = Write { kind: "accept".to_owned(), id: id.to_owned(), op, replaces: replaces.to_vec(), fields };
            table.apply(write, source);
            op
        };
        write("b", &[], b"one");
        let first = write("a", &[], b"on");
        write("a", &[first], b"one and more");
        write("c", &[], b"two");
        write("d", &[], &[b'o'; NAMING_BYTES_MAX + 1]);
        let found = |bytes: &[u8]| table.naming(bytes).map(|(_, id)| id.as_str()).collect::<Vec<_>>().concat();
        assert_eq!(found(b"on"), "aba");
        assert_eq!(found(b"one"), "ba");
        assert_eq!(found(b"one "), "a");
        assert_eq!(found(b"p"), "");
        assert_eq!(found(b""), "abac");
    }
}
