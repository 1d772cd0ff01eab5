//! Hostile corpora: damaged bytes with a repaired seal, and well-encoded changes that mean harm.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{ElementId, Key, MarkData, ObjectId, Op, OpId as LegacyOpId, OpType, SortedVec};
use automerge::{ActorId, Automerge, Change, ExpandedChange, ObjType, ScalarValue};
use comity_protocol::guard::{Guard, Prescan, VoidReason, prescan};
use comity_protocol::ids::AuthorKey;
use comity_protocol::table::Table;

use crate::automerge_mirror::{assert_same, assert_sound, document, parse};
use crate::histories::{History, Made, apply, replay};
use crate::random::{Random, seeds};
use crate::raw::{chunk, data};

/// A document and the honest changes that could come next.
struct Ground {
    made: Vec<Made>,
    next: Vec<Made>,
    guard: Guard,
    table: Table,
    document: Automerge,
}

impl Ground {
    fn random(random: &mut Random) -> Self {
        let steps = 4 + random.below(30);
        let history = History::random(random, 3, steps);
        let (guard, table) = replay(history.made.iter());
        let document = document(std::iter::once(history.made.iter().map(|made| &*made.bytes).collect()));
        let mut next = Vec::new();
        for mut replica in history.replicas {
            // Where the generation has moved on, the document has no other change of the new actor.
            (replica.guard, replica.table) = (guard.clone(), table.clone());
            let writes = replica.random_writes(random);
            next.push(replica.make(99, writes));
        }
        Self { made: history.made, next, guard, table, document }
    }
}

/// What became of a corpus.
#[derive(Default, Debug)]
struct Outcome {
    admitted: u64,
    void: BTreeMap<&'static str, u64>,
}

impl Outcome {
    fn count(&mut self, ground: &Ground, author: &AuthorKey, bytes: &[u8]) {
        match judge(ground, author, bytes) {
            Ok(()) => self.admitted += 1,
            Err(reason) => *self.void.entry(reason.code()).or_default() += 1,
        }
    }
}

/// Asks the guard; what it admits must be harmless, what it refuses must leave no trace.
fn judge(ground: &Ground, author: &AuthorKey, bytes: &[u8]) -> Result<(), VoidReason> {
    let scan = prescan(author, bytes)?;
    let mut guard = ground.guard.clone();
    let writes = match guard.admit(&scan, bytes) {
        Ok(writes) => writes,
        Err(reason) => {
            assert!(guard.heads().eq(ground.guard.heads()), "a refused change leaves the index as it was");
            assert_eq!((guard.len(), guard.max_op()), (ground.guard.len(), ground.guard.max_op()));
            return Err(reason);
        }
    };
    let mut table = ground.table.clone();
    apply(&mut table, &scan, writes);
    let mut document = ground.document.clone();
    document.apply_changes([parse(bytes)]).expect("an admitted change applies");
    assert_same(&document, &table, &guard);
    assert_sound(&document, &table, &guard);
    let early = early(ground, &scan, bytes);
    assert_same(&early, &table, &guard);
    assert_sound(&early, &table, &guard);
    Ok(())
}

/// The document as a replica builds it that receives the change before everything it does not build on.
fn early(ground: &Ground, scan: &Prescan, bytes: &[u8]) -> Automerge {
    let (mut order, mut missing) = (Vec::new(), scan.deps.iter().collect::<BTreeSet<_>>());
    if missing.is_empty() {
        order.push(vec![bytes]);
    }
    for made in &ground.made {
        order.push(vec![&*made.bytes]);
        if missing.remove(&made.scan.hash) && missing.is_empty() {
            order.push(vec![bytes]);
        }
    }
    document(order.into_iter())
}

#[test]
fn damaged_changes_with_a_repaired_seal_do_no_harm() {
    let mut outcome = Outcome::default();
    seeds(25, |seed| {
        let mut random = Random::new(seed);
        let ground = Ground::random(&mut random);
        for _ in 0..150 {
            let victim = random.pick(&ground.next);
            let bytes = damage(&mut random, victim, &ground.made);
            outcome.count(&ground, &victim.scan.actor.author(), &bytes);
        }
    });
    println!("{outcome:?}");
    assert!(!outcome.void.contains_key(VoidReason::ParserPanicked.code()), "the prescan stops what would panic");
}

