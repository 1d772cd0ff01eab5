//! Proposals and what became of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every version of every proposal that may still be, or is, a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decisions {
    /// The moment the answer holds for.
    pub as_of: String,
    /// By deadline.
    pub rows: Vec<Decision>,
}

/// One version of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// The moment the answer holds for.
    pub as_of: String,
    /// `CODE/propose/id`.
    pub record: String,
    /// The envelope that wrote this version; answers pin it.
    pub version: String,
    /// Code of the nation that proposed it.
    pub nation: String,
    /// The node that wrote it.
    pub node: String,
    /// Claimed time of the version.
    pub time: String,
    /// Whether this is the version of its record that counts.
    pub latest: bool,
    /// `counted`, or `not-authorised` where the proposer is none of its participants.
    pub standing: String,
    /// `open`, `adopted`, `broken`, `provisional`, `lapsed-unproven`, `blocked`, `withdrawn`, `amended` or `void`.
    pub state: String,
    /// What may still become of it, in a sentence.
    pub meaning: String,
    /// What is to be decided.
    pub title: String,
    /// SHA-256 of the text.
    pub text_hash: String,
    /// The text, where it fits a statement.
    pub text: Option<String>,
    /// Of proposals with one key one stands (C25).
    pub subject_key: Option<String>,
    /// Shared parameters it changes; shown, without any power.
    pub effect: BTreeMap<String, String>,
    /// When it opens.
    pub opens_at: String,
    /// When it was to close.
    pub closes_at: String,
    /// When it closes, extensions included.
    pub deadline: String,
    /// Whether it gives less than 24 hours: only the assent of all adopts it.
    pub short: bool,
    /// The nations that decide.
    pub participants: Vec<Participant>,
    /// The version that ended this one in time.
    pub stopped_by: Option<String>,
    /// The proposal that stands in its place (C25).
    pub rival: Option<String>,
    /// Names of the flags that name it.
    pub flags: Vec<String>,
}

/// One participant of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    /// Its code.
    pub nation: String,
    /// `assented`, `objected`, `kept-silence` or `unproven`.
    pub stance: String,
    /// What the proof of its silence still lacks, in words; empty where none is needed.
    pub needs: Vec<String>,
    /// What it said.
    pub answers: Vec<DecisionAnswer>,
    /// The envelopes that prove its silence.
    pub proofs: Vec<DecisionProof>,
    /// When its witness first acknowledged the proposal, by its own clock.
    pub seen_at: Option<String>,
    /// The latest time any of its envelopes claims.
    pub last_heard: Option<String>,
    /// Whether one of its chains, or its roster, is forked.
    pub forked: bool,
}

/// What a participant said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionAnswer {
    /// The record.
    pub record: String,
    /// `assent`, `object`, `reserve`, `request_extension` or `seen`.
    pub kind: String,
    /// The envelope that says so.
    pub version: String,
    /// Claimed time.
    pub time: String,
    /// Whether it was said in time, as its nation's own chains and witness prove it.
    pub timely: bool,
    /// In words.
    pub text: Option<String>,
}

/// An envelope behind which nothing more can be said in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionProof {
    /// The node that wrote it.
    pub node: String,
    /// Its id.
    pub envelope: String,
    /// Its position in the node's chain.
    pub seq: u64,
    /// Claimed time.
    pub time: String,
    /// Codes of the nations whose witnesses acknowledge it or a later one.
    pub seen_by: Vec<String>,
}
