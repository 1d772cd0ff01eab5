//! Fourth pass: buckets of each pledge, one count of the same goods, sums of each requirement (DOMAIN 2.4, 2.5).

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Answered, Links};
use super::flags::Flags;
use super::movement::{Moved, clamp};
use super::read::Item;
use super::rows::{Buckets, Cover, FlagCode, Overlay, PledgeState, RequirementState, Standing};
use crate::ids::{NationId, Timestamp};
use crate::statement::typed::{Pledge, Requirement, Says, Statement};
use crate::statement::{Kind, Status};
use crate::time::Day;

/// Longest validity of a requirement, in days after the claimed time of its last revision (DOMAIN 1, lapse).
const VALID_DAYS: u32 = 90;

/// Returns state and buckets of one pledge. `paused`: a notice pauses it (C27). `room`: how much of what is still to come is
/// backed by stock and consent, the rest being conditional (C1, C12); `None`: all of it.
pub(super) fn pledge(
    pledge: &Item<'_, Pledge<'_>>,
    answered: &Answered,
    moved: &Moved,
    (paused, room): (bool, Option<u128>),
    as_of: Timestamp,
) -> (PledgeState, Buckets) {
    let quantity = u128::from(pledge.says.quantity.base);
    let delivered = moved.good;
    let in_transit = moved.dispatched.saturating_sub(moved.good + moved.not_good + moved.lost);
    let facts = delivered + in_transit;
    let withdrawn = !pledge.live() || paused;
    let contested = withdrawn && answered.contested;
    let expired = pledge.says.expires.is_some_and(|day| day.passed(as_of)) && moved.dispatched == 0;
    let unanswered = answered.accepted == 0 && answered.stale == 0;
    let declined = answered.declined && unanswered;
    // What offers nothing more counts as what it moved.
    let ended = withdrawn || expired || declined;
    let pledged = if ended { facts } else { quantity };
    let backed = room.map_or(pledged, |room| pledged.min(facts + room));
    let unbacked = pledged > facts && backed <= facts;
    let conditional = !pledge.says.conditions.is_empty() || unbacked;
    let accepted = if conditional || contested { 0 } else { answered.accepted.min(backed) };
    let to_ship = accepted.saturating_sub(facts);
    let offered = pledged.saturating_sub(accepted.max(facts));
    // What is not backed is conditional first; what was accepted of an older version is so beside it.
    let short = pledged.saturating_sub(backed.max(facts));
    let offered_conditional = if conditional { offered } else { (answered.stale + short).min(offered) };
    let stale = answered.stale > 0 && accepted == 0;
    let state = if delivered >= quantity {
        PledgeState::Delivered
    } else if contested {
        PledgeState::Contested
    } else if withdrawn {
        PledgeState::Withdrawn
    } else if expired {
        PledgeState::Expired
    } else if delivered > 0 {
        PledgeState::PartDelivered
    } else if in_transit > 0 {
        PledgeState::InTransit
    } else if stale {
        PledgeState::StaleAccept
    } else if conditional && !declined {
        PledgeState::Conditional
    } else if accepted >= quantity {
        PledgeState::Accepted
    } else if accepted > 0 {
        PledgeState::PartAccepted
    } else if declined {
        PledgeState::Declined
    } else {
        PledgeState::Offered
    };
    let buckets = Buckets {
        pledged: clamp(pledged),
        accepted: clamp(accepted),
        dispatched: clamp(moved.dispatched),
        delivered: clamp(delivered),
        not_good: clamp(moved.not_good),
        lost: clamp(moved.lost),
        in_transit: clamp(in_transit),
        to_ship: clamp(to_ship),
        offered_firm: clamp(offered - offered_conditional),
        offered_conditional: clamp(offered_conditional),
    };
    (state, buckets)
}

