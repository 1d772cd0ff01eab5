//! Flows of OCHA's Financial Tracking Service as observations.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use comity_node::api::model::Draft;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{RefusedRow, Row, Rows, key};
use crate::failure::Failure;

/// Largest file read; a page of the service's own API is below 1 MB.
const FILE_BYTES_MAX: u64 = 64 << 20;
const SOURCE: &str = "OCHA Financial Tracking Service";
const LICENCE: &str = "CC BY-IGO";
/// Bytes of a description that are kept.
const TEXT_BYTES_MAX: usize = 1_000;

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
    parent: bool,
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
    child_flow_ids: Option<Vec<Value>>,
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

/// Reads a file of flows.
///
/// # Errors
/// [`Failure`]: exit code 4 if it cannot be read, 2 if it is neither form.
pub fn read(path: &Path) -> Result<Rows, Failure> {
    let file = File::open(path).map_err(|error| Failure::file("open", path, &error))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| Failure::file("read", path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display()))
            .hint("import it in pages"));
    }
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        read_json(path, &bytes)
    } else {
        read_csv(path, &bytes)
    }
}

fn read_json(path: &Path, bytes: &[u8]) -> Result<Rows, Failure> {
    let file: JsonFile = serde_json::from_slice(bytes).map_err(|error| {
        Failure::usage(format!("{} holds no flows", path.display()))
            .because(error.to_string())
            .hint("expected the service's answer: {\"data\": {\"flows\": […]}}")
    })?;
    let mut rows = Rows { read: 0, rows: Vec::new(), refused: Vec::new() };
    for (value, line) in file.data.flows.into_iter().zip(1..) {
        rows.read += 1;
        let flow = serde_json::from_value::<JsonFlow>(value).map_err(|error| error.to_string());
        keep(&mut rows, line, flow.map(from_json));
    }
    Ok(rows)
}

fn from_json(flow: JsonFlow) -> Flow {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let named = |objects: &[JsonObject], kind: &str| {
        let names: Vec<_> =
            objects.iter().filter(|object| object.kind == kind).filter_map(|o| o.name.clone()).collect();
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
        parent: flow.child_flow_ids.is_some_and(|children| !children.is_empty()),
    }
}

fn read_csv(path: &Path, bytes: &[u8]) -> Result<Rows, Failure> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader
        .headers()
        .cloned()
        .map_err(|error| Failure::usage(format!("{} is not CSV", path.display())).because(error.to_string()))?;
    let column = |name: &str| headers.iter().position(|header| header == name);
    let wanted = ["id", "date", "amountUSD", "srcOrganization", "destLocations", "originalAmount", "originalCurrency"];
    let missing: Vec<_> = wanted.into_iter().filter(|name| column(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Failure::usage(format!("{} is no list of flows", path.display()))
            .because(format!("it has no column {}", missing.join(", ")))
            .hint("expected the service's flow export with its first row of names"));
    }
    let mut rows = Rows { read: 0, rows: Vec::new(), refused: Vec::new() };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                rows.read += 1;
                let line = error.position().map_or(0, csv::Position::line);
                rows.refused.push(RefusedRow { line, reason: error.to_string() });
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().any(|cell| cell.starts_with('#')) && record.iter().all(|c| c.is_empty() || c.starts_with('#'))
        {
            continue;
        }
        rows.read += 1;
        let cell = |name: &str| column(name).and_then(|at| record.get(at)).unwrap_or_default().trim().to_owned();
        let some = |text: String| (!text.is_empty()).then_some(text);
        let flow = if record.len() == headers.len() {
            let original = (cell("originalAmount"), cell("originalCurrency"));
            let (amount, currency) = match original {
                (amount, currency) if !amount.is_empty() && !currency.is_empty() => (amount, currency),
                _ => (cell("amountUSD"), "USD".to_owned()),
            };
            Ok(Flow {
                id: cell("id"),
                date: some(cell("date")),
                donor: some(cell("srcOrganization")),
                recipient: some(cell("destLocations")),
                cluster: some(cell("destGlobalClusters")),
                amount,
                currency,
                description: cell("description"),
                status: cell("status"),
                parent: false,
            })
        } else {
            Err(format!("{} fields where {} are expected", record.len(), headers.len()))
        };
        keep(&mut rows, line, flow);
    }
    Ok(rows)
}

