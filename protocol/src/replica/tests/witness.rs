//! Witnesses that speak by themselves, what is withheld, who diverges, and cuts that are asked for by their id.

use super::lone::Lone;
use super::world::World;
use crate::body::{Body, KIND_WITNESS};
use crate::ids::{AuthorId, Digest, Tip};
use crate::limits::{WITHHELD_MS, WITHHELD_STEP_MS};
use crate::message::{ByIdItem, Frame, Outcome};
use crate::replica::{Replica, WitnessCadence};
use crate::rules::Rules;
use crate::testing::{TestAlliance, TestEnvelope, TestNode};

const QUICK: WitnessCadence = WitnessCadence { on_change_ms: 500, heartbeat_ms: 10_000 };

/// Nations of one node each, all linked, whose witnesses speak often.
fn mesh(seed: u64, nations: usize) -> World {
    let codes = ["UKR", "POL", "DEU", "FRA", "NLD"];
    let nations: Vec<(&str, usize)> = codes[..nations].iter().map(|code| (*code, 1)).collect();
    let mut world = World::new(seed, TestAlliance::new(seed, &nations));
    world.witness = QUICK;
    for nation in 0..nations.len() {
        let elements = world.alliance.elements();
        world.add(nation, 0, elements);
    }
    for a in 0..nations.len() {
        (a + 1..nations.len()).for_each(|b| world.connect(a, b));
    }
    world
}

fn witnessed(replica: &Replica) -> usize {
    let chain = replica.state().chain(&replica.me());
    chain.map_or(0, |chain| chain.iter().filter(|held| held.kind() == KIND_WITNESS).count())
}

fn is_final(world: &World, at: usize, author: &AuthorId, tip: &Tip) -> bool {
    let state = world.nodes[at].replica.state();
    state.chain(author).and_then(|chain| chain.get(&tip.id)).is_some_and(|held| state.is_final(author, held))
}

#[test]
fn a_statement_becomes_final_everywhere_and_an_idle_alliance_says_little() {
    let mut world = mesh(90, 4);
    world.run(2_000);
    let request = world.write(0, 1, "tents");
    let author = world.nodes[0].replica.me();
    let id = world.version(0, request);
    let seq = world.nodes[0].replica.state().envelope(&id).expect("written").held.seq();
    let tip = Tip { seq, id };
    world.run_until(10_000, "it is final everywhere", |world| (0..4).all(|at| is_final(world, at, &author, &tip)));
    world.run(12_000);
    let before: Vec<usize> = (0..4).map(|at| witnessed(&world.nodes[at].replica)).collect();
    world.run(60_000);
    for (at, before) in before.into_iter().enumerate() {
        let said = witnessed(&world.nodes[at].replica) - before;
        assert!((5..=7).contains(&said), "a heartbeat in ten seconds and nothing else: {said}");
    }
    world.run_until(20_000, "all agree", World::converged);
    world.check_honest();
}

/// T36: `n − q` nations are dark.
#[test]
fn what_is_said_is_final_while_one_nation_of_four_is_dark() {
    let mut world = mesh(91, 4);
    (0..3).for_each(|at| world.cut(at, 3));
    world.run(8_000);
    let request = world.write(1, 1, "blankets");
    let author = world.nodes[1].replica.me();
    let id = world.version(1, request);
    let tip = Tip { seq: world.nodes[1].replica.state().envelope(&id).expect("written").held.seq(), id };
    world.run_until(10_000, "it is final for the three", |world| (0..3).all(|at| is_final(world, at, &author, &tip)));
    assert!(!is_final(&world, 3, &author, &tip));
    (0..3).for_each(|at| world.heal(at, 3));
    world.run_until(60_000, "and for the fourth when it is back", |world| is_final(world, 3, &author, &tip));
}

