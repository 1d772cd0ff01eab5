//! What is wrong with rows of a store, each by name.

use std::collections::BTreeMap;
use std::fmt;

use comity_protocol::ids::{AuthorId, EnvelopeId};

use super::held::Held;

/// One damaged row, or one thing that the rows together contradict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A header whose bytes are not those of its id; it is not held.
    Header {
        /// Whose chain, where that can be read.
        author: Option<AuthorId>,
        /// Its position by the row's column.
        seq: i64,
        /// The id by the row's column, in hexadecimal digits, whatever is left of it.
        id: String,
    },
    /// A header that is good, in a row whose other columns disagree with it; it is held.
    Columns {
        /// Whose chain.
        author: AuthorId,
        /// Its position.
        seq: u64,
        /// The envelope.
        id: EnvelopeId,
    },
    /// A body that is not the one its header names; it counts as not held, so that it is fetched again.
    Body {
        /// Whose chain.
        author: AuthorId,
        /// Its position.
        seq: u64,
        /// The envelope.
        id: EnvelopeId,
    },
    /// A body whose header row is gone.
    Orphan {
        /// Position of the missing header row.
        pos: i64,
    },
    /// A stored signature that is not the one that was saved, or does not verify, which only a deep check looks at; it
    /// counts as not held.
    Signature {
        /// Whose chain.
        author: AuthorId,
        /// Its position.
        seq: u64,
        /// The envelope.
        id: EnvelopeId,
    },
    /// Header without a signature of its own and none above it that covers it; only a deep check looks.
    Unattested {
        /// Whose chain.
        author: AuthorId,
        /// Its position.
        seq: u64,
        /// The envelope.
        id: EnvelopeId,
    },
    /// A control record that does not decode, verify or match its id; it is not held.
    Control {
        /// The id by the row's column, in hexadecimal digits.
        id: String,
    },
    /// The rows of an author are not those the store counted when it saved them: some are missing, or came back.
    Frontier {
        /// Whose chain.
        author: AuthorId,
        /// Headers counted and found.
        headers: Counted,
        /// Bodies counted and found.
        bodies: Counted,
    },
    /// A row whose `check32` is not the hash of its columns; it is not used.
    Row {
        /// The table.
        table: &'static str,
        /// Its key as text.
        key: String,
    },
    /// What the database's own check says about its structure.
    Structure {
        /// One line of it.
        line: String,
    },
}

/// How many rows the store counted when saving, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// By the cache; `None` if the cache row itself is missing or damaged.
    pub expected: Option<u64>,
    /// By the rows.
    pub found: u64,
}

impl Damage {
    /// Whose chain is damaged, where that is known.
    pub const fn author(&self) -> Option<AuthorId> {
        match self {
            Self::Header { author, .. } => *author,
            Self::Columns { author, .. }
            | Self::Body { author, .. }
            | Self::Signature { author, .. }
            | Self::Unattested { author, .. }
            | Self::Frontier { author, .. } => Some(*author),
            Self::Orphan { .. } | Self::Control { .. } | Self::Row { .. } | Self::Structure { .. } => None,
        }
    }

    /// Which table is damaged.
    pub const fn table(&self) -> &'static str {
        match self {
            Self::Header { .. } | Self::Columns { .. } | Self::Signature { .. } | Self::Unattested { .. } => "header",
            Self::Body { .. } | Self::Orphan { .. } => "body",
            Self::Control { .. } => "control",
            Self::Frontier { .. } => "frontier",
            Self::Row { table, .. } => table,
            Self::Structure { .. } => "file",
        }
    }

    /// Whether something of an envelope of `author` is missing or wrong, so that its node must not author on top of it.
    pub fn forbids_authoring(&self, own: &AuthorId) -> bool {
        match self {
            // A header row that has lost even its author may be one of ours.
            Self::Header { author, .. } => author.is_none_or(|author| author == *own),
            Self::Body { author, .. } | Self::Frontier { author, .. } | Self::Unattested { author, .. } => {
                author == own
            }
            Self::Orphan { .. } | Self::Structure { .. } => true,
            // Whose store it is must be certain.
            Self::Row { table, .. } => *table == "meta",
            Self::Columns { .. } | Self::Signature { .. } | Self::Control { .. } => false,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let envelope = |f: &mut fmt::Formatter<'_>, what: &str, author: &AuthorId, seq: u64, id: &EnvelopeId| {
            write!(f, "{what} of envelope {id}, nation {}, node {}, seq {seq}", author.nation, author.key)
        };
        match self {
            Self::Header { author: Some(author), seq, id } => {
                write!(f, "header of envelope {id}, nation {}, node {}, seq {seq}", author.nation, author.key)
            }
            Self::Header { author: None, seq, id } => {
                write!(f, "header of envelope {id}, author unreadable, seq {seq}")
            }
            Self::Columns { author, seq, id } => envelope(f, "columns beside the header", author, *seq, id),
            Self::Body { author, seq, id } => envelope(f, "body", author, *seq, id),
            Self::Orphan { pos } => write!(f, "body at position {pos}, whose header is missing"),
            Self::Signature { author, seq, id } => envelope(f, "signature", author, *seq, id),
            Self::Unattested { author, seq, id } => envelope(f, "missing signature", author, *seq, id),
            Self::Control { id } => write!(f, "control record {id}"),
            Self::Frontier { author, headers, bodies } => {
                let number = |expected: Option<u64>| expected.map_or("unknown".to_owned(), |n| n.to_string());
                write!(
                    f,
                    "rows of nation {}, node {}: {} headers counted, {} found; {} bodies counted, {} found",
                    author.nation,
                    author.key,
                    number(headers.expected),
                    headers.found,
                    number(bodies.expected),
                    bodies.found
                )
            }
            Self::Row { table, key } => write!(f, "row {key} of table {table}"),
            Self::Structure { line } => write!(f, "structure of the file: {line}"),
        }
    }
}

/// What loading tells the writer.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Positions of damaged header rows, by what may belong there.
    pub(super) spots: BTreeMap<Spot, i64>,
    /// What the rows add up to, for authors of whom something else was counted.
    pub(super) sums: BTreeMap<AuthorId, Held>,
}

/// Where a header that comes again may belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// The row whose id column has this id.
    Id(EnvelopeId),
    /// The row whose columns name this author row and position.
    Seq {
        /// Author row.
        author: i64,
        /// Position.
        seq: i64,
    },
}
