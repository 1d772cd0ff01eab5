//! Catch-up of a whole record over a real connection into a durable, readable node; cold start; memory.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use automerge::{Automerge, Change};
use comity_node::client::Client;
use comity_testnet::relay::{Pair, Relays};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{Figure, lab};
use crate::failure::Failure;

/// Changes in one call of the baseline.
const BATCH: usize = 2_000;
/// Longest wait for anything a node does.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at a node: short against what is measured.
const LOOK: Duration = Duration::from_millis(10);

/// Measures catch-up, its bytes, cold start and memory at `count` statements.
///
/// # Errors
/// [`Failure`].
pub async fn run(count: usize) -> Result<Vec<Figure>, Failure> {
    let lab = lab::Lab::found()?;
    let raw = lab::fill(&lab, 0, count).await?;
    lab.open(1).await?.close().await;
    let mut giver = Node::start(&lab.home(0), &[]).await?;
    let pair = Pair { from: lab::CODES[1].to_owned(), to: lab::CODES[0].to_owned() };
    let relays = Relays::open(std::slice::from_ref(&pair), &BTreeMap::new())
        .await
        .map_err(|error| Failure::environment("cannot open a relay").because(error.to_string()))?;
    relays.set_target(lab::CODES[0], Some(giver.listen));
    let port = relays.port(&pair.from, &pair.to).expect("the relay was opened for this pair");

    let start = Instant::now();
    let peer = format!("/ip4/127.0.0.1/tcp/{port}");
    let mut taker = Node::start(&lab.home(1), &["--peer", &peer]).await?;
    taker.until(|status| status["statements"].as_u64() == Some(count as u64)).await?;
    taker.ask("/v1/gaps").await?;
    let caught_up = start.elapsed().as_secs_f64();
    let wire: u64 = relays.counts().iter().map(|link| link.bytes_out + link.bytes_back).sum();
    let memory = [giver.memory()?, taker.memory()?];
    taker.stop().await?;

    let start = Instant::now();
    let mut taker = Node::start(&lab.home(1), &[]).await?;
    taker.ask("/v1/gaps").await?;
    let cold = start.elapsed().as_secs_f64();
    let cold_memory = taker.memory()?;
    taker.stop().await?;
    giver.stop().await?;

    let start = Instant::now();
    let mut document = Automerge::new();
    for batch in raw.chunks(BATCH) {
        let changes = batch.iter().map(|bytes| Change::from_bytes(bytes.clone()).expect("our own change"));
        document.apply_changes(changes.collect::<Vec<_>>()).expect("our own changes");
    }
    let applied = start.elapsed().as_secs_f64();
    let packed = zstd::bulk::compress(&raw.concat(), 3)
        .map_err(|error| Failure::environment("cannot compress").because(error.to_string()))?;
    let mib = |bytes: u64| to_f64(bytes) / 1_048_576.0;
    Ok(vec![
        Figure::ratio(
            &format!("catch-up of {count} over a connection, durable and readable"),
            "s",
            caught_up,
            "applying its raw changes to one Automerge document, 2,000 at a time",
            applied,
            2.0,
        ),
        Figure::ratio(
            "bytes on the wire for it",
            "MiB",
            mib(wire),
            "zstd-3 of its raw changes",
            mib(packed.len() as u64),
            1.5,
        ),
        Figure::alone(&format!("cold start at {count} to the first answered gaps"), "s", cold),
        Figure::alone("resident memory of the node that served it", "MiB", mib(memory[0])),
        Figure::alone("resident memory of the node that took it", "MiB", mib(memory[1])),
        Figure::alone("resident memory after the cold start", "MiB", mib(cold_memory)),
    ])
}

fn to_f64(bytes: u64) -> f64 {
    // Sizes of a run are far below 2^53.
    bytes as f64
}

struct Node {
    child: Child,
    client: Client,
    listen: SocketAddr,
    _said: Lines<BufReader<ChildStdout>>,
}

impl Node {
    async fn start(home: &comity_node::home::Home, args: &[&str]) -> Result<Self, Failure> {
        let binary =
            std::env::current_exe().map_err(|error| Failure::environment("no own path").because(error.to_string()))?;
        let mut child = Command::new(binary)
            .arg("--home")
            .arg(home.path())
            .args(["node", "run", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(args)
            .env("COMITY_LOG", "warn")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::environment("cannot start a node").because(error.to_string()))?;
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = tokio::time::timeout(PATIENCE, said.next_line()).await.ok().and_then(Result::ok).flatten();
        let line = line.ok_or_else(|| Failure::environment("a node did not start"))?;
        let port = line
            .split_whitespace()
            .find_map(|word| word.trim_end_matches(',').strip_prefix("/ip4/127.0.0.1/tcp/")?.parse::<u16>().ok())
            .ok_or_else(|| Failure::environment("a node did not say where it listens").because(line.clone()))?;
        let socket = home.socket().map_err(|error| Failure::environment(error.to_string()))?;
        let client = Client::new(&socket).with_timeout(PATIENCE);
        Ok(Self { child, client, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), _said: said })
    }

    async fn ask(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.client.get(path, &[]).await?)
    }

    async fn until(&self, done: impl Fn(&Value) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.ask("/v1/status").await?) {
            if Instant::now() > deadline {
                return Err(Failure::refused("the node did not catch up in time"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn memory(&self) -> Result<u64, Failure> {
        let pid = self.child.id().unwrap_or_default();
        let path = Path::new("/proc").join(pid.to_string()).join("status");
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
        let kib =
            text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kib.unwrap_or_default() * 1024)
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        if let Some(pid) = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::environment("a node did not stop")),
        }
    }
}
