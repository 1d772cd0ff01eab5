//! One node process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{LOOK_EVERY, Layout, Member, PATIENCE, ProcessId, TestnetError, TestnetFile, client};
use crate::files::{FileError, read_text, write_json, write_text};
use crate::relay::Pair;
use crate::wire::Status;

/// A node process that dies with the laboratory.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
}

impl Node {
    /// Returns the command that runs a nation's node, in a process group of its own and with its own log.
    pub(super) fn command(exe: &Path, layout: &Layout, code: &str) -> Result<Command, TestnetError> {
        let mut command = detached(exe, &layout.log_path(code))?;
        command.arg("--home").arg(layout.home(code)).args(["node", "run"]);
        command.env("COMITY_WITNESS_ON_CHANGE_MS", layout.witness_on_change_ms()?.to_string());
        Ok(command)
    }

    /// Starts a nation's node and waits until it answers; returns it with its first status.
    ///
    /// Its process is remembered as `up` does, so that `down` can stop it should the laboratory itself be killed.
    pub(crate) async fn start(exe: &Path, layout: &Layout, member: &Member) -> Result<(Self, Status), TestnetError> {
        let mut child = Self::command(exe, layout, &member.code)?
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| TestnetError::Start { exe: exe.to_owned(), source })?;
        if let Some(process) = child.id().and_then(ProcessId::of) {
            write_json(&layout.pid_path(&member.code), &process)?;
        }
        let status = ready(layout, member, &mut child).await?;
        Ok((Self { child }, status))
    }

    /// Kills it at once, and returns when it is gone.
    pub(crate) async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// Returns its process number while it has not been waited for.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it is gone.
    pub(crate) async fn gone(&mut self) {
        let _ = self.child.wait().await;
    }
}

/// What a node of a testnet is told: to listen where the system likes, to dial relays only, to find nobody else.
pub(crate) struct NodeConfig {
    path: PathBuf,
    text: String,
}

impl NodeConfig {
    /// The configuration of one member, whose peers are behind `ports`.
    pub(crate) fn new(layout: &Layout, testnet: &TestnetFile, member: &Member, ports: &BTreeMap<Pair, u16>) -> Self {
        let mut text = String::from(
            "# Written by `comity testnet`, anew at every start.\n\
             listen = [\"/ip4/127.0.0.1/tcp/0\"]\nmdns = false\nlearn_addresses = false\nredial_max = \"1s\"\npeers = [\n",
        );
        for (pair, port) in ports.iter().filter(|(pair, _)| pair.from == member.code) {
            let Some(peer) = testnet.members.iter().find(|peer| peer.code == pair.to) else { continue };
            // Writing to a string does not fail.
            let _ = writeln!(text, "  \"{}@/ip4/127.0.0.1/tcp/{port}\", # {}", peer.node, peer.code);
        }
        text.push_str("]\n");
        Self { path: layout.home(&member.code).join("comity.toml"), text }
    }

    /// Whether the home's configuration is this one already.
    pub(super) fn is_written(&self) -> Result<bool, FileError> {
        Ok(self.path.exists() && read_text(&self.path)? == self.text)
    }

    /// Writes it.
    pub(crate) fn write(&self) -> Result<(), FileError> {
        write_text(&self.path, &self.text)
    }
}

/// A command of the product that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    command: String,
    /// Its exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said on standard error.
    pub(crate) stderr: String,
}

impl Ran {
    /// Returns what it printed.
    /// # Errors
    /// [`TestnetError::Founding`] if it failed.
    pub(crate) fn succeeded(self) -> Result<String, TestnetError> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        Err(TestnetError::Founding { command: self.command, said: self.stderr.trim().to_owned() })
    }
}

/// Runs one command of the product to its end.
/// # Errors
/// [`TestnetError::Start`] if it cannot be started.
pub(crate) async fn comity(exe: &Path, args: Vec<OsString>) -> Result<Ran, TestnetError> {
    let output = clean_command(exe)
        .args(&args)
        .output()
        .await
        .map_err(|source| TestnetError::Start { exe: exe.to_owned(), source })?;
    let command: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    Ok(Ran {
        command: command.join(" "),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Returns a command that no setting of this process's environment reaches.
pub(super) fn clean_command(exe: &Path) -> Command {
    let mut command = Command::new(exe);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COMITY_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Returns a command that a terminal's signals do not reach and whose output goes to the end of `log`.
pub(super) fn detached(exe: &Path, log: &Path) -> Result<Command, TestnetError> {
    let failed = |source| FileError::Write { path: log.to_owned(), source };
    let out = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    let mut command = clean_command(exe);
    command.process_group(0).stdout(out).stderr(err);
    Ok(command)
}

/// Waits until a node that was just started answers.
pub(crate) async fn ready(layout: &Layout, member: &Member, child: &mut Child) -> Result<Status, TestnetError> {
    let not_ready = || {
        let who = format!("the node of {}", member.code);
        TestnetError::NotReady { who, said: layout.log_end(&member.code) }
    };
    let client = client(layout, &member.code);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(status) = client.get::<Status>("/v1/status", &[]).await
            && status.node == member.node
            && listens(&status).is_some()
        {
            return Ok(status);
        }
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) || Instant::now() >= deadline {
            return Err(not_ready());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Returns the loopback address a node listens on; `None` while it does not.
pub(crate) fn listens(status: &Status) -> Option<SocketAddr> {
    status.listen.iter().find_map(|address| {
        let mut parts = address.split('/').skip(1);
        let (ip, tcp) = ((parts.next()?, parts.next()?), (parts.next()?, parts.next()?));
        (ip.0 == "ip4" && tcp.0 == "tcp").then(|| format!("{}:{}", ip.1, tcp.1).parse().ok())?
    })
}

/// Returns the address as a file holds it.
pub(super) fn address(status: &Status) -> String {
    listens(status).map_or_else(String::new, |address| address.to_string())
}
