//! Taking control records into a node: rosters, votes with their motions, or whole charter files; over its socket while it
//! runs, else into its store. What counts for nothing is refused with the rule it breaks, and nothing of it is kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_node::answers::charter::record_hex;
use comity_node::api::model::{ControlAnswer, ControlRefusal, ControlRequest};
use comity_node::home::{Home, HomeError};
use comity_node::store::{OpenError, Settings, Store};
use comity_protocol::charter::Anchor;
use comity_protocol::control::{ControlRecord, Roster, VerifiedControl, Vote};
use comity_protocol::effect::SaveOp;
use comity_protocol::evaluate::{Element, State};
use comity_protocol::ids::{AllianceId, ControlId};
use comity_protocol::roster::check_step;

use crate::api::Api;
use crate::failure::Failure;
use crate::found::charter::of_export;
use crate::found::file::{self, FileKind};
use crate::output::Output;

/// Most records of one request to a running node.
const REQUEST_RECORDS_MAX: usize = 1_000;

/// Why a record counts for nothing, with the rule's code, and what to do next.
type Why = (String, String);

/// A record to be taken in, and the file it came in.
struct Brought {
    record: VerifiedControl,
    path: PathBuf,
}

/// Takes the records of files into the node.
///
/// # Errors
/// [`Failure`]: exit code 1 for records that count for nothing, with the rule; the others are taken.
pub fn import(home: &Home, paths: &[PathBuf], output: &Output) -> Result<(), Failure> {
    let (mut brought, mut ids): (Vec<Brought>, BTreeSet<ControlId>) = (Vec::new(), BTreeSet::new());
    for path in paths {
        for record in read(path)? {
            // Votes for one motion each bring it along.
            if ids.insert(record.id()) {
                brought.push(Brought { record, path: path.clone() });
            }
        }
    }
    let (answer, why) = match home.lock() {
        Ok(lock) => save(Store::open(&home.store(), Settings::default(), lock)?, &brought)?,
        Err(HomeError::Store(OpenError::Locked { .. })) => (post(&Api::of(home)?, &brought)?, None),
        Err(error) => return Err(error.into()),
    };
    if let Some(refusal) = answer.refused.first() {
        return Err(refused(&brought, refusal, answer.refused.len(), why.or_else(|| ask_why(home, &brought, refusal))));
    }
    output.result(&answer, || format!("{} taken, {} already known", answer.accepted, answer.known));
    Ok(())
}

/// Reads the control records of a file, their signatures checked.
fn read(path: &Path) -> Result<Vec<VerifiedControl>, Failure> {
    let kinds = [FileKind::Roster, FileKind::Vote, FileKind::Motion, FileKind::Genesis, FileKind::Charter];
    let (kind, fields) = file::read(path, &kinds)?;
    let verified = |number: u8, name: &str| {
        let bytes = file::field_bytes(path, &fields, name)?;
        let damaged = |error: String| Failure::usage(format!("{} is damaged", path.display())).because(error);
        ControlRecord::decode(number, &bytes)
            .map_err(|error| damaged(format!("R01: {error}")).hint("ask its sender for it again"))?
            .verify()
            .map_err(|error| {
                Failure::refused(format!("{} is not valid", path.display())).because(format!("R05: {error}"))
            })
    };
    match kind {
        FileKind::Roster => Ok(vec![verified(4, "record")?]),
        FileKind::Genesis => Ok(vec![verified(1, "record")?]),
        FileKind::Motion => Ok(vec![verified(2, "record")?]),
        FileKind::Vote => {
            let (vote, motion) = (verified(3, "vote")?, verified(2, "motion")?);
            match vote.record() {
                ControlRecord::Vote(cast, _) if cast.motion == motion.id() => Ok(vec![vote, motion]),
                _ => Err(Failure::usage(format!("{} is damaged", path.display()))
                    .because("its vote is for another motion than the one it carries")
                    .hint("ask its sender for it again")),
            }
        }
        FileKind::Charter => {
            let file = crate::found::charter::load(path)?;
            Ok(file.state.control_records().into_iter().map(|control| VerifiedControl::clone(control)).collect())
        }
        FileKind::RootKey
        | FileKind::GenesisDraft
        | FileKind::GenesisSignature
        | FileKind::NodeRequest
        | FileKind::RosterDraft
        | FileKind::SignerLog
        | FileKind::ForkProof => unreachable!("not asked for"),
    }
}

