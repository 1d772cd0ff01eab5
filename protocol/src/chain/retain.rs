//! What is kept of a chain (spec 4.12), and the heads that name it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{AuthorStatus, Chain, EnvelopeStanding, Head, Held};
use crate::ids::{EnvelopeId, Tip};
use crate::limits::{FORK_BRANCH_HEADERS_MAX, FRONTIER_HEADS_MAX};

impl Chain {
    /// Returns the upper ends of all kept branches, ascending: what a frontier names (spec 4.5.6).
    pub fn heads(&self) -> &[Head] {
        self.heads.get_or_init(|| self.work_out_heads())
    }

    /// Whether a header is kept by every node that holds this set (spec 4.12): all of a chain without a fork; of a forked
    /// one all below the fork, the accepted path, the path to a cut, the paths that finality rests on, and two branches at
    /// the fork, each up to 1,024 headers.
    pub fn keeps(&self, held: &Held) -> bool {
        self.fork.is_none()
            || self.standing(held) == EnvelopeStanding::Accepted
            || self.by_id.get(&held.id).is_some_and(|node| self.on_trunk(*node) || self.kept_off_trunk().contains(node))
    }

    /// Returns what stands for all that is kept now: another allocation after every change of the chain, or of what is
    /// acknowledged of it.
    pub(crate) fn kept_now(&self) -> &Arc<BTreeSet<u32>> {
        self.kept.get_or_init(|| Arc::new(self.work_out_kept()))
    }

    /// Headers held that are not kept; above a bound the caller forgets them.
    pub fn unkept(&self) -> usize {
        if self.fork.is_none() { 0 } else { self.headers.len() - self.trunk.len() - self.kept_off_trunk().len() }
    }

    /// Returns kept headers whose bodies are not held, lowest first, at most `limit`.
    pub fn bodies_missing(&self, limit: usize) -> Vec<Tip> {
        let mut missing: Vec<Tip> = Vec::new();
        for head in self.heads() {
            if head.bodies_to < head.tip.seq {
                let path = self.path(&head.tip.id, head.bodies_to + 1, head.tip.seq);
                missing.extend(path.into_iter().filter(|held| held.body.is_none()).map(Held::tip).take(limit));
            }
        }
        missing.sort_unstable();
        missing.dedup();
        missing.truncate(limit);
        missing
    }

    /// Forgets every header that is not kept, with its body; returns them, ascending by position.
    pub(crate) fn forget_unkept(&mut self) -> Vec<Held> {
        if self.fork.is_none() {
            return Vec::new();
        }
        let kept = Arc::clone(self.kept_now());
        let mut rebuilt = Self::new(self.alliance, self.author, self.rules);
        rebuilt.set_quota(self.quota);
        let mut forgotten = Vec::new();
        for &(_, node) in &self.by_seq {
            let held = self.node(node);
            if self.on_trunk(node) || kept.contains(&node) {
                rebuilt.adopt(held, self.header(held));
            } else {
                forgotten.push(held.clone());
            }
        }
        if forgotten.is_empty() {
            return forgotten;
        }
        rebuilt.vouched.clone_from(&self.vouched);
        rebuilt.settle(self.status, self.witnessed);
        rebuilt.fresh = std::mem::take(&mut self.fresh);
        rebuilt.spoken = std::mem::take(&mut self.spoken);
        *self = rebuilt;
        forgotten
    }

    fn adopt(&mut self, held: &Held, header: crate::envelope::Header) {
        self.insert(&crate::envelope::AttestedHeader::trusted(header, held.signature.as_deref().copied()));
        if let Some(&node) = self.by_id.get(&held.id) {
            self.node_mut(node).body.clone_from(&held.body);
            self.complete_up(node);
        }
    }

    fn on_trunk(&self, node: u32) -> bool {
        self.trunk_node(self.node(node).seq) == Some(node)
    }

    /// The nodes kept beside the trunk, which is always kept: everything of a chain without a fork; of a forked one all
    /// below the fork, and 4.12 (b) to (e). The pair (a) at the fork is in them: of it at most one is on each path that is
    /// kept, and two others follow.
    fn kept_off_trunk(&self) -> &BTreeSet<u32> {
        self.kept_now()
    }

