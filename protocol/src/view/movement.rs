//! Third pass: shipments, dispatches, losses and receipts to the lines they are about, and lines to their pledges.

use std::collections::BTreeMap;

use super::answers::Links;
use super::flags::Flags;
use super::goods::LineRow;
use super::line::{Counts, LineFacts};
use super::read::{Item, Pins, Reading, find, index};
use super::rows::{FlagCode, Name, Standing};
use crate::ids::NationId;
use crate::statement::Kind;
use crate::statement::ledger::Ledger;
use crate::statement::reference::Ref;
use crate::statement::typed::{
    Damage, Dispatch, LossReport, Quantity, Receipt, Says, Shipment, ShipmentLine, Statement,
};

/// What moved of one pledge, in base units.
#[derive(Clone, Copy, Default)]
pub(super) struct Moved {
    /// S.
    pub(super) dispatched: u128,
    /// G.
    pub(super) good: u128,
    /// X.
    pub(super) not_good: u128,
    /// L.
    pub(super) lost: u128,
}

/// A line while statements about it are gathered.
struct Line<'a> {
    says: ShipmentLine<'a>,
    pledge: Option<usize>,
    standing: Standing,
    /// Whether a dispatch fixed what the line is.
    departed: bool,
    largest: u128,
    total: u128,
    receipts: Vec<usize>,
    losses: Vec<usize>,
}

/// What the pass finds.
pub(super) struct Movement {
    /// By pledge.
    pub(super) moved: Vec<Moved>,
    /// The lines of each shipment.
    pub(super) lines: Vec<Vec<LineRow>>,
    /// The shipment of each dispatch, loss and receipt.
    pub(super) dispatch_of: Vec<Option<usize>>,
    /// See above.
    pub(super) loss_of: Vec<Option<usize>>,
    /// See above.
    pub(super) receipt_of: Vec<Option<usize>>,
}

/// Gathers what moved.
pub(super) fn gather(ledger: &Ledger<'_>, reading: &mut Reading<'_>, links: &Links, flags: &mut Flags) -> Movement {
    let mut dispatches = std::mem::take(&mut reading.dispatches);
    let mut losses = std::mem::take(&mut reading.losses);
    let mut receipts = std::mem::take(&mut reading.receipts);
    let reading_now: &Reading<'_> = reading;
    let mut gathering = Gathering {
        reading: reading_now,
        links,
        flags,
        pledges: index(&reading_now.pledges),
        shipments: index(&reading_now.shipments),
        lines: Vec::new(),
    };
    gathering.plan();
    let dispatch_of = gathering.dispatches(&mut dispatches);
    let loss_of = gathering.losses(&mut losses);
    let receipt_of = gathering.receipts(&mut receipts);
    let lines = gathering.lines;
    let mut closing = Closing {
        ledger,
        reading: reading_now,
        links,
        flags,
        moved: vec![Moved::default(); reading_now.pledges.len()],
    };
    let mut rows = Vec::with_capacity(lines.len());
    for (shipment, lines) in reading_now.shipments.iter().zip(&lines) {
        let row = |(number, line): (&u32, &Line<'_>)| {
            let facts = LineFacts {
                item: line.pledge.map_or("", |pledge| reading_now.pledges[pledge].says.item),
                dispatched: line.total.min(line.says.quantity.base.into()).max(line.largest),
                receipts: line.receipts.iter().map(|place| &receipts[*place]).collect(),
                losses: line.losses.iter().map(|place| &losses[*place]).collect(),
            };
            closing.row(&shipment.name, *number, line, &facts)
        };
        rows.push(lines.iter().map(row).collect());
    }
    let moved = closing.moved;
    (reading.dispatches, reading.losses, reading.receipts) = (dispatches, losses, receipts);
    Movement { moved, lines: rows, dispatch_of, loss_of, receipt_of }
}

struct Gathering<'r, 'a> {
    reading: &'r Reading<'a>,
    links: &'r Links,
    flags: &'r mut Flags,
    pledges: super::read::Index<'r>,
    shipments: super::read::Index<'r>,
    /// By shipment, then by line number.
    lines: Vec<BTreeMap<u32, Line<'a>>>,
}

impl<'r, 'a> Gathering<'r, 'a> {
    /// Sets up the lines as their shipments' latest versions state them.
    fn plan(&mut self) {
        for shipment in &self.reading.shipments {
            let mut lines = BTreeMap::new();
            for (number, says) in &shipment.says.lines {
                let line = self.line(shipment.name.nation, says.clone());
                self.flag_line(&shipment.name, *number, &line);
                lines.insert(*number, line);
            }
            self.lines.push(lines);
        }
    }

