//! Writing: own envelopes are built, checked, signed, saved and only then spoken of (spec 4.12).

use std::collections::BTreeMap;

use super::Replica;
use crate::effect::{
    Authoring, Effect, HaltReason, Idempotency, RecordWrite, Remembered, Replaces, SaveOp, Storage, WriteRefused,
    WriteRequest, Written,
};
use crate::envelope::{AttestedHeader, Header, SignedHeader};
use crate::evaluate::{AuthorError, Element};
use crate::guard::DraftWrite;
use crate::ids::{Digest, EnvelopeId, Tip};
use crate::keys::SecretKey;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, REMEMBERED_MAX, WRITES_PER_REQUEST_MAX};
use crate::rules::Rule;

/// The own key and what it may do.
#[derive(Debug)]
pub(super) struct Author {
    key: SecretKey,
    /// Why nothing is signed any more.
    pub(super) halted: Option<HaltReason>,
    /// The last envelope that this key is known to have signed before the start.
    pub(super) signed: Tip,
    remembered: BTreeMap<String, (u64, Remembered)>,
    /// The keys by age, so that the oldest is forgotten first.
    by_age: BTreeMap<u64, String>,
    next_age: u64,
    /// Saves that come too late, where that rule is broken on purpose.
    late: Vec<SaveOp>,
}

impl Author {
    /// What the node signs with.
    pub(super) const fn key(&self) -> &SecretKey {
        &self.key
    }

    pub(super) fn new(key: SecretKey, remembered: Vec<Remembered>, authoring: Authoring, signed: Tip) -> Self {
        let halted = match authoring {
            Authoring::Free => None,
            Authoring::Restored { sentinel, stored } => Some(HaltReason::Restored { sentinel, stored }),
            Authoring::Halted(reason) => Some(reason),
        };
        let mut author = Self {
            key,
            halted,
            signed,
            remembered: BTreeMap::new(),
            by_age: BTreeMap::new(),
            next_age: 0,
            late: Vec::new(),
        };
        remembered.into_iter().for_each(|answer| author.remember(answer));
        author
    }

    /// Signs a header around its body; nothing is changed yet.
    pub(super) fn sign(&self, header: Header, body: Vec<u8>) -> Ready {
        let SignedHeader { header, signature } = SignedHeader::sign(header, &self.key);
        Ready { header: AttestedHeader::trusted(header, Some(signature)), body }
    }

    fn remember(&mut self, answer: Remembered) {
        let age = self.next_age;
        self.next_age += 1;
        self.by_age.insert(age, answer.key.clone());
        if let Some((older, _)) = self.remembered.insert(answer.key.clone(), (age, answer)) {
            self.by_age.remove(&older);
        }
        while self.remembered.len() > REMEMBERED_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.remembered.remove(&oldest);
        }
    }
}

/// An own envelope ready to be taken in.
pub(super) struct Ready {
    header: AttestedHeader,
    body: Vec<u8>,
}

impl Replica {
    /// Why this node does not author, if it does not.
    pub fn halted(&self) -> Option<HaltReason> {
        if let Some(reason) = self.author.halted {
            return Some(reason);
        }
        let rules = self.state.charter().map_or(0, |charter| charter.rules);
        if rules > self.rules_max {
            return Some(HaltReason::Rules { rules });
        }
        let chain = self.state.chain(&self.me)?;
        if let Some(seq) = chain.fork() {
            return Some(HaltReason::Forked { seq });
        }
        let all_linked = usize::try_from(chain.linked_to()).is_ok_and(|linked| linked == chain.len());
        let bodies_to = chain.heads().first().map_or(0, |head| head.bodies_to);
        (!all_linked || bodies_to < chain.linked_to()).then_some(HaltReason::OwnBodyMissing { seq: bodies_to + 1 })
    }

