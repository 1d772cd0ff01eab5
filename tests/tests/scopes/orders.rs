//! Whatever the order, repetition and batching, one state (invariants I1 and I10, T1).

use std::time::Instant;

use comity_protocol::evaluate::{Changes, Element, State};

use crate::dice::{Dice, seeds};
use crate::lattice::{Counts, Lattice, Pool, admit, exactly, permute};
use crate::{nasty, random};

#[test]
fn every_order_of_a_drawn_pool_gives_one_state() {
    let begun = Instant::now();
    let mut counts = Counts::default();
    for seed in seeds(300) {
        let size = [4, 4, 4, 5, 5, 5, 6, 6, 7, 8][usize::try_from(seed % 10).expect("small")];
        let pool = random::pool(seed, size);
        let explored = Lattice::explore(&pool, &mut Dice::new(seed), admit, &mut |_| Ok(()));
        let mut lattice = explored.unwrap_or_else(|why| panic!("COMITY_SEED={seed}: {why}"));
        if size <= 4 {
            lattice.every_batch().unwrap_or_else(|why| panic!("COMITY_SEED={seed}: {why}"));
        } else if size <= 5 {
            lattice.every_union(&mut Dice::new(seed)).unwrap_or_else(|why| panic!("COMITY_SEED={seed}: {why}"));
        }
        counts.add(lattice.counts);
    }
    println!("{counts:?} in {:?}", begun.elapsed());
}

#[test]
fn every_order_of_the_nasty_pools_gives_one_state() {
    let begun = Instant::now();
    let mut counts = Counts::default();
    for pool in nasty::all() {
        let explored = Lattice::explore(&pool, &mut Dice::new(1), admit, &mut |_| Ok(()));
        let mut lattice = explored.unwrap_or_else(|why| panic!("{why}"));
        if pool.items.len() <= 6 {
            lattice.every_union(&mut Dice::new(1)).unwrap_or_else(|why| panic!("{why}"));
        }
        counts.add(lattice.counts);
    }
    println!("{counts:?} in {:?}", begun.elapsed());
}

#[test]
fn every_order_of_some_pools_gives_one_state_without_induction() {
    let begun = Instant::now();
    let mut looked_at = 0;
    for pool in nasty::all().iter().take(if crate::dice::cases() > 1 { usize::MAX } else { 4 }) {
        let states = exactly(pool).unwrap_or_else(|why| panic!("{why}"));
        println!("{}: {states} different states on all {}! orders, read or not", pool.name, pool.items.len());
        looked_at += states;
    }
    let steps: u64 = (1..=3).map(|seed| permute(&random::pool(seed, 6)).unwrap_or_else(|why| panic!("{why}"))).sum();
    println!("{looked_at} states, and {steps} steps of plain permutations in {:?}", begun.elapsed());
}

/// The first of some pools in which a broken way to admit is noticed.
fn noticed(broken: fn(&mut State, Vec<Element>) -> Changes) -> String {
    let pools: Vec<Pool> = nasty::all().into_iter().chain((1..20).map(|seed| random::pool(seed, 5))).collect();
    let explore = |pool: &Pool| Lattice::explore(pool, &mut Dice::new(1), broken, &mut |_| Ok(())).err();
    pools.iter().find_map(explore).expect("the lattice notices it")
}

#[test]
fn a_way_to_admit_that_depends_on_the_order_is_noticed() {
    let no_strays = |state: &mut State, elements: Vec<Element>| {
        let known = |element: &Element| match element {
            Element::Body { id, .. } => state.envelope(id).is_some(),
            Element::Control(_) | Element::Header(_) => true,
        };
        let known = elements.iter().filter(|element| known(element)).cloned().collect();
        state.admit(known)
    };
    println!("bodies before their headers are dropped: {}", noticed(no_strays));
    let listed_only = |state: &mut State, elements: Vec<Element>| {
        let listed = |element: &Element| match element {
            Element::Header(header) => state.lists(&header.header().author_id()),
            Element::Control(_) | Element::Body { .. } => true,
        };
        let listed = elements.iter().filter(|element| listed(element)).cloned().collect();
        state.admit(listed)
    };
    println!("headers before their rosters are dropped: {}", noticed(listed_only));
}
