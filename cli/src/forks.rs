//! `comity forks`: what was said twice, the proof of it, and what to sign about it; `comity restate`.

use std::path::{Path, PathBuf};

use comity_node::api::model::{ForkRow, ForkShown, Forks, MotionRow, RestateRequest, Restated, rfc3339};
use comity_node::home::Home;
use comity_protocol::dossier::{ForkProof, ProvenFork, RosterDossier};
use comity_protocol::statement::visible;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;
use crate::charter;
use crate::failure::Failure;
use crate::found;
use crate::found::charter::of_export;
use crate::found::file::{self, FileKind};
use crate::found::genesis;
use crate::home;
use crate::output::Output;
use crate::query::said_lines;
use crate::table::{Column, counted, dash, short, table};

/// What to do with forks.
#[derive(clap::Subcommand, Debug)]
pub enum ForksCommand {
    /// Show one fork in full: both statements, what stands, what is suspended, what to sign.
    Show {
        /// NATION/NODE (its label, or the first digits of its key), NATION for a fork of its rosters, or charter.
        fork: String,
        /// Write the portable proof into this file.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
        /// Write the roster that the nation's root should sign into this file.
        #[arg(long, value_name = "FILE")]
        roster_draft: Option<PathBuf>,
        /// Write the motion on which the members should vote into this file, where rosters fork.
        #[arg(long, value_name = "FILE", requires = "new_root")]
        motion_draft: Option<PathBuf>,
        /// The root public key that the motion gives the nation, as `comity root new` prints it.
        #[arg(long, value_name = "KEY", requires = "motion_draft")]
        new_root: Option<String>,
    },
    /// Check a proof, with no node and no network.
    Verify {
        /// The proof, as `forks show --proof` writes it.
        file: PathBuf,
        /// The alliance's genesis, to name the nation.
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
    },
}

/// Options of `comity restate`.
#[derive(clap::Args, Debug)]
pub struct RestateArgs {
    /// Say what would be written, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Also stand by this disavowed envelope of the own nation again; may stand several times.
    #[arg(long, value_name = "ENVELOPE")]
    pub disavowed: Vec<String>,
}

/// What a proof shows.
#[derive(Serialize, ToSchema)]
pub struct ForkProven {
    /// Id of the alliance.
    alliance: String,
    /// Id of the nation.
    nation: String,
    /// Its code, where a genesis names it.
    code: Option<String>,
    /// The key that signed both.
    node: String,
    /// The node's name in the roster that the proof carries.
    label: Option<String>,
    /// Version of that roster.
    roster_version: Option<u64>,
    /// Whether the nation's own id vouches for who signed that roster.
    enrolled_by_nation: bool,
    /// The number both statements have.
    seq: u64,
    /// Both statements.
    said: Vec<ProvenStatement>,
}

/// One of the two statements.
#[derive(Serialize, ToSchema)]
pub struct ProvenStatement {
    /// Its id.
    id: String,
    /// Claimed time.
    time: String,
}

/// Runs `forks`.
///
/// # Errors
/// [`Failure`]; nothing is overwritten.
pub fn run(home: Option<&PathBuf>, command: Option<&ForksCommand>, output: &Output) -> Result<(), Failure> {
    match command {
        None => {
            let forks = Api::of(&home::of(home)?)?.run(|client| async move { client.get("/v1/forks", &[]).await })?;
            output.result(&forks, || in_short(&forks));
            Ok(())
        }
        Some(ForksCommand::Show { fork, proof, roster_draft, motion_draft, new_root }) => {
            let query = [("of", fork.as_str())];
            let home = home::of(home)?;
            let shown: ForkShown = Api::of(&home)?.run(|client| async move { client.get("/v1/fork", &query).await })?;
            if let Some(path) = proof {
                let proof = shown.proof.as_deref().ok_or_else(|| {
                    none(path, "a proof is of two statements of one node; of rosters it is the two rosters themselves")
                })?;
                file::write(path, FileKind::ForkProof, &[("record", proof)])?;
            }
            if let Some(path) = roster_draft {
                write_draft(path, &shown)?;
            }
            let motion = match (motion_draft, new_root) {
                (Some(path), Some(root)) => Some((path.as_path(), write_motion(&home, path, &shown, root)?)),
                (None, _) | (_, None) => None,
            };
            output.result(&shown, || {
                let mut text = in_full(&shown, proof.as_deref(), roster_draft.as_deref(), motion.is_some());
                if let Some((path, row)) = &motion {
                    text = format!("{text}\n\n{}\nthe motion is in {}", found::motion::in_words(row), path.display());
                }
                text
            });
            Ok(())
        }
        Some(ForksCommand::Verify { file, genesis }) => {
            let proven = verify(file, genesis.as_deref())?;
            output.result(&proven, || proven_in_words(&proven));
            Ok(())
        }
    }
}

