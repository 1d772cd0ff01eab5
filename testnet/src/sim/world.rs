//! The world: virtual time, the queue of what is under way, and the phases of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use comity_protocol::charter::Charter;
use comity_protocol::effect::{Alarm, Effect, ExchangeId, Input, LinkId, RequestId};
use comity_protocol::ids::AuthorKey;
use comity_protocol::rules::Rules;
use comity_protocol::testing::{FOUNDED_MS, TestAlliance};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::check::{self, Violation};
use super::chronicle::{Chronicle, Stats};
use super::network::Network;
use super::node::{Machine, Node, Turn};
use super::officer::Officer;
use super::plan::Plan;
use super::trace::Trace;
use super::votes::Adoption;
use super::{Ending, Outcome};

/// When a run begins, by the true clock.
pub(super) const BEGIN_MS: u64 = FOUNDED_MS + 1_000_000;
/// How long the quiet phase may take.
const QUIET_MAX_MS: u64 = 900_000;
/// How long an honest statement may wait for its finality: two periods of witnesses on clocks that go at half speed, and a
/// full disk that is tried again after a minute.
const FINAL_MAX_MS: u64 = 2 * 2 * super::homes::CADENCE.heartbeat_ms + 60_000;
/// How often it is looked whether all agree.
const LOOK_MS: u64 = 500;
/// Inputs after which a run is called endless.
const INPUTS_MAX: u64 = 2_000_000;

/// How often an honest node may wake by itself within a second: what it waits for comes every 40 ms at most, on each link.
const TICKS_MAX: u32 = 200;

/// How often a replica may be built again in a run: a full disk is tried again after growing pauses, nothing else stays.
const REBUILDS_MAX: u32 = 100;

/// Something under way.
pub(super) enum Event {
    /// A step of the plan is due.
    Step(usize),
    /// Something reaches a node.
    Input(usize, Input),
    /// One node dials another.
    Dial(usize, usize),
    /// A question was not answered in time.
    Unanswered(LinkId, ExchangeId),
    /// A flapping link changes.
    Flap(usize, usize, u32),
    /// A disk has room again.
    Room(usize),
    /// A version of the charter was adopted that nobody had before.
    Adopted(Box<Adoption>),
    /// A nation that is in finds somebody who knows it.
    Welcome(usize, Arc<Charter>),
    /// A nation's new root looks for somebody who knows it.
    TakeRoot(usize),
    /// Somebody writes at a node.
    Write(usize),
}

/// Everything there is.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rules: Rules,
    pub(super) alliance: TestAlliance,
    pub(super) now: u64,
    pub(super) nodes: Vec<Node>,
    /// Each nation's officer.
    pub(super) officers: Vec<Officer>,
    /// Nations that are no members, by what anybody honest adopted.
    pub(super) outside: BTreeSet<usize>,
    /// Which nodes dial each other.
    pub(super) pairs: BTreeSet<(usize, usize)>,
    pub(super) network: Network,
    pub(super) rng: ChaCha8Rng,
    pub(super) trace: Trace,
    pub(super) chronicle: Chronicle,
    pub(super) stats: Stats,
    pub(super) violation: Option<Violation>,
    pub(super) next_request: u64,
    queue: BTreeMap<(u64, u64), Event>,
    next: u64,
}

