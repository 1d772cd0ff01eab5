//! Every statement as lines of text: JSON lines and CSV, byte-identical on equal records at one moment.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::View;
use crate::ids::{EnvelopeId, NationId, Timestamp};
use crate::statement::Kind;
use crate::statement::check::check;
use crate::statement::convert::shown_fields;
use crate::statement::current::current_op;
use crate::statement::draft::DraftValue;
use crate::statement::ledger::Ledger;
use crate::statement::typed::Invalid;
use crate::table::{Record, Version};
use crate::value::OpId;

/// What an export shows of one version, in the order of its keys.
struct Line {
    record: String,
    nation: String,
    code: String,
    kind: String,
    id: String,
    version: EnvelopeId,
    author: String,
    seq: u64,
    time: String,
    replaces: Vec<String>,
    /// `current`, `conflicting` (it survives beside the one that counts) or `replaced`.
    state: &'static str,
    invalid: Option<String>,
    /// What the view makes of the version that counts: its standing, and its derived state where its kind has one.
    standing: Option<&'static str>,
    derived: Option<&'static str>,
    fields: BTreeMap<String, DraftValue>,
}

/// Returns every version of every statement as JSON lines: by nation, kind, id and operation, keys always the same and in
/// the same order. Quantities are base units, references whole, times RFC 3339, absent is null. `view` is that of `ledger` and
/// holds at `as_of`.
pub fn jsonl(ledger: &Ledger<'_>, view: &View, as_of: Timestamp) -> String {
    let mut text = String::new();
    let facts = facts(view);
    for line in lines(ledger, &facts) {
        let string = |text: &str| DraftValue::Text(text.to_owned());
        let keys: [(&str, DraftValue); 17] = [
            ("record", DraftValue::Text(line.record)),
            ("nation", DraftValue::Text(line.nation)),
            ("code", DraftValue::Text(line.code)),
            ("kind", DraftValue::Text(line.kind)),
            ("id", DraftValue::Text(line.id)),
            ("version", DraftValue::Text(line.version.hex())),
            ("author", DraftValue::Text(line.author)),
            ("seq", DraftValue::from(line.seq)),
            ("time", DraftValue::Text(line.time)),
            ("replaces", DraftValue::List(line.replaces.into_iter().map(DraftValue::Text).collect())),
            ("state", string(line.state)),
            ("invalid", line.invalid.map_or(DraftValue::Null, DraftValue::Text)),
            ("status", line.fields.get("status").cloned().unwrap_or_else(|| string("live"))),
            ("standing", line.standing.map_or(DraftValue::Null, string)),
            ("derived", line.derived.map_or(DraftValue::Null, string)),
            ("fields", DraftValue::Map(line.fields)),
            ("as_of", DraftValue::Text(as_of.rfc3339())),
        ];
        text.push('{');
        for (place, (key, value)) in keys.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            write_text(&mut text, key);
            text.push(':');
            write_json(&mut text, value);
        }
        text.push_str("}\n");
    }
    text
}

/// Returns the same as CSV (RFC 4180 with line feeds), the fields as JSON in the last column.
pub fn csv(ledger: &Ledger<'_>, view: &View, as_of: Timestamp) -> String {
    let facts = facts(view);
    let mut text = String::from(
        "as_of,record,nation,code,kind,id,version,author,seq,time,replaces,state,invalid,standing,derived,fields\n",
    );
    for line in lines(ledger, &facts) {
        let mut fields = String::new();
        write_json(&mut fields, &DraftValue::Map(line.fields));
        let columns = [
            as_of.rfc3339(),
            line.record,
            line.nation,
            line.code,
            line.kind,
            line.id,
            line.version.hex(),
            line.author,
            line.seq.to_string(),
            line.time,
            line.replaces.join(" "),
            line.state.to_owned(),
            line.invalid.unwrap_or_default(),
            line.standing.unwrap_or_default().to_owned(),
            line.derived.unwrap_or_default().to_owned(),
            fields,
        ];
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            write_cell(&mut text, column);
        }
        text.push('\n');
    }
    text
}

/// Standing and derived state, by record.
type Facts<'v> = BTreeMap<(NationId, Kind, &'v str), (&'static str, Option<&'static str>)>;

fn facts(view: &View) -> Facts<'_> {
    let requirements = view.requirements.iter().map(|row| (&row.head, Some(row.state.name())));
    let pledges = view.pledges.iter().map(|row| (&row.head, Some(row.state.name())));
    let accepts = view.accepts.iter().map(|row| (&row.head, Some(row.outcome.name())));
    let shipments = view.shipments.iter().map(|row| (&row.head, Some(row.state.name())));
    let declines = view.declines.iter().map(|row| (&row.head, None));
    let dispatches = view.dispatches.iter().map(|row| (&row.head, None));
    let losses = view.losses.iter().map(|row| (&row.head, None));
    let receipts = view.receipts.iter().map(|row| (&row.head, None));
    let hubs = view.hubs.iter().map(|row| (&row.head, None));
    let profiles = view.profiles.iter().map(|row| (&row.head, None));
    let observations = view.observations.iter().map(|row| (&row.head, None));
    let decisions = view.decisions.iter().filter(|row| row.latest).map(|row| (&row.head, Some(row.state.name())));
    let answers = view.answers.iter().map(|row| (&row.head, None));
    let statements = view.statements.iter().map(|row| (&row.head, row.state));
    let with_state = requirements.chain(pledges).chain(accepts).chain(shipments).chain(decisions).chain(statements);
    let without = declines
        .chain(dispatches)
        .chain(losses)
        .chain(receipts)
        .chain(hubs)
        .chain(profiles)
        .chain(observations)
        .chain(answers);
    let mut facts = Facts::new();
    for (head, derived) in with_state.chain(without) {
        facts.insert((head.name.nation, head.name.kind, &head.name.id), (head.standing.name(), derived));
    }
    facts
}

