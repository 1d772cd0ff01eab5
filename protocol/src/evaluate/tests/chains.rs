//! Chains: freezing, cuts, what is kept, and what arrives.

use super::{admit_all, standing, verdict};
use crate::chain::EnvelopeStanding;
use crate::control::{CharterChange, Params};
use crate::evaluate::{Element, Receipt, State, evaluate};
use crate::ids::{EnvelopeId, Tip};
use crate::limits::{FORK_BRANCH_HEADERS_MAX, SIGNATURE_POINT_SEQ};
use crate::section::{Verdict, WaitingReason};
use crate::testing::{TestAlliance, TestEnvelope, TestNode, draft};

/// Bodies of a kind without effect, so that chains are cheap.
fn say(node: &mut TestNode, count: usize) -> Vec<TestEnvelope> {
    (0..count).map(|i| node.envelope(99, i.to_be_bytes().to_vec())).collect()
}

fn all(alliance: &TestAlliance, envelopes: &[&[TestEnvelope]]) -> State {
    let mut elements = alliance.elements();
    elements.extend(envelopes.iter().flat_map(|part| part.iter()).flat_map(TestEnvelope::elements));
    evaluate(alliance.anchor(), elements)
}

#[test]
fn a_forked_chain_freezes_at_its_last_agreed_envelope() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1), ("POL", 2)]);
    let mut state = alliance.state();
    let author = alliance.node(1, 0).author;
    let mut written = Vec::new();
    for i in 0..4 {
        written.push(alliance.node(1, 0).write(&state, vec![draft("pledge", i, "x")]).expect("writes"));
        admit_all(&mut state, &[&written[written.len() - 1]]);
    }
    let sibling = alliance.node(1, 1).author;
    let other = alliance.node(1, 1).write(&state, vec![draft("pledge", 9, "on four")]).expect("writes");
    admit_all(&mut state, &[&other]);
    assert_eq!(state.section(&author.nation).counts().valid, 5);

    let mut twin = TestNode { tip: written[1].header.tip(), ..alliance.node(1, 0).clone() };
    let second_third = twin.envelope(99, vec![1]);
    let changes = admit_all(&mut state, &[&second_third]);
    assert_eq!(changes.forked, [(author, 3)]);
    assert_eq!(changes.dropped, [(author, written[2].id()), (author, written[3].id())]);
    assert_eq!(changes.rebuilt.len(), 1);
    assert_eq!(state.chain(&author).expect("held").tip(), written[1].header.tip());
    assert_eq!(standing(&state, &written[2]), EnvelopeStanding::Suspended);
    assert_eq!(standing(&state, &second_third), EnvelopeStanding::Suspended);
    assert_eq!(verdict(&state, &written[2]), None);
    let counts = state.section(&author.nation).counts();
    assert_eq!((counts.valid, counts.waiting), (2, 1), "the sibling's change waits for the suspended one");
    assert_eq!(verdict(&state, &other), Some(Verdict::Waiting(WaitingReason::DepMissing)));
    assert_eq!(state.chain(&sibling).expect("held").tip(), other.header.tip());

    let lower = TestNode { tip: written[0].header.tip(), ..twin }.envelope(99, vec![2]);
    assert_eq!(admit_all(&mut state, &[&lower]).forked, [(author, 2)]);
    assert_eq!(state.chain(&author).expect("held").tip(), written[0].header.tip());
}

#[test]
fn two_first_envelopes_leave_nothing_agreed() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut twin = alliance.node(0, 0).clone();
    let state = all(&alliance.clone(), &[&say(alliance.node(0, 0), 3), &[twin.envelope(99, vec![])]]);
    let chain = state.chains().next().expect("held");
    assert_eq!((chain.fork(), chain.tip(), chain.heads().len()), (Some(1), Tip::NONE, 2));
}

