//! Every command's JSON is what docs/cli/schema.json says it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::forks::forked;
use crate::harness::{Alliance, Node, comity, command, converge, need, row, until};
use crate::refounding::{found_anew, home_anew};
use crate::schema::Schema;

/// Commands that print the JSON of a testnet; its own tests hold it against the same schema.
const LABORATORY: [&str; 5] = ["testnet down", "testnet exercise", "testnet sim", "testnet status", "testnet up"];

/// Runs commands with `--json`, holds their answers against the schema, and remembers which were run.
struct Checked {
    schema: Schema,
    run: BTreeSet<String>,
}

impl Checked {
    /// Runs `command` with `args`, on the home of `node` if there is one.
    #[track_caller]
    fn run(&mut self, node: Option<&Node>, command: &str, args: &[&str]) -> Value {
        let words: Vec<&str> = command.split(' ').chain(args.iter().copied()).chain(["--json"]).collect();
        let ran = node.map_or_else(|| comity(&words), |node| node.run(&words));
        let answer = ran.json();
        self.answered(command, &answer);
        answer
    }

    #[track_caller]
    fn answered(&mut self, command: &str, answer: &Value) {
        self.schema.check(command, answer);
        self.run.insert(command.to_owned());
    }
}

#[test]
fn every_answer_in_json_fits_its_schema() {
    let mut checked = Checked { schema: Schema::committed(), run: BTreeSet::new() };
    founding(&mut checked);
    let alliance = Alliance::found(&["UKR", "POL", "DEU"]);
    let ukr = alliance.start("UKR", &[]);
    let pol = alliance.start("POL", &["--peer", &ukr.address]);
    until("they are linked", || (ukr.connected() == 1).then_some(()));
    statements(&mut checked, &ukr, &pol);
    decisions(&mut checked, &ukr, &pol, &alliance);
    reading(&mut checked, &ukr, &alliance);
    imports(&mut checked, &ukr, &alliance);
    forks(&mut checked);
    checked.run(Some(&ukr), "roster import", &[&alliance.path("DEU.roster")]);
    let charter = alliance.path("charter");
    checked.run(Some(&ukr), "charter export", &["--out", &charter]);
    checked.run(Some(&pol), "charter import", &[&charter]);
    files(&mut checked, &ukr, &pol, &alliance);
    archives(&mut checked, &ukr, &alliance);
    governing(&mut checked, &ukr, &alliance);
    checked.run(Some(&ukr), "peers add", &["/ip4/127.0.0.1/tcp/9"]);
    checked.run(Some(&ukr), "peers", &[]);
    assert_eq!(checked.run(Some(&ukr), "peers remove", &["127.0.0.1:9"])["changed"], true);
    guards(&mut checked, ukr, &pol, &alliance);
    checked.run(None, "bench", &["--statements", "1100", "--rounds", "1"]);
    checked.run.extend(LABORATORY.map(str::to_owned));
    assert_eq!(checked.run, checked.schema.commands(), "every described command was run, and no other");
}

/// Backs a node up, puts the backup back, and confirms it.
fn guards(checked: &mut Checked, ukr: Node, pol: &Node, alliance: &Alliance) {
    let backup = alliance.path("UKR.backup");
    let made = checked.run(Some(&ukr), "node backup", &[&backup]);
    assert_keys(&made, "file node envelopes bodies control");
    need(&ukr, "11");
    // The backup does not hold this one: without it at a peer there would be nothing to confirm.
    converge(&[&ukr, pol]);
    assert_eq!(ukr.stop(), 0);
    let home = alliance.home("UKR");
    let restored = checked.run(None, "node restore", &["--home", &home, &backup, "--replace"]);
    assert_eq!(restored["envelopes"], made["envelopes"]);
    let ukr = alliance.start("UKR", &["--peer", &pol.address]);
    let look = until("nothing stands against it", || {
        let ran = ukr.run(&["node", "confirm", "--json"]);
        (ran.code == 0).then(|| ran.json())
    });
    checked.answered("node confirm", &look);
    let adopt = format!("{}:{}", look["seq"], look["envelope"].as_str().expect("an id"));
    let confirmed = checked.run(Some(&ukr), "node confirm", &["--adopt", &adopt]);
    assert_eq!(confirmed["seq"], look["seq"]);
}

