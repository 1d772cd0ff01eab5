//! What people do in a run: they write, repeat, import, back up, restore, clone, enrol, retire, and pull plugs.

use comity_protocol::control::VerifiedControl;
use comity_protocol::effect::{
    Confirm, ConfirmRefused, Evidence, HaltReason, Input, RequestId, WriteRefused, WriteRequest, Written,
};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{Digest, NationId, Tip};
use comity_protocol::testing::TestAlliance;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

use super::chronicle::Placed;
use super::clock::Clock;
use super::node::{Machine, Node};
use super::officer::Mood;
use super::operator::Order;
use super::plan::{Step, What};
use super::world::{Event, World};

impl World {
    /// Carries out a step of the plan.
    pub(super) fn step(&mut self, index: usize) {
        let Step { number, what, .. } = self.plan.steps[index].clone();
        self.tell("-", format_args!("step {number}: {what}"));
        let name = what.name();
        if self.attempt(what) {
            *self.stats.done.entry(name).or_default() += 1;
        } else {
            self.tell("-", format_args!("step {number} left out"));
            self.stats.left_out += 1;
        }
    }

    /// Returns whether the step could be done.
    fn attempt(&mut self, what: What) -> bool {
        match what {
            What::Write(node) => self.write(node),
            What::WriteAtCopy(node) => {
                let key = self.nodes[node].author.key;
                let copy = self.nodes.iter().position(|other| other.is_copy && other.author.key == key);
                copy.is_some_and(|copy| self.write(copy))
            }
            What::Repeat(node) => self.repeat(node),
            What::ImportOdd(node) => self.import_odd(node),
            What::Part { side, ms } => {
                let until = self.now + ms;
                for a in side.iter().copied() {
                    for b in (0..self.nodes.len()).filter(|b| !side.contains(b)) {
                        self.network.silence(a, b, until);
                        self.network.silence(b, a, until);
                    }
                }
                !side.is_empty()
            }
            What::OneWay { from, to, ms } => {
                self.network.silence(from, to, self.now + ms);
                from != to
            }
            What::Flap { a, b, times } => {
                self.at(0, Event::Flap(a, b, times));
                true
            }
            What::Kill { node, down_ms } => self.crash(node, down_ms, |node| node.disk.kill()),
            What::PowerCut { node, down_ms } => self.crash(node, down_ms, |node| node.disk.power_cut()),
            What::PowerCutAt { node, operations, down_ms } => {
                let node = &mut self.nodes[node];
                node.down_ms = down_ms;
                node.disk.fail_after(operations);
                node.is_honest_and_up()
            }
            What::DiskFull { node, room, ms } => {
                let used = self.nodes[node].disk.used();
                self.nodes[node].disk.set_room(Some(used + room));
                self.at(ms, Event::Room(node));
                self.nodes[node].is_honest_and_up()
            }
            What::LyingDisk(node) => {
                self.nodes[node].disk.lie_about_sync(true);
                self.nodes[node].harm.betrayed = true;
                self.nodes[node].is_honest_and_up()
            }
            What::BitRot { node, choice } => {
                let done = self.crash(node, 200, |node| node.disk.kill());
                if done {
                    self.nodes[node].disk.flip_bit(choice);
                    self.nodes[node].harm.rotten = true;
                }
                done
            }
            What::Backup(node) => self.back_up(node),
            What::Restore(node) => self.restore(node),
            What::Confirm(node) => !self.nodes[node].harm.blind && self.confirm(node).is_some(),
            What::Clone(node) => self.clone_home(node),
            What::Clock { node, skew_ms } => {
                self.nodes[node].clock.set_skew(skew_ms);
                true
            }
            What::Enrol(nation) => self.enrol(nation),
            What::Retire { node, early } => self.retire(node, early),
            What::Propose { nation, change } => self.propose(nation, change),
            What::Officer(nation) => self.officer(nation, Mood::Free).is_some_and(|votes| votes > 0),
            What::LoseLog(nation) => self.lose_log(nation),
            What::Software { node, rules_max } => {
                let done = self.crash(node, 300, |node| node.disk.kill());
                self.nodes[node].config.rules_max = if done { rules_max } else { self.nodes[node].config.rules_max };
                done
            }
        }
    }

