//! The rows of a view as records of the API.

use std::collections::BTreeMap;

use comity_protocol::dossier::Seen;
use comity_protocol::ids::{AuthorId, AuthorKey, NationId, Timestamp};
use comity_protocol::statement::Kind;
use comity_protocol::statement::convert::shown_fields;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::table::{Record, Version};
use comity_protocol::value::Fields;
use comity_protocol::view::rows::{Flag, FlagCode, Head, Name};
use comity_protocol::view::{View, rows};
use serde_json::{Map, Value};

use crate::api::model::{Buckets, Cover, FlagRow, RecordRow, VersionRow, Witnessed, rfc3339};
use crate::driver::Outlook;

/// A view with what its rows are made from.
pub(super) struct Rows<'a> {
    pub(super) view: &'a View,
    pub(super) ledger: Ledger<'a>,
    seen: &'a Seen,
    /// Names of flags by the record they name.
    flags: BTreeMap<String, Vec<String>>,
}

/// What is said of a record beside its head and its fields.
#[derive(Default)]
struct Derived {
    state: Option<&'static str>,
    overlays: Vec<String>,
    buckets: Option<Buckets>,
    cover: Option<Cover>,
}

impl<'a> Rows<'a> {
    /// Makes rows from what is shown of the record.
    pub(super) fn new(outlook: &'a Outlook) -> Self {
        let view = outlook.view();
        let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for flag in &view.flags {
            for name in &flag.statements {
                let names = flags.entry(name.to_string()).or_default();
                if names.last().is_none_or(|last| last != flag.code.name()) {
                    names.push(flag.code.name().to_owned());
                }
            }
        }
        Self { view, ledger: outlook.ledger(), seen: outlook.seen(), flags }
    }

