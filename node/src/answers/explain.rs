//! Why a record or an envelope counts, or does not, step by step.

use axum::http::StatusCode;
use comity_protocol::chain::{AuthorStatus, Held};
use comity_protocol::dossier::{label, said_by};
use comity_protocol::evaluate::{EnvelopeView, Lacking, State};
use comity_protocol::ids::{AuthorId, EnvelopeId, NationId};
use comity_protocol::section::Verdict;
use comity_protocol::statement::Kind;
use comity_protocol::statement::current::current;
use comity_protocol::statement::ledger::Ledger;

use super::aid::resolve;
use super::node::{log_row, says};
use super::rows::Rows;
use crate::api::Refusal;
use crate::api::model::{Explanation, LackRow, LogRow};
use crate::driver::Outlook;

/// Fewest digits by which an envelope is looked for.
const FIRST_DIGITS_MIN: usize = 4;

/// An explanation that lacks its flags.
#[derive(Clone, Debug)]
pub struct Explained {
    explanation: Explanation,
    /// The record it is about.
    record: Option<String>,
}

/// Returns the answer of `/v1/explain` but for its flags, which a view is needed for; `holders` says which nations confirm
/// holding an envelope.
///
/// # Errors
/// A refusal if the reference names nothing, or more than one record.
pub fn explain(
    state: &State,
    holders: impl Fn(&EnvelopeId) -> Vec<NationId>,
    reference: &str,
) -> Result<Explained, Refusal> {
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
                    let found = by_first_digits(state, reference).or_else(|| uncounted(state, reference));
                    let envelope = found.ok_or(refusal)?;
                    (envelope.hex(), envelope)
                }
            }
        }
    };
    let view = state.envelope(&envelope).ok_or_else(|| missing(reference))?;
    let row = log_row(state, view.chain, view.held);
    let lacks = lacks(state, &view);
    let record = row.records.first().cloned();
    let held_by = super::codes(state, &holders(&envelope));
    let explanation = Explanation {
        subject,
        flags: Vec::new(),
        steps: steps(state, &row, &view, &held_by, &lacks),
        witnessed: row.witnessed,
        excluded: row.excluded,
        incomplete_cut: view.chain.incomplete().map(super::forks::place),
        lacks,
        says: says(state, &view.chain.author(), view.held),
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
pub(super) fn by_first_digits(state: &State, digits: &str) -> Option<EnvelopeId> {
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

/// Returns the newest envelope that writes a record which no accepted change of its nation has: it was taken out, or waits.
fn uncounted(state: &State, reference: &str) -> Option<EnvelopeId> {
    let (code, record) = reference.split_once('/')?;
    let (kind, id) = record.split_once('/')?;
    let (id, kind) = (id.split_once('@').map_or(id, |(id, _)| id), kind.replace('-', "_"));
    let nation = state.nation_by_code(code)?.id;
    let names = |author: &AuthorId, held: &&Held| {
        said_by(&author.key, held).iter().any(|write| write.kind == kind && write.id.starts_with(id))
    };
    let chains = state.chains_of(&nation).map(|chain| (chain.author(), chain));
    let newest = chains.flat_map(|(author, chain)| chain.iter().filter(move |held| names(&author, held)));
    newest.max_by_key(|held| (held.time_ms(), held.id())).map(Held::id)
}

fn lacks(state: &State, view: &EnvelopeView<'_>) -> Vec<LackRow> {
    if !matches!(view.verdict, Some(Verdict::Waiting(_))) {
        return Vec::new();
    }
    let row = |lacking: Lacking| {
        let carrier = lacking.carrier;
        LackRow {
            change: lacking.change.hex(),
            envelope: carrier.map(|(placed, _)| placed.tip.id.hex()),
            node: carrier.map(|(placed, _)| placed.author.key.hex()),
            label: carrier.and_then(|(placed, _)| label(state, &placed.author)),
            seq: carrier.map(|(placed, _)| placed.tip.seq),
            standing: carrier.map(|(_, standing)| standing.code().to_owned()),
        }
    };
    state.lacking(view).into_iter().map(row).collect()
}

fn steps(state: &State, row: &LogRow, view: &EnvelopeView<'_>, held_by: &[String], lacks: &[LackRow]) -> Vec<String> {
    let author = view.chain.author();
    let name = super::forks::node_name(state, &author);
    let mut steps = vec![format!("envelope {} of node {name} of {}", row.seq, row.nation)];
    steps.extend(chain_steps(state, row, view));
    match (&row.verdict, view.verdict) {
        (Some(verdict), Some(Verdict::Waiting(reason))) => {
            steps.push(format!("its content is {verdict} ({}): {}", reason.code(), reason.explain()));
        }
        (Some(verdict), Some(Verdict::Void(reason))) => {
            steps.push(format!("its content is {verdict} ({}): {reason}", reason.code()));
        }
        (Some(verdict), _) => steps.push(format!("its content is {verdict}")),
        (None, _) => steps.push("its content counts for nothing".to_owned()),
    }
    for lack in lacks {
        steps.push(match (&lack.node, lack.seq, &lack.standing) {
            (Some(node), Some(seq), Some(standing)) => {
                let name = lack.label.clone().unwrap_or_else(|| node.chars().take(10).collect());
                format!("it waits for a change in envelope {seq} of node {name}, which is {standing}")
            }
            _ => format!("it waits for change {}, which no envelope held carries", &lack.change[..10]),
        });
    }
    if !row.records.is_empty() {
        steps.push(format!("it writes {}", row.records.join(", ")));
    }
    steps.push(match held_by {
        [] => "no other nation has confirmed holding it to this node".to_owned(),
        nations => format!("held by {}, as far as this node was told", nations.join(", ")),
    });
    let seen = &row.witnessed;
    steps.push(match (seen.seen_by.as_slice(), seen.is_final) {
        ([], _) => format!("seen by 0 of {} nations", seen.nations),
        (nations, false) => {
            format!("seen by {} of {} nations: {}", nations.len(), seen.nations, nations.join(", "))
        }
        (nations, true) => {
            format!("seen by {} of {} nations: {}; it is final", nations.len(), seen.nations, nations.join(", "))
        }
    });
    steps
}

/// What roster, charter and chain say of it.
fn chain_steps(state: &State, row: &LogRow, view: &EnvelopeView<'_>) -> Vec<String> {
    let author = view.chain.author();
    let mut steps = vec![match state.author_status(&author) {
        AuthorStatus::Active => "its key is active in its nation's roster".to_owned(),
        AuthorStatus::Retired { cut } => format!("its key is retired: what it said counts up to {}", cut.seq),
        AuthorStatus::Removed { cut } => {
            let version = super::charter::removed_by(state, &author.nation);
            format!("charter version {version} removes its nation: what it said counts up to {}", cut.seq)
        }
        AuthorStatus::Unlisted => "its key stands in no roster in force".to_owned(),
    }];
    if let Some(fork) = view.chain.fork() {
        let to = view.chain.tip().seq;
        steps.push(format!("its key signed two statements numbered {fork}; its statements up to {to} stand"));
    }
    if let Some(cut) = view.chain.incomplete() {
        steps.push(format!(
            "the cut at {} ({}) is not held: the chain counts as far as it is known, and peers are asked for the cut",
            cut.seq,
            cut.id.short()
        ));
    }
    steps.push(match &row.excluded {
        None => format!("in its chain it is {}", row.standing),
        Some(why) => why.clone(),
    });
    steps
}
