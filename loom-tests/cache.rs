//! Model: reads of the cache against everything that changes what they find.
//!
//! Threads   main + 1
//! Bound     the preemptions named at each model: a write looks at its table some dozens of times,
//!           and without a bound the search does not end
//! Shrunk    2 places a bucket, 2 buckets a window, a table of 1 or 3 buckets, 4 entries in the
//!           first chunk, a limbo that seals after 1 entry
//! Shows     M1 what is found is filled, and stays so until the guard is gone      (S1, H2, WORD)
//!           M2 a key that is there throughout is found, whatever else moves   (T2, T3, TABLE)
//!           M3 what is found belongs to the key                                      (T4)
//!           M4 what left is dropped once, and its entry serves again                     (S1)
//!           M5 two who write one key come one after the other
//! Blind to  load buffering; figures that steer (`sync/gauge.rs`), statistics; looks without a guard
//! Explores  the least number of executions that each model asserts
#![cfg(loom)]
#![allow(unsafe_code)] // the payloads are looked at through loom's cells, which report every race

#[path = "support/cache.rs"]
mod support;

use mapless::{ClockCache, Domain};
use mapless_loom_tests::explore;
use support::{Same, World, builder};

/// M1 to M3: a reader that enters once and looks twice.
fn reader(key: u64, may: &'static [u64], must: bool) -> impl FnOnce(&World) {
    move |world| {
        let guard = world.cache.pin();
        let found = world.cache.get_in(&key, &guard);
        assert!(found.is_some() || !must, "M2: it is there throughout");
        if let Some(value) = found {
            assert!(may.contains(&value.read()), "M3");
            value.read(); // M1: it is there still
        }
    }
}

#[test]
fn get_against_insert() {
    explore("get/insert", None, 500, || {
        let world = World::new(3, &[]);
        let there = world.spawn(reader(1, &[1], false));
        assert!(world.insert(1, 1));
        there.join().expect("no panic");
        world.end();
    });
}

#[test]
fn get_against_replace() {
    explore("get/replace", Some(3), 900, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(reader(1, &[1, 2], true));
        assert!(world.insert(1, 2));
        there.join().expect("no panic");
        assert_eq!(world.get(1), Some(2));
        world.end();
    });
}

#[test]
fn get_against_remove() {
    explore("get/remove", Some(3), 1000, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(reader(1, &[1], false));
        assert_eq!(world.remove(1), Some(1));
        there.join().expect("no panic");
        world.end();
    });
}

#[test]
fn get_against_eviction() {
    explore("get/evict", Some(3), 3000, || {
        let world = World::new(1, &[1]);
        let there = world.spawn(reader(1, &[1], false));
        assert!(world.insert(2, 2));
        there.join().expect("no panic");
        assert_eq!(world.get(1), None);
        world.end();
    });
}

/// M4: whoever comes in twice takes the entry that left first, unless it is still looked at.
#[test]
fn get_against_an_entry_that_serves_again() {
    explore("get/recycle", Some(3), 10_000, || {
        let world = World::new(1, &[1]);
        let there = world.spawn(reader(1, &[1], false));
        assert!(world.insert(2, 2) && world.insert(4, 4));
        there.join().expect("no panic");
        world.end();
    });
}

/// M4, where nothing is to be dropped: entries are emptied and taken under one lock.
#[test]
fn get_against_a_plain_entry_that_serves_again() {
    explore("get/recycle, plain", Some(2), 400, || {
        let builder = ClockCache::builder().max_capacity(1).initial_capacity(3);
        let cache: ClockCache<u64, u64, Same> = builder.hasher(Same::default()).build().unwrap();
        cache.insert(1, 1).expect("room");
        let reader = cache.clone();
        let there = loom::thread::spawn(move || {
            let guard = reader.pin();
            let found = reader.get_in(&1, &guard);
            assert!(found.is_none_or(|&value| value == 1), "M3");
        });
        for key in [2, 4] {
            cache.insert(key, key).expect("room");
        }
        there.join().expect("no panic");
        assert_eq!(cache.get(&4), Some(4));
    });
}

#[test]
fn get_against_growth() {
    explore("get/grow", Some(4), 1000, || {
        let world = World::with(builder(3).initial_capacity(1)).and(&[1]);
        let there = world.spawn(reader(1, &[1], true));
        assert!(world.insert(2, 2));
        there.join().expect("no panic");
        world.end();
    });
}

/// M1, T3: a table that was replaced serves again when the next one is too small.
#[test]
fn get_against_a_table_that_serves_again() {
    explore("get/table", Some(2), 400, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(|world| {
            let guard = world.cache.pin();
            let first = world.cache.get_in(&1, &guard).is_some();
            let again = world.cache.get_in(&1, &guard).is_some();
            assert!(first || !again, "what was removed stays so");
        });
        world.cache.invalidate_all();
        assert!(world.insert(2, 2) && world.insert(3, 3));
        there.join().expect("no panic");
        assert_eq!((world.get(2), world.get(3)), (Some(2), Some(3)));
        world.end();
    });
}

/// M2: small odd keys belong into the same one of three buckets; one of three keys has no room there.
#[test]
fn get_of_what_stands_behind_its_bucket() {
    explore("get/passed", Some(3), 5000, || {
        let world = World::new(4, &[3, 5, 1]);
        let there = world.spawn(reader(1, &[1], true));
        assert_eq!(world.remove(3), Some(3));
        assert!(world.insert(7, 7));
        there.join().expect("no panic");
        world.end();
    });
}

