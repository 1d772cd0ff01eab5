//! Steps as files write them, and what each key may say where it stands.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use comity_protocol::control::VoteStep;
use comity_protocol::limits::VOTE_ROUNDS;
use serde::Deserialize;
use toml::Spanned;

use super::raw::Fault;
use super::timeline::Timeline;
use super::{BatchStanding, Condition, Leaver, MotionChange, Problem, STATEMENTS_MAX, Step, VoteOutcome, in_range};
use crate::relay::CutKind;

/// A step as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    pub(super) step: Spanned<String>,
    records: Option<Spanned<String>>,
    nations: Option<Spanned<Vec<String>>>,
    nation: Option<Spanned<String>>,
    every_ms: Option<Spanned<u64>>,
    statements: Option<Spanned<u32>>,
    acknowledged: Option<Spanned<u32>>,
    sides: Option<Spanned<Vec<Vec<String>>>>,
    cut: Option<Spanned<CutKind>>,
    from: Option<Spanned<String>>,
    to: Option<Spanned<OneOrMore>>,
    between: Option<Spanned<[String; 2]>>,
    delay_ms: Option<Spanned<u64>>,
    node: Option<Spanned<String>>,
    of: Option<Spanned<String>>,
    links: Option<Spanned<Vec<String>>>,
    batch: Option<Spanned<String>>,
    retire: Option<Spanned<Vec<String>>>,
    enrol: Option<Spanned<Vec<String>>>,
    at: Option<Spanned<OneOrMore>>,
    motion: Option<Spanned<String>>,
    admit: Option<Spanned<String>>,
    remove: Option<Spanned<String>>,
    replace_root: Option<Spanned<String>>,
    floor: Option<Spanned<u64>>,
    quota: Option<Spanned<u64>>,
    round: Option<Spanned<u16>>,
    refused: Option<Spanned<bool>>,
    args: Option<Spanned<Vec<String>>>,
    exit: Option<Spanned<u8>>,
    says: Option<Spanned<String>>,
    mark: Option<Spanned<String>>,
    what: Option<Spanned<String>>,
    seq: Option<Spanned<u64>>,
    standing: Option<Spanned<String>>,
    height: Option<Spanned<u32>>,
    by: Option<Spanned<usize>>,
    because: Option<Spanned<String>>,
    since: Option<Spanned<String>>,
    within_s: Option<Spanned<u64>>,
}

/// One name or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// The steps' kinds as files name them.
const STEPS: [&str; 24] = [
    "write",
    "burst",
    "wait",
    "stop",
    "partition",
    "cut_one_way",
    "delay",
    "heal",
    "kill",
    "restart",
    "leave",
    "write_as",
    "clone",
    "init",
    "roster",
    "start",
    "link",
    "propose",
    "support",
    "seal",
    "run",
    "destroy",
    "mark",
    "expect",
];
/// What an `expect` step can wait for.
const CONDITIONS: [&str; 14] = [
    "fork",
    "no_fork",
    "standing",
    "final",
    "seen",
    "charter",
    "member",
    "removed",
    "halted",
    "writes",
    "linked",
    "unlinked",
    "converged",
    "unchanged",
];
/// Longest time an expectation that names none may take.
const WITHIN: Duration = Duration::from_secs(60);
/// Longest time an expectation may take.
const WITHIN_MAX_S: u64 = 600;

