//! Bad input gets a clear error or a counted refusal, the node stays up, and nothing is lost.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::harness::{Alliance, Node, comity, need, until};

fn refused_start(alliance: &Alliance, name: &str, args: &[&str]) -> crate::harness::Ran {
    match Node::try_start(PathBuf::from(alliance.home(name)), args) {
        Ok(node) => panic!("it started: {}", node.line),
        Err(ran) => ran,
    }
}

#[test]
fn an_unknown_configuration_key_is_named_with_its_line() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let config = PathBuf::from(alliance.home("UKR")).join("comity.toml");
    fs::write(&config, "mdns = false\nlisten_on = []\n").expect("our own file");
    refused_start(&alliance, "UKR", &[]).fails(2, &["listen_on", "line 2"]);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let key = PathBuf::from(alliance.home("UKR")).join("keys/node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("our own file");
    let ran = refused_start(&alliance, "UKR", &[]);
    assert!(ran.stderr.contains("chmod 600"), "{ran:?}");
}

#[test]
fn a_second_node_on_one_home_and_a_port_in_use_are_refused() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let second = comity(&["--home", &alliance.home("UKR"), "node", "run", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    assert_eq!(second.code, 4, "{second:?}");
    let taken = comity(&["--home", &alliance.home("POL"), "node", "run", "--listen", &ukr.address]);
    taken.fails(4, &["in use"]);
    assert_eq!(ukr.run(&["status"]).code, 0, "the first node is not disturbed");
}

#[test]
fn a_missing_home_or_store_is_an_error_and_no_new_store_is_made() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nowhere = comity(&["--home", &alliance.path("nowhere"), "node", "run"]);
    nowhere.fails(2, &["is no home"]);
    let home = PathBuf::from(alliance.home("UKR"));
    fs::rename(home.join("store"), home.join("elsewhere")).expect("our own folder");
    let ran = comity(&["--home", &alliance.home("UKR"), "node", "run"]);
    assert_ne!(ran.code, 0);
    assert!(!home.join("store/node.sqlite").exists(), "an empty store would fork the chain");
}

#[test]
fn quantities_units_and_references_are_checked_at_entry() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let add = |quantity: &str, unit: &str| {
        ukr.run(&[
            "requirement",
            "add",
            "--item",
            "x",
            "--class",
            "II",
            &format!("--quantity={quantity}"),
            "--unit",
            unit,
        ])
    };
    for quantity in ["0", "-5", "10000000000000000000", "1.5", "many"] {
        add(quantity, "each").fails(2, &["quantity"]);
    }
    add("5", "furlong").fails(2, &["furlong"]);
    let requirement = need(&ukr, "5");
    ukr.run(&["accept", "add", "--pledge", "POL/pledge/zzzz", "--quantity", "1"]).fails(2, &["POL/pledge/zzzz"]);
    need(&ukr, "6");
    let prefix = requirement.rsplit_once('/').expect("a reference").0;
    ukr.run(&["show", &format!("{prefix}/")]).fails(2, &[]);
    let listed = ukr.json(&["requirement", "list"]);
    assert_eq!(listed["rows"].as_array().map(Vec::len), Some(2), "nothing refused was written");
}

#[test]
fn nobody_writes_in_another_nations_role() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let nodes = alliance.start_all();
    let requirement = need(&nodes[0], "5");
    until("Poland holds it", || (nodes[1].run(&["show", &requirement]).code == 0).then_some(()));
    nodes[1].run(&["requirement", "revise", &requirement, "--quantity", "1"]).fails(1, &["another nation"]);
    let (pledge, _) = nodes[1].write(&["pledge", "add", "--requirement", &requirement, "--quantity", "1"]);
    nodes[1].run(&["accept", "add", "--pledge", &pledge, "--quantity", "1"]).fails(1, &[]);
}

#[test]
fn a_full_store_refuses_writes_and_loses_nothing() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let config = PathBuf::from(alliance.home("UKR")).join("comity.toml");
    fs::write(&config, "[store]\nbytes_max = 1048576\n").expect("our own file");
    let ukr = alliance.start("UKR", &[]);
    let mut written = 0;
    let long = "x".repeat(500);
    let refused = until("the store is full", || {
        let add = ["observation", "add", "--source", &long, "--reason", &long, "--item", &long];
        let ran = ukr.run(&add);
        if ran.code == 0 {
            written += 1;
            return None;
        }
        Some(ran)
    });
    refused.fails(4, &["full"]);
    let count = |node: &Node| node.json(&["observation", "list"])["rows"].as_array().map_or(0, Vec::len);
    assert_eq!(count(&ukr), written, "reading goes on");
    assert_eq!(ukr.stop(), 0);
    fs::write(&config, "").expect("our own file");
    let ukr = alliance.start("UKR", &[]);
    assert_eq!(count(&ukr), written, "every acknowledged statement is there");
    need(&ukr, "1");
}

