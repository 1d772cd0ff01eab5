//! Stratum 1: motions that pass, that do not, and that contradict each other (spec 4.5.1), and what is kept of it (4.11).

use std::collections::BTreeSet;

use crate::chain::EnvelopeStanding::{Accepted, PostRemoval};
use crate::charter::{Anchor, Charter};
use crate::control::{CharterChange, ControlRecord, Motion, Params, VerifiedControl, VoteStep};
use crate::evaluate::{Changes, Element, State, evaluate};
use crate::ids::{ControlId, NationId, Tip};
use crate::testing::TestAlliance;

mod anchor;
mod orders;
mod rosters;
mod rules;

const FOUR: [(&str, usize); 4] = [("UKR", 1), ("POL", 1), ("LTU", 1), ("DEU", 1)];
const SUPPORT: VoteStep = VoteStep::Support;
const SEAL: VoteStep = VoteStep::Seal;

/// An alliance, everything published in it, and the state of one who holds all of it.
struct World {
    alliance: TestAlliance,
    state: State,
    published: Vec<VerifiedControl>,
}

impl World {
    fn new(nations: &[(&str, usize)]) -> Self {
        let alliance = TestAlliance::new(1, nations);
        Self { state: alliance.state(), published: alliance.control(), alliance }
    }

    fn charter(&self) -> Charter {
        self.state.charter().expect("the genesis is held").clone()
    }

    fn id(&self, nation: usize) -> NationId {
        self.alliance.nations[nation].id
    }

    fn ids(&self, nations: &[usize]) -> BTreeSet<NationId> {
        nations.iter().map(|nation| self.id(*nation)).collect()
    }

    fn publish(&mut self, controls: Vec<VerifiedControl>) -> Changes {
        self.published.extend(controls.iter().cloned());
        self.state.admit(controls.into_iter().map(Element::Control).collect())
    }

    /// Drafts a motion on the version in force and publishes it.
    fn motion(&mut self, changes: Vec<CharterChange>) -> ControlId {
        let motion = self.alliance.motion(&self.charter(), 0, changes);
        let id = motion.id();
        self.publish(vec![motion]);
        id
    }

    /// Passes a motion on the version in force with the votes of these nations.
    fn adopt(&mut self, nations: &[usize], changes: Vec<CharterChange>) -> ControlId {
        let charter = self.charter();
        let motion = self.motion(changes);
        self.publish(self.alliance.pass(nations, &charter, 0, &motion));
        assert_eq!(self.charter().height, charter.height + 1);
        motion
    }

    fn vote(
        &mut self,
        nations: &[usize],
        charter: &Charter,
        round: u16,
        step: VoteStep,
        motion: &ControlId,
    ) -> Changes {
        let vote = |nation: &usize| self.alliance.vote(*nation, charter, (round, step), motion);
        self.publish(nations.iter().map(vote).collect())
    }

    /// The state of one who takes all that was published at once, from the founding or a later anchor.
    fn fresh(&self, anchor: Anchor) -> State {
        evaluate(anchor, self.published.iter().rev().cloned().map(Element::Control).collect())
    }
}

fn digests(state: &State) -> [crate::ids::Digest; 3] {
    [state.state(), state.held(), state.control()]
}

/// A change that changes nothing but the quota, a little more for a larger number.
fn quota(charter: &Charter, more: u64) -> CharterChange {
    CharterChange::SetParams(Params { chain_quota: charter.params.chain_quota + more, ..charter.params })
}

fn motion_of(control: &VerifiedControl) -> Motion {
    match control.record() {
        ControlRecord::Motion(motion) => motion.clone(),
        ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => panic!("a motion"),
    }
}

#[test]
fn a_motion_passes_with_two_signatures_of_more_than_two_thirds() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let newcomer = world.alliance.candidate(1, "EST", 1);
    let motion = world.alliance.motion(&founding, 0, vec![CharterChange::Admit(newcomer)]);
    let roster = world.alliance.first_roster(4);
    let votes = world.alliance.pass(&[0, 1, 2], &founding, 0, &motion.id());
    world.publish(votes[..5].to_vec());
    world.publish(vec![motion.clone(), roster.clone()]);
    assert_eq!(world.charter().height, 0, "two seals are too few");
    assert!(world.state.ballots().has_quorum(0, SUPPORT, &motion.id()));
    assert!(world.publish(vec![votes[5].clone()]).charter);
    let charter = world.charter();
    assert_eq!((charter.height, charter.members.len(), charter.quorum()), (1, 5, 4));
    assert_eq!(charter.motion, Some(motion.id()));
    assert_eq!(world.state.roster(&world.id(4)).expect("a member has one").tip(), (1, roster.id()));
    assert_eq!(world.state.charter_versions().len(), 2);
    assert_eq!(digests(&world.fresh(world.alliance.anchor())), digests(&world.state));
    assert!(world.state.motion(&motion.id()).is_some());
}

