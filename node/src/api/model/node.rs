//! The node, its peers, its alliance and its log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SaidRecord;

/// The node and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Id of the alliance.
    pub alliance: String,
    /// Name of the alliance.
    pub alliance_name: String,
    /// Code of the node's nation.
    pub nation: String,
    /// Id of the node's nation.
    pub nation_id: String,
    /// The node's key.
    pub node: String,
    /// The node's name in the newest roster that lists it.
    pub label: Option<String>,
    /// Version of the software.
    pub version: String,
    /// `active`, `retired` or `unknown` in the evaluated roster of its nation.
    pub standing: String,
    /// Whether the node may write.
    pub authoring: Authoring,
    /// The node's clock.
    pub now: String,
    /// When the process started.
    pub started: String,
    /// How far the node's clock is ahead of the median of its peers', in milliseconds; negative if behind.
    pub clock_ahead_ms: Option<i64>,
    /// Addresses it listens on.
    pub listen: Vec<String>,
    /// Every node it knows of, its own excepted.
    pub peers: Vec<PeerSummary>,
    /// The charter in force.
    pub charter: Charter,
    /// Envelopes held.
    pub envelopes: u64,
    /// Records in all documents, whatever their state.
    pub statements: u64,
    /// Digest of the envelopes held (spec 4.5.6).
    pub held: String,
    /// Digest of the control records held.
    pub control: String,
    /// Digest of what was computed from both.
    pub state: String,
    /// Chains that said two things.
    pub forks: Vec<Fork>,
    /// Envelopes that wait for others.
    pub waiting: u64,
    /// Envelopes without effect.
    pub void: u64,
    /// Bytes of the node's own chain.
    pub quota_used: u64,
    /// Most bytes of a chain.
    pub quota: u64,
    /// Bytes of the store's files.
    pub store_bytes: u64,
    /// Configured bound of the store.
    pub store_bytes_max: Option<u64>,
    /// `ok`, or `full` while writes are refused for lack of room.
    pub store: String,
    /// Strangers sent away since the process started.
    pub refused_not_in_roster: u64,
    /// How old what is known of each nation is.
    pub age: RecordAge,
    /// What an operator should look at, in words.
    pub warnings: Vec<String>,
}

/// How old a record is, by the times that its authors claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordAge {
    /// Members heard of in time, the own nation included.
    pub heard_of: u32,
    /// Members needed for anything to become final.
    pub quorum: u32,
    /// How long a nation says nothing before it is silent, in milliseconds.
    pub silent_after_ms: u64,
    /// Fewer than a quorum were heard of in time: the record is old, or the node cut off.
    pub old: bool,
    /// The same in words, where it is old.
    pub words: Option<String>,
    /// Every member, by code.
    pub nations: Vec<NationAgeRow>,
}

/// What was last heard of one nation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NationAgeRow {
    /// Its code.
    pub nation: String,
    /// Claimed time of its newest accepted envelope that is no witness's word.
    pub last_statement: Option<String>,
    /// Claimed time of the newest accepted word of its witness.
    pub last_witness: Option<String>,
    /// It closed its chains: nothing more is to come.
    pub closed: bool,
    /// Nothing was heard of it for too long; never said of the own nation.
    pub silent: bool,
}

/// Whether the node may write, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authoring {
    /// It may.
    pub allowed: bool,
    /// Why it may not.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The charter in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Charter {
    /// Its height, 0 for the genesis.
    pub height: u32,
    /// Nations of the alliance.
    pub nations: u32,
    /// Nations needed to change it.
    pub quorum: u32,
}

/// One peer, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerSummary {
    /// Code of its nation, where a roster names one.
    pub nation: Option<String>,
    /// Its key.
    pub node: String,
    /// Whether a link is up.
    pub connected: bool,
    /// How far the two records are apart, as far as known.
    pub lag: Lag,
}

/// Envelopes that one side holds and the other does not, as far as known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lag {
    /// The peer is known to hold them and we do not.
    pub behind: u64,
    /// We hold them and the peer has not confirmed them.
    pub ahead: u64,
}

/// A chain that said two things at one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fork {
    /// Code of the nation.
    pub nation: String,
    /// The node's key.
    pub node: String,
    /// The position.
    pub seq: u64,
    /// Its name in the roster.
    pub label: Option<String>,
    /// Position up to which its statements stand.
    pub stands_to: u64,
    /// Whether the key is still to be retired.
    pub open: bool,
}

