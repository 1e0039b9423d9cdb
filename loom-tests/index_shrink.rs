//! Models: while the index gives memory back, what stays is found.
//!
//! In each model one thread takes out ranges, which unlinks a part of the index, and the other
//! looks up a range that stays (F1, F3, R1).
//!
//! | model       | the change                                                             |
//! |-------------|------------------------------------------------------------------------|
//! | `collapse_seam` | a node has one range left: a bucket in its place                       |
//! | `splice`    | a node has one node left: that takes its place                         |
//! | `unlink`    | a node below is empty                                                  |
//! | `collapse_crossbeam` | the same on crossbeam-epoch                                   |
//! | `reload`    | a whole new trie takes the old one's place: all of it is seen, or none |
//!
//! Threads   main + 1
//! Bound     4 or 3 preemptions on the seam, as many as end in a minute; 2 on crossbeam-epoch,
//!           whose registration and epochs are some hundred steps
//! Shrunk    nodes of 2 or 4 slots, buckets of 2; batches of one retirement
//! Shows     M1 a range that stays is found; one that is gone is not found again
//!           M2 no look at freed memory (H2)
//!           M3 a bulk load is seen whole (`reload`)
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

use support::{Row, Subject, range};

/// `gone` go, while `stays` (a row, and an id of it) is looked up.
fn shrinks(subject: &Arc<Subject>, gone: &'static [u64], stays: Row, id: u64) {
    let writer = Arc::clone(subject);
    let writer = thread::spawn(move || {
        for &first in gone {
            writer.remove(first);
        }
    });
    let look = subject.look();
    assert_eq!(look.entry(id), Some(stays));
    drop(look);
    writer.join().unwrap();
    assert!(subject.rows().contains(&stays));
}

fn collapse(domain: &Domain) {
    let rows = [(16, 6, 0), (22, 1, 1), (26, 1, 2), (29, 1, 3)];
    let subject = Subject::with(domain, &rows);
    subject.remove(22);
    subject.remove(26);
    assert_eq!(subject.index.height(), 1);
    shrinks(&subject, &[29], rows[0], 20);
    assert_eq!(subject.index.height(), 0);
}

#[test]
fn collapse_seam() {
    explore("collapse, seam", Some(4), 2, || collapse(&Domain::new()));
}

#[test]
fn collapse_crossbeam() {
    explore("collapse, crossbeam", Some(2), 2, || {
        collapse(&Domain::over_crossbeam());
    });
}

#[test]
fn splice() {
    explore("splice", Some(4), 2, || {
        let rows = [(16, 1, 0), (20, 1, 1), (24, 4, 2)];
        let subject = Subject::new(&rows);
        subject.insert(100, 1, 3);
        assert_eq!(subject.index.height(), 2);
        shrinks(&subject, &[100], rows[2], 27);
        subject.index.collect();
        assert_eq!(subject.index.height(), 1);
    });
}

#[test]
fn unlink() {
    explore("unlink", Some(3), 2, || {
        let rows = [(16, 1, 0), (20, 1, 1), (24, 5, 2), (29, 1, 3)];
        let subject = Subject::new(&rows);
        subject.insert(100, 1, 4);
        subject.insert(101, 1, 5);
        subject.insert(120, 1, 6);
        shrinks(&subject, &[100, 101, 120], rows[2], 28);
    });
}

#[test]
fn reload() {
    explore("reload", Some(3), 2, || {
        let subject = Subject::new(&[(16, 6, 0), (24, 1, 1), (28, 1, 2)]);
        let writer = Arc::clone(&subject);
        let writer = thread::spawn(move || {
            let new = [(22, 6), (36, 7)].map(|(first, value)| (range(first, 1), value));
            writer.index.bulk_load(new).unwrap();
        });
        let look = subject.look();
        if look.get(36).is_some() {
            assert_eq!(look.get(22), Some(6));
        }
        assert_eq!(look.entry(21), Some((16, 6, 0)));
        drop(look);
        writer.join().unwrap();
        assert_eq!(subject.rows().len(), 5);
    });
}
