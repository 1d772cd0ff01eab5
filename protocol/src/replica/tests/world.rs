//! A deterministic network of replicas with stores, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::charter::Anchor;
use crate::control::VerifiedControl;
use crate::effect::{
    Alarm, Authoring, CloseReason, Confirm, ConfirmRefused, Effect, Evidence, ExchangeId, HaltReason, Idempotency,
    ImportOutcome, Input, LinkId, LinkUp, RecordWrite, Remembered, Replaces, RequestId, SaveOp, Source, WriteRefused,
    WriteRequest, Written,
};
use crate::envelope::{AttestedHeader, Header};
use crate::evaluate::{Element, State};
use crate::ids::{AuthorId, ControlId, EnvelopeId, NationId, Timestamp, Tip};
use crate::keys::SecretKey;
use crate::message::{Frame, Outcome};
use crate::replica::{Config, RULES_MAX, Replica, Stored, WitnessCadence, content_digest};
use crate::rules::Rules;
use crate::testing::{FOUNDED_MS, TestAlliance, draft};

/// What the network does to frames.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    /// Shortest and longest way, in milliseconds; frames on push streams may overtake each other.
    pub(super) delay_ms: (u64, u64),
    /// Of a thousand frames on push streams, how many are lost; of a thousand questions, how many fail.
    pub(super) lost: u64,
    /// Of a thousand frames on push streams, how many come twice.
    pub(super) twice: u64,
}

pub(super) const CALM: Weather = Weather { delay_ms: (1, 1), lost: 0, twice: 0 };
pub(super) const STORM: Weather = Weather { delay_ms: (1, 80), lost: 60, twice: 60 };

/// What survives a crash.
#[derive(Default)]
pub(super) struct Disk {
    controls: BTreeMap<ControlId, VerifiedControl>,
    headers: BTreeMap<EnvelopeId, AttestedHeader>,
    bodies: BTreeMap<EnvelopeId, Arc<[u8]>>,
    remembered: Vec<Remembered>,
    anchor: Option<Anchor>,
    pub(super) authoring: Authoring,
}

impl Disk {
    fn save(&mut self, op: SaveOp) {
        match op {
            SaveOp::Control(control) => {
                self.controls.insert(control.id(), control);
            }
            SaveOp::Header(header) => {
                self.headers.insert(header.id(), header);
            }
            SaveOp::Signature { id, signature } => {
                let header = self.headers.get(&id).expect("a signature is saved after its header").header().clone();
                self.headers.insert(id, AttestedHeader::trusted(header, Some(signature)));
            }
            SaveOp::Body { id, bytes } => {
                assert!(self.headers.contains_key(&id), "a body is saved after its header");
                self.bodies.insert(id, bytes);
            }
            SaveOp::Remember(remembered) => self.remembered.push(remembered),
            SaveOp::Anchor(anchor) => self.anchor = Some(anchor),
            SaveOp::Halt { tip } => self.authoring = Authoring::Halted(HaltReason::ForeignOwn { tip }),
            SaveOp::Release { .. } => self.authoring = Authoring::Free,
        }
    }

    /// Damages rows of `author` at some positions.
    pub(super) fn lose(&mut self, author: AuthorId, seqs: std::ops::RangeInclusive<u64>) {
        let gone =
            |header: &AttestedHeader| header.header().author_id() == author && seqs.contains(&header.header().seq);
        self.headers.retain(|_, header| !gone(header));
        self.bodies.retain(|id, _| self.headers.contains_key(id));
    }

    /// What an older copy of it held: of `author` nothing above `seq`.
    pub(super) fn forget_above(&mut self, author: AuthorId, seq: u64) {
        let gone = |header: &AttestedHeader| header.header().author_id() == author && header.header().seq > seq;
        self.headers.retain(|_, header| !gone(header));
        self.bodies.retain(|id, _| self.headers.contains_key(id));
    }

    fn elements(&self) -> Vec<Element> {
        let controls = self.controls.values().cloned().map(Element::Control);
        let headers = self.headers.values().cloned().map(Element::Header);
        let bodies = self.bodies.iter().map(|(id, bytes)| Element::Body { id: *id, bytes: Arc::clone(bytes) });
        controls.chain(headers).chain(bodies).collect()
    }
}

