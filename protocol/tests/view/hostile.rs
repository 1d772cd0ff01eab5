//! Fields no operator would write: each version is invalid with its reasons, counts as zero and harms nobody else.

use comity_protocol::guard::DraftWrite;
use comity_protocol::statement::Kind;
use comity_protocol::statement::check::check;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::reference::Ref;
use comity_protocol::statement::typed::Statement;
use comity_protocol::value::{Fields, Value};
use comity_protocol::view::View;
use comity_protocol::view::rows::FlagCode;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::json;

use crate::paper::Paper;
use crate::world::{Look, NOW, Side, World};

fn forced(kind: &str, fields: &[(&str, Value)]) -> DraftWrite {
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    DraftWrite { kind: kind.to_owned(), id: "0000000x01".to_owned(), replaces: Vec::new(), fields }
}

fn reason(kind: &str, fields: &[(&str, Value)]) -> String {
    let mut world = World::new();
    let need = world
        .west("UKR", json!({"kind":"requirement","fields":{"item":"pump","class":"IV","quantity":10,"unit":"each"}}));
    world.write(Side::East, "DEU", forced(kind, fields));
    let view = world.heal(NOW);
    assert_eq!(view.requirement(&need).cover.gap_if_all, 10);
    assert_eq!((view.invalid.len(), view.flagged(FlagCode::Invalid).len()), (1, 1));
    view.invalid[0].reason.clone()
}

#[test]
fn every_violation_is_named() {
    let fields = [
        ("quantity", Value::Text("ten".to_owned())),
        ("unit", Value::Uint(3)),
        ("item", Value::Text("x".repeat(16_384))),
        ("requirement", Value::Bytes(vec![1, 2, 3])),
        ("deliver_by", Value::Text("2026-02-30".to_owned())),
        ("currency", Value::Text("euro".to_owned())),
        ("status", Value::Text("closed".to_owned())),
    ];
    let reason = reason("pledge", &fields);
    for part in [
        "invalid: ",
        "quantity is text, not an unsigned number",
        "unit is an unsigned number, not text",
        "item has 16384 bytes, 1 to 512 allowed",
        "requirement is not a reference",
        "deliver_by is not a day",
        "currency is not three capital letters",
        "status is none of live, withdrawn",
    ] {
        assert!(reason.contains(part), "{part} is not in {reason}");
    }
}

#[test]
fn numbers_and_references_out_of_bounds_are_invalid() {
    let quantity = |quantity: u64| {
        reason(
            "pledge",
            &[
                ("package", Value::Text("p".to_owned())),
                ("item", Value::Text("i".to_owned())),
                ("unit", Value::Text("each".to_owned())),
                ("quantity", Value::Uint(quantity)),
            ],
        )
    };
    for bad in [0, 1_000_000_000_000_001, 10_000_000_000_000_000_000, u64::MAX] {
        assert_eq!(quantity(bad), "invalid: quantity is out of its bounds 1 to 1000000000000000");
    }
    let nation = World::new().nation("UKR");
    let hub = Value::Bytes(Ref::floating(nation, Kind::Hub, "0000000h01").encode());
    assert_eq!(
        reason("decline", &[("pledge", hub)]),
        "invalid: pledge refers to a record of the wrong kind; pledge must pin a version"
    );
    let short = reason(
        "receipt",
        &[
            ("counted", Value::Uint(5)),
            ("unit", Value::Text("each".to_owned())),
            ("line", Value::Uint(0)),
            ("wrong_item", Value::Uint(6)),
            ("shipment", Value::Bytes(Ref::floating(nation, Kind::Shipment, "0000000s01").encode())),
        ],
    );
    assert_eq!(short, "invalid: counted is less than what was not good of it");
}

#[test]
fn references_in_a_circle_come_to_an_end() {
    let mut world = World::new();
    let nation = world.nation("DEU");
    let about = |id: &str| vec![("about", Value::Bytes(Ref::floating(nation, Kind::Observation, id).encode()))];
    // One about itself, two about each other, and one about a record that is nowhere.
    for (id, other) in [("01", "01"), ("02", "03"), ("03", "02"), ("04", "99")] {
        let fields = about(&format!("00000000{other}"));
        let id = format!("00000000{id}");
        world.write(Side::West, "DEU", DraftWrite { id, ..forced("observation", &fields) });
    }
    let view = world.heal(NOW);
    assert_eq!((view.observations.len(), view.invalid.len()), (4, 0));
    assert_eq!(world.exported(Side::West, NOW).0.lines().count(), 4);
}

