//! From the replica's state to the objects of the local API.

pub mod aid;
pub mod charter;
pub mod decision;
pub mod explain;
pub mod export;
pub mod node;
mod rows;

use comity_protocol::evaluate::State;
use comity_protocol::ids::NationId;

/// Returns a nation's code; the first digits of its id if the charter does not name it.
pub fn code(state: &State, nation: &NationId) -> String {
    let member = state.charter().and_then(|charter| charter.nation(nation));
    member.map_or_else(|| nation.short(), |member| member.code.clone())
}