/// Writes and reads back files of records.
fn files(checked: &mut Checked, ukr: &Node, pol: &Node, alliance: &Alliance) {
    let [frontier, courier, bundle] = ["pol.frontier", "ukr.courier", "ukr.bundle"].map(|name| alliance.path(name));
    checked.run(Some(pol), "courier frontier", &["--out", &frontier]);
    checked.run(Some(ukr), "courier export", &["--since", &frontier, "--out", &courier]);
    checked.run(Some(pol), "courier import", &[&courier, "--dry-run"]);
    let imported = checked.run(Some(pol), "courier import", &[&courier]);
    assert_eq!((&imported["whole"], &imported["own_key"]), (&json!(true), &json!(false)));
    checked.run(Some(ukr), "export", &["bundle", "--out", &bundle]);
    assert_eq!(checked.run(None, "verify", &[&bundle])["intact"], true);
}

/// Archives the record for an alliance that founds it anew, and reads it there.
fn archives(checked: &mut Checked, ukr: &Node, alliance: &Alliance) {
    let (genesis, _) = found_anew(alliance, &alliance.charter_of(ukr), &["UKR", "POL"], "Anew");
    let home = home_anew(alliance, &genesis, "UKR", "anew");
    let mut run = |command: &str, args: &[&str]| checked.run(None, command, &[&["--home", &home], args].concat());
    let added = run("archive add", &[&alliance.path("ukr.bundle")]);
    assert_eq!(run("archive list", &[]), added);
    let board = run("archive board", &[]);
    let requirement = board["rows"][0]["requirement"].as_str().expect("a record").to_owned();
    run("archive show", &[&requirement]);
    run("archive explain", &[&requirement]);
    run("archive records", &["requirement"]);
    let out = alliance.path("archived.jsonl");
    run("archive export", &["jsonl", "--out", &out]);
    for command in ["gaps", "flags", "resilience", "nations", "log", "charter"] {
        run(&format!("archive {command}"), &[]);
    }
}

/// Founds an alliance of two and enrols and retires a node of one.
fn founding(checked: &mut Checked) {
    let folder = tempfile::TempDir::new().expect("a folder for the test");
    let path = |name: &str| folder.path().join(name).to_str().expect("a UTF-8 path").to_owned();
    let mut founders = Vec::new();
    for code in ["UKR", "POL"] {
        let made = checked.run(None, "root new", &[code, "--out", &path(&format!("{code}.root"))]);
        founders.push(format!("{code}={}", made["root"].as_str().expect("a key")));
    }
    let draft = path("draft");
    let founder = ["--founder", &founders[0], "--founder", &founders[1], "--name", "Test", "--out", &draft];
    checked.run(None, "genesis draft", &founder);
    for code in ["UKR", "POL"] {
        let (root, out) = (path(&format!("{code}.root")), path(&format!("{code}.sig")));
        checked.run(None, "genesis sign", &[&draft, "--root", &root, "--out", &out]);
    }
    let genesis = path("genesis");
    checked.run(None, "genesis assemble", &[&draft, &path("UKR.sig"), &path("POL.sig"), "--out", &genesis]);
    let shown = checked.run(None, "genesis show", &[&genesis]);
    assert_eq!(shown["founders"].as_array().map(Vec::len), Some(2));
    let home = path("home");
    checked.run(None, "init", &["--genesis", &genesis, "--nation", "POL", "--home", &home]);
    let (draft, root, first) = (path("r1.draft"), path("POL.root"), path("r1"));
    let request = format!("{home}/node.request");
    let node = ["--genesis", &genesis, "--nation", "POL", "--request", &request, "--out", &draft];
    checked.run(None, "roster enrol", &node);
    checked.run(None, "roster sign", &[&draft, "--root", &root, "--out", &first]);
    checked.run(None, "roster show", &[&first]);
    checked.run(None, "root log", &[&root]);
    checked.run(None, "roster import", &["--home", &home, &first]);
    let retire = ["--genesis", &genesis, "--prev", &first, "--node", "POL-1", "--cut", "0", "--out", &path("r2.draft")];
    let retired = checked.run(None, "roster retire", &retire);
    assert_eq!((&retired["version"], &retired["keys"][0]["status"]), (&json!(2), &json!("retired")));
    let (second, third) = (path("r2"), path("r3.draft"));
    checked.run(None, "roster sign", &[&path("r2.draft"), "--root", &root, "--out", &second]);
    let follow = ["--genesis", &genesis, "--prev", &second];
    let lower = ["--node", "POL-1", "--cut", "0", "--out", &path("lower.draft")];
    checked.run(None, "roster lower-cut", &[follow.as_slice(), &lower].concat());
    let closed = checked.run(None, "roster close", &[follow.as_slice(), &["--out", &third]].concat());
    assert_eq!(closed["closed"], true);
    let settings = checked.run(None, "node run", &["--print-config", "--home", &home]);
    assert_eq!(settings["settings"][2], json!({"key": "mdns", "value": false, "source": "default"}));
    checked.run(None, "node check", &["--deep", "--home", &home]);
}

