//! How old what is known of each nation is.

use comity_protocol::dossier::{NationAge, RecordAge};
use comity_protocol::evaluate::State;
use comity_protocol::ids::NationId;
use comity_protocol::replica::WitnessCadence;

use crate::api::model::{self, NationAgeRow, rfc3339};
use crate::driver::Reading;

/// Looks at what is known of every nation now, as this node's nation does.
pub fn look(reading: &Reading<'_>) -> RecordAge {
    RecordAge::of(reading.state(), Some(&reading.facts.nation), reading.now, reading.facts.witness_heartbeat_ms)
}

/// How often a witness speaks at least, unless it is told otherwise.
pub fn usual_heartbeat_ms() -> u64 {
    WitnessCadence::default().heartbeat_ms
}

/// Returns the age of a record as the API shows it; `code` names the nations.
pub fn rows(age: &RecordAge, code: impl Fn(&NationId) -> String) -> model::RecordAge {
    let row = |nation: &NationAge| NationAgeRow {
        nation: code(&nation.nation),
        last_statement: nation.statement.map(rfc3339),
        last_witness: nation.witness.map(rfc3339),
        closed: nation.closed,
        silent: nation.silent,
    };
    let mut nations: Vec<NationAgeRow> = age.nations.iter().map(row).collect();
    nations.sort_by(|a, b| a.nation.cmp(&b.nation));
    let words = age.is_old().then(|| {
        let silent: Vec<&str> = nations.iter().filter(|row| row.silent).map(|row| row.nation.as_str()).collect();
        format!(
            "the record may be old, or this node cut off: nothing was heard of {} for {}, and {} of {} nations are needed \
             for anything to become final",
            silent.join(", "),
            span(age.silent_after_ms),
            age.quorum,
            nations.len()
        )
    });
    model::RecordAge {
        heard_of: u32::try_from(age.heard).unwrap_or(u32::MAX),
        quorum: u32::try_from(age.quorum).unwrap_or(u32::MAX),
        silent_after_ms: age.silent_after_ms,
        old: age.is_old(),
        words,
        nations,
    }
}

/// Returns the same of a state.
pub fn rows_of(state: &State, age: &RecordAge) -> model::RecordAge {
    rows(age, |nation| super::code(state, nation))
}

fn span(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use comity_protocol::ids::Timestamp;
    use comity_protocol::testing::{FOUNDED_MS, TestAlliance};

    use super::*;

    #[test]
    fn an_old_record_names_who_was_not_heard_of_and_a_fresh_one_nobody() {
        let alliance = TestAlliance::new(2, &[("UKR", 1), ("POL", 1), ("DEU", 1)]);
        let state = alliance.state();
        let own = alliance.nations[0].id;
        let look = |ms: u64| {
            let age = RecordAge::of(&state, Some(&own), Timestamp(FOUNDED_MS + ms), usual_heartbeat_ms());
            rows_of(&state, &age)
        };
        let fresh = look(3_600_000);
        assert_eq!((fresh.old, fresh.words, fresh.heard_of, fresh.quorum), (false, None, 3, 3));
        assert!(fresh.nations.iter().all(|row| !row.silent && row.last_witness.is_none()));
        let old = look(3_600_001);
        let codes: Vec<&str> = old.nations.iter().map(|row| row.nation.as_str()).collect();
        assert_eq!(codes, ["DEU", "POL", "UKR"]);
        assert_eq!(
            old.words.as_deref(),
            Some(
                "the record may be old, or this node cut off: nothing was heard of DEU, POL for 60 min, and 3 of 3 nations \
                 are needed for anything to become final"
            )
        );
    }
}
