//! Random histories: the state is a function of the set, whatever the order, repetition and batching (invariant I1).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{Changes, Element, State, evaluate};
use crate::chain::{Chain, Head};
use crate::ids::{AuthorId, ControlId, Digest, EnvelopeId, NationId, Tip};
use crate::roster::NationRoster;
use crate::section::{Counts, Verdict};
use crate::table::Table;
use crate::witness::Acknowledgements;

mod oracle;
mod world;

pub(super) use world::Dice;
use world::World;

/// Everything a reader can see, in one value that compares.
#[derive(Debug, PartialEq)]
struct Seen {
    digests: [Digest; 4],
    control: Vec<ControlId>,
    rosters: Vec<(NationId, NationRoster)>,
    chains: Vec<SeenChain>,
    documents: Vec<(NationId, Table, Counts)>,
    acknowledgements: Acknowledgements,
}

#[derive(Debug, PartialEq)]
struct SeenChain {
    author: AuthorId,
    fork: Option<u64>,
    tip: Tip,
    incomplete: Option<Tip>,
    bodies_to: u64,
    heads: Vec<Head>,
    envelopes: BTreeMap<EnvelopeId, SeenEnvelope>,
    fin: Tip,
}

#[derive(Debug, PartialEq)]
struct SeenEnvelope {
    seq: u64,
    cum: u64,
    standing: &'static str,
    verdict: Option<Verdict>,
    kept: bool,
    signed: bool,
    body: bool,
}

fn see(state: &State) -> Seen {
    Seen {
        digests: [state.frontier(), state.held(), state.control(), state.state()],
        control: state.control_ids().copied().collect(),
        rosters: state.nations().filter_map(|n| Some((n.id, state.roster(&n.id)?.clone()))).collect(),
        chains: state.chains().map(|chain| see_chain(state, chain)).collect(),
        documents: state
            .nations()
            .map(|nation| {
                let section = state.section(&nation.id);
                (nation.id, section.table().clone(), section.counts())
            })
            .collect(),
        acknowledgements: state.acknowledgements().clone(),
    }
}

fn see_chain(state: &State, chain: &Chain) -> SeenChain {
    let envelopes = chain.iter().map(|held| {
        let view = state.view_of(chain, held);
        let seen = SeenEnvelope {
            seq: held.seq(),
            cum: held.cum(),
            standing: view.standing.code(),
            verdict: view.verdict,
            kept: chain.keeps(held),
            signed: held.signature().is_some(),
            body: held.body().is_some(),
        };
        (held.id(), seen)
    });
    SeenChain {
        author: chain.author(),
        fork: chain.fork(),
        tip: chain.tip(),
        incomplete: chain.incomplete(),
        bodies_to: chain.bodies_to(),
        heads: chain.heads().to_vec(),
        envelopes: envelopes.collect(),
        fin: state.final_tip(&chain.author()),
    }
}

/// What a follower that sees only the changes would know.
#[derive(Debug, Default, PartialEq)]
struct Follower {
    headers: BTreeSet<EnvelopeId>,
    bodies: BTreeSet<EnvelopeId>,
    control: BTreeSet<ControlId>,
    accepted: BTreeSet<(AuthorId, EnvelopeId)>,
    valid: BTreeSet<(AuthorId, EnvelopeId)>,
    forks: BTreeMap<AuthorId, u64>,
    /// Nations whose document it has to read anew.
    stale: BTreeSet<NationId>,
}

impl Follower {
    fn follow(&mut self, changes: &Changes) {
        self.headers.extend(&changes.headers);
        self.bodies.extend(&changes.bodies);
        changes.control_dropped.iter().for_each(|id| assert!(self.control.remove(id)));
        changes.control_kept.iter().for_each(|id| assert!(self.control.insert(*id)));
        changes.dropped.iter().for_each(|dropped| assert!(self.accepted.remove(dropped)));
        changes.accepted.iter().for_each(|placed| assert!(self.accepted.insert((placed.author, placed.tip.id))));
        self.stale.extend(&changes.rebuilt);
        for valid in changes.valid.iter().filter(|(author, _)| !self.stale.contains(&author.nation)) {
            assert!(self.valid.insert(*valid));
        }
        self.forks.extend(changes.forked.iter().copied());
    }

    fn read_anew(&mut self, state: &State) {
        let stale = std::mem::take(&mut self.stale);
        self.valid.retain(|(author, _)| !stale.contains(&author.nation));
        self.valid.extend(Self::of(state).valid.into_iter().filter(|(author, _)| stale.contains(&author.nation)));
    }

    fn of(state: &State) -> Self {
        let mut expected = Self::default();
        expected.control.extend(state.control_ids().copied());
        for chain in state.chains() {
            expected.forks.extend(chain.fork().map(|seq| (chain.author(), seq)));
            for held in chain.iter() {
                let view = state.view_of(chain, held);
                expected.headers.insert(held.id());
                expected.bodies.extend(held.body().map(|_| held.id()));
                expected.accepted.extend(view.verdict.map(|_| (chain.author(), held.id())));
                let valid = view.verdict == Some(Verdict::Valid);
                expected.valid.extend(valid.then(|| (chain.author(), held.id())));
            }
        }
        expected
    }
}

