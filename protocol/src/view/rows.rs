//! What a view shows, row by row: needs, promises, flags and the rest; goods on their way stand in [`super::goods`].
//! Quantities are whole base units; every sum saturates far above what any record can say.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::{AuthorKey, EnvelopeId, NationId, Timestamp};
use crate::statement::{Kind, Status};
use crate::time::Day;

/// A version of a record, named so that people and programs find it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The nation's code.
    pub code: String,
    /// What kind of statement.
    pub kind: Kind,
    /// The record's id.
    pub id: String,
    /// The version: the envelope that wrote it.
    pub version: EnvelopeId,
    /// Whose record.
    pub nation: NationId,
}

impl Name {
    /// Returns `CODE/kind/id@version`.
    pub fn pinned(&self) -> String {
        format!("{self}@{}", self.version)
    }
}

/// `CODE/kind/id`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.code, self.kind, self.id)
    }
}

/// Whether a statement takes part in the sums, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It takes part.
    Counted,
    /// It refers to something not yet here (C21).
    Pending,
    /// Its writer may not write it (C23).
    NotAuthorised,
    /// Its unit is unknown or of another dimension than what it refers to (C18).
    UnitUnknown,
    /// Another pledge of the same goods counts in its place (C2); what was delivered under it stands.
    SameGoods,
    /// The requirement has lapsed, so offers to it do not count (C8).
    Lapsed,
    /// A standby pledge whose withdrawal or pause has not come: contingent cover only (C30); what moved under it stands.
    Standby,
}

impl Standing {
    /// The standing's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Pending => "pending",
            Self::NotAuthorised => "not-authorised",
            Self::UnitUnknown => "unit-unknown",
            Self::SameGoods => "same-goods",
            Self::Lapsed => "lapsed",
            Self::Standby => "standby",
        }
    }
}

/// What every row begins with: the version of a record that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The version.
    pub name: Name,
    /// The node that wrote it.
    pub author: AuthorKey,
    /// When its writer says it was written.
    pub time: Timestamp,
    /// Whether the record stands.
    pub status: Status,
    /// Whether it counts.
    pub standing: Standing,
    /// Versions of the record that nothing replaces: more than one is a conflict of the nation with itself (C20), and the
    /// one shown here is the one of lower coverage.
    pub surviving: usize,
}

/// Disjoint buckets of one pledge, in base units (DOMAIN 2.5): `delivered + in_transit + to_ship + offered_firm +
/// offered_conditional = max(pledged, delivered + in_transit)`, with `pledged` as counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// P as counted: what a contested, withdrawn, expired or declined pledge still offers is nothing.
    pub pledged: u64,
    /// A as counted.
    pub accepted: u64,
    /// S.
    pub dispatched: u64,
    /// D: received in good condition.
    pub delivered: u64,
    /// X: received, not good.
    pub not_good: u64,
    /// L.
    pub lost: u64,
    /// T.
    pub in_transit: u64,
    /// O.
    pub to_ship: u64,
    /// F of a pledge without open conditions.
    pub offered_firm: u64,
    /// F of a pledge that is conditional or whose acceptance is stale.
    pub offered_conditional: u64,
}

/// The sums of a requirement, in base units (DOMAIN 2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    /// Sum of D.
    pub delivered: u64,
    /// Sum of T.
    pub in_transit: u64,
    /// Sum of O.
    pub to_ship: u64,
    /// Sum of firm F.
    pub offered_firm: u64,
    /// Sum of conditional F.
    pub offered_conditional: u64,
    /// What standby pledges would add if what they wait for came; part of no gap.
    pub contingent: u64,
    /// What D, T and O leave open.
    pub gap_firm: u64,
    /// What firm offers leave open of that.
    pub gap_after_offers: u64,
    /// What conditional offers leave open of that.
    pub gap_if_all: u64,
    /// What D, T and O exceed the need by.
    pub surplus: u64,
}

impl Cover {
    /// D + T + O.
    pub const fn firm(&self) -> u64 {
        self.delivered.saturating_add(self.in_transit).saturating_add(self.to_ship)
    }
}

