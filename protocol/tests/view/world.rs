//! Two replicas that can be cut apart, and short ways to say things on either side.

use std::collections::BTreeSet;

use comity_protocol::evaluate::{Element, State, evaluate};
use comity_protocol::guard::DraftWrite;
use comity_protocol::ids::{EnvelopeId, NationId, Timestamp, Tip};
use comity_protocol::resilience::loss::losses;
use comity_protocol::resilience::supply::Supply;
use comity_protocol::statement::draft::{Draft, DraftError};
use comity_protocol::statement::ledger::{Ledger, Snapshot};
use comity_protocol::statement::prepare::{Entry, Prepared, prepare};
use comity_protocol::testing::{FOUNDED_MS, TestAlliance, TestEnvelope};
use comity_protocol::value::record_id_from;
use comity_protocol::view::coverage::coverage;
use comity_protocol::view::goods::ShipmentRow;
use comity_protocol::view::rows::{Flag, FlagCode, Head, PledgeRow, RequirementRow};
use comity_protocol::view::{View, export, view};
use serde_json::Value as Json;

/// A side of the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    West,
    East,
}

/// An alliance of UKR and DEU with two nodes each, POL and FRA, and a replica on either side.
pub struct World {
    pub alliance: TestAlliance,
    west: State,
    east: State,
    said_west: Vec<TestEnvelope>,
    said_east: Vec<TestEnvelope>,
    cut: bool,
    ids: u64,
}

/// The moment most tests look at: a day after the founding.
pub const NOW: Timestamp = Timestamp(FOUNDED_MS + Timestamp::DAY_MS);

/// Returns the moment `days` after the founding.
pub fn day(days: u64) -> Timestamp {
    Timestamp(FOUNDED_MS + days * Timestamp::DAY_MS)
}

impl World {
    pub fn new() -> Self {
        let alliance = TestAlliance::new(7, &[("UKR", 2), ("DEU", 2), ("POL", 1), ("FRA", 1)]);
        let (west, east) = (alliance.state(), alliance.state());
        Self { alliance, west, east, said_west: Vec::new(), said_east: Vec::new(), cut: false, ids: 1_000 }
    }

