//! Kinds of things that go wrong, each with the steps it is made of.

use std::collections::BTreeSet;

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use super::{Plan, What};

/// A kind of thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hazard {
    /// A partition between two groups.
    Part,
    /// A direction that fails.
    OneWay,
    /// A link that comes and goes.
    Flap,
    /// A killed process.
    Kill,
    /// Power that goes between two inputs.
    PowerCut,
    /// Power that goes in the middle of the disk's work.
    PowerCutAt,
    /// A full disk.
    DiskFull,
    /// A disk that lies about syncing.
    LyingDisk,
    /// A flipped bit.
    BitRot,
    /// A copy of a home.
    Backup,
    /// A copy put back.
    Restore,
    /// A copy started beside its original.
    Clone,
    /// A clock that is set.
    Clock,
    /// A new node.
    Enrol,
    /// A retired node.
    Retire,
}

impl Hazard {
    /// Returns what happens, each with its moment after the first.
    pub(super) fn steps(self, plan: &Plan, rng: &mut ChaCha8Rng) -> Vec<(u64, What)> {
        let nodes = plan.nodes();
        let node = rng.random_range(0..nodes);
        let down_ms = rng.random_range(200..12_000);
        let what = match self {
            Self::Part => {
                let side = (0..nodes).filter(|_| rng.random_bool(0.4)).collect();
                What::Part { side, ms: rng.random_range(1_000..20_000) }
            }
            Self::OneWay => {
                What::OneWay { from: node, to: rng.random_range(0..nodes), ms: rng.random_range(500..15_000) }
            }
            Self::Flap => {
                let (a, b) = *plan.links.iter().collect::<Vec<_>>().choose(rng).expect("links");
                What::Flap { a: *a, b: *b, times: rng.random_range(2..8) }
            }
            Self::Kill => What::Kill { node, down_ms },
            Self::PowerCut => What::PowerCut { node, down_ms },
            Self::PowerCutAt => What::PowerCutAt { node, operations: rng.random_range(0..60), down_ms },
            Self::DiskFull => {
                What::DiskFull { node, room: rng.random_range(0..60_000), ms: rng.random_range(2_000..15_000) }
            }
            Self::LyingDisk => What::LyingDisk(node),
            Self::BitRot => What::BitRot { node, choice: rng.random() },
            Self::Backup => What::Backup(node),
            Self::Restore => return forgotten(node, rng),
            Self::Clone => return cloned(node, rng),
            Self::Clock => What::Clock { node, skew_ms: skew(rng) },
            Self::Enrol => What::Enrol(rng.random_range(0..plan.nations.len())),
            Self::Retire => What::Retire { node, early: rng.random_bool(0.3) },
        };
        vec![(0, what)]
    }
}

/// A backup is put back after more was written; most often the node is alone when it writes again, so that nobody can tell
/// it what it said before.
fn forgotten(node: usize, rng: &mut ChaCha8Rng) -> Vec<(u64, What)> {
    let back = rng.random_range(2_500..8_000);
    let mut steps = vec![(0, What::Backup(node)), (1_000, What::Write(node)), (1_500, What::Write(node))];
    if rng.random_bool(0.7) {
        steps.push((back, What::Part { side: BTreeSet::from([node]), ms: rng.random_range(1_500..9_000) }));
    }
    steps.push((back + 1, What::Restore(node)));
    steps.extend((0..rng.random_range(0..3)).map(|nth| (back + 700 + 150 * nth, What::Write(node))));
    if rng.random_bool(0.5) {
        let after = back + rng.random_range(1_500..12_000);
        steps.extend([(after, What::Confirm(node)), (after + 100, What::Write(node))]);
    }
    steps
}

/// A copy of a home is started, and people write at both before either hears of the other, or not.
fn cloned(node: usize, rng: &mut ChaCha8Rng) -> Vec<(u64, What)> {
    let mut steps = vec![(0, What::Clone(node))];
    for _ in 0..rng.random_range(0..4) {
        let after = rng.random_range(210..4_000);
        steps.push((after, if rng.random_bool(0.5) { What::Write(node) } else { What::WriteAtCopy(node) }));
    }
    steps
}

/// How far a wall clock is off.
pub(super) fn skew(rng: &mut ChaCha8Rng) -> i64 {
    match rng.random_range(0..10) {
        0 => rng.random_range(-31_536_000_000..31_536_000_000), // a year either way
        1..4 => rng.random_range(-600_000..600_000),
        _ => rng.random_range(-2_000..2_000),
    }
}
