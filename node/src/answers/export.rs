//! Everything, one version a line: equal bytes on all nodes with equal records at one `as_of`.

use comity_protocol::view::export::{csv, jsonl};

use crate::driver::Outlook;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    JsonLines,
    /// Comma-separated values with a head line.
    Csv,
}

/// Returns every version of every record.
pub fn export(outlook: &Outlook, form: Form) -> String {
    match form {
        Form::JsonLines => jsonl(&outlook.ledger(), outlook.view(), outlook.as_of()),
        Form::Csv => csv(&outlook.ledger(), outlook.view(), outlook.as_of()),
    }
}