#[test]
fn a_cut_names_the_branch_that_stands() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let first = say(alliance.node(0, 0), 5);
    let mut twin = TestNode { tip: first[1].header.tip(), ..alliance.node(0, 0).clone() };
    let second = say(&mut twin, 4);
    let mut state = all(&alliance, &[&first, &second]);
    let author = twin.author;
    assert_eq!(state.chain(&author).expect("held").tip(), first[1].header.tip());

    let retired = alliance.retire(0, 0, second[2].header.tip());
    let changes = state.admit(vec![Element::Control(retired)]);
    assert_eq!(changes.accepted.iter().map(|placed| placed.tip.seq).collect::<Vec<_>>(), [3, 4, 5]);
    let chain = state.chain(&author).expect("held");
    assert_eq!((chain.tip(), chain.incomplete(), chain.bodies_to()), (second[2].header.tip(), None, 5));
    assert_eq!(standing(&state, &second[3]), EnvelopeStanding::Disavowed);
    assert_eq!(standing(&state, &first[2]), EnvelopeStanding::Disavowed);
    assert_eq!(standing(&state, &first[1]), EnvelopeStanding::Accepted);

    let lowered = alliance.retire(0, 0, first[0].header.tip());
    assert_eq!(state.admit(vec![Element::Control(lowered)]).dropped.len(), 4);
    let nothing = alliance.retire(0, 0, Tip::NONE);
    state.admit(vec![Element::Control(nothing)]);
    assert_eq!(state.chain(&author).expect("held").tip(), Tip::NONE);
    assert_eq!(standing(&state, &first[0]), EnvelopeStanding::Disavowed);
}

#[test]
fn a_cut_nobody_has_limits_the_chain_and_is_wanted_by_its_id() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let said = say(alliance.node(0, 0), 6);
    let author = alliance.node(0, 0).author;
    let unknown = Tip { seq: 4, id: EnvelopeId::new([7; 32]) };
    alliance.retire(0, 0, unknown);
    let state = all(&alliance, &[&said]);
    let chain = state.chain(&author).expect("held");
    assert_eq!((chain.tip(), chain.incomplete()), (said[3].header.tip(), Some(unknown)));

    // The cut is held later, above a gap: still Incomplete until it links.
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let said = say(alliance.node(0, 0), 6);
    alliance.retire(0, 0, said[4].header.tip());
    let mut state = all(&alliance, &[&said[..2], &said[4..5]]);
    let chain = state.chain(&author).expect("held");
    assert_eq!((chain.tip().seq, chain.incomplete().is_some()), (2, true));
    assert!(chain.wants_parent(&said[3].id()));
    admit_all(&mut state, &[&said[3], &said[2]]);
    let chain = state.chain(&author).expect("held");
    assert_eq!((chain.tip(), chain.incomplete()), (said[4].header.tip(), None));
}

#[test]
fn a_key_in_no_roster_is_suspended_until_it_is_listed() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut node = alliance.add_node(0, 1).clone();
    let said = say(&mut node, 2);
    let mut state = all(&alliance, &[&said]);
    assert_eq!(standing(&state, &said[0]), EnvelopeStanding::Suspended);
    assert_eq!(state.receipt(said[0].header.header()), Receipt::UnknownAuthor);
    let listed = alliance.roster(0, |roster| roster.keys.push(node.roster_key(false)));
    assert_eq!(state.admit(vec![Element::Control(listed)]).accepted.len(), 2);
    assert_eq!(standing(&state, &said[1]), EnvelopeStanding::Accepted);
}

#[test]
fn of_a_fork_two_branches_are_kept_and_each_ends_at_a_signature_point() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut node = alliance.node(0, 0).clone();
    let common = say(&mut node, 3);
    let mut twins: Vec<TestNode> = (0..4).map(|_| node.clone()).collect();
    let long = say(&mut twins[0], 1_700);
    let short: Vec<Vec<TestEnvelope>> =
        twins[1..].iter_mut().zip(1..).map(|(twin, i)| vec![twin.envelope(99, vec![i])]).collect();
    let mut state = all(&alliance, &[&common, &long, &short[0], &short[1], &short[2]]);
    let author = node.author;

    let mut at_fork: Vec<EnvelopeId> = short.iter().map(|branch| branch[0].id()).chain([long[0].id()]).collect();
    at_fork.sort_unstable();
    let chain = state.chain(&author).expect("held");
    let kept: Vec<EnvelopeId> = chain.at(4).filter(|held| chain.keeps(held)).map(|held| held.id()).collect();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|id| at_fork[..2].contains(id)));

    // Whichever branches are kept, a cut on the long one keeps all of the path to it.
    let cut = alliance.retire(0, 0, long[1_400].header.tip());
    state.admit(vec![Element::Control(cut)]);
    let before = (state.held(), state.state());
    let forgotten = state.forget_unkept_headers(&author);
    assert_eq!((state.held(), state.state()), before);
    let chain = state.chain(&author).expect("held");
    assert_eq!(chain.tip(), long[1_400].header.tip());
    assert_eq!(chain.len() + forgotten.len(), 3 + 1_700 + 3);
    let attests = 1_404_u64.next_multiple_of(SIGNATURE_POINT_SEQ);
    let above = usize::try_from(1_703 - attests).expect("small");
    assert_eq!(forgotten.len(), above + 1, "what is above the cut's next signature point, and one of three twins");

    // Without the cut a long branch ends at its last signature point within 1,024 headers.
    let branch_end = (4..4 + FORK_BRANCH_HEADERS_MAX as u64).filter(|seq| seq % SIGNATURE_POINT_SEQ == 0).max();
    let mut lone = TestAlliance::new(1, &[("UKR", 1)]);
    lone.nations[0].rosters.truncate(1);
    let pair = all(&lone, &[&common, &long, &short[0]]);
    let chain = pair.chain(&author).expect("held");
    let tops: Vec<u64> = chain.heads().iter().map(|head| head.tip.seq).collect();
    assert_eq!(tops, [4, branch_end.expect("some")]);
    assert_eq!(chain.unkept(), 3 + 1_700 + 1 - 3 - 1 - usize::try_from(tops[1] - 3).expect("small"));
}

