//! One change for each reason the guard can give.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use automerge::legacy::{ElementId, Key, MarkData, ObjectId, Op, OpId as LegacyOpId, OpType};
use automerge::{ActorId, Change, ExpandedChange, ObjType, ScalarValue};
use comity_protocol::guard::{Draft, DraftWrite, Guard, Prescan, VoidReason, compose, prescan};
use comity_protocol::ids::{AuthorKey, ChangeHash};
use comity_protocol::limits::CHANGE_CLOCK_ACTORS_MAX;
use comity_protocol::value::{Actor, Fields, Value, Write};

use comity_tests::guard::mirror::parse;
use comity_tests::guard::raw::{Raw, chunk, data};

const A: AuthorKey = AuthorKey::new([1; 32]);
const B: AuthorKey = AuthorKey::new([2; 32]);

fn a() -> Actor {
    Actor::new(&A, 1)
}

fn write(id: u8) -> DraftWrite {
    let lines = Value::Map(Fields::from([("0".to_owned(), Value::Uint(5))]));
    let fields = Fields::from([("item".to_owned(), Value::Text("tents".to_owned())), ("lines".to_owned(), lines)]);
    DraftWrite { kind: "pledge".to_owned(), id: format!("000000000{id}"), replaces: Vec::new(), fields }
}

fn admit(guard: &mut Guard, draft: &Draft) -> (Prescan, Vec<Write>) {
    let bytes = compose(draft).expect("an honest draft is composed");
    let scan = prescan(&draft.actor.author(), &bytes).expect("an honest change passes the prescan");
    let writes = guard.admit(&scan, &bytes).expect("an honest change is admitted");
    (scan, writes)
}

fn judge(mut guard: Guard, bytes: &[u8]) -> Option<VoidReason> {
    prescan(&A, bytes).and_then(|scan| guard.admit(&scan, bytes)).err()
}

/// A document of two concurrent first changes, by A and by B, and what A would write next.
struct Ground {
    guard: Guard,
    by_a: Prescan,
    by_b: Prescan,
    b_version: LegacyOpId,
}

impl Ground {
    fn new() -> Self {
        let mut guard = Guard::new();
        let draft =
            |actor, id| Draft { actor, seq: 1, start_op: 1, deps: Vec::new(), time_ms: 7, writes: vec![write(id)] };
        let (by_a, _) = admit(&mut guard, &draft(a(), 1));
        let (by_b, writes) = admit(&mut guard, &draft(Actor::new(&B, 1), 2));
        let b_version = LegacyOpId(writes[0].op.counter, ActorId::from(writes[0].op.actor.as_bytes()));
        Self { guard, by_a, by_b, b_version }
    }

    /// Returns the verdict on A's next change after `twist`.
    fn verdict(&self, twist: impl FnOnce(&mut ExpandedChange)) -> Option<VoidReason> {
        let draft = self.guard.draft(a(), 8, vec![write(3), write(4)]);
        let mut change = parse(&compose(&draft).expect("an honest draft is composed")).decode();
        twist(&mut change);
        judge(self.guard.clone(), Change::from(change).raw_bytes())
    }

    /// The same for a change of one operation of that change.
    fn op(&self, at: usize, twist: impl FnOnce(&mut Op)) -> Option<VoidReason> {
        self.verdict(|change| twist(&mut change.operations[at]))
    }
}

/// Operations of A's next change: the record, its `item`, its `lines`, and the first of them; then those of another.
const RECORD: usize = 0;
const ITEM: usize = 1;
const LINES: usize = 2;
const LINE: usize = 3;

#[test]
fn the_ground_is_honest() {
    assert_eq!(judge(Guard::new(), &Raw::first(a()).bytes()), None);
    assert_eq!(Ground::new().verdict(|_| {}), None);
}

#[test]
fn every_reason_is_given() {
    let mut cases = byte_cases();
    cases.extend(column_cases());
    cases.extend(op_cases());
    cases.extend(document_cases());
    let mut given = BTreeSet::new();
    for (expected, got) in cases {
        assert_eq!(got, Some(expected));
        given.insert(expected);
    }
    // These three are the section's to give, and no input is known that makes the parser panic after the prescan.
    let elsewhere = [
        VoidReason::Malformed,
        VoidReason::GenerationDecreases,
        VoidReason::SeqNotConsecutive,
        VoidReason::ParserPanicked,
    ];
    given.extend(elsewhere);
    assert_eq!(given, VoidReason::ALL.iter().copied().collect());
}

type Case = (VoidReason, Option<VoidReason>);

