//! The safe: every nation's root key, and the log of what it signed.

use std::collections::BTreeMap;
use std::path::Path;

use comity_protocol::charter::signer::SignerLog;
use comity_protocol::ids::{Root, RootKey, unhex};
use comity_protocol::keys::SecretKey;

use crate::files::read_text;
use crate::processes::TestnetError;

/// Every nation's root key in force, by code, and the log of what it signed.
#[derive(Debug, Default)]
pub(in crate::exercise) struct Safe {
    drawers: BTreeMap<String, Drawer>,
}

/// One nation's root keys.
pub(super) struct Drawer {
    /// The key it came with.
    pub(super) root: SecretKey,
    /// A new key, once a motion to replace the old one was drafted.
    pub(super) next: Option<SecretKey>,
    /// The votes that the nation's root signed.
    pub(super) log: SignerLog,
}

impl std::fmt::Debug for Drawer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawer").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Drawer {
    /// Returns the secret half of a root key that the charter names; `None` if it never lay here.
    pub(super) fn key(&self, root: &RootKey) -> Option<&SecretKey> {
        [Some(&self.root), self.next.as_ref()].into_iter().flatten().find(|key| key.public::<Root>() == *root)
    }
}

impl Safe {
    /// Puts a nation's root key into the safe; its log is complete from `height` on.
    /// # Errors
    /// [`TestnetError`] if the file holds no key.
    pub(in crate::exercise) fn put(&mut self, code: &str, file: &Path, height: u32) -> Result<(), TestnetError> {
        let (root, log) = (load(file)?, SignerLog::complete_from(height));
        self.drawers.insert(code.to_owned(), Drawer { root, next: None, log });
        Ok(())
    }

    /// Returns a nation's drawer; every nation of a scenario has one.
    pub(super) fn drawer(&mut self, code: &str) -> &mut Drawer {
        self.drawers.get_mut(code).expect("every nation's key was put into the safe")
    }
}

/// Reads a root key file, as `comity root new` writes it.
/// # Errors
/// [`TestnetError`] if it holds no key.
pub(super) fn load(path: &Path) -> Result<SecretKey, TestnetError> {
    let text = read_text(path)?;
    let secret = text.lines().find_map(|line| unhex(line.strip_prefix("secret: ")?));
    let seed: Option<[u8; 32]> = secret.and_then(|secret| secret.try_into().ok());
    seed.map(|seed| SecretKey::from_seed(&seed)).ok_or_else(|| TestnetError::Founding {
        command: "root new".to_owned(),
        said: format!("no root key in {}", path.display()),
    })
}
