//! What each nation says for itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checked, Quantity};
use crate::statement::reference::Ref;
use crate::time::Day;
use crate::value::Value;

/// See [`Kind::ItemType`](crate::statement::Kind::ItemType).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct ItemType<'a> {
    pub name: &'a str,
    pub class: Option<&'a str>,
    pub nsn: Option<&'a str>,
    pub unit: Option<&'a str>,
    pub codes: Vec<&'a str>,
}

/// See [`Kind::UnitConversion`](crate::statement::Kind::UnitConversion).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct UnitConversion<'a> {
    pub item: Option<&'a str>,
    pub from_unit: &'a str,
    pub from: u64,
    pub quantity: Quantity<'a>,
}

/// See [`Kind::Valuation`](crate::statement::Kind::Valuation).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Valuation<'a> {
    pub item: &'a str,
    pub quantity: Quantity<'a>,
    pub value: u64,
    pub currency: &'a str,
    pub day: Option<Day>,
    pub source: Option<&'a str>,
}

/// See [`Kind::FxTable`](crate::statement::Kind::FxTable).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct FxTable<'a> {
    pub base: &'a str,
    pub day: Day,
    /// Billionths of one unit of `base`, by currency.
    pub rates: BTreeMap<&'a str, u64>,
    pub source: Option<&'a str>,
}

/// See [`Kind::Topic`](crate::statement::Kind::Topic).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Topic<'a> {
    pub code: &'a str,
    pub sources: bool,
    pub follows: bool,
    pub text: Option<&'a str>,
}

/// See [`Kind::SuspendNotice`](crate::statement::Kind::SuspendNotice).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct SuspendNotice<'a> {
    pub from: Day,
    pub until: Option<Day>,
    /// `None`: everything.
    pub scope: Option<BTreeSet<&'a str>>,
    /// `None`: every record in the scope.
    pub records: Option<Vec<Ref>>,
    pub reason: Option<&'a str>,
}

impl<'a> Checked<'a> {
    pub(super) fn item_type(self) -> Option<ItemType<'a>> {
        Some(ItemType {
            name: self.text("name")?,
            class: self.text("class"),
            nsn: self.text("nsn"),
            unit: self.text("unit"),
            codes: self.texts("codes"),
        })
    }

    pub(super) fn unit_conversion(self) -> Option<UnitConversion<'a>> {
        Some(UnitConversion {
            item: self.text("item"),
            from_unit: self.text("from_unit")?,
            from: self.uint("from")?,
            quantity: self.quantity("quantity")?,
        })
    }

    pub(super) fn valuation(self) -> Option<Valuation<'a>> {
        Some(Valuation {
            item: self.text("item")?,
            quantity: self.quantity("quantity")?,
            value: self.uint("value")?,
            currency: self.text("currency")?,
            day: self.day("day"),
            source: self.text("source"),
        })
    }

    pub(super) fn fx_table(self) -> Option<FxTable<'a>> {
        Some(FxTable {
            base: self.text("base")?,
            day: self.day("day")?,
            rates: self.map("rates").map(Self::uints)?,
            source: self.text("source"),
        })
    }

    pub(super) fn topic(self) -> Option<Topic<'a>> {
        Some(Topic {
            code: self.text("code")?,
            sources: self.flag("sources"),
            follows: self.flag("follows"),
            text: self.text("text"),
        })
    }

    pub(super) fn suspend_notice(self) -> Option<SuspendNotice<'a>> {
        let listed = |name| matches!(self.0.get(name), Some(Value::Map(map)) if !map.is_empty());
        Some(SuspendNotice {
            from: self.day("from")?,
            until: self.day("until"),
            scope: listed("scope").then(|| self.texts("scope").into_iter().collect()),
            records: listed("records").then(|| self.references("records")),
            reason: self.text("reason"),
        })
    }
}

impl SuspendNotice<'_> {
    /// Whether it is in force on a day.
    pub fn holds_on(&self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }

    /// Whether it pauses a record of its nation: one in the scope of that name, with that kind and id.
    pub fn pauses(&self, scope: &str, kind: &str, id: &str) -> bool {
        self.scope.as_ref().is_none_or(|scopes| scopes.contains(scope))
            && self.records.as_ref().is_none_or(|records| records.iter().any(|it| it.kind == kind && it.id == id))
    }
}