/// Asks a running node to take them, in requests of bounded size.
fn post(api: &Api, brought: &[Brought]) -> Result<ControlAnswer, Failure> {
    let mut all = ControlAnswer { accepted: 0, known: 0, refused: Vec::new() };
    for (at, part) in brought.chunks(REQUEST_RECORDS_MAX).enumerate() {
        let request =
            ControlRequest { records: part.iter().map(|brought| record_hex(brought.record.record())).collect() };
        let answer: ControlAnswer =
            api.run(|client| async move { client.post("/v1/control", None, &request).await })?;
        let before = u32::try_from(at * REQUEST_RECORDS_MAX).unwrap_or(u32::MAX);
        all.accepted += answer.accepted;
        all.known += answer.known;
        let moved = |refusal: ControlRefusal| ControlRefusal { index: refusal.index.saturating_add(before), ..refusal };
        all.refused.extend(answer.refused.into_iter().map(moved));
    }
    Ok(all)
}

/// Takes the records of a charter file into the store of a home that was just made.
///
/// # Errors
/// [`Failure`] with exit code 4.
pub fn fill(home: &Home, records: &[&Arc<VerifiedControl>]) -> Result<(), Failure> {
    let path = home.path().to_owned();
    let brought = records.iter().map(|record| Brought { record: VerifiedControl::clone(record), path: path.clone() });
    save(Store::open(&home.store(), Settings::default(), home.lock()?)?, &brought.collect::<Vec<_>>()).map(|_| ())
}

/// Takes them into the store of a node that does not run: only what its evaluation keeps. Also says why the first one that is
/// refused is.
fn save(store: Store, brought: &[Brought]) -> Result<(ControlAnswer, Option<Why>), Failure> {
    let loaded = store.load()?;
    let alliance = loaded.identity.alliance;
    let held: Vec<ControlId> = loaded.control.iter().map(VerifiedControl::id).collect();
    let mut state = State::new(Anchor::founding(alliance));
    state.admit(loaded.control.into_iter().map(Element::Control).collect());
    state.admit(brought.iter().map(|brought| Element::Control(brought.record.clone())).collect());
    let mut answer = ControlAnswer { accepted: 0, known: 0, refused: Vec::new() };
    let (mut ops, mut why) = (Vec::new(), None);
    for (index, brought) in (0..).zip(brought) {
        let id = brought.record.id();
        if held.contains(&id) {
            answer.known += 1;
        } else if state.control_record(&id).is_some() {
            answer.accepted += 1;
            ops.push(SaveOp::Control(brought.record.clone()));
        } else {
            let (reason, hint) = diagnose(&state, brought.record.record());
            answer.refused.push(ControlRefusal { index, reason: reason.clone() });
            why.get_or_insert((reason, hint));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::environment("cannot start").because(error.to_string()))?;
    runtime.block_on(async {
        let saved = store.save(ops).await;
        store.close().await;
        saved
    })?;
    Ok((answer, why))
}

/// Says which rule the first refused record breaks, and what to do.
fn refused(brought: &[Brought], refusal: &ControlRefusal, count: usize, why: Option<Why>) -> Failure {
    let path = at(brought, refusal).map_or_else(|| "a record".to_owned(), |first| first.path.display().to_string());
    let also = if count > 1 { format!(", and {} more records", count - 1) } else { String::new() };
    let (cause, hint) = why.unwrap_or_else(|| {
        let hint = "bring the records it rests on first, for example with `comity charter import` of a charter file";
        (refusal.reason.clone(), hint.to_owned())
    });
    Failure::refused(format!("{path} is refused{also}")).because(cause).hint(hint)
}

fn at<'a>(brought: &'a [Brought], refusal: &ControlRefusal) -> Option<&'a Brought> {
    brought.get(usize::try_from(refusal.index).ok()?)
}

/// Asks a running node what it holds: not needed to refuse, only to say why.
fn ask_why(home: &Home, brought: &[Brought], refusal: &ControlRefusal) -> Option<Why> {
    let file = of_export(&crate::charter::ask(home).ok()?).ok()?;
    Some(diagnose(&file.state, at(brought, refusal)?.record.record()))
}

