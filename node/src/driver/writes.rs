//! Local writes between their call and their answer.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use comity_protocol::bundle::Carried;
use comity_protocol::effect::{
    ConfirmRefused, HaltReason, Idempotency, ImportOutcome, RecordWrite, RequestId, WriteRefused, WriteRequest, Written,
};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{EnvelopeId, NationId, Tip};
use comity_protocol::keys::tagged_hash;
use comity_protocol::limits::NATIONS_MAX;
use comity_protocol::statement::draft::{Draft, DraftError, DraftFault};
use tokio::time::Instant;

use super::handle::{Answer, Write, WriteCall};
use crate::answers;
use crate::api::Refusal;
use crate::api::model::{
    self, ConfirmAnswer, ControlAnswer, ControlRefusal, CourierAnswer, CourierRefusal, Restated, WriteAnswer,
};
use crate::store::SaveError;

/// Writes and imports that were not answered yet.
#[derive(Default)]
pub(super) struct Writes {
    last: u64,
    writes: BTreeMap<RequestId, Pending>,
    imports: BTreeMap<RequestId, Answer<ControlAnswer>>,
    carried: BTreeMap<RequestId, Answer<CourierAnswer>>,
    confirms: BTreeMap<RequestId, Answer<ConfirmAnswer>>,
    /// Calls that state anew, by their last write.
    restatings: BTreeMap<RequestId, Restating>,
    /// The writes of such a call that are open, with that last one and their place in its answer.
    restated: BTreeMap<RequestId, (RequestId, usize)>,
}

/// A call that makes many writes.
struct Restating {
    answer: Answer<Restated>,
    restated: Restated,
    refused: Option<WriteRefused>,
}

struct Pending {
    answer: Answer<WriteAnswer>,
    wait: usize,
    timeout: Duration,
    written: Option<(Written, Instant)>,
}

/// Turns nations into their codes.
pub(super) struct Names<'a> {
    /// Where they are looked up.
    pub(super) state: &'a State,
    /// The own nation.
    pub(super) own: NationId,
}

impl Names<'_> {
    fn code(&self, nation: &NationId) -> String {
        crate::answers::code(self.state, nation)
    }
}

impl Writes {
    /// Takes a write whose statement was prepared; returns it as the replica takes it.
    pub(super) fn take(
        &mut self,
        call: WriteCall,
        writes: Vec<RecordWrite>,
        idempotency: Option<Idempotency>,
    ) -> WriteRequest {
        let request = self.next();
        let WriteCall { write, answer } = call;
        // More nations than an alliance may have will never confirm; the caller is told at the deadline who did.
        let wait = usize::try_from(write.wait).unwrap_or(usize::MAX).min(NATIONS_MAX);
        let timeout = Duration::from_millis(write.timeout_ms);
        self.writes.insert(request, Pending { answer, wait, timeout, written: None });
        WriteRequest { request, writes, idempotency, wait }
    }

    /// Takes an import.
    pub(super) fn take_import(&mut self, answer: Answer<ControlAnswer>) -> RequestId {
        let request = self.next();
        self.imports.insert(request, answer);
        request
    }

    /// Takes a confirmation.
    pub(super) fn take_confirm(&mut self, answer: Answer<ConfirmAnswer>) -> RequestId {
        let request = self.next();
        self.confirms.insert(request, answer);
        request
    }

    /// Takes a call that states anew what its answer lists; returns a request for each, in that order.
    pub(super) fn take_restating(&mut self, answer: Answer<Restated>, restated: Restated) -> Vec<RequestId> {
        let requests: Vec<RequestId> = restated.written.iter().map(|_| self.next()).collect();
        if let Some(last) = requests.last() {
            self.restated.extend(requests.iter().copied().zip((0..).map(|place| (*last, place))));
            self.restatings.insert(*last, Restating { answer, restated, refused: None });
        }
        requests
    }

    /// One of the writes of a call that states anew is durable, or was refused; the last one answers the caller.
    fn restated(&mut self, request: RequestId, outcome: Result<Written, WriteRefused>) {
        let Some((last, place)) = self.restated.remove(&request) else { return };
        if let Some(restating) = self.restatings.get_mut(&last) {
            match outcome {
                Ok(written) => {
                    if let Some(row) = restating.restated.written.get_mut(place) {
                        row.envelope = Some(written.version.hex());
                    }
                }
                Err(refused) => {
                    restating.refused.get_or_insert(refused);
                }
            }
        }
        if request != last {
            return;
        }
        let Some(Restating { answer: caller, restated, refused }) = self.restatings.remove(&last) else { return };
        answer(caller, refused.map_or(Ok(restated), |refused| Err(write_refused(&refused))));
    }

