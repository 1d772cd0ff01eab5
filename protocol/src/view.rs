//! What follows from what was said: a pure function of the ledger and a moment (DOMAIN R3).

pub mod rows;

use crate::ids::Timestamp;
use rows::{
    AcceptRow, DeclineRow, DispatchRow, Flag, HubRow, InvalidRow, LossRow, ObservationRow, PledgeRow, ProfileRow,
    ReceiptRow, RequirementRow, ShipmentRow,
};

/// Everything shown of a ledger at one moment; each list in R8 order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The moment.
    pub as_of: Timestamp,
    /// Needs with their cover.
    pub requirements: Vec<RequirementRow>,
    /// Offers with their buckets.
    pub pledges: Vec<PledgeRow>,
    /// Acceptances.
    pub accepts: Vec<AcceptRow>,
    /// Refusals.
    pub declines: Vec<DeclineRow>,
    /// Shipments with what became of each line.
    pub shipments: Vec<ShipmentRow>,
    /// Dispatches.
    pub dispatches: Vec<DispatchRow>,
    /// Losses.
    pub losses: Vec<LossRow>,
    /// Receipts.
    pub receipts: Vec<ReceiptRow>,
    /// Hubs.
    pub hubs: Vec<HubRow>,
    /// Profiles.
    pub profiles: Vec<ProfileRow>,
    /// Observations.
    pub observations: Vec<ObservationRow>,
    /// Records whose version that counts is invalid.
    pub invalid: Vec<InvalidRow>,
    /// What needs an eye, by code and then by statement.
    pub flags: Vec<Flag>,
}
