//! Statements as an entry makes them: a draft from what the node holds, prepared as the daemon prepares it.

use std::collections::BTreeMap;

use comity_protocol::control::ControlRecord;
use comity_protocol::effect::{RecordWrite, Replaces};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, NationId, Timestamp};
use comity_protocol::statement::Kind;
use comity_protocol::statement::draft::{Draft, DraftValue};
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::prepare::{Entry, prepare};
use comity_protocol::statement::reference::Ref;
use comity_protocol::statement::schema::CLASSES;
use comity_protocol::statement::units::symbols;
use comity_protocol::time::Day;
use comity_protocol::value::record_id_from;
use rand::RngExt as _;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{Meant, Order};

/// Drafts tried before something is said that always can be.
const TRIES: u32 = 12;

/// What somebody at a desk may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Say(Kind),
    Revise,
    Withdraw,
    Close,
}

/// What the nation in need does, and how often.
const IN_NEED: &[(Act, u32)] = &[
    (Act::Say(Kind::Requirement), 4),
    (Act::Say(Kind::Accept), 9),
    (Act::Say(Kind::Decline), 3),
    (Act::Say(Kind::Receipt), 7),
    (Act::Say(Kind::Hub), 2),
    (Act::Say(Kind::Profile), 1),
    (Act::Say(Kind::Observation), 2),
    (Act::Say(Kind::Pledge), 1),
    (Act::Revise, 6),
    (Act::Withdraw, 3),
    (Act::Close, 1),
];

/// What the others do.
const GIVING: &[(Act, u32)] = &[
    (Act::Say(Kind::Pledge), 8),
    (Act::Say(Kind::Shipment), 6),
    (Act::Say(Kind::Dispatch), 6),
    (Act::Say(Kind::LossReport), 3),
    (Act::Say(Kind::Hub), 1),
    (Act::Say(Kind::Profile), 1),
    (Act::Say(Kind::Observation), 2),
    (Act::Say(Kind::Requirement), 1),
    (Act::Say(Kind::Accept), 1),
    (Act::Revise, 7),
    (Act::Withdraw, 3),
    (Act::Close, 1),
];

const ITEMS: [&str; 6] = ["pump", "tent", "winter blanket", "diesel", "flour", "field dressing"];
const REGIONS: [&str; 4] = ["Lviv", "Kharkiv region", "Rzeszów", "the port"];

/// A person at a node, with what the node holds.
pub(super) struct Desk<'a> {
    rng: &'a mut ChaCha8Rng,
    ledger: Ledger<'a>,
    me: AuthorId,
    in_need: bool,
    today: Day,
}

impl<'a> Desk<'a> {
    pub(super) fn new(rng: &'a mut ChaCha8Rng, state: &'a State, me: &AuthorId) -> Self {
        let in_need = recipient(state) == Some(me.nation);
        Self { rng, ledger: Ledger::of(state), me: *me, in_need, today: founded(state) }
    }

    /// Returns a statement that the node's entry takes.
    pub(super) fn order(&mut self) -> Order {
        for _ in 0..TRIES {
            let menu = if self.in_need { IN_NEED } else { GIVING };
            let Ok((act, _)) = menu.choose_weighted(&mut *self.rng, |(_, weight)| *weight).copied() else { break };
            let act = if self.in_need && self.own(Some(Kind::Requirement)).is_empty() {
                Act::Say(Kind::Requirement)
            } else {
                act
            };
            if let Some(write) = self.draft(act).and_then(|draft| self.prepared(&draft)) {
                let what = match act {
                    Act::Say(kind) => kind.name(),
                    Act::Revise => "revise",
                    Act::Withdraw => "withdraw",
                    Act::Close => "close",
                };
                return Order { what, writes: vec![write], idempotency: None, wait: 0, meant: Meant::Legal };
            }
        }
        let fields = comity_protocol::value::Fields::new();
        let write = RecordWrite {
            kind: Kind::Observation.name().to_owned(),
            id: new_id(self.rng),
            replaces: Replaces::Nothing,
            fields,
        };
        Order { what: "observation", writes: vec![write], idempotency: None, wait: 0, meant: Meant::Legal }
    }

