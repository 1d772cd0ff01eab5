//! Rosters: what breaks a step rule is refused with the rule before anybody signs, and no root signs one version twice.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::harness::{Alliance, comity, need, ok};

/// Drafts, signs and imports nothing: a draft command on the roster of `UKR`.
fn draft(alliance: &Alliance, verb: &str, prev: &str, out: &str, more: &[&str]) -> crate::harness::Ran {
    let (genesis, prev, out) = (alliance.path("genesis"), alliance.path(prev), alliance.path(out));
    let args = ["roster", verb, "--genesis", &genesis, "--prev", &prev, "--out", &out];
    comity(&[args.as_slice(), more].concat())
}

fn sign(alliance: &Alliance, code: &str, draft: &str, out: &str, more: &[&str]) -> crate::harness::Ran {
    let (root, out) = (alliance.path(&format!("{code}.root")), alliance.path(out));
    let draft = alliance.path(draft);
    comity(&[["roster", "sign", draft.as_str(), "--root", &root, "--out", &out].as_slice(), more].concat())
}

fn request(alliance: &Alliance, name: &str) -> String {
    let home = alliance.home(name);
    ok(&["--home", &home, "init", "--genesis", &alliance.path("genesis"), "--nation", "UKR", "--label", name]);
    format!("{home}/node.request")
}

#[test]
fn a_roster_breaking_a_step_rule_is_refused_with_the_rule_before_anybody_signs() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let second = request(&alliance, "second");
    let witness = ["--request", &second, "--witness"];
    draft(&alliance, "enrol", "UKR.roster", "x", &witness).fails(1, &["step rule S8", "hint:"]);
    let cut = format!("5:{}", "ab".repeat(32));
    let retire = ["--node", "UKR", "--cut", &cut];
    assert_eq!(draft(&alliance, "retire", "UKR.roster", "r2.draft", &retire).code, 0);
    assert_eq!(sign(&alliance, "UKR", "r2.draft", "r2", &[]).code, 0);
    let higher = format!("6:{}", "ab".repeat(32));
    draft(&alliance, "lower-cut", "r2", "x", &["--node", "UKR", "--cut", &higher]).fails(1, &["step rule S6"]);
    draft(&alliance, "lower-cut", "UKR.roster", "x", &["--node", "UKR", "--cut", "0"]).fails(1, &["is active"]);
    assert_eq!(draft(&alliance, "close", "r2", "r3.draft", &[]).code, 0);
    assert_eq!(sign(&alliance, "UKR", "r3.draft", "r3", &[]).code, 0);
    draft(&alliance, "enrol", "r3", "x", &["--request", &second]).fails(1, &["step rule S9"]);
    assert!(!fs::exists(alliance.path("x")).expect("readable"), "nothing is left behind");
}

#[test]
fn a_node_is_retired_and_its_successor_enrolled_in_one_version() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let second = request(&alliance, "second");
    let more = ["--node", "UKR", "--cut", "0", "--enrol", &second, "--json"];
    let drafted = draft(&alliance, "retire", "UKR.roster", "r2.draft", &more).json();
    assert_eq!((&drafted["version"], drafted["keys"].as_array().map(Vec::len)), (&json!(2), Some(2)));
    let signed = sign(&alliance, "UKR", "r2.draft", "r2", &["--json"]).json();
    let changes = signed["changes"].as_array().expect("changes").clone();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(
        changes.iter().any(|line| line.as_str().is_some_and(|line| line.contains("as the witness"))),
        "{changes:?}"
    );
    assert_eq!(signed["code"], "UKR");
}

