//! One turn of the loop: inputs, one commit, effects, reads.

use std::sync::atomic::Ordering::Relaxed;

use axum::http::StatusCode;
use comity_protocol::effect::{Confirm, Idempotency, RecordWrite, Replaces};
use comity_protocol::statement::ledger::Ledger;
use comity_protocol::statement::prepare::{Entry, prepare};
use comity_protocol::value::record_id_from;

use super::handle::{Write, WriteCall};
use super::{
    Answer, Call, Changes, Driver, DriverError, Effect, Input, Instant, LinkId, Names, NetCommand, NetEvent,
    PeerAnswer, Read, Reading, SaveOp, net, notice, warn, writes,
};
use crate::api::Refusal;
use crate::config::PeersError;

/// Most inputs of one batch: a local write waits for at most so many others.
const INPUTS_MAX: usize = 512;
/// Most bytes of frames in one batch: about as much as one transaction of a catch-up.
const FRAME_BYTES_MAX: usize = 4 << 20;

/// What is handled in one turn.
#[derive(Default)]
pub(super) struct Batch {
    calls: Vec<Call>,
    reads: Vec<Read>,
    events: Vec<NetEvent>,
    frame_bytes: usize,
    pub(super) tick: bool,
}

impl Batch {
    pub(super) fn call(&mut self, call: Call) {
        match call {
            Call::Read(read) => self.reads.push(read),
            Call::Carry { frames, answer } => {
                self.frame_bytes += frames.iter().map(Vec::len).sum::<usize>();
                self.calls.push(Call::Carry { frames, answer });
            }
            Call::Write(_)
            | Call::Import { .. }
            | Call::Confirm { .. }
            | Call::Restate { .. }
            | Call::AddPeer { .. }
            | Call::RemovePeer { .. } => {
                self.calls.push(call);
            }
        }
    }

    pub(super) fn event(&mut self, event: NetEvent) {
        self.frame_bytes += net::frame_bytes(&event);
        self.events.push(event);
    }

    pub(super) fn has_room(&self) -> bool {
        self.calls.len() + self.reads.len() + self.events.len() < INPUTS_MAX && self.frame_bytes < FRAME_BYTES_MAX
    }
}

impl Driver {
    /// Handles a batch, makes what it wants saved durable, and carries out the rest.
    pub(super) async fn carry_out(&mut self, batch: Batch) -> Result<(), DriverError> {
        let began = Instant::now();
        let Batch { calls, reads, events, tick, .. } = batch;
        let mut inputs = 0;
        for event in events {
            inputs += u64::from(self.handle_event(event));
        }
        for call in calls {
            self.handle_call(call).await;
            inputs += 1;
        }
        if tick {
            self.handle(Input::Tick);
        }
        self.expire_waits();
        self.retry_storage();
        let handled = began.elapsed();
        let (saves, effects) = self.drain_effects();
        self.counts.batches.fetch_add(1, Relaxed);
        self.counts.inputs.fetch_add(inputs, Relaxed);
        if self.commit(saves).await? {
            for effect in effects {
                self.carry_out_effect(effect).await;
            }
        }
        self.recheck_damage()?;
        let began = Instant::now();
        self.answer(reads);
        let busy = handled + began.elapsed();
        self.counts.busy_micros.fetch_add(u64::try_from(busy.as_micros()).unwrap_or(u64::MAX), Relaxed);
        Ok(())
    }

    pub(super) fn handle(&mut self, input: Input) {
        let now = self.clock.now();
        self.replica.handle(now, input);
    }

    /// Whether the event was for the replica.
    fn handle_event(&mut self, event: NetEvent) -> bool {
        let peer = match &event {
            NetEvent::LinkDown { link, .. } => self.links.get(&LinkId(link.0)).copied(),
            _ => None,
        };
        notice::link(&self.changes, &event, peer, self.replica.state());
        let Some(input) = net::input(event) else { return false };
        match &input {
            Input::LinkUp(up) => {
                self.links.insert(up.link, up.peer);
            }
            Input::LinkDown { link } => {
                self.links.remove(link);
            }
            _ => {}
        }
        self.handle(input);
        true
    }

