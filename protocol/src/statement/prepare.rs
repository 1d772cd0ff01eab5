//! From a draft to a version that may be written: references resolved and pinned (R4), units converted, roles checked (R2),
//! fields left out taken from what the statement refers to, and what its writer had seen (R7).

mod seen;
mod targets;

use super::check::check;
use super::convert::{Converter, same_dimension, unit};
use super::current::{Current, current};
use super::draft::{Draft, DraftError, DraftProblem, DraftValue};
use super::ledger::{Ledger, ResolveError};
use super::reference::{Ref, RefText};
use super::schema::{FieldType, KindSpec};
use super::units::Unit;
use super::{Kind, Status};
use crate::ids::{EnvelopeId, NationId};
use crate::limits::{CHANGE_BYTES_MAX, CHANGE_OPS_MAX};
use crate::value::{Fields, OpId, Value};
use targets::Targets;

/// What a draft is prepared with.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The record as this node knows it.
    pub ledger: &'a Ledger<'a>,
    /// The nation that writes.
    pub nation: NationId,
    /// What it asks for.
    pub draft: &'a Draft,
    /// The version a revision expects to replace: hexadecimal digits, or the first of them.
    pub if_version: Option<&'a str>,
    /// The id of a new record; not used in a revision.
    pub id: &'a str,
}

/// A version that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its kind.
    pub kind: Kind,
    /// The record's id.
    pub id: String,
    /// The versions it replaces, ascending: all surviving ones of a revision, none of a new record.
    pub replaces: Vec<OpId>,
    /// The version a revision builds on.
    pub revises: Option<EnvelopeId>,
    /// All its fields.
    pub fields: Fields,
}

/// Prepares a draft.
///
/// # Errors
/// [`DraftError`] naming the field at fault; nothing is written.
pub fn prepare(entry: &Entry<'_>) -> Result<Prepared, DraftError> {
    let name = entry.draft.kind.replace('-', "_");
    let kind = Kind::from_name(&name).ok_or_else(|| DraftError::of(DraftProblem::Kind(entry.draft.kind.clone())))?;
    let revised = match &entry.draft.record {
        Some(text) => Some(revised(entry, kind, text)?),
        None => None,
    };
    let id = match &revised {
        Some((id, _)) => id.clone(),
        None => new_id(entry, kind)?,
    };
    let now = revised.as_ref().map(|(_, now)| now);
    let base = now.map(|now| now.version.fields.clone()).unwrap_or_default();
    let fields = fields(entry, kind, &id, base)?;
    let mut replaces: Vec<OpId> = now.iter().flat_map(|now| &now.surviving).map(|(op, _)| *op).collect();
    replaces.sort_unstable();
    Ok(Prepared { kind, id, replaces, revises: now.map(|now| now.version.source.envelope), fields })
}

fn new_id(entry: &Entry<'_>, kind: Kind) -> Result<String, DraftError> {
    if entry.if_version.is_some() {
        return Err(DraftError::of(DraftProblem::NoVersion));
    }
    let reference = Ref::floating(entry.nation, kind, entry.id);
    if entry.ledger.record(&reference).is_some() {
        return Err(DraftError::of(DraftProblem::Taken(entry.ledger.text(&reference))));
    }
    Ok(entry.id.to_owned())
}

fn revised<'a>(entry: &Entry<'a>, kind: Kind, text: &str) -> Result<(String, Current<'a>), DraftError> {
    let typed: RefText = text.parse().map_err(|error| DraftError::at("record", DraftProblem::Reference(error)))?;
    let found = entry
        .ledger
        .resolve(&RefText { version: None, ..typed.clone() }, &[kind])
        .map_err(|error| DraftError::at("record", DraftProblem::Resolve(error)))?;
    let missing = || DraftError::at("record", DraftProblem::Resolve(ResolveError::NotFound(text.to_owned())));
    if found.kind != kind.name() {
        return Err(DraftError::at("record", super::check::Problem::ReferenceKind));
    }
    if found.nation != entry.nation {
        return Err(DraftError::at("record", DraftProblem::NotOurs { record: entry.ledger.text(&found) }));
    }
    let now = entry.ledger.record(&found).and_then(|record| current(kind, record)).ok_or_else(missing)?;
    let hex = now.version.source.envelope.hex();
    for expected in entry.if_version.into_iter().chain(typed.version.as_deref()) {
        if expected.is_empty() || !hex.starts_with(&expected.to_ascii_lowercase()) {
            return Err(DraftError::of(DraftProblem::Moved { expected: expected.to_owned(), current: hex }));
        }
    }
    Ok((found.id, now))
}

