//! From a change's bytes to the record versions it writes, the change alone being looked at (spec A.2, A.3).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Key, ObjectId, Op, OpType};
use automerge::{Change, ExpandedChange, ObjType, ScalarValue};

use super::{Prescan, VoidReason};
use crate::limits::{CHANGE_DEPTH_MAX, CHANGE_KEY_BYTES_MAX, CHANGE_OPS_MAX, CHANGE_VALUE_BYTES_MAX};
use crate::value::{Actor, Fields, OpId, Value, Write, record_id_permitted, record_kind_permitted};

/// Parses a change that passed the prescan and returns what it writes, in the order of its operations.
///
/// # Errors
/// The first check of A.2 that fails, those that need the document's index excepted.
pub(super) fn read(prescan: &Prescan, bytes: &[u8]) -> Result<Vec<Write>, VoidReason> {
    let change = decode(prescan, bytes)?;
    let mut maps =
        Maps { first: prescan.start_op, actor: prescan.actor, made: Vec::with_capacity(change.operations.len()) };
    for op in &change.operations {
        maps.take_in(op)?;
    }
    maps.into_writes()
}

/// Decodes canonical bytes; the change library may panic here without harm, since it holds nothing yet.
fn decode(prescan: &Prescan, bytes: &[u8]) -> Result<ExpandedChange, VoidReason> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let change = Change::try_from(bytes).map_err(|_| VoidReason::Unparsable)?;
        assert_eq!(change.hash().0, *prescan.hash.as_bytes(), "a prescan goes with the bytes it was made from");
        let expanded = change.decode();
        if !change.extra_bytes().is_empty() || change.author().is_some() {
            return Err(VoidReason::TrailingBytes);
        }
        if Change::from(expanded.clone()).raw_bytes() == bytes { Ok(expanded) } else { Err(VoidReason::NotCanonical) }
    }));
    let change = decoded.unwrap_or(Err(VoidReason::ParserPanicked))?;
    match change.operations.len() {
        0 => Err(VoidReason::NoOps),
        1..=CHANGE_OPS_MAX => Ok(change),
        _ => Err(VoidReason::TooManyRows),
    }
}

/// The maps a change makes, while its operations are read.
struct Maps {
    first: u64,
    actor: Actor,
    /// One for each operation so far; `None` where it made no map.
    made: Vec<Option<Map>>,
}

struct Map {
    depth: usize,
    place: Place,
    fields: Fields,
}

enum Place {
    Root { kind: String, id: String, replaces: Vec<OpId> },
    In { parent: usize, key: String },
}

impl Maps {
    fn take_in(&mut self, op: &Op) -> Result<(), VoidReason> {
        if op.insert {
            return Err(VoidReason::Insert);
        }
        let Key::Map(key) = &op.key else {
            return Err(VoidReason::KeyNotText);
        };
        if !(1..=CHANGE_KEY_BYTES_MAX).contains(&key.len()) {
            return Err(VoidReason::KeyLength);
        }
        let value = value(&op.action)?;
        let map = match &op.obj {
            ObjectId::Root => Some(self.record(key, &value, op)?),
            ObjectId::Id(object) => self.field(object, key, value, op)?,
        };
        self.made.push(map);
        Ok(())
    }

    /// Checks the start of a record version.
    fn record(&self, key: &str, value: &Value, op: &Op) -> Result<Map, VoidReason> {
        if !matches!(value, Value::Map(_)) {
            return Err(VoidReason::RootNotRecord);
        }
        let (kind, id) = key
            .split_once('/')
            .filter(|(kind, id)| record_kind_permitted(kind) && record_id_permitted(id))
            .ok_or(VoidReason::RecordKey)?;
        let mut replaces = Vec::with_capacity(op.pred.len());
        for pred in op.pred.iter() {
            let pred = OpId { counter: pred.counter(), actor: actor(pred.actor())? };
            if replaces.last().is_some_and(|last| *last >= pred) {
                return Err(VoidReason::PredsUnsorted);
            }
            replaces.push(pred);
        }
        let place = Place::Root { kind: kind.to_owned(), id: id.to_owned(), replaces };
        Ok(Map { depth: 1, place, fields: Fields::new() })
    }

