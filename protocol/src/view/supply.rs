//! What backs a pledge: stock lots (C1), consent of the nation of origin (C12), and money, which never adds quantity (C2).

use std::collections::BTreeMap;

use super::answers::Links;
use super::flags::Flags;
use super::movement::{Movement, clamp};
use super::read::{Item, Pins, Reading, find, index};
use super::rows::{Buckets, FlagCode, Head, Name, Standing};
use crate::ids::Timestamp;
use crate::statement::conversion::Conversions;
use crate::statement::ledger::Ledger;
use crate::statement::typed::{Consent, Grant, Lot, Pledge, Says, Statement};
use crate::statement::{Kind, Status};
use crate::time::Day;

/// A stock lot with what pledges draw on it, in its own base unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotRow {
    /// The version that counts.
    pub head: Head,
    /// What it is.
    pub item: String,
    /// How much there is to give, what was given included.
    pub quantity: u64,
    /// The base unit.
    pub unit: String,
    /// What has left of it.
    pub left: u64,
    /// What pledges still to be sent draw on it, as far as it reaches.
    pub drawn: u64,
    /// What is not pledged to anybody.
    pub free: u64,
    /// What pledges draw beyond it.
    pub overdrawn: u64,
}

/// States of a pledge's consent (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConsentState {
    /// What is still to come is consented to.
    Granted,
    /// Part of what is still to come is consented to.
    PartGranted,
    /// It was taken back.
    Revoked,
    /// It is not valid today.
    Expired,
    /// It was asked for.
    Requested,
    /// Nobody asked for it yet.
    Needed,
}

impl ConsentState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::PartGranted => "part granted",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Requested => "requested",
            Self::Needed => "needed",
        }
    }
}

/// A consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentRow {
    /// The version that counts.
    pub head: Head,
    /// The version of the request, in text; `None` for one in advance.
    pub request: Option<String>,
    /// Places in [`super::View::pledges`] of what it covers.
    pub pledges: Vec<usize>,
    /// First day.
    pub valid_from: Option<Day>,
    /// Last day.
    pub valid_to: Option<Day>,
    /// Its state today.
    pub state: ConsentState,
}

/// What backs the pledges.
pub(super) struct Backing {
    /// Of what is still to come of each pledge, what is backed; `None`: all of it.
    pub(super) room: Vec<Option<u128>>,
    /// The state of each pledge's consent; `None`: it needs none.
    pub(super) consent: Vec<Option<ConsentState>>,
    pub(super) lots: Vec<LotRow>,
    pub(super) consents: Vec<ConsentRow>,
}

/// What the pass works on.
pub(super) struct Ground<'g, 'a> {
    pub(super) ledger: &'g Ledger<'a>,
    pub(super) movement: &'g Movement,
    /// Buckets without what this pass finds.
    pub(super) buckets: &'g [Buckets],
    pub(super) conversions: &'g Conversions<'a>,
    pub(super) as_of: Timestamp,
}

/// Serves pledges from their lots and consents, in R8 order; what has left is gone before anything is served.
pub(super) fn back<'a>(reading: &mut Reading<'a>, ground: &Ground<'_, 'a>, flags: &mut Flags) -> Backing {
    let mut backing = Backing {
        room: vec![None; reading.pledges.len()],
        consent: vec![None; reading.pledges.len()],
        lots: Vec::new(),
        consents: Vec::new(),
    };
    lots(reading, ground, &mut backing, flags);
    let mut consents = std::mem::take(&mut reading.consents);
    let mut requests = std::mem::take(&mut reading.consent_requests);
    Consents::new(reading, ground, flags).serve(&mut consents, &mut requests, &mut backing);
    (reading.consents, reading.consent_requests) = (consents, requests);
    backing
}

/// What is still to come of a pledge.
fn to_come(buckets: &Buckets) -> u128 {
    u128::from(buckets.pledged).saturating_sub(u128::from(buckets.delivered) + u128::from(buckets.in_transit))
}

fn lots<'a>(reading: &mut Reading<'a>, ground: &Ground<'_, 'a>, backing: &mut Backing, flags: &mut Flags) {
    let places = index(&reading.lots);
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, pledge) in reading.pledges.iter().enumerate() {
        let Some(Lot::Record(reference)) = &pledge.says.lot else { continue };
        let Some(lot) = find(&places, reference) else { continue };
        if reading.lots[lot].name.nation == pledge.name.nation {
            members.entry(lot).or_default().push(place);
        } else {
            backing.room[place] = Some(0);
            let names = [pledge.name.clone(), reading.lots[lot].name.clone()];
            let detail = "draws on a stock lot of another nation, which alone may give it".to_owned();
            flags.raise(FlagCode::NotAuthorised, names, [], detail);
        }
    }
    drop(places);
    for (at, lot) in reading.lots.iter_mut().enumerate() {
        let drawing = members.remove(&at).unwrap_or_default();
        backing.lots.push(serve(lot, &drawing, &reading.pledges, ground, &mut backing.room, flags));
    }
}

