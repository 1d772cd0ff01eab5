//! What the entry takes, fills in and refuses.

use comity_protocol::guard::DraftWrite;
use comity_protocol::statement::draft::{DraftFault, DraftProblem};
use comity_protocol::statement::ledger::ResolveError;
use comity_protocol::statement::typed::{Place, Says, Statement};
use comity_protocol::statement::units::QuantityProblem;
use comity_protocol::statement::{Kind, docs};
use serde_json::{Value as Json, json};

use crate::world::{NOW, Side, World};

fn need(world: &mut World) -> String {
    world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"diesel","class":"III","quantity":"2.5","unit":"m3"}}),
    )
}

fn refused(world: &World, site: &str, draft: Json) -> (String, DraftFault) {
    let error = world.try_prepare(Side::West, site, draft).expect_err("refused");
    (error.to_string(), error.fault())
}

#[test]
fn quantities_are_refused_at_entry_unless_whole_and_in_bounds() {
    let world = World::new();
    let pledge = |quantity: Json, unit: &str| json!({"kind":"pledge","fields":{"package":"p","item":"i","quantity":quantity,"unit":unit}});
    let problem = |quantity: Json, unit: &str| match world.try_prepare(Side::West, "DEU", pledge(quantity, unit)) {
        Err(error) => match error.problem {
            DraftProblem::Quantity(error) => Some(error.problem),
            other => panic!("{other}"),
        },
        Ok(_) => None,
    };
    assert_eq!(problem(json!(0), "kg"), Some(QuantityProblem::Zero));
    assert_eq!(problem(json!(-5), "kg"), Some(QuantityProblem::Negative));
    assert_eq!(problem(json!("10000000000000000000"), "each"), Some(QuantityProblem::TooLarge));
    assert_eq!(problem(json!(10_000_000_000_000_000_000_u64), "each"), Some(QuantityProblem::TooLarge));
    assert_eq!(problem(json!("0.0001"), "kg"), Some(QuantityProblem::NotWhole));
    assert_eq!(problem(json!("many"), "kg"), Some(QuantityProblem::NotANumber));
    assert_eq!(problem(json!("0.001"), "kg"), None);
    let (text, fault) = refused(&world, "DEU", pledge(json!(1), "pallet"));
    assert_eq!((text.as_str(), fault), ("unit: unit \"pallet\" is unknown", DraftFault::Input));
    let (text, _) = refused(&world, "DEU", json!({"kind":"pledge","fields":{"package":"p","item":"i","quantity":1}}));
    assert_eq!(text, "quantity: a unit is needed");
}

#[test]
fn references_must_name_exactly_one_record() {
    let mut world = World::new();
    let first = need(&mut world);
    let answer =
        |requirement: &str| json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":1,"unit":"l"}});
    let error = world.try_prepare(Side::West, "DEU", answer("UKR/requirement/zzzz")).expect_err("dangling");
    assert!(matches!(error.problem, DraftProblem::Resolve(ResolveError::NotFound(_))), "{error}");
    assert!(error.hint().is_some());
    let other = format!("{}z", &first[..first.len() - 1]);
    let fields = world.try_prepare(
        Side::West,
        "UKR",
        json!({"kind":"requirement","fields":{"item":"oil","class":"III","quantity":1,"unit":"l"}}),
    );
    let id = other.rsplit('/').next().expect("an id").to_owned();
    let fields = fields.expect("sound").fields;
    world.write(Side::West, "UKR", DraftWrite { kind: "requirement".to_owned(), id, replaces: Vec::new(), fields });
    let error = world.try_prepare(Side::West, "DEU", answer(&first[..first.len() - 1]));
    match error.expect_err("both begin like that").problem {
        DraftProblem::Resolve(ResolveError::Ambiguous { candidates, .. }) => {
            assert_eq!(candidates, [first.clone(), other])
        }
        problem => panic!("{problem}"),
    }
    let (text, _) = refused(&world, "DEU", answer("XXX/requirement/zzzz"));
    assert_eq!(text, "requirement: no member has the code \"XXX\"");
    let (text, _) = refused(&world, "DEU", answer("UKR/pledge/zzzz"));
    assert_eq!(text, "requirement: refers to a record of the wrong kind");
    assert!(world.try_prepare(Side::West, "DEU", answer(&first)).is_ok());
    let bare = first.rsplit('/').next().expect("an id");
    assert!(world.try_prepare(Side::West, "DEU", answer(bare)).is_ok(), "an id alone will do where it is unique");
}