    /// Returns the records of a kind whose name is asked for, those that do not validate last.
    pub(super) fn of_kind(&self, kind: Kind, asked: &dyn Fn(&Name) -> bool) -> Vec<RecordRow> {
        let view = self.view;
        let plain = |head: &Head| asked(&head.name).then(|| self.row(head, Derived::default()));
        let with = |head: &Head, state: &'static str| {
            asked(&head.name).then(|| self.row(head, Derived { state: Some(state), ..Derived::default() }))
        };
        let mut rows: Vec<RecordRow> = match kind {
            Kind::Requirement => {
                let rows = view.requirements.iter().filter(|row| asked(&row.head.name));
                rows.map(|row| self.requirement(row)).collect()
            }
            Kind::Pledge | Kind::StandbyPledge => {
                let rows = view.pledges.iter().filter(|row| row.head.name.kind == kind && asked(&row.head.name));
                rows.map(|row| self.pledge(row)).collect()
            }
            Kind::Accept => view.accepts.iter().filter_map(|row| with(&row.head, row.outcome.name())).collect(),
            Kind::Shipment => view.shipments.iter().filter_map(|row| with(&row.head, row.state.name())).collect(),
            Kind::Decline => view.declines.iter().filter_map(|row| plain(&row.head)).collect(),
            Kind::Dispatch => view.dispatches.iter().filter_map(|row| plain(&row.head)).collect(),
            Kind::LossReport => view.losses.iter().filter_map(|row| plain(&row.head)).collect(),
            Kind::Receipt => view.receipts.iter().filter_map(|row| plain(&row.head)).collect(),
            Kind::Hub => view.hubs.iter().filter_map(|row| plain(&row.head)).collect(),
            Kind::Profile => view.profiles.iter().filter_map(|row| plain(&row.head)).collect(),
            Kind::Observation => view.observations.iter().filter_map(|row| plain(&row.head)).collect(),
            Kind::Propose => {
                let latest = view.decisions.iter().filter(|row| row.latest);
                latest.filter_map(|row| with(&row.head, row.state.name())).collect()
            }
            Kind::ItemType
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
            | Kind::SlotGrant
            | Kind::SlotRefuse
            | Kind::SlotUse
            | Kind::HandOver
            | Kind::TakeOver
            | Kind::Return
            | Kind::Inventory
            | Kind::Settle
            | Kind::SuspendNotice => {
                let asked = |head: &Head| head.name.kind == kind && asked(&head.name);
                let of_kind = view.statements.iter().filter(|row| asked(&row.head));
                let derived = |state| Derived { state, ..Derived::default() };
                of_kind.map(|row| self.row(&row.head, derived(row.state))).collect()
            }
            Kind::Seen | Kind::Assent | Kind::Object | Kind::Reserve | Kind::RequestExtension => {
                let of_kind = view.answers.iter().filter(|row| row.head.name.kind == kind);
                of_kind.filter_map(|row| plain(&row.head)).collect()
            }
        };
        let invalid = view.invalid.iter().filter(|row| row.name.kind == kind && asked(&row.name));
        rows.extend(invalid.map(|row| self.invalid(row)));
        rows
    }

    fn requirement(&self, row: &rows::RequirementRow) -> RecordRow {
        self.row(
            &row.head,
            Derived { state: Some(row.state.name()), overlays: overlays(row), cover: Some(cover(row)), buckets: None },
        )
    }

    fn pledge(&self, row: &rows::PledgeRow) -> RecordRow {
        self.row(
            &row.head,
            Derived { state: Some(row.state.name()), buckets: Some(buckets(row)), ..Derived::default() },
        )
    }

    fn row(&self, head: &Head, derived: Derived) -> RecordRow {
        let record = head.name.to_string();
        RecordRow {
            flags: self.flags.get(&record).cloned().unwrap_or_default(),
            record,
            version: head.name.version.hex(),
            nation: head.name.code.clone(),
            kind: head.name.kind.name().to_owned(),
            node: head.author.hex(),
            time: rfc3339(head.time),
            status: head.status.name().to_owned(),
            standing: head.standing.name().to_owned(),
            state: derived.state.map(str::to_owned),
            overlays: derived.overlays,
            invalid: None,
            surviving: u32::try_from(head.surviving).unwrap_or(u32::MAX),
            fields: self.fields_of(&head.name),
            buckets: derived.buckets,
            cover: derived.cover,
            witnessed: self.witnessed_name(&head.name),
        }
    }

    fn invalid(&self, row: &rows::InvalidRow) -> RecordRow {
        let record = row.name.to_string();
        let surviving = self.table_record(&row.name).map_or(0, |record| record.surviving().count());
        RecordRow {
            flags: self.flags.get(&record).cloned().unwrap_or_default(),
            record,
            version: row.name.version.hex(),
            nation: row.name.code.clone(),
            kind: row.name.kind.name().to_owned(),
            node: row.author.hex(),
            time: rfc3339(row.time),
            status: "live".to_owned(),
            standing: FlagCode::Invalid.name().to_owned(),
            state: None,
            overlays: Vec::new(),
            invalid: Some(row.reason.clone()),
            surviving: u32::try_from(surviving).unwrap_or(u32::MAX),
            fields: self.fields_of(&row.name),
            buckets: None,
            cover: None,
            witnessed: self.witnessed_name(&row.name),
        }
    }

    /// Returns a record of a kind this version does not know: its winner, as it is.
    pub(super) fn unknown(&self, nation: &NationId, kind: &str, id: &str, record: &Record) -> Option<RecordRow> {
        let code = &self.ledger.code(nation);
        let version = record.winner()?;
        Some(RecordRow {
            record: format!("{code}/{kind}/{id}"),
            version: version.source.envelope.hex(),
            nation: code.to_owned(),
            kind: kind.to_owned(),
            node: version.source.author.hex(),
            time: rfc3339(Timestamp(version.source.time_ms)),
            status: "live".to_owned(),
            standing: "unknown-kind".to_owned(),
            state: None,
            overlays: Vec::new(),
            flags: Vec::new(),
            invalid: None,
            surviving: u32::try_from(record.surviving().count()).unwrap_or(u32::MAX),
            fields: self.fields(None, &version.fields),
            buckets: None,
            cover: None,
            witnessed: self.witnessed(nation, &version.source.author, version.source.seq),
        })
    }

    fn table_record(&self, name: &Name) -> Option<&'a Record> {
        self.ledger.table(&name.nation)?.record(name.kind.name(), &name.id)
    }

    fn fields_of(&self, name: &Name) -> Map<String, Value> {
        let version = self.table_record(name).and_then(|record| record.by_envelope(&name.version));
        version.map(|version| self.fields(Some(name.kind), &version.fields)).unwrap_or_default()
    }

    fn fields(&self, kind: Option<Kind>, shown: &Fields) -> Map<String, Value> {
        fields(&self.ledger, kind, shown)
    }

    /// Returns which nations' witnesses acknowledge an accepted envelope.
    fn witnessed(&self, nation: &NationId, node: &AuthorKey, seq: u64) -> Witnessed {
        let author = AuthorId { nation: *nation, key: *node };
        let mut seen_by: Vec<String> = self.seen.nations(&author, seq).map(|nation| self.ledger.code(nation)).collect();
        seen_by.sort_unstable();
        let nations = u32::try_from(self.seen.members()).unwrap_or(u32::MAX);
        Witnessed { seen_by, nations, is_final: self.seen.is_final(&author, seq) }
    }

    fn witnessed_name(&self, name: &Name) -> Witnessed {
        let version = self.table_record(name).and_then(|record| record.by_envelope(&name.version));
        version.map_or_else(Witnessed::default, |version| {
            self.witnessed(&name.nation, &version.source.author, version.source.seq)
        })
    }

    /// Returns one version of a record.
    pub(super) fn version(&self, nation: &NationId, kind: Option<Kind>, version: &Version) -> VersionRow {
        VersionRow {
            version: version.source.envelope.hex(),
            node: version.source.author.hex(),
            seq: version.source.seq,
            time: rfc3339(Timestamp(version.source.time_ms)),
            replaced: version.replaced,
            witnessed: self.witnessed(nation, &version.source.author, version.source.seq),
            fields: self.fields(kind, &version.fields),
        }
    }

    /// Returns the flags that name a record.
    pub(super) fn flags_on(&self, record: &str) -> Vec<FlagRow> {
        let named = self.view.flags.iter().filter(|flag| flag.statements.iter().any(|name| name.to_string() == record));
        named.map(flag_row).collect()
    }
}

