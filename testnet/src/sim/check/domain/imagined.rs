//! What a view would be if one more statement were said, without anybody signing it.

use std::collections::BTreeMap;

use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorKey, EnvelopeId, NationId, Timestamp};
use comity_protocol::statement::current::current;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::reference::Ref;
use comity_protocol::statement::typed::{Says, Statement};
use comity_protocol::statement::{Kind, Status};
use comity_protocol::table::{Record, Source, Table};
use comity_protocol::value::{Actor, Fields, OpId, Value, Write, record_id_from};
use comity_protocol::view::View;

use super::super::Violation;

/// Statements that are imagined for each property, evenly over all there are: each costs a view.
const SAMPLES: usize = 2;

/// Firm gaps by requirement.
type Gaps = BTreeMap<String, u64>;

/// The rows of a state, with what is imagined beside them.
struct Imagined<'a> {
    ledger: Ledger<'a>,
    as_of: Timestamp,
    said: Vec<(NationId, Write, Source)>,
}

impl<'a> Imagined<'a> {
    fn of(state: &'a State, as_of: Timestamp) -> Self {
        Self { ledger: Ledger::of(state), as_of, said: Vec::new() }
    }

    /// Lets a nation say a version of a record at `time`; returns the version.
    fn say(&mut self, nation: NationId, key: (Kind, &str), fields: Fields, time: Timestamp) -> EnvelopeId {
        let (kind, id) = key;
        // Above every operation of the record, and by nobody that anybody knows.
        let number = u64::try_from(self.said.len()).unwrap_or(u64::MAX);
        let author = AuthorKey::new([0xee; 32]);
        let counter = u64::from(u32::MAX) + number;
        let mut envelope = [0xee; 32];
        envelope[..8].copy_from_slice(&number.to_be_bytes());
        let envelope = EnvelopeId::new(envelope);
        let record = self.ledger.record(&Ref::floating(nation, kind, id));
        let replaces = record.map_or_else(Vec::new, |record| record.surviving().map(|(op, _)| *op).collect());
        let op = OpId { counter, actor: Actor::new(&author, 0) };
        let write = Write { kind: kind.name().to_owned(), id: id.to_owned(), op, replaces, fields };
        self.said.push((nation, write, Source { envelope, author, seq: number + 1, time_ms: time.0 }));
        envelope
    }

    fn gaps(&self) -> Gaps {
        let mut tables: BTreeMap<NationId, Table> = BTreeMap::new();
        for (nation, table) in self.ledger.tables() {
            tables.insert(nation.id, table.clone());
        }
        for (nation, write, source) in self.said.iter().cloned() {
            tables.entry(nation).or_default().apply(write, source);
        }
        let tables = tables.iter().map(|(nation, table)| (*nation, table)).collect();
        gaps(&View::of(&Ledger::new(self.ledger.nations().to_vec(), tables), self.as_of))
    }
}

fn gaps(view: &View) -> Gaps {
    view.requirements.iter().map(|row| (row.head.name.to_string(), row.cover.gap_firm)).collect()
}

/// P3: cover that is added never widens a gap, cover that is withdrawn never narrows one.
///
/// For some requirements a pledge of another nation and its acceptance are imagined: its gap does not rise and no other
/// changes. For some pledges and acceptances their withdrawal is imagined: no gap falls. Left out are pledges in conflict
/// and those with an external reference, since another report of the same goods may take the place of the withdrawn one.
///
/// # Errors
/// Names the statement and the requirement.
pub fn p3_cover_narrows_gaps_and_withdrawal_widens_them(state: &State, shown: &View) -> Result<(), Violation> {
    const NAME: &str = "P3 cover narrows gaps and withdrawal widens them";
    let before = gaps(shown);
    for row in some(&shown.requirements) {
        let need = &row.head.name;
        let Some(donor) = state.nations().map(|nation| nation.id).find(|nation| *nation != need.nation) else { break };
        let mut imagined = Imagined::of(state, shown.as_of);
        let id = record_id_from(u64::MAX);
        let reference = Ref::floating(need.nation, Kind::Requirement, &need.id);
        let quantity = [("quantity", Value::Uint(row.quantity)), ("unit", Value::Text(row.typed_unit.clone()))];
        let own = [("requirement", Value::Bytes(reference.encode())), ("item", Value::Text(row.item.clone()))];
        let pledged =
            imagined.say(donor, (Kind::Pledge, &id), fields(own.into_iter().chain(quantity.clone())), shown.as_of);
        let offered = imagined.gaps();
        let pledge = Ref::floating(donor, Kind::Pledge, &id).pinned(pledged);
        let own = [("pledge", Value::Bytes(pledge.encode()))];
        imagined.say(need.nation, (Kind::Accept, &id), fields(own.into_iter().chain(quantity)), shown.as_of);
        let accepted = imagined.gaps();
        let named = need.to_string();
        for (earlier, later) in [(&before, &offered), (&offered, &accepted)] {
            let wrong = earlier.iter().find(|(name, gap)| {
                let now = later.get(*name);
                if **name == named { now > Some(gap) } else { now != Some(gap) }
            });
            if let Some((name, gap)) = wrong {
                let text = format!("more cover of {named}: the gap of {name} was {gap} and is {:?}", later.get(name));
                return Err(Violation::new(NAME, text));
            }
        }
    }
    let pledges = shown.pledges.iter().filter(|row| row.ext_refs.is_empty() && row.head.surviving == 1);
    let heads: Vec<_> = pledges.map(|row| &row.head).chain(shown.accepts.iter().map(|row| &row.head)).collect();
    for head in some(&heads) {
        let (mut imagined, name) = (Imagined::of(state, shown.as_of), &head.name);
        let record = imagined.ledger.record(&Ref::floating(name.nation, name.kind, &name.id));
        let Some(now) = record.and_then(|record| current(name.kind, record)) else { continue };
        let mut fields = now.version.fields.clone();
        fields.insert("status".to_owned(), Value::Text(Status::Withdrawn.name().to_owned()));
        imagined.say(name.nation, (name.kind, &name.id), fields, shown.as_of);
        if let Err(text) = never_below(&before, &imagined.gaps()) {
            return Err(Violation::new(NAME, format!("{name} is withdrawn: {text}")));
        }
    }
    Ok(())
}

