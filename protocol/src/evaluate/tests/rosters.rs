//! Rosters: steps, forks and what a nation's keys may do (spec 4.5.2).

use super::{admit_all, standing};
use crate::chain::{AuthorStatus, EnvelopeStanding};
use crate::control::{CharterChange, ControlRecord, KeyStatus, Params, Roster, VerifiedControl, Vote, VoteStep};
use crate::evaluate::{ControlReceipt, Element, Standing, State, evaluate};
use crate::ids::{CharterId, ControlId, EnvelopeId, Tip};
use crate::testing::{TestAlliance, retire};

fn cut(seq: u64, byte: u8) -> Tip {
    Tip { seq, id: EnvelopeId::new([byte; 32]) }
}

/// A state that holds the genesis and these rosters of the first nation, given in any order.
fn with_rosters(alliance: &TestAlliance, rosters: &[&VerifiedControl]) -> State {
    let mut elements: Vec<Element> = rosters.iter().rev().map(|&roster| Element::Control(roster.clone())).collect();
    elements.push(Element::Control(alliance.genesis.clone()));
    evaluate(alliance.anchor(), elements)
}

#[test]
fn roster_fork_suspends_later_keys_and_unretires_none() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 3)]);
    let nation = alliance.nations[0].id;
    let author = |alliance: &TestAlliance, i: usize| alliance.nations[0].nodes[i].author;
    let first = alliance.nations[0].rosters[0].clone();
    let keys: Vec<_> = (0..3).map(|i| author(&alliance, i).key).collect();
    let second = alliance.retire(0, 1, cut(3, 3));
    let mut late = alliance.add_node(0, 1).clone();
    let line = late.roster_key(false);
    // Two third rosters: one enrols a key, the other retires one; above the second a fourth retires further and lower.
    let third = alliance.roster_after(0, Some(&second), |roster| roster.keys.push(line));
    let other_third = alliance.roster_after(0, Some(&second), |roster| retire(roster, &keys[2], cut(5, 5)));
    let fourth = alliance.roster_after(0, Some(&other_third), |roster| {
        retire(roster, &keys[1], cut(2, 2));
        retire(roster, &keys[2], cut(5, 4));
    });
    let said = late.envelope(99, vec![1]);

    let mut state = with_rosters(&alliance, &[&first, &second, &third]);
    admit_all(&mut state, &[&said]);
    assert_eq!(state.roster(&nation).expect("evaluated").tip(), (3, third.id()));
    assert_eq!(standing(&state, &said), EnvelopeStanding::Accepted);

    state.admit(vec![Element::Control(fourth.clone())]);
    assert_eq!(state.roster(&nation).expect("evaluated").fork, None, "a roster whose prev is not held is absent");
    let changes = state.admit(vec![Element::Control(other_third.clone())]);
    assert_eq!(changes.rosters.iter().collect::<Vec<_>>(), [&nation]);
    let roster = state.roster(&nation).expect("evaluated");
    assert_eq!((roster.fork, roster.tip()), (Some(3), (2, second.id())));
    assert_eq!(standing(&state, &said), EnvelopeStanding::Suspended);
    let status = |i| state.author_status(&author(&alliance, i));
    assert_eq!(status(0), AuthorStatus::Active);
    assert_eq!(status(1), AuthorStatus::Retired { cut: cut(2, 2) });
    assert_eq!(status(2), AuthorStatus::Retired { cut: cut(5, 4) }, "lowest seq, then smaller id");
    let kept = with_rosters(&alliance, &[&first, &second, &third, &other_third, &fourth]);
    let same = |a: &State, b: &State| a.control() == b.control() && a.roster(&nation) == b.roster(&nation);
    assert!(same(&kept, &state));
}

#[test]
fn of_one_version_the_two_smallest_ids_are_kept_whatever_is_sent() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let first = alliance.nations[0].rosters[0].clone();
    let mut seconds: Vec<VerifiedControl> =
        (0..6).map(|i| alliance.roster_after(0, Some(&first), |roster| roster.note = format!("{i}"))).collect();
    let mut all = vec![&first];
    all.extend(&seconds);
    let mut state = with_rosters(&alliance, &all);
    let before = (state.control(), state.state());
    assert_eq!(state.control_ids().count(), 4, "genesis, the first, and two");
    assert_eq!(state.control_held(), 8);
    state.forget_unkept_control();
    assert_eq!((state.control_held(), state.control(), state.state()), (4, before.0, before.1));
    seconds.sort_by_key(VerifiedControl::id);
    assert!(seconds[..2].iter().all(|roster| state.control_record(&roster.id()).is_some()));
    let order: Vec<u8> = state.control_records().iter().map(|control| control.record().kind()).collect();
    assert_eq!(order, [1, 4, 4, 4]);
    alliance.nations.clear();
}

