//! Drafts of motions: what can never be adopted is refused with the rule, and cuts are filled in from what a node holds whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comity_node::api::model::MotionRow;
use comity_node::home::Home;
use comity_protocol::charter::{Charter, CharterMember};
use comity_protocol::control::{CharterChange, ControlRecord, KeyStatus, Member, Motion, Params, Roster};
use comity_protocol::ids::{AuthorId, AuthorKey, ControlId, EnvelopeId, RootKey, Tip};

use super::{Source, in_words, row};
use crate::failure::Failure;
use crate::found::charter::{CharterFile, find_key, parse_tip};
use crate::found::file::{self, FileKind};
use crate::found::root;
use crate::output::Output;

/// What is proposed.
#[derive(clap::Args, Debug)]
pub struct ProposeArgs {
    #[command(flatten)]
    source: Source,
    /// A line that says what it is about, 1 to 64 bytes.
    #[arg(long)]
    title: String,
    /// The reasons, at most 16 KiB.
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    /// Admit a nation: its code, its root public key, and optionally its name. May stand several times.
    #[arg(long = "admit", value_name = "CODE=ROOT[=NAME]")]
    admits: Vec<String>,
    /// Remove a nation; every node of its roster is cut where this node holds its chain. May stand several times.
    #[arg(long = "remove", value_name = "CODE")]
    removes: Vec<String>,
    /// Cut a node of a removed nation elsewhere; 0 for nothing. May stand several times.
    #[arg(long = "cut", value_name = "CODE/NODE=SEQ:ID", requires = "removes")]
    cuts: Vec<String>,
    /// Replace a nation's root key; its rosters go on from the last good one. May stand several times.
    #[arg(long = "replace-root", value_name = "CODE=ROOT")]
    roots: Vec<String>,
    /// Let a nation's rosters go on from this version instead, or end with it; 0 for none. May stand several times.
    #[arg(long = "floor", value_name = "CODE=VERSION")]
    floors: Vec<String>,
    /// Allow a nation this many active node keys.
    #[arg(long, value_name = "N")]
    max_active_keys: Option<u8>,
    /// Allow a chain this many bytes.
    #[arg(long, value_name = "BYTES")]
    chain_quota: Option<u64>,
    /// Where to write the motion.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn propose(home: Result<Home, Failure>, args: &ProposeArgs, output: &Output) -> Result<(), Failure> {
    file::check_free(&args.out)?;
    let held = args.source.load(home)?;
    let charter = held.charter()?;
    not_frozen(&held)?;
    let motion = Motion {
        alliance: held.state.anchor().alliance,
        height: charter.height,
        base: charter.id,
        nonce: nonce()?,
        title: args.title.clone(),
        text: args.text.clone().into_bytes(),
        changes: changes(args, &held, charter)?,
    };
    let row = write(&args.out, &held, &motion)?;
    output.result(&row, || format!("{}\nin {}", in_words(&row), args.out.display()));
    Ok(())
}

/// Draws what makes two motions that say the same differ.
///
/// # Errors
/// [`Failure`] if the system gives no random bytes.
pub fn nonce() -> Result<u64, Failure> {
    let mut nonce = [0_u8; 8];
    getrandom::fill(&mut nonce)
        .map_err(|error| Failure::environment("cannot draw a random nonce").because(error.to_string()))?;
    Ok(u64::from_be_bytes(nonce))
}

/// Writes a motion into a new file, if it may be adopted; returns it with what comes next.
///
/// # Errors
/// [`Failure`] with the rule it breaks; nothing is written then, and nothing is ever overwritten.
pub fn write(path: &Path, held: &CharterFile, motion: &Motion) -> Result<MotionRow, Failure> {
    not_frozen(held)?;
    check(held.charter()?, motion)?;
    file::write_record(path, FileKind::Motion, &motion.encode())?;
    Ok(row(held, motion))
}

fn not_frozen(held: &CharterFile) -> Result<(), Failure> {
    match comity_node::answers::charter::frozen(&held.state) {
        None => Ok(()),
        Some(frozen) => Err(Failure::refused("no motion can be adopted any more")
            .because(frozen)
            .hint("keep working; willing nations re-found the alliance: comity genesis draft --parent CHARTER")),
    }
}

