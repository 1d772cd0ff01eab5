//! The chains of the participants, looked at as often as there are proposals and worked out once.

use std::collections::BTreeMap;

use super::{Lack, Proof, Proposal};
use crate::body::{Body, KIND_WITNESS};
use crate::chain::{AuthorStatus, Chain, Held};
use crate::control::ControlRecord;
use crate::evaluate::State;
use crate::ids::{AuthorId, AuthorKey, EnvelopeId, NationId, Timestamp};
use crate::roster::KeyStanding;
use crate::section::Verdict;

/// A nation's clock may be this far behind the proposer's when its witness acknowledges a proposal.
const SKEW_MS: u64 = 600_000;
/// Envelopes of a witness key in which the first acknowledgement of a proposal is looked for; at one a minute more than a day.
const LOOKED_AT_MAX: usize = 2_048;

/// What is known of the nations' keys.
pub(super) struct Chains<'a> {
    state: &'a State,
    nations: BTreeMap<NationId, Vec<Key<'a>>>,
}

/// One key of a nation's roster.
struct Key<'a> {
    author: AuthorId,
    chain: Option<&'a Chain>,
    active: bool,
    witness: bool,
    /// When the first roster that lists it was signed, as it claims.
    listed_ms: u64,
    /// Changes on the accepted path that are not read yet, ascending.
    waiting: Vec<&'a Held>,
}

/// Whether a witness of `nation` acknowledges this position of `author`, or a later one.
fn acknowledges(state: &State, nation: &NationId, author: &AuthorId, seq: u64) -> bool {
    let held = state.chain(author).and_then(|chain| chain.accepted(seq));
    held.is_some_and(|held| seen_by(state, author, held).contains(nation))
}

/// The nations whose witness acknowledges an envelope of `author`, or a descendant.
fn seen_by(state: &State, author: &AuthorId, held: &Held) -> Vec<NationId> {
    state.chain(author).map_or_else(Vec::new, |chain| state.acknowledgements().nations_above(chain, held))
}

impl<'a> Chains<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self { state, nations: BTreeMap::new() }
    }

    fn keys(&mut self, nation: &NationId) -> &[Key<'a>] {
        let state = self.state;
        self.nations.entry(*nation).or_insert_with(|| keys(state, nation))
    }

    /// Whether something said at this position of a nation's key was said before `deadline`, as far as its own chains and
    /// its own witness prove it. Once true it stays true; once every chain is past the deadline it is decided.
    pub(super) fn in_time(&mut self, author: &AuthorId, seq: u64, time: Timestamp, deadline: Timestamp) -> bool {
        let state = self.state;
        let Some(key) = self.keys(&author.nation).iter().find(|key| key.author == *author) else { return false };
        match (key.active, key.witness) {
            _ if key.listed_ms >= deadline.0 => false,
            (false, _) => time < deadline,
            // The witness key is its own witness: until it has witnessed past the deadline, what it says is in time.
            (true, true) => key.witnessed(deadline).is_none_or(|past| seq < past.seq()),
            (true, false) => time < deadline && acknowledges(state, &author.nation, author, seq),
        }
    }

    /// Returns what proves that everything a nation said before `deadline` is held and read, and what is still lacking.
    pub(super) fn past(
        &mut self,
        nation: &NationId,
        deadline: Timestamp,
        proposal: &EnvelopeId,
    ) -> (Vec<Proof>, Vec<Lack>) {
        let state = self.state;
        let (mut proofs, mut lacks) = (Vec::new(), Vec::new());
        let keys = self.keys(nation);
        if keys.is_empty() {
            return (proofs, vec![Lack::NoRoster]);
        }
        if !keys.iter().any(|key| key.witnessed(deadline).is_some()) {
            lacks.push(Lack::Witness);
        }
        for key in keys.iter().filter(|key| key.listed_ms < deadline.0) {
            match key.past(state, deadline) {
                Past::Envelope(held) if key.read_to(held.seq(), proposal) => proofs.push(Proof {
                    author: key.author,
                    tip: held.tip(),
                    time: Timestamp(held.time_ms()),
                    seen_by: seen_by(state, &key.author, held),
                }),
                Past::End(seq) if key.read_to(seq, proposal) => {}
                Past::Envelope(_) | Past::End(_) => lacks.push(Lack::Body(key.author)),
                Past::Open => lacks.push(Lack::Key(key.author)),
            }
        }
        (proofs, lacks)
    }

    /// Returns when a nation's witness first acknowledged a proposal, by its own clock.
    pub(super) fn seen_at(&mut self, nation: &NationId, proposal: &Proposal<'_>) -> Option<Timestamp> {
        if !acknowledges(self.state, nation, &proposal.author, proposal.seq) {
            return None;
        }
        let from = Timestamp(proposal.time.0.saturating_sub(SKEW_MS));
        let first = |chain: &'a Chain| {
            let looked_at = chain.accepted_from(first_from(chain, from)).take(LOOKED_AT_MAX);
            looked_at.filter(|held| acknowledging(held, proposal)).map(|held| Timestamp(held.time_ms())).next()
        };
        let witnesses = self.keys(nation).iter().filter(|key| key.witness).filter_map(|key| key.chain);
        witnesses.filter_map(first).min()
    }

    /// Returns the latest time an accepted envelope of a nation claims.
    pub(super) fn last_heard(&mut self, nation: &NationId) -> Option<Timestamp> {
        let chains = self.keys(nation).iter().filter_map(|key| key.chain);
        chains.filter_map(|chain| chain.accepted(chain.tip().seq)).map(|held| Timestamp(held.time_ms())).max()
    }

    /// Whether one of a nation's chains, or its roster, is forked.
    pub(super) fn forked(&mut self, nation: &NationId) -> bool {
        self.state.roster(nation).is_some_and(|roster| roster.fork.is_some())
            || self.keys(nation).iter().filter_map(|key| key.chain).any(|chain| chain.fork().is_some())
    }
}

