//! Forks at three levels: what was said twice, what stands, and who must do what (spec 4.9).

use axum::http::StatusCode;
use comity_protocol::chain::{AuthorStatus, Chain, Held};
use comity_protocol::charter::CharterConflict;
use comity_protocol::dossier::{self, Dossier, NoDraft, RosterDossier, seen_by};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, AuthorKey, ControlId, NationId, Tip, hex};
use comity_protocol::roster::NationRoster;

use super::node::{log_row, says, written};
use super::{code, codes};
use crate::api::Refusal;
use crate::api::model::{DependentRow, ForkRow, ForkShown, Forks, PlaceRow, SaidRow, rfc3339};
use crate::driver::Reading;

/// What `forks show` calls a conflict of motions; codes of nations are in upper case.
const CHARTER: &str = "charter";
/// Most suspended statements a screen shows.
const SUSPENDED_SHOWN: usize = 20;

/// Returns the answer of `/v1/forks`: the own nation's first.
pub fn forks(reading: &Reading<'_>) -> Forks {
    let state = reading.state();
    let own = &reading.facts.nation;
    let mut rows: Vec<ForkRow> =
        state.charter_conflict().map(|conflict| charter_row(state, conflict)).into_iter().collect();
    for nation in dossier::roster_forks(state) {
        rows.extend(RosterDossier::of(state, &nation).map(|fork| roster_row(state, own, &fork)));
    }
    rows.extend(dossier::forked_authors(state).filter_map(|author| node_row(state, own, state.chain(&author)?)));
    rows.sort_by_cached_key(|row| (!row.own, !row.open, row.nation.clone(), row.level.clone(), row.node.clone()));
    Forks { rows }
}

fn node_row(state: &State, own: &NationId, chain: &Chain) -> Option<ForkRow> {
    let author = chain.author();
    let nation = code(state, &author.nation);
    let (label, to) = (dossier::label(state, &author), chain.tip().seq);
    let open = matches!(chain.status(), AuthorStatus::Active);
    let todo = match chain.status() {
        AuthorStatus::Active => Some(format!("{nation} must retire the key")),
        AuthorStatus::Retired { .. } | AuthorStatus::Removed { .. } | AuthorStatus::Unlisted => None,
    };
    Some(ForkRow {
        level: "node".to_owned(),
        name: format!("{nation}/{}", label.clone().unwrap_or_else(|| author.key.short())),
        node: Some(author.key.hex()),
        label,
        number: chain.fork()?,
        own: author.nation == *own,
        open,
        stands: format!("{} stand, {}", up_to(to), what_became(chain.status())),
        by: if open { vec![nation.clone()] } else { Vec::new() },
        nation: Some(nation),
        todo,
    })
}

fn roster_row(state: &State, own: &NationId, fork: &RosterDossier) -> ForkRow {
    let nation = code(state, &fork.nation);
    let member = state.charter().is_some_and(|charter| charter.members.contains_key(&fork.nation));
    let others = state.charter().into_iter().flat_map(|charter| charter.members.keys());
    ForkRow {
        level: "roster".to_owned(),
        name: nation.clone(),
        node: None,
        label: None,
        number: fork.version,
        own: fork.nation == *own,
        open: member,
        stands: format!("the roster of version {} stands", fork.last_common.0),
        todo: member.then(|| "the members replace its root key by a motion".to_owned()),
        by: if member { codes(state, others) } else { Vec::new() },
        nation: Some(nation),
    }
}

fn charter_row(state: &State, conflict: &CharterConflict) -> ForkRow {
    let members = state.charter().into_iter().flat_map(|charter| charter.members.keys());
    ForkRow {
        level: "charter".to_owned(),
        name: CHARTER.to_owned(),
        nation: None,
        node: None,
        label: None,
        number: conflict.height.into(),
        own: false,
        open: true,
        stands: format!("membership is frozen at version {}; ordinary work continues", conflict.height),
        todo: Some("the willing found the alliance again".to_owned()),
        by: codes(state, members),
    }
}

