//! docs/simulation.md names what the simulator has, and nothing else.

use std::collections::BTreeSet;
use std::fs;

use comity_testnet::sim::check::domain;
use comity_testnet::sim::check::list::{INVARIANTS, PROMISES};
use comity_testnet::sim::liar::Strategy;
use comity_testnet::sim::officer::Misvote;
use comity_testnet::sim::plan::Plan;
use comity_testnet::sim::profile::Profile;
use comity_testnet::sim::replay::Without;
use comity_tests::workspace;

fn document() -> String {
    fs::read_to_string(workspace().join("docs/simulation.md")).expect("the manual of the simulator is there")
}

/// The first words of the rows of the table under a heading.
fn rows(text: &str, heading: &str) -> Vec<String> {
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_profile_strategy_and_step_has_a_row() {
    let text = document();
    assert_eq!(rows(&text, "Profiles"), Profile::ALL.map(|profile| profile.name().to_owned()));
    assert_eq!(rows(&text, "Lying"), Strategy::ALL.map(|strategy| strategy.name().to_owned()));
    assert_eq!(rows(&text, "Officers"), Misvote::ALL.map(|misvote| misvote.name().to_owned()));
    // Plans of many seeds have every kind of step.
    let plans = (0..100).flat_map(|seed| Profile::ALL.map(|profile| Plan::new(seed, profile)));
    let kinds: BTreeSet<String> = plans.flat_map(|plan| plan.steps).map(|step| step.what.name().to_owned()).collect();
    assert_eq!(rows(&text, "Steps").into_iter().collect::<BTreeSet<_>>(), kinds);
}

#[test]
fn what_can_be_left_out_is_named_where_it_is_given() {
    let commands = fs::read_to_string(workspace().join("docs/cli/commands.md")).expect("the reference is there");
    let names = Without::ALL.map(Without::name).join(", ");
    assert!(commands.contains(&format!("Leave out more of the plan: {names}")), "{names}");
    let profiles = Profile::ALL.map(Profile::name);
    let (last, first) = profiles.split_last().expect("profiles");
    assert!(commands.contains(&format!("The kind of run: {} or {last}", first.join(", "))));
}

/// The tables under "Invariants", made from the checks' own lists.
fn invariants() -> String {
    let mut table = String::from("| | what must hold | looked at | by |\n|---|---|---|---|\n");
    for invariant in INVARIANTS {
        let (when, by) = invariant.checked.words();
        table.push_str(&format!("| I{} | {} | {when} | {by} |\n", invariant.number, invariant.says));
    }
    for (says, by) in PROMISES {
        table.push_str(&format!("| | {says} | every turn | {by} |\n"));
    }
    table.push_str("\nNot yet of DOMAIN's properties, which `sim/check/domain.rs` checks at the end of every run:\n\n");
    for (says, waits) in domain::NOT_YET {
        table.push_str(&format!("- {says}: waits for {waits}\n"));
    }
    table
}

#[test]
fn the_table_of_invariants_is_that_of_the_checks() {
    let expected = invariants();
    assert!(document().contains(&expected), "docs/simulation.md should say:\n{expected}");
}