#[test]
fn answers_pin_the_latest_version_and_fill_in_what_was_left_out() {
    let mut world = World::new();
    let need = need(&mut world);
    let pledge = world.west("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":"1.5"}}));
    let prepared =
        world.try_prepare(Side::West, "UKR", json!({"kind":"accept","fields":{"pledge":pledge}})).expect("sound");
    let Says::Accept(accept) = Statement::read(Kind::Accept, &prepared.fields).expect("valid").says else {
        panic!("an accept")
    };
    assert_eq!(accept.pledge.version, Some(world.version(Side::West, &pledge)));
    assert_eq!((accept.quantity.base, accept.quantity.unit), (1_500_000, "m3"));
    let prepared = world
        .try_prepare(Side::West, "UKR", json!({"kind":"accept","fields":{"pledge":pledge,"quantity":250,"unit":"l"}}))
        .expect("sound");
    let Says::Accept(accept) = Statement::read(Kind::Accept, &prepared.fields).expect("valid").says else {
        panic!("an accept")
    };
    assert_eq!((accept.quantity.base, accept.quantity.unit), (250_000, "l"));
}

#[test]
fn a_revision_rewrites_all_fields_and_lists_the_answers_it_had_seen() {
    let mut world = World::new();
    let need = need(&mut world);
    let pledge = world.west(
        "DEU",
        json!({"kind":"pledge","fields":{"requirement":need,"quantity":1,"lot":"depot 7","from_hub":"Lublin"}}),
    );
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    let draft = json!({"kind":"pledge","record":pledge,"fields":{"quantity":2,"lot":null}});
    let prepared = world.try_prepare(Side::West, "DEU", draft).expect("sound");
    assert_eq!((prepared.replaces.len(), prepared.revises), (1, Some(world.version(Side::West, &pledge))));
    let statement = Statement::read(Kind::Pledge, &prepared.fields).expect("valid");
    assert_eq!(statement.seen.iter().map(|seen| seen.kind.as_str()).collect::<Vec<_>>(), ["accept"]);
    assert!(statement.seen[0].version.is_some());
    let Says::Pledge(says) = statement.says else { panic!("a pledge") };
    assert_eq!((says.quantity.base, says.lot, says.from_hub), (2_000_000, None, Some(Place::Region("Lublin"))));
    let (text, fault) = refused(&world, "POL", json!({"kind":"pledge","record":pledge,"status":"withdrawn"}));
    assert_eq!((text, fault), (format!("record: {pledge} is a record of another nation"), DraftFault::Refused));
    let (text, _) = refused(&world, "DEU", json!({"kind":"pledge","record":pledge,"status":"closed"}));
    assert_eq!(text, "status: is none of live, withdrawn");
    let old = format!("{pledge}@{}", "0".repeat(64));
    let (text, fault) = refused(&world, "DEU", json!({"kind":"pledge","record":old,"fields":{"quantity":3}}));
    assert!(text.starts_with("the record is at version") && fault == DraftFault::Refused, "{text}");
}

#[test]
fn unknown_kinds_fields_and_shapes_are_refused_with_a_hint() {
    let world = World::new();
    let error = world.try_prepare(Side::West, "UKR", json!({"kind":"wish"})).expect_err("no such kind");
    assert!(error.hint().expect("a hint").contains("requirement"));
    let error = world
        .try_prepare(Side::West, "UKR", json!({"kind":"hub","fields":{"colour":"red"}}))
        .expect_err("no such field");
    assert_eq!(error.to_string(), "colour: hub has no such field");
    assert!(error.hint().expect("a hint").contains("hub_kind"));
    let hub = |fields: Json| {
        let mut all = json!({"name":"Rzeszow","hub_kind":"airport"});
        all.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
        world.try_prepare(Side::West, "POL", json!({"kind":"hub","fields":all})).map_err(|error| error.to_string())
    };
    let prepared =
        hub(json!({"lat":"50.11","lon":"22.019","capacity":{"air":500},"modes":["air","road"],"open_to":"2026-12-31"}))
            .expect("sound");
    let Says::Hub(says) = Statement::read(Kind::Hub, &prepared.fields).expect("valid").says else { panic!("a hub") };
    assert_eq!((says.lat, says.lon, says.capacity["air"]), (Some(50_110_000), Some(22_019_000), 500));
    assert_eq!(hub(json!({"lat":"91"})).expect_err("off the globe"), "lat: is out of its bounds -90000000 to 90000000");
    assert_eq!(
        hub(json!({"hub_kind":"bus stop"})).expect_err("no hub"),
        "hub_kind: is none of airport, port, rail, road, crossing, warehouse"
    );
    assert_eq!(
        hub(json!({"open_to":"31.12.2026"})).expect_err("no day"),
        "open_to: \"31.12.2026\" is not a day of the form YYYY-MM-DD, 1970 to 9999"
    );
    assert_eq!(
        hub(json!({"code":"x\u{202e}y"})).expect_err("hidden"),
        "code: holds an invisible or directional character"
    );
    assert_eq!(hub(json!({"capacity":["air"]})).expect_err("a list"), "capacity: wants values by name");
    assert_eq!(hub(json!({"status":"closed"})).expect_err("has its own place"), "status: hub has no such field");
    let (text, _) = refused(&world, "UKR", json!({"kind":"requirement","fields":{"item":"x","quantity":1,"unit":"l"}}));
    assert_eq!(text, "class: is missing");
}

