//! DOMAIN 2.6, the way from donor to recipient: hubs and slots, permits, custody, returns and settlements.

use comity_protocol::guard::DraftWrite;
use comity_protocol::statement::Kind;
use comity_protocol::statement::reference::Ref;
use comity_protocol::value::{Fields, Value};
use comity_protocol::view::View;
use comity_protocol::view::coverage::coverage;
use comity_protocol::view::custody::CustodyState;
use comity_protocol::view::goods::ShipmentState;
use comity_protocol::view::passage::{AllotmentRow, SlotRow, SlotState};
use comity_protocol::view::rows::{FlagCode, Standing};
use comity_protocol::view::settlement::DiscrepancyState;
use serde_json::{Value as Json, json};

use crate::world::{Look, NOW, Side, World, day};

fn hub(world: &mut World, tonnes: u64) -> String {
    world.west(
        "POL",
        json!({"kind":"hub","fields":{"name":"Rzeszow","hub_kind":"airport","capacity":{"road":tonnes,"air":5}}}),
    )
}

fn ask(hub: &str, tonnes: u64, from: &str, priority: u64) -> Json {
    json!({"kind":"slot_request","fields":{"hub":hub,"mode":"road","tonnes":tonnes,"from":from,"priority":priority}})
}

fn grant(request: &str) -> Json {
    json!({"kind":"slot_grant","fields":{"request":request}})
}

fn slot<'v>(view: &'v View, reference: &str) -> &'v SlotRow {
    view.slots.iter().find(|row| row.head.name.to_string() == reference).expect("a slot")
}

fn share<'v>(view: &'v View, reference: &str) -> &'v AllotmentRow {
    view.allotments.iter().find(|row| row.head.name.to_string() == reference).expect("a share")
}

/// DOMAIN P7.
pub fn hubs_hold(view: &View) {
    for (at, hub) in view.hubs.iter().enumerate() {
        for (mode, capacity) in &hub.capacity {
            let slots = view.slots.iter().filter(|slot| slot.hub_row == Some(at) && slot.mode == *mode);
            let slots = slots.map(|slot| (slot.from, slot.to, slot.granted));
            let shares =
                view.allotments.iter().filter(|share| share.holds && share.hub_row == Some(at) && share.mode == *mode);
            let shares = shares.map(|share| (share.from, share.to, share.tonnes));
            let all: Vec<_> = slots.chain(shares).collect();
            for (day, _, _) in &all {
                let sum: u64 =
                    all.iter().filter(|(from, to, _)| (from..=to).contains(&day)).map(|(_, _, tonnes)| tonnes).sum();
                assert!(sum <= *capacity, "{sum} of {capacity} on {day}");
            }
        }
    }
}

#[test]
fn c09_grants_beyond_a_hubs_capacity_are_bumped_in_order() {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let deu = world.west("DEU", ask(&hub, 60, "2026-01-10", 2));
    let fra = world.west("FRA", ask(&hub, 60, "2026-01-10", 1));
    let other_day = world.west("DEU", ask(&hub, 100, "2026-01-11", 4));
    world.cut();
    let west = world.west("POL", grant(&deu));
    world.east("FRA", json!({"kind":"topic","fields":{"code":"x"}}));
    let view = world.heal(NOW);
    assert_eq!((slot(&view, &deu).state, slot(&view, &fra).state), (SlotState::Granted, SlotState::Requested));
    world.west("POL", grant(&fra));
    world.west("POL", grant(&other_day));
    let view = world.heal(NOW);
    hubs_hold(&view);
    let states = [&deu, &fra, &other_day].map(|request| slot(&view, request).state);
    assert_eq!(states, [SlotState::Bumped, SlotState::Granted, SlotState::Granted], "the more urgent comes first");
    view.one_flag(FlagCode::HubOverbooked, &[&deu, &west, &hub], &["POL"]);
    // The host clears it by more capacity.
    world.west("POL", json!({"kind":"hub","record":hub,"fields":{"capacity":{"road":120}}}));
    let view = world.heal(NOW);
    assert!(view.flagged(FlagCode::HubOverbooked).is_empty());
    assert_eq!(slot(&view, &deu).granted, 60);
}

