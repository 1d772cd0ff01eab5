//! `comity testnet sim`: whole alliances in one process, all of it from a seed.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use comity_protocol::rules::Rules;
use comity_testnet::sim;
use comity_testnet::sim::batch::Batch;
use comity_testnet::sim::profile::Profile;
use comity_testnet::sim::replay::{self, ListError, Replay, Without};
use comity_testnet::sim::report::{RunReport, ShrunkReport, Totals};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;

use crate::failure::Failure;
use crate::output::Output;

/// How long one failing seed is shrunk at most.
const SHRINK_BUDGET: Duration = Duration::from_mins(2);
/// Failing seeds that are shrunk.
const SHRINK_SEEDS_MAX: usize = 3;

/// What to simulate.
#[derive(clap::Args, Debug)]
pub struct SimArgs {
    /// Run this seed and tell what happened.
    #[arg(long, value_name = "N", required_unless_present = "seeds", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run many seeds, from A up to and without B, on all processors.
    #[arg(long, value_name = "A..B")]
    seeds: Option<String>,
    /// The kind of run: everyday, network, disk, forks, liars, large or votes.
    #[arg(long, value_name = "P", default_value = "everyday")]
    profile: String,
    /// Look for a smaller run that fails the same way; of many seeds, for the first three that fail.
    #[arg(long)]
    shrink: bool,
    /// Keep only these steps of the plan: 3,7-9, or none.
    #[arg(long, value_name = "LIST")]
    only: Option<String>,
    /// Leave out more of the plan: weather, skew, lies, late-lies, misvotes.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    without: Vec<String>,
    /// Heal after so many milliseconds of simulated time.
    #[arg(long, value_name = "MS")]
    heal_at: Option<u64>,
    /// Print everything that happened.
    #[arg(long)]
    trace: bool,
}

/// Runs a seed or many.
///
/// # Errors
/// [`Failure`]: exit code 1 where an invariant did not hold, 2 for what does not fit.
pub fn run(args: &SimArgs, runtime: &Runtime, output: &Output) -> Result<(), Failure> {
    let profile = profile(&args.profile)?;
    match (&args.seeds, args.seed) {
        (Some(seeds), _) => {
            let seeds = replay::seeds(seeds).map_err(|error| {
                usage("--seeds", &error).hint("give a first seed and the one after the last: 0..1000")
            })?;
            many(args, seeds, profile, runtime, output)
        }
        (None, seed) => one(args, &single(args, seed.unwrap_or_default(), profile)?, runtime, output),
    }
}

fn one(args: &SimArgs, replay: &Replay, runtime: &Runtime, output: &Output) -> Result<(), Failure> {
    let outcome = sim::run(&replay.plan(), Rules::default());
    let mut report = RunReport::new(replay, &outcome);
    if args.shrink && outcome.violation.is_some() {
        report.shrunk = shrink(replay, &interrupts(runtime), output);
    }
    if args.trace && output.json() {
        report.with_trace(&outcome);
    } else if args.trace {
        output.text(outcome.trace.text());
        report.trace = None;
    }
    output.result(&report, || report.text());
    match &report.violation {
        None => Ok(()),
        Some(violation) => {
            let error = format!("seed {} does not hold {}", report.seed, violation.invariant);
            Err(Failure::refused(error).because(violation.text.clone()).hint(advice(args)))
        }
    }
}

