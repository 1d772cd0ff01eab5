//! What becomes of a corpus: each change is judged, what is admitted is held against Automerge, and everything is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use automerge::Automerge;
use comity_protocol::guard::{Prescan, VoidReason, prescan};
use comity_protocol::ids::AuthorKey;

use super::corpus::Ground;
use super::histories::{Made, apply};
use super::mirror::{assert_same, assert_sound, document, parse};

/// A change that takes longer, its comparison with Automerge included, hangs: usual are some milliseconds.
const HANG: Duration = Duration::from_secs(30);

/// The counts of a corpus.
#[derive(Debug)]
pub struct Tally {
    tried: u64,
    admitted: u64,
    void: BTreeMap<&'static str, u64>,
    encoder_panics: u64,
    panics: u64,
    wrong: u64,
    honest_tried: u64,
    honest_refused: u64,
    slowest: Duration,
    began: Instant,
    watch: Sender<Option<Vec<u8>>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            tried: 0,
            admitted: 0,
            void: BTreeMap::new(),
            encoder_panics: 0,
            panics: 0,
            wrong: 0,
            honest_tried: 0,
            honest_refused: 0,
            slowest: Duration::ZERO,
            began: Instant::now(),
            watch: watch(),
        }
    }
}

impl Tally {
    /// Judges a change that may be anything.
    pub fn hostile(&mut self, ground: &Ground, author: &AuthorKey, bytes: &[u8]) {
        self.tried += 1;
        match self.timed(ground, author, bytes) {
            Some(Ok(())) => self.admitted += 1,
            Some(Err(reason)) => *self.void.entry(reason.code()).or_default() += 1,
            None => {}
        }
    }

    /// Judges what honest nodes made; the changes of the document itself were admitted one by one when it was built.
    pub fn honest(&mut self, ground: &Ground) {
        self.honest_tried += u64::try_from(ground.made.len()).expect("fits");
        for Made { scan, bytes, .. } in &ground.next {
            self.honest_tried += 1;
            if let Some(Err(reason)) = self.timed(ground, &scan.actor.author(), bytes) {
                self.honest_refused += 1;
                println!("an honest change is void: {reason:?} {}", comity_protocol::ids::hex(bytes));
            }
        }
    }

    /// Counts a change that the library could not even encode.
    pub const fn not_encoded(&mut self) {
        self.encoder_panics += 1;
    }

    /// Reasons given so far, by how often.
    pub const fn void(&self) -> &BTreeMap<&'static str, u64> {
        &self.void
    }

    /// Changes admitted so far.
    pub const fn admitted(&self) -> u64 {
        self.admitted
    }

    /// Prints the counts and asserts that nothing did harm.
    pub fn finish(&self, corpus: &str) {
        println!("{corpus}: {self}");
        let parser_panics = self.void.get(VoidReason::ParserPanicked.code()).copied().unwrap_or(0);
        assert_eq!((self.panics, parser_panics), (0, 0), "{corpus}: the prescan stops what would panic");
        assert_eq!(self.wrong, 0, "{corpus}: what is admitted means the same in Automerge, saved and loaded too");
        assert_eq!(self.honest_refused, 0, "{corpus}: honest changes are admitted");
    }

    fn timed(&mut self, ground: &Ground, author: &AuthorKey, bytes: &[u8]) -> Option<Result<(), VoidReason>> {
        let start = Instant::now();
        self.watch.send(Some(bytes.to_vec())).expect("the watch stays");
        let verdict = catch_unwind(AssertUnwindSafe(|| verdict(ground, author, bytes)));
        let result = match verdict {
            Ok(Ok(scan)) => match catch_unwind(AssertUnwindSafe(|| compare(ground, &scan, bytes))) {
                Ok(()) => Some(Ok(())),
                Err(_) => {
                    self.wrong += 1;
                    None
                }
            },
            Ok(Err(reason)) => Some(Err(reason)),
            Err(_) => {
                self.panics += 1;
                None
            }
        };
        self.watch.send(None).expect("the watch stays");
        if result.is_none() {
            println!("harm was done by: {}", comity_protocol::ids::hex(bytes));
        }
        self.slowest = self.slowest.max(start.elapsed());
        result
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let void: u64 = self.void.values().sum();
        writeln!(f, "{} changes in {} s", self.tried, self.began.elapsed().as_secs())?;
        writeln!(f, "  admitted {}, void {void}, not encodable at all {}", self.admitted, self.encoder_panics)?;
        writeln!(f, "  panics {}, hangs 0, unloadable or different {}", self.panics, self.wrong)?;
        writeln!(f, "  honest changes {}, refused {}", self.honest_tried, self.honest_refused)?;
        writeln!(f, "  slowest {} ms", self.slowest.as_millis())?;
        self.void.iter().try_for_each(|(reason, count)| writeln!(f, "  void {reason} {count}"))
    }
}

/// Asks the guard; what it refuses must leave no trace.
///
/// # Errors
/// The reason.
pub fn verdict(ground: &Ground, author: &AuthorKey, bytes: &[u8]) -> Result<Prescan, VoidReason> {
    let scan = prescan(author, bytes)?;
    let mut guard = ground.guard.clone();
    match guard.admit(&scan, bytes) {
        Ok(_) => Ok(scan),
        Err(reason) => {
            assert!(guard.heads().eq(ground.guard.heads()), "a refused change leaves the index as it was");
            assert_eq!((guard.len(), guard.max_op()), (ground.guard.len(), ground.guard.max_op()));
            Err(reason)
        }
    }
}

/// Holds an admitted change against Automerge: it applies, the document saves, loads, and shows what the row table does,
/// whether the change came last or before everything it does not build on.
pub fn compare(ground: &Ground, scan: &Prescan, bytes: &[u8]) {
    let mut guard = ground.guard.clone();
    let writes = guard.admit(scan, bytes).expect("it was admitted just now");
    let mut table = ground.table.clone();
    apply(&mut table, scan, writes);
    let mut document = ground.document.clone();
    document.apply_changes([parse(bytes)]).expect("an admitted change applies");
    for document in [document, early(ground, scan, bytes)] {
        assert_same(&document, &table, &guard);
        assert_sound(&document, &table, &guard);
    }
}

/// The document as a replica builds it that receives the change before everything it does not build on.
fn early(ground: &Ground, scan: &Prescan, bytes: &[u8]) -> Automerge {
    let (mut order, mut missing) = (Vec::new(), scan.deps.iter().collect::<BTreeSet<_>>());
    if missing.is_empty() {
        order.push(vec![bytes]);
    }
    for made in &ground.made {
        order.push(vec![&*made.bytes]);
        if missing.remove(&made.scan.hash) && missing.is_empty() {
            order.push(vec![bytes]);
        }
    }
    document(order.into_iter())
}

/// Watches from outside: a hang cannot be counted by the thread that hangs, so it ends the process with the bytes at fault.
fn watch() -> Sender<Option<Vec<u8>>> {
    let (sender, receiver) = channel::<Option<Vec<u8>>>();
    std::thread::spawn(move || {
        while let Ok(started) = receiver.recv() {
            let Some(bytes) = started else { continue };
            if receiver.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
                println!("a change hangs: {}", comity_protocol::ids::hex(&bytes));
                std::process::abort();
            }
        }
    });
    sender
}
