//! Timelines as written, and whether each step is possible where it stands.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::raw::Fault;
use super::{Leaver, OrderProblem, Problem, STATEMENTS_MAX, Scenario, Step, in_range};
use crate::relay::CutKind;

/// A step as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
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

/// The steps' kinds as files name them.
const STEPS: [&str; 11] =
    ["write", "burst", "wait", "stop", "partition", "cut_one_way", "delay", "heal", "kill", "restart", "leave"];

/// Follows a timeline to tell which step is possible.
pub(super) struct Timeline<'a> {
    codes: &'a BTreeSet<String>,
    sets: BTreeSet<&'a str>,
    is_cut: bool,
    is_writing: bool,
    killed: BTreeSet<String>,
    largest_donor: Option<String>,
    left: Option<String>,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(codes: &'a BTreeSet<String>, scenario: &'a Scenario) -> Self {
        let sets = scenario.records.iter().map(|record| record.set.as_str()).collect();
        let (killed, largest_donor) = (BTreeSet::new(), scenario.largest_donor());
        Self { codes, sets, is_cut: false, is_writing: false, killed, largest_donor, left: None }
    }

    pub(super) fn read(mut self, raw: &[Spanned<RawStep>]) -> Result<Vec<Step>, Fault> {
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

/// Returns the word if it is one of the possible ones.
pub(super) fn one_of(word: &Spanned<String>, key: &str, possible: &[&'static str]) -> Result<String, Fault> {
    if possible.contains(&word.get_ref().as_str()) {
        return Ok(word.get_ref().clone());
    }
    let problem = Problem::Word { word: word.get_ref().clone(), possible: possible.to_vec() };
    Err(Fault::new(&word.span(), key, problem))
}
