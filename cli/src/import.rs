//! `comity import`: other people's data into this nation's section, as Observations only, never as anything firm (DOMAIN
//! 2.10); of places, templates that the host nation adopts.
//!
//! A file is read twice, row by row in bounded memory: once to the end before anything is written, so that a file that is not
//! what it is said to be, or that was cut, writes nothing; then again, each row with an idempotency key made of its source and
//! content, so that running an import twice changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use comity_node::api::model::{Draft, Status, WriteAnswer, WriteRequest};
use comity_node::client::{Client, ClientError};
use comity_testnet::formats::{Found, RefusedRow, Row, Rows, Source, SourceError, fts, hubs, hxl, iati, sums};
use comity_testnet::kiel::{ITEMS_FILE, KielError, KielFile, KielRow};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use crate::api::Api;
use crate::failure::Failure;
use crate::output::Output;

/// Rows written at the same time: the node commits what is in flight together.
const IN_FLIGHT: usize = 64;
/// Rows named one by one on a terminal; the rest is counted.
const NAMED_SHOWN: usize = 20;
/// Rows named one by one in JSON; the rest is counted.
const NAMED_MAX: usize = 10_000;

/// Where data comes from.
#[derive(clap::Subcommand, Debug)]
pub enum ImportCommand {
    /// The Ukraine Support Tracker: a folder with items.csv, or with data_explorer.csv of the later releases.
    Kiel {
        /// The folder.
        folder: PathBuf,
        /// Only say what would be imported.
        #[arg(long)]
        dry_run: bool,
    },
    /// Flows of OCHA's Financial Tracking Service: CSV with or without a hashtag row, or JSON.
    Fts(FileArgs),
    /// A table with a row of hashtags (HXL), such as who does what where.
    Hxl(FileArgs),
    /// Activities of IATI version 2: each transaction.
    Iati(FileArgs),
    /// Airports, sea ports or border crossings: lists them, or adopts those on own ground as hubs.
    Hubs {
        /// The file.
        file: PathBuf,
        /// The code of a place to adopt; may be given more than once.
        #[arg(long, value_name = "CODE", conflicts_with = "adopt_all")]
        adopt: Vec<String>,
        /// Adopt every place on own ground.
        #[arg(long)]
        adopt_all: bool,
    },
}

/// A file to import.
#[derive(clap::Args, Debug)]
pub struct FileArgs {
    /// The file.
    file: PathBuf,
    /// Only say what would be imported.
    #[arg(long)]
    dry_run: bool,
}

/// What an import did.
#[derive(Default, Serialize, ToSchema)]
pub struct Imported {
    /// The file or folder.
    source: String,
    /// The encoding its text was read in.
    encoding: String,
    /// Whether nothing was written because only the outcome was asked for.
    dry_run: bool,
    /// Rows read: those imported, known and refused together.
    read: u64,
    /// Rows that are statements now, or would be.
    imported: u64,
    /// Rows that were imported before; none is known as such in a dry run.
    known: u64,
    /// Rows imported without a part that was not understood.
    flagged: u64,
    /// Rows that became nothing.
    refused: u64,
    /// The first 10,000 flags of rows, with their lines.
    flags: Vec<RefusedRow>,
    /// The first 10,000 refused rows, ascending by line.
    refusals: Vec<RefusedRow>,
}

impl Imported {
    fn refuse(&mut self, row: RefusedRow) {
        self.refused += 1;
        if self.refusals.len() < NAMED_MAX {
            self.refusals.push(row);
        }
    }

    fn flag(&mut self, row: &Row) {
        self.flagged += u64::from(!row.flags.is_empty());
        let free = NAMED_MAX - self.flags.len();
        self.flags
            .extend(row.flags.iter().take(free).map(|reason| RefusedRow { line: row.line, reason: reason.clone() }));
    }
}

/// The places of a list, and what was adopted.
#[derive(Serialize, ToSchema)]
pub struct HubTemplates {
    /// The file.
    source: String,
    /// Places of the list.
    places: Vec<hubs::Template>,
    /// Entries that are no place.
    refusals: Vec<RefusedRow>,
    /// Codes of the places that are hubs of this nation now.
    adopted: Vec<String>,
    /// Codes of those that were adopted before.
    known: Vec<String>,
}

