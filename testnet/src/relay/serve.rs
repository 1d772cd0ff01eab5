//! The relays of a testnet that outlives the command which started it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::{Pair, RelayError, Relays, pairs};
use crate::files::{FileError, read_json, write_json};

/// What the relay process of a testnet is to carry; `run/relay.json` of the testnet's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayPlan {
    /// Every nation of the testnet.
    pub nations: Vec<String>,
    /// Ports by pair; empty at first, filled in by the relay process, kept over restarts where they are free.
    pub ports: Vec<(Pair, u16)>,
    /// The process that wrote `ports`; 0 before.
    pub served_by: u32,
}

impl RelayPlan {
    /// Returns where the plan of the testnet in `dir` stands.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("run").join("relay.json")
    }

    /// Returns the file in which the testnet in `dir` keeps the address of `nation`'s node.
    pub fn address_path(dir: &Path, nation: &str) -> PathBuf {
        dir.join("run").join(format!("{nation}.addr"))
    }
}

/// Why the relay process ended.
#[derive(Debug, thiserror::Error)]
pub enum RelayServeError {
    /// The plan could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A relay could not be opened.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The process cannot be told to stop.
    #[error("cannot wait for signals")]
    Signal(#[source] io::Error),
}

/// Serves the relays of the testnet in `dir` until SIGTERM or SIGINT: what the hidden `testnet relay` command runs.
///
/// Opens the ports, writes them into the plan, then reads each node's address anew for every connection.
/// # Errors
/// [`RelayServeError`] if the plan cannot be read or written or a port cannot be had.
pub async fn serve(dir: &Path) -> Result<(), RelayServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RelayServeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RelayServeError::Signal)?;
    let path = RelayPlan::path(dir);
    let mut plan: RelayPlan = read_json(&path)?;
    let wanted: BTreeMap<Pair, u16> = plan.ports.iter().cloned().collect();
    let relays = Relays::open(&pairs(&plan.nations), &wanted).await?;
    for nation in &plan.nations {
        relays.set_target_file(nation, RelayPlan::address_path(dir, nation));
    }
    plan.ports = relays.ports().into_iter().collect();
    plan.served_by = std::process::id();
    write_json(&path, &plan)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