/// Returns fields as JSON: references in text, lists as lists, quantities in the base unit.
pub(super) fn fields(ledger: &Ledger<'_>, kind: Option<Kind>, fields: &Fields) -> Map<String, Value> {
    shown_fields(ledger, kind, fields)
        .into_iter()
        .map(|(name, value)| (name, serde_json::to_value(value).expect("shown values are JSON")))
        .collect()
}

/// Returns a flag as a row.
pub(super) fn flag_row(flag: &Flag) -> FlagRow {
    FlagRow {
        case: flag.code.case().to_owned(),
        name: flag.code.name().to_owned(),
        statements: flag.statements.iter().map(ToString::to_string).collect(),
        clears: flag.clears.clone(),
        detail: Some(flag.detail.clone()),
    }
}

/// Returns a pledge's buckets.
pub(super) fn buckets(row: &rows::PledgeRow) -> Buckets {
    let from = &row.buckets;
    Buckets {
        unit: row.unit.clone(),
        pledged: from.pledged,
        accepted: from.accepted,
        dispatched: from.dispatched,
        delivered: from.delivered,
        in_transit: from.in_transit,
        to_ship: from.to_ship,
        offered_firm: from.offered_firm,
        offered_conditional: from.offered_conditional,
        not_good: from.not_good,
        lost: from.lost,
    }
}

/// Returns a requirement's cover.
pub(super) fn cover(row: &rows::RequirementRow) -> Cover {
    let from = &row.cover;
    Cover {
        unit: row.unit.clone(),
        quantity: row.quantity,
        delivered: from.delivered,
        in_transit: from.in_transit,
        to_ship: from.to_ship,
        offered: from.offered_firm,
        offered_conditional: from.offered_conditional,
        gap_firm: from.gap_firm,
        gap_after_offers: from.gap_after_offers,
        gap_if_all: from.gap_if_all,
        surplus: from.surplus,
    }
}

/// Returns the marks over a requirement's state.
pub(super) fn overlays(row: &rows::RequirementRow) -> Vec<String> {
    row.overlays.iter().map(|overlay| overlay.name().to_owned()).collect()
}

/// Returns names of flags.
pub(super) fn flag_names(codes: &[FlagCode]) -> Vec<String> {
    codes.iter().map(|code| code.name().to_owned()).collect()
}