fn in_batches(world: &World, dice: &mut Dice, mut check: impl FnMut(&State, &[Element])) -> (State, Follower) {
    let mut elements = world.elements.clone();
    for _ in 0..elements.len() / 4 {
        let again = elements[dice.below(elements.len())].clone();
        elements.push(again);
    }
    dice.shuffle(&mut elements);
    let mut state = State::new(world.anchor);
    let mut follower = Follower::default();
    let mut done = 0;
    while done < elements.len() {
        let most = if dice.chance(50) { 4 } else { 40 };
        let batch = 1 + dice.below(most);
        let to = (done + batch).min(elements.len());
        follower.follow(&state.admit(elements[done..to].to_vec()));
        if dice.chance(30) {
            follower.read_anew(&state);
        }
        done = to;
        check(&state, &elements[..done]);
    }
    follower.read_anew(&state);
    (state, follower)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_order_repetition_and_batching_gives_the_state_of_the_set(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let whole = evaluate(world.anchor, world.elements.clone());
        let seen = see(&whole);
        oracle::check(&whole, &world);
        for _ in 0..3 {
            let (state, follower) = in_batches(&world, &mut dice, |_, _| {});
            prop_assert_eq!(&see(&state), &seen);
            prop_assert_eq!(follower, Follower::of(&state));
        }
    }

    #[test]
    fn every_batch_on_the_way_gives_the_state_of_the_set_so_far(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random_small(&mut dice);
        let mut turn = 0;
        in_batches(&world, &mut dice, |state, so_far| {
            turn += 1;
            if turn % 3 == 0 {
                assert_eq!(see(state), see(&evaluate(world.anchor, so_far.to_vec())));
            }
        });
    }

    #[test]
    fn what_is_not_kept_changes_nothing_when_it_is_forgotten(seed: u64) {
        let mut dice = Dice::new(seed);
        let world = World::random(&mut dice);
        let mut state = evaluate(world.anchor, world.elements.clone());
        let before = see(&state);
        state.forget_unkept_control();
        let authors: Vec<AuthorId> = state.chains().map(Chain::author).collect();
        let forgotten: BTreeSet<EnvelopeId> =
            authors.iter().flat_map(|author| state.forget_unkept_headers(author)).collect();
        let after = see(&state);
        prop_assert_eq!(before.digests, after.digests);
        prop_assert_eq!(&before.documents, &after.documents);
        for (mut before, after) in before.chains.into_iter().zip(after.chains) {
            before.envelopes.retain(|id, envelope| {
                assert_eq!(forgotten.contains(id), !envelope.kept, "exactly what was not kept is gone");
                envelope.kept
            });
            prop_assert_eq!(before, after);
        }
    }
}

#[test]
fn the_histories_reach_what_they_are_for() {
    let mut reached: BTreeSet<&'static str> = BTreeSet::new();
    for seed in 0..120 {
        let world = World::random(&mut Dice::new(seed));
        let state = evaluate(world.anchor, world.elements.clone());
        for chain in state.chains() {
            reached.extend(chain.fork().map(|_| "fork"));
            reached.extend(chain.incomplete().map(|_| "incomplete"));
            reached.extend((chain.heads().len() > 1).then_some("branches"));
            let fin = state.final_tip(&chain.author());
            reached.extend((fin != Tip::NONE).then_some("final"));
            reached.extend(chain.fork().filter(|fork| fin.seq >= *fork).map(|_| "final above the freeze point"));
            for held in chain.iter() {
                let view = state.view_of(chain, held);
                reached.insert(view.standing.code());
                reached.extend(view.verdict.map(Verdict::code));
                reached.extend(view.verdict.and_then(Verdict::reason));
            }
        }
        for nation in state.nations() {
            let roster = state.roster(&nation.id).expect("evaluated");
            reached.extend(roster.fork.map(|_| "roster fork"));
            let conflicts = |record: &crate::table::Record| record.surviving().count() > 1;
            let table = state.section(&nation.id).table();
            reached.extend(table.records().any(|(_, record)| conflicts(record)).then_some("concurrent versions"));
        }
    }
    for wanted in [
        "fork",
        "incomplete",
        "branches",
        "final",
        "final above the freeze point",
        "accepted",
        "suspended",
        "disavowed",
        "unlinked",
        "valid",
        "waiting",
        "void",
        "sealed",
        "not_a_change",
        "unknown_kind",
        "body_missing",
        "earlier_body_missing",
        "dep_missing",
        "dep_waiting",
        "dep_void",
        "malformed",
        "seq_not_consecutive",
        "roster fork",
        "concurrent versions",
    ] {
        assert!(reached.contains(wanted), "no history reaches {wanted}: {reached:?}");
    }
}
