//! What a draft refers to: it fills in what was left out, and decides whether the nation may write it at all.

mod chain;
mod decision;

use std::collections::BTreeMap;

use super::Entry;
use crate::ids::NationId;
use crate::statement::conversion::Conversions;
use crate::statement::current::current;
use crate::statement::draft::{DraftError, DraftProblem};
use crate::statement::reference::Ref;
use crate::statement::schema::Role;
use crate::statement::typed::{ConsentRequest, Pledge, Requirement, Says, Shipment, SlotRequest, Statement};
use crate::statement::units::Unit;
use crate::statement::{Kind, Status};
use crate::value::{Fields, Value};

/// A statement referred to, with its reference.
struct Target<T> {
    reference: Ref,
    status: Status,
    says: T,
}

/// What a draft refers to, as far as it was read.
#[derive(Default)]
pub(super) struct Targets<'a> {
    requirement: Option<Target<Requirement<'a>>>,
    pledge: Option<Target<Pledge<'a>>>,
    shipment: Option<Target<Shipment<'a>>>,
    consent_request: Option<Target<ConsentRequest<'a>>>,
    slot_request: Option<Target<SlotRequest<'a>>>,
    /// The line of the shipment a loss report or receipt is about.
    line: Option<u32>,
    /// The kind of the statement itself.
    kind: Option<Kind>,
}

impl<'a> Targets<'a> {
    /// Reads what the references of `fields` name.
    pub(super) fn of(entry: &Entry<'a>, kind: Kind, fields: &Fields) -> Result<Self, DraftError> {
        let mut targets = Self { kind: Some(kind), ..Self::default() };
        if let Some(reference) = reference(fields, "shipment") {
            let (status, statement) = read(entry, "shipment", &reference)?;
            if let Says::Shipment(says) = statement.says {
                let typed = entry.draft.fields.get("line");
                targets.line = line_number(typed, fields);
                if let Some(line) = targets.line.filter(|line| !says.lines.contains_key(line)) {
                    return Err(DraftError::at("line", DraftProblem::Line(line)));
                }
                if let Some(line) = targets.line.and_then(|line| says.lines.get(&line)) {
                    targets.pledge = pledge(entry, "shipment", line.pledge.clone())?;
                }
                targets.shipment = Some(Target { reference, status, says });
            }
        }
        if let Some(reference) = reference(fields, "pledge") {
            targets.pledge = pledge(entry, "pledge", reference)?;
        }
        if let Some(reference) = reference(fields, "request") {
            let (status, statement) = read(entry, "request", &reference)?;
            match statement.says {
                Says::ConsentRequest(says) => {
                    targets.pledge = pledge(entry, "request", says.pledge.clone())?;
                    targets.consent_request = Some(Target { reference, status, says });
                }
                Says::SlotRequest(says) => targets.slot_request = Some(Target { reference, status, says }),
                _ => {}
            }
        }
        let asked = reference(fields, "requirement")
            .or_else(|| targets.pledge.as_ref().and_then(|pledge| pledge.says.requirement.clone()));
        if let Some(reference) = asked {
            let (status, statement) = read(entry, "requirement", &reference)?;
            if let Says::Requirement(says) = statement.says {
                targets.requirement = Some(Target { reference, status, says });
            }
        }
        Ok(targets)
    }

    /// The unit of what the statement's quantity is compared with.
    pub(super) fn unit(&self) -> Option<Unit> {
        match self.kind? {
            Kind::Pledge | Kind::StandbyPledge => self.requirement.as_ref()?.says.quantity.known_unit(),
            Kind::Accept | Kind::Consent => self.pledge.as_ref()?.says.quantity.known_unit(),
            Kind::LossReport | Kind::Receipt | Kind::Return | Kind::Settle => {
                self.shipment.as_ref()?.says.lines.get(&self.line?)?.quantity.known_unit()
            }
            Kind::Profile
            | Kind::Hub
            | Kind::Requirement
            | Kind::Decline
            | Kind::Shipment
            | Kind::Dispatch
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
            | Kind::Fund
            | Kind::AcceptSubstitute
            | Kind::ConsentRequest
            | Kind::SlotRequest
            | Kind::SlotGrant
            | Kind::SlotRefuse
            | Kind::SlotUse
            | Kind::HandOver
            | Kind::TakeOver
            | Kind::Inventory
            | Kind::SuspendNotice => None,
        }
    }

