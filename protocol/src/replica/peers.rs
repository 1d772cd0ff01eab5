//! Links and the peers at their ends: lobby and full links, Hello, heartbeats, strikes (spec 4.13).

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use super::bucket::Bucket;
use super::push::Outbox;
use super::sync::{Exchange, Seek};
use crate::chain::{AuthorStatus, Head};
use crate::effect::{Admission, Alarm, CloseReason, Effect, ExchangeId, LinkId, LinkUp, Source, Storage};
use crate::envelope::WIRE;
use crate::evaluate::Standing;
use crate::ids::{AuthorId, AuthorKey, ControlId, Digest, NationId, Timestamp};
use crate::limits::{
    HEARTBEAT_MS, HELD_DIFFERS_MS, HELLO_MS, LINK_DEAD_MS, LOBBY_BYTES_MAX, LOBBY_LINKS_MAX, LOBBY_MS, PEERS_MAX,
    REQUESTS_BURST, REQUESTS_PER_SECOND, STRIKE_BACKOFF_MAX_MS, STRIKE_BACKOFF_MS, STRIKE_WINDOW_MS, STRIKES_MAX,
};
use crate::message::{Heartbeat, Hello};
use crate::rules::Rule;

/// What a link may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// Hello and Control only, for a short while.
    Lobby {
        /// When it ends.
        until: Timestamp,
        /// Bytes accepted so far.
        bytes: u64,
    },
    /// Everything.
    Full,
}

/// One link that is up.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: AuthorKey,
    pub(super) source: Source,
    pub(super) admitted: Admitted,
    pub(super) heard_at: Timestamp,
    pub(super) heartbeat_due: Timestamp,
    pub(super) heartbeat_at: Timestamp,
    pub(super) hello_due: Timestamp,
    pub(super) control_due: Option<Timestamp>,
    pub(super) frontier_due: Option<Timestamp>,
    pub(super) frontier_at: Timestamp,
    pub(super) peer_control: Option<Digest>,
    pub(super) peer_held: Option<Digest>,
    pub(super) differs_since: Option<Timestamp>,
    /// The peer answered that we are in its lobby: it is asked again when it speaks to us.
    pub(super) in_peers_lobby: bool,
    pub(super) exchanges: BTreeMap<ExchangeId, Exchange>,
    pub(super) pass: ControlPass,
    pub(super) asked: Bucket,
    pub(super) asking: Bucket,
    pub(super) refused_for_rate: u64,
    pub(super) missing: BTreeMap<AuthorId, Seek>,
    pub(super) outbox: Outbox,
}

/// One pass of Control pages over everything kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct ControlPass {
    pub(super) after: ControlId,
    pub(super) brought_new: bool,
}

impl ControlPass {
    pub(super) const START: Self = Self { after: ControlId::ZERO, brought_new: false };
}

/// What is known of a peer, whether a link to it is up or not; memory only.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) nation: Option<NationId>,
    /// What it has shown to hold, by author.
    pub(super) shown: BTreeMap<AuthorId, Vec<Head>>,
    pub(super) strikes: Vec<Timestamp>,
    pub(super) back_off_ms: u64,
    pub(super) away_until: Timestamp,
    pub(super) newer: bool,
    /// Whether it has compared its record with ours since the start, to the end.
    pub(super) compared: bool,
    /// How far its clock was ahead of ours when it last told.
    pub(super) clock_ahead_ms: i64,
    pub(super) seen_at: Timestamp,
}

/// What a peer is struck for: only what it could check itself (spec 4.4, F18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// R01: a frame that does not decode, or has no business on its stream.
    Frame,
    /// R03: another alliance.
    Alliance,
    /// R05: a signature that is not valid.
    Signature,
    /// R06: a field out of its range.
    Field,
    /// R07: a body that is not the one its header names.
    Body,
    /// A reply that does not answer what was asked.
    Reply,
}

