//! The same one level up: two rosters of one version.

use crate::control::{CharterChange, ControlRecord, Motion, Roster, VerifiedControl};
use crate::evaluate::State;
use crate::ids::{AuthorKey, ControlId, EnvelopeId, NationId, RootKey, Timestamp, Tip};

/// Two valid rosters of one nation with one version, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterDossier {
    /// The nation.
    pub nation: NationId,
    /// The version.
    pub version: u64,
    /// The rosters, ascending by id.
    pub said: Vec<RosterSaid>,
    /// The last roster they have in common: the one in force. Version 0 and a zero id for none.
    pub last_common: (u64, ControlId),
    /// Keys that only rosters at or above the fork list, ascending: suspended, their final statements included.
    pub suspended: Vec<AuthorKey>,
    /// Keys that a roster at or above the fork retires, ascending: retired at the smallest such cut.
    pub retired: Vec<AuthorKey>,
}

/// One of the rosters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSaid {
    /// Its id.
    pub id: ControlId,
    /// The root key that signed it.
    pub root: RootKey,
    /// The time it claims.
    pub time: Timestamp,
    /// Its note.
    pub note: String,
    /// The keys it lists that the last common roster does not.
    pub enrols: Vec<AuthorKey>,
    /// The keys it retires that the last common roster does not.
    pub retires: Vec<AuthorKey>,
}

/// Returns every nation whose rosters fork, ascending.
pub fn roster_forks(state: &State) -> Vec<NationId> {
    let forked = |nation: &NationId| state.roster(nation).is_some_and(|roster| roster.fork.is_some());
    let mut nations: Vec<NationId> = state.nations().map(|member| member.id).filter(forked).collect();
    nations.sort_unstable();
    nations
}

/// Returns the roster a control record is, if it is one.
pub(super) fn of(control: &VerifiedControl) -> Option<&Roster> {
    match control.record() {
        ControlRecord::Roster(roster, _) => Some(roster),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..) => None,
    }
}

impl RosterDossier {
    /// Returns the dossier of a nation whose rosters fork; `None` where they do not.
    pub fn of(state: &State, nation: &NationId) -> Option<Self> {
        let evaluated = state.roster(nation)?;
        let version = evaluated.fork?;
        let common = evaluated.record();
        let listed = |key: &AuthorKey| common.is_some_and(|roster| roster.keys.iter().any(|known| known.node == *key));
        let retired = |key: &AuthorKey| {
            common.is_some_and(|roster| roster.keys.iter().any(|known| known.node == *key && is_retired(known)))
        };
        let mut said = Vec::new();
        let (mut suspended, mut all_retired) = (Vec::new(), Vec::new());
        for (at, id) in evaluated.kept.iter().filter(|(at, _)| *at >= version) {
            let Some(roster) = state.control_record(id).and_then(|control| of(control)) else { continue };
            let keys = || roster.keys.iter();
            let enrols: Vec<AuthorKey> = keys().map(|key| key.node).filter(|key| !listed(key)).collect();
            let retires: Vec<AuthorKey> =
                keys().filter(|key| is_retired(key) && !retired(&key.node)).map(|key| key.node).collect();
            suspended.extend(&enrols);
            all_retired.extend(retires.iter().filter(|key| listed(key)));
            if *at == version {
                let (root, time, note) = (roster.root, Timestamp(roster.time_ms), roster.note.clone());
                said.push(RosterSaid { id: *id, root, time, note, enrols, retires });
            }
        }
        for keys in [&mut suspended, &mut all_retired] {
            keys.sort_unstable();
            keys.dedup();
        }
        Some(Self { nation: *nation, version, said, last_common: evaluated.tip(), suspended, retired: all_retired })
    }

    /// Returns the motion that gives the nation a new root key from the last common roster on (4.10), to be supported and
    /// sealed by the members; `None` where the nation is no member.
    pub fn motion(&self, state: &State, root: RootKey, nonce: u64) -> Option<Motion> {
        let charter = state.charter()?;
        let member = charter.members.get(&self.nation)?;
        let (seq, id) = self.last_common;
        let floor = Tip { seq, id: EnvelopeId::new(*id.as_bytes()) };
        Some(Motion {
            alliance: state.anchor().alliance,
            height: charter.height,
            base: charter.id,
            nonce,
            title: format!("new root key for {}", member.code),
            text: Vec::new(),
            changes: vec![CharterChange::ReplaceRoot { nation: self.nation, root, roster: floor }],
        })
    }
}

fn is_retired(key: &crate::control::RosterKey) -> bool {
    key.status != crate::control::KeyStatus::Active
}
