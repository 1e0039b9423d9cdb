//! Requests made up, for those who have no traces; the same for the same seed.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::mix;
use super::trace::Trace;

/// The set that runs without a file: requests are a 20th of it in a quick run.
#[must_use]
pub fn set(quick: bool) -> Vec<Trace> {
    let n = if quick { 50_000 } else { 1_000_000 };
    let keys = n / 10;
    let mut set = vec![
        Trace::new("zipf-0.8", zipf(1, keys, 0.8, n), None),
        Trace::new("zipf-1.0", zipf(2, keys, 1.0, n), None),
        Trace::new("zipf-scans", with_scans(zipf(3, keys, 0.9, n), keys), None),
        Trace::new("loops", loops(4, keys, n), None),
        Trace::new("shifting", shifting(5, keys, n), None),
        Trace::new("bursts", bursts(6, keys, n), None),
    ];
    set.extend((10..13).map(|seed| sized(seed, keys, n)));
    set
}

/// Keys drawn with a probability of one over their rank to the power of `skew`.
#[must_use]
pub fn zipf(seed: u64, keys: usize, skew: f64, n: usize) -> Vec<u64> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut sum = 0.0;
    let below = |rank: usize| {
        sum += (rank as f64).powf(-skew);
        sum
    };
    let below: Vec<f64> = (1..=keys).map(below).collect();
    let draw = |_| {
        let at: f64 = dice.random_range(0.0..sum);
        mix(below.partition_point(|&sum| sum <= at) as u64)
    };
    (0..n).map(draw).collect()
}

/// Every tenth of the requests is followed by a run over keys that are seen only once.
fn with_scans(base: Vec<u64>, keys: usize) -> Vec<u64> {
    let mut fresh = 1 << 32..;
    let every = base.len() / 10;
    let mut all = Vec::with_capacity(base.len() * 2);
    for part in base.chunks(every) {
        all.extend_from_slice(part);
        all.extend(fresh.by_ref().take(keys / 4));
    }
    all
}

/// Popular keys, with loops over a fixed set of others in between.
fn loops(seed: u64, keys: usize, n: usize) -> Vec<u64> {
    let mut around = (0..keys as u64 / 8).cycle().map(|key| key | 1 << 33);
    let mut dice = SmallRng::seed_from_u64(seed);
    let popular = zipf(seed, keys, 0.9, n);
    let draw = |key| match dice.random_bool(0.5) {
        true => around.next().unwrap_or(key),
        false => key,
    };
    popular.into_iter().map(draw).collect()
}

/// Ten times, other keys become popular.
fn shifting(seed: u64, keys: usize, n: usize) -> Vec<u64> {
    let part = |nth: u64| {
        let keys = zipf(seed + nth, keys, 1.0, n / 10);
        keys.into_iter()
            .map(move |key| key.wrapping_add(nth / 2 * 7))
    };
    (0..10).flat_map(part).collect()
}

/// Each new key is asked for a few times in short order; some come back much later.
fn bursts(seed: u64, keys: usize, n: usize) -> Vec<u64> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut all = Vec::with_capacity(n + keys);
    while all.len() < n {
        let mut window: Vec<u64> = (0..64)
            .map(|_| match dice.random_bool(0.3) {
                true => dice.random_range(0..keys as u64 / 4),
                false => dice.random(),
            })
            .flat_map(|key| [key; 2])
            .collect();
        window.shuffle(&mut dice);
        all.extend(window);
    }
    all
}

/// Zipf with sizes from 64 B to 1 MiB, log-uniform by key.
#[must_use]
pub fn sized(seed: u64, keys: usize, n: usize) -> Trace {
    let skew = 0.8 + (seed % 3) as f64 * 0.1;
    let requests = zipf(seed, keys, skew, n);
    let size = |key: &u64| {
        let part = (mix(key ^ seed) >> 11) as f64 / (1_u64 << 53) as f64;
        (64.0 * (part * 14.0).exp2()) as u32
    };
    let sizes = requests.iter().map(size).collect();
    Trace::new(&format!("sized-{skew:.1}"), requests, Some(sizes))
}
