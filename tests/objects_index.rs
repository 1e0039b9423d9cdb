//! The index and the limit: it grows only within the limit, and shrinks when room is wanted. By what the
//! allocator counts, so a file of its own.
#![cfg(feature = "store")]

#[path = "support/memory.rs"]
#[allow(dead_code, unreachable_pub)] // the benchmarks' file
mod memory;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use mapless::{InMemoryStore, ObjectError, ObjectId};

#[global_allocator]
static GLOBAL: memory::Counting = memory::Counting;

/// The tests of this file count what all threads allocate, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

const MIB: u64 = 1 << 20;
const LIMITS: [u64; 3] = [MIB, 8 * MIB, 64 * MIB];
const TINY: usize = 16;

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn create(store: &InMemoryStore, len: usize) -> Result<ObjectId, ObjectError> {
    let mut builder = store.create(len)?;
    builder.as_mut_slice().fill(7);
    Ok(builder.seal().expect("it is all written"))
}

/// Fills a store with tiny objects until it evicts, and somewhat further.
fn fill(store: &InMemoryStore) {
    while store.stats().evicted < 1000 {
        for _ in 0..1000 {
            create(store, TINY).expect("tiny objects have room");
        }
    }
}

/// The most that was live while `run` had a store of this limit.
fn peak(limit: u64, run: impl FnOnce(&InMemoryStore)) {
    let (_, peak) = memory::peak(|| run(&InMemoryStore::new(limit)));
    println!(
        "limit {limit}: {peak} live, {:.3}",
        peak as f64 / limit as f64
    );
    assert!(peak as u64 <= limit, "{peak} of {limit}");
}

/// All but a fiftieth of what objects may have.
fn nearly_all(store: &InMemoryStore) -> usize {
    let limit = store.stats().limit;
    (limit - limit / 50) as usize
}

#[test]
fn tiny_objects_then_one_that_takes_nearly_all() {
    let _turn = turn();
    for limit in LIMITS {
        peak(limit, |store| {
            fill(store);
            let id = create(store, nearly_all(store)).expect("the tiny ones go, and their places");
            assert!(store.exists(id));
            let stats = store.stats();
            assert!(stats.index_bytes <= stats.limit / 50, "{stats}");
        });
    }
}

#[test]
fn tiny_objects_that_were_cleared_leave_nothing() {
    let _turn = turn();
    for limit in LIMITS {
        peak(limit, |store| {
            let before = memory::live();
            for _ in 0..3 {
                fill(store);
                store.clear();
                let stats = store.stats();
                assert_eq!((stats.used_bytes, stats.index_bytes), (0, 0), "{stats}");
                create(store, nearly_all(store)).expect("nothing else is there");
                store.clear();
            }
            let left = memory::live() - before;
            println!("left {left}");
            assert!(left <= 64 << 10, "{left} bytes");
        });
    }
}

#[test]
fn tiny_objects_make_way_for_larger_ones() {
    let _turn = turn();
    for limit in LIMITS {
        for len in [1 << 10, 16 << 10, 100 << 10] {
            peak(limit, |store| {
                fill(store);
                let turnover = 2 * limit as usize / len;
                for _ in 0..turnover {
                    create(store, len).expect("tiny ones and older ones go");
                }
                let stats = store.stats();
                println!("{len}: {}", stats.index_bytes as f64 / stats.limit as f64);
                assert!(
                    stats.index_bytes <= stats.objects * 144 + stats.limit / 8,
                    "{len}: {stats}"
                );
            });
        }
    }
}

/// Objects that are in use everywhere in the index do not keep it from getting smaller.
#[test]
fn some_that_are_used_do_not_keep_the_index_large() {
    let _turn = turn();
    let limit = 64 * MIB;
    peak(limit, |store| {
        let mut used = HashSet::new();
        while store.stats().evicted == 0 {
            for n in 0..1000 {
                let id = create(store, TINY).expect("tiny objects have room");
                if n % 100 == 0 {
                    used.insert(id);
                }
            }
        }
        let ids: Vec<ObjectId> = used.iter().copied().collect();
        for id in 1..=store.stats().puts {
            let id = ObjectId::new(id).expect("it is not 0");
            if !used.contains(&id) {
                let _ = store.delete(id); // it may be gone
            }
        }
        for _ in 0..3 * limit / (16 << 10) {
            for _ in 0..4 {
                let id = ids[fastrand::usize(..ids.len())];
                let _ = store.read(id, |bytes| bytes.len()); // it may be gone
            }
            create(store, 16 << 10).expect("others go");
        }
        let stats = store.stats();
        println!("{stats}");
        assert!(stats.index_bytes <= stats.limit / 8, "{stats}");
    });
}

#[test]
fn pinned_tiny_objects_keep_within_the_limit() {
    let _turn = turn();
    for limit in LIMITS {
        // As large as it gets, so that it does not grow where we look.
        let mut pinned = Vec::with_capacity(limit as usize / 128);
        peak(limit, |store| {
            let (before, own) = (memory::live(), (64 << 10) + limit / 128);
            let full = loop {
                let (live, stats) = ((memory::live() - before).max(0) as u64, store.stats());
                let counted = stats.used_bytes + stats.index_bytes;
                assert!(live <= counted + own / 2, "{live} of {counted}: {stats}");
                match create(store, TINY) {
                    Ok(id) => {
                        store.pin(id).expect("it is ready");
                        pinned.push(id);
                    }
                    Err(error) => break error,
                }
            };
            assert!(matches!(full, ObjectError::Full(_)), "{full}");
            let many = pinned.len() as u64;
            assert!(many * 256 > limit - (128 << 10), "{many} in {limit}");
            for id in pinned.drain(..) {
                store.unpin(id).expect("it is pinned once");
            }
            create(store, nearly_all(store)).expect("all may go by now");
        });
    }
}

