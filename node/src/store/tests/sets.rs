//! Whatever is saved in whatever batches is what is loaded.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, proptest};
use proptest::sample::Index;

use super::*;

/// One thing to save, as an index into what there is.
#[derive(Clone, Debug)]
enum Pick {
    Header(Index),
    Unsigned(Index),
    Body(Index),
    Remember(u8, u8),
}

fn picks() -> impl Strategy<Value = Vec<Vec<Pick>>> {
    let pick = proptest::prop_oneof![
        4 => any::<Index>().prop_map(Pick::Header),
        1 => any::<Index>().prop_map(Pick::Unsigned),
        4 => any::<Index>().prop_map(Pick::Body),
        1 => (0..4_u8, 0..2_u8).prop_map(|(key, content)| Pick::Remember(key, content)),
    ];
    vec(vec(pick, 1..8), 1..12)
}

/// What the store should hold: headers with whether they have a signature, bodies, remembered answers.
#[derive(Clone, Default)]
struct Model {
    headers: BTreeMap<EnvelopeId, bool>,
    bodies: BTreeSet<EnvelopeId>,
    remembered: BTreeMap<String, Remembered>,
}

impl Model {
    /// Takes in one operation; `false` where the store must refuse it.
    fn apply(&mut self, op: &SaveOp) -> bool {
        match op {
            SaveOp::Header(header) => {
                *self.headers.entry(header.id()).or_default() |= header.signature().is_some();
                true
            }
            SaveOp::Signature { id, .. } => self.headers.get_mut(id).map(|signed| *signed = true).is_some(),
            SaveOp::Body { id, .. } => {
                self.bodies.insert(*id);
                self.headers.contains_key(id)
            }
            SaveOp::Control(_) | SaveOp::Anchor(_) | SaveOp::Halt { .. } | SaveOp::Release { .. } => true,
            SaveOp::Remember(answer) => {
                self.remembered.entry(answer.key.clone()).or_insert_with(|| answer.clone()) == answer
            }
        }
    }
}

fn all() -> Vec<Envelope> {
    [chain(1, "a", 6), chain(2, "a", 6), chain(2, "b", 4)].concat()
}

fn op(pick: &Pick, all: &[Envelope]) -> SaveOp {
    match pick {
        Pick::Header(index) => SaveOp::Header(index.get(all).header.clone()),
        Pick::Unsigned(index) => {
            let bytes = index.get(all).header.header().encode();
            SaveOp::Header(AttestedHeader::from_store(&bytes, None).expect("a header"))
        }
        Pick::Body(index) => index.get(all).body_op(),
        Pick::Remember(key, content) => {
            SaveOp::Remember(remembered(&format!("key {key}"), *content, Id::new([*content; 32])))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_saved_set_is_the_loaded_set(batches in picks()) {
        let all = all();
        let bench = Bench::new();
        let store = bench.open();
        let mut model = Model::default();
        let requests: Vec<Vec<SaveOp>> =
            batches.iter().map(|batch| batch.iter().map(|pick| op(pick, &all)).collect()).collect();
        // Half of them wait together and share a transaction, the others come one by one.
        let (together, alone) = requests.split_at(requests.len() / 2);
        let mut results: Vec<_> = bench.runtime.block_on(async {
            futures::future::join_all(together.iter().map(|ops| store.save(ops.clone()))).await
        });
        results.extend(alone.iter().map(|ops| bench.save(&store, ops.clone())));
        for (ops, result) in requests.iter().zip(results) {
            let mut after = model.clone();
            let allowed = ops.iter().all(|op| after.apply(op));
            prop_assert_eq!(result.is_ok(), allowed);
            if allowed {
                model = after;
            }
        }
        bench.close(store);
        let store = bench.open();
        let loaded = store.load().expect("loads");
        prop_assert_eq!(&loaded.damage, &[]);
        let headers: BTreeMap<_, _> =
            loaded.envelopes.iter().map(|e| (e.header.id(), e.header.signature().is_some())).collect();
        let bodies: BTreeSet<_> = loaded.envelopes.iter().filter(|e| e.body.is_some()).map(|e| e.header.id()).collect();
        prop_assert_eq!(loaded.envelopes.len(), model.headers.len());
        prop_assert_eq!(headers, model.headers);
        prop_assert_eq!(bodies, model.bodies);
        prop_assert_eq!(loaded.remembered, model.remembered.into_values().collect::<Vec<_>>());
    }
}