fn check(charter: &Charter, motion: &Motion) -> Result<(), Failure> {
    if motion.changes.is_empty() {
        return Err(Failure::usage("the motion changes nothing")
            .hint("say what: --admit, --remove, --replace-root, --max-active-keys or --chain-quota"));
    }
    let refused = |why: String| Failure::refused("this motion could never be adopted").because(why);
    let record = ControlRecord::decode(2, &motion.encode())
        .map_err(|error| Failure::usage("this motion would not be valid").because(format!("R06: {error}")))?;
    record.verify().map_err(|error| refused(format!("R05: {error}")))?;
    charter.well_formed(motion).map_err(|error| {
        refused(format!("4.5.1: {error}")).hint("`comity charter show` says who belongs and under which roots")
    })
}

fn changes(args: &ProposeArgs, held: &CharterFile, charter: &Charter) -> Result<Vec<CharterChange>, Failure> {
    let mut floors = Floors::read(&args.floors)?;
    let mut cuts = args.cuts.iter().map(|text| parse_cut(text)).collect::<Result<Vec<_>, _>>()?;
    let mut changes = Vec::new();
    for text in &args.admits {
        changes.push(CharterChange::Admit(member(text)?));
    }
    for code in &args.removes {
        let member = present(charter, code)?;
        let own = cuts.extract_if(.., |(of, ..)| of == code).map(|(_, node, tip)| (node, tip)).collect();
        changes.push(remove(held, member, own, floors.take(code))?);
    }
    for text in &args.roots {
        let (code, root) = code_and_root(text)?;
        let member = present(charter, &code)?;
        let roster = floor(held, member, floors.take(&code))?;
        changes.push(CharterChange::ReplaceRoot { nation: member.id, root, roster });
    }
    if args.max_active_keys.is_some() || args.chain_quota.is_some() {
        let now = charter.params;
        changes.push(CharterChange::SetParams(Params {
            max_active_keys: args.max_active_keys.unwrap_or(now.max_active_keys),
            chain_quota: args.chain_quota.unwrap_or(now.chain_quota),
        }));
    }
    if let Some((code, ..)) = cuts.first() {
        return Err(Failure::usage(format!("a cut is given for {code}, which the motion does not remove")));
    }
    floors.none_left()?;
    Ok(changes)
}

fn member(text: &str) -> Result<Member, Failure> {
    let mut parts = text.splitn(3, '=');
    let (code, root) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (code, root) = code_and_root(&format!("{code}={root}"))?;
    let name = parts.next().unwrap_or(&code).to_owned();
    Ok(Member { root, code, name, next_root: None })
}

fn code_and_root(text: &str) -> Result<(String, RootKey), Failure> {
    let (code, root) = text.split_once('=').unwrap_or((text, ""));
    root::check_code(code)?;
    Ok((code.to_owned(), root::parse_key(root)?))
}

fn present<'a>(charter: &'a Charter, code: &str) -> Result<&'a CharterMember, Failure> {
    charter.members.values().find(|member| member.code == code).ok_or_else(|| {
        let codes: Vec<_> = charter.members.values().map(|member| member.code.as_str()).collect();
        Failure::usage(format!("{code} is no member of the alliance"))
            .because(format!("its members are {}", codes.join(", ")))
    })
}

