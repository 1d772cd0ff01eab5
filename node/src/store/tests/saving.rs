//! Saving, opening, refusing.

use super::*;

#[test]
fn what_was_answered_survives_a_kill_at_any_moment() {
    let bench = Bench::new();
    let store = bench.open();
    let mut answered = Vec::new();
    for envelope in chain(1, "a", 8) {
        bench.save(&store, envelope.ops()).expect("saved");
        answered.push((envelope.id(), true));
        let crashed = bench.crashed();
        let reopened = crashed.open();
        let loaded = reopened.load().expect("loads");
        assert_eq!(contents(&loaded), answered);
        assert_eq!(loaded.damage, []);
    }
}

#[test]
fn a_log_torn_at_any_byte_leaves_whole_requests_in_their_order() {
    let bench = Bench::new();
    let store = bench.open();
    let envelopes = chain(1, "a", 6);
    for envelope in &envelopes {
        bench.save(&store, envelope.ops()).expect("saved");
    }
    let crashed = bench.crashed();
    let log = std::fs::read(wal_path(&crashed.path())).expect("the log is not emptied yet");
    let database = std::fs::read(crashed.path()).expect("read");
    let mut held = std::collections::BTreeSet::new();
    for length in (0..log.len()).step_by(2_039) {
        std::fs::write(crashed.path(), &database).expect("restored");
        std::fs::write(wal_path(&crashed.path()), &log[..length]).expect("torn");
        let reopened = schema::open(&crashed.path(), schema::Access::Read, None).expect("opens");
        let loaded = load::load(&reopened).expect("loads");
        let expected: Vec<_> = envelopes.iter().take(loaded.envelopes.len()).map(|e| (e.id(), true)).collect();
        assert_eq!(contents(&loaded), expected);
        assert_eq!(loaded.damage, [], "after {length} bytes");
        held.insert(loaded.envelopes.len());
    }
    assert!(held.len() > 4, "the tears hit different requests: {held:?}");
}

#[test]
fn an_answer_comes_only_after_everybody_can_read_the_commit() {
    let bench = Bench::new();
    let store = Arc::new(bench.open());
    let envelopes = chain(1, "a", 200);
    bench.runtime.block_on(async {
        let path = bench.path();
        let writes: Vec<_> = envelopes
            .iter()
            .map(|envelope| {
                let (store, path, ops, id) = (Arc::clone(&store), path.clone(), envelope.ops(), envelope.id());
                async move {
                    store.save(ops).await.expect("saved");
                    let other = schema::open(&path, schema::Access::Read, None).expect("opens");
                    let sql = "SELECT count(*) FROM header WHERE id = ?1";
                    other.query_row(sql, [id.as_bytes()], |row| row.get::<_, i64>(0)).expect("reads")
                }
            })
            .collect();
        // All wait at once, so that they are saved in groups.
        assert!(futures::future::join_all(writes).await.into_iter().all(|rows| rows == 1));
    });
    assert_eq!(store.load().expect("loads").envelopes.len(), 200);
}

#[test]
fn a_bad_request_fails_alone_in_its_group() {
    let bench = Bench::new();
    let store = bench.open();
    let envelopes = chain(1, "a", 3);
    bench.save(&store, vec![SaveOp::Remember(remembered("k", 1, envelopes[0].id()))]).expect("saved");
    let (first, orphan, reused, last) = bench.runtime.block_on(async {
        let mut reused = envelopes[1].ops();
        reused.push(SaveOp::Remember(remembered("k", 2, envelopes[1].id())));
        tokio::join!(
            store.save(envelopes[0].ops()),
            store.save(vec![envelopes[2].body_op()]),
            store.save(reused),
            store.save(vec![SaveOp::Remember(remembered("k", 1, envelopes[0].id()))]),
        )
    });
    first.expect("saved");
    assert!(matches!(orphan, Err(SaveError::NoHeader { id }) if id == envelopes[2].id()));
    assert!(matches!(reused, Err(SaveError::KeyReused { key }) if key == "k"));
    last.expect("the same answer again is no error");
    let loaded = store.load().expect("loads");
    assert_eq!(contents(&loaded), [(envelopes[0].id(), true)], "nothing of a failed request is there");
    assert_eq!(loaded.damage, []);
}

