//! The charter, its motions and their votes, and what travels to where the root keys are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every control record a node keeps, and which chains it holds whole: what the offline tool evaluates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CharterExport {
    /// Id of the alliance.
    pub alliance: String,
    /// Height of the anchored charter version.
    pub anchor_height: u32,
    /// Id of the anchored charter version.
    pub anchor: String,
    /// Id of the nation whose node this is.
    pub nation: String,
    /// Code of that nation.
    pub code: String,
    /// The node's key.
    pub node: String,
    /// When the node was asked.
    pub at: String,
    /// Control records: the number of the kind in two hexadecimal digits, then the signed form.
    pub records: Vec<String>,
    /// What this node holds whole, every body included.
    pub held: Vec<HeldWhole>,
    /// When each nation was last heard of.
    pub heard: Vec<LastHeard>,
}

/// A position in a chain up to which a node holds every header and every body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct HeldWhole {
    /// Id of the nation.
    pub nation: String,
    /// The node that signed the chain.
    pub node: String,
    /// `accepted`: the highest such position of the accepted chain; `final`: of a forked chain, what witnesses have made
    /// final; `branch`: the head of a branch; `named`: a cut that a kept motion names.
    pub what: String,
    /// The position.
    pub seq: u64,
    /// The envelope there.
    pub envelope: String,
    /// Position at which the chain says two things.
    pub fork: Option<u64>,
    /// Ids of the nations whose witnesses acknowledge it or a later one; only of a `final` position.
    pub seen_by: Vec<String>,
}

/// When a nation was last heard of, by what the node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastHeard {
    /// Id of the nation.
    pub nation: String,
    /// Claimed time of its newest accepted envelope.
    pub time: String,
}

/// The charter: who belongs, and how it came to be so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CharterState {
    /// Id of the alliance.
    pub alliance: String,
    /// Name of the alliance.
    pub alliance_name: String,
    /// The alliance that this one re-founds, and its charter version then.
    pub parent: Option<ParentRow>,
    /// Height of the version in force, 0 for the genesis.
    pub height: u32,
    /// Id of the version in force.
    pub charter: String,
    /// Rules version in force.
    pub rules: u16,
    /// Most active node keys of a nation.
    pub max_active_keys: u8,
    /// Most bytes of one node's chain.
    pub chain_quota: u64,
    /// Members, by code.
    pub members: Vec<MemberRow>,
    /// Nations that were removed, by code.
    pub removed: Vec<RemovedRow>,
    /// Every version, from the founding.
    pub versions: Vec<VersionMade>,
    /// Height of the anchor: what is decided up to it, no later vote changes.
    pub anchor_height: u32,
    /// Two motions sealed for the version in force: membership is frozen.
    pub conflict: Option<CharterConflictRow>,
    /// Two motions sealed for a version below the anchor: an alarm, and nothing else.
    pub conflict_below_anchor: Option<CharterConflictRow>,
    /// How far the charter is from being stuck.
    pub health: HealthRow,
}

/// What a re-founded alliance names as its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParentRow {
    /// Id of the alliance.
    pub alliance: String,
    /// Id of its last charter version.
    pub charter: String,
}

/// A member nation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberRow {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub nation: String,
    /// Its root key.
    pub root: String,
    /// Generation of that key, 0 at founding or admission.
    pub root_gen: u16,
    /// The charter version it is a member since.
    pub since_version: u32,
    /// Version of its roster in force.
    pub roster_version: Option<u64>,
    /// Lowest version of which two rosters are signed: no later one counts until the root is replaced.
    pub roster_fork: Option<u64>,
    /// The roster its root starts from is not held.
    pub roster_missing: bool,
    /// Whether it closed its own chains.
    pub closed: bool,
    /// Whether it was not heard of for 48 hours, or never.
    pub dark: bool,
}

