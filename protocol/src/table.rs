//! The row table: every record of one nation's document, with every version, fed by what the guard admitted.
//!
//! This is the read model (AUTOMERGE section 10): no Automerge document is consulted. Its contents are a function of the
//! set of writes applied, whatever their order.

use crate::ids::{AuthorKey, EnvelopeId};
use crate::value::{Fields, OpId, Write};

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
    records: Shelves,
    versions: usize,
}

impl Table {
    /// Takes in one admitted write.
    ///
    /// The guard has checked that everything in `replaces` was admitted before, so the order of two calls matters only
    /// where it must: a version comes after those it replaces.
    pub fn apply(&mut self, write: Write, source: Source) {
        let record = self.records.entry((write.kind, write.id));
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
        self.records.get(kind, id)
    }

    /// Returns all records, ascending by kind and id.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        self.records.iter()
    }

    /// Returns the records of one kind, ascending by id.
    pub fn records_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Record)> {
        self.records
            .starting_at(kind, "")
            .take_while(move |((k, _), _)| k == kind)
            .map(|((_, id), record)| (id.as_str(), record))
    }

    /// Returns the records of one kind whose ids begin with `prefix`, ascending by id.
    pub fn records_starting<'a>(
        &'a self,
        kind: &str,
        prefix: &str,
    ) -> impl Iterator<Item = (&'a RecordKey, &'a Record)> + use<'a> {
        let (kind, prefix) = (kind.to_owned(), prefix.to_owned());
        self.records.starting_at(&kind, &prefix).take_while(move |((k, id), _)| *k == kind && id.starts_with(&prefix))
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
