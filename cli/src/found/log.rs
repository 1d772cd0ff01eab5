//! The signer's log: what a root key has signed, kept next to the key (spec 4.6 V6).
//!
//! It is what keeps an officer from signing twice where once is allowed: two rosters of one version, or votes that contradict
//! each other. Every change of it is on the disk before what was signed leaves the machine, and it is replaced as a whole, so
//! no crash leaves half an entry.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use comity_protocol::control::{ControlRecord, Roster, VerifiedControl, Vote, VoteStep};
use comity_protocol::ids::{CharterId, RootKey, hex, unhex};
use comity_protocol::keys::sha256;

use super::file::{self, FileKind};
use crate::failure::Failure;

/// Stands for the height of a log that replaces a lost one, as long as no charter file said it.
const UNKNOWN: &str = "unknown";

/// What a root key has signed.
#[derive(Debug)]
pub struct SignerLog {
    path: PathBuf,
    root: RootKey,
    complete_from: Option<u32>,
    entries: Vec<Entry>,
}

/// One record that was signed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record.
    pub record: VerifiedControl,
    /// Why it was signed although another one of its version had been.
    pub remark: Option<String>,
}

/// Returns where the log of a key lies unless it is named: beside the key.
pub fn beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".log");
    PathBuf::from(name)
}

/// Keeps other processes from signing with the same key file meanwhile.
///
/// # Errors
/// [`Failure`] with exit code 4.
pub fn lock(key: &Path) -> Result<File, Failure> {
    let file = File::open(key).map_err(|error| Failure::file("open", key, &error))?;
    file.try_lock().map_err(|error| {
        Failure::environment(format!("{} is in use", key.display()))
            .because(error.to_string())
            .hint("another comity is signing with it; try again when it is done")
    })?;
    Ok(file)
}

impl SignerLog {
    /// Starts the log of a key; it is complete from charter version `complete_from` on. Where it replaces a lost one and nobody
    /// knows at which version the alliance is, that is settled with the first charter file it is used with.
    ///
    /// # Errors
    /// [`Failure`] with exit code 4; a log that is there is never overwritten.
    pub fn create(path: &Path, root: RootKey, complete_from: Option<u32>) -> Result<Self, Failure> {
        let log = Self { path: path.to_owned(), root, complete_from, entries: Vec::new() };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| {
                file.write_all(log.text().as_bytes())?;
                file.sync_all()
            })
            .map_err(|error| Failure::file("create", path, &error))?;
        sync_folder(path)?;
        Ok(log)
    }

    /// Reads the log of a key.
    ///
    /// # Errors
    /// [`Failure`]: exit code 1 where it is missing or another key's (V6), 2 where it is damaged, 4 where it cannot be read.
    pub fn open(path: &Path, root: RootKey) -> Result<Self, Failure> {
        if !path.exists() {
            return Err(Failure::refused(format!("the signer's log {} is missing", path.display()))
                .because("V6: without it nobody knows what this root signed already, so it signs nothing")
                .hint(
                    "bring the log back from its backup, or name it with --log; --new-log starts one that lets the root \
                     vote from the next charter version on",
                ));
        }
        let (_, fields) = file::read(path, &[FileKind::SignerLog])?;
        let damaged = |why: &str| {
            Failure::usage(format!("the signer's log {} is damaged", path.display()))
                .because(why.to_owned())
                .hint("bring it back from its backup; do not edit it")
        };
        let owner = RootKey::new(*file::field_key(path, &fields, "root")?);
        if owner != root {
            return Err(Failure::refused(format!("{} is the log of another root key", path.display()))
                .because(format!("V6: it is of root {owner}, and the key is {root}"))
                .hint("name this key's own log with --log"));
        }
        let complete_from = file::field(path, &fields, "complete-from")?;
        let complete_from = match complete_from {
            UNKNOWN => None,
            number => Some(number.parse().map_err(|_| damaged("\"complete-from\" is no number"))?),
        };
        let mut entries = Vec::new();
        for (_, value) in fields.iter().filter(|(name, _)| name.starts_with("entry.")) {
            entries.push(read_entry(value, &root).ok_or_else(|| damaged("an entry cannot be read"))?);
        }
        let log = Self { path: path.to_owned(), root, complete_from, entries };
        if log.check() != file::field(path, &fields, "check")? {
            return Err(damaged("its entries are not those its last line was made for"));
        }
        Ok(log)
    }

    /// Everything signed, in the order of signing.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The charter height from which on no vote is missing in it; `None` until it is settled.
    pub const fn complete_from(&self) -> Option<u32> {
        self.complete_from
    }

    /// Settles that a log which replaces a lost one is complete from the version after `height` on (V6).
    ///
    /// # Errors
    /// [`Failure`] with exit code 4.
    pub fn settle(&mut self, height: u32) -> Result<u32, Failure> {
        if let Some(complete_from) = self.complete_from {
            return Ok(complete_from);
        }
        let next = height.saturating_add(1);
        self.complete_from = Some(next);
        self.replace()?;
        Ok(next)
    }

    /// Returns the rosters signed for one version of a generation.
    pub fn rosters_of(&self, root_gen: u16, version: u64) -> impl Iterator<Item = &Roster> {
        self.entries
            .iter()
            .filter_map(|entry| match entry.record.record() {
                ControlRecord::Roster(roster, _) => Some(roster),
                ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Vote(..) => None,
            })
            .filter(move |roster| roster.root_gen == root_gen && roster.version == version)
    }

    /// Returns the votes signed on one charter version, with their records.
    pub fn votes_on(&self, height: u32, base: CharterId) -> impl Iterator<Item = (&Vote, &ControlRecord)> {
        self.votes().filter(move |(vote, _)| vote.height == height && vote.base == base)
    }

    /// Returns every vote signed, with its record.
    pub fn votes(&self) -> impl Iterator<Item = (&Vote, &ControlRecord)> {
        self.entries.iter().filter_map(|entry| match entry.record.record() {
            ControlRecord::Vote(vote, _) => Some((vote, entry.record.record())),
            ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => None,
        })
    }

    /// Adds a record that was signed; when this returns, it is on the disk.
    ///
    /// # Errors
    /// [`Failure`] with exit code 4; the log is then as it was, and the record must not leave the machine.
    pub fn append(&mut self, record: VerifiedControl, remark: Option<String>) -> Result<(), Failure> {
        self.entries.push(Entry { record, remark });
        let saved = self.replace();
        if saved.is_err() {
            self.entries.pop();
        }
        saved
    }

    fn replace(&self) -> Result<(), Failure> {
        let mut next = self.path.as_os_str().to_owned();
        next.push(".next");
        let next = PathBuf::from(next);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .and_then(|mut file| {
                file.write_all(self.text().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&next, &self.path))
            .map_err(|error| Failure::file("write", &self.path, &error))?;
        sync_folder(&self.path)
    }

    fn fields(&self) -> Vec<(String, String)> {
        let mut fields = vec![
            ("root".to_owned(), self.root.hex()),
            (
                "complete-from".to_owned(),
                self.complete_from.map_or_else(|| UNKNOWN.to_owned(), |height| height.to_string()),
            ),
        ];
        fields.extend(self.entries.iter().enumerate().map(|(at, entry)| (format!("entry.{:06}", at + 1), line(entry))));
        fields
    }

    fn check(&self) -> String {
        hex(&sha256(plain(&self.fields()).as_bytes()))
    }

    fn text(&self) -> String {
        let mut fields = self.fields();
        fields.push(("check".to_owned(), self.check()));
        plain(&fields)
    }
}

