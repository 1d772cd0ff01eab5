//! What a table holds in order, a few hundred entries to a shelf.
//!
//! Shelves and entries are shared between copies, so that a copy of all costs one count for each shelf; what is changed
//! afterwards is copied once, a shelf and an entry at a time. Readers on other threads keep a copy while the table goes on.

use std::cmp::Ordering;
use std::sync::Arc;

/// Entries of a full shelf: a copy of everything counts the shelves, a change after it counts the entries of one.
const SHELF_ENTRIES_MAX: usize = 256;

/// Entries in the order of their keys; whoever looks for one says how an entry compares to what is sought. No shelf is
/// empty.
#[derive(Clone, Debug)]
pub(super) struct Shelves<E> {
    shelves: Vec<Arc<Vec<Arc<E>>>>,
    entries: usize,
}

/// Where an entry stands, or would.
struct Place {
    shelf: usize,
    at: Result<usize, usize>,
}

impl<E> Default for Shelves<E> {
    fn default() -> Self {
        Self { shelves: Vec::new(), entries: 0 }
    }
}

impl<E: Clone> Shelves<E> {
    /// Entries held.
    pub(super) const fn len(&self) -> usize {
        self.entries
    }

    /// Returns one entry.
    pub(super) fn get(&self, order: impl Fn(&E) -> Ordering) -> Option<&E> {
        let place = self.place(order);
        Some(self.shelves.get(place.shelf)?.get(place.at.ok()?)?)
    }

    /// Returns all entries, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.shelves.iter().flat_map(|shelf| shelf.iter()).map(|entry| &**entry)
    }

    /// Returns the entries that do not stand before what is sought, ascending.
    pub(super) fn starting_at<'a>(
        &'a self,
        order: &dyn Fn(&E) -> Ordering,
    ) -> impl Iterator<Item = &'a E> + use<'a, E> {
        let Place { shelf, at: Ok(at) | Err(at) } = self.place(order);
        let first = self.shelves.get(shelf).and_then(|shelf| shelf.get(at..)).unwrap_or_default();
        let rest = self.shelves.iter().skip(shelf + 1).flat_map(|shelf| shelf.iter());
        first.iter().chain(rest).map(|entry| &**entry)
    }

    /// Returns one entry to be changed, after putting a new one in its place if there is none.
    pub(super) fn entry(&mut self, order: impl Fn(&E) -> Ordering, new: impl FnOnce() -> E) -> &mut E {
        let Place { mut shelf, at } = self.place(order);
        let at = match at {
            Ok(at) => at,
            Err(mut at) => {
                self.entries += 1;
                (shelf, at) = self.make_room(shelf, at);
                Arc::make_mut(&mut self.shelves[shelf]).insert(at, Arc::new(new()));
                at
            }
        };
        Arc::make_mut(&mut Arc::make_mut(&mut self.shelves[shelf])[at])
    }

    /// Returns the last shelf that does not begin after what is sought, and where that stands on it.
    fn place(&self, order: impl Fn(&E) -> Ordering) -> Place {
        let begins = |shelf: &Arc<Vec<Arc<E>>>| shelf.first().is_some_and(|first| order(first).is_le());
        let shelf = self.shelves.partition_point(begins).saturating_sub(1);
        let at = self.shelves.get(shelf).map_or(Err(0), |shelf| shelf.binary_search_by(|entry| order(entry)));
        Place { shelf, at }
    }

    /// Makes room for one more entry; returns where it goes.
    fn make_room(&mut self, shelf: usize, at: usize) -> (usize, usize) {
        let Some(full) = self.shelves.get_mut(shelf) else {
            self.shelves.push(Arc::default());
            return (0, 0);
        };
        if full.len() < SHELF_ENTRIES_MAX {
            return (shelf, at);
        }
        let upper = Arc::make_mut(full).split_off(SHELF_ENTRIES_MAX / 2);
        self.shelves.insert(shelf + 1, Arc::new(upper));
        match at.checked_sub(SHELF_ENTRIES_MAX / 2) {
            Some(above) if above > 0 => (shelf + 1, above),
            Some(_) | None => (shelf, at),
        }
    }
}

/// How entries are spread over shelves depends on the order they came in, and is nobody's business.
impl<E: Clone + PartialEq> PartialEq for Shelves<E> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.iter().eq(other.iter())
    }
}

impl<E: Clone + Eq> Eq for Shelves<E> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn number(place: usize) -> usize {
        place * 7_919 % 10_007
    }

    fn shelves(places: impl Iterator<Item = usize>) -> Shelves<usize> {
        let mut shelves = Shelves::default();
        for place in places {
            put(&mut shelves, number(place));
        }
        shelves
    }

    fn put(shelves: &mut Shelves<usize>, number: usize) {
        shelves.entry(|entry| entry.cmp(&number), || number);
    }

    #[test]
    fn entries_stand_in_order_whatever_the_order_they_came_in() {
        for count in [0, 1, 255, 256, 257, 700, 3_000] {
            let forwards = shelves(0..count);
            assert_eq!(forwards, shelves((0..count).rev()), "{count}");
            let sorted: BTreeSet<usize> = (0..count).map(number).collect();
            assert!(forwards.iter().eq(&sorted), "{count}");
            assert_eq!(forwards.len(), count);
            assert!(forwards.shelves.iter().all(|shelf| (1..=SHELF_ENTRIES_MAX).contains(&shelf.len())));
            for start in [0, 1, 5_000, 10_006, 20_000] {
                let from = forwards.starting_at(&|entry| entry.cmp(&start));
                assert!(from.eq(sorted.range(start..)), "{count} {start}");
            }
            assert!((0..count).all(|place| forwards.get(|entry| entry.cmp(&number(place))).is_some()));
            assert!(forwards.get(|entry| entry.cmp(&10_007)).is_none());
        }
    }

    #[test]
    fn a_copy_stays_as_it_was_and_shares_all_that_is_not_changed() {
        let mut table = shelves(0..3_000);
        let copy = table.clone();
        let before: Vec<usize> = copy.iter().copied().collect();
        put(&mut table, 20_000);
        *table.entry(|entry| entry.cmp(&number(7)), || 0) += 0;
        assert_eq!((copy.len(), table.len()), (3_000, 3_001));
        assert!(copy.iter().eq(&before));
        let shared = |shelf: &&Arc<Vec<Arc<usize>>>| copy.shelves.iter().any(|other| Arc::ptr_eq(shelf, other));
        assert!(table.shelves.iter().filter(|shelf| !shared(shelf)).count() <= 3, "two changes touch two shelves");
    }
}
