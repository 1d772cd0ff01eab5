use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn nations() -> Vec<String> {
    ["POL", "UKR", "USA"].map(str::to_owned).to_vec()
}

fn sides() -> Vec<BTreeSet<String>> {
    vec![["POL".to_owned()].into(), ["UKR".to_owned(), "USA".to_owned()].into()]
}

/// A node of UKR that echoes, and the relays to it.
async fn echo_behind_relays() -> Relays {
    let relays = Relays::open(&pairs(&nations()), &BTreeMap::new()).await.unwrap();
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    relays.set_target("UKR", Some(node.local_addr().unwrap()));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = node.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    relays
}

async fn dial(relays: &Relays) -> TcpStream {
    TcpStream::connect(("127.0.0.1", relays.port("POL", "UKR").unwrap())).await.unwrap()
}

async fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    timeout(DEADLINE, stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, text);
}

fn count(relays: &Relays, from: &str, to: &str) -> LinkCount {
    relays.counts().into_iter().find(|count| count.pair.from == from && count.pair.to == to).unwrap()
}

#[tokio::test]
async fn every_ordered_pair_has_its_own_counted_port() {
    let relays = echo_behind_relays().await;
    assert_eq!(relays.counts().len(), 6);
    let ports: BTreeSet<u16> = relays.ports().into_values().collect();
    assert_eq!(ports.len(), 6);
    let mut stream = dial(&relays).await;
    echoes(&mut stream, b"twelve bytes").await;
    let carried = count(&relays, "POL", "UKR");
    assert_eq!((carried.bytes_out, carried.bytes_back, carried.connections), (12, 12, 1));
    assert_eq!(count(&relays, "USA", "UKR").connections, 0);
}

#[tokio::test]
async fn a_silent_cut_lets_no_byte_across_and_a_heal_lets_them_flow_on() {
    let relays = echo_behind_relays().await;
    let mut stream = dial(&relays).await;
    echoes(&mut stream, b"before").await;
    relays.cut(&sides(), CutKind::Silent);
    let at_cut = relays.bytes_across(&sides());
    stream.write_all(b"during").await.unwrap();
    let mut second = dial(&relays).await;
    second.write_all(b"late").await.unwrap();
    // Another link of the same testnet keeps working; its round trip also gives the cut one time to leak.
    let mut other = TcpStream::connect(("127.0.0.1", relays.port("USA", "UKR").unwrap())).await.unwrap();
    for _ in 0..50 {
        echoes(&mut other, b"unrelated").await;
    }
    assert_eq!(relays.bytes_across(&sides()), at_cut);
    assert_eq!(count(&relays, "POL", "UKR").connections, 1);
    relays.heal();
    let mut back = [0; 6];
    timeout(DEADLINE, stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"during");
    let mut back = [0; 4];
    timeout(DEADLINE, second.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"late");
    assert_eq!(relays.bytes_across(&sides()), at_cut + 20);
}

#[tokio::test]
async fn a_reset_cut_closes_what_stands_and_what_comes() {
    let relays = echo_behind_relays().await;
    let mut stream = dial(&relays).await;
    echoes(&mut stream, b"before").await;
    relays.cut(&sides(), CutKind::Reset);
    let mut byte = [0];
    let end = timeout(DEADLINE, stream.read(&mut byte)).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let mut refused = dial(&relays).await;
    let _ = refused.write_all(b"x").await;
    assert!(!matches!(timeout(DEADLINE, refused.read(&mut byte)).await.unwrap(), Ok(1)));
    relays.heal();
    let mut again = dial(&relays).await;
    echoes(&mut again, b"after").await;
}

#[tokio::test]
async fn a_one_way_cut_stops_one_direction_only() {
    let relays = echo_behind_relays().await;
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    relays.set_target("USA", Some(node.local_addr().unwrap()));
    let mut dialer = TcpStream::connect(("127.0.0.1", relays.port("POL", "USA").unwrap())).await.unwrap();
    let (mut dialled, _) = timeout(DEADLINE, node.accept()).await.unwrap().unwrap();
    dialer.write_all(b"a").await.unwrap();
    let mut byte = [0];
    timeout(DEADLINE, dialled.read_exact(&mut byte)).await.unwrap().unwrap();
    relays.cut_one_way("POL", "USA");
    dialer.write_all(b"b").await.unwrap();
    dialled.write_all(b"c").await.unwrap();
    timeout(DEADLINE, dialer.read_exact(&mut byte)).await.unwrap().unwrap();
    assert_eq!(&byte, b"c");
    let carried = count(&relays, "POL", "USA");
    assert_eq!((carried.bytes_out, carried.bytes_back), (1, 1));
    relays.heal();
    timeout(DEADLINE, dialled.read_exact(&mut byte)).await.unwrap().unwrap();
    assert_eq!(&byte, b"b");
}

#[tokio::test]
async fn a_delay_holds_every_byte_back_and_keeps_the_order() {
    let relays = echo_behind_relays().await;
    relays.set_delay("UKR", "POL", Duration::from_millis(60));
    let mut stream = dial(&relays).await;
    let before = Instant::now();
    for text in [b"one".as_slice(), b"two", b"three"] {
        echoes(&mut stream, text).await;
    }
    // Three round trips, each delayed both ways; slower is always possible, faster never.
    assert!(before.elapsed() >= Duration::from_millis(360));
}

#[tokio::test]
async fn an_end_of_stream_passes_through_and_an_unknown_target_closes() {
    let relays = echo_behind_relays().await;
    let mut stream = dial(&relays).await;
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all, b"last words");
    relays.set_target("UKR", None);
    let mut nobody = dial(&relays).await;
    let mut byte = [0];
    assert!(!matches!(timeout(DEADLINE, nobody.read(&mut byte)).await.unwrap(), Ok(1)));
}

#[tokio::test]
async fn a_wanted_port_is_taken_where_free_and_replaced_where_busy() {
    let first = Relays::open(&pairs(&nations()), &BTreeMap::new()).await.unwrap();
    let wanted = first.ports();
    let second = Relays::open(&pairs(&nations()), &wanted).await.unwrap();
    assert!(wanted.iter().all(|(pair, port)| second.ports()[pair] != *port));
}
