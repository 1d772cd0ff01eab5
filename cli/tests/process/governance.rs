//! Membership by quorum over real processes: nations admitted, removed and given a new root, and votes that are refused.

use std::fs;

use comity_protocol::control::{CharterChange, Motion};
use comity_protocol::ids::{AllianceId, AuthorKey, CharterId, EnvelopeId, NationId, Tip, hex};
use serde_json::{Value, json};

use crate::harness::{Alliance, Node, comity, converge, need, ok, until};

const FOUR: [&str; 4] = ["UKR", "POL", "DEU", "FRA"];

/// Waits until every node is at this charter version.
#[track_caller]
fn adopted(nodes: &[&Node], height: u32) {
    until("every node adopts the version", || {
        nodes.iter().all(|node| node.status()["charter"]["height"] == height).then_some(())
    });
}

fn voters(nodes: &[Node]) -> Vec<(&Node, &'static str)> {
    nodes.iter().zip(FOUR).take(3).collect()
}

fn nation<'a>(nations: &'a Value, code: &str) -> &'a Value {
    let rows = nations["nations"].as_array().expect("nations");
    rows.iter().find(|row| row["code"] == code).unwrap_or_else(|| panic!("no {code} in {nations:#}"))
}

/// Makes a root key file called `NAME.root` and returns the public key.
fn new_root(alliance: &Alliance, code: &str, name: &str) -> String {
    let made = comity(&["root", "new", code, "--out", &alliance.path(&format!("{name}.root")), "--json"]).json();
    made["root"].as_str().expect("a root").to_owned()
}

#[test]
fn an_admitted_nation_joins_and_writes() {
    let alliance = Alliance::found(&FOUR);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "10");
    let admit = format!("LTU={}=Lithuania", new_root(&alliance, "LTU", "LTU"));
    let motion = alliance.propose(&nodes[0], "admit", &["--admit", &admit]);
    alliance.decide(&voters(&nodes), &motion, &[]);
    adopted(&nodes.iter().collect::<Vec<_>>(), 1);
    let charter = alliance.charter_of(&nodes[1]);
    let home = alliance.home("LTU");
    ok(&["--home", &home, "init", "--charter", &charter, "--nation", "LTU", "--label", "vilnius-1"]);
    let (draft, roster) = (alliance.path("LTU.draft"), alliance.path("LTU.roster"));
    let request = format!("{home}/node.request");
    ok(&["roster", "enrol", "--charter", &charter, "--nation", "LTU", "--request", &request, "--out", &draft]);
    ok(&["roster", "sign", &draft, "--root", &alliance.path("LTU.root"), "--out", &roster]);
    ok(&["--home", &home, "roster", "import", &roster]);
    let ltu = alliance.start("LTU", &["--peer", &nodes[0].address, "--peer", &nodes[1].address]);
    until("it has the record", || (ltu.run(&["show", &requirement]).code == 0).then_some(()));
    ltu.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "4"]);
    converge(&[&nodes[0], &nodes[1], &nodes[2], &nodes[3], &ltu]);
    let shown = nodes[2].json(&["charter", "show"]);
    assert_eq!(shown["members"].as_array().map(Vec::len), Some(5), "{shown:#}");
    let history = nodes[2].run(&["charter", "history"]);
    assert!(history.stdout.contains("admits LTU (Lithuania)"), "{history:?}");
    let offline = comity(&["charter", "show", "--charter", &alliance.charter_of(&nodes[2]), "--json"]).json();
    assert_eq!(
        (&offline["charter"], &offline["members"]),
        (&shown["charter"], &shown["members"]),
        "the file says the same"
    );
}

