//! IATI activity files, version 2: each transaction becomes an observation.
//!
//! Read in a stream, one activity's heads in memory at a time. No entity is expanded but those of XML itself, and nothing a
//! file names is fetched.

use std::io::BufReader;

use crate::draft::Draft;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::json;

use super::source::{Meter, Source, SourceError, Text};
use super::{Found, Row, Rows, cells};

/// Elements within elements; the standard's deepest stand nine deep.
const DEPTH_MAX: usize = 32;
/// Bytes of one piece of text that are kept.
const TEXT_BYTES_MAX: usize = 512;
/// Bytes of a code, a date, an amount or an identifier.
const CODE_BYTES_MAX: usize = 100;
const LICENCE: &str = "each publisher's own";
const EXPECTED: &str = "expected activities of IATI version 2: <iati-activities version=\"2.03\">";

/// The heads of an activity.
#[derive(Default)]
struct Activity {
    identifier: String,
    publisher: String,
    title: String,
    currency: String,
    countries: Vec<String>,
    transactions: u64,
}

#[derive(Default)]
struct Transaction {
    line: u64,
    code: String,
    date: String,
    amount: String,
    currency: String,
    provider: String,
    receiver: String,
    country: Option<String>,
    text: String,
}

/// An activity file, transaction by transaction.
struct Activities {
    source: Source,
    reader: Reader<BufReader<Text>>,
    meter: Meter,
    buffer: Vec<u8>,
    /// Names of the elements that are open.
    path: Vec<String>,
    line: u64,
    activity: Activity,
    transaction: Option<Transaction>,
    ended: bool,
}

/// Reads an activity file.
///
/// # Errors
/// [`SourceError`]; of a file that does not begin as one nothing is read.
pub fn read(source: &Source) -> Result<Rows, SourceError> {
    let (text, meter) = source.text()?;
    let mut activities = Activities {
        source: source.clone(),
        reader: Reader::from_reader(BufReader::new(text)),
        meter,
        buffer: Vec::new(),
        path: Vec::new(),
        line: 1,
        activity: Activity::default(),
        transaction: None,
        ended: false,
    };
    activities.begin()?;
    Ok(Box::new(activities))
}

