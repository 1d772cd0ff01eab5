use std::collections::BTreeMap;

use super::{DraftWrite, Guard, VoidReason, compose, prescan};
use crate::ids::AuthorKey;
use crate::value::{Actor, Fields, Value};

fn author() -> AuthorKey {
    AuthorKey::new([7; 32])
}

fn actor() -> Actor {
    Actor::new(&author(), 1)
}

fn fields() -> Fields {
    BTreeMap::from([
        ("item".to_owned(), Value::Text("blankets".to_owned())),
        ("lines".to_owned(), Value::Map(BTreeMap::from([("0".to_owned(), Value::Bytes(vec![1, 2, 3]))]))),
        ("none".to_owned(), Value::Null),
        ("offset".to_owned(), Value::Int(-5)),
        ("quantity".to_owned(), Value::Uint(1_000)),
        ("open".to_owned(), Value::Bool(true)),
    ])
}

fn write(id: &str) -> DraftWrite {
    DraftWrite { kind: "pledge".to_owned(), id: id.to_owned(), replaces: Vec::new(), fields: fields() }
}

#[test]
fn what_is_composed_is_admitted_with_all_its_fields() {
    let mut guard = Guard::new();
    let draft = guard.draft(actor(), 1_700_000_000_000, vec![write("0000000001"), write("0000000002")]);
    let bytes = compose(&draft).expect("a draft of our own");
    let scanned = prescan(&author(), &bytes).expect("bytes of our own");
    assert_eq!((scanned.actor, scanned.seq, scanned.start_op, scanned.time_ms), (actor(), 1, 1, 1_700_000_000_000));
    let writes = guard.admit(&scanned, &bytes).expect("a change of our own");
    assert_eq!(writes.len(), 2);
    assert_eq!((writes[0].id.as_str(), writes[1].id.as_str()), ("0000000001", "0000000002"));
    assert!(writes.iter().all(|write| write.kind == "pledge" && write.fields == fields()));
    assert_eq!(guard.max_op(), scanned.max_op());

    let mut revision = write("0000000001");
    revision.replaces = vec![writes[0].op];
    let draft = guard.draft(actor(), 1_700_000_000_001, vec![revision]);
    assert_eq!((draft.seq, draft.deps.as_slice()), (2, &[scanned.hash][..]));
    let bytes = compose(&draft).expect("a draft of our own");
    let second = prescan(&author(), &bytes).expect("bytes of our own");
    let writes_again = guard.admit(&second, &bytes).expect("a change of our own");
    assert_eq!(writes_again[0].replaces, [writes[0].op]);
    assert_eq!(guard.admit(&second, &bytes), Err(VoidReason::SeqTaken));
    assert_eq!(guard.heads().copied().collect::<Vec<_>>(), [second.hash]);
}
