//! References to what a fork or a cut took out (spec 4.5.4): shown, so that nobody builds on what its nation unsaid.

use super::flags::Flags;
use super::rows::{FlagCode, Name};
use crate::chain::EnvelopeStanding;
use crate::statement::Kind;
use crate::statement::current::current;
use crate::statement::ledger::Ledger;
use crate::statement::reference::Ref;
use crate::value::{Fields, Value};

/// What its writer had seen, which is no reference of the statement itself (R7).
const SEEN: &str = "seen";

/// Records that a flag names of what one author wrote.
const NAMED_MAX: usize = 16;

/// Raises a flag for every author whose chain forked (C19) or whose key was retired below what it wrote (C29): what is
/// suspended or disavowed is named and counts nowhere.
fn flag_authors(ledger: &Ledger<'_>, flags: &mut Flags) {
    for ((author, standing), envelopes) in ledger.struck_by() {
        let code = match standing {
            EnvelopeStanding::Suspended => FlagCode::Equivocation,
            EnvelopeStanding::Disavowed => FlagCode::KeyRetired,
            EnvelopeStanding::PostRemoval | EnvelopeStanding::Accepted | EnvelopeStanding::Unlinked => continue,
        };
        let nation = ledger.code(&author.nation);
        let mut names = Vec::new();
        for envelope in envelopes.iter().take(NAMED_MAX) {
            for (kind, id) in ledger.struck_writes(envelope) {
                let Some(kind) = Kind::from_name(&kind) else { continue };
                names.push(Name { code: nation.clone(), kind, id, version: *envelope, nation: author.nation });
            }
        }
        names.truncate(NAMED_MAX);
        let count = envelopes.len();
        let detail =
            format!("{count} envelopes of node {} are {} and count nowhere", author.key.short(), standing.code());
        flags.raise(code, names, [&*nation], detail);
    }
}

/// Raises a flag on every statement that pins a version which was taken out, or names a record of which nothing else is left.
pub(super) fn flag(ledger: &Ledger<'_>, flags: &mut Flags) {
    if ledger.nothing_struck() {
        return;
    }
    flag_authors(ledger, flags);
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