fn none(path: &Path, why: &str) -> Failure {
    Failure::refused(format!("{} is not written", path.display())).because(why)
}

/// Writes what `roster sign` reads: the draft, the roster it follows, and what the signer holds both against.
fn write_draft(path: &Path, shown: &ForkShown) -> Result<(), Failure> {
    let why = || none(path, shown.no_draft.as_deref().unwrap_or("there is none"));
    let draft = shown.draft.as_deref().ok_or_else(why)?;
    let code = shown.fork.nation.as_deref().ok_or_else(why)?;
    let max = shown.max_active_keys.to_string();
    let mut fields = vec![("record", draft), ("code", code), ("max-active-keys", &max)];
    fields.extend(shown.follows.as_deref().map(|follows| ("prev", follows)));
    file::write(path, FileKind::RosterDraft, &fields)
}

/// Writes the motion that gives the nation of forked rosters another root key.
fn write_motion(home: &Home, path: &Path, shown: &ForkShown, root: &str) -> Result<MotionRow, Failure> {
    if shown.fork.level != "roster" {
        let why = match &shown.no_draft {
            Some(why) if shown.fork.level != "node" => why.clone(),
            Some(_) | None => "what a node said twice its own nation settles, with a roster: --roster-draft".to_owned(),
        };
        return Err(none(path, &why));
    }
    let held = of_export(&charter::ask(home)?)?;
    let nation = shown.fork.nation.as_deref().and_then(|code| held.state.nation_by_code(code)).map(|member| member.id);
    let dossier = nation.and_then(|nation| RosterDossier::of(&held.state, &nation));
    let root = found::root::parse_key(root)?;
    let nonce = found::motion::nonce()?;
    let motion = dossier
        .and_then(|dossier| dossier.motion(&held.state, root, nonce))
        .ok_or_else(|| none(path, "the nation is no member, or its rosters fork no more"))?;
    found::motion::write(path, &held, &motion)
}

fn in_short(forks: &Forks) -> String {
    let row = |fork: &ForkRow| {
        vec![
            fork.name.clone(),
            format!("{} {}", if fork.level == "node" { "envelope" } else { &fork.level }, fork.number),
            fork.stands.clone(),
            fork.todo.clone().unwrap_or_else(|| "nothing left to do".to_owned()),
        ]
    };
    let columns = [Column::Left("FORK"), Column::Left("AT"), Column::Left("STANDS"), Column::Left("TO DO")];
    table(&columns, forks.rows.iter().map(row).collect(), "no forks")
}

fn in_full(shown: &ForkShown, proof: Option<&Path>, draft: Option<&Path>, has_motion: bool) -> String {
    let mut lines: Vec<String> = shown.lines.iter().map(|line| visible(line)).collect();
    if !shown.suspended_listed.is_empty() {
        lines.push(String::new());
        lines.extend(shown.suspended_listed.iter().flat_map(said_lines));
    }
    if shown.fork.own && shown.draft.is_some() && draft.is_none() {
        lines.push(String::new());
        lines.push("To retire the key, on this machine, at the root key, and here again:".to_owned());
        lines.push(format!("  comity forks show {} --roster-draft FILE", shown.fork.name));
        lines.push("  comity roster sign FILE --root ROOT --out SIGNED".to_owned());
        lines.push("  comity roster import SIGNED".to_owned());
    }
    if shown.fork.level == "roster" && shown.fork.open && !has_motion {
        lines.push(String::new());
        lines.push(
            "The nation makes a new root key offline (comity root new) and tells its public half; then any member:"
                .to_owned(),
        );
        lines.push(format!("  comity forks show {} --new-root KEY --motion-draft FILE", shown.fork.name));
        lines.push("and more than two thirds of the members support it, and then seal it (comity vote).".to_owned());
    }
    for (what, path) in [("the proof", proof), ("the roster to sign", draft)] {
        lines.extend(path.map(|path| format!("{what} is in {}", path.display())));
    }
    lines.join("\n")
}

