//! What generators make of the corpus: golden vectors, one change for each reason the guard gives, bombs, and short stories.

use std::collections::BTreeMap;
use std::fs;

use comity_protocol::ids::{AuthorKey, unhex};
use comity_protocol::value::Actor;
use comity_tests::fuzz::{guard, import};
use comity_tests::guard::corpus::{damage, twist};
use comity_tests::guard::raw::{Raw, chunk, sleb, uleb};
use comity_tests::guard::tally::verdict;
use comity_tests::random::Random;
use comity_tests::workspace;
use serde_json::Value;

type Files = BTreeMap<String, Vec<u8>>;

/// Hostile changes looked through for one of each reason.
const LOOKED_THROUGH: usize = 6_000;

/// Returns the made files of a target by name.
pub(crate) fn of(target: &str) -> Files {
    let files = match target {
        "bundle" => bundles(),
        "codec" => codec(),
        "frames" => frames(),
        "guard" => guards(),
        "import" => imports(),
        "replica" => replicas(),
        other => panic!("{other} has no generator"),
    };
    files.into_iter().map(|(name, bytes)| (format!("made-{name}"), bytes)).collect()
}

/// The vectors of a file: name, what it is, bytes.
fn vectors(file: &str, list: &str) -> Vec<(String, String, Vec<u8>)> {
    let text = fs::read_to_string(workspace().join("tests/vectors").join(file)).expect("the vectors are committed");
    let json: Value = serde_json::from_str(&text).expect("they are JSON");
    let list = if list.is_empty() { &json } else { &json[list] };
    let text = |vector: &Value, field: &str| vector[field].as_str().unwrap_or_default().to_owned();
    let vectors = list.as_array().expect("a list").iter();
    vectors
        .map(|vector| (text(vector, "name"), text(vector, "what"), unhex(&text(vector, "hex")).expect("hexadecimal")))
        .collect()
}

fn bundles() -> Files {
    let mut files = Files::new();
    for (name, _, bytes) in vectors("golden.json", "") {
        if let Some(name) = name.strip_prefix("bundle-").or_else(|| name.strip_prefix("courier-")) {
            files.insert(format!("{name}-whole"), [&[0], &*bytes].concat());
            if let Some(frames) = bytes.strip_prefix(b"COMITY-BUNDLE 1\n") {
                files.insert(format!("{name}-frames"), [&[1], frames].concat());
            }
        }
    }
    let announced = |length: u32| [&[0][..], b"COMITY-BUNDLE 1\n", &length.to_be_bytes(), &[0, 7]].concat();
    files.insert("frame-announces-4-gib".to_owned(), announced(u32::MAX));
    files.insert("frame-announces-1-mib".to_owned(), announced(1 << 20));
    files
}

fn codec() -> Files {
    let mut files = Files::new();
    let forms = [("motion", 1), ("vote", 2), ("roster", 3), ("body-change", 5), ("body-witness", 6), ("body-key", 7)];
    for (name, _, bytes) in vectors("golden.json", "") {
        if let Some((_, form)) = forms.iter().find(|(start, _)| name.starts_with(start)) {
            files.insert(name, [&[*form], &*bytes].concat());
        }
    }
    for (name, what, bytes) in vectors("independent.json", "vectors") {
        let form = match what.as_str() {
            "control:1" => 0,
            "control:4" => 3,
            "envelope" => 4,
            _ => continue,
        };
        let end = if form == 4 { 183 + 64 } else { bytes.len() };
        files.insert(name, [&[form], &bytes[..end]].concat());
    }
    files
}

fn frames() -> Files {
    let mut files = Files::new();
    for (name, _, bytes) in vectors("golden.json", "") {
        if name.starts_with("frame-") && !name.ends_with("-cut") && !name.ends_with("-trailing") {
            files.insert(name, [&[0], &*bytes].concat());
        }
    }
    for (name, what, bytes) in vectors("independent.json", "vectors") {
        if what == "run" {
            files.insert(format!("{name}-plain"), [&[1], &*bytes].concat());
            files.insert(format!("{name}-packed"), [&[3], &*bytes].concat());
        }
    }
    let announced = |length: u32| [&[0, 0, 7, 1][..], &length.to_be_bytes(), &[0x28, 0xb5, 0x2f, 0xfd]].concat();
    files.insert("run-announces-4-gib".to_owned(), announced(u32::MAX));
    files.insert("run-announces-1-mib".to_owned(), announced(1 << 20));
    files.insert("list-announces-65535".to_owned(), vec![0, 0, 5, 0xff, 0xff, 1, 2]);
    files
}

