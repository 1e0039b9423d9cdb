//! Ranges of ids and the ids to ask for.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Ids in a range of the dense set, as a power of two.
pub const DENSE_BITS: u32 = 10;

/// Disjoint ranges in ascending order. The value of range `i` is `i + 1`.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// Which set it is.
    pub name: &'static str,
    /// First id and length of each.
    pub spans: Vec<(u64, u64)>,
}

/// A generator from a seed.
#[must_use]
pub fn dice(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// Ranges of 1,024 ids, aligned and without gaps: as the allocators make them.
#[must_use]
pub fn dense(n: usize) -> Ranges {
    let span = |i: usize| ((i as u64 + 1) << DENSE_BITS, 1 << DENSE_BITS);
    Ranges {
        name: "dense",
        spans: (0..n).map(span).collect(),
    }
}

/// Ranges of 1 to 2^40 ids with gaps of 0 to 2^40 ids, both log-uniform.
#[must_use]
pub fn gaps(n: usize) -> Ranges {
    let mut dice = dice(40);
    let mut next = 1;
    let mut spans = Vec::with_capacity(n);
    for _ in 0..n {
        let first = next + log_uniform(&mut dice, 40) - 1;
        let len = log_uniform(&mut dice, 40);
        spans.push((first, len));
        next = first + len;
    }
    Ranges {
        name: "gaps",
        spans,
    }
}

/// 1 to `2^bits`, its logarithm uniform.
pub fn log_uniform(dice: &mut SmallRng, bits: u32) -> u64 {
    dice.random_range(0.0..f64::from(bits)).exp2() as u64
}

impl Ranges {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// `count` ids, each of a range chosen uniformly.
    #[must_use]
    pub fn queries(&self, count: usize) -> Vec<u64> {
        let mut dice = dice(7);
        let one = |_| {
            let (first, len) = self.spans[dice.random_range(0..self.spans.len())];
            first + dice.random_range(0..len)
        };
        (0..count).map(one).collect()
    }

    /// Every `nth` range out of it, in random order, and what is left: for random inserts.
    #[must_use]
    pub fn hold_out(&self, nth: usize) -> (Self, Vec<(u64, u64)>) {
        let (mut kept, mut out) = (Vec::new(), Vec::new());
        for (i, &span) in self.spans.iter().enumerate() {
            if i % nth == nth / 2 {
                out.push(span)
            } else {
                kept.push(span)
            }
        }
        out.shuffle(&mut dice(11));
        (
            Self {
                name: self.name,
                spans: kept,
            },
            out,
        )
    }

    /// The spans with their values.
    pub fn entries(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let numbered = self.spans.iter().zip(1..);
        numbered.map(|(&(first, len), value)| (first, len, value))
    }
}

/// What one side of one round asks for: first untimed, so that the caches hold what they would
/// hold if nobody else took turns, then timed.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a, T> {
    /// Asked for before.
    pub warm: &'a [T],
    /// Asked for while the clock runs.
    pub timed: &'a [T],
}

/// A window of `steps` items that moves on from round to round.
#[must_use]
pub fn window<T>(all: &[T], round: usize, steps: usize) -> Window<'_, T> {
    let steps = steps.min(all.len());
    let windows = all.len() / steps;
    let nth = |n: usize| &all[n % windows * steps..][..steps];
    Window {
        warm: nth(round),
        timed: nth(round + 1),
    }
}