#[test]
fn text_that_steers_a_terminal_is_shown_and_not_obeyed() {
    let mut world = World::new();
    let item = "pump\u{202e}fed\u{1b}[2J\"=1+1";
    let fields = [
        ("item", Value::Text(item.to_owned())),
        ("class", Value::Text("IV".to_owned())),
        ("quantity", Value::Uint(1)),
        ("unit", Value::Text("each".to_owned())),
    ];
    world.write(Side::West, "UKR", forced("requirement", &fields));
    assert_eq!(world.heal(NOW).requirements[0].item, item);
    let (jsonl, csv) = world.exported(Side::West, NOW);
    assert!(jsonl.contains("pump\\u202efed\\u001b[2J\\\"=1+1"));
    for text in [&jsonl, &csv] {
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'));
    }
    let row: serde_json::Value = serde_json::from_str(jsonl.lines().next().expect("one line")).expect("valid JSON");
    assert_eq!(row["fields"]["item"], item);
}

#[test]
fn unknown_kinds_and_fields_are_kept_and_allowed() {
    let mut world = World::new();
    world.write(Side::West, "UKR", forced("from_the_future", &[("x", Value::Bytes(vec![255]))]));
    let fields = [
        ("name", Value::Text("Ukraine".to_owned())),
        ("motto", Value::Map(Fields::from([("a".to_owned(), Value::Null)]))),
    ];
    let profile =
        world.write(Side::West, "UKR", DraftWrite { id: "0000000x02".to_owned(), ..forced("profile", &fields) });
    let view = world.heal(NOW);
    assert_eq!((view.profiles.len(), view.invalid.len(), view.flags.len()), (1, 0, 0));
    let (jsonl, _) = world.exported(Side::West, NOW);
    assert!(jsonl.contains("\"kind\":\"from_the_future\"") && jsonl.contains("{\"x\":\"ff\"}"));
    // A revision through a draft keeps what this software does not know.
    world.west("UKR", json!({"kind":"profile","record":profile,"fields":{"contact":"duty officer"}}));
    let (jsonl, _) = world.exported(Side::West, NOW);
    assert_eq!(jsonl.matches("\"motto\":{\"a\":null}").count(), 2);
}

fn value() -> impl Strategy<Value = Value> {
    let nation = comity_protocol::ids::NationId::new([1; 32]);
    let reference = (0..Kind::ALL.len(), 0..4_u8, any::<bool>()).prop_map(move |(kind, id, pinned)| {
        let mut reference = Ref::floating(nation, Kind::ALL[kind], &format!("000000000{id}"));
        reference.version = pinned.then_some(comity_protocol::ids::EnvelopeId::new([id; 32]));
        Value::Bytes(reference.encode())
    });
    let leaf = prop_oneof![
        reference,
        any::<String>().prop_map(Value::Text),
        Just(Value::Text("each".to_owned())),
        Just(Value::Text("2026-02-28".to_owned())),
        Just(Value::Text("IV".to_owned())),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Value::Bytes),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Uint),
        (0..2_000_u64).prop_map(Value::Uint),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof![
            (0..4_u8).prop_map(|n| n.to_string()),
            "[a-z]{1,6}",
            Just("pledge".to_owned()),
            Just("quantity".to_owned()),
            Just("unit".to_owned())
        ];
        proptest::collection::btree_map(key, inner, 0..6).prop_map(Value::Map)
    })
}

fn fields(kind: Kind) -> impl Strategy<Value = Fields> {
    let names: Vec<String> = kind.spec().all_fields().map(|field| field.name.to_owned()).collect();
    let name = prop_oneof![9 => proptest::sample::select(names), 1 => "[a-z_]{1,8}"];
    proptest::collection::btree_map(name, value(), 0..16)
}

proptest! {
    #[test]
    fn no_fields_panic(writes in proptest::collection::vec((0..Kind::ALL.len()).prop_flat_map(|kind| (Just(Kind::ALL[kind]), 0..4_u8, fields(Kind::ALL[kind]))), 0..12)) {
        let mut paper = Paper::new();
        for (kind, id, fields) in writes {
            assert_eq!(check(kind, &fields).is_empty(), Statement::read(kind, &fields).is_ok());
            paper.write("UKR", 1, kind.name(), &format!("000000000{id}"), &[], fields);
        }
        let tables = paper.tables(|_| {});
        let ledger = Ledger::new(paper.nations(), tables.iter().map(|(id, table)| (*id, table)).collect());
        let view = View::of(&ledger, NOW);
        let exported = comity_protocol::view::export::jsonl(&ledger, &view, view.as_of);
        for line in exported.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
        let _ = comity_protocol::view::export::csv(&ledger, &view, view.as_of);
    }
}
