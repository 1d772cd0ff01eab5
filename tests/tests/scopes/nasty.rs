//! Pools written by hand: what is most likely to depend on an order.

use comity_protocol::body::{Ack, Body, KIND_KEY_GRANT};
use comity_protocol::control::{ControlRecord, Params, VoteStep};
use comity_protocol::evaluate::Element;
use comity_protocol::ids::{EnvelopeId, Tip};
use comity_protocol::testing::{TestAlliance, TestEnvelope, TestNode, draft, retire};

use crate::lattice::Pool;
use crate::random::{encrypted, motion, vote, witness_body};

/// Every pool of this file; those with few headers of one author first.
pub(crate) fn all() -> Vec<Pool> {
    vec![
        genesis_last(),
        bodies_and_strays(),
        votes_and_motions(),
        roster_fork(),
        siblings_on_each_other(),
        waiting_on_what_is_cut(),
        fork_and_cut(),
        cuts_that_sink(),
        time_and_quota(),
        witness_forks_and_retires(),
        kinds_without_effect(),
        restart_without_memory(),
    ]
}

fn alliance() -> TestAlliance {
    TestAlliance::new(1, &[("UKR", 2), ("POL", 1)])
}

fn control(control: &comity_protocol::control::VerifiedControl) -> [Element; 1] {
    [Element::Control(control.clone())]
}

fn apart(pool: &mut Pool, what: &str, envelope: &TestEnvelope) {
    let [header, body] = envelope.elements();
    pool.item(format!("header of {what}"), [header]);
    pool.item(format!("body of {what}"), [body]);
}

fn together(pool: &mut Pool, what: &str, envelope: &TestEnvelope) {
    pool.item(what, envelope.elements());
}

fn genesis_last() -> Pool {
    let mut of = alliance();
    let said = of.clone().node(0, 0).write(&of.state(), vec![draft("pledge", 1, "x")]).expect("writes");
    let first = of.nations[0].rosters[0].clone();
    let mut late = of.add_node(0, 1).clone();
    let line = late.roster_key(false);
    let second = of.roster(0, |roster| roster.keys.push(line));
    let by_late = late.envelope(99, vec![1]);
    let mut pool = Pool::new("genesis last", of.anchor(), Vec::new());
    pool.item("genesis", control(&of.genesis));
    pool.item("first roster", control(&first));
    pool.item("roster that enrols", control(&second));
    pool.item("roster of another", control(&of.nations[1].rosters[0]));
    apart(&mut pool, "a change", &said);
    apart(&mut pool, "the new key's word", &by_late);
    pool.item("a vote", [vote(&of, 1, VoteStep::Support, motion(&of, 1).id(), 0)]);
    pool.items.swap(0, 7);
    pool
}

fn bodies_and_strays() -> Pool {
    let of = alliance();
    let mut node = of.nations[0].nodes[0].clone();
    let first = node.envelope(99, vec![1]);
    let second = node.envelope(99, vec![2]);
    let stray = |bytes: Vec<u8>| [Element::Body { id: first.id(), bytes: bytes.into() }];
    let mut pool = Pool::new("bodies and strays", of.anchor(), of.elements());
    pool.item("bare header", [first.bare_header()]);
    pool.item("signed header", [first.elements()[0].clone()]);
    pool.item("its body", [first.body_element()]);
    pool.item("false body", stray(vec![9]));
    pool.item("other false body", stray(vec![8]));
    pool.item("body of second", [second.body_element()]);
    pool.item("bare second", [second.bare_header()]);
    pool.item("body of nothing", [Element::Body { id: EnvelopeId::new([3; 32]), bytes: vec![1].into() }]);
    pool
}

fn votes_and_motions() -> Pool {
    let of = alliance();
    let motions: Vec<_> = (0..3).map(|nonce| motion(&of, nonce)).collect();
    let mut pool = Pool::new("votes and motions", of.anchor(), of.elements());
    for (motion, i) in motions.into_iter().zip(0..) {
        pool.item(format!("vote {i}"), [vote(&of, 0, VoteStep::Support, motion.id(), i)]);
        if i < 2 {
            let same = vote(&of, 0, VoteStep::Support, motion.id(), i + 5);
            pool.item(format!("the same of another time {i}"), [same]);
        }
        let record = ControlRecord::Motion(motion).verify().expect("sound");
        pool.item(format!("motion {i}"), [Element::Control(record)]);
    }
    pool
}

