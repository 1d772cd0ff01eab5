//! What an honest nation may sign (spec 4.6, V1–V7, and Appendix B).

use super::{Ballots, Charter};
use crate::control::{Vote, VoteStep};
use crate::ids::{CharterId, ControlId, NationId};
use crate::rules::{Rule, Rules};

/// Why a nation must not sign a vote; nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refuse {
    /// The nation is no member of the version voted on, or the vote names another root key or alliance.
    #[error("nation {} does not vote on version {height} with this root key", nation.short())]
    NotMember {
        /// Who would vote.
        nation: NationId,
        /// The version's height.
        height: u32,
    },
    /// V5: a later version was adopted.
    #[error("version {passed} was decided: the charter is at version {height}")]
    Passed {
        /// The height voted on.
        passed: u32,
        /// The height of the version in force.
        height: u32,
    },
    /// The vote is on another version than the one in force.
    #[error("the vote is on version {height} ({}), which is not the one in force", base.short())]
    OtherBase {
        /// The height voted on.
        height: u32,
        /// The version voted on.
        base: CharterId,
    },
    /// The charter's rules are newer than this software (4.17).
    #[error("the alliance uses rules {rules}, which this software does not know")]
    Rules {
        /// The charter's rules.
        rules: u16,
    },
    /// V6: the log of what was signed is not complete for this height.
    #[error(
        "the record of what this root signed is complete from version {complete_from} on, and the vote is on {height}"
    )]
    LogLost {
        /// The height voted on.
        height: u32,
        /// From which height on the log is complete.
        complete_from: u32,
    },
    /// V1: a later round was signed already.
    #[error("round {signed} was signed already, which is later than round {round}")]
    EarlierRound {
        /// The round asked for.
        round: u16,
        /// The highest round signed.
        signed: u16,
    },
    /// V7: the round is not open yet.
    #[error("round {round} is not open: too few nations voted in round {}", round - 1)]
    RoundTooFar {
        /// The round asked for.
        round: u16,
        /// The highest round that is open.
        open: u16,
    },
    /// V2: this step was signed in this round already; the vote signed then is to be sent again.
    #[error("this step was signed in round {round} already, for motion {}: send that vote again", motion.short())]
    AlreadySigned {
        /// The round.
        round: u16,
        /// The step.
        step: VoteStep,
        /// What was signed.
        motion: ControlId,
    },
    /// V2: a motion was sealed in this round already.
    #[error("motion {} was sealed in round {round} already", motion.short())]
    SealedThisRound {
        /// The round.
        round: u16,
        /// What was sealed.
        motion: ControlId,
    },
    /// V3: the motion breaks a rule of the charter.
    #[error("the motion breaks a rule of the charter")]
    IllFormed,
    /// V3: a chain that the motion cuts is not held up to the cut, bodies included.
    #[error("the node does not hold every chain up to the cut that the motion names")]
    CutsNotHeld,
    /// V3: too few supported the motion in this round.
    #[error("{have} nations supported the motion in round {round}, {quorum} must before it is sealed")]
    NoSupportQuorum {
        /// The round.
        round: u16,
        /// How many did.
        have: usize,
        /// How many must.
        quorum: usize,
    },
    /// V4: another motion was sealed in an earlier round, and no later round shows that more than two thirds turned to
    /// this one.
    #[error("motion {} was sealed in round {round}: that lock holds until a later round shows a quorum for another", motion.short())]
    Locked {
        /// The round.
        round: u16,
        /// What was sealed.
        motion: ControlId,
    },
}

/// What a nation's root signed, as its signer keeps it next to the key: never rebuilt from what others hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignerLog {
    /// Every vote signed, in the order of signing.
    pub votes: Vec<Vote>,
    /// The log is complete from this height on; a lost one is complete from the height after the one it was lost at.
    pub complete_from: u32,
}

impl SignerLog {
    /// Starts the log of a root key that signed nothing yet, for a nation that is in since `height`.
    pub const fn complete_from(height: u32) -> Self {
        Self { votes: Vec::new(), complete_from: height }
    }

    /// Starts a new log after the old one was lost while the charter was at `height`: nothing is signed for that height.
    pub const fn lost_at(height: u32) -> Self {
        Self { votes: Vec::new(), complete_from: height.saturating_add(1) }
    }

    /// Writes down a vote, before it is signed.
    pub fn record(&mut self, vote: Vote) {
        self.votes.push(vote);
    }

    /// Checks V1–V7 for a vote on `charter`, the version in force.
    ///
    /// `well_formed` is whether the motion is, and `have_cuts` whether the nation's node holds every chain up to the cuts the
    /// motion names, bodies included; both matter for a seal only.
    ///
    /// # Errors
    /// [`Refuse`]; the log is unchanged.
    pub fn may_sign(
        &self,
        charter: &Charter,
        held: &Ballots,
        vote: &Vote,
        well_formed: bool,
        have_cuts: bool,
    ) -> Result<(), Refuse> {
        self.may_sign_under(Rules::default(), charter, held, vote, well_formed, have_cuts)
    }

