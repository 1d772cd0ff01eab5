//! From a draft's values to those of a version, and back to text.

use std::collections::BTreeMap;

use super::Kind;
use super::check::{MICRO, Problem, RATE_ONE, index};
use super::current::current;
use super::draft::{DraftError, DraftProblem, DraftValue};
use super::ledger::{Ledger, ResolveError};
use super::reference::{Ref, RefText};
use super::schema::{FieldSpec, FieldType, PARAGRAPH_BYTES_MAX, Pin};
use super::units::Unit;
use crate::ids::{NationId, Timestamp};
use crate::time::Day;
use crate::value::{Fields, Value};

/// What the conversion of a draft knows beside the draft.
pub(super) struct Converter<'a> {
    /// Where references are looked up.
    pub(super) ledger: &'a Ledger<'a>,
    /// The unit of quantities at this level.
    pub(super) unit: Option<Unit>,
    /// The unit of each line, for quantities by line.
    pub(super) line_units: BTreeMap<u32, Unit>,
}

impl Converter<'_> {
    /// Returns the value a field of a version gets; the field is named `path` in errors.
    pub(super) fn value(&self, path: &str, holds: &FieldType, value: &DraftValue) -> Result<Value, DraftError> {
        let wants = |what| DraftError::at(path, DraftProblem::Wants(what));
        match *holds {
            FieldType::Text(max) => {
                let text = text(value).ok_or_else(|| wants("text"))?;
                let line_break = |c: char| max >= PARAGRAPH_BYTES_MAX && matches!(c, '\n' | '\t');
                if text.chars().any(|c| super::hidden(c) && !line_break(c)) {
                    return Err(DraftError::at(path, DraftProblem::Hidden));
                }
                Ok(Value::Text(text))
            }
            FieldType::Choice(_) | FieldType::Currency => Ok(Value::Text(text(value).ok_or_else(|| wants("text"))?)),
            FieldType::Unit => Ok(Value::Text(unit(path, value)?.symbol.to_owned())),
            FieldType::Quantity => Ok(Value::Uint(self.quantity(path, value, self.unit)?)),
            FieldType::Part if text(value).is_some_and(|text| text.bytes().all(|b| b == b'0') && !text.is_empty()) => {
                Ok(Value::Uint(0))
            }
            FieldType::Part => Ok(Value::Uint(self.quantity(path, value, self.unit)?)),
            FieldType::Integer(..) => Ok(Value::Uint(unsigned(value).ok_or_else(|| wants("a whole number"))?)),
            FieldType::Money => {
                Ok(Value::Uint(unsigned(value).ok_or_else(|| wants("a whole number of minor units (cents)"))?))
            }
            FieldType::Degrees(_) => {
                let degrees = text(value).and_then(|text| micro(&text));
                Ok(Value::Int(degrees.ok_or_else(|| wants("degrees with at most 6 decimals, as text"))?))
            }
            FieldType::Day => {
                let text = text(value).ok_or_else(|| wants("a day, YYYY-MM-DD"))?;
                let day: Day = text.parse().map_err(|error| DraftError::at(path, DraftProblem::Time(error)))?;
                Ok(Value::Text(day.to_string()))
            }
            FieldType::Moment => {
                let text = text(value).ok_or_else(|| wants("a moment, YYYY-MM-DDThh:mm:ssZ"))?;
                let moment = text.parse::<Day>().map(Day::start).or_else(|_| Timestamp::from_rfc3339(&text));
                Ok(Value::Uint(moment.map_err(|error| DraftError::at(path, DraftProblem::Time(error)))?.0))
            }
            FieldType::Flag => match value {
                DraftValue::Flag(flag) => Ok(Value::Bool(*flag)),
                DraftValue::Text(text) if text == "true" => Ok(Value::Bool(true)),
                DraftValue::Text(text) if text == "false" => Ok(Value::Bool(false)),
                _ => Err(wants("true or false")),
            },
            FieldType::Reference(kinds, pin) => {
                let text = text(value).ok_or_else(|| wants("a reference"))?;
                Ok(Value::Bytes(self.reference(path, &text, kinds, pin)?.encode()))
            }
            FieldType::Place
            | FieldType::Lot
            | FieldType::StockNumber
            | FieldType::Rate
            | FieldType::Nation
            | FieldType::Hash => self.named(path, holds, value),
            FieldType::List(each, _) => self.list(path, each, value),
            FieldType::Map(each, _) => {
                let DraftValue::Map(map) = value else { return Err(wants("values by name")) };
                map.iter()
                    .map(|(key, value)| Ok((key.clone(), self.value(&format!("{path}.{key}"), each, value)?)))
                    .collect::<Result<Fields, DraftError>>()
                    .map(Value::Map)
            }
            FieldType::Lines(_) => self.lines(path, value),
            FieldType::Group(specs) => self.group(path, specs, value),
        }
    }

    /// Returns the value of a field that names something outside the statement.
    fn named(&self, path: &str, holds: &FieldType, value: &DraftValue) -> Result<Value, DraftError> {
        let wants = |what| DraftError::at(path, DraftProblem::Wants(what));
        match *holds {
            FieldType::Place => {
                let text = text(value).ok_or_else(|| wants("a hub's reference or the name of a region"))?;
                match text.parse::<RefText>() {
                    Ok(typed) if typed.place.as_ref().is_some_and(|(_, kind)| kind == Kind::Hub.name()) => {
                        Ok(Value::Bytes(self.reference(path, &text, &[Kind::Hub], Pin::Either)?.encode()))
                    }
                    Ok(_) | Err(_) => self.value(path, &FieldType::Text(super::schema::LINE_BYTES_MAX), value),
                }
            }
            FieldType::Lot => {
                let text = text(value).ok_or_else(|| wants("a stock lot's reference or its name"))?;
                match text.parse::<RefText>() {
                    Ok(typed) if typed.place.as_ref().is_some_and(|(_, kind)| kind == Kind::StockLot.name()) => {
                        Ok(Value::Bytes(self.reference(path, &text, &[Kind::StockLot], Pin::Floating)?.encode()))
                    }
                    Ok(_) | Err(_) => self.value(path, &FieldType::Text(super::schema::NAME_BYTES_MAX), value),
                }
            }
            FieldType::StockNumber => {
                let text = text(value).ok_or_else(|| wants("a stock number"))?;
                Ok(Value::Text(text.replace('-', "").to_ascii_uppercase()))
            }
            FieldType::Rate => {
                let rate = text(value).and_then(|text| billionths(&text));
                Ok(Value::Uint(rate.ok_or_else(|| wants("a rate with at most 9 decimals, as text"))?))
            }
            FieldType::Nation => {
                let code = text(value).ok_or_else(|| wants("a member's code"))?;
                let nation = self.ledger.nation_by_code(&code);
                let missing = || DraftError::at(path, DraftProblem::Resolve(ResolveError::Nation(code.clone())));
                Ok(Value::Bytes(nation.ok_or_else(missing)?.id.as_bytes().to_vec()))
            }
            FieldType::Hash => {
                let bytes = text(value).and_then(|text| crate::ids::unhex(&text)).filter(|bytes| bytes.len() == 32);
                Ok(Value::Bytes(bytes.ok_or_else(|| wants("64 hexadecimal digits"))?))
            }
            FieldType::Text(_)
            | FieldType::Choice(_)
            | FieldType::Quantity
            | FieldType::Part
            | FieldType::Unit
            | FieldType::Integer(..)
            | FieldType::Money
            | FieldType::Currency
            | FieldType::Degrees(_)
            | FieldType::Day
            | FieldType::Moment
            | FieldType::Flag
            | FieldType::Reference(..)
            | FieldType::List(..)
            | FieldType::Map(..)
            | FieldType::Lines(_)
            | FieldType::Group(_) => Err(wants("a name")),
        }
    }

    fn quantity(&self, path: &str, value: &DraftValue, unit: Option<Unit>) -> Result<u64, DraftError> {
        let text = text(value).ok_or_else(|| DraftError::at(path, DraftProblem::Wants("a whole or decimal number")))?;
        let unit = unit.ok_or_else(|| DraftError::at(path, DraftProblem::UnitMissing))?;
        unit.to_base(&text).map_err(|error| DraftError::at(path, DraftProblem::Quantity(error)))
    }

    /// Resolves a reference and pins the version that counts where the field pins (R4).
    pub(super) fn reference(&self, path: &str, text: &str, kinds: &[Kind], pin: Pin) -> Result<Ref, DraftError> {
        let typed: RefText = text.parse().map_err(|error| DraftError::at(path, DraftProblem::Reference(error)))?;
        if let Some((_, kind)) = &typed.place
            && !kinds.is_empty()
            && !kinds.iter().any(|wanted| wanted.name() == kind)
        {
            return Err(DraftError::at(path, Problem::ReferenceKind));
        }
        let found =
            self.ledger.resolve(&typed, kinds).map_err(|error| DraftError::at(path, DraftProblem::Resolve(error)))?;
        if pin != Pin::Pinned || found.version.is_some() {
            return Ok(found);
        }
        let missing = || DraftError::at(path, DraftProblem::Resolve(ResolveError::NotFound(text.to_owned())));
        let kind = Kind::from_name(&found.kind).ok_or_else(missing)?;
        let record = self.ledger.record(&found).ok_or_else(missing)?;
        let version = current(kind, record).ok_or_else(missing)?.version.source.envelope;
        Ok(found.pinned(version))
    }

    fn list(&self, path: &str, each: &FieldType, value: &DraftValue) -> Result<Value, DraftError> {
        let entries = match value {
            DraftValue::List(entries) => entries.as_slice(),
            DraftValue::Null => &[],
            single => std::slice::from_ref(single),
        };
        let entry = |(place, entry): (usize, &DraftValue)| {
            Ok((place.to_string(), self.value(&format!("{path}.{place}"), each, entry)?))
        };
        entries.iter().enumerate().map(entry).collect::<Result<Fields, DraftError>>().map(Value::Map)
    }

    fn lines(&self, path: &str, value: &DraftValue) -> Result<Value, DraftError> {
        let DraftValue::Map(map) = value else {
            return Err(DraftError::at(path, DraftProblem::Wants("quantities by line number")));
        };
        let line = |(key, value): (&String, &DraftValue)| {
            let path = format!("{path}.{key}");
            let number = index(key).ok_or_else(|| DraftError::at(&path, Problem::Index))?;
            let own = self.line_units.get(&number);
            let own = *own.ok_or_else(|| DraftError::at(&path, DraftProblem::Line(number)))?;
            if let Some(unit) = self.unit {
                same_dimension(&path, unit, own)?;
            }
            let base = self.quantity(&path, value, Some(self.unit.unwrap_or(own)))?;
            Ok((number.to_string(), Value::Uint(base)))
        };
        map.iter().map(line).collect::<Result<Fields, DraftError>>().map(Value::Map)
    }

    fn group(&self, path: &str, specs: &'static [FieldSpec], value: &DraftValue) -> Result<Value, DraftError> {
        let DraftValue::Map(map) = value else {
            return Err(DraftError::at(path, DraftProblem::Wants("fields by name")));
        };
        for key in map.keys() {
            if !specs.iter().any(|spec| spec.name == key) {
                return Err(DraftError::at(&format!("{path}.{key}"), DraftProblem::Wants("one of its own fields")));
            }
        }
        let has_unit = specs.iter().any(|spec| spec.holds == FieldType::Unit);
        let mut fields = Fields::new();
        let mut inner = Converter { ledger: self.ledger, unit: self.unit, line_units: BTreeMap::new() };
        if has_unit {
            let own = match map.get("unit") {
                Some(DraftValue::Null) | None => self.pledge_unit(path, map)?,
                Some(typed) => Some(unit(&format!("{path}.unit"), typed)?),
            };
            if let Some(own) = own {
                fields.insert("unit".to_owned(), Value::Text(own.symbol.to_owned()));
            }
            inner.unit = own;
        }
        for spec in specs {
            match map.get(spec.name) {
                None | Some(DraftValue::Null) => {}
                Some(value) => {
                    let value = inner.value(&format!("{path}.{}", spec.name), &spec.holds, value)?;
                    fields.insert(spec.name.to_owned(), value);
                }
            }
        }
        Ok(Value::Map(fields))
    }

    /// Returns the unit of the pledge a group names.
    fn pledge_unit(&self, path: &str, map: &BTreeMap<String, DraftValue>) -> Result<Option<Unit>, DraftError> {
        let Some(DraftValue::Text(text)) = map.get("pledge") else { return Ok(None) };
        let reference = self.reference(&format!("{path}.pledge"), text, &Kind::PLEDGES, Pin::Floating)?;
        let kind = Kind::from_name(&reference.kind).unwrap_or(Kind::Pledge);
        let pledge = self.ledger.record(&reference).and_then(|record| current(kind, record));
        Ok(pledge.and_then(|pledge| match pledge.version.fields.get("unit") {
            Some(Value::Text(unit)) => Unit::find(unit),
            _ => None,
        }))
    }
}

