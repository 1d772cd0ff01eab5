//! An alliance founded anew, and the record of the old one kept beside it: audited, readable, and never a part of the new one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use comity_protocol::bundle::{Audit, Export, Kind, Reader, Wanted, export};
use comity_protocol::charter::Anchor;
use comity_protocol::envelope::AttestedHeader;
use comity_protocol::evaluate::{Element, evaluate};
use comity_protocol::message::pack::Packed;
use serde_json::{Value, json};

use crate::harness::{Alliance, Node, comity, converge, need, ok, until};

/// Founds an alliance anew from a charter file, with new roots; returns where its genesis is, and what the draft says.
pub fn found_anew(alliance: &Alliance, charter: &str, codes: &[&str], name: &str) -> (String, String) {
    let file = |what: &str| alliance.path(&format!("{name}.{what}"));
    let mut draft: Vec<String> = ["genesis", "draft", "--name", name, "--parent", charter].map(str::to_owned).into();
    let mut assemble = vec!["genesis".to_owned(), "assemble".to_owned(), file("draft")];
    let mut signing = Vec::new();
    for code in codes {
        let (root, signature) = (file(&format!("{code}.root")), file(&format!("{code}.sig")));
        let made = comity(&["root", "new", code, "--out", &root, "--json"]).json();
        draft.extend(["--founder".to_owned(), format!("{code}={}", made["root"].as_str().expect("a root"))]);
        signing.push((root, signature));
    }
    draft.extend(["--out".to_owned(), file("draft")]);
    let words = ok(&draft.iter().map(String::as_str).collect::<Vec<_>>());
    for (root, signature) in &signing {
        ok(&["genesis", "sign", &file("draft"), "--root", root, "--out", signature]);
        assemble.push(signature.clone());
    }
    assemble.extend(["--out".to_owned(), file("genesis")]);
    ok(&assemble.iter().map(String::as_str).collect::<Vec<_>>());
    (file("genesis"), words)
}

/// Makes a home for a nation of an alliance that was founded anew.
pub fn home_anew(alliance: &Alliance, genesis: &str, code: &str, name: &str) -> String {
    let home = alliance.home(name);
    ok(&["--home", &home, "init", "--genesis", genesis, "--nation", code]);
    home
}

fn bundle(alliance: &Alliance, node: &Node, name: &str) -> String {
    let path = alliance.path(&format!("{name}.bundle"));
    assert_eq!(node.run(&["export", "bundle", "--out", &path]).code, 0);
    path
}

/// Writes a bundle again as an exporter would that hides everything one node said.
fn write_without(bundle: &str, node: &str, out: &str) {
    let bytes = fs::read(bundle).expect("the bundle");
    let (mut reader, mut audit, mut rest) = (Reader::new(), Audit::new(None), bytes.as_slice());
    while !rest.is_empty() {
        let taken = reader.feed(rest);
        rest = &rest[taken..];
        while let Some(frame) = reader.poll().expect("a sound bundle") {
            audit.take(frame.place, frame.piece).expect("sound records");
        }
    }
    let sealed = reader.finish().expect("a whole bundle");
    let state = audit.finish(&sealed).expect("a sound bundle").state;
    let mut elements: Vec<Element> =
        state.control_records().into_iter().map(|control| Element::Control((**control).clone())).collect();
    for chain in state.chains().filter(|chain| chain.author().key.hex() != node) {
        for held in chain.iter() {
            let header = chain.header(held).encode();
            let header = AttestedHeader::from_store(&header, held.signature().copied()).expect("our own header");
            elements.push(Element::Header(header));
            elements.extend(held.body().map(|body| Element::Body { id: held.id(), bytes: Arc::clone(body) }));
        }
    }
    let state = evaluate(Anchor::founding(state.anchor().alliance), elements);
    let request = Export {
        kind: Kind::Bundle,
        wanted: Wanted::All,
        packed: Packed::Sparse,
        exporter: sealed.manifest.exporter,
        created_ms: sealed.manifest.created_ms,
        software: "a test".to_owned(),
    };
    let mut written = Vec::new();
    let taken = export(&state, &request, None, |bytes| {
        written.extend_from_slice(bytes);
        Ok::<(), std::convert::Infallible>(())
    });
    taken.expect("memory takes it");
    fs::write(out, written).expect("our own file");
}

