//! `comity roster`: the list of a nation's node keys, drafted and signed offline with the root key.

use std::path::{Path, PathBuf};

use comity_node::api::model::rfc3339;
use comity_protocol::codec::Reader;
use comity_protocol::control::{ControlRecord, Genesis, KeyStatus, Roster, RosterKey, nation_id};
use comity_protocol::ids::{AuthorKey, ControlId, NationId, RootKey, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::file::{self, FileKind};
use super::{genesis, root};
use crate::failure::Failure;
use crate::output::{Output, now};

/// A nation's list of node keys.
#[derive(clap::Subcommand, Debug)]
pub enum RosterCommand {
    /// Draft the next roster with one more node.
    Enrol {
        /// The alliance's genesis.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// The nation's present signed roster; leave out for the first one.
        #[arg(long, value_name = "FILE")]
        prev: Option<PathBuf>,
        /// The nation's code.
        #[arg(long, value_name = "CODE")]
        nation: String,
        /// The node's request file, written by `comity init`.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Whether this node witnesses for the nation; by default the first active key does.
        #[arg(long)]
        witness: bool,
        /// Where to write the draft.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Draft the next roster with one node retired at its last envelope that counts.
    Retire {
        /// The alliance's genesis.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
        /// The nation's present signed roster.
        #[arg(long, value_name = "FILE")]
        prev: PathBuf,
        /// The node's key (64 hexadecimal digits) or its label.
        #[arg(long)]
        node: String,
        /// The last envelope that counts, as SEQ:ID; "0" for none.
        #[arg(long, value_name = "SEQ:ID")]
        cut: String,
        /// Where to write the draft.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a draft with the nation's root key; prints in words what is signed.
    Sign {
        /// The draft.
        draft: PathBuf,
        /// The nation's root key file.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
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

/// A roster, or its draft, as shown to a person or a program.
#[derive(Serialize, ToSchema)]
pub struct RosterShown {
    /// Its id.
    roster: String,
    /// Id of the alliance.
    alliance: String,
    /// Id of the nation.
    nation: String,
    /// Its version, from 1.
    version: u64,
    /// Id of the roster before it.
    prev: Option<String>,
    /// When it was drafted.
    time: String,
    /// Whether the root signed it.
    signed: bool,
    /// Whether the nation closed its own chains.
    closed: bool,
    /// The nation's nodes, by label.
    keys: Vec<KeyShown>,
}

/// One node of a roster.
#[derive(Serialize, ToSchema)]
pub struct KeyShown {
    /// Its key.
    node: String,
    /// Its name.
    label: String,
    /// Whether it witnesses for the nation.
    witness: bool,
    /// `active` or `retired`.
    status: &'static str,
    /// Number of a retired node's last envelope that counts.
    cut_seq: Option<u64>,
    /// Id of that envelope.
    cut_id: Option<String>,
}

/// Runs an offline `roster` command.
///
/// # Errors
/// [`Failure`]; nothing is overwritten.
pub fn run(command: &RosterCommand, output: &Output) -> Result<(), Failure> {
    match command {
        RosterCommand::Enrol { genesis, prev, nation, request, witness, out } => {
            let genesis = genesis::load(genesis)?.genesis;
            let mut roster = next(&genesis, prev.as_deref(), nation)?;
            let key = load_request(request)?;
            if roster.keys.iter().any(|known| known.node == key.node) {
                return Err(Failure::refused(format!("node {} already stands in the roster", key.node)));
            }
            let active = |key: &&RosterKey| key.status == KeyStatus::Active;
            let limit = usize::from(genesis.params.max_active_keys);
            if roster.keys.iter().filter(active).count() >= limit {
                return Err(Failure::refused(format!("{nation} already has {limit} active nodes"))
                    .hint("retire one in the same or an earlier roster"));
            }
            let witnessed = roster.keys.iter().filter(active).any(|key| key.witness);
            if *witness && witnessed {
                return Err(Failure::refused(format!("{nation} already has a witness node"))
                    .because("a nation has one witness key at a time"));
            }
            roster.keys.push(RosterKey { witness: *witness || !witnessed, ..key });
            roster.keys.sort_by_key(|key| key.node);
            write_draft(out, &roster, output)?;
        }
        RosterCommand::Retire { genesis, prev, node, cut, out } => {
            let genesis = genesis::load(genesis)?.genesis;
            let cut = parse_cut(cut)?;
            let mut roster = following(&genesis, load_signed(prev)?)?;
            let key = roster.keys.iter_mut().find(|key| key.node.hex() == *node || key.label == *node);
            let key = key.ok_or_else(|| {
                Failure::usage(format!("no node {node:?} in {}", prev.display()))
                    .hint("`comity roster show` lists labels and keys")
            })?;
            key.status = KeyStatus::Retired { cut };
            write_draft(out, &roster, output)?;
        }
        RosterCommand::Sign { draft, root, out } => {
            let (_, bytes) = file::read_record(draft, &[FileKind::RosterDraft])?;
            let roster = decode_draft(draft, &bytes)?;
            let key = root::load(root)?;
            if key.public::<comity_protocol::ids::Root>() != roster.root {
                return Err(Failure::refused(format!("{} does not sign for this nation", root.display()))
                    .because(format!("the roster names root {}", roster.root)));
            }
            let record = roster.clone().sign(&key);
            file::write_record(out, FileKind::Roster, &record.encode())?;
            show(&roster, Signed::Yes, output);
        }
        RosterCommand::Show { file: path } => {
            let (kind, bytes) = file::read_record(path, &[FileKind::RosterDraft, FileKind::Roster])?;
            if kind == FileKind::Roster {
                show(&decode_signed(path, &bytes)?, Signed::Yes, output);
            } else {
                show(&decode_draft(path, &bytes)?, Signed::No, output);
            }
        }
        RosterCommand::Import { .. } => unreachable!("dispatched to the node commands"),
    }
    Ok(())
}

/// Reads a signed roster file and returns the record, its signature checked.
///
/// # Errors
/// [`Failure`] with exit code 2 (not a roster), 1 (the signature fails) or 4 (the file cannot be read).
pub fn load_record(path: &Path) -> Result<ControlRecord, Failure> {
    let (_, bytes) = file::read_record(path, &[FileKind::Roster])?;
    decode_signed(path, &bytes)?;
    ControlRecord::decode(4, &bytes).map_err(|error| damaged(path, &error.to_string()))
}

#[derive(Clone, Copy)]
enum Signed {
    Yes,
    No,
}

fn next(genesis: &Genesis, prev: Option<&Path>, code: &str) -> Result<Roster, Failure> {
    let alliance = genesis.alliance_id();
    let Some(founder) = genesis.founders.iter().find(|founder| founder.code == code) else {
        return Err(Failure::usage(format!("{code} is no founder of this alliance"))
            .hint("`comity genesis show` lists the codes"));
    };
    let nation = nation_id(&alliance, &founder.root);
    let Some(path) = prev else {
        return Ok(Roster {
            alliance,
            nation,
            root: founder.root,
            root_gen: 0,
            version: 1,
            prev: ControlId::ZERO,
            time_ms: now().0,
            keys: Vec::new(),
            closed: false,
            note: String::new(),
        });
    };
    let prev = load_signed(path)?;
    if prev.nation != nation {
        return Err(Failure::refused(format!("{} is the roster of another nation", path.display())));
    }
    following(genesis, prev)
}

fn following(genesis: &Genesis, prev: Roster) -> Result<Roster, Failure> {
    if prev.alliance != genesis.alliance_id() {
        return Err(Failure::refused("the roster belongs to another alliance")
            .because(format!("it names alliance {}", prev.alliance)));
    }
    Ok(Roster { version: prev.version + 1, prev: prev.id(), time_ms: now().0.max(prev.time_ms), ..prev })
}

fn write_draft(out: &Path, roster: &Roster, output: &Output) -> Result<(), Failure> {
    let bytes = roster.encode();
    // Reading the bytes back applies every rule a node will apply.
    Roster::decode(&mut Reader::new(&bytes))
        .map_err(|error| Failure::usage("this roster would not be valid").because(error.to_string()))?;
    file::write_record(out, FileKind::RosterDraft, &bytes)?;
    show(roster, Signed::No, output);
    Ok(())
}

fn load_request(path: &Path) -> Result<RosterKey, Failure> {
    let (_, fields) = file::read(path, &[FileKind::NodeRequest])?;
    Ok(RosterKey {
        node: AuthorKey::new(*file::field_key(path, &fields, "node")?),
        kem: *file::field_key(path, &fields, "kem")?,
        label: file::field(path, &fields, "label")?.to_owned(),
        witness: false,
        status: KeyStatus::Active,
    })
}

fn load_signed(path: &Path) -> Result<Roster, Failure> {
    let (_, bytes) = file::read_record(path, &[FileKind::Roster])?;
    decode_signed(path, &bytes)
}

fn decode_signed(path: &Path, bytes: &[u8]) -> Result<Roster, Failure> {
    let record = ControlRecord::decode(4, bytes).map_err(|error| damaged(path, &error.to_string()))?;
    let verified = record.verify().map_err(|error| {
        Failure::refused(format!("{} is not a valid roster", path.display())).because(error.to_string())
    })?;
    match verified.record() {
        ControlRecord::Roster(roster, _) => Ok(roster.clone()),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..) => {
            Err(damaged(path, "the record is no roster"))
        }
    }
}

fn decode_draft(path: &Path, bytes: &[u8]) -> Result<Roster, Failure> {
    let mut input = Reader::new(bytes);
    let roster = Roster::decode(&mut input);
    roster.and_then(|roster| input.finish().map(|()| roster)).map_err(|error| damaged(path, &error.to_string()))
}

fn damaged(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{} is damaged", path.display())).because(why).hint("ask its sender for it again")
}

fn parse_cut(text: &str) -> Result<comity_protocol::ids::Tip, Failure> {
    use comity_protocol::ids::{EnvelopeId, Tip};
    if text == "0" {
        return Ok(Tip::NONE);
    }
    let tip = text.split_once(':').and_then(|(seq, id)| {
        Some(Tip { seq: seq.parse().ok().filter(|seq| *seq > 0)?, id: EnvelopeId::from_hex(id)? })
    });
    tip.ok_or_else(|| {
        Failure::usage(format!("{text:?} names no envelope"))
            .hint("write SEQ:ID with the full id, as `comity explain` prints it, or 0")
    })
}

fn show(roster: &Roster, signed: Signed, output: &Output) {
    let mut keys: Vec<KeyShown> = roster.keys.iter().map(key_shown).collect();
    keys.sort_by(|a, b| (&a.label, &a.node).cmp(&(&b.label, &b.node)));
    let shown = RosterShown {
        roster: roster.id().hex(),
        alliance: roster.alliance.hex(),
        nation: roster.nation.hex(),
        version: roster.version,
        prev: (!roster.prev.is_zero()).then(|| roster.prev.hex()),
        time: rfc3339(Timestamp(roster.time_ms)),
        signed: matches!(signed, Signed::Yes),
        closed: roster.closed,
        keys,
    };
    output.result(&shown, || in_words(&shown, &roster.nation, &roster.root));
}

fn key_shown(key: &RosterKey) -> KeyShown {
    let (status, cut) = match key.status {
        KeyStatus::Active => ("active", None),
        KeyStatus::Retired { cut } => ("retired", Some(cut)),
    };
    KeyShown {
        node: key.node.hex(),
        label: key.label.clone(),
        witness: key.witness,
        status,
        cut_seq: cut.map(|cut| cut.seq),
        cut_id: cut.map(|cut| cut.id.hex()),
    }
}

fn in_words(shown: &RosterShown, nation: &NationId, root: &RootKey) -> String {
    let mut text = format!(
        "roster version {} of nation {} (root {}), {}\n",
        shown.version,
        nation.short(),
        root.short(),
        shown.time
    );
    for key in &shown.keys {
        let witness = if key.witness { ", witness" } else { "" };
        let cut = key.cut_seq.map(|seq| format!(" at envelope {seq}")).unwrap_or_default();
        text.push_str(&format!("  {:<12} {} {}{cut}{witness}\n", key.label, key.node, key.status));
    }
    text.push_str(if shown.signed { "signed by the nation's root key" } else { "not yet signed" });
    text
}
