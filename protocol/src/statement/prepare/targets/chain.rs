//! Who may write what lies between a pledge and its arrival: shares and slots, custody, settlements, pauses.

use std::collections::BTreeSet;

use super::{Entry, Targets, only, read, reference, stands};
use crate::ids::NationId;
use crate::statement::draft::{DraftError, DraftProblem};
use crate::statement::reference::Ref;
use crate::statement::schema::Role;
use crate::statement::typed::Says;
use crate::value::{Fields, Value};

/// The host hands out a share of its hub, the holder of a share a part of that.
pub(super) fn allotment(entry: &Entry<'_>, fields: &Fields, live: bool) -> Result<(), DraftError> {
    let Some(share) = reference(fields, "part_of") else {
        return match reference(fields, "hub") {
            Some(hub) => only(entry, "hub", Role::Host, hub.nation),
            None => Ok(()),
        };
    };
    let (status, statement) = read(entry, "part_of", &share)?;
    if let Says::Allotment(says) = statement.says {
        only(entry, "part_of", Role::Shipper, says.nation)?;
    }
    if live { stands(entry, "part_of", &share, status) } else { Ok(()) }
}

/// The nation that has the slot or the share says how it was used.
pub(super) fn slot_use(entry: &Entry<'_>, fields: &Fields) -> Result<(), DraftError> {
    if let Some(request) = reference(fields, "request") {
        only(entry, "request", Role::Shipper, request.nation)?;
    }
    if let Some(share) = reference(fields, "allotment")
        && let Says::Allotment(says) = read(entry, "allotment", &share)?.1.says
    {
        only(entry, "allotment", Role::Shipper, says.nation)?;
    }
    Ok(())
}

/// A nation pauses its own records only.
pub(super) fn own_records(entry: &Entry<'_>, fields: &Fields) -> Result<(), DraftError> {
    let Some(Value::Map(records)) = fields.get("records") else { return Ok(()) };
    for (place, value) in records {
        let Value::Bytes(bytes) = value else { continue };
        let Ok(reference) = Ref::decode(bytes) else { continue };
        only(entry, &format!("records.{place}"), Role::Itself, reference.nation)?;
    }
    Ok(())
}

impl Targets<'_> {
    /// A slot for a shipment is for its consignor or one of its carriers to ask for.
    pub(super) fn shipper(&self, entry: &Entry<'_>, fields: &Fields) -> Result<(), DraftError> {
        let Some(shipment) = &self.shipment else { return Ok(()) };
        let parties = crate::statement::custody::parties(entry.ledger, &shipment.says, shipment.reference.nation);
        let allowed = parties.shipping(super::number(fields, "leg"));
        among(entry, "shipment", Role::Shipper, &allowed)
    }

    /// Custody is given and taken by nations on the way: consignor, carriers, hosts of hubs, and the recipient, who takes.
    pub(super) fn on_the_way(&self, entry: &Entry<'_>, role: Role, fields: &Fields) -> Result<(), DraftError> {
        let Some(shipment) = &self.shipment else { return Ok(()) };
        let Some(number) = super::number(fields, "leg") else { return Ok(()) };
        if shipment.says.legs.get(number).is_none() {
            return Err(DraftError::at("leg", DraftProblem::Leg(number)));
        }
        let hub = reference(fields, "hub");
        let parties = crate::statement::custody::parties(entry.ledger, &shipment.says, shipment.reference.nation);
        let allowed = match role {
            Role::Giving => parties.giving(number, hub.as_ref()),
            _ => parties.taking(number, hub.as_ref()),
        };
        among(entry, "shipment", role, &allowed)
    }

    /// Both ends of a line settle its discrepancy.
    pub(super) fn party(&self, entry: &Entry<'_>) -> Result<(), DraftError> {
        let Some(shipment) = &self.shipment else { return Ok(()) };
        let mut allowed = BTreeSet::from([shipment.reference.nation]);
        allowed.extend(self.requirement.as_ref().map(|requirement| requirement.reference.nation));
        among(entry, "shipment", Role::Party, &allowed)
    }
}

fn among(entry: &Entry<'_>, field: &str, role: Role, allowed: &BTreeSet<NationId>) -> Result<(), DraftError> {
    if allowed.contains(&entry.nation) {
        return Ok(());
    }
    let mut codes: Vec<String> = allowed.iter().map(|nation| entry.ledger.code(nation)).collect();
    codes.sort_unstable();
    Err(DraftError::at(field, DraftProblem::Role { role, nation: codes.join(" ") }))
}
