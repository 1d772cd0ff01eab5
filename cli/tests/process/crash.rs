//! Kill -9 loses nothing that was acknowledged; a stopped store that changed is noticed.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{Alliance, comity, command, converge, need, until};

#[test]
fn a_node_killed_in_a_burst_has_every_acknowledged_statement() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let mut acknowledged = Vec::new();
    for round in 0..30 {
        acknowledged.push(need(&ukr, &(round + 1).to_string()));
    }
    // One more is in flight when the node dies; it may be there or not, but nothing else may be missing.
    let home = ukr.home.clone();
    let in_flight = command()
        .arg("--home")
        .arg(&home)
        .args(["requirement", "add", "--item", "tents", "--class", "II", "--unit", "each", "--quantity", "999"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    ukr.kill();
    let in_flight = in_flight.wait_with_output().expect("our own child");
    let check = comity(&["--home", home.to_str().expect("UTF-8"), "node", "check", "--deep", "--json"]).json();
    assert_eq!(check["sound"], true);
    let ukr = alliance.start("UKR", &[]);
    let listed = ukr.json(&["requirement", "list"]);
    let records: Vec<&str> =
        listed["rows"].as_array().expect("rows").iter().filter_map(|row| row["record"].as_str()).collect();
    for record in &acknowledged {
        assert!(records.contains(&record.as_str()), "{record} is lost");
    }
    if in_flight.status.success() {
        assert_eq!(records.len(), acknowledged.len() + 1, "an answer was given, so it is there");
    }
    need(&ukr, "7");
}

#[test]
fn a_node_killed_while_others_write_catches_up_and_forks_nobody() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let mut nodes = alliance.start_all();
    let requirement = need(&nodes[0], "100");
    until("Germany holds it", || (nodes[2].run(&["show", &requirement]).code == 0).then_some(()));
    nodes.pop().expect("Germany").kill();
    for _ in 0..10 {
        nodes[1].write(&["pledge", "add", "--requirement", &requirement, "--quantity", "1"]);
    }
    let deu = alliance.start("DEU", &["--peer", &nodes[0].address, "--peer", &nodes[1].address]);
    deu.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "5"]);
    converge(&[&nodes[0], &nodes[1], &deu]);
    assert_eq!(deu.status()["forks"], Value::Array(Vec::new()));
}

#[test]
fn a_flipped_byte_in_a_stopped_store_is_named_and_fetched_again() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "4321");
    until("Poland holds it", || (nodes[1].run(&["show", &requirement]).code == 0).then_some(()));
    let mut nodes = nodes.into_iter();
    let (ukr, pol) = (nodes.next().expect("two"), nodes.next().expect("two"));
    assert_eq!(pol.stop(), 0);
    let store = std::path::Path::new(&alliance.home("POL")).join("store/node.sqlite");
    flip(&store, b"tents");
    let check = comity(&["--home", &alliance.home("POL"), "node", "check", "--deep", "--json"]);
    assert_eq!(check.code, 1, "{check:?}");
    let report: Value = serde_json::from_str(&check.stdout).expect("JSON on standard output");
    assert_eq!(report["damage"][0]["table"], "body", "{report}");
    let pol = alliance.start("POL", &["--peer", &ukr.address]);
    until("it is fetched again", || pol.run(&["show", &requirement]).stdout.contains("tents").then_some(()));
    converge(&[&ukr, &pol]);
}

#[test]
fn a_node_whose_own_statement_is_damaged_writes_nothing_until_it_has_it_again() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "4321");
    until("Poland holds it", || (nodes[1].run(&["show", &requirement]).code == 0).then_some(()));
    let mut nodes = nodes.into_iter();
    let (ukr, pol) = (nodes.next().expect("two"), nodes.next().expect("two"));
    assert_eq!(ukr.stop(), 0);
    flip(&std::path::Path::new(&alliance.home("UKR")).join("store/node.sqlite"), b"tents");
    let ukr = alliance.start("UKR", &[]);
    assert_eq!(ukr.status()["authoring"]["allowed"], false);
    let add = ["requirement", "add", "--item", "x", "--class", "II", "--unit", "each", "--quantity", "1"];
    ukr.run(&add).fails(1, &[]);
    assert_eq!(ukr.run(&["peers", "add", &pol.address]).code, 0);
    until("it has its own again", || (ukr.status()["authoring"]["allowed"] == true).then_some(()));
    ukr.write(&add);
    converge(&[&ukr, &pol]);
}

/// Flips one bit in the middle of the first place in the file that holds `text`.
fn flip(path: &std::path::Path, text: &[u8]) {
    let mut file = fs::File::options().read(true).write(true).open(path).expect("the store");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("the store");
    let at = bytes.windows(text.len()).position(|window| window == text).expect("the text is in the store") + 2;
    file.seek(SeekFrom::Start(at as u64)).expect("the store");
    file.write_all(&[bytes[at] ^ 1]).expect("the store");
}
