use serde_json::{Value, json};

use super::*;
use crate::wire::Board;

fn board() -> Board {
    let pledge = |nation: &str, in_transit: u64, to_ship: u64| json!({ "nation": nation, "buckets": { "in_transit": in_transit, "to_ship": to_ship } });
    let row = |id: &str, cover: Value, pledges: Vec<Value>| json!({ "requirement": format!("UKR/requirement/{id}"), "item": id, "cover": cover, "pledges": pledges });
    let cover = |quantity: u64, delivered: u64, in_transit: u64, to_ship: u64, gap_firm: u64| {
        json!({ "unit": "each", "quantity": quantity, "delivered": delivered, "in_transit": in_transit,
            "to_ship": to_ship, "gap_firm": gap_firm })
    };
    serde_json::from_value(json!({ "rows": [
        row("food", cover(1000, 300, 200, 600, 0), vec![pledge("USA", 200, 400), pledge("DEU", 0, 200)]),
        row("fuel", cover(500, 0, 0, 100, 400), vec![pledge("DEU", 0, 100)]),
        row("closed", cover(500, 0, 0, 100, 0), vec![pledge("USA", 0, 100)]),
    ] }))
    .unwrap()
}

#[test]
fn without_the_leaver_its_deliveries_stay_and_the_rest_is_gone() {
    let coverage = coverage(&board(), Some("USA"));
    let figures = |rows: &[CoverageRow]| rows.iter().map(|row| (row.cover_firm, row.gap_firm)).collect::<Vec<_>>();
    assert_eq!(figures(&coverage.before), [(1100, 0), (100, 400), (100, 0)]);
    assert_eq!(figures(&coverage.after), [(500, 500), (100, 400), (0, 0)]);
    let uncovered: Vec<String> = coverage.uncovered().into_iter().map(|row| row.item).collect();
    assert_eq!(uncovered, ["food", "fuel"]);
}

#[test]
fn without_anybody_leaving_nothing_changes() {
    let coverage = coverage(&board(), None);
    assert_eq!(coverage.before, coverage.after);
}

#[test]
fn the_json_has_every_key_the_interface_names() {
    let report = Report { converged: true, ..Report::default() };
    let json = serde_json::to_value(&report).unwrap();
    for key in [
        "scenario",
        "seed",
        "nations",
        "statements_acknowledged",
        "statements_lost",
        "unreplicated_at_kill",
        "converged",
        "links_up_ms",
        "heal_to_converged_ms",
        "state_digests",
        "coverage_before",
        "coverage_after",
        "uncovered",
        "rows",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    let row = serde_json::to_value(&coverage(&board(), None).before[0]).unwrap();
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    let mut expected = ["requirement", "item", "quantity", "unit", "cover_firm", "gap_firm"];
    let mut keys: Vec<&str> = keys.into_iter().map(String::as_str).collect();
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);
}

#[test]
fn only_convergence_without_loss_or_leak_is_a_success() {
    let good = Report { converged: true, ..Report::default() };
    assert_eq!(good.exit(), 0);
    assert_eq!(Report { converged: false, ..good.clone() }.exit(), 1);
    assert_eq!(Report { statements_lost: 1, ..good.clone() }.exit(), 1);
    let leak = Cut { sides: vec![], kind: CutKind::Silent, noticed_ms: None, bytes_crossed: 1, statements_during: 0 };
    assert_eq!(Report { cuts: vec![leak], ..good.clone() }.exit(), 1);
    assert_eq!(Report { problems: vec!["a node did not come back".to_owned()], ..good }.exit(), 1);
}

#[test]
fn the_text_names_cover_losses_and_where_things_are() {
    let coverage = coverage(&board(), Some("USA"));
    let report = Report {
        scenario: "largest-donor-leaves".to_owned(),
        nations: vec!["UKR".to_owned(), "USA".to_owned()],
        uncovered: coverage.uncovered(),
        coverage_before: coverage.before,
        coverage_after: coverage.after,
        lost: vec!["DEU/pledge/7k3m9q2x4d@00".to_owned()],
        statements_lost: 1,
        leaver: Some(Leave {
            nation: "USA".to_owned(),
            statements_acknowledged: 55,
            last_acknowledged_before_kill_ms: Some(12),
            home_intact: true,
        }),
        dir: Some(PathBuf::from("/tmp/run")),
        ..Report::default()
    };
    let text = report.text();
    for part in [
        "left for good       USA after 55 acknowledged statements, the last 12 ms before",
        "500 each",
        "without USA: 2 of 3 requirements are not firmly covered",
        "DEU/pledge/7k3m9q2x4d@00",
        "NOT converged",
        "/tmp/run/logs",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}