/// Lets pledges that share an external reference count once (C2): the holder of the lot's, else the one of lower coverage,
/// else the first in R8 order, which is the order of `pledges`.
pub(super) fn count_once(
    pledges: &mut [Item<'_, Pledge<'_>>],
    states: &[PledgeState],
    buckets: &mut [Buckets],
    flags: &mut Flags,
) {
    let offers =
        |state: &PledgeState| !matches!(state, PledgeState::Withdrawn | PledgeState::Expired | PledgeState::Declined);
    let mut candidates: Vec<usize> = (0..pledges.len())
        .filter(|place| {
            let pledge = &pledges[*place];
            pledge.standing == Standing::Counted && !pledge.ext_refs.is_empty() && offers(&states[*place])
        })
        .collect();
    candidates.sort_by_key(|place| {
        let sums = &buckets[*place];
        let firm = u128::from(sums.delivered) + u128::from(sums.in_transit) + u128::from(sums.to_ship);
        (pledges[*place].says.lot.is_none(), firm, sums.pledged, *place)
    });
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut doubles: Vec<(usize, usize, &str)> = Vec::new();
    for place in candidates {
        let refs = || pledges[place].ext_refs.iter().map(|reference| reference.trim());
        match refs().find_map(|reference| Some((*taken.get(reference)?, reference))) {
            Some((first, reference)) => doubles.push((place, first, reference)),
            None => taken.extend(refs().map(|reference| (reference, place))),
        }
    }
    for (place, first, reference) in doubles {
        let names = [pledges[place].name.clone(), pledges[first].name.clone()];
        let detail = format!("both name {}; {} counts", crate::statement::visible(reference), pledges[first].name);
        flags.raise(FlagCode::SameGoods, names, [&*pledges[place].name.code, &*pledges[first].name.code], detail);
        pledges[place].standing = Standing::SameGoods;
        let sums = &mut buckets[place];
        sums.pledged = sums.delivered;
        (sums.accepted, sums.in_transit, sums.to_ship) = (0, 0, 0);
        (sums.offered_firm, sums.offered_conditional) = (0, 0);
    }
}

/// What one requirement comes to.
pub(super) struct Covered {
    pub(super) state: RequirementState,
    pub(super) valid_until: Day,
    pub(super) cover: Cover,
    pub(super) overlays: Vec<Overlay>,
    pub(super) phases: super::phase::Phases,
    pub(super) suggested: Vec<(usize, u64)>,
}

/// What the sums of a requirement are made from.
pub(super) struct Sums<'r, 'a> {
    /// The requirement.
    pub(super) requirement: &'r Item<'a, Requirement<'a>>,
    /// Its pledges, in R8 order.
    pub(super) pledges: &'r [usize],
    /// Acceptances that stand, by pledge.
    pub(super) accepts: &'r BTreeMap<usize, Vec<usize>>,
}

