//! What simulated runs came to: for people as text, for programs as data.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Outcome;
use super::check::Violation;
use super::replay::Replay;
use super::shrink::Shrunk;

/// Failing seeds that are told one by one.
const FAILURES_MAX: usize = 100;
/// Lines of the end of a failing run's trace that are shown.
const END_LINES: usize = 40;

/// One simulated run; one JSON object with `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SimulatedRun)]
pub struct RunReport {
    /// The seed.
    pub seed: u64,
    /// The profile.
    pub profile: &'static str,
    /// Who took part, recipient first.
    pub nations: Vec<NationReport>,
    /// Steps of the plan.
    pub steps: usize,
    /// What it counted.
    pub counts: Counts,
    /// Milliseconds of simulated time from the heal until all honest nodes agreed, or until the run ended.
    pub converged_after_ms: u64,
    /// The invariant that did not hold; null if all did.
    pub violation: Option<ViolationReport>,
    /// The command that runs exactly this again.
    pub replay: String,
    /// A smaller run that fails the same way; null if none was looked for.
    pub shrunk: Option<ShrunkReport>,
    /// Every line of what happened, or the end of it where an invariant did not hold; null if neither was asked for.
    pub trace: Option<Vec<String>>,
}

/// A nation of a simulated run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SimulatedNation)]
pub struct NationReport {
    /// Its code.
    pub code: &'static str,
    /// How many nodes it had at first.
    pub nodes: usize,
    /// How its nodes lied; null if they did not.
    pub lies: Option<&'static str>,
    /// How its officer broke the rules of signers; null if it kept them.
    pub misvotes: Option<&'static str>,
}

/// What simulated runs counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SimulatedCounts)]
pub struct Counts {
    /// Steps carried out, by kind.
    pub done: BTreeMap<&'static str, u64>,
    /// Steps that could not be done when their time came.
    pub left_out: u64,
    /// Writes acknowledged.
    pub acknowledged: u64,
    /// Writes refused.
    pub refused: u64,
    /// Votes that officers signed.
    pub votes: u64,
    /// Versions of the charter that were adopted.
    pub charters: u64,
    /// Processes started again after a crash.
    pub crashes: u64,
    /// Chains that are forked at the end.
    pub forks: u64,
    /// Envelopes that a node holds at the end.
    pub envelopes: u64,
    /// Inputs that replicas handled.
    pub inputs: u64,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SimulatedViolation)]
pub struct ViolationReport {
    /// Which.
    pub invariant: String,
    /// What was found.
    pub text: String,
}

/// A smaller run that fails the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SimulatedSmaller)]
pub struct ShrunkReport {
    /// The command that runs it.
    pub replay: String,
    /// Steps that are left.
    pub steps: usize,
    /// How many runs it took to find.
    pub runs: u32,
    /// What does not hold in it.
    pub violation: ViolationReport,
    /// The readable end of its trace.
    pub trace: Vec<String>,
}

/// Many simulated runs; one JSON object with `--json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SimulatedRuns)]
pub struct Totals {
    /// The profile.
    pub profile: &'static str,
    /// The first seed.
    pub first: u64,
    /// The seed before which the runs were to end.
    pub end: u64,
    /// Runs made.
    pub seeds: u64,
    /// Runs in which every invariant held.
    pub good: u64,
    /// Runs in which one did not.
    pub failed: u64,
    /// Whether the runs ended before the last seed.
    pub interrupted: bool,
    /// What they counted together.
    pub counts: Counts,
    /// How long all of it took, in milliseconds.
    pub took_ms: u64,
    /// Runs in a minute.
    pub seeds_per_minute: u64,
    /// The first hundred failing runs.
    pub failures: Vec<FailureReport>,
}

/// A failing run among many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SimulatedFailure)]
pub struct FailureReport {
    /// The seed.
    pub seed: u64,
    /// What does not hold.
    pub violation: ViolationReport,
    /// The command that runs it again.
    pub replay: String,
    /// A smaller run that fails the same way; null if none was looked for.
    pub shrunk: Option<ShrunkReport>,
    /// The readable end of the trace of the first failing run; null for the others.
    pub trace: Option<Vec<String>>,
}

