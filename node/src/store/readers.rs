//! Two threads that read beside the writer, each with a connection that cannot write.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use comity_protocol::effect::Remembered;
use comity_protocol::ids::EnvelopeId;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{mpsc, oneshot};

use super::error::{OpenError, ReadError};
use super::load;
use super::schema::{self, Access};

/// Reader threads.
const READERS: usize = 2;
/// Reads that may wait for one thread; a caller waits when it is full.
const READS_MAX: usize = 64;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What a thread is told.
enum Job {
    /// To read, under this name.
    Read(&'static str, Read),
    /// To close its connection, and to say so.
    Close(oneshot::Sender<()>),
}

/// What a reader thread is doing, and since when; nothing while it waits.
type Doing = Option<(&'static str, Instant)>;

/// What each reader thread is doing.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Mutex<[Doing; READERS]>>);

impl Activity {
    /// Returns the read under way that began first, and how long ago.
    pub(super) fn oldest(&self) -> Option<(&'static str, Duration)> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().flatten().min_by_key(|(_, since)| *since).map(|(name, since)| (*name, since.elapsed()))
    }

    fn set(&self, thread: usize, doing: Option<&'static str>) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running[thread] = doing.map(|name| (name, Instant::now()));
    }
}

/// A handle for reading; the threads end with the last one.
#[derive(Clone, Debug)]
pub struct Reader {
    threads: [mpsc::Sender<Job>; READERS],
    next: Arc<AtomicUsize>,
    activity: Activity,
}

/// Sizes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Headers held.
    pub headers: u64,
    /// Bodies held.
    pub bodies: u64,
    /// Control records held.
    pub control: u64,
    /// Bytes of the file's pages in use, without its write-ahead log.
    pub used_bytes: u64,
}

impl Reader {
    pub(super) fn start(path: &Path, vfs: Option<&str>) -> Result<Self, OpenError> {
        let activity = Activity::default();
        let start = |thread: usize| {
            let connection = schema::open(path, Access::Read, vfs)?;
            let (sender, mut jobs) = mpsc::channel::<Job>(READS_MAX);
            let activity = activity.clone();
            std::thread::Builder::new()
                .name(format!("store-reader-{thread}"))
                .spawn(move || {
                    while let Some(job) = jobs.blocking_recv() {
                        match job {
                            Job::Read(name, read) => {
                                activity.set(thread, Some(name));
                                read(&connection);
                                activity.set(thread, None);
                            }
                            Job::Close(closed) => {
                                drop(connection);
                                // Whoever asked may be gone.
                                closed.send(()).unwrap_or_default();
                                return;
                            }
                        }
                    }
                })
                .map_err(|source| OpenError::Io { path: path.to_owned(), doing: "start a thread for", source })?;
            Ok(sender)
        };
        Ok(Self { threads: [start(0)?, start(1)?], next: Arc::default(), activity })
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Returns the answer that was given to a write with this idempotency key; a damaged row counts as none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn remembered(&self, key: String) -> Result<Option<Remembered>, ReadError> {
        self.read("idempotency key", move |connection| {
            let sql = "SELECT key, content, kind, id, version, check32 FROM idempotency WHERE key = ?1";
            let row =
                connection.prepare_cached(sql)?.query_row([key], |row| Ok(load::remembered_row(row))).optional()?;
            Ok(row.flatten())
        })
        .await
    }

    /// Returns the signed bytes of an envelope's header, and its body if that is held.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn envelope(&self, id: EnvelopeId) -> Result<Option<(Vec<u8>, Option<Vec<u8>>)>, ReadError> {
        self.read("envelope", move |connection| {
            let sql = "SELECT h.bytes, b.bytes FROM header h LEFT JOIN body b ON b.header_pos = h.pos WHERE h.id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .await
    }

    /// Returns how much is stored.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn stats(&self) -> Result<Stats, ReadError> {
        self.read("sizes", |connection| {
            let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
            let pages = count("PRAGMA page_count")?.saturating_sub(count("PRAGMA freelist_count")?);
            Ok(Stats {
                headers: count("SELECT count(*) FROM header")?,
                bodies: count("SELECT count(*) FROM body")?,
                control: count("SELECT count(*) FROM control")?,
                used_bytes: pages * schema::PAGE_BYTES,
            })
        })
        .await
    }

    /// Closes both connections; whoever still reads is answered first, later readers get [`ReadError::Closed`].
    ///
    /// The writer's connection can then be the last one, which is the one that takes the log away.
    pub(super) async fn close(&self) {
        for thread in &self.threads {
            let (closed, done) = oneshot::channel();
            if thread.send(Job::Close(closed)).await.is_ok() {
                // An error means the thread has ended already.
                done.await.unwrap_or_default();
            }
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        name: &'static str,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (answer, answered) = oneshot::channel();
        let job: Read = Box::new(move |connection| {
            // Whoever asked may be gone.
            drop(answer.send(job(connection)));
        });
        let thread = self.next.fetch_add(1, Ordering::Relaxed) % READERS;
        self.threads[thread].send(Job::Read(name, job)).await.map_err(|_| ReadError::Closed)?;
        Ok(answered.await.map_err(|_| ReadError::Closed)??)
    }
}