/// States of a requirement; the first that fits, from the top (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequirementState {
    /// Its writer took it back.
    Withdrawn,
    /// Its writer closed it.
    Closed,
    /// Its validity ended before it was fulfilled.
    Lapsed,
    /// All of it was delivered.
    Fulfilled,
    /// D, T and O are enough.
    Covered,
    /// Some is accepted, under way or delivered.
    PartCovered,
    /// Only offers.
    Offered,
    /// Nothing yet.
    Open,
}

impl RequirementState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Closed => "closed",
            Self::Lapsed => "lapsed",
            Self::Fulfilled => "fulfilled",
            Self::Covered => "covered",
            Self::PartCovered => "part covered",
            Self::Offered => "offered",
            Self::Open => "open",
        }
    }
}

/// What is true of a requirement beside its state (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Overlay {
    /// `needed_by` passed before it was fulfilled.
    Late,
    /// Pledges exceed the need (C3).
    OverSubscribed,
    /// Acceptances exceed the need (C4).
    OverAccepted,
    /// The loss of one donor would uncover it.
    Fragile,
}

impl Overlay {
    /// The overlay's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::OverSubscribed => "over-subscribed",
            Self::OverAccepted => "over-accepted",
            Self::Fragile => "fragile",
        }
    }
}

/// A requirement with its cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequirementRow {
    /// The version that counts.
    pub head: Head,
    /// The first state that fits.
    pub state: RequirementState,
    /// What is needed.
    pub item: String,
    /// Class of supply.
    pub class: String,
    /// Theme or cluster.
    pub theme: Option<String>,
    /// How much is needed, in base units, as last stated.
    pub quantity: u64,
    /// The base unit; the unit as typed if it is unknown.
    pub unit: String,
    /// The unit as typed, for people.
    pub typed_unit: String,
    /// 1 is most urgent.
    pub priority: u8,
    /// Last day on which it is of use.
    pub needed_by: Option<Day>,
    /// Where it is to arrive: a hub's reference in text, or a region.
    pub deliver_to: Option<String>,
    /// Smallest useful part, in base units.
    pub min_lot: Option<u64>,
    /// Whether something of the same use will do.
    pub substitutes_allowed: bool,
    /// The day at whose end it lapses.
    pub valid_until: Day,
    /// Crisis code.
    pub crisis: Option<String>,
    /// By how much what arrives of a line may differ from what left.
    pub tolerance: u64,
    /// Codes of the nations that endorse it; advice only.
    pub endorsed_by: Vec<String>,
    /// Its sums; a withdrawn, closed or lapsed one leaves no gap.
    pub cover: Cover,
    /// Its cover over time.
    pub phases: super::phase::Phases,
    /// How much of which firm offer to accept so that its gap closes: places in [`super::View::pledges`]; a suggestion (C3).
    pub suggested: Vec<(usize, u64)>,
    /// What else is true of it.
    pub overlays: Vec<Overlay>,
    /// The pledges that name it, in R8 order: places in [`super::View::pledges`].
    pub pledges: Vec<usize>,
    /// Flags that name it or one of its pledges, each code once.
    pub flags: Vec<FlagCode>,
}

/// States of a pledge; the first that fits, from the top (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PledgeState {
    /// All of it was delivered.
    Delivered,
    /// Withdrawn while it was being accepted (C5).
    Contested,
    /// Its writer took it back.
    Withdrawn,
    /// `expires` passed and nothing had left.
    Expired,
    /// Some was delivered.
    PartDelivered,
    /// Some is under way.
    InTransit,
    /// The acceptance pins an older, materially different version (C6).
    StaleAccept,
    /// A condition is open.
    Conditional,
    /// All of it was accepted.
    Accepted,
    /// Some of it was accepted.
    PartAccepted,
    /// The recipient declined it.
    Declined,
    /// No answer yet.
    Offered,
}

impl PledgeState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Contested => "contested",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::PartDelivered => "part delivered",
            Self::InTransit => "in transit",
            Self::StaleAccept => "stale-accept",
            Self::Conditional => "conditional",
            Self::Accepted => "accepted",
            Self::PartAccepted => "part accepted",
            Self::Declined => "declined",
            Self::Offered => "offered",
        }
    }
}

