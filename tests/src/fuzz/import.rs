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
use comity_testnet::fts::FtsFile;
use comity_testnet::kiel::{KielFile, Kind, RECIPIENT};
use comity_testnet::scenario::Scenario;

/// The head of the tracker's item list.
pub const KIEL_HEAD: &str = "ID,countries,Announcement Date,Type of Aid General,Type of Aid Specific,Explanation,\
    Type of item,Sub-type of item,No. of Units,Original Currency,Monetary Value as Given by Source\n";
/// The head of the service's flow export.
pub const FTS_HEAD: &str = "id,date,amountUSD,srcOrganization,destLocations,originalAmount,originalCurrency,status\n";
/// Rows of a file that are also entered as statements.
const ENTERED_MAX: usize = 8;
/// Bytes of one draft: its texts are cut, and everything else of it is short.
const DRAFT_BYTES_MAX: usize = 8_192;

/// The record of a nation that imports.
static IMPORTER: LazyLock<(State, NationId)> = LazyLock::new(|| {
    let alliance = TestAlliance::new(1, &[("POL", 1), ("UKR", 1)]);
    (alliance.state(), alliance.nations[0].id)
});

/// Reads a first byte as what follows: 0 and 1 mod 5 a file of flows, whole or behind its head, 2 and 3 an item list, whole
/// or behind its head, 4 a scenario.
pub fn run(bytes: &[u8]) {
    let Some((&form, rest)) = bytes.split_first() else { return };
    match form % 5 {
        0 => flows(rest),
        1 => flows(&[FTS_HEAD.as_bytes(), rest].concat()),
        2 => items(rest),
        3 => items(&[KIEL_HEAD.as_bytes(), rest].concat()),
        _ => scenario(rest),
    }
}

fn flows(bytes: &[u8]) {
    let Ok(file) = FtsFile::parse(Path::new("flows"), bytes) else { return };
    assert_eq!(file.read, count(file.rows.len()) + count(file.refused.len()), "no row is lost");
    for refused in &file.refused {
        assert!(refused.line >= 1, "a refused row has its line");
        assert!(!refused.refusal.to_string().is_empty());
    }
    for (at, row) in file.rows.iter().enumerate() {
        assert!(row.line >= 1 && row.name.len() <= 81);
        observation(&row.draft, at);
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
