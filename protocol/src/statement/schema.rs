//! The table of kinds: who may write each, and which fields it has (DOMAIN 2.2 and 2.3).

use super::Kind;

mod custody;
mod decision;
mod offer;
mod own;
pub mod passage;

/// Who alone may write a kind (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Any nation, about itself.
    Itself,
    /// The nation on whose ground the place is; any nation, for its own.
    Host,
    /// The nation in need: for answers and receipts the one whose requirement the pledge names.
    Recipient,
    /// The nation that gives: any nation, for its own pledges.
    Donor,
    /// The nation that sends the goods: the donor of every pledge in the shipment.
    Consignor,
    /// Any nation, about anything; never counted.
    Observer,
    /// A nation that the proposal names, for itself.
    Participant,
    /// Any nation, with its own money.
    Funder,
    /// The nation whose consent the request asks for; any nation, for its own consents in advance.
    Origin,
    /// The nation that is to use a slot: any nation, for its own requests; the consignor or a carrier of the shipment named.
    Shipper,
    /// The nation to be crossed; any nation, for its own ground.
    Transit,
    /// A nation on the way of a shipment that lets goods go: consignor, carrier or host of the hub.
    Giving,
    /// A nation on the way of a shipment that takes goods in: carrier, host of the hub, consignor or recipient.
    Taking,
    /// The consignor or the recipient of a shipment line, each for itself.
    Party,
}

impl Role {
    /// The role's name in documentation and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Itself => "each nation for itself",
            Self::Host => "host nation",
            Self::Recipient => "recipient nation",
            Self::Donor => "donor nation",
            Self::Consignor => "consignor nation",
            Self::Observer => "any observer",
            Self::Participant => "participant",
            Self::Funder => "funder nation",
            Self::Origin => "origin nation",
            Self::Shipper => "shipping nation",
            Self::Transit => "transit nation",
            Self::Giving => "nation giving custody",
            Self::Taking => "nation taking custody",
            Self::Party => "consignor and recipient, each for itself",
        }
    }
}

/// Whether a version must carry a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it the version is invalid.
    Required,
    /// Required, but the entry fills it in from what the statement refers to where the operator leaves it out.
    Filled,
    /// May be absent.
    Optional,
}

/// Whether a reference names a record or one version of it (R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The record: its latest version counts.
    Floating,
    /// One version: a version without a pin is invalid, and the entry pins the latest one.
    Pinned,
    /// As written.
    Either,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text of 1 to this many bytes.
    Text(usize),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A quantity in the unit of the field `unit`, stored in the base unit: 1 to 10^15.
    Quantity,
    /// A part of the statement's quantity, stored in its base unit: 0 to 10^15.
    Part,
    /// A unit's symbol; an unknown one leaves the statement uncounted (C18).
    Unit,
    /// A whole number in these bounds, both included.
    Integer(u64, u64),
    /// Money in minor units (cents) of the field `currency`: 0 to 10^18.
    Money,
    /// Three capital letters, ISO 4217.
    Currency,
    /// Degrees within plus or minus this many, stored in millionths.
    Degrees(i64),
    /// A UTC day, `YYYY-MM-DD`.
    Day,
    /// A moment, RFC 3339; stored in milliseconds since 1970.
    Moment,
    /// True or false.
    Flag,
    /// A reference to a record of one of these kinds; of any kind where the list is empty.
    Reference(&'static [Kind], Pin),
    /// A reference to a hub, or the name of a region.
    Place,
    /// A reference to a stock lot, or a name for one that is not in the record.
    Lot,
    /// A NATO stock number: 13 characters, digits but for the item part, where letters may occur; stored without hyphens.
    StockNumber,
    /// A rate of exchange above zero, a decimal number with at most nine decimals, stored in billionths.
    Rate,
    /// A member nation: typed as its code, stored as its id, so that no later change of codes says something else.
    Nation,
    /// A SHA-256 hash: 64 hexadecimal digits, stored as bytes.
    Hash,
    /// A list of at most this many.
    List(&'static FieldType, usize),
    /// Values by name, at most this many.
    Map(&'static FieldType, usize),
    /// Values by line number.
    Lines(&'static FieldType),
    /// Fields of their own.
    Group(&'static [FieldSpec]),
}

/// One field of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its key.
    pub name: &'static str,
    /// What it holds.
    pub holds: FieldType,
    /// Whether it must be there.
    pub need: Need,
    /// What it means, one sentence.
    pub doc: &'static str,
}

/// One kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindSpec {
    /// Which.
    pub kind: Kind,
    /// Who alone may write it.
    pub writer: Role,
    /// Its statuses.
    pub statuses: &'static [&'static str],
    /// What it says, one sentence.
    pub doc: &'static str,
    /// Its own fields, without [`COMMON`].
    pub fields: &'static [FieldSpec],
}

impl KindSpec {
    /// Returns its own fields and those every kind has.
    pub fn all_fields(&self) -> impl Iterator<Item = &'static FieldSpec> {
        self.fields.iter().chain(COMMON)
    }

    /// Returns one field.
    pub fn field(&self, name: &str) -> Option<&'static FieldSpec> {
        self.all_fields().find(|field| field.name == name)
    }
}