/// A pledge with its buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PledgeRow {
    /// The version that counts.
    pub head: Head,
    /// The first state that fits.
    pub state: PledgeState,
    /// The requirement it names, in text.
    pub requirement: Option<String>,
    /// The requirement's place in [`super::View::requirements`], if it is here.
    pub requirement_row: Option<usize>,
    /// The package it is part of.
    pub package: Option<String>,
    /// What is offered.
    pub item: String,
    /// How much, in base units, as last stated.
    pub quantity: u64,
    /// The base unit; the unit as typed if it is unknown.
    pub unit: String,
    /// The unit as typed, for people.
    pub typed_unit: String,
    /// What one base unit is worth, in minor units of `currency`.
    pub unit_value: Option<u64>,
    /// The currency.
    pub currency: Option<String>,
    /// First day on which it can leave.
    pub available_from: Option<Day>,
    /// Day by which it arrives.
    pub deliver_by: Option<Day>,
    /// Where it leaves from.
    pub from_hub: Option<String>,
    /// Open conditions.
    pub conditions: Vec<String>,
    /// Last day of the offer.
    pub expires: Option<Day>,
    /// The stock it comes from: a stock lot's reference in text, or a name.
    pub lot: Option<String>,
    /// What a standby pledge waits for: `None` for a pledge.
    pub waits: Option<Waits>,
    /// Nation whose consent a transfer needs.
    pub origin_nation: Option<String>,
    /// Numbers under which others know it.
    pub ext_refs: Vec<String>,
    /// The state of the consent it needs; `None`: it needs none.
    pub consent: Option<super::supply::ConsentState>,
    /// What it is worth and who pays for it, where anybody says.
    pub funding: Option<super::supply::Funding>,
    /// Its buckets. Those of a pledge that is not [`Standing::Counted`] are no part of its requirement's sums.
    pub buckets: Buckets,
    /// Who holds what is under way of it, by its shipments' lines; shares are rounded up (C28).
    pub custody: BTreeMap<NationId, u64>,
    /// Flags that name it, each code once.
    pub flags: Vec<FlagCode>,
}

/// What a standby pledge waits for; it counts once its row is no longer [`Standing::Standby`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The withdrawal of this pledge, in text.
    pub pledge: Option<String>,
    /// That pledge's place in [`super::View::pledges`], if it is here.
    pub pledge_row: Option<usize>,
    /// The pause of this nation's pledges.
    pub nation: Option<NationId>,
}

/// An acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptRow {
    /// The version that counts.
    pub head: Head,
    /// The version of the pledge it takes, in text.
    pub pledge: String,
    /// The pledge's place in [`super::View::pledges`], if it is here.
    pub pledge_row: Option<usize>,
    /// How much it takes, in base units.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// The unit as typed.
    pub typed_unit: String,
    /// Where it is to arrive.
    pub deliver_to: Option<String>,
    /// Conditions taken with it.
    pub conditions: Vec<String>,
    /// What became of it.
    pub outcome: AcceptOutcome,
}

/// What became of an acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AcceptOutcome {
    /// It stands.
    Stands,
    /// It is withdrawn or not counted.
    Nothing,
    /// The pledge changed materially since (C6).
    Stale,
    /// It took a pledge whose withdrawal it had seen: void (C5).
    Void,
    /// The donor withdrew without having seen it (C5).
    Contested,
    /// The donor withdrew having seen it (C5).
    WithdrawnAfter,
}

