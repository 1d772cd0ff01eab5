//! Proposals and what became of them (DOMAIN 2.8): states at a moment, from what chains prove of silence.

use std::collections::BTreeMap;

use super::flags::Flags;
use super::read::{Item, Reading};
use super::rows::{FlagCode, Head, Name, Standing};
use crate::ids::{Digest, EnvelopeId, NationId, Timestamp};
use crate::statement::ledger::Ledger;
use crate::statement::silence::{Given, Heard, PERIOD_MS, Party, ProposalKey, Stance};
use crate::statement::typed::{Answer, Propose, Says, Statement};
use crate::statement::{Kind, Status};
use crate::table::{Record, Version};

/// After the deadline a proposal whose silence is not all proved counts as provisional for this long, then as lapsed.
pub const PROVING_MS: u64 = PERIOD_MS;

/// States of a decision; the first that fits, from the top (DOMAIN 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecisionState {
    /// Its proposer is none of its participants, or the version is a withdrawal: no proposal.
    Void,
    /// Every participant kept silence or assented.
    Adopted,
    /// The proposer took it back in time.
    Withdrawn,
    /// The proposer put another version in its place in time.
    Amended,
    /// A participant objected in time.
    Broken,
    /// Another proposal with the same key stands in its place (C25).
    Blocked,
    /// It has not closed.
    Open,
    /// It closed, and what is not proved yet may still arrive (C24).
    Provisional,
    /// It closed long ago, and some participant's silence is not proved.
    LapsedUnproven,
}

impl DecisionState {
    /// The state's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::Adopted => "adopted",
            Self::Withdrawn => "withdrawn",
            Self::Amended => "amended",
            Self::Broken => "broken",
            Self::Blocked => "blocked",
            Self::Open => "open",
            Self::Provisional => "provisional",
            Self::LapsedUnproven => "lapsed-unproven",
        }
    }

    /// What may still become of it, one sentence for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Void => "it is no proposal: a participant must make it",
            Self::Adopted => "final: only a fork, or a roster, of a participant could show that it was not",
            Self::Withdrawn => "final: the proposer took it back in time",
            Self::Amended => "final for this version: the proposer put another in its place in time",
            Self::Broken => "final, unless every nation that objected assents",
            Self::Blocked => {
                "another proposal with the same key stands; it goes on if that one is objected to or withdrawn"
            }
            Self::Open => "one objection in time breaks it",
            Self::Provisional => {
                "closed; an objection said in time may still arrive, a silence not proved is no consent"
            }
            Self::LapsedUnproven => {
                "not adopted: a silence that is not proved is no consent; what arrives late is still heard"
            }
        }
    }
}

/// One version of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// The version.
    pub head: Head,
    /// Whether this is the version of its record that counts; older ones are shown as long as they say something.
    pub latest: bool,
    /// The first state that fits.
    pub state: DecisionState,
    /// What is to be decided.
    pub title: String,
    /// Hash of the text.
    pub text_hash: Digest,
    /// The text, where it fits.
    pub text: Option<String>,
    /// Of proposals with one key one stands.
    pub subject_key: Option<String>,
    /// Parameters it changes; shown, without power.
    pub effect: BTreeMap<String, String>,
    /// When it opens.
    pub opens_at: Timestamp,
    /// When it was to close.
    pub closes_at: Timestamp,
    /// When it closes, extensions included.
    pub deadline: Timestamp,
    /// Whether it gives less than 24 hours.
    pub short: bool,
    /// The participants, by code.
    pub parties: Vec<PartyRow>,
    /// The revision that ended it in time.
    pub stopped_by: Option<EnvelopeId>,
    /// The proposal that stands in its place, in text.
    pub rival: Option<String>,
}

/// One participant of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyRow {
    /// Its code; the first digits of its id if it is no member.
    pub code: String,
    /// What is proved.
    pub party: Party,
}

/// An answer to a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    /// The version that counts.
    pub head: Head,
    /// The version of the proposal, in text.
    pub proposal: String,
    /// The proposal's place in [`super::View::decisions`], if it is here.
    pub decision_row: Option<usize>,
    /// In words.
    pub text: Option<String>,
}

/// Proposals and answers with what they come to.
pub(super) struct Decided {
    pub(super) decisions: Vec<DecisionRow>,
    pub(super) answers: Vec<AnswerRow>,
}

