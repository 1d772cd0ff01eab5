//! Cuts that are not held (`Incomplete`, spec 4.5.4): a header that a roster or a charter names as a chain's end is asked for
//! by its id, and then the way down from it, whoever shows it or not (R08, third arm).
//!
//! One question at a time for each such chain, to the links in turn; where nobody has it, more and more rarely.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Replica;
use super::peers::Fault;
use super::sync::Exchange;
use crate::chain::Chain;
use crate::effect::{LinkId, SaveOp, Storage};
use crate::envelope::{AttestedHeader, Header, HeaderDecodeError, SignedHeader};
use crate::evaluate::{Changes, Element};
use crate::ids::{AuthorId, EnvelopeId, Timestamp, Tip};
use crate::limits::{
    CUT_STEP, EXCHANGE_IDLE_MS, EXCHANGES_PER_LINK_MAX, FRONTIER_SPACING_MS, SEEK_RETRY_MAX_MS, SEEK_RETRY_MS,
};
use crate::message::{ByIdItem, ByIdRequest, Frame, RangeRequest};

/// Chains whose cut is looked for.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    sought: BTreeMap<AuthorId, Sought>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sought {
    due: Timestamp,
    /// Which link is asked next.
    turn: usize,
    /// Questions in a row that brought nothing.
    failed: u32,
    /// How deep the next question goes below what is held of the way down.
    step: u32,
    /// Something new came since the question was asked.
    progress: bool,
    /// The cut came without a signature of its own: a run that leads to a signed header above brings it.
    unsigned: bool,
}

impl Replica {
    /// Looks through all chains for cuts that are not held.
    pub(super) fn look_for_cuts(&mut self) {
        let incomplete: Vec<AuthorId> =
            self.state.chains().filter(|chain| chain.incomplete().is_some()).map(Chain::author).collect();
        self.cuts.sought.retain(|author, _| incomplete.contains(author));
        for author in incomplete {
            self.cuts.sought.entry(author).or_default();
        }
    }

    pub(super) fn look_for_cuts_after(&mut self, changes: &Changes) {
        if changes.charter
            || !changes.rosters.is_empty()
            || (!changes.headers.is_empty() && !self.cuts.sought.is_empty())
        {
            self.look_for_cuts();
        }
    }

    /// When a cut is asked for next.
    pub(super) fn cut_due(&self) -> Option<Timestamp> {
        let anybody = self.links.values().any(|link| link.is_full() && !link.in_peers_lobby);
        let waiting = self.cuts.sought.values().filter(|_| anybody && self.storage == Storage::Room);
        waiting.map(|sought| sought.due).min()
    }

