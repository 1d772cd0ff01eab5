//! The corpus of the fuzz targets, replayed on every test run: the files as they are, and seeded mutations of each.
//!
//! `COMITY_SEED` gives other mutations, `COMITY_CASES` more of them. `SNAPSHOTS=overwrite` writes the files that generators
//! make (`made-*`); the others were found by the fuzzer, and stay.

mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use comity_tests::fuzz::{TARGETS, Target};
use comity_tests::random::{Random, seeds as for_seeds};
use comity_tests::workspace;

/// Mutations of one file for each seed.
const MUTATIONS: usize = 8;
/// Files of one target, and bytes of all files.
const FILES_MAX: usize = 80;
const BYTES_MAX: usize = 300_000;

fn folder(target: &str) -> PathBuf {
    workspace().join("fuzz/corpus").join(target)
}

/// Every file of a target's corpus by name.
fn files(target: &str) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder(target)) else { return BTreeMap::new() };
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).expect("ASCII names").to_owned();
    paths.map(|path| (name(&path), fs::read(&path).expect("a readable file"))).collect()
}

/// Runs a target and names the input that broke it; what is not a file is printed whole.
fn broken((target, run): Target, name: &str, bytes: &[u8]) -> Option<String> {
    catch_unwind(|| run(bytes)).err().map(|_| format!("{target}/{name}: {}", comity_protocol::ids::hex(bytes)))
}

#[test]
fn every_file_of_the_corpus_does_no_harm() {
    let mut found = Vec::new();
    for target in TARGETS {
        for (name, bytes) in files(target.0) {
            found.extend(broken(target, &name, &bytes));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn mutations_of_the_corpus_do_no_harm() {
    let corpora: Vec<(Target, BTreeMap<String, Vec<u8>>)> =
        TARGETS.into_iter().map(|target| (target, files(target.0))).collect();
    for_seeds(1, |seed| {
        let mut random = Random::new(seed);
        let mut found = Vec::new();
        for (target, files) in &corpora {
            let all: Vec<&Vec<u8>> = files.values().collect();
            for (name, bytes) in files {
                for number in 0..MUTATIONS {
                    let mutated = mutated(&mut random, bytes, &all);
                    found.extend(broken(*target, &format!("{name}, seed {seed}, mutation {number}"), &mutated));
                }
            }
        }
        assert!(found.is_empty(), "{found:#?}");
    });
}

/// Changes one to four places; the first byte, which says how the rest is meant, seldom.
fn mutated(random: &mut Random, bytes: &[u8], all: &[&Vec<u8>]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let first = usize::from(bytes.len() > 1 && !random.one_in(20));
        let at = first + random.below(bytes.len().saturating_sub(first));
        if at >= bytes.len() {
            bytes.push(random.byte());
            continue;
        }
        match random.below(6) {
            0 => bytes[at] = random.byte(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.insert(at, random.byte()),
            3 => drop(bytes.remove(at)),
            4 => bytes.truncate(at.max(1)),
            _ => {
                let other = *random.pick(all);
                let from = random.below(other.len());
                let part = other.get(from..(from + 1 + random.below(32)).min(other.len())).unwrap_or_default();
                bytes.splice(at..at, part.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn the_corpus_is_small_and_what_generators_make_of_it_is_current() {
    let mut bytes = 0;
    for (target, _) in TARGETS {
        let made = seeds::of(target);
        if std::env::var("SNAPSHOTS").is_ok_and(|mode| mode == "overwrite") {
            write(target, &made);
        }
        let held = files(target);
        let named = held.iter().filter(|(name, _)| name.starts_with("made-"));
        let named: BTreeMap<_, _> = named.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&named), names(&made), "{target}");
        for (name, bytes) in &made {
            assert!(named.get(name) == Some(bytes), "{target}/{name} is another; SNAPSHOTS=overwrite writes it");
        }
        assert!(held.len() <= FILES_MAX, "{target} has {} files", held.len());
        bytes += held.values().map(Vec::len).sum::<usize>();
    }
    assert!(bytes <= BYTES_MAX, "{bytes} bytes in all");
}

fn write(target: &str, made: &BTreeMap<String, Vec<u8>>) {
    fs::create_dir_all(folder(target)).expect("the folder of the corpus");
    for name in files(target).keys().filter(|name| name.starts_with("made-")) {
        fs::remove_file(folder(target).join(name)).expect("a file of the corpus");
    }
    for (name, bytes) in made {
        fs::write(folder(target).join(name), bytes).expect("a file of the corpus");
    }
}

#[test]
fn every_target_is_a_fuzz_target_and_calls_its_body() {
    let manifest = fs::read_to_string(workspace().join("fuzz/Cargo.toml")).expect("the package of the targets");
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for (target, _) in TARGETS {
        let path = workspace().join("fuzz/fuzz_targets").join(format!("{target}.rs"));
        let text = fs::read_to_string(&path).expect("a target");
        let call = format!("fuzz_target!(|bytes: &[u8]| comity_tests::fuzz::{target}::run(bytes));");
        assert!(text.contains(&call), "{}", path.display());
        assert!(manifest.contains(&format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"")), "{target}");
    }
}
