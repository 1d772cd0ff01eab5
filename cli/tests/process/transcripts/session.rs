//! Plays the sessions of a page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use snapbox::IntoData as _;
use tempfile::TempDir;

use super::words::{Ids, settled};
use crate::forks::copy;
use crate::harness::{PATIENCE, command, until};

const BINARY: &str = env!("CARGO_BIN_EXE_comity");

/// Verbs that can be repeated until what was said elsewhere has arrived.
const READING: [&str; 12] =
    ["board", "confirm", "explain", "flags", "forks", "gaps", "list", "log", "nations", "peers", "show", "status"];
/// Moments of the manual that lie ahead of its reader, and how many hours ahead of the run they are taken to be.
const AHEAD: [(&str, i64); 2] = [("2026-12-01T12:00:00Z", 48), ("2026-12-02T12:00:00Z", 72)];
/// Verbs that write nothing where they fail.
const WRITING: [&str; 2] = ["add", "revise"];

/// One command of a page, and what stands below it; nothing below it means that it is not shown.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// A folder in which the commands of a page run; each name before `$` is a machine with a home of its own.
pub(super) struct Session {
    folder: TempDir,
    /// What the page calls the folder.
    root: &'static str,
    ids: Ids,
    /// Machines whose node runs, and where it listens.
    nodes: BTreeMap<String, (Child, String)>,
}

impl Session {
    pub(super) fn new(root: &'static str) -> Self {
        let folder = TempDir::new().expect("a folder for the test");
        Self { folder, root, ids: Ids::default(), nodes: BTreeMap::new() }
    }

    /// Runs every command of a chapter and holds what it prints against the page.
    pub(super) fn play(&mut self, page: &str, chapter: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
        let text = fs::read_to_string(path).expect("the page is there");
        let steps = steps(&text, chapter);
        assert!(!steps.is_empty(), "{page} has no session in {chapter}");
        for step in steps {
            self.step(&step);
        }
    }

    /// Runs one command that stands in no page.
    pub(super) fn run(&mut self, command: &str) {
        self.step(&Step { command: command.to_owned(), shown: Vec::new() });
    }

    /// Writes a statement that stands in no page, and calls its record so from then on.
    pub(super) fn write(&mut self, command: &str, record: &str) {
        let shown = [format!("{record} version 0000000001"), "durable here, held by no other nation yet".to_owned()];
        self.step(&Step { command: command.to_owned(), shown: shown.into() });
    }

    /// Ends the node of a machine at once, as if the machine had gone.
    pub(super) fn lose(&mut self, place: &str) {
        let (mut child, _) = self.nodes.remove(place).expect("that node runs");
        child.kill().expect("our own child");
        child.wait().expect("our own child");
    }