impl RunReport {
    /// Tells a run; of its trace the end, if an invariant did not hold.
    pub fn new(replay: &Replay, outcome: &Outcome) -> Self {
        let plan = replay.plan();
        let mut counts = Counts::default();
        counts.add(outcome);
        let nation = |of: &super::plan::PlannedNation| NationReport {
            code: of.code,
            nodes: of.nodes,
            lies: of.lies.map(super::liar::Strategy::name),
            misvotes: of.misvotes.map(super::officer::Misvote::name),
        };
        Self {
            seed: replay.seed,
            profile: replay.profile.name(),
            nations: plan.nations.iter().map(nation).collect(),
            steps: plan.steps.len(),
            counts,
            converged_after_ms: outcome.stats.converged_after_ms,
            violation: outcome.violation.as_ref().map(ViolationReport::of),
            replay: replay.to_string(),
            shrunk: None,
            trace: outcome.violation.is_some().then(|| end_of(outcome)),
        }
    }

    /// Puts the whole trace in.
    pub fn with_trace(&mut self, outcome: &Outcome) {
        self.trace = Some(outcome.trace.text().lines().map(str::to_owned).collect());
    }

    /// Tells the run as a short story.
    pub fn text(&self) -> String {
        let nodes: usize = self.nations.iter().map(|nation| nation.nodes).sum();
        let codes: Vec<String> = self.nations.iter().map(NationReport::text).collect();
        let mut lines = vec![
            format!("seed {} profile {}", self.seed, self.profile),
            format!("{} nations, {nodes} nodes: {}", self.nations.len(), codes.join(" ")),
        ];
        let liars: Vec<String> =
            self.nations.iter().filter_map(|of| Some(format!("{} ({})", of.code, of.lies?))).collect();
        lines.push(if liars.is_empty() { "nobody lies".to_owned() } else { format!("liars: {}", liars.join(", ")) });
        let misvoters: Vec<String> =
            self.nations.iter().filter_map(|of| Some(format!("{} ({})", of.code, of.misvotes?))).collect();
        if !misvoters.is_empty() {
            lines.push(format!("officers who break the rules: {}", misvoters.join(", ")));
        }
        lines.push(format!("{} steps: {}", self.steps, self.counts.steps_text()));
        lines.push(self.counts.text());
        match &self.violation {
            None => {
                lines.push(format!("converged {} ms after the heal; every invariant held", self.converged_after_ms))
            }
            Some(violation) => {
                lines.push(violation.text());
                lines.push(format!("replay: {}", self.replay));
            }
        }
        lines.extend(self.shrunk.iter().map(ShrunkReport::text));
        // A smaller run tells the same failure more shortly.
        if let (Some(trace), None) = (&self.trace, &self.shrunk) {
            lines.push(indented(trace));
        }
        lines.join("\n")
    }
}

impl NationReport {
    fn text(&self) -> String {
        if self.nodes == 1 { self.code.to_owned() } else { format!("{}×{}", self.code, self.nodes) }
    }
}

impl Counts {
    /// Adds what a run counted.
    pub fn add(&mut self, outcome: &Outcome) {
        let stats = &outcome.stats;
        for (kind, times) in &stats.done {
            *self.done.entry(kind).or_default() += u64::from(*times);
        }
        self.left_out += u64::from(stats.left_out);
        self.acknowledged += u64::from(stats.acknowledged);
        self.refused += u64::from(stats.refused);
        self.votes += u64::from(stats.votes);
        self.charters += u64::from(stats.sealed);
        self.crashes += u64::from(stats.restarts);
        self.forks += u64::from(stats.forks);
        self.envelopes += u64::from(stats.envelopes);
        self.inputs += stats.inputs;
    }