#[test]
fn remembered_answers_survive_and_are_found_by_key() {
    let bench = Bench::new();
    let store = bench.open();
    let answers: Vec<_> = ["a", "b", "ключ"].map(|key| remembered(key, 1, Id::new([7; 32]))).into();
    bench.save(&store, answers.iter().cloned().map(SaveOp::Remember).collect()).expect("saved");
    bench.close(store);
    let store = bench.open();
    assert_eq!(store.load().expect("loads").remembered, answers);
    let reader = store.reader();
    let found = bench.runtime.block_on(reader.remembered("ключ".to_owned())).expect("reads");
    assert_eq!(found.as_ref(), answers.last());
    assert_eq!(bench.runtime.block_on(reader.remembered("c".to_owned())).expect("reads"), None);
}

#[test]
fn forks_headers_without_bodies_and_late_signatures_are_held() {
    let bench = Bench::new();
    let store = bench.open();
    let (a, b) = (chain(2, "a", 3), chain(2, "b", 3));
    let unsigned = AttestedHeader::from_store(&b[0].header.header().encode(), None).expect("a header");
    let mut ops: Vec<_> = a.iter().flat_map(Envelope::ops).collect();
    // Evidence of the fork arrives without the headers below it, and without bodies.
    ops.push(SaveOp::Header(b[1].header.clone()));
    bench.save(&store, ops).expect("saved");
    bench.save(&store, vec![SaveOp::Header(unsigned)]).expect("saved");
    let signature = *b[0].header.signature().expect("signed");
    bench.save(&store, vec![SaveOp::Signature { id: b[0].id(), signature }]).expect("saved");
    let missing = bench.save(&store, vec![SaveOp::Signature { id: b[2].id(), signature }]);
    assert!(matches!(missing, Err(SaveError::NoHeader { .. })));
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.damage, []);
    let held = |id| loaded.envelopes.iter().find(|envelope| envelope.header.id() == id).expect("held");
    assert_eq!(loaded.envelopes.len(), 5);
    assert_eq!(held(b[0].id()).header.signature(), Some(&signature));
    assert_eq!(held(a[2].id()).cum, a.iter().map(|envelope| envelope.header.header().quota_bytes()).sum::<u64>());
    assert_eq!(held(b[1].id()).cum, 0, "the chain below it is not held");
    assert_eq!(held(b[1].id()).body, None);
    let order: Vec<_> = loaded.envelopes.iter().map(|envelope| envelope.header.header().seq).collect();
    assert_eq!(order, [1, 1, 2, 2, 3]);
}

#[test]
fn catch_up_and_own_writes_both_arrive() {
    let bench = Bench::new();
    let store = bench.open();
    let (own, foreign) = (chain(1, "a", 50), chain(2, "a", 50));
    bench.runtime.block_on(async {
        let own = futures::future::join_all(own.iter().map(|envelope| store.save(envelope.ops())));
        let foreign = futures::future::join_all(foreign.iter().map(|envelope| store.save_catch_up(envelope.ops())));
        let (own, foreign) = tokio::join!(own, foreign);
        assert!(own.iter().chain(&foreign).all(Result::is_ok));
        let stats = store.reader().stats().await.expect("reads");
        assert_eq!((stats.headers, stats.bodies, stats.control), (100, 100, 0));
    });
    bench.close(store);
    assert_eq!(own_records(&bench.path()).expect("reads").envelopes.len(), 50);
}

