//! First pass: every record's version that counts, read and sorted by kind.

use std::collections::BTreeMap;

use super::flags::Flags;
use super::rows::{FlagCode, Head, InvalidRow, Name, Standing};
use crate::ids::{EnvelopeId, NationId, Timestamp};
use crate::statement::current::current;
use crate::statement::ledger::Ledger;
use crate::statement::reference::Ref;
use crate::statement::typed::{
    Accept, AcceptSubstitute, Allotment, Answer, Consent, ConsentRequest, Custody, Decline, Dispatch, Endorse, Fund,
    FxTable, Hub, Inventory, ItemType, LossReport, Observation, Place, Pledge, Profile, Propose, Receipt, Requirement,
    Return, Says, Settle, Shipment, SlotGrant, SlotRefuse, SlotRequest, SlotUse, StockLot, SuspendNotice, Topic,
    TransitPermit, Trigger, UnitConversion, Valuation,
};
use crate::statement::{Kind, Status};
use crate::table::{Record, Version};
use crate::time::Day;

/// The version of a record that counts, read.
pub(super) struct Item<'a, T> {
    pub(super) name: Name,
    pub(super) record: &'a Record,
    pub(super) version: &'a Version,
    pub(super) status: Status,
    pub(super) seen: Vec<Ref>,
    pub(super) ext_refs: Vec<&'a str>,
    pub(super) surviving: usize,
    pub(super) standing: Standing,
    pub(super) says: T,
}

impl<T> Item<'_, T> {
    pub(super) fn time(&self) -> Timestamp {
        Timestamp(self.version.source.time_ms)
    }

    pub(super) fn live(&self) -> bool {
        self.status == Status::Live
    }

    /// The order of statements that have no priority of their own (R8).
    pub(super) fn order(&self) -> (Timestamp, &str, &str) {
        (self.time(), &self.name.code, &self.name.id)
    }

    pub(super) fn head(&self) -> Head {
        Head {
            name: self.name.clone(),
            author: self.version.source.author,
            time: self.time(),
            status: self.status,
            standing: self.standing,
            surviving: self.surviving,
        }
    }
}

/// Places of records, by nation, kind and id.
pub(super) type Index<'a> = BTreeMap<(NationId, Kind, &'a str), usize>;

/// Everything read.
#[derive(Default)]
pub(super) struct Reading<'a> {
    pub(super) profiles: Vec<Item<'a, Profile<'a>>>,
    pub(super) hubs: Vec<Item<'a, Hub<'a>>>,
    pub(super) requirements: Vec<Item<'a, Requirement<'a>>>,
    pub(super) pledges: Vec<Item<'a, Pledge<'a>>>,
    pub(super) accepts: Vec<Item<'a, Accept<'a>>>,
    pub(super) declines: Vec<Item<'a, Decline<'a>>>,
    pub(super) shipments: Vec<Item<'a, Shipment<'a>>>,
    pub(super) dispatches: Vec<Item<'a, Dispatch>>,
    pub(super) losses: Vec<Item<'a, LossReport<'a>>>,
    pub(super) receipts: Vec<Item<'a, Receipt<'a>>>,
    pub(super) observations: Vec<Item<'a, Observation<'a>>>,
    pub(super) proposals: Vec<Item<'a, Propose<'a>>>,
    pub(super) answers: Vec<Item<'a, Answer<'a>>>,
    pub(super) item_types: Vec<Item<'a, ItemType<'a>>>,
    pub(super) conversions: Vec<Item<'a, UnitConversion<'a>>>,
    pub(super) valuations: Vec<Item<'a, Valuation<'a>>>,
    pub(super) fx_tables: Vec<Item<'a, FxTable<'a>>>,
    pub(super) topics: Vec<Item<'a, Topic<'a>>>,
    pub(super) allotments: Vec<Item<'a, Allotment<'a>>>,
    pub(super) permits: Vec<Item<'a, TransitPermit<'a>>>,
    pub(super) endorsements: Vec<Item<'a, Endorse<'a>>>,
    pub(super) lots: Vec<Item<'a, StockLot<'a>>>,
    pub(super) funds: Vec<Item<'a, Fund<'a>>>,
    pub(super) substitutes: Vec<Item<'a, AcceptSubstitute<'a>>>,
    pub(super) consent_requests: Vec<Item<'a, ConsentRequest<'a>>>,
    pub(super) consents: Vec<Item<'a, Consent<'a>>>,
    pub(super) slot_requests: Vec<Item<'a, SlotRequest<'a>>>,
    pub(super) slot_grants: Vec<Item<'a, SlotGrant>>,
    pub(super) slot_refusals: Vec<Item<'a, SlotRefuse<'a>>>,
    pub(super) slot_uses: Vec<Item<'a, SlotUse>>,
    pub(super) hand_overs: Vec<Item<'a, Custody<'a>>>,
    pub(super) take_overs: Vec<Item<'a, Custody<'a>>>,
    pub(super) returns: Vec<Item<'a, Return<'a>>>,
    pub(super) inventories: Vec<Item<'a, Inventory<'a>>>,
    pub(super) settles: Vec<Item<'a, Settle<'a>>>,
    pub(super) notices: Vec<Item<'a, SuspendNotice<'a>>>,
    /// What the standby pledges among the pledges wait for.
    pub(super) triggers: BTreeMap<(NationId, String), Trigger>,
    pub(super) invalid: Vec<InvalidRow>,
    /// When the first claimed time that is too far ahead is so no longer.
    skew_ends: Option<Timestamp>,
}

