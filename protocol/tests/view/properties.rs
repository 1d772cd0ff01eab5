//! DOMAIN 2.11 over random histories of nodes that have not heard everything.

use std::collections::BTreeMap;

use comity_protocol::ids::Timestamp;
use comity_protocol::statement::Kind;
use comity_protocol::testing::FOUNDED_MS;
use comity_protocol::view::View;
use comity_protocol::view::coverage::coverage;
use comity_protocol::view::rows::Standing;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value as Json, json};

use crate::paper::{CODES, Paper, nation};
use crate::world::{NOW, check_identities};

/// One thing somebody does: what, to which of the records there are, how much, and how much of the rest it has not heard.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    which: usize,
    quantity: u64,
    node: u8,
    deaf: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (0..40_u8, any::<u16>(), 1..1_500_u64, 1..3_u8, 0..6_usize).prop_map(|(what, which, quantity, node, deaf)| {
            Step { what, which: which.into(), quantity, node, deaf: deaf.saturating_sub(2) }
        });
    proptest::collection::vec(step, 1..40)
}

#[derive(Default)]
struct Said {
    requirements: Vec<String>,
    pledges: Vec<String>,
    accepts: Vec<String>,
    shipments: Vec<String>,
    receipts: Vec<String>,
    others: BTreeMap<&'static str, Vec<String>>,
}

impl Said {
    fn other(&self, kind: &str, which: usize) -> Option<String> {
        pick(self.others.get(kind)?, which)
    }
}

fn pick(list: &[String], which: usize) -> Option<String> {
    (!list.is_empty()).then(|| list[which % list.len()].clone())
}

fn writer(reference: &str) -> &'static str {
    CODES.iter().find(|code| reference.starts_with(**code)).expect("a member")
}

/// Takes one step; one that the entry refuses is not taken.
fn take(paper: &mut Paper, said: &mut Said, step: &Step) -> Option<()> {
    let (code, draft) = match step.what {
        0..=13 => first(said, step)?,
        14..=25 => behind(said, step)?,
        _ => beside(said, step)?,
    };
    let revision = draft.get("record").is_some();
    let seen = paper.writes.len().saturating_sub(step.deaf);
    let reference = paper.say_blind(code, step.node, seen, draft)?;
    let kind = reference.split('/').nth(1)?;
    let list = match kind {
        "requirement" => &mut said.requirements,
        "pledge" | "standby_pledge" => &mut said.pledges,
        "accept" => &mut said.accepts,
        "shipment" => &mut said.shipments,
        "receipt" => &mut said.receipts,
        other => said.others.entry(Kind::from_name(other)?.name()).or_default(),
    };
    if !revision {
        list.push(reference);
    }
    Some(())
}

/// From a need to a receipt.
fn first(said: &Said, step: &Step) -> Option<(&'static str, Json)> {
    let donor = CODES[1 + step.which % 3];
    Some(match step.what {
        0 => (
            "UKR",
            json!({"kind":"requirement","fields":{"item":"pump","class":"IV","quantity":step.quantity,"unit":"each"}}),
        ),
        1 | 2 => (
            donor,
            json!({"kind":"pledge","fields":{"requirement":pick(&said.requirements, step.which)?,"quantity":step.quantity,
            "conditions": if step.quantity.is_multiple_of(5) { json!(["consent"]) } else { json!([]) },
            "ext_refs": if step.quantity.is_multiple_of(4) { json!(["X"]) } else { json!([]) }}}),
        ),
        3 | 4 => (
            "UKR",
            json!({"kind":"accept","fields":{"pledge":pick(&said.pledges, step.which)?,"quantity":step.quantity}}),
        ),
        5 => ("UKR", json!({"kind":"decline","fields":{"pledge":pick(&said.pledges, step.which)?}})),
        6 => {
            let pledge = pick(&said.pledges, step.which)?;
            (
                writer(&pledge),
                json!({"kind":"pledge","record":pledge,"status": if step.quantity.is_multiple_of(2) { json!("withdrawn") } else { json!(null) },"fields":{"quantity":step.quantity}}),
            )
        }
        7 => (
            "UKR",
            json!({"kind":"requirement","record":pick(&said.requirements, step.which)?,"fields":{"quantity":step.quantity}}),
        ),
        8 => {
            let pledge = pick(&said.pledges, step.which)?;
            (
                writer(&pledge),
                json!({"kind":"shipment","fields":{"lines":[{"pledge":pledge,"quantity":step.quantity}]}}),
            )
        }
        9 => {
            let shipment = pick(&said.shipments, step.which)?;
            (writer(&shipment), json!({"kind":"dispatch","fields":{"shipment":shipment}}))
        }
        10 => {
            let shipment = pick(&said.shipments, step.which)?;
            (
                writer(&shipment),
                json!({"kind":"loss_report","fields":{"shipment":shipment,"line":0,"quantity":step.quantity}}),
            )
        }
        11 => ("UKR", json!({"kind":"receipt","record":pick(&said.receipts, step.which)?,"status":"withdrawn"})),
        12 => ("UKR", json!({"kind":"accept","record":pick(&said.accepts, step.which)?,"status":"withdrawn"})),
        _ => (
            "UKR",
            json!({"kind":"receipt","fields":{"shipment":pick(&said.shipments, step.which)?,"line":0,"counted":step.quantity,
            "damaged":{"torn":step.quantity / 7},"final":step.quantity.is_multiple_of(3),
            "parcels": if step.quantity.is_multiple_of(2) { json!(["a", format!("b{}", step.quantity % 3)]) } else { json!([]) }}}),
        ),
    })
}

