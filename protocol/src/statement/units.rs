//! Units and quantities (DOMAIN 1): whole numbers of a base unit, conversions exact or refused.

use crate::limits::QUANTITY_MAX;

/// What a unit measures; quantities of different dimensions are never added (C18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// In grams.
    Mass,
    /// In millilitres.
    Volume,
    /// In pieces.
    Count,
    /// In millimetres.
    Length,
    /// In days of one person's work.
    PersonDay,
}

impl Dimension {
    /// The symbol of the unit in which quantities of this dimension are stored.
    pub const fn base(self) -> &'static str {
        match self {
            Self::Mass => "g",
            Self::Volume => "ml",
            Self::Count => "each",
            Self::Length => "mm",
            Self::PersonDay => "person_day",
        }
    }
}

/// A unit an operator may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// What it is called.
    pub symbol: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    /// Base units in one of it.
    pub factor: u64,
}

const fn unit(symbol: &'static str, dimension: Dimension, factor: u64) -> Unit {
    Unit { symbol, dimension, factor }
}

/// Every unit, base units first in each dimension.
pub const UNITS: [Unit; 12] = [
    unit("g", Dimension::Mass, 1),
    unit("kg", Dimension::Mass, 1_000),
    unit("t", Dimension::Mass, 1_000_000),
    unit("ml", Dimension::Volume, 1),
    unit("l", Dimension::Volume, 1_000),
    unit("m3", Dimension::Volume, 1_000_000),
    unit("each", Dimension::Count, 1),
    unit("pair", Dimension::Count, 2),
    unit("dozen", Dimension::Count, 12),
    unit("mm", Dimension::Length, 1),
    unit("m", Dimension::Length, 1_000),
    unit("km", Dimension::Length, 1_000_000),
];

/// The one unit of its dimension that has no others beside it.
pub const PERSON_DAY: Unit = unit("person_day", Dimension::PersonDay, 1);

/// Returns every unit's symbol.
pub fn symbols() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|unit| unit.symbol).chain([PERSON_DAY.symbol])
}

impl Unit {
    /// Returns the unit of that symbol; `None` for an unknown one.
    pub fn find(symbol: &str) -> Option<Self> {
        UNITS.iter().chain([&PERSON_DAY]).find(|unit| unit.symbol == symbol).copied()
    }

