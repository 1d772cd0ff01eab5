//! What a nation's officer signs with its root key: an honest one what the rules of signers allow (spec 4.6), after a look at
//! what the nation's own node holds; another one anything.
//!
//! An honest officer is a person who tries all sorts of votes and is refused most of them: the rules decide, and the log of
//! what was signed, which nobody else has.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::charter::signer::{Refuse, SignerLog};
use comity_protocol::charter::{Ballots, Charter};
use comity_protocol::control::{CharterChange, ControlRecord, Motion, Vote, VoteStep};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, CharterId, ControlId, NationId, RootKey, Tip};
use comity_protocol::keys::SecretKey;
use comity_protocol::limits::VOTE_ROUNDS;
use comity_protocol::rules::Rules;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Votes that an honest officer signs in one visit, at most.
pub(super) const VOTES_A_VISIT: usize = 4;
/// Motions that an officer who breaks the rules votes for in one visit, at most.
const MISVOTED_MAX: usize = 3;

/// How an officer breaks the rules of signers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misvote {
    /// Supports every motion in every round.
    DoubleSupport,
    /// Supports and seals every motion that it hears of anywhere, on both sides of any partition.
    DoubleSeal,
    /// Keeps no lock and goes back to earlier rounds; seals what nobody supported.
    IgnoreLock,
    /// Votes for motions that nobody else has, or will ever have.
    UnknownMotions,
    /// A thief signs with the same root: a roster with a key of the thief's, and votes beside the nation's own.
    StolenRoot,
}

impl Misvote {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::DoubleSupport, Self::DoubleSeal, Self::IgnoreLock, Self::UnknownMotions, Self::StolenRoot];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DoubleSupport => "double-support",
            Self::DoubleSeal => "double-seal",
            Self::IgnoreLock => "ignore-lock",
            Self::UnknownMotions => "unknown-motions",
            Self::StolenRoot => "stolen-root",
        }
    }
}

/// What an officer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Votes as it likes, and now and then tries what it should not.
    Free,
    /// Votes for what most others want, as all do once they can talk: in the round that is open, or in this one where nobody
    /// waits for that any more.
    Agreed(Option<u16>),
}

/// A vote that somebody would like to sign.
pub(super) type Wish = (u16, VoteStep, ControlId);

/// A vote that was signed, as it is handed over: with its motion, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) vote: Vote,
    record: ControlRecord,
    motion: Option<Motion>,
}

impl Signed {
    /// Returns its records as they are imported.
    pub(super) fn records(&self) -> Vec<(u8, Vec<u8>)> {
        let motion = self.motion.clone().map(ControlRecord::Motion);
        std::iter::once(&self.record).chain(&motion).map(|record| (record.kind(), record.encode())).collect()
    }
}

/// A nation's officer, with its safe.
#[derive(Debug)]
pub(super) struct Officer {
    pub(super) rng: ChaCha8Rng,
    /// What the root signed.
    pub(super) log: SignerLog,
    pub(super) misvotes: Option<Misvote>,
    /// Every root key of the nation's that lies in the safe.
    keys: Vec<SecretKey>,
    /// Votes to be handed over again where they did not arrive.
    signed: Vec<Signed>,
    drafted: Vec<Motion>,
    /// Whether the thief's roster was signed.
    pub(super) has_robbed: bool,
    /// Whether a root was stolen or replaced, so that its nodes may not stand for a while.
    pub(super) was_upset: bool,
}

