//! The verdict: whether everybody ended with the same record, what was lost, and what is covered.

use std::collections::{BTreeMap, BTreeSet};

use comity_node::store::{self, Depth};
use tokio::time::{Instant, sleep};

use super::ExerciseError;
use super::ledger::Acknowledged;
use super::stage::{LOOK_EVERY, SETTLE_PATIENCE, Stage};
use super::trust::Trust;
use crate::report::{Coverage, CoverageRow, Report, Written};
use crate::scenario::BatchStanding;
use crate::wire::{CoverageAnswer, ExportLine, Status};

/// Waits for convergence and writes the report.
pub(super) async fn reach(stage: &mut Stage) -> Result<Report, ExerciseError> {
    stage.step("waiting for convergence");
    let as_of = stage.as_of.rfc3339();
    let deadline = Instant::now() + SETTLE_PATIENCE;
    let (mut converged_at, mut exports, mut statuses) = (None, BTreeMap::new(), BTreeMap::new());
    while converged_at.is_none() && Instant::now() < deadline {
        statuses = stage.statuses().await;
        statuses.retain(|name, _| !stage.trust.outsiders.contains(name));
        if is_equal(stage, &statuses) {
            let at = (Instant::now(), stage.ledger.now_ms());
            exports = all_exports(stage, &as_of).await;
            let distinct: BTreeSet<&String> = exports.values().collect();
            if exports.len() == stage.inside().len() && distinct.len() <= 1 {
                converged_at = Some(at);
                continue;
            }
        }
        sleep(LOOK_EVERY).await;
    }
    if converged_at.is_none() {
        exports = all_exports(stage, &as_of).await;
    }
    let acknowledged = stage.ledger.all();
    let dead = dead_home(stage);
    let survivors: Vec<BTreeSet<String>> = exports.values().map(|export| versions(export)).collect();
    let aside = set_aside(stage, &acknowledged, &survivors);
    let counting: Vec<Acknowledged> =
        acknowledged.iter().filter(|entry| !aside.contains_key(&entry.pinned())).cloned().collect();
    let losses = losses(&counting, &survivors, &dead.unwrap_or_default());
    if let Some((_, at_ms)) = converged_at {
        note_everybody(stage, &losses, at_ms);
    }
    let leaver = stage.leaver.as_ref().map(|leave| leave.nation.clone());
    let before = coverage(stage, &as_of, None).await;
    let after = match &leaver {
        Some(leaver) => coverage(stage, &as_of, Some(leaver)).await,
        None => before.clone(),
    };
    let coverage = Coverage { before, after };
    let last_write_ms = acknowledged.iter().map(|entry| entry.at_ms).max();
    let healed = stage.healed;
    Ok(Report {
        scenario: stage.scenario.name.clone(),
        seed: stage.scenario.seed,
        nations: stage.scenario.codes(),
        as_of,
        statements_acknowledged: u64::try_from(acknowledged.len()).unwrap_or(u64::MAX),
        statements_lost: u64::try_from(losses.lost.len()).unwrap_or(u64::MAX),
        lost: losses.lost,
        unreplicated_at_kill: losses.unreplicated,
        converged: converged_at.is_some(),
        links_up_ms: stage.links_up_ms,
        heal_to_converged_ms: stage
            .heal_ms
            .or_else(|| converged_at.zip(healed).map(|((at, _), healed)| millis(at.duration_since(healed)))),
        last_write_to_converged_ms: converged_at.zip(last_write_ms).map(|((_, at), last)| at.saturating_sub(last)),
        state_digests: statuses.into_iter().map(|(code, status)| (code, status.state)).collect(),
        uncovered: coverage.uncovered(),
        coverage_before: coverage.before,
        coverage_after: coverage.after,
        leaver: stage.leaver.clone(),
        kills: stage.kills.clone(),
        cuts: stage.cuts.clone(),
        written: written(stage, &acknowledged),
        findings: std::mem::take(&mut stage.trust.findings),
        signed: std::mem::take(&mut stage.trust.signed),
        commands: std::mem::take(&mut stage.trust.commands),
        said: stage.trust.said(),
        set_aside: Trust::set_aside(&aside),
        outsiders: stage.trust.outsiders.iter().cloned().collect(),
        rows: None,
        problems: std::mem::take(&mut stage.problems),
        took_ms: 0,
        dir: None,
    })
}