    /// Whether a nation that the view asks says what quantities in one unit come to in the other's dimension (C18).
    pub(super) fn convertible(&self, entry: &Entry<'_>, unit: Unit, other: Unit) -> bool {
        use crate::statement::draft::DraftValue;
        if unit.dimension == other.dimension {
            return true;
        }
        let (pledge, requirement) = (self.pledge.as_ref(), self.requirement.as_ref());
        let referred = pledge.map(|pledge| pledge.reference.nation);
        let nations: Vec<NationId> = std::iter::once(entry.nation)
            .chain(referred)
            .chain(requirement.map(|requirement| requirement.reference.nation))
            .collect();
        let own = match entry.draft.fields.get("item") {
            Some(DraftValue::Text(item)) if self.kind.is_some_and(|kind| Kind::PLEDGES.contains(&kind)) => {
                Some(&**item)
            }
            _ => None,
        };
        let item = own
            .or_else(|| pledge.map(|pledge| pledge.says.item))
            .or_else(|| requirement.map(|requirement| requirement.says.item));
        Conversions::of(entry.ledger).ratio(&nations, item.unwrap_or(""), unit.symbol, other.dimension).is_some()
    }

    /// The unit of every line of the shipment referred to.
    pub(super) fn line_units(&self) -> BTreeMap<u32, Unit> {
        let lines = self.shipment.iter().flat_map(|shipment| &shipment.says.lines);
        lines.filter_map(|(number, line)| Some((*number, line.quantity.known_unit()?))).collect()
    }

    /// Fills in what the draft left out.
    pub(super) fn fill(&self, kind: Kind, fields: &mut Fields) {
        let stated = fields.contains_key("quantity");
        let mut fill = |name: &str, value: Option<Value>| fill_in(fields, name, value);
        let text = |text: &str| Value::Text(text.to_owned());
        match kind {
            Kind::Pledge | Kind::StandbyPledge => {
                fill("item", self.requirement.as_ref().map(|requirement| text(requirement.says.item)));
                fill("unit", self.requirement.as_ref().map(|requirement| text(requirement.says.quantity.unit)));
            }
            Kind::Accept => {
                // A unit of its own without a quantity of its own still means all of the pledge.
                fill("quantity", self.pledge.as_ref().map(|pledge| Value::Uint(pledge.says.quantity.base)));
                fill("unit", self.pledge.as_ref().map(|pledge| text(pledge.says.quantity.unit)));
            }
            Kind::LossReport | Kind::Receipt | Kind::Return | Kind::Settle => {
                fill("unit", self.unit().map(|unit| text(unit.symbol)));
            }
            Kind::Consent if stated => {
                fill("unit", self.unit().map(|unit| text(unit.symbol)));
            }
            Kind::SlotGrant => fill("tonnes", self.slot_request.as_ref().map(|asked| Value::Uint(asked.says.tonnes))),
            Kind::Requirement => fill("priority", Some(Value::Uint(crate::statement::typed::PRIORITY_DEFAULT.into()))),
            Kind::Propose => {
                let hash = match fields.get("text") {
                    Some(Value::Text(text)) => Some(Value::Bytes(crate::keys::sha256(text.as_bytes()).to_vec())),
                    _ => None,
                };
                fill_in(fields, "text_hash", hash);
            }
            Kind::Profile
            | Kind::Hub
            | Kind::Decline
            | Kind::Shipment
            | Kind::Dispatch
            | Kind::Observation
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
            | Kind::Fund
            | Kind::AcceptSubstitute
            | Kind::ConsentRequest
            | Kind::Consent
            | Kind::SlotRequest
            | Kind::SlotRefuse
            | Kind::SlotUse
            | Kind::HandOver
            | Kind::TakeOver
            | Kind::Inventory
            | Kind::SuspendNotice => {}
        }
    }

