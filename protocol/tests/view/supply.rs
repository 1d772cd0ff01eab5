//! DOMAIN 2.6, what stands behind a pledge: stock, consent, standby, pauses, other items and other units.

use comity_protocol::guard::DraftWrite;
use comity_protocol::statement::Kind;
use comity_protocol::statement::reference::Ref;
use comity_protocol::value::{Fields, Value};
use comity_protocol::view::coverage::coverage;
use comity_protocol::view::rows::{AcceptOutcome, FlagCode, PledgeState, Standing};
use comity_protocol::view::statements::StatementRow;
use comity_protocol::view::supply::{ConsentState, FundingState};
use comity_protocol::view::{View, money};
use serde_json::{Value as Json, json};

use crate::world::{Look, NOW, Side, World, day};

fn need(world: &mut World, quantity: u64) -> String {
    world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"generator","class":"IV","quantity":quantity,"unit":"each"}}),
    )
}

fn statement<'v>(view: &'v View, reference: &str) -> &'v StatementRow {
    view.statements.iter().find(|row| row.head.name.to_string() == reference).expect("a statement")
}

fn force(world: &mut World, site: &str, kind: &str, fields: &[(&str, Value)]) -> String {
    let fields: Fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let write = DraftWrite { kind: kind.to_owned(), id: "0000000f01".to_owned(), replaces: Vec::new(), fields };
    world.write(Side::West, site, write)
}

fn reference(world: &World, code: &str, kind: Kind, text: &str) -> Value {
    let id = text.rsplit('/').next().expect("a reference");
    let version = world.version(Side::West, text);
    Value::Bytes(Ref::floating(world.nation(code), kind, id).pinned(version).encode())
}

#[test]
fn c01_two_sites_pledge_one_lot_beyond_its_quantity() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let lot = world.west("DEU", json!({"kind":"stock_lot","fields":{"item":"generator","quantity":500,"unit":"each"}}));
    world.cut();
    let offer = json!({"kind":"pledge","fields":{"requirement":need,"quantity":400,"lot":lot}});
    let first = world.west("DEU", offer.clone());
    let second = world.east("DEU2", offer);
    let view = world.heal(NOW);
    let served: Vec<u64> = view.pledges.iter().map(|row| row.buckets.offered_firm).collect();
    assert_eq!(served, [400, 100], "in R8 order");
    let cover = view.requirement(&need).cover;
    assert_eq!((cover.offered_firm, cover.offered_conditional, cover.gap_after_offers), (500, 300, 500));
    view.one_flag(FlagCode::LotOverdrawn, &[&lot, &view.pledges[1].head.name.to_string()], &["DEU"]);
    assert_eq!((view.lots[0].drawn, view.lots[0].free, view.lots[0].overdrawn), (500, 0, 300));
    // What is accepted of it beyond the lot is conditional too, and the recipient sees the gap.
    for pledge in [&first, &second] {
        world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    }
    let view = world.heal(NOW);
    assert_eq!((view.requirement(&need).cover.to_ship, view.requirement(&need).cover.gap_firm), (500, 500));
    // The donor clears it by finding more.
    world.west("DEU", json!({"kind":"stock_lot","record":lot,"fields":{"quantity":900}}));
    let view = world.heal(NOW);
    assert!(view.flagged(FlagCode::LotOverdrawn).is_empty());
    assert_eq!((view.requirement(&need).cover.to_ship, view.lots[0].free), (800, 100));
}

#[test]
fn c01_what_left_a_lot_is_gone_before_anything_is_served() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let lot = world.west("DEU", json!({"kind":"stock_lot","fields":{"item":"generator","quantity":300,"unit":"each"}}));
    let offer = json!({"kind":"pledge","fields":{"requirement":need,"quantity":300,"lot":lot}});
    let first = world.west("DEU", offer.clone());
    let second = world.west("DEU", offer);
    let shipment = world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":second,"quantity":200}]}}));
    world.west("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    let view = world.heal(NOW);
    assert_eq!((view.pledge(&first).buckets.offered_firm, view.pledge(&first).buckets.offered_conditional), (100, 200));
    assert_eq!((view.pledge(&second).buckets.in_transit, view.pledge(&second).buckets.offered_firm), (200, 0));
    assert_eq!(view.pledge(&second).buckets.offered_conditional, 100);
}

