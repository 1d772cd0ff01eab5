//! `comity archive`: the record of the alliance that this one re-founds, kept beside the node's own and never changed.
//!
//! An archive is an audit bundle in the home. It is audited when it is put there and again whenever it is read; no node holds
//! it, and nothing of it enters this alliance's evaluation (spec 4.5.1). People refer to what stands in it by alliance and record.

mod keep;

use std::path::PathBuf;

use comity_node::answers;
use comity_node::api::Refusal;
use comity_node::api::model::rfc3339;
use comity_node::driver::{Outlook, as_of};
use comity_node::home::Home;
use comity_protocol::bundle::{Audited, Sealed};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AllianceId, Timestamp};
use comity_protocol::statement::visible;
use serde::Serialize;
use utoipa::ToSchema;

use crate::bundle::audit;
use crate::charter;
use crate::failure::Failure;
use crate::output::Output;
use crate::query::{self, AsOf, ExportFormat, RecordQuery, Source};
use crate::table::{Column, number, short, table};

/// The record of an alliance that was re-founded, to be read and never changed.
#[derive(clap::Args, Debug)]
pub struct ArchiveArgs {
    /// Which archive to read, by the first digits of its alliance's id; the parent's if left out.
    #[arg(long, value_name = "ALLIANCE")]
    of: Option<String>,
    /// What to do.
    #[command(subcommand)]
    command: ArchiveCommand,
}