impl Kind {
    /// Returns the kind's row of the table.
    pub const fn spec(self) -> &'static KindSpec {
        match self {
            Self::Profile => &PROFILE,
            Self::ItemType => &own::ITEM_TYPE,
            Self::UnitConversion => &own::UNIT_CONVERSION,
            Self::Valuation => &own::VALUATION,
            Self::FxTable => &own::FX_TABLE,
            Self::Topic => &own::TOPIC,
            Self::Hub => &HUB,
            Self::Allotment => &passage::ALLOTMENT,
            Self::TransitPermit => &passage::TRANSIT_PERMIT,
            Self::Requirement => &REQUIREMENT,
            Self::Endorse => &offer::ENDORSE,
            Self::StockLot => &offer::STOCK_LOT,
            Self::Pledge => &PLEDGE,
            Self::StandbyPledge => &offer::STANDBY_PLEDGE,
            Self::Fund => &offer::FUND,
            Self::Accept => &ACCEPT,
            Self::Decline => &DECLINE,
            Self::AcceptSubstitute => &offer::ACCEPT_SUBSTITUTE,
            Self::ConsentRequest => &offer::CONSENT_REQUEST,
            Self::Consent => &offer::CONSENT,
            Self::SlotRequest => &passage::SLOT_REQUEST,
            Self::SlotGrant => &passage::SLOT_GRANT,
            Self::SlotRefuse => &passage::SLOT_REFUSE,
            Self::Shipment => &SHIPMENT,
            Self::SlotUse => &passage::SLOT_USE,
            Self::Dispatch => &DISPATCH,
            Self::HandOver => &custody::HAND_OVER,
            Self::TakeOver => &custody::TAKE_OVER,
            Self::LossReport => &LOSS_REPORT,
            Self::Receipt => &RECEIPT,
            Self::Return => &custody::RETURN,
            Self::Inventory => &custody::INVENTORY,
            Self::Settle => &custody::SETTLE,
            Self::SuspendNotice => &own::SUSPEND_NOTICE,
            Self::Observation => &OBSERVATION,
            Self::Propose => &decision::PROPOSE,
            Self::Seen => &decision::SEEN,
            Self::Assent => &decision::ASSENT,
            Self::Object => &decision::OBJECT,
            Self::Reserve => &decision::RESERVE,
            Self::RequestExtension => &decision::REQUEST_EXTENSION,
        }
    }
}

/// Bytes of a name, a code or a condition.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of a line of text.
pub const LINE_BYTES_MAX: usize = 512;
/// Bytes of a paragraph.
pub const PARAGRAPH_BYTES_MAX: usize = 4_096;
/// Entries of a list of texts.
pub const TEXTS_MAX: usize = 64;
/// Lines of a shipment.
pub const LINES_MAX: usize = 64;
/// Legs of a shipment.
pub const LEGS_MAX: usize = 32;
/// Parcels of a line or receipt.
pub const PARCELS_MAX: usize = 512;
/// Participants of a proposal.
pub const PARTICIPANTS_MAX: usize = 128;
/// References in `seen`.
pub const SEEN_MAX: usize = 1_024;

