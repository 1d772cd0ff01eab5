//! The cases of DOMAIN 2.6, each through two replicas that were cut apart and heard of each other in either order.

use comity_protocol::guard::DraftWrite;
use comity_protocol::ids::{EnvelopeId, NationId};
use comity_protocol::statement::Kind;
use comity_protocol::statement::reference::Ref;
use comity_protocol::value::{Fields, Value};
use comity_protocol::view::rows::{AcceptOutcome, FlagCode, Overlay, PledgeState, RequirementState, Standing};
use serde_json::{Value as Json, json};

use crate::world::{Look, NOW, Side, World, day};

fn requirement(world: &mut World, quantity: u64) -> String {
    world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"generator","class":"IV","quantity":quantity,"unit":"each"}}),
    )
}

fn pledge(requirement: &str, quantity: u64) -> Json {
    json!({"kind":"pledge","fields":{"requirement":requirement,"quantity":quantity}})
}

fn accept(pledge: &str) -> Json {
    json!({"kind":"accept","fields":{"pledge":pledge}})
}

fn withdraw(reference: &str) -> Json {
    let kind = reference.split('/').nth(1).expect("a reference");
    json!({"kind":kind,"record":reference,"status":"withdrawn"})
}

/// Writes a statement that the entry would refuse.
fn force(world: &mut World, side: Side, site: &str, kind: &str, id: &str, fields: &[(&str, Value)]) -> String {
    let fields: Fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    world.write(side, site, DraftWrite { kind: kind.to_owned(), id: id.to_owned(), replaces: Vec::new(), fields })
}

fn bytes(nation: NationId, kind: Kind, id: &str, version: Option<EnvelopeId>) -> Value {
    let mut reference = Ref::floating(nation, kind, id);
    reference.version = version;
    Value::Bytes(reference.encode())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn id(reference: &str) -> &str {
    reference.rsplit('/').next().expect("a reference")
}

#[test]
fn c02_two_pledges_with_one_external_reference_count_once() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    world.cut();
    let funder = world
        .west("FRA", json!({"kind":"pledge","fields":{"requirement":need,"quantity":400,"ext_refs":["XM-DAC-7-9"]}}));
    let supplier = world.east("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":500,"lot":"depot 7","ext_refs":["A-1","XM-DAC-7-9"]}}));
    let view = world.heal(NOW);
    assert_eq!(view.requirement(&need).cover.offered_firm, 500, "the holder of the lot counts");
    assert_eq!(view.pledge(&funder).head.standing, Standing::SameGoods);
    view.one_flag(FlagCode::SameGoods, &[&funder, &supplier], &["DEU", "FRA"]);
}

#[test]
fn c02_without_a_lot_the_lower_coverage_counts() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    world.cut();
    let shared =
        |quantity: u64| json!({"kind":"pledge","fields":{"requirement":need,"quantity":quantity,"ext_refs":["X"]}});
    let lower = world.west("FRA", shared(400));
    let higher = world.east("DEU", shared(500));
    let view = world.heal(NOW);
    assert_eq!(view.requirement(&need).cover.offered_firm, 400);
    assert_eq!(view.pledge(&higher).head.standing, Standing::SameGoods);
    assert_eq!(view.pledge(&lower).head.standing, Standing::Counted);
    // The donors clear it: one withdraws, the other's counts.
    world.west("FRA", withdraw(&lower));
    let view = world.heal(NOW);
    assert_eq!(view.requirement(&need).cover.offered_firm, 500);
    assert!(view.flagged(FlagCode::SameGoods).is_empty());
}

#[test]
fn c03_concurrent_pledges_beyond_the_need_all_stay_offered() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    world.cut();
    let west = world.west("POL", pledge(&need, 700));
    let east = world.east("DEU", pledge(&need, 600));
    let view = world.heal(NOW);
    let row = view.requirement(&need);
    assert_eq!((row.cover.offered_firm, row.cover.gap_firm, row.cover.gap_after_offers), (1300, 1000, 0));
    assert_eq!((row.state, row.overlays.as_slice()), (RequirementState::Offered, &[Overlay::OverSubscribed][..]));
    view.one_flag(FlagCode::OverSubscribed, &[&need, &west, &east], &["UKR"]);
    assert_eq!(row.flags, [FlagCode::OverSubscribed]);
}