#[test]
fn a_lot_of_another_nation_backs_nothing() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let lot = world.west("DEU", json!({"kind":"stock_lot","fields":{"item":"generator","quantity":300,"unit":"each"}}));
    let pol = world.west("POL", json!({"kind":"pledge","fields":{"requirement":need,"quantity":100,"lot":lot}}));
    let view = world.heal(NOW);
    assert_eq!((view.pledge(&pol).state, view.pledge(&pol).buckets.offered_firm), (PledgeState::Conditional, 0));
    view.one_flag(FlagCode::NotAuthorised, &[&pol, &lot], &[]);
}

#[test]
fn c21_a_pledge_of_stock_that_is_not_here_is_pending() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let id = need.rsplit('/').next().expect("a reference").to_owned();
    let wanted = Value::Bytes(Ref::floating(world.nation("UKR"), Kind::Requirement, &id).encode());
    let lot = Value::Bytes(Ref::floating(world.nation("DEU"), Kind::StockLot, "0000000s01").encode());
    let text = |text: &str| Value::Text(text.to_owned());
    let fields = [
        ("requirement", wanted),
        ("item", text("generator")),
        ("quantity", Value::Uint(9)),
        ("unit", text("each")),
        ("lot", lot),
    ];
    world.cut();
    let pledge = force(&mut world, "DEU", "pledge", &fields);
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&pledge).head.standing, Standing::Pending);
    view.one_flag(FlagCode::Pending, &[&pledge], &[]);
    assert_eq!(view.requirement(&need).cover.gap_if_all, 1000);
    let stock = [("item", text("generator")), ("quantity", Value::Uint(5)), ("unit", text("each"))];
    let fields: Fields = stock.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let write = DraftWrite { kind: "stock_lot".to_owned(), id: "0000000s01".to_owned(), replaces: Vec::new(), fields };
    world.cut();
    world.write(Side::East, "DEU2", write);
    assert_eq!(world.heal(NOW).requirement(&need).cover.gap_if_all, 991, "served and conditional, it clears itself");
}

/// A pledge of goods of FRA's origin, asked for; returns need, pledge and request.
fn asked(world: &mut World) -> (String, String, String) {
    let need = need(world, 1000);
    let pledge =
        world.west("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":400,"origin_nation":"FRA"}}));
    let request =
        world.west("DEU", json!({"kind":"consent_request","fields":{"pledge":pledge,"origin":"FRA","end_user":"UKR"}}));
    (need, pledge, request)
}

#[test]
fn goods_of_another_origin_are_conditional_until_it_consents() {
    let mut world = World::new();
    let (need, pledge, request) = asked(&mut world);
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    let view = world.heal(NOW);
    let row = view.pledge(&pledge);
    assert_eq!((row.state, row.consent), (PledgeState::Conditional, Some(ConsentState::Requested)));
    assert_eq!(view.requirement(&need).cover.gap_firm, 1000);
    let consent = world
        .west("FRA", json!({"kind":"consent","fields":{"request":request,"quantity":300,"valid_to":"2026-01-05"}}));
    let view = world.heal(NOW);
    let row = view.pledge(&pledge);
    assert_eq!((row.state, row.consent), (PledgeState::PartAccepted, Some(ConsentState::PartGranted)));
    assert_eq!((row.buckets.to_ship, row.buckets.offered_conditional), (300, 100));
    assert_eq!(statement(&view, &consent).state, Some("granted"));
    let view = world.heal(day(6));
    assert_eq!(view.pledge(&pledge).consent, Some(ConsentState::Expired));
    assert_eq!(view.requirement(&need).cover.gap_firm, 1000);
    // Nobody else consents, and none but the donor asks.
    let refused = world.try_prepare(Side::West, "POL", json!({"kind":"consent","fields":{"request":request}}));
    assert_eq!(
        refused.expect_err("POL was not asked").to_string(),
        "request: only the origin nation may write this: FRA"
    );
    let refused = world.try_prepare(
        Side::West,
        "POL",
        json!({"kind":"consent_request","fields":{"pledge":pledge,"origin":"FRA"}}),
    );
    assert_eq!(refused.expect_err("not its pledge").to_string(), "pledge: only the donor nation may write this: DEU");
    let pin = reference(&world, "DEU", Kind::ConsentRequest, &request);
    let forged = force(&mut world, "POL", "consent", &[("request", pin)]);
    assert_eq!(statement(&world.heal(NOW), &forged).head.standing, Standing::NotAuthorised);
    assert_eq!(world.heal(NOW).pledge(&pledge).buckets.to_ship, 300);
}