fn serve<'a>(
    lot: &mut Item<'a, crate::statement::typed::StockLot<'a>>,
    drawing: &[usize],
    pledges: &[Item<'a, Pledge<'a>>],
    ground: &Ground<'_, 'a>,
    room: &mut [Option<u128>],
    flags: &mut Flags,
) -> LotRow {
    let says = &lot.says;
    let expired = says.expires.is_some_and(|day| day.passed(ground.as_of));
    let known = says.quantity.known_unit().map(|unit| unit.dimension);
    let (mut drawn, mut left, mut wanted) = (0_u128, 0_u128, 0_u128);
    let mut short: Vec<Name> = Vec::new();
    let comparable = |pledge: &Item<'_, Pledge<'_>>| {
        let unit = pledge.says.quantity.known_unit()?;
        if Some(unit.dimension) == known {
            return Some(crate::statement::conversion::Ratio::ONE);
        }
        let nations = [lot.name.nation];
        ground.conversions.ratio(&nations, says.item, says.quantity.unit, unit.dimension)
    };
    // Pledges in another dimension draw on the lot as their donor converts it; one that nobody can compare draws nothing.
    let quantity = |pledge: &Item<'_, Pledge<'_>>| comparable(pledge)?.down(says.quantity.base).map(u128::from);
    let stock = |pledge: &Item<'_, Pledge<'_>>| quantity(pledge).filter(|_| lot.live()).unwrap_or(0);
    for place in drawing {
        left += u128::from(ground.buckets[*place].dispatched);
    }
    for place in drawing {
        let (pledge, buckets) = (&pledges[*place], &ground.buckets[*place]);
        let need = if pledge.standing == Standing::Counted { to_come(buckets) } else { 0 };
        let remaining = if expired { 0 } else { stock(pledge).saturating_sub(left + drawn) };
        let served = need.min(remaining);
        room[*place] = Some(served);
        drawn += served;
        wanted += need;
        if quantity(pledge).is_none() {
            let detail = "the unit of the lot cannot be compared with the pledge's".to_owned();
            flags.raise(FlagCode::UnitUnknown, [pledge.name.clone(), lot.name.clone()], [&*lot.name.code], detail);
        } else if served < need {
            short.push(pledge.name.clone());
        }
    }
    let stock = if lot.live() && !expired { u128::from(says.quantity.base) } else { 0 };
    if !short.is_empty() || left > u128::from(says.quantity.base) {
        let detail = format!("{} left and {wanted} more is drawn on a lot of {}", left, says.quantity.base);
        let names = short.into_iter().chain([lot.name.clone()]);
        flags.raise(FlagCode::LotOverdrawn, names, [&*lot.name.code], detail);
    }
    if known.is_none() {
        lot.standing = Standing::UnitUnknown;
    }
    LotRow {
        head: lot.head(),
        item: lot.says.item.to_owned(),
        quantity: lot.says.quantity.base,
        unit: lot.says.quantity.base_unit().to_owned(),
        left: clamp(left),
        drawn: clamp(drawn),
        free: clamp(stock.saturating_sub(left + drawn)),
        overdrawn: clamp((left + wanted).saturating_sub(u128::from(lot.says.quantity.base))),
    }
}

struct Consents<'r, 'g, 'a> {
    reading: &'r Reading<'a>,
    ground: &'r Ground<'g, 'a>,
    flags: &'r mut Flags,
    pledges: super::read::Index<'r>,
    /// Pledges by donor and item.
    offers: BTreeMap<(crate::ids::NationId, String), Vec<usize>>,
    /// Dispatches that carry something of a pledge, for the pledges that need consent.
    dispatched: BTreeMap<usize, Vec<usize>>,
}

/// Returns an item as it is compared ([`same_item`](crate::statement::conversion::same_item)).
fn item_key(item: &str) -> String {
    item.trim().to_ascii_lowercase()
}