/// Reads a unit.
pub(super) fn unit(path: &str, value: &DraftValue) -> Result<Unit, DraftError> {
    let text = text(value).ok_or_else(|| DraftError::at(path, DraftProblem::Wants("text")))?;
    Unit::find(&text).ok_or_else(|| DraftError::at(path, DraftProblem::Unit(text)))
}

/// Refuses a unit that cannot be compared with `other`.
pub(super) fn same_dimension(path: &str, unit: Unit, other: Unit) -> Result<(), DraftError> {
    if unit.dimension == other.dimension {
        return Ok(());
    }
    let problem = DraftProblem::Dimension { unit: unit.symbol.to_owned(), other: other.symbol.to_owned() };
    Err(DraftError::at(path, problem))
}

fn text(value: &DraftValue) -> Option<String> {
    match value {
        DraftValue::Text(text) => Some(text.clone()),
        DraftValue::Number(number) => Some(number.to_string()),
        DraftValue::Large(number) => Some(number.to_string()),
        DraftValue::Null | DraftValue::Flag(_) | DraftValue::List(_) | DraftValue::Map(_) => None,
    }
}

fn unsigned(value: &DraftValue) -> Option<u64> {
    let text = text(value)?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads degrees as millionths.
fn micro(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 3 || fraction.len() > 6 {
        return None;
    }
    let value = whole.parse::<i64>().ok()? * MICRO + format!("{fraction:0<6}").parse::<i64>().ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// Reads a rate of exchange as billionths.
fn billionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let fraction = format!("{fraction:0<9}").parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(RATE_ONE)?.checked_add(fraction)
}

/// Returns billionths as a decimal number.
pub fn rate(billionths: u64) -> String {
    let fraction = format!("{:09}", billionths % RATE_ONE);
    match (billionths / RATE_ONE, fraction.trim_end_matches('0')) {
        (whole, "") => whole.to_string(),
        (whole, fraction) => format!("{whole}.{fraction}"),
    }
}

/// Returns millionths of a degree as a decimal number.
pub fn degrees(micro: i64) -> String {
    let sign = if micro < 0 { "-" } else { "" };
    let size = micro.unsigned_abs();
    let (whole, fraction) = (size / MICRO.unsigned_abs(), size % MICRO.unsigned_abs());
    let fraction = format!("{fraction:06}");
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Returns a version's fields in the form of a draft: references, days and moments as text, lists as lists, quantities in
/// base units with `unit` the base unit. What the table of kinds does not know, or does not fit it, is shown as it is,
/// bytes in hexadecimal digits.
pub fn shown_fields(ledger: &Ledger<'_>, kind: Option<Kind>, fields: &Fields) -> BTreeMap<String, DraftValue> {
    let specs: Vec<&FieldSpec> = kind.map(|kind| kind.spec().all_fields().collect()).unwrap_or_default();
    shown_group(ledger, &specs, fields)
}

fn shown_group(ledger: &Ledger<'_>, specs: &[&FieldSpec], fields: &Fields) -> BTreeMap<String, DraftValue> {
    let shown = |(name, value): (&String, &Value)| {
        let holds = specs.iter().find(|spec| spec.name == name).map(|spec| &spec.holds);
        (name.clone(), shown_value(ledger, holds, value))
    };
    fields.iter().map(shown).collect()
}

fn shown_value(ledger: &Ledger<'_>, holds: Option<&FieldType>, value: &Value) -> DraftValue {
    match (holds, value) {
        (Some(FieldType::Unit), Value::Text(text)) => {
            Unit::find(text).map_or_else(|| DraftValue::from(text.as_str()), |unit| unit.dimension.base().into())
        }
        (Some(FieldType::Moment), Value::Uint(ms)) => DraftValue::Text(Timestamp(*ms).rfc3339()),
        (Some(FieldType::Degrees(_)), Value::Int(micro)) => DraftValue::Text(degrees(*micro)),
        (Some(FieldType::List(each, _)), Value::Map(map)) if map.keys().all(|key| index(key).is_some()) => {
            let ordered: BTreeMap<Option<u32>, &Value> = map.iter().map(|(key, value)| (index(key), value)).collect();
            DraftValue::List(ordered.into_values().map(|value| shown_value(ledger, Some(each), value)).collect())
        }
        (Some(FieldType::Map(each, _) | FieldType::Lines(each)), Value::Map(map)) => DraftValue::Map(
            map.iter().map(|(key, value)| (key.clone(), shown_value(ledger, Some(each), value))).collect(),
        ),
        (Some(FieldType::Group(specs)), Value::Map(map)) => {
            DraftValue::Map(shown_group(ledger, &specs.iter().collect::<Vec<_>>(), map))
        }
        (Some(FieldType::Rate), Value::Uint(billionths)) => DraftValue::Text(rate(*billionths)),
        (Some(FieldType::Reference(..) | FieldType::Place | FieldType::Lot), Value::Bytes(bytes)) => {
            match Ref::decode(bytes) {
                Ok(reference) => DraftValue::Text(ledger.text(&reference)),
                Err(_) => DraftValue::Text(crate::ids::hex(bytes)),
            }
        }
        (Some(FieldType::Nation), Value::Bytes(bytes)) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(id) => DraftValue::Text(ledger.code(&NationId::new(id))),
            Err(_) => DraftValue::Text(crate::ids::hex(bytes)),
        },
        (_, Value::Text(text)) => DraftValue::Text(text.clone()),
        (_, Value::Bytes(bytes)) => DraftValue::Text(crate::ids::hex(bytes)),
        (_, Value::Int(number)) => DraftValue::Number(*number),
        (_, Value::Uint(number)) => DraftValue::from(*number),
        (_, Value::Bool(flag)) => DraftValue::Flag(*flag),
        (_, Value::Null) => DraftValue::Null,
        (_, Value::Map(map)) => DraftValue::Map(shown_group(ledger, &[], map)),
    }
}
