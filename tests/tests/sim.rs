//! The simulator in everyday tests (spec 7; docs/simulation.md).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::thread;

use comity_protocol::rules::{Rule, Rules};
use comity_testnet::sim::batch::Batch;
use comity_testnet::sim::check::Violation;
use comity_testnet::sim::plan::{Plan, What};
use comity_testnet::sim::profile::Profile;
use comity_testnet::sim::replay::Replay;
use comity_testnet::sim::report::RunReport;
use comity_testnet::sim::run;
use comity_testnet::sim::shrink::shrink;

/// Everyday seeds of every test run.
const SEEDS: Range<u64> = 0..64;

/// Seeds that once failed, and what they found: (profile, seed, what was wrong).
const KEPT: [(Profile, u64, &str); 7] = [
    (Profile::Everyday, 722, "a genesis whose row had rotted and that an import brought back was taken for nonsense"),
    (Profile::Forks, 1_012, "a node whose store had lost rows to a lying disk ended at every save, for ever"),
    (Profile::Everyday, 257, "the way down to a cut that is looked for was taken for headers that link to nothing"),
    (Profile::Everyday, 459, "a restored node was to be released although only a liar has what it said"),
    (
        Profile::Disk,
        7,
        "a disk that lied kept an own envelope that came back and lost the mark of the restored home beside it",
    ),
    (Profile::Disk, 14, "a bit that flipped in the id of a control record was taken for a lost record"),
    (Profile::Disk, 25, "a store with mixed-up pages was built from again for ever"),
];

/// Returns the seed that `COMITY_SEED` asks for, or all of `seeds`.
fn asked(seeds: Range<u64>) -> Range<u64> {
    let seed = std::env::var("COMITY_SEED").ok().map(|seed| seed.parse::<u64>().expect("COMITY_SEED is a number"));
    seed.map_or(seeds, |seed| seed..seed + 1)
}

fn batch(seeds: Range<u64>, profile: Profile) -> Batch {
    Batch { seeds, profile, rules: Rules::default(), threads: NonZeroUsize::new(2).expect("not zero") }
}

#[test]
fn everyday_seeds_hold_every_invariant() {
    let mut failed = Vec::new();
    batch(asked(SEEDS), Profile::Everyday).run(&|| true, &mut |seed, outcome| {
        if outcome.violation.is_some() {
            println!("{}\n", RunReport::new(&Replay::whole(seed, Profile::Everyday), &outcome).text());
            failed.push(seed);
        }
    });
    assert!(failed.is_empty(), "COMITY_SEED={} runs the first of these seeds alone: {failed:?}", failed[0]);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let seeds: Vec<(Profile, Range<u64>)> = Profile::ALL
        .into_iter()
        .map(|profile| match profile {
            Profile::Everyday => (profile, 100..106),
            Profile::Network | Profile::Disk | Profile::Forks => (profile, 100..103),
            Profile::Liars => (profile, 100..104),
            Profile::Large => (profile, 100..101),
            Profile::Votes => (profile, 100..103),
        })
        .collect();
    assert_eq!(seeds.iter().map(|(_, seeds)| seeds.clone().count()).sum::<usize>(), 23);
    let all = || seeds.iter().flat_map(|(profile, seeds)| seeds.clone().map(|seed| Replay::whole(seed, *profile)));
    let trace = |replay: &Replay| run(&replay.plan(), Rules::default()).trace.text().to_owned();
    // Backwards and beside another run, so that neither the order, nor the thread, nor an address can be in a trace.
    let (forwards, backwards) = thread::scope(|scope| {
        let backwards = scope.spawn(|| all().collect::<Vec<_>>().iter().rev().map(trace).collect::<Vec<String>>());
        (all().map(|replay| trace(&replay)).collect::<Vec<String>>(), backwards.join().expect("no run panics"))
    });
    for ((replay, one), other) in all().zip(&forwards).zip(backwards.iter().rev()) {
        let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert!(one == other, "{replay}: first difference {differs:#?}, {} and {} bytes", one.len(), other.len());
        assert!(one.lines().count() > 100, "{replay}: a trace tells what happened");
    }
}

#[test]
fn kept_seeds_stay_fixed() {
    let mut failed = BTreeMap::new();
    for (profile, seed, found) in KEPT {
        let replay = Replay::whole(seed, profile);
        let outcome = run(&replay.plan(), Rules::default());
        if outcome.violation.is_some() {
            println!("{}\n", RunReport::new(&replay, &outcome).text());
            failed.insert(replay.to_string(), found);
        }
    }
    assert!(failed.is_empty(), "these once failed and do again: {failed:#?}");
}

#[test]
fn a_shrunk_run_fails_the_same_way() {
    let rules = Rules::broken(Rule::SaveBeforeSpeaking);
    let replay = Replay::whole(0, Profile::Everyday);
    let outcome = run(&replay.plan(), rules);
    let violation = outcome.violation.expect("whoever speaks before saving is noticed");
    let mut left = 60;
    let mut go_on = || {
        left -= 1;
        left > 0
    };
    let shrunk = shrink(&replay, rules, &mut go_on).expect("what fails can be shrunk");
    let smaller = shrunk.outcome.violation.expect("a shrunk run fails");
    assert_eq!(smaller.invariant, violation.invariant);
    assert!(shrunk.replay.plan().steps.len() < replay.plan().steps.len() / 4, "{}", shrunk.replay);
    let again = run(&shrunk.replay.plan(), rules);
    assert_eq!(again.trace, shrunk.outcome.trace, "{}: the command runs what was found", shrunk.replay);
}

