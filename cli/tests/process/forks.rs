//! A key that said two things: shown to everybody alike, retired by its nation's root, and what waited for it said anew.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Alliance, Node, comity, converge, need, ok, row, until};

/// An alliance whose node UKR said two things at 3, and UKR2 something on top of one of them.
pub struct Forked {
    pub alliance: Alliance,
    /// POL, DEU, UKR2, all linked, each with both branches.
    pub nodes: Vec<Node>,
    /// What UKR2 wrote on top of the left branch.
    pub waits: String,
    /// What POL pledged towards the right branch.
    pub refers: String,
}

/// Founds an alliance and has a copy of a home say something else than the original.
pub fn forked() -> Forked {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    alliance.enrol("UKR", "UKR2", Some("UKR.roster"));
    let second = alliance.path("UKR2.roster");
    let rosters: Vec<String> = alliance.codes.iter().map(|code| alliance.path(&format!("{code}.roster"))).collect();
    alliance.import("UKR2", &rosters.iter().map(String::as_str).collect::<Vec<_>>());
    for code in &alliance.codes {
        alliance.import(code, &[&second]);
    }
    let ukr = alliance.start("UKR", &[]);
    need(&ukr, "1");
    need(&ukr, "2");
    assert_eq!(ukr.stop(), 0);
    copy(Path::new(&alliance.home("UKR")), Path::new(&alliance.home("CLONE")));
    // The original, seen by its nation's other node only.
    let ukr2 = alliance.start("UKR2", &[]);
    let ukr = alliance.start("UKR", &["--peer", &ukr2.address]);
    let left = need(&ukr, "3");
    until("the other node holds it", || (ukr2.run(&["show", &left]).code == 0).then_some(()));
    let waits = need(&ukr2, "20");
    ukr.kill();
    // The copy, seen by Poland only.
    let clone = alliance.start("CLONE", &[]);
    let right = need(&clone, "30");
    let pol = alliance.start("POL", &["--peer", &clone.address]);
    until("Poland holds it", || (pol.run(&["show", &right]).code == 0).then_some(()));
    let (refers, _) = pol.write(&["pledge", "add", "--requirement", &right, "--quantity", "1"]);
    clone.kill();
    let deu = alliance.start("DEU", &["--peer", &pol.address, "--peer", &ukr2.address]);
    Forked { alliance, nodes: vec![pol, deu, ukr2], waits, refers }
}

/// Copies a home with everything in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    fs::set_permissions(to, fs::metadata(from).expect("a home").permissions()).expect("our own folder");
    for entry in fs::read_dir(from).expect("a home") {
        let entry = entry.expect("a home");
        let kind = entry.file_type().expect("a home");
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a file of the home");
        }
    }
}

fn rows(node: &Node, args: &[&str]) -> Vec<Value> {
    node.json(args)["rows"].as_array().expect("rows").clone()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value:#}"))
}

#[test]
fn a_fork_is_shown_alike_everywhere_and_its_nation_retires_the_key_and_goes_on() {
    let Forked { alliance, nodes, waits, refers } = forked();
    let all: Vec<&Node> = nodes.iter().collect();
    until("everybody knows of the fork", || all.iter().all(|node| !rows(node, &["forks"]).is_empty()).then_some(()));
    converge(&all);
    shown_alike(&all);
    retired(&alliance, &all);
    disavowed_is_listed(&all, &refers);
    stated_again(&all, &waits);
    // The new key goes on.
    alliance.enrol_after("UKR", "UKR3", &["UKR.roster", "UKR2.roster", "signed.roster"]);
    let third = alliance.path("UKR3.roster");
    ok(&["--home", &alliance.home("UKR2"), "roster", "import", &third]);
    let ukr3 = alliance.start("UKR3", &["--peer", &nodes[0].address, "--peer", &nodes[2].address]);
    until("it is let in", || (ukr3.connected() >= 2).then_some(()));
    let new = need(&ukr3, "40");
    until("its statement arrives", || all.iter().all(|node| node.run(&["show", &new]).code == 0).then_some(()));
    converge(&[all[0], all[1], all[2], &ukr3]);
    // What was cut is there after a restart too.
    let mut nodes = nodes;
    let pol = nodes.remove(0);
    assert_eq!(pol.stop(), 0);
    let pol = alliance.start("POL", &[]);
    assert_eq!(rows(&pol, &["log", "--standing", "disavowed"]).len(), 2);
}

fn shown_alike(all: &[&Node]) {
    let screens: Vec<Value> =
        all.iter().map(|node| node.json(&["forks", "show", "UKR/UKR"])["lines"].clone()).collect();
    assert!(screens.windows(2).all(|pair| pair[0] == pair[1]), "{screens:#?}");
    let lines: Vec<&str> = screens[0].as_array().expect("lines").iter().filter_map(Value::as_str).collect();
    assert_eq!(lines[0], "Node UKR of UKR signed two statements numbered 3.");
    assert!(lines.iter().any(|line| line.starts_with("Its statements up to 2 stand (seen by ")), "{lines:#?}");
    assert!(lines.contains(&"Later ones are suspended: 2."), "{lines:#?}");
    assert!(lines.contains(&"UKR must retire the key."), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("Changes of UKR that wait, ")), "{lines:#?}");
    let [pol, _, ukr2] = all else { panic!("three nodes") };
    let first = |node: &Node| node.status()["warnings"][0].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        first(ukr2),
        "node UKR of UKR forked at 3; it stands up to 2; retire the key, see `comity forks show UKR/UKR`"
    );
    let polish = pol.status()["warnings"].to_string();
    assert!(polish.contains("node UKR of UKR forked at 3; it stands up to 2; UKR must retire the key"), "{polish}");
    assert_eq!(rows(pol, &["log", "--standing", "suspended"]).len(), 2);
}

