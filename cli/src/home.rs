//! Which home a command works on.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Returns the home named on the command line or in `COMITY_HOME`, else the default one.
///
/// # Errors
/// [`Failure`] with exit code 4 where the environment names no folder for data.
pub fn of(given: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(home) = given {
        return Ok(home.clone());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = data.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")));
    home.map(|data| data.join("comity")).ok_or_else(|| {
        Failure::environment("no home folder")
            .because("neither XDG_DATA_HOME nor HOME is set")
            .hint("name one with --home")
    })
}
