//! Frames between two nodes: order, completeness, back-pressure.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn two_nodes_link_push_and_exchange() {
    let mut a = start(config(1)).await;
    let mut b = start_towards(2, &a).await;
    let (on_a, on_b) = (a.up(b.key).await, b.up(a.key).await);
    a.send(NetCommand::Push { link: on_a, frame: frame(11, b"hello") }).await;
    match b.next().await {
        NetEvent::Push { link, frame: got } => assert_eq!((link, got), (on_b, frame(11, b"hello"))),
        other => panic!("{other:?}"),
    }
    b.send(NetCommand::Ask { link: on_b, exchange: 77, frame: frame(4, b"") }).await;
    let NetEvent::Asked { link, exchange, frame: asked } = a.next().await else { panic!("a request") };
    assert_eq!((link, asked), (on_a, frame(4, b"")));
    let frames = vec![frame(5, b"reply"), end()];
    a.send(NetCommand::Answer { link, exchange, frames, last: true }).await;
    for expected in [frame(5, b"reply"), end()] {
        match b.next().await {
            NetEvent::Reply { link, exchange, frame } => assert_eq!((link, exchange, frame), (on_b, 77, expected)),
            other => panic!("{other:?}"),
        }
    }
    let status = b.status().await;
    assert_eq!(status.dials[0].state, DialState::Connected);
    assert_eq!((status.links[0].peer, status.links[0].dialer), (a.key, true));
    assert_eq!(b.counter("net_exchanges_failed_total"), 0);
}

#[tokio::test]
async fn a_burst_of_exchanges_loses_none() {
    let mut a = start(config(1)).await;
    let mut b = start_towards(2, &a).await;
    let (_, on_b) = (a.up(b.key).await, b.up(a.key).await);
    for exchange in 0..100 {
        let request = frame(4, &u64::to_be_bytes(exchange));
        b.send(NetCommand::Ask { link: on_b, exchange, frame: request }).await;
    }
    let mut ended = BTreeSet::new();
    within(async {
        while ended.len() < 100 {
            tokio::select! {
                Some(event) = a.events.recv() => match event {
                    NetEvent::Asked { link, exchange, frame } => {
                        let frames = vec![frame, end()];
                        a.send(NetCommand::Answer { link, exchange, frames, last: true }).await;
                    }
                    other => panic!("{other:?}"),
                },
                Some(event) = b.events.recv() => match event {
                    NetEvent::Reply { exchange, frame: got, .. } if framing::tag(&got) == 4 => {
                        assert_eq!(got, frame(4, &u64::to_be_bytes(exchange)));
                    }
                    NetEvent::Reply { exchange, .. } => assert!(ended.insert(exchange), "one end each"),
                    other => panic!("{other:?}"),
                },
            }
        }
    })
    .await;
    assert_eq!(ended, (0..100).collect());
}

#[tokio::test]
async fn no_push_is_lost_or_reordered_while_the_queue_has_room() {
    let mut a = start(config(1)).await;
    let mut b = start_towards(2, &a).await;
    let (on_a, _) = (a.up(b.key).await, b.up(a.key).await);
    let (mut sent, mut got) = (0_u32, 0_u32);
    within(async {
        while got < 20_000 {
            // Far less than the queue's bound is ever under way.
            if sent < 20_000 && sent - got < 1_000 {
                a.send(NetCommand::Push { link: on_a, frame: frame(10, &sent.to_be_bytes()) }).await;
                sent += 1;
                continue;
            }
            match b.events.recv().await {
                Some(NetEvent::Push { frame: pushed, .. }) => assert_eq!(pushed, frame(10, &got.to_be_bytes())),
                other => panic!("{other:?}"),
            }
            got += 1;
        }
    })
    .await;
    assert_eq!(a.counter("net_push_overflows_total"), 0);
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_one_queue_and_then_gets_the_newest() {
    let mut a = start(config(1)).await;
    let mut b = start_towards(2, &a).await;
    let (on_a, _) = (a.up(b.key).await, b.up(a.key).await);
    // More than the queue, the socket, the stream's window and the unread events hold together.
    let content = vec![7; 100_000];
    for _ in 0..400 {
        a.send(NetCommand::Push { link: on_a, frame: frame(10, &content) }).await;
    }
    let status = a.status().await;
    assert!(status.links[0].push_queue_bytes <= limits::PUSH_QUEUE_BYTES_MAX);
    a.send(NetCommand::Push { link: on_a, frame: frame(11, b"newest") }).await;
    within(async {
        loop {
            match b.next().await {
                NetEvent::Push { frame: pushed, .. } if pushed == frame(11, b"newest") => break,
                NetEvent::Push { frame: pushed, .. } => assert_eq!(pushed, frame(10, &content)),
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert!(a.counter("net_push_overflows_total") > 0);
    assert!(matches!(a.next().await, NetEvent::PushStalled { link } if link == on_a));
}

#[tokio::test]
async fn a_hundred_megabytes_pass_at_the_readers_pace() {
    const FRAMES: u32 = 100;
    let mut a = start(config(1)).await;
    let mut b = start_towards(2, &a).await;
    let (_, on_b) = (a.up(b.key).await, b.up(a.key).await);
    b.send(NetCommand::Ask { link: on_b, exchange: 1, frame: frame(6, b"all") }).await;
    let NetEvent::Asked { link, exchange, .. } = a.next().await else { panic!("a request") };
    let content = vec![5; 1_048_576];
    let part = |number: u32| vec![[&frame(7, &content)[..]].concat(), frame(8, &number.to_be_bytes())];
    // Nobody reads at b: at most what the sockets, windows and unread events hold may leave a.
    let mut parts = 0;
    a.send(NetCommand::Answer { link, exchange, frames: part(parts), last: false }).await;
    let mut received = 0;
    within(async {
        while received < FRAMES {
            tokio::select! {
                biased;
                Some(event) = a.events.recv() => match event {
                    NetEvent::AnswerDrained { link, exchange } => {
                        parts += 1;
                        assert!(parts - received <= 40, "{parts} parts sent, {received} read");
                        let last = parts == FRAMES;
                        let frames = if last { vec![end()] } else { part(parts) };
                        a.send(NetCommand::Answer { link, exchange, frames, last }).await;
                    }
                    other => panic!("{other:?}"),
                },
                Some(event) = b.events.recv() => match event {
                    NetEvent::Reply { frame: got, .. } if framing::tag(&got) == 7 => assert_eq!(got.len(), 1_048_582),
                    NetEvent::Reply { frame: got, .. } => {
                        assert_eq!(got, frame(8, &received.to_be_bytes()));
                        received += 1;
                    }
                    other => panic!("{other:?}"),
                },
            }
        }
    })
    .await;
    let NetEvent::Reply { frame: got, .. } = b.next().await else { panic!("the end") };
    assert_eq!(got, end());
}
