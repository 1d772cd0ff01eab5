//! What nations say: the kinds of statement, their fields, and the way from an operator's draft to a version of a record.
//!
//! One table of kinds ([`schema`]) decides everything: how a version's fields are checked and read, what a draft may hold,
//! what the documentation says and which flags a command line offers. A version that breaks the table is *invalid*: it is
//! shown with every reason and counts as zero, and it never affects another record (spec 4.19).

pub mod units;
pub mod reference;
pub mod schema;
pub mod check;
pub mod typed;
pub mod current;
pub mod silence;
pub mod ledger;
pub mod custody;
pub mod conversion;
pub mod draft;
pub mod convert;
pub mod prepare;
pub mod docs;

/// A kind of statement (DOMAIN 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A nation about itself.
    Profile,
    /// What a nation calls an item, in its own catalogue.
    ItemType,
    /// What one unit is worth in another, as a nation counts.
    UnitConversion,
    /// What an item is worth, as a nation reckons.
    Valuation,
    /// Rates of exchange that a nation uses.
    FxTable,
    /// What a nation follows, or can source.
    Topic,
    /// A place with capacity, by its host nation.
    Hub,
    /// A share of a hub's capacity, handed to a nation by the host.
    Allotment,
    /// Leave to cross, by the transit nation.
    TransitPermit,
    /// A need, by the recipient nation.
    Requirement,
    /// Advice on a requirement, by any nation.
    Endorse,
    /// Stock that a donor is ready to give.
    StockLot,
    /// An offer towards a need, by the donor nation.
    Pledge,
    /// An offer that takes effect when another falls away.
    StandbyPledge,
    /// Money for another nation's pledge.
    Fund,
    /// The recipient takes all or part of a pledge.
    Accept,
    /// The recipient does not take a pledge.
    Decline,
    /// The recipient lets another item stand for what was pledged.
    AcceptSubstitute,
    /// The donor asks the nation of origin to agree to a transfer.
    ConsentRequest,
    /// The nation of origin agrees.
    Consent,
    /// A shipping nation asks for capacity of a hub.
    SlotRequest,
    /// The host gives it.
    SlotGrant,
    /// The host does not.
    SlotRefuse,
    /// Goods made up for a journey, by the donor who sends them.
    Shipment,
    /// Capacity of a hub was used.
    SlotUse,
    /// Goods have left.
    Dispatch,
    /// Custody of goods was released.
    HandOver,
    /// Custody of goods was taken.
    TakeOver,
    /// Goods on the way are lost.
    LossReport,
    /// The recipient counted what arrived.
    Receipt,
    /// The recipient sends goods back.
    Return,
    /// The recipient counted what it has in use.
    Inventory,
    /// One party's half of closing a discrepancy.
    Settle,
    /// A nation pauses what it contributes.
    SuspendNotice,
    /// Something said about somebody else; shown, never counted.
    Observation,
    /// A question that named nations decide by silence (DOMAIN 2.8).
    Propose,
    /// A participant has seen a proposal.
    Seen,
    /// A participant agrees to a proposal.
    Assent,
    /// A participant objects to a proposal.
    Object,
    /// A participant lets a proposal pass with a remark.
    Reserve,
    /// A participant asks for a day more.
    RequestExtension,
}

impl Kind {
    /// Every kind, in the order in which they refer to one another.
    pub const ALL: [Self; 41] = [
        Self::Profile,
        Self::ItemType,
        Self::UnitConversion,
        Self::Valuation,
        Self::FxTable,
        Self::Topic,
        Self::Hub,
        Self::Allotment,
        Self::TransitPermit,
        Self::Requirement,
        Self::Endorse,
        Self::StockLot,
        Self::Pledge,
        Self::StandbyPledge,
        Self::Fund,
        Self::Accept,
        Self::Decline,
        Self::AcceptSubstitute,
        Self::ConsentRequest,
        Self::Consent,
        Self::SlotRequest,
        Self::SlotGrant,
        Self::SlotRefuse,
        Self::Shipment,
        Self::SlotUse,
        Self::Dispatch,
        Self::HandOver,
        Self::TakeOver,
        Self::LossReport,
        Self::Receipt,
        Self::Return,
        Self::Inventory,
        Self::Settle,
        Self::SuspendNotice,
        Self::Observation,
        Self::Propose,
        Self::Seen,
        Self::Assent,
        Self::Object,
        Self::Reserve,
        Self::RequestExtension,
    ];

    /// The kinds that offer goods: what takes, sends or pays for a pledge may name either.
    pub const PLEDGES: [Self; 2] = [Self::Pledge, Self::StandbyPledge];

    /// The kinds by which a participant answers a proposal.
    pub const ANSWERS: [Self; 5] = [Self::Seen, Self::Assent, Self::Object, Self::Reserve, Self::RequestExtension];

    /// The kind's name in records and references.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::ItemType => "item_type",
            Self::UnitConversion => "unit_conversion",
            Self::Valuation => "valuation",
            Self::FxTable => "fx_table",
            Self::Topic => "topic",
            Self::Hub => "hub",
            Self::Allotment => "allotment",
            Self::TransitPermit => "transit_permit",
            Self::Requirement => "requirement",
            Self::Endorse => "endorse",
            Self::StockLot => "stock_lot",
            Self::Pledge => "pledge",
            Self::StandbyPledge => "standby_pledge",
            Self::Fund => "fund",
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::AcceptSubstitute => "accept_substitute",
            Self::ConsentRequest => "consent_request",
            Self::Consent => "consent",
            Self::SlotRequest => "slot_request",
            Self::SlotGrant => "slot_grant",
            Self::SlotRefuse => "slot_refuse",
            Self::Shipment => "shipment",
            Self::SlotUse => "slot_use",
            Self::Dispatch => "dispatch",
            Self::HandOver => "hand_over",
            Self::TakeOver => "take_over",
            Self::LossReport => "loss_report",
            Self::Receipt => "receipt",
            Self::Return => "return",
            Self::Inventory => "inventory",
            Self::Settle => "settle",
            Self::SuspendNotice => "suspend_notice",
            Self::Observation => "observation",
            Self::Propose => "propose",
            Self::Seen => "seen",
            Self::Assent => "assent",
            Self::Object => "object",
            Self::Reserve => "reserve",
            Self::RequestExtension => "request_extension",
        }
    }

    /// Returns the kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a record stands (DOMAIN 2.3, every kind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It stands.
    #[default]
    Live,
    /// Its writer took it back.
    Withdrawn,
    /// Its writer closed it: requirements and hubs only.
    Closed,
}

impl Status {
    /// The status's name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Withdrawn => "withdrawn",
            Self::Closed => "closed",
        }
    }
}

/// Returns `text` with control, invisible and directional characters written as `\u{…}`, so that a terminal shows them
/// instead of obeying them (spec 4.19).
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character steers a terminal or the direction of text instead of being seen: the ranges of spec 4.2, and
/// U+2065, which no Unicode version has given a meaning yet.
pub(crate) fn hidden(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    matches!(u32::from(c),
        0x0000..=0x001f | 0x007f..=0x009f | 0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
        | 0xfeff | 0xfff9..=0xfffb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_on_its_line() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\u{a}");
        assert_eq!(visible("Київ – Łódź"), "Київ – Łódź");
        for c in (0x2060..=0x206f).filter_map(char::from_u32) {
            assert_eq!(visible(&c.to_string()), c.escape_unicode().to_string());
        }
    }
}
