//! Who holds goods on the way (C28), and which legs cannot be passed (C13).

use std::collections::{BTreeMap, BTreeSet};

use super::flags::Flags;
use super::goods::{LineRow, ShipmentState};
use super::movement::{Movement, clamp};
use super::passage::PermitRow;
use super::read::{Item, Reading, find, index};
use super::rows::{FlagCode, Name, Standing};
use crate::ids::{NationId, Timestamp};
use crate::statement::custody::parties;
use crate::statement::ledger::Ledger;
use crate::statement::typed::{Custody, Shipment};

/// States of a change of custody on a leg (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CustodyState {
    /// Neither side said anything.
    #[default]
    Planned,
    /// Released, and there is time left to take over.
    Released,
    /// Released, and not taken over in time.
    Open,
    /// Released and taken over, the same parcels.
    Transferred,
    /// Released and taken over, but not the same parcels.
    Discrepancy,
    /// Taken over, and never released.
    Unilateral,
}

impl CustodyState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Released => "released",
            Self::Open => "custody-open",
            Self::Transferred => "transferred",
            Self::Discrepancy => "custody-discrepancy",
            Self::Unilateral => "unilateral",
        }
    }
}

/// What is found of one leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LegFound {
    /// At its beginning, by its carrier.
    pub(super) carrier: CustodyState,
    /// At its end, by the hub.
    pub(super) hub: CustodyState,
    /// Whether the permit it names does not hold.
    pub(super) blocked: bool,
}

/// What is found of one shipment.
#[derive(Clone, Debug, Default)]
pub(super) struct ShipmentFound {
    pub(super) legs: Vec<LegFound>,
    /// The leg at whose end, in the hub, goods were last taken over.
    pub(super) at_hub: Option<u32>,
}

/// What the pass finds.
pub(super) struct Held {
    pub(super) shipments: Vec<ShipmentFound>,
    /// When the first release runs out that nobody took over yet.
    pub(super) until: Option<Timestamp>,
}

/// A point of the way: the leg, and whether it is its end.
type Point = (u32, bool);

/// Statements about one shipment, by point; places in R8 order.
#[derive(Default)]
struct Said {
    given: BTreeMap<Point, Vec<usize>>,
    taken: BTreeMap<Point, Vec<usize>>,
}

/// Joins what was released and taken over, and finds who holds what moves.
pub(super) fn hold<'a>(
    ledger: &Ledger<'a>,
    reading: &mut Reading<'a>,
    movement: &mut Movement,
    permits: &[PermitRow],
    as_of: Timestamp,
    flags: &mut Flags,
) -> Held {
    let mut given = std::mem::take(&mut reading.hand_overs);
    let mut taken = std::mem::take(&mut reading.take_overs);
    let mut said: Vec<Said> = Vec::new();
    said.resize_with(reading.shipments.len(), Said::default);
    for (own, (at, point)) in links(ledger, reading, &mut given, true, flags) {
        said[at].given.entry(point).or_default().push(own);
    }
    for (own, (at, point)) in links(ledger, reading, &mut taken, false, flags) {
        said[at].taken.entry(point).or_default().push(own);
    }
    let held = {
        let mut joining = Joining { given: &given, taken: &taken, as_of, until: None, flags };
        let mut shipments = Vec::with_capacity(said.len());
        for (at, (shipment, said)) in reading.shipments.iter().zip(&said).enumerate() {
            let moving = movement.lines[at].iter().any(|line| line.in_transit > 0);
            let mut found = joining.shipment(shipment, said, &movement.lines[at]);
            found.at_hub = found.at_hub.filter(|_| moving);
            joining.split(shipment, said, &mut movement.lines[at]);
            shipments.push(found);
        }
        Held { shipments, until: joining.until }
    };
    (reading.hand_overs, reading.take_overs) = (given, taken);
    let mut held = held;
    routes(reading, permits, movement, &mut held, flags);
    held
}

/// Links statements of custody to their shipments and checks who may write them; returns those that count.
fn links<'a>(
    ledger: &Ledger<'a>,
    reading: &Reading<'a>,
    items: &mut [Item<'a, Custody<'a>>],
    giving: bool,
    flags: &mut Flags,
) -> Vec<(usize, (usize, Point))> {
    let places = index(&reading.shipments);
    let mut counted = Vec::new();
    let mut known: BTreeMap<usize, crate::statement::custody::Parties> = BTreeMap::new();
    for (own, item) in items.iter_mut().enumerate() {
        let found = find(&places, &item.says.shipment);
        let leg = usize::try_from(item.says.leg).unwrap_or(usize::MAX);
        let Some(at) = found.filter(|at| leg < reading.shipments[*at].says.legs.len()) else {
            item.standing = Standing::Pending;
            let detail = "names a shipment or leg that is not here".to_owned();
            flags.raise(FlagCode::Pending, [item.name.clone()], [], detail);
            continue;
        };
        let shipment = &reading.shipments[at];
        let parties = known.entry(at).or_insert_with(|| parties(ledger, &shipment.says, shipment.name.nation));
        let hub = item.says.hub.as_ref();
        let allowed = if giving { parties.giving(leg, hub) } else { parties.taking(leg, hub) };
        if !allowed.contains(&item.name.nation) {
            item.standing = Standing::NotAuthorised;
            let mut codes: Vec<String> = allowed.iter().map(|nation| ledger.code(nation)).collect();
            codes.sort_unstable();
            let detail = format!("a {} here is for {} to write", item.name.kind, codes.join(" or "));
            flags.raise(FlagCode::NotAuthorised, [item.name.clone(), shipment.name.clone()], [], detail);
        } else if item.live() {
            counted.push((own, (at, (item.says.leg, hub.is_some()))));
        }
    }
    counted
}