#[test]
fn c09_two_sites_of_the_host_grant_one_slot_twice() {
    let mut world = World::new();
    // DEU hosts: it has two sites.
    let hub = world
        .west("DEU", json!({"kind":"hub","fields":{"name":"Leipzig","hub_kind":"airport","capacity":{"road":100}}}));
    let pol = world.west("POL", ask(&hub, 70, "2026-01-10", 3));
    let fra = world.west("FRA", ask(&hub, 70, "2026-01-10", 3));
    world.cut();
    world.west("DEU", grant(&pol));
    world.west("DEU", grant(&pol));
    world.east("DEU2", grant(&fra));
    let view = world.heal(NOW);
    hubs_hold(&view);
    let granted: Vec<u64> = [&pol, &fra].map(|request| slot(&view, request).granted).to_vec();
    assert_eq!(granted.iter().sum::<u64>(), 70, "one of the two has it, once");
    assert_eq!(view.flagged(FlagCode::HubOverbooked).len(), 1);
    assert_eq!(view.flagged(FlagCode::HubOverbooked)[0].clears, ["DEU"]);
}

#[test]
fn c09b_a_share_is_spent_and_handed_on_by_its_holder() {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let allot = |hub: &str, nation: &str, tonnes: u64| json!({"kind":"allotment","fields":{"hub":hub,"nation":nation,"mode":"road","tonnes":tonnes,"from":"2026-01-01","to":"2026-01-31"}});
    let deu = world.west("POL", allot(&hub, "DEU", 60));
    let request = world.west("FRA", ask(&hub, 50, "2026-01-10", 1));
    world.west("POL", grant(&request));
    let view = world.heal(NOW);
    hubs_hold(&view);
    assert_eq!(slot(&view, &request).state, SlotState::Bumped, "shares come before slots");
    // The host is cut off; the holder uses and hands on its own.
    world.cut();
    let mut part = allot(&hub, "FRA", 40);
    part["fields"]["part_of"] = json!(deu);
    let fra = world.east("DEU", part.clone());
    world.east("DEU", json!({"kind":"slot_use","fields":{"allotment":deu,"day":"2026-01-10","tonnes":20}}));
    world.east("FRA", json!({"kind":"slot_use","fields":{"allotment":fra,"day":"2026-01-10","tonnes":40}}));
    let view = world.heal(NOW);
    assert!(view.flagged(FlagCode::AllotmentExceeded).is_empty());
    assert_eq!((share(&view, &deu).handed_on, share(&view, &fra).holds), (40, true));
    world.cut();
    let beyond = world.east("DEU", json!({"kind":"slot_use","fields":{"allotment":deu,"day":"2026-01-10","tonnes":1}}));
    let view = world.heal(NOW);
    view.one_flag(FlagCode::AllotmentExceeded, &[&beyond, &deu], &["DEU"]);
    // More than there is cannot be handed on; nobody else hands on or uses a share.
    part["fields"]["tonnes"] = json!(30);
    let more = world.west("DEU", part.clone());
    let view = world.heal(NOW);
    assert!(!share(&view, &more).holds);
    let refused = world.try_prepare(Side::West, "UKR", part).expect_err("UKR does not hold it");
    assert_eq!(refused.to_string(), "part_of: only the shipping nation may write this: DEU");
    let refused = world.try_prepare(Side::West, "DEU", allot(&hub, "FRA", 1)).expect_err("not its hub");
    assert_eq!(refused.to_string(), "hub: only the host nation may write this: POL");
}

