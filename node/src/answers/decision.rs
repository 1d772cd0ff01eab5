//! Proposals as objects of the local API.

use axum::http::StatusCode;
use comity_protocol::ids::AuthorId;
use comity_protocol::statement::Kind;
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::reference::RefText;
use comity_protocol::statement::silence::{Given, Lack, Proof, Stance};
use comity_protocol::view::decision::{DecisionRow, PartyRow};

use crate::api::Refusal;
use crate::api::model::{Decision, DecisionAnswer, DecisionProof, Decisions, Participant, rfc3339};
use crate::driver::Outlook;

/// Returns the answer of `/v1/decisions`.
pub fn decisions(outlook: &Outlook) -> Decisions {
    let rows = outlook.view().decisions.iter().map(|row| decision(outlook, row)).collect();
    Decisions { as_of: rfc3339(outlook.as_of()), rows }
}

/// Returns the answer of `/v1/decision`.
///
/// # Errors
/// A refusal if the reference names no proposal, or more than one.
pub fn show(outlook: &Outlook, reference: &str) -> Result<Decision, Refusal> {
    let typed: RefText = reference
        .parse()
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "this is not a reference").cause(format!("{error}")))?;
    let missing = |cause: String| {
        Refusal::new(StatusCode::NOT_FOUND, format!("{reference:?} names no proposal here"))
            .cause(cause)
            .hint("`comity decision list` shows every proposal that is here")
    };
    let named = outlook.ledger().resolve(&typed, &[Kind::Propose]).map_err(|error| missing(error.to_string()))?;
    let mut rows = outlook.view().decisions.iter().filter(|row| {
        let name = &row.head.name;
        named.kind == Kind::Propose.name() && (name.nation, &name.id) == (named.nation, &named.id)
    });
    let row = rows.find(|row| named.version.map_or(row.latest, |version| version == row.head.name.version));
    let row = row.ok_or_else(|| missing("the version named is a withdrawal, or does not validate".to_owned()))?;
    Ok(decision(outlook, row))
}

fn decision(outlook: &Outlook, row: &DecisionRow) -> Decision {
    let ledger = outlook.ledger();
    let head = &row.head;
    let named = |flag: &&comity_protocol::view::rows::Flag| flag.statements.contains(&head.name);
    let mut flags: Vec<String> =
        outlook.view().flags.iter().filter(named).map(|flag| flag.code.name().to_owned()).collect();
    flags.dedup();
    Decision {
        as_of: rfc3339(outlook.as_of()),
        record: head.name.to_string(),
        version: head.name.version.hex(),
        nation: head.name.code.clone(),
        node: head.author.hex(),
        time: rfc3339(head.time),
        latest: row.latest,
        standing: head.standing.name().to_owned(),
        state: row.state.name().to_owned(),
        meaning: row.state.meaning().to_owned(),
        title: row.title.clone(),
        text_hash: row.text_hash.hex(),
        text: row.text.clone(),
        subject_key: row.subject_key.clone(),
        effect: row.effect.clone(),
        opens_at: rfc3339(row.opens_at),
        closes_at: rfc3339(row.closes_at),
        deadline: rfc3339(row.deadline),
        short: row.short,
        participants: row.parties.iter().map(|party| participant(&ledger, party)).collect(),
        stopped_by: row.stopped_by.map(|version| version.hex()),
        rival: row.rival.clone(),
        flags,
    }
}

fn participant(ledger: &Ledger<'_>, row: &PartyRow) -> Participant {
    let party = &row.party;
    let settled = matches!(party.stance, Stance::Assented | Stance::Objected);
    let lacks = party.lacks.iter().filter(|_| !settled);
    Participant {
        nation: row.code.clone(),
        stance: party.stance.name().to_owned(),
        needs: lacks.map(lack).collect(),
        answers: party.answers.iter().map(|given| answer(&row.code, given)).collect(),
        proofs: party.proofs.iter().map(|proof| proven(ledger, proof)).collect(),
        seen_at: party.seen_at.map(rfc3339),
        last_heard: party.last_heard.map(rfc3339),
        forked: party.forked,
    }
}

fn answer(code: &str, given: &Given) -> DecisionAnswer {
    DecisionAnswer {
        record: format!("{code}/{}/{}", given.kind, given.id),
        kind: given.kind.name().to_owned(),
        version: given.version.hex(),
        time: rfc3339(given.time),
        timely: given.timely,
        text: given.text.clone(),
    }
}

fn proven(ledger: &Ledger<'_>, proof: &Proof) -> DecisionProof {
    DecisionProof {
        node: proof.author.key.hex(),
        envelope: proof.tip.id.hex(),
        seq: proof.tip.seq,
        time: rfc3339(proof.time),
        seen_by: proof.seen_by.iter().map(|nation| ledger.code(nation)).collect(),
    }
}

fn lack(lack: &Lack) -> String {
    let node = |author: &AuthorId| author.key.short();
    match lack {
        Lack::NoRoster => "no roster of the nation is held".to_owned(),
        Lack::Short => "the proposal gives less than 24 hours: only its assent counts".to_owned(),
        Lack::Notice => "its witness had not acknowledged the proposal 12 hours before the deadline".to_owned(),
        Lack::Witness => "no witness statement of the nation from after the deadline".to_owned(),
        Lack::Key(author) => {
            format!("an envelope of its node {} from after the deadline, seen by its own witness", node(author))
        }
        Lack::Body(author) => {
            format!("what its node {} said before the deadline is not all held and read", node(author))
        }
    }
}
