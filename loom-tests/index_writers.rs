//! Models: two writers of one index, and a reader beside them.
//!
//! | model           | writers                                    | shows                             |
//! |-----------------|--------------------------------------------|-----------------------------------|
//! | `same_range`    | both insert overlapping ranges             | M1 one wins, the other is told which |
//! | `two_ranges`    | both insert into one bucket, which bursts  | M2 both are there (T1)            |
//! | `insert_remove` | one inserts where the other removes        | M3 in either order (T1)           |
//! | `same_removed`  | both remove one range                      | M4 one gets it                    |
//! | `replace_remove` | one replaces what the other removes       | M5 the value that is removed is the last |
//! | `with_reader`   | both insert, a third looks                 | M6 what is found is whole, and stays |
//!
//! Threads   main + 1; `with_reader` main + 2
//! Bound     none; `with_reader` 3 preemptions: three threads do not end without
//! Shrunk    nodes of 2 or 4 slots, buckets of 2; batches of one retirement
//! Blind to  load buffering; SeqCst loads and stores
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]
#![allow(unsafe_code)] // a payload is shared on purpose: loom is to find who touches it too early

use loom::sync::Arc;
use loom::thread;
use mapless::{InsertError, ReplaceError};
use mapless_loom_tests::explore;

#[path = "support/index.rs"]
mod support;

use support::{Row, Subject, id, range};

/// Two threads at one index: what each of them says.
fn both<A: 'static, B>(
    rows: &[Row],
    one: impl FnOnce(&Subject) -> A + 'static + Send,
    other: impl FnOnce(&Subject) -> B,
) -> (Arc<Subject>, A, B) {
    let subject = Subject::new(rows);
    let there = Arc::clone(&subject);
    let there = thread::spawn(move || one(&there));
    let here = other(&subject);
    let there = there.join().unwrap();
    (subject, there, here)
}

#[test]
fn same_range() {
    explore("two inserts of one range", None, 2, || {
        let (subject, there, here) = both(
            &[(16, 1, 0)],
            |s| s.index.insert(range(20, 4), 6),
            |s| s.index.insert(range(22, 4), 7),
        );
        let lost = |with| Err(InsertError::Overlap { with });
        if there.is_ok() {
            assert_eq!(here, lost(range(20, 4)));
        } else {
            assert_eq!((there, here), (lost(range(22, 4)), Ok(())));
        }
        assert_eq!(subject.rows().len(), 2);
    });
}

#[test]
fn two_ranges() {
    explore("two inserts", None, 2, || {
        let (subject, ..) = both(
            &[(16, 1, 0)],
            |s| s.insert(20, 1, 6),
            |s| s.insert(24, 1, 7),
        );
        assert_eq!(subject.rows(), [(16, 1, 0), (20, 1, 6), (24, 1, 7)]);
    });
}

#[test]
fn insert_remove() {
    explore("insert and remove", None, 2, || {
        let (subject, there, _) = both(
            &[(16, 1, 0), (20, 4, 1)],
            |s| s.index.insert(range(22, 4), 6).is_ok(),
            |s| s.remove(20),
        );
        let expected: &[Row] = if there {
            &[(16, 1, 0), (22, 4, 6)]
        } else {
            &[(16, 1, 0)]
        };
        assert_eq!(subject.rows(), expected);
    });
}

#[test]
fn same_removed() {
    explore("two removes of one range", None, 2, || {
        let (subject, there, here) = both(
            &[(16, 1, 0), (20, 4, 1), (24, 1, 2)],
            |s| s.index.remove(id(20)).is_ok(),
            |s| s.index.remove(id(20)).is_ok(),
        );
        assert!(there != here);
        assert_eq!(subject.rows(), [(16, 1, 0), (24, 1, 2)]);
    });
}

#[test]
fn replace_remove() {
    explore("replace and remove", None, 2, || {
        let (subject, there, here) = both(
            &[(16, 1, 0), (20, 4, 1), (24, 1, 2)],
            |s| s.index.replace(id(20), 7),
            |s| s.remove(20),
        );
        match there {
            Ok(old) => assert_eq!((old, here), (1, 7)),
            Err(error) => assert_eq!((error, here), (ReplaceError::NotFound, 1)),
        }
        assert_eq!(subject.rows(), [(16, 1, 0), (24, 1, 2)]);
    });
}

#[test]
fn with_reader() {
    explore("two writers and a reader", Some(3), 2, || {
        let subject = Subject::new(&[(16, 4, 0)]);
        let insert = |first, value| {
            let writer = Arc::clone(&subject);
            thread::spawn(move || writer.insert(first, 2, value))
        };
        let writers = [insert(20, 6), insert(24, 7)];
        let look = subject.look();
        assert!(matches!(look.entry(25), None | Some((24, 2, 7))));
        assert_eq!(look.entry(19), Some((16, 4, 0)));
        drop(look);
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(subject.rows().len(), 3);
    });
}