#[test]
fn c09b_shares_beyond_the_capacity_are_the_hosts_fault() {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let allot = |nation: &str| json!({"kind":"allotment","fields":{"hub":hub,"nation":nation,"mode":"road","tonnes":60,"from":"2026-01-01","to":"2026-01-31"}});
    world.cut();
    let first = world.west("POL", allot("DEU"));
    let second = world.west("POL", allot("FRA"));
    let view = world.heal(NOW);
    hubs_hold(&view);
    assert_eq!((share(&view, &first).holds, share(&view, &second).holds), (true, false));
    view.one_flag(FlagCode::AllotmentExceeded, &[&second, &hub], &["POL"]);
    for (from, to) in [("2026-01-02", "2026-01-01"), ("2026-01-01", "2027-01-02")] {
        let draft = json!({"kind":"allotment","fields":{"hub":hub,"nation":"DEU","mode":"road","tonnes":1,"from":from,"to":to}});
        assert!(world.try_prepare(Side::West, "POL", draft).is_err(), "{from} to {to}");
    }
}

#[test]
fn shares_in_a_circle_wait_for_ever() {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let own = |id: &str| {
        let hub = hub.rsplit('/').next().expect("a reference");
        let text = |text: &str| Value::Text(text.to_owned());
        let reference = |kind, code: &str, id: &str| Value::Bytes(Ref::floating(world.nation(code), kind, id).encode());
        let fields = [
            ("hub", reference(Kind::Hub, "POL", hub)),
            ("part_of", reference(Kind::Allotment, "DEU", id)),
            ("nation", Value::Bytes(world.nation("DEU").as_bytes().to_vec())),
            ("mode", text("road")),
            ("tonnes", Value::Uint(10)),
            ("from", text("2026-01-01")),
            ("to", text("2026-01-02")),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Fields>()
    };
    let (one, two) = (own("00000000a2"), own("00000000a1"));
    let write =
        |id: &str, fields| DraftWrite { kind: "allotment".to_owned(), id: id.to_owned(), replaces: Vec::new(), fields };
    world.cut();
    world.write(Side::West, "DEU", write("00000000a1", one));
    world.write(Side::East, "DEU2", write("00000000a2", two));
    let view = world.heal(NOW);
    assert!(view.allotments.iter().all(|row| !row.holds && row.head.standing == Standing::Pending));
}

#[test]
fn c10_a_hub_closed_beside_a_grant_voids_it() {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let before = world.west("DEU", ask(&hub, 10, "2026-01-01", 3));
    let after = world.west("DEU", ask(&hub, 10, "2026-01-10", 3));
    world.west("POL", grant(&before));
    world.cut();
    world.west("POL", json!({"kind":"hub","record":hub,"fields":{"open_to":"2026-01-05"}}));
    world.east("FRA", json!({"kind":"topic","fields":{"code":"x"}}));
    world.heal(NOW);
    let granted = world.west("POL", grant(&after));
    let view = world.heal(NOW);
    assert_eq!((slot(&view, &after).state, slot(&view, &after).granted), (SlotState::Void, 0));
    view.one_flag(FlagCode::HubClosed, &[&after, &granted, &hub], &["DEU"]);
    world.west("POL", json!({"kind":"hub","record":hub,"status":"closed"}));
    let used = world.west("DEU", json!({"kind":"slot_use","fields":{"request":after,"day":"2026-01-10","tonnes":10}}));
    let view = world.heal(NOW);
    let names: Vec<String> =
        view.flagged(FlagCode::HubClosed).iter().map(|flag| flag.statements[0].to_string()).collect();
    assert!(names.contains(&used) && names.contains(&after), "{names:?}");
}

#[test]
fn c11_a_slot_that_nobody_used_is_a_no_show_and_capacity_again() {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let deu = world.west("DEU", ask(&hub, 80, "2026-01-05", 1));
    let fra = world.west("FRA", ask(&hub, 80, "2026-01-05", 2));
    world.west("POL", grant(&deu));
    world.west("POL", grant(&fra));
    world.cut();
    world.east("FRA", json!({"kind":"slot_use","fields":{"request":fra,"day":"2026-01-05","tonnes":80}}));
    let view = world.heal(day(4));
    assert_eq!((slot(&view, &deu).state, slot(&view, &fra).state), (SlotState::Granted, SlotState::Bumped));
    let view = world.heal(day(5));
    hubs_hold(&view);
    assert_eq!((slot(&view, &deu).state, slot(&view, &fra).state), (SlotState::NoShow, SlotState::Used));
    view.one_flag(FlagCode::NoShow, &[&deu], &[]);
    // A withdrawn request releases the slot.
    world.west("DEU", json!({"kind":"slot_request","record":deu,"status":"withdrawn"}));
    let view = world.heal(day(5));
    assert_eq!(slot(&view, &deu).state, SlotState::Released);
    assert!(view.flagged(FlagCode::NoShow).is_empty());
}

#[test]
fn only_the_host_answers_a_request_and_only_its_writer_uses_the_slot() {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let deu = world.west("DEU", ask(&hub, 80, "2026-01-05", 1));
    let refused = |world: &World, site: &str, draft: Json| {
        world.try_prepare(Side::West, site, draft).expect_err("refused").to_string()
    };
    assert_eq!(refused(&world, "FRA", grant(&deu)), "request: only the host nation may write this: POL");
    let used = json!({"kind":"slot_use","fields":{"request":deu,"day":"2026-01-05","tonnes":80}});
    assert_eq!(refused(&world, "FRA", used), "request: only the shipping nation may write this: DEU");
    let pin = Ref::floating(world.nation("DEU"), Kind::SlotRequest, deu.rsplit('/').next().expect("an id"));
    let pin = Value::Bytes(pin.pinned(world.version(Side::West, &deu)).encode());
    let fields = Fields::from([("request".to_owned(), pin), ("tonnes".to_owned(), Value::Uint(80))]);
    world.cut();
    let write = DraftWrite { kind: "slot_grant".to_owned(), id: "0000000g01".to_owned(), replaces: Vec::new(), fields };
    world.write(Side::West, "FRA", write);
    let refusal = world.east("POL", json!({"kind":"slot_refuse","fields":{"request":deu,"reason":"full"}}));
    let view = world.heal(NOW);
    assert_eq!(slot(&view, &deu).state, SlotState::Refused);
    view.one_flag(FlagCode::NotAuthorised, &["FRA/slot_grant/0000000g01", &deu], &[]);
    assert!(view.statements.iter().any(|row| row.head.name.to_string() == refusal));
}

#[test]
fn a_slot_for_a_shipment_is_asked_for_by_those_who_send_or_carry_it() {
    let Convoy { mut world, shipment, hub, .. } = convoy(json!({}));
    let mut draft = ask(&hub, 10, "2026-01-10", 1);
    draft["fields"]["shipment"] = json!(shipment);
    draft["fields"]["leg"] = json!(1);
    let refused = |world: &World, site: &str| {
        world.try_prepare(Side::West, site, draft.clone()).expect_err("not its leg").to_string()
    };
    assert_eq!(refused(&world, "POL"), "shipment: only the shipping nation may write this: DEU UKR");
    let own = world.west("UKR", draft.clone());
    let forged = {
        let reference = |kind, code: &str, text: &str| {
            let id = text.rsplit('/').next().expect("an id");
            Value::Bytes(Ref::floating(world.nation(code), kind, id).encode())
        };
        let fields = [
            ("hub", reference(Kind::Hub, "POL", &hub)),
            ("mode", Value::Text("road".to_owned())),
            ("tonnes", Value::Uint(10)),
            ("from", Value::Text("2026-01-10".to_owned())),
            ("shipment", reference(Kind::Shipment, "DEU", &shipment)),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let id = "0000000r01".to_owned();
        world.cut();
        world.write(Side::West, "FRA", DraftWrite { kind: "slot_request".to_owned(), id, replaces: Vec::new(), fields })
    };
    let view = world.heal(NOW);
    assert_eq!(slot(&view, &own).head.standing, Standing::Counted);
    assert_eq!(slot(&view, &forged).head.standing, Standing::NotAuthorised);
    view.one_flag(FlagCode::NotAuthorised, &[&forged, &shipment], &[]);
}

/// Goods of DEU for UKR, by a carrier of POL through a hub of POL; four parcels of 25.
struct Convoy {
    world: World,
    need: String,
    pledge: String,
    shipment: String,
    hub: String,
}

fn convoy(extra: Json) -> Convoy {
    let mut world = World::new();
    let hub = hub(&mut world, 100);
    let need = world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"pump","class":"IV","quantity":100,"unit":"each","tolerance":2}}),
    );
    let pledge = world.west("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":100}}));
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    let mut first = json!({"from":"Leipzig","to":hub,"mode":"road","carrier":"POL","eta":"2026-01-10"});
    for (key, value) in extra.as_object().expect("an object") {
        first[key] = value.clone();
    }
    let legs = json!([first, {"from":hub,"to":"Lviv","mode":"road","carrier":"UKR","eta":"2026-01-12"}]);
    let shipment = world.west(
        "DEU",
        json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":100,"parcels":["a","b","c","d"]}],"legs":legs,"volume_l":900}}),
    );
    world.west("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    Convoy { world, need, pledge, shipment, hub }
}

