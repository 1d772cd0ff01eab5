//! Exercises end to end: what is written, broken, lost and covered.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{alone, command, runs, testnet, until};
use crate::schema::Schema;

fn list<'a>(report: &'a Value, key: &str) -> &'a Vec<Value> {
    report[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {report}"))
}

/// Firm cover and gap of one item, before and after.
fn cover(report: &Value, item: &str) -> [u64; 4] {
    let figure = |key: &str, field: &str| {
        let row = list(report, key).iter().find(|row| row["item"] == item);
        row.unwrap_or_else(|| panic!("no {item} in {key}"))[field].as_u64().expect("a figure")
    };
    [
        figure("coverage_before", "cover_firm"),
        figure("coverage_before", "gap_firm"),
        figure("coverage_after", "cover_firm"),
        figure("coverage_after", "gap_firm"),
    ]
}

fn assert_sound(report: &Value) {
    assert_eq!(report["problems"], json!([]), "{report:#}");
    assert_eq!(report["converged"], true, "{report:#}");
    assert_eq!(report["statements_lost"], 0, "{report:#}");
    let digests: Vec<&Value> = report["state_digests"].as_object().expect("digests").values().collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{report:#}");
    for cut in list(report, "cuts") {
        assert_eq!(cut["bytes_crossed"], 0, "{cut}");
        assert!(cut["noticed_ms"].is_u64() && cut["statements_during"].as_u64() > Some(0), "{cut}");
    }
}

#[test]
fn the_largest_donor_leaves_and_four_requirements_change_cover() {
    let _alone = alone();
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().to_str().expect("a plain path");
    let report = testnet(&["exercise", "--json", "--dir", path]).json(0);
    Schema::committed().check("testnet exercise", &report);
    assert_sound(&report);
    assert_eq!(report["scenario"], "largest-donor-leaves");
    assert_eq!(list(&report, "nations").len(), 8);
    assert_eq!(report["state_digests"].as_object().map(serde_json::Map::len), Some(7));
    let leaver = &report["leaver"];
    assert_eq!((&leaver["nation"], &leaver["home_intact"]), (&json!("USA"), &json!(true)));
    assert!(leaver["statements_acknowledged"].as_u64() >= Some(50), "{leaver}");
    assert!(leaver["last_acknowledged_before_kill_ms"].as_u64().is_some_and(|ms| ms <= 200), "{leaver}");
    let kill = &report["kills"][0];
    assert_eq!((&kill["nation"], &kill["write_in_flight"]), (&json!("NOR"), &json!(true)), "{kill}");
    assert!(kill["write_was_durable"].is_boolean() && kill["restart_ms"].is_u64(), "{kill}");
    // Base units: grams, millilitres, pieces. What the USA delivered stays: 1,000 t of food and 5,000 kits.
    const MILLION: u64 = 1_000_000;
    assert_eq!(cover(&report, "food rations"), [10_000 * MILLION, 0, 7_530 * MILLION, 2_470 * MILLION]);
    assert_eq!(cover(&report, "diesel fuel"), [14_263 * MILLION, 0, 2_725 * MILLION, 11_275 * MILLION]);
    assert_eq!(cover(&report, "winter clothing sets"), [109_470, 530, 44_850, 65_150]);
    assert_eq!(cover(&report, "first-aid kits"), [61_700, 0, 46_700, 13_300]);
    assert_eq!(cover(&report, "shelter kits"), [6_150, 0, 6_150, 0]);
    assert_eq!(cover(&report, "camp beds for reception centres"), [300, 200, 300, 200]);
    assert_eq!(list(&report, "uncovered").len(), 5);
    assert!(list(&report, "uncovered").iter().all(|row| row["gap_firm"].as_u64() > Some(0)));
    // The driver's own account of what was acknowledged, outside the nodes.
    let acknowledged = std::fs::read_to_string(dir.path().join("acknowledged.jsonl")).expect("the account");
    assert_eq!(acknowledged.lines().count() as u64, report["statements_acknowledged"].as_u64().expect("a count"));
    assert!(dir.path().join("logs/NOR.log").exists() && dir.path().join("UKR/comity.toml").exists());
}

#[test]
fn a_reset_cut_leaves_what_only_the_dead_donor_holds_in_its_home() {
    let _alone = alone();
    let ran = testnet(&["exercise", "three-nations", "--json", "--seed", "11"]);
    let report = ran.json(0);
    assert_sound(&report);
    assert_eq!((&report["seed"], &report["dir"]), (&json!(11), &Value::Null));
    assert_eq!(report["cuts"][0]["kind"], "reset");
    // The donor was alone on its side: what it wrote there nobody else has, and none of it is lost.
    let unreplicated = list(&report, "unreplicated_at_kill");
    assert!(!unreplicated.is_empty(), "{report:#}");
    assert!(unreplicated.iter().all(|id| id.as_str().is_some_and(|id| id.starts_with("DEU/") && id.contains('@'))));
    assert_eq!(cover(&report, "blankets"), [1_000, 0, 300, 700]);
}

#[test]
fn other_nations_can_take_part() {
    let _alone = alone();
    let text = testnet(&["exercise", "three-nations", "--nations", "UKR,DEU,FRA,ESP"]);
    assert_eq!(text.code, 0, "{text:?}");
    for part in [
        "4 nations (UKR DEU FRA ESP)",
        "left for good       DEU",
        "converged: 3 live nodes",
        "lost                       0",
    ] {
        assert!(text.stdout.contains(part), "no {part:?} in {}", text.stdout);
    }
}

/// Poland is no longer heard in Germany, and slowly in Ukraine.
const ONE_WAY: &str = r#"
name = "one-way"
seed = 5
as_of = 1
nation = [{ code = "UKR", role = "recipient" }, { code = "POL" }, { code = "DEU" }]
record = [
  { key = "tents", by = "UKR", kind = "requirement", fields = { item = "tents", class = "IV", quantity = 9, unit = "each" } },
  { set = "unheard", key = "offer", by = "POL", kind = "pledge", fields = { requirement = "@tents", quantity = 4 } },
]
timeline = [
  { step = "write", records = "start" },
  { step = "delay", between = ["POL", "UKR"], delay_ms = 30 },
  { step = "cut_one_way", from = "POL", to = "DEU" },
  { step = "write", records = "unheard" },
  { step = "burst", every_ms = 50 },
  { step = "wait", statements = 5 },
  { step = "heal" },
  { step = "stop", statements = 5 },
]
"#;

#[test]
fn what_a_nation_says_reaches_one_that_no_longer_hears_it_through_a_third() {
    let _alone = alone();
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("one-way.toml");
    std::fs::write(&path, ONE_WAY).expect("a file");
    // The offer is written while the line is cut, and that step ends only when Germany holds it.
    let report = testnet(&["exercise", path.to_str().expect("a plain path"), "--json"]).json(0);
    assert_sound(&report);
    assert_eq!((&report["leaver"], &report["unreplicated_at_kill"]), (&Value::Null, &json!([])));
    assert_eq!(cover(&report, "tents"), [0, 9, 0, 9]);
}

const ITEMS: &str = "\
ID,countries,Announcement Date,Type of Aid General,Type of Aid Specific,Explanation,Type of item,No. of Units,\
Original Currency,Monetary Value as Given by Source
PL1,Poland,2022-03-01,Military,Weapons,Panther howitzers,Heavy weapon,30,EUR,.
PL2,Poland,2022-03-02,Humanitarian,Equipment,blankets,Humanitarian,500,EUR,9000
NO1,Norway,2022-03-03,Military,Weapons,shells,Ammunition for heavy weapon,1000,NOK,.
NO2,Norway,2022-03-03,Financial,Loan,money,.,.,NOK,250000
NO3,Norway,until 7/27/2022,Military,Weapons,secret,Heavy weapon,undisclosed,NOK,.
XX1,Ruritania,2022-03-03,Military,Weapons,x,Heavy weapon,1,EUR,.
broken,row
";

#[test]
fn every_row_of_an_item_list_is_one_statement_or_a_counted_refusal() {
    let _alone = alone();
    let dir = TempDir::new().expect("a folder");
    let (data, run) = (dir.path().join("data"), dir.path().join("run"));
    std::fs::create_dir(&data).expect("a folder");
    std::fs::write(data.join("items.csv"), ITEMS).expect("a file");
    let plain = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let report = testnet(&["exercise", "--data", &plain(&data), "--dir", &plain(&run), "--json"]).json(0);
    Schema::committed().check("testnet exercise", &report);
    assert_sound(&report);
    assert_eq!(report["nations"], json!(["UKR", "NOR", "POL"]));
    let rows = &report["rows"];
    let sums = ["read", "pledges", "observations", "refused"].map(|key| rows[key].as_u64().expect("a count"));
    assert_eq!(sums, [7, 3, 2, 2]);
    let lines: Vec<u64> = list(rows, "refusals").iter().filter_map(|refusal| refusal["line"].as_u64()).collect();
    assert_eq!(lines, [7, 8]);
    let written = |nation: &str| list(&report, "written").iter().find(|row| row["nation"] == nation).cloned();
    assert_eq!(written("NOR").expect("Norway")["kinds"], json!({ "pledge": 1, "observation": 2 }));
    assert_eq!(written("UKR").expect("Ukraine")["kinds"], json!({ "requirement": 3, "accept": 3 }));
    assert_eq!(report["leaver"]["nation"], "NOR");
    assert_eq!(cover(&report, "class V, all types"), [1_000, 200, 0, 1_200]);
    assert_eq!(cover(&report, "class II, all types"), [30, 6, 30, 6]);
    // Neither the name of a weapon nor the explanation is in any store.
    for nation in ["UKR", "NOR", "POL"] {
        for file in ["node.sqlite", "node.sqlite-wal"] {
            let bytes = std::fs::read(run.join(nation).join("store").join(file)).unwrap_or_default();
            assert!(!bytes.windows(7).any(|bytes| bytes == b"Panther"), "{nation}/{file}");
        }
    }
}

#[test]
fn the_published_item_list_runs_with_every_donor_as_a_node() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/kiel-ust-r7-items");
    if !data.exists() {
        println!("skipped: {} is not there", data.display());
        return;
    }
    let _alone = alone();
    let report = testnet(&["exercise", "--data", data.to_str().expect("a plain path"), "--json"]).json(0);
    assert_sound(&report);
    assert_eq!(list(&report, "nations").len(), 20);
    assert_eq!(report["rows"]["read"], 507);
    for count in list(&report["rows"], "by_donor") {
        let [read, pledges, observations, refused] =
            ["read", "pledges", "observations", "refused"].map(|key| count[key].as_u64().expect("a count"));
        assert_eq!(read, pledges + observations + refused, "{count}");
    }
    assert_eq!(report["leaver"]["nation"], "DEU");
}

#[test]
fn an_interrupted_exercise_leaves_no_process_behind() {
    let _alone = alone();
    let dir = TempDir::new().expect("a folder");
    let run = dir.path().join("run");
    let mut child = command()
        .args(["testnet", "exercise", "three-nations", "--dir"])
        .arg(&run)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    let pid_of = |nation: &str| {
        let text = std::fs::read_to_string(run.join("run").join(format!("{nation}.pid"))).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["pid"].as_u64()
    };
    let pids = until("three nodes run", || {
        ["UKR", "POL", "DEU"].iter().map(|nation| pid_of(nation)).collect::<Option<Vec<u64>>>()
    });
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the signal is sent");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(4));
    until("the nodes are gone", || pids.iter().all(|pid| !runs(*pid)).then_some(()));
}
