//! Pools from a seed: a short history of one to three nations, of which some records are held, some arrive in any order, and
//! some never come.

use comity_protocol::body::{Ack, Body, ChangeBody, KIND_CHANGE, KIND_KEY_GRANT, WitnessBody};
use comity_protocol::control::{Motion, Params, Vote, VoteStep};
use comity_protocol::envelope::Header;
use comity_protocol::evaluate::{Element, State};
use comity_protocol::guard::{Draft, compose, prescan};
use comity_protocol::ids::{ChangeHash, CharterId, ControlId, Digest, EnvelopeId, Tip};
use comity_protocol::testing::{TestAlliance, TestEnvelope, TestNode, draft, retire, revision};
use comity_protocol::value::record_id_from;

use crate::dice::Dice;
use crate::lattice::Pool;

const CODES: [&str; 3] = ["UKR", "POL", "DEU"];

/// A node as the history moves it: its place, what it sees, and its earlier places, to fork from.
struct Actor {
    nation: usize,
    node: TestNode,
    state: State,
    places: Vec<TestNode>,
    changes: Vec<Vec<u8>>,
}

struct History<'d> {
    dice: &'d mut Dice,
    alliance: TestAlliance,
    actors: Vec<Actor>,
    envelopes: Vec<TestEnvelope>,
    control: Vec<Element>,
}

/// Returns a pool of `size` items.
pub(crate) fn pool(seed: u64, size: usize) -> Pool {
    let mut dice = Dice::new(seed);
    let nations: Vec<(&str, usize)> =
        CODES[..1 + dice.below(3)].iter().map(|code| (*code, 1 + dice.below(2))).collect();
    let chain_quota = if dice.chance(15) { 1_200 } else { Params::default().chain_quota };
    let alliance = TestAlliance::with_params(seed % 16, &nations, Params { chain_quota, max_active_keys: 3 });
    let mut history = History::new(&mut dice, alliance);
    for _ in 0..size {
        history.step();
    }
    history.finish(format!("of seed {seed}"), size)
}

impl<'d> History<'d> {
    fn new(dice: &'d mut Dice, alliance: TestAlliance) -> Self {
        let state = alliance.state();
        let mut actors = Vec::new();
        for (nation, of) in alliance.nations.iter().enumerate() {
            for node in &of.nodes {
                let places = vec![node.clone()];
                actors.push(Actor { nation, node: node.clone(), state: state.clone(), places, changes: Vec::new() });
            }
        }
        Self { actors, dice, alliance, envelopes: Vec::new(), control: Vec::new() }
    }

    fn step(&mut self) {
        let actor = self.dice.below(self.actors.len());
        match self.dice.below(100) {
            0..34 => self.write(actor),
            34..50 => self.look(actor),
            50..62 => self.fork(actor),
            62..67 => self.spoil(actor),
            67..72 => self.other_body(actor),
            72..78 => self.witness(actor),
            78..82 => self.odd_header(actor),
            82..95 => self.roster(actor),
            _ => self.vote(actor),
        }
    }

    /// An honest change on what the node sees; now and then on what it does not.
    fn write(&mut self, at: usize) {
        let number = u64::try_from(self.dice.below(3)).expect("small");
        let actor = &self.actors[at];
        let section = actor.state.section(&actor.node.author.nation);
        let known = section.replaces("pledge", &record_id_from(number));
        let note = format!("{}", self.envelopes.len());
        let write =
            if known.is_empty() { draft("pledge", number, &note) } else { revision("pledge", number, known, &note) };
        let mut draft = section.draft(&actor.node.author.key, actor.node.time_ms, vec![write]);
        match self.dice.below(24) {
            0 => draft.deps = vec![ChangeHash::new([9; 32])],
            1 | 2 => {
                let earlier = actor.changes.get(self.dice.below(actor.changes.len()));
                let change = earlier.and_then(|change| prescan(&actor.node.author.key, change).ok());
                draft.deps = change.map(|change| change.hash).into_iter().collect();
            }
            3 => draft.start_op += 1,
            4 => draft.seq += 1,
            _ => {}
        }
        self.change(at, &draft);
    }

    fn change(&mut self, at: usize, draft: &Draft) {
        if let Ok(change) = compose(draft) {
            self.actors[at].changes.push(change.clone());
            let envelope = self.actors[at].node.raw_change(change);
            self.said(at, envelope);
        }
    }