#[test]
fn a_root_never_signs_two_rosters_of_one_version_unless_the_first_was_never_published() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let (second, third) = (request(&alliance, "second"), request(&alliance, "third"));
    assert_eq!(draft(&alliance, "enrol", "UKR.roster", "a.draft", &["--request", &second]).code, 0);
    assert_eq!(draft(&alliance, "enrol", "UKR.roster", "b.draft", &["--request", &third]).code, 0);
    assert_eq!(sign(&alliance, "UKR", "a.draft", "a", &[]).code, 0);
    sign(&alliance, "UKR", "b.draft", "b", &[]).fails(1, &["another roster of version 2", "--replaces-unpublished"]);
    assert!(!fs::exists(alliance.path("b")).expect("readable"));
    assert_eq!(sign(&alliance, "UKR", "a.draft", "again", &[]).code, 0, "the same roster is signed again");
    let read = |name: &str| fs::read(alliance.path(name)).expect("our own file");
    assert_eq!(read("a"), read("again"), "byte for byte");
    let reason = ["--replaces-unpublished", "the stick was destroyed"];
    assert_eq!(sign(&alliance, "UKR", "b.draft", "b", &reason).code, 0);
    let log = comity(&["root", "log", &alliance.path("UKR.root"), "--json"]).json();
    let entries = log["entries"].as_array().expect("entries");
    assert_eq!((entries.len(), &log["complete_from"]), (3, &json!(0)));
    assert!(entries[2]["remark"].as_str().is_some_and(|remark| remark.contains("destroyed")), "{log}");
}

#[test]
fn a_root_without_its_log_or_with_a_damaged_or_foreign_one_signs_nothing() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let second = request(&alliance, "second");
    assert_eq!(draft(&alliance, "enrol", "UKR.roster", "a.draft", &["--request", &second]).code, 0);
    let log = PathBuf::from(alliance.path("UKR.root.log"));
    let text = fs::read_to_string(&log).expect("our own file");
    fs::remove_file(&log).expect("our own file");
    sign(&alliance, "UKR", "a.draft", "a", &[]).fails(1, &["is missing", "V6", "--new-log"]);
    fs::write(&log, text.replacen("complete-from: 0", "complete-from: 1", 1)).expect("our own file");
    sign(&alliance, "UKR", "a.draft", "a", &[]).fails(2, &["damaged", "backup"]);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("entry.")).collect();
    fs::write(&log, lines.join("\n") + "\n").expect("our own file");
    sign(&alliance, "UKR", "a.draft", "a", &[]).fails(2, &["damaged"]);
    fs::copy(alliance.path("POL.root.log"), &log).expect("our own file");
    sign(&alliance, "UKR", "a.draft", "a", &[]).fails(1, &["another root key", "V6"]);
    assert!(!fs::exists(alliance.path("a")).expect("readable"));
    fs::remove_file(&log).expect("our own file");
    assert_eq!(sign(&alliance, "UKR", "a.draft", "a", &["--new-log"]).code, 0);
}

#[test]
fn with_a_charter_file_the_next_roster_needs_no_other_file_and_the_node_takes_it() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    need(&nodes[0], "5");
    need(&nodes[0], "6");
    let second = request(&alliance, "second");
    let charter = alliance.path("charter");
    let exported = nodes[0].json(&["charter", "export", "--out", &charter]);
    assert_eq!(exported["records"], 3, "genesis and two rosters: {exported}");
    nodes[0].run(&["charter", "export", "--out", &charter]).fails(4, &["nothing is overwritten"]);
    let out = alliance.path("r2.draft");
    let retire = [
        "roster",
        "retire",
        "--charter",
        &charter,
        "--node",
        "UKR",
        "--cut",
        "last",
        "--enrol",
        &second,
        "--out",
        &out,
    ];
    let drafted = comity(&[retire.as_slice(), &["--json"]].concat()).json();
    let keys = drafted["keys"].as_array().expect("keys");
    let old = keys.iter().find(|key| key["label"] == "UKR").expect("the old key");
    assert_eq!((&old["cut_seq"], &drafted["version"]), (&json!(2), &json!(2)), "{drafted:#}");
    assert_eq!(sign(&alliance, "UKR", "r2.draft", "r2", &[]).code, 0);
    for node in &nodes {
        assert_eq!(node.json(&["roster", "import", &alliance.path("r2")])["refused"], json!([]));
        assert_eq!(node.json(&["nations"])["nations"][1]["roster_version"], 2);
    }
    let (stale, first) = (alliance.path("stale"), alliance.path("UKR.roster"));
    let charter = alliance.path("charter-2");
    nodes[0].json(&["charter", "export", "--out", &charter]);
    let enrol = ["roster", "enrol", "--charter", &charter, "--prev", &first, "--request", &second, "--out", &stale];
    comity(&enrol).fails(1, &["version 2", "in force already", "--prev"]);
}

