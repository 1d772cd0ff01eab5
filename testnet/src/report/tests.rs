use super::*;

fn cover(item: &str, quantity: u64, cover_firm: u64, gap_firm: u64) -> CoverageRow {
    let (requirement, item) = (format!("UKR/requirement/{item}"), item.to_owned());
    CoverageRow { requirement, item, quantity, unit: "each".to_owned(), cover_firm, gap_firm }
}

/// Food falls below its need without the leaver, fuel was short before, tents stay covered.
fn coverage() -> Coverage {
    Coverage {
        before: vec![cover("food", 1000, 1100, 0), cover("fuel", 500, 100, 400), cover("tents", 50, 50, 0)],
        after: vec![cover("food", 1000, 500, 500), cover("fuel", 500, 100, 400), cover("tents", 50, 50, 0)],
    }
}

#[test]
fn what_is_uncovered_without_the_leaver_is_listed_whether_or_not_it_was_covered_before() {
    let uncovered: Vec<String> = coverage().uncovered().into_iter().map(|row| row.item).collect();
    assert_eq!(uncovered, ["food", "fuel"]);
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
    let row = serde_json::to_value(&coverage().before[0]).unwrap();
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
    let coverage = coverage();
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
