//! All trees of headers that one key may have signed, within a scope.
//!
//! A tree is written level by level: for each header of a level, in the order of their ids, which header of the level below
//! it names. Several first headers make a tree too; its root is "nothing". The order of ids within a level is part of the
//! tree, since what is kept of a fork goes by the smaller id; which level has the smaller ids is not, since nothing
//! compares ids of different positions.

use comity_protocol::envelope::Header;
use comity_protocol::ids::{EnvelopeId, Tip};
use comity_protocol::testing::{FOUNDED_MS, TestEnvelope, TestNode};

use crate::lattice::{Set, bit};

/// Body bytes that alone exceed the quota of the scope's alliance.
const HEAVY_BYTES: usize = 20_000;

/// Body kind of a later version: carried, without effect.
const KIND_UNKNOWN: u16 = 99;

/// A tree of headers, in the order of positions and then of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    /// For each header the one it names, `None` for those at position 1.
    pub(crate) parents: Vec<Option<usize>>,
    /// For each header its position.
    pub(crate) seqs: Vec<u64>,
    pub(crate) blemish: Blemish,
}

/// A header that breaks a rule of its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blemish {
    None,
    /// It claims a time before its parent's.
    TimeGoesBack(usize),
    /// Its body exceeds the quota.
    OverQuota(usize),
}

