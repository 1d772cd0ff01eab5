//! Alliances of real node processes for the tests: founded with the product's own binary, ended by process id.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long any condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_comity");

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("we print UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("we print UTF-8"),
        }
    }

    /// The one JSON object it printed.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it failed with `code` and said these parts on standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

/// Runs the binary; nothing of this process's own Comity settings reaches it.
pub fn comity(args: &[&str]) -> Ran {
    Ran::of(command().args(args).output().expect("the binary runs"))
}

pub fn command() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COMITY_") {
            command.env_remove(name);
        }
    }
    command
}

/// Calls `condition` until it gives something, and fails with `what` once [`PATIENCE`] is over.
#[track_caller]
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        // Lets the processes that are waited for have the machine.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// An alliance founded in a folder of its own.
pub struct Alliance {
    pub dir: TempDir,
    pub codes: Vec<String>,
}

impl Alliance {
    /// Founds an alliance; every nation has one enrolled node, which holds every roster, and is not running.
    pub fn found(codes: &[&str]) -> Self {
        let alliance = Self::draft(codes);
        for code in codes {
            alliance.enrol(code, code, None);
        }
        let rosters: Vec<String> = codes.iter().map(|code| alliance.path(&format!("{code}.roster"))).collect();
        for code in codes {
            alliance.import(code, &rosters.iter().map(String::as_str).collect::<Vec<_>>());
        }
        alliance
    }

    /// Founds an alliance without any node.
    pub fn draft(codes: &[&str]) -> Self {
        let dir = TempDir::new().expect("a folder for the test");
        let alliance = Self { dir, codes: codes.iter().map(|code| (*code).to_owned()).collect() };
        let mut draft = vec!["genesis".to_owned(), "draft".to_owned(), "--name".to_owned(), "Test".to_owned()];
        for code in codes {
            let made =
                comity(&["root", "new", code, "--out", &alliance.path(&format!("{code}.root")), "--json"]).json();
            let root = made["root"].as_str().expect("a root");
            draft.extend(["--founder".to_owned(), format!("{code}={root}=Nation {code}")]);
        }
        draft.extend(["--out".to_owned(), alliance.path("draft")]);
        ok(&draft.iter().map(String::as_str).collect::<Vec<_>>());
        let mut assemble = vec!["genesis".to_owned(), "assemble".to_owned(), alliance.path("draft")];
        for code in codes {
            let (root, signature) = (alliance.path(&format!("{code}.root")), alliance.path(&format!("{code}.sig")));
            ok(&["genesis", "sign", &alliance.path("draft"), "--root", &root, "--out", &signature]);
            assemble.push(signature);
        }
        assemble.extend(["--out".to_owned(), alliance.path("genesis")]);
        ok(&assemble.iter().map(String::as_str).collect::<Vec<_>>());
        alliance
    }

    /// Makes a home called `name` for a node of `code`, and has the root sign the roster that enrols it.
    ///
    /// `prev` is the roster it follows; the new one is `NAME.roster`, and both are imported into the home.
    pub fn enrol(&self, code: &str, name: &str, prev: Option<&str>) {
        self.enrol_after(code, name, &prev.into_iter().collect::<Vec<_>>());
    }

    /// Does as [`Alliance::enrol`]; the new roster follows the last of `before`, and all are imported, in order.
    pub fn enrol_after(&self, code: &str, name: &str, before: &[&str]) {
        ok(&[
            "--home",
            &self.home(name),
            "init",
            "--genesis",
            &self.path("genesis"),
            "--nation",
            code,
            "--label",
            name,
        ]);
        let (draft, roster) = (self.path(&format!("{name}.roster-draft")), self.path(&format!("{name}.roster")));
        let (genesis, request) = (self.path("genesis"), format!("{}/node.request", self.home(name)));
        let before: Vec<String> = before.iter().map(|roster| self.path(roster)).collect();
        let mut enrol =
            vec!["roster", "enrol", "--genesis", &genesis, "--nation", code, "--request", &request, "--out", &draft];
        enrol.extend(before.last().iter().flat_map(|prev| ["--prev", prev.as_str()]));
        ok(&enrol);
        ok(&["roster", "sign", &draft, "--root", &self.path(&format!("{code}.root")), "--out", &roster]);
        let rosters: Vec<&str> = before.iter().map(String::as_str).chain([roster.as_str()]).collect();
        self.import(name, &rosters);
    }