fn custody(kind: &str, shipment: &str, leg: u64, fields: Json) -> Json {
    let mut draft = json!({"kind":kind,"fields":{"shipment":shipment,"leg":leg}});
    for (key, value) in fields.as_object().expect("an object") {
        draft["fields"][key] = value.clone();
    }
    draft
}

#[test]
fn c13_a_permit_withdrawn_under_way_blocks_the_leg_and_moves_nothing() {
    let mut world = World::new();
    let permit = world.west(
        "POL",
        json!({"kind":"transit_permit","fields":{"from":"Dresden","to":"Lviv","valid_from":"2026-01-01","valid_to":"2026-01-31","nation":"DEU"}}),
    );
    let need = world
        .west("UKR", json!({"kind":"requirement","fields":{"item":"pump","class":"IV","quantity":100,"unit":"each"}}));
    let pledge = world.west("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":100}}));
    let shipment = world.west(
        "DEU",
        json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":100}],"legs":[{"from":"Dresden","to":"Lviv","permit":permit}]}}),
    );
    world.cut();
    world.west("POL", json!({"kind":"transit_permit","record":permit,"status":"withdrawn"}));
    world.east("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    let view = world.heal(NOW);
    assert_eq!(view.requirement(&need).cover.in_transit, 100);
    assert!(view.shipment(&shipment).legs[0].blocked && !view.permits[0].holds);
    view.one_flag(FlagCode::RouteBlocked, &[&shipment, &permit], &["DEU"]);
    // The consignor sends it another way.
    let legs = json!([{"from":"Dresden","to":"Lviv","mode":"air"}]);
    world.west("DEU", json!({"kind":"shipment","record":shipment,"fields":{"legs":legs}}));
    assert!(world.heal(NOW).flagged(FlagCode::RouteBlocked).is_empty());
    // So it is where its days end, or it is for others.
    world.west("POL", json!({"kind":"transit_permit","record":permit,"fields":{"nation":"FRA"}}));
    world.west(
        "DEU",
        json!({"kind":"shipment","record":shipment,"fields":{"legs":[{"from":"Dresden","to":"Lviv","permit":permit}]}}),
    );
    assert!(world.heal(NOW).shipment(&shipment).legs[0].blocked, "for another nation");
    world.west("POL", json!({"kind":"transit_permit","record":permit,"fields":{"nation":null}}));
    assert!(!world.heal(NOW).shipment(&shipment).legs[0].blocked);
    assert!(world.heal(day(31)).shipment(&shipment).legs[0].blocked, "its last day has passed");
}