/// Changes one to four places of a change and seals it again.
fn damage(random: &mut Random, victim: &Made, others: &[Made]) -> Vec<u8> {
    let mut data = data(&victim.bytes).to_vec();
    let actor = victim.scan.actor.as_bytes();
    let behind_actor = data.windows(actor.len()).position(|part| part == actor).map_or(0, |at| at + actor.len());
    for _ in 0..=random.below(4) {
        // Hashes and keys fill the front; most of what can be read in more than one way stands behind.
        let from = if random.one_in(4) { 0 } else { behind_actor.min(data.len() - 1) };
        let at = from + random.below(data.len() - from);
        match random.below(9) {
            0 => data[at] = random.byte(),
            1 => data[at] ^= 1 << random.below(8),
            2 => data[at] = data[at].wrapping_add(1),
            3 => data.insert(at, random.byte()),
            4 if data.len() > 1 => drop(data.remove(at)),
            5 => data.truncate(at.max(1)),
            6 => data.extend((0..random.below(8)).map(|_| random.byte()).collect::<Vec<_>>()),
            7 => {
                let end = (at + 1 + random.below(12)).min(data.len());
                let part = data[at..end].to_vec();
                let to = random.below(data.len());
                data.splice(to..to, part);
            }
            _ => {
                let other = crate::raw::data(&random.pick(others).bytes);
                let from = random.below(other.len());
                let end = (from + 1 + random.below(24)).min(other.len());
                let to = (at + end - from).min(data.len());
                data.splice(at..to, other[from..end].iter().copied());
            }
        }
    }
    chunk(if random.one_in(100) { random.byte() } else { 1 }, &data)
}

#[test]
fn well_encoded_hostile_changes_do_no_harm() {
    let mut outcome = Outcome::default();
    seeds(25, |seed| {
        let mut random = Random::new(seed);
        let ground = Ground::random(&mut random);
        for _ in 0..150 {
            let victim = random.pick(&ground.next);
            let twisted = Twist { random: &mut random, ground: &ground }.change(parse(&victim.bytes).decode());
            // The library's encoder is free to panic on what no author would encode.
            let Ok(bytes) = catch_unwind(AssertUnwindSafe(|| Change::from(twisted).raw_bytes().to_vec())) else {
                continue;
            };
            outcome.count(&ground, &victim.scan.actor.author(), &bytes);
        }
    });
    println!("{outcome:?}");
    assert!(outcome.admitted > 0, "some twists are harmless");
    assert!(!outcome.void.contains_key(VoidReason::ParserPanicked.code()), "the prescan stops what would panic");
}

/// Makes honest changes hostile.
struct Twist<'a> {
    random: &'a mut Random,
    ground: &'a Ground,
}

