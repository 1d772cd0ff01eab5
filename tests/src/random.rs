//! Seeded randomness for the tests, and the loop over seeds.

/// A splitmix64 generator, or a fuzzer's bytes in its place.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    tape: Option<Vec<u8>>,
}

impl Random {
    /// Starts at `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, tape: None }
    }

    /// Draws from `bytes`, two for each number, and zeros behind their end: a fuzzer can then turn one choice at a time.
    pub fn tape(bytes: &[u8]) -> Self {
        Self { state: 0, tape: Some(bytes.iter().rev().copied().collect()) }
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "a generator never ends")]
    pub fn next(&mut self) -> u64 {
        if let Some(tape) = &mut self.tape {
            let (high, low) = (tape.pop().unwrap_or_default(), tape.pop().unwrap_or_default());
            return u64::from_be_bytes([low, 0, 0, 0, 0, 0, high, low]);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).expect("fits")).expect("fits")
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `items`, which are not none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Runs `case` with `everyday` seeds (times `COMITY_CASES`), or with the one seed of `COMITY_SEED`.
pub fn seeds(everyday: u64, mut case: impl FnMut(u64)) {
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
