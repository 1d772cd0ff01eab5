//! Scenarios: who takes part, what the record says at first, and what happens when.
//!
//! A scenario is a TOML file; `scenarios/largest-donor-leaves.toml` is the default and explains every key. Nothing in
//! it depends on the day it runs: dates are offsets in days from the start of the run, and one `as_of` holds for all
//! views of a run. The seed decides the order and content of writes and the moments of kills, not the scheduling.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use comity_protocol::limits::NATIONS_MAX;
use serde_json::{Map, Value};

use crate::countries::Countries;
use crate::files::read_text;
use crate::relay::CutKind;

mod error;
mod raw;
mod timeline;

pub use error::{OrderProblem, Problem, ScenarioError};

/// The scenario that runs where none is named.
pub const DEFAULT: &str = "largest-donor-leaves";
/// Scenarios that come with the program, by name.
const BUILT_IN: [(&str, &str); 2] = [
    (DEFAULT, include_str!("../scenarios/largest-donor-leaves.toml")),
    ("three-nations", include_str!("../scenarios/three-nations.toml")),
];

/// Farthest date from the start of the run, in days: ten years.
pub const DAYS_MAX: i64 = 3_650;
/// Most records of a scenario's own.
pub const RECORDS_MAX: usize = 10_000;
/// Most steps of a timeline.
pub const STEPS_MAX: usize = 256;
/// Most statements a step may wait for.
pub const STATEMENTS_MAX: u32 = 100_000;

/// What a nation does in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Files requirements and accepts.
    Recipient,
    /// Pledges and ships.
    Donor,
}

/// A nation that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioNation {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
}

/// A statement of the scenario's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The set it belongs to; a `write` step writes one set.
    pub set: String,
    /// What other records call it.
    pub key: String,
    /// The nation that writes it.
    pub by: String,
    /// The kind of statement.
    pub kind: String,
    /// The key of the record it revises.
    pub revises: Option<String>,
    /// `withdrawn` or `closed`.
    pub status: Option<String>,
    /// Its fields; text `@key` stands for the record of that key, dates are already offsets in days.
    pub fields: Map<String, Value>,
    /// Keys of all records it names or revises.
    pub needs: BTreeSet<String>,
}

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaver {
    /// The donor whose removal uncovers most of the scenario's own record.
    LargestDonor,
    /// This nation.
    Nation(String),
}

/// One step of the timeline; a step begins when the one before is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Writes a set of records and waits until all are acknowledged and every node that can be reached holds them.
    Write {
        /// The set.
        records: String,
    },
    /// Lets nations write statements of their own, one each `every`, until [`Step::Stop`].
    Burst {
        /// Who writes.
        nations: BTreeSet<String>,
        /// The pause between the statements of one nation.
        every: Duration,
    },
    /// Waits until every writer has so many more statements acknowledged.
    Wait {
        /// How many.
        statements: u32,
    },
    /// Waits like [`Step::Wait`], then stops the writers.
    Stop {
        /// How many.
        statements: u32,
    },
    /// Cuts all links between sides and waits until both sides show each other as not connected.
    Partition {
        /// The sides; every nation stands on one.
        sides: Vec<BTreeSet<String>>,
        /// How the cut shows itself.
        cut: CutKind,
    },
    /// Silently stops what `from` sends to `to`.
    CutOneWay {
        /// Who is no longer heard.
        from: String,
        /// Who no longer hears.
        to: String,
    },
    /// Delays everything between two nations.
    Delay {
        /// The nations.
        between: (String, String),
        /// How long, each way.
        by: Duration,
    },
    /// Ends every cut.
    Heal,
    /// Kills a node while one of its writes is unanswered.
    Kill {
        /// The nation whose node it is.
        nation: String,
    },
    /// Starts a killed node again, and repeats the unanswered write.
    Restart {
        /// The nation whose node it is.
        nation: String,
    },
    /// Kills a node for good, in the middle of its writing.
    Leave {
        /// The nation whose node it is.
        nation: Leaver,
        /// Statements of it that are acknowledged before.
        acknowledged: u32,
    },
}