/// Runs an import.
///
/// # Errors
/// [`Failure`]: exit code 2 for a source that cannot be read to its end as what it is said to be, with nothing written; of one
/// that changes while it is read, rows already written stay written.
pub fn run(command: &ImportCommand, api: &Api, output: &Output) -> Result<(), Failure> {
    match command {
        ImportCommand::Kiel { folder, dry_run } => {
            let sums = folder.join(sums::SUMS_FILE);
            if !folder.join(ITEMS_FILE).exists() && sums.exists() {
                return import(&sums, *dry_run, sums::read, api, output);
            }
            import_rows(folder, "UTF-8", *dry_run, || items(folder), api, output)
        }
        ImportCommand::Fts(args) => import(&args.file, args.dry_run, fts::read, api, output),
        ImportCommand::Hxl(args) => import(&args.file, args.dry_run, hxl::read, api, output),
        ImportCommand::Iati(args) => import(&args.file, args.dry_run, iati::read, api, output),
        ImportCommand::Hubs { file, adopt, adopt_all } => adopt_hubs(file, adopt, *adopt_all, api, output),
    }
}

fn import(
    path: &Path,
    dry_run: bool,
    read: fn(&Source) -> Result<Rows, SourceError>,
    api: &Api,
    output: &Output,
) -> Result<(), Failure> {
    let source = Source::open(path)?;
    import_rows(path, source.encoding(), dry_run, || Ok(read(&source)?), api, output)
}

fn import_rows(
    path: &Path,
    encoding: &str,
    dry_run: bool,
    read: impl Fn() -> Result<Rows, Failure>,
    api: &Api,
    output: &Output,
) -> Result<(), Failure> {
    let mut summary =
        Imported { source: path.display().to_string(), encoding: encoding.to_owned(), dry_run, ..Imported::default() };
    for found in read()? {
        summary.read += 1;
        match found? {
            Found::Row(row) => summary.flag(&row),
            Found::Refused(row) => summary.refuse(row),
        }
    }
    if dry_run {
        summary.imported = summary.read - summary.refused;
    } else {
        let count = usize::try_from(summary.read - summary.refused).unwrap_or(usize::MAX);
        let bar = progress(count, output);
        let mut changed = None;
        let rows = read()?.map_while(|found| found.map_err(|error| changed = Some(error)).ok());
        let rows = rows.filter_map(|found| match found {
            Found::Row(row) => Some(row),
            Found::Refused(_) => None,
        });
        api.run(|client| write_all(client, rows, &mut summary, &bar))?;
        bar.finish_and_clear();
        if let Some(error) = changed {
            return Err(Failure::from(error).hint("the file changed while it was read; run the import again"));
        }
    }
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
    mut waiting: impl Iterator<Item = Row>,
    summary: &mut Imported,
    bar: &ProgressBar,
) -> Result<(), ClientError> {
    let client = client.with_timeout(Duration::from_secs(120));
    let mut writing = JoinSet::new();
    loop {
        while writing.len() < IN_FLIGHT {
            let Some(row) = waiting.next() else { break };
            let client = client.clone();
            writing.spawn(async move { (row.line, write(&client, &row).await) });
        }
        let Some(done) = writing.join_next().await else { return Ok(()) };
        let (line, answer) = done.expect("a write does not panic");
        match answer {
            Ok(answer) if answer.replayed => summary.known += 1,
            Ok(_) => summary.imported += 1,
            Err(ClientError::Refused(problem)) if problem.exit == 2 => {
                let reason = problem.cause.map_or(problem.error.clone(), |cause| format!("{}: {cause}", problem.error));
                summary.refuse(RefusedRow { line, reason });
            }
            Err(error) => return Err(error),
        }
        bar.inc(1);
    }
}

async fn write(client: &Client, row: &Row) -> Result<WriteAnswer, ClientError> {
    let from = row.draft.clone();
    let draft = Draft { kind: from.kind, record: from.record, status: from.status, fields: from.fields };
    let request = WriteRequest { id: Some(row.key.clone()), if_version: None, wait: 0, timeout_ms: None, draft };
    client.post("/v1/write", Some(&row.key), &request).await
}

fn in_words(summary: &Imported) -> String {
    let Imported { source, read, imported, known, flagged, refused, .. } = summary;
    let become_ = if summary.dry_run { "would be imported" } else { "imported" };
    let mut text = format!(
        "{source}: {read} rows read, {imported} {become_} ({flagged} flagged), {known} already known, {refused} refused"
    );
    if summary.encoding != "UTF-8" {
        text.push_str(&format!("\n  its text was read as {}", summary.encoding));
    }
    for (what, count, rows) in
        [("flagged", summary.flags.len() as u64, &summary.flags), ("refused", *refused, &summary.refusals)]
    {
        for row in rows.iter().take(NAMED_SHOWN) {
            text.push_str(&format!("\n  line {}, {what}: {}", row.line, row.reason));
        }
        if let Some(more) = count.checked_sub(NAMED_SHOWN as u64).filter(|more| *more > 0) {
            text.push_str(&format!("\n  and {more} more {what}; --json names them"));
        }
    }
    text
}

