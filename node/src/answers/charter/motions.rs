//! What is proposed, who voted for it, and what comes next.

use std::collections::BTreeSet;

use comity_protocol::charter::{Ballots, Charter};
use comity_protocol::control::{CharterChange, Motion, Params, Roster, VoteStep};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorKey, ControlId, NationId, Tip};

use super::state::count;
use crate::answers::code;
use crate::api::model::{HeldWhole, MotionChange, MotionRow, Motions, RoundRow};

/// Returns the motions with a vote on the version in force; `held` is what the own node holds whole. `None` before the genesis
/// is held.
pub fn motions(state: &State, held: &[HeldWhole]) -> Option<Motions> {
    let charter = state.charter()?;
    let ballots = state.ballots();
    Some(Motions {
        height: charter.height,
        charter: charter.id.hex(),
        nations: count(charter.members.len()),
        quorum: count(charter.quorum()),
        round: ballots.suggested_round(),
        round_max: ballots.round_max(),
        frozen: frozen(state),
        motions: ballots.motions().iter().map(|id| row(state, held, id, state.motion(id))).collect(),
    })
}

/// Returns why nothing can be decided on the version in force.
pub fn frozen(state: &State) -> Option<String> {
    let conflict = state.charter_conflict()?;
    Some(format!("two motions are sealed for version {}: see `comity charter show`", u64::from(conflict.height) + 1))
}

/// Returns one motion with its votes; it may be one that no kept vote names.
pub fn row(state: &State, held: &[HeldWhole], id: &ControlId, motion: Option<&Motion>) -> MotionRow {
    let Some(charter) = state.charter() else { return unheld(id, 0, Vec::new()) };
    let ballots = state.ballots();
    let rounds = rounds(state, ballots, id);
    let Some(motion) = motion else { return unheld(id, charter.height, rounds) };
    let base = state.charter_versions().iter().find(|base| (base.height, base.id) == (motion.height, motion.base));
    let adopted = state.charter_versions().iter().any(|version| version.motion == Some(*id));
    let passed = base.is_some_and(|base| base.height < charter.height);
    let ill = if passed || adopted { None } else { charter.well_formed(motion).err() };
    let (named, reason) = match (adopted, passed, &ill) {
        (true, ..) => ("sealed", None),
        (false, true, _) => ("passed", Some(format!("version {} was decided otherwise", motion.height))),
        (false, false, Some(ill)) => ("ill_formed", Some(format!("4.5.1: {ill}"))),
        (false, false, None) => ("open", None),
    };
    let after = base.and_then(|base| base.apply(id, motion).ok());
    let base: &Charter = base.map_or(charter, AsRef::as_ref);
    let open = named == "open";
    let mut warnings = if open { missing_keys(state, charter, motion) } else { Vec::new() };
    if let Some(after) = after.as_ref().filter(|_| open) {
        warnings.extend(finality(state, after, held));
        warnings.extend(electorate(charter, after));
    }
    MotionRow {
        motion: id.hex(),
        title: Some(motion.title.clone()),
        text: Some(String::from_utf8_lossy(&motion.text).into_owned()),
        height: motion.height,
        state: named.to_owned(),
        reason,
        changes: motion.changes.iter().map(|change| change_words(state, base, change)).collect(),
        nations_after: after.as_ref().map(|after| count(after.members.len())),
        quorum_after: after.as_ref().map(|after| count(after.quorum())),
        rounds,
        next: match named {
            "open" => next(state, charter, ballots, id),
            "sealed" => "nothing: it is adopted".to_owned(),
            "passed" => "propose it again on the version in force, if it is still wanted".to_owned(),
            _ => "it can never be adopted: propose another".to_owned(),
        },
        warnings,
    }
}

fn unheld(id: &ControlId, height: u32, rounds: Vec<RoundRow>) -> MotionRow {
    MotionRow {
        motion: id.hex(),
        title: None,
        text: None,
        height,
        state: "unknown".to_owned(),
        reason: Some("only votes for it are held, not the motion".to_owned()),
        changes: Vec::new(),
        nations_after: None,
        quorum_after: None,
        rounds,
        next: "import the file of a vote for it: it carries the motion".to_owned(),
        warnings: Vec::new(),
    }
}