    /// Turns a draft into a write as the daemon does (`driver/batch.rs`); `None` if the entry refuses it.
    fn prepared(&mut self, draft: &Draft) -> Option<RecordWrite> {
        let id = new_id(self.rng);
        let entry = Entry { ledger: &self.ledger, nation: self.me.nation, draft, if_version: None, id: &id };
        let prepared = prepare(&entry).ok()?;
        let record = Ref::floating(self.me.nation, prepared.kind, &prepared.id);
        let winner = self.ledger.record(&record).and_then(|record| record.winner());
        let replaces = match (prepared.revises, winner) {
            (None, _) => Replaces::Nothing,
            (Some(_), Some(winner)) if self.one_in(4) => Replaces::IfWinner(winner.source.envelope),
            (Some(_), _) => Replaces::Surviving,
        };
        Some(RecordWrite { kind: prepared.kind.name().to_owned(), id: prepared.id, replaces, fields: prepared.fields })
    }

    fn draft(&mut self, act: Act) -> Option<Draft> {
        match act {
            Act::Say(kind) => {
                Some(Draft { kind: kind.name().to_owned(), fields: self.fields(kind)?, ..Draft::default() })
            }
            Act::Revise => {
                let record = self.busy(self.own(None))?;
                let kind = Kind::from_name(&record.kind)?;
                let all = self.fields(kind).unwrap_or_default();
                let pinned = matches!(kind, Kind::Accept | Kind::Decline) && self.one_in(2);
                let keeps = move |name: &str| match kind {
                    // To which statement it belongs is seldom what a revision changes.
                    Kind::Accept | Kind::Decline => pinned || name != "pledge",
                    Kind::Dispatch | Kind::LossReport | Kind::Receipt => name != "shipment",
                    Kind::Pledge => name != "requirement" && name != "package",
                    Kind::Profile
                    | Kind::Hub
                    | Kind::Requirement
                    | Kind::Shipment
                    | Kind::Observation
                    | Kind::Propose
                    | Kind::Seen
                    | Kind::Assent
                    | Kind::Object
                    | Kind::Reserve
                    | Kind::RequestExtension
                    | Kind::ItemType
                    | Kind::UnitConversion
                    | Kind::Valuation
                    | Kind::FxTable
                    | Kind::Topic
                    | Kind::Allotment
                    | Kind::TransitPermit
                    | Kind::Endorse
                    | Kind::StockLot
                    | Kind::StandbyPledge
                    | Kind::Fund
                    | Kind::AcceptSubstitute
                    | Kind::ConsentRequest
                    | Kind::Consent
                    | Kind::SlotRequest
                    | Kind::SlotGrant
                    | Kind::SlotRefuse
                    | Kind::SlotUse
                    | Kind::HandOver
                    | Kind::TakeOver
                    | Kind::Return
                    | Kind::Inventory
                    | Kind::Settle
                    | Kind::SuspendNotice => true,
                };
                let mut fields = all;
                fields.retain(|name, _| keeps(name));
                self.revision(&record, None, fields)
            }
            Act::Withdraw => {
                let record = self.busy(self.own(None))?;
                self.revision(&record, Some("withdrawn"), BTreeMap::new())
            }
            Act::Close => {
                let mut records = self.own(Some(Kind::Requirement));
                records.extend(self.own(Some(Kind::Hub)));
                let record = self.busy(records)?;
                self.revision(&record, Some("closed"), BTreeMap::new())
            }
        }
    }

    fn revision(&self, record: &Ref, status: Option<&str>, fields: BTreeMap<String, DraftValue>) -> Option<Draft> {
        Some(Draft {
            kind: record.kind.clone(),
            record: Some(self.ledger.text(record)),
            status: status.map(str::to_owned),
            fields,
        })
    }

