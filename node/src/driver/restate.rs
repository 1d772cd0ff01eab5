//! Stating anew what a cut left waiting: looked for and written in one turn, so that nothing is written twice.

use axum::http::StatusCode;
use comity_protocol::dossier::restatements;
use comity_protocol::effect::{RecordWrite, Replaces, WriteRequest};
use comity_protocol::ids::EnvelopeId;

use super::handle::Answer;
use super::{Driver, Input};
use crate::answers::restate::{named, report};
use crate::api::Refusal;
use crate::api::model::{RestateRequest, Restated};

/// Most changes of one call: they share a transaction.
const CHANGES_MAX: usize = 512;

impl Driver {
    pub(super) fn restate(&mut self, request: &RestateRequest, answer: Answer<Restated>) {
        let (nation, state) = (self.facts.nation, self.replica.state());
        let also: Vec<EnvelopeId> = match named(state, &nation, &request.disavowed) {
            Ok(also) => also,
            // A caller that went away wants no answer.
            Err(refusal) => return drop(answer.send(Err(refusal))),
        };
        let mut plan = restatements(state, &nation, &also);
        let more = plan.writes.len() > CHANGES_MAX;
        plan.writes.truncate(CHANGES_MAX);
        let restated = Restated { dry_run: request.dry_run, more, ..report(state, &plan) };
        if request.dry_run || plan.writes.is_empty() {
            return drop(answer.send(Ok(restated)));
        }
        if let Some(damage) = self.own_damage.first() {
            let refusal = Refusal::new(StatusCode::CONFLICT, "nothing is stated again").cause(damage.clone());
            return drop(answer.send(Err(refusal.hint("see `comity status`"))));
        }
        let requests = self.writes.take_restating(answer, restated);
        for (request, restatement) in requests.into_iter().zip(plan.writes) {
            let write = |write: comity_protocol::guard::DraftWrite| RecordWrite {
                kind: write.kind,
                id: write.id,
                replaces: Replaces::Exactly(write.replaces),
                fields: write.fields,
            };
            let writes = restatement.writes.into_iter().map(write).collect();
            self.handle(Input::Write(WriteRequest { request, writes, idempotency: None, wait: 0 }));
        }
    }
}
