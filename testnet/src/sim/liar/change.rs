//! Hostile changes: validly signed envelopes whose bodies mean harm (T51–T58, T60).
//!
//! One after the other, in an order of its own, the liar signs an envelope around each [`Attack`], on top of its chain
//! and of its nation's document as it stands, and shows it to everybody, its own replica included; honest writes of its
//! operator stand in between. Nearly all of these bodies are void or wait for ever; some pass the guard and are for the
//! domain to refuse. None of them may do any harm beyond its own line.

use comity_protocol::body::{Body, ChangeBody, KIND_CHANGE, KIND_KEY_GRANT, KIND_WITNESS, KeyGrantBody, SealedKey};
use comity_protocol::evaluate::State;
use comity_protocol::guard::{Draft, DraftWrite, compose};
use comity_protocol::ids::ChangeHash;
use comity_protocol::limits::QUANTITY_MAX;
use comity_protocol::value::{Actor, Fields, OpId, Value, record_id_from};

use super::chunk::{self, Chunk};
use super::desk::Desk;

/// One way to mean harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attack {
    /// An honest change that was damaged.
    Damaged(Damage),
    /// A canonical change that does not fit its document.
    Misfit(Misfit),
    /// A change made byte by byte.
    Forged(Forgery),
    /// A change that the guard admits, and the domain does not.
    Unsound(Unsound),
    /// A body that holds no change of the public document.
    Foreign(Foreign),
}

/// How an honest change was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Damage {
    /// Bytes were changed and the seal was repaired.
    Mutant,
    /// The checksum is wrong.
    Checksum,
    /// The chunk says that it is a compressed change.
    Compressed,
    /// The chunk says that it is a whole document.
    Document,
}

/// Why a canonical change does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Misfit {
    /// Its first counter stands at the edge of what is allowed.
    StartOpHuge,
    /// Its first counter does not follow its dependencies.
    StartOpWrong,
    /// A dependency does not exist: it waits for ever.
    OrphanDep,
    /// Its number was used before, for another change.
    DuplicateSeq,
    /// Its number skips some.
    SkippedSeq,
    /// It opens a generation further up: whatever comes later in a lower one is void.
    NewGeneration,
    /// It is the first of a generation that was left.
    OldGeneration,
    /// Its actor is somebody else.
    OtherActor,
    /// A predecessor does not exist.
    MissingPred,
}

/// What is wrong with a change made byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Forgery {
    /// A column says that it is compressed.
    CompressedColumn,
    /// A column announces 2^50 rows.
    RowBomb,
    /// A column of 2^60 nulls.
    NullBomb,
    /// More dependencies than a change may have.
    ManyDeps,
    /// An operation in an object that does not exist.
    MissingObject,
    /// A list, a text, a deletion, an increment, a mark.
    Action,
    /// A float, a counter, a timestamp, an unknown scalar.
    Value,
    /// Maps in maps, one level too deep, or hundreds.
    DeepNesting,
    /// More operations than a change may have.
    ManyOps,
    /// A value longer than values may be.
    LongValue,
    /// A sound change in another encoding.
    NotCanonical,
    /// A root key that is no record's, or very long.
    Key,
    /// Columns out of order, twice, or unknown.
    Columns,
    /// A time that is none, a message that is too long.
    Time,
}

/// What the guard lets through and the domain must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsound {
    /// Text that steers terminals, or hides.
    Text,
    /// Quantities beyond every sum.
    Overflow,
    /// A kind with none of its fields, or no kind at all.
    Shapeless,
}

/// What stands in place of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Foreign {
    /// A body that does not decode.
    Malformed,
    /// A change for another compartment, in clear or as noise.
    Compartment,
    /// A key grant that grants noise.
    Grant,
    /// A witness body that does not decode.
    Witness,
    /// A body of a kind nobody knows.
    Unknown,
}