    /// Returns fields for a statement of a kind; `None` where it needs something the node does not hold.
    fn fields(&mut self, kind: Kind) -> Option<BTreeMap<String, DraftValue>> {
        let mut fields = Sheet::default();
        match kind {
            Kind::Profile => self.profile(&mut fields),
            Kind::Hub => self.hub(&mut fields),
            Kind::Requirement => self.requirement(&mut fields),
            Kind::Pledge => self.pledge(&mut fields),
            Kind::Accept | Kind::Decline => {
                let pledge = self.busy(self.all(Some(Kind::Pledge)))?;
                fields.set("pledge", self.named(&pledge, 4));
                if kind == Kind::Decline {
                    fields.set("reason", "not what we need");
                } else {
                    self.quantity_some(&mut fields, "quantity", 3);
                    self.place_some(&mut fields, "deliver_to");
                    self.conditions_some(&mut fields);
                }
            }
            Kind::Shipment => self.shipment(&mut fields)?,
            Kind::Dispatch => {
                let shipment = self.busy(self.own(Some(Kind::Shipment)))?;
                fields.set("shipment", self.named(&shipment, 6));
                if self.one_in(3) {
                    fields.set("lines", map("0", self.amount()));
                }
                if self.one_in(3) {
                    fields.set("at", self.day().to_string().as_str());
                }
            }
            Kind::LossReport | Kind::Receipt => self.arrival(kind, &mut fields)?,
            Kind::Observation => self.observation(&mut fields),
            // Decisions take days: they have tests of their own. So have the kinds beside the way from a need to a receipt.
            Kind::Propose
            | Kind::Seen
            | Kind::Assent
            | Kind::Object
            | Kind::Reserve
            | Kind::RequestExtension
            | Kind::ItemType
            | Kind::UnitConversion
            | Kind::Valuation
            | Kind::FxTable
            | Kind::Topic
            | Kind::Allotment
            | Kind::TransitPermit
            | Kind::Endorse
            | Kind::StockLot
            | Kind::StandbyPledge
            | Kind::Fund
            | Kind::AcceptSubstitute
            | Kind::ConsentRequest
            | Kind::Consent
            | Kind::SlotRequest
            | Kind::SlotGrant
            | Kind::SlotRefuse
            | Kind::SlotUse
            | Kind::HandOver
            | Kind::TakeOver
            | Kind::Return
            | Kind::Inventory
            | Kind::Settle
            | Kind::SuspendNotice => return None,
        }
        if self.one_in(6) {
            let number = self.rng.random_range(0..4_u32);
            fields.set("ext_refs", list([format!("X-{number}").as_str().into()]));
        }
        if self.one_in(12) {
            fields.set("label", map("level", "RESTRICTED".into()));
        }
        Some(fields.0)
    }

    fn profile(&mut self, fields: &mut Sheet) {
        fields.set("name", "a nation");
        let number = self.rng.random_range(1..255_u32);
        fields.set("addresses", list([format!("/ip4/192.0.2.{number}/tcp/7400").as_str().into()]));
    }

    fn hub(&mut self, fields: &mut Sheet) {
        fields.set("name", "a place");
        fields.set("hub_kind", self.word(&["airport", "port", "rail", "road", "crossing", "warehouse"]));
        fields.set("lat", "49.8425");
        fields.set("lon", "-24.0322");
        fields.set("capacity", map("rail", DraftValue::from(self.rng.random_range(0..3_000_u64))));
        self.day_some(fields, "open_from");
        self.day_some(fields, "open_to");
    }

    fn requirement(&mut self, fields: &mut Sheet) {
        fields.set("item", self.word(&ITEMS));
        fields.set("class", self.word(CLASSES));
        let unit = if self.one_in(2) { "each" } else { symbols().choose(&mut *self.rng).unwrap_or("each") };
        fields.set("unit", unit);
        fields.set("quantity", self.amount());
        fields.set("priority", DraftValue::from(self.rng.random_range(1..=4_u64)));
        self.day_some(fields, "needed_by");
        self.day_some(fields, "valid_until");
        self.place_some(fields, "deliver_to");
        self.quantity_some(fields, "min_lot", 6);
    }

