//! Turns the records of a scenario into drafts: references and days become what they stand for in this run.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::ids::Timestamp;
use comity_protocol::time::Day;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use crate::draft::Draft;
use crate::scenario::Record;

/// Fields that pin the version they answer (DOMAIN R4), by kind.
const PINNED: [(&str, &str); 3] = [("accept", "pledge"), ("decline", "pledge"), ("dispatch", "shipment")];
/// Fields that hold a moment and not a day.
const MOMENTS: [&str; 1] = ["at"];

/// A record that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// `CODE/kind/id`.
    pub(super) record: String,
    /// Its latest version.
    pub(super) version: String,
}

/// What references and days mean in this run.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    /// When the run started.
    pub(super) start: Timestamp,
    /// What was written, by the scenario's keys.
    pub(super) written: BTreeMap<String, Written>,
}

impl Meaning {
    /// Returns a record as a draft.
    ///
    /// Every record it names must have been written; a key that was not stays as it is, and the node refuses it.
    pub(super) fn draft(&self, record: &Record) -> Draft {
        let fields = record.fields.iter().map(|(field, value)| (field.clone(), self.value(&record.kind, field, value)));
        Draft {
            kind: record.kind.clone(),
            record: record.revises.as_ref().and_then(|key| self.written.get(key)).map(|written| written.record.clone()),
            status: record.status.clone(),
            fields: fields.collect(),
        }
    }

    fn value(&self, kind: &str, field: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix('@').and_then(|key| self.written.get(key)) {
                Some(written) if PINNED.contains(&(kind, field)) => {
                    format!("{}@{}", written.record, written.version).into()
                }
                Some(written) => written.record.clone().into(),
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.value(kind, field, item)).collect(),
            Value::Object(object) => match object.get("days").and_then(Value::as_i64) {
                Some(days) if object.len() == 1 => self.date(field, days).into(),
                _ => {
                    let resolved = object.iter().map(|(field, value)| (field.clone(), self.value(kind, field, value)));
                    Value::Object(resolved.collect::<Map<String, Value>>())
                }
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn date(&self, field: &str, days: i64) -> String {
        let moment = shifted(self.start, days);
        if MOMENTS.contains(&field) { moment.rfc3339() } else { Day::of(moment).to_string() }
    }
}

/// Returns a moment so many days later, or earlier.
pub(super) fn shifted(moment: Timestamp, days: i64) -> Timestamp {
    let ms = days.unsigned_abs().saturating_mul(Timestamp::DAY_MS);
    if days < 0 { Timestamp(moment.0.saturating_sub(ms)) } else { moment.plus_ms(ms) }
}

/// Returns the records of one set in waves: what a wave names was written in an earlier one, or in an earlier set.
///
/// Within a wave each nation's records come in an order that `rng` decides.
pub(super) fn waves<'a>(records: &'a [Record], set: &str, rng: &mut ChaCha8Rng) -> Vec<Vec<&'a Record>> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<&Record>> = Vec::new();
    // A record names only earlier ones, so one pass in order suffices.
    for record in records.iter().filter(|record| record.set == set) {
        let wave = record.needs.iter().filter_map(|key| depth.get(key.as_str())).map(|depth| depth + 1).max();
        let wave = wave.unwrap_or_default();
        depth.insert(&record.key, wave);
        if waves.len() <= wave {
            waves.resize_with(wave + 1, Vec::new);
        }
        waves[wave].push(record);
    }
    for wave in &mut waves {
        wave.shuffle(rng);
    }
    waves
}

/// Returns who writes in a wave.
pub(super) fn writers(wave: &[&Record]) -> BTreeSet<String> {
    wave.iter().map(|record| record.by.clone()).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;
    use crate::scenario::{DEFAULT, Scenario};

    #[test]
    fn references_and_days_become_what_they_stand_for() {
        let scenario = Scenario::find(DEFAULT).unwrap();
        let find = |key: &str| scenario.records.iter().find(|record| record.key == key).unwrap();
        let written = |record: &str| Written { record: record.to_owned(), version: "ab".repeat(32) };
        let meaning = Meaning {
            // 2026-04-24T12:00:00Z
            start: Timestamp(1_777_032_000_000),
            written: BTreeMap::from([
                ("usa-food".to_owned(), written("USA/pledge/7k3m9q2x4d")),
                ("ship-usa-food".to_owned(), written("USA/shipment/8k3m9q2x4d")),
                ("lviv".to_owned(), written("UKR/hub/9k3m9q2x4d")),
            ]),
        };
        let accept = meaning.draft(find("accept-usa-food"));
        assert_eq!(accept.fields["pledge"], format!("USA/pledge/7k3m9q2x4d@{}", "ab".repeat(32)));
        assert_eq!(accept.fields["deliver_to"], "UKR/hub/9k3m9q2x4d");
        let shipment = meaning.draft(find("ship-usa-food"));
        assert_eq!(shipment.fields["lines"][0]["pledge"], "USA/pledge/7k3m9q2x4d");
        assert_eq!(shipment.fields["legs"][1]["eta"], "2026-04-27");
        let dispatch = meaning.draft(find("go-usa-food"));
        assert_eq!(dispatch.fields["at"], "2026-04-24T12:00:00Z");
        assert_eq!(dispatch.fields["shipment"], format!("USA/shipment/8k3m9q2x4d@{}", "ab".repeat(32)));
        let requirement = meaning.draft(find("food"));
        assert_eq!(requirement.fields["needed_by"], "2026-06-08");
        assert_eq!(shifted(meaning.start, -1), Timestamp(1_776_945_600_000));
    }

    #[test]
    fn waves_never_name_what_comes_later_and_the_seed_decides_the_order() {
        let scenario = Scenario::find(DEFAULT).unwrap();
        let order = |seed: u64| -> Vec<Vec<String>> {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let waves = waves(&scenario.records, "start", &mut rng);
            waves.iter().map(|wave| wave.iter().map(|record| record.key.clone()).collect()).collect()
        };
        let first = order(1);
        assert_eq!(first.iter().map(Vec::len).sum::<usize>(), scenario.records.len());
        let mut before: BTreeSet<&String> = BTreeSet::new();
        for wave in &first {
            for key in wave {
                let record = scenario.records.iter().find(|record| record.key == *key).unwrap();
                assert!(record.needs.iter().all(|need| before.contains(need)), "{key}");
            }
            before.extend(wave);
        }
        assert_eq!(first, order(1));
        assert_ne!(first, order(2));
    }
}