/// Reads every record of a known kind; raises the flags that need nothing but the record itself.
pub(super) fn read<'a>(ledger: &Ledger<'a>, as_of: Timestamp, flags: &mut Flags) -> Reading<'a> {
    let mut reading = Reading::default();
    for (nation, table) in ledger.tables() {
        for ((kind, id), record) in table.records() {
            let Some(kind) = Kind::from_name(kind) else { continue };
            let name = |envelope: EnvelopeId| Name {
                code: nation.code.clone(),
                kind,
                id: id.clone(),
                version: envelope,
                nation: nation.id,
            };
            reading.record(kind, record, as_of, &name, flags);
        }
    }
    reading.sort();
    reading
}

impl<'a> Reading<'a> {
    fn record(
        &mut self,
        kind: Kind,
        record: &'a Record,
        as_of: Timestamp,
        name: &dyn Fn(EnvelopeId) -> Name,
        flags: &mut Flags,
    ) {
        let Some(now) = current(kind, record) else { return };
        let source = now.version.source;
        let shown = name(source.envelope);
        let time = Timestamp(source.time_ms);
        if now.surviving.len() > 1 {
            let others = now.surviving.iter().filter(|(op, _)| *op != now.op);
            let others = others.map(|(_, version)| name(version.source.envelope));
            let detail = format!(
                "{} versions that do not know each other; the one of lower coverage counts",
                now.surviving.len()
            );
            flags.raise(FlagCode::SelfConflict, std::iter::once(shown.clone()).chain(others), [&*shown.code], detail);
        }
        if time.0 > as_of.plus_ms(SKEW_MS).0 {
            let detail = format!("written {} by its own clock", time.rfc3339());
            flags.raise(FlagCode::ClockSkew, [shown.clone()], [&*shown.code], detail);
            let ends = Timestamp(time.0 - SKEW_MS);
            self.skew_ends = Some(self.skew_ends.map_or(ends, |first| first.min(ends)));
        }
        let surviving = now.surviving.len();
        let statement = match now.statement {
            Ok(statement) => statement,
            Err(invalid) => {
                let reason = invalid.to_string();
                flags.raise(FlagCode::Invalid, [shown.clone()], [&*shown.code], reason.clone());
                self.invalid.push(InvalidRow { name: shown, author: source.author, time, reason });
                return;
            }
        };
        let item = Item {
            name: shown,
            record,
            version: now.version,
            status: statement.status,
            seen: statement.seen,
            ext_refs: statement.ext_refs,
            surviving,
            standing: Standing::Counted,
            says: (),
        };
        self.keep(item, statement.says);
    }

