//! What runs of a testnet.

use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

/// One nation of a testnet, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NationState {
    /// Its code.
    pub nation: String,
    /// Its home.
    #[schema(value_type = String)]
    pub home: PathBuf,
    /// Its process, where it runs.
    pub pid: Option<u32>,
    /// Whether its node answers.
    pub answers: bool,
    /// Addresses its node listens on.
    pub listen: Vec<String>,
    /// Nodes it is connected to.
    pub connected: usize,
    /// Nodes it knows of.
    pub peers: usize,
    /// Envelopes it holds.
    pub envelopes: Option<u64>,
    /// Digest of the envelopes it holds.
    pub held: Option<String>,
    /// Digest of what it computed.
    pub state: Option<String>,
    /// How to work as this nation from a shell.
    pub hint: String,
}

/// A testnet, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TestnetState {
    /// Its folder.
    #[schema(value_type = String)]
    pub dir: PathBuf,
    /// The relay process, where it runs.
    pub relay_pid: Option<u32>,
    /// Its nations.
    pub nations: Vec<NationState>,
}

impl TestnetState {
    /// Whether every node is connected to every other.
    pub fn is_whole(&self) -> bool {
        self.nations.iter().all(|nation| nation.answers && nation.connected + 1 == self.nations.len())
    }

    /// Returns the state for people: one line a nation, then a hint for each.
    pub fn text(&self) -> String {
        let mut out = format!("testnet in {}\n", self.dir.display());
        for nation in &self.nations {
            let pid = nation.pid.map_or("down".to_owned(), |pid| format!("pid {pid}"));
            let envelopes = nation.envelopes.map_or("-".to_owned(), |count| count.to_string());
            let state: String = nation.state.iter().flat_map(|state| state.chars().take(10)).collect();
            out.push_str(&format!(
                "{:<4} {pid:<12} links {}/{}  envelopes {envelopes:<8} state {state:<10} {}\n",
                nation.nation,
                nation.connected,
                self.nations.len().saturating_sub(1),
                nation.listen.join(" "),
            ));
        }
        for nation in &self.nations {
            out.push_str(&format!("{}: {}\n", nation.nation, nation.hint));
        }
        out
    }
}
