//! `comity genesis`: drafting, signing and assembling the record that founds an alliance.

use std::path::{Path, PathBuf};

use comity_node::api::model::rfc3339;
use comity_protocol::charter::CharterMember;
use comity_protocol::codec::Reader;
use comity_protocol::control::{ControlRecord, Genesis, Member, Params, Parent, SignedGenesis, nation_id};
use comity_protocol::ids::{AllianceId, RootKey, Timestamp};
use comity_protocol::keys::{RecordKind, Signature, verify};
use comity_protocol::limits::NATIONS_MAX;
use serde::Serialize;
use utoipa::ToSchema;

use super::charter::{self, CharterFile};
use super::file::{self, FileKind};
use super::root;
use crate::failure::Failure;
use crate::output::{Output, now};

/// The record that founds an alliance.
#[derive(clap::Subcommand, Debug)]
pub enum GenesisCommand {
    /// Write a draft that every founder then signs.
    Draft {
        /// The alliance's name, 1 to 64 bytes.
        #[arg(long)]
        name: String,
        /// A founder: its code, its root public key, and optionally its name. Once for each founder.
        #[arg(long = "founder", value_name = "CODE=ROOT[=NAME]", required = true)]
        founders: Vec<String>,
        /// The alliance that this one re-founds, by a charter file of it: where its charter is frozen or can no longer move.
        #[arg(long, value_name = "CHARTER")]
        parent: Option<PathBuf>,
        /// Where to write the draft.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a draft with a founder's root key; prints in words what is signed.
    Sign {
        /// The draft.
        draft: PathBuf,
        /// The founder's root key file.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// Where to write the signature.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Join a draft and every founder's signature into the genesis.
    Assemble {
        /// The draft.
        draft: PathBuf,
        /// One signature file for each founder, in any order.
        #[arg(required = true)]
        signatures: Vec<PathBuf>,
        /// Where to write the genesis.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show a draft or a genesis in words.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// A genesis, or its draft, as shown to a person or a program.
#[derive(Serialize, ToSchema)]
pub struct GenesisShown {
    /// Id of the alliance it founds.
    alliance: String,
    /// Name of the alliance.
    name: String,
    /// The alliance it re-founds.
    parent: Option<ParentShown>,
    /// When it was drafted.
    created: String,
    /// Whether the file carries every founder's signature.
    signed: bool,
    /// Nations needed to change the membership.
    quorum: usize,
    /// By code.
    founders: Vec<FounderShown>,
    /// Most active node keys of a nation.
    max_active_keys: u8,
    /// Most bytes of one node's chain.
    chain_quota: u64,
}

/// The alliance that a genesis re-founds; its records stay what they are, and no one is bound by it.
#[derive(Serialize, ToSchema)]
pub struct ParentShown {
    /// Id of that alliance.
    alliance: String,
    /// Id of its charter version.
    charter: String,
    /// What it is in words, where its charter file was at hand.
    words: Option<String>,
}

/// One founder of a genesis.
#[derive(Serialize, ToSchema)]
pub struct FounderShown {
    /// Its code.
    code: String,
    /// Its name.
    name: String,
    /// Its id in this alliance.
    nation: String,
    /// Its root's public key.
    root: String,
}

/// Runs a `genesis` command.
///
/// # Errors
/// [`Failure`]; nothing is overwritten.
pub fn run(command: &GenesisCommand, output: &Output) -> Result<(), Failure> {
    match command {
        GenesisCommand::Draft { name, founders, parent, out } => {
            let parent = parent.as_deref().map(charter::load).transpose()?;
            let genesis = draft(name, founders, parent.as_ref())?;
            file::write_record(out, FileKind::GenesisDraft, &genesis.encode())?;
            let words = parent.as_ref().map(|file| parent_words(file, &genesis)).transpose()?;
            show_with(&genesis, Signed::No, words, output);
        }
        GenesisCommand::Sign { draft, root, out } => {
            let genesis = load_draft(draft)?;
            let key = root::load(root)?;
            let (public, signature) = genesis.sign(&key);
            let Some(founder) = genesis.founders.iter().find(|founder| founder.root == public) else {
                return Err(Failure::refused(format!("{} is not the root key of any founder", root.display()))
                    .because(format!("the draft names no root {public}"))
                    .hint("the founder's root public key must stand in the draft before it can sign"));
            };
            file::write(
                out,
                FileKind::GenesisSignature,
                &[
                    ("alliance", &genesis.alliance_id().hex()),
                    ("root", &public.hex()),
                    ("signature", &comity_protocol::ids::hex(&signature.0)),
                ],
            )?;
            show(&genesis, Signed::By { code: &founder.code, out }, output);
        }
        GenesisCommand::Assemble { draft, signatures, out } => {
            let signed = assemble(load_draft(draft)?, signatures)?;
            let record = ControlRecord::Genesis(signed.clone());
            file::write_record(out, FileKind::Genesis, &record.encode())?;
            show(&signed.genesis, Signed::Yes, output);
        }
        GenesisCommand::Show { file: path } => {
            let (kind, bytes) = file::read_record(path, &[FileKind::GenesisDraft, FileKind::Genesis])?;
            if kind == FileKind::Genesis {
                show(&decode_signed(path, &bytes)?.genesis, Signed::Yes, output);
            } else {
                show(&decode_draft(path, &bytes)?, Signed::No, output);
            }
        }
    }
    Ok(())
}

/// Reads a genesis with all signatures and checks them.
///
/// # Errors
/// [`Failure`] with exit code 2 (not a genesis), 1 (a signature fails) or 4 (the file cannot be read).
pub fn load(path: &Path) -> Result<SignedGenesis, Failure> {
    let (_, bytes) = file::read_record(path, &[FileKind::Genesis])?;
    decode_signed(path, &bytes)
}

/// Whose signatures a genesis carries.
#[derive(Clone, Copy)]
enum Signed<'a> {
    /// Every founder's.
    Yes,
    /// None yet.
    No,
    /// None itself; one founder's went into a file of its own.
    By { code: &'a str, out: &'a Path },
}

/// Says what is re-founded: who was in it, who comes along, and who does not.
fn parent_words(file: &CharterFile, genesis: &Genesis) -> Result<String, Failure> {
    let old = file.charter()?;
    let (along, left): (Vec<_>, Vec<_>) =
        old.members.values().partition(|member| genesis.founders.iter().any(|founder| founder.code == member.code));
    let codes = |members: &[&CharterMember]| {
        let mut codes: Vec<&str> = members.iter().map(|member| member.code.as_str()).collect();
        codes.sort_unstable();
        if codes.is_empty() { "none".to_owned() } else { codes.join(" ") }
    };
    let frozen = if file.state.charter_conflict().is_some() { ", frozen there by a conflict" } else { "" };
    Ok(format!(
        "{:?} at charter version {}{frozen}; of its members here: {}; not here: {}",
        old.name,
        old.height,
        codes(&along),
        codes(&left)
    ))
}

fn draft(name: &str, founders: &[String], parent: Option<&CharterFile>) -> Result<Genesis, Failure> {
    let mut nonce = [0_u8; 32];
    getrandom::fill(&mut nonce)
        .map_err(|error| Failure::environment("cannot draw a random nonce").because(error.to_string()))?;
    let mut members = founders.iter().map(|text| founder(text)).collect::<Result<Vec<_>, _>>()?;
    members.sort_by_key(|member| member.root);
    if members.len() > NATIONS_MAX {
        return Err(Failure::usage(format!("{} founders are too many", members.len()))
            .because(format!("an alliance has at most {NATIONS_MAX} nations")));
    }
    let genesis = Genesis {
        name: name.to_owned(),
        created_ms: now().0,
        nonce,
        parent: parent.map(|file| Parent { alliance: file.state.anchor().alliance, charter: file.state.charter_id() }),
        params: Params::default(),
        founders: members,
    };
    // Reading the bytes back applies every rule a node will apply.
    Genesis::decode(&mut Reader::new(&genesis.encode()))
        .map_err(|error| Failure::usage("this genesis would not be valid").because(error.to_string()))
}

fn founder(text: &str) -> Result<Member, Failure> {
    let mut parts = text.splitn(3, '=');
    let (code, root) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    root::check_code(code)?;
    let root = RootKey::from_hex(root).ok_or_else(|| {
        Failure::usage(format!("founder {text:?} names no root key"))
            .because("a root public key is 64 hexadecimal digits")
            .hint("write CODE=ROOT or CODE=ROOT=NAME; `comity root new` prints the root")
    })?;
    let name = parts.next().unwrap_or(code);
    Ok(Member { root, code: code.to_owned(), name: name.to_owned(), next_root: None })
}

fn load_draft(path: &Path) -> Result<Genesis, Failure> {
    let (_, bytes) = file::read_record(path, &[FileKind::GenesisDraft])?;
    decode_draft(path, &bytes)
}

fn decode_draft(path: &Path, bytes: &[u8]) -> Result<Genesis, Failure> {
    let mut input = Reader::new(bytes);
    let genesis = Genesis::decode(&mut input);
    genesis.and_then(|genesis| input.finish().map(|()| genesis)).map_err(|error| damaged(path, &error.to_string()))
}

fn decode_signed(path: &Path, bytes: &[u8]) -> Result<SignedGenesis, Failure> {
    let record = ControlRecord::decode(1, bytes).map_err(|error| damaged(path, &error.to_string()))?;
    let verified = record.verify().map_err(|error| {
        Failure::refused(format!("{} is not a valid genesis", path.display())).because(error.to_string())
    })?;
    match verified.record() {
        ControlRecord::Genesis(signed) => Ok(signed.clone()),
        ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => {
            Err(damaged(path, "the record is no genesis"))
        }
    }
}

fn damaged(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{} is damaged", path.display())).because(why).hint("ask its sender for it again")
}

fn assemble(genesis: Genesis, paths: &[PathBuf]) -> Result<SignedGenesis, Failure> {
    let alliance = genesis.alliance_id();
    let mut found = std::collections::BTreeMap::new();
    for path in paths {
        let (root, signature) = load_signature(path, &alliance)?;
        verify(RecordKind::Genesis, &root, &genesis.encode(), &signature).map_err(|error| {
            Failure::refused(format!("the signature in {} does not fit this draft", path.display()))
                .because(error.to_string())
        })?;
        found.insert(root, signature);
    }
    let missing: Vec<_> = genesis
        .founders
        .iter()
        .filter(|founder| !found.contains_key(&founder.root))
        .map(|founder| founder.code.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(Failure::refused("the genesis is not complete")
            .because(format!("4.3.1: no signature of {}", missing.join(", ")))
            .hint("an alliance is founded only with every founder's signature"));
    }
    let signatures = genesis.founders.iter().map(|founder| (founder.root, found[&founder.root])).collect();
    let signed = SignedGenesis { genesis, signatures };
    ControlRecord::Genesis(signed.clone())
        .verify()
        .map_err(|error| Failure::refused("the genesis would not be valid").because(error.to_string()))?;
    Ok(signed)
}

fn load_signature(path: &Path, alliance: &AllianceId) -> Result<(RootKey, Signature), Failure> {
    let (_, fields) = file::read(path, &[FileKind::GenesisSignature])?;
    if file::field(path, &fields, "alliance")? != alliance.hex() {
        return Err(Failure::refused(format!("{} signs another draft", path.display()))
            .because(format!("it is over alliance {}", file::field(path, &fields, "alliance")?)));
    }
    let root = RootKey::new(*file::field_key(path, &fields, "root")?);
    let bytes = file::field_bytes(path, &fields, "signature")?;
    let bytes = <[u8; 64]>::try_from(bytes.as_slice()).map_err(|_| damaged(path, "a signature is 64 bytes"))?;
    Ok((root, Signature(bytes)))
}

fn show(genesis: &Genesis, signed: Signed<'_>, output: &Output) {
    show_with(genesis, signed, None, output);
}

fn show_with(genesis: &Genesis, signed: Signed<'_>, parent: Option<String>, output: &Output) {
    let alliance = genesis.alliance_id();
    let members = genesis.founders.len();
    let mut founders: Vec<FounderShown> = genesis
        .founders
        .iter()
        .map(|founder| FounderShown {
            code: founder.code.clone(),
            name: founder.name.clone(),
            nation: nation_id(&alliance, &founder.root).hex(),
            root: founder.root.hex(),
        })
        .collect();
    founders.sort_by(|a, b| a.code.cmp(&b.code));
    let shown = GenesisShown {
        alliance: alliance.hex(),
        name: genesis.name.clone(),
        parent: genesis.parent.map(|of| ParentShown {
            alliance: of.alliance.hex(),
            charter: of.charter.hex(),
            words: parent,
        }),
        created: rfc3339(Timestamp(genesis.created_ms)),
        signed: matches!(signed, Signed::Yes),
        quorum: members * 2 / 3 + 1,
        founders,
        max_active_keys: genesis.params.max_active_keys,
        chain_quota: genesis.params.chain_quota,
    };
    output.result(&shown, || in_words(&shown, signed));
}

fn in_words(shown: &GenesisShown, signed: Signed<'_>) -> String {
    let mut text = format!(
        "alliance {:?}, drafted {}\nid {}\n{} founders; membership changes need {} of {}:\n",
        shown.name,
        shown.created,
        shown.alliance,
        shown.founders.len(),
        shown.quorum,
        shown.founders.len()
    );
    if let Some(parent) = &shown.parent {
        text.push_str(&format!("re-founds alliance {}\n  as of charter {}\n", parent.alliance, parent.charter));
        text.push_str(&parent.words.as_deref().map(|words| format!("  {words}\n")).unwrap_or_default());
    }
    for founder in &shown.founders {
        text.push_str(&format!("  {:<8} root {}  {}\n", founder.code, founder.root, founder.name));
    }
    if shown.founders.len() < 4 {
        text.push_str(
            "note: with fewer than 4 nations no lying nation is tolerated, and with 3 or fewer none can be removed\n",
        );
    }
    match signed {
        Signed::Yes => text.push_str("signed by every founder"),
        Signed::No => text.push_str("not yet signed"),
        Signed::By { code, out } => text.push_str(&format!("signature of {code} in {}", out.display())),
    }
    text
}
