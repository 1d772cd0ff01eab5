//! Everything, one version a line: equal bytes on all nodes with equal records at one `as_of`.

use comity_protocol::ids::Timestamp;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::view::export::{csv, jsonl};

use crate::driver::Reading;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    JsonLines,
    /// Comma-separated values with a head line.
    Csv,
}

/// Returns every version of every record.
pub fn export(reading: &Reading<'_>, form: Form, as_of: Timestamp) -> String {
    let ledger = Ledger::of(reading.state());
    let view = reading.view(as_of);
    match form {
        Form::JsonLines => jsonl(&ledger, &view),
        Form::Csv => csv(&ledger, &view),
    }
}