fn charter_shown(state: &State, conflict: &CharterConflict) -> ForkShown {
    let title = |id: &ControlId| state.motion(id).map(|motion| motion.title.clone()).unwrap_or_default();
    let said = conflict.motions.iter().map(|id| SaidRow {
        id: id.hex(),
        number: conflict.height.into(),
        time: String::new(),
        standing: "sealed".to_owned(),
        seen_by: Vec::new(),
        records: vec![title(id)],
    });
    let said: Vec<SaidRow> = said.collect();
    let [one, other] = &conflict.motions;
    let members = state.charter().map_or(0, |charter| charter.members.len());
    let mut lines = vec![format!("Two motions that change version {} are sealed:", conflict.height)];
    let rounds = conflict.rounds;
    lines.extend(
        [(one, rounds[0]), (other, rounds[1])].map(|(id, round)| format!("  {id} {:?}, in round {round}", title(id))),
    );
    let both = codes(state, &conflict.double_sealers);
    let broke: Vec<_> = conflict.sealers.intersection(&conflict.supporters).collect();
    lines.push(match (both.as_slice(), broke.as_slice()) {
        ([], []) => {
            "Sealed in different rounds; the later motion's sealers owe the support that allowed it.".to_owned()
        }
        ([], broke) => {
            format!("Sealed one and supported the other later: {}.", codes(state, broke.iter().copied()).join(", "))
        }
        (both, _) => format!("Signed by both: {} ({} of {members}).", both.join(", "), both.len()),
    });
    lines.push(format!("Membership is frozen at version {}. Ordinary work continues.", conflict.height));
    lines.push("No vote settles it. Compare the two with everybody; the willing found the alliance anew:".to_owned());
    lines.push("  comity charter export --out CHARTER".to_owned());
    lines.push("  comity genesis draft --parent CHARTER --founder …".to_owned());
    lines.push("and keep the old record beside the new one:".to_owned());
    lines.push("  comity export bundle --out BUNDLE, and in the new home: comity archive add BUNDLE".to_owned());
    ForkShown {
        fork: charter_row(state, conflict),
        lines,
        said,
        stands_to: conflict.height.into(),
        seen_by: Vec::new(),
        nations: u32::try_from(members).unwrap_or(u32::MAX),
        suspended: 0,
        suspended_listed: Vec::new(),
        cut: None,
        dependents: Vec::new(),
        draft: None,
        follows: None,
        max_active_keys: state.charter().map_or(0, |charter| charter.params.max_active_keys),
        no_draft: Some("no roster and no motion settles it; the willing found the alliance again".to_owned()),
        proof: None,
    }
}

fn up_to(seq: u64) -> String {
    match seq {
        0 => "none of its statements".to_owned(),
        seq => format!("its statements up to {seq}"),
    }
}

const fn what_became(status: AuthorStatus) -> &'static str {
    match status {
        AuthorStatus::Active => "later ones are suspended",
        AuthorStatus::Retired { .. } => "later ones are disavowed",
        AuthorStatus::Removed { .. } => "later ones came after its nation's removal",
        AuthorStatus::Unlisted => "no roster in force lists the key",
    }
}

/// Returns the answer of `/v1/fork`: the whole screen of one fork, named as `forks` names it.
///
/// # Errors
/// A refusal if no fork has that name.
pub fn fork(reading: &Reading<'_>, name: &str) -> Result<ForkShown, Refusal> {
    let state = reading.state();
    if name == CHARTER {
        let conflict = state.charter_conflict().ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "no two motions were sealed for one version").hint("see `comity forks`")
        })?;
        return Ok(charter_shown(state, conflict));
    }
    let (nation, node) = name.split_once('/').map_or((name, None), |(nation, node)| (nation, Some(node)));
    let nation = super::node::nation_named(state, nation)?;
    match node {
        Some(node) => {
            let author = author_named(state, &nation, node)?;
            let dossier = Dossier::of(state, &author).ok_or_else(|| {
                Refusal::new(StatusCode::NOT_FOUND, format!("node {node} of {} has no fork", code(state, &nation)))
                    .hint("see `comity forks`")
            })?;
            Ok(node_shown(reading, &dossier))
        }
        None => {
            let dossier = RosterDossier::of(state, &nation).ok_or_else(|| {
                Refusal::new(StatusCode::NOT_FOUND, format!("the rosters of {} do not fork", code(state, &nation)))
                    .hint("name a node as NATION/NODE; see `comity forks`")
            })?;
            Ok(roster_shown(state, &reading.facts.nation, &dossier))
        }
    }
}

/// Returns the one author of a nation with this label, or whose key begins so.
fn author_named(state: &State, nation: &NationId, text: &str) -> Result<AuthorId, Refusal> {
    let listed = state.roster(nation).into_iter().flat_map(|roster| roster.keys.keys());
    let held = state.chains_of(nation).map(|chain| chain.author().key);
    let mut keys: Vec<AuthorKey> = listed.copied().chain(held).collect();
    keys.sort_unstable();
    keys.dedup();
    let author = |key: &AuthorKey| AuthorId { nation: *nation, key: *key };
    let labelled = |key: &&AuthorKey| dossier::label(state, &author(key)).is_some_and(|label| label == text);
    let begins = |key: &&AuthorKey| text.len() >= 4 && key.hex().starts_with(&text.to_ascii_lowercase());
    let mut found: Vec<AuthorId> = keys.iter().filter(labelled).map(author).collect();
    if found.is_empty() {
        found = keys.iter().filter(begins).map(author).collect();
    }
    match *found.as_slice() {
        [author] => Ok(author),
        [] => Err(Refusal::new(StatusCode::NOT_FOUND, format!("{} has no node {text:?}", code(state, nation)))
            .hint("write its label, or the first digits of its key; see `comity forks`")),
        _ => Err(Refusal::new(StatusCode::BAD_REQUEST, format!("{text:?} names more than one node"))
            .hint("write more digits of its key")),
    }
}

