//! Receiving: every record of a stranger passes the receipt checks R01–R08 here, in their order (spec 4.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::peers::Fault;
use super::{Replica, TakenControl};
use crate::control::ControlRecord;
use crate::effect::{Alarm, Effect, HaltReason, ImportOutcome, ImportRefused, LinkId, SaveOp, Storage};
use crate::envelope::{AttestedHeader, Header, HeaderDecodeError, SignedHeader};
use crate::evaluate::{Changes, ControlReceipt, Element, Receipt};
use crate::ids::{AuthorId, ControlId, EnvelopeId, Tip};
use crate::limits::{CONTROL_UNKEPT_MAX, FRONTIER_SPACING_MS, RELAY_RUN_ITEMS_MAX};
use crate::message::run::{Run, RunError, VerifiedItem};
use crate::message::{Frame, PushedEnvelope};
use crate::rules::{DOUBTED_AHEAD_MS, Rule};

/// What a frame brings that is to be taken in together.
#[derive(Default)]
struct Batch {
    elements: Vec<Element>,
    ops: Vec<SaveOp>,
    /// The last header taken of each author, so that the next one of the frame links to it.
    last: BTreeMap<AuthorId, Above>,
    fresh: Vec<Fresh>,
}

/// An envelope to be passed on: its author, its place, and the length of its body.
type Fresh = (AuthorId, Tip, usize);

/// What the next header of a chain is checked against.
#[derive(Clone, Copy)]
struct Above {
    tip: Tip,
    time_ms: u64,
    cum: u64,
}

impl Replica {
    /// Takes in a frame of a push stream.
    pub(super) fn pushed(&mut self, id: LinkId, frame: &[u8]) {
        if !self.heard(id, frame.len()) || !self.links.get(&id).is_some_and(super::peers::Link::is_full) {
            // A peer that takes the link for a full one already does nothing wrong.
            return;
        }
        match Frame::decode(frame) {
            Ok(Frame::Push(envelopes)) => self.push_came(id, envelopes),
            Ok(Frame::Heartbeat(heartbeat)) => self.heartbeat_came(id, &heartbeat),
            Ok(_) | Err(_) => self.strike(id, Fault::Frame),
        }
    }

    fn push_came(&mut self, id: LinkId, envelopes: Vec<PushedEnvelope>) {
        if self.storage == Storage::Full {
            self.counters.refused_storage += envelopes.len() as u64;
            return;
        }
        let mut batch = Batch::default();
        for envelope in envelopes {
            self.counters.pushed_in += 1;
            if !self.links.contains_key(&id) {
                return;
            }
            self.take_pushed(id, &envelope, &mut batch);
        }
        self.take_batch(id, &mut batch);
    }

    /// Takes in what a push frame brought so far, and passes on what was accepted.
    fn take_batch(&mut self, id: LinkId, batch: &mut Batch) {
        let Batch { elements, ops, fresh, .. } = std::mem::take(batch);
        if elements.is_empty() {
            return;
        }
        let changes = self.admit(elements, ops);
        self.prompt_heartbeat(id);
        let fresh = accepted_of(fresh, &changes);
        self.counters.pushed_taken += changes.headers.len() as u64;
        self.pass_on(Some(id), &fresh);
    }