/// Lists the places of a file, or adopts some as hubs of this nation.
fn adopt_hubs(file: &Path, codes: &[String], all: bool, api: &Api, output: &Output) -> Result<(), Failure> {
    let read = hubs::read(&Source::open(file)?)?;
    let mut answer = HubTemplates {
        source: file.display().to_string(),
        places: read.places,
        refusals: read.refused,
        adopted: Vec::new(),
        known: Vec::new(),
    };
    if all || !codes.is_empty() {
        let status: Status = api.run(|client| async move { client.get("/v1/status", &[]).await })?;
        let own = |place: &&hubs::Template| place.countries.contains(&status.nation);
        let mut chosen: Vec<&hubs::Template> = answer.places.iter().filter(own).collect();
        if !all {
            chosen.retain(|place| codes.contains(&place.code));
            let missing: Vec<&str> = codes
                .iter()
                .filter(|code| !chosen.iter().any(|place| place.code == **code))
                .map(String::as_str)
                .collect();
            if !missing.is_empty() {
                return Err(Failure::usage(format!("{} of {} cannot be adopted", missing.join(", "), file.display()))
                    .because(format!("the list has no such place on the ground of {}", status.nation))
                    .hint("without --adopt the command lists the places; only their host nation adopts them"));
            }
        }
        let rows: Vec<(String, Row)> = chosen.iter().map(|place| (place.code.clone(), place.adopted())).collect();
        for (code, row) in rows {
            let written: WriteAnswer = api.run(|client| async move { write(&client, &row).await })?;
            if written.replayed { answer.known.push(code) } else { answer.adopted.push(code) }
        }
    }
    output.result(&answer, || templates_in_words(&answer, all || !codes.is_empty()));
    Ok(())
}

fn templates_in_words(answer: &HubTemplates, adopting: bool) -> String {
    let mut text = format!("{}: {} places, {} refused", answer.source, answer.places.len(), answer.refusals.len());
    if adopting {
        text.push_str(&format!("; {} adopted, {} adopted before", answer.adopted.len(), answer.known.len()));
    } else {
        for place in &answer.places {
            let countries = place.countries.join(" ");
            text.push_str(&format!("\n  {:12} {:8} {countries:8} {}", place.code, place.hub_kind, place.name));
        }
    }
    for row in answer.refusals.iter().take(NAMED_SHOWN) {
        text.push_str(&format!("\n  line {}, refused: {}", row.line, row.reason));
    }
    text
}

/// Reads the item list of a folder.
fn items(folder: &Path) -> Result<Rows, Failure> {
    let file = KielFile::read(folder).map_err(|error| {
        let failure = Failure::usage(error.to_string());
        let failure = match std::error::Error::source(&error) {
            Some(cause) => failure.because(cause.to_string()),
            None => failure,
        };
        match error {
            KielError::Read { .. } => {
                failure.hint(format!("name the folder that holds {ITEMS_FILE} or {}", sums::SUMS_FILE))
            }
            KielError::Columns { .. } => failure.hint("the columns are those of the tracker's item list, in any order"),
            KielError::TooManyRows { .. } | KielError::NoRows { .. } | KielError::TooManyDonors { .. } => failure,
        }
    })?;
    let row = |row: KielRow| Row::new("kiel", row.row, &row.row.to_string(), row.observation(), Vec::new());
    let rows = file.rows.into_iter().map(move |found| Found::Row(row(found)));
    let refused = file.refused.into_iter();
    let refused = refused.map(|row| Found::Refused(RefusedRow { line: row.line, reason: row.refusal.to_string() }));
    Ok(Box::new(rows.chain(refused).map(Ok)))
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match &error {
            SourceError::Read { path, source } => Self::file("read", path, source),
            SourceError::NotText { .. } => {
                Self::usage(error.to_string()).hint("unpack it, or save the table as CSV, and import that")
            }
            SourceError::Record { .. } => Self::usage(error.to_string())
                .because("a line that long is no row of a table, or a quotation mark is never closed")
                .hint("nothing was written; mend the file and import it again"),
            SourceError::Format { hint, .. } => Self::usage(error.to_string()).hint(*hint),
            SourceError::Broken { .. } => {
                Self::usage(error.to_string()).hint("nothing was written; get the whole file and import it again")
            }
        }
    }
}
