//! A desk for each nation: its statements are written one after the other, and repeated while they have no answer.

use std::sync::Arc;
use std::time::Duration;

use comity_node::client::{Client, ClientError};
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::burst::Hand;
use super::ledger::Ledger;
use super::said;
use crate::draft::Draft;
use crate::wire::{WriteAnswer, WriteRequest};

/// Longest wait for one answer of a node.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// Pause of a writer whose node does not answer.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Whether a nation's node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It runs.
    Up,
    /// It was killed and comes back.
    Down,
    /// It was killed and does not come back.
    Gone,
}

/// Where one nation's statements are written, one after the other.
#[derive(Debug)]
pub(super) struct Desk {
    /// The nation.
    pub(super) code: String,
    /// Its node.
    pub(super) client: Client,
    /// Where acknowledged writes are noted.
    pub(super) ledger: Arc<Ledger>,
    /// Held during a write: whoever has it knows that none of this nation is unanswered.
    pub(super) turn: Mutex<Turn>,
    /// Whether the node is there.
    pub(super) presence: watch::Sender<Presence>,
}

/// What the holder of a desk works with.
#[derive(Debug)]
pub(super) struct Turn {
    /// What is written next.
    pub(super) hand: Hand,
    /// A write without an answer, to be repeated under its id.
    pub(super) pending: Option<(String, Draft)>,
    /// Statements the node refused.
    pub(super) refused: Vec<String>,
}

impl Desk {
    /// Writes one statement and notes the answer.
    pub(super) async fn write(&self, id: &str, draft: &Draft) -> Result<WriteAnswer, ClientError> {
        let answer: WriteAnswer = self.client.post("/v1/write", Some(id), &WriteRequest { id, draft }).await?;
        self.ledger.note(&self.code, &draft.kind, &answer);
        Ok(answer)
    }

    /// Writes one statement that the hand made up, so that it may come back to it.
    pub(super) async fn write_own(&self, turn: &mut Turn, id: &str, draft: &Draft) -> Result<WriteAnswer, ClientError> {
        let answer = self.write(id, draft).await?;
        turn.hand.learn(draft, &answer);
        Ok(answer)
    }

    /// Writes one statement of its own every `pause` until told to stop or the node is gone.
    pub(super) async fn keep_writing(self: Arc<Self>, pause: Duration, mut stop: watch::Receiver<bool>) {
        let mut presence = self.presence.subscribe();
        let mut ticks = interval(pause.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|is_over| *is_over) => return,
                _ = ticks.tick() => {}
            }
            let here = *presence.borrow_and_update();
            match here {
                Presence::Up => {}
                Presence::Gone => return,
                Presence::Down => {
                    tokio::select! {
                        _ = stop.wait_for(|is_over| *is_over) => return,
                        _ = presence.changed() => continue,
                    }
                }
            }
            let mut turn = self.turn.lock().await;
            if *self.presence.borrow() != Presence::Up {
                continue;
            }
            let (id, draft) = turn.pending.take().unwrap_or_else(|| turn.hand.next());
            match self.write_own(&mut turn, &id, &draft).await {
                Ok(_) => {}
                Err(ClientError::Refused(problem)) if problem.exit < 3 => {
                    let error = said(&ClientError::Refused(problem));
                    turn.refused.push(format!("{} refused {}: {error}", self.code, draft.kind));
                }
                Err(_) => {
                    turn.pending = Some((id, draft));
                    drop(turn);
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }
}
