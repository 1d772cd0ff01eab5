//! The check of bare bytes (spec A.1): nothing is parsed, expanded or allocated beyond the dependency list.

use sha2::{Digest as _, Sha256};

use super::VoidReason;
use crate::ids::{AuthorKey, ChangeHash};
use crate::limits::{
    ACTOR_BYTES, CHANGE_ACTORS_MAX, CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, CHANGE_KEY_BYTES_MAX, CHANGE_MESSAGE_BYTES_MAX,
    CHANGE_OP_COUNTER_MAX, CHANGE_OPS_MAX, CHANGE_VALUE_BYTES_MAX, TIME_MS_MAX,
};
use crate::value::Actor;

mod column;
mod number;

use column::Cell;
use number::Bytes;

/// What a change says about itself, read from bytes that are safe to parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prescan {
    /// The change's hash, as dependencies name it.
    pub hash: ChangeHash,
    /// Who wrote it: the envelope's author and a generation.
    pub actor: Actor,
    /// Its number among the actor's changes, from 1.
    pub seq: u64,
    /// Counter of its first operation, 1 to 2^30 − 1.
    pub start_op: u64,
    /// Operations, 1 to 2,048.
    pub ops: u64,
    /// What it builds on, strictly ascending.
    pub deps: Vec<ChangeHash>,
    /// Its claimed time in milliseconds.
    pub time_ms: u64,
}

impl Prescan {
    /// Counter of its last operation.
    pub const fn max_op(&self) -> u64 {
        self.start_op + self.ops - 1
    }
}

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHUNK_CHANGE: u8 = 1;
/// Bytes before the part that is hashed: magic and checksum.
const HASHED_FROM: usize = 8;

const KIND_BITS: u64 = 7;
const COMPRESSED_BIT: u64 = 8;

const OBJECT_ACTOR: u64 = 0x01;
const OBJECT_COUNTER: u64 = 0x02;
const KEY_ACTOR: u64 = 0x11;
const KEY_COUNTER: u64 = 0x13;
const KEY_TEXT: u64 = 0x15;
const INSERT: u64 = 0x34;
const ACTION: u64 = 0x42;
const VALUE_META: u64 = 0x56;
const VALUE: u64 = 0x57;
const PRED_COUNT: u64 = 0x70;
const PRED_ACTOR: u64 = 0x71;
const PRED_COUNTER: u64 = 0x73;
const EXPAND: u64 = 0x94;
const MARK_NAME: u64 = 0xa5;
/// Every column a change can have, ascending; the dialect itself uses ten of them.
const COLUMNS: [u64; 14] = [
    OBJECT_ACTOR,
    OBJECT_COUNTER,
    KEY_ACTOR,
    KEY_COUNTER,
    KEY_TEXT,
    INSERT,
    ACTION,
    VALUE_META,
    VALUE,
    PRED_COUNT,
    PRED_ACTOR,
    PRED_COUNTER,
    EXPAND,
    MARK_NAME,
];

/// Checks the bytes of a change by `author` and returns what it says about itself.
///
/// Takes time linear in the bytes whatever they announce: a bomb is refused before it is expanded.
///
/// # Errors
/// The first check of A.1 that fails.
pub fn prescan(author: &AuthorKey, bytes: &[u8]) -> Result<Prescan, VoidReason> {
    if bytes.len() > CHANGE_BYTES_MAX {
        return Err(VoidReason::TooLong);
    }
    let mut rest = Bytes::new(bytes);
    if rest.take(4)? != MAGIC {
        return Err(VoidReason::BadMagic);
    }
    let checksum = rest.take(4)?;
    if rest.take(1)? != [CHUNK_CHANGE] {
        return Err(VoidReason::WrongChunkType);
    }
    if rest.uleb()? != rest.len() {
        return Err(VoidReason::BadLength);
    }
    let hash: [u8; 32] = Sha256::digest(&bytes[HASHED_FROM..]).into();
    if hash[..4] != *checksum {
        return Err(VoidReason::BadChecksum);
    }
    let deps = deps(&mut rest)?;
    let actor = actor(&mut rest, VoidReason::WrongActor)?;
    if actor.author() != *author {
        return Err(VoidReason::WrongActor);
    }
    let seq = rest.uleb()?;
    let start_op = rest.uleb()?;
    if !(1..CHANGE_OP_COUNTER_MAX).contains(&start_op) {
        return Err(VoidReason::StartOpRange);
    }
    let time_ms = u64::try_from(rest.sleb()?).ok().filter(|time| *time <= TIME_MS_MAX).ok_or(VoidReason::TimeRange)?;
    message(&mut rest)?;
    let others = other_actors(&mut rest, actor)?;
    let ops = columns(&mut rest, others)?;
    if !rest.is_empty() {
        return Err(VoidReason::TrailingBytes);
    }
    Ok(Prescan { hash: ChangeHash::new(hash), actor, seq, start_op, ops, deps, time_ms })
}

fn deps(rest: &mut Bytes<'_>) -> Result<Vec<ChangeHash>, VoidReason> {
    let count = rest.count(CHANGE_DEPS_MAX, VoidReason::TooManyDeps)?;
    let mut deps = Vec::with_capacity(count);
    for _ in 0..count {
        let dep = ChangeHash::new(rest.take(32)?.try_into().expect("32 bytes were taken"));
        if deps.last().is_some_and(|last| *last >= dep) {
            return Err(VoidReason::DepsUnsorted);
        }
        deps.push(dep);
    }
    Ok(deps)
}

