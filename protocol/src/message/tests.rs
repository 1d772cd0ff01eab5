use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::{array, option};

use super::run::{Run, RunBody, RunError, RunItem};
use super::{
    ByIdItem, ByIdRequest, ControlReply, ControlRequest, Frame, Heartbeat, Hello, Outcome, Page, PushedEnvelope,
    RangeRequest, RefusedCode,
};
use crate::chain::Head;
use crate::codec::DecodeError;
use crate::envelope::{Header, SignedHeader, body_hash};
use crate::frontier::FrontierEntry;
use crate::ids::{AllianceId, AuthorId, EnvelopeId, Id, NationId, Tip, unhex};
use crate::keys::{BadSignature, SecretKey, Signature};
use crate::limits::{HEADER_BYTES, RUN_BYTES_MAX, RUN_ITEMS_MAX, SEQ_MAX, TIME_MS_MAX};

const ALLIANCE: AllianceId = AllianceId::new([1; 32]);

fn id<K>() -> impl Strategy<Value = Id<K>> {
    array::uniform32(any::<u8>()).prop_map(Id::new)
}

fn author() -> impl Strategy<Value = AuthorId> {
    (id(), id()).prop_map(|(nation, key)| AuthorId { nation, key })
}

fn signature() -> impl Strategy<Value = Signature> {
    (array::uniform32(any::<u8>()), array::uniform32(any::<u8>())).prop_map(|(r, s)| {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Signature(bytes)
    })
}

fn body() -> impl Strategy<Value = Arc<[u8]>> {
    vec(any::<u8>(), 0..200).prop_map(Arc::from)
}

fn header_bytes() -> impl Strategy<Value = [u8; HEADER_BYTES]> {
    vec(any::<u8>(), HEADER_BYTES).prop_map(|bytes| bytes.try_into().expect("the strategy has this length"))
}

fn time() -> impl Strategy<Value = u64> {
    0..=TIME_MS_MAX
}

fn entry() -> impl Strategy<Value = FrontierEntry> {
    let head = (1..=SEQ_MAX, id(), any::<u64>())
        .prop_map(|(seq, id, to)| Head { tip: Tip { seq, id }, bodies_to: to % (seq + 1) });
    (author(), vec(head, 0..4), option::of(any::<u64>()), any::<bool>()).prop_map(
        |(author, mut heads, fork, closed)| {
            heads.sort();
            FrontierEntry { author, heads, fork, closed }
        },
    )
}

