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
use crate::statement::conversion::{Conversions, Ratio};
use crate::statement::ledger::Ledger;
use crate::statement::reference::Ref;
use crate::statement::typed::{
    AcceptSubstitute, Damage, Dispatch, Inventory, LossReport, Quantity, Receipt, Return, Says, Shipment, ShipmentLine,
    Statement,
};
use crate::statement::units::Dimension;

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
    returns: Vec<usize>,
    /// What its unit comes to in the pledge's.
    ratio: Ratio,
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
    /// Lines whose counts are settled, with what they are about.
    pub(super) differences: Vec<Difference>,
}

/// A line of which what arrived is not what left, before anybody settles it.
pub(super) struct Difference {
    pub(super) shipment: usize,
    /// Its place among the shipment's lines.
    pub(super) place: usize,
    pub(super) pledge: usize,
    /// Places of the receipts that count.
    pub(super) receipts: Vec<usize>,
}

/// Gathers what moved.
pub(super) fn gather<'a>(
    ledger: &Ledger<'a>,
    reading: &mut Reading<'a>,
    links: &Links,
    conversions: &Conversions<'a>,
    flags: &mut Flags,
) -> Movement {
    let mut dispatches = std::mem::take(&mut reading.dispatches);
    let mut losses = std::mem::take(&mut reading.losses);
    let mut receipts = std::mem::take(&mut reading.receipts);
    let mut returns = std::mem::take(&mut reading.returns);
    let mut substitutes = std::mem::take(&mut reading.substitutes);
    let mut inventories = std::mem::take(&mut reading.inventories);
    let reading_now: &Reading<'_> = reading;
    let mut gathering = Gathering {
        reading: reading_now,
        links,
        conversions,
        flags,
        pledges: index(&reading_now.pledges),
        shipments: index(&reading_now.shipments),
        lines: Vec::new(),
    };
    gathering.plan();
    let dispatch_of = gathering.dispatches(&mut dispatches);
    let loss_of = gathering.losses(&mut losses);
    let receipt_of = gathering.receipts(&mut receipts);
    gathering.returns(&mut returns);
    gathering.inventories(&mut inventories);
    let leaves = gathering.substitutes(&mut substitutes);
    let lines = gathering.lines;
    let mut closing = Closing {
        ledger,
        reading: reading_now,
        links,
        flags,
        moved: vec![Moved::default(); reading_now.pledges.len()],
    };
    let mut rows = Vec::with_capacity(lines.len());
    let mut differences = Vec::new();
    for (at, (shipment, lines)) in reading_now.shipments.iter().zip(&lines).enumerate() {
        let row = |(place, (number, line)): (usize, (&u32, &Line<'_>))| {
            let leaves = line.pledge.and_then(|pledge| leaves.get(&pledge));
            let facts = LineFacts {
                item: line.pledge.map_or("", |pledge| reading_now.pledges[pledge].says.item),
                dispatched: line.total.min(line.says.quantity.base.into()).max(line.largest),
                receipts: line.receipts.iter().map(|place| &receipts[*place]).collect(),
                losses: line.losses.iter().map(|place| &losses[*place]).collect(),
                returns: line.returns.iter().map(|place| &returns[*place]).collect(),
                substitutes: leaves.into_iter().flatten().map(|leave| &substitutes[*leave].says).collect(),
            };
            let row = closing.row(&shipment.name, *number, line, &facts);
            let counted = line.pledge.filter(|_| line.standing == Standing::Counted);
            if let (Some(pledge), Some(1..) | Some(..=-1)) = (counted, row.difference) {
                differences.push(Difference { shipment: at, place, pledge, receipts: line.receipts.clone() });
            }
            row
        };
        rows.push(lines.iter().enumerate().map(row).collect());
    }
    let moved = closing.moved;
    (reading.dispatches, reading.losses, reading.receipts) = (dispatches, losses, receipts);
    (reading.returns, reading.substitutes, reading.inventories) = (returns, substitutes, inventories);
    Movement { moved, lines: rows, dispatch_of, loss_of, receipt_of, differences }
}

struct Gathering<'r, 'a> {
    reading: &'r Reading<'a>,
    links: &'r Links,
    conversions: &'r Conversions<'a>,
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

    fn line(&self, consignor: NationId, mut says: ShipmentLine<'a>) -> Line<'a> {
        let pledge = find(&self.pledges, &says.pledge);
        let mut ratio = Ratio::ONE;
        if let Some(pledge) = pledge.map(|place| &self.reading.pledges[place])
            && let Some(to) = dimension(&pledge.says.quantity).filter(|to| dimension(&says.quantity) != Some(*to))
            && let Some(found) = self.conversions.ratio(&[consignor], pledge.says.item, says.quantity.unit, to)
            && let Some(base) = found.down(says.quantity.base).filter(|base| *base > 0)
        {
            says.quantity = Quantity { base, unit: to.base() };
            ratio = found;
        }
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
        Line {
            says,
            pledge,
            standing,
            departed: false,
            largest: 0,
            total: 0,
            receipts: Vec::new(),
            losses: Vec::new(),
            returns: Vec::new(),
            ratio,
        }
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
            Standing::Counted | Standing::SameGoods | Standing::Lapsed | Standing::Standby => {}
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
            let place = find(&self.shipments, &dispatch.says.shipment);
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
            let fixed = self.line(shipment.nation, line.clone());
            let quantity = match stated {
                None => fixed.says.quantity.base,
                Some(stated) => match stated.get(&number) {
                    Some(base) => fixed.ratio.down(*base).unwrap_or(fixed.says.quantity.base),
                    None => continue,
                },
            };
            let same = |known: &Line<'_>| known.says.pledge == line.pledge;
            let departed = self.lines[place].get(&number).is_some_and(|known| known.departed);
            if !departed {
                let fixed = Line { departed: true, ..fixed };
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

    /// Returns the line a statement is about, and what the statement's unit comes to in the line's, if it takes part in the
    /// sums.
    fn counted_line<T>(
        &mut self,
        item: &mut Item<'_, T>,
        reference: &Ref,
        number: u32,
        quantity: Quantity<'_>,
    ) -> (Option<usize>, Option<(usize, Ratio)>) {
        let place = find(&self.shipments, reference);
        let found = place.and_then(|place| Some((place, self.lines[place].get(&number)?)));
        let Some((place, line)) = found else {
            self.pending(item);
            return (place, None);
        };
        let standing = line.standing;
        let shipment = &self.reading.shipments[place].name;
        let pledged = line.pledge.map_or("", |pledge| self.reading.pledges[pledge].says.item);
        let ratio = dimension(&line.says.quantity).and_then(|to| {
            if dimension(&quantity) == Some(to) {
                return Some(Ratio::ONE);
            }
            self.conversions.ratio(&[item.name.nation, shipment.nation], pledged, quantity.unit, to)
        });
        if standing == Standing::Counted && ratio.is_none() {
            item.standing = Standing::UnitUnknown;
            let detail =
                format!("{} cannot be compared with the line's unit", crate::statement::visible(quantity.unit));
            let names = [item.name.clone(), shipment.clone()];
            self.flags.raise(FlagCode::UnitUnknown, names, [&*item.name.code], detail);
        } else {
            item.standing = standing;
        }
        (Some(place), ratio.filter(|_| item.standing == Standing::Counted).map(|ratio| (place, ratio)))
    }

    fn losses(&mut self, losses: &mut [Item<'a, LossReport<'a>>]) -> Vec<Option<usize>> {
        let mut places = Vec::with_capacity(losses.len());
        for (own, loss) in losses.iter_mut().enumerate() {
            let (reference, number, quantity) = (loss.says.shipment.clone(), loss.says.line, loss.says.quantity);
            let whose = find(&self.shipments, &reference).map(|place| &self.reading.shipments[place].name);
            if let Some(shipment) = whose.filter(|shipment| shipment.nation != loss.name.nation) {
                places.push(find(&self.shipments, &reference));
                self.not_authorised(loss, shipment, &shipment.code);
                continue;
            }
            let (place, counted) = self.counted_line(loss, &reference, number, quantity);
            places.push(place);
            let Some((place, ratio)) = counted.filter(|_| loss.live()) else { continue };
            if let Some(line) = self.lines[place].get_mut(&number) {
                loss.says.quantity = up(loss.says.quantity, ratio, &line.says.quantity);
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
                places.push(find(&self.shipments, &reference));
                self.not_authorised(receipt, shipment, &recipient.code);
                continue;
            }
            let (place, counted) = self.counted_line(receipt, &reference, number, quantity);
            places.push(place);
            let Some((place, ratio)) = counted.filter(|_| receipt.live()) else { continue };
            if let Some(line) = self.lines[place].get_mut(&number) {
                scale(&mut receipt.says, ratio, &line.says.quantity);
                line.receipts.push(own);
            }
        }
        places
    }

    fn returns(&mut self, returns: &mut [Item<'a, Return<'a>>]) {
        for (own, back) in returns.iter_mut().enumerate() {
            let (reference, number, quantity) = (back.says.shipment.clone(), back.says.line, back.says.quantity);
            if let Some((shipment, recipient)) = self.recipient(&reference, number)
                && recipient.nation != back.name.nation
            {
                self.not_authorised(back, shipment, &recipient.code);
                continue;
            }
            let (_, counted) = self.counted_line(back, &reference, number, quantity);
            let Some((place, ratio)) = counted.filter(|_| back.live()) else { continue };
            if let Some(line) = self.lines[place].get_mut(&number) {
                back.says.quantity = up(back.says.quantity, ratio, &line.says.quantity);
                line.returns.push(own);
            }
        }
    }

    /// Checks that what came by a shipment is counted in use by its recipient only.
    fn inventories(&mut self, inventories: &mut [Item<'a, Inventory<'a>>]) {
        for inventory in inventories {
            let Some(reference) = inventory.says.shipment.clone() else { continue };
            if find(&self.shipments, &reference).is_none() {
                self.pending(inventory);
            } else if let Some((shipment, recipient)) = self.recipient(&reference, inventory.says.line.unwrap_or(0))
                && recipient.nation != inventory.name.nation
            {
                self.not_authorised(inventory, shipment, &recipient.code);
            }
        }
    }

    /// Returns the leaves for other items, by the place of the pledge they are for.
    fn substitutes(&mut self, substitutes: &mut [Item<'a, AcceptSubstitute<'a>>]) -> BTreeMap<usize, Vec<usize>> {
        let mut leaves: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (own, leave) in substitutes.iter_mut().enumerate() {
            let found = find(&self.pledges, &leave.says.pledge);
            let Some(place) = found.filter(|place| self.reading.pledges[*place].standing != Standing::Pending) else {
                leave.standing = Standing::Pending;
                let detail = "names a version of a pledge that is not here, or waits with it".to_owned();
                self.flags.raise(FlagCode::Pending, [leave.name.clone()], [], detail);
                continue;
            };
            let pledge = &self.reading.pledges[place];
            let recipient = self.links.requirement_of[place].map(|place| &self.reading.requirements[place].name);
            if let Some(recipient) = recipient.filter(|recipient| recipient.nation != leave.name.nation) {
                leave.standing = Standing::NotAuthorised;
                let detail = format!("a substitute is for the recipient, {}, to accept", recipient.code);
                let names = [leave.name.clone(), pledge.name.clone()];
                self.flags.raise(FlagCode::NotAuthorised, names, [], detail);
            } else if leave.live() {
                leaves.entry(place).or_default().push(own);
            }
        }
        leaves
    }

    /// Returns the shipment, and the requirement that says who receives a line of it.
    fn recipient(&self, reference: &Ref, number: u32) -> Option<(&'r Name, &'r Name)> {
        let place = find(&self.shipments, reference)?;
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
        // What goes back is what was not good, as far as that reaches; the rest is delivered no longer.
        let unsaid = sum.returned.saturating_sub(counts.not_good()).min(counts.good());
        let (good, not_good) = (counts.good() - unsaid, counts.not_good() + unsaid);
        if let Some(pledge) = line.pledge.filter(|_| line.standing == Standing::Counted) {
            let moved = &mut self.moved[pledge];
            moved.dispatched += facts.dispatched;
            moved.good += good;
            moved.not_good += not_good;
            moved.lost += sum.lost;
            self.flag(shipment, number, pledge, facts, &sum);
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
            good: clamp(good),
            not_good: clamp(not_good),
            returned: clamp(sum.returned),
            damaged: damage(&counts),
            wrong_item: clamp(counts.wrong_item),
            underweight: clamp(counts.underweight),
            lost: clamp(sum.lost),
            in_transit: clamp(still),
            custody: BTreeMap::new(),
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
        sum: &super::line::LineSum,
    ) {
        let pledged = &self.reading.pledges[pledge].name;
        let requirement = self.links.requirement_of[pledge].map(|place| &self.reading.requirements[place].name);
        let receipts = || facts.receipts.iter().map(|receipt| receipt.name.clone());
        let recipient = requirement
            .map(|name| name.code.as_str())
            .or_else(|| facts.receipts.first().map(|receipt| receipt.name.code.as_str()));
        let names = || [shipment.clone(), pledged.clone()].into_iter().chain(receipts());
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

fn dimension(quantity: &Quantity<'_>) -> Option<Dimension> {
    quantity.known_unit().map(|unit| unit.dimension)
}

/// Returns a quantity in the unit of `line`, rounded up.
fn up<'a>(quantity: Quantity<'a>, ratio: Ratio, line: &Quantity<'a>) -> Quantity<'a> {
    if ratio == Ratio::ONE {
        return quantity;
    }
    Quantity { base: ratio.up(quantity.base).unwrap_or(crate::limits::QUANTITY_MAX), unit: line.unit }
}

/// Puts a receipt in the unit of `line`: what was counted rounded down, what of it was not good rounded up.
fn scale<'a>(receipt: &mut Receipt<'a>, ratio: Ratio, line: &Quantity<'a>) {
    if ratio == Ratio::ONE {
        return;
    }
    let counted = ratio.down(receipt.counted.base).unwrap_or(0);
    let up = |base: u64| ratio.up(base).unwrap_or(counted).min(counted);
    let damaged = receipt.damaged;
    receipt.damaged = Damage {
        torn: up(damaged.torn),
        stained: up(damaged.stained),
        mouldy: up(damaged.mouldy),
        other: up(damaged.other),
    };
    (receipt.wrong_item, receipt.underweight) = (up(receipt.wrong_item), up(receipt.underweight));
    receipt.counted = Quantity { base: counted, unit: line.unit };
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
