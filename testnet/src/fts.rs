//! Reads flows of OCHA's Financial Tracking Service, as its CSV exports or its API give them, and makes each an observation
//! (DOMAIN 2.10).
//!
//! A row is read or refused with its line; no file, whatever it holds, stops the reading of the rows after a bad one.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::draft::Draft;

/// Largest file read; a page of the service's own API is below 1 MB.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
const SOURCE: &str = "OCHA Financial Tracking Service";
const LICENCE: &str = "CC BY-IGO";
/// Bytes of a description that are kept.
const TEXT_BYTES_MAX: usize = 1_000;
/// Bytes of an id, a status or a currency: longer ones are none, and would not fit an idempotency key.
const NAME_BYTES_MAX: usize = 40;

/// Why a file of flows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FtsError {
    /// It is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is larger than [`FILE_BYTES_MAX`].
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is JSON, but not the service's answer.
    #[error("{} holds no flows", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// It is neither JSON nor CSV.
    #[error("{} is not CSV", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: csv::Error,
    },
    /// It is CSV without the columns of flows.
    #[error("{} is no list of flows: it has no column {}", path.display(), missing.join(", "))]
    Columns {
        /// The file.
        path: PathBuf,
        /// The missing columns.
        missing: Vec<&'static str>,
    },
}

/// Why a row became no observation.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The flow has no id.
    #[error("the flow has no id")]
    NoId,
    /// The flow is the sum of others in the list.
    #[error("a parent flow: its children are counted, so it is not")]
    Parent,
    /// What it gives is no amount.
    #[error("{0:?} is not an amount of money")]
    Amount(String),
    /// An id, a status or a currency is too long to be one.
    #[error("the {what} is longer than {NAME_BYTES_MAX} bytes")]
    TooLong {
        /// Which.
        what: &'static str,
    },
    /// The row has more or fewer fields than the head.
    #[error("{fields} fields where {expected} are expected")]
    FieldCount {
        /// Fields of the row.
        fields: usize,
        /// Fields of the head.
        expected: usize,
    },
    /// The row is not CSV.
    #[error(transparent)]
    Csv(csv::Error),
    /// The entry is not a flow.
    #[error(transparent)]
    Json(serde_json::Error),
}

/// A flow that becomes an observation.
#[derive(Clone, Debug, PartialEq)]
pub struct FtsRow {
    /// The line or entry of the source.
    pub line: u64,
    /// The service's name for the flow and its status, at most 40 bytes each.
    pub name: String,
    /// The observation.
    pub draft: Draft,
}

/// A row that became nothing.
#[derive(Debug)]
pub struct RefusedRow {
    /// The line or entry of the source.
    pub line: u64,
    /// Why.
    pub refusal: Refusal,
}

/// A file of flows, row by row: `read = rows + refused`.
#[derive(Debug, Default)]
pub struct FtsFile {
    /// Rows read.
    pub read: u64,
    /// Rows that become observations, in file order.
    pub rows: Vec<FtsRow>,
    /// Rows that do not, in file order.
    pub refused: Vec<RefusedRow>,
}

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

impl FtsFile {
    /// Reads a file of flows.
    ///
    /// # Errors
    /// [`FtsError`] if it cannot be read, is too large, or is neither form.
    pub fn read(path: &Path) -> Result<Self, FtsError> {
        let unreadable = |source| FtsError::Read { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES_MAX + 1), &mut bytes).map_err(unreadable)?;
        Self::parse(path, &bytes)
    }

    /// Reads flows from `bytes`; `path` stands in error messages.
    ///
    /// # Errors
    /// As [`FtsFile::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, FtsError> {
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(FtsError::TooLarge { path: path.to_owned() });
        }
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            read_json(path, bytes)
        } else {
            read_csv(path, bytes)
        }
    }

    fn keep(&mut self, line: u64, flow: Result<Flow, Refusal>) {
        match flow.and_then(|flow| row(line, flow)) {
            Ok(row) => self.rows.push(row),
            Err(refusal) => self.refused.push(RefusedRow { line, refusal }),
        }
    }
}

