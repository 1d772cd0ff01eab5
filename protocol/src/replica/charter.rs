//! What the replica does about the charter beside evaluating it: it advances the anchor, and alarms where motions contradict
//! each other (spec 4.5.1).

use super::Replica;
use crate::charter::CharterConflict;
use crate::effect::{Alarm, Effect, SaveOp};
use crate::ids::ControlId;

/// The conflicts that were told already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    frozen: Option<Contradiction>,
    below: Option<Contradiction>,
}

/// Height and motions of a conflict.
type Contradiction = (u32, [ControlId; 2]);

impl Replica {
    /// Moves the anchor up where the witnesses allow it; what that rests on is saved with it.
    pub(super) fn advance_anchor(&mut self, ops: &mut Vec<SaveOp>) {
        if let Some(anchor) = self.state.next_anchor()
            && self.state.set_anchor(anchor)
        {
            ops.push(SaveOp::Anchor(anchor));
        }
    }

    /// Tells of conflicts that were not told before.
    pub(super) fn tell_conflicts(&mut self) {
        let named = |conflict: Option<&CharterConflict>| conflict.map(|conflict| (conflict.height, conflict.motions));
        let now =
            Told { frozen: named(self.state.charter_conflict()), below: named(self.state.conflict_below_anchor()) };
        let before = std::mem::replace(&mut self.told, now);
        for (was, is, below_anchor) in [(before.frozen, now.frozen, false), (before.below, now.below, true)] {
            if let Some((height, motions)) = is.filter(|_| was != is) {
                self.effects.push_back(Effect::Alarm(Alarm::CharterConflict { height, motions, below_anchor }));
            }
        }
    }

    /// Tells at the start that the anchored charter is not there.
    pub(super) fn tell_lost_anchor(&mut self) {
        if self.state.anchor_lost() {
            let height = self.state.anchor().height;
            self.effects.push_back(Effect::Alarm(Alarm::AnchorLost { height }));
        }
    }
}
