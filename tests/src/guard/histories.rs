//! Honest histories of one nation's document: several nodes and generations, writing apart and exchanging what they have.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::guard::{DraftWrite, Guard, Prescan, compose, prescan};
use comity_protocol::ids::{AuthorKey, EnvelopeId};
use comity_protocol::table::{Source, Table};
use comity_protocol::value::{Actor, Fields, OpId, Value, Write};

use crate::random::Random;

/// A change as it was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// What the prescan says of it.
    pub scan: Prescan,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it writes.
    pub writes: Vec<Write>,
}

/// One node: its present actor, and what it holds.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Key and generation it writes under.
    pub actor: Actor,
    /// Its guard.
    pub guard: Guard,
    /// Its row table.
    pub table: Table,
    /// The changes it holds, by their number in [`History::made`].
    pub have: BTreeSet<usize>,
}

/// Every change in the order of its making (dependencies first), and the nodes.
#[derive(Clone, Debug)]
pub struct History {
    /// The changes.
    pub made: Vec<Made>,
    /// The nodes.
    pub replicas: Vec<Replica>,
}

impl History {
    /// Makes a history of `steps` steps by `nodes` nodes.
    pub fn random(random: &mut Random, nodes: u8, steps: usize) -> Self {
        let replica = |node| Replica {
            actor: Actor::new(&AuthorKey::new([node + 1; 32]), 1),
            guard: Guard::new(),
            table: Table::default(),
            have: BTreeSet::new(),
        };
        let mut history = Self { made: Vec::new(), replicas: (0..nodes).map(replica).collect() };
        for _ in 0..steps {
            let node = random.below(history.replicas.len());
            match random.below(20) {
                0 => history.new_generation(random, node),
                1..6 => history.pull(random, node),
                _ => history.write(random, node),
            }
        }
        history
    }

    /// The node rebuilds its document from what another holds and goes on under its next generation (D12).
    fn new_generation(&mut self, random: &mut Random, node: usize) {
        let have = self.replicas[random.below(self.replicas.len())].have.clone();
        let replica = &mut self.replicas[node];
        replica.actor = Actor::new(&replica.actor.author(), replica.actor.generation() + 1);
        (replica.guard, replica.table) = replay(have.iter().map(|index| &self.made[*index]));
        replica.have = have;
    }

    fn pull(&mut self, random: &mut Random, node: usize) {
        let other = random.below(self.replicas.len());
        let missing: Vec<_> = self.replicas[other].have.difference(&self.replicas[node].have).copied().collect();
        for index in missing {
            let made = &self.made[index];
            self.replicas[node].take_in(made);
            self.replicas[node].have.insert(index);
        }
    }

    fn write(&mut self, random: &mut Random, node: usize) {
        let writes = self.replicas[node].random_writes(random);
        let made = self.replicas[node].make(u64::try_from(self.made.len()).expect("fits"), writes);
        self.replicas[node].take_in(&made);
        self.replicas[node].have.insert(self.made.len());
        self.made.push(made);
    }

    /// Returns the indices of all changes in a random order that keeps dependencies first.
    pub fn shuffled(&self, random: &mut Random) -> Vec<usize> {
        let mut waiting: Vec<_> = (0..self.made.len()).collect();
        let mut held = BTreeSet::new();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let at = random.below(waiting.len());
            let scan = &self.made[waiting[at]].scan;
            if scan.deps.iter().all(|dep| held.contains(dep)) {
                held.insert(scan.hash);
                order.push(waiting.swap_remove(at));
            }
        }
        order
    }
}

impl Replica {
    /// Composes a change on top of everything held, without taking it in.
    pub fn make(&self, time_ms: u64, writes: Vec<DraftWrite>) -> Made {
        let draft = self.guard.draft(self.actor, time_ms, writes);
        let bytes = compose(&draft).expect("an honest draft is composed");
        let scan = prescan(&self.actor.author(), &bytes).expect("an honest change passes the prescan");
        let writes = self.guard.clone().admit(&scan, &bytes).expect("an honest change is admitted");
        Made { scan, bytes, writes }
    }

    fn take_in(&mut self, made: &Made) {
        take_in(&mut self.guard, &mut self.table, made);
    }

    /// One to three record versions: new records, first versions others may write too, and revisions.
    pub fn random_writes(&self, random: &mut Random) -> Vec<DraftWrite> {
        let mut writes = BTreeMap::new();
        for _ in 0..=random.below(3) {
            let kind = *random.pick(&["pledge", "requirement", "loss_report"]);
            let id = format!("00000000{:02}", random.below(8));
            let record = self.table.record(kind, &id);
            let mut replaces: Vec<OpId> =
                record.iter().flat_map(|record| record.surviving().map(|(op, _)| *op)).collect();
            if replaces.len() > 1 && random.one_in(4) {
                replaces.remove(random.below(replaces.len()));
            }
            let fields = random_fields(random, 3);
            writes.insert((kind, id.clone()), DraftWrite { kind: kind.to_owned(), id, replaces, fields });
        }
        writes.into_values().collect()
    }
}

/// Admits changes in the given order to an empty document.
pub fn replay<'a>(made: impl Iterator<Item = &'a Made>) -> (Guard, Table) {
    let (mut guard, mut table) = (Guard::new(), Table::default());
    for made in made {
        take_in(&mut guard, &mut table, made);
    }
    (guard, table)
}

fn take_in(guard: &mut Guard, table: &mut Table, made: &Made) {
    let writes = guard.admit(&made.scan, &made.bytes).expect("an honest change is admitted everywhere");
    assert_eq!(writes, made.writes);
    apply(table, &made.scan, writes);
}

/// Gives the writes of an admitted change to the table.
pub fn apply(table: &mut Table, scan: &Prescan, writes: Vec<Write>) {
    let source = Source {
        envelope: EnvelopeId::new(*scan.hash.as_bytes()),
        author: scan.actor.author(),
        seq: scan.seq,
        time_ms: scan.time_ms,
    };
    for write in writes {
        table.apply(write, source);
    }
}

fn random_fields(random: &mut Random, depth: usize) -> Fields {
    let names = ["amount", "deliver_to", "item", "lines", "0", "1", "ключ", "note", "reference", "seen"];
    (0..random.below(6)).map(|_| ((*random.pick(&names)).to_owned(), random_value(random, depth))).collect()
}

fn random_value(random: &mut Random, depth: usize) -> Value {
    let length = random.below(20);
    match random.below(7) {
        0 => Value::Text("blankets Ω\n".chars().cycle().take(length).collect()),
        1 => Value::Bytes((0..length).map(|_| random.byte()).collect()),
        2 => Value::Int(i64::from_ne_bytes(random.next().to_ne_bytes()) >> random.below(64)),
        3 => Value::Uint(random.next() >> random.below(64)),
        4 => Value::Bool(random.one_in(2)),
        5 if depth > 0 => Value::Map(random_fields(random, depth - 1)),
        _ => Value::Null,
    }
}
