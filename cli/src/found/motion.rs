//! `comity motion`: proposals to change the membership, drafted from what a node knows; nobody signs them, votes name them.

mod propose;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use comity_node::answers::charter as answers;
use comity_node::api::model::{MotionRow, Motions};
use comity_node::home::Home;
use comity_protocol::control::{ControlRecord, Motion, VerifiedControl};
use comity_protocol::ids::ControlId;
use comity_protocol::statement::visible;

use super::charter::{CharterFile, load, of_export};
use super::file::{self, FileKind};
use crate::api::Api;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::short;

pub use propose::{ProposeArgs, nonce, write};

/// Fewest digits by which a motion is named.
const PREFIX_DIGITS_MIN: usize = 6;

/// Proposals to change the membership.
#[derive(clap::Subcommand, Debug)]
pub enum MotionCommand {
    /// Write a motion, from a charter file or what the running node knows; several changes may stand in one.
    Propose(Box<ProposeArgs>),
    /// Show a motion in words, with its votes and what comes next.
    Show {
        /// A motion or vote file, or the first digits of a motion's id.
        motion: String,
        #[command(flatten)]
        source: Source,
    },
    /// Show every motion that has a vote on the charter version in force.
    List {
        #[command(flatten)]
        source: Source,
    },
}

/// Where a command looks things up.
#[derive(clap::Args, Debug)]
pub struct Source {
    /// A charter file; left out, the running node is asked.
    #[arg(long, value_name = "FILE")]
    pub charter: Option<PathBuf>,
}

impl Source {
    /// Reads the charter file, or asks the node for what would stand in one.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn load(&self, home: Result<Home, Failure>) -> Result<CharterFile, Failure> {
        match &self.charter {
            Some(path) => load(path),
            None => of_export(&crate::charter::ask(&home?)?),
        }
    }
}

/// Runs a `motion` command.
///
/// # Errors
/// [`Failure`]; nothing is overwritten.
pub fn run(home: Result<Home, Failure>, command: &MotionCommand, output: &Output) -> Result<(), Failure> {
    match command {
        MotionCommand::Propose(args) => propose::propose(home, args, output),
        MotionCommand::Show { motion, source } => {
            let file = source.load(home)?;
            let found = find(&file, motion)?;
            let row = row(&file, &found);
            output.result(&row, || in_words(&row));
            Ok(())
        }
        MotionCommand::List { source } => {
            let motions: Motions = match &source.charter {
                Some(path) => {
                    let file = load(path)?;
                    file.charter()?;
                    answers::motions(&file.state, &file.rows).expect("there is a charter")
                }
                None => Api::of(&home?)?.run(|client| async move { client.get("/v1/motions", &[]).await })?,
            };
            output.result(&motions, || listed(&motions));
            Ok(())
        }
    }
}

/// Returns a motion with its votes, as the charter file has them.
pub fn row(file: &CharterFile, motion: &Motion) -> MotionRow {
    answers::row(&file.state, &file.rows, &motion.id(), Some(motion))
}

/// Reads a motion from a file of its own or of a vote, or finds it among those that have a vote.
///
/// # Errors
/// [`Failure`]: exit code 2 where there is none, 1 where it is another alliance's.
pub fn find(file: &CharterFile, text: &str) -> Result<Motion, Failure> {
    let path = Path::new(text);
    let motion = if path.exists() { read(path)? } else { held(file, text)? };
    let alliance = file.state.anchor().alliance;
    if motion.alliance == alliance {
        return Ok(motion);
    }
    Err(Failure::refused("the motion belongs to another alliance")
        .because(format!("R03: it names {}, the charter file is of {alliance}", motion.alliance)))
}

fn read(path: &Path) -> Result<Motion, Failure> {
    let (kind, fields) = file::read(path, &[FileKind::Motion, FileKind::Vote])?;
    let name = if kind == FileKind::Vote { "motion" } else { "record" };
    let bytes = file::field_bytes(path, &fields, name)?;
    let damaged = |why: String| {
        Failure::usage(format!("{} is damaged", path.display())).because(why).hint("ask its sender for it again")
    };
    let record = ControlRecord::decode(2, &bytes).map_err(|error| damaged(format!("R01: {error}")))?;
    match record.verify().map_err(|error| damaged(format!("R05: {error}")))?.record() {
        ControlRecord::Motion(motion) => Ok(motion.clone()),
        ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => {
            Err(damaged("it is no motion".to_owned()))
        }
    }
}

