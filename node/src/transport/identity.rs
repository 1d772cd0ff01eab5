//! A node's key as libp2p's identity: the peer id of an ed25519 key holds the key itself.

use std::net::IpAddr;

use comity_protocol::ids::AuthorKey;
use comity_protocol::keys::SecretKey;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity};

/// What stands before the 32 key bytes in the peer id of an ed25519 key: identity multihash of 36 bytes, key type, length.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Returns libp2p's form of a node's key.
pub(super) fn keypair(key: &SecretKey) -> identity::Keypair {
    let mut seed = key.seed();
    identity::Keypair::ed25519_from_bytes(seed.as_mut_slice()).expect("any 32 bytes are a seed")
}

/// Returns the key in a peer id; `None` for a peer id of another kind of key.
pub(super) fn author_key(peer: &PeerId) -> Option<AuthorKey> {
    let bytes = peer.to_bytes();
    let key = bytes.strip_prefix(&PEER_ID_PREFIX)?;
    Some(AuthorKey::new(key.try_into().ok()?))
}

/// Returns the peer id of a key.
pub(super) fn peer_id(key: &AuthorKey) -> PeerId {
    let bytes = [&PEER_ID_PREFIX[..], key.as_bytes()].concat();
    PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a peer id")
}

/// Takes a trailing peer id off an address.
pub(super) fn split_peer(address: &Multiaddr) -> (Multiaddr, Option<AuthorKey>) {
    let mut bare = address.clone();
    match bare.pop() {
        Some(Protocol::P2p(peer)) => (bare, author_key(&peer)),
        _ => (address.clone(), None),
    }
}

/// Whether an address is one for TCP: a host and a port, nothing else.
pub(super) fn is_tcp(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = matches!(
        parts.next(),
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    );
    host && matches!(parts.next(), Some(Protocol::Tcp(_))) && parts.next().is_none()
}

/// Returns the internet address in an address.
pub(super) fn source(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_peer_id_are_two_forms_of_one_thing() {
        let key = SecretKey::from_seed(&[3; 32]);
        let pair = keypair(&key);
        assert_eq!(pair.public().to_peer_id(), peer_id(&key.public()));
        assert_eq!(author_key(&pair.public().to_peer_id()), Some(key.public()));
        assert_eq!(
            author_key(
                &PeerId::from_multihash(libp2p::multihash::Multihash::wrap(0x12, &[1; 32]).expect("32 bytes fit"),)
                    .expect("a hashed key")
            ),
            None
        );
    }

    #[test]
    fn a_trailing_peer_id_is_split_off() {
        let key: AuthorKey = SecretKey::from_seed(&[4; 32]).public();
        let bare: Multiaddr = "/ip4/10.0.0.1/tcp/7400".parse().expect("an address");
        let full = bare.clone().with(Protocol::P2p(peer_id(&key)));
        assert_eq!(split_peer(&full), (bare.clone(), Some(key)));
        assert_eq!(split_peer(&bare), (bare.clone(), None));
        assert_eq!(source(&bare), Some("10.0.0.1".parse().expect("an address")));
    }
}
