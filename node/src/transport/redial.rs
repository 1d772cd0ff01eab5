//! When to dial whom: one entry for each peer, jittered back-off, no clock of its own (NETWORK 5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use comity_protocol::ids::AuthorKey;
use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use super::identity::split_peer;
use super::{Admission, DialError, DialOrigin, DialState, DialStatus, DialTarget, TransportTiming};

/// Addresses tried for one peer; they are dialled at once, so the dial timeout holds for all together.
const ADDRESSES_MAX: usize = 8;
/// Peers in the dial list: a full alliance with every key its rosters allow Active, and static addresses.
const TARGETS_MAX: usize = 1_024;

/// What is dialled as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TargetId {
    /// A peer known by key: all its addresses.
    Node(AuthorKey),
    /// An address whose key is not known beforehand.
    Address(Multiaddr),
}

/// A dial to start now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) target: TargetId,
    pub(super) addresses: Vec<Multiaddr>,
}

#[derive(Clone, Debug)]
struct Target {
    addresses: BTreeSet<Multiaddr>,
    /// Found on the local network; they come and go by themselves.
    found: BTreeSet<Multiaddr>,
    /// The key expected, or the one that answered last.
    node: Option<AuthorKey>,
    origin: DialOrigin,
    attempts: u32,
    next: Instant,
    /// Not dialled before, whatever the back-off says.
    held_until: Option<Instant>,
    dialling: Option<ConnectionId>,
    last_error: Option<DialError>,
}

impl Target {
    /// When the next attempt is due.
    fn at(&self) -> Instant {
        self.held_until.map_or(self.next, |until| until.max(self.next))
    }

    fn new(node: Option<AuthorKey>, origin: DialOrigin, next: Instant) -> Self {
        Self {
            addresses: BTreeSet::new(),
            found: BTreeSet::new(),
            node,
            origin,
            attempts: 0,
            next,
            held_until: None,
            dialling: None,
            last_error: None,
        }
    }
}

/// Decides on dials; told what happened, asked what is due.
#[derive(Debug)]
pub(super) struct Redial {
    me: AuthorKey,
    timing: TransportTiming,
    targets: BTreeMap<TargetId, Target>,
    /// Peers that are connected, and since when.
    connected: BTreeMap<AuthorKey, Instant>,
    /// Keys that a running attempt expects.
    attempts_at: BTreeSet<AuthorKey>,
    random: u64,
}

impl Redial {
    /// Nobody to dial yet; `seed` decides the jitter.
    pub(super) fn new(me: AuthorKey, timing: TransportTiming, seed: u64) -> Self {
        Self {
            me,
            timing,
            targets: BTreeMap::new(),
            connected: BTreeMap::new(),
            attempts_at: BTreeSet::new(),
            random: seed,
        }
    }

    /// Replaces the list; what stays keeps its back-off, what is new is due at once.
    pub(super) fn set_targets(&mut self, list: Vec<DialTarget>, now: Instant) {
        let mut old = std::mem::take(&mut self.targets);
        for item in list {
            let (address, named) = split_peer(&item.address);
            let node = item.node.or(named);
            if node == Some(self.me) {
                continue;
            }
            let id = node.map_or_else(|| TargetId::Address(address.clone()), TargetId::Node);
            if self.targets.len() >= TARGETS_MAX && !self.targets.contains_key(&id) {
                tracing::warn!(%address, "dial list is full");
                continue;
            }
            let first = now + self.head_start(node.as_ref());
            let target = self.targets.entry(id.clone()).or_insert_with(|| {
                let mut target = old.remove(&id).unwrap_or_else(|| Target::new(node, item.origin, first));
                target.addresses.clear();
                target.origin = item.origin;
                target
            });
            if item.origin == DialOrigin::Static {
                target.origin = DialOrigin::Static;
            }
            if target.addresses.len() < ADDRESSES_MAX {
                target.addresses.insert(address);
            }
        }
        for (id, mut target) in old {
            if target.found.is_empty()
                && target.dialling.is_some()
                && let Some(node) = target.node
            {
                self.attempts_at.remove(&node);
            }
            if !target.found.is_empty() {
                target.addresses.clear();
                target.origin = DialOrigin::Learned;
                self.targets.entry(id).or_insert(target);
            }
        }
    }