/// What stands behind a pledge.
fn behind(said: &Said, step: &Step) -> Option<(&'static str, Json)> {
    let donor = CODES[1 + step.which % 3];
    let need = || pick(&said.requirements, step.which);
    let pledge = || pick(&said.pledges, step.which);
    let quantity = step.quantity;
    Some(match step.what {
        14 => (donor, json!({"kind":"stock_lot","fields":{"item":"pump","quantity":quantity,"unit":"each"}})),
        15 | 16 => {
            let lot = said.other("stock_lot", step.which)?;
            (writer(&lot), json!({"kind":"pledge","fields":{"requirement":need()?,"quantity":quantity,"lot":lot}}))
        }
        17 => {
            (donor, json!({"kind":"pledge","fields":{"requirement":need()?,"quantity":quantity,"origin_nation":"FRA"}}))
        }
        18 => {
            let pledge = pledge()?;
            (writer(&pledge), json!({"kind":"consent_request","fields":{"pledge":pledge,"origin":"FRA"}}))
        }
        19 => (
            "FRA",
            json!({"kind":"consent","fields":{"request":said.other("consent_request", step.which)?,"quantity":quantity,"unit":"each"}}),
        ),
        20 => (
            "FRA",
            json!({"kind":"consent","record":said.other("consent", step.which)?,"status": if quantity.is_multiple_of(2) { "withdrawn" } else { "live" }}),
        ),
        21 => (
            donor,
            json!({"kind":"standby_pledge","fields":{"on_pledge":pledge()?,"requirement":need()?,"quantity":quantity,"on_nation":CODES[1 + (step.which + 1) % 3]}}),
        ),
        22 => (
            donor,
            json!({"kind":"suspend_notice","fields":{"from":if quantity.is_multiple_of(2) { "2026-01-01" } else { "2026-01-22" }}}),
        ),
        23 => {
            let notice = said.other("suspend_notice", step.which)?;
            (writer(&notice), json!({"kind":"suspend_notice","record":notice,"status":"withdrawn"}))
        }
        24 => (donor, json!({"kind":"fund","fields":{"pledge":pledge()?,"amount":quantity,"currency":"EUR"}})),
        _ => (
            "UKR",
            json!({"kind":"accept_substitute","fields":{"pledge":pledge()?,"item":"motor","per":step.which % 5 + 1,"counts":2}}),
        ),
    })
}

