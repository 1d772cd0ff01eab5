//! Expectations: conditions that the nodes themselves must show before a deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use comity_protocol::ids::{AuthorId, AuthorKey};
use comity_protocol::roster::KeyStanding;
use tokio::time::{Instant, sleep};

use super::known::Known;
use crate::exercise::stage::{LOOK_EVERY, Stage};
use crate::exercise::{elapsed_ms, said};
use crate::report::Finding;
use crate::scenario::{BatchStanding, Condition};
use crate::wire::{Explanation, ExportLine, Peers, Status};

/// Remembers what every live node holds of every nation.
pub(super) async fn mark(stage: &mut Stage, mark: &str) {
    stage.step(&format!("noting what is held: \"{mark}\""));
    let mut by_node = BTreeMap::new();
    for node in stage.live() {
        match versions(stage, &node).await {
            Ok(versions) => {
                by_node.insert(node, versions);
            }
            Err(problem) => stage.problems.push(problem),
        }
    }
    stage.trust.marks.insert(mark.to_owned(), by_node);
}

/// Waits until a condition holds at every node asked, and writes down what came of it.
pub(super) async fn expect(stage: &mut Stage, condition: &Condition, at: &BTreeSet<String>, within: Duration) {
    let at = asked(stage, condition, at);
    let expectation = in_words(stage, condition);
    stage.step(&format!("waiting: {expectation}"));
    let began = Instant::now();
    let dialled = dialled(stage, condition, &at);
    let unmet = loop {
        let unmet = unmet(stage, condition, &at, &dialled).await;
        if unmet.is_empty() || began.elapsed() >= within {
            break unmet;
        }
        sleep(LOOK_EVERY).await;
    };
    let held = unmet.is_empty();
    if !held {
        stage.problems.push(format!("not within {} s: {expectation}; {}", within.as_secs(), unmet.join("; ")));
    }
    let after_ms = elapsed_ms(began);
    stage.trust.findings.push(Finding { expectation, asked: at.clone(), held, after_ms, instead: unmet });
    if held {
        learn(stage, condition, &at).await;
    }
}

/// Returns the nodes to ask: those named, else every one that is no outsider; about itself only a node itself.
fn asked(stage: &Stage, condition: &Condition, at: &BTreeSet<String>) -> Vec<String> {
    match condition {
        Condition::Halted { node, .. } | Condition::Writes { node } => vec![node.clone()],
        Condition::Linked { node } | Condition::Unlinked { node } if at.is_empty() => {
            stage.inside().into_iter().filter(|other| other != node).collect()
        }
        // A node that came later cannot tell.
        Condition::Unchanged { since, .. } if at.is_empty() => {
            let there = stage.trust.marks.get(since);
            stage.inside().into_iter().filter(|node| there.is_some_and(|mark| mark.contains_key(node))).collect()
        }
        Condition::Fork { .. }
        | Condition::NoFork
        | Condition::Standing { .. }
        | Condition::Final { .. }
        | Condition::Seen { .. }
        | Condition::Charter { .. }
        | Condition::Member { .. }
        | Condition::Removed { .. }
        | Condition::Linked { .. }
        | Condition::Unlinked { .. }
        | Condition::Converged
        | Condition::Unchanged { .. } => {
            if at.is_empty() {
                stage.inside()
            } else {
                at.iter().cloned().collect()
            }
        }
    }
}

/// Returns what stands in the way, one line for each node.
async fn unmet(stage: &Stage, condition: &Condition, at: &[String], dialled: &BTreeMap<String, u64>) -> Vec<String> {
    if let Condition::Converged = condition {
        return apart(stage, at).await;
    }
    let mut unmet = Vec::new();
    for node in at {
        let outcome = match condition {
            Condition::Fork { of, seq } => fork(stage, node, of, *seq).await,
            Condition::NoFork => no_fork(stage, node).await,
            Condition::Standing { batch, standing } => standing_at(stage, node, batch, *standing).await,
            Condition::Final { batch } => seen_at(stage, node, batch, None).await,
            Condition::Seen { batch, by } => seen_at(stage, node, batch, Some(*by)).await,
            Condition::Charter { height } => charter(stage, node, *height).await,
            Condition::Member { nation } => membership(stage, node, nation, Membership::Present).await,
            Condition::Removed { nation } => membership(stage, node, nation, Membership::Past).await,
            Condition::Halted { because, .. } => halted(stage, node, because.as_deref()).await,
            Condition::Writes { .. } => writes(stage, node).await,
            Condition::Linked { node: other } => linked(stage, node, other, Link::Up).await,
            Condition::Unlinked { node: other } => linked(stage, node, other, Link::None).await,
            Condition::Unchanged { nations, since } => unchanged(stage, node, nations, since).await,
            Condition::Converged => Ok(()),
        };
        if let Err(instead) = outcome {
            unmet.push(format!("{node}: {instead}"));
        }
    }
    if let Condition::Unlinked { node } = condition
        && unmet.is_empty()
        && let Err(instead) = turned_away(stage, node, at, dialled).await
    {
        unmet.push(format!("{node}: {instead}"));
    }
    unmet
}

