//! Two motions sealed for one charter version, and who broke the rules for it (spec 4.5.1, 4.8).

use std::collections::BTreeSet;

use super::{Ballots, Charter};
use crate::control::VoteStep;
use crate::ids::{CharterId, ControlId, NationId};

/// Two motions that more than two thirds sealed for one charter version: at least a third of its nations broke the signer
/// rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharterConflict {
    /// Height of the version both change.
    pub height: u32,
    /// The version both change.
    pub base: CharterId,
    /// The two motions, ascending by id; of more than two the smallest ones, and below the anchor the adopted one always.
    pub motions: [ControlId; 2],
    /// The round in which each of them was sealed: one they share if there is one, otherwise the lowest of each.
    pub rounds: [u16; 2],
    /// Who sealed both in one round, with both signatures held; empty if they were sealed in different rounds.
    pub double_sealers: BTreeSet<NationId>,
    /// Sealed in different rounds: who sealed the earlier one. Of those that are among `supporters` too, each broke V1 or V4,
    /// or one of the sealers of the later motion broke V3.
    pub sealers: BTreeSet<NationId>,
    /// Sealed in different rounds: who supported another motion in the first later round in which more than two thirds
    /// did; empty if no such support is held, and the later motion's sealers then owe it (V3).
    pub supporters: BTreeSet<NationId>,
}

impl CharterConflict {
    pub(super) fn between(charter: &Charter, ballots: &Ballots, one: ControlId, other: ControlId) -> Self {
        let motions = if one < other { [one, other] } else { [other, one] };
        let sealed = motions.map(|motion| ballots.rounds_sealed(&motion));
        let lowest = |rounds: &[u16]| rounds.first().copied().unwrap_or_default();
        let shared = sealed[0].iter().find(|round| sealed[1].contains(round)).copied();
        let rounds = shared.map_or_else(|| [lowest(&sealed[0]), lowest(&sealed[1])], |round| [round, round]);
        let mut conflict = Self {
            height: charter.height,
            base: charter.id,
            motions,
            rounds,
            double_sealers: BTreeSet::new(),
            sealers: BTreeSet::new(),
            supporters: BTreeSet::new(),
        };
        if let Some(round) = shared {
            let sealers = |i: usize| ballots.seals(round, &conflict.motions[i]);
            conflict.double_sealers = sealers(0).intersection(&sealers(1)).copied().collect();
        } else {
            conflict.name_across_rounds(ballots);
        }
        conflict
    }

    fn name_across_rounds(&mut self, ballots: &Ballots) {
        let (earlier, later) = if self.rounds[0] < self.rounds[1] { (0, 1) } else { (1, 0) };
        let motion = self.motions[earlier];
        self.sealers = ballots.seals(self.rounds[earlier], &motion);
        let turned = ballots.iter().find(|(round, step, of, _)| {
            let between = (self.rounds[earlier] + 1..=self.rounds[later]).contains(round);
            between && *step == VoteStep::Support && *of != motion && ballots.has_quorum(*round, *step, of)
        });
        self.supporters = turned.map_or_else(BTreeSet::new, |(.., nations)| nations.keys().copied().collect());
    }

    /// Returns who is accused by name: who sealed both in one round, or sealed the one and then supported against it.
    pub fn accused(&self) -> BTreeSet<NationId> {
        if self.rounds[0] == self.rounds[1] {
            self.double_sealers.clone()
        } else {
            self.sealers.intersection(&self.supporters).copied().collect()
        }
    }
}
