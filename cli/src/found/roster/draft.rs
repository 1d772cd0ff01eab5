//! Drafts of the next roster: what breaks a step rule is refused here, with the rule, before anybody signs.

use std::path::Path;

use comity_protocol::charter::CharterMember;
use comity_protocol::control::{ControlRecord, KeyStatus, Roster, RosterKey};
use comity_protocol::ids::{AuthorId, AuthorKey, ControlId, Tip};

use super::{Draft, NextArgs, load_record, roster_of};
use crate::failure::Failure;
use crate::found::charter::{CharterFile, find_key, parse_tip};
use crate::found::file::{self, FileKind};
use crate::output::now;

pub(super) fn enrol(args: &NextArgs, request: &Path, witness: bool) -> Result<Draft, Failure> {
    let (mut draft, _) = next(args)?;
    add(&mut draft.roster, request, witness)?;
    Ok(draft)
}

pub(super) fn retire(
    args: &NextArgs,
    node: &str,
    cut: &str,
    enrol: Option<&Path>,
    witness: bool,
) -> Result<Draft, Failure> {
    let (mut draft, file) = next(args)?;
    let key = find_key(&draft.roster, node)?;
    let cut = match cut {
        "last" => last(&file, &draft.roster, &key)?,
        cut => parse_tip(cut)?,
    };
    set_cut(&mut draft.roster, &key, cut);
    if let Some(request) = enrol {
        add(&mut draft.roster, request, witness)?;
    }
    Ok(draft)
}

pub(super) fn lower_cut(args: &NextArgs, node: &str, cut: &str) -> Result<Draft, Failure> {
    let (mut draft, _) = next(args)?;
    let key = find_key(&draft.roster, node)?;
    let cut = parse_tip(cut)?;
    if draft.roster.keys.iter().any(|known| known.node == key && known.status == KeyStatus::Active) {
        return Err(Failure::refused(format!("node {node} is active and has no cut"))
            .hint("`comity roster retire` gives it one"));
    }
    set_cut(&mut draft.roster, &key, cut);
    Ok(draft)
}

pub(super) fn close(args: &NextArgs, cuts: &[String]) -> Result<Draft, Failure> {
    let (mut draft, file) = next(args)?;
    for text in cuts {
        let (node, cut) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("{text:?} is no cut")).hint("write NODE=SEQ:ID, or NODE=0 for nothing")
        })?;
        let key = find_key(&draft.roster, node)?;
        set_cut(&mut draft.roster, &key, parse_tip(cut)?);
    }
    let active: Vec<AuthorKey> =
        draft.roster.keys.iter().filter(|key| key.status == KeyStatus::Active).map(|key| key.node).collect();
    for key in active {
        let cut = last(&file, &draft.roster, &key)?;
        set_cut(&mut draft.roster, &key, cut);
    }
    draft.roster.closed = true;
    Ok(draft)
}

/// Returns the roster that follows the one in force, unchanged but for its place.
fn next(args: &NextArgs) -> Result<(Draft, CharterFile), Failure> {
    let file = args.basis.load()?;
    let given = args.prev.as_deref().map(|path| load_record(path).map(|record| (path, record))).transpose()?;
    let member = member_of(args, &file, given.as_ref().map(|(_, record)| record))?;
    let prev = match given {
        Some((path, record)) => {
            check_given(path, &record, &member, &file)?;
            Some(record)
        }
        None => in_force(&file, &member)?,
    };
    let start = prev.as_ref().and_then(roster_of).cloned();
    let roster = match start {
        None => Roster {
            alliance: file.state.anchor().alliance,
            nation: member.id,
            root: member.root,
            root_gen: member.root_gen,
            version: 1,
            prev: ControlId::ZERO,
            time_ms: now().0,
            keys: Vec::new(),
            closed: false,
            note: args.note.clone(),
        },
        Some(prev) => Roster {
            root: member.root,
            root_gen: member.root_gen,
            version: prev.version + 1,
            prev: prev.id(),
            time_ms: now().0.max(prev.time_ms),
            note: args.note.clone(),
            ..prev
        },
    };
    let max_active_keys = file.charter()?.params.max_active_keys;
    Ok((Draft { roster, prev, code: member.code, max_active_keys }, file))
}

