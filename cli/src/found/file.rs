//! The small text files of the founding flow: one line saying what it is, then `name: value` lines.
//!
//! They travel by mail or stick between people, so they are readable, and anything unexpected in them is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use comity_protocol::ids::{hex, unhex};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Largest file of a single record: a genesis of 64 founders or a roster of 256 keys, in hexadecimal, with room.
const FILE_BYTES_MAX: u64 = 1_048_576;
/// Largest charter file and signer's log: some hundred thousand votes, or a thousand rosters of 256 keys.
const RECORDS_BYTES_MAX: u64 = 67_108_864;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A nation's root key; secret.
    RootKey,
    /// A genesis that nobody signed yet.
    GenesisDraft,
    /// One founder's signature over a draft.
    GenesisSignature,
    /// A genesis with all signatures.
    Genesis,
    /// A node's public keys, asking to be enrolled.
    NodeRequest,
    /// A roster that the root has not signed yet.
    RosterDraft,
    /// A signed roster.
    Roster,
    /// A motion; nobody signs it.
    Motion,
    /// A signed vote, and the motion it is for.
    Vote,
    /// Every control record that a node keeps, and what that node holds.
    Charter,
    /// What a root key has signed.
    SignerLog,
    /// Proof that a node said two things.
    ForkProof,
}

impl FileKind {
    const fn title(self) -> &'static str {
        match self {
            Self::RootKey => "comity root key 1",
            Self::GenesisDraft => "comity genesis draft 1",
            Self::GenesisSignature => "comity genesis signature 1",
            Self::Genesis => "comity genesis 1",
            Self::NodeRequest => "comity node request 1",
            Self::RosterDraft => "comity roster draft 1",
            Self::Roster => "comity roster 1",
            Self::Motion => "comity motion 1",
            Self::Vote => "comity vote 1",
            Self::Charter => "comity charter 1",
            Self::SignerLog => "comity signer log 1",
            Self::ForkProof => "comity fork proof 1",
        }
    }

    const fn secret(self) -> bool {
        matches!(self, Self::RootKey)
    }

    const fn bytes_max(self) -> u64 {
        match self {
            Self::Charter | Self::SignerLog => RECORDS_BYTES_MAX,
            Self::RootKey
            | Self::GenesisDraft
            | Self::GenesisSignature
            | Self::Genesis
            | Self::NodeRequest
            | Self::RosterDraft
            | Self::Roster
            | Self::Motion
            | Self::Vote
            | Self::ForkProof => FILE_BYTES_MAX,
        }
    }
}

/// A file's fields by name.
pub type FileFields = BTreeMap<String, Zeroizing<String>>;

/// Writes a new file; a secret one is readable by its owner only.
///
/// # Errors
/// [`Failure`] with exit code 4; an existing file is never overwritten.
pub fn write(path: &Path, kind: FileKind, fields: &[(&str, &str)]) -> Result<(), Failure> {
    let text = text(kind, fields);
    let mode = if kind.secret() { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| Failure::file("create", path, &error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| Failure::file("write", path, &error))
}

/// Returns what a file of `kind` with these fields says.
pub fn text(kind: FileKind, fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("{}\n", kind.title()));
    for (name, value) in fields {
        writeln!(text, "{name}: {value}").expect("writing to a string does not fail");
    }
    text
}

/// Checks, before something is done that cannot be undone, that nothing stands where a file is to be written.
///
/// # Errors
/// [`Failure`] with exit code 4.
pub fn check_free(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Failure::file("create", path, &std::io::ErrorKind::AlreadyExists.into())),
        Err(_) => Ok(()),
    }
}

/// Reads a file of one of `kinds`; a secret one is refused unless only its owner can read it.
///
/// # Errors
/// [`Failure`]: exit code 4 where the file cannot be read or is readable by others, 2 where it is something else.
pub fn read(path: &Path, kinds: &[FileKind]) -> Result<(FileKind, FileFields), Failure> {
    let file = fs::File::open(path).map_err(|error| Failure::file("open", path, &error))?;
    let bytes_max = kinds.iter().map(|kind| kind.bytes_max()).max().unwrap_or(FILE_BYTES_MAX);
    let mut text = Zeroizing::new(String::new());
    (&file).take(bytes_max + 1).read_to_string(&mut text).map_err(|error| Failure::file("read", path, &error))?;
    if text.len() as u64 > bytes_max {
        return Err(Failure::usage(format!("{} is too large", path.display()))
            .because(format!("a file of this kind has at most {bytes_max} bytes")));
    }
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let Some(kind) = kinds.iter().copied().find(|kind| kind.title() == title) else {
        let wanted: Vec<_> = kinds.iter().map(|kind| format!("\"{}\"", kind.title())).collect();
        return Err(Failure::usage(format!("{} is not the file that is needed here", path.display()))
            .because(format!("its first line is not {}", wanted.join(" or "))));
    };
    if kind.secret() {
        let mode = file.metadata().map_err(|error| Failure::file("inspect", path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Failure::environment(format!("{} can be read by others", path.display()))
                .because(format!("its mode is {:04o}", mode & 0o7777))
                .hint(format!("run: chmod 600 {}", path.display())));
        }
    }
    let mut fields = FileFields::new();
    for (number, line) in lines.enumerate() {
        let damaged = || Failure::usage(format!("{} is damaged in line {}", path.display(), number + 2));
        let (name, value) = line.split_once(": ").ok_or_else(damaged)?;
        if fields.insert(name.to_owned(), Zeroizing::new(value.to_owned())).is_some() {
            return Err(damaged().because(format!("{name} stands twice")));
        }
    }
    Ok((kind, fields))
}

/// Returns one field as text.
///
/// # Errors
/// [`Failure`] with exit code 2 where the file lacks it.
pub fn field<'a>(path: &Path, fields: &'a FileFields, name: &str) -> Result<&'a str, Failure> {
    fields
        .get(name)
        .map(|value| value.as_str())
        .ok_or_else(|| Failure::usage(format!("{} has no line \"{name}: …\"", path.display())))
}

/// Returns one field as the bytes its hexadecimal digits stand for.
///
/// # Errors
/// [`Failure`] with exit code 2 where the file lacks it or it is something else.
pub fn field_bytes(path: &Path, fields: &FileFields, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    unhex(field(path, fields, name)?)
        .map(Zeroizing::new)
        .ok_or_else(|| Failure::usage(format!("{}: \"{name}\" is not hexadecimal", path.display())))
}

/// Returns one field as exactly 32 bytes.
///
/// # Errors
/// As [`field_bytes`].
pub fn field_key(path: &Path, fields: &FileFields, name: &str) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let bytes = field_bytes(path, fields, name)?;
    <[u8; 32]>::try_from(bytes.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| Failure::usage(format!("{}: \"{name}\" is not 64 hexadecimal digits", path.display())))
}

/// Writes a record file: one field `record`, in hexadecimal.
///
/// # Errors
/// As [`write()`].
pub fn write_record(path: &Path, kind: FileKind, record: &[u8]) -> Result<(), Failure> {
    write(path, kind, &[("record", &hex(record))])
}

/// Reads the bytes of a record file of one of `kinds`.
///
/// # Errors
/// As [`read`] and [`field_bytes`].
pub fn read_record(path: &Path, kinds: &[FileKind]) -> Result<(FileKind, Vec<u8>), Failure> {
    let (kind, fields) = read(path, kinds)?;
    Ok((kind, field_bytes(path, &fields, "record")?.to_vec()))
}
