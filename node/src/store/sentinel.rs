//! The sentinel: what the key of a home is known to have signed, in a small file apart from the store (spec 4.12).
//!
//! A store that comes back from a backup is sound and too short. Nothing in it says so; the sentinel does. After each commit
//! and before anything of it leaves the process, the last own envelope is written here by one positioned write, without a
//! sync: what a power cut takes from it makes it older than the store, which is a normal crash, and never newer. It is synced
//! in the background at most once a second, and when the store is closed.
//!
//! The file has two slots in sectors of their own, written by turns, each with a check: a write that is torn leaves the one
//! before it. A home without a sentinel, with a damaged one, or with one of another key counts as restored.

use comity_protocol::codec::{Reader, Writer};
use comity_protocol::effect::{Authoring, SaveOp};
use comity_protocol::ids::{AuthorId, AuthorKey, Id, Tip};

use super::error::OpenError;
use super::held::check32;
use super::load::Loaded;

mod file;

pub use file::{FILE_NAME, SentinelFile};

/// Bytes between the beginnings of two slots: a sector, which a disk writes whole or not at all.
const SLOT_BYTES: usize = 512;
/// Bytes of the file.
pub const BYTES: usize = 2 * SLOT_BYTES;
const MAGIC: &[u8; 8] = b"COMTSNT1";

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// The key signed this last; nothing if it has signed nothing.
    Signed(Tip),
    /// The home was restored and nobody has confirmed it; the key is known to have signed this, if anything is known.
    Restored(Option<Tip>),
}

/// A slot as it is written: the higher count is the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    count: u64,
    key: AuthorKey,
    says: Says,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let (kind, tip) = match self.says {
            Says::Signed(tip) => (0, tip),
            Says::Restored(None) => (1, Tip::NONE),
            Says::Restored(Some(tip)) => (2, tip),
        };
        let mut out = Writer::new();
        out.raw(MAGIC).u64(self.count).raw(self.key.as_bytes()).u8(kind).u64(tip.seq).raw(tip.id.as_bytes());
        let mut bytes = out.into_bytes();
        let check = check32("sentinel", &[&bytes]);
        bytes.extend(check.as_bytes());
        bytes
    }

    /// Reads a slot; `None` if it is torn, damaged, or was never written.
    fn decode(slot: &[u8]) -> Option<Self> {
        let mut input = Reader::new(slot);
        let magic: [u8; 8] = input.array().ok()?;
        let count = input.u64().ok()?;
        let key = Id::new(input.array().ok()?);
        let kind = input.u8().ok()?;
        let tip = Tip { seq: input.u64().ok()?, id: Id::new(input.array().ok()?) };
        let says = match kind {
            0 => Says::Signed(tip),
            1 => Says::Restored(None),
            2 => Says::Restored(Some(tip)),
            _ => return None,
        };
        let check: [u8; 32] = input.array().ok()?;
        let mark = Self { count, key, says };
        let whole = mark.encode();
        (magic == *MAGIC && whole.ends_with(&check) && slot.starts_with(&whole)).then_some(mark)
    }
}

/// A write that the sentinel's file needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelWrite {
    /// Where.
    pub at: u64,
    /// What.
    pub bytes: Vec<u8>,
    /// Whether it is synced before anything else happens.
    pub sync: bool,
}

/// What the store holds of the node's own chain, as the sentinel is compared with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnHeld {
    /// Its own headers that can be read, by position and id.
    pub(super) headers: std::collections::BTreeSet<(u64, comity_protocol::ids::EnvelopeId)>,
    /// How many headers the store says it once took: a row that was damaged since is not one that was never there.
    pub(super) counted: u64,
}

impl OwnHeld {
    fn tip(&self) -> Tip {
        self.headers.last().map_or(Tip::NONE, |(seq, id)| Tip { seq: *seq, id: *id })
    }

    /// Whether this envelope is held, or was until its row was damaged.
    fn reaches(&self, tip: &Tip) -> bool {
        if tip.seq == 0 || self.headers.contains(&(tip.seq, tip.id)) {
            return true;
        }
        let another = self.headers.range((tip.seq, Id::ZERO)..).next().is_some_and(|(seq, _)| *seq == tip.seq);
        tip.seq <= self.counted && !another
    }
}

/// The sentinel as it is known; who owns its file carries out the writes it asks for.
#[derive(Clone, Debug)]
pub struct Sentinel {
    me: AuthorId,
    mark: Option<Mark>,
}

impl Sentinel {
    /// Reads what the file holds; a missing file is an empty one.
    pub fn read(me: AuthorId, bytes: &[u8]) -> Self {
        let slots = bytes.chunks(SLOT_BYTES).take(2).filter_map(Mark::decode);
        let mark = slots.filter(|mark| mark.key == me.key).max_by_key(|mark| mark.count);
        Self { me, mark }
    }

