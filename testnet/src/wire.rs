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
    /// Whether its key may speak: `active`, `retired` or `unknown`.
    pub standing: String,
    /// Addresses it listens on.
    pub listen: Vec<String>,
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// Whether it writes.
    pub authoring: Authoring,
    /// The charter in force.
    pub charter: Charter,
    /// Keys that said two things.
    pub forks: Vec<Fork>,
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

/// Whether a node writes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Authoring {
    /// Whether it does.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// The charter in force.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Charter {
    /// How many motions made it.
    pub height: u32,
}

/// A key that said two things.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fork {
    /// Code of its nation.
    pub nation: String,
    /// The key.
    pub node: String,
    /// The lowest number that two envelopes have.
    pub seq: u64,
}

/// A node's `/v1/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Peers {
    /// The other nodes, and strangers that were met.
    pub peers: Vec<PeerRow>,
}

/// A peer and its link.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PeerRow {
    /// Its key; absent while nothing answered at its address.
    pub node: Option<String>,
    /// `full` or `lobby`; absent without a link.
    pub link: Option<String>,
}

/// A node's `/v1/explain`, of one version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Explanation {
    /// How its envelope stands in its chain.
    pub standing: String,
    /// Who has seen it.
    #[serde(default)]
    pub witnessed: Witnessed,
}

/// Which nations' witnesses acknowledge an envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Witnessed {
    /// Their codes.
    pub seen_by: Vec<String>,
    /// Whether more than two thirds do.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// A node's `/v1/charter/export`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CharterExport {
    /// Id of the alliance.
    pub alliance: String,
    /// Height of the anchored charter version.
    pub anchor_height: u32,
    /// Id of the anchored charter version.
    pub anchor: String,
    /// Control records: the number of the kind in two hexadecimal digits, then the signed form.
    pub records: Vec<String>,
    /// What this node holds whole, every body included.
    pub held: Vec<HeldWhole>,
}

/// A position in a chain up to which a node holds everything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeldWhole {
    /// Id of the nation.
    pub nation: String,
    /// The node that signed the chain.
    pub node: String,
    /// `accepted`, `final`, `branch` or `named`.
    pub what: String,
    /// The position.
    pub seq: u64,
    /// The envelope there.
    pub envelope: String,
}

/// A peer to dial, as posted to `/v1/peers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerRequest {
    /// Its multiaddress.
    pub address: String,
    /// The key expected there.
    pub node: String,
}

/// What became of control records that were posted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ControlAnswer {
    /// Not taken in.
    pub refused: Vec<ControlRefusal>,
}

/// A control record that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ControlRefusal {
    /// Why.
    pub reason: String,
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