#[test]
fn a_consent_in_advance_covers_what_its_donor_pledges_of_the_item() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    world.west(
        "FRA",
        json!({"kind":"consent","fields":{"advance":true,"donor":"DEU","item":"Generator ","quantity":500,"unit":"each"}}),
    );
    let offer = json!({"kind":"pledge","fields":{"requirement":need,"quantity":300,"origin_nation":"FRA"}});
    let first = world.west("DEU", offer.clone());
    let second = world.west("DEU", offer.clone());
    let other = world.west("POL", offer);
    let view = world.heal(NOW);
    let firm = |pledge: &str| view.pledge(pledge).buckets.offered_firm;
    assert_eq!((firm(&first), firm(&second), firm(&other)), (300, 200, 0));
    let incomplete = json!({"kind":"consent","fields":{"advance":true,"item":"generator"}});
    let refused = world.try_prepare(Side::West, "FRA", incomplete).expect_err("for whom?");
    assert_eq!(refused.to_string(), "donor: is missing");
}

#[test]
fn c12_goods_that_left_without_consent_move_and_are_flagged() {
    let mut world = World::new();
    let (need, pledge, _) = asked(&mut world);
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    world.cut();
    let shipment = world.east("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":150}]}}));
    let dispatch = world.east("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    let view = world.heal(NOW);
    let sums = view.pledge(&pledge).buckets;
    assert_eq!((sums.in_transit, sums.to_ship, sums.offered_conditional), (150, 0, 250));
    assert_eq!(view.requirement(&need).cover.gap_firm, 850);
    view.one_flag(FlagCode::ConsentMissing, &[&dispatch, &pledge], &["FRA"]);
}