#[test]
fn below_a_fork_all_is_kept_so_that_forgetting_never_hides_a_lower_fork() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut node = alliance.node(0, 0).clone();
    let first = say(&mut node, 1);
    let mut twin = node.clone();
    let second = say(&mut node, 1);
    let other_second = twin.envelope(99, vec![7]);
    let mut thirds = [node.clone(), node];
    let thirds: Vec<TestEnvelope> = thirds.iter_mut().zip(0..).map(|(twin, i)| twin.envelope(99, vec![i])).collect();
    // The fork at 3 is seen while the second header, below it, does not link yet.
    let mut state = all(&alliance, &[&second, &thirds]);
    let mut forgetful = state.clone();
    assert_eq!(forgetful.forget_unkept_headers(&twin.author), []);
    for state in [&mut state, &mut forgetful] {
        admit_all(state, &[&other_second, &first[0]]);
        let chain = state.chain(&twin.author).expect("held");
        assert_eq!((chain.fork(), chain.tip()), (Some(2), first[0].header.tip()));
    }
}

#[test]
fn signature_points_are_at_multiples_of_256_and_where_half_a_mebibyte_is_crossed() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let node = alliance.node(0, 0);
    let mut said: Vec<TestEnvelope> = (0..20).map(|_| node.envelope(99, vec![0; 60_000])).collect();
    said.extend(say(node, 300));
    let author = node.author;
    let state = all(&alliance, &[&said]);
    let chain = state.chain(&author).expect("held");
    let points: Vec<u64> = chain.iter().filter(|held| held.signature_point()).map(|held| held.seq()).collect();
    // 60,247 bytes each: the 9th crosses 524,288, the 18th 1,048,576.
    assert_eq!(points, [9, 18, 256]);
    assert_eq!(chain.quota_used(), 20 * 60_247 + 300 * 255);
}

#[test]
fn the_next_signed_header_is_found_and_a_signature_that_comes_later_is_taken() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let said = say(alliance.node(0, 0), 600);
    let author = alliance.node(0, 0).author;
    let mut elements = alliance.elements();
    for (i, envelope) in said.iter().enumerate() {
        elements.push(if i % 256 == 255 || i == 599 { envelope.elements()[0].clone() } else { envelope.bare_header() });
    }
    let mut state = evaluate(alliance.anchor(), elements);
    let head = said[599].id();
    let next = |state: &State, seq| state.chain(&author).expect("held").next_signed(&head, seq);
    assert_eq!([1, 256, 257, 513, 600].map(|seq| next(&state, seq)), [256, 256, 512, 600, 600].map(Some));
    assert_eq!(next(&state, 601), None);
    assert!(state.admit(vec![said[299].elements()[0].clone()]).is_empty());
    assert_eq!(next(&state, 257), Some(300));
    let path: Vec<u64> =
        state.chain(&author).expect("held").path(&head, 255, 258).iter().map(|held| held.seq()).collect();
    assert_eq!(path, [255, 256, 257, 258]);
}

