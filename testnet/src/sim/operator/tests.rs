//! Orders against the product's own replica, driven by hand.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::effect::{
    Authoring, Effect, Idempotency, Input, LinkId, LinkUp, RecordWrite, Replaces, RequestId, SaveOp, Source,
    WriteRefused, WriteRequest, Written,
};
use comity_protocol::guard::VoidReason;
use comity_protocol::ids::{AuthorKey, EnvelopeId, Timestamp, Tip};
use comity_protocol::message::{Frame, PushedEnvelope};
use comity_protocol::replica::{Config, RULES_MAX, Replica, Stored, WitnessCadence};
use comity_protocol::rules::Rules;
use comity_protocol::statement::Kind;
use comity_protocol::testing::{FOUNDED_MS, TestAlliance};

use super::{Answered, Meant, Operator, Order, Refusal};

/// A node of an alliance with the people at it.
struct Desk {
    replica: Replica,
    operator: Operator,
    now: Timestamp,
    requests: u64,
    /// The envelopes that the last orders made.
    saved: Vec<PushedEnvelope>,
}

impl Desk {
    fn new(alliance: &TestAlliance, nation: usize, node: usize, seed: u64) -> Self {
        let node = &alliance.nations[nation].nodes[node];
        let config = Config {
            alliance: alliance.id,
            nation: node.author.nation,
            key: node.key.clone(),
            seed,
            witness: WitnessCadence::NEVER,
            rules_max: RULES_MAX,
        };
        let replica = Replica::new(
            config,
            Rules::default(),
            Stored { state: alliance.state(), remembered: Vec::new(), authoring: Authoring::Free, signed: Tip::NONE },
        );
        let now = Timestamp(FOUNDED_MS + 1_000);
        Self { replica, operator: Operator::new(seed), now, requests: 0, saved: Vec::new() }
    }

    fn next(&mut self) -> Order {
        self.operator.next(self.replica.state(), &self.replica.me())
    }

    fn give(&mut self, order: &Order) -> Result<Written, WriteRefused> {
        self.now = self.now.plus_ms(1_000);
        self.requests += 1;
        let request = RequestId(self.requests);
        let Order { writes, idempotency, wait, .. } = order.clone();
        self.replica.handle(self.now, Input::Write(WriteRequest { request, writes, idempotency, wait }));
        let mut answer = None;
        while let Some(effect) = self.replica.poll_effect() {
            match effect {
                Effect::Written { request: of, outcome } if of == request => answer = Some(outcome),
                Effect::Save(ops) => self.saved.extend(envelope(&ops)),
                Effect::Push { .. }
                | Effect::Ask { .. }
                | Effect::Answer { .. }
                | Effect::Close { .. }
                | Effect::Admission(_)
                | Effect::Written { .. }
                | Effect::Held { .. }
                | Effect::Imported { .. }
                | Effect::Confirmed { .. }
                | Effect::Carried { .. }
                | Effect::Changed(_)
                | Effect::Alarm(_) => {}
            }
        }
        answer.expect("a write is answered at once")
    }

    /// Takes in what others wrote, over a link that is up for that long only.
    fn hear(&mut self, peer: AuthorKey, envelopes: &[PushedEnvelope]) {
        for envelope in envelopes {
            self.requests += 1;
            let link = LinkId(self.requests);
            self.replica.handle(self.now, Input::LinkUp(LinkUp { link, peer, source: Source::Loopback }));
            let frame = Frame::Push(vec![envelope.clone()]).encode();
            self.replica.handle(self.now, Input::Pushed { link, frame });
            self.replica.handle(self.now, Input::LinkDown { link });
        }
        while self.replica.poll_effect().is_some() {}
    }
}

/// Returns the envelope that a node saved, if it is a new one.
fn envelope(ops: &[SaveOp]) -> Option<PushedEnvelope> {
    let header = ops.iter().find_map(|op| match op {
        SaveOp::Header(header) => Some(header),
        SaveOp::Body { .. }
        | SaveOp::Control(_)
        | SaveOp::Signature { .. }
        | SaveOp::Remember(_)
        | SaveOp::Anchor(_)
        | SaveOp::Halt { .. }
        | SaveOp::Release { .. } => None,
    })?;
    let body = ops.iter().find_map(|op| match op {
        SaveOp::Body { bytes, .. } => Some(bytes.clone()),
        SaveOp::Header(_)
        | SaveOp::Control(_)
        | SaveOp::Signature { .. }
        | SaveOp::Remember(_)
        | SaveOp::Anchor(_)
        | SaveOp::Halt { .. }
        | SaveOp::Release { .. } => None,
    })?;
    Some(PushedEnvelope { header: header.header().encode(), signature: *header.signature()?, body })
}

