//! Seeded randomness for the tests.

/// A splitmix64 generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).expect("fits")).expect("fits")
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Runs `case` with `everyday` seeds (times `COMITY_CASES`), or with the one seed of `COMITY_SEED`.
pub(crate) fn seeds(everyday: u64, mut case: impl FnMut(u64)) {
    #[expect(clippy::disallowed_methods, reason = "a test, unlike the core, takes its seed from the environment")]
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, count) = match number("COMITY_SEED") {
        Some(seed) => (seed, number("COMITY_CASES").unwrap_or(1)),
        None => (1, everyday * number("COMITY_CASES").unwrap_or(1)),
    };
    for seed in first..first + count {
        println!("COMITY_SEED={seed}");
        case(seed);
    }
}
