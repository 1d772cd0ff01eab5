//! Processes by number, start time and boot: what a bare number cannot tell apart after a while.

use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::files::read_json;

/// One process, and no later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Which boot of the machine that was.
    pub boot: String,
}

impl ProcessId {
    /// Returns the process that has this number now; `None` if there is none or it has ended.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may itself hold any character.
        let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        let started = fields.nth(18)?.parse().ok()?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, started, boot })
    }

    /// Reads a remembered process; `None` if the file is missing or no such file.
    pub fn load(path: &Path) -> Option<Self> {
        read_json(path).ok()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Asks it to stop, if it still runs.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills it, if it still runs.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        // The descriptor holds on to one process; checked after it was opened, it cannot be another's by the time we signal.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if self.is_running() {
            let _ = pidfd_send_signal(process, signal);
        }
    }
}
