//! Models: iteration and neighbours beside a writer.
//!
//! | model            | beside                                   | shows                            |
//! |------------------|------------------------------------------|----------------------------------|
//! | `iter_insert`    | an insert that bursts a bucket           | M1 in order, none twice, all that stay (O1, N2) |
//! | `iter_remove`    | a remove that collapses a node           | M2 the same                      |
//! | `floor_remove`   | the floor goes, the one before stays     | M3 either of them (N1, N2)       |
//! | `ceiling_remove` | the ceiling goes, the one behind stays   | M4 either of them (N1, N2)       |
//! | `floor_insert`   | a nearer range comes, with a node        | M5 either of them (N1, N2)       |
//! | `snapshot`       | two inserts, in order                    | M6 never the second alone        |
//!
//! Threads   main + 1
//! Bound     none, where nothing is retired; else 4 preemptions, as many as end in a minute
//! Shrunk    nodes of 2 or 4 slots, buckets of 2; batches of one retirement
//! Blind to  load buffering; SeqCst loads and stores
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]
#![allow(unsafe_code)] // a payload is shared on purpose: loom is to find who touches it too early

use loom::sync::Arc;
use loom::thread;
use mapless_loom_tests::explore;

#[path = "support/index.rs"]
mod support;

use support::{Look, Row, Subject};

/// One thread changes, this one looks.
fn against(
    rows: &[Row],
    change: impl FnOnce(&Subject) + 'static + Send,
    look: impl FnOnce(&Look<'_>),
) {
    let subject = Subject::new(rows);
    let writer = Arc::clone(&subject);
    let writer = thread::spawn(move || change(&writer));
    look(&subject.look());
    writer.join().unwrap();
    subject.index.audit();
}

/// The ranges that a walk upwards shows; `Iter` does the same.
fn firsts(look: &Look<'_>) -> Vec<u64> {
    let next = |&first: &u64| look.ceiling(first + 1);
    let firsts: Vec<u64> = core::iter::successors(look.ceiling(1), next).collect();
    assert!(firsts.is_sorted_by(|a, b| a < b), "{firsts:?}");
    firsts
}

#[test]
fn iter_insert() {
    explore("iter beside an insert", Some(4), 2, || {
        against(
            &[(16, 1, 0), (24, 1, 1)],
            |s| s.insert(20, 1, 7),
            |s| {
                let seen = firsts(s);
                assert!(seen == [16, 24] || seen == [16, 20, 24], "{seen:?}");
            },
        );
    });
}

#[test]
fn iter_remove() {
    explore("iter beside a remove", Some(4), 2, || {
        let subject = Subject::new(&[(16, 1, 0), (20, 1, 1), (24, 1, 2)]);
        subject.remove(24);
        let writer = Arc::clone(&subject);
        let writer = thread::spawn(move || writer.remove(16));
        let seen = firsts(&subject.look());
        assert!(seen == [16, 20] || seen == [20], "{seen:?}");
        writer.join().unwrap();
        assert_eq!(subject.index.height(), 0);
    });
}

#[test]
fn floor_remove() {
    explore("floor beside a remove", None, 2, || {
        against(
            &[(16, 1, 0), (20, 1, 1), (24, 1, 2), (28, 1, 3)],
            |s| {
                s.remove(20);
            },
            |s| {
                assert!(matches!(s.floor(23), Some(16 | 20)));
            },
        );
    });
}

#[test]
fn ceiling_remove() {
    explore("ceiling beside a remove", None, 2, || {
        against(
            &[(16, 1, 0), (20, 1, 1), (24, 1, 2), (28, 1, 3)],
            |s| {
                s.remove(24);
            },
            |s| {
                assert!(matches!(s.ceiling(21), Some(24 | 28)));
            },
        );
    });
}

#[test]
fn floor_insert() {
    explore("floor beside an insert", Some(4), 2, || {
        against(
            &[(16, 1, 0), (20, 1, 1), (24, 1, 2), (25, 1, 3)],
            |s| s.insert(26, 1, 7),
            |s| {
                assert!(matches!(s.floor(27), Some(25 | 26)));
            },
        );
    });
}

#[test]
fn snapshot() {
    explore("snapshot beside inserts", None, 2, || {
        let subject = Subject::new(&[(16, 1, 0)]);
        let writer = Arc::clone(&subject);
        let writer = thread::spawn(move || {
            writer.insert(30, 1, 6);
            writer.insert(20, 1, 7);
        });
        let seen: Vec<u64> = subject.rows().iter().map(|row| row.0).collect();
        let known = [&[16][..], &[16, 30], &[16, 20, 30]];
        assert!(known.contains(&&seen[..]), "{seen:?}");
        writer.join().unwrap();
    });
}
