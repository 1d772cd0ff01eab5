//! The generators of the hostile corpora: damaged bytes with a repaired seal, and well-encoded changes that mean harm.

use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{ElementId, Key, MarkData, ObjectId, Op, OpId as LegacyOpId, OpType, SortedVec};
use automerge::{ActorId, Automerge, Change, ExpandedChange, ObjType, ScalarValue};
use comity_protocol::guard::Guard;
use comity_protocol::table::Table;

use super::histories::{History, Made, replay};
use super::mirror::{document, parse};
use super::raw::{self, chunk};
use crate::random::Random;

/// A document and the honest changes that could come next.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Every change of the document, in the order of its making.
    pub made: Vec<Made>,
    /// What each node would write next.
    pub next: Vec<Made>,
    /// The guard after all of `made`.
    pub guard: Guard,
    /// The row table after all of `made`.
    pub table: Table,
    /// The same in Automerge.
    pub document: Automerge,
}

impl Ground {
    /// Makes a document of three nodes and 4 to 33 steps.
    pub fn random(random: &mut Random) -> Self {
        let steps = 4 + random.below(30);
        let mut history = History::random(random, 3, steps);
        while history.made.is_empty() {
            // Three nodes that only asked each other: there is nothing to attack yet.
            history = History::random(random, 3, steps);
        }
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

/// Changes one to four places of a change and seals it again.
pub fn damage(random: &mut Random, victim: &Made, others: &[Made]) -> Vec<u8> {
    let mut data = raw::data(&victim.bytes).to_vec();
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
                let other = raw::data(&random.pick(others).bytes);
                let from = random.below(other.len());
                let end = (from + 1 + random.below(24)).min(other.len());
                let to = (at + end - from).min(data.len());
                data.splice(at..to, other[from..end].iter().copied());
            }
        }
    }
    chunk(if random.one_in(100) { random.byte() } else { 1 }, &data)
}

/// Makes an honest change hostile and encodes it; `None` where the library's encoder panics, as it may on what no author
/// would encode.
pub fn twist(random: &mut Random, ground: &Ground, victim: &Made) -> Option<Vec<u8>> {
    let twisted = Twist { random, ground }.change(parse(&victim.bytes).decode());
    catch_unwind(AssertUnwindSafe(|| Change::from(twisted).raw_bytes().to_vec())).ok()
}

/// Returns an honest change with any versions in the ancestry for predecessors, replaced ones too: odd, but permitted.
pub fn odd(random: &mut Random, ground: &Ground, victim: &Made) -> Vec<u8> {
    let mut change = parse(&victim.bytes).decode();
    for op in &mut change.operations {
        let Some(preds) = odd_preds(random, &ground.table, op) else { continue };
        op.pred = preds;
    }
    Change::from(change).raw_bytes().to_vec()
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
