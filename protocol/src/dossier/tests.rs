//! Dossiers and re-statements of small histories.

use super::*;
use crate::control::{KeyStatus, VerifiedControl};
use crate::evaluate::{Element, Placed, State};
use crate::section::Verdict;
use crate::testing::{TestAlliance, TestEnvelope, draft, revision};

/// Two nations; the first has two nodes, and the first node of it says two things at 3.
struct Story {
    alliance: TestAlliance,
    state: State,
    /// What the second node of the nation said on top of the branch it had seen.
    sibling: TestEnvelope,
    left: TestEnvelope,
    right: TestEnvelope,
}

fn story(seed: u64) -> Story {
    let mut alliance = TestAlliance::new(seed, &[("UKR", 2), ("POL", 1)]);
    let mut state = alliance.state();
    for i in 0..2 {
        let envelope = alliance.node(0, 0).write(&state, vec![draft("pledge", i, "common")]).expect("writes");
        state.admit(envelope.elements().into());
    }
    let mut clone = alliance.node(0, 0).clone();
    let before = state.clone();
    let left = alliance.node(0, 0).write(&state, vec![draft("pledge", 10, "left")]).expect("writes");
    state.admit(left.elements().into());
    let sibling = alliance.node(0, 1).write(&state, vec![draft("pledge", 20, "sibling")]).expect("writes");
    state.admit(sibling.elements().into());
    let right = clone.write(&before, vec![draft("pledge", 30, "right")]).expect("writes");
    state.admit(right.elements().into());
    Story { alliance, state, sibling, left, right }
}

fn fork(story: &Story) -> Dossier {
    Dossier::of(&story.state, &story.alliance.nations[0].nodes[0].author).expect("a fork")
}

#[test]
fn a_dossier_says_what_stands_what_is_suspended_and_what_to_sign() {
    let story = story(1);
    let dossier = fork(&story);
    assert_eq!(dossier.seq, 3);
    let mut ids = [story.left.id(), story.right.id()];
    ids.sort_unstable();
    assert_eq!(dossier.said.map(|said| said.tip.id), ids);
    assert!(dossier.said.iter().all(|said| said.standing == EnvelopeStanding::Suspended));
    assert_eq!((dossier.last_common.seq, dossier.stands, dossier.cut), (2, dossier.last_common, dossier.last_common));
    assert_eq!((dossier.suspended, dossier.suspended_listed.len(), dossier.held), (2, 2, 2));
    let waiting = Placed { author: story.alliance.nations[0].nodes[1].author, tip: story.sibling.header.tip() };
    assert_eq!(dossier.dependents, [Dependent { placed: waiting, waits: true }]);
    let roster = dossier.roster_draft(&story.state, Timestamp(0)).expect("a draft");
    let before = story.state.roster(&dossier.author.nation).and_then(|r| r.record()).expect("a roster");
    assert_eq!((roster.version, roster.prev), (2, before.id()));
    for (new, old) in roster.keys.iter().zip(&before.keys) {
        let retired = new.node == dossier.author.key;
        assert_eq!(new.status, if retired { KeyStatus::Retired { cut: dossier.cut } } else { old.status });
        assert_eq!((new.node, new.witness, &new.label), (old.node, old.witness, &old.label));
    }
}

#[test]
fn the_drafted_roster_counts_once_the_root_signed_it() {
    let mut story = story(2);
    let dossier = fork(&story);
    let roster = dossier.roster_draft(&story.state, Timestamp(7)).expect("a draft");
    let signed: VerifiedControl = roster.sign(&story.alliance.nations[0].root).verify().expect("signed");
    let others: Vec<_> =
        story.state.chains().filter(|chain| chain.author() != dossier.author).map(Chain::tip).collect();
    story.state.admit(vec![Element::Control(signed.clone())]);
    let after = fork(&story);
    assert_eq!(after.status, AuthorStatus::Retired { cut: dossier.cut });
    assert_eq!(after.stands, dossier.stands);
    assert!(after.said.iter().all(|said| said.standing == EnvelopeStanding::Disavowed), "kept, and readable");
    let chain = story.state.chain(&dossier.author).expect("held");
    let left = chain.get(&story.left.id()).expect("never erased");
    assert_eq!(said_by(&dossier.author.key, left)[0].kind, "pledge");
    assert_eq!(retired_in(&story.state, &dossier.author), Some((2, signed.id())));
    assert_eq!(after.roster_draft(&story.state, Timestamp(7)), Err(NoDraft::Retired(dossier.cut)));
    let unmoved: Vec<_> =
        story.state.chains().filter(|chain| chain.author() != dossier.author).map(Chain::tip).collect();
    assert_eq!(others, unmoved);
}

