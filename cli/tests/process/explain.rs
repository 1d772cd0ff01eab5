//! Why an envelope stands as it does: cuts that nobody holds, and nations that were removed.

use serde_json::{Value, json};

use crate::harness::{Alliance, Node, comity, converge, need, ok, until};

fn steps(explained: &Value) -> Vec<String> {
    let steps = explained["steps"].as_array().expect("steps").iter();
    steps.map(|step| step.as_str().expect("text").to_owned()).collect()
}

#[track_caller]
fn says(node: &Node, reference: &str, part: &str) {
    let steps = steps(&node.json(&["explain", reference]));
    assert!(steps.iter().any(|step| step.contains(part)), "no {part:?} in {steps:#?}");
    let printed = node.run(&["explain", reference]).stdout;
    assert!(printed.contains(part), "no {part:?} in {printed}");
}

/// Has the root of UKR sign a next roster, and both nodes take it: who is retired is no longer linked, and not told.
fn next_roster(alliance: &Alliance, nodes: &[Node], (verb, cut): (&str, &str), prev: &str, out: &str) {
    let (genesis, prev, draft) =
        (alliance.path("genesis"), alliance.path(prev), alliance.path(&format!("{out}.draft")));
    let (root, out) = (alliance.path("UKR.root"), alliance.path(out));
    let verb = ["roster", verb, "--genesis", &genesis, "--prev", &prev, "--node", "UKR", "--cut", cut, "--out", &draft];
    ok(&verb);
    ok(&["roster", "sign", &draft, "--root", &root, "--out", &out]);
    for node in nodes {
        assert_eq!(node.run(&["roster", "import", &out]).code, 0);
    }
}

#[test]
fn a_cut_that_nobody_holds_is_explained_as_incomplete_and_lowering_it_mends_it() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let (first, second) = (need(&nodes[0], "1"), need(&nodes[0], "2"));
    converge(&[&nodes[0], &nodes[1]]);
    let pol = &nodes[1];
    assert_eq!(pol.json(&["explain", &first])["incomplete_cut"], Value::Null);
    let nowhere = "ab".repeat(32);
    next_roster(&alliance, &nodes, ("retire", &format!("9:{nowhere}")), "UKR.roster", "r2");
    for node in &nodes {
        let explained = node.json(&["explain", &second]);
        assert_eq!(explained["incomplete_cut"], json!({"seq": 9, "id": nowhere}));
        assert_eq!((&explained["standing"], &explained["verdict"]), (&json!("accepted"), &json!("valid")));
        says(node, &second, "its key is retired: what it said counts up to 9");
        says(node, &second, "the cut at 9 (");
        says(node, &second, "is not held: the chain counts as far as it is known, and peers are asked for the cut");
    }
    // The nation names an envelope that is there.
    let version = |reference: &str| {
        let shown = pol.json(&["show", reference]);
        shown["record"]["version"].as_str().expect("an id").to_owned()
    };
    let (cut, out) = (format!("1:{}", version(&first)), version(&second));
    next_roster(&alliance, &nodes, ("lower-cut", &cut), "r2", "r3");
    for node in &nodes {
        let explained = node.json(&["explain", &first]);
        assert_eq!((&explained["incomplete_cut"], &explained["standing"]), (&Value::Null, &json!("accepted")));
        says(node, &out, "disavowed: roster 3 of UKR retires the key at 1");
    }
}

#[test]
fn what_a_removal_takes_out_names_the_charter_version_that_removes_its_nation() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU", "FRA"]);
    let nodes = alliance.start_all();
    need(&nodes[3], "10");
    until("all hold it", || nodes.iter().all(|node| node.status()["statements"] == 1).then_some(()));
    // The removal is of the second version: the number is the charter's own and not that of the motions.
    let voters: Vec<(&Node, &str)> = nodes.iter().zip(["UKR", "POL", "DEU"]).collect();
    let more = alliance.propose(&nodes[0], "more keys", &["--max-active-keys", "9"]);
    alliance.decide(&voters, &more, &[]);
    until("all adopt it", || nodes.iter().all(|node| node.status()["charter"]["height"] == 1).then_some(()));
    let remove = alliance.propose(&nodes[0], "remove", &["--remove", "FRA", "--cut", "FRA/FRA=0"]);
    alliance.decide(&voters, &remove, &[]);
    let three = &nodes[..3];
    until("all adopt it", || three.iter().all(|node| node.status()["charter"]["height"] == 2).then_some(()));
    for node in three {
        let log = node.json(&["log", "--nation", "FRA", "--standing", "post-removal"]);
        let row = log["rows"].as_array().expect("rows").iter().find(|row| row["kind"] == "change").expect("it is kept");
        let words = "after a removal: charter version 2 removes FRA, whose chain counts up to 0";
        assert_eq!(row["excluded"], words);
        let envelope = row["envelope"].as_str().expect("an id");
        says(node, envelope, words);
        says(node, envelope, "charter version 2 removes its nation: what it said counts up to 0");
        assert_eq!(node.json(&["charter", "show"])["removed"][0]["removed_by"], 2);
    }
    // The removed nation sees its removal in any member's charter file, and keeps what it said.
    assert_eq!(nodes[3].run(&["charter", "import", &alliance.charter_of(&nodes[0])]).code, 0);
    assert_eq!(nodes[3].status()["charter"]["height"], 2);
    let authoring = nodes[3].status()["authoring"].clone();
    assert_eq!(
        (&authoring["allowed"], &authoring["reason"]),
        (&json!(false), &json!("its nation was removed from the alliance"))
    );
    let home = alliance.home("FRA");
    assert_eq!(
        nodes[3].json(&["log", "--standing", "post-removal"])["rows"].as_array().map(Vec::is_empty),
        Some(false)
    );
    drop(nodes);
    assert_eq!(
        comity(&["--home", &home, "node", "check", "--json"]).json()["envelopes"].as_u64().map(|n| n > 0),
        Some(true)
    );
}
