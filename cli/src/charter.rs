//! `comity charter`: who belongs to the alliance, how it came to be so, and the file that carries it to the root keys.

mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use comity_node::api::model::{CharterExport, CharterState};
use comity_node::home::Home;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::control;
use crate::failure::Failure;
use crate::found::charter;
use crate::found::file;
use crate::found::motion::Source;
use crate::output::{Output, now};
use crate::table::counted;

/// Who belongs to the alliance, and how that is decided.
#[derive(clap::Subcommand, Debug)]
pub enum CharterCommand {
    /// Write what this node knows into a file, for the offline tool: records, and which chains it holds whole.
    Export {
        /// Where to write the charter file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take the records of charter files into this node, as a member's node wrote them.
    Import {
        /// The charter files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show who belongs, under which roots, who was removed, and whether anything is wrong.
    Show {
        #[command(flatten)]
        source: Source,
    },
    /// Show every version of the charter, and what made it.
    History {
        #[command(flatten)]
        source: Source,
    },
    /// Show how many more losses there may be until the membership cannot change.
    Health {
        #[command(flatten)]
        source: Source,
    },
}

/// A charter file that was written.
#[derive(Serialize, ToSchema)]
pub struct CharterExported {
    /// The file.
    file: String,
    /// Id of the alliance.
    alliance: String,
    /// Control records in it.
    records: usize,
    /// Chains that the node holds whole, up to the positions named.
    held: usize,
}

/// Runs a `charter` command.
///
/// # Errors
/// [`Failure`]; nothing is overwritten.
pub fn run(home: Result<Home, Failure>, command: &CharterCommand, output: &Output) -> Result<(), Failure> {
    let (source, text): (&Source, fn(&CharterState) -> String) = match command {
        CharterCommand::Export { out } => return export(&home?, out, output),
        CharterCommand::Import { files } => return control::import(&home?, files, output),
        CharterCommand::Show { source } => (source, words::shown),
        CharterCommand::History { source } => (source, words::history),
        CharterCommand::Health { source } => (source, words::health),
    };
    let state: CharterState = match &source.charter {
        Some(path) => {
            let file = charter::load(path)?;
            file.charter()?;
            comity_node::answers::charter::charter(&file.state, &file.heard, now()).expect("there is a charter")
        }
        None => Api::of(&home?)?.run(|client| async move { client.get("/v1/charter", &[]).await })?,
    };
    output.result(&state, || text(&state));
    Ok(())
}

/// Returns a charter in words, as `charter show` prints it.
pub fn in_words(charter: &CharterState) -> String {
    words::shown(charter)
}

/// Asks the node for what a charter file holds.
///
/// # Errors
/// [`Failure`], exit code 3 where no node answers.
pub fn ask(home: &Home) -> Result<CharterExport, Failure> {
    Api::of(home)?.run(|client| async move { client.get("/v1/charter/export", &[]).await })
}

fn export(home: &Home, out: &Path, output: &Output) -> Result<(), Failure> {
    file::check_free(out)?;
    let export = ask(home)?;
    charter::save(out, &export)?;
    let written = CharterExported {
        file: out.display().to_string(),
        alliance: export.alliance.clone(),
        records: export.records.len(),
        held: export.held.iter().map(|whole| (&whole.nation, &whole.node)).collect::<BTreeSet<_>>().len(),
    };
    output.result(&written, || {
        let records = counted(written.records as u64, "control record");
        format!("{records} in {}, and how far this node holds {}", written.file, counted(written.held as u64, "chain"))
    });
    Ok(())
}