    pub(super) fn write(&mut self, node: usize) -> bool {
        let target = &mut self.nodes[node];
        let (Some(state), false) = (target.machine.state(), target.machine.is_damaged()) else { return false };
        let order = target.operator.next(state, &target.author);
        self.place(node, order);
        true
    }

    fn repeat(&mut self, node: usize) -> bool {
        let target = &mut self.nodes[node];
        if target.machine.state().is_none() || target.machine.is_damaged() {
            return false;
        }
        let Some(order) = target.operator.repeat() else { return false };
        self.place(node, order);
        true
    }

    fn place(&mut self, node: usize, order: Order) {
        let request = self.request();
        let input = WriteRequest {
            request,
            writes: order.writes.clone(),
            idempotency: order.idempotency.clone(),
            wait: order.wait,
        };
        if self.nodes[node].is_honest_and_up() {
            self.chronicle.placed.insert(request, Placed { node, order, outcome: None, held: None });
        }
        let went = self.input(node, vec![Input::Write(input)]);
        if let Err(violation) = super::check::always::after_order(self, request, went) {
            self.violated(violation);
        }
    }

    /// Takes note of the answer to a write.
    pub(super) fn written(&mut self, node: usize, request: RequestId, outcome: Result<Written, WriteRefused>) {
        let name = self.nodes[node].name.clone();
        match &outcome {
            Ok(written) => {
                let (kind, id) = &written.record;
                let version = written.version;
                let again = if written.replayed { " (again)" } else { "" };
                self.tell(&name, format_args!("wrote {kind}/{id} as {}{again}", version.short()));
                self.stats.acknowledged += 1;
            }
            Err(refused) => {
                self.tell(&name, format_args!("refused: {refused}"));
                self.stats.refused += 1;
            }
        }
        let Some(placed) = self.chronicle.placed.get_mut(&request) else { return };
        if let Ok(written) = &outcome {
            self.chronicle.acknowledged.entry(written.version).or_insert(node);
        }
        let key = placed.order.idempotency.as_ref().map(|idempotency| (node, idempotency.key.clone()));
        let version = outcome.as_ref().ok().map(|written| written.version);
        placed.outcome = Some(outcome);
        if let Err(violation) = super::check::always::after_answer(self, request) {
            self.violated(violation);
        }
        if let (Some(key), Some(version)) = (key, version) {
            self.chronicle.remembered.entry(key).or_insert(version);
        }
    }

    /// Takes note that other nations confirm holding a write.
    pub(super) fn held(&mut self, request: RequestId, nations: Vec<NationId>) {
        if let Some(placed) = self.chronicle.placed.get_mut(&request) {
            placed.held = Some(nations);
            if let Err(violation) = super::check::always::after_held(self, request) {
                self.violated(violation);
            }
        }
    }

    /// Imports nonsense, a stranger's records, or what is known already: nothing may change by it.
    fn import_odd(&mut self, node: usize) -> bool {
        let Some(process) = self.nodes[node].process() else { return false };
        let before = digests(process.replica.state());
        // A genesis whose row rotted is not known any more: bringing it back is no nonsense.
        let lost_its_genesis = process.replica.state().charter().is_none();
        let choice = self.rng.random_range(0..3);
        let records = match choice {
            0 => vec![(
                self.rng.random_range(0..6),
                (0..self.rng.random_range(0..200)).map(|_| self.rng.random()).collect(),
            )],
            1 => {
                let stranger = TestAlliance::new(self.rng.random(), &[("UKR", 1), ("XYZ", 1)]);
                stranger.control().iter().map(wire).collect()
            }
            _ => vec![wire(&self.alliance.genesis)],
        };
        let request = self.request();
        self.input(node, vec![Input::Import { request, records }]);
        let after = self.nodes[node].process().map(|process| digests(process.replica.state()));
        let mended = choice == 2 && lost_its_genesis;
        if !mended && after.is_some_and(|after| after != before) {
            let text = format!("{} changed by an import of kind {choice}", self.nodes[node].name);
            self.violated(super::check::Violation::new("I9 invalid input changes nothing", text));
        }
        true
    }

