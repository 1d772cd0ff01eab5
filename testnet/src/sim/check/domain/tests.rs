//! The checks on small states, on states that operators made, and on facts that are broken on purpose.

use std::time::{Duration, Instant};

use comity_protocol::effect::Replaces;
use comity_protocol::guard::DraftWrite;
use comity_protocol::ids::AuthorId;
use comity_protocol::testing::{FOUNDED_MS, TestAlliance};

use super::{
    BTreeMap, CoverageRow, Element, NationId, State, Timestamp, View, all, all_alike, compare_cover, facts, imagined,
    p1_order_and_repetition_show_nothing, p2_parts_sum_to_the_pledge, p3_cover_narrows_gaps_and_withdrawal_widens_them,
    p6_what_is_replayed_changes_nothing, p11_between_two_deadlines_nothing_changes, view,
};
use crate::sim::operator::{Meant, Operator};

/// Two nodes of UKR and one each of DEU and POL say what their operators order; each hears the others every few turns.
fn states(seed: u64, turns: usize) -> Vec<State> {
    let mut alliance = TestAlliance::new(seed, &[("UKR", 2), ("DEU", 1), ("POL", 1)]);
    let places = [(0, 0), (0, 1), (1, 0), (2, 0)];
    let mut states = vec![alliance.state(); places.len()];
    let mut operators: Vec<Operator> = (seed * 10..).take(places.len()).map(Operator::new).collect();
    let mut unheard: Vec<(usize, Element)> = Vec::new();
    for turn in 0..turns {
        let at = turn % places.len();
        let (nation, node) = places[at];
        let me: AuthorId = alliance.nations[nation].nodes[node].author;
        let order = operators[at].next(&states[at], &me);
        if order.meant != Meant::Legal {
            continue;
        }
        let section = states[at].section(&me.nation);
        let writes = order.writes.into_iter().map(|write| {
            let replaces = match &write.replaces {
                Replaces::Nothing => Vec::new(),
                Replaces::Exactly(replaces) => replaces.clone(),
                Replaces::Surviving | Replaces::IfWinner(_) => section.replaces(&write.kind, &write.id),
            };
            DraftWrite { kind: write.kind, id: write.id, replaces, fields: write.fields }
        });
        let writes = writes.collect();
        let envelope = alliance.node(nation, node).write(&states[at], writes).expect("a legal order");
        states[at].admit(envelope.elements().to_vec());
        unheard.extend(envelope.elements().map(|element| (at, element)));
        if turn % 20 == 19 {
            hear(&mut states, &mut unheard);
        }
    }
    hear(&mut states, &mut unheard);
    states
}

fn hear(states: &mut [State], unheard: &mut Vec<(usize, Element)>) {
    for (place, state) in states.iter_mut().enumerate() {
        let others = unheard.iter().filter(|(from, _)| *from != place);
        state.admit(others.map(|(_, element)| element.clone()).collect());
    }
    unheard.clear();
}

fn moment(days: u64) -> Timestamp {
    Timestamp(FOUNDED_MS + 3_600_000 + days * Timestamp::DAY_MS)
}

#[test]
fn what_operators_leave_behind_keeps_every_property() {
    let first: u64 = std::env::var("COMITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("COMITY_SEED={first}");
    for seed in first..first + 6 {
        let states = states(seed, 180);
        let all: Vec<&State> = states.iter().collect();
        assert!(all.iter().all(|state| state.state() == all[0].state()), "seed {seed}");
        for days in [0, 40] {
            assert_eq!(super::all(&all, moment(days)), [], "seed {seed}, day {days}");
        }
    }
}

#[test]
fn a_state_without_records_keeps_every_property() {
    let alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let (founded, nothing) = (alliance.state(), State::new(alliance.anchor()));
    assert_eq!(all(&[&founded, &nothing], moment(0)), []);
    assert_eq!(all(&[], moment(0)), []);
}

#[test]
fn what_the_checks_of_one_state_cost() {
    let states = states(3, 110);
    let said: usize = states[0].nations().map(|nation| states[0].section(&nation.id).table().versions()).sum();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(all(&[&states[0]], moment(0)), []);
        best = best.min(began.elapsed());
    }
    // No bound is asserted: machines are busy. About 50 ms of the development build are meant.
    println!("{said} versions: {best:?}");
}

#[test]
fn broken_facts_are_noticed() {
    let states = states(2, 150);
    let state = &states[0];
    let shown = view(state, moment(0));
    let broken = |edit: &dyn Fn(&mut View)| {
        let mut shown = shown.clone();
        edit(&mut shown);
        shown
    };
    assert!(!shown.pledges.is_empty() && !shown.requirements.is_empty());
    let more = broken(&|view| view.pledges[0].buckets.to_ship += 1);
    assert_eq!(p2_parts_sum_to_the_pledge(&more).expect_err("a part too much").invariant, "P2 parts sum to the pledge");
    assert!(p1_order_and_repetition_show_nothing(state, &more).is_err());
    assert!(p6_what_is_replayed_changes_nothing(state, &more).is_err());
    let gap = broken(&|view| view.requirements[0].cover.gap_after_offers += 1);
    assert!(p2_parts_sum_to_the_pledge(&gap).is_err());
    assert!(p11_between_two_deadlines_nothing_changes(state, &gap).is_err());
    let until = broken(&|view| view.same_until = moment(400));
    assert!(p11_between_two_deadlines_nothing_changes(state, &until).is_err());
    let narrower = broken(&|view| view.requirements.iter_mut().for_each(|row| row.cover.gap_firm += 1));
    assert!(p3_cover_narrows_gaps_and_withdrawal_widens_them(state, &narrower).is_err());
    for place in 0..shown.requirements.len() {
        let other = broken(&|view| view.requirements[place].head.time = Timestamp(1));
        assert_ne!(
            facts(&shown, &shown.requirements[place].head.name.nation),
            facts(&other, &shown.requirements[place].head.name.nation)
        );
    }
}

#[test]
fn broken_comparisons_are_noticed() {
    let empty = view(&TestAlliance::new(1, &[("UKR", 1)]).state(), moment(0));
    let told = |place, text: &str| (place, empty.clone(), text.to_owned());
    assert_eq!(all_alike(&[told(0, "a"), told(2, "a")]), Ok(()));
    let found = all_alike(&[told(0, "a"), told(2, "a"), told(3, "b")]).expect_err("b is not a");
    assert!(found.text.starts_with("replicas 0 and 3"), "{}", found.text);
    let mut later = told(1, "a");
    later.1.as_of = moment(1);
    assert!(all_alike(&[told(0, "a"), later]).is_err());
    let gaps = |gap| BTreeMap::from([("UKR/requirement/0".to_owned(), gap)]);
    assert!(imagined::never_below(&gaps(3), &gaps(3)).is_ok());
    assert!(imagined::never_below(&gaps(3), &gaps(2)).is_err());
    assert!(imagined::never_below(&gaps(3), &BTreeMap::new()).is_err());
    let row = |cover_firm, gap_firm| CoverageRow {
        requirement: String::new(),
        item: String::new(),
        quantity: 10,
        unit: String::new(),
        cover_firm,
        gap_firm,
    };
    let compare = |after, silent| compare_cover(&[row(6, 4)], &[after], NationId::ZERO, silent);
    assert_eq!(compare(row(5, 5), false), Ok(()));
    assert!(compare(row(5, 5), true).is_err());
    assert!(compare(row(7, 3), false).is_err());
}
