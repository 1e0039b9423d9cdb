//! Models: what a lookup looks at stays in memory, and is never another range's.
//!
//! | model            | the change                                   | shows                        |
//! |------------------|----------------------------------------------|------------------------------|
//! | `reader_inside`  | all ranges of a node go, and are freed       | M1 no look at freed memory (H2) |
//! | `bucket_copied`  | a bucket is copied twice and freed           | M2 the same for buckets      |
//! | `slot_reused`    | a range goes, another comes to its slot      | M3 ids and value fit together (C1) |
//! | `hint_replaced`  | a range goes, another comes where its hint was | M4 a hint proves nothing (C4) |
//! | `gone_is_gone`   | a range goes; its tail is found by the map   | M5 no way back (MAP, C3)     |
//! | `gone_and_come`  | as before, and another range comes           | M6 no way back (MAP, C3)     |
//! | `removed_in_order` | two ranges go                              | M7 who misses the second misses the first |
//! | `bucket_copied_crossbeam` | as above, on crossbeam-epoch        | M8 the joint                 |
//!
//! Threads   main + 1
//! Bound     none where nothing but maps is shared (`gone_is_gone`, `removed_in_order`); 4 or 3
//!           preemptions on the seam, as many as end in a minute; 2 on crossbeam-epoch, whose
//!           registration and epochs are some hundred steps
//! Shrunk    nodes of 2 or 4 slots, buckets of 2; batches of one retirement
//! Blind to  load buffering; SeqCst loads and stores
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]
#![allow(unsafe_code)] // a payload is shared on purpose: loom is to find who touches it too early

use loom::sync::Arc;
use loom::thread;
use mapless::Domain;
use mapless_loom_tests::explore;

#[path = "support/index.rs"]
mod support;

use support::{Look, Row, Subject};

/// One thread changes, this one looks.
fn against(
    domain: &Domain,
    rows: &[Row],
    change: impl FnOnce(&Subject) + 'static + Send,
    look: impl FnOnce(&Look<'_>),
) -> Arc<Subject> {
    let subject = Subject::with(domain, rows);
    let writer = Arc::clone(&subject);
    let writer = thread::spawn(move || change(&writer));
    look(&subject.look());
    writer.join().unwrap();
    subject
}

#[test]
fn reader_inside() {
    explore("reader inside", Some(3), 2, || {
        let subject = against(
            &Domain::new(),
            &[(16, 1, 0), (20, 1, 1), (24, 1, 2)],
            |s| {
                s.remove(16);
                s.remove(24);
                s.remove(20);
                s.index.collect();
            },
            |s| {
                assert!(matches!(s.entry(20), None | Some((20, 1, 1))));
            },
        );
        assert_eq!(subject.rows(), []);
    });
}

fn bucket_copied(domain: &Domain) {
    let subject = against(
        domain,
        &[(5, 1, 0)],
        |s| {
            s.insert(3, 1, 6);
            s.remove(5);
        },
        |s| {
            assert!(matches!(s.entry(5), None | Some((5, 1, 0))));
            assert!(matches!(s.entry(3), None | Some((3, 1, 6))));
        },
    );
    assert_eq!(subject.rows(), [(3, 1, 6)]);
}

#[test]
fn bucket_copied_seam() {
    explore("bucket copied, seam", Some(4), 2, || {
        bucket_copied(&Domain::new())
    });
}

#[test]
fn bucket_copied_crossbeam() {
    explore("bucket copied, crossbeam", Some(2), 2, || {
        bucket_copied(&Domain::over_crossbeam());
    });
}

#[test]
fn slot_reused() {
    explore("slot reused", Some(3), 2, || {
        let subject = against(
            &Domain::new(),
            &[(16, 1, 0), (20, 1, 1), (24, 1, 2), (28, 1, 3)],
            |s| {
                s.remove(20);
                s.insert(20, 3, 7);
            },
            |s| {
                let seen = s.entry(20);
                assert!(
                    matches!(seen, None | Some((20, 1, 1) | (20, 3, 7))),
                    "{seen:?}"
                );
                assert!(matches!(s.entry(22), None | Some((20, 3, 7))));
            },
        );
        assert_eq!(subject.look().get(22), Some(7));
    });
}

#[test]
fn hint_replaced() {
    explore("hint replaced", Some(3), 2, || {
        let subject = against(
            &Domain::new(),
            // The first range reaches into the second slot, which holds a hint only.
            &[(16, 7, 0), (24, 1, 1), (26, 1, 2), (28, 1, 3)],
            |s| {
                s.remove(16);
                s.insert(21, 2, 7);
            },
            |s| {
                let seen = s.entry(21);
                assert!(
                    matches!(seen, None | Some((16, 7, 0) | (21, 2, 7))),
                    "{seen:?}"
                );
                let seen = s.entry(20);
                assert!(matches!(seen, None | Some((16, 7, 0))), "{seen:?}");
            },
        );
        assert_eq!(
            (subject.look().get(20), subject.look().get(22)),
            (None, Some(7))
        );
    });
}

/// The first range reaches into the second slot, which has a range of its own: only the map leads
/// back to the first.
const COVERED: [Row; 4] = [(16, 6, 0), (22, 1, 1), (26, 1, 2), (27, 1, 3)];

#[test]
fn gone_is_gone() {
    explore("gone is gone", None, 2, || {
        against(
            &Domain::new(),
            &COVERED,
            |s| {
                s.remove(16);
            },
            |s| {
                if s.get(21).is_none() {
                    assert_eq!(s.get(16), None);
                }
            },
        );
    });
}

#[test]
fn gone_and_come() {
    explore("gone and come", Some(4), 2, || {
        against(
            &Domain::new(),
            &COVERED,
            |s| {
                s.remove(16);
                s.insert(29, 1, 7);
            },
            |s| {
                if s.get(21).is_none() {
                    assert_eq!(s.get(16), None);
                }
            },
        );
    });
}

#[test]
fn removed_in_order() {
    explore("removed in order", None, 2, || {
        against(
            &Domain::new(),
            &[(16, 1, 0), (20, 1, 1), (24, 1, 2), (28, 1, 3)],
            |s| {
                s.remove(16);
                s.remove(24);
            },
            |s| {
                if s.get(24).is_none() {
                    assert_eq!(s.get(16), None);
                }
            },
        );
    });
}
