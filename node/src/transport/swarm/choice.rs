//! Which of several connections to one peer is the link; both ends come to the same answer.

use std::time::{Duration, Instant};

use comity_protocol::ids::AuthorKey;
use libp2p::swarm::ConnectionId;

use crate::transport::keep;

/// A connection to choose among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The connection.
    pub(super) id: ConnectionId,
    /// Whether we dialled it.
    pub(super) dialer: bool,
    /// When it was established.
    pub(super) since: Instant,
}

/// What to do about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Close these.
    pub(super) close: Vec<ConnectionId>,
    /// This one is the link; if none, what is the link stays it as long as it is not closed.
    pub(super) link: Option<ConnectionId>,
    /// Choose again then, if nothing happened before.
    pub(super) again: Option<Instant>,
}

/// Chooses.
///
/// A connection dialled by the smaller key beats one dialled by the larger. Of several dialled by one end, that end keeps
/// the oldest, for it knows which of its own are alive; the other end gives it `settle` to say so by closing the rest, and
/// then takes the newest, because the older ones are what a crash or a cut left behind. A lone connection dialled by the
/// larger key waits `settle` for a better one before it becomes the link.
pub(super) fn choose(me: &AuthorKey, peer: &AuthorKey, held: &[Held], now: Instant, settle: Duration) -> Choice {
    let mut choice = Choice::default();
    let wins = held.iter().any(|connection| keep(me, peer, connection.dialer));
    let (mut pool, beaten): (Vec<Held>, Vec<Held>) =
        held.iter().partition(|connection| !wins || keep(me, peer, connection.dialer));
    choice.close.extend(beaten.iter().map(|connection| connection.id));
    pool.sort_by_key(|connection| (connection.since, connection.id));
    let (Some(oldest), Some(newest)) = (pool.first().copied(), pool.last().copied()) else { return choice };
    let link = if pool.len() == 1 || oldest.dialer { oldest } else { newest };
    let sure = if pool.len() == 1 { wins } else { link.dialer && wins };
    if !sure && now < link.since + settle {
        choice.again = Some(link.since + settle);
        if oldest.dialer {
            choice.close.extend(pool.iter().skip(1).map(|connection| connection.id));
        }
        return choice;
    }
    choice.link = Some(link.id);
    choice.close.extend(pool.iter().filter(|other| other.id != link.id).map(|other| other.id));
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(250);

    fn key(byte: u8) -> AuthorKey {
        AuthorKey::new([byte; 32])
    }

    fn held(id: usize, dialer: bool, since: Instant) -> Held {
        Held { id: ConnectionId::new_unchecked(id), dialer, since }
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn both_ends_keep_the_connection_the_smaller_key_dialled() {
        let now = Instant::now();
        let small = choose(&key(1), &key(2), &[held(1, true, now), held(2, false, now)], now, SETTLE);
        let large = choose(&key(2), &key(1), &[held(1, false, now), held(2, true, now)], now, SETTLE);
        let expected = Choice { close: vec![id(2)], link: Some(id(1)), again: None };
        assert_eq!((small, large), (expected.clone(), expected));
    }

    #[test]
    fn a_lone_connection_of_the_larger_key_waits_for_a_better_one() {
        let now = Instant::now();
        let lone = [held(2, true, now)];
        assert_eq!(
            choose(&key(2), &key(1), &lone, now, SETTLE),
            Choice { again: Some(now + SETTLE), ..Choice::default() }
        );
        assert_eq!(choose(&key(2), &key(1), &lone, now + SETTLE, SETTLE).link, Some(id(2)));
        assert_eq!(choose(&key(1), &key(2), &lone, now, SETTLE).link, Some(id(2)), "dialled by the smaller");
    }

    #[test]
    fn of_one_ends_dials_it_keeps_the_oldest_and_the_other_follows() {
        let now = Instant::now();
        let later = now + Duration::from_secs(30);
        let mine = choose(&key(1), &key(2), &[held(1, true, now), held(2, true, later)], later, SETTLE);
        assert_eq!(mine, Choice { close: vec![id(2)], link: Some(id(1)), again: None });
        let theirs = [held(1, false, now), held(2, false, later)];
        let waits = choose(&key(2), &key(1), &theirs, later, SETTLE);
        assert_eq!(waits, Choice { close: vec![], link: None, again: Some(later + SETTLE) });
        let switches = choose(&key(2), &key(1), &theirs, later + SETTLE, SETTLE);
        assert_eq!(switches, Choice { close: vec![id(1)], link: Some(id(2)), again: None });
    }
}
