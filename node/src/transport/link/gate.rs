//! Who is let in: limits on handshakes and strangers, and refusal of keys that were retired (spec 4.13).

use std::collections::BTreeMap;
use std::net::IpAddr;

use comity_protocol::ids::AuthorKey;
use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use crate::transport::Admission;
use crate::transport::identity::source;

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::transport) enum Refusal {
    /// The peer's key is no ed25519 key.
    #[error("peer's key is of another kind")]
    KeyKind,
    /// The key is Retired or of a removed nation.
    #[error("peer's key is refused by the rosters")]
    Key,
    /// Too many connections of keys that are not Active.
    #[error("too many unknown peers")]
    UnknownPeers,
    /// The source address has such a connection, or too many handshakes, already.
    #[error("too many connections from one source address")]
    Source,
}

/// What the gate remembers of connections.
#[derive(Debug)]
pub(in crate::transport) struct Gate {
    admission: Admission,
    pending_per_source_max: usize,
    unknown_max: usize,
    /// Inbound handshakes under way.
    pending: BTreeMap<ConnectionId, Option<IpAddr>>,
    /// Inbound connections of keys that were not Active when they came.
    unknown: BTreeMap<ConnectionId, (AuthorKey, Option<IpAddr>)>,
}

impl Gate {
    /// A gate with its bounds.
    pub(in crate::transport) fn new(admission: Admission, pending_per_source_max: usize, unknown_max: usize) -> Self {
        Self { admission, pending_per_source_max, unknown_max, pending: BTreeMap::new(), unknown: BTreeMap::new() }
    }

    /// What is known about keys.
    pub(in crate::transport) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Replaces what is known about keys.
    pub(in crate::transport) fn admit(&mut self, admission: Admission) {
        self.admission = admission;
        let active = &self.admission.active;
        self.unknown.retain(|_, (key, _)| !active.contains(key));
    }

    /// Whether a key is refused.
    pub(in crate::transport) fn refuses(&self, key: &AuthorKey) -> bool {
        self.admission.refused.contains(key) && !self.admission.active.contains(key)
    }

    /// Admits an inbound connection to its handshake.
    pub(super) fn pending(&mut self, connection: ConnectionId, remote: &Multiaddr) -> Result<(), Refusal> {
        let from = source(remote);
        if bounded(from) && self.pending.values().filter(|other| **other == from).count() >= self.pending_per_source_max
        {
            return Err(Refusal::Source);
        }
        self.pending.insert(connection, from);
        Ok(())
    }

    /// Admits an inbound connection that proved its key.
    pub(super) fn inbound(
        &mut self,
        connection: ConnectionId,
        key: AuthorKey,
        remote: &Multiaddr,
    ) -> Result<(), Refusal> {
        self.pending.remove(&connection);
        if self.refuses(&key) {
            return Err(Refusal::Key);
        }
        if self.admission.active.contains(&key) {
            return Ok(());
        }
        let from = source(remote);
        // The same stranger coming again replaces itself: its older connection ends with the tie-break.
        let mut others = self.unknown.values().filter(|(other, _)| *other != key);
        if others.clone().count() >= self.unknown_max {
            return Err(Refusal::UnknownPeers);
        }
        if bounded(from) && others.any(|(_, other)| *other == from) {
            return Err(Refusal::Source);
        }
        self.unknown.insert(connection, (key, from));
        Ok(())
    }

    /// Admits a connection we dialled.
    pub(super) fn outbound(&self, key: &AuthorKey) -> Result<(), Refusal> {
        if self.refuses(key) { Err(Refusal::Key) } else { Ok(()) }
    }

    /// Forgets a connection that failed or ended.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.pending.remove(&connection);
        self.unknown.remove(&connection);
    }
}

/// Whether the bounds for one source address hold for it; testnets come from loopback.
fn bounded(from: Option<IpAddr>) -> bool {
    from.is_some_and(|ip| !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> AuthorKey {
        AuthorKey::new([byte; 32])
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn strangers_are_few_and_one_for_each_source() {
        let mut gate = Gate::new(Admission::default(), 2, 2);
        let here = address("/ip4/192.0.2.1/tcp/1");
        assert_eq!(gate.inbound(id(1), key(1), &here), Ok(()));
        assert_eq!(gate.inbound(id(2), key(2), &here), Err(Refusal::Source));
        assert_eq!(gate.inbound(id(3), key(3), &address("/ip4/127.0.0.1/tcp/1")), Ok(()));
        assert_eq!(gate.inbound(id(4), key(4), &address("/ip4/127.0.0.1/tcp/2")), Err(Refusal::UnknownPeers));
        let active = [key(1), key(4)].into();
        gate.admit(Admission { active, refused: [key(5), key(4)].into() });
        assert_eq!(gate.inbound(id(5), key(4), &here), Ok(()), "active wins over refused");
        assert_eq!(gate.inbound(id(6), key(5), &here), Err(Refusal::Key));
        assert_eq!(gate.outbound(&key(5)), Err(Refusal::Key));
        assert_eq!(gate.inbound(id(7), key(6), &here), Ok(()), "the first stranger became a member");
        gate.forget(id(7));
        assert_eq!(gate.inbound(id(8), key(7), &here), Ok(()));
    }

    #[test]
    fn handshakes_under_way_are_bounded_for_each_source_but_loopback() {
        let mut gate = Gate::new(Admission::default(), 2, 2);
        let here = address("/ip4/192.0.2.1/tcp/1");
        for number in 0..2 {
            assert_eq!(gate.pending(id(number), &here), Ok(()));
        }
        assert_eq!(gate.pending(id(2), &here), Err(Refusal::Source));
        gate.forget(id(0));
        assert_eq!(gate.pending(id(3), &here), Ok(()));
        for number in 10..50 {
            assert_eq!(gate.pending(id(number), &address("/ip4/127.0.0.1/tcp/9")), Ok(()));
        }
    }
}