#[test]
fn custody_passes_when_both_sides_say_the_same() {
    let Convoy { mut world, need, pledge, shipment, hub } = convoy(json!({}));
    let held = |world: &mut World, code: &str| {
        let nation = world.nation(code);
        world.heal(NOW).pledge(&pledge).custody.get(&nation).copied().unwrap_or(0)
    };
    assert_eq!((held(&mut world, "DEU"), held(&mut world, "POL")), (100, 0));
    world.cut();
    world.west("DEU", custody("hand_over", &shipment, 0, json!({"to":"POL"})));
    let view = world.heal(NOW);
    assert_eq!(view.shipment(&shipment).legs[0].custody, CustodyState::Released);
    assert_eq!(held(&mut world, "DEU"), 100, "until the other side takes over");
    world.cut();
    world.east("POL", custody("take_over", &shipment, 0, json!({"from":"DEU"})));
    let view = world.heal(NOW);
    assert_eq!(view.shipment(&shipment).legs[0].custody, CustodyState::Transferred);
    assert_eq!((held(&mut world, "DEU"), held(&mut world, "POL")), (0, 100));
    // Without the carrier, what it holds is lost to the recipient; without the donor nothing is.
    let gap = |view: &View, code: &str, world: &World| coverage(view, Some(world.nation(code)))[0].gap_firm;
    assert_eq!((gap(&view, "POL", &world), gap(&view, "DEU", &world)), (100, 0));
    world.west("POL", custody("hand_over", &shipment, 0, json!({"hub":hub})));
    world.west("POL", custody("take_over", &shipment, 0, json!({"hub":hub})));
    let view = world.heal(NOW);
    let row = view.shipment(&shipment);
    assert_eq!(
        (row.state, row.at_hub, row.legs[0].hub_custody),
        (ShipmentState::AtHub, Some(0), CustodyState::Transferred)
    );
    assert_eq!((row.volume_l, view.requirement(&need).cover.in_transit), (Some(900), 100));
    world.west("UKR", custody("take_over", &shipment, 1, json!({})));
    assert_eq!(world.heal(NOW).shipment(&shipment).state, ShipmentState::Dispatched);
    assert_eq!(held(&mut world, "UKR"), 100);
}