#[test]
fn c04_two_sites_accept_beyond_the_need() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let pol = world.west("POL", pledge(&need, 700));
    let deu = world.west("DEU", pledge(&need, 600));
    world.cut();
    let west = world.west("UKR", accept(&pol));
    let east = world.east("UKR2", accept(&deu));
    let view = world.heal(NOW);
    let row = view.requirement(&need);
    assert_eq!((row.cover.to_ship, row.cover.surplus, row.cover.gap_firm), (1300, 300, 0));
    assert!(row.overlays.contains(&Overlay::OverAccepted));
    view.one_flag(FlagCode::OverAccepted, &[&need, &west, &east], &["UKR"]);
}

#[test]
fn c05_a_withdrawal_that_crosses_an_acceptance_is_contested() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    world.cut();
    world.west("DEU", withdraw(&deu));
    let taken = world.east("UKR", accept(&deu));
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&deu).state, PledgeState::Contested);
    assert_eq!((view.requirement(&need).cover.gap_firm, view.requirement(&need).cover.gap_if_all), (1000, 1000));
    assert_eq!(view.accepts[0].outcome, AcceptOutcome::Contested);
    view.one_flag(FlagCode::Contested, &[&deu, &taken], &["DEU"]);
    // The donor reinstates it by a new revision.
    world.west("DEU", json!({"kind":"pledge","record":deu}));
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&deu).state, PledgeState::Accepted);
    assert!(view.flagged(FlagCode::Contested).is_empty());
}

#[test]
fn c05_what_moves_stays_counted_in_a_contested_pledge() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    let shipment = world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":deu,"quantity":150}]}}));
    world.west("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    world.cut();
    world.west("DEU", withdraw(&deu));
    world.east("UKR", accept(&deu));
    let view = world.heal(NOW);
    let sums = view.pledge(&deu).buckets;
    assert_eq!(
        (view.pledge(&deu).state, sums.in_transit, sums.to_ship, sums.pledged),
        (PledgeState::Contested, 150, 0, 150)
    );
    assert_eq!(view.requirement(&need).cover.gap_firm, 850);
}

#[test]
fn c05_a_withdrawal_that_had_seen_the_acceptance_counts_nothing() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    let taken = world.west("UKR", accept(&deu));
    world.cut();
    world.west("DEU", withdraw(&deu));
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&deu).state, PledgeState::Withdrawn);
    assert_eq!(view.accepts[0].outcome, AcceptOutcome::WithdrawnAfter);
    assert_eq!(view.requirement(&need).cover.gap_firm, 1000);
    view.one_flag(FlagCode::WithdrawnAfterAcceptance, &[&deu, &taken], &["DEU"]);
}

#[test]
fn c05_an_acceptance_that_had_seen_the_withdrawal_is_void() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    world.west("DEU", withdraw(&deu));
    let refused = world.try_prepare(Side::East, "UKR", accept(&deu)).expect_err("it is withdrawn");
    assert_eq!(refused.to_string(), format!("pledge: {deu}@{} is withdrawn", world.version(Side::East, &deu)));
    let pinned = bytes(world.nation("DEU"), Kind::Pledge, id(&deu), Some(world.version(Side::East, &deu)));
    let fields = [("pledge", pinned), ("quantity", Value::Uint(400)), ("unit", text("each"))];
    world.cut();
    force(&mut world, Side::East, "UKR", "accept", "0000000acc", &fields);
    let view = world.heal(NOW);
    assert_eq!((view.pledge(&deu).state, view.accepts[0].outcome), (PledgeState::Withdrawn, AcceptOutcome::Void));
}

