//! `comity charter`: who belongs to the alliance, how it came to be so, and the file that carries it to the root keys.

use std::path::{Path, PathBuf};

use comity_node::api::model::CharterExport;
use comity_node::home::Home;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::control;
use crate::failure::Failure;
use crate::found::charter;
use crate::found::file;
use crate::output::Output;
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
pub fn run(home: &Home, command: &CharterCommand, output: &Output) -> Result<(), Failure> {
    match command {
        CharterCommand::Export { out } => export(home, out, output),
        CharterCommand::Import { files } => control::import(home, files, output),
    }
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
        held: export.held.len(),
    };
    output.result(&written, || {
        let records = counted(written.records as u64, "control record");
        format!("{records} and {} in {}", counted(written.held as u64, "position held whole"), written.file)
    });
    Ok(())
}
