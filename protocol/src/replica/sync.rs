//! Asking: Hello, Control, Frontier, and the ranges that are missing (spec 4.13).
//!
//! Of one author one range is on its way at a time, whichever link it comes from; what a peer has shown and we lack is
//! asked for again until it is here, more and more rarely where a peer shows what it does not deliver.

use std::collections::{BTreeMap, BTreeSet};

use super::Replica;
use super::peers::{ControlPass, Fault};
use crate::chain::{AuthorStatus, Chain, Head, Held};
use crate::effect::{CloseReason, Effect, ExchangeId, LinkId, Storage};
use crate::frontier::FrontierEntry;
use crate::ids::{AuthorId, EnvelopeId, Timestamp};
use crate::limits::{
    CONTROL_HAVE_MAX, EXCHANGE_IDLE_MS, EXCHANGES_PER_LINK_MAX, FETCH_MAX_MS, FORK_BRANCH_HEADERS_MAX,
    FRONTIER_SPACING_MS, SEEK_RETRY_MAX_MS, SEEK_RETRY_MS, SIGNATURE_POINT_SEQ,
};
use crate::message::{ControlRequest, Frame, Outcome, Page, RangeRequest, RefusedCode};
use crate::rules::Rule;

/// A question of ours that is open on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// A Hello.
    Hello,
    /// A page of control records; `last` ends the pass.
    Control { last: bool },
    /// A frontier.
    Frontier,
    /// A range of this author's chain.
    Range { author: AuthorId },
    /// The end of this author's chain as a roster or charter names it.
    ById { author: AuthorId, id: EnvelopeId },
    /// A range of this author's chain that leads to such an end.
    CutRange { author: AuthorId },
}

/// A range on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    pub(super) link: LinkId,
    exchange: ExchangeId,
    since: Timestamp,
    heard_at: Timestamp,
    /// Something new came, or a fork search went deeper.
    pub(super) progress: bool,
    /// More came than is held of what is not kept: asking again at once would bring it again.
    pub(super) futile: bool,
}

/// What is missing of one author at one peer: how the search for it goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seek {
    /// Which of the heads that are wanted is asked for next: one that is never kept here must not hide the others.
    turn: usize,
    /// Lowest position seen of a branch that does not link yet; the search goes on below it.
    low: Option<u64>,
    /// The next step down is `2^step`.
    step: u32,
    failed: u32,
    /// How often so much came of what is not kept that all of it was forgotten; other progress does not make up for that.
    futile: u32,
    /// The peer knows of a lower fork than we do: that goes first.
    fork: bool,
    retry_at: Option<Timestamp>,
}

/// First step of a fork search is 2^4.
const FIRST_STEP: u32 = 4;
const LAST_STEP: u32 = 40;

impl Seek {
    /// When it is tried again, if it failed before.
    pub(super) const fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at
    }

    /// It is tried again at once.
    pub(super) fn ask_again(&mut self) {
        self.retry_at = None;
    }

    /// A run from `low` on does not link: the search goes on below. Whether that is deeper than before.
    pub(super) fn deeper(&mut self, low: u64) -> bool {
        let deeper = self.low.is_none_or(|before| low < before);
        if deeper {
            self.step = if self.low.is_none() { FIRST_STEP } else { (self.step + 1).min(LAST_STEP) };
            self.low = Some(low);
        }
        deeper
    }

    /// A run from `first_seq` on linked: the search is over, if that is below what it was for. An answer brings all branches,
    /// and one that links from the start says nothing of the one that is searched for.
    pub(super) fn linked(&mut self, first_seq: u64) {
        if self.low.is_some_and(|low| first_seq < low) {
            self.low = None;
        }
    }
}

impl Fetch {
    /// When it is given up.
    pub(super) fn abandoned_at(&self) -> Timestamp {
        self.heard_at.plus_ms(2 * EXCHANGE_IDLE_MS).min(self.since.plus_ms(FETCH_MAX_MS))
    }
}

impl Replica {
    pub(super) fn ask(&mut self, id: LinkId, exchange: Exchange, frame: &Frame) -> Option<ExchangeId> {
        let now = self.now;
        let number = self.fresh_exchange();
        let link = self.links.get_mut(&id)?;
        link.asking.take(now).ok()?;
        link.exchanges.insert(number, exchange);
        self.effects.push_back(Effect::Ask { link: id, exchange: number, frame: frame.encode() });
        Some(number)
    }

