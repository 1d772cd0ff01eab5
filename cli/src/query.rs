//! Commands that ask the node and print what it answers.

mod aid;
mod node;
mod resilience;
mod source;

pub use node::said_lines;
pub use source::Source;

use std::path::PathBuf;

use comity_node::answers::export::Form;
use comity_node::api::model::Change;
use comity_protocol::message::pack::Packed;
use comity_protocol::statement::visible;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::bundle::Asked;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::{dash, short};

/// Commands that only read.
#[derive(clap::Subcommand, Debug)]
pub enum Query {
    /// Show this node: who it is, what it holds, whom it reaches.
    Status,
    /// What an archive can be asked for as well.
    #[command(flatten)]
    Record(RecordQuery),
    /// Follow what changes, one line each, until interrupted.
    Watch {
        /// Stop after this many changes.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Write the record out.
    Export {
        /// JSON lines of every statement, CSV tables, or an audit bundle of every record.
        #[arg(value_enum)]
        format: ExportFormat,
        #[command(flatten)]
        as_of: AsOf,
        /// Into this file instead of standard output; a bundle always needs one.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// In a bundle, every signature held, and not only those that attest the chains.
        #[arg(long)]
        all_signatures: bool,
        /// Have this node sign the bundle.
        #[arg(long)]
        sign: bool,
    },
}

/// Commands that read the record, wherever it is kept.
#[derive(clap::Subcommand, Debug)]
pub enum RecordQuery {
    /// Show the alliance's nations and their nodes.
    Nations,
    /// Show the newest envelopes.
    Log {
        /// Only this nation's, by code.
        #[arg(long, value_name = "CODE")]
        nation: Option<String>,
        /// Only what stands so, with what it says: accepted, suspended, disavowed, post-removal, unlinked, waiting or void.
        #[arg(long, value_name = "STANDING")]
        standing: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one statement: its latest version, its history, who refers to it.
    Show {
        /// CODE/kind/id, any unique prefix of it, or …@version.
        reference: String,
        #[command(flatten)]
        as_of: AsOf,
    },
    /// Say why a statement or an envelope stands as it does.
    Explain {
        /// CODE/kind/id, any unique prefix of it, or the first digits of an envelope id.
        reference: String,
        #[command(flatten)]
        as_of: AsOf,
    },
    /// Show every requirement with its cover and its pledges.
    Board {
        #[command(flatten)]
        as_of: AsOf,
    },
    /// Show what is missing.
    Gaps {
        #[command(flatten)]
        as_of: AsOf,
        /// Also show requirements without a gap.
        #[arg(long)]
        all: bool,
    },
    /// Show what breaks if a nation, a hub or two together drop out.
    Resilience {
        #[command(flatten)]
        as_of: AsOf,
        /// How many rows of each table.
        #[arg(long, value_name = "N", default_value_t = 10)]
        top: usize,
    },
    /// Show every conflict and warning, and who can clear it.
    Flags {
        #[command(flatten)]
        as_of: AsOf,
    },
}

/// The moment a view is computed for.
#[derive(clap::Args, Debug, Clone)]
pub struct AsOf {
    /// Compute for this moment (RFC 3339, or a day: its end) instead of now.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
}

impl AsOf {
    /// Returns the query parameter, if one was given.
    pub fn query(&self) -> Vec<(&str, &str)> {
        self.as_of.as_deref().map(|at| ("as_of", at)).into_iter().collect()
    }
}

/// What an export looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated tables.
    Csv,
    /// Every record, for an auditor: see `comity verify`.
    Bundle,
}

/// Where an export went.
#[derive(Serialize, ToSchema)]
pub struct Exported {
    /// The file.
    file: String,
    /// Its lines.
    lines: usize,
}

impl Query {
    /// Returns what is asked for if it is a bundle.
    ///
    /// # Errors
    /// [`Failure`] with exit code 2 where the options do not fit together.
    pub fn bundle(&self) -> Result<Option<Asked<'_>>, Failure> {
        let Self::Export { format, as_of, out, all_signatures, sign } = self else { return Ok(None) };
        if *format != ExportFormat::Bundle {
            return match (*all_signatures, *sign) {
                (false, false) => Ok(None),
                (true, _) | (_, true) => {
                    Err(Failure::usage("only a bundle holds signatures").hint("comity export bundle --out FILE"))
                }
            };
        }
        if as_of.as_of.is_some() {
            return Err(Failure::usage("a bundle holds everything").because("it is of no other moment than now"));
        }
        let packed = if *all_signatures { Packed::AllSignatures } else { Packed::Sparse };
        match out {
            Some(out) => Ok(Some(Asked { out, packed, sign: *sign })),
            None => Err(Failure::usage("a bundle needs a file").hint("comity export bundle --out FILE")),
        }
    }
}

