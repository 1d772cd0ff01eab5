//! What exactly was run, as the one command that runs it again.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use super::plan::{Plan, Weather};
use super::profile::Profile;

/// A run: a seed, a profile, and what was left out of their plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The seed.
    pub seed: u64,
    /// The profile.
    pub profile: Profile,
    /// The steps that are kept, as the whole plan counts them; all of them if absent.
    pub only: Option<BTreeSet<usize>>,
    /// What else is left out.
    pub without: BTreeSet<Without>,
    /// When the heal comes, in milliseconds since the run began; as the profile says if absent.
    pub heal_at_ms: Option<u64>,
}

/// Something other than a step that can be left out of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Without {
    /// Delays, losses and repetitions of frames.
    Weather,
    /// Clocks that are off at first.
    Skew,
    /// Lying: every nation runs honest nodes.
    Lies,
    /// Lying in the quiet phase: nodes that lie are gone after the heal.
    LateLies,
    /// Officers who break the rules of signers.
    Misvotes,
}

/// Why a range of seeds or a list of steps was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It is no range at all.
    #[error("{0} is no range of the form A..B")]
    NoRange(String),
    /// A part of it is no number.
    #[error("{0} is no number")]
    NoNumber(String),
    /// It has no first element.
    #[error("{0} is empty")]
    Empty(String),
    /// The plan has fewer steps.
    #[error("there is no step {step}; the plan has {steps} steps, counted from 0")]
    NoStep {
        /// What was asked for.
        step: usize,
        /// How many there are.
        steps: usize,
    },
}

impl Without {
    /// Everything that can be left out.
    pub const ALL: [Self; 5] = [Self::Weather, Self::Skew, Self::Lies, Self::LateLies, Self::Misvotes];

    /// Returns its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weather => "weather",
            Self::Skew => "skew",
            Self::Lies => "lies",
            Self::LateLies => "late-lies",
            Self::Misvotes => "misvotes",
        }
    }

    /// Returns what has that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|without| without.name() == name)
    }

    fn leave_out(self, plan: &mut Plan) {
        match self {
            Self::Weather => plan.weather = Weather::CALM,
            Self::Skew => plan.skews_ms.fill(0),
            Self::Lies => plan.nations.iter_mut().for_each(|nation| nation.lies = None),
            Self::LateLies => plan.liars_stay = false,
            Self::Misvotes => plan.nations.iter_mut().for_each(|nation| nation.misvotes = None),
        }
    }
}

impl Replay {
    /// The whole run of a seed.
    pub const fn whole(seed: u64, profile: Profile) -> Self {
        Self { seed, profile, only: None, without: BTreeSet::new(), heal_at_ms: None }
    }

    /// Makes the plan.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::new(self.seed, self.profile);
        if let Some(only) = &self.only {
            plan = plan.only(only);
        }
        self.without.iter().for_each(|without| without.leave_out(&mut plan));
        if let Some(heal_at_ms) = self.heal_at_ms {
            plan.hostile_ms = plan.hostile_ms.min(heal_at_ms);
        }
        plan
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "comity testnet sim --seed {} --profile {}", self.seed, self.profile.name())?;
        if let Some(only) = &self.only {
            write!(f, " --only {}", in_short(only))?;
        }
        if !self.without.is_empty() {
            let names: Vec<&str> = self.without.iter().map(|without| without.name()).collect();
            write!(f, " --without {}", names.join(","))?;
        }
        if let Some(heal_at_ms) = self.heal_at_ms {
            write!(f, " --heal-at {heal_at_ms}")?;
        }
        Ok(())
    }
}

/// Reads a half-open range of seeds: `0..100000`.
///
/// # Errors
/// [`ListError`].
pub fn seeds(text: &str) -> Result<Range<u64>, ListError> {
    let (from, to) = text.split_once("..").ok_or_else(|| ListError::NoRange(text.to_owned()))?;
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err(ListError::Empty(text.to_owned())) } else { Ok(range) }
}

