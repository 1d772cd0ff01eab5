//! Views, computed beside the loop from a snapshot that it gives away: a view of a large record takes seconds, and links
//! die while the loop stands still.
//!
//! The snapshot is taken in the loop after a commit, as every read is, so a caller whose write was answered sees it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::StatusCode;
use comity_protocol::dossier::{RecordAge, Seen};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{Digest, Timestamp};
use comity_protocol::statement::ledger::{Ledger, Snapshot};
use comity_protocol::statement::silence::Silence;
use comity_protocol::view::View;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Handle, Reading, as_of};
use crate::answers::age::{self, usual_heartbeat_ms};
use crate::api::Refusal;

/// Views computed at a time: a board need not wait for an export, and the loop still finds a processor.
const RUNNING_MAX: usize = 2;
/// Views asked for at a time, those being computed included; callers beyond are told to come again.
pub const VIEWS_ASKED_MAX: usize = 64;

/// Bundles and courier files on their way at a time: each holds some mebibytes, and a slow reader holds it for long.
const STREAMS_MAX: usize = 4;

/// The bounds on views, and the last one.
#[derive(Clone, Debug)]
pub(super) struct Views {
    asked: Arc<Semaphore>,
    running: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    last: Arc<Mutex<Option<Last>>>,
    silence: Arc<Mutex<Option<LastSilence>>>,
}

/// What the chains last proved about proposals, with the digests of the state they prove it in.
type LastSilence = ([Digest; 2], Arc<Silence>);

/// A view that may serve again.
#[derive(Debug)]
struct Last {
    /// Digests of the state it is computed from and of what is held, which name the set with its bodies.
    state: [Digest; 2],
    as_of: Timestamp,
    /// Callers that ask for the same while it is computed wait for it.
    view: Arc<OnceLock<Arc<View>>>,
}

/// What the loop gives away.
struct Taken {
    state: [Digest; 2],
    snapshot: Snapshot,
    seen: Seen,
    age: RecordAge,
    as_of: Timestamp,
}

/// The record at one moment with all that is shown of it; what happens meanwhile is not in it.
#[derive(Debug)]
pub struct Outlook {
    snapshot: Snapshot,
    seen: Seen,
    age: RecordAge,
    view: Arc<View>,
    as_of: Timestamp,
}

impl Outlook {
    /// Shows what follows from `state` at a moment; it is computed here and now, however long it takes.
    pub fn of(state: &State, as_of: Timestamp) -> Self {
        let snapshot = Snapshot::of(state);
        let view = Arc::new(View::of(&snapshot.ledger(), as_of));
        let age = RecordAge::of(state, None, as_of, usual_heartbeat_ms());
        Self { snapshot, seen: Seen::of(state), age, view, as_of }
    }

    /// The moment asked for.
    pub const fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// The view; it holds at [`Outlook::as_of`], and may have been computed for an earlier moment.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What the nations' witnesses acknowledge.
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// How old the record was when it was looked at, whatever moment it is shown for.
    pub const fn age(&self) -> &RecordAge {
        &self.age
    }

    /// Returns what was said by then.
    pub fn ledger(&self) -> Ledger<'_> {
        self.snapshot.ledger()
    }
}

impl Views {
    pub(super) fn new() -> Self {
        Self {
            asked: Arc::new(Semaphore::new(VIEWS_ASKED_MAX)),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            last: Arc::default(),
            silence: Arc::default(),
        }
    }

    /// Waits for a turn; both permits are held until the view has been used.
    async fn turn(&self) -> Result<[OwnedSemaphorePermit; 2], Refusal> {
        let asked = Arc::clone(&self.asked).try_acquire_owned().map_err(|_| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the node is busy")
                .cause(format!("{VIEWS_ASKED_MAX} queries wait or are computed"))
                .hint("ask again in a while")
        })?;
        let running = Arc::clone(&self.running).acquire_owned().await.expect("nobody closes the semaphore");
        Ok([asked, running])
    }

    /// Takes what a view is computed from, in the loop; what is dear in it is worked out once for each state.
    fn take(&self, state: &State, age: RecordAge, as_of: Timestamp) -> Taken {
        let digests = [state.state(), state.held()];
        let mut last = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let silence = match &*last {
            Some((of, silence)) if *of == digests => Arc::clone(silence),
            Some(_) | None => {
                let silence = Arc::new(Silence::of(state));
                *last = Some((digests, Arc::clone(&silence)));
                silence
            }
        };
        let snapshot = Snapshot::with_silence(state, silence);
        Taken { state: digests, snapshot, seen: Seen::of(state), age, as_of }
    }

    fn outlook(&self, taken: Taken) -> Outlook {
        let Taken { state, snapshot, seen, age, as_of } = taken;
        let compute = || Arc::new(View::of(&snapshot.ledger(), as_of));
        let last = self.last_or_new(state, as_of);
        let mut view = Arc::clone(last.get_or_init(compute));
        if !view.holds_at(as_of) {
            view = compute();
        }
        Outlook { snapshot, seen, age, view, as_of }
    }

    /// Returns the last view if it is of the same set and of no later moment; otherwise room for a new one.
    fn last_or_new(&self, state: [Digest; 2], as_of: Timestamp) -> Arc<OnceLock<Arc<View>>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(last) if last.state == state && last.may_hold_at(as_of) => Arc::clone(&last.view),
            Some(_) | None => {
                let view = Arc::default();
                *last = Some(Last { state, as_of, view: Arc::clone(&view) });
                view
            }
        }
    }
}

