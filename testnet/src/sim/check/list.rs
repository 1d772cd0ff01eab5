//! The invariants of spec 7, and where each is checked; docs/simulation.md is made from this.

/// An invariant of spec 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// Its number: I1 to I27.
    pub number: u8,
    /// What it says, in a line.
    pub says: &'static str,
    /// Where it is checked, or what it waits for.
    pub checked: Checked,
}

/// Where an invariant is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// In runs of the simulator, on every turn of an honest node.
    EveryTurn(&'static str),
    /// In runs of the simulator, on every so many turns, and at the end.
    NowAndThen(&'static str),
    /// In runs of the simulator, when all is healed and quiet.
    AtTheEnd(&'static str),
    /// Not yet: what it is about does not exist. The text says what brings it.
    NotYet(&'static str),
}

impl Checked {
    /// Returns the words for a list: when, and by which function or because of what not.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::EveryTurn(by) => ("every turn", by),
            Self::NowAndThen(by) => ("now and then, and at the end", by),
            Self::AtTheEnd(by) => ("at the end", by),
            Self::NotYet(waits) => ("not yet", waits),
        }
    }
}

const fn every_turn(number: u8, says: &'static str, by: &'static str) -> Invariant {
    Invariant { number, says, checked: Checked::EveryTurn(by) }
}

const fn now_and_then(number: u8, says: &'static str, by: &'static str) -> Invariant {
    Invariant { number, says, checked: Checked::NowAndThen(by) }
}

const fn at_the_end(number: u8, says: &'static str, by: &'static str) -> Invariant {
    Invariant { number, says, checked: Checked::AtTheEnd(by) }
}

const fn not_yet(number: u8, says: &'static str, waits: &'static str) -> Invariant {
    Invariant { number, says, checked: Checked::NotYet(waits) }
}

/// All of them, in order.
pub const INVARIANTS: [Invariant; 27] = [
    now_and_then(1, "the state is a function of the set", "of_the_set_is_the_state"),
    every_turn(2, "no honest key says two envelopes at one position", "said_once, said_no_more_than_once"),
    every_turn(
        3,
        "nobody speaks for anybody else",
        "nobody_speaks_for_another, rows_are_the_nations_own, signatures_are_valid",
    ),
    now_and_then(4, "what is accepted of an author is one path", "accepted_is_a_path"),
    every_turn(5, "a final envelope stays accepted", "final_stays_accepted, final_is_accepted_everywhere"),
    every_turn(
        6,
        "at most one motion is sealed at a height",
        "one_successor, never_goes_back, double_sealers_are_named",
    ),
    every_turn(
        7,
        "honest signers and witnesses keep V1-V7 and W1-W3",
        "acknowledges_what_it_holds, witnesses_keep_to_one_path, signs_by_the_rules, votes_are_the_nations_own",
    ),
    now_and_then(
        8,
        "every verdict has its reason, and nothing honest is void",
        "verdicts_have_reasons, refused_for_a_reason",
    ),
    every_turn(9, "invalid input changes nothing", "nothing_changes_unsaid, import_odd"),
    now_and_then(
        10,
        "what is held is bounded, and the store holds what the state keeps",
        "is_within_bounds, control_is_within_bounds, holds_what_the_state_keeps",
    ),
    at_the_end(
        11,
        "no clock decides what counts",
        "the test no_clock_decides_what_counts: whole runs, once more under other clocks",
    ),
    every_turn(
        12,
        "an honest node gets no strike from an honest node",
        "honest_never_strikes_honest, nobody_honest_has_a_strike",
    ),
    at_the_end(13, "documents saved, loaded and rebuilt say what the rows say", "documents_are_what_the_rows_say"),
    at_the_end(
        14,
        "no document is quarantined, nothing panics",
        "documents_are_what_the_rows_say; a panic ends the run",
    ),
    not_yet(15, "encrypted bodies are read by granted nodes only", "waits for encrypted compartments"),
    every_turn(
        16,
        "nothing is accepted beyond a cut, or before its nation is admitted",
        "ends_at_its_cut, nothing_counts_before_admission, cuts_are_held_by_somebody",
    ),
    every_turn(
        17,
        "a node that lost its sentinel or met its own key elsewhere says nothing new until it is released",
        "halted_nodes_write_nothing, stopped_witnesses_say_nothing, stopped_stays_stopped, after_confirmation",
    ),
    every_turn(18, "the anchor never goes back", "anchor_stands"),
    at_the_end(19, "all honest replicas agree", "disagreement"),
    at_the_end(20, "no honest statement is lost", "acknowledged_is_accepted, confirmed_is_everywhere"),
    at_the_end(21, "every fork is known to all", "forks_are_known_to_all"),
    at_the_end(22, "honest statements become final", "honest_statements_are_final"),
    every_turn(23, "writes never wait", "after_order, refused_for_a_reason"),
    at_the_end(24, "others stand without the largest nation", "others_stand_without_the_largest"),
    at_the_end(25, "a bundle verifies offline to the same digest", "verifies_offline"),
    at_the_end(26, "mixed versions agree on what they share", "disagreement, speaks_by_rules_it_knows"),
    at_the_end(27, "a wanted motion is sealed within three rounds", "wanted_is_sealed"),
];

/// What is checked beyond them.
pub const PROMISES: [(&str, &str); 7] = [
    ("nothing acknowledged is lost by a crash", "after_start"),
    ("what is said to be held is held, then and at the end", "confirmed_is_held, confirmed_is_everywhere"),
    ("one idempotency key has one answer", "one_answer_for_one_key"),
    ("orders are answered as they are meant", "answered_as_meant"),
    ("records are saved before they are sent or claimed", "overheard, claims_only_what_is_durable"),
    ("strangers hear of no envelope", "spoken_to_members_only"),
    ("a sound store opens", "start"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_of_the_protocol_stands_here_once() {
        let numbers: Vec<u8> = INVARIANTS.iter().map(|invariant| invariant.number).collect();
        assert_eq!(numbers, (1..=27).collect::<Vec<u8>>());
        assert!(
            INVARIANTS.iter().all(|invariant| !invariant.says.is_empty() && !invariant.checked.words().1.is_empty())
        );
    }

    #[test]
    fn the_functions_named_exist() {
        let sources = [
            include_str!("always.rs"),
            include_str!("promises.rs"),
            include_str!("record.rs"),
            include_str!("evaluation.rs"),
            include_str!("store.rs"),
            include_str!("witness.rs"),
            include_str!("eventually.rs"),
            include_str!("votes.rs"),
            include_str!("bundle.rs"),
            include_str!("../people.rs"),
            include_str!("../homes.rs"),
            include_str!("../links.rs"),
            include_str!("../world.rs"),
        ]
        .concat();
        let named = INVARIANTS.iter().filter_map(|invariant| match invariant.checked {
            Checked::EveryTurn(by) | Checked::NowAndThen(by) | Checked::AtTheEnd(by) => Some(by),
            Checked::NotYet(_) => None,
        });
        for by in named.chain(PROMISES.iter().map(|(_, by)| *by)).filter(|by| !by.starts_with("the test")) {
            for name in by.split(';').next().unwrap_or_default().split(", ") {
                assert!(sources.contains(&format!("fn {name}(")), "{name}");
            }
        }
    }
}