const NAME: FieldType = FieldType::Text(NAME_BYTES_MAX);
const LINE: FieldType = FieldType::Text(LINE_BYTES_MAX);
const PARAGRAPH: FieldType = FieldType::Text(PARAGRAPH_BYTES_MAX);
const NAMES: FieldType = FieldType::List(&NAME, TEXTS_MAX);
const PARCELS: FieldType = FieldType::List(&NAME, PARCELS_MAX);
const ANY_RECORD: FieldType = FieldType::Reference(&[], Pin::Either);
const TONNES_A_DAY: FieldType = FieldType::Integer(0, 1_000_000_000);
/// The classes of supply (DOMAIN 1).
pub const CLASSES: &[&str] = &["I", "II", "III", "IIIa", "IV", "V", "medical", "repair"];
const LIVE_OR_WITHDRAWN: &[&str] = &["live", "withdrawn"];
const LIVE_WITHDRAWN_OR_CLOSED: &[&str] = &["live", "withdrawn", "closed"];

const fn field(name: &'static str, holds: FieldType, need: Need, doc: &'static str) -> FieldSpec {
    FieldSpec { name, holds, need, doc }
}

/// The fields every kind has.
pub const COMMON: &[FieldSpec] = &[
    field(
        "status",
        FieldType::Choice(LIVE_WITHDRAWN_OR_CLOSED),
        Need::Optional,
        "Whether the record stands; live when absent.",
    ),
    field(
        "seen",
        FieldType::List(&ANY_RECORD, SEEN_MAX),
        Need::Optional,
        "The answers and fellow statements its writer had seen (R7).",
    ),
    field(
        "ext_refs",
        NAMES,
        Need::Optional,
        "Numbers under which others know the same thing; two pledges that share one count once (C2).",
    ),
    field(
        "label",
        FieldType::Group(LABEL),
        Need::Optional,
        "The confidentiality label; a plain mark, Comity accredits nothing.",
    ),
];

const LABEL: &[FieldSpec] = &[
    field("policy", NAME, Need::Optional, "Whose marking rules."),
    field(
        "level",
        FieldType::Choice(&["UNCLASSIFIED", "RESTRICTED", "CONFIDENTIAL", "SECRET"]),
        Need::Required,
        "The mark.",
    ),
    field("releasable_to", NAMES, Need::Optional, "Nations it may be shown to, by code."),
    field("caveats", NAMES, Need::Optional, "Further marks."),
    field("created", FieldType::Day, Need::Optional, "When it was marked."),
    field("review_by", FieldType::Day, Need::Optional, "When the mark is to be looked at again."),
];

const PROFILE: KindSpec = KindSpec {
    kind: Kind::Profile,
    writer: Role::Itself,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "What a nation says about itself and how its nodes are reached.",
    fields: &[
        field("name", NAME, Need::Required, "The nation's name in its own words."),
        field("contact", LINE, Need::Optional, "Who answers questions, and where."),
        field(
            "addresses",
            FieldType::List(&LINE, TEXTS_MAX),
            Need::Optional,
            "Addresses of its nodes, as multiaddresses.",
        ),
    ],
};

const HUB: KindSpec = KindSpec {
    kind: Kind::Hub,
    writer: Role::Host,
    statuses: LIVE_WITHDRAWN_OR_CLOSED,
    doc: "A place where goods change hands or vehicles, with what it can take in a day.",
    fields: &[
        field("name", NAME, Need::Required, "What the place is called."),
        field(
            "hub_kind",
            FieldType::Choice(&["airport", "port", "rail", "road", "crossing", "warehouse"]),
            Need::Required,
            "What sort of place it is.",
        ),
        field("code", NAME, Need::Optional, "Its ICAO or UN/LOCODE code, or one of the host's own."),
        field("lat", FieldType::Degrees(90), Need::Optional, "Latitude, north positive."),
        field("lon", FieldType::Degrees(180), Need::Optional, "Longitude, east positive."),
        field("modes", NAMES, Need::Optional, "Means of transport it serves."),
        field(
            "capacity",
            FieldType::Map(&TONNES_A_DAY, TEXTS_MAX),
            Need::Optional,
            "Tonnes a day, by means of transport.",
        ),
        field("open_from", FieldType::Day, Need::Optional, "First day on which it works."),
        field("open_to", FieldType::Day, Need::Optional, "Last day on which it works."),
    ],
};

