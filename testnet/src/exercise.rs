//! Exercises: a scenario run on a testnet of real processes, and what came of it.
//!
//! The driver stands outside the nodes. It speaks to each over its own socket, keeps the id of every write a node
//! acknowledged, kills nodes by SIGKILL, cuts links at the relays, and at the end asks only what the nodes themselves say
//! and what lies in the homes of the dead.

use std::path::PathBuf;

use comity_node::client::ClientError;
use comity_protocol::ids::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::kiel::{KielError, KielFile};
use crate::processes::{Layout, TestnetError};
use crate::report::{Report, Rows};
use crate::scenario::{DEFAULT, Scenario, ScenarioError};

mod burst;
mod data;
mod desk;
mod ledger;
mod plan;
mod stage;
mod steps;
mod trust;
mod verdict;

use stage::Stage;

/// What to exercise.
#[derive(Clone, Debug)]
pub struct ExerciseOptions {
    /// The `comity` binary that founds the alliance and runs as each node.
    pub exe: PathBuf,
    /// A scenario: the name of a built-in one or the path of a file; the default one if absent.
    pub scenario: Option<String>,
    /// A data folder to run instead of a scenario.
    pub data: Option<PathBuf>,
    /// Other nations for the scenario; empty for its own.
    pub nations: Vec<String>,
    /// Another seed than the scenario's.
    pub seed: Option<u64>,
    /// Where homes and logs go; a temporary folder if absent.
    pub dir: Option<PathBuf>,
    /// What becomes of a temporary folder.
    pub keep: Keep,
}

/// What becomes of a temporary folder after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It stays.
    Always,
    /// It stays only where the run was no success.
    OnFailure,
}

/// How far a run is, for a progress bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: String,
    /// Steps done.
    pub done: usize,
    /// All steps.
    pub total: usize,
    /// Statements acknowledged so far.
    pub acknowledged: u64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ExerciseError {
    /// The scenario cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Data(#[from] KielError),
    /// Options that exclude each other.
    #[error("--data brings its own nations and events; it goes with neither a scenario nor --nations")]
    Options,
    /// The testnet could not be started.
    #[error(transparent)]
    Testnet(#[from] TestnetError),
    /// A node refused a statement of the scenario.
    #[error("{nation} cannot write {key}: {}", said(refusal))]
    Refused {
        /// The nation.
        nation: String,
        /// The scenario's name for the statement.
        key: String,
        /// What the node said.
        refusal: Box<ClientError>,
    },
    /// The run was interrupted; every process it started is gone.
    #[error("interrupted")]
    Interrupted,
}

impl ExerciseError {
    /// Returns the exit code: 2 bad scenario or data, 4 could not start.
    pub const fn exit(&self) -> u8 {
        match self {
            Self::Scenario(_) | Self::Data(_) | Self::Options => 2,
            Self::Testnet(error) => error.exit(),
            // What a node refuses for another reason than its environment, the scenario asked for.
            Self::Refused { refusal, .. } => {
                if refusal.exit() >= 3 {
                    4
                } else {
                    2
                }
            }
            Self::Interrupted => 4,
        }
    }

    /// Returns what the operator can do, where that is clear.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Testnet(error) => error.hint(),
            _ => None,
        }
    }
}

/// Runs an exercise to its report; `progress` is told of every step.
///
/// Every process it starts is gone when it returns.
/// # Errors
/// [`ExerciseError`] if there is nothing to report: the input is unusable or the testnet does not start. Whatever goes
/// wrong later stands in the report.
pub async fn run(options: &ExerciseOptions, progress: &watch::Sender<Progress>) -> Result<Report, ExerciseError> {
    let (mut scenario, rows) = script(options)?;
    if let Some(seed) = options.seed {
        scenario.seed = seed;
    }
    let folder = Folder::new(options)?;
    let interrupted = interruption();
    let outcome = tokio::select! {
        outcome = perform(options, scenario, &folder, progress) => outcome,
        () = interrupted => Err(ExerciseError::Interrupted),
    };
    let is_success = matches!(&outcome, Ok(report) if report.exit() == 0);
    let dir = folder.leave(is_success);
    let mut report = outcome?;
    report.rows = rows;
    report.dir = dir;
    Ok(report)
}

/// Reads what to run, before anything is started.
fn script(options: &ExerciseOptions) -> Result<(Scenario, Option<Rows>), ExerciseError> {
    let Some(data) = &options.data else {
        let scenario = Scenario::find(options.scenario.as_deref().unwrap_or(DEFAULT))?;
        let scenario = if options.nations.is_empty() { scenario } else { scenario.among(&options.nations)? };
        return Ok((scenario, None));
    };
    if options.scenario.is_some() || !options.nations.is_empty() {
        return Err(ExerciseError::Options);
    }
    let file = KielFile::read(data)?;
    let rows = Rows::new(file.counts(), file.refused.clone());
    Ok((data::scenario(&file), Some(rows)))
}

async fn perform(
    options: &ExerciseOptions,
    scenario: Scenario,
    folder: &Folder,
    progress: &watch::Sender<Progress>,
) -> Result<Report, ExerciseError> {
    let began = Instant::now();
    let mut stage = Stage::open(options.exe.clone(), folder.layout.clone(), scenario, progress.clone()).await?;
    let outcome = steps::run(&mut stage).await;
    let verdict = match outcome {
        Ok(()) => verdict::reach(&mut stage).await,
        Err(error) => Err(error),
    };
    stage.close().await;
    let mut report = verdict?;
    report.took_ms = elapsed_ms(began);
    Ok(report)
}

/// Returns what a node said, with its reason.
fn said(error: &ClientError) -> String {
    match error {
        ClientError::Refused(problem) => match &problem.cause {
            Some(cause) => format!("{}: {cause}", problem.error),
            None => problem.error.clone(),
        },
        other => other.to_string(),
    }
}

async fn interruption() {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// The folder of a run.
struct Folder {
    layout: Layout,
    goes: Goes,
}

/// What becomes of the folder.
enum Goes {
    Stays,
    With(Keep),
}

impl Folder {
    fn new(options: &ExerciseOptions) -> Result<Self, ExerciseError> {
        if let Some(dir) = &options.dir {
            let layout = Layout::create(dir)?;
            layout.check_empty()?;
            return Ok(Self { layout, goes: Goes::Stays });
        }
        let name = format!("comity-exercise-{}-{}", std::process::id(), now().0);
        let layout = Layout::create(&std::env::temp_dir().join(name))?;
        Ok(Self { layout, goes: Goes::With(options.keep) })
    }

    /// Deletes the folder where it is not to stay; returns it where it does.
    fn leave(self, is_success: bool) -> Option<PathBuf> {
        let dir = self.layout.dir().to_owned();
        match self.goes {
            Goes::With(Keep::OnFailure) if is_success => std::fs::remove_dir_all(&dir).err().map(|_| dir),
            Goes::Stays | Goes::With(_) => Some(dir),
        }
    }
}

/// Returns the wall clock's moment.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