    /// Takes frames of a courier file.
    pub(super) fn take_carried(&mut self, answer: Answer<CourierAnswer>) -> RequestId {
        let request = self.next();
        self.carried.insert(request, answer);
        request
    }

    /// Frames of a courier file were taken in or refused.
    pub(super) fn carried(&mut self, request: RequestId, carried: &Carried, names: &Names<'_>) {
        let Some(caller) = self.carried.remove(&request) else { return };
        let refused = carried.refused.iter().map(|(frame, reason)| CourierRefusal {
            frame: u32::try_from(*frame).unwrap_or(u32::MAX),
            rule: reason.rule().map(str::to_owned),
            reason: reason.to_string(),
        });
        answer(
            caller,
            Ok(CourierAnswer {
                control_new: carried.control_new,
                control_known: carried.control_known,
                envelopes_new: carried
                    .envelopes_new
                    .iter()
                    .map(|(nation, count)| (names.code(nation), *count))
                    .collect(),
                bodies_new: carried.bodies_new,
                envelopes_known: carried.envelopes_known,
                refused: refused.collect(),
            }),
        );
    }

    fn next(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    /// A write is durable, or was refused.
    pub(super) fn written(&mut self, request: RequestId, outcome: Result<Written, WriteRefused>, names: &Names<'_>) {
        let Some(mut pending) = self.writes.remove(&request) else { return self.restated(request, outcome) };
        match outcome {
            Err(refused) => answer(pending.answer, Err(write_refused(&refused))),
            Ok(written) if pending.wait == 0 => {
                answer(pending.answer, Ok(write_answer(&written, None, names)));
            }
            Ok(written) if written.held_by.len() >= pending.wait => {
                answer(pending.answer, Ok(write_answer(&written, Some(true), names)));
            }
            Ok(written) => {
                pending.written = Some((written, Instant::now() + pending.timeout));
                self.writes.insert(request, pending);
            }
        }
    }

    /// As many nations as a write asked for hold it.
    pub(super) fn held(&mut self, request: RequestId, nations: Vec<NationId>, names: &Names<'_>) {
        let Some(Pending { answer: caller, written: Some((mut written, _)), .. }) = self.writes.remove(&request) else {
            return;
        };
        written.held_by = nations;
        answer(caller, Ok(write_answer(&written, Some(true), names)));
    }

    /// Control records were taken in or refused.
    pub(super) fn imported(&mut self, request: RequestId, outcomes: &[ImportOutcome]) {
        let Some(caller) = self.imports.remove(&request) else { return };
        let mut result = ControlAnswer { accepted: 0, known: 0, refused: Vec::new() };
        for (index, outcome) in (0..).zip(outcomes) {
            match outcome {
                ImportOutcome::Accepted(_) => result.accepted += 1,
                ImportOutcome::Known(_) => result.known += 1,
                ImportOutcome::Refused(reason) => {
                    result.refused.push(ControlRefusal { index, reason: reason.to_string() });
                }
            }
        }
        answer(caller, Ok(result));
    }

    /// The node authors again, or not.
    pub(super) fn confirmed(&mut self, request: RequestId, outcome: Result<Tip, ConfirmRefused>, state: &State) {
        let Some(caller) = self.confirms.remove(&request) else { return };
        let outcome = match outcome {
            Ok(tip) => Ok(ConfirmAnswer { seq: tip.seq, envelope: tip.id.hex() }),
            Err(refused) => Err(answers::confirm::refusal(&refused, state)),
        };
        answer(caller, outcome);
    }

    /// The next moment at which a caller stops waiting.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.writes.values().filter_map(|pending| Some(pending.written.as_ref()?.1)).min()
    }

    /// Answers the callers whose time is over with who holds their write by now; returns their requests.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        held_by: &dyn Fn(&EnvelopeId) -> Vec<NationId>,
        names: &Names<'_>,
    ) -> Vec<RequestId> {
        let over = |pending: &Pending| pending.written.as_ref().is_some_and(|(_, deadline)| *deadline <= now);
        let requests: Vec<_> = self.writes.iter().filter(|(_, pending)| over(pending)).map(|(id, _)| *id).collect();
        for request in &requests {
            if let Some(Pending { answer: caller, wait, written: Some((mut written, _)), .. }) =
                self.writes.remove(request)
            {
                written.held_by = held_by(&written.version);
                let satisfied = written.held_by.len() >= wait;
                answer(caller, Ok(write_answer(&written, Some(satisfied), names)));
            }
        }
        requests
    }

    /// A save failed: nothing that is not durable yet was written. Writes that only wait for other nations go on waiting.
    pub(super) fn failed(&mut self, error: &SaveError) {
        let (durable, lost) =
            std::mem::take(&mut self.writes).into_iter().partition(|(_, pending)| pending.written.is_some());
        self.writes = durable;
        let lost: BTreeMap<RequestId, Pending> = lost;
        for pending in lost.into_values() {
            answer(pending.answer, Err(not_saved(error)));
        }
        self.restated.clear();
        for restating in std::mem::take(&mut self.restatings).into_values() {
            answer(restating.answer, Err(not_saved(error)));
        }
        for caller in std::mem::take(&mut self.imports).into_values() {
            answer(caller, Err(not_saved(error)));
        }
        for caller in std::mem::take(&mut self.confirms).into_values() {
            answer(caller, Err(not_saved(error)));
        }
        for caller in std::mem::take(&mut self.carried).into_values() {
            answer(caller, Err(not_saved(error)));
        }
    }
}

