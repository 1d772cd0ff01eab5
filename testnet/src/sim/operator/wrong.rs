//! Orders that a node refuses, each for one reason that is known before.

use std::collections::VecDeque;

use comity_protocol::effect::{Idempotency, RecordWrite, Replaces};
use comity_protocol::evaluate::State;
use comity_protocol::guard::VoidReason;
use comity_protocol::ids::{AuthorId, EnvelopeId};
use comity_protocol::limits::{
    CHANGE_BYTES_MAX, CHANGE_DEPTH_MAX, CHANGE_KEY_BYTES_MAX, CHANGE_OPS_MAX, CHANGE_VALUE_BYTES_MAX,
    IDEMPOTENCY_KEY_BYTES_MAX, WRITES_PER_REQUEST_MAX,
};
use comity_protocol::replica::content_digest;
use comity_protocol::table::RecordKey;
use comity_protocol::value::{Fields, Value};
use rand::RngExt as _;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand_chacha::ChaCha8Rng;

use super::odd::{nested, small};
use super::{Meant, Order, Refusal};

/// Keys of records that are none: kinds and ids outside the dialect.
const BAD_KEYS: [(&str, &str); 6] = [
    ("Pledge", "0000000000"),
    ("", "0000000000"),
    ("1pledge", "0000000000"),
    ("pledge", ""),
    ("pledge", "00000000000"),
    ("pledge", "000000000u"),
];

/// Returns an order that is refused.
pub(super) fn order(rng: &mut ChaCha8Rng, state: &State, me: &AuthorId, keyed: &VecDeque<Order>) -> Order {
    let own = state.section(&me.nation).table().records().filter(|(_, record)| record.winner().is_some());
    let own = own.choose(rng).map(|(key, record)| (key.clone(), record));
    let (writes, refusal) = match rng.random_range(0..10_u32) {
        0 | 1 => return other_content(rng, state, me, keyed),
        2 => return bad_key(rng),
        3 => {
            let count = if rng.random_range(0..2_u32) == 0 { 0 } else { WRITES_PER_REQUEST_MAX + 1 };
            ((0..count).map(|_| small(rng)).collect(), Refusal::Count)
        }
        4 => (vec![RecordWrite { replaces: Replaces::Surviving, ..small(rng) }], Refusal::NoRecord),
        5 => match own {
            Some((key, _)) => (after_a_good_one(rng, write(&key, Replaces::Nothing)), Refusal::Exists),
            None => (twice(rng), Refusal::Void(VoidReason::RecordTwice)),
        },
        6 => match own {
            Some((key, record)) => {
                let current = record.winner().map(|winner| winner.source.envelope);
                let versions = record.versions.values().map(|version| version.source.envelope);
                let stale = versions.filter(|version| Some(*version) != current).choose(rng);
                let stale = stale.unwrap_or_else(|| EnvelopeId::new(rng.random()));
                (after_a_good_one(rng, write(&key, Replaces::IfWinner(stale))), Refusal::OtherVersion)
            }
            None => {
                (vec![RecordWrite { replaces: Replaces::IfWinner(EnvelopeId::ZERO), ..small(rng) }], Refusal::NoRecord)
            }
        },
        _ => {
            let (writes, reason) = void(rng);
            (writes, Refusal::Void(reason))
        }
    };
    refused("illegal", writes, refusal)
}

fn refused(what: &'static str, writes: Vec<RecordWrite>, refusal: Refusal) -> Order {
    Order { what, writes, idempotency: None, wait: 0, meant: Meant::Refused(refusal) }
}

fn write(key: &RecordKey, replaces: Replaces) -> RecordWrite {
    let fields = Fields::from([("note".to_owned(), Value::Text("never written".to_owned()))]);
    RecordWrite { kind: key.0.clone(), id: key.1.clone(), replaces, fields }
}

/// All of a request is written or nothing: a sound write before the bad one must not be.
fn after_a_good_one(rng: &mut ChaCha8Rng, bad: RecordWrite) -> Vec<RecordWrite> {
    if rng.random_range(0..2_u32) == 0 { vec![small(rng), bad] } else { vec![bad] }
}

fn twice(rng: &mut ChaCha8Rng) -> Vec<RecordWrite> {
    let write = small(rng);
    vec![write.clone(), write]
}

/// Returns writes whose change would be void, with the reason.
fn void(rng: &mut ChaCha8Rng) -> (Vec<RecordWrite>, VoidReason) {
    let with = |rng: &mut ChaCha8Rng, name: &str, value: Value| {
        let mut write = small(rng);
        write.fields.insert(name.to_owned(), value);
        after_a_good_one(rng, write)
    };
    match rng.random_range(0..8_u32) {
        0 | 1 => {
            let (kind, id) = BAD_KEYS.choose(rng).copied().unwrap_or_default();
            let bad = RecordWrite { kind: kind.to_owned(), id: id.to_owned(), ..small(rng) };
            (after_a_good_one(rng, bad), VoidReason::RecordKey)
        }
        2 => {
            let length = if rng.random_range(0..2_u32) == 0 { 0 } else { CHANGE_KEY_BYTES_MAX + 1 };
            (with(rng, &"k".repeat(length), Value::Null), VoidReason::KeyLength)
        }
        3 => (with(rng, "text", Value::Text("x".repeat(CHANGE_VALUE_BYTES_MAX + 1))), VoidReason::ValueTooLong),
        4 => {
            let mut write = small(rng);
            let parts = CHANGE_BYTES_MAX / CHANGE_VALUE_BYTES_MAX + 1;
            let raw = (0..parts).map(|at| (format!("part {at}"), Value::Bytes(vec![7; CHANGE_VALUE_BYTES_MAX])));
            write.fields.extend(raw);
            (vec![write], VoidReason::TooLong)
        }
        5 => (with(rng, "deep", nested(CHANGE_DEPTH_MAX)), VoidReason::TooDeep),
        6 => {
            let mut write = small(rng);
            write.fields = (0..CHANGE_OPS_MAX).map(|at| (at.to_string(), Value::Null)).collect();
            (vec![write], VoidReason::TooManyRows)
        }
        _ => (twice(rng), VoidReason::RecordTwice),
    }
}

/// Returns an order under an idempotency key that is no key.
fn bad_key(rng: &mut ChaCha8Rng) -> Order {
    let length = if rng.random_range(0..2_u32) == 0 { 0 } else { IDEMPOTENCY_KEY_BYTES_MAX + 1 };
    let mut order = refused("bad idempotency key", vec![small(rng)], Refusal::IdempotencyKey);
    order.idempotency = Some(Idempotency { key: "k".repeat(length), content: content_digest(b"") });
    order
}

/// Returns an order under the key of an earlier one that was carried out, with other content.
fn other_content(rng: &mut ChaCha8Rng, state: &State, me: &AuthorId, keyed: &VecDeque<Order>) -> Order {
    let table = state.section(&me.nation).table();
    let carried_out = |order: &&Order| {
        // Keyed orders write new records under ids that nobody else draws.
        let record = order.writes.first().and_then(|first| table.record(&first.kind, &first.id));
        record.is_some_and(|record| record.versions.values().any(|version| version.source.author == me.key))
    };
    let Some(earlier) = keyed.iter().filter(carried_out).choose(rng) else { return bad_key(rng) };
    let key = earlier.idempotency.as_ref().map(|idempotency| idempotency.key.clone()).unwrap_or_default();
    let mut order = refused("key of another order", vec![small(rng)], Refusal::OtherContent);
    order.idempotency = Some(Idempotency { key, content: content_digest(format!("{:?}", order.writes).as_bytes()) });
    order
}
