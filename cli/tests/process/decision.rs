//! Deciding by silence over real nodes: the short way, where all assent, and what is refused.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Alliance, Node, until};

/// Returns a moment so many hours from now.
fn in_hours(hours: i64) -> String {
    let at = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(hours)).expect("a moment");
    format!("{at:.0}")
}

fn text(alliance: &Alliance) -> String {
    let path = alliance.path("text.txt");
    fs::write(&path, "POL leads on shelter.\nFor a year.\n").expect("our own file");
    path
}

fn shown(node: &Node, proposal: &str) -> Value {
    node.json(&["decision", "show", proposal])
}

/// Waits until a node holds a proposal.
fn arrives(node: &Node, proposal: &str) {
    until("the proposal arrives", || (node.run(&["decision", "show", proposal]).code == 0).then_some(()));
}

#[test]
fn a_short_proposal_is_adopted_when_all_three_have_assented_and_not_before() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let nodes = alliance.start_all();
    let [ukr, pol, deu] = &nodes[..] else { panic!("three nodes") };
    let (text, closes) = (text(&alliance), in_hours(2));
    let propose = ["decision", "propose", "--title", "who leads", "--text", &text, "--closes-at", &closes];
    ukr.run(&propose).fails(2, &["less than 24 hours", "cause: it opens at", "hint:", "--short"]);
    let made = ukr.run(&[&propose[..], &["--short", "--subject-key", "lead/shelter", "--json"]].concat());
    assert!(made.stderr.contains("every participant must assent"), "{made:?}");
    let proposal = made.json()["record"].as_str().expect("a record").to_owned();
    for node in [pol, deu] {
        arrives(node, &proposal);
    }
    for (node, left) in [(ukr, 2), (pol, 1), (deu, 0)] {
        let before = shown(node, &proposal);
        assert_eq!((&before["state"], &before["short"]), (&json!("open"), &json!(true)), "{before:#}");
        assert_eq!(node.run(&["decision", "assent", &proposal]).code, 0);
        until("the assent is here", || {
            let all = [ukr, pol, deu].map(|node| shown(node, &proposal));
            let open = |row: &Value| {
                let parties = row["participants"].as_array().expect("a list");
                parties.iter().filter(|party| party["stance"] != "assented").count() == left
            };
            all.iter().all(open).then_some(())
        });
    }
    for node in [ukr, pol, deu] {
        assert_eq!(shown(node, &proposal)["state"], "adopted");
    }
    deu.run(&["decision", "assent", &proposal]).fails(1, &["said so already", "hint: each participant"]);
    let late = pol.run(&["decision", "object", &proposal, "--text", "too late"]);
    assert!(late.code == 0 && late.stderr.contains("the proposal is adopted"), "{late:?}");
    assert_eq!(shown(pol, &proposal)["state"], "adopted", "an assent stands for good");
    let listed = ukr.run(&["decision", "list", "--state", "adopted"]).stdout;
    assert!(listed.contains(&proposal) && listed.contains("who leads"), "{listed}");
    let words = ukr.run(&["decision", "show", &proposal]).stdout;
    for part in ["ADOPTED", "means", "final", "SHA-256", "| POL leads on shelter.", "DEU   assented"] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
}

#[test]
fn an_objection_breaks_the_silence_and_an_extension_moves_the_deadline_once() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let [ukr, pol] = &nodes[..] else { panic!("two nodes") };
    let (text, closes) = (text(&alliance), in_hours(48));
    let propose = ["decision", "propose", "--title", "who leads", "--text", &text, "--closes-at", &closes, "--json"];
    let proposal = ukr.run(&propose).json()["record"].as_str().expect("a record").to_owned();
    arrives(pol, &proposal);
    let asked = pol.run(&["decision", "extend", &proposal, "--text", "our parliament meets on Monday"]);
    assert!(asked.code == 0 && asked.stderr.contains("note: the proposal now closes at"), "{asked:?}");
    assert_ne!(shown(pol, &proposal)["deadline"], shown(pol, &proposal)["closes_at"]);
    pol.run(&["decision", "extend", &proposal]).fails(1, &["said so already", "one extension"]);
    let objected = pol.run(&["decision", "object", &proposal, "--text", "not without our parliament"]);
    assert!(objected.code == 0 && objected.stderr.contains("the proposal is broken"), "{objected:?}");
    until("the objection arrives", || (shown(ukr, &proposal)["state"] == "broken").then_some(()));
    let words = ukr.run(&["decision", "show", &proposal]).stdout;
    assert!(words.contains("POL   objected") && words.contains("not without our parliament"), "{words}");
    let exported = ukr.run(&["export", "jsonl"]).stdout;
    assert!(
        exported.lines().any(|line| line.contains("\"propose\"") && line.contains("\"derived\":\"broken\"")),
        "{exported}"
    );
    assert!(ukr.run(&["explain", &proposal]).code == 0);
}

#[test]
fn what_cannot_be_decided_is_refused_with_a_reason() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let nodes = alliance.start_all();
    let [ukr, pol, deu] = &nodes[..] else { panic!("three nodes") };
    let (text, closes) = (text(&alliance), in_hours(48));
    let propose = |closes: &str, participants: &str, file: &str| {
        let args = ["--title", "t", "--text", file, "--closes-at", closes, "--participants", participants, "--json"];
        ukr.run(&[&["decision", "propose"], &args[..]].concat())
    };
    propose("2020-01-01T00:00:00Z", "UKR,POL", &text).fails(2, &["the deadline has passed already", "hint:"]);
    propose("tomorrow", "UKR,POL", &text).fails(2, &["is no moment", "hint: write"]);
    propose(&closes, "UKR,XYZ", &text).fails(2, &["no member has the code", "XYZ"]);
    propose(&closes, "POL,DEU", &text).fails(1, &["only the participant may write this: DEU POL"]);
    propose(&closes, "UKR,POL", &alliance.path("nowhere")).fails(4, &["cannot read"]);
    let proposal = propose(&closes, "UKR,POL", &text).json()["record"].as_str().expect("a record").to_owned();
    for node in [pol, deu] {
        arrives(node, &proposal);
    }
    deu.run(&["decision", "object", &proposal]).fails(1, &["only the participant may write this: POL UKR"]);
    pol.run(&["decision", "assent", "UKR/propose/zzzzzzzzzz"]).fails(2, &["names no proposal here", "hint:"]);
    assert_eq!(ukr.run(&["decision", "withdraw", &proposal]).code, 0);
    until("the withdrawal arrives", || (pol.run(&["decision", "object", &proposal]).code == 1).then_some(()));
    pol.run(&["decision", "object", &proposal]).fails(1, &["withdrawn"]);
    // A text too long for a statement goes by its hash alone.
    let long = alliance.path("long.txt");
    fs::write(&long, "x".repeat(5_000)).expect("our own file");
    let made = propose(&closes, "UKR,POL", &long);
    assert!(made.stderr.contains("only the hash of the text is stored"), "{made:?}");
    let row = shown(ukr, made.json()["record"].as_str().expect("a record"));
    assert_eq!((&row["text"], row["text_hash"].as_str().map(str::len)), (&Value::Null, Some(64)));
}