#[test]
fn a_third_or_fewer_pass_nothing() {
    let mut world = World::new(&[("AAA", 0), ("BBB", 0), ("CCC", 0), ("DDD", 0), ("EEE", 0), ("FFF", 0)]);
    let founding = world.charter();
    let motion = world.motion(vec![quota(&founding, 1)]);
    for round in 0..3 {
        world.publish(world.alliance.pass(&[0, 1], &founding, round, &motion));
    }
    assert_eq!((world.charter(), world.state.charter_conflict()), (founding, None));
}

#[test]
fn a_block_of_a_third_stops_the_charter_and_nothing_else() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let motion = world.motion(vec![quota(&founding, 1)]);
    world.publish(world.alliance.pass(&[0, 1], &founding, 0, &motion));
    assert_eq!(world.charter(), founding);
    let said = world.alliance.node(0, 0).write(&world.state, vec![crate::testing::draft("pledge", 1, "tents")]);
    let said = said.expect("writes");
    let changes = world.state.admit(said.elements().into());
    assert_eq!((changes.accepted.len(), changes.valid.len()), (1, 1), "statements go on");
}

#[test]
fn an_innocent_split_is_followed_by_a_round_that_passes() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let [one, other] = [1, 2].map(|more| world.motion(vec![quota(&founding, more)]));
    assert_eq!(world.state.ballots().suggested_round(), 0);
    world.vote(&[0], &founding, 0, SUPPORT, &one);
    assert_eq!(world.state.ballots().suggested_round(), 0, "three may still support one of them");
    world.vote(&[1], &founding, 0, SUPPORT, &one);
    world.vote(&[2, 3], &founding, 0, SUPPORT, &other);
    assert_eq!((world.state.ballots().round_max(), world.state.ballots().suggested_round()), (1, 1));
    world.vote(&[0, 1, 2], &founding, 1, SUPPORT, &other);
    world.vote(&[0, 1, 2], &founding, 1, SEAL, &other);
    assert_eq!(world.charter().motion, Some(other));
    assert_eq!(digests(&world.fresh(world.alliance.anchor())), digests(&world.state));
}

#[test]
fn two_motions_sealed_for_one_version_freeze_the_charter_and_name_who_sealed_both() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let motions = [1, 2].map(|more| world.motion(vec![quota(&founding, more)]));
    world.publish(world.alliance.pass(&[0, 1, 2], &founding, 0, &motions[0]));
    let second = world.charter();
    assert_eq!(second.height, 1);
    // Votes on the version that is then no longer in force are dropped with it.
    let above = world.motion(vec![quota(&second, 1)]);
    world.vote(&[0], &second, 0, SUPPORT, &above);
    world.publish(world.alliance.pass(&[1, 2, 3], &founding, 0, &motions[1]));
    let conflict = world.state.charter_conflict().expect("both are sealed");
    assert_eq!((world.charter(), conflict.height, conflict.base), (founding.clone(), 0, founding.id));
    assert_eq!(BTreeSet::from(conflict.motions), motions.into());
    assert_eq!((&conflict.double_sealers, conflict.accused()), (&world.ids(&[1, 2]), world.ids(&[1, 2])));
    assert!(world.state.motion(&above).is_none());
    let said = world.alliance.node(3, 0).write(&world.state, vec![crate::testing::draft("pledge", 1, "tents")]);
    assert!(world.state.admit(said.expect("writes").elements().into()).accepted.len() == 1, "ordinary work goes on");
    let third = world.motion(vec![quota(&founding, 3)]);
    world.publish(world.alliance.pass(&[0, 1, 2, 3], &founding, 1, &third));
    assert_eq!(world.charter(), founding, "membership is frozen");
}

#[test]
fn sealed_in_different_rounds_both_lists_are_named() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let [one, other] = [1, 2].map(|more| world.motion(vec![quota(&founding, more)]));
    world.publish(world.alliance.pass(&[0, 1, 2], &founding, 0, &one));
    world.vote(&[1, 2, 3], &founding, 2, SEAL, &other);
    let conflict = world.state.charter_conflict().expect("both are sealed");
    assert_eq!((&conflict.sealers, &conflict.double_sealers), (&world.ids(&[0, 1, 2]), &BTreeSet::new()));
    assert_eq!(conflict.supporters, BTreeSet::new(), "the sealers of the later motion owe the support they rest on");
    world.vote(&[1, 2, 3], &founding, 1, SUPPORT, &other);
    let conflict = world.state.charter_conflict().expect("both are sealed");
    assert_eq!((&conflict.supporters, conflict.accused()), (&world.ids(&[1, 2, 3]), world.ids(&[1, 2])));
}

#[test]
fn two_nations_that_remove_each_other_do_not_both_succeed() {
    let mut world = World::new(&[("AAA", 1), ("BBB", 1), ("CCC", 1), ("DDD", 1), ("EEE", 1)]);
    let founding = world.charter();
    let remove = |nation| CharterChange::Remove { nation, cuts: Vec::new(), roster: Tip::NONE };
    let [first, second] = [world.id(0), world.id(1)].map(|nation| world.motion(vec![remove(nation)]));
    world.publish(world.alliance.pass(&[0, 2], &founding, 0, &second));
    world.publish(world.alliance.pass(&[1, 3, 4, 2], &founding, 1, &first));
    assert_eq!(world.charter().motion, Some(first));
    assert!(world.charter().removed.contains_key(&world.id(0)));
    // The other motion names a base that is no longer in force: what is signed for it goes on counting for nothing.
    world.publish(world.alliance.pass(&[0], &founding, 1, &second));
    let late = world.alliance.motion(&founding, 9, vec![remove(world.id(1))]);
    assert!(world.charter().well_formed(&motion_of(&late)).is_err());
    assert!(world.charter().members.contains_key(&world.id(1)));
    assert_eq!(world.state.charter_conflict(), None);
}

