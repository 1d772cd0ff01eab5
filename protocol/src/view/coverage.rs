//! Cover with and without one nation (DESIGN 3, DOMAIN 2.7 N-1).

use super::View;
use super::rows::{RequirementState, Standing};
use crate::ids::NationId;

/// Cover of one requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRow {
    /// The requirement, in text.
    pub requirement: String,
    /// What is needed.
    pub item: String,
    /// How much, in base units.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// D + T + O.
    pub cover_firm: u64,
    /// What that leaves open.
    pub gap_firm: u64,
}

/// Returns the cover of every requirement that stands, in R8 order.
///
/// Without a leaver it is that of the view. With one, what the leaver delivered stays and what it has under way, has yet
/// to ship or offers counts as nothing; its own requirements stay, since need does not leave with a node.
pub fn coverage(view: &View, without: Option<NationId>) -> Vec<CoverageRow> {
    let standing = view.requirements.iter().filter(|row| {
        !matches!(row.state, RequirementState::Withdrawn | RequirementState::Closed | RequirementState::Lapsed)
    });
    standing
        .map(|row| {
            let lost: u128 = row
                .pledges
                .iter()
                .map(|place| &view.pledges[*place])
                .filter(|pledge| Some(pledge.head.name.nation) == without && pledge.head.standing == Standing::Counted)
                .map(|pledge| u128::from(pledge.buckets.in_transit) + u128::from(pledge.buckets.to_ship))
                .sum();
            let firm =
                u128::from(row.cover.delivered) + u128::from(row.cover.in_transit) + u128::from(row.cover.to_ship);
            let firm = super::movement::clamp(firm.saturating_sub(lost));
            CoverageRow {
                requirement: row.head.name.to_string(),
                item: row.item.clone(),
                quantity: row.quantity,
                unit: row.unit.clone(),
                cover_firm: firm,
                gap_firm: row.quantity.saturating_sub(firm),
            }
        })
        .collect()
}
