//! A node's disk in memory, with every fault that a real one has, all from a seed.
//!
//! SQLite reaches it through [`crate::vfs`]. Each file has a durable image and the changes since the last sync; names are
//! durable when a new file is synced or the folder is. A power cut keeps any subset of the unsynced parts of 512-byte
//! sectors and of the unsynced lengths, and for each name the first few of its unsynced changes. What happens depends on
//! the seed and on the order of calls alone; the content of SQLite's log does not quite, since its salts come from the
//! library's own generator, so [`Disk::trace`] covers kinds, places, lengths and outcomes, not content.

mod folder;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use folder::Folder;

/// Bytes of the largest disk: more is a mistake, or a damaged number taken for a place in a file.
const DISK_BYTES_MAX: usize = 256 << 20;
/// Name of a store's file on its disk.
const STORE: &str = "node.sqlite";
/// Name of the sentinel's file on the same disk.
const SENTINEL: &str = comity_node::store::SENTINEL_NAME;
/// What the path of every simulated file begins with.
const ROOT: &str = "/comity-sim/";

/// Every disk, by the number in its path: SQLite opens by path and knows nothing else of us.
static DISKS: Mutex<BTreeMap<u64, Weak<Shared>>> = Mutex::new(BTreeMap::new());
/// How many disks there ever were.
static MADE: AtomicU64 = AtomicU64::new(0);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No state of ours is half changed by a panic that a later caller would care about.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle on a simulated disk; copies of it are the same disk, which is gone with the last of them.
#[derive(Clone)]
pub struct Disk {
    shared: Arc<Shared>,
}

struct Shared {
    number: u64,
    state: Mutex<State>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        locked(&DISKS).remove(&self.number);
    }
}

/// What a clean copy of a disk would hold, to be put back on the same disk or on another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// The same home with the sentinel of another one: of the present, or none.
    #[must_use]
    pub(crate) fn with_sentinel_of(mut self, other: Option<&Self>) -> Self {
        self.files.remove(SENTINEL);
        let sentinel = other.and_then(|other| other.files.get(SENTINEL).cloned());
        self.files.extend(sentinel.map(|bytes| (SENTINEL.to_owned(), bytes)));
        self
    }
}

struct State {
    random: ChaCha8Rng,
    folder: Folder,
    /// Counts restarts: a file opened before one is no longer usable.
    boot: u64,
    operations: u64,
    /// The operation at which the power goes, counting all from 0.
    fails_at: Option<u64>,
    dead: bool,
    room: Option<u64>,
    sync_lies: bool,
    trace: u64,
}

/// Why an operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The disk is dead, or died with this very operation.
    Failed,
    /// No room; a write may have got part of its bytes in.
    Full,
    /// No such file.
    Missing,
}

/// What becomes of an operation that was begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// The power goes meanwhile: it may have happened, wholly or in part, and nobody is told.
    Struck,
}

impl Fate {
    fn answer<T>(self, value: T) -> Result<T, Fault> {
        match self {
            Self::Done => Ok(value),
            Self::Struck => Err(Fault::Failed),
        }
    }
}