    fn take_pushed(&mut self, id: LinkId, envelope: &PushedEnvelope, batch: &mut Batch) {
        let header = match Header::decode(&envelope.header) {
            Ok(header) => header,
            Err(HeaderDecodeError::Wire(_)) => return self.speaks_newer(id),
            Err(HeaderDecodeError::Decode(_)) => return self.strike(id, Fault::Frame),
            Err(HeaderDecodeError::Field(_)) => return self.strike(id, Fault::Field),
        };
        let author = header.author_id();
        let verdict = match batch.last.get(&author) {
            Some(above) if header.prev == above.tip.id && header.seq == above.tip.seq + 1 => {
                self.links_to(above, &header)
            }
            Some(_) => {
                // Another branch, or a gap: what came before decides, so it is taken in first.
                self.take_batch(id, batch);
                self.state.receipt(&header)
            }
            None => self.state.receipt(&header),
        };
        let verdict = if self.doubts_time(&header) { Receipt::TimeDecreases } else { verdict };
        match verdict {
            Receipt::OtherAlliance => return self.strike(id, Fault::Alliance),
            Receipt::UnknownAuthor => {
                self.counters.refused_unknown += 1;
                self.ask_control_soon(id);
                return self.strike_if_unfair(id);
            }
            Receipt::Held => {
                self.counters.pushed_known += 1;
                return self.take_body_of_held(id, &header, envelope, batch);
            }
            Receipt::Links { .. }
            | Receipt::ForkEvidence
            | Receipt::ParentMissing { .. }
            | Receipt::TimeDecreases
            | Receipt::OverQuota => {}
        }
        let body_len = header.body_len as usize;
        let prev = Tip { seq: header.seq - 1, id: header.prev };
        let attested = match (SignedHeader { header: header.clone(), signature: envelope.signature }).verify() {
            Ok(attested) => attested,
            Err(_) if !self.rules.keeps(Rule::VerifySignatures) => {
                AttestedHeader::trusted(header, Some(envelope.signature))
            }
            Err(_) => return self.strike(id, Fault::Signature),
        };
        let body_fits = attested.header().body_matches(&envelope.body);
        if !body_fits {
            self.strike(id, Fault::Body);
        }
        self.shown_on(id, author, &prev, attested.tip(), body_fits);
        match verdict {
            Receipt::Links { cum } => {
                let time_ms = attested.header().time_ms;
                batch.last.insert(author, Above { tip: attested.tip(), time_ms, cum });
                batch.fresh.push((author, attested.tip(), body_len));
            }
            Receipt::ForkEvidence => {
                self.strike_if_unfair(id);
                // What it stands on is asked for at once: the fork may lie lower.
                self.shown_beside(id, author, attested.tip());
                self.note_missing(id, author);
            }
            Receipt::ParentMissing { .. } => {
                self.counters.pushed_unlinked += 1;
                self.strike_if_unfair(id);
                if self.rules.keeps(Rule::StoreLinkedOnly) {
                    self.note_missing(id, author);
                    return;
                }
            }
            Receipt::TimeDecreases | Receipt::OverQuota => {
                self.counters.refused_unlinkable += 1;
                return;
            }
            Receipt::Held | Receipt::OtherAlliance | Receipt::UnknownAuthor => return,
        }
        if author == self.me {
            self.own_came_from_elsewhere(attested.tip(), &mut batch.ops);
        }
        let body = body_fits.then(|| Arc::clone(&envelope.body));
        batch.take(attested, body);
    }

    fn links_to(&self, above: &Above, header: &Header) -> Receipt {
        let quota = self.state.charter().map_or(0, |charter| charter.params.chain_quota);
        let cum = above.cum.saturating_add(header.quota_bytes());
        if header.alliance != self.alliance {
            Receipt::OtherAlliance
        } else if header.time_ms < above.time_ms {
            Receipt::TimeDecreases
        } else if cum > quota {
            Receipt::OverQuota
        } else {
            Receipt::Links { cum }
        }
    }

    /// Whether a claimed time keeps a header out, which it does only where that rule is broken on purpose.
    fn doubts_time(&self, header: &Header) -> bool {
        !self.rules.keeps(Rule::ClaimedTimeIsAdvisory) && header.time_ms > self.now.plus_ms(DOUBTED_AHEAD_MS).0
    }