#[test]
fn a_peer_that_speaks_garbage_and_a_stranger_change_nothing() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let port = ukr.address.rsplit('/').next().expect("a port").parse::<u16>().expect("a port");
    for seed in 0..20_u8 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the node listens");
        let garbage: Vec<u8> =
            (0..=u8::MAX).cycle().take(4_096).map(|i| i.wrapping_mul(31).wrapping_add(seed)).collect();
        let _ = stream.write_all(&garbage);
    }
    // Another alliance: same software, other genesis. And a node of this alliance that stands in no roster.
    let other = Alliance::found(&["UKR", "FRA"]);
    let foreign = other.start("FRA", &["--peer", &ukr.address]);
    comity(&["--home", &alliance.home("X"), "init", "--genesis", &alliance.path("genesis"), "--nation", "POL"]);
    let stranger = alliance.start("X", &["--peer", &ukr.address]);
    until("the stranger is counted", || (ukr.status()["refused_not_in_roster"].as_u64() > Some(0)).then_some(()));
    assert_eq!((ukr.connected(), foreign.connected(), stranger.connected()), (0, 0, 0));
    need(&ukr, "1");
    assert_eq!(foreign.json(&["requirement", "list"])["rows"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_roster_of_another_alliance_or_signed_by_another_root_is_refused() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let other = Alliance::found(&["UKR", "POL"]);
    let import = comity(&["--home", &alliance.home("UKR"), "roster", "import", &other.path("POL.roster")]);
    import.fails(1, &["another alliance"]);
    let sign = ["roster", "sign", &alliance.path("POL.roster-draft"), "--root", &alliance.path("UKR.root"), "--out"];
    comity(&[sign.as_slice(), &[&alliance.path("bad.roster")]].concat()).fails(1, &["does not sign for this nation"]);
}

#[test]
fn files_of_another_shape_are_refused_and_change_nothing() {
    let alliance = Alliance::found(&["UKR", "POL"]);
    let ukr = alliance.start("UKR", &[]);
    let items = alliance.path("items");
    fs::create_dir(&items).expect("our own folder");
    ukr.run(&["import", "kiel", &items]).fails(2, &["items.csv"]);
    fs::write(format!("{items}/items.csv"), "ID,countries\nX,Y\n").expect("our own file");
    ukr.run(&["import", "kiel", &items]).fails(2, &["no column"]);
    fs::write(format!("{items}/cut.json"), "{\"data\": {\"flows\": [{\"id\": 1").expect("our own file");
    ukr.run(&["import", "fts", &format!("{items}/cut.json")]).fails(2, &["is no list of flows", "{\"data\""]);
    let real = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hxl/libhxl_input-invalid.csv");
    if real.exists() {
        ukr.run(&["import", "fts", real.to_str().expect("UTF-8")]).fails(2, &["no list of flows"]);
    } else {
        println!("skipped: no shared data beside the project");
    }
    let file = alliance.path("table.csv");
    let import = |format: &str, bytes: &[u8]| {
        fs::write(&file, bytes).expect("our own file");
        ukr.run(&["import", format, &file])
    };
    import("hxl", b"PK\x03\x04 and the rest of a spreadsheet").fails(2, &["a zip archive", "save the table as CSV"]);
    import("hxl", b"Org,Sector\nOMS,WASH\n").fails(2, &["no row of hashtags", "hint: add a row of hashtags"]);
    // The good row before the bad one is not written either.
    let endless = format!("#org,#sector\nOMS,WASH\nOMS,\"{}", "x".repeat(3 << 20));
    import("hxl", endless.as_bytes()).fails(2, &["line 2: a row of more than 1048576 bytes", "nothing was written"]);
    import("iati", b"<html></html>").fails(2, &["is no activity file", "its root is <html>"]);
    let cut = "<iati-activities version=\"2.03\"><iati-activity default-currency=\"EUR\"><iati-identifier>X-1</iati-identifier>\
               <transaction><transaction-type code=\"3\"/><value>5</value></transaction>\n<transaction>";
    import("iati", cut.as_bytes()).fails(2, &["line 2", "it was cut", "get the whole file"]);
    fs::write(&file, "name_en,neighbour,lat,lon\nA - B,Poland,51.2,23.8\n").expect("our own file");
    ukr.run(&["import", "hubs", &file, "--adopt", "EPWA"]).fails(2, &["EPWA of", "no such place on the ground of UKR"]);
    assert_eq!(ukr.status()["statements"], 0);
}
