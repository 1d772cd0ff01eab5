//! Invariants (spec 7 and DOMAIN 2.11): one function and one paragraph each, and a list of what is checked where.
//!
//! `always` looks at one honest node after each of its turns, `eventually` at all of them together when everything is
//! healed and quiet. What costs time by what is held (`record`, `evaluation`) is looked at every so many turns and at the
//! end; which turns follows from a count, so that checking draws no number and changes nothing in a run.

pub(in crate::sim) mod always;
mod bundle;
pub mod domain;
mod evaluation;
pub(in crate::sim) mod eventually;
pub mod list;
mod promises;
mod record;
mod store;
pub(in crate::sim) mod votes;
pub(in crate::sim) mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_protocol::body::KIND_WITNESS;
use comity_protocol::charter::Anchor;
use comity_protocol::effect::{Authoring, Effect, SaveOp};
use comity_protocol::envelope::AttestedHeader;
use comity_protocol::evaluate::{Element, State};
use comity_protocol::ids::{AuthorId, CharterId, Digest, EnvelopeId, NationId, Tip};

pub(super) use evaluation::ending;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was found.
    pub text: String,
}

impl Violation {
    /// Says which invariant does not hold, and how.
    pub fn new(invariant: &'static str, text: String) -> Self {
        Self { invariant, text }
    }
}

/// What checks keep in mind of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// Own envelopes written in the present turn.
    fresh: BTreeSet<EnvelopeId>,
    /// Own envelopes that a process of this home ever built, whether their saving succeeded or not.
    wrote: BTreeSet<EnvelopeId>,
    /// An envelope under the own key that came from elsewhere since the process began.
    foreign_own: Option<EnvelopeId>,
    /// The first such envelope since the home was made, restored or released: it is remembered through restarts.
    met: Option<EnvelopeId>,
    /// Whether the process began with a home that forbids authoring.
    stopped: bool,
    /// What the digests were after the last turn, `held` and `control` and `state`.
    digests: Option<[Digest; 3]>,
    /// Whether the node said that its record changed in the present turn.
    changed: bool,
    /// Whether its witness spoke although the home forbids authoring.
    spoke_though_stopped: bool,
    /// The highest final envelope of each author since the process began, by what finality rested on.
    finals: BTreeMap<(AuthorId, Digest), Tip>,
    /// The highest version of the charter it was seen to have adopted, by height.
    charter: Option<(u32, CharterId)>,
    /// The anchor it had after its last turn.
    anchor: Option<Anchor>,
}

impl Watch {
    /// A process began, or its replica was built again: what it met before it has forgotten.
    pub(super) fn began(&mut self, authoring: Authoring) {
        self.fresh.clear();
        self.foreign_own = None;
        self.stopped = authoring != Authoring::Free;
        self.digests = None;
        self.changed = false;
        self.finals.clear();
    }

    /// The home was put back to an earlier moment: what it met since is not in it.
    pub(super) const fn put_back(&mut self) {
        self.met = None;
        self.charter = None;
        self.anchor = None;
    }

    /// Somebody has confirmed the own chain.
    pub(super) const fn released(&mut self) {
        self.foreign_own = None;
        self.met = None;
        self.stopped = false;
    }

    /// Takes note of what a turn wrote, before anybody knows whether it could be saved. Of the envelopes under the own key the
    /// first `witnessed` are the witness's; what comes from elsewhere keeps it from speaking.
    pub(super) fn wrote_now(&mut self, me: &AuthorId, effects: &[Effect], saves: &[SaveOp], witnessed: u64) {
        let written = effects.iter().filter_map(|effect| match effect {
            Effect::Written { outcome: Ok(written), .. } if !written.replayed => Some(written.version),
            _ => None,
        });
        self.fresh = written.collect();
        let own = saves.iter().filter_map(|op| match op {
            SaveOp::Header(header) => Some(header).filter(|of| of.header().author_id() == *me),
            SaveOp::Control(_)
            | SaveOp::Signature { .. }
            | SaveOp::Body { .. }
            | SaveOp::Remember(_)
            | SaveOp::Anchor(_)
            | SaveOp::Halt { .. }
            | SaveOp::Release { .. } => None,
        });
        let own = own.filter(|of| of.header().kind == KIND_WITNESS).map(AttestedHeader::id);
        let confirmed = effects.iter().any(|effect| matches!(effect, Effect::Confirmed { outcome: Ok(_), .. }));
        let stopped = self.stopped || self.foreign_own.is_some();
        self.spoke_though_stopped |= witnessed > 0 && stopped && !confirmed;
        self.fresh.extend(own.take(usize::try_from(witnessed).unwrap_or(usize::MAX)));
        self.wrote.extend(self.fresh.iter().copied());
    }
}

/// Returns the records of a state as they would arrive: all control records, and the chains of the nations that are wanted.
fn elements(state: &State, wanted: impl Fn(&NationId) -> bool) -> Vec<Element> {
    let control = state.control_records().into_iter().map(|control| Element::Control(control.as_ref().clone()));
    let mut elements: Vec<Element> = control.collect();
    for chain in state.chains().filter(|chain| wanted(&chain.author().nation)) {
        for held in chain.iter() {
            let bytes = chain.header(held).encode();
            let header = AttestedHeader::from_store(&bytes, held.signature().copied()).expect("a header that is held");
            elements.push(Element::Header(header));
            elements.extend(held.body().map(|bytes| Element::Body { id: held.id(), bytes: Arc::clone(bytes) }));
        }
    }
    elements
}