    /// Adds an address found on the local network.
    pub(super) fn found(&mut self, node: AuthorKey, address: &Multiaddr, now: Instant) {
        let id = TargetId::Node(node);
        if node == self.me || (self.targets.len() >= TARGETS_MAX && !self.targets.contains_key(&id)) {
            return;
        }
        let first = now + self.head_start(Some(&node));
        let target = self.targets.entry(id).or_insert_with(|| Target::new(Some(node), DialOrigin::Learned, first));
        if target.found.len() < ADDRESSES_MAX {
            target.found.insert(split_peer(address).0);
        }
    }

    /// Takes back an address found on the local network.
    pub(super) fn lost_sight(&mut self, node: AuthorKey, address: &Multiaddr) {
        let id = TargetId::Node(node);
        if let Some(target) = self.targets.get_mut(&id) {
            target.found.remove(&split_peer(address).0);
            if target.found.is_empty() && target.addresses.is_empty() {
                self.targets.remove(&id);
            }
        }
    }

    /// Returns a dial that is due; the caller says with [`Self::started`] or [`Self::not_started`] what became of it.
    pub(super) fn due(&self, admission: &Admission, now: Instant) -> Option<Dial> {
        let (id, target) =
            self.targets.iter().find(|(id, target)| target.at() <= now && self.may_dial(id, target, admission))?;
        let addresses = target.addresses.union(&target.found).take(ADDRESSES_MAX).cloned().collect();
        Some(Dial { target: id.clone(), addresses })
    }

    /// When the next dial is due, if nothing else happens.
    pub(super) fn next_due(&self, admission: &Admission) -> Option<Instant> {
        let open = self.targets.iter().filter(|(id, target)| self.may_dial(id, target, admission));
        open.map(|(_, target)| target.at()).min()
    }

    /// An attempt runs.
    pub(super) fn started(&mut self, target: &TargetId, connection: ConnectionId) {
        if let Some(target) = self.targets.get_mut(target) {
            target.dialling = Some(connection);
            self.attempts_at.extend(target.node);
        }
    }

    /// An attempt could not even start.
    pub(super) fn not_started(&mut self, target: &TargetId, error: DialError, now: Instant) {
        self.back_off(target, error, now);
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, connection: ConnectionId, error: DialError, now: Instant) {
        if let Some(id) = self.dialling(connection) {
            self.back_off(&id, error, now);
        }
    }

    /// A connection to `node` is up; `connection` tells which attempt led to it, if one did.
    pub(super) fn connected(&mut self, node: AuthorKey, connection: ConnectionId, now: Instant) {
        if let Some(target) = self.dialling(connection).and_then(|id| self.targets.get_mut(&id)) {
            target.dialling = None;
            if let Some(expected) = target.node.replace(node) {
                self.attempts_at.remove(&expected);
            }
        }
        self.connected.entry(node).or_insert(now);
    }

    /// The last connection to `node` is gone: a short one leaves the back-off to grow, a lasting one resets it.
    pub(super) fn disconnected(&mut self, node: AuthorKey, now: Instant) {
        let Some(since) = self.connected.remove(&node) else { return };
        let lasting = now.saturating_duration_since(since) >= self.timing.lasting;
        let ids: Vec<TargetId> =
            self.targets.iter().filter(|(_, target)| target.node == Some(node)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            if lasting && let Some(target) = self.targets.get_mut(&id) {
                target.attempts = 0;
            }
            self.wait(&id, now);
            if let Some(target) = self.targets.get_mut(&id) {
                target.last_error = if lasting { None } else { Some(DialError::ClosedEarly) };
            }
        }
    }

    /// Does not dial `node` before `until`, at any address where it is expected or answered last.
    pub(super) fn hold_off(&mut self, node: AuthorKey, until: Instant) {
        for target in self.targets.values_mut().filter(|target| target.node == Some(node)) {
            target.held_until = Some(until);
        }
    }

    /// Describes every target.
    pub(super) fn status(&self, admission: &Admission, now: Instant) -> Vec<DialStatus> {
        let describe = |(id, target): (&TargetId, &Target)| {
            let state = if target.node.is_some_and(|node| self.connected.contains_key(&node)) {
                DialState::Connected
            } else if target.dialling.is_some() {
                DialState::Dialling
            } else if self.may_dial(id, target, admission) {
                DialState::Waiting(target.at().saturating_duration_since(now))
            } else {
                DialState::Held
            };
            DialStatus {
                node: target.node,
                addresses: target.addresses.union(&target.found).cloned().collect(),
                state,
                attempts: target.attempts,
                last_error: target.last_error,
            }
        };
        self.targets.iter().map(describe).collect()
    }