    fn pledge(&mut self, fields: &mut Sheet) {
        let needs = self.all(Some(Kind::Requirement));
        match self.busy(needs) {
            Some(need) if !self.one_in(8) => fields.set("requirement", self.ledger.text(&need).as_str()),
            _ => {
                fields.set("package", "winter");
                fields.set("item", self.word(&ITEMS));
                fields.set("unit", "each");
            }
        }
        fields.set("quantity", self.amount());
        self.conditions_some(fields);
        self.day_some(fields, "expires");
        self.day_some(fields, "deliver_by");
        self.place_some(fields, "from_hub");
        if self.one_in(4) {
            fields.set("lot", "stock 7");
            fields.set("unit_value", DraftValue::from(self.rng.random_range(0..100_000_u64)));
            fields.set("currency", "EUR");
        }
    }

    fn shipment(&mut self, fields: &mut Sheet) -> Option<()> {
        let pledges = self.own(Some(Kind::Pledge));
        let mut lines = Vec::new();
        for _ in 0..self.rng.random_range(1..=3_u32) {
            let pledge = self.busy(pledges.clone())?;
            let mut line = Sheet::default();
            line.set("pledge", self.ledger.text(&pledge).as_str());
            line.set("quantity", self.amount());
            self.parcels_some(&mut line);
            lines.push(DraftValue::Map(line.0));
        }
        fields.set("lines", DraftValue::List(lines));
        if self.one_in(3) {
            let (mut leg, to) = (Sheet::default(), self.place());
            leg.set("from", self.place());
            leg.set("to", to);
            fields.set("legs", list([DraftValue::Map(leg.0)]));
            fields.set("waybill", "WB 1");
        }
        Some(())
    }

    fn arrival(&mut self, kind: Kind, fields: &mut Sheet) -> Option<()> {
        let shipments =
            if kind == Kind::Receipt { self.all(Some(Kind::Shipment)) } else { self.own(Some(Kind::Shipment)) };
        let shipment = self.busy(shipments)?;
        fields.set("shipment", self.named(&shipment, 3));
        fields.set("line", DraftValue::from(self.rng.random_range(0..2_u64)));
        if kind == Kind::LossReport {
            fields.set("quantity", self.amount());
            fields.set("reason", "fell off");
        } else {
            let counted = self.rng.random_range(0..1_500_u64);
            fields.set("counted", DraftValue::from(counted));
            if counted > 10 && self.one_in(2) {
                fields.set("damaged", map("torn", DraftValue::from(counted / 7)));
                fields.set("wrong_item", DraftValue::from(counted / 9));
            }
            fields.set("final", DraftValue::Flag(self.one_in(3)));
        }
        self.parcels_some(fields);
        Some(())
    }

    fn observation(&mut self, fields: &mut Sheet) {
        let records = self.all(None);
        if let Some(about) = records.choose(&mut *self.rng) {
            fields.set("about", self.named(about, 2));
        }
        fields.set("text", "seen on the road\nby two of us");
        if self.one_in(2) {
            fields.set("item", self.word(&ITEMS));
            fields.set("quantity", self.amount());
            fields.set("unit", "kg");
        }
        self.day_some(fields, "date");
    }

    /// Returns all readable records of known kinds, or of one kind, that any nation wrote.
    fn all(&self, kind: Option<Kind>) -> Vec<Ref> {
        self.ledger.nations().iter().flat_map(|nation| self.of(&nation.id, kind)).collect()
    }

    /// Returns the own nation's.
    fn own(&self, kind: Option<Kind>) -> Vec<Ref> {
        self.of(&self.me.nation, kind)
    }

    fn of(&self, nation: &NationId, kind: Option<Kind>) -> Vec<Ref> {
        let Some(table) = self.ledger.table(nation) else { return Vec::new() };
        let named = table.records().filter_map(|((name, id), _)| {
            let found = Kind::from_name(name).filter(|found| kind.is_none_or(|wanted| wanted == *found))?;
            Some(Ref::floating(*nation, found, id))
        });
        named.collect()
    }

    /// Returns one of these, half the time the first: several nodes turn to that one, and so conflicts arise.
    fn busy(&mut self, mut records: Vec<Ref>) -> Option<Ref> {
        if records.is_empty() {
            return None;
        }
        let at = if self.one_in(2) { 0 } else { self.rng.random_range(0..records.len()) };
        Some(records.swap_remove(at))
    }