/// Proposes a motion, decides it, and looks at the charter.
fn governing(checked: &mut Checked, ukr: &Node, alliance: &Alliance) {
    let motion = alliance.path("motion");
    checked.run(Some(ukr), "motion propose", &["--title", "more keys", "--max-active-keys", "9", "--out", &motion]);
    for step in ["support", "seal"] {
        let charter = alliance.charter_of(ukr);
        for code in ["UKR", "POL", "DEU"] {
            let (root, out) = (alliance.path(&format!("{code}.root")), alliance.path(&format!("{code}.{step}")));
            let key = ["--charter", &charter, "--root", &root, "--out", &out];
            let shown = checked.run(None, &format!("vote {step}"), &[[motion.as_str()].as_slice(), &key].concat());
            assert_eq!((&shown["round"], &shown["again"]), (&json!(0), &json!(false)));
            checked.run(Some(ukr), "vote import", &[&out]);
        }
        checked.run(Some(ukr), "motion show", &[&motion]);
        checked.run(Some(ukr), "motion list", &[]);
    }
    for command in ["charter show", "charter history", "charter health"] {
        assert_eq!(checked.run(Some(ukr), command, &[])["max_active_keys"], 9);
    }
}

/// Says one thing of every kind, looks at it, revises it, and takes it back.
fn statements(checked: &mut Checked, ukr: &Node, pol: &Node) {
    let mut made: BTreeMap<&str, (&Node, String)> = BTreeMap::new();
    let mut add = |checked: &mut Checked, node, kind, args: &[&str]| {
        let answer = checked.run(Some(node), &format!("{kind} add"), &[args, &["--wait", "1"]].concat());
        assert_eq!(answer["wait_satisfied"], true, "{kind}: {answer}");
        let record = answer["record"].as_str().expect("a record").to_owned();
        made.insert(kind, (node, record.clone()));
        record
    };
    add(checked, ukr, "profile", &["--name", "Ukraine", "--contact", "duty officer"]);
    add(checked, ukr, "hub", &["--name", "Lviv", "--hub-kind", "rail", "--modes", "road", "--capacity", "road=400"]);
    let tents =
        ["--item", "tents", "--class", "II", "--quantity", "1000", "--unit", "each", "--needed-by", "2026-12-20"];
    let requirement = add(checked, ukr, "requirement", &tents);
    let towards = ["--requirement", &requirement, "--quantity", "400"];
    let other = add(checked, pol, "pledge", &towards);
    let pledge = add(checked, pol, "pledge", &towards);
    add(checked, ukr, "decline", &["--pledge", &other, "--reason", "already covered"]);
    add(checked, ukr, "accept", &["--pledge", &pledge, "--quantity", "300"]);
    let line = format!("pledge={pledge},quantity=300");
    let shipment = add(checked, pol, "shipment", &["--lines", &line, "--legs", "from=Warsaw,to=Lviv,mode=road"]);
    add(checked, pol, "dispatch", &["--shipment", &shipment, "--at", "2026-11-20T08:00:00Z"]);
    let of = ["--shipment", &shipment, "--line", "0"];
    add(checked, pol, "loss-report", &[of.as_slice(), &["--quantity", "20"]].concat());
    add(checked, ukr, "receipt", &[of.as_slice(), &["--counted", "270", "--damaged", "torn=5", "--final"]].concat());
    add(checked, ukr, "observation", &["--source", "a newspaper", "--item", "blankets", "--date", "2026-11-01"]);
    let hub = made["hub"].1.clone();
    let mut add = |checked: &mut Checked, node, kind, args: &[&str]| {
        let answer = checked.run(Some(node), &format!("{kind} add"), &[args, &["--wait", "1"]].concat());
        let record = answer["record"].as_str().expect("a record").to_owned();
        made.insert(kind, (node, record.clone()));
        record
    };
    catalogues(checked, pol, &mut add);
    offers(checked, ukr, pol, [&requirement, &pledge, &other], &mut add);
    passages(checked, ukr, pol, [&hub, &shipment], &mut add);
    let described = checked.schema.commands();
    for (kind, (node, record)) in &made {
        let listed = checked.run(Some(node), &format!("{kind} list"), &["--as-of", "2030-01-01T00:00:00Z"]);
        assert_eq!(
            (&listed["as_of"], row(&listed, "record", record)["fields"].is_object()),
            (&json!("2030-01-01T00:00:00.000Z"), true)
        );
        checked.run(Some(node), &format!("{kind} revise"), &[record, "--ext-refs", "a number of our own"]);
        let shown = checked.run(Some(node), &format!("{kind} show"), &[record]);
        assert_eq!(shown["versions"].as_array().map(Vec::len), Some(2), "{shown:#}");
    }
    // What others rest on goes last.
    for kind in [
        "take-over",
        "hand-over",
        "slot-use",
        "slot-refuse",
        "slot-grant",
        "slot-request",
        "transit-permit",
        "allotment",
        "settle",
        "return",
        "inventory",
        "consent",
        "consent-request",
        "fund",
        "accept-substitute",
        "standby-pledge",
        "stock-lot",
        "endorse",
        "suspend-notice",
        "topic",
        "fx-table",
        "valuation",
        "unit-conversion",
        "item-type",
        "observation",
        "receipt",
        "loss-report",
        "dispatch",
        "shipment",
        "decline",
        "accept",
        "pledge",
        "requirement",
        "hub",
        "profile",
    ] {
        let (node, record) = &made[kind];
        for verb in ["close", "withdraw"] {
            let command = format!("{kind} {verb}");
            if described.contains(&command) {
                checked.run(Some(node), &command, &[record]);
            }
        }
    }
}

