//! The simulator in everyday tests (spec 7; docs/simulation.md).

use comity_protocol::rules::Rules;
use comity_testnet::sim::plan::Plan;
use comity_testnet::sim::profile::Profile;
use comity_testnet::sim::run;

#[test]
fn everyday_seeds_hold_every_invariant() {
    for seed in 0..64 {
        let outcome = run(&Plan::new(seed, Profile::Everyday), Rules::default());
        assert_eq!(outcome.violation, None, "seed {seed}:\n{}", outcome.trace.story(60));
    }
}