    fn asks(&self, id: LinkId, what: fn(&Exchange) -> bool) -> bool {
        self.links.get(&id).is_some_and(|link| link.exchanges.values().any(what))
    }

    pub(super) fn ask_hello(&mut self, id: LinkId) {
        let now = self.now;
        // Whether it is asked now or was asked before: what still differs is looked at again after another while.
        if let Some(link) = self.links.get_mut(&id)
            && link.differs_since.is_some()
        {
            link.differs_since = Some(now);
        }
        if self.asks(id, |exchange| *exchange == Exchange::Hello) {
            return;
        }
        let hello = Frame::Hello(self.hello());
        self.ask(id, Exchange::Hello, &hello);
    }

    pub(super) fn ask_control_if_due(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.control_due.is_none_or(|due| due > now) {
            return;
        }
        link.control_due = None;
        if !self.asks(id, |exchange| matches!(exchange, Exchange::Control { .. })) {
            if let Some(link) = self.links.get_mut(&id) {
                link.pass = ControlPass::START;
            }
            self.ask_control_page(id);
        }
    }

    fn ask_control_page(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let after = link.pass.after;
        let mut have: Vec<_> =
            self.state.control_ids().filter(|id| **id > after).take(CONTROL_HAVE_MAX + 1).copied().collect();
        let page = if have.len() > CONTROL_HAVE_MAX { Page::More } else { Page::Last };
        have.truncate(CONTROL_HAVE_MAX);
        let next = have.last().copied().unwrap_or(after);
        let frame = Frame::Control(ControlRequest { after, have, page });
        self.counters.controls_asked += 1;
        if self.ask(id, Exchange::Control { last: page == Page::Last }, &frame).is_some()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.pass.after = next;
        }
    }

    pub(super) fn ask_frontier_if_due(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.frontier_due.is_none_or(|due| due > now) {
            return;
        }
        let earliest = link.frontier_at.plus_ms(FRONTIER_SPACING_MS);
        if !link.is_full() || link.in_peers_lobby {
            link.frontier_due = None;
            return;
        }
        if earliest > now {
            link.frontier_due = Some(earliest);
            return;
        }
        link.frontier_due = None;
        if self.asks(id, |exchange| *exchange == Exchange::Frontier) {
            return;
        }
        self.counters.frontiers_asked += 1;
        if self.ask(id, Exchange::Frontier, &Frame::Frontier).is_some()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.frontier_at = now;
        }
    }

    /// Takes in one frame of an answer.
    pub(super) fn reply(&mut self, id: LinkId, exchange: ExchangeId, frame: &[u8]) {
        if !self.heard(id, frame.len()) {
            return;
        }
        let Some(open) = self.links.get(&id).and_then(|link| link.exchanges.get(&exchange)).copied() else { return };
        let frame = match Frame::decode(frame) {
            Ok(frame) => frame,
            Err(_) => {
                self.strike(id, Fault::Frame);
                return;
            }
        };
        match (open, frame) {
            (_, Frame::End(outcome)) => self.answered(id, exchange, open, outcome),
            (_, Frame::Refused(code)) => self.refused(id, exchange, open, code),
            (Exchange::Hello, Frame::Hello(hello)) => {
                self.hello_came(id, &hello);
            }
            (Exchange::Control { .. }, Frame::ControlReply(reply)) => self.control_came(id, reply.records),
            (Exchange::Frontier, Frame::FrontierReply(entries)) => self.frontier_came(id, &entries),
            (Exchange::Range { author }, Frame::Run(run)) if run.author == author => {
                if let Some(fetch) = self.fetching.get_mut(&author) {
                    fetch.heard_at = self.now;
                }
                self.run_came(id, run);
            }
            (Exchange::CutRange { author }, Frame::Run(run)) if run.author == author => self.run_came(id, run),
            (Exchange::ById { author, id: wanted }, Frame::ByIdReply(items)) => {
                self.by_id_came(id, author, wanted, items);
            }
            _ => self.strike(id, Fault::Reply),
        }
    }

    /// An answer ended as it should.
    fn answered(&mut self, id: LinkId, exchange: ExchangeId, open: Exchange, outcome: Outcome) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(&id) {
            link.exchanges.remove(&exchange);
        }
        match open {
            Exchange::Hello => {}
            Exchange::Control { last } => self.control_page_ended(id, last && outcome == Outcome::Complete),
            Exchange::Frontier => {
                if let Some(link) = self.links.get_mut(&id)
                    && link.is_full()
                {
                    link.outbox.caught_up();
                    if outcome == Outcome::Complete
                        && let Some(peer) = self.peers.get_mut(&link.peer)
                    {
                        peer.compared = true;
                    }
                }
                self.relay_now(id);
            }
            Exchange::Range { author } => {
                let Some(fetch) = self.fetching.get(&author).filter(|fetch| fetch.exchange == exchange) else { return };
                let progress = fetch.progress && !fetch.futile;
                if fetch.futile
                    && let Some(seek) = self.links.get_mut(&id).and_then(|link| link.missing.get_mut(&author))
                {
                    seek.futile += 1;
                    seek.failed = seek.failed.max(seek.futile - 1);
                }
                self.fetching.remove(&author);
                self.fetch_ended(id, author, progress, now);
            }
            Exchange::ById { author, .. } | Exchange::CutRange { author } => self.cut_answered(author),
        }
    }

    fn control_page_ended(&mut self, id: LinkId, pass_over: bool) {
        let now = self.now;
        let control = self.state.control();
        let Some(link) = self.links.get_mut(&id) else { return };
        let differs = link.peer_control != Some(control);
        if !pass_over {
            self.ask_control_page(id);
        } else if link.pass.brought_new && differs {
            link.control_due = Some(now);
        } else if link.is_full() && link.peer_held.is_some_and(|held| self.history.find(&held).is_none()) {
            link.frontier_due = Some(now);
        }
    }

    fn fetch_ended(&mut self, id: LinkId, author: AuthorId, progress: bool, now: Timestamp) {
        let lacking = self.lacks(id, &author);
        let Some(link) = self.links.get_mut(&id) else { return };
        if !lacking {
            link.missing.remove(&author);
            return;
        }
        let seek = link.missing.entry(author).or_default();
        if progress {
            seek.failed = 0;
            seek.retry_at = None;
        } else {
            let pause = (SEEK_RETRY_MS << seek.failed.min(16)).min(SEEK_RETRY_MAX_MS);
            let Seek { turn, futile, fork, .. } = *seek;
            let failed = seek.failed + 1;
            *seek = Seek { turn, failed, futile, fork, retry_at: Some(now.plus_ms(pause)), ..Seek::default() };
        }
    }

    /// The peer does not serve a question.
    fn refused(&mut self, id: LinkId, exchange: ExchangeId, open: Exchange, code: RefusedCode) {
        match code {
            RefusedCode::OtherAlliance => return self.close(id, CloseReason::OtherAlliance),
            RefusedCode::NoCommonVersion => return self.close(id, CloseReason::NoCommonVersion),
            RefusedCode::NotInRoster => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.in_peers_lobby = true;
                }
            }
            RefusedCode::Busy | RefusedCode::Rate | RefusedCode::Malformed | RefusedCode::Other(_) => {}
        }
        // An End follows and finds the question closed.
        self.question_failed(id, exchange, open);
    }

    pub(super) fn exchange_failed(&mut self, id: LinkId, exchange: ExchangeId) {
        if let Some(open) = self.links.get(&id).and_then(|link| link.exchanges.get(&exchange)).copied() {
            self.question_failed(id, exchange, open);
        }
    }

    fn question_failed(&mut self, id: LinkId, exchange: ExchangeId, open: Exchange) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.exchanges.remove(&exchange);
        match open {
            // The next Hello of the regular kind, or the next heartbeat that differs, starts again.
            Exchange::Hello | Exchange::Frontier | Exchange::Control { .. } => {}
            Exchange::ById { author, .. } | Exchange::CutRange { author } => self.cut_answered(author),
            Exchange::Range { author } => {
                if self.fetching.get(&author).is_some_and(|fetch| fetch.exchange == exchange) {
                    self.fetching.remove(&author);
                    self.fetch_ended(id, author, false, now);
                }
            }
        }
    }

    pub(super) fn abandon_stuck_fetches(&mut self) {
        let now = self.now;
        let stuck: Vec<(LinkId, ExchangeId)> = self
            .fetching
            .values()
            .filter(|fetch| fetch.abandoned_at() <= now)
            .map(|fetch| (fetch.link, fetch.exchange))
            .collect();
        for (link, exchange) in stuck {
            self.exchange_failed(link, exchange);
        }
    }

    fn frontier_came(&mut self, id: LinkId, entries: &[FrontierEntry]) {
        let now = self.now;
        let Some(key) = self.links.get(&id).map(|link| link.peer) else { return };
        let mut unknown = false;
        for entry in entries {
            if !self.state.lists(&entry.author) {
                unknown = true;
                continue;
            }
            self.shown(key, entry);
            let lacking = self.lacks(id, &entry.author);
            let known = self.state.chain(&entry.author).and_then(Chain::fork).unwrap_or(u64::MAX);
            let lower = entry.fork.is_some_and(|fork| fork < known);
            let Some(link) = self.links.get_mut(&id) else { return };
            if lacking {
                link.missing.entry(entry.author).or_default().fork = lower;
            } else {
                link.missing.remove(&entry.author);
            }
        }
        if unknown {
            self.counters.refused_unknown += 1;
            if let Some(link) = self.links.get_mut(&id) {
                link.hello_due = link.hello_due.min(now.plus_ms(FRONTIER_SPACING_MS));
            }
        }
        self.confirmed_by(key);
    }

    /// Whether the peer of a link has shown anything of an author that is not held.
    pub(super) fn lacks(&self, id: LinkId, author: &AuthorId) -> bool {
        let Some(peer) = self.links.get(&id).and_then(|link| self.peers.get(&link.peer)) else { return false };
        let Some(shown) = peer.shown.get(author) else { return false };
        let chain = self.state.chain(author);
        shown.iter().any(|head| match chain {
            None => true,
            Some(chain) => wanted(chain, head, None, self.branch_end(chain)).is_some(),
        })
    }

    /// How far up a branch is asked for: beyond this nothing of a forked chain is kept (4.12).
    fn branch_end(&self, chain: &Chain) -> u64 {
        let Some(fork) = chain.fork() else { return u64::MAX };
        let branch = u64::try_from(FORK_BRANCH_HEADERS_MAX).unwrap_or(u64::MAX);
        let cut = match chain.status() {
            AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut } => cut.seq,
            AuthorStatus::Active | AuthorStatus::Unlisted => 0,
        };
        let named = cut.max(self.state.acknowledgements().highest(&chain.author()));
        fork.saturating_add(branch).max(named).saturating_add(SIGNATURE_POINT_SEQ)
    }

    /// Asks for what is missing, as far as links, rates and the disk allow.
    pub(super) fn plan(&mut self) {
        if self.storage == Storage::Full || !self.rules.keeps(Rule::AskForMissing) {
            return;
        }
        self.ask_for_cuts();
        let now = self.now;
        let mut wishes: BTreeMap<AuthorId, Vec<LinkId>> = BTreeMap::new();
        let mut forks: BTreeSet<AuthorId> = BTreeSet::new();
        for (id, link) in self.links.iter().filter(|(_, link)| link.is_full() && !link.in_peers_lobby) {
            for (author, seek) in &link.missing {
                let due = seek.retry_at.is_none_or(|at| at <= now);
                if due && !self.fetching.contains_key(author) {
                    forks.extend(Some(*author).filter(|_| seek.fork));
                    wishes.entry(*author).or_default().push(*id);
                }
            }
        }
        // What proves a fork goes before what only adds to a chain.
        let mut wishes: Vec<(AuthorId, Vec<LinkId>)> = wishes.into_iter().collect();
        wishes.sort_by_key(|(author, _)| (!forks.contains(author), *author));
        for (author, links) in wishes {
            // Of the links that show an author's chain the least busy one is asked, of what is withheld first those of the
            // nations that say they hold it.
            let load = |id: &LinkId| self.links.get(id).map_or(usize::MAX, |link| link.exchanges.len());
            let witnesses = self.watch.witnesses_of(&author);
            let other = |id: &LinkId| {
                let nation = self.links.get(id).and_then(|link| self.peers.get(&link.peer)?.nation);
                !nation.is_some_and(|nation| witnesses.contains(&nation))
            };
            if let Some(id) = links.into_iter().min_by_key(|id| (other(id), load(id), *id)) {
                self.fetch(id, author);
            }
        }
    }

    fn fetch(&mut self, id: LinkId, author: AuthorId) {
        let now = self.now;
        let end = self.state.chain(&author).map_or(u64::MAX, |chain| self.branch_end(chain));
        let Some(link) = self.links.get_mut(&id) else { return };
        let busy = link.exchanges.len() >= EXCHANGES_PER_LINK_MAX;
        let Some(seek) = link.missing.get_mut(&author) else { return };
        if busy {
            seek.retry_at = Some(now.plus_ms(FRONTIER_SPACING_MS));
            return;
        }
        seek.retry_at = None;
        let low = seek.low.map(|low| (low, 1_u64 << seek.step));
        let shown = self.peers.get(&link.peer).and_then(|peer| peer.shown.get(&author));
        let chain = self.state.chain(&author);
        let ranges = shown.into_iter().flatten().filter_map(|head| match chain {
            None => Some((1, head.tip.seq)),
            Some(chain) => wanted(chain, head, low, end),
        });
        let ranges: Vec<(u64, u64)> = ranges.collect();
        if ranges.is_empty() {
            link.missing.remove(&author);
            return;
        }
        let (from, to) = ranges[seek.turn % ranges.len()];
        if low.is_none() {
            seek.turn = seek.turn.wrapping_add(1);
        }
        let frame = Frame::Range(RangeRequest { author, from, to });
        match self.ask(id, Exchange::Range { author }, &frame) {
            Some(exchange) => {
                self.counters.ranges_asked += 1;
                let fetch = Fetch { link: id, exchange, since: now, heard_at: now, progress: false, futile: false };
                self.fetching.insert(author, fetch);
            }
            None => {
                // Out of tokens: a little later.
                if let Some(seek) = self.links.get_mut(&id).and_then(|link| link.missing.get_mut(&author)) {
                    seek.retry_at = Some(now.plus_ms(FRONTIER_SPACING_MS));
                }
            }
        }
    }
}

