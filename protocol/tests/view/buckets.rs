//! DOMAIN 2.4, 2.5 and 2.7: buckets, states, cover without one nation.

use comity_protocol::view::coverage::{CoverageRow, coverage};
use comity_protocol::view::rows::{FlagCode, Overlay, PledgeState, RequirementState};
use serde_json::json;

use crate::world::{Look, NOW, World, day};

struct Worked {
    world: World,
    requirement: String,
    deu: String,
    pol: String,
    fra: String,
}

/// DOMAIN 2.5: R 1,000. DEU P 400, A 400, S 300, G 250, X 10. POL P 300, A 200. FRA P 500 conditional.
fn worked() -> Worked {
    let mut world = World::new();
    let requirement = world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"generator","class":"IV","quantity":1000,"unit":"each"}}),
    );
    let pledge = |quantity: u64, conditions: &[&str]| json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":quantity,"conditions":conditions}});
    let deu = world.west("DEU", pledge(400, &[]));
    let pol = world.west("POL", pledge(300, &[]));
    let fra = world.west("FRA", pledge(500, &["parliament"]));
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":deu}}));
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pol,"quantity":200}}));
    let shipment = world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":deu,"quantity":300}]}}));
    world.west("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    world.west(
        "UKR",
        json!({"kind":"receipt","fields":{"shipment":shipment,"line":0,"counted":260,"damaged":{"other":10}}}),
    );
    Worked { world, requirement, deu, pol, fra }
}

fn figures(world: &mut World, requirement: &str) -> [u64; 9] {
    let view = world.heal(NOW);
    let cover = view.requirement(requirement).cover;
    [
        cover.delivered,
        cover.in_transit,
        cover.to_ship,
        cover.offered_firm,
        cover.offered_conditional,
        cover.gap_firm,
        cover.gap_after_offers,
        cover.gap_if_all,
        cover.surplus,
    ]
}

#[test]
fn the_worked_case_has_the_figures_of_the_domain() {
    let Worked { mut world, requirement, deu, pol, fra } = worked();
    assert_eq!(figures(&mut world, &requirement), [250, 40, 310, 100, 500, 400, 300, 0, 0]);
    let view = world.heal(NOW);
    let sums = view.pledge(&deu).buckets;
    assert_eq!(
        (sums.dispatched, sums.delivered, sums.not_good, sums.in_transit, sums.to_ship),
        (300, 250, 10, 40, 110)
    );
    assert_eq!(view.pledge(&deu).state, PledgeState::PartDelivered);
    assert_eq!(view.pledge(&pol).state, PledgeState::PartAccepted);
    assert_eq!(view.pledge(&fra).state, PledgeState::Conditional);
    assert_eq!(view.requirement(&requirement).state, RequirementState::PartCovered);
    assert_eq!(view.requirement(&requirement).pledges.len(), 3);
}

#[test]
fn the_worked_case_is_the_same_with_the_conditional_pledge_accepted() {
    let Worked { mut world, requirement, fra, .. } = worked();
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":fra}}));
    assert_eq!(figures(&mut world, &requirement), [250, 40, 310, 100, 500, 400, 300, 0, 0]);
}

#[test]
fn closing_the_condition_makes_the_acceptance_count() {
    let Worked { mut world, requirement, fra, .. } = worked();
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":fra}}));
    world.west("FRA", json!({"kind":"pledge","record":fra,"fields":{"conditions":null}}));
    assert_eq!(figures(&mut world, &requirement), [250, 40, 810, 100, 0, 0, 0, 0, 100]);
}

#[test]
fn coverage_without_a_nation_keeps_what_it_delivered() {
    let Worked { mut world, requirement, .. } = worked();
    let view = world.heal(NOW);
    let row = |cover_firm, gap_firm| {
        vec![CoverageRow {
            requirement: requirement.clone(),
            item: "generator".to_owned(),
            quantity: 1000,
            unit: "each".to_owned(),
            cover_firm,
            gap_firm,
        }]
    };
    assert_eq!(coverage(&view, None), row(600, 400));
    assert_eq!(coverage(&view, Some(world.nation("DEU"))), row(450, 550));
    assert_eq!(coverage(&view, Some(world.nation("POL"))), row(400, 600));
    // P10: a nation with no statements changes nothing, nor does one whose offer was never firm.
    assert_eq!(coverage(&view, Some(world.nation("FRA"))), row(600, 400));
    assert_eq!(coverage(&view, Some(world.nation("UKR"))), row(600, 400));
}

