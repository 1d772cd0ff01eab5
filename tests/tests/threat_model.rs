//! docs/threat-model.md against the tests: every threat has one row, and what a row names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use comity_tests::{sources, workspace};

const THREATS: usize = 80;

/// What an open part may wait for.
const LATER: [&str; 5] = ["part 2", "part 3", "part 4", "part 5", "compartments"];

/// One row of a table: the number, and the four cells behind it.
struct Row {
    threat: usize,
    attack: String,
    behaviour: String,
    shown_by: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(workspace().join("docs/threat-model.md")).expect("the threat model is committed");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| T")?.strip_suffix('|')?.split('|').map(|cell| cell.trim().to_owned());
        let threat = cells.next()?.parse().expect("a threat has a number");
        let [attack, behaviour, shown_by] = std::array::from_fn(|_| cells.next().unwrap_or_default());
        assert_eq!(cells.next(), None, "T{threat} has more cells than its table");
        Some(Row { threat, attack, behaviour, shown_by })
    };
    text.lines().filter_map(row).collect()
}

/// What stands between backticks and has a `::`: file and function.
fn tests_named(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|named| named.split_once("::")).collect()
}

/// The functions of a source file that carry `#[test]` or `#[tokio::test]`, those inside `proptest!` included.
fn tests_of(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, name)) = line.split_once("fn ").filter(|_| marked) {
            found.extend(name.split(['(', '<']).next().map(str::to_owned));
            marked = false;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            marked = false;
        }
    }
    found
}

#[test]
fn every_threat_has_one_row_with_a_test_or_what_it_waits_for() {
    let rows = rows();
    let threats: Vec<usize> = rows.iter().map(|row| row.threat).collect();
    assert_eq!(threats, (1..=THREATS).collect::<Vec<_>>());
    for Row { threat, attack, behaviour, shown_by } in rows {
        assert!(!attack.is_empty() && !behaviour.is_empty(), "T{threat} has an empty cell");
        let open: Vec<&str> = shown_by.split("**open**").skip(1).collect();
        assert!(!tests_named(&shown_by).is_empty() || !open.is_empty(), "T{threat} has no test and is not open");
        for part in open {
            let part = part.split(';').next().unwrap_or_default();
            assert!(part.starts_with(": "), "T{threat}: an open part says what is open: {part}");
            assert!(LATER.iter().any(|later| part.ends_with(later)), "T{threat} waits for nothing we know: {part}");
        }
    }
}

#[test]
fn every_test_the_threat_model_names_exists() {
    let text = fs::read_to_string(workspace().join("docs/threat-model.md")).expect("the threat model is committed");
    let named = tests_named(&text);
    assert!(named.len() > 100, "the tests were not found: {}", named.len());
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in ["protocol", "node", "testnet", "cli", "tests"] {
        for (path, text) in sources(&workspace().join(folder)) {
            let path = path.strip_prefix(workspace()).expect("below the workspace");
            files.insert(path.to_string_lossy().into_owned(), tests_of(&text));
        }
    }
    let missing: Vec<_> =
        named.iter().filter(|(file, name)| files.get(*file).is_none_or(|tests| !tests.contains(*name))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_test_is_told_from_another_function() {
    let text = "#[test]\n#[cfg(unix)]\n// why\nfn one() {}\nfn two() {}\n#[tokio::test(start_paused = true)]\nasync fn three() {}\n#[test]\nconst X: u8 = 0;\nfn four() {}\n";
    assert_eq!(tests_of(text).into_iter().collect::<Vec<_>>(), ["one", "three"]);
    assert_eq!(tests_named("see `a.rs::b`, `c` and `d/e.rs::f`"), [("a.rs", "b"), ("d/e.rs", "f")]);
}
