//! A small alliance for tests: keys, records and envelopes from a seed. No part of the product.

use std::sync::Arc;

use crate::body::{Ack, Body, ChangeBody, KIND_CHANGE, WitnessBody};
use crate::charter::{Anchor, Charter};
use crate::control::{
    CharterChange, ControlRecord, Genesis, KeyStatus, Member, Motion, Params, Roster, RosterKey, SignedGenesis,
    VerifiedControl, Vote, VoteStep, nation_id,
};
use crate::envelope::{AttestedHeader, Header, SignedHeader, body_hash};
use crate::evaluate::{AuthorError, Element, State};
use crate::guard::DraftWrite;
use crate::ids::{AllianceId, AuthorId, CharterId, ControlId, Digest, NationId, Timestamp, Tip};
use crate::keys::{SecretKey, sha256};
use crate::value::{Fields, OpId, Value, record_id_from};

/// An alliance with all its secret keys.
#[derive(Clone, Debug)]
pub struct TestAlliance {
    /// Its id.
    pub id: AllianceId,
    /// Its genesis.
    pub genesis: VerifiedControl,
    /// Its nations, in the order they were asked for.
    pub nations: Vec<TestNation>,
}

/// A nation with its keys.
#[derive(Clone, Debug)]
pub struct TestNation {
    /// Its id.
    pub id: NationId,
    /// Its code.
    pub code: String,
    /// Its root key.
    pub root: SecretKey,
    /// Its nodes; all are in the first roster, the first is the witness.
    pub nodes: Vec<TestNode>,
    /// Its rosters by version, as [`TestAlliance::roster`] made them.
    pub rosters: Vec<VerifiedControl>,
}

/// A node that signs envelopes one after the other; a copy of it forks its chain.
#[derive(Clone, Debug)]
pub struct TestNode {
    /// Its key.
    pub key: SecretKey,
    /// Who it is.
    pub author: AuthorId,
    /// The alliance it speaks in.
    pub alliance: AllianceId,
    /// Its last envelope.
    pub tip: Tip,
    /// The time its last envelope claims.
    pub time_ms: u64,
}

/// A signed envelope with its body.
#[derive(Clone, Debug)]
pub struct TestEnvelope {
    /// Header and signature.
    pub header: AttestedHeader,
    /// The body.
    pub body: Arc<[u8]>,
}

/// The time [`TestAlliance`] was founded: 2026-01-01T00:00:00Z.
pub const FOUNDED_MS: u64 = 1_767_225_600_000;

impl TestAlliance {
    /// Founds an alliance of nations with codes and numbers of nodes; the same arguments give the same keys and records.
    pub fn new(seed: u64, nations: &[(&str, usize)]) -> Self {
        Self::with_params(seed, nations, Params::default())
    }

    /// Founds an alliance with other parameters.
    pub fn with_params(seed: u64, nations: &[(&str, usize)], params: Params) -> Self {
        let roots: Vec<SecretKey> = nations.iter().map(|(code, _)| secret(seed, &format!("root/{code}"))).collect();
        let mut founders: Vec<Member> =
            nations.iter().zip(&roots).map(|((code, _), root)| member(root, code)).collect();
        founders.sort_by_key(|founder| founder.root);
        let genesis = Genesis {
            name: "test".into(),
            created_ms: FOUNDED_MS,
            nonce: sha256(&seed.to_be_bytes()),
            parent: None,
            params,
            founders,
        };
        let mut signatures: Vec<_> = roots.iter().map(|root| genesis.sign(root)).collect();
        signatures.sort_by_key(|(root, _)| *root);
        let id = genesis.alliance_id();
        let genesis = ControlRecord::Genesis(SignedGenesis { genesis, signatures }).verify().expect("a sound genesis");
        let nations = nations.iter().zip(roots).map(|((code, nodes), root)| {
            let nation = nation_id(&id, &root.public());
            let nodes = (0..*nodes).map(|i| TestNode::new(secret(seed, &format!("node/{code}/{i}")), id, nation));
            TestNation { id: nation, code: (*code).to_owned(), nodes: nodes.collect(), root, rosters: Vec::new() }
        });
        let mut alliance = Self { id, genesis, nations: nations.collect() };
        for nation in 0..alliance.nations.len() {
            alliance.first_roster(nation);
        }
        alliance
    }

    /// The anchor of a node that has adopted the founding.
    pub fn anchor(&self) -> Anchor {
        Anchor::founding(self.id)
    }

    /// Returns genesis and all rosters made so far.
    pub fn control(&self) -> Vec<VerifiedControl> {
        let rosters = self.nations.iter().flat_map(|nation| &nation.rosters);
        std::iter::once(&self.genesis).chain(rosters).cloned().collect()
    }

    /// Returns genesis and all rosters made so far, as elements.
    pub fn elements(&self) -> Vec<Element> {
        self.control().into_iter().map(Element::Control).collect()
    }

