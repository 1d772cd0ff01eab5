//! Files that carry the record: audit bundles, and sticks between nodes that never reach each other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Alliance, Node, comity, converge, need, until};

/// Carries what one node holds and another lacks, by way of files.
fn carry(alliance: &Alliance, from: &Node, to: &Node, name: &str) -> Value {
    let (frontier, file) = (alliance.path(&format!("{name}.frontier")), alliance.path(&format!("{name}.courier")));
    to.json(&["courier", "frontier", "--out", &frontier]);
    from.json(&["courier", "export", "--since", &frontier, "--out", &file]);
    to.json(&["courier", "import", &file])
}

fn counted(imported: &Value) -> u64 {
    let new = imported["taken"]["envelopes_new"].as_object().expect("counts by nation");
    new.values().map(|count| count.as_u64().expect("a count")).sum()
}

#[test]
fn two_ministries_without_a_network_converge_by_a_stick() {
    let alliance = Alliance::draft(&["UKR", "POL"]);
    // Neither holds the other's roster: the stick brings it.
    alliance.enrol("UKR", "UKR", None);
    alliance.enrol("POL", "POL", None);
    let (ukr, pol) = (alliance.start("UKR", &[]), alliance.start("POL", &[]));
    let requirement = need(&ukr, "1000");
    let there = carry(&alliance, &ukr, &pol, "there");
    assert_eq!((counted(&there), &there["whole"]), (1, &Value::Bool(true)), "{there:#}");
    pol.write(&["pledge", "add", "--requirement", &requirement, "--quantity", "400"]);
    let back = carry(&alliance, &pol, &ukr, "back");
    assert_eq!(counted(&back), 1, "{back:#}");
    converge(&[&ukr, &pol]);
    // Nothing is left to carry, and an old file brings nothing.
    let again = ukr.json(&["courier", "import", &alliance.path("back.courier")]);
    assert_eq!((counted(&again), &again["taken"]["control_new"]), (0, &0.into()));
    assert_eq!(again["taken"]["refused"].as_array().map(Vec::len), Some(0));
    let nothing = carry(&alliance, &pol, &ukr, "nothing");
    assert_eq!(counted(&nothing), 0, "{nothing:#}");
}

#[test]
fn a_dry_run_says_what_would_come_and_changes_nothing() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let (ukr, pol) = (alliance.start("UKR", &[]), alliance.start("POL", &[]));
    for quantity in ["10", "20", "30"] {
        need(&ukr, quantity);
    }
    let file = alliance.path("all.courier");
    ukr.json(&["courier", "export", "--out", &file]);
    let before = pol.digests();
    let dry = pol.json(&["courier", "import", &file, "--dry-run"]);
    assert_eq!(pol.digests(), before);
    assert_eq!((counted(&dry), &dry["dry_run"]), (3, &Value::Bool(true)), "{dry:#}");
    let real = pol.json(&["courier", "import", &file]);
    assert_eq!(dry["taken"], real["taken"]);
    let after = pol.json(&["courier", "import", &file, "--dry-run"]);
    assert_eq!(counted(&after), 0, "{after:#}");
    converge(&[&ukr, &pol]);
}

#[test]
fn of_a_damaged_stick_everything_before_the_damage_is_taken_in() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let (ukr, pol) = (alliance.start("UKR", &[]), alliance.start("POL", &[]));
    let deu = alliance.start("DEU", &["--peer", &ukr.address]);
    until("Kyiv and Berlin are linked", || (deu.connected() == 1).then_some(()));
    let requirement = need(&ukr, "10");
    until("the need reaches Berlin", || (deu.run(&["show", &requirement]).code == 0).then_some(()));
    need(&deu, "20");
    converge(&[&ukr, &deu]);
    let file = alliance.path("whole.courier");
    ukr.json(&["courier", "export", "--out", &file]);
    let whole = fs::read(&file).expect("the file");
    let cut = alliance.path("cut.courier");
    // The manifest and the seal are gone, and the end of the last run.
    fs::write(&cut, &whole[..whole.len() - 450]).expect("written");
    let ran = pol.run(&["courier", "import", &cut]);
    ran.fails(1, &["is damaged at byte", "cause: ends", "hint: everything before the damage was taken in"]);
    assert_eq!(pol.status()["envelopes"], 1, "one of two runs came before the damage");
    let mut flipped = whole.clone();
    let middle = flipped.len() - 1;
    flipped[middle] ^= 1;
    let bad = alliance.path("flipped.courier");
    fs::write(&bad, &flipped).expect("written");
    pol.run(&["courier", "import", &bad]).fails(1, &["is damaged at byte"]);
    // The same stick, whole: what is held is not taken in twice.
    let rest = pol.json(&["courier", "import", &file]);
    assert!(rest["taken"]["envelopes_known"].as_u64().expect("a count") > 0, "{rest:#}");
    converge(&[&ukr, &pol, &deu]);
}

