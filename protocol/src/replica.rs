//! The replica: the sans-IO machine that one node runs (DESIGN 2).
//!
//! It has no clock, socket, disk or randomness of its own. [`Replica::handle`] takes an [`Input`] and the moment it
//! happened, [`Replica::poll_effect`] hands out what is to be done, [`Replica::next_wakeup`] says when to come back.
//! Everything in it except the [`State`] is memory of peers: losing it loses no record.

mod bucket;
mod charter;
mod confirm;
mod carried;
mod cuts;
mod limbo;
mod peers;
mod push;
mod receive;
mod serve;
mod silence;
mod status;
mod sync;
mod wait;
mod watch;
mod witness;
mod write;

use std::collections::{BTreeMap, VecDeque};

use crate::effect::{
    Admission, Alarm, Authoring, Effect, ExchangeId, ImportOutcome, ImportRefused, Input, LinkId, Remembered,
    RequestId, SaveOp, Storage,
};
use crate::evaluate::{Changes, Element, State};
use crate::ids::{AllianceId, AuthorId, AuthorKey, EnvelopeId, NationId, Timestamp, Tip};
use crate::keys::SecretKey;
use crate::limits::STOOD_STILL_MS;
use crate::rules::{Rule, Rules};

pub use status::{Counters, Lag, PeerStanding, PeerStatus};
pub use watch::Withheld;
pub use witness::WitnessCadence;
pub use write::content_digest;

use cuts::Cuts;
use limbo::Limbo;
use peers::{Link, Peer};
use push::History;
use silence::Silences;
use sync::Fetch;
use wait::Waits;
use watch::Watch;
use witness::Witness;
use write::Author;

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The alliance.
    pub alliance: AllianceId,
    /// The nation the node speaks for.
    pub nation: NationId,
    /// The node's key.
    pub key: SecretKey,
    /// Entropy for jitter, drawn by the caller; no secret and no promise rests on it.
    pub seed: u64,
    /// How often the node speaks as its nation's witness, if it is that.
    pub witness: WitnessCadence,
    /// The highest version of the rules that the node keeps: [`RULES_MAX`], except where mixed software is simulated. Under a
    /// charter with higher ones it carries and shows everything, and says nothing (spec 4.17).
    pub rules_max: u16,
}

/// The highest version of the rules that this software knows.
pub const RULES_MAX: u16 = crate::control::VERSION;

/// What a store held when the node started.
#[derive(Debug)]
pub struct Stored {
    /// The evaluation of every record in it.
    pub state: State,
    /// Every remembered answer, in the order they were saved.
    pub remembered: Vec<Remembered>,
    /// Whether the home forbids authoring.
    pub authoring: Authoring,
    /// The last envelope that the own key is known to have signed here; [`Tip::NONE`] where nothing says it.
    pub signed: Tip,
}

/// The machine.
#[derive(Debug)]
pub struct Replica {
    alliance: AllianceId,
    me: AuthorId,
    rules: Rules,
    rules_max: u16,
    state: State,
    now: Timestamp,
    storage: Storage,
    jitter: u64,
    links: BTreeMap<LinkId, Link>,
    peers: BTreeMap<AuthorKey, Peer>,
    fetching: BTreeMap<AuthorId, Fetch>,
    next_exchange: u64,
    history: History,
    admission: Admission,
    author: Author,
    waits: Waits,
    told: charter::Told,
    silences: Silences,
    witness: Witness,
    watch: Watch,
    cuts: Cuts,
    limbo: Limbo,
    counters: Counters,
    effects: VecDeque<Effect>,
}

impl Replica {
    /// Takes up what a store held; the first effect tells whom the handshake may let in.
    pub fn new(config: Config, rules: Rules, stored: Stored) -> Self {
        let Config { alliance, nation, key, seed, witness, rules_max } = config;
        let me = AuthorId { nation, key: key.public() };
        let authoring = match stored.authoring {
            Authoring::Restored { .. } if !rules.keeps(Rule::RefuseWithoutSentinel) => Authoring::Free,
            kept => kept,
        };
        let mut replica = Self {
            alliance,
            me,
            rules,
            rules_max,
            state: stored.state,
            now: Timestamp::default(),
            storage: Storage::Room,
            jitter: seed,
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            fetching: BTreeMap::new(),
            next_exchange: 0,
            history: History::default(),
            admission: Admission::default(),
            author: Author::new(key, stored.remembered, authoring, stored.signed),
            waits: Waits::default(),
            told: charter::Told::default(),
            silences: Silences::new(),
            witness: Witness::new(witness),
            watch: Watch::default(),
            cuts: Cuts::default(),
            limbo: Limbo::default(),
            counters: Counters::default(),
            effects: VecDeque::new(),
        };
        replica.bound_unkept();
        replica.admission_changed();
        replica.tell_lost_anchor();
        replica.tell_conflicts();
        replica.look_for_cuts();
        replica
    }