#[test]
fn a_witness_that_starts_again_goes_on_where_it_was() {
    let mut world = mesh(92, 3);
    world.write(0, 1, "tents");
    world.run(5_000);
    for round in 0..4 {
        world.crash(1);
        world.write(0, 2 + round, "more");
        world.run(5_000);
    }
    world.run_until(30_000, "all agree", World::converged);
    let me = world.nodes[1].replica.me();
    for node in &world.nodes {
        let chain = node.replica.state().chain(&me).expect("it spoke");
        assert_eq!((chain.fork(), node.replica.halted()), (None, None));
    }
    let author = world.nodes[0].replica.me();
    let state = world.nodes[2].replica.state();
    assert_eq!(state.acknowledged(&me.nation, &author).len(), 1, "it never contradicts itself");
}

/// W4.
#[test]
fn a_new_witness_says_nothing_before_it_holds_what_the_old_one_said() {
    let mut alliance = TestAlliance::new(93, &[("UKR", 2), ("POL", 1)]);
    let said: Vec<TestEnvelope> = (0..3).map(|_| alliance.node(0, 0).envelope(99, vec![1])).collect();
    let cut = said[2].header.tip();
    let old = alliance.nations[0].nodes[0].author.key;
    let replaced = alliance.add_node(0, 7).clone();
    let line = replaced.roster_key(true);
    alliance.roster(0, |roster| {
        crate::testing::retire(roster, &old, cut);
        roster.keys.push(line);
    });
    let mut world = World::new(93, alliance);
    world.witness = QUICK;
    let elements = world.alliance.elements();
    let nation = world.alliance.nations[0].id;
    world.add_key(replaced.key.clone(), nation, elements, Rules::default());
    world.run(20_000);
    assert_eq!(witnessed(&world.nodes[0].replica), 0);
    let mut elements = world.alliance.elements();
    elements.extend(said.iter().flat_map(TestEnvelope::elements));
    world.add_key(replaced.key, nation, elements, Rules::default());
    world.run(20_000);
    assert!(witnessed(&world.nodes[1].replica) > 0);
}

fn lone(seed: u64) -> Lone {
    Lone::new(TestAlliance::new(seed, &[("UKR", 1), ("POL", 2), ("DEU", 1)]), Rules::default())
}

fn word(node: &mut TestNode, author: AuthorId, tip: Tip) -> TestEnvelope {
    node.body(&crate::testing::witness_of(author, tip))
}

/// T42: heads that two nations acknowledge and nobody delivers.
#[test]
fn what_nations_acknowledge_and_nobody_delivers_is_told_and_cleared_when_it_comes() {
    let mut lone = lone(94);
    let author = lone.alliance.nations[1].nodes[1].author;
    let said = lone.alliance.node(1, 1).envelope(99, vec![1]);
    let nations = [lone.alliance.nations[1].id, lone.alliance.nations[2].id];
    let words: Vec<TestEnvelope> =
        [1, 2].into_iter().map(|at| word(lone.alliance.node(at, 0), author, said.header.tip())).collect();
    lone.push(&words);
    let pass = |lone: &mut Lone, ms: u64| {
        for _ in 0..ms / 1_000 {
            lone.push(&words);
            lone.tick(1_000);
        }
    };
    pass(&mut lone, WITHHELD_MS - 2 * WITHHELD_STEP_MS);
    assert_eq!(lone.replica.withheld(), []);
    pass(&mut lone, 4 * WITHHELD_STEP_MS);
    let withheld = lone.replica.withheld();
    assert_eq!(withheld.iter().map(|withheld| (withheld.author, withheld.seq)).collect::<Vec<_>>(), [(author, 1)]);
    let mut expected = nations;
    expected.sort_unstable();
    assert_eq!(withheld[0].witnesses, expected);
    lone.push(&[said]);
    pass(&mut lone, 2 * WITHHELD_STEP_MS);
    assert_eq!(lone.replica.withheld(), []);
}