/// M3: another key with the same tag takes the place.
#[test]
fn get_against_a_key_with_its_tag() {
    let fold = |key: u64| {
        let product = u128::from(key) * 0x9E37_79B9_7F4A_7C15;
        ((product >> 64) as u64 ^ product as u64) as u32
    };
    let home = |key: u64| (u64::from(fold(key)) * 3) >> 32; // of three buckets
    let twin = (2..).find(|&key| fold(key) as u8 == fold(1) as u8 && home(key) == home(1));
    let twin = twin.expect("one in some 768");
    explore("get/tag", Some(3), 5000, move || {
        let world = World::new(3, &[1]);
        let there = world.spawn(reader(1, &[1], false));
        assert_eq!(world.remove(1), Some(1));
        assert!(world.insert(twin, 2));
        there.join().expect("no panic");
        assert_eq!((world.get(1), world.get(twin)), (None, Some(2)));
        world.end();
    });
}

#[test]
fn get_against_invalidate_all() {
    explore("get/invalidate_all", Some(4), 800, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(reader(1, &[1], false));
        world.cache.invalidate_all();
        there.join().expect("no panic");
        assert_eq!(world.get(1), None);
        world.end();
    });
}

#[test]
fn insert_against_invalidate_all() {
    explore("insert/invalidate_all", None, 200, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(|world| world.insert(2, 2));
        world.cache.invalidate_all();
        assert!(there.join().expect("no panic"));
        assert_eq!(world.get(1), None, "it was there before");
        world.end();
    });
}

/// M2: a walk meets what is there throughout once, in the table that it found.
#[test]
fn walk_against_growth_and_replace() {
    explore("walk/grow", Some(3), 3000, || {
        let world = World::with(builder(3).initial_capacity(1)).and(&[1]);
        let there = world.spawn(|world| {
            let guard = world.cache.pin();
            let met: Vec<_> = world.cache.iter_in(&guard).collect();
            assert_eq!(met.iter().filter(|met| *met.0 == 1).count(), 1, "M2");
            assert!(met.iter().all(|(_, value)| value.read() > 0), "M1");
        });
        assert!(world.insert(2, 2) && world.insert(2, 3));
        there.join().expect("no panic");
        world.end();
    });
}

/// Reads count their uses while a hand takes them back, and while the entry leaves.
#[test]
fn promotion_against_a_hand() {
    explore("promotion/hand", Some(2), 10_000, || {
        let world = World::new(2, &[1, 2]);
        let there = world.spawn(|world| {
            let guard = world.cache.pin();
            let values = [1, 2, 1].map(|key| world.cache.get_in(&key, &guard));
            values
                .into_iter()
                .flatten()
                .for_each(|value| _ = value.read());
        });
        assert!(world.insert(3, 3) && world.insert(4, 4));
        there.join().expect("no panic");
        assert_eq!(world.cache.entry_count(), 2);
        world.end();
    });
}

#[test]
fn insert_against_insert_of_one_key() {
    explore("insert/insert", None, 20, || {
        let world = World::new(3, &[]);
        let there = world.spawn(|world| world.insert(1, 1));
        assert!(world.insert(1, 2));
        assert!(there.join().expect("no panic"));
        assert_eq!(world.cache.entry_count(), 1, "M5");
        assert_eq!(world.alive(), 1, "M4");
        world.end();
    });
}

#[test]
fn insert_if_absent_twice() {
    explore("absent/absent", None, 20, || {
        let world = World::new(3, &[]);
        let put = |world: &World| world.cache.insert_if_absent(1, world.value(1)).is_ok();
        let there = world.spawn(put);
        let here = put(&world);
        assert!(here != there.join().expect("no panic"), "M5");
        world.end();
    });
}

#[test]
fn remove_against_remove_and_insert() {
    explore("remove/remove", Some(3), 1000, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(|world| world.remove(1));
        let here = world.remove(1);
        assert!(
            here.is_some() != there.join().expect("no panic").is_some(),
            "M5"
        );
        world.end();
    });
    explore("remove/insert", Some(3), 600, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(|world| world.remove(1));
        assert!(world.insert(1, 2));
        let removed = there
            .join()
            .expect("no panic")
            .expect("it is there throughout");
        assert_eq!(world.get(1), (removed == 1).then_some(2), "M5");
        world.end();
    });
}

/// The joint with crossbeam-epoch itself.
#[test]
fn get_against_an_entry_that_serves_again_by_crossbeam() {
    explore("get/recycle, crossbeam", Some(1), 20_000, || {
        let domain = Domain::over_crossbeam();
        let world = World::with(builder(1).domain(&domain)).and(&[1]);
        let there = world.spawn(|world| {
            assert!(world.get(1).is_none_or(|value| value == 1), "M3");
        });
        assert!(world.insert(2, 2));
        world.cache.run_pending_tasks();
        assert!(world.insert(4, 4));
        there.join().expect("no panic");
    });
}

#[test]
fn get_against_growth_by_crossbeam() {
    explore("get/grow, crossbeam", Some(1), 1000, || {
        let domain = Domain::over_crossbeam();
        let world = World::with(builder(3).initial_capacity(1).domain(&domain)).and(&[1]);
        let there = world.spawn(|world| assert_eq!(world.get(1), Some(1), "M2"));
        assert!(world.insert(2, 2));
        there.join().expect("no panic");
    });
}
