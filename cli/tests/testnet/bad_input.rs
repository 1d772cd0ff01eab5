//! What cannot be run is refused before anything starts.

use tempfile::TempDir;

use crate::run::testnet;

#[test]
fn a_bad_scenario_is_named_by_line_and_key() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("bad.toml");
    std::fs::write(&path, "name = \"bad\"\nseed = 1\nas_of = 1\nsurprise = true\n").expect("a file");
    testnet(&["exercise", path.to_str().expect("a plain path")])
        .fails(2, &["bad.toml, line 4, key surprise: unknown field `surprise`"]);
    testnet(&["exercise", "no-such-scenario"]).fails(2, &["no scenario no-such-scenario", "largest-donor-leaves"]);
    testnet(&["exercise", "--nations", "UKR,xyz"]).fails(2, &["xyz is no nation code"]);
    testnet(&["exercise", "--nations", "POL,DEU,USA"]).fails(2, &["UKR is a recipient and must take part"]);
}

#[test]
fn a_bad_data_folder_is_refused_with_its_reason() {
    let dir = TempDir::new().expect("a folder");
    let data = dir.path().to_str().expect("a plain path");
    testnet(&["exercise", "--data", "/nonexistent"]).fails(2, &["cannot read /nonexistent/items.csv", "cause: "]);
    testnet(&["exercise", "--data", data]).fails(2, &["items.csv"]);
    std::fs::write(dir.path().join("items.csv"), "ID,countries\nA,Poland\n").expect("a file");
    testnet(&["exercise", "--data", data]).fails(2, &["has no column", "\"No. of Units\""]);
    testnet(&["exercise", "three-nations", "--data", data]).fails(2, &["--data"]);
}

#[test]
fn what_cannot_start_is_the_environments_fault() {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    let file = file.to_str().expect("a plain path");
    testnet(&["exercise", "three-nations", "--dir", file]).fails(4, &["cannot use", "cause: "]);
    let dir = dir.path().to_str().expect("a plain path");
    testnet(&["exercise", "three-nations", "--dir", dir]).fails(2, &["is not empty", "hint: "]);
    testnet(&["down", "--dir", dir]).fails(2, &["there is no testnet in", "hint: "]);
}