#[test]
fn a_stick_of_another_alliance_or_with_a_gap_is_refused_and_says_what_to_do() {
    let (ours, theirs) = (Alliance::found(&["UKR", "POL"]), Alliance::found(&["UKR", "POL"]));
    let (ukr, pol) = (ours.start("UKR", &[]), ours.start("POL", &[]));
    let stranger = theirs.start("UKR", &[]);
    need(&stranger, "10");
    let foreign = ours.path("foreign.courier");
    stranger.json(&["courier", "export", "--out", &foreign]);
    pol.run(&["courier", "import", &foreign]).fails(1, &["is of another alliance", "cause: it names"]);
    need(&ukr, "10");
    let own = ours.path("ukr.frontier");
    ukr.json(&["courier", "frontier", "--out", &own]);
    need(&ukr, "20");
    let late = ours.path("late.courier");
    ukr.json(&["courier", "export", "--since", &own, "--out", &late]);
    let ran = pol.run(&["courier", "import", &late]);
    ran.fails(1, &["1 frame of the file were refused", "what it builds on is not held", "hint: the file starts above"]);
    assert!(ran.stdout.contains("R08"), "{ran:?}");
    pol.run(&["courier", "import", &ours.path("nowhere")]).fails(4, &["cannot open"]);
    ukr.run(&["courier", "export", "--out", &late]).fails(4, &["hint: choose another path; nothing is overwritten"]);
    ukr.run(&["courier", "export", "--for", "XXX", "--out", &ours.path("x")]).fails(2, &["XXX is no nation"]);
    assert!(!Path::new(&ours.path("x")).exists(), "no file is left behind");
}

#[test]
fn any_nodes_bundle_verifies_offline_to_the_same_state() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "1000");
    until("the need arrives", || (nodes[1].run(&["show", &requirement]).code == 0).then_some(()));
    nodes[1].write(&["pledge", "add", "--requirement", &requirement, "--quantity", "400"]);
    converge(&nodes.iter().collect::<Vec<_>>());
    let status = nodes[0].status();
    let id = status["alliance"].as_str().expect("an id").to_owned();
    for (node, code) in nodes.iter().zip(&alliance.codes) {
        let file = alliance.path(&format!("{code}.bundle"));
        let written = node.json(&["export", "bundle", "--sign", "--all-signatures", "--out", &file]);
        assert_eq!((&written["signed"], &written["state"]), (&Value::Bool(true), &status["state"]));
        assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
        let audited = comity(&["verify", &file, "--alliance", &id, "--json"]).json();
        assert_eq!((&audited["state"], &audited["intact"]), (&status["state"], &Value::Bool(true)), "{audited:#}");
        assert_eq!(
            (&audited["exporter"], audited["authors"].as_array().map(Vec::len)),
            (&code.as_str().into(), Some(2))
        );
        comity(&["verify", &file, "--alliance", &"0".repeat(64)]).fails(1, &["breaks a rule", "R03"]);
        node.run(&["export", "bundle", "--out", &file]).fails(4, &["nothing is overwritten"]);
    }
    // A node that stands still gives the same.
    for node in nodes {
        assert_eq!(node.stop(), 0);
    }
    let file = alliance.path("still.bundle");
    let home = alliance.home("UKR");
    let written = comity(&["--home", &home, "export", "bundle", "--out", &file, "--json"]).json();
    assert_eq!(written["state"], status["state"]);
    let audited = comity(&["verify", &file, "--envelope", "ffffffffffff"]);
    audited.fails(1, &["no envelope in the bundle has an id that begins with ffffffffffff"]);
    let text = comity(&["verify", &file]);
    assert_eq!(text.code, 0, "{text:?}");
    for part in
        ["intact: every signature and link holds", "NOT ESTABLISHED", "who pressed the key", "version 0: founded"]
    {
        assert!(text.stdout.contains(part), "no {part:?} in {text:?}");
    }
}

#[test]
fn a_bundle_that_was_touched_is_refused_and_says_where() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    need(&ukr, "1000");
    let file = alliance.path("ukr.bundle");
    ukr.json(&["export", "bundle", "--out", &file]);
    let whole = fs::read(&file).expect("the file");
    let touched = alliance.path("touched.bundle");
    let try_with = |bytes: &[u8]| {
        fs::write(&touched, bytes).expect("written");
        comity(&["verify", &touched])
    };
    try_with(&whole[..whole.len() / 2]).fails(1, &["is damaged at byte", "cause: ends in the middle"]);
    try_with(&[&whole[..], b"x"].concat()).fails(1, &["bytes stand behind the seal"]);
    try_with(b"something else").fails(1, &["is damaged in its first line"]);
    try_with(b"").fails(1, &["is damaged in its first line"]);
    for at in [100, whole.len() / 2, whole.len() - 20] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        let ran = try_with(&flipped);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("at byte"), "{ran:?}");
    }
    let courier = alliance.path("ukr.courier");
    ukr.json(&["courier", "export", "--out", &courier]);
    comity(&["verify", &courier]).fails(2, &["is a courier file", "hint: `comity export bundle` writes one"]);
    ukr.run(&["export", "bundle"]).fails(2, &["a bundle needs a file"]);
    ukr.run(&["export", "jsonl", "--sign"]).fails(2, &["only a bundle holds signatures"]);
}
