//! Nodes of member nations that lie, as named strategies.
//!
//! A [`Liar`] drives like a replica. Inside it is an honest replica with the member's own key, which holds the record and
//! speaks the protocol; the strategy stands between that replica and the network: it hides some of what comes in,
//! rewrites or drops what goes out, and adds frames of its own. A liar has a member's key and no other: what it signs is
//! validly signed, what it cannot sign it cannot make up.
//!
//! What a liar sends is what a transport would carry, with these exceptions, which a network in front of honest nodes has to
//! treat as the transport does: an answer may have no End, or not come at all (the exchange fails after a while), frames may
//! stand behind the End, and once or twice a frame is longer than [`comity_protocol::limits::FRAME_BYTES_MAX`].
//!
//! Everything a liar does follows from its seed, what happened to it, and when. What it adds is bounded, in a virtual
//! second and in all, so that a run with liars is nearly as fast as one without.

mod acks;
mod backdate;
mod change;
mod chunk;
mod desk;
mod equivocate;
mod flood;
mod garbage;
mod replay;
mod spoil;
mod withhold;

use comity_protocol::charter::Anchor;
use comity_protocol::effect::{Authoring, Effect, Input};
use comity_protocol::evaluate::{Element, State};
use comity_protocol::ids::{AuthorId, Timestamp, Tip};
use comity_protocol::message::Frame;
use comity_protocol::replica::{Config, Replica, Stored};
use comity_protocol::rules::{Rule, Rules};

use acks::LyingAcks;
use backdate::BackDate;
use change::HostileChanges;
use desk::{Allowance, Desk};
use equivocate::Equivocate;
use flood::Flood;
use garbage::Garbage;
use replay::ReplayOld;
use withhold::Withhold;

/// How a liar lies; the threats are those of PROTOCOL 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Shows different envelopes at one position to different peers (T10).
    Equivocate,
    /// Signs at old positions of its own chain, and claims times long past and far ahead (T11, T15, T69).
    BackDate,
    /// Says that it holds chains and serves none of their headers (T42).
    WithholdHeaders,
    /// Serves headers without their bodies (T43).
    WithholdBodies,
    /// Acts as if one other author did not exist (T42).
    WithholdAuthor,
    /// Repeats old frames, old answers and records of another alliance (T2, T3, T5).
    ReplayOld,
    /// Sends what is no frame, or no answer (T1, T9, T46, T47).
    Garbage,
    /// Sends far too much: own envelopes, headers far ahead, questions (T23, T44, T45).
    Flood,
    /// Acknowledges and claims to hold what it does not, or what does not exist; lies in its Hellos (T10, T41, T50, T69).
    LyingAcks,
    /// Signs envelopes around changes that mean harm (T51–T58, T60).
    HostileChanges,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 10] = [
        Self::Equivocate,
        Self::BackDate,
        Self::WithholdHeaders,
        Self::WithholdBodies,
        Self::WithholdAuthor,
        Self::ReplayOld,
        Self::Garbage,
        Self::Flood,
        Self::LyingAcks,
        Self::HostileChanges,
    ];

    /// The strategy's name in plans, traces and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equivocate => "equivocate",
            Self::BackDate => "back-date",
            Self::WithholdHeaders => "withhold-headers",
            Self::WithholdBodies => "withhold-bodies",
            Self::WithholdAuthor => "withhold-author",
            Self::ReplayOld => "replay-old",
            Self::Garbage => "garbage",
            Self::Flood => "flood",
            Self::LyingAcks => "lying-acks",
            Self::HostileChanges => "hostile-changes",
        }
    }

    /// Returns the strategy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// What a liar starts with.
#[derive(Debug)]
pub struct LiarSetup {
    /// How it lies.
    pub strategy: Strategy,
    /// Which member it is; with its key.
    pub config: Config,
    /// The alliance as its nation has adopted it.
    pub anchor: Anchor,
    /// The control records it holds.
    pub control: Vec<Element>,
    /// Every choice follows from this.
    pub seed: u64,
}

