//! What a motion must be, what a signer may sign, and how healthy a charter is.

use super::{FOUR, SEAL, SUPPORT, World, motion_of, quota};
use crate::charter::signer::{Refuse, SignerLog, may_sign};
use crate::charter::{CharterHealth, DARK_AFTER_MS, IllFormed, health};
use crate::control::{CharterChange, ControlRecord, Params, VerifiedControl, Vote};
use crate::ids::{ControlId, RootKey, Timestamp, Tip};
use std::collections::{BTreeMap, BTreeSet};

fn vote_of(control: &VerifiedControl) -> Vote {
    match control.record() {
        ControlRecord::Vote(vote, _) => vote.clone(),
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => panic!("a vote"),
    }
}

#[test]
fn what_was_ever_used_is_not_used_again() {
    let mut world = World::new(&FOUR);
    let (old, gone) = (world.alliance.nations[0].root.public(), world.id(3));
    let fresh = world.alliance.candidate(7, "NEW", 0);
    let replace = CharterChange::ReplaceRoot { nation: world.id(0), root: fresh.root, roster: Tip::NONE };
    let remove = CharterChange::Remove { nation: gone, cuts: Vec::new(), roster: Tip::NONE };
    world.adopt(&[0, 1, 2], vec![replace, remove]);
    let next = world.alliance.candidate(8, "NXT", 0);
    let charter = world.charter();
    let verdict =
        |changes: Vec<CharterChange>| charter.well_formed(&motion_of(&world.alliance.motion(&charter, 0, changes)));
    let admit = |root: RootKey, code: &str| {
        CharterChange::Admit(crate::control::Member { root, code: code.into(), name: "x".into(), next_root: None })
    };
    let rekey = |nation, root| CharterChange::ReplaceRoot { nation, root, roster: Tip::NONE };
    let drop = |nation| CharterChange::Remove { nation, cuts: Vec::new(), roster: Tip::NONE };
    let removed_root = world.alliance.nations[3].root.public();
    let (one, two) = (world.id(1), world.id(2));
    let twice = |code: &str| Err(IllFormed::Twice(code.to_owned()));
    for (changes, expected) in [
        (vec![admit(next.root, "NXT")], Ok(())),
        (vec![admit(old, "NXT")], Err(IllFormed::RootUsed(old))),
        (vec![admit(fresh.root, "NXT")], Err(IllFormed::RootUsed(fresh.root))),
        (vec![admit(removed_root, "NXT")], Err(IllFormed::RootUsed(removed_root))),
        (vec![admit(next.root, "UKR")], Err(IllFormed::CodeUsed("UKR".into()))),
        (vec![admit(next.root, "DEU")], Err(IllFormed::CodeUsed("DEU".into()))),
        (vec![rekey(one, old)], Err(IllFormed::RootUsed(old))),
        (vec![rekey(one, next.root), admit(next.root, "NXT")], Err(IllFormed::RootUsed(next.root))),
        (vec![rekey(gone, next.root)], Err(IllFormed::NoMember(gone))),
        (vec![drop(gone)], Err(IllFormed::NoMember(gone))),
        (vec![drop(one), rekey(one, next.root)], twice("POL")),
        (vec![drop(one), drop(one)], twice("POL")),
        (vec![drop(one), drop(two)], Ok(())),
        (vec![drop(one), drop(two), drop(world.id(0))], Err(IllFormed::Members(0))),
        (vec![CharterChange::SetRules(2)], Ok(())),
        (vec![CharterChange::SetRules(1)], Err(IllFormed::Rules { now: 1, next: 1 })),
        (vec![CharterChange::SetRules(3)], Err(IllFormed::Rules { now: 1, next: 3 })),
        (vec![quota(&charter, 0)], Ok(())),
        (vec![quota(&charter, 1), quota(&charter, 2)], twice("the set of parameters")),
        (
            vec![CharterChange::SetParams(Params { max_active_keys: 7, ..charter.params })],
            Err(IllFormed::Lowered("max_active_keys")),
        ),
        (
            vec![CharterChange::SetParams(Params { chain_quota: charter.params.chain_quota - 1, ..charter.params })],
            Err(IllFormed::Lowered("chain_quota")),
        ),
    ] {
        assert_eq!(verdict(changes.clone()), expected, "{changes:?}");
    }
    let founding = &world.state.charter_versions()[0];
    let early = motion_of(&world.alliance.motion(founding, 0, vec![CharterChange::SetRules(2)]));
    assert!(matches!(charter.well_formed(&early), Err(IllFormed::OtherBase { height: 0, .. })));
}

