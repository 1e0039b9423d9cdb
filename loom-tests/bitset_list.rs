//! Models: a walk through the list of blocks, beside those who change it.
//!
//! Threads   main + 1; where a name ends in `_3`, main + 2
//! Bound     2 preemptions with three threads; else none
//! Shrunk    up to 3 blocks
//! Shows     LIST from `push`, and from `remove` of the head; T2: removed blocks lead on
//! Blind to  load buffering; SeqCst accesses
//! Explores  at least so many executions as each call of `explore` says (asserted)
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use mapless::ObjectId;
use mapless::models::Row;
use mapless_loom_tests::explore;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

/// A row, and somebody who walks through it.
fn walked(blocks: u64) -> (Arc<Row>, thread::JoinHandle<usize>) {
    let row = Arc::new(Row::new());
    (1..=blocks).for_each(|raw| row.push(id(raw)));
    let walker = {
        let row = Arc::clone(&row);
        thread::spawn(move || row.walk())
    };
    (row, walker)
}

#[test]
fn a_walker_knows_whom_it_meets_3() {
    explore("a walker knows whom it meets", Some(2), 100, || {
        let (row, walker) = walked(0);
        // Pinned before it hears of the blocks: a pin's fence would release them as well.
        let guard = row.pin();
        let other = {
            let row = Arc::clone(&row);
            thread::spawn(move || (1..=2).for_each(|raw| row.push(id(raw))))
        };
        other.join().unwrap();
        row.remove(id(2), &guard);
        assert!(walker.join().unwrap() <= 2);
        assert_eq!(row.walk(), 1);
    });
}

#[test]
fn a_walker_finds_its_way_on() {
    explore("a walker finds its way on", None, 500, || {
        let (row, walker) = walked(3);
        row.remove(id(2), &row.pin());
        row.remove(id(3), &row.pin());
        assert!((1..=3).contains(&walker.join().unwrap()));
        assert_eq!(row.walk(), 1);
    });
}