    fn said(&mut self, at: usize, envelope: TestEnvelope) {
        let actor = &mut self.actors[at];
        actor.state.admit(envelope.elements().into());
        actor.places.push(actor.node.clone());
        self.envelopes.push(envelope);
    }

    /// The node receives most of what others said, and writes on it.
    fn look(&mut self, at: usize) {
        for envelope in &self.envelopes {
            if self.dice.chance(80) {
                self.actors[at].state.admit(envelope.elements().into());
            }
        }
        self.write(at);
    }

    /// The node goes back to an earlier place, with or without its memory.
    fn fork(&mut self, at: usize) {
        let place = self.dice.below(self.actors[at].places.len());
        self.actors[at].node = self.actors[at].places[place].clone();
        if self.dice.chance(50) {
            self.actors[at].state = self.alliance.state();
        }
        self.write(at);
    }

    /// A change that is none, or one said before.
    fn spoil(&mut self, at: usize) {
        let changes = &self.actors[at].changes;
        let mut bytes = changes.get(self.dice.below(changes.len())).cloned().unwrap_or_default();
        if self.dice.chance(60) {
            let position = self.dice.below(bytes.len());
            if let Some(byte) = bytes.get_mut(position) {
                *byte ^= 1;
            }
        }
        let node = &mut self.actors[at].node;
        let envelope = if self.dice.chance(30) { node.envelope(KIND_CHANGE, bytes) } else { node.raw_change(bytes) };
        self.said(at, envelope);
    }

    fn other_body(&mut self, at: usize) {
        let node = &mut self.actors[at].node;
        let envelope = match self.dice.below(4) {
            0 => node.envelope(99, vec![1, 2, 3]),
            1 => node.envelope(KIND_KEY_GRANT, vec![0; 4]),
            2 => node.body(&encrypted()),
            _ => node.body(&Body::Change(ChangeBody::Clear { compartment: 3, change: vec![1] })),
        };
        self.said(at, envelope);
    }

    fn witness(&mut self, at: usize) {
        let chains = self.actors[at].state.chains().filter(|chain| chain.tip() != Tip::NONE);
        let mut acks: Vec<Ack> = chains.map(|chain| Ack { author: chain.author(), tip: chain.tip() }).collect();
        acks.sort_by_key(|ack| ack.author);
        let body = Body::Witness(witness_body(&self.alliance, acks));
        let envelope = self.actors[at].node.body(&body);
        self.said(at, envelope);
    }

    /// A header that does not link: too early a time, or above a gap.
    fn odd_header(&mut self, at: usize) {
        let node = &self.actors[at].node;
        let mut odd = node.clone();
        if self.dice.chance(50) {
            odd.time_ms = 0;
            self.envelopes.push(odd.envelope(99, vec![7]));
        } else {
            let header = Header {
                seq: node.tip.seq + 2,
                prev: EnvelopeId::new([8; 32]),
                ..odd.envelope(99, vec![7]).header.header().clone()
            };
            self.envelopes.push(odd.sign(header, vec![7]));
        }
    }

    fn roster(&mut self, at: usize) {
        let (nation, key) = (self.actors[at].nation, self.actors[at].node.author.key);
        let places = &self.actors[at].places;
        let cut = if self.dice.chance(20) {
            Tip { seq: 1 + u64::try_from(self.dice.below(3)).expect("small"), id: EnvelopeId::new([5; 32]) }
        } else {
            places[self.dice.below(places.len())].tip
        };
        match self.dice.below(10) {
            0..5 => {
                self.alliance.roster(nation, |roster| retire(roster, &key, cut));
            }
            5..7 => {
                let node = self.alliance.add_node(nation, 7).clone();
                let line = node.roster_key(false);
                self.alliance.roster(nation, |roster| roster.keys.push(line));
                let (state, places) = (self.alliance.state(), vec![node.clone()]);
                self.actors.push(Actor { nation, node, state, places, changes: Vec::new() });
                self.write(self.actors.len() - 1);
            }
            7..9 => {
                // A second roster of a version that is taken, or one that breaks a step rule.
                let rosters = &self.alliance.nations[nation].rosters;
                let prev = rosters.get(self.dice.below(rosters.len() + 1)).cloned();
                let (note, forget) = (format!("{}", self.dice.below(3)), self.dice.chance(30));
                let other = self.alliance.roster_after(nation, prev.as_ref(), |roster| {
                    roster.note = note;
                    if forget {
                        roster.keys.pop();
                    } else {
                        retire(roster, &key, cut);
                    }
                });
                self.control.push(Element::Control(other));
            }
            _ => {
                self.alliance.roster(nation, |roster| roster.note = "unchanged".into());
            }
        }
    }