#[test]
fn c06_a_smaller_pledge_cuts_an_acceptance_of_the_old_one() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    world.cut();
    world.west("DEU", json!({"kind":"pledge","record":deu,"fields":{"quantity":150}}));
    let taken = world.east("UKR", accept(&deu));
    let view = world.heal(NOW);
    assert_eq!((view.pledge(&deu).state, view.pledge(&deu).buckets.to_ship), (PledgeState::Accepted, 150));
    assert_eq!(view.requirement(&need).cover.gap_firm, 850);
    view.one_flag(FlagCode::StaleAccept, &[&deu, &taken], &["UKR"]);
}

#[test]
fn c06_a_material_change_makes_the_acceptance_stale() {
    for change in [json!({"deliver_by":"2026-06-01"}), json!({"conditions":["parliament"]}), json!({"item":"pump"})] {
        let mut world = World::new();
        let need = requirement(&mut world, 1000);
        let deu = world.west(
            "DEU",
            json!({"kind":"pledge","fields":{"requirement":need,"quantity":400,"deliver_by":"2026-03-01"}}),
        );
        world.cut();
        world.west("DEU", json!({"kind":"pledge","record":deu,"fields":change}));
        let taken = world.east("UKR", json!({"kind":"accept","fields":{"pledge":deu,"quantity":300}}));
        let view = world.heal(NOW);
        let sums = view.pledge(&deu).buckets;
        assert_eq!(view.pledge(&deu).state, PledgeState::StaleAccept);
        assert_eq!((sums.accepted, sums.to_ship), (0, 0));
        assert_eq!(sums.offered_firm + sums.offered_conditional, 400);
        assert!(sums.offered_conditional >= 300, "the accepted part is conditional now");
        assert_eq!(view.requirement(&need).cover.gap_firm, 1000);
        view.one_flag(FlagCode::StaleAccept, &[&deu, &taken], &["UKR"]);
        // The recipient accepts again.
        world.east("UKR", json!({"kind":"accept","record":taken,"fields":{"pledge":deu}}));
        assert!(world.heal(NOW).flagged(FlagCode::StaleAccept).is_empty());
    }
}

#[test]
fn c07_a_lowered_requirement_keeps_what_was_accepted() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 800));
    world.cut();
    world.west("UKR", json!({"kind":"requirement","record":need,"fields":{"quantity":500}}));
    world.east("UKR2", accept(&deu));
    let view = world.heal(NOW);
    let row = view.requirement(&need);
    assert_eq!((row.cover.to_ship, row.cover.surplus, row.quantity), (800, 300, 500));
    view.one_flag(FlagCode::Surplus, &[&need, &deu], &["UKR"]);
    assert!(view.flagged(FlagCode::OverAccepted).is_empty());
}

#[test]
fn c07_a_withdrawn_requirement_keeps_what_moves() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 800));
    let shipment = world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":deu,"quantity":300}]}}));
    world.cut();
    world.west("UKR", withdraw(&need));
    world.east("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    let view = world.heal(NOW);
    let row = view.requirement(&need);
    assert_eq!(
        (row.state, row.cover.in_transit, row.cover.surplus, row.cover.gap_firm),
        (RequirementState::Withdrawn, 300, 300, 0)
    );
    view.one_flag(FlagCode::Surplus, &[&need, &deu], &["UKR"]);
}

#[test]
fn c08_a_requirement_lapses_under_its_pledges() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    world.cut();
    let deu = world.east("DEU", pledge(&need, 400));
    assert_eq!(world.heal(day(90)).requirement(&need).state, RequirementState::Offered);
    let view = world.heal(day(91));
    let row = view.requirement(&need);
    assert_eq!((row.state, row.cover.gap_firm, row.cover.offered_firm), (RequirementState::Lapsed, 0, 0));
    assert_eq!((view.pledge(&deu).state, view.pledge(&deu).head.standing), (PledgeState::Offered, Standing::Lapsed));
    view.one_flag(FlagCode::LapsedWithOffers, &[&need, &deu], &["UKR"]);
    // A later date than 90 days counts as that day, an earlier one as it is.
    let until = |world: &mut World, day_text: &str| {
        world.west("UKR", json!({"kind":"requirement","record":need,"fields":{"valid_until":day_text}}));
    };
    until(&mut world, "2027-01-01");
    assert_eq!(world.heal(NOW).requirement(&need).valid_until.to_string(), "2026-04-01");
    until(&mut world, "2026-01-03");
    assert_eq!(world.heal(day(2)).requirement(&need).state, RequirementState::Offered);
    assert_eq!(world.heal(day(3)).requirement(&need).state, RequirementState::Lapsed);
}