    /// A header that is held may still bring its body.
    fn take_body_of_held(&mut self, id: LinkId, header: &Header, envelope: &PushedEnvelope, batch: &mut Batch) {
        let (author, tip) = (header.author_id(), Tip { seq: header.seq, id: header.id() });
        let prev = Tip { seq: header.seq - 1, id: header.prev };
        if !header.body_matches(&envelope.body) {
            return self.strike(id, Fault::Body);
        }
        self.shown_on(id, author, &prev, tip, true);
        let held = self.state.chain(&author).and_then(|chain| chain.get(&tip.id));
        if held.is_some_and(|held| !held.linked()) {
            // The sender has learnt more of that branch: what is missing below is asked for now.
            self.shown_beside(id, author, tip);
            if let Some(link) = self.links.get_mut(&id) {
                link.missing.entry(author).or_default().ask_again();
            }
        }
        let held = self.state.chain(&author).and_then(|chain| chain.get(&tip.id));
        if held.is_some_and(|held| held.body().is_none()) {
            batch.elements.push(Element::Body { id: tip.id, bytes: Arc::clone(&envelope.body) });
            batch.ops.push(SaveOp::Body { id: tip.id, bytes: Arc::clone(&envelope.body) });
        }
    }

    fn shown_on(&mut self, id: LinkId, author: AuthorId, prev: &Tip, tip: Tip, with_body: bool) {
        if with_body && let Some(key) = self.links.get(&id).map(|link| link.peer) {
            self.shown_by_push(key, author, prev, tip);
        }
    }

