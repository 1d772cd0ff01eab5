//! What the laboratory reads of the nodes' answers; fields it has no use for are not named.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::draft::Draft;
use crate::report::CoverageRow;

/// A node's `/v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// Code of its nation.
    pub nation: String,
    /// Its key.
    pub node: String,
    /// Addresses it listens on.
    pub listen: Vec<String>,
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// Envelopes held.
    pub envelopes: u64,
    /// Digest of the envelopes held.
    pub held: String,
    /// Digest of the control records held.
    pub control: String,
    /// Digest of what was computed.
    pub state: String,
}

impl Status {
    /// Returns what must be equal for two nodes to have the same record: `held`, `control`, `state`.
    pub fn digests(&self) -> [&str; 3] {
        [&self.held, &self.control, &self.state]
    }
}

/// A peer as a node's status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Peer {
    /// Code of its nation.
    pub nation: Option<String>,
    /// Whether a link is up.
    pub connected: bool,
}

/// A write, as posted to `/v1/write`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WriteRequest<'a> {
    /// Names the request: repeated with the same content it is answered as before.
    pub id: &'a str,
    /// What to write.
    pub draft: &'a Draft,
}

/// An acknowledged write.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WriteAnswer {
    /// `CODE/kind/id`.
    pub record: String,
    /// The version written.
    pub version: String,
    /// Whether the same request was answered before.
    pub replayed: bool,
}

/// A node's `/v1/coverage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct CoverageAnswer {
    /// The requirements that stand.
    pub rows: Vec<CoverageRow>,
}

/// A line of an export, as far as versions go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExportLine {
    /// The version the line is.
    pub version: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}
