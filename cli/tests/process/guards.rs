//! Restored, cloned and copied homes: whatever is done to a home, its key never says two things unnoticed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Alliance, Node, Ran, comity, converge, need, ok, until};

fn store(alliance: &Alliance, name: &str) -> PathBuf {
    PathBuf::from(alliance.home(name)).join("store")
}

/// Copies a folder as `cp -a` does, in the place of what is there.
fn copy_folder(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("our own folder");
    }
    fs::create_dir(to).expect("a folder of our own");
    fs::set_permissions(to, fs::metadata(from).expect("there").permissions()).expect("our own folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else if from.is_file() {
            fs::copy(&from, &to).expect("copied with its mode");
        }
    }
}

fn authoring(node: &Node) -> (bool, String) {
    let status = node.status();
    let reason = status["authoring"]["reason"].as_str().unwrap_or_default().to_owned();
    (status["authoring"]["allowed"] == true, reason)
}

fn try_write(node: &Node) -> Ran {
    node.run(&["requirement", "add", "--item", "tents", "--class", "II", "--unit", "each", "--quantity", "1"])
}

/// Waits until nothing stands against a confirmation, and returns what it would adopt.
#[track_caller]
fn adoptable(node: &Node) -> Value {
    until("nothing stands against a confirmation", || {
        let ran = node.run(&["node", "confirm", "--json"]);
        (ran.code == 0).then(|| ran.json())
    })
}

/// Confirms what the node itself shows.
#[track_caller]
fn adopt(node: &Node) {
    let look = adoptable(node);
    let tip = format!("{}:{}", look["seq"], look["envelope"].as_str().expect("an id"));
    let ran = node.run(&["node", "confirm", "--adopt", &tip]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("writes again"), "{ran:?}");
}

#[track_caller]
fn no_fork(nodes: &[&Node]) {
    for node in nodes {
        assert_eq!(node.status()["forks"], serde_json::json!([]));
    }
}

/// T12: an old store is put back under a newer sentinel.
#[test]
fn a_restored_store_writes_nothing_until_its_own_chain_is_back_and_confirmed() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let pol = alliance.start("POL", &[]);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    need(&ukr, "1");
    assert_eq!(ukr.stop(), 0);
    let old = PathBuf::from(alliance.path("old"));
    copy_folder(&store(&alliance, "UKR"), &old);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    need(&ukr, "2");
    need(&ukr, "3");
    converge(&[&ukr, &pol]);
    ukr.kill();
    copy_folder(&old, &store(&alliance, "UKR"));

    let ukr = alliance.start("UKR", &[]);
    let (allowed, reason) = authoring(&ukr);
    assert!(!allowed && reason.contains("restored") && reason.contains("envelope 3"), "{reason}");
    try_write(&ukr).fails(1, &["cause: this node does not author", "restored", "hint: see `comity node confirm`"]);
    let alone = ukr.run(&["node", "confirm"]);
    alone.fails(1, &["signed up to envelope 3, and only 1 are here", "hint: connect to nodes that may hold the rest"]);
    ukr.run(&["node", "confirm", "--without-peers"]).fails(1, &["only 1 are here"]);
    let log = fs::read_to_string(ukr.home.with_extension("log")).expect("a log");
    assert!(log.contains("authors nothing until somebody confirms it"), "{log}");

    ok(&["--home", &alliance.home("UKR"), "peers", "add", &pol.address]);
    let look = adoptable(&ukr);
    assert_eq!((&look["seq"], &look["nations_compared"]), (&3.into(), &serde_json::json!(["POL"])));
    try_write(&ukr).fails(1, &["restored"]);
    let wrong = format!("2:{}", look["envelope"].as_str().expect("an id"));
    ukr.run(&["node", "confirm", "--adopt", &wrong]).fails(1, &["ends at 3:"]);
    assert_eq!(ukr.stop(), 0);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    assert!(!authoring(&ukr).0, "having everything back is not a person's word");
    adopt(&ukr);
    need(&ukr, "4");
    converge(&[&ukr, &pol]);
    no_fork(&[&ukr, &pol]);
    assert_eq!(pol.status()["envelopes"], 4);
    ukr.kill();
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    assert!(authoring(&ukr).0, "the confirmation is durable");
}

