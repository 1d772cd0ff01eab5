//! Stratum 1, the charter (spec 4.5.1): who belongs to the alliance, under which parameters.
//!
//! The charter is a chain of versions. [`walk()`] follows it from the genesis over the motions that more than two thirds of
//! each version's nations sealed; [`Ballots`] counts what they signed; [`signer`] says what an honest nation may sign.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::control::{Genesis, Params, Roster, Vote, nation_id};
use crate::ids::{AllianceId, AuthorKey, CharterId, ControlId, NationId, RootKey, Tip};

mod ballots;
mod conflict;
mod health;
mod motion;
pub mod signer;
mod walk;

pub use ballots::Ballots;
pub use conflict::CharterConflict;
pub use health::{CharterHealth, DARK_AFTER_MS, health};
pub use motion::IllFormed;
pub use walk::{Course, Records, walk};

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
    /// The alliance.
    pub alliance: AllianceId,
    /// 0 for the founding version.
    pub height: u32,
    /// The version's id; the alliance's for the founding version.
    pub id: CharterId,
    /// The motion that made it; `None` for the founding version.
    pub motion: Option<ControlId>,
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
    /// Every root key that any nation ever had: none is used twice.
    pub roots: BTreeSet<RootKey>,
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
    pub cuts: BTreeMap<AuthorKey, Tip>,
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
            alliance,
            height: 0,
            id: CharterId::new(*alliance.as_bytes()),
            motion: None,
            name: genesis.name.clone(),
            rules: 1,
            params: genesis.params,
            members: members.collect(),
            removed: BTreeMap::new(),
            roots: genesis.founders.iter().map(|founder| founder.root).collect(),
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

    /// Whether a vote is on this version, by one of its members with the root key it has here (R04).
    pub fn may_vote(&self, vote: &Vote) -> bool {
        (vote.alliance, vote.height, vote.base) == (self.alliance, self.height, self.id)
            && self.members.get(&vote.nation).is_some_and(|member| member.root == vote.root)
    }

    /// Whether a roster is of one of this version's nations, present or removed, and signed with the root key it has here.
    pub fn may_list(&self, roster: &Roster) -> bool {
        self.nation(&roster.nation).is_some_and(|member| member.root == roster.root)
    }

    /// Members of which this many must agree to change the charter: `floor(2n/3) + 1`.
    pub fn quorum(&self) -> usize {
        quorum_of(self.members.len())
    }
}

/// Of this many nations, how many are more than two thirds: `floor(2n/3) + 1`.
pub const fn quorum_of(nations: usize) -> usize {
    nations * 2 / 3 + 1
}

/// The root keys that one nation ever had, and where its rosters end (spec 4.5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Its root keys, by generation; never empty for a nation of the charter.
    pub generations: Vec<Generation>,
    /// The last roster that counts, if the nation was removed.
    pub stop: Option<Tip>,
}

/// One root key of a nation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The nation with that key.
    pub member: CharterMember,
    /// How many Active keys a roster might have by the charter versions since the key was named, ascending.
    pub key_limits: BTreeSet<u8>,
}

/// Returns the lineage of every nation of these versions, which stand in order from the founding.
pub fn lineages(versions: &[Arc<Charter>]) -> BTreeMap<NationId, Lineage> {
    let mut lineages: BTreeMap<NationId, Lineage> = BTreeMap::new();
    for charter in versions {
        for member in charter.members.values() {
            let generations = &mut lineages.entry(member.id).or_default().generations;
            if generations.last().is_none_or(|last| last.member.root_gen != member.root_gen) {
                generations.push(Generation { member: member.clone(), key_limits: BTreeSet::new() });
            }
        }
        for generation in lineages.values_mut().flat_map(|line| &mut line.generations) {
            generation.key_limits.insert(charter.params.max_active_keys);
        }
    }
    for (nation, removal) in versions.last().iter().flat_map(|charter| &charter.removed) {
        lineages.entry(*nation).or_default().stop = Some(removal.roster);
    }
    lineages
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