/// One node: a replica and its store.
pub(super) struct Node {
    pub(super) replica: Replica,
    pub(super) config: Config,
    rules: Rules,
    pub(super) disk: Disk,
    pub(super) written: BTreeMap<RequestId, Result<Written, WriteRefused>>,
    pub(super) held: BTreeMap<RequestId, (Timestamp, Vec<NationId>)>,
    pub(super) imported: BTreeMap<RequestId, Vec<ImportOutcome>>,
    pub(super) confirmed: BTreeMap<RequestId, Result<Tip, ConfirmRefused>>,
    /// What became of courier frames.
    pub(super) carried: BTreeMap<RequestId, crate::bundle::Carried>,
    pub(super) alarms: Vec<Alarm>,
    pub(super) closed: Vec<CloseReason>,
    /// How often each envelope came by push.
    pub(super) pushes_in: BTreeMap<EnvelopeId, usize>,
    /// Answered writes and pushes that were not on the disk.
    pub(super) spoken_unsaved: usize,
}

impl Node {
    /// Whether an envelope is on the disk, with its body.
    pub(super) fn saved(&self, id: &EnvelopeId) -> bool {
        self.disk.bodies.contains_key(id)
    }
}

enum Event {
    Input(usize, Input),
    Redial(usize, usize),
}

/// The network.
pub(super) struct World {
    pub(super) alliance: TestAlliance,
    pub(super) nodes: Vec<Node>,
    pub(super) now: Timestamp,
    pub(super) weather: Weather,
    /// How often witnesses speak.
    pub(super) witness: WitnessCadence,
    links: BTreeMap<LinkId, (usize, usize)>,
    exchanges: BTreeMap<(LinkId, ExchangeId), usize>,
    wanted: BTreeSet<(usize, usize)>,
    cut: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(Timestamp, u64), Event>,
    next: u64,
    next_link: u64,
    next_exchange: u64,
    next_request: u64,
    rng: u64,
}

impl World {
    /// A world with the nations of `alliance` and no nodes yet.
    pub(super) fn new(seed: u64, alliance: TestAlliance) -> Self {
        Self {
            alliance,
            nodes: Vec::new(),
            now: Timestamp(FOUNDED_MS + 1_000_000),
            weather: CALM,
            witness: WitnessCadence::NEVER,
            links: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            wanted: BTreeSet::new(),
            cut: BTreeSet::new(),
            queue: BTreeMap::new(),
            next: 0,
            next_link: 0,
            next_exchange: 1 << 32,
            next_request: 0,
            rng: seed,
        }
    }

    /// A world of `n` nations with one node each, all rosters known to all, in full mesh.
    pub(super) fn mesh(seed: u64, n: usize) -> Self {
        let codes = ["UKR", "POL", "DEU", "FRA", "NLD"];
        let nations: Vec<(&str, usize)> = codes.iter().take(n).map(|code| (*code, 1)).collect();
        let mut world = Self::new(seed, TestAlliance::new(seed, &nations));
        for nation in 0..n {
            let elements = world.alliance.elements();
            world.add(nation, 0, elements);
        }
        for a in 0..n {
            for b in a + 1..n {
                world.connect(a, b);
            }
        }
        world
    }

    pub(super) fn random(&mut self, bound: u64) -> u64 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// Adds a node of a nation that holds `elements`; returns its number.
    pub(super) fn add(&mut self, nation: usize, node: usize, elements: Vec<Element>) -> usize {
        let test = &self.alliance.nations[nation].nodes[node];
        let (key, nation) = (test.key.clone(), test.author.nation);
        self.add_key(key, nation, elements, Rules::default())
    }

