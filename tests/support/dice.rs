//! Reproducible randomness: a failure prints its seed, and `SEEDS=7-7` runs that one again.

/// A small random number generator (xorshift64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Creates a generator for one of several purposes, which always depends only on seed and text.
    pub fn about(seed: u64, text: &str) -> Self {
        // FNV-1a; a seed must not depend on the standard library's version.
        let start = 0xcbf2_9ce4_8422_2325 ^ seed;
        let hash =
            text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let mut dice = Self::new(hash ^ hash >> 32);
        // Similar seeds give similar first numbers, so skip some.
        for _ in 0..4 {
            dice.below(2);
        }
        dice
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Returns true with this probability in percent.
    pub fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }
}

/// Returns the seeds to run: `SEEDS=1000-9000`, or the first `usual`.
pub fn seeds(usual: u64) -> std::ops::RangeInclusive<u64> {
    let Ok(given) = std::env::var("SEEDS") else { return 1..=usual };
    let number = |text: &str| text.parse().expect("SEEDS is a range of numbers, such as 7-7");
    let (first, last) = given.split_once('-').expect("SEEDS is a range of numbers, such as 7-7");
    number(first)..=number(last)
}
