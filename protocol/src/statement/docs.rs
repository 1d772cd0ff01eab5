//! The table of kinds as a page of the manual.

use std::fmt::Write;

use super::Kind;
use super::schema::{COMMON, FieldSpec, FieldType, Need, Pin};
use super::units::{PERSON_DAY, UNITS};

/// Returns the reference of all kinds and their fields in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Kinds of statement and their fields\n\nThis page is generated from the table in `protocol/src/statement/schema.rs`.\n\n## Every kind\n\n",
    );
    table(&mut page, COMMON, "");
    for kind in Kind::ALL {
        let spec = kind.spec();
        push(
            &mut page,
            format_args!(
                "\n## {kind}\n\n{} Written by: {}. Status: {}.\n\n",
                spec.doc,
                spec.writer.name(),
                spec.statuses.join(", ")
            ),
        );
        table(&mut page, spec.fields, "");
    }
    page.push_str("\n## Units\n\n| unit | base unit | factor |\n|---|---|---|\n");
    for unit in UNITS.iter().chain([&PERSON_DAY]) {
        push(&mut page, format_args!("| {} | {} | {} |\n", unit.symbol, unit.dimension.base(), unit.factor));
    }
    page
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a string does not fail");
}

fn table(page: &mut String, fields: &[FieldSpec], before: &str) {
    if before.is_empty() {
        page.push_str("| field | holds | | meaning |\n|---|---|---|---|\n");
    }
    for field in fields {
        let need = match field.need {
            Need::Required => "required",
            Need::Filled => "required, filled in",
            Need::Optional => "",
        };
        push(page, format_args!("| `{before}{}` | {} | {need} | {} |\n", field.name, holds(&field.holds), field.doc));
        match field.holds {
            FieldType::Group(inner) => table(page, inner, &format!("{before}{}.", field.name)),
            FieldType::List(FieldType::Group(inner), _) => table(page, inner, &format!("{before}{}[].", field.name)),
            _ => {}
        }
    }
}

/// Returns what a field holds, in words.
pub fn holds(holds_what: &FieldType) -> String {
    match *holds_what {
        FieldType::Text(max) => format!("text, up to {max} bytes"),
        FieldType::Choice(words) => words.join(", "),
        FieldType::Quantity => "quantity".to_owned(),
        FieldType::Part => "quantity, may be 0".to_owned(),
        FieldType::Unit => "unit".to_owned(),
        FieldType::Integer(min, max) => format!("whole number, {min} to {max}"),
        FieldType::Money => "money in minor units".to_owned(),
        FieldType::Currency => "currency code".to_owned(),
        FieldType::Degrees(max) => format!("degrees, -{max} to {max}"),
        FieldType::Day => "day".to_owned(),
        FieldType::Moment => "moment".to_owned(),
        FieldType::Flag => "true or false".to_owned(),
        FieldType::Reference(kinds, pin) => {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            let kinds = if kinds.is_empty() { "any record".to_owned() } else { kinds.join(", ") };
            match pin {
                Pin::Pinned => format!("reference to {kinds}, pinned"),
                Pin::Floating | Pin::Either => format!("reference to {kinds}"),
            }
        }
        FieldType::Place => "reference to a hub, or text".to_owned(),
        FieldType::Lot => "reference to stock_lot, or text".to_owned(),
        FieldType::StockNumber => "NATO stock number".to_owned(),
        FieldType::Rate => "rate, up to 9 decimals".to_owned(),
        FieldType::Nation => "member nation, by its code".to_owned(),
        FieldType::Hash => "SHA-256 hash".to_owned(),
        FieldType::List(each, max) => format!("list of up to {max}: {}", holds(each)),
        FieldType::Map(each, max) => format!("up to {max} by name: {}", holds(each)),
        FieldType::Lines(each) => format!("by line number: {}", holds(each)),
        FieldType::Group(_) => "fields of its own".to_owned(),
    }
}