impl Last {
    fn may_hold_at(&self, as_of: Timestamp) -> bool {
        match self.view.get() {
            Some(view) => view.holds_at(as_of),
            // It is still computed; no view outlasts its day.
            None => self.as_of <= as_of && as_of.since(self.as_of) < Timestamp::DAY_MS,
        }
    }
}

impl Handle {
    /// Takes a turn to stream the record out; it lasts until the permit is dropped.
    ///
    /// # Errors
    /// That too many streams are on their way.
    pub fn stream_turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.views.streams).try_acquire_owned().map_err(|_| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the node is busy")
                .cause(format!("{STREAMS_MAX} exports are on their way"))
                .hint("ask again in a while")
        })
    }

    /// Shows the record at a moment, now if `moment` is none; `look` runs beside the loop, and may take its time.
    ///
    /// # Errors
    /// What `look` refuses, that `moment` is no moment, that too many ask, or that the node is stopping.
    pub async fn view<T: Send + 'static>(
        &self,
        moment: Option<String>,
        look: impl FnOnce(&Outlook) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.view_with(moment, |_| Ok(()), |outlook, ()| look(outlook)).await
    }

    /// Shows the record as [`Handle::view`] does; `gather` takes what else is needed from the replica, in the loop and at
    /// the same moment.
    ///
    /// # Errors
    /// What `gather` or `look` refuses, and as [`Handle::view`].
    pub async fn view_with<A: Send + 'static, T: Send + 'static>(
        &self,
        moment: Option<String>,
        gather: impl FnOnce(&Reading<'_>) -> Result<A, Refusal> + Send + 'static,
        look: impl FnOnce(&Outlook, A) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = self.views.turn().await?;
        let views = self.views.clone();
        let take = move |reading: &Reading<'_>| {
            let as_of = as_of(moment.as_deref(), reading.now)?;
            let gathered = gather(reading)?;
            Ok((views.take(reading.state(), age::look(reading), as_of), gathered))
        };
        let (taken, gathered) = self.read(take).await?;
        let views = self.views.clone();
        let compute = move || {
            let outcome = look(&views.outlook(taken), gathered);
            // A caller that went away gives its turn to nobody before the work is done.
            drop(turn);
            outcome
        };
        tokio::task::spawn_blocking(compute).await.unwrap_or_else(|_| {
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the view broke off").hint("see the node's log"))
        })
    }
}

#[cfg(test)]
mod tests {
    use comity_protocol::guard::DraftWrite;
    use comity_protocol::testing::{FOUNDED_MS, TestAlliance};
    use comity_protocol::value::{Fields, Value};

    use super::*;

    fn requirement(id: u64) -> DraftWrite {
        let text = |text: &str| Value::Text(text.to_owned());
        let fields = [
            ("item", text("tents")),
            ("class", text("II")),
            ("quantity", Value::Uint(100)),
            ("unit", text("each")),
            ("priority", Value::Uint(1)),
            ("status", text("live")),
        ];
        DraftWrite {
            kind: "requirement".to_owned(),
            id: comity_protocol::value::record_id_from(id),
            replaces: Vec::new(),
            fields: fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Fields>(),
        }
    }

    #[test]
    fn a_view_serves_again_until_a_write_or_a_deadline() {
        let mut alliance = TestAlliance::new(3, &[("UKR", 1)]);
        let mut state = alliance.state();
        let views = Views::new();
        let ask = |state: &comity_protocol::evaluate::State, ms: u64| {
            let as_of = Timestamp(FOUNDED_MS + Timestamp::DAY_MS + ms);
            let age = RecordAge::of(state, None, as_of, usual_heartbeat_ms());
            let outlook = views.outlook(views.take(state, age, as_of));
            let mut expected = comity_protocol::view::view(state, as_of);
            assert_eq!(outlook.as_of(), as_of);
            expected.as_of = outlook.view.as_of;
            assert_eq!(*outlook.view, expected);
            outlook.view
        };
        let first = ask(&state, 0);
        assert!(Arc::ptr_eq(&first, &ask(&state, 0)) && Arc::ptr_eq(&first, &ask(&state, 1_000)));
        let node = alliance.node(0, 0);
        let envelope = node.write(&state, vec![requirement(1)]).expect("writes");
        state.admit(envelope.elements().into());
        let second = ask(&state, 2_000);
        assert_eq!((first.requirements.len(), second.requirements.len()), (0, 1));
        assert!(Arc::ptr_eq(&second, &ask(&state, 3_000)));
        let tomorrow = ask(&state, Timestamp::DAY_MS);
        assert!(!Arc::ptr_eq(&second, &tomorrow));
        assert!(!Arc::ptr_eq(&tomorrow, &ask(&state, 3_000)), "nothing is known of the moments before");
    }
}
