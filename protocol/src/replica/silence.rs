//! What a node writes when it has nothing to say: an empty Witness past each deadline of a proposal its nation takes part in,
//! so that its silence can be proved (spec 4.10).
//!
//! The witness key needs none: its heartbeat is one. Every other Active key writes one body for all deadlines that have passed
//! since it last wrote anything, and none where it did write. However many proposals name the nation, at most
//! [`BODIES_PER_HOUR_MAX`] bodies an hour are written; what that delays is the proof, never a decision of the nation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Replica;
use super::write::Ready;
use crate::body::{Body, WitnessBody};
use crate::effect::Storage;
use crate::evaluate::State;
use crate::ids::{NationId, Timestamp};
use crate::roster::KeyStanding;
use crate::statement::silence::{PERIOD_MS, ProposalKey};
use crate::statement::typed::{Says, Statement};
use crate::statement::{Kind, Status};
use crate::table::Version;

/// Empty bodies a key writes in an hour, at most.
pub(super) const BODIES_PER_HOUR_MAX: usize = 4;
const HOUR_MS: u64 = 3_600_000;
/// Deadlines are worked out at most this often: reading a document that shrank builds it anew, and a hostile author can shrink
/// its own with every header.
const LOOK_MS: u64 = 30_000;
/// What cannot be written now is tried again after this long.
const RETRY_MS: u64 = 60_000;

/// The deadlines that the own nation takes part in.
#[derive(Debug, Default)]
pub(super) struct Silences {
    /// Whether a document changed since the deadlines were worked out.
    stale: bool,
    /// When the deadlines were last worked out.
    looked_at: Option<Timestamp>,
    /// Versions of proposals and of requests for more time there were then: only with these do deadlines change.
    counted: usize,
    /// Deadlines not yet written past.
    deadlines: BTreeSet<Timestamp>,
    /// When the last bodies were written.
    written: VecDeque<Timestamp>,
    retry_at: Option<Timestamp>,
}

impl Silences {
    /// Begins with everything to be worked out.
    pub(super) fn new() -> Self {
        Self { stale: true, ..Self::default() }
    }

    /// Some document reads differently now.
    pub(super) fn documents_changed(&mut self) {
        self.stale = true;
    }

    /// When to look again; a node with links is woken often enough to look at what changed.
    pub(super) fn due(&self, now: Timestamp, alone: bool) -> impl Iterator<Item = Timestamp> {
        let next = self.deadlines.range(now.plus_ms(1)..).next().copied();
        let look = self.looked_at.filter(|_| alone && self.stale).map(|at| at.plus_ms(LOOK_MS));
        next.into_iter().chain(self.retry_at).chain(look)
    }

    fn refresh(&mut self, state: &State, own: &NationId, now: Timestamp) {
        if !self.stale || self.looked_at.is_some_and(|at| now.since(at) < LOOK_MS) {
            return;
        }
        self.stale = false;
        self.looked_at = Some(now);
        let counted = versions(state, Kind::Propose).chain(versions(state, Kind::RequestExtension)).count();
        if std::mem::replace(&mut self.counted, counted) != counted {
            self.deadlines = deadlines(state, own);
        }
    }

    /// Forgets the deadlines up to `until`.
    fn pass(&mut self, until: Timestamp) {
        self.deadlines = self.deadlines.split_off(&until.plus_ms(1));
    }
}

fn versions(state: &State, kind: Kind) -> impl Iterator<Item = (NationId, &str, &Version)> {
    state.nations().flat_map(move |member| {
        let records = state.section(&member.id).table().records_of(kind.name());
        records.flat_map(move |(id, record)| record.versions.values().map(move |version| (member.id, id, version)))
    })
}

/// Returns every moment at which a proposal that names `own` may close, with as many extensions as were asked for.
fn deadlines(state: &State, own: &NationId) -> BTreeSet<Timestamp> {
    let mut asked: BTreeMap<ProposalKey, BTreeSet<NationId>> = BTreeMap::new();
    for (nation, _, version) in versions(state, Kind::RequestExtension) {
        if let Ok(Statement { says: Says::Answer(answer), .. }) =
            Statement::read(Kind::RequestExtension, &version.fields)
            && let Some(pinned) = answer.proposal.version
        {
            let of = answer.proposal;
            let key = ProposalKey { nation: of.nation, id: of.id, version: pinned };
            asked.entry(key).or_default().insert(nation);
        }
    }
    let mut found = BTreeSet::new();
    for (nation, id, version) in versions(state, Kind::Propose) {
        let Ok(statement) = Statement::read(Kind::Propose, &version.fields) else { continue };
        let Says::Propose(says) = statement.says else { continue };
        let takes_part = says.participants.contains(own) && says.participants.contains(&nation);
        if !takes_part || statement.status != Status::Live {
            continue;
        }
        let key = ProposalKey { nation, id: id.to_owned(), version: version.source.envelope };
        let extensions = asked.get(&key).map_or(0, |asked| asked.intersection(&says.participants).count());
        let extensions = u64::try_from(extensions).unwrap_or(u64::MAX);
        found.extend((0..=extensions).map(|days| says.closes_at.plus_ms(days.saturating_mul(PERIOD_MS))));
    }
    found
}

impl Replica {
    /// Writes an empty Witness where a deadline has passed since this key last wrote anything.
    pub(super) fn keep_silence(&mut self) {
        let now = self.now;
        self.silences.refresh(&self.state, &self.me.nation, now);
        let Some(passed) = self.silences.deadlines.range(..=now).next_back().copied() else {
            self.silences.retry_at = None;
            return;
        };
        if self.state.key_standing(&self.me) != Some(KeyStanding::Active { witness: false }) {
            // A key that speaks for nobody, or whose heartbeat says it; a roster that changes that is looked at with the next deadline.
            self.silences.pass(passed);
            self.silences.retry_at = None;
            return;
        }
        let said = self.state.author_tip(&self.me).map(|(tip, time)| (tip.seq > 0).then_some(time));
        if said.as_ref().is_ok_and(|said| said.is_some_and(|said| said >= passed)) {
            self.silences.pass(passed);
            self.silences.retry_at = None;
            return;
        }
        while self.silences.written.front().is_some_and(|at| now.since(*at) >= HOUR_MS) {
            self.silences.written.pop_front();
        }
        if self.silences.written.len() >= BODIES_PER_HOUR_MAX {
            self.silences.retry_at = self.silences.written.front().map(|at| at.plus_ms(HOUR_MS));
            return;
        }
        let unable = self.storage == Storage::Full || self.halted().is_some() || said.is_err();
        match self.empty_witness().filter(|_| !unable) {
            Some(ready) => {
                self.take_own(ready, None);
                self.silences.pass(passed);
                self.silences.written.push_back(now);
                self.silences.retry_at = None;
            }
            None => self.silences.retry_at = Some(now.plus_ms(RETRY_MS)),
        }
    }

    /// Builds and signs a Witness that acknowledges nothing.
    fn empty_witness(&self) -> Option<Ready> {
        let body = WitnessBody {
            height: self.state.charter().map_or(0, |charter| charter.height),
            charter: self.state.charter_id(),
            rosters: Vec::new(),
            acks: Vec::new(),
            frontier: self.state.frontier(),
            state: self.state.state(),
        };
        let (header, body) = self.state.next_header(&self.me, self.now, &Body::Witness(body)).ok()?;
        Some(self.author.sign(header, body))
    }
}
