//! What nations may do: states, and the steps from one to the next.

use std::fmt;

use comity_protocol::charter::signer::{SignerLog, may_sign_under};
use comity_protocol::charter::{Ballots, Charter};
use comity_protocol::control::{ControlRecord, Vote, VoteStep};
use comity_protocol::ids::ControlId;
use comity_protocol::rules::Rules;
use comity_protocol::testing::TestAlliance;

/// Most honest nations of a model.
pub(crate) const HONEST_MAX: usize = 6;

/// What each honest nation signed: four bits a round, support of the first motion and of the second, seal of the first and
/// of the second. One that lost its log: bit 31, what it published in bits 0 to 7, what it signed since in bits 8 to 15.
pub(crate) type State = [u32; HONEST_MAX];

const LOST: u32 = 1 << 31;

/// What faulty nations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faulty {
    /// They have signed everything.
    Lying,
    /// They sign nothing.
    Silent,
}

/// What a nation does that lost the log of what it signed; in a model with a loss one nation may lose it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It keeps V6.
    KeepsSilent,
    /// It takes up a fresh log as if nothing had been signed.
    SignsOn,
}

/// One scope.
pub(crate) struct Model {
    pub(crate) nations: usize,
    pub(crate) honest: usize,
    pub(crate) rounds: u16,
    pub(crate) rules: Rules,
    pub(crate) faulty: Faulty,
    pub(crate) loss: Option<Loss>,
    pub(crate) charter: Charter,
    pub(crate) motions: [ControlId; 2],
    /// By nation, then by bit.
    pub(crate) votes: Vec<Vec<(ControlId, Vote)>>,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nations, rounds, rules, faulty, loss, .. } = self;
        let liars = nations - self.honest;
        write!(f, "{nations} nations, {liars} {faulty:?}, {rounds} rounds, {rules:?}, loss {loss:?}")
    }
}

/// The place of a vote in a nation's bits.
fn bit(round: u16, step: VoteStep, motion: usize) -> usize {
    let step = match step {
        VoteStep::Support => 0,
        VoteStep::Seal => 2,
    };
    usize::from(round) * 4 + step + motion
}

impl Model {
    pub(crate) fn new(nations: usize, faulty: usize, rounds: u16) -> Self {
        let codes: Vec<String> = (0..nations).map(|i| format!("N{i:02}")).collect();
        let codes: Vec<(&str, usize)> = codes.iter().map(|code| (code.as_str(), 0)).collect();
        let alliance = TestAlliance::new(1, &codes);
        let charter = alliance.state().charter().expect("founded").clone();
        let motions = [ControlId::new([1; 32]), ControlId::new([2; 32])];
        let vote = |nation, bit: usize| {
            let step = if bit % 4 < 2 { VoteStep::Support } else { VoteStep::Seal };
            let round = u16::try_from(bit / 4).expect("a few rounds");
            let control = alliance.vote(nation, &charter, (round, step), &motions[bit % 2]);
            match control.record() {
                ControlRecord::Vote(vote, _) => (control.id(), vote.clone()),
                ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => unreachable!(),
            }
        };
        let bits = usize::from(rounds) * 4;
        let votes = (0..nations).map(|nation| (0..bits).map(|bit| vote(nation, bit)).collect()).collect();
        let honest = nations - faulty;
        assert!(honest <= HONEST_MAX && rounds <= 4);
        let (rules, faulty) = (Rules::default(), Faulty::Lying);
        Self { nations, honest, rounds, rules, faulty, loss: None, charter, motions, votes }
    }

    /// What faulty nations signed.
    pub(crate) fn start(&self) -> Ballots {
        let mut ballots = Ballots::new(&self.charter);
        if self.faulty == Faulty::Lying {
            for (id, vote) in self.votes[self.honest..].iter().flatten() {
                assert!(ballots.take(&self.charter, *id, vote));
            }
        }
        ballots
    }

    /// Everything signed.
    pub(crate) fn held(&self, start: &Ballots, state: &State) -> Ballots {
        let mut ballots = start.clone();
        for (nation, signed) in state.iter().enumerate().take(self.honest) {
            for (_, (id, vote)) in set_bits(published(*signed)).map(|bit| (bit, &self.votes[nation][bit])) {
                ballots.take(&self.charter, *id, vote);
            }
        }
        ballots
    }

