//! The way through hubs and across borders: shares, slots, and permits (C9 to C11, C13).

use std::collections::{BTreeMap, BTreeSet};

use super::flags::Flags;
use super::pause::{HUBS, PERMITS, Pauses, saw};
use super::read::{Index, Item, Pins, Reading, find, index, place};
use super::rows::{FlagCode, Head, Name, Standing};
use crate::ids::{NationId, Timestamp};
use crate::statement::custody::parties;
use crate::statement::ledger::Ledger;
use crate::statement::reference::Ref;
use crate::statement::typed::{Allotment, Hub, Says, SlotGrant, SlotRefuse, SlotRequest, SlotUse, Statement};
use crate::statement::{Kind, Status};
use crate::time::Day;

/// States of a slot; the first that fits, from the top (DOMAIN 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotState {
    /// The nation that asked took its request back.
    Released,
    /// The hub is closed, or paused, on one of its days (C10).
    Void,
    /// Something went through by it.
    Used,
    /// Its days passed and nothing did (C11).
    NoShow,
    /// It was given, and others come first (C9).
    Bumped,
    /// It was given.
    Granted,
    /// The host said no.
    Refused,
    /// No answer yet.
    Requested,
}

impl SlotState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Void => "void",
            Self::Used => "used",
            Self::NoShow => "no-show",
            Self::Bumped => "bumped",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Requested => "requested",
        }
    }
}

/// A slot: a request with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRow {
    /// The version of the request that counts.
    pub head: Head,
    /// Its state.
    pub state: SlotState,
    /// The hub, in text.
    pub hub: String,
    /// The hub's place in [`super::View::hubs`], if it is here.
    pub hub_row: Option<usize>,
    /// Means of transport.
    pub mode: String,
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
    /// Tonnes a day asked for.
    pub tonnes: u64,
    /// Tonnes a day that count of what was given.
    pub granted: u64,
    /// 1 is most urgent.
    pub priority: u8,
    /// The shipment it is for, in text.
    pub shipment: Option<String>,
    /// The leg of the shipment.
    pub leg: Option<u32>,
}

/// A share of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllotmentRow {
    /// The version that counts.
    pub head: Head,
    /// The hub, in text.
    pub hub: String,
    /// The hub's place in [`super::View::hubs`], if it is here.
    pub hub_row: Option<usize>,
    /// Whose share.
    pub nation: NationId,
    /// Means of transport.
    pub mode: String,
    /// Tonnes a day.
    pub tonnes: u64,
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
    /// Whether it may be used: it stands, the hub has the capacity, and it is open.
    pub holds: bool,
    /// Tonnes a day handed on, on the day of most.
    pub handed_on: u64,
}

/// A transit permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitRow {
    /// The version that counts.
    pub head: Head,
    /// Where the route begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Means of transport; any if absent.
    pub mode: Option<String>,
    /// Whose goods may cross; everybody's if absent.
    pub nation: Option<NationId>,
    /// First day.
    pub valid_from: Day,
    /// Last day.
    pub valid_to: Day,
    /// Whether it holds today.
    pub holds: bool,
}

/// What the pass finds.
pub(super) struct Passage {
    pub(super) slots: Vec<SlotRow>,
    pub(super) allotments: Vec<AllotmentRow>,
    pub(super) permits: Vec<PermitRow>,
}

/// Tonnes taken of a hub, by hub, means of transport and day.
#[derive(Default)]
struct Taken<'a>(BTreeMap<(usize, &'a str, u32), u128>);

impl<'a> Taken<'a> {
    fn on(&self, hub: usize, mode: &'a str, day: u32) -> u128 {
        self.0.get(&(hub, mode, day)).copied().unwrap_or(0)
    }

    /// Takes tonnes on every day of a period, if there is room for them on each.
    fn take(&mut self, hub: usize, mode: &'a str, (from, to): (Day, Day), tonnes: u64, capacity: u64) -> bool {
        let days = || from.number()..=to.number();
        let tonnes = u128::from(tonnes);
        if days().any(|day| self.on(hub, mode, day) + tonnes > u128::from(capacity)) {
            return false;
        }
        for day in days() {
            *self.0.entry((hub, mode, day)).or_default() += tonnes;
        }
        true
    }
}