    /// Converts an amount of this unit, written as a decimal number, to base units.
    ///
    /// # Errors
    /// [`QuantityError`] if the text is no decimal number, or the result is not a whole number of 1 to
    /// [`QUANTITY_MAX`] base units.
    pub fn to_base(self, amount: &str) -> Result<u64, QuantityError> {
        let refuse = |problem| QuantityError { amount: amount.to_owned(), unit: self, problem };
        let unsigned = amount.strip_prefix('-');
        let (whole, fraction) = unsigned.unwrap_or(amount).split_once('.').unwrap_or((unsigned.unwrap_or(amount), ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let dot_without_digits = amount.ends_with('.');
        if whole.is_empty() || dot_without_digits || !all_digits(whole) || !all_digits(fraction) {
            return Err(refuse(QuantityProblem::NotANumber));
        }
        if unsigned.is_some() {
            return Err(refuse(QuantityProblem::Negative));
        }
        let fraction = fraction.trim_end_matches('0');
        let whole = whole.trim_start_matches('0');
        if whole.len() > 16 {
            return Err(refuse(QuantityProblem::TooLarge));
        }
        if fraction.len() > 12 {
            return Err(refuse(QuantityProblem::NotWhole));
        }
        // At most 28 digits and a factor of at most 7: far below 128 bits.
        let scale = 10_u128.pow(u32::try_from(fraction.len()).expect("at most 12"));
        let number = |text: &str| text.bytes().fold(0_u128, |value, byte| value * 10 + u128::from(byte - b'0'));
        let scaled = (number(whole) * scale + number(fraction)) * u128::from(self.factor);
        if scaled % scale != 0 {
            return Err(refuse(QuantityProblem::NotWhole));
        }
        match u64::try_from(scaled / scale) {
            Ok(0) => Err(refuse(QuantityProblem::Zero)),
            Ok(base) if base <= QUANTITY_MAX => Ok(base),
            _ => Err(refuse(QuantityProblem::TooLarge)),
        }
    }

    /// Returns `base` base units as a decimal number of this unit; `None` if no finite decimal is exact.
    pub fn from_base(self, base: u64) -> Option<String> {
        let (whole, rest) = (base / self.factor, base % self.factor);
        if rest == 0 {
            return Some(whole.to_string());
        }
        const DIGITS: u32 = 6;
        let scaled = u128::from(rest) * 10_u128.pow(DIGITS);
        if !scaled.is_multiple_of(u128::from(self.factor)) {
            return None;
        }
        let fraction = format!("{:06}", scaled / u128::from(self.factor));
        Some(format!("{whole}.{}", fraction.trim_end_matches('0')))
    }
}

/// Returns `base` base units for people: in `unit` where that is known and exact, else in the dimension's base unit.
pub fn shown(base: u64, unit: &str) -> String {
    let Some(known) = Unit::find(unit) else { return format!("{base} {}", super::visible(unit)) };
    match known.from_base(base) {
        Some(amount) => format!("{amount} {}", known.symbol),
        None => format!("{base} {}", known.dimension.base()),
    }
}

/// An amount that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{amount} {} {problem}", unit.symbol)]
pub struct QuantityError {
    /// What was written.
    pub amount: String,
    /// In which unit.
    pub unit: Unit,
    /// What is wrong with it.
    pub problem: QuantityProblem,
}

/// What is wrong with an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityProblem {
    /// Neither digits nor digits, a point and digits.
    #[error("is not a decimal number")]
    NotANumber,
    /// Below zero.
    #[error("is negative")]
    Negative,
    /// Zero.
    #[error("is zero")]
    Zero,
    /// Not a whole number of base units.
    #[error("is not a whole number of the base unit")]
    NotWhole,
    /// Over [`QUANTITY_MAX`] base units.
    #[error("is more than 10^15 of the base unit")]
    TooLarge,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn base(amount: &str, symbol: &str) -> Result<u64, QuantityProblem> {
        Unit::find(symbol).expect("known").to_base(amount).map_err(|error| error.problem)
    }

    #[test]
    fn conversions_are_exact_or_refused() {
        assert_eq!(base("2.5", "t"), Ok(2_500_000));
        assert_eq!(base("0.0005", "kg"), Err(QuantityProblem::NotWhole));
        assert_eq!(base("0.500", "kg"), Ok(500));
        assert_eq!(base("3", "dozen"), Ok(36));
        assert_eq!(base("1.5", "pair"), Ok(3));
        assert_eq!(base("0.25", "pair"), Err(QuantityProblem::NotWhole));
        assert_eq!(base("0", "each"), Err(QuantityProblem::Zero));
        assert_eq!(base("-5", "each"), Err(QuantityProblem::Negative));
        assert_eq!(base("1000000000000000", "each"), Ok(QUANTITY_MAX));
        assert_eq!(base("1000000000000001", "each"), Err(QuantityProblem::TooLarge));
        assert_eq!(base("10000000000000000000", "each"), Err(QuantityProblem::TooLarge));
        assert_eq!(base("1000000001", "t"), Err(QuantityProblem::TooLarge));
        for bad in ["", "-", ".5", "5.", "1e3", "1,000", "١", "+1", " 1", "1.2.3"] {
            assert_eq!(base(bad, "each"), Err(QuantityProblem::NotANumber), "{bad}");
        }
        assert_eq!(Unit::find("pallet"), None);
    }

    #[test]
    fn what_has_no_finite_decimal_is_shown_in_the_base_unit() {
        assert_eq!(shown(7, "dozen"), "7 each");
        assert_eq!(shown(18, "dozen"), "1.5 dozen");
        assert_eq!(shown(2_500_000, "t"), "2.5 t");
        assert_eq!(shown(3, "\u{202e}pallet"), "3 \\u{202e}pallet");
    }

    proptest! {
        /// DOMAIN P12.
        #[test]
        fn base_units_round_trip_or_are_refused(base in 1..=QUANTITY_MAX, index in 0..UNITS.len()) {
            if let Some(text) = UNITS[index].from_base(base) {
                prop_assert_eq!(UNITS[index].to_base(&text), Ok(base));
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>(), index in 0..UNITS.len()) {
            let _ = UNITS[index].to_base(&text);
        }
    }
}