#[test]
fn late_votes_change_nothing_until_they_complete_a_second_certificate() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let rival = world.motion(vec![quota(&founding, 2)]);
    world.adopt(&[0, 1, 2], vec![quota(&founding, 1)]);
    let before = (world.charter(), world.state.state());
    world.vote(&[0, 1, 2, 3], &founding, 0, SUPPORT, &rival);
    world.vote(&[2, 3], &founding, 0, SEAL, &rival);
    assert_eq!((world.charter(), world.state.state()), before);
    assert_eq!(world.state.charter_conflict(), None);
    world.vote(&[1], &founding, 0, SEAL, &rival);
    assert_eq!(world.state.charter_conflict().map(|conflict| conflict.height), Some(0));
}

#[test]
fn of_many_votes_for_one_slot_two_are_kept_and_a_certificate_whole() {
    let mut world = World::new(&FOUR);
    let founding = world.charter();
    let motion = world.adopt(&[0, 1, 2], vec![quota(&founding, 1)]);
    let kept = world.state.control_ids().count();
    // One root signs for motions with smaller and larger ids in every round and both steps: 64 × 2 × 40 votes.
    let mut fakes: Vec<ControlId> = (0..20).map(|byte| ControlId::new([byte; 32])).collect();
    fakes.extend((0..20).map(|byte| ControlId::new([255 - byte; 32])));
    for round in [0, 1, 63] {
        for (step, fake) in fakes.iter().flat_map(|fake| [(SUPPORT, fake), (SEAL, fake)]) {
            world.vote(&[0], &founding, round, step, fake);
        }
    }
    assert_eq!(world.state.control_ids().count(), kept + 3 * 2 * 2);
    assert_eq!(world.charter().motion, Some(motion), "no smaller motion id drops a seal that adopted a version");
    assert!(world.state.control_held() > kept + 200);
    let before = digests(&world.state);
    world.state.forget_unkept_control();
    assert_eq!((world.state.control_held(), digests(&world.state)), (kept + 12, before));
    assert_eq!(digests(&world.fresh(world.alliance.anchor())), before, "the same two everywhere");
    let records = world.state.control_records().into_iter().map(|control| Element::Control((**control).clone()));
    assert_eq!(digests(&evaluate(world.alliance.anchor(), records.collect())), before, "from what is kept alone");
    let named: BTreeSet<ControlId> = world.state.ballots().motions();
    assert!(named.is_empty(), "they are on a version that was passed");
}

#[test]
fn more_than_two_thirds_remove_a_nation_that_keeps_what_it_said() {
    let mut world = World::new(&FOUR);
    let said: Vec<_> = (0..3)
        .map(|number| {
            let said =
                world.alliance.node(3, 0).write(&world.state, vec![crate::testing::draft("pledge", number, "t")]);
            let said = said.expect("writes");
            world.state.admit(said.elements().into());
            said
        })
        .collect();
    let author = world.alliance.nations[3].nodes[0].author;
    let roster = world.alliance.nations[3].rosters[0].id();
    let cuts = vec![(author.key, said[1].header.tip())];
    let roster = Tip { seq: 1, id: crate::ids::EnvelopeId::new(*roster.as_bytes()) };
    world.adopt(&[0, 1, 2], vec![CharterChange::Remove { nation: author.nation, cuts, roster }]);
    let standing = |state: &State, i: usize| state.envelope(&said[i].id()).expect("held").standing;
    assert_eq!([0, 1, 2].map(|i| standing(&world.state, i)), [Accepted, Accepted, PostRemoval]);
    assert!(matches!(world.state.standing(&author.key), crate::evaluate::Standing::Retired { .. }));
    assert_eq!(world.state.section(&author.nation).counts().valid, 2);
    // Nothing can be put in its mouth: what it signs afterwards is evidence, what others sign under its name is not held.
    let after = world.alliance.node(3, 0).envelope(99, vec![1]);
    world.state.admit(after.elements().into());
    assert_eq!(world.state.envelope(&after.id()).expect("evidence").standing, PostRemoval);
    // It comes back as another nation, and its old keys stay dead.
    let again = world.alliance.candidate(2, "DEU2", 1);
    let admitted = world.adopt(&[0, 1, 2], vec![CharterChange::Admit(again)]);
    assert_eq!(world.charter().motion, Some(admitted));
    assert_ne!(world.id(4), author.nation);
    assert!(world.charter().removed.contains_key(&author.nation));
    assert_eq!(standing(&world.state, 2), PostRemoval);
}
