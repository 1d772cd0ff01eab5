//! What must hold of the evaluation itself: of one set there is one state, however it came together.

use std::collections::BTreeMap;

use automerge::{Automerge, ObjId, ROOT, ReadDoc, ScalarValue};
use comity_protocol::body::KIND_WITNESS;
use comity_protocol::evaluate::{Element, State};
use comity_protocol::ids::{AuthorId, NationId};
use comity_protocol::table::Record;
use comity_protocol::value::{Fields, OpId, Value};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Violation, elements};
use crate::sim::Ending;
use crate::sim::world::World;

/// I1: the state is a function of the set. All that a node holds, shuffled, in part repeated, and taken in in batches of any
/// size, gives what the node came to piece by piece: all digests, all rows, all counts.
pub(super) fn of_the_set_is_the_state(world: &World, node: usize) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let state = process.replica.state();
    let mut rng = ChaCha8Rng::seed_from_u64(world.chronicle.turns);
    let mut elements = elements(state, |_| true);
    let again: Vec<Element> = elements.iter().filter(|_| rng.random_bool(0.2)).cloned().collect();
    elements.extend(again);
    elements.shuffle(&mut rng);
    let mut anew = State::under(state.anchor(), world.rules);
    while !elements.is_empty() {
        let batch = rng.random_range(1..=elements.len().min(24));
        anew.admit(elements.split_off(elements.len() - batch));
    }
    match difference(state, &anew) {
        None => Ok(()),
        Some(what) => {
            let text = format!("{what} of {} is another when its set is evaluated anew", world.nodes[node].name);
            Err(Violation::new("I1 the state is a function of the set", text))
        }
    }
}

/// I13 and I14: every nation's document can be built from the log without the change library failing (no document is
/// quarantined), its heads are those of the guard's index and its surviving versions those of the rows; and saved and loaded
/// again it has the same heads and the same content.
pub(super) fn documents_are_what_the_rows_say(world: &World, node: usize) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let state = process.replica.state();
    for nation in state.nations() {
        let said = |text: String| format!("{text}: {} at {}", nation.code, world.nodes[node].name);
        let document = match state.document(&nation.id) {
            Ok(document) => document,
            Err(quarantined) => {
                return Err(Violation::new("I14 no document is quarantined", said(quarantined.to_string())));
            }
        };
        let loaded = match Automerge::load(&document.save()) {
            Ok(loaded) => loaded,
            Err(error) => return Err(Violation::new("I13 documents can be loaded again", said(error.to_string()))),
        };
        for document in [&document, &loaded] {
            if let Some(what) = reads_otherwise(state, &nation.id, document) {
                return Err(Violation::new("I13 documents say what the rows say", said(what)));
            }
        }
    }
    Ok(())
}

/// I24: without the largest nation everybody else's record is what it was. All that one node holds, without a single
/// envelope of the nation that said most, gives all other nations the same rows and the same documents. What of a forked
/// chain stands only by what more than two thirds witnessed is excepted: that nation's witness may have been needed for it.
pub(super) fn others_stand_without_the_largest(world: &World, node: usize) -> Result<(), Violation> {
    let Some(process) = world.nodes[node].process() else { return Ok(()) };
    let state = process.replica.state();
    let size = |nation: &NationId| state.chains_of(nation).map(comity_protocol::chain::Chain::len).sum::<usize>();
    let Some(largest) = state.nations().map(|nation| nation.id).max_by_key(size) else { return Ok(()) };
    let without = elements(state, |nation| *nation != largest);
    let mut anew = State::under(state.anchor(), world.rules);
    anew.admit(without);
    let witnessed = |chain: &comity_protocol::chain::Chain| chain.fork().is_some_and(|fork| chain.tip().seq >= fork);
    let others = state.nations().filter(|nation| nation.id != largest && !state.chains_of(&nation.id).any(witnessed));
    for nation in others {
        let (before, after) = (state.section(&nation.id), anew.section(&nation.id));
        let same = before.table() == after.table() && before.heads().eq(after.heads());
        if !same || before.counts() != after.counts() {
            let text = format!("{} reads otherwise without the largest nation", nation.code);
            return Err(Violation::new("I24 others stand without the largest nation", text));
        }
    }
    Ok(())
}

