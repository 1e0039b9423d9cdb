//! What a failing compare-exchange hides, and the wrapper that shows it.
//!
//! The language lets a failing compare-exchange read an old value, like any load with the
//! failure ordering. loom runs it on the newest value, so a wrong failure ordering, or a loop
//! that trusts what a failure told it, passes every model. The wrapper loads first.

use loom::sync::atomic::Ordering::Release;
use loom::sync::atomic::{AtomicU64, Ordering, Ordering::Acquire, Ordering::Relaxed};
use mapless_litmus::checker::stale_compare_exchange;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

type CompareExchange = fn(&AtomicU64, u64, u64, Ordering, Ordering) -> Result<u64, u64>;

/// What the failure reads after the flag was seen, over all executions.
fn failures(exchange: CompareExchange, store: Ordering, load: Ordering) -> BTreeSet<u64> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let record = seen.clone();
    loom::model::Builder::new().check(move || {
        let cells = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let theirs = cells.clone();
        let writer = loom::thread::spawn(move || {
            theirs[0].store(1, Relaxed);
            theirs[1].store(1, store);
        });
        if cells[1].load(load) == 1 {
            let failure = exchange(&cells[0], 7, 8, Relaxed, Relaxed).unwrap_err();
            record.lock().unwrap().insert(failure);
        }
        writer.join().unwrap();
    });
    let seen = seen.lock().unwrap();
    seen.clone()
}

#[test]
fn the_bare_one_never_fails_on_an_old_value() {
    assert_eq!(
        failures(AtomicU64::compare_exchange, Relaxed, Relaxed),
        BTreeSet::from([1])
    );
}

#[test]
fn the_wrapper_does() {
    assert_eq!(
        failures(stale_compare_exchange, Relaxed, Relaxed),
        BTreeSet::from([0, 1])
    );
}

#[test]
fn the_wrapper_adds_nothing_illegal() {
    assert_eq!(
        failures(stale_compare_exchange, Release, Acquire),
        BTreeSet::from([1])
    );
}

#[test]
fn the_wrapper_still_exchanges() {
    loom::model(|| {
        let cell = AtomicU64::new(7);
        assert_eq!(stale_compare_exchange(&cell, 7, 8, Relaxed, Relaxed), Ok(7));
        assert_eq!(cell.load(Relaxed), 8);
    });
}