fn keep(rows: &mut Rows, line: u64, flow: Result<Flow, String>) {
    match flow.and_then(|flow| draft(line, flow)) {
        Ok(row) => rows.rows.push(row),
        Err(reason) => rows.refused.push(RefusedRow { line, reason }),
    }
}

fn draft(line: u64, flow: Flow) -> Result<Row, String> {
    if flow.id.is_empty() {
        return Err("the flow has no id".to_owned());
    }
    if flow.parent {
        return Err("a parent flow: its children are counted, so it is not".to_owned());
    }
    let minor = minor_units(&flow.amount).ok_or_else(|| format!("{:?} is not an amount of money", flow.amount))?;
    let mut fields = Map::new();
    fields.insert("source".to_owned(), json!(SOURCE));
    fields.insert("licence".to_owned(), json!(LICENCE));
    fields.insert("row".to_owned(), json!(line));
    fields.insert("reason".to_owned(), json!("reported_by_a_third_party"));
    fields.insert("amount".to_owned(), json!(minor));
    fields.insert("currency".to_owned(), json!(flow.currency));
    fields.insert("ext_refs".to_owned(), json!([format!("fts:{}", flow.id)]));
    let optional = [
        ("donor", flow.donor, 128),
        ("recipient", flow.recipient, 128),
        ("item", flow.cluster, 512),
        ("text", Some(flow.description).filter(|text| !text.is_empty()), TEXT_BYTES_MAX),
    ];
    for (name, text, max) in optional {
        if let Some(text) = text {
            fields.insert(name.to_owned(), json!(shortened(&text, max)));
        }
    }
    if let Some(day) = flow.date.as_deref().and_then(|date| date.get(..10)) {
        fields.insert("date".to_owned(), json!(day));
    }
    let draft = Draft { kind: "observation".to_owned(), record: None, status: None, fields };
    let content = serde_json::to_vec(&draft).map_err(|error| error.to_string())?;
    let key = key("fts", format!("{}:{}", flow.id, flow.status), &content);
    Ok(Row { line, key, draft })
}

/// Returns whole and decimal amounts in hundredths, rounded down; `None` for anything else.
fn minor_units(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let hundredths = format!("{part:0<2}").get(..2)?.parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

/// Returns foreign text without control and directional characters, cut at a character boundary within `max` bytes.
fn shortened(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if matches!(u32::from(c), 0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb)
        {
            continue;
        }
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_counted_in_hundredths() {
        let cases = [
            ("606796", Some(60_679_600)),
            ("0.5", Some(50)),
            ("12.345", Some(1_234)),
            ("-1", None),
            ("1e9", None),
            ("", None),
        ];
        for (text, minor) in cases {
            assert_eq!(minor_units(text), minor, "{text}");
        }
    }

    #[test]
    fn a_file_of_neither_form_is_refused_and_says_what_is_expected() {
        let path = Path::new("x.csv");
        let failure = read_csv(path, b"#adm1,#org\n1,2\n").err().expect("no flows");
        assert!(failure.cause.expect("a cause").contains("no column id"));
        assert!(read_json(path, b"{\"data\": 1}").is_err());
    }

    #[test]
    fn malformed_rows_are_refused_by_line() {
        let head = "id,date,amountUSD,srcOrganization,destLocations,originalAmount,originalCurrency\n";
        let text = format!(
            "{head}#a,#b,#c,#d,#e,#f,#g\n1,2021-02-25,100,X,AFG,,\n2,2021-02-25,abc,X,AFG,,\n3,short\n,2021,1,X,AFG,,\n"
        );
        let rows = read_csv(Path::new("x.csv"), text.as_bytes()).expect("flows");
        assert_eq!((rows.read, rows.rows.len()), (4, 1));
        assert_eq!(rows.refused.iter().map(|row| row.line).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(rows.rows[0].draft.fields["amount"], json!(10_000));
    }

    #[test]
    fn the_real_exports_are_read_row_by_row() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/fts");
        if !folder.exists() {
            println!("skipped: no shared data beside the project");
            return;
        }
        let csv = read(&folder.join("hxl_fts_incoming_funding_afg.csv")).expect("flows");
        assert_eq!(csv.read, csv.rows.len() as u64 + csv.refused.len() as u64);
        assert!(csv.rows.len() > 200, "{}", csv.rows.len());
        let json = read(&folder.join("flows_location1_2020_page1.json")).expect("flows");
        assert_eq!((json.read, json.refused.len()), (200, 19), "parents are not counted");
    }
}
