//! Model: lookups in a `RangeIndex` beside its writers, and writers beside writers.
//!
//! Threads   main + 1; main + 2 in the last
//! Bound     none where `explore` says so; else the preemptions named there, since without a
//!           bound the search does not end in a minute
//! Shrunk    nodes of 2 slots, buckets of 2 ranges, a limbo that seals after 1 thing: few inserts
//!           make buckets, nodes and roots, and few removes take them apart
//! Shows     M1 a range that is present throughout is found throughout        (F3)
//!           M2 who finds a value sees what was written before its insert      (the value's edge)
//!           M3 no node or bucket is freed under a reader (canaries)           (H2, RIPE)
//!           M4 writers leave the index as one after the other would
//! Blind to  load buffering; SeqCst accesses
//! Explores  the least number of executions that each model asserts
#![cfg(loom)]
#![allow(unsafe_code)] // the payload is looked at through loom's cell, which reports every race

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use mapless::{IdRange, ObjectId, RangeIndex};
use mapless_loom_tests::explore;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).expect("an id")
}

fn range(first: u64, len: u64) -> IdRange {
    IdRange::new(id(first), len).expect("a range")
}

fn with(ranges: &[(u64, u64)]) -> Arc<RangeIndex<u64>> {
    let index = RangeIndex::new();
    for &(first, len) in ranges {
        index.insert(range(first, len), first).expect("disjoint");
    }
    Arc::new(index)
}

/// A reader beside a writer: `looked` is present throughout, `changing` comes or goes.
fn reader_beside(
    name: &'static str,
    bound: Option<usize>,
    at_least: usize,
    ranges: &'static [(u64, u64)],
    looked: u64,
    write: fn(&RangeIndex<u64>),
    changing: u64,
) {
    explore(name, bound, at_least, move || {
        let index = with(ranges);
        let other = Arc::clone(&index);
        let reader = thread::spawn(move || {
            let guard = other.pin();
            assert_eq!(other.get_in(id(looked), &guard), Some(looked), "M1");
            let changed = other.get_in(id(changing), &guard);
            assert!(changed.is_none_or(|value| value == changing), "M1");
        });
        write(&index);
        reader.join().expect("no panic");
        index.collect();
        index.audit();
    });
}

#[test]
fn insert_against_lookup() {
    explore("publish", None, 10, || {
        let index = with(&[]);
        let payload = Arc::new(UnsafeCell::new(0));
        let (other, seen) = (Arc::clone(&index), Arc::clone(&payload));
        let reader = thread::spawn(move || {
            if other.get(id(9)).is_some() {
                // SAFETY: S1 that the writer is done is what the model asserts (M2).
                assert_eq!(seen.with(|at| unsafe { *at }), 7);
            }
        });
        // SAFETY: S1 nobody looks before the insert (M2).
        payload.with_mut(|at| unsafe { *at = 7 });
        index.insert(range(8, 4), 1).expect("the first");
        reader.join().expect("no panic");
    });
}

#[test]
fn replace_against_lookup() {
    explore("replace", None, 10, || {
        let index = with(&[(8, 4)]);
        let payload = Arc::new(UnsafeCell::new(0));
        let (other, seen) = (Arc::clone(&index), Arc::clone(&payload));
        let reader = thread::spawn(move || {
            let value = other.get(id(9)).expect("M1");
            if value == 77 {
                // SAFETY: S1 that the writer is done is what the model asserts (M2).
                assert_eq!(seen.with(|at| unsafe { *at }), 7);
            }
        });
        // SAFETY: S1 nobody looks before the value is replaced (M2).
        payload.with_mut(|at| unsafe { *at = 7 });
        index.replace(id(8), 77).expect("present");
        reader.join().expect("no panic");
    });
}

