//! One simulated node: a home on a simulated disk and, while it is up, the daemon's replica over the daemon's store.
//!
//! It takes turns as the daemon's loop does: the inputs of a batch, one transaction for all they want saved, and only then
//! everything else, in order. A failed save drops the replica and builds it again from the store, or ends the process.

use std::collections::{BTreeMap, BTreeSet};

use comity_node::store::{Database, Identity, Lane, Loaded, OpenError, SaveError, Settings};
use comity_protocol::control::VerifiedControl;
use comity_protocol::effect::{Admission, Authoring, Effect, Input, LinkId, SaveOp, Storage};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, AuthorKey, EnvelopeId, Timestamp};
use comity_protocol::replica::{Config, Replica, Stored};
use comity_protocol::rules::Rules;

use super::check::Watch;
use super::clock::Clock;
use super::disk::{Disk, Image};
use super::liar::Liar;
use super::operator::Operator;
use super::sentinel::SimSentinel;
use crate::vfs;

/// First pause after the store was full; doubles up to a minute.
const FULL_RETRY_MS: u64 = 2_000;

/// Failures in a row that no waiting mends, after which the daemon takes its store for broken.
const BROKEN_AFTER: u32 = 3;

/// A node: what stays when its process ends, and the process if there is one.
pub(super) struct Node {
    /// `POL-2`; a clone has a prime.
    pub(super) name: String,
    /// The number of its nation.
    pub(super) nation: usize,
    /// Who it is.
    pub(super) config: Config,
    pub(super) author: AuthorId,
    pub(super) disk: Disk,
    pub(super) clock: Clock,
    pub(super) operator: Operator,
    pub(super) machine: Machine,
    /// When it wakes by itself, in the world's time.
    pub(super) wake_at: Option<u64>,
    /// Peers' keys by link, as this side sees it.
    pub(super) links: BTreeMap<LinkId, AuthorKey>,
    /// Whom it lets in.
    pub(super) admission: Admission,
    /// Peers it stays away from, until when.
    pub(super) hold_off: BTreeMap<AuthorKey, u64>,
    /// A copy of its home.
    pub(super) backup: Option<Image>,
    /// What its disk holds for certain: saved, and not gone by a restore or a lying disk.
    pub(super) durable: BTreeSet<EnvelopeId>,
    /// When to try the full store again.
    pub(super) full_retry: Option<(u64, u64)>,
    /// What was done to it that excuses what an honest node never does.
    pub(super) harm: Harm,
    /// When it is to be started again.
    pub(super) restart_at: Option<u64>,
    /// How long it stays down after its disk failed.
    pub(super) down_ms: u64,
    /// How many times it was started.
    pub(super) starts: u32,
    /// Whether nobody starts it again.
    pub(super) gone: bool,
    /// How often it woke by itself in which second.
    pub(super) ticks: (u64, u32),
    /// Failed saves in a row that no waiting mends.
    in_a_row: u32,
    /// How often its replica was built again after a failed save.
    pub(super) rebuilds: u32,
    /// Whether it is the copy of two processes under one key.
    pub(super) is_copy: bool,
    /// Whether a roster that retires its key was signed, heard of or not.
    pub(super) retired: bool,
    /// Whether a thief's roster forked those of its nation before the one that lists it.
    pub(super) suspended: bool,
    /// What checks keep in mind of it.
    pub(super) watch: Watch,
}

/// What runs.
pub(super) enum Machine {
    /// Nothing.
    Down,
    /// The daemon's parts.
    Honest(Box<Process>),
    /// A lying program.
    Liar(Box<Liar>),
}

impl Machine {
    /// The evaluated record, while it is up.
    pub(super) fn state(&self) -> Option<&State> {
        match self {
            Self::Down => None,
            Self::Honest(process) => Some(process.replica.state()),
            Self::Liar(liar) => Some(liar.state()),
        }
    }

    /// Whether its own chain is damaged: the daemon takes no writes then.
    pub(super) fn is_damaged(&self) -> bool {
        matches!(self, Self::Honest(process) if !process.own_damage.is_empty())
    }
}