const REQUIREMENT: KindSpec = KindSpec {
    kind: Kind::Requirement,
    writer: Role::Recipient,
    statuses: LIVE_WITHDRAWN_OR_CLOSED,
    doc: "What a nation needs, how much of it and by when.",
    fields: &[
        field("item", LINE, Need::Required, "What is needed."),
        field("class", FieldType::Choice(CLASSES), Need::Required, "The class of supply."),
        field("theme", NAME, Need::Optional, "The theme or cluster it belongs to."),
        field("quantity", FieldType::Quantity, Need::Required, "How much is needed."),
        field("unit", FieldType::Unit, Need::Required, "The unit as typed; the quantity is stored in its base unit."),
        field("priority", FieldType::Integer(1, 4), Need::Optional, "1 is most urgent; 3 when absent."),
        field("needed_by", FieldType::Day, Need::Optional, "Last day on which it is of use."),
        field("deliver_to", FieldType::Place, Need::Optional, "Where it is to arrive."),
        field("min_lot", FieldType::Part, Need::Optional, "Smallest useful part."),
        field("substitutes_allowed", FieldType::Flag, Need::Optional, "Whether something of the same use will do."),
        field(
            "valid_until",
            FieldType::Day,
            Need::Optional,
            "It lapses at the end of this day; 90 days after the last revision at the latest, and when absent.",
        ),
        field("crisis", NAME, Need::Optional, "The crisis code, such as a GLIDE number."),
        field(
            "tolerance",
            FieldType::Part,
            Need::Optional,
            "By how much what arrives of a shipment line may differ from what left before it is a discrepancy; 0 when absent.",
        ),
    ],
};

const REQUIREMENT_OR_PACKAGE: FieldSpec = field(
    "requirement",
    FieldType::Reference(&[Kind::Requirement], Pin::Floating),
    Need::Optional,
    "The requirement it serves; this or `package` must be there.",
);
const PACKAGE: FieldSpec = field("package", LINE, Need::Optional, "The package it is part of.");
const OFFERED_ITEM: FieldSpec =
    field("item", LINE, Need::Filled, "What is offered; the requirement's item when left out at entry.");
const OFFERED: FieldSpec = field("quantity", FieldType::Quantity, Need::Required, "How much is offered.");
const OFFERED_UNIT: FieldSpec =
    field("unit", FieldType::Unit, Need::Filled, "The unit as typed; the requirement's when left out at entry.");
const UNIT_VALUE: FieldSpec = field("unit_value", FieldType::Money, Need::Optional, "What one base unit is worth.");
const CURRENCY: FieldSpec = field("currency", FieldType::Currency, Need::Optional, "The currency of `unit_value`.");
const AVAILABLE_FROM: FieldSpec =
    field("available_from", FieldType::Day, Need::Optional, "First day on which it can leave.");
const DELIVER_BY: FieldSpec = field("deliver_by", FieldType::Day, Need::Optional, "Day by which it arrives.");
const FROM_HUB: FieldSpec = field("from_hub", FieldType::Place, Need::Optional, "Where it leaves from.");
const CONDITIONS: FieldSpec = field(
    "conditions",
    NAMES,
    Need::Optional,
    "Conditions still open, such as consent, funding, replacement or parliament; while there is one the pledge is conditional.",
);
const EXPIRES: FieldSpec =
    field("expires", FieldType::Day, Need::Optional, "The offer ends with this day unless goods have left.");
const LOT: FieldSpec = field(
    "lot",
    FieldType::Lot,
    Need::Optional,
    "The stock it comes from; what pledges draw beyond a stock lot's quantity is conditional (C1).",
);
const ORIGIN_NATION: FieldSpec = field(
    "origin_nation",
    NAME,
    Need::Optional,
    "Code of the nation whose consent a transfer needs; what it has not consented to is conditional (C12).",
);

const PLEDGE: KindSpec = KindSpec {
    kind: Kind::Pledge,
    writer: Role::Donor,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "What a nation offers towards a requirement or a package.",
    fields: &[
        REQUIREMENT_OR_PACKAGE,
        PACKAGE,
        OFFERED_ITEM,
        OFFERED,
        OFFERED_UNIT,
        UNIT_VALUE,
        CURRENCY,
        AVAILABLE_FROM,
        DELIVER_BY,
        FROM_HUB,
        CONDITIONS,
        EXPIRES,
        LOT,
        ORIGIN_NATION,
    ],
};