    /// Returns a reference in text, one in `often` times with a version, which may be an old one.
    fn named(&mut self, record: &Ref, often: u32) -> DraftValue {
        let mut record = record.clone();
        if self.one_in(often)
            && let Some(found) = self.ledger.record(&record)
        {
            record.version = found.versions.values().choose(&mut *self.rng).map(|version| version.source.envelope);
        }
        self.ledger.text(&record).as_str().into()
    }

    fn one_in(&mut self, often: u32) -> bool {
        self.rng.random_range(0..often) == 0
    }

    fn word(&mut self, words: &[&'static str]) -> &'static str {
        words.choose(&mut *self.rng).copied().unwrap_or_default()
    }

    /// Mostly up to 1,000; now and then with a fraction, one, or as much as there may be.
    fn amount(&mut self) -> DraftValue {
        match self.rng.random_range(0..40_u32) {
            0 => "1".into(),
            1 => "2.5".into(),
            2 => DraftValue::from(comity_protocol::limits::QUANTITY_MAX),
            _ => DraftValue::from(self.rng.random_range(1..=1_000_u64)),
        }
    }

    /// A day from a month before the founding to four months after.
    fn day(&mut self) -> Day {
        let month_before = Day::new(self.today.number().saturating_sub(30)).unwrap_or(self.today);
        month_before.plus(self.rng.random_range(0..150))
    }

    fn place(&mut self) -> DraftValue {
        let hubs = self.all(Some(Kind::Hub));
        match hubs.choose(&mut *self.rng) {
            Some(hub) if self.one_in(2) => self.named(hub, 4),
            _ => self.word(&REGIONS).into(),
        }
    }

    fn place_some(&mut self, fields: &mut Sheet, name: &str) {
        if self.one_in(4) {
            fields.set(name, self.place());
        }
    }

    fn day_some(&mut self, fields: &mut Sheet, name: &str) {
        if self.one_in(4) {
            fields.set(name, self.day().to_string().as_str());
        }
    }

    fn quantity_some(&mut self, fields: &mut Sheet, name: &str, often: u32) {
        if !self.one_in(often) {
            fields.set(name, self.amount());
        }
    }

    fn conditions_some(&mut self, fields: &mut Sheet) {
        if self.one_in(4) {
            let conditions = if self.one_in(2) { vec!["consent".into()] } else { Vec::new() };
            fields.set("conditions", DraftValue::List(conditions));
        }
    }

    fn parcels_some(&mut self, fields: &mut Sheet) {
        if self.one_in(3) {
            let other = self.rng.random_range(0..3_u32);
            fields.set("parcels", list(["box a".into(), format!("box {other}").as_str().into()]));
        }
    }
}

/// The fields of a draft while they are filled in.
#[derive(Default)]
struct Sheet(BTreeMap<String, DraftValue>);

impl Sheet {
    fn set(&mut self, name: &str, value: impl Into<DraftValue>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

fn list<const N: usize>(entries: [DraftValue; N]) -> DraftValue {
    DraftValue::List(entries.into())
}

fn map(key: &str, value: DraftValue) -> DraftValue {
    DraftValue::Map(BTreeMap::from([(key.to_owned(), value)]))
}

/// Returns the nation in need: the one called UKR, else the first of the charter.
fn recipient(state: &State) -> Option<NationId> {
    state.nation_by_code("UKR").or_else(|| state.nations().next()).map(|nation| nation.id)
}

/// Returns the day the alliance was founded; nobody at a desk has another clock.
fn founded(state: &State) -> Day {
    let genesis = state.control_records().first().and_then(|control| match control.record() {
        ControlRecord::Genesis(signed) => Some(signed.genesis.created_ms),
        ControlRecord::Motion(_) | ControlRecord::Vote(..) | ControlRecord::Roster(..) => None,
    });
    Day::of(Timestamp(genesis.unwrap_or_default()))
}

/// Returns an id for a new record.
pub(super) fn new_id(rng: &mut ChaCha8Rng) -> String {
    record_id_from(rng.random())
}
