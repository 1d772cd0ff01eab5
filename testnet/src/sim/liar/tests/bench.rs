//! A tiny network: two honest replicas and one liar, one queue, one clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use comity_protocol::chain::EnvelopeStanding;
use comity_protocol::effect::{
    Authoring, CloseReason, Effect, ExchangeId, Input, LinkId, LinkUp, RecordWrite, Replaces, RequestId, Source,
    WriteRequest,
};
use comity_protocol::ids::{AuthorId, EnvelopeId, Timestamp, Tip};
use comity_protocol::limits::EXCHANGE_IDLE_MS;
use comity_protocol::message::Frame;
use comity_protocol::replica::{Config, RULES_MAX, Replica, Stored, WitnessCadence};
use comity_protocol::rules::Rules;
use comity_protocol::testing::{FOUNDED_MS, TestAlliance, draft};

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::super::{Liar, LiarSetup, Lie, Strategy};

/// Honest nodes; their numbers are below this one.
pub(super) const HONEST: usize = 2;
/// The number of the liar.
pub(super) const LIAR: usize = 2;

const DELAY_MS: u64 = 7;
const WRITE_EVERY_MS: u64 = 900;
const REDIAL_MS: u64 = 400;

/// Something the liar sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) to: usize,
    pub(super) effect: Effect,
}

#[derive(Debug)]
enum Event {
    Input(usize, Input),
    Write(usize),
    Redial(usize, usize),
    /// A question of this node has had its time: if no answer came, it fails.
    Idle(usize, LinkId, ExchangeId),
}

/// The network.
pub(super) struct Bench {
    pub(super) alliance: TestAlliance,
    pub(super) honest: Vec<Replica>,
    pub(super) liar: Liar,
    pub(super) now: Timestamp,
    pub(super) sent: Vec<Sent>,
    /// Why honest nodes closed links to each other.
    closed: Vec<CloseReason>,
    written: BTreeSet<EnvelopeId>,
    links: BTreeMap<LinkId, (usize, usize)>,
    exchanges: BTreeMap<(LinkId, ExchangeId), ExchangeId>,
    cut: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(Timestamp, u64), Event>,
    next: u64,
    /// Nobody writes any more.
    quiet: bool,
    /// Whether frames on push streams are lost, come twice and overtake each other, and questions fail.
    pub(super) storm: bool,
    rng: ChaCha8Rng,
}

impl Bench {
    pub(super) fn new(strategy: Strategy, seed: u64) -> Self {
        let alliance = TestAlliance::new(seed, &[("UKR", 1), ("POL", 1), ("RUS", 1)]);
        let config = |node: usize| Config {
            alliance: alliance.id,
            nation: alliance.nations[node].id,
            key: alliance.nations[node].nodes[0].key.clone(),
            seed: seed + node as u64,
            witness: WitnessCadence::NEVER,
            rules_max: RULES_MAX,
        };
        let honest = (0..HONEST)
            .map(|node| {
                let stored = Stored {
                    state: alliance.state(),
                    remembered: Vec::new(),
                    authoring: Authoring::Free,
                    signed: Tip::NONE,
                };
                Replica::new(config(node), Rules::default(), stored)
            })
            .collect();
        let liar = Liar::new(LiarSetup {
            strategy,
            config: config(LIAR),
            anchor: alliance.anchor(),
            control: alliance.elements(),
            seed,
        });
        let mut bench = Self {
            alliance,
            honest,
            liar,
            now: Timestamp(FOUNDED_MS + 1_000_000),
            sent: Vec::new(),
            closed: Vec::new(),
            written: BTreeSet::new(),
            links: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            cut: BTreeSet::new(),
            queue: BTreeMap::new(),
            next: 0,
            quiet: false,
            storm: false,
            rng: ChaCha8Rng::seed_from_u64(seed),
        };
        for (a, b) in [(0, 1), (0, LIAR), (1, LIAR)] {
            bench.at(1, Event::Redial(a, b));
        }
        for node in 0..=LIAR {
            bench.at(500 + 100 * node as u64, Event::Write(node));
        }
        bench
    }

    pub(super) fn liar_lie(&self) -> &Lie {
        &self.liar.lie
    }

    /// Takes the liar's links down for good.
    pub(super) fn cut_off_liar(&mut self) {
        self.cut_pair(0, LIAR);
        self.cut_pair(1, LIAR);
    }

