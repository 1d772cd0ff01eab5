//! The running testnet of an exercise: nodes, relays, and a desk for each nation's writing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use comity_node::client::Client;
use comity_protocol::ids::Timestamp;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::burst::Hand;
use super::desk::{ANSWER_PATIENCE, Desk, Presence, Turn};
use super::ledger::Ledger;
use super::plan::{Meaning, shifted};
use super::trust::{self, Trust};
use super::{ExerciseError, Progress, elapsed_ms, now};
use crate::processes::{
    Layout, Node, NodeConfig, PATIENCE, ProcessId, TestnetError, TestnetFile, client, found, listens,
};
use crate::relay::{Pair, RelayError, Relays, pairs};
use crate::report::{Cut, Kill, Leave};
use crate::scenario::{Entry, Scenario};
use crate::wire::Status;

/// Pause between two looks at all nodes.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longest wait for nodes to hold the same, and for writers to get on.
pub(super) const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for a node to stop at the end of a run.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// One node's place in the exercise; a nation's first node has the nation's code for a name.
#[derive(Debug)]
pub(super) struct Seat {
    /// Its node's process, while it runs.
    pub(super) node: Option<Node>,
    /// Code of the nation it speaks for.
    pub(super) nation: String,
    /// Its node's key.
    pub(super) key: String,
    /// Where it writes.
    pub(super) desk: Arc<Desk>,
}

/// Writers at work.
#[derive(Debug)]
pub(super) struct Burst {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    /// Who writes.
    pub(super) codes: BTreeSet<String>,
}

/// A cut that stands.
#[derive(Debug)]
pub(super) struct StandingCut {
    /// The sides; empty for one-way cuts.
    pub(super) sides: Vec<BTreeSet<String>>,
    /// Bytes its links had carried when it was made.
    pub(super) bytes: u64,
    /// Statements acknowledged when it was made.
    pub(super) statements: u64,
}

/// The running testnet and what was noted about it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) exe: PathBuf,
    pub(super) layout: Layout,
    pub(super) testnet: TestnetFile,
    pub(super) scenario: Scenario,
    pub(super) relays: Relays,
    pub(super) seats: BTreeMap<String, Seat>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) meaning: Meaning,
    pub(super) as_of: Timestamp,
    pub(super) rng: ChaCha8Rng,
    pub(super) burst: Option<Burst>,
    pub(super) cut: Option<StandingCut>,
    pub(super) healed: Option<Instant>,
    /// From the last heal until all were first seen to hold the same.
    pub(super) heal_ms: Option<u64>,
    pub(super) links_up_ms: u64,
    pub(super) cuts: Vec<Cut>,
    pub(super) kills: Vec<Kill>,
    pub(super) leaver: Option<Leave>,
    /// By nation: how many of its statements everybody was seen to hold, and when.
    pub(super) everybody: BTreeMap<String, (u64, u64)>,
    /// Nodes that have a home, by name: their nation and their key.
    pub(super) made: BTreeMap<String, (String, String)>,
    pub(super) trust: Trust,
    pub(super) problems: Vec<String>,
    progress: watch::Sender<Progress>,
}

impl Stage {
    /// Founds the alliance, opens the relays, starts every node and waits until all links are up.
    pub(super) async fn open(
        exe: PathBuf,
        layout: Layout,
        scenario: Scenario,
        progress: watch::Sender<Progress>,
    ) -> Result<Self, ExerciseError> {
        let began = Instant::now();
        let start = now();
        progress.send_modify(|progress| {
            progress.step = format!("founding an alliance of {}", scenario.founders().len());
            progress.total = scenario.timeline.len() + 2;
        });
        let founders = scenario.nations.iter().filter(|nation| nation.entry == Entry::Founder);
        let names: Vec<(String, String)> = founders.map(|nation| (nation.code.clone(), nation.name.clone())).collect();
        let testnet = found(&exe, &layout, &names).await?;
        let ledger = Ledger::create(&layout.dir().join("acknowledged.jsonl"), began).map_err(TestnetError::from)?;
        let trust = Trust::new(trust::prepare(&exe, &layout, &scenario).await?);
        let relays = open_relays(&scenario).await?;
        let mut stage = Self {
            as_of: shifted(start, scenario.as_of),
            meaning: Meaning { start, written: BTreeMap::new() },
            rng: ChaCha8Rng::seed_from_u64(scenario.seed),
            ledger: Arc::new(ledger),
            seats: BTreeMap::new(),
            burst: None,
            cut: None,
            healed: None,
            heal_ms: None,
            links_up_ms: 0,
            cuts: Vec::new(),
            kills: Vec::new(),
            leaver: None,
            everybody: BTreeMap::new(),
            made: BTreeMap::new(),
            trust,
            problems: Vec::new(),
            exe,
            layout,
            testnet,
            scenario,
            relays,
            progress,
        };
        stage.start_all().await?;
        Ok(stage)
    }