/// Remembers what an expectation that held tells about who still belongs.
async fn learn(stage: &mut Stage, condition: &Condition, at: &[String]) {
    match condition {
        Condition::Standing { batch, standing } => {
            if let Some(batch) = stage.trust.batches.get_mut(batch) {
                batch.standing = Some(*standing);
            }
        }
        Condition::Final { batch } => {
            if let Some(batch) = stage.trust.batches.get_mut(batch) {
                batch.is_final = true;
            }
        }
        Condition::Charter { .. } | Condition::Member { .. } | Condition::Removed { .. } => {
            let Some(node) = at.first() else { return };
            match outsiders(stage, node).await {
                Ok(outsiders) => stage.trust.outsiders = outsiders,
                Err(problem) => stage.problems.push(problem),
            }
        }
        Condition::Fork { .. }
        | Condition::Seen { .. }
        | Condition::NoFork
        | Condition::Halted { .. }
        | Condition::Writes { .. }
        | Condition::Linked { .. }
        | Condition::Unlinked { .. }
        | Condition::Converged
        | Condition::Unchanged { .. } => {}
    }
}

/// Returns every node whose key is not active in what one node computed, and every clone.
async fn outsiders(stage: &Stage, node: &str) -> Result<BTreeSet<String>, String> {
    let known = Known::of(&stage.client(node)).await?;
    let charter = known.charter()?;
    let is_inside = |name: &String| {
        let seat = &stage.seats[name];
        let author = charter.by_code(&seat.nation).zip(AuthorKey::from_hex(&seat.key));
        author.is_some_and(|(member, key)| {
            let standing = known.state.key_standing(&AuthorId { nation: member.id, key });
            let is_active = matches!(standing, Some(KeyStanding::Active { .. }));
            is_active && charter.members.contains_key(&member.id)
        })
    };
    let names = stage.seats.keys();
    Ok(names.filter(|name| stage.trust.is_of_a_clone(name) || !is_inside(name)).cloned().collect())
}

async fn status(stage: &Stage, node: &str) -> Result<Status, String> {
    stage.client(node).get("/v1/status", &[]).await.map_err(|error| said(&error))
}

fn key<'a>(stage: &'a Stage, node: &str) -> &'a str {
    stage.seats.get(node).map_or("", |seat| seat.key.as_str())
}

async fn fork(stage: &Stage, node: &str, of: &str, seq: Option<u64>) -> Result<(), String> {
    let forks = status(stage, node).await?.forks;
    let known = forks.iter().find(|fork| fork.node == key(stage, of));
    match known {
        None => Err(format!("knows no fork of {of}")),
        Some(fork) if seq.is_none_or(|seq| seq == fork.seq) => Ok(()),
        Some(fork) => Err(format!("knows a fork of {of} at {}", fork.seq)),
    }
}

async fn no_fork(stage: &Stage, node: &str) -> Result<(), String> {
    match status(stage, node).await?.forks.first() {
        None => Ok(()),
        Some(fork) => Err(format!("knows a fork of a node of {} at {}", fork.nation, fork.seq)),
    }
}

async fn explained(stage: &Stage, node: &str, version: &str) -> Result<Option<Explanation>, String> {
    match stage.client(node).get("/v1/explain", &[("ref", version)]).await {
        Ok(explanation) => Ok(Some(explanation)),
        Err(comity_node::client::ClientError::Refused(problem)) if problem.exit == 2 => Ok(None),
        Err(error) => Err(said(&error)),
    }
}