#[test]
fn c12_a_consent_withdrawn_while_goods_leave() {
    let mut world = World::new();
    let (need, pledge, request) = asked(&mut world);
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    let consent = world.west("FRA", json!({"kind":"consent","fields":{"request":request}}));
    let shipment = world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":150}]}}));
    assert_eq!(world.heal(NOW).requirement(&need).cover.gap_firm, 600);
    world.cut();
    world.west("FRA", json!({"kind":"consent","record":consent,"status":"withdrawn"}));
    let dispatch = world.east("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    let view = world.heal(NOW);
    let sums = view.pledge(&pledge).buckets;
    assert_eq!((sums.in_transit, sums.to_ship, sums.offered_conditional), (150, 0, 250));
    assert_eq!(view.pledge(&pledge).consent, Some(ConsentState::Revoked));
    view.one_flag(FlagCode::ConsentWithdrawn, &[&dispatch, &pledge, &consent], &["FRA"]);
    // The origin nation clears it by consenting again.
    world.west("FRA", json!({"kind":"consent","record":consent}));
    let view = world.heal(NOW);
    assert!(view.flagged(FlagCode::ConsentWithdrawn).is_empty());
    assert_eq!(view.requirement(&need).cover.gap_firm, 600);
}

#[test]
fn c02_money_never_adds_quantity() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let pledge = world.west(
        "DEU",
        json!({"kind":"pledge","fields":{"requirement":need,"quantity":400,"unit_value":1000,"currency":"EUR"}}),
    );
    let before = world.heal(NOW).requirement(&need).cover;
    world.cut();
    let fund =
        |amount: u64, code: &str| json!({"kind":"fund","fields":{"pledge":pledge,"amount":amount,"currency":code}});
    let west = world.west("FRA", fund(300_000, "EUR"));
    world.east("POL", fund(500_000, "PLN"));
    let view = world.heal(NOW);
    assert_eq!(view.requirement(&need).cover, before);
    let funding = view.pledge(&pledge).funding.clone().expect("it is worth something");
    assert_eq!((funding.value, funding.state), (Some((400_000, "EUR".to_owned())), FundingState::PartFunded));
    assert_eq!(
        funding.funds.into_iter().collect::<Vec<_>>(),
        [("EUR".to_owned(), 300_000), ("PLN".to_owned(), 500_000)]
    );
    world.west("FRA", json!({"kind":"fund","record":west,"fields":{"amount":400_000}}));
    assert_eq!(statement(&world.heal(NOW), &west).state, Some("funded"));
    world.west("FRA", json!({"kind":"fund","record":west,"fields":{"amount":400_001}}));
    assert_eq!(statement(&world.heal(NOW), &west).state, Some("over-funded"));
    // Goods and funds are two sums; what the table cannot convert is named and left out.
    world.west("UKR", json!({"kind":"fx_table","fields":{"base":"USD","day":"2026-01-02","rates":{"EUR":"1.0845"}}}));
    let view = world.heal(NOW);
    let sums = money::money(&view, view.fx_tables.first());
    assert_eq!((sums.goods.converted, sums.funds.converted), (Some(433_800), Some(433_801)));
    assert_eq!((sums.goods.left_out.len(), sums.funds.left_out, sums.unvalued), (0, vec!["PLN".to_owned()], 0));
    let unpaid = json!({"kind":"fund","fields":{"pledge":pledge,"amount":5,"currency":"EUR","tranches":[{"day":"2026-02-01","amount":6}]}});
    let refused = world.try_prepare(Side::West, "FRA", unpaid).expect_err("more than all");
    assert_eq!(refused.to_string(), "tranches: come to more than amount");
}

#[test]
fn money_is_converted_exactly_or_not_at_all() {
    let mut world = World::new();
    world.west(
        "UKR",
        json!({"kind":"fx_table","fields":{"base":"EUR","day":"2026-01-02","rates":{"JPY":"0.006123456","BHD":"2.5","XXX":"1000000000"}}}),
    );
    let view = world.heal(NOW);
    let table = &view.fx_tables[0];
    let convert = |amount, code| money::convert(amount, code, table);
    assert_eq!(convert(10_000, "JPY"), Ok(6_123), "yen have no cents");
    assert_eq!(convert(1_000, "BHD"), Ok(250), "dinars have a thousand");
    assert_eq!(convert(77, "EUR"), Ok(77));
    assert_eq!(convert(1, "USD"), Err(money::MoneyError::Rate));
    assert_eq!(convert(u64::MAX, "XXX"), Err(money::MoneyError::TooLarge));
    for (rates, error) in [
        (json!({"eur":"1"}), "rates.eur: is not three capital letters"),
        (json!({"USD":"0"}), "rates.USD: is out of its bounds 1 to 1000000000000000000"),
        (json!({"USD":"1.0000000001"}), "rates.USD: wants a rate with at most 9 decimals, as text"),
        (json!({"USD":"-1"}), "rates.USD: wants a rate with at most 9 decimals, as text"),
        (json!({"USD":"99999999999999999999"}), "rates.USD: wants a rate with at most 9 decimals, as text"),
    ] {
        let table = json!({"kind":"fx_table","fields":{"base":"EUR","day":"2026-01-02","rates":rates}});
        assert_eq!(world.try_prepare(Side::West, "UKR", table).expect_err("refused").to_string(), error);
    }
}