#[test]
fn shrinking_ends_when_it_is_told_to_and_finds_nothing_where_nothing_fails() {
    let replay = Replay::whole(0, Profile::Everyday);
    let broken = Rules::broken(Rule::SaveBeforeSpeaking);
    let shrunk = shrink(&replay, broken, &mut || false).expect("what fails is returned");
    assert_eq!((shrunk.replay, shrunk.runs), (replay.clone(), 1));
    assert!(shrink(&replay, Rules::default(), &mut || true).is_none());
}

#[test]
fn many_seeds_come_in_order_whatever_the_number_of_threads() {
    let told = |threads| {
        let mut told = Vec::new();
        let threads = NonZeroUsize::new(threads).expect("not zero");
        let batch = Batch { threads, ..batch(200..205, Profile::Everyday) };
        batch.run(&|| true, &mut |seed, outcome| told.push((seed, outcome.stats)));
        told
    };
    let alone = told(1);
    assert_eq!(alone.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [200, 201, 202, 203, 204]);
    assert_eq!(alone, told(3));
    batch(0..u64::MAX, Profile::Everyday).run(&|| false, &mut |seed, _| panic!("seed {seed} ran"));
}

/// Where a broken rule is looked for: seeds that are known to notice it first, so that the test is quick, and then all that
/// a change of the plans may move it to.
fn seeds(rule: Rule) -> Vec<(Profile, u64)> {
    let known = match rule {
        Rule::SaveBeforeSpeaking | Rule::SaveEveryRow | Rule::StoreLinkedOnly | Rule::StrikeOwnFaultsOnly => 0,
        Rule::CutAtRetirement => 1,
        Rule::RememberAnswers | Rule::AskForMissing => 2,
        Rule::RefuseWithoutSentinel | Rule::FreezeOnFork => 4,
        Rule::ClaimedTimeIsAdvisory => 6,
        Rule::GuardChanges => 11,
        Rule::FinalBeforeFreeze => 12,
        Rule::KeepForkEvidence => 13,
        Rule::HaltOnForeignOwn | Rule::AcknowledgeOneBranch => 14,
        Rule::SpeakOnlyToMembers => 17,
        Rule::VerifySignatures => 35,
        Rule::RoundsNeverGoBack | Rule::SignOnceARound | Rule::SealOnlyTheSupported | Rule::KeepTheLock => {
            return (0..128).map(|seed| (Profile::Votes, seed)).collect();
        }
    };
    let known = [(Profile::Everyday, known)];
    let all = [Profile::Everyday, Profile::Forks, Profile::Liars];
    known.into_iter().chain(all.into_iter().flat_map(|profile| (0..64).map(move |seed| (profile, seed)))).collect()
}

#[test]
fn every_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for rule in Rule::ALL {
        let mut tried = 0;
        let noticed = seeds(*rule).into_iter().find_map(|(profile, seed)| {
            tried += 1;
            let violation = run(&Plan::new(seed, profile), Rules::broken(*rule)).violation?;
            Some((profile.name(), seed, violation))
        });
        match noticed {
            Some((profile, seed, violation)) => {
                let Violation { invariant, text } = violation;
                println!("{}: noticed by {invariant} ({text}), {profile} seed {seed}, run {tried}", rule.name());
            }
            None => unnoticed.push(rule.name()),
        }
    }
    assert!(unnoticed.is_empty(), "nobody would notice if these were broken: {unnoticed:?}");
}

#[test]
fn votes_are_held_to_their_rules_and_two_sealed_motions_are_told() {
    let (mut adopted, mut told, mut failed) = ([0; 2], 0, Vec::new());
    for seed in asked(0..10) {
        let outcome = run(&Plan::new(seed, Profile::Votes), Rules::default());
        let text = outcome.trace.text();
        adopted[0] += outcome.stats.votes;
        adopted[1] += outcome.stats.sealed;
        told += u32::from(text.contains("alarm: two motions are sealed for version"));
        if outcome.violation.is_some() {
            println!("{}\n", RunReport::new(&Replay::whole(seed, Profile::Votes), &outcome).text());
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "COMITY_SEED={} runs the first of these seeds alone: {failed:?}", failed[0]);
    let alone = std::env::var("COMITY_SEED").is_ok();
    assert!(
        alone || (adopted[0] > 100 && adopted[1] > 3 && told > 0),
        "{adopted:?}, {told} conflicts: too little happens"
    );
}

/// Sets every clock of a plan off by a constant of its own.
fn under_other_clocks(plan: &Plan) -> Plan {
    let shift = |node: usize| {
        let node = i64::try_from(node).expect("a few nodes");
        (node * 7_919 % 31 - 15) * 86_400_000 + node
    };
    let mut other = plan.clone();
    for (node, skew_ms) in other.skews_ms.iter_mut().enumerate() {
        *skew_ms += shift(node);
    }
    for step in &mut other.steps {
        if let What::Clock { node, skew_ms } = &mut step.what {
            *skew_ms += shift(*node);
        }
    }
    other
}

#[test]
fn no_clock_decides_what_counts() {
    for seed in 0..4 {
        let plan = Plan::new(seed, Profile::Network);
        let [one, other] = [plan.clone(), under_other_clocks(&plan)].map(|plan| run(&plan, Rules::default()));
        assert_eq!((&one.violation, &other.violation), (&None, &None), "seed {seed}");
        assert!(!one.ending.statements.is_empty(), "seed {seed}");
        assert_eq!(one.ending, other.ending, "seed {seed}: the same happened at other times");
    }
}
