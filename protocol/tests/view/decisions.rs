//! The silence procedure, case by case (DOMAIN 2.8, C24, C25; threats T70, T71).

use comity_protocol::ids::Timestamp;
use comity_protocol::statement::draft::DraftProblem;
use comity_protocol::statement::silence::{Lack, Stance};
use comity_protocol::testing::retire;
use comity_protocol::view::decision::{DecisionRow, DecisionState};
use comity_protocol::view::rows::{FlagCode, Standing};
use serde_json::json;

use crate::stage::{HOUR, Stage, answer, hour};
use crate::world::Look as _;

const THREE: [(&str, usize); 3] = [("UKR", 1), ("POL", 2), ("DEU", 1)];

#[track_caller]
fn stance(stage: &Stage, site: &str, proposal: &str, code: &str) -> Stance {
    let row = stage.decision(site, proposal);
    row.parties.iter().find(|party| party.code == code).expect("a participant").party.stance
}

#[test]
fn what_nobody_objects_to_is_adopted_once_everybody_has_spoken_after_the_deadline() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Open);
    stage.wait(49);
    assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Provisional, "nothing is proved by the clock alone");
    stage.round(&[]);
    for site in ["UKR", "POL", "POL2", "DEU"] {
        let row = stage.decision(site, &proposal);
        assert_eq!(row.state, DecisionState::Adopted);
        assert!(
            row.parties.iter().all(|party| party.party.stance == Stance::KeptSilence && !party.party.proofs.is_empty())
        );
    }
    let row = stage.decision("UKR", &proposal);
    assert_eq!(row.effect["lead.shelter"], "POL");
    assert_eq!(row.parties.iter().map(|party| party.party.proofs.len()).sum::<usize>(), 4, "one for each key");
    assert_eq!(stage.decision_at("UKR", &proposal, hour(2)).state, DecisionState::Open, "as it was then");
}

#[test]
fn an_objection_in_time_breaks_the_silence_for_good() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(20);
    stage.say("DEU", answer("object", &proposal));
    stage.meet(&[]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Broken);
    stage.wait(40);
    stage.round(&[]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Broken);
    assert_eq!(stance(&stage, "UKR", &proposal, "DEU"), Stance::Objected);
}

#[test]
fn a_reservation_and_a_note_of_having_seen_it_stop_nothing() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.say("DEU", answer("reserve", &proposal));
    stage.say("POL", answer("seen", &proposal));
    stage.wait(49);
    stage.round(&[]);
    let row = stage.decision("UKR", &proposal);
    assert_eq!(row.state, DecisionState::Adopted);
    assert_eq!(row.parties.iter().flat_map(|party| &party.party.answers).count(), 2, "both are shown");
}

/// T70.
#[test]
fn an_objection_dated_back_after_the_own_witness_spoke_is_late() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(49);
    stage.round(&[]);
    // As early as its own chain lets it: the time of its last envelope.
    let (site, early) = (stage.site("DEU"), hour(2));
    stage.try_say(site, early, answer("object", &proposal)).expect("a draft");
    stage.round(&[]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Adopted);
    let row = stage.decision("UKR", &proposal);
    let party = &row.parties.iter().find(|party| party.code == "DEU").expect("a participant").party;
    assert_eq!((party.stance, party.answers[0].timely), (Stance::KeptSilence, false));
    let view = stage.view("UKR", stage.now);
    view.one_flag(FlagCode::LateArrival, &[&proposal], &[]);
}

/// T70.
#[test]
fn an_objection_at_a_node_cut_off_from_its_own_witness_leaves_its_nation_unproven_until_it_is_heard() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(20);
    stage.say("POL2", answer("object", &proposal));
    stage.wait(30);
    stage.round(&["POL2"]);
    assert_eq!(stance(&stage, "UKR", &proposal, "POL"), Stance::Unproven, "one of its nodes is cut off");
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Provisional);
    let lacks =
        stage.decision("UKR", &proposal).parties.into_iter().find(|party| party.code == "POL").expect("it").party.lacks;
    assert_eq!(lacks, [Lack::Key(stage.author(stage.site("POL2")))]);
    // Others hear it before its own witness does: it is shown, and still decides nothing.
    let (from, to) = (stage.site("POL2"), stage.site("UKR"));
    stage.bring(from, to);
    assert_eq!(stance(&stage, "UKR", &proposal, "POL"), Stance::Unproven);
    stage.round(&[]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Broken);
    assert_eq!(stance(&stage, "DEU", &proposal, "POL"), Stance::Objected);
}

