//! Who holds goods on the way, what becomes of them afterwards, and how a discrepancy is closed.

use super::{
    FieldSpec, FieldType, KindSpec, LEG_NUMBER, LINE, LINE_NUMBER, LIVE_OR_WITHDRAWN, NAME, Need, PARCELS, PARCELS_MAX,
    Pin, Role, SHIPMENT_REF, field,
};
use crate::statement::Kind;

const SHIPMENT: FieldSpec = field("shipment", SHIPMENT_REF, Need::Required, "The shipment.");
const LEG: FieldSpec = field("leg", LEG_NUMBER, Need::Required, "The leg, numbered from 0.");
const HUB: FieldSpec = field(
    "hub",
    FieldType::Reference(&[Kind::Hub], Pin::Floating),
    Need::Optional,
    "The hub at the leg's end, where goods are taken into it; absent where a carrier takes them at the leg's beginning.",
);
const MARKS: FieldSpec =
    field("parcels", PARCELS, Need::Optional, "Marks of the parcels; all of the shipment when absent.");
const AT: FieldSpec = field("at", FieldType::Moment, Need::Optional, "When.");
const NOTE: FieldSpec = field("note", LINE, Need::Optional, "Their condition, in words.");

pub(super) const HAND_OVER: KindSpec = KindSpec {
    kind: Kind::HandOver,
    writer: Role::Giving,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Custody of goods was released; it stays with the nation that gives until the other takes over (C28).",
    fields: &[
        SHIPMENT,
        LEG,
        HUB,
        field("to", FieldType::Nation, Need::Optional, "Who is to take it."),
        MARKS,
        AT,
        NOTE,
    ],
};

pub(super) const TAKE_OVER: KindSpec = KindSpec {
    kind: Kind::TakeOver,
    writer: Role::Taking,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Custody of goods was taken.",
    fields: &[
        SHIPMENT,
        LEG,
        HUB,
        field("from", FieldType::Nation, Need::Optional, "Who released it."),
        MARKS,
        AT,
        NOTE,
    ],
};

const LINE_OF: FieldSpec = field("line", LINE_NUMBER, Need::Required, "The line of the shipment.");
const LINE_UNIT: FieldSpec =
    field("unit", FieldType::Unit, Need::Filled, "The unit as typed; the line's when left out at entry.");

pub(super) const RETURN: KindSpec = KindSpec {
    kind: Kind::Return,
    writer: Role::Recipient,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The recipient sends goods of a line back: what was not good first, the rest is no longer delivered.",
    fields: &[
        SHIPMENT,
        LINE_OF,
        field("quantity", FieldType::Quantity, Need::Required, "How much goes back."),
        LINE_UNIT,
        field("parcels", PARCELS, Need::Optional, "Marks of the parcels."),
        AT,
        field("reason", LINE, Need::Optional, "Why."),
    ],
};

pub(super) const INVENTORY: KindSpec = KindSpec {
    kind: Kind::Inventory,
    writer: Role::Recipient,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The recipient counted what it has in use; what it says of itself, and no verification.",
    fields: &[
        field("shipment", SHIPMENT_REF, Need::Optional, "The shipment it came by."),
        field("line", LINE_NUMBER, Need::Optional, "The line of the shipment."),
        field("item", LINE, Need::Required, "What was counted."),
        field("counted", FieldType::Part, Need::Required, "How much there is."),
        field("unit", FieldType::Unit, Need::Required, "The unit as typed."),
        field("serials", FieldType::List(&NAME, PARCELS_MAX), Need::Optional, "Serial numbers seen."),
        field("place", FieldType::Place, Need::Optional, "Where."),
        AT,
        field("method", LINE, Need::Optional, "How it was counted."),
    ],
};

pub(super) const SETTLE: KindSpec = KindSpec {
    kind: Kind::Settle,
    writer: Role::Party,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "One party's half of closing a discrepancy: two with the same figures settle it (C15); no quantity changes by it.",
    fields: &[
        field(
            "shipment",
            FieldType::Reference(&[Kind::Shipment], Pin::Pinned),
            Need::Required,
            "The version of the shipment.",
        ),
        LINE_OF,
        field("dispatched", FieldType::Part, Need::Required, "How much left, as both are to hold."),
        field("received", FieldType::Part, Need::Required, "How much arrived, as both are to hold."),
        LINE_UNIT,
        field("reason", LINE, Need::Optional, "What is thought to have happened."),
    ],
};