/// T43: a header without its body is acknowledged by nobody.
#[test]
fn a_header_without_its_body_is_not_acknowledged() {
    let mut alliance = TestAlliance::new(95, &[("UKR", 1), ("POL", 1)]);
    let author = alliance.nations[1].nodes[0].author;
    let said: Vec<TestEnvelope> = (0..2).map(|_| alliance.node(1, 0).envelope(99, vec![1])).collect();
    let mut state = alliance.state();
    state.admit([said[0].elements().to_vec(), vec![said[1].bare_header()]].concat());
    let nation = alliance.nations[0].id;
    assert_eq!(state.acknowledgeable(&nation, &author), Some(said[0].header.tip()));
    state.admit(vec![said[1].body_element()]);
    assert_eq!(state.acknowledgeable(&nation, &author), Some(said[1].header.tip()));
}

#[test]
fn a_peer_that_makes_something_else_of_the_same_set_is_named_until_it_agrees() {
    let mut lone = lone(96);
    let peer = lone.alliance.nations[1].nodes[0].author.key;
    let own = lone.replica.hello();
    let other = Digest::new([7; 32]);
    lone.ask(&Frame::Hello(crate::message::Hello { held: other, state: other, ..own.clone() }));
    assert_eq!(lone.replica.diverging(), [], "another set may look different");
    lone.ask(&Frame::Hello(crate::message::Hello { state: Digest::ZERO, ..own.clone() }));
    assert_eq!(lone.replica.diverging(), [], "it does not say");
    lone.ask(&Frame::Hello(crate::message::Hello { state: other, ..own.clone() }));
    assert_eq!(lone.replica.diverging(), [peer]);
    lone.ask(&Frame::Hello(own));
    assert_eq!(lone.replica.diverging(), []);
}

/// T17: a cut that nobody shows is asked for by its id, and the way to it after it.
#[test]
fn a_cut_that_is_not_held_is_asked_for_by_its_id_and_then_from_there_down() {
    let mut lone = lone(97);
    let said: Vec<TestEnvelope> = (0..5).map(|_| lone.alliance.node(1, 1).envelope(99, vec![1])).collect();
    let author = lone.alliance.nations[1].nodes[1].author;
    lone.push(&said[..2]);
    let cut = said[4].header.tip();
    let roster = lone.alliance.retire(1, 1, cut);
    lone.questions();
    let records = vec![(roster.record().kind(), roster.record().encode())];
    lone.input(crate::effect::Input::Import { request: crate::effect::RequestId(1), records });
    let by_id = |frame: &Frame| matches!(frame, Frame::ById(request) if request.ids == [cut.id] && request.bodies);
    let asked = lone.questions().into_iter().find(|(_, frame)| by_id(frame)).expect("asked by its id");
    // Nobody has it: it is asked again, ever more rarely.
    lone.reply(asked.0, &Frame::ByIdReply(Vec::new()));
    lone.reply(asked.0, &Frame::End(Outcome::Complete));
    let mut again = Vec::new();
    for _ in 0..60 {
        lone.tick(1_000);
        lone.input(crate::effect::Input::Pushed { link: super::lone::LINK, frame: heartbeat(&lone).encode() });
        for (exchange, _) in lone.questions().into_iter().filter(|(_, frame)| by_id(frame)) {
            lone.reply(exchange, &Frame::End(Outcome::Complete));
            again.push(exchange);
        }
    }
    assert!((2..=6).contains(&again.len()), "{}", again.len());
    let exchange = (0..120).find_map(|_| {
        lone.tick(1_000);
        lone.input(crate::effect::Input::Pushed { link: super::lone::LINK, frame: heartbeat(&lone).encode() });
        lone.questions().into_iter().find(|(_, frame)| by_id(frame)).map(|(exchange, _)| exchange)
    });
    let exchange = exchange.expect("asked again");
    let item = ByIdItem {
        header: said[4].header.header().encode(),
        signature: said[4].header.signature().copied(),
        body: Some(said[4].body.clone()),
    };
    lone.reply(exchange, &Frame::ByIdReply(vec![item]));
    lone.reply(exchange, &Frame::End(Outcome::Complete));
    let chain = lone.replica.state().chain(&author).expect("held");
    assert!(chain.get(&cut.id).is_some() && chain.incomplete() == Some(cut));
    let (exchange, _) = lone
        .questions()
        .into_iter()
        .find(|(_, frame)| matches!(frame, Frame::Range(range) if range.author == author && range.to == 4))
        .expect("the way down from it");
    lone.reply(exchange, &Frame::Run(run_of(&said[2..4])));
    lone.reply(exchange, &Frame::End(Outcome::Complete));
    let chain = lone.replica.state().chain(&author).expect("held");
    assert_eq!((chain.tip(), chain.incomplete(), chain.bodies_to()), (cut, None, 5));
}