fn alliance() -> TestAlliance {
    TestAlliance::new(3, &[("UKR", 2), ("DEU", 1), ("POL", 1)])
}

/// What a run of orders held.
#[derive(Default)]
struct Seen {
    whats: BTreeSet<&'static str>,
    said: BTreeSet<Kind>,
    refusals: BTreeSet<Refusal>,
    keyed: usize,
    waits: BTreeSet<usize>,
    most_writes: usize,
    if_winner: usize,
    repeats: usize,
}

/// Gives the operators of some nodes `turns` turns in all, everybody hearing everything; checks every answer.
fn run_into(seen: &mut Seen, seed: u64, places: &[(usize, usize)], turns: usize) {
    let alliance = alliance();
    let of = |((nation, node), seed): (&(usize, usize), u64)| Desk::new(&alliance, *nation, *node, seed);
    let mut desks: Vec<Desk> = places.iter().zip(seed * 10..).map(of).collect();
    let mut first_answers: BTreeMap<String, EnvelopeId> = BTreeMap::new();
    for turn in 0..turns {
        let at = turn % desks.len();
        let repeated = if turn % 9 == 8 { desks[at].operator.repeat() } else { None };
        let order = repeated.unwrap_or_else(|| desks[at].next());
        let answer = desks[at].give(&order);
        assert_eq!(order.meant.compare(&answer), Answered::AsMeant, "seed {seed}, turn {turn}: {order:#?}: {answer:?}");
        if let (Ok(written), Some(Idempotency { key, .. })) = (&answer, &order.idempotency) {
            let first = *first_answers.entry(key.clone()).or_insert(written.version);
            assert_eq!(first, written.version, "seed {seed}: a repetition gets the first answer");
            seen.repeats += usize::from(written.replayed);
        }
        note(seen, &order);
        let saved = std::mem::take(&mut desks[at].saved);
        for (other, desk) in desks.iter_mut().enumerate().filter(|(other, _)| *other != at) {
            // Whoever brings it: the last nation, unless that is the node itself.
            let peer = if places[other].0 == 2 { &alliance.nations[1] } else { &alliance.nations[2] };
            desk.hear(peer.nodes[0].author.key, &saved);
        }
    }
}

/// Notes what an order is.
fn note(seen: &mut Seen, order: &Order) {
    seen.whats.insert(order.what);
    seen.keyed += usize::from(order.idempotency.is_some());
    seen.waits.insert(order.wait);
    match order.meant {
        Meant::Legal => {
            seen.said.extend(order.writes.iter().filter_map(|write| Kind::from_name(&write.kind)));
            seen.most_writes = seen.most_writes.max(order.writes.len());
            let if_winner = |write: &&RecordWrite| matches!(write.replaces, Replaces::IfWinner(_));
            seen.if_winner += order.writes.iter().filter(if_winner).count();
        }
        Meant::Refused(refusal) => {
            seen.refusals.insert(refusal);
        }
    }
}

