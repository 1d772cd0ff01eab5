//! Testnets of real node processes that go on after the command which started them: up, status, exec, down.
//!
//! A testnet lives in one folder: a home for each nation by its code, `alliance` with the root keys and rosters, `logs`,
//! and `run` with what is true of the running processes. Nothing outside the folder is touched, except a link for
//! sockets where the folder lies too deep for the operating system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use comity_node::client::Client;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

use crate::countries::Countries;
use crate::files::{FileError, read_json, write_json, write_text};
use crate::relay::{Pair, RelayPlan, pairs};
use crate::scenario::check_codes;
use crate::wire::Status;

mod error;
mod founding;
mod layout;
mod node;
mod pid;
mod state;

pub use error::TestnetError;
pub(crate) use founding::{found, key_in};
pub use layout::{Layout, Member, TestnetFile};
pub(crate) use node::{Node, NodeConfig, Ran, comity, listens, ready};
pub use pid::ProcessId;
pub use state::{NationState, TestnetState};

/// Longest wait for a process to start, for all links to come up, and for a process to stop.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that is about to happen.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a process may take to stop after SIGTERM before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The `comity` binary that founds the alliance and runs as each node.
    pub exe: PathBuf,
    /// The testnet's folder; created if it is missing.
    pub dir: PathBuf,
    /// Codes of the nations; empty for those of an existing testnet.
    pub nations: Vec<String>,
}

/// What `down` stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stopped {
    /// Processes that ended after SIGTERM.
    pub stopped: Vec<String>,
    /// Processes that had to be killed.
    pub killed: Vec<String>,
    /// Processes that were not running any more.
    pub not_running: Vec<String>,
}

/// Founds an alliance in a folder and starts one node per nation, or starts what is down of the testnet there.
///
/// Returns when every node is linked to every other, or after [`PATIENCE`] with what is up then.
/// # Errors
/// [`TestnetError`]; processes this call started are stopped again.
pub async fn up(options: &UpOptions) -> Result<TestnetState, TestnetError> {
    let layout = if options.nations.is_empty() {
        existing(&options.dir)?.0
    } else {
        check_codes(&options.nations).map_err(TestnetError::Nations)?;
        Layout::create(&options.dir)?
    };
    let _lock = layout.lock()?;
    let testnet = match layout.testnet()? {
        Some(testnet) => same_nations(&layout, testnet, &options.nations)?,
        None => {
            layout.check_empty()?;
            let countries = Countries::built_in();
            let name = |code: &String| (code.clone(), countries.name(code).to_owned());
            let nations: Vec<(String, String)> = options.nations.iter().map(name).collect();
            found(&options.exe, &layout, &nations).await?
        }
    };
    let mut started = Vec::new();
    let outcome = start(&options.exe, &layout, &testnet, &mut started).await;
    if let Err(error) = outcome {
        for process in started {
            stop(&process).await;
        }
        return Err(error);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = state(&options.exe, &layout, &testnet).await;
        if state.is_whole() || Instant::now() >= deadline {
            return Ok(state);
        }
        sleep(LOOK_EVERY).await;
    }
}

fn same_nations(layout: &Layout, testnet: TestnetFile, asked: &[String]) -> Result<TestnetFile, TestnetError> {
    let there: Vec<&String> = testnet.members.iter().map(|member| &member.code).collect();
    let is_same = asked.len() == there.len() && asked.iter().all(|code| there.contains(&code));
    if asked.is_empty() || is_same {
        return Ok(testnet);
    }
    Err(TestnetError::OtherNations { dir: layout.dir().to_owned(), there: codes(&testnet) })
}

fn codes(testnet: &TestnetFile) -> String {
    testnet.members.iter().map(|member| member.code.as_str()).collect::<Vec<_>>().join(", ")
}

