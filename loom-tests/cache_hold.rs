//! Model: held entries against all that lets entries go, and what a listener is told.
//!
//! Threads   main + 1
//! Bound     the preemptions named at each model; none where the table says so
//! Shrunk    as in `cache.rs`
//! Shows     M1 what is held stays filled, in sight or not, until the last release
//!           M2 what is held keeps its room
//!           M3 what was removed while it was held goes with the last release, once
//!           M4 what a hand put aside is found by hands again after the release
//!           M5 a listener is told of each entry that leaves, once, before it is dropped
//! Blind to  load buffering; figures that steer (`sync/gauge.rs`), statistics; looks without a guard
//! Explores  the least number of executions that each model asserts
#![cfg(loom)]
#![allow(unsafe_code)] // the payloads are looked at through loom's cells, which report every race

#[path = "support/cache.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mapless_loom_tests::explore;
use support::{Builder, Value, World, builder};

/// M1, M2: while this thread holds 1, there is no room for 2.
#[test]
fn hold_against_eviction() {
    explore("hold/evict", None, 50, || {
        let world = World::new(1, &[1]);
        let there = world.spawn(|world| {
            if let Some(held) = world.cache.hold(&1) {
                assert!(world.get(2).is_none(), "M2");
                held.read();
            }
        });
        world.insert(2, 2);
        there.join().expect("no panic");
        assert_eq!(world.cache.entry_count(), 1);
        world.end();
    });
}

#[test]
fn hold_against_removal() {
    explore("hold/remove", Some(5), 50, || {
        let world = World::new(1, &[1]);
        let there = world.spawn(|world| {
            if let Some(held) = world.cache.hold(&1) {
                held.read(); // M1
            }
        });
        assert_eq!(world.remove(1), Some(1));
        there.join().expect("no panic");
        world.end();
    });
}

#[test]
fn hold_against_replace() {
    explore("hold/replace", None, 50, || {
        let world = World::new(2, &[1]);
        let there = world.spawn(|world| {
            let held = world.cache.hold(&1).expect("it is there throughout");
            let number = held.read();
            held.read(); // M1
            number
        });
        assert!(world.insert(1, 2));
        assert!([1, 2].contains(&there.join().expect("no panic")));
        assert_eq!(world.get(1), Some(2));
        world.end();
    });
}

/// M3: a read that began before may look on after the release.
#[test]
fn release_against_get() {
    explore("release/get", Some(5), 50, || {
        let world = World::new(1, &[1]);
        let held = world.cache.hold(&1).expect("it is there");
        let there = world.spawn(|world| {
            let guard = world.cache.pin();
            if let Some(value) = world.cache.get_in(&1, &guard) {
                value.read();
            }
        });
        assert_eq!(world.remove(1), Some(1));
        held.read(); // M1
        drop(held);
        there.join().expect("no panic");
        world.end();
    });
}

#[test]
fn release_against_removal() {
    explore("release/remove", None, 10, || {
        let world = World::new(1, &[1]);
        let held = world.cache.hold(&1).expect("it is there");
        let there = world.spawn(move |_| drop(held));
        assert_eq!(world.remove(1), Some(1));
        there.join().expect("no panic");
        world.end(); // M3
    });
}

#[test]
fn release_against_release() {
    explore("release/release", None, 10, || {
        let world = World::new(1, &[1]);
        let held = world.cache.hold(&1).expect("it is there");
        let other = held.clone();
        assert_eq!(world.remove(1), Some(1));
        let there = world.spawn(move |_| {
            other.read(); // M1
            drop(other);
        });
        held.read(); // M1
        drop(held);
        there.join().expect("no panic");
        world.end(); // M3
    });
}

/// M4: the hand meets a held entry, and puts it aside.
#[test]
fn release_against_a_hand() {
    explore("release/hand", None, 50, || {
        let world = World::new(2, &[1, 2]);
        let held = world.cache.hold(&1).expect("it is there");
        let there = world.spawn(move |_| drop(held));
        assert!(world.insert(3, 3));
        there.join().expect("no panic");
        assert!(world.insert(4, 4) && world.insert(6, 6), "M4");
        let left = [1, 2, 3].map(|key| world.get(key)).into_iter().flatten();
        assert!(left.count() <= 1, "M4: hands find what was put aside");
        assert_eq!(world.cache.entry_count(), 2);
        world.end();
    });
}

#[test]
fn drain_against_get_and_insert() {
    explore("drain/insert", Some(4), 50, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(|world| {
            world.get(1);
            assert!(world.insert(2, 2));
        });
        let drained = world.cache.drain().map(|held| held.read());
        let drained: Vec<u64> = drained.collect();
        assert!(drained.contains(&1), "M1");
        there.join().expect("no panic");
        assert_eq!(world.get(1), None);
        assert_eq!(world.get(2).is_some(), !drained.contains(&2));
        world.end();
    });
}

/// How often a listener was told of each value, a byte each.
#[derive(Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Told {
    fn builder(&self, capacity: u64) -> Builder {
        let told = self.clone();
        builder(capacity).eviction_listener(move |_, value: &Value, _| {
            told.0.fetch_add(1 << (8 * value.read()), Relaxed);
        })
    }

    fn of(&self, number: u64) -> u64 {
        self.0.load(Relaxed) >> (8 * number) & 0xFF
    }
}

/// M5: those that are gone were told of, and no other.
fn told_once(world: World, told: &Told, numbers: &[u64]) {
    world.check();
    let there: Vec<u64> = {
        let guard = world.cache.pin();
        let all = world.cache.iter_in(&guard);
        all.map(|(_, value)| value.number).collect()
    };
    for number in numbers {
        assert_eq!(
            told.of(*number),
            u64::from(!there.contains(number)),
            "M5: {number}"
        );
    }
    world.end();
}

#[test]
fn a_listener_is_told_of_a_removal_or_an_eviction() {
    explore("listener, remove/evict", Some(4), 50, || {
        let told = Told::default();
        let world = World::with(told.builder(1)).and(&[1]);
        let there = world.spawn(|world| world.remove(1));
        assert!(world.insert(2, 2));
        there.join().expect("no panic");
        told_once(world, &told, &[1, 2]);
    });
}

#[test]
fn a_listener_is_told_of_what_readers_look_at() {
    explore("listener, replace/get", Some(4), 50, || {
        let told = Told::default();
        let world = World::with(told.builder(1)).and(&[1]);
        let there = world.spawn(|world| world.get(1).expect("it is there throughout"));
        assert!(world.insert(1, 2));
        assert!([1, 2].contains(&there.join().expect("no panic")));
        told_once(world, &told, &[1, 2]);
    });
}

#[test]
fn a_listener_is_told_of_what_is_held() {
    explore("listener, remove/release", None, 50, || {
        let told = Told::default();
        let world = World::with(told.builder(1)).and(&[1]);
        let held = world.cache.hold(&1).expect("it is there");
        let there = world.spawn(move |_| {
            held.read(); // M1
            drop(held);
        });
        assert_eq!(world.remove(1), Some(1));
        there.join().expect("no panic");
        told_once(world, &told, &[1]);
    });
}

#[test]
fn a_listener_is_told_by_invalidate_all() {
    explore("listener, all/insert", None, 10, || {
        let told = Told::default();
        let world = World::with(told.builder(2)).and(&[1]);
        let there = world.spawn(|world| world.insert(1, 2));
        world.cache.invalidate_all();
        assert!(there.join().expect("no panic"));
        told_once(world, &told, &[1, 2]);
    });
}
