//! Nodes that reach each other end with the same record.

use serde_json::Value;

use crate::harness::{Alliance, Node, converge, need, row, until};

#[test]
fn two_nations_agree_on_a_need_a_pledge_and_its_acceptance() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let (ukr, pol) = (&nodes[0], &nodes[1]);
    let requirement = need(ukr, "1000");
    until("the need reaches Poland", || pol.run(&["show", &requirement]).stdout.contains("tents").then_some(()));
    let (pledge, _) = pol.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "400", "--wait", "1"]);
    let answer = ukr.json(&["accept", "add", "--pledge", &pledge, "--quantity", "300", "--wait", "1"]);
    assert_eq!((&answer["wait_satisfied"], &answer["held_by"][0]), (&Value::Bool(true), &"POL".into()));
    converge(&[ukr, pol]);
    let gaps = pol.json(&["gaps"]);
    let gap = row(&gaps, "requirement", &requirement);
    assert_eq!((&gap["to_ship"], &gap["offered"], &gap["gap_firm"]), (&300.into(), &100.into(), &700.into()));
}

#[test]
fn seven_nations_end_with_one_record() {
    let codes = ["UKR", "POL", "DEU", "FRA", "GBR", "USA", "EUI"];
    let alliance = Alliance::found(&codes);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "1000");
    for node in &nodes[1..] {
        until("the need arrives", || (node.run(&["show", &requirement]).code == 0).then_some(()));
        node.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "100"]);
    }
    until("all pledges arrive", || {
        let gaps = nodes[0].json(&["gaps"]);
        (row(&gaps, "requirement", &requirement)["offered"] == 600).then_some(())
    });
    converge(&nodes.iter().collect::<Vec<_>>());
}

#[test]
fn a_nation_that_never_meets_the_author_gets_its_statements_through_another() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let pol = alliance.start("POL", &[]);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    let requirement = need(&ukr, "50");
    until("Poland holds it", || (pol.run(&["show", &requirement]).code == 0).then_some(()));
    ukr.kill();
    let deu = alliance.start("DEU", &["--peer", &pol.address]);
    until("Germany holds it", || (deu.run(&["show", &requirement]).code == 0).then_some(()));
    converge(&[&pol, &deu]);
}

#[test]
fn the_same_key_gives_the_same_answer_and_other_content_is_refused() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let add = |quantity: &'static str| {
        [
            "requirement",
            "add",
            "--item",
            "tents",
            "--class",
            "II",
            "--unit",
            "each",
            "--id",
            "a1",
            "--quantity",
            quantity,
        ]
    };
    let first = ukr.json(&add("10"));
    let again = ukr.json(&add("10"));
    assert_eq!((&first["record"], &first["version"]), (&again["record"], &again["version"]));
    assert_eq!((&first["replayed"], &again["replayed"]), (&Value::Bool(false), &Value::Bool(true)));
    ukr.run(&add("11")).fails(1, &[]);
    let code = ukr.stop();
    assert_eq!(code, 0);
    let ukr = alliance.start("UKR", &[]);
    assert_eq!(ukr.json(&add("10"))["version"], first["version"], "the key survives a restart");
}

#[test]
fn a_revision_names_the_version_it_expects() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let add = ["requirement", "add", "--item", "tents", "--class", "II", "--unit", "each", "--quantity", "10"];
    let (record, first) = ukr.write(&add);
    let (_, second) = ukr.write(&["requirement", "revise", &record, "--quantity", "12", "--if-version", &first]);
    assert_ne!(first, second);
    ukr.run(&["requirement", "revise", &record, "--quantity", "13", "--if-version", &first]).fails(1, &[]);
    let shown = ukr.json(&["show", &record]);
    assert_eq!((&shown["record"]["fields"]["quantity"], &shown["record"]["version"]), (&12.into(), &second.into()));
    ukr.write(&["requirement", "withdraw", &record]);
    assert_eq!(ukr.json(&["show", &record])["record"]["status"], "withdrawn");
}

#[test]
fn an_address_is_learnt_from_a_members_own_profile() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let pol = alliance.start("POL", &[]);
    let deu = alliance.start("DEU", &["--peer", &pol.address]);
    let ukr = alliance.start("UKR", &["--peer", &deu.address]);
    until("Ukraine reaches Germany only", || (ukr.connected() == 1 && pol.connected() == 1).then_some(()));
    pol.write(&["profile", "add", "--name", "Poland", "--addresses", &pol.address]);
    until("Ukraine reaches Poland too", || (ukr.connected() == 2 && pol.connected() == 2).then_some(()));
}

#[test]
fn a_node_that_hears_of_too_few_nations_says_that_its_record_may_be_old() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU", "FRA"]);
    for code in &alliance.codes {
        // Four heartbeats are how long a nation may say nothing.
        let config = "[witness]\non_change_ms = 500\nheartbeat_ms = 2000\n";
        std::fs::write(format!("{}/comity.toml", alliance.home(code)), config).expect("our own file");
    }
    let mut nodes = alliance.start_all();
    let ukr = nodes.remove(0);
    let requirement = need(&ukr, "10");
    let age = || ukr.status()["age"].clone();
    let silent = |age: &serde_json::Value| {
        let rows = age["nations"].as_array().expect("nations").iter().filter(|row| row["silent"] == true);
        rows.map(|row| row["nation"].as_str().expect("a code").to_owned()).collect::<Vec<_>>()
    };
    until("every witness is heard", || {
        let rows = age()["nations"].as_array().expect("nations").clone();
        rows.iter().all(|row| row["last_witness"].is_string() && row["silent"] == false).then_some(())
    });
    assert_eq!(age()["silent_after_ms"], 8_000);
    until("its record is new", || (age()["old"] == false).then_some(()));
    // One of four is dark: that is said, and a quorum is heard of still.
    let fra = nodes.remove(2);
    assert_eq!(fra.stop(), 0);
    until("France alone is silent", || {
        let age = age();
        (silent(&age) == ["FRA"] && age["old"] == false).then_some(())
    });
    until("the board says so", || ukr.run(&["board"]).stdout.contains("not heard of lately: FRA\n").then_some(()));
    // Nobody is reached any more: what the node holds is all it shows, and it says how old that is.
    nodes.into_iter().for_each(|node| assert_eq!(node.stop(), 0));
    let old = until("all are silent", || Some(age()).filter(|age| silent(age) == ["DEU", "FRA", "POL"]));
    let told = (&old["heard_of"], &old["quorum"], &old["old"]);
    assert_eq!(told, (&1.into(), &3.into(), &true.into()), "{old:#}");
    let status = ukr.status();
    let words = "nothing was heard of DEU, FRA, POL for 8 s, and 3 of 4 nations are needed";
    assert!(status["warnings"].to_string().contains(words), "{:#}", status["warnings"]);
    let board = ukr.run(&["board"]).stdout;
    assert!(board.contains("WARNING: the record may be old") && board.contains(&requirement), "{board}");
    assert_eq!(ukr.json(&["board"])["age"]["old"], true);
    assert!(ukr.run(&["status"]).stdout.contains("heard      DEU "));
    // It goes on writing, and is told when others are back.
    need(&ukr, "20");
    let back: Vec<Node> = ["POL", "DEU"].map(|code| alliance.start(code, &["--peer", &ukr.address])).into();
    until("it is new again", || (age()["old"] == false).then_some(()));
    assert_eq!(back.len(), 2);
}
