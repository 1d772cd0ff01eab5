//! Which version of a record counts (R1, C20): the surviving one of lower coverage, ties by the smaller envelope id.

use super::typed::{Invalid, Pledge, Says, Statement};
use super::{Kind, Status};
use crate::table::{Record, Version};
use crate::time::Day;
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
            return if absent_covers(kind) { (3, 0) } else { NOTHING };
        }
    };
    let sum = |parts: &mut dyn Iterator<Item = u64>| parts.map(i128::from).sum::<i128>();
    let offer = |pledge: &Pledge<'_>| match pledge.quantity.known_unit() {
        None => NOTHING,
        Some(_) => (if pledge.conditions.is_empty() { 2 } else { 1 }, i128::from(pledge.quantity.base)),
    };
    match &statement.says {
        Says::Requirement(requirement) => (0, -i128::from(requirement.quantity.base)),
        Says::Pledge(pledge) => offer(pledge),
        Says::StandbyPledge(standby) => offer(&standby.pledge),
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
        Says::Allotment(allotment) => (1, allotment.tonnes.into()),
        Says::SlotGrant(grant) => (1, grant.tonnes.into()),
        Says::StockLot(lot) if lot.quantity.known_unit().is_none() => NOTHING,
        Says::StockLot(lot) => (1, lot.quantity.base.into()),
        Says::Fund(fund) => (1, fund.amount.into()),
        // What stands for less covers less: in millionths, since two ratios are compared.
        Says::AcceptSubstitute(other) => (1, i128::from(other.counts) * 1_000_000 / i128::from(other.per.max(1))),
        Says::Consent(consent) => match consent.quantity {
            Some(quantity) => (1, quantity.base.into()),
            None => (2, 0),
        },
        Says::TransitPermit(permit) => (1, permit.valid_to.number().into()),
        Says::Return(back) => (0, -i128::from(back.quantity.base)),
        // The longest pause covers least.
        Says::SuspendNotice(notice) => {
            let until = notice.until.unwrap_or(Day::MAX).number();
            (0, i128::from(notice.from.number()) - i128::from(until))
        }
        Says::Profile(_)
        | Says::Decline(_)
        | Says::Observation(_)
        | Says::Propose(_)
        | Says::Answer(_)
        | Says::ItemType(_)
        | Says::UnitConversion(_)
        | Says::Valuation(_)
        | Says::FxTable(_)
        | Says::Topic(_)
        | Says::Endorse(_)
        | Says::ConsentRequest(_)
        | Says::SlotRequest(_)
        | Says::SlotRefuse(_)
        | Says::SlotUse(_)
        | Says::HandOver(_)
        | Says::TakeOver(_)
        | Says::Inventory(_)
        | Says::Settle(_) => NOTHING,
    }
}

/// Whether there is more cover without a statement of this kind, so that one which does not stand comes last.
const fn absent_covers(kind: Kind) -> bool {
    match kind {
        Kind::Requirement
        | Kind::Decline
        | Kind::LossReport
        | Kind::SlotRefuse
        | Kind::Return
        | Kind::SuspendNotice => true,
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
        | Kind::RequestExtension
        | Kind::ItemType
        | Kind::UnitConversion
        | Kind::Valuation
        | Kind::FxTable
        | Kind::Topic
        | Kind::Allotment
        | Kind::TransitPermit
        | Kind::Endorse
        | Kind::StockLot
        | Kind::StandbyPledge
        | Kind::Fund
        | Kind::AcceptSubstitute
        | Kind::ConsentRequest
        | Kind::Consent
        | Kind::SlotRequest
        | Kind::SlotGrant
        | Kind::SlotUse
        | Kind::HandOver
        | Kind::TakeOver
        | Kind::Inventory
        | Kind::Settle => false,
    }
}