fn lines<'l>(ledger: &'l Ledger<'_>, facts: &'l Facts<'l>) -> impl Iterator<Item = Line> + 'l {
    ledger.tables().flat_map(move |(nation, table)| {
        table.records().flat_map(move |((kind, id), record)| {
            let kind_known = Kind::from_name(kind);
            let counting = kind_known
                .and_then(|kind| current_op(kind, record))
                .or_else(|| record.surviving().next_back().map(|(op, _)| *op));
            let fact = kind_known.and_then(|kind| facts.get(&(nation.id, kind, id.as_str())));
            let place = Place { nation: nation.id, code: &nation.code, kind, id, fact: fact.copied() };
            record.versions.iter().map(move |(op, version)| line(ledger, &place, record, op, version, counting))
        })
    })
}

#[derive(Clone, Copy)]
struct Place<'l> {
    nation: NationId,
    code: &'l str,
    kind: &'l str,
    id: &'l str,
    fact: Option<(&'static str, Option<&'static str>)>,
}

fn line(
    ledger: &Ledger<'_>,
    place: &Place<'_>,
    record: &Record,
    op: &OpId,
    version: &Version,
    counting: Option<OpId>,
) -> Line {
    let known = Kind::from_name(place.kind);
    let violations = known.map(|kind| check(kind, &version.fields)).filter(|violations| !violations.is_empty());
    let replaces = version.replaces.iter();
    let fact = place.fact.filter(|_| Some(*op) == counting);
    Line {
        record: format!("{}/{}/{}", place.code, place.kind, place.id),
        nation: place.nation.hex(),
        code: place.code.to_owned(),
        kind: place.kind.to_owned(),
        id: place.id.to_owned(),
        version: version.source.envelope,
        author: version.source.author.hex(),
        seq: version.source.seq,
        time: Timestamp(version.source.time_ms).rfc3339(),
        replaces: replaces.filter_map(|op| Some(record.versions.get(op)?.source.envelope.hex())).collect(),
        state: if Some(*op) == counting {
            "current"
        } else if version.replaced {
            "replaced"
        } else {
            "conflicting"
        },
        invalid: violations.map(|violations| Invalid { violations }.to_string()),
        standing: fact.map(|(standing, _)| standing),
        derived: fact.and_then(|(_, derived)| derived),
        fields: shown_fields(ledger, known, &version.fields),
    }
}

/// Appends a value as JSON without spaces, names ascending.
pub fn write_json(text: &mut String, value: &DraftValue) {
    match value {
        DraftValue::Null => text.push_str("null"),
        DraftValue::Flag(flag) => text.push_str(if *flag { "true" } else { "false" }),
        DraftValue::Number(number) => push(text, format_args!("{number}")),
        DraftValue::Large(number) => push(text, format_args!("{number}")),
        DraftValue::Text(inner) => write_text(text, inner),
        DraftValue::List(list) => {
            text.push('[');
            for (place, entry) in list.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write_json(text, entry);
            }
            text.push(']');
        }
        DraftValue::Map(map) => {
            text.push('{');
            for (place, (key, entry)) in map.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write_text(text, key);
                text.push(':');
                write_json(text, entry);
            }
            text.push('}');
        }
    }
}

/// Appends a JSON string; control, invisible and directional characters are escaped so that no reader obeys them.
fn write_text(text: &mut String, inner: &str) {
    text.push('"');
    let plain = |c: char| !matches!(c, '"' | '\\') && !crate::statement::hidden(c);
    if inner.chars().all(plain) {
        text.push_str(inner);
        text.push('"');
        return;
    }
    for c in inner.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            // All of these lie in the basic plane: one escape each.
            c if crate::statement::hidden(c) => push(text, format_args!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Appends a CSV cell; one that a spreadsheet would compute is marked as text by a leading apostrophe.
fn write_cell(text: &mut String, cell: &str) {
    let shown = crate::statement::visible(cell);
    let computed = shown.starts_with(['=', '+', '-', '@']);
    if !computed && !shown.contains([',', '"']) {
        return text.push_str(&shown);
    }
    text.push('"');
    if computed {
        text.push('\'');
    }
    text.push_str(&shown.replace('"', "\"\""));
    text.push('"');
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string does not fail");
}