fn guards() -> Files {
    let mut files = Files::new();
    for (number, seed) in guard::seeds().into_iter().enumerate() {
        // Whole and without its seal, of each history's first node.
        if number % 6 < 2 {
            files.insert(format!("honest-{number}"), seed);
        }
    }
    for (name, bytes) in bombs() {
        files.insert(format!("bomb-{name}"), [&[0], &*bytes].concat());
    }
    let mut random = Random::new(1);
    let mut void: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for round in 0..LOOKED_THROUGH {
        let (form, ground, victim) = guard::place(u8::try_from(round % 256).expect("below 256"));
        let change = match round % 2 {
            0 => Some(damage(&mut random, victim, &ground.made)),
            _ => twist(&mut random, ground, victim),
        };
        let Some(change) = change.filter(|change| change.len() < 2_000) else { continue };
        let code = match verdict(ground, &victim.scan.actor.author(), &change) {
            Ok(_) => "none",
            Err(reason) => reason.code(),
        };
        let bytes = [&[form], &*change].concat();
        let kept = void.entry(code).or_insert_with(|| bytes.clone());
        if bytes.len() < kept.len() {
            *kept = bytes;
        }
    }
    files.extend(void.into_iter().map(|(code, bytes)| (format!("void-{code}"), bytes)));
    files
}

/// Small changes that announce a lot (T51–T53, T56), by the author of [`guard::place`]'s first history.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let first = || Raw::first(Actor::new(&AuthorKey::new([1; 32]), 1));
    let run = |rows: i64, value: u64| {
        let mut bytes = Vec::new();
        sleb(&mut bytes, rows);
        uleb(&mut bytes, value);
        bytes
    };
    vec![
        ("rows", first().column(0x42, &run(1 << 50, 0)).bytes()),
        ("nulls", first().column(0x11, &run(0, u64::MAX)).bytes()),
        ("literals", first().column(0x13, &run(i64::MIN, 0)).bytes()),
        ("preds", first().column(0x70, &run(1, 1_000_000_000)).bytes()),
        ("values", first().column(0x56, &run(1, 1_000_000_000 << 4 | 6)).bytes()),
        ("key", first().column(0x15, &run(1, u64::MAX)).bytes()),
        ("counter", Raw { start_op: u64::from(u32::MAX), ..first() }.bytes()),
        ("document", chunk(0, &[0xff; 64])),
        ("compressed", chunk(2, &[0xff; 64])),
    ]
}

fn imports() -> Files {
    let flows = "#id,#date,#value,#org,#adm,#value,#currency,#status\n\
        1,2021-02-25,100,Donor,AFG,,,paid\n2,2021-02-25,606796.5,\"Two, of them\",AFG,250000,EUR,commitment\n\
        ,2021-02-25,1,X,AFG,,,\n4,2021,-1,X,AFG,,,\n5,short\n";
    let items = "A1,Poland,2022-03-01,Military,Weapons,x,Military equipment,.,5,EUR,100\n\
        A2,Norway,until 7/27/2022,Humanitarian,Medicines,x,Humanitarian,.,undisclosed,USD,.\n\
        A3,Ruritania,2022-03-01,Financial,Loan,x,.,.,0,EUR,.\nA4,too,short\n\
        A5,Ukraine,2022-03-01,Military,Weapons,x,Heavy weapon,.,10000000000000000000,EUR,.\n";
    let json = r#"{"data":{"flows":[{"id":"1","date":"2020-01-02T00:00:00Z","amountUSD":100,"originalAmount":90.5,
        "originalCurrency":"EUR","description":"food","status":"paid","childFlowIds":null,
        "sourceObjects":[{"type":"Organization","name":"Donor"}],"destinationObjects":[{"type":"Location","name":"AFG"}]},
        {"id":2,"amountUSD":"x"},{"id":"3","amountUSD":1,"childFlowIds":["1"]},7]}}"#;
    let hashtags = "Who,What,Where,When,How much\n#org+name,#sector/en,#country,# date +reported,#value+usd\n\
        OMS,WASH,Ukraine,1 March 2022,\"1,500.5\"\nOMS,,,03/04/2022,x\n,,,,\nshort\n";
    let transactions = "<title><narrative>Food &amp; tents &#233; &x;</narrative></title><recipient-country code=\"UA\"/>\
        <transaction><transaction-type code=\"3\"/><transaction-date iso-date=\"2022-03-01\"/><value>5.25</value>\
        <provider-org ref=\"XX\"><narrative>Donor</narrative></provider-org></transaction>\
        <transaction><transaction-type code=\"99\"/><value currency=\"JPY\">1</value></transaction></iati-activity>\
        </iati-activities>";
    let sums = "country,iso,year,month,total,financial,humanitarian,military,commitments,to_be_allocated,gdp,pct_gdp\n\
        Poland,POL,2022,3,0.25,0.1,0.1,0.05,0.25,0,600,0.04\nPoland,POL,2022,13,x,,,,,,,\n";
    let places = r#"{"PLGDN":{"name":"Gdansk","country":"Poland","coordinates":[18.65,54.35]},"XX":{"name":""}}"#;
    let scenario = |name: &str| {
        let path = workspace().join("testnet/scenarios").join(format!("{name}.toml"));
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    Files::from([
        ("flows-rows".to_owned(), [&[1], flows.as_bytes()].concat()),
        ("flows-whole".to_owned(), [&[0], import::FTS_HEAD.as_bytes(), flows.as_bytes()].concat()),
        ("flows-json".to_owned(), [&[0], json.as_bytes()].concat()),
        ("items-rows".to_owned(), [&[3], items.as_bytes()].concat()),
        ("items-whole".to_owned(), [&[2], import::KIEL_HEAD.as_bytes(), items.as_bytes()].concat()),
        ("items-not-text".to_owned(), [&[3][..], b"A1,Pol\xffand,\"\n", &[0xff; 20], b"\n"].concat()),
        ("hashtags".to_owned(), [&[5], hashtags.as_bytes()].concat()),
        ("activities-rows".to_owned(), [&[7], transactions.as_bytes()].concat()),
        ("activities-whole".to_owned(), [&[6], import::IATI_HEAD.as_bytes(), transactions.as_bytes()].concat()),
        ("sums".to_owned(), [&[8], sums.as_bytes()].concat()),
        ("places-ports".to_owned(), [&[9], places.as_bytes()].concat()),
        ("places-crossings".to_owned(), b"\x09name_en,neighbour,lat,lon\nA - B,Poland,51.2,23.8\nC,X,1,1\n".to_vec()),
        ("scenario-small".to_owned(), [&[4], &*scenario("three-nations")].concat()),
    ])
}

