//! The aid record: what nations need, give, move and received.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{PlaceRow, RecordAge, SaidRecord, Witnessed};

/// Records of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing {
    /// The moment the answer holds for.
    pub as_of: String,
    /// In the order of DOMAIN R8.
    pub rows: Vec<RecordRow>,
}

/// One record in its counted version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordRow {
    /// `CODE/kind/id`.
    pub record: String,
    /// The envelope that wrote the counted version.
    pub version: String,
    /// Code of the nation that wrote it.
    pub nation: String,
    /// Its kind.
    pub kind: String,
    /// The node that wrote it.
    pub node: String,
    /// Claimed time of the version.
    pub time: String,
    /// `live`, `withdrawn` or `closed`, as its nation says.
    pub status: String,
    /// `counted`, or why it takes no part in the sums.
    pub standing: String,
    /// The derived state of DOMAIN 2.4, where the kind has one.
    pub state: Option<String>,
    /// Marks over the state, such as `late` or `over_subscribed`.
    pub overlays: Vec<String>,
    /// Names of the flags that name this record.
    pub flags: Vec<String>,
    /// Why it does not validate; it then counts nowhere.
    pub invalid: Option<String>,
    /// Versions of which none replaces another; more than 1 is a conflict (C20).
    pub surviving: u32,
    /// What it says; references as `CODE/kind/id`, quantities in the base unit.
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
    /// A pledge's disjoint buckets.
    pub buckets: Option<Buckets>,
    /// A requirement's cover.
    pub cover: Option<Cover>,
    /// Who has seen the counted version.
    pub witnessed: Witnessed,
}

/// The disjoint buckets of DOMAIN 2.5 for one pledge, in the base unit of the requirement's dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Buckets {
    /// The base unit.
    pub unit: String,
    /// P.
    pub pledged: u64,
    /// A.
    pub accepted: u64,
    /// S.
    pub dispatched: u64,
    /// D.
    pub delivered: u64,
    /// T.
    pub in_transit: u64,
    /// O.
    pub to_ship: u64,
    /// Firm part of F.
    pub offered_firm: u64,
    /// Conditional part of F.
    pub offered_conditional: u64,
    /// X.
    pub not_good: u64,
    /// L.
    pub lost: u64,
}

/// What covers one requirement, summed over its pledges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cover {
    /// The base unit.
    pub unit: String,
    /// R.
    pub quantity: u64,
    /// Sum of D.
    pub delivered: u64,
    /// Sum of T.
    pub in_transit: u64,
    /// Sum of O.
    pub to_ship: u64,
    /// Sum of firm F.
    pub offered: u64,
    /// Sum of conditional F.
    pub offered_conditional: u64,
    /// R less D, T and O.
    pub gap_firm: u64,
    /// … less firm offers.
    pub gap_after_offers: u64,
    /// … less conditional offers too.
    pub gap_if_all: u64,
    /// D, T and O beyond R.
    pub surplus: u64,
}

/// Open need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gaps {
    /// The moment the answer holds for.
    pub as_of: String,
    /// Every requirement, in the order of DOMAIN R8.
    pub rows: Vec<GapRow>,
}

/// One requirement's gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GapRow {
    /// `CODE/requirement/id`.
    pub requirement: String,
    /// What is needed.
    pub item: String,
    /// How much, in `unit`.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// Received and good.
    pub delivered: u64,
    /// Dispatched and not received.
    pub in_transit: u64,
    /// Accepted and not dispatched.
    pub to_ship: u64,
    /// Firmly offered and not accepted.
    pub offered: u64,
    /// Not covered by the three buckets before.
    pub gap_firm: u64,
    /// … nor by firm offers.
    pub gap_after_offers: u64,
    /// … nor by conditional ones.
    pub gap_if_all: u64,
    /// Names of the flags on it.
    pub flags: Vec<String>,
}

/// Firm cover of every requirement that stands, with or without one nation (DOMAIN 2.7, N-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// The moment the answer holds for.
    pub as_of: String,
    /// Code of the nation that is left out.
    pub without: Option<String>,
    /// The requirements, in order of priority.
    pub rows: Vec<CoverageRow>,
}

/// Firm cover of one requirement, in its base unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoverageRow {
    /// The requirement.
    pub requirement: String,
    /// What is needed.
    pub item: String,
    /// How much.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// Delivered, in transit and to ship.
    pub cover_firm: u64,
    /// What that leaves open.
    pub gap_firm: u64,
}

