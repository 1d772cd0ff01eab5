//! The way through: shares and slots of a hub's capacity, and leave to cross.

use super::{
    FieldSpec, FieldType, KindSpec, LEG_NUMBER, LINE, LIVE_OR_WITHDRAWN, NAME, NAMES, Need, Pin, Role, SHIPMENT_REF,
    TONNES_A_DAY, field,
};
use crate::statement::Kind;

/// Days that a share or a slot lasts at most.
pub const PERIOD_DAYS_MAX: u32 = 366;

const HUB: FieldSpec = field("hub", FieldType::Reference(&[Kind::Hub], Pin::Floating), Need::Required, "The hub.");
const MODE: FieldSpec = field("mode", NAME, Need::Required, "The means of transport, as the hub names it.");
const PRIORITY: FieldSpec =
    field("priority", FieldType::Integer(1, 4), Need::Optional, "1 is most urgent; 3 when absent.");
const REQUEST: FieldType = FieldType::Reference(&[Kind::SlotRequest], Pin::Pinned);

pub(super) const ALLOTMENT: KindSpec = KindSpec {
    kind: Kind::Allotment,
    writer: Role::Host,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "A share of a hub's capacity that a nation may use without asking (C9b); its holder hands on a part by an allotment of its own.",
    fields: &[
        HUB,
        field(
            "part_of",
            FieldType::Reference(&[Kind::Allotment], Pin::Floating),
            Need::Optional,
            "The share it is taken from, written by that share's holder; left out by the host.",
        ),
        field("nation", FieldType::Nation, Need::Required, "Who may use it."),
        MODE,
        field("tonnes", TONNES_A_DAY, Need::Required, "Tonnes a day."),
        field("from", FieldType::Day, Need::Required, "First day."),
        field("to", FieldType::Day, Need::Required, "Last day, at most 366 days on."),
    ],
};

pub(super) const SLOT_REQUEST: KindSpec = KindSpec {
    kind: Kind::SlotRequest,
    writer: Role::Shipper,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "A nation asks for capacity of a hub; a withdrawn request releases it.",
    fields: &[
        HUB,
        MODE,
        field("tonnes", FieldType::Integer(1, 1_000_000_000), Need::Required, "Tonnes a day."),
        field("from", FieldType::Day, Need::Required, "First day."),
        field("to", FieldType::Day, Need::Optional, "Last day, at most 366 days on; the first when absent."),
        PRIORITY,
        field("shipment", SHIPMENT_REF, Need::Optional, "The shipment it is for."),
        field("leg", LEG_NUMBER, Need::Optional, "The leg of the shipment."),
    ],
};

pub(super) const SLOT_GRANT: KindSpec = KindSpec {
    kind: Kind::SlotGrant,
    writer: Role::Host,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The host gives what a slot request asks for; beyond the hub's capacity grants are bumped (C9).",
    fields: &[
        field("request", REQUEST, Need::Required, "The version of the request."),
        field(
            "tonnes",
            FieldType::Integer(1, 1_000_000_000),
            Need::Filled,
            "Tonnes a day; what was asked for when left out at entry.",
        ),
    ],
};

pub(super) const SLOT_REFUSE: KindSpec = KindSpec {
    kind: Kind::SlotRefuse,
    writer: Role::Host,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The host does not give what a slot request asks for.",
    fields: &[
        field("request", REQUEST, Need::Required, "The version of the request."),
        field("reason", LINE, Need::Optional, "Why not."),
    ],
};

pub(super) const SLOT_USE: KindSpec = KindSpec {
    kind: Kind::SlotUse,
    writer: Role::Shipper,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "What went through a hub on a day, by a granted slot or an allotment.",
    fields: &[
        field(
            "request",
            FieldType::Reference(&[Kind::SlotRequest], Pin::Floating),
            Need::Optional,
            "The slot; this or `allotment` must be there.",
        ),
        field(
            "allotment",
            FieldType::Reference(&[Kind::Allotment], Pin::Floating),
            Need::Optional,
            "The allotment it went by.",
        ),
        field("day", FieldType::Day, Need::Required, "The day."),
        field("tonnes", FieldType::Integer(1, 1_000_000_000), Need::Required, "Tonnes."),
        field("shipment", SHIPMENT_REF, Need::Optional, "The shipment."),
        field("leg", LEG_NUMBER, Need::Optional, "The leg of the shipment."),
    ],
};

pub(super) const TRANSIT_PERMIT: KindSpec = KindSpec {
    kind: Kind::TransitPermit,
    writer: Role::Transit,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Leave to cross a nation's ground from one place to another for a time.",
    fields: &[
        field("from", FieldType::Place, Need::Required, "Where the route begins."),
        field("to", FieldType::Place, Need::Required, "Where it ends."),
        field("mode", NAME, Need::Optional, "The means of transport; any when absent."),
        field("nation", FieldType::Nation, Need::Optional, "Whose goods may cross; everybody's when absent."),
        field("valid_from", FieldType::Day, Need::Required, "First day."),
        field("valid_to", FieldType::Day, Need::Required, "Last day."),
        field("conditions", NAMES, Need::Optional, "What is to be kept to; none of it is checked."),
    ],
};
