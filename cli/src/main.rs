//! The `comity` binary: every operator verb, the node, and the laboratory.

mod args;
mod failure;
mod found;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json, args.color);
    match run(&args, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match &args.command {
        Command::Root(command) => found::root::run(command, output),
        Command::Genesis(command) => found::genesis::run(command, output),
        Command::Roster(command) => found::roster::run(command, output),
    }
}
