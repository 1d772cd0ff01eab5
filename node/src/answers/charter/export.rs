//! What travels to where the root keys are.

use std::collections::BTreeSet;

use comity_protocol::chain::{Chain, Held};
use comity_protocol::control::{CharterChange, ControlRecord};
use comity_protocol::evaluate::State;
use comity_protocol::ids::{AuthorId, Tip, hex};

use super::state::last_heard;
use crate::answers::code;
use crate::api::model::{CharterExport, HeldWhole, LastHeard, rfc3339};

use crate::driver::Reading;

/// Returns every control record kept, in the order of a ControlReply, and what is held whole.
pub fn export(reading: &Reading<'_>) -> CharterExport {
    let state = reading.state();
    let anchor = state.anchor();
    let records = state.control_records();
    CharterExport {
        alliance: anchor.alliance.hex(),
        anchor_height: anchor.height,
        anchor: anchor.charter.hex(),
        nation: reading.facts.nation.hex(),
        code: code(state, &reading.facts.nation),
        node: reading.facts.key.hex(),
        at: rfc3339(reading.now),
        records: records.iter().map(|control| record_hex(control.record())).collect(),
        held: held_whole(state),
        heard: last_heard(state)
            .into_iter()
            .map(|(nation, time)| LastHeard { nation: nation.hex(), time: rfc3339(time) })
            .collect(),
    }
}

/// Returns a control record as the API takes and gives it: the number of its kind, then its signed form, in hexadecimal.
pub fn record_hex(record: &ControlRecord) -> String {
    hex(&[&[record.kind()], record.encode().as_slice()].concat())
}

/// Returns, by author, the positions up to which headers and bodies are held without a gap: of the accepted chain, of the
/// branches of a forked one, and of the cuts that kept motions name.
pub fn held_whole(state: &State) -> Vec<HeldWhole> {
    let named = cuts_named(state);
    let mut rows = BTreeSet::new();
    for chain in state.chains() {
        let author = chain.author();
        let row = |what: &str, tip: Tip| HeldWhole {
            nation: author.nation.hex(),
            node: author.key.hex(),
            what: what.to_owned(),
            seq: tip.seq,
            envelope: tip.id.hex(),
            fork: chain.fork(),
            seen_by: Vec::new(),
        };
        let last = chain
            .get(&state.final_tip(&author).id)
            .filter(|held| chain.fork().is_some() && is_whole(chain, &held.tip()));
        rows.extend(last.map(|held| HeldWhole {
            seen_by: state.seen_by(&author, held).iter().map(|nation| nation.hex()).collect(),
            ..row("final", held.tip())
        }));
        rows.extend(chain.accepted(chain.bodies_to()).map(|held| row("accepted", held.tip())));
        let branches = chain.heads().iter().filter(|head| chain.fork().is_some() && head.bodies_to == head.tip.seq);
        rows.extend(branches.map(|head| row("branch", head.tip)));
        let cuts = named.iter().filter(|(of, tip)| *of == author && is_whole(chain, tip));
        rows.extend(cuts.map(|(_, tip)| row("named", *tip)));
    }
    rows.into_iter().collect()
}

/// Whether a chain is held up to `tip` without a gap, every body included.
fn is_whole(chain: &Chain, tip: &Tip) -> bool {
    let linked = chain.get(&tip.id).is_some_and(|held| held.linked() && held.seq() == tip.seq);
    linked && chain.path(&tip.id, 1, tip.seq).into_iter().all(|held: &Held| held.body().is_some())
}

fn cuts_named(state: &State) -> BTreeSet<(AuthorId, Tip)> {
    let mut named = BTreeSet::new();
    for control in state.control_records() {
        let ControlRecord::Motion(motion) = control.record() else { continue };
        for change in &motion.changes {
            if let CharterChange::Remove { nation, cuts, .. } = change {
                named.extend(cuts.iter().map(|(key, tip)| (AuthorId { nation: *nation, key: *key }, *tip)));
            }
        }
    }
    named
}
