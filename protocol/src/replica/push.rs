//! Pushing: new envelopes to every full link that has neither sent nor shown them (spec 4.13), and heartbeats.
//!
//! Own envelopes go out at once. An envelope of somebody else is passed on only after a short while, to links whose peer
//! has not shown it by then: in a full mesh its author has pushed it to everybody already, and a heartbeat says so.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Replica;
use super::peers::Peer;
use crate::chain::{AuthorStatus, Chain, Head, Held};
use crate::effect::{Effect, LinkId};
use crate::evaluate::State;
use crate::frontier::FrontierEntry;
use crate::ids::{AuthorId, AuthorKey, Digest, Timestamp, Tip};
use crate::limits::{
    FRONTIER_HEADS_MAX, HISTORY_ENTRIES_MAX, HISTORY_SETS_MAX, PROMPT_HEARTBEAT_MS, PUSH_BYTES_MAX, PUSH_ENVELOPES_MAX,
    PUSH_QUEUE_BYTES_MAX, RELAY_MS, TIME_MS_MAX,
};
use crate::message::{Frame, Heartbeat, PushedEnvelope};
use crate::rules::Rule;

/// What waits to go out on one link's push stream.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Vec<(AuthorId, Tip)>,
    bytes: usize,
    relay: Vec<(AuthorId, Tip)>,
    relay_bytes: usize,
    relay_since: Option<Timestamp>,
    relay_newest: Timestamp,
    /// Pushes were lost: the peer repairs itself by comparison, and gets none until it has.
    behind: bool,
    /// A heartbeat is to go out.
    pub(super) heartbeat: bool,
}

impl Outbox {
    pub(super) const fn behind(&self) -> bool {
        self.behind
    }

    /// The peer holds what we hold, or did a moment ago.
    pub(super) fn caught_up(&mut self) {
        self.behind = false;
    }

    /// When what is to be passed on is looked at.
    pub(super) fn relay_due(&self) -> Option<Timestamp> {
        self.relay_since.map(|since| since.plus_ms(RELAY_MS))
    }

    fn fall_behind(&mut self) {
        self.behind = true;
        self.queue.clear();
        self.bytes = 0;
        self.relay.clear();
        self.relay_bytes = 0;
        self.relay_since = None;
    }

    /// Queues an envelope; false if the queue was full and the link fell behind.
    fn enqueue(&mut self, author: AuthorId, tip: Tip, bytes: usize) -> bool {
        if self.behind {
            return true;
        }
        if self.bytes + bytes > PUSH_QUEUE_BYTES_MAX {
            self.fall_behind();
            return false;
        }
        self.bytes += bytes;
        self.queue.push((author, tip));
        true
    }

    /// Queues an envelope before all others, as [`Outbox::enqueue`] does.
    fn enqueue_first(&mut self, author: AuthorId, tip: Tip, bytes: usize) -> bool {
        let queued = self.enqueue(author, tip, bytes);
        if queued && self.queue.last() == Some(&(author, tip)) {
            self.queue.rotate_right(1);
        }
        queued
    }

    /// Notes an envelope to be passed on later; false if there are too many and the link fell behind.
    fn enqueue_relay(&mut self, author: AuthorId, tip: Tip, bytes: usize, now: Timestamp) -> bool {
        if self.behind {
            return true;
        }
        if self.relay_bytes + bytes > PUSH_QUEUE_BYTES_MAX {
            self.fall_behind();
            return false;
        }
        self.relay_bytes += bytes;
        self.relay.push((author, tip));
        self.relay_since.get_or_insert(now);
        self.relay_newest = now;
        true
    }
}

/// The sets we held lately, by digest: a peer that names one of them tells all that it holds.
#[derive(Debug, Default)]
pub(super) struct History {
    sets: VecDeque<(Digest, Arc<[FrontierEntry]>)>,
    entries: usize,
    fresh: bool,
}

impl History {
    /// The set changed.
    pub(super) fn stale(&mut self) {
        self.fresh = false;
    }

    pub(super) fn find(&self, held: &Digest) -> Option<Arc<[FrontierEntry]>> {
        self.sets.iter().rev().find(|(digest, _)| digest == held).map(|(_, set)| Arc::clone(set))
    }

    fn remember(&mut self, state: &State) {
        if self.fresh {
            return;
        }
        self.fresh = true;
        let held = state.held();
        if self.sets.back().is_some_and(|(last, _)| *last == held) {
            return;
        }
        let set = frontier_of(state);
        self.entries += set.len();
        self.sets.push_back((held, set.into()));
        while self.sets.len() > 1 && (self.entries > HISTORY_ENTRIES_MAX || self.sets.len() > HISTORY_SETS_MAX) {
            if let Some((_, oldest)) = self.sets.pop_front() {
                self.entries -= oldest.len();
            }
        }
    }
}

