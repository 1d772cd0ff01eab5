//! Whether a stopped node may author again, and what to do where it may not.

use axum::http::StatusCode;
use comity_protocol::effect::ConfirmRefused;
use comity_protocol::evaluate::State;

use super::code;
use crate::api::Refusal;
use crate::api::model::Adoption;
use crate::driver::Reading;

/// Returns the answer of `/v1/authoring`.
pub fn adoption(reading: &Reading<'_>) -> Adoption {
    let state = reading.state();
    let adoption = reading.replica.adoption();
    let mut nations: Vec<String> = adoption.nations.iter().map(|nation| code(state, nation)).collect();
    nations.sort_unstable();
    let against = adoption.against.filter(|_| adoption.halted.is_some());
    Adoption {
        stopped: adoption.halted.map(|reason| reason.to_string()),
        seq: adoption.tip.seq,
        envelope: adoption.tip.id.hex(),
        nodes_compared: u32::try_from(adoption.compared.len()).unwrap_or(u32::MAX),
        nations_compared: nations,
        shown: adoption.shown,
        against: against.map(|refused| refused.to_string()),
        hint: against.as_ref().map(|refused| hint(refused).to_owned()),
        without_peers_possible: against.is_some() && adoption.against_alone.is_none(),
    }
}

/// Returns the refusal of a confirmation.
pub fn refusal(refused: &ConfirmRefused, state: &State) -> Refusal {
    let cause = match refused {
        ConfirmRefused::PeerShowsMore { peer, shown, held } => {
            let nation = state.active_authors().find(|author| author.key == *peer);
            let nation = nation.map_or_else(|| "no nation".to_owned(), |author| code(state, &author.nation));
            format!("node {} of {nation} shows envelope {shown} of this key, and only {held} are here", peer.short())
        }
        ConfirmRefused::NotHalted
        | ConfirmRefused::Forked { .. }
        | ConfirmRefused::Incomplete { .. }
        | ConfirmRefused::BelowSentinel { .. }
        | ConfirmRefused::OtherAtSentinel { .. }
        | ConfirmRefused::NoPeer
        | ConfirmRefused::OtherTip { .. }
        | ConfirmRefused::StorageFull => refused.to_string(),
    };
    let status = match refused {
        ConfirmRefused::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ConfirmRefused::NotHalted
        | ConfirmRefused::Forked { .. }
        | ConfirmRefused::Incomplete { .. }
        | ConfirmRefused::BelowSentinel { .. }
        | ConfirmRefused::OtherAtSentinel { .. }
        | ConfirmRefused::NoPeer
        | ConfirmRefused::PeerShowsMore { .. }
        | ConfirmRefused::OtherTip { .. } => StatusCode::CONFLICT,
    };
    Refusal::new(status, "this node goes on writing nothing").cause(cause).hint(hint(refused))
}

/// What the operator may do about it.
const fn hint(refused: &ConfirmRefused) -> &'static str {
    match refused {
        ConfirmRefused::NotHalted => "see `comity status`",
        ConfirmRefused::Forked { .. } | ConfirmRefused::OtherAtSentinel { .. } => {
            "no confirmation mends that: have the nation's root retire this key where the nation stands by it, and enrol a \
             new one (`comity roster retire`, `comity roster enrol`)"
        }
        ConfirmRefused::Incomplete { .. } => "it is fetched from peers: look again, and see `comity peers`",
        ConfirmRefused::BelowSentinel { .. } => {
            "connect to nodes that may hold the rest, and look again; if nobody has it, have the nation's root retire this \
             key and enrol a new one"
        }
        ConfirmRefused::NoPeer => {
            "connect to a node of the alliance and look again; --without-peers goes on without, and if this key has said \
             more than is here, it forks and its nation must retire it"
        }
        ConfirmRefused::PeerShowsMore { .. } => {
            "it is being fetched: look again; if that node never delivers it, --without-peers goes on without, and if it \
             spoke the truth, this key forks and its nation must retire it"
        }
        ConfirmRefused::OtherTip { .. } => "look again with `comity node confirm`, and adopt what it shows",
        ConfirmRefused::StorageFull => "free space, or raise store.bytes_max",
    }
}
