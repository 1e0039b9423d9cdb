//! Models: while the directory grows, what is there is found, and what comes is found whole.
//!
//! In each model one thread inserts one range, which rebuilds a part of the index, and the other
//! looks up the one that comes, and one that was there all along, by an id that takes the long way
//! (F1, F3).
//!
//! | model      | the insert                                                    |
//! |------------|---------------------------------------------------------------|
//! | `burst`    | a third range in the root's bucket: a node in its place       |
//! | `kid`      | a third range in a slot's bucket: a node below                |
//! | `above`    | a range outside of the root node: a node above                |
//! | `coarser`  | as before, but the root node has one range: a bucket for both |
//! | `wider`    | as before, but the root node has both slots full: twice as many |
//! | `finer`    | more ranges than slots: slots half as wide                    |
//! | `refresh`  | half of the slots have held ranges: a clean copy              |
//! | `bucketed` | an inline range gets a neighbour: a bucket of both            |
//!
//! Threads   main + 1
//! Bound     4 preemptions, as many as end in a minute (a retirement has two fences and a
//!           read-modify-write); `above` retires nothing: none
//! Shrunk    nodes of 2 or 4 slots, buckets of 2; batches of one retirement
//! Shows     M1 a range that is there all along is found (F3)
//!           M2 the range that comes is found whole or not, and not lost again (WORD)
//!           M3 no look at freed memory (H2)
//! Blind to  load buffering; SeqCst loads and stores
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]
#![allow(unsafe_code)] // a payload is shared on purpose: loom is to find who touches it too early

use loom::sync::Arc;
use loom::thread;
use mapless_loom_tests::explore;

#[path = "support/index.rs"]
mod support;

use support::{Row, Subject};

/// `new` comes, while `stays` (a row, and an id of it) is looked up.
fn grows(subject: &Arc<Subject>, new: Row, stays: Row, id: u64) {
    let writer = Arc::clone(subject);
    let (first, len, value) = new;
    let writer = thread::spawn(move || writer.insert(first, len, value));
    let look = subject.look();
    let seen = look.entry(first + len - 1);
    assert!(seen.is_none_or(|seen| seen == new));
    assert_eq!(look.entry(id), Some(stays));
    drop(look);
    writer.join().unwrap();
    assert_eq!(subject.look().entry(first + len - 1), Some(new));
    assert!(subject.rows().contains(&stays));
}

#[test]
fn burst() {
    explore("burst", Some(4), 2, || {
        let rows = [(16, 5, 0), (24, 1, 1)];
        grows(&Subject::new(&rows), (28, 2, 7), rows[0], 20);
    });
}

#[test]
fn kid() {
    explore("kid", Some(4), 2, || {
        let rows = [(16, 1, 0), (20, 1, 1), (24, 1, 2), (25, 1, 3)];
        grows(&Subject::new(&rows), (26, 1, 7), rows[3], 25);
    });
}

#[test]
fn above() {
    explore("above", None, 2, || {
        let rows = [(16, 7, 0), (24, 1, 1), (28, 1, 2)];
        grows(&Subject::new(&rows), (100, 2, 7), rows[0], 22);
    });
}

#[test]
fn coarser() {
    explore("coarser", Some(4), 2, || {
        let rows = [(16, 1, 0), (17, 1, 1), (31, 1, 2)];
        let subject = Subject::new(&rows);
        subject.remove(16);
        subject.remove(31);
        grows(&subject, (100, 2, 7), rows[1], 17);
    });
}

#[test]
fn wider() {
    explore("wider", Some(4), 2, || {
        let rows = [(16, 1, 0), (17, 10, 1), (31, 1, 2)];
        grows(&Subject::new(&rows), (5, 2, 7), rows[1], 26);
    });
}

#[test]
fn finer() {
    explore("finer", Some(4), 2, || {
        let rows = [(16, 1, 0), (17, 1, 1), (31, 1, 2)];
        grows(&Subject::new(&rows), (20, 2, 7), rows[1], 17);
    });
}

#[test]
fn refresh() {
    explore("refresh", Some(4), 2, || {
        let rows = [(16, 1, 0), (20, 1, 1), (24, 4, 2), (28, 1, 3)];
        let subject = Subject::new(&rows);
        subject.remove(16);
        subject.remove(20);
        grows(&subject, (20, 2, 7), rows[2], 27);
    });
}

#[test]
fn bucketed() {
    explore("bucketed", Some(4), 2, || {
        let rows = [(16, 6, 0), (24, 1, 1), (28, 1, 2)];
        grows(&Subject::new(&rows), (22, 1, 7), rows[0], 21);
    });
}
