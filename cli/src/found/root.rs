//! `comity root new`: a nation's offline root key.

use std::path::{Path, PathBuf};

use comity_protocol::control::{ControlRecord, code_permitted};
use comity_protocol::ids::{RootKey, hex};
use comity_protocol::keys::SecretKey;
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::file::{self, FileKind};
use super::log::{self, SignerLog};
use crate::failure::Failure;
use crate::output::Output;

/// Offline root keys.
#[derive(clap::Subcommand, Debug)]
pub enum RootCommand {
    /// Make a nation's root key; keep the file offline, it signs rosters and votes.
    New {
        /// The nation's code, for example UKR: 3 to 8 characters of A–Z and 0–9.
        code: String,
        /// Where to write the secret key file (mode 0600); the log of what it signs is written beside it, with .log.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show what a root key has signed, by its log.
    Log {
        /// The root key file.
        root: PathBuf,
        /// The log [default: the key file's name with .log].
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
    },
}

/// What a root key has signed.
#[derive(Serialize, ToSchema)]
pub struct RootLog {
    /// The root's public key.
    root: String,
    /// The charter version from which on no vote is missing; `null` for a log that replaces a lost one, until it is used.
    complete_from: Option<u32>,
    /// In the order of signing.
    entries: Vec<RootLogEntry>,
}

/// One record that a root key signed.
#[derive(Serialize, ToSchema)]
pub struct RootLogEntry {
    /// `roster` or `vote`.
    kind: &'static str,
    /// Its id.
    record: String,
    /// What it is, in words.
    words: String,
    /// Why it was signed although another one of its version had been.
    remark: Option<String>,
}

/// A nation's new root key.
#[derive(Serialize, ToSchema)]
pub struct NewRoot {
    /// The nation's code.
    code: String,
    /// The root's public key.
    root: String,
    /// The file that holds the secret key.
    file: String,
    /// The log of what it will sign, to be kept beside it.
    log: String,
}

/// Runs a `root` command.
///
/// # Errors
/// [`Failure`]; no file is left behind.
pub fn run(command: &RootCommand, output: &Output) -> Result<(), Failure> {
    match command {
        RootCommand::New { code, out } => new(code, out, output),
        RootCommand::Log { root, log } => show_log(root, log.as_deref(), output),
    }
}

fn show_log(root: &Path, log: Option<&Path>, output: &Output) -> Result<(), Failure> {
    let key: RootKey = load(root)?.public();
    let log = SignerLog::open(&log.map_or_else(|| log::beside(root), Path::to_owned), key)?;
    let entries = log.entries().iter().map(|entry| RootLogEntry {
        kind: match entry.record.record() {
            ControlRecord::Vote(..) => "vote",
            ControlRecord::Genesis(_) | ControlRecord::Motion(_) | ControlRecord::Roster(..) => "roster",
        },
        record: entry.record.id().hex(),
        words: log::in_words(entry.record.record()),
        remark: entry.remark.clone(),
    });
    let shown = RootLog { root: key.hex(), complete_from: log.complete_from(), entries: entries.collect() };
    output.result(&shown, || {
        let complete = match shown.complete_from {
            Some(0) => "complete".to_owned(),
            Some(height) => format!("complete for votes from charter version {height} on"),
            None => {
                "started after a loss; complete for votes from the version after the next charter file's on".to_owned()
            }
        };
        let mut text = format!("log of root {}: {complete}", shown.root);
        for entry in &shown.entries {
            text.push_str(&format!("\n  {}", entry.words));
            text.push_str(&entry.remark.as_deref().map(|remark| format!(" ({remark})")).unwrap_or_default());
        }
        text
    });
    Ok(())
}

fn new(code: &str, out: &Path, output: &Output) -> Result<(), Failure> {
    check_code(code)?;
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut())
        .map_err(|error| Failure::environment("cannot draw a random key").because(error.to_string()))?;
    let key = SecretKey::from_seed(&seed);
    let root: RootKey = key.public();
    let secret = Zeroizing::new(hex(seed.as_ref()));
    let log = log::beside(out);
    file::check_free(&log)?;
    file::write(out, FileKind::RootKey, &[("code", code), ("public", &root.hex()), ("secret", &secret)])?;
    SignerLog::create(&log, root, Some(0))?;
    let made = NewRoot {
        code: code.to_owned(),
        root: root.hex(),
        file: out.display().to_string(),
        log: log.display().to_string(),
    };
    output.result(&made, || {
        format!(
            "root key of {code}: {root}\nsecret in {} — keep it offline, and a copy in a safe\n\
             what it signs is noted in {}: keep it with the key",
            made.file, made.log
        )
    });
    Ok(())
}

/// Reads a root key file.
///
/// # Errors
/// [`Failure`]: exit code 4 for a file others can read, 2 for one that is no root key.
pub fn load(path: &Path) -> Result<SecretKey, Failure> {
    let (_, fields) = file::read(path, &[FileKind::RootKey])?;
    let key = SecretKey::from_seed(&*file::field_key(path, &fields, "secret")?);
    if key.public::<comity_protocol::ids::Root>().hex() != file::field(path, &fields, "public")? {
        return Err(Failure::usage(format!("{} is damaged", path.display()))
            .because("its public key does not belong to its secret key"));
    }
    Ok(key)
}

/// Reads a root public key.
///
/// # Errors
/// [`Failure`] with exit code 2.
pub fn parse_key(text: &str) -> Result<RootKey, Failure> {
    RootKey::from_hex(text).ok_or_else(|| {
        Failure::usage(format!("{text:?} is no root key"))
            .because("a root public key is 64 hexadecimal digits")
            .hint("`comity root new` prints it")
    })
}

/// Checks the form of a nation's code.
///
/// # Errors
/// [`Failure`] with exit code 2.
pub fn check_code(code: &str) -> Result<(), Failure> {
    if code_permitted(code) {
        return Ok(());
    }
    Err(Failure::usage(format!("{code:?} is not a nation code"))
        .because("a code is 3 to 8 characters of A–Z and 0–9")
        .hint("use the ISO 3166-1 alpha-3 code, for example POL"))
}