    /// From now on what is said on one side is not heard on the other.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    fn site(&self, site: &str) -> (usize, usize) {
        let (code, node) = site.split_at(3);
        let nation = self.alliance.nations.iter().position(|nation| nation.code == code).expect("a member");
        (nation, if node.is_empty() { 0 } else { node.parse::<usize>().expect("a digit") - 1 })
    }

    pub fn nation(&self, code: &str) -> NationId {
        self.alliance.nations[self.site(code).0].id
    }

    fn state(&self, side: Side) -> &State {
        match side {
            Side::West => &self.west,
            Side::East => &self.east,
        }
    }

    /// Prepares a draft as the first or second node of a nation would on that side.
    pub fn try_prepare(&self, side: Side, site: &str, draft: Json) -> Result<Prepared, DraftError> {
        let draft: Draft = serde_json::from_value(draft).expect("a draft");
        let ledger = Ledger::of(self.state(side));
        let nation = self.alliance.nations[self.site(site).0].id;
        prepare(&Entry { ledger: &ledger, nation, draft: &draft, if_version: None, id: &record_id_from(self.ids) })
    }

    /// Says something on one side; on both while there is no cut. Returns the record's reference.
    pub fn say(&mut self, side: Side, site: &str, draft: Json) -> String {
        let prepared = self.try_prepare(side, site, draft).unwrap_or_else(|error| panic!("{site}: {error}"));
        let write = DraftWrite {
            kind: prepared.kind.name().to_owned(),
            id: prepared.id,
            replaces: prepared.replaces,
            fields: prepared.fields,
        };
        self.write(side, site, write)
    }

    /// Writes a record version as it is.
    pub fn write(&mut self, side: Side, site: &str, write: DraftWrite) -> String {
        self.ids += 1;
        let (nation, node) = self.site(site);
        let reference = format!("{}/{}/{}", &site[..3], write.kind, write.id);
        let state = match side {
            Side::West => &self.west,
            Side::East => &self.east,
        };
        let envelope = self.alliance.nations[nation].nodes[node].write(state, vec![write]).expect("the node may write");
        if side == Side::West || !self.cut {
            self.west.admit(envelope.elements().to_vec());
        }
        if side == Side::East || !self.cut {
            self.east.admit(envelope.elements().to_vec());
        }
        match side {
            Side::West => self.said_west.push(envelope),
            Side::East => self.said_east.push(envelope),
        }
        reference
    }

    pub fn west(&mut self, site: &str, draft: Json) -> String {
        self.say(Side::West, site, draft)
    }

    pub fn east(&mut self, site: &str, draft: Json) -> String {
        self.say(Side::East, site, draft)
    }

    /// Lets both sides hear of a nation's next roster, which retires one of its nodes after `kept` of its envelopes.
    pub fn retire(&mut self, code: &str, node: usize, kept: u64) {
        let (nation, _) = self.site(code);
        let author = self.alliance.nations[nation].nodes[node].author;
        let cut = self.west.chain(&author).and_then(|chain| chain.accepted(kept)).map_or(Tip::NONE, |held| held.tip());
        let roster = self.alliance.retire(nation, node, cut);
        self.west.admit(vec![Element::Control(roster.clone())]);
        self.east.admit(vec![Element::Control(roster)]);
    }

    /// Returns the version of a record that one side counts.
    pub fn version(&self, side: Side, reference: &str) -> EnvelopeId {
        let ledger = Ledger::of(self.state(side));
        let found = ledger.resolve(&reference.parse().expect("a reference"), &[]).expect("a record");
        let kind = comity_protocol::statement::Kind::from_name(&found.kind).expect("a kind");
        let record = ledger.record(&found).expect("a record");
        comity_protocol::statement::current::current(kind, record).expect("a version").version.source.envelope
    }

    /// Lets both sides hear everything, and returns the view they agree on.
    ///
    /// Each side takes in the other's envelopes in the order they were said; a third
    /// replica takes everything backwards and twice.
    /// All three must show the same, and export the same bytes.
    pub fn heal(&mut self, as_of: Timestamp) -> View {
        self.cut = false;
        let earlier = Snapshot::of(&self.west);
        let shown_earlier = view(&self.west, as_of);
        for envelope in self.said_east.clone() {
            self.west.admit(envelope.elements().to_vec());
        }
        for envelope in self.said_west.clone() {
            self.east.admit(envelope.elements().to_vec());
        }
        let all = self.said_west.iter().chain(&self.said_east);
        let mut backwards: Vec<Element> = all.flat_map(TestEnvelope::elements).collect();
        backwards.extend(self.alliance.elements());
        backwards.reverse();
        let mut third = State::new(self.alliance.anchor());
        for element in backwards.clone() {
            third.admit(vec![element.clone()]);
            third.admit(vec![element]);
        }
        let fresh = evaluate(self.alliance.anchor(), backwards);
        let shown = view(&self.west, as_of);
        let exported = export::jsonl(&Ledger::of(&self.west), &shown, shown.as_of);
        assert_eq!(View::of(&earlier.ledger(), as_of), shown_earlier, "a snapshot stays as it was");
        let snapshot = Snapshot::of(&self.west);
        assert_eq!(View::of(&snapshot.ledger(), as_of), shown, "a snapshot shows what its state does");
        for state in [&self.east, &third, &fresh] {
            let other = view(state, as_of);
            assert_eq!(other, shown, "both arrival orders show the same");
            assert_eq!(export::jsonl(&Ledger::of(state), &other, other.as_of), exported);
        }
        check_identities(&shown);
        shown
    }

    /// Returns the jsonl export of one side.
    pub fn exported(&self, side: Side, as_of: Timestamp) -> (String, String) {
        let shown = view(self.state(side), as_of);
        let ledger = Ledger::of(self.state(side));
        (export::jsonl(&ledger, &shown, shown.as_of), export::csv(&ledger, &shown, shown.as_of))
    }
}