/// A nation that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedRow {
    /// Its code; never given to another nation.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub nation: String,
    /// The charter version that no longer has it.
    pub removed_by: u32,
    /// Version of its last roster that counts.
    pub roster_version: u64,
    /// How far its chains count; those not named count for nothing.
    pub cuts: Vec<CutRow>,
}

/// How far a chain counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CutRow {
    /// The node that signed it.
    pub node: String,
    /// The node's name in the roster.
    pub label: Option<String>,
    /// Position of the last envelope that counts, 0 for none.
    pub seq: u64,
    /// That envelope.
    pub envelope: Option<String>,
}

/// One version of the charter, and what made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionMade {
    /// Its height.
    pub height: u32,
    /// Its id.
    pub charter: String,
    /// Members of it.
    pub nations: u32,
    /// Members that must agree to change it.
    pub quorum: u32,
    /// The motion that made it; `null` for the founding.
    pub motion: Option<String>,
    /// The motion's title; the alliance's name for the founding.
    pub title: String,
    /// What it changed, in words.
    pub changes: Vec<String>,
}

/// Two motions sealed for one charter version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CharterConflictRow {
    /// The version both change.
    pub height: u32,
    /// The two motions.
    pub motions: Vec<String>,
    /// The round in which each was sealed.
    pub rounds: Vec<u16>,
    /// Codes of the nations that signed against themselves.
    pub accused: Vec<String>,
    /// What it means and what to do, in words.
    pub words: String,
}

/// How far the charter is from being stuck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthRow {
    /// Members.
    pub nations: u32,
    /// Members that must agree to change the charter.
    pub quorum: u32,
    /// Codes of members that closed their chains.
    pub closed: Vec<String>,
    /// Codes of other members not heard of for 48 hours, or never.
    pub dark: Vec<String>,
    /// So many more losses until the membership cannot change; 0 if it cannot now.
    pub losses_left: u32,
    /// The same in words.
    pub words: String,
}

/// What is proposed for the version in force, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Motions {
    /// Height of the version in force.
    pub height: u32,
    /// Id of the version in force.
    pub charter: String,
    /// Members.
    pub nations: u32,
    /// Members that must support a motion, and then seal it.
    pub quorum: u32,
    /// The round to vote in.
    pub round: u16,
    /// The highest round anybody may vote in.
    pub round_max: u16,
    /// Why nothing can be decided, where that is so.
    pub frozen: Option<String>,
    /// Motions with a vote on the version in force, by id.
    pub motions: Vec<MotionRow>,
}

/// One motion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MotionRow {
    /// Its id.
    pub motion: String,
    /// Its title; `null` where only votes for it are held.
    pub title: Option<String>,
    /// Its reasons.
    pub text: Option<String>,
    /// The charter version it changes.
    pub height: u32,
    /// `open`, `sealed`, `passed` (its version was decided otherwise), `ill_formed` or `unknown` (not held).
    pub state: String,
    /// Why it can never be adopted, where that is so.
    pub reason: Option<String>,
    /// What it changes.
    pub changes: Vec<MotionChange>,
    /// Members after it.
    pub nations_after: Option<u32>,
    /// Members that must agree after it.
    pub quorum_after: Option<u32>,
    /// The votes for it, by round.
    pub rounds: Vec<RoundRow>,
    /// What comes next, in words.
    pub next: String,
    /// What to think of before voting for it, in words.
    pub warnings: Vec<String>,
}

/// One change of a motion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MotionChange {
    /// `admit`, `remove`, `replace_root`, `set_params` or `set_rules`.
    pub change: String,
    /// Code of the nation concerned.
    pub nation: Option<String>,
    /// In words, one line or more.
    pub words: Vec<String>,
}

/// The votes for a motion in one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundRow {
    /// The round.
    pub round: u16,
    /// Codes of the nations that support it.
    pub supports: Vec<String>,
    /// Codes of the nations that sealed it.
    pub seals: Vec<String>,
}
