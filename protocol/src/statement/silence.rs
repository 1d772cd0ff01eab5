//! What chains and witnesses prove about proposals (spec 4.10): a function of the state, without a moment.
//!
//! Time in here is what each nation claims along its own chains. For a participant X and a deadline T every key k of X needs
//! e(k), its first envelope that claims T or later and that a witness of X acknowledges; for the witness key itself its first
//! Witness that does. What lies below all of them is all that X said in time, so an objection is in time or late for good.
//!
//! Three rules go beyond the text of 4.10, because without them a proposal could be adopted over the heads of others:
//!
//! * *Notice.* X's own witness must have acknowledged the proposal at least [`NOTICE_MS`] before the deadline. Otherwise a
//!   proposer who dates a proposal back has everybody's "silence" the moment it arrives.
//! * *Late keys.* A key that a roster of X dated T or later was first to list is none of X's keys for T: neither does its
//!   absence unmake a decision, nor does what it says.
//! * *Bodies.* Silence is proved only by bodies that are held and read: one that is missing, or a change that waits and
//!   holds the proposal's id, may be an objection.
//!
//! An assent stands for good: it needs no proof of silence, takes back what its nation said against the proposal, and voids
//! the nation's own extension. Each of these makes "adopted" a state that only a fork, or a roster of a participant, can
//! take away (P8).

use std::collections::{BTreeMap, BTreeSet};

use super::typed::{Propose, Says, Statement};
use super::{Kind, Status};
use crate::evaluate::State;
use crate::ids::{AuthorId, EnvelopeId, NationId, Timestamp, Tip};
use crate::table::{Record, Version};
use crate::value::OpId;

mod chains;

use chains::Chains;

/// Between opening and closing, at least, for a silence to count; also what one extension adds.
pub const PERIOD_MS: u64 = Timestamp::DAY_MS;
/// A participant's witness has acknowledged the proposal this long before the deadline, or its silence says nothing.
pub const NOTICE_MS: u64 = PERIOD_MS / 2;
/// Proposals of one key that are followed, the first ones of its chain; further ones are shown, and nothing proves them.
pub const PROPOSALS_PER_KEY_MAX: usize = 1_024;

/// Names one version of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProposalKey {
    /// Whose.
    pub nation: NationId,
    /// The record's id.
    pub id: String,
    /// The version.
    pub version: EnvelopeId,
}

/// What is proved of every proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    heard: BTreeMap<ProposalKey, Heard>,
}

/// What is proved of one proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When it closes, extensions included.
    pub deadline: Timestamp,
    /// Whether it gives less than [`PERIOD_MS`]: only the assent of all adopts it.
    pub short: bool,
    /// The participants, ascending.
    pub parties: Vec<Party>,
    /// The proposer's revision that ended it in time.
    pub stopped: Option<Stopped>,
    /// The proposal with the same key that stands in its place (C25).
    pub rival: Option<ProposalKey>,
}

/// A revision that ended the version before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The new version.
    pub version: EnvelopeId,
    /// Whether it withdrew the proposal instead of amending it.
    pub withdrawn: bool,
}

/// One participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Which nation.
    pub nation: NationId,
    /// What it comes to.
    pub stance: Stance,
    /// Everything it said to the proposal, by claimed time, then record.
    pub answers: Vec<Given>,
    /// The envelopes that prove its silence, as far as there are any.
    pub proofs: Vec<Proof>,
    /// What its silence still lacks.
    pub lacks: Vec<Lack>,
    /// When its witness first acknowledged the proposal, by its own clock.
    pub seen_at: Option<Timestamp>,
    /// The latest time any of its accepted envelopes claims.
    pub last_heard: Option<Timestamp>,
    /// Whether a chain or the roster of this nation is forked: what was proved may be so no longer (P8).
    pub forked: bool,
}

/// What a participant's words and silence come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stance {
    /// It said yes.
    Assented,
    /// It objected in time.
    Objected,
    /// It said nothing against it, and that is proved.
    KeptSilence,
    /// Neither.
    Unproven,
}

impl Stance {
    /// The stance's name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assented => "assented",
            Self::Objected => "objected",
            Self::KeptSilence => "kept-silence",
            Self::Unproven => "unproven",
        }
    }
}

