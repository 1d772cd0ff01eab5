//! The versions of one record, ascending by operation.

use std::collections::{BTreeMap, btree_map};
use std::slice;

use super::Version;
use crate::value::OpId;

/// The versions of one record, ascending by operation; as small as what it holds, since nearly every record has one or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions(Store);

/// A map takes room for eleven entries at once, a sorted list costs time by the square of what it holds: each serves where
/// the other does not. Which one stands depends on the number of versions only.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Store {
    Few(Vec<(OpId, Version)>),
    Many(BTreeMap<OpId, Version>),
}

const FEW: usize = 8;

/// Versions in order.
#[derive(Clone, Debug)]
pub struct VersionsIter<'a>(Inner<'a>);

#[derive(Clone, Debug)]
enum Inner<'a> {
    Few(slice::Iter<'a, (OpId, Version)>),
    Many(btree_map::Iter<'a, OpId, Version>),
}

impl Default for Versions {
    fn default() -> Self {
        Self(Store::Few(Vec::new()))
    }
}

impl Versions {
    /// Returns all versions with their operations.
    pub fn iter(&self) -> VersionsIter<'_> {
        VersionsIter(match &self.0 {
            Store::Few(list) => Inner::Few(list.iter()),
            Store::Many(map) => Inner::Many(map.iter()),
        })
    }

    /// Returns all operations.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &OpId> {
        self.iter().map(|(op, _)| op)
    }

    /// Returns all versions.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.iter().map(|(_, version)| version)
    }

    /// Returns the version an operation made.
    pub fn get(&self, op: &OpId) -> Option<&Version> {
        match &self.0 {
            Store::Few(list) => list.binary_search_by_key(op, |(op, _)| *op).ok().map(|at| &list[at].1),
            Store::Many(map) => map.get(op),
        }
    }

    /// Whether an operation made a version of the record.
    pub fn contains_key(&self, op: &OpId) -> bool {
        self.get(op).is_some()
    }

    /// Versions held.
    pub fn len(&self) -> usize {
        match &self.0 {
            Store::Few(list) => list.len(),
            Store::Many(map) => map.len(),
        }
    }

    /// Whether no version is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get_mut(&mut self, op: &OpId) -> Option<&mut Version> {
        match &mut self.0 {
            Store::Few(list) => list.binary_search_by_key(op, |(op, _)| *op).ok().map(|at| &mut list[at].1),
            Store::Many(map) => map.get_mut(op),
        }
    }

    /// Takes in a version; whether its operation was new.
    pub(super) fn insert(&mut self, op: OpId, version: Version) -> bool {
        if let Store::Few(list) = &mut self.0
            && list.len() == FEW
        {
            self.0 = Store::Many(std::mem::take(list).into_iter().collect());
        }
        match &mut self.0 {
            Store::Few(list) => match list.binary_search_by_key(&op, |(op, _)| *op) {
                Ok(at) => {
                    list[at].1 = version;
                    false
                }
                Err(at) => {
                    list.reserve_exact(1);
                    list.insert(at, (op, version));
                    true
                }
            },
            Store::Many(map) => map.insert(op, version).is_none(),
        }
    }
}

impl<'a> IntoIterator for &'a Versions {
    type Item = (&'a OpId, &'a Version);
    type IntoIter = VersionsIter<'a>;

    fn into_iter(self) -> VersionsIter<'a> {
        self.iter()
    }
}

impl<'a> Iterator for VersionsIter<'a> {
    type Item = (&'a OpId, &'a Version);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::Few(list) => list.next().map(|(op, version)| (op, version)),
            Inner::Many(map) => map.next(),
        }
    }
}

impl DoubleEndedIterator for VersionsIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::Few(list) => list.next_back().map(|(op, version)| (op, version)),
            Inner::Many(map) => map.next_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AuthorKey, EnvelopeId};
    use crate::table::Source;
    use crate::value::{Actor, Fields};

    #[test]
    fn versions_stand_in_order_whatever_the_order_they_came_in() {
        let author = AuthorKey::new([1; 32]);
        let op = |counter| OpId { counter, actor: Actor::new(&author, 0) };
        let source = Source { envelope: EnvelopeId::ZERO, author, seq: 1, time_ms: 0 };
        let version = || Version { source, replaces: Vec::new(), replaced: false, fields: Fields::new() };
        for count in [1, 2, 5, 8, 9, 40] {
            let mut versions = Versions::default();
            let mut other = Versions::default();
            for i in 0..count {
                assert!(versions.insert(op(i * 7 % count), version()), "7 divides none of the counts");
                other.insert(op(count - 1 - i), version());
            }
            assert_eq!(versions, other, "{count}");
            assert_eq!(versions.len() as u64, count);
            assert!(other.keys().is_sorted());
            assert!(other.keys().rev().is_sorted_by(|a, b| a > b));
            assert!(other.contains_key(&op(0)) && !other.contains_key(&op(count)));
            assert!(!other.insert(op(0), version()), "known");
        }
    }
}