fn plain(fields: &[(String, String)]) -> String {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    file::text(FileKind::SignerLog, &fields).to_string()
}

fn sync_folder(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Failure::file("write", path, &error))
}

/// An entry: the record, what it is in words, and a remark.
fn line(entry: &Entry) -> String {
    let record = hex(&[&[entry.record.record().kind()], entry.record.record().encode().as_slice()].concat());
    let remark = entry.remark.as_deref().map(|remark| format!(" | {remark}")).unwrap_or_default();
    format!("{record} | {}{remark}", in_words(entry.record.record()))
}

fn read_entry(line: &str, root: &RootKey) -> Option<Entry> {
    let mut parts = line.splitn(3, " | ");
    let bytes = unhex(parts.next()?)?;
    let (kind, bytes) = bytes.split_first()?;
    let record = ControlRecord::decode(*kind, bytes).ok()?.verify().ok()?;
    let signer = match record.record() {
        ControlRecord::Roster(roster, _) => roster.root,
        ControlRecord::Vote(vote, _) => vote.root,
        ControlRecord::Genesis(_) | ControlRecord::Motion(_) => return None,
    };
    parts.next()?;
    (signer == *root).then(|| Entry { record, remark: parts.next().map(str::to_owned) })
}

/// Returns what was signed as one line.
pub fn in_words(record: &ControlRecord) -> String {
    match record {
        ControlRecord::Roster(roster, _) => {
            format!("roster version {} of generation {}, id {}", roster.version, roster.root_gen, roster.id())
        }
        ControlRecord::Vote(vote, _) => format!(
            "{} of motion {} in round {} at charter version {}",
            match vote.step {
                VoteStep::Support => "support",
                VoteStep::Seal => "seal",
            },
            vote.motion,
            vote.round,
            vote.height
        ),
        ControlRecord::Genesis(signed) => format!("genesis of alliance {}", signed.genesis.alliance_id()),
        ControlRecord::Motion(motion) => format!("motion {}", motion.id()),
    }
}