    fn line(&self, consignor: NationId, says: ShipmentLine<'a>) -> Line<'a> {
        let pledge = find(&self.pledges, Kind::Pledge, &says.pledge);
        let dimension = |quantity: &Quantity<'_>| quantity.known_unit().map(|unit| unit.dimension);
        let standing = match pledge.map(|place| &self.reading.pledges[place]) {
            None => Standing::Pending,
            Some(pledge) if pledge.standing == Standing::Pending => Standing::Pending,
            Some(pledge) if pledge.name.nation != consignor => Standing::NotAuthorised,
            Some(pledge)
                if dimension(&says.quantity).is_none()
                    || dimension(&says.quantity) != dimension(&pledge.says.quantity) =>
            {
                Standing::UnitUnknown
            }
            Some(_) => Standing::Counted,
        };
        Line { says, pledge, standing, departed: false, largest: 0, total: 0, receipts: Vec::new(), losses: Vec::new() }
    }

    fn flag_line(&mut self, shipment: &Name, number: u32, line: &Line<'_>) {
        let pledge = line.pledge.map(|place| &self.reading.pledges[place].name);
        let names = std::iter::once(shipment.clone()).chain(pledge.cloned());
        match line.standing {
            Standing::Pending => {
                let detail = format!("line {number} is for a pledge that is not here, or waits with it");
                self.flags.raise(FlagCode::Pending, names, [], detail);
            }
            Standing::NotAuthorised => {
                let detail = format!("line {number} is for a pledge of another nation, which alone may send it");
                self.flags.raise(FlagCode::NotAuthorised, names, [], detail);
            }
            Standing::UnitUnknown => {
                let detail = format!("the unit of line {number} cannot be compared with the pledge's");
                self.flags.raise(FlagCode::UnitUnknown, names, [&*shipment.code], detail);
            }
            Standing::Counted | Standing::SameGoods | Standing::Lapsed => {}
        }
    }

    fn pending<T>(&mut self, item: &mut Item<'_, T>) {
        item.standing = Standing::Pending;
        let detail = "names a shipment, version or line that is not here, or waits with it".to_owned();
        self.flags.raise(FlagCode::Pending, [item.name.clone()], [], detail);
    }

    fn not_authorised<T>(&mut self, item: &mut Item<'_, T>, shipment: &Name, whose: &str) {
        item.standing = Standing::NotAuthorised;
        let detail = format!("a {} of this shipment is for {whose} to write", item.name.kind);
        self.flags.raise(FlagCode::NotAuthorised, [item.name.clone(), shipment.clone()], [], detail);
    }

    fn dispatches(&mut self, dispatches: &mut [Item<'a, Dispatch>]) -> Vec<Option<usize>> {
        let mut pins = Pins::default();
        let mut places = Vec::with_capacity(dispatches.len());
        for dispatch in dispatches {
            let place = find(&self.shipments, Kind::Shipment, &dispatch.says.shipment);
            places.push(place);
            let pinned = place.and_then(|place| {
                let shipment = &self.reading.shipments[place];
                let version = pins.version(place, shipment, &dispatch.says.shipment)?;
                let statement = Statement::read(Kind::Shipment, &version.fields).ok()?;
                Some((place, version.source.envelope, statement))
            });
            let Some((place, envelope, Statement { says: Says::Shipment(says), .. })) = pinned else {
                self.pending(dispatch);
                continue;
            };
            let shipment = &self.reading.shipments[place];
            if shipment.name.nation != dispatch.name.nation {
                self.not_authorised(dispatch, &shipment.name, &shipment.name.code);
                continue;
            }
            if envelope != shipment.version.source.envelope {
                let names = [dispatch.name.clone(), shipment.name.clone()];
                let detail = "pins a version that is no longer the latest".to_owned();
                self.flags.raise(FlagCode::ChangedSince, names, [&*dispatch.name.code], detail);
            }
            if dispatch.live() {
                self.depart(place, &shipment.name, says, dispatch.says.lines.as_ref());
            }
        }
        places
    }

    /// Adds what left. What a line is, is fixed by the first version of the shipment that left.
    fn depart(&mut self, place: usize, shipment: &Name, says: Shipment<'a>, stated: Option<&BTreeMap<u32, u64>>) {
        for (number, line) in says.lines {
            let quantity = match stated {
                None => line.quantity.base,
                Some(stated) => match stated.get(&number) {
                    Some(base) => *base,
                    None => continue,
                },
            };
            let same = |known: &Line<'_>| known.says.pledge == line.pledge;
            let departed = self.lines[place].get(&number).is_some_and(|known| known.departed);
            if !departed {
                let mut fixed = self.line(shipment.nation, line.clone());
                fixed.departed = true;
                if self.lines[place].get(&number).is_none_or(|planned| planned.standing != fixed.standing) {
                    self.flag_line(shipment, number, &fixed);
                }
                self.lines[place].insert(number, fixed);
            }
            if let Some(known) = self.lines[place].get_mut(&number).filter(|known| same(known)) {
                known.total += u128::from(quantity);
                known.largest = known.largest.max(quantity.into());
            }
        }
    }

    /// Returns the line a statement is about, if it takes part in the sums.
    fn counted_line<T>(
        &mut self,
        item: &mut Item<'_, T>,
        reference: &Ref,
        number: u32,
        quantity: Quantity<'_>,
    ) -> (Option<usize>, Option<usize>) {
        let place = find(&self.shipments, Kind::Shipment, reference);
        let found = place.and_then(|place| Some((place, self.lines[place].get(&number)?)));
        let Some((place, line)) = found else {
            self.pending(item);
            return (place, None);
        };
        let unit = |quantity: &Quantity<'_>| quantity.known_unit().map(|unit| unit.dimension);
        let (standing, fits) =
            (line.standing, unit(&quantity).is_some() && unit(&quantity) == unit(&line.says.quantity));
        let shipment = &self.reading.shipments[place].name;
        if standing == Standing::Counted && !fits {
            item.standing = Standing::UnitUnknown;
            let detail =
                format!("{} cannot be compared with the line's unit", crate::statement::visible(quantity.unit));
            let names = [item.name.clone(), shipment.clone()];
            self.flags.raise(FlagCode::UnitUnknown, names, [&*item.name.code], detail);
        } else {
            item.standing = standing;
        }
        (Some(place), (item.standing == Standing::Counted).then_some(place))
    }

    fn losses(&mut self, losses: &mut [Item<'a, LossReport<'a>>]) -> Vec<Option<usize>> {
        let mut places = Vec::with_capacity(losses.len());
        for (own, loss) in losses.iter_mut().enumerate() {
            let (reference, number, quantity) = (loss.says.shipment.clone(), loss.says.line, loss.says.quantity);
            let whose =
                find(&self.shipments, Kind::Shipment, &reference).map(|place| &self.reading.shipments[place].name);
            if let Some(shipment) = whose.filter(|shipment| shipment.nation != loss.name.nation) {
                places.push(find(&self.shipments, Kind::Shipment, &reference));
                self.not_authorised(loss, shipment, &shipment.code);
                continue;
            }
            let (place, counted) = self.counted_line(loss, &reference, number, quantity);
            places.push(place);
            if let Some(line) = counted.filter(|_| loss.live()).and_then(|place| self.lines[place].get_mut(&number)) {
                line.losses.push(own);
            }
        }
        places
    }

    fn receipts(&mut self, receipts: &mut [Item<'a, Receipt<'a>>]) -> Vec<Option<usize>> {
        let mut places = Vec::with_capacity(receipts.len());
        for (own, receipt) in receipts.iter_mut().enumerate() {
            let (reference, number, quantity) =
                (receipt.says.shipment.clone(), receipt.says.line, receipt.says.counted);
            if let Some((shipment, recipient)) = self.recipient(&reference, number)
                && recipient.nation != receipt.name.nation
            {
                places.push(find(&self.shipments, Kind::Shipment, &reference));
                self.not_authorised(receipt, shipment, &recipient.code);
                continue;
            }
            let (place, counted) = self.counted_line(receipt, &reference, number, quantity);
            places.push(place);
            if let Some(line) = counted.filter(|_| receipt.live()).and_then(|place| self.lines[place].get_mut(&number))
            {
                line.receipts.push(own);
            }
        }
        places
    }

    /// Returns the shipment, and the requirement that says who receives a line of it.
    fn recipient(&self, reference: &Ref, number: u32) -> Option<(&'r Name, &'r Name)> {
        let place = find(&self.shipments, Kind::Shipment, reference)?;
        let pledge = self.lines[place].get(&number)?.pledge?;
        let requirement = self.links.requirement_of[pledge]?;
        Some((&self.reading.shipments[place].name, &self.reading.requirements[requirement].name))
    }
}

struct Closing<'r, 'a> {
    ledger: &'r Ledger<'r>,
    reading: &'r Reading<'a>,
    links: &'r Links,
    flags: &'r mut Flags,
    moved: Vec<Moved>,
}

impl Closing<'_, '_> {
    fn row(&mut self, shipment: &Name, number: u32, line: &Line<'_>, facts: &LineFacts<'_, '_>) -> LineRow {
        let sum = facts.sum();
        let counts = sum.counts;
        let settled = sum.last || counts.counted > facts.dispatched;
        let difference = settled.then(|| signed(counts.counted) - signed(facts.dispatched));
        let still = facts.dispatched.saturating_sub(counts.counted + sum.lost);
        if let Some(pledge) = line.pledge.filter(|_| line.standing == Standing::Counted) {
            let moved = &mut self.moved[pledge];
            moved.dispatched += facts.dispatched;
            moved.good += counts.good();
            moved.not_good += counts.not_good();
            moved.lost += sum.lost;
            let difference = difference.filter(|difference| *difference != 0);
            self.flag(shipment, number, pledge, facts, difference, &sum);
        }
        LineRow {
            line: number,
            pledge: self.ledger.text(&line.says.pledge),
            pledge_row: line.pledge,
            standing: line.standing,
            quantity: line.says.quantity.base,
            unit: line.says.quantity.base_unit().to_owned(),
            typed_unit: line.says.quantity.unit.to_owned(),
            parcels: line.says.parcels.iter().map(|&parcel| parcel.to_owned()).collect(),
            dispatched: clamp(facts.dispatched),
            received: clamp(counts.counted),
            good: clamp(counts.good()),
            not_good: clamp(counts.not_good()),
            damaged: damage(&counts),
            wrong_item: clamp(counts.wrong_item),
            underweight: clamp(counts.underweight),
            lost: clamp(sum.lost),
            in_transit: clamp(still),
            last: sum.last,
            difference: difference
                .map(|value| i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })),
        }
    }