/// Says what a nation keeps for itself.
fn catalogues<'a>(
    checked: &mut Checked,
    pol: &'a Node,
    add: &mut impl FnMut(&mut Checked, &'a Node, &'static str, &[&str]) -> String,
) {
    add(checked, pol, "item-type", &["--name", "winter tent", "--class", "II"]);
    let pallet = ["--item", "flour", "--from-unit", "pallet", "--from", "1", "--quantity", "800", "--unit", "kg"];
    add(checked, pol, "unit-conversion", &pallet);
    let worth = ["--item", "flour", "--quantity", "1", "--unit", "t", "--value", "45000", "--currency", "EUR"];
    add(checked, pol, "valuation", &[worth.as_slice(), &["--day", "2026-11-01"]].concat());
    add(checked, pol, "fx-table", &["--base", "EUR", "--day", "2026-11-24", "--rates", "USD=0.9221"]);
    add(checked, pol, "topic", &["--code", "water-quality", "--sources"]);
    add(checked, pol, "suspend-notice", &["--from", "2999-12-01", "--scope", "pledges", "--reason", "elections"]);
}

/// Says what else is offered, asked and granted about goods.
fn offers<'a>(
    checked: &mut Checked,
    ukr: &'a Node,
    pol: &'a Node,
    [requirement, pledge, other]: [&str; 3],
    add: &mut impl FnMut(&mut Checked, &'a Node, &'static str, &[&str]) -> String,
) {
    add(checked, pol, "endorse", &["--requirement", requirement, "--text", "seen on the spot"]);
    add(checked, pol, "stock-lot", &["--item", "tents", "--quantity", "600", "--unit", "each", "--place", "Warsaw"]);
    let standby = ["--on-nation", "DEU", "--requirement", requirement, "--quantity", "200"];
    add(checked, pol, "standby-pledge", &standby);
    add(checked, pol, "fund", &["--pledge", pledge, "--amount", "2500000", "--currency", "EUR"]);
    add(checked, ukr, "accept-substitute", &["--pledge", other, "--item", "tarpaulins", "--per", "4", "--counts", "1"]);
    let asked = add(checked, pol, "consent-request", &["--pledge", pledge, "--origin", "UKR", "--end-user", "UKR"]);
    add(checked, ukr, "consent", &["--request", &asked, "--quantity", "300"]);
    add(checked, ukr, "inventory", &["--item", "tents", "--counted", "12", "--unit", "each"]);
}

