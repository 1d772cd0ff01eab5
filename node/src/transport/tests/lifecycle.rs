//! Links coming and going: duplicates, cuts, restarts, admission.

use super::relay::{Flow, Relay};
use super::*;

/// Sends one frame each way and waits for both, passing over links that are replaced meanwhile.
async fn talk(a: &mut TestNode, on_a: LinkId, b: &mut TestNode, on_b: LinkId) {
    a.send(NetCommand::Push { link: on_a, frame: frame(11, b"to b") }).await;
    b.send(NetCommand::Push { link: on_b, frame: frame(11, b"to a") }).await;
    for (node, on, expected) in [(a, on_a, b"to a"), (b, on_b, b"to b")] {
        match node.next().await {
            NetEvent::Push { link, frame: got } => assert_eq!((link, got), (on, frame(11, expected))),
            other => panic!("{other:?}"),
        }
    }
}

/// The link that is left once every connection but one is gone, with ups and downs of each link paired.
async fn settled(node: &mut TestNode) -> LinkId {
    let one = |status: &NetStatus| {
        status.connections == 1
            && status.links.len() == 1
            && status.dials.iter().all(|dial| dial.state == DialState::Connected)
    };
    let mut up = None;
    loop {
        let status = node.status_until(one).await;
        match up {
            Some(link) if status.links[0].link == link => return link,
            None | Some(_) => match node.next().await {
                NetEvent::LinkUp { link, .. } => assert_eq!(up.replace(link), None, "one link at a time"),
                NetEvent::LinkDown { link, reason } => {
                    assert_eq!(up.take(), Some(link));
                    assert!(matches!(reason, DownReason::Duplicate | DownReason::Lost | DownReason::PushEnded));
                }
                other => panic!("{other:?}"),
            },
        }
    }
}

#[tokio::test]
async fn when_both_dial_at_once_exactly_one_link_is_left() {
    let mut duplicates = 0;
    for round in 0..50 {
        let mut nodes = Vec::new();
        for seed in [2 * round, 2 * round + 1] {
            let mut config = config(seed);
            // Without the head start they collide nearly always.
            config.timing.head_start = Duration::ZERO;
            nodes.push(start(config).await);
        }
        let (mut b, mut a) = (nodes.pop().expect("two"), nodes.pop().expect("two"));
        a.send(NetCommand::SetDial(vec![to(&b.address, Some(b.key))])).await;
        b.send(NetCommand::SetDial(vec![to(&a.address, Some(a.key))])).await;
        let (on_a, on_b) = (settled(&mut a).await, settled(&mut b).await);
        talk(&mut a, on_a, &mut b, on_b).await;
        duplicates += a.counter("net_duplicates_total") + b.counter("net_duplicates_total");
    }
    assert!(duplicates > 0, "the rounds never collided");
}

#[tokio::test]
async fn an_address_without_a_key_leads_to_a_link_and_two_names_of_one_peer_to_no_second() {
    let mut a = start(config(1)).await;
    let relay = Relay::to(&a.address).await;
    let mut config = config(2);
    config.dial = vec![to(&a.address, None), to(&relay.address, None)];
    let mut b = start(config).await;
    let (on_a, on_b) = (settled(&mut a).await, settled(&mut b).await);
    talk(&mut a, on_a, &mut b, on_b).await;
    assert!(b.status().await.dials.iter().all(|dial| dial.node == Some(a.key)));
}

#[tokio::test]
async fn a_peer_that_restarts_is_dialled_again() {
    let mut a = start(config(1)).await;
    let mut b = start_towards(2, &a).await;
    for _ in 0..3 {
        let on_b = b.up(a.key).await;
        a.up(b.key).await;
        let listen = a.address.clone();
        a.send(NetCommand::Shutdown).await;
        within(a.handle.stopped()).await;
        drop(a);
        assert!(matches!(b.down(on_b).await, DownReason::Lost | DownReason::PushEnded));
        let mut again = config(1);
        again.listen = vec![listen];
        a = start(again).await;
    }
    b.up(a.key).await;
}

#[tokio::test]
async fn after_a_silent_cut_both_ends_close_and_link_again_once_it_heals() {
    for cut in [Flow::Hold, Flow::Swallow] {
        let mut a = start(config(1)).await;
        let relay = Relay::to(&a.address).await;
        let mut config = config(2);
        config.timing.handshake = Duration::from_millis(500);
        config.dial.push(to(&relay.address, Some(a.key)));
        let mut b = start(config).await;
        let (on_a, on_b) = (a.up(b.key).await, b.up(a.key).await);
        relay.set(cut);
        // As the replica does after six seconds without a heartbeat.
        a.send(NetCommand::Close { link: on_a, reason: "silent" }).await;
        b.send(NetCommand::Close { link: on_b, reason: "silent" }).await;
        assert_eq!(a.down(on_a).await, DownReason::Closed("silent"));
        assert_eq!(b.down(on_b).await, DownReason::Closed("silent"));
        let failing = |status: &NetStatus| status.dials[0].attempts > 2 && status.connections == 0;
        let status = b.status_until(failing).await;
        assert_eq!(status.dials[0].last_error, Some(DialError::Handshake));
        relay.set(Flow::Pass);
        let (on_a, on_b) = (a.up(b.key).await, b.up(a.key).await);
        talk(&mut a, on_a, &mut b, on_b).await;
    }
}