    pub(super) fn add_key(&mut self, key: SecretKey, nation: NationId, elements: Vec<Element>, rules: Rules) -> usize {
        let config = Config {
            alliance: self.alliance.id,
            nation,
            key,
            seed: self.random(u64::MAX),
            witness: self.witness,
            rules_max: RULES_MAX,
        };
        let mut disk = Disk::default();
        for element in elements {
            disk.save(match element {
                Element::Control(control) => SaveOp::Control(control),
                Element::Header(header) => SaveOp::Header(header),
                Element::Body { id, bytes } => SaveOp::Body { id, bytes },
            });
        }
        let replica = self.start(&config, rules, &disk);
        self.nodes.push(Node {
            replica,
            config,
            rules,
            disk,
            written: BTreeMap::new(),
            held: BTreeMap::new(),
            imported: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            carried: BTreeMap::new(),
            alarms: Vec::new(),
            closed: Vec::new(),
            pushes_in: BTreeMap::new(),
            spoken_unsaved: 0,
        });
        self.nodes.len() - 1
    }

    fn start(&self, config: &Config, rules: Rules, disk: &Disk) -> Replica {
        let mut state = State::under(disk.anchor.unwrap_or(self.alliance.anchor()), rules);
        state.admit(disk.elements());
        Replica::new(
            config.clone(),
            rules,
            Stored { state, remembered: disk.remembered.clone(), authoring: disk.authoring, signed: Tip::NONE },
        )
    }

    /// Wants a link between two nodes, dialled again whenever it is down.
    pub(super) fn connect(&mut self, a: usize, b: usize) {
        self.wanted.insert((a, b));
        self.at(1, Event::Redial(a, b));
    }

