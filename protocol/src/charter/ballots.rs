//! The votes on one charter version, counted (spec 4.5.1, 4.6).

use std::collections::{BTreeMap, BTreeSet};

use super::{Charter, quorum_of};
use crate::control::{Vote, VoteStep};
use crate::ids::{ControlId, NationId};
use crate::limits::VOTE_ROUNDS;

/// The votes held on one charter version: of each member, round and step every motion it signed for, with the vote that
/// says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ballots {
    members: BTreeSet<NationId>,
    /// Of votes that differ in their claimed time only, the one with the smallest id.
    votes: BTreeMap<Slot, BTreeMap<NationId, ControlId>>,
    /// Who signed anything in each round.
    voters: BTreeMap<u16, BTreeSet<NationId>>,
}

/// What is voted on: a motion, in a round, in one of the two steps.
type Slot = (u16, VoteStep, ControlId);

impl Ballots {
    /// Starts with no vote on `charter`.
    pub fn new(charter: &Charter) -> Self {
        Self { members: charter.members.keys().copied().collect(), ..Self::default() }
    }

    /// Counts a vote on `charter`, whose signature was checked; whether it counts: it names this version, and its nation's
    /// root key there.
    pub fn take(&mut self, charter: &Charter, id: ControlId, vote: &Vote) -> bool {
        let counts = charter.may_vote(vote);
        if counts {
            self.count(vote.nation, (vote.round, vote.step, vote.motion), id);
        }
        counts
    }

    fn count(&mut self, nation: NationId, slot: Slot, id: ControlId) {
        self.voters.entry(slot.0).or_default().insert(nation);
        let smallest = self.votes.entry(slot).or_default().entry(nation).or_insert(id);
        *smallest = id.min(*smallest);
    }

    /// Members of the version voted on.
    pub fn nations(&self) -> usize {
        self.members.len()
    }

    /// Votes of which a motion needs this many, in each step.
    pub fn quorum(&self) -> usize {
        quorum_of(self.members.len())
    }

    /// Returns who supported a motion in a round.
    pub fn supports(&self, round: u16, motion: &ControlId) -> BTreeSet<NationId> {
        self.signers(round, VoteStep::Support, motion)
    }

    /// Returns who sealed a motion in a round.
    pub fn seals(&self, round: u16, motion: &ControlId) -> BTreeSet<NationId> {
        self.signers(round, VoteStep::Seal, motion)
    }

    /// Returns who signed one step for a motion in a round.
    pub fn signers(&self, round: u16, step: VoteStep, motion: &ControlId) -> BTreeSet<NationId> {
        self.votes.get(&(round, step, *motion)).into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    /// How many signed one step for a motion in a round.
    pub fn count_of(&self, round: u16, step: VoteStep, motion: &ControlId) -> usize {
        self.votes.get(&(round, step, *motion)).map_or(0, BTreeMap::len)
    }

    /// Whether more than two thirds of the members signed one step for a motion in a round.
    pub fn has_quorum(&self, round: u16, step: VoteStep, motion: &ControlId) -> bool {
        self.count_of(round, step, motion) >= self.quorum()
    }

    /// Returns what a nation signed: round, step, motion and vote, ascending.
    pub fn by_nation(&self, nation: &NationId) -> Vec<(u16, VoteStep, ControlId, ControlId)> {
        let signed = |(slot, nations): (&Slot, &BTreeMap<NationId, ControlId>)| {
            nations.get(nation).map(|vote| (slot.0, slot.1, slot.2, *vote))
        };
        self.votes.iter().filter_map(signed).collect()
    }

    /// Returns every round, step and motion with who signed it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u16, VoteStep, ControlId, &BTreeMap<NationId, ControlId>)> {
        self.votes.iter().map(|((round, step, motion), nations)| (*round, *step, *motion, nations))
    }

    /// Returns every motion that a vote names.
    pub fn motions(&self) -> BTreeSet<ControlId> {
        self.votes.keys().map(|(_, _, motion)| *motion).collect()
    }

    /// The highest round in which an honest nation may sign (V7): one above the highest with votes of so many members that
    /// one of them is honest; 0 if there is none.
    pub fn round_max(&self) -> u16 {
        let needed = self.nations() + 1 - self.quorum().min(self.nations());
        let highest = self.voters.iter().rev().find(|(_, voters)| voters.len() >= needed);
        highest.map_or(0, |(round, _)| (round + 1).min(VOTE_ROUNDS - 1))
    }