    /// [`SignerLog::may_sign`] under rules of which a simulation may have broken one.
    ///
    /// # Errors
    /// [`Refuse`]; the log is unchanged.
    #[doc(hidden)]
    pub fn may_sign_under(
        &self,
        rules: Rules,
        charter: &Charter,
        held: &Ballots,
        vote: &Vote,
        well_formed: bool,
        have_cuts: bool,
    ) -> Result<(), Refuse> {
        in_force(charter, vote)?;
        if vote.height < self.complete_from {
            return Err(Refuse::LogLost { height: vote.height, complete_from: self.complete_from });
        }
        may_sign_own(rules, &self.votes, held, vote, well_formed, have_cuts)
    }
}

/// Checks V1–V5 and V7 for a vote on `charter`, the version in force (Appendix B); `own` is the signer's complete log, of
/// which only what is on this version counts, and `held` the votes held on it.
///
/// # Errors
/// [`Refuse`].
pub fn may_sign(
    charter: &Charter,
    own: &[Vote],
    held: &Ballots,
    vote: &Vote,
    well_formed: bool,
    have_cuts: bool,
) -> Result<(), Refuse> {
    in_force(charter, vote)?;
    may_sign_own(Rules::default(), own, held, vote, well_formed, have_cuts)
}

fn may_sign_own(
    rules: Rules,
    own: &[Vote],
    held: &Ballots,
    vote: &Vote,
    well_formed: bool,
    have_cuts: bool,
) -> Result<(), Refuse> {
    // V5 from the log alone: whoever voted on a later version has adopted it, whatever charter it is shown now.
    if let Some(later) = own.iter().filter(|own| own.nation == vote.nation).map(|own| own.height).max()
        && vote.height < later
    {
        return Err(Refuse::Passed { passed: vote.height, height: later });
    }
    let on_this = |own: &&Vote| (own.nation, own.height, own.base) == (vote.nation, vote.height, vote.base);
    let own: Vec<&Vote> = own.iter().filter(on_this).collect();
    may_sign_under(rules, &own, held, vote, well_formed && have_cuts).map_err(|refuse| match refuse {
        Refuse::NoSupportQuorum { .. } if !well_formed => Refuse::IllFormed,
        Refuse::NoSupportQuorum { .. } if !have_cuts => Refuse::CutsNotHeld,
        other => other,
    })
}

/// V5, and that the vote is the nation's own on the version in force.
fn in_force(charter: &Charter, vote: &Vote) -> Result<(), Refuse> {
    if charter.rules > crate::control::VERSION {
        return Err(Refuse::Rules { rules: charter.rules });
    }
    if vote.height < charter.height {
        return Err(Refuse::Passed { passed: vote.height, height: charter.height });
    }
    if (vote.height, vote.base) != (charter.height, charter.id) {
        return Err(Refuse::OtherBase { height: vote.height, base: vote.base });
    }
    if charter.may_vote(vote) { Ok(()) } else { Err(Refuse::NotMember { nation: vote.nation, height: vote.height }) }
}

/// Appendix B, under rules of which a model check may have broken one; `own` is what the nation signed on this version, and
/// `sound` whether the motion is well-formed and its cuts are held.
///
/// # Errors
/// [`Refuse`].
#[doc(hidden)]
pub fn may_sign_under(rules: Rules, own: &[&Vote], held: &Ballots, vote: &Vote, sound: bool) -> Result<(), Refuse> {
    let round = vote.round;
    let signed = own.iter().map(|own| own.round).max().unwrap_or(0);
    if signed > round && rules.keeps(Rule::RoundsNeverGoBack) {
        return Err(Refuse::EarlierRound { round, signed });
    }
    let open = held.round_max();
    if round > open {
        return Err(Refuse::RoundTooFar { round, open });
    }
    if rules.keeps(Rule::SignOnceARound) {
        for own in own.iter().filter(|own| own.round == round) {
            let motion = own.motion;
            match (own.step, vote.step) {
                (VoteStep::Support, VoteStep::Support) | (VoteStep::Seal, VoteStep::Seal) => {
                    return Err(Refuse::AlreadySigned { round, step: own.step, motion });
                }
                (VoteStep::Seal, VoteStep::Support) => return Err(Refuse::SealedThisRound { round, motion }),
                (VoteStep::Support, VoteStep::Seal) => {}
            }
        }
    }
    match vote.step {
        VoteStep::Seal => {
            let (have, quorum) = (held.count_of(round, VoteStep::Support, &vote.motion), held.quorum());
            let supported = have >= quorum || !rules.keeps(Rule::SealOnlyTheSupported);
            if sound && supported { Ok(()) } else { Err(Refuse::NoSupportQuorum { round, have, quorum }) }
        }
        VoteStep::Support => unlocked(rules, own, held, vote),
    }
}

/// V4.
fn unlocked(rules: Rules, own: &[&Vote], held: &Ballots, vote: &Vote) -> Result<(), Refuse> {
    let seals = own.iter().filter(|own| own.step == VoteStep::Seal);
    let Some(last) = seals.max_by_key(|seal| seal.round) else { return Ok(()) };
    let turned = |round: u16| held.has_quorum(round, VoteStep::Support, &vote.motion);
    let free = last.motion == vote.motion || (last.round + 1..vote.round).any(turned);
    if free || !rules.keeps(Rule::KeepTheLock) {
        Ok(())
    } else {
        Err(Refuse::Locked { round: last.round, motion: last.motion })
    }
}