/// Returns what a FrontierReply of `state` names, ascending by author.
pub(super) fn frontier_of(state: &State) -> Vec<FrontierEntry> {
    let entry = |chain: &crate::chain::Chain| FrontierEntry {
        author: chain.author(),
        heads: chain.heads().to_vec(),
        fork: chain.fork(),
        closed: chain.status() != AuthorStatus::Active,
    };
    state.chains().filter(|chain| !chain.is_empty()).map(entry).collect()
}

impl Replica {
    pub(super) fn remember_held(&mut self) {
        self.history.remember(&self.state);
    }

    /// Queues new own envelopes for every full link.
    pub(super) fn push_own(&mut self, tip: Tip, body_len: usize) {
        let author = self.me;
        let to_all = !self.rules.keeps(Rule::SpeakOnlyToMembers);
        for link in self.links.values_mut().filter(|link| link.is_full() || to_all) {
            if !link.outbox.enqueue(author, tip, PushedEnvelope::bytes(body_len)) {
                self.counters.push_overflows += 1;
            }
        }
    }

    /// Notes newly accepted envelopes that came from `from` for every other full link; their authors have them.
    pub(super) fn pass_on(&mut self, from: Option<LinkId>, envelopes: &[(AuthorId, Tip, usize)]) {
        let now = self.now;
        for (id, link) in &mut self.links {
            if Some(*id) == from || !link.is_full() {
                continue;
            }
            for (author, tip, body_len) in envelopes {
                let bytes = PushedEnvelope::bytes(*body_len);
                if author.key != link.peer && !link.outbox.enqueue_relay(*author, *tip, bytes, now) {
                    self.counters.push_overflows += 1;
                }
            }
        }
    }

    /// Queues the proof of a fork, before all else, for every full link whose peer has not shown it: a fork proved at one
    /// node is proved a moment later at all that are connected.
    ///
    /// Of each statement goes the envelope itself, or the lowest signed one above it, whoever has that: what is missing below
    /// is asked for then.
    pub(super) fn push_fork(&mut self, author: &AuthorId, seq: u64) {
        let Some(chain) = self.state.chain(author) else { return };
        let mut said: Vec<&Held> = chain.at(seq).collect();
        said.sort_unstable_by_key(|held| held.id());
        let evidence: Vec<(Tip, usize)> = said.into_iter().take(2).filter_map(|held| evidence(chain, held)).collect();
        let mut overflows = 0;
        for link in self.links.values().filter(|link| link.is_full()).map(|link| link.peer).collect::<Vec<_>>() {
            let Some(peer) = self.peers.get(&link) else { continue };
            let open: Vec<&(Tip, usize)> =
                evidence.iter().filter(|(tip, _)| tip.seq > seq || !self.covers(peer, author, tip)).collect();
            for of_peer in self.links.values_mut().filter(|of_peer| of_peer.peer == link && of_peer.is_full()) {
                for (tip, body_len) in &open {
                    let queued = of_peer.outbox.enqueue_first(*author, *tip, PushedEnvelope::bytes(*body_len));
                    overflows += u64::from(!queued);
                }
            }
        }
        self.counters.push_overflows += overflows;
    }

