//! Homes and processes: how a node is founded and started, and how it ends.

use comity_protocol::control::VerifiedControl;
use comity_protocol::effect::Input;
use comity_protocol::evaluate::Element;
use comity_protocol::replica::{Config, WitnessCadence};
use rand::RngExt as _;

use super::check::{self, Violation};
use super::clock::Clock;
use super::liar::{Liar, LiarSetup};
use super::node::{Harm, Machine, Node};
use super::world::World;

/// Damaged rows that a trace names at a start.
const DAMAGE_TOLD: usize = 12;

/// How often a simulated witness speaks: runs last a minute.
pub(super) const CADENCE: WitnessCadence = WitnessCadence { on_change_ms: 3_000, heartbeat_ms: 20_000 };

impl World {
    /// Adds a node with a home, and starts it.
    pub(super) fn add(&mut self, nation: usize, node: usize) -> usize {
        let founding = self.alliance.control();
        self.add_founded(nation, node, &founding)
    }

    /// Adds a node whose home begins with these records, and starts it.
    pub(super) fn add_founded(&mut self, nation: usize, node: usize, founding: &[VerifiedControl]) -> usize {
        let test = &self.alliance.nations[nation];
        let config = Config {
            alliance: self.alliance.id,
            nation: test.id,
            key: test.nodes[node].key.clone(),
            seed: self.rng.random(),
            witness: CADENCE,
            rules_max: self.plan.rules_max(self.nodes.len()),
        };
        let name = format!("{}-{}", test.code, node + 1);
        let number = self.nodes.len();
        let skew_ms = self.plan.skews_ms.get(number).copied().unwrap_or(0);
        let lies = self.plan.nations[nation].lies;
        let author = test.nodes[node].author;
        let made =
            Node::new(name.clone(), nation, author, config.clone(), self.rng.random(), Clock::new(self.now, skew_ms));
        self.nodes.push(made);
        match lies {
            Some(strategy) => {
                let control = founding.iter().cloned().map(Element::Control).collect();
                let setup =
                    LiarSetup { strategy, config, anchor: self.alliance.anchor(), control, seed: self.rng.random() };
                self.tell(&name, format_args!("lies: {}", strategy.name()));
                self.nodes[number].machine = Machine::Liar(Box::new(Liar::new(setup)));
                self.input(number, vec![Input::Tick]);
            }
            None => {
                self.nodes[number].found(founding);
                self.start(number);
            }
        }
        number
    }

    /// Starts a node on what its disk holds, and checks that nothing acknowledged is missing.
    pub(super) fn start(&mut self, number: usize) {
        let (now, rules) = (self.now, self.rules);
        let node = &mut self.nodes[number];
        node.restart_at = None;
        if node.gone || !matches!(node.machine, Machine::Down) {
            return;
        }
        let name = node.name.clone();
        match node.start(now, rules) {
            Ok(started) => {
                self.stats.restarts += u32::from(self.nodes[number].starts > 1);
                let damage = started.damage.len();
                self.tell(
                    &name,
                    format_args!("starts on {} envelopes, {damage} damaged rows", started.envelopes.len()),
                );
                for damage in started.damage.iter().take(DAMAGE_TOLD) {
                    self.tell(&name, format_args!("damaged: {damage}"));
                }
                if let Err(violation) = check::always::after_start(self, number, &started) {
                    self.violated(violation);
                }
                if let Err(violation) = check::votes::one_successor(self, number) {
                    self.violated(violation);
                }
                self.nodes[number].durable = started.envelopes;
                self.input(number, vec![Input::Tick]);
            }
            Err(error) if self.nodes[number].disk.is_dead() => {
                let error = self.nodes[number].in_words(&error);
                self.tell(&name, format_args!("the power goes while it starts: {error}"));
                self.nodes[number].stop();
                self.nodes[number].disk.power_cut();
                self.nodes[number].restart_at = Some(self.now + self.nodes[number].down_ms.max(200));
            }
            Err(error) => {
                let error = self.nodes[number].in_words(&error);
                self.tell(&name, format_args!("does not start: {error}"));
                let harm = self.nodes[number].harm;
                if harm == Harm::default() {
                    self.violated(Violation::new("a sound store opens (T72)", format!("{name}: {error}")));
                }
                self.nodes[number].gone = true;
            }
        }
    }

    /// A process ended by itself: its disk failed.
    pub(super) fn ended(&mut self, node: usize) {
        self.links_lost(node);
        let power_went = self.nodes[node].disk.is_dead();
        if power_went {
            self.nodes[node].disk.power_cut();
        } else {
            self.nodes[node].disk.kill();
        }
        self.forget_inputs(node);
        let harm = self.nodes[node].harm;
        if (harm.rotten || harm.betrayed) && !power_went {
            // A file with mixed-up pages mends by nothing but a new home.
            self.nodes[node].gone = true;
            return;
        }
        let wait = self.nodes[node].down_ms;
        self.nodes[node].restart_at = Some(self.now + wait.max(200));
    }

    /// Ends a process from outside.
    pub(super) fn stop(&mut self, node: usize) {
        self.nodes[node].stop();
        self.nodes[node].wake_at = None;
        self.links_lost(node);
        self.forget_inputs(node);
    }

    /// Ends a process that nobody will start again.
    pub(super) fn stop_for_good(&mut self, node: usize) {
        self.stop(node);
        self.nodes[node].gone = true;
        self.nodes[node].restart_at = None;
    }
}