#[test]
fn closing_finishes_what_waits_and_empties_the_log() {
    let bench = Bench::new();
    let store = bench.open();
    let envelopes = chain(1, "a", 30);
    bench.runtime.block_on(async {
        let saves: Vec<_> = envelopes.iter().map(|envelope| store.save(envelope.ops())).collect();
        futures::future::join_all(saves).await;
    });
    bench.close(store);
    assert!(!wal_path(&bench.path()).exists(), "the last connection removes the log");
    assert_eq!(check(&bench.path(), Depth::Deep).expect("checks").headers, 30);
}

#[test]
fn one_opener_writes_and_others_are_told() {
    let bench = Bench::new();
    let store = bench.open();
    let second = Lock::acquire(&bench.folder.path().join("node.lock")).expect_err("taken");
    assert!(matches!(second, OpenError::Locked { .. }), "{second}");
    assert_eq!(second.blame().exit_code(), 4);
    assert!(second.hint().is_some());
    bench.close(store);
    drop(bench.lock());
}

#[test]
fn a_check_runs_beside_a_writing_store() {
    let bench = Bench::new();
    let store = bench.open();
    let envelopes = chain(1, "a", 6);
    for envelope in &envelopes {
        bench.save(&store, envelope.ops()).expect("saved");
        let checked = check(&bench.path(), Depth::Deep).expect("checks");
        assert!(checked.is_sound(), "{:?}", checked.damage);
        assert_eq!((checked.headers, checked.bodies), (envelope.header.header().seq, envelope.header.header().seq));
    }
}

#[test]
fn files_that_are_not_ours_are_refused_by_name() {
    let bench = Bench::new();
    let refused = |path: &Path| match Database::open(path, Settings::default()) {
        Ok(_) => panic!("{} opens", path.display()),
        Err(error) => error,
    };
    let absent = bench.folder.path().join("absent.sqlite");
    assert!(matches!(refused(&absent), OpenError::Missing { .. }));
    assert!(!absent.exists(), "opening never creates");
    assert!(matches!(Store::create(&bench.path(), &identity(), &[]), Err(OpenError::Exists { .. })));

    let foreign = bench.folder.path().join("foreign.sqlite");
    let connection = rusqlite::Connection::open(&foreign).expect("opens");
    connection.pragma_update(None, "application_id", 0x1234).expect("set");
    let error = refused(&foreign);
    assert!(matches!(error, OpenError::Foreign { found: 0x1234, .. }));
    assert!(error.to_string().ends_with("has application id 0x00001234, a store of comity has 0x434f4d54"), "{error}");

    let connection = rusqlite::Connection::open(bench.path()).expect("opens");
    connection.pragma_update(None, "user_version", 7).expect("set");
    drop(connection);
    let error = refused(&bench.path());
    assert!(error.to_string().ends_with("has schema version 7, this release knows up to 1"), "{error}");
    check(&bench.path(), Depth::Quick).expect("its minimal reader is version 1, so reading is fine");

    let garbage = bench.folder.path().join("garbage.sqlite");
    std::fs::write(&garbage, [0x5a; 8_192]).expect("written");
    assert!(matches!(refused(&garbage), OpenError::Damaged { .. }));
}

#[test]
fn a_creation_that_was_interrupted_is_no_store_and_no_obstacle() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("node.sqlite");
    std::fs::write(folder.path().join("node.sqlite.new"), b"half").expect("written");
    std::fs::write(folder.path().join("node.sqlite.new-journal"), b"half").expect("written");
    assert!(matches!(Database::open(&path, Settings::default()), Err(OpenError::Missing { .. })));
    Store::create(&path, &identity(), &[]).expect("created");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).expect("list").map(|e| e.expect("entry").file_name()).collect();
    assert_eq!(names, ["node.sqlite"]);
    assert!(matches!(
        Store::create(&folder.path().join("absent/node.sqlite"), &identity(), &[]),
        Err(OpenError::Io { .. })
    ));
}
