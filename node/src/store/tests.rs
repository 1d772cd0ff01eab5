//! The store as its callers see it: what was answered is there, what is damaged is named.

mod damage;
mod full;
mod guards;
mod saving;
mod sets;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_protocol::effect::Remembered;
use comity_protocol::envelope::{AttestedHeader, Header, SignedHeader, body_hash};
use comity_protocol::ids::{AuthorId, Digest, EnvelopeId, Id, NationId};
use comity_protocol::keys::SecretKey;
use tokio::runtime::Runtime;

use super::*;

/// An envelope of a test.
#[derive(Clone, Debug)]
struct Envelope {
    header: AttestedHeader,
    body: Arc<[u8]>,
}

impl Envelope {
    fn id(&self) -> EnvelopeId {
        self.header.id()
    }

    fn ops(&self) -> Vec<SaveOp> {
        vec![SaveOp::Header(self.header.clone()), self.body_op()]
    }

    fn body_op(&self) -> SaveOp {
        SaveOp::Body { id: self.id(), bytes: Arc::clone(&self.body) }
    }
}

/// The key of author `author`.
fn key(author: u8) -> SecretKey {
    SecretKey::from_seed(&[author; 32])
}

/// The nation that every test node speaks for.
fn nation() -> NationId {
    Id::new([9; 32])
}

/// Whose store it is: author 1.
fn identity() -> Identity {
    Identity { alliance: Id::new([8; 32]), nation: nation(), node: key(1).public() }
}

fn author_id(author: u8) -> AuthorId {
    AuthorId { nation: nation(), key: key(author).public() }
}

/// The first `length` envelopes of an author, every one signed; `branch` makes two chains of one author differ.
fn chain(author: u8, branch: &str, length: u64) -> Vec<Envelope> {
    let key = key(author);
    let mut prev = EnvelopeId::ZERO;
    let envelopes = (1..=length).map(|seq| {
        let body: Arc<[u8]> = format!("body {seq} of author {author}, {branch}").repeat(5).into_bytes().into();
        let header = Header {
            alliance: identity().alliance,
            nation: nation(),
            author: key.public(),
            seq,
            prev,
            time_ms: seq,
            kind: 1,
            body_len: u32::try_from(body.len()).expect("short"),
            body_hash: body_hash(&body),
        };
        let header = SignedHeader::sign(header, &key).verify().expect("just signed");
        prev = header.id();
        Envelope { header, body }
    });
    envelopes.collect()
}

fn remembered(key: &str, content: u8, version: EnvelopeId) -> Remembered {
    let record = ("pledge".to_owned(), "7k3m9q2x4d".to_owned());
    Remembered { key: key.to_owned(), content: Digest::new([content; 32]), record, version }
}

/// A temporary folder in memory where there is such a place: these tests sync a lot, and test no disk.
fn temporary_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("temporary folder")
}

/// A store in a temporary folder, and a runtime for its futures.
struct Bench {
    folder: tempfile::TempDir,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        let folder = temporary_folder();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        let bench = Self { folder, runtime };
        Store::create(&bench.path(), &identity(), &[]).expect("created");
        bench
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("node.sqlite")
    }

    fn lock(&self) -> Lock {
        Lock::acquire(&self.folder.path().join("node.lock")).expect("nobody else has the lock")
    }

    /// Floors that a small test machine passes.
    fn settings() -> Settings {
        Settings { free_min: 0, catch_up_free_min: 0, ..Settings::default() }
    }

    fn open(&self) -> Store {
        Store::open(&self.path(), Self::settings(), self.lock()).expect("opens")
    }

    fn save(&self, store: &Store, ops: Vec<SaveOp>) -> Result<Saved, SaveError> {
        self.runtime.block_on(store.save(ops))
    }

    fn close(&self, store: Store) {
        self.runtime.block_on(store.close());
    }

    /// A stopped store that holds these envelopes.
    fn filled(envelopes: &[Envelope]) -> Self {
        let bench = Self::new();
        let store = bench.open();
        bench.save(&store, envelopes.iter().flat_map(Envelope::ops).collect()).expect("saved");
        bench.close(store);
        bench
    }

    /// What a process would find that opens the files as they are at this moment, after a kill.
    fn crashed(&self) -> Self {
        let copy = temporary_folder();
        for name in ["node.sqlite", "node.sqlite-wal"] {
            if self.folder.path().join(name).exists() {
                std::fs::copy(self.folder.path().join(name), copy.path().join(name)).expect("copied");
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        Self { folder: copy, runtime }
    }
}

/// Ids and bodies, the way stores are compared.
fn contents(loaded: &Loaded) -> Vec<(EnvelopeId, bool)> {
    loaded.envelopes.iter().map(|envelope| (envelope.header.id(), envelope.body.is_some())).collect()
}

fn flip(path: &Path, pattern: &[u8]) {
    let mut bytes = std::fs::read(path).expect("read");
    let mut places = (0..bytes.len() - pattern.len()).filter(|at| bytes[*at..].starts_with(pattern));
    let at = places.next().expect("the pattern is in the file");
    bytes[at + pattern.len() / 2] ^= 0x10;
    std::fs::write(path, bytes).expect("written");
}