fn node_shown(reading: &Reading<'_>, dossier: &Dossier) -> ForkShown {
    let state = reading.state();
    let chain = state.chain(&dossier.author).expect("a dossier is of a chain that is held");
    let fork = node_row(state, &reading.facts.nation, chain).expect("its chain forked");
    let listed = dossier.suspended_listed.iter().take(SUSPENDED_SHOWN).filter_map(|tip| chain.get(&tip.id));
    let suspended = listed.map(|held| {
        let mut row = log_row(state, chain, held);
        row.says = says(state, &dossier.author, held);
        row
    });
    let said = dossier.said.iter().filter_map(|said| Some(said_row(state, chain, chain.get(&said.tip.id)?)));
    let dependents = dossier.dependents.iter().filter_map(|dependent| {
        let author = dependent.placed.author;
        let held = state.chain(&author)?.get(&dependent.placed.tip.id)?;
        Some(DependentRow {
            envelope: held.id().hex(),
            node: author.key.hex(),
            label: dossier::label(state, &author),
            seq: held.seq(),
            waits: dependent.waits,
            records: written(state, &author, held),
        })
    });
    let draft = dossier.roster_draft(state, reading.now);
    let mut shown = ForkShown {
        said: said.collect(),
        stands_to: dossier.stands.seq,
        seen_by: codes(state, &dossier.seen_by),
        nations: u32::try_from(dossier.members).unwrap_or(u32::MAX),
        suspended: dossier.suspended,
        suspended_listed: suspended.collect(),
        cut: Some(place(dossier.cut)),
        dependents: dependents.collect(),
        follows: state.roster(&dossier.author.nation).and_then(follows),
        max_active_keys: state.charter().map_or(0, |charter| charter.params.max_active_keys),
        no_draft: draft.as_ref().err().map(NoDraft::to_string),
        draft: draft.ok().map(|roster| hex(&roster.encode())),
        proof: Some(hex(&dossier.proof.encode())),
        lines: Vec::new(),
        fork,
    };
    shown.lines = node_lines(state, dossier, &shown);
    shown
}

/// Returns the signed form of the roster in force.
fn follows(roster: &NationRoster) -> Option<String> {
    roster.roster.as_ref().map(|control| hex(&control.record().encode()))
}

pub(super) fn place(tip: Tip) -> PlaceRow {
    PlaceRow { seq: tip.seq, id: tip.id.hex() }
}

/// Returns a node's label, or the first digits of its key.
pub(super) fn node_name(state: &State, author: &AuthorId) -> String {
    dossier::label(state, author).unwrap_or_else(|| author.key.short())
}

fn said_row(state: &State, chain: &Chain, held: &Held) -> SaidRow {
    SaidRow {
        id: held.id().hex(),
        number: held.seq(),
        time: rfc3339(comity_protocol::ids::Timestamp(held.time_ms())),
        standing: chain.standing(held).code().to_owned(),
        seen_by: codes(state, &seen_by(state, chain, held)),
        records: written(state, &chain.author(), held),
    }
}

fn seen_words(seen_by: &[String], members: usize) -> String {
    format!("seen by {} of {members} nations", seen_by.len())
}