fn raw(reason: VoidReason, twist: impl FnOnce(&mut Raw)) -> Case {
    let mut change = Raw::first(a());
    twist(&mut change);
    (reason, judge(Guard::new(), &change.bytes()))
}

fn bytes(reason: VoidReason, bytes: &[u8]) -> Case {
    (reason, judge(Guard::new(), bytes))
}

fn byte_cases() -> Vec<Case> {
    let honest = Raw::first(a()).bytes();
    let flipped = |at: usize| {
        let mut bytes = honest.clone();
        bytes[at] ^= 1;
        bytes
    };
    vec![
        bytes(VoidReason::TooLong, &[0; 65_001]),
        bytes(VoidReason::Truncated, &[]),
        bytes(VoidReason::Truncated, &honest[..8]),
        bytes(VoidReason::BadMagic, &flipped(0)),
        bytes(VoidReason::BadChecksum, &flipped(4)),
        bytes(VoidReason::BadChecksum, &flipped(honest.len() - 1)),
        bytes(VoidReason::WrongChunkType, &chunk(0, data(&honest))),
        bytes(VoidReason::WrongChunkType, &chunk(2, data(&honest))),
        bytes(VoidReason::BadLength, &honest[..honest.len() - 1]),
        bytes(VoidReason::BadLength, &[&honest[..], &[0]].concat()),
        bytes(VoidReason::BadNumber, &chunk(1, &[0x80, 0])),
        bytes(VoidReason::BadNumber, &chunk(1, &[])),
        bytes(VoidReason::Truncated, &chunk(1, &[1])),
        raw(VoidReason::TrailingBytes, |change| change.tail = vec![0]),
        raw(VoidReason::TooManyDeps, |change| change.deps = (0..65).map(|n| ChangeHash::new([n; 32])).collect()),
        raw(VoidReason::DepsUnsorted, |change| change.deps = vec![ChangeHash::ZERO; 2]),
        raw(VoidReason::WrongActor, |change| change.actor = Actor::new(&B, 1).as_bytes().to_vec()),
        raw(VoidReason::WrongActor, |change| change.actor.truncate(32)),
        raw(VoidReason::WrongActor, |change| change.actor.push(0)),
        raw(VoidReason::StartOpRange, |change| change.start_op = 0),
        raw(VoidReason::StartOpRange, |change| change.start_op = 1 << 30),
        raw(VoidReason::TimeRange, |change| change.time = -1),
        raw(VoidReason::TimeRange, |change| change.time = 253_402_300_800_000),
        raw(VoidReason::MessageTooLong, |change| change.message = vec![b'x'; 257]),
        raw(VoidReason::MessageNotText, |change| change.message = vec![0xff]),
        raw(VoidReason::TooManyActors, |change| change.others = (10..75).map(|n| vec![n; 36]).collect()),
        raw(VoidReason::BadActors, |change| change.others = vec![change.actor.clone()]),
        raw(VoidReason::BadActors, |change| change.others = vec![vec![9; 36], vec![8; 36]]),
        raw(VoidReason::BadActors, |change| change.others = vec![vec![9; 35]]),
        raw(VoidReason::NotCanonical, |change| change.others = vec![vec![9; 36]]),
    ]
}