/// How far a key's chain goes past a deadline.
enum Past<'a> {
    /// To this envelope.
    Envelope(&'a Held),
    /// It ends before, and can go no further: everything up to this position counts.
    End(u64),
    /// That is not known yet.
    Open,
}

impl<'a> Key<'a> {
    /// The first Witness at or after `deadline`; `None` for a key that is no witness.
    fn witnessed(&self, deadline: Timestamp) -> Option<&'a Held> {
        let chain = self.chain.filter(|_| self.witness)?;
        chain
            .accepted_from(first_from(chain, deadline))
            .find(|held| held.kind() == KIND_WITNESS && held.body().is_some())
    }

    fn past(&self, state: &State, deadline: Timestamp) -> Past<'a> {
        if self.active && self.witness {
            return self.witnessed(deadline).map_or(Past::Open, Past::Envelope);
        }
        let Some(chain) = self.chain else {
            // A key that was retired before it said anything says nothing; of one that did, nothing is held yet.
            let nothing = !self.active && cut_of(state, &self.author) == 0;
            return if nothing { Past::End(0) } else { Past::Open };
        };
        let first = chain.accepted(first_from(chain, deadline));
        match (first, self.active) {
            (Some(first), true) if acknowledges(state, &self.author.nation, &self.author, first.seq()) => {
                Past::Envelope(first)
            }
            (_, true) => Past::Open,
            (Some(first), false) => Past::Envelope(first),
            (None, false) if chain.tip().seq < cut_of(state, &self.author) => Past::Open,
            (None, false) => Past::End(chain.tip().seq),
        }
    }

    /// Whether everything up to a position is held, and nothing there that waits may be about the proposal.
    fn read_to(&self, seq: u64, proposal: &EnvelopeId) -> bool {
        let Some(chain) = self.chain else { return seq == 0 };
        let about = |held: &&Held| {
            // Changes are never compressed (A.1): a reference to the proposal holds its id as it is.
            held.body().is_none_or(|body| body.windows(32).any(|bytes| bytes == proposal.as_bytes()))
        };
        let below = self.waiting.iter().copied().take_while(|held| held.seq() <= seq);
        chain.bodies_to() >= seq && !below.into_iter().any(|held| about(&held))
    }
}

fn keys<'a>(state: &'a State, nation: &NationId) -> Vec<Key<'a>> {
    let Some(roster) = state.roster(nation) else { return Vec::new() };
    let mut listed: BTreeMap<AuthorKey, u64> = BTreeMap::new();
    for (_, id) in &roster.kept {
        let Some(ControlRecord::Roster(record, _)) = state.control_record(id).map(|control| control.record()) else {
            continue;
        };
        for key in &record.keys {
            listed.entry(key.node).or_insert(record.time_ms);
        }
    }
    let any_waiting = state.section(nation).counts().waiting > 0;
    let waits = |chain: &Chain, held: &Held| matches!(state.view_of(chain, held).verdict, Some(Verdict::Waiting(_)));
    let key = |(key, standing): (&AuthorKey, &KeyStanding)| {
        let author = AuthorId { nation: *nation, key: *key };
        let (KeyStanding::Active { witness } | KeyStanding::Retired { witness, .. }) = *standing;
        let chain = state.chain(&author);
        let waiting = |chain: &'a Chain| chain.accepted_from(1).filter(|held| waits(chain, held)).collect();
        Key {
            author,
            chain,
            active: state.author_status(&author) == AuthorStatus::Active,
            witness,
            listed_ms: listed.get(key).copied().unwrap_or(0),
            waiting: chain.filter(|_| any_waiting).map_or_else(Vec::new, waiting),
        }
    };
    roster.keys.iter().map(key).collect()
}

/// Returns the position of the first accepted envelope that claims `time` or later, were there one.
fn first_from(chain: &Chain, time: Timestamp) -> u64 {
    time.0.checked_sub(1).map_or(1, |before| chain.accepted_by(before).seq + 1)
}

fn acknowledging(held: &Held, proposal: &Proposal<'_>) -> bool {
    let Some(body) = held.body().filter(|_| held.kind() == KIND_WITNESS) else { return false };
    let Ok(Body::Witness(witness)) = Body::decode(KIND_WITNESS, body) else { return false };
    witness.acks.iter().any(|ack| ack.author == proposal.author && ack.tip.seq >= proposal.seq)
}

/// Returns the last position that counts of a key that is not Active.
fn cut_of(state: &State, author: &AuthorId) -> u64 {
    match state.author_status(author) {
        AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut } => cut.seq,
        AuthorStatus::Active | AuthorStatus::Unlisted => 0,
    }
}