#[test]
fn c17_another_item_counts_once_the_recipient_lets_it_stand_for_the_one_pledged() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let pledge = world.west("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":100}}));
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    let shipment = world.west("DEU", json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":100}]}}));
    world.west("DEU", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    world.cut();
    let receipt = world.west(
        "UKR",
        json!({"kind":"receipt","fields":{"shipment":shipment,"line":0,"counted":100,"item":"power bank","damaged":{"other":1}}}),
    );
    let view = world.heal(NOW);
    let figures = |view: &View| {
        let sums = view.pledge(&pledge).buckets;
        (sums.delivered, sums.not_good, sums.in_transit, sums.to_ship)
    };
    assert_eq!(figures(&view), (0, 100, 0, 100));
    view.one_flag(FlagCode::Substitution, &[&receipt], &["UKR"]);
    world.cut();
    let leave = |per: u64, counts: u64| json!({"kind":"accept_substitute","fields":{"pledge":pledge,"item":"Power bank","per":per,"counts":counts}});
    let own = world.east("UKR2", leave(4, 1));
    let view = world.heal(NOW);
    assert_eq!(figures(&view), (24, 76, 0, 76), "99 sound ones stand for 24");
    assert!(view.flagged(FlagCode::Substitution).is_empty());
    world.east("UKR2", json!({"kind":"accept_substitute","record":own,"fields":{"per":2,"counts":3}}));
    assert_eq!(figures(&world.heal(NOW)), (148, 1, 0, 0), "a better item stands for more than one");
    let refused = world.try_prepare(Side::West, "POL", leave(1, 1)).expect_err("not the recipient");
    assert_eq!(refused.to_string(), "pledge: only the recipient nation may write this: UKR");
}

#[test]
fn c18_a_conversion_makes_a_line_count() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let id = need.rsplit('/').next().expect("a reference").to_owned();
    let wanted = Value::Bytes(Ref::floating(world.nation("UKR"), Kind::Requirement, &id).encode());
    let text = |text: &str| Value::Text(text.to_owned());
    world.cut();
    let fields =
        [("requirement", wanted), ("item", text("generator")), ("quantity", Value::Uint(9)), ("unit", text("pallet"))];
    let pallets = force(&mut world, "DEU", "pledge", &fields);
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&pallets).head.standing, Standing::UnitUnknown);
    world.cut();
    world.east(
        "DEU2",
        json!({"kind":"unit_conversion","fields":{"item":"generator","from_unit":"pallet","from":2,"quantity":9,"unit":"each"}}),
    );
    let view = world.heal(NOW);
    let row = view.pledge(&pallets);
    assert_eq!((row.head.standing, row.quantity, row.unit.as_str()), (Standing::Counted, 40, "each"), "rounded down");
    assert!(view.flagged(FlagCode::UnitUnknown).is_empty());
    // From there on everything about it is in the requirement's unit, whatever it is stated in.
    world.west("UKR", json!({"kind":"accept","fields":{"pledge":pallets,"quantity":30,"unit":"each"}}));
    assert_eq!(world.heal(NOW).requirement(&need).cover.to_ship, 30);
}

