//! The step rules from one roster to the next (spec 4.3.3), each with a name: a person learns before anybody signs which one a
//! draft breaks, and the evaluation asks the same function.

use crate::control::{KeyStatus, Params, Roster};
use crate::ids::AuthorKey;
use crate::limits::ROSTER_VERSION_MAX;

/// The step rule that a roster breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// S1: the version is the previous one's plus one, 1 for the first.
    #[error("it is version {version}, and version {expected} comes next")]
    Version {
        /// The roster's version.
        version: u64,
        /// What it must be.
        expected: u64,
    },
    /// S2: it names the roster before it; the first one names none.
    #[error("it does not name the roster before it")]
    Prev,
    /// S3: every key of the previous roster is still there.
    #[error("key {0} of the previous roster is missing")]
    KeyMissing(AuthorKey),
    /// S4: a known key keeps its encryption key and whether it witnesses.
    #[error("key {0} has another encryption key, or witnesses where it did not, or no more")]
    KeyChanged(AuthorKey),
    /// S5: a retired key stays retired.
    #[error("key {0} was retired and is active again")]
    Unretired(AuthorKey),
    /// S6: the cut of a retired key only moves down.
    #[error("the cut of key {key} moves up from {from} to {to}")]
    CutGrows {
        /// The key.
        key: AuthorKey,
        /// Number of the last envelope that counted.
        from: u64,
        /// Number of the last envelope that would count.
        to: u64,
    },
    /// S7: no more active keys than the charter allows.
    #[error("{active} keys are active, and the charter allows {max}")]
    TooManyActive {
        /// Active keys.
        active: usize,
        /// The charter's bound.
        max: u8,
    },
    /// S8: at most one active key witnesses.
    #[error("{0} active keys witness, and a nation has one witness")]
    Witnesses(usize),
    /// S9: a closed roster stays closed and has no active key.
    #[error("it is closed and has {active} active keys")]
    ClosedActive {
        /// Active keys.
        active: usize,
    },
    /// S9: a closed roster stays closed and has no active key.
    #[error("the roster before it is closed, and it is not")]
    Reopened,
}

impl StepError {
    /// Returns the rule's code, as in docs/protocol.md 4.3.3.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Version { .. } => "S1",
            Self::Prev => "S2",
            Self::KeyMissing(_) => "S3",
            Self::KeyChanged(_) => "S4",
            Self::Unretired(_) => "S5",
            Self::CutGrows { .. } => "S6",
            Self::TooManyActive { .. } => "S7",
            Self::Witnesses(_) => "S8",
            Self::ClosedActive { .. } | Self::Reopened => "S9",
        }
    }
}

/// Checks the step from `prev` to `next`; `prev` is the roster in force or the generation's floor, `None` for a first roster.
///
/// Whose root signs it, and for which generation, is checked elsewhere: the first roster of a generation follows one that
/// another root signed.
///
/// # Errors
/// [`StepError`] with the first rule that breaks.
pub fn check_step(params: &Params, prev: Option<&Roster>, next: &Roster) -> Result<(), StepError> {
    let expected = prev.map_or(1, |prev| prev.version + 1);
    if next.version != expected || next.version > ROSTER_VERSION_MAX {
        return Err(StepError::Version { version: next.version, expected });
    }
    if prev.map_or(crate::ids::ControlId::ZERO, Roster::id) != next.prev {
        return Err(StepError::Prev);
    }
    if let Some(prev) = prev {
        keys_follow(prev, next)?;
    }
    let active = || next.keys.iter().filter(|key| key.status == KeyStatus::Active);
    let max = params.max_active_keys;
    if active().count() > usize::from(max) {
        return Err(StepError::TooManyActive { active: active().count(), max });
    }
    let witnesses = active().filter(|key| key.witness).count();
    if witnesses > 1 {
        return Err(StepError::Witnesses(witnesses));
    }
    if next.closed && active().next().is_some() {
        return Err(StepError::ClosedActive { active: active().count() });
    }
    if prev.is_some_and(|prev| prev.closed) && !next.closed {
        return Err(StepError::Reopened);
    }
    Ok(())
}

