//! From the replica's state to the objects of the local API.

pub mod age;
pub mod aid;
pub mod charter;
pub mod confirm;
pub mod decision;
pub mod explain;
pub mod export;
pub mod forks;
pub mod node;
pub mod resilience;
pub mod restate;
mod rows;

use comity_protocol::chain::{Chain, Held};
use comity_protocol::dossier::{is_final, seen_by};
use comity_protocol::evaluate::State;
use comity_protocol::ids::NationId;

use crate::api::model::Witnessed;

/// Returns a nation's code; the first digits of its id if the charter does not name it.
pub fn code(state: &State, nation: &NationId) -> String {
    let member = state.charter().and_then(|charter| charter.nation(nation));
    member.map_or_else(|| nation.short(), |member| member.code.clone())
}

/// Returns nations' codes, ascending.
pub(crate) fn codes<'a>(state: &State, nations: impl IntoIterator<Item = &'a NationId>) -> Vec<String> {
    let mut codes: Vec<String> = nations.into_iter().map(|nation| code(state, nation)).collect();
    codes.sort_unstable();
    codes
}

/// Returns which nations' witnesses acknowledge an envelope.
fn witnessed(state: &State, chain: &Chain, held: &Held) -> Witnessed {
    let members = state.charter().map_or(0, |charter| charter.members.len());
    Witnessed {
        seen_by: codes(state, &seen_by(state, chain, held)),
        nations: u32::try_from(members).unwrap_or(u32::MAX),
        is_final: is_final(state, chain, held),
    }
}
