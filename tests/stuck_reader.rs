//! A reader that never leaves stops no lookup and no writer; what is retired meanwhile waits, all of
//! it, and comes back when it has left.

#![cfg(feature = "alloc")]

use std::sync::mpsc;
use std::thread;

use mapless::{BlockAllocator, ByteLen, Domain, IdRange, ObjectId, OmniBlockAllocator, RangeIndex};

const ROUNDS: u64 = 1_000;

fn id(raw: u64) -> ObjectId {
    ObjectId::new(raw).unwrap()
}

/// Runs `work` while another thread is inside `domain`.
fn beside_a_reader(domain: &Domain, work: impl FnOnce()) {
    let (inside, came_in) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let guard = domain.pin();
            inside.send(()).unwrap();
            may_leave.recv().unwrap();
            drop(guard);
        });
        came_in.recv().unwrap();
        work();
        leave.send(()).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn slots_wait_and_come_back() {
    let domain = Domain::new();
    let builder = BlockAllocator::builder(ROUNDS, ByteLen::new(8));
    let slots = builder.domain(&domain).build().unwrap();
    beside_a_reader(&domain, || {
        for _ in 0..ROUNDS {
            let slot = slots.alloc().unwrap();
            slots.retire(slot, &slots.pin()).unwrap();
        }
        slots.collect();
        assert_eq!((slots.waiting(), slots.len()), (ROUNDS, 0));
        assert!(slots.alloc().is_err(), "every slot waits");
    });
    slots.collect();
    assert_eq!(slots.waiting(), 0);
    assert!(slots.alloc_run(ROUNDS).is_ok());
}

#[test]
fn an_index_goes_on() {
    let domain = Domain::new();
    let index: RangeIndex<u64> = RangeIndex::with_domain(&domain);
    let range = |at: u64| IdRange::new(id(1 + at * 8), 8).unwrap();
    (0..ROUNDS).for_each(|at| index.insert(range(at), at).unwrap());
    index.collect();
    let (memory, pending) = (index.memory(), index.pending());
    beside_a_reader(&domain, || {
        for at in (0..ROUNDS).rev() {
            index.remove(range(at).first()).unwrap();
            assert_eq!(index.get(range(at).first()), None);
            index.insert(range(at), at + 1).unwrap();
            assert_eq!(index.get(range(at).last()), Some(at + 1));
        }
        index.collect();
        assert!(index.pending() > pending, "what was replaced waits");
    });
    index.collect();
    assert_eq!(index.pending(), 0);
    assert!(index.memory() <= 4 * memory, "{} {memory}", index.memory());
}

#[test]
fn ranges_wait_with_their_extents() {
    let domain = Domain::new();
    let ids = OmniBlockAllocator::builder()
        .domain(&domain)
        .build()
        .unwrap();
    let len = ByteLen::new(4 << 20);
    beside_a_reader(&domain, || {
        for _ in 0..10 {
            let large = ids.alloc(len).unwrap();
            assert!(ids.locate(large).is_ok());
            ids.retire(large, &ids.pin()).unwrap();
            assert!(ids.locate(large).is_err());
        }
        ids.collect();
        assert_eq!(ids.end().get(), 10 * len.get(), "no extent is used again");
    });
    ids.collect();
    let again = ids.alloc(len).unwrap();
    assert!(ids.locate(again).unwrap().offset.get() < 10 * len.get());
}