impl Link {
    fn new(up: &LinkUp, admitted: Admitted, now: Timestamp) -> Self {
        Self {
            peer: up.peer,
            source: up.source,
            admitted,
            heard_at: now,
            heartbeat_due: now,
            heartbeat_at: Timestamp::default(),
            hello_due: now,
            control_due: None,
            frontier_due: None,
            frontier_at: Timestamp::default(),
            peer_control: None,
            peer_held: None,
            differs_since: None,
            in_peers_lobby: false,
            exchanges: BTreeMap::new(),
            pass: ControlPass::START,
            asked: Bucket::new(now, REQUESTS_PER_SECOND, REQUESTS_BURST),
            // We stay below what the peer grants, so that no honest node is ever refused for its rate.
            asking: Bucket::new(now, REQUESTS_PER_SECOND * 3 / 4, REQUESTS_BURST * 3 / 4),
            refused_for_rate: 0,
            missing: BTreeMap::new(),
            outbox: Outbox::default(),
        }
    }

    /// When silence has lasted too long. A peer that keeps us in its lobby sends no heartbeats, and ends that stay itself.
    fn dead_at(&self) -> Timestamp {
        self.heard_at.plus_ms(if self.in_peers_lobby { LOBBY_MS + LINK_DEAD_MS } else { LINK_DEAD_MS })
    }

    pub(super) fn is_full(&self) -> bool {
        self.admitted == Admitted::Full
    }
}

impl Replica {
    pub(super) fn link_up(&mut self, up: LinkUp) {
        let now = self.now;
        if up.peer == self.me.key {
            self.effects.push_back(Effect::Close { link: up.link, reason: CloseReason::OwnKey });
            return;
        }
        let away_until = self.peers.get(&up.peer).map_or(Timestamp::default(), |peer| peer.away_until);
        if away_until > now {
            let reason = CloseReason::BackOff { retry_after_ms: away_until.since(now) };
            self.effects.push_back(Effect::Close { link: up.link, reason });
            return;
        }
        let admitted = match self.state.standing(&up.peer) {
            Standing::Active { .. } => Admitted::Full,
            Standing::Retired { .. } => {
                self.counters.refused_retired += 1;
                self.effects.push_back(Effect::Close { link: up.link, reason: CloseReason::Retired });
                return;
            }
            Standing::Unknown if self.lobby_has_room(up.source) => {
                Admitted::Lobby { until: now.plus_ms(LOBBY_MS), bytes: 0 }
            }
            Standing::Unknown => {
                self.counters.refused_lobby_full += 1;
                self.effects.push_back(Effect::Close { link: up.link, reason: CloseReason::LobbyFull });
                return;
            }
        };
        self.links.insert(up.link, Link::new(&up, admitted, now));
        self.note_peer(up.peer);
    }

    fn lobby_has_room(&self, source: Source) -> bool {
        let lobby = || self.links.values().filter(|link| !link.is_full());
        let another = || lobby().any(|link| link.source == source);
        lobby().count() < LOBBY_LINKS_MAX && (source == Source::Loopback || !another())
    }

