//! One JSON Schema for all answers: those of the local API, which `--json` passes on, and those of the offline commands.

use std::collections::BTreeMap;

use clap::Command;
use comity_node::api;
use comity_testnet::processes::{Stopped, TestnetState};
use comity_testnet::report;
use comity_testnet::sim;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::archive::Archives;
use crate::bench::BenchReport;
use crate::bundle::{BundleReport, Streamed};
use crate::charter::CharterExported;
use crate::check::NodeCheck;
use crate::courier::CourierImported;
use crate::forks::ForkProven;
use crate::found::genesis::GenesisShown;
use crate::found::root::{NewRoot, RootLog};
use crate::found::roster::RosterShown;
use crate::found::vote::VoteShown;
use crate::guards::{NodeBackup, NodeRestored};
use crate::home::NewHome;
use crate::import::{HubTemplates, Imported};
use crate::query::Exported;
use crate::run::Settings;

/// What the offline commands and the laboratory print.
#[derive(OpenApi)]
#[openapi(components(schemas(
    Archives,
    BenchReport,
    BundleReport,
    CharterExported,
    CourierImported,
    Exported,
    ForkProven,
    GenesisShown,
    HubTemplates,
    Imported,
    NewHome,
    NewRoot,
    NodeBackup,
    NodeCheck,
    RootLog,
    NodeRestored,
    RosterShown,
    Settings,
    report::Report,
    report::ScenarioList,
    sim::report::RunReport,
    sim::report::Totals,
    Stopped,
    Streamed,
    TestnetState,
    VoteShown,
)))]
struct Offline;

/// Fields that hold a moment wherever they stand.
const MOMENTS: [&str; 15] = [
    "as_of",
    "at",
    "closes_at",
    "created",
    "deadline",
    "heard",
    "last_heard",
    "last_statement",
    "last_witness",
    "now",
    "opens_at",
    "seen_at",
    "since",
    "started",
    "time",
];

/// Returns the names of what a command prints with `--json`; none where it prints no JSON of its own.
pub fn answers(path: &str) -> &'static [&'static str] {
    match path {
        "root new" => &["NewRoot"],
        "genesis draft" | "genesis sign" | "genesis assemble" | "genesis show" => &["GenesisShown"],
        "root log" => &["RootLog"],
        "roster enrol" | "roster retire" | "roster lower-cut" | "roster close" | "roster sign" | "roster show" => {
            &["RosterShown"]
        }
        "roster import" | "charter import" | "vote import" => &["ControlAnswer"],
        "charter show" | "charter history" | "charter health" => &["CharterState"],
        "motion propose" | "motion show" => &["MotionRow"],
        "motion list" => &["Motions"],
        "vote support" | "vote seal" => &["VoteShown"],
        "charter export" => &["CharterExported"],
        "init" => &["NewHome"],
        "node run" => &["Settings"],
        "node check" => &["NodeCheck"],
        "node backup" => &["NodeBackup"],
        "node restore" => &["NodeRestored"],
        "node confirm" => &["Adoption", "ConfirmAnswer"],
        "peers" => &["Peers"],
        "peers add" | "peers remove" => &["PeerAnswer"],
        "import kiel" | "import fts" | "import hxl" | "import iati" => &["Imported"],
        "import hubs" => &["HubTemplates"],
        "forks" => &["Forks"],
        "forks show" => &["ForkShown"],
        "forks verify" => &["ForkProven"],
        "restate" => &["Restated"],
        "bench" => &["BenchReport"],
        "testnet up" | "testnet status" => &["TestnetState"],
        "testnet down" => &["Stopped"],
        "testnet exercise" => &["ExerciseReport", "ExerciseList"],
        "testnet sim" => &["SimulatedRun", "SimulatedRuns"],
        "status" => &["Status"],
        "nations" => &["Nations"],
        "log" => &["Log"],
        "show" => &["Shown"],
        "explain" => &["Explanation"],
        "watch" => &["Change"],
        "board" => &["Board"],
        "gaps" => &["Gaps"],
        "resilience" => &["Resilience"],
        "flags" => &["Flags"],
        "export" => &["ExportLine", "Exported", "Streamed"],
        "decision list" => &["Decisions"],
        "decision show" => &["Decision"],
        _ if path.starts_with("decision ") => &["WriteAnswer"],
        "verify" => &["BundleReport"],
        "archive add" | "archive list" => &["Archives"],
        "archive charter" => &["CharterState"],
        "archive records" => &["Listing"],
        "archive export" => &["ExportLine", "Exported"],
        _ if path.starts_with("archive ") => answers(&path["archive ".len()..]),
        "courier export" | "courier frontier" => &["Streamed"],
        "courier import" => &["CourierImported"],
        _ => statement(path),
    }
}