/// Removes a nation with a cut for every key its roster lists: a key that is not named would count for nothing.
fn remove(
    held: &CharterFile,
    member: &CharterMember,
    given: Vec<(String, Tip)>,
    floor_version: Option<u64>,
) -> Result<CharterChange, Failure> {
    let roster = floor(held, member, floor_version)?;
    let mut cuts: BTreeMap<AuthorKey, Tip> = BTreeMap::new();
    let Some(listed) = listed(held, member, &roster) else {
        return Ok(CharterChange::Remove { nation: member.id, cuts: Vec::new(), roster });
    };
    for key in &listed.keys {
        let author = AuthorId { nation: member.id, key: key.node };
        let best = held.best(&author).unwrap_or(Tip::NONE);
        // Above the nation's own cut nothing counts anyway.
        let cut = match key.status {
            KeyStatus::Retired { cut } if cut.seq <= best.seq && held.holds(&author, &cut) => cut,
            KeyStatus::Retired { cut } if cut.seq < best.seq => cut,
            KeyStatus::Active | KeyStatus::Retired { .. } => best,
        };
        cuts.insert(key.node, cut);
    }
    for (node, cut) in given {
        let key = find_key(listed, &node)?;
        let author = AuthorId { nation: member.id, key };
        if cut != Tip::NONE && !held.holds(&author, &cut) {
            return Err(Failure::refused(format!("this node does not hold envelope {} of node {node} whole", cut.seq))
                .because("V3: nobody may seal a cut whose chain it does not hold, bodies included")
                .hint("cut where the chain is held: leave --cut out, or wait until the node has it"));
        }
        cuts.insert(key, cut);
    }
    Ok(CharterChange::Remove { nation: member.id, cuts: cuts.into_iter().collect(), roster })
}

/// Returns the roster that a nation's rosters go on from, or end with: the last good one unless a version is named.
fn floor(held: &CharterFile, member: &CharterMember, version: Option<u64>) -> Result<Tip, Failure> {
    let Some(evaluated) = held.state.roster(&member.id) else { return Ok(Tip::NONE) };
    let (last, id) = evaluated.tip();
    let tip = |version: u64, id: ControlId| Tip { seq: version, id: EnvelopeId::new(*id.as_bytes()) };
    match version {
        None if last == 0 => Ok(Tip::NONE),
        None => Ok(tip(last, id)),
        Some(0) => Ok(Tip::NONE),
        Some(wanted) => {
            let mut at = evaluated.record().cloned();
            while let Some(roster) = at {
                if roster.version == wanted {
                    return Ok(tip(wanted, roster.id()));
                }
                at = by_id(held, &roster.prev);
            }
            Err(Failure::refused(format!("version {wanted} of {}'s roster is not held", member.code))
                .because(format!("the last good one is version {last}")))
        }
    }
}

fn by_id(held: &CharterFile, id: &ControlId) -> Option<Roster> {
    match held.state.control_record(id)?.record() {
        ControlRecord::Roster(roster, _) => Some(roster.clone()),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..) => None,
    }
}

/// The roster whose keys a removal must name.
fn listed<'a>(held: &'a CharterFile, member: &CharterMember, roster: &Tip) -> Option<&'a Roster> {
    comity_node::answers::charter::named_roster(&held.state, &member.id, roster)
        .or_else(|| held.state.roster(&member.id).and_then(|roster| roster.record()))
}

fn parse_cut(text: &str) -> Result<(String, String, Tip), Failure> {
    let parts = text.split_once('=').and_then(|(of, tip)| of.split_once('/').map(|(code, node)| (code, node, tip)));
    let (code, node, tip) = parts.ok_or_else(|| {
        Failure::usage(format!("{text:?} is no cut")).hint("write CODE/NODE=SEQ:ID, or CODE/NODE=0 for nothing")
    })?;
    Ok((code.to_owned(), node.to_owned(), parse_tip(tip)?))
}

/// The versions given with --floor, by code.
struct Floors(BTreeMap<String, u64>);

impl Floors {
    fn read(texts: &[String]) -> Result<Self, Failure> {
        let one = |text: &String| {
            let floor = text.split_once('=').and_then(|(code, version)| Some((code.to_owned(), version.parse().ok()?)));
            floor.ok_or_else(|| Failure::usage(format!("{text:?} is no floor")).hint("write CODE=VERSION"))
        };
        texts.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    fn take(&mut self, code: &str) -> Option<u64> {
        self.0.remove(code)
    }

    fn none_left(&self) -> Result<(), Failure> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(code) => {
                Err(Failure::usage(format!("a floor is given for {code}, whose root the motion does not touch")))
            }
        }
    }
}