impl<'r, 'g, 'a> Consents<'r, 'g, 'a> {
    fn new(reading: &'r Reading<'a>, ground: &'r Ground<'g, 'a>, flags: &'r mut Flags) -> Self {
        let mut offers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, pledge) in reading.pledges.iter().enumerate() {
            offers.entry((pledge.name.nation, item_key(pledge.says.item))).or_default().push(place);
        }
        let mut dispatched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, (dispatch, shipment)) in reading.dispatches.iter().zip(&ground.movement.dispatch_of).enumerate() {
            if !dispatch.live() || dispatch.standing != Standing::Counted {
                continue;
            }
            for line in shipment.iter().flat_map(|shipment| &ground.movement.lines[*shipment]) {
                let left = dispatch.says.lines.as_ref().is_none_or(|lines| lines.contains_key(&line.line));
                if let Some(pledge) = line.pledge_row.filter(|_| left && line.standing == Standing::Counted) {
                    dispatched.entry(pledge).or_default().push(at);
                }
            }
        }
        Self { reading, ground, flags, pledges: index(&reading.pledges), offers, dispatched }
    }

    fn serve(
        &mut self,
        consents: &mut [Item<'a, Consent<'a>>],
        requests: &mut [Item<'a, crate::statement::typed::ConsentRequest<'a>>],
        backing: &mut Backing,
    ) {
        let today = Day::of(self.ground.as_of);
        let asked = self.requests(requests);
        let (requests, places) = (&*requests, index(requests));
        let covers: Vec<Vec<usize>> =
            consents.iter_mut().map(|consent| self.covers(consent, requests, &places)).collect();
        let mut covering: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, covered) in covers.iter().enumerate() {
            covered.iter().for_each(|place| covering.entry(*place).or_default().push(at));
        }
        // What is left of each consent that holds today; `None` has no bound.
        let mut rest: Vec<Option<u128>> = Vec::with_capacity(consents.len());
        for (consent, covered) in consents.iter().zip(&covers) {
            let gone: u128 = covered.iter().map(|place| u128::from(self.ground.buckets[*place].dispatched)).sum();
            let bound = |place: &usize| self.bound(consent, *place);
            let total = consent.says.quantity.map(|_| covered.iter().map(bound).min().unwrap_or(0));
            rest.push(total.map(|total| total.saturating_sub(gone)));
        }
        for (place, pledge) in self.reading.pledges.iter().enumerate() {
            let Some(origin) = pledge.says.origin_nation.filter(|code| *code != pledge.name.code) else { continue };
            let all = covering.get(&place).into_iter().flatten().copied();
            let own: Vec<usize> = all.filter(|at| consents[*at].name.code == origin).collect();
            let need = if pledge.standing == Standing::Counted { to_come(&self.ground.buckets[place]) } else { 0 };
            let mut given = 0;
            let mut state = if asked.contains(&place) { ConsentState::Requested } else { ConsentState::Needed };
            for at in &own {
                let consent = &consents[*at];
                if !consent.live() {
                    state = ConsentState::Revoked;
                } else if !consent.says.valid_on(today) {
                    state = if state == ConsentState::Revoked { state } else { ConsentState::Expired };
                }
            }
            for at in own.iter().filter(|at| consents[**at].live() && consents[**at].says.valid_on(today)) {
                let take = rest[*at].map_or(need - given, |rest| rest.min(need - given));
                rest[*at] = rest[*at].map(|rest| rest - take);
                given += take;
                state = ConsentState::PartGranted;
            }
            if given == need && state == ConsentState::PartGranted {
                state = ConsentState::Granted;
            }
            let room = backing.room[place].map_or(given, |room| room.min(given));
            backing.room[place] = Some(room);
            backing.consent[place] = Some(state);
            self.departures(place, origin, &own, consents);
        }
        for (consent, covered) in consents.iter().zip(covers) {
            backing.consents.push(self.row(consent, covered, today));
        }
    }

    /// Returns a consent's quantity in the base unit of a pledge.
    fn bound(&self, consent: &Item<'_, Consent<'_>>, place: usize) -> u128 {
        let pledge = &self.reading.pledges[place];
        let Some(quantity) = consent.says.quantity else { return u128::MAX };
        let dimension = |unit: Option<crate::statement::units::Unit>| unit.map(|unit| unit.dimension);
        let (own, other) = (dimension(quantity.known_unit()), dimension(pledge.says.quantity.known_unit()));
        if own.is_some() && own == other {
            return quantity.base.into();
        }
        let nations = [consent.name.nation, pledge.name.nation];
        let ratio = other.and_then(|to| self.ground.conversions.ratio(&nations, pledge.says.item, quantity.unit, to));
        ratio.and_then(|ratio| ratio.down(quantity.base)).map_or(0, u128::from)
    }

    /// Checks the requests; returns the pledges asked for.
    fn requests(
        &mut self,
        requests: &mut [Item<'a, crate::statement::typed::ConsentRequest<'a>>],
    ) -> std::collections::BTreeSet<usize> {
        let mut asked = std::collections::BTreeSet::new();
        for request in requests {
            let Some(place) = find(&self.pledges, &request.says.pledge) else {
                request.standing = Standing::Pending;
                let detail = "asks for a pledge that is not here".to_owned();
                self.flags.raise(FlagCode::Pending, [request.name.clone()], [], detail);
                continue;
            };
            let pledge = &self.reading.pledges[place].name;
            if pledge.nation != request.name.nation {
                request.standing = Standing::NotAuthorised;
                let detail = format!("consent is for the donor, {}, to ask for", pledge.code);
                self.flags.raise(FlagCode::NotAuthorised, [request.name.clone(), pledge.clone()], [], detail);
            } else if request.live() {
                asked.insert(place);
            }
        }
        asked
    }

    /// Returns the pledges that a consent covers, whatever day it is.
    fn covers(
        &mut self,
        consent: &mut Item<'a, Consent<'a>>,
        requests: &[Item<'a, crate::statement::typed::ConsentRequest<'a>>],
        places: &super::read::Index<'_>,
    ) -> Vec<usize> {
        let reference = match &consent.says.gives {
            Grant::Advance { donor, item } => {
                return self.offers.get(&(*donor, item_key(item))).cloned().unwrap_or_default();
            }
            Grant::Asked(reference) => reference.clone(),
        };
        let found = find(places, &reference)
            .map(|place| (place, &requests[place]))
            .filter(|(_, request)| matches!(request.standing, Standing::Counted | Standing::NotAuthorised));
        let pinned = found.and_then(|(place, request)| Pins::default().version(place, request, &reference));
        let read = pinned.and_then(|version| Statement::read(Kind::ConsentRequest, &version.fields).ok());
        let (Some((_, request)), Some(Says::ConsentRequest(asked))) = (found, read.map(|read| read.says)) else {
            consent.standing = Standing::Pending;
            let detail = "answers a request that is not here, or waits with it".to_owned();
            self.flags.raise(FlagCode::Pending, [consent.name.clone()], [], detail);
            return Vec::new();
        };
        if asked.origin != consent.name.nation {
            consent.standing = Standing::NotAuthorised;
            let detail = format!("{} was asked", self.ground.ledger.code(&asked.origin));
            let names = [consent.name.clone(), request.name.clone()];
            self.flags.raise(FlagCode::NotAuthorised, names, [], detail);
            return Vec::new();
        }
        if request.standing == Standing::NotAuthorised {
            return Vec::new();
        }
        if pinned.is_some_and(|pinned| pinned.source.envelope != request.version.source.envelope) && consent.live() {
            let names = [consent.name.clone(), request.name.clone()];
            let detail = "pins a version that is no longer the latest".to_owned();
            self.flags.raise(FlagCode::ChangedSince, names, [&*consent.name.code], detail);
        }
        find(&self.pledges, &asked.pledge).into_iter().collect()
    }

    /// Flags what left without the consent it needs, or with one that was taken back (C12).
    fn departures(&mut self, place: usize, origin: &str, own: &[usize], consents: &[Item<'a, Consent<'a>>]) {
        let pledge = &self.reading.pledges[place];
        let total: u128 = own
            .iter()
            .filter(|at| consents[**at].live())
            .map(|at| self.bound(&consents[*at], place))
            .fold(0, u128::saturating_add);
        let beyond = u128::from(self.ground.buckets[place].dispatched) > total;
        let withdrawn: Vec<Name> =
            own.iter().filter(|at| !consents[**at].live()).map(|at| consents[*at].name.clone()).collect();
        for dispatch in self.dispatched.get(&place).into_iter().flatten().map(|at| &self.reading.dispatches[*at]) {
            let day = Day::of(dispatch.says.at.unwrap_or_else(|| dispatch.time()));
            let valid = own.iter().any(|at| consents[*at].live() && consents[*at].says.valid_on(day));
            if valid && !beyond {
                continue;
            }
            let names = [dispatch.name.clone(), pledge.name.clone()];
            if withdrawn.is_empty() {
                let detail = format!("goods of {origin}'s origin left without its consent");
                self.flags.raise(FlagCode::ConsentMissing, names, [origin], detail);
            } else {
                let detail = format!("goods of {origin}'s origin left; its consent was taken back");
                let names = names.into_iter().chain(withdrawn.iter().cloned());
                self.flags.raise(FlagCode::ConsentWithdrawn, names, [origin], detail);
            }
        }
    }

    fn row(&self, consent: &Item<'_, Consent<'_>>, pledges: Vec<usize>, today: Day) -> ConsentRow {
        let state = match consent.status {
            Status::Live if consent.says.valid_on(today) => ConsentState::Granted,
            Status::Live => ConsentState::Expired,
            Status::Withdrawn | Status::Closed => ConsentState::Revoked,
        };
        let request = match &consent.says.gives {
            Grant::Asked(reference) => Some(self.ground.ledger.text(reference)),
            Grant::Advance { .. } => None,
        };
        ConsentRow {
            head: consent.head(),
            request,
            pledges,
            valid_from: consent.says.valid_from,
            valid_to: consent.says.valid_to,
            state,
        }
    }
}