    /// Asks for the cuts that are due.
    pub(super) fn ask_for_cuts(&mut self) {
        let now = self.now;
        let due: Vec<AuthorId> =
            self.cuts.sought.iter().filter(|(_, sought)| sought.due <= now).map(|(author, _)| *author).collect();
        if due.is_empty() {
            return;
        }
        let links: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.is_full() && !link.in_peers_lobby && link.exchanges.len() < EXCHANGES_PER_LINK_MAX)
            .map(|(id, _)| *id)
            .collect();
        for author in due {
            let Some(sought) = self.cuts.sought.get_mut(&author) else { continue };
            sought.due = now.plus_ms(FRONTIER_SPACING_MS);
            let Some(&link) = links.get(sought.turn % links.len().max(1)) else { continue };
            let (turn, step, unsigned) = (sought.turn, sought.step, sought.unsigned);
            let Some((exchange, frame)) = self.question(author, step, unsigned) else { continue };
            if self.ask(link, exchange, &frame).is_some()
                && let Some(sought) = self.cuts.sought.get_mut(&author)
            {
                self.counters.ids_asked += 1;
                // An answer that never ends is not waited for: the next one is asked.
                let waits = now.plus_ms(2 * EXCHANGE_IDLE_MS);
                *sought = Sought { due: waits, turn: turn.wrapping_add(1), progress: false, ..*sought };
            }
        }
    }

    /// What to ask of a chain whose cut is missing: the cut itself by its id, or what lies below what is held of the way to it.
    fn question(&self, author: AuthorId, step: u32, unsigned: bool) -> Option<(Exchange, Frame)> {
        let chain = self.state.chain(&author)?;
        let cut = chain.incomplete()?;
        match lowest_below(chain, &cut) {
            None if unsigned => {
                let range = RangeRequest { author, from: cut.seq, to: cut.seq };
                Some((Exchange::CutRange { author }, Frame::Range(range)))
            }
            None => {
                let ids = vec![cut.id];
                Some((Exchange::ById { author, id: cut.id }, Frame::ById(ByIdRequest { ids, bodies: true })))
            }
            Some(low) => {
                let from = low.saturating_sub(CUT_STEP << step.min(16)).max(1);
                let to = low.checked_sub(1).filter(|to| *to >= 1)?;
                Some((Exchange::CutRange { author }, Frame::Range(RangeRequest { author, from, to })))
            }
        }
    }

    /// A question for a cut, or below it, ended.
    pub(super) fn cut_answered(&mut self, author: AuthorId) {
        let now = self.now;
        let Some(sought) = self.cuts.sought.get_mut(&author) else { return };
        if sought.progress {
            let (turn, step, unsigned) = (sought.turn.wrapping_sub(1), sought.step + 1, sought.unsigned);
            *sought = Sought { due: now, turn, step, unsigned, ..Sought::default() };
            return;
        }
        let full = self.links.values().filter(|link| link.is_full() && !link.in_peers_lobby).count().max(1);
        // Everybody is asked once before the pause grows.
        let round = u32::try_from(full).unwrap_or(u32::MAX);
        sought.failed += 1;
        sought.step = 0;
        sought.unsigned = false;
        let rounds = sought.failed / round;
        let pause = match sought.failed % round {
            0 => (SEEK_RETRY_MS << rounds.min(16)).min(SEEK_RETRY_MAX_MS),
            _ => FRONTIER_SPACING_MS,
        };
        sought.due = now.plus_ms(pause);
    }

    /// Whether a run may be taken in although it does not link: it leads to a cut that is looked for.
    pub(super) fn leads_to_cut(&self, author: &AuthorId, headers: &[Header]) -> bool {
        let Some(chain) = self.state.chain(author).filter(|_| self.cuts.sought.contains_key(author)) else {
            return false;
        };
        let Some(cut) = chain.incomplete() else { return false };
        let Some(low) = lowest_below(chain, &cut) else { return headers.iter().any(|header| header.id() == cut.id) };
        let wanted = chain.path(&cut.id, low, low).first().map(|held| held.prev());
        headers.iter().any(|header| header.seq + 1 == low && Some(header.id()) == wanted)
    }

    pub(super) fn cut_progress(&mut self, author: &AuthorId) {
        if let Some(sought) = self.cuts.sought.get_mut(author) {
            sought.progress = true;
        }
    }

    /// Takes in the envelope that was asked for by its id.
    pub(super) fn by_id_came(&mut self, link: LinkId, author: AuthorId, id: EnvelopeId, items: Vec<ByIdItem>) {
        if self.storage == Storage::Full {
            self.counters.refused_storage += items.len() as u64;
            return;
        }
        for item in items {
            self.item_came(link, author, id, item);
        }
    }

    fn item_came(&mut self, link: LinkId, author: AuthorId, id: EnvelopeId, item: ByIdItem) {
        let header = match Header::decode(&item.header) {
            Ok(header) => header,
            Err(HeaderDecodeError::Wire(_)) => return self.speaks_newer(link),
            Err(HeaderDecodeError::Decode(_)) => return self.strike(link, Fault::Frame),
            Err(HeaderDecodeError::Field(_)) => return self.strike(link, Fault::Field),
        };
        if header.id() != id || header.author_id() != author || header.alliance != self.alliance {
            return self.strike(link, Fault::Reply);
        }
        let wanted = self.state.chain(&author).and_then(Chain::incomplete).is_some_and(|cut| cut.id == id);
        let held = self.state.chain(&author).is_some_and(|chain| chain.get(&id).is_some());
        if !wanted || held || !self.state.lists(&author) {
            return;
        }
        let Some(signature) = item.signature else {
            if let Some(sought) = self.cuts.sought.get_mut(&author).filter(|sought| !sought.unsigned) {
                sought.unsigned = true;
                sought.progress = true;
            }
            return;
        };
        let Ok(attested) = (SignedHeader { header, signature }).verify() else {
            return self.strike(link, Fault::Signature);
        };
        let body = item.body.filter(|body| attested.header().body_matches(body));
        self.take_named(attested, body);
        self.cut_progress(&author);
    }

    fn take_named(&mut self, attested: AttestedHeader, body: Option<Arc<[u8]>>) {
        let id = attested.id();
        let mut ops = vec![SaveOp::Header(attested.clone())];
        let mut elements = vec![Element::Header(attested)];
        if let Some(bytes) = body {
            ops.push(SaveOp::Body { id, bytes: Arc::clone(&bytes) });
            elements.push(Element::Body { id, bytes });
        }
        self.admit(elements, ops);
    }
}

/// The lowest position held of the way down from a cut; none while the cut itself is not held at its position.
fn lowest_below(chain: &Chain, cut: &Tip) -> Option<u64> {
    chain.get(&cut.id).filter(|held| held.seq() == cut.seq)?;
    chain.path(&cut.id, 1, cut.seq).first().map(|held| held.seq())
}