fn at(home: &str, args: &[&str]) -> crate::harness::Ran {
    comity(&[&["--home", home], args].concat())
}

#[test]
fn willing_nations_found_an_alliance_anew_and_it_names_the_old_one() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let ukr = alliance.start("UKR", &[]);
    let charter = alliance.charter_of(&ukr);
    let old = ukr.json(&["charter", "show"]);
    let (genesis, words) = found_anew(&alliance, &charter, &["UKR", "POL"], "Anew");
    let parts = ["re-founds alliance", "\"Test\" at charter version 0", "here: POL UKR; not here: DEU"];
    assert!(parts.iter().all(|part| words.contains(part)), "{words}");
    home_anew(&alliance, &genesis, "UKR", "anew");
    let node = alliance.start("anew", &[]);
    let parent = node.json(&["charter", "show"])["parent"].clone();
    assert_eq!((&parent["alliance"], &parent["charter"]), (&old["alliance"], &old["charter"]));
    // Nothing of the old one is valid here.
    let rosters = alliance.path("UKR.roster");
    node.run(&["roster", "import", &rosters]).fails(1, &["R03", "another alliance"]);
}

#[test]
fn the_old_record_is_archived_read_with_the_usual_commands_and_never_mixed_with_the_new_one() {
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "100");
    until("Poland holds it", || (nodes[1].run(&["show", &requirement]).code == 0).then_some(()));
    let (pledge, _) = nodes[1].write(&["pledge", "add", "--requirement", &requirement, "--quantity", "40"]);
    converge(&nodes.iter().collect::<Vec<_>>());
    let [first, charter] = [bundle(&alliance, &nodes[2], "first"), alliance.charter_of(&nodes[0])];
    let live = nodes[0].json(&["board", "--as-of", "2026-12-31"]);
    let (genesis, _) = found_anew(&alliance, &charter, &["UKR", "POL"], "Anew");
    let home = home_anew(&alliance, &genesis, "UKR", "anew");
    at(&home, &["archive", "board"]).fails(2, &["no archive to read", "hint: `comity archive add"]);
    let before = at(&home, &["node", "check", "--json"]).json();
    let added = at(&home, &["archive", "add", &first, "--json"]).json()["archives"][0].clone();
    assert_eq!((&added["sound"], &added["name"], &added["statements"]), (&json!(true), &json!("Test"), &json!(2)));
    assert_eq!((&added["nations"], &added["omissions"]), (&json!(["DEU", "POL", "UKR"]), &json!(0)));
    let file = added["file"].as_str().expect("a file");
    assert_eq!(fs::metadata(file).expect("the archive").permissions().mode() & 0o777, 0o400, "read-only");
    assert_eq!(fs::read(file).expect("the archive"), fs::read(&first).expect("the bundle"), "byte for byte");
    // Without any node, the usual commands give what the old alliance's own nodes gave.
    let archived = at(&home, &["archive", "board", "--as-of", "2026-12-31", "--json"]).json();
    assert_eq!((&archived["rows"], archived["rows"].as_array().map(Vec::len)), (&live["rows"], Some(1)));
    let shown = at(&home, &["archive", "show", &pledge]);
    assert!(shown.stdout.starts_with("archive of alliance \"Test\" "), "{shown:?}");
    assert!(shown.stdout.contains("nothing of it is live") && shown.stdout.contains(&pledge), "{shown:?}");
    for command in ["gaps", "flags", "nations", "log", "charter"] {
        let ran = at(&home, &["archive", command]);
        assert!(ran.code == 0 && ran.stdout.starts_with("archive of alliance"), "{ran:?}");
    }
    let explained = at(&home, &["archive", "explain", &pledge, "--json"]).json();
    assert_eq!((&explained["standing"], &explained["verdict"]), (&json!("accepted"), &json!("valid")));
    let exported = at(&home, &["archive", "export", "jsonl", "--as-of", "2026-12-31"]);
    assert_eq!(exported.stdout, nodes[0].export("2026-12-31"), "byte for byte");
    at(&home, &["archive", "records", "pledges"]).fails(2, &["no kind of statement"]);
    at(&home, &["archive", "show", "UKR/pledge/zzzz"]).fails(2, &["names no one record"]);
    // The new record has nothing of it.
    assert_eq!(at(&home, &["node", "check", "--json"]).json(), before);
    let node = alliance.start("anew", &[]);
    assert_eq!((&node.status()["statements"], &node.status()["envelopes"]), (&json!(0), &json!(0)));
    node.run(&["show", &pledge]).fails(2, &["names no one record"]);
    assert_eq!(node.run(&["archive", "list"]).code, 0, "beside a running node as well");
}