impl World {
    /// The world of a plan at its beginning: every node founded and up, every link dialled.
    pub(super) fn new(plan: Plan, rules: Rules) -> Self {
        let nations: Vec<(&str, usize)> = plan.nations.iter().map(|nation| (nation.code, nation.nodes)).collect();
        let alliance = TestAlliance::new(plan.seed, &nations);
        let mut world = Self {
            rules,
            alliance,
            now: BEGIN_MS,
            nodes: Vec::new(),
            officers: Vec::new(),
            outside: BTreeSet::new(),
            pairs: plan.links.clone(),
            network: Network::new(plan.weather),
            rng: ChaCha8Rng::seed_from_u64(plan.seed ^ 0x5157_4f52_4c44),
            trace: Trace::default(),
            chronicle: Chronicle::default(),
            stats: Stats::default(),
            violation: None,
            next_request: 0,
            queue: BTreeMap::new(),
            next: 0,
            plan,
        };
        let (seed, profile) = (world.plan.seed, world.plan.profile.name());
        world.tell("-", format_args!("seed {seed} profile {profile}"));
        world.appoint();
        for nation in 0..world.plan.nations.len() {
            for node in 0..world.plan.nations[nation].nodes {
                world.add(nation, node);
            }
        }
        for (a, b) in world.pairs.clone() {
            world.at(1, Event::Dial(a, b));
        }
        for (number, at_ms) in world.plan.steps.iter().map(|step| step.at_ms).enumerate().collect::<Vec<_>>() {
            world.at(at_ms, Event::Step(number));
        }
        world
    }

    /// Runs all phases; what panics is a finding like any other, and keeps its trace.
    pub(super) fn run(mut self) -> Outcome {
        let mut ending = Ending::default();
        match panic::catch_unwind(AssertUnwindSafe(|| self.phases())) {
            Ok(()) => {
                self.count();
                ending = check::ending(&self);
            }
            Err(panicked) => {
                let text = panicked.downcast_ref::<&str>().map(ToString::to_string);
                let text = text.or_else(|| panicked.downcast_ref::<String>().cloned());
                self.violated(Violation::new("nothing panics", text.unwrap_or_default()));
            }
        }
        if let Some(violation) = &self.violation {
            let text = format!("VIOLATION of {}: {}", violation.invariant, violation.text);
            self.tell("-", format_args!("{text}"));
        }
        Outcome { violation: self.violation, trace: self.trace, stats: self.stats, ending }
    }

    fn phases(&mut self) {
        self.run_until(BEGIN_MS + self.plan.hostile_ms);
        self.heal();
        let healed = self.now;
        let mut agreed = self.run_until_agreed(healed);
        if agreed && self.violation.is_none() && self.confirm_all() {
            agreed = self.run_until_agreed(healed);
        }
        self.stats.converged_after_ms = self.now - healed;
        if agreed && self.violation.is_none() && self.vote_to_the_end() {
            agreed = self.run_until_agreed(healed);
        }
        if agreed && self.violation.is_none() {
            agreed = self.run_until_final(healed);
        }
        if !agreed && self.violation.is_none() {
            let text = match check::eventually::at_the_end(self) {
                Err(violation) => violation.text,
                Ok(()) => "agreed at last, too late".to_owned(),
            };
            let text = format!("not within {QUIET_MAX_MS} ms: {text}");
            self.violated(Violation::new("I19 all honest replicas agree", text));
        }
        if self.violation.is_none() {
            self.tell("-", format_args!("quiet after {} ms", self.now - healed));
            if let Err(violation) = check::eventually::at_the_end(self) {
                self.violated(violation);
            }
        }
    }

    fn run_until_agreed(&mut self, healed: u64) -> bool {
        let mut agreed = false;
        while !agreed && self.violation.is_none() && self.now < healed + QUIET_MAX_MS {
            self.run_until(self.now + LOOK_MS);
            // Who is down for the moment holds something that nobody has compared.
            let all_up = self.nodes.iter().all(|node| node.restart_at.is_none());
            agreed = all_up && check::eventually::all_agree(self);
        }
        agreed
    }

    /// Waits until what honest nations said is final, as long as that may take.
    fn run_until_final(&mut self, healed: u64) -> bool {
        let until = (self.now + FINAL_MAX_MS).min(healed + QUIET_MAX_MS);
        loop {
            let done =
                self.violation.is_some() || self.now >= until || check::witness::waits_for_finality(self).is_none();
            if done && (self.now >= healed + QUIET_MAX_MS || check::eventually::all_agree(self)) {
                return check::eventually::all_agree(self);
            }
            if self.violation.is_some() {
                return false;
            }
            self.run_until(self.now + LOOK_MS);
        }
    }

