//! Keys as caches are asked for them: Zipf-distributed, drawn ahead, the same for every side.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::sets::dice;

/// How skewed the keys are: that of YCSB.
pub const SKEW: f64 = 0.99;

/// Bits of a draw that are the key; the rest is random and says what is done with it.
const KEY_BITS: u32 = 20;
/// How many ways there are to decide what is done with a key.
const LOTS: u32 = 1 << (32 - KEY_BITS);

/// How many draws there are between two looks at the clock.
pub const CHUNK: usize = 256;

/// A key that was drawn, and a lot that decides what is done with it.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u32);

/// A share of the draws, for [`Draw::falls_in`].
#[derive(Clone, Copy, Debug)]
pub struct Share(u32);

impl Share {
    /// So many of a hundred.
    #[must_use]
    pub fn percent(percent: u32) -> Self {
        Self((LOTS * percent).div_ceil(100))
    }
}

impl Draw {
    /// The key.
    #[inline(always)]
    #[must_use]
    pub fn key(self) -> u64 {
        u64::from(self.0 & ((1 << KEY_BITS) - 1))
    }

    /// Whether it belongs to this share of all draws.
    #[inline(always)]
    #[must_use]
    pub fn falls_in(self, share: Share) -> bool {
        (self.0 >> KEY_BITS) < share.0
    }
}

/// Draws of the keys `0..keys`, the most frequent ones spread among them.
#[derive(Clone, Debug)]
pub struct Draws {
    keys: usize,
    all: Vec<Draw>,
}

impl Draws {
    /// `count` draws of `keys` keys, by Zipf's law.
    ///
    /// # Panics
    /// For more than 2^20 keys, or fewer draws than a [`CHUNK`].
    #[must_use]
    pub fn zipf(keys: usize, count: usize) -> Self {
        assert!(keys <= 1 << KEY_BITS && count >= CHUNK);
        let mut dice = dice(99);
        let mut names: Vec<u32> = (0..keys as u32).collect();
        names.shuffle(&mut dice);
        let mut below = 0.0;
        let weight = |rank: usize| (rank as f64 + 1.0).powf(-SKEW);
        let sums: Vec<f64> = (0..keys)
            .map(|rank| {
                below += weight(rank);
                below
            })
            .collect();
        let mut draw = |_| {
            let point = dice.random_range(0.0..below);
            let rank = sums.partition_point(|sum| *sum <= point).min(keys - 1);
            Draw(names[rank] | dice.random_range(0..LOTS) << KEY_BITS)
        };
        let all = (0..count / CHUNK * CHUNK).map(&mut draw).collect();
        Self { keys, all }
    }

    /// How many keys there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Every key once, in an order that has nothing to do with how often it is asked for.
    #[must_use]
    pub fn shuffled(&self) -> Vec<u64> {
        let mut keys: Vec<u64> = (0..self.keys as u64).collect();
        keys.shuffle(&mut dice(17));
        keys
    }

    /// All draws.
    #[must_use]
    pub fn all(&self) -> &[Draw] {
        &self.all
    }

    /// The chunks, endlessly, from a place of its own for each number. The places of numbers that
    /// follow each other are far apart (the golden ratio sees to it), so that nobody is asked
    /// again for what he was asked for just before.
    pub fn chunks(&self, number: usize) -> impl Iterator<Item = &[Draw]> {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let chunks = self.all.len() / CHUNK;
        let first = ((number as f64 * GOLDEN).fract() * chunks as f64) as usize;
        let numbers = (first..chunks).chain(0..first).cycle();
        numbers.map(|number| &self.all[number * CHUNK..][..CHUNK])
    }
}

#[cfg(test)]
mod tests {
    use super::{Draws, Share};

    #[test]
    fn the_first_of_a_thousand_gets_its_share() {
        let draws = Draws::zipf(1000, 1 << 18);
        let mut seen = vec![0_usize; 1000];
        for draw in draws.all() {
            seen[draw.key() as usize] += 1;
        }
        let total: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-0.99)).sum();
        let most = *seen.iter().max().expect("keys") as f64 / draws.all().len() as f64;
        assert!((most * total - 1.0).abs() < 0.05, "{most}");
    }

    #[test]
    fn shares_are_what_they_say() {
        let draws = Draws::zipf(1000, 1 << 18);
        for percent in [1, 10, 50, 100] {
            let share = Share::percent(percent);
            let some = draws.all().iter().filter(|draw| draw.falls_in(share));
            let part = some.count() as f64 / draws.all().len() as f64 * 100.0;
            assert!((part / f64::from(percent) - 1.0).abs() < 0.1, "{part}");
        }
    }
}