#[test]
fn an_alliance_has_sixty_four_nations_at_most() {
    let codes: Vec<String> = (0..63).map(|i| format!("N{i:02}")).collect();
    let mut world = World::new(&codes.iter().map(|code| (code.as_str(), 0)).collect::<Vec<_>>());
    let charter = world.charter();
    let [one, two] = ["ONE", "TWO"].map(|code| CharterChange::Admit(world.alliance.candidate(9, code, 0)));
    let verdict = |changes| charter.well_formed(&motion_of(&world.alliance.motion(&charter, 0, changes)));
    assert_eq!(verdict(vec![one.clone()]), Ok(()));
    assert_eq!(verdict(vec![one, two]), Err(IllFormed::Members(65)));
}

#[test]
fn a_sealed_motion_that_breaks_a_rule_changes_nothing() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let bad = world.motion(vec![CharterChange::SetRules(7)]);
    world.publish(world.alliance.pass(&[0, 1, 2, 3], &founding, 0, &bad));
    assert_eq!((world.charter(), world.state.charter_conflict()), (founding.clone(), None));
    let good = world.motion(vec![quota(&founding, 1)]);
    world.publish(world.alliance.pass(&[0, 1, 2], &founding, 1, &good));
    assert_eq!(world.charter().motion, Some(good));
}

#[test]
fn the_root_of_another_version_does_not_vote() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let fresh = world.alliance.candidate(7, "NEW", 0);
    let nation = world.id(0);
    world.adopt(&[0, 1, 2], vec![CharterChange::ReplaceRoot { nation, root: fresh.root, roster: Tip::NONE }]);
    let charter = world.charter();
    let motion = world.motion(vec![quota(&charter, 1)]);
    let with_old = vote_of(&world.alliance.vote(0, &charter, (0, SUPPORT), &motion));
    let held = world.state.ballots().clone();
    assert!(matches!(may_sign(&charter, &[], &held, &with_old, true, true), Err(Refuse::NotMember { .. })));
    world.publish(world.alliance.pass(&[0, 1, 2], &charter, 0, &motion));
    assert_eq!(world.charter().height, 1, "two nations and an old root are no quorum");
    world.alliance.nations[0].root = world.alliance.nations[4].root.clone();
    world.publish(world.alliance.pass(&[0], &charter, 0, &motion));
    assert_eq!(world.charter().height, 2);
    let late = world.alliance.vote(1, &founding, (0, SUPPORT), &motion);
    let receipt = world.state.control_receipt(late.record(), &late.id());
    assert_eq!(receipt, crate::evaluate::ControlReceipt::Welcome, "votes on every held version are taken in");
}