/// T13: two processes under one key, one of which stays silent until it hears of the other.
#[test]
fn a_node_that_meets_its_own_key_stops_also_after_a_restart_until_somebody_adopts_it() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let twin = PathBuf::from(alliance.home("twin"));
    copy_folder(Path::new(&alliance.home("UKR")), &twin);
    let pol = alliance.start("POL", &[]);
    let speaker = Node::start(twin, &["--peer", &pol.address]);
    need(&speaker, "1");
    converge(&[&speaker, &pol]);
    speaker.kill();

    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    until("it meets its own key", || (!authoring(&ukr).0).then_some(()));
    let halted = authoring(&ukr).1;
    assert!(halted.contains("envelope 1 of this node's key came from elsewhere"), "{halted}");
    ukr.kill();
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    assert_eq!(authoring(&ukr), (false, halted), "a restart forgets nothing");
    try_write(&ukr).fails(1, &["came from elsewhere", "hint: see `comity node confirm`"]);
    adopt(&ukr);
    need(&ukr, "2");
    converge(&[&ukr, &pol]);
    no_fork(&[&ukr, &pol]);
}

/// T13: two processes under one key that both spoke: everybody has the proof, and nothing but a new key mends it.
#[test]
fn a_cloned_key_that_said_two_things_is_proved_to_all_and_never_released() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let twin = PathBuf::from(alliance.home("twin"));
    copy_folder(Path::new(&alliance.home("UKR")), &twin);
    let pol = alliance.start("POL", &[]);
    let deu = alliance.start("DEU", &[]);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    let clone = Node::start(twin, &["--peer", &deu.address]);
    need(&ukr, "1");
    need(&clone, "2");
    ok(&["--home", &alliance.home("DEU"), "peers", "add", &pol.address]);
    for node in [&pol, &deu, &ukr, &clone] {
        until("the proof is everywhere", || (node.status()["forks"][0]["seq"] == 1).then_some(()));
    }
    for node in [&ukr, &clone] {
        assert!(!authoring(node).0);
        node.run(&["node", "confirm"]).fails(1, &["two envelopes of this node's key stand at 1", "retire"]);
        node.run(&["node", "confirm", "--without-peers"]).fails(1, &["retire"]);
    }
    clone.kill();
    ukr.kill();
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    assert!(!authoring(&ukr).0, "a restart does not help");
    try_write(&ukr).fails(1, &["does not author"]);
}

/// T14: the residual case. A copy of the whole home, its sentinel included, is as good as the home; only peers know better.
#[test]
fn a_home_put_back_whole_is_found_out_when_it_first_meets_a_peer() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let pol = alliance.start("POL", &[]);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    need(&ukr, "1");
    assert_eq!(ukr.stop(), 0);
    let (home, old) = (PathBuf::from(alliance.home("UKR")), PathBuf::from(alliance.path("old")));
    copy_folder(&home, &old);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    need(&ukr, "2");
    converge(&[&ukr, &pol]);
    assert_eq!(ukr.stop(), 0);
    copy_folder(&old, &home);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    until("a peer shows what its key has said", || (!authoring(&ukr).0).then_some(()));
    assert!(authoring(&ukr).1.contains("came from elsewhere"));
    adopt(&ukr);
    need(&ukr, "3");
    converge(&[&ukr, &pol]);
    no_fork(&[&ukr, &pol]);
}