#[test]
fn c28_custody_that_the_two_sides_tell_differently() {
    let Convoy { mut world, pledge, shipment, .. } = convoy(json!({"custody_hours":6}));
    world.cut();
    let given = world.west("DEU", custody("hand_over", &shipment, 0, json!({"to":"POL","parcels":["a","b","c"]})));
    let before = world.heal(day(0));
    assert_eq!(before.shipment(&shipment).legs[0].custody, CustodyState::Released);
    assert!(before.same_until < day(1), "six hours run out within the day");
    let view = world.heal(before.same_until);
    assert_eq!(view.shipment(&shipment).legs[0].custody, CustodyState::Open);
    view.one_flag(FlagCode::CustodyOpen, &[&given, &shipment], &["DEU"]);
    world.cut();
    let taken = world.east("POL", custody("take_over", &shipment, 0, json!({"parcels":["a","b"]})));
    let view = world.heal(NOW);
    assert_eq!(view.shipment(&shipment).legs[0].custody, CustodyState::Discrepancy);
    view.one_flag(FlagCode::CustodyDiscrepancy, &[&given, &taken, &shipment], &["DEU", "POL"]);
    let custody_of = |code: &str, world: &World| view.pledge(&pledge).custody.get(&world.nation(code)).copied();
    assert_eq!((custody_of("DEU", &world), custody_of("POL", &world)), (Some(50), Some(50)), "parcel by parcel");
    world.west("DEU", json!({"kind":"hand_over","record":given,"status":"withdrawn"}));
    let view = world.heal(NOW);
    assert_eq!(view.shipment(&shipment).legs[0].custody, CustodyState::Unilateral);
    view.one_flag(FlagCode::CustodyUnilateral, &[&taken], &["DEU", "POL"]);
    // Only nations on the way say anything of it.
    let refused =
        |site: &str, draft: Json| world.try_prepare(Side::West, site, draft).expect_err("refused").to_string();
    assert_eq!(
        refused("FRA", custody("take_over", &shipment, 0, json!({}))),
        "shipment: only the nation taking custody may write this: DEU POL UKR"
    );
    assert_eq!(refused("DEU", custody("hand_over", &shipment, 7, json!({}))), "leg: the shipment has no leg 7");
}