/// A scenario, checked: every name in it is known and every step possible where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, for people.
    pub about: String,
    /// Decides order and content of writes and the moments of kills.
    pub seed: u64,
    /// The moment of every view, in days after the start of the run.
    pub as_of: i64,
    /// Who takes part, in the file's order.
    pub nations: Vec<ScenarioNation>,
    /// Statements of its own, in the file's order.
    pub records: Vec<Record>,
    /// What happens.
    pub timeline: Vec<Step>,
}

impl Scenario {
    /// Finds a scenario: a built-in one by its name, else the TOML file of that path.
    /// # Errors
    /// [`ScenarioError`] if there is none or it cannot be run.
    pub fn find(name: &str) -> Result<Self, ScenarioError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        if !path.exists() {
            return Err(ScenarioError::Unknown { name: name.to_owned() });
        }
        Self::parse(name, &read_text(path)?)
    }

    /// Reads a scenario from TOML; `file` stands in error messages.
    /// # Errors
    /// [`ScenarioError::Content`] naming the line and the key.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        raw::parse(text).map_err(|fault| ScenarioError::Content {
            file: file.to_owned(),
            line: text.get(..fault.at).unwrap_or(text).matches('\n').count() + 1,
            key: fault.key,
            problem: fault.problem,
        })
    }

    /// Returns the codes of all nations, in order.
    pub fn codes(&self) -> Vec<String> {
        self.nations.iter().map(|nation| nation.code.clone()).collect()
    }

    /// Returns the same scenario among other nations.
    ///
    /// What nations that do not take part would have done is left out, also what rests on it; nations the scenario does
    /// not know join as donors and stand on the smallest side of a partition.
    /// # Errors
    /// [`ScenarioError::Nations`] if a code is none, a recipient is left out, or fewer than two nations remain.
    pub fn among(mut self, codes: &[String]) -> Result<Self, ScenarioError> {
        check_codes(codes).map_err(ScenarioError::Nations)?;
        let wanted: BTreeSet<&String> = codes.iter().collect();
        let recipients = self.nations.iter().filter(|nation| nation.role == Role::Recipient);
        if let Some(left_out) = recipients.map(|nation| &nation.code).find(|code| !wanted.contains(code)) {
            return Err(ScenarioError::Nations(Problem::RecipientLeftOut(left_out.clone())));
        }
        let countries = Countries::built_in();
        let known: BTreeMap<String, ScenarioNation> =
            self.nations.drain(..).map(|nation| (nation.code.clone(), nation)).collect();
        self.nations = codes
            .iter()
            .map(|code| {
                let new =
                    || ScenarioNation { code: code.clone(), name: countries.name(code).to_owned(), role: Role::Donor };
                known.get(code).cloned().unwrap_or_else(new)
            })
            .collect();
        self.leave_out_absent(&wanted);
        let joined: Vec<&String> = codes.iter().filter(|code| !known.contains_key(*code)).collect();
        self.timeline = self.timeline.drain(..).filter_map(|step| among_step(step, &wanted, &joined)).collect();
        let leaves = self.timeline.iter().any(|step| matches!(step, Step::Leave { .. }));
        let leaver = self.leaver();
        if leaves && leaver.is_none() {
            return Err(ScenarioError::Nations(Problem::Order(OrderProblem::NoDonor)));
        }
        self.timeline.retain(|step| match step {
            Step::Kill { nation } | Step::Restart { nation } => leaver.as_ref() != Some(nation),
            _ => true,
        });
        Ok(self)
    }

    /// Returns who leaves; `None` if nobody does.
    pub fn leaver(&self) -> Option<String> {
        self.timeline.iter().find_map(|step| match step {
            Step::Leave { nation: Leaver::Nation(nation), .. } => Some(nation.clone()),
            Step::Leave { nation: Leaver::LargestDonor, .. } => self.largest_donor(),
            _ => None,
        })
    }

    fn leave_out_absent(&mut self, wanted: &BTreeSet<&String>) {
        let mut left_out = BTreeSet::new();
        self.records.retain(|record| {
            let stays = wanted.contains(&record.by) && record.needs.iter().all(|key| !left_out.contains(key));
            if !stays {
                left_out.insert(record.key.clone());
            }
            stays
        });
    }

    /// Returns the donor whose removal uncovers most: the largest sum, over requirements, of its accepted share.
    ///
    /// Shares are thousandths of the requirement, so that tonnes and pieces can be added. `None` without a donor.
    pub fn largest_donor(&self) -> Option<String> {
        let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
        for nation in self.nations.iter().filter(|nation| nation.role == Role::Donor) {
            shares.insert(&nation.code, 0);
        }
        for accept in self.records.iter().filter(|record| record.kind == "accept") {
            let Some((donor, share)) = self.accepted_share(accept) else { continue };
            if let Some(sum) = shares.get_mut(donor) {
                *sum += share;
            }
        }
        // Of equals the first by code.
        shares.into_iter().rev().max_by_key(|(_, share)| *share).map(|(code, _)| code.to_owned())
    }

    fn accepted_share(&self, accept: &Record) -> Option<(&str, u64)> {
        let pledge = self.named(accept, "pledge")?;
        let requirement = self.named(pledge, "requirement")?;
        let (accepted, required) = (quantity(accept)?, quantity(requirement)?);
        Some((&pledge.by, accepted.saturating_mul(1_000) / required.max(1)))
    }

    fn named(&self, record: &Record, field: &str) -> Option<&Record> {
        let key = record.fields.get(field)?.as_str()?.strip_prefix('@')?;
        self.records.iter().find(|record| record.key == key)
    }
}

