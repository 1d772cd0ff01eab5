//! `comity node run`: the daemon.

use std::io::IsTerminal as _;
use std::time::Duration;

use comity_node::api::model::Status;
use comity_node::config::{Config, ConfigError, Flags, LogFormat, ShownSetting};
use comity_node::home::Home;
use comity_node::run::RunError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Between two looks at how far behind the node is.
const LOOK: Duration = Duration::from_millis(500);
/// Envelopes behind below which no bar is worth its flicker.
const BEHIND_SHOWN_MIN: u64 = 1_000;

/// Options of `comity node run`; each also stands in comity.toml.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// Listen here for other nodes; may stand several times.
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<String>,
    /// Dial this node, with KEY@ in front where its key is known; may stand several times.
    #[arg(long = "peer", value_name = "[KEY@]MULTIADDR")]
    pub peers: Vec<String>,
    /// What to log: a level, or a filter such as comity_node=debug [env: COMITY_LOG].
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Log as JSON lines.
    #[arg(long)]
    pub log_json: bool,
    /// Print the configuration in effect and where each value came from, and do not start.
    #[arg(long)]
    pub print_config: bool,
}

/// The configuration in effect.
#[derive(Serialize, ToSchema)]
pub struct Settings {
    /// Every setting, in the order of comity.toml.
    settings: Vec<ShownSetting>,
}

/// Runs the node until it is told to stop.
///
/// # Errors
/// [`Failure`]; nothing acknowledged is lost.
pub fn run(home: &Home, args: &RunArgs, output: &Output) -> Result<(), Failure> {
    let flags = Flags {
        listen: args.listen.clone(),
        peers: args.peers.clone(),
        log: args.log.clone(),
        log_format: args.log_json.then_some(LogFormat::Json),
    };
    let config = Config::load(home.path(), |name| std::env::var_os(name), &flags)?;
    if args.print_config {
        output.result(&Settings { settings: config.shown() }, || config.print().trim_end().to_owned());
        return Ok(());
    }
    if std::io::stderr().is_terminal() && !args.log_json {
        show_catch_up(home.clone());
    }
    comity_node::logging::start(&config).map_err(|error| Failure::environment(error.to_string()))?;
    Ok(comity_node::run::run(home, &config)?)
}

/// Shows a bar on the terminal while peers are known to hold more than this node does.
///
/// It asks over the socket, as anybody could, so that the node itself knows nothing of terminals; it ends with the process.
fn show_catch_up(home: Home) {
    let watch = move || {
        let Ok(api) = Api::of(&home) else { return };
        let style = ProgressStyle::with_template("catching up {wide_bar} {pos}/{len} envelopes {eta}");
        let bar = ProgressBar::hidden().with_style(style.expect("the template is fixed"));
        loop {
            std::thread::park_timeout(LOOK);
            let Ok(status) = api.run(|client| async move { client.get::<Status>("/v1/status", &[]).await }) else {
                continue;
            };
            let behind = status.peers.iter().filter(|peer| peer.connected).map(|peer| peer.lag.behind).max();
            match behind.filter(|behind| *behind >= BEHIND_SHOWN_MIN || !bar.is_hidden() && *behind > 0) {
                Some(behind) => {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.set_length(status.envelopes + behind);
                    bar.set_position(status.envelopes);
                }
                None if !bar.is_hidden() => {
                    bar.finish_and_clear();
                    bar.set_draw_target(ProgressDrawTarget::hidden());
                    bar.reset();
                }
                None => {}
            }
        }
    };
    // Without the thread there is no bar, and nothing else is missing.
    drop(std::thread::Builder::new().name("catch-up".to_owned()).spawn(watch));
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let hint = Some("`comity node run --print-config` shows every key in effect".to_owned());
        Self { error: error.to_string(), cause, hint, exit: Exit::Usage }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        crate::home::failure(&error, error.hint(), error.blame())
    }
}