/// Returns what to ask for of a branch that a peer shows, `None` if nothing of it is missing.
///
/// `low` is how deep a search for the place where the branch links has come, and the next step down; `end` how far up a branch
/// is asked for.
fn wanted(chain: &Chain, head: &Head, low: Option<(u64, u64)>, end: u64) -> Option<(u64, u64)> {
    let Some(held) = chain.get(&head.tip.id) else {
        if let Some((low, step)) = low
            && low > 1
        {
            return Some((low.saturating_sub(step).max(1), low - 1));
        }
        let below = chain.heads().iter().map(|head| head.tip.seq).filter(|seq| *seq < head.tip.seq).max();
        let from = match (below, chain.heads().is_empty()) {
            (Some(seq), _) => seq + 1,
            (None, true) => 1,
            // Ours is longer: theirs has left it somewhere at or below its head.
            (None, false) => head.tip.seq,
        };
        let to = head.tip.seq.min(end);
        return (from <= to).then_some((from, to));
    };
    if !held.linked() {
        // Held as evidence of a fork: its way down is still missing.
        let bottom = chain.path(&head.tip.id, 1, head.tip.seq).first().map_or(head.tip.seq, |held| held.seq());
        let step = low.map_or(1 << FIRST_STEP, |(_, step)| step);
        return (bottom > 1).then(|| (bottom.saturating_sub(step).max(1), bottom - 1));
    }
    // Bodies are held without a gap up to some position of the path.
    let (mut ours, mut above) = (0, held.seq() + 1);
    while ours + 1 < above {
        let middle = ours + (above - ours) / 2;
        if chain.ancestor(&head.tip.id, middle).is_some_and(Held::complete) {
            ours = middle;
        } else {
            above = middle;
        }
    }
    (ours < head.bodies_to).then_some((ours + 1, head.bodies_to))
}
