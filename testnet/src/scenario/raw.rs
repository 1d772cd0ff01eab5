//! Scenario files as written, and their checks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::{
    DAYS_MAX, Leaver, OrderProblem, Problem, RECORDS_MAX, Record, Role, STATEMENTS_MAX, STEPS_MAX, Scenario,
    ScenarioNation, Step, check_codes, in_range,
};
use crate::countries::Countries;
use crate::relay::CutKind;

/// What is wrong, and the byte where.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) problem: Problem,
}

impl Fault {
    fn new(span: &Range<usize>, key: &str, problem: Problem) -> Self {
        Self { at: span.start, key: key.to_owned(), problem }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    name: Spanned<String>,
    #[serde(default)]
    about: String,
    seed: u64,
    as_of: Spanned<i64>,
    nation: Vec<Spanned<RawNation>>,
    #[serde(default)]
    record: Vec<Spanned<RawRecord>>,
    timeline: Vec<Spanned<RawStep>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNation {
    code: String,
    name: Option<String>,
    role: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    set: Option<String>,
    key: Spanned<String>,
    by: Spanned<String>,
    kind: String,
    revises: Option<Spanned<String>>,
    status: Option<Spanned<String>>,
    #[serde(default)]
    fields: BTreeMap<String, Spanned<toml::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    step: Spanned<String>,
    records: Option<Spanned<String>>,
    nations: Option<Spanned<Vec<String>>>,
    nation: Option<Spanned<String>>,
    every_ms: Option<Spanned<u64>>,
    statements: Option<Spanned<u32>>,
    acknowledged: Option<Spanned<u32>>,
    sides: Option<Spanned<Vec<Vec<String>>>>,
    cut: Option<Spanned<CutKind>>,
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    between: Option<Spanned<[String; 2]>>,
    delay_ms: Option<Spanned<u64>>,
}

/// Fields whose whole numbers are days from the start of the run.
const DAY_FIELDS: [&str; 12] = [
    "needed_by",
    "valid_until",
    "available_from",
    "deliver_by",
    "expires",
    "open_from",
    "open_to",
    "etd",
    "eta",
    "at",
    "date",
    "review_by",
];
/// The set of records that names none.
const DEFAULT_SET: &str = "start";

pub(super) fn parse(text: &str) -> Result<Scenario, Fault> {
    let raw: RawScenario = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Fault { at, key: key_at(text, at), problem: Problem::Syntax(error.message().to_owned()) }
    })?;
    let as_of = *raw.as_of.get_ref();
    if !(0..=DAYS_MAX).contains(&as_of) {
        let problem = Problem::Count { count: as_of, least: 0, most: DAYS_MAX };
        return Err(Fault::new(&raw.as_of.span(), "as_of", problem));
    }
    let nations = nations(&raw.nation)?;
    let codes: BTreeSet<String> = nations.iter().map(|nation| nation.code.clone()).collect();
    let end = text.len().saturating_sub(1);
    in_range(raw.record.len(), 0, RECORDS_MAX).map_err(|problem| Fault::new(&(end..end), "record", problem))?;
    in_range(raw.timeline.len(), 1, STEPS_MAX).map_err(|problem| Fault::new(&(end..end), "timeline", problem))?;
    let records = records(raw.record, &codes)?;
    let (name, seed, timeline) = (raw.name.into_inner(), raw.seed, Vec::new());
    let mut scenario = Scenario { name, about: raw.about, seed, as_of, nations, records, timeline };
    scenario.timeline = Timeline::new(&codes, &scenario).read(&raw.timeline)?;
    Ok(scenario)
}

/// Returns the key of the line at `at`, for errors the parser raises itself.
fn key_at(text: &str, at: usize) -> String {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    line.split('=').next().unwrap_or_default().trim().to_owned()
}

fn nations(raw: &[Spanned<RawNation>]) -> Result<Vec<ScenarioNation>, Fault> {
    let countries = Countries::built_in();
    let mut nations = Vec::new();
    for spanned in raw {
        let nation = spanned.get_ref();
        let role = match &nation.role {
            None => Role::Donor,
            Some(role) => match role.get_ref().as_str() {
                "donor" => Role::Donor,
                "recipient" => Role::Recipient,
                other => {
                    let problem = Problem::Word { word: other.to_owned(), possible: vec!["donor", "recipient"] };
                    return Err(Fault::new(&role.span(), "role", problem));
                }
            },
        };
        let name = nation.name.clone().unwrap_or_else(|| countries.name(&nation.code).to_owned());
        nations.push(ScenarioNation { code: nation.code.clone(), name, role });
        let codes: Vec<String> = nations.iter().map(|nation| nation.code.clone()).collect();
        match check_codes(&codes) {
            Ok(()) => {}
            Err(Problem::Count { .. }) if nations.len() < 2 && raw.len() >= 2 => {}
            Err(problem) => return Err(Fault::new(&spanned.span(), "nation", problem)),
        }
    }
    match nations.len() {
        0 => Err(Fault { at: 0, key: "nation".to_owned(), problem: Problem::Count { count: 0, least: 2, most: 64 } }),
        _ => Ok(nations),
    }
}