const ACCEPT: KindSpec = KindSpec {
    kind: Kind::Accept,
    writer: Role::Recipient,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The recipient takes all or part of a pledge.",
    fields: &[
        field(
            "pledge",
            FieldType::Reference(&Kind::PLEDGES, Pin::Pinned),
            Need::Required,
            "The version of the pledge that is taken.",
        ),
        field("quantity", FieldType::Quantity, Need::Filled, "How much is taken; all of it when left out at entry."),
        field("unit", FieldType::Unit, Need::Filled, "The unit as typed; the pledge's when left out at entry."),
        field("deliver_to", FieldType::Place, Need::Optional, "Where it is to arrive."),
        field("conditions", NAMES, Need::Optional, "The conditions taken with it."),
    ],
};

const DECLINE: KindSpec = KindSpec {
    kind: Kind::Decline,
    writer: Role::Recipient,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The recipient does not take a pledge.",
    fields: &[
        field(
            "pledge",
            FieldType::Reference(&Kind::PLEDGES, Pin::Pinned),
            Need::Required,
            "The version of the pledge that is not taken.",
        ),
        field("reason", LINE, Need::Optional, "Why not."),
    ],
};

const SHIPMENT_LINE: &[FieldSpec] = &[
    field(
        "pledge",
        FieldType::Reference(&Kind::PLEDGES, Pin::Floating),
        Need::Required,
        "The pledge it fulfils; one of the consignor's own.",
    ),
    field("quantity", FieldType::Quantity, Need::Required, "How much."),
    field("unit", FieldType::Unit, Need::Filled, "The unit as typed; the pledge's when left out at entry."),
    field("parcels", PARCELS, Need::Optional, "Marks of the parcels."),
];

const SHIPMENT_LEG: &[FieldSpec] = &[
    field("from", FieldType::Place, Need::Required, "Where the leg begins."),
    field("to", FieldType::Place, Need::Required, "Where it ends."),
    field("mode", NAME, Need::Optional, "The means of transport."),
    field("carrier", NAME, Need::Optional, "Code of the nation, or name of the firm, that carries it."),
    field("etd", FieldType::Day, Need::Optional, "Day of departure expected."),
    field("eta", FieldType::Day, Need::Optional, "Day of arrival expected."),
    field(
        "slot",
        FieldType::Reference(&[Kind::SlotRequest, Kind::Allotment], Pin::Floating),
        Need::Optional,
        "The slot or allotment it goes by.",
    ),
    field(
        "permit",
        FieldType::Reference(&[Kind::TransitPermit], Pin::Floating),
        Need::Optional,
        "The transit permit it needs; where that ends the leg cannot be passed (C13).",
    ),
    field(
        "custody_hours",
        FieldType::Integer(1, 8_760),
        Need::Optional,
        "For how long goods may be released and not taken over; 24 when absent.",
    ),
];

const SHIPMENT: KindSpec = KindSpec {
    kind: Kind::Shipment,
    writer: Role::Consignor,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Goods made up for a journey; a withdrawn one is cancelled.",
    fields: &[
        field(
            "lines",
            FieldType::List(&FieldType::Group(SHIPMENT_LINE), LINES_MAX),
            Need::Required,
            "What it carries; lines are numbered from 0.",
        ),
        field(
            "legs",
            FieldType::List(&FieldType::Group(SHIPMENT_LEG), LEGS_MAX),
            Need::Optional,
            "The way it goes, in order.",
        ),
        field("waybill", NAME, Need::Optional, "The number of the waybill."),
        field("seal", NAME, Need::Optional, "The number of the seal."),
        field("gross_kg", FieldType::Integer(0, 1_000_000_000_000), Need::Optional, "Gross mass in kilograms."),
        field("volume_l", FieldType::Integer(0, 1_000_000_000_000), Need::Optional, "Volume in litres."),
    ],
};

const DISPATCH: KindSpec = KindSpec {
    kind: Kind::Dispatch,
    writer: Role::Consignor,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Goods of a shipment have left.",
    fields: &[
        field(
            "shipment",
            FieldType::Reference(&[Kind::Shipment], Pin::Pinned),
            Need::Required,
            "The version of the shipment that left.",
        ),
        field("at", FieldType::Moment, Need::Optional, "When."),
        field(
            "lines",
            FieldType::Lines(&FieldType::Quantity),
            Need::Optional,
            "How much of each line, by line number; all of every line when absent.",
        ),
        field("unit", FieldType::Unit, Need::Optional, "The unit of `lines` as typed; each line's own when left out."),
    ],
};

