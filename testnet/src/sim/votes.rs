//! Motions and votes in a run: what officers draft and sign at their nations' nodes, and what becomes of a nation that is
//! admitted, removed or given another root.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_protocol::chain::Chain;
use comity_protocol::charter::Charter;
use comity_protocol::control::{CharterChange, ControlRecord, Motion, Params, Roster, VerifiedControl};
use comity_protocol::effect::{ImportOutcome, Input, RequestId};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, EnvelopeId, NationId, Tip};
use comity_protocol::keys::SecretKey;
use comity_protocol::testing::TestNode;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

use super::check;
use super::node::Node;
use super::officer::{Misvote, Mood, Officer, Signed, VOTES_A_VISIT, Wish};
use super::people::wire;
use super::plan::{Change, Cut, PlannedNation};
use super::world::{Event, World};

/// Codes of nations that are admitted in a run.
const NEWCOMERS: [&str; 8] = ["LTU", "LVA", "EST", "FIN", "SWE", "SVK", "ITA", "ESP"];
/// Nations that a run may come to.
const NATIONS_MAX: usize = 14;
/// How often all officers look at what they hold, once they can talk.
const ROUNDS_OF_VISITS: u32 = 24;
/// From one officer to the next, in the quiet phase.
const VISIT_MS: u64 = 400;

/// A version of the charter that an honest node adopted, and the one before it.
pub(super) struct Adoption {
    pub(super) before: Arc<Charter>,
    pub(super) after: Arc<Charter>,
}

impl World {
    /// Puts an officer beside every nation of the plan.
    pub(super) fn appoint(&mut self) {
        for (nation, planned) in self.plan.nations.iter().enumerate() {
            let seed = self.plan.seed ^ (0x004f_4646 + (nation as u64) * 7_919);
            let root = self.alliance.nations[nation].root.clone();
            self.officers.push(Officer::new(root, planned.misvotes, 0, seed));
        }
    }

    /// The node at which a nation's officer looks: the first that is up and stands.
    pub(super) fn desk_of(&self, nation: usize) -> Option<usize> {
        let of = |node: &Node| node.nation == nation && node.state().is_some() && !node.is_copy && !node.gone;
        let stands = |number: &usize| of(&self.nodes[*number]) && !self.nodes[*number].retired;
        (0..self.nodes.len()).find(stands).or_else(|| self.nodes.iter().position(of))
    }

    /// Drafts a motion and supports it.
    pub(super) fn propose(&mut self, nation: usize, change: Change) -> bool {
        let Some(node) = self.desk_of(nation) else { return false };
        let Some(charter) = self.nodes[node].state().and_then(State::charter).cloned() else { return false };
        if self.outside.contains(&nation) || self.nodes[node].state().is_none_or(|s| s.charter_conflict().is_some()) {
            return false;
        }
        let Some(changed) = self.changed_by(node, &charter, change) else { return false };
        let officer = &mut self.officers[nation];
        let motion = Motion {
            alliance: charter.alliance,
            height: charter.height,
            base: charter.id,
            nonce: officer.rng.random(),
            title: change.to_string(),
            text: Vec::new(),
            changes: vec![changed],
        };
        // An officer drafts nothing that the nation's own software would not know.
        let knows = self.nodes[node].config.rules_max;
        let beyond = |change: &CharterChange| matches!(change, CharterChange::SetRules(rules) if *rules > knows);
        if charter.well_formed(&motion).is_err() || motion.changes.iter().any(beyond) {
            return false;
        }
        officer.draft(motion.clone());
        let name = self.nodes[node].name.clone();
        self.tell(&name, format_args!("drafts {}: {change}", motion.id().short()));
        self.officer(nation, Mood::Free);
        true
    }