    /// Checks roles (R2), and that what a live statement refers to stands.
    pub(super) fn allow(&self, entry: &Entry<'_>, kind: Kind, fields: &Fields, live: bool) -> Result<(), DraftError> {
        match kind {
            Kind::Pledge | Kind::StandbyPledge => self.standing_requirement(entry, live),
            Kind::Accept => {
                self.recipient(entry, "pledge")?;
                self.standing_pledge(entry, live)
            }
            Kind::Decline | Kind::AcceptSubstitute => self.recipient(entry, "pledge"),
            Kind::Fund => self.standing_pledge(entry, live),
            Kind::ConsentRequest => {
                if let Some(pledge) = &self.pledge {
                    only(entry, "pledge", Role::Donor, pledge.reference.nation)?;
                }
                self.standing_pledge(entry, live)
            }
            Kind::Consent => match &self.consent_request {
                Some(asked) => only(entry, "request", Role::Origin, asked.says.origin),
                None => Ok(()),
            },
            Kind::Allotment => chain::allotment(entry, fields, live),
            Kind::SlotRequest => self.shipper(entry, fields),
            Kind::SlotGrant | Kind::SlotRefuse => match &self.slot_request {
                Some(asked) => {
                    only(entry, "request", Role::Host, asked.says.hub.nation)?;
                    if live { stands(entry, "request", &asked.reference, asked.status) } else { Ok(()) }
                }
                None => Ok(()),
            },
            Kind::SlotUse => chain::slot_use(entry, fields),
            Kind::HandOver => self.on_the_way(entry, Role::Giving, fields),
            Kind::TakeOver => self.on_the_way(entry, Role::Taking, fields),
            Kind::Settle => self.party(entry),
            Kind::Return | Kind::Inventory => self.recipient(entry, "shipment"),
            Kind::SuspendNotice => chain::own_records(entry, fields),
            Kind::Shipment => consignor_of_lines(entry, fields, live),
            Kind::Dispatch | Kind::LossReport => {
                let Some(shipment) = &self.shipment else { return Ok(()) };
                only(entry, "shipment", Role::Consignor, shipment.reference.nation)?;
                if live && kind == Kind::Dispatch {
                    stands(entry, "shipment", &shipment.reference, shipment.status)?;
                }
                Ok(())
            }
            Kind::Receipt => self.recipient(entry, "shipment"),
            Kind::Propose => decision::proposer(entry, fields),
            Kind::Seen | Kind::Assent | Kind::Object | Kind::Reserve | Kind::RequestExtension => {
                decision::participant(entry, kind, fields)
            }
            Kind::Profile
            | Kind::Hub
            | Kind::Requirement
            | Kind::Observation
            | Kind::ItemType
            | Kind::UnitConversion
            | Kind::Valuation
            | Kind::FxTable
            | Kind::Topic
            | Kind::TransitPermit
            | Kind::Endorse
            | Kind::StockLot => Ok(()),
        }
    }

    fn standing_requirement(&self, entry: &Entry<'_>, live: bool) -> Result<(), DraftError> {
        match &self.requirement {
            Some(requirement) if live => stands(entry, "requirement", &requirement.reference, requirement.status),
            _ => Ok(()),
        }
    }

    fn standing_pledge(&self, entry: &Entry<'_>, live: bool) -> Result<(), DraftError> {
        match &self.pledge {
            Some(pledge) if live => stands(entry, "pledge", &pledge.reference, pledge.status),
            _ => Ok(()),
        }
    }

    fn recipient(&self, entry: &Entry<'_>, field: &str) -> Result<(), DraftError> {
        match &self.requirement {
            Some(requirement) => only(entry, field, Role::Recipient, requirement.reference.nation),
            None => Ok(()),
        }
    }
}

fn fill_in(fields: &mut Fields, name: &str, value: Option<Value>) {
    if let (false, Some(value)) = (fields.contains_key(name), value) {
        fields.insert(name.to_owned(), value);
    }
}