/// Returns what the verbs of a kind print.
fn statement(path: &str) -> &'static [&'static str] {
    match path.split_once(' ') {
        Some((kind, verb)) if crate::aid::kind_of(kind).is_some() => match verb {
            "list" => &["Listing"],
            "show" => &["Shown"],
            _ => &["WriteAnswer"],
        },
        _ => &[],
    }
}

/// Returns the schema of everything, with a table that says which command prints what.
pub fn text(mut command: Command) -> String {
    command.build();
    let mut commands = BTreeMap::new();
    table(&command, "", &mut commands);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What comity prints with --json",
        "description": "`commands` names the definition of each command's answer. Identifiers are full, times are RFC 3339 \
            in UTC, quantities are integers in the base unit of their dimension, and what is absent is null.",
        "commands": commands,
        "$defs": definitions(),
    });
    serde_json::to_string_pretty(&schema).expect("the schema is plain data") + "\n"
}

fn table(command: &Command, above: &str, commands: &mut BTreeMap<String, &'static [&'static str]>) {
    for sub in super::visible(command) {
        let path = format!("{above} {}", sub.get_name()).trim().to_owned();
        table(sub, &path, commands);
        if !answers(&path).is_empty() {
            commands.insert(path.clone(), answers(&path));
        }
    }
}

fn definitions() -> BTreeMap<String, Value> {
    let mut all = BTreeMap::from([("ExportLine".to_owned(), export_line())]);
    for document in [api::document(), Offline::openapi()] {
        let mut document = serde_json::to_value(document).expect("the document is plain data");
        let Value::Object(schemas) = document["components"]["schemas"].take() else { continue };
        all.extend(schemas.into_iter().map(|(name, mut schema)| {
            settle(&mut schema);
            (name, schema)
        }));
    }
    all
}

/// Points references into this file, says which fields are moments, and that an answer always has all its fields.
fn settle(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref") {
                *target = target.replace("#/components/schemas/", "#/$defs/");
            }
            // A request may leave fields out; it refuses unknown ones, which is how it is told from an answer.
            let is_answer = object.get("additionalProperties") != Some(&Value::Bool(false));
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                moments(properties);
                let names: Vec<Value> = properties.keys().map(|name| json!(name)).collect();
                if is_answer {
                    object.insert("required".to_owned(), Value::Array(names));
                }
            }
            object.values_mut().for_each(settle);
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn moments(properties: &mut Map<String, Value>) {
    for name in MOMENTS {
        if let Some(Value::Object(property)) = properties.get_mut(name)
            && property.contains_key("type")
        {
            property.insert("format".to_owned(), json!("date-time"));
        }
    }
}

/// One line of `export jsonl`, which the protocol writes itself, byte for byte the same on every node.
fn export_line() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let maybe = |about: &str| json!({"type": ["string", "null"], "description": about});
    let moment = |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let mut line = json!({
        "type": "object",
        "description": "One version of a statement: a line of `export jsonl`.",
        "properties": {
            "as_of": moment("The moment the export holds for."),
            "record": text("`CODE/kind/id`."),
            "nation": text("Id of the nation."),
            "code": text("Its code."),
            "kind": text("The kind of statement."),
            "id": text("The record's own id."),
            "version": text("The envelope that wrote the version."),
            "author": text("The node that wrote it."),
            "seq": {"type": "integer", "minimum": 1, "description": "Position in the node's chain."},
            "time": moment("Claimed time."),
            "replaces": {
                "type": "array", "items": {"type": "string"}, "description": "Versions it replaces."
            },
            "state": {"enum": ["current", "conflicting", "replaced"], "description": "Whether it is the version that counts."},
            "invalid": maybe("Why it does not validate."),
            "status": {"enum": ["live", "withdrawn", "closed"], "description": "As its nation says."},
            "standing": maybe("`counted`, or why it takes no part in the sums; of the version that counts."),
            "derived": maybe("The derived state of DOMAIN 2.4, where the kind has one."),
            "fields": {"type": "object", "description": "What it says."},
        },
    });
    settle(&mut line);
    line
}
