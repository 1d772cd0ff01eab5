//! Stratum 1, the charter (spec 4.5.1): who belongs to the alliance, under which parameters.
//!
//! Rules 1 of this version adopt the genesis charter and no motion yet: votes and motions are kept by the rules of 4.11 and
//! change nothing. The walk of 4.5.1 goes where [`Charter::founded`] is called.

use std::collections::BTreeMap;

use crate::control::{Genesis, Params, nation_id};
use crate::ids::{AllianceId, CharterId, ControlId, NationId, RootKey, Tip};

/// Where the evaluation starts: an adopted charter version that no later record can undo (spec 4.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The alliance; pinned by the operator.
    pub alliance: AllianceId,
    /// Height of the anchored version.
    pub height: u32,
    /// The anchored version.
    pub charter: CharterId,
}

impl Anchor {
    /// The anchor of a node that has adopted nothing but the founding.
    pub const fn founding(alliance: AllianceId) -> Self {
        Self { alliance, height: 0, charter: CharterId::new(*alliance.as_bytes()) }
    }
}

/// One version of the charter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charter {
    /// 0 for the founding version.
    pub height: u32,
    /// The version's id; the alliance's for the founding version.
    pub id: CharterId,
    /// The alliance's name.
    pub name: String,
    /// Rules version in force.
    pub rules: u16,
    /// Parameters in force.
    pub params: Params,
    /// Present members, ascending by id.
    pub members: BTreeMap<NationId, CharterMember>,
    /// Nations removed by a motion, with the cuts that close their chains.
    pub removed: BTreeMap<NationId, Removal>,
}

/// A member nation as the charter has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharterMember {
    /// Its id.
    pub id: NationId,
    /// Its root key at this version.
    pub root: RootKey,
    /// Generation of that key: 0 at founding or admission.
    pub root_gen: u16,
    /// The roster its chain of rosters starts from; zero for none.
    pub floor: Tip,
    /// Its code, distinct and never reused.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// What a Remove said about a nation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The nation as it was.
    pub member: CharterMember,
    /// How far each of its chains counts; a key not named counts for nothing.
    pub cuts: BTreeMap<crate::ids::AuthorKey, Tip>,
    /// Its last roster that counts.
    pub roster: Tip,
}

impl Charter {
    /// Returns the charter that a genesis founds: height 0, named by the alliance's id.
    pub fn founded(genesis: &Genesis) -> Self {
        let alliance = genesis.alliance_id();
        let members = genesis.founders.iter().map(|founder| {
            let id = nation_id(&alliance, &founder.root);
            let member = CharterMember {
                id,
                root: founder.root,
                root_gen: 0,
                floor: Tip::NONE,
                code: founder.code.clone(),
                name: founder.name.clone(),
            };
            (id, member)
        });
        Self {
            height: 0,
            id: CharterId::new(*alliance.as_bytes()),
            name: genesis.name.clone(),
            rules: 1,
            params: genesis.params,
            members: members.collect(),
            removed: BTreeMap::new(),
        }
    }

    /// Returns a nation, present or removed.
    pub fn nation(&self, id: &NationId) -> Option<&CharterMember> {
        self.members.get(id).or_else(|| self.removed.get(id).map(|removal| &removal.member))
    }

    /// Returns the nation with this code, present or removed; codes are never reused.
    pub fn by_code(&self, code: &str) -> Option<&CharterMember> {
        self.nations().find(|member| member.code == code)
    }

    /// Returns all nations, the present ones first.
    pub fn nations(&self) -> impl Iterator<Item = &CharterMember> {
        self.members.values().chain(self.removed.values().map(|removal| &removal.member))
    }

    /// Members of which this many must agree to change the charter: `floor(2n/3) + 1`.
    pub fn quorum(&self) -> usize {
        self.members.len() * 2 / 3 + 1
    }
}

/// Returns the id of the charter version that `motion` makes of `base`.
pub fn next_charter(base: &CharterId, motion: &ControlId) -> CharterId {
    crate::keys::tagged_hash("charter", &[base.as_bytes().as_slice(), motion.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Member;

    #[test]
    fn quorum_is_more_than_two_thirds() {
        let expected =
            [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (8, 6), (9, 7), (10, 7), (13, 9), (20, 14)];
        for (members, quorum) in expected {
            let founders = (0..members).map(|i| Member {
                root: RootKey::new([i; 32]),
                code: format!("N{i:02}"),
                name: "nation".into(),
                next_root: None,
            });
            let genesis = Genesis {
                name: "test".into(),
                created_ms: 0,
                nonce: [0; 32],
                parent: None,
                params: Params::default(),
                founders: founders.collect(),
            };
            assert_eq!(Charter::founded(&genesis).quorum(), quorum, "{members} members");
        }
    }
}
