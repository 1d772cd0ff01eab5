//! The other end of the local API: what the command line and the testnet speak to a node with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::api::model::{Change, Problem};

mod download;
mod events;

pub use download::Download;
pub use events::Events;

/// Largest answer read: an export of a full alliance stays below.
pub const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Longest wait for an answer, beside what the request itself asks to wait.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A node's local API, by its socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

/// Why there is no answer, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens at the socket.
    #[error("no node answers at {}", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the node at {} broke off", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        #[source]
        source: hyper::Error,
    },
    /// The answer is too long or breaks off.
    #[error("the node's answer to {path} cannot be read: {cause}")]
    Body {
        /// What was asked.
        path: String,
        /// What went wrong.
        cause: String,
    },
    /// No answer in time.
    #[error("the node at {} did not answer within {timeout:?}", socket.display())]
    TimedOut {
        /// The socket.
        socket: PathBuf,
        /// How long we waited.
        timeout: Duration,
    },
    /// The node refused.
    #[error("{}", .0.error)]
    Refused(Problem),
    /// The answer is not what this version knows.
    #[error("the node's answer to {path} is not understood")]
    Answer {
        /// What was asked.
        path: String,
        /// What went wrong.
        #[source]
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Returns the exit code of DESIGN section 3 for it.
    pub const fn exit(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. } | Self::Body { .. } => 3,
            Self::Refused(problem) => problem.exit,
            Self::Answer { .. } => 4,
        }
    }
}

impl Client {
    /// Speaks to the node that listens at `socket`; nothing is opened before the first request.
    ///
    /// `socket` may be the symbolic link that a home with a long path keeps in place of the socket.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), timeout: ANSWER_TIMEOUT }
    }

    /// Waits `timeout` for each answer instead of [`ANSWER_TIMEOUT`].
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gets `path` with `query`; names and values are encoded here.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, ClientError> {
        let target = with_query(path, query);
        let bytes = self.answer(request(Method::GET, &target, None, Bytes::new())?, path).await?;
        read(path, &bytes)
    }

    /// Gets `path` with `query` as text, for exports and metrics.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_text(&self, path: &str, query: &[(&str, &str)]) -> Result<String, ClientError> {
        let target = with_query(path, query);
        let bytes = self.answer(request(Method::GET, &target, None, Bytes::new())?, path).await?;
        String::from_utf8(bytes.into())
            .map_err(|error| ClientError::Body { path: path.to_owned(), cause: error.to_string() })
    }

    /// Posts `body` to `path`; `key` goes into the header `Idempotency-Key`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|source| ClientError::Answer { path: path.to_owned(), source })?;
        let bytes = self.answer(request(Method::POST, path, key, Bytes::from(body))?, path).await?;
        read(path, &bytes)
    }

    /// Gets `path` with `query` as a stream of bytes.
    ///
    /// # Errors
    /// [`ClientError`] if the answer does not begin in time.
    pub async fn download(&self, path: &str, query: &[(&str, &str)]) -> Result<Download, ClientError> {
        self.stream(request(Method::GET, &with_query(path, query), None, Bytes::new())?, path).await
    }

    /// Posts `body` to `path` with `query` and gets a stream of bytes.
    ///
    /// # Errors
    /// [`ClientError`] if the answer does not begin in time.
    pub async fn post_download(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Download, ClientError> {
        self.stream(octets(&with_query(path, query), body)?, path).await
    }

    /// Posts bytes to `path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
        let bytes = self.answer(octets(path, body)?, path).await?;
        read(path, &bytes)
    }

    /// Deletes what `path` with `query` names.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, ClientError> {
        let target = with_query(path, query);
        let bytes = self.answer(request(Method::DELETE, &target, None, Bytes::new())?, path).await?;
        read(path, &bytes)
    }

    /// Subscribes to changes.
    ///
    /// # Errors
    /// [`ClientError`] if the subscription is not answered in time.
    pub async fn watch(&self) -> Result<Events<Change>, ClientError> {
        const PATH: &str = "/v1/watch";
        let request = request(Method::GET, PATH, None, Bytes::new())?;
        let exchange = async {
            let (response, sender) = self.send(request).await?;
            let body = self.accepted(response, PATH).await?;
            Ok(Events::new(body, sender))
        };
        self.in_time(exchange).await
    }

    async fn stream(&self, request: Request<Full<Bytes>>, path: &str) -> Result<Download, ClientError> {
        let exchange = async {
            let (response, sender) = self.send(request).await?;
            let body = self.accepted(response, path).await?;
            Ok(Download::new(body, sender, path, self.timeout))
        };
        self.in_time(exchange).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>, path: &str) -> Result<Bytes, ClientError> {
        let exchange = async {
            let (response, _sender) = self.send(request).await?;
            let body = self.accepted(response, path).await?;
            collect(body, path).await
        };
        self.in_time(exchange).await
    }

    async fn in_time<T>(&self, exchange: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::TimedOut { socket: self.socket.clone(), timeout: self.timeout }),
        }
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, http1::SendRequest<Full<Bytes>>), ClientError> {
        // A home with a long path keeps a link; the system refuses the long name but not what it points to.
        let path = std::fs::read_link(&self.socket).unwrap_or_else(|_| self.socket.clone());
        let stream = UnixStream::connect(&path)
            .await
            .map_err(|source| ClientError::Unreachable { socket: self.socket.clone(), source })?;
        let broken = |source| ClientError::Broken { socket: self.socket.clone(), source };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // The task ends with the connection, which ends when `sender` and the body are dropped.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok((response, sender))
    }

    async fn accepted(&self, response: Response<Incoming>, path: &str) -> Result<Incoming, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let bytes = collect(response.into_body(), path).await?;
        Err(ClientError::Refused(serde_json::from_slice(&bytes).unwrap_or_else(|_| unexplained(status, path))))
    }
}

