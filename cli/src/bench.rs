//! `comity bench`: what the product costs, as ratios against a baseline measured in the same run.
//!
//! Machines are noisy, so nothing here is a test: each figure is a median, stands beside its baseline and its target, and
//! gates nothing. `docs/performance.md` keeps the record.

mod admit;
mod audit;
mod catch_up;
mod commit;
mod lab;

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::Failure;
use crate::output::Output;
use crate::table::{Column, table};

/// Options of `comity bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// Statements in the large store.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    statements: usize,
    /// Rounds whose median is taken where a round is short.
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
}

/// One figure.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Figure {
    /// What is measured.
    pub what: String,
    /// The product's figure.
    pub ours: f64,
    /// The baseline's figure; absent for figures that stand alone.
    pub baseline: Option<f64>,
    /// What the baseline is.
    pub against: Option<String>,
    /// Unit of both.
    pub unit: &'static str,
    /// Ours over the baseline.
    pub ratio: Option<f64>,
    /// The target for the ratio, or for the figure that stands alone; not gating.
    pub target: Option<f64>,
}

/// What a bench measured.
#[derive(Serialize, ToSchema)]
pub struct BenchReport {
    /// Statements in the large store.
    statements: usize,
    /// Processors of the machine.
    processors: usize,
    /// The figures, in the order they were taken.
    figures: Vec<Figure>,
}

impl Figure {
    /// A figure against a baseline of the same run.
    pub fn ratio(what: &str, unit: &'static str, ours: f64, against: &str, baseline: f64, target: f64) -> Self {
        Self {
            what: what.to_owned(),
            ours,
            baseline: Some(baseline),
            against: Some(against.to_owned()),
            unit,
            ratio: Some(ours / baseline),
            target: Some(target),
        }
    }

    /// A figure that stands alone.
    pub fn alone(what: &str, unit: &'static str, ours: f64) -> Self {
        Self { what: what.to_owned(), ours, baseline: None, against: None, unit, ratio: None, target: None }
    }
}

/// Runs every bench; homes and nodes live in a folder that is removed at the end.
///
/// # Errors
/// [`Failure`] with exit code 4 where the machine refuses something a bench needs.
pub fn run(args: &BenchArgs, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment("cannot start").because(error.to_string()))?;
    let mut figures = Vec::new();
    step(output, "commits");
    figures.extend(runtime.block_on(commit::run(args.rounds))?);
    step(output, "one more envelope");
    figures.extend(admit::run(1_000, args.statements, args.rounds)?);
    step(output, "audit of a bundle");
    figures.extend(audit::run(args.statements, args.rounds)?);
    step(output, "catch-up, cold start and memory");
    figures.extend(runtime.block_on(catch_up::run(args.statements))?);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let report = BenchReport { statements: args.statements, processors, figures };
    output.result(&report, || in_words(&report));
    Ok(())
}

/// Returns the middle one of an odd number of samples, or the mean of the middle two.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    match samples.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => samples[middle],
        _ => f64::midpoint(samples[middle - 1], samples[middle]),
    }
}

/// Returns a span in microseconds.
pub fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

fn step(output: &Output, what: &str) {
    if !output.json() {
        eprintln!("measuring {what} …");
    }
}

fn in_words(report: &BenchReport) -> String {
    let rows = report.figures.iter().map(|figure| {
        let amount = |value: f64| format!("{value:.*}", if value < 100.0 { 2 } else { 0 });
        vec![
            figure.what.clone(),
            amount(figure.ours),
            figure.baseline.map_or_else(String::new, amount),
            figure.unit.to_owned(),
            figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            figure.target.map_or_else(String::new, |target| format!("{target:.2}")),
            figure.against.clone().unwrap_or_default(),
        ]
    });
    let columns = [
        Column::Left("WHAT"),
        Column::Right("OURS"),
        Column::Right("BASELINE"),
        Column::Left("UNIT"),
        Column::Right("RATIO"),
        Column::Right("TARGET"),
        Column::Left("AGAINST"),
    ];
    format!(
        "{} statements, {} processors\n{}",
        report.statements,
        report.processors,
        table(&columns, rows.collect(), "nothing was measured")
    )
}