#[test]
fn a_wait_for_all_of_the_room_ends_when_pins_do() {
    let _turn = turn();
    peak(8 * MIB, |store| {
        fill(store);
        let pins: Vec<_> = (0..1000)
            .map(|_| {
                store
                    .pinned(create(store, TINY).expect("others go"))
                    .expect("it is there")
            })
            .collect();
        let len = nearly_all(store);
        assert!(matches!(store.create(len), Err(ObjectError::Full(_))));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| store.create_timeout(len, Duration::from_secs(60)));
            // It may stand in line by now, or come later and find all that there is.
            std::thread::sleep(Duration::from_millis(50));
            drop(pins);
            let built = waits.join().unwrap();
            assert_eq!(built.expect("all may go by now").size(), len);
        });
    });
}

#[test]
fn many_threads_of_all_sizes() {
    let _turn = turn();
    let limit = 16 * MIB;
    peak(limit, |store| {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    for round in 0..12 {
                        let bits = [4, 5, 14, 17][(round + thread as usize) % 4];
                        for _ in 0..(4_000_000usize >> bits).min(40_000) {
                            let len = random.usize(0..2 << bits);
                            let mut builder = store
                                .create_timeout(len, Duration::from_secs(60))
                                .expect("nothing is kept for long");
                            builder.as_mut_slice();
                            let id = builder.seal().expect("it is all written");
                            if random.u8(..4) == 0 {
                                let _ = store.delete(id);
                            }
                        }
                    }
                });
            }
        });
    });
}

#[test]
fn errors_that_are_referred_to_keep_within_the_limit() {
    let _turn = turn();
    for limit in LIMITS {
        let mut kept = Vec::with_capacity(limit as usize / 128);
        peak(limit, |store| {
            while let Ok(promise) = store.promise() {
                // References are the caller's.
                let referred = memory::uncounted(|| promise.reference::<u64>());
                kept.push(referred.expect("it is pending"));
            }
            assert!(kept.len() as u64 * 256 > limit - (128 << 10));
            memory::uncounted(|| kept.clear());
        });
    }
}

/// Some of what was put stays, the rest goes: no store is so full that its index has no place for it.
#[test]
fn what_stays_of_many_leaves_places_for_others() {
    let _turn = turn();
    for step in [5, 13, 34] {
        for _ in 0..6 {
            let store = InMemoryStore::new(8 * MIB);
            for n in 0..200_000 {
                let Ok(id) = create(&store, 0) else {
                    break;
                };
                if n % step == 0 {
                    store.pin(id).expect("it is there");
                } else {
                    store.delete(id).expect("it is there");
                }
                let stats = store.stats();
                let is_full = stats.used_bytes + stats.index_bytes > stats.limit / 2;
                if is_full {
                    assert_eq!(stats.evicted, 0, "{stats}");
                    break;
                }
            }
        }
    }
}

#[test]
fn one_place_more_than_there_is_room_for() {
    let _turn = turn();
    for loose in [1, 100] {
        for more in 0..10 {
            let store = InMemoryStore::new(MIB + more * 1000);
            let mut pinned = Vec::new();
            while let Ok(id) = create(&store, 0) {
                store.pin(id).expect("it is there");
                pinned.push(id);
            }
            for id in pinned.iter().rev().take(loose) {
                store.unpin(*id).expect("it is pinned");
            }
            for _ in 0..2 * loose {
                create(&store, 0).expect("one of those that may go does");
            }
        }
    }
}

#[test]
fn many_at_once_that_never_fit() {
    let _turn = turn();
    let store = InMemoryStore::new(MIB);
    let kept: Vec<ObjectId> = (0..8).map(|_| create(&store, 10).unwrap()).collect();
    for many in [4600, 4800, 5000, 6000, 100_000] {
        let sizes = vec![0; many];
        let soon = Duration::from_millis(50);
        let waited = store.holding(&[]).create_many_timeout(&sizes, soon);
        let error = waited.expect_err("they do not fit");
        let is_told = matches!(error, ObjectError::TooLarge { .. } | ObjectError::Full(_));
        assert!(is_told, "{many}: {error}");
    }
    let error = store
        .create_many(&vec![0; 6000])
        .expect_err("they do not fit");
    assert!(matches!(error, ObjectError::TooLarge { .. }), "{error}");
    let store = InMemoryStore::new(MIB);
    assert!(store.create_many(&[]).expect("nothing fits").is_empty());
    drop(kept);
}

/// What they hold of the index counts too.
#[test]
fn builders_that_are_named_and_what_is_left() {
    let _turn = turn();
    let store = InMemoryStore::new(MIB);
    let builders = store.create_many(&[0; 5]).unwrap();
    let named: Vec<_> = builders.iter().collect();
    let len = store.stats().limit as usize - 6 * 96 - 16;
    let waited = store
        .holding(&named)
        .create_timeout(len, Duration::from_secs(60));
    let error = waited.expect_err("all room is held by who waits");
    assert!(matches!(error, ObjectError::WouldDeadlock), "{error}");
}

#[test]
fn what_does_not_count_is_freed_all_the_same() {
    let _turn = turn();
    let limit = 8 * MIB;
    let run = || {
        let store = InMemoryStore::builder(limit).count_retained(false).build();
        let store = store.expect("it is large enough");
        for _ in 0..4000 {
            let id = create(&store, 60_000).expect("nothing else is there");
            store.delete(id).expect("it is there");
        }
    };
    let (_, peak) = memory::peak(run);
    assert!(peak as u64 <= limit / 4, "{peak}");
}