/// An answer to a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its kind.
    pub kind: Kind,
    /// The record's id.
    pub id: String,
    /// The envelope that says so.
    pub version: EnvelopeId,
    /// When, by its writer's clock.
    pub time: Timestamp,
    /// In words.
    pub text: Option<String>,
    /// Whether it was said in time, by the chains of its nation.
    pub timely: bool,
    author: AuthorId,
    seq: u64,
}

/// An envelope behind which nothing more can be said in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whose.
    pub author: AuthorId,
    /// Which.
    pub tip: Tip,
    /// The time it claims.
    pub time: Timestamp,
    /// Nations whose witnesses acknowledge it or a descendant.
    pub seen_by: Vec<NationId>,
}

/// Why a silence is not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The nation is no member that is known here, or has no roster in force.
    NoRoster,
    /// The proposal gives less than 24 hours.
    Short,
    /// Its witness had not acknowledged the proposal 12 hours before the deadline.
    Notice,
    /// No Witness of the nation at or after the deadline is held.
    Witness,
    /// Nothing of this key at or after the deadline is held and acknowledged by the nation's witness.
    Key(AuthorId),
    /// Something below the deadline in this key's chain is not held, or waits.
    Body(AuthorId),
}

impl Silence {
    /// Works out what a state proves about every proposal in it.
    ///
    /// Costs time by proposals, participants and their keys, and nothing where nobody proposed anything.
    pub fn of(state: &State) -> Self {
        let proposals = proposals(state);
        if proposals.is_empty() {
            return Self::default();
        }
        let answers = answers(state);
        let mut chains = Chains::new(state);
        let weighed: Vec<Weighed<'_, '_>> = proposals
            .iter()
            .map(|proposal| Weighed::of(proposal, answers.get(&proposal.key).map_or(&[], Vec::as_slice), &mut chains))
            .collect();
        let rivals: Vec<Option<ProposalKey>> = weighed.iter().map(|one| one.rival(&weighed, &mut chains)).collect();
        let heard = weighed.into_iter().zip(rivals).map(|(weighed, rival)| {
            let key = weighed.proposal.key.clone();
            (key, Heard { rival, ..weighed.heard })
        });
        Self { heard: heard.collect() }
    }

    /// Returns what is proved of one proposal.
    pub fn heard(&self, key: &ProposalKey) -> Option<&Heard> {
        self.heard.get(key)
    }
}

/// One version of a proposal, where it stands and what it says.
struct Proposal<'a> {
    key: ProposalKey,
    author: AuthorId,
    seq: u64,
    time: Timestamp,
    op: OpId,
    record: &'a Record,
    says: Propose<'a>,
}

impl Proposal<'_> {
    /// Whether its dates leave anybody the time to be silent.
    fn short(&self) -> bool {
        self.says.closes_at.since(self.says.opens_at.max(self.time)) < PERIOD_MS
    }

    /// What decides between two with one key (C25).
    fn rank(&self) -> (Timestamp, &str, NationId, EnvelopeId) {
        (self.says.closes_at, &self.key.id, self.key.nation, self.key.version)
    }
}

/// Returns every proposal that is valid, live and made by one of its participants.
fn proposals(state: &State) -> Vec<Proposal<'_>> {
    let mut found = Vec::new();
    for member in state.nations() {
        for (id, record) in state.section(&member.id).table().records_of(Kind::Propose.name()) {
            for (op, version) in record.versions.iter() {
                let Ok(statement) = Statement::read(Kind::Propose, &version.fields) else { continue };
                let Says::Propose(says) = statement.says else { continue };
                if statement.status == Status::Live && says.participants.contains(&member.id) {
                    let key = ProposalKey { nation: member.id, id: id.to_owned(), version: version.source.envelope };
                    let author = AuthorId { nation: member.id, key: version.source.author };
                    let (seq, time) = (version.source.seq, Timestamp(version.source.time_ms));
                    found.push(Proposal { key, author, seq, time, op: *op, record, says });
                }
            }
        }
    }
    found.sort_by(|a, b| (a.author, a.seq, &a.key).cmp(&(b.author, b.seq, &b.key)));
    let mut of_author = (None, 0);
    found.retain(|proposal| {
        of_author = if of_author.0 == Some(proposal.author) {
            (of_author.0, of_author.1 + 1)
        } else {
            (Some(proposal.author), 1)
        };
        of_author.1 <= PROPOSALS_PER_KEY_MAX
    });
    found
}

