//! Cover day by day, the split that is suggested among offers, and who endorsed a need (DOMAIN 2.5, C3).

use std::collections::BTreeMap;

use super::flags::Flags;
use super::movement::{Movement, clamp};
use super::read::{Item, Pins, Reading, find, index};
use super::rows::{Buckets, FlagCode, Standing};
use crate::ids::{NationId, Timestamp};
use crate::statement::typed::{Pledge, Requirement};
use crate::time::Day;

/// What is there by the end of a day, in base units: what was delivered, and what is to arrive by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseRow {
    /// The day.
    pub day: Day,
    /// D, and T and O that arrive by then.
    pub firm: u64,
    /// Firm offers that arrive by then.
    pub offered_firm: u64,
    /// Conditional offers that arrive by then.
    pub offered_conditional: u64,
    /// What `firm` leaves open of the need.
    pub gap_firm: u64,
    /// What firm offers leave open of that.
    pub gap_after_offers: u64,
    /// What conditional offers leave open of that.
    pub gap_if_all: u64,
}

/// The cover of a requirement over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// The days on which something is to arrive or the need falls due, ascending. What has no day, or whose day passed and did
    /// not come, is in none of them.
    pub days: Vec<PhaseRow>,
    /// First day on which the need exceeds what is firm by then. The need counts from `needed_by`, or, without one, from the
    /// last day of its validity.
    pub uncovered_from: Option<Day>,
}

/// What may arrive on one day.
#[derive(Clone, Copy, Default)]
struct Arriving {
    firm: u128,
    offered_firm: u128,
    offered_conditional: u128,
}

/// When goods under way arrive, by pledge: the latest day of each line's shipment, with what is under way of it.
pub(super) fn arrivals(reading: &Reading<'_>, movement: &Movement) -> Vec<Vec<(Option<Day>, u64)>> {
    let mut arrivals = vec![Vec::new(); reading.pledges.len()];
    for (shipment, lines) in reading.shipments.iter().zip(&movement.lines) {
        let eta = shipment.says.legs.iter().filter_map(|leg| leg.eta).max();
        for line in lines.iter().filter(|line| line.standing == Standing::Counted && line.in_transit > 0) {
            if let Some(pledge) = line.pledge_row {
                arrivals[pledge].push((eta, line.in_transit));
            }
        }
    }
    arrivals
}

/// What phases are made from.
pub(super) struct Phasing<'p, 'a> {
    pub(super) pledges: &'p [Item<'a, Pledge<'a>>],
    pub(super) buckets: &'p [Buckets],
    pub(super) arrivals: &'p [Vec<(Option<Day>, u64)>],
    pub(super) as_of: Timestamp,
}

impl Phasing<'_, '_> {
    /// Returns the cover of one requirement over time; `need` is what counts of it.
    pub(super) fn of(
        &self,
        requirement: &Item<'_, Requirement<'_>>,
        valid_until: Day,
        need: u128,
        places: &[usize],
    ) -> Phases {
        let today = Day::of(self.as_of);
        let due = requirement.says.needed_by.unwrap_or(valid_until);
        let mut days: BTreeMap<Day, Arriving> = BTreeMap::from([(due, Arriving::default())]);
        let mut there = 0_u128;
        let coming = |day: Option<Day>| day.filter(|day| *day >= today);
        for place in places {
            let (pledge, sums) = (&self.pledges[*place], &self.buckets[*place]);
            if !matches!(pledge.standing, Standing::Counted | Standing::SameGoods | Standing::Standby) {
                continue;
            }
            there += u128::from(sums.delivered);
            if pledge.standing == Standing::SameGoods {
                continue;
            }
            let mut moving = u128::from(sums.in_transit);
            for (eta, quantity) in &self.arrivals[*place] {
                let part = u128::from(*quantity).min(moving);
                moving -= part;
                if let Some(day) = coming(eta.or(pledge.says.deliver_by)) {
                    days.entry(day).or_default().firm += part;
                }
            }
            if pledge.standing == Standing::Standby {
                continue;
            }
            if let Some(day) = coming(pledge.says.deliver_by) {
                let day = days.entry(day).or_default();
                day.firm += u128::from(sums.to_ship);
                day.offered_firm += u128::from(sums.offered_firm);
                day.offered_conditional += u128::from(sums.offered_conditional);
            }
        }
        let mut sum = Arriving { firm: there, ..Arriving::default() };
        let mut phases = Phases::default();
        for (day, arriving) in days {
            sum.firm += arriving.firm;
            sum.offered_firm += arriving.offered_firm;
            sum.offered_conditional += arriving.offered_conditional;
            let need = if day >= due { need } else { 0 };
            let gap = need.saturating_sub(sum.firm);
            let after = gap.saturating_sub(sum.offered_firm);
            if gap > 0 && phases.uncovered_from.is_none() {
                phases.uncovered_from = Some(day);
            }
            phases.days.push(PhaseRow {
                day,
                firm: clamp(sum.firm),
                offered_firm: clamp(sum.offered_firm),
                offered_conditional: clamp(sum.offered_conditional),
                gap_firm: clamp(gap),
                gap_after_offers: clamp(after),
                gap_if_all: clamp(after.saturating_sub(sum.offered_conditional)),
            });
        }
        phases
    }