#[test]
fn every_order_gets_the_answer_it_is_meant_to_get() {
    let first: u64 = std::env::var("COMITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    println!("COMITY_SEED={first}");
    for seed in first..first + 4 {
        run_into(&mut Seen::default(), seed, &[(0, 0)], 300);
    }
}

#[test]
fn orders_of_every_kind_are_given() {
    let mut seen = Seen::default();
    for seed in 10..14 {
        run_into(&mut seen, seed, &[(0, 0), (0, 1), (1, 0), (2, 0)], 400);
    }
    assert_eq!(seen.said, Kind::ALL.into_iter().collect());
    let whats = [
        "accept",
        "as many as there may be",
        "bad idempotency key",
        "close",
        "damaged copy",
        "decline",
        "dispatch",
        "hub",
        "illegal",
        "key of another order",
        "large",
        "loss_report",
        "observation",
        "odd fields",
        "pledge",
        "profile",
        "receipt",
        "repeat",
        "requirement",
        "revise",
        "several at once",
        "shipment",
        "somebody else's role",
        "unknown kind",
        "withdraw",
    ];
    assert_eq!(seen.whats, whats.into_iter().collect());
    let voids = [
        VoidReason::TooLong,
        VoidReason::TooManyRows,
        VoidReason::KeyLength,
        VoidReason::ValueTooLong,
        VoidReason::RecordKey,
        VoidReason::RecordTwice,
        VoidReason::TooDeep,
    ];
    let others = [
        Refusal::Exists,
        Refusal::NoRecord,
        Refusal::OtherVersion,
        Refusal::Count,
        Refusal::IdempotencyKey,
        Refusal::OtherContent,
    ];
    assert_eq!(seen.refusals, voids.map(Refusal::Void).into_iter().chain(others).collect());
    assert_eq!(seen.waits, (0..=2).collect());
    assert_eq!(seen.most_writes, comity_protocol::limits::WRITES_PER_REQUEST_MAX);
    assert!(seen.keyed > 0 && seen.if_winner > 0 && seen.repeats > 0);
}

#[test]
fn conflicts_arise_between_nodes_that_do_not_hear_each_other() {
    let alliance = alliance();
    let mut desks = [(0, 0), (0, 1), (1, 0)].map(|(nation, node)| Desk::new(&alliance, nation, node, 77));
    desks[1].operator = Operator::new(78);
    let mut races = 0;
    for _ in 0..12 {
        let mut news = Vec::new();
        for desk in &mut desks {
            for _ in 0..8 {
                let order = desk.next();
                let answer = desk.give(&order);
                assert_eq!(order.meant.compare(&answer), Answered::AsMeant, "{order:#?}: {answer:?}");
            }
            news.push(std::mem::take(&mut desk.saved));
        }
        for (at, desk) in desks.iter_mut().enumerate() {
            for (_, saved) in news.iter().enumerate().filter(|(from, _)| *from != at) {
                desk.hear(alliance.nations[2].nodes[0].author.key, saved);
            }
        }
        let states = desks.each_ref().map(|desk| desk.replica.state().state());
        assert!(states.iter().all(|state| *state == states[0]), "all have heard all");
        let table = desks[0].replica.state().section(&alliance.nations[0].id).table();
        races += table.records().filter(|(_, record)| record.surviving().count() > 1).count();
    }
    assert!(races > 5, "{races} records in conflict, summed over the rounds");
    let state = desks[0].replica.state();
    let shown = comity_protocol::view::view(state, desks[0].now);
    let flagged: BTreeSet<_> = shown.flags.iter().map(|flag| flag.code.case()).collect();
    assert!(flagged.len() > 4, "{flagged:?}");
}

#[test]
fn the_same_seed_and_states_give_the_same_orders() {
    let alliance = alliance();
    let (mut one, mut two) = (Desk::new(&alliance, 0, 0, 5), Desk::new(&alliance, 0, 0, 5));
    for _ in 0..300 {
        let order = one.next();
        assert_eq!(order, two.next());
        assert_eq!(one.operator.repeat(), two.operator.repeat());
        assert_eq!(one.give(&order), two.give(&order));
    }
    let other = Desk::new(&alliance, 0, 0, 6).next();
    assert_ne!(other, Desk::new(&alliance, 0, 0, 5).next());
}

#[test]
fn a_node_that_holds_nothing_has_something_to_say() {
    let alliance = alliance();
    let state = comity_protocol::evaluate::State::new(alliance.anchor());
    let mut operator = Operator::new(1);
    for _ in 0..200 {
        operator.next(&state, &alliance.nations[1].nodes[0].author);
    }
}

#[test]
fn what_a_node_is_in_refuses_any_order() {
    for order in [Meant::Legal, Meant::Refused(Refusal::Exists)] {
        assert_eq!(order.compare(&Err(WriteRefused::StorageFull)), Answered::Circumstances);
        assert_eq!(order.compare(&Err(WriteRefused::Count { have: 0 })), Answered::Otherwise);
    }
    let exists = WriteRefused::Exists { kind: "hub".to_owned(), id: "0000000000".to_owned() };
    assert_eq!(Meant::Refused(Refusal::Exists).compare(&Err(exists)), Answered::AsMeant);
}