#[test]
fn a_roster_that_breaks_a_step_rule_is_absent_and_its_version_can_be_signed_again() {
    type Edit = fn(&mut Roster);
    let cases: [(&str, Edit); 8] = [
        ("a key is missing", |roster| {
            roster.keys.remove(0);
        }),
        ("a key has another encryption key", |roster| roster.keys[0].kem = [7; 32]),
        ("a key changes its witness mark", |roster| roster.keys[0].witness ^= true),
        ("a retired key is active again", |roster| {
            roster.keys.iter_mut().for_each(|key| key.status = KeyStatus::Active);
        }),
        ("a cut grows", |roster| {
            for key in roster.keys.iter_mut().filter(|key| key.status != KeyStatus::Active) {
                key.status = KeyStatus::Retired { cut: cut(4, 1) };
            }
        }),
        ("a version is left out", |roster| roster.version += 1),
        ("closed with an active key", |roster| roster.closed = true),
        ("another generation", |roster| roster.root_gen = 1),
    ];
    let mut alliance = TestAlliance::new(1, &[("UKR", 2)]);
    let nation = alliance.nations[0].id;
    let second = alliance.retire(0, 1, cut(3, 3));
    let first = alliance.nations[0].rosters[0].clone();
    for (what, edit) in cases {
        let botched = alliance.roster_after(0, Some(&second), edit);
        let repeated = alliance.roster_after(0, Some(&second), |roster| roster.note = "again".into());
        let state = with_rosters(&alliance, &[&first, &second, &botched]);
        let roster = state.roster(&nation).expect("evaluated");
        assert_eq!((roster.tip(), roster.fork), ((2, second.id()), None), "{what}");
        assert!(state.control_record(&botched.id()).is_none(), "{what}: not kept");
        let state = with_rosters(&alliance, &[&first, &second, &botched, &repeated]);
        let roster = state.roster(&nation).expect("evaluated");
        assert_eq!((roster.tip(), roster.fork), ((3, repeated.id()), None), "{what}");
    }
}

#[test]
fn a_first_roster_keeps_the_rules_of_its_own() {
    let params = Params { max_active_keys: 2, ..Params::default() };
    let mut alliance = TestAlliance::with_params(1, &[("UKR", 3)], params);
    let nation = alliance.nations[0].id;
    let first = alliance.nations[0].rosters[0].clone();
    assert_eq!(with_rosters(&alliance, &[&first]).roster(&nation).expect("evaluated").tip().0, 0, "three are too many");
    let two = alliance.nations[0].nodes[..2].iter().map(|node| node.roster_key(true)).collect::<Vec<_>>();
    let witnesses = alliance.roster_after(0, None, |roster| roster.keys = two);
    assert_eq!(with_rosters(&alliance, &[&witnesses]).roster(&nation).expect("evaluated").tip().0, 0, "two witnesses");
    let one = vec![alliance.nations[0].nodes[0].roster_key(true)];
    let good = alliance.roster_after(0, None, |roster| roster.keys = one);
    assert_eq!(with_rosters(&alliance, &[&good]).roster(&nation).expect("evaluated").tip().0, 1);
    let dangling = alliance.roster_after(0, None, |roster| roster.prev = ControlId::new([1; 32]));
    assert_eq!(with_rosters(&alliance, &[&dangling]).roster(&nation).expect("evaluated").tip().0, 0);
    alliance.nations.clear();
}

#[test]
fn a_closed_nation_stays_closed() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let first = alliance.nations[0].rosters[0].clone();
    let key = alliance.nations[0].nodes[0].author.key;
    let closing = alliance.roster(0, |roster| {
        retire(roster, &key, Tip::NONE);
        roster.closed = true;
    });
    let reopening = alliance.roster_after(0, Some(&closing), |roster| roster.closed = false);
    let state = with_rosters(&alliance, &[&first, &closing, &reopening]);
    let roster = state.roster(&alliance.nations[0].id).expect("evaluated");
    assert_eq!((roster.tip(), roster.record().map(|record| record.closed)), ((2, closing.id()), Some(true)));
}

#[test]
fn a_nation_that_lists_anothers_key_changes_nothing_for_it() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1), ("POL", 1)]);
    let said = alliance.node(1, 0).envelope(99, vec![1]);
    let mut foreign = alliance.nations[1].nodes[0].roster_key(false);
    foreign.status = KeyStatus::Retired { cut: Tip::NONE };
    let (key, polish) = (foreign.node, alliance.nations[1].id);
    alliance.roster(0, |roster| roster.keys.push(foreign));
    let mut state = alliance.state();
    admit_all(&mut state, &[&said]);
    assert_eq!(standing(&state, &said), EnvelopeStanding::Accepted);
    assert_eq!(state.standing(&key), Standing::Active { nation: polish });
    assert_eq!(state.active_authors().count(), 2);
    let gone = alliance.retire(1, 0, said.header.tip());
    state.admit(vec![Element::Control(gone)]);
    assert!(matches!(state.standing(&key), Standing::Retired { .. }));
    assert_eq!(state.standing(&crate::ids::AuthorKey::new([1; 32])), Standing::Unknown);
}

