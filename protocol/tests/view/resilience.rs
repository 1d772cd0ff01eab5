//! DOMAIN 2.7: what breaks if somebody drops out, from statements to figures.

use comity_protocol::resilience::loss::losses;
use comity_protocol::resilience::network::{Flow, Network};
use comity_protocol::resilience::supply::Supply;
use serde_json::json;

use crate::world::{NOW, World};

fn pledged(world: &mut World, code: &str, requirement: &str, quantity: u64) -> String {
    let pledge = world.west(code, json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":quantity}}));
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    pledge
}

fn needed(world: &mut World, quantity: u64, priority: u64) -> String {
    let fields = json!({"item":"generator","class":"IV","quantity":quantity,"unit":"each","priority":priority});
    world.west("UKR", json!({"kind":"requirement","fields":fields}))
}

#[test]
fn urgent_needs_weigh_more_and_the_worst_loss_comes_first() {
    let mut world = World::new();
    let urgent = needed(&mut world, 100, 1);
    let later = needed(&mut world, 100, 4);
    pledged(&mut world, "POL", &urgent, 50);
    pledged(&mut world, "DEU", &later, 100);
    let view = world.heal(NOW);
    let found = losses(&Supply::of(&view));
    let ranked: Vec<_> = found.iter().map(|loss| (loss.nation, loss.weighted)).collect();
    assert_eq!(ranked, [(world.nation("POL"), 4 * 500_000), (world.nation("DEU"), 1_000_000)]);
    assert!(!found[0].needs[0].newly && found[1].needs[0].newly, "only what was covered is newly uncovered");
}

#[test]
fn a_need_taken_back_and_a_pledge_that_does_not_count_rest_on_nobody() {
    let mut world = World::new();
    let requirement = needed(&mut world, 100, 1);
    pledged(&mut world, "POL", &requirement, 100);
    world.west("UKR", json!({"kind":"requirement","record":requirement,"status":"withdrawn","fields":{}}));
    assert_eq!(losses(&Supply::of(&world.heal(NOW))), []);
}

#[test]
fn ways_of_shipments_pass_the_hubs_they_name() {
    let mut world = World::new();
    let hub = |code: &str, name: &str, tonnes: u64| json!({"kind":"hub","fields":{"name":name,"hub_kind":"airport","capacity":{"air":tonnes},"code":code}});
    let rzeszow = world.west("POL", hub("EPRZ", "Rzeszów", 400));
    let lublin = world.west("POL", hub("EPLB", "Lublin", 90));
    let requirement = needed(&mut world, 100, 1);
    for (from, via) in [("Berlin", &rzeszow), ("Paris", &lublin)] {
        let pledge = pledged(&mut world, "DEU", &requirement, 10);
        let legs = json!([{"from":from,"to":via,"mode":"air"},{"from":via,"to":"Lviv","mode":"road"}]);
        world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":10}],"legs":legs}}));
    }
    let network = Network::of(&world.heal(NOW));
    assert_eq!(network.places[&rzeszow], Some(400));
    assert_eq!(network.flow_without(|_| false), Flow::Tonnes(490));
    assert_eq!(network.flow_without(|place| place == rzeszow), Flow::Tonnes(90));
    assert_eq!(network.cut_off(|place| place == rzeszow), Vec::<String>::new());
    assert_eq!(network.cut_off(|place| place == rzeszow || place == lublin), ["Lviv"]);
    let mut cuts = network.cut_places();
    cuts.retain(|place| *place == rzeszow || *place == lublin);
    assert_eq!(cuts.len(), 2, "each is the only way of its goods");
}