/// Computes a requirement's sums, and lets its pledges lapse with it (C3, C4, C7, C8).
pub(super) fn requirement(
    sums: &Sums<'_, '_>,
    reading: &mut ReadingPledges<'_, '_>,
    links: &Links,
    buckets: &[Buckets],
    as_of: Timestamp,
    flags: &mut Flags,
) -> Covered {
    let requirement = sums.requirement;
    let last = Day::of(requirement.time()).plus(VALID_DAYS);
    let valid_until = requirement.says.valid_until.map_or(last, |day| day.min(last));
    let quantity = u128::from(requirement.says.quantity.base);
    let mut add = Adding::default();
    let fulfilled = sums
        .pledges
        .iter()
        .filter(|place| counts_delivery(reading.pledges[**place].standing))
        .map(|place| u128::from(buckets[*place].delivered))
        .sum::<u128>()
        >= quantity;
    let lapsed = requirement.live() && valid_until.passed(as_of) && !fulfilled;
    for place in sums.pledges {
        let pledge = &mut reading.pledges[*place];
        if lapsed && pledge.standing == Standing::Counted {
            pledge.standing = Standing::Lapsed;
        }
        add.pledge(pledge.name.nation, pledge.standing, &buckets[*place], links.answered[*place].accepted);
    }
    let need = match requirement.status {
        Status::Withdrawn => 0,
        Status::Closed => quantity.min(add.delivered),
        Status::Live if lapsed => 0,
        Status::Live => quantity,
    };
    let firm = add.delivered + add.in_transit + add.to_ship;
    let gap_firm = need.saturating_sub(firm);
    let gap_after_offers = gap_firm.saturating_sub(add.offered_firm);
    let surplus = if lapsed { 0 } else { firm.saturating_sub(need) };
    let cover = Cover {
        delivered: clamp(add.delivered),
        in_transit: clamp(add.in_transit),
        to_ship: clamp(add.to_ship),
        offered_firm: clamp(add.offered_firm),
        offered_conditional: clamp(add.offered_conditional),
        contingent: clamp(add.contingent),
        gap_firm: clamp(gap_firm),
        gap_after_offers: clamp(gap_after_offers),
        gap_if_all: clamp(gap_after_offers.saturating_sub(add.offered_conditional)),
        surplus: clamp(surplus),
    };
    let offers = add.offered_firm + add.offered_conditional;
    let state = state(requirement.status, lapsed, &add, quantity, gap_firm);
    let mut overlays = Vec::new();
    let open = requirement.live() && !lapsed;
    if open && !fulfilled && requirement.says.needed_by.is_some_and(|day| day.passed(as_of)) {
        overlays.push(Overlay::Late);
    }
    let judged = Judged { need, firm, offers, surplus, accepted: add.accepted, lapsed };
    judged.flag(sums, reading, buckets, &mut overlays, flags);
    let largest = add.donors.values().copied().max().unwrap_or(0);
    if open && gap_firm == 0 && !fulfilled && largest > surplus {
        overlays.push(Overlay::Fragile);
    }
    let phasing = super::phase::Phasing { pledges: reading.pledges, buckets, arrivals: reading.arrivals, as_of };
    let phases = phasing.of(requirement, valid_until, need, sums.pledges);
    let suggested = phasing.split(sums.pledges, gap_firm);
    Covered { state, valid_until, cover, overlays, phases, suggested }
}

fn state(status: Status, lapsed: bool, add: &Adding, quantity: u128, gap_firm: u128) -> RequirementState {
    let firm = add.delivered + add.in_transit + add.to_ship;
    match status {
        Status::Withdrawn => RequirementState::Withdrawn,
        Status::Closed => RequirementState::Closed,
        Status::Live if lapsed => RequirementState::Lapsed,
        Status::Live if add.delivered >= quantity => RequirementState::Fulfilled,
        Status::Live if gap_firm == 0 => RequirementState::Covered,
        Status::Live if firm > 0 => RequirementState::PartCovered,
        Status::Live if add.offered_firm + add.offered_conditional > 0 => RequirementState::Offered,
        Status::Live => RequirementState::Open,
    }
}

/// The pledges of a reading, apart from its requirements.
pub(super) struct ReadingPledges<'r, 'a> {
    pub(super) pledges: &'r mut [Item<'a, Pledge<'a>>],
    pub(super) accepts: &'r [super::rows::Name],
    pub(super) arrivals: &'r [Vec<(Option<Day>, u64)>],
}

fn counts_delivery(standing: Standing) -> bool {
    matches!(standing, Standing::Counted | Standing::SameGoods | Standing::Lapsed | Standing::Standby)
}

#[derive(Default)]
struct Adding {
    delivered: u128,
    in_transit: u128,
    to_ship: u128,
    offered_firm: u128,
    offered_conditional: u128,
    contingent: u128,
    accepted: u128,
    /// What the loss of each donor would take away.
    donors: BTreeMap<NationId, u128>,
}

impl Adding {
    fn pledge(&mut self, donor: NationId, standing: Standing, buckets: &Buckets, accepted: u128) {
        if counts_delivery(standing) {
            self.delivered += u128::from(buckets.delivered);
        }
        if matches!(standing, Standing::Counted | Standing::Lapsed | Standing::Standby) {
            self.in_transit += u128::from(buckets.in_transit);
        }
        if standing == Standing::Standby {
            let offered = u128::from(buckets.offered_firm) + u128::from(buckets.offered_conditional);
            self.contingent += offered + u128::from(buckets.to_ship);
        }
        if standing == Standing::Counted {
            self.to_ship += u128::from(buckets.to_ship);
            self.offered_firm += u128::from(buckets.offered_firm);
            self.offered_conditional += u128::from(buckets.offered_conditional);
            // An acceptance that is cut counts as it was given: that is what was accepted beyond the need.
            self.accepted += if buckets.accepted == 0 { 0 } else { accepted.min(buckets.pledged.into()) };
            *self.donors.entry(donor).or_default() += u128::from(buckets.in_transit) + u128::from(buckets.to_ship);
        }
    }
}