/// Runs a reading command.
///
/// # Errors
/// [`Failure`].
pub fn run(query: &Query, api: &Api, output: &Output) -> Result<(), Failure> {
    match query {
        Query::Status => {
            let status = api.run(|client| async move { client.get("/v1/status", &[]).await })?;
            output.result(&status, || node::status(&status));
            Ok(())
        }
        Query::Record(query) => read(query, &Source::Node(api), output),
        Query::Watch { count } => watch(*count, api, output),
        Query::Export { format, as_of, out, .. } => export(*format, as_of, out.as_ref(), &Source::Node(api), output),
    }
}

/// Runs a command that reads the record, on a node's or on an archive.
///
/// # Errors
/// [`Failure`].
pub fn read(query: &RecordQuery, source: &Source<'_>, output: &Output) -> Result<(), Failure> {
    match query {
        RecordQuery::Nations => {
            let nations = source.nations()?;
            output.result(&nations, || source.headed(node::nations(&nations)));
        }
        RecordQuery::Log { nation, standing, limit } => {
            let log = source.log(nation.as_deref(), standing.as_deref(), *limit)?;
            output.result(&log, || source.headed(node::log(&log)));
        }
        RecordQuery::Show { reference, as_of } => {
            let shown = source.show(reference, as_of)?;
            output.result(&shown, || source.headed(aid::shown(&shown)));
        }
        RecordQuery::Explain { reference, as_of } => {
            let explained = source.explain(reference, as_of)?;
            output.result(&explained, || source.headed(aid::explanation(&explained)));
        }
        RecordQuery::Board { as_of } => {
            let board = source.board(as_of)?;
            let units = units(source, output, as_of)?;
            output.result(&board, || source.headed(aid::board(&board, &units)));
        }
        RecordQuery::Gaps { as_of, all } => {
            let gaps = source.gaps(as_of)?;
            let units = units(source, output, as_of)?;
            output.result(&gaps, || source.headed(aid::gaps(&gaps, *all, &units)));
        }
        RecordQuery::Resilience { as_of, top } => {
            let found = source.resilience(as_of)?;
            output.result(&found, || source.headed(resilience::in_words(&found, *top)));
        }
        RecordQuery::Flags { as_of } => {
            let flags = source.flags(as_of)?;
            output.result(&flags, || source.headed(aid::flags(&flags)));
        }
    }
    Ok(())
}

/// Asks for the units in which people typed their requirements; only text needs them.
fn units(source: &Source<'_>, output: &Output, as_of: &AsOf) -> Result<aid::Units, Failure> {
    if output.json() {
        return Ok(aid::Units::new());
    }
    Ok(aid::units(&source.list("requirement", as_of)?))
}

/// Prints the records of one kind.
///
/// # Errors
/// [`Failure`].
pub fn list(kind: &str, as_of: &AsOf, source: &Source<'_>, output: &Output) -> Result<(), Failure> {
    let listing = source.list(kind, as_of)?;
    output.result(&listing, || source.headed(aid::listing(&listing)));
    Ok(())
}

/// Prints the node's peers.
///
/// # Errors
/// [`Failure`].
pub fn peers(api: &Api, output: &Output) -> Result<(), Failure> {
    let peers = api.run(|client| async move { client.get("/v1/peers", &[]).await })?;
    output.result(&peers, || node::peers(&peers));
    Ok(())
}

/// Writes the statements of the record out.
///
/// # Errors
/// [`Failure`].
pub fn export(
    format: ExportFormat,
    as_of: &AsOf,
    out: Option<&PathBuf>,
    source: &Source<'_>,
    output: &Output,
) -> Result<(), Failure> {
    let form = match format {
        ExportFormat::Jsonl => Form::JsonLines,
        ExportFormat::Csv => Form::Csv,
        // Not reached with a node: `Query::bundle` takes it first.
        ExportFormat::Bundle => return Err(Failure::usage("a bundle is written by `comity export bundle --out`")),
    };
    let text = source.export(form, as_of)?;
    match out {
        None => output.text(&text),
        Some(path) => {
            std::fs::write(path, &text).map_err(|error| Failure::file("write", path, &error))?;
            let exported = Exported { file: path.display().to_string(), lines: text.lines().count() };
            output.result(&exported, || format!("{} lines in {}", exported.lines, exported.file));
        }
    }
    Ok(())
}

fn watch(count: Option<u64>, api: &Api, output: &Output) -> Result<(), Failure> {
    api.run(|client| async move {
        let mut events = client.watch().await?;
        let mut left = count;
        while left != Some(0) {
            let Some(change) = events.next().await? else { break };
            output.result(&change, || change_line(&change));
            left = left.map(|left| left - 1);
        }
        Ok(())
    })
}

fn change_line(change: &Change) -> String {
    let subject = if change.records.is_empty() { dash(change.detail.as_deref()) } else { change.records.join(" ") };
    let who = dash(change.nation.as_deref());
    let envelope = change.envelope.as_deref().map(short).unwrap_or_default();
    format!("{}  {:<10} {who:<4} {envelope:<10}  {}", change.at, change.event, visible(&subject))
}