fn column_cases() -> Vec<Case> {
    let column =
        |reason, spec, bytes: &[u8]| (reason, judge(Guard::new(), &Raw::first(a()).column(spec, bytes).bytes()));
    let action = |change: &mut Raw| change.columns[2].1.clone();
    vec![
        column(VoidReason::BadColumns, 0x21, &[1, 1]),
        column(VoidReason::BadColumns, 0x34, &[]),
        column(VoidReason::BadColumns, 1 << 40, &[1]),
        raw(VoidReason::BadColumns, |change| change.columns.swap(0, 1)),
        raw(VoidReason::BadColumns, |change| change.columns = vec![(0x42, action(change)); 15]),
        column(VoidReason::ColumnCompressed, 0x4a, &[1]),
        column(VoidReason::TooManyRows, 0x42, &[0x81, 0x10, 0]),
        column(VoidReason::TooManyRows, 0x34, &[0x81, 0x10]),
        column(VoidReason::TooManyRows, 0x15, &[0, 0x81, 0x10]),
        column(VoidReason::TooManyRows, 0x42, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]),
        raw(VoidReason::NoOps, |change| change.columns.clear()),
        column(VoidReason::NoOps, 0x42, &[0, 0]),
        column(VoidReason::TooManyPreds, 0x70, &[0x7f, 0x81, 0x10]),
        column(VoidReason::TooManyPreds, 0x70, &[0x80, 0x10, 0x02]),
        column(VoidReason::KeyLength, 0x15, &[0x7f, 0]),
        column(VoidReason::KeyLength, 0x15, &[&[0x7f, 0x81, 1][..], &[b'k'; 129]].concat()),
        column(VoidReason::ValueTooLong, 0x56, &[0x7f, 0x97, 0x80, 0x10]),
        column(VoidReason::ValueLengths, 0x56, &[0x7f, 0x56]),
        column(VoidReason::ValueLengths, 0x57, &[1]),
        column(VoidReason::OpIdRange, 0x01, &[0x7f, 1]),
        column(VoidReason::OpIdRange, 0x02, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        column(VoidReason::OpIdRange, 0x73, &[0x7f, 0x7f]),
        column(VoidReason::OpIdRange, 0x73, &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
        column(VoidReason::Truncated, 0x15, &[0x7f, 5, b'k']),
        column(VoidReason::BadNumber, 0x42, &[0x7f]),
        column(VoidReason::Unparsable, 0x42, &[0x7f, 9]),
        column(VoidReason::Unparsable, 0x15, &[0x7f, 1, 0xff]),
        raw(VoidReason::Unparsable, |change| drop(change.columns.remove(0))),
        column(VoidReason::NotCanonical, 0x42, &[1, 0]),
        column(VoidReason::NotCanonical, 0x56, &[0x7f, 2]),
    ]
}

fn op_cases() -> Vec<Case> {
    let ground = Ground::new();
    let put = |scalar: ScalarValue| ground.op(ITEM, |op| op.action = OpType::Put(scalar));
    let make = |kind| ground.op(LINES, |op| op.action = OpType::Make(kind));
    let mark = MarkData { name: "bold".into(), value: ScalarValue::Null, expand: false };
    let key = |at, key: &str| ground.op(at, |op| op.key = Key::Map(key.into()));
    let elsewhere = |object| ground.op(ITEM, |op| op.obj = ObjectId::Id(object));
    let own = |counter| LegacyOpId(counter, ActorId::from(a().as_bytes()));
    let start = ground.guard.max_op() + 1;
    vec![
        (VoidReason::Insert, ground.op(ITEM, |op| op.insert = true)),
        (VoidReason::KeyNotText, ground.op(ITEM, |op| op.key = Key::Seq(ElementId::Head))),
        (VoidReason::Delete, ground.op(ITEM, |op| op.action = OpType::Delete)),
        (VoidReason::Delete, ground.op(RECORD, |op| op.action = OpType::Delete)),
        (VoidReason::Increment, ground.op(ITEM, |op| op.action = OpType::Increment(1))),
        (VoidReason::Mark, ground.op(ITEM, |op| op.action = OpType::MarkBegin(mark.clone()))),
        (VoidReason::Mark, ground.op(ITEM, |op| op.action = OpType::MarkEnd(true))),
        (VoidReason::NotAMap, make(ObjType::List)),
        (VoidReason::NotAMap, make(ObjType::Text)),
        (VoidReason::NotAMap, make(ObjType::Table)),
        (VoidReason::ValueType, put(ScalarValue::F64(1.0))),
        (VoidReason::ValueType, put(ScalarValue::counter(1))),
        (VoidReason::ValueType, put(ScalarValue::Timestamp(1))),
        (VoidReason::ValueType, put(ScalarValue::Unknown { type_code: 12, bytes: vec![1] })),
        (VoidReason::ValueTooLong, put(ScalarValue::Bytes(vec![0; 16_385]))),
        (VoidReason::RootNotRecord, ground.op(RECORD, |op| op.action = OpType::Put(ScalarValue::Int(1)))),
        (VoidReason::RootNotRecord, ground.op(ITEM, |op| op.obj = ObjectId::Root)),
        (VoidReason::RecordKey, key(RECORD, "pledge")),
        (VoidReason::RecordKey, key(RECORD, "Pledge/0000000003")),
        (VoidReason::RecordKey, key(RECORD, "pledge/000000000l")),
        (VoidReason::RecordKey, key(RECORD, "pledge/0000000003/")),
        (VoidReason::RecordTwice, key(RECORD, "pledge/0000000004")),
        (VoidReason::KeyLength, key(ITEM, "")),
        (VoidReason::KeyLength, key(ITEM, &"k".repeat(129))),
        (VoidReason::FieldTwice, key(ITEM, "lines")),
        (VoidReason::FieldPred, ground.op(ITEM, |op| op.pred = vec![own(start)].into())),
        (VoidReason::ForeignObject, elsewhere(own(1))),
        (VoidReason::ForeignObject, elsewhere(ground.b_version.clone())),
        (VoidReason::ForeignObject, elsewhere(own(start + 1))),
        (VoidReason::ForeignObject, elsewhere(own(start + 2))),
        (VoidReason::ForeignObject, elsewhere(own(start + 500))),
        (VoidReason::ForeignObject, ground.op(LINE, |op| op.obj = ObjectId::Id(own(start + 1)))),
        (VoidReason::PredsUnsorted, ground.op(RECORD, |op| op.pred = vec![own(1), own(1)].into())),
        (VoidReason::TooDeep, ground.verdict(nest)),
    ]
}

/// Nests the last operations of a change nine deep.
fn nest(change: &mut ExpandedChange) {
    for _ in 0..8 {
        let counter = change.start_op.get() + u64::try_from(change.operations.len()).expect("fits");
        let mut op = change.operations[LINES].clone();
        if let Some(last) = change.operations.get(LINE + 1 + LINE + 1) {
            assert_eq!(last.action, OpType::Make(ObjType::Map));
            op.obj = ObjectId::Id(LegacyOpId(counter - 1, change.actor_id.clone()));
        } else {
            op.key = Key::Map("deep".into());
        }
        change.operations.push(op);
    }
}

fn document_cases() -> Vec<Case> {
    let ground = Ground::new();
    let own = LegacyOpId(1, ActorId::from(a().as_bytes()));
    let without_b = |change: &mut ExpandedChange| {
        change.deps = vec![automerge::ChangeHash(*ground.by_a.hash.as_bytes())];
        change.operations[RECORD].key = Key::Map("pledge/0000000002".into());
        change.operations[RECORD].pred = vec![ground.b_version.clone()].into();
    };
    let fork = |change: &mut ExpandedChange| {
        change.deps.clear();
        (change.seq, change.start_op) = (1, NonZeroU64::MIN);
        for op in &mut change.operations {
            if let ObjectId::Id(id) = &mut op.obj {
                id.0 -= ground.guard.max_op();
            }
        }
    };
    let pred = |pred: &LegacyOpId| ground.op(RECORD, |op| op.pred = vec![pred.clone()].into());
    let without_own = |change: &mut ExpandedChange| {
        change.deps = vec![automerge::ChangeHash(*ground.by_b.hash.as_bytes())];
    };
    let later = |change: &mut ExpandedChange| change.start_op = change.start_op.saturating_add(1);
    vec![
        (VoidReason::DepMissing, ground.verdict(|change| change.deps = vec![automerge::ChangeHash([9; 32])])),
        (VoidReason::StartOp, ground.verdict(later)),
        (VoidReason::StartOp, ground.verdict(|change| change.start_op = NonZeroU64::MIN)),
        (VoidReason::SeqTaken, ground.verdict(|change| change.seq = 1)),
        (VoidReason::Seq, ground.verdict(|change| change.seq = 3)),
        (VoidReason::Seq, ground.verdict(|change| change.seq = 0)),
        (VoidReason::Seq, ground.verdict(without_own)),
        (VoidReason::SeqTaken, ground.verdict(fork)),
        (VoidReason::PredUnknown, pred(&own)),
        (VoidReason::PredUnknown, pred(&LegacyOpId(2, own.1.clone()))),
        (VoidReason::PredNotAncestor, pred(&LegacyOpId(1, ActorId::from([7; 36])))),
        (VoidReason::PredNotAncestor, ground.verdict(without_b)),
        (VoidReason::AncestryTooWide, too_wide()),
        (VoidReason::AncestryTooWide, too_wide_together()),
    ]
}

/// A node that opens a generation for every change is stopped; one that builds on nothing of it goes on.
fn too_wide() -> Option<VoidReason> {
    let mut guard = Guard::new();
    for generation in 0..u32::try_from(CHANGE_CLOCK_ACTORS_MAX).expect("fits") {
        let draft = guard.draft(Actor::new(&A, generation), 0, vec![write(0)]);
        admit(&mut guard, &draft);
    }
    let alone =
        Draft { actor: Actor::new(&B, 0), seq: 1, start_op: 1, deps: vec![], time_ms: 0, writes: vec![write(0)] };
    admit(&mut guard.clone(), &alone);
    let old = guard.draft(Actor::new(&A, 511), 0, vec![write(0)]);
    admit(&mut guard.clone(), &old);
    let draft = guard.draft(Actor::new(&A, 512), 0, vec![write(0)]);
    judge(guard, &compose(&draft).expect("the draft alone is honest"))
}

/// Two ancestries that are narrow enough alone, and an actor with a change in one of them.
fn too_wide_together() -> Option<VoidReason> {
    let mut guard = Guard::new();
    let half = u32::try_from(CHANGE_CLOCK_ACTORS_MAX / 2 + 1).expect("fits");
    for key in [&B, &A] {
        let mut tip: Option<Prescan> = None;
        for generation in 0..half {
            let deps = tip.iter().map(|tip| tip.hash).collect();
            let start_op = tip.as_ref().map_or(0, Prescan::max_op) + 1;
            let actor = Actor::new(key, generation);
            let draft = Draft { actor, seq: 1, start_op, deps, time_ms: 0, writes: vec![write(0)] };
            tip = Some(admit(&mut guard, &draft).0);
        }
    }
    let draft = guard.draft(Actor::new(&A, half - 1), 0, vec![write(0)]);
    assert_eq!((draft.seq, draft.deps.len()), (2, 2));
    judge(guard, &compose(&draft).expect("the draft alone is honest"))
}

#[test]
fn codes_are_stable_names() {
    let codes: BTreeSet<_> = VoidReason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), VoidReason::ALL.len());
    assert!(VoidReason::ALL.is_sorted());
    for code in codes {
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
    }
    assert_eq!(VoidReason::PredNotAncestor.to_string(), "a predecessor is not in the ancestry of the change");
}