    fn vote(&mut self, at: usize) {
        let motion = motion(&self.alliance, u64::try_from(self.dice.below(3)).expect("small"));
        let step = if self.dice.chance(50) { VoteStep::Support } else { VoteStep::Seal };
        let time = u64::try_from(self.dice.below(2)).expect("small");
        let nation = self.actors[at].nation;
        self.control.push(vote(&self.alliance, nation, step, motion.id(), time));
        if self.dice.chance(60) {
            self.control.push(Element::Control(
                comity_protocol::control::ControlRecord::Motion(motion).verify().expect("sound"),
            ));
        }
    }

    /// Draws what arrives in any order; of the rest most is held from the start, and something never comes.
    fn finish(self, name: String, size: usize) -> Pool {
        let mut all: Vec<(String, Vec<Element>)> = Vec::new();
        for (i, control) in self.alliance.elements().into_iter().chain(self.control).enumerate() {
            all.push((format!("control {i}"), vec![control]));
        }
        for (i, envelope) in self.envelopes.iter().enumerate() {
            let tip = envelope.header.tip();
            let name = format!("{i}, {} of {}", tip.seq, envelope.header.header().author.short());
            let header = if self.dice.chance(20) { envelope.bare_header() } else { envelope.elements()[0].clone() };
            if self.dice.chance(40) {
                all.push((format!("envelope {name}"), vec![header, envelope.body_element()]));
            } else {
                all.push((format!("header {name}"), vec![header]));
                all.push((format!("body {name}"), vec![envelope.body_element()]));
            }
            if self.dice.chance(3) {
                let bytes = vec![1].into();
                all.push((format!("false body {name}"), vec![Element::Body { id: envelope.id(), bytes }]));
            }
        }
        let control = self.alliance.control().len();
        let genesis_last = self.dice.chance(15);
        let mut pool = Pool::new(name, self.alliance.anchor(), Vec::new());
        let mut order: Vec<usize> = (0..all.len()).collect();
        self.dice.shuffle(&mut order);
        // Founding records are mostly held, so that the pool has room for what is said.
        order.sort_by_key(|&at| if at == 0 { !genesis_last } else { at < control && at % 4 != 0 });
        for at in order {
            let (what, elements) = all[at].clone();
            if pool.items.len() < size {
                pool.item(what, elements);
            } else if self.dice.chance(90) || at == 0 {
                pool.base.extend(elements);
            }
        }
        pool
    }
}

/// A body of a compartment that nobody here reads.
pub(crate) fn encrypted() -> Body {
    Body::Change(ChangeBody::Encrypted {
        compartment: 3,
        kid: Digest::new([1; 32]),
        nonce: [0; 24],
        ciphertext: vec![1; 40],
    })
}

/// What a witness says it holds.
pub(crate) fn witness_body(alliance: &TestAlliance, acks: Vec<Ack>) -> WitnessBody {
    WitnessBody {
        height: 0,
        charter: CharterId::new(*alliance.id.as_bytes()),
        rosters: Vec::new(),
        acks,
        frontier: Digest::ZERO,
        state: Digest::ZERO,
    }
}

/// A motion of the alliance.
pub(crate) fn motion(alliance: &TestAlliance, nonce: u64) -> Motion {
    Motion {
        alliance: alliance.id,
        height: 0,
        base: CharterId::new(*alliance.id.as_bytes()),
        nonce,
        title: "more keys".into(),
        text: Vec::new(),
        changes: vec![comity_protocol::control::CharterChange::SetParams(Params {
            max_active_keys: 9,
            ..Params::default()
        })],
    }
}

/// A nation's vote for a motion in round 0.
pub(crate) fn vote(alliance: &TestAlliance, nation: usize, step: VoteStep, motion: ControlId, time_ms: u64) -> Element {
    let of = &alliance.nations[nation];
    let vote = Vote {
        alliance: alliance.id,
        nation: of.id,
        root: of.root.public(),
        height: 0,
        base: CharterId::new(*alliance.id.as_bytes()),
        round: 0,
        step,
        motion,
        time_ms,
    };
    Element::Control(vote.sign(&of.root).verify().expect("sound"))
}
