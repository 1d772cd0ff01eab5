//! The `comity` binary: every operator verb, the node, and the laboratory.

mod aid;
mod api;
mod archive;
mod args;
mod bench;
mod bundle;
mod charter;
mod check;
mod control;
mod decision;
mod courier;
mod failure;
mod forks;
mod found;
mod guards;
mod home;
mod import;
mod output;
mod peers;
mod query;
mod reference;
mod run;
mod table;
mod testnet;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use comity_node::store::Depth;
use comity_protocol::control::VoteStep;

use crate::api::Api;
use crate::args::{Args, Command, NodeCommand};
use crate::failure::Failure;
use crate::found::roster::RosterCommand;
use crate::found::vote::VoteCommand;
use crate::output::{Color, Output};
use crate::reference::Pages;

fn main() -> ExitCode {
    let matches = command().get_matches();
    let json = matches.get_flag("json");
    let color = matches.get_one::<Color>("color").copied().unwrap_or_default();
    let output = Output::new(json, color);
    match run(&matches, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// The whole command line: what is derived, and a verb for each kind of statement.
fn command() -> clap::Command {
    Args::command().subcommands(aid::commands())
}

fn run(matches: &clap::ArgMatches, output: &Output) -> Result<(), Failure> {
    let home = home::of(matches.get_one("home"));
    if let Some((name, kind_matches)) = matches.subcommand()
        && let Some(kind) = aid::kind_of(name)
    {
        return aid::run(kind, kind_matches, &Api::of(&home?)?, output);
    }
    let args = Args::from_arg_matches(matches).map_err(|error| Failure::usage(error.to_string()))?;
    match &args.command {
        Command::Root(command) => found::root::run(command, output),
        Command::Genesis(command) => found::genesis::run(command, output),
        Command::Roster(RosterCommand::Import { files }) => control::import(&home?, files, output),
        Command::Roster(command) => found::roster::run(command, output),
        Command::Charter(command) => charter::run(home, command, output),
        Command::Motion(command) => found::motion::run(home, command, output),
        Command::Vote(VoteCommand::Import { files }) => control::import(&home?, files, output),
        Command::Vote(VoteCommand::Support(args)) => found::vote::sign(args, VoteStep::Support, output),
        Command::Vote(VoteCommand::Seal(args)) => found::vote::sign(args, VoteStep::Seal, output),
        Command::Init(args) => home::init(&home?, args, output),
        Command::Node(NodeCommand::Run(args)) => run::run(&home?, args, output),
        Command::Node(NodeCommand::Check { deep, backup }) => {
            let depth = if *deep { Depth::Deep } else { Depth::Quick };
            match backup {
                Some(backup) => check::run(backup, depth, output),
                None => check::run(&home?.store(), depth, output),
            }
        }
        Command::Node(NodeCommand::Backup { file }) => guards::backup(&home?, file, output),
        Command::Node(NodeCommand::Restore(args)) => guards::restore(&home?, args, output),
        Command::Node(NodeCommand::Confirm(args)) => guards::confirm(args, &Api::of(&home?)?, output),
        Command::Peers { command } => peers::run(command.as_ref(), &Api::of(&home?)?, output),
        Command::Forks { command } => forks::run(matches.get_one("home"), command.as_ref(), output),
        Command::Restate(args) => forks::restate(args, &Api::of(&home?)?, output),
        Command::Bench(args) => bench::run(args, output),
        Command::Decision(command) => decision::run(command, &Api::of(&home?)?, output),
        Command::Import(command) => import::run(command, &Api::of(&home?)?, output),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut command(), "comity", &mut std::io::stdout());
            Ok(())
        }
        Command::Reference { folder, man } => {
            reference::write(folder, command(), if *man { Pages::Man } else { Pages::None })
        }
        Command::Testnet(command) => testnet::run(command, output),
        Command::Archive(args) => archive::run(&home?, args, output),
        Command::Verify(args) => bundle::verify(args, output),
        Command::Courier(command) => courier::run(command, &Api::of(&home?)?, output),
        Command::Query(query) => match query.bundle()? {
            Some(asked) => bundle::write(&home?, &asked, output),
            None => query::run(query, &Api::of(&home?)?, output),
        },
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
