//! A node from its start to its stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::info;

use crate::answers;
use crate::api::auth::{SocketPolicy, TcpPolicy, TokenError};
use crate::api::{self, Api, Refusal, server};
use crate::blame::Blame;
use crate::config::{AddedPeers, Config, PeersError};
use crate::driver::{self, DriverError, Handle, Setup, StartError};
use crate::home::{Home, HomeError, SocketError};
use crate::metrics::Metrics;
use crate::store::{OpenError, Settings, Store};
use crate::transport;

/// How long the start waits for the addresses the system chose.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it looks.
const LISTEN_LOOK: Duration = Duration::from_millis(5);

/// Why a node does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The peers added by hand cannot be read.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// The socket cannot be used.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The local API cannot listen.
    #[error("cannot listen on {at} for the local API")]
    Listen {
        /// The socket or the address.
        at: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The tokens of the TCP listener cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The driver does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The driver ended.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The runtime or its signals cannot be used.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    /// The loop broke off; a bug.
    #[error("the loop broke off")]
    BrokenOff,
}

impl RunError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Home(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Start(error) => error.blame(),
            Self::Peers(error) => error.blame(),
            Self::Token(error) => error.blame(),
            Self::Driver(error) => error.blame(),
            Self::Socket(_) | Self::Listen { .. } | Self::Runtime(_) | Self::BrokenOff => Blame::Environment,
        }
    }

    /// What the operator may do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Home(error) => return error.hint(),
            Self::Store(error) | Self::Start(StartError::Store(error)) => return error.hint().map(str::to_owned),
            Self::Listen { .. } => {
                "another node may be running; see `comity status`, or change `api.tcp` in comity.toml"
            }
            Self::Start(StartError::Network(transport::StartError::Listen { .. })) => {
                "another node may be running; see `comity status`, or set `listen` in comity.toml"
            }
            Self::Start(StartError::OtherNode { .. }) => {
                "a home's keys and store belong together; restore both of one node"
            }
            Self::Token(TokenError::Mode { path, .. }) => {
                return Some(format!("chmod 600 {}, or delete it for a new one", path.display()));
            }
            Self::Driver(DriverError::Store(_) | DriverError::Reload(_)) => {
                "look at the disk, then run `comity node check --deep`"
            }
            Self::Peers(_)
            | Self::Socket(_)
            | Self::Token(_)
            | Self::Start(_)
            | Self::Driver(DriverError::Network)
            | Self::Runtime(_)
            | Self::BrokenOff => return None,
        };
        Some(text.to_owned())
    }
}

/// A running node.
pub struct Node {
    /// Asks things of it.
    pub handle: Handle,
    /// Its socket.
    pub socket: PathBuf,
    /// The address of its API over TCP, where configured.
    pub tcp: Option<std::net::SocketAddr>,
    stop: watch::Sender<bool>,
    driver: JoinHandle<Result<(), DriverError>>,
    server: JoinHandle<()>,
}

impl Node {
    /// Opens `home` and starts everything; needs a runtime with more than one thread.
    ///
    /// # Errors
    /// [`RunError`]; nothing runs then.
    pub async fn start(home: &Home, config: &Config) -> Result<Self, RunError> {
        let lock = home.lock()?;
        let key = home.node_key()?;
        let place = home.prepare_socket(&lock, |name| std::env::var_os(name))?;
        let settings = Settings {
            bytes_max: config.store_bytes_max.value,
            sentinel: Some(home.sentinel()),
            ..Settings::default()
        };
        let store = Store::open(&home.store(), settings, lock)?;
        let added = AddedPeers::load(home.path())?;
        let (tcp, tokens) = match config.api_tcp.value {
            None => (None, None),
            Some(address) => {
                let listener = TcpListener::bind(address)
                    .await
                    .map_err(|source| RunError::Listen { at: address.to_string(), source })?;
                (Some(listener), Some(TcpPolicy::load(&home.path().join("keys"), config)?))
            }
        };
        let (stop, stopped) = watch::channel(false);
        let mut registry = Registry::default();
        let store_bytes = store_bytes(home);
        let setup = Setup { config, key, store, store_bytes, added, stop: stopped.clone(), registry: &mut registry };
        let (handle, driver, counts) = driver::start(setup).await?;
        let socket = server::bind_socket(&place.bind)
            .map_err(|source| RunError::Listen { at: place.bind.display().to_string(), source })?;
        let tcp_address = tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        let metrics = Arc::new(Metrics::new(registry, counts));
        let routes = api::routes(Api { driver: handle.clone(), metrics, stop: stopped.clone() });
        let router = api::guarded(routes, tokens);
        let server = tokio::spawn(server::serve(router, socket, SocketPolicy::new(config), tcp, stopped));
        // The loop computes between its waits, so it has a thread of its own.
        let runtime = tokio::runtime::Handle::current();
        let driver = tokio::task::spawn_blocking(move || runtime.block_on(driver.run()));
        Ok(Self { handle, socket: place.bind, tcp: tcp_address, stop, driver, server })
    }