#[test]
fn composing_refuses_what_the_guard_would() {
    let draft = |writes| Draft { actor: a(), seq: 1, start_op: 1, deps: Vec::new(), time_ms: 0, writes };
    let field = |key: &str, value| {
        let mut write = write(1);
        write.fields.insert(key.to_owned(), value);
        compose(&draft(vec![write])).err()
    };
    let record = |kind: &str, id: &str| {
        compose(&draft(vec![DraftWrite { kind: kind.to_owned(), id: id.to_owned(), ..write(1) }])).err()
    };
    let deep = (0..8).fold(Value::Null, |value, _| Value::Map(Fields::from([("m".to_owned(), value)])));
    let wide = (0..2_048).map(|n| (n.to_string(), Value::Null)).collect();
    let heavy = |n| (0..n).map(|n: u8| (n.to_string(), Value::Bytes(vec![0; 16_384]))).collect();
    assert_eq!(compose(&draft(Vec::new())), Err(VoidReason::NoOps));
    assert_eq!(compose(&draft(vec![write(1), write(1)])), Err(VoidReason::RecordTwice));
    assert_eq!(compose(&Draft { start_op: 0, ..draft(vec![write(1)]) }), Err(VoidReason::StartOpRange));
    assert_eq!(compose(&Draft { start_op: 1 << 30, ..draft(vec![write(1)]) }), Err(VoidReason::StartOpRange));
    assert_eq!(compose(&Draft { time_ms: u64::MAX, ..draft(vec![write(1)]) }), Err(VoidReason::TimeRange));
    assert_eq!(
        compose(&Draft { deps: vec![ChangeHash::ZERO; 2], ..draft(vec![write(1)]) }),
        Err(VoidReason::DepsUnsorted)
    );
    assert_eq!(record("Pledge", "0000000001"), Some(VoidReason::RecordKey));
    assert_eq!(record("pledge", "1"), Some(VoidReason::RecordKey));
    assert_eq!(field("", Value::Null), Some(VoidReason::KeyLength));
    assert_eq!(field(&"k".repeat(129), Value::Null), Some(VoidReason::KeyLength));
    assert_eq!(field("text", Value::Text("x".repeat(16_385))), Some(VoidReason::ValueTooLong));
    assert_eq!(field("deep", deep), Some(VoidReason::TooDeep));
    assert_eq!(field("wide", Value::Map(wide)), Some(VoidReason::TooManyRows));
    assert_eq!(field("heavy", Value::Map(heavy(4))), Some(VoidReason::TooLong));
    assert_eq!(field("heavy", Value::Map(heavy(3))), None);
}

#[test]
fn the_largest_change_is_admitted() {
    let fields: Fields = (0..2_047).map(|n| (format!("field{n}"), Value::Uint(n))).collect();
    let mut guard = Guard::new();
    let writes = vec![DraftWrite { fields: fields.clone(), ..write(1) }];
    let (scan, writes) =
        admit(&mut guard, &Draft { actor: a(), seq: 1, start_op: 1, deps: vec![], time_ms: 0, writes });
    assert_eq!((scan.ops, guard.max_op()), (2_048, 2_048));
    assert_eq!(writes[0].fields, fields);
}