async fn standing_at(stage: &Stage, node: &str, batch: &str, standing: BatchStanding) -> Result<(), String> {
    let batch = stage.trust.written(batch)?;
    for (place, version) in batch.versions.iter().enumerate() {
        let explained = explained(stage, node, version).await?;
        let found = explained.map_or_else(|| BatchStanding::Absent.word().to_owned(), |found| found.standing);
        if found != standing.word() {
            return Err(format!("statement {} of {} is {found}", place + 1, batch.versions.len()));
        }
    }
    Ok(())
}

/// Whether every statement of a batch is seen by so many nations, or by more than two thirds.
async fn seen_at(stage: &Stage, node: &str, batch: &str, by: Option<usize>) -> Result<(), String> {
    let batch = stage.trust.written(batch)?;
    for (place, version) in batch.versions.iter().enumerate() {
        let explained = explained(stage, node, version).await?;
        let Some(found) = explained else { return Err(format!("statement {} is not held", place + 1)) };
        let seen_by = found.witnessed.seen_by;
        if !by.map_or(found.witnessed.is_final, |by| seen_by.len() >= by) {
            return Err(format!("statement {} is seen by {}", place + 1, seen_by.join(" ")));
        }
    }
    Ok(())
}

async fn charter(stage: &Stage, node: &str, height: u32) -> Result<(), String> {
    let found = status(stage, node).await?.charter.height;
    if found == height { Ok(()) } else { Err(format!("is at charter version {found}")) }
}

/// Whether a nation is in or out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Membership {
    Present,
    Past,
}

async fn membership(stage: &Stage, node: &str, nation: &str, wanted: Membership) -> Result<(), String> {
    let known = Known::of(&stage.client(node)).await?;
    let charter = known.charter()?;
    let found = match charter.by_code(nation) {
        None => return Err(format!("knows no nation {nation}")),
        Some(member) if charter.members.contains_key(&member.id) => Membership::Present,
        Some(_) => Membership::Past,
    };
    match found {
        found if found == wanted => Ok(()),
        Membership::Present => Err(format!("has {nation} as a member")),
        Membership::Past => Err(format!("has {nation} as removed")),
    }
}

async fn halted(stage: &Stage, node: &str, because: Option<&str>) -> Result<(), String> {
    let authoring = status(stage, node).await?.authoring;
    let reason = authoring.reason.unwrap_or_default();
    if authoring.allowed {
        return Err("writes".to_owned());
    }
    if because.is_none_or(|because| reason.contains(because)) { Ok(()) } else { Err(format!("says: {reason}")) }
}

async fn writes(stage: &Stage, node: &str) -> Result<(), String> {
    let Status { authoring, standing, .. } = status(stage, node).await?;
    if !authoring.allowed {
        return Err(authoring.reason.unwrap_or_default());
    }
    // A new node learns of its own roster like everybody else.
    if standing == "active" { Ok(()) } else { Err(format!("its key is {standing}")) }
}

/// Whether a full link is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    None,
}

async fn linked(stage: &Stage, node: &str, other: &str, wanted: Link) -> Result<(), String> {
    let found = if is_linked(stage, node, key(stage, other)).await? { Link::Up } else { Link::None };
    match found {
        found if found == wanted => Ok(()),
        Link::Up => Err(format!("is linked with {other}")),
        Link::None => Err(format!("is not linked with {other}")),
    }
}

async fn is_linked(stage: &Stage, node: &str, key: &str) -> Result<bool, String> {
    let peers: Peers = stage.client(node).get("/v1/peers", &[]).await.map_err(|error| said(&error))?;
    let is_full = |link: &Option<String>| link.as_deref() == Some("full");
    Ok(peers.peers.iter().any(|peer| peer.node.as_deref() == Some(key) && is_full(&peer.link)))
}

/// Returns how often a node has dialled each of those asked, for what it tries in vain.
fn dialled(stage: &Stage, condition: &Condition, at: &[String]) -> BTreeMap<String, u64> {
    let Condition::Unlinked { node } = condition else { return BTreeMap::new() };
    let counts = stage.relays.counts().into_iter();
    let own = counts.filter(|count| count.pair.from == *node && at.contains(&count.pair.to));
    own.map(|count| (count.pair.to, count.connections)).collect()
}

