//! How long single lookups take, as a distribution.

use std::hint::black_box;

use hdrhistogram::Histogram;

use crate::drive::touch;
use crate::rounds::Series;
use crate::sets::Window;
use crate::ticks;

/// Lookups in a timed batch. The counter's step can be longer than a lookup; a batch is not.
pub const TIMED: usize = 8;

/// ns of lookups at some percentiles.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tail {
    /// The median.
    pub p50: f64,
    /// One of a hundred is slower.
    pub p99: f64,
    /// One of a thousand is slower.
    pub p999: f64,
}

/// Times lookups one by one (`batch` 1) or in batches of dependent ones, and takes off what an
/// empty measurement takes. The figures are of the whole batch.
pub fn of(ids: Window<'_, u64>, batch: usize, get: impl Fn(u64) -> u64) -> Tail {
    touch(ids.warm, &get);
    let mut seen = Seen::default();
    let none = black_box(0);
    let mut last = 0;
    for batch in ids.timed.chunks_exact(batch) {
        let start = ticks::now();
        for &id in batch {
            last = get(id + (last & none));
        }
        black_box(last);
        seen.add(ticks::now() - start);
    }
    seen.tail()
}

/// What single measurements took, in ticks.
#[derive(Clone, Debug)]
pub struct Seen(Histogram<u64>);

impl Default for Seen {
    fn default() -> Self {
        Self(Histogram::new_with_max(1 << 40, 3).expect("three digits"))
    }
}

impl Seen {
    /// One more.
    #[inline]
    pub fn add(&mut self, ticks: u64) {
        self.0.saturating_record(ticks);
    }

    /// Those of another thread as well.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the same range");
    }

    /// ns at some percentiles, less what an empty measurement takes.
    #[must_use]
    pub fn tail(&self) -> Tail {
        let empty = empty_ticks();
        let ns = |p: f64| {
            let ticks = self.0.value_at_quantile(p) as f64 - empty;
            ticks.max(1.0) / ticks::per_ns()
        };
        Tail {
            p50: ns(0.5),
            p99: ns(0.99),
            p999: ns(0.999),
        }
    }
}

/// Tails, round by round.
#[derive(Clone, Debug, Default)]
pub struct Tails(Vec<Tail>);

impl Tails {
    /// The round with the number 0 does not count.
    pub fn push(&mut self, round: usize, tail: Tail) {
        if round > 0 {
            self.0.push(tail);
        }
    }

    /// The medians, the 99th and the 99.9th percentiles.
    #[must_use]
    pub fn series(&self, name: &str) -> [Series; 3] {
        let of = |pick: fn(&Tail) -> f64| Series::new(name, self.0.iter().map(pick).collect());
        [
            of(|tail| tail.p50),
            of(|tail| tail.p99),
            of(|tail| tail.p999),
        ]
    }
}

/// What measuring nothing takes: the mean of the lower half, since the counter goes in steps.
fn empty_ticks() -> f64 {
    let mut seen: Vec<u64> = (0..4096)
        .map(|_| {
            let start = ticks::now();
            ticks::now() - start
        })
        .collect();
    seen.sort_unstable();
    let half = &seen[..seen.len() / 2];
    half.iter().sum::<u64>() as f64 / half.len() as f64
}
