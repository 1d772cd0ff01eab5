//! The command line as clap knows it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::archive::ArchiveArgs;
use crate::bench::BenchArgs;
use crate::bundle::VerifyArgs;
use crate::charter::CharterCommand;
use crate::courier::CourierCommand;
use crate::decision::DecisionCommand;
use crate::forks::{ForksCommand, RestateArgs};
use crate::found::genesis::GenesisCommand;
use crate::found::motion::MotionCommand;
use crate::found::root::RootCommand;
use crate::found::roster::RosterCommand;
use crate::found::vote::VoteCommand;
use crate::guards::{ConfirmArgs, RestoreArgs};
use crate::home::InitArgs;
use crate::import::ImportCommand;
use crate::output::Color;
use crate::query::Query;
use crate::run::RunArgs;
use crate::testnet::TestnetCommand;

/// The aid-coordination record without a coordinator.
#[derive(Parser, Debug)]
#[command(name = "comity", version, propagate_version = true, max_term_width = 100)]
pub struct Args {
    /// This node's folder [default: $XDG_DATA_HOME/comity].
    #[arg(long, global = true, env = "COMITY_HOME", hide_env_values = true, value_name = "DIR")]
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
    /// Who belongs to the alliance, and how that is decided.
    #[command(subcommand)]
    Charter(CharterCommand),
    /// Proposals to change the membership.
    #[command(subcommand)]
    Motion(MotionCommand),
    /// A nation's votes on a motion, signed offline.
    #[command(subcommand)]
    Vote(VoteCommand),
    /// Make the home of a new node.
    Init(InitArgs),
    /// The node itself.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Show this node's peers, or change them.
    Peers {
        /// What to change; without it the peers are shown.
        #[command(subcommand)]
        command: Option<PeersCommand>,
    },
    /// Decisions by silence: what nobody objects to in time stands.
    #[command(subcommand)]
    Decision(DecisionCommand),
    /// Show what was said twice: by a node, by a root key that signed rosters, by the members that seal motions.
    Forks {
        /// What to do with one of them; without it all are listed.
        #[command(subcommand)]
        command: Option<ForksCommand>,
    },
    /// State anew what waits for ever since a key was cut.
    Restate(RestateArgs),
    /// Take other people's data into this nation's section, as observations only.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Check an audit bundle: offline, with no key and no node.
    Verify(VerifyArgs),
    /// The record of the alliance that this one re-founds: kept beside the own record, read, and never changed.
    Archive(ArchiveArgs),
    /// Records on a stick between two nodes that no network links.
    #[command(subcommand)]
    Courier(CourierCommand),
    /// Measure what the product costs, against baselines of the same run.
    Bench(BenchArgs),
    /// Print the shell's completions.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the command reference into a folder: commands.md and schema.json.
    #[command(hide = true)]
    Reference {
        /// The folder.
        folder: PathBuf,
        /// Also write the manual pages, below man.
        #[arg(long)]
        man: bool,
    },
    /// An alliance of real nodes on this machine, and exercises on it.
    #[command(subcommand)]
    Testnet(TestnetCommand),
    /// A command that only reads.
    #[command(flatten)]
    Query(Query),
}

/// Static peers: addresses this node dials.
#[derive(Subcommand, Debug)]
pub enum PeersCommand {
    /// Dial this address from now on.
    Add {
        /// A multiaddress such as /ip4/192.0.2.7/tcp/7400, or host:port.
        address: String,
        /// The key that must answer there, 64 hexadecimal digits.
        #[arg(long, value_name = "KEY")]
        node: Option<String>,
    },
    /// Dial this address no more.
    Remove {
        /// The address as `peers` shows it, or host:port.
        address: String,
    },
}

/// The node itself.
#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// Run the node until SIGTERM or Ctrl-C.
    Run(RunArgs),
    /// Check that the store still says what was written into it; also beside a running node.
    Check {
        /// Hash every record again and check every signature.
        #[arg(long)]
        deep: bool,
        /// Check this backup instead of the home's store.
        #[arg(long, value_name = "FILE")]
        backup: Option<PathBuf>,
    },
    /// Copy the record into a new file, without keys; also beside a running node.
    Backup {
        /// The file to write; it must not be there yet.
        file: PathBuf,
    },
    /// Put a backup in the place of the store; the node then writes nothing until `confirm`.
    Restore(RestoreArgs),
    /// Let a restored or stopped node write again: shows what it would adopt, and adopts it with --adopt.
    Confirm(ConfirmArgs),
}