/// The way, and what goes beside it.
fn beside(said: &Said, step: &Step) -> Option<(&'static str, Json)> {
    let nation = CODES[step.which % 4];
    let quantity = step.quantity;
    let days = ["2026-01-02", "2026-01-21", "2026-01-22", "2026-01-23"];
    let (from, to) = (days[step.which % 4], days[(step.which % 4).max(usize::try_from(quantity % 4).ok()?)]);
    let shipment = || pick(&said.shipments, step.which);
    Some(match step.what {
        26 => {
            (nation, json!({"kind":"hub","fields":{"name":"a place","hub_kind":"rail","capacity":{"rail":quantity}}}))
        }
        27 => {
            let hub = said.other("hub", step.which)?;
            let status = if quantity.is_multiple_of(5) { "closed" } else { "live" };
            (writer(&hub), json!({"kind":"hub","record":hub,"status":status,"fields":{"capacity":{"rail":quantity}}}))
        }
        28 | 29 => (
            nation,
            json!({"kind":"slot_request","fields":{"hub":said.other("hub", step.which)?,"mode":"rail","tonnes":quantity,"from":from,"to":to,"priority":1 + step.which % 4}}),
        ),
        30 | 31 => {
            let request = said.other("slot_request", step.which)?;
            (nation, json!({"kind":"slot_grant","fields":{"request":request}}))
        }
        32 => {
            let request = said.other("slot_request", step.which)?;
            (writer(&request), json!({"kind":"slot_use","fields":{"request":request,"day":from,"tonnes":1}}))
        }
        33 => (
            nation,
            json!({"kind":"allotment","fields":{"hub":said.other("hub", step.which)?,"nation":CODES[(step.which + 1) % 4],"mode":"rail","tonnes":quantity,"from":from,"to":to}}),
        ),
        34 => {
            let share = said.other("allotment", step.which)?;
            let hub = said.other("hub", step.which)?;
            (
                nation,
                json!({"kind":"allotment","fields":{"hub":hub,"part_of":share,"nation":CODES[(step.which + 1) % 4],"mode":"rail","tonnes":quantity,"from":from,"to":to}}),
            )
        }
        35 => {
            let shipment = shipment()?;
            (
                writer(&shipment),
                json!({"kind":"shipment","record":shipment,"fields":{"legs":[{"from":"a","to":"b","carrier":nation,"eta":from,"custody_hours":1 + quantity % 50}]}}),
            )
        }
        36 => (nation, json!({"kind":"hand_over","fields":{"shipment":shipment()?,"leg":0}})),
        37 => (nation, json!({"kind":"take_over","fields":{"shipment":shipment()?,"leg":0}})),
        38 => ("UKR", json!({"kind":"return","fields":{"shipment":shipment()?,"line":0,"quantity":quantity}})),
        _ => (
            nation,
            json!({"kind":"settle","fields":{"shipment":shipment()?,"line":0,"dispatched":quantity,"received":quantity / 2}}),
        ),
    })
}

fn history(steps: &[Step]) -> (Paper, Said) {
    let (mut paper, mut said) = (Paper::new(), Said::default());
    let first = Step { what: 0, which: 0, quantity: 1_000, node: 1, deaf: 0 };
    for step in std::iter::once(&first).chain(steps) {
        let _ = take(&mut paper, &mut said, step);
    }
    (paper, said)
}

fn gaps(view: &View) -> Vec<(String, u64)> {
    view.requirements.iter().map(|row| (row.head.name.to_string(), row.cover.gap_firm)).collect()
}