impl AcceptOutcome {
    /// The outcome's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stands => "stands",
            Self::Nothing => "nothing",
            Self::Stale => "stale",
            Self::Void => "void",
            Self::Contested => "contested",
            Self::WithdrawnAfter => "withdrawn-after-acceptance",
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclineRow {
    /// The version that counts.
    pub head: Head,
    /// The version of the pledge it declines, in text.
    pub pledge: String,
    /// The pledge's place in [`super::View::pledges`], if it is here.
    pub pledge_row: Option<usize>,
    /// Why.
    pub reason: Option<String>,
}

/// A hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRow {
    /// The version that counts.
    pub head: Head,
    /// What it is called.
    pub name: String,
    /// What sort of place.
    pub hub_kind: String,
    /// Its code.
    pub code: Option<String>,
    /// Latitude in millionths of a degree, north positive.
    pub lat_micro: Option<i64>,
    /// Longitude in millionths of a degree, east positive.
    pub lon_micro: Option<i64>,
    /// Means of transport.
    pub modes: Vec<String>,
    /// Tonnes a day, by means of transport.
    pub capacity: BTreeMap<String, u64>,
    /// First day on which it works.
    pub open_from: Option<Day>,
    /// Last day on which it works.
    pub open_to: Option<Day>,
}

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRow {
    /// The version that counts.
    pub head: Head,
    /// The nation in its own words.
    pub name: String,
    /// Who answers questions.
    pub contact: Option<String>,
    /// Addresses of its nodes.
    pub addresses: Vec<String>,
}

/// An observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationRow {
    /// The version that counts.
    pub head: Head,
    /// The record it is about, in text.
    pub about: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// Under which licence.
    pub licence: Option<String>,
    /// The row of the source.
    pub row: Option<u64>,
    /// Why it is no firmer statement.
    pub reason: Option<String>,
    /// What.
    pub item: Option<String>,
    /// Class of supply.
    pub class: Option<String>,
    /// How much, in base units.
    pub quantity: Option<u64>,
    /// The base unit.
    pub unit: Option<String>,
    /// Money in minor units of `currency`.
    pub amount: Option<u64>,
    /// The currency.
    pub currency: Option<String>,
    /// Who gave.
    pub donor: Option<String>,
    /// Who received.
    pub recipient: Option<String>,
    /// When.
    pub date: Option<Day>,
    /// In words.
    pub text: Option<String>,
}

/// A record whose version that counts is invalid: shown, counted as zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRow {
    /// The version.
    pub name: Name,
    /// The node that wrote it.
    pub author: AuthorKey,
    /// When its writer says it was written.
    pub time: Timestamp,
    /// `invalid: ` and every reason.
    pub reason: String,
}

/// What a flag says (DOMAIN 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlagCode {
    /// C1.
    LotOverdrawn,
    /// C2.
    SameGoods,
    /// C3.
    OverSubscribed,
    /// C4.
    OverAccepted,
    /// C5: the withdrawal and the acceptance had not seen each other.
    Contested,
    /// C5: the withdrawal had seen the acceptance.
    WithdrawnAfterAcceptance,
    /// C6.
    StaleAccept,
    /// R4: what is pinned is no longer the latest.
    ChangedSince,
    /// C7.
    Surplus,
    /// C8.
    LapsedWithOffers,
    /// C9.
    HubOverbooked,
    /// C9b: shares of a hub exceed its capacity, or a share was used beyond itself.
    AllotmentExceeded,
    /// C10.
    HubClosed,
    /// C11.
    NoShow,
    /// C12: goods left without the consent they need.
    ConsentMissing,
    /// C12: the consent was taken back.
    ConsentWithdrawn,
    /// C13.
    RouteBlocked,
    /// C14.
    PossibleDuplicateReceipt,
    /// C15.
    Discrepancy,
    /// C16.
    LossContradicted,
    /// C17.
    Substitution,
    /// C18.
    UnitUnknown,
    /// C19: a chain says two things (spec 4.5.4).
    Equivocation,
    /// C20.
    SelfConflict,
    /// C21.
    Pending,
    /// C22.
    ClockSkew,
    /// C23.
    NotAuthorised,
    /// C24: a closed proposal waits for proofs of silence, or an objection came late.
    LateArrival,
    /// C25.
    RivalProposal,
    /// C27.
    Suspended,
    /// C28: released and not taken over within the leg's time.
    CustodyOpen,
    /// C28: what was released is not what was taken.
    CustodyDiscrepancy,
    /// C28: taken, and never released.
    CustodyUnilateral,
    /// C29: a key was retired and what it wrote after is disavowed.
    KeyRetired,
    /// The fields break the table of kinds (spec 4.19).
    Invalid,
    /// What is pinned was taken out by a fork or a cut (spec 4.5.4).
    DisavowedReference,
}