fn records(raw: Vec<Spanned<RawRecord>>, codes: &BTreeSet<String>) -> Result<Vec<Record>, Fault> {
    let mut records: Vec<Record> = Vec::new();
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for spanned in raw {
        let raw = spanned.into_inner();
        let key = raw.key.get_ref().clone();
        if !codes.contains(raw.by.get_ref()) {
            return Err(Fault::new(&raw.by.span(), "by", Problem::UnknownNation(raw.by.into_inner())));
        }
        let mut needs = BTreeSet::new();
        let revises = match &raw.revises {
            None => None,
            Some(revises) => {
                let named = revises.get_ref().trim_start_matches('@').to_owned();
                if !keys.contains(&named) {
                    let problem = Problem::UnknownRecord(revises.get_ref().clone());
                    return Err(Fault::new(&revises.span(), "revises", problem));
                }
                needs.insert(named.clone());
                Some(named)
            }
        };
        let status = raw.status.map(|status| one_of(&status, "status", &["withdrawn", "closed"])).transpose()?;
        let mut fields = Map::new();
        for (field, spanned) in raw.fields {
            let span = spanned.span();
            let value = field_value(&field, spanned.into_inner(), &keys, &mut needs)
                .map_err(|problem| Fault::new(&span, &field, problem))?;
            fields.insert(field, value);
        }
        if !keys.insert(key.clone()) {
            return Err(Fault::new(&raw.key.span(), "key", Problem::Twice(key)));
        }
        let set = raw.set.unwrap_or_else(|| DEFAULT_SET.to_owned());
        let (by, kind) = (raw.by.into_inner(), raw.kind);
        records.push(Record { set, key, by, kind, revises, status, fields, needs });
    }
    Ok(records)
}

/// A field as a draft holds it; whole numbers in [`DAY_FIELDS`] become `{"days": n}`, resolved when the run starts.
fn field_value(
    field: &str,
    value: toml::Value,
    keys: &BTreeSet<String>,
    needs: &mut BTreeSet<String>,
) -> Result<Value, Problem> {
    match value {
        toml::Value::String(text) => {
            if let Some(key) = text.strip_prefix('@') {
                if !keys.contains(key) {
                    return Err(Problem::UnknownRecord(text));
                }
                needs.insert(key.to_owned());
            }
            Ok(Value::String(text))
        }
        toml::Value::Integer(days) if DAY_FIELDS.contains(&field) => {
            if !(-DAYS_MAX..=DAYS_MAX).contains(&days) {
                return Err(Problem::Count { count: days, least: -DAYS_MAX, most: DAYS_MAX });
            }
            Ok(serde_json::json!({ "days": days }))
        }
        toml::Value::Integer(number) => Ok(number.into()),
        toml::Value::Boolean(is_set) => Ok(is_set.into()),
        toml::Value::Array(items) => items
            .into_iter()
            .map(|item| field_value(field, item, keys, needs))
            .collect::<Result<Vec<Value>, Problem>>()
            .map(Value::Array),
        toml::Value::Table(table) => {
            let mut object = Map::new();
            for (field, value) in table {
                let value = field_value(&field, value, keys, needs)?;
                object.insert(field, value);
            }
            Ok(Value::Object(object))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) => Err(Problem::Value),
    }
}

fn one_of(word: &Spanned<String>, key: &str, possible: &[&'static str]) -> Result<String, Fault> {
    if possible.contains(&word.get_ref().as_str()) {
        return Ok(word.get_ref().clone());
    }
    let problem = Problem::Word { word: word.get_ref().clone(), possible: possible.to_vec() };
    Err(Fault::new(&word.span(), key, problem))
}

/// The steps' kinds as files name them.
const STEPS: [&str; 11] =
    ["write", "burst", "wait", "stop", "partition", "cut_one_way", "delay", "heal", "kill", "restart", "leave"];

/// Follows a timeline to tell which step is possible.
struct Timeline<'a> {
    codes: &'a BTreeSet<String>,
    sets: BTreeSet<&'a str>,
    is_cut: bool,
    is_writing: bool,
    killed: BTreeSet<String>,
    largest_donor: Option<String>,
    left: Option<String>,
}

