//! Keys, rosters and charters that said two things, and what a cut took out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::LogRow;

/// Everything that said two things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forks {
    /// The own nation's first, then charter, rosters and keys, by nation.
    pub rows: Vec<ForkRow>,
}

/// One fork, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForkRow {
    /// `node`, `roster` or `charter`.
    pub level: String,
    /// Code of the nation; `null` for the charter.
    pub nation: Option<String>,
    /// The node's key, where a node forked.
    pub node: Option<String>,
    /// Its name in the roster.
    pub label: Option<String>,
    /// Number of the envelope, version of the roster or height of the charter that was said twice.
    pub number: u64,
    /// Whether it is the own nation's.
    pub own: bool,
    /// Whether it needs to be settled; a key that was retired since does not.
    pub open: bool,
    /// What stands, in words.
    pub stands: String,
    /// What to do, in words; `null` where nothing is left to do.
    pub todo: Option<String>,
    /// Codes of the nations that must do it.
    pub by: Vec<String>,
    /// What `forks show` takes.
    pub name: String,
}

/// One fork in full: the screen of spec 4.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForkShown {
    /// The fork, in short.
    pub fork: ForkRow,
    /// The screen, a line each; the same on every node with the same record.
    pub lines: Vec<String>,
    /// The contradicting statements.
    pub said: Vec<SaidRow>,
    /// What stands: position of the last envelope, or version of the roster in force.
    pub stands_to: u64,
    /// Codes of the nations whose witness acknowledges it.
    pub seen_by: Vec<String>,
    /// Members of the alliance.
    pub nations: u32,
    /// Envelopes left out because of it.
    pub suspended: u64,
    /// The lowest of them, with what they say.
    pub suspended_listed: Vec<LogRow>,
    /// Where the key is best cut.
    pub cut: Option<PlaceRow>,
    /// Changes of the nation that wait, or would wait with that cut.
    pub dependents: Vec<DependentRow>,
    /// The roster to sign, or the motion to support, in hexadecimal digits; for the nation it concerns.
    pub draft: Option<String>,
    /// The signed roster that the draft follows, in hexadecimal digits.
    pub follows: Option<String>,
    /// Most active keys of a nation, which the signer holds the draft against.
    pub max_active_keys: u8,
    /// Why there is none.
    pub no_draft: Option<String>,
    /// The portable proof, in hexadecimal digits.
    pub proof: Option<String>,
}

/// One of the contradicting statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SaidRow {
    /// Its id.
    pub id: String,
    /// Its number or version.
    pub number: u64,
    /// Claimed time.
    pub time: String,
    /// Where it stands.
    pub standing: String,
    /// Codes of the nations whose witness acknowledges it.
    pub seen_by: Vec<String>,
    /// The records it writes, or the keys it enrols and retires.
    pub records: Vec<String>,
}

/// A position in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceRow {
    /// Its number; 0 for nothing.
    pub seq: u64,
    /// Its id; zeros for nothing.
    pub id: String,
}

/// A change that builds on what is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DependentRow {
    /// The envelope.
    pub envelope: String,
    /// Its node's key.
    pub node: String,
    /// The node's name in the roster.
    pub label: Option<String>,
    /// Its number.
    pub seq: u64,
    /// Whether it waits already.
    pub waits: bool,
    /// The records it writes.
    pub records: Vec<String>,
}

/// A record as one envelope writes it, whatever that counts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SaidRecord {
    /// `CODE/kind/id`.
    pub record: String,
    /// What it says.
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
}

/// What to write anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestateRequest {
    /// Say what would be written, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Envelopes of the own nation that count for nothing and are stood by again, in hexadecimal digits.
    #[serde(default)]
    pub disavowed: Vec<String>,
}

/// What was written anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restated {
    /// Whether it was only looked at.
    pub dry_run: bool,
    /// Whether there is more to write than one call writes: call again.
    pub more: bool,
    /// What is, or would be, written, in this order.
    pub written: Vec<RestatedRow>,
    /// What is left as it is.
    pub left: Vec<LeftRow>,
}

/// One envelope whose statements were made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestatedRow {
    /// The envelope that said it first.
    pub from: String,
    /// The envelope that says it now; `null` for a dry run.
    pub envelope: Option<String>,
    /// The records.
    pub records: Vec<String>,
}

/// A statement that was not made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftRow {
    /// The envelope that said it.
    pub envelope: String,
    /// The record.
    pub record: String,
    /// Why: `restated`, `revised`, `newer_said`, `suspended` or `not_held`.
    pub reason: String,
    /// The same in words.
    pub detail: String,
}
