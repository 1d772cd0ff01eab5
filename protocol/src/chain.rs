//! Stratum 3b, author chains (spec 4.5.4): what is held of one author, what of it links, and what of that is accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::body::KIND_WITNESS;
use crate::envelope::{AttestedHeader, Header};
use crate::ids::{AllianceId, AuthorId, Digest, EnvelopeId, Tip};
use crate::keys::Signature;
use crate::limits::{ENVELOPE_OVERHEAD_BYTES, SIGNATURE_POINT_BYTES, SIGNATURE_POINT_SEQ};
use crate::rules::{Rule, Rules};

mod retain;
mod tree;

/// One header as held, with its body where that is held too.
#[derive(Clone, Debug)]
pub struct Held {
    id: EnvelopeId,
    prev: EnvelopeId,
    body_hash: Digest,
    seq: u64,
    time_ms: u64,
    /// Cumulative quota bytes up to and including this one; 0 while not linked.
    cum: u64,
    body: Option<Arc<[u8]>>,
    signature: Option<Box<Signature>>,
    body_len: u32,
    /// Index of the parent; only meaningful while linked and `seq` is above 1.
    parent: u32,
    /// Index of an ancestor further down (see `tree`); only meaningful while linked.
    jump: u32,
    kind: u16,
    linked: bool,
    /// Linked, and its body and all below it are held: only then is its body read (spec 4.3.4).
    complete: bool,
}

/// What the strata below say about an author: it decides how far its chain counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorStatus {
    /// Its key is Active in the nation's evaluated roster.
    Active,
    /// Its key is Retired: the chain counts up to the cut.
    Retired {
        /// The last envelope that counts.
        cut: Tip,
    },
    /// Its nation was removed: the chain counts up to the motion's cut, or not at all.
    Removed {
        /// The last envelope that counts; [`Tip::NONE`] for none.
        cut: Tip,
    },
    /// Its key stands in no evaluated roster.
    Unlisted,
}

/// Where one held header stands (spec 4.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvelopeStanding {
    /// On the accepted path.
    Accepted,
    /// Linked, not accepted; its key is Active (the chain forked) or in no evaluated roster.
    Suspended,
    /// Linked, above the cut of a Retired key, or on another branch.
    Disavowed,
    /// Linked, above the cut of a removed nation.
    PostRemoval,
    /// Its chain below is not held, or it breaks the chain's time or quota rule.
    Unlinked,
}

impl EnvelopeStanding {
    /// Returns a stable word for logs and JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Suspended => "suspended",
            Self::Disavowed => "disavowed",
            Self::PostRemoval => "post_removal",
            Self::Unlinked => "unlinked",
        }
    }

    /// Returns the standing as a sentence for people.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Accepted => "it stands in its author's accepted chain",
            Self::Suspended => "its author's chain forked below it, or its key is in no roster in force",
            Self::Disavowed => "its nation retired the key at an earlier envelope or on another branch",
            Self::PostRemoval => "its nation was removed, and its chain counts up to an earlier envelope",
            Self::Unlinked => "the chain below it is not held, or it breaks the chain's rule of time or quota",
        }
    }
}

/// The upper end of a kept branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// The branch's last header.
    pub tip: Tip,
    /// Highest position on the path to it up to which every body is held.
    pub bodies_to: u64,
}

/// Whether a header not held would extend what is held (R08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Its parent is held and linked, and it keeps the chain's rules.
    Links {
        /// Cumulative quota bytes up to and including it.
        cum: u64,
    },
    /// Its parent is not held, or not linked.
    ParentMissing,
    /// Its claimed time is before its parent's.
    TimeDecreases,
    /// The chain would exceed its quota.
    OverQuota,
}

/// How the accepted path moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathChange {
    /// Not at all.
    Unchanged,
    /// It grew above its old tip.
    Extended {
        /// First new position.
        from: u64,
    },
    /// It shrank, or turned to another branch.
    Replaced {
        /// What is no longer accepted, ascending by position.
        dropped: Vec<EnvelopeId>,
        /// First new position.
        from: u64,
    },
}

