//! Writing: statements, control records, peers, and what a refusal looks like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A statement to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteRequest {
    /// Names this request: the same id with the same content is answered as before, with other content refused. The
    /// header `Idempotency-Key` says the same.
    #[serde(default)]
    pub id: Option<String>,
    /// The version the caller revises; refused if another one is current.
    #[serde(default)]
    pub if_version: Option<String>,
    /// Answer when this many other nations confirm holding it.
    #[serde(default)]
    pub wait: u32,
    /// Longest wait in milliseconds, at most 600,000; 10,000 if absent.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// What to write.
    pub draft: Draft,
}

/// A statement as a person writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Its kind, such as `pledge`.
    pub kind: String,
    /// The record to revise, as `CODE/kind/id`; `null` for a new one.
    #[serde(default)]
    pub record: Option<String>,
    /// `withdrawn` or `closed`; `null` for live.
    #[serde(default)]
    pub status: Option<String>,
    /// What it says; a revision keeps the fields it does not name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
}

/// A statement was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WriteAnswer {
    /// The record, as `CODE/kind/id`.
    pub record: String,
    /// The envelope that wrote it: the version to pin.
    pub version: String,
    /// It is on this node's disk.
    pub durable_here: bool,
    /// Codes of the other nations that confirm holding it.
    pub held_by: Vec<String>,
    /// Whether as many nations as asked for hold it; `null` if none were asked for.
    pub wait_satisfied: Option<bool>,
    /// The same request was answered before; nothing was written now.
    pub replayed: bool,
}

/// Control records to take in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// Each in hexadecimal: one byte of kind, then the signed form (spec 4.13).
    pub records: Vec<String>,
}

/// What became of control records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControlAnswer {
    /// Taken in and durable.
    pub accepted: u32,
    /// Held before.
    pub known: u32,
    /// Not taken in.
    pub refused: Vec<ControlRefusal>,
}

/// A control record that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControlRefusal {
    /// Its place in the request, from 0.
    pub index: u32,
    /// Why.
    pub reason: String,
}

/// What became of frames of a courier file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CourierAnswer {
    /// Control records taken in and durable.
    pub control_new: u64,
    /// Control records held before.
    pub control_known: u64,
    /// Envelopes taken in and durable, by code of their nation.
    pub envelopes_new: BTreeMap<String, u64>,
    /// Bodies taken in for envelopes that were held without.
    pub bodies_new: u64,
    /// Envelopes held before.
    pub envelopes_known: u64,
    /// Frames not taken in.
    pub refused: Vec<CourierRefusal>,
}

/// A frame of a courier file that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CourierRefusal {
    /// Its place in the request, from 0.
    pub frame: u32,
    /// The rule of the protocol that it breaks, such as `R05`; `null` if the node has no room.
    pub rule: Option<String>,
    /// Why.
    pub reason: String,
}

/// A peer to dial from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerRequest {
    /// Its multiaddress.
    pub address: String,
    /// The key expected there.
    #[serde(default)]
    pub node: Option<String>,
}

/// A peer was added or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerAnswer {
    /// Its multiaddress.
    pub address: String,
    /// Whether anything changed.
    pub changed: bool,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What failed.
    pub error: String,
    /// Why.
    pub cause: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Exit code of the command line: 1 refused, 2 bad input, 3 unreachable, 4 environment.
    pub exit: u8,
}
