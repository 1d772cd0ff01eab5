//! Writes that a node carries out although no entry would make them: what a hostile or a later program may write.

use comity_protocol::effect::{RecordWrite, Replaces};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, EnvelopeId, NationId};
use comity_protocol::limits::{
    CHANGE_DEPTH_MAX, CHANGE_KEY_BYTES_MAX, CHANGE_VALUE_BYTES_MAX, QUANTITY_MAX, WRITES_PER_REQUEST_MAX,
};
use comity_protocol::statement::Kind;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::reference::Ref;
use comity_protocol::table::Record;
use comity_protocol::value::{Fields, Value};
use rand::RngExt as _;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand_chacha::ChaCha8Rng;

use super::desk::new_id;
use super::{Meant, Order};

/// A kind nobody knows, as long as a kind may be.
const LONG_KIND: &str = "a_kind_of_record_with_the_longest_name_there_may_be_000000000064";
const UNKNOWN_KINDS: [&str; 4] = ["weather_report", "a", "pledge2", LONG_KIND];
/// Fields of the known kinds, so that odd values stand where a reader looks.
const NAMES: [&str; 16] = [
    "item",
    "quantity",
    "unit",
    "status",
    "requirement",
    "pledge",
    "shipment",
    "line",
    "lines",
    "counted",
    "seen",
    "ext_refs",
    "conditions",
    "damaged",
    "expires",
    "note",
];

/// Returns an order of odd writes.
pub(super) fn order(rng: &mut ChaCha8Rng, state: &State, me: &AuthorId) -> Order {
    let ledger = Ledger::of(state);
    let (what, writes) = match rng.random_range(0..16_u32) {
        0..=2 => ("unknown kind", vec![unknown(rng)]),
        // Several, so that each of the many kinds comes up.
        3..=5 => ("odd fields", (0..5).map(|_| odd(rng, &ledger)).collect()),
        6..=8 => ("somebody else's role", vec![foreign_role(rng, &ledger)]),
        9..=11 => ("damaged copy", vec![damaged_copy(rng, &ledger, me)]),
        12 | 13 => ("several at once", several(rng, &ledger, me)),
        14 => ("large", vec![large(rng)]),
        _ => ("as many as there may be", (0..WRITES_PER_REQUEST_MAX).map(|_| small(rng)).collect()),
    };
    Order { what, writes, idempotency: None, wait: 0, meant: Meant::Legal }
}

/// Returns a small new record.
pub(super) fn small(rng: &mut ChaCha8Rng) -> RecordWrite {
    first(rng, "note", Fields::from([("text".to_owned(), Value::Text("small".to_owned()))]))
}

fn first(rng: &mut ChaCha8Rng, kind: &str, fields: Fields) -> RecordWrite {
    RecordWrite { kind: kind.to_owned(), id: new_id(rng), replaces: Replaces::Nothing, fields }
}

fn unknown(rng: &mut ChaCha8Rng) -> RecordWrite {
    let kind = UNKNOWN_KINDS.choose(rng).copied().unwrap_or(LONG_KIND);
    let longest = "k".repeat(CHANGE_KEY_BYTES_MAX);
    let fields = Fields::from([
        (longest, Value::Text(String::new())),
        ("deep".to_owned(), nested(CHANGE_DEPTH_MAX - 2)),
        ("raw".to_owned(), Value::Bytes(vec![0, 255])),
    ]);
    first(rng, kind, fields)
}

/// Returns `depth` maps in one another.
pub(super) fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| Value::Map(Fields::from([("in".to_owned(), inner)])))
}

/// Returns a statement of a known kind with whatever in its fields.
fn odd(rng: &mut ChaCha8Rng, ledger: &Ledger<'_>) -> RecordWrite {
    let kind = Kind::ALL.choose(rng).copied().unwrap_or(Kind::Pledge);
    let count = rng.random_range(0..8_usize);
    let names: Vec<&str> = NAMES.iter().copied().sample(rng, count);
    let fields = names.into_iter().map(|name| (name.to_owned(), odd_value(rng, ledger))).collect();
    first(rng, kind.name(), fields)
}

fn odd_value(rng: &mut ChaCha8Rng, ledger: &Ledger<'_>) -> Value {
    match rng.random_range(0..12_u32) {
        0 => Value::Text(String::new()),
        1 => Value::Text("\u{202e}withdrawn".to_owned()),
        2 => Value::Text("pallet".to_owned()),
        3 => Value::Bytes(Vec::new()),
        4 => Value::Bytes(reference(rng, ledger, None).encode()),
        5 => Value::Int(i64::MIN),
        6 => Value::Uint(u64::MAX),
        7 => Value::Uint(QUANTITY_MAX),
        8 => Value::Bool(true),
        9 => Value::Null,
        10 => Value::Map(Fields::from([("0".to_owned(), Value::Bytes(reference(rng, ledger, None).encode()))])),
        _ => Value::Map(Fields::from([("07".to_owned(), Value::Uint(1)), (String::from("x"), Value::Null)])),
    }
}

