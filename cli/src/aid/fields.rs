//! From flags to a draft's fields.

use clap::ArgMatches;
use comity_protocol::statement::schema::{FieldSpec, FieldType, KindSpec};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Returns what stands for a field's value in help.
pub fn value_name(holds: &FieldType) -> &'static str {
    match holds {
        FieldType::Text(_) => "TEXT",
        FieldType::Choice(_) => "WORD",
        FieldType::Quantity | FieldType::Part => "QUANTITY",
        FieldType::Unit => "UNIT",
        FieldType::Integer(..) => "N",
        FieldType::Money => "AMOUNT",
        FieldType::Currency => "CODE",
        FieldType::Degrees(_) => "DEGREES",
        FieldType::Day => "DAY",
        FieldType::Moment => "TIME",
        FieldType::Flag => "true|false",
        FieldType::Reference(..) => "RECORD",
        FieldType::Place => "HUB|REGION",
        FieldType::Lot => "LOT|NAME",
        FieldType::StockNumber => "NSN",
        FieldType::Rate => "RATE",
        FieldType::Nation => "CODE",
        FieldType::Hash => "HEX",
        FieldType::List(inner, _) => value_name(inner),
        FieldType::Map(..) => "NAME=VALUE",
        FieldType::Lines(_) => "LINE=QUANTITY",
        FieldType::Group(_) => "NAME=VALUE,…",
    }
}

/// Returns the fields that were named on the command line.
///
/// # Errors
/// [`Failure`] with exit code 2 for a value that does not have its field's form; the node checks what it means.
pub fn draft(spec: &KindSpec, matches: &ArgMatches) -> Result<Map<String, Value>, Failure> {
    let mut fields = Map::new();
    for field in spec.all_fields().filter(|field| field.name != "status") {
        let Some(texts) = matches.get_many::<String>(field.name) else { continue };
        let texts: Vec<&str> = texts.map(String::as_str).collect();
        fields.insert(field.name.to_owned(), value(field.name, &field.holds, &texts)?);
    }
    Ok(fields)
}

fn value(name: &str, holds: &FieldType, texts: &[&str]) -> Result<Value, Failure> {
    let one = texts.last().copied().unwrap_or_default();
    Ok(match holds {
        FieldType::List(inner, _) => {
            Value::Array(texts.iter().map(|text| value(name, inner, &[text])).collect::<Result<_, _>>()?)
        }
        FieldType::Map(inner, _) => Value::Object(named(name, texts.iter().copied(), |_| Some(inner))?),
        FieldType::Lines(inner) => Value::Object(named(name, texts.iter().copied(), |_| Some(inner))?),
        FieldType::Group(specs) => Value::Object(named(name, one.split(','), |key| holds_of(specs, key))?),
        FieldType::Flag => Value::Bool(one != "false"),
        // Whole numbers travel as numbers; the node names the bound that anything else breaks.
        FieldType::Integer(..) => one.parse::<u64>().map_or_else(|_| Value::from(one), Value::from),
        FieldType::Text(_)
        | FieldType::Choice(_)
        | FieldType::Quantity
        | FieldType::Part
        | FieldType::Unit
        | FieldType::Money
        | FieldType::Currency
        | FieldType::Degrees(_)
        | FieldType::Day
        | FieldType::Moment
        | FieldType::Reference(..)
        | FieldType::Place
        | FieldType::Lot
        | FieldType::StockNumber
        | FieldType::Rate
        | FieldType::Nation
        | FieldType::Hash => Value::from(one),
    })
}

fn holds_of(specs: &'static [FieldSpec], key: &str) -> Option<&'static FieldType> {
    specs.iter().find(|spec| spec.name == key).map(|spec| &spec.holds)
}

fn named<'a>(
    name: &str,
    parts: impl Iterator<Item = &'a str>,
    holds: impl Fn(&str) -> Option<&'static FieldType>,
) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for part in parts {
        let (key, text) = part.split_once('=').ok_or_else(|| {
            Failure::usage(format!("{part:?} in --{} has no value", name.replace('_', "-")))
                .hint("write NAME=VALUE, and a comma between several")
        })?;
        let key = key.trim();
        let holds = holds(key)
            .ok_or_else(|| Failure::usage(format!("--{} has no part called {key:?}", name.replace('_', "-"))))?;
        let texts: Vec<&str> =
            if matches!(holds, FieldType::List(..)) { text.split(';').collect() } else { vec![text] };
        if map.insert(key.to_owned(), value(key, holds, &texts)?).is_some() {
            return Err(Failure::usage(format!("{key:?} stands twice in --{}", name.replace('_', "-"))));
        }
    }
    Ok(map)
}