/// A lying node.
#[derive(Debug)]
pub struct Liar {
    strategy: Strategy,
    inner: Replica,
    desk: Desk,
    lie: Lie,
}

/// What a strategy remembers.
#[derive(Debug)]
enum Lie {
    Equivocate(Equivocate),
    BackDate(BackDate),
    Withhold(Withhold),
    ReplayOld(ReplayOld),
    Garbage(Garbage),
    Flood(Flood),
    LyingAcks(LyingAcks),
    HostileChanges(HostileChanges),
}

impl Liar {
    /// Starts a liar with nothing but control records.
    pub fn new(setup: LiarSetup) -> Self {
        let LiarSetup { strategy, config, anchor, control, seed } = setup;
        let allowance = if strategy == Strategy::Flood { Allowance::FLOOD } else { Allowance::MODEST };
        let mut desk = Desk::new(&config, allowance, seed);
        let lie = Lie::new(strategy, &mut desk);
        let mut state = State::new(anchor);
        state.admit(control);
        // Its own envelopes that the strategy signed come to the replica as if from elsewhere; it writes on all the same.
        let rules = Rules::broken(Rule::HaltOnForeignOwn);
        let inner = Replica::new(
            config,
            rules,
            Stored { state, remembered: Vec::new(), authoring: Authoring::Free, signed: Tip::NONE },
        );
        let mut liar = Self { strategy, inner, desk, lie };
        liar.carry_on();
        liar
    }

    /// Takes in what happened at `now`; effects are ready afterwards.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.desk.note(now, &input);
        if let Some(input) = self.lie.hear(&mut self.desk, self.inner.state(), input) {
            self.inner.handle(now, input);
        }
        self.carry_on();
        if self.desk.lie_due() {
            self.lie.act(&mut self.desk, self.inner.state());
            self.tell_inner(now);
        }
    }

    /// Returns the next thing to do, strictly in order; saves are swallowed inside, a liar has no disk.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.desk.out.pop_front()
    }

    /// The moment at which [`Liar::handle`] wants a Tick; `None` while nothing will ever be due.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.inner.next_wakeup().into_iter().chain(self.desk.next_lie()).min()
    }

    /// Adds nothing more of its own: the quiet phase of a run. It goes on hiding and rewriting.
    pub const fn rest(&mut self) {
        self.desk.rest();
    }

    /// How it lies.
    pub const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The evaluation of what the inner replica holds.
    pub const fn state(&self) -> &State {
        self.inner.state()
    }

    /// The own author.
    pub const fn me(&self) -> AuthorId {
        self.inner.me()
    }

    /// Gives the inner replica what the strategy wrote and signed.
    fn tell_inner(&mut self, now: Timestamp) {
        for write in std::mem::take(&mut self.desk.writes) {
            if let Some(input) = self.lie.hear(&mut self.desk, self.inner.state(), Input::Write(write)) {
                self.inner.handle(now, input);
            }
            self.carry_on();
        }
        let inject = std::mem::take(&mut self.desk.inject);
        if let Some(link) = self.desk.lively_link() {
            for envelope in inject {
                self.inner.handle(now, Input::Pushed { link, frame: Frame::Push(vec![envelope]).encode() });
            }
            self.carry_on();
        }
    }

    /// Passes on what the inner replica wants, as the strategy lets it.
    fn carry_on(&mut self) {
        while let Some(effect) = self.inner.poll_effect() {
            match &effect {
                Effect::Save(_) => continue,
                Effect::Written { request, .. } if Desk::wrote(*request) => {
                    self.lie.rewrite(&mut self.desk, self.inner.state(), &effect);
                    continue;
                }
                Effect::Close { link, .. } => self.desk.gone(*link),
                Effect::Push { .. }
                | Effect::Ask { .. }
                | Effect::Answer { .. }
                | Effect::Admission(_)
                | Effect::Written { .. }
                | Effect::Held { .. }
                | Effect::Imported { .. }
                | Effect::Confirmed { .. }
                | Effect::Carried { .. }
                | Effect::Changed(_)
                | Effect::Alarm(_) => {}
            }
            let rewritten = self.lie.rewrite(&mut self.desk, self.inner.state(), &effect);
            if let Effect::Answer { link, exchange, .. } = &effect {
                self.desk.questions.remove(&(*link, *exchange));
            }
            match rewritten {
                Rewritten::Kept => self.desk.out.push_back(effect),
                Rewritten::Dropped => {}
                Rewritten::Changed(other) => self.desk.out.push_back(other),
            }
        }
    }
}