/// Returns a reference to a record somebody wrote, of one kind or any, pinned or not; now and then to nothing.
fn reference(rng: &mut ChaCha8Rng, ledger: &Ledger<'_>, kind: Option<Kind>) -> Ref {
    let records = ledger.tables().flat_map(|(nation, table)| table.records().map(|record| (nation.id, record)));
    let wanted =
        |(_, ((name, _), _)): &(NationId, (&(String, String), &Record))| kind.is_none_or(|kind| kind.name() == name);
    let found = records.filter(wanted).choose(rng);
    let Some((nation, ((name, id), record))) = found.filter(|_| rng.random_range(0..10_u32) > 0) else {
        let dangling = Ref::floating(NationId::new(rng.random()), kind.unwrap_or(Kind::Pledge), &new_id(rng));
        return dangling.pinned(EnvelopeId::new(rng.random()));
    };
    let version = record.versions.values().choose(rng).map(|version| version.source.envelope);
    let version = version.filter(|_| rng.random_range(0..2_u32) == 0);
    Ref { nation, compartment: 0, kind: name.clone(), id: id.clone(), version }
}

/// Returns a statement that is well-formed and that another nation alone may make (R2).
fn foreign_role(rng: &mut ChaCha8Rng, ledger: &Ledger<'_>) -> RecordWrite {
    let quantity = Value::Uint(rng.random_range(1..2_000));
    let pledge = reference(rng, ledger, Some(Kind::Pledge));
    let shipment = reference(rng, ledger, Some(Kind::Shipment));
    let pinned = |reference: Ref| {
        let version = reference.version.or_else(|| {
            let record = ledger.record(&reference)?;
            record.winner().map(|winner| winner.source.envelope)
        });
        Value::Bytes(reference.pinned(version.unwrap_or(EnvelopeId::ZERO)).encode())
    };
    let each = Value::Text("each".to_owned());
    let (kind, fields) = match rng.random_range(0..6_u32) {
        0 => (Kind::Accept, vec![("pledge", pinned(pledge)), ("quantity", quantity), ("unit", each)]),
        1 => (Kind::Decline, vec![("pledge", pinned(pledge))]),
        2 => {
            let line = [("pledge", Value::Bytes(pledge.encode())), ("quantity", quantity), ("unit", each)];
            let line = Value::Map(line.map(|(name, value)| (name.to_owned(), value)).into());
            (Kind::Shipment, vec![("lines", Value::Map(Fields::from([("0".to_owned(), line)])))])
        }
        3 => (Kind::Dispatch, vec![("shipment", pinned(shipment))]),
        4 => {
            let of = ("shipment", Value::Bytes(shipment.encode()));
            (Kind::LossReport, vec![of, ("line", Value::Uint(0)), ("quantity", quantity), ("unit", each)])
        }
        _ => {
            let of = ("shipment", Value::Bytes(shipment.encode()));
            (Kind::Receipt, vec![of, ("line", Value::Uint(0)), ("counted", quantity), ("unit", each)])
        }
    };
    first(rng, kind.name(), fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Returns a revision of an own record, or a copy of a foreign one, in which one field is something else.
fn damaged_copy(rng: &mut ChaCha8Rng, ledger: &Ledger<'_>, me: &AuthorId) -> RecordWrite {
    let records = ledger.tables().flat_map(|(nation, table)| table.records().map(|record| (nation.id, record)));
    let Some((nation, ((kind, id), record))) = records.choose(rng) else { return odd(rng, ledger) };
    let mut fields = record.winner().map(|winner| winner.fields.clone()).unwrap_or_default();
    // What is large once would be large in every copy, and copies of large records fill a chain.
    fields.retain(|_, value| !matches!(value, Value::Text(text) if text.len() > 1_000));
    let names: Vec<&str> = fields.keys().map(String::as_str).chain(["status"]).collect();
    let name = names.choose(rng).map(|name| (*name).to_owned()).unwrap_or_default();
    if rng.random_range(0..3_u32) == 0 {
        fields.remove(&name);
    } else {
        fields.insert(name, odd_value(rng, ledger));
    }
    if nation == me.nation && record.winner().is_some() {
        return RecordWrite { kind: kind.clone(), id: id.clone(), replaces: Replaces::Surviving, fields };
    }
    first(rng, kind, fields)
}

/// Returns a few writes of one change: new ones, and at most one revision.
fn several(rng: &mut ChaCha8Rng, ledger: &Ledger<'_>, me: &AuthorId) -> Vec<RecordWrite> {
    let mut writes = vec![damaged_copy(rng, ledger, me)];
    for _ in 0..rng.random_range(1..5_u32) {
        let write = if rng.random_range(0..2_u32) == 0 { foreign_role(rng, ledger) } else { unknown(rng) };
        writes.push(write);
    }
    writes
}

/// Returns a record with the largest texts and bytes, one or as many as fit a change.
fn large(rng: &mut ChaCha8Rng) -> RecordWrite {
    let text = |_| Value::Text("ä".repeat(CHANGE_VALUE_BYTES_MAX / 2));
    let raw = || Value::Bytes(vec![7; CHANGE_VALUE_BYTES_MAX]);
    let mut fields = Fields::from([("raw".to_owned(), raw())]);
    if rng.random_range(0..3_u32) == 0 {
        fields.extend((0..2).map(|at| (format!("text {at}"), text(at))));
    }
    first(rng, "note", fields)
}