    pub(super) fn note_missing(&mut self, id: LinkId, author: AuthorId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.missing.entry(author).or_default();
        }
    }

    /// R04: the author may be early; its roster may be at the peer.
    fn ask_control_soon(&mut self, id: LinkId) {
        let soon = self.now.plus_ms(FRONTIER_SPACING_MS);
        if let Some(link) = self.links.get_mut(&id) {
            link.control_due.get_or_insert(soon);
        }
    }

    /// An envelope under the own key that this node does not hold (4.12): it stops authoring, also after a restart.
    ///
    /// A restored home wants its own envelopes back, and has stopped already.
    fn own_came_from_elsewhere(&mut self, tip: Tip, ops: &mut Vec<SaveOp>) {
        if self.author.halted.is_some() || !self.rules.keeps(Rule::HaltOnForeignOwn) || self.signed_here(&tip.id) {
            return;
        }
        ops.push(SaveOp::Halt { tip });
        let reason = HaltReason::ForeignOwn { tip };
        self.author.halted = Some(reason);
        self.effects.push_back(Effect::Alarm(Alarm::Halted(reason)));
    }

    /// Whether this node is known to have signed an envelope that it does not hold: a held one stands on it, or the home
    /// names it. Its row was damaged, then.
    fn signed_here(&self, id: &EnvelopeId) -> bool {
        *id == self.author.signed.id || self.state.chain(&self.me).is_some_and(|chain| chain.wants_parent(id))
    }

    /// Takes in a run that was asked for: all of it or nothing.
    pub(super) fn run_came(&mut self, id: LinkId, run: Run) {
        if self.storage == Storage::Full {
            self.counters.refused_storage += run.items.len() as u64;
            return;
        }
        let (author, first_seq) = (run.author, run.first_seq);
        let items = match run.verify(&self.alliance) {
            Ok(items) => items,
            Err(RunError::Signature { .. }) => return self.strike(id, Fault::Signature),
            Err(RunError::Header { .. }) => return self.strike(id, Fault::Field),
        };
        let headers: Vec<Header> = items.iter().map(|item| item.header.header().clone()).collect();
        if headers.last().is_some_and(|last| self.doubts_time(last)) {
            self.counters.refused_unlinkable += 1;
            return;
        }
        match self.state.receipt_run(&headers) {
            Receipt::Held => self.take_run(Some(id), author, items),
            Receipt::Links { .. } => {
                if let Some(seek) = self.links.get_mut(&id).and_then(|link| link.missing.get_mut(&author)) {
                    seek.linked(first_seq);
                }
                self.take_run(Some(id), author, items);
            }
            Receipt::ForkEvidence if self.holds_all(&author, &items) => self.take_run(Some(id), author, items),
            Receipt::ForkEvidence => {
                let first = items.first().map(|item| item.header.id());
                self.take_run(Some(id), author, items);
                let chain = self.state.chain(&author);
                let linked = first.and_then(|id| chain?.get(&id)).is_some_and(crate::chain::Held::linked);
                if !linked {
                    self.go_deeper(id, author, first_seq);
                } else if let Some(seek) = self.links.get_mut(&id).and_then(|link| link.missing.get_mut(&author)) {
                    seek.linked(first_seq);
                }
            }
            Receipt::ParentMissing { .. } if self.leads_to_cut(&author, &headers) => {
                self.take_run(Some(id), author, items);
            }
            Receipt::ParentMissing { .. } => {
                self.counters.fork_hints += 1;
                self.go_deeper(id, author, first_seq);
            }
            Receipt::TimeDecreases | Receipt::OverQuota | Receipt::UnknownAuthor => {
                self.counters.refused_unlinkable += 1;
            }
            Receipt::OtherAlliance => self.strike(id, Fault::Alliance),
        }
    }

    /// A forked author's other branches come along with the one that is searched for.
    fn holds_all(&self, author: &AuthorId, items: &[VerifiedItem]) -> bool {
        let Some(chain) = self.state.chain(author) else { return false };
        items.iter().all(|item| chain.get(&item.header.id()).is_some())
    }

    /// A run that does not link: the search goes on below it.
    fn go_deeper(&mut self, id: LinkId, author: AuthorId, first_seq: u64) {
        if let Some(seek) = self.links.get_mut(&id).and_then(|link| link.missing.get_mut(&author))
            && seek.deeper(first_seq)
            && let Some(fetch) = self.fetching.get_mut(&author)
        {
            fetch.progress = true;
        }
    }

    /// Takes in a checked run that a link, or a file, brought.
    pub(super) fn take_run(&mut self, from: Option<LinkId>, author: AuthorId, items: Vec<VerifiedItem>) {
        let mut batch = Batch::default();
        let few = items.len() <= RELAY_RUN_ITEMS_MAX;
        // Of a run of the own chain, what lies below an envelope that was signed here was signed here too.
        let known_to = if author == self.me {
            items.iter().rposition(|item| self.signed_here(&item.header.id())).map_or(0, |last| last + 1)
        } else {
            0
        };
        for (at, VerifiedItem { header, body }) in items.into_iter().enumerate() {
            let held = self.state.chain(&author).and_then(|chain| chain.get(&header.id()));
            match held {
                Some(held) => {
                    if held.signature().is_none()
                        && let Some(signature) = header.signature()
                    {
                        batch.ops.push(SaveOp::Signature { id: header.id(), signature: *signature });
                        batch.elements.push(Element::Header(header.clone()));
                    }
                    if held.body().is_none()
                        && let Some(bytes) = body
                    {
                        batch.elements.push(Element::Body { id: header.id(), bytes: Arc::clone(&bytes) });
                        batch.ops.push(SaveOp::Body { id: header.id(), bytes });
                    }
                }
                None => {
                    if author == self.me && at >= known_to {
                        self.own_came_from_elsewhere(header.tip(), &mut batch.ops);
                    }
                    self.counters.run_items_taken += 1;
                    if few && body.is_some() && header.signature().is_some() {
                        batch.fresh.push((author, header.tip(), header.header().body_len as usize));
                    }
                    batch.take(header, body);
                }
            }
        }
        self.counters.runs_taken += 1;
        if batch.elements.is_empty() {
            return;
        }
        let changes = self.admit(batch.elements, batch.ops);
        // What a forked chain does not keep was forgotten again at once; who shows it must not be asked for it over and over.
        let new = changes.headers.iter().chain(&changes.bodies).any(|id| self.state.envelope(id).is_some());
        if new {
            self.cut_progress(&author);
            if let Some(fetch) = self.fetching.get_mut(&author) {
                fetch.progress = true;
            }
        }
        self.pass_on(from, &accepted_of(batch.fresh, &changes));
    }

    /// Takes in the control records of an answer.
    pub(super) fn control_came(&mut self, id: LinkId, records: Vec<(u8, Vec<u8>)>) {
        let taken = self.take_control(records);
        let mut new = false;
        for outcome in taken {
            match outcome {
                Ok(ImportOutcome::Accepted(_)) => new = true,
                Ok(ImportOutcome::Known(_) | ImportOutcome::Refused(_)) => {}
                Err(ImportRefused::Decode(_)) => self.strike(id, Fault::Reply),
                Err(ImportRefused::Signature(_)) => self.strike(id, Fault::Signature),
                Err(ImportRefused::OtherAlliance) => self.strike(id, Fault::Alliance),
                Err(ImportRefused::NoEffect) => self.counters.refused_unknown += 1,
                Err(ImportRefused::StorageFull) => self.counters.refused_storage += 1,
            }
        }
        if new && let Some(link) = self.links.get_mut(&id) {
            link.pass.brought_new = true;
        }
    }

    /// Checks control records and takes in those that count; one outcome each, in order.
    pub(super) fn take_control(&mut self, records: Vec<(u8, Vec<u8>)>) -> Vec<TakenControl> {
        let mut elements = Vec::new();
        let mut outcomes: Vec<TakenControl> = Vec::with_capacity(records.len());
        let mut early = Vec::new();
        for (kind, bytes) in records {
            outcomes.push(self.check_control(kind, &bytes, &mut elements, &mut early));
        }
        if !elements.is_empty() {
            self.admit(elements, Vec::new());
            // What came before the version it is on may have been adopted by what came with it, and otherwise was too early.
            let unkept = |id: &ControlId| self.state.control_record(id).is_none();
            if early.iter().any(unkept)
                || self.state.control_held() > self.state.control_ids().count() + CONTROL_UNKEPT_MAX
            {
                self.state.forget_unkept_control();
            }
        }
        for outcome in &mut outcomes {
            if let Ok(ImportOutcome::Accepted(id)) = outcome
                && self.state.control_record(id).is_none()
            {
                *outcome = Err(ImportRefused::NoEffect);
            }
        }
        outcomes
    }

    fn check_control(
        &self,
        kind: u8,
        bytes: &[u8],
        elements: &mut Vec<Element>,
        early: &mut Vec<ControlId>,
    ) -> TakenControl {
        if self.storage == Storage::Full {
            return Err(ImportRefused::StorageFull);
        }
        let verified = ControlRecord::decode(kind, bytes)?.verify()?;
        let id = verified.id();
        match self.state.control_receipt(verified.record(), &id) {
            ControlReceipt::Held if self.state.control_record(&id).is_some() => Ok(ImportOutcome::Known(id)),
            // Held without effect so far; what comes with it may give it one.
            ControlReceipt::Held => Ok(ImportOutcome::Accepted(id)),
            ControlReceipt::Welcome => {
                elements.push(Element::Control(verified));
                Ok(ImportOutcome::Accepted(id))
            }
            ControlReceipt::OtherAlliance => Err(ImportRefused::OtherAlliance),
            ControlReceipt::UnknownRoot | ControlReceipt::UnknownBase => {
                early.push(id);
                elements.push(Element::Control(verified));
                Ok(ImportOutcome::Accepted(id))
            }
        }
    }
}

impl Batch {
    fn take(&mut self, header: AttestedHeader, body: Option<Arc<[u8]>>) {
        let id = header.id();
        self.ops.push(SaveOp::Header(header.clone()));
        self.elements.push(Element::Header(header));
        if let Some(bytes) = body {
            self.ops.push(SaveOp::Body { id, bytes: Arc::clone(&bytes) });
            self.elements.push(Element::Body { id, bytes });
        }
    }
}

/// Returns those of `fresh` that were accepted.
fn accepted_of(mut fresh: Vec<Fresh>, changes: &Changes) -> Vec<Fresh> {
    let accepted: BTreeSet<EnvelopeId> = changes.accepted.iter().map(|placed| placed.tip.id).collect();
    fresh.retain(|(_, tip, _)| accepted.contains(&tip.id));
    fresh
}