    fn changed_by(&mut self, node: usize, charter: &Charter, change: Change) -> Option<CharterChange> {
        // Two versions side by side are looked at with parameters alone: they leave everybody where they are.
        let safe = |left: &BTreeSet<NationId>| self.misvoting(left) <= tolerated(left.len());
        let members: BTreeSet<NationId> = charter.members.keys().copied().collect();
        let change = if safe(&members) { change } else { Change::Params };
        match change {
            Change::Params => {
                let chain_quota = charter.params.chain_quota + self.rng.random_range(1..1_000);
                Some(CharterChange::SetParams(Params { chain_quota, ..charter.params }))
            }
            Change::Rules => charter.rules.checked_add(1).map(CharterChange::SetRules),
            Change::Admit { eager } => self.candidate(node, charter, eager).map(CharterChange::Admit),
            Change::Remove { nation, cut } => {
                let id = self.alliance.nations[nation].id;
                let left: BTreeSet<NationId> = members.into_iter().filter(|member| *member != id).collect();
                let honest = |nation: &usize| !self.lies(*nation) && !self.outside.contains(nation);
                let honest_left = (0..self.alliance.nations.len()).filter(|of| *of != nation && honest(of)).count();
                let possible = charter.members.contains_key(&id) && left.len() >= 3 && honest_left >= 2;
                let state = self.nodes[node].state()?;
                (possible && safe(&left)).then(|| removal(state, id, cut)).flatten()
            }
            Change::ReplaceRoot(nation) => {
                let of = &self.alliance.nations[nation];
                let state = self.nodes[node].state()?;
                let held: BTreeSet<_> = state.control_ids().collect();
                let floor = of.rosters.iter().rev().find(|roster| held.contains(&roster.id()))?;
                let ControlRecord::Roster(roster, _) = floor.record() else { return None };
                let tip = Tip { seq: roster.version, id: EnvelopeId::new(*floor.id().as_bytes()) };
                let id = of.id;
                let root = self.officers[nation].make_root().public();
                Some(CharterChange::ReplaceRoot { nation: id, root, roster: tip })
            }
        }
    }

    /// A nation that would like to come in: it has keys, and where it is eager a node that is up already.
    fn candidate(&mut self, node: usize, charter: &Charter, eager: bool) -> Option<comity_protocol::control::Member> {
        let made = self.alliance.nations.len();
        let code = NEWCOMERS.iter().find(|code| self.alliance.nations.iter().all(|of| of.code != **code))?;
        if made >= NATIONS_MAX || charter.members.len() >= 8 {
            return None;
        }
        let nodes = self.rng.random_range(1..=2);
        let member = self.alliance.candidate(self.rng.random(), code, nodes);
        self.alliance.first_roster(made);
        self.plan.nations.push(PlannedNation { code, nodes, lies: None, misvotes: None });
        let seed = self.rng.random();
        self.officers.push(Officer::new(self.alliance.nations[made].root.clone(), None, charter.height + 1, seed));
        self.outside.insert(made);
        if eager {
            let founding = self.founding_at(node, made);
            self.settle_in(made, &founding);
        }
        Some(member)
    }

    /// What somebody carries from a node to a new one: the control records the node holds, and the nation's own rosters.
    pub(super) fn founding_at(&self, node: usize, nation: usize) -> Vec<VerifiedControl> {
        let held = self.nodes[node].state().into_iter().flat_map(State::control_records);
        let mut founding: Vec<VerifiedControl> = held.map(|control| control.as_ref().clone()).collect();
        let known: BTreeSet<_> = founding.iter().map(VerifiedControl::id).collect();
        let own = self.alliance.nations[nation].rosters.iter().filter(|roster| !known.contains(&roster.id()));
        founding.extend(own.cloned());
        founding
    }

    /// Starts all nodes of a nation, each linked to a few others.
    fn settle_in(&mut self, nation: usize, founding: &[VerifiedControl]) {
        for node in 0..self.alliance.nations[nation].nodes.len() {
            let number = self.add_founded(nation, node, founding);
            let others: Vec<usize> = self.speakers().into_iter().filter(|peer| *peer != number).collect();
            let peers: Vec<usize> = others.sample(&mut self.rng, 3).copied().collect();
            self.link_to(number, &peers);
            for nth in 0..3 {
                self.at(1_500 + 900 * nth, Event::Write(number));
            }
        }
    }