#[test]
fn control_records_are_welcome_from_roots_of_the_charter_only() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1), ("POL", 1)]);
    let state = alliance.state();
    let verdict = |control: &VerifiedControl| state.control_receipt(control.record(), &control.id());
    let next = alliance.roster(0, |roster| roster.note = "next".into());
    assert_eq!(verdict(&next), ControlReceipt::Welcome);
    assert_eq!(verdict(&alliance.nations[0].rosters[0]), ControlReceipt::Held);
    assert_eq!(verdict(&alliance.genesis), ControlReceipt::Held);
    let mut borrowed = alliance.clone();
    borrowed.nations[0].root = borrowed.nations[1].root.clone();
    let forged = borrowed.roster_after(0, None, |_| {});
    assert_eq!(verdict(&forged), ControlReceipt::UnknownRoot);
    let other = TestAlliance::new(2, &[("UKR", 1)]);
    assert_eq!(verdict(&other.genesis), ControlReceipt::OtherAlliance);
    assert_eq!(verdict(&other.nations[0].rosters[0]), ControlReceipt::OtherAlliance);
    let early = vote(&alliance, 1, 1, 0);
    assert_eq!(verdict(&early), ControlReceipt::UnknownBase);
    assert_eq!(verdict(&vote(&alliance, 0, 1, 0)), ControlReceipt::Welcome);
}

fn vote(alliance: &TestAlliance, height: u32, motion: u8, time_ms: u64) -> VerifiedControl {
    let of = &alliance.nations[0];
    let vote = Vote {
        alliance: alliance.id,
        nation: of.id,
        root: of.root.public(),
        height,
        base: CharterId::new(*alliance.id.as_bytes()),
        round: 0,
        step: VoteStep::Support,
        motion: ControlId::new([motion; 32]),
        time_ms,
    };
    vote.sign(&of.root).verify().expect("sound")
}

#[test]
fn of_one_nations_votes_in_a_step_two_are_kept() {
    let alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut votes: Vec<VerifiedControl> = Vec::new();
    for motion in [3, 1, 2] {
        votes.extend((0..3).map(|time_ms| vote(&alliance, 0, motion, time_ms)));
    }
    votes.push(vote(&alliance, 1, 0, 0));
    let mut state = alliance.state();
    state.admit(votes.into_iter().map(Element::Control).collect());
    let kept: Vec<ControlId> = state
        .control_records()
        .iter()
        .filter_map(|control| match control.record() {
            ControlRecord::Vote(vote, _) => Some(vote.motion),
            ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => None,
        })
        .collect();
    let mut motions = kept.clone();
    motions.sort_unstable();
    assert_eq!(motions, [ControlId::new([1; 32]), ControlId::new([2; 32])]);
    assert_eq!(state.charter().map(|charter| charter.height), Some(0), "no motion is adopted yet");
}

#[test]
fn a_root_that_signs_against_itself_opens_chains_for_256_keys_at_most() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let first = alliance.nations[0].rosters[0].clone();
    let mut many = |from: u64| -> Vec<crate::control::RosterKey> {
        let keys = (from..from + 200).map(|seed| {
            let mut key = alliance.add_node(0, seed).roster_key(false);
            key.status = KeyStatus::Retired { cut: Tip::NONE };
            key
        });
        keys.collect()
    };
    let (ones, others) = (many(1_000), many(2_000));
    let listed: Vec<_> = ones.iter().chain(&others).map(|key| key.node).collect();
    let second = alliance.roster_after(0, Some(&first), |roster| roster.keys.extend(ones));
    let rival = alliance.roster_after(0, Some(&first), |roster| roster.keys.extend(others));
    let state = with_rosters(&alliance, &[&first, &second, &rival]);
    let nation = alliance.nations[0].id;
    let lists = |key: &crate::ids::AuthorKey| state.controls.lists(&crate::ids::AuthorId { nation, key: *key });
    assert!(lists(&alliance.nations[0].nodes[0].author.key), "the first roster's key counts first");
    assert_eq!(listed.iter().filter(|key| lists(key)).count(), 255);
    assert!(listed[..200].iter().all(lists) || listed[200..].iter().all(lists), "one of the two counts in full");
}

/// An alliance of one nation, whose rosters may have so many Active keys.
fn limited(max_active_keys: u8) -> TestAlliance {
    TestAlliance::with_params(1, &[("UKR", 1)], Params { max_active_keys, ..Params::default() })
}

