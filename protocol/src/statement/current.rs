//! Which version of a record counts (R1, C20): the surviving one of lower coverage, ties by the smaller envelope id.

use super::typed::{Invalid, Says, Statement};
use super::{Kind, Status};
use crate::table::{Record, Version};
use crate::value::OpId;

/// The version of a record that counts.
#[derive(Clone, Debug)]
pub struct Current<'a> {
    /// Its operation.
    pub op: OpId,
    /// The version.
    pub version: &'a Version,
    /// What it says, or why it says nothing.
    pub statement: Result<Statement<'a>, Invalid>,
    /// All versions nothing replaces, ascending by operation; more than one is a conflict of the nation with itself.
    pub surviving: Vec<(OpId, &'a Version)>,
}

/// Returns the version of a record that counts; `None` for a record without versions.
pub fn current(kind: Kind, record: &Record) -> Option<Current<'_>> {
    let op = current_op(kind, record)?;
    let surviving = record.surviving().map(|(op, version)| (*op, version)).collect();
    let version = record.versions.get(&op)?;
    Some(Current { op, version, statement: Statement::read(kind, &version.fields), surviving })
}

/// Returns the operation of the version of a record that counts, without reading more than it must.
pub fn current_op(kind: Kind, record: &Record) -> Option<OpId> {
    let mut surviving = record.surviving();
    let (first, _) = surviving.next()?;
    if surviving.next().is_none() {
        return Some(*first);
    }
    let rank = |version: &Version| (coverage(kind, &Statement::read(kind, &version.fields)), version.source.envelope);
    record.surviving().min_by_key(|(_, version)| rank(version)).map(|(op, _)| *op)
}

/// How much cover a version gives, by class and then by amount; lower covers less. Only versions of one record are
/// compared. A larger need and a larger loss cover less.
fn coverage(kind: Kind, statement: &Result<Statement<'_>, Invalid>) -> (u8, i128) {
    const NOTHING: (u8, i128) = (0, 0);
    let statement = match statement {
        Ok(statement) if statement.status == Status::Live => statement,
        Ok(_) | Err(_) => {
            return match kind {
                // Without the statement there is more cover, so it comes last.
                Kind::Requirement | Kind::Decline | Kind::LossReport => (3, 0),
                Kind::Profile
                | Kind::Hub
                | Kind::Pledge
                | Kind::Accept
                | Kind::Shipment
                | Kind::Dispatch
                | Kind::Receipt
                | Kind::Observation
                | Kind::Propose
                | Kind::Seen
                | Kind::Assent
                | Kind::Object
                | Kind::Reserve
                | Kind::RequestExtension => NOTHING,
            };
        }
    };
    let sum = |parts: &mut dyn Iterator<Item = u64>| parts.map(i128::from).sum::<i128>();
    match &statement.says {
        Says::Requirement(requirement) => (0, -i128::from(requirement.quantity.base)),
        Says::Pledge(pledge) if pledge.quantity.known_unit().is_none() => NOTHING,
        Says::Pledge(pledge) if !pledge.conditions.is_empty() => (1, i128::from(pledge.quantity.base)),
        Says::Pledge(pledge) => (2, i128::from(pledge.quantity.base)),
        Says::Accept(accept) if accept.quantity.known_unit().is_none() => NOTHING,
        Says::Accept(accept) => (1, i128::from(accept.quantity.base)),
        Says::Shipment(shipment) => (1, sum(&mut shipment.lines.values().map(|line| line.quantity.base))),
        Says::Dispatch(dispatch) => match &dispatch.lines {
            Some(lines) => (1, sum(&mut lines.values().copied())),
            None => (2, 0),
        },
        Says::LossReport(loss) => (0, -i128::from(loss.quantity.base)),
        Says::Receipt(receipt) => (1, i128::from(receipt.good())),
        Says::Hub(hub) => (1, sum(&mut hub.capacity.values().copied())),
        Says::Profile(_) | Says::Decline(_) | Says::Observation(_) | Says::Propose(_) | Says::Answer(_) => NOTHING,
    }
}