/// All that is held of one author.
#[derive(Clone, Debug)]
pub struct Chain {
    author: AuthorId,
    alliance: AllianceId,
    rules: Rules,
    quota: u64,
    headers: Vec<Held>,
    by_id: BTreeMap<EnvelopeId, u32>,
    by_seq: BTreeSet<(u64, u32)>,
    /// Headers not linked, by the parent they name.
    waiting: BTreeMap<EnvelopeId, Vec<u32>>,
    /// Headers whose parent is linked and that break the time or quota rule.
    refused: BTreeSet<u32>,
    fork: Option<u64>,
    linked_to: u64,
    /// The linked headers below the fork, or all of them: position `seq − 1` holds the one with that `seq`.
    trunk: Vec<u32>,
    trunk_bodies: u64,
    status: AuthorStatus,
    /// What is final by the nations' acknowledgements; [`Tip::NONE`] for nothing.
    witnessed: Tip,
    /// The part of the accepted path above the trunk; a cut leads there, and what is final of a forked chain.
    beyond: Vec<u32>,
    accepted_to: u64,
    incomplete: Option<Tip>,
    /// Headers to which the path is kept although the chain forked (spec 4.12 (b) and (d)), ascending.
    vouched: Vec<EnvelopeId>,
    /// Headers that linked since the evaluation last looked.
    fresh: Vec<Tip>,
    /// Witness envelopes that became complete since then.
    spoken: Vec<Tip>,
    /// What linked once may not any more.
    relinked: bool,
    heads: OnceLock<Vec<Head>>,
    /// What is kept beside the trunk; worked out anew after every change, so that another one says that something changed.
    kept: OnceLock<Arc<BTreeSet<u32>>>,
}

impl Held {
    /// Its id.
    pub const fn id(&self) -> EnvelopeId {
        self.id
    }

    /// Its position in the chain, from 1.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Its position and id.
    pub const fn tip(&self) -> Tip {
        Tip { seq: self.seq, id: self.id }
    }

    /// The id of the envelope before it; zero for the first.
    pub const fn prev(&self) -> EnvelopeId {
        self.prev
    }

    /// Its claimed time in milliseconds.
    pub const fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Its body's kind.
    pub const fn kind(&self) -> u16 {
        self.kind
    }

    /// Its body's length in bytes, held or not.
    pub const fn body_len(&self) -> u32 {
        self.body_len
    }

    /// The hash of its body.
    pub const fn body_hash(&self) -> Digest {
        self.body_hash
    }

    /// Its body, where held.
    pub const fn body(&self) -> Option<&Arc<[u8]>> {
        self.body.as_ref()
    }

    /// Its own signature, where held; otherwise a header above it attests it.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_deref()
    }

    /// Whether everything below it is held and keeps the chain's rules (spec 4.5.4).
    pub const fn linked(&self) -> bool {
        self.linked
    }

    /// Whether it is linked and its body and all bodies below it are held: only then is its body read (spec 4.3.4).
    pub const fn complete(&self) -> bool {
        self.complete
    }

    /// Bytes of the chain's quota used up to and including it; 0 while not linked.
    pub const fn cum(&self) -> u64 {
        self.cum
    }

    /// Whether every store keeps its signature (spec 4.13.1); while not linked only its position decides.
    pub fn signature_point(&self) -> bool {
        let before = self.cum.saturating_sub(ENVELOPE_OVERHEAD_BYTES + u64::from(self.body_len));
        self.seq.is_multiple_of(SIGNATURE_POINT_SEQ)
            || self.cum / SIGNATURE_POINT_BYTES != before / SIGNATURE_POINT_BYTES
    }
}

impl Chain {
    /// Starts with nothing held; nothing links until [`Chain::set_quota`] names a quota.
    pub(crate) fn new(alliance: AllianceId, author: AuthorId, rules: Rules) -> Self {
        Self {
            author,
            alliance,
            rules,
            quota: 0,
            headers: Vec::new(),
            by_id: BTreeMap::new(),
            by_seq: BTreeSet::new(),
            waiting: BTreeMap::new(),
            refused: BTreeSet::new(),
            fork: None,
            linked_to: 0,
            trunk: Vec::new(),
            trunk_bodies: 0,
            status: AuthorStatus::Unlisted,
            witnessed: Tip::NONE,
            beyond: Vec::new(),
            accepted_to: 0,
            incomplete: None,
            vouched: Vec::new(),
            fresh: Vec::new(),
            spoken: Vec::new(),
            relinked: false,
            heads: OnceLock::new(),
            kept: OnceLock::new(),
        }
    }

    /// The author.
    pub const fn author(&self) -> AuthorId {
        self.author
    }

    /// What the roster and the charter say of the author.
    pub const fn status(&self) -> AuthorStatus {
        self.status
    }

    /// Headers held, all branches.
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// Returns a header held.
    pub fn get(&self, id: &EnvelopeId) -> Option<&Held> {
        self.by_id.get(id).map(|&node| self.node(node))
    }