/// Returns the member the roster is for.
fn member_of(args: &NextArgs, file: &CharterFile, prev: Option<&ControlRecord>) -> Result<CharterMember, Failure> {
    let charter = file.charter()?;
    let by_code = args.nation.as_deref().map(|code| {
        charter.by_code(code).map(|member| member.id).ok_or_else(|| {
            let codes: Vec<_> = charter.members.values().map(|member| member.code.as_str()).collect();
            Failure::usage(format!("{code} is no nation of this alliance"))
                .because(format!("its nations are {}", codes.join(", ")))
        })
    });
    let of_prev = prev.and_then(roster_of).map(|roster| roster.nation);
    let by_code = by_code.transpose()?;
    if let (Some(code), Some(prev)) = (by_code, of_prev)
        && code != prev
    {
        return Err(Failure::refused("the roster given by --prev is another nation's"));
    }
    let Some(nation) = by_code.or(of_prev).or(file.nation) else {
        return Err(Failure::usage("it is not said for which nation").hint("name it with --nation CODE"));
    };
    if let Some(removal) = charter.removed.get(&nation) {
        return Err(Failure::refused(format!("{} was removed from the alliance", removal.member.code))
            .because(format!("its rosters end with version {}", removal.roster.seq)));
    }
    charter.members.get(&nation).cloned().ok_or_else(|| {
        Failure::refused("the roster given by --prev is of no nation of this alliance")
            .because(format!("R04: nation {nation} is not in the charter"))
            .hint("with a charter file, --charter, nations that were admitted later are known too")
    })
}

/// The roster in force by the charter file.
fn in_force(file: &CharterFile, member: &CharterMember) -> Result<Option<ControlRecord>, Failure> {
    let Some(evaluated) = file.state.roster(&member.id) else { return Ok(None) };
    if let Some(version) = evaluated.fork {
        return Err(forked(member, version));
    }
    if evaluated.missing {
        return Err(Failure::refused(format!(
            "the roster that {}'s present root starts from is not held",
            member.code
        ))
        .because(format!("the charter names version {}", member.floor.seq))
        .hint("export the charter from a node that holds it"));
    }
    Ok(evaluated.roster.as_ref().map(|control| control.record().clone()))
}

fn forked(member: &CharterMember, version: u64) -> Failure {
    Failure::refused(format!("the roster of {} is forked at version {version}", member.code))
        .because("two rosters of that version are signed; no further roster of this root counts")
        .hint(format!("the alliance replaces the root: comity motion propose --replace-root {}=ROOT", member.code))
}

/// Checks a roster given by hand against what the charter file knows.
fn check_given(path: &Path, record: &ControlRecord, member: &CharterMember, file: &CharterFile) -> Result<(), Failure> {
    let Some(prev) = roster_of(record) else { return Ok(()) };
    if prev.alliance != file.state.anchor().alliance {
        return Err(Failure::refused("the roster belongs to another alliance")
            .because(format!("R03: it names alliance {}", prev.alliance)));
    }
    let is_floor = member.floor.seq == prev.version && member.floor.id.as_bytes() == prev.id().as_bytes();
    if (prev.root != member.root || prev.root_gen != member.root_gen) && !is_floor {
        return Err(Failure::refused(format!("{} was not signed by {}'s present root", path.display(), member.code))
            .because(format!("R04: it names root {}, the charter {}", prev.root, member.root))
            .hint("leave --prev out and use a charter file: --charter"));
    }
    let Some(evaluated) = file.state.roster(&member.id) else { return Ok(()) };
    if let Some(version) = evaluated.fork {
        return Err(forked(member, version));
    }
    let (version, id) = evaluated.tip();
    if version > prev.version || version == prev.version && id != prev.id() {
        return Err(Failure::refused(format!("version {version} of {}'s roster is in force already", member.code))
            .because(format!("a roster that follows version {} would fork it", prev.version))
            .hint("leave --prev out: the one in force is in the charter file"));
    }
    Ok(())
}

fn last(file: &CharterFile, roster: &Roster, key: &AuthorKey) -> Result<Tip, Failure> {
    let author = AuthorId { nation: roster.nation, key: *key };
    let label = roster.keys.iter().find(|known| known.node == *key).map_or_else(String::new, |key| key.label.clone());
    match (file.best(&author), file.nation) {
        (Some(tip), _) => Ok(tip),
        (None, Some(_)) => Ok(Tip::NONE),
        (None, None) => Err(Failure::usage(format!("it is not said where node {label} ends"))
            .because("a genesis knows no envelopes")
            .hint("name the cut as SEQ:ID, or use a charter file: --charter")),
    }
}

fn set_cut(roster: &mut Roster, node: &AuthorKey, cut: Tip) {
    for key in roster.keys.iter_mut().filter(|key| key.node == *node) {
        key.status = KeyStatus::Retired { cut };
    }
}

fn add(roster: &mut Roster, request: &Path, witness: bool) -> Result<(), Failure> {
    let key = load_request(request)?;
    if roster.keys.iter().any(|known| known.node == key.node) {
        return Err(Failure::refused(format!("node {} already stands in the roster", key.node))
            .hint("a retired key stays retired: give the machine a new home, and enrol its new key"));
    }
    let witnessed = roster.keys.iter().any(|key| key.witness && key.status == KeyStatus::Active);
    roster.keys.push(RosterKey { witness: witness || !witnessed, ..key });
    roster.keys.sort_by_key(|key| key.node);
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
