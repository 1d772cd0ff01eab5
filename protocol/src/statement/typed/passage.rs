//! The way through.

use super::{Checked, PRIORITY_DEFAULT, Place};
use crate::ids::NationId;
use crate::statement::reference::Ref;
use crate::time::Day;

/// See [`Kind::Allotment`](crate::statement::Kind::Allotment).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Allotment<'a> {
    pub hub: Ref,
    pub part_of: Option<Ref>,
    pub nation: NationId,
    pub mode: &'a str,
    pub tonnes: u64,
    pub from: Day,
    pub to: Day,
}

/// See [`Kind::SlotRequest`](crate::statement::Kind::SlotRequest).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct SlotRequest<'a> {
    pub hub: Ref,
    pub mode: &'a str,
    pub tonnes: u64,
    pub from: Day,
    pub to: Day,
    pub priority: u8,
    pub shipment: Option<Ref>,
    pub leg: Option<u32>,
}

/// See [`Kind::SlotGrant`](crate::statement::Kind::SlotGrant).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct SlotGrant {
    pub request: Ref,
    pub tonnes: u64,
}

/// See [`Kind::SlotRefuse`](crate::statement::Kind::SlotRefuse).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct SlotRefuse<'a> {
    pub request: Ref,
    pub reason: Option<&'a str>,
}

/// See [`Kind::SlotUse`](crate::statement::Kind::SlotUse).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct SlotUse {
    pub request: Option<Ref>,
    pub allotment: Option<Ref>,
    pub day: Day,
    pub tonnes: u64,
    pub shipment: Option<Ref>,
    pub leg: Option<u32>,
}

/// See [`Kind::TransitPermit`](crate::statement::Kind::TransitPermit).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct TransitPermit<'a> {
    pub from: Place<'a>,
    pub to: Place<'a>,
    pub mode: Option<&'a str>,
    pub nation: Option<NationId>,
    pub valid_from: Day,
    pub valid_to: Day,
    pub conditions: Vec<&'a str>,
}

impl<'a> Checked<'a> {
    pub(super) fn leg(self) -> Option<u32> {
        u32::try_from(self.uint("leg")?).ok()
    }

    pub(super) fn priority(self) -> u8 {
        self.uint("priority").and_then(|priority| u8::try_from(priority).ok()).unwrap_or(PRIORITY_DEFAULT)
    }

    pub(super) fn allotment(self) -> Option<Allotment<'a>> {
        Some(Allotment {
            hub: self.reference("hub")?,
            part_of: self.reference("part_of"),
            nation: self.nation("nation")?,
            mode: self.text("mode")?,
            tonnes: self.uint("tonnes")?,
            from: self.day("from")?,
            to: self.day("to")?,
        })
    }

    pub(super) fn slot_request(self) -> Option<SlotRequest<'a>> {
        let from = self.day("from")?;
        Some(SlotRequest {
            hub: self.reference("hub")?,
            mode: self.text("mode")?,
            tonnes: self.uint("tonnes")?,
            from,
            to: self.day("to").unwrap_or(from),
            priority: self.priority(),
            shipment: self.reference("shipment"),
            leg: self.leg(),
        })
    }

    pub(super) fn slot_grant(self) -> Option<SlotGrant> {
        Some(SlotGrant { request: self.reference("request")?, tonnes: self.uint("tonnes")? })
    }

    pub(super) fn slot_refuse(self) -> Option<SlotRefuse<'a>> {
        Some(SlotRefuse { request: self.reference("request")?, reason: self.text("reason") })
    }

    pub(super) fn slot_use(self) -> Option<SlotUse> {
        Some(SlotUse {
            request: self.reference("request"),
            allotment: self.reference("allotment"),
            day: self.day("day")?,
            tonnes: self.uint("tonnes")?,
            shipment: self.reference("shipment"),
            leg: self.leg(),
        })
    }

    pub(super) fn transit_permit(self) -> Option<TransitPermit<'a>> {
        Some(TransitPermit {
            from: self.place("from")?,
            to: self.place("to")?,
            mode: self.text("mode"),
            nation: self.nation("nation"),
            valid_from: self.day("valid_from")?,
            valid_to: self.day("valid_to")?,
            conditions: self.texts("conditions"),
        })
    }
}
