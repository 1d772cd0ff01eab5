//! What the writer of a version had seen (R7): the answers to the record it revises, and the fellow receipts of a line.

use std::collections::BTreeSet;

use super::Entry;
use crate::ids::NationId;
use crate::statement::Kind;
use crate::statement::current::current_op;
use crate::statement::reference::Ref;
use crate::value::{Fields, Value};

/// References filled in of themselves. What does not fit counts as not seen, which is the pessimistic reading.
const FILLED_MAX: usize = 256;

/// Adds what is known here to `seen`, after what the draft itself names.
pub(super) fn fill(entry: &Entry<'_>, kind: Kind, id: &str, fields: &mut Fields) {
    let own = Ref::floating(entry.nation, kind, id);
    let revision = entry.draft.record.is_some();
    let found = match kind {
        // Nothing can answer what was not said yet.
        Kind::Requirement | Kind::Pledge | Kind::Shipment | Kind::Propose if !revision => Vec::new(),
        Kind::Requirement => answers(entry, &[Kind::Pledge], "requirement", &own),
        Kind::Pledge => answers(entry, &[Kind::Accept, Kind::Decline], "pledge", &own),
        Kind::Shipment => answers(entry, &[Kind::Receipt], "shipment", &own),
        Kind::Propose => answers(entry, &Kind::ANSWERS, "proposal", &own),
        Kind::Receipt | Kind::LossReport => fellows(entry, &own, fields),
        Kind::Profile
        | Kind::Hub
        | Kind::Accept
        | Kind::Decline
        | Kind::Dispatch
        | Kind::Observation
        | Kind::Seen
        | Kind::Assent
        | Kind::Object
        | Kind::Reserve
        | Kind::RequestExtension => Vec::new(),
    };
    // Refreshed whole in each revision: nothing seen before is ever unseen, since nothing is deleted (R6).
    let named: Vec<Vec<u8>> = match fields.get("seen") {
        Some(Value::Map(seen)) if entry.draft.fields.contains_key("seen") => seen
            .values()
            .filter_map(|value| if let Value::Bytes(bytes) = value { Some(bytes.clone()) } else { None })
            .collect(),
        _ => Vec::new(),
    };
    let filled = found.into_iter().map(|reference| reference.encode()).filter(|bytes| !named.contains(bytes));
    let filled: Vec<Vec<u8>> = filled.take(FILLED_MAX).collect();
    let all: Fields = named
        .into_iter()
        .chain(filled)
        .enumerate()
        .map(|(place, bytes)| (place.to_string(), Value::Bytes(bytes)))
        .collect();
    if all.is_empty() {
        fields.remove("seen");
    } else {
        fields.insert("seen".to_owned(), Value::Map(all));
    }
}

/// Returns the statements of these kinds whose field `field` names `record`, each pinned to the version that counts.
fn answers(entry: &Entry<'_>, kinds: &[Kind], field: &str, record: &Ref) -> Vec<Ref> {
    let mut found = Vec::new();
    for (nation, _) in entry.ledger.tables() {
        for kind in kinds {
            found.extend(naming(entry, nation.id, *kind, field, record, &|_| true));
        }
    }
    found
}

/// Returns the receipts of the same shipment line that are known here.
fn fellows(entry: &Entry<'_>, own: &Ref, fields: &Fields) -> Vec<Ref> {
    let Some(Value::Bytes(bytes)) = fields.get("shipment") else { return Vec::new() };
    let Ok(shipment) = Ref::decode(bytes) else { return Vec::new() };
    let line = fields.get("line");
    let mut found = Vec::new();
    for (nation, _) in entry.ledger.tables() {
        let same_line = |other: &Fields| other.get("line") == line;
        found.extend(naming(entry, nation.id, Kind::Receipt, "shipment", &shipment, &same_line));
    }
    found.retain(|reference| reference.nation != own.nation || reference.id != own.id || reference.kind != own.kind);
    found
}

fn naming(
    entry: &Entry<'_>,
    nation: NationId,
    kind: Kind,
    field: &str,
    record: &Ref,
    takes: &dyn Fn(&Fields) -> bool,
) -> Vec<Ref> {
    let Some(table) = entry.ledger.table(&nation) else { return Vec::new() };
    // A reference lies in its bytes in one way: those of another record differ in what they begin with.
    let begins = Ref { version: None, ..record.clone() }.encode();
    let begins = begins.split_last().map_or_else(Default::default, |(_, begins)| begins);
    let mut found = Vec::new();
    let named = table.naming(begins).filter(|(other, _)| other == kind.name());
    let ids: BTreeSet<&str> = named.map(|(_, id)| id.as_str()).collect();
    for id in ids {
        let Some(candidate) = table.record(kind.name(), id) else { continue };
        let Some(now) = current_op(kind, candidate).and_then(|op| candidate.versions.get(&op)) else { continue };
        let Some(Value::Bytes(bytes)) = now.fields.get(field) else { continue };
        if record.same_record(bytes) && takes(&now.fields) {
            found.push(Ref::floating(nation, kind, id).pinned(now.source.envelope));
        }
    }
    found
}