/// Reads a list of steps of a plan that has `steps`: `3,7-9`, or `none`.
///
/// # Errors
/// [`ListError`].
pub fn steps(text: &str, steps: usize) -> Result<BTreeSet<usize>, ListError> {
    let mut listed = BTreeSet::new();
    if text == "none" {
        return Ok(listed);
    }
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (number(from)?, number(to)?);
        if from > to {
            return Err(ListError::Empty(part.to_owned()));
        }
        if to >= steps {
            return Err(ListError::NoStep { step: to, steps });
        }
        listed.extend(from..=to);
    }
    Ok(listed)
}

/// Writes a list of steps as [`steps`] reads it.
pub fn in_short(steps: &BTreeSet<usize>) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for step in steps.iter().copied() {
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == step => *to = step,
            Some(_) | None => runs.push((step, step)),
        }
    }
    if runs.is_empty() {
        return "none".to_owned();
    }
    let parts: Vec<String> =
        runs.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") }).collect();
    parts.join(",")
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, ListError> {
    text.trim().parse().map_err(|_| ListError::NoNumber(format!("{text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_seeds_is_half_open_and_not_empty() {
        assert_eq!(seeds("0..100000"), Ok(0..100_000));
        assert_eq!(seeds("7..8"), Ok(7..8));
        assert_eq!(seeds("7"), Err(ListError::NoRange("7".to_owned())));
        assert_eq!(seeds("7..7"), Err(ListError::Empty("7..7".to_owned())));
        assert_eq!(seeds("8..7"), Err(ListError::Empty("8..7".to_owned())));
        assert_eq!(seeds("0..=7"), Err(ListError::NoNumber("\"=7\"".to_owned())));
        assert_eq!(seeds("..7"), Err(ListError::NoNumber("\"\"".to_owned())));
        assert_eq!(seeds("-1..7"), Err(ListError::NoNumber("\"-1\"".to_owned())));
    }

    #[test]
    fn a_list_of_steps_is_read_as_it_is_written() {
        assert_eq!(steps("3,7-9", 10), Ok(BTreeSet::from([3, 7, 8, 9])));
        assert_eq!(steps("7-9,3,8", 10).map(|steps| in_short(&steps)), Ok("3,7-9".to_owned()));
        assert_eq!(steps("none", 0).map(|steps| in_short(&steps)), Ok("none".to_owned()));
        assert_eq!(steps("0-1", 10).map(|steps| in_short(&steps)), Ok("0-1".to_owned()));
        assert_eq!(steps("3,10", 10), Err(ListError::NoStep { step: 10, steps: 10 }));
        assert_eq!(steps("0-99999999999999", 10), Err(ListError::NoStep { step: 99_999_999_999_999, steps: 10 }));
        assert_eq!(steps("9-7", 10), Err(ListError::Empty("9-7".to_owned())));
        assert_eq!(steps("3,", 10), Err(ListError::NoNumber("\"\"".to_owned())));
    }

    #[test]
    fn a_replay_names_all_that_was_left_out_and_leaves_it_out() {
        let mut replay = Replay::whole(7, Profile::Liars);
        assert_eq!(replay.to_string(), "comity testnet sim --seed 7 --profile liars");
        replay.only = Some(BTreeSet::from([0, 2, 3]));
        replay.without.extend(Without::ALL);
        replay.heal_at_ms = Some(500);
        let command = "comity testnet sim --seed 7 --profile liars --only 0,2-3 --without weather,skew,lies,late-lies,misvotes --heal-at 500";
        assert_eq!(replay.to_string(), command);
        let plan = replay.plan();
        assert_eq!(plan.steps.iter().map(|step| step.number).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!((plan.weather, plan.hostile_ms, plan.liars_stay), (Weather::CALM, 500, false));
        assert!(plan.skews_ms.iter().all(|skew| *skew == 0) && plan.nations.iter().all(|of| of.lies.is_none()));
    }
}