#[test]
fn a_removed_nations_later_statements_do_not_count_and_its_node_is_refused_at_the_handshake() {
    let alliance = Alliance::found(&FOUR);
    let mut nodes = alliance.start_all();
    let before = need(&nodes[3], "10");
    until("all hold what is cut", || nodes.iter().all(|node| node.run(&["show", &before]).code == 0).then_some(()));
    assert_eq!(nodes.pop().expect("France").stop(), 0);
    let motion = alliance.propose(&nodes[0], "remove", &["--remove", "FRA"]);
    alliance.decide(&voters(&nodes), &motion, &[]);
    let three: Vec<&Node> = nodes.iter().collect();
    adopted(&three, 1);
    // France knows nothing of it and goes on alone.
    let fra = alliance.start("FRA", &[]);
    let after = need(&fra, "20");
    assert_eq!(fra.stop(), 0);
    let fra = alliance.start("FRA", &["--peer", &nodes[0].address, "--peer", &nodes[1].address]);
    until("it is refused", || {
        let peers = fra.json(&["peers"]);
        let refused = |row: &&Value| row["last_error"] != Value::Null;
        (peers["peers"].as_array().expect("peers").iter().filter(refused).count() == 2).then_some(())
    });
    assert_eq!((fra.connected(), nodes[0].connected()), (0, 2));
    assert_eq!(nodes[0].run(&["show", &before]).code, 0, "what it said before stands");
    nodes[0].run(&["show", &after]).fails(2, &[]);
    let nations = nodes[1].json(&["nations"]);
    let row = nation(&nations, "FRA");
    assert_eq!((&row["removed"], &row["state"], &row["statements"]), (&json!(true), &json!("removed"), &json!(1)));
    let charter = nodes[1].json(&["charter", "show"]);
    assert_eq!(charter["removed"][0]["cuts"][0]["seq"], nation(&nations, "FRA")["nodes"][0]["seq"], "{charter:#}");
    // Whoever brings its file along changes nothing, and its own votes are refused with the rule.
    let vote = alliance.vote("FRA", "support", &motion, &alliance.charter_of(&nodes[0]), &[]);
    vote.fails(1, &["R04", "its nation removed"]);
}

#[test]
fn a_lost_root_is_replaced_by_motion_and_the_new_one_signs_the_next_roster() {
    let alliance = Alliance::found(&FOUR);
    let nodes = alliance.start_all();
    let three: Vec<(&Node, &str)> = nodes.iter().zip(FOUR).skip(1).collect();
    let replace = format!("UKR={}", new_root(&alliance, "UKR", "UKR-new"));
    let motion = alliance.propose(&nodes[1], "re-key", &["--replace-root", &replace]);
    alliance.decide(&three, &motion, &[]);
    let all: Vec<&Node> = nodes.iter().collect();
    adopted(&all, 1);
    need(&nodes[0], "10");
    converge(&all);
    let charter = alliance.charter_of(&nodes[0]);
    let (home, request) = (alliance.home("second"), format!("{}/node.request", alliance.home("second")));
    ok(&["--home", &home, "init", "--charter", &charter, "--nation", "UKR", "--label", "second"]);
    let (draft, roster) = (alliance.path("r2.draft"), alliance.path("r2"));
    let enrol = ["roster", "enrol", "--charter", &charter, "--request", &request, "--out", &draft, "--json"];
    let drafted = comity(&enrol).json();
    assert_eq!((&drafted["version"], &drafted["root_gen"], &drafted["code"]), (&json!(2), &json!(1), &json!("UKR")));
    let sign = |root: &str| comity(&["roster", "sign", &draft, "--root", &alliance.path(root), "--out", &roster]);
    sign("UKR.root").fails(1, &["does not sign for this nation"]);
    assert_eq!(sign("UKR-new.root").code, 0);
    nodes[3].json(&["roster", "import", &roster]);
    until("every node has the roster of the new generation", || {
        let has = |node: &&Node| nation(&node.json(&["nations"]), "UKR")["roster_version"] == 2;
        all.iter().all(has).then_some(())
    });
    need(&nodes[0], "20");
    converge(&all);
}

