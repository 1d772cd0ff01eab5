//! The sentinel, the row that says that a node stopped, and backups: nothing that was said can be forgotten unnoticed.

use comity_protocol::effect::{Authoring, HaltReason};
use comity_protocol::ids::Tip;

use super::*;
use crate::store::sentinel::BYTES;

/// A home: a bench whose store has a sentinel.
struct HomeBench {
    bench: Bench,
}

impl HomeBench {
    fn new() -> Self {
        let bench = Bench::new();
        let home = Self { bench };
        SentinelFile::replace(&home.sentinel(), &Sentinel::fresh(identity().node)).expect("written");
        home
    }

    fn sentinel(&self) -> PathBuf {
        self.bench.folder.path().join(SENTINEL_NAME)
    }

    fn open(&self) -> Store {
        let settings = Settings { sentinel: Some(self.sentinel()), ..Bench::settings() };
        Store::open(&self.bench.path(), settings, self.bench.lock()).expect("opens")
    }

    fn save(&self, store: &Store, ops: Vec<SaveOp>) {
        self.bench.save(store, ops).expect("saved");
    }

    fn close(&self, store: Store) {
        self.bench.close(store);
    }

    /// Runs the node once: it saves these, one after the other, and stops.
    fn run(&self, saves: &[Vec<SaveOp>]) {
        let store = self.open();
        for ops in saves {
            self.save(&store, ops.clone());
        }
        self.close(store);
    }

    /// What a start would find.
    fn found(&self) -> (Authoring, Tip) {
        let store = self.open();
        let loaded = store.load().expect("loads");
        self.close(store);
        (loaded.authoring, loaded.signed)
    }

    fn known(&self) -> Option<Tip> {
        SentinelFile::peek(&self.sentinel(), identity().author()).expect("read").known()
    }

    fn place<'a>(&self, store: &'a Path, sentinel: &'a Path) -> Place<'a> {
        Place { store, sentinel, key: identity().node }
    }
}

fn saves(envelopes: &[Envelope]) -> Vec<Vec<SaveOp>> {
    envelopes.iter().map(Envelope::ops).collect()
}

#[test]
fn a_new_home_authors_and_its_sentinel_follows_its_own_chain_alone() {
    let home = HomeBench::new();
    assert_eq!(home.found(), (Authoring::Free, Tip::NONE));
    let (own, foreign) = (chain(1, "a", 3), chain(2, "a", 9));
    home.run(&[saves(&own), saves(&foreign)].concat());
    let tip = own[2].header.tip();
    assert_eq!(home.known(), Some(tip));
    assert_eq!(home.found(), (Authoring::Free, tip));
}

#[test]
fn a_store_that_was_put_back_is_older_than_the_sentinel_and_stays_restored_until_it_is_released() {
    let home = HomeBench::new();
    let own = chain(1, "a", 6);
    home.run(&saves(&own[..2]));
    let copy = home.bench.folder.path().join("copy");
    std::fs::copy(home.bench.path(), &copy).expect("copied while it stands still");
    home.run(&saves(&own[2..]));
    std::fs::copy(&copy, home.bench.path()).expect("put back");
    let tip = own[5].header.tip();
    let restored = |stored| Authoring::Restored { sentinel: Some(tip), stored };
    assert_eq!(home.found(), (restored(2), tip));

    home.run(&saves(&own[2..]));
    assert_eq!(home.found(), (restored(6), tip), "having everything back is not a person's word");
    home.run(&[vec![SaveOp::Release { tip }]]);
    assert_eq!(home.found(), (Authoring::Free, tip));
}

#[test]
fn a_missing_torn_or_foreign_sentinel_counts_as_restored() {
    let own = chain(1, "a", 3);
    let without = Authoring::Restored { sentinel: None, stored: 3 };
    for spoiled in [None, Some(Vec::new()), Some(vec![0x5a; 7]), Some(Sentinel::fresh(key(2).public()))] {
        let home = HomeBench::new();
        home.run(&saves(&own));
        match &spoiled {
            None => std::fs::remove_file(home.sentinel()).expect("removed"),
            Some(bytes) => std::fs::write(home.sentinel(), bytes).expect("spoiled"),
        }
        assert_eq!(home.found(), (without, Tip::NONE), "{spoiled:?}");
        assert_eq!(home.found(), (without, Tip::NONE), "and again");
        let tip = own[2].header.tip();
        home.run(&[vec![SaveOp::Release { tip }]]);
        assert_eq!(home.found(), (Authoring::Free, tip));
    }
}

