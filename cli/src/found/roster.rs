//! `comity roster`: the list of a nation's node keys, drafted and signed offline with the root key.

mod draft;
mod words;

use std::path::{Path, PathBuf};

use comity_protocol::codec::Reader;
use comity_protocol::control::{ControlRecord, Params, Roster, VerifiedControl};
use comity_protocol::roster::check_step;

use super::charter::Basis;
use super::file::{self, FileKind};
use super::log::{self, SignerLog};
use super::root;
use crate::failure::Failure;
use crate::output::Output;

pub use words::RosterShown;
use words::{Context, show};

/// A nation's list of node keys.
#[derive(clap::Subcommand, Debug)]
pub enum RosterCommand {
    /// Draft the next roster with one more node.
    Enrol {
        #[command(flatten)]
        next: NextArgs,
        /// The node's request file, written by `comity init`.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Whether this node witnesses for the nation; by default the first active key does.
        #[arg(long)]
        witness: bool,
    },
    /// Draft the next roster with one node retired at its last envelope that counts.
    Retire {
        #[command(flatten)]
        next: NextArgs,
        /// The node's key (64 hexadecimal digits) or its label.
        #[arg(long)]
        node: String,
        /// The last envelope that counts, as SEQ:ID; "0" for none; "last" for the last one the charter file knows.
        #[arg(long, value_name = "SEQ:ID")]
        cut: String,
        /// In the same version, enrol this node in its place.
        #[arg(long, value_name = "REQUEST")]
        enrol: Option<PathBuf>,
        /// Whether the enrolled node witnesses for the nation; by default it does where nobody else would.
        #[arg(long, requires = "enrol")]
        witness: bool,
    },
    /// Draft the next roster with the cut of a retired node moved down.
    LowerCut {
        #[command(flatten)]
        next: NextArgs,
        /// The node's key (64 hexadecimal digits) or its label.
        #[arg(long)]
        node: String,
        /// The last envelope that counts, as SEQ:ID; "0" for none.
        #[arg(long, value_name = "SEQ:ID")]
        cut: String,
    },
    /// Draft the nation's last roster: every node retired, and never again an active one.
    Close {
        #[command(flatten)]
        next: NextArgs,
        /// The last envelope of a node that counts; left out, the last one the charter file knows.
        #[arg(long = "cut", value_name = "NODE=SEQ:ID")]
        cuts: Vec<String>,
    },
    /// Sign a draft with the nation's root key; prints in words what is signed.
    Sign {
        /// The draft.
        draft: PathBuf,
        #[command(flatten)]
        signer: SignerArgs,
        /// Sign although another roster of this version was signed, which has never left this machine; says why.
        #[arg(long, value_name = "REASON")]
        replaces_unpublished: Option<String>,
        /// Where to write the signed roster.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show a draft or a signed roster in words.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Take signed rosters into this node: into its store while it is stopped, over its socket while it runs.
    Import {
        /// The rosters.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// From what the next roster follows, and where its draft goes.
#[derive(clap::Args, Debug)]
pub struct NextArgs {
    #[command(flatten)]
    basis: Basis,
    /// The nation's present signed roster; left out, the one in force by the charter file, or none.
    #[arg(long, value_name = "FILE")]
    prev: Option<PathBuf>,
    /// The nation's code; left out, that of --prev, or of the node that wrote the charter file.
    #[arg(long, value_name = "CODE")]
    nation: Option<String>,
    /// A line for people, signed with the rest.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Where to write the draft.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A root key and its log.
#[derive(clap::Args, Debug)]
pub struct SignerArgs {
    /// The nation's root key file.
    #[arg(long, value_name = "FILE")]
    pub root: PathBuf,
    /// The log of what this root signed [default: the key file's name with .log].
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// The log is lost: start one from which votes are possible from the next charter version on.
    #[arg(long)]
    pub new_log: bool,
}

impl SignerArgs {
    /// Where the log is.
    pub fn log_path(&self) -> PathBuf {
        self.log.clone().unwrap_or_else(|| log::beside(&self.root))
    }
}

/// Runs an offline `roster` command.
///
/// # Errors
/// [`Failure`]; nothing is overwritten.
pub fn run(command: &RosterCommand, output: &Output) -> Result<(), Failure> {
    match command {
        RosterCommand::Enrol { next, request, witness } => {
            draft::enrol(next, request, *witness)?.write(&next.out, output)
        }
        RosterCommand::Retire { next, node, cut, enrol, witness } => {
            draft::retire(next, node, cut, enrol.as_deref(), *witness)?.write(&next.out, output)
        }
        RosterCommand::LowerCut { next, node, cut } => draft::lower_cut(next, node, cut)?.write(&next.out, output),
        RosterCommand::Close { next, cuts } => draft::close(next, cuts)?.write(&next.out, output),
        RosterCommand::Sign { draft, signer, replaces_unpublished, out } => {
            sign(draft, signer, replaces_unpublished.as_deref(), out, output)
        }
        RosterCommand::Show { file: path } => {
            let (kind, _) = file::read(path, &[FileKind::RosterDraft, FileKind::Roster])?;
            if kind == FileKind::Roster {
                let roster = load_signed(path)?;
                show(&roster, &Context { signed: true, ..Context::default() }, output);
            } else {
                let draft = Draft::load(path)?;
                show(&draft.roster, &draft.context(), output);
            }
            Ok(())
        }
        RosterCommand::Import { .. } => unreachable!("dispatched to the node commands"),
    }
}

/// A roster that nobody signed yet, with what its signer compares it to.
#[derive(Debug)]
struct Draft {
    roster: Roster,
    /// The roster it follows, as signed.
    prev: Option<ControlRecord>,
    code: String,
    max_active_keys: u8,
}

impl Draft {
    fn context(&self) -> Context<'_> {
        Context { signed: false, code: Some(&self.code), prev: self.prev(), remarks: Vec::new() }
    }

    fn prev(&self) -> Option<&Roster> {
        self.prev.as_ref().and_then(roster_of)
    }

    /// Checks every rule a node will apply.
    fn check(&self) -> Result<(), Failure> {
        Roster::decode(&mut Reader::new(&self.roster.encode()))
            .map_err(|error| Failure::usage("this roster would not be valid").because(format!("R06: {error}")))?;
        let params = Params { max_active_keys: self.max_active_keys, ..Params::default() };
        check_step(&params, self.prev(), &self.roster).map_err(|error| words::step_refused(&error))
    }

    fn write(&self, out: &Path, output: &Output) -> Result<(), Failure> {
        self.check()?;
        let record = comity_protocol::ids::hex(&self.roster.encode());
        let prev = self.prev.as_ref().map(|prev| comity_protocol::ids::hex(&prev.encode()));
        let max = self.max_active_keys.to_string();
        let mut fields = vec![("record", record.as_str()), ("code", &self.code), ("max-active-keys", &max)];
        fields.extend(prev.as_deref().map(|prev| ("prev", prev)));
        file::write(out, FileKind::RosterDraft, &fields)?;
        show(&self.roster, &self.context(), output);
        Ok(())
    }

    fn load(path: &Path) -> Result<Self, Failure> {
        let (_, fields) = file::read(path, &[FileKind::RosterDraft])?;
        let bytes = file::field_bytes(path, &fields, "record")?;
        let mut input = Reader::new(&bytes);
        let roster = Roster::decode(&mut input);
        let roster = roster.and_then(|roster| input.finish().map(|()| roster));
        let roster = roster.map_err(|error| damaged(path, &error.to_string()))?;
        let prev = match fields.contains_key("prev") {
            true => Some(verified(path, &file::field_bytes(path, &fields, "prev")?)?.record().clone()),
            false => None,
        };
        let max = file::field(path, &fields, "max-active-keys")?;
        let draft = Self {
            roster,
            prev,
            code: file::field(path, &fields, "code")?.to_owned(),
            max_active_keys: max.parse().map_err(|_| damaged(path, "\"max-active-keys\" is no number"))?,
        };
        if draft.prev().is_some_and(|prev| prev.nation != draft.roster.nation) {
            return Err(damaged(path, "the roster it follows is another nation's"));
        }
        draft.check()?;
        Ok(draft)
    }
}

/// Signs a draft; the log knows of it before the file exists.
fn sign(path: &Path, signer: &SignerArgs, replaces: Option<&str>, out: &Path, output: &Output) -> Result<(), Failure> {
    let draft = Draft::load(path)?;
    let roster = &draft.roster;
    let key = root::load(&signer.root)?;
    if key.public::<comity_protocol::ids::Root>() != roster.root {
        return Err(Failure::refused(format!("{} does not sign for this nation", signer.root.display()))
            .because(format!("the roster names root {}", roster.root)));
    }
    let _lock = log::lock(&signer.root)?;
    file::check_free(out)?;
    let mut remarks = Vec::new();
    let log_path = signer.log_path();
    let mut log = if signer.new_log && !log_path.exists() {
        remarks.push(
            "a new signer's log was started: make sure that no other roster of this version was ever signed".to_owned(),
        );
        // A roster does not say at which charter version the alliance is; the first charter file will.
        SignerLog::create(&log_path, roster.root, None)?
    } else {
        SignerLog::open(&log_path, roster.root)?
    };
    let id = roster.id();
    let mut signed_before = false;
    for other in log.rosters_of(roster.root_gen, roster.version) {
        signed_before |= other.id() == id;
        if other.id() != id && replaces.is_none() {
            return Err(Failure::refused(format!("this root signed another roster of version {}", roster.version))
                .because(format!(
                    "its log names roster {}; two that anybody holds fork the nation's roster",
                    other.id()
                ))
                .hint(
                    "publish that one and draft the next version from it; only if it never left this machine: \
                     --replaces-unpublished REASON",
                ));
        }
    }
    let record = verify(path, roster.clone().sign(&key))?;
    if !signed_before {
        let remark =
            replaces.map(|reason| checked_reason(reason).map(|reason| format!("replaces unpublished: {reason}")));
        log.append(record.clone(), remark.transpose()?)?;
    } else {
        remarks.push("signed before: this is the same roster again".to_owned());
    }
    file::write_record(out, FileKind::Roster, &record.record().encode())?;
    show(roster, &Context { signed: true, remarks, ..draft.context() }, output);
    Ok(())
}

fn checked_reason(reason: &str) -> Result<&str, Failure> {
    if comity_protocol::codec::control_text_permitted(reason) {
        return Ok(reason);
    }
    Err(Failure::usage("the reason cannot be written into the log")
        .because("a reason has 1 to 64 bytes and no invisible characters"))
}

/// Reads a signed roster file and returns the record, its signature checked.
///
/// # Errors
/// [`Failure`] with exit code 2 (not a roster), 1 (the signature fails) or 4 (the file cannot be read).
pub fn load_record(path: &Path) -> Result<ControlRecord, Failure> {
    let (_, bytes) = file::read_record(path, &[FileKind::Roster])?;
    Ok(verified(path, &bytes)?.record().clone())
}

fn load_signed(path: &Path) -> Result<Roster, Failure> {
    let record = load_record(path)?;
    Ok(roster_of(&record).expect("only rosters pass").clone())
}

fn verified(path: &Path, bytes: &[u8]) -> Result<VerifiedControl, Failure> {
    verify(path, ControlRecord::decode(4, bytes).map_err(|error| damaged(path, &error.to_string()))?)
}

fn verify(path: &Path, record: ControlRecord) -> Result<VerifiedControl, Failure> {
    record.verify().map_err(|error| {
        Failure::refused(format!("{} is not a valid roster", path.display())).because(format!("R05: {error}"))
    })
}

/// Returns the roster of a record that is one.
pub fn roster_of(record: &ControlRecord) -> Option<&Roster> {
    match record {
        ControlRecord::Roster(roster, _) => Some(roster),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..) => None,
    }
}

fn damaged(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{} is damaged", path.display())).because(why).hint("ask its sender for it again")
}