#[test]
fn receipt_says_what_links_what_proves_a_fork_and_what_to_ask_for() {
    let quota = 255 * 4;
    let params = Params { chain_quota: quota, ..Params::default() };
    let mut alliance = TestAlliance::with_params(1, &[("UKR", 1), ("POL", 1)], params);
    let mut node = alliance.node(0, 0).clone();
    let said = say(&mut node, 5);
    let mut state = all(&alliance, &[&said[..2]]);
    let of = |state: &State, envelope: &TestEnvelope| state.receipt(envelope.header.header());
    assert_eq!(of(&state, &said[1]), Receipt::Held);
    assert_eq!(of(&state, &said[2]), Receipt::Links { cum: 255 * 3 });
    assert_eq!(of(&state, &said[3]), Receipt::ParentMissing { linked_to: said[1].header.tip() });
    let twin = TestNode { tip: said[0].header.tip(), ..node.clone() }.envelope(99, vec![1]);
    assert_eq!(of(&state, &twin), Receipt::Links { cum: 255 + 248 });
    let loose = TestNode { tip: Tip { seq: 1, id: EnvelopeId::new([3; 32]) }, ..node.clone() }.envelope(99, vec![1]);
    assert_eq!(of(&state, &loose), Receipt::ForkEvidence);
    let early = TestNode { tip: said[1].header.tip(), time_ms: 0, ..node.clone() }.envelope(99, vec![1]);
    assert_eq!(of(&state, &early), Receipt::TimeDecreases);
    let foreign = TestAlliance::new(9, &[("UKR", 1)]).node(0, 0).envelope(99, vec![]);
    assert_eq!(of(&state, &foreign), Receipt::OtherAlliance);
    let mut stranger = alliance.add_node(1, 5).clone();
    assert_eq!(of(&state, &stranger.envelope(99, vec![])), Receipt::UnknownAuthor);

    let headers = |envelopes: &[TestEnvelope]| -> Vec<_> {
        envelopes.iter().map(|envelope| envelope.header.header().clone()).collect()
    };
    assert_eq!(state.receipt_run(&headers(&said[..4])), Receipt::Links { cum: quota });
    assert_eq!(state.receipt_run(&headers(&said[1..2])), Receipt::Held);
    assert_eq!(state.receipt_run(&headers(&said)), Receipt::OverQuota);
    assert_eq!(state.receipt_run(&headers(&said[3..])), Receipt::ParentMissing { linked_to: said[1].header.tip() });
    assert_eq!(state.receipt_run(&[loose.header.header().clone()]), Receipt::ForkEvidence);
    admit_all(&mut state, &[&said[2], &said[3]]);
    assert_eq!(of(&state, &said[4]), Receipt::OverQuota);
    admit_all(&mut state, &[&said[4]]);
    assert_eq!(standing(&state, &said[4]), EnvelopeStanding::Unlinked);
}

#[test]
fn a_body_that_is_not_the_one_named_counts_for_nothing_before_and_after_its_header() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let said = say(alliance.node(0, 0), 1);
    let author = alliance.node(0, 0).author;
    let mut state = alliance.state();
    let false_body = Element::Body { id: said[0].id(), bytes: vec![9; 8].into() };
    assert!(state.admit(vec![false_body.clone(), said[0].body_element()]).is_empty());
    let changes = state.admit(vec![said[0].elements()[0].clone(), false_body]);
    assert_eq!((changes.headers.len(), changes.bodies.len()), (1, 1));
    let chain = state.chain(&author).expect("held");
    assert_eq!(chain.bodies_to(), 1);
    assert_eq!(chain.get(&said[0].id()).and_then(|held| held.body()), Some(&said[0].body));
}