#[test]
fn c27_a_pause_is_a_withdrawal_of_every_pledge_in_one_batch() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let offer = |quantity: u64| json!({"kind":"pledge","fields":{"requirement":need,"quantity":quantity}});
    let (one, two) = (world.west("DEU", offer(300)), world.west("DEU", offer(200)));
    let other = world.west("POL", offer(100));
    let before = world.west("UKR", json!({"kind":"accept","fields":{"pledge":one}}));
    world.cut();
    let notice =
        world.west("DEU", json!({"kind":"suspend_notice","fields":{"from":"2026-01-04","reason":"elections"}}));
    let crossing = world.east("UKR2", json!({"kind":"accept","fields":{"pledge":two}}));
    world.east("UKR2", json!({"kind":"accept","fields":{"pledge":other}}));
    let view = world.heal(day(2));
    assert_eq!(view.requirement(&need).cover.to_ship, 600, "it is not in force yet");
    assert_eq!(statement(&view, &notice).state, Some("not in force"));
    let view = world.heal(day(4));
    assert_eq!((view.pledge(&one).state, view.pledge(&two).state), (PledgeState::Withdrawn, PledgeState::Contested));
    assert_eq!((view.requirement(&need).cover.to_ship, view.requirement(&need).cover.gap_if_all), (100, 900));
    let outcome = |accept: &str| {
        let mut rows = view.accepts.iter();
        rows.find(|row| row.head.name.to_string() == accept).expect("an acceptance").outcome
    };
    assert_eq!(outcome(&before), AcceptOutcome::WithdrawnAfter);
    assert_eq!(outcome(&crossing), AcceptOutcome::Contested);
    view.one_flag(FlagCode::Suspended, &[&notice, &one, &two, &before, &crossing], &["DEU"]);
    assert!(view.flagged(FlagCode::Contested).is_empty(), "in one batch");
    // An acceptance that had seen it is void; a pledge made in sight of it stands.
    let late = world.west("UKR", json!({"kind":"accept","fields":{"pledge":two,"quantity":50}}));
    let view = world.heal(day(4));
    let row = view.accepts.iter().find(|row| row.head.name.to_string() == late).expect("an acceptance");
    assert_eq!(row.outcome, AcceptOutcome::Void);
    let restated = world.west("DEU", json!({"kind":"pledge","record":two}));
    assert_eq!(world.heal(day(4)).pledge(&restated).state, PledgeState::Accepted);
    // The nation ends it.
    world.west("DEU", json!({"kind":"suspend_notice","record":notice,"status":"withdrawn"}));
    let view = world.heal(day(4));
    assert!(view.flagged(FlagCode::Suspended).is_empty());
    assert_eq!(view.pledge(&one).state, PledgeState::Accepted);
}

#[test]
fn c27_a_pause_of_some_pledges_leaves_the_others() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let offer = |quantity: u64| json!({"kind":"pledge","fields":{"requirement":need,"quantity":quantity}});
    let (one, two) = (world.west("DEU", offer(300)), world.west("DEU", offer(200)));
    world.west("DEU", json!({"kind":"suspend_notice","fields":{"from":"2026-01-01","scope":["hubs"]}}));
    assert_eq!(world.heal(NOW).requirement(&need).cover.offered_firm, 500);
    world.west(
        "DEU",
        json!({"kind":"suspend_notice","fields":{"from":"2026-01-01","until":"2026-01-03","records":[one]}}),
    );
    let view = world.heal(NOW);
    assert_eq!((view.pledge(&one).state, view.pledge(&two).state), (PledgeState::Withdrawn, PledgeState::Offered));
    assert_eq!(world.heal(day(3)).pledge(&one).state, PledgeState::Offered, "its last day has passed");
    let foreign = json!({"kind":"suspend_notice","fields":{"from":"2026-01-01","records":[two]}});
    assert!(world.try_prepare(Side::West, "POL", foreign).is_err(), "a nation pauses its own");
}

