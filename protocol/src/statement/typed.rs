//! Versions of each kind as typed values, borrowed from their fields.

mod custody;
mod offer;
mod own;
mod passage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::check::{Violation, check, index};
use super::reference::Ref;
use super::units::Unit;
use super::{Kind, Status};
use crate::ids::{Digest, NationId, Timestamp};
use crate::time::Day;
use crate::value::{Fields, Value};

pub use custody::{Custody, Inventory, Return, Settle};
pub use offer::{AcceptSubstitute, Consent, ConsentRequest, Endorse, Fund, Grant, StandbyPledge, StockLot, Trigger};
pub use own::{FxTable, ItemType, SuspendNotice, Topic, UnitConversion, Valuation};
pub use passage::{Allotment, SlotGrant, SlotRefuse, SlotRequest, SlotUse, TransitPermit};

/// A quantity in base units, with the unit as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity<'a> {
    /// Base units of the unit's dimension.
    pub base: u64,
    /// The unit as typed; it may be unknown (C18).
    pub unit: &'a str,
}

impl Quantity<'_> {
    /// Returns the unit, if it is a known one.
    pub fn known_unit(&self) -> Option<Unit> {
        Unit::find(self.unit)
    }

    /// The symbol of the base unit; the unit as typed if it is unknown.
    pub fn base_unit(&self) -> &str {
        self.known_unit().map_or(self.unit, |unit| unit.dimension.base())
    }
}

/// A hub of the record, or a region by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// A hub of the record.
    Hub(Ref),
    /// A region.
    Region(&'a str),
}

/// A stock lot of the record, or one that only has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lot<'a> {
    /// A stock lot of the record.
    Record(Ref),
    /// A name.
    Named(&'a str),
}

/// A valid version of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Whether it stands.
    pub status: Status,
    /// The answers and fellow statements its writer had seen.
    pub seen: Vec<Ref>,
    /// Numbers under which others know the same thing.
    pub ext_refs: Vec<&'a str>,
    /// What it says.
    pub says: Says<'a>,
}

