//! One row of the item list.

use comity_protocol::limits::QUANTITY_MAX;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Class, Countries, Draft, Goods, RECIPIENT};

/// Shown as the source of every statement made from the list.
const SOURCE: &str = "Kiel Institute, Ukraine Support Tracker, item list";
/// What the publisher says about reuse.
const LICENCE: &str = "cite; no explicit licence";

/// The columns read, by the names of their head.
const NAMES: [&str; 9] = [
    "ID",
    "countries",
    "Announcement Date",
    "Type of Aid General",
    "Type of Aid Specific",
    "Type of item",
    "No. of Units",
    "Original Currency",
    "Monetary Value as Given by Source",
];

/// Where each of [`NAMES`] stands, and how many fields a row has.
pub(super) struct Columns {
    at: [usize; NAMES.len()],
    width: usize,
}

impl Columns {
    /// Finds all columns, or names the missing ones.
    pub(super) fn find(head: &csv::ByteRecord) -> Result<Self, Vec<String>> {
        let heads: Vec<String> = head
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_owned())
            .collect();
        let mut columns = Self { at: [0; NAMES.len()], width: heads.len() };
        let mut missing = Vec::new();
        for (at, name) in columns.at.iter_mut().zip(NAMES) {
            match heads.iter().position(|head| head == name) {
                Some(index) => *at = index,
                None => missing.push(format!("\"{name}\"")),
            }
        }
        if missing.is_empty() { Ok(columns) } else { Err(missing) }
    }
}

/// Why a row became no statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error, ToSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    /// The row has more or fewer fields than the head.
    #[error("{fields} fields where the head has {expected}")]
    FieldCount {
        /// Fields of the row.
        fields: usize,
        /// Fields of the head.
        expected: usize,
    },
    /// A field is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// No donor is named.
    #[error("no donor")]
    NoDonor,
    /// The donor is in no list of countries.
    #[error("unknown donor")]
    UnknownDonor,
    /// The donor is the recipient.
    #[error("the donor is the recipient")]
    DonorIsRecipient,
    /// More units than a quantity may have.
    #[error("more than {QUANTITY_MAX} units")]
    TooManyUnits,
}

/// Why a row is an observation and no pledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Money, a loan or a guarantee.
    NotInKind,
    /// The source gives no count.
    NoUnitCount,
    /// The source says the count is not disclosed.
    Undisclosed,
    /// The count is zero, negative, a fraction or no number.
    NotAPositiveInteger,
}

impl Reason {
    /// Returns the reason as statements write it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotInKind => "not_in_kind",
            Self::NoUnitCount => "no_unit_count",
            Self::Undisclosed => "undisclosed",
            Self::NotAPositiveInteger => "not_a_positive_integer",
        }
    }
}

/// What kind of statement a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many units, in kind.
    Pledge {
        /// Units, 1 to [`QUANTITY_MAX`].
        units: u64,
    },
    /// Everything else.
    Observation {
        /// Why it is no pledge.
        reason: Reason,
    },
}

/// A row that becomes a statement of its donor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KielRow {
    /// The row's number, the first after the head being 1.
    pub row: u64,
    /// The donor's code.
    pub donor: String,
    /// What is given.
    pub goods: Goods,
    /// Pledge or observation.
    pub kind: Kind,
    /// The day of announcement, `YYYY-MM-DD`, where the source gives one day.
    pub date: Option<String>,
    /// The value the source gives: minor units of currency, and its code.
    pub amount: Option<(u64, String)>,
}

impl KielRow {
    /// Returns the row as the donor's own statement in an exercise: a pledge to `requirement`, or an observation.
    pub fn statement(&self, requirement: Option<&str>) -> Draft {
        match self.kind {
            Kind::Pledge { units } => Draft::new("pledge")
                .with_some("requirement", requirement)
                .with("item", self.goods.to_string())
                .with("quantity", units)
                .with("unit", "each")
                .with("ext_refs", json!([format!("kiel-ust-items:{}", self.row)])),
            Kind::Observation { reason } => self.observed(reason.code()),
        }
    }

    /// Returns the row as an observation in the section of whoever imports it, whatever its kind.
    pub fn observation(&self) -> Draft {
        match self.kind {
            Kind::Pledge { units } => self.observed("imported").with("quantity", units).with("unit", "each"),
            Kind::Observation { reason } => self.observed(reason.code()),
        }
    }

