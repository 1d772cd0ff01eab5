//! Two versions one after the other: a fifth nation is admitted, then one of the five is removed, while votes on the first
//! version go on arriving from those that have not heard of the second. Over the real walk.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use comity_protocol::charter::signer::{Refuse, SignerLog};
use comity_protocol::charter::{Anchor, Ballots, Charter, Course, Records, walk};
use comity_protocol::control::{CharterChange, ControlRecord, Genesis, Params, VerifiedControl, Vote, VoteStep};
use comity_protocol::ids::{CharterId, ControlId, Tip};
use comity_protocol::testing::TestAlliance;

/// Three founding nations, and the one that is admitted; the fourth founder lies.
type State = [u32; 4];

const NEWCOMER: usize = 3;
const LIAR: usize = 3;
/// First bit of the votes on the second version.
const SECOND: usize = 8;
const ADOPTED: u32 = 1 << 20;

struct World {
    genesis: VerifiedControl,
    anchor: Anchor,
    rounds: usize,
    first: Charter,
    second: Charter,
    motions: BTreeMap<ControlId, Arc<VerifiedControl>>,
    /// By honest nation, then by bit.
    votes: Vec<BTreeMap<usize, Arc<VerifiedControl>>>,
    lies: Vec<Arc<VerifiedControl>>,
}

type Votes = BTreeMap<(u32, CharterId), BTreeMap<ControlId, Arc<VerifiedControl>>>;

fn vote_of(control: &VerifiedControl) -> &Vote {
    match control.record() {
        ControlRecord::Vote(vote, _) => vote,
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => unreachable!("a vote"),
    }
}

fn slot(bit: usize) -> (u16, VoteStep) {
    let step = if bit % 4 < 2 { VoteStep::Support } else { VoteStep::Seal };
    (u16::try_from(bit / 4).expect("a few rounds"), step)
}

impl World {
    fn new(rounds: usize) -> Self {
        let mut alliance = TestAlliance::new(1, &[("AAA", 0), ("BBB", 0), ("CCC", 0), ("DDD", 0)]);
        let first = alliance.state().charter().expect("founded").clone();
        let more = |charter: &Charter| {
            let params = Params { chain_quota: charter.params.chain_quota + 1, ..charter.params };
            vec![CharterChange::SetParams(params)]
        };
        let newcomer = alliance.candidate(1, "EEE", 0);
        let admit = alliance.motion(&first, 0, vec![CharterChange::Admit(newcomer)]);
        let instead = alliance.motion(&first, 1, more(&first));
        let second = adopted(&first, &admit);
        let nation = alliance.nations[LIAR].id;
        let gone = vec![CharterChange::Remove { nation, cuts: Vec::new(), roster: Tip::NONE }];
        let remove = alliance.motion(&second, 0, gone);
        let other = alliance.motion(&second, 1, more(&second));
        let on = |nation: usize| {
            let firsts = (0..rounds * 4).filter(move |_| nation <= LIAR).map(|bit| {
                (bit, Arc::new(alliance.vote(nation, &first, slot(bit), &[admit.id(), instead.id()][bit % 2])))
            });
            let seconds = (0..4).map(|bit| {
                (SECOND + bit, Arc::new(alliance.vote(nation, &second, slot(bit), &[remove.id(), other.id()][bit % 2])))
            });
            firsts.chain(seconds).collect::<BTreeMap<_, _>>()
        };
        let votes = [0, 1, 2, 4].map(on).into();
        let lies = on(LIAR).into_values().collect();
        let motions = [admit, instead, remove, other].map(|motion| (motion.id(), Arc::new(motion))).into();
        let (genesis, anchor) = (alliance.genesis.clone(), alliance.anchor());
        Self { genesis, anchor, rounds, first, second, motions, votes, lies }
    }

    fn genesis(&self) -> &Genesis {
        match self.genesis.record() {
            ControlRecord::Genesis(signed) => &signed.genesis,
            ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => unreachable!("a genesis"),
        }
    }

