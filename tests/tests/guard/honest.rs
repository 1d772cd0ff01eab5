//! Honest changes are never refused, and mean in Automerge what they mean in the table.

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, ObjId, ObjType, ROOT, ReadDoc, ScalarValue};
use comity_protocol::guard::{DraftWrite, compose, prescan};
use comity_protocol::ids::ChangeHash;
use comity_protocol::value::{Fields, Value};

use comity_tests::guard::histories::{History, replay};
use comity_tests::guard::mirror::{assert_same, assert_sound, document};
use comity_tests::random::{Random, seeds};

#[test]
fn any_order_gives_what_automerge_gives() {
    seeds(40, |seed| {
        let mut random = Random::new(seed);
        let nodes = 1 + u8::try_from(random.below(5)).expect("below 5");
        let steps = 20 + random.below(60);
        let history = History::random(&mut random, nodes, steps);
        let (guard, table) = replay(history.made.iter());
        for round in 0..3 {
            let order = history.shuffled(&mut random);
            let (other_guard, other_table) = replay(order.iter().map(|index| &history.made[*index]));
            assert_eq!(table, other_table);
            assert!(guard.heads().eq(other_guard.heads()));
            assert_eq!(guard.max_op(), other_guard.max_op());
            let batch = [order.len().max(1), 1, 7][round];
            let batches = order.chunks(batch);
            let document = document(batches.map(|batch| batch.iter().map(|i| &*history.made[*i].bytes).collect()));
            assert_same(&document, &table, &guard);
            if round == 0 {
                assert_sound(&document, &table, &guard);
            }
        }
        for replica in &history.replicas {
            let document = document(std::iter::once(replica.have.iter().map(|i| &*history.made[*i].bytes).collect()));
            assert_same(&document, &replica.table, &replica.guard);
        }
    });
}

/// Automerge's own transaction, given the same writes over the same document, makes the same bytes.
#[test]
fn composing_gives_the_bytes_automerge_would_commit() {
    seeds(40, |seed| {
        let mut random = Random::new(seed);
        let history = History::random(&mut random, 3, 40);
        for replica in &history.replicas {
            let mut writes = replica.random_writes(&mut random);
            for write in &mut writes {
                let record = replica.table.record(&write.kind, &write.id);
                write.replaces = record.iter().flat_map(|record| record.surviving().map(|(op, _)| *op)).collect();
            }
            let held = replica.have.iter().map(|index| &*history.made[*index].bytes).collect();
            let mut document = document(std::iter::once(held));
            document.set_actor(ActorId::from(replica.actor.as_bytes()));
            let mut transaction = document.transaction();
            for DraftWrite { kind, id, fields, .. } in &writes {
                let record = transaction.put_object(ROOT, format!("{kind}/{id}"), ObjType::Map).expect("a root key");
                put(&mut transaction, &record, fields);
            }
            let (hash, _) = transaction.commit_with(CommitOptions::default().with_time(1_234));
            let change = document.get_change_by_hash(&hash.expect("something was written")).expect("just made");
            // Automerge names the actor's own last change even where a head already has it in its ancestry.
            let mut draft = replica.guard.draft(replica.actor, 1_234, writes);
            assert!(draft.deps.iter().all(|dep| change.deps().iter().any(|other| other.0 == *dep.as_bytes())));
            draft.deps = change.deps().iter().map(|dep| ChangeHash::new(dep.0)).collect();
            let bytes = compose(&draft).expect("an honest draft is composed");
            assert_eq!(bytes, change.raw_bytes());
            let scan = prescan(&replica.actor.author(), &bytes).expect("an honest change passes the prescan");
            replica.guard.clone().admit(&scan, &bytes).expect("an honest change is admitted");
        }
    });
}

fn put(transaction: &mut impl Transactable, object: &ObjId, fields: &Fields) {
    for (key, value) in fields {
        let scalar = match value {
            Value::Map(nested) => {
                let map = transaction.put_object(object, &**key, ObjType::Map).expect("a map");
                put(transaction, &map, nested);
                continue;
            }
            Value::Text(text) => ScalarValue::Str(text.as_str().into()),
            Value::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
            Value::Int(number) => ScalarValue::Int(*number),
            Value::Uint(number) => ScalarValue::Uint(*number),
            Value::Bool(yes) => ScalarValue::Boolean(*yes),
            Value::Null => ScalarValue::Null,
        };
        transaction.put(object, &**key, scalar).expect("a map");
    }
}

#[test]
fn a_writer_with_more_heads_than_dependencies_goes_on() {
    let mut history = History::random(&mut Random::new(1), 80, 0);
    let write = |id: &str| {
        vec![DraftWrite { kind: "hub".to_owned(), id: id.to_owned(), replaces: Vec::new(), fields: Fields::new() }]
    };
    for replica in &history.replicas {
        history.made.push(replica.make(0, write("0000000000")));
    }
    let own = history.made.len() - 1;
    let replica = &mut history.replicas[own];
    (replica.guard, replica.table) = replay(history.made.iter());
    for _ in 0..2 {
        let made = replica.make(0, write("0000000001"));
        replica.guard.admit(&made.scan, &made.bytes).expect("an honest change is admitted");
    }
    assert_eq!(replica.guard.heads().len(), 1);
    assert_eq!(replica.guard.next_seq(&replica.actor), 4);
}