/// Requirements with what was pledged for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Board {
    /// The moment the answer holds for.
    pub as_of: String,
    /// How old the record was when this was asked, whatever moment it is shown for.
    pub age: RecordAge,
    /// In the order of DOMAIN R8.
    pub rows: Vec<BoardRow>,
}

/// One requirement on the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BoardRow {
    /// `CODE/requirement/id`.
    pub requirement: String,
    /// Code of the nation in need.
    pub nation: String,
    /// What is needed.
    pub item: String,
    /// Class of supply.
    pub class: Option<String>,
    /// Theme.
    pub theme: Option<String>,
    /// 1 is most urgent.
    pub priority: u64,
    /// Day it is needed by.
    pub needed_by: Option<String>,
    /// The derived state.
    pub state: String,
    /// Marks over the state.
    pub overlays: Vec<String>,
    /// What covers it.
    pub cover: Cover,
    /// The pledges made for it.
    pub pledges: Vec<PledgeCover>,
    /// Names of the flags on it.
    pub flags: Vec<String>,
}

/// One pledge under its requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PledgeCover {
    /// `CODE/pledge/id`.
    pub pledge: String,
    /// Code of the donor.
    pub nation: String,
    /// The derived state.
    pub state: String,
    /// `counted`, or why it takes no part in the sums.
    pub standing: String,
    /// Its buckets.
    pub buckets: Buckets,
    /// Names of the flags on it.
    pub flags: Vec<String>,
}

/// Conflicts and doubts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flags {
    /// The moment the answer holds for.
    pub as_of: String,
    /// By case, then statements.
    pub rows: Vec<FlagRow>,
}

/// One conflict or doubt (DOMAIN 2.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlagRow {
    /// The case, such as `C3`.
    pub case: String,
    /// Its name, such as `over_subscribed`.
    pub name: String,
    /// The statements concerned.
    pub statements: Vec<String>,
    /// Codes of the nations that can clear it.
    pub clears: Vec<String>,
    /// In words.
    pub detail: Option<String>,
}

/// One record with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shown {
    /// The moment the answer holds for.
    pub as_of: String,
    /// The record in its counted version.
    pub record: RecordRow,
    /// The version asked for, where one was.
    pub pinned: Option<VersionRow>,
    /// Every version, oldest first.
    pub versions: Vec<VersionRow>,
    /// Flags that name it.
    pub flags: Vec<FlagRow>,
    /// Records that refer to it.
    pub referred_by: Vec<String>,
}

/// One version of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionRow {
    /// The envelope that wrote it.
    pub version: String,
    /// The node that wrote it.
    pub node: String,
    /// Position in the node's chain.
    pub seq: u64,
    /// Claimed time.
    pub time: String,
    /// Whether another version replaces it.
    pub replaced: bool,
    /// Who has seen it.
    pub witnessed: Witnessed,
    /// What it says.
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
}

/// A change that another waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LackRow {
    /// The change.
    pub change: String,
    /// The envelope that carries it, where one is held.
    pub envelope: Option<String>,
    /// That envelope's node.
    pub node: Option<String>,
    /// The node's name in the roster.
    pub label: Option<String>,
    /// Its number.
    pub seq: Option<u64>,
    /// Where it stands.
    pub standing: Option<String>,
}

/// Why a record or an envelope counts, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// What was asked about, in full.
    pub subject: String,
    /// The envelope that wrote it.
    pub envelope: String,
    /// Code of its nation.
    pub nation: String,
    /// Its author.
    pub node: String,
    /// Position in the author's chain.
    pub seq: u64,
    /// Claimed time.
    pub time: String,
    /// Whether its chain stands there.
    pub standing: String,
    /// Whether its body has effect.
    pub verdict: Option<String>,
    /// Why not.
    pub reason: Option<String>,
    /// Position at which its chain said two things.
    pub fork: Option<u64>,
    /// Codes of other nations known to hold it.
    pub held_by: Vec<String>,
    /// Who has seen it.
    pub witnessed: Witnessed,
    /// What takes it out of its chain, in words; `null` where it is accepted.
    pub excluded: Option<String>,
    /// The cut it is measured against is not held: the chain stands as far as it is known.
    pub incomplete_cut: Option<PlaceRow>,
    /// What it waits for.
    pub lacks: Vec<LackRow>,
    /// What it says.
    pub says: Vec<SaidRecord>,
    /// Flags that name the record.
    pub flags: Vec<FlagRow>,
    /// The reasoning, step by step, in words.
    pub steps: Vec<String>,
}