struct Judged {
    need: u128,
    firm: u128,
    offers: u128,
    surplus: u128,
    accepted: u128,
    lapsed: bool,
}

impl Judged {
    fn flag(
        &self,
        sums: &Sums<'_, '_>,
        reading: &ReadingPledges<'_, '_>,
        buckets: &[Buckets],
        overlays: &mut Vec<Overlay>,
        flags: &mut Flags,
    ) {
        let requirement = sums.requirement;
        let code = requirement.name.code.as_str();
        let named = |takes: &dyn Fn(&Buckets) -> bool| {
            let pledges = sums.pledges.iter().filter(|place| takes(&buckets[**place]));
            std::iter::once(requirement.name.clone())
                .chain(pledges.map(|place| reading.pledges[*place].name.clone()))
                .collect::<Vec<_>>()
        };
        let offering = |sums: &Buckets| sums.offered_firm > 0 || sums.offered_conditional > 0;
        let moving = |sums: &Buckets| sums.in_transit > 0 || sums.to_ship > 0;
        if self.lapsed {
            let under_way = named(&|sums| offering(sums) || moving(sums));
            if under_way.len() > 1 {
                let detail = "the requirement lapsed while pledges to it are under way".to_owned();
                flags.raise(FlagCode::LapsedWithOffers, under_way, [code], detail);
            }
            return;
        }
        if requirement.live() && self.offers > 0 && self.firm + self.offers > self.need {
            overlays.push(Overlay::OverSubscribed);
            let detail = format!("{} pledged towards {}", self.firm + self.offers, self.need);
            flags.raise(FlagCode::OverSubscribed, named(&offering), [code], detail);
        }
        if self.surplus == 0 {
            return;
        }
        if !requirement.live() || lowered(requirement, self.firm) {
            let detail = format!("{} more is delivered, under way or to ship than is needed now", self.surplus);
            flags.raise(FlagCode::Surplus, named(&|sums| moving(sums) || sums.delivered > 0), [code], detail);
        } else if self.accepted > self.need {
            overlays.push(Overlay::OverAccepted);
            let accepted = sums.pledges.iter().filter_map(|place| sums.accepts.get(place)).flatten();
            let names = named(&|sums| sums.accepted > 0);
            let accepted = accepted.map(|place| reading.accepts[*place].clone());
            let detail = format!("{} accepted towards {}", self.accepted, self.need);
            flags.raise(FlagCode::OverAccepted, names.into_iter().chain(accepted), [code], detail);
        }
    }
}

/// Whether an earlier version of the requirement asked for all that now covers it.
fn lowered(requirement: &Item<'_, Requirement<'_>>, firm: u128) -> bool {
    let dimension = requirement.says.quantity.known_unit().map(|unit| unit.dimension);
    let earlier = requirement.record.versions.values().filter(|version| version.replaced);
    let mut asked =
        earlier.filter_map(|version| match Statement::read(Kind::Requirement, &version.fields).ok()?.says {
            Says::Requirement(says) if says.quantity.known_unit().map(|unit| unit.dimension) == dimension => {
                Some(u128::from(says.quantity.base))
            }
            _ => None,
        });
    asked.any(|asked| asked >= firm)
}

/// The codes each row shows, its own and those of what it is made from.
pub(super) fn codes(own: BTreeSet<FlagCode>, below: impl IntoIterator<Item = FlagCode>) -> Vec<FlagCode> {
    let mut all = own;
    all.extend(below);
    all.into_iter().collect()
}