    /// Imports rosters into a home.
    pub fn import(&self, name: &str, rosters: &[&str]) {
        let home = self.home(name);
        ok(&[["--home", &home, "roster", "import"].as_slice(), rosters].concat());
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a UTF-8 path").to_owned()
    }

    pub fn home(&self, name: &str) -> String {
        self.path(&format!("home-{name}"))
    }

    /// Starts the node whose home is called `name`.
    pub fn start(&self, name: &str, args: &[&str]) -> Node {
        Node::start(PathBuf::from(self.home(name)), args)
    }

    /// Has a node write its charter file; returns where.
    pub fn charter_of(&self, node: &Node) -> String {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let path = self.path(&format!("charter-{}", FILES.fetch_add(1, Ordering::Relaxed)));
        let ran = node.run(&["charter", "export", "--out", &path]);
        assert_eq!(ran.code, 0, "{ran:?}");
        path
    }

    /// Proposes what `changes` say, by what a node knows; returns where the motion is.
    #[track_caller]
    pub fn propose(&self, node: &Node, name: &str, changes: &[&str]) -> String {
        let path = self.path(&format!("{name}.motion"));
        let propose = ["motion", "propose", "--title", name, "--out", &path];
        let ran = node.run(&[propose.as_slice(), changes].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        path
    }

    /// Has a nation's root sign a vote, offline; its file is `CODE.vote`.
    pub fn vote(&self, code: &str, step: &str, motion: &str, charter: &str, more: &[&str]) -> Ran {
        let (root, out) = (self.path(&format!("{code}.root")), self.path(&format!("{code}.vote")));
        drop(fs::remove_file(&out));
        comity(
            &[["vote", step, motion, "--charter", charter, "--root", &root, "--out", &out].as_slice(), more].concat(),
        )
    }

    /// Has a nation vote by what its own node knows, and that node take the vote.
    #[track_caller]
    pub fn cast(&self, node: &Node, code: &str, step: &str, motion: &str, more: &[&str]) {
        let ran = self.vote(code, step, motion, &self.charter_of(node), more);
        assert_eq!(ran.code, 0, "{code} {step}: {ran:?}");
        let ran = node.run(&["vote", "import", &self.path(&format!("{code}.vote"))]);
        assert_eq!(ran.code, 0, "{code} {step}: {ran:?}");
    }

    /// Has the nations of these nodes support a motion and then seal it, each by what its own node knows.
    #[track_caller]
    pub fn decide(&self, voters: &[(&Node, &str)], motion: &str, more: &[&str]) {
        for (node, code) in voters {
            self.cast(node, code, "support", motion, more);
        }
        for (node, code) in voters {
            until("every support is there, or the motion is sealed", || {
                let listed = node.json(&["motion", "show", motion]);
                let rounds = listed["rounds"].as_array().expect("rounds");
                let supports = rounds.last().map_or(0, |round| round["supports"].as_array().map_or(0, Vec::len));
                (supports == voters.len() || listed["state"] == "sealed").then_some(())
            });
            if node.json(&["motion", "show", motion])["state"] != "sealed" {
                self.cast(node, code, "seal", motion, more);
            }
        }
    }

    /// Starts every nation's node and links each to those started before it.
    pub fn start_all(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for code in &self.codes {
            let peers: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
            let args: Vec<&str> = peers.iter().flat_map(|peer| ["--peer", peer.as_str()]).collect();
            nodes.push(self.start(code, &args));
        }
        let others = nodes.len() - 1;
        for node in &nodes {
            until("every node reaches every other", || (node.connected() == others).then_some(()));
        }
        nodes
    }
}

/// Runs the binary, asserts that it succeeds, and returns what it printed.
#[track_caller]
pub fn ok(args: &[&str]) -> String {
    let ran = comity(args);
    assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    ran.stdout
}

/// A running node; killed by its id when dropped.
pub struct Node {
    pub home: PathBuf,
    pub address: String,
    pub line: String,
    child: Child,
}

impl Node {
    /// Starts a node and reads its start-up line.
    pub fn start(home: PathBuf, args: &[&str]) -> Self {
        Self::try_start(home, args).unwrap_or_else(|ran| panic!("the node did not start: {ran:?}"))
    }

