//! A simulated home's sentinel: the daemon's own logic over a file of the simulated disk.

use comity_node::store::{Loaded, OwnHeld, Sentinel, SentinelWrite};
use comity_protocol::effect::SaveOp;
use comity_protocol::ids::AuthorId;

use super::disk::{Disk, Fault, OpenFile};

/// Shortest time between two syncs in the background.
const SYNC_EVERY_MS: u64 = 1_000;
/// More than a sentinel ever has.
const BYTES_MAX: usize = 2_048;

/// The open file with what it says.
pub(super) struct SimSentinel {
    sentinel: Sentinel,
    file: OpenFile,
    dirty: bool,
    synced_at: u64,
}

impl SimSentinel {
    /// Writes the sentinel of a new home.
    pub(super) fn found(disk: &Disk, me: AuthorId) {
        let file = disk.open_sentinel().expect("a sound disk takes a file");
        file.write(&Sentinel::fresh(me.key), 0).expect("a sound disk takes what is written");
    }

    /// Opens what the disk has and compares it with the store.
    pub(super) fn open(disk: &Disk, me: AuthorId, held: &OwnHeld, world_ms: u64) -> Result<Self, Fault> {
        let file = disk.open_sentinel()?;
        let mut bytes = vec![0; BYTES_MAX];
        let read = file.read(&mut bytes, 0)?;
        let mut sentinel = Sentinel::read(me, &bytes[..read]);
        let (_, write) = sentinel.judge(held);
        let mut opened = Self { sentinel, file, dirty: false, synced_at: world_ms };
        opened.write(write)?;
        Ok(opened)
    }

    /// Adds what it says to what was loaded.
    pub(super) fn tell(&self, loaded: &mut Loaded) {
        self.sentinel.tell(loaded);
    }

    /// Writes down what was committed.
    pub(super) fn committed(&mut self, ops: &[SaveOp]) -> Result<(), Fault> {
        let write = self.sentinel.committed(ops.iter());
        self.write(write)
    }

    fn write(&mut self, write: Option<SentinelWrite>) -> Result<(), Fault> {
        let Some(SentinelWrite { at, bytes, sync }) = write else { return Ok(()) };
        self.file.write(&bytes, at)?;
        self.dirty = !sync;
        if sync { self.file.sync() } else { Ok(()) }
    }

    /// Syncs in the background, at most once a second.
    pub(super) fn sync_if_due(&mut self, world_ms: u64) -> Result<(), Fault> {
        if !self.dirty || world_ms < self.synced_at + SYNC_EVERY_MS {
            return Ok(());
        }
        self.synced_at = world_ms;
        self.dirty = false;
        self.file.sync()
    }
}
