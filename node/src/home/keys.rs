//! Key files: 64 hexadecimal digits and a newline, readable by their owner alone (spec 4.18).

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use comity_protocol::ids::{hex, unhex};
use curve25519_dalek::montgomery::MontgomeryPoint;
use zeroize::Zeroizing;

use super::{HomeError, write_new};
use crate::blame::Blame;

/// Digits and newline.
const FILE_BYTES: usize = 65;

/// A node's X25519 secret: others encrypt compartment keys to its public half; wiped when dropped, never printed.
#[derive(Clone)]
pub struct KemKey(Zeroizing<[u8; 32]>);

impl KemKey {
    /// Takes 32 secret bytes.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// Returns the public half, as a roster names it.
    pub fn public(&self) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(*self.0).to_bytes()
    }
}

impl std::fmt::Debug for KemKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KemKey(..)")
    }
}

/// Why a key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not there, or not readable.
    #[error("cannot read key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others may read or change it, or what is in its folder.
    #[error("{} has mode {mode:04o}, so others may have read or changed the key; {wanted:04o} is needed", path.display())]
    Mode {
        /// The file or its folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they must be.
        wanted: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}, this process runs as {user}", path.display())]
    Owner {
        /// The file or its folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// It holds something else.
    #[error("{} is not 64 hexadecimal digits and a newline", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl KeyError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        Blame::Environment
    }

    /// What the operator may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("is --home right? a lost key cannot be made again: enrol a new node".to_owned()),
            Self::Mode { path, wanted, .. } => Some(format!(
                "chmod {wanted:o} {}; if others had access to this machine, enrol a new key and retire this one",
                path.display()
            )),
            Self::Owner { path, user, .. } => {
                Some(format!("run the node as the user who owns its home, or chown {user} {}", path.display()))
            }
            Self::Content { .. } => Some("restore the file from where it was made, or enrol a new node".to_owned()),
        }
    }
}

/// Draws a secret from the operating system and writes it to a new file.
pub(super) fn draw(path: &Path) -> Result<Zeroizing<[u8; 32]>, HomeError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(HomeError::Entropy)?;
    let mut text = Zeroizing::new(hex(secret.as_slice()));
    text.push('\n');
    write_new(path, text.as_bytes(), 0o600)?;
    Ok(secret)
}

/// Loads a secret, after checking who may have read or changed it.
pub(super) fn load(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let read = |source| KeyError::Read { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    check(folder, &std::fs::metadata(folder).map_err(read)?, 0o700)?;
    // The opened file is checked, not its name, so that it cannot be exchanged in between.
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut file: File = std::fs::OpenOptions::new().read(true).custom_flags(nofollow).open(path).map_err(read)?;
    check(path, &file.metadata().map_err(read)?, 0o600)?;
    let mut text = Zeroizing::new([0; FILE_BYTES + 1]);
    let mut length = 0;
    while length < text.len() {
        match file.read(&mut text[length..]).map_err(read)? {
            0 => break,
            more => length += more,
        }
    }
    let content = || KeyError::Content { path: path.to_owned() };
    let digits = text[..length].strip_suffix(b"\n").ok_or_else(content)?;
    let secret = std::str::from_utf8(digits).ok().and_then(unhex).map(Zeroizing::new).ok_or_else(content)?;
    secret.as_slice().try_into().map(Zeroizing::new).map_err(|_| content())
}

/// Checks that `path` is ours and has no permission beyond `wanted`.
fn check(path: &Path, meta: &std::fs::Metadata, wanted: u32) -> Result<(), KeyError> {
    let (mode, user) = (meta.mode() & 0o7777, rustix::process::geteuid().as_raw());
    if meta.uid() != user {
        return Err(KeyError::Owner { path: path.to_owned(), owner: meta.uid(), user });
    }
    if mode & !wanted != 0 {
        return Err(KeyError::Mode { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}
