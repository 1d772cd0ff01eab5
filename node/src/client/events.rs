//! Server-sent events, read one by one.

use std::marker::PhantomData;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use serde::de::DeserializeOwned;

use super::ClientError;

/// Largest event read.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// A subscription; it ends when it is dropped.
pub struct Events<T> {
    body: Incoming,
    /// Keeps the connection open.
    _sender: SendRequest<Full<Bytes>>,
    buffer: Vec<u8>,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Events<T> {
    pub(super) fn new(body: Incoming, sender: SendRequest<Full<Bytes>>) -> Self {
        Self { body, _sender: sender, buffer: Vec::new(), kind: PhantomData }
    }

    /// Waits for the next event; `None` once the node has stopped. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`ClientError`] if the stream breaks, or an event is too long or not understood.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(data) = take_event(&mut self.buffer) {
                if let Some(event) = data.map(|data| super::read("/v1/watch", &data)).transpose()? {
                    return Ok(Some(event));
                }
                continue;
            }
            if self.buffer.len() > EVENT_BYTES_MAX {
                return Err(broken("an event is longer than a mebibyte"));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

fn broken(cause: &str) -> ClientError {
    ClientError::Body { path: "/v1/watch".to_owned(), cause: cause.to_owned() }
}

/// Takes one whole event off the front: its data, or `None` for a comment. The node ends lines with `\n` only.
fn take_event(buffer: &mut Vec<u8>) -> Option<Option<Vec<u8>>> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let event: Vec<u8> = buffer.drain(..end + 2).collect();
    let mut data: Option<Vec<u8>> = None;
    for line in event.split(|&byte| byte == b'\n') {
        if let Some(part) = line.strip_prefix(b"data:") {
            let part = part.strip_prefix(b" ").unwrap_or(part);
            match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(part);
                }
                None => data = Some(part.to_vec()),
            }
        }
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_and_comments_skipped() {
        let mut buffer = b": hello\n\nevent: a\ndata: {\"x\":\ndata: 1}\n\ndata: half".to_vec();
        assert_eq!(take_event(&mut buffer), Some(None));
        assert_eq!(take_event(&mut buffer), Some(Some(b"{\"x\":\n1}".to_vec())));
        assert_eq!(take_event(&mut buffer), None);
        assert_eq!(buffer, b"data: half");
    }
}