    pub(super) fn run_until(&mut self, until: u64) {
        while self.violation.is_none() {
            if self.stats.inputs > INPUTS_MAX {
                self.violated(Violation::new("bounded work", format!("more than {INPUTS_MAX} inputs")));
                return;
            }
            let wake = self.next_wake();
            let due = self.queue.keys().next().map(|(at, _)| *at);
            let Some(at) = due.into_iter().chain(wake.map(|(at, _)| at)).min().filter(|at| *at <= until) else {
                self.now = self.now.max(until);
                return;
            };
            self.now = self.now.max(at);
            match wake {
                Some((wake_at, node)) if due.is_none_or(|due| wake_at <= due) => self.wake(node),
                _ => {
                    let (_, event) = self.queue.pop_first().expect("something is due");
                    self.happen(event);
                }
            }
        }
    }

    /// Returns the next node that wakes by itself, and when.
    fn next_wake(&self) -> Option<(u64, usize)> {
        let wakes = self.nodes.iter().enumerate().filter_map(|(number, node)| {
            let wake = node.wake_at;
            wake.into_iter().chain(node.restart_at).min().map(|at| (at, number))
        });
        wakes.min()
    }

    fn wake(&mut self, node: usize) {
        if self.nodes[node].restart_at.is_some_and(|at| at <= self.now) {
            self.start(node);
        } else {
            self.input(node, vec![Input::Tick]);
            self.note_tick(node);
        }
    }

    /// A node that wakes again and again with nothing to do would burn a processor at a nation's expense.
    fn note_tick(&mut self, number: usize) {
        let second = (self.now - BEGIN_MS) / 1_000;
        let node = &mut self.nodes[number];
        let ticks = if node.ticks.0 == second { node.ticks.1 + 1 } else { 1 };
        node.ticks = (second, ticks);
        if ticks > TICKS_MAX && node.is_honest_and_up() {
            let text = format!("{} woke {ticks} times within a second", node.name);
            self.violated(Violation::new("bounded work: nobody wakes in vain", text));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step(number) => self.step(number),
            Event::Input(node, input) => {
                let mut inputs = vec![input];
                while let Some(entry) = self.queue.first_entry() {
                    let ((at, _), event) = (*entry.key(), entry.get());
                    if at != self.now || !matches!(event, Event::Input(to, _) if *to == node) {
                        break;
                    }
                    let Event::Input(_, input) = entry.remove() else { break };
                    inputs.push(input);
                }
                self.arrive(node, inputs);
            }
            Event::Dial(a, b) => self.dial(a, b),
            Event::Unanswered(link, exchange) => {
                if let Some((asker, exchange)) = self.network.exchanges.remove(&(link, exchange)) {
                    self.arrive(asker, vec![Input::ExchangeFailed { link, exchange }]);
                }
            }
            Event::Flap(a, b, times) => self.flap(a, b, times),
            Event::Room(node) => self.nodes[node].disk.set_room(None),
            Event::Adopted(adoption) => self.adopted(&adoption),
            Event::Welcome(nation, after) => self.welcome(nation, &after),
            Event::TakeRoot(nation) => self.take_root(nation),
            Event::Write(node) => {
                self.write(node);
            }
        }
    }

