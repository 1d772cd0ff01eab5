//! Bytes at the guard: whatever it admits is harmless in Automerge, in any order, saved and loaded (spec Appendix A).

use std::sync::LazyLock;

use comity_protocol::guard::VoidReason;

use crate::guard::corpus::{Ground, odd, twist};
use crate::guard::histories::Made;
use crate::guard::raw::chunk;
use crate::guard::tally::{compare, verdict};
use crate::random::Random;

/// Honest histories that stand behind the guard; made once, since their making takes longer than a thousand judgements.
static GROUNDS: LazyLock<Vec<Ground>> =
    LazyLock::new(|| (1..=4).map(|seed| Ground::random(&mut Random::new(seed))).collect());

/// Reads a first byte as what follows and where it goes: its lowest two bits say whether the rest is a change, the data of a
/// change that lacks its seal, a list of twists, or one of odd predecessors; the next two choose the history; the others
/// the honest change that is twisted, or whose author signs.
pub fn run(bytes: &[u8]) {
    let Some((&form, rest)) = bytes.split_first() else { return };
    let (_, ground, victim) = place(form);
    let change = match form % 4 {
        0 => rest.to_vec(),
        1 => chunk(1, rest),
        2 => match twist(&mut Random::tape(rest), ground, victim) {
            Some(change) => change,
            None => return,
        },
        _ => odd(&mut Random::tape(rest), ground, victim),
    };
    match verdict(ground, &victim.scan.actor.author(), &change) {
        Ok(scan) => compare(ground, &scan, &change),
        Err(reason) => assert_ne!(reason, VoidReason::ParserPanicked, "the prescan stops what would panic"),
    }
}

/// Returns the form of a whole change at the place that `number` names, the history there, and the honest change.
pub fn place(number: u8) -> (u8, &'static Ground, &'static Made) {
    let ground = &GROUNDS[usize::from(number >> 2) % GROUNDS.len()];
    (number & !3, ground, &ground.next[usize::from(number >> 4) % ground.next.len()])
}

/// Returns the honest changes that could come next on each history, in the form [`run`] reads: where a corpus starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, ground) in (0_u8..).zip(GROUNDS.iter()) {
        for (node, made) in (0_u8..).zip(&ground.next) {
            let form = number << 2 | node << 4;
            seeds.push([&[form], &*made.bytes].concat());
            seeds.push([&[form | 1], crate::guard::raw::data(&made.bytes)].concat());
        }
    }
    seeds
}