#[test]
fn growth_against_lookup() {
    let insert = |index: &RangeIndex<u64>| index.insert(range(40, 2), 40).expect("disjoint");
    reader_beside("second range", Some(4), 20, &[(8, 4)], 9 - 1, insert, 40);
    let insert = |index: &RangeIndex<u64>| index.insert(range(10, 1), 10).expect("disjoint");
    reader_beside(
        "into a bucket",
        Some(3),
        20,
        &[(8, 1), (12, 1)],
        12,
        insert,
        10,
    );
    let insert = |index: &RangeIndex<u64>| index.insert(range(11, 1), 11).expect("disjoint");
    let ranges = &[(8, 1), (9, 1), (10, 1), (12, 1)];
    reader_beside("a node for a bucket", Some(3), 20, ranges, 12, insert, 11);
    let insert = |index: &RangeIndex<u64>| index.insert(range(1 << 40, 1), 1 << 40).expect("far");
    reader_beside(
        "a root above",
        Some(3),
        20,
        &[(8, 1), (9, 1), (10, 1)],
        10,
        insert,
        1 << 40,
    );
}

#[test]
fn remove_against_lookup() {
    let remove = |index: &RangeIndex<u64>| drop(index.remove(id(10)).expect("present"));
    reader_beside(
        "out of a bucket",
        Some(3),
        20,
        &[(8, 1), (10, 1)],
        8,
        remove,
        10,
    );
    let ranges = &[(8, 1), (9, 1), (10, 1), (12, 1)];
    reader_beside("out of a node", Some(3), 20, ranges, 12, remove, 10);
    let remove = |index: &RangeIndex<u64>| {
        for first in [9, 10, 12] {
            index.remove(id(first)).expect("present");
        }
    };
    reader_beside("a node collapses", Some(2), 20, ranges, 8, remove, 12);
}

#[test]
fn a_long_range_against_a_lookup_far_inside() {
    explore("floor", Some(3), 20, || {
        let index = with(&[(8, 1 << 20), (1 << 30, 4)]);
        let other = Arc::clone(&index);
        let reader = thread::spawn(move || {
            assert_eq!(other.get(id(1 << 19)), Some(8), "M1");
        });
        index.insert(range(1 << 25, 1), 1 << 25).expect("disjoint");
        index.remove(id(1 << 25)).expect("present");
        reader.join().expect("no panic");
        index.audit();
    });
}

#[test]
fn insert_against_insert_and_remove() {
    explore("insert/insert", Some(4), 4, || {
        let index = with(&[(8, 1)]);
        let other = Arc::clone(&index);
        let there = thread::spawn(move || other.insert(range(10, 4), 1));
        let here = index.insert(range(12, 4), 2);
        let there = there.join().expect("no panic");
        assert!(here.is_ok() != there.is_ok(), "M4: they overlap");
        index.audit();
        assert_eq!(index.len(), 2, "M4");
    });
    explore("insert/remove", Some(4), 4, || {
        let index = with(&[(8, 1), (9, 1)]);
        let other = Arc::clone(&index);
        let there = thread::spawn(move || other.remove(id(9)).is_ok());
        index.insert(range(10, 1), 10).expect("disjoint");
        assert!(there.join().expect("no panic"), "M4");
        index.audit();
        assert_eq!(index.get(id(10)), Some(10), "M4");
    });
}

#[test]
fn iteration_against_insert_and_remove() {
    explore("iter", Some(2), 20, || {
        let index = with(&[(8, 1), (12, 1)]);
        let other = Arc::clone(&index);
        let reader = thread::spawn(move || {
            let shown: Vec<u64> = other.iter().map(|(range, _)| range.first().get()).collect();
            assert!(
                shown.is_sorted_by(|a, b| a < b),
                "in order, none twice: {shown:?}"
            );
            assert!(shown.contains(&12), "M1");
        });
        index.insert(range(10, 1), 10).expect("disjoint");
        index.remove(id(8)).expect("present");
        reader.join().expect("no panic");
    });
}

#[test]
fn two_writers_and_a_reader() {
    explore("two writers, a reader", Some(2), 50, || {
        let index = with(&[(8, 1)]);
        let (a, b) = (Arc::clone(&index), Arc::clone(&index));
        let inserting = thread::spawn(move || a.insert(range(10, 1), 10).is_ok());
        let reading = thread::spawn(move || b.get(id(8)));
        index.insert(range(12, 1), 12).expect("disjoint");
        assert!(inserting.join().expect("no panic"), "M4");
        assert_eq!(reading.join().expect("no panic"), Some(8), "M1");
        assert_eq!(index.len(), 3, "M4");
    });
}
