//! Nodes with replicas of their own and a clock, for decisions: what each holds is what was brought to it.

use std::collections::BTreeSet;

use comity_protocol::body::{Ack, Body, WitnessBody};
use comity_protocol::evaluate::{Element, State};
use comity_protocol::guard::DraftWrite;
use comity_protocol::ids::{AuthorId, Digest, Timestamp};
use comity_protocol::statement::draft::{Draft, DraftError};
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::prepare::{Entry, prepare};
use comity_protocol::testing::{FOUNDED_MS, TestAlliance, TestEnvelope, TestNode};
use comity_protocol::value::record_id_from;
use comity_protocol::view::decision::{DecisionRow, DecisionState};
use comity_protocol::view::{View, view};
use serde_json::{Value as Json, json};

pub const HOUR: u64 = 3_600_000;

/// A node: its nation, its number there, and what it holds.
struct Place {
    nation: usize,
    node: usize,
    state: State,
    held: BTreeSet<usize>,
}

/// All nodes, by `CODE` and number.
pub struct Stage {
    pub alliance: TestAlliance,
    places: Vec<Place>,
    /// Everything ever signed, in that order.
    pub said: Vec<TestEnvelope>,
    /// Hours and a bit after the founding.
    pub now: Timestamp,
    ids: u64,
}

/// Returns the moment `hours` after the founding.
pub fn hour(hours: u64) -> Timestamp {
    Timestamp(FOUNDED_MS + hours * HOUR)
}

impl Stage {
    /// Founds an alliance; the first node of each nation is its witness.
    pub fn new(nations: &[(&str, usize)]) -> Self {
        let alliance = TestAlliance::new(11, nations);
        let places = alliance
            .nations
            .iter()
            .enumerate()
            .flat_map(|(nation, of)| (0..of.nodes.len()).map(move |node| (nation, node)));
        let places =
            places.map(|(nation, node)| Place { nation, node, state: alliance.state(), held: BTreeSet::new() });
        let places = places.collect();
        Self { alliance, places, said: Vec::new(), now: hour(1), ids: 0 }
    }

    /// The place of `POL` or `POL2`.
    pub fn site(&self, site: &str) -> usize {
        let (code, node) = site.split_at(3);
        let node = if node.is_empty() { 0 } else { node.parse::<usize>().expect("a digit") - 1 };
        let of = |place: &Place| (self.alliance.nations[place.nation].code.as_str(), place.node) == (code, node);
        self.places.iter().position(of).expect("a node")
    }

    pub fn sites(&self) -> usize {
        self.places.len()
    }

    pub fn witnesses(&self, site: usize) -> bool {
        self.places[site].node == 0
    }

    fn node(&mut self, site: usize) -> &mut TestNode {
        let (nation, node) = (self.places[site].nation, self.places[site].node);
        self.alliance.node(nation, node)
    }

    pub fn state(&self, site: usize) -> &State {
        &self.places[site].state
    }

    fn signed(&mut self, site: usize, envelope: TestEnvelope) -> TestEnvelope {
        self.said.push(envelope.clone());
        let place = &mut self.places[site];
        place.held.insert(self.said.len() - 1);
        place.state.admit(envelope.elements().into());
        envelope
    }

    /// Says something at a node, by its clock.
    pub fn try_say(&mut self, site: usize, at: Timestamp, draft: Json) -> Result<String, DraftError> {
        let draft: Draft = serde_json::from_value(draft).expect("a draft");
        self.ids += 1;
        let id = record_id_from(self.ids);
        let nation = self.alliance.nations[self.places[site].nation].id;
        let prepared = {
            let ledger = Ledger::of(&self.places[site].state);
            prepare(&Entry { ledger: &ledger, nation, draft: &draft, if_version: None, id: &id })?
        };
        let reference =
            format!("{}/{}/{}", self.alliance.nations[self.places[site].nation].code, prepared.kind, prepared.id);
        let kind = prepared.kind.name().to_owned();
        let write = DraftWrite { kind, id: prepared.id, replaces: prepared.replaces, fields: prepared.fields };
        let state = self.places[site].state.clone();
        let node = self.node(site);
        node.time_ms = node.time_ms.max(at.0 - 1_000);
        let Ok(envelope) = node.write(&state, vec![write]) else { return Ok(reference) };
        self.signed(site, envelope);
        Ok(reference)
    }