    /// The transport could not take a push of this link: the peer must repair itself.
    pub(super) fn push_stalled(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id)
            && !link.outbox.behind
        {
            link.outbox.fall_behind();
            self.counters.push_overflows += 1;
        }
    }

    /// Something came by push and was saved: the sender hears of it soon, and all that comes meanwhile shares one heartbeat.
    pub(super) fn prompt_heartbeat(&mut self, id: LinkId) {
        let now = self.now;
        let full = u64::try_from(self.links.values().filter(|link| link.is_full()).count()).unwrap_or(u64::MAX);
        // With many links each hears less often, so that the heartbeats of a busy mesh stay a small part of its traffic.
        let spacing = PROMPT_HEARTBEAT_MS * full.div_ceil(8).max(1);
        if let Some(link) = self.links.get_mut(&id) {
            let due = now.plus_ms(PROMPT_HEARTBEAT_MS / 4).max(link.heartbeat_at.plus_ms(spacing));
            link.heartbeat_due = link.heartbeat_due.min(due);
        }
    }

    /// Passes on what the peer has not shown by now; if it has not told for a while, it is asked first.
    pub(super) fn relay_if_due(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get(&id) else { return };
        if !link.is_full() || link.outbox.relay_due().is_none_or(|due| due > now) {
            return;
        }
        let Some(peer) = self.peers.get(&link.peer) else { return };
        let open: Vec<(AuthorId, Tip)> =
            link.outbox.relay.iter().filter(|(author, tip)| !self.covers(peer, author, tip)).copied().collect();
        let told = link.frontier_at >= link.outbox.relay_newest.plus_ms(RELAY_MS / 2);
        let waited = now.since(link.outbox.relay_newest) >= 4 * RELAY_MS;
        let ask = !open.is_empty() && !told && !waited;
        let Some(link) = self.links.get_mut(&id) else { return };
        if ask {
            link.frontier_due.get_or_insert(now);
            // Looked at again when the answer is here, or after another while without one.
            link.outbox.relay_since = Some(now);
            return;
        }
        link.outbox.relay.clear();
        link.outbox.relay_bytes = 0;
        link.outbox.relay_since = None;
        for (author, tip) in open {
            let body_len = self.state.chain(&author).and_then(|chain| chain.get(&tip.id)).map(|held| held.body_len());
            let bytes = PushedEnvelope::bytes(body_len.unwrap_or(0) as usize);
            self.counters.relayed += 1;
            if !link.outbox.enqueue(author, tip, bytes) {
                self.counters.push_overflows += 1;
            }
        }
    }

    /// A peer answered what it holds: what was to be passed on to it is looked at now.
    pub(super) fn relay_now(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id)
            && link.outbox.relay_since.is_some()
        {
            link.outbox.relay_since = Some(Timestamp(self.now.0.saturating_sub(RELAY_MS)));
        }
        self.relay_if_due(id);
    }

    /// Packs what waits on every link into frames.
    pub(super) fn flush(&mut self) {
        self.remember_held();
        let now = self.now;
        let mut effects = Vec::new();
        for (id, link) in &mut self.links {
            let mut frame: Vec<PushedEnvelope> = Vec::new();
            let mut bytes = 0;
            for (author, tip) in std::mem::take(&mut link.outbox.queue) {
                let Some(envelope) = pushed(&self.state, &author, &tip) else { continue };
                let size = PushedEnvelope::bytes(envelope.body.len());
                if bytes + size > PUSH_BYTES_MAX - 16 || frame.len() == PUSH_ENVELOPES_MAX {
                    effects.push(Effect::Push { link: *id, frame: Frame::Push(std::mem::take(&mut frame)).encode() });
                    bytes = 0;
                }
                bytes += size;
                self.counters.pushed_out += 1;
                frame.push(envelope);
            }
            link.outbox.bytes = 0;
            if !frame.is_empty() {
                effects.push(Effect::Push { link: *id, frame: Frame::Push(frame).encode() });
            }
            if std::mem::take(&mut link.outbox.heartbeat) {
                let beat = Heartbeat { time_ms: now.0.min(TIME_MS_MAX), held: self.state.held() };
                effects.push(Effect::Push { link: *id, frame: Frame::Heartbeat(beat).encode() });
            }
        }
        self.effects.extend(effects);
    }

    /// Whether a peer has shown that it holds an envelope, its body included.
    pub(super) fn covers(&self, peer: &Peer, author: &AuthorId, tip: &Tip) -> bool {
        let Some(heads) = peer.shown.get(author) else { return false };
        let Some(chain) = self.state.chain(author) else { return false };
        heads.iter().filter(|head| head.bodies_to >= tip.seq).any(|head| {
            let unforked = chain.fork().is_none_or(|fork| tip.seq < fork) && chain.linked_to() >= tip.seq;
            unforked || chain.path(&head.tip.id, tip.seq, tip.seq).first().is_some_and(|held| held.id() == tip.id)
        })
    }

    /// A peer sent an envelope with its body by push, so it holds it.
    pub(super) fn shown_by_push(&mut self, key: AuthorKey, author: AuthorId, prev: &Tip, tip: Tip) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let heads = peer.shown.entry(author).or_default();
        if heads.iter().any(|head| head.tip.seq >= tip.seq) && heads.iter().any(|head| head.tip.id == tip.id) {
            return;
        }
        if let Some(head) = heads.iter_mut().find(|head| head.tip.id == prev.id || head.tip.seq == 0) {
            head.bodies_to = if head.bodies_to + 1 == tip.seq { tip.seq } else { head.bodies_to };
            head.tip = tip;
        } else if heads.len() < FRONTIER_HEADS_MAX && heads.iter().all(|head| head.tip.seq < tip.seq) {
            // Everything below is linked where it came from; whether the bodies are there is not said.
            let bodies_to = if tip.seq == 1 { 1 } else { 0 };
            heads.retain(|head| head.tip.seq + 1 >= tip.seq || head.bodies_to > bodies_to);
            heads.push(Head { tip, bodies_to });
        }
        self.confirmed_by(key);
    }

    /// A peer sent an envelope that contradicts one held: it has that branch beside what it showed before.
    pub(super) fn shown_beside(&mut self, id: LinkId, author: AuthorId, tip: Tip) {
        let Some(key) = self.links.get(&id).map(|link| link.peer) else { return };
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let heads = peer.shown.entry(author).or_default();
        if heads.len() < FRONTIER_HEADS_MAX && heads.iter().all(|head| head.tip.id != tip.id) {
            heads.push(Head { tip, bodies_to: 0 });
        }
    }

    /// A peer told what it holds of one author.
    pub(super) fn shown(&mut self, key: AuthorKey, entry: &FrontierEntry) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let heads = peer.shown.entry(entry.author).or_default();
        // A set only grows, so what was shown before by a single higher head still holds.
        let higher = heads.len() == 1
            && entry.heads.len() == 1
            && heads.iter().all(|head| head.bodies_to > entry.heads.iter().map(|new| new.tip.seq).max().unwrap_or(0));
        if !higher {
            heads.clone_from(&entry.heads);
        }
    }

    /// A peer holds a set that we had ourselves.
    pub(super) fn shown_all(&mut self, id: LinkId, set: &[FrontierEntry]) {
        let Some(key) = self.links.get(&id).map(|link| link.peer) else { return };
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.compared = true;
        }
        for entry in set {
            self.shown(key, entry);
        }
        self.confirmed_by(key);
    }

    /// Tells those who wait what a peer has shown of the own chain.
    pub(super) fn confirmed_by(&mut self, key: AuthorKey) {
        let Some(peer) = self.peers.get(&key) else { return };
        let Some(nation) = peer.nation.filter(|nation| *nation != self.me.nation) else { return };
        let Some(chain) = self.state.chain(&self.me) else { return };
        let known = |head: &&Head| chain.get(&head.tip.id).is_some_and(|held| chain.linked_to() >= held.seq());
        let heads = peer.shown.get(&self.me).into_iter().flatten();
        let to = heads.filter(known).map(|head| head.bodies_to).max().unwrap_or(0);
        let answers = self.waits.confirm(nation, to);
        self.effects.extend(answers);
    }

    /// Somebody waits for a confirmation that this peer's last words did not give: it is asked what it holds.
    pub(super) fn want_confirmations(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get(&id) else { return };
        let nation = self.peers.get(&link.peer).and_then(|peer| peer.nation);
        let wanted = nation.is_some_and(|nation| nation != self.me.nation && self.waits.wants(&nation));
        if wanted
            && link.is_full()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.frontier_due.get_or_insert(now);
        }
    }
}