#[test]
fn c30_a_standby_pledge_is_contingent_until_what_it_waits_for_is_there() {
    for withdrawal_first in [true, false] {
        let mut world = World::new();
        let need = need(&mut world, 1000);
        let deu = world.west("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":300}}));
        world.cut();
        let standby = json!({"kind":"standby_pledge","fields":{"on_pledge":deu,"requirement":need,"quantity":250}});
        let withdrawal = json!({"kind":"pledge","record":deu,"status":"withdrawn"});
        let side = |first| if first == withdrawal_first { Side::West } else { Side::East };
        let fra = world.say(side(false), "FRA", standby);
        let alone = world.exported(side(false), NOW).0;
        assert!(alone.contains("\"standing\":\"standby\""));
        world.say(side(true), "DEU2", withdrawal);
        let view = world.heal(NOW);
        let row = view.pledge(&fra);
        assert_eq!((row.head.standing, row.state), (Standing::Counted, PledgeState::Offered));
        let cover = view.requirement(&need).cover;
        assert_eq!((cover.offered_firm, cover.contingent), (250, 0));
        // It is taken, sent and counted as any other.
        world.west("UKR", json!({"kind":"accept","fields":{"pledge":fra}}));
        assert_eq!(world.heal(NOW).requirement(&need).cover.to_ship, 250);
        // The donor takes the pledge up again: the standby offer waits again.
        world.west("DEU", json!({"kind":"pledge","record":deu}));
        let cover = world.heal(NOW).requirement(&need).cover;
        assert_eq!((cover.to_ship, cover.offered_firm, cover.contingent), (0, 300, 250));
    }
}

#[test]
fn c30_a_pause_calls_the_standby_pledges_that_wait_for_the_nation() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    world.cut();
    let fra = world
        .west("FRA", json!({"kind":"standby_pledge","fields":{"on_nation":"DEU","requirement":need,"quantity":250}}));
    world.east("DEU", json!({"kind":"suspend_notice","fields":{"from":"2026-01-05"}}));
    let view = world.heal(NOW);
    assert_eq!(view.pledge(&fra).head.standing, Standing::Standby);
    assert_eq!((view.requirement(&need).cover.contingent, view.requirement(&need).cover.gap_if_all), (250, 1000));
    assert_eq!(world.heal(day(5)).requirement(&need).cover.offered_firm, 250);
}

#[test]
fn cover_over_time_says_from_when_a_need_is_uncovered() {
    let mut world = World::new();
    let need = world.west(
        "UKR",
        json!({"kind":"requirement","fields":{"item":"generator","class":"IV","quantity":1000,"unit":"each","needed_by":"2026-02-01"}}),
    );
    let offer = |quantity: u64, by: &str| json!({"kind":"pledge","fields":{"requirement":need,"quantity":quantity,"deliver_by":by}});
    let early = world.west("DEU", offer(600, "2026-01-20"));
    let late = world.west("POL", offer(400, "2026-02-10"));
    let undated = world.west("FRA", json!({"kind":"pledge","fields":{"requirement":need,"quantity":100}}));
    for pledge in [&early, &late] {
        world.west("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
    }
    let view = world.heal(NOW);
    let row = view.requirement(&need);
    assert_eq!(row.cover.gap_firm, 0, "all of it is promised");
    let days: Vec<(String, u64, u64)> =
        row.phases.days.iter().map(|phase| (phase.day.to_string(), phase.firm, phase.gap_firm)).collect();
    let expected = [("2026-01-20", 600, 0), ("2026-02-01", 600, 400), ("2026-02-10", 1000, 0)];
    assert_eq!(days, expected.map(|(day, firm, gap)| (day.to_owned(), firm, gap)));
    assert_eq!(row.phases.uncovered_from.map(|day| day.to_string()).as_deref(), Some("2026-02-01"), "but not in time");
    // Goods on their way arrive on their last leg's day; one that has passed says nothing any more.
    let shipment = world.west(
        "POL",
        json!({"kind":"shipment","fields":{"lines":[{"pledge":late,"quantity":400}],"legs":[{"from":"Lublin","to":"Lviv","eta":"2026-01-25"}]}}),
    );
    world.west("POL", json!({"kind":"dispatch","fields":{"shipment":shipment}}));
    assert_eq!(world.heal(NOW).requirement(&need).phases.uncovered_from, None);
    assert!(world.heal(day(26)).requirement(&need).phases.uncovered_from.is_some());
    assert_eq!(view.pledge(&undated).buckets.offered_firm, 100);
}

#[test]
fn c03_a_split_is_suggested_in_order_and_nothing_is_refused() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    world.cut();
    let first = world.west("POL", json!({"kind":"pledge","fields":{"requirement":need,"quantity":700}}));
    world
        .west("FRA", json!({"kind":"pledge","fields":{"requirement":need,"quantity":200,"conditions":["parliament"]}}));
    let second = world.east("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":600}}));
    let view = world.heal(NOW);
    let split: Vec<(String, u64)> = view
        .requirement(&need)
        .suggested
        .iter()
        .map(|(place, quantity)| (view.pledges[*place].head.name.to_string(), *quantity))
        .collect();
    let sum: u64 = split.iter().map(|(_, quantity)| quantity).sum();
    assert_eq!(sum, 1000, "no more than is needed");
    assert!(split.iter().all(|(pledge, _)| *pledge == first || *pledge == second), "conditional offers wait");
    let order: Vec<String> = view
        .pledges
        .iter()
        .map(|row| row.head.name.to_string())
        .filter(|name| *name == first || *name == second)
        .collect();
    assert_eq!(split.iter().map(|(pledge, _)| pledge.clone()).collect::<Vec<_>>(), order);
}