impl Tree {
    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }

    /// Everything the header builds on, and itself.
    pub(crate) fn path(&self, header: usize) -> Set {
        let below = self.parents[header].map_or(0, |parent| self.path(parent));
        below | bit(header)
    }

    /// Everything that some of these headers build on, and they themselves.
    pub(crate) fn paths(&self, headers: Set) -> Set {
        (0..self.len()).filter(|header| headers & bit(*header) != 0).fold(0, |set, header| set | self.path(header))
    }

    /// Every tree of `1..=headers` headers with at most `forks` forks: as many ends as that, and one more.
    pub(crate) fn all(headers: usize, forks: usize) -> Vec<Self> {
        let mut found = Vec::new();
        let mut level: Vec<Vec<Vec<usize>>> = (1..=forks + 1).map(|width| vec![vec![0; width]]).collect();
        while let Some(levels) = level.pop() {
            let size: usize = levels.iter().map(Vec::len).sum();
            let tree = Self::of_levels(&levels);
            if size > headers || tree.ends() > forks + 1 {
                continue;
            }
            found.push(tree);
            let last = levels.last().expect("a tree has a level").len();
            for width in 1..=(forks + 1).min(headers - size) {
                level.extend(assignments(width, last).map(|parents| {
                    let mut higher = levels.clone();
                    higher.push(parents);
                    higher
                }));
            }
        }
        found.sort_by_key(Self::len);
        found
    }

    fn of_levels(levels: &[Vec<usize>]) -> Self {
        let mut tree = Self { parents: Vec::new(), seqs: Vec::new(), blemish: Blemish::None };
        let mut below = None;
        for (level, seq) in levels.iter().zip(1..) {
            let first = tree.parents.len();
            tree.parents.extend(level.iter().map(|parent| below.map(|below: usize| below + parent)));
            tree.seqs.extend(level.iter().map(|_| seq));
            below = Some(first);
        }
        tree
    }

    /// Headers that none other names; each level grown above the last takes some away and never below what it adds.
    fn ends(&self) -> usize {
        (0..self.len()).filter(|header| !self.parents.contains(&Some(*header))).count()
    }

    /// The tree, and the tree with each blemish.
    pub(crate) fn blemished(&self) -> Vec<Self> {
        let times = (0..self.len()).filter(|header| self.parents[*header].is_some()).map(Blemish::TimeGoesBack);
        let blemishes = std::iter::once(Blemish::None).chain(times).chain((0..self.len()).map(Blemish::OverQuota));
        blemishes.map(|blemish| Self { blemish, ..self.clone() }).collect()
    }

    /// The headers that link where all of their path is held.
    pub(crate) fn sound(&self) -> Set {
        let broken = match self.blemish {
            Blemish::None => None,
            Blemish::TimeGoesBack(header) | Blemish::OverQuota(header) => Some(header),
        };
        let sound = (0..self.len()).filter(|header| broken.is_none_or(|broken| self.path(*header) & bit(broken) == 0));
        sound.fold(0, |set, header| set | bit(header))
    }

    /// Signs the tree with the node's key, so that ids ascend within each level.
    pub(crate) fn sign(&self, node: &TestNode) -> Vec<TestEnvelope> {
        let mut signed: Vec<TestEnvelope> = Vec::new();
        for header in 0..self.len() {
            let above = match signed.last() {
                Some(last) if last.header.header().seq == self.seqs[header] => last.id(),
                _ => EnvelopeId::ZERO,
            };
            let left = self.seqs[header..].iter().take_while(|seq| **seq == self.seqs[header]).count();
            let parent = self.parents[header].map_or(Tip::NONE, |parent| signed[parent].header.tip());
            signed.push(self.sign_one(node, header, parent, (above, left)));
        }
        signed
    }

    /// Signs one header with an id above `above.0`, and room for `above.1` ids, itself included, up to the end.
    fn sign_one(&self, node: &TestNode, header: usize, parent: Tip, above: (EnvelopeId, usize)) -> TestEnvelope {
        let heavy = self.blemish == Blemish::OverQuota(header);
        let early = self.blemish == Blemish::TimeGoesBack(header);
        let time_ms = if early { FOUNDED_MS } else { FOUNDED_MS + 1_000 * self.seqs[header] };
        // Of three ids the first is to lie in the lowest third of what is left, so that the others are soon found.
        let first = |id: &EnvelopeId| u64::from(id.as_bytes()[0]);
        let most = first(&above.0) + (256 - first(&above.0)) / u64::try_from(above.1).expect("small");
        let bodies = (0_u32..).map(|salt| {
            let mut body = vec![u8::try_from(header).expect("small"); if heavy { HEAVY_BYTES } else { 8 }];
            body[..4].copy_from_slice(&salt.to_be_bytes());
            body
        });
        let headers = bodies.map(|body| {
            let header = Header {
                alliance: node.alliance,
                nation: node.author.nation,
                author: node.author.key,
                seq: parent.seq + 1,
                prev: parent.id,
                time_ms,
                kind: KIND_UNKNOWN,
                body_len: u32::try_from(body.len()).expect("small"),
                body_hash: comity_protocol::envelope::body_hash(&body),
            };
            (header, body)
        });
        let mut fitting = headers.filter(|(header, _)| header.id() > above.0 && first(&header.id()) <= most);
        let (header, body) = fitting.next().expect("some salt fits");
        node.clone().sign(header, body)
    }
}

/// Every way for `width` headers to name one of `below` each.
fn assignments(width: usize, below: usize) -> impl Iterator<Item = Vec<usize>> {
    let count = (0..width).fold(1, |count, _| count * below);
    (0..count).map(move |number| {
        let digits = (0..width).scan(number, |rest, _| {
            let digit = *rest % below;
            *rest /= below;
            Some(digit)
        });
        digits.collect()
    })
}

#[test]
fn trees_of_a_scope_are_counted_right() {
    // One chain of each length; and of two headers, one that forks at 1.
    assert_eq!(Tree::all(4, 0).len(), 4);
    assert_eq!(
        Tree::all(2, 1).iter().map(|tree| tree.seqs.clone()).collect::<Vec<_>>(),
        [vec![1], vec![1, 1], vec![1, 2]]
    );
    let all = Tree::all(6, 2);
    println!("{} trees of up to 6 headers with up to 2 forks", all.len());
    assert!(all.iter().all(|tree| tree.len() <= 6 && tree.ends() <= 3));
}
