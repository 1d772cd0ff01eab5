//! Readers of the files that people publish about aid: each row becomes a draft of a statement, or is refused with its line.
//!
//! All read in a stream, in bounded memory, and trust nothing: a file is foreign bytes. None writes anything; `comity import`
//! does that with what they give.

use comity_protocol::ids::hex;
use comity_protocol::keys::sha256;
use serde::Serialize;
use utoipa::ToSchema;

use crate::draft::Draft;

mod cells;
pub mod fts;
pub mod hubs;
pub mod hxl;
pub mod iati;
mod source;
pub mod sums;
mod table;
#[cfg(test)]
mod testing;

pub use source::{RECORD_BYTES_MAX, Source, SourceError};

/// A row that is ready to be written.
#[derive(Debug)]
pub struct Row {
    /// The line or entry of the source.
    pub line: u64,
    /// Its idempotency key, at most 128 bytes: the source, the row's number or name there, and a hash of its content.
    pub key: String,
    /// The statement.
    pub draft: Draft,
    /// What of the row was not understood and is left out.
    pub flags: Vec<String>,
}

impl Row {
    /// Returns a row with its idempotency key.
    ///
    /// The content is part of the key: a corrected row of a later release is a new statement, not a refusal.
    pub fn new(source: &str, line: u64, name: &str, draft: Draft, flags: Vec<String>) -> Self {
        let content = serde_json::to_vec(&draft).expect("a draft is plain data");
        let hash = hex(&sha256(&content)[..8]);
        Self { line, key: format!("{source}:{name}:{hash}"), draft, flags }
    }
}

/// A row that became nothing.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RefusedLine)]
pub struct RefusedRow {
    /// The line or entry of the source.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What a row of a source is.
#[derive(Debug)]
pub enum Found {
    /// A statement.
    Row(Row),
    /// Nothing.
    Refused(RefusedRow),
}

impl Found {
    /// Returns what a row became: a statement, or nothing and why.
    fn of(line: u64, read: Result<Row, String>) -> Self {
        match read {
            Ok(row) => Self::Row(row),
            Err(reason) => Self::Refused(RefusedRow { line, reason }),
        }
    }
}

/// The rows of a source, read one by one; nothing comes after an error.
pub type Rows = Box<dyn Iterator<Item = Result<Found, SourceError>>>;
