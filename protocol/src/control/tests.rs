//! Control records whose form or signatures are wrong (spec 4.3, T7, T9, T25, T40).

use super::{CharterChange, ControlError, ControlRecord, Motion, SignedGenesis, Vote, VoteStep};
use crate::ids::{AuthorKey, CharterId, ControlId, RootKey, Tip};
use crate::testing::TestAlliance;

fn alliance() -> TestAlliance {
    TestAlliance::new(1, &[("UKR", 1), ("POL", 1), ("DEU", 1)])
}

fn genesis(alliance: &TestAlliance) -> SignedGenesis {
    match alliance.genesis.record() {
        ControlRecord::Genesis(signed) => signed.clone(),
        other => panic!("no genesis: {other:?}"),
    }
}

/// The genesis after `edit`, signed by every founder in their order.
fn signed(alliance: &TestAlliance, edit: impl FnOnce(&mut SignedGenesis)) -> ControlRecord {
    let mut signed = genesis(alliance);
    edit(&mut signed);
    let roots = alliance.nations.iter().map(|nation| &nation.root);
    let mut signatures: Vec<_> = roots.map(|root| signed.genesis.sign(root)).collect();
    signatures.sort_by_key(|(root, _)| *root);
    signed.signatures = signatures;
    ControlRecord::Genesis(signed)
}

/// The point of order 1 in its canonical encoding.
fn identity<K>() -> crate::ids::Id<K> {
    crate::ids::Id::new(std::array::from_fn(|i| u8::from(i == 0)))
}

fn motion(alliance: &TestAlliance, changes: Vec<CharterChange>) -> Motion {
    Motion {
        alliance: alliance.id,
        height: 0,
        base: CharterId::new(*alliance.id.as_bytes()),
        nonce: 7,
        title: "a change".to_owned(),
        text: b"why".to_vec(),
        changes,
    }
}

#[test]
fn a_genesis_that_a_founder_did_not_sign_founds_nothing() {
    let alliance = alliance();
    assert!(signed(&alliance, |_| {}).verify().is_ok());
    let whole = genesis(&alliance);
    for founder in 0..3 {
        let mut unwilling = whole.clone();
        unwilling.signatures.remove(founder);
        let refused = ControlRecord::Genesis(unwilling).verify();
        assert!(matches!(refused, Err(ControlError::Signers { have: 2, founders: 3 })), "{refused:?}");

        // Somebody else's signature in the founder's name, and the founder's own over other bytes.
        for signature in [whole.signatures[(founder + 1) % 3].1, {
            let mut other = whole.genesis.clone();
            other.created_ms += 1;
            let root = &alliance.nations.iter().find(|nation| nation.root.public() == whole.signatures[founder].0);
            other.sign(&root.expect("a founder").root).1
        }] {
            let mut forged = whole.clone();
            forged.signatures[founder].1 = signature;
            assert!(matches!(ControlRecord::Genesis(forged).verify(), Err(ControlError::Signature(_))));
        }
    }
    let mut stranger = whole.clone();
    stranger.signatures[0].0 = RootKey::new([7; 32]);
    assert!(matches!(ControlRecord::Genesis(stranger).verify(), Err(ControlError::Signers { .. })));
}

#[test]
fn founders_share_neither_root_nor_code() {
    let alliance = alliance();
    let twice = signed(&alliance, |signed| signed.genesis.founders[1].root = signed.genesis.founders[0].root);
    assert!(ControlRecord::decode(1, &twice.encode()).is_err(), "founders are ascending by root");
    assert!(twice.verify().is_err());
    let code = signed(&alliance, |signed| signed.genesis.founders[1].code = signed.genesis.founders[0].code.clone());
    assert!(matches!(code.verify(), Err(ControlError::Code(_))));
}

#[test]
fn a_record_that_names_a_key_of_small_order_counts_for_nothing() {
    let mut alliance = alliance();
    let last = alliance.nations[0].rosters.last().cloned();
    let ControlRecord::Roster(mut roster, _) = last.expect("a first roster").record().clone() else {
        panic!("a roster")
    };
    roster.version = 2;
    roster.keys[0].node = identity::<crate::ids::Author>();
    let root = alliance.nations[0].root.clone();
    assert!(matches!(roster.sign(&root).verify(), Err(ControlError::Key(_))));

    let founder = signed(&alliance, |signed| signed.genesis.founders[0].root = identity::<crate::ids::Root>());
    assert!(founder.verify().is_err());
    let nation = alliance.nations[0].id;
    let replaced = CharterChange::ReplaceRoot { nation, root: identity(), roster: Tip::NONE };
    let replaced = ControlRecord::Motion(motion(&alliance, vec![replaced]));
    assert!(matches!(replaced.verify(), Err(ControlError::Key(_))));
    let author: AuthorKey = identity();
    assert!(!crate::keys::key_permitted(&author));
    alliance.nations.clear();
}

#[test]
fn damaged_records_are_refused_or_mean_their_own_bytes() {
    let alliance = alliance();
    let vote = Vote {
        alliance: alliance.id,
        nation: alliance.nations[0].id,
        root: alliance.nations[0].root.public(),
        height: 0,
        base: CharterId::new(*alliance.id.as_bytes()),
        round: 1,
        step: VoteStep::Seal,
        motion: ControlId::new([5; 32]),
        time_ms: 9,
    };
    let remove = CharterChange::Remove {
        nation: alliance.nations[1].id,
        cuts: vec![(alliance.nations[1].nodes[0].author.key, Tip::NONE)],
        roster: Tip::NONE,
    };
    let records = [
        alliance.genesis.record().clone(),
        alliance.nations[0].rosters[0].record().clone(),
        vote.sign(&alliance.nations[0].root),
        ControlRecord::Motion(motion(&alliance, vec![remove, CharterChange::SetRules(2)])),
    ];
    for record in records {
        let (kind, bytes) = (record.kind(), record.encode());
        assert_eq!(ControlRecord::decode(kind, &bytes).as_ref(), Ok(&record));
        for length in 0..bytes.len() {
            assert!(ControlRecord::decode(kind, &bytes[..length]).is_err(), "{kind} cut at {length}");
        }
        assert!(ControlRecord::decode(kind, &[&bytes[..], &[0]].concat()).is_err(), "{kind} with one byte more");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(decoded) = ControlRecord::decode(kind, &flipped) {
                assert_eq!(decoded.encode(), flipped, "{kind}, bit {bit}: one record, one encoding");
                // A motion carries no signature: it counts by the votes that name its id.
                assert!(kind == 2 || decoded.verify().is_err(), "{kind}, bit {bit}");
            }
        }
        assert!(ControlRecord::decode(kind % 4 + 1, &bytes).is_err(), "one kind is none of another");
    }
}