/// T70: what a cut-off node dates back after the deadline can break a decision only where its silence was not proved.
#[test]
fn a_node_that_was_never_heard_past_the_deadline_may_still_object_and_one_that_was_may_not() {
    for heard in [false, true] {
        let mut stage = Stage::new(&THREE);
        let proposal = stage.proposed("UKR", 48);
        stage.wait(49);
        stage.round(if heard { &[] } else { &["POL2"] });
        let site = stage.site("POL2");
        stage.try_say(site, hour(40), answer("object", &proposal)).expect("a draft");
        stage.round(&[]);
        let expected = if heard { DecisionState::Adopted } else { DecisionState::Broken };
        assert_eq!(stage.state_of("UKR", &proposal), expected);
    }
}

/// T71.
#[test]
fn a_nation_partitioned_at_the_deadline_is_unproven_and_never_counted_as_consent() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    for hours in [49, 25, 1_000] {
        stage.wait(hours);
        stage.round(&["DEU"]);
        let expected = if hours == 49 { DecisionState::Provisional } else { DecisionState::LapsedUnproven };
        assert_eq!(stage.state_of("UKR", &proposal), expected);
        assert_eq!(stance(&stage, "UKR", &proposal, "DEU"), Stance::Unproven);
        let view = stage.view("UKR", stage.now);
        view.one_flag(FlagCode::LateArrival, &[&proposal], &["DEU"]);
    }
    // It was silent all the time: once it is heard that is proved.
    stage.round(&[]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Adopted);
}

/// T71: with an assent from before the cut nothing of it need be proved.
#[test]
fn an_assent_needs_no_proof_of_silence_and_stands_against_what_its_nation_says_later() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.say("DEU", answer("assent", &proposal));
    stage.round(&[]);
    stage.wait(49);
    stage.say("DEU", answer("object", &proposal));
    stage.round(&["DEU"]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Adopted);
    stage.round(&[]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Adopted);
    assert_eq!(stance(&stage, "UKR", &proposal, "DEU"), Stance::Assented);
}

/// C24.
#[test]
fn an_objection_said_in_time_and_heard_late_turns_a_provisional_decision_to_broken() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(47);
    stage.say("DEU", answer("object", &proposal));
    stage.wait(2);
    stage.round(&["DEU"]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Provisional);
    stage.view("UKR", stage.now).one_flag(FlagCode::LateArrival, &[&proposal], &["DEU"]);
    stage.round(&[]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Broken);
}

/// C25.
#[test]
fn of_two_proposals_with_one_key_the_one_that_closes_first_stands() {
    let mut stage = Stage::new(&THREE);
    let first = stage.proposed("UKR", 48);
    let second = stage.proposed("POL", 60);
    assert_eq!(stage.state_of("DEU", &second), DecisionState::Blocked);
    let view = stage.view("DEU", stage.now);
    view.one_flag(FlagCode::RivalProposal, &[&second, &first], &["POL", "UKR"]);
    stage.wait(70);
    stage.round(&[]);
    assert_eq!(stage.state_of("DEU", &first), DecisionState::Adopted);
    let row = stage.decision("DEU", &second);
    assert_eq!((row.state, row.rival.as_deref()), (DecisionState::Blocked, Some(first.as_str())));
}

/// C25.
#[test]
fn a_proposal_goes_on_when_its_rival_is_objected_to_or_withdrawn_in_time() {
    for how in ["object", "withdraw"] {
        let mut stage = Stage::new(&THREE);
        let first = stage.proposed("UKR", 48);
        let second = stage.proposed("POL", 60);
        stage.wait(10);
        if how == "object" {
            stage.say("DEU", answer("object", &first));
        } else {
            stage.say("UKR", json!({"kind": "propose", "record": first, "status": "withdrawn"}));
        }
        stage.round(&[]);
        assert_eq!(stage.state_of("DEU", &second), DecisionState::Open);
        stage.wait(70);
        stage.round(&[]);
        assert_eq!(stage.state_of("DEU", &second), DecisionState::Adopted, "{how}");
    }
}