fn actor(rest: &mut Bytes<'_>, wrong_length: VoidReason) -> Result<Actor, VoidReason> {
    rest.count(ACTOR_BYTES, wrong_length)
        .and_then(|length| if length == ACTOR_BYTES { Ok(()) } else { Err(wrong_length) })?;
    Ok(Actor::from_bytes(rest.take(ACTOR_BYTES)?.try_into().expect("36 bytes were taken")))
}

fn message(rest: &mut Bytes<'_>) -> Result<(), VoidReason> {
    let length = rest.count(CHANGE_MESSAGE_BYTES_MAX, VoidReason::MessageTooLong)?;
    match std::str::from_utf8(rest.take(length)?) {
        Ok(_) => Ok(()),
        Err(_) => Err(VoidReason::MessageNotText),
    }
}

/// Returns how many actors the change names beside its own, which must be in the order the encoder gives them.
fn other_actors(rest: &mut Bytes<'_>, own: Actor) -> Result<u64, VoidReason> {
    let count = rest.count(CHANGE_ACTORS_MAX, VoidReason::TooManyActors)?;
    let mut last = None;
    for _ in 0..count {
        let next = actor(rest, VoidReason::BadActors)?;
        if next == own || last.is_some_and(|last| last >= next) {
            return Err(VoidReason::BadActors);
        }
        last = Some(next);
    }
    Ok(u64::try_from(count).expect("bounded above"))
}

/// Checks all columns and returns how many operations they hold.
fn columns(rest: &mut Bytes<'_>, other_actors: u64) -> Result<u64, VoidReason> {
    let count = rest.count(COLUMNS.len(), VoidReason::BadColumns)?;
    let mut specs = Vec::with_capacity(count);
    for _ in 0..count {
        let spec = rest.uleb()?;
        let length = rest.uleb()?;
        if spec & COMPRESSED_BIT != 0 {
            return Err(VoidReason::ColumnCompressed);
        }
        let ordered = specs.last().is_none_or(|(last, _)| *last < spec);
        if !ordered || length == 0 || !COLUMNS.contains(&spec) {
            return Err(VoidReason::BadColumns);
        }
        specs.push((spec, length));
    }
    let mut totals = Totals::default();
    for (spec, length) in specs {
        let length = usize::try_from(length).map_err(|_| VoidReason::Truncated)?;
        totals.column(spec, rest.take(length)?, other_actors)?;
    }
    if totals.ops == 0 {
        return Err(VoidReason::NoOps);
    }
    if totals.value_bytes != totals.value_bytes_announced {
        return Err(VoidReason::ValueLengths);
    }
    Ok(totals.ops)
}

/// What is summed over the columns of one change.
#[derive(Default)]
struct Totals {
    ops: u64,
    preds: u64,
    value_bytes_announced: u64,
    value_bytes: u64,
}

impl Totals {
    fn column(&mut self, spec: u64, bytes: &[u8], other_actors: u64) -> Result<(), VoidReason> {
        if spec == VALUE {
            self.value_bytes = u64::try_from(bytes.len()).expect("a change is at most 65,000 bytes");
            return Ok(());
        }
        let mut position = 0_i64;
        let rows = column::walk(spec & KIND_BITS, bytes, |rows, cell| match (spec, cell) {
            (OBJECT_ACTOR | KEY_ACTOR | PRED_ACTOR, Cell::Uint(index)) => within(index <= other_actors),
            (OBJECT_COUNTER, Cell::Uint(counter)) => within(counter < 2 * CHANGE_OP_COUNTER_MAX),
            (KEY_COUNTER | PRED_COUNTER, Cell::Int(delta)) => {
                position = i64::try_from(rows)
                    .ok()
                    .and_then(|rows| rows.checked_mul(delta))
                    .and_then(|step| position.checked_add(step))
                    .ok_or(VoidReason::OpIdRange)?;
                within(u64::try_from(position).is_ok_and(|counter| counter < 2 * CHANGE_OP_COUNTER_MAX))
            }
            (KEY_TEXT | MARK_NAME, Cell::Text(length)) => {
                if (1..=CHANGE_KEY_BYTES_MAX).contains(&length) {
                    Ok(())
                } else {
                    Err(VoidReason::KeyLength)
                }
            }
            (PRED_COUNT, Cell::Uint(preds)) => {
                add(&mut self.preds, rows, preds, CHANGE_OPS_MAX, VoidReason::TooManyPreds)
            }
            (VALUE_META, Cell::Uint(meta)) => value_meta(&mut self.value_bytes_announced, rows, meta),
            _ => Ok(()),
        })?;
        if spec == ACTION {
            self.ops = rows;
        }
        Ok(())
    }
}

fn within(inside: bool) -> Result<(), VoidReason> {
    if inside { Ok(()) } else { Err(VoidReason::OpIdRange) }
}

/// Adds `rows` values whose metadata is `meta`: the length in bytes above four bits of type.
fn value_meta(total: &mut u64, rows: u64, meta: u64) -> Result<(), VoidReason> {
    let length = meta >> 4;
    if usize::try_from(length).is_ok_and(|length| length <= CHANGE_VALUE_BYTES_MAX) {
        add(total, rows, length, CHANGE_BYTES_MAX, VoidReason::ValueLengths)
    } else {
        Err(VoidReason::ValueTooLong)
    }
}

fn add(total: &mut u64, rows: u64, each: u64, max: usize, reason: VoidReason) -> Result<(), VoidReason> {
    *total = rows.checked_mul(each).and_then(|sum| sum.checked_add(*total)).ok_or(reason)?;
    if usize::try_from(*total).is_ok_and(|total| total <= max) { Ok(()) } else { Err(reason) }
}
