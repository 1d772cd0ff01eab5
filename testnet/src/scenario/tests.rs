use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

const SMALL: &str = include_str!("../../scenarios/three-nations.toml");

fn fails(text: &str) -> String {
    Scenario::parse("small.toml", text).unwrap_err().to_string()
}

#[test]
fn the_default_scenario_has_eight_nations_and_the_largest_donor_is_the_one_the_figures_say() {
    let scenario = Scenario::find(DEFAULT).unwrap();
    assert_eq!(scenario.codes(), ["UKR", "POL", "USA", "DEU", "GBR", "DNK", "NLD", "NOR"]);
    assert_eq!(scenario.largest_donor().as_deref(), Some("USA"));
    assert_eq!(scenario.as_of, 1);
    let kinds: BTreeSet<&str> = scenario.records.iter().map(|record| record.kind.as_str()).collect();
    assert!(
        ["requirement", "pledge", "accept", "hub", "shipment", "dispatch", "receipt"].iter().all(|k| kinds.contains(k))
    );
    let leave = Step::Leave { nation: Leaver::LargestDonor, acknowledged: 50 };
    assert!(scenario.timeline.contains(&leave));
}

#[test]
fn references_and_days_are_read_from_fields() {
    let scenario = Scenario::find(DEFAULT).unwrap();
    let shipment = scenario.records.iter().find(|record| record.key == "ship-usa-food").unwrap();
    assert_eq!(shipment.needs, ["bremerhaven", "dorohusk", "lviv", "usa-food"].map(str::to_owned).into());
    assert_eq!(shipment.fields["legs"][0]["eta"], serde_json::json!({ "days": 2 }));
}

