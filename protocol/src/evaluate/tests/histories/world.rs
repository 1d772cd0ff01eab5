//! What may have happened: nations, nodes that see part of it, lies, losses and mistakes.

use crate::body::{Ack, Body, ChangeBody, KIND_CHANGE, KIND_KEY_GRANT, WitnessBody};
use crate::charter::Anchor;
use crate::control::{Params, Vote, VoteStep};
use crate::envelope::Header;
use crate::evaluate::{Element, State};
use crate::guard::{Draft, compose, prescan};
use crate::ids::{CharterId, ControlId, Digest, EnvelopeId, Tip};
use crate::testing::{TestAlliance, TestEnvelope, TestNode, draft, retire, revision};

/// Numbers from a seed (SplitMix64).
pub(in crate::evaluate::tests) struct Dice(u64);

impl Dice {
    pub(in crate::evaluate::tests) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(in crate::evaluate::tests) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).expect("small")).expect("small")
    }

    pub(in crate::evaluate::tests) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(in crate::evaluate::tests) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// A history's records.
pub(super) struct World {
    pub(super) anchor: Anchor,
    pub(super) quota: u64,
    pub(super) elements: Vec<Element>,
}

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
    elements: Vec<Element>,
}

const CODES: [&str; 3] = ["UKR", "POL", "DEU"];

impl World {
    /// A history of up to 90 steps.
    pub(super) fn random(dice: &mut Dice) -> Self {
        let steps = 20 + dice.below(70);
        Self::of_steps(dice, steps)
    }

    /// A history of up to 30 steps.
    pub(super) fn random_small(dice: &mut Dice) -> Self {
        let steps = 8 + dice.below(22);
        Self::of_steps(dice, steps)
    }

    fn of_steps(dice: &mut Dice, steps: usize) -> Self {
        let nations: Vec<(&str, usize)> =
            CODES[..1 + dice.below(3)].iter().map(|code| (*code, 1 + dice.below(3))).collect();
        let quota = if dice.chance(15) { 3_000 } else { Params::default().chain_quota };
        let params = Params { chain_quota: quota, max_active_keys: 4 };
        let alliance = TestAlliance::with_params(7, &nations, params);
        let mut history = History::new(dice, alliance);
        for _ in 0..steps {
            history.step();
        }
        history.finish(quota)
    }
}

impl<'d> History<'d> {
    fn new(dice: &'d mut Dice, alliance: TestAlliance) -> Self {
        let state = alliance.state();
        let actors = alliance.nations.iter().enumerate().flat_map(|(nation, of)| {
            let state = &state;
            of.nodes.iter().map(move |node| Actor {
                nation,
                node: node.clone(),
                state: state.clone(),
                places: vec![node.clone()],
                changes: Vec::new(),
            })
        });
        Self { actors: actors.collect(), dice, alliance, envelopes: Vec::new(), elements: Vec::new() }
    }

    fn step(&mut self) {
        let actor = self.dice.below(self.actors.len());
        match self.dice.below(100) {
            0..46 => self.write(actor),
            46..58 => self.look(actor),
            58..63 => self.fork(actor),
            63..70 => self.spoil(actor),
            70..74 => self.other_body(actor),
            74..84 => self.witness(actor),
            84..87 => self.odd_header(actor),
            87..96 => self.roster(actor),
            _ => self.vote(actor),
        }
    }

