//! Cover of requirements with and without one nation (DOMAIN 2.7, N-1), as a node computes it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One requirement's firm cover, in the base unit: a row of a node's `/v1/coverage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CoverageRow {
    /// `CODE/requirement/id`.
    pub requirement: String,
    /// What is needed.
    pub item: String,
    /// How much.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// Delivered, in transit and to ship.
    pub cover_firm: u64,
    /// What that leaves open.
    pub gap_firm: u64,
}

/// Cover with and without the leaver; both equal where nobody left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// With it.
    pub before: Vec<CoverageRow>,
    /// Without it: its deliveries stay, and what it has in transit, to ship or on offer counts as nothing.
    pub after: Vec<CoverageRow>,
}

impl Coverage {
    /// Returns the rows that are not covered without the leaver.
    pub fn uncovered(&self) -> Vec<CoverageRow> {
        self.after.iter().filter(|row| row.gap_firm > 0).cloned().collect()
    }
}
