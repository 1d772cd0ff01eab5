//! Flows of OCHA's Financial Tracking Service, as its CSV exports or its API give them: each becomes an observation.
//!
//! Of a flow that is split the parts are counted and the whole is refused; a part names what it is a part of.

use serde::Deserialize;
use serde_json::{Value, json};

use super::source::{Source, SourceError};
use super::table::{Table, TableRow};
use super::{Found, RefusedRow, Row, Rows, cells};
use crate::draft::Draft;

/// Largest answer of the service's API that is read; a page of it is below 1 MB.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
const SOURCE: &str = "OCHA Financial Tracking Service";
const LICENCE: &str = "CC BY-IGO";
/// Bytes of a description that are kept.
const TEXT_BYTES_MAX: usize = 1_000;
/// Bytes of an id, a status or a currency: longer ones are none, and would not fit an idempotency key.
const NAME_BYTES_MAX: usize = 40;
/// Columns without which a table is no list of flows.
const COLUMNS: [&str; 7] =
    ["id", "date", "amountUSD", "srcOrganization", "destLocations", "originalAmount", "originalCurrency"];

/// One flow, as both forms of the source give it.
#[derive(Default)]
struct Flow {
    id: String,
    date: Option<String>,
    donor: Option<String>,
    recipient: Option<String>,
    cluster: Option<String>,
    amount: String,
    currency: String,
    description: String,
    status: String,
    part_of: Option<String>,
    shared: bool,
    split: bool,
}

#[derive(Deserialize)]
struct JsonFile {
    data: JsonData,
}

