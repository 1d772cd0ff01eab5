//! Small changes that announce a lot (T51–T53, T56): all refused by the prescan, which expands nothing.

use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};
use comity_protocol::guard::{VoidReason, prescan};
use comity_protocol::ids::AuthorKey;
use comity_protocol::value::Actor;

use comity_tests::guard::raw::{Raw, chunk, data, sleb, uleb};
use comity_tests::random::{Random, seeds};

const AUTHOR: AuthorKey = AuthorKey::new([1; 32]);

fn first() -> Raw {
    Raw::first(Actor::new(&AUTHOR, 1))
}

fn verdict(bytes: &[u8]) -> Option<VoidReason> {
    prescan(&AUTHOR, bytes).err()
}

/// A run of `rows` rows of one value, or of nulls.
fn run(rows: i64, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    sleb(&mut bytes, rows);
    uleb(&mut bytes, value);
    bytes
}

fn nulls(rows: u64) -> Vec<u8> {
    let mut bytes = vec![0];
    uleb(&mut bytes, rows);
    bytes
}

#[test]
fn compressed_chunks_documents_and_bundles_are_refused_by_their_type() {
    let mut document = Automerge::new();
    let mut transaction = document.transaction();
    transaction.put(ROOT, "text", "a".repeat(100_000)).expect("the root takes a value");
    let (hash, _) = transaction.commit();
    let mut change = document.get_changes(&[]).pop().expect("one was made");
    assert_eq!(Some(change.hash()), hash);
    assert_eq!(verdict(&change.bytes()), Some(VoidReason::WrongChunkType));
    assert_eq!(verdict(&document.save()), Some(VoidReason::WrongChunkType));
    for kind in 0..=255 {
        let expected = if kind == 1 { VoidReason::BadNumber } else { VoidReason::WrongChunkType };
        assert_eq!(verdict(&chunk(kind, &[0xff; 64])), Some(expected), "{kind}");
    }
}

#[test]
fn runs_are_not_expanded() {
    let rows = 1 << 50;
    for spec in [0x01, 0x02, 0x11, 0x13, 0x15, 0x42, 0x56, 0x70, 0x71, 0x73, 0xa5] {
        let value = u64::from(matches!(spec, 0x15 | 0xa5));
        let mut bomb = run(rows, value);
        bomb.extend(vec![b'k'; usize::try_from(value).expect("fits")]);
        let bomb = first().column(spec, &bomb).bytes();
        assert!(bomb.len() < 160);
        assert_eq!(verdict(&bomb), Some(VoidReason::TooManyRows), "{spec:#x}");
        let bomb = first().column(spec, &nulls(u64::MAX)).bytes();
        assert_eq!(verdict(&bomb), Some(VoidReason::TooManyRows), "{spec:#x}");
        let literals = first().column(spec, &run(i64::MIN, 0)).bytes();
        assert_eq!(verdict(&literals), Some(VoidReason::TooManyRows), "{spec:#x}");
        let adding_up = [nulls(u64::MAX / 2), nulls(u64::MAX / 2), nulls(4)].concat();
        assert_eq!(verdict(&first().column(spec, &adding_up).bytes()), Some(VoidReason::TooManyRows), "{spec:#x}");
    }
    for spec in [0x34, 0x94] {
        let bomb = first().column(spec, &run(rows, 0)).bytes();
        assert_eq!(verdict(&bomb), Some(VoidReason::TooManyRows), "{spec:#x}");
    }
}

#[test]
fn sums_are_not_believed() {
    let preds = |bytes: Vec<u8>| verdict(&first().column(0x70, &bytes).bytes());
    assert_eq!(preds(run(1, 1_000_000_000)), Some(VoidReason::TooManyPreds));
    assert_eq!(preds(run(2_048, u64::MAX)), Some(VoidReason::TooManyPreds));
    assert_eq!(preds([run(1, u64::MAX), run(1, 1)].concat()), Some(VoidReason::TooManyPreds));
    let values = |bytes: Vec<u8>| verdict(&first().column(0x56, &bytes).bytes());
    assert_eq!(values(run(1, 1_000_000_000 << 4 | 6)), Some(VoidReason::ValueTooLong));
    assert_eq!(values(run(2_048, 16_384 << 4 | 6)), Some(VoidReason::ValueLengths));
    let key = |length| verdict(&first().column(0x15, &run(1, length)).bytes());
    assert_eq!(key(1_000_000_000), Some(VoidReason::Truncated));
    assert_eq!(key(u64::MAX), Some(VoidReason::Truncated));
}

#[test]
fn counts_and_lengths_are_not_allocated() {
    let huge = |before: &[u8]| {
        let mut data = before.to_vec();
        uleb(&mut data, 1 << 60);
        verdict(&chunk(1, &data))
    };
    let head = first().bytes();
    let head = &data(&head)[..1 + 1 + 36 + 1 + 1 + 1];
    assert_eq!(huge(&[]), Some(VoidReason::TooManyDeps));
    assert_eq!(huge(&[0]), Some(VoidReason::WrongActor));
    assert_eq!(huge(head), Some(VoidReason::MessageTooLong));
    assert_eq!(huge(&[head, &[0]].concat()), Some(VoidReason::TooManyActors));
    assert_eq!(huge(&[head, &[0, 1]].concat()), Some(VoidReason::BadActors));
    assert_eq!(huge(&[head, &[0, 0]].concat()), Some(VoidReason::BadColumns));
    assert_eq!(huge(&[head, &[0, 0, 1, 0x42]].concat()), Some(VoidReason::Truncated));
}

#[test]
fn counters_stay_far_below_32_bits() {
    for start_op in [1 << 30, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let mut change = first();
        change.start_op = start_op;
        assert_eq!(verdict(&change.bytes()), Some(VoidReason::StartOpRange));
    }
}

/// Any columns at all, under a right seal.
#[test]
fn random_columns_are_read_in_bounds() {
    const SPECS: [u64; 14] = [0x01, 0x02, 0x11, 0x13, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73, 0x94, 0xa5];
    seeds(20, |seed| {
        let mut random = Random::new(seed);
        for _ in 0..200 {
            let mut change = first();
            for _ in 0..=random.below(3) {
                let spec = *random.pick(&SPECS);
                let bytes: Vec<_> = (0..=random.below(12))
                    .map(|_| if random.one_in(2) { random.byte() } else { *random.pick(&[0, 1, 2, 0x7e, 0x7f, 0x80]) })
                    .collect();
                change = change.column(spec, &bytes);
            }
            let bytes = change.bytes();
            if let Ok(scan) = prescan(&AUTHOR, &bytes) {
                let verdict = comity_protocol::guard::Guard::new().admit(&scan, &bytes);
                assert_ne!(verdict, Err(VoidReason::ParserPanicked), "COMITY_SEED={seed}");
            }
        }
    });
}