fn line_number(typed: Option<&crate::statement::draft::DraftValue>, fields: &Fields) -> Option<u32> {
    use crate::statement::draft::DraftValue;
    match (typed, fields.get("line")) {
        (Some(DraftValue::Number(number)), _) => u32::try_from(*number).ok(),
        (Some(DraftValue::Text(text)), _) => text.parse().ok(),
        (None, Some(Value::Uint(number))) => u32::try_from(*number).ok(),
        _ => None,
    }
}

fn consignor_of_lines(entry: &Entry<'_>, fields: &Fields, live: bool) -> Result<(), DraftError> {
    let Some(Value::Map(lines)) = fields.get("lines") else { return Ok(()) };
    for (number, line) in lines {
        let Value::Map(line) = line else { continue };
        let Some(reference) = reference(line, "pledge") else { continue };
        let field = format!("lines.{number}.pledge");
        only(entry, &field, Role::Consignor, reference.nation)?;
        let Some(pledge) = pledge(entry, &field, reference)? else { continue };
        if live {
            stands(entry, &field, &pledge.reference, pledge.status)?;
        }
        let unit = match line.get("unit") {
            Some(Value::Text(unit)) => Unit::find(unit),
            _ => None,
        };
        if let (Some(unit), Some(other)) = (unit, pledge.says.quantity.known_unit()) {
            let nations = [entry.nation];
            let ratio =
                || Conversions::of(entry.ledger).ratio(&nations, pledge.says.item, unit.symbol, other.dimension);
            if unit.dimension != other.dimension && ratio().is_some() {
                continue;
            }
            crate::statement::convert::same_dimension(&format!("lines.{number}.unit"), unit, other)?;
        }
    }
    Ok(())
}

fn pledge<'a>(entry: &Entry<'a>, field: &str, reference: Ref) -> Result<Option<Target<Pledge<'a>>>, DraftError> {
    let (status, statement) = read(entry, field, &reference)?;
    Ok(match statement.says {
        Says::Pledge(says) => Some(Target { reference, status, says }),
        Says::StandbyPledge(says) => Some(Target { reference, status, says: says.pledge }),
        _ => None,
    })
}

fn only(entry: &Entry<'_>, field: &str, role: Role, nation: NationId) -> Result<(), DraftError> {
    if nation == entry.nation {
        return Ok(());
    }
    Err(DraftError::at(field, DraftProblem::Role { role, nation: entry.ledger.code(&nation) }))
}

fn stands(entry: &Entry<'_>, field: &str, reference: &Ref, status: Status) -> Result<(), DraftError> {
    if status == Status::Live {
        return Ok(());
    }
    Err(DraftError::at(field, DraftProblem::Ended { record: entry.ledger.text(reference), status: status.name() }))
}

/// Reads what a reference names: the pinned version with the status of the record today, or the version that counts.
fn read<'a>(entry: &Entry<'a>, field: &str, reference: &Ref) -> Result<(Status, Statement<'a>), DraftError> {
    use crate::statement::ledger::ResolveError;
    let text = || entry.ledger.text(reference);
    let missing = || DraftError::at(field, DraftProblem::Resolve(ResolveError::NotFound(text())));
    let broken = || DraftError::at(field, DraftProblem::Ended { record: text(), status: "invalid" });
    let kind = Kind::from_name(&reference.kind).ok_or_else(missing)?;
    let record = entry.ledger.record(reference).ok_or_else(missing)?;
    let now = current(kind, record).ok_or_else(missing)?;
    let status = now.statement.as_ref().map_or(Status::Live, |statement| statement.status);
    let statement = match &reference.version {
        Some(version) if *version != now.version.source.envelope => {
            let pinned = record.by_envelope(version).ok_or_else(missing)?;
            Statement::read(kind, &pinned.fields)
        }
        _ => now.statement,
    };
    Ok((status, statement.map_err(|_| broken())?))
}

fn number(fields: &Fields, name: &str) -> Option<usize> {
    match fields.get(name) {
        Some(Value::Uint(number)) => usize::try_from(*number).ok(),
        _ => None,
    }
}

fn reference(fields: &Fields, name: &str) -> Option<Ref> {
    match fields.get(name) {
        Some(Value::Bytes(bytes)) => Ref::decode(bytes).ok(),
        _ => None,
    }
}