fn unexplained(status: StatusCode, path: &str) -> Problem {
    Problem {
        error: format!("the node refused {path}: {status}"),
        cause: None,
        hint: None,
        exit: if status.is_client_error() { 2 } else { 4 },
    }
}

async fn collect(body: Incoming, path: &str) -> Result<Bytes, ClientError> {
    let collected = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| ClientError::Body { path: path.to_owned(), cause: error.to_string() })?;
    Ok(collected.to_bytes())
}

fn read<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|source| ClientError::Answer { path: path.to_owned(), source })
}

fn request(method: Method, target: &str, key: Option<&str>, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut builder = Request::builder().method(method).uri(target).header(header::HOST, "localhost");
    if !body.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(key) = key {
        builder = builder.header("idempotency-key", key);
    }
    builder.body(Full::new(body)).map_err(|error| {
        ClientError::Refused(Problem {
            error: format!("{target} cannot be asked for"),
            cause: Some(error.to_string()),
            hint: None,
            exit: 2,
        })
    })
}

fn octets(target: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut request = request(Method::POST, target, None, Bytes::from(body))?;
    let value = header::HeaderValue::from_static("application/octet-stream");
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    Ok(request)
}

fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut target = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        percent_encode(&mut target, name);
        target.push('=');
        percent_encode(&mut target, value);
    }
    target
}

fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&comity_protocol::ids::hex(&[byte]).to_ascii_uppercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_percent_encoded() {
        assert_eq!(
            with_query("/v1/show", &[("ref", "POL/pledge/7k3@ab"), ("as_of", "a+b c&d=é")]),
            "/v1/show?ref=POL/pledge/7k3%40ab&as_of=a%2Bb%20c%26d%3D%C3%A9"
        );
        assert_eq!(with_query("/v1/status", &[]), "/v1/status");
    }

    #[tokio::test]
    async fn nobody_at_the_socket_is_unreachable() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let client = Client::new(&home.path().join("node.sock"));
        let error = client.get::<serde_json::Value>("/v1/status", &[]).await.expect_err("nobody listens");
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
        assert_eq!(error.exit(), 3);
    }
}