    /// Returns every header held at a position, in no particular order: more than one proves a fork.
    pub fn at(&self, seq: u64) -> impl Iterator<Item = &Held> {
        self.nodes_at(seq).map(|node| self.node(node))
    }

    /// Returns all headers held, ascending by position.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.by_seq.iter().map(|&(_, node)| self.node(node))
    }

    /// Returns a header of this chain in full.
    pub fn header(&self, held: &Held) -> Header {
        Header {
            alliance: self.alliance,
            nation: self.author.nation,
            author: self.author.key,
            seq: held.seq,
            prev: held.prev,
            time_ms: held.time_ms,
            kind: held.kind,
            body_len: held.body_len,
            body_hash: held.body_hash,
        }
    }

    /// Lowest position at which two different headers are held.
    pub const fn fork(&self) -> Option<u64> {
        self.fork
    }

    /// The accepted tip.
    pub fn tip(&self) -> Tip {
        self.accepted(self.accepted_to).map_or(Tip::NONE, Held::tip)
    }

    /// Returns the accepted header at a position.
    pub fn accepted(&self, seq: u64) -> Option<&Held> {
        self.accepted_node(seq).map(|node| self.node(node))
    }

    /// Returns the accepted headers from a position on, ascending.
    pub fn accepted_from(&self, seq: u64) -> impl Iterator<Item = &Held> {
        (seq.max(1)..=self.accepted_to).filter_map(|seq| self.accepted(seq))
    }

    /// Highest accepted position up to which every body is held.
    pub fn bodies_to(&self) -> u64 {
        let trunk = self.trunk_len();
        if self.accepted_to <= trunk || self.trunk_bodies < trunk {
            return self.trunk_bodies.min(self.accepted_to);
        }
        let above = self.beyond.iter().take_while(|&&node| self.node(node).body.is_some()).count();
        trunk + u64::try_from(above).expect("a count of held headers")
    }

    /// The cut of a Retired or removed key that is not held, or not linked: the chain stands as far as it is known
    /// (`Incomplete`, spec 4.5.4) and the header is wanted by its id.
    pub const fn incomplete(&self) -> Option<Tip> {
        self.incomplete
    }

    /// Bytes of the quota used by the linked headers below any fork.
    pub fn quota_used(&self) -> u64 {
        self.trunk.last().map_or(0, |&node| self.node(node).cum)
    }

    /// Highest position of a linked header below any fork: the chain is known without doubt up to here.
    pub fn linked_to(&self) -> u64 {
        self.trunk_len()
    }

    /// Returns where a held header stands.
    pub fn standing(&self, held: &Held) -> EnvelopeStanding {
        if self.accepted(held.seq).is_some_and(|accepted| accepted.id == held.id) {
            return EnvelopeStanding::Accepted;
        }
        if !held.linked {
            return EnvelopeStanding::Unlinked;
        }
        match self.status {
            AuthorStatus::Active | AuthorStatus::Unlisted => EnvelopeStanding::Suspended,
            AuthorStatus::Retired { .. } => EnvelopeStanding::Disavowed,
            AuthorStatus::Removed { .. } => EnvelopeStanding::PostRemoval,
        }
    }

    /// Returns the headers of one branch from position `from` to `to`, ascending: the path that ends at `head`, as far down
    /// as it is held without a gap.
    pub fn path(&self, head: &EnvelopeId, from: u64, to: u64) -> Vec<&Held> {
        let mut above = Vec::new();
        let mut next = self.by_id.get(head).copied();
        while let Some(node) = next {
            let held = self.node(node);
            if held.seq < from {
                break;
            }
            if held.seq <= self.trunk_len() && self.trunk_node(held.seq) == Some(node) {
                let last = held.seq.min(to);
                let below = (from.max(1)..=last).filter_map(|seq| self.trunk_node(seq)).map(|node| self.node(node));
                return below.chain(above.into_iter().rev()).collect();
            }
            if held.seq <= to {
                above.push(held);
            }
            next = self.parent(node);
        }
        above.reverse();
        above
    }

    /// Returns the lowest position at or above `seq`, on the branch that ends at `head`, whose signature is held.
    pub fn next_signed(&self, head: &EnvelopeId, seq: u64) -> Option<u64> {
        // Two kept signatures are never further apart than the signature points, so this looks at a few hundred headers.
        let mut from = seq;
        let top = self.get(head)?.seq;
        while from <= top {
            let to = from.saturating_add(SIGNATURE_POINT_SEQ - 1).min(top);
            if let Some(held) = self.path(head, from, to).into_iter().find(|held| held.signature.is_some()) {
                return Some(held.seq);
            }
            from = to + 1;
        }
        None
    }

    /// Returns the last accepted position and id whose claimed time is at most `time_ms`.
    pub fn accepted_by(&self, time_ms: u64) -> Tip {
        let (mut low, mut high) = (0, self.accepted_to);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.accepted(middle).is_some_and(|held| held.time_ms <= time_ms) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        self.accepted(low).map_or(Tip::NONE, Held::tip)
    }

    /// Whether `header` would link to what is held (R08).
    pub fn link(&self, header: &Header) -> Link {
        let parent = if header.seq == 1 { None } else { self.get(&header.prev) };
        match parent {
            None if header.seq == 1 => self.link_above(0, 0, header),
            Some(parent) if parent.linked && parent.seq + 1 == header.seq => {
                self.link_above(parent.time_ms, parent.cum, header)
            }
            None | Some(_) => Link::ParentMissing,
        }
    }

    /// Whether `header` would link above a parent with this claimed time and cumulative bytes.
    pub fn link_above(&self, time_ms: u64, cum: u64, header: &Header) -> Link {
        if header.time_ms < time_ms {
            return Link::TimeDecreases;
        }
        let cum = cum.saturating_add(header.quota_bytes());
        if cum <= self.quota { Link::Links { cum } } else { Link::OverQuota }
    }

    /// Whether another header is held at the position of `header` (fork evidence, R08).
    pub fn contradicts(&self, header: &Header) -> bool {
        let id = header.id();
        self.at(header.seq).any(|held| held.id != id)
    }

    /// Whether a held header that is not linked names `id` as its parent.
    pub fn wants_parent(&self, id: &EnvelopeId) -> bool {
        self.waiting.contains_key(id)
    }

    /// Takes in a header; whether it was new. A signature not held before is kept either way.
    pub(crate) fn insert(&mut self, attested: &AttestedHeader) -> bool {
        if let Some(&node) = self.by_id.get(&attested.id()) {
            let held = self.node_mut(node);
            if held.signature.is_none() {
                held.signature = attested.signature().copied().map(Box::new);
            }
            return false;
        }
        let header = attested.header();
        let node = u32::try_from(self.headers.len()).expect("a chain's bytes are bounded by its quota");
        self.headers.push(Held {
            id: attested.id(),
            prev: header.prev,
            body_hash: header.body_hash,
            seq: header.seq,
            time_ms: header.time_ms,
            cum: 0,
            body: None,
            signature: attested.signature().copied().map(Box::new),
            body_len: header.body_len,
            parent: 0,
            jump: node,
            kind: header.kind,
            linked: false,
            complete: false,
        });
        if self.nodes_at(header.seq).next().is_some() {
            self.fork = Some(self.fork.map_or(header.seq, |fork| fork.min(header.seq)));
        }
        self.by_id.insert(attested.id(), node);
        self.by_seq.insert((header.seq, node));
        self.changed();
        self.link_up(node);
        true
    }

    /// Takes in a body; whether it was new and the one its header names (R07).
    pub(crate) fn attach(&mut self, id: &EnvelopeId, body: &Arc<[u8]>) -> bool {
        let Some(&node) = self.by_id.get(id) else { return false };
        let held = self.node(node);
        if held.body.is_some() || !self.header(held).body_matches(body) {
            return false;
        }
        self.node_mut(node).body = Some(body.clone());
        self.changed();
        self.complete_up(node);
        true
    }

    /// Sets the quota that links are checked against; a raise links what was over the old one.
    pub(crate) fn set_quota(&mut self, quota: u64) {
        if quota == self.quota {
            return;
        }
        let lower = quota < self.quota;
        self.quota = quota;
        self.changed();
        let mut again = std::mem::take(&mut self.refused);
        if lower && self.headers.iter().any(|held| held.linked && held.cum > quota) {
            // Only a charter that froze below a raise goes back to a lower quota.
            self.waiting.clear();
            self.linked_to = 0;
            for held in &mut self.headers {
                (held.linked, held.cum, held.parent, held.complete) = (false, 0, 0, false);
            }
            self.relinked = true;
            again.clear();
            let below: Vec<u32> = self.by_seq.iter().map(|&(_, node)| node).collect();
            below.into_iter().for_each(|node| self.link_up(node));
        }
        again.into_iter().for_each(|node| self.link_up(node));
    }

    /// Works out the accepted path again under `status` (spec 4.5.4), after headers, bodies or acknowledgements came in;
    /// `witnessed` is what is final, linked or [`Tip::NONE`].
    pub(crate) fn settle(&mut self, status: AuthorStatus, witnessed: Tip) -> PathChange {
        let target = self.agreed_to();
        let relinked = std::mem::take(&mut self.relinked);
        let same = (status, witnessed, target) == (self.status, self.witnessed, self.trunk_len());
        if same && self.incomplete.is_none() && !relinked && self.rules.keeps(Rule::FreezeOnFork) {
            // A hostile author may extend a branch by one header at a time: nothing is to be worked out for that.
            self.refresh_trunk(target);
            return PathChange::Unchanged;
        }
        let only_growth = status == self.status && self.beyond.is_empty() && target >= self.trunk_len();
        let before: Vec<u32> = if only_growth {
            Vec::new()
        } else {
            (1..=self.accepted_to).filter_map(|seq| self.accepted_node(seq)).collect()
        };
        let old_to = self.accepted_to;
        self.status = status;
        self.witnessed = witnessed;
        self.refresh_trunk(target);
        self.refresh_tip();
        if only_growth {
            // What was accepted lies on the trunk, which only grew, and what is above leads through all of it.
            return if self.accepted_to == old_to {
                PathChange::Unchanged
            } else {
                PathChange::Extended { from: old_to + 1 }
            };
        }
        let common = before.iter().zip(1..).take_while(|&(&node, seq)| self.accepted_node(seq) == Some(node)).count();
        let dropped: Vec<EnvelopeId> = before[common.min(before.len())..].iter().map(|&n| self.node(n).id).collect();
        let from = u64::try_from(common).expect("a count of held headers") + 1;
        match (dropped.is_empty(), from > self.accepted_to) {
            (true, true) => PathChange::Unchanged,
            (true, false) => PathChange::Extended { from },
            (false, _) => PathChange::Replaced { dropped, from },
        }
    }

    /// Takes the headers that linked since this was last asked.
    pub(crate) fn take_fresh(&mut self) -> Vec<Tip> {
        std::mem::take(&mut self.fresh)
    }

    /// Whether what linked once may not link any more, since a lower quota counts.
    pub(crate) const fn relinked(&self) -> bool {
        self.relinked
    }

    /// Takes the witness envelopes that became complete since this was last asked.
    pub(crate) fn take_spoken(&mut self) -> Vec<Tip> {
        std::mem::take(&mut self.spoken)
    }

    /// A header linked, or got its body: it may be complete now, and with it what stands above.
    fn complete_up(&mut self, first: u32) {
        let mut ready = vec![first];
        while let Some(node) = ready.pop() {
            let held = self.node(node);
            let below = held.seq == 1 || self.node(held.parent).complete;
            if held.complete || !held.linked || held.body.is_none() || !below {
                continue;
            }
            let (tip, witness) = (held.tip(), held.kind == KIND_WITNESS);
            ready.extend(self.nodes_at(tip.seq + 1).filter(|&child| self.node(child).prev == tip.id));
            if witness {
                self.spoken.push(tip);
            }
            self.node_mut(node).complete = true;
        }
    }

    /// Names the headers to which the path is kept if the chain forks (spec 4.12 (b) and (d)), ascending.
    pub(crate) fn vouch_for(&mut self, vouched: Vec<EnvelopeId>) {
        if self.vouched != vouched {
            self.vouched = vouched;
            self.changed();
        }
    }

    /// What was worked out from what is held is to be worked out again.
    fn changed(&mut self) {
        self.heads = OnceLock::new();
        self.kept = OnceLock::new();
    }

    fn refresh_trunk(&mut self, target: u64) {
        self.trunk.truncate(usize::try_from(target).expect("a count of held headers"));
        self.trunk_bodies = self.trunk_bodies.min(target);
        while self.trunk_len() < target {
            let node =
                self.nodes_at(self.trunk_len() + 1).next().expect("every position below a linked header is held");
            self.trunk.push(node);
        }
        while let Some(node) = self.trunk_node(self.trunk_bodies + 1) {
            if self.node(node).body.is_none() {
                break;
            }
            self.trunk_bodies += 1;
        }
        self.changed();
    }

    fn refresh_tip(&mut self) {
        self.beyond.clear();
        self.incomplete = None;
        self.accepted_to = self.trunk_len();
        let cut = match self.status {
            AuthorStatus::Active => {
                self.accept_final(u64::MAX);
                if !self.rules.keeps(Rule::FreezeOnFork) {
                    self.go_on_past_fork();
                }
                return;
            }
            AuthorStatus::Retired { .. } if !self.rules.keeps(Rule::CutAtRetirement) => return,
            AuthorStatus::Unlisted => Tip::NONE,
            AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut } => cut,
        };
        if cut == Tip::NONE {
            self.accepted_to = 0;
            return;
        }
        match self.linked_node(&cut.id).filter(|&node| self.node(node).seq == cut.seq) {
            Some(node) => self.accept_path_to(node),
            None => {
                self.incomplete = Some(cut);
                self.accepted_to = self.trunk_len().min(cut.seq);
                self.accept_final(cut.seq);
            }
        }
    }

    /// Of a forked chain what is final stands above the freeze point too, up to position `most` (D3).
    fn accept_final(&mut self, most: u64) {
        if self.fork.is_none() || most <= self.trunk_len() || !self.rules.keeps(Rule::FinalBeforeFreeze) {
            return;
        }
        let witnessed = self.linked_node(&self.witnessed.id).filter(|_| self.witnessed.seq > self.trunk_len());
        if let Some(node) = witnessed {
            self.accept_path_to(self.ancestor_at(node, most.min(self.witnessed.seq)));
        }
    }

    fn accept_path_to(&mut self, mut node: u32) {
        self.accepted_to = self.node(node).seq;
        while self.node(node).seq > self.trunk_len() {
            self.beyond.push(node);
            match self.parent(node) {
                Some(parent) => node = parent,
                None => break,
            }
        }
        self.beyond.reverse();
    }

    /// Accepts, above the fork, the branch that came first; only where that rule is broken on purpose.
    fn go_on_past_fork(&mut self) {
        let mut last = self.accepted(self.accepted_to).map_or(Tip::NONE.id, Held::id);
        let next = |chain: &Self, last: EnvelopeId| {
            let mut above = chain.nodes_at(chain.accepted_to + 1).map(|node| (node, chain.node(node)));
            above.find(|(_, held)| held.linked && held.prev == last).map(|(node, held)| (node, held.id))
        };
        while let Some((node, id)) = next(self, last) {
            self.beyond.push(node);
            self.accepted_to += 1;
            last = id;
        }
    }

    fn link_up(&mut self, first: u32) {
        let mut ready = vec![first];
        while let Some(node) = ready.pop() {
            let held = self.node(node);
            let header = self.header(held);
            let (id, prev) = (held.id, held.prev);
            match self.link(&header) {
                Link::Links { cum } => {
                    let parent = if header.seq == 1 { None } else { self.by_id.get(&prev).copied() };
                    let jump = self.jump_of(node, parent);
                    let held = self.node_mut(node);
                    held.linked = true;
                    held.cum = cum;
                    held.parent = parent.unwrap_or(node);
                    held.jump = jump;
                    self.fresh.push(Tip { seq: header.seq, id });
                    self.complete_up(node);
                    self.linked_to = self.linked_to.max(header.seq);
                    ready.extend(self.waiting.remove(&id).unwrap_or_default());
                }
                Link::ParentMissing => {
                    self.waiting.entry(prev).or_default().push(node);
                }
                Link::TimeDecreases | Link::OverQuota => {
                    self.refused.insert(node);
                }
            }
        }
    }

    fn node(&self, node: u32) -> &Held {
        &self.headers[node as usize]
    }

    fn node_mut(&mut self, node: u32) -> &mut Held {
        &mut self.headers[node as usize]
    }

    fn nodes_at(&self, seq: u64) -> impl Iterator<Item = u32> {
        self.by_seq.range((seq, 0)..=(seq, u32::MAX)).map(|&(_, node)| node)
    }

    fn parent(&self, node: u32) -> Option<u32> {
        let held = self.node(node);
        if held.seq == 1 {
            return None;
        }
        if held.linked { Some(held.parent) } else { self.by_id.get(&held.prev).copied() }
    }

    fn trunk_len(&self) -> u64 {
        self.trunk.len() as u64
    }

    fn trunk_node(&self, seq: u64) -> Option<u32> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.trunk.get(index).copied()
    }

    fn accepted_node(&self, seq: u64) -> Option<u32> {
        if seq > self.accepted_to {
            return None;
        }
        self.trunk_node(seq).or_else(|| {
            let index = usize::try_from(seq.checked_sub(self.trunk_len() + 1)?).ok()?;
            self.beyond.get(index).copied()
        })
    }
}