/// The screen of spec 4.9, in its words.
fn node_lines(state: &State, dossier: &Dossier, shown: &ForkShown) -> Vec<String> {
    let nation = code(state, &dossier.author.nation);
    let name = node_name(state, &dossier.author);
    let mut lines = vec![format!("Node {name} of {nation} signed two statements numbered {}.", dossier.seq)];
    for said in &shown.said {
        let records = if said.records.is_empty() { String::new() } else { format!(", {}", said.records.join(" ")) };
        let who = match said.seen_by.as_slice() {
            [] => "no witness has acknowledged it".to_owned(),
            nations => format!("acknowledged by {}", nations.join(" ")),
        };
        lines.push(format!("  {} claimed {}{records}; {who}", said.id, said.time));
    }
    if dossier.held > shown.said.len() {
        lines.push(format!("  {} statements with that number are held", dossier.held));
    }
    let (to, seen) = (dossier.stands.seq, seen_words(&shown.seen_by, dossier.members));
    lines.push(match to {
        0 => "None of its statements stands.".to_owned(),
        to => format!("Its statements up to {to} stand ({seen})."),
    });
    let count = dossier.suspended;
    match dossier.status {
        AuthorStatus::Active => {
            lines.push(format!("Later ones are suspended: {count}."));
            lines.push(format!("{nation} must retire the key."));
        }
        AuthorStatus::Retired { cut } => {
            let version = dossier::retired_in(state, &dossier.author).map_or(0, |(version, _)| version);
            lines.push(format!("{nation} retired the key at {} in roster {version}.", cut.seq));
            lines.push(format!("Later ones are disavowed: {count}."));
        }
        AuthorStatus::Removed { cut } => {
            let version = super::charter::removed_by(state, &dossier.author.nation);
            lines.push(format!("Charter version {version} removes {nation}; the key counts up to {}.", cut.seq));
            lines.push(format!("Later ones are kept as evidence: {count}."));
        }
        AuthorStatus::Unlisted => lines.push("No roster in force lists the key; all it said is suspended.".to_owned()),
    }
    if matches!(dossier.status, AuthorStatus::Active) {
        lines.push(match dossier.cut.seq {
            0 => "Recommended cut: before its first statement.".to_owned(),
            seq => format!("Recommended cut: {seq}:{}", dossier.cut.id),
        });
    }
    lines.extend(dependent_lines(shown, &nation));
    lines
}

fn dependent_lines(shown: &ForkShown, nation: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (waits, words) in [(true, "wait"), (false, "would wait with that cut")] {
        let found: Vec<&DependentRow> = shown.dependents.iter().filter(|row| row.waits == waits).collect();
        if found.is_empty() {
            continue;
        }
        lines.push(format!(
            "Changes of {nation} that {words}, because they build on what is left out: {}.",
            found.len()
        ));
        for row in found.iter().take(SUSPENDED_SHOWN) {
            lines.push(format!(
                "  {} {} of node {}: {}",
                row.seq,
                &row.envelope[..10],
                row.node,
                row.records.join(" ")
            ));
        }
    }
    lines
}

fn roster_shown(state: &State, own: &NationId, dossier: &RosterDossier) -> ForkShown {
    let nation = code(state, &dossier.nation);
    let name = |key: &AuthorKey| key.short();
    let said: Vec<SaidRow> = dossier
        .said
        .iter()
        .map(|said| SaidRow {
            id: said.id.hex(),
            number: dossier.version,
            time: rfc3339(said.time),
            standing: "suspended".to_owned(),
            seen_by: Vec::new(),
            records: said
                .enrols
                .iter()
                .map(|key| format!("enrols {}", name(key)))
                .chain(said.retires.iter().map(|key| format!("retires {}", name(key))))
                .collect(),
        })
        .collect();
    let members = state.charter().map_or(0, |charter| charter.members.len());
    let mut lines = vec![format!("The root key of {nation} signed two rosters of version {}.", dossier.version)];
    for said in &said {
        lines.push(format!("  {} claimed {}: {}", said.id, said.time, said.records.join(", ")));
    }
    lines.push(format!("Its roster of version {} stands; its older keys go on.", dossier.last_common.0));
    if !dossier.suspended.is_empty() {
        let keys: Vec<String> = dossier.suspended.iter().map(name).collect();
        lines.push(format!("Keys enrolled after it are suspended, final statements included: {}.", keys.join(", ")));
    }
    if !dossier.retired.is_empty() {
        let keys: Vec<String> = dossier.retired.iter().map(name).collect();
        lines.push(format!("Keys that either retires stay retired: {}.", keys.join(", ")));
    }
    let (version, id) = dossier.last_common;
    lines.push(format!("The members must replace its root key by a motion, from roster {version} ({id}) on."));
    ForkShown {
        fork: roster_row(state, own, dossier),
        lines,
        said,
        stands_to: version,
        seen_by: Vec::new(),
        nations: u32::try_from(members).unwrap_or(u32::MAX),
        suspended: dossier.suspended.len() as u64,
        suspended_listed: Vec::new(),
        cut: None,
        dependents: Vec::new(),
        draft: None,
        follows: None,
        max_active_keys: state.charter().map_or(0, |charter| charter.params.max_active_keys),
        no_draft: Some(format!(
            "a motion is needed: `comity forks show {nation} --new-root KEY --motion-draft FILE` drafts it"
        )),
        proof: None,
    }
}