/// Fourth pass: every version of every proposal, and the answers.
pub(super) fn decide(ledger: &Ledger<'_>, reading: &mut Reading<'_>, as_of: Timestamp, flags: &mut Flags) -> Decided {
    let mut decisions: Vec<DecisionRow> = Vec::new();
    for item in &mut reading.proposals {
        if !item.says.participants.contains(&item.name.nation) {
            item.standing = Standing::NotAuthorised;
            let detail = "a proposal is for one of its participants to make".to_owned();
            flags.raise(FlagCode::NotAuthorised, [item.name.clone()], [], detail);
        }
        for version in item.record.versions.values() {
            decisions.extend(row(ledger, item, item.record, version, as_of));
        }
    }
    decisions.sort_by(|a, b| order(a).cmp(&order(b)));
    for row in &decisions {
        raise(ledger, row, flags);
    }
    let places: BTreeMap<ProposalKey, usize> =
        decisions.iter().enumerate().map(|(place, row)| (key(&row.head.name), place)).collect();
    let answers = reading.answers.iter_mut().map(|item| answer(ledger, item, &decisions, &places, flags)).collect();
    Decided { decisions, answers }
}

/// Returns the first moment after `as_of` at which a clock alone changes the state of a decision.
pub(super) fn same_until(decisions: &[DecisionRow], as_of: Timestamp) -> Option<Timestamp> {
    let moments = decisions.iter().flat_map(|row| [row.deadline, row.deadline.plus_ms(PROVING_MS)]);
    moments.filter(|moment| *moment > as_of).min()
}

fn order(row: &DecisionRow) -> (Timestamp, &str, &str, Timestamp, EnvelopeId) {
    (row.deadline, &row.head.name.code, &row.head.name.id, row.head.time, row.head.name.version)
}

fn key(name: &Name) -> ProposalKey {
    ProposalKey { nation: name.nation, id: name.id.clone(), version: name.version }
}

fn row(
    ledger: &Ledger<'_>,
    item: &Item<'_, Propose<'_>>,
    record: &Record,
    version: &Version,
    as_of: Timestamp,
) -> Option<DecisionRow> {
    let statement = Statement::read(Kind::Propose, &version.fields).ok()?;
    let Says::Propose(says) = statement.says else { return None };
    let latest = version.source.envelope == item.version.source.envelope;
    if statement.status != Status::Live && !latest {
        return None;
    }
    let name = Name { version: version.source.envelope, ..item.name.clone() };
    let authorised = says.participants.contains(&name.nation);
    let standing = if authorised { Standing::Counted } else { Standing::NotAuthorised };
    let heard = ledger.silence().heard(&key(&name));
    let state = if authorised && statement.status == Status::Live {
        heard.map_or_else(|| at(says.closes_at, as_of), |heard| state(heard, as_of))
    } else {
        DecisionState::Void
    };
    let party = |nation: &NationId| {
        let unheard = || Party {
            nation: *nation,
            stance: Stance::Unproven,
            answers: Vec::new(),
            proofs: Vec::new(),
            lacks: Vec::new(),
            seen_at: None,
            last_heard: None,
            forked: false,
        };
        let party = heard.and_then(|heard| heard.parties.iter().find(|party| party.nation == *nation));
        PartyRow { code: ledger.code(nation), party: party.cloned().unwrap_or_else(unheard) }
    };
    let mut parties: Vec<PartyRow> = says.participants.iter().map(party).collect();
    parties.sort_by(|a, b| (&a.code, a.party.nation).cmp(&(&b.code, b.party.nation)));
    let rival = heard
        .and_then(|heard| heard.rival.as_ref())
        .map(|rival| format!("{}/{}/{}", ledger.code(&rival.nation), Kind::Propose, rival.id));
    let author = version.source.author;
    let surviving = record.surviving().count();
    let time = Timestamp(version.source.time_ms);
    Some(DecisionRow {
        head: Head { name, author, time, status: statement.status, standing, surviving },
        latest,
        state,
        title: says.title.to_owned(),
        text_hash: says.text_hash,
        text: says.text.map(str::to_owned),
        subject_key: says.subject_key.map(str::to_owned),
        effect: says.effect.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        opens_at: says.opens_at,
        closes_at: says.closes_at,
        deadline: heard.map_or(says.closes_at, |heard| heard.deadline),
        short: heard.is_some_and(|heard| heard.short),
        parties,
        stopped_by: heard.and_then(|heard| heard.stopped).map(|stopped| stopped.version),
        rival,
    })
}