#[test]
fn an_archive_gives_way_only_to_one_that_holds_all_of_it() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    need(&nodes[0], "100");
    converge(&[&nodes[0], &nodes[1]]);
    let small = bundle(&alliance, &nodes[0], "small");
    need(&nodes[1], "7");
    converge(&[&nodes[0], &nodes[1]]);
    let large = bundle(&alliance, &nodes[0], "large");
    let (genesis, _) = found_anew(&alliance, &alliance.charter_of(&nodes[0]), &["UKR", "POL"], "Anew");
    let home = home_anew(&alliance, &genesis, "UKR", "anew");
    ok(&["--home", &home, "archive", "add", &small]);
    at(&home, &["archive", "add", &large]).fails(1, &["archived already", "hint: --replace"]);
    let replaced = at(&home, &["archive", "add", &large, "--replace", "--json"]).json();
    assert_eq!(replaced["archives"][0]["statements"], 2);
    at(&home, &["archive", "add", &small, "--replace"]).fails(1, &["holds more", "the bundle lacks envelope"]);
    assert_eq!(at(&home, &["archive", "list", "--json"]).json()["archives"][0]["statements"], 2, "it is there still");
    // An alliance founded anew once more: the parent first, its own parent after it.
    let node = alliance.start("anew", &[]);
    let (again, _) = found_anew(&alliance, &alliance.charter_of(&node), &["UKR", "POL"], "Again");
    let third = home_anew(&alliance, &again, "POL", "again");
    let parent = bundle(&alliance, &node, "parent");
    at(&third, &["archive", "add", &large]).fails(1, &["of another alliance", "comes after the parent"]);
    ok(&["--home", &third, "archive", "add", &parent]);
    ok(&["--home", &third, "archive", "add", &large]);
    let names = |ran: Value| {
        let rows = ran["archives"].as_array().expect("archives").clone();
        rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let mut listed = names(at(&third, &["archive", "list", "--json"]).json());
    listed.sort_unstable();
    assert_eq!(listed, ["Anew", "Test"]);
    assert!(
        at(&third, &["archive", "board"]).stdout.contains("alliance \"Anew\""),
        "the parent's, unless one is named"
    );
    let old = nodes[0].status()["alliance"].as_str().expect("an id").to_owned();
    assert!(at(&third, &["archive", "--of", &old[..8], "board"]).stdout.contains("alliance \"Test\""));
    at(&third, &["archive", "--of", "abc", "board"]).fails(2, &["names no archive"]);
}