#[test]
fn c15_a_discrepancy_is_settled_by_both_halves() {
    let Convoy { mut world, shipment, .. } = convoy(json!({}));
    let receipt =
        world.west("UKR", json!({"kind":"receipt","fields":{"shipment":shipment,"line":0,"counted":90,"final":true}}));
    let view = world.heal(NOW);
    assert_eq!((view.discrepancies[0].state, view.discrepancies[0].difference), (DiscrepancyState::Open, -10));
    view.one_flag(FlagCode::Discrepancy, &[&shipment, &receipt], &["DEU", "UKR"]);
    assert_eq!(world.heal(day(32)).discrepancies[0].state, DiscrepancyState::Stale);
    let settle = |received: u64| json!({"kind":"settle","fields":{"shipment":shipment,"line":0,"dispatched":100,"received":received}});
    world.cut();
    world.west("DEU", settle(95));
    assert_eq!(world.heal(day(32)).discrepancies[0].state, DiscrepancyState::Proposed);
    world.cut();
    let own = world.east("UKR2", settle(90));
    let view = world.heal(NOW);
    assert_eq!(view.discrepancies[0].state, DiscrepancyState::Disputed);
    assert_eq!(view.shipment(&shipment).state, ShipmentState::Received);
    world.west("UKR", json!({"kind":"settle","record":own,"fields":{"received":95}}));
    let view = world.heal(NOW);
    assert_eq!(view.discrepancies[0].state, DiscrepancyState::Settled);
    assert!(view.flagged(FlagCode::Discrepancy).is_empty());
    assert_eq!(view.shipment(&shipment).state, ShipmentState::Closed);
    assert_eq!(view.pledges[0].buckets.delivered, 90, "the receipt alone makes goods delivered");
    let refused = world.try_prepare(Side::West, "FRA", settle(90)).expect_err("no party");
    assert!(refused.to_string().starts_with("shipment: only the consignor and recipient"), "{refused}");
}

#[test]
fn what_the_recipient_lets_pass_is_no_discrepancy() {
    let Convoy { mut world, shipment, .. } = convoy(json!({}));
    world.west("UKR", json!({"kind":"receipt","fields":{"shipment":shipment,"line":0,"counted":98,"final":true}}));
    let view = world.heal(NOW);
    assert_eq!(view.discrepancies[0].state, DiscrepancyState::WithinTolerance);
    assert!(view.flagged(FlagCode::Discrepancy).is_empty());
    assert_eq!(view.pledges[0].buckets.lost, 2);
}

#[test]
fn goods_sent_back_are_delivered_no_longer() {
    let Convoy { mut world, need, shipment, .. } = convoy(json!({}));
    world.west(
        "UKR",
        json!({"kind":"receipt","fields":{"shipment":shipment,"line":0,"counted":100,"damaged":{"torn":10}}}),
    );
    assert_eq!(world.heal(NOW).shipment(&shipment).state, ShipmentState::Received);
    world.cut();
    let back = |quantity: u64| json!({"kind":"return","fields":{"shipment":shipment,"line":0,"quantity":quantity,"reason":"torn"}});
    world.west("UKR", back(8));
    world.east("UKR2", back(7));
    let view = world.heal(NOW);
    let cover = view.requirement(&need).cover;
    assert_eq!((cover.delivered, cover.in_transit, cover.to_ship), (85, 0, 15), "the torn ones first, then good ones");
    assert_eq!(
        (view.shipment(&shipment).state, view.shipment(&shipment).lines[0].returned),
        (ShipmentState::Returning, 15)
    );
    world.west("UKR", back(1_000));
    assert_eq!(world.heal(NOW).requirement(&need).cover.delivered, 0, "no more than came");
    let refused = world.try_prepare(Side::West, "DEU", back(1)).expect_err("not the recipient");
    assert_eq!(refused.to_string(), "shipment: only the recipient nation may write this: UKR");
}