    async fn handle_call(&mut self, call: Call) {
        match call {
            Call::Read(_) => {}
            Call::Write(call) => self.write(call),
            Call::Restate { request, answer } => self.restate(&request, answer),
            Call::Import { records, answer } => {
                let request = self.writes.take_import(answer);
                self.handle(Input::Import { request, records });
            }
            Call::Confirm { adopt, evidence, answer } => {
                let request = self.writes.take_confirm(answer);
                self.handle(Input::Confirm(Confirm { request, adopt, evidence }));
            }
            Call::Carry { frames, answer } => {
                let request = self.writes.take_carried(answer);
                self.handle(Input::Carried { request, frames });
            }
            Call::AddPeer { peer, answer } => {
                let address = peer.address.to_string();
                let outcome = self.dialing.added.add(peer);
                self.peer_changed(address, outcome, answer).await;
            }
            Call::RemovePeer { address, answer } => {
                let outcome = self.dialing.added.remove(&address);
                self.peer_changed(address.to_string(), outcome, answer).await;
            }
        }
    }

    async fn peer_changed(&self, address: String, outcome: Result<bool, PeersError>, answer: Answer<PeerAnswer>) {
        let outcome = match outcome {
            Ok(changed) => {
                if changed {
                    self.redial().await;
                }
                Ok(PeerAnswer { address, changed })
            }
            Err(error) => {
                let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the peers were not changed");
                Err(refusal.cause(error.to_string()))
            }
        };
        // A caller that went away wants no answer.
        drop(answer.send(outcome));
    }

    /// Turns a draft into a version of a record and hands it to the replica.
    fn write(&mut self, call: WriteCall) {
        match self.prepared(&call.write) {
            Ok((records, idempotency)) => {
                let request = self.writes.take(call, records, idempotency);
                self.handle(Input::Write(request));
            }
            // A caller that went away wants no answer.
            Err(refusal) => drop(call.answer.send(Err(refusal))),
        }
    }

