//! Money: what goods are worth and what was given to pay for them, never added together (DOMAIN 2.5).

use std::collections::BTreeMap;

use super::View;
use super::rows::Standing;
use super::statements::FxRow;
use crate::statement::check::RATE_ONE;
use crate::statement::conversion::same_item;

/// Why an amount is not converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The table has no rate for it.
    #[error("the table has no rate for this currency")]
    Rate,
    /// It is too large.
    #[error("the amount is too large to convert")]
    TooLarge,
}

/// Returns the decimals of a currency's minor unit (ISO 4217); most have two.
pub fn decimals(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// Converts an amount in minor units to the minor units of a table's base, rounded down.
///
/// # Errors
/// [`MoneyError`]; nothing is guessed.
pub fn convert(amount: u64, currency: &str, table: &FxRow) -> Result<u64, MoneyError> {
    if currency == table.base {
        return Ok(amount);
    }
    let rate = *table.rates.get(currency).ok_or(MoneyError::Rate)?;
    let (own, other) = (decimals(currency), decimals(&table.base));
    let up = 10_u128.pow(other.saturating_sub(own));
    let down = 10_u128.pow(own.saturating_sub(other)) * u128::from(RATE_ONE);
    let scaled = u128::from(amount).checked_mul(u128::from(rate)).and_then(|scaled| scaled.checked_mul(up));
    let base = scaled.ok_or(MoneyError::TooLarge)? / down;
    u64::try_from(base).map_err(|_| MoneyError::TooLarge)
}

/// Sums of money in minor units, by currency.
pub type Purse = BTreeMap<String, u64>;

/// A purse and what it comes to by a table; what cannot be converted is left out of the sum and named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// As stated.
    pub stated: Purse,
    /// In the minor units of the table's base; `None` without a table, or where the sum is too large.
    pub converted: Option<u64>,
    /// Currencies that are not part of `converted`.
    pub left_out: Vec<String>,
}

/// Money on both sides. A fund pays for goods that are counted on the other side: the two are never added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Money {
    /// What the goods pledged are worth, by their donors or, where these do not say, by a valuation of the viewer.
    pub goods: Total,
    /// Live funds.
    pub funds: Total,
    /// Pledges that count and whose worth nobody says.
    pub unvalued: usize,
}

/// Adds up the money of a view by a table of rates that the viewer names, with the valuations of the nation that made it.
pub fn money(view: &View, table: Option<&FxRow>) -> Money {
    let (mut goods, mut funds, mut unvalued) = (BTreeMap::new(), BTreeMap::new(), 0);
    for pledge in view.pledges.iter().filter(|pledge| pledge.head.standing == Standing::Counted) {
        let stated = pledge.funding.as_ref().and_then(|funding| funding.value.clone());
        let viewer = table.map(|table| table.head.name.nation);
        let valued = || {
            let fits = |row: &&super::statements::ValuationRow| {
                Some(row.head.name.nation) == viewer
                    && row.head.status == crate::statement::Status::Live
                    && row.unit == pledge.unit
                    && same_item(&row.item, &pledge.item)
            };
            // The last of them in R8 order is the latest.
            let row = view.valuations.iter().rfind(fits)?;
            let value = u128::from(row.value) * u128::from(pledge.quantity) / u128::from(row.quantity.max(1));
            Some((super::movement::clamp(value), row.currency.clone()))
        };
        match stated.or_else(valued) {
            Some((value, currency)) => *goods.entry(currency).or_insert(0_u128) += u128::from(value),
            None => unvalued += 1,
        }
    }
    let live = |row: &&super::supply::FundRow| row.head.status == crate::statement::Status::Live;
    for fund in view.funds.iter().filter(live).filter(|row| row.head.standing == Standing::Counted) {
        *funds.entry(fund.currency.clone()).or_insert(0_u128) += u128::from(fund.amount);
    }
    Money { goods: total(goods, table), funds: total(funds, table), unvalued }
}

fn total(purse: BTreeMap<String, u128>, table: Option<&FxRow>) -> Total {
    let stated: Purse = purse.into_iter().map(|(code, sum)| (code, super::movement::clamp(sum))).collect();
    let Some(table) = table else { return Total { stated, ..Total::default() } };
    let (mut sum, mut left_out) = (Some(0_u64), Vec::new());
    for (code, amount) in &stated {
        match convert(*amount, code, table) {
            Ok(converted) => sum = sum.and_then(|sum| sum.checked_add(converted)),
            Err(MoneyError::Rate | MoneyError::TooLarge) => left_out.push(code.clone()),
        }
    }
    Total { stated, converted: sum, left_out }
}
