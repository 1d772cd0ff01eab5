//! Statements that are shown with a head and a state, and what nations say for themselves: topics, rates, values.

use std::collections::BTreeMap;

use super::custody::{CustodyState, Held};
use super::passage::Passage;
use super::pause::Pauses;
use super::read::{Item, Reading, find, index};
use super::rows::Head;
use super::settlement::DiscrepancyRow;
use super::supply::{ConsentState, FundRow, Funding};
use crate::statement::typed::Custody;
use crate::time::Day;

/// A statement of a kind that has no row of its own, or whose row is of an object it takes part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRow {
    /// The version that counts.
    pub head: Head,
    /// The state of what it is about, where that has one.
    pub state: Option<&'static str>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRow {
    /// The version that counts.
    pub head: Head,
    /// Its code.
    pub code: String,
    /// Whether the nation can source it.
    pub sources: bool,
    /// Whether the nation follows it.
    pub follows: bool,
}

/// A table of rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FxRow {
    /// The version that counts.
    pub head: Head,
    /// The currency converted to.
    pub base: String,
    /// The day the rates are of.
    pub day: Day,
    /// Billionths of one unit of `base` for one unit of a currency, by currency.
    pub rates: BTreeMap<String, u64>,
}

/// What an item is worth to a nation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuationRow {
    /// The version that counts.
    pub head: Head,
    /// Of what.
    pub item: String,
    /// How much of it, in base units.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// What that is worth, in minor units.
    pub value: u64,
    /// In which currency.
    pub currency: String,
    /// The day the value is of.
    pub day: Option<Day>,
}

/// What states are taken from.
pub(super) struct States<'s, 'a> {
    pub(super) reading: &'s Reading<'a>,
    pub(super) pauses: &'s Pauses<'a>,
    pub(super) passage: &'s Passage,
    pub(super) held: &'s Held,
    pub(super) discrepancies: &'s [DiscrepancyRow],
    pub(super) consents: &'s [super::supply::ConsentRow],
    pub(super) consent: &'s [Option<ConsentState>],
    pub(super) funds: &'s [FundRow],
    pub(super) funding: &'s [Option<Funding>],
}

fn plain<T>(items: &[Item<'_, T>]) -> impl Iterator<Item = StatementRow> {
    items.iter().map(|item| StatementRow { head: item.head(), state: None })
}

fn with<'i, T>(
    items: &'i [Item<'_, T>],
    state: impl Fn(usize, &'i T) -> Option<&'static str> + 'i,
) -> impl Iterator<Item = StatementRow> + 'i {
    items.iter().enumerate().map(move |(at, item)| StatementRow { head: item.head(), state: state(at, &item.says) })
}

/// Returns the rows of every kind that has none of its own, kind by kind and in R8 order.
pub(super) fn rows(states: &States<'_, '_>) -> Vec<StatementRow> {
    let reading = states.reading;
    let (pledges, requests, shipments) =
        (index(&reading.pledges), index(&reading.slot_requests), index(&reading.shipments));
    let slot = |at: usize| states.passage.slots.get(at).map(|slot| slot.state.name());
    let held = |held: bool| Some(if held { "in force" } else { "not in force" });
    let mut rows: Vec<StatementRow> = Vec::new();
    rows.extend(plain(&reading.item_types));
    rows.extend(plain(&reading.conversions));
    rows.extend(plain(&reading.valuations));
    rows.extend(plain(&reading.fx_tables));
    rows.extend(plain(&reading.topics));
    rows.extend(with(&reading.allotments, |at, _| held(states.passage.allotments[at].holds)));
    rows.extend(with(&reading.permits, |at, _| held(states.passage.permits[at].holds)));
    rows.extend(plain(&reading.endorsements));
    rows.extend(plain(&reading.lots));
    rows.extend(with(&reading.funds, |at, _| {
        let funding = states.funding[states.funds[at].pledge_row?].as_ref();
        funding.map(|funding| funding.state.name())
    }));
    rows.extend(plain(&reading.substitutes));
    rows.extend(with(&reading.consent_requests, |_, says| {
        states.consent[find(&pledges, &says.pledge)?].map(ConsentState::name)
    }));
    rows.extend(with(&reading.consents, |at, _| Some(states.consents[at].state.name())));
    rows.extend(with(&reading.slot_requests, |at, _| slot(at)));
    rows.extend(with(&reading.slot_grants, |_, says| slot(find(&requests, &says.request)?)));
    rows.extend(plain(&reading.slot_refusals));
    rows.extend(plain(&reading.slot_uses));
    let custody = |says: &Custody<'_>| {
        let at = find(&shipments, &says.shipment)?;
        let leg = states.held.shipments[at].legs.get(usize::try_from(says.leg).ok()?)?;
        Some(CustodyState::name(if says.hub.is_some() { leg.hub } else { leg.carrier }))
    };
    rows.extend(with(&reading.hand_overs, |_, says| custody(says)));
    rows.extend(with(&reading.take_overs, |_, says| custody(says)));
    rows.extend(plain(&reading.returns));
    rows.extend(plain(&reading.inventories));
    let differing: BTreeMap<(usize, u32), &DiscrepancyRow> =
        states.discrepancies.iter().map(|row| ((row.shipment_row, row.line), row)).collect();
    rows.extend(with(&reading.settles, |_, says| {
        let at = find(&shipments, &says.shipment)?;
        Some(differing.get(&(at, says.line))?.state.name())
    }));
    rows.extend(
        reading
            .notices
            .iter()
            .map(|notice| StatementRow { head: notice.head(), state: held(states.pauses.in_force(&notice.name)) }),
    );
    rows
}

/// Returns the topics.
pub(super) fn topics(reading: &Reading<'_>) -> Vec<TopicRow> {
    let row = |item: &Item<'_, crate::statement::typed::Topic<'_>>| TopicRow {
        head: item.head(),
        code: item.says.code.to_owned(),
        sources: item.says.sources,
        follows: item.says.follows,
    };
    reading.topics.iter().map(row).collect()
}

/// Returns the tables of rates.
pub(super) fn fx_tables(reading: &Reading<'_>) -> Vec<FxRow> {
    let row = |item: &Item<'_, crate::statement::typed::FxTable<'_>>| FxRow {
        head: item.head(),
        base: item.says.base.to_owned(),
        day: item.says.day,
        rates: item.says.rates.iter().map(|(code, rate)| ((*code).to_owned(), *rate)).collect(),
    };
    reading.fx_tables.iter().map(row).collect()
}

/// Returns the valuations.
pub(super) fn valuations(reading: &Reading<'_>) -> Vec<ValuationRow> {
    let row = |item: &Item<'_, crate::statement::typed::Valuation<'_>>| ValuationRow {
        head: item.head(),
        item: item.says.item.to_owned(),
        quantity: item.says.quantity.base,
        unit: item.says.quantity.base_unit().to_owned(),
        value: item.says.value,
        currency: item.says.currency.to_owned(),
        day: item.says.day,
    };
    reading.valuations.iter().map(row).collect()
}