    fn keep(&mut self, item: Item<'a, ()>, says: Says<'a>) {
        match says {
            Says::Profile(says) => self.profiles.push(item.saying(says)),
            Says::Hub(says) => self.hubs.push(item.saying(says)),
            Says::Requirement(says) => self.requirements.push(item.saying(says)),
            Says::Pledge(says) => self.pledges.push(item.saying(says)),
            Says::Accept(says) => self.accepts.push(item.saying(says)),
            Says::Decline(says) => self.declines.push(item.saying(says)),
            Says::Shipment(says) => self.shipments.push(item.saying(says)),
            Says::Dispatch(says) => self.dispatches.push(item.saying(says)),
            Says::LossReport(says) => self.losses.push(item.saying(says)),
            Says::Receipt(says) => self.receipts.push(item.saying(says)),
            Says::Observation(says) => self.observations.push(item.saying(says)),
            Says::Propose(says) => self.proposals.push(item.saying(says)),
            Says::Answer(says) => self.answers.push(item.saying(says)),
            Says::StandbyPledge(says) => {
                self.triggers.insert((item.name.nation, item.name.id.clone()), says.on);
                self.pledges.push(item.saying(says.pledge));
            }
            Says::ItemType(says) => self.item_types.push(item.saying(says)),
            Says::UnitConversion(says) => self.conversions.push(item.saying(says)),
            Says::Valuation(says) => self.valuations.push(item.saying(says)),
            Says::FxTable(says) => self.fx_tables.push(item.saying(says)),
            Says::Topic(says) => self.topics.push(item.saying(says)),
            Says::Allotment(says) => self.allotments.push(item.saying(says)),
            Says::TransitPermit(says) => self.permits.push(item.saying(says)),
            Says::Endorse(says) => self.endorsements.push(item.saying(says)),
            Says::StockLot(says) => self.lots.push(item.saying(says)),
            Says::Fund(says) => self.funds.push(item.saying(says)),
            Says::AcceptSubstitute(says) => self.substitutes.push(item.saying(says)),
            Says::ConsentRequest(says) => self.consent_requests.push(item.saying(says)),
            Says::Consent(says) => self.consents.push(item.saying(says)),
            Says::SlotRequest(says) => self.slot_requests.push(item.saying(says)),
            Says::SlotGrant(says) => self.slot_grants.push(item.saying(says)),
            Says::SlotRefuse(says) => self.slot_refusals.push(item.saying(says)),
            Says::SlotUse(says) => self.slot_uses.push(item.saying(says)),
            Says::HandOver(says) => self.hand_overs.push(item.saying(says)),
            Says::TakeOver(says) => self.take_overs.push(item.saying(says)),
            Says::Return(says) => self.returns.push(item.saying(says)),
            Says::Inventory(says) => self.inventories.push(item.saying(says)),
            Says::Settle(says) => self.settles.push(item.saying(says)),
            Says::SuspendNotice(says) => self.notices.push(item.saying(says)),
        }
    }

    /// Returns the first moment after `as_of`, for which this was read, at which another view may follow from it.
    pub(super) fn same_until(&self, as_of: Timestamp) -> Timestamp {
        // Deadlines are days, and pass when these end (R3).
        let tomorrow = Day::of(as_of).plus(1).start();
        self.skew_ends.map_or(tomorrow, |ends| ends.min(tomorrow))
    }