    /// Returns the class of what is pledged; `None` for an observation.
    pub fn pledged_class(&self) -> Option<Class> {
        match self.kind {
            Kind::Pledge { .. } => Some(self.goods.class),
            Kind::Observation { .. } => None,
        }
    }

    fn observed(&self, reason: &str) -> Draft {
        let in_kind = reason != Reason::NotInKind.code();
        Draft::new("observation")
            .with("source", SOURCE)
            .with("licence", LICENCE)
            .with("row", self.row)
            .with("reason", reason)
            .with("donor", self.donor.as_str())
            .with("recipient", RECIPIENT)
            .with_some("item", in_kind.then(|| self.goods.to_string()))
            .with_some("class", in_kind.then(|| self.goods.class.code()))
            .with_some("date", self.date.as_deref())
            .with_some("amount", self.amount.as_ref().map(|(amount, _)| *amount))
            .with_some("currency", self.amount.as_ref().map(|(_, currency)| currency.as_str()))
    }
}

/// Reads one row; a refused one names its donor where that could be read.
pub(super) fn read(
    columns: &Columns,
    record: &csv::ByteRecord,
    row: u64,
    countries: &Countries,
) -> Result<KielRow, (Refusal, Option<String>)> {
    if record.len() != columns.width {
        let refusal = Refusal::FieldCount { fields: record.len(), expected: columns.width };
        return Err((refusal, None));
    }
    let mut fields = [""; NAMES.len()];
    for (field, at) in fields.iter_mut().zip(columns.at) {
        *field = std::str::from_utf8(record.get(at).unwrap_or_default()).map_err(|_| (Refusal::NotUtf8, None))?.trim();
    }
    let [_, name, date, general, specific, kind, units, currency, amount] = fields;
    if is_missing(name) {
        return Err((Refusal::NoDonor, None));
    }
    let donor = countries.code(name).ok_or((Refusal::UnknownDonor, None))?.to_owned();
    if donor == RECIPIENT {
        return Err((Refusal::DonorIsRecipient, Some(donor)));
    }
    let kind_of = kind_of(general, specific, units).map_err(|refusal| (refusal, Some(donor.clone())))?;
    Ok(KielRow {
        row,
        donor,
        goods: Goods::of(general, specific, kind),
        kind: kind_of,
        date: is_day(date).then(|| date.to_owned()),
        amount: money(amount, currency),
    })
}

/// Words of "Type of Aid Specific" that say money is given and not goods.
const MONEY_WORDS: [&str; 6] = ["grant", "loan", "guarantee", "swap", "funding", "budget"];

fn kind_of(general: &str, specific: &str, units: &str) -> Result<Kind, Refusal> {
    let is_goods_aid = ["military", "humanitarian"].iter().any(|word| general.eq_ignore_ascii_case(word));
    let specific = specific.to_lowercase();
    if !is_goods_aid || MONEY_WORDS.iter().any(|word| specific.contains(word)) {
        return Ok(Kind::Observation { reason: Reason::NotInKind });
    }
    if is_missing(units) {
        return Ok(Kind::Observation { reason: Reason::NoUnitCount });
    }
    if units.eq_ignore_ascii_case("undisclosed") {
        return Ok(Kind::Observation { reason: Reason::Undisclosed });
    }
    let digits = units.trim_start_matches('0');
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Kind::Observation { reason: Reason::NotAPositiveInteger });
    }
    match digits.parse() {
        Ok(units) if units <= QUANTITY_MAX => Ok(Kind::Pledge { units }),
        Ok(_) | Err(_) => Err(Refusal::TooManyUnits),
    }
}

/// Whether the source says "missing": `.` or nothing.
fn is_missing(field: &str) -> bool {
    matches!(field.trim(), "" | ".")
}

fn is_day(date: &str) -> bool {
    date.parse::<jiff::civil::Date>().is_ok() && date.len() == 10
}

/// Currencies of the lists without minor units.
const WITHOUT_CENTS: [&str; 3] = ["JPY", "KRW", "ISK"];

fn money(amount: &str, currency: &str) -> Option<(u64, String)> {
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    let amount: u64 = amount.parse().ok().filter(|amount| (1..=QUANTITY_MAX).contains(amount))?;
    let minor = if WITHOUT_CENTS.contains(&currency) { amount } else { amount.saturating_mul(100) };
    is_code.then(|| (minor, currency.to_owned()))
}