#[test]
fn a_sentinel_behind_its_store_is_a_normal_crash_and_one_that_names_another_envelope_is_not() {
    let home = HomeBench::new();
    let (own, other) = (chain(1, "a", 5), chain(1, "b", 5));
    home.run(&saves(&own[..3]));
    let stale = std::fs::read(home.sentinel()).expect("read");
    home.run(&saves(&own[3..]));
    std::fs::write(home.sentinel(), &stale).expect("the power went before the sync");
    assert_eq!(home.found().0, Authoring::Free);

    let elsewhere = HomeBench::new();
    elsewhere.run(&saves(&other[..3]));
    std::fs::copy(elsewhere.sentinel(), home.sentinel()).expect("of the same key, with another life");
    let sentinel = Some(other[2].header.tip());
    assert_eq!(home.found().0, Authoring::Restored { sentinel, stored: 5 });
}

#[test]
fn a_damaged_row_of_the_own_chain_does_not_count_as_restored() {
    let home = HomeBench::new();
    let own = chain(1, "a", 4);
    home.run(&saves(&own));
    flip(&home.bench.path(), &own[3].header.header().encode());
    let store = home.open();
    let loaded = store.load().expect("loads");
    assert_eq!((loaded.authoring, loaded.signed), (Authoring::Free, own[3].header.tip()));
    assert!(loaded.own_damage().next().is_some(), "the damage keeps it from authoring");
    home.close(store);
}

#[test]
fn whatever_a_power_cut_takes_from_the_sentinel_it_is_never_ahead_and_never_gone() {
    let own = chain(1, "a", 8);
    let me = identity().author();
    let mut sentinel = Sentinel::read(me, &Sentinel::fresh(me.key));
    let mut disks = vec![Sentinel::fresh(me.key)];
    for (written, envelope) in own.iter().enumerate() {
        let write = sentinel.committed(envelope.ops().iter()).expect("a new own envelope");
        assert!(!write.sync, "nothing waits for a disk");
        let at = usize::try_from(write.at).expect("small");
        let mut after = Vec::new();
        for disk in &disks {
            // Lost, whole, or torn after any byte.
            for kept in [0, 1, 40, 80, write.bytes.len() - 1, write.bytes.len()] {
                let mut bytes = disk.clone();
                bytes[at..at + kept].copy_from_slice(&write.bytes[..kept]);
                assert_eq!(bytes.len(), BYTES);
                let known = Sentinel::read(me, &bytes).known();
                let known = known.expect("one of the two slots is whole");
                assert!(known.seq <= u64::try_from(written).expect("small") + 1, "never ahead");
                after.push(bytes);
            }
        }
        // The next write is the other slot's; what the last one left is torn at most there.
        after.sort_unstable();
        after.dedup();
        let whole = |bytes: &Vec<u8>| Sentinel::read(me, bytes).known().is_some_and(|tip| tip.seq > written as u64);
        disks = after.into_iter().filter(whole).take(8).collect();
    }
}

#[test]
fn a_stop_is_kept_with_the_envelope_that_caused_it_and_goes_with_a_release() {
    let home = HomeBench::new();
    let (own, elsewhere) = (chain(1, "a", 3), chain(1, "b", 4));
    home.run(&saves(&own));
    let tip = elsewhere[3].header.tip();
    let mut ops = elsewhere[3].ops();
    ops.push(SaveOp::Halt { tip });
    home.run(&[ops]);
    let halted = Authoring::Halted(HaltReason::ForeignOwn { tip });
    assert_eq!(home.found().0, halted);
    let second = Tip { seq: 9, ..tip };
    home.run(&[vec![SaveOp::Halt { tip: second }]]);
    assert_eq!(home.found().0, halted, "the first stop stands");
    home.run(&[vec![SaveOp::Release { tip }]]);
    assert_eq!(home.found().0, Authoring::Free);
}