#[derive(Deserialize)]
struct JsonData {
    flows: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonFlow {
    id: Value,
    date: Option<String>,
    #[serde(rename = "amountUSD")]
    amount_usd: Value,
    original_amount: Option<Value>,
    original_currency: Option<String>,
    description: Option<String>,
    status: Option<String>,
    #[serde(rename = "childFlowIds")]
    children: Option<Vec<Value>>,
    #[serde(rename = "parentFlowId")]
    parent: Option<Value>,
    on_boundary: Option<Value>,
    #[serde(default)]
    source_objects: Vec<JsonObject>,
    #[serde(default)]
    destination_objects: Vec<JsonObject>,
}

#[derive(Deserialize)]
struct JsonObject {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
}

/// Reads a file of flows, of either form.
///
/// # Errors
/// [`SourceError`]; of a file of neither form nothing is read.
pub fn read(source: &Source) -> Result<Rows, SourceError> {
    if !source.is_object()? {
        return read_csv(source);
    }
    let Some(bytes) = source.whole(ANSWER_BYTES_MAX)? else {
        let why = format!("it is larger than {ANSWER_BYTES_MAX} bytes");
        return Err(source.is_no("list of flows", why, "import it in pages"));
    };
    read_json(source, &bytes)
}

fn read_json(source: &Source, bytes: &[u8]) -> Result<Rows, SourceError> {
    let json: JsonFile = serde_json::from_slice(bytes).map_err(|error| {
        source.is_no("list of flows", error.to_string(), "expected the service's answer: {\"data\": {\"flows\": […]}}")
    })?;
    Ok(Box::new(json.data.flows.into_iter().zip(1..).map(|(value, entry)| {
        Ok(match serde_json::from_value::<JsonFlow>(value) {
            Ok(flow) => Found::of(entry, row_of(entry, from_json(flow))),
            Err(error) => Found::Refused(RefusedRow { line: entry, reason: error.to_string() }),
        })
    })))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn from_json(flow: JsonFlow) -> Flow {
    let named = |objects: &[JsonObject], kind: &str| {
        let of_kind = objects.iter().filter(|object| object.kind == kind);
        let names: Vec<_> = of_kind.filter_map(|object| object.name.clone()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let (amount, currency) = match (&flow.original_amount, flow.original_currency) {
        (Some(amount), Some(currency)) if !amount.is_null() => (text(amount), currency),
        _ => (text(&flow.amount_usd), "USD".to_owned()),
    };
    Flow {
        id: text(&flow.id),
        date: flow.date,
        donor: named(&flow.source_objects, "Organization"),
        recipient: named(&flow.destination_objects, "Location"),
        cluster: named(&flow.destination_objects, "GlobalCluster"),
        amount,
        currency,
        description: flow.description.unwrap_or_default(),
        status: flow.status.unwrap_or_default(),
        part_of: flow.parent.as_ref().map(text).filter(|parent| !parent.is_empty()),
        shared: flow.on_boundary.as_ref().is_some_and(|boundary| text(boundary) == "shared"),
        split: flow.children.is_some_and(|children| !children.is_empty()),
    }
}

fn read_csv(source: &Source) -> Result<Rows, SourceError> {
    let mut table = Table::open(source)?;
    let heads = table.heads()?;
    let missing: Vec<_> = COLUMNS.into_iter().filter(|name| !heads.iter().any(|head| head == name)).collect();
    if !missing.is_empty() {
        let why = format!("it has no column {}", missing.join(", "));
        return Err(source.is_no(
            "list of flows",
            why,
            "expected the service's flow export with its first row of names",
        ));
    }
    let is_tags = |row: &TableRow| {
        row.1.iter().any(|cell| cell.starts_with('#')) && row.1.iter().all(|c| c.is_empty() || c.starts_with('#'))
    };
    let rows = table.filter(move |row| !row.as_ref().is_ok_and(is_tags));
    Ok(Box::new(rows.map(move |row| row.map(|row| from_csv(&heads, &row)))))
}

fn from_csv(heads: &[String], (line, row): &TableRow) -> Found {
    if row.len() != heads.len() {
        let reason = format!("{} cells where {} are expected", row.len(), heads.len());
        return Found::Refused(RefusedRow { line: *line, reason });
    }
    let cell = |name: &str| {
        let at = heads.iter().position(|head| head == name);
        at.and_then(|at| row.get(at)).map(str::trim).unwrap_or_default().to_owned()
    };
    let some = |text: String| (!text.is_empty()).then_some(text);
    let (amount, currency) = match (cell("originalAmount"), cell("originalCurrency")) {
        (amount, currency) if !amount.is_empty() && !currency.is_empty() => (amount, currency),
        _ => (cell("amountUSD"), "USD".to_owned()),
    };
    let flow = Flow {
        id: cell("id"),
        date: some(cell("date")),
        donor: some(cell("srcOrganization")),
        recipient: some(cell("destLocations")),
        cluster: some(cell("destGlobalClusters")),
        amount,
        currency,
        description: cell("description"),
        status: cell("status"),
        part_of: some(cell("parentFlowId")),
        shared: cell("onBoundary") == "shared",
        split: false,
    };
    Found::of(*line, row_of(*line, flow))
}

fn row_of(line: u64, flow: Flow) -> Result<Row, String> {
    if flow.id.is_empty() {
        return Err("the flow has no id".to_owned());
    }
    for (what, name) in [("id", &flow.id), ("status", &flow.status), ("currency", &flow.currency)] {
        if name.len() > NAME_BYTES_MAX {
            return Err(format!("the {what} is longer than {NAME_BYTES_MAX} bytes"));
        }
    }
    if flow.split {
        return Err("a flow that is split: its parts are counted, so it is not".to_owned());
    }
    let Some(minor) = cells::minor_units(&flow.amount, &flow.currency) else {
        return Err(format!("{:?} is not an amount of {}", cells::text(&flow.amount, NAME_BYTES_MAX), flow.currency));
    };
    let kept = |text: Option<String>, max| text.map(|text| cells::text(&text, max));
    let mut flags = Vec::new();
    if flow.shared {
        flags.push("shared between several destinations: it stands in the lists of each".to_owned());
    }
    let day = flow.date.as_deref().and_then(cells::day);
    if let (Some(date), None) = (&flow.date, day) {
        flags.push(format!("{:?} names no day", cells::text(date, NAME_BYTES_MAX)));
    }
    let draft = Draft::new("observation")
        .with("source", SOURCE)
        .with("licence", LICENCE)
        .with("row", line)
        .with("reason", "reported_by_a_third_party")
        .with("amount", minor)
        .with("currency", flow.currency)
        .with("ext_refs", json!([format!("fts:{}", flow.id)]))
        .with_some("part_of", flow.part_of.map(|parent| format!("fts:{}", cells::text(&parent, NAME_BYTES_MAX))))
        .with_some("donor", kept(flow.donor, 128))
        .with_some("recipient", kept(flow.recipient, 128))
        .with_some("item", kept(flow.cluster, 512))
        .with_some("text", kept(Some(flow.description).filter(|text| !text.is_empty()), TEXT_BYTES_MAX))
        .with_some("date", day.map(|day| day.to_string()));
    Ok(Row::new("fts", line, &format!("{}:{}", flow.id, flow.status), draft, flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{published, read_all, written};

    fn parse(text: &str) -> Result<Rows, SourceError> {
        read(&written(text))
    }

    #[test]
    fn a_file_of_neither_form_is_refused_and_says_what_is_expected() {
        let error = parse("#adm1,#org\n1,2\n").err().expect("no flows").to_string();
        assert!(error.contains("no column id"), "{error}");
        let error = parse("{\"data\": 1}").err().expect("no flows").to_string();
        assert!(error.contains("is no list of flows"), "{error}");
    }

    #[test]
    fn malformed_rows_are_refused_by_line() {
        let head = "id,date,amountUSD,srcOrganization,destLocations,originalAmount,originalCurrency,onBoundary\n";
        let long = "9".repeat(65);
        let (rows, refused) = read_all(
            parse(&format!(
                "{head}#a,#b,#c,#d,#e,#f,#g,#h\n1,2021-02-25,100,X,AFG,,,shared\n2,2021-02-25,abc,X,AFG,,,\n3,short\n,2021,1,X,AFG,,,\n\
                 {long},2021-02-25,1,X,AFG,,,\n4,2021-02-25,1,X,AFG,5,XXQ,\n"
            ))
            .expect("flows"),
        );
        assert_eq!(rows.len(), 1);
        assert_eq!(refused.iter().map(|row| row.line).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
        assert_eq!(rows[0].draft.fields["amount"], json!(10_000));
        assert!(rows[0].flags[0].starts_with("shared"));
    }

    #[test]
    fn the_real_exports_are_read_row_by_row() {
        let Some(folder) = published("fts") else { return };
        let all = |name: &str| read_all(read(&Source::open(&folder.join(name)).expect("text")).expect("flows"));
        let (incoming, _) = all("hxl_fts_incoming_funding_afg.csv");
        assert!(incoming.len() > 200, "{}", incoming.len());
        let (page, refused) = all("flows_location1_2020_page1.json");
        assert_eq!((page.len() + refused.len(), refused.len()), (200, 19), "what is split is not counted");
        let split = |rows: &[RefusedRow]| rows.iter().all(|row| row.reason.contains("split"));
        assert!(split(&refused), "{refused:?}");
        assert!(page.iter().any(|row| row.draft.fields.contains_key("part_of")), "a part names the whole");
    }
}