fn gap(view: &View, reference: &str) -> u64 {
    let row = view.requirements.iter().find(|row| row.head.name.to_string() == reference).expect("a requirement");
    row.cover.gap_firm
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// P1 and P2.
    #[test]
    fn the_view_is_the_same_in_every_order(steps in steps(), order in any::<u64>()) {
        let (paper, _) = history(&steps);
        let shown = paper.view(NOW);
        check_identities(&shown);
        let tables = paper.tables(|writes| {
            let mut state = order | 1;
            for place in (1..writes.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let other = usize::try_from(state >> 33).expect("31 bits") % (place + 1);
                writes.swap(place, other);
            }
        });
        prop_assert_eq!(paper.view_of(&tables, NOW), shown);
    }

    /// P3.
    #[test]
    fn cover_that_is_added_never_widens_a_gap(steps in steps(), quantity in 1..1_000_u64) {
        let (mut paper, said) = history(&steps);
        let need = said.requirements[0].clone();
        let before = paper.view(NOW);
        let pledge = paper.say("FRA", json!({"kind":"pledge","fields":{"requirement":need,"quantity":quantity}}));
        let offered = paper.view(NOW);
        prop_assert!(gap(&offered, &need) <= gap(&before, &need));
        paper.say("UKR", json!({"kind":"accept","fields":{"pledge":pledge}}));
        let accepted = paper.view(NOW);
        prop_assert!(gap(&accepted, &need) <= gap(&offered, &need));
        for ((name, after), (other, then)) in gaps(&accepted).into_iter().zip(gaps(&before)) {
            prop_assert_eq!(&name, &other);
            prop_assert!(name == need || after == then, "no other requirement changes");
        }
        paper.say("FRA", json!({"kind":"pledge","record":pledge,"status":"withdrawn"}));
        prop_assert!(gap(&paper.view(NOW), &need) >= gap(&accepted, &need));
    }

    /// P3: what is withdrawn never narrows a gap, unless another pledge of the same goods takes its place.
    #[test]
    fn cover_that_is_withdrawn_never_narrows_a_gap(steps in steps(), which in any::<u16>()) {
        let (mut paper, said) = history(&steps);
        let before = paper.view(NOW);
        let Some(pledge) = pick(&said.pledges, which.into()) else { return Ok(()) };
        let row = before.pledges.iter().find(|row| row.head.name.to_string() == pledge).expect("a pledge");
        let waited_for = before.pledges.iter().any(|other| other.waits.as_ref().is_some_and(|waits| waits.pledge.as_ref() == Some(&pledge)));
        // Nor unless it leaves stock or consent to another pledge, or a standby pledge waits for just this.
        if !row.ext_refs.is_empty() || row.head.surviving > 1 || row.lot.is_some() || row.consent.is_some() || waited_for {
            return Ok(());
        }
        paper.say(writer(&pledge), json!({"kind":row.head.name.kind.name(),"record":pledge,"status":"withdrawn"}));
        for ((name, after), (_, then)) in gaps(&paper.view(NOW)).into_iter().zip(gaps(&before)) {
            prop_assert!(after >= then, "{name}: {then} became {after}");
        }
    }

    /// P5 for C2, C4, C5, C6 and C20: a conflict leaves at least the gap of each reading in which one had seen the other.
    #[test]
    fn a_conflict_is_read_pessimistically(case in 0..8_u8, one in 1..1_200_u64, two in 1..1_200_u64) {
        let mut base = Paper::new();
        let need = base.say("UKR", json!({"kind":"requirement","fields":{"item":"pump","class":"IV","quantity":1_000,"unit":"each"}}));
        let deu = base.say("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":one}}));
        let lot = base.say("DEU", json!({"kind":"stock_lot","fields":{"item":"pump","quantity":one,"unit":"each"}}));
        let foreign = base.say("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":two,"origin_nation":"FRA","lot":lot}}));
        let request = base.say("DEU", json!({"kind":"consent_request","fields":{"pledge":foreign,"origin":"FRA"}}));
        let consent = base.say("FRA", json!({"kind":"consent","fields":{"request":request,"quantity":one,"unit":"each"}}));
        let taken = || ("UKR", json!({"kind":"accept","fields":{"pledge":foreign}}));
        let (left, right): ((&str, Json), (&str, Json)) = match case {
            4 => (("DEU", json!({"kind":"suspend_notice","fields":{"from":"2026-01-01"}})), ("UKR", json!({"kind":"accept","fields":{"pledge":deu}}))),
            5 => (("FRA", json!({"kind":"consent","record":consent,"status":"withdrawn"})), taken()),
            6 => (("DEU", json!({"kind":"stock_lot","record":lot,"fields":{"quantity":two / 2 + 1}})), taken()),
            7 => (("DEU", json!({"kind":"pledge","fields":{"requirement":need,"quantity":two,"lot":lot}})), taken()),
            0 => (("DEU", json!({"kind":"pledge","record":deu,"status":"withdrawn"})), ("UKR", json!({"kind":"accept","fields":{"pledge":deu}}))),
            1 => (("DEU", json!({"kind":"pledge","record":deu,"fields":{"quantity":two}})), ("UKR", json!({"kind":"accept","fields":{"pledge":deu,"quantity":one}}))),
            2 => (("DEU", json!({"kind":"pledge","record":deu,"fields":{"quantity":two}})), ("DEU", json!({"kind":"pledge","record":deu,"fields":{"quantity":one / 2 + 1}}))),
            _ => (("DEU", json!({"kind":"pledge","record":deu,"fields":{"conditions":["consent"]}})), ("UKR", json!({"kind":"accept","fields":{"pledge":deu}}))),
        };
        if case == 2 {
            base.say("UKR", json!({"kind":"accept","fields":{"pledge":deu}}));
        }
        let seen = base.writes.len();
        let read = |first: &(&str, Json), second: &(&str, Json), apart: bool| {
            let mut paper = base.clone();
            paper.say_blind(first.0, 1, seen, first.1.clone());
            let known = if apart { seen } else { paper.writes.len() };
            paper.say_blind(second.0, 2, known, second.1.clone());
            gap(&paper.view(NOW), &need)
        };
        let conflict = read(&left, &right, true);
        prop_assert_eq!(conflict, read(&right, &left, true));
        if case == 2 {
            // A revision replaces what it has seen: the readings are either one alone.
            let alone = |side: &(&str, Json)| {
                let mut paper = base.clone();
                paper.say_blind(side.0, 1, seen, side.1.clone());
                gap(&paper.view(NOW), &need)
            };
            prop_assert_eq!(conflict, alone(&left).max(alone(&right)));
        } else {
            // The acceptance knew: it takes what there is, or nothing is left to take.
            prop_assert!(conflict >= read(&right, &left, false));
        }
    }

    /// P7, with the shares of hubs beside the slots.
    #[test]
    fn what_is_granted_fits_the_hub(steps in steps(), days in 0..24_u64) {
        let (paper, _) = history(&steps);
        crate::passage::hubs_hold(&paper.view(Timestamp(NOW.0 + days * Timestamp::DAY_MS)));
    }

    /// P4: what one nation says changes nothing of what others said, only what it counts for.
    #[test]
    fn no_nation_changes_what_another_said(steps in steps(), who in 0..4_usize) {
        let (paper, _) = history(&steps);
        let leaver = nation(CODES[who]);
        let mut without = paper.clone();
        without.writes.retain(|(nation, _, _)| *nation != leaver);
        let facts = |view: &View| {
            let heads = crate::world::heads(view).into_iter().filter(|head| head.name.nation != leaver);
            let mut facts: Vec<_> = heads.map(|head| (head.name.clone(), head.time, head.status, head.surviving)).collect();
            facts.sort();
            facts
        };
        prop_assert_eq!(facts(&paper.view(NOW)), facts(&without.view(NOW)));
    }

    /// P11.
    #[test]
    fn between_two_deadlines_nothing_changes(steps in steps(), early in 3_600_000..86_400_000_u64, late in 3_600_000..86_400_000_u64) {
        let (paper, _) = history(&steps);
        let at = |ms: u64| paper.view(Timestamp(NOW.0 + 20 * Timestamp::DAY_MS + ms - 3_600_000));
        let (early, mut late) = (at(early), at(late));
        late.as_of = early.as_of;
        prop_assert_eq!(early, late);
    }

    #[test]
    fn a_view_that_holds_later_is_the_later_view(
        steps in steps(),
        early in 0..3 * Timestamp::DAY_MS,
        later in prop_oneof![0..40_000_u64, 0..2 * Timestamp::DAY_MS],
        skewed in any::<bool>(),
    ) {
        let (paper, _) = history(&steps);
        // Either around deadlines, or while some claimed times are still too far ahead.
        let early = if skewed { FOUNDED_MS - 600_000 + early % 30_000 } else { NOW.0 + 18 * Timestamp::DAY_MS + early };
        let mut view = paper.view(Timestamp(early));
        let until = paper.view(Timestamp(view.same_until.0 - 1));
        let later = paper.view(Timestamp(early + later));
        prop_assert!(view.holds_at(view.as_of) && view.holds_at(until.as_of) && !view.holds_at(view.same_until));
        let holds = view.holds_at(later.as_of);
        view.as_of = until.as_of;
        prop_assert_eq!(&view, &until);
        view.as_of = later.as_of;
        if holds {
            prop_assert_eq!(view, later);
        }
    }

    /// P10 and the N-1 of 2.7: it never adds cover, and without a nation that said nothing it is the identity.
    #[test]
    fn a_leaver_takes_only_what_it_has_not_delivered(steps in steps(), who in 0..4_usize) {
        let (paper, _) = history(&steps);
        let view = paper.view(NOW);
        let leaver = nation(CODES[who]);
        for (before, after) in coverage(&view, None).into_iter().zip(coverage(&view, Some(leaver))) {
            prop_assert!(after.gap_firm >= before.gap_firm);
            let silent = view.pledges.iter().all(|pledge| pledge.head.name.nation != leaver && !pledge.custody.contains_key(&leaver));
            prop_assert!(!silent || after == before);
        }
        for row in &view.requirements {
            let counted = row.pledges.iter().map(|place| &view.pledges[*place]).filter(|pledge| pledge.head.standing == Standing::Counted);
            let sum: u64 = counted.map(|pledge| pledge.buckets.to_ship).sum();
            prop_assert_eq!(sum, row.cover.to_ship);
        }
    }
}