fn rounds(state: &State, ballots: &Ballots, id: &ControlId) -> Vec<RoundRow> {
    let numbers: BTreeSet<u16> =
        ballots.iter().filter(|(_, _, motion, _)| motion == id).map(|(round, ..)| round).collect();
    let rows = numbers.into_iter().map(|round| RoundRow {
        round,
        supports: codes(state, &ballots.supports(round, id)),
        seals: codes(state, &ballots.seals(round, id)),
    });
    rows.collect()
}

fn codes(state: &State, nations: &BTreeSet<NationId>) -> Vec<String> {
    let mut codes: Vec<String> = nations.iter().map(|nation| code(state, nation)).collect();
    codes.sort();
    codes
}

/// What the members do next for a motion that may still be adopted.
fn next(state: &State, charter: &Charter, ballots: &Ballots, id: &ControlId) -> String {
    if let Some(why) = frozen(state) {
        return format!("nothing can be decided: {why}");
    }
    let quorum = charter.quorum();
    let supported = |round: &u16| ballots.has_quorum(*round, VoteStep::Support, id);
    let open = ballots.suggested_round();
    // The latest round in which it may be sealed; a later round that is open does not end that.
    let sealing = (0..=ballots.round_max()).rev().find(supported);
    match sealing {
        Some(round) if round >= open => {
            let sealed = ballots.seals(round, id);
            let missing: BTreeSet<NationId> =
                charter.members.keys().filter(|nation| !sealed.contains(nation)).copied().collect();
            format!(
                "seal now in round {round}: {} of {quorum} sealed; not yet: {}",
                sealed.len(),
                codes(state, &missing).join(", ")
            )
        }
        _ => {
            let have = ballots.supports(open, id);
            let voted: BTreeSet<NationId> = ballots
                .iter()
                .filter(|(round, step, ..)| *round == open && *step == VoteStep::Support)
                .flat_map(|(.., nations)| nations.keys().copied())
                .collect();
            let free: BTreeSet<NationId> =
                charter.members.keys().filter(|nation| !voted.contains(nation)).copied().collect();
            let wanted = quorum.saturating_sub(have.len());
            if open > 0 && voted.is_empty() {
                return format!("open round {open}: no motion can pass in round {}; support it there", open - 1);
            }
            if wanted > free.len() {
                return format!(
                    "it cannot pass in round {open}: another motion has the votes; wait for that one or for the next round"
                );
            }
            let more = if wanted == 1 { "1 more support".to_owned() } else { format!("{wanted} more supports") };
            format!("wait for {more} in round {open}; not yet: {}", codes(state, &free).join(", "))
        }
    }
}

/// Returns a change in words, against the charter version it changes.
pub fn change_words(state: &State, base: &Charter, change: &CharterChange) -> MotionChange {
    let of = |nation: &NationId| base.nation(nation).map_or_else(|| nation.short(), |member| member.code.clone());
    match change {
        CharterChange::Admit(member) => MotionChange {
            change: "admit".to_owned(),
            nation: Some(member.code.clone()),
            words: vec![format!("admits {} ({}) with root {}", member.code, member.name, member.root)],
        },
        CharterChange::Remove { nation, cuts, roster } => {
            let code = of(nation);
            let rosters = match roster.seq {
                0 => "none of its rosters counts".to_owned(),
                version => format!("its rosters end with version {version}"),
            };
            let mut words = vec![format!("removes {code}; {rosters}")];
            words.extend(cuts.iter().map(|(node, cut)| cut_words(state, nation, node, cut)));
            words[1..].sort();
            MotionChange { change: "remove".to_owned(), nation: Some(code), words }
        }
        CharterChange::ReplaceRoot { nation, root, roster } => {
            let code = of(nation);
            let old = base.members.get(nation).map_or_else(String::new, |member| format!(" {}", member.root.short()));
            let from = match roster.seq {
                0 => "its rosters begin anew".to_owned(),
                version => format!("its rosters go on from version {version} ({})", roster.id.short()),
            };
            let words = vec![format!("replaces the root{old} of {code} by {root}; {from}")];
            MotionChange { change: "replace_root".to_owned(), nation: Some(code), words }
        }
        CharterChange::SetParams(params) => MotionChange {
            change: "set_params".to_owned(),
            nation: None,
            words: vec![params_words(base.params, *params)],
        },
        CharterChange::SetRules(rules) => MotionChange {
            change: "set_rules".to_owned(),
            nation: None,
            words: vec![format!("goes from rules {} to rules {rules}", base.rules)],
        },
    }
}

