//! Who belongs, how it came to be so, and how far it is from being stuck.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::chain::Held;
use comity_protocol::charter::{Charter, CharterConflict, CharterMember, Removal, health};
use comity_protocol::control::ControlRecord;
use comity_protocol::evaluate::State;
use comity_protocol::ids::{NationId, Timestamp, Tip};

use super::motions::change_words;
use crate::answers::code;
use crate::api::model::{
    CharterConflictRow, CharterState, CutRow, HealthRow, MemberRow, ParentRow, RemovedRow, VersionMade,
};

/// Returns the claimed time of each nation's newest accepted envelope.
pub fn last_heard(state: &State) -> BTreeMap<NationId, Timestamp> {
    let mut heard: BTreeMap<NationId, Timestamp> = BTreeMap::new();
    for chain in state.chains() {
        if let Some(time) = chain.accepted(chain.tip().seq).map(Held::time_ms) {
            let last = heard.entry(chain.author().nation).or_default();
            *last = Timestamp(time).max(*last);
        }
    }
    heard
}

/// Returns the charter as `state` has it; `None` before the genesis is held.
pub fn charter(state: &State, heard: &BTreeMap<NationId, Timestamp>, now: Timestamp) -> Option<CharterState> {
    let charter = state.charter()?;
    let health = health_row(state, charter, heard, now);
    let mut members: Vec<MemberRow> =
        charter.members.values().map(|member| member_row(state, member, &health)).collect();
    members.sort_by(|a, b| a.code.cmp(&b.code));
    let mut removed: Vec<RemovedRow> = charter.removed.values().map(|removal| removed_row(state, removal)).collect();
    removed.sort_by(|a, b| a.code.cmp(&b.code));
    Some(CharterState {
        alliance: state.anchor().alliance.hex(),
        alliance_name: charter.name.clone(),
        parent: parent(state),
        height: charter.height,
        charter: charter.id.hex(),
        rules: charter.rules,
        max_active_keys: charter.params.max_active_keys,
        chain_quota: charter.params.chain_quota,
        members,
        removed,
        versions: versions(state),
        anchor_height: state.anchor().height,
        conflict: state.charter_conflict().map(|conflict| {
            let then = "Membership is frozen there; ordinary work goes on. Compare the two with everybody, and re-found \
                        the alliance without those who signed both: comity genesis draft --parent CHARTER";
            conflict_row(state, conflict, then)
        }),
        conflict_below_anchor: state.conflict_below_anchor().map(|conflict| {
            let then = "It is below the anchor and changes nothing; keep the proof, and ask those nations.";
            conflict_row(state, conflict, then)
        }),
        health,
    })
}

fn parent(state: &State) -> Option<ParentRow> {
    state.control_records().into_iter().find_map(|control| match control.record() {
        ControlRecord::Genesis(signed) => {
            let parent = signed.genesis.parent?;
            Some(ParentRow { alliance: parent.alliance.hex(), charter: parent.charter.hex() })
        }
        ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    })
}

fn member_row(state: &State, member: &CharterMember, health: &HealthRow) -> MemberRow {
    let roster = state.roster(&member.id);
    let since = state.charter_versions().iter().find(|charter| charter.members.contains_key(&member.id));
    MemberRow {
        code: member.code.clone(),
        name: member.name.clone(),
        nation: member.id.hex(),
        root: member.root.hex(),
        root_gen: member.root_gen,
        since_version: since.map_or(0, |charter| charter.height),
        roster_version: roster.map(|roster| roster.tip().0).filter(|version| *version > 0),
        roster_fork: roster.and_then(|roster| roster.fork),
        roster_missing: roster.is_some_and(|roster| roster.missing),
        closed: health.closed.contains(&member.code),
        dark: health.dark.contains(&member.code),
    }
}

/// Returns the height of the first charter version that no longer has a nation; 0 where it was never removed.
pub fn removed_by(state: &State, nation: &NationId) -> u32 {
    let first = state.charter_versions().iter().find(|charter| charter.removed.contains_key(nation));
    first.map_or(0, |charter| charter.height)
}