/// The parts of a running daemon.
pub(super) struct Process {
    pub(super) database: Database,
    pub(super) replica: Replica,
    /// Damaged rows of the own chain: the daemon does not write while there are any.
    pub(super) own_damage: Vec<String>,
    /// What the key is known to have signed.
    sentinel: SimSentinel,
}

/// What was done to a node's home, beyond what its promises cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Harm {
    /// Its store was replaced by an older copy.
    pub restored: bool,
    /// Without a sentinel: what the key had signed since nobody knows but who heard it.
    pub blind: bool,
    /// Its whole home was, the sentinel included: nothing in it says so (T14).
    pub rolled_back: bool,
    /// Another process runs under its key.
    pub cloned: bool,
    /// Its disk lied about syncing when the power went.
    pub betrayed: bool,
    /// Bits of its store flipped.
    pub rotten: bool,
}

impl Harm {
    /// Whether its own chain may stand in two versions. A restored store alone is no excuse: the sentinel, or its absence,
    /// keeps such a node from speaking.
    pub const fn chain_may_fork(self) -> bool {
        self.rolled_back || self.cloned || self.betrayed
    }

    /// Whether it may have forgotten what it said, answered or held.
    pub const fn may_have_forgotten(self) -> bool {
        self.restored || self.chain_may_fork()
    }
}

/// How a turn ended.
pub(super) enum Turn {
    /// Effects for the network and for people, in order.
    Went(Vec<Effect>),
    /// Nothing of it was saved; the replica was built again, its links are closed.
    Rebuilt(String),
    /// The process ended: its store takes nothing any more.
    Ended(String),
}

impl Node {
    /// A node without a home that is down.
    pub(super) fn new(name: String, nation: usize, author: AuthorId, config: Config, seed: u64, clock: Clock) -> Self {
        Self {
            name,
            nation,
            config,
            author,
            disk: Disk::new(seed),
            clock,
            operator: Operator::new(seed ^ 0x004f_5045),
            machine: Machine::Down,
            wake_at: None,
            links: BTreeMap::new(),
            admission: Admission::default(),
            hold_off: BTreeMap::new(),
            backup: None,
            durable: BTreeSet::new(),
            full_retry: None,
            harm: Harm::default(),
            restart_at: None,
            down_ms: 0,
            starts: 0,
            gone: false,
            ticks: (0, 0),
            in_a_row: 0,
            rebuilds: 0,
            is_copy: false,
            retired: false,
            suspended: false,
            watch: Watch::default(),
        }
    }

    /// Makes the home of a node that has heard of `founding`.
    pub(super) fn found(&self, founding: &[VerifiedControl]) {
        vfs::register();
        let identity =
            Identity { alliance: self.config.alliance, nation: self.config.nation, node: self.config.key.public() };
        let made = Database::create(&self.disk.store_path(), vfs::NAME, &identity, founding);
        made.expect("a sound disk takes a new store");
        SimSentinel::found(&self.disk, self.author);
        // As the daemon's `init` does, everything is synced before anybody is told that the home is there.
        self.disk.restore(&self.disk.image());
    }

    /// Starts the process on what its disk holds; returns what was loaded.
    ///
    /// # Errors
    /// [`OpenError`]; the disk is as it was.
    pub(super) fn start(&mut self, world_ms: u64, rules: Rules) -> Result<Started, OpenError> {
        self.clock.restart(world_ms);
        self.starts += 1;
        let settings = Settings {
            bytes_max: None,
            catch_up_free_min: 0,
            free_min: 0,
            vfs: Some(vfs::NAME.to_owned()),
            sentinel: None,
        };
        let mut database = Database::open(&self.disk.store_path(), settings)?;
        let held = database.own_held()?;
        let mut loaded = database.load()?;
        let sentinel = SimSentinel::open(&self.disk, self.author, &held, world_ms).map_err(|_| self.no_sentinel())?;
        sentinel.tell(&mut loaded);
        let started = Started::of(&loaded);
        let own_damage = own_damage(&loaded);
        let replica = replica(&self.config, rules, loaded);
        self.machine = Machine::Honest(Box::new(Process { database, replica, own_damage, sentinel }));
        self.admission = Admission::default();
        self.full_retry = None;
        self.watch.began(started.authoring);
        Ok(started)
    }