#[test]
fn what_is_not_the_parents_record_is_never_archived_and_a_damaged_archive_is_not_read() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "100");
    converge(&[&nodes[0], &nodes[1]]);
    let good = bundle(&alliance, &nodes[0], "good");
    let charter = alliance.charter_of(&nodes[0]);
    nodes[0].run(&["archive", "add", &good]).fails(1, &["re-founds no other", "comity verify"]);
    let (genesis, _) = found_anew(&alliance, &charter, &["UKR"], "Anew");
    let home = home_anew(&alliance, &genesis, "UKR", "anew");
    // Another alliance's bundle, one with a bit flipped, and what is no bundle.
    let other = Alliance::found(&["UKR"]);
    let stranger = other.start("UKR", &[]);
    let foreign = bundle(&alliance, &stranger, "foreign");
    at(&home, &["archive", "add", &foreign]).fails(1, &["of another alliance", "re-founds"]);
    let bytes = fs::read(&good).expect("the bundle");
    let spoiled = alliance.path("spoiled");
    for place in [40, bytes.len() / 2, bytes.len() - 20] {
        let mut flipped = bytes.clone();
        flipped[place] ^= 4;
        fs::write(&spoiled, flipped).expect("our own file");
        let ran = at(&home, &["archive", "add", &spoiled]);
        assert!(ran.code == 1 && ran.stderr.contains("spoiled"), "{place}: {ran:?}");
    }
    fs::write(&spoiled, &bytes[..bytes.len() / 2]).expect("our own file");
    at(&home, &["archive", "add", &spoiled]).fails(1, &["is damaged"]);
    let courier = alliance.path("courier");
    assert_eq!(nodes[0].run(&["courier", "export", "--out", &courier]).code, 0);
    at(&home, &["archive", "add", &courier]).fails(2, &["is a courier file"]);
    at(&home, &["archive", "add", &alliance.path("nowhere")]).fails(4, &["cannot open"]);
    assert_eq!(at(&home, &["archive", "list", "--json"]).json(), json!({"archives": []}), "nothing of it was kept");
    // What is kept is audited whenever it is read.
    let added = at(&home, &["archive", "add", &good, "--json"]).json();
    let file = added["archives"][0]["file"].as_str().expect("a file").to_owned();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("our own file");
    fs::write(&file, damaged).expect("our own file");
    for command in [["board", "--json"].as_slice(), &["show", &requirement]] {
        let ran = at(&home, &[&["archive"], command].concat());
        assert!(ran.code == 1 && ran.stdout.is_empty(), "{ran:?}");
    }
    let listed = at(&home, &["archive", "list", "--json"]);
    listed.fails(1, &["is not what was put there", "hint: put it aside"]);
    let row: Value = serde_json::from_str(&listed.stdout).expect("the list all the same");
    assert_eq!(row["archives"][0]["sound"], false, "{row:#}");
}

#[test]
fn a_bundle_that_lacks_what_a_witness_acknowledged_is_archived_only_if_that_is_said() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    for code in &alliance.codes {
        let config = "[witness]\non_change_ms = 100\n";
        fs::write(format!("{}/comity.toml", alliance.home(code)), config).expect("our own file");
    }
    let nodes = alliance.start_all();
    need(&nodes[0], "100");
    until("it is seen by both", || {
        let log = nodes[0].json(&["log", "--nation", "UKR", "--limit", "100"]);
        let rows = log["rows"].as_array().expect("rows").clone();
        let change = rows.iter().find(|row| row["kind"] == "change").expect("the change").clone();
        (change["witnessed"]["seen_by"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let charter = alliance.charter_of(&nodes[0]);
    let lacking = alliance.path("lacking.bundle");
    let ukr = nodes[0].status()["node"].as_str().expect("a key").to_owned();
    write_without(&bundle(&alliance, &nodes[1], "whole"), &ukr, &lacking);
    let (genesis, _) = found_anew(&alliance, &charter, &["UKR", "POL"], "Anew");
    let home = home_anew(&alliance, &genesis, "UKR", "anew");
    at(&home, &["archive", "add", &lacking]).fails(1, &["acknowledged records are missing", "--allow-omissions"]);
    let added = at(&home, &["archive", "add", &lacking, "--allow-omissions", "--json"]).json();
    assert_ne!(added["archives"][0]["omissions"], 0);
}