/// What to do with archives.
#[derive(clap::Subcommand, Debug)]
pub enum ArchiveCommand {
    /// Audit a bundle of the parent alliance, or of its parent, and keep a copy of it in this home.
    Add {
        /// The bundle, as `comity export bundle` wrote it.
        bundle: PathBuf,
        /// Put it in the place of an archive that it holds everything of.
        #[arg(long)]
        replace: bool,
        /// Keep it although something is missing that a witness acknowledged.
        #[arg(long)]
        allow_omissions: bool,
    },
    /// Audit every archive again and show what it holds.
    List,
    /// Every command that reads a record.
    #[command(flatten)]
    Record(RecordQuery),
    /// Show every statement of one kind.
    Records {
        /// The kind, such as pledge.
        kind: String,
        #[command(flatten)]
        as_of: AsOf,
    },
    /// Show who belonged to the alliance when the archive was made, and whether anything was wrong.
    Charter,
    /// Write the archived statements out.
    Export {
        /// JSON lines of every statement, or CSV tables.
        #[arg(value_enum)]
        format: ExportFormat,
        #[command(flatten)]
        as_of: AsOf,
        /// Into this file instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// The archives of a home.
#[derive(Serialize, ToSchema)]
pub struct Archives {
    /// By alliance.
    archives: Vec<ArchiveRow>,
}

/// One archive.
#[derive(Serialize, ToSchema)]
pub struct ArchiveRow {
    /// Id of the alliance.
    alliance: String,
    /// Whether it is as it was written, every signature and link in it holds, and what was published agrees with it.
    sound: bool,
    /// What is wrong with it.
    problem: Option<String>,
    /// Name of the alliance; empty where it cannot be read.
    name: String,
    /// Id of its last charter version in the bundle; `null` where it cannot be read.
    charter: Option<String>,
    /// Height of that version.
    height: u32,
    /// Codes of its members by that version.
    nations: Vec<String>,
    /// Whether two motions were sealed for one version of it.
    conflict: bool,
    /// Statements in it.
    statements: u64,
    /// Envelopes in it.
    envelopes: u64,
    /// What a witness acknowledged and the bundle lacks.
    omissions: u64,
    /// When the bundle was exported, as it says; `null` where it cannot be read.
    created: Option<String>,
    /// The file; read-only.
    file: String,
}

/// Runs an `archive` command; no node need run, but to `add` beside a running one.
///
/// # Errors
/// [`Failure`]; nothing is overwritten but by `add --replace`.
pub fn run(home: &Home, args: &ArchiveArgs, output: &Output) -> Result<(), Failure> {
    let opened = || Opened::of(home, args.of.as_deref());
    match &args.command {
        ArchiveCommand::Add { bundle, replace, allow_omissions } => {
            let wanted = keep::Wanted { replace: *replace, allow_omissions: *allow_omissions };
            let archives = Archives { archives: vec![keep::add(home, bundle, wanted)?] };
            output.result(&archives, || in_words(&archives));
            Ok(())
        }
        ArchiveCommand::List => list(home, output),
        ArchiveCommand::Record(query) => query::read(query, &Source::Archive(&opened()?), output),
        ArchiveCommand::Records { kind, as_of } => query::list(kind, as_of, &Source::Archive(&opened()?), output),
        ArchiveCommand::Charter => {
            let opened = opened()?;
            let state = opened.state();
            let heard = answers::charter::last_heard(state);
            let shown = answers::charter::charter(state, &heard, opened.created)
                .ok_or_else(|| Failure::refused("the archive reaches no charter"))?;
            output.result(&shown, || format!("{}\n{}", opened.heading(), charter::in_words(&shown)));
            Ok(())
        }
        ArchiveCommand::Export { format: ExportFormat::Bundle, .. } => {
            Err(Failure::usage("an archive is a bundle already").hint("copy its file, see `comity archive list`"))
        }
        ArchiveCommand::Export { format, as_of, out } => {
            query::export(*format, as_of, out.as_ref(), &Source::Archive(&opened()?), output)
        }
    }
}

fn list(home: &Home, output: &Output) -> Result<(), Failure> {
    let mut archives = Archives { archives: Vec::new() };
    for (alliance, path) in keep::files(home)? {
        archives.archives.push(match audit(&path, Some(alliance)) {
            Ok((sealed, audited)) => ArchiveRow::of(&path, &sealed, &audited),
            Err(failure) => ArchiveRow::damaged(&alliance, &path, &failure),
        });
    }
    output.result(&archives, || in_words(&archives));
    match archives.archives.iter().find(|row| !row.sound) {
        None => Ok(()),
        Some(row) => Err(Failure::refused(format!("the archive in {} is not what was put there", row.file))
            .because(row.problem.clone().unwrap_or_default())
            .hint("put it aside, and add the bundle of any node of the old alliance again")),
    }
}

fn in_words(archives: &Archives) -> String {
    let rows = archives.archives.iter().map(|row| {
        vec![
            short(&row.alliance),
            visible(&row.name),
            row.height.to_string(),
            number(row.statements),
            number(row.envelopes),
            number(row.omissions),
            if row.sound { "sound".to_owned() } else { "DAMAGED".to_owned() },
            row.file.clone(),
        ]
    });
    let columns = [
        Column::Left("ALLIANCE"),
        Column::Left("NAME"),
        Column::Right("CHARTER"),
        Column::Right("STATEMENTS"),
        Column::Right("ENVELOPES"),
        Column::Right("MISSING"),
        Column::Left("STATE"),
        Column::Left("FILE"),
    ];
    table(&columns, rows.collect(), "no archive; `comity archive add BUNDLE` keeps one")
}

impl ArchiveRow {
    fn of(path: &std::path::Path, sealed: &Sealed, audited: &Audited) -> Self {
        let state = &audited.state;
        let charter = state.charter();
        let mut nations: Vec<String> = charter
            .into_iter()
            .flat_map(|charter| charter.members.values())
            .map(|member| member.code.clone())
            .collect();
        nations.sort_unstable();
        let problem = keep::differs(audited).map(|failure| failure.cause.unwrap_or(failure.error));
        Self {
            alliance: state.anchor().alliance.hex(),
            sound: problem.is_none(),
            problem,
            name: charter.map(|charter| charter.name.clone()).unwrap_or_default(),
            charter: Some(state.charter_id().hex()),
            height: charter.map_or(0, |charter| charter.height),
            nations,
            conflict: state.charter_conflict().is_some(),
            statements: answers::node::totals(state).statements,
            envelopes: sealed.manifest.counts.headers,
            omissions: audited.omissions.len() as u64,
            created: Some(rfc3339(Timestamp(sealed.manifest.created_ms))),
            file: path.display().to_string(),
        }
    }

    fn damaged(alliance: &AllianceId, path: &std::path::Path, failure: &Failure) -> Self {
        Self {
            alliance: alliance.hex(),
            sound: false,
            problem: Some(failure.cause.clone().unwrap_or_else(|| failure.error.clone())),
            name: String::new(),
            charter: None,
            height: 0,
            nations: Vec::new(),
            conflict: false,
            statements: 0,
            envelopes: 0,
            omissions: 0,
            created: None,
            file: path.display().to_string(),
        }
    }
}

/// An archive that was read and audited.
pub struct Opened {
    state: State,
    created: Timestamp,
}

impl Opened {
    /// Opens the archive of the alliance whose id begins so, or the parent's.
    fn of(home: &Home, digits: Option<&str>) -> Result<Self, Failure> {
        let (alliance, path) = keep::find(home, digits)?;
        let (sealed, audited) = audit(&path, Some(alliance))?;
        match keep::differs(&audited) {
            Some(failure) => Err(failure),
            None => Ok(Self { state: audited.state, created: Timestamp(sealed.manifest.created_ms) }),
        }
    }

    /// What the bundle evaluates to.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// When the bundle was exported, as it says: the moment that is shown unless another is asked for.
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Shows the record at the moment asked for, or when it was exported.
    ///
    /// # Errors
    /// [`Refusal`] if what is asked for is no moment.
    pub fn outlook(&self, moment: &AsOf) -> Result<Outlook, Refusal> {
        Ok(Outlook::of(&self.state, as_of(moment.as_of.as_deref(), self.created)?))
    }

    /// Says of what stands below it that it is not the live record.
    pub fn heading(&self) -> String {
        let name = self.state.charter().map(|charter| charter.name.as_str()).unwrap_or_default();
        format!(
            "archive of alliance {:?} {}, exported {}; nothing of it is live",
            visible(name),
            self.state.anchor().alliance.short(),
            rfc3339(self.created)
        )
    }
}
