//! A root key that signed two rosters of one version: shown to everybody alike, and settled by the motion that the screen drafts.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Alliance, Node, comity, converge, need, ok, until};

const FOUR: [&str; 4] = ["UKR", "POL", "DEU", "FRA"];

/// Has the root of UKR enrol a further node in a roster of version 2, whatever it signed before.
fn second_version(alliance: &Alliance, name: &str) {
    let home = alliance.home(name);
    ok(&["--home", &home, "init", "--genesis", &alliance.path("genesis"), "--nation", "UKR", "--label", name]);
    let (draft, roster) = (alliance.path(&format!("{name}.draft")), alliance.path(&format!("{name}.roster")));
    let (genesis, prev) = (alliance.path("genesis"), alliance.path("UKR.roster"));
    let request = format!("{home}/node.request");
    ok(&["roster", "enrol", "--genesis", &genesis, "--prev", &prev, "--request", &request, "--out", &draft]);
    let root = alliance.path("UKR.root");
    let sign = ["roster", "sign", &draft, "--root", &root, "--out", &roster, "--replaces-unpublished", "so it says"];
    ok(&sign);
}

fn fork<'a>(forks: &'a Value, name: &str) -> Option<&'a Value> {
    forks["rows"].as_array().expect("rows").iter().find(|row| row["level"] == "roster" && row["name"] == name)
}

#[test]
fn a_forked_roster_is_shown_with_the_motion_to_vote_on_and_the_new_root_signs_the_next_one() {
    let alliance = Alliance::found(&FOUR);
    second_version(&alliance, "kyiv-2");
    second_version(&alliance, "thief");
    let nodes = alliance.start_all();
    let [ukr, pol, deu, fra] = &nodes[..] else { panic!("four nodes") };
    assert_eq!(pol.run(&["roster", "import", &alliance.path("kyiv-2.roster")]).code, 0);
    assert_eq!(deu.run(&["roster", "import", &alliance.path("thief.roster")]).code, 0);
    let all: Vec<&Node> = nodes.iter().collect();
    until("everybody knows of both", || {
        all.iter().all(|node| fork(&node.json(&["forks"]), "UKR").is_some()).then_some(())
    });
    converge(&all);
    let screens: Vec<Value> = all.iter().map(|node| node.json(&["forks", "show", "UKR"])["lines"].clone()).collect();
    assert!(screens.windows(2).all(|pair| pair[0] == pair[1]), "{screens:#?}");
    let printed = pol.run(&["forks", "show", "UKR"]).stdout;
    for part in [
        "The root key of UKR signed two rosters of version 2.",
        "Its roster of version 1 stands; its older keys go on.",
        "Keys enrolled after it are suspended",
        "comity forks show UKR --new-root KEY --motion-draft FILE",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    // The older key goes on meanwhile.
    need(ukr, "10");
    converge(&all);
    let motion = drafted(&alliance, pol);
    alliance.decide(&[(pol, "POL"), (deu, "DEU"), (fra, "FRA")], &motion, &[]);
    until("everybody adopts it", || all.iter().all(|node| node.status()["charter"]["height"] == 1).then_some(()));
    converge(&all);
    for node in &all {
        assert!(fork(&node.json(&["forks"]), "UKR").is_none(), "what the old root signed counts no more");
    }
    goes_on(&alliance, &all);
}

/// Drafts the motion from the screen; returns where it is.
fn drafted(alliance: &Alliance, node: &Node) -> String {
    let made = comity(&["root", "new", "UKR", "--out", &alliance.path("UKR-new.root"), "--json"]).json();
    let (root, motion) = (made["root"].as_str().expect("a root").to_owned(), alliance.path("re-key.motion"));
    node.run(&["forks", "show", "UKR", "--motion-draft", &motion]).fails(2, &["--new-root"]);
    let short = ["forks", "show", "UKR", "--new-root", "abcd", "--motion-draft", &motion];
    node.run(&short).fails(2, &["is no root key", "comity root new"]);
    let old = node.json(&["nations"])["nations"].as_array().expect("nations").clone();
    let old = old.iter().find(|row| row["code"] == "UKR").expect("UKR")["root"].as_str().expect("a root").to_owned();
    let same = ["forks", "show", "UKR", "--new-root", &old, "--motion-draft", &motion];
    node.run(&same).fails(1, &["4.5.1"]);
    assert!(!fs::exists(&motion).expect("readable"), "nothing is left behind");
    let wanted = ["forks", "show", "UKR", "--new-root", &root, "--motion-draft", &motion];
    let printed = node.run(&wanted);
    for part in
        ["new root key for UKR", "its rosters go on from version 1", "the motion is in", "wait for 3 more supports"]
    {
        assert!(printed.stdout.contains(part), "no {part:?} in {printed:?}");
    }
    node.run(&wanted).fails(4, &["nothing is overwritten"]);
    let shown = node.json(&["motion", "show", &motion]);
    assert_eq!((&shown["state"], &shown["changes"][0]["change"]), (&json!("open"), &json!("replace_root")));
    motion
}

/// The new root enrols the node that the fork suspended, after the last good roster.
fn goes_on(alliance: &Alliance, all: &[&Node]) {
    let charter = alliance.charter_of(all[0]);
    let (draft, roster) = (alliance.path("r2.draft"), alliance.path("r2"));
    let request = format!("{}/node.request", alliance.home("kyiv-2"));
    ok(&["roster", "enrol", "--charter", &charter, "--request", &request, "--out", &draft]);
    let sign = |root: &str| comity(&["roster", "sign", &draft, "--root", &alliance.path(root), "--out", &roster]);
    sign("UKR.root").fails(1, &["does not sign for this nation"]);
    assert_eq!(sign("UKR-new.root").code, 0);
    all[2].json(&["roster", "import", &roster]);
    for file in [&charter, &roster] {
        let verb = if file == &charter { "charter" } else { "roster" };
        ok(&["--home", &alliance.home("kyiv-2"), verb, "import", file]);
    }
    let second = alliance.start("kyiv-2", &["--peer", &all[1].address]);
    until("it is let in", || (second.connected() > 0).then_some(()));
    let new = need(&second, "20");
    until("its statement arrives", || all.iter().all(|node| node.run(&["show", &new]).code == 0).then_some(()));
}

#[test]
fn no_motion_is_drafted_for_a_fork_that_a_roster_settles() {
    let forked = crate::forks::forked();
    let node = &forked.nodes[0];
    until("it knows of the fork", || {
        node.json(&["forks"])["rows"].as_array().filter(|rows| !rows.is_empty()).map(drop)
    });
    let out = forked.alliance.path("x.motion");
    let root = "ab".repeat(32);
    let asked = ["forks", "show", "UKR/UKR", "--new-root", &root, "--motion-draft", &out];
    node.run(&asked).fails(1, &["is not written", "--roster-draft"]);
    assert!(!fs::exists(&out).expect("readable"));
}
