//! Who may ask what: peer credentials on the socket, tokens and names on loopback TCP (spec 4.18).

use std::fmt;
use std::path::{Path, PathBuf};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use comity_protocol::ids::hex;
use comity_protocol::keys::sha256;

use super::Refusal;
use crate::blame::Blame;
use crate::config::Config;

/// What a caller may do; writing includes reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look.
    Read,
    /// Look and write.
    Author,
}

/// How a connection came in, decided when it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Over the socket, from a process that may do this; nothing if `None`.
    Socket(Option<Scope>),
    /// Over loopback TCP; each request shows a token.
    Tcp,
}

/// Which processes may use the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketPolicy {
    /// The user the node runs as.
    pub uid: u32,
    /// A group that may read.
    pub read_gid: Option<u32>,
    /// A group that may read and write.
    pub author_gid: Option<u32>,
}

impl SocketPolicy {
    /// Returns the policy of `config` for the running user.
    pub fn new(config: &Config) -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            read_gid: config.api_read_gid.value,
            author_gid: config.api_author_gid.value,
        }
    }

    /// Returns what a process with these credentials may do. Only its primary group counts: the system shows no other.
    pub fn scope(&self, uid: u32, gid: u32) -> Option<Scope> {
        const ROOT: u32 = 0;
        if uid == self.uid || uid == ROOT || Some(gid) == self.author_gid {
            Some(Scope::Author)
        } else if Some(gid) == self.read_gid {
            Some(Scope::Read)
        } else {
            None
        }
    }
}

/// The tokens and names accepted over TCP.
#[derive(Clone)]
pub struct TcpPolicy {
    /// Hashes, so that comparing takes the same time whatever is shown.
    read: [u8; 32],
    author: [u8; 32],
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl fmt::Debug for TcpPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpPolicy").field("hosts", &self.hosts).field("origins", &self.origins).finish_non_exhaustive()
    }
}

/// Why the tokens of the TCP listener cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A token file cannot be read or made.
    #[error("cannot use the token file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner may read it.
    #[error("{} has mode {mode:o}, only 600 keeps the token secret", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold a token.
    #[error("{} does not hold 64 hexadecimal digits", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl TokenError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::File { .. } => Blame::Environment,
            Self::Mode { .. } | Self::Content { .. } => Blame::Operator,
        }
    }
}

impl TcpPolicy {
    /// Reads `api-read.token` and `api-author.token` in the key folder, making those that are missing.
    ///
    /// # Errors
    /// [`TokenError`] naming the file.
    pub fn load(keys: &Path, config: &Config) -> Result<Self, TokenError> {
        Ok(Self {
            read: sha256(token(&keys.join("api-read.token"))?.as_bytes()),
            author: sha256(token(&keys.join("api-author.token"))?.as_bytes()),
            hosts: config.api_hosts.value.clone(),
            origins: config.api_origins.value.clone(),
        })
    }

    /// Returns what a request with these headers may do.
    ///
    /// # Errors
    /// The status and the reason of the refusal.
    pub fn scope(&self, headers: &HeaderMap) -> Result<Scope, (StatusCode, &'static str)> {
        if !self.host_permitted(headers) {
            return Err((StatusCode::FORBIDDEN, "the Host header names neither loopback nor a host of api.hosts"));
        }
        let origin = headers.get(header::ORIGIN);
        if origin.is_some_and(|origin| !self.origins.iter().any(|known| origin.as_bytes() == known.as_bytes())) {
            return Err((StatusCode::FORBIDDEN, "the Origin header is not one of api.origins"));
        }
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .map(sha256)
            .ok_or((StatusCode::UNAUTHORIZED, "no bearer token is shown"))?;
        if shown == self.author {
            Ok(Scope::Author)
        } else if shown == self.read {
            Ok(Scope::Read)
        } else {
            Err((StatusCode::UNAUTHORIZED, "the bearer token is not known"))
        }
    }

    /// A page of a foreign site can make a browser call loopback under a name of its own; it cannot choose our names.
    fn host_permitted(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        ["localhost", "127.0.0.1", "[::1]"].contains(&name) || self.hosts.iter().any(|known| known == name)
    }
}

