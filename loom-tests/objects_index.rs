//! Models: the index of an object store grows by a chunk, and is made smaller again.
//!
//! Threads   main + 1; main + 2 where a name ends in `_3`
//! Bound     the preemptions named at each model
//! Shrunk    one shard, whose first chunk has 4 places and whose second one has 8 more; these cost
//!           together what an object costs
//! Shows     P1 a chunk is freed after the last look at what was in it             (C1, L1)
//!           P2 a chunk is paid for once, before it is made, whoever needs it       (T1)
//!           P3 who waits for what the index has is woken when it is let go         (T3)
//! Blind to  what `loom-tests/objects.rs` is blind to
//! Explores  at least as many executions as each model says (asserted)
#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use loom::thread;
use mapless::models::Tiny;
use mapless::{InMemoryStore, ObjectId};
use mapless_loom_tests::explore;

/// There is no time here.
const LONG: Duration = Duration::from_secs(1);
/// What an object without bytes costs.
const OBJECT: u64 = 96;
/// The places of the first chunk, which cost nothing.
const FIRST: u64 = 4;

fn store(objects: u64) -> Arc<InMemoryStore> {
    let tiny = Tiny {
        objects,
        shards: 1,
        count_retained: true,
        collect_unreferenced: false,
        place: OBJECT / 8,
    };
    Arc::new(tiny.build())
}

fn put(store: &InMemoryStore) -> ObjectId {
    store.put_bytes(Bytes::new()).expect("there is room")
}

/// An object in the second chunk, and nothing in the first one.
fn put_high(store: &InMemoryStore) -> ObjectId {
    let low: Vec<ObjectId> = (0..FIRST).map(|_| put(store)).collect();
    let high = put(store);
    low.into_iter().for_each(|id| store.delete(id).unwrap());
    assert_eq!(store.stats().index_bytes, OBJECT);
    high
}

/// Nothing is left, and no token is lost.
fn end(store: &InMemoryStore) {
    store.clear();
    store.clear(); // what a reader kept from the first
    let stats = store.stats();
    assert_eq!((stats.used_bytes, stats.index_bytes), (0, 0));
}

/// P1.
#[test]
fn a_chunk_is_freed_beside_a_reader() {
    explore("index: clear/read", Some(3), 1000, || {
        let store = store(6);
        let high = put_high(&store);
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.read(high, <[u8]>::len).is_ok())
        };
        store.clear();
        other.join().unwrap();
        end(&store);
    });
}

/// P2: room for two objects and the chunk that both need.
#[test]
fn two_puts_need_the_same_chunk() {
    explore("index: put/put", Some(3), 1000, || {
        let store = store(FIRST + 3);
        let low: Vec<ObjectId> = (0..FIRST).map(|_| put(&store)).collect();
        low.into_iter().for_each(|id| store.pin(id).unwrap());
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || put(&store))
        };
        put(&store);
        other.join().unwrap();
        let stats = store.stats();
        assert_eq!(stats.used_bytes, (FIRST + 2) * OBJECT, "P2");
        assert_eq!(stats.index_bytes, OBJECT, "P2");
        assert_eq!(stats.objects, FIRST + 2, "P2");
    });
}

/// P2: room for one object and its chunk, or for two objects without it.
#[test]
fn two_puts_and_room_for_one_with_a_chunk() {
    explore("index: put/put, one too much", Some(3), 1000, || {
        let store = store(FIRST + 2);
        let low: Vec<ObjectId> = (0..FIRST).map(|_| put(&store)).collect();
        low.into_iter().for_each(|id| store.pin(id).unwrap());
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || drop(store.put_bytes(Bytes::new())))
        };
        // Both may have their object's room when they look for the chunk's; and one may evict the other.
        let _ = store.put_bytes(Bytes::new());
        other.join().unwrap();
        let stats = store.stats();
        let objects = stats.objects * OBJECT;
        assert!(stats.objects <= FIRST + 1, "P2");
        assert_eq!(stats.used_bytes, objects + stats.retained_bytes, "P2");
        assert!(stats.used_bytes + stats.index_bytes <= stats.limit, "P2");
    });
}

/// P3: who waits for all of the room has to have the index shrink, once the pin is gone.
#[test]
fn who_waits_for_what_the_index_has() {
    explore("index: wait/unpin", Some(3), 1000, || {
        let store = store(6);
        let high = put_high(&store);
        store.pin(high).unwrap();
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.unpin(high).unwrap())
        };
        let all = Bytes::from_static(&[0; 5 * OBJECT as usize]);
        let id = store.put_timeout(all, LONG).expect("P3");
        other.join().unwrap();
        assert!(store.exists(id), "P3");
        end(&store);
    });
}