    /// Returns the state of a replica that holds genesis and rosters only.
    pub fn state(&self) -> State {
        crate::evaluate::evaluate(self.anchor(), self.elements())
    }

    /// Signs the nation's next roster: the last one with `edit` applied; keys are put in order.
    pub fn roster(&mut self, nation: usize, edit: impl FnOnce(&mut Roster)) -> VerifiedControl {
        let last = self.nations[nation].rosters.last().cloned();
        let control = self.roster_after(nation, last.as_ref(), edit);
        self.nations[nation].rosters.push(control.clone());
        control
    }

    /// Signs a roster of the nation that follows `prev`, without recording it.
    pub fn roster_after(
        &self,
        nation: usize,
        prev: Option<&VerifiedControl>,
        edit: impl FnOnce(&mut Roster),
    ) -> VerifiedControl {
        let of = &self.nations[nation];
        let mut roster = match prev.map(VerifiedControl::record) {
            Some(ControlRecord::Roster(last, _)) => last.clone(),
            _ => Roster {
                alliance: self.id,
                nation: of.id,
                root: of.root.public(),
                root_gen: 0,
                version: 0,
                prev: ControlId::ZERO,
                time_ms: FOUNDED_MS,
                keys: Vec::new(),
                closed: false,
                note: String::new(),
            },
        };
        roster.version += 1;
        roster.prev = prev.map_or(ControlId::ZERO, VerifiedControl::id);
        edit(&mut roster);
        roster.keys.sort_by_key(|key| key.node);
        roster.sign(&of.root).verify().expect("a sound roster")
    }

    /// Signs the nation's next roster, which retires one of its nodes at `cut`.
    pub fn retire(&mut self, nation: usize, node: usize, cut: Tip) -> VerifiedControl {
        let key = self.nations[nation].nodes[node].author.key;
        self.roster(nation, |roster| retire(roster, &key, cut))
    }

    /// Drafts a motion on `charter`.
    pub fn motion(&self, charter: &Charter, nonce: u64, changes: Vec<CharterChange>) -> VerifiedControl {
        let motion = Motion {
            alliance: self.id,
            height: charter.height,
            base: charter.id,
            nonce,
            title: format!("motion {nonce}"),
            text: Vec::new(),
            changes,
        };
        ControlRecord::Motion(motion).verify().expect("a sound motion")
    }

    /// Signs a nation's vote on `charter` with the root key the nation has now, whatever the signer's rules say.
    pub fn vote(
        &self,
        nation: usize,
        charter: &Charter,
        (round, step): (u16, VoteStep),
        motion: &ControlId,
    ) -> VerifiedControl {
        let of = &self.nations[nation];
        let vote = Vote {
            alliance: self.id,
            nation: of.id,
            root: of.root.public(),
            height: charter.height,
            base: charter.id,
            round,
            step,
            motion: *motion,
            time_ms: FOUNDED_MS,
        };
        vote.sign(&of.root).verify().expect("a sound vote")
    }

    /// Signs what adopts a motion in one round: these nations' supports and seals; the motion itself is not among it.
    pub fn pass(&self, nations: &[usize], charter: &Charter, round: u16, motion: &ControlId) -> Vec<VerifiedControl> {
        let steps = [VoteStep::Support, VoteStep::Seal].into_iter();
        steps
            .flat_map(|step| nations.iter().map(move |nation| self.vote(*nation, charter, (round, step), motion)))
            .collect()
    }

    /// Makes the keys of a nation that may be admitted, which is then the last of [`TestAlliance::nations`]; it has no
    /// roster yet.
    pub fn candidate(&mut self, seed: u64, code: &str, nodes: usize) -> Member {
        let root = secret(seed, &format!("root/{code}"));
        let nation = nation_id(&self.id, &root.public());
        let nodes = (0..nodes).map(|i| TestNode::new(secret(seed, &format!("node/{code}/{i}")), self.id, nation));
        let (member, nodes) = (member(&root, code), nodes.collect());
        self.nations.push(TestNation { id: nation, code: code.to_owned(), nodes, root, rosters: Vec::new() });
        member
    }

    /// Signs the first roster of a nation, which lists all its nodes.
    pub fn first_roster(&mut self, nation: usize) -> VerifiedControl {
        let nodes = self.nations[nation].nodes.iter().enumerate();
        let keys = nodes.map(|(i, node)| node.roster_key(i == 0)).collect();
        self.roster(nation, |roster| roster.keys = keys)
    }

    /// Returns a node, to sign with.
    pub fn node(&mut self, nation: usize, node: usize) -> &mut TestNode {
        &mut self.nations[nation].nodes[node]
    }

    /// Makes another node of the nation, in no roster yet.
    pub fn add_node(&mut self, nation: usize, seed: u64) -> &mut TestNode {
        let of = &mut self.nations[nation];
        let key = secret(seed, &format!("node/{}/{}", of.code, of.nodes.len()));
        let node = TestNode::new(key, self.id, of.id);
        of.nodes.push(node);
        of.nodes.last_mut().expect("just pushed")
    }
}

