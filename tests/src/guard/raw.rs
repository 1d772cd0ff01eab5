//! Changes built byte by byte, and damaged ones made to look whole.

use comity_protocol::ids::ChangeHash;
use comity_protocol::value::Actor;
use sha2::{Digest as _, Sha256};

/// A change's fields and columns, free to be wrong.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Hashes of what it builds on.
    pub deps: Vec<ChangeHash>,
    /// Who writes.
    pub actor: Vec<u8>,
    /// Its number among the actor's changes.
    pub seq: u64,
    /// Counter of its first operation.
    pub start_op: u64,
    /// Claimed time.
    pub time: i64,
    /// Its message.
    pub message: Vec<u8>,
    /// Other actors its operations name.
    pub others: Vec<Vec<u8>>,
    /// Specification and bytes of each column.
    pub columns: Vec<(u64, Vec<u8>)>,
    /// What follows the columns.
    pub tail: Vec<u8>,
}

impl Raw {
    /// The first change of `actor`: one record without fields.
    pub fn first(actor: Actor) -> Self {
        let key = b"pledge/0000000000";
        Self {
            deps: Vec::new(),
            actor: actor.as_bytes().to_vec(),
            seq: 1,
            start_op: 1,
            time: 0,
            message: Vec::new(),
            others: Vec::new(),
            columns: vec![
                (0x15, [&[0x7f, 17][..], key].concat()),
                (0x34, vec![1]),
                (0x42, vec![0x7f, 0]),
                (0x56, vec![0x7f, 0]),
                (0x70, vec![0x7f, 0]),
            ],
            tail: Vec::new(),
        }
    }

    /// Puts a column in place of one with the same name, or in order.
    pub fn column(mut self, spec: u64, bytes: &[u8]) -> Self {
        self.columns.retain(|(other, _)| *other != spec);
        self.columns.push((spec, bytes.to_vec()));
        self.columns.sort();
        self
    }

    /// The change with its seal.
    pub fn bytes(&self) -> Vec<u8> {
        let mut data = Vec::new();
        uleb(&mut data, len(&self.deps));
        for dep in &self.deps {
            data.extend_from_slice(dep.as_bytes());
        }
        prefixed(&mut data, &self.actor);
        uleb(&mut data, self.seq);
        uleb(&mut data, self.start_op);
        sleb(&mut data, self.time);
        prefixed(&mut data, &self.message);
        uleb(&mut data, len(&self.others));
        for other in &self.others {
            prefixed(&mut data, other);
        }
        uleb(&mut data, len(&self.columns));
        for (spec, bytes) in &self.columns {
            uleb(&mut data, *spec);
            uleb(&mut data, len(bytes));
        }
        for (_, bytes) in &self.columns {
            data.extend_from_slice(bytes);
        }
        data.extend_from_slice(&self.tail);
        chunk(1, &data)
    }
}

/// A chunk with the right length and checksum.
pub fn chunk(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut hashed = vec![kind];
    uleb(&mut hashed, len(data));
    hashed.extend_from_slice(data);
    let hash = Sha256::digest(&hashed);
    [&[0x85, 0x6f, 0x4a, 0x83][..], &hash[..4], &hashed].concat()
}

/// The data of a change, without magic, checksum, type and length.
pub fn data(bytes: &[u8]) -> &[u8] {
    let length = bytes[9..].iter().position(|byte| byte & 0x80 == 0).expect("a change of our own");
    &bytes[9 + length + 1..]
}

/// Appends an unsigned number in LEB128.
pub fn uleb(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Appends a signed number in LEB128.
pub fn sleb(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0) {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    uleb(out, len(bytes));
    out.extend_from_slice(bytes);
}

fn len<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).expect("fits")
}
