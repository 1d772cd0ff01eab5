//! One replica, and a peer whose every frame the test chooses.

use crate::effect::{Authoring, CloseReason, Effect, ExchangeId, Input, LinkId, LinkUp, SaveOp, Source};
use crate::evaluate::{Element, State};
use crate::ids::{Timestamp, Tip};
use crate::message::{Frame, PushedEnvelope};
use crate::replica::{Config, RULES_MAX, Replica, Stored, WitnessCadence};
use crate::rules::Rules;
use crate::testing::{FOUNDED_MS, TestAlliance, TestEnvelope};

pub(super) const LINK: LinkId = LinkId(1);

/// The replica of the first nation's first node, linked to the second nation's.
pub(super) struct Lone {
    pub(super) alliance: TestAlliance,
    pub(super) replica: Replica,
    pub(super) now: Timestamp,
    pub(super) asked: Vec<(ExchangeId, Frame)>,
    pub(super) answers: Vec<Vec<Frame>>,
    pub(super) closed: Vec<CloseReason>,
    pub(super) headers_saved: usize,
    /// What was saved beside the control records it began with.
    saved: Vec<Element>,
    next: u64,
}

impl Lone {
    pub(super) fn new(alliance: TestAlliance, rules: Rules) -> Self {
        Self::with(alliance, rules, Authoring::Free)
    }

    pub(super) fn with(alliance: TestAlliance, rules: Rules, authoring: Authoring) -> Self {
        let node = alliance.nations[0].nodes[0].clone();
        let mut state = State::under(alliance.anchor(), rules);
        state.admit(alliance.elements());
        let config = Config {
            alliance: alliance.id,
            nation: node.author.nation,
            key: node.key,
            seed: 1,
            witness: WitnessCadence::NEVER,
            rules_max: RULES_MAX,
        };
        let stored = Stored { state, remembered: Vec::new(), authoring, signed: Tip::NONE };
        let replica = Replica::new(config, rules, stored);
        let mut lone = Self {
            alliance,
            replica,
            now: Timestamp(FOUNDED_MS + 1_000_000),
            asked: Vec::new(),
            answers: Vec::new(),
            closed: Vec::new(),
            headers_saved: 0,
            saved: Vec::new(),
            next: 1 << 20,
        };
        lone.link();
        lone
    }

    /// What it would be if it started again now, from what was saved.
    pub(super) fn restarted(&self) -> State {
        let mut state = self.alliance.state();
        state.admit(self.saved.clone());
        state
    }

    /// Whether a header and its body are saved.
    pub(super) fn saved(&self, envelope: &TestEnvelope) -> bool {
        let restarted = self.restarted();
        restarted.envelope(&envelope.id()).is_some_and(|view| view.held.body().is_some())
    }

    pub(super) fn link(&mut self) {
        let peer = self.alliance.nations[1].nodes[0].author.key;
        self.input(Input::LinkUp(LinkUp { link: LINK, peer, source: Source::Loopback }));
    }

    pub(super) fn input(&mut self, input: Input) {
        self.replica.handle(self.now, input);
        while let Some(effect) = self.replica.poll_effect() {
            match effect {
                Effect::Ask { exchange, frame, .. } => {
                    self.asked.push((exchange, Frame::decode(&frame).expect("our own frame")));
                }
                Effect::Answer { frames, .. } => {
                    self.answers.push(frames.iter().map(|frame| Frame::decode(frame).expect("our own")).collect());
                }
                Effect::Close { reason, .. } => self.closed.push(reason),
                Effect::Save(ops) => {
                    self.headers_saved += ops.iter().filter(|op| matches!(op, SaveOp::Header(_))).count();
                    self.saved.extend(ops.into_iter().filter_map(element));
                }
                Effect::Push { .. }
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
    }

    pub(super) fn tick(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.input(Input::Tick);
    }

    pub(super) fn push(&mut self, envelopes: &[TestEnvelope]) {
        self.push_raw(envelopes.iter().map(pushed).collect());
    }

    pub(super) fn push_raw(&mut self, envelopes: Vec<PushedEnvelope>) {
        self.input(Input::Pushed { link: LINK, frame: Frame::Push(envelopes).encode() });
    }

    pub(super) fn ask(&mut self, frame: &Frame) -> Vec<Frame> {
        self.next += 1;
        self.input(Input::Asked { link: LINK, exchange: ExchangeId(self.next), frame: frame.encode() });
        self.answers.pop().unwrap_or_default()
    }

    pub(super) fn reply(&mut self, exchange: ExchangeId, frame: &Frame) {
        self.input(Input::Reply { link: LINK, exchange, frame: frame.encode() });
    }

    /// The questions asked since the last call.
    pub(super) fn questions(&mut self) -> Vec<(ExchangeId, Frame)> {
        std::mem::take(&mut self.asked)
    }

    pub(super) fn strikes(&self) -> usize {
        self.replica.peers()[0].strikes
    }

    pub(super) fn digests(&self) -> (crate::ids::Digest, crate::ids::Digest, crate::ids::Digest) {
        let state = self.replica.state();
        (state.held(), state.control(), state.state())
    }
}

/// What a save brings to a start; of signatures that come later nothing is tested here.
fn element(op: SaveOp) -> Option<Element> {
    match op {
        SaveOp::Control(control) => Some(Element::Control(control)),
        SaveOp::Header(header) => Some(Element::Header(header)),
        SaveOp::Body { id, bytes } => Some(Element::Body { id, bytes }),
        SaveOp::Signature { .. }
        | SaveOp::Remember(_)
        | SaveOp::Anchor(_)
        | SaveOp::Halt { .. }
        | SaveOp::Release { .. } => None,
    }
}

pub(super) fn pushed(envelope: &TestEnvelope) -> PushedEnvelope {
    PushedEnvelope {
        header: envelope.header.header().encode(),
        signature: *envelope.header.signature().expect("signed"),
        body: envelope.body.clone(),
    }
}
