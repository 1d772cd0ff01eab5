//! Checks a version's fields against the table of kinds (spec 4.19): every violation, never a panic.

use std::fmt;

use super::Kind;
use super::reference::RefParts;
use super::schema::{FieldSpec, FieldType, LINES_MAX, Need, Pin};
use crate::limits::{QUANTITY_MAX, TIME_MS_MAX};
use crate::time::Day;
use crate::value::{Fields, Value};

/// Violations listed of one version; further ones are not looked for.
pub const VIOLATIONS_MAX: usize = 16;
/// Largest amount of money, in minor units.
pub const MONEY_MAX: u64 = 1_000_000_000_000_000_000;

/// Billionths in a rate of exchange of one.
pub const RATE_ONE: u64 = 1_000_000_000;
/// Largest rate of exchange, in billionths.
pub const RATE_MAX: u64 = 1_000_000_000 * RATE_ONE;

/// One thing wrong with a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: the field's key, with `.` before what lies inside it.
    pub field: String,
    /// What.
    pub problem: Problem,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", super::visible(&self.field), self.problem)
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// Its value is of another type.
    #[error("is {found}, not {wanted}")]
    Type {
        /// What stands there.
        found: &'static str,
        /// What should.
        wanted: &'static str,
    },
    /// Too short or too long a text.
    #[error("has {bytes} bytes, 1 to {max} allowed")]
    Length {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Too many entries.
    #[error("has {count} entries, at most {max} allowed")]
    Count {
        /// How many there are.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// A key of a list that is no number from 0 in decimal digits.
    #[error("is no place in a list")]
    Index,
    /// None of the words allowed.
    #[error("is none of {}", .0.join(", "))]
    Choice(&'static [&'static str]),
    /// A number out of its bounds.
    #[error("is out of its bounds {min} to {max}")]
    Range {
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
    /// Not a currency code.
    #[error("is not three capital letters")]
    Currency,
    /// Not a stock number.
    #[error("is not a stock number: 6 digits, then 7 digits or capital letters, without hyphens")]
    StockNumber,
    /// Not a day.
    #[error("is not a day of the form YYYY-MM-DD")]
    Day,
    /// Not the encoding of a reference.
    #[error("is not a reference")]
    Reference,
    /// A reference to another kind.
    #[error("refers to a record of the wrong kind")]
    ReferenceKind,
    /// A reference without the version it must pin.
    #[error("must pin a version")]
    Unpinned,
    /// A rule between fields.
    #[error("{0}")]
    Rule(&'static str),
}

/// Returns everything wrong with a version's fields, at most [`VIOLATIONS_MAX`]; fields the table does not know are
/// allowed.
pub fn check(kind: Kind, fields: &Fields) -> Vec<Violation> {
    let mut checker = Checker { violations: Vec::new(), path: String::new() };
    for spec in kind.spec().all_fields() {
        checker.field(spec, fields);
    }
    checker.status(kind, fields);
    checker.rules(kind, fields);
    checker.violations.truncate(VIOLATIONS_MAX);
    checker.violations
}

struct Checker {
    violations: Vec<Violation>,
    path: String,
}

impl Checker {
    fn report(&mut self, problem: Problem) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { field: self.path.clone(), problem });
        }
    }

    fn inside(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        check(self);
        self.path.truncate(before);
    }

    fn field(&mut self, spec: &'static FieldSpec, fields: &Fields) {
        self.inside(spec.name, |checker| match fields.get(spec.name) {
            None | Some(Value::Null) if spec.need == Need::Optional => {}
            None | Some(Value::Null) => checker.report(Problem::Missing),
            Some(value) => checker.value(&spec.holds, value),
        });
    }

    fn value(&mut self, holds: &'static FieldType, value: &Value) {
        match *holds {
            FieldType::Text(max) => self.text(value, max),
            FieldType::Unit => self.text(value, super::schema::NAME_BYTES_MAX),
            FieldType::Choice(words) => self.word(value, words),
            FieldType::Quantity => self.unsigned(value, 1, QUANTITY_MAX),
            FieldType::Part => self.unsigned(value, 0, QUANTITY_MAX),
            FieldType::Integer(min, max) => self.unsigned(value, min, max),
            FieldType::Money => self.unsigned(value, 0, MONEY_MAX),
            FieldType::Moment => self.unsigned(value, 0, TIME_MS_MAX),
            FieldType::Currency => match value {
                Value::Text(text) if currency(text) => {}
                Value::Text(_) => self.report(Problem::Currency),
                other => self.wrong_type(other, "text"),
            },
            FieldType::Degrees(max) => self.degrees(value, max * MICRO),
            FieldType::Day => match value {
                Value::Text(text) if text.parse::<Day>().is_ok() => {}
                Value::Text(_) => self.report(Problem::Day),
                other => self.wrong_type(other, "text"),
            },
            FieldType::Flag => match value {
                Value::Bool(_) => {}
                other => self.wrong_type(other, "true or false"),
            },
            FieldType::Reference(kinds, pin) => self.reference(value, kinds, pin),
            FieldType::Place => match value {
                Value::Text(_) => self.text(value, super::schema::LINE_BYTES_MAX),
                other => self.reference(other, &[Kind::Hub], Pin::Either),
            },
            FieldType::Lot => match value {
                Value::Text(_) => self.text(value, super::schema::NAME_BYTES_MAX),
                other => self.reference(other, &[Kind::StockLot], Pin::Either),
            },
            FieldType::StockNumber => match value {
                Value::Text(text) if stock_number(text) => {}
                Value::Text(_) => self.report(Problem::StockNumber),
                other => self.wrong_type(other, "text"),
            },
            FieldType::Rate => self.unsigned(value, 1, RATE_MAX),
            FieldType::Nation | FieldType::Hash => match value {
                Value::Bytes(bytes) if bytes.len() == 32 => {}
                Value::Bytes(_) => self.report(Problem::Rule("has not 32 bytes")),
                other => self.wrong_type(other, "bytes"),
            },
            FieldType::List(each, max) => self.list(value, each, max),
            FieldType::Map(each, max) => self.map(value, each, max),
            FieldType::Lines(each) => self.list(value, each, LINES_MAX),
            FieldType::Group(specs) => match value {
                Value::Map(fields) => specs.iter().for_each(|spec| self.field(spec, fields)),
                other => self.wrong_type(other, "a map"),
            },
        }
    }

    fn wrong_type(&mut self, value: &Value, wanted: &'static str) {
        self.report(Problem::Type { found: type_name(value), wanted });
    }

    fn text(&mut self, value: &Value, max: usize) {
        match value {
            Value::Text(text) if (1..=max).contains(&text.len()) => {}
            Value::Text(text) => self.report(Problem::Length { bytes: text.len(), max }),
            other => self.wrong_type(other, "text"),
        }
    }

    fn word(&mut self, value: &Value, words: &'static [&'static str]) {
        match value {
            Value::Text(text) if words.contains(&text.as_str()) => {}
            Value::Text(_) => self.report(Problem::Choice(words)),
            other => self.wrong_type(other, "text"),
        }
    }

    fn unsigned(&mut self, value: &Value, min: u64, max: u64) {
        match value {
            Value::Uint(number) if (min..=max).contains(number) => {}
            Value::Uint(_) => self.report(Problem::Range {
                min: i64::try_from(min).unwrap_or(i64::MAX),
                max: i64::try_from(max).unwrap_or(i64::MAX),
            }),
            other => self.wrong_type(other, "an unsigned number"),
        }
    }

    fn degrees(&mut self, value: &Value, max: i64) {
        match value {
            Value::Int(number) if (-max..=max).contains(number) => {}
            Value::Int(_) => self.report(Problem::Range { min: -max, max }),
            other => self.wrong_type(other, "a signed number"),
        }
    }

    fn reference(&mut self, value: &Value, kinds: &'static [Kind], pin: Pin) {
        let Value::Bytes(bytes) = value else { return self.wrong_type(value, "a reference") };
        let Ok(reference) = RefParts::decode(bytes) else { return self.report(Problem::Reference) };
        if !kinds.is_empty() && !kinds.iter().any(|kind| kind.name() == reference.kind) {
            self.report(Problem::ReferenceKind);
        }
        if pin == Pin::Pinned && reference.version.is_none() {
            self.report(Problem::Unpinned);
        }
    }

    fn list(&mut self, value: &Value, each: &'static FieldType, max: usize) {
        let Value::Map(entries) = value else { return self.wrong_type(value, "a map") };
        if entries.len() > max {
            return self.report(Problem::Count { count: entries.len(), max });
        }
        for (key, entry) in entries {
            self.inside(key, |checker| match index(key) {
                Some(_) => checker.value(each, entry),
                None => checker.report(Problem::Index),
            });
        }
    }

    fn map(&mut self, value: &Value, each: &'static FieldType, max: usize) {
        let Value::Map(entries) = value else { return self.wrong_type(value, "a map") };
        if entries.len() > max {
            return self.report(Problem::Count { count: entries.len(), max });
        }
        for (key, entry) in entries {
            self.inside(key, |checker| checker.value(each, entry));
        }
    }

    fn status(&mut self, kind: Kind, fields: &Fields) {
        if let Some(value @ Value::Text(_)) = fields.get("status") {
            self.inside("status", |checker| checker.word(value, kind.spec().statuses));
        }
    }

    /// Checks what one field means for another.
    fn rules(&mut self, kind: Kind, fields: &Fields) {
        let has = |name: &str| !matches!(fields.get(name), None | Some(Value::Null));
        match kind {
            Kind::Pledge => self.offer(&has),
            Kind::StandbyPledge => {
                self.offer(&has);
                self.either(&has, "on_pledge", "on_nation", "or on_nation must be there");
            }
            Kind::Observation if has("quantity") && !has("unit") => {
                self.inside("unit", |checker| checker.report(Problem::Missing));
            }
            Kind::Consent => self.consent(&has, fields),
            Kind::Fund if tranches(fields) > u128::from(number(fields, "amount")) => {
                self.inside("tranches", |checker| checker.report(Problem::Rule("come to more than amount")));
            }
            Kind::FxTable => self.rates(fields),
            Kind::SlotUse => self.either(&has, "request", "allotment", "or allotment must be there"),
            Kind::Allotment | Kind::SlotRequest => {
                let days = self.period(fields, "from", "to");
                if days.is_some_and(|days| days >= super::schema::passage::PERIOD_DAYS_MAX) {
                    self.inside("to", |checker| checker.report(Problem::Rule("is more than 366 days on")));
                }
            }
            Kind::TransitPermit => drop(self.period(fields, "valid_from", "valid_to")),
            Kind::SuspendNotice => drop(self.period(fields, "from", "until")),
            Kind::Shipment if matches!(fields.get("lines"), Some(Value::Map(lines)) if lines.is_empty()) => {
                self.inside("lines", |checker| checker.report(Problem::Rule("is empty")));
            }
            Kind::Receipt if not_good(fields) > u128::from(number(fields, "counted")) => {
                self.inside("counted", |checker| checker.report(Problem::Rule("is less than what was not good of it")));
            }
            Kind::Propose => self.proposal(fields),
            Kind::Seen
            | Kind::Assent
            | Kind::Object
            | Kind::Reserve
            | Kind::RequestExtension
            | Kind::Observation
            | Kind::Shipment
            | Kind::Receipt
            | Kind::Profile
            | Kind::Hub
            | Kind::Requirement
            | Kind::Accept
            | Kind::Decline
            | Kind::Dispatch
            | Kind::LossReport
            | Kind::ItemType
            | Kind::UnitConversion
            | Kind::Valuation
            | Kind::Topic
            | Kind::Endorse
            | Kind::StockLot
            | Kind::Fund
            | Kind::AcceptSubstitute
            | Kind::ConsentRequest
            | Kind::SlotGrant
            | Kind::SlotRefuse
            | Kind::HandOver
            | Kind::TakeOver
            | Kind::Return
            | Kind::Inventory
            | Kind::Settle => {}
        }
    }
}