    /// Writes a file that the page takes for granted.
    pub(super) fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("our own folder");
    }

    /// Copies the home of a machine whose node does not run, as a thief would.
    pub(super) fn copy_home(&self, from: &str, to: &str) {
        copy(&self.folder.path().join(from), &self.folder.path().join(to));
    }

    fn step(&mut self, step: &Step) {
        let (place, line) = step.command.split_once("$ ").expect("a prompt");
        let (line, in_background) = line.strip_suffix(" &").map_or((line, false), |line| (line, true));
        let words: Vec<String> = words(line).iter().map(|word| self.real(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.split_first().expect("a command") {
            (&"comity", args) if in_background => self.start(place, args, &step.shown),
            (&"comity", args) => self.comity(place, args, step),
            (&"cp", [from, to]) => {
                fs::copy(self.path(place, from), self.path(place, to)).expect("our own files");
            }
            // Shown for readers; the local API has tests of its own.
            (&"curl", _) => {}
            (other, _) => panic!("{other} is no command of a session"),
        }
    }

    /// Runs a command until it says what the page says; what was written once is not written again.
    fn comity(&mut self, place: &str, args: &[&str], step: &Step) {
        let deadline = Instant::now() + PATIENCE;
        let fails = step.shown.iter().any(|line| line.starts_with("error: "));
        let wanted = settle(&step.shown);
        loop {
            let output = self.process(place, args).output().expect("the binary runs");
            let text = [output.stdout, output.stderr].concat();
            let text = self.written(&String::from_utf8(text).expect("we print UTF-8"));
            let said: Vec<String> = text.lines().map(str::to_owned).collect();
            let is_right = step.shown.is_empty() || matches(&said, &wanted);
            if is_right && output.status.success() != fails {
                self.learn(&step.shown, &said);
                return;
            }
            let may_repeat = any(args, &READING) || any(args, &WRITING) && !output.status.success();
            if !may_repeat || Instant::now() >= deadline {
                snapbox::assert_data_eq!(settle(&said), wanted);
                panic!("{} ended with {}: {text}", step.command, output.status);
            }
            // Lets the nodes have the machine: what was said elsewhere is on its way.
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    /// Starts a node and reads its first line.
    fn start(&mut self, place: &str, args: &[&str], shown: &[String]) {
        let said = self.folder.path().join(format!("{place}.out"));
        let file = fs::File::create(&said).expect("our own folder");
        let log = fs::File::create(said.with_extension("log")).expect("our own folder");
        let child = self.process(place, args).stdout(file).stderr(log).spawn().expect("the binary runs");
        let line = until("the node says where it listens", || {
            let text = fs::read_to_string(&said).expect("our own file");
            text.ends_with('\n').then_some(text)
        });
        let address = line.split([' ', ',']).find(|word| word.starts_with("/ip4/")).expect("an address").to_owned();
        self.nodes.insert(place.to_owned(), (child, address));
        if !shown.is_empty() {
            snapbox::assert_data_eq!(settle(&[self.written(line.trim_end())]), settle(shown));
        }
    }

    fn process(&self, place: &str, args: &[&str]) -> std::process::Command {
        let mut command = command();
        let home = self.folder.path().join(place);
        fs::create_dir_all(&home).expect("our own folder");
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        command.env("HOME", &home).env_remove("XDG_DATA_HOME").env("XDG_STATE_HOME", home.join("state"));
        command
    }

    fn path(&self, place: &str, word: &str) -> PathBuf {
        let word = word.strip_prefix("~/").map_or_else(|| word.to_owned(), |rest| format!("{place}/{rest}"));
        self.folder.path().join(word)
    }

    /// Returns a word of the page as it is in this run.
    fn real(&self, word: &str) -> String {
        if word == "/ip4/0.0.0.0/tcp/7400" {
            return "/ip4/127.0.0.1/tcp/0".to_owned();
        }
        if let Some((_, hours)) = AHEAD.iter().find(|(written, _)| *written == word) {
            let span = jiff::SignedDuration::from_hours(*hours);
            let at = jiff::Timestamp::now().checked_add(span).expect("a moment");
            return format!("{at:.0}");
        }
        if let Some(host) = word.strip_prefix("/dns4/") {
            let name = host.split('.').next().unwrap_or_default();
            return self.nodes.get(name).map(|(_, address)| address.clone()).expect("that node runs");
        }
        match word.strip_prefix(self.root) {
            Some(rest) => format!("{}{rest}", self.folder.path().display()),
            None => self.ids.real(word),
        }
    }

    /// Returns what was printed with the names that the page uses.
    fn written(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().expect("a UTF-8 path");
        text.replace(BINARY, "comity").replace(folder, self.root)
    }

    fn learn(&mut self, shown: &[String], said: &[String]) {
        if shown.len() == said.len() {
            shown.iter().zip(said).for_each(|(written, real)| self.ids.learn(written, real));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for (child, _) in self.nodes.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let net = self.folder.path().join("net");
        if net.exists() {
            let _ = command().args(["testnet", "down", "--dir"]).arg(net).output();
        }
    }
}

fn any(args: &[&str], verbs: &[&str]) -> bool {
    args.iter().any(|arg| verbs.contains(arg))
}

/// Names what differs from run to run; a … of the page stands for the rest of its line, or alone for any lines.
fn settle(lines: &[String]) -> String {
    let line = |line: &String| match line.strip_suffix('…') {
        Some("") => "...\n".to_owned(),
        Some(start) => format!("{} [..]\n", settled(start)),
        None => format!("{}\n", settled(line)),
    };
    lines.iter().map(line).collect()
}

fn matches(said: &[String], wanted: &str) -> bool {
    snapbox::Assert::new().try_eq(None, settle(said).into_data(), wanted.into_data()).is_ok()
}

/// Returns the commands of a chapter with what stands below each.
fn steps(page: &str, chapter: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().skip_while(|line| *line != format!("## {chapter}")).skip(1).peekable();
    let mut in_session = false;
    while let Some(line) = lines.next().filter(|line| !line.starts_with("## ")) {
        // What is printed has empty lines too: more of it stands below those.
        let goes_on = |next: &&str| next.strip_prefix("    ").is_some_and(|text| !is_command(text));
        let is_gap = line.is_empty() && in_session && lines.peek().is_some_and(goes_on);
        let Some(text) = line.strip_prefix("    ").or_else(|| is_gap.then_some("")) else {
            in_session = false;
            continue;
        };
        if is_command(text) {
            let mut command = text.to_owned();
            while let Some(start) = command.strip_suffix('\\') {
                command = format!("{start}{}", lines.next().expect("the rest of the command").trim());
            }
            steps.push(Step { command, shown: Vec::new() });
            in_session = true;
        } else if let (true, Some(step)) = (in_session, steps.last_mut()) {
            step.shown.push(text.to_owned());
        }
    }
    steps
}

fn is_command(line: &str) -> bool {
    line.split_once("$ ").is_some_and(|(place, _)| place.bytes().all(|letter| letter.is_ascii_lowercase()))
}

/// Cuts a command into words as a shell does; quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