#[test]
fn c18_units_that_cannot_be_compared_leave_a_line_uncounted() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let heavy = json!({"kind":"pledge","fields":{"requirement":need,"quantity":4,"unit":"t"}});
    let refused = world.try_prepare(Side::West, "DEU", heavy).expect_err("tonnes of generators");
    assert_eq!(refused.to_string(), "unit: is in t, which cannot be compared with each");
    let reference = bytes(world.nation("UKR"), Kind::Requirement, id(&need), None);
    world.cut();
    let fields = |unit: &str| {
        [
            ("requirement", reference.clone()),
            ("item", text("generator")),
            ("quantity", Value::Uint(9)),
            ("unit", text(unit)),
        ]
    };
    let pallets = force(&mut world, Side::West, "DEU", "pledge", "0000000p01", &fields("pallet"));
    let grams = force(&mut world, Side::East, "POL", "pledge", "0000000p02", &fields("g"));
    let view = world.heal(NOW);
    assert_eq!(view.requirement(&need).cover.gap_if_all, 1000);
    for (pledge, donor) in [(&pallets, "DEU"), (&grams, "POL")] {
        assert_eq!(view.pledge(pledge).head.standing, Standing::UnitUnknown);
        let flag = view.flags.iter().find(|flag| flag.statements[0].to_string() == *pledge).expect("a flag");
        assert_eq!((flag.code, flag.statements[1].to_string()), (FlagCode::UnitUnknown, need.clone()));
        assert_eq!(flag.clears, [donor, "UKR"]);
    }
}

#[test]
fn c19_a_node_that_says_two_things_at_once_counts_with_neither() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let before = world.west("DEU", pledge(&need, 100));
    world.cut();
    // The same node, at the same place of its chain, on either side.
    let west = world.west("DEU", pledge(&need, 300));
    let east = world.east("DEU", pledge(&need, 400));
    let view = world.heal(NOW);
    assert_eq!(view.pledges.len(), 1, "what is suspended counts nowhere");
    assert_eq!(view.pledge(&before).buckets.offered_firm, 100, "what both had seen stands");
    view.one_flag(FlagCode::Equivocation, &[&west, &east], &["DEU"]);
    // The nation's roster clears it: it keeps what went before, and says the rest again.
    world.retire("DEU", 0, 1);
    let view = world.heal(NOW);
    assert!(view.flagged(FlagCode::Equivocation).is_empty());
    world.west("DEU2", pledge(&need, 300));
    assert_eq!(world.heal(NOW).requirement(&need).cover.offered_firm, 400);
}

#[test]
fn c29_what_a_retired_key_wrote_after_the_cut_counts_nowhere() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let kept = world.west("DEU", pledge(&need, 100));
    let unsaid = world.west("DEU", pledge(&need, 300));
    let taken = world.west("UKR", accept(&unsaid));
    world.cut();
    world.retire("DEU", 0, 1);
    let view = world.heal(NOW);
    assert_eq!((view.pledges.len(), view.pledge(&kept).buckets.offered_firm), (1, 100));
    view.one_flag(FlagCode::KeyRetired, &[&unsaid], &["DEU"]);
    view.one_flag(FlagCode::DisavowedReference, &[&taken], &["UKR"]);
    assert_eq!(view.requirement(&need).cover.gap_firm, 1000);
    // The nation says it again with another key.
    let restated = world.west("DEU2", pledge(&need, 300));
    world.west("UKR", json!({"kind":"accept","record":taken,"fields":{"pledge":restated}}));
    assert_eq!(world.heal(NOW).requirement(&need).cover.to_ship, 300);
}