/// Says how goods pass from hand to hand.
fn passages<'a>(
    checked: &mut Checked,
    ukr: &'a Node,
    pol: &'a Node,
    [hub, shipment]: [&str; 2],
    add: &mut impl FnMut(&mut Checked, &'a Node, &'static str, &[&str]) -> String,
) {
    let december = ["--from", "2026-12-01", "--to", "2026-12-31"];
    let share = ["--hub", hub, "--nation", "POL", "--mode", "road", "--tonnes", "120"];
    add(checked, ukr, "allotment", &[share.as_slice(), &december].concat());
    let way = ["--from", "Dresden", "--to", "Warsaw", "--mode", "road"];
    let valid = ["--valid-from", "2026-12-01", "--valid-to", "2026-12-31"];
    add(checked, pol, "transit-permit", &[way.as_slice(), &valid].concat());
    let slot = ["--hub", hub, "--mode", "road", "--tonnes", "40", "--from", "2026-12-08", "--priority", "1"];
    let refused = add(checked, pol, "slot-request", &slot);
    add(checked, ukr, "slot-refuse", &["--request", &refused, "--reason", "gate under repair"]);
    let granted = add(checked, pol, "slot-request", &slot);
    add(checked, ukr, "slot-grant", &["--request", &granted]);
    add(checked, pol, "slot-use", &["--request", &granted, "--day", "2026-12-08", "--tonnes", "38"]);
    add(checked, pol, "hand-over", &["--shipment", shipment, "--leg", "0", "--to", "UKR"]);
    add(checked, ukr, "take-over", &["--shipment", shipment, "--leg", "0", "--from", "POL"]);
    let line = ["--shipment", shipment, "--line", "0"];
    add(checked, ukr, "return", &[line.as_slice(), &["--quantity", "5", "--reason", "mouldy"]].concat());
    add(checked, ukr, "settle", &[line.as_slice(), &["--dispatched", "300", "--received", "270"]].concat());
}

/// Proposes, answers in every way, and looks at it.
fn decisions(checked: &mut Checked, ukr: &Node, pol: &Node, alliance: &Alliance) {
    let text = alliance.path("text.txt");
    fs::write(&text, "POL leads on shelter.\n").expect("our own file");
    let propose = |checked: &mut Checked, title: &str| {
        let args = ["--title", title, "--text", &text, "--closes-at", "2999-12-01T12:00:00Z", "--wait", "1"];
        let written = checked.run(Some(ukr), "decision propose", &[&args[..], &["--effect", "lead=POL"]].concat());
        written["record"].as_str().expect("a record").to_owned()
    };
    let (first, second) = (propose(checked, "first"), propose(checked, "second"));
    for verb in ["seen", "assent", "extend"] {
        checked.run(Some(pol), &format!("decision {verb}"), &[&first]);
    }
    checked.run(Some(pol), "decision reserve", &[&second, "--text", "as far as our law allows"]);
    checked.run(Some(pol), "decision object", &[&second, "--text", "not without our parliament"]);
    let shown = checked.run(Some(pol), "decision show", &[&second]);
    assert_eq!((&shown["state"], &shown["effect"]["lead"]), (&json!("broken"), &json!("POL")), "{shown:#}");
    checked.run(Some(ukr), "decision amend", &[&first, "--closes-at", "2999-12-02"]);
    checked.run(Some(ukr), "decision withdraw", &[&second]);
    let listed = checked.run(Some(ukr), "decision list", &[]);
    assert!(listed["rows"].as_array().is_some_and(|rows| rows.len() >= 3), "{listed:#}");
}