fn roster_fork() -> Pool {
    let mut of = TestAlliance::new(1, &[("UKR", 3)]);
    let keys: Vec<_> = of.nations[0].nodes.iter().map(|node| node.author.key).collect();
    let said = of.node(0, 2).envelope(99, vec![1]);
    let above = of.node(0, 2).envelope(99, vec![2]);
    let second = of.retire(0, 1, Tip { seq: 3, id: EnvelopeId::new([3; 32]) });
    let note = of.roster_after(0, Some(&second), |roster| roster.note = "third".into());
    let cut = of.roster_after(0, Some(&second), |roster| retire(roster, &keys[2], above.header.tip()));
    let lower = of.roster_after(0, Some(&cut), |roster| retire(roster, &keys[2], said.header.tip()));
    let third = of.roster_after(0, Some(&second), |roster| roster.note = "one more".into());
    let first = of.nations[0].rosters[0].clone();
    let mut pool = Pool::new("roster fork", of.anchor(), control(&of.genesis).into());
    let rosters = [("first", &first), ("second", &second), ("third", &note), ("third that cuts", &cut)];
    for (what, roster) in rosters.into_iter().chain([("one more third", &third), ("fourth that cuts lower", &lower)]) {
        pool.item(what, control(roster));
    }
    together(&mut pool, "1", &said);
    together(&mut pool, "2", &above);
    pool
}

/// Two nodes whose changes build on each other's, in turn.
fn in_turn(of: &TestAlliance, count: usize) -> Vec<TestEnvelope> {
    let (mut state, mut nodes) = (of.state(), of.nations[0].nodes.clone());
    let mut said = Vec::new();
    for (i, number) in (0..count).zip(0..) {
        let change = nodes[i % 2].write(&state, vec![draft("pledge", number, "x")]).expect("writes");
        state.admit(change.elements().into());
        said.push(change);
    }
    said
}

fn siblings_on_each_other() -> Pool {
    let of = alliance();
    let mut pool = Pool::new("siblings on each other", of.anchor(), of.elements());
    for (i, change) in in_turn(&of, 4).iter().enumerate() {
        apart(&mut pool, &format!("change {i}"), change);
    }
    pool
}

fn waiting_on_what_is_cut() -> Pool {
    let mut of = alliance();
    let base = of.elements();
    let said = in_turn(&of, 5);
    let cut = of.retire(0, 0, said[0].header.tip());
    let nothing = of.retire(0, 0, Tip::NONE);
    let mut pool = Pool::new("waiting on what is cut", of.anchor(), base);
    for (i, change) in said.iter().enumerate() {
        together(&mut pool, &format!("change {i}"), change);
    }
    pool.item("cut at the first", control(&cut));
    pool.item("cut at nothing", control(&nothing));
    pool
}

fn branches(of: &TestAlliance) -> (TestNode, Vec<TestEnvelope>) {
    let (state, mut node) = (of.state(), of.nations[0].nodes[0].clone());
    let first = node.write(&state, vec![draft("pledge", 0, "x")]).expect("writes");
    let mut held = state;
    held.admit(first.elements().into());
    let mut said = vec![first];
    for number in 1..4 {
        let mut twin = node.clone();
        let (mut held, other) = (held.clone(), twin.write(&held, vec![draft("pledge", number, "y")]).expect("writes"));
        held.admit(other.elements().into());
        said.push(other);
        if number < 3 {
            said.push(twin.write(&held, vec![draft("pledge", number, "z")]).expect("writes"));
        }
    }
    node.tip = said[2].header.tip();
    (node, said)
}

fn fork_and_cut() -> Pool {
    let mut of = alliance();
    let base = of.elements();
    let (_, said) = branches(&of);
    let cut = of.retire(0, 0, said[4].header.tip());
    let mut pool = Pool::new("fork and cut", of.anchor(), base);
    for (i, envelope) in said.iter().enumerate() {
        together(&mut pool, &format!("{i}"), envelope);
    }
    pool.item("cut on the second branch", control(&cut));
    pool
}