fn quantity(record: &Record) -> Option<u64> {
    record.fields.get("quantity")?.as_u64()
}

/// Checks a choice of nations: codes, none twice, at least two.
/// # Errors
/// The first [`Problem`].
pub fn check_codes(codes: &[String]) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    for code in codes {
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Problem::NotACode(code.clone()));
        }
        if !seen.insert(code) {
            return Err(Problem::Twice(code.clone()));
        }
    }
    in_range(codes.len(), 2, NATIONS_MAX)
}

fn in_range(count: usize, least: usize, most: usize) -> Result<(), Problem> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let wide = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    Err(Problem::Count { count: wide(count), least: wide(least), most: wide(most) })
}

/// Returns a step among other nations; `None` if nothing of it remains.
fn among_step(step: Step, wanted: &BTreeSet<&String>, joined: &[&String]) -> Option<Step> {
    match step {
        Step::Burst { mut nations, every } => {
            nations.retain(|nation| wanted.contains(nation));
            nations.extend(joined.iter().copied().cloned());
            Some(Step::Burst { nations, every })
        }
        Step::Partition { mut sides, cut } => {
            for side in &mut sides {
                side.retain(|nation| wanted.contains(nation));
            }
            for nation in joined {
                if let Some(smallest) = sides.iter_mut().min_by_key(|side| side.len()) {
                    smallest.insert((*nation).clone());
                }
            }
            Some(Step::Partition { sides, cut })
        }
        Step::CutOneWay { ref from, ref to } => (wanted.contains(from) && wanted.contains(to)).then_some(step),
        Step::Delay { between: (ref one, ref other), .. } => {
            (wanted.contains(one) && wanted.contains(other)).then_some(step)
        }
        Step::Kill { ref nation } | Step::Restart { ref nation } => wanted.contains(nation).then_some(step),
        Step::Leave { nation: Leaver::Nation(ref nation), acknowledged } if !wanted.contains(nation) => {
            Some(Step::Leave { nation: Leaver::LargestDonor, acknowledged })
        }
        Step::Write { .. } | Step::Wait { .. } | Step::Stop { .. } | Step::Heal | Step::Leave { .. } => Some(step),
    }
}

fn built_in_names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests;