fn answer<T>(caller: Answer<T>, outcome: Result<T, Refusal>) {
    // A caller that went away wants no answer.
    drop(caller.send(outcome));
}

fn write_answer(written: &Written, satisfied: Option<bool>, names: &Names<'_>) -> WriteAnswer {
    let mut held_by: Vec<_> = written.held_by.iter().map(|nation| names.code(nation)).collect();
    held_by.sort_unstable();
    let (kind, id) = &written.record;
    WriteAnswer {
        record: format!("{}/{kind}/{id}", names.code(&names.own)),
        version: written.version.hex(),
        durable_here: true,
        held_by,
        wait_satisfied: satisfied,
        replayed: written.replayed,
    }
}

/// Returns the draft as the core reads it.
///
/// # Errors
/// What is not understood.
pub(super) fn core_draft(draft: &model::Draft) -> Result<Draft, Refusal> {
    let json = serde_json::to_value(draft).expect("text, numbers, lists and maps are JSON");
    serde_json::from_value(json)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "the draft is not understood").cause(error.to_string()))
}

/// Returns the caller's name for a write with a hash of what it asks for.
pub(super) fn idempotency(write: &Write, draft: &Draft) -> Option<Idempotency> {
    let key = write.key.clone()?;
    // A core draft has sorted maps, so equal content has equal bytes.
    let content = serde_json::to_vec(&(draft, &write.if_version)).expect("a draft is JSON");
    Some(Idempotency { key, content: tagged_hash("write", &content) })
}

/// Returns the refusal of a draft that is not written.
pub(super) fn draft_refused(error: &DraftError) -> Refusal {
    let status = match error.fault() {
        DraftFault::Input => StatusCode::UNPROCESSABLE_ENTITY,
        DraftFault::Refused => StatusCode::CONFLICT,
    };
    let refusal = Refusal::new(status, "the statement is not written").cause(error.to_string());
    match error.hint() {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

pub(super) fn write_refused(refused: &WriteRefused) -> Refusal {
    let (status, hint) = match refused {
        WriteRefused::NotActive => {
            (StatusCode::FORBIDDEN, Some("have the nation's root sign a roster with this node, see `comity roster`"))
        }
        WriteRefused::Halted(HaltReason::Restored { .. } | HaltReason::ForeignOwn { .. }) => {
            (StatusCode::CONFLICT, Some("see `comity node confirm`"))
        }
        WriteRefused::Halted(
            HaltReason::Rules { .. } | HaltReason::Forked { .. } | HaltReason::OwnBodyMissing { .. },
        ) => (StatusCode::CONFLICT, Some("see `comity status`")),
        WriteRefused::TooManyWaiting => {
            (StatusCode::SERVICE_UNAVAILABLE, Some("write without --wait, or wait until others have their answer"))
        }
        WriteRefused::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, Some("free space, or raise store.bytes_max")),
        WriteRefused::OtherContent { .. } => (StatusCode::CONFLICT, Some("use a new --id for new content")),
        WriteRefused::OtherVersion { .. } => {
            (StatusCode::CONFLICT, Some("look at the record again, then revise its latest version"))
        }
        WriteRefused::Quota { .. } => {
            (StatusCode::CONFLICT, Some("enrol a new key for this node and retire this one, see `comity roster`"))
        }
        WriteRefused::Exists { .. } | WriteRefused::NoRecord { .. } => (StatusCode::CONFLICT, None),
        WriteRefused::IdempotencyKey
        | WriteRefused::Count { .. }
        | WriteRefused::Void(_)
        | WriteRefused::TooLarge { .. } => (StatusCode::UNPROCESSABLE_ENTITY, None),
    };
    let refusal = Refusal::new(status, "the statement is not written").cause(refused.to_string());
    match hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// Returns the refusal of what could not be saved.
pub(super) fn not_saved(error: &SaveError) -> Refusal {
    let refusal = Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "nothing was written").cause(error.to_string());
    match error.hint() {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}