const SHIPMENT_REF: FieldType = FieldType::Reference(&[Kind::Shipment], Pin::Either);
const LINE_NUMBER: FieldType = FieldType::Integer(0, LINES_MAX as u64 - 1);
const LEG_NUMBER: FieldType = FieldType::Integer(0, LEGS_MAX as u64 - 1);

const LOSS_REPORT: KindSpec = KindSpec {
    kind: Kind::LossReport,
    writer: Role::Consignor,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Goods on the way will not arrive.",
    fields: &[
        field("shipment", SHIPMENT_REF, Need::Required, "The shipment."),
        field("line", LINE_NUMBER, Need::Required, "The line of the shipment."),
        field("quantity", FieldType::Quantity, Need::Required, "How much is lost."),
        field("unit", FieldType::Unit, Need::Filled, "The unit as typed; the line's when left out at entry."),
        field("parcels", PARCELS, Need::Optional, "Marks of the lost parcels."),
        field("reason", LINE, Need::Optional, "What happened."),
    ],
};

const DAMAGE: &[FieldSpec] = &[
    field("torn", FieldType::Part, Need::Optional, "Torn."),
    field("stained", FieldType::Part, Need::Optional, "Stained."),
    field("mouldy", FieldType::Part, Need::Optional, "Mouldy."),
    field("other", FieldType::Part, Need::Optional, "Damaged otherwise."),
];

const RECEIPT: KindSpec = KindSpec {
    kind: Kind::Receipt,
    writer: Role::Recipient,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The recipient counted what arrived; the only thing that makes goods delivered.",
    fields: &[
        field("shipment", SHIPMENT_REF, Need::Required, "The shipment."),
        field("line", LINE_NUMBER, Need::Required, "The line of the shipment."),
        field("counted", FieldType::Part, Need::Required, "All that was counted, in whatever condition."),
        field("unit", FieldType::Unit, Need::Filled, "The unit as typed; the line's when left out at entry."),
        field("damaged", FieldType::Group(DAMAGE), Need::Optional, "How much of it was damaged, by condition."),
        field("wrong_item", FieldType::Part, Need::Optional, "How much of it was something else."),
        field("underweight", FieldType::Part, Need::Optional, "How much of it was underweight."),
        field("item", LINE, Need::Optional, "What it was, if not what was pledged."),
        field("parcels", PARCELS, Need::Optional, "Marks of the parcels counted; each counts once (C14)."),
        field("place", FieldType::Place, Need::Optional, "Where."),
        field("at", FieldType::Moment, Need::Optional, "When."),
        field(
            "final",
            FieldType::Flag,
            Need::Optional,
            "Nothing more of this line will come; what is missing is lost.",
        ),
    ],
};

const OBSERVATION: KindSpec = KindSpec {
    kind: Kind::Observation,
    writer: Role::Observer,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Something said about somebody else, or taken over from a published source; shown, never counted.",
    fields: &[
        field("about", ANY_RECORD, Need::Optional, "The record it is about."),
        field("source", LINE, Need::Optional, "Where it comes from."),
        field("licence", NAME, Need::Optional, "Under which licence."),
        field("row", FieldType::Integer(0, 1_000_000_000), Need::Optional, "The row of the source."),
        field("reason", LINE, Need::Optional, "Why it is an observation and nothing firmer."),
        field("item", LINE, Need::Optional, "What was given or needed."),
        field("class", FieldType::Choice(CLASSES), Need::Optional, "The class of supply."),
        field("quantity", FieldType::Quantity, Need::Optional, "How much; needs `unit`."),
        field("unit", FieldType::Unit, Need::Optional, "The unit as typed."),
        field("amount", FieldType::Money, Need::Optional, "How much money."),
        field("currency", FieldType::Currency, Need::Optional, "In which currency."),
        field("donor", NAME, Need::Optional, "Who gave, as the source says."),
        field("recipient", NAME, Need::Optional, "Who received, as the source says."),
        field("place", FieldType::Text(512), Need::Optional, "Where, as the source says."),
        field(
            "part_of",
            FieldType::Text(128),
            Need::Optional,
            "The larger entry of the source this is a part of; the parts are counted, not the whole.",
        ),
        field("date", FieldType::Day, Need::Optional, "When, as the source says."),
        field("text", PARAGRAPH, Need::Optional, "In words."),
    ],
};