/// What becomes of an effect of the inner replica.
#[derive(Debug)]
enum Rewritten {
    /// It goes out as it is.
    Kept,
    /// It does not go out.
    Dropped,
    /// Another goes out in its place.
    Changed(Effect),
}

impl Lie {
    fn new(strategy: Strategy, desk: &mut Desk) -> Self {
        match strategy {
            Strategy::Equivocate => Self::Equivocate(Equivocate::new(desk)),
            Strategy::BackDate => Self::BackDate(BackDate::new(desk)),
            Strategy::WithholdHeaders => Self::Withhold(Withhold::headers(desk)),
            Strategy::WithholdBodies => Self::Withhold(Withhold::bodies(desk)),
            Strategy::WithholdAuthor => Self::Withhold(Withhold::author()),
            Strategy::ReplayOld => Self::ReplayOld(ReplayOld::new(desk)),
            Strategy::Garbage => Self::Garbage(Garbage::default()),
            Strategy::Flood => Self::Flood(Flood::default()),
            Strategy::LyingAcks => Self::LyingAcks(LyingAcks::default()),
            Strategy::HostileChanges => Self::HostileChanges(HostileChanges::new(desk)),
        }
    }

    /// Lets the strategy hear what happened before the inner replica does; `None` keeps it from the replica.
    fn hear(&mut self, desk: &mut Desk, state: &State, input: Input) -> Option<Input> {
        match self {
            Self::Equivocate(lie) => lie.hear(desk, state, input),
            Self::BackDate(_) => spoil::hide_own(desk.me, state, input),
            Self::ReplayOld(lie) => {
                lie.hear(&input);
                Some(input)
            }
            Self::Garbage(lie) => {
                lie.hear(&input);
                Some(input)
            }
            Self::LyingAcks(lie) => {
                lie.hear(&input);
                Some(input)
            }
            Self::Withhold(_) | Self::Flood(_) | Self::HostileChanges(_) => Some(input),
        }
    }

    fn rewrite(&mut self, desk: &mut Desk, state: &State, effect: &Effect) -> Rewritten {
        match self {
            Self::Equivocate(lie) => lie.rewrite(desk, state, effect),
            Self::Withhold(lie) => lie.rewrite(desk, state, effect),
            Self::ReplayOld(lie) => lie.rewrite(desk, effect),
            Self::Garbage(lie) => lie.rewrite(desk, effect),
            Self::LyingAcks(lie) => lie.rewrite(desk, effect),
            Self::BackDate(_) | Self::Flood(_) | Self::HostileChanges(_) => Rewritten::Kept,
        }
    }

    /// Does something of its own.
    fn act(&mut self, desk: &mut Desk, state: &State) {
        match self {
            Self::Equivocate(lie) => lie.act(desk, state),
            Self::BackDate(lie) => lie.act(desk, state),
            Self::Withhold(_) => {}
            Self::ReplayOld(lie) => lie.act(desk),
            Self::Garbage(lie) => lie.act(desk),
            Self::Flood(lie) => lie.act(desk, state),
            Self::LyingAcks(lie) => lie.act(desk, state),
            Self::HostileChanges(lie) => lie.act(desk, state),
        }
    }
}

#[cfg(test)]
mod tests;
