//! What nodes acknowledged, kept outside of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::elapsed_ms;
use crate::files::FileError;
use crate::wire::WriteAnswer;

/// One acknowledged write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Acknowledged {
    /// The nation whose node acknowledged it.
    pub(super) nation: String,
    /// The kind of statement.
    pub(super) kind: String,
    /// `CODE/kind/id`.
    pub(super) record: String,
    /// The version.
    pub(super) version: String,
    /// From the start of the run.
    pub(super) at_ms: u64,
}

impl Acknowledged {
    /// Returns `CODE/kind/id@version`.
    pub(super) fn pinned(&self) -> String {
        format!("{}@{}", self.record, self.version)
    }
}

/// Every acknowledged write of a run, in the order of arrival, also as lines of a file.
#[derive(Debug)]
pub(super) struct Ledger {
    began: Instant,
    inner: Mutex<Inner>,
    counts: watch::Sender<BTreeMap<String, u64>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    all: Vec<Acknowledged>,
}

impl Ledger {
    /// Opens a ledger that also writes to `path`.
    pub(super) fn create(path: &Path, began: Instant) -> Result<Self, FileError> {
        let file = File::create(path).map_err(|source| FileError::Write { path: path.to_owned(), source })?;
        let inner = Mutex::new(Inner { file, all: Vec::new() });
        Ok(Self { began, inner, counts: watch::Sender::new(BTreeMap::new()) })
    }

    /// Milliseconds since the start of the run.
    pub(super) fn now_ms(&self) -> u64 {
        elapsed_ms(self.began)
    }

    /// Notes an acknowledged write.
    pub(super) fn note(&self, nation: &str, kind: &str, answer: &WriteAnswer) {
        let entry = Acknowledged {
            nation: nation.to_owned(),
            kind: kind.to_owned(),
            record: answer.record.clone(),
            version: answer.version.clone(),
            at_ms: self.now_ms(),
        };
        {
            let mut inner = self.inner.lock().expect("no holder of the ledger panics");
            if let Ok(line) = serde_json::to_string(&entry) {
                // The file is for people who look later; what counts stays in memory.
                let _ = writeln!(inner.file, "{line}");
            }
            inner.all.push(entry);
        }
        self.counts.send_modify(|counts| *counts.entry(nation.to_owned()).or_default() += 1);
    }

    /// Returns everything acknowledged so far.
    pub(super) fn all(&self) -> Vec<Acknowledged> {
        self.inner.lock().expect("no holder of the ledger panics").all.clone()
    }

    /// Returns how many writes were acknowledged so far.
    pub(super) fn len(&self) -> u64 {
        self.counts.borrow().values().sum()
    }

    /// Returns how many writes of `nation` were acknowledged so far.
    pub(super) fn count(&self, nation: &str) -> u64 {
        self.counts.borrow().get(nation).copied().unwrap_or_default()
    }

    /// Returns the counts by nation, to wait on.
    pub(super) fn counts(&self) -> watch::Receiver<BTreeMap<String, u64>> {
        self.counts.subscribe()
    }

    /// Returns when the last write of `nation` was acknowledged.
    pub(super) fn last_ms(&self, nation: &str) -> Option<u64> {
        let inner = self.inner.lock().expect("no holder of the ledger panics");
        inner.all.iter().rev().find(|entry| entry.nation == nation).map(|entry| entry.at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_counts_by_nation_and_leaves_lines_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acknowledged.jsonl");
        let ledger = Ledger::create(&path, Instant::now()).unwrap();
        let answer =
            |id: &str| WriteAnswer { record: format!("POL/pledge/{id}"), version: "ab".repeat(32), replayed: false };
        ledger.note("POL", "pledge", &answer("1111111111"));
        ledger.note("POL", "pledge", &answer("2222222222"));
        ledger.note("UKR", "accept", &answer("3333333333"));
        assert_eq!((ledger.len(), ledger.count("POL"), ledger.count("USA")), (3, 2, 0));
        assert!(ledger.last_ms("UKR").is_some() && ledger.last_ms("USA").is_none());
        let lines = std::fs::read_to_string(path).unwrap();
        assert_eq!(lines.lines().count(), 3);
        assert!(lines.contains("\"record\":\"POL/pledge/2222222222\""));
        assert!(ledger.all()[2].pinned().starts_with("POL/pledge/3333333333@abab"));
    }
}
