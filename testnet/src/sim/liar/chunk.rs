//! Automerge changes built byte by byte, and damaged ones made to look whole.

use comity_protocol::ids::ChangeHash;
use comity_protocol::keys::sha256;
use comity_protocol::value::Actor;

/// Names of columns.
pub(super) const OBJECT_ACTOR: u64 = 0x01;
pub(super) const OBJECT_COUNTER: u64 = 0x02;
pub(super) const KEY_TEXT: u64 = 0x15;
pub(super) const INSERT: u64 = 0x34;
pub(super) const ACTION: u64 = 0x42;
pub(super) const VALUE_META: u64 = 0x56;
pub(super) const VALUE: u64 = 0x57;
pub(super) const PRED_COUNT: u64 = 0x70;
pub(super) const PRED_ACTOR: u64 = 0x71;

/// A change's fields and columns, free to be wrong.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) deps: Vec<ChangeHash>,
    pub(super) actor: Vec<u8>,
    pub(super) seq: u64,
    pub(super) start_op: u64,
    pub(super) time: i64,
    pub(super) message: Vec<u8>,
    pub(super) columns: Vec<(u64, Vec<u8>)>,
}

impl Chunk {
    /// A change that makes one record without fields, and nothing else.
    pub(super) fn record(actor: Actor, key: &str) -> Self {
        Self {
            deps: Vec::new(),
            actor: actor.as_bytes().to_vec(),
            seq: 1,
            start_op: 1,
            time: 0,
            message: Vec::new(),
            columns: vec![
                (KEY_TEXT, texts(&[key.as_bytes()])),
                (INSERT, vec![1]),
                (ACTION, vec![0x7f, 0]),
                (VALUE_META, vec![0x7f, 0]),
                (PRED_COUNT, vec![0x7f, 0]),
            ],
        }
    }

    /// The same change with maps in maps below the record, `maps` operations in all.
    pub(super) fn nested(self, key: &str, maps: u64) -> Self {
        let below = maps.saturating_sub(1).max(2);
        let run = |rows: u64, value: &[u8]| {
            let mut bytes = Vec::new();
            sleb(&mut bytes, i64::try_from(rows).unwrap_or(i64::MAX));
            bytes.extend_from_slice(value);
            bytes
        };
        let mut counters = vec![0, 1];
        sleb(&mut counters, -i64::try_from(below).unwrap_or(i64::MAX));
        (0..below).for_each(|above| uleb(&mut counters, self.start_op + above));
        let keys = [texts(&[key.as_bytes()]), run(below, &[1, b'm'])].concat();
        let mut insert = Vec::new();
        uleb(&mut insert, below + 1);
        self.column(OBJECT_ACTOR, [&[0, 1][..], &run(below, &[0])].concat())
            .column(OBJECT_COUNTER, counters)
            .column(KEY_TEXT, keys)
            .column(INSERT, insert)
            .column(ACTION, run(below + 1, &[0]))
            .column(VALUE_META, run(below + 1, &[0]))
            .column(PRED_COUNT, run(below + 1, &[0]))
    }

    /// Puts a column in place of one with the same name, or in order.
    pub(super) fn column(mut self, name: u64, bytes: Vec<u8>) -> Self {
        self.columns.retain(|(other, _)| *other != name);
        self.columns.push((name, bytes));
        self.columns.sort();
        self
    }

    /// The change's bytes, with the right length and checksum.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut data = Vec::new();
        uleb(&mut data, length(self.deps.len()));
        for dep in &self.deps {
            data.extend_from_slice(dep.as_bytes());
        }
        prefixed(&mut data, &self.actor);
        uleb(&mut data, self.seq);
        uleb(&mut data, self.start_op);
        sleb(&mut data, self.time);
        prefixed(&mut data, &self.message);
        // Other actors: none.
        uleb(&mut data, 0);
        uleb(&mut data, length(self.columns.len()));
        for (name, bytes) in &self.columns {
            uleb(&mut data, *name);
            uleb(&mut data, length(bytes.len()));
        }
        for (_, bytes) in &self.columns {
            data.extend_from_slice(bytes);
        }
        seal(1, &data)
    }
}

/// A chunk of this type with the right length and checksum.
pub(super) fn seal(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut hashed = vec![kind];
    uleb(&mut hashed, length(data.len()));
    hashed.extend_from_slice(data);
    let hash = sha256(&hashed);
    [&[0x85, 0x6f, 0x4a, 0x83][..], &hash[..4], &hashed].concat()
}

/// The data of a sound chunk, without magic, checksum, type and length.
pub(super) fn data(bytes: &[u8]) -> &[u8] {
    let behind_type = bytes.get(9..).unwrap_or_default();
    let length = behind_type.iter().position(|byte| byte & 0x80 == 0).unwrap_or(0);
    behind_type.get(length + 1..).unwrap_or_default()
}

pub(super) fn uleb(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

pub(super) fn sleb(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0) {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// A literal run of texts.
pub(super) fn texts(texts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    sleb(&mut bytes, -i64::try_from(texts.len()).unwrap_or(i64::MAX));
    texts.iter().for_each(|text| prefixed(&mut bytes, text));
    bytes
}

fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    uleb(out, length(bytes.len()));
    out.extend_from_slice(bytes);
}

fn length(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
