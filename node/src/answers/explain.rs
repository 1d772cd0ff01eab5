//! Why a record or an envelope counts, or does not, step by step.

use axum::http::StatusCode;
use comity_protocol::evaluate::{EnvelopeView, State};
use comity_protocol::ids::EnvelopeId;
use comity_protocol::statement::Kind;
use comity_protocol::statement::current::current;
use comity_protocol::statement::ledger::Ledger;

use super::aid::resolve;
use super::node::log_row;
use super::rows::Rows;
use crate::api::Refusal;
use crate::api::model::{Explanation, LogRow};
use crate::driver::{Outlook, Reading};

/// Fewest digits by which an envelope is looked for.
const FIRST_DIGITS_MIN: usize = 4;

/// An explanation that lacks its flags.
#[derive(Clone, Debug)]
pub struct Explained {
    explanation: Explanation,
    /// The record it is about.
    record: Option<String>,
}

/// Returns the answer of `/v1/explain` but for its flags, which a view is needed for.
///
/// # Errors
/// A refusal if the reference names nothing, or more than one record.
pub fn explain(reading: &Reading<'_>, reference: &str) -> Result<Explained, Refusal> {
    let state = reading.state();
    let (subject, envelope) = match EnvelopeId::from_hex(reference) {
        Some(envelope) => (envelope.hex(), envelope),
        None => {
            let ledger = Ledger::of(state);
            match resolve(&ledger, reference) {
                Ok(named) => {
                    let record = ledger.record(&named);
                    let counted = record.and_then(|record| match Kind::from_name(&named.kind) {
                        Some(kind) => Some(current(kind, record)?.version.source.envelope),
                        None => Some(record.winner()?.source.envelope),
                    });
                    let envelope = named.version.or(counted).ok_or_else(|| missing(reference))?;
                    (ledger.text(&named), envelope)
                }
                Err(refusal) => {
                    let envelope = by_first_digits(state, reference).ok_or(refusal)?;
                    (envelope.hex(), envelope)
                }
            }
        }
    };
    let view = state.envelope(&envelope).ok_or_else(|| missing(reference))?;
    let row = log_row(state, view.chain, view.held);
    let record = row.records.first().cloned();
    let mut held_by: Vec<String> =
        reading.replica.held_by(&envelope).iter().map(|nation| super::code(state, nation)).collect();
    held_by.sort_unstable();
    let explanation = Explanation {
        subject,
        flags: Vec::new(),
        steps: steps(reading, &row, &view, &held_by),
        envelope: row.envelope,
        nation: row.nation,
        node: row.node,
        seq: row.seq,
        time: row.time,
        standing: row.standing,
        verdict: row.verdict,
        reason: row.reason,
        fork: view.chain.fork(),
        held_by,
    };
    Ok(Explained { explanation, record })
}

/// Returns the answer of `/v1/explain` with the flags on the record it is about.
pub fn flagged(outlook: &Outlook, explained: Explained) -> Explanation {
    let Explained { explanation, record } = explained;
    let flags = record.map(|record| Rows::new(outlook).flags_on(&record)).unwrap_or_default();
    Explanation { flags, ..explanation }
}

/// Returns the one envelope whose id starts with these digits, as `log` prints them.
fn by_first_digits(state: &State, digits: &str) -> Option<EnvelopeId> {
    if !(FIRST_DIGITS_MIN..=64).contains(&digits.len()) {
        return None;
    }
    let starts = |id: &EnvelopeId| {
        digits.bytes().zip(0..).all(|(digit, place): (u8, usize)| {
            let byte = id.as_bytes()[place / 2];
            let half = if place % 2 == 0 { byte >> 4 } else { byte & 15 };
            char::from_digit(u32::from(half), 16) == Some(char::from(digit))
        })
    };
    let mut found = state.chains().flat_map(|chain| chain.iter()).map(|held| held.id()).filter(starts);
    let envelope = found.next()?;
    found.next().is_none().then_some(envelope)
}

fn missing(reference: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("{reference:?} names nothing here"))
}

fn steps(reading: &Reading<'_>, row: &LogRow, view: &EnvelopeView<'_>, held_by: &[String]) -> Vec<String> {
    let state = reading.state();
    let author = view.chain.author();
    let mut steps = vec![format!("envelope {} of node {} of {}", row.seq, author.key.short(), row.nation)];
    steps.push(match state.author_status(&author) {
        comity_protocol::chain::AuthorStatus::Active => "its key is active in its nation's roster".to_owned(),
        comity_protocol::chain::AuthorStatus::Retired { cut } => {
            format!("its key is retired: what it said counts up to {}", cut.seq)
        }
        comity_protocol::chain::AuthorStatus::Removed { cut } => {
            format!("its nation was removed: what it said counts up to {}", cut.seq)
        }
        comity_protocol::chain::AuthorStatus::Unlisted => "its key stands in no roster held here".to_owned(),
    });
    if let Some(fork) = view.chain.fork() {
        steps.push(format!("its chain said two things at {fork}: it stands below that, the rest is suspended"));
    }
    steps.push(format!("in its chain it is {}", row.standing));
    match (&row.verdict, &row.reason) {
        (Some(verdict), Some(reason)) => steps.push(format!("its content is {verdict}: {reason}")),
        (Some(verdict), None) => steps.push(format!("its content is {verdict}")),
        (None, _) => steps.push("its content is not read".to_owned()),
    }
    if !row.records.is_empty() {
        steps.push(format!("it writes {}", row.records.join(", ")));
    }
    steps.push(match held_by {
        [] => "no other nation has confirmed holding it to this node".to_owned(),
        nations => format!("held by {}, as far as this node was told", nations.join(", ")),
    });
    steps
}
