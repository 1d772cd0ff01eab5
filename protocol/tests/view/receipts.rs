//! What arrived: the three waybills of DOMAIN 2.5, and C14 to C17.

use comity_protocol::view::View;
use comity_protocol::view::goods::ShipmentState;
use comity_protocol::view::rows::{FlagCode, PledgeState};
use serde_json::{Value, json};

use crate::world::{Look, NOW, Side, World};

struct Truck {
    world: World,
    pledge: String,
    shipment: String,
}

/// P = A = S = 1000, on one line.
fn truck(parcels: &[&str]) -> Truck {
    let mut world = World::new();
    let requirement = world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"wheat flour","class":"I","quantity":1000,"unit":"each"}}),
    );
    let pledge = world.west("DEU", json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":1000}}));
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    let shipment = world.west(
        "DEU",
        json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":1000,"parcels":parcels}]}}),
    );
    world.west("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    Truck { world, pledge, shipment }
}

fn receipt(shipment: &str, fields: Value) -> Value {
    let mut draft = json!({"kind":"receipt","fields":{"shipment":shipment,"line":0}});
    let inside = draft["fields"].as_object_mut().expect("fields");
    inside.extend(fields.as_object().expect("fields").clone());
    draft
}

/// D, X, T, L, O of the pledge, and the difference of its line.
fn figures(view: &View, truck: &Truck) -> ([u64; 5], Option<i64>) {
    let sums = view.pledge(&truck.pledge).buckets;
    let line = &view.shipment(&truck.shipment).lines[0];
    assert_eq!(line.good + line.not_good, line.received);
    ([sums.delivered, sums.not_good, sums.in_transit, sums.lost, sums.to_ship], line.difference)
}

#[test]
fn care_a_dispatched_1000_counted_975_of_it_5_torn_2_stained() {
    let mut truck = truck(&[]);
    let counted = json!({"counted":975,"damaged":{"torn":5,"stained":2}});
    let first = truck.world.west("UKR", receipt(&truck.shipment, counted));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([968, 7, 25, 0, 7], None));
    assert_eq!(view.shipment(&truck.shipment).state, ShipmentState::PartReceived);
    assert!(view.flagged(FlagCode::Discrepancy).is_empty(), "the rest may still come");
    truck.world.west("UKR", json!({"kind":"receipt","record":first,"fields":{"final":true}}));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([968, 7, 0, 25, 32], Some(-25)));
    assert_eq!(view.shipment(&truck.shipment).state, ShipmentState::Received);
    view.one_flag(FlagCode::Discrepancy, &[&truck.shipment, &truck.pledge, &first], &["DEU", "UKR"]);
}

#[test]
fn care_b_dispatched_1000_counted_1010_of_it_18_not_good() {
    let mut truck = truck(&[]);
    let counted = json!({"counted":1010,"damaged":{"torn":5,"mouldy":3},"underweight":10});
    truck.world.west("UKR", receipt(&truck.shipment, counted));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([992, 18, 0, 0, 8], Some(10)));
    assert_eq!(view.shipment(&truck.shipment).lines[0].damaged.mouldy, 3);
    assert_eq!(view.flagged(FlagCode::Discrepancy).len(), 1);
}

#[test]
fn care_c_dispatched_1000_counted_990() {
    let mut truck = truck(&[]);
    let first = truck.world.west("UKR", receipt(&truck.shipment, json!({"counted":990})));
    assert_eq!(figures(&truck.world.heal(NOW), &truck), ([990, 0, 10, 0, 0], None));
    truck.world.west("UKR", json!({"kind":"receipt","record":first,"fields":{"final":true}}));
    assert_eq!(figures(&truck.world.heal(NOW), &truck), ([990, 0, 0, 10, 10], Some(-10)));
}

#[test]
fn c14_two_sites_book_the_same_truck_without_parcel_marks() {
    let mut truck = truck(&[]);
    truck.world.cut();
    let west = truck.world.west("UKR", receipt(&truck.shipment, json!({"counted":980,"damaged":{"torn":5}})));
    let east = truck.world.east("UKR2", receipt(&truck.shipment, json!({"counted":990})));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([990, 0, 10, 0, 0], None), "the larger, not the sum");
    view.one_flag(FlagCode::PossibleDuplicateReceipt, &[&west, &east], &["UKR"]);
}

#[test]
fn c14_partial_receipts_that_fit_what_left_add_up() {
    let mut truck = truck(&[]);
    truck.world.cut();
    truck.world.west("UKR", receipt(&truck.shipment, json!({"counted":400})));
    truck.world.east("UKR2", receipt(&truck.shipment, json!({"counted":500})));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([900, 0, 100, 0, 0], None));
    assert!(view.flagged(FlagCode::PossibleDuplicateReceipt).is_empty());
}

