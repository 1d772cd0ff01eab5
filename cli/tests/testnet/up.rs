//! Testnets that go on after the command which started them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{Ran, alone, command, runs, testnet};
use crate::schema::Schema;

/// A testnet's folder; whatever still runs in it is stopped at the end of the test.
struct Net {
    _dir: TempDir,
    path: PathBuf,
}

impl Net {
    /// A folder `below` a temporary one.
    fn new(below: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join(below);
        Self { _dir: dir, path }
    }

    fn dir(&self) -> &str {
        self.path.to_str().expect("a plain path")
    }

    fn up(&self, nations: &str) -> Value {
        testnet(&["up", "--nations", nations, "--dir", self.dir(), "--json"]).json(0)
    }

    fn down(&self) -> Value {
        testnet(&["down", "--dir", self.dir(), "--json"]).json(0)
    }

    fn exec(&self, nation: &str, args: &[&str]) -> Ran {
        testnet(&[&["exec", "--dir", self.dir(), nation, "--"], args].concat())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = testnet(&["down", "--dir", self.dir()]);
    }
}

fn pids(state: &Value) -> Vec<u64> {
    let nations = state["nations"].as_array().expect("nations").iter();
    nations.map(|nation| nation["pid"].as_u64().expect("a process")).collect()
}

fn assert_whole(state: &Value, links: usize) {
    for nation in state["nations"].as_array().expect("nations") {
        assert_eq!((&nation["answers"], &nation["connected"]), (&json!(true), &json!(links)), "{state:#}");
    }
}

#[test]
fn up_status_exec_and_down_work_twice_and_stop_their_own_processes_only() {
    let _alone = alone();
    let net = Net::new("net");
    let state = net.up("UKR,POL,DEU");
    assert_whole(&state, 2);
    assert_eq!(pids(&net.up("UKR,POL,DEU")), pids(&state), "a second call finds everything running");
    let filed = net
        .exec("UKR", &["requirement", "add", "--item", "tents", "--class", "IV", "--quantity", "40", "--unit", "each"]);
    assert_eq!(filed.code, 0, "{filed:?}");
    let board = net.exec("POL", &["board"]);
    assert!(board.code == 0 && board.stdout.contains("as of"), "{board:?}");
    assert_eq!(
        net.exec("POL", &["show", "POL/pledge/0000000000"]).code,
        2,
        "the command's own exit code comes through"
    );
    net.exec("FRA", &["board"]).fails(2, &["FRA is not in the testnet of UKR, POL, DEU"]);
    testnet(&["up", "--nations", "UKR,POL", "--dir", net.dir()])
        .fails(2, &["holds a testnet of UKR, POL, DEU", "hint: "]);
    let hint = state["nations"][1]["hint"].as_str().expect("a hint");
    assert!(hint.contains("COMITY_HOME=") && hint.contains("/POL"), "{hint}");
    let running = pids(&state);
    let schema = Schema::committed();
    schema.check("testnet up", &state);
    schema.check("testnet status", &testnet(&["status", "--dir", net.dir(), "--json"]).json(0));
    let down = net.down();
    schema.check("testnet down", &down);
    assert_eq!(down["stopped"], json!(["UKR", "POL", "DEU", "relay"]));
    assert!(running.iter().all(|pid| !runs(*pid)));
    assert_eq!(net.down()["not_running"], json!(["UKR", "POL", "DEU", "relay"]));
    // The record is still there.
    let state = testnet(&["up", "--dir", net.dir(), "--json"]).json(0);
    assert_whole(&state, 2);
    assert!(net.exec("UKR", &["board"]).stdout.contains("tents"));
}

#[test]
fn a_stale_process_number_is_never_signalled_and_a_busy_port_is_replaced() {
    let _alone = alone();
    let net = Net::new("net");
    net.up("UKR,POL");
    net.down();
    // Our own number, as if the machine had given a dead node's to us.
    let pid_file = net.path.join("run/POL.pid");
    let stale = json!({ "pid": std::process::id(), "started": 1, "boot": "of another day" });
    std::fs::write(&pid_file, stale.to_string()).expect("a file");
    let plan: Value = read_json(&net.path.join("run/relay.json"));
    let port = plan["ports"][0][1].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    let _busy = TcpListener::bind(("127.0.0.1", port)).expect("the port is free while the testnet is down");
    let state = net.up("UKR,POL");
    assert_whole(&state, 1);
    assert_ne!(read_json(&net.path.join("run/relay.json"))["ports"][0][1], port);
    net.down();
    std::fs::write(&pid_file, stale.to_string()).expect("a file");
    assert_eq!(net.down()["not_running"], json!(["UKR", "POL", "relay"]));
}

#[test]
fn a_killed_node_and_killed_relays_come_back_with_the_next_up() {
    let _alone = alone();
    let net = Net::new("net");
    let state = net.up("UKR,POL,DEU");
    let kill = |pid: u64| {
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("the signal is sent");
    };
    kill(pids(&state)[1]);
    kill(state["relay_pid"].as_u64().expect("a process"));
    let state = net.up("UKR,POL,DEU");
    assert_whole(&state, 2);
}

#[test]
fn a_folder_too_deep_for_sockets_works() {
    let _alone = alone();
    let net = Net::new(&["a-rather-deep-folder"; 8].join("/"));
    assert!(net.path.as_os_str().len() > 160);
    let state = net.up("UKR,POL");
    assert_whole(&state, 1);
    assert_eq!(net.exec("POL", &["status"]).code, 0);
}

#[test]
fn without_a_folder_the_testnet_last_started_is_meant() {
    let _alone = alone();
    let net = Net::new("net");
    net.up("UKR,POL");
    let elsewhere = TempDir::new().expect("a folder");
    let output =
        command().current_dir(elsewhere.path()).args(["testnet", "exec", "POL", "--", "status", "--json"]).output();
    let output = output.expect("the binary runs");
    let status: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(status["nation"], "POL");
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the file is there");
    serde_json::from_str(&text).expect("it is JSON")
}
