//! From what is on disk to a running loop, at the start and after a failed save.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use comity_protocol::effect::{Authoring, HaltReason, Input, Storage};
use comity_protocol::evaluate::evaluate;
use comity_protocol::ids::AuthorKey;
use comity_protocol::keys::SecretKey;
use comity_protocol::replica::{self, Replica, Stored};
use comity_protocol::rules::Rules;
use prometheus_client::registry::Registry;
use tokio::sync::{broadcast, mpsc, watch};

use super::clock::Clock;
use super::dial::Dialing;
use super::handle::{CALLS_MAX, CHANGES_MAX, Handle};
use super::room::Room;
use super::views::Views;
use super::writes::Writes;
use super::{Counts, Driver, DriverError, Effect, Facts, NetCommand, NetEvent, SaveError, TransportHandle, net};
use crate::blame::Blame;
use crate::config::{AddedPeers, Config};
use crate::store::{Identity, Loaded, OpenError, Store};
use crate::transport::{self, Transport, TransportConfig};

/// How often the store is read to see whether damage of the own chain was repaired.
const DAMAGE_RECHECK: Duration = Duration::from_secs(2);

/// What a driver starts from.
#[derive(Debug)]
pub struct Setup<'a> {
    /// What the node was told.
    pub config: &'a Config,
    /// The node's key.
    pub key: SecretKey,
    /// The node's store, opened.
    pub store: Store,
    /// Bytes of the store's files; what the next save reports replaces it.
    pub store_bytes: u64,
    /// Peers added by hand.
    pub added: AddedPeers,
    /// Turns true when the node stops.
    pub stop: watch::Receiver<bool>,
    /// Where the transport registers its metrics.
    pub registry: &'a mut Registry,
}

/// Why a driver does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store belongs to another node.
    #[error("the store is that of node {}, the key in this home is that of node {}", store.short(), key.short())]
    OtherNode {
        /// Whose store it is.
        store: AuthorKey,
        /// Whose key it is.
        key: AuthorKey,
    },
    /// The network does not start.
    #[error(transparent)]
    Network(#[from] transport::StartError),
    /// The operating system has no entropy to give.
    #[error("the operating system gives no random bytes")]
    Entropy(#[source] getrandom::Error),
}

impl StartError {
    /// Whose move it is.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Store(error) => error.blame(),
            Self::OtherNode { .. } => Blame::Operator,
            Self::Network(_) | Self::Entropy(_) => Blame::Environment,
        }
    }
}

/// Makes replicas from what is on disk.
#[derive(Clone, Debug)]
pub(super) struct Make {
    key: SecretKey,
    identity: Identity,
    seed: u64,
    witness: replica::WitnessCadence,
}

impl Make {
    fn replica(&self, loaded: Loaded) -> Replica {
        let anchor = loaded.anchor;
        let (authoring, signed) = (loaded.authoring, loaded.signed);
        let (elements, remembered) = loaded.into_elements();
        let state = evaluate(anchor, elements);
        let config = replica::Config {
            alliance: self.identity.alliance,
            nation: self.identity.nation,
            key: self.key.clone(),
            seed: self.seed,
            witness: self.witness,
            rules_max: replica::RULES_MAX,
        };
        Replica::new(config, Rules::default(), Stored { state, remembered, authoring, signed })
    }
}

fn warn_if_stopped(authoring: Authoring) {
    let reason = match authoring {
        Authoring::Free => return,
        Authoring::Restored { sentinel, stored } => HaltReason::Restored { sentinel, stored },
        Authoring::Halted(reason) => reason,
    };
    tracing::warn!(%reason, "this node authors nothing until somebody confirms it: see `comity node confirm`");
}

fn own_damage(loaded: &Loaded) -> Vec<String> {
    loaded.own_damage().map(|damage| format!("a part of this node's own chain is damaged: {damage}")).collect()
}