#[test]
fn c20_two_sites_revise_one_record() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    world.cut();
    world.west("DEU", json!({"kind":"pledge","record":deu,"fields":{"quantity":350}}));
    world.east("DEU2", json!({"kind":"pledge","record":deu,"fields":{"quantity":450}}));
    let view = world.heal(NOW);
    assert_eq!((view.pledge(&deu).quantity, view.pledge(&deu).head.surviving), (350, 2));
    let flag = view.flagged(FlagCode::SelfConflict)[0].clone();
    assert_eq!((flag.statements.len(), flag.clears.as_slice()), (2, &["DEU".to_owned()][..]));
    let (jsonl, _) = world.exported(Side::West, NOW);
    assert_eq!(jsonl.lines().filter(|line| line.contains("\"state\":\"conflicting\"")).count(), 1);
    // A revision that names both clears it.
    world.east("DEU2", json!({"kind":"pledge","record":deu,"fields":{"quantity":420}}));
    let view = world.heal(NOW);
    assert_eq!((view.pledge(&deu).quantity, view.pledge(&deu).head.surviving), (420, 1));
    assert!(view.flagged(FlagCode::SelfConflict).is_empty());
}

#[test]
fn c20_of_two_requirements_the_larger_need_counts_and_of_equal_ones_the_smaller_id() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    world.cut();
    world.west("UKR", json!({"kind":"requirement","record":need,"fields":{"quantity":900}}));
    world.east("UKR2", json!({"kind":"requirement","record":need,"fields":{"quantity":1200}}));
    assert_eq!(world.heal(NOW).requirement(&need).cover.gap_firm, 1200);
    world.cut();
    for (side, site, item) in [(Side::West, "UKR", "pump"), (Side::East, "UKR2", "motor")] {
        world.say(side, site, json!({"kind":"requirement","record":need,"fields":{"item":item}}));
    }
    let smaller = world.version(Side::West, &need).min(world.version(Side::East, &need));
    assert_eq!(world.heal(NOW).requirement(&need).head.name.version, smaller);
}

#[test]
fn c20_two_sites_write_one_key_first() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let reference = bytes(world.nation("UKR"), Kind::Requirement, id(&need), None);
    world.cut();
    let fields = |quantity| {
        [
            ("requirement", reference.clone()),
            ("item", text("generator")),
            ("quantity", Value::Uint(quantity)),
            ("unit", text("each")),
        ]
    };
    force(&mut world, Side::West, "DEU", "pledge", "0000000p01", &fields(500));
    force(&mut world, Side::East, "DEU2", "pledge", "0000000p01", &fields(300));
    let view = world.heal(NOW);
    assert_eq!((view.pledges.len(), view.pledges[0].quantity, view.pledges[0].head.surviving), (1, 300, 2));
    assert_eq!(view.flagged(FlagCode::SelfConflict).len(), 1);
}

#[test]
fn c21_what_refers_to_something_not_here_is_pending() {
    let mut world = World::new();
    let nowhere = bytes(world.nation("UKR"), Kind::Requirement, "0000000r01", None);
    let stranger = bytes(NationId::new([9; 32]), Kind::Pledge, "0000000p09", Some(EnvelopeId::new([9; 32])));
    world.cut();
    let fields =
        [("requirement", nowhere), ("item", text("pump")), ("quantity", Value::Uint(5)), ("unit", text("each"))];
    let early = force(&mut world, Side::West, "DEU", "pledge", "0000000p01", &fields);
    let lost = [("pledge", stranger), ("quantity", Value::Uint(5)), ("unit", text("each"))];
    force(&mut world, Side::East, "UKR", "accept", "0000000a01", &lost);
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&early).head.standing, Standing::Pending);
    assert_eq!(view.accepts[0].head.standing, Standing::Pending);
    assert_eq!(view.flagged(FlagCode::Pending).len(), 2);
    assert!(view.flagged(FlagCode::Pending).iter().all(|flag| flag.clears.is_empty()));
    // It clears itself when the requirement comes.
    let need = [("item", text("pump")), ("class", text("IV")), ("quantity", Value::Uint(8)), ("unit", text("each"))];
    let need = force(&mut world, Side::West, "UKR2", "requirement", "0000000r01", &need);
    let view = world.heal(NOW);
    assert_eq!(
        (view.pledge(&early).head.standing, view.requirement(&need).cover.gap_after_offers),
        (Standing::Counted, 3)
    );
}