    /// Takes in what happened at `now`; effects are ready afterwards.
    ///
    /// Moments may repeat; one before an earlier one counts as that one, so a clock set back does no harm.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.pass_time(now);
        match input {
            Input::LinkUp(up) => self.link_up(up),
            Input::LinkDown { link } => self.link_down(link),
            Input::Pushed { link, frame } => self.pushed(link, &frame),
            Input::PushStalled { link } => self.push_stalled(link),
            Input::Asked { link, exchange, frame } => self.asked(link, exchange, &frame),
            Input::Reply { link, exchange, frame } => self.reply(link, exchange, &frame),
            Input::ExchangeFailed { link, exchange } => self.exchange_failed(link, exchange),
            Input::Write(request) => self.write(request),
            Input::StopWaiting { request } => self.waits.forget(request),
            Input::Import { request, records } => self.import(request, records),
            Input::Carried { request, frames } => self.carried(request, &frames),
            Input::Storage(storage) => self.storage = storage,
            Input::Confirm(confirm) => self.confirm(&confirm),
            Input::Tick => {}
        }
        self.keep_silence();
        self.wake();
        self.plan();
    }

    /// Returns the next thing to do, strictly in order; `None` when nothing is left until the next input.
    ///
    /// Pushes of one batch of inputs share frames: they are packed when everything before them was handed out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.flush();
        }
        self.effects.pop_front()
    }

    /// The evaluation of everything held; it may hold what an [`Effect::Save`] not carried out yet is about.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The own author.
    pub const fn me(&self) -> AuthorId {
        self.me
    }

    /// Moves on to `now`. Where nobody came for long although a wake-up was due, this node stood still and not its peers:
    /// what they sent meanwhile is still in the queues.
    fn pass_time(&mut self, now: Timestamp) {
        let due = self.next_wakeup().unwrap_or(now);
        let stood_still = now.since(due.max(self.now));
        if stood_still > STOOD_STILL_MS {
            for link in self.links.values_mut() {
                link.heard_at = link.heard_at.plus_ms(stood_still).min(now);
            }
        }
        if now > self.now {
            self.save_late();
        }
        self.now = self.now.max(now);
    }

    /// Takes elements into the state and asks for their saving; tells who needs to know.
    fn admit(&mut self, elements: Vec<Element>, ops: Vec<SaveOp>) -> Changes {
        let changes = self.state.admit(elements);
        let mut ops = self.hold_back_unkept(ops);
        let kept = changes.control_kept.iter().filter_map(|id| self.state.control_record(id));
        ops.extend(kept.map(|control| SaveOp::Control(control.as_ref().clone())));
        self.advance_anchor(&mut ops);
        if !ops.is_empty() {
            self.effects.push_back(Effect::Save(ops));
        }
        for &(author, seq) in &changes.forked {
            self.effects.push_back(Effect::Alarm(Alarm::Fork { author, seq }));
            self.push_fork(&author, seq);
        }
        self.tell_conflicts();
        if !changes.is_empty() {
            self.history.stale();
            self.note_change(&changes);
            self.look_for_cuts_after(&changes);
            self.watch.begin(&self.state, self.now);
            self.effects.push_back(Effect::Changed(Box::new(changes.clone())));
        }
        if !changes.documents.is_empty() {
            self.silences.documents_changed();
        }
        if changes.charter || !changes.rosters.is_empty() {
            self.control_changed();
        } else if !changes.control_kept.is_empty() {
            // A vote changes nothing yet, but others wait for it before they sign.
            self.hello_soon();
        }
        changes
    }

    /// Takes in control records somebody local brought.
    fn import(&mut self, request: RequestId, records: Vec<(u8, Vec<u8>)>) {
        let outcomes = self.take_control(records).into_iter().map(|taken| match taken {
            Ok(outcome) => outcome,
            Err(error) => ImportOutcome::Refused(error),
        });
        let outcomes = outcomes.collect();
        self.effects.push_back(Effect::Imported { request, outcomes });
    }

    /// Returns a number below `bound` from the caller's seed; `bound` is at least 1.
    fn jitter_below(&mut self, bound: u64) -> u64 {
        // SplitMix64: enough to keep peers from marching in step, nothing else.
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn fresh_exchange(&mut self) -> ExchangeId {
        self.next_exchange += 1;
        ExchangeId(self.next_exchange)
    }
}

fn op_envelope(op: &SaveOp) -> Option<EnvelopeId> {
    match op {
        SaveOp::Header(header) => Some(header.id()),
        SaveOp::Signature { id, .. } | SaveOp::Body { id, .. } => Some(*id),
        SaveOp::Control(_) | SaveOp::Remember(_) | SaveOp::Anchor(_) | SaveOp::Halt { .. } | SaveOp::Release { .. } => {
            None
        }
    }
}

/// What became of one control record, or why it counts for nothing.
type TakenControl = Result<ImportOutcome, ImportRefused>;

#[cfg(test)]
mod tests;