fn read_json(path: &Path, bytes: &[u8]) -> Result<FtsFile, FtsError> {
    let json: JsonFile =
        serde_json::from_slice(bytes).map_err(|source| FtsError::Json { path: path.to_owned(), source })?;
    let mut file = FtsFile::default();
    for (value, line) in json.data.flows.into_iter().zip(1..) {
        file.read += 1;
        file.keep(line, serde_json::from_value::<JsonFlow>(value).map(from_json).map_err(Refusal::Json));
    }
    Ok(file)
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

fn read_csv(path: &Path, bytes: &[u8]) -> Result<FtsFile, FtsError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.headers().cloned().map_err(|source| FtsError::Csv { path: path.to_owned(), source })?;
    let column = |name: &str| headers.iter().position(|header| header == name);
    let wanted = ["id", "date", "amountUSD", "srcOrganization", "destLocations", "originalAmount", "originalCurrency"];
    let missing: Vec<_> = wanted.into_iter().filter(|name| column(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(FtsError::Columns { path: path.to_owned(), missing });
    }
    let mut file = FtsFile::default();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                file.read += 1;
                let line = error.position().map_or(0, csv::Position::line);
                file.refused.push(RefusedRow { line, refusal: Refusal::Csv(error) });
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().any(|cell| cell.starts_with('#')) && record.iter().all(|c| c.is_empty() || c.starts_with('#'))
        {
            continue;
        }
        file.read += 1;
        let flow = if record.len() == headers.len() {
            Ok(from_csv(|name| column(name).and_then(|at| record.get(at)).unwrap_or_default().trim().to_owned()))
        } else {
            Err(Refusal::FieldCount { fields: record.len(), expected: headers.len() })
        };
        file.keep(line, flow);
    }
    Ok(file)
}

fn from_csv(cell: impl Fn(&str) -> String) -> Flow {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let (amount, currency) = match (cell("originalAmount"), cell("originalCurrency")) {
        (amount, currency) if !amount.is_empty() && !currency.is_empty() => (amount, currency),
        _ => (cell("amountUSD"), "USD".to_owned()),
    };
    Flow {
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
    }
}

fn row(line: u64, flow: Flow) -> Result<FtsRow, Refusal> {
    if flow.id.is_empty() {
        return Err(Refusal::NoId);
    }
    for (what, name) in [("id", &flow.id), ("status", &flow.status), ("currency", &flow.currency)] {
        if name.len() > NAME_BYTES_MAX {
            return Err(Refusal::TooLong { what });
        }
    }
    if flow.parent {
        return Err(Refusal::Parent);
    }
    let Some(minor) = minor_units(&flow.amount) else {
        return Err(Refusal::Amount(shortened(&flow.amount, NAME_BYTES_MAX)));
    };
    let kept = |text: Option<String>, max| text.map(|text| shortened(&text, max));
    let draft = Draft::new("observation")
        .with("source", SOURCE)
        .with("licence", LICENCE)
        .with("row", line)
        .with("reason", "reported_by_a_third_party")
        .with("amount", minor)
        .with("currency", flow.currency)
        .with("ext_refs", json!([format!("fts:{}", flow.id)]))
        .with_some("donor", kept(flow.donor, 128))
        .with_some("recipient", kept(flow.recipient, 128))
        .with_some("item", kept(flow.cluster, 512))
        .with_some("text", kept(Some(flow.description).filter(|text| !text.is_empty()), TEXT_BYTES_MAX))
        .with_some("date", flow.date.as_deref().and_then(|date| date.get(..10)));
    Ok(FtsRow { line, name: format!("{}:{}", flow.id, flow.status), draft })
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

    fn parse(text: &str) -> Result<FtsFile, FtsError> {
        FtsFile::parse(Path::new("x.csv"), text.as_bytes())
    }

    #[test]
    fn a_file_of_neither_form_is_refused_and_says_what_is_expected() {
        let error = parse("#adm1,#org\n1,2\n").expect_err("no flows");
        assert!(error.to_string().contains("no column id"), "{error}");
        assert!(matches!(parse("{\"data\": 1}"), Err(FtsError::Json { .. })));
    }

    #[test]
    fn malformed_rows_are_refused_by_line() {
        let head = "id,date,amountUSD,srcOrganization,destLocations,originalAmount,originalCurrency\n";
        let long = "9".repeat(65);
        let file = parse(&format!(
            "{head}#a,#b,#c,#d,#e,#f,#g\n1,2021-02-25,100,X,AFG,,\n2,2021-02-25,abc,X,AFG,,\n3,short\n,2021,1,X,AFG,,\n\
             {long},2021-02-25,1,X,AFG,,\n"
        ));
        let file = file.expect("flows");
        assert_eq!((file.read, file.rows.len()), (5, 1));
        assert_eq!(file.refused.iter().map(|row| row.line).collect::<Vec<_>>(), [4, 5, 6, 7]);
        assert_eq!(file.rows[0].draft.fields["amount"], json!(10_000));
    }

    #[test]
    fn the_real_exports_are_read_row_by_row() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/fts");
        if !folder.exists() {
            println!("skipped: no shared data beside the project");
            return;
        }
        let csv = FtsFile::read(&folder.join("hxl_fts_incoming_funding_afg.csv")).expect("flows");
        assert_eq!(csv.read, csv.rows.len() as u64 + csv.refused.len() as u64);
        assert!(csv.rows.len() > 200, "{}", csv.rows.len());
        let json = FtsFile::read(&folder.join("flows_location1_2020_page1.json")).expect("flows");
        assert_eq!((json.read, json.refused.len()), (200, 19), "parents are not counted");
    }
}