/// Returns the envelope that proves a statement by its own signature: it, or the lowest signed one above it.
fn evidence(chain: &Chain, held: &Held) -> Option<(Tip, usize)> {
    let signed = match held.signature() {
        Some(_) => held,
        None => {
            let above = chain.heads().iter().filter_map(|head| {
                let to = |to| chain.path(&head.tip.id, held.seq(), to);
                to(held.seq()).first().filter(|first| first.id() == held.id())?;
                to(chain.next_signed(&head.tip.id, held.seq())?).pop()
            });
            above.min_by_key(|signed| (signed.seq(), signed.id()))?
        }
    };
    signed.body().map(|body| (signed.tip(), body.len()))
}

fn pushed(state: &State, author: &AuthorId, tip: &Tip) -> Option<PushedEnvelope> {
    let chain = state.chain(author)?;
    let held = chain.get(&tip.id)?;
    Some(PushedEnvelope {
        header: chain.header(held).encode(),
        signature: *held.signature()?,
        body: Arc::clone(held.body()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EnvelopeId, NationId};

    #[test]
    fn a_full_queue_makes_the_link_fall_behind_until_it_caught_up() {
        let author = AuthorId { nation: NationId::ZERO, key: AuthorKey::ZERO };
        let tip = Tip { seq: 1, id: EnvelopeId::new([1; 32]) };
        let mut outbox = Outbox::default();
        assert!(outbox.enqueue(author, tip, PUSH_QUEUE_BYTES_MAX));
        assert!(!outbox.enqueue(author, tip, 1));
        assert!(outbox.behind() && outbox.queue.is_empty());
        assert!(outbox.enqueue(author, tip, 1) && outbox.queue.is_empty(), "nothing is queued meanwhile");
        outbox.caught_up();
        assert!(outbox.enqueue(author, tip, 1));
        assert_eq!(outbox.queue.len(), 1);
    }
}
