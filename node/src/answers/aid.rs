//! The aid record: board, gaps, lists, flags, and one record with its history.

use axum::http::StatusCode;
use comity_protocol::ids::EnvelopeId;
use comity_protocol::statement::Kind;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::reference::{Ref, RefText};
use comity_protocol::table::Record;
use comity_protocol::value::{Fields, Value};

use super::rows::{Rows, buckets, cover, flag_names, flag_row, overlays};
use crate::api::Refusal;
use crate::api::model::{
    Board, BoardRow, Coverage, CoverageRow, Flags, GapRow, Gaps, Listing, PledgeCover, RecordRow, Shown, rfc3339,
};
use crate::driver::Outlook;

/// Returns the answer of `/v1/board`.
pub fn board(outlook: &Outlook) -> Board {
    let view = outlook.view();
    let rows = view.requirements.iter().map(|row| BoardRow {
        requirement: row.head.name.to_string(),
        nation: row.head.name.code.clone(),
        item: row.item.clone(),
        class: Some(row.class.clone()),
        theme: row.theme.clone(),
        priority: u64::from(row.priority),
        needed_by: row.needed_by.map(|day| day.to_string()),
        state: row.state.name().to_owned(),
        overlays: overlays(row),
        cover: cover(row),
        pledges: row
            .pledges
            .iter()
            .filter_map(|place| view.pledges.get(*place))
            .map(|pledge| PledgeCover {
                pledge: pledge.head.name.to_string(),
                nation: pledge.head.name.code.clone(),
                state: pledge.state.name().to_owned(),
                standing: pledge.head.standing.name().to_owned(),
                buckets: buckets(pledge),
                flags: flag_names(&pledge.flags),
            })
            .collect(),
        flags: flag_names(&row.flags),
    });
    let ledger = outlook.ledger();
    let age = super::age::rows(outlook.age(), |nation| ledger.code(nation));
    Board { as_of: rfc3339(outlook.as_of()), age, rows: rows.collect() }
}

/// Returns the answer of `/v1/coverage`: without the nation of that code, if one is given.
///
/// # Errors
/// [`Refusal`] where no nation has the code.
pub fn coverage(outlook: &Outlook, without: Option<&str>) -> Result<Coverage, Refusal> {
    let ledger = outlook.ledger();
    let named = |code: &str| {
        ledger.nation_by_code(code).map(|nation| nation.id).ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, format!("no member has the code {code:?}"))
                .hint("see `comity nations` for the codes")
        })
    };
    let leaver = without.map(named).transpose()?;
    let rows = comity_protocol::view::coverage::coverage(outlook.view(), leaver).into_iter().map(|row| CoverageRow {
        requirement: row.requirement,
        item: row.item,
        quantity: row.quantity,
        unit: row.unit,
        cover_firm: row.cover_firm,
        gap_firm: row.gap_firm,
    });
    Ok(Coverage { as_of: rfc3339(outlook.as_of()), without: without.map(str::to_owned), rows: rows.collect() })
}

/// Returns the answer of `/v1/gaps`.
pub fn gaps(outlook: &Outlook) -> Gaps {
    let rows = outlook.view().requirements.iter().map(|row| GapRow {
        requirement: row.head.name.to_string(),
        item: row.item.clone(),
        quantity: row.quantity,
        unit: row.unit.clone(),
        delivered: row.cover.delivered,
        in_transit: row.cover.in_transit,
        to_ship: row.cover.to_ship,
        offered: row.cover.offered_firm,
        gap_firm: row.cover.gap_firm,
        gap_after_offers: row.cover.gap_after_offers,
        gap_if_all: row.cover.gap_if_all,
        flags: flag_names(&row.flags),
    });
    Gaps { as_of: rfc3339(outlook.as_of()), rows: rows.collect() }
}

/// Returns the answer of `/v1/flags`.
pub fn flags(outlook: &Outlook) -> Flags {
    Flags { as_of: rfc3339(outlook.as_of()), rows: outlook.view().flags.iter().map(flag_row).collect() }
}