    fn crash(&mut self, node: usize, down_ms: u64, what: impl FnOnce(&Node)) -> bool {
        if !self.nodes[node].is_honest_and_up() {
            return false;
        }
        // The disk first: closing the store in an orderly way is what a crash does not do.
        what(&self.nodes[node]);
        self.stop(node);
        self.nodes[node].restart_at = Some(self.now + down_ms);
        true
    }

    fn back_up(&mut self, node: usize) -> bool {
        let done = self.crash(node, 200, |node| node.disk.kill());
        if done {
            self.nodes[node].backup = Some(self.nodes[node].disk.image());
        }
        done
    }

    fn restore(&mut self, node: usize) -> bool {
        let Some(image) = self.nodes[node].backup.clone() else { return false };
        // Most often the sentinel of the present stays; else it is lost, or goes back with the rest.
        let choice = self.rng.random_range(0..8_u32);
        let done = self.crash(node, 500, |node| {
            let present = node.disk.image();
            node.disk.restore(&match choice {
                0 => image,
                1..4 => image.with_sentinel_of(None),
                _ => image.with_sentinel_of(Some(&present)),
            });
        });
        if done {
            let node = &mut self.nodes[node];
            node.harm.restored = true;
            node.harm.rolled_back |= choice == 0;
            node.harm.blind |= (1..4).contains(&choice);
            node.watch.put_back();
        }
        done
    }

    /// Somebody who knows why a node is stopped takes its chain for whole, as the node itself shows it; nobody does while
    /// another process runs under its key.
    ///
    /// Returns what came of it; none if there was nothing to confirm.
    fn confirm(&mut self, node: usize) -> Option<Result<Tip, ConfirmRefused>> {
        let of = &self.nodes[node];
        let adoption = of.process()?.replica.adoption();
        let stopped = matches!(adoption.halted, Some(HaltReason::Restored { .. } | HaltReason::ForeignOwn { .. }));
        if !stopped || of.is_copy || of.harm.cloned || of.retired || of.machine.is_damaged() {
            return None;
        }
        let request = self.request();
        let confirm = Confirm { request, adopt: adoption.tip, evidence: Evidence::Peers };
        self.input(node, vec![Input::Confirm(confirm)]);
        self.chronicle.confirmed.remove(&request)
    }

    /// Once all is quiet, people look at every stopped node and let those write again of which nothing is missing.
    ///
    /// Returns whether any does, and has written something.
    pub(super) fn confirm_all(&mut self) -> bool {
        let mut released = false;
        for node in 0..self.nodes.len() {
            match self.confirm(node) {
                None => {}
                Some(Ok(_)) => released |= self.write(node),
                Some(Err(refused)) => {
                    if let Err(violation) = super::check::always::after_confirmation(self, node, &refused) {
                        self.violated(violation);
                    }
                }
            }
        }
        released
    }

    /// Takes note of the answer to a confirmation.
    pub(super) fn confirmed(&mut self, node: usize, request: RequestId, outcome: Result<Tip, ConfirmRefused>) {
        let name = self.nodes[node].name.clone();
        self.tell(&name, format_args!("confirmation {}: {outcome:?}", request.0));
        if outcome.is_ok() {
            self.nodes[node].watch.released();
        }
        self.chronicle.confirmed.insert(request, outcome);
    }

    /// Starts a second process on a copy of a node's home.
    fn clone_home(&mut self, node: usize) -> bool {
        if !self.nodes[node].is_honest_and_up() || self.nodes[node].harm.cloned {
            return false;
        }
        let image = match self.nodes[node].backup.clone() {
            Some(image) => image,
            None if self.back_up(node) => self.nodes[node].backup.clone().expect("just made"),
            None => return false,
        };
        let original = &self.nodes[node];
        let name = format!("{}'", original.name);
        let (nation, author, config) = (original.nation, original.author, original.config.clone());
        let twin = Node::new(name, nation, author, config, self.rng.random(), Clock::new(self.now, 0));
        twin.disk.restore(&image);
        let number = self.nodes.len();
        self.nodes.push(twin);
        self.nodes[number].is_copy = true;
        self.nodes[node].harm.cloned = true;
        self.nodes[number].harm.cloned = true;
        self.start(number);
        let peers: Vec<usize> =
            (0..number).filter(|peer| self.pairs.contains(&(node.min(*peer), node.max(*peer)))).collect();
        self.link_to(number, &peers);
        true
    }

