//! Choices from a seed.

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Numbers from a seed.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `bound`, or 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// By how much the scopes are to be larger than every day.
pub(crate) fn cases() -> u64 {
    number("COMITY_CASES").unwrap_or(1)
}

/// Returns the seeds of a random test: `everyday` of them from 1 on, times `COMITY_CASES`; `COMITY_SEED` is the first.
pub(crate) fn seeds(everyday: u64) -> std::ops::Range<u64> {
    let (first, count) = match number("COMITY_SEED") {
        Some(seed) => (seed, cases()),
        None => (1, everyday * cases()),
    };
    println!("COMITY_SEED={first}, and {} after it", count - 1);
    first..first + count
}
