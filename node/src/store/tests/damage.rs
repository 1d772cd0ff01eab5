//! Flipped bytes in a stopped store: named, left out, and replaced when the envelope comes again.

use super::*;

/// Opens a damaged store, expects exactly this damage from loading, saves the envelope again and expects none.
fn mended_by(bench: &Bench, envelope: &Envelope, damage: &[Damage]) {
    let store = bench.open();
    let loaded = store.load().expect("damage is no reason not to start");
    assert_eq!(loaded.damage, damage);
    assert_eq!(loaded.own_damage().count(), damage.len(), "the node must not author on top of it");
    bench.save(&store, envelope.ops()).expect("saved");
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.damage, []);
    let held = loaded.envelopes.iter().find(|held| held.header.id() == envelope.id()).expect("held again");
    assert_eq!(held.body.as_ref(), Some(&envelope.body));
    bench.close(store);
    let checked = check(&bench.path(), Depth::Deep).expect("checks");
    assert!(checked.is_sound(), "{:?}", checked.damage);
}

fn author() -> AuthorId {
    author_id(1)
}

#[test]
fn a_damaged_body_counts_as_not_held_until_it_comes_again() {
    let envelopes = chain(1, "a", 9);
    let bench = Bench::filled(&envelopes);
    flip(&bench.path(), &envelopes[4].body);
    let damage = Damage::Body { author: author(), seq: 5, id: envelopes[4].id() };
    let quick = check(&bench.path(), Depth::Quick).expect("checks");
    assert!(quick.is_sound(), "a quick check reads no bodies");
    let deep = check(&bench.path(), Depth::Deep).expect("checks");
    assert_eq!(deep.damage, std::slice::from_ref(&damage));
    let text = damage.to_string();
    for name in [envelopes[4].id().hex(), nation().hex(), "seq 5".to_owned()] {
        assert!(text.contains(&name), "{text}");
    }
    mended_by(&bench, &envelopes[4], &[damage]);
}

#[test]
fn a_damaged_header_is_replaced_in_its_row() {
    let envelopes = chain(1, "a", 9);
    let bench = Bench::filled(&envelopes);
    flip(&bench.path(), &envelopes[4].header.header().encode());
    let damage = Damage::Header { author: Some(author()), seq: 5, id: envelopes[4].id().hex() };
    assert_eq!(check(&bench.path(), Depth::Deep).expect("checks").damage, std::slice::from_ref(&damage));
    mended_by(&bench, &envelopes[4], &[damage]);
}

#[test]
fn a_damaged_signature_is_found_at_the_next_start_and_not_served() {
    let envelopes = chain(1, "a", 9);
    let bench = Bench::filled(&envelopes);
    flip(&bench.path(), &envelopes[8].header.signature().expect("signed").0);
    let (author, seq, id) = (author(), 9, envelopes[8].id());
    let damage = [Damage::Signature { author, seq, id }, Damage::Unattested { author, seq, id }];
    assert_eq!(check(&bench.path(), Depth::Deep).expect("checks").damage, damage);
    let store = bench.open();
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.damage, damage[..1]);
    let last = loaded.envelopes.last().expect("nine");
    assert!(last.header.id() == id && last.header.signature().is_none() && last.body.is_some());
    bench.save(&store, envelopes[8].ops()).expect("saved");
    bench.close(store);
    assert!(check(&bench.path(), Depth::Deep).expect("checks").is_sound());
}

/// Changes the stopped store's rows behind its back.
fn meddle(bench: &Bench, sql: &str, params: impl rusqlite::Params) {
    let connection = rusqlite::Connection::open(bench.path()).expect("opens");
    assert_eq!(connection.execute(sql, params).expect("runs"), 1);
}

