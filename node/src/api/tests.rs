use std::net::SocketAddr;

use axum::Json;
use axum::body::Bytes;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::auth::{SocketPolicy, TcpPolicy};
use super::*;
use crate::client::{Client, ClientError};
use crate::config::{Config, Flags};

struct Served {
    home: tempfile::TempDir,
    tcp: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Served {
    fn client(&self) -> Client {
        Client::new(&self.home.path().join("node.sock"))
    }

    async fn start(policy: SocketPolicy) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let config = Config::load(home.path(), |_| None, &Flags::default()).expect("defaults");
        let tokens = TcpPolicy::load(home.path(), &config).expect("tokens are made");
        let routes = Router::new()
            .route("/look", get(|| async { Json(json!({"seen": true})) }))
            .route("/write", post(|body: Bytes| async move { Json(json!({"bytes": body.len()})) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let tcp = listener.local_addr().expect("bound");
        let socket = server::bind_socket(&home.path().join("node.sock")).expect("bound");
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(server::serve(guarded(routes, Some(tokens)), socket, policy, Some(listener), stopped));
        Self { home, tcp, stop, task }
    }

    /// Sends raw bytes over TCP and returns all that comes until the node closes.
    async fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.tcp).await.expect("connects");
        stream.write_all(text.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        // The node may reset a connection whose request it did not read to the end; what came before counts.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn own() -> SocketPolicy {
    SocketPolicy { uid: rustix::process::geteuid().as_raw(), read_gid: None, author_gid: None }
}

fn problem(error: ClientError) -> model::Problem {
    match error {
        ClientError::Refused(problem) => problem,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn the_socket_answers_its_own_user_and_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let served = Served::start(own()).await;
    let mode = std::fs::metadata(served.home.path().join("node.sock")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let client = served.client();
    assert_eq!(client.get::<Value>("/look", &[]).await.expect("answers"), json!({"seen": true}));
    assert_eq!(client.post::<_, Value>("/write", None, &json!([1])).await.expect("answers"), json!({"bytes": 3}));

    let missing = problem(client.get::<Value>("/nothing", &[]).await.expect_err("refused"));
    assert_eq!((missing.error.as_str(), missing.exit), ("there is no such path", 2));
    let wrong = problem(client.get::<Value>("/write", &[]).await.expect_err("refused"));
    assert_eq!(wrong.error, "the path does not take this method");
    let long =
        problem(client.post::<_, Value>("/write", None, &"x".repeat(REQUEST_BYTES_MAX)).await.expect_err("long"));
    assert_eq!(long.exit, 2);
}

#[tokio::test]
async fn a_connection_without_rights_is_refused_before_any_route() {
    use hyper::service::Service as _;
    for access in [Some(auth::Access::Socket(None)), Some(auth::Access::Tcp), None] {
        let routes = Router::new().route("/look", get(|| async { "secret" }));
        let service = hyper_util::service::TowerToHyperService::new(guarded(routes, None));
        let mut request = hyper::Request::get("/look").body(axum::body::Body::empty()).expect("a request");
        request.extensions_mut().extend(
            access
                .map(|access| {
                    let mut extensions = axum::http::Extensions::new();
                    extensions.insert(access);
                    extensions
                })
                .unwrap_or_default(),
        );
        let answer = service.call(request).await.expect("answers");
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{access:?}");
    }
}

#[tokio::test]
async fn tcp_takes_a_read_token_for_looking_only() {
    let served = Served::start(own()).await;
    let token = |name: &str| std::fs::read_to_string(served.home.path().join(name)).expect("made").trim().to_owned();
    let ask = |method: &str, path: &str, host: &str, token: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    let read = token("api-read.token");
    let author = token("api-author.token");
    for (request, status) in [
        (ask("GET", "/look", "localhost", &read), "200"),
        (ask("POST", "/write", "localhost", &read), "403"),
        (ask("POST", "/write", "localhost", &author), "200"),
        (ask("GET", "/look", "evil.example", &author), "403"),
        (ask("GET", "/look", "localhost", "guess"), "401"),
    ] {
        let answer = served.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
    }
}

#[tokio::test]
async fn heads_without_bound_are_cut_off() {
    let served = Served::start(own()).await;
    let many: String = (0..1_000).map(|i| format!("X-{i}: 1\r\n")).collect();
    let answer = served.raw(&format!("GET /look HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = "x".repeat(200_000);
    let answer = served.raw(&format!("GET /look HTTP/1.1\r\nHost: {long}\r\n\r\n")).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(served.client().get::<Value>("/look", &[]).await.is_ok());
}

#[tokio::test]
async fn a_stopped_node_is_unreachable() {
    let served = Served::start(own()).await;
    let client = served.client();
    assert!(client.get::<Value>("/look", &[]).await.is_ok());
    served.stop.send(true).expect("the server listens");
    served.task.await.expect("the server ends");
    let error = client.get::<Value>("/look", &[]).await.expect_err("nobody listens");
    assert_eq!(error.exit(), 3);
}