    /// Makes sure there is memory for a peer, forgetting the one not seen for the longest time if there are too many.
    fn note_peer(&mut self, key: AuthorKey) {
        let now = self.now;
        if !self.peers.contains_key(&key) && self.peers.len() >= PEERS_MAX {
            let linked: BTreeSet<AuthorKey> = self.links.values().map(|link| link.peer).collect();
            let idle = self.peers.iter().filter(|(key, peer)| !linked.contains(key) && peer.away_until <= now);
            let oldest = idle.min_by_key(|(_, peer)| peer.seen_at).map(|(key, _)| *key);
            let oldest = oldest.or_else(|| self.peers.keys().find(|key| !linked.contains(key)).copied());
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        let nation = self.nation_of(&key);
        let peer = self.peers.entry(key).or_default();
        peer.seen_at = now;
        peer.nation = nation;
    }

    pub(super) fn nation_of(&self, key: &AuthorKey) -> Option<NationId> {
        match self.state.standing(key) {
            Standing::Active { nation } | Standing::Retired { nation } => Some(nation),
            Standing::Unknown => None,
        }
    }

    pub(super) fn link_down(&mut self, link: LinkId) {
        if let Some(link) = self.links.remove(&link)
            && let Some(peer) = self.peers.get_mut(&link.peer)
        {
            peer.seen_at = self.now;
        }
        self.fetching.retain(|_, fetch| fetch.link != link);
    }

    pub(super) fn close(&mut self, link: LinkId, reason: CloseReason) {
        if self.links.contains_key(&link) {
            self.link_down(link);
            self.effects.push_back(Effect::Close { link, reason });
        }
    }

    /// Notes that a frame of `bytes` came; whether the link is one we know and may take it from.
    pub(super) fn heard(&mut self, id: LinkId, bytes: usize) -> bool {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return false };
        link.heard_at = now;
        if let Admitted::Lobby { bytes: sum, .. } = &mut link.admitted {
            *sum = sum.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            if *sum > LOBBY_BYTES_MAX {
                self.counters.refused_lobby_bytes += 1;
                self.close(id, CloseReason::LobbyBytes);
                return false;
            }
        }
        true
    }

    /// Strikes the peer of a link, and closes the link at the third strike in ten minutes.
    pub(super) fn strike(&mut self, id: LinkId, fault: Fault) {
        let now = self.now;
        let Some(key) = self.links.get(&id).map(|link| link.peer) else { return };
        self.counters.count_fault(fault);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let weight = if fault == Fault::Frame { STRIKES_MAX } else { 1 };
        peer.strikes.retain(|at| now.since(*at) < STRIKE_WINDOW_MS);
        peer.strikes.extend((0..weight).map(|_| now));
        if u32::try_from(peer.strikes.len()).unwrap_or(u32::MAX) < STRIKES_MAX {
            return;
        }
        peer.strikes.clear();
        peer.back_off_ms = (peer.back_off_ms * 2).clamp(STRIKE_BACKOFF_MS, STRIKE_BACKOFF_MAX_MS);
        peer.away_until = now.plus_ms(peer.back_off_ms);
        let reason = CloseReason::Strikes { retry_after_ms: peer.back_off_ms };
        self.counters.struck_out += 1;
        self.effects.push_back(Effect::Alarm(Alarm::StruckOut { peer: key }));
        self.close(id, reason);
    }

    /// Strikes for something the peer could not know, if that rule is broken on purpose.
    pub(super) fn strike_if_unfair(&mut self, link: LinkId) {
        if !self.rules.keeps(Rule::StrikeOwnFaultsOnly) {
            self.strike(link, Fault::Reply);
        }
    }

    /// R02: the peer speaks a newer wire version; nobody is struck.
    pub(super) fn speaks_newer(&mut self, link: LinkId) {
        self.counters.refused_wire += 1;
        let Some(key) = self.links.get(&link).map(|link| link.peer) else { return };
        if let Some(peer) = self.peers.get_mut(&key)
            && !peer.newer
        {
            peer.newer = true;
            self.effects.push_back(Effect::Alarm(Alarm::Newer { peer: key }));
        }
    }