/// Returns every valid answer, replaced versions included, by the proposal it pins and the nation that gave it.
fn answers(state: &State) -> BTreeMap<ProposalKey, Vec<(NationId, Given)>> {
    let mut found: BTreeMap<ProposalKey, Vec<(NationId, Given)>> = BTreeMap::new();
    for member in state.nations() {
        let table = state.section(&member.id).table();
        for kind in Kind::ANSWERS {
            for (id, record) in table.records_of(kind.name()) {
                for version in record.versions.values() {
                    let Some((key, given)) = given(member.id, kind, id, version) else { continue };
                    found.entry(key).or_default().push((member.id, given));
                }
            }
        }
    }
    for answers in found.values_mut() {
        answers.sort_by(|(a, x), (b, y)| {
            (a, x.time, x.kind, &x.id, x.version).cmp(&(b, y.time, y.kind, &y.id, y.version))
        });
    }
    found
}

fn given(nation: NationId, kind: Kind, id: &str, version: &Version) -> Option<(ProposalKey, Given)> {
    let statement = Statement::read(kind, &version.fields).ok()?;
    let Says::Answer(answer) = statement.says else { return None };
    let of = answer.proposal;
    if of.compartment != 0 || of.kind != Kind::Propose.name() {
        return None;
    }
    let given = Given {
        kind,
        id: id.to_owned(),
        version: version.source.envelope,
        time: Timestamp(version.source.time_ms),
        text: answer.text.map(str::to_owned),
        timely: false,
        author: AuthorId { nation, key: version.source.author },
        seq: version.source.seq,
    };
    Some((ProposalKey { nation: of.nation, id: of.id, version: of.version? }, given))
}

/// A proposal with what was said to it, weighed.
struct Weighed<'p, 'a> {
    proposal: &'p Proposal<'a>,
    heard: Heard,
    /// Whether somebody objected, or the proposer revised it, in time; assents play no part, so that this is for good.
    contested: bool,
    assented: BTreeSet<NationId>,
}

impl<'p, 'a> Weighed<'p, 'a> {
    fn of(proposal: &'p Proposal<'a>, given: &[(NationId, Given)], chains: &mut Chains<'_>) -> Self {
        let by = |kind: Kind| given.iter().filter(move |(_, given)| given.kind == kind);
        let asked: Vec<&(NationId, Given)> =
            by(Kind::RequestExtension).filter(|(nation, _)| proposal.says.participants.contains(nation)).collect();
        let assented: BTreeSet<NationId> = by(Kind::Assent).map(|(nation, _)| *nation).collect();
        let deadline = deadline(proposal, asked.iter().filter(|(nation, _)| !assented.contains(nation)), chains);
        // What an assent voided still bounds what was said against the proposal, and what notice of it was had.
        let latest = deadline_of_all(proposal, &asked, chains);
        let revision = |until: Timestamp, chains: &mut Chains<'_>| revised(proposal, until, chains);
        let contested = revision(latest, chains).is_some()
            || by(Kind::Object).any(|(nation, objection)| {
                proposal.says.participants.contains(nation)
                    && chains.in_time(&objection.author, objection.seq, objection.time, latest)
            });
        let stopped = revision(deadline, chains).filter(|_| !assented.contains(&proposal.key.nation));
        let short = proposal.short();
        let party = |nation: &NationId| {
            let own = given.iter().filter(|(by, _)| by == nation).map(|(_, given)| given.clone()).collect();
            Party::of(proposal, *nation, own, (deadline, latest), chains)
        };
        let parties = proposal.says.participants.iter().map(party).collect();
        let heard = Heard { deadline, short, parties, stopped, rival: None };
        Self { proposal, heard, contested, assented }
    }