fn token(path: &Path) -> Result<String, TokenError> {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let fail = |source| TokenError::File { path: path.to_owned(), source };
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| fail(std::io::Error::from(error)))?;
            let token = hex(&seed);
            file.write_all(token.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(fail)?;
            Ok(token)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let file = std::fs::File::open(path).map_err(fail)?;
            let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o777;
            if mode != 0o600 {
                return Err(TokenError::Mode { path: path.to_owned(), mode });
            }
            let mut text = String::new();
            file.take(128).read_to_string(&mut text).map_err(fail)?;
            let text = text.trim_end().to_owned();
            let whole = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
            if whole { Ok(text) } else { Err(TokenError::Content { path: path.to_owned() }) }
        }
        Err(error) => Err(fail(error)),
    }
}

/// Returns what a method needs: only looking is without effect.
pub fn needed(method: &Method) -> Scope {
    if *method == Method::GET || *method == Method::HEAD { Scope::Read } else { Scope::Author }
}

/// Lets a request pass if its caller may make it; runs before every route.
pub(super) async fn check(State(tcp): State<Option<TcpPolicy>>, request: Request, next: Next) -> Response {
    let granted = match (request.extensions().get::<Access>(), tcp) {
        (Some(Access::Socket(Some(scope))), _) => Ok(*scope),
        (Some(Access::Tcp), Some(policy)) => policy.scope(request.headers()),
        (Some(Access::Socket(None) | Access::Tcp) | None, _) => {
            Err((StatusCode::FORBIDDEN, "this user and group may not use the node"))
        }
    };
    let needed = needed(request.method());
    match granted {
        Ok(scope) if scope >= needed => next.run(request).await,
        Ok(_) => refuse(StatusCode::FORBIDDEN, "this caller may read and not write"),
        Err((status, reason)) => refuse(status, reason),
    }
}

fn refuse(status: StatusCode, reason: &'static str) -> Response {
    Refusal::new(status, "not permitted")
        .cause(reason)
        .hint("run as the node's user, or see [api] in comity.toml")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_on_the_socket_may_do_nothing_and_groups_what_they_were_given() {
        let policy = SocketPolicy { uid: 1000, read_gid: Some(7), author_gid: Some(8) };
        assert_eq!(policy.scope(1000, 1), Some(Scope::Author));
        assert_eq!(policy.scope(0, 1), Some(Scope::Author));
        assert_eq!(policy.scope(1001, 7), Some(Scope::Read));
        assert_eq!(policy.scope(1001, 8), Some(Scope::Author));
        assert_eq!(policy.scope(1001, 1000), None);
        let closed = SocketPolicy { uid: 1000, read_gid: None, author_gid: None };
        assert_eq!(closed.scope(1001, 0), None);
    }

    fn headers(list: &[(header::HeaderName, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    #[test]
    fn tcp_asks_for_a_known_name_no_foreign_origin_and_a_token() {
        let policy = TcpPolicy {
            read: sha256(b"r"),
            author: sha256(b"a"),
            hosts: vec!["node.example".to_owned()],
            origins: vec!["https://ui.example".to_owned()],
        };
        let ask = |host: &str, origin: Option<&str>, token: &str| {
            let mut list = vec![(header::HOST, host), (header::AUTHORIZATION, token)];
            list.extend(origin.map(|origin| (header::ORIGIN, origin)));
            policy.scope(&headers(&list)).map_err(|(status, _)| status)
        };
        assert_eq!(ask("127.0.0.1:7401", None, "Bearer a"), Ok(Scope::Author));
        assert_eq!(ask("[::1]:7401", None, "Bearer r"), Ok(Scope::Read));
        assert_eq!(ask("node.example", Some("https://ui.example"), "Bearer r"), Ok(Scope::Read));
        assert_eq!(ask("evil.example", None, "Bearer a"), Err(StatusCode::FORBIDDEN));
        assert_eq!(ask("localhost", Some("https://evil.example"), "Bearer a"), Err(StatusCode::FORBIDDEN));
        assert_eq!(ask("localhost", None, "Bearer x"), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(ask("localhost", None, "Basic a"), Err(StatusCode::UNAUTHORIZED));
        assert_eq!(policy.scope(&HeaderMap::new()).map_err(|(status, _)| status), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn a_token_is_made_once_and_refused_where_others_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("api-read.token");
        let made = token(&path).expect("made");
        assert_eq!(token(&path).expect("read again"), made);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("the mode is set");
        assert!(matches!(token(&path), Err(TokenError::Mode { mode: 0o644, .. })));
    }

    #[test]
    fn only_looking_needs_no_author() {
        assert_eq!(needed(&Method::GET), Scope::Read);
        for method in [Method::POST, Method::DELETE, Method::PUT, Method::OPTIONS] {
            assert_eq!(needed(&method), Scope::Author, "{method}");
        }
    }
}
