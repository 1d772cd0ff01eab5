//! Statements as the local API takes them.

use serde::Serialize;
use serde_json::{Map, Value};

/// What a statement is to say; the node gives it its id and signs it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Draft {
    /// The kind of statement, lower snake case.
    pub kind: String,
    /// The record this revises; absent for a new one.
    pub record: Option<String>,
    /// `withdrawn` or `closed` where the revision is that; absent for a live one.
    pub status: Option<String>,
    /// The fields by name.
    pub fields: Map<String, Value>,
}

impl Draft {
    /// A new record of `kind` without fields.
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), record: None, status: None, fields: Map::new() }
    }

    /// Adds one field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// Adds one field if there is a value.
    #[must_use]
    pub fn with_some(self, field: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    /// Makes this a revision of `record`.
    #[must_use]
    pub fn revising(mut self, record: &str) -> Self {
        self.record = Some(record.to_owned());
        self
    }

    /// Makes this revision a withdrawal.
    #[must_use]
    pub fn withdrawn(mut self) -> Self {
        self.status = Some("withdrawn".to_owned());
        self
    }
}
