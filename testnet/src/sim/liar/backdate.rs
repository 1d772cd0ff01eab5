//! Back-dating: envelopes signed where the own chain has long gone on (T11, T15), and claimed times far off (T69).
//!
//! Every now and then the liar signs a short branch at an old position, often the first, that claims the earliest time
//! the chain allows there, and pushes it to one peer or to all. Now and then, while nobody has seen a fork, it claims a
//! time years ahead on top of its chain: what its inner replica writes later must then claim as much. It stays on its own
//! chain: branches that come back are kept from the inner replica.

use comity_protocol::body::{Body, ChangeBody, KIND_CHANGE};
use comity_protocol::evaluate::State;
use comity_protocol::guard::{Draft, DraftWrite, compose};
use comity_protocol::ids::Tip;
use comity_protocol::limits::TIME_MS_MAX;
use comity_protocol::message::PushedEnvelope;
use comity_protocol::value::{Actor, Fields, Value, record_id_from};

use super::desk::{Desk, Pen};

/// Branches in all.
const BRANCHES_MAX: u32 = 10;
/// Longest branch.
const BRANCH_MAX: usize = 4;
/// Own envelopes before the first branch.
const HEIGHT_MIN: u64 = 3;
/// Ten years.
const AHEAD_MS: u64 = 315_576_000_000;

/// What a back-dater remembers.
#[derive(Debug)]
pub(super) struct BackDate {
    /// Claims of times far ahead that are still to come, before the first branch.
    ahead: usize,
    branches: u32,
}

impl BackDate {
    pub(super) fn new(desk: &mut Desk) -> Self {
        Self { ahead: desk.below(3), branches: 0 }
    }

    pub(super) fn act(&mut self, desk: &mut Desk, state: &State) {
        let height = state.chain(&desk.me).map_or(0, |chain| chain.tip().seq);
        if height < HEIGHT_MIN {
            desk.write_something();
        } else if self.ahead > 0 {
            self.ahead -= 1;
            claim_ahead(desk, state);
        } else if self.branches < BRANCHES_MAX {
            self.branches += 1;
            let branch = branch(desk, state, height);
            let links = if desk.one_in(2) { desk.all_links() } else { desk.some_link().into_iter().collect() };
            for link in links {
                desk.push_envelopes(link, &branch);
            }
        }
    }
}

/// Signs the next own envelope with a time years ahead, or the last one there is.
fn claim_ahead(desk: &mut Desk, state: &State) {
    let Some(mut pen) = desk.pen(state) else { return };
    let latest = desk.one_in(3);
    pen.time_ms = if latest { TIME_MS_MAX } else { pen.time_ms.saturating_add(AHEAD_MS).min(TIME_MS_MAX) };
    let body = first_change(desk);
    let envelope = pen.write_body(desk, &body);
    desk.publish(envelope.into_iter().collect());
}

/// Signs one to a few envelopes on top of an old one, or of nothing.
fn branch(desk: &mut Desk, state: &State, height: u64) -> Vec<PushedEnvelope> {
    let below = if desk.one_in(2) { 0 } else { desk.below(usize::try_from(height - 1).unwrap_or(1)) };
    let Some(chain) = state.chain(&desk.me) else { return Vec::new() };
    let parent = chain.accepted(u64::try_from(below).unwrap_or(0));
    let (tip, earliest) = parent.map_or((Tip::NONE, 0), |held| (held.tip(), held.time_ms()));
    // A time below the parent's can never link; it is fork evidence all the same.
    let time_ms = if desk.one_in(5) { earliest.saturating_sub(1) } else { earliest };
    let mut pen = Pen { tip, time_ms };
    let mut branch = Vec::new();
    for step in 0..=desk.below(BRANCH_MAX) {
        let above = chain.accepted(pen.tip.seq + 2);
        let body = match above.and_then(|held| held.body()) {
            // What it said later, said to have been said before.
            Some(body) if step > 0 && desk.one_in(2) => body.to_vec(),
            Some(_) | None => first_change(desk).encode(),
        };
        branch.extend(pen.write(desk, KIND_CHANGE, body));
    }
    branch
}

/// A sound first change of a new generation: on its own branch, and nowhere else, it may count.
fn first_change(desk: &mut Desk) -> Body {
    let fields = Fields::from([("note".to_owned(), Value::Text("as we always said".to_owned()))]);
    let write = DraftWrite {
        kind: "pledge".to_owned(),
        id: record_id_from(desk.below(8) as u64),
        replaces: Vec::new(),
        fields,
    };
    let generation = if desk.one_in(2) { 0 } else { 1 };
    let draft = Draft {
        actor: Actor::new(&desk.me.key, generation),
        seq: 1,
        start_op: 1,
        deps: Vec::new(),
        time_ms: 0,
        writes: vec![write],
    };
    Body::Change(ChangeBody::Clear { compartment: 0, change: compose(&draft).unwrap_or_default() })
}
