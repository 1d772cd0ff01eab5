//! Fork dossiers (spec 4.9): what people see and must do when a key, or a nation's root, said two things.
//!
//! A dossier is a function of the state. It names both statements, carries their portable proof, says what stands and what is
//! suspended, and drafts what the owner nation should sign. Nothing here decides how far a chain counts: the strata below did.

use crate::chain::{AuthorStatus, Chain, EnvelopeStanding, Held};
use crate::control::{KeyStatus, Roster};
use crate::evaluate::State;
use crate::ids::{AuthorId, ControlId, EnvelopeId, NationId, Timestamp, Tip};
use crate::limits::ROSTER_VERSION_MAX;
use crate::roster::KeyStanding;

mod age;
mod dependents;
mod proof;
mod restate;
mod roster;
mod seen;

pub use age::{NationAge, RecordAge};
pub use dependents::{Dependent, dependents};
pub use proof::{Enrolment, ForkBranch, ForkProof, ForkProofError, ProvenFork, Step};
pub use restate::{Kept, Restatement, Restating, Unsaid, restatements, said_by};
pub use roster::{RosterDossier, RosterSaid, roster_forks};
pub use seen::{Seen, is_final, seen_by};

/// Most suspended envelopes a dossier lists; all are counted.
pub const SUSPENDED_LISTED_MAX: usize = 256;

/// Two different statements of one key at one position, with all that follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dossier {
    /// The key and the nation it speaks for.
    pub author: AuthorId,
    /// The node's name in the roster in force.
    pub label: Option<String>,
    /// What roster and charter say of the key now.
    pub status: AuthorStatus,
    /// The position of the fork.
    pub seq: u64,
    /// The two statements the proof is about, ascending by id.
    pub said: [Said; 2],
    /// How many different statements are held at that position.
    pub held: usize,
    /// The proof, to be checked by anybody with nothing else.
    pub proof: ForkProof,
    /// The last envelope below the fork.
    pub last_common: Tip,
    /// The accepted tip: what stands.
    pub stands: Tip,
    /// Nations whose witness acknowledged it, ascending; those of the members now.
    pub seen_by: Vec<NationId>,
    /// Members of the alliance.
    pub members: usize,
    /// Linked envelopes that are not accepted: suspended, or disavowed and post-removal once the key is cut.
    pub suspended: u64,
    /// The first [`SUSPENDED_LISTED_MAX`] of them, ascending by position, then id.
    pub suspended_listed: Vec<Tip>,
    /// Where to cut the key: the deeper of the last common and the witnessed final envelope.
    pub cut: Tip,
    /// Changes of the nation, this key's included, that wait, or would wait with that cut, because they build on what is left
    /// out.
    pub dependents: Vec<Dependent>,
}

/// One of the statements of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its position and id.
    pub tip: Tip,
    /// Its claimed time.
    pub time: Timestamp,
    /// Where it stands.
    pub standing: EnvelopeStanding,
}

/// Why no roster can be drafted that retires the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDraft {
    /// It is Retired already.
    #[error("the key is retired at {}", .0.seq)]
    Retired(Tip),
    /// Its nation was removed.
    #[error("the nation was removed")]
    Removed,
    /// No roster in force lists it.
    #[error("no roster in force lists the key")]
    Unlisted,
    /// The nation's rosters fork: only a motion helps (4.10).
    #[error("the nation's roster is forked at version {version}")]
    RosterFork {
        /// Where.
        version: u64,
    },
    /// The nation has used up its roster versions.
    #[error("the nation has no roster version left")]
    Versions,
}

impl Dossier {
    /// Returns the dossier of an author whose chain is forked; `None` where it is not.
    pub fn of(state: &State, author: &AuthorId) -> Option<Self> {
        let chain = state.chain(author)?;
        let seq = chain.fork()?;
        let proof = ForkProof::of(state, author)?;
        let (first, second) = proof.ids();
        let said = |id: &EnvelopeId| {
            let held = chain.get(id)?;
            Some(Said { tip: held.tip(), time: Timestamp(held.time_ms()), standing: chain.standing(held) })
        };
        let cut = recommended_cut(state, chain);
        let stands = chain.tip();
        let out = |held: &&Held| held.linked() && chain.standing(held) != EnvelopeStanding::Accepted;
        Some(Self {
            author: *author,
            label: label(state, author),
            status: chain.status(),
            seq,
            said: [said(&first)?, said(&second)?],
            held: chain.at(seq).count(),
            proof,
            last_common: last_common(chain),
            stands,
            seen_by: chain.get(&stands.id).map_or_else(Vec::new, |held| seen_by(state, chain, held)),
            members: state.charter().map_or(0, |charter| charter.members.len()),
            suspended: chain.iter().filter(out).count() as u64,
            suspended_listed: chain.iter().filter(out).map(Held::tip).take(SUSPENDED_LISTED_MAX).collect(),
            cut,
            dependents: dependents(state, author, cut),
        })
    }