    /// Says something at a node now.
    #[track_caller]
    pub fn say(&mut self, site: &str, draft: Json) -> String {
        let (site, now) = (self.site(site), self.now);
        self.try_say(site, now, draft).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A node witnesses everything it holds; one that is no witness writes an empty Witness.
    pub fn witness(&mut self, site: usize, at: Timestamp) -> TestEnvelope {
        let state = &self.places[site].state;
        let whole =
            |chain: &&comity_protocol::chain::Chain| chain.bodies_to() == chain.tip().seq && chain.tip().seq > 0;
        let acks: Vec<Ack> =
            state.chains().filter(whole).map(|chain| Ack { author: chain.author(), tip: chain.tip() }).collect();
        let acks = if self.witnesses(site) { acks } else { Vec::new() };
        let (height, charter) = (0, state.charter_id());
        let body =
            WitnessBody { height, charter, rosters: Vec::new(), acks, frontier: Digest::ZERO, state: Digest::ZERO };
        let node = self.node(site);
        node.time_ms = node.time_ms.max(at.0 - 1_000);
        let envelope = node.body(&Body::Witness(body));
        self.signed(site, envelope)
    }

    /// Brings everything that one node holds to another.
    pub fn bring(&mut self, from: usize, to: usize) {
        let missing: Vec<usize> = self.places[from].held.difference(&self.places[to].held).copied().collect();
        let elements: Vec<Element> = missing.iter().flat_map(|place| self.said[*place].elements()).collect();
        self.places[to].held.extend(missing);
        self.places[to].state.admit(elements);
    }

    /// Brings everything to everybody but the nodes named.
    pub fn meet(&mut self, without: &[&str]) {
        let out: Vec<usize> = without.iter().map(|site| self.site(site)).collect();
        let there: Vec<usize> = (0..self.sites()).filter(|site| !out.contains(site)).collect();
        for _ in 0..2 {
            for from in &there {
                there.iter().filter(|to| *to != from).for_each(|to| self.bring(*from, *to));
            }
        }
    }

    /// Everybody but the nodes named meets and witnesses twice, so that all is acknowledged.
    pub fn round(&mut self, without: &[&str]) {
        for _ in 0..2 {
            self.meet(without);
            for site in 0..self.sites() {
                if !without.iter().any(|out| self.site(out) == site) {
                    let now = self.now;
                    self.witness(site, now);
                }
            }
        }
        self.meet(without);
    }

    /// Moves the clock on.
    pub fn wait(&mut self, hours: u64) {
        self.now = self.now.plus_ms(hours * HOUR);
    }

    /// A proposal of all members that closes so many hours from now, heard and witnessed by everybody.
    pub fn proposed(&mut self, site: &str, hours: u64) -> String {
        let draft = self.proposal(hours);
        let proposal = self.say(site, draft);
        self.round(&[]);
        proposal
    }

    pub fn proposal(&self, hours: u64) -> Json {
        let codes: Vec<&str> = self.alliance.nations.iter().map(|nation| nation.code.as_str()).collect();
        json!({"kind": "propose", "fields": {
            "title": "who leads on shelter", "text": "POL leads.\nFor a year.", "participants": codes,
            "opens_at": self.now.rfc3339(), "closes_at": self.now.plus_ms(hours * HOUR).rfc3339(),
            "subject_key": "lead/shelter", "effect": {"lead.shelter": "POL"},
        }})
    }

    pub fn view(&self, site: &str, as_of: Timestamp) -> View {
        view(self.state(self.site(site)), as_of)
    }

    /// The row of the latest version of a proposal as a node sees it now.
    #[track_caller]
    pub fn decision(&self, site: &str, proposal: &str) -> DecisionRow {
        self.decision_at(site, proposal, self.now)
    }

    #[track_caller]
    pub fn decision_at(&self, site: &str, proposal: &str, as_of: Timestamp) -> DecisionRow {
        let view = self.view(site, as_of);
        let found = view.decisions.iter().find(|row| row.latest && row.head.name.to_string() == proposal);
        found.unwrap_or_else(|| panic!("{proposal} is not in {:#?}", view.decisions)).clone()
    }

    #[track_caller]
    pub fn state_of(&self, site: &str, proposal: &str) -> DecisionState {
        self.decision(site, proposal).state
    }

    /// Copies a node, which then signs twice.
    pub fn copy(&mut self, site: usize) -> TestNode {
        self.node(site).clone()
    }

    /// Puts a copy of a node back in its place, so that what it signs next forks its chain.
    pub fn put_back(&mut self, site: usize, node: TestNode) {
        *self.node(site) = node;
    }

    pub fn author(&self, site: usize) -> AuthorId {
        let place = &self.places[site];
        self.alliance.nations[place.nation].nodes[place.node].author
    }
}

/// Returns a draft that answers a proposal.
pub fn answer(kind: &str, proposal: &str) -> Json {
    let words = match kind {
        "reserve" | "assent" => json!({"proposal": proposal, "text": "as we understand it"}),
        "seen" => json!({"proposal": proposal}),
        _ => json!({"proposal": proposal, "reason": "we need to ask our parliament"}),
    };
    json!({"kind": kind, "fields": words})
}
