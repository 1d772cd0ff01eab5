//! The plain model beside the replica: a disk, the links that are up, and two sets that may only grow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_protocol::control::VerifiedControl;
use comity_protocol::effect::{ExchangeId, LinkId, Remembered, SaveOp};
use comity_protocol::envelope::AttestedHeader;
use comity_protocol::evaluate::Element;
use comity_protocol::ids::{ControlId, EnvelopeId};
use comity_protocol::testing::TestEnvelope;

use super::pool::{POOL, below};

/// What a store holds.
#[derive(Default)]
pub(super) struct Disk {
    controls: BTreeMap<ControlId, VerifiedControl>,
    headers: BTreeMap<EnvelopeId, AttestedHeader>,
    bodies: BTreeMap<EnvelopeId, Arc<[u8]>>,
    pub(super) remembered: Vec<Remembered>,
}

impl Disk {
    pub(super) fn save(&mut self, op: SaveOp) {
        match op {
            SaveOp::Control(control) => {
                self.controls.insert(control.id(), control);
            }
            SaveOp::Header(header) => {
                self.headers.insert(header.id(), header);
            }
            SaveOp::Signature { id, signature } => {
                let header = self.headers.get_mut(&id).expect("a signature is saved after its header");
                let bytes = header.header().encode();
                *header = AttestedHeader::from_store(&bytes, Some(signature)).expect("its own bytes");
            }
            SaveOp::Body { id, bytes } => {
                assert!(self.headers.contains_key(&id), "a body is saved after its header");
                self.bodies.insert(id, bytes);
            }
            SaveOp::Remember(remembered) => self.remembered.push(remembered),
            SaveOp::Anchor(_) | SaveOp::Halt { .. } | SaveOp::Release { .. } => {}
        }
    }

    pub(super) fn holds(&self, id: &EnvelopeId) -> bool {
        self.headers.contains_key(id) && self.bodies.contains_key(id)
    }

    pub(super) fn elements(&self) -> Vec<Element> {
        let controls = self.controls.values().cloned().map(Element::Control);
        let headers = self.headers.values().cloned().map(Element::Header);
        let bodies = self.bodies.iter().map(|(id, bytes)| Element::Body { id: *id, bytes: Arc::clone(bytes) });
        controls.chain(headers).chain(bodies).collect()
    }
}

/// A link as the model sees it.
pub(super) struct ModelLink {
    pub(super) peer: usize,
    /// Questions of the replica that nobody answered yet.
    pub(super) open: Vec<(ExchangeId, Vec<u8>)>,
}

/// What must be.
#[derive(Default)]
pub(super) struct Model {
    pub(super) disk: Disk,
    pub(super) links: BTreeMap<LinkId, ModelLink>,
    /// Honest envelopes the replica must hold from now on.
    pub(super) must_hold: BTreeSet<EnvelopeId>,
    /// Envelopes of writes that were answered with success.
    pub(super) acknowledged: BTreeSet<EnvelopeId>,
    pub(super) full: bool,
}

impl Model {
    /// Notes a push of honest envelopes that arrives over `link`: those that stand on what is held must be taken.
    pub(super) fn pushed(&mut self, link: LinkId, envelopes: &[TestEnvelope]) {
        // The server and the node that writes one chain have a full link for as long as it is up.
        let full = self.links.get(&link).is_some_and(|link| link.peer < 2);
        if !full || self.full {
            return;
        }
        for envelope in envelopes {
            let below = below(envelope);
            let stands = below.seq == 0 || self.must_hold.contains(&below.id);
            if stands && POOL.honest.contains(&envelope.id()) {
                self.must_hold.insert(envelope.id());
            }
        }
    }

    /// The `n`th link, counted round.
    pub(super) fn link(&self, n: usize) -> Option<LinkId> {
        self.links.keys().nth(n % self.links.len().max(1)).copied()
    }
}