    fn held(&self, state: &State) -> Votes {
        let own = state.iter().zip(&self.votes).flat_map(|(signed, votes)| {
            votes.iter().filter(move |(bit, _)| signed >> **bit & 1 == 1).map(|(_, vote)| vote)
        });
        let mut held = Votes::new();
        for vote in own.chain(&self.lies) {
            let base = (vote_of(vote).height, vote_of(vote).base);
            held.entry(base).or_default().insert(vote.id(), Arc::clone(vote));
        }
        held
    }

    fn walk(&self, held: &Votes) -> Course {
        walk(&self.anchor, Records { genesis: self.genesis(), votes: held, motions: &self.motions }, &[])
    }

    fn ballots(&self, charter: &Charter, held: &Votes) -> Ballots {
        let mut ballots = Ballots::new(charter);
        for (id, vote) in held.get(&(charter.height, charter.id)).into_iter().flatten() {
            ballots.take(charter, *id, vote_of(vote));
        }
        ballots
    }

    fn next(&self, state: &State, held: &Votes, moved: bool) -> Vec<State> {
        let on = [&self.first, &self.second].map(|charter| (charter, self.ballots(charter, held)));
        let mut next = Vec::new();
        for nation in 0..state.len() {
            let signed = state[nation];
            let adopted = signed & ADOPTED != 0;
            if !adopted && moved {
                next.push(with(state, nation, signed | ADOPTED));
            }
            if !adopted && nation == NEWCOMER {
                continue;
            }
            let (charter, ballots) = &on[usize::from(adopted)];
            let mut log = SignerLog::complete_from(0);
            for (_, vote) in self.votes[nation].iter().filter(|(bit, _)| signed >> **bit & 1 == 1) {
                log.record(vote_of(vote).clone());
            }
            for (bit, vote) in &self.votes[nation] {
                let allowed = log.may_sign(charter, ballots, vote_of(vote), true, true);
                if adopted && *bit < SECOND {
                    assert_eq!(allowed, Err(Refuse::Passed { passed: 0, height: 1 }), "V5");
                }
                if allowed.is_ok() {
                    next.push(with(state, nation, signed | 1 << bit));
                }
            }
        }
        next
    }
}

fn adopted(base: &Charter, motion: &VerifiedControl) -> Charter {
    match motion.record() {
        ControlRecord::Motion(record) => base.apply(&motion.id(), record).expect("well-formed"),
        ControlRecord::Genesis(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => unreachable!("a motion"),
    }
}

/// The versions that a walk without a conflict found.
fn path(course: &Course) -> [Option<CharterId>; 3] {
    assert_eq!(course.conflict, None);
    std::array::from_fn(|height| course.versions.get(height).map(|charter| charter.id))
}

fn with(state: &State, nation: usize, signed: u32) -> State {
    let mut next = *state;
    next[nation] = signed;
    next[..NEWCOMER].sort_unstable();
    next
}

#[test]
fn two_versions_in_a_row_are_each_made_by_one_motion_whatever_arrives_late() {
    let world = World::new(if super::nightly() { 2 } else { 1 });
    let start = State::default();
    let mut courses = HashMap::from([(start, path(&world.walk(&world.held(&start))))]);
    let mut queue = VecDeque::from([start]);
    let (mut highest, mut late) = (0, 0);
    while let Some(state) = queue.pop_front() {
        let held = world.held(&state);
        let before = courses[&state];
        highest = highest.max(before.iter().flatten().count());
        for next in world.next(&state, &held, before[1] == Some(world.second.id)) {
            let after = *courses.entry(next).or_insert_with(|| {
                queue.push_back(next);
                path(&world.walk(&world.held(&next)))
            });
            let goes_on = before.iter().zip(&after).all(|(before, after)| before.is_none() || before == after);
            assert!(goes_on, "{state:x?} → {next:x?}: the charter went back");
            let old = |state: &State| state.iter().map(|signed| (signed & 0xff).count_ones()).sum::<u32>();
            late += usize::from(before[1].is_some() && old(&next) > old(&state));
        }
    }
    println!(
        "{} rounds on the first version: {} states, {late} votes after it was decided",
        world.rounds,
        courses.len()
    );
    assert_eq!(highest, 3, "the second motion passes in some of them");
    assert!(late > 0);
}
