//! Stratum 1: motions that pass, that do not, and that contradict each other (spec 4.5.1).

use crate::charter::Charter;
use crate::control::{CharterChange, VerifiedControl, VoteStep};
use crate::evaluate::{Element, State, evaluate};
use crate::testing::TestAlliance;

const FOUR: [(&str, usize); 4] = [("UKR", 1), ("POL", 1), ("LTU", 1), ("DEU", 1)];

fn in_force(state: &State) -> Charter {
    state.charter().expect("the genesis is held").clone()
}

fn take(state: &mut State, controls: &[VerifiedControl]) {
    state.admit(controls.iter().cloned().map(Element::Control).collect());
}

#[test]
fn a_motion_passes_with_two_signatures_of_more_than_two_thirds() {
    let mut alliance = TestAlliance::new(1, &FOUR);
    let mut state = alliance.state();
    let founding = in_force(&state);
    let newcomer = alliance.candidate(1, "EST", 1);
    let motion = alliance.motion(&founding, 0, vec![CharterChange::Admit(newcomer)]);
    let roster = alliance.first_roster(4);
    let votes = alliance.pass(&[0, 1, 2], &founding, 0, &motion.id());
    take(&mut state, &votes[..5]);
    take(&mut state, &[motion.clone(), roster.clone()]);
    assert_eq!(in_force(&state).height, 0, "two seals are too few");
    assert!(state.ballots().has_quorum(0, VoteStep::Support, &motion.id()));
    let changes = state.admit(vec![Element::Control(votes[5].clone())]);
    assert!(changes.charter);
    let charter = in_force(&state);
    assert_eq!((charter.height, charter.members.len(), charter.quorum()), (1, 5, 4));
    assert_eq!(charter.motion, Some(motion.id()));
    assert_eq!(state.roster(&alliance.nations[4].id).expect("a member has one").tip(), (1, roster.id()));
    assert_eq!(state.charter_versions().len(), 2);
    let mut all = alliance.control();
    all.push(motion.clone());
    all.extend(votes);
    all.reverse();
    let fresh = evaluate(alliance.anchor(), all.into_iter().map(Element::Control).collect());
    assert_eq!((fresh.state(), fresh.control()), (state.state(), state.control()));
    assert!(state.motion(&motion.id()).is_some());
}

#[test]
fn two_motions_sealed_for_one_version_freeze_the_charter_and_name_who_sealed_both() {
    let alliance = TestAlliance::new(1, &FOUR);
    let mut state = alliance.state();
    let founding = in_force(&state);
    let motions = [1, 2].map(|rules| {
        let params = crate::control::Params { chain_quota: founding.params.chain_quota + rules, ..founding.params };
        alliance.motion(&founding, rules, vec![CharterChange::SetParams(params)])
    });
    take(&mut state, &motions);
    take(&mut state, &alliance.pass(&[0, 1, 2], &founding, 0, &motions[0].id()));
    assert_eq!(in_force(&state).height, 1);
    take(&mut state, &alliance.pass(&[1, 2, 3], &founding, 0, &motions[1].id()));
    let conflict = state.charter_conflict().expect("both are sealed");
    assert_eq!((in_force(&state).height, conflict.height), (0, 0));
    let both = [alliance.nations[1].id, alliance.nations[2].id];
    assert_eq!(conflict.double_sealers, both.into());
}
