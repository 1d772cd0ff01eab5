//! Writes whose callers wait until other nations hold them (`--wait N`).

use std::collections::{BTreeMap, BTreeSet};

use crate::effect::{Effect, RequestId};
use crate::ids::NationId;
use crate::limits::WAITING_WRITES_MAX;

/// What other nations confirmed of the own chain, and who waits for more.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Highest own sequence number up to which a nation confirmed everything.
    confirmed: BTreeMap<NationId, u64>,
    waiting: BTreeMap<RequestId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    seq: u64,
    need: usize,
}

impl Waits {
    /// Whether another caller may wait.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_WRITES_MAX
    }

    /// Whether some caller waits for what this nation has not confirmed.
    pub(super) fn wants(&self, nation: &NationId) -> bool {
        let confirmed = self.confirmed.get(nation).copied().unwrap_or(0);
        self.waiting.values().any(|waiting| waiting.seq > confirmed)
    }

    /// Starts to wait for own envelope `seq`; answers at once if enough nations hold it.
    pub(super) fn wait(&mut self, request: RequestId, seq: u64, need: usize) -> Option<Effect> {
        let nations = self.holders(seq);
        if nations.len() >= need {
            return Some(Effect::Held { request, nations });
        }
        self.waiting.insert(request, Waiting { seq, need });
        None
    }

    pub(super) fn forget(&mut self, request: RequestId) {
        self.waiting.remove(&request);
    }

    /// Returns the nations that hold own envelope `seq`, ascending.
    pub(super) fn holders(&self, seq: u64) -> Vec<NationId> {
        self.confirmed.iter().filter(|(_, to)| **to >= seq).map(|(nation, _)| *nation).collect()
    }

    /// A nation confirms everything of the own chain up to `seq`; answers those who waited for it.
    pub(super) fn confirm(&mut self, nation: NationId, seq: u64) -> Vec<Effect> {
        let confirmed = self.confirmed.entry(nation).or_insert(0);
        if *confirmed >= seq {
            return Vec::new();
        }
        *confirmed = seq;
        let mut effects = Vec::new();
        let mut done = BTreeSet::new();
        for (request, waiting) in &self.waiting {
            let nations = self.holders(waiting.seq);
            if nations.len() >= waiting.need {
                done.insert(*request);
                effects.push(Effect::Held { request: *request, nations });
            }
        }
        self.waiting.retain(|request, _| !done.contains(request));
        effects
    }
}
