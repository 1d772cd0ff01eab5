//! Cover with and without one nation (DESIGN 3, DOMAIN 2.7 N-1).

use super::View;
use super::rows::{PledgeRow, RequirementState, Standing};
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

/// Returns what a pledge loses with a nation.
fn lost(pledge: &PledgeRow, leaver: NationId) -> u128 {
    let counted = pledge.head.standing == Standing::Counted;
    let moving = counted || matches!(pledge.head.standing, Standing::Lapsed | Standing::Standby);
    let held = pledge.custody.get(&leaver).copied().unwrap_or(0).min(pledge.buckets.in_transit);
    let to_ship = if counted && pledge.head.name.nation == leaver { pledge.buckets.to_ship } else { 0 };
    u128::from(if moving { held } else { 0 }) + u128::from(to_ship)
}

/// Returns the cover of every requirement that stands, in R8 order.
///
/// Without a leaver it is that of the view. With one, what the leaver delivered stays, and what it holds of what is under way
/// (C28), has yet to ship or offers counts as nothing; its own requirements stay, since need does not leave with a node.
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
                .map(|pledge| without.map_or(0, |leaver| lost(pledge, leaver)))
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