    /// Looks at every link and at the handshake's lists again, after control records changed the evaluation.
    pub(super) fn control_changed(&mut self) {
        self.admission_changed();
        let now = self.now;
        self.hello_soon();
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            let Some(link) = self.links.get_mut(&id) else { continue };
            let key = link.peer;
            match (self.state.standing(&key), link.admitted) {
                (Standing::Active { .. }, Admitted::Lobby { .. }) => {
                    link.admitted = Admitted::Full;
                    link.heartbeat_due = now;
                    link.frontier_due = Some(now);
                    self.counters.promoted += 1;
                }
                (Standing::Unknown, Admitted::Full) => {
                    link.admitted = Admitted::Lobby { until: now.plus_ms(LOBBY_MS), bytes: 0 };
                    link.missing.clear();
                    self.fetching.retain(|_, fetch| fetch.link != id);
                }
                (Standing::Active { .. }, Admitted::Full) | (Standing::Unknown, Admitted::Lobby { .. }) => {}
                (Standing::Retired { .. }, _) => {
                    self.counters.refused_retired += 1;
                    self.close(id, CloseReason::Retired);
                }
            }
            let nation = self.nation_of(&key);
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.nation = nation;
            }
        }
    }

    /// Tells every peer soon that other control records are held, so that it asks for them.
    pub(super) fn hello_soon(&mut self) {
        const SPREAD_MS: u64 = 50;
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            let hello_due = self.now.plus_ms(self.jitter_below(SPREAD_MS));
            if let Some(link) = self.links.get_mut(&id) {
                link.hello_due = link.hello_due.min(hello_due);
            }
        }
    }

    pub(super) fn admission_changed(&mut self) {
        let mut admission = Admission::default();
        for (nation, roster) in self.state.nations().filter_map(|n| Some((n.id, self.state.roster(&n.id)?))) {
            for key in roster.keys.keys() {
                match self.state.author_status(&AuthorId { nation, key: *key }) {
                    AuthorStatus::Active => admission.active.insert(*key),
                    AuthorStatus::Retired { .. } | AuthorStatus::Removed { .. } => admission.refused.insert(*key),
                    AuthorStatus::Unlisted => false,
                };
            }
        }
        admission.refused.retain(|key| !admission.active.contains(key));
        if admission != self.admission {
            self.admission = admission.clone();
            self.effects.push_back(Effect::Admission(admission));
        }
    }

    pub(super) fn hello(&self) -> Hello {
        Hello {
            wire_min: WIRE,
            wire_max: WIRE,
            rules_max: self.rules_max,
            alliance: self.alliance,
            nation: self.me.nation,
            charter_height: self.state.charter().map_or(0, |charter| u64::from(charter.height)),
            charter: self.state.charter_id(),
            control: self.state.control(),
            held: self.state.held(),
            state: self.state.state_at_hand().unwrap_or(Digest::ZERO),
            time_ms: self.now.0.min(crate::limits::TIME_MS_MAX),
        }
    }

    /// Takes in a peer's Hello, asked for or not; whether the link is still up.
    pub(super) fn hello_came(&mut self, id: LinkId, hello: &Hello) -> bool {
        if hello.alliance != self.alliance {
            self.counters.refused_alliance += 1;
            self.close(id, CloseReason::OtherAlliance);
            return false;
        }
        if !(hello.wire_min..=hello.wire_max).contains(&WIRE) {
            self.close(id, CloseReason::NoCommonVersion);
            return false;
        }
        self.clock_told(id, hello.time_ms);
        let (now, control) = (self.now, self.state.control());
        let Some(link) = self.links.get_mut(&id) else { return false };
        link.peer_control = Some(hello.control);
        let (full, key) = (link.is_full(), link.peer);
        self.compare_states(key, hello);
        let Some(link) = self.links.get_mut(&id) else { return false };
        if hello.control != control {
            link.control_due = Some(now);
        }
        self.held_told(id, hello.held);
        if full && let Some(link) = self.links.get_mut(&id) {
            link.in_peers_lobby = false;
            if link.differs_since.take().is_some() && link.control_due.is_none() {
                link.frontier_due = Some(now);
            }
        }
        true
    }

    pub(super) fn heartbeat_came(&mut self, id: LinkId, heartbeat: &Heartbeat) {
        self.clock_told(id, heartbeat.time_ms);
        self.held_told(id, heartbeat.held);
        self.want_confirmations(id);
    }

    fn clock_told(&mut self, id: LinkId, time_ms: u64) {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let ahead = signed(time_ms) - signed(self.now.0);
        if let Some(peer) = self.links.get(&id).and_then(|link| self.peers.get_mut(&link.peer)) {
            peer.clock_ahead_ms = ahead;
        }
    }

    /// The peer holds a set with this digest: one we had ourselves a moment ago tells all that it holds.
    fn held_told(&mut self, id: LinkId, held: Digest) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.peer_held = Some(held);
        if !link.is_full() {
            return;
        }
        self.remember_held();
        match self.history.find(&held) {
            Some(snapshot) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.differs_since = None;
                    link.missing.clear();
                    link.outbox.caught_up();
                }
                self.shown_all(id, &snapshot);
            }
            None => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.differs_since.get_or_insert(now);
                }
            }
        }
    }

    /// Does what time has made due on every link.
    pub(super) fn wake(&mut self) {
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.wake_link(id);
        }
        self.abandon_stuck_fetches();
        self.watch_if_due();
        self.witness_if_due();
    }

    fn wake_link(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.admitted {
            Admitted::Lobby { until, .. } if until <= now => {
                self.counters.refused_not_in_roster += 1;
                self.close(id, CloseReason::NotInRoster);
                return;
            }
            Admitted::Full if link.dead_at() <= now => {
                self.close(id, CloseReason::Silent);
                return;
            }
            Admitted::Lobby { .. } | Admitted::Full => {}
        }
        if link.is_full() {
            if link.heartbeat_due <= now {
                link.outbox.heartbeat = true;
                link.heartbeat_due = now.plus_ms(HEARTBEAT_MS);
                link.heartbeat_at = now;
            }
            if link.differs_since.is_some_and(|since| now.since(since) >= HELD_DIFFERS_MS) {
                link.hello_due = now;
            }
        }
        if link.hello_due <= now {
            let jitter = self.jitter_below(HELLO_MS / 2);
            if let Some(link) = self.links.get_mut(&id) {
                // In the lobby a Hello is also the only sign of life: the peer may take the link for a full one.
                let pause = if link.is_full() { HELLO_MS * 3 / 4 + jitter } else { HEARTBEAT_MS };
                link.hello_due = now.plus_ms(pause);
            }
            self.ask_hello(id);
        }
        self.ask_control_if_due(id);
        self.relay_if_due(id);
        self.ask_frontier_if_due(id);
    }

    /// The moment at which [`Replica::handle`] wants a Tick; `None` while nothing will ever be due.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let full = self.storage == Storage::Full;
        let links = self.links.values().flat_map(move |link| {
            let always = [Some(link.hello_due), link.control_due, link.frontier_due];
            let admitted = match link.admitted {
                Admitted::Lobby { until, .. } => [Some(until), None, None, None],
                Admitted::Full => [
                    Some(link.dead_at()),
                    Some(link.heartbeat_due),
                    link.differs_since.map(|since| since.plus_ms(HELD_DIFFERS_MS)),
                    link.outbox.relay_due(),
                ],
            };
            // What is being fetched already, cannot be kept, or is not asked of a peer that does not know this node yet, is
            // thought of again when that changes.
            let idle = full || link.in_peers_lobby;
            let seeks = link.missing.iter().filter(move |(author, _)| !idle && !self.fetching.contains_key(author));
            let seeks = seeks.filter_map(|(_, seek)| seek.retry_at());
            always.into_iter().chain(admitted).flatten().chain(seeks)
        });
        let fetches = self.fetching.values().map(super::sync::Fetch::abandoned_at);
        // A wish that waits for a token or an answer is looked at again a little later, never at once.
        let own = [self.witness_due(), self.watch.due(), self.cut_due()].into_iter().flatten();
        let silences = self.silences.due(self.now, self.links.is_empty());
        links.chain(fetches).chain(own).chain(silences).min().map(|at| at.max(self.now.plus_ms(1)))
    }
}