impl Twist<'_> {
    fn change(&mut self, mut change: ExpandedChange) -> ExpandedChange {
        for _ in 0..=self.random.below(3) {
            if self.random.one_in(3) {
                self.head(&mut change);
            } else {
                self.ops(&mut change);
            }
        }
        change
    }

    fn head(&mut self, change: &mut ExpandedChange) {
        match self.random.below(11) {
            0 => change.deps.clear(),
            1 => drop(change.deps.pop()),
            2 => change.deps.push(automerge::ChangeHash([self.random.byte(); 32])),
            3 => change.deps.push(automerge::ChangeHash(*self.random.pick(&self.ground.made).scan.hash.as_bytes())),
            4 => change.deps.extend(change.deps.clone()),
            5 => change.seq = *self.random.pick(&[0, 1, 2, change.seq.wrapping_add(1), 1 << 40, u64::MAX]),
            6 => {
                let start = *self.random.pick(&[
                    1,
                    change.start_op.get().wrapping_add(1).max(1),
                    1 << 30,
                    u64::from(u32::MAX),
                    u64::MAX,
                ]);
                change.start_op = NonZeroU64::new(start).expect("not zero");
            }
            7 => change.time = *self.random.pick(&[i64::MIN, -1, 0, 5, i64::MAX]),
            8 => change.message = Some("x".repeat(self.random.below(300))),
            9 => change.extra_bytes = vec![1; 1 + self.random.below(40)],
            _ => change.actor_id = self.actor(),
        }
    }

    fn ops(&mut self, change: &mut ExpandedChange) {
        let count = change.operations.len();
        if count == 0 {
            return;
        }
        let at = self.random.below(count);
        match self.random.below(9) {
            0 => change.operations[at].obj = self.object(change),
            1 => change.operations[at].key = self.key(change),
            2 | 3 => change.operations[at].action = self.action(),
            4 => change.operations[at].pred = self.preds(change),
            5 => change.operations[at].insert = true,
            6 => drop(change.operations.remove(at)),
            7 => change.operations.push(change.operations[at].clone()),
            _ => {
                let other = self.random.below(count);
                change.operations.swap(at, other);
            }
        }
    }

    fn object(&mut self, change: &ExpandedChange) -> ObjectId {
        if self.random.one_in(4) { ObjectId::Root } else { ObjectId::Id(self.op_id(change)) }
    }

    /// An operation of the change itself, of the document, or of nobody.
    fn op_id(&mut self, change: &ExpandedChange) -> LegacyOpId {
        match self.random.below(6) {
            0 | 1 => {
                let offset = u64::try_from(self.random.below(change.operations.len() + 1)).expect("fits");
                LegacyOpId(change.start_op.get().saturating_add(offset), change.actor_id.clone())
            }
            2 | 3 => {
                let writes = &self.random.pick(&self.ground.made).writes;
                let op = self.random.pick(writes).op;
                LegacyOpId(op.counter, ActorId::from(op.actor.as_bytes()))
            }
            4 => LegacyOpId(u64::try_from(self.random.below(60)).expect("fits"), self.actor()),
            _ => LegacyOpId(*self.random.pick(&[0, 1 << 31, u64::from(u32::MAX)]), self.actor()),
        }
    }

    fn actor(&mut self) -> ActorId {
        match self.random.below(3) {
            0 => ActorId::from(self.random.pick(&self.ground.made).scan.actor.as_bytes()),
            1 => ActorId::from(vec![self.random.byte(); self.random.below(70)]),
            _ => ActorId::from([self.random.byte(); 36]),
        }
    }

    fn key(&mut self, change: &ExpandedChange) -> Key {
        match self.random.below(6) {
            0 => Key::Map("".into()),
            1 => Key::Map("k".repeat(self.random.below(200)).into()),
            2 => Key::Seq(ElementId::Head),
            3 => Key::Seq(ElementId::Id(self.op_id(change))),
            4 => Key::Map(format!("pledge/00000000{:02}", self.random.below(10)).into()),
            _ => change.operations[self.random.below(change.operations.len())].key.clone(),
        }
    }

    fn action(&mut self) -> OpType {
        let scalars = [
            ScalarValue::F64(f64::NAN),
            ScalarValue::counter(i64::MAX),
            ScalarValue::Timestamp(i64::MIN),
            ScalarValue::Unknown { type_code: 12, bytes: vec![1, 2, 3] },
            ScalarValue::Bytes(vec![0; 16_384 + self.random.below(2)]),
            ScalarValue::Uint(u64::MAX),
            ScalarValue::Int(i64::MIN),
            ScalarValue::Null,
        ];
        match self.random.below(14) {
            0 => OpType::Make(ObjType::Map),
            1 => OpType::Make(ObjType::List),
            2 => OpType::Make(ObjType::Text),
            3 => OpType::Make(ObjType::Table),
            4 => OpType::Delete,
            5 => OpType::Increment(i64::MAX),
            6 => OpType::MarkBegin(MarkData { name: "bold".into(), value: ScalarValue::Null, expand: true }),
            7 => OpType::MarkEnd(self.random.one_in(2)),
            _ => OpType::Put(self.random.pick(&scalars).clone()),
        }
    }

    fn preds(&mut self, change: &ExpandedChange) -> SortedVec<LegacyOpId> {
        let count = if self.random.one_in(40) { 2_049 } else { self.random.below(4) };
        (0..count).map(|_| self.op_id(change)).collect::<Vec<_>>().into()
    }
}

/// Where a root key is replaced, any version in the ancestry may be named, replaced ones too.
#[test]
fn odd_but_permitted_predecessors_mean_the_same_in_automerge() {
    let mut outcome = Outcome::default();
    seeds(25, |seed| {
        let mut random = Random::new(seed);
        let ground = Ground::random(&mut random);
        for _ in 0..20 {
            let victim = random.pick(&ground.next).clone();
            let mut change = parse(&victim.bytes).decode();
            for op in &mut change.operations {
                let Some(preds) = odd_preds(&mut random, &ground.table, op) else { continue };
                op.pred = preds;
            }
            let bytes = Change::from(change).raw_bytes().to_vec();
            outcome.count(&ground, &victim.scan.actor.author(), &bytes);
        }
    });
    println!("{outcome:?}");
    assert!(outcome.void.is_empty(), "all of these are permitted: {outcome:?}");
}

/// A random subset of all versions of the record an operation writes.
fn odd_preds(random: &mut Random, table: &Table, op: &Op) -> Option<SortedVec<LegacyOpId>> {
    let (ObjectId::Root, Key::Map(key)) = (&op.obj, &op.key) else { return None };
    let (kind, id) = key.split_once('/')?;
    let versions = table.record(kind, id)?.versions.keys();
    let chosen: Vec<_> = versions
        .filter(|_| random.one_in(2))
        .map(|op| LegacyOpId(op.counter, ActorId::from(op.actor.as_bytes())))
        .collect();
    Some(chosen.into())
}