#[test]
fn c14_a_site_that_had_seen_the_other_receipt_adds_to_it() {
    let mut truck = truck(&[]);
    truck.world.west("UKR", receipt(&truck.shipment, json!({"counted":600})));
    truck.world.west("UKR2", receipt(&truck.shipment, json!({"counted":500})));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([1100, 0, 0, 0, 0], Some(100)));
    assert!(view.flagged(FlagCode::PossibleDuplicateReceipt).is_empty());
}

#[test]
fn c14_a_parcel_counts_once() {
    let mut truck = truck(&["a", "b", "c", "d"]);
    truck.world.cut();
    let west = truck
        .world
        .west("UKR", receipt(&truck.shipment, json!({"counted":750,"parcels":["a","b","c"],"damaged":{"torn":100}})));
    let east = truck.world.east("UKR2", receipt(&truck.shipment, json!({"counted":750,"parcels":["b","c","d"]})));
    let view = truck.world.heal(NOW);
    // The east's clock is behind, so its count comes first. One new parcel of three is left: 250, and of 100 torn 34.
    assert_eq!(figures(&view, &truck), ([966, 34, 0, 0, 34], None));
    view.one_flag(FlagCode::PossibleDuplicateReceipt, &[&west, &east], &["UKR"]);
}

#[test]
fn c15_more_counted_than_dispatched_is_a_discrepancy_at_once() {
    let mut truck = truck(&[]);
    truck.world.cut();
    truck.world.west("UKR", receipt(&truck.shipment, json!({"counted":1200})));
    truck.world.east("FRA", json!({"kind":"profile","fields":{"name":"France"}}));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([1200, 0, 0, 0, 0], Some(200)));
    assert_eq!(view.pledge(&truck.pledge).state, PledgeState::Delivered);
    view.one_flag(FlagCode::Discrepancy, &[&truck.shipment, &truck.pledge], &["DEU", "UKR"]);
}

#[test]
fn c16_what_was_counted_is_not_lost() {
    let mut truck = truck(&[]);
    truck.world.cut();
    let loss = truck.world.west(
        "DEU",
        json!({"kind":"loss_report","fields":{"shipment":truck.shipment,"line":0,"quantity":300,"reason":"fire"}}),
    );
    let counted = truck.world.east("UKR", receipt(&truck.shipment, json!({"counted":900})));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([900, 0, 0, 100, 100], None));
    view.one_flag(FlagCode::LossContradicted, &[&loss, &counted], &["DEU"]);
}

#[test]
fn c16_a_lost_parcel_that_was_counted_is_not_lost() {
    let mut truck = truck(&["a", "b"]);
    truck.world.cut();
    truck.world.west(
        "DEU",
        json!({"kind":"loss_report","fields":{"shipment":truck.shipment,"line":0,"quantity":1000,"parcels":["a","b"]}}),
    );
    truck.world.east("UKR", receipt(&truck.shipment, json!({"counted":400,"parcels":["a"]})));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([400, 0, 100, 500, 500], None));
    assert_eq!(view.flagged(FlagCode::LossContradicted).len(), 1);
}

#[test]
fn a_loss_without_a_receipt_reopens_what_is_to_ship() {
    let mut truck = truck(&[]);
    truck.world.west(
        "DEU",
        json!({"kind":"loss_report","fields":{"shipment":truck.shipment,"line":0,"quantity":1,"unit":"dozen"}}),
    );
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([0, 0, 988, 12, 12], None));
    assert!(view.flags.is_empty());
}

#[test]
fn c17_another_item_than_pledged_is_not_good() {
    let mut truck = truck(&[]);
    truck.world.cut();
    truck.world.west("POL", json!({"kind":"profile","fields":{"name":"Poland"}}));
    let counted = truck.world.east("UKR", receipt(&truck.shipment, json!({"counted":1000,"item":"maize flour"})));
    let view = truck.world.heal(NOW);
    assert_eq!(figures(&view, &truck), ([0, 1000, 0, 0, 1000], None));
    view.one_flag(FlagCode::Substitution, &[&counted, &truck.pledge], &["UKR"]);
}

#[test]
fn a_receipt_by_another_nation_or_for_a_foreign_line_counts_nowhere() {
    let truck = truck(&[]);
    let refused = truck.world.try_prepare(Side::West, "POL", receipt(&truck.shipment, json!({"counted":1000})));
    assert!(refused.expect_err("POL is not the recipient").to_string().contains("recipient nation"));
    let dispatch = json!({"kind":"dispatch","fields":{"shipment":truck.shipment}});
    assert!(truck.world.try_prepare(Side::West, "POL", dispatch).is_err());
    let line = receipt(&truck.shipment, json!({"counted":1,"line":3}));
    assert_eq!(
        truck.world.try_prepare(Side::West, "UKR", line).expect_err("no line 3").to_string(),
        "line: the shipment has no line 3"
    );
}