/// C25 and P8: a rival that its proposer dates back after everybody was silent blocks nothing.
#[test]
fn a_rival_made_after_the_deadline_blocks_nothing() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    let draft = stage.proposal(47);
    stage.wait(49);
    stage.round(&[]);
    let site = stage.site("POL");
    stage.try_say(site, hour(2), draft).expect("a draft");
    stage.round(&[]);
    assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Adopted);
}

#[test]
fn a_proposal_dated_back_is_not_adopted_by_the_silence_of_those_who_never_saw_it() {
    let mut stage = Stage::new(&THREE);
    stage.round(&[]);
    let mut draft = stage.proposal(48);
    let opened = stage.now;
    stage.wait(49);
    stage.round(&["UKR"]);
    draft["fields"]["opens_at"] = json!(opened.rfc3339());
    let site = stage.site("UKR");
    let proposal = stage.try_say(site, opened, draft).expect("a draft");
    for _ in 0..3 {
        stage.wait(30);
        stage.round(&[]);
        assert_eq!(stance(&stage, "DEU", &proposal, "POL"), Stance::Unproven);
        assert_ne!(stage.state_of("DEU", &proposal), DecisionState::Adopted);
    }
    let row = stage.decision("DEU", &proposal);
    assert!(row.parties.iter().filter(|party| party.code != "UKR").all(|party| party.party.lacks == [Lack::Notice]));
}

#[test]
fn less_than_a_day_takes_the_assent_of_all_the_proposer_too() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 23);
    assert!(stage.decision("DEU", &proposal).short);
    stage.say("POL", answer("assent", &proposal));
    stage.say("DEU", answer("assent", &proposal));
    stage.round(&[]);
    stage.wait(25);
    stage.round(&[]);
    assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Provisional);
    stage.say("UKR", answer("assent", &proposal));
    stage.round(&[]);
    assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Adopted);
}

#[test]
fn the_assent_of_all_adopts_before_the_deadline() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    for site in ["UKR", "POL2", "DEU"] {
        assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Open);
        stage.say(site, answer("assent", &proposal));
        stage.meet(&[]);
    }
    assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Adopted);
}

#[test]
fn each_participant_has_one_extension_of_a_day_if_it_asks_before_the_deadline() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    let closes = stage.decision("UKR", &proposal).closes_at;
    let deadline = |stage: &Stage| (stage.decision("UKR", &proposal).deadline.0 - closes.0) / HOUR;
    stage.say("DEU", answer("request_extension", &proposal));
    stage.round(&[]);
    assert_eq!(deadline(&stage), 24);
    let now = stage.now;
    let site = stage.site("DEU");
    let twice = stage.try_say(site, now, answer("request_extension", &proposal)).expect_err("once is enough");
    assert!(matches!(twice.problem, DraftProblem::Twice { .. }) && twice.hint().is_some(), "{twice}");
    // Past the first deadline, before the one that counts: this too is in time.
    stage.wait(60);
    stage.say("POL", answer("request_extension", &proposal));
    stage.round(&[]);
    assert_eq!(deadline(&stage), 48);
    stage.wait(40);
    stage.round(&[]);
    stage.say("UKR", answer("request_extension", &proposal));
    stage.round(&[]);
    assert_eq!(deadline(&stage), 48, "too late");
    assert_eq!(stage.state_of("DEU", &proposal), DecisionState::Adopted);
}

#[test]
fn an_amendment_in_time_ends_the_version_before_it_and_its_answers_do_not_carry_over() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.say("POL", answer("assent", &proposal));
    stage.round(&[]);
    let old = stage.decision("UKR", &proposal).head.name.version;
    let closes_at = stage.now.plus_ms(72 * HOUR).rfc3339();
    let opens_at = stage.now.rfc3339();
    let fields = json!({"text": "DEU leads.", "opens_at": opens_at, "closes_at": closes_at});
    stage.say("UKR", json!({"kind": "propose", "record": proposal, "fields": fields}));
    stage.round(&[]);
    stage.wait(100);
    stage.round(&[]);
    let view = stage.view("DEU", stage.now);
    let states: Vec<(bool, DecisionState)> =
        view.decisions.iter().map(|row| (row.head.name.version == old, row.state)).collect();
    assert_eq!(states, [(true, DecisionState::Amended), (false, DecisionState::Adopted)]);
    assert_eq!(stance(&stage, "DEU", &proposal, "POL"), Stance::KeptSilence);
}

