//! Hostile corpora: damaged bytes with a repaired seal, and well-encoded changes that mean harm.

use comity_tests::guard::corpus::{Ground, damage, odd, twist};
use comity_tests::guard::tally::Tally;
use comity_tests::random::{Random, seeds};

#[test]
fn damaged_changes_with_a_repaired_seal_do_no_harm() {
    let mut tally = Tally::default();
    seeds(25, |seed| {
        let mut random = Random::new(seed);
        let ground = Ground::random(&mut random);
        tally.honest(&ground);
        for _ in 0..150 {
            let victim = random.pick(&ground.next);
            let bytes = damage(&mut random, victim, &ground.made);
            tally.hostile(&ground, &victim.scan.actor.author(), &bytes);
        }
    });
    tally.finish("damaged changes with a repaired seal");
}

#[test]
fn well_encoded_hostile_changes_do_no_harm() {
    let mut tally = Tally::default();
    seeds(25, |seed| {
        let mut random = Random::new(seed);
        let ground = Ground::random(&mut random);
        tally.honest(&ground);
        for _ in 0..150 {
            let victim = random.pick(&ground.next);
            match twist(&mut random, &ground, victim) {
                Some(bytes) => tally.hostile(&ground, &victim.scan.actor.author(), &bytes),
                None => tally.not_encoded(),
            }
        }
    });
    tally.finish("well-encoded hostile changes");
    assert!(tally.admitted() > 0, "some twists are harmless");
}

/// Where a root key is replaced, any version in the ancestry may be named, replaced ones too.
#[test]
fn odd_but_permitted_predecessors_mean_the_same_in_automerge() {
    let mut tally = Tally::default();
    seeds(25, |seed| {
        let mut random = Random::new(seed);
        let ground = Ground::random(&mut random);
        for _ in 0..20 {
            let victim = random.pick(&ground.next);
            let bytes = odd(&mut random, &ground, victim);
            tally.hostile(&ground, &victim.scan.actor.author(), &bytes);
        }
    });
    tally.finish("odd but permitted predecessors");
    assert!(tally.void().is_empty(), "all of these are permitted");
}