#[tokio::test]
async fn a_link_full_of_unread_bytes_closes_at_once_and_leaves_no_connection() {
    let mut a = start(config(1)).await;
    let relay = Relay::to(&a.address).await;
    let mut config = config(2);
    config.dial.push(to(&relay.address, Some(a.key)));
    config.timing.close = Duration::from_millis(100);
    let mut b = start(config).await;
    let (_, on_b) = (a.up(b.key).await, b.up(a.key).await);
    relay.set(Flow::Hold);
    for _ in 0..200 {
        b.send(NetCommand::Push { link: on_b, frame: frame(10, &[1; 100_000]) }).await;
    }
    b.status_until(|status| status.links[0].push_overflows > 0).await;
    b.send(NetCommand::Close { link: on_b, reason: "full" }).await;
    assert_eq!(b.down(on_b).await, DownReason::Closed("full"));
    b.send(NetCommand::SetDial(Vec::new())).await;
    b.status_until(|status| status.connections == 0).await;
}

#[tokio::test]
async fn a_refused_key_gets_no_link_until_it_is_active_and_loses_it_when_refused_again() {
    let mut config = config(1);
    let refused = Admission { refused: [public(2)].into(), ..Admission::default() };
    config.admission = refused.clone();
    let mut a = start(config).await;
    let mut b = start_towards(2, &a).await;
    b.status_until(|status| status.dials[0].last_error == Some(DialError::ClosedEarly)).await;
    assert!(a.counter("net_refused_keys_total") > 0);
    // Active in one roster and Retired in another: a member.
    let both = Admission { active: [public(2)].into(), ..refused.clone() };
    a.send(NetCommand::SetAdmission(both)).await;
    let (on_a, on_b) = (a.up(b.key).await, b.up(a.key).await);
    talk(&mut a, on_a, &mut b, on_b).await;
    a.send(NetCommand::SetAdmission(refused)).await;
    assert_eq!(a.down(on_a).await, DownReason::Refused);
    assert!(matches!(b.down(on_b).await, DownReason::Lost | DownReason::PushEnded));
}

#[tokio::test]
async fn strangers_are_let_in_up_to_the_bound_and_members_always() {
    let mut config = config(1);
    config.limits.unknown_inbound = 1;
    let mut a = start(config).await;
    let first = start_towards(2, &a).await;
    a.up(first.key).await;
    let second = start_towards(3, &a).await;
    second.status_until(|status| status.dials[0].last_error == Some(DialError::ClosedEarly)).await;
    a.send(NetCommand::SetAdmission(Admission { active: [first.key].into(), ..Admission::default() })).await;
    a.up(second.key).await;
    assert!(a.counter("net_refused_limits_total") > 0);
}

#[tokio::test]
async fn a_learned_address_is_dialled_only_while_its_key_is_active() {
    let mut a = start(config(1)).await;
    let mut config = config(2);
    config.dial.push(DialTarget { address: a.address.clone(), node: Some(a.key), origin: DialOrigin::Learned });
    let mut b = start(config).await;
    assert_eq!(b.status().await.dials[0].state, DialState::Held);
    b.send(NetCommand::SetAdmission(Admission { active: [a.key].into(), ..Admission::default() })).await;
    b.up(a.key).await;
    a.up(b.key).await;
}

#[tokio::test]
async fn a_dial_that_cannot_succeed_says_why() {
    let a = start(config(1)).await;
    // Bound and released: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").port();
    let nobody: Multiaddr = format!("/ip4/127.0.0.1/tcp/{free}").parse().expect("an address");
    let b = start(config(2)).await;
    // Through a relay, because libp2p never dials an address it listens on itself.
    let relay = Relay::to(&b.address).await;
    let wanted = [
        (to(&a.address, Some(public(9))), DialError::WrongKey(a.key)),
        (to(&nobody, None), DialError::Io(io::ErrorKind::ConnectionRefused)),
        (to(&"/ip4/127.0.0.1/udp/1".parse().expect("an address"), None), DialError::Unsupported),
        (to(&relay.address, None), DialError::Myself),
    ];
    b.send(NetCommand::SetDial(wanted.iter().map(|(target, _)| target.clone()).collect())).await;
    for (target, error) in wanted {
        let failed = |status: &NetStatus| {
            status.dials.iter().any(|dial| dial.addresses == [target.address.clone()] && dial.last_error == Some(error))
        };
        b.status_until(failed).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_of_the_start() {
    let a = start(config(1)).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = taken.local_addr().expect("bound").port();
    let mut config = config(2);
    config.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")];
    match Transport::start(config, &mut Registry::default()) {
        Err(StartError::Listen { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::AddrInUse),
        other => panic!("{other:?}"),
    }
    drop(a);
}

#[tokio::test]
async fn a_stop_ends_every_link_and_closes_the_channel_even_if_nobody_reads() {
    let mut a = start(config(1)).await;
    let mut b = start_towards(2, &a).await;
    let (on_a, on_b) = (a.up(b.key).await, b.up(a.key).await);
    a.send(NetCommand::Shutdown).await;
    assert_eq!(a.down(on_a).await, DownReason::Shutdown);
    assert!(within(a.events.recv()).await.is_none());
    assert!(a.handle.send(NetCommand::Shutdown).await.is_err());
    assert!(matches!(b.down(on_b).await, DownReason::Lost | DownReason::PushEnded));

    let mut full = config(3);
    full.limits.events = 1;
    full.dial.push(to(&b.address, Some(b.key)));
    let c = start(full).await;
    b.up(c.key).await;
    c.send(NetCommand::Shutdown).await;
    within(c.handle.stopped()).await;
}