    /// How many motions are sealed.
    pub(crate) fn sealed(&self, held: &Ballots) -> usize {
        let sealed = held.sealed();
        assert!(sealed.iter().all(|motion| self.motions.contains(motion)));
        sealed.len()
    }

    /// Whether no honest nation voted in the last round.
    pub(crate) fn fresh_round(&self, state: &State) -> bool {
        let last = 0xf << ((u32::from(self.rounds) - 1) * 4);
        state.iter().all(|signed| published(*signed) & last == 0)
    }

    /// Every state one step on, in its canonical form.
    pub(crate) fn next(&self, state: &State, held: &Ballots) -> Vec<State> {
        let mut next = Vec::new();
        for nation in 0..self.honest {
            if nation > 0 && state[nation] == state[nation - 1] {
                continue;
            }
            let signed = state[nation];
            let own: Vec<&Vote> = set_bits(log(signed)).map(|bit| &self.votes[nation][bit].1).collect();
            for bit in 0..usize::from(self.rounds) * 4 {
                if self.may(signed, &own, held, &self.votes[nation][bit].1) {
                    next.push(self.with(state, nation, sign(signed, bit)));
                }
            }
            if self.loss.is_some() && state.iter().all(|signed| signed & LOST == 0) && signed != 0 {
                next.push(self.with(state, nation, signed | LOST));
            }
        }
        next
    }

    fn may(&self, signed: u32, own: &[&Vote], held: &Ballots, vote: &Vote) -> bool {
        if signed & LOST != 0 && self.loss == Some(Loss::KeepsSilent) {
            let log = SignerLog::lost_at(self.charter.height);
            return log.may_sign(&self.charter, held, vote, true, true).is_ok();
        }
        may_sign_under(self.rules, own, held, vote, true).is_ok()
    }

    fn with(&self, state: &State, nation: usize, signed: u32) -> State {
        let mut next = *state;
        next[nation] = signed;
        next[..self.honest].sort_unstable();
        let mut mirrored = next.map(swap_motions);
        mirrored[..self.honest].sort_unstable();
        next.min(mirrored)
    }

    /// What a state is, in words.
    pub(crate) fn words(&self, state: &State) -> String {
        let name = |bit: usize| {
            let (step, motion) = (if bit % 4 < 2 { "supports" } else { "seals" }, ["A", "B"][bit % 2]);
            format!("{step} {motion} in {}", bit / 4)
        };
        let nation = |signed: &u32| {
            let lost = if signed & LOST == 0 { "" } else { " (lost its log)" };
            set_bits(published(*signed)).map(name).collect::<Vec<_>>().join(", ") + lost
        };
        state[..self.honest].iter().map(nation).collect::<Vec<_>>().join("; ")
    }
}

/// Once the motions change their names.
fn swap_motions(signed: u32) -> u32 {
    let bits = signed & !LOST;
    (signed & LOST) | (bits & 0x5555_5555) << 1 | (bits & 0x2aaa_aaaa) >> 1
}

fn published(signed: u32) -> u32 {
    if signed & LOST == 0 { signed } else { signed & 0xff | signed >> 8 & 0xff }
}

fn log(signed: u32) -> u32 {
    if signed & LOST == 0 { signed } else { signed >> 8 & 0xff }
}

fn sign(signed: u32, bit: usize) -> u32 {
    if signed & LOST == 0 { signed | 1 << bit } else { signed | 1 << (bit + 8) }
}

fn set_bits(bits: u32) -> impl Iterator<Item = usize> {
    (0..31).filter(move |bit| bits >> bit & 1 == 1)
}

#[test]
fn a_vote_and_its_bit_are_the_same() {
    let model = Model::new(4, 1, 2);
    for (at, (_, vote)) in model.votes[0].iter().enumerate() {
        let motion = model.motions.iter().position(|motion| *motion == vote.motion).expect("one of them");
        assert_eq!(bit(vote.round, vote.step, motion), at);
        assert_eq!(swap_motions(swap_motions(1 << at)), 1 << at);
    }
}