#[test]
fn a_requirement_goes_from_open_to_fulfilled() {
    let mut world = World::new();
    let requirement = world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"blanket","class":"II","quantity":"1","unit":"dozen"}}),
    );
    let state = |world: &mut World| world.heal(NOW).requirement(&requirement).state;
    assert_eq!(state(&mut world), RequirementState::Open);
    let pledge =
        world.west("POL", json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":12,"unit":"each"}}));
    assert_eq!(state(&mut world), RequirementState::Offered);
    let accept = world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge,"quantity":"0.5","unit":"dozen"}}));
    assert_eq!(state(&mut world), RequirementState::PartCovered);
    world.west("UKR", json!({"kind":"accept","record":accept,"fields":{"quantity":1,"unit":"dozen"}}));
    assert_eq!(state(&mut world), RequirementState::Covered);
    assert_eq!(world.heal(NOW).requirement(&requirement).overlays, [Overlay::Fragile]);
    let shipment =
        world.west("POL", json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":6,"unit":"pair"}]}}));
    world.west("POL", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    world.west("UKR", json!({"kind":"receipt","fields":{"shipment":shipment,"line":0,"counted":6}}));
    assert_eq!(state(&mut world), RequirementState::Fulfilled);
    assert_eq!(world.heal(NOW).pledge(&pledge).state, PledgeState::Delivered);
    assert!(world.heal(NOW).flags.is_empty(), "an orderly delivery raises no flag");
    let closed = json!({"kind":"requirement","record":requirement,"status":"closed"});
    world.west("UKR", closed);
    assert_eq!(state(&mut world), RequirementState::Closed);
    assert!(world.heal(NOW).flags.is_empty());
}

#[test]
fn an_expired_or_declined_pledge_offers_nothing_more() {
    let mut world = World::new();
    let requirement = world
        .west("UKR", json!({"kind":"requirement","fields":{"item":"tent","class":"II","quantity":10,"unit":"each"}}));
    let expiring = world
        .west("DEU", json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":4,"expires":"2026-01-05"}}));
    let declined = world.west("POL", json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":3}}));
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":expiring}}));
    world.west("UKR", json!({"kind":"decline","fields":{"pledge":declined,"reason":"enough of these"}}));
    let before = world.heal(day(4));
    assert_eq!(before.pledge(&expiring).state, PledgeState::Accepted);
    assert_eq!(before.pledge(&declined).state, PledgeState::Declined);
    assert_eq!(before.requirement(&requirement).cover.gap_firm, 6);
    assert_eq!(before.requirement(&requirement).cover.gap_after_offers, 6);
    let after = world.heal(day(5));
    assert_eq!(after.pledge(&expiring).state, PledgeState::Expired);
    assert_eq!(after.pledge(&expiring).buckets.pledged, 0);
    assert_eq!(after.requirement(&requirement).cover.gap_firm, 10);
}

#[test]
fn a_need_past_its_day_is_late() {
    let mut world = World::new();
    let requirement = world.west("UKR", json!({"kind":"requirement","fields":{"item":"tent","class":"II","quantity":10,"unit":"each","needed_by":"2026-01-03"}}));
    assert!(world.heal(day(2)).requirement(&requirement).overlays.is_empty());
    assert_eq!(world.heal(day(3)).requirement(&requirement).overlays, [Overlay::Late]);
}

#[test]
fn rows_come_in_the_order_of_urgency() {
    let mut world = World::new();
    let need = |priority: u64, needed_by: &str| json!({"kind":"requirement","fields":{"item":"water","class":"I","quantity":1,"unit":"m3","priority":priority,"needed_by":needed_by}});
    let third = world.west("UKR", need(2, "2026-03-01"));
    let second = world.west("UKR", need(2, "2026-02-01"));
    let first = world.west("UKR", need(1, "2026-09-01"));
    let shown: Vec<String> = world.heal(NOW).requirements.iter().map(|row| row.head.name.to_string()).collect();
    assert_eq!(shown, [first, second, third]);
    assert!(world.heal(NOW).flagged(FlagCode::ClockSkew).is_empty());
}