impl Disk {
    /// Makes an empty disk, known to SQLite until the last handle and the last open file are gone.
    pub fn new(seed: u64) -> Self {
        crate::vfs::register();
        let state = State {
            random: ChaCha8Rng::seed_from_u64(seed),
            folder: Folder::default(),
            boot: 0,
            operations: 0,
            fails_at: None,
            dead: false,
            room: None,
            sync_lies: false,
            trace: 0xcbf2_9ce4_8422_2325,
        };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared { number, state: Mutex::new(state) });
        locked(&DISKS).insert(number, Arc::downgrade(&shared));
        Self { shared }
    }

    /// Returns where a store's file is for SQLite, with [`crate::vfs::NAME`].
    ///
    /// It stays the same for the life of the disk. The number in it is of this process and must not get into a trace.
    pub fn store_path(&self) -> PathBuf {
        PathBuf::from(format!("{ROOT}{}/{STORE}", self.shared.number))
    }

    /// Opens the sentinel's file, which is made if it is missing.
    pub(crate) fn open_sentinel(&self) -> Result<OpenFile, Fault> {
        let path = Self::full_path(&format!("{ROOT}{}/{SENTINEL}", self.shared.number))?;
        Self::open(&path, Create::IfMissing)
    }

    /// Returns how many operations were begun while the disk was alive.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Returns a hash over kind, file, place, length and outcome of every operation and fault so far.
    pub fn trace(&self) -> u64 {
        self.state().trace
    }

    /// Lets the power go at the operation that comes after `operations` others.
    ///
    /// That one and all later ones fail until [`Disk::power_cut`], [`Disk::kill`] or [`Disk::restore`]; it may have taken
    /// effect nevertheless, a write also in part.
    pub fn fail_after(&self, operations: u64) {
        let mut state = self.state();
        state.fails_at = Some(state.operations.saturating_add(operations));
    }

    /// Returns whether the failure above has struck.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Leaves what an unplugged machine would find: all that was synced, and of the rest any part.
    ///
    /// The disk works again afterwards; files opened before do not.
    pub fn power_cut(&self) {
        let mut state = self.state();
        let state = &mut *state;
        // All, nothing, or some share of it: each alone is where another bug would show.
        let kept_of_8 = [0, 1, 4, 7, 8][state.random.random_range(0..5_usize)];
        let mut choices = Vec::new();
        state.folder.cut(|| {
            let keeps = state.random.random_range(0..8) < kept_of_8;
            choices.push(u8::from(keeps));
            keeps
        });
        state.note(&choices);
        state.restart("power cut");
    }

    /// Leaves what a killed process would find: everything it wrote.
    ///
    /// The disk works again afterwards; files opened before do not.
    pub fn kill(&self) {
        self.state().restart("kill");
    }

    /// Bounds the bytes of all files together; a write beyond gets in what fits and fails.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Bytes of all files as a program reads them now, which is what [`Disk::set_room`] bounds.
    pub fn used(&self) -> u64 {
        self.state().folder.bytes().try_into().unwrap_or(u64::MAX)
    }

    /// Returns the files as a program reads them now.
    pub fn image(&self) -> Image {
        Image { files: self.state().folder.content() }
    }

    /// Puts an image in the place of everything; files opened before are no longer usable.
    pub fn restore(&self, image: &Image) {
        let mut state = self.state();
        state.folder = Folder::of(&image.files);
        state.restart("restore");
    }

    /// Makes every later sync say yes and do nothing, or be honest again.
    pub fn lie_about_sync(&self, lies: bool) {
        self.state().sync_lies = lies;
    }

    /// Inverts bit `choice` of the store's file, counted modulo its length; an empty or missing file stays as it is.
    pub fn flip_bit(&self, choice: u64) {
        let mut state = self.state();
        let folder = &mut state.folder;
        let Some(file) = folder.find(STORE).and_then(|file| folder.file(file)) else { return };
        let bits = u64::try_from(file.bytes().len()).unwrap_or(u64::MAX).saturating_mul(8);
        if let Some(bit) = choice.checked_rem(bits).and_then(|bit| usize::try_from(bit).ok()) {
            file.flip(bit);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.shared.state)
    }

    /// Returns the path that a connection uses from its opening on: no longer good after a restart, so that the one of a
    /// dead process cannot delete files of the next when it is dropped late.
    pub(crate) fn full_path(path: &str) -> Result<String, Fault> {
        let (number, name) = path.strip_prefix(ROOT).and_then(|path| path.split_once('/')).ok_or(Fault::Missing)?;
        let disk = Self::numbered(number)?;
        let boot = disk.state().boot;
        Ok(format!("{ROOT}{number}.{boot}/{name}"))
    }

    fn numbered(number: &str) -> Result<Self, Fault> {
        let number: u64 = number.parse().map_err(|_| Fault::Missing)?;
        let shared = locked(&DISKS).get(&number).and_then(Weak::upgrade).ok_or(Fault::Missing)?;
        Ok(Self { shared })
    }

    /// Finds the disk, the boot and the name that a full path means.
    fn find(path: &str) -> Result<(Self, u64, &str), Fault> {
        let (folder, name) = path.strip_prefix(ROOT).and_then(|path| path.split_once('/')).ok_or(Fault::Missing)?;
        let (number, boot) = folder.split_once('.').ok_or(Fault::Missing)?;
        Ok((Self::numbered(number)?, boot.parse().map_err(|_| Fault::Missing)?, name))
    }

    /// Opens a file, or makes it if it is missing and `create` says so.
    pub(crate) fn open(path: &str, create: Create) -> Result<OpenFile, Fault> {
        let (disk, boot, name) = Self::find(path)?;
        let mut state = disk.state();
        let fate = state.begin(boot, "open", name, 0, 0)?;
        let file = match (state.folder.find(name), create) {
            (Some(file), Create::IfMissing | Create::Never) => file,
            (None, Create::Never) => return Err(Fault::Missing),
            (None, Create::IfMissing) if state.happens(fate) => state.folder.create(name),
            (None, Create::IfMissing) => return Err(Fault::Failed),
        };
        drop(state);
        fate.answer(OpenFile { disk, name: name.to_owned(), file, boot })
    }

    /// Opens a temporary file of nobody's disk: it works until it is closed.
    pub(crate) fn open_temporary() -> Result<OpenFile, Fault> {
        let disk = Self::new(0);
        let path = Self::full_path(&disk.store_path().to_string_lossy())?;
        Self::open(&path, Create::IfMissing)
    }

    /// Deletes a file; with `sync` that is durable afterwards.
    pub(crate) fn delete(path: &str, sync: bool) -> Result<(), Fault> {
        let (disk, boot, name) = Self::find(path)?;
        let mut state = disk.state();
        let fate = state.begin(boot, "delete", name, 0, 0)?;
        if state.folder.find(name).is_none() {
            return Err(Fault::Missing);
        }
        if state.happens(fate) {
            state.folder.delete(name);
            if sync && !state.sync_lies && state.happens(fate) {
                state.folder.sync_names();
            }
        }
        fate.answer(())
    }

    /// Returns whether there is such a file.
    pub(crate) fn exists(path: &str) -> Result<bool, Fault> {
        let (disk, boot, name) = Self::find(path)?;
        let mut state = disk.state();
        let fate = state.begin(boot, "exists", name, 0, 0)?;
        fate.answer(state.folder.find(name).is_some())
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

/// What to do when a file to open is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    IfMissing,
    Never,
}