fn cut_words(state: &State, nation: &NationId, node: &AuthorKey, cut: &Tip) -> String {
    let label = state.roster(nation).and_then(|roster| Some(roster.key(node)?.label.clone())).unwrap_or_default();
    let name = format!("{label} {}", node.short());
    let name = name.trim();
    match cut.seq {
        0 => format!("nothing of node {name} counts"),
        seq => format!("node {name} counts up to envelope {seq} ({})", cut.id.short()),
    }
}

fn params_words(now: Params, next: Params) -> String {
    let mut words = Vec::new();
    if next.max_active_keys != now.max_active_keys {
        words.push(format!("active keys of a nation from {} to {}", now.max_active_keys, next.max_active_keys));
    }
    if next.chain_quota != now.chain_quota {
        words.push(format!("bytes of a chain from {} to {}", now.chain_quota, next.chain_quota));
    }
    if words.is_empty() { "changes no parameter".to_owned() } else { format!("raises {}", words.join(" and ")) }
}

/// Returns the roster that a change of the charter names, if it is held.
pub fn named_roster<'a>(state: &'a State, nation: &NationId, tip: &Tip) -> Option<&'a Roster> {
    let control = state.control_record(&ControlId::new(*tip.id.as_bytes()))?;
    match control.record() {
        comity_protocol::control::ControlRecord::Roster(roster, _)
            if roster.nation == *nation && roster.version == tip.seq =>
        {
            Some(roster)
        }
        _ => None,
    }
}

/// Returns the keys of a nation's roster that a removal does not name: what they said would count for nothing.
pub fn keys_not_named(state: &State, nation: &NationId, cuts: &[(AuthorKey, Tip)], roster: &Tip) -> Vec<AuthorKey> {
    let named = named_roster(state, nation, roster);
    let in_force = state.roster(nation).and_then(|roster| roster.record());
    let keys = named.into_iter().chain(in_force).flat_map(|roster| roster.keys.iter().map(|key| key.node));
    let missing: BTreeSet<AuthorKey> = keys.filter(|key| cuts.iter().all(|(cut, _)| cut != key)).collect();
    missing.into_iter().collect()
}

fn missing_keys(state: &State, charter: &Charter, motion: &Motion) -> Vec<String> {
    let mut warnings = Vec::new();
    for change in &motion.changes {
        let CharterChange::Remove { nation, cuts, roster } = change else { continue };
        for key in keys_not_named(state, nation, cuts, roster) {
            let code = charter.nation(nation).map_or_else(|| nation.short(), |member| member.code.clone());
            warnings.push(format!("it names no cut for node {} of {code}: nothing it said would count", key.short()));
        }
    }
    warnings
}

/// T4: what witnesses made final of a forked chain stands only as long as enough members say so.
fn finality(state: &State, after: &Charter, held: &[HeldWhole]) -> Vec<String> {
    let finals = held.iter().filter(|whole| whole.what == "final" && whole.fork.is_some());
    let weak = finals.filter_map(|whole| {
        let seen = |nation: &&NationId| whole.seen_by.contains(&nation.hex());
        let have = after.members.keys().filter(seen).count();
        let nation = NationId::from_hex(&whole.nation)?;
        (have < after.quorum()).then(|| {
            format!(
                "envelope {} of the forked node {} of {} would no longer be final: {have} of {} nations saw it",
                whole.seq,
                &whole.node[..10],
                code(state, &nation),
                after.quorum()
            )
        })
    });
    weak.collect()
}

