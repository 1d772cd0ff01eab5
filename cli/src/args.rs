//! The command line as clap knows it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::found::genesis::GenesisCommand;
use crate::found::root::RootCommand;
use crate::found::roster::RosterCommand;
use crate::output::Color;

/// The aid-coordination record without a coordinator.
#[derive(Parser, Debug)]
#[command(name = "comity", version, propagate_version = true, max_term_width = 100)]
pub struct Args {
    /// This node's folder [default: $XDG_DATA_HOME/comity].
    #[arg(long, global = true, env = "COMITY_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour text.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command that is not a statement kind.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Offline root keys.
    #[command(subcommand)]
    Root(RootCommand),
    /// The record that founds an alliance (offline).
    #[command(subcommand)]
    Genesis(GenesisCommand),
    /// A nation's list of node keys.
    #[command(subcommand)]
    Roster(RosterCommand),
}