fn keys_follow(prev: &Roster, next: &Roster) -> Result<(), StepError> {
    for old in &prev.keys {
        let key = old.node;
        let Ok(at) = next.keys.binary_search_by_key(&key, |new| new.node) else {
            return Err(StepError::KeyMissing(key));
        };
        let new = &next.keys[at];
        if new.kem != old.kem || new.witness != old.witness {
            return Err(StepError::KeyChanged(key));
        }
        match (old.status, new.status) {
            (KeyStatus::Active, KeyStatus::Active | KeyStatus::Retired { .. }) => {}
            (KeyStatus::Retired { .. }, KeyStatus::Active) => return Err(StepError::Unretired(key)),
            (KeyStatus::Retired { cut: from }, KeyStatus::Retired { cut: to }) if to.seq > from.seq => {
                return Err(StepError::CutGrows { key, from: from.seq, to: to.seq });
            }
            (KeyStatus::Retired { .. }, KeyStatus::Retired { .. }) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::RosterKey;
    use crate::ids::{AllianceId, ControlId, EnvelopeId, NationId, RootKey, Tip};

    fn key(number: u8, witness: bool, status: KeyStatus) -> RosterKey {
        RosterKey { node: AuthorKey::new([number; 32]), kem: [number; 32], label: "n".into(), witness, status }
    }

    fn retired(seq: u64) -> KeyStatus {
        KeyStatus::Retired { cut: Tip { seq, id: EnvelopeId::new([9; 32]) } }
    }

    fn roster(version: u64, prev: ControlId, keys: Vec<RosterKey>) -> Roster {
        Roster {
            alliance: AllianceId::ZERO,
            nation: NationId::ZERO,
            root: RootKey::ZERO,
            root_gen: 0,
            version,
            prev,
            time_ms: 0,
            keys,
            closed: false,
            note: String::new(),
        }
    }

    #[test]
    fn every_step_rule_is_named_where_it_breaks() {
        let params = Params { max_active_keys: 2, chain_quota: 1 };
        let first = roster(1, ControlId::ZERO, vec![key(1, true, KeyStatus::Active), key(2, false, retired(5))]);
        assert_eq!(check_step(&params, None, &first), Ok(()));
        let next = |change: &dyn Fn(&mut Roster)| {
            let mut next = Roster { version: 2, prev: first.id(), ..first.clone() };
            change(&mut next);
            check_step(&params, Some(&first), &next).map_err(|error| error.code())
        };
        assert_eq!(next(&|_| {}), Ok(()));
        assert_eq!(next(&|next| next.version = 3), Err("S1"));
        assert_eq!(next(&|next| next.prev = ControlId::ZERO), Err("S2"));
        assert_eq!(next(&|next| next.keys.truncate(1)), Err("S3"));
        assert_eq!(next(&|next| next.keys[0].kem = [7; 32]), Err("S4"));
        assert_eq!(next(&|next| next.keys[0].witness = false), Err("S4"));
        assert_eq!(next(&|next| next.keys[1].status = KeyStatus::Active), Err("S5"));
        assert_eq!(next(&|next| next.keys[1].status = retired(6)), Err("S6"));
        assert_eq!(next(&|next| next.keys[1].status = retired(4)), Ok(()));
        let add = |witness| move |next: &mut Roster| next.keys.push(key(3, witness, KeyStatus::Active));
        assert_eq!(next(&add(false)), Ok(()));
        assert_eq!(next(&add(true)), Err("S8"));
        let two = |next: &mut Roster| next.keys.extend([3, 4].map(|n| key(n, false, KeyStatus::Active)));
        assert_eq!(next(&two), Err("S7"));
        assert_eq!(next(&|next| next.closed = true), Err("S9"));
        let close = |next: &mut Roster| {
            next.keys[0].status = retired(3);
            next.closed = true;
        };
        assert_eq!(next(&close), Ok(()));
        let mut closed = Roster { version: 2, prev: first.id(), ..first.clone() };
        close(&mut closed);
        let reopened = Roster { version: 3, prev: closed.id(), closed: false, ..closed.clone() };
        assert_eq!(check_step(&params, Some(&closed), &reopened).map_err(|error| error.code()), Err("S9"));
    }
}
