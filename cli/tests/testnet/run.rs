//! Runs the binary, one heavy command at a time.

use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long any condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The one JSON object it printed; `code` is how it had to end.
    #[track_caller]
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it failed with `code` and said these parts on standard error.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

/// Returns the binary without any Comity setting of this process.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COMITY_") {
            command.env_remove(name);
        }
    }
    // What `up` remembers of the last testnet is this test's own.
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null());
    command
}

/// Runs `comity testnet …`.
pub(crate) fn testnet(args: &[&str]) -> Ran {
    let output = command().arg("testnet").args(args).output().expect("the binary runs");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("we print UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("we print UTF-8"),
    }
}

/// One alliance at a time: eight nodes are enough for two cores.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `condition` until it gives something, and fails with `what` once it took too long.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
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

/// Whether a process of this number runs.
pub(crate) fn runs(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
        !matches!(state, None | Some('Z' | 'X'))
    })
}