    /// Returns the addresses listened on for other nodes, waiting for those the system still chooses.
    pub async fn listening(&self, config: &Config) -> Vec<String> {
        let wanted = config.listen.value.len();
        let deadline = tokio::time::Instant::now() + LISTEN_TIMEOUT;
        loop {
            let listen = self.handle.network().await.map(|network| network.listen).unwrap_or_default();
            if listen.len() >= wanted || tokio::time::Instant::now() >= deadline {
                return listen.iter().map(ToString::to_string).collect();
            }
            tokio::time::sleep(LISTEN_LOOK).await;
        }
    }

    /// Waits until the loop ends by itself, which it does only if it cannot go on.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn ended(&mut self) -> Result<(), RunError> {
        (&mut self.driver).await.map_err(|_| RunError::BrokenOff)?.map_err(RunError::from)
    }

    /// Stops cleanly: no more requests, saves finished, links and store closed.
    ///
    /// # Errors
    /// [`RunError`] if the loop had ended with one.
    pub async fn stop(self) -> Result<(), RunError> {
        self.stop.send_replace(true);
        let outcome = self.driver.await.map_err(|_| RunError::BrokenOff);
        // The server ends by itself; what it still says is cut short after its grace.
        drop(self.server.await);
        // A socket that nobody listens on says less than none; the next start replaces one that stays.
        std::fs::remove_file(&self.socket).unwrap_or_default();
        Ok(outcome??)
    }
}

/// Returns the bytes of the store's file and its write-ahead log; 0 for what cannot be read.
fn store_bytes(home: &Home) -> u64 {
    let store = home.store();
    let mut log = store.clone().into_os_string();
    log.push("-wal");
    [store, PathBuf::from(log)].iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum()
}

/// Runs the node in `home` until SIGTERM or SIGINT; prints one line when it is up.
///
/// # Errors
/// [`RunError`].
pub fn run(home: &Home, config: &Config) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    runtime.block_on(run_until_signal(home, config))
}

async fn run_until_signal(home: &Home, config: &Config) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Runtime)?;
    let mut node = Node::start(home, config).await?;
    println!("{}", start_line(&node, home, config).await);
    tokio::select! {
        ended = node.ended() => return ended,
        _ = terminate.recv() => info!("SIGTERM: stopping"),
        _ = interrupt.recv() => info!("SIGINT: stopping"),
    }
    node.stop().await
}

/// Returns who the node is, where it listens, and how to look at it.
async fn start_line(node: &Node, home: &Home, config: &Config) -> String {
    let who = node
        .handle
        .read(|reading| {
            let nation = answers::code(reading.state(), &reading.facts.nation);
            Ok::<_, Refusal>(format!("{nation} {}", reading.facts.key.short()))
        })
        .await
        .unwrap_or_default();
    let listen = node.listening(config).await;
    let listen = if listen.is_empty() { "nothing".to_owned() } else { listen.join(", ") };
    format!("comity node {who} listening on {listen}, look with: comity --home {} status", home.path().display())
}