struct Pass<'r, 'a> {
    ledger: &'r Ledger<'a>,
    hubs: &'r [Item<'a, Hub<'a>>],
    places: Index<'r>,
    notices: BTreeMap<NationId, Vec<&'r Item<'a, crate::statement::typed::SuspendNotice<'a>>>>,
    as_of: Timestamp,
    taken: Taken<'a>,
    shipments: &'r [Item<'a, crate::statement::typed::Shipment<'a>>],
    sent: Index<'r>,
    flags: &'r mut Flags,
}

/// Serves shares and slots from the capacity of hubs.
pub(super) fn pass<'a>(
    ledger: &Ledger<'a>,
    reading: &mut Reading<'a>,
    pauses: &Pauses<'a>,
    as_of: Timestamp,
    flags: &mut Flags,
) -> Passage {
    let mut allotments = std::mem::take(&mut reading.allotments);
    let mut grants = std::mem::take(&mut reading.slot_grants);
    let mut refusals = std::mem::take(&mut reading.slot_refusals);
    let mut uses = std::mem::take(&mut reading.slot_uses);
    let mut requests = std::mem::take(&mut reading.slot_requests);
    let mut notices: BTreeMap<NationId, Vec<_>> = BTreeMap::new();
    for notice in reading.notices.iter().filter(|notice| notice.live()) {
        notices.entry(notice.name.nation).or_default().push(notice);
    }
    let mut pass = Pass {
        ledger,
        hubs: &reading.hubs,
        places: index(&reading.hubs),
        notices,
        as_of,
        taken: Taken::default(),
        shipments: &reading.shipments,
        sent: index(&reading.shipments),
        flags,
    };
    let shares = pass.allotments(&mut allotments);
    let used = pass.uses(&mut uses, &requests, &allotments, &shares);
    let answers = pass.answers(&mut grants, &mut refusals, &mut requests);
    let slots = pass.slots(&requests, &grants, &answers, &used);
    pass.flag_uses(&uses, &requests, &slots);
    let rows = pass.allotment_rows(&allotments, &shares);
    (reading.allotments, reading.slot_grants) = (allotments, grants);
    (reading.slot_refusals, reading.slot_uses, reading.slot_requests) = (refusals, uses, requests);
    let permits = permits(ledger, reading, pauses, as_of);
    Passage { slots, allotments: rows, permits }
}

/// A grant in its order: priority and first day of its request, R8's other keys, its place, and that of its request.
type Waiting<'w> = (u8, Day, (Timestamp, &'w str, &'w str), usize, usize);

/// What became of each share.
struct Shares {
    hub: Vec<Option<usize>>,
    holds: Vec<bool>,
    /// What is handed on of each, by day.
    handed_on: Vec<BTreeMap<u32, u128>>,
}

/// The answers to each request.
#[derive(Default)]
struct Answers {
    /// Grants that fit the request as it is, in R8 order.
    grants: BTreeMap<usize, Vec<usize>>,
    refused: BTreeSet<usize>,
}

impl<'r, 'a> Pass<'r, 'a> {
    fn hub(&self, reference: &Ref) -> Option<usize> {
        find(&self.places, reference)
    }

    /// Whether a hub is closed on any day of a period: it was closed or withdrawn by then, it does not work on that day, or its
    /// host pauses it (C10).
    fn closed(&self, hub: usize, (from, to): (Day, Day)) -> bool {
        let hub = &self.hubs[hub];
        let ended = hub.status != Status::Live && to >= Day::of(hub.time());
        let early = hub.says.open_from.is_some_and(|open| from < open);
        let late = hub.says.open_to.is_some_and(|open| open < to);
        let paused = |notice: &&Item<'_, crate::statement::typed::SuspendNotice<'_>>| {
            notice.says.from <= to
                && notice.says.until.is_none_or(|until| from <= until)
                && notice.says.pauses(HUBS, Kind::Hub.name(), &hub.name.id)
                && !saw(&hub.seen, &notice.name)
        };
        ended || early || late || self.notices.get(&hub.name.nation).is_some_and(|own| own.iter().any(paused))
    }

    fn capacity(&self, hub: usize, mode: &str) -> u64 {
        self.hubs[hub].says.capacity.get(mode).copied().unwrap_or(0)
    }

    fn pending<T>(&mut self, item: &mut Item<'_, T>, what: &str) {
        item.standing = Standing::Pending;
        let detail = format!("names {what} that is not here, or waits with it");
        self.flags.raise(FlagCode::Pending, [item.name.clone()], [], detail);
    }

