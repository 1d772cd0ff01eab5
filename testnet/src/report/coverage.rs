//! Cover of requirements with and without one nation (DOMAIN 2.7, N-1).

use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::Board;

/// One requirement's firm cover, in the base unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
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

/// Cover with and without the leaver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// With it.
    pub before: Vec<CoverageRow>,
    /// Without it.
    pub after: Vec<CoverageRow>,
}

/// Reads a board twice: as it is, and without what `leaver` has in transit, to ship or on offer.
///
/// What the leaver delivered stays. Without a leaver both are equal.
pub fn coverage(board: &Board, leaver: Option<&str>) -> Coverage {
    let mut coverage = Coverage::default();
    for row in &board.rows {
        let cover = &row.cover;
        let firm = cover.delivered.saturating_add(cover.in_transit).saturating_add(cover.to_ship);
        let lost = row
            .pledges
            .iter()
            .filter(|pledge| Some(pledge.nation.as_str()) == leaver)
            .map(|pledge| pledge.buckets.in_transit.saturating_add(pledge.buckets.to_ship))
            .fold(0, u64::saturating_add);
        let covered = |firm: u64, gap: u64| CoverageRow {
            requirement: row.requirement.clone(),
            item: row.item.clone(),
            quantity: cover.quantity,
            unit: cover.unit.clone(),
            cover_firm: firm,
            gap_firm: gap,
        };
        coverage.before.push(covered(firm, cover.gap_firm));
        let left = firm.saturating_sub(lost);
        // A requirement that leaves no gap whatever covers it (withdrawn, closed) leaves none here either.
        let is_open = cover.gap_firm == cover.quantity.saturating_sub(firm);
        let gap = if is_open { cover.quantity.saturating_sub(left) } else { cover.gap_firm };
        coverage.after.push(covered(left, gap));
    }
    coverage
}

impl Coverage {
    /// Returns the rows that are not covered without the leaver.
    pub fn uncovered(&self) -> Vec<CoverageRow> {
        self.after.iter().filter(|row| row.gap_firm > 0).cloned().collect()
    }
}
