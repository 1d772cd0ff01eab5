//! Who holds goods on the way, and what becomes of them.

use super::{Checked, Place, Quantity};
use crate::ids::{NationId, Timestamp};
use crate::statement::reference::Ref;

/// See [`Kind::HandOver`](crate::statement::Kind::HandOver) and [`Kind::TakeOver`](crate::statement::Kind::TakeOver).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Custody<'a> {
    pub shipment: Ref,
    pub leg: u32,
    pub hub: Option<Ref>,
    /// To whom, or from whom.
    pub other: Option<NationId>,
    pub parcels: Vec<&'a str>,
    pub at: Option<Timestamp>,
    pub note: Option<&'a str>,
}

/// See [`Kind::Return`](crate::statement::Kind::Return).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Return<'a> {
    pub shipment: Ref,
    pub line: u32,
    pub quantity: Quantity<'a>,
    pub parcels: Vec<&'a str>,
    pub at: Option<Timestamp>,
    pub reason: Option<&'a str>,
}

/// See [`Kind::Inventory`](crate::statement::Kind::Inventory).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Inventory<'a> {
    pub shipment: Option<Ref>,
    pub line: Option<u32>,
    pub item: &'a str,
    pub counted: Quantity<'a>,
    pub serials: Vec<&'a str>,
    pub place: Option<Place<'a>>,
    pub at: Option<Timestamp>,
    pub method: Option<&'a str>,
}

/// See [`Kind::Settle`](crate::statement::Kind::Settle).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Settle<'a> {
    pub shipment: Ref,
    pub line: u32,
    pub dispatched: Quantity<'a>,
    pub received: Quantity<'a>,
    pub reason: Option<&'a str>,
}

impl<'a> Checked<'a> {
    pub(super) fn custody(self, other: &str) -> Option<Custody<'a>> {
        Some(Custody {
            shipment: self.reference("shipment")?,
            leg: self.leg()?,
            hub: self.reference("hub"),
            other: self.nation(other),
            parcels: self.texts("parcels"),
            at: self.uint("at").map(Timestamp),
            note: self.text("note"),
        })
    }

    pub(super) fn sent_back(self) -> Option<Return<'a>> {
        Some(Return {
            shipment: self.reference("shipment")?,
            line: self.line()?,
            quantity: self.quantity("quantity")?,
            parcels: self.texts("parcels"),
            at: self.uint("at").map(Timestamp),
            reason: self.text("reason"),
        })
    }

    pub(super) fn inventory(self) -> Option<Inventory<'a>> {
        Some(Inventory {
            shipment: self.reference("shipment"),
            line: self.line(),
            item: self.text("item")?,
            counted: self.quantity("counted")?,
            serials: self.texts("serials"),
            place: self.place("place"),
            at: self.uint("at").map(Timestamp),
            method: self.text("method"),
        })
    }

    pub(super) fn settle(self) -> Option<Settle<'a>> {
        Some(Settle {
            shipment: self.reference("shipment")?,
            line: self.line()?,
            dispatched: self.quantity("dispatched")?,
            received: self.quantity("received")?,
            reason: self.text("reason"),
        })
    }
}