impl Checker {
    fn either(&mut self, has: &dyn Fn(&str) -> bool, one: &str, other: &str, rule: &'static str) {
        if !has(one) && !has(other) {
            self.inside(one, |checker| checker.report(Problem::Rule(rule)));
        }
    }

    fn offer(&mut self, has: &dyn Fn(&str) -> bool) {
        self.either(has, "requirement", "package", "or package must be there");
    }

    fn consent(&mut self, has: &dyn Fn(&str) -> bool, fields: &Fields) {
        let advance = matches!(fields.get("advance"), Some(Value::Bool(true)));
        let needed: &[&str] = if advance { &["donor", "item"] } else { &["request"] };
        for name in needed.iter().filter(|name| !has(name)) {
            self.inside(name, |checker| checker.report(Problem::Missing));
        }
        if has("quantity") && !has("unit") {
            self.inside("unit", |checker| checker.report(Problem::Missing));
        }
        let _ = self.period(fields, "valid_from", "valid_to");
    }

    fn rates(&mut self, fields: &Fields) {
        let Some(Value::Map(rates)) = fields.get("rates") else { return };
        for code in rates.keys().filter(|code| !currency(code)) {
            self.inside("rates", |checker| checker.inside(code, |checker| checker.report(Problem::Currency)));
        }
    }