/// An open file; dropping it closes it, which is no operation.
pub(crate) struct OpenFile {
    disk: Disk,
    name: String,
    file: u64,
    boot: u64,
}

impl OpenFile {
    /// Begins an operation, does `what` with the file and tells what came of it.
    fn operate<T>(
        &self,
        kind: &'static str,
        at: u64,
        length: u64,
        what: impl FnOnce(&mut State, Fate) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut state = self.disk.state();
        let fate = state.begin(self.boot, kind, &self.name, at, length)?;
        let result = what(&mut state, fate);
        state.note(match result {
            Ok(_) => "done",
            Err(Fault::Full) => "full",
            Err(Fault::Missing | Fault::Failed) => "failed",
        });
        fate.answer(result?)
    }

    /// Reads into `to` what the file has there and returns how much that was.
    pub(crate) fn read(&self, to: &mut [u8], at: u64) -> Result<usize, Fault> {
        self.operate("read", at, length_of(to), |state, _| {
            let bytes = state.file(self.file)?.bytes();
            let there = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let length = there.len().min(to.len());
            to[..length].copy_from_slice(&there[..length]);
            Ok(length)
        })
    }

    /// Writes `bytes`; a struck write gets the first few in, one on a full disk what fits.
    pub(crate) fn write(&self, bytes: &[u8], at: u64) -> Result<(), Fault> {
        self.operate("write", at, length_of(bytes), |state, fate| {
            let at = usize::try_from(at).map_err(|_| Fault::Full)?;
            let length = state.file(self.file)?.bytes().len();
            let most = (length + state.room_left()).saturating_sub(at);
            let fits = &bytes[..bytes.len().min(most)];
            let kept = match fate {
                Fate::Done => fits.len(),
                Fate::Struck => state.random.random_range(0..=fits.len()),
            };
            state.file(self.file)?.write(at, &fits[..kept]);
            if fits.len() < bytes.len() { Err(Fault::Full) } else { Ok(()) }
        })
    }

    /// Sets the length.
    pub(crate) fn truncate(&self, length: u64) -> Result<(), Fault> {
        self.operate("truncate", length, 0, |state, fate| {
            let length = usize::try_from(length).map_err(|_| Fault::Full)?;
            let held = state.file(self.file)?.bytes().len();
            if length.saturating_sub(held) > state.room_left() {
                return Err(Fault::Full);
            }
            if state.happens(fate) {
                state.file(self.file)?.resize(length);
            }
            Ok(())
        })
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        self.operate("sync", 0, 0, |state, fate| {
            if !state.sync_lies && state.happens(fate) {
                state.folder.sync(self.file);
            }
            Ok(())
        })
    }

    /// Returns the length.
    pub(crate) fn size(&self) -> Result<u64, Fault> {
        self.operate("size", 0, 0, |state, _| Ok(length_of(state.file(self.file)?.bytes())))
    }
}

impl State {
    /// Counts an operation and lets the disk die with it if its time has come.
    fn begin(&mut self, boot: u64, kind: &'static str, name: &str, at: u64, length: u64) -> Result<Fate, Fault> {
        if self.dead || boot != self.boot {
            return Err(Fault::Failed);
        }
        self.dead = self.fails_at == Some(self.operations);
        self.operations += 1;
        self.note(kind);
        self.note(name);
        self.note(at.to_be_bytes());
        self.note(length.to_be_bytes());
        if self.dead {
            self.note("struck");
        }
        Ok(if self.dead { Fate::Struck } else { Fate::Done })
    }

    /// Whether an effect without parts takes place: always, or as luck will have it when the power goes.
    fn happens(&mut self, fate: Fate) -> bool {
        match fate {
            Fate::Done => true,
            Fate::Struck => self.random.random_bool(0.5),
        }
    }

    fn file(&mut self, file: u64) -> Result<&mut folder::File, Fault> {
        self.folder.file(file).ok_or(Fault::Missing)
    }

    fn room_left(&self) -> usize {
        let room = self.room.and_then(|room| usize::try_from(room).ok()).unwrap_or(DISK_BYTES_MAX);
        room.min(DISK_BYTES_MAX).saturating_sub(self.folder.bytes())
    }

    fn restart(&mut self, why: &'static str) {
        self.boot += 1;
        self.dead = false;
        self.fails_at = None;
        self.note(why);
    }

    /// Adds to the trace (FNV-1a).
    fn note(&mut self, what: impl AsRef<[u8]>) {
        for byte in what.as_ref().iter().chain([&0xff]) {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
