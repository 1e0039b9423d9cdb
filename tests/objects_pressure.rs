//! The limit, by what the allocator counts: a file of its own, since it counts for all tests of one.
#![cfg(feature = "store")]

#[path = "support/memory.rs"]
#[allow(dead_code, unreachable_pub)] // the benchmarks' file
mod memory;

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use mapless::{InMemoryStore, ObjectError, ObjectId};

#[global_allocator]
static GLOBAL: memory::Counting = memory::Counting;

/// The tests of this file count what all threads allocate, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

const MIB: u64 = 1 << 20;
const LONG: Duration = Duration::from_secs(60);

fn turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn create(store: &InMemoryStore, len: usize, byte: u8) -> Result<ObjectId, ObjectError> {
    let mut builder = store.create(len)?;
    builder.as_mut_slice().fill(byte);
    Ok(builder.seal().expect("it is all written"))
}

/// Pushes `many` objects of this length through a store, by create and seal, from so many threads,
/// which also read, pin and delete; the most that was live, and how many objects came in.
fn push(limit: u64, len: usize, threads: usize, many: usize) -> (u64, u64) {
    let run = || {
        let store = InMemoryStore::new(limit);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let store = &store;
                scope.spawn(move || one_of_many(store, len, thread, many / threads));
            }
        });
        let stats = store.stats();
        assert!(stats.used_bytes <= stats.limit, "{stats}");
        assert_eq!(stats.pinned_bytes, 0);
        stats.puts
    };
    let (puts, peak) = memory::peak(run);
    (peak as u64, puts)
}

fn one_of_many(store: &InMemoryStore, len: usize, thread: usize, many: usize) {
    let mut last = None;
    for n in 0..many {
        let byte = (thread * 31 + n) as u8;
        // Others may keep the room for a moment: a reader that is not running, above all.
        let mut builder = store
            .create_timeout(len, LONG)
            .expect("there is room by and by");
        builder.as_mut_slice().fill(byte);
        let id = builder.seal().expect("it is all written");
        if n % 3 == 0
            && let Ok(pin) = store.pinned(id)
        {
            assert!(pin.iter().all(|it| *it == byte));
        }
        if n % 7 == 0
            && let Some(last) = last.replace(id)
        {
            // It may have been evicted.
            let _ = store.delete(last);
        }
        let _ = store.read(id, |bytes| assert!(bytes.iter().all(|it| *it == byte)));
    }
}

#[test]
fn live_bytes_stay_within_the_limit() {
    let _turn = turn();
    let cases = [
        (MIB, 1, 40_000),
        (MIB, 100, 40_000),
        (4 * MIB, 1 << 10, 40_000),
        (64 * MIB, 64 << 10, 4_000),
        (64 * MIB, 1 << 20, 400),
    ];
    for threads in [1, 4, 8] {
        for (limit, len, many) in cases {
            let (peak, puts) = push(limit, len, threads, many);
            println!("{threads} threads, {len} bytes: {peak} of {limit}, {puts} put");
            assert_eq!(puts as usize, many / threads * threads);
            assert!(peak <= limit, "{threads} threads, {len}: {peak} of {limit}");
        }
    }
}

#[test]
fn huge_objects_stay_within_the_limit() {
    let _turn = turn();
    let (limit, len) = (600 * MIB, 256 << 20);
    let run = || {
        let store = InMemoryStore::new(limit);
        for n in 0..4 {
            create(&store, len, n).expect("two fit, and the older one goes");
        }
        store.stats().evicted
    };
    let (evicted, peak) = memory::peak(run);
    assert_eq!(evicted, 2);
    assert!(peak as u64 <= limit, "{peak}");
}

#[test]
fn bytes_that_readers_keep_count() {
    let _turn = turn();
    let limit = 16 * MIB;
    let run = || {
        let store = InMemoryStore::new(limit);
        let mut kept = Vec::new();
        let mut refused = 0;
        for n in 0..64 {
            match create(&store, 1 << 20, n) {
                Ok(id) => kept.push(store.get_raw(id).expect("it was just put")),
                Err(ObjectError::Full(full)) => {
                    assert!(full.retained + full.asked <= full.limit + full.asked);
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused >= 48, "{refused}");
        kept.clear();
        create(&store, 1 << 20, 0).expect("nobody has them any more");
    };
    let ((), peak) = memory::peak(run);
    assert!(peak as u64 <= limit, "{peak}");
}

#[test]
fn an_object_takes_little_beside_its_bytes() {
    let _turn = turn();
    const MANY: usize = 200_000;
    for len in [16, 64 << 10] {
        let many = if len > 1_000 { 1_000 } else { MANY };
        let store = InMemoryStore::new(1 << 34);
        let fill = || {
            for _ in 0..many {
                create(&store, len, 1).expect("there is room");
            }
        };
        let ((), grown) = memory::grown(fill);
        let beside = grown as f64 / many as f64 - len as f64;
        println!("{len} bytes: {beside} beside");
        if len > 1_000 {
            assert!(beside <= len as f64 / 100.0, "{beside}");
        } else {
            assert!(beside <= 160.0, "{beside}");
        }
    }
}

#[test]
fn a_large_put_takes_its_size_once() {
    let _turn = turn();
    let len = 100 << 20;
    let store = InMemoryStore::new(200 * MIB);
    let (id, peak) = memory::peak(|| create(&store, len, 3).expect("there is room"));
    assert!(peak as f64 <= 1.01 * len as f64, "{peak}");
    store.delete(id).expect("it is there");
}

#[test]
fn nothing_is_left_after_a_clear() {
    let _turn = turn();
    let all = || {
        let store = InMemoryStore::new(16 * MIB);
        let kept: Vec<Bytes> = (0..10)
            .map(|n| store.get_raw(create(&store, 1_000, n).unwrap()).unwrap())
            .collect();
        let promise = store.promise().unwrap();
        let builder = store.create(1 << 20).unwrap();
        store.clear();
        assert_eq!(store.stats().objects, 0);
        drop((kept, promise, builder));
        store.clear();
        assert_eq!(store.stats().used_bytes, 0);
    };
    all(); // what the process and the thread take for good
    let ((), left) = memory::grown(all);
    assert!(left <= 4 << 10, "{left}");
}

/// What nobody reads leaves in the order in which it came; what somebody reads stays longer.
#[test]
fn what_came_first_leaves_first() {
    let _turn = turn();
    let store = InMemoryStore::new(8 * MIB);
    let many = (8 << 20) / (8 << 10);
    let first: Vec<ObjectId> = (0..many)
        .map(|_| create(&store, 8 << 10, 1).expect("the oldest go"))
        .collect();
    let read = *first.last().expect("there are some");
    let mut recent = std::collections::VecDeque::new();
    for _ in 0..2 * many {
        recent.push_back(create(&store, 8 << 10, 2).expect("the oldest go"));
        store
            .read(read, |bytes| assert_eq!(bytes[0], 1))
            .expect("it is in use");
        if recent.len() > many / 2 {
            let kept = recent.pop_front().expect("there are some");
            assert!(store.exists(kept), "half of the limit came after it");
        }
    }
    let left = first.iter().filter(|id| store.exists(**id)).count();
    assert_eq!(left, 1);
}
