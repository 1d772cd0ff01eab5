//! Writing: the canonical bytes of a change, without a document.

use std::num::NonZeroU64;

use automerge::legacy::{Key, ObjectId, Op, OpId as LegacyOpId, OpType};
use automerge::{ActorId, Change, ExpandedChange, ObjType, ScalarValue};

use super::{VoidReason, dialect, prescan};
use crate::ids::ChangeHash;
use crate::limits::{CHANGE_BYTES_MAX, CHANGE_DEPTH_MAX, CHANGE_KEY_BYTES_MAX, CHANGE_OPS_MAX, CHANGE_VALUE_BYTES_MAX};
use crate::value::{Actor, Fields, OpId, Value, record_id_permitted, record_kind_permitted};

/// A change to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who writes.
    pub actor: Actor,
    /// The change's number among the actor's, from 1.
    pub seq: u64,
    /// Counter of the first operation: one above the highest of the dependencies.
    pub start_op: u64,
    /// What it builds on, in any order.
    pub deps: Vec<ChangeHash>,
    /// Claimed time in milliseconds.
    pub time_ms: u64,
    /// The record versions to write.
    pub writes: Vec<DraftWrite>,
}

/// A record version to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftWrite {
    /// The record's kind.
    pub kind: String,
    /// The record's id.
    pub id: String,
    /// The versions it replaces, in any order; none for a first version.
    pub replaces: Vec<OpId>,
    /// All its fields.
    pub fields: Fields,
}

/// Returns the canonical bytes of a change.
///
/// What this returns passes [`prescan()`] and every check of [`super::Guard::admit`] that needs no document; the caller
/// admits it to its own guard before signing, which checks the rest.
///
/// # Errors
/// The reason the guard would give.
pub fn compose(draft: &Draft) -> Result<Vec<u8>, VoidReason> {
    let start_op = NonZeroU64::new(draft.start_op).ok_or(VoidReason::StartOpRange)?;
    let time = i64::try_from(draft.time_ms).map_err(|_| VoidReason::TimeRange)?;
    let mut ops = Ops { actor: actor_id(draft.actor), next: draft.start_op, list: Vec::new(), value_bytes: 0 };
    for write in &draft.writes {
        ops.record(write)?;
    }
    if ops.list.is_empty() {
        return Err(VoidReason::NoOps);
    }
    let change = Change::from(ExpandedChange {
        operations: ops.list,
        actor_id: ops.actor,
        hash: None,
        seq: draft.seq,
        start_op,
        time,
        message: None,
        deps: draft.deps.iter().map(|dep| automerge::ChangeHash(*dep.as_bytes())).collect(),
        extra_bytes: Vec::new(),
        author: None,
    });
    let bytes = change.raw_bytes().to_vec();
    let scanned = prescan(&draft.actor.author(), &bytes)?;
    dialect::read(&scanned, &bytes)?;
    Ok(bytes)
}

/// The operations of a draft so far; bounded, so that a draft that cannot be admitted is refused before it is encoded.
struct Ops {
    actor: ActorId,
    next: u64,
    list: Vec<Op>,
    value_bytes: usize,
}

impl Ops {
    fn record(&mut self, write: &DraftWrite) -> Result<(), VoidReason> {
        if !record_kind_permitted(&write.kind) || !record_id_permitted(&write.id) {
            return Err(VoidReason::RecordKey);
        }
        let preds = write.replaces.iter().map(|op| LegacyOpId(op.counter, actor_id(op.actor))).collect();
        let key = format!("{}/{}", write.kind, write.id);
        let object = self.push(ObjectId::Root, &key, OpType::Make(ObjType::Map), preds)?;
        self.fields(&object, &write.fields, 1)
    }

    fn fields(&mut self, object: &ObjectId, fields: &Fields, depth: usize) -> Result<(), VoidReason> {
        if depth > CHANGE_DEPTH_MAX {
            return Err(VoidReason::TooDeep);
        }
        for (key, value) in fields {
            let action = match value {
                Value::Text(text) => OpType::Put(ScalarValue::Str(text.as_str().into())),
                Value::Bytes(bytes) => OpType::Put(ScalarValue::Bytes(bytes.clone())),
                Value::Int(number) => OpType::Put(ScalarValue::Int(*number)),
                Value::Uint(number) => OpType::Put(ScalarValue::Uint(*number)),
                Value::Bool(yes) => OpType::Put(ScalarValue::Boolean(*yes)),
                Value::Null => OpType::Put(ScalarValue::Null),
                Value::Map(_) => OpType::Make(ObjType::Map),
            };
            self.count_value(value)?;
            let made = self.push(object.clone(), key, action, Vec::new())?;
            if let Value::Map(nested) = value {
                self.fields(&made, nested, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Counts the bytes of a value, which no encoding makes shorter.
    fn count_value(&mut self, value: &Value) -> Result<(), VoidReason> {
        let length = match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Null | Value::Map(_) => 0,
        };
        self.value_bytes += length;
        if length > CHANGE_VALUE_BYTES_MAX {
            Err(VoidReason::ValueTooLong)
        } else if self.value_bytes > CHANGE_BYTES_MAX {
            Err(VoidReason::TooLong)
        } else {
            Ok(())
        }
    }

    /// Appends an operation and returns the object it would make.
    fn push(
        &mut self,
        obj: ObjectId,
        key: &str,
        action: OpType,
        pred: Vec<LegacyOpId>,
    ) -> Result<ObjectId, VoidReason> {
        if self.list.len() == CHANGE_OPS_MAX {
            return Err(VoidReason::TooManyRows);
        }
        if pred.len() > CHANGE_OPS_MAX {
            return Err(VoidReason::TooManyPreds);
        }
        if !(1..=CHANGE_KEY_BYTES_MAX).contains(&key.len()) {
            return Err(VoidReason::KeyLength);
        }
        let made = ObjectId::Id(LegacyOpId(self.next, self.actor.clone()));
        self.next += 1;
        self.list.push(Op { action, obj, key: Key::Map(key.into()), pred: pred.into(), insert: false });
        Ok(made)
    }
}

fn actor_id(actor: Actor) -> ActorId {
    ActorId::from(actor.as_bytes())
}