#[test]
fn an_endorsement_is_shown_and_counts_nothing() {
    let mut world = World::new();
    let need = need(&mut world, 1000);
    let before = coverage(&world.heal(NOW), None);
    world.cut();
    let pol = world.west("POL", json!({"kind":"endorse","fields":{"requirement":need}}));
    world.east("FRA", json!({"kind":"endorse","fields":{"requirement":need,"text":"seen on the spot"}}));
    world.east("FRA", json!({"kind":"endorse","fields":{"requirement":need}}));
    let view = world.heal(NOW);
    assert_eq!((view.requirement(&need).endorsed_by.join(" ").as_str(), coverage(&view, None)), ("FRA POL", before));
    world.west("UKR", json!({"kind":"requirement","record":need,"fields":{"quantity":1200}}));
    let view = world.heal(NOW);
    assert_eq!(view.flagged(FlagCode::ChangedSince).len(), 3, "they endorsed another quantity");
    world.west("POL", json!({"kind":"endorse","record":pol,"status":"withdrawn"}));
    assert_eq!(world.heal(NOW).requirement(&need).endorsed_by, ["FRA"]);
}

#[test]
fn what_nations_say_for_themselves_is_shown() {
    let mut world = World::new();
    let said: Vec<(&str, Json)> = vec![
        ("POL", json!({"kind":"item_type","fields":{"name":"winter tent","nsn":"8340-12-345-678a","class":"II"}})),
        ("POL", json!({"kind":"topic","fields":{"code":"water-quality","sources":true}})),
        (
            "FRA",
            json!({"kind":"valuation","fields":{"item":"flour","quantity":1,"unit":"t","value":45000,"currency":"EUR"}}),
        ),
        ("UKR", json!({"kind":"inventory","fields":{"item":"generator","counted":0,"unit":"each","serials":["G-1"]}})),
    ];
    let references: Vec<String> = said.into_iter().map(|(code, draft)| world.west(code, draft)).collect();
    let view = world.heal(NOW);
    for reference in &references {
        assert_eq!(statement(&view, reference).head.standing, Standing::Counted);
    }
    assert_eq!((view.topics.len(), view.topics[0].sources, view.valuations[0].quantity), (1, true, 1_000_000));
    assert!(world.exported(Side::West, NOW).0.contains("\"nsn\":\"834012345678A\""), "normalised");
    for nsn in ["8340-12-345-678", "83401234567890", "834O123456789", "8340-12-345-678ä"] {
        let draft = json!({"kind":"item_type","fields":{"name":"tent","nsn":nsn}});
        assert!(world.try_prepare(Side::West, "POL", draft).is_err(), "{nsn}");
    }
}
