//! Simulated alliances: one seed's story, many seeds' totals, and what does not fit.

use crate::run::testnet;
use crate::schema::Schema;

#[test]
fn a_seed_tells_its_story_and_its_replay() {
    let ran = testnet(&["sim", "--seed", "7"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in ["seed 7 profile everyday\n", " nations, ", " steps: ", "; every invariant held\n"] {
        assert!(ran.stdout.contains(part), "no {part:?} in {ran:?}");
    }
    let told = testnet(&["sim", "--seed", "7", "--trace"]);
    assert_eq!(told.stdout, testnet(&["sim", "--seed", "7", "--trace"]).stdout, "the same seed, the same bytes");
    assert!(told.stdout.ends_with(&ran.stdout) && told.stdout.lines().count() > 100, "{told:?}");
}

#[test]
fn what_is_left_out_of_a_plan_does_not_happen() {
    let args = ["sim", "--seed", "7", "--only", "3,7-9", "--without", "lies,weather", "--heal-at", "20000", "--json"];
    let run = testnet(&args).json(0);
    Schema::committed().check("testnet sim", &run);
    assert_eq!(run["steps"], 4, "{run:#}");
    let replay = "comity testnet sim --seed 7 --profile everyday --only 3,7-9 --without weather,lies --heal-at 20000";
    assert_eq!((&run["replay"], &run["violation"]), (&replay.into(), &serde_json::Value::Null));
    assert!(run["nations"].as_array().is_some_and(|nations| nations.iter().all(|of| of["lies"].is_null())));
    let whole = testnet(&["sim", "--seed", "7", "--trace", "--json"]).json(0);
    Schema::committed().check("testnet sim", &whole);
    assert!(whole["trace"].as_array().is_some_and(|lines| lines.len() > 100));
}

#[test]
fn many_seeds_are_counted_together() {
    let totals = testnet(&["sim", "--seeds", "10..13", "--json"]).json(0);
    Schema::committed().check("testnet sim", &totals);
    assert_eq!([&totals["seeds"], &totals["good"], &totals["failed"]], [3, 3, 0], "{totals:#}");
    assert_eq!(totals["interrupted"], false);
    let counted: Vec<u64> = (10..13)
        .map(|seed| testnet(&["sim", "--seed", &seed.to_string(), "--json"]).json(0))
        .map(|run| run["counts"]["inputs"].as_u64().expect("a count"))
        .collect();
    assert_eq!(totals["counts"]["inputs"], counted.iter().sum::<u64>());
    let text = testnet(&["sim", "--seeds", "10..11", "--shrink"]);
    assert!(text.stdout.starts_with("1 seeds of 10..11, profile everyday: 1 held, 0 failed\nsteps: "), "{text:?}");
    assert!(text.stdout.trim_end().ends_with(" seeds per minute"), "{text:?}");
}

#[test]
fn what_cannot_be_simulated_is_refused_with_a_hint() {
    let hints: [(&[&str], &[&str]); 8] = [
        (&["--seeds", "7..7"], &["cannot use --seeds", "cause: 7..7 is empty", "hint: "]),
        (&["--seeds", "7"], &["cause: 7 is no range of the form A..B", "hint: "]),
        (&["--seeds", "0..2", "--only", "3"], &["--only does not fit --seeds", "cause: ", "hint: "]),
        (&["--seeds", "0..2", "--trace"], &["--trace does not fit --seeds", "hint: "]),
        (&["--seed", "7", "--profile", "sunny"], &["there is no profile sunny", "everyday, network, disk"]),
        (&["--seed", "7", "--only", "3,999"], &["cannot use --only", "there is no step 999; the plan has ", "hint: "]),
        (&["--seed", "7", "--only", "x"], &["cause: \"x\" is no number"]),
        (&["--seed", "7", "--without", "rain"], &["rain is nothing that can be left out", "weather, skew, lies"]),
    ];
    for (args, parts) in hints {
        testnet(&[&["sim"], args].concat()).fails(2, parts);
    }
    testnet(&["sim"]).fails(2, &["--seed"]);
    testnet(&["sim", "--seed", "1", "--seeds", "0..2"]).fails(2, &["--seeds"]);
}

#[test]
fn an_interrupted_batch_prints_what_it_counted() {
    use std::process::Stdio;
    let mut command = crate::run::command();
    let args = ["testnet", "sim", "--seeds", "0..1000000", "--json"];
    let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let pid = rustix::process::Pid::from_child(&child);
    // Before it listens for the signal, the signal would end it.
    crate::run::until("it listens", || listens(child.id()).then_some(()));
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("our own child");
    crate::run::until("it ends", || child.try_wait().expect("our own child"));
    let output = child.wait_with_output().expect("our own child");
    let totals: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    Schema::committed().check("testnet sim", &totals);
    assert_eq!(totals["interrupted"], true, "{totals:#}");
}

/// Whether a process handles interrupts itself.
fn listens(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}
