//! Bytes read as what happens to a real replica, beside a plain model of what must follow.
//!
//! After every operation: nothing that was answered or must be held is missing from the state. After a restart and at the
//! end: the state is the evaluation of what was saved, to the last digest. Then the weather clears: one honest peer that
//! holds everything is linked, and soon both hold the same, nothing lost on either side.

mod heal;
mod model;
mod pool;

use comity_protocol::effect::{
    Authoring, Effect, ExchangeId, Idempotency, Input, LinkId, LinkUp, RecordWrite, Replaces, RequestId, Source,
    Storage, WriteRequest,
};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{EnvelopeId, Timestamp, Tip};
use comity_protocol::message::{ByIdRequest, Frame, Heartbeat, Outcome, RangeRequest};
use comity_protocol::replica::{Config, RULES_MAX, Replica, Stored, WitnessCadence, content_digest};
use comity_protocol::rules::Rules;
use comity_protocol::testing::{FOUNDED_MS, TestEnvelope, draft};

use self::heal::Server;
use self::model::{Model, ModelLink};
use self::pool::{ME, POOL};
use super::tape::Tape;

/// Operations of one input; the rest of the bytes is not read.
const OPERATIONS_MAX: usize = 200;

/// Lets everything happen that the bytes say.
pub fn run(bytes: &[u8]) {
    let mut world = World::new();
    let mut tape = Tape::new(bytes);
    for _ in 0..OPERATIONS_MAX {
        if tape.is_empty() {
            break;
        }
        world.operation(&mut tape);
        world.check();
    }
    world.check_saved();
    world.heal();
}

/// The replica under test, the model of it, and the honest peer.
struct World {
    replica: Replica,
    model: Model,
    server: Server,
    now: Timestamp,
    next_link: u64,
    next_number: u64,
}

impl World {
    fn new() -> Self {
        let mut model = Model::default();
        for control in POOL.start.control_records() {
            model.disk.save(comity_protocol::effect::SaveOp::Control(control.as_ref().clone()));
        }
        let now = Timestamp(FOUNDED_MS + 1_000_000);
        let replica = start(&model, POOL.start.clone());
        Self { replica, model, server: Server::new(), now, next_link: 0, next_number: 0 }
    }

    fn operation(&mut self, tape: &mut Tape<'_>) {
        match tape.byte() % 16 {
            0 => self.link_up(tape.below(POOL.peers.len()), tape.byte()),
            1 => self.with_link(tape, |world, link, _| world.link_down(link)),
            2 | 3 => self.with_link(tape, Self::push),
            4 => self.with_link(tape, |world, link, tape| {
                world.input(Input::Pushed { link, frame: tape.bytes().to_vec() });
            }),
            5 => self.with_link(tape, Self::asked),
            6 | 7 => self.with_link(tape, Self::answer),
            8 => self.with_link(tape, Self::reply),
            9 | 10 => self.write(tape),
            11 => {
                self.now = self.now.plus_ms(u64::from(tape.byte()) * 60);
                self.input(Input::Tick);
            }
            12 => self.jump(tape.byte()),
            13 => self.odd_moment(tape),
            14 => self.restart(),
            _ => self.import(tape),
        }
    }

