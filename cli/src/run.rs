//! `comity node run`: the daemon.

use comity_node::config::{Config, ConfigError, Flags, LogFormat};
use comity_node::home::Home;
use comity_node::run::RunError;

use crate::failure::{Exit, Failure};
use crate::output::Output;

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
        output.text(&config.print());
        return Ok(());
    }
    comity_node::logging::start(&config).map_err(|error| Failure::environment(error.to_string()))?;
    Ok(comity_node::run::run(home, &config)?)
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
