//! `comity import`: other people's data into this nation's section, as Observations only, never as anything firm (DOMAIN
//! 2.10). Every row carries an idempotency key made of its source, so running an import twice changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use comity_node::api::model::{Draft, WriteAnswer, WriteRequest};
use comity_node::client::{Client, ClientError};
use comity_testnet::fts::{FtsError, FtsFile};
use comity_testnet::kiel::{KielError, KielFile};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use crate::api::Api;
use crate::failure::Failure;
use crate::output::Output;

/// Rows written at the same time: the node commits what is in flight together.
const IN_FLIGHT: usize = 64;
/// Refusals named one by one; the rest is counted.
const REFUSALS_SHOWN: usize = 20;

/// Where data comes from.
#[derive(clap::Subcommand, Debug)]
pub enum ImportCommand {
    /// The item list of the Ukraine Support Tracker: a folder with items.csv.
    Kiel {
        /// The folder.
        folder: PathBuf,
    },
    /// Flows of OCHA's Financial Tracking Service: CSV with a hashtag row, or JSON.
    Fts {
        /// The file.
        file: PathBuf,
    },
}

/// A row that is ready to be written.
pub struct Row {
    /// The line or entry of the source.
    pub line: u64,
    /// Its idempotency key.
    pub key: String,
    /// The observation.
    pub draft: Draft,
}

/// What was read from a source.
pub struct Rows {
    /// Rows read.
    pub read: u64,
    /// Rows that become observations.
    pub rows: Vec<Row>,
    /// Rows that do not, with the reason.
    pub refused: Vec<RefusedRow>,
}

/// A row that became nothing.
#[derive(Serialize, ToSchema)]
pub struct RefusedRow {
    /// The line or entry of the source.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
pub struct Imported {
    /// The file or folder.
    source: String,
    /// Rows read: those imported, known and refused together.
    read: u64,
    /// Rows that are observations now.
    imported: u64,
    /// Rows that were imported before.
    known: u64,
    /// Rows that became nothing.
    refused: u64,
    /// Every refused row.
    refusals: Vec<RefusedRow>,
}

/// Runs an import.
///
/// # Errors
/// [`Failure`]: exit code 2 for a source that cannot be read as what it is said to be; rows already written stay written.
pub fn run(command: &ImportCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    let (source, rows) = match command {
        ImportCommand::Kiel { folder } => (folder, kiel(folder)?),
        ImportCommand::Fts { file } => (file, fts(file)?),
    };
    let mut summary = Imported {
        source: source.display().to_string(),
        read: rows.read,
        imported: 0,
        known: 0,
        refused: 0,
        refusals: rows.refused,
    };
    let bar = progress(rows.rows.len(), output);
    api.run(|client| write_all(client, rows.rows, &mut summary, &bar))?;
    bar.finish_and_clear();
    summary.refused = summary.refusals.len() as u64;
    summary.refusals.sort_by_key(|refusal| refusal.line);
    output.result(&summary, || in_words(&summary));
    Ok(())
}

/// Returns a bar on standard error for `count` steps; hidden where nobody looks.
pub fn progress(count: usize, output: &Output) -> ProgressBar {
    if output.json() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}").expect("the template is fixed");
    ProgressBar::new(count as u64).with_style(style)
}