#[test]
fn bodies_above_a_missing_one_count_for_nothing_until_it_comes() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut state = alliance.state();
    let author = alliance.node(0, 0).author;
    let mut said = Vec::new();
    for i in 0..3 {
        said.push(alliance.node(0, 0).write(&state, vec![draft("pledge", i, "x")]).expect("writes"));
        admit_all(&mut state, &[&said[said.len() - 1]]);
    }
    let mut elements = alliance.elements();
    for (i, envelope) in said.iter().enumerate() {
        elements.push(envelope.elements()[0].clone());
        elements.extend((i != 1).then(|| envelope.body_element()));
    }
    let mut gap = evaluate(alliance.anchor(), elements);
    assert_eq!(verdict(&gap, &said[1]), Some(Verdict::Waiting(WaitingReason::BodyMissing)));
    assert_eq!(verdict(&gap, &said[2]), Some(Verdict::Waiting(WaitingReason::EarlierBodyMissing)));
    assert_eq!(gap.section(&author.nation).counts().waiting, 0, "above a gap nothing is counted");
    let chain = gap.chain(&author).expect("held");
    assert_eq!((chain.tip().seq, chain.bodies_to(), chain.heads()[0].bodies_to), (3, 1, 1));
    assert_eq!(chain.bodies_missing(10), [said[1].header.tip()]);
    assert!(matches!(gap.author_tip(&author), Err(crate::evaluate::AuthorError::Incomplete { .. })));
    let changes = gap.admit(vec![said[1].body_element()]);
    assert_eq!(changes.valid.len(), 2);
    assert_eq!(gap.state(), state.state());
}

#[test]
fn a_chain_that_forks_lower_and_lower_is_read_anew_only_when_somebody_reads() {
    let mut alliance = TestAlliance::new(1, &[("UKR", 1)]);
    let mut state = alliance.state();
    let mut written = Vec::new();
    for i in 0..6 {
        written.push(alliance.node(0, 0).write(&state, vec![draft("pledge", i, "x")]).expect("writes"));
        admit_all(&mut state, &[&written[written.len() - 1]]);
    }
    let nation = alliance.nations[0].id;
    for below in (0..5).rev() {
        let mut twin = TestNode { tip: written[below].header.tip(), ..alliance.node(0, 0).clone() };
        let changes = admit_all(&mut state, &[&twin.envelope(99, vec![1])]);
        assert_eq!((changes.rebuilt.contains(&nation), changes.valid.len()), (true, 0));
    }
    assert_eq!(state.section(&nation).counts().valid, 1);
    let retired = alliance.retire(0, 0, written[5].header.tip());
    let changes = state.admit(vec![Element::Control(retired)]);
    assert_eq!((changes.accepted.len(), changes.valid.len()), (5, 5), "what was read since is read on");
}

#[test]
fn a_chain_over_the_quota_links_once_a_motion_raises_it_and_no_motion_lowers_it() {
    let params = Params { chain_quota: 255 * 3, ..Params::default() };
    let mut alliance = TestAlliance::with_params(1, &[("UKR", 1), ("POL", 1)], params);
    let said = say(alliance.node(0, 0), 5);
    let author = alliance.node(0, 0).author;
    let mut state = all(&alliance, &[&said]);
    let set = |state: &State, chain_quota: u64| -> Vec<Element> {
        let charter = state.charter().expect("founded");
        let params = Params { chain_quota, ..charter.params };
        let motion = alliance.motion(charter, chain_quota, vec![CharterChange::SetParams(params)]);
        let votes = alliance.pass(&[0, 1], charter, 0, &motion.id());
        std::iter::once(motion).chain(votes).map(Element::Control).collect()
    };
    let reach = |state: &State| {
        let chain = state.chain(&author).expect("held");
        (chain.linked_to(), chain.tip().seq, state.charter().map(|charter| charter.params.chain_quota))
    };
    assert_eq!(reach(&state), (3, 3, Some(255 * 3)), "what is over it does not link");
    let before = (state.held(), state.state());
    // Everybody seals a lower quota: it is no motion, and nothing that was accepted is lost.
    state.admit(set(&state, 255 * 2));
    assert_eq!((reach(&state), state.held(), state.state()), ((3, 3, Some(255 * 3)), before.0, before.1));
    state.admit(set(&state, 255 * 4));
    assert_eq!(reach(&state), (4, 4, Some(255 * 4)), "it goes on as far as the new quota");
    assert_eq!(standing(&state, &said[4]), EnvelopeStanding::Unlinked);
    state.admit(set(&state, u64::MAX));
    assert_eq!((reach(&state).1, standing(&state, &said[4])), (5, EnvelopeStanding::Accepted));
    state.admit(set(&state, 255));
    assert_eq!(reach(&state).1, 5);
    let mut elements = alliance.elements();
    elements.extend(state.control_records().into_iter().map(|control| Element::Control((**control).clone())));
    elements.extend(said.iter().flat_map(TestEnvelope::elements));
    assert_eq!(evaluate(alliance.anchor(), elements).state(), state.state(), "whenever the raise came");
}