    fn no_sentinel(&self) -> OpenError {
        let source = std::io::Error::other("the sentinel cannot be read or written");
        OpenError::Io { path: self.disk.store_path(), doing: "open", source }
    }

    /// Ends the process as a kill does; its links are forgotten.
    pub(super) fn stop(&mut self) {
        self.machine = Machine::Down;
        self.links.clear();
    }

    /// The evaluated record, while it is up.
    pub(super) fn state(&self) -> Option<&State> {
        self.machine.state()
    }

    /// The honest process, while it is up.
    pub(super) fn process(&self) -> Option<&Process> {
        match &self.machine {
            Machine::Honest(process) => Some(process),
            Machine::Down | Machine::Liar(_) => None,
        }
    }

    /// Whether it is up and not a liar.
    pub(super) fn is_honest_and_up(&self) -> bool {
        self.process().is_some()
    }

    /// Returns an error as a trace tells it: the store's path holds a number that only this process knows.
    pub(super) fn in_words(&self, error: &dyn std::error::Error) -> String {
        error.to_string().replace(&*self.disk.store_path().to_string_lossy(), "the store")
    }

    /// When it wants to be woken, in the world's time.
    pub(super) fn next_wake(&self, world_ms: u64) -> Option<u64> {
        let wake = match &self.machine {
            // Who is down waits for nothing, a full disk included.
            Machine::Down => return None,
            Machine::Honest(process) => process.replica.next_wakeup(),
            Machine::Liar(liar) => liar.next_wakeup(),
        };
        let now = self.clock.clone().now(world_ms);
        // As in the daemon, nobody sleeps longer than a second: a clock that is set is noticed within it.
        let wake = wake.map(|wake| world_ms + wake.since(now).clamp(1, 1_000));
        let retry = self.full_retry.map(|(at, _)| at.max(world_ms + 1));
        wake.into_iter().chain(retry).min()
    }

    /// Handles a batch of inputs.
    pub(super) fn turn(&mut self, world_ms: u64, inputs: Vec<Input>, rules: Rules) -> Turn {
        let now = self.clock.now(world_ms);
        let turn = match &mut self.machine {
            Machine::Down => Turn::Went(Vec::new()),
            Machine::Liar(liar) => {
                inputs.into_iter().for_each(|input| liar.handle(now, input));
                Turn::Went(std::iter::from_fn(|| liar.poll_effect()).collect())
            }
            Machine::Honest(_) => self.honest_turn(world_ms, now, inputs, rules),
        };
        if let Turn::Went(effects) = &turn {
            for effect in effects {
                if let Effect::Admission(admission) = effect {
                    self.admission.clone_from(admission);
                }
            }
        }
        turn
    }

    fn honest_turn(&mut self, world_ms: u64, now: Timestamp, inputs: Vec<Input>, rules: Rules) -> Turn {
        let Machine::Honest(process) = &mut self.machine else { return Turn::Went(Vec::new()) };
        let witnessed = process.replica.counters().witnessed;
        for input in inputs {
            process.replica.handle(now, input);
        }
        if self.full_retry.is_some_and(|(at, _)| at <= world_ms) {
            process.replica.handle(now, Input::Storage(Storage::Room));
        }
        if process.sentinel.sync_if_due(world_ms).is_err() {
            self.stop();
            return Turn::Ended("the sentinel cannot be synced".to_owned());
        }
        let (saves, effects) = drain(&mut process.replica);
        let witnessed = process.replica.counters().witnessed - witnessed;
        self.watch.wrote_now(&self.author, &effects, &saves, witnessed);
        if saves.is_empty() {
            if self.full_retry.is_some_and(|(at, _)| at <= world_ms) {
                self.full_retry = None;
            }
            return Turn::Went(effects);
        }
        let outcome =
            process.database.save(Lane::Live, std::slice::from_ref(&saves)).pop().expect("one group, one answer");
        match outcome {
            Ok(_) if process.sentinel.committed(&saves).is_err() => {
                self.stop();
                Turn::Ended("the sentinel cannot be written".to_owned())
            }
            Ok(_) => {
                self.full_retry = None;
                self.in_a_row = 0;
                self.durable.extend(saves.iter().filter_map(saved_body));
                if !process.own_damage.is_empty()
                    && let Ok(loaded) = process.database.load()
                {
                    process.own_damage = own_damage(&loaded);
                }
                Turn::Went(effects)
            }
            Err(error @ (SaveError::Fatal(_) | SaveError::Closed)) => {
                self.stop();
                Turn::Ended(self.in_words(&error))
            }
            Err(error) => {
                let may_pass = matches!(error, SaveError::DiskFull(_) | SaveError::Busy);
                self.in_a_row += u32::from(!may_pass);
                if self.in_a_row >= BROKEN_AFTER {
                    self.stop();
                    return Turn::Ended(error.to_string());
                }
                self.rebuild(world_ms, now, error, rules)
            }
        }
    }

