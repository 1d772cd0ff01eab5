//! An answer too large to be held at once, read piece by piece.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;

use super::ClientError;

/// A stream of bytes; it ends when it is dropped.
pub struct Download {
    body: Incoming,
    /// Keeps the connection open.
    _sender: SendRequest<Full<Bytes>>,
    path: String,
    timeout: Duration,
}

impl Download {
    pub(super) fn new(body: Incoming, sender: SendRequest<Full<Bytes>>, path: &str, timeout: Duration) -> Self {
        Self { body, _sender: sender, path: path.to_owned(), timeout }
    }

    /// Waits for the next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Body`] if the stream breaks off or stands still.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let broken = |cause: String| ClientError::Body { path: self.path.clone(), cause };
        loop {
            match tokio::time::timeout(self.timeout, self.body.frame()).await {
                Err(_) => return Err(broken(format!("nothing came for {:?}", self.timeout))),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(broken(error.to_string())),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}