#[test]
fn a_signed_roster_that_is_no_step_is_refused_by_the_node_with_the_rule() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let (second, third) = (request(&alliance, "second"), request(&alliance, "third"));
    assert_eq!(draft(&alliance, "enrol", "UKR.roster", "a.draft", &["--request", &second]).code, 0);
    assert_eq!(sign(&alliance, "UKR", "a.draft", "a", &[]).code, 0);
    assert_eq!(draft(&alliance, "enrol", "a", "b.draft", &["--request", &third]).code, 0);
    assert_eq!(sign(&alliance, "UKR", "b.draft", "b", &[]).code, 0);
    let home = alliance.home("POL");
    let import = |file: &str| comity(&["--home", &home, "roster", "import", &alliance.path(file)]);
    import("b").fails(1, &["S2", "rosters before it"]);
    let pol = alliance.start("POL", &[]);
    pol.run(&["roster", "import", &alliance.path("b")]).fails(1, &["S2", "rosters before it"]);
    let taken = pol.json(&["roster", "import", &alliance.path("a"), &alliance.path("b")]);
    assert_eq!((&taken["accepted"], &taken["known"]), (&json!(2), &json!(0)), "nothing was lost by asking too early");
}

#[test]
fn a_node_says_that_it_does_not_write_before_it_is_enrolled_and_once_its_key_is_retired() {
    let alliance = Alliance::draft(&["UKR", "POL"]);
    let home = alliance.home("UKR");
    let init = ["init", "--genesis", &alliance.path("genesis"), "--nation", "UKR", "--label", "kyiv-1"];
    ok(&[["--home", &home].as_slice(), &init].concat());
    let node = alliance.start("UKR", &[]);
    let stopped = |reason: &str, hint: &str| {
        let status = node.status();
        let authoring = &status["authoring"];
        assert_eq!(authoring["allowed"], false, "{authoring}");
        for (field, part) in [("reason", reason), ("hint", hint)] {
            assert!(authoring[field].as_str().is_some_and(|text| text.contains(part)), "no {part:?} in {authoring}");
        }
        assert!(status["warnings"].to_string().contains(reason), "{:#}", status["warnings"]);
        let words = node.run(&["status"]).stdout;
        assert!(words.contains("stopped: ") && words.contains("to do: "), "{words}");
        assert_eq!(node.run(&REQUIREMENT).code, 1);
    };
    assert_eq!(node.status()["standing"], "unknown");
    stopped("no roster of its nation held here lists its key", "comity roster enrol");
    let request = format!("{home}/node.request");
    let (draft, roster) = (alliance.path("r1.draft"), alliance.path("r1"));
    ok(&[
        "roster",
        "enrol",
        "--genesis",
        &alliance.path("genesis"),
        "--nation",
        "UKR",
        "--request",
        &request,
        "--out",
        &draft,
    ]);
    assert_eq!(sign(&alliance, "UKR", "r1.draft", "r1", &[]).code, 0);
    assert_eq!(node.run(&["roster", "import", &roster]).code, 0);
    assert_eq!(node.status()["authoring"], json!({"allowed": true, "reason": null, "hint": null}));
    let (_, version) = node.write(&REQUIREMENT);
    let cut = format!("1:{version}");
    assert_eq!(draft_of(&alliance, &cut).code, 0);
    assert_eq!(sign(&alliance, "UKR", "r2.draft", "r2", &[]).code, 0);
    assert_eq!(node.run(&["roster", "import", &alliance.path("r2")]).code, 0);
    assert_eq!(node.status()["standing"], "retired");
    stopped("roster 2 of its nation retires its key at 1", "comity init");
}

const REQUIREMENT: [&str; 10] =
    ["requirement", "add", "--item", "tents", "--class", "II", "--unit", "each", "--quantity", "5"];

fn draft_of(alliance: &Alliance, cut: &str) -> crate::harness::Ran {
    draft(alliance, "retire", "r1", "r2.draft", &["--node", "kyiv-1", "--cut", cut])
}
