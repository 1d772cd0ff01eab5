//! What the workspace's own tests share: where things are and what the sources say; the generators of the guard's corpora;
//! and the bodies of the fuzz targets, which are ordinary functions so that every test run replays their corpus.

pub mod fuzz;
pub mod guard;
pub mod random;

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate stands in the workspace").to_path_buf()
}

/// Returns every file below `folder` that ends in `.rs`, sorted, with its text.
pub fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// Returns the files of [`sources`] that hold code of the product: none of a `tests` module.
pub fn product_sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let is_test = |path: &Path| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        below.iter().any(|part| part == "tests" || part == "tests.rs")
    };
    sources(folder).into_iter().filter(|(path, _)| !is_test(path)).collect()
}

/// Returns the lines of a source file that are code of the product: no comments, and nothing from `#[cfg(test)]` on,
/// which by house style opens the last item of a file.
pub fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}
