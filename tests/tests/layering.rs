//! The shape of the workspace (DESIGN section 2), checked from its manifests, its dependency tree and its sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use comity_tests::{product_lines, product_sources, sources, workspace};

const CRATES: [&str; 5] = ["protocol", "node", "testnet", "cli", "tests"];

fn manifest(folder: &str) -> String {
    fs::read_to_string(workspace().join(folder).join("Cargo.toml")).expect("every crate has a manifest")
}

/// Dependencies of `package` in normal builds, by name, down to `depth`.
fn tree(package: &str, depth: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", package, "-e", "normal", "--prefix", "none", "--depth", depth])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .expect("cargo prints UTF-8")
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

/// Whether `line` names `word`, with no identifier character before it, nor after it where the word ends in one.
fn names(line: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        !(inside(line[..at].chars().next_back()) || word.ends_with(char::is_alphanumeric) && inside(after))
    })
}

#[test]
fn the_core_depends_on_nothing_that_acts() {
    let direct = tree("comity-protocol", "1");
    let allowed: BTreeSet<String> =
        ["automerge", "ed25519-dalek", "jiff", "petgraph", "serde", "sha2", "thiserror", "zeroize", "zstd"]
            .map(str::to_owned)
            .into();
    assert!(direct.is_subset(&allowed), "new dependencies of the core: {:?}", direct.difference(&allowed));
    let all = tree("comity-protocol", "99");
    for acting in ["tokio", "mio", "libp2p", "rusqlite", "hyper", "axum", "socket2", "rustix"] {
        assert!(!all.contains(acting), "the core pulls in {acting}");
    }
}

