//! What a view shows of goods on their way: shipments with their lines, and what was said to have left, to be lost or to
//! have arrived. Quantities are whole base units.

use std::collections::BTreeMap;

use super::custody::CustodyState;
use super::rows::{Head, Standing};
use crate::ids::{NationId, Timestamp};
use crate::statement::typed::Damage;
use crate::time::Day;

/// States of a shipment (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShipmentState {
    /// Withdrawn before anything left.
    Cancelled,
    /// Nothing has left.
    Planned,
    /// The recipient sends some of it back.
    Returning,
    /// Everything that left was counted, and every difference is settled.
    Closed,
    /// Everything that left was counted, or its rest is settled as lost.
    Received,
    /// Everything that left is lost.
    Lost,
    /// Some of what left was counted.
    PartReceived,
    /// The last day of arrival passed and nothing was counted.
    Overdue,
    /// In a hub on the way: see [`ShipmentRow::at_hub`].
    AtHub,
    /// Under way.
    Dispatched,
}

impl ShipmentState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Planned => "planned",
            Self::Returning => "returning",
            Self::Closed => "closed",
            Self::Received => "received",
            Self::Lost => "lost",
            Self::PartReceived => "part received",
            Self::Overdue => "overdue",
            Self::AtHub => "at hub",
            Self::Dispatched => "dispatched",
        }
    }
}

/// A line of a shipment with what became of it, in base units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRow {
    /// Its number.
    pub line: u32,
    /// The pledge it fulfils, in text.
    pub pledge: String,
    /// The pledge's place in [`super::View::pledges`], if it is here.
    pub pledge_row: Option<usize>,
    /// Whether it counts.
    pub standing: Standing,
    /// Planned.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// The unit as typed.
    pub typed_unit: String,
    /// Marks of the parcels.
    pub parcels: Vec<String>,
    /// S.
    pub dispatched: u64,
    /// Everything counted at arrival, in whatever condition.
    pub received: u64,
    /// G.
    pub good: u64,
    /// X.
    pub not_good: u64,
    /// Sent back by the recipient, at most what arrived.
    pub returned: u64,
    /// Damaged, by condition.
    pub damaged: Damage,
    /// Not what was pledged.
    pub wrong_item: u64,
    /// Underweight.
    pub underweight: u64,
    /// L.
    pub lost: u64,
    /// What is still under way of it.
    pub in_transit: u64,
    /// Who holds what is under way of it: the consignor, until another takes over (C28). Shares are rounded up.
    pub custody: BTreeMap<NationId, u64>,
    /// Whether the recipient said that nothing more will come.
    pub last: bool,
    /// `received - dispatched` once that is settled: by the final flag, or because more came than left (C15).
    pub difference: Option<i64>,
}

/// One leg of a shipment's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegRow {
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Means of transport.
    pub mode: Option<String>,
    /// Who carries it.
    pub carrier: Option<String>,
    /// Day of departure expected.
    pub etd: Option<Day>,
    /// Day of arrival expected.
    pub eta: Option<Day>,
    /// The slot or allotment it goes by, in text.
    pub slot: Option<String>,
    /// The permit it goes by, in text.
    pub permit: Option<String>,
    /// Whether that permit does not hold today: nothing passes (C13).
    pub blocked: bool,
    /// The change of custody to its carrier, at its beginning.
    pub custody: CustodyState,
    /// The change of custody to the hub, at its end.
    pub hub_custody: CustodyState,
}

/// A shipment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShipmentRow {
    /// The version that counts.
    pub head: Head,
    /// Its state.
    pub state: ShipmentState,
    /// Its lines, by number.
    pub lines: Vec<LineRow>,
    /// Its way.
    pub legs: Vec<LegRow>,
    /// Number of the waybill.
    pub waybill: Option<String>,
    /// Number of the seal.
    pub seal: Option<String>,
    /// Gross mass.
    pub gross_kg: Option<u64>,
    /// Volume.
    pub volume_l: Option<u64>,
    /// The leg at whose end, in the hub, goods lie.
    pub at_hub: Option<u32>,
}

/// A dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchRow {
    /// The version that counts.
    pub head: Head,
    /// The version of the shipment that left, in text.
    pub shipment: String,
    /// The shipment's place in [`super::View::shipments`], if it is here.
    pub shipment_row: Option<usize>,
    /// When.
    pub at: Option<Timestamp>,
    /// Base units by line; `None`: all of every line.
    pub lines: Option<BTreeMap<u32, u64>>,
}

/// A loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossRow {
    /// The version that counts.
    pub head: Head,
    /// The shipment, in text.
    pub shipment: String,
    /// The shipment's place in [`super::View::shipments`], if it is here.
    pub shipment_row: Option<usize>,
    /// The line.
    pub line: u32,
    /// How much, in base units.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// Marks of the parcels.
    pub parcels: Vec<String>,
    /// What happened.
    pub reason: Option<String>,
}

/// A receipt, in base units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// The version that counts.
    pub head: Head,
    /// The shipment, in text.
    pub shipment: String,
    /// The shipment's place in [`super::View::shipments`], if it is here.
    pub shipment_row: Option<usize>,
    /// The line.
    pub line: u32,
    /// Everything counted.
    pub counted: u64,
    /// Of it in good condition and the right item.
    pub good: u64,
    /// The base unit.
    pub unit: String,
    /// The unit as typed.
    pub typed_unit: String,
    /// Damaged, by condition.
    pub damaged: Damage,
    /// Not what was pledged.
    pub wrong_item: u64,
    /// Underweight.
    pub underweight: u64,
    /// What it was instead.
    pub item: Option<String>,
    /// Marks of the parcels.
    pub parcels: Vec<String>,
    /// Where.
    pub place: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// Whether nothing more of the line will come.
    pub last: bool,
}