fn cuts_that_sink() -> Pool {
    let mut of = alliance();
    let base = of.elements();
    let (_, said) = branches(&of);
    let cuts: Vec<_> = [2, 3, 0].into_iter().map(|at| of.retire(0, 0, said[at].header.tip())).collect();
    let mut pool = Pool::new("cuts that sink", of.anchor(), base);
    for (i, envelope) in said[..4].iter().enumerate() {
        together(&mut pool, &format!("{i}"), envelope);
    }
    for (i, cut) in cuts.iter().enumerate() {
        pool.item(format!("cut {i}"), control(cut));
    }
    pool
}

fn time_and_quota() -> Pool {
    let of = TestAlliance::with_params(1, &[("UKR", 1)], Params { chain_quota: 1_000, ..Params::default() });
    let mut node = of.nations[0].nodes[0].clone();
    let first = node.envelope(99, vec![1]);
    let mut early = TestNode { time_ms: 0, ..node.clone() };
    let mut heavy = node.clone();
    let mut pool = Pool::new("time and quota", of.anchor(), Vec::new());
    pool.item("first", first.elements());
    together(&mut pool, "too early", &early.envelope(99, vec![2]));
    together(&mut pool, "above too early", &early.envelope(99, vec![3]));
    together(&mut pool, "too heavy", &heavy.envelope(99, vec![4; 900]));
    together(&mut pool, "second", &node.envelope(99, vec![5]));
    together(&mut pool, "third", &node.envelope(99, vec![6]));
    pool.item("roster", control(&of.nations[0].rosters[0]));
    pool.item("genesis", control(&of.genesis));
    pool
}

fn witness_forks_and_retires() -> Pool {
    let mut of = alliance();
    let base = of.elements();
    let author = of.nations[1].nodes[0].author;
    let of_seq = |seq| Tip { seq, id: EnvelopeId::new([4; 32]) };
    let mut witness = of.nations[0].nodes[0].clone();
    let say = |of: &TestAlliance, witness: &mut TestNode, seq| {
        witness.body(&Body::Witness(witness_body(of, vec![Ack { author, tip: of_seq(seq) }])))
    };
    let first = say(&of, &mut witness, 3);
    let mut twin = witness.clone();
    let second = say(&of, &mut witness, 9);
    let other = say(&of, &mut twin, 7);
    let cut = of.retire(0, 0, other.header.tip());
    let lower = of.retire(0, 0, first.header.tip());
    let mut pool = Pool::new("a witness forks and retires", of.anchor(), base);
    apart(&mut pool, "first", &first);
    apart(&mut pool, "second", &second);
    apart(&mut pool, "the other second", &other);
    pool.item("cut", control(&cut));
    pool.item("lower cut", control(&lower));
    pool
}

fn kinds_without_effect() -> Pool {
    let of = alliance();
    let mut node = of.nations[0].nodes[0].clone();
    let said = [
        node.body(&encrypted()),
        node.envelope(KIND_KEY_GRANT, vec![0; 4]),
        node.raw_change(vec![1, 2, 3]),
        node.envelope(99, Vec::new()),
    ];
    let mut pool = Pool::new("kinds without effect", of.anchor(), of.elements());
    for (envelope, what) in said.iter().zip(["sealed", "malformed", "void", "unknown"]) {
        apart(&mut pool, what, envelope);
    }
    pool
}

fn restart_without_memory() -> Pool {
    let of = alliance();
    let (state, mut node) = (of.state(), of.nations[0].nodes[0].clone());
    let first = node.write(&state, vec![draft("pledge", 1, "before")]).expect("writes");
    // The second says the same change again; the third knows nothing of the first; its sibling builds on all it saw.
    let again = node.envelope(1, first.body.to_vec());
    let third = TestNode { tip: Tip::NONE, ..node.clone() }.write(&state, vec![draft("pledge", 1, "after")]);
    let third = node.envelope(1, third.expect("writes").body.to_vec());
    let mut held = of.state();
    held.admit(first.elements().into());
    let sibling = of.nations[0].nodes[1].clone().write(&held, vec![draft("pledge", 1, "sibling")]).expect("writes");
    let mut pool = Pool::new("restart without memory", of.anchor(), of.elements());
    for (envelope, what) in [&first, &again, &third, &sibling].into_iter().zip(["first", "again", "third", "sibling"]) {
        apart(&mut pool, what, envelope);
    }
    pool
}