/// Returns why a record counts for nothing in a state, with the rule's code, and what to do next.
fn diagnose(state: &State, record: &ControlRecord) -> Why {
    let alliance: AllianceId = state.anchor().alliance;
    let other = |named: &AllianceId| {
        (
            format!("R03: it belongs to another alliance: it names {named}, this home is of {alliance}"),
            "import it into a node of that alliance".to_owned(),
        )
    };
    match record {
        ControlRecord::Genesis(signed) => other(&signed.genesis.alliance_id()),
        ControlRecord::Motion(motion) if motion.alliance != alliance => other(&motion.alliance),
        ControlRecord::Motion(_) => (
            "a motion is kept only where a kept vote names it (4.11)".to_owned(),
            "import the first vote for it: the vote file carries the motion".to_owned(),
        ),
        ControlRecord::Vote(vote, _) if vote.alliance != alliance => other(&vote.alliance),
        ControlRecord::Vote(vote, _) => diagnose_vote(state, vote),
        ControlRecord::Roster(roster, _) if roster.alliance != alliance => other(&roster.alliance),
        ControlRecord::Roster(roster, _) => diagnose_roster(state, roster),
    }
}

fn diagnose_vote(state: &State, vote: &Vote) -> Why {
    let Some(charter) = state.charter() else {
        return ("R04: no genesis is held".to_owned(), "import the charter file of a member first".to_owned());
    };
    if vote.height > charter.height {
        return (
            format!(
                "R04: it is on charter version {}, and version {} is the last one held",
                vote.height, charter.height
            ),
            "import the votes that made that version first, or a charter file of a node that has it".to_owned(),
        );
    }
    if (vote.height, vote.base) == (charter.height, charter.id) {
        let member = charter.members.get(&vote.nation);
        if member.is_none_or(|member| member.root != vote.root) {
            return (
                format!("R04: root {} is no member's at charter version {}", vote.root, charter.height),
                "only the root key that the charter names votes for a nation".to_owned(),
            );
        }
        return (
            "4.11: two votes of this nation in this round and step are kept already".to_owned(),
            "a nation that signs against itself is named by the two that are kept".to_owned(),
        );
    }
    (
        format!(
            "it is on charter version {} ({}), which no held charter has, or which is decided",
            vote.height,
            vote.base.short()
        ),
        "compare alliance and charter with `comity charter show`".to_owned(),
    )
}

fn diagnose_roster(state: &State, roster: &Roster) -> Why {
    let unknown = |what: String| {
        (
            what,
            "import the charter file of a member first, with the votes that admitted it or replaced its root"
                .to_owned(),
        )
    };
    let Some(charter) = state.charter() else { return unknown("R04: no genesis is held".to_owned()) };
    if let Some(removal) = charter.removed.get(&roster.nation) {
        return (
            format!("{} was removed, and its rosters end with version {}", removal.member.code, removal.roster.seq),
            "a nation that was removed comes back only as a new member".to_owned(),
        );
    }
    let Some(member) = charter.members.get(&roster.nation) else {
        return unknown(format!("R04: nation {} is not in the charter", roster.nation));
    };
    if roster.root != member.root || roster.root_gen != member.root_gen {
        return unknown(format!(
            "R04: it is signed by root {} of generation {}, and {}'s root is {} of generation {}",
            roster.root.short(),
            roster.root_gen,
            member.code,
            member.root.short(),
            member.root_gen
        ));
    }
    let prev = state.control_records().into_iter().find_map(|control| match control.record() {
        ControlRecord::Roster(prev, _) if control.id() == roster.prev => Some(prev.clone()),
        _ => None,
    });
    if prev.is_none() && !roster.prev.is_zero() {
        return (
            format!("step rule S2: version {} rests on a roster that is not held", roster.version),
            format!("import {}'s rosters before it first", member.code),
        );
    }
    match check_step(&charter.params, prev.as_ref(), roster) {
        Err(error) => (
            format!("step rule {}: {error}", error.code()),
            "draft and sign it again under the same version: what is no step counts as never signed".to_owned(),
        ),
        Ok(()) => (
            "4.11: two rosters of this version are kept already".to_owned(),
            format!("the roster of {} is forked: the alliance replaces its root", member.code),
        ),
    }
}