#[test]
fn dispatches_take_quantities_by_line_in_the_unit_of_the_line() {
    let mut world = World::new();
    let need = need(&mut world);
    let pledge = world.west("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":2}}));
    let shipment = world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":"1.5"},{"pledge":pledge,"quantity":300,"unit":"l"}],
        "legs":[{"from":"Hamburg","to":"Lublin","mode":"rail","etd":"2026-01-05","eta":"2026-01-07"}]}}));
    let dispatch = |fields: Json| {
        let mut all = json!({"shipment":shipment,"at":"2026-01-05T08:00:00+01:00"});
        all.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
        world.try_prepare(Side::West, "DEU", json!({"kind":"dispatch","fields":all}))
    };
    let prepared = dispatch(json!({"lines":{"0":"0.5","1":100}})).expect("sound");
    let Says::Dispatch(says) = Statement::read(Kind::Dispatch, &prepared.fields).expect("valid").says else {
        panic!("a dispatch")
    };
    assert_eq!(says.lines.expect("stated").into_iter().collect::<Vec<_>>(), [(0, 500_000), (1, 100_000)]);
    assert_eq!(says.at.expect("stated").rfc3339(), "2026-01-05T07:00:00Z");
    assert_eq!(
        dispatch(json!({"lines":{"7":1}})).expect_err("no such line").to_string(),
        "lines.7: the shipment has no line 7"
    );
    assert_eq!(
        dispatch(json!({"lines":{"0":1},"unit":"kg"})).expect_err("kilograms of litres").to_string(),
        "lines.0: is in kg, which cannot be compared with m3"
    );
    assert_eq!(world.heal(NOW).shipments[0].lines[1].quantity, 300_000);
}

#[test]
fn one_statement_must_fit_one_change() {
    let world = World::new();
    let parcels: Vec<String> = (0..512).map(|n| format!("{n:0>120}")).collect();
    let draft = json!({"kind":"observation","fields":{"text":"x".repeat(5_000)}});
    assert_eq!(refused(&world, "UKR", draft).0, "text: has 5000 bytes, 1 to 4096 allowed");
    let draft = json!({"kind":"profile","fields":{"name":"x","ext_refs":parcels[..64],"addresses":parcels[..64]}});
    assert!(world.try_prepare(Side::West, "UKR", draft).is_ok());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the page of the manual is a file, and the test may rewrite it")]
fn the_manual_page_names_every_kind_field_and_unit() {
    let page = docs::markdown();
    for kind in Kind::ALL {
        assert!(page.contains(&format!("\n## {kind}\n")));
        for field in kind.spec().all_fields() {
            assert!(page.contains(&format!("| `{}` |", field.name)), "{}", field.name);
        }
    }
    assert!(page.contains("| dozen | each | 12 |"));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/domain-fields.md");
    if std::env::var_os("SNAPSHOTS").is_some_and(|mode| mode == "overwrite") {
        std::fs::write(&path, &page).expect("the manual can be written");
    }
    let written = std::fs::read_to_string(&path).expect("the manual has the page");
    assert!(written == page, "docs/domain-fields.md is out of date: run this test with SNAPSHOTS=overwrite");
}