    /// Suggests how much of each firm offer to accept, so that the gap closes (C3): in R8 order, and of offers claimed at one
    /// moment first that of the donor on whom least depends by then. Nothing is accepted by it.
    pub(super) fn split(&self, places: &[usize], gap: u128) -> Vec<(usize, u64)> {
        let mut gap = gap;
        let mut shares: BTreeMap<NationId, u128> = BTreeMap::new();
        for place in places {
            let sums = &self.buckets[*place];
            let held = u128::from(sums.in_transit) + u128::from(sums.to_ship);
            *shares.entry(self.pledges[*place].name.nation).or_default() += held;
        }
        let offers =
            |place: &usize| self.pledges[*place].standing == Standing::Counted && self.buckets[*place].offered_firm > 0;
        let mut open: Vec<usize> = places.iter().copied().filter(offers).collect();
        let mut split = Vec::new();
        while gap > 0 && !open.is_empty() {
            let first = self.pledges[open[0]].time();
            let same = open.iter().take_while(|place| self.pledges[**place].time() == first).count();
            let share = |at: &usize| shares.get(&self.pledges[open[*at]].name.nation).copied().unwrap_or(0);
            let next = (0..same).min_by_key(|at| (share(at), *at)).unwrap_or(0);
            let place = open.remove(next);
            let taken = u128::from(self.buckets[place].offered_firm).min(gap);
            gap -= taken;
            *shares.entry(self.pledges[place].name.nation).or_default() += taken;
            split.push((place, clamp(taken)));
        }
        split
    }
}

/// Returns the codes of the nations that endorse each requirement, each once, ascending.
pub(super) fn endorse(reading: &mut Reading<'_>, flags: &mut Flags) -> Vec<Vec<String>> {
    let places = index(&reading.requirements);
    let mut by: Vec<Vec<String>> = vec![Vec::new(); reading.requirements.len()];
    let mut pins = Pins::default();
    for endorsement in &mut reading.endorsements {
        let reference = endorsement.says.requirement.clone();
        let found = find(&places, &reference)
            .and_then(|at| Some((at, pins.version(at, &reading.requirements[at], &reference)?)));
        let Some((at, version)) = found else {
            endorsement.standing = Standing::Pending;
            let detail = "names a version of a requirement that is not here".to_owned();
            flags.raise(FlagCode::Pending, [endorsement.name.clone()], [], detail);
            continue;
        };
        if !endorsement.live() {
            continue;
        }
        let requirement = &reading.requirements[at];
        if version.source.envelope != requirement.version.source.envelope {
            let names = [endorsement.name.clone(), requirement.name.clone()];
            let detail = "pins a version that is no longer the latest".to_owned();
            flags.raise(FlagCode::ChangedSince, names, [&*endorsement.name.code], detail);
        }
        by[at].push(endorsement.name.code.clone());
    }
    for codes in &mut by {
        codes.sort_unstable();
        codes.dedup();
    }
    by
}
