//! The charter, checked in every order of votes (PROTOCOL 8, item 1): no state within a bound is left out.
//!
//! - [`model`]: what nations may do, over the real `may_sign` and `Ballots`: a state is what each honest nation signed.
//! - [`search`]: the walk through all states, up to what is the same under another naming of nations, and what must hold.
//! - [`heights`]: two versions one after the other, with a nation admitted and one removed, votes for the old one arriving
//!   late; over the real `walk`.
//!
//! Honest nations see every vote as soon as it is signed. That leaves nothing out: whatever a signer may do with fewer votes
//! at hand it may do with more. Lying nations have signed everything from the start, silent ones nothing.
//!
//! The everyday run takes seconds; `COMITY_NIGHTLY=1` opens the larger scopes:
//!
//! ```text
//! COMITY_NIGHTLY=1 cargo test --release --workspace --test charter_model -- --nocapture
//! ```

mod heights;
mod model;
mod search;

use comity_protocol::rules::{Rule, Rules};

use model::{Faulty, Loss, Model};
use search::{Outcome, search};

fn nightly() -> bool {
    std::env::var("COMITY_NIGHTLY").is_ok_and(|value| value == "1")
}

/// Looks at all states of a model of which nothing is broken.
fn holds(model: &Model) {
    match search(model) {
        Outcome::Safe { states, stuck, stuck_early } => {
            println!("{model}: safe, {states} states, {stuck} stuck with no fresh round left");
            assert_eq!(stuck_early, 0, "{model}: stuck although a fresh round is left");
        }
        Outcome::Violation { states, trail } => panic!("{model}: two motions sealed after {states} states: {trail:#?}"),
    }
}

/// Looks for the violation that something broken must lead to.
fn fails(model: &Model) {
    match search(model) {
        Outcome::Violation { states, trail } => println!("{model}: found after {states} states: {trail:#?}"),
        Outcome::Safe { states, .. } => panic!("{model}: {states} states, and nobody noticed"),
    }
}

#[test]
fn four_nations_with_one_lying_seal_one_motion_in_three_rounds() {
    holds(&Model::new(4, 1, 3));
    holds(&Model::new(4, 0, 2));
}

#[test]
fn larger_alliances_seal_one_motion() {
    for (nations, faulty) in [(5, 1), (6, 1), (7, 2)] {
        holds(&Model::new(nations, faulty, 2));
    }
    if nightly() {
        holds(&Model::new(4, 1, 4));
    }
}

#[test]
fn silent_nations_stop_nobody_while_a_fresh_round_is_left() {
    for (nations, faulty, rounds) in [(4, 1, 3), (5, 1, 2), (7, 2, 2)] {
        holds(&Model { faulty: Faulty::Silent, ..Model::new(nations, faulty, rounds) });
    }
}

#[test]
fn each_broken_rule_of_a_signer_leads_to_two_sealed_motions() {
    for rule in Rule::SIGNER {
        fails(&Model { rules: Rules::broken(*rule), ..Model::new(4, 1, 2) });
    }
}

#[test]
fn a_third_of_lying_nations_can_seal_two_motions() {
    fails(&Model::new(4, 2, 1));
    if nightly() {
        fails(&Model::new(7, 3, 1));
    }
}

#[test]
fn a_signer_that_lost_its_log_stays_silent_and_that_is_why_all_is_well() {
    holds(&Model { loss: Some(Loss::KeepsSilent), ..Model::new(4, 1, 2) });
    fails(&Model { loss: Some(Loss::SignsOn), ..Model::new(4, 1, 2) });
}