    /// Hands a node what reached it, unless it came over a link that is down.
    fn arrive(&mut self, node: usize, inputs: Vec<Input>) {
        let mut kept = Vec::new();
        for input in inputs {
            let link = match &input {
                Input::LinkDown { link } => {
                    if self.nodes[node].links.remove(link).is_some() {
                        self.redial(*link);
                        kept.push(input);
                    }
                    continue;
                }
                Input::Pushed { link, .. }
                | Input::PushStalled { link }
                | Input::Asked { link, .. }
                | Input::Reply { link, .. }
                | Input::ExchangeFailed { link, .. } => Some(*link),
                Input::LinkUp(_)
                | Input::Write(_)
                | Input::StopWaiting { .. }
                | Input::Import { .. }
                | Input::Carried { .. }
                | Input::Storage(_)
                | Input::Confirm(_)
                | Input::Tick => None,
            };
            if link.is_none_or(|link| self.nodes[node].links.contains_key(&link)) {
                kept.push(input);
            }
        }
        if !kept.is_empty() {
            self.input(node, kept);
        }
    }

    /// Lets a node take a turn and carries out what it wants.
    ///
    /// Returns whether what it wanted was done; a turn whose records could not be saved leaves nothing.
    pub(super) fn input(&mut self, node: usize, inputs: Vec<Input>) -> bool {
        self.stats.inputs += inputs.len() as u64;
        let turn = self.nodes[node].turn(self.now, inputs, self.rules);
        let went = matches!(turn, Turn::Went(_));
        match turn {
            Turn::Went(effects) => {
                for effect in effects {
                    self.carry_out(node, effect);
                }
            }
            Turn::Rebuilt(why) => {
                let name = self.nodes[node].name.clone();
                self.tell(&name, format_args!("not saved: {why}; built again from the store"));
                self.links_lost(node);
                self.nodes[node].rebuilds += 1;
                if self.nodes[node].rebuilds > REBUILDS_MAX {
                    let text = format!("{name} was built again {REBUILDS_MAX} times, at last for: {why}");
                    self.violated(Violation::new("bounded work: a save that failed is not tried for ever", text));
                }
            }
            Turn::Ended(why) => {
                let name = self.nodes[node].name.clone();
                self.tell(&name, format_args!("the store failed: {why}"));
                self.ended(node);
            }
        }
        self.nodes[node].wake_at = self.nodes[node].next_wake(self.now);
        if self.violation.is_none()
            && let Err(violation) = check::always::after_turn(self, node)
        {
            self.violated(violation);
        }
        went
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            // Saves were carried out in the turn; an admission was taken note of there.
            Effect::Save(_) | Effect::Admission(_) => {}
            Effect::Changed(changes) => {
                if let Err(violation) = check::always::after_change(self, node, &changes) {
                    self.violated(violation);
                }
            }
            Effect::Push { link, frame } => self.push(node, link, frame),
            Effect::Ask { link, exchange, frame } => self.ask(node, link, exchange, frame),
            Effect::Answer { link, exchange, frames } => self.answer(node, link, exchange, frames),
            Effect::Close { link, reason } => self.close(node, link, reason),
            Effect::Written { request, outcome } => self.written(node, request, outcome),
            Effect::Held { request, nations } => self.held(request, nations),
            Effect::Imported { request, outcomes } => self.imported(node, request, &outcomes),
            Effect::Confirmed { request, outcome } => self.confirmed(node, request, outcome),
            Effect::Carried { request, carried } => {
                let name = self.nodes[node].name.clone();
                self.tell(&name, format_args!("carried {}: {carried:?}", request.0));
            }
            Effect::Alarm(alarm) => {
                let name = self.nodes[node].name.clone();
                self.tell(&name, format_args!("alarm: {}", self.alarm_text(&alarm)));
                if let Alarm::StruckOut { peer } = &alarm {
                    self.chronicle.struck.push((node, *peer));
                }
            }
        }
    }

    fn alarm_text(&self, alarm: &Alarm) -> String {
        match alarm {
            Alarm::Halted(reason) => format!("halted: {reason}"),
            Alarm::Fork { author, seq } => format!("{} forked at {seq}", self.name_of(&author.key)),
            Alarm::Newer { peer } => format!("{} speaks a newer version", self.name_of(peer)),
            Alarm::CharterConflict { height, below_anchor, .. } => {
                format!("two motions are sealed for version {height}, below the anchor: {below_anchor}")
            }
            Alarm::AnchorLost { height } => format!("the anchored version {height} is lost"),
            Alarm::StruckOut { peer } => format!("{} struck out", self.name_of(peer)),
            Alarm::Withheld { author, seq, witnesses } => {
                format!("{} {seq} is withheld, seen by {}", self.name_of(&author.key), witnesses.len())
            }
            Alarm::Divergence { peer } => format!("{} evaluates the same set differently", self.name_of(peer)),
        }
    }

    /// Returns the name of the first node with a key.
    pub(super) fn name_of(&self, key: &AuthorKey) -> String {
        let node = self.nodes.iter().find(|node| node.author.key == *key);
        node.map_or_else(|| format!("stranger {}", key.short()), |node| node.name.clone())
    }

    /// The end of everything bad: all hear each other, all disks take and keep what is written, everybody is started.
    fn heal(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.tell("-", format_args!("heal"));
        self.network.heal();
        self.queue.retain(|_, event| !matches!(event, Event::Step(_) | Event::Flap(..)));
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            node.disk.set_room(None);
            node.disk.lie_about_sync(false);
            let lies = matches!(node.machine, Machine::Liar(_));
            // Whoever cloned a home hears the alarm and switches the copy off.
            if (lies && !self.plan.liars_stay) || node.is_copy {
                self.stop_for_good(number);
            } else if let Machine::Liar(liar) = &mut node.machine {
                liar.rest();
            } else if node.restart_at.is_some() {
                self.start(number);
            }
        }
        // Where retired nodes leave somebody behind, people give their nodes other peers.
        let speakers = self.speakers();
        let next = speakers.iter().cycle().skip(1);
        let ring: Vec<(usize, usize)> = speakers.iter().zip(next).map(|(a, b)| (*a.min(b), *a.max(b))).collect();
        self.pairs.extend(ring.into_iter().filter(|(a, b)| a != b));
        for (a, b) in self.pairs.clone() {
            self.at(1, Event::Dial(a, b));
        }
        check::votes::note_open_round(self);
    }

    fn count(&mut self) {
        if let Some(state) = self.nodes.iter().filter_map(Node::process).map(|process| process.replica.state()).next() {
            self.stats.forks =
                state.chains().filter(|chain| chain.fork().is_some()).count().try_into().unwrap_or(u32::MAX);
            self.stats.envelopes =
                state.chains().map(comity_protocol::chain::Chain::len).sum::<usize>().try_into().unwrap_or(u32::MAX);
        }
    }

    /// Nothing under way reaches a node any more: its process ended.
    pub(super) fn forget_inputs(&mut self, node: usize) {
        self.queue.retain(|_, event| !matches!(event, Event::Input(to, _) if *to == node));
    }

    pub(super) fn at(&mut self, delay_ms: u64, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + delay_ms, self.next), event);
    }

    pub(super) const fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Whether a nation's nodes lie.
    pub(super) fn lies(&self, nation: usize) -> bool {
        self.plan.nations[nation].lies.is_some()
    }

    /// Whether any nation's nodes lie.
    pub(super) fn somebody_lies(&self) -> bool {
        self.plan.nations.iter().any(|nation| nation.lies.is_some())
    }

    /// Takes note of the first violation.
    pub(super) fn violated(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Adds a line to the trace.
    pub(super) fn tell(&mut self, place: &str, what: std::fmt::Arguments<'_>) {
        self.trace.add(self.now - BEGIN_MS, place, what);
    }

    /// Honest nodes that are up and whose key stands: all of these must agree in the end.
    pub(super) fn speakers(&self) -> Vec<usize> {
        let speaks = |number: &usize| {
            let node = &self.nodes[*number];
            let stands = !node.gone && !node.retired && !node.suspended;
            node.is_honest_and_up() && stands && !self.outside.contains(&node.nation)
        };
        (0..self.nodes.len()).filter(speaks).collect()
    }
}
