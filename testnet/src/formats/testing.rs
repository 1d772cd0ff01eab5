//! What the tests of the readers share.

use std::path::{Path, PathBuf};

use super::{Found, RefusedRow, Row, Rows, Source};

/// A source that holds `text`.
pub fn written(text: &str) -> Source {
    Source::of_bytes(Path::new("x"), text.as_bytes()).expect("text")
}

/// Reads all rows of a file that can be read to its end.
pub fn read_all(rows: Rows) -> (Vec<Row>, Vec<RefusedRow>) {
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for found in rows {
        match found.expect("the file is read to its end") {
            Found::Row(row) => kept.push(row),
            Found::Refused(row) => refused.push(row),
        }
    }
    (kept, refused)
}

/// The folder of published data of this name, if it is beside the project.
pub fn published(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if folder.exists() {
        return Some(folder);
    }
    println!("skipped: no shared data beside the project");
    None
}
