//! `comity testnet`: an alliance of real nodes on this machine, exercises that break it on purpose, and simulated ones.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comity_testnet::exercise::{self, ExerciseError, ExerciseOptions, Keep, Progress};
use comity_testnet::processes::{self, Stopped, TestnetError, UpOptions};
use comity_testnet::relay;
use comity_testnet::report::ScenarioList;
use comity_testnet::scenario::Scenario;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::failure::{Exit, Failure};
use crate::output::Output;

mod sim;

/// The folder of a testnet that names none.
const DEFAULT_DIR: &str = "comity-testnet";
/// How often a progress bar is redrawn while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// An alliance of real nodes on this machine.
#[derive(clap::Subcommand, Debug)]
pub enum TestnetCommand {
    /// Found an alliance and start one node per nation, or start again what is there.
    Up {
        /// Codes of the nations; leave out to start an existing testnet.
        #[arg(long, value_delimiter = ',', value_name = "CODE,...")]
        nations: Vec<String>,
        /// The testnet's folder.
        #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
        dir: PathBuf,
    },
    /// Stop the nodes; homes and logs stay.
    Down(Place),
    /// Show every nation's node, and how to work as it from a shell.
    Status(Place),
    /// Run a command as one nation: `comity testnet exec POL -- board`.
    Exec {
        #[command(flatten)]
        place: Place,
        /// The nation's code.
        nation: String,
        /// The command.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        args: Vec<String>,
    },
    /// Run a scenario on a testnet of its own, and report what was lost, what is covered and what was shown.
    Exercise(ExerciseArgs),
    /// Simulate whole alliances from a seed, with everything that goes wrong, and check what must hold.
    Sim(sim::SimArgs),
    /// Serve the links of a running testnet; `up` starts this.
    #[command(hide = true)]
    Relay {
        /// The testnet's folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

/// Which testnet.
#[derive(clap::Args, Debug)]
pub struct Place {
    /// The testnet's folder [default: ./comity-testnet if it is there, else the one last started].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What to exercise.
#[derive(clap::Args, Debug)]
pub struct ExerciseArgs {
    /// A built-in scenario or the path of a TOML file [default: largest-donor-leaves].
    #[arg(conflicts_with = "list")]
    scenario: Option<String>,
    /// List the built-in scenarios and what each shows; runs nothing.
    #[arg(long)]
    list: bool,
    /// Other nations for the scenario.
    #[arg(long, value_delimiter = ',', value_name = "CODE,...")]
    nations: Vec<String>,
    /// Run the item list of this folder instead: every donor is a node, every row a statement.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where homes and logs go and stay [default: a temporary folder].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the temporary folder.
    #[arg(long)]
    keep: bool,
    /// Another seed than the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Runs a `testnet` command; `exec` ends this process with the exit code of the command it ran.
///
/// # Errors
/// [`Failure`]: exit code 1 for an exercise that did not converge or lost something, or a simulation in which an invariant failed, 2 for what does not fit, 4 for what
/// could not be started.
pub fn run(command: &TestnetCommand, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment("cannot start").because(error.to_string()))?;
    match command {
        TestnetCommand::Up { nations, dir } => {
            let options = UpOptions { exe: exe()?, dir: dir.clone(), nations: nations.clone() };
            let state = runtime.block_on(processes::up(&options)).map_err(|error| testnet_failure(&error))?;
            remember(&state.dir);
            output.result(&state, || state.text().trim_end().to_owned());
        }
        TestnetCommand::Down(place) => {
            let stopped = runtime.block_on(processes::down(&place.dir())).map_err(|error| testnet_failure(&error))?;
            output.result(&stopped, || stopped_in_words(&stopped));
        }
        TestnetCommand::Status(place) => {
            let state = runtime.block_on(processes::status(&exe()?, &place.dir()));
            let state = state.map_err(|error| testnet_failure(&error))?;
            output.result(&state, || state.text().trim_end().to_owned());
        }
        TestnetCommand::Exec { place, nation, args } => {
            let mut args = args.clone();
            if output.json() {
                args.insert(0, "--json".to_owned());
            }
            let code = runtime.block_on(processes::exec(&exe()?, &place.dir(), nation, &args));
            std::process::exit(code.map_err(|error| testnet_failure(&error))?.into());
        }
        TestnetCommand::Exercise(args) => return exercise(args, &runtime, output),
        TestnetCommand::Sim(args) => return sim::run(args, &runtime, output),
        TestnetCommand::Relay { dir } => {
            runtime
                .block_on(relay::serve(dir))
                .map_err(|error| Failure::environment("the relays ended").because(causes(&error)))?;
        }
    }
    Ok(())
}

fn exercise(args: &ExerciseArgs, runtime: &tokio::runtime::Runtime, output: &Output) -> Result<(), Failure> {
    if args.list {
        let scenarios = Scenario::built_in().map_err(|error| exercise_failure(&error.into()))?;
        let list = ScenarioList::of(&scenarios);
        output.result(&list, || list.text());
        return Ok(());
    }
    let options = ExerciseOptions {
        exe: exe()?,
        scenario: args.scenario.clone(),
        data: args.data.clone(),
        nations: args.nations.clone(),
        seed: args.seed,
        dir: args.dir.clone(),
        keep: if args.keep { Keep::Always } else { Keep::OnFailure },
    };
    let progress = watch::Sender::new(Progress::default());
    let report = runtime.block_on(async {
        let bar = tokio::spawn(show(progress.subscribe(), output.json()));
        let report = exercise::run(&options, &progress).await;
        drop(progress);
        let _ = bar.await;
        report
    });
    let report = report.map_err(|error| exercise_failure(&error))?;
    output.result(&report, || report.text().trim_end().to_owned());
    if report.exit() == 0 {
        return Ok(());
    }
    let what = match report.converged {
        true if report.findings.iter().any(|finding| !finding.held) => "an expectation of the exercise did not hold",
        true => "the exercise went wrong",
        false => "the nodes did not converge",
    };
    Err(Failure::refused(format!("{what}; {} statements lost", report.statements_lost))
        .because(report.problems.join("; "))
        .hint("homes and logs are kept; see the report"))
}

/// Shows how far the run is, on standard error where somebody looks.
async fn show(mut progress: watch::Receiver<Progress>, is_json: bool) {
    if is_json || !std::io::stderr().is_terminal() {
        return;
    }
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} {msg} ({elapsed})").expect("the template is fixed");
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(TICK);
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        bar.set_length(now.total as u64);
        bar.set_position(now.done as u64);
        bar.set_message(format!("{}, {} statements acknowledged", now.step, now.acknowledged));
    }
    bar.finish_and_clear();
}

impl Place {
    fn dir(&self) -> PathBuf {
        let here = || PathBuf::from(DEFAULT_DIR);
        match &self.dir {
            Some(dir) => dir.clone(),
            None if here().exists() => here(),
            None => remembered().unwrap_or_else(here),
        }
    }
}

/// Returns the file that names the testnet last started by this user.
fn memory() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local").join("state")))?;
    Some(state.join("comity").join("last-testnet"))
}