impl Attack {
    /// Every attack.
    pub(super) fn all() -> Vec<Self> {
        let damaged = [Damage::Mutant, Damage::Checksum, Damage::Compressed, Damage::Document].map(Self::Damaged);
        let misfit = [
            Misfit::StartOpHuge,
            Misfit::StartOpWrong,
            Misfit::OrphanDep,
            Misfit::DuplicateSeq,
            Misfit::SkippedSeq,
            Misfit::NewGeneration,
            Misfit::OldGeneration,
            Misfit::OtherActor,
            Misfit::MissingPred,
        ];
        let forged = [
            Forgery::CompressedColumn,
            Forgery::RowBomb,
            Forgery::NullBomb,
            Forgery::ManyDeps,
            Forgery::MissingObject,
            Forgery::Action,
            Forgery::Value,
            Forgery::DeepNesting,
            Forgery::ManyOps,
            Forgery::LongValue,
            Forgery::NotCanonical,
            Forgery::Key,
            Forgery::Columns,
            Forgery::Time,
        ];
        let unsound = [Unsound::Text, Unsound::Overflow, Unsound::Shapeless].map(Self::Unsound);
        let foreign = [Foreign::Malformed, Foreign::Compartment, Foreign::Grant, Foreign::Witness, Foreign::Unknown];
        let all = damaged.into_iter().chain(misfit.map(Self::Misfit)).chain(forged.map(Self::Forged));
        all.chain(unsound).chain(foreign.map(Self::Foreign)).collect()
    }
}

/// What remains to be tried.
#[derive(Debug)]
pub(super) struct HostileChanges {
    next: Vec<Attack>,
    #[cfg(test)]
    pub(super) done: Vec<Attack>,
}

impl HostileChanges {
    pub(super) fn new(desk: &mut Desk) -> Self {
        Self {
            next: shuffled(desk),
            #[cfg(test)]
            done: Vec::new(),
        }
    }

    pub(super) fn act(&mut self, desk: &mut Desk, state: &State) {
        if self.next.is_empty() {
            self.next = shuffled(desk);
        }
        let Some(attack) = self.next.pop() else { return };
        let Some(mut pen) = desk.pen(state) else { return };
        let (kind, body) = Ground { desk, state }.body(attack);
        let envelope = pen.write(desk, kind, body);
        #[cfg(test)]
        if envelope.is_some() {
            self.done.push(attack);
        }
        desk.publish(envelope.into_iter().collect());
    }
}

fn shuffled(desk: &mut Desk) -> Vec<Attack> {
    let mut rest = Attack::all();
    // A mutant is worth more than one try, the others come once a round.
    rest.extend([Attack::Damaged(Damage::Mutant); 6]);
    let mut order = Vec::new();
    while !rest.is_empty() {
        let at = desk.below(rest.len());
        order.push(rest.swap_remove(at));
    }
    order
}

/// What an attack builds on.
struct Ground<'a> {
    desk: &'a mut Desk,
    state: &'a State,
}

