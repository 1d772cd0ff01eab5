//! What each nation says for itself: catalogue, units, values, rates, topics, and the pause of its own contribution.

use super::{
    CLASSES, CURRENCY, FieldType, KindSpec, LINE, LIVE_OR_WITHDRAWN, NAME, NAMES, Need, Pin, Role, TEXTS_MAX, field,
};
use crate::statement::Kind;

pub(super) const ITEM_TYPE: KindSpec = KindSpec {
    kind: Kind::ItemType,
    writer: Role::Itself,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "What a nation calls an item in its own catalogue, and the numbers others know it by.",
    fields: &[
        field("name", LINE, Need::Required, "What it is."),
        field("class", FieldType::Choice(CLASSES), Need::Optional, "The class of supply."),
        field("nsn", FieldType::StockNumber, Need::Optional, "Its NATO stock number; never a key."),
        field("unit", FieldType::Unit, Need::Optional, "The unit it is counted in."),
        field("codes", NAMES, Need::Optional, "External codes."),
    ],
};

pub(super) const UNIT_CONVERSION: KindSpec = KindSpec {
    kind: Kind::UnitConversion,
    writer: Role::Itself,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "What a number of one unit comes to in another, for the nation's own statements (C18).",
    fields: &[
        field("item", LINE, Need::Optional, "Of which item; of any when absent."),
        field("from_unit", NAME, Need::Required, "The unit converted; it need not be one of the table."),
        field("from", FieldType::Integer(1, 1_000_000_000), Need::Required, "How many of it."),
        field("quantity", FieldType::Quantity, Need::Required, "What they come to."),
        field("unit", FieldType::Unit, Need::Required, "The unit of `quantity` as typed."),
    ],
};

pub(super) const VALUATION: KindSpec = KindSpec {
    kind: Kind::Valuation,
    writer: Role::Itself,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "What a quantity of an item is worth, as the nation reckons.",
    fields: &[
        field("item", LINE, Need::Required, "Of what."),
        field("quantity", FieldType::Quantity, Need::Required, "How much of it."),
        field("unit", FieldType::Unit, Need::Required, "The unit as typed."),
        field("value", FieldType::Money, Need::Required, "What that is worth."),
        field("currency", FieldType::Currency, Need::Required, "In which currency."),
        field("day", FieldType::Day, Need::Optional, "The day the value is of."),
        field("source", LINE, Need::Optional, "Where it comes from."),
    ],
};

pub(super) const FX_TABLE: KindSpec = KindSpec {
    kind: Kind::FxTable,
    writer: Role::Itself,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "Rates of exchange that the nation uses; money is converted only by a table that is named.",
    fields: &[
        field("base", FieldType::Currency, Need::Required, "The currency converted to."),
        field("day", FieldType::Day, Need::Required, "The day the rates are of."),
        field(
            "rates",
            FieldType::Map(&FieldType::Rate, TEXTS_MAX),
            Need::Required,
            "What one unit of a currency is worth in `base`, by currency code.",
        ),
        field("source", LINE, Need::Optional, "Where they come from."),
    ],
};

pub(super) const TOPIC: KindSpec = KindSpec {
    kind: Kind::Topic,
    writer: Role::Itself,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "A topic that the nation follows, or can source.",
    fields: &[
        field("code", NAME, Need::Required, "The topic's code."),
        field("sources", FieldType::Flag, Need::Optional, "Whether it can source it."),
        field("follows", FieldType::Flag, Need::Optional, "Whether it subscribes to it."),
        field("text", LINE, Need::Optional, "In words."),
    ],
};

const SCOPES: &[&str] = &["pledges", "hubs", "permits"];
const PAUSED: FieldType =
    FieldType::Reference(&[Kind::Pledge, Kind::StandbyPledge, Kind::Hub, Kind::TransitPermit], Pin::Floating);

pub(super) const SUSPEND_NOTICE: KindSpec = KindSpec {
    kind: Kind::SuspendNotice,
    writer: Role::Itself,
    statuses: LIVE_OR_WITHDRAWN,
    doc: "The nation pauses what it contributes from a day on: all of it, or what is named (C27).",
    fields: &[
        field("from", FieldType::Day, Need::Required, "First day of the pause."),
        field("until", FieldType::Day, Need::Optional, "Last day of the pause; until it is withdrawn when absent."),
        field(
            "scope",
            FieldType::List(&FieldType::Choice(SCOPES), 3),
            Need::Optional,
            "What is paused; everything when absent.",
        ),
        field(
            "records",
            FieldType::List(&PAUSED, TEXTS_MAX),
            Need::Optional,
            "Which of its own records are paused; all in the scope when absent.",
        ),
        field("reason", LINE, Need::Optional, "Why."),
    ],
};

/// The currency of a value that must have one.
pub(super) const CURRENCY_REQUIRED: super::FieldSpec = super::FieldSpec { need: Need::Required, ..CURRENCY };