fn fields(entry: &Entry<'_>, kind: Kind, id: &str, mut fields: Fields) -> Result<Fields, DraftError> {
    let (spec, draft) = (kind.spec(), entry.draft);
    for name in draft.fields.keys() {
        if spec.field(name).is_none() || name == "status" {
            return Err(DraftError::at(name, DraftProblem::Field { kind: kind.name() }));
        }
    }
    let mut converter = Converter { ledger: entry.ledger, unit: None, line_units: Default::default() };
    // References come first: what they name decides defaults and roles.
    let is_reference = |holds: &FieldType| matches!(holds, FieldType::Reference(..));
    convert(&converter, spec, draft, &mut fields, is_reference)?;
    let targets = Targets::of(entry, kind, &fields)?;
    converter.line_units = targets.line_units();
    converter.unit = own_unit(entry, &mut fields, &targets)?;
    convert(&converter, spec, draft, &mut fields, |holds| !is_reference(holds))?;
    forget_stale_text(kind, draft, &mut fields);
    targets.fill(kind, &mut fields);
    let status = draft.status.as_deref().unwrap_or(Status::Live.name());
    fields.insert("status".to_owned(), Value::Text(status.to_owned()));
    let live = status == Status::Live.name();
    targets.allow(entry, kind, &fields, live)?;
    seen::fill(entry, kind, id, &mut fields);
    if let Some(violation) = check(kind, &fields).into_iter().next() {
        return Err(DraftError::at(&violation.field, violation.problem));
    }
    let (bytes, operations) = size(&fields);
    if bytes > BYTES_MAX || operations > OPERATIONS_MAX {
        return Err(DraftError::of(DraftProblem::TooLarge {
            bytes,
            bytes_max: BYTES_MAX,
            operations,
            operations_max: OPERATIONS_MAX,
        }));
    }
    Ok(fields)
}

/// Bytes and operations a version may take, with room for the change around it.
const BYTES_MAX: usize = CHANGE_BYTES_MAX - 5_000;
const OPERATIONS_MAX: usize = CHANGE_OPS_MAX - 1;

/// Returns an upper bound of the bytes, and the operations, that fields take in a change.
fn size(fields: &Fields) -> (usize, usize) {
    fields.iter().fold((0, 0), |(bytes, operations), (key, value)| {
        let (inner, below) = match value {
            Value::Text(text) => (text.len(), 0),
            Value::Bytes(raw) => (raw.len(), 0),
            Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Null => (10, 0),
            Value::Map(map) => size(map),
        };
        (bytes + key.len() + inner + 12, operations + 1 + below)
    })
}

/// In a revision a proposal's text goes with its hash: naming one drops the other as it was.
fn forget_stale_text(kind: Kind, draft: &Draft, fields: &mut Fields) {
    if kind == Kind::Propose {
        for (named, other) in [("text", "text_hash"), ("text_hash", "text")] {
            if draft.fields.contains_key(named) && !draft.fields.contains_key(other) {
                fields.remove(other);
            }
        }
    }
}

fn convert(
    converter: &Converter<'_>,
    spec: &KindSpec,
    draft: &Draft,
    fields: &mut Fields,
    takes: impl Fn(&FieldType) -> bool,
) -> Result<(), DraftError> {
    for field in spec.all_fields().filter(|field| takes(&field.holds)) {
        match draft.fields.get(field.name) {
            None => {}
            Some(DraftValue::Null) => {
                fields.remove(field.name);
            }
            Some(value) => {
                fields.insert(field.name.to_owned(), converter.value(field.name, &field.holds, value)?);
            }
        }
    }
    Ok(())
}

/// Returns the unit of the statement's quantities: as typed now, as typed before, or that of what it refers to.
fn own_unit(entry: &Entry<'_>, fields: &mut Fields, targets: &Targets<'_>) -> Result<Option<Unit>, DraftError> {
    let draft = entry.draft;
    let before = match fields.get("unit") {
        Some(Value::Text(text)) => Unit::find(text),
        _ => None,
    };
    let typed = match draft.fields.get("unit") {
        None | Some(DraftValue::Null) => None,
        Some(value) => Some(unit("unit", value)?),
    };
    // A unit of another dimension will do where a nation says what it comes to (C18).
    if let (Some(typed), Some(other)) = (typed, targets.unit())
        && !targets.convertible(entry, typed, other)
    {
        same_dimension("unit", typed, other)?;
    }
    let restated = draft.fields.contains_key("quantity") || draft.fields.contains_key("counted");
    if let (Some(typed), Some(before), false) = (typed, before, restated) {
        same_dimension("unit", typed, before)?;
    }
    Ok(typed.or(before).or_else(|| targets.unit()))
}