    /// Returns the proposal that stands in this one's place (C25): the first, by closing time and id, that shares its key,
    /// gives everybody time, is not contested, and that a participant who has not assented made in time.
    fn rival(&self, all: &[Self], chains: &mut Chains<'_>) -> Option<ProposalKey> {
        let own = self.proposal;
        let subject = own.says.subject_key?;
        let mut rivals: Vec<&Proposal<'_>> = all
            .iter()
            .filter(|other| !other.contested && !other.heard.short)
            .map(|other| other.proposal)
            .filter(|other| other.says.subject_key == Some(subject) && other.rank() < own.rank())
            .filter(|other| (other.key.nation, &other.key.id) != (own.key.nation, &own.key.id))
            .filter(|other| own.says.participants.contains(&other.key.nation))
            .filter(|other| !self.assented.contains(&other.key.nation))
            .collect();
        rivals.retain(|other| chains.in_time(&other.author, other.seq, other.time, self.heard.deadline));
        rivals.into_iter().min_by_key(|other| other.rank()).map(|other| other.key.clone())
    }
}

/// The least deadline that no request standing before it moves: each participant's first one adds [`PERIOD_MS`].
fn deadline<'g>(
    proposal: &Proposal<'_>,
    asked: impl Iterator<Item = &'g &'g (NationId, Given)>,
    chains: &mut Chains<'_>,
) -> Timestamp {
    let asked: Vec<&(NationId, Given)> = asked.copied().collect();
    deadline_of_all(proposal, &asked, chains)
}

fn deadline_of_all(proposal: &Proposal<'_>, asked: &[&(NationId, Given)], chains: &mut Chains<'_>) -> Timestamp {
    let mut deadline = proposal.says.closes_at;
    loop {
        let mut counted: BTreeSet<NationId> = BTreeSet::new();
        for (nation, request) in asked {
            if !counted.contains(nation) && chains.in_time(&request.author, request.seq, request.time, deadline) {
                counted.insert(*nation);
            }
        }
        let days = u64::try_from(counted.len()).unwrap_or(u64::MAX);
        let moved = proposal.says.closes_at.plus_ms(days.saturating_mul(PERIOD_MS));
        if moved == deadline {
            return deadline;
        }
        deadline = moved;
    }
}

/// Returns the proposer's first revision of a proposal that stands before `until`.
fn revised(proposal: &Proposal<'_>, until: Timestamp, chains: &mut Chains<'_>) -> Option<Stopped> {
    let mut found: Option<(Timestamp, EnvelopeId, bool)> = None;
    for version in proposal.record.versions.values().filter(|version| version.replaces.contains(&proposal.op)) {
        let source = version.source;
        let author = AuthorId { nation: proposal.key.nation, key: source.author };
        let time = Timestamp(source.time_ms);
        if chains.in_time(&author, source.seq, time, until) {
            let withdrawn =
                Statement::read(Kind::Propose, &version.fields).is_ok_and(|read| read.status != Status::Live);
            let this = (time, source.envelope, withdrawn);
            found = Some(found.map_or(this, |first| first.min(this)));
        }
    }
    found.map(|(_, version, withdrawn)| Stopped { version, withdrawn })
}

impl Party {
    fn of(
        proposal: &Proposal<'_>,
        nation: NationId,
        mut answers: Vec<Given>,
        (deadline, latest): (Timestamp, Timestamp),
        chains: &mut Chains<'_>,
    ) -> Self {
        for answer in &mut answers {
            answer.timely = chains.in_time(&answer.author, answer.seq, answer.time, deadline);
        }
        let seen_at =
            if nation == proposal.key.nation { Some(proposal.time) } else { chains.seen_at(&nation, proposal) };
        let (proofs, mut lacks) = chains.past(&nation, deadline, &proposal.key.version);
        if proposal.short() {
            lacks.insert(0, Lack::Short);
        }
        if nation != proposal.key.nation && seen_at.is_none_or(|seen| seen.plus_ms(NOTICE_MS) > latest) {
            lacks.push(Lack::Notice);
        }
        let said =
            |kind: Kind, timely: bool| answers.iter().any(|given| given.kind == kind && (given.timely || !timely));
        let stance = if said(Kind::Assent, false) {
            Stance::Assented
        } else if said(Kind::Object, true) {
            Stance::Objected
        } else if lacks.is_empty() {
            Stance::KeptSilence
        } else {
            Stance::Unproven
        };
        let (last_heard, forked) = (chains.last_heard(&nation), chains.forked(&nation));
        Self { nation, stance, answers, proofs, lacks, seen_at, last_heard, forked }
    }
}
