//! Exercises about keys, rosters, votes and homes, with real processes: what each shows stands in its scenario.

use serde_json::{Value, json};

use crate::run::{alone, testnet};
use crate::schema::Schema;

/// Runs an exercise whose every expectation must hold; returns its report.
#[track_caller]
fn exercise(name: &str) -> Value {
    let _alone = alone();
    let report = testnet(&["exercise", name, "--json"]).json(0);
    Schema::committed().check("testnet exercise", &report);
    assert_eq!(report["problems"], json!([]), "{report:#}");
    assert_eq!((&report["converged"], &report["statements_lost"]), (&json!(true), &json!(0)), "{report:#}");
    let findings = list(&report, "findings");
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding["held"] == true), "{report:#}");
    report
}

#[track_caller]
fn list<'a>(report: &'a Value, key: &str) -> &'a Vec<Value> {
    report[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {report}"))
}

/// How a batch of statements stood at the end.
#[track_caller]
fn standing<'a>(report: &'a Value, batch: &str) -> &'a Value {
    let said = list(report, "said").iter().find(|said| said["batch"] == batch);
    &said.unwrap_or_else(|| panic!("no {batch} in {report:#}"))["standing"]
}

/// Who signed what in these words, and was not refused.
fn signers(report: &Value, what: &str) -> Vec<String> {
    let signed = list(report, "signed").iter().filter(|signed| signed["what"] == what && signed["refused"].is_null());
    signed.filter_map(|signed| signed["nation"].as_str().map(str::to_owned)).collect()
}

#[test]
fn what_two_thirds_had_seen_stands_though_a_stolen_key_forks_at_the_first_number() {
    let report = exercise("stolen-key");
    let seen = list(&report, "said").iter().find(|said| said["batch"] == "seen").expect("it was said");
    assert_eq!((&seen["standing"], &seen["final"]), (&json!("accepted"), &json!(true)), "{seen}");
    for cut_off in ["unseen", "forged"] {
        assert_eq!(standing(&report, cut_off), "disavowed");
    }
    assert_eq!(standing(&report, "goes-on"), "accepted");
    assert_eq!(report["outsiders"], json!(["NOR", "NOR-thief"]));
    // The owner's two statements are held as evidence; the thief's were never anybody's promise.
    assert_eq!(list(&report, "set_aside").len(), 2, "{report:#}");
}

#[test]
fn a_restored_backup_waits_for_its_peers_and_never_says_a_number_twice() {
    let report = exercise("restored-backup");
    for batch in ["after-the-backup", "after-the-restore"] {
        assert_eq!(standing(&report, batch), "accepted");
    }
    let typed: Vec<&str> = list(&report, "commands").iter().filter_map(|command| command["command"].as_str()).collect();
    assert!(typed.iter().any(|typed| typed.starts_with("node backup")), "{typed:?}");
    assert_eq!(list(&report, "set_aside"), &Vec::<Value>::new());
}

#[test]
fn a_removed_nations_earlier_statements_stand_and_its_later_ones_do_not() {
    let report = exercise("nation-removed");
    assert_eq!(standing(&report, "while-a-member"), "accepted");
    assert_eq!(standing(&report, "meanwhile"), "post_removal");
    assert_eq!(report["outsiders"], json!(["USA"]));
    for step in ["support", "seal"] {
        let signers = signers(&report, &format!("{step} \"without-usa\" in round 0"));
        assert_eq!(signers, ["DEU", "FRA", "GBR", "POL", "UKR"], "{report:#}");
    }
}

#[test]
fn an_admitted_nations_node_starts_from_nothing_and_has_the_whole_record() {
    let report = exercise("nation-admitted");
    assert_eq!(standing(&report, "first-words"), "accepted");
    assert_eq!(report["state_digests"].as_object().map(serde_json::Map::len), Some(5));
    assert_eq!(report["outsiders"], json!([]));
}

#[test]
fn a_stolen_root_is_replaced_and_what_its_thief_enrolled_counts_no_more() {
    let report = exercise("root-replaced");
    assert_eq!(standing(&report, "rogue"), "suspended");
    assert_eq!(standing(&report, "honest"), "accepted");
    assert_eq!(standing(&report, "under-the-new-root"), "accepted");
    assert_eq!(report["outsiders"], json!(["NOR-rogue"]));
}

#[test]
fn a_vote_that_is_split_in_one_round_is_decided_in_the_next() {
    let report = exercise("split-vote");
    assert_eq!(signers(&report, "support \"small\" in round 0"), ["POL", "UKR"]);
    assert_eq!(signers(&report, "support \"large\" in round 0"), ["DEU", "NOR"]);
    assert_eq!(signers(&report, "seal \"small\" in round 1"), ["DEU", "POL", "UKR"]);
    let refused = list(&report, "signed").iter().filter(|signed| signed["refused"].is_string()).count();
    assert_eq!(refused, 4, "{report:#}");
}

#[test]
fn groups_that_are_never_linked_converge_by_files_carried_both_ways() {
    let report = exercise("courier");
    assert_eq!((standing(&report, "east"), standing(&report, "west")), (&json!("accepted"), &json!("accepted")));
    let digests: Vec<&Value> = report["state_digests"].as_object().expect("digests").values().collect();
    assert!(digests.len() == 4 && digests.windows(2).all(|pair| pair[0] == pair[1]), "{report:#}");
}

#[test]
fn an_expectation_that_does_not_hold_is_exit_code_1_and_named() {
    let _alone = alone();
    let dir = tempfile::TempDir::new().expect("a folder");
    let path = dir.path().join("vain.toml");
    let text = "name = \"vain\"\nseed = 1\nas_of = 1\n[[nation]]\ncode = \"UKR\"\n[[nation]]\ncode = \"POL\"\n\
        [[timeline]]\nstep = \"expect\"\nwhat = \"charter\"\nheight = 7\nwithin_s = 1\n";
    std::fs::write(&path, text).expect("a file");
    let ran = testnet(&["exercise", path.to_str().expect("a plain path")]);
    ran.fails(1, &["an expectation of the exercise did not hold", "the charter is at version 7"]);
    assert!(ran.stdout.contains("NOT HELD"), "{ran:?}");
}

#[test]
fn the_built_in_exercises_are_listed() {
    let list = testnet(&["exercise", "--list", "--json"]).json(0);
    Schema::committed().check("testnet exercise", &list);
    let names: Vec<&str> =
        list["scenarios"].as_array().expect("a list").iter().filter_map(|row| row["name"].as_str()).collect();
    let trust = [
        "stolen-key",
        "restored-backup",
        "nation-removed",
        "nation-admitted",
        "root-replaced",
        "split-vote",
        "courier",
    ];
    assert!(trust.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(testnet(&["exercise", "--list"]).stdout.contains("largest-donor-leaves"));
}