    /// Returns the roster that the nation's root should sign: the next version, with this key Retired at the recommended cut
    /// and nothing else changed. It claims `now`, or the time of the version before it.
    ///
    /// # Errors
    /// [`NoDraft`] where no such roster would count.
    pub fn roster_draft(&self, state: &State, now: Timestamp) -> Result<Roster, NoDraft> {
        retiring(state, &self.author, self.cut, now)
    }
}

/// Returns every author whose chain is forked, ascending.
pub fn forked_authors(state: &State) -> impl Iterator<Item = AuthorId> {
    state.chains().filter(|chain| chain.fork().is_some()).map(Chain::author)
}

/// Returns a node's name in the roster in force.
pub fn label(state: &State, author: &AuthorId) -> Option<String> {
    Some(state.roster(&author.nation)?.key(&author.key)?.label.clone())
}

/// Returns the deeper of the last common and the witnessed final envelope of a chain (4.9).
pub fn recommended_cut(state: &State, chain: &Chain) -> Tip {
    let (common, witnessed) = (last_common(chain), state.final_tip(&chain.author()));
    if witnessed.seq > common.seq { witnessed } else { common }
}

/// The last linked envelope below the fork, or of the whole chain without one.
fn last_common(chain: &Chain) -> Tip {
    // Below the fork one header at most is held at each position.
    chain.at(chain.linked_to()).next().map_or(Tip::NONE, Held::tip)
}

/// Returns the next roster of a nation, with one key Retired at `cut`.
///
/// # Errors
/// [`NoDraft`].
pub fn retiring(state: &State, author: &AuthorId, cut: Tip, now: Timestamp) -> Result<Roster, NoDraft> {
    let charter = state.charter().ok_or(NoDraft::Unlisted)?;
    let member = charter.members.get(&author.nation).ok_or(NoDraft::Removed)?;
    let evaluated = state.roster(&author.nation).ok_or(NoDraft::Unlisted)?;
    if let Some(version) = evaluated.fork {
        return Err(NoDraft::RosterFork { version });
    }
    let (version, id) = evaluated.tip();
    let before = evaluated.record().ok_or(NoDraft::Unlisted)?;
    if version >= ROSTER_VERSION_MAX {
        return Err(NoDraft::Versions);
    }
    let mut roster = Roster {
        root: member.root,
        root_gen: member.root_gen,
        version: version + 1,
        prev: id,
        time_ms: now.0.max(before.time_ms),
        ..before.clone()
    };
    let key = roster.keys.iter_mut().find(|key| key.node == author.key).ok_or(NoDraft::Unlisted)?;
    if let KeyStatus::Retired { cut } = key.status {
        return Err(NoDraft::Retired(cut));
    }
    key.status = KeyStatus::Retired { cut };
    Ok(roster)
}

/// Returns version and id of the first roster that retires a key where it is retired now, if it is.
///
/// Where the nation's rosters fork, that may be a roster above the fork: retired by one of them is retired (4.5.2).
pub fn retired_in(state: &State, author: &AuthorId) -> Option<(u64, ControlId)> {
    let evaluated = state.roster(&author.nation)?;
    let KeyStanding::Retired { cut, .. } = *evaluated.keys.get(&author.key)? else { return None };
    let retires_there = |id: &ControlId| {
        let roster = state.control_record(id).and_then(|control| roster::of(control));
        let key = |roster: &Roster| {
            roster.keys.iter().any(|key| key.node == author.key && key.status == KeyStatus::Retired { cut })
        };
        roster.filter(|roster| key(roster))
    };
    let mut at = Some(evaluated.tip()).filter(|(version, _)| *version > 0);
    let mut found = None;
    while let Some((version, id)) = at {
        let Some(roster) = retires_there(&id) else { break };
        found = Some((version, id));
        at = (version > 1).then_some((version - 1, roster.prev));
    }
    let above = || evaluated.kept.iter().copied().find(|(_, id)| retires_there(id).is_some());
    found.or_else(above)
}

#[cfg(test)]
mod tests;