#[test]
fn a_vanished_row_is_noticed_and_names_its_author() {
    let envelopes = chain(1, "a", 9);
    let id = envelopes[8].id();
    let bench = Bench::filled(&envelopes);
    let nine = Counted { expected: Some(9), found: 9 };
    let eight = Counted { expected: Some(9), found: 8 };
    meddle(&bench, "DELETE FROM body WHERE header_pos = (SELECT pos FROM header WHERE id = ?1)", [id.as_bytes()]);
    let damage = Damage::Frontier { author: author(), headers: nine, bodies: eight };
    assert_eq!(check(&bench.path(), Depth::Quick).expect("checks").damage, [damage]);
    meddle(&bench, "DELETE FROM header WHERE id = ?1", [id.as_bytes()]);
    let damage = Damage::Frontier { author: author(), headers: eight, bodies: eight };
    assert_eq!(check(&bench.path(), Depth::Quick).expect("checks").damage, std::slice::from_ref(&damage));

    let store = bench.open();
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.damage, std::slice::from_ref(&damage));
    assert_eq!(loaded.own_damage().collect::<Vec<_>>(), [&damage], "own rows are missing: no authoring");
    // What was missing comes back from a peer.
    bench.save(&store, envelopes[8].ops()).expect("saved");
    assert_eq!(store.load().expect("loads").damage, []);
    bench.close(store);
    assert!(check(&bench.path(), Depth::Deep).expect("checks").is_sound());
}

#[test]
fn a_lost_end_of_the_own_chain_is_not_forgotten_when_something_else_comes() {
    let (envelopes, other) = (chain(1, "a", 9), chain(1, "b", 9));
    let bench = Bench::filled(&envelopes);
    for lost in &envelopes[7..] {
        meddle(
            &bench,
            "DELETE FROM body WHERE header_pos = (SELECT pos FROM header WHERE id = ?1)",
            [lost.id().as_bytes()],
        );
        meddle(&bench, "DELETE FROM header WHERE id = ?1", [lost.id().as_bytes()]);
    }
    for saved in [&envelopes[7], &other[8]] {
        let store = bench.open();
        assert_ne!(store.load().expect("loads").own_damage().count(), 0);
        bench.save(&store, saved.ops()).expect("saved");
        bench.close(store);
        assert!(!check(&bench.path(), Depth::Quick).expect("checks").is_sound());
    }
    let store = bench.open();
    bench.runtime.block_on(store.rebuild_frontier(author())).expect("the operator gives up what was lost");
    assert_eq!(store.load().expect("loads").damage, []);
}

#[test]
fn a_gap_in_the_chain_of_another_is_counted_anew() {
    let foreign = chain(2, "a", 9);
    let bench = Bench::filled(&foreign[..8]);
    meddle(
        &bench,
        "DELETE FROM body WHERE header_pos = (SELECT pos FROM header WHERE id = ?1)",
        [foreign[3].id().as_bytes()],
    );
    let store = bench.open();
    assert_eq!(store.load().expect("loads").damage.len(), 1);
    bench.save(&store, foreign[8].ops()).expect("saved");
    bench.save(&store, foreign[3].ops()).expect("saved");
    assert_eq!(store.load().expect("loads").damage, []);
}

#[test]
fn damaged_columns_beside_a_good_header_do_no_harm() {
    let envelopes = chain(1, "a", 9);
    let bench = Bench::filled(&envelopes);
    meddle(&bench, "UPDATE header SET seq = 77 WHERE id = ?1", [envelopes[4].id().as_bytes()]);
    let damage = Damage::Columns { author: author(), seq: 5, id: envelopes[4].id() };
    let store = bench.open();
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.damage, [damage]);
    assert_eq!(contents(&loaded), envelopes.iter().map(|e| (e.id(), true)).collect::<Vec<_>>(), "all are held");
    assert_eq!(loaded.own_damage().count(), 0);
    bench.save(&store, envelopes[4].ops()).expect("saved");
    assert_eq!(store.load().expect("loads").damage, []);
}

#[test]
fn a_damaged_id_column_is_replaced_by_position() {
    let envelopes = chain(1, "a", 9);
    let bench = Bench::filled(&envelopes);
    meddle(
        &bench,
        "UPDATE header SET id = ?2 WHERE id = ?1",
        rusqlite::params![envelopes[4].id().as_bytes(), [0xee_u8; 32]],
    );
    let nine = Counted { expected: Some(9), found: 9 };
    let damage = [
        Damage::Header { author: Some(author()), seq: 5, id: "ee".repeat(32) },
        Damage::Frontier { author: author(), headers: nine, bodies: nine },
    ];
    mended_by(&bench, &envelopes[4], &damage);
}

#[test]
fn damage_of_others_does_not_keep_the_node_from_writing() {
    let foreign = chain(2, "a", 5);
    let bench = Bench::filled(&foreign);
    flip(&bench.path(), &foreign[2].body);
    let store = bench.open();
    let loaded = store.load().expect("loads");
    assert_eq!(loaded.damage.len(), 1);
    assert_eq!(loaded.own_damage().count(), 0);
    bench.save(&store, chain(1, "a", 1)[0].ops()).expect("saved");
}

