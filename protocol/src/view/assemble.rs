//! Last pass: what was found, as rows.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::Links;
use super::cover::{Covered, codes};
use super::custody::{Held, LegFound, shipment_state};
use super::flags::Named;
use super::goods::{DispatchRow, LegRow, LossRow, ReceiptRow, ShipmentRow};
use super::movement::Movement;
use super::read::{Index, Item, Reading, find, place};
use super::rows::{
    AcceptRow, Buckets, DeclineRow, HubRow, ObservationRow, PledgeRow, PledgeState, ProfileRow, RequirementRow, Waits,
};
use super::supply::{ConsentState, Funding};
use crate::ids::{NationId, Timestamp};
use crate::statement::Kind;
use crate::statement::ledger::Ledger;
use crate::statement::typed::{
    Accept, Decline, Dispatch, Hub, LossReport, Lot, Observation, Pledge, Profile, Receipt, Requirement, Shipment,
};

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn all(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// What rows are made from.
pub(super) struct Assembly<'r, 'a> {
    pub(super) ledger: &'r Ledger<'a>,
    pub(super) as_of: Timestamp,
    pub(super) reading: &'r Reading<'a>,
    pub(super) links: &'r Links,
    pub(super) movement: &'r Movement,
    /// Where each pledge is.
    pub(super) places: Index<'r>,
    pub(super) states: &'r [PledgeState],
    pub(super) buckets: &'r [Buckets],
    pub(super) named: &'r Named,
    pub(super) consent: &'r [Option<ConsentState>],
    pub(super) funding: &'r [Option<Funding>],
    pub(super) held: &'r Held,
    /// Who holds what is under way, by pledge.
    pub(super) custody: &'r BTreeMap<usize, BTreeMap<NationId, u64>>,
    /// Shipments of which every difference is settled.
    pub(super) closed: &'r BTreeSet<usize>,
    pub(super) endorsed: &'r [Vec<String>],
}

impl Assembly<'_, '_> {
    pub(super) fn requirement(
        &self,
        at: usize,
        item: &Item<'_, Requirement<'_>>,
        covered: Covered,
        pledges: Vec<usize>,
    ) -> RequirementRow {
        let says = &item.says;
        let below = pledges.iter().flat_map(|place| self.named.codes(&self.reading.pledges[*place].name));
        RequirementRow {
            head: item.head(),
            state: covered.state,
            item: says.item.to_owned(),
            class: says.class.to_owned(),
            theme: owned(says.theme),
            quantity: says.quantity.base,
            unit: says.quantity.base_unit().to_owned(),
            typed_unit: says.quantity.unit.to_owned(),
            priority: says.priority,
            needed_by: says.needed_by,
            deliver_to: place(self.ledger, says.deliver_to.as_ref()),
            min_lot: says.min_lot,
            substitutes_allowed: says.substitutes_allowed,
            valid_until: covered.valid_until,
            crisis: owned(says.crisis),
            tolerance: says.tolerance,
            endorsed_by: self.endorsed[at].clone(),
            cover: covered.cover,
            phases: covered.phases,
            suggested: covered.suggested,
            overlays: covered.overlays,
            flags: codes(self.named.codes(&item.name), below),
            pledges,
        }
    }

    pub(super) fn pledge(&self, at: usize, item: &Item<'_, Pledge<'_>>) -> PledgeRow {
        let says = &item.says;
        PledgeRow {
            head: item.head(),
            state: self.states[at],
            requirement: says.requirement.as_ref().map(|reference| self.ledger.text(reference)),
            requirement_row: self.links.requirement_of[at],
            package: owned(says.package),
            item: says.item.to_owned(),
            quantity: says.quantity.base,
            unit: says.quantity.base_unit().to_owned(),
            typed_unit: says.quantity.unit.to_owned(),
            unit_value: says.unit_value,
            currency: owned(says.currency),
            available_from: says.available_from,
            deliver_by: says.deliver_by,
            from_hub: place(self.ledger, says.from_hub.as_ref()),
            conditions: all(&says.conditions),
            expires: says.expires,
            lot: says.lot.as_ref().map(|lot| match lot {
                Lot::Record(reference) => self.ledger.text(reference),
                Lot::Named(name) => (*name).to_owned(),
            }),
            waits: self.waits(item),
            origin_nation: owned(says.origin_nation),
            ext_refs: all(&item.ext_refs),
            consent: self.consent[at],
            funding: self.funding[at].clone(),
            buckets: self.buckets[at],
            custody: self.custody.get(&at).cloned().unwrap_or_default(),
            flags: codes(self.named.codes(&item.name), []),
        }
    }

    /// What a standby pledge waits for.
    fn waits(&self, item: &Item<'_, Pledge<'_>>) -> Option<Waits> {
        let trigger = self.reading.triggers.get(&(item.name.nation, item.name.id.clone()))?;
        (item.name.kind == Kind::StandbyPledge).then(|| Waits {
            pledge: trigger.pledge.as_ref().map(|reference| self.ledger.text(reference)),
            pledge_row: trigger.pledge.as_ref().and_then(|reference| find(&self.places, reference)),
            nation: trigger.nation,
        })
    }

    pub(super) fn accept(&self, at: usize, item: &Item<'_, Accept<'_>>) -> AcceptRow {
        AcceptRow {
            head: item.head(),
            pledge: self.ledger.text(&item.says.pledge),
            pledge_row: self.links.accept_of[at],
            quantity: item.says.quantity.base,
            unit: item.says.quantity.base_unit().to_owned(),
            typed_unit: item.says.quantity.unit.to_owned(),
            deliver_to: place(self.ledger, item.says.deliver_to.as_ref()),
            conditions: all(&item.says.conditions),
            outcome: self.links.outcomes[at],
        }
    }

    pub(super) fn decline(&self, at: usize, item: &Item<'_, Decline<'_>>) -> DeclineRow {
        DeclineRow {
            head: item.head(),
            pledge: self.ledger.text(&item.says.pledge),
            pledge_row: self.links.decline_of[at],
            reason: owned(item.says.reason),
        }
    }

    pub(super) fn shipment(&self, at: usize, item: &Item<'_, Shipment<'_>>) -> ShipmentRow {
        let says = &item.says;
        let lines = self.movement.lines[at].clone();
        let found = &self.held.shipments[at];
        let leg = |(leg, found): (&crate::statement::typed::ShipmentLeg<'_>, &LegFound)| LegRow {
            from: place(self.ledger, Some(&leg.from)).unwrap_or_default(),
            to: place(self.ledger, Some(&leg.to)).unwrap_or_default(),
            mode: owned(leg.mode),
            carrier: owned(leg.carrier),
            etd: leg.etd,
            eta: leg.eta,
            slot: leg.slot.as_ref().map(|slot| self.ledger.text(slot)),
            permit: leg.permit.as_ref().map(|permit| self.ledger.text(permit)),
            blocked: found.blocked,
            custody: found.carrier,
            hub_custody: found.hub,
        };
        let due = says.legs.iter().filter_map(|leg| leg.eta).max();
        let overdue = due.is_some_and(|day| day.passed(self.as_of));
        ShipmentRow {
            head: item.head(),
            state: shipment_state(item.live(), &lines, overdue, found.at_hub.is_some(), self.closed.contains(&at)),
            lines,
            legs: says.legs.iter().zip(&found.legs).map(leg).collect(),
            waybill: owned(says.waybill),
            seal: owned(says.seal),
            gross_kg: says.gross_kg,
            volume_l: says.volume_l,
            at_hub: found.at_hub,
        }
    }

    pub(super) fn dispatch(&self, at: usize, item: &Item<'_, Dispatch>) -> DispatchRow {
        DispatchRow {
            head: item.head(),
            shipment: self.ledger.text(&item.says.shipment),
            shipment_row: self.movement.dispatch_of[at],
            at: item.says.at,
            lines: item.says.lines.clone(),
        }
    }

    pub(super) fn loss(&self, at: usize, item: &Item<'_, LossReport<'_>>) -> LossRow {
        LossRow {
            head: item.head(),
            shipment: self.ledger.text(&item.says.shipment),
            shipment_row: self.movement.loss_of[at],
            line: item.says.line,
            quantity: item.says.quantity.base,
            unit: item.says.quantity.base_unit().to_owned(),
            parcels: all(&item.says.parcels),
            reason: owned(item.says.reason),
        }
    }

    pub(super) fn receipt(&self, at: usize, item: &Item<'_, Receipt<'_>>) -> ReceiptRow {
        let says = &item.says;
        ReceiptRow {
            head: item.head(),
            shipment: self.ledger.text(&says.shipment),
            shipment_row: self.movement.receipt_of[at],
            line: says.line,
            counted: says.counted.base,
            good: says.good(),
            unit: says.counted.base_unit().to_owned(),
            typed_unit: says.counted.unit.to_owned(),
            damaged: says.damaged,
            wrong_item: says.wrong_item,
            underweight: says.underweight,
            item: owned(says.item),
            parcels: all(&says.parcels),
            place: place(self.ledger, says.place.as_ref()),
            at: says.at,
            last: says.last,
        }
    }

    pub(super) fn observation(&self, item: &Item<'_, Observation<'_>>) -> ObservationRow {
        let says = &item.says;
        ObservationRow {
            head: item.head(),
            about: says.about.as_ref().map(|reference| self.ledger.text(reference)),
            source: owned(says.source),
            licence: owned(says.licence),
            row: says.row,
            reason: owned(says.reason),
            item: owned(says.item),
            class: owned(says.class),
            quantity: says.quantity.map(|quantity| quantity.base),
            unit: says.quantity.map(|quantity| quantity.base_unit().to_owned()),
            amount: says.amount,
            currency: owned(says.currency),
            donor: owned(says.donor),
            recipient: owned(says.recipient),
            date: says.date,
            text: owned(says.text),
        }
    }
}

pub(super) fn hub(item: &Item<'_, Hub<'_>>) -> HubRow {
    let says = &item.says;
    HubRow {
        head: item.head(),
        name: says.name.to_owned(),
        hub_kind: says.hub_kind.to_owned(),
        code: owned(says.code),
        lat_micro: says.lat,
        lon_micro: says.lon,
        modes: all(&says.modes),
        capacity: says.capacity.iter().map(|(mode, tonnes)| ((*mode).to_owned(), *tonnes)).collect(),
        open_from: says.open_from,
        open_to: says.open_to,
    }
}

pub(super) fn profile(item: &Item<'_, Profile<'_>>) -> ProfileRow {
    ProfileRow {
        head: item.head(),
        name: item.says.name.to_owned(),
        contact: owned(item.says.contact),
        addresses: all(&item.says.addresses),
    }
}
