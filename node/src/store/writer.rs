//! The thread that writes: drains the queues into groups and answers after the commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_protocol::effect::SaveOp;
use comity_protocol::ids::AuthorId;
use tokio::sync::{mpsc, oneshot};

use super::damage::Findings;
use super::readers::Activity;
use super::{Database, Full, Lane, SaveError, Saved, SentinelFile, op_bytes};

/// Envelopes and other operations of one group of the live lane.
const LIVE_OPS_MAX: usize = 1_024;
/// Bytes of one group of the live lane.
const LIVE_BYTES_MAX: usize = 1 << 20;
/// Headers and bodies of 2,000 envelopes: a live write waits for one such transaction at most.
const CATCH_UP_OPS_MAX: usize = 4_000;
/// Bytes of one group of the catch-up lane.
const CATCH_UP_BYTES_MAX: usize = 8 << 20;
/// The log is emptied when nothing was saved for this long.
const IDLE: Duration = Duration::from_secs(1);
/// A write-ahead log above this is worth an alarm: some reader keeps it from being emptied.
const WAL_ALARM_BYTES: u64 = 256 << 20;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Save a request.
    Save(Request),
    /// Take note of what loading found.
    Findings(Findings),
    /// Change the bound on the file.
    SetBytesMax(Option<u64>, oneshot::Sender<Result<(), SaveError>>),
    /// Say what keeps from saving, if anything does.
    Full(oneshot::Sender<Result<Option<Full>, SaveError>>),
    /// Take the rows of an author for all there are.
    RebuildFrontier(AuthorId, oneshot::Sender<Result<(), SaveError>>),
}

/// A request and who waits for it.
pub(super) struct Request {
    pub(super) ops: Vec<SaveOp>,
    pub(super) answer: oneshot::Sender<Result<Saved, SaveError>>,
}

/// The thread's state.
pub(super) struct Writer {
    database: Database,
    sentinel: Option<Arc<Mutex<SentinelFile>>>,
    /// Why the sentinel cannot be written, if it cannot: nothing is saved any more then.
    silenced: Option<Arc<std::io::Error>>,
    live: mpsc::Receiver<Command>,
    catch_up: mpsc::Receiver<Command>,
    readers: Activity,
    log: Log,
}

/// What is known of the write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    /// Everything is in the file.
    Empty,
    /// Something was committed since it was emptied.
    Used,
    /// It has grown past the alarm, which was raised.
    Alarmed,
}

impl Writer {
    pub(super) const fn new(
        database: Database,
        sentinel: Option<Arc<Mutex<SentinelFile>>>,
        live: mpsc::Receiver<Command>,
        catch_up: mpsc::Receiver<Command>,
        readers: Activity,
    ) -> Self {
        // What a killed process left in the log is moved into the file in the first idle second.
        Self { database, sentinel, silenced: None, live, catch_up, readers, log: Log::Used }
    }

    /// Runs until every handle is gone and everything that waited is done.
    pub(super) fn run(mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime without sockets needs nothing that can fail").block_on(async {
            while let Some((lane, command)) = self.next().await {
                self.handle(lane, command);
            }
        });
        if self.log != Log::Empty {
            self.database.checkpoint();
        }
    }

    /// Returns the next command, live ones first; `None` when both queues are closed and empty.
    async fn next(&mut self) -> Option<(Lane, Command)> {
        loop {
            tokio::select! {
                biased;
                command = self.live.recv() => return match command {
                    Some(command) => Some((Lane::Live, command)),
                    // Both senders are gone, so this waits for nothing.
                    None => self.catch_up.recv().await.map(|command| (Lane::CatchUp, command)),
                },
                Some(command) = self.catch_up.recv() => return Some((Lane::CatchUp, command)),
                () = tokio::time::sleep(IDLE), if self.log != Log::Empty => {
                    if self.database.checkpoint() {
                        self.log = Log::Empty;
                    }
                }
            }
        }
    }

    fn handle(&mut self, lane: Lane, command: Command) {
        let mut next = Some(command);
        while let Some(command) = next.take() {
            match command {
                Command::Save(request) => next = self.save_group(lane, request),
                Command::Findings(findings) => self.database.set_findings(findings),
                Command::SetBytesMax(bytes_max, answer) => {
                    let result = self.database.set_bytes_max(bytes_max);
                    let result = result.map_err(|error| SaveError::Fatal(std::sync::Arc::new(error)));
                    // Whoever asked may be gone, here and below; the change stands.
                    answer.send(result).unwrap_or_default();
                }
                Command::Full(answer) => answer.send(self.database.full()).unwrap_or_default(),
                Command::RebuildFrontier(author, answer) => {
                    let result = self.database.rebuild_frontier(&author);
                    self.log = Log::Used;
                    answer.send(result).unwrap_or_default();
                }
            }
        }
    }

    /// Saves a request with all that wait behind it and fit; returns the command that ended the group, if one did.
    fn save_group(&mut self, lane: Lane, first: Request) -> Option<Command> {
        let (queue, ops_max, bytes_max) = match lane {
            Lane::Live => (&mut self.live, LIVE_OPS_MAX, LIVE_BYTES_MAX),
            Lane::CatchUp => (&mut self.catch_up, CATCH_UP_OPS_MAX, CATCH_UP_BYTES_MAX),
        };
        let weigh = |ops: &[SaveOp]| (ops.len(), ops.iter().map(op_bytes).sum::<usize>());
        let (mut count, mut bytes) = weigh(&first.ops);
        let (mut group, mut answers) = (vec![first.ops], vec![first.answer]);
        let mut ended_by = None;
        while count < ops_max && bytes < bytes_max {
            match queue.try_recv() {
                Ok(Command::Save(request)) => {
                    let (more, more_bytes) = weigh(&request.ops);
                    if lane == Lane::CatchUp && count + more > ops_max {
                        ended_by = Some(Command::Save(request));
                        break;
                    }
                    (count, bytes) = (count + more, bytes + more_bytes);
                    group.push(request.ops);
                    answers.push(request.answer);
                }
                Ok(other) => {
                    ended_by = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let results = self.save_and_mark(lane, &group);
        for (answer, result) in answers.into_iter().zip(results) {
            answer.send(result).unwrap_or_default();
        }
        self.watch_log();
        ended_by
    }

    /// Saves a group, then writes down what of it was signed here: only after both may anything of it leave the process.
    fn save_and_mark(&mut self, lane: Lane, group: &[Vec<SaveOp>]) -> Vec<Result<Saved, SaveError>> {
        let refused =
            |error: &Arc<std::io::Error>| group.iter().map(|_| Err(SaveError::Sentinel(Arc::clone(error)))).collect();
        if let Some(error) = &self.silenced {
            return refused(error);
        }
        let results = self.database.save(lane, group);
        let Some(sentinel) = &self.sentinel else { return results };
        let saved = group.iter().zip(&results).filter(|(_, result)| result.is_ok()).flat_map(|(ops, _)| ops);
        match sentinel.lock().unwrap_or_else(PoisonError::into_inner).committed(saved) {
            Ok(()) => results,
            Err(error) => refused(self.silenced.insert(Arc::new(error))),
        }
    }

    fn watch_log(&mut self) {
        let bytes = self.database.wal_bytes();
        if bytes <= WAL_ALARM_BYTES {
            self.log = Log::Used;
        } else if self.log != Log::Alarmed {
            self.log = Log::Alarmed;
            let (reader, since) = self.readers.oldest().unwrap_or(("another process", Duration::ZERO));
            tracing::warn!(bytes, reader, reading_for = ?since, "the write-ahead log grows, a reader keeps it from being emptied");
        }
    }
}