    /// Checks that a period does not end before it begins; returns its days beyond the first.
    fn period(&mut self, fields: &Fields, from: &str, to: &str) -> Option<u32> {
        let day = |name: &str| match fields.get(name) {
            Some(Value::Text(text)) => text.parse::<Day>().ok(),
            _ => None,
        };
        let (from, until) = (day(from)?, day(to)?);
        if until < from {
            self.inside(to, |checker| checker.report(Problem::Rule("is before the first day")));
        }
        Some(until.number().saturating_sub(from.number()))
    }

    fn proposal(&mut self, fields: &Fields) {
        if matches!(fields.get("participants"), Some(Value::Map(named)) if named.is_empty()) {
            self.inside("participants", |checker| checker.report(Problem::Rule("is empty")));
        }
        if number(fields, "closes_at") <= number(fields, "opens_at") {
            self.inside("closes_at", |checker| checker.report(Problem::Rule("is not after opens_at")));
        }
        if let (Some(Value::Text(text)), Some(Value::Bytes(hash))) = (fields.get("text"), fields.get("text_hash"))
            && crate::keys::sha256(text.as_bytes())[..] != hash[..]
        {
            self.inside("text_hash", |checker| checker.report(Problem::Rule("is not the hash of text")));
        }
    }
}

/// Millionths in a degree.
pub const MICRO: i64 = 1_000_000;