/// The state of a proposal at a moment.
fn state(heard: &Heard, as_of: Timestamp) -> DecisionState {
    let all = |takes: fn(Stance) -> bool| heard.parties.iter().all(|party| takes(party.stance));
    if all(|stance| stance == Stance::Assented) {
        return DecisionState::Adopted;
    }
    if let Some(stopped) = heard.stopped {
        return if stopped.withdrawn { DecisionState::Withdrawn } else { DecisionState::Amended };
    }
    if heard.parties.iter().any(|party| party.stance == Stance::Objected) {
        return DecisionState::Broken;
    }
    if heard.rival.is_some() {
        return DecisionState::Blocked;
    }
    if as_of >= heard.deadline && all(|stance| matches!(stance, Stance::Assented | Stance::KeptSilence)) {
        return DecisionState::Adopted;
    }
    at(heard.deadline, as_of)
}

fn at(deadline: Timestamp, as_of: Timestamp) -> DecisionState {
    if as_of < deadline {
        DecisionState::Open
    } else if as_of < deadline.plus_ms(PROVING_MS) {
        DecisionState::Provisional
    } else {
        DecisionState::LapsedUnproven
    }
}

/// Raises what a decision asks an eye for: C24 and C25.
fn raise(ledger: &Ledger<'_>, row: &DecisionRow, flags: &mut Flags) {
    let name = &row.head.name;
    let unproven: Vec<&PartyRow> = row.parties.iter().filter(|party| party.party.stance == Stance::Unproven).collect();
    if matches!(row.state, DecisionState::Provisional | DecisionState::LapsedUnproven) {
        let codes = unproven.iter().map(|party| party.code.as_str());
        let detail = format!("the silence of {} is not proved", codes.clone().collect::<Vec<_>>().join(" "));
        flags.raise(FlagCode::LateArrival, [name.clone()], codes, detail);
    }
    for party in &row.parties {
        let late =
            |given: &&Given| given.kind == Kind::Object && !given.timely && !matches!(row.state, DecisionState::Open);
        for given in party.party.answers.iter().filter(late) {
            let objection = Name {
                code: party.code.clone(),
                kind: given.kind,
                id: given.id.clone(),
                version: given.version,
                nation: party.party.nation,
            };
            let detail = if party.party.stance == Stance::KeptSilence || given.time >= row.deadline {
                "said after the deadline by its own nation's clock; it is late"
            } else {
                "said in time as it claims, and its nation's witness has not acknowledged it"
            };
            flags.raise(FlagCode::LateArrival, [name.clone(), objection], [], detail.to_owned());
        }
    }
    if let Some(rival) = ledger.silence().heard(&key(name)).and_then(|heard| heard.rival.as_ref()) {
        let code = ledger.code(&rival.nation);
        let other = Name {
            code: code.clone(),
            kind: Kind::Propose,
            id: rival.id.clone(),
            version: rival.version,
            nation: rival.nation,
        };
        let subject = crate::statement::visible(row.subject_key.as_deref().unwrap_or_default());
        let detail = format!("{other} has the key {subject} and closes first");
        flags.raise(FlagCode::RivalProposal, [name.clone(), other], [name.code.as_str(), &code], detail);
    }
}

fn answer(
    ledger: &Ledger<'_>,
    item: &mut Item<'_, Answer<'_>>,
    decisions: &[DecisionRow],
    places: &BTreeMap<ProposalKey, usize>,
    flags: &mut Flags,
) -> AnswerRow {
    let reference = &item.says.proposal;
    let named = reference.version.filter(|_| reference.compartment == 0).map(|version| ProposalKey {
        nation: reference.nation,
        id: reference.id.clone(),
        version,
    });
    let place = named.and_then(|named| places.get(&named).copied());
    match place.map(|place| &decisions[place]) {
        None => {
            item.standing = Standing::Pending;
            let detail = "names a version of a proposal that is not here".to_owned();
            flags.raise(FlagCode::Pending, [item.name.clone()], [], detail);
        }
        Some(decision) if decision.parties.iter().all(|party| party.party.nation != item.name.nation) => {
            item.standing = Standing::NotAuthorised;
            let detail = format!("a {} is for a participant to write", item.name.kind);
            flags.raise(FlagCode::NotAuthorised, [item.name.clone(), decision.head.name.clone()], [], detail);
        }
        Some(_) => {}
    }
    AnswerRow {
        head: item.head(),
        proposal: ledger.text(reference),
        decision_row: place,
        text: item.says.text.map(str::to_owned),
    }
}
