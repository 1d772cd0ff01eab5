//! Scenarios: who takes part, what the record says at first, and what happens when.
//!
//! A scenario is a TOML file; `scenarios/largest-donor-leaves.toml` is the default and explains every key. Nothing in
//! it depends on the day it runs: dates are offsets in days from the start of the run, and one `as_of` holds for all
//! views of a run. The seed decides the order and content of writes and the moments of kills, not the scheduling.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use comity_protocol::limits::NATIONS_MAX;
use serde_json::{Map, Value};

use crate::countries::Countries;
use crate::files::read_text;

mod error;
mod raw;
mod read;
mod step;
mod timeline;

pub use error::{OrderProblem, Problem, ScenarioError};
pub use step::{BatchStanding, Condition, Leaver, MotionChange, Step, VoteOutcome};

/// The scenario that runs where none is named.
pub const DEFAULT: &str = "largest-donor-leaves";
/// Scenarios that come with the program, by name.
const BUILT_IN: [(&str, &str); 9] = [
    (DEFAULT, include_str!("../scenarios/largest-donor-leaves.toml")),
    ("three-nations", include_str!("../scenarios/three-nations.toml")),
    ("stolen-key", include_str!("../scenarios/stolen-key.toml")),
    ("restored-backup", include_str!("../scenarios/restored-backup.toml")),
    ("nation-removed", include_str!("../scenarios/nation-removed.toml")),
    ("nation-admitted", include_str!("../scenarios/nation-admitted.toml")),
    ("root-replaced", include_str!("../scenarios/root-replaced.toml")),
    ("split-vote", include_str!("../scenarios/split-vote.toml")),
    ("courier", include_str!("../scenarios/courier.toml")),
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
    /// How it comes to be in the alliance.
    pub entry: Entry,
}

/// How a nation comes to be in the alliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It founds it.
    Founder,
    /// A motion of the timeline admits it.
    ByMotion,
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
    /// Sides between which there is no link at all, ever; empty where everybody is linked.
    pub apart: Vec<BTreeSet<String>>,
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

    /// Returns the built-in scenarios, each with what it shows.
    /// # Errors
    /// [`ScenarioError`] if one cannot be run; a test reads them all.
    pub fn built_in() -> Result<Vec<Self>, ScenarioError> {
        BUILT_IN.iter().map(|(name, text)| Self::parse(name, text)).collect()
    }

    /// Returns the codes of the founding nations, in order.
    pub fn founders(&self) -> Vec<String> {
        let founders = self.nations.iter().filter(|nation| nation.entry == Entry::Founder);
        founders.map(|nation| nation.code.clone()).collect()
    }

    /// Returns the founders that a founder is linked with from the start, itself included.
    pub fn side(&self, code: &str) -> BTreeSet<String> {
        let side = self.apart.iter().find(|side| side.contains(code)).cloned();
        side.unwrap_or_else(|| self.founders().into_iter().collect())
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
        if self.timeline.iter().any(names_its_nations) {
            return Err(ScenarioError::Nations(Problem::OwnNations));
        }
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
                let new = || ScenarioNation {
                    code: code.clone(),
                    name: countries.name(code).to_owned(),
                    role: Role::Donor,
                    entry: Entry::Founder,
                };
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
        Step::Write { .. }
        | Step::Wait { .. }
        | Step::Stop { .. }
        | Step::Heal
        | Step::Leave { .. }
        | Step::WriteAs { .. }
        | Step::Clone { .. }
        | Step::Init { .. }
        | Step::Roster { .. }
        | Step::Start { .. }
        | Step::Link { .. }
        | Step::Propose { .. }
        | Step::Vote { .. }
        | Step::Run { .. }
        | Step::Destroy { .. }
        | Step::Mark { .. }
        | Step::Expect { .. } => Some(step),
    }
}

/// Whether a step is about what one nation's keys do, so that no other can take its place.
fn names_its_nations(step: &Step) -> bool {
    match step {
        Step::Write { .. }
        | Step::Burst { .. }
        | Step::Wait { .. }
        | Step::Stop { .. }
        | Step::Partition { .. }
        | Step::CutOneWay { .. }
        | Step::Delay { .. }
        | Step::Heal
        | Step::Kill { .. }
        | Step::Restart { .. }
        | Step::Leave { .. } => false,
        Step::WriteAs { .. }
        | Step::Clone { .. }
        | Step::Init { .. }
        | Step::Roster { .. }
        | Step::Start { .. }
        | Step::Link { .. }
        | Step::Propose { .. }
        | Step::Vote { .. }
        | Step::Run { .. }
        | Step::Destroy { .. }
        | Step::Mark { .. }
        | Step::Expect { .. } => true,
    }
}

fn built_in_names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests;