    /// An honest change on what the node sees; now and then on what it does not.
    fn write(&mut self, at: usize) {
        let number = u64::try_from(self.dice.below(6)).expect("small");
        let actor = &self.actors[at];
        let section = actor.state.section(&actor.node.author.nation);
        let known = section.replaces("pledge", &crate::value::record_id_from(number));
        let write = if known.is_empty() {
            draft("pledge", number, &format!("{}", self.envelopes.len()))
        } else {
            revision("pledge", number, known, &format!("{}", self.envelopes.len()))
        };
        let mut draft = section.draft(&actor.node.author.key, actor.node.time_ms, vec![write]);
        if self.dice.chance(6) {
            draft.deps = vec![crate::ids::ChangeHash::new([9; 32])];
        } else if self.dice.chance(6) {
            let earlier = actor.changes.get(self.dice.below(actor.changes.len()));
            draft.deps =
                earlier.and_then(|c| prescan(&actor.node.author.key, c).ok()).map(|c| c.hash).into_iter().collect();
        } else if self.dice.chance(4) {
            draft.start_op += 1;
        } else if self.dice.chance(4) {
            draft.seq += 1;
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

    /// The node receives some of what others said.
    fn look(&mut self, at: usize) {
        for _ in 0..self.dice.below(12) {
            if let Some(envelope) = self.envelopes.get(self.dice.below(self.envelopes.len())) {
                self.actors[at].state.admit(envelope.elements().into());
            }
        }
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
        let envelope = if self.dice.chance(30) {
            self.actors[at].node.envelope(KIND_CHANGE, bytes)
        } else {
            self.actors[at].node.raw_change(bytes)
        };
        self.said(at, envelope);
    }

    fn other_body(&mut self, at: usize) {
        let node = &mut self.actors[at].node;
        let envelope = match self.dice.below(4) {
            0 => node.envelope(99, vec![1, 2, 3]),
            1 => node.envelope(KIND_KEY_GRANT, vec![0; 4]),
            2 => node.body(&Body::Change(ChangeBody::Encrypted {
                compartment: 3,
                kid: Digest::new([1; 32]),
                nonce: [0; 24],
                ciphertext: vec![1; 40],
            })),
            _ => node.body(&Body::Change(ChangeBody::Clear { compartment: 3, change: vec![1] })),
        };
        self.said(at, envelope);
    }

    /// What a node sees, or what it makes up.
    fn witness(&mut self, at: usize) {
        if self.dice.chance(40) {
            return self.lie(at);
        }
        let acks: Vec<Ack> = self.actors[at]
            .state
            .chains()
            .filter(|chain| chain.tip() != Tip::NONE)
            .map(|chain| Ack { author: chain.author(), tip: chain.tip() })
            .collect();
        self.acknowledge(at, acks);
    }

    /// A node says the same as another, or anything.
    fn lie(&mut self, at: usize) {
        let mut acks = Vec::new();
        for _ in 0..2 + self.dice.below(6) {
            if let Some(envelope) = self.envelopes.get(self.dice.below(self.envelopes.len())) {
                let mut tip = envelope.header.tip();
                tip.seq += u64::from(self.dice.chance(5));
                acks.push(Ack { author: envelope.header.header().author_id(), tip });
            }
        }
        acks.sort_by_key(|ack| ack.author);
        acks.dedup_by_key(|ack| ack.author);
        self.acknowledge(at, acks);
    }

    fn acknowledge(&mut self, at: usize, acks: Vec<Ack>) {
        let body = Body::Witness(WitnessBody {
            height: 0,
            charter: CharterId::new(*self.alliance.id.as_bytes()),
            rosters: Vec::new(),
            acks,
            frontier: Digest::ZERO,
            state: Digest::ZERO,
        });
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
        let cut = if self.dice.chance(15) {
            Tip { seq: 1 + self.dice.below(4) as u64, id: EnvelopeId::new([5; 32]) }
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
                let state = self.alliance.state();
                self.actors.push(Actor { nation, places: vec![node.clone()], node, state, changes: Vec::new() });
            }
            7..9 => {
                // A second roster of a version that is taken, or one that breaks a step rule.
                let rosters = &self.alliance.nations[nation].rosters;
                let prev = rosters.get(self.dice.below(rosters.len() + 1)).cloned();
                let note = format!("{}", self.dice.below(3));
                let forget = self.dice.chance(30);
                let other = self.alliance.roster_after(nation, prev.as_ref(), |roster| {
                    roster.note = note;
                    if forget {
                        roster.keys.pop();
                    } else {
                        retire(roster, &key, cut);
                    }
                });
                self.elements.push(Element::Control(other));
            }
            _ => {
                self.alliance.roster(nation, |roster| roster.note = "unchanged".into());
            }
        }
    }

    fn vote(&mut self, at: usize) {
        let of = &self.alliance.nations[self.actors[at].nation];
        let vote = Vote {
            alliance: self.alliance.id,
            nation: of.id,
            root: of.root.public(),
            height: 0,
            base: CharterId::new(*self.alliance.id.as_bytes()),
            round: 0,
            step: if self.dice.chance(50) { VoteStep::Support } else { VoteStep::Seal },
            motion: ControlId::new([u8::try_from(self.dice.below(4)).expect("small"); 32]),
            time_ms: self.dice.below(3) as u64,
        };
        self.elements.push(Element::Control(vote.sign(&of.root).verify().expect("sound")));
    }

    /// Loses a few headers and bodies, and some signatures.
    fn finish(mut self, quota: u64) -> World {
        self.elements.extend(self.alliance.elements());
        let lossy = self.dice.chance(60);
        for envelope in &self.envelopes {
            if lossy && self.dice.chance(2) {
                continue;
            }
            self.elements.push(if self.dice.chance(30) {
                envelope.bare_header()
            } else {
                envelope.elements()[0].clone()
            });
            if !(lossy && self.dice.chance(3)) {
                self.elements.push(envelope.body_element());
            }
            if self.dice.chance(2) {
                self.elements.push(Element::Body { id: envelope.id(), bytes: vec![1].into() });
            }
        }
        World { anchor: self.alliance.anchor(), quota, elements: self.elements }
    }
}