fn verify(path: &Path, genesis: Option<&Path>) -> Result<ForkProven, Failure> {
    let (_, bytes) = file::read_record(path, &[FileKind::ForkProof])?;
    let refused = |error: comity_protocol::dossier::ForkProofError| {
        Failure::refused(format!("{} proves nothing", path.display())).because(error.to_string())
    };
    let ProvenFork { alliance, author, said, enrolment } =
        ForkProof::decode(&bytes).and_then(|proof| proof.verify()).map_err(refused)?;
    let code = match genesis {
        None => None,
        Some(genesis_path) => {
            let genesis = genesis::load(genesis_path)?.genesis;
            if genesis.alliance_id() != alliance {
                return Err(Failure::refused(format!("{} is of another alliance", path.display()))
                    .because(format!("it names alliance {alliance}")));
            }
            let nation = |root| comity_protocol::control::nation_id(&alliance, root);
            let founder = genesis.founders.iter().find(|founder| nation(&founder.root) == author.nation);
            founder.map(|founder| founder.code.clone())
        }
    };
    Ok(ForkProven {
        alliance: alliance.hex(),
        nation: author.nation.hex(),
        code,
        node: author.key.hex(),
        label: enrolment.as_ref().map(|enrolment| enrolment.label.clone()),
        roster_version: enrolment.as_ref().map(|enrolment| enrolment.version),
        enrolled_by_nation: enrolment.as_ref().is_some_and(|enrolment| enrolment.names_nation),
        seq: said[0].0.seq,
        said: said.iter().map(|(tip, time)| ProvenStatement { id: tip.id.hex(), time: rfc3339(*time) }).collect(),
    })
}

fn proven_in_words(proven: &ForkProven) -> String {
    let nation = proven.code.clone().unwrap_or_else(|| format!("nation {}", short(&proven.nation)));
    let name = visible(proven.label.as_deref().unwrap_or(&proven.node));
    let mut lines = vec![format!("proved: node {name} of {nation} signed two statements numbered {}", proven.seq)];
    lines.extend(proven.said.iter().map(|said| format!("  {} claimed {}", said.id, said.time)));
    lines.push(format!("key {}", proven.node));
    lines.push(match (proven.roster_version, proven.enrolled_by_nation) {
        (Some(version), true) => format!("enrolled by the nation's founding root key in roster {version}"),
        (Some(version), false) => {
            format!("listed in roster {version}, signed by a root key that the nation's id does not name")
        }
        (None, _) => "the proof carries no roster: hold the key against one you trust".to_owned(),
    });
    lines.join("\n")
}

/// Runs `restate`.
///
/// # Errors
/// [`Failure`]; what was written before a refusal stays, and is not written again.
pub fn restate(args: &RestateArgs, api: &Api, output: &Output) -> Result<(), Failure> {
    let request = RestateRequest { dry_run: args.dry_run, disavowed: args.disavowed.clone() };
    let restated: Restated = api.run(|client| async move { client.post("/v1/restate", None, &request).await })?;
    output.result(&restated, || restated_in_words(&restated));
    Ok(())
}

fn restated_in_words(restated: &Restated) -> String {
    let done = if restated.dry_run { "would be stated again" } else { "stated again" };
    let mut lines = vec![match restated.written.len() {
        0 => "nothing to state again".to_owned(),
        count => format!("{} {done}", counted(count as u64, "change")),
    }];
    for row in &restated.written {
        let now = dash(row.envelope.as_deref().map(short).as_deref());
        lines.push(format!("  {} as {now}: {}", short(&row.from), row.records.join(" ")));
    }
    lines.extend(
        restated.left.iter().map(|row| format!("  left: {} ({}): {}", row.record, short(&row.envelope), row.detail)),
    );
    if restated.more {
        lines.push("there is more: run the command again".to_owned());
    }
    lines.join("\n")
}
