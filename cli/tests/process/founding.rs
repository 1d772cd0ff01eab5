//! The founding flow, offline.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Alliance, comity, ok};

#[test]
fn an_alliance_is_founded_only_with_every_signature() {
    let alliance = Alliance::draft(&["UKR", "POL", "DEU", "FRA"]);
    let shown = comity(&["genesis", "show", &alliance.path("genesis"), "--json"]).json();
    assert_eq!(shown["signed"], true);
    assert_eq!(shown["quorum"], 3);
    assert_eq!(shown["founders"].as_array().map(Vec::len), Some(4));
    let three = [alliance.path("UKR.sig"), alliance.path("POL.sig"), alliance.path("DEU.sig")];
    let out = alliance.path("incomplete");
    let incomplete =
        comity(&["genesis", "assemble", &alliance.path("draft"), &three[0], &three[1], &three[2], "--out", &out]);
    incomplete.fails(1, &["not complete", "FRA"]);
    assert!(!fs::exists(&out).expect("readable"), "nothing is left behind");
}

#[test]
fn a_root_key_that_others_can_read_signs_nothing() {
    let alliance = Alliance::draft(&["UKR", "POL"]);
    let root = alliance.path("POL.root");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o644)).expect("our own file");
    let sign = comity(&["genesis", "sign", &alliance.path("draft"), "--root", &root, "--out", &alliance.path("x")]);
    sign.fails(4, &["can be read by others", "chmod 600"]);
}

#[test]
fn a_root_that_is_no_founder_cannot_sign_and_nothing_is_overwritten() {
    let alliance = Alliance::draft(&["UKR", "POL"]);
    ok(&["root", "new", "FRA", "--out", &alliance.path("FRA.root")]);
    comity(&["root", "new", "FRA", "--out", &alliance.path("FRA.root")]).fails(4, &["nothing is overwritten"]);
    let out = alliance.path("FRA.sig");
    let sign =
        comity(&["genesis", "sign", &alliance.path("draft"), "--root", &alliance.path("FRA.root"), "--out", &out]);
    sign.fails(1, &["not the root key of any founder"]);
}

#[test]
fn a_damaged_or_foreign_file_is_named() {
    let alliance = Alliance::draft(&["UKR", "POL"]);
    let genesis = alliance.path("genesis");
    comity(&["genesis", "show", &alliance.path("UKR.sig")]).fails(2, &["first line"]);
    let text = fs::read_to_string(&genesis).expect("our own file");
    let flipped = text.replacen("record: 00", "record: 01", 1);
    fs::write(alliance.path("flipped"), flipped).expect("our own folder");
    comity(&["genesis", "show", &alliance.path("flipped")]).fails(2, &["damaged"]);
    let tail = text.trim_end();
    let last = if tail.ends_with('0') { '1' } else { '0' };
    fs::write(alliance.path("signature"), format!("{}{last}\n", &tail[..tail.len() - 1])).expect("our own folder");
    comity(&["genesis", "show", &alliance.path("signature")]).fails(1, &["not a valid genesis"]);
}

#[test]
fn codes_founders_and_labels_are_checked_at_entry() {
    let alliance = Alliance::draft(&["UKR", "POL"]);
    comity(&["root", "new", "uk", "--out", &alliance.path("x")]).fails(2, &["not a nation code"]);
    let draft = ["genesis", "draft", "--name", "T", "--out", &alliance.path("y"), "--founder", "FRA=12"];
    comity(&draft).fails(2, &["64 hexadecimal digits"]);
    let (home, genesis) = (alliance.home("x"), alliance.path("genesis"));
    comity(&["--home", &home, "init", "--genesis", &genesis, "--nation", "DEU"]).fails(2, &["its nations are"]);
    comity(&["--home", &home, "init", "--genesis", &genesis, "--nation", "POL", "--label", "a\u{202e}b"])
        .fails(2, &["label"]);
}

#[test]
fn a_home_is_made_once() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let (home, genesis) = (alliance.home("POL"), alliance.path("genesis"));
    comity(&["--home", &home, "init", "--genesis", &genesis, "--nation", "POL"]).fails(2, &["is a home already"]);
    let check = comity(&["--home", &home, "node", "check", "--deep", "--json"]).json();
    assert_eq!((&check["sound"], &check["control"]), (&true.into(), &3.into()));
}
