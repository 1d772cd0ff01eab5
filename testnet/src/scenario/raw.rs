//! Scenario files as written, and their checks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::read::{RawStep, one_of};
use super::timeline::Timeline;
use super::{
    DAYS_MAX, Entry, Problem, RECORDS_MAX, Record, Role, STEPS_MAX, Scenario, ScenarioNation, check_codes, in_range,
};
use crate::countries::Countries;

/// What is wrong, and the byte where.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) problem: Problem,
}

impl Fault {
    pub(super) fn new(span: &Range<usize>, key: &str, problem: Problem) -> Self {
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
    apart: Option<Spanned<Vec<Vec<String>>>>,
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
    #[serde(default)]
    admitted: bool,
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
    let founders = nations.iter().filter(|nation| nation.entry == Entry::Founder).count();
    in_range(founders, 2, nations.len()).map_err(|problem| Fault { at: 0, key: "nation".to_owned(), problem })?;
    let end = text.len().saturating_sub(1);
    in_range(raw.record.len(), 0, RECORDS_MAX).map_err(|problem| Fault::new(&(end..end), "record", problem))?;
    in_range(raw.timeline.len(), 1, STEPS_MAX).map_err(|problem| Fault::new(&(end..end), "timeline", problem))?;
    let records = records(raw.record, &codes)?;
    let apart = match &raw.apart {
        None => Vec::new(),
        Some(apart) => sides_apart(apart, &nations)?,
    };
    let (name, seed, timeline) = (raw.name.into_inner(), raw.seed, Vec::new());
    let mut scenario = Scenario { name, about: raw.about, seed, as_of, nations, apart, records, timeline };
    scenario.timeline = Timeline::new(&scenario).read(&raw.timeline)?;
    Ok(scenario)
}

/// Returns sides that are never linked; every founder stands on one of them.
fn sides_apart(raw: &Spanned<Vec<Vec<String>>>, nations: &[ScenarioNation]) -> Result<Vec<BTreeSet<String>>, Fault> {
    let fault = |problem| Fault::new(&raw.span(), "apart", problem);
    let founders: BTreeSet<&String> =
        nations.iter().filter(|nation| nation.entry == Entry::Founder).map(|nation| &nation.code).collect();
    let mut placed = BTreeSet::new();
    for code in raw.get_ref().iter().flatten() {
        if !founders.contains(code) {
            return Err(fault(Problem::UnknownNation(code.clone())));
        }
        if !placed.insert(code) {
            return Err(fault(Problem::Twice(code.clone())));
        }
    }
    if let Some(missing) = founders.iter().find(|code| !placed.contains(*code)) {
        return Err(fault(Problem::OnNoSide((*missing).clone())));
    }
    in_range(raw.get_ref().len(), 2, founders.len()).map_err(fault)?;
    Ok(raw.get_ref().iter().map(|side| side.iter().cloned().collect()).collect())
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
        let entry = if nation.admitted { Entry::ByMotion } else { Entry::Founder };
        nations.push(ScenarioNation { code: nation.code.clone(), name, role, entry });
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