    /// Lets nobody write any more, and the liar add nothing more.
    pub(super) fn hush(&mut self) {
        self.quiet = true;
        self.liar.rest();
    }

    pub(super) fn cut_honest(&mut self) {
        self.cut_pair(0, 1);
    }

    pub(super) fn heal_honest(&mut self) {
        self.cut.remove(&(0, 1));
        self.at(1, Event::Redial(0, 1));
    }

    fn cut_pair(&mut self, a: usize, b: usize) {
        self.cut.insert((a, b));
        let link = self.links.iter().find(|(_, pair)| **pair == (a, b)).map(|(link, _)| *link);
        if let Some(link) = link {
            self.links.remove(&link);
            for node in [a, b] {
                self.at(1, Event::Input(node, Input::LinkDown { link }));
            }
        }
    }

    fn at(&mut self, delay_ms: u64, event: Event) {
        self.next += 1;
        self.queue.insert((self.now.plus_ms(delay_ms), self.next), event);
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        let mut steps = 0_u64;
        loop {
            steps += 1;
            assert!(steps < 400_000, "time stands still");
            let event = self.queue.keys().next().map(|(at, _)| *at);
            let wakeup = (0..=LIAR).filter_map(|node| Some((self.wakeup(node)?, node))).min();
            let next = event.into_iter().chain(wakeup.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            if let Some((at, node)) = wakeup
                && event.is_none_or(|event| at < event)
            {
                self.input(node, Input::Tick);
            } else if let Some((_, event)) = self.queue.pop_first() {
                self.happen(event);
            }
        }
        self.now = until;
    }

    fn wakeup(&self, node: usize) -> Option<Timestamp> {
        if node == LIAR { self.liar.next_wakeup() } else { self.honest[node].next_wakeup() }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input(node, input) => self.input(node, input),
            Event::Write(_) if self.quiet => {}
            Event::Write(node) => {
                self.next += 1;
                let number = self.next;
                let draft = draft("pledge", number, &format!("said at {number}"));
                let write =
                    RecordWrite { kind: draft.kind, id: draft.id, replaces: Replaces::Nothing, fields: draft.fields };
                let request = RequestId(number);
                let write = WriteRequest { request, writes: vec![write], idempotency: None, wait: 0 };
                self.input(node, Input::Write(write));
                self.at(WRITE_EVERY_MS, Event::Write(node));
            }
            Event::Redial(a, b) => self.dial(a, b),
            Event::Idle(node, link, theirs) => {
                if let Some(exchange) = self.exchanges.remove(&(link, theirs)) {
                    self.input(node, Input::ExchangeFailed { link, exchange });
                }
            }
        }
    }

    fn dial(&mut self, a: usize, b: usize) {
        if self.cut.contains(&(a, b)) || self.links.values().any(|pair| *pair == (a, b)) {
            return;
        }
        self.next += 1;
        let link = LinkId(self.next);
        self.links.insert(link, (a, b));
        for (node, peer) in [(a, b), (b, a)] {
            let up = LinkUp { link, peer: self.author(peer).key, source: Source::Loopback };
            self.input(node, Input::LinkUp(up));
        }
    }

    fn author(&self, node: usize) -> AuthorId {
        if node == LIAR { self.liar.me() } else { self.honest[node].me() }
    }

    fn input(&mut self, node: usize, input: Input) {
        let now = self.now;
        let mut effects = VecDeque::new();
        if node == LIAR {
            self.liar.handle(now, input);
            effects.extend(std::iter::from_fn(|| self.liar.poll_effect()));
        } else {
            self.honest[node].handle(now, input);
            effects.extend(std::iter::from_fn(|| self.honest[node].poll_effect()));
        }
        for effect in effects {
            self.carry_out(node, effect);
        }
    }