/// Remembers a testnet; without a place for it the folder must be named each time.
fn remember(dir: &Path) {
    let Some(path) = memory() else { return };
    if let Some(parent) = path.parent() {
        let _ = std::fs::create_dir_all(parent);
    }
    let _ = std::fs::write(path, dir.display().to_string());
}

fn remembered() -> Option<PathBuf> {
    let dir = PathBuf::from(std::fs::read_to_string(memory()?).ok()?.trim());
    dir.exists().then_some(dir)
}

fn stopped_in_words(stopped: &Stopped) -> String {
    let mut lines = Vec::new();
    for (what, names) in
        [("stopped", &stopped.stopped), ("killed", &stopped.killed), ("not running", &stopped.not_running)]
    {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    lines.join("\n")
}

fn exe() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::environment("cannot find this program").because(error.to_string()))
}

fn testnet_failure(error: &TestnetError) -> Failure {
    failure(error, error.exit(), error.hint())
}

fn exercise_failure(error: &ExerciseError) -> Failure {
    failure(error, error.exit(), error.hint())
}

fn failure(error: &dyn std::error::Error, exit: u8, hint: Option<&str>) -> Failure {
    let exit = match exit {
        2 => Exit::Usage,
        _ => Exit::Environment,
    };
    let cause = error.source().map(causes);
    Failure { error: error.to_string(), cause, hint: hint.map(str::to_owned), exit }
}

/// Returns an error with everything behind it, on one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