impl<'a> Timeline<'a> {
    fn new(codes: &'a BTreeSet<String>, scenario: &'a Scenario) -> Self {
        let sets = scenario.records.iter().map(|record| record.set.as_str()).collect();
        let (killed, largest_donor) = (BTreeSet::new(), scenario.largest_donor());
        Self { codes, sets, is_cut: false, is_writing: false, killed, largest_donor, left: None }
    }

    fn read(mut self, raw: &[Spanned<RawStep>]) -> Result<Vec<Step>, Fault> {
        let mut steps = Vec::new();
        for spanned in raw {
            let raw = spanned.get_ref();
            let step = self.step(raw)?;
            self.follow(&step).map_err(|problem| Fault::new(&raw.step.span(), "step", Problem::Order(problem)))?;
            steps.push(step);
        }
        let is_whole = self.killed.is_empty() && !self.is_cut && !self.is_writing;
        match raw.last() {
            Some(last) if !is_whole => {
                Err(Fault::new(&last.span(), "timeline", Problem::Order(OrderProblem::NotWholeAtEnd)))
            }
            Some(_) | None => Ok(steps),
        }
    }

    fn step(&self, raw: &RawStep) -> Result<Step, Fault> {
        let here = raw.step.span();
        match one_of(&raw.step, "step", &STEPS)?.as_str() {
            "write" => {
                let records = required(raw.records.as_ref(), "records", &here)?;
                if !self.sets.contains(records.get_ref().as_str()) {
                    let problem = Problem::UnknownRecord(records.get_ref().clone());
                    return Err(Fault::new(&records.span(), "records", problem));
                }
                Ok(Step::Write { records: records.get_ref().clone() })
            }
            "burst" => {
                let nations = match &raw.nations {
                    None => self.codes.clone(),
                    Some(nations) => self.known(nations.get_ref(), &nations.span(), "nations")?,
                };
                let every = millis(raw.every_ms.as_ref(), "every_ms", &here)?;
                Ok(Step::Burst { nations, every })
            }
            "wait" => Ok(Step::Wait { statements: count(raw.statements.as_ref(), "statements", &here)? }),
            "stop" => Ok(Step::Stop { statements: count(raw.statements.as_ref(), "statements", &here)? }),
            "partition" => self.partition(raw),
            "cut_one_way" => Ok(Step::CutOneWay {
                from: self.nation(raw.from.as_ref(), "from", &here)?,
                to: self.nation(raw.to.as_ref(), "to", &here)?,
            }),
            "delay" => {
                let between = required(raw.between.as_ref(), "between", &here)?;
                self.known(between.get_ref(), &between.span(), "between")?;
                let [one, other] = between.get_ref().clone();
                let by = millis(raw.delay_ms.as_ref(), "delay_ms", &here)?;
                Ok(Step::Delay { between: (one, other), by })
            }
            "heal" => Ok(Step::Heal),
            "kill" => Ok(Step::Kill { nation: self.nation(raw.nation.as_ref(), "nation", &here)? }),
            "restart" => Ok(Step::Restart { nation: self.nation(raw.nation.as_ref(), "nation", &here)? }),
            _ => {
                let acknowledged = count(raw.acknowledged.as_ref(), "acknowledged", &here)?;
                let is_largest = raw.nation.as_ref().is_some_and(|nation| nation.get_ref() == "largest_donor");
                let nation = if is_largest {
                    Leaver::LargestDonor
                } else {
                    Leaver::Nation(self.nation(raw.nation.as_ref(), "nation", &here)?)
                };
                Ok(Step::Leave { nation, acknowledged })
            }
        }
    }

    fn partition(&self, raw: &RawStep) -> Result<Step, Fault> {
        let listed = required(raw.sides.as_ref(), "sides", &raw.step.span())?;
        let span = listed.span();
        let all: Vec<String> = listed.get_ref().iter().flatten().cloned().collect();
        let known = self.known(&all, &span, "sides")?;
        if let Some(missing) = self.codes.iter().find(|code| !known.contains(*code)) {
            return Err(Fault::new(&span, "sides", Problem::OnNoSide(missing.clone())));
        }
        in_range(listed.get_ref().len(), 2, self.codes.len()).map_err(|problem| Fault::new(&span, "sides", problem))?;
        let sides = listed.get_ref().iter().map(|side| side.iter().cloned().collect()).collect();
        let cut = raw.cut.as_ref().map_or(CutKind::Silent, |cut| *cut.get_ref());
        Ok(Step::Partition { sides, cut })
    }