/// Appendix B, rule by rule.
#[test]
fn a_signer_is_told_which_rule_stands_against_a_vote() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let [a, b] = [1, 2].map(|more| world.motion(vec![quota(&founding, more)]));
    let vote = |world: &World, round, step, motion: &ControlId| {
        vote_of(&world.alliance.vote(0, &founding, (round, step), motion))
    };
    let mut log = SignerLog::complete_from(0);
    let verdict =
        |world: &World, log: &SignerLog, vote: &Vote| log.may_sign(&founding, world.state.ballots(), vote, true, true);
    assert_eq!(verdict(&world, &log, &vote(&world, 1, SUPPORT, &a)), Err(Refuse::RoundTooFar { round: 1, open: 0 }));
    let few = Refuse::NoSupportQuorum { round: 0, have: 0, quorum: 3 };
    assert_eq!(verdict(&world, &log, &vote(&world, 0, SEAL, &a)), Err(few));
    let first = vote(&world, 0, SUPPORT, &a);
    assert_eq!(verdict(&world, &log, &first), Ok(()));
    log.record(first.clone());
    let signed = Refuse::AlreadySigned { round: 0, step: SUPPORT, motion: a };
    assert_eq!(verdict(&world, &log, &first), Err(signed.clone()), "sent again, never signed again");
    assert_eq!(verdict(&world, &log, &vote(&world, 0, SUPPORT, &b)), Err(signed));
    world.vote(&[0, 1, 2], &founding, 0, SUPPORT, &a);
    let seal = vote(&world, 0, SEAL, &a);
    let held = world.state.ballots().clone();
    assert_eq!(log.may_sign(&founding, &held, &seal, false, true), Err(Refuse::IllFormed));
    assert_eq!(log.may_sign(&founding, &held, &seal, true, false), Err(Refuse::CutsNotHeld), "an invented cut (T34)");
    assert_eq!(verdict(&world, &log, &seal), Ok(()));
    log.record(seal);
    let locked = Refuse::Locked { round: 0, motion: a };
    assert_eq!(verdict(&world, &log, &vote(&world, 1, SUPPORT, &b)), Err(locked.clone()));
    assert_eq!(verdict(&world, &log, &vote(&world, 1, SUPPORT, &a)), Ok(()), "its own lock may be supported again");
    world.vote(&[1, 2, 3], &founding, 1, SUPPORT, &b);
    assert_eq!(verdict(&world, &log, &vote(&world, 1, SUPPORT, &b)), Err(locked), "the same round does not unlock");
    assert_eq!(verdict(&world, &log, &vote(&world, 2, SUPPORT, &b)), Ok(()));
    assert_eq!(verdict(&world, &log, &vote(&world, 1, SEAL, &b)), Ok(()), "it turned with the others");
    log.record(vote(&world, 2, SUPPORT, &b));
    let back = Refuse::EarlierRound { round: 1, signed: 2 };
    assert_eq!(verdict(&world, &log, &vote(&world, 1, SEAL, &b)), Err(back));
    log.record(vote(&world, 2, SEAL, &b));
    let sealed = Refuse::SealedThisRound { round: 2, motion: b };
    let mut only_seal = SignerLog::complete_from(0);
    only_seal.record(vote(&world, 2, SEAL, &b));
    assert_eq!(verdict(&world, &only_seal, &vote(&world, 2, SUPPORT, &a)), Err(sealed));
    world.publish(world.alliance.pass(&[0, 1, 2], &founding, 0, &a));
    let charter = world.charter();
    let passed = log.may_sign(&charter, world.state.ballots(), &vote(&world, 2, SUPPORT, &a), true, true);
    assert_eq!(passed, Err(Refuse::Passed { passed: 0, height: 1 }));
    // The log alone says so too, where an old charter file is all that the signer is shown.
    let mut adopted = SignerLog::complete_from(0);
    assert_eq!(verdict(&world, &adopted, &vote(&world, 0, SUPPORT, &b)), Ok(()));
    adopted.record(vote_of(&world.alliance.vote(0, &charter, (0, SUPPORT), &b)));
    assert_eq!(verdict(&world, &adopted, &vote(&world, 0, SUPPORT, &b)), Err(Refuse::Passed { passed: 0, height: 1 }));
}

#[test]
fn a_signer_that_lost_its_log_signs_nothing_until_the_next_version() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let motion = world.motion(vec![quota(&founding, 1)]);
    let log = SignerLog::lost_at(0);
    let vote = vote_of(&world.alliance.vote(3, &founding, (0, SUPPORT), &motion));
    let lost = Err(Refuse::LogLost { height: 0, complete_from: 1 });
    assert_eq!(log.may_sign(&founding, world.state.ballots(), &vote, true, true), lost);
    world.publish(world.alliance.pass(&[0, 1, 2], &founding, 0, &motion));
    let charter = world.charter();
    let next = world.motion(vec![quota(&charter, 1)]);
    let vote = vote_of(&world.alliance.vote(3, &charter, (0, SUPPORT), &next));
    assert_eq!(log.may_sign(&charter, world.state.ballots(), &vote, true, true), Ok(()));
}

#[test]
fn charter_health_counts_how_many_more_may_be_lost() {
    let world = World::new(&FOUR);
    let charter = world.charter();
    let now = Timestamp(10 * DARK_AFTER_MS);
    let heard = |nations: &[usize]| -> BTreeMap<_, _> {
        nations.iter().map(|nation| (world.id(*nation), Timestamp(now.0 - DARK_AFTER_MS))).collect()
    };
    let of = |closed: &[usize], nations: &[usize]| health(&charter, &world.ids(closed), &heard(nations), now);
    let all = CharterHealth { nations: 4, quorum: 3, closed: BTreeSet::new(), dark: BTreeSet::new(), losses_left: 2 };
    assert_eq!(of(&[], &[0, 1, 2, 3]), all);
    let one = CharterHealth { dark: world.ids(&[3]), losses_left: 1, ..all.clone() };
    assert_eq!(of(&[], &[0, 1, 2]), one);
    let two = CharterHealth { closed: world.ids(&[0]), dark: world.ids(&[3]), losses_left: 0, ..all };
    assert_eq!(of(&[0], &[0, 1, 2]), two);
    assert_eq!(of(&[0, 1], &[]).losses_left, 0);
    let state = world.state.charter_health(now).expect("founded");
    assert_eq!((state.dark.len(), state.losses_left), (4, 0), "nobody's witness has said anything");
}