    /// Cuts two nodes off from each other; nobody is told.
    pub(super) fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
    }

    pub(super) fn heal(&mut self, a: usize, b: usize) {
        self.cut.remove(&(a.min(b), a.max(b)));
    }

    /// Stops a node as a kill does and starts it again from its disk; its links are down.
    pub(super) fn crash(&mut self, node: usize) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, (a, b))| *a == node || *b == node).map(|(id, _)| *id).collect();
        self.queue.retain(|_, event| !matches!(event, Event::Input(to, _) if *to == node));
        let replica = self.start(&self.nodes[node].config, self.nodes[node].rules, &self.nodes[node].disk);
        self.nodes[node].replica = replica;
        for link in links {
            self.down(link, node);
        }
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        self.nodes[node].replica.handle(self.now, input);
        self.carry_out(node);
    }

    /// Writes a first version of a record; returns the request.
    pub(super) fn write(&mut self, node: usize, number: u64, note: &str) -> RequestId {
        self.write_with(node, number, note, Replaces::Nothing, None, 0)
    }

    pub(super) fn write_with(
        &mut self,
        node: usize,
        number: u64,
        note: &str,
        replaces: Replaces,
        key: Option<&str>,
        wait: usize,
    ) -> RequestId {
        let request = self.request();
        let draft = draft("pledge", number, note);
        let write = RecordWrite { kind: draft.kind, id: draft.id, replaces, fields: draft.fields };
        let idempotency = key.map(|key| Idempotency { key: key.to_owned(), content: content_digest(note.as_bytes()) });
        self.input(node, Input::Write(WriteRequest { request, writes: vec![write], idempotency, wait }));
        request
    }

    /// Confirms the own chain of a node up to `adopt`; returns what came of it.
    pub(super) fn confirm(&mut self, node: usize, adopt: Tip, evidence: Evidence) -> Result<Tip, ConfirmRefused> {
        let request = self.request();
        self.input(node, Input::Confirm(Confirm { request, adopt, evidence }));
        self.nodes[node].confirmed.remove(&request).expect("answered at once")
    }

    pub(super) fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    fn at(&mut self, delay_ms: u64, event: Event) {
        self.next += 1;
        self.queue.insert((self.now.plus_ms(delay_ms), self.next), event);
    }

    fn delay(&mut self) -> u64 {
        let (low, high) = self.weather.delay_ms;
        low + self.random(high - low + 1)
    }

    fn other(&self, link: LinkId, node: usize) -> Option<usize> {
        let (a, b) = *self.links.get(&link)?;
        Some(if a == node { b } else { a })
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// Takes a link down that `node` has left already.
    fn down(&mut self, link: LinkId, node: usize) {
        let Some(other) = self.other(link, node) else { return };
        let (a, b) = self.links.remove(&link).expect("just found");
        let delay = self.delay();
        if self.is_cut(a, b) {
            // The other side finds out by itself.
            self.at(20_000, Event::Input(other, Input::LinkDown { link }));
        } else {
            self.at(delay, Event::Input(other, Input::LinkDown { link }));
        }
        self.at(500, Event::Redial(a, b));
    }

    fn redial(&mut self, a: usize, b: usize) {
        let linked = self.links.values().any(|pair| *pair == (a, b));
        if linked || !self.wanted.contains(&(a, b)) {
            return;
        }
        if self.is_cut(a, b) {
            self.at(500, Event::Redial(a, b));
            return;
        }
        self.next_link += 1;
        let link = LinkId(self.next_link);
        self.links.insert(link, (a, b));
        for (node, peer) in [(a, b), (b, a)] {
            let up = LinkUp { link, peer: self.nodes[peer].replica.me().key, source: Source::Loopback };
            self.input(node, Input::LinkUp(up));
        }
    }

    /// Carries out what a node wants, in order.
    fn carry_out(&mut self, node: usize) {
        while let Some(effect) = self.nodes[node].replica.poll_effect() {
            self.carry_out_one(node, effect);
        }
    }

    fn carry_out_one(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Save(ops) => ops.into_iter().for_each(|op| self.nodes[node].disk.save(op)),
            Effect::Push { link, frame } => self.push(node, link, frame),
            Effect::Ask { link, exchange, frame } => self.ask(node, link, exchange, frame),
            Effect::Answer { link, exchange, frames } => self.answer(node, link, exchange, frames),
            Effect::Close { link, reason } => {
                self.nodes[node].closed.push(reason);
                self.down(link, node);
            }
            Effect::Written { request, outcome } => {
                if let Ok(written) = &outcome
                    && !self.nodes[node].saved(&written.version)
                {
                    self.nodes[node].spoken_unsaved += 1;
                }
                self.nodes[node].written.insert(request, outcome);
            }
            Effect::Held { request, nations } => {
                let now = self.now;
                self.nodes[node].held.insert(request, (now, nations));
            }
            Effect::Imported { request, outcomes } => {
                self.nodes[node].imported.insert(request, outcomes);
            }
            Effect::Confirmed { request, outcome } => {
                self.nodes[node].confirmed.insert(request, outcome);
            }
            Effect::Carried { request, carried } => {
                self.nodes[node].carried.insert(request, *carried);
            }
            Effect::Alarm(alarm) => self.nodes[node].alarms.push(alarm),
            Effect::Admission(_) | Effect::Changed(_) => {}
        }
    }

    fn push(&mut self, node: usize, link: LinkId, frame: Vec<u8>) {
        if let Ok(Frame::Push(envelopes)) = Frame::decode(&frame) {
            for envelope in &envelopes {
                let id = Header::decode(&envelope.header).expect("an honest header").id();
                if !self.nodes[node].saved(&id) {
                    self.nodes[node].spoken_unsaved += 1;
                }
            }
        }
        let Some(other) = self.other(link, node) else { return };
        if self.is_cut(node, other) || self.random(1_000) < self.weather.lost {
            return;
        }
        let copies = 1 + u64::from(self.random(1_000) < self.weather.twice);
        for _ in 0..copies {
            let delay = self.delay();
            self.at(delay, Event::Input(other, Input::Pushed { link, frame: frame.clone() }));
        }
    }

    fn ask(&mut self, node: usize, link: LinkId, exchange: ExchangeId, frame: Vec<u8>) {
        let Some(other) = self.other(link, node) else { return };
        let delay = self.delay();
        if self.is_cut(node, other) || self.random(1_000) < self.weather.lost {
            self.at(delay + 3_000, Event::Input(node, Input::ExchangeFailed { link, exchange }));
            return;
        }
        self.next_exchange += 1;
        // The answer finds its way back by the number the question had.
        let theirs = ExchangeId(self.next_exchange);
        self.exchanges.insert((link, theirs), usize::try_from(exchange.0).expect("small"));
        self.at(delay, Event::Input(other, Input::Asked { link, exchange: theirs, frame }));
    }

    fn answer(&mut self, node: usize, link: LinkId, exchange: ExchangeId, frames: Vec<Vec<u8>>) {
        assert!(matches!(
            frames.last().map(|last| Frame::decode(last)),
            Some(Ok(Frame::End(Outcome::Complete | Outcome::Incomplete)))
        ));
        let asked = self.exchanges.remove(&(link, exchange)).expect("a question is answered once");
        let exchange = ExchangeId(asked as u64);
        let Some(other) = self.other(link, node) else { return };
        if self.is_cut(node, other) {
            self.at(3_000, Event::Input(other, Input::ExchangeFailed { link, exchange }));
            return;
        }
        let mut delay = self.delay();
        let whole = self.random(1_000) >= self.weather.lost;
        let keep = if whole { frames.len() } else { usize::try_from(self.random(frames.len() as u64)).expect("small") };
        for frame in frames.into_iter().take(keep) {
            self.at(delay, Event::Input(other, Input::Reply { link, exchange, frame }));
            delay += 1;
        }
        if !whole {
            self.at(delay + 100, Event::Input(other, Input::ExchangeFailed { link, exchange }));
        }
    }

    /// Lets the next thing happen; whether there was one before `until`.
    fn step(&mut self, until: Timestamp) -> bool {
        let event = self.queue.keys().next().map(|(at, _)| *at);
        let wakeup = (0..self.nodes.len()).filter_map(|i| Some((self.nodes[i].replica.next_wakeup()?, i))).min();
        let next = event.into_iter().chain(wakeup.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= until) else {
            self.now = until;
            return false;
        };
        self.now = self.now.max(next);
        if let Some((at, node)) = wakeup
            && event.is_none_or(|event| at < event)
        {
            self.input(node, Input::Tick);
            return true;
        }
        let Some((_, event)) = self.queue.pop_first() else { return true };
        match event {
            Event::Input(node, input) => {
                if let Input::Pushed { frame, .. } = &input
                    && let Ok(Frame::Push(envelopes)) = Frame::decode(frame)
                {
                    for envelope in envelopes {
                        let id = Header::decode(&envelope.header).expect("an honest header").id();
                        *self.nodes[node].pushes_in.entry(id).or_default() += 1;
                    }
                }
                self.input(node, input);
            }
            Event::Redial(a, b) => self.redial(a, b),
        }
        true
    }

    /// Lets `ms` milliseconds pass.
    pub(super) fn run(&mut self, ms: u64) {
        let until = self.now.plus_ms(ms);
        while self.step(until) {}
    }

    /// Lets time pass until `done`; panics after `ms` milliseconds.
    pub(super) fn run_until(&mut self, ms: u64, what: &str, done: impl Fn(&Self) -> bool) {
        let until = self.now.plus_ms(ms);
        while !done(self) {
            assert!(self.step(until), "not within {ms} ms: {what}");
        }
    }

    /// Whether all nodes hold and compute the same.
    pub(super) fn converged(&self) -> bool {
        let digests = |node: &Node| {
            let state = node.replica.state();
            (state.held(), state.control(), state.state())
        };
        self.nodes.windows(2).all(|pair| digests(&pair[0]) == digests(&pair[1]))
    }

    /// Checks what must hold for honest nodes at any time.
    pub(super) fn check_honest(&self) {
        for (i, node) in self.nodes.iter().enumerate() {
            let counters = node.replica.counters();
            assert_eq!(node.spoken_unsaved, 0, "node {i} spoke of what it had not saved");
            assert_eq!(
                (
                    counters.refused_frame,
                    counters.refused_alliance,
                    counters.refused_signature,
                    counters.refused_field,
                    counters.refused_body,
                    counters.refused_reply,
                    counters.struck_out,
                    counters.refused_rate,
                ),
                (0, 0, 0, 0, 0, 0, 0, 0),
                "node {i} struck an honest peer: {counters:?}"
            );
        }
    }

    pub(super) fn version(&self, node: usize, request: RequestId) -> EnvelopeId {
        self.nodes[node].written[&request].as_ref().expect("written").version
    }
}
