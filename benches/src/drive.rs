//! Loops over ids; each answers with ns a step. A lookup is a function from an id to a number,
//! 0 if there is nothing.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use crate::cores::stay_on;
use crate::sets::Window;

/// How many lookups are interleaved.
pub const BATCH: usize = 16;

/// ns a step of what `run` did in `steps` steps.
pub fn timed(steps: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / steps as f64
}

/// Looks all of them up.
#[inline(always)]
pub fn touch(ids: &[u64], get: impl Fn(u64) -> u64) {
    let sum = ids
        .iter()
        .fold(0, |sum: u64, &id| sum.wrapping_add(get(id)));
    black_box(sum);
}

/// Lookups that need not wait for each other.
pub fn independent(ids: Window<'_, u64>, get: impl Fn(u64) -> u64) -> f64 {
    warm_then_timed(ids, |ids| {
        let sum = ids
            .iter()
            .fold(0, |sum: u64, &id| sum.wrapping_add(get(id)));
        black_box(sum);
    })
}

/// Time of the second part. `run` is called in one place, so that the compiler may inline all of
/// a lookup into its loop, whosever it is.
#[inline(always)]
fn warm_then_timed<T>(ids: Window<'_, T>, run: impl Fn(&[T])) -> f64 {
    let mut last = 0.0;
    for part in [ids.warm, ids.timed] {
        last = timed(part.len(), || run(part));
    }
    last
}

/// Lookups each of which needs the answer of the one before to know its id.
pub fn dependent(ids: Window<'_, u64>, get: impl Fn(u64) -> u64) -> f64 {
    // The compiler cannot know that nothing of the answer is left.
    let none = black_box(0);
    warm_then_timed(ids, |ids| {
        let last = ids.iter().fold(0, |last, &id| get(id + (last & none)));
        black_box(last);
    })
}

/// Lookups in batches of [`BATCH`], which `get_many` answers with any digest.
pub fn batched<T>(ids: Window<'_, T>, get_many: impl Fn(&[T; BATCH]) -> u64) -> f64 {
    let run = |ids: &[T]| {
        let batches = ids.chunks_exact(BATCH);
        let batches = batches.map(|batch| batch.try_into().expect("a whole batch"));
        let sum = batches.fold(0, |sum: u64, batch| sum.wrapping_add(get_many(batch)));
        black_box(sum);
    };
    run(ids.warm);
    timed(ids.timed.len() / BATCH * BATCH, || run(ids.timed))
}

/// Runs `prepare`, then `work` with what it made, on `threads` threads at once, each on a core of its
/// own, and returns the mean of what they answer. Each measures itself, after all are prepared.
pub fn together<T>(
    threads: usize,
    prepare: impl Fn(usize) -> T + Sync,
    work: impl Fn(T) -> f64 + Sync,
) -> f64 {
    let gate = Barrier::new(threads);
    let run = |number| {
        stay_on(number);
        let prepared = prepare(number);
        gate.wait();
        work(prepared)
    };
    let sum: f64 = std::thread::scope(|scope| {
        let spawn = |number| {
            let run = &run;
            scope.spawn(move || run(number))
        };
        let handles: Vec<_> = (0..threads).map(spawn).collect();
        let answers = handles
            .into_iter()
            .map(|handle| handle.join().expect("a bench thread"));
        answers.sum()
    });
    sum / threads as f64
}