    /// Puts a field into a map made by an earlier operation of the same change.
    fn field(
        &mut self,
        object: &automerge::legacy::OpId,
        key: &str,
        value: Value,
        op: &Op,
    ) -> Result<Option<Map>, VoidReason> {
        if !op.pred.is_empty() {
            return Err(VoidReason::FieldPred);
        }
        if object.actor().to_bytes() != self.actor.as_bytes() {
            return Err(VoidReason::ForeignObject);
        }
        let parent = object.counter().checked_sub(self.first).and_then(|offset| usize::try_from(offset).ok());
        let parent = parent.ok_or(VoidReason::ForeignObject)?;
        let Some(Some(map)) = self.made.get_mut(parent) else {
            return Err(VoidReason::ForeignObject);
        };
        let depth = map.depth + 1;
        if depth > CHANGE_DEPTH_MAX {
            return Err(VoidReason::TooDeep);
        }
        let nested = matches!(value, Value::Map(_));
        if map.fields.insert(key.to_owned(), value).is_some() {
            return Err(VoidReason::FieldTwice);
        }
        let place = Place::In { parent, key: key.to_owned() };
        Ok(nested.then(|| Map { depth, place, fields: Fields::new() }))
    }

    /// Moves every map into the one that holds it and returns the records.
    fn into_writes(mut self) -> Result<Vec<Write>, VoidReason> {
        let mut writes = Vec::new();
        let mut seen = BTreeMap::new();
        // A map is made before what it holds, so from the last to the first every map is complete when it is moved.
        while let Some(map) = self.made.pop() {
            let offset = self.made.len();
            match map {
                None => {}
                Some(Map { place: Place::In { parent, key }, fields, .. }) => {
                    if let Some(Some(parent)) = self.made.get_mut(parent) {
                        parent.fields.insert(key, Value::Map(fields));
                    }
                }
                Some(Map { place: Place::Root { kind, id, replaces }, fields, .. }) => {
                    if seen.insert((kind.clone(), id.clone()), ()).is_some() {
                        return Err(VoidReason::RecordTwice);
                    }
                    let counter = self.first + u64::try_from(offset).expect("at most 2,048 operations");
                    writes.push(Write { kind, id, op: OpId { counter, actor: self.actor }, replaces, fields });
                }
            }
        }
        writes.reverse();
        Ok(writes)
    }
}

/// Returns what an operation puts, an empty map for a new one.
fn value(action: &OpType) -> Result<Value, VoidReason> {
    match action {
        OpType::Make(ObjType::Map) => Ok(Value::Map(Fields::new())),
        OpType::Make(ObjType::List | ObjType::Text | ObjType::Table) => Err(VoidReason::NotAMap),
        OpType::Delete => Err(VoidReason::Delete),
        OpType::Increment(_) => Err(VoidReason::Increment),
        OpType::MarkBegin(_) | OpType::MarkEnd(_) => Err(VoidReason::Mark),
        OpType::Put(scalar) => self::scalar(scalar),
    }
}

fn scalar(scalar: &ScalarValue) -> Result<Value, VoidReason> {
    match scalar {
        ScalarValue::Str(text) if text.len() <= CHANGE_VALUE_BYTES_MAX => Ok(Value::Text(text.to_string())),
        ScalarValue::Bytes(bytes) if bytes.len() <= CHANGE_VALUE_BYTES_MAX => Ok(Value::Bytes(bytes.clone())),
        ScalarValue::Str(_) | ScalarValue::Bytes(_) => Err(VoidReason::ValueTooLong),
        ScalarValue::Int(number) => Ok(Value::Int(*number)),
        ScalarValue::Uint(number) => Ok(Value::Uint(*number)),
        ScalarValue::Boolean(yes) => Ok(Value::Bool(*yes)),
        ScalarValue::Null => Ok(Value::Null),
        ScalarValue::F64(_) | ScalarValue::Counter(_) | ScalarValue::Timestamp(_) | ScalarValue::Unknown { .. } => {
            Err(VoidReason::ValueType)
        }
    }
}

fn actor(actor: &automerge::ActorId) -> Result<Actor, VoidReason> {
    actor.to_bytes().try_into().map(Actor::from_bytes).map_err(|_| VoidReason::BadActors)
}
