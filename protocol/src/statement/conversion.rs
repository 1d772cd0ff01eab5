//! Quantities of one unit in another, where a nation has said what they come to (C18).

use std::collections::BTreeMap;

use super::current::current;
use super::ledger::Ledger;
use super::typed::{Says, UnitConversion};
use super::units::{Dimension, Unit};
use super::{Kind, Status};
use crate::ids::NationId;
use crate::limits::QUANTITY_MAX;

/// The conversions that stand, by the nation that states them.
#[derive(Clone, Debug, Default)]
pub struct Conversions<'a>(BTreeMap<NationId, Vec<UnitConversion<'a>>>);

/// How many base units of one dimension another's come to: `num` for every `den`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    num: u64,
    den: u64,
}

impl<'a> Conversions<'a> {
    /// Reads the conversions of a ledger.
    pub fn of(ledger: &Ledger<'a>) -> Self {
        let mut all: BTreeMap<NationId, Vec<UnitConversion<'a>>> = BTreeMap::new();
        for (nation, table) in ledger.tables() {
            for (_, record) in table.records_of(Kind::UnitConversion.name()) {
                let Some(statement) = current(Kind::UnitConversion, record).and_then(|now| now.statement.ok()) else {
                    continue;
                };
                if let (Status::Live, Says::UnitConversion(says)) = (statement.status, statement.says) {
                    all.entry(nation.id).or_default().push(says);
                }
            }
        }
        Self(all)
    }

    /// Returns what quantities in `unit` come to in `to`: as the first of `nations` says that says anything about it, of this
    /// item before any item, and where it says two things the smaller.
    pub fn ratio(&self, nations: &[NationId], item: &str, unit: &str, to: Dimension) -> Option<Ratio> {
        nations.iter().filter_map(|nation| self.0.get(nation)).find_map(|own| {
            let smallest = |takes: &dyn Fn(&UnitConversion<'_>) -> bool| {
                let found = own.iter().filter(|says| takes(says)).filter_map(|says| ratio(says, unit, to));
                found.min_by(|a, b| a.times(b.den).cmp(&b.times(a.den)))
            };
            let same = |says: &UnitConversion<'_>| says.item.is_some_and(|of| same_item(of, item));
            smallest(&same).or_else(|| smallest(&|says| says.item.is_none()))
        })
    }
}

/// Whether two texts name one item: capitals and blanks around it do not matter.
pub fn same_item(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

fn ratio(says: &UnitConversion<'_>, unit: &str, to: Dimension) -> Option<Ratio> {
    let known = Unit::find(unit);
    let from_known = Unit::find(says.from_unit);
    let of = says.quantity.known_unit()?.dimension;
    let from = says.from.checked_mul(from_known.map_or(1, |unit| unit.factor))?;
    let dimension = |unit: Option<Unit>| unit.map(|unit| unit.dimension);
    let same_unit = says.from_unit == unit || (known.is_some() && dimension(known) == dimension(from_known));
    if same_unit && of == to {
        return Some(Ratio { num: says.quantity.base, den: from });
    }
    let backwards = dimension(known) == Some(of) && dimension(from_known) == Some(to);
    backwards.then_some(Ratio { num: from, den: says.quantity.base })
}

impl Ratio {
    /// The ratio that changes nothing.
    pub const ONE: Self = Self { num: 1, den: 1 };

    fn times(self, by: u64) -> u128 {
        u128::from(self.num) * u128::from(by)
    }

    /// Returns what `base` comes to, rounded down; `None` beyond what a quantity may be.
    pub fn down(self, base: u64) -> Option<u64> {
        within(self.times(base) / u128::from(self.den.max(1)))
    }

    /// Returns what `base` comes to, rounded up; `None` beyond what a quantity may be.
    pub fn up(self, base: u64) -> Option<u64> {
        within(self.times(base).div_ceil(u128::from(self.den.max(1))))
    }
}

fn within(base: u128) -> Option<u64> {
    u64::try_from(base).ok().filter(|base| *base <= QUANTITY_MAX)
}
