//! A real conflict of the charter: half the nations seal two motions, and everybody who meets both sees who did, and works on.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Alliance, Node, comity, converge, need, ok, until};
use crate::refounding::{found_anew, home_anew};

const LIARS: [&str; 2] = ["DEU", "FRA"];

/// Has an honest nation and two that lie seal a motion, by what one node knows.
fn seal(alliance: &Alliance, node: &Node, honest: &str, motion: &str, log_ending: &str) {
    for step in ["support", "seal"] {
        alliance.cast(node, honest, step, motion, &[]);
        for code in LIARS {
            let log = alliance.path(&format!("{code}{log_ending}"));
            alliance.cast(node, code, step, motion, &["--log", &log]);
        }
    }
    until("the motion is adopted", || (node.status()["charter"]["height"] == 1).then_some(()));
}

fn lines(shown: &Value) -> Vec<String> {
    let lines = shown["lines"].as_array().expect("lines").iter();
    lines.map(|line| line.as_str().expect("text").to_owned()).collect()
}

#[test]
fn two_sealed_motions_freeze_membership_name_who_signed_both_and_stop_nobody_from_writing() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU", "FRA"]);
    // Who means to sign twice keeps two logs of one key.
    for code in LIARS {
        let log = |ending: &str| alliance.path(&format!("{code}{ending}"));
        fs::copy(log(".root.log"), log(".other.log")).expect("our own files");
    }
    let ukr = alliance.start("UKR", &[]);
    let pol = alliance.start("POL", &[]);
    let one = alliance.propose(&ukr, "more keys", &["--max-active-keys", "9"]);
    let other = alliance.propose(&pol, "longer chains", &["--chain-quota", "300000000"]);
    seal(&alliance, &ukr, "UKR", &one, ".root.log");
    seal(&alliance, &pol, "POL", &other, ".other.log");
    assert_eq!(pol.stop(), 0);
    let pol = alliance.start("POL", &["--peer", &ukr.address]);
    let nodes = [&ukr, &pol];
    until("both know of both", || {
        nodes.iter().all(|node| node.json(&["charter", "show"])["conflict"] != Value::Null).then_some(())
    });
    for node in nodes {
        assert_eq!(node.status()["charter"]["height"], 0, "frozen where both motions start");
        let shown = node.json(&["forks", "show", "charter"]);
        let titles: Vec<&Value> =
            shown["said"].as_array().expect("two").iter().map(|said| &said["records"][0]).collect();
        assert!(titles.contains(&&json!("more keys")) && titles.contains(&&json!("longer chains")), "{shown:#}");
        let lines = lines(&shown);
        assert_eq!(lines[0], "Two motions that change version 0 are sealed:");
        assert!(lines.contains(&"Signed by both: DEU, FRA (2 of 4).".to_owned()), "{lines:#?}");
        assert!(
            lines.contains(&"Membership is frozen at version 0. Ordinary work continues.".to_owned()),
            "{lines:#?}"
        );
        let printed = node.run(&["forks", "show", "charter"]).stdout;
        for part in ["\"more keys\", in round 0", "\"longer chains\", in round 0", "comity genesis draft --parent"] {
            assert!(printed.contains(part), "no {part:?} in {printed}");
        }
        let listed = node.run(&["forks"]).stdout;
        assert!(listed.contains("charter") && listed.contains("the willing found the alliance again"), "{listed}");
        assert_eq!(node.json(&["charter", "show"])["conflict"]["accused"], json!(["DEU", "FRA"]));
        let warned = node.status()["warnings"].to_string();
        assert!(warned.contains("two motions are sealed for the charter version in force"), "{warned}");
    }
    nothing_is_decided(&alliance, &ukr, &one);
    // Ordinary work goes on, between those two and with a nation that lied.
    let requirement = need(&ukr, "100");
    until("it arrives", || (pol.run(&["show", &requirement]).code == 0).then_some(()));
    pol.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "40"]);
    let deu = alliance.start("DEU", &["--peer", &ukr.address, "--peer", &pol.address]);
    until("it has the record", || (deu.run(&["show", &requirement]).code == 0).then_some(()));
    deu.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "10"]);
    converge(&[&ukr, &pol, &deu]);
    founded_anew_with_the_proof(&alliance, &ukr);
}

fn nothing_is_decided(alliance: &Alliance, node: &Node, motion: &str) {
    let frozen = node.json(&["motion", "list"])["frozen"].clone();
    assert!(frozen.as_str().is_some_and(|why| why.contains("two motions are sealed")), "{frozen}");
    let propose = ["motion", "propose", "--title", "x", "--max-active-keys", "12", "--out", &alliance.path("x")];
    node.run(&propose).fails(1, &["no motion can be adopted any more", "comity genesis draft --parent"]);
    alliance.vote("POL", "support", motion, &alliance.charter_of(node), &[]).fails(1, &["two motions are sealed"]);
}

/// An auditor finds the conflict in the old record, which the new alliance keeps.
fn founded_anew_with_the_proof(alliance: &Alliance, node: &Node) {
    let bundle = alliance.path("old.bundle");
    assert_eq!(node.run(&["export", "bundle", "--out", &bundle]).code, 0);
    let audited = comity(&["verify", &bundle, "--json"]).json();
    assert_eq!(audited["conflict"]["accused"], json!(["DEU", "FRA"]));
    let (genesis, words) = found_anew(alliance, &alliance.charter_of(node), &["UKR", "POL"], "Anew");
    assert!(words.contains("here: POL UKR; not here: DEU FRA"), "{words}");
    let home = home_anew(alliance, &genesis, "UKR", "anew");
    ok(&["--home", &home, "archive", "add", &bundle]);
    let archived = comity(&["--home", &home, "archive", "list", "--json"]).json()["archives"][0].clone();
    assert_eq!((&archived["conflict"], &archived["statements"]), (&json!(true), &json!(3)));
    let charter = ok(&["--home", &home, "archive", "charter"]);
    assert!(charter.contains("CONFLICT") && charter.contains("signed for both: DEU, FRA"), "{charter}");
}