/// Reads a list's key: a number below 2^20 in decimal digits without a leading zero.
pub(crate) fn index(key: &str) -> Option<u32> {
    let plain = (1..=6).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_digit());
    if !plain || (key.len() > 1 && key.starts_with('0')) {
        return None;
    }
    key.parse().ok()
}

fn currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// Whether a text is a stock number: supply class and bureau code in digits, then the item part.
fn stock_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 13
        && bytes[..6].iter().all(u8::is_ascii_digit)
        && bytes[6..].iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn tranches(fields: &Fields) -> u128 {
    let Some(Value::Map(tranches)) = fields.get("tranches") else { return 0 };
    let amount = |tranche: &Value| match tranche {
        Value::Map(tranche) => u128::from(number(tranche, "amount")),
        _ => 0,
    };
    tranches.values().map(amount).sum()
}

fn number(fields: &Fields, name: &str) -> u64 {
    match fields.get(name) {
        Some(Value::Uint(number)) => *number,
        _ => 0,
    }
}

fn not_good(fields: &Fields) -> u128 {
    let damaged = match fields.get("damaged") {
        Some(Value::Map(damaged)) => {
            ["torn", "stained", "mouldy", "other"].iter().map(|name| u128::from(number(damaged, name))).sum()
        }
        _ => 0,
    };
    damaged + u128::from(number(fields, "wrong_item")) + u128::from(number(fields, "underweight"))
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
        Value::Int(_) => "a signed number",
        Value::Uint(_) => "an unsigned number",
        Value::Bool(_) => "true or false",
        Value::Null => "nothing",
        Value::Map(_) => "a map",
    }
}