    /// The round to vote in: the highest with a vote, and the next one once no motion can pass in that any more.
    ///
    /// A motion can still pass while those that signed for it, and those that may yet, are more than two thirds in both
    /// steps. A nation that went on to a later round signs nothing in an earlier one.
    pub fn suggested_round(&self) -> u16 {
        let open = self.round_max();
        let voted = self.votes.keys().map(|(round, ..)| *round).max().unwrap_or(0);
        let round = voted.min(open);
        if self.may_pass(round) { round } else { (round + 1).min(open) }
    }

    fn may_pass(&self, round: u16) -> bool {
        let (mut gone, mut supported, mut sealed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for ((at, step, _), nations) in &self.votes {
            if *at > round {
                gone.extend(nations.keys().copied());
            } else if *at == round {
                match step {
                    VoteStep::Support => supported.extend(nations.keys().copied()),
                    VoteStep::Seal => sealed.extend(nations.keys().copied()),
                }
            }
        }
        let free = |signed: &dyn Fn(&NationId) -> bool| {
            self.members.iter().filter(|nation| !gone.contains(nation) && !signed(nation)).copied().collect()
        };
        let may_support: BTreeSet<NationId> = free(&|nation| supported.contains(nation) || sealed.contains(nation));
        let may_seal: BTreeSet<NationId> = free(&|nation| sealed.contains(nation));
        let reaches = |have: BTreeSet<NationId>, more: &BTreeSet<NationId>| have.union(more).count() >= self.quorum();
        let possible = |motion: &ControlId| {
            reaches(self.supports(round, motion), &may_support) && reaches(self.seals(round, motion), &may_seal)
        };
        // A motion that nobody voted on yet could be brought.
        let fresh = may_support.len() >= self.quorum() && may_seal.len() >= self.quorum();
        fresh || self.motions().iter().any(possible)
    }

    /// Returns the motions with seals of more than two thirds in some round, ascending.
    pub fn sealed(&self) -> BTreeSet<ControlId> {
        let quorums = self.votes.iter().filter(|(slot, nations)| slot.1 == VoteStep::Seal && self.enough(nations));
        quorums.map(|((_, _, motion), _)| *motion).collect()
    }

    /// Returns the rounds in which more than two thirds sealed a motion, ascending.
    pub fn rounds_sealed(&self, motion: &ControlId) -> Vec<u16> {
        let rounds = self.votes.iter().filter(|((_, step, of), _)| *step == VoteStep::Seal && of == motion);
        rounds.filter(|(_, nations)| self.enough(nations)).map(|((round, ..), _)| *round).collect()
    }

    fn enough(&self, nations: &BTreeMap<NationId, ControlId>) -> bool {
        nations.len() >= self.quorum()
    }

    /// Returns the votes that every store keeps (spec 4.11), a function of the votes given: of each nation, round and step
    /// those for the two smallest motion ids; of each round and step those for the two smallest motion ids with a quorum;
    /// and every quorum for one of `decisive`.
    pub(super) fn kept(&self, decisive: &BTreeSet<ControlId>) -> BTreeSet<ControlId> {
        let mut kept = BTreeSet::new();
        let mut own: BTreeMap<(NationId, u16, VoteStep), usize> = BTreeMap::new();
        let mut quorums: BTreeMap<(u16, VoteStep), usize> = BTreeMap::new();
        // Ascending by motion within a round and step.
        for ((round, step, motion), nations) in &self.votes {
            let mut whole = false;
            if self.enough(nations) {
                let before = quorums.entry((*round, *step)).or_default();
                *before += 1;
                whole = *before <= KEPT_MOTIONS || decisive.contains(motion);
            }
            for (nation, vote) in nations {
                let before = own.entry((*nation, *round, *step)).or_default();
                *before += 1;
                if whole || *before <= KEPT_MOTIONS {
                    kept.insert(*vote);
                }
            }
        }
        kept
    }

    /// Returns these ballots with only the votes in `kept`.
    pub(super) fn only(&self, kept: &BTreeSet<ControlId>) -> Self {
        let mut only = Self { members: self.members.clone(), ..Self::default() };
        for (slot, nations) in &self.votes {
            for (nation, vote) in nations.iter().filter(|(_, vote)| kept.contains(vote)) {
                only.count(*nation, *slot, *vote);
            }
        }
        only
    }
}

/// Two motions prove that a nation, or a quorum, contradicted itself; more prove no more.
const KEPT_MOTIONS: usize = 2;