async fn write_all(
    client: Client,
    rows: Vec<Row>,
    summary: &mut Imported,
    bar: &ProgressBar,
) -> Result<(), ClientError> {
    let client = client.with_timeout(Duration::from_secs(120));
    let mut waiting = rows.into_iter();
    let mut writing = JoinSet::new();
    loop {
        while writing.len() < IN_FLIGHT {
            let Some(row) = waiting.next() else { break };
            let client = client.clone();
            writing.spawn(async move {
                let request = WriteRequest {
                    id: Some(row.key.clone()),
                    if_version: None,
                    wait: 0,
                    timeout_ms: None,
                    draft: row.draft,
                };
                (row.line, client.post::<_, WriteAnswer>("/v1/write", Some(&row.key), &request).await)
            });
        }
        let Some(done) = writing.join_next().await else { return Ok(()) };
        let (line, answer) = done.expect("a write does not panic");
        match answer {
            Ok(answer) if answer.replayed => summary.known += 1,
            Ok(_) => summary.imported += 1,
            Err(ClientError::Refused(problem)) if problem.exit == 2 => {
                let reason = problem.cause.map_or(problem.error.clone(), |cause| format!("{}: {cause}", problem.error));
                summary.refusals.push(RefusedRow { line, reason });
            }
            Err(error) => return Err(error),
        }
        bar.inc(1);
    }
}

fn in_words(summary: &Imported) -> String {
    let mut text = format!(
        "{}: {} rows read, {} imported, {} already known, {} refused",
        summary.source, summary.read, summary.imported, summary.known, summary.refused
    );
    for refusal in summary.refusals.iter().take(REFUSALS_SHOWN) {
        text.push_str(&format!("\n  line {}: {}", refusal.line, refusal.reason));
    }
    if summary.refusals.len() > REFUSALS_SHOWN {
        text.push_str(&format!("\n  and {} more; --json lists them all", summary.refusals.len() - REFUSALS_SHOWN));
    }
    text
}

fn kiel(folder: &Path) -> Result<Rows, Failure> {
    let file = KielFile::read(folder).map_err(|error| {
        let failure = Failure::usage(error.to_string());
        let failure = match std::error::Error::source(&error) {
            Some(cause) => failure.because(cause.to_string()),
            None => failure,
        };
        match error {
            KielError::Read { .. } => failure.hint("name the folder that holds items.csv"),
            KielError::Columns { .. } => failure.hint("the columns are those of the tracker's item list, in any order"),
            _ => failure,
        }
    })?;
    let rows = file.rows.iter().map(|row| {
        // The content is part of the key: a corrected row of a later release is a new observation, not a refusal.
        self::row("kiel", row.row, &row.row.to_string(), row.observation())
    });
    Ok(Rows {
        read: file.read,
        rows: rows.collect(),
        refused: file
            .refused
            .iter()
            .map(|refused| RefusedRow { line: refused.line, reason: refused.refusal.to_string() })
            .collect(),
    })
}

fn fts(path: &Path) -> Result<Rows, Failure> {
    let file = FtsFile::read(path).map_err(|error| match &error {
        FtsError::Read { source, .. } => Failure::file("read", path, source),
        FtsError::TooLarge { .. } => Failure::usage(error.to_string()).hint("import it in pages"),
        FtsError::Json { source, .. } => Failure::usage(error.to_string())
            .because(source.to_string())
            .hint("expected the service's answer: {\"data\": {\"flows\": […]}}"),
        FtsError::Csv { source, .. } => Failure::usage(error.to_string()).because(source.to_string()),
        FtsError::Columns { .. } => {
            Failure::usage(error.to_string()).hint("expected the service's flow export with its first row of names")
        }
    })?;
    let rows = file.rows.into_iter().map(|row| self::row("fts", row.line, &row.name, row.draft));
    let refused = file.refused.iter();
    let refused = refused.map(|row| RefusedRow { line: row.line, reason: row.refusal.to_string() });
    Ok(Rows { read: file.read, rows: rows.collect(), refused: refused.collect() })
}

/// Returns a row with its idempotency key: the source, the row's number or name there, and a hash of its content.
fn row(source: &str, line: u64, name: &str, draft: comity_testnet::draft::Draft) -> Row {
    let draft = Draft { kind: draft.kind, record: draft.record, status: draft.status, fields: draft.fields };
    let content = serde_json::to_vec(&draft).expect("a draft is plain data");
    let hash = comity_protocol::ids::hex(&comity_protocol::keys::sha256(&content)[..8]);
    Row { line, key: format!("{source}:{name}:{hash}"), draft }
}