#[test]
fn a_cut_below_what_stands_names_the_changes_it_would_make_wait() {
    let story = story(3);
    let author = story.alliance.nations[0].nodes[0].author;
    let chain = story.state.chain(&author).expect("held");
    let first = chain.accepted(1).expect("held").tip();
    // The sibling builds on all of the branch it saw, the second common statement included; it waits already.
    assert_eq!(dependents(&story.state, &author, first).len(), 1);
    let mut alliance = TestAlliance::new(3, &[("UKR", 2)]);
    let mut state = alliance.state();
    let own = alliance.node(0, 0).write(&state, vec![draft("pledge", 1, "x")]).expect("writes");
    state.admit(own.elements().into());
    for i in 2..4 {
        let sibling = alliance.node(0, 1).write(&state, vec![draft("pledge", i, "y")]).expect("writes");
        state.admit(sibling.elements().into());
    }
    let author = alliance.nations[0].nodes[0].author;
    let found = dependents(&state, &author, Tip::NONE);
    assert_eq!(
        found.iter().map(|found| (found.placed.tip.seq, found.waits)).collect::<Vec<_>>(),
        [(1, false), (2, false)]
    );
    assert!(dependents(&state, &author, own.header.tip()).is_empty());
}

#[test]
fn a_proof_is_checked_with_nothing_else_and_every_flipped_bit_of_it_is_noticed() {
    let story = story(4);
    let dossier = fork(&story);
    let bytes = dossier.proof.encode();
    let proof = ForkProof::decode(&bytes).expect("its own bytes");
    assert_eq!(proof, dossier.proof);
    let proven = proof.verify().expect("a proof");
    assert_eq!(proven.said.map(|(tip, _)| tip), dossier.said.map(|said| said.tip));
    let enrolment = proven.enrolment.expect("the roster that enrolled it");
    assert!(enrolment.names_nation && enrolment.version == 1);
    let without_roster = ForkProof { roster: None, ..proof };
    let bytes = without_roster.encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = ForkProof::decode(&flipped).and_then(|proof| proof.verify());
        assert!(outcome.is_err(), "bit {bit}: {outcome:?}");
    }
    for cut in 0..bytes.len() {
        assert!(ForkProof::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut swapped = without_roster.clone();
    swapped.branches.reverse();
    assert_eq!(swapped.verify(), Err(ForkProofError::NotTwo));
    let mut twice = without_roster;
    twice.branches[1] = twice.branches[0].clone();
    assert_eq!(twice.verify(), Err(ForkProofError::NotTwo));
}

#[test]
fn a_proof_reaches_up_to_the_next_signature_of_each_branch() {
    let mut alliance = TestAlliance::new(5, &[("UKR", 1)]);
    let mut state = alliance.state();
    let mut clone = alliance.node(0, 0).clone();
    for (node, length) in [(alliance.node(0, 0), 40_u8), (&mut clone, 3)] {
        for i in 0..length {
            let envelope = node.envelope(900, vec![length, i]);
            let signed = i + 1 == length;
            let header = if signed { Element::Header(envelope.header.clone()) } else { envelope.bare_header() };
            state.admit(vec![header, envelope.body_element()]);
        }
    }
    let proof = ForkProof::of(&state, &alliance.nations[0].nodes[0].author).expect("a fork");
    let mut lengths = proof.branches.clone().map(|branch| branch.steps.len());
    lengths.sort_unstable();
    assert_eq!((proof.seq, lengths), (1, [3, 40]));
    let verified = ForkProof::decode(&proof.encode()).expect("decodes").verify().expect("holds");
    assert_eq!(verified.said.map(|(tip, _)| tip.seq), [1, 1]);
    let mut spoiled = proof;
    spoiled.branches[0].steps[1].time_ms += 1;
    assert!(matches!(spoiled.verify(), Err(ForkProofError::Signature { branch: 1, .. })));
}

#[test]
fn a_proof_with_the_roster_of_another_key_is_refused() {
    let story = story(6);
    let mut proof = fork(&story).proof;
    proof.roster = Some(story.alliance.nations[1].rosters[0].record().encode());
    assert_eq!(proof.verify(), Err(ForkProofError::OtherRoster));
    proof.roster = Some(vec![0; 9]);
    assert!(matches!(proof.verify(), Err(ForkProofError::Decode(_))));
}

#[test]
fn what_waits_for_a_cut_change_is_said_anew_once_and_reads_as_before() {
    let mut story = story(7);
    let nation = story.alliance.nations[0].id;
    let dossier = fork(&story);
    let before = restatements(&story.state, &nation, &[]);
    assert!(before.writes.is_empty());
    assert_eq!(before.kept.iter().map(|kept| kept.why).collect::<Vec<_>>(), [Unsaid::Suspended]);
    let signed =
        dossier.roster_draft(&story.state, Timestamp(7)).expect("a draft").sign(&story.alliance.nations[0].root);
    story.state.admit(vec![Element::Control(signed.verify().expect("signed"))]);
    let plan = restatements(&story.state, &nation, &[]);
    assert_eq!(plan.writes.len(), 1);
    assert_eq!(plan.writes[0].envelope.tip, story.sibling.header.tip());
    let node = story.alliance.node(0, 1);
    let restated = node.write(&story.state, plan.writes[0].writes.clone()).expect("writes under a new generation");
    story.state.admit(restated.elements().into());
    let chain = story.state.chain(&story.alliance.nations[0].nodes[1].author).expect("held");
    assert_eq!(story.state.view_of(chain, chain.accepted(2).expect("held")).verdict, Some(Verdict::Valid));
    assert_eq!(carried_generation(&story.state, &restated), 1, "its own first generation waits");
    let record =
        story.state.section(&nation).table().record("pledge", &crate::value::record_id_from(20)).expect("said");
    assert_eq!(record.winner().expect("one").source.envelope, restated.id());
    let again = restatements(&story.state, &nation, &[]);
    assert!(again.writes.is_empty(), "{again:?}");
    assert_eq!(again.kept.iter().map(|kept| kept.why).collect::<Vec<_>>(), [Unsaid::Restated]);
}

fn carried_generation(state: &State, envelope: &TestEnvelope) -> u32 {
    let author = envelope.header.header().author_id();
    let held = state.chain(&author).and_then(|chain| chain.get(&envelope.id())).expect("held");
    crate::section::carried(&author.key, held).expect("a change").0.actor.generation()
}

#[test]
fn a_disavowed_statement_is_said_anew_only_where_it_is_named() {
    let mut story = story(8);
    let nation = story.alliance.nations[0].id;
    let signed =
        fork(&story).roster_draft(&story.state, Timestamp(7)).expect("a draft").sign(&story.alliance.nations[0].root);
    story.state.admit(vec![Element::Control(signed.verify().expect("signed"))]);
    let named = |ids: &[EnvelopeId]| {
        let plan = restatements(&story.state, &nation, ids);
        plan.writes.iter().map(|write| write.envelope.tip.id).collect::<Vec<_>>()
    };
    assert_eq!(named(&[]), [story.sibling.id()]);
    assert_eq!(named(&[story.left.id()]), [story.left.id(), story.sibling.id()]);
    assert_eq!(named(&[story.right.id()]).len(), 2);
}

#[test]
fn a_revision_of_what_was_cut_replaces_what_stands_below_it() {
    let mut alliance = TestAlliance::new(9, &[("UKR", 2)]);
    let nation = alliance.nations[0].id;
    let mut state = alliance.state();
    let replaced = |state: &State| state.section(&nation).replaces("pledge", &crate::value::record_id_from(1));
    let first = alliance.node(0, 0).write(&state, vec![draft("pledge", 1, "first")]).expect("writes");
    state.admit(first.elements().into());
    // Revised by the key that is stolen, then twice by the sibling.
    let second =
        alliance.node(0, 0).write(&state, vec![revision("pledge", 1, replaced(&state), "second")]).expect("writes");
    state.admit(second.elements().into());
    for note in ["third", "fourth"] {
        let next =
            alliance.node(0, 1).write(&state, vec![revision("pledge", 1, replaced(&state), note)]).expect("writes");
        state.admit(next.elements().into());
    }
    let roster = alliance.retire(0, 0, first.header.tip());
    state.admit(vec![Element::Control(roster)]);
    let plan = restatements(&state, &nation, &[]);
    assert_eq!(plan.writes.len(), 1, "of two versions the last is enough");
    assert_eq!(plan.kept.iter().map(|kept| kept.why).collect::<Vec<_>>(), [Unsaid::Revised]);
    assert_eq!(plan.writes[0].writes[0].replaces, replaced(&state), "the first version, which stands");
    let restated = alliance.node(0, 1).write(&state, plan.writes[0].writes.clone()).expect("writes");
    state.admit(restated.elements().into());
    let record = state.section(&nation).table().record("pledge", &crate::value::record_id_from(1)).expect("said");
    assert_eq!(record.surviving().count(), 1);
    assert_eq!(record.winner().expect("one").source.envelope, restated.id());
    assert!(restatements(&state, &nation, &[]).writes.is_empty());
}

#[test]
fn what_the_nation_said_since_is_not_overwritten() {
    let mut alliance = TestAlliance::new(10, &[("UKR", 2)]);
    let nation = alliance.nations[0].id;
    let mut state = alliance.state();
    let cut = alliance.node(0, 0).write(&state, vec![draft("pledge", 9, "cut")]).expect("writes");
    state.admit(cut.elements().into());
    let waits = alliance.node(0, 1).write(&state, vec![draft("pledge", 1, "waits")]).expect("writes");
    state.admit(waits.elements().into());
    let roster = alliance.retire(0, 0, Tip::NONE);
    state.admit(vec![Element::Control(roster)]);
    let anew = alliance.node(0, 1).write(&state, vec![draft("pledge", 1, "by hand")]).expect("writes");
    state.admit(anew.elements().into());
    let plan = restatements(&state, &nation, &[]);
    assert!(plan.writes.is_empty());
    assert_eq!(plan.kept.iter().map(|kept| kept.why).collect::<Vec<_>>(), [Unsaid::NewerSaid]);
}

#[test]
fn roster_fork_suspends_later_keys_and_unretires_none() {
    let mut alliance = TestAlliance::new(11, &[("UKR", 2), ("POL", 1)]);
    let mut state = alliance.state();
    for node in 0..2 {
        let envelope =
            alliance.node(0, node).write(&state, vec![draft("pledge", node as u64, "before")]).expect("writes");
        state.admit(envelope.elements().into());
    }
    let first = alliance.nations[0].rosters[0].clone();
    let new = alliance.add_node(0, 99).roster_key(false);
    let old = alliance.nations[0].nodes[1].author;
    let (left, right) = (
        alliance.roster_after(0, Some(&first), |roster| roster.keys.push(new.clone())),
        alliance.roster_after(0, Some(&first), |roster| crate::testing::retire(roster, &old.key, Tip::NONE)),
    );
    state.admit(vec![Element::Control(left)]);
    let later = alliance.node(0, 2).write(&state, vec![draft("pledge", 5, "by the new key")]).expect("writes");
    state.admit(later.elements().into());
    let others = |state: &State| state.chain(&alliance.nations[0].nodes[0].author).expect("held").tip();
    let first_key = others(&state);
    state.admit(vec![Element::Control(right)]);
    let dossier = RosterDossier::of(&state, &alliance.nations[0].id).expect("a fork");
    assert_eq!((dossier.version, dossier.said.len(), dossier.last_common), (2, 2, (1, first.id())));
    assert_eq!((&*dossier.suspended, &*dossier.retired), (&[new.node][..], &[old.key][..]));
    let chain = state.chain(&alliance.nations[0].nodes[2].author).expect("kept");
    assert_eq!(chain.standing(chain.at(1).next().expect("kept")), EnvelopeStanding::Suspended);
    assert_eq!(state.author_status(&old), AuthorStatus::Retired { cut: Tip::NONE }, "a fork un-retires nobody");
    assert_eq!(others(&state), first_key, "older keys go on");
    assert_eq!(roster_forks(&state), [alliance.nations[0].id]);
    let motion = dossier.motion(&state, crate::ids::RootKey::new([7; 32]), 1).expect("a member");
    let floor = Tip { seq: 1, id: EnvelopeId::new(*first.id().as_bytes()) };
    let replace = crate::control::CharterChange::ReplaceRoot {
        nation: alliance.nations[0].id,
        root: crate::ids::RootKey::new([7; 32]),
        roster: floor,
    };
    assert_eq!(motion.changes, [replace]);
    let author = alliance.nations[0].nodes[0].author;
    assert_eq!(retiring(&state, &author, Tip::NONE, Timestamp(0)), Err(NoDraft::RosterFork { version: 2 }));
}

#[test]
fn a_nation_that_lists_another_nations_key_changes_nothing_for_it() {
    let mut alliance = TestAlliance::new(12, &[("UKR", 1), ("POL", 1)]);
    let mut state = alliance.state();
    let envelope = alliance.node(1, 0).write(&state, vec![draft("pledge", 1, "x")]).expect("writes");
    state.admit(envelope.elements().into());
    let (mine, theirs) = (alliance.nations[1].nodes[0].author, alliance.nations[0].id);
    let tip = state.chain(&mine).expect("held").tip();
    let foreign = alliance.nations[1].nodes[0].roster_key(false);
    let roster = alliance.roster(0, |roster| roster.keys.push(foreign.clone()));
    state.admit(vec![Element::Control(roster)]);
    let roster = alliance.roster(0, |roster| crate::testing::retire(roster, &foreign.node, Tip::NONE));
    state.admit(vec![Element::Control(roster)]);
    assert_eq!(state.author_status(&mine), AuthorStatus::Active);
    assert_eq!(state.chain(&mine).expect("held").tip(), tip);
    let claimed = AuthorId { nation: theirs, key: mine.key };
    assert!(state.chain(&claimed).is_none(), "what it said is its own nation's");
}

/// What a record says: the fields of each surviving version.
fn reads(state: &State, nation: &NationId, kind: &str, id: &str) -> Vec<crate::value::Fields> {
    let record = state.section(nation).table().record(kind, id);
    let surviving = record.map(|record| record.surviving().map(|(_, version)| version.fields.clone()).collect());
    surviving.unwrap_or_default()
}

/// Three nodes of one nation write and revise records, each seeing the others' now and then; then one key is cut anywhere.
fn cut_history(seed: u64) -> (TestAlliance, State, State) {
    let mut rng = seed;
    let mut below = move |bound: u64| {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (rng >> 33) % bound
    };
    let mut alliance = TestAlliance::new(seed, &[("UKR", 3), ("POL", 1)]);
    let nation = alliance.nations[0].id;
    let mut states = vec![alliance.state(); 3];
    let mut said: Vec<TestEnvelope> = Vec::new();
    for turn in 0..30 {
        let at = usize::try_from(below(3)).expect("below 3");
        if below(3) == 0 {
            states[at].admit(said.iter().flat_map(TestEnvelope::elements).collect());
        }
        let number = below(6);
        let replaces = states[at].section(&nation).replaces("pledge", &crate::value::record_id_from(number));
        let write = revision("pledge", number, replaces, &format!("turn {turn}"));
        let envelope = alliance.node(0, at).write(&states[at], vec![write]).expect("writes");
        states[at].admit(envelope.elements().into());
        said.push(envelope);
    }
    let mut before = alliance.state();
    let other = alliance.node(1, 0).write(&before, vec![draft("pledge", 1, "another nation's")]).expect("writes");
    before.admit(said.iter().chain([&other]).flat_map(TestEnvelope::elements).collect());
    let author = alliance.nations[0].nodes[0].author;
    let cut = match before.chain(&author) {
        None => Tip::NONE,
        Some(chain) => chain.accepted(below(chain.tip().seq + 1)).map_or(Tip::NONE, Held::tip),
    };
    let roster = alliance.retire(0, 0, cut);
    let mut after = before.clone();
    after.admit(vec![Element::Control(roster)]);
    (alliance, before, after)
}

#[test]
fn what_waits_reads_as_before_the_cut_once_restated_and_nothing_else_is_affected() {
    let mut restated = 0;
    for seed in 0..60 {
        let (mut alliance, before, mut state) = cut_history(seed);
        let (nation, cut_key) = (alliance.nations[0].id, alliance.nations[0].nodes[0].author.key);
        let waits = |state: &State, id: &EnvelopeId| {
            state.envelope(id).is_some_and(|view| matches!(view.verdict, Some(Verdict::Waiting(_))))
        };
        let counted = state.clone();
        for Restatement { writes, .. } in restatements(&state, &nation, &[]).writes {
            let envelope = alliance.node(0, 1).write(&state, writes).expect("a new generation");
            state.admit(envelope.elements().into());
            assert_eq!(
                state.envelope(&envelope.id()).and_then(|view| view.verdict),
                Some(Verdict::Valid),
                "seed {seed}"
            );
            restated += 1;
        }
        for ((kind, id), record) in before.section(&nation).table().records() {
            let (was, is) = (reads(&before, &nation, kind, id), reads(&state, &nation, kind, id));
            let touched = record.versions.values().any(|version| waits(&counted, &version.source.envelope));
            if !touched {
                assert_eq!(is, reads(&counted, &nation, kind, id), "seed {seed}: {kind}/{id}");
            } else if let [(_, only)] = record.surviving().collect::<Vec<_>>()[..]
                && waits(&counted, &only.source.envelope)
            {
                assert_eq!(is, was, "seed {seed}: {kind}/{id}");
            }
        }
        let again = restatements(&state, &nation, &[]);
        assert!(again.writes.is_empty(), "seed {seed}: {again:?}");
        for chain in counted.chains().filter(|chain| chain.author().key != alliance.nations[0].nodes[1].author.key) {
            let now = state.chain(&chain.author()).map(Chain::tip);
            assert_eq!(now, Some(chain.tip()), "seed {seed}");
        }
        let other = alliance.nations[1].id;
        assert_eq!(state.section(&other).table(), before.section(&other).table(), "seed {seed}");
        assert_ne!(alliance.nations[0].nodes[1].author.key, cut_key);
    }
    assert!(restated > 0, "no history left anything waiting");
}

#[test]
fn what_a_removed_nation_signs_afterwards_is_kept_readable_and_counts_for_nothing() {
    let mut alliance = TestAlliance::new(13, &[("UKR", 1), ("POL", 1), ("DEU", 1), ("FRA", 1)]);
    let mut state = alliance.state();
    let kept = alliance.node(0, 0).write(&state, vec![draft("pledge", 1, "before")]).expect("writes");
    state.admit(kept.elements().into());
    let charter = state.charter().expect("founded").clone();
    let author = alliance.nations[0].nodes[0].author;
    let (version, id) = state.roster(&author.nation).expect("a roster").tip();
    let remove = crate::control::CharterChange::Remove {
        nation: author.nation,
        cuts: vec![(author.key, kept.header.tip())],
        roster: Tip { seq: version, id: EnvelopeId::new(*id.as_bytes()) },
    };
    let motion = alliance.motion(&charter, 1, vec![remove]);
    let votes = alliance.pass(&[1, 2, 3], &charter, 0, &motion.id());
    let late = alliance.node(0, 0).write(&state, vec![draft("pledge", 2, "afterwards")]).expect("writes");
    state.admit(std::iter::once(motion).chain(votes).map(Element::Control).collect());
    assert!(state.charter().is_some_and(|charter| charter.removed.contains_key(&author.nation)));
    state.admit(late.elements().into());
    let chain = state.chain(&author).expect("kept");
    let held = chain.get(&late.id()).expect("kept as evidence");
    assert_eq!(chain.standing(held), EnvelopeStanding::PostRemoval);
    assert_eq!(said_by(&author.key, held)[0].id, crate::value::record_id_from(2), "and readable");
    assert_eq!(chain.tip(), kept.header.tip(), "what it said before stays");
    let table = state.section(&author.nation).table();
    assert!(table.record("pledge", &crate::value::record_id_from(1)).is_some());
    assert!(table.record("pledge", &crate::value::record_id_from(2)).is_none());
    assert_eq!(retiring(&state, &author, Tip::NONE, Timestamp(0)), Err(NoDraft::Removed));
}

#[test]
fn a_stolen_key_speaks_as_its_node_only_and_burns_itself_once_both_speak() {
    let mut alliance = TestAlliance::new(14, &[("UKR", 2), ("POL", 1)]);
    let mut state = alliance.state();
    for (nation, node) in [(0, 0), (0, 1), (1, 0)] {
        let envelope = alliance.node(nation, node).write(&state, vec![draft("pledge", 1, "own")]).expect("writes");
        state.admit(envelope.elements().into());
    }
    let mut thief = alliance.node(0, 0).clone();
    let theft = thief.write(&state, vec![draft("pledge", 9, "stolen")]).expect("writes");
    let burnt = thief.author;
    let untouched = |state: &State| {
        let others = state.chains().filter(|chain| chain.author() != burnt);
        others.map(|chain| (chain.author(), chain.tip())).collect::<Vec<_>>()
    };
    let before = untouched(&state);
    let mut seen_by_victim = state.clone();
    state.admit(theft.elements().into());
    assert_eq!(state.section(&thief.author.nation).table().len(), 2, "it speaks as that node");
    let own = alliance.node(0, 0).write(&seen_by_victim, vec![draft("pledge", 10, "own again")]).expect("writes");
    seen_by_victim.admit(own.elements().into());
    state.admit(own.elements().into());
    let dossier = Dossier::of(&state, &thief.author).expect("both spoke");
    assert_eq!((dossier.seq, dossier.stands.seq), (2, 1));
    assert!(thief.write(&state, vec![draft("pledge", 11, "more")]).is_err(), "the key is burnt");
    assert_eq!(untouched(&state), before);
}

#[test]
fn the_later_of_two_changes_with_one_number_is_void_and_skipped() {
    let mut alliance = TestAlliance::new(15, &[("UKR", 1)]);
    let mut state = alliance.state();
    let first = alliance.node(0, 0).write(&state, vec![draft("pledge", 1, "first")]).expect("writes");
    let mut twin = alliance.node(0, 0).clone();
    twin.tip = Tip::NONE;
    let other = twin.write(&state, vec![draft("pledge", 2, "the same number")]).expect("writes");
    state.admit(first.elements().into());
    // The same (actor, seq) in the next envelope of the chain.
    let again = alliance.node(0, 0).envelope(crate::body::KIND_CHANGE, other.body.to_vec());
    state.admit(again.elements().into());
    let next = alliance.node(0, 0).write(&state, vec![draft("pledge", 3, "goes on")]).expect("writes");
    state.admit(next.elements().into());
    let chain = state.chain(&alliance.nations[0].nodes[0].author).expect("held");
    let verdicts = chain.accepted_from(1).map(|held| state.view_of(chain, held).verdict.map(|verdict| verdict.code()));
    assert_eq!(verdicts.collect::<Vec<_>>(), [Some("valid"), Some("void"), Some("valid")]);
}

#[test]
fn a_key_is_retired_by_the_roster_that_names_its_cut_now_also_above_a_fork_of_the_rosters() {
    let mut alliance = TestAlliance::new(4, &[("UKR", 2), ("POL", 1)]);
    let mut state = alliance.state();
    let said: Vec<TestEnvelope> = (0..3).map(|_| alliance.node(0, 1).raw_change(Vec::new())).collect();
    state.admit(said.iter().flat_map(TestEnvelope::elements).collect());
    let author = alliance.nations[0].nodes[1].author;
    assert_eq!(retired_in(&state, &author), None, "it is active");
    let second = alliance.retire(0, 1, said[2].header.tip());
    let third = alliance.retire(0, 1, said[0].header.tip());
    let fourth = alliance.roster(0, |roster| roster.note = "of something else".to_owned());
    for (control, names) in [(&second, (2, second.id())), (&third, (3, third.id())), (&fourth, (3, third.id()))] {
        state.admit(vec![Element::Control(control.clone())]);
        assert_eq!(retired_in(&state, &author), Some(names));
    }
    // Two rosters of one version, one of which retires the key: it is retired, by that one.
    let mut alliance = TestAlliance::new(5, &[("UKR", 2), ("POL", 1)]);
    let author = alliance.nations[0].nodes[1].author;
    let first = alliance.nations[0].rosters[0].clone();
    let one = alliance.roster_after(0, Some(&first), |roster| crate::testing::retire(roster, &author.key, Tip::NONE));
    let other = alliance.roster_after(0, Some(&first), |roster| roster.note = "another".to_owned());
    alliance.nations[0].rosters.extend([one.clone(), other]);
    let state = alliance.state();
    assert_eq!(state.roster(&author.nation).and_then(|roster| roster.fork), Some(2));
    assert_eq!(retired_in(&state, &author), Some((2, one.id())));
}

#[test]
fn a_record_is_old_once_fewer_than_a_quorum_were_heard_of_for_four_heartbeats() {
    use crate::testing::{FOUNDED_MS, witness_of};
    const BEAT: u64 = 900_000;
    let alliance = TestAlliance::new(6, &[("UKR", 2), ("POL", 1), ("DEU", 1), ("FRA", 1)]);
    let mut state = alliance.state();
    let ids: Vec<NationId> = alliance.nations.iter().map(|nation| nation.id).collect();
    let own = ids[0];
    let age = |state: &State, ms: u64| RecordAge::of(state, Some(&own), Timestamp(FOUNDED_MS + ms), BEAT);
    let silent = |age: &RecordAge| {
        let codes =
            alliance.nations.iter().filter(|of| age.nations.iter().any(|row| row.silent && row.nation == of.id));
        codes.map(|nation| nation.code.clone()).collect::<Vec<_>>()
    };
    let fresh = age(&state, 4 * BEAT);
    assert_eq!((fresh.heard, fresh.quorum, fresh.is_old(), fresh.silent_after_ms), (4, 3, false, 4 * BEAT));
    let never = age(&state, 4 * BEAT + 1);
    assert_eq!((never.heard, never.is_old()), (1, true), "a node that was cut off from the first day sees it too");
    assert_eq!(silent(&never), ["POL", "DEU", "FRA"]);
    // Poland's witness and Germany's statements are heard, the one a little later than the other.
    let mut nodes = alliance.clone();
    let said = nodes.node(2, 0).write(&state, vec![draft("pledge", 1, "x")]).expect("writes");
    nodes.node(1, 0).time_ms = FOUNDED_MS + 2 * BEAT;
    let word = nodes.node(1, 0).body(&witness_of(said.header.header().author_id(), said.header.tip()));
    for envelope in [&said, &word] {
        state.admit(envelope.elements().into());
    }
    let row =
        |age: &RecordAge, nation: usize| *age.nations.iter().find(|row| row.nation == ids[nation]).expect("a member");
    let after = age(&state, 4 * BEAT + 1);
    assert_eq!((after.heard, after.is_old(), silent(&after)), (3, false, vec!["FRA".to_owned()]));
    assert_eq!(
        (row(&after, 1).statement, row(&after, 1).witness),
        (None, Some(Timestamp(word.header.header().time_ms)))
    );
    assert_eq!((row(&after, 2).last(), row(&after, 2).witness), (Some(Timestamp(said.header.header().time_ms)), None));
    // A liar that goes on speaking does not make a record look new that the others were cut out of.
    let later = age(&state, 5 * BEAT);
    assert_eq!((later.heard, later.is_old()), (2, true));
    assert_eq!(silent(&later), ["DEU", "FRA"]);
    // What the own nation said last says nothing about the others; and an old moment is never in the future.
    let nothing = RecordAge::of(&state, None, Timestamp(0), BEAT);
    assert_eq!((nothing.heard, nothing.is_old()), (4, false));
    assert!(RecordAge::of(&state, None, Timestamp(FOUNDED_MS + 9 * BEAT), BEAT).nations.iter().all(|row| row.silent));
    // Of a chain only what is accepted is heard.
    let mut clone = nodes.node(2, 0).clone();
    clone.time_ms = FOUNDED_MS + 6 * BEAT;
    let branches = [clone.raw_change(vec![1]), nodes.node(2, 0).raw_change(vec![2])];
    state.admit(branches.iter().flat_map(TestEnvelope::elements).collect());
    assert_eq!(row(&age(&state, 6 * BEAT), 2).last(), Some(Timestamp(said.header.header().time_ms)), "it forked there");
}
