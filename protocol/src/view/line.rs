//! What became of one shipment line: dispatches, receipts and losses brought together (C14 to C17), in base units.

use std::collections::{BTreeMap, BTreeSet};

use super::read::Item;
use crate::ids::{AuthorKey, NationId};
use crate::statement::Kind;
use crate::statement::conversion::same_item;
use crate::statement::typed::{AcceptSubstitute, LossReport, Receipt, Return};

/// Statements about one line; each list in R8 order.
pub(super) struct LineFacts<'f, 'a> {
    /// What is pledged.
    pub(super) item: &'f str,
    /// S.
    pub(super) dispatched: u128,
    /// Receipts that count.
    pub(super) receipts: Vec<&'f Item<'a, Receipt<'a>>>,
    /// Loss reports that count.
    pub(super) losses: Vec<&'f Item<'a, LossReport<'a>>>,
    /// What was sent back.
    pub(super) returns: Vec<&'f Item<'a, Return<'a>>>,
    /// What may stand for what is pledged, in R8 order.
    pub(super) substitutes: Vec<&'f AcceptSubstitute<'a>>,
}

/// Counts by condition; they add up to `counted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) counted: u128,
    pub(super) torn: u128,
    pub(super) stained: u128,
    pub(super) mouldy: u128,
    pub(super) other: u128,
    pub(super) wrong_item: u128,
    pub(super) underweight: u128,
    /// What other items stand for beyond their own number, by the recipient's leave (C17); not part of `counted`.
    pub(super) stands_for: u128,
}

impl Counts {
    /// X, never more than what was counted.
    pub(super) fn not_good(&self) -> u128 {
        let bad = self.torn + self.stained + self.mouldy + self.other + self.wrong_item + self.underweight;
        bad.min(self.counted)
    }

    /// G.
    pub(super) fn good(&self) -> u128 {
        self.counted - self.not_good() + self.stands_for
    }

    fn add(&mut self, other: &Self) {
        self.counted += other.counted;
        self.torn += other.torn;
        self.stained += other.stained;
        self.mouldy += other.mouldy;
        self.other += other.other;
        self.wrong_item += other.wrong_item;
        self.underweight += other.underweight;
        self.stands_for += other.stands_for;
    }

    /// Returns the share of `part` in `whole` parcels: what was counted rounded down, what was bad rounded up.
    fn share(&self, part: usize, whole: usize) -> Self {
        if part == whole || whole == 0 {
            return *self;
        }
        let (part, whole) = (part as u128, whole as u128);
        let up = |quantity: u128| (quantity * part).div_ceil(whole);
        Self {
            counted: self.counted * part / whole,
            torn: up(self.torn),
            stained: up(self.stained),
            mouldy: up(self.mouldy),
            other: up(self.other),
            wrong_item: up(self.wrong_item),
            underweight: up(self.underweight),
            stands_for: self.stands_for * part / whole,
        }
    }
}

/// What one line comes to.
#[derive(Default)]
pub(super) struct LineSum {
    pub(super) counts: Counts,
    /// L.
    pub(super) lost: u128,
    /// Whether the recipient said that nothing more will come.
    pub(super) last: bool,
    /// Whether receipts were left out because they may count the same goods (C14).
    pub(super) duplicate: bool,
    /// Whether goods reported lost were counted (C16).
    pub(super) contradicted: bool,
    /// Whether something other than what was pledged came (C17).
    pub(super) substituted: bool,
    /// Sent back, at most what was counted.
    pub(super) returned: u128,
}

