//! The same rules once more, written as the specification defines them, without any index (4.5.4), and the document as the
//! change library has it.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ObjId, ObjType, ReadDoc, ScalarValue};

use super::world::World;
use crate::body::{Body, KIND_WITNESS};
use crate::chain::AuthorStatus;
use crate::envelope::Header;
use crate::evaluate::{Element, State};
use crate::ids::{AuthorId, EnvelopeId, NationId, Tip};
use crate::roster::KeyStanding;
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
        let acked = acknowledged(state, world, &by_author, author);
        let fin = final_tip(headers, &linked, &acked, state.nations().count());
        assert_eq!(state.final_tip(author), fin, "{author:?}");
        assert_eq!(chain.tip(), tip(headers, &linked, fork, fin, state.author_status(author)), "{author:?}");
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

/// The path from a header down to its first one.
fn path(headers: &BTreeMap<EnvelopeId, Header>, top: EnvelopeId) -> Vec<EnvelopeId> {
    let below = |id: &EnvelopeId| headers.get(id).map(|header| header.prev).filter(|id| headers.contains_key(id));
    std::iter::successors(Some(top), below).collect()
}

fn body_held(world: &World, headers: &BTreeMap<EnvelopeId, Header>, id: &EnvelopeId) -> bool {
    world.elements.iter().any(|element| match element {
        Element::Body { id: of, bytes } => of == id && headers[id].body_matches(bytes),
        Element::Control(_) | Element::Header(_) => false,
    })
}

/// What each nation's witnesses say of an author, held or not (4.5.3).
fn acknowledged(
    state: &State,
    world: &World,
    by_author: &BTreeMap<AuthorId, BTreeMap<EnvelopeId, Header>>,
    of: &AuthorId,
) -> BTreeSet<(NationId, Tip)> {
    let mut acked = BTreeSet::new();
    for (witness, headers) in by_author {
        let counts: Box<dyn Fn(&Tip) -> bool> = match state.key_standing(witness) {
            Some(KeyStanding::Active { witness: true }) => Box::new(|_| true),
            Some(KeyStanding::Retired { cut, witness: true }) => {
                let linked = linked(headers, world.quota);
                let on_path = linked.contains_key(&cut.id) && headers[&cut.id].seq == cut.seq;
                let path = path(headers, cut.id);
                Box::new(move |tip| if on_path { path.contains(&tip.id) } else { tip.seq <= cut.seq })
            }
            _ => continue,
        };
        for element in &world.elements {
            let Element::Body { id, bytes } = element else { continue };
            let Some(header) = headers.get(id).filter(|header| header.body_matches(bytes)) else { continue };
            let below = path(headers, *id);
            let linked = linked(headers, world.quota);
            let read = below.iter().all(|id| linked.contains_key(id) && body_held(world, headers, id));
            if header.kind == KIND_WITNESS
                && read
                && counts(&Tip { seq: header.seq, id: *id })
                && let Ok(Body::Witness(body)) = Body::decode(KIND_WITNESS, bytes)
            {
                let of_it = body.acks.iter().filter(|ack| ack.author == *of);
                acked.extend(of_it.map(|ack| (witness.nation, ack.tip)));
            }
        }
    }
    acked
}

fn final_tip(
    headers: &BTreeMap<EnvelopeId, Header>,
    linked: &BTreeMap<EnvelopeId, u64>,
    acked: &BTreeSet<(NationId, Tip)>,
    members: usize,
) -> Tip {
    let counts = |tip: &Tip| linked.contains_key(&tip.id) && headers[&tip.id].seq == tip.seq;
    let mut above: BTreeMap<EnvelopeId, BTreeSet<NationId>> = BTreeMap::new();
    for (nation, tip) in acked.iter().filter(|(_, tip)| counts(tip)) {
        for below in path(headers, tip.id) {
            above.entry(below).or_default().insert(*nation);
        }
    }
    let fin: BTreeSet<EnvelopeId> =
        above.iter().filter(|(_, nations)| nations.len() > members * 2 / 3).map(|(id, _)| *id).collect();
    let tip = |id: &EnvelopeId| Tip { seq: headers[id].seq, id: *id };
    // Where they lie on one path that is the deepest of them, otherwise the deepest that leads to all.
    let highest: Vec<&EnvelopeId> =
        fin.iter().filter(|x| !fin.iter().any(|y| y != *x && path(headers, *y).contains(x))).collect();
    let leads_to_all = |id: &&EnvelopeId| highest.iter().all(|x| path(headers, **x).contains(id));
    fin.iter().filter(leads_to_all).map(tip).max().unwrap_or(Tip::NONE)
}

fn tip(
    headers: &BTreeMap<EnvelopeId, Header>,
    linked: &BTreeMap<EnvelopeId, u64>,
    fork: Option<u64>,
    fin: Tip,
    status: AuthorStatus,
) -> Tip {
    let deepest_below = |bound: u64| {
        let below = linked.keys().map(|id| Tip { seq: headers[id].seq, id: *id }).filter(|tip| tip.seq < bound);
        below.max().unwrap_or(Tip::NONE)
    };
    let active = deepest_below(fork.unwrap_or(u64::MAX)).max(if fork.is_some() { fin } else { Tip::NONE });
    match status {
        AuthorStatus::Active => active,
        AuthorStatus::Unlisted => Tip::NONE,
        AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut } => {
            if cut.seq == 0 || linked.contains_key(&cut.id) && headers[&cut.id].seq == cut.seq {
                cut
            } else {
                let on_path = path(headers, active.id);
                let up_to = linked.keys().filter(|id| on_path.contains(id) && headers[id].seq <= cut.seq);
                up_to.map(|id| Tip { seq: headers[id].seq, id: *id }).max().unwrap_or(Tip::NONE)
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