#[test]
fn a_withdrawal_after_adoption_undoes_nothing() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(49);
    stage.round(&[]);
    stage.say("UKR", json!({"kind": "propose", "record": proposal, "status": "withdrawn"}));
    stage.round(&[]);
    let view = stage.view("DEU", stage.now);
    let adopted: Vec<bool> =
        view.decisions.iter().filter(|row| row.state == DecisionState::Adopted).map(|row| row.latest).collect();
    assert_eq!(adopted, [false], "the version before it stays what it was");
}

#[test]
fn only_participants_propose_and_answer() {
    let mut stage = Stage::new(&THREE);
    let mut draft = stage.proposal(48);
    draft["fields"]["participants"] = json!(["UKR", "POL"]);
    let (deu, now) = (stage.site("DEU"), stage.now);
    let refused = stage.try_say(deu, now, draft.clone()).expect_err("it is no participant");
    assert!(matches!(refused.problem, DraftProblem::Role { .. }), "{refused}");
    let proposal = stage.say("UKR", draft);
    stage.round(&[]);
    let refused = stage.try_say(deu, now, answer("object", &proposal)).expect_err("it is no participant");
    assert_eq!(refused.to_string(), "proposal: only the participant may write this: POL UKR");
    stage.wait(49);
    stage.round(&["DEU"]);
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Adopted, "nothing of DEU is needed");
}

#[test]
fn drafts_of_proposals_are_checked() {
    let mut stage = Stage::new(&THREE);
    let (site, now) = (stage.site("UKR"), stage.now);
    for (field, value, said) in [
        ("closes_at", json!(stage.now.rfc3339()), "closes_at: is not after opens_at"),
        ("participants", json!(["UKR", "XYZ"]), "participants.1: no member has the code \"XYZ\""),
        ("text_hash", json!("00"), "text_hash: wants 64 hexadecimal digits"),
        ("text_hash", json!("00".repeat(32)), "text_hash: is not the hash of text"),
    ] {
        let mut draft = stage.proposal(48);
        draft["fields"][field] = value;
        assert_eq!(stage.try_say(site, now, draft).expect_err(field).to_string(), said);
    }
    let unknown = stage.try_say(site, now, answer("assent", "POL/propose/7k3m9q2x4d")).expect_err("not here");
    assert!(matches!(unknown.problem, DraftProblem::Resolve(_)), "{unknown}");
}

/// DEU's one key says two things after the deadline, once its silence is proved; `seen` is whether the others saw its proof.
fn forked_proof(seen: bool) -> DecisionRow {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(49);
    let site = stage.site("DEU");
    let copy = stage.copy(site);
    if seen {
        stage.round(&[]);
    } else {
        stage.round(&["DEU"]);
        let now = stage.now;
        stage.witness(site, now);
        stage.meet(&[]);
    }
    assert_eq!(stage.state_of("UKR", &proposal), DecisionState::Adopted);
    stage.put_back(site, copy);
    let twin = stage.alliance.node(2, 0).envelope(9, b"another".to_vec());
    stage.said.push(twin.clone());
    let mut state = stage.state(stage.site("UKR")).clone();
    state.admit(twin.elements().into());
    let view = comity_protocol::view::view(&state, stage.now);
    let row = view.decisions.iter().find(|row| row.latest).expect("it").clone();
    assert!(row.parties.iter().any(|party| party.code == "DEU" && party.party.forked));
    row
}

#[test]
fn a_fork_takes_away_a_proof_that_nobody_else_has_seen_and_says_so() {
    assert_eq!(forked_proof(false).state, DecisionState::Provisional);
}

#[test]
fn a_fork_takes_away_no_proof_that_is_final() {
    assert_eq!(forked_proof(true).state, DecisionState::Adopted);
}

