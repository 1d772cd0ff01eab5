//! The same changes in an Automerge document, and what it shows.

use automerge::{Automerge, Change, ObjId, ROOT, ReadDoc, ScalarValue, Value as AmValue};
use comity_protocol::guard::Guard;
use comity_protocol::table::Table;
use comity_protocol::value::{Actor, Fields, OpId, Value};

/// Parses a change.
pub fn parse(bytes: &[u8]) -> Change {
    Change::try_from(bytes).expect("an admitted change parses")
}

/// Applies changes one batch at a time.
pub fn document<'a>(batches: impl Iterator<Item = Vec<&'a [u8]>>) -> Automerge {
    let mut document = Automerge::new();
    for batch in batches {
        document.apply_changes(batch.into_iter().map(parse).collect::<Vec<_>>()).expect("admitted changes apply");
    }
    document
}

/// Asserts that a document shows what the table does, to the last conflict and field, and has the guard's heads.
pub fn assert_same(document: &Automerge, table: &Table, guard: &Guard) {
    let heads: Vec<_> = document.get_heads().iter().map(|head| head.0).collect();
    assert_eq!(heads, guard.heads().map(|head| *head.as_bytes()).collect::<Vec<_>>());
    let keys: Vec<_> = document.keys(ROOT).collect();
    let records: Vec<_> = table.records().map(|((kind, id), _)| format!("{kind}/{id}")).collect();
    let mut sorted = records.clone();
    sorted.sort();
    assert_eq!(keys, sorted);
    for (key, (_, record)) in records.iter().zip(table.records()) {
        let mut shown: Vec<_> = document
            .get_all(ROOT, key)
            .expect("the root is a map")
            .into_iter()
            .map(|(_, object)| (op(&object), fields(document, &object)))
            .collect();
        shown.sort_by_key(|(op, _)| *op);
        let held: Vec<_> = record.surviving().map(|(op, version)| (*op, version.fields.clone())).collect();
        assert_eq!(shown, held, "{key}");
        let (_, winner) = document.get(ROOT, key).expect("the root is a map").expect("a record is never deleted");
        assert_eq!(fields(document, &winner), record.winner().expect("a record is never deleted").fields, "{key}");
        assert_eq!(op(&winner), held.last().expect("a record is never deleted").0, "{key}");
    }
}

/// Asserts that a document can be saved, loaded, shown whole and written to.
pub fn assert_sound(document: &Automerge, table: &Table, guard: &Guard) {
    let saved = document.save();
    let mut loaded = Automerge::load(&saved).expect("a saved document loads");
    assert_same(&loaded, table, guard);
    let _ = loaded.hydrate(None);
    let mut transaction = loaded.transaction();
    automerge::transaction::Transactable::put(&mut transaction, ROOT, "probe", 1).expect("the root takes a value");
    transaction.commit();
    Automerge::load(&loaded.save()).expect("a saved document loads");
}

fn op(object: &ObjId) -> OpId {
    match object {
        ObjId::Id(counter, actor, _) => OpId {
            counter: *counter,
            actor: Actor::from_bytes(actor.to_bytes().try_into().expect("an actor has 36 bytes")),
        },
        ObjId::Root => unreachable!("a record is not the root"),
    }
}

fn fields(document: &Automerge, object: &ObjId) -> Fields {
    document
        .keys(object)
        .map(|key| {
            let all = document.get_all(object, &*key).expect("a record is a map");
            let [(value, nested)] = all.as_slice() else { panic!("{key} has {} values", all.len()) };
            let value = match value {
                AmValue::Object(_) => Value::Map(fields(document, nested)),
                AmValue::Scalar(scalar) => match scalar.as_ref() {
                    ScalarValue::Str(text) => Value::Text(text.to_string()),
                    ScalarValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
                    ScalarValue::Int(number) => Value::Int(*number),
                    ScalarValue::Uint(number) => Value::Uint(*number),
                    ScalarValue::Boolean(yes) => Value::Bool(*yes),
                    ScalarValue::Null => Value::Null,
                    other => panic!("{key} is {other:?}"),
                },
            };
            (key, value)
        })
        .collect()
}
