//! Listeners and connections of the local API, with their bounds.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

use super::auth::{Access, SocketPolicy};

/// Most connections at a time, over socket and TCP together; further callers wait.
pub const CONNECTIONS_MAX: usize = 256;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A caller that does not finish a request's head for this long is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stopping node lets running answers finish.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Pause after a failed accept, which happens when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the socket at `path`, readable and writable by owner and group only.
///
/// A socket that is left from a process that died is replaced; the caller holds the home's lock, so no other node uses it.
///
/// # Errors
/// What the system says.
pub fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves `router` until `stop` turns true, then lets running answers finish for a moment.
pub async fn serve(
    router: Router,
    socket: UnixListener,
    policy: SocketPolicy,
    tcp: Option<TcpListener>,
    stop: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stopping = stop.clone();
    loop {
        let permit = tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            permit = Arc::clone(&permits).acquire_owned() => permit.expect("nobody closes the semaphore"),
        };
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    // A caller whose credentials cannot be read is nobody.
                    let scope = stream.peer_cred().ok().and_then(|cred| policy.scope(cred.uid(), cred.gid()));
                    let connection = connection(router.clone(), stream, Access::Socket(scope), stop.clone());
                    tokio::spawn(async move { connection.await; drop(permit) });
                }
                Err(error) => accept_failed(&error).await,
            },
            accepted = accept_tcp(tcp.as_ref()) => match accepted {
                Ok(stream) => {
                    let connection = connection(router.clone(), stream, Access::Tcp, stop.clone());
                    tokio::spawn(async move { connection.await; drop(permit) });
                }
                Err(error) => accept_failed(&error).await,
            },
        }
    }
    let all = u32::try_from(CONNECTIONS_MAX).expect("a small number");
    if tokio::time::timeout(STOP_GRACE, permits.acquire_many(all)).await.is_err() {
        warn!("stopped while callers of the local API were still reading");
    }
}

/// Waits until the node stops; a dropped sender means the same.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The guard that is returned must not live across another wait.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept_tcp(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

async fn accept_failed(error: &io::Error) {
    warn!(%error, "cannot accept a caller of the local API");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn connection<S>(router: Router, stream: S, access: Access, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(access);
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        debug!(%error, "a caller of the local API broke off");
    }
}