impl Iterator for Activities {
    type Item = Result<Found, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.step() {
                Ok(None) => {}
                Ok(Some(found)) => return Some(Ok(found)),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// What an event means to us.
enum Step {
    Open { name: String, attributes: Vec<(String, String)>, empty: bool },
    Close,
    Text(String),
    Other,
    End,
}

impl Activities {
    /// Reads up to the root element.
    fn begin(&mut self) -> Result<(), SourceError> {
        loop {
            match self.event()? {
                Step::Open { name, attributes, empty } => {
                    let version =
                        attributes.iter().find(|(name, _)| name == "version").map(|(_, version)| version.as_str());
                    if name != "iati-activities" || !version.is_some_and(|version| version.starts_with('2')) {
                        let version = version.unwrap_or("without a version");
                        let why = format!("its root is <{}> {}", cells::text(&name, 60), cells::text(version, 20));
                        return Err(self.source.is_no("activity file", why, EXPECTED));
                    }
                    self.ended = empty;
                    self.path.push(name);
                    return Ok(());
                }
                Step::End => return Err(self.source.is_no("activity file", "it holds no element", EXPECTED)),
                Step::Close | Step::Text(_) | Step::Other => {}
            }
        }
    }

    fn event(&mut self) -> Result<Step, SourceError> {
        self.buffer.clear();
        let step = match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => step_of(&event),
            Err(quick_xml::Error::Io(error)) => {
                let error = std::io::Error::from(error.kind());
                return Err(self.source.failed(self.line, error));
            }
            Err(error) => Err(error.to_string()),
        };
        let step = step.map_err(|why| self.source.broken(self.line, cells::text(&why, 200)))?;
        self.meter.reset();
        self.line += self.buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(step)
    }

    fn step(&mut self) -> Result<Option<Found>, SourceError> {
        match self.event()? {
            Step::Open { name, attributes, empty } => {
                if self.path.len() == DEPTH_MAX {
                    return Err(self
                        .source
                        .broken(self.line, format!("more than {DEPTH_MAX} elements within each other")));
                }
                self.path.push(name);
                self.opened(&attributes);
                if empty { Ok(self.closed()) } else { Ok(None) }
            }
            Step::Close => Ok(self.closed()),
            Step::Text(text) => {
                self.said(&text);
                Ok(None)
            }
            Step::End if self.path.is_empty() => {
                self.ended = true;
                Ok(None)
            }
            Step::End => Err(self.source.broken(self.line, "the file ends within an element: it was cut")),
            Step::Other => Ok(None),
        }
    }

    fn within(&self) -> Vec<&str> {
        self.path.iter().skip(1).map(String::as_str).collect()
    }

    fn opened(&mut self, attributes: &[(String, String)]) {
        let of = |name: &str| {
            let found = attributes.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| cells::text(value, CODE_BYTES_MAX)).unwrap_or_default()
        };
        let (line, path) = (self.line, self.path.clone());
        let within: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        match within.as_slice() {
            ["iati-activity"] => self.activity = Activity { currency: of("default-currency"), ..Activity::default() },
            ["iati-activity", "reporting-org"] => self.activity.publisher = of("ref"),
            ["iati-activity", "recipient-country"] if self.activity.countries.len() < 16 => {
                self.activity.countries.push(of("code"));
            }
            ["iati-activity", "transaction"] => {
                self.activity.transactions += 1;
                self.transaction = Some(Transaction { line, ..Transaction::default() });
            }
            ["iati-activity", "transaction", rest @ ..] => {
                let Some(transaction) = &mut self.transaction else { return };
                match rest {
                    ["transaction-type"] => transaction.code = of("code"),
                    ["transaction-date"] => transaction.date = of("iso-date"),
                    ["value"] => transaction.currency = of("currency"),
                    ["provider-org"] => transaction.provider = of("ref"),
                    ["receiver-org"] => transaction.receiver = of("ref"),
                    ["recipient-country"] => transaction.country = Some(of("code")),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn said(&mut self, text: &str) {
        let path: Vec<String> = self.path.iter().skip(1).cloned().collect();
        let within: Vec<&str> = path.iter().map(String::as_str).collect();
        let activity = &mut self.activity;
        match (within.as_slice(), &mut self.transaction) {
            (["iati-activity", "iati-identifier"], _) => add(&mut activity.identifier, text, CODE_BYTES_MAX),
            (["iati-activity", "title", "narrative"], _) => add(&mut activity.title, text, TEXT_BYTES_MAX),
            (["iati-activity", "transaction", rest @ ..], Some(transaction)) => match rest {
                ["value"] => add(&mut transaction.amount, text, CODE_BYTES_MAX),
                ["description", "narrative"] => add(&mut transaction.text, text, TEXT_BYTES_MAX),
                // A name says more than a reference.
                ["provider-org", "narrative"] => name(&mut transaction.provider, text),
                ["receiver-org", "narrative"] => name(&mut transaction.receiver, text),
                _ => {}
            },
            _ => {}
        }
    }

    fn closed(&mut self) -> Option<Found> {
        let done = self.within() == ["iati-activity", "transaction"];
        self.path.pop();
        let transaction = self.transaction.take_if(|_| done)?;
        let line = transaction.line;
        Some(Found::of(line, row(&self.activity, transaction)))
    }
}

fn step_of(event: &Event<'_>) -> Result<Step, String> {
    Ok(match event {
        Event::Start(start) => Step::Open { name: local(start), attributes: attributes(start)?, empty: false },
        Event::Empty(start) => Step::Open { name: local(start), attributes: attributes(start)?, empty: true },
        Event::End(_) => Step::Close,
        Event::Text(text) => Step::Text(text.xml10_content().into_owned()),
        Event::CData(text) => Step::Text(text.xml10_content().into_owned()),
        Event::GeneralRef(reference) => {
            Step::Text(match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                Some(character) => character.to_string(),
                None => {
                    let name = reference.xml10_content();
                    let known = quick_xml::escape::resolve_predefined_entity(&name);
                    known.map_or_else(|| format!("&{name};"), str::to_owned)
                }
            })
        }
        Event::Eof => Step::End,
        Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => Step::Other,
    })
}

fn local(start: &BytesStart<'_>) -> String {
    cells::text(start.local_name().into_inner(), CODE_BYTES_MAX)
}

fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        found.push((cells::text(attribute.key.into_inner(), CODE_BYTES_MAX), cells::text(&value, TEXT_BYTES_MAX)));
    }
    Ok(found)
}

/// Adds a piece of text; beyond `max` bytes nothing is added.
fn add(to: &mut String, text: &str, max: usize) {
    let text = cells::text(text, max.saturating_sub(to.len()));
    if !to.is_empty() && !text.is_empty() {
        to.push(' ');
    }
    to.push_str(&text);
}

fn name(of: &mut String, text: &str) {
    if !text.trim().is_empty() {
        *of = cells::text(text, CODE_BYTES_MAX);
    }
}

/// Returns the standard's word for a kind of transaction (codelist TransactionType).
fn kind(code: &str) -> Option<&'static str> {
    Some(match code {
        "1" => "incoming funds",
        "2" => "outgoing commitment",
        "3" => "disbursement",
        "4" => "expenditure",
        "5" => "interest payment",
        "6" => "loan repayment",
        "7" => "reimbursement",
        "8" => "purchase of equity",
        "9" => "sale of equity",
        "10" => "credit guarantee",
        "11" => "incoming commitment",
        "12" => "outgoing pledge",
        "13" => "incoming pledge",
        _ => return None,
    })
}