#[test]
fn a_damaged_stop_stops_as_well() {
    let home = HomeBench::new();
    let tip = chain(1, "b", 1)[0].header.tip();
    home.run(&[vec![SaveOp::Halt { tip }]]);
    flip(&home.bench.path(), tip.id.as_bytes());
    let store = home.open();
    let loaded = store.load().expect("loads");
    assert!(matches!(loaded.authoring, Authoring::Restored { sentinel: None, .. }));
    assert!(loaded.damage.iter().any(|damage| damage.table() == "meta"));
    home.close(store);
}

#[test]
fn a_backup_beside_a_running_node_is_whole_private_and_never_overwrites() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = HomeBench::new();
    let own = chain(1, "a", 40);
    let store = home.open();
    home.save(&store, own[..30].iter().flat_map(Envelope::ops).collect());
    let to = home.bench.folder.path().join("backup");
    let checked = back_up(&home.bench.path(), &to).expect("made");
    assert_eq!((checked.headers, checked.bodies), (30, 30));
    home.save(&store, own[30..].iter().flat_map(Envelope::ops).collect());
    assert!(matches!(back_up(&home.bench.path(), &to), Err(BackupError::Exists { .. })));
    home.close(store);
    let deep = check(&to, Depth::Deep).expect("a store like any other");
    assert!(deep.is_sound() && deep.headers == 30, "{deep:?}");
    assert_eq!(std::fs::metadata(&to).expect("there").permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = std::fs::read_dir(home.bench.folder.path()).expect("read").flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().contains(".part")), "{left:?}");
    let stopped = home.bench.folder.path().join("another");
    assert_eq!(back_up(&home.bench.path(), &stopped).expect("also of a stopped node").headers, 40);
}

#[test]
fn a_restored_backup_is_known_as_one_and_what_was_signed_stays_known() {
    let home = HomeBench::new();
    let own = chain(1, "a", 5);
    home.run(&saves(&own[..2]));
    let backup = home.bench.folder.path().join("backup");
    back_up(&home.bench.path(), &backup).expect("made");
    home.run(&saves(&own[2..]));
    let (store, sentinel) = (home.bench.path(), home.sentinel());
    let place = home.place(&store, &sentinel);
    let refused = restore(&backup, &place, Occupied::Refuse, &home.bench.lock());
    assert!(matches!(refused, Err(BackupError::Occupied { .. })));
    assert_eq!(home.found().0, Authoring::Free, "nothing was changed");

    // Even without its sentinel, what the replaced store says is not forgotten.
    std::fs::remove_file(&sentinel).expect("lost");
    let (checked, aside) = restore(&backup, &place, Occupied::MoveAside, &home.bench.lock()).expect("put back");
    assert_eq!(checked.headers, 2);
    let aside = aside.expect("moved aside");
    assert_eq!(check(&aside, Depth::Deep).expect("still a store").headers, 5);
    let restored = Authoring::Restored { sentinel: Some(own[4].header.tip()), stored: 2 };
    assert_eq!(home.found().0, restored);

    std::fs::remove_file(&store).expect("the disk is gone");
    restore(&backup, &place, Occupied::Refuse, &home.bench.lock()).expect("an empty place");
    assert_eq!(home.found().0, restored, "the sentinel remembers");
}

#[test]
fn a_backup_of_another_node_or_a_damaged_one_is_not_put_back() {
    let home = HomeBench::new();
    let own = chain(1, "a", 5);
    home.run(&saves(&own));
    let backup = home.bench.folder.path().join("backup");
    back_up(&home.bench.path(), &backup).expect("made");
    let (store, sentinel) = (home.bench.path(), home.sentinel());
    let other = Place { key: key(2).public(), ..home.place(&store, &sentinel) };
    let refused = restore(&backup, &other, Occupied::MoveAside, &home.bench.lock());
    assert!(matches!(refused, Err(BackupError::OtherNode { .. })), "{refused:?}");
    flip(&backup, &own[2].body);
    let refused = restore(&backup, &home.place(&store, &sentinel), Occupied::MoveAside, &home.bench.lock());
    assert!(matches!(refused, Err(BackupError::Damaged { .. })), "{refused:?}");
    assert_eq!(home.found(), (Authoring::Free, own[4].header.tip()), "nothing was changed");
}