/// DOMAIN P2, and the gaps as 2.5 defines them.
pub fn check_identities(view: &View) {
    check_losses(view);
    for pledge in &view.pledges {
        let sums = &pledge.buckets;
        let all = sums.delivered + sums.in_transit + sums.to_ship + sums.offered_firm + sums.offered_conditional;
        assert_eq!(all, sums.pledged.max(sums.delivered + sums.in_transit), "{}", pledge.head.name);
    }
    for row in &view.requirements {
        let cover = &row.cover;
        assert_eq!(cover.gap_after_offers, cover.gap_firm.saturating_sub(cover.offered_firm));
        assert_eq!(cover.gap_if_all, cover.gap_after_offers.saturating_sub(cover.offered_conditional));
        assert!(cover.gap_firm == 0 || cover.surplus == 0);
    }
}

/// Returns the heads of all statements shown, whatever their kind.
pub fn heads(view: &View) -> Vec<&Head> {
    let mut heads: Vec<&Head> = Vec::new();
    heads.extend(view.requirements.iter().map(|row| &row.head));
    heads.extend(view.pledges.iter().map(|row| &row.head));
    heads.extend(view.accepts.iter().map(|row| &row.head));
    heads.extend(view.declines.iter().map(|row| &row.head));
    heads.extend(view.shipments.iter().map(|row| &row.head));
    heads.extend(view.dispatches.iter().map(|row| &row.head));
    heads.extend(view.losses.iter().map(|row| &row.head));
    heads.extend(view.receipts.iter().map(|row| &row.head));
    heads.extend(view.hubs.iter().map(|row| &row.head));
    heads.extend(view.statements.iter().map(|row| &row.head));
    heads
}

/// Ways to look at a view.
pub trait Look {
    fn requirement(&self, reference: &str) -> &RequirementRow;
    fn pledge(&self, reference: &str) -> &PledgeRow;
    fn shipment(&self, reference: &str) -> &ShipmentRow;
    fn flagged(&self, code: FlagCode) -> Vec<&Flag>;
    /// Asserts that exactly one flag of this code is raised, that it names these statements, and who clears it.
    fn one_flag(&self, code: FlagCode, statements: &[&str], clears: &[&str]);
}

impl Look for View {
    fn requirement(&self, reference: &str) -> &RequirementRow {
        self.requirements.iter().find(|row| row.head.name.to_string() == reference).expect("a requirement")
    }

    fn pledge(&self, reference: &str) -> &PledgeRow {
        self.pledges.iter().find(|row| row.head.name.to_string() == reference).expect("a pledge")
    }

    fn shipment(&self, reference: &str) -> &ShipmentRow {
        self.shipments.iter().find(|row| row.head.name.to_string() == reference).expect("a shipment")
    }

    fn flagged(&self, code: FlagCode) -> Vec<&Flag> {
        self.flags.iter().filter(|flag| flag.code == code).collect()
    }

    fn one_flag(&self, code: FlagCode, statements: &[&str], clears: &[&str]) {
        let flags = self.flagged(code);
        assert_eq!(flags.len(), 1, "flags of {}: {:#?}", code.name(), self.flags);
        let named: Vec<String> = flags[0].statements.iter().map(ToString::to_string).collect();
        for statement in statements {
            assert!(named.iter().any(|name| name == statement), "{statement} is not in {named:?}");
        }
        assert_eq!(flags[0].clears, clears);
    }
}

/// DOMAIN 2.7, N-1: what opens without a nation is what the cover computed without it says.
fn check_losses(view: &View) {
    let losses = losses(&Supply::of(view));
    let with = coverage(view, None);
    let nations: BTreeSet<NationId> = view.pledges.iter().map(|pledge| pledge.head.name.nation).collect();
    for nation in nations {
        let opened: u64 = losses
            .iter()
            .filter(|loss| loss.nation == nation)
            .flat_map(|loss| &loss.needs)
            .map(|need| need.uncovered)
            .sum();
        let without = coverage(view, Some(nation));
        let more: u64 = without.iter().zip(&with).map(|(without, with)| without.gap_firm - with.gap_firm).sum();
        assert_eq!(opened, more, "without {nation:?}");
    }
}