    fn nation(&self, named: Option<&Spanned<String>>, key: &str, here: &Range<usize>) -> Result<String, Fault> {
        let named = required(named, key, here)?;
        self.known(std::slice::from_ref(named.get_ref()), &named.span(), key)?;
        Ok(named.get_ref().clone())
    }

    fn known(&self, named: &[String], span: &Range<usize>, key: &str) -> Result<BTreeSet<String>, Fault> {
        let mut known = BTreeSet::new();
        for code in named {
            if !self.codes.contains(code) {
                return Err(Fault::new(span, key, Problem::UnknownNation(code.clone())));
            }
            if !known.insert(code.clone()) {
                return Err(Fault::new(span, key, Problem::Twice(code.clone())));
            }
        }
        Ok(known)
    }

    fn follow(&mut self, step: &Step) -> Result<(), OrderProblem> {
        match step {
            Step::Delay { .. } => Ok(()),
            Step::Write { .. } | Step::Burst { .. } if self.is_writing => Err(OrderProblem::WritersWrite),
            Step::Write { .. } => Ok(()),
            Step::Burst { .. } => {
                self.is_writing = true;
                Ok(())
            }
            Step::Wait { .. } | Step::Stop { .. } if !self.is_writing => Err(OrderProblem::NoWriters),
            Step::Wait { .. } => Ok(()),
            Step::Stop { .. } => {
                self.is_writing = false;
                Ok(())
            }
            Step::Partition { .. } if self.is_cut => Err(OrderProblem::PartitionStands),
            Step::Partition { .. } | Step::CutOneWay { .. } => {
                self.is_cut = true;
                Ok(())
            }
            Step::Heal if !self.is_cut => Err(OrderProblem::NothingToHeal),
            Step::Heal => {
                self.is_cut = false;
                Ok(())
            }
            Step::Kill { nation } if self.is_down(nation) => Err(OrderProblem::NodeDown),
            Step::Kill { nation } => {
                self.killed.insert(nation.clone());
                Ok(())
            }
            Step::Restart { nation } => match self.killed.remove(nation) {
                true => Ok(()),
                false => Err(OrderProblem::NotKilled),
            },
            Step::Leave { .. } if self.left.is_some() => Err(OrderProblem::SecondLeaver),
            Step::Leave { acknowledged, .. } if !self.is_writing && *acknowledged > 0 => Err(OrderProblem::NoWriters),
            Step::Leave { nation, .. } => {
                let leaver = match nation {
                    Leaver::LargestDonor => self.largest_donor.clone().ok_or(OrderProblem::NoDonor)?,
                    Leaver::Nation(nation) => nation.clone(),
                };
                if self.is_down(&leaver) {
                    return Err(OrderProblem::NodeDown);
                }
                self.left = Some(leaver);
                Ok(())
            }
        }
    }

    fn is_down(&self, nation: &str) -> bool {
        self.killed.contains(nation) || self.left.as_deref() == Some(nation)
    }
}

fn required<'a, T>(value: Option<&'a T>, key: &str, here: &Range<usize>) -> Result<&'a T, Fault> {
    value.ok_or_else(|| Fault::new(here, key, Problem::Syntax("missing".to_owned())))
}

fn count(value: Option<&Spanned<u32>>, key: &str, here: &Range<usize>) -> Result<u32, Fault> {
    let value = required(value, key, here)?;
    let count = *value.get_ref();
    if count > STATEMENTS_MAX {
        let problem = Problem::Count { count: count.into(), least: 0, most: STATEMENTS_MAX.into() };
        return Err(Fault::new(&value.span(), key, problem));
    }
    Ok(count)
}

fn millis(value: Option<&Spanned<u64>>, key: &str, here: &Range<usize>) -> Result<Duration, Fault> {
    let value = required(value, key, here)?;
    let millis = *value.get_ref();
    if millis > 60_000 {
        let problem = Problem::Count { count: i64::try_from(millis).unwrap_or(i64::MAX), least: 0, most: 60_000 };
        return Err(Fault::new(&value.span(), key, problem));
    }
    Ok(Duration::from_millis(millis))
}
