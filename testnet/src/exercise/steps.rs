//! Runs a timeline, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use comity_node::client::ClientError;
use rand::RngExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::burst::Need;
use super::desk::Presence;
use super::plan::{Written, waves, writers};
use super::stage::{LOOK_EVERY, SETTLE_PATIENCE, Stage, StandingCut};
use super::{ExerciseError, elapsed_ms, said, trust};
use crate::draft::Draft;
use crate::processes::{Member, Node, NodeConfig, TestnetError, listens};
use crate::relay::CutKind;
use crate::report::{Cut, Kill, Leave};
use crate::scenario::{Record, Step};

/// Longest wait until both sides of a cut show each other as not connected.
const NOTICE_PATIENCE: Duration = Duration::from_secs(60);
/// A leaver's last acknowledged write is at most this old when its node is killed, as far as the machine lets us.
const LAST_WRITE_MAX_MS: u64 = 150;
/// Longest pause between an acknowledged write of the leaver and its kill.
const LEAVE_PAUSE_MS: u64 = 60;
/// Longest pause between sending a write and killing its node.
const KILL_PAUSE_US: u64 = 1_500;
/// Times a kill waits for a write that is still unanswered.
const KILL_TRIES: usize = 50;

/// Runs all steps of the scenario.
pub(super) async fn run(stage: &mut Stage) -> Result<(), ExerciseError> {
    for step in stage.scenario.timeline.clone() {
        match step {
            Step::Write { records } => write(stage, &records).await?,
            Step::Burst { nations, every } => {
                stage.step("letting everybody write");
                stage.start_burst(&nations, every);
            }
            Step::Wait { statements } => {
                stage.step(&format!("waiting for {statements} statements of each"));
                wait(stage, statements).await;
            }
            Step::Stop { statements } => {
                stage.step(&format!("the last {statements} statements of each"));
                wait(stage, statements).await;
                stage.stop_burst().await;
            }
            Step::Partition { sides, cut } => partition(stage, sides, cut).await,
            Step::CutOneWay { from, to } => {
                stage.step(&format!("{to} no longer hears {from}"));
                stage.relays.cut_one_way(&from, &to);
                let statements = stage.ledger.len();
                stage.cut.get_or_insert(StandingCut { sides: Vec::new(), bytes: 0, statements });
            }
            Step::Delay { between: (one, other), by } => {
                stage.step(&format!("a slow line between {one} and {other}"));
                stage.relays.set_delay(&one, &other, by);
            }
            Step::Heal => heal(stage),
            Step::Kill { nation } => kill(stage, &nation).await,
            Step::Restart { nation } => restart(stage, &nation).await?,
            Step::Leave { acknowledged, .. } => leave(stage, acknowledged.into()).await,
            Step::WriteAs { .. }
            | Step::Clone { .. }
            | Step::Init { .. }
            | Step::Roster { .. }
            | Step::Start { .. }
            | Step::Link { .. }
            | Step::Propose { .. }
            | Step::Vote { .. }
            | Step::Run { .. }
            | Step::Destroy { .. }
            | Step::Mark { .. }
            | Step::Expect { .. } => trust::run(stage, step).await?,
        }
    }
    Ok(())
}

/// Writes a set of records, wave by wave.
async fn write(stage: &mut Stage, set: &str) -> Result<(), ExerciseError> {
    stage.step(&format!("writing the records of \"{set}\""));
    // What a record names may have been written elsewhere during a cut.
    stage.settle().await;
    let records = stage.scenario.records.clone();
    for (number, wave) in waves(&records, set, &mut stage.rng).into_iter().enumerate() {
        let mut writing = JoinSet::new();
        for code in writers(&wave) {
            let Some(seat) = stage.seats.get(&code) else { continue };
            let own = wave.iter().filter(|record| record.by == code);
            let drafts: Vec<(String, Draft)> =
                own.map(|record| (record.key.clone(), stage.meaning.draft(record))).collect();
            let desk = Arc::clone(&seat.desk);
            let set = set.to_owned();
            writing.spawn(async move {
                let _turn = desk.turn.lock().await;
                let mut written = Vec::new();
                for (at, (key, draft)) in drafts.into_iter().enumerate() {
                    let id = format!("record-{set}-{number}-{code}-{at}");
                    match desk.write(&id, &draft).await {
                        Ok(answer) => {
                            written.push((key, Written { record: answer.record, version: answer.version }));
                        }
                        Err(refusal) => {
                            let refusal = Box::new(refusal);
                            return Err(ExerciseError::Refused { nation: code, key, refusal });
                        }
                    }
                }
                Ok(written)
            });
        }
        while let Some(outcome) = writing.join_next().await {
            stage.meaning.written.extend(outcome.expect("writing does not panic")?);
        }
        stage.settle().await;
    }
    teach(stage, &records, set).await;
    Ok(())
}

