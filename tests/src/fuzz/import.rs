//! Other people's files: no bytes break a reader, and every row is imported, flagged or refused with its line.

use std::path::Path;
use std::sync::LazyLock;

use comity_protocol::evaluate::State;
use comity_protocol::ids::NationId;
use comity_protocol::statement::draft::Draft as Entered;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::prepare::{Entry, prepare};
use comity_protocol::testing::TestAlliance;
use comity_testnet::draft::Draft;
use comity_testnet::formats::{Found, Rows, Source, SourceError, fts, hubs, hxl, iati, sums};
use comity_testnet::kiel::{KielFile, Kind, RECIPIENT};
use comity_testnet::scenario::Scenario;

/// The head of the tracker's item list.
pub const KIEL_HEAD: &str = "ID,countries,Announcement Date,Type of Aid General,Type of Aid Specific,Explanation,\
    Type of item,Sub-type of item,No. of Units,Original Currency,Monetary Value as Given by Source\n";
/// The head of the service's flow export.
pub const FTS_HEAD: &str = "id,date,amountUSD,srcOrganization,destLocations,originalAmount,originalCurrency,status\n";
/// The head of an activity file.
pub const IATI_HEAD: &str = "<iati-activities version=\"2.03\"><iati-activity default-currency=\"EUR\">\
    <iati-identifier>XX-1</iati-identifier>";
/// Rows of a file that are also entered as statements.
const ENTERED_MAX: usize = 8;
/// Bytes of one draft: its texts are cut, and everything else of it is short.
const DRAFT_BYTES_MAX: usize = 8_192;

/// The record of a nation that imports.
static IMPORTER: LazyLock<(State, NationId)> = LazyLock::new(|| {
    let alliance = TestAlliance::new(1, &[("POL", 1), ("UKR", 1)]);
    (alliance.state(), alliance.nations[0].id)
});

/// Reads a first byte as what follows: 0 and 1 mod 10 a file of flows, whole or behind its head, 2 and 3 an item list, whole
/// or behind its head, 4 a scenario, 5 a table with hashtags, 6 and 7 activities, whole or behind their head, 8 monthly sums,
/// 9 a list of places.
pub fn run(bytes: &[u8]) {
    let Some((&form, rest)) = bytes.split_first() else { return };
    match form % 10 {
        0 => rows(rest, fts::read),
        1 => rows(&[FTS_HEAD.as_bytes(), rest].concat(), fts::read),
        2 => items(rest),
        3 => items(&[KIEL_HEAD.as_bytes(), rest].concat()),
        4 => scenario(rest),
        5 => rows(rest, hxl::read),
        6 => rows(rest, iati::read),
        7 => rows(&[IATI_HEAD.as_bytes(), rest].concat(), iati::read),
        8 => rows(rest, sums::read),
        _ => places(rest),
    }
}

fn rows(bytes: &[u8], read: fn(&Source) -> Result<Rows, SourceError>) {
    let Ok(source) = Source::of_bytes(Path::new("rows"), bytes) else { return };
    let Ok(rows) = read(&source) else { return };
    for (at, found) in rows.enumerate() {
        match found {
            Ok(Found::Row(row)) => {
                assert!(row.line >= 1 && row.key.len() <= comity_protocol::limits::IDEMPOTENCY_KEY_BYTES_MAX);
                observation(&row.draft, at);
            }
            Ok(Found::Refused(row)) => assert!(row.line >= 1 && !row.reason.is_empty(), "a refused row has its line"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn places(bytes: &[u8]) {
    let Ok(source) = Source::of_bytes(Path::new("places"), bytes) else { return };
    let Ok(read) = hubs::read(&source) else { return };
    for (at, place) in read.places.iter().enumerate() {
        let row = place.adopted();
        assert!(row.line >= 1 && row.key.len() <= comity_protocol::limits::IDEMPOTENCY_KEY_BYTES_MAX);
        enter(&row.draft, at);
    }
}

fn items(bytes: &[u8]) {
    let Ok(file) = KielFile::parse(Path::new("items.csv"), bytes) else { return };
    assert_eq!(file.read, count(file.rows.len()) + count(file.refused.len()), "no row is lost");
    assert!(file.refused.iter().all(|refused| refused.line >= 1), "a refused row has its line");
    let counts = file.counts();
    assert_eq!(counts.iter().map(|count| count.read).sum::<u64>(), file.read);
    assert!(counts.iter().all(|count| count.read == count.pledges + count.observations + count.refused));
    assert!(file.needs().iter().all(|need| need.required >= need.pledged.min(comity_protocol::limits::QUANTITY_MAX)));
    for (at, row) in file.rows.iter().enumerate() {
        assert!(row.donor != RECIPIENT && !matches!(row.kind, Kind::Pledge { units: 0 }));
        observation(&row.observation(), at);
        enter(&row.statement(None), at);
    }
}

/// An observation has its source, is small, and is taken or refused at entry.
fn observation(draft: &Draft, at: usize) {
    assert_eq!(draft.kind, "observation");
    for field in ["source", "licence", "row", "reason"] {
        assert!(draft.fields.contains_key(field), "{field}");
    }
    let bytes = serde_json::to_vec(draft).expect("a draft is plain data");
    assert!(bytes.len() <= DRAFT_BYTES_MAX, "{} bytes", bytes.len());
    enter(draft, at);
}

fn enter(draft: &Draft, at: usize) {
    if at >= ENTERED_MAX {
        return;
    }
    let json = serde_json::to_vec(draft).expect("a draft is plain data");
    let draft: Entered = serde_json::from_slice(&json).expect("both sides of the socket have one draft");
    let (state, nation) = &*IMPORTER;
    let ledger = Ledger::of(state);
    let entry = Entry { ledger: &ledger, nation: *nation, draft: &draft, if_version: None, id: "0000000001" };
    if let Err(error) = prepare(&entry) {
        assert!(!error.to_string().is_empty());
    }
}

fn scenario(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Scenario::parse("fuzz.toml", text) {
        Ok(scenario) => {
            let codes = scenario.codes();
            assert!(scenario.leaver().is_none_or(|leaver| codes.contains(&leaver)));
            let again = scenario.clone().among(&codes).map(|scenario| scenario.codes());
            assert_eq!(again.ok(), Some(codes));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).expect("fits")
}