/// Whether a node that runs has dialled since in vain: its links are refused, and not merely missing.
async fn turned_away(stage: &Stage, node: &str, at: &[String], before: &BTreeMap<String, u64>) -> Result<(), String> {
    if !stage.live().iter().any(|live| live == node) {
        return Ok(());
    }
    for other in at {
        if is_linked(stage, node, key(stage, other)).await? {
            return Err(format!("shows a link with {other}"));
        }
    }
    let condition = Condition::Unlinked { node: node.to_owned() };
    let now = dialled(stage, &condition, at);
    if now.iter().any(|(to, count)| before.get(to).is_none_or(|before| count > before)) {
        return Ok(());
    }
    Err("has not tried to link yet".to_owned())
}

async fn apart(stage: &Stage, at: &[String]) -> Vec<String> {
    let mut statuses = BTreeMap::new();
    for node in at {
        match status(stage, node).await {
            Ok(status) => {
                statuses.insert(node.clone(), status);
            }
            Err(problem) => return vec![format!("{node}: {problem}")],
        }
    }
    let distinct: BTreeSet<[&str; 3]> = statuses.values().map(Status::digests).collect();
    if distinct.len() <= 1 {
        return Vec::new();
    }
    let line = |(node, status): (&String, &Status)| {
        let [held, control, state] = status.digests().map(|digest| digest.get(..8).unwrap_or_default().to_owned());
        format!("{node}: held {held} control {control} state {state}")
    };
    statuses.iter().map(line).collect()
}

/// Returns the versions that one node exports, by the code of their nation.
async fn versions(stage: &Stage, node: &str) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let as_of = stage.as_of.rfc3339();
    let query = [("format", "jsonl"), ("as_of", as_of.as_str())];
    let export = stage.client(node).get_text("/v1/export", &query).await;
    let export = export.map_err(|error| format!("{node} exports nothing: {}", said(&error)))?;
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in export.lines().filter_map(|line| serde_json::from_str::<ExportLine>(line).ok()) {
        let code = line.rest.get("code").and_then(|code| code.as_str()).map(str::to_owned);
        if let (Some(code), Some(version)) = (code, line.version) {
            versions.entry(code).or_default().insert(version);
        }
    }
    Ok(versions)
}

async fn unchanged(stage: &Stage, node: &str, nations: &BTreeSet<String>, since: &str) -> Result<(), String> {
    let before = stage.trust.marks.get(since).and_then(|mark| mark.get(node));
    let before = before.ok_or_else(|| format!("was not there at \"{since}\""))?;
    let now = versions(stage, node).await?;
    match nations.iter().find(|nation| before.get(*nation) != now.get(*nation)) {
        None => Ok(()),
        Some(nation) => Err(format!("holds other statements of {nation} than at \"{since}\"")),
    }
}

fn in_words(stage: &Stage, condition: &Condition) -> String {
    let batch_of = |batch: &String| {
        let written = stage.trust.batches.get(batch);
        let (count, node) = written.map_or((0, ""), |batch| (batch.versions.len(), batch.node.as_str()));
        format!("\"{batch}\" ({count} of {node})")
    };
    match condition {
        Condition::Fork { of, seq: Some(seq) } => format!("the fork of {of} at {seq} is known"),
        Condition::Fork { of, seq: None } => format!("the fork of {of} is known"),
        Condition::NoFork => "no key has forked".to_owned(),
        Condition::Standing { batch, standing } => format!("{} is {}", batch_of(batch), standing.word()),
        Condition::Final { batch } => format!("{} is final", batch_of(batch)),
        Condition::Seen { batch, by } => format!("{} is seen by {by} nations", batch_of(batch)),
        Condition::Charter { height } => format!("the charter is at version {height}"),
        Condition::Member { nation } => format!("{nation} is a member"),
        Condition::Removed { nation } => format!("{nation} is removed"),
        Condition::Halted { node, because: Some(because) } => format!("{node} does not write and says: {because}"),
        Condition::Halted { node, because: None } => format!("{node} does not write"),
        Condition::Writes { node } => format!("{node} may write"),
        Condition::Linked { node } => format!("{node} is linked"),
        Condition::Unlinked { node } => format!("{node} is refused"),
        Condition::Converged => "all hold and computed the same".to_owned(),
        Condition::Unchanged { nations, since } => {
            let nations: Vec<&str> = nations.iter().map(String::as_str).collect();
            format!("what {} said is as at \"{since}\"", nations.join(" "))
        }
    }
}