/// What a statement says, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says<'a> {
    /// About its writer.
    Profile(Profile<'a>),
    /// A place.
    Hub(Hub<'a>),
    /// A need.
    Requirement(Requirement<'a>),
    /// An offer.
    Pledge(Pledge<'a>),
    /// An offer taken.
    Accept(Accept<'a>),
    /// An offer not taken.
    Decline(Decline<'a>),
    /// Goods made up.
    Shipment(Shipment<'a>),
    /// Goods left.
    Dispatch(Dispatch),
    /// Goods lost.
    LossReport(LossReport<'a>),
    /// Goods counted.
    Receipt(Receipt<'a>),
    /// About others.
    Observation(Observation<'a>),
    /// A question.
    Propose(Propose<'a>),
    /// What a participant says to it.
    Answer(Answer<'a>),
    /// An item of a nation's catalogue.
    ItemType(ItemType<'a>),
    /// One unit in another.
    UnitConversion(UnitConversion<'a>),
    /// What an item is worth.
    Valuation(Valuation<'a>),
    /// Rates of exchange.
    FxTable(FxTable<'a>),
    /// A topic.
    Topic(Topic<'a>),
    /// A share of a hub.
    Allotment(Allotment<'a>),
    /// Leave to cross.
    TransitPermit(TransitPermit<'a>),
    /// Advice on a need.
    Endorse(Endorse<'a>),
    /// Stock to give.
    StockLot(StockLot<'a>),
    /// An offer in waiting.
    StandbyPledge(StandbyPledge<'a>),
    /// Money for an offer.
    Fund(Fund<'a>),
    /// Another item for the one pledged.
    AcceptSubstitute(AcceptSubstitute<'a>),
    /// A question to the nation of origin.
    ConsentRequest(ConsentRequest<'a>),
    /// Its answer.
    Consent(Consent<'a>),
    /// A question to a host.
    SlotRequest(SlotRequest<'a>),
    /// Its answer.
    SlotGrant(SlotGrant),
    /// Its refusal.
    SlotRefuse(SlotRefuse<'a>),
    /// Capacity used.
    SlotUse(SlotUse),
    /// Custody released.
    HandOver(Custody<'a>),
    /// Custody taken.
    TakeOver(Custody<'a>),
    /// Goods sent back.
    Return(Return<'a>),
    /// Goods in use.
    Inventory(Inventory<'a>),
    /// Half of a settlement.
    Settle(Settle<'a>),
    /// A pause.
    SuspendNotice(SuspendNotice<'a>),
}

/// See [`Kind::Profile`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Profile<'a> {
    pub name: &'a str,
    pub contact: Option<&'a str>,
    pub addresses: Vec<&'a str>,
}

/// See [`Kind::Hub`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Hub<'a> {
    pub name: &'a str,
    pub hub_kind: &'a str,
    pub code: Option<&'a str>,
    pub lat: Option<i64>,
    pub lon: Option<i64>,
    pub modes: Vec<&'a str>,
    pub capacity: BTreeMap<&'a str, u64>,
    pub open_from: Option<Day>,
    pub open_to: Option<Day>,
}

/// See [`Kind::Requirement`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Requirement<'a> {
    pub item: &'a str,
    pub class: &'a str,
    pub theme: Option<&'a str>,
    pub quantity: Quantity<'a>,
    pub priority: u8,
    pub needed_by: Option<Day>,
    pub deliver_to: Option<Place<'a>>,
    pub min_lot: Option<u64>,
    pub substitutes_allowed: bool,
    pub valid_until: Option<Day>,
    pub crisis: Option<&'a str>,
    pub tolerance: u64,
}

/// See [`Kind::Pledge`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Pledge<'a> {
    pub requirement: Option<Ref>,
    pub package: Option<&'a str>,
    pub item: &'a str,
    pub quantity: Quantity<'a>,
    pub unit_value: Option<u64>,
    pub currency: Option<&'a str>,
    pub available_from: Option<Day>,
    pub deliver_by: Option<Day>,
    pub from_hub: Option<Place<'a>>,
    pub conditions: Vec<&'a str>,
    pub expires: Option<Day>,
    pub lot: Option<Lot<'a>>,
    pub origin_nation: Option<&'a str>,
}

/// See [`Kind::Accept`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Accept<'a> {
    pub pledge: Ref,
    pub quantity: Quantity<'a>,
    pub deliver_to: Option<Place<'a>>,
    pub conditions: Vec<&'a str>,
}

/// See [`Kind::Decline`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Decline<'a> {
    pub pledge: Ref,
    pub reason: Option<&'a str>,
}

/// One line of a shipment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct ShipmentLine<'a> {
    pub pledge: Ref,
    pub quantity: Quantity<'a>,
    pub parcels: Vec<&'a str>,
}

/// One leg of a shipment's way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct ShipmentLeg<'a> {
    pub from: Place<'a>,
    pub to: Place<'a>,
    pub mode: Option<&'a str>,
    pub carrier: Option<&'a str>,
    pub etd: Option<Day>,
    pub eta: Option<Day>,
    pub slot: Option<Ref>,
    pub permit: Option<Ref>,
    pub custody_hours: u64,
}

/// See [`Kind::Shipment`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Shipment<'a> {
    pub lines: BTreeMap<u32, ShipmentLine<'a>>,
    pub legs: Vec<ShipmentLeg<'a>>,
    pub waybill: Option<&'a str>,
    pub seal: Option<&'a str>,
    pub gross_kg: Option<u64>,
    pub volume_l: Option<u64>,
}

/// See [`Kind::Dispatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Dispatch {
    pub shipment: Ref,
    pub at: Option<Timestamp>,
    /// Base units of each line; `None`: all of every line.
    pub lines: Option<BTreeMap<u32, u64>>,
}

/// See [`Kind::LossReport`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct LossReport<'a> {
    pub shipment: Ref,
    pub line: u32,
    pub quantity: Quantity<'a>,
    pub parcels: Vec<&'a str>,
    pub reason: Option<&'a str>,
}

/// Goods damaged, by condition, in base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Damage {
    pub torn: u64,
    pub stained: u64,
    pub mouldy: u64,
    pub other: u64,
}

/// See [`Kind::Receipt`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Receipt<'a> {
    pub shipment: Ref,
    pub line: u32,
    pub counted: Quantity<'a>,
    pub damaged: Damage,
    pub wrong_item: u64,
    pub underweight: u64,
    pub item: Option<&'a str>,
    pub parcels: Vec<&'a str>,
    pub place: Option<Place<'a>>,
    pub at: Option<Timestamp>,
    pub last: bool,
}

impl Damage {
    /// All of it, saturating.
    pub const fn total(&self) -> u64 {
        self.torn.saturating_add(self.stained).saturating_add(self.mouldy).saturating_add(self.other)
    }
}

impl Receipt<'_> {
    /// What was counted in good condition and as the right item, as the receipt itself says (DOMAIN 2.5).
    pub const fn good(&self) -> u64 {
        let bad = self.damaged.total().saturating_add(self.wrong_item).saturating_add(self.underweight);
        self.counted.base.saturating_sub(bad)
    }
}

/// See [`Kind::Observation`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Observation<'a> {
    pub about: Option<Ref>,
    pub source: Option<&'a str>,
    pub licence: Option<&'a str>,
    pub row: Option<u64>,
    pub reason: Option<&'a str>,
    pub item: Option<&'a str>,
    pub class: Option<&'a str>,
    pub quantity: Option<Quantity<'a>>,
    pub amount: Option<u64>,
    pub currency: Option<&'a str>,
    pub donor: Option<&'a str>,
    pub recipient: Option<&'a str>,
    pub date: Option<Day>,
    pub text: Option<&'a str>,
}

/// See [`Kind::Propose`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of `schema`, documented there")]
pub struct Propose<'a> {
    pub title: &'a str,
    pub text_hash: Digest,
    pub text: Option<&'a str>,
    pub participants: BTreeSet<NationId>,
    pub opens_at: Timestamp,
    pub closes_at: Timestamp,
    pub subject_key: Option<&'a str>,
    pub effect: BTreeMap<&'a str, &'a str>,
}

/// What a participant says to a proposal: see [`Kind::ANSWERS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The version of the proposal.
    pub proposal: Ref,
    /// The reservation, the reason, or the interpretative statement.
    pub text: Option<&'a str>,
}

/// Why a version is invalid: it is shown with all of this and counts as zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong, at least one thing.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid: ")?;
        for (place, violation) in self.violations.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl<'a> Statement<'a> {
    /// Reads a version's fields.
    ///
    /// # Errors
    /// [`Invalid`] with every violation of the table of kinds.
    pub fn read(kind: Kind, fields: &'a Fields) -> Result<Self, Invalid> {
        let violations = check(kind, fields);
        if !violations.is_empty() {
            return Err(Invalid { violations });
        }
        let fields = Checked(fields);
        let says = fields.says(kind).ok_or_else(|| Invalid {
            violations: vec![Violation { field: kind.name().to_owned(), problem: super::check::Problem::Missing }],
        })?;
        Ok(Self { status: fields.status(), seen: fields.references("seen"), ext_refs: fields.texts("ext_refs"), says })
    }
}

/// Fields that passed [`check`]; what it guarantees is read without a second look, and anything else reads as absent.
#[derive(Clone, Copy)]
struct Checked<'a>(&'a Fields);

impl<'a> Checked<'a> {
    fn status(self) -> Status {
        match self.text("status") {
            Some("withdrawn") => Status::Withdrawn,
            Some("closed") => Status::Closed,
            _ => Status::Live,
        }
    }

    fn text(self, name: &str) -> Option<&'a str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn uint(self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(Value::Uint(number)) => Some(*number),
            _ => None,
        }
    }

    fn int(self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    fn flag(self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Bool(true)))
    }

    fn day(self, name: &str) -> Option<Day> {
        self.text(name)?.parse().ok()
    }

    fn line(self) -> Option<u32> {
        u32::try_from(self.uint("line")?).ok()
    }

    fn reference(self, name: &str) -> Option<Ref> {
        self.0.get(name).and_then(reference)
    }

    fn place(self, name: &str) -> Option<Place<'a>> {
        match self.0.get(name)? {
            Value::Text(text) => Some(Place::Region(text)),
            other => reference(other).map(Place::Hub),
        }
    }

    fn quantity(self, name: &str) -> Option<Quantity<'a>> {
        Some(Quantity { base: self.uint(name)?, unit: self.text("unit")? })
    }

    fn map(self, name: &str) -> Option<Self> {
        match self.0.get(name) {
            Some(Value::Map(map)) => Some(Self(map)),
            _ => None,
        }
    }

    /// Returns the entries of a list in the order of their numbers, which is not that of their keys.
    fn entries(self, name: &str) -> BTreeMap<u32, &'a Value> {
        let map = self.map(name);
        map.iter().flat_map(|map| map.0).filter_map(|(key, value)| Some((index(key)?, value))).collect()
    }

    fn groups(self, name: &str) -> impl Iterator<Item = (u32, Self)> {
        self.entries(name).into_iter().filter_map(|(index, value)| match value {
            Value::Map(map) => Some((index, Self(map))),
            _ => None,
        })
    }

    fn texts(self, name: &str) -> Vec<&'a str> {
        let text = |value: &'a Value| if let Value::Text(text) = value { Some(text.as_str()) } else { None };
        self.entries(name).into_values().filter_map(text).collect()
    }

    fn references(self, name: &str) -> Vec<Ref> {
        self.entries(name).into_values().filter_map(reference).collect()
    }

    fn uints(self) -> BTreeMap<&'a str, u64> {
        let uint = |(key, value): (&'a String, &'a Value)| match value {
            Value::Uint(number) => Some((key.as_str(), *number)),
            _ => None,
        };
        self.0.iter().filter_map(uint).collect()
    }

    fn says(self, kind: Kind) -> Option<Says<'a>> {
        Some(match kind {
            Kind::Profile => Says::Profile(Profile {
                name: self.text("name")?,
                contact: self.text("contact"),
                addresses: self.texts("addresses"),
            }),
            Kind::Hub => Says::Hub(self.hub()?),
            Kind::Requirement => Says::Requirement(self.requirement()?),
            Kind::Pledge => Says::Pledge(self.pledge()?),
            Kind::Accept => Says::Accept(Accept {
                pledge: self.reference("pledge")?,
                quantity: self.quantity("quantity")?,
                deliver_to: self.place("deliver_to"),
                conditions: self.texts("conditions"),
            }),
            Kind::Decline => Says::Decline(Decline { pledge: self.reference("pledge")?, reason: self.text("reason") }),
            Kind::Shipment => Says::Shipment(self.shipment()),
            Kind::Dispatch => Says::Dispatch(Dispatch {
                shipment: self.reference("shipment")?,
                at: self.uint("at").map(Timestamp),
                lines: self.map("lines").map(|lines| {
                    lines.uints().into_iter().filter_map(|(key, base)| Some((index(key)?, base))).collect()
                }),
            }),
            Kind::LossReport => Says::LossReport(LossReport {
                shipment: self.reference("shipment")?,
                line: self.line()?,
                quantity: self.quantity("quantity")?,
                parcels: self.texts("parcels"),
                reason: self.text("reason"),
            }),
            Kind::Receipt => Says::Receipt(self.receipt()?),
            Kind::Observation => Says::Observation(self.observation()),
            Kind::Propose => Says::Propose(self.propose()?),
            Kind::Seen | Kind::Assent | Kind::Object | Kind::Reserve | Kind::RequestExtension => {
                let text = self.text("text").or_else(|| self.text("reason"));
                Says::Answer(Answer { proposal: self.reference("proposal")?, text })
            }
            Kind::ItemType => Says::ItemType(self.item_type()?),
            Kind::UnitConversion => Says::UnitConversion(self.unit_conversion()?),
            Kind::Valuation => Says::Valuation(self.valuation()?),
            Kind::FxTable => Says::FxTable(self.fx_table()?),
            Kind::Topic => Says::Topic(self.topic()?),
            Kind::Allotment => Says::Allotment(self.allotment()?),
            Kind::TransitPermit => Says::TransitPermit(self.transit_permit()?),
            Kind::Endorse => {
                Says::Endorse(Endorse { requirement: self.reference("requirement")?, text: self.text("text") })
            }
            Kind::StockLot => Says::StockLot(self.stock_lot()?),
            Kind::StandbyPledge => Says::StandbyPledge(self.standby_pledge()?),
            Kind::Fund => Says::Fund(self.fund()?),
            Kind::AcceptSubstitute => Says::AcceptSubstitute(self.accept_substitute()?),
            Kind::ConsentRequest => Says::ConsentRequest(self.consent_request()?),
            Kind::Consent => Says::Consent(self.consent()?),
            Kind::SlotRequest => Says::SlotRequest(self.slot_request()?),
            Kind::SlotGrant => Says::SlotGrant(self.slot_grant()?),
            Kind::SlotRefuse => Says::SlotRefuse(self.slot_refuse()?),
            Kind::SlotUse => Says::SlotUse(self.slot_use()?),
            Kind::HandOver => Says::HandOver(self.custody("to")?),
            Kind::TakeOver => Says::TakeOver(self.custody("from")?),
            Kind::Return => Says::Return(self.sent_back()?),
            Kind::Inventory => Says::Inventory(self.inventory()?),
            Kind::Settle => Says::Settle(self.settle()?),
            Kind::SuspendNotice => Says::SuspendNotice(self.suspend_notice()?),
        })
    }

    fn propose(self) -> Option<Propose<'a>> {
        let bytes = |value: &Value| match value {
            Value::Bytes(bytes) => <[u8; 32]>::try_from(bytes.as_slice()).ok(),
            _ => None,
        };
        let effect = self.map("effect").map_or_else(BTreeMap::new, |effect| {
            let text = |(key, value): (&'a String, &'a Value)| match value {
                Value::Text(text) => Some((key.as_str(), text.as_str())),
                _ => None,
            };
            effect.0.iter().filter_map(text).collect()
        });
        Some(Propose {
            title: self.text("title")?,
            text_hash: Digest::new(bytes(self.0.get("text_hash")?)?),
            text: self.text("text"),
            participants: self.entries("participants").into_values().filter_map(bytes).map(NationId::new).collect(),
            opens_at: self.uint("opens_at").map(Timestamp)?,
            closes_at: self.uint("closes_at").map(Timestamp)?,
            subject_key: self.text("subject_key"),
            effect,
        })
    }

    fn hub(self) -> Option<Hub<'a>> {
        Some(Hub {
            name: self.text("name")?,
            hub_kind: self.text("hub_kind")?,
            code: self.text("code"),
            lat: self.int("lat"),
            lon: self.int("lon"),
            modes: self.texts("modes"),
            capacity: self.map("capacity").map(Self::uints).unwrap_or_default(),
            open_from: self.day("open_from"),
            open_to: self.day("open_to"),
        })
    }

    fn requirement(self) -> Option<Requirement<'a>> {
        Some(Requirement {
            item: self.text("item")?,
            class: self.text("class")?,
            theme: self.text("theme"),
            quantity: self.quantity("quantity")?,
            priority: self.priority(),
            needed_by: self.day("needed_by"),
            deliver_to: self.place("deliver_to"),
            min_lot: self.uint("min_lot"),
            substitutes_allowed: self.flag("substitutes_allowed"),
            valid_until: self.day("valid_until"),
            crisis: self.text("crisis"),
            tolerance: self.uint("tolerance").unwrap_or(0),
        })
    }

    fn pledge(self) -> Option<Pledge<'a>> {
        Some(Pledge {
            requirement: self.reference("requirement"),
            package: self.text("package"),
            item: self.text("item")?,
            quantity: self.quantity("quantity")?,
            unit_value: self.uint("unit_value"),
            currency: self.text("currency"),
            available_from: self.day("available_from"),
            deliver_by: self.day("deliver_by"),
            from_hub: self.place("from_hub"),
            conditions: self.texts("conditions"),
            expires: self.day("expires"),
            lot: self.lot("lot"),
            origin_nation: self.text("origin_nation"),
        })
    }

    fn shipment(self) -> Shipment<'a> {
        let line = |(index, line): (u32, Self)| {
            let (pledge, quantity) = (line.reference("pledge")?, line.quantity("quantity")?);
            Some((index, ShipmentLine { pledge, quantity, parcels: line.texts("parcels") }))
        };
        let leg = |(_, leg): (u32, Self)| {
            Some(ShipmentLeg {
                from: leg.place("from")?,
                to: leg.place("to")?,
                mode: leg.text("mode"),
                carrier: leg.text("carrier"),
                etd: leg.day("etd"),
                eta: leg.day("eta"),
                slot: leg.reference("slot"),
                permit: leg.reference("permit"),
                custody_hours: leg.uint("custody_hours").unwrap_or(CUSTODY_HOURS_DEFAULT),
            })
        };
        Shipment {
            lines: self.groups("lines").filter_map(line).collect(),
            legs: self.groups("legs").filter_map(leg).collect(),
            waybill: self.text("waybill"),
            seal: self.text("seal"),
            gross_kg: self.uint("gross_kg"),
            volume_l: self.uint("volume_l"),
        }
    }

    fn receipt(self) -> Option<Receipt<'a>> {
        let damaged = self.map("damaged").map_or_else(Damage::default, |damaged| {
            let part = |name| damaged.uint(name).unwrap_or(0);
            Damage { torn: part("torn"), stained: part("stained"), mouldy: part("mouldy"), other: part("other") }
        });
        Some(Receipt {
            shipment: self.reference("shipment")?,
            line: self.line()?,
            counted: self.quantity("counted")?,
            damaged,
            wrong_item: self.uint("wrong_item").unwrap_or(0),
            underweight: self.uint("underweight").unwrap_or(0),
            item: self.text("item"),
            parcels: self.texts("parcels"),
            place: self.place("place"),
            at: self.uint("at").map(Timestamp),
            last: self.flag("final"),
        })
    }

    fn observation(self) -> Observation<'a> {
        Observation {
            about: self.reference("about"),
            source: self.text("source"),
            licence: self.text("licence"),
            row: self.uint("row"),
            reason: self.text("reason"),
            item: self.text("item"),
            class: self.text("class"),
            quantity: self.quantity("quantity"),
            amount: self.uint("amount"),
            currency: self.text("currency"),
            donor: self.text("donor"),
            recipient: self.text("recipient"),
            date: self.day("date"),
            text: self.text("text"),
        }
    }
}

/// Hours within which goods released are to be taken over, of a leg that states none.
pub const CUSTODY_HOURS_DEFAULT: u64 = 24;

/// The priority of a requirement that states none.
pub const PRIORITY_DEFAULT: u8 = 3;

fn reference(value: &Value) -> Option<Ref> {
    match value {
        Value::Bytes(bytes) => Ref::decode(bytes).ok(),
        _ => None,
    }
}