    fn sort(&mut self) {
        fn by_time<T>(items: &mut [Item<'_, T>]) {
            items.sort_by(|a, b| a.order().cmp(&b.order()));
        }
        by_time(&mut self.profiles);
        by_time(&mut self.hubs);
        by_time(&mut self.pledges);
        by_time(&mut self.accepts);
        by_time(&mut self.declines);
        by_time(&mut self.shipments);
        by_time(&mut self.dispatches);
        by_time(&mut self.losses);
        by_time(&mut self.receipts);
        by_time(&mut self.observations);
        by_time(&mut self.proposals);
        by_time(&mut self.answers);
        by_time(&mut self.item_types);
        by_time(&mut self.conversions);
        by_time(&mut self.valuations);
        by_time(&mut self.fx_tables);
        by_time(&mut self.topics);
        by_time(&mut self.allotments);
        by_time(&mut self.permits);
        by_time(&mut self.endorsements);
        by_time(&mut self.lots);
        by_time(&mut self.funds);
        by_time(&mut self.substitutes);
        by_time(&mut self.consent_requests);
        by_time(&mut self.consents);
        by_time(&mut self.slot_requests);
        by_time(&mut self.slot_grants);
        by_time(&mut self.slot_refusals);
        by_time(&mut self.slot_uses);
        by_time(&mut self.hand_overs);
        by_time(&mut self.take_overs);
        by_time(&mut self.returns);
        by_time(&mut self.inventories);
        by_time(&mut self.settles);
        by_time(&mut self.notices);
        self.requirements
            .sort_by(|a, b| urgency(Some(a)).cmp(&urgency(Some(b))).then_with(|| a.order().cmp(&b.order())));
        self.invalid.sort_by(|a, b| (a.time, &a.name).cmp(&(b.time, &b.name)));
    }

    /// Sorts the pledges by the urgency of what they are for, then by R8's other keys.
    pub(super) fn sort_pledges(&mut self) {
        let requirements = index(&self.requirements);
        let place = |pledge: &Item<'_, Pledge<'_>>| {
            pledge.says.requirement.as_ref().and_then(|reference| find(&requirements, reference))
        };
        let mut keyed: Vec<_> = std::mem::take(&mut self.pledges)
            .into_iter()
            .map(|pledge| (urgency(place(&pledge).map(|place| &self.requirements[place])), pledge))
            .collect();
        keyed.sort_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.order().cmp(&right.order())));
        self.pledges = keyed.into_iter().map(|(_, pledge)| pledge).collect();
    }
}

/// How urgent a requirement is (R8); what is for none comes last.
fn urgency(requirement: Option<&Item<'_, Requirement<'_>>>) -> (u8, Day) {
    requirement.map_or((u8::MAX, Day::MAX), |requirement| {
        (requirement.says.priority, requirement.says.needed_by.unwrap_or(Day::MAX))
    })
}

impl<'a> Item<'a, ()> {
    fn saying<T>(self, says: T) -> Item<'a, T> {
        Item {
            name: self.name,
            record: self.record,
            version: self.version,
            status: self.status,
            seen: self.seen,
            ext_refs: self.ext_refs,
            surviving: self.surviving,
            standing: self.standing,
            says,
        }
    }
}

/// A claimed time may be this far ahead of the view's moment (C22).
const SKEW_MS: u64 = 600_000;

/// Indexes items by nation and id.
pub(super) fn index<'i, T>(items: &'i [Item<'_, T>]) -> Index<'i> {
    items
        .iter()
        .enumerate()
        .map(|(place, item)| ((item.name.nation, item.name.kind, item.name.id.as_str()), place))
        .collect()
}

/// Returns the place of the record a reference names.
pub(super) fn find(index: &Index<'_>, reference: &Ref) -> Option<usize> {
    if reference.compartment != 0 {
        return None;
    }
    index.get(&(reference.nation, Kind::from_name(&reference.kind)?, reference.id.as_str())).copied()
}

/// The older versions of records, by envelope, indexed once for each record that is asked for.
#[derive(Default)]
pub(super) struct Pins<'a> {
    versions: BTreeMap<usize, BTreeMap<EnvelopeId, &'a Version>>,
}

impl<'a> Pins<'a> {
    /// Returns the version that a reference to the item at `place` pins; the one that counts if it pins none, `None` if
    /// what it pins is not here.
    pub(super) fn version<T>(&mut self, place: usize, item: &Item<'a, T>, reference: &Ref) -> Option<&'a Version> {
        let Some(pin) = reference.version else { return Some(item.version) };
        if pin == item.version.source.envelope {
            return Some(item.version);
        }
        let versions = self.versions.entry(place).or_insert_with(|| {
            item.record.versions.values().map(|version| (version.source.envelope, version)).collect()
        });
        versions.get(&pin).copied()
    }
}

/// Returns a place in text.
pub(super) fn place(ledger: &Ledger<'_>, place: Option<&Place<'_>>) -> Option<String> {
    Some(match place? {
        Place::Hub(reference) => ledger.text(reference),
        Place::Region(region) => (*region).to_owned(),
    })
}