impl Officer {
    /// An officer whose root is in force since `height`.
    pub(super) fn new(root: SecretKey, misvotes: Option<Misvote>, height: u32, seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            log: SignerLog::complete_from(height),
            misvotes,
            keys: vec![root],
            signed: Vec::new(),
            drafted: Vec::new(),
            has_robbed: false,
            was_upset: false,
        }
    }

    /// Makes a root key that may follow the present one, and puts it into the safe.
    pub(super) fn make_root(&mut self) -> SecretKey {
        let key = SecretKey::from_seed(&self.rng.random());
        self.keys.push(key.clone());
        key
    }

    /// Returns the secret half of a root key.
    pub(super) fn key(&self, root: &RootKey) -> Option<&SecretKey> {
        self.keys.iter().find(|key| key.public() == *root)
    }

    /// Puts a motion on the table.
    pub(super) fn draft(&mut self, motion: Motion) {
        self.drafted.push(motion);
    }

    /// The log of what was signed is gone; the charter is at `height`.
    pub(super) fn lose_log(&mut self, height: u32) {
        self.log = SignerLog::lost_at(height);
        self.signed.clear();
    }

    /// Returns the votes on the version in force that the node does not hold.
    pub(super) fn not_arrived(&self, state: &State, me: &NationId) -> Vec<Signed> {
        let Some(charter) = state.charter() else { return Vec::new() };
        let held: BTreeSet<Wish> =
            state.ballots().by_nation(me).into_iter().map(|(round, step, motion, _)| (round, step, motion)).collect();
        let missing = |signed: &&Signed| {
            let Vote { base, round, step, motion, .. } = &signed.vote;
            *base == charter.id && !held.contains(&(*round, *step, *motion))
        };
        self.signed.iter().filter(missing).cloned().collect()
    }

    /// Returns a motion on the charter in force: from the node, or from the table.
    fn motion(&self, state: &State, id: &ControlId) -> Option<Motion> {
        let held = state.motion(id);
        held.or_else(|| self.drafted.iter().find(|motion| motion.id() == *id)).cloned()
    }

    /// Returns every motion on the version in force that the officer has and could seal one day, ascending.
    fn sound(&self, state: &State, charter: &Charter) -> Vec<ControlId> {
        let drafted = self.drafted.iter().filter(|motion| motion.base == charter.id).map(Motion::id);
        let ids: BTreeSet<ControlId> = state.ballots().motions().into_iter().chain(drafted).collect();
        let sound = |id: &ControlId| {
            let motion = self.motion(state, id);
            motion.is_some_and(|motion| charter.well_formed(&motion).is_ok() && holds_cuts(state, &motion))
        };
        ids.into_iter().filter(sound).collect()
    }

    /// Returns what an honest officer would like to sign now, the dearest wish first.
    pub(super) fn wishes(&mut self, state: &State, me: &NationId, mood: Mood) -> Vec<Wish> {
        let Some(charter) = state.charter().filter(|_| state.charter_conflict().is_none()) else { return Vec::new() };
        let ballots = state.ballots();
        let sound = self.sound(state, charter);
        let own = self.own(me, charter.height, &charter.id);
        let signed_to = own.iter().map(|vote| vote.round).max().unwrap_or(0);
        let open = ballots.round_max();
        let mut wishes = Vec::new();
        if mood == Mood::Free && self.rng.random_bool(0.35) {
            let step = if self.rng.random_bool(0.5) { VoteStep::Support } else { VoteStep::Seal };
            let motion = sound.choose(&mut self.rng).copied();
            let round = self.rng.random_range(0..=open.saturating_add(1)).min(VOTE_ROUNDS - 1);
            wishes.extend(motion.map(|motion| (round, step, motion)));
        }
        for round in (signed_to..=open).rev() {
            let supported = sound.iter().filter(|motion| ballots.has_quorum(round, VoteStep::Support, motion));
            wishes.extend(supported.map(|motion| (round, VoteStep::Seal, *motion)));
        }
        let round = match mood {
            Mood::Agreed(Some(round)) => round,
            Mood::Free | Mood::Agreed(None) => ballots.suggested_round(),
        };
        let lock = own.iter().filter(|vote| vote.step == VoteStep::Seal).max_by_key(|vote| vote.round);
        let lock = lock.map(|vote| vote.motion);
        let choice = turned_to(ballots, &sound).or(lock).or_else(|| match mood {
            Mood::Free => sound.choose(&mut self.rng).copied(),
            Mood::Agreed(_) => sound.first().copied(),
        });
        wishes.extend(choice.map(|motion| (round.max(signed_to).min(open), VoteStep::Support, motion)));
        wishes
    }

    /// Returns what the nation signed on a version, by the officer's own log.
    fn own(&self, me: &NationId, height: u32, base: &CharterId) -> Vec<Vote> {
        let on_this = |vote: &&Vote| (vote.nation, vote.height, vote.base) == (*me, height, *base);
        self.log.votes.iter().filter(on_this).cloned().collect()
    }

    /// Returns the vote that a wish is about; `None` if the nation is no member, or its root is not in the safe.
    pub(super) fn vote(&self, state: &State, me: &NationId, wish: Wish, time_ms: u64) -> Option<Vote> {
        let charter = state.charter()?;
        let root = charter.members.get(me)?.root;
        self.key(&root)?;
        let (round, step, motion) = wish;
        let (alliance, height, base) = (charter.alliance, charter.height, charter.id);
        Some(Vote { alliance, nation: *me, root, height, base, round, step, motion, time_ms })
    }

    /// Asks the rules.
    ///
    /// # Errors
    /// [`Refuse`], as the signer's own functions give it.
    pub(super) fn may_sign(&self, rules: Rules, state: &State, vote: &Vote) -> Result<(), Refuse> {
        let not_held = Refuse::OtherBase { height: vote.height, base: vote.base };
        let Some(charter) = state.charter() else { return Err(not_held) };
        // Who signed for a later version has adopted it, whatever the charter file at hand says (V5).
        if let Some(later) = self.log.votes.iter().map(|own| own.height).max().filter(|height| *height > vote.height) {
            return Err(Refuse::Passed { passed: vote.height, height: later });
        }
        let motion = self.motion(state, &vote.motion);
        let is_well_formed = motion.as_ref().is_some_and(|motion| charter.well_formed(motion).is_ok());
        let has_cuts = motion.as_ref().is_some_and(|motion| holds_cuts(state, motion));
        self.log.may_sign_under(rules, charter, state.ballots(), vote, is_well_formed, has_cuts)
    }

    /// Signs a vote: the log comes first.
    pub(super) fn sign(&mut self, state: &State, vote: Vote) -> Option<Signed> {
        let key = self.key(&vote.root)?.clone();
        self.log.record(vote.clone());
        let motion = self.motion(state, &vote.motion);
        let signed = Signed { record: vote.clone().sign(&key), vote, motion };
        self.signed.push(signed.clone());
        Some(signed)
    }

    /// Returns what an officer who breaks the rules would sign, seen from a node that shows `state`.
    pub(super) fn misdeeds(&mut self, how: Misvote, state: &State) -> Vec<Wish> {
        let Some(charter) = state.charter() else { return Vec::new() };
        let ballots = state.ballots();
        let drafted = self.drafted.iter().filter(|motion| motion.base == charter.id).map(Motion::id);
        let known: BTreeSet<ControlId> = ballots.motions().into_iter().chain(drafted).collect();
        let known: Vec<ControlId> = known.into_iter().take(MISVOTED_MAX).collect();
        let open = ballots.round_max();
        let now = ballots.suggested_round();
        let all = |step: VoteStep| known.iter().map(move |motion| (now, step, *motion));
        match how {
            Misvote::DoubleSupport | Misvote::StolenRoot => {
                let seal = known.iter().filter(|motion| ballots.has_quorum(now, VoteStep::Support, motion)).take(1);
                all(VoteStep::Support).chain(seal.map(|motion| (now, VoteStep::Seal, *motion))).collect()
            }
            Misvote::DoubleSeal => all(VoteStep::Support).chain(all(VoteStep::Seal)).collect(),
            Misvote::IgnoreLock => {
                let rng = &mut self.rng;
                let mut any = |motion: &ControlId| {
                    let step = if rng.random_bool(0.6) { VoteStep::Support } else { VoteStep::Seal };
                    (rng.random_range(0..=open), step, *motion)
                };
                known.iter().map(&mut any).collect()
            }
            Misvote::UnknownMotions => {
                let motion = ControlId::new(self.rng.random());
                let round = self.rng.random_range(0..=open.saturating_add(2)).min(VOTE_ROUNDS - 1);
                vec![(round, VoteStep::Support, motion), (now, VoteStep::Seal, motion)]
            }
        }
    }
}