fn replicas() -> Files {
    let link = |peer: u8| [0, peer, 0];
    let push = |branch: u8, from: u8, count: u8| [2, 0, branch, from, count - 1, 0];
    let write = |record: u8, replaces: u8, key: u8| [9, record, replaces, key, 1];
    let answers: Vec<u8> = [6, 0, 0].repeat(12);
    let stories: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("nothing", vec![]),
        ("pushes", vec![link(0).into(), push(0, 0, 4).into(), push(1, 0, 3).into(), push(1, 2, 4).into()]),
        ("gap", vec![link(1).into(), push(1, 3, 3).into(), [11, 200].into(), answers.clone(), push(1, 0, 3).into()]),
        ("catch-up", vec![link(0).into(), vec![11, 10], answers.clone(), vec![11, 250], answers.clone()]),
        ("fork", vec![link(0).into(), push(2, 0, 4).into(), push(3, 0, 2).into(), vec![14]]),
        ("own-key-elsewhere", vec![link(0).into(), write(1, 0, 0).into(), push(4, 0, 1).into(), write(2, 0, 0).into()]),
        ("writes", vec![write(1, 0, 9).into(), write(1, 1, 9).into(), write(1, 1, 0).into(), write(1, 2, 1).into()]),
        ("restart", vec![write(1, 0, 11).into(), vec![14], write(1, 0, 11).into(), vec![14], write(2, 0, 0).into()]),
        ("disk-full", vec![link(0).into(), vec![13, 0], push(0, 0, 2).into(), write(1, 0, 0).into(), vec![13, 0]]),
        ("clock", vec![link(0).into(), vec![12, 200], vec![12, 201], vec![11, 255], write(1, 0, 0).into()]),
        ("stranger", vec![link(3).into(), link(3).into(), push(0, 0, 1).into(), vec![5, 0, 0, 0, 0], vec![12, 2]]),
        (
            "garbage",
            vec![link(1).into(), vec![4, 0, 4, 0, 99, 1, 2], link(1).into(), vec![4, 0, 2, 0, 4], link(1).into()],
        ),
        ("controls", vec![link(2).into(), vec![15, 0, 0], vec![15, 1, 1], push(2, 0, 4).into(), vec![14]]),
        (
            "asked",
            vec![
                link(0).into(),
                write(1, 0, 0).into(),
                vec![5, 0, 0, 5, 3],
                vec![5, 0, 1, 0, 2, 9, 5, 0, 0, 1, 4, 1, 0, 2],
            ],
        ),
    ];
    stories.into_iter().map(|(name, operations)| (name.to_owned(), operations.concat())).collect()
}
