//! Discrepancies and how they are closed: each party settles its half (C15).

use std::collections::{BTreeMap, BTreeSet};

use super::answers::Links;
use super::flags::Flags;
use super::movement::Movement;
use super::read::{Item, Reading, find, index};
use super::rows::{FlagCode, Name, Standing};
use crate::ids::{NationId, Timestamp};
use crate::statement::typed::Settle;
use crate::time::Day;

/// Days after which an open discrepancy is stale.
pub const STALE_DAYS: u32 = 30;

/// States of a discrepancy (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiscrepancyState {
    /// No more than the recipient lets pass.
    WithinTolerance,
    /// Both parties hold the same figures.
    Settled,
    /// The parties hold different figures.
    Disputed,
    /// One party settled its half.
    Proposed,
    /// Open for more than [`STALE_DAYS`].
    Stale,
    /// Nobody settled it.
    Open,
}

impl DiscrepancyState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WithinTolerance => "within tolerance",
            Self::Settled => "settled",
            Self::Disputed => "disputed",
            Self::Proposed => "proposed",
            Self::Stale => "stale",
            Self::Open => "open",
        }
    }
}

/// What arrived of a shipment line is not what left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscrepancyRow {
    /// The shipment.
    pub shipment: Name,
    /// Its place in [`super::View::shipments`].
    pub shipment_row: usize,
    /// The line.
    pub line: u32,
    /// The pledge's place in [`super::View::pledges`].
    pub pledge_row: usize,
    /// Who sent it.
    pub consignor: NationId,
    /// Who counted it, if it is known.
    pub recipient: Option<NationId>,
    /// Base units that left.
    pub dispatched: u64,
    /// Base units that were counted.
    pub received: u64,
    /// `received - dispatched`.
    pub difference: i64,
    /// The claimed time of the last receipt.
    pub since: Timestamp,
    /// Its state.
    pub state: DiscrepancyState,
    /// The settlements that count, each nation's last.
    pub settles: Vec<Name>,
}

/// Finds discrepancies and what was said to close them.
pub(super) fn settle(
    reading: &mut Reading<'_>,
    links: &Links,
    movement: &Movement,
    as_of: Timestamp,
    flags: &mut Flags,
) -> Vec<DiscrepancyRow> {
    let mut settles = std::mem::take(&mut reading.settles);
    let halves = halves(reading, links, movement, &mut settles, flags);
    let mut rows = Vec::with_capacity(movement.differences.len());
    for difference in &movement.differences {
        let shipment = &reading.shipments[difference.shipment];
        let line = &movement.lines[difference.shipment][difference.place];
        let requirement = links.requirement_of[difference.pledge].map(|place| &reading.requirements[place]);
        let receipts = difference.receipts.iter().map(|place| &reading.receipts[*place]);
        let recipient = requirement
            .map(|wanted| &wanted.name)
            .or_else(|| difference.receipts.first().map(|place| &reading.receipts[*place].name));
        let since = receipts.clone().map(Item::time).max().unwrap_or_else(|| shipment.time());
        let own = halves.get(&(difference.shipment, line.line));
        let figures = |place: &usize| {
            let says = &settles[*place].says;
            (says.dispatched.base, says.received.base)
        };
        let all: Vec<usize> = own.into_iter().flat_map(|by| by.values().copied()).collect();
        let size = line.difference.unwrap_or(0);
        let tolerance = requirement.map_or(0, |wanted| wanted.says.tolerance);
        let state = match all.as_slice() {
            _ if size.unsigned_abs() <= tolerance => DiscrepancyState::WithinTolerance,
            [one, other, ..] if figures(one) == figures(other) => DiscrepancyState::Settled,
            [_, _, ..] => DiscrepancyState::Disputed,
            [_] => DiscrepancyState::Proposed,
            [] if Day::of(since).plus(STALE_DAYS).passed(as_of) => DiscrepancyState::Stale,
            [] => DiscrepancyState::Open,
        };
        if !matches!(state, DiscrepancyState::WithinTolerance | DiscrepancyState::Settled) {
            let detail = format!(
                "line {}: {} counted, {} dispatched, difference {size:+}",
                line.line, line.received, line.dispatched
            );
            let pledge = reading.pledges[difference.pledge].name.clone();
            let names = [shipment.name.clone(), pledge].into_iter();
            let names = names.chain(receipts.map(|receipt| receipt.name.clone()));
            let clears = std::iter::once(&*shipment.name.code).chain(recipient.map(|name| &*name.code));
            flags.raise(FlagCode::Discrepancy, names, clears, detail);
        }
        rows.push(DiscrepancyRow {
            shipment: shipment.name.clone(),
            shipment_row: difference.shipment,
            line: line.line,
            pledge_row: difference.pledge,
            consignor: shipment.name.nation,
            recipient: recipient.map(|name| name.nation),
            dispatched: line.dispatched,
            received: line.received,
            difference: size,
            since,
            state,
            settles: all.iter().map(|place| settles[*place].name.clone()).collect(),
        });
    }
    reading.settles = settles;
    rows
}