/// Returns the motion that more than two thirds supported in the highest round in which they supported any.
fn turned_to(ballots: &Ballots, sound: &[ControlId]) -> Option<ControlId> {
    let quorum = |motion: &ControlId| {
        let rounds = (0..=ballots.round_max()).rev();
        rounds.into_iter().find(|round| ballots.has_quorum(*round, VoteStep::Support, motion))
    };
    let best: BTreeMap<_, _> = sound.iter().rev().filter_map(|motion| Some((quorum(motion)?, *motion))).collect();
    best.into_values().next_back()
}

/// Whether a node holds every chain up to the cuts that a motion names, bodies included (V3).
pub(super) fn holds_cuts(state: &State, motion: &Motion) -> bool {
    motion.changes.iter().all(|change| match change {
        CharterChange::Remove { nation, cuts, .. } => {
            cuts.iter().all(|(key, cut)| holds(state, &AuthorId { nation: *nation, key: *key }, cut))
        }
        CharterChange::Admit(_)
        | CharterChange::ReplaceRoot { .. }
        | CharterChange::SetParams(_)
        | CharterChange::SetRules(_) => true,
    })
}

/// Whether a chain is held up to an envelope of it, bodies included.
pub(super) fn holds(state: &State, author: &AuthorId, tip: &Tip) -> bool {
    let held = || state.chain(author)?.get(&tip.id).filter(|held| held.seq() == tip.seq && held.complete());
    *tip == Tip::NONE || held().is_some()
}