    /// Returns what a draft writes: nothing if its answer is remembered, since it may not be prepared a second time.
    fn prepared(&self, write: &Write) -> Result<(Vec<RecordWrite>, Option<Idempotency>), Refusal> {
        let draft = writes::core_draft(&write.draft)?;
        let idempotency = writes::idempotency(write, &draft);
        if let Some(idempotency) = &idempotency
            && self.replica.remembered(idempotency).map_err(|refused| writes::write_refused(&refused))?.is_some()
        {
            return Ok((Vec::new(), Some(idempotency.clone())));
        }
        if let Some(damage) = self.own_damage.first() {
            return Err(Refusal::new(StatusCode::CONFLICT, "the statement is not written")
                .cause(damage.clone())
                .hint("it is fetched from a peer that holds it; see `comity status`"));
        }
        let entropy = getrandom::u64().map_err(|error| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the operating system gives no random bytes")
                .cause(error.to_string())
        })?;
        let ledger = Ledger::of(self.replica.state());
        let entry = Entry {
            ledger: &ledger,
            nation: self.facts.nation,
            draft: &draft,
            if_version: write.if_version.as_deref(),
            id: &record_id_from(entropy),
        };
        let prepared = prepare(&entry).map_err(|error| writes::draft_refused(&error))?;
        let replaces = if prepared.revises.is_some() { Replaces::Surviving } else { Replaces::Nothing };
        let kind = prepared.kind.name().to_owned();
        Ok((vec![RecordWrite { kind, id: prepared.id, replaces, fields: prepared.fields }], idempotency))
    }

    fn drain_effects(&mut self) -> (Vec<SaveOp>, Vec<Effect>) {
        let mut saves = Vec::new();
        let mut effects = Vec::new();
        while let Some(effect) = self.replica.poll_effect() {
            match effect {
                Effect::Save(ops) => saves.extend(ops),
                effect => effects.push(effect),
            }
        }
        (saves, effects)
    }

    /// Whether everything is durable; otherwise the replica was built again from the store and the effects are void.
    async fn commit(&mut self, saves: Vec<SaveOp>) -> Result<bool, DriverError> {
        if saves.is_empty() {
            return Ok(true);
        }
        match self.store.save(saves).await {
            Ok(saved) => {
                self.counts.saves.fetch_add(1, Relaxed);
                self.store_bytes = saved.store_bytes;
                self.room.saved();
                self.saved_since_check = true;
                Ok(true)
            }
            Err(error) if self.room.is_broken_by(&error) => {
                self.writes.failed(&error);
                Err(DriverError::Store(error))
            }
            Err(error) => {
                self.counts.saves_failed.fetch_add(1, Relaxed);
                warn!(%error, "nothing of a batch was saved");
                self.writes.failed(&error);
                self.rebuild(&error).await?;
                Ok(false)
            }
        }
    }

    async fn carry_out_effect(&mut self, effect: Effect) {
        match effect {
            // Taken out before.
            Effect::Save(_) => {}
            Effect::Push { link, frame } => {
                self.tell(NetCommand::Push { link: net::link(link), frame: net::framed(&frame) }).await;
            }
            Effect::Ask { link, exchange, frame } => {
                let frame = net::framed(&frame);
                self.tell(NetCommand::Ask { link: net::link(link), exchange: exchange.0, frame }).await;
            }
            Effect::Answer { link, exchange, frames } => {
                let frames = frames.iter().map(|frame| net::framed(frame)).collect();
                self.tell(NetCommand::Answer { link: net::link(link), exchange: exchange.0, frames, last: true }).await;
            }
            Effect::Close { link, reason } => {
                if let (Some(&peer), Some(pause)) = (self.links.get(&link), net::hold_off(reason)) {
                    self.tell(NetCommand::HoldOff { peer, pause }).await;
                }
                self.tell(NetCommand::Close { link: net::link(link), reason: net::close_reason(reason) }).await;
            }
            Effect::Admission(admission) => {
                self.tell(NetCommand::SetAdmission(net::admission(admission))).await;
            }
            Effect::Written { request, outcome } => {
                let names = Names { state: self.replica.state(), own: self.facts.nation };
                self.writes.written(request, outcome, &names);
            }
            Effect::Held { request, nations } => {
                let names = Names { state: self.replica.state(), own: self.facts.nation };
                self.writes.held(request, nations, &names);
            }
            Effect::Imported { request, outcomes } => self.writes.imported(request, &outcomes),
            Effect::Confirmed { request, outcome } => {
                if let Ok(tip) = &outcome {
                    warn!(seq = tip.seq, id = %tip.id.short(), "this node's chain was confirmed up to here, it authors again");
                }
                self.writes.confirmed(request, outcome, self.replica.state());
            }
            Effect::Carried { request, carried } => {
                let names = Names { state: self.replica.state(), own: self.facts.nation };
                self.writes.carried(request, &carried, &names);
            }
            Effect::Changed(changed) => self.changed(&changed).await,
            Effect::Alarm(alarm) => notice::alarm(&self.changes, &alarm, self.replica.state()),
        }
    }

    async fn changed(&mut self, changed: &Changes) {
        notice::changed(&self.changes, changed, self.replica.state());
        if notice::control_changed(changed) || self.dialing.profiles_changed(self.replica.state()) {
            self.redial().await;
        }
    }

    fn expire_waits(&mut self) {
        let Self { writes, replica, facts, .. } = self;
        let names = Names { state: replica.state(), own: facts.nation };
        let over = writes.expire(Instant::now(), &|version| replica.held_by(version), &names);
        for request in over {
            self.handle(Input::StopWaiting { request });
        }
    }

    fn answer(&mut self, reads: Vec<Read>) {
        let now = self.clock.now();
        let reading = Reading {
            replica: &self.replica,
            facts: &self.facts,
            now,
            store_bytes: self.store_bytes,
            storage: self.room.storage(),
            own_damage: &self.own_damage,
        };
        for read in reads {
            read(&reading);
        }
    }
}