/// Marks a key of a roster Retired.
pub fn retire(roster: &mut Roster, key: &crate::ids::AuthorKey, cut: Tip) {
    for listed in roster.keys.iter_mut().filter(|listed| listed.node == *key) {
        listed.status = KeyStatus::Retired { cut };
    }
}

impl TestNode {
    /// Makes a node that has said nothing.
    pub fn new(key: SecretKey, alliance: AllianceId, nation: NationId) -> Self {
        let author = AuthorId { nation, key: key.public() };
        Self { key, author, alliance, tip: Tip::NONE, time_ms: FOUNDED_MS }
    }

    /// Returns the node's line in a roster.
    pub fn roster_key(&self, witness: bool) -> RosterKey {
        RosterKey {
            node: self.author.key,
            kem: sha256(self.author.key.as_bytes()),
            label: format!("node-{}", self.author.key.short()),
            witness,
            status: KeyStatus::Active,
        }
    }

    /// Signs the node's next envelope, one second after its last.
    pub fn envelope(&mut self, kind: u16, body: Vec<u8>) -> TestEnvelope {
        self.time_ms += 1_000;
        let header = Header {
            alliance: self.alliance,
            nation: self.author.nation,
            author: self.author.key,
            seq: self.tip.seq + 1,
            prev: self.tip.id,
            time_ms: self.time_ms,
            kind,
            body_len: u32::try_from(body.len()).expect("a body is small"),
            body_hash: body_hash(&body),
        };
        self.sign(header, body)
    }

    /// Signs the node's next envelope around a known body.
    pub fn body(&mut self, body: &Body) -> TestEnvelope {
        self.envelope(body.kind(), body.encode())
    }

    /// Signs the node's next envelope around a change of compartment 0, whatever its bytes.
    pub fn raw_change(&mut self, change: Vec<u8>) -> TestEnvelope {
        self.envelope(KIND_CHANGE, Body::Change(ChangeBody::Clear { compartment: 0, change }).encode())
    }

    /// Signs the node's next envelope with record versions that build on all of `state`'s document.
    ///
    /// # Errors
    /// [`AuthorError`], as [`State::next_change`] gives it.
    pub fn write(&mut self, state: &State, writes: Vec<DraftWrite>) -> Result<TestEnvelope, AuthorError> {
        let (header, body) = state.next_change(&self.author, Timestamp(self.time_ms + 1_000), writes)?;
        Ok(self.sign(header, body))
    }

    /// Signs a header and moves on to it.
    pub fn sign(&mut self, header: Header, body: Vec<u8>) -> TestEnvelope {
        self.time_ms = header.time_ms;
        let header = SignedHeader::sign(header, &self.key).verify().expect("just signed");
        self.tip = header.tip();
        TestEnvelope { header, body: body.into() }
    }
}

impl TestEnvelope {
    /// Its id.
    pub fn id(&self) -> crate::ids::EnvelopeId {
        self.header.id()
    }

    /// Returns header and body as elements.
    pub fn elements(&self) -> [Element; 2] {
        [Element::Header(self.header.clone()), self.body_element()]
    }

    /// Returns the body as an element.
    pub fn body_element(&self) -> Element {
        Element::Body { id: self.header.id(), bytes: self.body.clone() }
    }

    /// Returns the header as an element without its own signature, as a run carries it.
    pub fn bare_header(&self) -> Element {
        Element::Header(AttestedHeader::trusted(self.header.header().clone(), None))
    }
}

/// Returns the body of a witness that acknowledges one envelope and says nothing else.
pub fn witness_of(author: AuthorId, tip: Tip) -> Body {
    Body::Witness(WitnessBody {
        height: 0,
        charter: CharterId::ZERO,
        rosters: Vec::new(),
        acks: vec![Ack { author, tip }],
        frontier: Digest::ZERO,
        state: Digest::ZERO,
    })
}

/// Returns a first version of a record with one text field.
pub fn draft(kind: &str, number: u64, note: &str) -> DraftWrite {
    DraftWrite { kind: kind.to_owned(), id: record_id_from(number), replaces: Vec::new(), fields: note_fields(note) }
}

/// Returns a version that replaces `replaces`.
pub fn revision(kind: &str, number: u64, replaces: Vec<OpId>, note: &str) -> DraftWrite {
    DraftWrite { kind: kind.to_owned(), id: record_id_from(number), replaces, fields: note_fields(note) }
}

fn note_fields(note: &str) -> Fields {
    Fields::from([("note".to_owned(), Value::Text(note.to_owned()))])
}

fn member(root: &SecretKey, code: &str) -> Member {
    Member { root: root.public(), code: code.to_owned(), name: format!("Nation {code}"), next_root: None }
}

fn secret(seed: u64, name: &str) -> SecretKey {
    SecretKey::from_seed(&sha256(&[&seed.to_be_bytes()[..], name.as_bytes()].concat()))
}