    /// Returns the whole file of a home whose key has signed nothing yet.
    pub fn fresh(key: AuthorKey) -> Vec<u8> {
        Self::whole(&Mark { count: 0, key, says: Says::Signed(Tip::NONE) })
    }

    /// Returns the whole file of a home into which a backup was put; what was known of the key before stays known, here or
    /// as `signed` by the store that was there.
    pub fn restored(&self, signed: Tip) -> Vec<u8> {
        let known = self.known().into_iter().chain([signed]).max_by_key(|tip| tip.seq);
        let says = Says::Restored(known.filter(|tip| tip.seq > 0));
        Self::whole(&Mark { count: self.mark.map_or(0, |mark| mark.count + 1), key: self.me.key, says })
    }

    fn whole(mark: &Mark) -> Vec<u8> {
        let mut bytes = vec![0; BYTES];
        let slot = mark.encode();
        let at = if mark.count.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        bytes[at..at + slot.len()].copy_from_slice(&slot);
        bytes
    }

    /// The last envelope that the key is known to have signed.
    pub fn known(&self) -> Option<Tip> {
        match self.mark?.says {
            Says::Signed(tip) => Some(tip),
            Says::Restored(tip) => tip,
        }
    }

    /// Compares with the store, at the start; returns whether the node may author, and what is to be written first.
    ///
    /// A home that counts as restored goes on counting as one, whatever peers give it, until somebody confirms it.
    pub fn judge(&mut self, held: &OwnHeld) -> (Authoring, Option<SentinelWrite>) {
        let stored = held.tip().seq;
        match self.mark.map(|mark| mark.says) {
            // A power cut took the last writes of the sentinel: it catches up at once.
            Some(Says::Signed(tip)) if held.reaches(&tip) && held.tip().seq > tip.seq => {
                (Authoring::Free, Some(self.write(Says::Signed(held.tip()), true)))
            }
            Some(Says::Signed(tip)) if held.reaches(&tip) => (Authoring::Free, None),
            Some(Says::Restored(sentinel)) => (Authoring::Restored { sentinel, stored }, None),
            Some(Says::Signed(_)) | None => {
                let sentinel = self.known().filter(|tip| tip.seq > 0);
                let write = self.write(Says::Restored(sentinel), true);
                (Authoring::Restored { sentinel, stored }, Some(write))
            }
        }
    }

    /// Whether the node may author by what the sentinel says; `stored` is where its own chain ends in the store.
    const fn authoring(&self, stored: u64) -> Option<Authoring> {
        match self.mark {
            Some(Mark { says: Says::Signed(_), .. }) => None,
            Some(Mark { says: Says::Restored(sentinel), .. }) => Some(Authoring::Restored { sentinel, stored }),
            None => Some(Authoring::Restored { sentinel: None, stored }),
        }
    }

    /// Adds to what was loaded from the store what the sentinel says; a restored home is one whatever its store says.
    pub fn tell(&self, loaded: &mut Loaded) {
        let stored = loaded.own_to();
        loaded.authoring = self.authoring(stored).unwrap_or(loaded.authoring);
        loaded.signed = self.known().unwrap_or(Tip::NONE);
    }

    /// Takes note of what was committed; returns what is to be written before anything of it leaves the process.
    pub fn committed<'a>(&mut self, ops: impl Iterator<Item = &'a SaveOp>) -> Option<SentinelWrite> {
        let (mut signed, mut released) = (None, None);
        for op in ops {
            match op {
                SaveOp::Header(header) if header.header().author_id() == self.me => {
                    signed = signed.max(Some(header.tip()));
                }
                SaveOp::Release { tip } => released = Some(*tip),
                SaveOp::Header(_)
                | SaveOp::Control(_)
                | SaveOp::Signature { .. }
                | SaveOp::Body { .. }
                | SaveOp::Remember(_)
                | SaveOp::Anchor(_)
                | SaveOp::Halt { .. } => {}
            }
        }
        if released.is_some() {
            let last = released.max(signed)?;
            return Some(self.write(Says::Signed(last), true));
        }
        match self.mark?.says {
            Says::Signed(known) => {
                let last = signed.filter(|tip| tip.seq > known.seq)?;
                Some(self.write(Says::Signed(last), false))
            }
            // What comes from peers is not yet taken for all.
            Says::Restored(_) => None,
        }
    }

    fn write(&mut self, says: Says, sync: bool) -> SentinelWrite {
        let count = self.mark.map_or(0, |mark| mark.count + 1);
        let mark = Mark { count, key: self.me.key, says };
        self.mark = Some(mark);
        let at = if count.is_multiple_of(2) { 0 } else { SLOT_BYTES as u64 };
        SentinelWrite { at, bytes: mark.encode(), sync }
    }
}

/// Returns an error of the sentinel's file.
pub(super) fn io(path: &std::path::Path, doing: &'static str, source: std::io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), doing, source }
}