    /// Returns the remembered answer to a write under this idempotency key, before anything of the write is looked at.
    ///
    /// # Errors
    /// [`WriteRefused::OtherContent`] if the key was used for something else, [`WriteRefused::IdempotencyKey`] if it is no key.
    pub fn remembered(&self, idempotency: &Idempotency) -> Result<Option<Written>, WriteRefused> {
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&idempotency.key.len()) {
            return Err(WriteRefused::IdempotencyKey);
        }
        if !self.rules.keeps(Rule::RememberAnswers) {
            return Ok(None);
        }
        let Some((_, answer)) = self.author.remembered.get(&idempotency.key) else { return Ok(None) };
        if answer.content != idempotency.content {
            return Err(WriteRefused::OtherContent { key: idempotency.key.clone(), version: answer.version });
        }
        let held_by = self.held_by(&answer.version);
        Ok(Some(Written { record: answer.record.clone(), version: answer.version, replayed: true, held_by }))
    }

    /// Carries out a local write.
    pub(super) fn write(&mut self, write: WriteRequest) {
        let (request, wait) = (write.request, write.wait);
        let outcome = self.try_write(write);
        let seq = match &outcome {
            Ok(written) => self.own_seq(&written.version),
            Err(_) => {
                self.counters.writes_refused += 1;
                None
            }
        };
        self.effects.push_back(Effect::Written { request, outcome });
        if wait > 0
            && let Some(seq) = seq
        {
            let answer = self.waits.wait(request, seq, wait);
            self.effects.extend(answer);
        }
    }

    fn own_seq(&self, id: &EnvelopeId) -> Option<u64> {
        self.state.chain(&self.me)?.get(id).map(|held| held.seq())
    }

    fn try_write(&mut self, write: WriteRequest) -> Result<Written, WriteRefused> {
        if let Some(idempotency) = &write.idempotency
            && let Some(answer) = self.remembered(idempotency)?
        {
            return Ok(answer);
        }
        if self.storage == Storage::Full {
            return Err(WriteRefused::StorageFull);
        }
        if let Some(reason) = self.halted() {
            return Err(WriteRefused::Halted(reason));
        }
        if !(1..=WRITES_PER_REQUEST_MAX).contains(&write.writes.len()) {
            return Err(WriteRefused::Count { have: write.writes.len() });
        }
        if write.wait > 0 && !self.waits.has_room() {
            return Err(WriteRefused::TooManyWaiting);
        }
        let record = write.writes.first().map(|first| (first.kind.clone(), first.id.clone())).unwrap_or_default();
        let ready = self.build(write.writes)?;
        let version = ready.header.id();
        let remembered = write.idempotency.map(|Idempotency { key, content }| Remembered {
            key,
            content,
            record: record.clone(),
            version,
        });
        self.take_own(ready, remembered);
        self.counters.written += 1;
        Ok(Written { record, version, replayed: false, held_by: Vec::new() })
    }

    /// Builds and signs the next own envelope; nothing is changed yet.
    fn build(&self, writes: Vec<RecordWrite>) -> Result<Ready, WriteRefused> {
        let drafts = writes.into_iter().map(|write| self.draft_write(write)).collect::<Result<Vec<_>, _>>()?;
        let (header, body) = self.state.next_change(&self.me, self.now, drafts).map_err(|error| self.refusal(error))?;
        Ok(self.author.sign(header, body))
    }

    fn refusal(&self, error: AuthorError) -> WriteRefused {
        match error {
            AuthorError::NotActive(_) => WriteRefused::NotActive,
            AuthorError::Forked { seq } => WriteRefused::Halted(HaltReason::Forked { seq }),
            AuthorError::Incomplete { bodies_to, .. } => {
                WriteRefused::Halted(HaltReason::OwnBodyMissing { seq: bodies_to + 1 })
            }
            AuthorError::Quota => {
                WriteRefused::Quota { quota: self.state.charter().map_or(0, |charter| charter.params.chain_quota) }
            }
            AuthorError::BodyTooLong { bytes } => WriteRefused::TooLarge { bytes },
            AuthorError::Void(reason) => WriteRefused::Void(reason),
        }
    }

    fn draft_write(&self, write: RecordWrite) -> Result<DraftWrite, WriteRefused> {
        let RecordWrite { kind, id, replaces, fields } = write;
        if let Replaces::Exactly(replaces) = replaces {
            return Ok(DraftWrite { kind, id, replaces, fields });
        }
        let record = self.state.section(&self.me.nation).table().record(&kind, &id);
        match (&replaces, record.and_then(|record| record.winner())) {
            (Replaces::Nothing, None) => {}
            (Replaces::Nothing, Some(_)) => return Err(WriteRefused::Exists { kind, id }),
            (Replaces::Surviving | Replaces::IfWinner(_), None) => return Err(WriteRefused::NoRecord { kind, id }),
            (Replaces::Surviving, Some(_)) | (Replaces::Exactly(_), _) => {}
            (Replaces::IfWinner(expected), Some(winner)) => {
                let current = winner.source.envelope;
                if current != *expected {
                    return Err(WriteRefused::OtherVersion { kind, id, expected: *expected, current });
                }
            }
        }
        let replaces = self.state.section(&self.me.nation).replaces(&kind, &id);
        Ok(DraftWrite { kind, id, replaces, fields })
    }

    /// Takes in an own envelope: saved first, then spoken of.
    pub(super) fn take_own(&mut self, ready: Ready, remembered: Option<Remembered>) {
        let (tip, body_len) = (ready.header.tip(), ready.body.len());
        let bytes: std::sync::Arc<[u8]> = ready.body.into();
        let mut ops = vec![SaveOp::Header(ready.header.clone())];
        if self.rules.keeps(Rule::SaveEveryRow) || !tip.seq.is_multiple_of(2) {
            ops.push(SaveOp::Body { id: tip.id, bytes: std::sync::Arc::clone(&bytes) });
        }
        if let Some(answer) = remembered {
            ops.push(SaveOp::Remember(answer.clone()));
            self.author.remember(answer);
        }
        let elements = vec![Element::Header(ready.header), Element::Body { id: tip.id, bytes }];
        if self.rules.keeps(Rule::SaveBeforeSpeaking) {
            self.admit(elements, ops);
        } else {
            self.admit(elements, Vec::new());
            self.author.late.extend(ops);
        }
        self.push_own(tip, body_len);
    }

    /// Asks for the saves that were held back, now that a driver has carried out what rests on them.
    pub(super) fn save_late(&mut self) {
        if !self.author.late.is_empty() {
            self.effects.push_back(Effect::Save(std::mem::take(&mut self.author.late)));
        }
    }
}

/// A hash of what a caller asked for, for [`Idempotency`]: the caller says what belongs to it.
pub fn content_digest(bytes: &[u8]) -> Digest {
    crate::keys::tagged_hash("write", bytes)
}
