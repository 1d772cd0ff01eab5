//! Who may propose, and who may answer.

use super::{Entry, read, reference, stands};
use crate::ids::NationId;
use crate::statement::Kind;
use crate::statement::draft::{DraftError, DraftProblem};
use crate::statement::reference::Ref;
use crate::statement::schema::Role;
use crate::statement::typed::Says;
use crate::value::{Fields, Value};

/// Only a nation among the participants proposes.
pub(super) fn proposer(entry: &Entry<'_>, fields: &Fields) -> Result<(), DraftError> {
    let Some(Value::Map(participants)) = fields.get("participants") else { return Ok(()) };
    let own = Value::Bytes(entry.nation.as_bytes().to_vec());
    if participants.values().any(|named| *named == own) {
        return Ok(());
    }
    let named = participants.values().filter_map(|value| match value {
        Value::Bytes(bytes) => Some(NationId::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?)),
        _ => None,
    });
    let nation = codes(entry, named);
    Err(DraftError::at("participants", DraftProblem::Role { role: Role::Participant, nation }))
}

fn codes(entry: &Entry<'_>, nations: impl Iterator<Item = NationId>) -> String {
    let mut codes: Vec<String> = nations.map(|nation| entry.ledger.code(&nation)).collect();
    codes.sort_unstable();
    codes.join(" ")
}

/// Only a participant answers, each once: an extension, and an assent, are asked for and given one time.
pub(super) fn participant(entry: &Entry<'_>, kind: Kind, fields: &Fields) -> Result<(), DraftError> {
    let Some(proposal) = reference(fields, "proposal") else { return Ok(()) };
    let (status, statement) = read(entry, "proposal", &proposal)?;
    let Says::Propose(says) = statement.says else { return Ok(()) };
    if !says.participants.contains(&entry.nation) {
        let nation = codes(entry, says.participants.iter().copied());
        return Err(DraftError::at("proposal", DraftProblem::Role { role: Role::Participant, nation }));
    }
    stands(entry, "proposal", &proposal, status)?;
    if !matches!(kind, Kind::RequestExtension | Kind::Assent) || entry.draft.record.is_some() {
        return Ok(());
    }
    let bytes = Value::Bytes(proposal.encode());
    let table = entry.ledger.table(&entry.nation);
    let mut own = table.into_iter().flat_map(|table| table.records_of(kind.name()));
    let earlier =
        own.find(|(_, record)| record.versions.values().any(|version| version.fields.get("proposal") == Some(&bytes)));
    match earlier {
        Some((id, _)) => {
            let record = entry.ledger.text(&Ref::floating(entry.nation, kind, id));
            Err(DraftError::at("proposal", DraftProblem::Twice { record }))
        }
        None => Ok(()),
    }
}
