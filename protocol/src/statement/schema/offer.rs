//! What stands behind a pledge: advice, stock, standby, money, consent, and what may stand in for it.

use super::{
    AVAILABLE_FROM, CLASSES, CONDITIONS, CURRENCY, DELIVER_BY, EXPIRES, FROM_HUB, FieldSpec, FieldType, KindSpec, LINE,
    LIVE_OR_WITHDRAWN, LOT, NAME, NAMES, Need, OFFERED, OFFERED_ITEM, OFFERED_UNIT, ORIGIN_NATION, PACKAGE, PARAGRAPH,
    Pin, REQUIREMENT_OR_PACKAGE, Role, TEXTS_MAX, UNIT_VALUE, field,
};
use crate::statement::Kind;

const PLEDGE: FieldType = FieldType::Reference(&Kind::PLEDGES, Pin::Floating);

pub(super) const ENDORSE: KindSpec = KindSpec {
    kind: Kind::Endorse,
    writer: Role::Observer,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "A nation finds a requirement sound; advice, never counted.",
    fields: &[
        field(
            "requirement",
            FieldType::Reference(&[Kind::Requirement], Pin::Pinned),
            Need::Required,
            "The version of the requirement.",
        ),
        field("text", PARAGRAPH, Need::Optional, "In words."),
    ],
};

pub(super) const STOCK_LOT: KindSpec = KindSpec {
    kind: Kind::StockLot,
    writer: Role::Donor,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "A quantity that a donor is ready to give; pledges draw on it (C1).",
    fields: &[
        field("item", LINE, Need::Required, "What it is."),
        field("class", FieldType::Choice(CLASSES), Need::Optional, "The class of supply."),
        field("nsn", FieldType::StockNumber, Need::Optional, "Its NATO stock number; never a key."),
        field("quantity", FieldType::Quantity, Need::Required, "How much there is to give, what was given included."),
        field("unit", FieldType::Unit, Need::Required, "The unit as typed."),
        field("place", FieldType::Place, Need::Optional, "Where it lies."),
        field("available_from", FieldType::Day, Need::Optional, "First day on which it can leave."),
        field("expires", FieldType::Day, Need::Optional, "Last day on which it can be given."),
        ORIGIN_NATION,
    ],
};

pub(super) const STANDBY_PLEDGE: KindSpec = KindSpec {
    kind: Kind::StandbyPledge,
    writer: Role::Donor,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "An offer that takes effect when the pledge it names is withdrawn, or the nation it names pauses (C30); until then contingent cover only.",
    fields: &[
        field(
            "on_pledge",
            FieldType::Reference(&[Kind::Pledge], Pin::Floating),
            Need::Optional,
            "The pledge whose withdrawal it waits for; this or `on_nation` must be there.",
        ),
        field("on_nation", FieldType::Nation, Need::Optional, "The nation whose pause of its pledges it waits for."),
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

const TRANCHE: &[FieldSpec] = &[
    field("day", FieldType::Day, Need::Required, "When."),
    field("amount", FieldType::Money, Need::Required, "How much."),
];

pub(super) const FUND: KindSpec = KindSpec {
    kind: Kind::Fund,
    writer: Role::Funder,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Money for a pledge; it never adds quantity (C2).",
    fields: &[
        field("pledge", PLEDGE, Need::Required, "The pledge it pays for."),
        field("amount", FieldType::Money, Need::Required, "How much."),
        super::own::CURRENCY_REQUIRED,
        field(
            "tranches",
            FieldType::List(&FieldType::Group(TRANCHE), TEXTS_MAX),
            Need::Optional,
            "When which part of it is paid; together no more than `amount`.",
        ),
    ],
};

pub(super) const ACCEPT_SUBSTITUTE: KindSpec = KindSpec {
    kind: Kind::AcceptSubstitute,
    writer: Role::Recipient,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The recipient lets another item stand for what a pledge names, at a ratio (C17).",
    fields: &[
        field(
            "pledge",
            FieldType::Reference(&Kind::PLEDGES, Pin::Pinned),
            Need::Required,
            "The version of the pledge.",
        ),
        field("item", LINE, Need::Required, "What may stand for it."),
        field(
            "per",
            FieldType::Integer(1, 1_000_000),
            Need::Required,
            "So many base units of the other item count as `counts` of what was pledged.",
        ),
        field(
            "counts",
            FieldType::Integer(1, 1_000_000),
            Need::Required,
            "See `per`; what is left over is not counted.",
        ),
    ],
};

pub(super) const CONSENT_REQUEST: KindSpec = KindSpec {
    kind: Kind::ConsentRequest,
    writer: Role::Donor,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The donor asks the nation of origin to agree to the transfer of what a pledge offers.",
    fields: &[
        field("pledge", PLEDGE, Need::Required, "The pledge; one of the donor's own."),
        field("origin", FieldType::Nation, Need::Required, "The nation asked."),
        field("end_user", NAME, Need::Optional, "Who is to use it."),
        field("purpose", LINE, Need::Optional, "What for."),
    ],
};

pub(super) const CONSENT: KindSpec = KindSpec {
    kind: Kind::Consent,
    writer: Role::Origin,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The nation of origin agrees to a transfer, up to a quantity and for a time.",
    fields: &[
        field(
            "request",
            FieldType::Reference(&[Kind::ConsentRequest], Pin::Pinned),
            Need::Optional,
            "The version of the request; left out in a consent in advance.",
        ),
        field(
            "advance",
            FieldType::Flag,
            Need::Optional,
            "Whether it was given before anybody asked: to all pledges of `donor` that offer `item`.",
        ),
        field("donor", FieldType::Nation, Need::Optional, "Who may transfer, in a consent in advance."),
        field("item", LINE, Need::Optional, "What may be transferred, in a consent in advance."),
        field(
            "quantity",
            FieldType::Quantity,
            Need::Optional,
            "How much of it, what left before included; all when absent.",
        ),
        field("unit", FieldType::Unit, Need::Optional, "The unit as typed."),
        field("end_user", NAME, Need::Optional, "Who may use it."),
        field("purpose", LINE, Need::Optional, "What for."),
        field("valid_from", FieldType::Day, Need::Optional, "First day."),
        field("valid_to", FieldType::Day, Need::Optional, "Last day."),
        field("conditions", NAMES, Need::Optional, "What is to be kept to; none of it is checked."),
    ],
};