/// Returns what counts at the first honest node, without what its clocks put into it: the times, and the ids, which are hashes
/// over them.
pub(in crate::sim) fn ending(world: &World) -> Ending {
    let first = world.speakers().first().copied();
    let Some(state) = first.and_then(|first| world.nodes[first].state()) else { return Ending::default() };
    let mut ending = Ending { control: Some(state.control()), ..Ending::default() };
    for nation in state.nations() {
        for ((kind, id), record) in state.section(&nation.id).table().records() {
            for version in record.versions.values() {
                let author = AuthorId { nation: nation.id, key: version.source.author };
                let of = ending.statements.entry((author, nth(state, &author, version.source.seq))).or_default();
                let mut text = format!("{kind}/{id}{}", if version.replaced { " replaced" } else { "" });
                timeless(&version.fields, &mut text);
                of.push(text);
            }
        }
    }
    ending
}

/// Which of an author's envelopes that are no witness's words stands at a position: when a witness speaks is for its clock.
fn nth(state: &State, author: &AuthorId, seq: u64) -> u64 {
    let chain = state.chain(author);
    let below = (1..=seq).filter_map(|seq| chain?.accepted(seq));
    below.filter(|held| held.kind() != KIND_WITNESS).map(|_| 1).sum()
}

/// Adds fields in words; of bytes, which may be ids, their number.
fn timeless(fields: &Fields, text: &mut String) {
    for (name, value) in fields {
        text.push_str(&format!(" {name}="));
        match value {
            Value::Bytes(bytes) => text.push_str(&format!("{} bytes", bytes.len())),
            Value::Map(fields) => timeless(fields, text),
            Value::Text(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Null => {
                text.push_str(&format!("{value:?}"));
            }
        }
    }
}

fn difference(a: &State, b: &State) -> Option<&'static str> {
    let digests = [
        ("held", a.held() == b.held()),
        ("control", a.control() == b.control()),
        ("state", a.state() == b.state()),
        ("frontier", a.frontier() == b.frontier()),
    ];
    let rows = a.nations().all(|nation| {
        let (a, b) = (a.section(&nation.id), b.section(&nation.id));
        a.table() == b.table() && a.counts() == b.counts() && a.heads().eq(b.heads())
    });
    digests.iter().find(|(_, same)| !same).map(|(what, _)| *what).or((!rows).then_some("a document"))
}

/// Returns what of a document is not what the rows say.
fn reads_otherwise(state: &State, nation: &NationId, document: &Automerge) -> Option<String> {
    let section = state.section(nation);
    let mut heads: Vec<[u8; 32]> = document.get_heads().iter().map(|head| head.0).collect();
    heads.sort_unstable();
    if !heads.iter().eq(section.heads().map(comity_protocol::ids::ChangeHash::as_bytes)) {
        return Some("other heads".to_owned());
    }
    if document.length(ROOT) != section.table().len() {
        return Some(format!("{} records, {} rows", document.length(ROOT), section.table().len()));
    }
    section.table().records().find_map(|((kind, id), record)| {
        let name = format!("{kind}/{id}");
        let versions = versions(document, &name);
        (versions != surviving(record)).then(|| format!("{name} reads otherwise"))
    })
}

fn surviving(record: &Record) -> BTreeMap<(u64, Vec<u8>), Fields> {
    let op = |op: &OpId| (op.counter, op.actor.as_bytes().to_vec());
    record.surviving().map(|(at, version)| (op(at), version.fields.clone())).collect()
}

fn versions(document: &Automerge, name: &str) -> BTreeMap<(u64, Vec<u8>), Fields> {
    let values = document.get_all(ROOT, name).unwrap_or_default();
    let versions = values.into_iter().filter_map(|(_, object)| match &object {
        ObjId::Id(counter, actor, _) => Some(((*counter, actor.to_bytes().to_vec()), fields(document, &object))),
        ObjId::Root => None,
    });
    versions.collect()
}

fn fields(document: &Automerge, object: &ObjId) -> Fields {
    let entry = |key: &str| {
        let (value, at) = document.get(object, key).ok().flatten()?;
        Some(match value {
            automerge::Value::Object(_) => Value::Map(fields(document, &at)),
            automerge::Value::Scalar(scalar) => match scalar.as_ref() {
                ScalarValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
                ScalarValue::Str(text) => Value::Text(text.to_string()),
                ScalarValue::Int(number) => Value::Int(*number),
                ScalarValue::Uint(number) => Value::Uint(*number),
                ScalarValue::Boolean(truth) => Value::Bool(*truth),
                ScalarValue::Null => Value::Null,
                // None of these is in the dialect: the comparison fails.
                ScalarValue::F64(_)
                | ScalarValue::Counter(_)
                | ScalarValue::Timestamp(_)
                | ScalarValue::Unknown { .. } => return None,
            },
        })
    };
    document.keys(object).filter_map(|key| entry(&key).map(|value| (key, value))).collect()
}