#[test]
fn the_core_names_no_clock_file_socket_thread_environment_or_randomness() {
    let denied = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
        // The trait `Read` alone reads from memory.
        "std::io::stdin",
        "std::io::stdout",
        "std::io::stderr",
        "stdin()",
        "std::os",
        "SystemTime",
        "Instant",
        "HashMap",
        "HashSet",
        "getrandom",
        "rand::",
        "tokio",
        "libp2p",
        "async",
        "Mutex",
        "RwLock",
        "static mut",
        "thread_local",
        "f32",
        "f64",
    ];
    let mut found = Vec::new();
    for (path, text) in product_sources(&workspace().join("protocol/src")) {
        for (number, line) in product_lines(&text) {
            found.extend(
                denied
                    .iter()
                    .filter(|word| names(line, word))
                    .map(|word| format!("{}:{number}: {word}", path.display())),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_module_of_the_core_uses_only_what_stands_above_it() {
    let root = workspace().join("protocol/src");
    let lib = fs::read_to_string(root.join("lib.rs")).expect("the core has a root");
    let order: Vec<&str> =
        lib.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(order.len() > 8, "the order was not found: {order:?}");
    let mut found = Vec::new();
    for (path, text) in product_sources(&root) {
        let relative = path.strip_prefix(&root).expect("below the root");
        let first = relative.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
        let module = first.trim_end_matches(".rs");
        let Some(position) = order.iter().position(|name| *name == module) else {
            assert_eq!(module, "lib", "{} stands in no module of lib.rs", path.display());
            continue;
        };
        for (number, line) in product_lines(&text) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if order.iter().position(|name| *name == used).is_some_and(|at| at > position) {
                    found.push(format!("{}:{number}: {module} uses {used}, which stands below it", path.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What the guard lets through and its library still fails on (T59) can then stop nobody's daemon, now or after a restart.
#[test]
fn no_daemon_code_builds_a_document() {
    assert!(!tree("comity-node", "1").contains("automerge"), "the node uses the change library itself");
    let mut found = Vec::new();
    for (path, text) in product_sources(&workspace().join("node/src")) {
        for (number, line) in product_lines(&text) {
            if [".document(", ".document_as_of("].iter().any(|call| line.contains(call)) {
                found.push(format!("{}:{number}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    let ours = |folder: &str| -> BTreeSet<String> {
        let text = manifest(folder);
        let normal = text.split("[dev-dependencies]").next().unwrap_or_default();
        let named = normal.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        named.filter(|name| name.starts_with("comity-")).map(str::to_owned).collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ours("protocol"), set(&[]));
    assert_eq!(ours("node"), set(&["comity-protocol"]));
    assert_eq!(ours("testnet"), set(&["comity-protocol", "comity-node"]));
    assert_eq!(ours("cli"), set(&["comity-protocol", "comity-node", "comity-testnet"]));
    // The bodies of the fuzz targets are functions of the tests' library; nothing of the product depends on that.
    assert_eq!(ours("tests"), set(&["comity-protocol", "comity-testnet"]));
    for folder in ["protocol", "node", "testnet", "cli"] {
        assert!(!manifest(folder).contains("comity-tests"), "{folder} depends on the tests");
    }
}

#[test]
fn there_is_one_binary_and_no_feature_of_our_own() {
    assert_eq!(CRATES.iter().map(|folder| manifest(folder).matches("[[bin]]").count()).sum::<usize>(), 1);
    for folder in CRATES {
        assert!(!manifest(folder).contains("[features]"), "{folder} has cargo features");
        let main = workspace().join(folder).join("src/main.rs");
        assert_eq!(main.exists(), folder == "cli", "{}", main.display());
        assert!(!workspace().join(folder).join("src/bin").exists(), "{folder} has further binaries");
    }
}

#[test]
fn the_laboratory_sees_the_node_from_outside() {
    let mut found = Vec::new();
    for (path, text) in sources(&workspace().join("testnet/src")) {
        for (number, line) in product_lines(&text) {
            for used in line.split("comity_node").skip(1) {
                // The store, for a dead node's home and for simulated disks, and the socket client, which any outside program could be.
                if !used.starts_with("::store") && !used.starts_with("::client") {
                    found.push(format!("{}:{number}: comity_node{used}", path.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_product_never_breaks_a_rule() {
    for folder in ["node/src", "cli/src"] {
        for (path, text) in sources(&workspace().join(folder)) {
            for (number, line) in text.lines().enumerate() {
                for word in ["Rules::broken", "Rule::", "rules::Rule", "rules::{", "State::under"] {
                    assert!(!names(line, word), "{}:{}: names {word}", path.display(), number + 1);
                }
            }
        }
    }
}

#[test]
fn unsafe_code_is_denied_and_one_file_may_ever_relax_it() {
    assert!(manifest("").contains("unsafe_code = \"deny\""));
    let allowed = workspace().join("testnet/src/vfs.rs");
    for folder in CRATES {
        assert!(manifest(folder).contains("[lints]\nworkspace = true"), "{folder} does not take the workspace's lints");
        for (path, text) in sources(&workspace().join(folder)) {
            let relaxes = text.lines().any(|line| {
                let line = line.replace(' ', "");
                line.starts_with('#') && line.contains("unsafe_code") && !line.contains("deny")
            });
            assert!(!relaxes || path == allowed, "{} relaxes unsafe_code", path.display());
        }
    }
}

#[test]
fn files_fit_a_head_and_nothing_is_left_undone() {
    let this = Path::new(file!()).file_name().expect("a file");
    let mut found = Vec::new();
    for folder in CRATES {
        for (path, text) in sources(&workspace().join(folder)) {
            let lines = text.lines().count();
            if lines > 800 {
                found.push(format!("{} has {lines} lines: split what is more than one idea", path.display()));
            }
            if path.file_name() != Some(this) {
                let undone = ["todo!(", "unimplemented!(", "#[ignore", "thread::sleep"];
                found.extend(
                    undone
                        .iter()
                        .filter(|word| text.contains(*word))
                        .map(|word| format!("{} has {word}", path.display())),
                );
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