    fn flag(
        &mut self,
        shipment: &Name,
        number: u32,
        pledge: usize,
        facts: &LineFacts<'_, '_>,
        difference: Option<i128>,
        sum: &super::line::LineSum,
    ) {
        let pledged = &self.reading.pledges[pledge].name;
        let requirement = self.links.requirement_of[pledge].map(|place| &self.reading.requirements[place].name);
        let receipts = || facts.receipts.iter().map(|receipt| receipt.name.clone());
        let recipient = requirement
            .map(|name| name.code.as_str())
            .or_else(|| facts.receipts.first().map(|receipt| receipt.name.code.as_str()));
        let names = || [shipment.clone(), pledged.clone()].into_iter().chain(receipts());
        if let Some(difference) = difference {
            let detail = format!(
                "line {number}: {} counted, {} dispatched, difference {difference:+}",
                sum.counts.counted, facts.dispatched
            );
            self.flags.raise(FlagCode::Discrepancy, names(), std::iter::once(&*shipment.code).chain(recipient), detail);
        }
        if sum.duplicate {
            let detail = format!(
                "line {number}: receipts that may count the same goods; the larger count is taken, a parcel once"
            );
            self.flags.raise(
                FlagCode::PossibleDuplicateReceipt,
                receipts().chain([shipment.clone(), pledged.clone()]),
                recipient,
                detail,
            );
        }
        if sum.substituted {
            let detail = format!("line {number}: {} counted were something other than pledged", sum.counts.wrong_item);
            self.flags.raise(
                FlagCode::Substitution,
                receipts().chain([shipment.clone(), pledged.clone()]),
                recipient,
                detail,
            );
        }
        if sum.contradicted {
            let losses = facts.losses.iter().map(|loss| loss.name.clone());
            let detail = format!("line {number}: goods reported lost were counted; {} stay lost", sum.lost);
            self.flags.raise(FlagCode::LossContradicted, losses.chain(names()), [&*shipment.code], detail);
        }
    }
}

fn damage(counts: &Counts) -> Damage {
    Damage {
        torn: clamp(counts.torn),
        stained: clamp(counts.stained),
        mouldy: clamp(counts.mouldy),
        other: clamp(counts.other),
    }
}

fn signed(quantity: u128) -> i128 {
    i128::try_from(quantity).unwrap_or(i128::MAX)
}

/// Returns a sum as shown: far more than any record can say stays at the largest number.
pub(super) fn clamp(quantity: u128) -> u64 {
    u64::try_from(quantity).unwrap_or(u64::MAX)
}