    fn not_authorised<T>(&mut self, item: &mut Item<'_, T>, of: &Name, nation: NationId) {
        item.standing = Standing::NotAuthorised;
        let detail = format!("a {} of this is for {} to write", item.name.kind, self.ledger.code(&nation));
        self.flags.raise(FlagCode::NotAuthorised, [item.name.clone(), of.clone()], [], detail);
    }

    /// Serves shares of hosts in R8 order, then the parts handed on of them.
    fn allotments(&mut self, allotments: &mut [Item<'a, Allotment<'a>>]) -> Shares {
        let count = allotments.len();
        let mut shares =
            Shares { hub: vec![None; count], holds: vec![false; count], handed_on: vec![BTreeMap::new(); count] };
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let places: BTreeMap<(NationId, String), usize> =
            allotments.iter().enumerate().map(|(at, item)| ((item.name.nation, item.name.id.clone()), at)).collect();
        let mut open: Vec<usize> = Vec::new();
        for (at, allotment) in allotments.iter_mut().enumerate() {
            let hub = self.hub(&allotment.says.hub);
            shares.hub[at] = hub;
            let parent = allotment.says.part_of.as_ref();
            let parent = parent.map(|share| places.get(&(share.nation, share.id.clone())).copied());
            match (hub, parent) {
                (None, _) => self.pending(allotment, "a hub"),
                (_, Some(None)) => self.pending(allotment, "a share"),
                (Some(_), Some(Some(parent))) => parts.entry(parent).or_default().push(at),
                (Some(hub), None) if self.hubs[hub].name.nation != allotment.name.nation => {
                    let of = self.hubs[hub].name.clone();
                    self.not_authorised(allotment, &of, of.nation);
                }
                (Some(hub), None) => {
                    shares.holds[at] = self.share(allotment, hub);
                    open.push(at);
                }
            }
        }
        // Each share is reached from its host's once; what stands in a circle is reached never, and waits.
        let mut reached: BTreeSet<usize> = open.iter().copied().collect();
        open.reverse();
        while let Some(at) = open.pop() {
            let handed = parts.remove(&at).unwrap_or_default();
            for part in handed.iter().copied() {
                reached.insert(part);
                self.part(allotments, &mut shares, at, part);
            }
            open.extend(handed.into_iter().rev());
        }
        for (at, allotment) in allotments.iter_mut().enumerate() {
            if !reached.contains(&at) && allotment.standing == Standing::Counted {
                self.pending(allotment, "a share");
            }
        }
        shares
    }

    fn share(&mut self, allotment: &Item<'a, Allotment<'a>>, hub: usize) -> bool {
        let says = &allotment.says;
        let period = (says.from, says.to);
        if !allotment.live() || self.closed(hub, period) {
            return false;
        }
        let capacity = self.capacity(hub, says.mode);
        let fits = self.taken.take(hub, says.mode, period, says.tonnes, capacity);
        if !fits {
            let hub = self.hubs[hub].name.clone();
            let detail = format!("shares exceed the {capacity} tonnes a day of this hub");
            let host = hub.code.clone();
            self.flags.raise(FlagCode::AllotmentExceeded, [allotment.name.clone(), hub], [&*host], detail);
        }
        fits
    }

    fn part(&mut self, allotments: &mut [Item<'a, Allotment<'a>>], shares: &mut Shares, of: usize, part: usize) {
        let (whole, holder) = (allotments[of].says.clone(), allotments[of].name.clone());
        let own = &mut allotments[part];
        if whole.nation != own.name.nation {
            return self.not_authorised(own, &holder, whole.nation);
        }
        let inside = own.says.hub.id == whole.hub.id
            && own.says.hub.nation == whole.hub.nation
            && own.says.mode == whole.mode
            && whole.from <= own.says.from
            && own.says.to <= whole.to;
        if !own.live() || !shares.holds[of] {
            return;
        }
        let days = || own.says.from.number()..=own.says.to.number();
        let handed = &mut shares.handed_on[of];
        let room = |day: u32| u128::from(whole.tonnes).saturating_sub(handed.get(&day).copied().unwrap_or(0));
        if inside && days().all(|day| u128::from(own.says.tonnes) <= room(day)) {
            for day in days() {
                *handed.entry(day).or_default() += u128::from(own.says.tonnes);
            }
            shares.holds[part] = true;
            return;
        }
        let detail = format!("more is handed on than the {} tonnes a day of the share", whole.tonnes);
        let names = [own.name.clone(), holder];
        let code = own.name.code.clone();
        self.flags.raise(FlagCode::AllotmentExceeded, names, [&*code], detail);
    }