    fn steps_text(&self) -> String {
        let mut parts: Vec<String> = self.done.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
        if self.left_out > 0 {
            parts.push(format!("{} could not be done", self.left_out));
        }
        if parts.is_empty() { "none done".to_owned() } else { parts.join(", ") }
    }

    fn text(&self) -> String {
        format!(
            "{} writes acknowledged, {} refused; {} votes, {} versions of the charter adopted; {} starts after crashes, {} \
             forked chains, {} envelopes, {} inputs",
            self.acknowledged,
            self.refused,
            self.votes,
            self.charters,
            self.crashes,
            self.forks,
            self.envelopes,
            self.inputs
        )
    }
}

impl ViolationReport {
    fn of(violation: &Violation) -> Self {
        Self { invariant: violation.invariant.to_owned(), text: violation.text.clone() }
    }

    fn text(&self) -> String {
        format!("NOT HELD: {}: {}", self.invariant, self.text)
    }
}

impl ShrunkReport {
    /// Tells a smaller run.
    ///
    /// # Panics
    /// If it does not fail, which [`super::shrink::shrink`] never returns.
    pub fn of(shrunk: &Shrunk) -> Self {
        let violation = shrunk.outcome.violation.as_ref().expect("what is shrunk fails");
        Self {
            replay: shrunk.replay.to_string(),
            steps: shrunk.replay.plan().steps.len(),
            runs: shrunk.runs,
            violation: ViolationReport::of(violation),
            trace: end_of(&shrunk.outcome),
        }
    }

    fn text(&self) -> String {
        let Self { replay, steps, runs, violation, trace } = self;
        format!("shrunk to {steps} steps in {runs} runs: {replay}\n{}\n{}", violation.text(), indented(trace))
    }
}

impl Totals {
    /// Counts a run; returns how it failed, if it did.
    pub fn add(&mut self, replay: &Replay, outcome: &Outcome) -> Option<ViolationReport> {
        self.seeds += 1;
        self.counts.add(outcome);
        let Some(violation) = outcome.violation.as_ref().map(ViolationReport::of) else {
            self.good += 1;
            return None;
        };
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(FailureReport {
                seed: replay.seed,
                violation: violation.clone(),
                replay: replay.to_string(),
                shrunk: None,
                trace: self.failures.is_empty().then(|| end_of(outcome)),
            });
        }
        Some(violation)
    }

    /// Takes note of how long it took, whether or not all seeds were run.
    pub const fn finish(&mut self, took_ms: u64) {
        self.took_ms = took_ms;
        self.seeds_per_minute = self.seeds.saturating_mul(60_000) / if took_ms == 0 { 1 } else { took_ms };
        self.interrupted = self.seeds < self.end - self.first;
    }

    /// Tells all of it.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = self.failures.iter().map(FailureReport::text).collect();
        if self.failed > self.failures.len() as u64 {
            lines.push(format!("and {} more failing seeds", self.failed - self.failures.len() as u64));
        }
        let Self { seeds, good, failed, first, end, profile, .. } = self;
        let interrupted = if self.interrupted { ", interrupted" } else { "" };
        lines.push(format!(
            "{seeds} seeds of {first}..{end}, profile {profile}{interrupted}: {good} held, {failed} failed"
        ));
        lines.push(format!("steps: {}", self.counts.steps_text()));
        lines.push(self.counts.text());
        lines.push(format!("{} s, {} seeds per minute", self.took_ms.div_ceil(1_000), self.seeds_per_minute));
        lines.join("\n")
    }
}

impl FailureReport {
    fn text(&self) -> String {
        let mut lines =
            vec![format!("seed {}: {}", self.seed, self.violation.text()), format!("replay: {}", self.replay)];
        lines.extend(self.shrunk.iter().map(ShrunkReport::text));
        if let (Some(trace), None) = (&self.trace, &self.shrunk) {
            lines.push(indented(trace));
        }
        lines.join("\n")
    }
}

fn end_of(outcome: &Outcome) -> Vec<String> {
    outcome.trace.story(END_LINES).lines().map(str::to_owned).collect()
}

fn indented(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}