impl Timeline<'_> {
    /// Reads one step; the names in it are those that earlier steps made.
    pub(super) fn step(&self, raw: &RawStep) -> Result<Step, Fault> {
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
                    None => self.founders.clone(),
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
                to: self.one_nation(raw.to.as_ref(), "to", &here)?,
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
            "restart" => self.restart(raw, &here),
            "leave" => {
                let acknowledged = count(raw.acknowledged.as_ref(), "acknowledged", &here)?;
                let is_largest = raw.nation.as_ref().is_some_and(|nation| nation.get_ref() == "largest_donor");
                let nation = if is_largest {
                    Leaver::LargestDonor
                } else {
                    Leaver::Nation(self.nation(raw.nation.as_ref(), "nation", &here)?)
                };
                Ok(Step::Leave { nation, acknowledged })
            }
            _ => self.trust_step(raw, &here),
        }
    }

    /// Reads a step about keys, rosters, votes and homes.
    fn trust_step(&self, raw: &RawStep, here: &Range<usize>) -> Result<Step, Fault> {
        match raw.step.get_ref().as_str() {
            "write_as" => Ok(Step::WriteAs {
                node: self.node(raw.node.as_ref(), "node", here)?,
                statements: count(raw.statements.as_ref(), "statements", here)?,
                batch: word(raw.batch.as_ref(), "batch", here)?,
            }),
            "clone" => Ok(Step::Clone {
                node: word(raw.node.as_ref(), "node", here)?,
                of: self.node(raw.of.as_ref(), "of", here)?,
                links: self.links(raw.links.as_ref())?,
            }),
            "init" => Ok(Step::Init {
                node: word(raw.node.as_ref(), "node", here)?,
                nation: self.nation(raw.nation.as_ref(), "nation", here)?,
            }),
            "roster" => self.roster(raw, here),
            "start" => Ok(Step::Start {
                node: self.node(raw.node.as_ref(), "node", here)?,
                links: self.links(raw.links.as_ref())?,
            }),
            "link" => {
                let to = required(raw.to.as_ref(), "to", here)?;
                let (names, span) = (to.get_ref().names(), to.span());
                let node = self.node(raw.node.as_ref(), "node", here)?;
                Ok(Step::Link { node, to: self.nodes(&names, &span, "to")? })
            }
            "propose" => Ok(Step::Propose {
                motion: word(raw.motion.as_ref(), "motion", here)?,
                change: self.change(raw, here)?,
                at: self.one_at(raw, here)?,
            }),
            "support" => self.vote(VoteStep::Support, raw, here),
            "seal" => self.vote(VoteStep::Seal, raw, here),
            "run" => Ok(Step::Run {
                node: self.node(raw.node.as_ref(), "node", here)?,
                args: required(raw.args.as_ref(), "args", here)?.get_ref().clone(),
                exit: raw.exit.as_ref().map_or(0, |exit| *exit.get_ref()),
                says: raw.says.as_ref().map(|says| says.get_ref().clone()),
                within: within(raw.within_s.as_ref(), Duration::ZERO)?,
            }),
            "destroy" => Ok(Step::Destroy { node: self.node(raw.node.as_ref(), "node", here)? }),
            "mark" => Ok(Step::Mark { mark: word(raw.mark.as_ref(), "mark", here)? }),
            _ => {
                let within = within(raw.within_s.as_ref(), WITHIN)?;
                let at = match &raw.at {
                    None => BTreeSet::new(),
                    Some(at) => self.nodes(&at.get_ref().names(), &at.span(), "at")?,
                };
                Ok(Step::Expect { condition: self.condition(raw, here)?, at, within })
            }
        }
    }

    fn restart(&self, raw: &RawStep, here: &Range<usize>) -> Result<Step, Fault> {
        let (named, key) = match &raw.node {
            Some(node) => (Some(node), "node"),
            None => (raw.nation.as_ref(), "nation"),
        };
        Ok(Step::Restart { nation: self.node(named, key, here)? })
    }

    fn partition(&self, raw: &RawStep) -> Result<Step, Fault> {
        let listed = required(raw.sides.as_ref(), "sides", &raw.step.span())?;
        let span = listed.span();
        let all: Vec<String> = listed.get_ref().iter().flatten().cloned().collect();
        let known = self.nodes(&all, &span, "sides")?;
        if let Some(missing) = self.founders.iter().find(|code| !known.contains(*code)) {
            return Err(Fault::new(&span, "sides", Problem::OnNoSide(missing.clone())));
        }
        in_range(listed.get_ref().len(), 2, known.len()).map_err(|problem| Fault::new(&span, "sides", problem))?;
        let sides = listed.get_ref().iter().map(|side| side.iter().cloned().collect()).collect();
        let cut = raw.cut.as_ref().map_or(CutKind::Silent, |cut| *cut.get_ref());
        Ok(Step::Partition { sides, cut })
    }

    fn roster(&self, raw: &RawStep, here: &Range<usize>) -> Result<Step, Fault> {
        let listed = |names: Option<&Spanned<Vec<String>>>, key: &str| match names {
            None => Ok(BTreeSet::new()),
            Some(names) => self.nodes(names.get_ref(), &names.span(), key),
        };
        let nation = self.nation(raw.nation.as_ref(), "nation", here)?;
        let (retire, enrol) = (listed(raw.retire.as_ref(), "retire")?, listed(raw.enrol.as_ref(), "enrol")?);
        for (names, key) in [(&raw.retire, "retire"), (&raw.enrol, "enrol")] {
            let foreign = |name: &String| self.nodes.get(name).is_some_and(|node| node.nation != nation);
            if let Some(names) = names
                && let Some(name) = names.get_ref().iter().find(|name| foreign(name))
            {
                return Err(Fault::new(&names.span(), key, Problem::UnknownNode(name.clone())));
            }
        }
        Ok(Step::Roster { nation, retire, enrol, at: self.one_at(raw, here)? })
    }

    fn change(&self, raw: &RawStep, here: &Range<usize>) -> Result<MotionChange, Fault> {
        if let Some(nation) = &raw.admit {
            return Ok(MotionChange::Admit(self.nation(Some(nation), "admit", here)?));
        }
        if let Some(nation) = &raw.remove {
            return Ok(MotionChange::Remove(self.nation(Some(nation), "remove", here)?));
        }
        if let Some(nation) = &raw.replace_root {
            let floor = *required(raw.floor.as_ref(), "floor", here)?.get_ref();
            return Ok(MotionChange::ReplaceRoot { nation: self.nation(Some(nation), "replace_root", here)?, floor });
        }
        Ok(MotionChange::Quota(*required(raw.quota.as_ref(), "admit, remove, replace_root or quota", here)?.get_ref()))
    }

    fn vote(&self, step: VoteStep, raw: &RawStep, here: &Range<usize>) -> Result<Step, Fault> {
        let motion = made(&self.motions, raw.motion.as_ref(), "motion", here)?;
        let nations = required(raw.nations.as_ref(), "nations", here)?;
        let nations = self.known(nations.get_ref(), &nations.span(), "nations")?;
        let round = raw.round.as_ref().map_or(0, |round| *round.get_ref());
        if let Some(round) = &raw.round {
            in_range(usize::from(*round.get_ref()), 0, usize::from(VOTE_ROUNDS - 1))
                .map_err(|problem| Fault::new(&round.span(), "round", problem))?;
        }
        let is_refused = raw.refused.as_ref().is_some_and(|refused| *refused.get_ref());
        let outcome = if is_refused { VoteOutcome::Refused } else { VoteOutcome::Signed };
        Ok(Step::Vote { step, motion, nations, round, outcome })
    }

    fn condition(&self, raw: &RawStep, here: &Range<usize>) -> Result<Condition, Fault> {
        let node = |key: &str, named: &Option<Spanned<String>>| self.node(named.as_ref(), key, here);
        let nation = || self.nation(raw.nation.as_ref(), "nation", here);
        let batch = || made(&self.batches, raw.batch.as_ref(), "batch", here);
        let what = required(raw.what.as_ref(), "what", here)?;
        Ok(match one_of(what, "what", &CONDITIONS)?.as_str() {
            "fork" => Condition::Fork { of: node("of", &raw.of)?, seq: raw.seq.as_ref().map(|seq| *seq.get_ref()) },
            "no_fork" => Condition::NoFork,
            "standing" => {
                let standing = standing(required(raw.standing.as_ref(), "standing", here)?)?;
                Condition::Standing { batch: batch()?, standing }
            }
            "final" => Condition::Final { batch: batch()? },
            "seen" => {
                let by = required(raw.by.as_ref(), "by", here)?;
                in_range(*by.get_ref(), 1, self.codes.len())
                    .map_err(|problem| Fault::new(&by.span(), "by", problem))?;
                Condition::Seen { batch: batch()?, by: *by.get_ref() }
            }
            "charter" => Condition::Charter { height: *required(raw.height.as_ref(), "height", here)?.get_ref() },
            "member" => Condition::Member { nation: nation()? },
            "removed" => Condition::Removed { nation: nation()? },
            "halted" => {
                let because = raw.because.as_ref().map(|because| because.get_ref().clone());
                Condition::Halted { node: node("node", &raw.node)?, because }
            }
            "writes" => Condition::Writes { node: node("node", &raw.node)? },
            "linked" => Condition::Linked { node: node("node", &raw.node)? },
            "unlinked" => Condition::Unlinked { node: node("node", &raw.node)? },
            "converged" => Condition::Converged,
            _ => {
                let nations = required(raw.nations.as_ref(), "nations", here)?;
                let nations = self.known(nations.get_ref(), &nations.span(), "nations")?;
                Condition::Unchanged { nations, since: made(&self.marks, raw.since.as_ref(), "since", here)? }
            }
        })
    }

    fn one_at(&self, raw: &RawStep, here: &Range<usize>) -> Result<String, Fault> {
        let at = required(raw.at.as_ref(), "at", here)?;
        let names = at.get_ref().names();
        in_range(names.len(), 1, 1).map_err(|problem| Fault::new(&at.span(), "at", problem))?;
        let mut known = self.nodes(&names, &at.span(), "at")?;
        known.pop_first().ok_or_else(|| Fault::new(here, "at", Problem::Syntax("missing".to_owned())))
    }

    fn links(&self, listed: Option<&Spanned<Vec<String>>>) -> Result<BTreeSet<String>, Fault> {
        match listed {
            None => Ok(self.nodes.keys().cloned().collect()),
            Some(links) => self.nodes(links.get_ref(), &links.span(), "links"),
        }
    }

    fn nation(&self, named: Option<&Spanned<String>>, key: &str, here: &Range<usize>) -> Result<String, Fault> {
        let named = required(named, key, here)?;
        self.known(std::slice::from_ref(named.get_ref()), &named.span(), key)?;
        Ok(named.get_ref().clone())
    }

    fn one_nation(&self, named: Option<&Spanned<OneOrMore>>, key: &str, here: &Range<usize>) -> Result<String, Fault> {
        let named = required(named, key, here)?;
        let names = named.get_ref().names();
        in_range(names.len(), 1, 1).map_err(|problem| Fault::new(&named.span(), key, problem))?;
        let mut known = self.known(&names, &named.span(), key)?;
        known.pop_first().ok_or_else(|| Fault::new(here, key, Problem::Syntax("missing".to_owned())))
    }

    fn node(&self, named: Option<&Spanned<String>>, key: &str, here: &Range<usize>) -> Result<String, Fault> {
        let named = required(named, key, here)?;
        self.nodes(std::slice::from_ref(named.get_ref()), &named.span(), key)?;
        Ok(named.get_ref().clone())
    }

    fn known(&self, named: &[String], span: &Range<usize>, key: &str) -> Result<BTreeSet<String>, Fault> {
        distinct(named, span, key, |code| self.codes.contains(code), Problem::UnknownNation)
    }

    fn nodes(&self, named: &[String], span: &Range<usize>, key: &str) -> Result<BTreeSet<String>, Fault> {
        let unknown = |name: String| {
            let is_code = name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_uppercase());
            if is_code && !self.codes.contains(&name) {
                Problem::UnknownNation(name)
            } else {
                Problem::UnknownNode(name)
            }
        };
        distinct(named, span, key, |name| self.nodes.contains_key(name), unknown)
    }
}