fn many(
    args: &SimArgs,
    seeds: Range<u64>,
    profile: Profile,
    runtime: &Runtime,
    output: &Output,
) -> Result<(), Failure> {
    let flags = [
        ("--only", args.only.is_some()),
        ("--without", !args.without.is_empty()),
        ("--heal-at", args.heal_at.is_some()),
        ("--trace", args.trace),
    ];
    if let Some((flag, _)) = flags.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Failure::usage(format!("{flag} does not fit --seeds"))
            .because("every seed has a plan of its own")
            .hint("run one seed with --seed"));
    }
    let began = Instant::now();
    let stop = interrupts(runtime);
    let mut totals = Totals { profile: profile.name(), first: seeds.start, end: seeds.end, ..Totals::default() };
    let bar = bar(seeds.end - seeds.start, output);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let batch = Batch { seeds, profile, rules: Rules::default(), threads };
    batch.run(&|| !stop.load(Ordering::Relaxed), &mut |seed, outcome| {
        if let Some(violation) = totals.add(&Replay::whole(seed, profile), &outcome) {
            bar.suspend(|| eprintln!("seed {seed} does not hold {}", violation.invariant));
        }
        bar.inc(1);
        bar.set_message(format!("{} failed", totals.failed));
    });
    bar.finish_and_clear();
    totals.finish(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    if args.shrink {
        for failure in totals.failures.iter_mut().take(SHRINK_SEEDS_MAX) {
            failure.shrunk = shrink(&Replay::whole(failure.seed, profile), &stop, output);
        }
    }
    output.result(&totals, || totals.text());
    if totals.failed == 0 {
        return Ok(());
    }
    let error = format!("{} of {} seeds do not hold every invariant", totals.failed, totals.seeds);
    Err(Failure::refused(error).hint(advice(args)))
}

/// Looks for a smaller run, until time is up or somebody interrupts.
fn shrink(replay: &Replay, stop: &AtomicBool, output: &Output) -> Option<ShrunkReport> {
    if !output.json() {
        eprintln!("shrinking seed {} …", replay.seed);
    }
    let until = Instant::now() + SHRINK_BUDGET;
    let mut go_on = || !stop.load(Ordering::Relaxed) && Instant::now() < until;
    sim::shrink::shrink(replay, Rules::default(), &mut go_on).map(|shrunk| ShrunkReport::of(&shrunk))
}

const fn advice(args: &SimArgs) -> &'static str {
    if args.shrink {
        "docs/simulation.md tells how to read the trace"
    } else {
        "run the replay command with --shrink for a smaller run, with --trace for all that happened"
    }
}

/// Returns what the first interrupt sets; the second ends the process.
fn interrupts(runtime: &Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            flag.store(true, Ordering::Relaxed);
            eprintln!("interrupted; ending the runs under way");
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop
}

fn bar(seeds: u64, output: &Output) -> ProgressBar {
    if output.json() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} seeds, {msg} ({elapsed}, {eta} left)");
    let bar = ProgressBar::new(seeds).with_style(style.expect("the template is fixed"));
    bar.enable_steady_tick(super::TICK);
    bar
}

fn profile(name: &str) -> Result<Profile, Failure> {
    Profile::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
        Failure::usage(format!("there is no profile {name}")).hint(format!("choose one of {}", names.join(", ")))
    })
}

/// Returns the run of one seed that the arguments ask for.
fn single(args: &SimArgs, seed: u64, profile: Profile) -> Result<Replay, Failure> {
    let mut whole = Replay::whole(seed, profile);
    if let Some(only) = &args.only {
        let steps = replay::steps(only, whole.plan().steps.len())
            .map_err(|error| usage("--only", &error).hint("give steps as --trace counts them: 3,7-9, or none"))?;
        whole.only = Some(steps);
    }
    whole.without = without(&args.without)?;
    whole.heal_at_ms = args.heal_at;
    Ok(whole)
}

fn without(names: &[String]) -> Result<BTreeSet<Without>, Failure> {
    let read = |name: &String| {
        Without::from_name(name).ok_or_else(|| {
            let all: Vec<&str> = Without::ALL.iter().map(|without| without.name()).collect();
            Failure::usage(format!("{name} is nothing that can be left out"))
                .hint(format!("choose from {}", all.join(", ")))
        })
    };
    names.iter().map(read).collect()
}

fn usage(flag: &str, error: &ListError) -> Failure {
    Failure::usage(format!("cannot use {flag}")).because(error.to_string())
}
