//! What people are told as it happens: log lines and the events of `/v1/watch`.

use comity_protocol::effect::Alarm;
use comity_protocol::evaluate::{Changes, Standing, State};
use comity_protocol::ids::{AuthorId, AuthorKey, EnvelopeId};
use tokio::sync::broadcast;
use tracing::{info, warn};

use super::system_now;
use crate::answers;
use crate::api::model::{Change, rfc3339};
use crate::transport::NetEvent;

/// Most envelopes of one batch that are told one by one; a catch-up brings more, and a reader reads again anyway.
const TOLD_MAX: usize = 1_024;

fn event(name: &str) -> Change {
    Change {
        event: name.to_owned(),
        at: rfc3339(system_now()),
        nation: None,
        node: None,
        envelope: None,
        seq: None,
        records: Vec::new(),
        detail: None,
    }
}

/// Without a reader there is nobody to tell, which is fine.
fn tell(changes: &broadcast::Sender<Change>, change: Change) {
    let _ = changes.send(change);
}

/// Tells of a link that came up or went down; `peer` is at the other end of one that went down. The transport has logged it.
pub(super) fn link(changes: &broadcast::Sender<Change>, net: &NetEvent, peer: Option<AuthorKey>, state: &State) {
    match net {
        NetEvent::LinkUp { peer, remote, .. } => {
            let detail = Some(remote.to_string());
            tell(
                changes,
                Change { nation: nation_of(state, peer), node: Some(peer.hex()), detail, ..event("link_up") },
            );
        }
        NetEvent::LinkDown { reason, .. } => {
            let nation = peer.and_then(|peer| nation_of(state, &peer));
            let node = peer.map(|peer| peer.hex());
            tell(changes, Change { nation, node, detail: Some(reason.to_string()), ..event("link_down") });
        }
        NetEvent::Listening { .. }
        | NetEvent::Push { .. }
        | NetEvent::Asked { .. }
        | NetEvent::Reply { .. }
        | NetEvent::ExchangeFailed { .. }
        | NetEvent::PushStalled { .. }
        | NetEvent::AnswerDrained { .. } => {}
    }
}

fn nation_of(state: &State, key: &AuthorKey) -> Option<String> {
    match state.standing(key) {
        Standing::Active { nation } | Standing::Retired { nation } => Some(answers::code(state, &nation)),
        Standing::Unknown => None,
    }
}

/// Tells of envelopes that count since now, and of control records.
pub(super) fn changed(changes: &broadcast::Sender<Change>, changed: &Changes, state: &State) {
    if control_changed(changed) {
        info!(control = %state.control().short(), "control records changed");
        tell(changes, event("control"));
    }
    if changes.receiver_count() == 0 {
        return;
    }
    let left_out = changed.accepted.len().saturating_sub(TOLD_MAX);
    for placed in changed.accepted.iter().take(TOLD_MAX) {
        let author = placed.author;
        tell(
            changes,
            Change {
                nation: Some(answers::code(state, &author.nation)),
                node: Some(author.key.hex()),
                envelope: Some(placed.tip.id.hex()),
                seq: Some(placed.tip.seq),
                records: written_by(state, &author, &placed.tip.id),
                ..event("envelope")
            },
        );
    }
    if left_out > 0 {
        tell(changes, Change { detail: Some(format!("{left_out} more envelopes arrived")), ..event("missed") });
    }
}

/// Whether control records changed the evaluation.
pub(super) fn control_changed(changed: &Changes) -> bool {
    changed.charter || !changed.rosters.is_empty() || !changed.control_kept.is_empty()
}

fn written_by(state: &State, author: &AuthorId, envelope: &EnvelopeId) -> Vec<String> {
    let held = state.chain(author).and_then(|chain| chain.get(envelope));
    held.map(|held| answers::node::written(state, author, held)).unwrap_or_default()
}

/// Tells of something the operator must see.
pub(super) fn alarm(changes: &broadcast::Sender<Change>, alarm: &Alarm, state: &State) {
    let change = match alarm {
        Alarm::Halted(reason) => {
            warn!(%reason, "this node no longer authors");
            Change { detail: Some(format!("this node no longer authors: {reason}")), ..event("alarm") }
        }
        Alarm::Fork { author, seq } => {
            warn!(nation = %author.nation.short(), node = %author.key.short(), seq, "a node signed two envelopes with one number");
            Change {
                nation: Some(answers::code(state, &author.nation)),
                node: Some(author.key.hex()),
                seq: Some(*seq),
                ..event("fork")
            }
        }
        Alarm::Newer { peer } => {
            warn!(peer = %peer.short(), "a peer speaks a newer version");
            let detail = Some("this peer speaks a newer version".to_owned());
            Change { nation: nation_of(state, peer), node: Some(peer.hex()), detail, ..event("alarm") }
        }
        Alarm::CharterConflict { height, motions, below_anchor } => {
            let [one, other] = motions.map(|motion| motion.hex());
            warn!(height, one, other, below_anchor, "two motions are sealed for one charter version");
            let what = if *below_anchor { "nothing changes" } else { "membership is frozen there" };
            let detail = format!("two motions are sealed for charter version {height}, {one} and {other}: {what}");
            Change { detail: Some(detail), ..event("charter_conflict") }
        }
        Alarm::AnchorLost { height } => {
            warn!(height, "control records are lost: the charter version adopted before cannot be reached");
            let detail = format!("charter version {height}, adopted before, cannot be reached from the records held");
            Change { detail: Some(detail), ..event("alarm") }
        }
        Alarm::StruckOut { peer } => {
            warn!(peer = %peer.short(), "a peer broke the protocol three times");
            let detail = Some("this peer broke the protocol three times and is left alone for a while".to_owned());
            Change { nation: nation_of(state, peer), node: Some(peer.hex()), detail, ..event("alarm") }
        }
        Alarm::Withheld { author, seq, witnesses } => {
            let by: Vec<String> = witnesses.iter().map(|nation| answers::code(state, nation)).collect();
            warn!(nation = %author.nation.short(), node = %author.key.short(), seq, by = %by.join(" "), "an envelope is withheld");
            Change {
                nation: Some(answers::code(state, &author.nation)),
                node: Some(author.key.hex()),
                seq: Some(*seq),
                detail: Some(format!("{} acknowledged it, and nobody has delivered it for ten minutes", by.join(", "))),
                ..event("withheld")
            }
        }
        Alarm::Divergence { peer } => {
            warn!(peer = %peer.short(), "a peer holds the same record and evaluates it differently");
            let detail = "this peer holds the same record and evaluates it differently: one of the two nodes is broken";
            let detail = Some(detail.to_owned());
            Change { nation: nation_of(state, peer), node: Some(peer.hex()), detail, ..event("divergence") }
        }
    };
    tell(changes, change);
}