    async fn start_all(&mut self) -> Result<(), ExerciseError> {
        self.step("starting the nodes");
        let began = Instant::now();
        let mut starting = JoinSet::new();
        for member in self.testnet.members.clone() {
            NodeConfig::new(&self.layout, &self.testnet, &member, &self.relays.ports())
                .write()
                .map_err(TestnetError::from)?;
            let (exe, layout) = (self.exe.clone(), self.layout.clone());
            starting.spawn(async move {
                let started = Node::start(&exe, &layout, &member).await;
                started.map(|(node, status)| (member, node, status))
            });
        }
        while let Some(started) = starting.join_next().await {
            let (member, node, status) = started.expect("starting a node does not panic")?;
            self.relays.set_target(&member.code, listens(&status));
            self.take_seat(&member.code, &member.code, &member.node, node);
        }
        let deadline = began + PATIENCE;
        loop {
            let statuses = self.statuses().await;
            let links = |code: &str| self.scenario.side(code).len().saturating_sub(1);
            let up = |status: &Status| status.peers.iter().filter(|peer| peer.connected).count();
            let is_whole = |(code, status): (&String, &Status)| up(status) == links(code);
            if statuses.len() == self.seats.len() && statuses.iter().all(is_whole) {
                self.links_up_ms = elapsed_ms(began);
                return Ok(());
            }
            if Instant::now() >= deadline {
                let missing = |(code, status): (&String, &Status)| {
                    let (up, links) = (up(status), links(code));
                    (up < links).then(|| format!("{code} {up}/{links}"))
                };
                let missing: Vec<String> = statuses.iter().filter_map(missing).collect();
                let said = format!("links after {PATIENCE:?}: {}", missing.join(", "));
                return Err(TestnetError::NotReady { who: "the alliance".to_owned(), said }.into());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Gives a node that runs its place.
    pub(super) fn take_seat(&mut self, name: &str, nation: &str, key: &str, node: Node) {
        let stream = self.testnet.members.iter().position(|other| other.code == name).unwrap_or_default();
        let mut rng = ChaCha8Rng::seed_from_u64(self.scenario.seed);
        // Stream 0 is the stage's own.
        rng.set_stream(u64::try_from(stream).unwrap_or_default() + 1);
        let role = self.scenario.nations.iter().find(|known| known.code == nation).map(|known| known.role);
        let hand = Hand::new(name, role.unwrap_or(crate::scenario::Role::Donor), rng);
        let desk = Desk {
            client: client(&self.layout, name).with_timeout(ANSWER_PATIENCE),
            code: name.to_owned(),
            ledger: Arc::clone(&self.ledger),
            turn: Mutex::new(Turn { hand, pending: None, refused: Vec::new() }),
            presence: watch::Sender::new(Presence::Up),
        };
        let (nation, key) = (nation.to_owned(), key.to_owned());
        self.seats.insert(name.to_owned(), Seat { node: Some(node), nation, key, desk: Arc::new(desk) });
    }

    /// Opens relays between further pairs.
    pub(super) async fn open_relays(&mut self, pairs: &[Pair]) -> Result<(), ExerciseError> {
        self.relays.add(pairs, &BTreeMap::new()).await.map_err(|error| no_relay(&error))
    }

    /// Tells the progress bar what is being done.
    pub(super) fn step(&self, what: &str) {
        let acknowledged = self.ledger.len();
        self.progress.send_modify(|progress| {
            if !progress.step.is_empty() && progress.done < progress.total {
                progress.done += 1;
            }
            what.clone_into(&mut progress.step);
            progress.acknowledged = acknowledged;
        });
    }

    /// Returns the names of all nodes that are up.
    pub(super) fn live(&self) -> Vec<String> {
        let is_up = |seat: &Seat| *seat.desk.presence.borrow() == Presence::Up;
        self.seats.iter().filter(|(_, seat)| is_up(seat)).map(|(code, _)| code.clone()).collect()
    }

    /// Returns the names of all live nodes that are no outsiders.
    pub(super) fn inside(&self) -> Vec<String> {
        self.live().into_iter().filter(|name| !self.trust.outsiders.contains(name)).collect()
    }

    /// Returns what every live node says about itself; a node that does not answer is left out.
    pub(super) async fn statuses(&self) -> BTreeMap<String, Status> {
        let mut statuses = BTreeMap::new();
        for code in self.live() {
            if let Ok(status) = self.seats[&code].desk.client.get::<Status>("/v1/status", &[]).await {
                statuses.insert(code, status);
            }
        }
        statuses
    }

    /// Returns the client of one node.
    pub(super) fn client(&self, code: &str) -> Client {
        self.seats[code].desk.client.clone()
    }

    /// Returns the live nodes, outsiders left out, that can reach each other: one group, or one for each side of a cut.
    pub(super) fn groups(&self) -> Vec<BTreeSet<String>> {
        let live: BTreeSet<String> = self.inside().into_iter().collect();
        match &self.cut {
            Some(cut) if !cut.sides.is_empty() => {
                cut.sides.iter().map(|side| side.intersection(&live).cloned().collect()).collect()
            }
            Some(_) | None if self.scenario.apart.is_empty() => vec![live],
            Some(_) | None => {
                self.scenario.apart.iter().map(|side| side.intersection(&live).cloned().collect()).collect()
            }
        }
    }

    /// Waits until all live nodes that can reach each other hold the same; notes a problem if they do not in time.
    pub(super) async fn settle(&mut self) {
        let groups = self.groups();
        let deadline = Instant::now() + SETTLE_PATIENCE;
        loop {
            let at_ms = self.ledger.now_ms();
            let counts: Vec<(String, u64)> =
                self.seats.keys().map(|code| (code.clone(), self.ledger.count(code))).collect();
            let statuses = self.statuses().await;
            if groups.iter().all(|group| is_settled(group, &statuses)) {
                if groups.len() == 1 {
                    self.note_everybody(&counts, at_ms);
                    self.heal_ms = self.heal_ms.or_else(|| self.healed.map(elapsed_ms));
                }
                return;
            }
            if Instant::now() >= deadline {
                let seconds = SETTLE_PATIENCE.as_secs();
                self.problems.push(format!("nodes that reach each other held different records for {seconds} s"));
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Notes that everybody holds so many statements of each nation.
    pub(super) fn note_everybody(&mut self, counts: &[(String, u64)], at_ms: u64) {
        for (code, count) in counts {
            let known = self.everybody.entry(code.clone()).or_insert((0, at_ms));
            if known.0 < *count {
                *known = (*count, at_ms);
            }
        }
    }

    /// Lets nations write on their own.
    pub(super) fn start_burst(&mut self, codes: &BTreeSet<String>, pause: Duration) {
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for code in codes {
            if let Some(seat) = self.seats.get(code) {
                tasks.spawn(Arc::clone(&seat.desk).keep_writing(pause, stop.subscribe()));
            }
        }
        self.burst = Some(Burst { tasks, stop, codes: codes.clone() });
    }

    /// Stops the writers and waits until none has a write unanswered.
    pub(super) async fn stop_burst(&mut self) {
        let Some(mut burst) = self.burst.take() else { return };
        burst.stop.send_replace(true);
        while burst.tasks.join_next().await.is_some() {}
        for code in self.live() {
            let desk = Arc::clone(&self.seats[&code].desk);
            let mut turn = desk.turn.lock().await;
            if let Some((id, draft)) = turn.pending.take()
                && let Err(error) = desk.write_own(&mut turn, &id, &draft).await
            {
                self.problems.push(format!("{code} did not answer a write: {error}"));
            }
            self.problems.append(&mut turn.refused);
        }
    }

    /// Stops every node: asked first, killed where that does not help.
    pub(super) async fn close(&mut self) {
        if let Some(burst) = self.burst.take() {
            burst.stop.send_replace(true);
        }
        let processes: Vec<ProcessId> = self
            .seats
            .values()
            .filter_map(|seat| seat.node.as_ref())
            .filter_map(|node| node.pid().and_then(ProcessId::of))
            .collect();
        for process in &processes {
            process.terminate();
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        for seat in self.seats.values_mut() {
            let Some(node) = &mut seat.node else { continue };
            if tokio::time::timeout_at(deadline, node.gone()).await.is_err() {
                node.kill().await;
            }
        }
    }
}

async fn open_relays(scenario: &Scenario) -> Result<Relays, ExerciseError> {
    let mut linked = pairs(&scenario.founders());
    linked.retain(|pair| scenario.side(&pair.from).contains(&pair.to));
    Relays::open(&linked, &BTreeMap::new()).await.map_err(|error| no_relay(&error))
}

fn no_relay(error: &RelayError) -> ExerciseError {
    let said = error.to_string();
    ExerciseError::Testnet(TestnetError::NotReady { who: "a relay".to_owned(), said })
}

fn is_settled(group: &BTreeSet<String>, statuses: &BTreeMap<String, Status>) -> bool {
    let digests = |code| statuses.get(code).map(Status::digests);
    let distinct: Option<BTreeSet<[&str; 3]>> = group.iter().map(digests).collect();
    distinct.is_some_and(|distinct| distinct.len() <= 1)
}