impl LineFacts<'_, '_> {
    /// Brings the statements together.
    pub(super) fn sum(&self) -> LineSum {
        let mut sum = LineSum::default();
        let mut counted_parcels: BTreeSet<&str> = BTreeSet::new();
        let mut unmarked = Vec::new();
        for receipt in &self.receipts {
            sum.last |= receipt.says.last;
            let counts = self.counts(&receipt.says);
            sum.substituted |= self.other_item(&receipt.says);
            let parcels: BTreeSet<&str> = receipt.says.parcels.iter().copied().collect();
            if parcels.is_empty() {
                unmarked.push((*receipt, counts));
                continue;
            }
            let fresh = parcels.difference(&counted_parcels).count();
            sum.duplicate |= fresh < parcels.len();
            if fresh > 0 {
                sum.counts.add(&counts.share(fresh, parcels.len()));
            }
            counted_parcels.extend(parcels);
        }
        let left = self.dispatched.saturating_sub(sum.counts.counted);
        let (unmarked, duplicate) = without_duplicates(&unmarked, left);
        sum.counts.add(&unmarked);
        sum.duplicate |= duplicate;
        let remaining = self.dispatched.saturating_sub(sum.counts.counted);
        let mut lost = 0;
        for loss in &self.losses {
            let parcels: BTreeSet<&str> = loss.says.parcels.iter().copied().collect();
            let missing = parcels.difference(&counted_parcels).count();
            let quantity = u128::from(loss.says.quantity.base);
            sum.contradicted |= missing < parcels.len();
            lost += if parcels.is_empty() {
                quantity
            } else {
                (quantity * missing as u128).div_ceil(parcels.len() as u128)
            };
        }
        sum.contradicted |= sum.counts.counted > 0 && lost > remaining;
        sum.lost = if sum.last { remaining } else { lost.min(remaining) };
        let back: u128 = self.returns.iter().map(|back| u128::from(back.says.quantity.base)).sum();
        sum.returned = back.min(sum.counts.good() + sum.counts.not_good());
        sum
    }

    fn counts(&self, receipt: &Receipt<'_>) -> Counts {
        let counted = u128::from(receipt.counted.base);
        let stated = Counts {
            counted,
            torn: receipt.damaged.torn.into(),
            stained: receipt.damaged.stained.into(),
            mouldy: receipt.damaged.mouldy.into(),
            other: receipt.damaged.other.into(),
            wrong_item: receipt.wrong_item.into(),
            underweight: receipt.underweight.into(),
            stands_for: 0,
        };
        let Some(item) = receipt.item.filter(|item| !same_item(item, self.item)) else { return stated };
        let Some(leave) = self.substitutes.iter().find(|leave| same_item(leave.item, item)) else {
            return Counts { counted, wrong_item: counted, ..Counts::default() };
        };
        let sound = stated.good();
        let stands_for = sound * u128::from(leave.counts) / u128::from(leave.per.max(1));
        // What of the other item stands for nothing is not good: it arrived, and is no longer under way.
        Counts {
            wrong_item: stated.wrong_item + sound.saturating_sub(stands_for),
            stands_for: stands_for.saturating_sub(sound),
            ..stated
        }
    }

    /// Whether what came is not what was pledged, and nobody lets it stand for that.
    fn other_item(&self, receipt: &Receipt<'_>) -> bool {
        let other = |item: &&str| {
            !same_item(item, self.item) && !self.substitutes.iter().any(|leave| same_item(leave.item, item))
        };
        receipt.wrong_item > 0 || receipt.counted.base > 0 && receipt.item.is_some_and(|item| other(&item))
    }
}

/// Sums receipts without parcel marks. Where they exceed what is `left` of the dispatched and come from sites that had not
/// seen one another, what the best informed site counted is taken instead of the sum (C14).
fn without_duplicates(receipts: &[(&Item<'_, Receipt<'_>>, Counts)], left: u128) -> (Counts, bool) {
    let add = |mut sum: Counts, counts: &Counts| {
        sum.add(counts);
        sum
    };
    let total = receipts.iter().fold(Counts::default(), |sum, (_, counts)| add(sum, counts));
    let mut sites: BTreeMap<AuthorKey, Vec<usize>> = BTreeMap::new();
    for (place, (receipt, _)) in receipts.iter().enumerate() {
        sites.entry(receipt.version.source.author).or_default().push(place);
    }
    if total.counted <= left || sites.len() < 2 {
        return (total, false);
    }
    let places: BTreeMap<(NationId, &str), usize> = receipts
        .iter()
        .enumerate()
        .map(|(place, (receipt, _))| ((receipt.name.nation, &*receipt.name.id), place))
        .collect();
    let mut best: Option<Counts> = None;
    for own in sites.values() {
        let mut known: BTreeSet<usize> = own.iter().copied().collect();
        let mut open: Vec<usize> = own.clone();
        while let Some(place) = open.pop() {
            for seen in receipts[place].0.seen.iter().filter(|seen| seen.kind == Kind::Receipt.name()) {
                if let Some(other) = places.get(&(seen.nation, seen.id.as_str()))
                    && known.insert(*other)
                {
                    open.push(*other);
                }
            }
        }
        let sum = known.iter().fold(Counts::default(), |sum, place| add(sum, &receipts[*place].1));
        let better = best.is_none_or(|best| (sum.counted, best.good()) > (best.counted, sum.good()));
        if better {
            best = Some(sum);
        }
    }
    let best = best.unwrap_or(total);
    (best, best.counted < total.counted)
}