/// The records that set another limit by the charter version in force.
fn limit(alliance: &TestAlliance, state: &State, max_active_keys: u8) -> Vec<Element> {
    let charter = state.charter().expect("founded");
    let params = Params { max_active_keys, ..charter.params };
    let motion = alliance.motion(charter, u64::from(max_active_keys), vec![CharterChange::SetParams(params)]);
    let votes = alliance.pass(&[0], charter, 0, &motion.id());
    std::iter::once(motion).chain(votes).map(Element::Control).collect()
}

/// Signs a roster of version 2 with so many new keys.
fn second(alliance: &mut TestAlliance, keys: u64, note: &str) -> VerifiedControl {
    let first = alliance.nations[0].rosters[0].clone();
    let keys: Vec<_> = (0..keys).map(|seed| alliance.add_node(0, seed).roster_key(false)).collect();
    alliance.roster_after(0, Some(&first), |roster| {
        roster.keys.extend(keys);
        roster.note = note.to_owned();
    })
}

#[test]
fn a_roster_refused_for_too_many_keys_never_comes_alive_beside_the_one_signed_in_its_place() {
    let mut alliance = limited(2);
    let nation = alliance.nations[0].id;
    let first = alliance.nations[0].rosters[0].clone();
    let refused = second(&mut alliance, 3, "too many");
    let repeated = second(&mut alliance, 1, "fewer");
    let third = alliance.roster_after(0, Some(&repeated), |roster| roster.note = "next".to_owned());
    let founding = with_rosters(&alliance, &[&first]);
    let raise = limit(&alliance, &founding, 8);
    let evaluated = |state: &State| {
        let roster = state.roster(&nation).expect("evaluated");
        (roster.tip(), roster.fork)
    };
    let before = with_rosters(&alliance, &[&first, &refused, &repeated]);
    assert_eq!(evaluated(&before), ((2, repeated.id()), None));
    assert!(before.control_record(&refused.id()).is_none(), "it is absent");
    let all: Vec<Element> = [&first, &refused, &repeated, &third].map(|roster| Element::Control(roster.clone())).into();
    // Whatever comes first: both rosters, the raise, or what was signed above.
    let batches = [raise, vec![all[1].clone()], vec![all[2].clone()], vec![all[3].clone()]];
    let mut states = Vec::new();
    for start in 0..batches.len() {
        for backwards in [false, true] {
            let mut state = founding.clone();
            let mut order: Vec<usize> = (0..batches.len()).map(|at| (start + at) % batches.len()).collect();
            if backwards {
                order.reverse();
            }
            for at in order {
                state.admit(batches[at].clone());
            }
            assert_eq!(state.charter().map(|charter| charter.params.max_active_keys), Some(8));
            assert_eq!(evaluated(&state), ((3, third.id()), None), "{start} {backwards}");
            states.push((state.control(), state.state()));
            assert!(state.control_record(&refused.id()).is_some(), "what it signed twice is kept");
            state.forget_unkept_control();
            states.push((state.control(), state.state()));
        }
    }
    assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_raise_lets_a_roster_count_that_had_too_many_keys_and_two_that_need_it_fork() {
    let mut alliance = limited(2);
    let nation = alliance.nations[0].id;
    let first = alliance.nations[0].rosters[0].clone();
    let [one, other] = ["one", "other"].map(|note| second(&mut alliance, 3, note));
    let [few, fewer] = [second(&mut alliance, 1, "few"), second(&mut alliance, 0, "fewer")];
    let raised = |rosters: &[&VerifiedControl], limits: &[u8]| {
        let mut state = with_rosters(&alliance, &[&[&first], rosters].concat());
        for max_active_keys in limits {
            let raise = limit(&alliance, &state, *max_active_keys);
            state.admit(raise);
        }
        let roster = state.roster(&nation).expect("evaluated");
        (roster.tip(), roster.fork)
    };
    assert_eq!(raised(&[&one], &[]), ((1, first.id()), None), "it is refused");
    assert_eq!(raised(&[&one], &[3]), ((1, first.id()), None), "still too many: four");
    assert_eq!(raised(&[&one], &[3, 8]), ((2, one.id()), None));
    assert_eq!(raised(&[&one, &other], &[8]), ((1, first.id()), Some(2)), "both need the raise");
    assert_eq!(raised(&[&one, &few], &[8]), ((2, few.id()), None));
    assert_eq!(raised(&[&one, &few, &fewer], &[8]), ((1, first.id()), Some(2)), "both were valid from the first day");
    // A limit is never lowered: a motion that does is none, whoever seals it.
    assert_eq!(raised(&[&few], &[1]), ((2, few.id()), None));
    assert_eq!(raised(&[&one], &[8, 2]), ((2, one.id()), None));
}
