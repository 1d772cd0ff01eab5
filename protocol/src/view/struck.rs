//! References to what a fork or a cut took out (spec 4.5.4): shown, so that nobody builds on what its nation unsaid.

use super::flags::Flags;
use super::rows::{FlagCode, Name};
use crate::statement::Kind;
use crate::statement::current::current;
use crate::statement::ledger::Ledger;
use crate::statement::reference::Ref;
use crate::value::{Fields, Value};

/// What its writer had seen, which is no reference of the statement itself (R7).
const SEEN: &str = "seen";

/// Raises a flag on every statement that pins a version which was taken out, or names a record of which nothing else is left.
pub(super) fn flag(ledger: &Ledger<'_>, flags: &mut Flags) {
    if ledger.nothing_struck() {
        return;
    }
    let mut records = None;
    for (nation, table) in ledger.tables() {
        for ((kind, id), record) in table.records() {
            let Some(kind) = Kind::from_name(kind) else { continue };
            let Some(version) = current(kind, record).map(|current| current.version) else { continue };
            let mut found = Vec::new();
            references(&version.fields, &mut found);
            for reference in found {
                let standing = match &reference.version {
                    Some(version) => ledger.struck(version),
                    None if ledger.record(&reference).is_some() => None,
                    None => {
                        let records = records.get_or_insert_with(|| ledger.struck_records());
                        records.get(&(reference.nation, reference.kind.clone(), reference.id.clone())).copied()
                    }
                };
                let Some(standing) = standing else { continue };
                let name = Name {
                    code: nation.code.clone(),
                    kind,
                    id: id.clone(),
                    version: version.source.envelope,
                    nation: nation.id,
                };
                let detail = format!("it refers to {}, which is {}", ledger.text(&reference), standing.code());
                flags.raise(FlagCode::DisavowedReference, [name], [&*nation.code], detail);
            }
        }
    }
}

fn references(fields: &Fields, found: &mut Vec<Ref>) {
    for (name, value) in fields {
        match value {
            Value::Bytes(bytes) => found.extend(Ref::decode(bytes).ok()),
            Value::Map(map) if name != SEEN => references(map, found),
            Value::Map(_) | Value::Text(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Null => {}
        }
    }
}