impl FlagCode {
    /// The code in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LotOverdrawn => "lot-overdrawn",
            Self::SameGoods => "same-goods",
            Self::OverSubscribed => "over-subscribed",
            Self::OverAccepted => "over-accepted",
            Self::Contested => "contested",
            Self::WithdrawnAfterAcceptance => "withdrawn-after-acceptance",
            Self::StaleAccept => "stale-accept",
            Self::ChangedSince => "changed-since",
            Self::Surplus => "surplus",
            Self::LapsedWithOffers => "lapsed-with-offers",
            Self::HubOverbooked => "hub-overbooked",
            Self::AllotmentExceeded => "allotment-exceeded",
            Self::HubClosed => "hub-closed",
            Self::NoShow => "no-show",
            Self::ConsentMissing => "consent-missing",
            Self::ConsentWithdrawn => "consent-withdrawn",
            Self::RouteBlocked => "route-blocked",
            Self::PossibleDuplicateReceipt => "possible-duplicate-receipt",
            Self::Discrepancy => "discrepancy",
            Self::LossContradicted => "loss-contradicted",
            Self::Substitution => "substitution",
            Self::UnitUnknown => "unit-unknown",
            Self::Equivocation => "equivocation",
            Self::SelfConflict => "self-conflict",
            Self::Pending => "pending",
            Self::ClockSkew => "clock-skew",
            Self::NotAuthorised => "not-authorised",
            Self::LateArrival => "late-arrival",
            Self::RivalProposal => "rival-proposal",
            Self::Suspended => "suspended",
            Self::CustodyOpen => "custody-open",
            Self::CustodyDiscrepancy => "custody-discrepancy",
            Self::CustodyUnilateral => "custody-unilateral",
            Self::KeyRetired => "key-retired",
            Self::Invalid => "invalid",
            Self::DisavowedReference => "disavowed-reference",
        }
    }

    /// The case of DOMAIN 2.6, or the rule, that raises it.
    pub const fn case(self) -> &'static str {
        match self {
            Self::LotOverdrawn => "C1",
            Self::SameGoods => "C2",
            Self::OverSubscribed => "C3",
            Self::OverAccepted => "C4",
            Self::Contested | Self::WithdrawnAfterAcceptance => "C5",
            Self::StaleAccept => "C6",
            Self::ChangedSince => "R4",
            Self::Surplus => "C7",
            Self::LapsedWithOffers => "C8",
            Self::HubOverbooked => "C9",
            Self::AllotmentExceeded => "C9b",
            Self::HubClosed => "C10",
            Self::NoShow => "C11",
            Self::ConsentMissing | Self::ConsentWithdrawn => "C12",
            Self::RouteBlocked => "C13",
            Self::PossibleDuplicateReceipt => "C14",
            Self::Discrepancy => "C15",
            Self::LossContradicted => "C16",
            Self::Substitution => "C17",
            Self::UnitUnknown => "C18",
            Self::Equivocation => "C19",
            Self::SelfConflict => "C20",
            Self::Pending => "C21",
            Self::ClockSkew => "C22",
            Self::NotAuthorised => "C23",
            Self::LateArrival => "C24",
            Self::RivalProposal => "C25",
            Self::Suspended => "C27",
            Self::CustodyOpen | Self::CustodyDiscrepancy | Self::CustodyUnilateral => "C28",
            Self::KeyRetired => "C29",
            Self::Invalid => "4.19",
            Self::DisavowedReference => "4.5.4",
        }
    }
}

/// Something that needs a nation's eye.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flag {
    /// What it says.
    pub code: FlagCode,
    /// The statements it is about; the one whose counting it changed comes first.
    pub statements: Vec<Name>,
    /// Codes of the nations that can clear it by a further statement; empty if it clears itself or never.
    pub clears: Vec<String>,
    /// What happened, one line with its values.
    pub detail: String,
}
