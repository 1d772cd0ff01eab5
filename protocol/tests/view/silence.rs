//! P8 and P1 of decisions over random histories of nodes that meet now and then, and over orders of arrival.

use comity_protocol::evaluate::{Element, State, evaluate};
use comity_protocol::ids::{EnvelopeId, Timestamp};
use comity_protocol::view::decision::{DecisionRow, DecisionState};
use comity_protocol::view::view;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value as Json, json};

use crate::stage::{HOUR, Stage, answer, hour};

/// What one node does next.
#[derive(Clone, Copy, Debug)]
struct Step {
    what: u8,
    site: usize,
    other: usize,
    hours: u64,
    back: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..22_u8, 0..5_usize, 0..5_usize, 0..14_u64, any::<bool>())
        .prop_map(|(what, site, other, hours, back)| Step { what, site, other, hours, back });
    proptest::collection::vec(step, 8..60)
}

fn proposals(stage: &Stage, site: usize) -> Vec<String> {
    let rows = view(stage.state(site), hour(0)).decisions;
    rows.iter().map(|row| format!("{}@{}", row.head.name, row.head.name.version.hex())).collect()
}

fn own(stage: &Stage, site: usize) -> Option<String> {
    let rows = view(stage.state(site), hour(0)).decisions;
    let nation = stage.author(site).nation;
    rows.iter().find(|row| row.latest && row.head.name.nation == nation).map(|row| row.head.name.to_string())
}

/// Takes one step; one that the entry refuses is not taken.
fn take(stage: &mut Stage, step: Step, forks: bool) {
    let at = if step.back { hour(0) } else { stage.now };
    let say = |stage: &mut Stage, draft: Json| drop(stage.try_say(step.site, at, draft));
    match step.what {
        0..=4 => stage.now = stage.now.plus_ms(step.hours * HOUR),
        5..=9 => stage.bring(step.other, step.site),
        10..=13 => drop(stage.witness(step.site, stage.now)),
        14 => stage.meet(&[]),
        15 if forks => {
            let copy = stage.copy(step.site);
            stage.witness(step.site, stage.now);
            stage.put_back(step.site, copy);
        }
        16 => {
            let draft = stage.proposal(24 + step.hours);
            say(stage, draft);
        }
        17 => {
            if let Some(record) = own(stage, step.site) {
                let status = if step.back { Json::Null } else { json!("withdrawn") };
                let closes_at = stage.now.plus_ms((25 + step.hours) * HOUR).rfc3339();
                let fields = json!({"opens_at": stage.now.rfc3339(), "closes_at": closes_at});
                say(stage, json!({"kind": "propose", "record": record, "status": status, "fields": fields}));
            }
        }
        _ => {
            let known = proposals(stage, step.site);
            if let Some(proposal) = known.get(usize::from(step.what) % known.len().max(1)) {
                let kind = ["assent", "object", "request_extension", "assent", "assent"][step.other];
                say(stage, answer(kind, proposal));
            }
        }
    }
}

fn play(steps: &[Step], forks: bool) -> Stage {
    let mut stage = Stage::new(&[("UKR", 2), ("POL", 2), ("DEU", 1)]);
    let draft = stage.proposal(30);
    stage.try_say(0, stage.now, draft).expect("a draft");
    stage.round(&[]);
    for step in steps {
        take(&mut stage, *step, forks);
    }
    stage.round(&[]);
    stage.wait(40);
    stage.round(&[]);
    stage
}

/// Everything signed, header and body apart, in an order of its own.
fn shuffled(stage: &Stage, seed: u64) -> Vec<Element> {
    let mut elements: Vec<Element> = stage.said.iter().flat_map(|envelope| envelope.elements()).collect();
    let mut state = seed | 1;
    for at in (1..elements.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Mostly near where it was, as networks do it.
        let far = if state >> 60 == 0 { at + 1 } else { 6 };
        let by = usize::try_from(state >> 33).expect("31 bits") % far;
        elements.swap(at, at.saturating_sub(by));
    }
    elements
}

fn adopted(rows: &[DecisionRow]) -> Vec<EnvelopeId> {
    rows.iter().filter(|row| row.state == DecisionState::Adopted).map(|row| row.head.name.version).collect()
}

/// Admits a history element by element; an adopted decision stays so, unless a participant's chain is forked.
fn stays_adopted(stage: &Stage, elements: Vec<Element>, as_of: Timestamp) -> Result<usize, String> {
    let mut state = State::new(stage.alliance.anchor());
    state.admit(stage.alliance.elements());
    let mut before: Vec<EnvelopeId> = Vec::new();
    for element in elements {
        state.admit(vec![element]);
        let rows = view(&state, as_of).decisions;
        let now = adopted(&rows);
        for gone in before.iter().filter(|version| !now.contains(version)) {
            let row = rows.iter().find(|row| row.head.name.version == *gone);
            if !row.is_none_or(|row| row.parties.iter().any(|party| party.party.forked)) {
                return Err(format!("no longer adopted, and no fork: {row:#?}"));
            }
        }
        before = now;
    }
    Ok(before.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// P8.
    #[test]
    fn an_adopted_decision_stays_adopted_unless_a_fork_is_flagged(steps in steps(), seed in any::<u64>(), forks in any::<bool>()) {
        let stage = play(&steps, forks);
        let as_of = stage.now;
        if let Err(gone) = stays_adopted(&stage, shuffled(&stage, seed), as_of) {
            prop_assert!(false, "{}", gone);
        }
    }

    /// P8 along time, and P11.
    #[test]
    fn what_is_adopted_at_one_moment_is_adopted_at_every_later_one(steps in steps(), hours in 0..40_u64) {
        let stage = play(&steps, false);
        let early = view(stage.state(0), hour(20 + hours));
        let later = view(stage.state(0), hour(20 + 2 * hours));
        let now = adopted(&later.decisions);
        prop_assert!(adopted(&early.decisions).iter().all(|version| now.contains(version)));
        let mut at_end = view(stage.state(0), Timestamp(early.same_until.0 - 1));
        at_end.as_of = early.as_of;
        prop_assert_eq!(at_end, early);
    }

    /// P1.
    #[test]
    fn the_order_of_arrival_decides_nothing(steps in steps(), seed in any::<u64>(), forks in any::<bool>()) {
        let stage = play(&steps, forks);
        let mut elements = stage.alliance.elements();
        elements.extend(shuffled(&stage, seed));
        let whole = evaluate(stage.alliance.anchor(), elements.clone());
        let mut one_by_one = State::new(stage.alliance.anchor());
        for element in elements.into_iter().rev() {
            one_by_one.admit(vec![element]);
        }
        prop_assert_eq!(view(&whole, stage.now), view(&one_by_one, stage.now));
    }
}

/// The histories above do come to decisions of every kind; otherwise they would show nothing.
#[test]
fn quiet_histories_adopt() {
    let stage = play(&[], false);
    let count = stays_adopted(&stage, shuffled(&stage, 3), stage.now).expect("nothing is lost");
    assert_eq!(count, 1);
}
