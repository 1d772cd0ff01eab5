//! Whatever the order, repetition and batching of control records and envelopes: one state (I1, I10, T1).

use super::{FOUR, SEAL, SUPPORT, World, digests, quota};
use crate::control::{CharterChange, VerifiedControl};
use crate::evaluate::{Element, State, evaluate};
use crate::ids::{EnvelopeId, Tip};

/// SplitMix64: orders from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = (z ^ (z >> 31)) % u64::try_from(bound).expect("small");
        usize::try_from(z).expect("below the bound")
    }
}

/// A history with everything in it: an admission, a split, a removal with a cut, a replaced root with its new rosters, raised
/// parameters, double votes, votes for motions nobody has, and envelopes of all nations; with a conflict at the end or not.
fn history(conflict: bool) -> (World, Vec<Element>) {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let mut said: Vec<Element> = Vec::new();
    for nation in 0..4 {
        for kind in [98, 99] {
            said.extend(world.alliance.node(nation, 0).envelope(kind, vec![1; 30]).elements());
        }
    }
    // The second envelope of the first nation comes twice: a fork.
    let mut copy = world.alliance.node(0, 0).clone();
    said.extend(world.alliance.node(0, 0).envelope(97, vec![2]).elements());
    said.extend(copy.envelope(96, vec![3]).elements());
    let rival = world.motion(vec![quota(&founding, 9)]);
    world.vote(&[0, 3], &founding, 0, SUPPORT, &rival);
    let newcomer = world.alliance.candidate(1, "EST", 1);
    let admit = world.motion(vec![CharterChange::Admit(newcomer)]);
    world.vote(&[1, 2], &founding, 0, SUPPORT, &admit);
    world.publish(world.alliance.pass(&[0, 1, 2], &founding, 1, &admit));
    let roster = world.alliance.first_roster(4);
    world.publish(vec![roster]);
    said.extend(world.alliance.node(4, 0).envelope(99, vec![4]).elements());
    for byte in [0, 1, 2, 254, 255] {
        let fake = crate::ids::ControlId::new([byte; 32]);
        for (round, step) in [(0, SEAL), (1, SEAL), (1, SUPPORT)] {
            world.vote(&[3], &founding, round, step, &fake);
        }
    }
    let cut = world.alliance.nations[3].nodes[0].tip;
    let (nation, key) = (world.id(3), world.alliance.nations[3].nodes[0].author.key);
    said.extend(world.alliance.node(3, 0).envelope(99, vec![5]).elements());
    let last = world.alliance.nations[3].rosters[0].id();
    let roster = Tip { seq: 1, id: EnvelopeId::new(*last.as_bytes()) };
    let (first, fresh) = (world.alliance.nations[0].rosters[0].id(), world.alliance.candidate(9, "TMP", 0));
    let floor = Tip { seq: 1, id: EnvelopeId::new(*first.as_bytes()) };
    world.adopt(
        &[0, 1, 2, 4],
        vec![
            CharterChange::Remove { nation, cuts: vec![(key, cut)], roster },
            CharterChange::ReplaceRoot { nation: world.id(0), root: fresh.root, roster: floor },
            quota(&founding, 3),
        ],
    );
    let old = world.alliance.clone();
    world.publish(
        (0..3).map(|i| old.roster_after(0, old.nations[0].rosters.first(), |r| r.note = format!("{i}"))).collect(),
    );
    world.alliance.nations[0].root = world.alliance.nations.pop().expect("just made").root;
    let (root, line) = (world.alliance.nations[0].root.public(), world.alliance.add_node(0, 5).roster_key(false));
    let next = world.alliance.roster(0, |roster| {
        (roster.root, roster.root_gen) = (root, 1);
        roster.keys.push(line);
    });
    world.publish(vec![next]);
    let charter = world.charter();
    let more = world.motion(vec![quota(&charter, 5)]);
    world.vote(&[0, 1], &charter, 0, SUPPORT, &more);
    if conflict {
        let base = (*world.state.charter_versions()[1]).clone();
        let late = world.alliance.motion(&base, 77, vec![quota(&base, 77)]);
        let mut voters = world.alliance.clone();
        voters.nations[0].root = old.nations[0].root.clone();
        world.publish(voters.pass(&[1, 2, 3, 4], &base, 2, &late.id()));
        world.publish(vec![late]);
    }
    (world, said)
}

fn same(one: &State, other: &State) {
    assert_eq!(digests(one), digests(other));
    assert_eq!(one.charter_versions(), other.charter_versions());
    assert_eq!(one.charter_conflict(), other.charter_conflict());
    assert_eq!(one.conflict_below_anchor(), other.conflict_below_anchor());
    assert_eq!(one.ballots(), other.ballots());
    for nation in one.nations() {
        assert_eq!(one.roster(&nation.id), other.roster(&nation.id));
    }
    assert!(one.control_ids().eq(other.control_ids()));
}

fn seeds() -> Vec<u64> {
    let asked = option_env!("COMITY_SEED").map(|seed| seed.parse().expect("COMITY_SEED is a number"));
    asked.map_or_else(|| (0..24).collect(), |seed| vec![seed])
}

#[test]
fn every_order_and_batching_gives_one_charter_and_one_set_of_rosters() {
    for conflict in [false, true] {
        let (world, said) = history(conflict);
        let controls = world.published.iter().cloned().map(Element::Control);
        let all: Vec<Element> = controls.chain(said).collect();
        let whole = evaluate(world.alliance.anchor(), all.clone());
        assert_eq!(whole.charter_versions().len(), if conflict { 2 } else { 3 });
        assert_eq!(whole.charter_conflict().is_some(), conflict);
        for seed in seeds() {
            println!("COMITY_SEED={seed}");
            let mut dice = Dice(seed);
            let mut left: Vec<Element> = all.clone();
            let repeated = dice.below(left.len());
            left.extend((0..repeated).map(|_| all[dice.below(all.len())].clone()).collect::<Vec<_>>());
            let mut state = State::new(world.alliance.anchor());
            let mut so_far: Vec<Element> = Vec::new();
            while !left.is_empty() {
                let batch: Vec<Element> =
                    (0..=dice.below(9).min(left.len() - 1)).map(|_| left.swap_remove(dice.below(left.len()))).collect();
                so_far.extend(batch.iter().cloned());
                state.admit(batch);
                if dice.below(8) == 0 {
                    same(&state, &evaluate(world.alliance.anchor(), so_far.clone()));
                }
            }
            same(&state, &whole);
        }
    }
}

#[test]
fn what_is_kept_alone_gives_the_same_charter() {
    for conflict in [false, true] {
        let (world, said) = history(conflict);
        let controls = world.published.iter().cloned().map(Element::Control);
        let whole = evaluate(world.alliance.anchor(), controls.chain(said.iter().cloned()).collect());
        let kept: Vec<VerifiedControl> =
            whole.control_records().into_iter().map(|control| (**control).clone()).collect();
        assert!(kept.len() < world.published.len(), "something is dropped");
        let from_kept = kept.into_iter().map(Element::Control).chain(said).collect();
        same(&evaluate(world.alliance.anchor(), from_kept), &whole);
    }
}