    fn with_link(&mut self, tape: &mut Tape<'_>, then: impl FnOnce(&mut Self, LinkId, &mut Tape<'_>)) {
        if let Some(link) = self.model.link(tape.below(256)) {
            then(self, link, tape);
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn link_up(&mut self, peer: usize, place: u8) {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        let source = if place.is_multiple_of(2) { Source::Loopback } else { Source::Address([place; 16]) };
        self.model.links.insert(link, ModelLink { peer, open: Vec::new() });
        self.input(Input::LinkUp(LinkUp { link, peer: POOL.peers[peer], source }));
    }

    fn link_down(&mut self, link: LinkId) {
        self.model.links.remove(&link);
        self.input(Input::LinkDown { link });
    }

    /// One to four envelopes of a branch, or something of it damaged.
    fn push(&mut self, link: LinkId, tape: &mut Tape<'_>) {
        let envelopes = stretch(tape);
        let mut frame = pool::push(envelopes);
        let damage = tape.byte();
        if damage < 224 {
            self.model.pushed(link, envelopes);
        } else if !frame.is_empty() {
            let at = usize::from(tape.byte()) * usize::from(damage) % frame.len();
            frame[at] ^= tape.byte();
        }
        self.input(Input::Pushed { link, frame });
    }

    /// The peer asks something.
    fn asked(&mut self, link: LinkId, tape: &mut Tape<'_>) {
        let exchange = ExchangeId((1 << 32) + self.number());
        let branch = tape.pick(&POOL.branches).and_then(|branch| branch.first());
        let author = branch.map_or(POOL.me(), |envelope| envelope.header.header().author_id());
        let from = u64::from(tape.byte()) + 1;
        let frame = match tape.byte() % 6 {
            0 => Frame::Hello(self.server.hello()),
            1 => Frame::Frontier,
            2 => Frame::Range(RangeRequest { author, from, to: from + u64::from(tape.byte()) }),
            3 => Frame::Range(RangeRequest { author: POOL.me(), from: 1, to: from }),
            4 => {
                let ids = stretch(tape).iter().map(TestEnvelope::id).collect::<std::collections::BTreeSet<_>>();
                Frame::ById(ByIdRequest { ids: ids.into_iter().collect(), bodies: from.is_multiple_of(2) })
            }
            _ => return self.input(Input::Asked { link, exchange, frame: tape.bytes().to_vec() }),
        };
        self.input(Input::Asked { link, exchange, frame: frame.encode() });
    }

    /// The honest peer answers the oldest question of the link: wholly, partly, or not at all.
    fn answer(&mut self, link: LinkId, tape: &mut Tape<'_>) {
        let Some(open) = self.model.links.get_mut(&link).filter(|link| !link.open.is_empty()) else { return };
        let (exchange, question) = open.open.remove(0);
        let frames = self.server.answer(self.now, question);
        let keep = if tape.byte() < 200 { frames.len() } else { tape.below(frames.len()) };
        let whole = keep == frames.len();
        for frame in frames.into_iter().take(keep) {
            self.input(Input::Reply { link, exchange, frame });
        }
        if !whole {
            self.input(Input::ExchangeFailed { link, exchange });
        }
    }

    /// Somebody else answers, whatever was asked.
    fn reply(&mut self, link: LinkId, tape: &mut Tape<'_>) {
        let open = self.model.links.get(&link).and_then(|link| link.open.first());
        let exchange = open.map_or(ExchangeId(u64::from(tape.byte())), |(exchange, _)| *exchange);
        let frame = match tape.byte() % 4 {
            0 => pool::run(stretch(tape)).unwrap_or_default(),
            1 => Frame::End(Outcome::Complete).encode(),
            2 => Frame::Heartbeat(Heartbeat { time_ms: u64::from(tape.byte()), held: POOL.all.held() }).encode(),
            _ => tape.bytes().to_vec(),
        };
        self.input(Input::Reply { link, exchange, frame });
    }

    fn write(&mut self, tape: &mut Tape<'_>) {
        let request = RequestId(self.number());
        let draft = draft("requirement", u64::from(tape.byte() % 8), "of this node");
        let replaces = match tape.byte() % 3 {
            0 => Replaces::Nothing,
            1 => Replaces::Surviving,
            _ => Replaces::IfWinner(self.model.acknowledged.first().copied().unwrap_or(EnvelopeId::ZERO)),
        };
        let key = tape.byte() % 16;
        let idempotency =
            (key > 8).then(|| Idempotency { key: format!("key {key}"), content: content_digest(&[key % 2]) });
        let write = RecordWrite { kind: draft.kind, id: draft.id, replaces, fields: draft.fields };
        let wait = tape.below(3);
        self.input(Input::Write(WriteRequest { request, writes: vec![write], idempotency, wait }));
        if key.is_multiple_of(4) {
            self.input(Input::StopWaiting { request });
        }
    }

    /// The clock jumps: by hours forward, or back, which counts as no time at all.
    fn jump(&mut self, by: u8) {
        let now = if by.is_multiple_of(2) {
            self.now = self.now.plus_ms(u64::from(by) * 600_000);
            self.now
        } else {
            Timestamp(self.now.0.saturating_sub(u64::from(by) * 600_000))
        };
        self.input_at(now, Input::Tick);
    }

    fn odd_moment(&mut self, tape: &mut Tape<'_>) {
        match tape.byte() % 4 {
            0 => {
                self.model.full = !self.model.full;
                self.input(Input::Storage(if self.model.full { Storage::Full } else { Storage::Room }));
            }
            1 => self.with_link(tape, |world, link, _| world.input(Input::PushStalled { link })),
            2 => self.with_link(tape, |world, link, tape| {
                let exchange = ExchangeId(u64::from(tape.byte()));
                world.input(Input::ExchangeFailed { link, exchange });
            }),
            // A link nobody knows.
            _ => self.input(Input::Pushed { link: LinkId(u64::MAX), frame: tape.bytes().to_vec() }),
        }
    }

    fn import(&mut self, tape: &mut Tape<'_>) {
        let request = RequestId(self.number());
        let record = match tape.byte() % 3 {
            0 | 1 => tape.pick(&POOL.controls).map(|control| (control.record().kind(), control.record().encode())),
            _ => Some((tape.byte(), tape.bytes().to_vec())),
        };
        self.input(Input::Import { request, records: record.into_iter().collect() });
    }

    /// The process ends and starts again from what was saved.
    fn restart(&mut self) {
        self.check_saved();
        self.model.links.clear();
        self.model.full = false;
        self.replica = start(&self.model, POOL.evaluate(self.model.disk.elements()));
        self.carry_out();
    }

    fn input(&mut self, input: Input) {
        self.input_at(self.now, input);
    }

    fn input_at(&mut self, now: Timestamp, input: Input) {
        self.replica.handle(now, input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.replica.poll_effect() {
            match effect {
                Effect::Save(ops) => ops.into_iter().for_each(|op| self.model.disk.save(op)),
                Effect::Ask { link, exchange, frame } => {
                    assert!(Frame::decode(&frame).is_ok(), "a replica asks in frames");
                    if let Some(link) = self.model.links.get_mut(&link) {
                        link.open.push((exchange, frame));
                    }
                }
                Effect::Push { frame, .. } => assert!(Frame::decode(&frame).is_ok(), "a replica speaks in frames"),
                Effect::Answer { frames, .. } => {
                    let last = frames.last().map(|frame| Frame::decode(frame));
                    assert!(matches!(last, Some(Ok(Frame::End(_)))), "an answer ends with an End");
                }
                Effect::Close { link, .. } => {
                    self.model.links.remove(&link);
                }
                Effect::Written { outcome: Ok(written), .. } => {
                    assert!(self.model.disk.holds(&written.version), "an answer rests on what is saved");
                    self.model.acknowledged.insert(written.version);
                }
                Effect::Written { outcome: Err(_), .. }
                | Effect::Admission(_)
                | Effect::Held { .. }
                | Effect::Imported { .. }
                | Effect::Confirmed { .. }
                | Effect::Carried { .. }
                | Effect::Changed(_)
                | Effect::Alarm(_) => {}
            }
        }
    }

    fn check(&self) {
        let state = self.replica.state();
        for id in &self.model.must_hold {
            let held = state.envelope(id).is_some_and(|envelope| envelope.held.body().is_some());
            assert!(held, "{id} came over a full link and stood on what was held");
        }
        for id in &self.model.acknowledged {
            assert!(state.envelope(id).is_some(), "{id} was acknowledged");
        }
    }

    /// The state is a function of what was saved.
    fn check_saved(&self) {
        let saved = POOL.evaluate(self.model.disk.elements());
        assert_eq!(digests(self.replica.state()), digests(&saved), "the state is the evaluation of what was saved");
    }
}

fn digests(state: &State) -> [comity_protocol::ids::Digest; 4] {
    [state.control(), state.held(), state.frontier(), state.state()]
}

fn start(model: &Model, state: State) -> Replica {
    let key = POOL.alliance.nations[ME].nodes[0].key.clone();
    let config = Config {
        alliance: POOL.alliance.id,
        nation: POOL.me().nation,
        key,
        seed: 1,
        witness: WitnessCadence::NEVER,
        rules_max: RULES_MAX,
    };
    Replica::new(
        config,
        Rules::default(),
        Stored { state, remembered: model.disk.remembered.clone(), authoring: Authoring::Free, signed: Tip::NONE },
    )
}

/// One to four envelopes of one branch of the pool.
fn stretch(tape: &mut Tape<'_>) -> &'static [TestEnvelope] {
    let Some(branch) = tape.pick(&POOL.branches) else { return &[] };
    let from = tape.below(branch.len());
    let to = (from + 1 + tape.below(4)).min(branch.len());
    &branch[from..to]
}

#[cfg(test)]
mod tests {
    use super::{POOL, Tape, World};

    /// Up to where a story brings the two sets of the model.
    fn sets(bytes: &[u8]) -> (usize, usize) {
        let mut world = World::new();
        let mut tape = Tape::new(bytes);
        while !tape.is_empty() {
            world.operation(&mut tape);
            world.check();
        }
        (world.model.must_hold.len(), world.model.acknowledged.len())
    }

    #[test]
    fn the_model_expects_what_honest_peers_push_and_what_was_acknowledged() {
        let link = [0, 1, 0];
        assert_eq!(sets(&[&link[..], &[2, 0, 1, 0, 2, 0]].concat()), (3, 0), "three envelopes from the first on");
        assert_eq!(sets(&[&link[..], &[2, 0, 1, 3, 2, 0]].concat()), (0, 0), "nothing stands on a gap");
        assert_eq!(sets(&[0, 3, 0, 2, 0, 1, 0, 2, 0]), (0, 0), "a stranger's link is no full one");
        assert_eq!(sets(&[9, 1, 0, 0, 0, 9, 2, 0, 0, 0]), (0, 2), "two writes");
        assert_eq!(POOL.honest.len(), 11);
    }
}