    fn may_dial(&self, id: &TargetId, target: &Target, admission: &Admission) -> bool {
        if target.dialling.is_some() || target.node.is_some_and(|node| self.busy(&node)) {
            return false;
        }
        match (target.origin, id) {
            (DialOrigin::Learned, _) => target.node.is_some_and(|node| admission.active.contains(&node)),
            (DialOrigin::Static, TargetId::Node(node)) => {
                admission.active.contains(node) || !admission.refused.contains(node)
            }
            // Whoever answered last, another node may stand there by now.
            (DialOrigin::Static, TargetId::Address(_)) => true,
        }
    }

    /// Whether `node` is connected, or an attempt that expects it runs.
    fn busy(&self, node: &AuthorKey) -> bool {
        self.connected.contains_key(node) || self.attempts_at.contains(node)
    }

    fn dialling(&self, connection: ConnectionId) -> Option<TargetId> {
        self.targets.iter().find(|(_, target)| target.dialling == Some(connection)).map(|(id, _)| id.clone())
    }

    fn back_off(&mut self, id: &TargetId, error: DialError, now: Instant) {
        self.wait(id, now);
        if let Some(target) = self.targets.get_mut(id) {
            target.last_error = Some(error);
        }
    }

    /// Sets the next attempt after the back-off, between half of it and all of it, and lets the back-off grow.
    fn wait(&mut self, id: &TargetId, now: Instant) {
        let random = self.next_random();
        let Some(target) = self.targets.get_mut(id) else { return };
        let doubled = self.timing.redial_first.saturating_mul(1 << target.attempts.min(20));
        let half = doubled.min(self.timing.redial_max) / 2;
        let jitter = half.mul_f64(f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX));
        if target.dialling.take().is_some()
            && let Some(node) = target.node
        {
            self.attempts_at.remove(&node);
        }
        target.attempts = target.attempts.saturating_add(1);
        let node = target.node;
        let next = now + half + jitter + self.head_start(node.as_ref());
        if let Some(target) = self.targets.get_mut(id) {
            target.next = next;
        }
    }

    /// What the larger key waits, so that the smaller one dials first.
    fn head_start(&self, node: Option<&AuthorKey>) -> Duration {
        match node {
            Some(node) if self.me > *node => self.timing.head_start,
            _ => Duration::ZERO,
        }
    }

    /// The next number of a splitmix64 sequence.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> AuthorKey {
        AuthorKey::new([byte; 32])
    }

    fn at(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
    }

    fn to(port: u16, node: Option<AuthorKey>) -> DialTarget {
        DialTarget { address: at(port), node, origin: DialOrigin::Static }
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    /// A redial of key 5 with the default times, and a start.
    fn redial(list: Vec<DialTarget>) -> (Redial, Instant) {
        let now = Instant::now();
        let mut redial = Redial::new(key(5), TransportTiming::default(), 7);
        redial.set_targets(list, now);
        (redial, now)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_back_off_doubles_up_to_its_bound_and_a_lasting_link_resets_it() {
        let (mut redial, mut now) = redial(vec![to(1, Some(key(9)))]);
        let known = Admission::default();
        let (first, max) = (TransportTiming::default().redial_first, TransportTiming::default().redial_max);
        for attempt in 0..12 {
            let dial = redial.due(&known, now).expect("due");
            redial.started(&dial.target, connection(attempt));
            assert_eq!(redial.due(&known, now + seconds(1_000)), None, "one attempt at a time");
            redial.failed(connection(attempt), DialError::Handshake, now);
            let whole = first.saturating_mul(1 << attempt).min(max);
            let wait = redial.next_due(&known).expect("waits").duration_since(now);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            now += wait;
        }
        redial.started(&TargetId::Node(key(9)), connection(50));
        redial.connected(key(9), connection(50), now);
        assert_eq!(redial.next_due(&known), None);
        redial.disconnected(key(9), now + seconds(1));
        assert_eq!(redial.status(&known, now)[0].attempts, 13, "it did not last");
        assert_eq!(redial.status(&known, now)[0].last_error, Some(DialError::ClosedEarly));
        redial.connected(key(9), connection(51), now);
        redial.disconnected(key(9), now + seconds(60));
        let wait = redial.next_due(&known).expect("waits").duration_since(now + seconds(60));
        assert!(wait <= first, "{wait:?}");
        assert_eq!(redial.status(&known, now)[0].last_error, None);
    }

    #[test]
    fn a_peer_held_off_is_not_dialled_before_its_time_however_its_link_ended() {
        let (mut redial, now) = redial(vec![to(1, Some(key(9)))]);
        let known = Admission::default();
        redial.connected(key(9), connection(1), now);
        redial.hold_off(key(9), now + seconds(600));
        redial.disconnected(key(9), now);
        redial.set_targets(vec![to(1, Some(key(9)))], now);
        assert_eq!(redial.due(&known, now + seconds(599)), None);
        assert!(redial.due(&known, now + seconds(600)).is_some());
    }

    #[test]
    fn the_larger_key_waits_before_each_dial() {
        let (redial, now) = redial(vec![to(1, Some(key(1))), to(2, Some(key(9)))]);
        let known = Admission::default();
        let dial = redial.due(&known, now).expect("due");
        assert_eq!(dial.target, TargetId::Node(key(9)));
        let (mut redial, now) = super::tests::redial(vec![to(1, Some(key(1)))]);
        assert_eq!(redial.due(&known, now), None);
        assert!(redial.due(&known, now + TransportTiming::default().head_start).is_some());
        redial.set_targets(vec![to(3, Some(key(1)))], now);
        assert_eq!(redial.due(&known, now), None, "a changed address is no reason to hurry");
    }

    #[test]
    fn all_addresses_of_a_peer_are_one_dial_and_this_node_is_none() {
        let named: Multiaddr =
            format!("{}/p2p/{}", at(3), super::super::identity::peer_id(&key(9))).parse().expect("p2p");
        let list = vec![
            to(1, Some(key(9))),
            to(2, Some(key(9))),
            DialTarget { address: named, node: None, origin: DialOrigin::Static },
            to(4, Some(key(5))),
        ];
        let (redial, now) = redial(list);
        let dial = redial.due(&Admission::default(), now).expect("due");
        assert_eq!(dial, Dial { target: TargetId::Node(key(9)), addresses: vec![at(1), at(2), at(3)] });
        assert_eq!(redial.targets.len(), 1);
    }

    #[test]
    fn keys_decide_what_is_dialled_but_not_at_an_address_of_the_operator() {
        let learned = DialTarget { origin: DialOrigin::Learned, ..to(1, Some(key(9))) };
        let (mut redial, now) = redial(vec![learned]);
        let mut known = Admission::default();
        assert_eq!(redial.due(&known, now), None);
        known.active.insert(key(9));
        assert!(redial.due(&known, now).is_some());
        known.active.clear();
        known.refused.insert(key(9));
        redial.set_targets(vec![to(1, Some(key(9)))], now);
        assert_eq!(redial.due(&known, now), None, "a refused key is not dialled");
        redial.set_targets(vec![to(1, None)], now);
        redial.started(&TargetId::Address(at(1)), connection(1));
        redial.connected(key(9), connection(1), now);
        redial.disconnected(key(9), now);
        assert!(redial.due(&known, now + seconds(60)).is_some(), "another node may stand there now");
    }

    #[test]
    fn two_names_of_one_peer_are_not_dialled_together() {
        let (mut redial, now) = redial(vec![to(1, None), to(2, Some(key(9)))]);
        let known = Admission::default();
        redial.started(&TargetId::Address(at(1)), connection(1));
        redial.connected(key(9), connection(1), now);
        assert_eq!(redial.next_due(&known), None);
        redial.disconnected(key(9), now);
        let later = now + seconds(60);
        let dial = redial.due(&known, later).expect("due");
        redial.started(&dial.target, connection(2));
        assert_eq!(redial.due(&known, later), None);
        redial.failed(connection(2), DialError::Handshake, later);
        assert!(redial.due(&known, later + seconds(60)).is_some());
        // A list that drops a running attempt forgets what it was after.
        let dial = redial.due(&known, later + seconds(60)).expect("due");
        redial.started(&dial.target, connection(3));
        redial.set_targets(Vec::new(), later);
        redial.set_targets(vec![to(2, Some(key(9)))], later);
        assert!(redial.due(&known, later + seconds(60)).is_some());
    }

    #[test]
    fn what_the_local_network_shows_comes_and_goes() {
        let (mut redial, now) = redial(Vec::new());
        let known = Admission { active: [key(9)].into(), ..Admission::default() };
        redial.found(key(9), &at(1), now);
        redial.found(key(5), &at(2), now);
        assert_eq!(redial.due(&Admission::default(), now), None, "members only");
        assert_eq!(redial.due(&known, now).expect("due").addresses, vec![at(1)]);
        redial.set_targets(Vec::new(), now);
        assert!(redial.due(&known, now).is_some(), "a new list does not hide it");
        redial.lost_sight(key(9), &at(1));
        assert_eq!(redial.status(&known, now).len(), 0);
    }
}