impl Ground<'_> {
    /// The kind and bytes of a body.
    fn body(&mut self, attack: Attack) -> (u16, Vec<u8>) {
        let change = match attack {
            Attack::Damaged(damage) => self.damaged(damage),
            Attack::Misfit(misfit) => self.misfit(misfit),
            Attack::Forged(forgery) => self.forged(forgery).bytes(),
            Attack::Unsound(unsound) => self.unsound(unsound),
            Attack::Foreign(foreign) => return self.foreign(foreign),
        };
        (KIND_CHANGE, Body::Change(ChangeBody::Clear { compartment: 0, change }).encode())
    }

    fn foreign(&mut self, foreign: Foreign) -> (u16, Vec<u8>) {
        let length = self.desk.below(160);
        let noise = self.desk.random_bytes(length);
        match foreign {
            Foreign::Malformed => (KIND_CHANGE, noise),
            Foreign::Compartment => (KIND_CHANGE, self.other_compartment()),
            Foreign::Grant => (KIND_KEY_GRANT, self.grant()),
            Foreign::Witness => (KIND_WITNESS, noise),
            Foreign::Unknown => {
                let kinds = [0, 4, 17, u16::MAX];
                (self.desk.pick(&kinds).copied().unwrap_or(4), noise)
            }
        }
    }

    fn damaged(&mut self, damage: Damage) -> Vec<u8> {
        match damage {
            Damage::Mutant => self.mutant(),
            Damage::Checksum => {
                let mut bytes = self.honest();
                if let Some(byte) = bytes.get_mut(5) {
                    *byte ^= 1;
                }
                bytes
            }
            Damage::Compressed => chunk::seal(2, chunk::data(&self.honest())),
            Damage::Document => chunk::seal(0, chunk::data(&self.honest())),
        }
    }

    /// The draft of an honest next change.
    fn draft(&mut self) -> Draft {
        let fields = Fields::from([
            ("note".to_owned(), Value::Text("of use".to_owned())),
            ("amount".to_owned(), Value::Uint(40)),
        ]);
        let write = self.write("pledge", fields);
        let section = self.state.section(&self.desk.me.nation);
        section.draft(&self.desk.me.key, self.desk.now.0, vec![write])
    }

    fn write(&mut self, kind: &str, fields: Fields) -> DraftWrite {
        let id = record_id_from(u64::try_from(self.desk.below(1 << 40)).unwrap_or(0));
        DraftWrite { kind: kind.to_owned(), id, replaces: Vec::new(), fields }
    }

    fn honest(&mut self) -> Vec<u8> {
        compose(&self.draft()).unwrap_or_default()
    }

    /// An honest change with one to four places changed and the seal repaired.
    fn mutant(&mut self) -> Vec<u8> {
        let honest = self.honest();
        let mut data = chunk::data(&honest).to_vec();
        let actor = self.desk.me.key;
        let behind_actor = data.windows(32).position(|part| part == actor.as_bytes()).map_or(0, |at| at + 36);
        for _ in 0..=self.desk.below(4) {
            // Hashes and keys fill the front; most of what can be read in more than one way stands behind.
            let from = if self.desk.one_in(4) { 0 } else { behind_actor.min(data.len().saturating_sub(1)) };
            let at = from + self.desk.below(data.len().saturating_sub(from));
            if at >= data.len() {
                break;
            }
            match self.desk.below(7) {
                0 => data[at] = self.desk.random_bytes(1)[0],
                1 => data[at] ^= 1 << self.desk.below(8),
                2 => data[at] = data[at].wrapping_add(1),
                3 => data.insert(at, self.desk.random_bytes(1)[0]),
                4 => drop(data.remove(at)),
                5 => data.truncate(at.max(1)),
                _ => {
                    let end = (at + 1 + self.desk.below(12)).min(data.len());
                    let part = data[at..end].to_vec();
                    data.splice(at..at, part);
                }
            }
        }
        chunk::seal(1, &data)
    }

    /// A draft that the composer writes as told: canonical, and wrong for the document.
    fn misfit(&mut self, misfit: Misfit) -> Vec<u8> {
        let mut draft = self.draft();
        let key = self.desk.me.key;
        match misfit {
            Misfit::StartOpHuge => draft.start_op = (1 << 30) - 4,
            Misfit::StartOpWrong => draft.start_op += 1 + u64::try_from(self.desk.below(90)).unwrap_or(0),
            Misfit::OrphanDep => {
                draft.deps.push(self.desk.id());
                draft.deps.sort_unstable();
            }
            Misfit::DuplicateSeq => draft.seq = draft.seq.saturating_sub(1).max(1),
            Misfit::SkippedSeq => draft.seq += 1 + u64::try_from(self.desk.below(1 << 30)).unwrap_or(0),
            Misfit::NewGeneration => {
                draft.actor =
                    Actor::new(&key, draft.actor.generation().saturating_add(1 + u32::from(self.desk.one_in(2))));
                draft.seq = 1;
            }
            Misfit::OldGeneration => {
                draft.actor = Actor::new(&key, draft.actor.generation().saturating_sub(1));
                draft.seq = 1;
            }
            Misfit::OtherActor => draft.actor = Actor::new(&self.desk.id(), 0),
            Misfit::MissingPred => {
                let op = OpId { counter: 1 + self.draft_counter(&draft), actor: Actor::new(&self.desk.id(), 0) };
                draft.writes.iter_mut().for_each(|write| write.replaces.push(op));
            }
        }
        compose(&draft).unwrap_or_default()
    }

    fn draft_counter(&mut self, draft: &Draft) -> u64 {
        u64::try_from(self.desk.below(usize::try_from(draft.start_op).unwrap_or(1))).unwrap_or(0)
    }

    /// A change that the guard admits and the domain does not.
    fn unsound(&mut self, unsound: Unsound) -> Vec<u8> {
        let text = |text: &str| Value::Text(text.to_owned());
        let write = match unsound {
            Unsound::Text => {
                let fields = Fields::from([
                    ("item".to_owned(), text("\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}sllehs")),
                    (
                        "note".to_owned(),
                        Value::Text(format!("{}\u{200b}\u{feff}\u{e0041}", "Z\u{0335}\u{0327}".repeat(60))),
                    ),
                    ("no\u{202e}te".to_owned(), text("../../etc/passwd\0'; drop table records;--")),
                ]);
                self.write("observation", fields)
            }
            Unsound::Overflow => {
                let amounts = [QUANTITY_MAX, QUANTITY_MAX + 1, u64::from(u32::MAX) << 32, u64::MAX];
                let amount = self.desk.pick(&amounts).copied().unwrap_or(u64::MAX);
                let fields = Fields::from([
                    ("item".to_owned(), text("shells")),
                    ("unit".to_owned(), text("piece")),
                    ("amount".to_owned(), Value::Uint(amount)),
                    ("quantity".to_owned(), Value::Uint(amount)),
                    ("from".to_owned(), Value::Int(i64::MIN)),
                    ("until".to_owned(), Value::Int(i64::MAX)),
                ]);
                let kinds = ["requirement", "pledge", "receipt"];
                let kind = self.desk.pick(&kinds).copied().unwrap_or("pledge");
                self.write(kind, fields)
            }
            Unsound::Shapeless => {
                let kinds = ["requirement", "accept", "shipment", "dispatch", "hub", "treaty", "x"];
                let kind = self.desk.pick(&kinds).copied().unwrap_or("x");
                let reference = self.desk.random_bytes(70);
                let fields = Fields::from([
                    ("pledge".to_owned(), Value::Bytes(reference)),
                    ("lines".to_owned(), Value::Map(Fields::from([("0".to_owned(), Value::Null)]))),
                    ("status".to_owned(), Value::Bool(true)),
                ]);
                self.write(kind, fields)
            }
        };
        let section = self.state.section(&self.desk.me.nation);
        compose(&section.draft(&self.desk.me.key, self.desk.now.0, vec![write])).unwrap_or_default()
    }

    /// A change made byte by byte that would stand where an honest one stands.
    fn forged(&mut self, forgery: Forgery) -> Chunk {
        let draft = self.draft();
        let key = format!("pledge/{}", record_id_from(u64::try_from(self.desk.below(1 << 40)).unwrap_or(0)));
        let mut chunk = Chunk::record(draft.actor, &key);
        chunk.deps = draft.deps.clone();
        chunk.deps.sort_unstable();
        (chunk.seq, chunk.start_op) = (draft.seq, draft.start_op);
        chunk.time = i64::try_from(draft.time_ms).unwrap_or(0);
        self.spoil(forgery, chunk, &key)
    }

    fn spoil(&mut self, forgery: Forgery, mut chunk: Chunk, key: &str) -> Chunk {
        let run = |rows: i64, value: u64| {
            let mut bytes = Vec::new();
            chunk::sleb(&mut bytes, rows);
            chunk::uleb(&mut bytes, value);
            bytes
        };
        match forgery {
            Forgery::CompressedColumn => chunk.column(chunk::ACTION | 8, vec![0x4b, 0x04, 0x00]),
            Forgery::RowBomb => {
                let columns = [chunk::ACTION, chunk::VALUE_META, chunk::PRED_COUNT, chunk::PRED_ACTOR];
                let column = self.desk.pick(&columns).copied().unwrap_or(chunk::ACTION);
                chunk.column(column, run(1 << 50, 0))
            }
            Forgery::NullBomb => chunk.column(chunk::OBJECT_ACTOR, run(0, 1 << 60)),
            Forgery::ManyDeps => {
                chunk.deps =
                    (0..65).map(|_| self.desk.id::<comity_protocol::ids::Change>()).collect::<Vec<ChangeHash>>();
                chunk.deps.sort_unstable();
                chunk
            }
            Forgery::MissingObject => {
                chunk.column(chunk::OBJECT_ACTOR, vec![0x7f, 0]).column(chunk::OBJECT_COUNTER, run(-1, 1 << 20))
            }
            Forgery::Action => {
                let actions = [2, 3, 4, 5, 6, 7, 8, 99];
                let action = self.desk.pick(&actions).copied().unwrap_or(3);
                chunk.column(chunk::ACTION, vec![0x7f, action])
            }
            // Low four bits the type, the rest the length: float, counter, timestamp, and one that nobody knows.
            Forgery::Value => {
                let metas = [8 << 4 | 5, 1 << 4 | 8, 1 << 4 | 9, 3 << 4 | 13];
                let meta: u64 = self.desk.pick(&metas).copied().unwrap_or(133);
                let value = vec![1; usize::try_from(meta >> 4).unwrap_or(1)];
                chunk
                    .column(chunk::ACTION, vec![0x7f, 1])
                    .column(chunk::VALUE_META, run(-1, meta))
                    .column(chunk::VALUE, value)
            }
            Forgery::LongValue => {
                let meta: u64 = 16_385 << 4 | 6;
                let value = vec![b'a'; 16_385];
                chunk
                    .column(chunk::ACTION, vec![0x7f, 1])
                    .column(chunk::VALUE_META, run(-1, meta))
                    .column(chunk::VALUE, value)
            }
            Forgery::NotCanonical => match self.desk.below(3) {
                // A run of one where a literal is shorter, a number in two bytes, an empty column.
                0 => chunk.column(chunk::ACTION, vec![1, 0]),
                1 => chunk.column(chunk::ACTION, vec![0x7f, 0x80, 0x00]),
                _ => chunk.column(chunk::VALUE, Vec::new()),
            },
            Forgery::Columns => {
                match self.desk.below(3) {
                    0 => chunk.columns.reverse(),
                    1 => chunk.columns.extend(chunk.columns.clone().pop()),
                    _ => chunk.columns.push((0xf0, vec![0x7f, 0])),
                }
                chunk
            }
            Forgery::Time => {
                let times = [i64::MIN, -1, i64::MAX];
                chunk.time = self.desk.pick(&times).copied().unwrap_or(-1);
                chunk.message = key.as_bytes().repeat(1 + self.desk.below(30));
                chunk
            }
            Forgery::DeepNesting => {
                let maps = if self.desk.one_in(2) { 9 } else { 1_000 };
                chunk.nested(key, maps)
            }
            Forgery::ManyOps => chunk.nested(key, 2_049),
            Forgery::Key => {
                let keys = ["pledge", "pledge/short", "../0000000000", "Pledge/0000000000", &"k".repeat(200)];
                let key = self.desk.pick(&keys).copied().unwrap_or("pledge");
                chunk.column(chunk::KEY_TEXT, chunk::texts(&[key.as_bytes()]))
            }
        }
    }

    fn other_compartment(&mut self) -> Vec<u8> {
        let change = self.honest();
        let compartment = 1 + u32::try_from(self.desk.below(9)).unwrap_or(0);
        let body = if self.desk.one_in(2) {
            ChangeBody::Clear { compartment, change }
        } else {
            ChangeBody::Encrypted { compartment, kid: self.desk.id(), nonce: [3; 24], ciphertext: change }
        };
        Body::Change(body).encode()
    }

    fn grant(&mut self) -> Vec<u8> {
        let prev = vec![SealedKey { kid: self.desk.id(), nonce: [1; 24], ciphertext: [2; 48] }];
        let wraps = vec![[1; 80], [2; 80]];
        Body::KeyGrant(KeyGrantBody { compartment: 1, kid: self.desk.id(), wraps, prev }).encode()
    }
}
