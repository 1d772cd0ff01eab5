//! The honest peer, and how two nodes under a clear sky come to hold the same.

use std::collections::VecDeque;

use comity_protocol::effect::{Authoring, Effect, ExchangeId, Input, LinkId, LinkUp, Source, Storage};
use comity_protocol::ids::{Timestamp, Tip};
use comity_protocol::message::Hello;
use comity_protocol::replica::{Config, RULES_MAX, Replica, Stored, WitnessCadence};
use comity_protocol::rules::Rules;
use comity_protocol::testing::FOUNDED_MS;

use super::World;
use super::pool::{POOL, SERVER};

/// The link that heals; the operations count theirs from 1.
const LINK: LinkId = LinkId(1 << 40);
/// Longer than any peer is kept away.
const CLEAR_SKY_MS: u64 = 48 * 3_600_000;
/// Until then both hold the same.
const HEAL_MS: u64 = 120_000;

/// An honest node that holds every envelope there is, those of the node under test excepted.
pub(super) struct Server {
    replica: Replica,
    exchanges: u64,
}

impl Server {
    pub(super) fn new() -> Self {
        let node = &POOL.alliance.nations[SERVER].nodes[0];
        let config = Config {
            alliance: POOL.alliance.id,
            nation: node.author.nation,
            key: node.key.clone(),
            seed: 2,
            witness: WitnessCadence::NEVER,
            rules_max: RULES_MAX,
        };
        let stored =
            Stored { state: POOL.all.clone(), remembered: Vec::new(), authoring: Authoring::Free, signed: Tip::NONE };
        Self { replica: Replica::new(config, Rules::default(), stored), exchanges: 0 }
    }

    pub(super) fn hello(&self) -> Hello {
        let state = self.replica.state();
        Hello {
            wire_min: 1,
            wire_max: 1,
            rules_max: 1,
            alliance: POOL.alliance.id,
            nation: self.replica.me().nation,
            charter_height: 0,
            charter: state.charter_id(),
            control: state.control(),
            held: state.held(),
            state: state.state(),
            time_ms: FOUNDED_MS,
        }
    }

    /// Returns the frames of the answer to a question; each is asked over a link of its own, so no rate stands between.
    pub(super) fn answer(&mut self, now: Timestamp, question: Vec<u8>) -> Vec<Vec<u8>> {
        self.exchanges += 1;
        let (link, exchange) = (LinkId(self.exchanges), ExchangeId(self.exchanges));
        let up = LinkUp { link, peer: POOL.me().key, source: Source::Loopback };
        let mut answer = Vec::new();
        for input in [Input::LinkUp(up), Input::Asked { link, exchange, frame: question }, Input::LinkDown { link }] {
            self.replica.handle(now, input);
            while let Some(effect) = self.replica.poll_effect() {
                if let Effect::Answer { frames, .. } = effect {
                    answer = frames;
                }
            }
        }
        answer
    }
}

impl World {
    /// Links the node under test with the honest peer alone, and nothing is lost any more.
    pub(super) fn heal(&mut self) {
        for link in std::mem::take(&mut self.model.links).into_keys() {
            self.input(Input::LinkDown { link });
        }
        self.now = self.now.plus_ms(CLEAR_SKY_MS);
        self.model.full = false;
        self.input(Input::Storage(Storage::Room));
        let mut queue = VecDeque::new();
        for (to_server, peer) in [(false, POOL.peers[0]), (true, POOL.me().key)] {
            queue.push_back((to_server, Input::LinkUp(LinkUp { link: LINK, peer, source: Source::Loopback })));
        }
        let until = self.now.plus_ms(HEAL_MS);
        loop {
            while let Some((to_server, input)) = queue.pop_front() {
                self.deliver(to_server, input, &mut queue);
            }
            if self.same() {
                break;
            }
            let wakeups = [self.replica.next_wakeup(), self.server.replica.next_wakeup()];
            let next = wakeups.into_iter().flatten().min().expect("a link that is up wakes its nodes");
            self.now = self.now.max(next);
            assert!(self.now <= until, "two honest nodes with a link hold the same after {HEAL_MS} ms");
            queue.extend([(false, Input::Tick), (true, Input::Tick)]);
        }
        self.check_healed();
    }

    fn same(&self) -> bool {
        let digests = |replica: &Replica| (replica.state().control(), replica.state().held(), replica.state().state());
        digests(&self.replica) == digests(&self.server.replica)
    }

    fn deliver(&mut self, to_server: bool, input: Input, queue: &mut VecDeque<(bool, Input)>) {
        let replica = if to_server { &mut self.server.replica } else { &mut self.replica };
        replica.handle(self.now, input);
        while let Some(effect) = replica.poll_effect() {
            match effect {
                Effect::Save(ops) if !to_server => ops.into_iter().for_each(|op| self.model.disk.save(op)),
                Effect::Push { link, frame } => queue.push_back((!to_server, Input::Pushed { link, frame })),
                Effect::Ask { link, exchange, frame } => {
                    queue.push_back((!to_server, Input::Asked { link, exchange, frame }));
                }
                Effect::Answer { link, exchange, frames } => {
                    let replies = frames.into_iter().map(|frame| Input::Reply { link, exchange, frame });
                    queue.extend(replies.map(|reply| (!to_server, reply)));
                }
                Effect::Close { reason, .. } => panic!("an honest node closes on another: {reason:?}"),
                Effect::Save(_)
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

    fn check_healed(&self) {
        self.check();
        self.check_saved();
        for (name, replica) in [("this node", &self.replica), ("its peer", &self.server.replica)] {
            for id in POOL.honest.iter().chain(&self.model.acknowledged) {
                let held = replica.state().envelope(id).is_some_and(|envelope| envelope.held.body().is_some());
                assert!(held, "{name} holds {id}");
            }
        }
        assert!(self.model.must_hold.is_subset(&POOL.honest));
    }
}