/// P5: a nation's conflict with itself is read pessimistically: no gap is smaller than in the reading in which its nodes had
/// agreed on one of the versions.
///
/// It is checked where the table of cases (C20) promises it: the versions differ in how much, or the one that counts is
/// withdrawn; what else they say about where and until when they count is equal. The other cases (C2, C4 to C6) need to know
/// what each writer would have written had it known; the property tests of the view have them.
///
/// # Errors
/// Names the record and the requirement.
pub fn p5_conflicts_are_read_pessimistically(state: &State, shown: &View) -> Result<(), Violation> {
    let conflict = gaps(shown);
    let ledger = Ledger::of(state);
    let mut conflicts = Vec::new();
    for (nation, table) in ledger.tables() {
        for kind in [Kind::Requirement, Kind::Pledge, Kind::Accept] {
            let records = table.records_of(kind.name()).filter(|(_, record)| record.surviving().count() > 1);
            conflicts.extend(records.map(|(id, record)| (nation.id, kind, id, record)));
        }
    }
    for (nation, kind, id, record) in some(&conflicts) {
        for (fields, time) in readings(*kind, record) {
            let mut imagined = Imagined::of(state, shown.as_of);
            imagined.say(*nation, (*kind, id), fields, time);
            if let Err(text) = never_below(&imagined.gaps(), &conflict) {
                let text = format!("{} of {}: {text}", Ref::floating(*nation, *kind, id).id, nation.short());
                return Err(Violation::new("P5 conflicts are read pessimistically", text));
            }
        }
    }
    Ok(())
}

/// Returns the surviving versions that C20 weighs against the one that counts by their quantity alone.
fn readings(kind: Kind, record: &Record) -> Vec<(Fields, Timestamp)> {
    let Some(now) = current(kind, record) else { return Vec::new() };
    let Ok(counted) = &now.statement else { return Vec::new() };
    let time = Timestamp(now.version.source.time_ms);
    let all = now.surviving.iter().map(|(_, version)| (version, Statement::read(kind, &version.fields)));
    let alike = all.filter_map(|(version, read)| {
        let read = read.ok()?;
        comparable(counted, &read).then(|| (version.fields.clone(), time))
    });
    alike.collect()
}

fn comparable(counted: &Statement<'_>, other: &Statement<'_>) -> bool {
    let shared = !counted.ext_refs.is_empty() || !other.ext_refs.is_empty();
    match (&counted.says, &other.says) {
        (Says::Requirement(one), Says::Requirement(two)) => {
            let live = counted.status == Status::Live && other.status == Status::Live;
            live && one.quantity.unit == two.quantity.unit && one.valid_until == two.valid_until
        }
        (Says::Pledge(one), Says::Pledge(two)) => {
            let same_place = one.requirement == two.requirement && one.quantity.unit == two.quantity.unit;
            let same = one.item == two.item
                && one.deliver_by == two.deliver_by
                && one.conditions == two.conditions
                && one.expires == two.expires;
            !shared && same_place && (same || counted.status != Status::Live)
        }
        (Says::Accept(one), Says::Accept(two)) => one.pledge == two.pledge && one.quantity.unit == two.quantity.unit,
        _ => false,
    }
}

/// Says of which requirement the gap is smaller than before.
pub(super) fn never_below(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Result<(), String> {
    let fell = before.iter().find(|(name, gap)| after.get(*name).is_none_or(|now| now < gap));
    match fell {
        None => Ok(()),
        Some((name, gap)) => Err(format!("the gap of {name} is {:?}, below {gap}", after.get(name))),
    }
}

fn some<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(SAMPLES).max(1))
}

fn fields<'n>(of: impl IntoIterator<Item = (&'n str, Value)>) -> Fields {
    of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
