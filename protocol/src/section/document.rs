//! A nation's document as Automerge has it, built from the log when somebody asks; never on the read path (D15).

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, Change};

use super::{Section, clear_change};
use crate::chain::Chain;
use crate::guard::prescan;
use crate::ids::{ChangeHash, EnvelopeId, Timestamp};

/// A document that cannot be built because the change library fails on a change that the guard admitted: a bug. The
/// record itself goes on, since nothing but the document rests on the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document is quarantined: its library fails on the change of envelope {envelope}")]
pub struct Quarantined {
    /// The envelope whose change it fails on.
    pub envelope: EnvelopeId,
}

/// A valid change with what orders it.
struct Valid {
    start_op: u64,
    hash: ChangeHash,
    deps: Vec<ChangeHash>,
    time_ms: u64,
    envelope: EnvelopeId,
    bytes: Vec<u8>,
}

impl Section {
    /// Builds the Automerge document of all valid changes of `chains`, the nation's, whose envelopes claim at most `as_of`
    /// and so do those they build on.
    pub(crate) fn document<'a>(
        &self,
        chains: impl Iterator<Item = &'a Chain>,
        as_of: Timestamp,
    ) -> Result<Automerge, Quarantined> {
        let mut valid: Vec<Valid> = chains.flat_map(|chain| self.valid_changes(chain)).collect();
        // A change's first counter is above all of its dependencies', so this order is one they permit.
        valid.sort_unstable_by_key(|change| (change.start_op, change.hash));
        let mut included: BTreeSet<ChangeHash> = BTreeSet::new();
        valid.retain(|change| {
            let stands = change.time_ms <= as_of.0 && change.deps.iter().all(|dep| included.contains(dep));
            if stands {
                included.insert(change.hash);
            }
            stands
        });
        build(&valid, apply)
    }

    fn valid_changes<'a>(&'a self, chain: &'a Chain) -> impl Iterator<Item = Valid> + 'a {
        let author = chain.author().key;
        chain.accepted_from(1).filter_map(move |held| {
            let bytes = clear_change(held.kind(), held.body()?)?;
            let change = prescan(&author, &bytes).ok()?;
            // A hash is in the index only if a change with these bytes was admitted; a void repetition has the same bytes.
            let valid = self.verdict(&author, held) == Some(super::Verdict::Valid);
            valid.then(|| Valid {
                start_op: change.start_op,
                hash: change.hash,
                deps: change.deps,
                time_ms: held.time_ms(),
                envelope: held.id(),
                bytes,
            })
        })
    }
}

/// Applies the changes as one batch, and one by one if that fails, to find the one it fails on.
fn build(valid: &[Valid], apply: fn(&mut Automerge, &[Valid]) -> bool) -> Result<Automerge, Quarantined> {
    let attempt = |document: &mut Automerge, changes: &[Valid]| {
        // A document that panicked is thrown away below, so nobody sees what the panic left behind.
        catch_unwind(AssertUnwindSafe(|| apply(document, changes))).unwrap_or(false)
    };
    let mut document = Automerge::new();
    if attempt(&mut document, valid) {
        return Ok(document);
    }
    let mut document = Automerge::new();
    for change in valid.chunks(1) {
        if !attempt(&mut document, change) {
            return Err(Quarantined { envelope: change[0].envelope });
        }
    }
    Ok(document)
}

fn apply(document: &mut Automerge, valid: &[Valid]) -> bool {
    let changes: Result<Vec<Change>, _> = valid.iter().map(|change| Change::from_bytes(change.bytes.clone())).collect();
    changes.is_ok_and(|changes| document.apply_changes(changes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestAlliance, draft};

    #[test]
    fn a_change_its_library_fails_on_is_named_and_the_rest_goes_on() {
        let mut alliance = TestAlliance::new(3, &[("UKR", 1)]);
        let mut state = alliance.state();
        let node = alliance.node(0, 0);
        let mut ids = Vec::new();
        for i in 0..5 {
            let envelope = node.write(&state, vec![draft("pledge", i, "x")]).expect("writes");
            ids.push(envelope.id());
            state.admit(envelope.elements().into());
        }
        let section = state.section(&node.author.nation);
        let chain = state.chain(&node.author).expect("held");
        let mut valid: Vec<Valid> = section.valid_changes(chain).collect();
        valid.sort_unstable_by_key(|change| change.start_op);
        let healthy = build(&valid, apply).expect("builds");
        assert_eq!(healthy.get_heads().len(), 1);
        let fails_on_third = |document: &mut Automerge, changes: &[Valid]| {
            assert!(changes.iter().all(|change| change.start_op != 5), "the library's bug");
            apply(document, changes)
        };
        assert_eq!(valid[2].start_op, 5, "two operations a change");
        assert_eq!(build(&valid, fails_on_third).err(), Some(Quarantined { envelope: ids[2] }));
        assert_eq!(section.counts().valid, 5);
    }

    #[test]
    fn a_document_of_an_earlier_day_has_what_was_claimed_by_then() {
        let mut alliance = TestAlliance::new(3, &[("UKR", 1)]);
        let mut state = alliance.state();
        let node = alliance.node(0, 0);
        for i in 0..4 {
            let envelope = node.write(&state, vec![draft("pledge", i, "x")]).expect("writes");
            state.admit(envelope.elements().into());
        }
        let then = Timestamp(crate::testing::FOUNDED_MS + 2_000);
        let document = state.document_as_of(&node.author.nation, then).expect("builds");
        assert_eq!(automerge::ReadDoc::length(&document, automerge::ROOT), 2);
        let now = state.document(&node.author.nation).expect("builds");
        assert_eq!(automerge::ReadDoc::length(&now, automerge::ROOT), 4);
    }
}
