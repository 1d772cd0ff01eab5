//! Whether a stopped node may author again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What there is to confirm, and what stands against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Adoption {
    /// Why this node does not author; `null` if it does.
    pub stopped: Option<String>,
    /// Where its own chain ends here, with nothing missing below: 0 if it is empty.
    pub seq: u64,
    /// The envelope there; 64 zeros if there is none.
    pub envelope: String,
    /// Nodes that have compared their record with this one's since it started.
    pub nodes_compared: u32,
    /// Codes of their nations.
    pub nations_compared: Vec<String>,
    /// The highest position of the own chain that any of them shows.
    pub shown: u64,
    /// What stands against a confirmation; `null` if nothing does.
    pub against: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether only the word of peers is missing, so that `without_peers` would do.
    pub without_peers_possible: bool,
}

/// Takes the own chain for whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// Where the chain ends, as shown.
    pub seq: u64,
    /// The envelope there, 64 hexadecimal digits.
    pub envelope: String,
    /// Rests on the caller's word alone, with no peer asked.
    #[serde(default)]
    pub without_peers: bool,
}

/// The node authors again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfirmAnswer {
    /// Where the chain ends that was adopted.
    pub seq: u64,
    /// The envelope there.
    pub envelope: String,
}
