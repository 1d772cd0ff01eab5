//! `comity root new`: a nation's offline root key.

use std::path::{Path, PathBuf};

use comity_protocol::control::code_permitted;
use comity_protocol::ids::{RootKey, hex};
use comity_protocol::keys::SecretKey;
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::file::{self, FileKind};
use crate::failure::Failure;
use crate::output::Output;

/// Offline root keys.
#[derive(clap::Subcommand, Debug)]
pub enum RootCommand {
    /// Make a nation's root key; keep the file offline, it signs rosters and votes.
    New {
        /// The nation's code, for example UKR: 3 to 8 characters of A–Z and 0–9.
        code: String,
        /// Where to write the secret key file (mode 0600).
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
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
}

/// Runs a `root` command.
///
/// # Errors
/// [`Failure`]; no file is left behind.
pub fn run(command: &RootCommand, output: &Output) -> Result<(), Failure> {
    let RootCommand::New { code, out } = command;
    check_code(code)?;
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut())
        .map_err(|error| Failure::environment("cannot draw a random key").because(error.to_string()))?;
    let key = SecretKey::from_seed(&seed);
    let root: RootKey = key.public();
    let secret = Zeroizing::new(hex(seed.as_ref()));
    file::write(out, FileKind::RootKey, &[("code", code), ("public", &root.hex()), ("secret", &secret)])?;
    output.result(&NewRoot { code: code.clone(), root: root.hex(), file: out.display().to_string() }, || {
        format!("root key of {code}: {root}\nsecret in {} — keep it offline, and a copy in a safe", out.display())
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
