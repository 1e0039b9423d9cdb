//! Runs the models: on a checker that was checked, to the end, and counted.
//!
//! A model checker that skips interleavings, a bound that ends a search early and a model that
//! never branches all look like success. [`explore`] refuses each of them.
#![cfg(loom)]

#[cfg(not(crossbeam_loom))]
compile_error!(
    "set `--cfg crossbeam_loom` beside `--cfg loom`: crossbeam-epoch is invisible without it"
);

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use loom::model::Builder;
use loom::sync::atomic::AtomicU64;

/// Seconds that one model may take where `MAPLESS_MODEL_SECONDS` does not say.
const SECONDS: u64 = 300;

/// Steps of one execution after which loom calls it a livelock.
const MAX_BRANCHES: usize = 20_000;

/// Runs the model `f` through every execution, and prints how many there were.
///
/// `bound` is the number of preemptions in one execution; `None` searches without a bound, and
/// a model that has one says why in its header. Loom's environment variables that cut a search
/// short are ignored.
///
/// # Panics
/// * where the model fails;
/// * after fewer than `at_least` executions: the model then proves nothing;
/// * when the search is not over after `MAPLESS_MODEL_SECONDS` (300);
/// * on a loom that skips interleavings, unless `MAPLESS_STOCK_LOOM=1`. Then the number of
///   executions is not asserted either.
#[track_caller]
pub fn explore(
    name: &str,
    bound: Option<usize>,
    at_least: usize,
    f: impl Fn() + Sync + Send + 'static,
) {
    let stock = env::var("MAPLESS_STOCK_LOOM").is_ok_and(|value| value == "1");
    assert!(
        stock || is_repaired(),
        "run on the repaired loom: see README"
    );
    let limit = Duration::from_secs(seconds());
    let executions = Arc::new(AtomicUsize::new(0));
    let (counted, label, start) = (Arc::clone(&executions), name.to_owned(), Instant::now());
    exhaustive(bound).check(move || {
        let before = counted.fetch_add(1, Relaxed);
        if start.elapsed() > limit {
            println!("MODEL {label} executions={before} TRUNCATED after {limit:?}");
            panic!("model {label}: not done after {limit:?} and {before} executions");
        }
        f();
    });
    let executions = executions.load(Relaxed);
    println!("MODEL {name} executions={executions} COMPLETE");
    // A mutant (ci/orderings) must die of what goes wrong, not of a search of another size.
    let any_number = stock || env::var("MAPLESS_MUTANT").is_ok();
    assert!(
        any_number || executions >= at_least,
        "model {name}: {executions} executions, at least {at_least} expected"
    );
}

fn seconds() -> u64 {
    env::var("MAPLESS_MODEL_SECONDS").map_or(SECONDS, |value| {
        value.parse().expect("MAPLESS_MODEL_SECONDS: whole seconds")
    })
}

/// A search that nothing ends early but `bound`.
fn exhaustive(bound: Option<usize>) -> Builder {
    let mut builder = Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = MAX_BRANCHES;
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.checkpoint_file = None;
    builder
}

/// Whether this loom finds what the stock one (0.7.2) loses.
///
/// Main loads; the other thread loads, then stores. The second load hides main's from the
/// store, so a stock loom never tries the store before main's load.
pub fn is_repaired() -> bool {
    static REPAIRED: OnceLock<bool> = OnceLock::new();
    *REPAIRED.get_or_init(|| {
        let seen = Arc::new(AtomicUsize::new(0));
        let record = Arc::clone(&seen);
        exhaustive(None).check(move || {
            let cell = loom::sync::Arc::new(AtomicU64::new(0));
            let other = loom::sync::Arc::clone(&cell);
            let thread = loom::thread::spawn(move || {
                let read = other.load(Relaxed);
                other.store(1, Relaxed);
                read
            });
            record.fetch_or(1 << cell.load(Relaxed), Relaxed);
            thread.join().expect("the other thread of the probe");
        });
        seen.load(Relaxed) == 0b11
    })
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// What `explore` says when it refuses.
    fn refusal(bound: Option<usize>, at_least: usize, f: fn()) -> String {
        let refused = catch_unwind(|| explore("a model", bound, at_least, f));
        let message = refused.expect_err("must be refused");
        let text = message.downcast_ref::<String>().cloned();
        text.unwrap_or_else(|| (*message.downcast_ref::<&str>().expect("a text")).to_owned())
    }

    fn store_against_load() {
        let cell = loom::sync::Arc::new(AtomicU64::new(0));
        let other = loom::sync::Arc::clone(&cell);
        let thread = loom::thread::spawn(move || other.store(1, Relaxed));
        cell.load(Relaxed);
        thread.join().expect("the other thread");
    }

    #[test]
    fn a_whole_search_passes_on_the_repaired_loom_only() {
        if is_repaired() {
            explore("store against load", None, 2, store_against_load);
        } else {
            assert!(refusal(None, 2, store_against_load).contains("repaired loom"));
        }
    }

    #[test]
    fn one_execution_proves_nothing() {
        if is_repaired() {
            assert!(refusal(None, 2, || ()).contains("at least 2 expected"));
        }
    }

    #[test]
    fn a_bound_loses_executions() {
        if is_repaired() {
            // Without a single preemption the store comes first or last: the search is smaller.
            assert!(refusal(Some(0), 50, store_against_load).contains("expected"));
        }
    }
}