/// Tells every hand what there is to write about.
async fn teach(stage: &mut Stage, records: &[Record], set: &str) {
    for record in records.iter().filter(|record| record.set == set && record.revises.is_none()) {
        let Some(written) = stage.meaning.written.get(&record.key) else { continue };
        let text = |field: &str| record.fields.get(field).and_then(|value| value.as_str()).map(str::to_owned);
        for (code, seat) in &stage.seats {
            let mut turn = seat.desk.turn.lock().await;
            match record.kind.as_str() {
                "requirement" => turn.hand.learn_need(Need {
                    requirement: written.record.clone(),
                    nation: record.by.clone(),
                    item: text("item").unwrap_or_default(),
                    unit: text("unit").unwrap_or_default(),
                }),
                "hub" if *code == record.by => turn.hand.learn_hub(&written.record),
                _ => {}
            }
        }
    }
}

/// Waits until every writer whose node is up has so many more statements acknowledged.
async fn wait(stage: &mut Stage, statements: u32) {
    let Some(burst) = &stage.burst else { return };
    let live = stage.live();
    let goals: BTreeMap<String, u64> = live
        .into_iter()
        .filter(|code| burst.codes.contains(code))
        .map(|code| (code.clone(), stage.ledger.count(&code) + u64::from(statements)))
        .collect();
    let mut counts = stage.ledger.counts();
    let all_there = counts
        .wait_for(|counts| goals.iter().all(|(code, goal)| counts.get(code).copied().unwrap_or_default() >= *goal));
    if timeout(SETTLE_PATIENCE, all_there).await.is_err() {
        let slow = |(code, goal): (&String, &u64)| {
            let count = stage.ledger.count(code);
            (count < *goal).then(|| format!("{code} {count}/{goal}"))
        };
        let slow: Vec<String> = goals.iter().filter_map(slow).collect();
        stage.problems.push(format!("writers did not get on: {}", slow.join(", ")));
    }
}