/// Has the root sign what a node drafts, and imports it as `signed.roster`.
fn retired(alliance: &Alliance, all: &[&Node]) {
    let [pol, _, ukr2] = all else { panic!("three nodes") };
    let (proof, draft, signed) =
        (alliance.path("proof"), alliance.path("draft.roster"), alliance.path("signed.roster"));
    let printed = pol.run(&["forks", "show", "UKR/UKR", "--proof", &proof]).stdout;
    assert!(printed.contains(&proof), "{printed}");
    let proven = comity(&["forks", "verify", &proof, "--genesis", &alliance.path("genesis"), "--json"]).json();
    assert_eq!((text(&proven, "code"), text(&proven, "label"), &proven["seq"]), ("UKR", "UKR", &Value::from(3)));
    assert_eq!(proven["enrolled_by_nation"], true);
    let spoiled = alliance.path("spoiled");
    let bytes = fs::read_to_string(&proof).expect("our own file");
    let (at, digit) = bytes.char_indices().nth_back(700).expect("a long file");
    let other = if digit == '0' { '1' } else { '0' };
    fs::write(&spoiled, format!("{}{other}{}", &bytes[..at], &bytes[at + 1..])).expect("our own folder");
    comity(&["forks", "verify", &spoiled]).fails(1, &["proves nothing"]);
    ukr2.run(&["forks", "show", "UKR/UKR", "--roster-draft", &draft]);
    ok(&["roster", "sign", &draft, "--root", &alliance.path("UKR.root"), "--out", &signed]);
    assert_eq!(ukr2.run(&["roster", "import", &signed]).code, 0);
    until("the key is retired everywhere", || {
        all.iter().all(|node| rows(node, &["forks"])[0]["open"] == false).then_some(())
    });
    converge(all);
}

fn disavowed_is_listed(all: &[&Node], refers: &str) {
    for node in all {
        let rows = rows(node, &["log", "--standing", "disavowed"]);
        assert_eq!(rows.len(), 2, "{rows:#?}");
        let flags = node.json(&["flags"]);
        let flag = row(&flags, "name", "disavowed-reference");
        assert!(flag["statements"].to_string().contains(refers), "{flag:#}");
        for row in &rows {
            assert_eq!(text(row, "excluded"), "disavowed: roster 3 of UKR retires the key at 2");
            assert_eq!(text(&row["says"][0]["fields"], "item"), "tents");
        }
        let record = text(&rows[0]["says"][0], "record").to_owned();
        let explained = node.json(&["explain", &record]);
        assert_eq!(
            (text(&explained, "standing"), text(&explained, "excluded")),
            ("disavowed", text(&rows[0], "excluded"))
        );
    }
}

fn stated_again(all: &[&Node], waits: &str) {
    let [pol, _, ukr2] = all else { panic!("three nodes") };
    let explained = pol.json(&["explain", waits]);
    assert_eq!((text(&explained, "verdict"), text(&explained, "reason")), ("waiting", "dep_missing"));
    assert_eq!(text(&explained["lacks"][0], "standing"), "disavowed");
    assert_ne!(pol.run(&["show", waits]).code, 0, "it counts for nothing yet");
    let planned = ukr2.json(&["restate", "--dry-run"]);
    assert_eq!((planned["dry_run"].clone(), planned["written"].as_array().map(Vec::len)), (true.into(), Some(1)));
    assert_ne!(ukr2.run(&["show", waits]).code, 0, "nothing was written");
    let restated = ukr2.json(&["restate"]);
    assert_eq!(restated["written"][0]["records"][0], waits);
    until("it reads as before", || all.iter().all(|node| node.run(&["show", waits]).code == 0).then_some(()));
    let again = ukr2.json(&["restate"]);
    assert_eq!(again["written"].as_array().map(Vec::len), Some(0));
    assert_eq!(text(&again["left"][0], "reason"), "restated");
    // A disavowed statement is stood by again only where it is named.
    let disavowed = rows(ukr2, &["log", "--standing", "disavowed"]);
    let stood_by = ukr2.json(&["restate", "--disavowed", text(&disavowed[0], "envelope")]);
    assert_eq!(stood_by["written"][0]["from"], disavowed[0]["envelope"]);
    let record = text(&disavowed[0]["says"][0], "record").to_owned();
    until("it is said again", || all.iter().all(|node| node.run(&["show", &record]).code == 0).then_some(()));
    pol.run(&["restate", "--disavowed", text(&disavowed[1], "envelope")]).fails(1, &["another nation said it"]);
    converge(all);
}