    /// Starts a node; what it printed if it ended instead.
    pub fn try_start(home: PathBuf, args: &[&str]) -> Result<Self, Ran> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(home.with_extension("log"))
            .expect("a log beside the home");
        let mut child = command()
            .arg("--home")
            .arg(&home)
            .args(["node", "run", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("piped");
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let Ok(line) = said.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(-1);
            let stderr = fs::read_to_string(home.with_extension("log")).unwrap_or_default();
            return Err(Ran { code, stdout: String::new(), stderr });
        };
        let address = line.split_whitespace().find(|word| word.starts_with("/ip4/")).unwrap_or_default();
        let address = address.trim_end_matches(',').to_owned();
        Ok(Self { home, address, line, child })
    }

    /// Runs a command on this node's home.
    pub fn run(&self, args: &[&str]) -> Ran {
        let home = self.home.to_str().expect("a UTF-8 path");
        comity(&[["--home", home].as_slice(), args].concat())
    }

    pub fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).json()
    }

    pub fn status(&self) -> Value {
        self.json(&["status"])
    }

    pub fn connected(&self) -> usize {
        let status = self.status();
        let peers = status["peers"].as_array().expect("peers");
        peers.iter().filter(|peer| peer["connected"] == true).count()
    }

    /// Writes a statement and returns its record and version.
    #[track_caller]
    pub fn write(&self, args: &[&str]) -> (String, String) {
        let answer = self.json(args);
        assert_eq!(answer["durable_here"], true);
        let text = |name: &str| answer[name].as_str().expect("a string").to_owned();
        (text("record"), text("version"))
    }

    /// The three digests by which nodes compare.
    pub fn digests(&self) -> (Value, Value, Value) {
        let mut status = self.status();
        (status["held"].take(), status["control"].take(), status["state"].take())
    }

    pub fn export(&self, as_of: &str) -> String {
        let ran = self.run(&["export", "jsonl", "--as-of", as_of]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    }

    /// Ends the node at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// Asks the node to stop and returns its exit code.
    pub fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("our own child");
        until("the node stops", || self.child.try_wait().expect("our own child")).code().unwrap_or(-1)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until all nodes hold the same record, and checks that their exports are the same bytes.
#[track_caller]
pub fn converge(nodes: &[&Node]) {
    until("all nodes hold the same record", || {
        let digests: Vec<_> = nodes.iter().map(|node| node.digests()).collect();
        digests.windows(2).all(|pair| pair[0] == pair[1]).then_some(())
    });
    let exports: Vec<String> = nodes.iter().map(|node| node.export("2026-12-31")).collect();
    assert!(exports.windows(2).all(|pair| pair[0] == pair[1]), "equal digests, different exports");
}

/// Files a small requirement and returns its reference.
pub fn need(node: &Node, quantity: &str) -> String {
    let add = ["requirement", "add", "--item", "tents", "--class", "II", "--unit", "each", "--quantity", quantity];
    node.write(&add).0
}

/// The one row of `rows` whose `field` is `value`.
pub fn row<'a>(rows: &'a Value, field: &str, value: &str) -> &'a Value {
    let rows = rows["rows"].as_array().expect("rows");
    rows.iter().find(|row| row[field] == value).unwrap_or_else(|| panic!("no row with {field} {value} in {rows:#?}"))
}