    fn other(&self, link: LinkId, node: usize) -> Option<usize> {
        let (a, b) = *self.links.get(&link)?;
        Some(if a == node { b } else { a })
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        let link = match &effect {
            Effect::Push { link, .. } | Effect::Ask { link, .. } | Effect::Answer { link, .. } => Some(*link),
            _ => None,
        };
        if node == LIAR
            && let Some(to) = link.and_then(|link| self.other(link, node))
        {
            self.sent.push(Sent { to, effect: effect.clone() });
        }
        match effect {
            Effect::Push { link, frame } => {
                let Some(other) = self.other(link, node) else { return };
                if !self.storm {
                    self.at(DELAY_MS, Event::Input(other, Input::Pushed { link, frame }));
                    return;
                }
                let copies = match self.rng.random_range(0..20) {
                    0 | 1 => 0,
                    2 | 3 => 2,
                    _ => 1,
                };
                for _ in 0..copies {
                    let delay = self.rng.random_range(1..120);
                    self.at(delay, Event::Input(other, Input::Pushed { link, frame: frame.clone() }));
                }
            }
            Effect::Ask { link, exchange, frame } => {
                let Some(other) = self.other(link, node) else { return };
                if self.storm && self.rng.random_range(0..12) == 0 {
                    self.at(400, Event::Input(node, Input::ExchangeFailed { link, exchange }));
                    return;
                }
                self.next += 1;
                let theirs = ExchangeId((1 << 50) + self.next);
                self.exchanges.insert((link, theirs), exchange);
                self.at(DELAY_MS, Event::Input(other, Input::Asked { link, exchange: theirs, frame }));
                self.at(EXCHANGE_IDLE_MS, Event::Idle(node, link, theirs));
            }
            Effect::Answer { link, exchange, frames } => self.answer(node, link, exchange, frames),
            Effect::Close { link, reason } => self.close(node, link, reason),
            Effect::Written { outcome, .. } => {
                if node != LIAR {
                    self.written.insert(outcome.expect("an honest write is never refused").version);
                }
            }
            Effect::Save(_) => assert!(node != LIAR, "a liar has no disk"),
            Effect::Admission(_)
            | Effect::Held { .. }
            | Effect::Imported { .. }
            | Effect::Confirmed { .. }
            | Effect::Carried { .. }
            | Effect::Changed(_)
            | Effect::Alarm(_) => {}
        }
    }

    fn answer(&mut self, node: usize, link: LinkId, exchange: ExchangeId, frames: Vec<Vec<u8>>) {
        let Some(other) = self.other(link, node) else { return };
        let exchange = self.exchanges.remove(&(link, exchange)).expect("a question is answered once");
        let ends = frames.iter().any(|frame| matches!(Frame::decode(frame), Ok(Frame::End(_))));
        assert!(ends || node == LIAR, "an honest answer has an end");
        let mut delay = DELAY_MS;
        for frame in frames {
            self.at(delay, Event::Input(other, Input::Reply { link, exchange, frame }));
            delay += 1;
        }
        if !ends {
            self.at(delay + 300, Event::Input(other, Input::ExchangeFailed { link, exchange }));
        }
    }

    fn close(&mut self, node: usize, link: LinkId, reason: CloseReason) {
        let Some(other) = self.other(link, node) else { return };
        if node != LIAR && other != LIAR {
            self.closed.push(reason);
        }
        let (a, b) = self.links.remove(&link).expect("just found");
        self.at(DELAY_MS, Event::Input(other, Input::LinkDown { link }));
        self.at(REDIAL_MS, Event::Redial(a, b));
    }

    /// What must hold of the honest, whatever the liar did, once they are among themselves.
    pub(super) fn check_honest(&self) {
        self.check_kept();
        let digests = |honest: &Replica| (honest.state().held(), honest.state().control(), honest.state().state());
        assert_eq!(digests(&self.honest[0]), digests(&self.honest[1]), "the honest agree");
    }

    /// What must hold of the honest even while the liar goes on.
    pub(super) fn check_kept(&self) {
        assert!(self.closed.is_empty(), "honest nodes closed links to each other: {:?}", self.closed);
        assert!(self.written.len() > 20);
        let keys: Vec<_> = (0..HONEST).map(|node| self.honest[node].me().key).collect();
        for honest in &self.honest {
            let struck = honest.peers().into_iter().filter(|peer| keys.contains(&peer.key) && peer.strikes > 0);
            assert_eq!(struck.count(), 0, "an honest node was struck");
            let state = honest.state();
            for id in &self.written {
                let view = state.envelope(id).expect("an honest statement is everywhere");
                assert_eq!(view.standing, EnvelopeStanding::Accepted);
            }
            for author in (0..HONEST).map(|node| self.honest[node].me()) {
                let chain = state.chain(&author).expect("held");
                assert_eq!((chain.fork(), chain.bodies_to()), (None, chain.tip().seq));
                assert_eq!(state.section(&author.nation).counts().void, 0);
            }
        }
    }
}