fn row(activity: &Activity, transaction: Transaction) -> Result<Row, String> {
    if activity.identifier.is_empty() {
        return Err("its activity has no identifier".to_owned());
    }
    let Some(kind) = kind(&transaction.code) else {
        return Err(format!("{:?} is no kind of transaction", transaction.code));
    };
    let currency = if transaction.currency.is_empty() { &activity.currency } else { &transaction.currency };
    let Some(amount) = cells::minor_units(&transaction.amount, currency) else {
        return Err(format!("{:?} is no amount of {currency:?}", transaction.amount));
    };
    let mut flags = Vec::new();
    let day = cells::day(&transaction.date);
    if day.is_none() {
        flags.push(format!("{:?} names no day", transaction.date));
    }
    let mut country = transaction.country;
    if let (None, [only]) = (&country, activity.countries.as_slice()) {
        country = Some(only.clone());
    }
    let some = |text: String| (!text.is_empty()).then_some(text);
    let text = match transaction.text.as_str() {
        "" => format!("{kind}: {}", activity.title),
        text => format!("{kind}: {} ({text})", activity.title),
    };
    let number = activity.transactions;
    let provider = some(transaction.provider).or_else(|| some(activity.publisher.clone()));
    let draft = Draft::new("observation")
        .with("source", cells::text(&format!("IATI, published by {}", activity.publisher), 512))
        .with("licence", LICENCE)
        .with("row", transaction.line)
        .with("reason", "reported_by_a_third_party")
        .with("amount", amount)
        .with("currency", currency.clone())
        .with("ext_refs", json!([format!("iati:{}#{number}", activity.identifier)]))
        .with("text", text)
        .with_some("donor", provider)
        .with_some("recipient", some(transaction.receiver))
        .with_some("place", country.and_then(some))
        .with_some("date", day.map(|day| day.to_string()));
    Ok(Row::new("iati", transaction.line, &transaction.line.to_string(), draft, flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{published, read_all, written};

    fn parse(text: &str) -> Result<Rows, SourceError> {
        read(&written(text))
    }

    fn activity(transactions: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<iati-activities version=\"2.03\">\n<iati-activity default-currency=\"EUR\">\n\
             <iati-identifier>XX-1</iati-identifier><reporting-org ref=\"XX\"/>\n<title><narrative>Tents &amp; more</narrative></title>\n\
             <recipient-country code=\"UA\"/>\n{transactions}\n</iati-activity>\n</iati-activities>\n"
        )
    }

    #[test]
    fn a_transaction_is_one_observation() {
        let (rows, refused) = read_all(parse(&activity(
            "<transaction><transaction-type code=\"3\"/><transaction-date iso-date=\"2020-01-31\"/><value>12.50</value>\
             <receiver-org ref=\"YY\"><narrative>Somebody</narrative></receiver-org></transaction>\n\
             <transaction><transaction-type code=\"77\"/><value>1</value></transaction>\n\
             <transaction><transaction-type code=\"2\"/><value currency=\"JPY\">x</value></transaction>",
        )).expect("activities"));
        assert_eq!(refused.iter().map(|row| row.line).collect::<Vec<_>>(), [8, 9]);
        let fields = &rows[0].draft.fields;
        for (field, value) in [
            ("amount", json!(1_250)),
            ("currency", json!("EUR")),
            ("donor", json!("XX")),
            ("recipient", json!("Somebody")),
            ("place", json!("UA")),
            ("date", json!("2020-01-31")),
            ("ext_refs", json!(["iati:XX-1#1"])),
            ("text", json!("disbursement: Tents & more")),
        ] {
            assert_eq!(fields[field], value, "{field}");
        }
    }

    #[test]
    fn entities_are_not_expanded_and_a_cut_file_says_where() {
        let bomb = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>\n";
        let text = activity(
            "<transaction><transaction-type code=\"3\"/><value>1</value><description><narrative>&b;&#233;</narrative></description></transaction>",
        );
        let text = text.replacen("<?xml version=\"1.0\"?>\n", bomb, 1);
        let (rows, _) = read_all(parse(&text).expect("activities"));
        assert_eq!(rows[0].draft.fields["text"], json!("disbursement: Tents & more (&b; é)"));
        let whole = activity("<transaction>");
        let cut = whole.split("</iati-activity>").next().expect("text");
        let error = parse(cut).expect("activities").find_map(Result::err).expect("it was cut").to_string();
        assert!(error.contains("line 8") && error.contains("cut"), "{error}");
        let deep = activity(&"<a>".repeat(100));
        let error = parse(&deep).expect("activities").find_map(Result::err).expect("too deep").to_string();
        assert!(error.contains("within each other"), "{error}");
    }

    #[test]
    fn what_is_no_activity_file_is_refused() {
        for other in [
            "<html/>",
            "<iati-activities version=\"1.05\"/>",
            "a,b\n1,2\n",
            "",
            "<iati-organisations version=\"2.03\"/>",
        ] {
            let error = parse(other).err().unwrap_or_else(|| panic!("{other} was taken")).to_string();
            assert!(error.contains("is no activity file"), "{error}");
        }
        assert!(read_all(parse("<iati-activities version=\"2.03\"/>").expect("activities")).0.is_empty());
    }

    #[test]
    fn published_activities_are_read() {
        let Some(folder) = published("iati") else { return };
        for (name, least) in [("activity-standard-example-annotated.xml", 1), ("foodsecurity_activities.xml", 10)] {
            let (rows, refused) = read_all(read(&Source::open(&folder.join(name)).expect("text")).expect("activities"));
            assert!(rows.len() >= least, "{name}: {} and {refused:?}", rows.len());
        }
    }
}