/// Starts the relay process and every node that is down.
async fn start(
    exe: &Path,
    layout: &Layout,
    testnet: &TestnetFile,
    started: &mut Vec<ProcessId>,
) -> Result<(), TestnetError> {
    let ports = start_relay(exe, layout, testnet, started).await?;
    for member in &testnet.members {
        let config = NodeConfig::new(layout, testnet, member, &ports);
        let pid_path = layout.pid_path(&member.code);
        let running = ProcessId::load(&pid_path).filter(ProcessId::is_running);
        let is_current = config.is_written()?;
        match running {
            // A node that dials ports the relay no longer has is started anew.
            Some(process) if !is_current => {
                stop(&process).await;
            }
            Some(_) => continue,
            None => {}
        }
        config.write()?;
        let mut child = Node::command(exe, layout, &member.code)?
            .spawn()
            .map_err(|source| TestnetError::Start { exe: exe.to_owned(), source })?;
        let process = child.id().and_then(ProcessId::of);
        if let Some(process) = &process {
            write_json(&pid_path, process)?;
            started.push(process.clone());
        }
        let status = ready(layout, member, &mut child).await?;
        write_text(&RelayPlan::address_path(layout.dir(), &member.code), &node::address(&status))?;
    }
    Ok(())
}

async fn start_relay(
    exe: &Path,
    layout: &Layout,
    testnet: &TestnetFile,
    started: &mut Vec<ProcessId>,
) -> Result<BTreeMap<Pair, u16>, TestnetError> {
    let plan_path = RelayPlan::path(layout.dir());
    let pid_path = layout.pid_path(layout::RELAY);
    let nations: Vec<String> = testnet.members.iter().map(|member| member.code.clone()).collect();
    let old: Option<RelayPlan> = read_json(&plan_path).ok();
    let running = ProcessId::load(&pid_path).filter(ProcessId::is_running);
    if let (Some(_), Some(plan)) = (&running, &old)
        && plan.ports.len() == pairs(&nations).len()
    {
        return Ok(plan.ports.iter().cloned().collect());
    }
    let ports = old.map_or_else(Vec::new, |plan| plan.ports);
    write_json(&plan_path, &RelayPlan { nations, ports, served_by: 0 })?;
    let mut command = node::detached(exe, &layout.log_path(layout::RELAY))?;
    command.args(["testnet", "relay", "--dir"]).arg(layout.dir());
    let mut child = command.spawn().map_err(|source| TestnetError::Start { exe: exe.to_owned(), source })?;
    let pid = child.id().unwrap_or_default();
    if let Some(process) = ProcessId::of(pid) {
        write_json(&pid_path, &process)?;
        started.push(process);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let plan: Option<RelayPlan> = read_json(&plan_path).ok();
        if let Some(plan) = plan.filter(|plan| plan.served_by == pid) {
            return Ok(plan.ports.into_iter().collect());
        }
        let is_over = matches!(child.try_wait(), Ok(Some(_)) | Err(_)) || Instant::now() >= deadline;
        if is_over {
            let said = layout.log_end(layout::RELAY);
            return Err(TestnetError::NotReady { who: "the relay process".to_owned(), said });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Returns what runs of the testnet in `dir`.
/// # Errors
/// [`TestnetError`] if there is none.
pub async fn status(exe: &Path, dir: &Path) -> Result<TestnetState, TestnetError> {
    let (layout, testnet) = existing(dir)?;
    Ok(state(exe, &layout, &testnet).await)
}

async fn state(exe: &Path, layout: &Layout, testnet: &TestnetFile) -> TestnetState {
    let mut nations = Vec::new();
    for member in &testnet.members {
        let process = ProcessId::load(&layout.pid_path(&member.code)).filter(ProcessId::is_running);
        let status: Option<Status> = match &process {
            Some(_) => client(layout, &member.code).get("/v1/status", &[]).await.ok(),
            None => None,
        };
        let home = layout.home(&member.code);
        let hint = format!("export COMITY_HOME={} && {} board", quoted(&home), quoted(exe));
        nations.push(NationState {
            nation: member.code.clone(),
            pid: process.map(|process| process.pid),
            answers: status.is_some(),
            listen: status.as_ref().map_or_else(Vec::new, |status| status.listen.clone()),
            connected: status.as_ref().map_or(0, |status| status.peers.iter().filter(|peer| peer.connected).count()),
            peers: status.as_ref().map_or(0, |status| status.peers.len()),
            envelopes: status.as_ref().map(|status| status.envelopes),
            held: status.as_ref().map(|status| status.held.clone()),
            state: status.map(|status| status.state),
            home,
            hint,
        });
    }
    let relay = ProcessId::load(&layout.pid_path(layout::RELAY)).filter(ProcessId::is_running);
    TestnetState { dir: layout.dir().to_owned(), relay_pid: relay.map(|relay| relay.pid), nations }
}

/// Runs `comity` as one nation of the testnet in `dir`, with this process's own input and output; returns its exit code.
/// # Errors
/// [`TestnetError`] if there is no such nation or the binary cannot be started.
pub async fn exec(exe: &Path, dir: &Path, nation: &str, args: &[String]) -> Result<u8, TestnetError> {
    let (layout, testnet) = existing(dir)?;
    if !testnet.members.iter().any(|member| member.code == nation) {
        let there = codes(&testnet);
        return Err(TestnetError::UnknownNation { nation: nation.to_owned(), there });
    }
    let mut command = node::clean_command(exe);
    command.arg("--home").arg(layout.home(nation)).args(args);
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let status = command.status().await.map_err(|source| TestnetError::Start { exe: exe.to_owned(), source })?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Stops exactly the processes the testnet in `dir` started: a process that merely has the number of one is left alone.
///
/// Homes and logs stay; `up` starts the same testnet again.
/// # Errors
/// [`TestnetError`] if there is no testnet.
pub async fn down(dir: &Path) -> Result<Stopped, TestnetError> {
    let (layout, testnet) = existing(dir)?;
    let _lock = layout.lock()?;
    let mut stopped = Stopped::default();
    let mut names: Vec<&str> = testnet.members.iter().map(|member| member.code.as_str()).collect();
    names.push(layout::RELAY);
    let running = |name| ProcessId::load(&layout.pid_path(name)).filter(ProcessId::is_running);
    let processes: Vec<(&str, Option<ProcessId>)> = names.into_iter().map(|name| (name, running(name))).collect();
    for process in processes.iter().filter_map(|(_, process)| process.as_ref()) {
        process.terminate();
    }
    for (name, process) in processes {
        let list = match process {
            None => &mut stopped.not_running,
            Some(process) => match stop(&process).await {
                Ending::Asked => &mut stopped.stopped,
                Ending::Killed => &mut stopped.killed,
            },
        };
        list.push(name.to_owned());
        let path = layout.pid_path(name);
        if path.exists() {
            std::fs::remove_file(&path).map_err(|source| FileError::Write { path, source })?;
        }
    }
    Ok(stopped)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// After SIGTERM.
    Asked,
    /// After SIGKILL.
    Killed,
}

async fn stop(process: &ProcessId) -> Ending {
    process.terminate();
    let deadline = Instant::now() + STOP_PATIENCE;
    while process.is_running() {
        if Instant::now() >= deadline {
            process.kill();
            let deadline = Instant::now() + STOP_PATIENCE;
            while process.is_running() && Instant::now() < deadline {
                sleep(LOOK_EVERY).await;
            }
            return Ending::Killed;
        }
        sleep(LOOK_EVERY).await;
    }
    Ending::Asked
}

fn existing(dir: &Path) -> Result<(Layout, TestnetFile), TestnetError> {
    let missing = || TestnetError::Missing { dir: dir.to_owned() };
    let layout = Layout::open(dir).map_err(|_| missing())?;
    let testnet = layout.testnet()?.ok_or_else(missing)?;
    Ok((layout, testnet))
}

pub(crate) fn client(layout: &Layout, code: &str) -> Client {
    Client::new(&layout.home(code).join("node.sock"))
}

/// Returns a path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+,:@".contains(&byte));
    if is_plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests;