    /// Builds the replica again from what is durable, after a save that failed for now.
    fn rebuild(&mut self, world_ms: u64, now: Timestamp, error: SaveError, rules: Rules) -> Turn {
        let why = self.in_words(&error);
        let Machine::Honest(process) = &mut self.machine else { return Turn::Rebuilt(why) };
        let mut loaded = match process.database.load() {
            Ok(loaded) => loaded,
            Err(reload) => {
                self.stop();
                return Turn::Ended(self.in_words(&reload));
            }
        };
        process.sentinel.tell(&mut loaded);
        let authoring = loaded.authoring;
        process.own_damage = own_damage(&loaded);
        process.replica = replica(&self.config, rules, loaded);
        self.watch.began(authoring);
        self.links.clear();
        if matches!(error, SaveError::DiskFull(_)) {
            let pause = self.full_retry.map_or(FULL_RETRY_MS, |(_, pause)| (pause * 2).min(60_000));
            self.full_retry = Some((world_ms + pause, pause));
            process.replica.handle(now, Input::Storage(Storage::Full));
        }
        let (_, effects) = drain(&mut process.replica);
        for effect in effects {
            if let Effect::Admission(admission) = effect {
                self.admission = admission;
            }
        }
        Turn::Rebuilt(why)
    }
}

/// What a start found on the disk.
pub(super) struct Started {
    /// Every envelope that is there with its body.
    pub(super) envelopes: BTreeSet<EnvelopeId>,
    /// Damage, in words.
    pub(super) damage: Vec<String>,
    /// Whether the home forbids authoring.
    pub(super) authoring: Authoring,
}

impl Started {
    fn of(loaded: &Loaded) -> Self {
        let whole = loaded.envelopes.iter().filter(|envelope| envelope.body.is_some());
        Self {
            envelopes: whole.map(|envelope| envelope.header.id()).collect(),
            damage: loaded.damage.iter().map(ToString::to_string).collect(),
            authoring: loaded.authoring,
        }
    }
}

fn own_damage(loaded: &Loaded) -> Vec<String> {
    loaded.own_damage().map(ToString::to_string).collect()
}

fn replica(config: &Config, rules: Rules, loaded: Loaded) -> Replica {
    let anchor = loaded.anchor;
    let (authoring, signed) = (loaded.authoring, loaded.signed);
    let (elements, remembered) = loaded.into_elements();
    let mut state = State::under(anchor, rules);
    state.admit(elements);
    Replica::new(config.clone(), rules, Stored { state, remembered, authoring, signed })
}

fn drain(replica: &mut Replica) -> (Vec<SaveOp>, Vec<Effect>) {
    let (mut saves, mut effects) = (Vec::new(), Vec::new());
    while let Some(effect) = replica.poll_effect() {
        match effect {
            Effect::Save(ops) => saves.extend(ops),
            effect => effects.push(effect),
        }
    }
    (saves, effects)
}

fn saved_body(op: &SaveOp) -> Option<EnvelopeId> {
    match op {
        SaveOp::Body { id, .. } => Some(*id),
        SaveOp::Control(_)
        | SaveOp::Header(_)
        | SaveOp::Signature { .. }
        | SaveOp::Remember(_)
        | SaveOp::Anchor(_)
        | SaveOp::Halt { .. }
        | SaveOp::Release { .. } => None,
    }
}