#[test]
fn a_fault_is_named_by_line_and_key() {
    for (from, to, expected) in [
        ("seed = 3", "seed = \"x\"", "small.toml, line 6, key seed: "),
        ("seed = 3", "sead = 3", "small.toml, line 6, key sead: unknown field `sead`"),
        ("seed = 3", "seed = ", "small.toml, line 6, key seed: "),
        ("as_of = 1", "as_of = 9999", "small.toml, line 7, key as_of: 9999 where 0 to 3650 are possible"),
        ("role = \"recipient\"", "role = \"king\"", "small.toml, line 11, key role: king is none of donor, recipient"),
        ("code = \"POL\"", "code = \"pol\"", "key nation: pol is no nation code; a code is three capital letters"),
        ("code = \"POL\"", "code = \"UKR\"", "key nation: UKR stands there twice"),
        ("by = \"DEU\"", "by = \"FRA\"", "small.toml, line 24, key by: FRA is not among the nations"),
        ("pledge = \"@deu-blankets\"", "pledge = \"@x\"", "line 36, key pledge: @x names no earlier record"),
        ("quantity = 1000", "quantity = 1.5", "line 21, key quantity: a statement's field holds text"),
        ("step = \"heal\"", "step = \"sing\"", "line 58, key step: sing is none of write, burst, wait"),
        ("records = \"start\"", "records = \"stop\"", "line 45, key records: stop names no earlier record"),
        ("[[\"UKR\", \"POL\"], [\"DEU\"]]", "[[\"UKR\"], [\"DEU\"]]", "line 51, key sides: POL is on no side"),
        ("[[\"UKR\", \"POL\"], [\"DEU\"]]", "[[\"UKR\", \"POL\", \"DEU\"]]", "key sides: 1 where 2 to 3 are possible"),
        ("cut = \"reset\"", "cut = \"axe\"", "line 52, key cut: "),
        ("every_ms = 30", "", "line 47, key every_ms: missing"),
        ("step = \"heal\"\n", "step = \"restart\"\nnation = \"POL\"\n", "key step: its node was not killed"),
        ("step = \"stop\"", "step = \"wait\"", "key timeline: at the end every node"),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let message = fails(&SMALL.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    }
}

#[test]
fn a_step_about_trust_is_possible_where_its_names_were_made() {
    const TRUST: &str = include_str!("../../scenarios/stolen-key.toml");
    for (from, to, expected) in [
        (
            "batch = \"seen\"\n\n[[timeline]]\nstep = \"write_as\"",
            "batch = \"sean\"\n\n[[timeline]]\nstep = \"write_as\"",
            "key batch: sean was not made by an earlier step",
        ),
        ("of = \"NOR\"\nlinks = []", "of = \"SWE\"\nlinks = []", "key of: SWE is not among the nations"),
        ("of = \"NOR\"\nlinks = []", "of = \"NOR-9\"\nlinks = []", "key of: NOR-9 is no node that is there by then"),
        ("node = \"NOR-thief\"\nof", "node = \"POL\"\nof", "key step: its node was started already"),
        ("node = \"NOR-thief\"\nof", "node = \"../thief\"\nof", "key node: ../thief is no name"),
        (
            "step = \"start\"\nnode = \"NOR-2\"",
            "step = \"start\"\nnode = \"NOR\"",
            "key step: its node was started already",
        ),
        ("enrol = [\"NOR-2\"]", "enrol = [\"POL\"]", "key enrol: POL is no node that is there by then"),
        ("what = \"final\"", "what = \"finite\"", "key what: finite is none of fork, no_fork"),
        ("standing = \"suspended\"", "standing = \"sitting\"", "key standing: sitting is none of accepted, suspended"),
        ("since = \"before\"", "since = \"after\"", "key since: after was not made by an earlier step"),
        ("at = \"UKR\"", "at = \"NOR-2\"", "key step: its node does not run"),
    ] {
        assert!(TRUST.contains(from), "{from}");
        let message = fails(&TRUST.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    }
    let votes = include_str!("../../scenarios/nation-admitted.toml");
    for (from, to, expected) in [
        ("admit = \"FIN\"", "admit = \"POL\"", "key step: the nation is not one that this can be done to"),
        ("admit = \"FIN\"", "remove = \"FIN\"", "key step: the nation is not one that this can be done to"),
        ("admit = \"FIN\"\n", "", "missing"),
        ("step = \"support\"", "step = \"seal\"", "key step: nobody votes"),
        ("motion = \"with-fin\"\nnations", "motion = \"x\"\nnations", "key motion: x was not made by an earlier step"),
    ] {
        assert!(votes.contains(from), "{from}");
        let message = fails(&votes.replacen(from, to, 1));
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    }
}

#[test]
fn an_exercise_about_trust_keeps_its_nations() {
    let codes = ["UKR", "POL", "DEU", "FRA", "SWE"].map(str::to_owned);
    let message = Scenario::find("stolen-key").unwrap().among(&codes).unwrap_err().to_string();
    assert_eq!(message, "nations: this exercise is about its own nations; others cannot take their place");
}

#[test]
fn an_unknown_scenario_names_the_built_in_ones() {
    let message = Scenario::find("no-such").unwrap_err().to_string();
    let names: Vec<String> = Scenario::built_in().unwrap().into_iter().map(|scenario| scenario.name).collect();
    assert_eq!(message, format!("no scenario no-such; built in are {}", names.join(", ")));
    assert_eq!(names.first().map(String::as_str), Some(DEFAULT));
}

#[test]
fn other_nations_take_the_place_of_those_left_out() {
    let codes = |list: &[&str]| list.iter().map(|code| (*code).to_owned()).collect::<Vec<String>>();
    let scenario = Scenario::find(DEFAULT).unwrap();
    let among = scenario.clone().among(&codes(&["UKR", "POL", "DEU", "GBR", "FRA"])).unwrap();
    assert_eq!(among.codes(), ["UKR", "POL", "DEU", "GBR", "FRA"]);
    assert_eq!(among.nations[4].name, "France");
    assert!(among.records.iter().all(|record| record.by != "USA" && !record.key.contains("usa")));
    assert_eq!(among.largest_donor().as_deref(), Some("DEU"));
    assert!(!among.timeline.iter().any(|step| matches!(step, Step::Kill { .. } | Step::Restart { .. })));
    let sides = among.timeline.iter().find_map(|step| match step {
        Step::Partition { sides, .. } => Some(sides.clone()),
        _ => None,
    });
    assert_eq!(sides.unwrap().iter().map(BTreeSet::len).sum::<usize>(), 5);
    for (list, expected) in [
        (vec!["POL", "DEU"], "nations: UKR is a recipient and must take part"),
        (vec!["UKR", "POL", "pl"], "nations: pl is no nation code"),
        (vec!["UKR", "POL", "POL"], "nations: POL stands there twice"),
        (vec!["UKR"], "nations: 1 where 2 to 64 are possible"),
    ] {
        let message = scenario.clone().among(&codes(&list)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn damaged_files_are_refused_or_run_but_never_break_the_reader() {
    let seed = std::env::var("COMITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("COMITY_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let lines: Vec<&str> = SMALL.lines().collect();
    for _ in 0..500 {
        let mut damaged = lines.clone();
        for _ in 0..rng.random_range(1..4) {
            let (from, to) = (rng.random_range(0..damaged.len()), rng.random_range(0..damaged.len()));
            match rng.random_range(0..3) {
                0 => drop(damaged.remove(from)),
                1 => damaged.swap(from, to),
                _ => damaged.insert(to, damaged[from]),
            }
        }
        if let Ok(scenario) = Scenario::parse("damaged.toml", &damaged.join("\n")) {
            let leaves = scenario.timeline.iter().any(|step| matches!(step, Step::Leave { .. }));
            assert_eq!(scenario.leaver().is_some(), leaves);
        }
    }
}
