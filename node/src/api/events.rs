//! `/v1/watch`: changes as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use tokio::sync::{broadcast, watch};

use super::model::Change;

/// A comment is sent when nothing happened for this long, so that a reader notices a dead node.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Returns the stream of `changes` until the node stops. A reader that is too slow is told how many it missed.
pub(super) fn watch(
    changes: broadcast::Receiver<Change>,
    stop: watch::Receiver<bool>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold((changes, stop), async |(mut changes, mut stop)| {
        let change = tokio::select! {
            biased;
            () = super::server::stopped(&mut stop) => return None,
            change = changes.recv() => match change {
                Ok(change) => change,
                Err(broadcast::error::RecvError::Lagged(count)) => missed(count),
                Err(broadcast::error::RecvError::Closed) => return None,
            },
        };
        let event = Event::default().event(change.event.clone()).json_data(&change).ok()?;
        Some((Ok(event), (changes, stop)))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn missed(count: u64) -> Change {
    Change {
        event: "missed".to_owned(),
        at: super::model::rfc3339(crate::driver::system_now()),
        nation: None,
        node: None,
        envelope: None,
        seq: None,
        records: Vec::new(),
        detail: Some(format!("{count} changes were missed; read again what you show")),
    }
}