#[test]
fn c22_a_clock_that_runs_ahead_is_shown_and_sorts_by_what_it_claims() {
    let mut world = World::new();
    let mut first = None;
    world.cut();
    for (side, site, ahead) in [(Side::West, "UKR", 3_600_000), (Side::East, "UKR2", 0)] {
        let nation = world.alliance.nations.iter_mut().find(|nation| nation.code == "UKR").expect("a member");
        let node = &mut nation.nodes[usize::from(site.ends_with('2'))];
        node.time_ms += ahead;
        let need = json!({"kind":"requirement","fields":{"item":"water","class":"I","quantity":1,"unit":"m3"}});
        let said = world.say(side, site, need);
        first.get_or_insert(said);
    }
    let first = first.expect("said");
    let now = comity_protocol::ids::Timestamp(comity_protocol::testing::FOUNDED_MS + 60_000);
    let view = world.heal(now);
    view.one_flag(FlagCode::ClockSkew, &[&first], &["UKR"]);
    assert_eq!(view.requirements[1].head.name.to_string(), first);
    assert!(world.heal(NOW).flagged(FlagCode::ClockSkew).is_empty());
}

#[test]
fn c23_what_the_wrong_role_writes_counts_nowhere() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    let pinned = bytes(world.nation("DEU"), Kind::Pledge, id(&deu), Some(world.version(Side::West, &deu)));
    let refused = world.try_prepare(Side::West, "POL", accept(&deu)).expect_err("POL is not the recipient");
    assert_eq!(refused.to_string(), "pledge: only the recipient nation may write this: UKR");
    world.cut();
    let foreign = force(
        &mut world,
        Side::West,
        "POL",
        "accept",
        "0000000a01",
        &[("pledge", pinned), ("quantity", Value::Uint(400)), ("unit", text("each"))],
    );
    let line = Fields::from([
        ("pledge".to_owned(), bytes(world.nation("DEU"), Kind::Pledge, id(&deu), None)),
        ("quantity".to_owned(), Value::Uint(400)),
        ("unit".to_owned(), text("each")),
    ]);
    let lines = Value::Map(Fields::from([("0".to_owned(), Value::Map(line))]));
    let shipment = force(&mut world, Side::East, "FRA", "shipment", "0000000s01", &[("lines", lines)]);
    let pin = bytes(world.nation("FRA"), Kind::Shipment, "0000000s01", Some(world.version(Side::East, &shipment)));
    force(&mut world, Side::East, "FRA", "dispatch", "0000000d01", &[("shipment", pin)]);
    let view = world.heal(NOW);
    assert_eq!(view.accepts[0].head.standing, Standing::NotAuthorised);
    assert_eq!(view.pledge(&deu).state, PledgeState::Offered);
    assert_eq!(view.requirement(&need).cover.gap_firm, 1000);
    assert_eq!(view.shipment(&shipment).lines[0].standing, Standing::NotAuthorised);
    let flags = view.flagged(FlagCode::NotAuthorised);
    assert_eq!(flags.len(), 2);
    assert!(
        flags.iter().any(|flag| flag.statements[0].to_string() == foreign && flag.statements[1].to_string() == deu)
    );
    assert!(flags.iter().all(|flag| flag.clears.is_empty()));
}

#[test]
fn r04_a_pin_that_is_no_longer_the_latest_is_flagged() {
    let mut world = World::new();
    let need = requirement(&mut world, 1000);
    let deu = world.west("DEU", pledge(&need, 400));
    world.cut();
    world.west("DEU", json!({"kind":"pledge","record":deu,"fields":{"from_hub":"Grafenwoehr"}}));
    let taken = world.east("UKR", accept(&deu));
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&deu).state, PledgeState::Accepted);
    view.one_flag(FlagCode::ChangedSince, &[&deu, &taken], &["UKR"]);
}