/// Loads the store, starts the network, and returns the loop, ready to run, with a handle to it; needs a runtime.
///
/// # Errors
/// [`StartError`]; nothing runs then, and the store is closed.
pub async fn start(setup: Setup<'_>) -> Result<(Handle, Driver, Arc<Counts>), StartError> {
    let Setup { config, key, store, store_bytes, added, stop, registry } = setup;
    let parts = match parts(config, key, &store, registry) {
        Ok(parts) => parts,
        Err(error) => {
            store.close().await;
            return Err(error);
        }
    };
    let Parts { facts, make, clock, replica, own_damage, transport, events } = parts;
    let (call_sender, calls) = mpsc::channel(CALLS_MAX);
    let changes = broadcast::Sender::new(CHANGES_MAX);
    let handle =
        Handle { calls: call_sender, changes: changes.clone(), transport: transport.clone(), views: Views::new() };
    let counts = Arc::new(Counts::default());
    let dialing = Dialing {
        configured: config.peers.value.clone(),
        added,
        learn: config.learn_addresses.value,
        profiles: Vec::new(),
    };
    let driver = Driver {
        facts,
        replica,
        make,
        clock,
        store,
        store_bytes,
        room: Room::new(),
        own_damage,
        damage_checked: tokio::time::Instant::now(),
        saved_since_check: false,
        transport,
        events,
        calls,
        changes,
        links: BTreeMap::new(),
        writes: Writes::default(),
        dialing,
        stop,
        counts: Arc::clone(&counts),
    };
    Ok((handle, driver, counts))
}

/// What may fail of a driver.
struct Parts {
    facts: Facts,
    make: Make,
    clock: Clock,
    replica: Replica,
    own_damage: Vec<String>,
    transport: TransportHandle,
    events: mpsc::Receiver<NetEvent>,
}

fn parts(config: &Config, key: SecretKey, store: &Store, registry: &mut Registry) -> Result<Parts, StartError> {
    let loaded = store.load()?;
    let identity = loaded.identity;
    if identity.node != key.public() {
        return Err(StartError::OtherNode { store: identity.node, key: key.public() });
    }
    let mut clock = Clock::new();
    let facts = Facts {
        nation: identity.nation,
        key: identity.node,
        started: clock.now(),
        store_bytes_max: config.store_bytes_max.value,
        witness_heartbeat_ms: config.witness_heartbeat_ms.value,
    };
    let witness = replica::WitnessCadence {
        on_change_ms: config.witness_on_change_ms.value,
        heartbeat_ms: config.witness_heartbeat_ms.value,
    };
    let make = Make { key: key.clone(), identity, seed: getrandom::u64().map_err(StartError::Entropy)?, witness };
    let own_damage = own_damage(&loaded);
    warn_if_stopped(loaded.authoring);
    let replica = make.replica(loaded);
    let mut transport_config = TransportConfig::new(key);
    transport_config.listen.clone_from(&config.listen.value);
    transport_config.mdns = config.mdns.value.is_on();
    transport_config.timing.redial_max = config.redial_max.value;
    let (transport, events) = Transport::start(transport_config, registry)?;
    Ok(Parts { facts, make, clock, replica, own_damage, transport, events })
}

impl Driver {
    /// Builds the replica again from what is durable; its links are closed, since a new replica knows none of their exchanges.
    pub(super) async fn rebuild(&mut self, error: &SaveError) -> Result<(), DriverError> {
        for link in std::mem::take(&mut self.links).into_keys() {
            self.tell(NetCommand::Close { link: net::link(link), reason: "storage" }).await;
        }
        let loaded = self.store.load().map_err(DriverError::Reload)?;
        self.own_damage = own_damage(&loaded);
        self.replica = self.make.replica(loaded);
        let storage = self.room.failed(error);
        if storage == Storage::Full {
            self.handle(Input::Storage(storage));
        }
        // A new replica wishes for nothing that needs saving: it says whom to let in.
        while let Some(effect) = self.replica.poll_effect() {
            if let Effect::Admission(admission) = effect {
                self.tell(NetCommand::SetAdmission(net::admission(admission))).await;
            }
        }
        Ok(())
    }

    /// Looks whether what was damaged of the own chain has come back from peers, some time after a save.
    ///
    /// The store is asked, not the replica: only it knows what it once held.
    pub(super) fn recheck_damage(&mut self) -> Result<(), DriverError> {
        let due = self.saved_since_check && self.damage_checked.elapsed() >= DAMAGE_RECHECK;
        if self.own_damage.is_empty() || !due {
            return Ok(());
        }
        self.saved_since_check = false;
        self.damage_checked = tokio::time::Instant::now();
        self.own_damage = own_damage(&self.store.load().map_err(DriverError::Reload)?);
        if self.own_damage.is_empty() {
            tracing::info!("this node's own chain is whole again");
        }
        Ok(())
    }

    /// Takes records again when it is time to try whether the store has room.
    pub(super) fn retry_storage(&mut self) {
        if self.room.retry(tokio::time::Instant::now()) {
            self.handle(Input::Storage(Storage::Room));
        }
    }
}