impl OneOrMore {
    fn names(&self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name.clone()],
            Self::More(names) => names.clone(),
        }
    }
}

fn distinct(
    named: &[String],
    span: &Range<usize>,
    key: &str,
    is_known: impl Fn(&String) -> bool,
    unknown: impl Fn(String) -> Problem,
) -> Result<BTreeSet<String>, Fault> {
    let mut all = BTreeSet::new();
    for name in named {
        if !is_known(name) {
            return Err(Fault::new(span, key, unknown(name.clone())));
        }
        if !all.insert(name.clone()) {
            return Err(Fault::new(span, key, Problem::Twice(name.clone())));
        }
    }
    Ok(all)
}

fn within(seconds: Option<&Spanned<u64>>, default: Duration) -> Result<Duration, Fault> {
    let Some(seconds) = seconds else { return Ok(default) };
    let wide = usize::try_from(*seconds.get_ref()).unwrap_or(usize::MAX);
    in_range(wide, 1, usize::try_from(WITHIN_MAX_S).unwrap_or(usize::MAX))
        .map_err(|problem| Fault::new(&seconds.span(), "within_s", problem))?;
    Ok(Duration::from_secs(*seconds.get_ref()))
}

fn standing(word: &Spanned<String>) -> Result<BatchStanding, Fault> {
    let all = [
        BatchStanding::Accepted,
        BatchStanding::Suspended,
        BatchStanding::Disavowed,
        BatchStanding::PostRemoval,
        BatchStanding::Absent,
    ];
    let named = one_of(word, "standing", &all.map(BatchStanding::word))?;
    Ok(all.into_iter().find(|standing| standing.word() == named).unwrap_or(BatchStanding::Absent))
}

fn made(
    names: &BTreeSet<String>,
    named: Option<&Spanned<String>>,
    key: &str,
    here: &Range<usize>,
) -> Result<String, Fault> {
    let named = required(named, key, here)?;
    if names.contains(named.get_ref()) {
        return Ok(named.get_ref().clone());
    }
    Err(Fault::new(&named.span(), key, Problem::UnknownName(named.get_ref().clone())))
}

/// Returns a new name: letters, digits and hyphens, since it becomes the name of a folder.
fn word(named: Option<&Spanned<String>>, key: &str, here: &Range<usize>) -> Result<String, Fault> {
    let named = required(named, key, here)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let text = named.get_ref();
    if (1..=32).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('-') {
        return Ok(text.clone());
    }
    Err(Fault::new(&named.span(), key, Problem::Name(text.clone())))
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
