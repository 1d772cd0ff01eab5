//! What libp2p's errors say, in our words.

use std::io;

use libp2p::core::transport::TransportError;
use libp2p::swarm;

use crate::transport::DialError;
use crate::transport::identity::author_key;

/// Says in our words why a dial failed.
pub(super) fn dial_error(error: &swarm::DialError) -> DialError {
    match error {
        swarm::DialError::LocalPeerId { .. } => DialError::Myself,
        swarm::DialError::WrongPeerId { obtained, .. } => {
            author_key(obtained).map_or(DialError::Handshake, DialError::WrongKey)
        }
        swarm::DialError::Denied { .. } => DialError::Denied,
        swarm::DialError::NoAddresses => DialError::Unsupported,
        swarm::DialError::DialPeerConditionFalse(_) | swarm::DialError::Aborted => DialError::Handshake,
        swarm::DialError::Transport(errors) => match errors.last() {
            Some((_, TransportError::MultiaddrNotSupported(_))) => DialError::Unsupported,
            Some((_, TransportError::Other(error))) => {
                system_error(error).map_or(DialError::Handshake, |error| DialError::Io(error.kind()))
            }
            None => DialError::Handshake,
        },
    }
}

/// Finds what the operating system said below the layers libp2p puts around it.
pub(super) fn system_error(error: &io::Error) -> Option<io::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        cause = error.source();
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if let Some(code) = error.raw_os_error() {
                return Some(io::Error::from_raw_os_error(code));
            }
            if let Some(inner) = error.get_ref() {
                cause = Some(inner);
            }
        }
    }
    None
}