    /// A nation's officer looks at what its node holds and signs; returns how many votes were signed, and nothing if there is
    /// no node or no seat.
    pub(super) fn officer(&mut self, nation: usize, mood: Mood) -> Option<usize> {
        let node = self.desk_of(nation)?;
        if self.outside.contains(&nation) {
            return None;
        }
        match self.officers[nation].misvotes {
            Some(_) if matches!(mood, Mood::Agreed(_)) => None,
            Some(how) => Some(self.misvote(nation, how)),
            None => self.vote_honestly(nation, node, mood),
        }
    }

    fn vote_honestly(&mut self, nation: usize, node: usize, mood: Mood) -> Option<usize> {
        let me = self.alliance.nations[nation].id;
        let missing = self.officers[nation].not_arrived(self.nodes[node].state()?, &me);
        for signed in missing {
            self.hand_over(node, &signed);
        }
        let mut votes = 0;
        while votes < VOTES_A_VISIT {
            let Some(signed) = self.sign_one(nation, node, mood) else { break };
            votes += 1;
            self.cast(nation, &signed, true);
            self.hand_over(node, &signed);
        }
        Some(votes)
    }

    /// Signs the dearest wish that the rules allow.
    fn sign_one(&mut self, nation: usize, node: usize, mood: Mood) -> Option<Signed> {
        let (me, now, rules) = (self.alliance.nations[nation].id, self.now, self.rules);
        let state = self.nodes[node].state()?;
        let officer = &mut self.officers[nation];
        let wishes = officer.wishes(state, &me, mood);
        let allowed = wishes.into_iter().find_map(|wish: Wish| {
            let vote = officer.vote(state, &me, wish, now)?;
            officer.may_sign(rules, state, &vote).is_ok().then_some(vote)
        })?;
        let signed = officer.sign(state, allowed)?;
        if let Err(violation) = check::votes::signs_by_the_rules(self, nation, node, &signed.vote) {
            self.violated(violation);
        }
        Some(signed)
    }

    /// An officer who breaks the rules signs what any node shows it, and hands it over there.
    fn misvote(&mut self, nation: usize, how: Misvote) -> usize {
        let (me, now) = (self.alliance.nations[nation].id, self.now);
        if how == Misvote::StolenRoot {
            self.rob(nation);
        }
        let mut shown: Vec<usize> = self.speakers();
        if how != Misvote::DoubleSeal {
            let some = self.officers[nation].rng.random_range(1..=3);
            shown = shown.sample(&mut self.officers[nation].rng, some).copied().collect();
        }
        let mut votes = 0;
        for node in shown {
            let Some(state) = self.nodes[node].state() else { continue };
            let officer = &mut self.officers[nation];
            let wishes = officer.misdeeds(how, state);
            let votes_now: Vec<_> = wishes.into_iter().filter_map(|wish| officer.vote(state, &me, wish, now)).collect();
            let signed: Vec<Signed> = votes_now.into_iter().filter_map(|vote| officer.sign(state, vote)).collect();
            for signed in signed {
                votes += 1;
                self.cast(nation, &signed, false);
                self.hand_over(node, &signed);
            }
        }
        votes
    }

    /// Whoever has stolen a root signs a roster with a key of their own, on top of the last one.
    fn rob(&mut self, nation: usize) {
        let thief = TestNode::new(
            SecretKey::from_seed(&self.officers[nation].rng.random()),
            self.alliance.id,
            self.alliance.nations[nation].id,
        );
        let last = self.alliance.nations[nation].rosters.last().cloned();
        if std::mem::replace(&mut self.officers[nation].has_robbed, true) || last.is_none() {
            return;
        }
        let roster =
            self.alliance.roster_after(nation, last.as_ref(), |roster| roster.keys.push(thief.roster_key(false)));
        let Some(node) = self.speakers().choose(&mut self.officers[nation].rng).copied() else { return };
        self.officers[nation].was_upset = true;
        let name = self.nodes[node].name.clone();
        let code = self.alliance.nations[nation].code.clone();
        self.tell(&name, format_args!("a thief's roster of {code} comes in"));
        self.import_at(node, vec![wire(&roster)]);
    }

