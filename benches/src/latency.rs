//! How long single lookups take, as a distribution.

use std::hint::black_box;

use hdrhistogram::Histogram;

use crate::drive::touch;
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
    let mut seen = Histogram::<u64>::new_with_max(1 << 40, 3).expect("three digits");
    let none = black_box(0);
    let mut last = 0;
    for batch in ids.timed.chunks_exact(batch) {
        let start = ticks::now();
        for &id in batch {
            last = get(id + (last & none));
        }
        black_box(last);
        seen.saturating_record(ticks::now() - start);
    }
    let empty = empty_ticks();
    let ns = |p: f64| {
        let ticks = seen.value_at_quantile(p) as f64 - empty;
        ticks.max(1.0) / ticks::per_ns()
    };
    Tail {
        p50: ns(0.5),
        p99: ns(0.99),
        p999: ns(0.999),
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