#[test]
fn a_key_enrolled_after_the_deadline_neither_unmakes_a_decision_nor_breaks_it() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(49);
    stage.round(&[]);
    let key = stage.alliance.add_node(1, 77).roster_key(false);
    let late = stage.now.0;
    let roster = stage.alliance.roster(1, |roster| {
        roster.keys.push(key);
        roster.time_ms = late;
    });
    let mut state = stage.state(stage.site("UKR")).clone();
    state.admit(vec![comity_protocol::evaluate::Element::Control(roster)]);
    let view = comity_protocol::view::view(&state, stage.now);
    assert_eq!(
        view.decisions.iter().find(|row| row.head.name.to_string() == proposal).expect("it").state,
        DecisionState::Adopted
    );
}

#[test]
fn a_retired_node_that_said_nothing_against_it_need_not_be_heard() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(49);
    stage.round(&["POL2"]);
    assert_eq!(stance(&stage, "UKR", &proposal, "POL"), Stance::Unproven);
    let lost = stage.alliance.nations[1].nodes[1].clone();
    let mut state = stage.state(stage.site("UKR")).clone();
    let cut = state.chain(&lost.author).map_or(comity_protocol::ids::Tip::NONE, comity_protocol::chain::Chain::tip);
    let roster = stage.alliance.roster(1, |roster| retire(roster, &lost.author.key, cut));
    state.admit(vec![comity_protocol::evaluate::Element::Control(roster)]);
    let view = comity_protocol::view::view(&state, stage.now);
    assert_eq!(
        view.decisions.iter().find(|row| row.head.name.to_string() == proposal).expect("it").state,
        DecisionState::Adopted
    );
}

#[test]
fn a_decision_waits_for_bodies_that_may_hold_an_objection() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    stage.wait(20);
    stage.say("DEU", answer("object", &proposal));
    let objection = stage.said.last().expect("it").id();
    stage.wait(30);
    stage.round(&[]);
    let mut state = stage.alliance.state();
    for envelope in &stage.said {
        let elements = envelope.elements();
        let take = if envelope.id() == objection { 1 } else { 2 };
        state.admit(elements.into_iter().take(take).collect());
    }
    let view = comity_protocol::view::view(&state, stage.now);
    let row = view.decisions.iter().find(|row| row.head.name.to_string() == proposal).expect("it");
    assert_eq!(row.state, DecisionState::Provisional);
    let deu = row.parties.iter().find(|party| party.code == "DEU").expect("it");
    assert!(matches!(deu.party.lacks[..], [Lack::Body(_)]), "{:?}", deu.party.lacks);
}

#[test]
fn answers_by_others_and_to_what_is_not_here_count_for_nothing() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 48);
    let version = stage.decision("UKR", &proposal).head.name.version;
    let view = stage.view("UKR", stage.now);
    assert!(view.answers.is_empty());
    stage.say("DEU", answer("object", &format!("{proposal}@{}", version.hex())));
    stage.meet(&[]);
    let view = stage.view("UKR", stage.now);
    assert_eq!(view.answers[0].head.standing, Standing::Counted);
    // The objection without the proposal.
    let mut state = stage.alliance.state();
    let said = stage.said.last().expect("it").clone();
    for envelope in
        stage.said.iter().filter(|envelope| envelope.header.header().author_id() == said.header.header().author_id())
    {
        state.admit(envelope.elements().into());
    }
    let view = comity_protocol::view::view(&state, stage.now);
    assert_eq!((view.answers[0].head.standing, view.answers[0].decision_row), (Standing::Pending, None));
}

/// P11.
#[test]
fn a_view_holds_until_the_deadline_of_a_decision_and_no_longer() {
    let mut stage = Stage::new(&THREE);
    let proposal = stage.proposed("UKR", 30);
    let deadline = stage.decision("UKR", &proposal).deadline;
    let before = stage.view("UKR", Timestamp(deadline.0 - 2 * HOUR));
    assert!(before.holds_at(Timestamp(deadline.0 - 1)) && !before.holds_at(deadline));
    let after = stage.view("UKR", Timestamp(deadline.0 + 23 * HOUR));
    assert!(!after.holds_at(deadline.plus_ms(24 * HOUR)), "then it has lapsed");
}