    /// Takes note of a vote that was signed.
    fn cast(&mut self, nation: usize, signed: &Signed, by_the_rules: bool) {
        let Signed { vote, .. } = signed;
        let who = self.alliance.nations[nation].code.clone();
        let how = if by_the_rules { "" } else { ", against the rules" };
        self.tell(
            &who,
            format_args!(
                "signs {:?} for {} in round {} of {}{how}",
                vote.step,
                vote.motion.short(),
                vote.round,
                vote.height
            ),
        );
        self.stats.votes += 1;
        self.chronicle.votes.entry(vote.base).or_default().push(vote.clone());
    }

    /// Gives a vote with its motion to a node.
    fn hand_over(&mut self, node: usize, signed: &Signed) {
        self.import_at(node, signed.records());
    }

    pub(super) fn import_at(&mut self, node: usize, records: Vec<(u8, Vec<u8>)>) {
        let request = self.request();
        self.input(node, vec![Input::Import { request, records }]);
    }

    /// Takes note of what became of an import.
    pub(super) fn imported(&mut self, node: usize, request: RequestId, outcomes: &[ImportOutcome]) {
        let name = self.nodes[node].name.clone();
        self.tell(&name, format_args!("import {}: {outcomes:?}", request.0));
    }

    /// How many officers of these nations break the rules of signers.
    pub(super) fn misvoting(&self, nations: &BTreeSet<NationId>) -> usize {
        let of = |nation: &usize| nations.contains(&self.alliance.nations[*nation].id);
        (0..self.officers.len()).filter(of).filter(|nation| self.officers[*nation].misvotes.is_some()).count()
    }

    /// Somebody honest adopted a version that nobody had before.
    pub(super) fn adopted(&mut self, adoption: &Adoption) {
        let Adoption { before, after } = adoption;
        let number = |world: &Self, id: &NationId| world.alliance.nations.iter().position(|of| of.id == *id);
        for (id, member) in &after.members {
            let Some(nation) = number(self, id) else { continue };
            match before.members.get(id) {
                None => self.welcome(nation, after),
                Some(was) if was.root != member.root => self.take_root(nation),
                Some(_) => {}
            }
        }
        for id in before.members.keys().filter(|id| !after.members.contains_key(id)) {
            if let Some(nation) = number(self, id)
                && self.rng.random_bool(0.5)
            {
                self.tell_removed(nation);
            }
        }
    }

    /// A nation is in: its nodes start, and somebody else's hears of its roster, or its own tell of it.
    pub(super) fn welcome(&mut self, nation: usize, after: &Arc<Charter>) {
        let knows = |node: &usize| {
            self.nodes[*node].state().is_some_and(|s| s.charter().is_some_and(|c| c.height >= after.height))
        };
        let Some(holder) = self.speakers().into_iter().find(knows) else {
            // Who adopted it is down for the moment.
            self.at(1_000, Event::Welcome(nation, Arc::clone(after)));
            return;
        };
        self.officers[nation].log = comity_protocol::charter::signer::SignerLog::complete_from(after.height);
        let is_there = self.nodes.iter().any(|node| node.nation == nation);
        if is_there || self.rng.random_bool(0.5) {
            let rosters = self.alliance.nations[nation].rosters.iter().map(wire).collect();
            self.import_at(holder, rosters);
        }
        for number in (0..self.nodes.len()).filter(|number| self.nodes[*number].nation == nation).collect::<Vec<_>>() {
            self.at(3_000, Event::Write(number));
        }
        if !is_there {
            let founding = self.founding_at(holder, nation);
            self.settle_in(nation, &founding);
        }
    }

    /// A nation has another root, which signs its first roster: the last one that the nation signed itself, all of it.
    pub(super) fn take_root(&mut self, nation: usize) {
        let Some(charter) = self.chronicle.highest.clone() else { return };
        let id = self.alliance.nations[nation].id;
        let Some(member) = charter.members.get(&id).cloned() else { return };
        let Some(root) = self.officers[nation].key(&member.root).cloned() else { return };
        let of = &mut self.alliance.nations[nation];
        of.root = root;
        let Some(last) = of.rosters.last().cloned() else { return };
        let (floor, root_gen, public) = (member.floor, member.root_gen, of.root.public());
        let roster = self.alliance.roster_after(nation, Some(&last), |roster: &mut Roster| {
            roster.root = public;
            roster.root_gen = root_gen;
            roster.version = floor.seq + 1;
            roster.prev = comity_protocol::ids::ControlId::new(*floor.id.as_bytes());
        });
        self.alliance.nations[nation].rosters.push(roster.clone());
        self.officers[nation].has_robbed = false;
        self.officers[nation].was_upset = true;
        for node in self.nodes.iter_mut().filter(|node| node.nation == nation) {
            node.suspended = false;
        }
        // Only who has adopted the new root takes its roster; whoever is down for the moment may.
        match self.knows_root_of(nation).choose(&mut self.rng).copied() {
            Some(node) => self.import_at(node, vec![wire(&roster)]),
            None => self.at(1_000, Event::TakeRoot(nation)),
        }
    }