struct Joining<'j, 'a> {
    given: &'j [Item<'a, Custody<'a>>],
    taken: &'j [Item<'a, Custody<'a>>],
    as_of: Timestamp,
    until: Option<Timestamp>,
    flags: &'j mut Flags,
}

impl<'a> Joining<'_, 'a> {
    fn shipment(&mut self, shipment: &Item<'a, Shipment<'a>>, said: &Said, lines: &[LineRow]) -> ShipmentFound {
        let all: BTreeSet<&str> = lines.iter().flat_map(|line| &line.parcels).map(String::as_str).collect();
        let mut found = ShipmentFound { legs: vec![LegFound::default(); shipment.says.legs.len()], at_hub: None };
        for (number, leg) in (0_u32..).zip(&mut found.legs) {
            leg.carrier = self.point(shipment, said, (number, false), &all);
            leg.hub = self.point(shipment, said, (number, true), &all);
        }
        found.at_hub = said.taken.keys().next_back().filter(|(_, hub)| *hub).map(|(leg, _)| *leg);
        found
    }

    fn point(
        &mut self,
        shipment: &Item<'a, Shipment<'a>>,
        said: &Said,
        point: Point,
        all: &BTreeSet<&str>,
    ) -> CustodyState {
        let of = |places: Option<&Vec<usize>>| places.cloned().unwrap_or_default();
        let (given, taken) = (of(said.given.get(&point)), of(said.taken.get(&point)));
        let released = parcels(given.iter().map(|at| &self.given[*at].says), all);
        let took = parcels(taken.iter().map(|at| &self.taken[*at].says), all);
        let names: Vec<Name> = given
            .iter()
            .map(|at| self.given[*at].name.clone())
            .chain(taken.iter().map(|at| self.taken[*at].name.clone()))
            .chain([shipment.name.clone()])
            .collect();
        let codes: Vec<String> = names.iter().map(|name| name.code.clone()).collect();
        let clears = || codes.iter().map(String::as_str);
        let (leg, _) = point;
        match (given.is_empty(), taken.is_empty()) {
            (true, true) => CustodyState::Planned,
            (true, false) => {
                let detail = format!("leg {leg}: taken over, and nobody says who released it");
                self.flags.raise(FlagCode::CustodyUnilateral, names, clears(), detail);
                CustodyState::Unilateral
            }
            (false, true) => {
                let hours = shipment.says.legs.get(usize::try_from(leg).unwrap_or(usize::MAX));
                let limit = hours.map_or(0, |leg| leg.custody_hours) * 3_600_000;
                let last =
                    given.iter().map(|at| self.given[*at].says.at.unwrap_or_else(|| self.given[*at].time())).max();
                let ends = last.unwrap_or_default().plus_ms(limit);
                if self.as_of <= ends {
                    let next = ends.plus_ms(1);
                    self.until = Some(self.until.map_or(next, |first| first.min(next)));
                    return CustodyState::Released;
                }
                let detail = format!("leg {leg}: released, and not taken over within the leg's time");
                self.flags.raise(FlagCode::CustodyOpen, names, clears(), detail);
                CustodyState::Open
            }
            (false, false) if released == took => CustodyState::Transferred,
            (false, false) => {
                let differing: Vec<&str> = released.symmetric_difference(&took).take(8).copied().collect();
                let shown: Vec<String> = differing.iter().map(|mark| crate::statement::visible(mark)).collect();
                let detail = format!("leg {leg}: released and taken over differ in {}", shown.join(" "));
                self.flags.raise(FlagCode::CustodyDiscrepancy, names, clears(), detail);
                CustodyState::Discrepancy
            }
        }
    }

    /// Says who holds what is under way of each line: the consignor, until another takes over. Shares are rounded up.
    fn split(&self, shipment: &Item<'a, Shipment<'a>>, said: &Said, lines: &mut [LineRow]) {
        for line in lines.iter_mut().filter(|line| line.in_transit > 0) {
            let marks: Vec<&str> = line.parcels.iter().map(String::as_str).collect();
            let holder = |mark: Option<&str>| {
                let mut points = said.taken.iter().rev();
                let by = points.find_map(|(_, takers)| {
                    let covers = |at: &&usize| {
                        let says = &self.taken[**at].says;
                        says.parcels.is_empty() || mark.is_some_and(|mark| says.parcels.contains(&mark))
                    };
                    takers.iter().find(covers).map(|at| self.taken[*at].name.nation)
                });
                by.unwrap_or(shipment.name.nation)
            };
            let mut parcels: BTreeMap<NationId, u128> = BTreeMap::new();
            if marks.is_empty() {
                parcels.insert(holder(None), 1);
            }
            marks.iter().for_each(|mark| *parcels.entry(holder(Some(mark))).or_default() += 1);
            let whole = u128::try_from(marks.len().max(1)).unwrap_or(1);
            let share = |part: u128| clamp((u128::from(line.in_transit) * part).div_ceil(whole));
            line.custody = parcels.into_iter().map(|(nation, part)| (nation, share(part))).collect();
        }
    }
}