/// Returns the acknowledged versions that not everybody exports since they do not count, as an expectation found them.
fn set_aside(
    stage: &Stage,
    acknowledged: &[Acknowledged],
    survivors: &[BTreeSet<String>],
) -> BTreeMap<String, BatchStanding> {
    let mut aside = BTreeMap::new();
    for entry in acknowledged {
        let is_everywhere = survivors.iter().all(|export| export.contains(&entry.version));
        if let Some(standing) = stage.trust.expected(&entry.version).filter(|_| !is_everywhere) {
            aside.insert(entry.pinned(), standing);
        }
    }
    aside
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn is_equal(stage: &Stage, statuses: &BTreeMap<String, Status>) -> bool {
    let digests: BTreeSet<[&str; 3]> = statuses.values().map(Status::digests).collect();
    statuses.len() == stage.inside().len() && digests.len() <= 1
}

async fn all_exports(stage: &Stage, as_of: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for code in stage.inside() {
        let query = [("format", "jsonl"), ("as_of", as_of)];
        if let Ok(export) = stage.client(&code).get_text("/v1/export", &query).await {
            exports.insert(code, export);
        }
    }
    exports
}

/// Asks one live node for the cover of every requirement; after convergence any will do.
async fn coverage(stage: &mut Stage, as_of: &str, without: Option<&str>) -> Vec<CoverageRow> {
    let Some(code) = stage.inside().into_iter().next() else { return Vec::new() };
    let mut query = vec![("as_of", as_of)];
    query.extend(without.map(|nation| ("without", nation)));
    match stage.client(&code).get::<CoverageAnswer>("/v1/coverage", &query).await {
        Ok(answer) => answer.rows,
        Err(error) => {
            stage.problems.push(format!("{code} shows no coverage: {error}"));
            Vec::new()
        }
    }
}

fn versions(export: &str) -> BTreeSet<String> {
    export.lines().filter_map(|line| serde_json::from_str::<ExportLine>(line).ok()?.version).collect()
}

/// Reads the leaver's home without its node: checks it, and returns the versions its node made durable.
fn dead_home(stage: &mut Stage) -> Option<BTreeSet<String>> {
    let leaver = stage.leaver.as_mut()?;
    let path = stage.layout.home(&leaver.nation).join("store").join("node.sqlite");
    match store::check(&path, Depth::Deep) {
        Ok(checked) => leaver.home_intact = checked.is_sound(),
        Err(error) => stage.problems.push(format!("the home of {} cannot be checked: {error}", leaver.nation)),
    }
    match store::own_records(&path) {
        Ok(own) => Some(own.envelopes.into_iter().map(|envelope| envelope.id.hex()).collect()),
        Err(error) => {
            stage.problems.push(format!("the home of {} cannot be read: {error}", leaver.nation));
            None
        }
    }
}

/// Acknowledged versions that not everybody has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Losses {
    /// In no place where they should be.
    lost: Vec<String>,
    /// In the dead home only.
    unreplicated: Vec<String>,
}

/// Finds acknowledged versions that are not in every survivor's export.
///
/// Those in a dead home count as unreplicated if no survivor has them, all others as lost.
fn losses(acknowledged: &[Acknowledged], survivors: &[BTreeSet<String>], dead: &BTreeSet<String>) -> Losses {
    let mut losses = Losses::default();
    for entry in acknowledged {
        let holders = survivors.iter().filter(|export| export.contains(&entry.version)).count();
        let in_all = holders == survivors.len() && !survivors.is_empty();
        if in_all {
            continue;
        }
        if !dead.contains(&entry.version) {
            losses.lost.push(entry.pinned());
        } else if holders == 0 {
            losses.unreplicated.push(entry.pinned());
        }
    }
    losses
}

/// At convergence everybody has all that was not lost or left behind.
fn note_everybody(stage: &mut Stage, losses: &Losses, at_ms: u64) {
    let missing = |code: &String| {
        let prefix = format!("{code}/");
        losses.lost.iter().chain(&losses.unreplicated).filter(|id| id.starts_with(&prefix)).count()
    };
    let counts: Vec<(String, u64)> = stage
        .seats
        .keys()
        .map(|code| {
            let missing = u64::try_from(missing(code)).unwrap_or(u64::MAX);
            (code.clone(), stage.ledger.count(code).saturating_sub(missing))
        })
        .collect();
    stage.note_everybody(&counts, at_ms);
}

fn written(stage: &Stage, acknowledged: &[Acknowledged]) -> Vec<Written> {
    let row = |code: String| {
        let own = || acknowledged.iter().filter(|entry| entry.nation == code);
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for entry in own() {
            *kinds.entry(entry.kind.clone()).or_default() += 1;
        }
        let count = kinds.values().sum();
        let everybody = stage.everybody.get(&code).filter(|(known, _)| *known >= count && count > 0);
        Written {
            acknowledged: count,
            kinds,
            first_ms: own().map(|entry| entry.at_ms).min(),
            last_ms: own().map(|entry| entry.at_ms).max(),
            everybody_had_it_ms: everybody.map(|(_, at)| *at),
            nation: code.clone(),
        }
    };
    let later = stage.seats.keys().filter(|name| !stage.trust.is_of_a_clone(name)).cloned();
    let mut names = stage.scenario.codes();
    for name in later {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(versions: &[&str]) -> Vec<Acknowledged> {
        let entry = |version: &&str| Acknowledged {
            nation: "POL".to_owned(),
            kind: "pledge".to_owned(),
            record: "POL/pledge/7k3m9q2x4d".to_owned(),
            version: (*version).to_owned(),
            at_ms: 0,
        };
        versions.iter().map(entry).collect()
    }

    fn set(versions: &[&str]) -> BTreeSet<String> {
        versions.iter().map(|version| (*version).to_owned()).collect()
    }

    #[test]
    fn every_acknowledged_version_is_with_all_survivors_or_in_a_dead_home_or_lost() {
        let all = acknowledged(&["everywhere", "some", "dead", "nowhere", "dead-and-some"]);
        let survivors = [set(&["everywhere", "some", "dead-and-some"]), set(&["everywhere"])];
        let losses = losses(&all, &survivors, &set(&["dead", "everywhere", "dead-and-some"]));
        let ids = |versions: &[&str]| -> Vec<String> {
            versions.iter().map(|version| format!("POL/pledge/7k3m9q2x4d@{version}")).collect()
        };
        assert_eq!(losses.lost, ids(&["some", "nowhere"]));
        assert_eq!(losses.unreplicated, ids(&["dead"]));
    }

    #[test]
    fn without_any_export_nothing_counts_as_held() {
        let losses = losses(&acknowledged(&["a"]), &[], &BTreeSet::new());
        assert_eq!(losses.lost.len(), 1);
    }

    #[test]
    fn versions_are_read_from_lines_and_other_lines_do_not_matter() {
        let export = "{\"version\":\"aa\",\"record\":\"x\"}\nnot json\n{\"as_of\":\"2026\"}\n{\"version\":\"bb\"}\n";
        assert_eq!(versions(export), set(&["aa", "bb"]));
    }
}
