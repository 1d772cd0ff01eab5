//! What is stated anew after a cut, in words.

use axum::http::StatusCode;
use comity_protocol::chain::EnvelopeStanding;
use comity_protocol::dossier::{Kept, Restatement, Restating};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{EnvelopeId, NationId};
use comity_protocol::section::Verdict;

use super::code;
use crate::api::Refusal;
use crate::api::model::{LeftRow, Restated, RestatedRow};

/// Reads the envelopes that a nation stands by again.
///
/// # Errors
/// A refusal naming the first that is no envelope of the nation, or counts as it is, or may yet count.
pub fn named(state: &State, nation: &NationId, ids: &[String]) -> Result<Vec<EnvelopeId>, Refusal> {
    ids.iter().map(|text| one(state, nation, text)).collect()
}

fn one(state: &State, nation: &NationId, text: &str) -> Result<EnvelopeId, Refusal> {
    let hint = "`comity log --standing disavowed` lists them";
    let unknown = || Refusal::new(StatusCode::NOT_FOUND, format!("{text:?} names no envelope here")).hint(hint);
    let id = match EnvelopeId::from_hex(text) {
        Some(id) => id,
        None => super::explain::by_first_digits(state, text).ok_or_else(unknown)?,
    };
    let view = state.envelope(&id).ok_or_else(unknown)?;
    let refuse =
        |why: String| Err(Refusal::new(StatusCode::CONFLICT, format!("{text} is not stated again")).cause(why));
    if view.chain.author().nation != *nation {
        return refuse("another nation said it".to_owned());
    }
    match (view.standing, view.verdict) {
        (EnvelopeStanding::Accepted, Some(Verdict::Waiting(_))) | (EnvelopeStanding::Disavowed, _) => Ok(id),
        (EnvelopeStanding::Accepted, _) => refuse("it counts as it is".to_owned()),
        (standing, _) => refuse(format!("it is {}: {}", standing.code(), standing.explain())),
    }
}

/// Returns what is written anew and what is left.
pub fn report(state: &State, plan: &Restating) -> Restated {
    Restated {
        dry_run: false,
        more: false,
        written: plan.writes.iter().map(|restatement| restated(state, restatement)).collect(),
        left: plan.kept.iter().map(|kept| left(state, kept)).collect(),
    }
}

fn restated(state: &State, restatement: &Restatement) -> RestatedRow {
    let nation = code(state, &restatement.envelope.author.nation);
    let records = restatement.writes.iter().map(|write| format!("{nation}/{}/{}", write.kind, write.id));
    RestatedRow { from: restatement.envelope.tip.id.hex(), envelope: None, records: records.collect() }
}

fn left(state: &State, kept: &Kept) -> LeftRow {
    let (kind, id) = &kept.record;
    LeftRow {
        envelope: kept.envelope.tip.id.hex(),
        record: format!("{}/{kind}/{id}", code(state, &kept.envelope.author.nation)),
        reason: kept.why.code().to_owned(),
        detail: kept.why.explain().to_owned(),
    }
}