    fn work_out_kept(&self) -> BTreeSet<u32> {
        let Some(fork) = self.fork else {
            return self.waiting.values().flatten().chain(&self.refused).copied().collect();
        };
        // What lies below the fork decides how low it is known to be, also where it does not link: that is at most one header
        // at each position. What is dropped lies at the fork or above, where without a cut nothing is ever accepted.
        let unlinked = self.waiting.values().flatten().chain(&self.refused).copied();
        let mut kept: BTreeSet<u32> = unlinked.filter(|&node| self.node(node).seq < fork).collect();
        kept.extend(&self.beyond);
        let mut tops: Vec<u32> = self.beyond.last().copied().into_iter().collect();
        if let AuthorStatus::Retired { cut } | AuthorStatus::Removed { cut } = self.status {
            tops.extend(self.by_id.get(&cut.id));
        }
        tops.extend(self.vouched.iter().filter_map(|id| self.linked_node(id)));
        for &top in &tops {
            let mut next = Some(top);
            while let Some(node) = next.filter(|&node| !self.on_trunk(node) && kept.insert(node)) {
                next = self.parent(node);
            }
        }
        for top in tops.into_iter().filter(|&top| !self.on_trunk(top)) {
            self.keep_attested(top, &mut kept);
        }
        for first in self.two_smallest(self.nodes_at(fork).filter(|node| !kept.contains(node))).into_iter().flatten() {
            kept.extend(self.branch(first));
        }
        kept
    }

    /// The two of the smallest ids, without sorting: somebody may have made up thousands.
    fn two_smallest(&self, nodes: impl Iterator<Item = u32>) -> [Option<u32>; 2] {
        let id = |node: u32| self.node(node).id;
        nodes.fold([None, None], |two, node| match two {
            [None, _] => [Some(node), None],
            [Some(first), _] if id(node) < id(first) => [Some(node), Some(first)],
            [first, Some(second)] if id(node) > id(second) => [first, Some(second)],
            [first, _] => [first, Some(node)],
        })
    }

    /// Keeps what attests the end of a kept path: up to the next signature point, or the branch's end, which is signed too.
    fn keep_attested(&self, top: u32, kept: &mut BTreeSet<u32>) {
        let mut last = top;
        while !self.node(last).signature_point()
            && let Some(next) = self.smallest_child(last)
        {
            kept.insert(next);
            last = next;
        }
    }

    /// Follows the smallest id upward for at most 1,024 headers; a longer branch ends at its last signature point.
    ///
    /// A header that breaks a rule of the chain is taken in only where it contradicts another one held (R08), and what stands
    /// above it likewise. So it is proof at the fork, and part of no branch: what is kept must not depend on who came first.
    fn branch(&self, first: u32) -> Vec<u32> {
        let mut branch = vec![first];
        if self.refused.contains(&first) {
            return branch;
        }
        let mut last = first;
        while let Some(next) = self.smallest_child(last) {
            if branch.len() == FORK_BRANCH_HEADERS_MAX {
                let signed = branch.iter().rposition(|&node| self.node(node).signature_point());
                branch.truncate(signed.map_or(branch.len(), |at| at + 1));
                break;
            }
            branch.push(next);
            last = next;
        }
        branch
    }

    fn smallest_child(&self, node: u32) -> Option<u32> {
        let id = self.node(node).id;
        self.nodes_at(self.node(node).seq + 1)
            .filter(|&child| self.node(child).prev == id && !self.refused.contains(&child))
            .min_by_key(|&child| self.node(child).id)
    }

    fn work_out_heads(&self) -> Vec<Head> {
        let top = self.trunk.last().map(|&node| Head { tip: self.node(node).tip(), bodies_to: self.trunk_bodies });
        if self.fork.is_none() && self.trunk.len() == self.headers.len() {
            return top.into_iter().collect();
        }
        let kept = || self.kept_off_trunk().iter().chain(self.trunk.last());
        // What is held above a gap, or breaks a rule of the chain, does not hide how far the chain itself reaches.
        let hides = |child: &&Held| child.linked || self.get(&child.prev).is_none_or(|parent| !parent.linked);
        let inner: BTreeSet<EnvelopeId> =
            kept().map(|&node| self.node(node)).filter(hides).map(|child| child.prev).collect();
        let mut heads: Vec<Head> = kept()
            .map(|&node| self.node(node))
            .filter(|held| !inner.contains(&held.id))
            .map(|held| Head { tip: held.tip(), bodies_to: self.bodies_to_of(held) })
            .collect();
        heads.sort_unstable();
        heads.truncate(FRONTIER_HEADS_MAX);
        heads
    }

    fn bodies_to_of(&self, head: &Held) -> u64 {
        if !head.linked {
            return 0;
        }
        if self.trunk_bodies < self.trunk_len() {
            return self.trunk_bodies.min(head.seq);
        }
        let path = self.path(&head.id, self.trunk_len() + 1, head.seq);
        let above = path.iter().take_while(|held| held.body.is_some()).count();
        self.trunk_len().min(head.seq) + above as u64
    }
}