fn run() -> impl Strategy<Value = Run> {
    let body = prop_oneof![
        (id(), any::<u32>()).prop_map(|(hash, len)| RunBody::Missing { hash, len }),
        body().prop_map(RunBody::Held)
    ];
    let item = (any::<u64>(), any::<u16>(), body, option::of(signature()))
        .prop_map(|(time_ms, kind, body, signature)| RunItem { time_ms, kind, body, signature });
    (author(), 1..=SEQ_MAX, id(), vec(item, 1..20), signature()).prop_map(
        |(author, first_seq, prev, mut items, signature)| {
            items.last_mut().expect("at least one item").signature = None;
            let first_prev = if first_seq == 1 { EnvelopeId::ZERO } else { prev };
            Run { author, first_seq, first_prev, items, signature }
        },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    ((any::<u8>(), any::<u8>(), any::<u16>()), id(), id(), any::<u64>(), id(), id(), (id(), id()), time()).prop_map(
        |(
            (wire_min, wire_max, rules_max),
            alliance,
            nation,
            charter_height,
            charter,
            control,
            (held, state),
            time_ms,
        )| Hello {
            wire_min,
            wire_max,
            rules_max,
            alliance,
            nation,
            charter_height,
            charter,
            control,
            held,
            state,
            time_ms,
        },
    )
}

fn control() -> impl Strategy<Value = ControlRequest> {
    (vec(id(), 0..30), any::<bool>()).prop_map(|(mut have, more)| {
        have.sort();
        have.dedup();
        let after = if have.is_empty() { Id::ZERO } else { have.remove(0) };
        let page = if more && !have.is_empty() { Page::More } else { Page::Last };
        ControlRequest { after, have, page }
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        hello().prop_map(Frame::Hello),
        control().prop_map(Frame::Control),
        (vec((any::<u8>(), vec(any::<u8>(), 0..200)), 0..5), any::<bool>())
            .prop_map(|(records, more)| Frame::ControlReply(ControlReply { records, more })),
        Just(Frame::Frontier),
        vec(entry(), 0..6).prop_map(|mut entries| {
            entries.sort_by_key(|entry| entry.author);
            Frame::FrontierReply(entries)
        }),
        (author(), 1..u64::MAX, any::<u64>()).prop_map(|(author, a, b)| Frame::Range(RangeRequest {
            author,
            from: a,
            to: a.max(b)
        })),
        run().prop_map(Frame::Run),
        (vec(id(), 0..64), any::<bool>()).prop_map(|(mut ids, bodies)| {
            ids.sort();
            ids.dedup();
            Frame::ById(ByIdRequest { ids, bodies })
        }),
        vec((header_bytes(), option::of(signature()), option::of(body())), 0..5).prop_map(|items| {
            Frame::ByIdReply(
                items.into_iter().map(|(header, signature, body)| ByIdItem { header, signature, body }).collect(),
            )
        }),
        vec((header_bytes(), signature(), body()), 0..5).prop_map(|items| {
            Frame::Push(
                items.into_iter().map(|(header, signature, body)| PushedEnvelope { header, signature, body }).collect(),
            )
        }),
        (time(), id()).prop_map(|(time_ms, held)| Frame::Heartbeat(Heartbeat { time_ms, held })),
        prop_oneof![Just(Outcome::Complete), Just(Outcome::Incomplete)].prop_map(Frame::End),
        any::<u16>().prop_map(|code| Frame::Refused(RefusedCode::from_number(code))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_frame_round_trips(frame in frame()) {
        let bytes = frame.encode();
        prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn damaged_frames_are_refused_or_mean_their_own_bytes(frame in frame(), at in any::<usize>(), xor in 1_u8.., cut in any::<usize>()) {
        let mut bytes = frame.encode();
        let at = at % bytes.len();
        bytes[at] ^= xor;
        for bytes in [bytes.clone(), bytes[..cut % bytes.len()].to_vec(), [bytes.as_slice(), &[0]].concat()] {
            if let Ok(read) = Frame::decode(&bytes) {
                // The compressed form of a run is not canonical, the run inside it is.
                prop_assert!(matches!(read, Frame::Run(_)) || read.encode() == bytes);
                prop_assert_eq!(Frame::decode(&read.encode()), Ok(read));
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(tag in 0_u16..16, bytes in vec(any::<u8>(), 0..600)) {
        let bytes = [tag.to_be_bytes().as_slice(), &bytes].concat();
        let _ = Frame::decode(&bytes);
    }
}

/// A chain of `count` envelopes of one author, every one signed.
fn chain(key: &SecretKey, count: u64) -> Vec<(SignedHeader, Arc<[u8]>)> {
    let mut prev = EnvelopeId::ZERO;
    (1..=count)
        .map(|seq| {
            let body: Arc<[u8]> = Arc::from(format!("body {seq}").into_bytes());
            let header = Header {
                alliance: ALLIANCE,
                nation: NationId::new([2; 32]),
                author: key.public(),
                seq,
                prev,
                time_ms: 1_000 + seq,
                kind: 1,
                body_len: u32::try_from(body.len()).expect("small"),
                body_hash: body_hash(&body),
            };
            prev = header.id();
            (SignedHeader::sign(header, key), body)
        })
        .collect()
}

fn pack(chain: &[(SignedHeader, Arc<[u8]>)], signed: impl Fn(u64) -> bool) -> Run {
    let (first, last) = (&chain[0].0, &chain[chain.len() - 1].0);
    let items = chain.iter().map(|(signed_header, body)| {
        let header = &signed_header.header;
        RunItem {
            time_ms: header.time_ms,
            kind: header.kind,
            body: if header.seq % 3 == 0 {
                RunBody::Missing { hash: header.body_hash, len: header.body_len }
            } else {
                RunBody::Held(Arc::clone(body))
            },
            signature: (signed(header.seq) && header.seq != last.header.seq).then_some(signed_header.signature),
        }
    });
    Run {
        author: first.header.author_id(),
        first_seq: first.header.seq,
        first_prev: first.header.prev,
        items: items.collect(),
        signature: last.signature,
    }
}

#[test]
fn a_run_gives_back_the_headers_it_was_packed_from() {
    let key = SecretKey::from_seed(&[3; 32]);
    let chain = chain(&key, 20);
    let frame = Frame::Run(pack(&chain[4..], |seq| seq == 8)).encode();
    let Ok(Frame::Run(run)) = Frame::decode(&frame) else { panic!("the frame decodes") };
    let items = run.verify(&ALLIANCE).expect("an honest run");
    assert_eq!(items.len(), 16);
    for (item, (signed, body)) in items.iter().zip(&chain[4..]) {
        assert_eq!(item.header.header(), &signed.header);
        assert_eq!(item.header.signature().is_some(), [8, 20].contains(&signed.header.seq));
        assert_eq!(item.body.as_ref(), (signed.header.seq % 3 != 0).then_some(body));
    }
}

#[test]
fn a_run_with_one_wrong_thing_is_refused_as_a_whole() {
    let key = SecretKey::from_seed(&[3; 32]);
    let chain = chain(&key, 12);
    let honest = pack(&chain, |seq| seq == 4);
    assert!(honest.clone().verify(&ALLIANCE).is_ok());
    let bad = |item| Err(RunError::Signature { item, source: BadSignature });

    let mut run = honest.clone();
    run.items[7].time_ms += 1;
    assert_eq!(run.verify(&ALLIANCE).map(drop), bad(11), "a later header changes, so the last signature fails");

    let mut run = honest.clone();
    run.items[0].kind = 2;
    assert_eq!(run.verify(&ALLIANCE).map(drop), bad(3), "the first signature above the damage fails");

    let mut run = honest.clone();
    run.items[5].signature = Some(chain[6].0.signature);
    assert_eq!(run.verify(&ALLIANCE).map(drop), bad(5), "an inner signature is checked even if the last is right");

    let mut run = honest.clone();
    run.items.truncate(3);
    assert_eq!(run.verify(&ALLIANCE).map(drop), bad(2), "the last item must be the signed one");

    let mut run = honest.clone();
    run.items[2].time_ms = TIME_MS_MAX + 1;
    assert!(matches!(run.verify(&ALLIANCE), Err(RunError::Header { item: 2, .. })));

    assert_eq!(honest.verify(&AllianceId::new([9; 32])).map(drop), bad(3), "another alliance");
}

#[test]
fn a_run_must_start_and_end_where_it_can_be_checked() {
    let key = SecretKey::from_seed(&[3; 32]);
    let chain = chain(&key, 3);
    let honest = pack(&chain, |_| false);
    for (spoil, what) in [
        (Box::new(|run: &mut Run| run.items.clear()) as Box<dyn Fn(&mut Run)>, "last item of a run"),
        (Box::new(|run: &mut Run| run.items[2].signature = Some(run.signature)), "last item of a run"),
        (Box::new(|run: &mut Run| run.first_prev = EnvelopeId::new([1; 32])), "run start"),
        (Box::new(|run: &mut Run| run.first_seq = 2), "run start"),
        (Box::new(|run: &mut Run| run.first_seq = 0), "run start"),
    ] {
        let mut run = honest.clone();
        spoil(&mut run);
        assert_eq!(Run::decode(&run.encode()), Err(DecodeError::Range(what)));
    }
}

#[test]
fn decompression_stops_at_the_announced_length() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).expect("compresses");
    assert!(bomb.len() < 16_384, "64 MiB of zeros in {} bytes", bomb.len());
    for (length, why) in [
        (1_u32 << 20, DecodeError::Compression),
        (0, DecodeError::Compression),
        (64 << 20, DecodeError::TooLarge { what: "run", value: 64 << 20, max: 1 << 20 }),
    ] {
        let frame = [&[0, 7, 1], length.to_be_bytes().as_slice(), &bomb].concat();
        assert_eq!(Frame::decode(&frame), Err(why));
    }
    let plain = pack(&chain(&SecretKey::from_seed(&[3; 32]), 40), |_| false).encode();
    let packed = zstd::bulk::compress(&plain, 3).expect("compresses");
    let length = u32::try_from(plain.len()).expect("small").to_be_bytes();
    let good = [&[0, 7, 1], length.as_slice(), &packed].concat();
    assert!(Frame::decode(&good).is_ok());
    let trailing = [good.as_slice(), &[0]].concat();
    assert_eq!(Frame::decode(&trailing), Err(DecodeError::Compression), "bytes after the compressed frame");
    let two = [good.as_slice(), &packed].concat();
    assert_eq!(Frame::decode(&two), Err(DecodeError::Compression), "a second compressed frame");
    assert_eq!(Frame::decode(&good[..good.len() - 1]), Err(DecodeError::Compression), "an early end");
}

#[test]
fn counts_and_lengths_over_their_bounds_are_refused_before_they_are_believed() {
    let cases: [(&str, &[u8], &str); 7] = [
        ("0005ffff", &[0; 64], "frontier"),
        ("00080041", &[0; 2080], "ids"),
        ("00090041", &[0; 64], "items"),
        ("000a0201", &[0; 64], "push"),
        ("0003ffff", &[0; 64], "control records"),
        ("000300010400100000", &[0; 64], "control record"),
        ("0007000000", &[0; 64], ""),
    ];
    for (head, tail, what) in cases {
        let frame = [unhex(head).expect("hex").as_slice(), tail].concat();
        match Frame::decode(&frame) {
            Err(DecodeError::TooLarge { what: read, .. }) => assert_eq!(read, what),
            Err(DecodeError::Truncated { .. } | DecodeError::Range(_)) => {
                assert!(what.is_empty() || what == "frontier")
            }
            other => panic!("{head}: {other:?}"),
        }
    }
}

#[test]
fn a_full_run_stays_within_its_bounds() {
    let items = vec![
        RunItem { time_ms: 1, kind: 1, body: RunBody::Held(Arc::from(vec![7; 200])), signature: None };
        RUN_ITEMS_MAX
    ];
    let run = Run {
        author: AuthorId { nation: NationId::new([2; 32]), key: Id::new([3; 32]) },
        first_seq: 1,
        first_prev: EnvelopeId::ZERO,
        items,
        signature: Signature([0; 64]),
    };
    assert_eq!(run.encode().len(), super::run::RUN_HEAD_BYTES + run.items.iter().map(RunItem::bytes).sum::<usize>());
    assert!(run.encode().len() <= RUN_BYTES_MAX);
    assert_eq!(Frame::decode(&Frame::Run(run.clone()).encode()), Ok(Frame::Run(run)));
}

fn hex_id(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

/// One vector for each tag: the bytes are fixed for ever.
fn check_golden(vectors: &[(u16, Frame, String)]) {
    for (tag, frame, hex) in vectors {
        let bytes = unhex(&hex.replace(' ', "")).expect("hex");
        assert_eq!(frame.tag(), *tag);
        assert_eq!(&frame.encode(), &bytes, "tag {tag}");
        assert_eq!(Frame::decode(&bytes).as_ref(), Ok(frame), "tag {tag}");
    }
}

const AUTHOR: AuthorId = AuthorId { nation: Id::new([2; 32]), key: Id::new([3; 32]) };

#[test]
fn golden_frames_of_digests_control_and_frontiers() {
    check_golden(&[
        (
            1,
            Frame::Hello(Hello {
                wire_min: 1,
                wire_max: 1,
                rules_max: 1,
                alliance: Id::new([1; 32]),
                nation: Id::new([2; 32]),
                charter_height: 0,
                charter: Id::new([1; 32]),
                control: Id::new([4; 32]),
                held: Id::new([5; 32]),
                state: Id::new([6; 32]),
                time_ms: 0x0102,
            }),
            format!(
                "0001 01 01 0001 {} {} 0000000000000000 {} {} {} {} 0000000000000102",
                hex_id(1),
                hex_id(2),
                hex_id(1),
                hex_id(4),
                hex_id(5),
                hex_id(6)
            ),
        ),
        (
            2,
            Frame::Control(ControlRequest { after: Id::ZERO, have: vec![Id::new([6; 32])], page: Page::Last }),
            format!("0002 {} 0001 {} 01", hex_id(0), hex_id(6)),
        ),
        (
            3,
            Frame::ControlReply(ControlReply { records: vec![(4, vec![0xaa, 0xbb])], more: false }),
            "0003 0001 04 00000002 aabb 00".to_owned(),
        ),
        (4, Frame::Frontier, "0004".to_owned()),
        (
            5,
            Frame::FrontierReply(vec![FrontierEntry {
                author: AUTHOR,
                heads: vec![Head { tip: Tip { seq: 7, id: Id::new([8; 32]) }, bodies_to: 6 }],
                fork: Some(5),
                closed: false,
            }]),
            format!(
                "0005 0001 {} {} 0001 0000000000000007 {} 0000000000000006 01 0000000000000005 00",
                hex_id(2),
                hex_id(3),
                hex_id(8)
            ),
        ),
        (
            6,
            Frame::Range(RangeRequest { author: AUTHOR, from: 1, to: 9 }),
            format!("0006 {} {} 0000000000000001 0000000000000009", hex_id(2), hex_id(3)),
        ),
    ]);
}

#[test]
fn golden_frames_of_envelopes_and_ends() {
    let signature = Signature([9; 64]);
    check_golden(&[
        (
            7,
            Frame::Run(Run {
                author: AUTHOR,
                first_seq: 2,
                first_prev: Id::new([8; 32]),
                items: vec![
                    RunItem {
                        time_ms: 1,
                        kind: 1,
                        body: RunBody::Missing { hash: Id::new([7; 32]), len: 3 },
                        signature: Some(signature),
                    },
                    RunItem { time_ms: 2, kind: 1, body: RunBody::Held(Arc::from(*b"abc")), signature: None },
                ],
                signature,
            }),
            format!(
                "0007 00 {} {} 0000000000000002 {} 0002 0000000000000001 0001 00 {} 00000003 01 {} \
                 0000000000000002 0001 01 00000003 616263 00 {}",
                hex_id(2),
                hex_id(3),
                hex_id(8),
                hex_id(7),
                "09".repeat(64),
                "09".repeat(64)
            ),
        ),
        (
            8,
            Frame::ById(ByIdRequest { ids: vec![Id::new([8; 32])], bodies: true }),
            format!("0008 0001 {} 01", hex_id(8)),
        ),
        (
            9,
            Frame::ByIdReply(vec![ByIdItem {
                header: [1; HEADER_BYTES],
                signature: None,
                body: Some(Arc::from(*b"x")),
            }]),
            format!("0009 0001 {} 00 01 00000001 78", "01".repeat(HEADER_BYTES)),
        ),
        (
            10,
            Frame::Push(vec![PushedEnvelope { header: [1; HEADER_BYTES], signature, body: Arc::from(*b"x") }]),
            format!("000a 0001 {} {} 00000001 78", "01".repeat(HEADER_BYTES), "09".repeat(64)),
        ),
        (
            11,
            Frame::Heartbeat(Heartbeat { time_ms: 3, held: Id::new([5; 32]) }),
            format!("000b 0000000000000003 {}", hex_id(5)),
        ),
        (12, Frame::End(Outcome::Complete), "000c 01".to_owned()),
        (13, Frame::Refused(RefusedCode::Rate), "000d 0005".to_owned()),
    ]);
}
