//! A ledger on paper: row tables without envelopes, for tests over many orders.

use std::collections::BTreeMap;

use comity_protocol::ids::{AuthorKey, EnvelopeId, NationId, Timestamp};
use comity_protocol::statement::draft::Draft;
use comity_protocol::statement::ledger::{Ledger, NationName};
use comity_protocol::statement::prepare::{Entry, prepare};
use comity_protocol::table::{Source, Table};
use comity_protocol::testing::FOUNDED_MS;
use comity_protocol::value::{Actor, Fields, OpId, Write, record_id_from};
use comity_protocol::view::View;

/// Codes of the members.
pub const CODES: [&str; 4] = ["UKR", "DEU", "POL", "FRA"];

/// Writes in the order they were made.
#[derive(Clone)]
pub struct Paper {
    pub writes: Vec<(NationId, Write, Source)>,
    sequences: BTreeMap<AuthorKey, u64>,
    ids: u64,
}

pub fn nation(code: &str) -> NationId {
    let place = CODES.iter().position(|known| *known == code).expect("a member");
    NationId::new([u8::try_from(place).expect("few") + 1; 32])
}

fn author(code: &str, node: u8) -> AuthorKey {
    let mut bytes = *nation(code).as_bytes();
    bytes[0] = node;
    AuthorKey::new(bytes)
}

impl Paper {
    pub fn new() -> Self {
        Self { writes: Vec::new(), sequences: BTreeMap::new(), ids: 0 }
    }

    pub fn nations(&self) -> Vec<NationName> {
        let name = |code: &&str| NationName { id: nation(code), code: (*code).to_owned(), name: (*code).to_owned() };
        CODES.iter().map(name).collect()
    }

    /// Returns the tables after the writes were put in another order; a version still comes after those it replaces.
    pub fn tables(&self, reorder: impl FnOnce(&mut Vec<(NationId, Write, Source)>)) -> BTreeMap<NationId, Table> {
        let mut writes = self.writes.clone();
        reorder(&mut writes);
        let mut tables: BTreeMap<NationId, Table> = BTreeMap::new();
        let mut applied: std::collections::BTreeSet<OpId> = std::collections::BTreeSet::new();
        while !writes.is_empty() {
            let known = |op: &OpId| applied.contains(op) || !writes.iter().any(|(_, write, _)| write.op == *op);
            let ready = writes.iter().position(|(_, write, _)| write.replaces.iter().all(known)).expect("no cycles");
            let (nation, write, source) = writes.remove(ready);
            applied.insert(write.op);
            tables.entry(nation).or_default().apply(write, source);
        }
        tables
    }

    pub fn view(&self, as_of: Timestamp) -> View {
        self.view_of(&self.tables(|_| {}), as_of)
    }

    pub fn view_of(&self, tables: &BTreeMap<NationId, Table>, as_of: Timestamp) -> View {
        View::of(&Ledger::new(self.nations(), tables.iter().map(|(id, table)| (*id, table)).collect()), as_of)
    }

    /// Adds a version as node `node` of a nation would write it.
    pub fn write(&mut self, code: &str, node: u8, kind: &str, id: &str, replaces: &[OpId], fields: Fields) -> OpId {
        let author = author(code, node);
        let seq = self.sequences.entry(author).or_default();
        *seq += 1;
        let counter = u64::try_from(self.writes.len()).expect("few") + 1;
        let op = OpId { counter, actor: Actor::new(&author, 0) };
        let mut envelope = [0; 32];
        envelope[..8].copy_from_slice(&counter.to_be_bytes());
        envelope[31] = node;
        let source =
            Source { envelope: EnvelopeId::new(envelope), author, seq: *seq, time_ms: FOUNDED_MS + counter * 1_000 };
        let write = Write { kind: kind.to_owned(), id: id.to_owned(), op, replaces: replaces.to_vec(), fields };
        self.writes.push((nation(code), write, source));
        op
    }

    /// Prepares and adds a draft, seeing everything written so far. Returns the record's reference.
    pub fn say(&mut self, code: &str, draft: serde_json::Value) -> String {
        self.say_blind(code, 1, self.writes.len(), draft).expect("a sound draft")
    }

    /// Prepares and adds a draft as a node that has only seen the first `seen` writes would.
    pub fn say_blind(&mut self, code: &str, node: u8, seen: usize, draft: serde_json::Value) -> Option<String> {
        self.ids += 1;
        let draft: Draft = serde_json::from_value(draft).expect("a draft");
        let known = Self { writes: self.writes[..seen].to_vec(), ..self.clone() };
        let tables = known.tables(|_| {});
        let ledger = Ledger::new(self.nations(), tables.iter().map(|(id, table)| (*id, table)).collect());
        let id = record_id_from(self.ids);
        let entry = Entry { ledger: &ledger, nation: nation(code), draft: &draft, if_version: None, id: &id };
        let prepared = prepare(&entry).ok()?;
        self.write(code, node, prepared.kind.name(), &prepared.id, &prepared.replaces, prepared.fields);
        Some(format!("{code}/{}/{}", prepared.kind, prepared.id))
    }
}