/// Returns the answer of `/v1/list`.
///
/// # Errors
/// A refusal if there is no such kind.
pub fn list(outlook: &Outlook, kind: &str) -> Result<Listing, Refusal> {
    let kind = Kind::from_name(&kind.replace('-', "_")).ok_or_else(|| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("there is no kind of statement called {kind:?}"))
            .hint(format!("known kinds: {}", Kind::ALL.map(Kind::name).join(", ")))
    })?;
    let rows = Rows::new(outlook);
    Ok(Listing { as_of: rfc3339(outlook.as_of()), rows: rows.of_kind(kind, &|_| true) })
}

/// Returns the answer of `/v1/show`.
///
/// # Errors
/// A refusal if the reference names nothing, or more than one record.
pub fn show(outlook: &Outlook, reference: &str) -> Result<Shown, Refusal> {
    let rows = Rows::new(outlook);
    let named = resolve(&rows.ledger, reference)?;
    let missing = || not_found(reference);
    let record = rows.ledger.record(&named).ok_or_else(missing)?;
    let row = row_of(&rows, &named, record).ok_or_else(missing)?;
    let kind = Kind::from_name(&named.kind);
    let pinned = named.version.and_then(|version| record.by_envelope(&version));
    Ok(Shown {
        as_of: rfc3339(outlook.as_of()),
        flags: rows.flags_on(&row.record),
        record: row,
        pinned: pinned.map(|version| rows.version(&named.nation, kind, version)),
        versions: record.versions.values().map(|version| rows.version(&named.nation, kind, version)).collect(),
        referred_by: referred_by(&rows, &named),
    })
}

fn row_of(rows: &Rows<'_>, named: &Ref, record: &Record) -> Option<RecordRow> {
    match Kind::from_name(&named.kind) {
        Some(kind) => rows.of_kind(kind, &|name| name.nation == named.nation && name.id == named.id).pop(),
        None => rows.unknown(&named.nation, &named.kind, &named.id, record),
    }
}

/// Returns the record a text names: a reference, or an envelope that wrote exactly one record.
pub(super) fn resolve(ledger: &Ledger<'_>, text: &str) -> Result<Ref, Refusal> {
    if let Some(envelope) = EnvelopeId::from_hex(text) {
        return by_envelope(ledger, &envelope).ok_or_else(|| not_found(text));
    }
    let typed: RefText = text
        .parse()
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "this is not a reference").cause(format!("{error}")))?;
    ledger.resolve(&typed, &[]).map_err(|error| {
        Refusal::new(StatusCode::NOT_FOUND, "the reference names no one record")
            .cause(error.to_string())
            .hint("references are CODE/kind/id; what was not yet received from its nation cannot be referred to")
    })
}

fn by_envelope(ledger: &Ledger<'_>, envelope: &EnvelopeId) -> Option<Ref> {
    ledger.tables().find_map(|(nation, table)| {
        let ((kind, id), _) = table.records().find(|(_, record)| record.by_envelope(envelope).is_some())?;
        Some(Ref { nation: nation.id, compartment: 0, kind: kind.clone(), id: id.clone(), version: Some(*envelope) })
    })
}

fn not_found(text: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("{text:?} names no record here"))
}

/// Returns the records with a surviving version that refers to `named`, pinned or not.
fn referred_by(rows: &Rows<'_>, named: &Ref) -> Vec<String> {
    let mut found = Vec::new();
    for (nation, table) in rows.ledger.tables() {
        for ((kind, id), record) in table.records() {
            if record.surviving().any(|(_, version)| refers(&version.fields, named)) {
                found.push(format!("{}/{kind}/{id}", nation.code));
            }
        }
    }
    found.sort_unstable();
    found
}

fn refers(fields: &Fields, named: &Ref) -> bool {
    fields.values().any(|value| match value {
        Value::Bytes(bytes) => Ref::decode(bytes).is_ok_and(|found| {
            (found.nation, found.compartment) == (named.nation, named.compartment)
                && (&found.kind, &found.id) == (&named.kind, &named.id)
        }),
        Value::Map(map) => refers(map, named),
        Value::Text(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Null => false,
    })
}