#[test]
fn a_home_without_its_sentinel_writes_nothing_and_says_what_to_do() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let sentinel = PathBuf::from(alliance.home("UKR")).join("node.sentinel");
    let ukr = alliance.start("UKR", &[]);
    need(&ukr, "1");
    assert!(ukr.run(&["node", "confirm"]).stdout.contains("there is nothing to confirm"));
    assert_eq!(ukr.stop(), 0);
    fs::remove_file(&sentinel).expect("our own file");
    let ukr = alliance.start("UKR", &[]);
    try_write(&ukr).fails(
        1,
        &["error: the statement is not written", "cause: this node does not author", "lost its sentinel", "hint: see"],
    );
    let status = ukr.run(&["status"]).stdout;
    assert!(status.contains("writing    stopped: this home was restored or has lost its sentinel"), "{status}");
    ukr.run(&["node", "confirm"]).fails(1, &["no peer has compared its record", "hint: connect to a node"]);
    let look = ukr.run(&["node", "confirm", "--without-peers"]);
    assert_eq!(look.code, 0, "{look:?}");
    assert!(look.stdout.contains("it will say it twice, and its nation must retire it"), "{look:?}");
    let tip = look.stdout.split("--adopt ").nth(1).expect("the command to type").trim().to_owned();
    ukr.run(&["node", "confirm", "--adopt", &tip]).fails(1, &["no peer"]);
    ukr.run(&["node", "confirm", "--adopt", "nonsense"]).fails(2, &["names no envelope"]);
    let done = ukr.run(&["node", "confirm", "--adopt", &tip, "--without-peers"]);
    assert_eq!(done.code, 0, "{done:?}");
    need(&ukr, "2");
    assert_eq!(ukr.stop(), 0);
    assert!(authoring(&alliance.start("UKR", &[])).0, "the sentinel was written again");
}

#[test]
fn a_backup_has_no_keys_and_putting_it_back_cannot_fork() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let pol = alliance.start("POL", &[]);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    need(&ukr, "1");
    let backup = alliance.path("UKR.backup");
    let made = ukr.run(&["node", "backup", &backup]);
    assert_eq!(made.code, 0, "{made:?}");
    ukr.run(&["node", "backup", &backup]).fails(2, &["is there already", "nothing is overwritten"]);
    let bytes = fs::read(&backup).expect("our own file");
    for key in ["keys/node.key", "keys/kem.key"] {
        let key = fs::read(Path::new(&alliance.home("UKR")).join(key)).expect("our own key");
        assert!(!bytes.windows(key.len()).any(|window| window == key), "a key is in the backup");
    }
    let checked = comity(&["node", "check", "--deep", "--backup", &backup]);
    assert!(checked.code == 0 && checked.stdout.contains("1 envelopes"), "{checked:?}");
    need(&ukr, "2");
    converge(&[&ukr, &pol]);

    let home = alliance.home("UKR");
    comity(&["--home", &home, "node", "restore", &backup]).fails(4, &["held by another process"]);
    assert_eq!(ukr.stop(), 0);
    comity(&["--home", &home, "node", "restore", &backup]).fails(2, &["a store is there already", "--replace"]);
    let elsewhere = comity(&["--home", &alliance.home("POL"), "node", "restore", &backup, "--replace"]);
    elsewhere.fails(4, &["held by another process"]);
    assert_eq!(pol.stop(), 0);
    let other = comity(&["--home", &alliance.home("POL"), "node", "restore", &backup, "--replace"]);
    other.fails(2, &["is a backup of node", "belong together"]);
    let pol = alliance.start("POL", &[]);

    ok(&["--home", &home, "node", "restore", &backup, "--replace"]);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    try_write(&ukr).fails(1, &["restored"]);
    assert_eq!(adoptable(&ukr)["seq"], 2);
    adopt(&ukr);
    need(&ukr, "3");
    converge(&[&ukr, &pol]);
    no_fork(&[&ukr, &pol]);
    assert_eq!(pol.status()["envelopes"], 3);
}
