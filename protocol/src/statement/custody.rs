//! Which nations may give and take custody at each point of a shipment's way (R2, C28).

use std::collections::BTreeSet;

use super::ledger::Ledger;
use super::reference::Ref;
use super::typed::{Place, Shipment};
use crate::ids::NationId;

/// The nations on a shipment's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    consignor: NationId,
    /// Of each leg: the carrier, if it is a member, and the hosts of the hubs at its beginning and end.
    legs: Vec<(Option<NationId>, Option<NationId>, Option<NationId>)>,
    /// The nations whose requirements the shipment serves.
    recipients: BTreeSet<NationId>,
}

/// Returns the nations on a shipment's way, as `ledger` names them.
pub fn parties(ledger: &Ledger<'_>, shipment: &Shipment<'_>, consignor: NationId) -> Parties {
    let host = |place: &Place<'_>| match place {
        Place::Hub(hub) => Some(hub.nation),
        Place::Region(_) => None,
    };
    let leg = |leg: &super::typed::ShipmentLeg<'_>| {
        let carrier = leg.carrier.and_then(|code| ledger.nation_by_code(code)).map(|nation| nation.id);
        (carrier, host(&leg.from), host(&leg.to))
    };
    let recipient = |line: &super::typed::ShipmentLine<'_>| {
        let kind = super::Kind::from_name(&line.pledge.kind)?;
        let record = ledger.record(&line.pledge)?;
        match super::current::current(kind, record)?.statement.ok()?.says {
            super::typed::Says::Pledge(pledge) => pledge.requirement.map(|requirement| requirement.nation),
            super::typed::Says::StandbyPledge(standby) => standby.pledge.requirement.map(|wanted| wanted.nation),
            _ => None,
        }
    };
    Parties {
        consignor,
        legs: shipment.legs.iter().map(leg).collect(),
        recipients: shipment.lines.values().filter_map(recipient).collect(),
    }
}

impl Parties {
    /// Who may ask for a slot: the consignor, and the carrier of a leg, or of any where none is named.
    pub fn shipping(&self, leg: Option<usize>) -> BTreeSet<NationId> {
        let named = |(number, _): &(usize, &_)| leg.is_none_or(|leg| leg == *number);
        let carriers = self.legs.iter().enumerate().filter(named).filter_map(|(_, (carrier, _, _))| *carrier);
        carriers.chain([self.consignor]).collect()
    }

    /// Who may release custody at a leg: into `hub` at its end, or to its carrier at its beginning.
    pub fn giving(&self, leg: usize, hub: Option<&Ref>) -> BTreeSet<NationId> {
        let mut allowed = BTreeSet::from([self.consignor]);
        let Some((carrier, from, _)) = self.legs.get(leg) else { return allowed };
        if hub.is_some() {
            allowed.extend(carrier);
        } else {
            allowed.extend(from);
            allowed.extend(leg.checked_sub(1).and_then(|before| self.legs.get(before)).and_then(|before| before.0));
        }
        allowed
    }

    /// Who may take custody at a leg: the host of `hub` at its end, or the carrier at its beginning.
    pub fn taking(&self, leg: usize, hub: Option<&Ref>) -> BTreeSet<NationId> {
        let mut allowed = self.recipients.clone();
        allowed.insert(self.consignor);
        let Some((carrier, _, to)) = self.legs.get(leg) else { return allowed };
        match hub {
            Some(hub) => allowed.extend(to.filter(|host| *host == hub.nation)),
            None => allowed.extend(carrier),
        }
        allowed
    }
}