/// Cuts the links between sides and waits until both show each other as not connected.
async fn partition(stage: &mut Stage, sides: Vec<BTreeSet<String>>, kind: CutKind) {
    stage.step("cutting the links");
    let began = Instant::now();
    stage.relays.cut(&sides, kind);
    let bytes = stage.relays.bytes_across(&sides);
    let statements = stage.ledger.len();
    let mut cut = Cut {
        sides: sides.iter().map(|side| side.iter().cloned().collect()).collect(),
        kind,
        noticed_ms: None,
        bytes_crossed: 0,
        statements_during: 0,
    };
    stage.cut = Some(StandingCut { sides, bytes, statements });
    while began.elapsed() < NOTICE_PATIENCE {
        if is_noticed(stage).await {
            cut.noticed_ms = Some(elapsed_ms(began));
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    if cut.noticed_ms.is_none() {
        let seconds = NOTICE_PATIENCE.as_secs();
        stage.problems.push(format!("the sides of a cut showed each other as connected for {seconds} s"));
    }
    stage.cuts.push(cut);
}

async fn is_noticed(stage: &Stage) -> bool {
    let groups = stage.groups();
    let statuses = stage.statuses().await;
    groups.iter().all(|group| {
        group.iter().all(|code| {
            statuses.get(code).is_some_and(|status| {
                let is_own = |peer: &str| group.contains(peer);
                let foreign = |nation: &Option<String>| nation.as_deref().is_some_and(|nation| !is_own(nation));
                !status.peers.iter().any(|peer| peer.connected && foreign(&peer.nation))
            })
        })
    })
}

fn heal(stage: &mut Stage) {
    stage.step("healing the links");
    if let (Some(standing), Some(cut)) = (stage.cut.take(), stage.cuts.last_mut())
        && !standing.sides.is_empty()
    {
        cut.bytes_crossed = stage.relays.bytes_across(&standing.sides).saturating_sub(standing.bytes);
        cut.statements_during = stage.ledger.len().saturating_sub(standing.statements);
    }
    stage.relays.heal();
    (stage.healed, stage.heal_ms) = (Some(Instant::now()), None);
}

/// Kills a node while a write of it is unanswered, if one can be caught.
async fn kill(stage: &mut Stage, nation: &str) {
    stage.step(&format!("killing {nation} with a write in flight"));
    let pause = Duration::from_micros(stage.rng.random_range(0..=KILL_PAUSE_US));
    let Some(seat) = stage.seats.get_mut(nation) else { return };
    let desk = Arc::clone(&seat.desk);
    let mut turn = desk.turn.lock().await;
    let mut write_in_flight = false;
    for attempt in 0..KILL_TRIES {
        let (id, draft) = turn.pending.take().unwrap_or_else(|| turn.hand.next());
        let answer = {
            let writing = desk.write_own(&mut turn, &id, &draft);
            tokio::pin!(writing);
            // Each time a little earlier, so that a fast disk is caught too.
            let pause = pause / u32::try_from(attempt + 1).unwrap_or(1);
            match timeout(pause, &mut writing).await {
                Ok(answer) => answer,
                Err(_) => {
                    if let Some(node) = &mut seat.node {
                        node.kill().await;
                    }
                    desk.presence.send_replace(Presence::Down);
                    seat.node = None;
                    write_in_flight = true;
                    writing.await
                }
            }
        };
        match answer {
            // It was answered in the last moment, or before we could kill.
            Ok(_) => write_in_flight = false,
            Err(ClientError::Refused(problem)) => {
                let error = said(&ClientError::Refused(problem));
                turn.refused.push(format!("{nation} refused {}: {error}", draft.kind));
            }
            Err(_) => turn.pending = Some((id, draft)),
        }
        if seat.node.is_none() {
            break;
        }
    }
    if let Some(node) = &mut seat.node {
        node.kill().await;
        desk.presence.send_replace(Presence::Down);
        seat.node = None;
    }
    drop(turn);
    stage.relays.set_target(nation, None);
    stage.kills.push(Kill { nation: nation.to_owned(), write_in_flight, write_was_durable: None, restart_ms: None });
}

/// Starts a killed node on its home, and repeats the write it never answered.
async fn restart(stage: &mut Stage, nation: &str) -> Result<(), ExerciseError> {
    stage.step(&format!("restarting {nation}"));
    let began = Instant::now();
    let Some(member) = member(stage, nation) else { return Ok(()) };
    // A restored home has no configuration.
    NodeConfig::new(&stage.layout, &stage.testnet, &member, &stage.relays.ports())
        .write()
        .map_err(TestnetError::from)?;
    let (node, status) = Node::start(&stage.exe, &stage.layout, &member).await?;
    let restart_ms = elapsed_ms(began);
    stage.relays.set_target(nation, listens(&status));
    let Some(seat) = stage.seats.get_mut(nation) else { return Ok(()) };
    seat.node = Some(node);
    let desk = Arc::clone(&seat.desk);
    let mut turn = desk.turn.lock().await;
    let mut write_was_durable = None;
    if let Some((id, draft)) = turn.pending.take() {
        match desk.write_own(&mut turn, &id, &draft).await {
            Ok(answer) => write_was_durable = Some(answer.replayed),
            Err(ClientError::Refused(problem)) if problem.exit < 3 => {
                let error = said(&ClientError::Refused(problem));
                turn.refused.push(format!("{nation} refused to repeat a write: {error}"));
            }
            // The writer repeats it.
            Err(_) => turn.pending = Some((id, draft)),
        }
    }
    desk.presence.send_replace(Presence::Up);
    drop(turn);
    if let Some(kill) = stage.kills.iter_mut().rev().find(|kill| kill.nation == nation) {
        (kill.restart_ms, kill.write_was_durable) = (Some(restart_ms), write_was_durable);
    }
    Ok(())
}

fn member(stage: &Stage, nation: &str) -> Option<Member> {
    stage.testnet.members.iter().find(|member| member.code == nation).cloned()
}

/// Kills a node for good: in the middle of its writing, soon after one of its writes was acknowledged.
async fn leave(stage: &mut Stage, acknowledged: u64) {
    let Some(nation) = stage.scenario.leaver() else { return };
    stage.step(&format!("{nation} leaves for good"));
    let is_writing = stage.burst.as_ref().is_some_and(|burst| burst.codes.contains(&nation));
    if is_writing {
        soon_after_a_write(stage, &nation, acknowledged).await;
    }
    let Some(seat) = stage.seats.get_mut(&nation) else { return };
    let killed_ms = stage.ledger.now_ms();
    let last_ms = stage.ledger.last_ms(&nation);
    if let Some(node) = &mut seat.node {
        node.kill().await;
    }
    seat.node = None;
    seat.desk.presence.send_replace(Presence::Gone);
    stage.relays.set_target(&nation, None);
    // Answers may have been on their way when the node died; its writer notes them before it ends.
    drop(seat.desk.turn.lock().await);
    stage.leaver = Some(Leave {
        statements_acknowledged: stage.ledger.count(&nation),
        last_acknowledged_before_kill_ms: last_ms.map(|last| killed_ms.saturating_sub(last)),
        home_intact: false,
        nation,
    });
}

async fn soon_after_a_write(stage: &mut Stage, nation: &str, acknowledged: u64) {
    let pause = Duration::from_millis(stage.rng.random_range(0..=LEAVE_PAUSE_MS));
    let mut counts = stage.ledger.counts();
    let count = |counts: &BTreeMap<String, u64>| counts.get(nation).copied().unwrap_or_default();
    let deadline = Instant::now() + SETTLE_PATIENCE;
    let enough =
        tokio::time::timeout_at(deadline, counts.wait_for(|counts| count(counts) >= acknowledged)).await.is_ok();
    while enough && Instant::now() < deadline {
        let seen = count(&counts.borrow_and_update());
        if tokio::time::timeout_at(deadline, counts.wait_for(|counts| count(counts) > seen)).await.is_err() {
            break;
        }
        sleep(pause).await;
        let last = stage.ledger.last_ms(nation).unwrap_or_default();
        if stage.ledger.now_ms().saturating_sub(last) <= LAST_WRITE_MAX_MS {
            return;
        }
    }
    stage.problems.push(format!("{nation} had {} statements acknowledged when it left", stage.ledger.count(nation)));
}
