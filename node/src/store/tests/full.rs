//! Full disks and failing ones.

use super::*;

/// Saves one envelope after the other until one is refused; returns those that were answered and the refusal.
fn fill(bench: &Bench, store: &Store, envelopes: &[Envelope]) -> (Vec<(EnvelopeId, bool)>, SaveError) {
    let mut answered = Vec::new();
    for envelope in envelopes {
        match bench.save(store, envelope.ops()) {
            Ok(_) => answered.push((envelope.id(), true)),
            Err(error) => return (answered, error),
        }
    }
    panic!("{} envelopes do not fill the store", envelopes.len());
}

#[test]
fn a_store_at_its_bound_refuses_serves_on_and_takes_writes_when_there_is_room() {
    let bench = Bench::new();
    let settings = Settings { bytes_max: Some(200_000), ..Bench::settings() };
    let store = Store::open(&bench.path(), settings, bench.lock()).expect("opens");
    let envelopes = chain(1, "a", 1_000);
    let (mut answered, error) = fill(&bench, &store, &envelopes);
    assert!(matches!(error, SaveError::DiskFull(Full::Quota { bytes_max: 200_000 })), "{error}");
    assert!(error.may_retry() && error.hint().expect("a hint").contains("store.bytes_max"));
    let full = bench.runtime.block_on(store.full()).expect("not broken");
    assert_eq!(full, Some(Full::Quota { bytes_max: 200_000 }));

    let loaded = store.load().expect("reading goes on");
    assert_eq!(contents(&loaded), answered, "what was answered is there, what was refused is not");
    assert_eq!(loaded.damage, []);

    let rest = &envelopes[answered.len()..];
    bench.runtime.block_on(store.set_bytes_max(None)).expect("raised");
    assert_eq!(bench.runtime.block_on(store.full()).expect("not broken"), None);
    bench.save(&store, rest.iter().flat_map(Envelope::ops).collect()).expect("the same handle saves again");
    answered.extend(rest.iter().map(|envelope| (envelope.id(), true)));
    assert_eq!(contents(&store.load().expect("loads")), answered);
    bench.close(store);
    assert!(check(&bench.path(), Depth::Deep).expect("checks").is_sound());
}

#[test]
fn a_bound_below_the_size_of_the_file_keeps_it_from_growing() {
    let bench = Bench::filled(&chain(1, "a", 300));
    let settings = Settings { bytes_max: Some(8_192), ..Bench::settings() };
    let store = Store::open(&bench.path(), settings, bench.lock()).expect("opens and serves");
    let (_, error) = fill(&bench, &store, &chain(2, "a", 300));
    assert!(matches!(error, SaveError::DiskFull(Full::Quota { .. })), "{error}");
    assert!(store.load().expect("loads").envelopes.len() >= 300);
}

#[test]
fn catch_up_stops_before_own_writes_do() {
    let bench = Bench::new();
    let open = |free_min, catch_up_free_min| {
        let settings = Settings { free_min, catch_up_free_min, ..Settings::default() };
        Store::open(&bench.path(), settings, bench.lock()).expect("opens")
    };
    let envelopes = chain(1, "a", 2);
    let store = open(0, u64::MAX);
    let refused = bench.runtime.block_on(store.save_catch_up(envelopes[0].ops()));
    assert!(matches!(refused, Err(SaveError::DiskFull(Full::Floor { floor: u64::MAX, .. }))));
    let saved = bench.save(&store, envelopes[0].ops()).expect("own writes go on");
    assert_eq!(saved.space, Space::Low);
    bench.close(store);

    let store = open(u64::MAX, u64::MAX);
    let refused = bench.save(&store, envelopes[1].ops());
    assert!(matches!(refused, Err(SaveError::DiskFull(Full::Floor { .. }))));
    assert!(matches!(bench.runtime.block_on(store.full()), Ok(Some(Full::Floor { .. }))));
    assert_eq!(contents(&store.load().expect("loads")), [(envelopes[0].id(), true)]);
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that another test is just starting may hold our files for a moment longer.
        let unmounted = std::process::Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the test's disk is unmounted");
    }
}

#[test]
fn a_full_device_refuses_and_the_same_handle_goes_on_when_space_is_freed() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this process may not mount a small tmpfs");
        return;
    };
    let path = disk.0.path().join("node.sqlite");
    Store::create(&path, &identity(), &[]).expect("created");
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![0; 1 << 20]).expect("fits");
    let lock = Lock::acquire(&disk.0.path().join("node.lock")).expect("free");
    let store = Store::open(&path, Bench::settings(), lock).expect("opens");
    let bench = Bench::new();
    let envelopes = chain(1, "a", 4_000);
    let (answered, error) = fill(&bench, &store, &envelopes);
    assert!(matches!(error, SaveError::DiskFull(Full::Device)), "{error}");
    assert_eq!(contents(&store.load().expect("reading goes on")), answered);
    let more = fill(&bench, &store, &envelopes[answered.len()..]);
    assert!(more.0.is_empty() && more.1.may_retry(), "still full");
    assert_eq!(bench.runtime.block_on(store.full()).expect("not broken"), Some(Full::Device));

    std::fs::remove_file(&filler).expect("freed");
    assert_eq!(bench.runtime.block_on(store.full()).expect("not broken"), None);
    bench.save(&store, envelopes[answered.len()].ops()).expect("the same handle saves again");
    assert_eq!(store.load().expect("loads").envelopes.len(), answered.len() + 1);
    bench.close(store);
    assert!(check(&path, Depth::Deep).expect("checks").is_sound());
}

#[test]
fn a_damaged_file_ends_all_writing_with_the_first_reason() {
    let envelopes = chain(1, "a", 100);
    let bench = Bench::filled(&envelopes[..50]);
    let store = bench.open();
    let mut bytes = std::fs::read(bench.path()).expect("read");
    bytes[4_096..].fill(0x5a);
    std::fs::write(bench.path(), bytes).expect("written");
    let (first, again) = (bench.save(&store, envelopes[50].ops()), bench.save(&store, envelopes[51].ops()));
    assert!(matches!(&first, Err(error @ SaveError::Fatal(_)) if !error.may_retry()), "{first:?}");
    assert_eq!(first.map_err(|error| error.to_string()), again.map_err(|error| error.to_string()));
    assert!(matches!(bench.runtime.block_on(store.full()), Err(SaveError::Fatal(_))));
}