fn removed_row(state: &State, removal: &Removal) -> RemovedRow {
    let member = &removal.member;
    let roster = state.roster(&member.id);
    let cuts = removal.cuts.iter().map(|(node, cut)| CutRow {
        node: node.hex(),
        label: roster.and_then(|roster| Some(roster.key(node)?.label.clone())),
        seq: cut.seq,
        envelope: (*cut != Tip::NONE).then(|| cut.id.hex()),
    });
    RemovedRow {
        code: member.code.clone(),
        name: member.name.clone(),
        nation: member.id.hex(),
        removed_by: removed_by(state, &member.id),
        roster_version: removal.roster.seq,
        cuts: cuts.collect(),
    }
}

fn versions(state: &State) -> Vec<VersionMade> {
    let versions = state.charter_versions();
    let made = versions.iter().enumerate().map(|(at, charter)| {
        let motion = charter.motion.and_then(|id| state.motion(&id));
        let base = at.checked_sub(1).and_then(|before| versions.get(before));
        let changes = match (base, motion) {
            (Some(base), Some(motion)) => motion
                .changes
                .iter()
                .flat_map(|change| change_words(state, base, change).words.into_iter().take(1))
                .collect(),
            _ => Vec::new(),
        };
        VersionMade {
            height: charter.height,
            charter: charter.id.hex(),
            nations: count(charter.members.len()),
            quorum: count(charter.quorum()),
            motion: charter.motion.map(|id| id.hex()),
            title: motion.map_or_else(|| charter.name.clone(), |motion| motion.title.clone()),
            changes,
        }
    });
    made.collect()
}

fn conflict_row(state: &State, conflict: &CharterConflict, then: &str) -> CharterConflictRow {
    let codes = |nations: &BTreeSet<NationId>| {
        let mut codes: Vec<String> = nations.iter().map(|nation| code(state, nation)).collect();
        codes.sort();
        codes
    };
    let accused = codes(&conflict.accused());
    let signed = if accused.is_empty() {
        let owing = conflict.motions.iter().zip(conflict.rounds).max_by_key(|(_, round)| *round);
        let owing = owing.map(|(motion, _)| motion.short()).unwrap_or_default();
        format!("whoever sealed {owing} owes the supports it rests on (V3)")
    } else {
        format!("signed for both: {}", accused.join(", "))
    };
    CharterConflictRow {
        height: conflict.height,
        motions: conflict.motions.iter().map(|motion| motion.hex()).collect(),
        rounds: conflict.rounds.to_vec(),
        words: format!(
            "Two motions are sealed for version {}: {} and {}; {signed}. {then}",
            u64::from(conflict.height) + 1,
            conflict.motions[0].short(),
            conflict.motions[1].short(),
        ),
        accused,
    }
}

fn health_row(state: &State, charter: &Charter, heard: &BTreeMap<NationId, Timestamp>, now: Timestamp) -> HealthRow {
    let is_closed = |nation: &&NationId| {
        state.roster(nation).and_then(|roster| roster.record()).is_some_and(|roster| roster.closed)
    };
    let closed: BTreeSet<NationId> = charter.members.keys().filter(is_closed).copied().collect();
    let health = health(charter, &closed, heard, now);
    let codes = |nations: &BTreeSet<NationId>| {
        let mut codes: Vec<String> = nations.iter().map(|nation| code(state, nation)).collect();
        codes.sort();
        codes
    };
    let words = if state.charter_conflict().is_some() {
        "membership is frozen by a conflict".to_owned()
    } else {
        match health.losses_left {
            0 => "membership cannot change: too few nations are there to agree".to_owned(),
            1 => "one more loss, and membership cannot change".to_owned(),
            left => format!("{left} more losses until membership cannot change"),
        }
    };
    HealthRow {
        nations: count(health.nations),
        quorum: count(health.quorum),
        closed: codes(&health.closed),
        dark: codes(&health.dark),
        losses_left: count(health.losses_left),
        words,
    }
}

pub(super) fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