    /// Checks who used what; returns the requests that were used.
    fn uses(
        &mut self,
        uses: &mut [Item<'a, SlotUse>],
        requests: &[Item<'a, SlotRequest<'a>>],
        allotments: &[Item<'a, Allotment<'a>>],
        shares: &Shares,
    ) -> BTreeSet<usize> {
        let (asked, shared) = (index(requests), index(allotments));
        let mut used = BTreeSet::new();
        let mut spent: BTreeMap<(usize, u32), u128> = BTreeMap::new();
        for item in uses {
            if let Some(reference) = item.says.request.clone() {
                match find(&asked, &reference) {
                    None => self.pending(item, "a slot"),
                    Some(at) if requests[at].name.nation != item.name.nation => {
                        self.not_authorised(item, &requests[at].name, requests[at].name.nation);
                    }
                    Some(at) => {
                        let says = &requests[at].says;
                        if item.live() && (says.from..=says.to).contains(&item.says.day) {
                            used.insert(at);
                        }
                    }
                }
            }
            let Some(reference) = item.says.allotment.clone() else { continue };
            match find(&shared, &reference) {
                None => self.pending(item, "a share"),
                Some(at) if allotments[at].says.nation != item.name.nation => {
                    self.not_authorised(item, &allotments[at].name, allotments[at].says.nation);
                }
                Some(at) if item.live() => {
                    let share = &allotments[at];
                    let day = item.says.day;
                    let spent = spent.entry((at, day.number())).or_default();
                    *spent += u128::from(item.says.tonnes);
                    let handed = shares.handed_on[at].get(&day.number()).copied().unwrap_or(0);
                    let inside = (share.says.from..=share.says.to).contains(&day);
                    let room = if shares.holds[at] && inside { u128::from(share.says.tonnes) } else { 0 };
                    if *spent + handed > room {
                        let detail =
                            format!("{spent} tonnes went by a share that leaves {}", room.saturating_sub(handed));
                        let names = [item.name.clone(), share.name.clone()];
                        let code = item.name.code.clone();
                        self.flags.raise(FlagCode::AllotmentExceeded, names, [&*code], detail);
                    }
                }
                Some(_) => {}
            }
        }
        used
    }

    /// Links grants and refusals to their requests.
    fn answers(
        &mut self,
        grants: &mut [Item<'a, SlotGrant>],
        refusals: &mut [Item<'a, SlotRefuse<'a>>],
        requests: &mut [Item<'a, SlotRequest<'a>>],
    ) -> Answers {
        for request in requests.iter_mut() {
            if self.hub(&request.says.hub).is_none() {
                self.pending(request, "a hub");
            } else if let Some(shipment) = request.says.shipment.clone() {
                self.shipper(request, &shipment);
            }
        }
        let requests = &*requests;
        let places = index(requests);
        let mut answers = Answers::default();
        let mut pins = Pins::default();
        for (own, grant) in grants.iter_mut().enumerate() {
            let reference = grant.says.request.clone();
            let Some((at, pinned)) = self.asked(grant, &reference, requests, &places, &mut pins) else { continue };
            let now = &requests[at].says;
            let same =
                pinned.hub == now.hub && pinned.mode == now.mode && (pinned.from, pinned.to) == (now.from, now.to);
            if !grant.live() {
                continue;
            }
            if reference.version != Some(requests[at].version.source.envelope) {
                let names = [grant.name.clone(), requests[at].name.clone()];
                let code = grant.name.code.clone();
                let detail = "pins a version that is no longer the latest".to_owned();
                self.flags.raise(FlagCode::ChangedSince, names, [&*code], detail);
            }
            if same {
                answers.grants.entry(at).or_default().push(own);
            }
        }
        self.refusals(refusals, requests, &places, &mut answers);
        answers
    }

    /// Checks that a slot for a shipment is asked for by its consignor or a carrier of it.
    fn shipper(&mut self, request: &mut Item<'a, SlotRequest<'a>>, shipment: &Ref) {
        let Some(at) = find(&self.sent, shipment) else { return self.pending(request, "a shipment") };
        let shipment = &self.shipments[at];
        let leg = request.says.leg.map(|leg| usize::try_from(leg).unwrap_or(usize::MAX));
        let parties = parties(self.ledger, &shipment.says, shipment.name.nation);
        if !parties.shipping(leg).contains(&request.name.nation) {
            self.not_authorised(request, &shipment.name, shipment.name.nation);
        }
    }

    fn refusals(
        &mut self,
        refusals: &mut [Item<'a, SlotRefuse<'a>>],
        requests: &[Item<'a, SlotRequest<'a>>],
        places: &Index<'_>,
        answers: &mut Answers,
    ) {
        let mut pins = Pins::default();
        for refusal in refusals {
            let reference = refusal.says.request.clone();
            if let Some((at, _)) = self.asked(refusal, &reference, requests, places, &mut pins)
                && refusal.live()
            {
                answers.refused.insert(at);
            }
        }
    }

    /// Returns the request that an answer of the host pins, as that version has it.
    fn asked<T>(
        &mut self,
        answer: &mut Item<'a, T>,
        reference: &Ref,
        requests: &[Item<'a, SlotRequest<'a>>],
        places: &Index<'_>,
        pins: &mut Pins<'a>,
    ) -> Option<(usize, SlotRequest<'a>)> {
        let found = find(places, reference).filter(|at| requests[*at].standing == Standing::Counted);
        let version = found.and_then(|at| pins.version(at, &requests[at], reference));
        let read = version.and_then(|version| Statement::read(Kind::SlotRequest, &version.fields).ok());
        let (Some(at), Some(Says::SlotRequest(pinned))) = (found, read.map(|read| read.says)) else {
            self.pending(answer, "a slot");
            return None;
        };
        if pinned.hub.nation != answer.name.nation {
            self.not_authorised(answer, &requests[at].name, pinned.hub.nation);
            return None;
        }
        Some((at, pinned))
    }

    /// Fills hubs with grants: by priority, day, claimed time, nation and id; what does not fit is bumped (C9).
    fn slots(
        &mut self,
        requests: &[Item<'a, SlotRequest<'a>>],
        grants: &[Item<'a, SlotGrant>],
        answers: &Answers,
        used: &BTreeSet<usize>,
    ) -> Vec<SlotRow> {
        let mut queue: Vec<Waiting<'_>> = Vec::new();
        for (at, own) in answers.grants.iter().filter(|(at, _)| requests[**at].standing == Standing::Counted) {
            let says = &requests[*at].says;
            let order = |grant: &usize| (says.priority, says.from, grants[*grant].order(), *grant, *at);
            queue.extend(own.iter().map(order));
        }
        queue.sort_unstable();
        let mut granted: BTreeMap<usize, u64> = BTreeMap::new();
        let mut bumped: BTreeSet<usize> = BTreeSet::new();
        for (_, _, _, grant, at) in queue {
            let (request, says) = (&requests[at], &requests[at].says);
            let Some(hub) = self.hub(&says.hub).filter(|_| request.live() && !granted.contains_key(&at)) else {
                continue;
            };
            let period = (says.from, says.to);
            if self.closed(hub, period) {
                let names = [request.name.clone(), grants[grant].name.clone(), self.hubs[hub].name.clone()];
                let detail = "the hub is closed on a day of this slot; goods it took stay there".to_owned();
                let code = request.name.code.clone();
                self.flags.raise(FlagCode::HubClosed, names, [&*code], detail);
                continue;
            }
            // What nobody used is capacity again (C11).
            if says.to.passed(self.as_of) && !used.contains(&at) {
                granted.insert(at, 0);
                let detail = "its days passed and nothing went through".to_owned();
                self.flags.raise(FlagCode::NoShow, [request.name.clone()], [], detail);
                continue;
            }
            let tonnes = grants[grant].says.tonnes.min(says.tonnes);
            let capacity = self.capacity(hub, says.mode);
            if self.taken.take(hub, says.mode, period, tonnes, capacity) {
                granted.insert(at, tonnes);
                bumped.remove(&at);
            } else if bumped.insert(at) {
                let hub = self.hubs[hub].name.clone();
                let code = hub.code.clone();
                let detail = format!("{tonnes} tonnes a day do not fit in {capacity} beside what comes first");
                let names = [request.name.clone(), grants[grant].name.clone(), hub];
                self.flags.raise(FlagCode::HubOverbooked, names, [&*code], detail);
            }
        }
        let row = |(at, request): (usize, &Item<'a, SlotRequest<'a>>)| {
            let hub = self.hub(&request.says.hub);
            let closed = hub.is_some_and(|hub| self.closed(hub, (request.says.from, request.says.to)));
            let given = granted.get(&at).copied();
            let state = if !request.live() {
                SlotState::Released
            } else if closed && answers.grants.contains_key(&at) {
                SlotState::Void
            } else {
                match given {
                    Some(0) => SlotState::NoShow,
                    Some(_) if used.contains(&at) => SlotState::Used,
                    _ if bumped.contains(&at) => SlotState::Bumped,
                    Some(_) => SlotState::Granted,
                    None if answers.refused.contains(&at) => SlotState::Refused,
                    None => SlotState::Requested,
                }
            };
            self.slot(request, hub, state, given.unwrap_or(0))
        };
        requests.iter().enumerate().map(row).collect()
    }

    fn slot(&self, request: &Item<'a, SlotRequest<'a>>, hub: Option<usize>, state: SlotState, granted: u64) -> SlotRow {
        let says = &request.says;
        SlotRow {
            head: request.head(),
            state,
            hub: self.ledger.text(&says.hub),
            hub_row: hub,
            mode: says.mode.to_owned(),
            from: says.from,
            to: says.to,
            tonnes: says.tonnes,
            granted,
            priority: says.priority,
            shipment: says.shipment.as_ref().map(|shipment| self.ledger.text(shipment)),
            leg: says.leg,
        }
    }

    /// Flags uses of slots that were never given, or do not count.
    fn flag_uses(&mut self, uses: &[Item<'a, SlotUse>], requests: &[Item<'a, SlotRequest<'a>>], slots: &[SlotRow]) {
        let places = index(requests);
        for item in uses.iter().filter(|item| item.live() && item.standing == Standing::Counted) {
            let Some(at) = item.says.request.as_ref().and_then(|reference| find(&places, reference)) else { continue };
            let request = &requests[at];
            let names = [item.name.clone(), request.name.clone()];
            match slots[at].state {
                SlotState::Void => {
                    let detail = "went through on a day on which the hub is closed".to_owned();
                    self.flags.raise(FlagCode::HubClosed, names, [&*request.name.code], detail);
                }
                SlotState::Bumped | SlotState::Refused | SlotState::Requested | SlotState::Released => {
                    let host = self.ledger.code(&request.says.hub.nation);
                    let detail = "went through by a slot that was not given".to_owned();
                    self.flags.raise(FlagCode::HubOverbooked, names, [&*host], detail);
                }
                SlotState::Used | SlotState::NoShow | SlotState::Granted => {}
            }
        }
    }

    fn allotment_rows(&self, allotments: &[Item<'a, Allotment<'a>>], shares: &Shares) -> Vec<AllotmentRow> {
        let row = |(at, allotment): (usize, &Item<'a, Allotment<'a>>)| AllotmentRow {
            head: allotment.head(),
            hub: self.ledger.text(&allotment.says.hub),
            hub_row: shares.hub[at],
            nation: allotment.says.nation,
            mode: allotment.says.mode.to_owned(),
            tonnes: allotment.says.tonnes,
            from: allotment.says.from,
            to: allotment.says.to,
            holds: shares.holds[at],
            handed_on: super::movement::clamp(shares.handed_on[at].values().copied().max().unwrap_or(0)),
        };
        allotments.iter().enumerate().map(row).collect()
    }
}

fn permits<'a>(ledger: &Ledger<'a>, reading: &Reading<'a>, pauses: &Pauses<'a>, as_of: Timestamp) -> Vec<PermitRow> {
    let today = Day::of(as_of);
    let row = |permit: &Item<'a, crate::statement::typed::TransitPermit<'a>>| {
        let says = &permit.says;
        let paused = pauses.pausing(&permit.name, PERMITS, &permit.seen).is_some();
        PermitRow {
            head: permit.head(),
            from: place(ledger, Some(&says.from)).unwrap_or_default(),
            to: place(ledger, Some(&says.to)).unwrap_or_default(),
            mode: says.mode.map(str::to_owned),
            nation: says.nation,
            valid_from: says.valid_from,
            valid_to: says.valid_to,
            holds: permit.live() && !paused && (says.valid_from..=says.valid_to).contains(&today),
        }
    };
    reading.permits.iter().map(row).collect()
}