#[test]
fn an_innocent_split_vote_is_resolved_in_the_next_round() {
    let alliance = Alliance::found(&FOUR);
    let nodes = alliance.start_all();
    let one = alliance.propose(&nodes[0], "more keys", &["--max-active-keys", "9"]);
    let other = alliance.propose(&nodes[2], "many keys", &["--max-active-keys", "16"]);
    for ((node, code), motion) in nodes.iter().zip(FOUR).zip([&one, &one, &other, &other]) {
        let charter = alliance.charter_of(node);
        assert_eq!(alliance.vote(code, "support", motion, &charter, &[]).code, 0);
        fs::rename(alliance.path(&format!("{code}.vote")), alliance.path(&format!("{code}.first"))).expect("our own");
    }
    let files: Vec<String> = FOUR.iter().map(|code| alliance.path(&format!("{code}.first"))).collect();
    let import: Vec<&str> = ["vote", "import"].into_iter().chain(files.iter().map(String::as_str)).collect();
    assert_eq!(nodes[0].json(&import)["accepted"], 6, "four votes and two motions");
    until("all know of the split", || {
        nodes.iter().all(|node| node.json(&["motion", "list"])["round"] == 1).then_some(())
    });
    let next = nodes[3].json(&["motion", "show", &one])["next"].clone();
    assert!(next.as_str().is_some_and(|next| next.contains("open round 1")), "{next}");
    alliance.decide(&nodes.iter().zip(FOUR).collect::<Vec<_>>(), &one, &["--round", "1"]);
    let all: Vec<&Node> = nodes.iter().collect();
    adopted(&all, 1);
    converge(&all);
    let charter = nodes[2].json(&["charter", "show"]);
    assert_eq!((&charter["max_active_keys"], &charter["conflict"]), (&json!(9), &Value::Null));
    assert_eq!(nodes[2].json(&["motion", "show", &other])["state"], "passed");
}

#[test]
fn votes_out_of_turn_are_refused_with_their_rule_and_nothing_is_signed() {
    let alliance = Alliance::found(&FOUR);
    let ukr = alliance.start("UKR", &[]);
    let one = alliance.propose(&ukr, "one", &["--max-active-keys", "9"]);
    let other = alliance.propose(&ukr, "other", &["--max-active-keys", "10"]);
    let charter = alliance.charter_of(&ukr);
    let vote = |step: &str, motion: &str, more: &[&str]| alliance.vote("UKR", step, motion, &charter, more);
    vote("support", &one, &["--round", "3"]).fails(1, &["V7", "--round 0"]);
    vote("support", &one, &["--round", "64"]).fails(2, &["R06"]);
    vote("seal", &one, &[]).fails(1, &["V3", "0 nations supported"]);
    vote("support", "abcdef0123", &[]).fails(2, &["no motion", "hint:"]);
    let log = |alliance: &Alliance| fs::read(alliance.path("UKR.root.log")).expect("the log");
    let before = log(&alliance);
    assert_eq!(vote("support", &one, &[]).code, 0);
    let first = fs::read(alliance.path("UKR.vote")).expect("the vote");
    assert_ne!(before, log(&alliance), "the log knows of it");
    vote("support", &other, &[]).fails(1, &["V2", "send that vote again"]);
    let signed = log(&alliance);
    assert_eq!(vote("support", &one, &[]).code, 0, "the same vote again");
    assert_eq!(
        (first, signed),
        (fs::read(alliance.path("UKR.vote")).expect("the vote"), log(&alliance)),
        "byte for byte"
    );
}

#[test]
fn a_signer_that_lost_its_log_signs_nothing_at_this_version() {
    let alliance = Alliance::found(&FOUR);
    let ukr = alliance.start("UKR", &[]);
    let one = alliance.propose(&ukr, "one", &["--max-active-keys", "9"]);
    let log = alliance.path("UKR.root.log");
    let empty = fs::read(&log).expect("the log");
    let charter = alliance.charter_of(&ukr);
    assert_eq!(alliance.vote("UKR", "support", &one, &charter, &[]).code, 0);
    ukr.json(&["vote", "import", &alliance.path("UKR.vote")]);
    // An older copy of the log brought back is found out by the vote that others hold.
    fs::write(&log, &empty).expect("our own file");
    let known = alliance.charter_of(&ukr);
    let other = alliance.propose(&ukr, "other", &["--max-active-keys", "10"]);
    alliance.vote("UKR", "support", &other, &known, &[]).fails(1, &["V6", "lacks a vote"]);
    fs::remove_file(&log).expect("our own file");
    alliance.vote("UKR", "support", &other, &charter, &[]).fails(1, &["V6", "--new-log"]);
    alliance.vote("UKR", "support", &other, &charter, &["--new-log"]).fails(1, &["V6", "version 1"]);
    assert_eq!(comity(&["root", "log", &alliance.path("UKR.root"), "--json"]).json()["complete_from"], 1);
    alliance.vote("UKR", "support", &other, &charter, &[]).fails(1, &["V6"]);
}

