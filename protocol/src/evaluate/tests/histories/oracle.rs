//! The same rules once more, written as the specification defines them, without any index (4.5.4), and the document as the
//! change library has it.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ObjId, ObjType, ReadDoc, ScalarValue};

use super::world::World;
use crate::chain::AuthorStatus;
use crate::envelope::Header;
use crate::evaluate::{Element, State};
use crate::ids::{AuthorId, EnvelopeId, Tip};
use crate::table::{Record, Table};
use crate::value::{Fields, Value};

pub(super) fn check(state: &State, world: &World) {
    let mut by_author: BTreeMap<AuthorId, BTreeMap<EnvelopeId, Header>> = BTreeMap::new();
    for element in &world.elements {
        if let Element::Header(attested) = element {
            let header = attested.header().clone();
            by_author.entry(header.author_id()).or_default().insert(attested.id(), header);
        }
    }
    assert_eq!(
        state.chains().map(|chain| chain.author()).collect::<Vec<_>>(),
        by_author.keys().copied().collect::<Vec<_>>()
    );
    for (author, headers) in &by_author {
        let linked = linked(headers, world.quota);
        let chain = state.chain(author).expect("held");
        for id in headers.keys() {
            assert_eq!(chain.get(id).expect("held").linked(), linked.contains_key(id), "{author:?} {id:?}");
        }
        let fork =
            headers.values().filter(|h| headers.values().filter(|o| o.seq == h.seq).count() > 1).map(|h| h.seq).min();
        assert_eq!(chain.fork(), fork, "{author:?}");
        assert_eq!(chain.tip(), tip(headers, &linked, fork, state.author_status(author)), "{author:?}");
    }
    for nation in state.nations() {
        let document = state.document(&nation.id).expect("the guard lets nothing through that breaks the library");
        assert_eq!(&rows(&document), &rows_of(state.section(&nation.id).table()), "{}", nation.code);
        let heads: BTreeSet<[u8; 32]> = document.get_heads().iter().map(|head| head.0).collect();
        assert_eq!(heads, state.section(&nation.id).heads().map(|head| *head.as_bytes()).collect());
    }
}

/// The linked headers with their cumulative bytes.
fn linked(headers: &BTreeMap<EnvelopeId, Header>, quota: u64) -> BTreeMap<EnvelopeId, u64> {
    let mut linked: BTreeMap<EnvelopeId, u64> = BTreeMap::new();
    loop {
        let before = linked.len();
        for (id, header) in headers {
            let below = if header.seq == 1 {
                Some(0)
            } else {
                headers
                    .get(&header.prev)
                    .filter(|parent| parent.seq + 1 == header.seq && parent.time_ms <= header.time_ms)
                    .and_then(|_| linked.get(&header.prev).copied())
            };
            if let Some(cum) = below.map(|cum| cum + header.quota_bytes()).filter(|cum| *cum <= quota) {
                linked.insert(*id, cum);
            }
        }
        if linked.len() == before {
            return linked;
        }
    }
}

fn tip(
    headers: &BTreeMap<EnvelopeId, Header>,
    linked: &BTreeMap<EnvelopeId, u64>,
    fork: Option<u64>,
    status: AuthorStatus,
) -> Tip {
    let deepest_below = |bound: u64| {
        let below = linked.keys().map(|id| Tip { seq: headers[id].seq, id: *id }).filter(|tip| tip.seq < bound);
        below.max().unwrap_or(Tip::NONE)
    };
    let active = deepest_below(fork.unwrap_or(u64::MAX));
    match status {
        AuthorStatus::Active => active,
        AuthorStatus::Unlisted => Tip::NONE,
        AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut } => {
            if cut.seq == 0 || linked.contains_key(&cut.id) && headers[&cut.id].seq == cut.seq {
                cut
            } else {
                deepest_below(fork.unwrap_or(u64::MAX).min(cut.seq + 1))
            }
        }
    }
}

/// Surviving versions of every record: counter and actor of the operation, and the fields.
type Rows = BTreeMap<String, Vec<(u64, Vec<u8>, Fields)>>;

fn rows_of(table: &Table) -> Rows {
    let surviving = |record: &Record| {
        let versions = record.surviving();
        versions.map(|(op, v)| (op.counter, op.actor.as_bytes().to_vec(), v.fields.clone())).collect()
    };
    table.records().map(|((kind, id), record)| (format!("{kind}/{id}"), surviving(record))).collect()
}

fn rows(document: &automerge::Automerge) -> Rows {
    document
        .keys(automerge::ROOT)
        .map(|key| {
            let values = document.get_all(automerge::ROOT, key.as_str()).expect("the root is a map");
            let mut versions: Vec<(u64, Vec<u8>, Fields)> = values
                .into_iter()
                .map(|(value, object)| {
                    assert_eq!(value, automerge::Value::Object(ObjType::Map));
                    let ObjId::Id(counter, actor, _) = &object else { unreachable!("no record is the root") };
                    (*counter, actor.to_bytes().to_vec(), fields(document, &object))
                })
                .collect();
            versions.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            (key, versions)
        })
        .collect()
}

fn fields(document: &automerge::Automerge, object: &ObjId) -> Fields {
    document
        .map_range(object, ..)
        .map(|item| {
            let value = match document.get(object, item.key.as_ref()).expect("a map").expect("a key just seen") {
                (automerge::Value::Object(_), nested) => Value::Map(fields(document, &nested)),
                (automerge::Value::Scalar(scalar), _) => match scalar.as_ref() {
                    ScalarValue::Str(text) => Value::Text(text.to_string()),
                    ScalarValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
                    ScalarValue::Int(number) => Value::Int(*number),
                    ScalarValue::Uint(number) => Value::Uint(*number),
                    ScalarValue::Boolean(yes) => Value::Bool(*yes),
                    ScalarValue::Null => Value::Null,
                    other => unreachable!("{other:?} is not in the dialect"),
                },
            };
            (item.key.to_string(), value)
        })
        .collect()
}
