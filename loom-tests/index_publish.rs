//! Models: what a lookup finds is there, and so is what its writer did before.
//!
//! | model             | the store that publishes          | shows                                 |
//! |-------------------|-----------------------------------|---------------------------------------|
//! | `first_range`     | the root's word (WORD)            | M1 bucket, length, value, payload     |
//! | `inline_range`    | a slot's word (WORD)              | M2 the range beside it, payload       |
//! | `bucket_append`   | an entry's first id (ENTRY, C2)   | M3 length, value, payload             |
//! | `replace_inline`  | a slot's value (VALUE)            | M4 the old payload or the new one     |
//! | `replace_entry`   | an entry's value (VALUE)          | M5 the same in a bucket               |
//! | `two_inserts`     | two slots' words (WORD)           | M6 who sees the second sees the first |
//! | `two_appends`     | a word, then an entry (ENTRY)     | M7 the same                           |
//! | `two_replaces`    | two values (VALUE)                | M8 the same                           |
//! | `two_writers`     | two slots' words, two writers     | M9 two readers see one order          |
//!
//! Threads   main + 1; `two_writers` main + 3
//! Bound     none; `two_writers` 2 preemptions: four threads end with no more
//! Shrunk    nodes of 2 or 4 slots, buckets of 2
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

/// A node of four slots, the last of which is empty.
const NODE: [Row; 3] = [(16, 1, 0), (20, 1, 1), (24, 1, 2)];

/// One thread changes, this one looks; at the end `rows` are there.
fn against(
    rows: &[Row],
    change: impl FnOnce(&Subject) + 'static + Send,
    look: impl FnOnce(&Look<'_>),
) -> Arc<Subject> {
    let subject = Subject::new(rows);
    let writer = Arc::clone(&subject);
    let writer = thread::spawn(move || change(&writer));
    look(&subject.look());
    writer.join().unwrap();
    subject
}

#[test]
fn first_range() {
    explore("first range", None, 2, || {
        let subject = against(
            &[],
            |s| s.insert(5, 3, 7),
            |s| assert!(matches!(s.entry(6), None | Some((5, 3, 7)))),
        );
        assert_eq!(subject.look().get(6), Some(7));
    });
}

#[test]
fn inline_range() {
    explore("inline range", None, 2, || {
        let subject = against(
            &NODE,
            |s| s.insert(28, 2, 7),
            |s| assert!(matches!(s.entry(29), None | Some((28, 2, 7)))),
        );
        assert_eq!(subject.look().get(29), Some(7));
    });
}

#[test]
fn bucket_append() {
    explore("bucket append", None, 2, || {
        let subject = against(
            &[(5, 1, 0)],
            |s| s.insert(9, 2, 7),
            |s| assert!(matches!(s.entry(10), None | Some((9, 2, 7)))),
        );
        assert_eq!(subject.look().get(5), Some(0));
        assert_eq!(subject.look().get(10), Some(7));
    });
}

fn replaced(rows: &'static [Row], at: u64) {
    let subject = against(
        rows,
        move |s| assert_eq!(s.replace(at, 7), 1),
        |s| {
            let seen = s.get(at).unwrap();
            assert!(seen == 1 || seen == 7);
            assert!(s.get(at).unwrap() >= seen);
        },
    );
    assert_eq!(subject.look().get(at), Some(7));
}

#[test]
fn replace_inline() {
    explore("replace inline", None, 2, || replaced(&NODE, 20));
}

#[test]
fn replace_entry() {
    explore("replace in a bucket", None, 2, || {
        replaced(&[(5, 1, 0), (9, 1, 1)], 9);
    });
}

#[test]
fn two_inserts() {
    explore("two inserts, one order", None, 2, || {
        against(
            &[(16, 1, 0), (20, 1, 1), (28, 1, 2), (31, 1, 3)],
            |s| {
                s.insert(17, 1, 6);
                s.insert(25, 1, 7);
            },
            |s| {
                if s.get(25).is_some() {
                    assert_eq!(s.get(17), Some(6));
                }
            },
        );
    });
}

#[test]
fn two_appends() {
    explore("two appends, one order", None, 2, || {
        let subject = Subject::new(&[(16, 1, 0), (20, 1, 1), (24, 1, 2), (25, 1, 3)]);
        subject.remove(25);
        let writer = Arc::clone(&subject);
        let writer = thread::spawn(move || {
            writer.insert(28, 1, 6);
            writer.insert(26, 1, 7);
        });
        let look = subject.look();
        if look.get(26).is_some() {
            assert_eq!(look.get(28), Some(6));
        }
        drop(look);
        writer.join().unwrap();
    });
}

#[test]
fn two_replaces() {
    explore("two replaces, one order", None, 2, || {
        against(
            &NODE,
            |s| {
                s.replace(16, 6);
                s.replace(24, 7);
            },
            |s| {
                if s.get(24) == Some(7) {
                    assert_eq!(s.get(16), Some(6));
                }
            },
        );
    });
}

#[test]
fn two_writers() {
    explore("two writers, one order", Some(2), 2, || {
        let subject = Subject::new(&[(16, 1, 0), (20, 1, 1), (28, 1, 2)]);
        let spawn = |f: fn(&Subject) -> bool| {
            let subject = Arc::clone(&subject);
            thread::spawn(move || f(&subject))
        };
        let first = spawn(|s| {
            s.insert(21, 1, 6);
            true
        });
        let second = spawn(|s| {
            s.insert(24, 1, 7);
            true
        });
        let reader = spawn(|s| {
            let look = s.look();
            look.get(21).is_some() && look.get(24).is_none()
        });
        let look = subject.look();
        let first_before_second = look.get(24).is_some() && look.get(21).is_none();
        drop(look);
        let other = reader.join().unwrap();
        assert!(!(first_before_second && other), "two orders of two inserts");
        first.join().unwrap();
        second.join().unwrap();
    });
}