fn electorate(charter: &Charter, after: &Charter) -> Option<String> {
    let (before, now) = (charter.members.len() - charter.quorum(), after.members.len() - after.quorum());
    (now < before).then(|| format!("after it {now} nations may be lost before membership cannot change, now {before}"))
}

#[cfg(test)]
mod tests {
    use comity_protocol::control::{ControlRecord, VerifiedControl};
    use comity_protocol::evaluate::Element;
    use comity_protocol::testing::{TestAlliance, TestEnvelope, witness_of};

    use super::*;
    use crate::answers::charter::held_whole;

    fn admit(state: &mut State, envelopes: &[TestEnvelope]) {
        state.admit(envelopes.iter().flat_map(TestEnvelope::elements).collect::<Vec<Element>>());
    }

    fn warnings(state: &State, motion: &VerifiedControl) -> Vec<String> {
        let ControlRecord::Motion(record) = motion.record() else { panic!("a motion") };
        let row = row(state, &held_whole(state), &motion.id(), Some(record));
        assert_eq!((row.state.as_str(), row.reason), ("open", None));
        row.warnings.into_iter().filter(|warning| warning.contains("final")).collect()
    }

    #[test]
    fn a_motion_warns_where_a_forked_chains_final_certificate_would_fall_below_the_quorum() {
        let mut alliance = TestAlliance::new(9, &[("UKR", 2), ("POL", 1), ("DEU", 1), ("FRA", 1)]);
        let mut state = alliance.state();
        let node = alliance.node(0, 1);
        let common: Vec<TestEnvelope> = (0..2).map(|_| node.raw_change(Vec::new())).collect();
        let (author, tip, mut clone) = (node.author, node.tip, node.clone());
        admit(&mut state, &common);
        for nation in 1..4 {
            let seen = alliance.node(nation, 0).body(&witness_of(author, tip));
            admit(&mut state, &[seen]);
        }
        let charter = state.charter().expect("founded").clone();
        let member = alliance.candidate(10, "LTU", 1);
        let admission = alliance.motion(&charter, 1, vec![CharterChange::Admit(member)]);
        let (france, roster) = (alliance.nations[3].id, alliance.nations[3].rosters[0].id());
        let (key, said) = (alliance.nations[3].nodes[0].author.key, alliance.nations[3].nodes[0].tip);
        let roster = Tip { seq: 1, id: comity_protocol::ids::EnvelopeId::new(*roster.as_bytes()) };
        let removal = CharterChange::Remove { nation: france, cuts: vec![(key, said)], roster };
        let removal = alliance.motion(&charter, 2, vec![removal]);
        let more_keys = Params { max_active_keys: 9, ..charter.params };
        let params = alliance.motion(&charter, 3, vec![CharterChange::SetParams(more_keys)]);
        assert!(warnings(&state, &removal).is_empty(), "the chain of an honest key needs no certificate");
        let branches = [alliance.node(0, 1).raw_change(vec![1]), clone.raw_change(vec![2])];
        admit(&mut state, &branches);
        assert_eq!((state.chain(&author).and_then(|chain| chain.fork()), state.final_tip(&author).seq), (Some(3), 2));
        let node = author.key.short();
        let words = |have: usize, quorum: usize| {
            vec![format!(
                "envelope 2 of the forked node {node} of UKR would no longer be final: {have} of {quorum} nations saw it"
            )]
        };
        assert_eq!(warnings(&state, &removal), words(2, 3), "one of the three that saw it would go");
        assert_eq!(warnings(&state, &admission), words(3, 4), "a fourth would have to see it");
        assert!(warnings(&state, &params).is_empty());
        let seen = alliance.node(0, 0).body(&witness_of(author, tip));
        admit(&mut state, &[seen]);
        assert!(warnings(&state, &removal).is_empty() && warnings(&state, &admission).is_empty(), "four saw it");
    }
}