#[test]
fn a_cut_that_nobody_holds_is_neither_proposed_nor_sealed() {
    let alliance = Alliance::found(&FOUR);
    let nodes = alliance.start_all();
    need(&nodes[3], "10");
    let invented = format!("FRA/FRA=9:{}", "ab".repeat(32));
    let out = alliance.path("invented");
    let propose = ["motion", "propose", "--title", "x", "--remove", "FRA", "--cut", &invented, "--out", &out];
    nodes[0].run(&propose).fails(1, &["V3", "does not hold envelope 9"]);
    assert!(!fs::exists(&out).expect("readable"));
    // Another tool could propose it all the same.
    let honest = nodes[0].json(&["charter", "show"]);
    let id = |value: &Value| value.as_str().expect("an id").to_owned();
    let fra = nation(&nodes[0].json(&["nations"]), "FRA").clone();
    let key = AuthorKey::from_hex(&id(&fra["nodes"][0]["node"])).expect("a key");
    let motion = Motion {
        alliance: AllianceId::from_hex(&id(&honest["alliance"])).expect("an id"),
        height: 0,
        base: CharterId::from_hex(&id(&honest["charter"])).expect("an id"),
        nonce: 1,
        title: "invented".to_owned(),
        text: Vec::new(),
        changes: vec![CharterChange::Remove {
            nation: NationId::from_hex(&id(&fra["nation"])).expect("an id"),
            cuts: vec![(key, Tip { seq: 9, id: EnvelopeId::new([0xab; 32]) })],
            roster: Tip::NONE,
        }],
    };
    fs::write(&out, format!("comity motion 1\nrecord: {}\n", hex(&motion.encode()))).expect("our own file");
    for (node, code) in voters(&nodes) {
        alliance.cast(node, code, "support", &out, &[]);
    }
    until("the supports are there", || {
        let rounds = nodes[0].json(&["motion", "show", &out])["rounds"].clone();
        (rounds[0]["supports"].as_array().map(Vec::len) == Some(3)).then_some(())
    });
    let charter = alliance.charter_of(&nodes[0]);
    alliance.vote("UKR", "seal", &out, &charter, &[]).fails(1, &["V3", "do not seal it"]);
    // What the own node does not state to hold, another nation's node does not state for it either.
    let text = fs::read_to_string(&charter).expect("our own file");
    let stated = text.lines().any(|line| line.starts_with("held.") && line.contains(&"ab".repeat(32)));
    assert!(!stated, "nothing is held that nobody holds");
}

#[test]
fn a_motion_alone_and_a_damaged_vote_are_refused_and_nothing_is_kept() {
    let alliance = Alliance::found(&FOUR);
    let ukr = alliance.start("UKR", &[]);
    let one = alliance.propose(&ukr, "one", &["--max-active-keys", "9"]);
    let control = ukr.status()["control"].clone();
    ukr.run(&["vote", "import", &one]).fails(1, &["4.11", "first vote"]);
    let lowered = ["motion", "propose", "--title", "x", "--max-active-keys", "2", "--out", &alliance.path("x")];
    ukr.run(&lowered).fails(1, &["4.5.1", "only be raised"]);
    let charter = alliance.charter_of(&ukr);
    assert_eq!(alliance.vote("POL", "support", &one, &charter, &[]).code, 0);
    let file = alliance.path("POL.vote");
    let text = fs::read_to_string(&file).expect("the vote");
    let damage = |from: &str, to: &str| fs::write(&file, text.replacen(from, to, 1)).expect("our own file");
    let bits = |at: usize| text[at..=at].to_owned();
    let at = text.find("\nmotion: ").expect("the motion") - 1;
    let flipped = format!("{}{}{}", &text[..at], if bits(at) == "0" { "1" } else { "0" }, &text[at + 1..]);
    fs::write(&file, flipped).expect("our own file");
    ukr.run(&["vote", "import", &file]).fails(1, &["R05"]);
    damage("comity vote 1", "comity vote 2");
    ukr.run(&["vote", "import", &file]).fails(2, &["first line"]);
    assert_eq!(ukr.status()["control"], control, "nothing of it is kept");
    fs::write(&file, &text).expect("our own file");
    assert_eq!(ukr.json(&["vote", "import", &file])["accepted"], 2);
    let pol = alliance.home("POL");
    let taken = comity(&["--home", &pol, "vote", "import", &file, "--json"]).json();
    assert_eq!(taken["accepted"], 2, "a stopped node takes them too");
}