#[test]
fn damaged_answers_and_frontier_rows_are_named() {
    let envelopes = chain(1, "a", 3);
    let bench = Bench::filled(&envelopes);
    let store = bench.open();
    let answer = remembered("key", 1, envelopes[0].id());
    bench.save(&store, vec![SaveOp::Remember(answer.clone())]).expect("saved");
    bench.close(store);
    meddle(&bench, "UPDATE idempotency SET id = 'other'", []);
    meddle(&bench, "UPDATE frontier SET check32 = zeroblob(32)", []);
    let unknown = Counted { expected: None, found: 3 };
    let expected = [
        Damage::Frontier { author: author(), headers: unknown, bodies: unknown },
        Damage::Row { table: "idempotency", key: "key".to_owned() },
    ];
    assert_eq!(check(&bench.path(), Depth::Deep).expect("checks").damage, expected);
    let store = bench.open();
    assert_eq!(store.load().expect("loads").damage, expected);
    // The next save of each writes its row anew.
    bench.save(&store, vec![SaveOp::Remember(answer.clone())]).expect("saved");
    bench.save(&store, chain(1, "a", 4)[3].ops()).expect("saved");
    let loaded = store.load().expect("loads");
    assert_eq!((loaded.damage, loaded.remembered), (vec![], vec![answer]));
}

#[test]
fn a_store_that_is_no_longer_sure_whose_it_is_says_so() {
    let alliance = comity_protocol::testing::TestAlliance::new(1, &[("DEU", 1)]);
    let author = alliance.nations[0].nodes[0].author;
    let identity = Identity { alliance: alliance.id, nation: author.nation, node: author.key };
    for (key, named) in [("alliance", "alliance"), ("nation", "node or nation"), ("node", "node or nation")] {
        let bench = Bench::new();
        std::fs::remove_file(bench.path()).expect("removed");
        Store::create(&bench.path(), &identity, &alliance.control()).expect("created");
        let store = bench.open();
        assert_eq!(store.load().expect("loads").damage, []);
        bench.close(store);

        meddle(&bench, "UPDATE meta SET value = zeroblob(32) WHERE key = ?1", [key]);
        let damage = Damage::Row { table: "meta", key: named.to_owned() };
        assert_eq!(check(&bench.path(), Depth::Deep).expect("checks").damage, std::slice::from_ref(&damage));
        let store = bench.open();
        let loaded = store.load().expect("loads");
        assert_eq!(loaded.own_damage().collect::<Vec<_>>(), [&damage], "{key}: no authoring");
        bench.close(store);
    }
}

#[test]
fn a_zeroed_page_is_found_and_ends_a_load_with_an_error() {
    let bench = Bench::filled(&chain(1, "a", 500));
    let mut bytes = std::fs::read(bench.path()).expect("read");
    let middle = bytes.len() / 8_192 * 4_096;
    bytes[middle..middle + 4_096].fill(0);
    std::fs::write(bench.path(), bytes).expect("written");
    for depth in [Depth::Quick, Depth::Deep] {
        let checked = check(&bench.path(), depth).expect("a check tells what it can");
        assert!(checked.damage.iter().any(|damage| matches!(damage, Damage::Structure { .. })), "{:?}", checked.damage);
    }
}

#[test]
fn the_home_of_a_killed_node_tells_what_it_said() {
    let bench = Bench::new();
    let store = bench.open();
    let own = chain(1, "a", 4);
    bench.save(&store, own.iter().chain(&chain(2, "a", 3)).flat_map(Envelope::ops).collect()).expect("saved");
    bench.save(&store, vec![SaveOp::Remember(remembered("k", 1, own[3].id()))]).expect("saved");
    let dead = bench.crashed();
    let records = own_records(&dead.path()).expect("reads");
    assert_eq!(records.identity, identity());
    assert_eq!(
        records.envelopes.iter().map(|e| e.id).collect::<Vec<_>>(),
        own.iter().map(Envelope::id).collect::<Vec<_>>()
    );
    assert!(records.envelopes.iter().zip(&own).all(|(found, own)| found.body.as_ref() == Some(&own.body)));
    assert_eq!(records.remembered, [remembered("k", 1, own[3].id())]);
    let checked = check(&dead.path(), Depth::Deep).expect("checks");
    assert!(checked.is_sound() && checked.headers == 7, "{:?}", checked.damage);
}
