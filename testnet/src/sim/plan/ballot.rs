//! Which plans have votes: motions, visits of officers, and officers who break the rules of signers.
//!
//! All of it is drawn from a generator of its own and added to the plan, so that plans without votes are what they would be.

use std::collections::BTreeSet;

use comity_protocol::replica::RULES_MAX;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Change, Cut, Plan, Step, What, in_order};
use crate::sim::officer::Misvote;
use crate::sim::profile::Voting;

/// Adds what the plan's profile wants of votes.
pub(super) fn add(plan: &mut Plan) {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed ^ 0x0056_4f54_4553);
    let often = match plan.profile.voting() {
        Voting::Never => return,
        Voting::Seldom => false,
        Voting::Always => true,
    };
    if !often && !rng.random_bool(0.12) {
        return;
    }
    let mut steps = std::mem::take(&mut plan.steps);
    if often && rng.random_bool(0.2) {
        choose_misvoters(plan, needed_to_split(plan.nations.len()), &mut rng);
        plan.nations.iter_mut().filter(|nation| nation.misvotes.is_some()).for_each(|nation| {
            nation.misvotes = Some(Misvote::DoubleSeal);
        });
        steps.extend(coup(plan, &mut rng));
    } else {
        let most = plan.liars_tolerated();
        let count = rng.random_range(0..=most);
        choose_misvoters(plan, count, &mut rng);
        let sessions = if often { rng.random_range(1..=4) } else { 1 };
        for _ in 0..sessions {
            let at_ms = rng.random_range(500..plan.hostile_ms * 3 / 4);
            let happen = session(plan, &mut rng).into_iter();
            steps.extend(happen.map(|(after_ms, what)| Step { number: 0, at_ms: at_ms + after_ms, what }));
        }
        if often && rng.random_bool(0.25) {
            steps.extend(mixed_software(plan, &mut rng));
        }
    }
    steps.retain(|step| step.at_ms < plan.hostile_ms);
    in_order(&mut steps);
    plan.steps = steps;
}

/// How many of `nations` must sign on both sides so that two halves of the rest each have more than two thirds.
const fn needed_to_split(nations: usize) -> usize {
    2 * (nations * 2 / 3 + 1) - nations
}

fn choose_misvoters(plan: &mut Plan, count: usize, rng: &mut ChaCha8Rng) {
    let mut who: Vec<usize> = (0..plan.nations.len()).collect();
    who.shuffle(rng);
    for nation in who.into_iter().take(count) {
        plan.nations[nation].misvotes = Misvote::ALL.choose(rng).copied();
    }
}

/// A motion or rival ones, and officers who come and go; now and then while nobody on one side hears the other.
fn session(plan: &Plan, rng: &mut ChaCha8Rng) -> Vec<(u64, What)> {
    let nations = plan.nations.len();
    let mut steps = Vec::new();
    if rng.random_bool(0.5) {
        let side: BTreeSet<usize> = (0..plan.nodes()).filter(|_| rng.random_bool(0.4)).collect();
        steps.push((rng.random_range(0..2_000), What::Part { side, ms: rng.random_range(2_000..15_000) }));
    }
    for _ in 0..rng.random_range(1..=3) {
        let nation = rng.random_range(0..nations);
        steps.push((rng.random_range(0..5_000), What::Propose { nation, change: change(plan, rng) }));
    }
    for _ in 0..rng.random_range(1..=4) {
        let from = rng.random_range(1_000..16_000);
        for nation in 0..nations {
            if rng.random_bool(0.85) {
                steps.push((from + rng.random_range(0..4_000), What::Officer(nation)));
            }
        }
    }
    if rng.random_bool(0.1) {
        steps.push((rng.random_range(2_000..18_000), What::LoseLog(rng.random_range(0..nations))));
    }
    steps
}

fn change(plan: &Plan, rng: &mut ChaCha8Rng) -> Change {
    let nation = rng.random_range(0..plan.nations.len());
    let cut = *[Cut::Tip, Cut::Tip, Cut::Tip, Cut::Early, Cut::Invented].choose(rng).expect("some");
    match rng.random_range(0..10_u32) {
        0..3 => Change::Params,
        3..6 => Change::Admit { eager: rng.random_bool(0.4) },
        6..8 => Change::Remove { nation, cut },
        _ => Change::ReplaceRoot(nation),
    }
}

/// Some nodes have older software, and the next rules are voted on; some are upgraded meanwhile, others downgraded for a
/// while.
fn mixed_software(plan: &mut Plan, rng: &mut ChaCha8Rng) -> Vec<Step> {
    let old: BTreeSet<usize> = (0..plan.nodes()).filter(|_| rng.random_bool(0.35)).collect();
    let step = |at_ms, what| Step { number: 0, at_ms, what };
    let at_ms = rng.random_range(500..plan.hostile_ms / 3);
    let nation = rng.random_range(0..plan.nations.len());
    let mut steps = vec![step(at_ms, What::Propose { nation, change: Change::Rules })];
    for visit in 1..=4 {
        for nation in 0..plan.nations.len() {
            steps.push(step(at_ms + visit * 3_000 + rng.random_range(0..2_000), What::Officer(nation)));
        }
    }
    for node in 0..plan.nodes() {
        let mut changes = Vec::new();
        if old.contains(&node) && rng.random_bool(0.6) {
            changes.push(RULES_MAX + 1);
        } else if rng.random_bool(0.3) {
            changes.extend([RULES_MAX, RULES_MAX + 1]);
        }
        let mut at_ms = at_ms;
        for rules_max in changes {
            at_ms += rng.random_range(1_000..20_000);
            steps.push(step(at_ms, What::Software { node, rules_max }));
            steps.push(step(at_ms + 800, What::Write(node)));
        }
    }
    plan.old_software = Some(old);
    steps
}

/// The two halves of the nations whose officers are honest hear nothing of each other, and the others sign on both sides:
/// two motions for one version of the charter are sealed (T28).
fn coup(plan: &Plan, rng: &mut ChaCha8Rng) -> Vec<Step> {
    let nations = plan.nations.len();
    let mut honest: Vec<usize> = (0..nations).filter(|nation| plan.nations[*nation].misvotes.is_none()).collect();
    honest.shuffle(rng);
    let far: BTreeSet<usize> = honest[..honest.len() / 2].iter().copied().collect();
    let side = (0..plan.nodes()).filter(|node| far.contains(&plan.nation_of(*node))).collect();
    let at_ms = rng.random_range(2_000..plan.hostile_ms / 3);
    let ms = rng.random_range(12_000..25_000);
    let mut steps = vec![Step { number: 0, at_ms, what: What::Part { side, ms } }];
    for nation in [honest.first(), honest.last()].into_iter().flatten() {
        let what = What::Propose { nation: *nation, change: Change::Params };
        steps.push(Step { number: 0, at_ms: at_ms + 500 + rng.random_range(0..1_000), what });
    }
    for _ in 0..5 {
        for nation in 0..nations {
            let at_ms = at_ms + rng.random_range(2_000..ms);
            steps.push(Step { number: 0, at_ms, what: What::Officer(nation) });
        }
    }
    steps
}