/// How far a pledge's value is paid for (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FundingState {
    /// Nothing of it.
    Unfunded,
    /// Some of it, or an amount that cannot be compared with it.
    PartFunded,
    /// All of it.
    Funded,
    /// More than it.
    OverFunded,
}

impl FundingState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unfunded => "unfunded",
            Self::PartFunded => "part funded",
            Self::Funded => "funded",
            Self::OverFunded => "over-funded",
        }
    }
}

/// What a pledge is worth and who pays for it, in minor units; amounts in other currencies are shown and not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// What the goods pledged are worth, and in which currency, where the donor says.
    pub value: Option<(u64, String)>,
    /// Live funds, by currency.
    pub funds: BTreeMap<String, u64>,
    /// How far they reach.
    pub state: FundingState,
}

/// A fund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundRow {
    /// The version that counts.
    pub head: Head,
    /// The pledge it pays for, in text.
    pub pledge: String,
    /// The pledge's place in [`super::View::pledges`], if it is here.
    pub pledge_row: Option<usize>,
    /// How much, in minor units.
    pub amount: u64,
    /// The currency.
    pub currency: String,
    /// When which part of it is paid.
    pub tranches: Vec<(Day, u64)>,
}

/// Adds up the funds of each pledge.
pub(super) fn fund(
    reading: &mut Reading<'_>,
    links: &Links,
    ledger: &Ledger<'_>,
    flags: &mut Flags,
) -> (Vec<Option<Funding>>, Vec<FundRow>) {
    let places = index(&reading.pledges);
    let mut rows = Vec::with_capacity(reading.funds.len());
    let mut funds: BTreeMap<usize, BTreeMap<String, u128>> = BTreeMap::new();
    for fund in &mut reading.funds {
        let place = find(&places, &fund.says.pledge);
        match place {
            None => {
                fund.standing = Standing::Pending;
                let detail = "pays for a pledge that is not here".to_owned();
                flags.raise(FlagCode::Pending, [fund.name.clone()], [], detail);
            }
            Some(place) if fund.live() => {
                let sum = funds.entry(place).or_default().entry(fund.says.currency.to_owned()).or_default();
                *sum += u128::from(fund.says.amount);
            }
            Some(_) => {}
        }
        rows.push(FundRow {
            head: fund.head(),
            pledge: ledger.text(&fund.says.pledge),
            pledge_row: place,
            amount: fund.says.amount,
            currency: fund.says.currency.to_owned(),
            tranches: fund.says.tranches.clone(),
        });
    }
    drop(places);
    let funding = |(place, pledge): (usize, &Item<'_, Pledge<'_>>)| {
        let funds = funds.get(&place);
        let value = pledge
            .says
            .unit_value
            .zip(pledge.says.currency)
            .map(|(each, currency)| (u128::from(each) * u128::from(links.stated[place].0), currency));
        if value.is_none() && funds.is_none() {
            return None;
        }
        let same = value.and_then(|(_, currency)| funds?.get(currency).copied()).unwrap_or(0);
        let state = match value {
            Some((value, _)) if same > value => FundingState::OverFunded,
            Some((value, _)) if same == value => FundingState::Funded,
            _ if funds.is_some() => FundingState::PartFunded,
            _ => FundingState::Unfunded,
        };
        let funds = funds.into_iter().flatten().map(|(currency, sum)| (currency.clone(), clamp(*sum)));
        let value = value.map(|(value, currency)| (clamp(value), currency.to_owned()));
        Some(Funding { value, funds: funds.collect(), state })
    };
    (reading.pledges.iter().enumerate().map(funding).collect(), rows)
}