fn heartbeat(lone: &Lone) -> Frame {
    Frame::Heartbeat(crate::message::Heartbeat { time_ms: lone.now.0, held: lone.replica.state().held() })
}

pub(super) fn run_of(said: &[TestEnvelope]) -> crate::message::run::Run {
    use crate::message::run::{Run, RunBody, RunItem};
    let first = said[0].header.header();
    let items = said.iter().map(|envelope| RunItem {
        time_ms: envelope.header.header().time_ms,
        kind: envelope.header.header().kind,
        body: RunBody::Held(envelope.body.clone()),
        signature: None,
    });
    Run {
        author: first.author_id(),
        first_seq: first.seq,
        first_prev: first.prev,
        items: items.collect(),
        signature: *said[said.len() - 1].header.signature().expect("signed"),
    }
}

#[test]
fn a_witness_lists_what_changed_since_it_last_spoke() {
    let mut world = mesh(98, 3);
    world.write(0, 1, "tents");
    world.run(30_000);
    let me = world.nodes[1].replica.me();
    let chain = world.nodes[1].replica.state().chain(&me).expect("it spoke");
    let words: Vec<_> = chain
        .accepted_from(1)
        .map(|held| Body::decode(held.kind(), held.body().expect("held")).expect("sound"))
        .map(|body| match body {
            Body::Witness(witness) => witness,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(words.iter().map(|word| word.rosters.len()).sum::<usize>(), 3, "each roster once");
    let author = world.nodes[0].replica.me();
    let mut seqs: Vec<u64> =
        words.iter().flat_map(|word| &word.acks).filter(|ack| ack.author == author).map(|ack| ack.tip.seq).collect();
    let told = seqs.len();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), told, "no head twice");
}

/// T10, for a node that joins late: the branch that counts is longer than any that is kept for evidence.
#[test]
fn a_long_final_branch_above_a_low_fork_reaches_a_node_that_has_nothing() {
    let mut alliance = TestAlliance::new(99, &[("UKR", 2), ("POL", 1), ("DEU", 1), ("FRA", 1)]);
    let author = alliance.nations[0].nodes[1].author;
    let mut held = alliance.elements();
    let mut fork = None;
    let mut last = Tip::NONE;
    for seq in 1..=3_000_u64 {
        if seq == 10 {
            let mut twin = alliance.nations[0].nodes[1].clone();
            fork = Some(twin.envelope(99, vec![2]));
        }
        let said = alliance.node(0, 1).envelope(99, vec![1]);
        last = said.header.tip();
        held.extend(said.elements());
        if seq % 500 == 0 {
            let words = (1..4).map(|nation| word(alliance.node(nation, 0), author, last));
            held.extend(words.collect::<Vec<_>>().iter().flat_map(TestEnvelope::elements));
        }
    }
    held.extend(fork.expect("made").elements());
    let mut world = World::new(99, alliance);
    world.add(0, 0, held);
    let elements = world.alliance.elements();
    world.add(1, 0, elements);
    assert_eq!(world.nodes[0].replica.state().final_tip(&author), last);
    world.connect(0, 1);
    world.run_until(120_000, "the late one accepts what is final", |world| {
        let chain = world.nodes[1].replica.state().chain(&author);
        chain.is_some_and(|chain| chain.fork() == Some(10) && chain.tip() == last)
    });
    world.run_until(60_000, "both agree", World::converged);
}