/// The halves of each line's settlement: the place of the last live one of each party, by nation.
type Halves = BTreeMap<(usize, u32), BTreeMap<NationId, usize>>;

fn halves<'a>(
    reading: &Reading<'a>,
    links: &Links,
    movement: &Movement,
    settles: &mut [Item<'a, Settle<'a>>],
    flags: &mut Flags,
) -> Halves {
    let places = index(&reading.shipments);
    let receipts = reading.receipts.iter().zip(&movement.receipt_of);
    let counters: BTreeSet<(usize, u32, NationId)> = receipts
        .filter_map(|(receipt, shipment)| Some(((*shipment)?, receipt.says.line, receipt.name.nation)))
        .collect();
    let mut halves = Halves::new();
    for (own, settle) in settles.iter_mut().enumerate() {
        let found = find(&places, &settle.says.shipment);
        let line = found.and_then(|at| {
            let line = movement.lines[at].iter().find(|line| line.line == settle.says.line)?;
            Some((at, line))
        });
        let Some((at, line)) = line else {
            settle.standing = Standing::Pending;
            let detail = "names a shipment or line that is not here".to_owned();
            flags.raise(FlagCode::Pending, [settle.name.clone()], [], detail);
            continue;
        };
        let shipment = &reading.shipments[at];
        let requirement = line.pledge_row.and_then(|pledge| links.requirement_of[pledge]);
        let recipient = requirement.map(|place| reading.requirements[place].name.nation);
        // Where nobody says whose need it is, those who counted it receive it.
        let counted = || counters.contains(&(at, line.line, settle.name.nation));
        let party = recipient.map_or_else(counted, |nation| nation == settle.name.nation);
        if settle.name.nation != shipment.name.nation && !party {
            settle.standing = Standing::NotAuthorised;
            let detail = "only the consignor and the recipient of the line settle it".to_owned();
            let names = [settle.name.clone(), shipment.name.clone()];
            flags.raise(FlagCode::NotAuthorised, names, [], detail);
            continue;
        }
        let same_unit = settle.says.dispatched.base_unit() == line.unit;
        if !same_unit {
            settle.standing = Standing::UnitUnknown;
            let detail = "its unit cannot be compared with the line's".to_owned();
            let names = [settle.name.clone(), shipment.name.clone()];
            flags.raise(FlagCode::UnitUnknown, names, [&*settle.name.code], detail);
            continue;
        }
        if settle.says.shipment.version.is_some_and(|pin| pin != shipment.version.source.envelope) {
            let names = [settle.name.clone(), shipment.name.clone()];
            let detail = "pins a version that is no longer the latest".to_owned();
            flags.raise(FlagCode::ChangedSince, names, [&*settle.name.code], detail);
        }
        if settle.live() {
            halves.entry((at, settle.says.line)).or_default().insert(settle.name.nation, own);
        }
    }
    halves
}

/// Returns the shipments of which every line that differs is settled, and at least one differs.
pub(super) fn closed(rows: &[DiscrepancyRow]) -> BTreeSet<usize> {
    let of = |settled: bool| {
        let fits = rows.iter().filter(move |row| (row.state == DiscrepancyState::Settled) == settled);
        fits.map(|row| row.shipment_row).collect::<BTreeSet<_>>()
    };
    &of(true) - &of(false)
}