/// Returns who holds what is under way, by the place of the pledge.
pub(super) fn by_pledge(movement: &Movement) -> BTreeMap<usize, BTreeMap<NationId, u64>> {
    let mut held: BTreeMap<usize, BTreeMap<NationId, u64>> = BTreeMap::new();
    for line in movement.lines.iter().flatten().filter(|line| line.standing == Standing::Counted) {
        let Some(pledge) = line.pledge_row else { continue };
        for (nation, quantity) in &line.custody {
            let sum = held.entry(pledge).or_default().entry(*nation).or_default();
            *sum = sum.saturating_add(*quantity);
        }
    }
    held
}

/// Returns the parcels that statements name; all of the shipment's where one names none.
fn parcels<'p>(says: impl Iterator<Item = &'p Custody<'p>>, all: &BTreeSet<&'p str>) -> BTreeSet<&'p str> {
    let mut named = BTreeSet::new();
    for says in says {
        if says.parcels.is_empty() {
            named.extend(all.iter().copied());
        }
        named.extend(says.parcels.iter().copied());
    }
    named
}

/// Finds legs whose permit does not hold: nothing passes them, and what moves keeps its bucket (C13).
fn routes(reading: &Reading<'_>, permits: &[PermitRow], movement: &Movement, held: &mut Held, flags: &mut Flags) {
    let places = index(&reading.permits);
    for (at, shipment) in reading.shipments.iter().enumerate() {
        let arrived = |line: &LineRow| line.dispatched > 0 && line.in_transit == 0;
        let done = !movement.lines[at].is_empty() && movement.lines[at].iter().all(arrived);
        if !shipment.live() || done {
            continue;
        }
        for (leg, found) in shipment.says.legs.iter().zip(&mut held.shipments[at].legs) {
            let Some(reference) = &leg.permit else { continue };
            let Some(permit) = find(&places, reference) else {
                let detail = "a leg goes by a permit that is not here".to_owned();
                flags.raise(FlagCode::Pending, [shipment.name.clone()], [], detail);
                found.blocked = true;
                continue;
            };
            let row = &permits[permit];
            let other = row.nation.is_some_and(|nation| nation != shipment.name.nation);
            found.blocked = !row.holds || other;
            if found.blocked {
                let why = if other { "is for another nation" } else { "does not hold today" };
                let detail = format!("the permit of a leg {why}");
                let names = [shipment.name.clone(), row.head.name.clone()];
                flags.raise(FlagCode::RouteBlocked, names, [&*shipment.name.code], detail);
            }
        }
    }
}

/// Returns the state of a shipment from that of its lines (DOMAIN 2.4).
pub(super) fn shipment_state(
    live: bool,
    lines: &[LineRow],
    overdue: bool,
    at_hub: bool,
    closed: bool,
) -> ShipmentState {
    let any = |takes: fn(&LineRow) -> bool| lines.iter().any(takes);
    let left = any(|line| line.dispatched > 0);
    let counted = any(|line| line.received > 0);
    let moving = any(|line| line.in_transit > 0);
    if !left && !counted {
        return if live { ShipmentState::Planned } else { ShipmentState::Cancelled };
    }
    if any(|line| line.returned > 0) {
        return ShipmentState::Returning;
    }
    let waiting = any(|line| line.dispatched == 0 && line.received == 0);
    match (counted, moving || waiting) {
        (true, false) if closed => ShipmentState::Closed,
        (true, false) => ShipmentState::Received,
        (true, true) => ShipmentState::PartReceived,
        (false, _) if !moving => ShipmentState::Lost,
        (false, _) if overdue => ShipmentState::Overdue,
        (false, _) if at_hub => ShipmentState::AtHub,
        (false, _) => ShipmentState::Dispatched,
    }
}