    /// Somebody sends a removed nation the votes that removed it: its peers do not talk to its nodes any more.
    fn tell_removed(&mut self, nation: usize) {
        let Some(node) = self.desk_of(nation) else { return };
        let Some(holder) = self.speakers().first().copied() else { return };
        let records = self.nodes[holder].state().map(State::control_records).unwrap_or_default();
        self.import_at(node, records.into_iter().map(|control| wire(control)).collect());
    }

    /// The officer's log is gone: it signs nothing more on this version of the charter.
    pub(super) fn lose_log(&mut self, nation: usize) -> bool {
        let Some(node) = self.desk_of(nation).filter(|node| !self.nodes[*node].harm.may_have_forgotten()) else {
            return false;
        };
        let height = self.nodes[node].state().and_then(State::charter).map(|charter| charter.height);
        height.map(|height| self.officers[nation].lose_log(height)).is_some()
    }

    /// All can talk: officers vote until nothing is left to sign.
    ///
    /// Returns whether anybody signed anything.
    pub(super) fn vote_to_the_end(&mut self) -> bool {
        let mut any = false;
        let mut stuck = false;
        for _ in 0..ROUNDS_OF_VISITS {
            if self.violation.is_some() || !check::votes::is_wanted(self) {
                break;
            }
            // Where nobody signed anything they go on to the round after the last one with a vote.
            let round = stuck.then(|| check::votes::next_round(self)).flatten();
            let mut signed = 0;
            for nation in 0..self.officers.len() {
                signed += self.officer(nation, Mood::Agreed(round)).unwrap_or(0);
                if self.violation.is_some() {
                    return any;
                }
                self.run_until(self.now + VISIT_MS);
            }
            self.run_until(self.now + 2_000);
            any |= signed > 0;
            stuck = signed == 0 && !stuck;
        }
        if self.violation.is_none()
            && let Err(violation) = check::votes::wanted_is_sealed(self)
        {
            self.violated(violation);
        }
        any
    }

    /// Whether a node's nation is a member, as far as anybody honest knows.
    pub(super) fn belongs(&self, node: &Node) -> bool {
        !self.outside.contains(&node.nation)
    }
}

/// How many of `nations` may break the rules without harm: `ceil(n / 3) - 1` (spec 4).
pub(super) const fn tolerated(nations: usize) -> usize {
    nations.div_ceil(3).saturating_sub(1)
}

/// Returns the change that removes a nation as a node has it, with a cut for every key of its roster.
fn removal(state: &State, nation: NationId, cut: Cut) -> Option<CharterChange> {
    let roster = state.roster(&nation)?;
    let cuts = roster.keys.keys().map(|key| {
        let author = AuthorId { nation, key: *key };
        let chain = state.chain(&author);
        let tip = chain.map_or(Tip::NONE, Chain::tip);
        let cut = match cut {
            Cut::Tip => tip,
            Cut::Early => {
                chain.and_then(|chain| chain.accepted(tip.seq / 2)).map_or(Tip::NONE, comity_protocol::chain::Held::tip)
            }
            Cut::Invented => Tip { seq: tip.seq + 3, id: EnvelopeId::new([0xc7; 32]) },
        };
        (*key, cut)
    });
    let (version, id) = roster.tip();
    let tip = if version == 0 { Tip::NONE } else { Tip { seq: version, id: EnvelopeId::new(*id.as_bytes()) } };
    Some(CharterChange::Remove { nation, cuts: cuts.collect(), roster: tip })
}