fn held(file: &CharterFile, prefix: &str) -> Result<Motion, Failure> {
    let records = file.state.control_records();
    let motions = records.iter().filter_map(|control| motion_of(control));
    let mut fit = motions.filter(|(id, _)| prefix.len() >= PREFIX_DIGITS_MIN && id.hex().starts_with(prefix));
    let unknown = |why: &str| {
        Failure::usage(format!("no motion {prefix:?} is known"))
            .because(why.to_owned())
            .hint("name a motion or vote file, or the id as `comity motion list` prints it; a vote file brings its motion along")
    };
    match (fit.next(), fit.next()) {
        (Some((_, motion)), None) => Ok(motion.clone()),
        (None, _) => Err(unknown("it is no file, and no vote that the charter file holds names it")),
        (Some(_), Some(_)) => Err(unknown("several begin with these digits")),
    }
}

fn motion_of(control: &VerifiedControl) -> Option<(ControlId, &Motion)> {
    match control.record() {
        ControlRecord::Motion(motion) => Some((control.id(), motion)),
        ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    }
}

/// Returns a motion in words, with what comes next.
pub fn in_words(row: &MotionRow) -> String {
    format!("{}next: {}", what(row), row.next)
}

/// Returns a motion and its votes in words; each line ends.
pub fn what(row: &MotionRow) -> String {
    let title = row.title.as_deref().map_or_else(|| "not held".to_owned(), |title| format!("{:?}", visible(title)));
    let mut text = format!("motion {} {title}\nchanges charter version {}: {}\n", row.motion, row.height, row.state);
    if let Some(reason) = &row.reason {
        let _ = writeln!(text, "  because {}", visible(reason));
    }
    for change in &row.changes {
        for (at, words) in change.words.iter().enumerate() {
            let _ = writeln!(text, "{}{}", if at == 0 { "  " } else { "      " }, visible(words));
        }
    }
    for line in row.text.iter().flat_map(|text| text.lines()) {
        let _ = writeln!(text, "  | {}", visible(line));
    }
    if let (Some(nations), Some(quorum)) = (row.nations_after, row.quorum_after) {
        let _ = writeln!(text, "after it: {nations} nations, membership changes need {quorum}");
    }
    for round in &row.rounds {
        let list = |codes: &[String]| if codes.is_empty() { "nobody".to_owned() } else { codes.join(" ") };
        let _ = writeln!(
            text,
            "round {}: supported by {}, sealed by {}",
            round.round,
            list(&round.supports),
            list(&round.seals)
        );
    }
    for warning in &row.warnings {
        let _ = writeln!(text, "warning: {}", visible(warning));
    }
    text
}

fn listed(motions: &Motions) -> String {
    let mut text = format!(
        "charter version {}, {} nations; a motion needs {} supports in a round, and then {} seals; the round is {}",
        motions.height, motions.nations, motions.quorum, motions.quorum, motions.round
    );
    if let Some(frozen) = &motions.frozen {
        let _ = write!(text, "\nnothing can be decided: {frozen}");
    }
    if motions.motions.is_empty() {
        text.push_str("\nno motion has a vote; `comity motion propose` drafts one");
    }
    for row in &motions.motions {
        let title = row.title.as_deref().map_or_else(|| "(not held)".to_owned(), visible);
        let _ = write!(text, "\n{}  {title}  {}", short(&row.motion), row.state);
        for change in &row.changes {
            let _ = write!(text, "\n    {}", visible(change.words.first().map_or("", String::as_str)));
        }
        for round in &row.rounds {
            let _ = write!(
                text,
                "\n    round {}: {} supports, {} seals",
                round.round,
                round.supports.len(),
                round.seals.len()
            );
        }
        let _ = write!(text, "\n    next: {}", row.next);
    }
    text
}
