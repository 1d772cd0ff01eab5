//! Who holds up what: every need with the goods that cover it, and on whom each part of them rests.

use std::collections::BTreeMap;

use crate::ids::NationId;
use crate::view::View;
use crate::view::rows::{PledgeRow, RequirementState, Standing};

/// The whole of a need, in millionths.
pub const WHOLE_PPM: u64 = 1_000_000;

/// Needs that stand, with what covers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// The needs, in the order of the view.
    pub needs: Vec<Need>,
}

/// A need that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its place in [`View::requirements`].
    pub row: usize,
    /// How much is needed, in base units; more than nothing.
    pub quantity: u64,
    /// How much it weighs: 5 less its priority, so 4 for the most urgent.
    pub weight: u64,
    /// D + T + O of all pledges, as the view counts them.
    pub firm: u64,
    /// Firm F of all pledges.
    pub offered: u64,
    /// What covers it, by pledge in R8 order.
    pub parts: Vec<Part>,
}

/// What one pledge gives to a need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The pledge's place in [`View::pledges`].
    pub row: usize,
    /// Who gives.
    pub donor: NationId,
    /// Whose consent what has not left yet needs, if that is another nation.
    pub origin: Option<NationId>,
    /// D: nobody takes it back.
    pub delivered: u64,
    /// T.
    pub in_transit: u64,
    /// T by the nation that holds it: its donor until somebody else took custody (C28).
    pub custody: BTreeMap<NationId, u64>,
    /// O.
    pub to_ship: u64,
    /// F of a pledge without open conditions.
    pub offered: u64,
    /// What one base unit is worth, in minor units, and of which currency.
    pub unit_value: Option<(u64, String)>,
}

impl Supply {
    /// Reads the needs of a view that are neither taken back, closed nor lapsed, and the pledges that count towards them.
    pub fn of(view: &View) -> Self {
        let standing = view.requirements.iter().enumerate().filter(|(_, need)| {
            need.quantity > 0
                && match need.state {
                    RequirementState::Withdrawn | RequirementState::Closed | RequirementState::Lapsed => false,
                    RequirementState::Fulfilled
                    | RequirementState::Covered
                    | RequirementState::PartCovered
                    | RequirementState::Offered
                    | RequirementState::Open => true,
                }
        });
        let needs = standing.map(|(row, need)| Need {
            row,
            quantity: need.quantity,
            weight: 5_u64.saturating_sub(u64::from(need.priority)).max(1),
            firm: need.cover.firm(),
            offered: need.cover.offered_firm,
            parts: need.pledges.iter().filter_map(|place| part(*place, view.pledges.get(*place)?)).collect(),
        });
        Self { needs: needs.collect() }
    }

    /// Returns, by donor, what share of all needs rests on it: the sum over the needs of the share of the need, in millionths,
    /// that its D, T and O are.
    pub fn shares(&self, of: impl Fn(&Need) -> bool) -> BTreeMap<NationId, u128> {
        let mut shares = BTreeMap::new();
        for need in self.needs.iter().filter(|need| of(need)) {
            for part in &need.parts {
                let share = ppm(part.firm(), need.quantity);
                if share > 0 {
                    *shares.entry(part.donor).or_insert(0) += u128::from(share);
                }
            }
        }
        shares
    }
}

impl Part {
    /// D + T + O.
    pub const fn firm(&self) -> u64 {
        self.delivered.saturating_add(self.in_transit).saturating_add(self.to_ship)
    }

    /// Returns what of D + T + O does not come without these nations: what they hold of T, what they have yet to ship, and what
    /// needs their consent to leave.
    pub fn lost_without(&self, gone: impl Fn(&NationId) -> bool) -> u64 {
        let held = self.custody.iter().filter(|(nation, _)| gone(nation));
        let held = held.fold(0_u64, |sum, (_, part)| sum.saturating_add(*part)).min(self.in_transit);
        held.saturating_add(if self.stays(gone) { 0 } else { self.to_ship })
    }

    /// Returns what of firm F is offered no more without these nations.
    pub fn withdrawn_without(&self, gone: impl Fn(&NationId) -> bool) -> u64 {
        if self.stays(gone) { 0 } else { self.offered }
    }

    fn stays(&self, gone: impl Fn(&NationId) -> bool) -> bool {
        !gone(&self.donor) && !self.origin.as_ref().is_some_and(gone)
    }
}

impl Need {
    /// Returns what D, T and O leave open, without these nations.
    pub fn gap_without(&self, gone: impl Fn(&NationId) -> bool) -> u64 {
        let lost = self.parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.lost_without(&gone)));
        self.quantity.saturating_sub(self.firm.saturating_sub(lost))
    }

    /// Returns what firm offers leave open of that, too.
    pub fn gap_after_offers_without(&self, gone: impl Fn(&NationId) -> bool) -> u64 {
        let withdrawn = self.parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.withdrawn_without(&gone)));
        self.gap_without(&gone).saturating_sub(self.offered.saturating_sub(withdrawn))
    }
}

/// Returns a part of a whole in millionths, at most all of it, rounded down.
pub fn ppm(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let share = u128::from(part) * u128::from(WHOLE_PPM) / u128::from(whole);
    u64::try_from(share).unwrap_or(WHOLE_PPM).min(WHOLE_PPM)
}

fn part(row: usize, pledge: &PledgeRow) -> Option<Part> {
    let counted = pledge.head.standing == Standing::Counted;
    if !counted && !matches!(pledge.head.standing, Standing::Lapsed | Standing::Standby) {
        return None;
    }
    let buckets = &pledge.buckets;
    let promised = |quantity: u64| if counted { quantity } else { 0 };
    Some(Part {
        row,
        donor: pledge.head.name.nation,
        origin: None,
        delivered: buckets.delivered,
        in_transit: buckets.in_transit,
        custody: pledge.custody.clone(),
        to_ship: promised(buckets.to_ship),
        offered: promised(buckets.offered_firm),
        unit_value: pledge.unit_value.zip(pledge.currency.clone()),
    })
}