/// All peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// By nation, then key.
    pub peers: Vec<PeerRow>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerRow {
    /// Code of its nation, where a roster names one.
    pub nation: Option<String>,
    /// Its key; `null` for an address that never answered.
    pub node: Option<String>,
    /// Its name in the roster.
    pub label: Option<String>,
    /// `active`, `retired` or `unknown`.
    pub standing: String,
    /// Whether a link is up.
    pub connected: bool,
    /// `full`, `lobby`, or `null` without a link.
    pub link: Option<String>,
    /// `dialed` or `accepted`, or `null` without a link.
    pub direction: Option<String>,
    /// When the link came up.
    pub since: Option<String>,
    /// When it was last heard of.
    pub heard: Option<String>,
    /// Where it is dialled, or where it called from.
    pub addresses: Vec<String>,
    /// How far the two records are apart, as far as known.
    pub lag: Lag,
    /// Broken messages within the window of spec 4.13.
    pub strikes: u32,
    /// Why the last attempt to dial it failed.
    pub last_error: Option<String>,
}

/// All nations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nations {
    /// By code.
    pub nations: Vec<NationRow>,
}

/// One nation of the alliance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NationRow {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub nation: String,
    /// Its root key.
    pub root: String,
    /// Version of its roster, where one is held.
    pub roster_version: Option<u64>,
    /// Whether it closed its own chains.
    pub closed: bool,
    /// Whether the alliance removed it: its chains count up to the motion's cuts.
    pub removed: bool,
    /// Claimed time of its newest envelope.
    pub last_heard: Option<String>,
    /// `removed`, `closed`, `active`, `quiet` (an hour), `unreachable` (a day), `forked`, or `silent` if nothing ever came
    /// (DOMAIN 2.4).
    pub state: String,
    /// Records of its document.
    pub statements: u64,
    /// Envelopes accepted.
    pub valid: u64,
    /// Envelopes that wait for others.
    pub waiting: u64,
    /// Envelopes without effect.
    pub void: u64,
    /// Its nodes.
    pub nodes: Vec<NodeRow>,
}

/// One node key of a nation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeRow {
    /// Its key.
    pub node: String,
    /// Its name.
    pub label: String,
    /// `active` or `retired`.
    pub standing: String,
    /// Whether it witnesses for the nation.
    pub witness: bool,
    /// Position of its last accepted envelope.
    pub seq: u64,
    /// Id of its last accepted envelope.
    pub envelope: Option<String>,
    /// Position at which it said two things.
    pub fork: Option<u64>,
}

/// Envelopes, newest claimed time first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Log {
    /// The rows asked for.
    pub rows: Vec<LogRow>,
    /// Whether there are more than asked for.
    pub more: bool,
}

/// One envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogRow {
    /// Its id, which names the versions it wrote.
    pub envelope: String,
    /// Code of its nation.
    pub nation: String,
    /// Its author.
    pub node: String,
    /// Position in its author's chain.
    pub seq: u64,
    /// Claimed time.
    pub time: String,
    /// `change`, `witness`, `key_grant`, or the number of a kind this version does not know.
    pub kind: String,
    /// Bytes of the body.
    pub bytes: u32,
    /// Where it stands in its chain: `accepted`, `suspended`, `disavowed`, `post_removal` or `unlinked`.
    pub standing: String,
    /// `valid`, `void`, `waiting` or `sealed`; `null` where its body is missing or not read.
    pub verdict: Option<String>,
    /// Why, where the verdict is not `valid`.
    pub reason: Option<String>,
    /// The records it wrote.
    pub records: Vec<String>,
    /// Who has seen it.
    pub witnessed: Witnessed,
    /// What takes it out of its chain, in words; `null` where it is accepted.
    pub excluded: Option<String>,
    /// What it says, where rows of one standing are asked for.
    pub says: Vec<SaidRecord>,
}

/// Which nations' witnesses acknowledge an envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Witnessed {
    /// Their codes.
    pub seen_by: Vec<String>,
    /// Members of the alliance.
    pub nations: u32,
    /// Whether more than two thirds do: no later trick with its author's key takes it away.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// Something changed: one event of `/v1/watch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// `envelope`, `control`, `link_up`, `link_down`, `fork`, `alarm`, or `missed` where the reader was too slow.
    pub event: String,
    /// When the node noticed.
    pub at: String,
    /// Code of the nation concerned.
    pub nation: Option<String>,
    /// The node concerned.
    pub node: Option<String>,
    /// The envelope concerned.
    pub envelope: Option<String>,
    /// Position in the chain.
    pub seq: Option<u64>,
    /// The records written.
    pub records: Vec<String>,
    /// In words, where the rest does not say it.
    pub detail: Option<String>,
}