    /// A nation's root signs a roster with one more key, and the new node starts with it.
    fn enrol(&mut self, nation: usize) -> bool {
        let holder = self.knows_root_of(nation).first().copied();
        if self.alliance.nations[nation].nodes.len() >= 6 || self.outside.contains(&nation) {
            return false;
        }
        if self.chronicle.highest.is_some() && holder.is_none() {
            return false;
        }
        let seed = self.rng.random();
        let key = self.alliance.add_node(nation, seed).roster_key(false);
        self.alliance.roster(nation, |roster| roster.keys.push(key));
        let node = self.alliance.nations[nation].nodes.len() - 1;
        let number = match holder.filter(|_| self.chronicle.highest.is_some()) {
            Some(holder) => {
                let founding = self.founding_at(holder, nation);
                self.add_founded(nation, node, &founding)
            }
            None => self.add(nation, node),
        };
        self.nodes[number].suspended = self.officers[nation].has_robbed;
        let others: Vec<usize> = (0..number).filter(|peer| self.nodes[*peer].is_honest_and_up()).collect();
        let peers: Vec<usize> = others.sample(&mut self.rng, 3).copied().collect();
        self.link_to(number, &peers);
        true
    }

    /// A nation's root retires one of its keys at a cut; somebody else's node hears of it first.
    fn retire(&mut self, node: usize, early: bool) -> bool {
        let target = &self.nodes[node];
        if target.retired || matches!(target.machine, Machine::Liar(_)) {
            return false;
        }
        if self.outside.contains(&target.nation) {
            return false;
        }
        let mut importers = self.knows_root_of(target.nation);
        importers.retain(|other| self.nodes[*other].author.key != target.author.key);
        let Some(importer) = importers.choose(&mut self.rng).copied() else { return false };
        let target = &self.nodes[node];
        let knows = target.process().or_else(|| self.nodes[importer].process()).expect("one of them is up");
        let chain = knows.replica.state().chain(&target.author);
        let tip = chain.map_or(Tip::NONE, comity_protocol::chain::Chain::tip);
        let seq = if early { tip.seq / 2 } else { tip.seq };
        let cut = chain.and_then(|chain| chain.accepted(seq)).map_or(Tip::NONE, comity_protocol::chain::Held::tip);
        let whole = target.process().is_some() && !early;
        let (nation, key) = (target.nation, target.author.key);
        let slot =
            self.alliance.nations[nation].nodes.iter().position(|of| of.author.key == key).expect("its nation's");
        let roster = self.alliance.retire(nation, slot, cut);
        for twin in (0..self.nodes.len()).filter(|twin| self.nodes[*twin].author.key == key).collect::<Vec<_>>() {
            self.nodes[twin].retired = true;
            if whole {
                self.stop_for_good(twin);
            }
        }
        let request = self.request();
        self.input(importer, vec![Input::Import { request, records: vec![wire(&roster)] }]);
        true
    }

    /// Honest nodes that know the root with which a nation signs now.
    pub(super) fn knows_root_of(&self, nation: usize) -> Vec<usize> {
        let of = &self.alliance.nations[nation];
        let root = of.root.public();
        let mut speakers = self.speakers();
        speakers.retain(|node| {
            let charter = self.nodes[*node].state().and_then(State::charter);
            self.chronicle.highest.is_none()
                || charter.and_then(|charter| charter.nation(&of.id)).is_some_and(|member| member.root == root)
        });
        speakers
    }

    pub(super) fn link_to(&mut self, number: usize, peers: &[usize]) {
        for peer in peers {
            self.pairs.insert((*peer, number));
            self.at(1, Event::Dial(number, *peer));
        }
    }
}

/// Returns a record as it is imported: kind and signed form.
pub(super) fn wire(control: &VerifiedControl) -> (u8, Vec<u8>) {
    (control.record().kind(), control.record().encode())
}

fn digests(state: &State) -> [Digest; 3] {
    [state.held(), state.control(), state.state()]
}
