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
    let found = found(entry, kind, &Ref::floating(entry.nation, kind, id), fields);
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

/// Returns what a node knows here that its statement is about.
fn found(entry: &Entry<'_>, kind: Kind, own: &Ref, fields: &Fields) -> Vec<Ref> {
    let revision = entry.draft.record.is_some();
    match kind {
        // Nothing can answer what was not said yet.
        Kind::Requirement | Kind::Shipment | Kind::Propose if !revision => Vec::new(),
        Kind::Requirement => answers(entry, &Kind::PLEDGES, "requirement", own),
        // A pledge made in sight of one's own pause stands in spite of it (C27).
        Kind::Pledge | Kind::StandbyPledge => {
            let mut found = notices(entry, entry.nation);
            if revision {
                found.extend(answers(entry, &[Kind::Accept, Kind::Decline], "pledge", own));
            }
            found
        }
        Kind::Accept => reference(fields, "pledge").map_or_else(Vec::new, |pledge| notices(entry, pledge.nation)),
        Kind::SuspendNotice => taken(entry),
        Kind::Shipment => answers(entry, &[Kind::Receipt], "shipment", own),
        Kind::Propose => answers(entry, &Kind::ANSWERS, "proposal", own),
        Kind::Receipt | Kind::LossReport => fellows(entry, own, fields),
        Kind::Profile
        | Kind::Hub
        | Kind::Decline
        | Kind::Dispatch
        | Kind::Observation
        | Kind::Seen
        | Kind::Assent
        | Kind::Object
        | Kind::Reserve
        | Kind::RequestExtension
        | Kind::ItemType
        | Kind::UnitConversion
        | Kind::Valuation
        | Kind::FxTable
        | Kind::Topic
        | Kind::Allotment
        | Kind::TransitPermit
        | Kind::Endorse
        | Kind::StockLot
        | Kind::Fund
        | Kind::AcceptSubstitute
        | Kind::ConsentRequest
        | Kind::Consent
        | Kind::SlotRequest
        | Kind::SlotGrant
        | Kind::SlotRefuse
        | Kind::SlotUse
        | Kind::HandOver
        | Kind::TakeOver
        | Kind::Return
        | Kind::Inventory
        | Kind::Settle => Vec::new(),
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

/// Returns a nation's notices of a pause, each pinned to the version that counts.
fn notices(entry: &Entry<'_>, nation: NationId) -> Vec<Ref> {
    let records =
        entry.ledger.table(&nation).into_iter().flat_map(|table| table.records_of(Kind::SuspendNotice.name()));
    let pinned = |(id, record): (&str, &crate::table::Record)| {
        let now = current_op(Kind::SuspendNotice, record).and_then(|op| record.versions.get(&op))?;
        Some(Ref::floating(nation, Kind::SuspendNotice, id).pinned(now.source.envelope))
    };
    records.filter_map(pinned).collect()
}

/// Returns the acceptances of the nation's own pledges.
fn taken(entry: &Entry<'_>) -> Vec<Ref> {
    let Some(own) = entry.ledger.table(&entry.nation) else { return Vec::new() };
    let mut found = Vec::new();
    for kind in Kind::PLEDGES {
        for (id, _) in own.records_of(kind.name()) {
            found.extend(answers(entry, &[Kind::Accept], "pledge", &Ref::floating(entry.nation, kind, id)));
        }
    }
    found
}

fn reference(fields: &Fields, name: &str) -> Option<Ref> {
    match fields.get(name) {
        Some(Value::Bytes(bytes)) => Ref::decode(bytes).ok(),
        _ => None,
    }
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
