//! Where branches part: ancestors and common ancestors in steps that grow with the logarithm of a chain's length.
//!
//! A fork may begin at the first envelope and grow by one header at a time, so no walk along a branch is cheap enough. Every
//! linked header has, beside its parent, one link further down (Myers 1983): how far depends on its position alone, so two
//! headers at one position climb down in step.

use super::{Chain, Held};
use crate::ids::EnvelopeId;

impl Chain {
    /// Whether `below` is `above` or an ancestor of it; both held and linked, otherwise not.
    pub fn leads_to(&self, below: &EnvelopeId, above: &EnvelopeId) -> bool {
        match (self.linked_node(below), self.linked_node(above)) {
            (Some(below), Some(above)) => self.is_ancestor(below, above),
            (None, _) | (_, None) => false,
        }
    }

    /// Returns the ancestor-or-self of a linked header at position `seq`.
    pub fn ancestor(&self, of: &EnvelopeId, seq: u64) -> Option<&Held> {
        let node = self.linked_node(of).filter(|&node| seq >= 1 && seq <= self.node(node).seq)?;
        Some(self.node(self.ancestor_at(node, seq)))
    }

    /// Returns the deepest header that leads to both of two linked ones; none if their first ones differ already.
    pub fn common(&self, one: &EnvelopeId, other: &EnvelopeId) -> Option<&Held> {
        let node = self.common_node(self.linked_node(one)?, self.linked_node(other)?)?;
        Some(self.node(node))
    }

    /// Highest position below which, as far as anything links, only one header links: what stands there leads to all above.
    pub fn agreed_to(&self) -> u64 {
        self.linked_to.min(self.fork.map_or(u64::MAX, |fork| fork - 1))
    }

    pub(crate) fn linked_node(&self, id: &EnvelopeId) -> Option<u32> {
        self.by_id.get(id).copied().filter(|&node| self.node(node).linked)
    }

    pub(crate) fn held_at(&self, node: u32) -> &Held {
        self.node(node)
    }

    pub(crate) fn is_ancestor(&self, below: u32, above: u32) -> bool {
        let seq = self.node(below).seq;
        seq <= self.node(above).seq && self.ancestor_at(above, seq) == below
    }

    /// The ancestor-or-self of a linked header at a position from 1 to its own.
    pub(crate) fn ancestor_at(&self, mut node: u32, seq: u64) -> u32 {
        while self.node(node).seq > seq {
            let held = self.node(node);
            node = if self.node(held.jump).seq >= seq { held.jump } else { held.parent };
        }
        node
    }

    pub(crate) fn common_node(&self, one: u32, other: u32) -> Option<u32> {
        let seq = self.node(one).seq.min(self.node(other).seq);
        let (mut one, mut other) = (self.ancestor_at(one, seq), self.ancestor_at(other, seq));
        while one != other {
            let (a, b) = (self.node(one), self.node(other));
            if a.seq == 1 {
                return None;
            }
            (one, other) = if a.jump == b.jump { (a.parent, b.parent) } else { (a.jump, b.jump) };
        }
        Some(one)
    }

    /// Where the long link of a header goes whose parent is `parent`; its own place is `node`.
    pub(super) fn jump_of(&self, node: u32, parent: Option<u32>) -> u32 {
        let Some(parent) = parent else { return node };
        let over = self.node(parent).jump;
        let further = self.node(over).jump;
        let step = |from: u32, to: u32| self.node(from).seq - self.node(to).seq;
        if step(parent, over) == step(over, further) { further } else { parent }
    }
}
