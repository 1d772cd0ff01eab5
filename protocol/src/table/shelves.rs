//! The records of a table in order, a few hundred to a shelf.
//!
//! Shelves and records are shared between copies, so that a copy of all costs one count for each shelf; what is changed
//! afterwards is copied once, a shelf and a record at a time. Readers on other threads keep a copy while the table goes on.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Record, RecordKey};

/// Records of a full shelf: a copy of everything counts the shelves, a change after it counts the records of one.
const SHELF_RECORDS_MAX: usize = 256;

type Entry = Arc<(RecordKey, Record)>;

/// Records ascending by their key. No shelf is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelves {
    shelves: Vec<Arc<Vec<Entry>>>,
    records: usize,
}

/// Where a key stands, or would.
struct Place {
    shelf: usize,
    at: Result<usize, usize>,
}

fn order(entry: &Entry, kind: &str, id: &str) -> Ordering {
    let (key, _) = &**entry;
    (key.0.as_str(), key.1.as_str()).cmp(&(kind, id))
}

impl Shelves {
    /// Records held.
    pub(super) const fn len(&self) -> usize {
        self.records
    }

    /// Returns one record.
    pub(super) fn get(&self, kind: &str, id: &str) -> Option<&Record> {
        let place = self.place(kind, id);
        Some(&self.shelves.get(place.shelf)?.get(place.at.ok()?)?.1)
    }

    /// Returns all records, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        self.shelves.iter().flat_map(|shelf| shelf.iter()).map(parts)
    }

    /// Returns the records that do not stand before this key, ascending.
    pub(super) fn starting_at<'a>(
        &'a self,
        kind: &str,
        id: &str,
    ) -> impl Iterator<Item = (&'a RecordKey, &'a Record)> + use<'a> {
        let Place { shelf, at: Ok(at) | Err(at) } = self.place(kind, id);
        let first = self.shelves.get(shelf).and_then(|shelf| shelf.get(at..)).unwrap_or_default();
        first.iter().chain(self.shelves.iter().skip(shelf + 1).flat_map(|shelf| shelf.iter())).map(parts)
    }

    /// Returns one record to be changed, after putting it in its place if it is new.
    pub(super) fn entry(&mut self, key: RecordKey) -> &mut Record {
        let Place { mut shelf, at } = self.place(&key.0, &key.1);
        let at = match at {
            Ok(at) => at,
            Err(mut at) => {
                self.records += 1;
                (shelf, at) = self.make_room(shelf, at);
                Arc::make_mut(&mut self.shelves[shelf]).insert(at, Arc::new((key, Record::default())));
                at
            }
        };
        let entry = &mut Arc::make_mut(&mut self.shelves[shelf])[at];
        &mut Arc::make_mut(entry).1
    }

    /// Returns the last shelf that does not begin after a key, and where the key stands on it.
    fn place(&self, kind: &str, id: &str) -> Place {
        let begins = |shelf: &Arc<Vec<Entry>>| shelf.first().is_some_and(|first| order(first, kind, id).is_le());
        let shelf = self.shelves.partition_point(begins).saturating_sub(1);
        let at = self.shelves.get(shelf).map_or(Err(0), |shelf| shelf.binary_search_by(|entry| order(entry, kind, id)));
        Place { shelf, at }
    }

    /// Makes room for one more record; returns where it goes.
    fn make_room(&mut self, shelf: usize, at: usize) -> (usize, usize) {
        let Some(full) = self.shelves.get_mut(shelf) else {
            self.shelves.push(Arc::default());
            return (0, 0);
        };
        if full.len() < SHELF_RECORDS_MAX {
            return (shelf, at);
        }
        let upper = Arc::make_mut(full).split_off(SHELF_RECORDS_MAX / 2);
        self.shelves.insert(shelf + 1, Arc::new(upper));
        match at.checked_sub(SHELF_RECORDS_MAX / 2) {
            Some(above) if above > 0 => (shelf + 1, above),
            Some(_) | None => (shelf, at),
        }
    }
}

/// How records are spread over shelves depends on the order they came in, and is nobody's business.
impl PartialEq for Shelves {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records && self.iter().eq(other.iter())
    }
}

impl Eq for Shelves {}

fn parts(entry: &Entry) -> (&RecordKey, &Record) {
    let (key, record) = &**entry;
    (key, record)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn key(number: usize) -> RecordKey {
        let kind = ["accept", "hub", "pledge"][number % 3];
        (kind.to_owned(), format!("{:05}", number * 7_919 % 10_007))
    }

    fn shelves(numbers: impl Iterator<Item = usize>) -> Shelves {
        let mut shelves = Shelves::default();
        for number in numbers {
            shelves.entry(key(number));
        }
        shelves
    }

    #[test]
    fn records_stand_in_order_whatever_the_order_they_came_in() {
        for count in [0, 1, 255, 256, 257, 700, 3_000] {
            let forwards = shelves(0..count);
            let backwards = shelves((0..count).rev());
            assert_eq!(forwards, backwards, "{count}");
            let sorted: BTreeMap<RecordKey, ()> = (0..count).map(|number| (key(number), ())).collect();
            assert!(forwards.iter().map(|(key, _)| key).eq(sorted.keys()), "{count}");
            assert_eq!(forwards.len(), count);
            assert!(forwards.shelves.iter().all(|shelf| (1..=SHELF_RECORDS_MAX).contains(&shelf.len())));
            for start in [("", ""), ("hub", ""), ("hub", "05000"), ("pledge", "99999"), ("z", "")] {
                let expected = sorted.keys().filter(|(kind, id)| (kind.as_str(), id.as_str()) >= start);
                assert!(forwards.starting_at(start.0, start.1).map(|(key, _)| key).eq(expected), "{count} {start:?}");
            }
            assert!((0..count).all(|number| forwards.get(&key(number).0, &key(number).1).is_some()));
            assert!(forwards.get("hub", "x").is_none());
        }
    }

    #[test]
    fn a_copy_stays_as_it_was_and_shares_all_that_is_not_changed() {
        let mut table = shelves(0..3_000);
        let copy = table.clone();
        let before: Vec<RecordKey> = copy.iter().map(|(key, _)| key.clone()).collect();
        table.entry(("hub".to_owned(), "new".to_owned()));
        table.entry(key(7));
        assert_eq!((copy.len(), table.len()), (3_000, 3_001));
        assert!(copy.iter().map(|(key, _)| key).eq(&before));
        let shared = |shelf: &&Arc<Vec<Entry>>| copy.shelves.iter().any(|other| Arc::ptr_eq(shelf, other));
        assert!(table.shelves.iter().filter(|shelf| !shared(shelf)).count() <= 3, "two changes touch two shelves");
    }
}
