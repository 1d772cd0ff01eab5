//! What breaks if somebody drops out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What rests on whom, at a moment (DOMAIN 2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resilience {
    /// The moment the answer holds for.
    pub as_of: String,
    /// Requirements that stand.
    pub requirements: u32,
    /// Without one nation each, the worst first.
    pub losses: Vec<LossRow>,
    /// Pairs of nations whose loss together is worse than the sum of both, the worst first.
    pub pairs: Vec<PairRow>,
    /// On how few shoulders the cover rests: of everything, then by class, then by theme.
    pub concentration: Vec<ConcentrationRow>,
    /// Hubs that shipments pass, each as if it were closed, the worst first.
    pub hubs: Vec<PlaceOut>,
    /// Nations whose hubs shipments pass, each as if all of them were closed, the worst first.
    pub transit: Vec<PlaceOut>,
    /// What gets through from all sources to all places of need, in tonnes a day; absent where no way has a stated limit.
    pub flow: Option<u64>,
    /// Open decisions, and the participants without whose word each cannot be adopted.
    pub decisions: Vec<WaitingDecision>,
    /// Statements that fewer than three nations are known to hold, counted by the nation that made them.
    pub held_by_few: BTreeMap<String, u64>,
}

/// What is open without one nation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LossRow {
    /// The nation's code.
    pub nation: String,
    /// The sum of the shares of requirements that open, in millionths, each times 5 less its priority.
    pub weighted: u64,
    /// What its goods that would not come are worth, in minor units by currency; goods without a stated value are left out.
    pub value: BTreeMap<String, u64>,
    /// Requirements that are covered now and would not be.
    pub newly_uncovered: u32,
    /// Every requirement of which more would be open.
    pub requirements: Vec<OpenedRow>,
}

/// What opens of one requirement, in its base unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenedRow {
    /// The requirement.
    pub requirement: String,
    /// What is needed.
    pub item: String,
    /// The base unit.
    pub unit: String,
    /// How much more is open.
    pub uncovered: u64,
    /// What of that the firm offers of others leave open.
    pub after_offers: u64,
    /// Whether nothing of it is open now.
    pub newly: bool,
}

/// Two nations that stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PairRow {
    /// Their codes.
    pub nations: Vec<String>,
    /// The loss of both, as [`LossRow::weighted`].
    pub weighted: u64,
    /// What it exceeds the sum of both losses by.
    pub beyond: u64,
    /// The requirements that open only without both.
    pub requirements: Vec<String>,
}

/// How concentrated cover is. Each requirement counts by the share of it that is covered, so that no units are mixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConcentrationRow {
    /// `all`, `class` or `theme`.
    pub of: String,
    /// Which class or theme; absent for all.
    pub name: Option<String>,
    /// Donors with any part in it.
    pub donors: u32,
    /// The sum of squared shares, in ten-thousandths.
    pub hhi: u32,
    /// `low`, `moderate` or `high`: below 1,500, to 2,500, above.
    pub band: String,
    /// As many equal donors would be as concentrated, in hundredths.
    pub effective_hundredths: u64,
    /// The largest donors with their shares in ten-thousandths.
    pub top: Vec<ShareRow>,
}

/// A share of one donor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareRow {
    /// The donor's code.
    pub nation: String,
    /// Its share in ten-thousandths.
    pub share: u32,
}

/// What does not get through without a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceOut {
    /// The hub, or the code of the nation.
    pub place: String,
    /// What it is called; absent for nations.
    pub name: Option<String>,
    /// Whether the ways fall apart without it; never said of nations.
    pub cut: bool,
    /// Tonnes a day that do not get through without it; absent where no limit is stated.
    pub flow_lost: Option<u64>,
    /// Places of need that no way reaches without it.
    pub cut_off: Vec<String>,
}

/// A decision that somebody has to speak in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingDecision {
    /// The proposal.
    pub decision: String,
    /// What it is about.
    pub title: String,
    /// When it closes.
    pub deadline: String,
    /// Codes of the participants without whose word or proved silence it is not adopted.
    pub waits_for: Vec<String>,
}