/// Looks at everything, and asserts what the issue asks of `status` and `gaps`.
fn reading(checked: &mut Checked, ukr: &Node, alliance: &Alliance) {
    let status = checked.run(Some(ukr), "status", &[]);
    assert_keys(
        &status,
        "alliance nation node version peers envelopes statements held state forks waiting void quota_used store_bytes",
    );
    assert_keys(&status["peers"][0], "nation node connected lag");
    assert_keys(&status["peers"][0]["lag"], "behind ahead");
    assert_eq!(status["store_bytes_max"], Value::Null, "what is not set is null");
    let requirement = need(ukr, "7");
    let gaps = checked.run(Some(ukr), "gaps", &[]);
    let gap = row(&gaps, "requirement", &requirement);
    let keys = "requirement item quantity unit delivered in_transit to_ship offered gap_firm gap_after_offers gap_if_all flags";
    assert_keys(gap, keys);
    assert_eq!((&gap["quantity"], &gap["gap_firm"]), (&json!(7), &json!(7)), "quantities are numbers");
    checked.run(Some(ukr), "board", &[]);
    checked.run(Some(ukr), "resilience", &[]);
    checked.run(Some(ukr), "flags", &[]);
    let log = checked.run(Some(ukr), "log", &["--limit", "3"]);
    assert_eq!((log["rows"].as_array().map(Vec::len), &log["more"]), (Some(3), &json!(true)));
    checked.run(Some(ukr), "nations", &[]);
    let version = checked.run(Some(ukr), "show", &[&requirement])["record"]["version"].clone();
    let pinned = format!("{requirement}@{}", version.as_str().expect("an id"));
    assert_eq!(checked.run(Some(ukr), "show", &[&pinned])["pinned"]["version"], version);
    let explained = checked.run(Some(ukr), "explain", &[&requirement]);
    let digits = &explained["envelope"].as_str().expect("an id")[..10];
    assert_eq!(checked.run(Some(ukr), "explain", &[digits])["envelope"], explained["envelope"]);
    let out = alliance.path("out.csv");
    checked.run(Some(ukr), "export", &["csv", "--out", &out]);
    for line in ukr.run(&["export", "jsonl"]).stdout.lines() {
        checked.answered("export", &serde_json::from_str(line).expect("one JSON object a line"));
    }
    watch(checked, ukr);
}

/// Looks at a fork and its proof.
fn forks(checked: &mut Checked) {
    let forked = forked();
    let node = &forked.nodes[0];
    until("it knows of the fork", || {
        node.json(&["forks"])["rows"].as_array().filter(|rows| !rows.is_empty()).map(drop)
    });
    checked.run(Some(node), "forks", &[]);
    let proof = forked.alliance.path("proof");
    checked.run(Some(node), "forks show", &["UKR/UKR", "--proof", &proof]);
    checked.run(None, "forks verify", &[&proof]);
    checked.run(Some(&forked.nodes[2]), "restate", &["--dry-run"]);
}

/// Follows changes until one is told.
fn watch(checked: &mut Checked, node: &Node) {
    let mut child = command()
        .arg("--home")
        .arg(&node.home)
        .args(["watch", "--count", "1", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    until("a change is told", || {
        need(node, "1");
        child.try_wait().expect("our own child")
    });
    let output = child.wait_with_output().expect("our own child");
    checked.answered("watch", &serde_json::from_slice(&output.stdout).expect("one JSON object"));
}

/// Imports a small list of each form, with a row that is refused.
fn imports(checked: &mut Checked, node: &Node, alliance: &Alliance) {
    let folder = alliance.path("items");
    fs::create_dir(&folder).expect("our own folder");
    let items = "ID,countries,Announcement Date,Type of Aid General,Type of Aid Specific,Explanation,Type of item,\
        No. of Units,Original Currency,Monetary Value as Given by Source\n\
        PL1,Poland,2022-03-02,Humanitarian,Equipment,blankets,Humanitarian,500,EUR,9000\nbroken,row\n";
    fs::write(format!("{folder}/items.csv"), items).expect("our own file");
    let kiel = checked.run(Some(node), "import kiel", &[&folder]);
    assert_eq!(["read", "imported", "refused"].map(|key| kiel[key].as_u64()), [Some(2), Some(1), Some(1)]);
    let flows = json!({"data": {"flows": [{
        "id": "1", "date": "2020-01-01T00:00:00Z", "amountUSD": 100, "status": "paid", "originalAmount": null,
        "originalCurrency": null, "description": "made for a test", "childFlowIds": null,
        "sourceObjects": [{"type": "Organization", "name": "Donor"}], "destinationObjects": []
    }]}});
    let file = alliance.path("flows.json");
    fs::write(&file, flows.to_string()).expect("our own file");
    checked.run(Some(node), "import fts", &[&file]);
    let table = alliance.path("3w.csv");
    fs::write(&table, "#org,#sector\nOMS,WASH\n").expect("our own file");
    checked.run(Some(node), "import hxl", &[&table, "--dry-run"]);
    fs::write(&table, "<iati-activities version=\"2.03\"/>").expect("our own file");
    checked.run(Some(node), "import iati", &[&table]);
    fs::write(&table, "name_en,neighbour,lat,lon\nA - B,Poland,51.2,23.8\n").expect("our own file");
    checked.run(Some(node), "import hubs", &[&table, "--adopt-all"]);
}

#[track_caller]
fn assert_keys(value: &Value, keys: &str) {
    for key in keys.split_whitespace() {
        assert!(value.get(key).is_some(), "no {key} in {value:#}");
    }
}
