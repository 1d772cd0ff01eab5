//! The simulated network: links between nodes, and what becomes of each frame on its way.

use std::collections::BTreeMap;

use comity_protocol::effect::{ExchangeId, LinkId};

use super::plan::Weather;

/// Links, silences and exchanges under way.
pub(super) struct Network {
    /// The two ends of every link that was ever up.
    pub(super) ends: BTreeMap<LinkId, (usize, usize)>,
    /// Directions in which nothing arrives, until when.
    silent: BTreeMap<(usize, usize), u64>,
    /// Questions under way by the number the answerer knows: who asked, under which number.
    pub(super) exchanges: BTreeMap<(LinkId, ExchangeId), (usize, ExchangeId)>,
    /// What happens to frames.
    pub(super) weather: Weather,
    next_link: u64,
    next_exchange: u64,
}

impl Network {
    pub(super) const fn new(weather: Weather) -> Self {
        Self {
            ends: BTreeMap::new(),
            silent: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            weather,
            next_link: 0,
            next_exchange: 0,
        }
    }

    /// Makes a link between two nodes.
    pub(super) fn link(&mut self, a: usize, b: usize) -> LinkId {
        self.next_link += 1;
        self.ends.insert(LinkId(self.next_link), (a, b));
        LinkId(self.next_link)
    }

    /// Returns the node at the other end.
    pub(super) fn other(&self, link: LinkId, node: usize) -> usize {
        let (a, b) = self.ends[&link];
        if a == node { b } else { a }
    }

    /// Nothing goes from one node to another until then.
    pub(super) fn silence(&mut self, from: usize, to: usize, until_ms: u64) {
        let until = self.silent.entry((from, to)).or_default();
        *until = (*until).max(until_ms);
    }

    /// Whether nothing goes from one node to another.
    pub(super) fn is_silent(&self, from: usize, to: usize, now_ms: u64) -> bool {
        self.silent.get(&(from, to)).is_some_and(|until| *until > now_ms)
    }

    /// Takes note of a question on its way; returns its number at the other end.
    pub(super) fn ask(&mut self, link: LinkId, asker: usize, exchange: ExchangeId) -> ExchangeId {
        self.next_exchange += 1;
        let theirs = ExchangeId(self.next_exchange);
        self.exchanges.insert((link, theirs), (asker, exchange));
        theirs
    }

    /// Everything is heard again, quickly.
    pub(super) fn heal(&mut self) {
        self.silent.clear();
        self.weather = Weather::CALM;
    }
}
