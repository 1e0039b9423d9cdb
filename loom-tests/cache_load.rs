//! Model: values that are computed once, against all that writes the key.
//!
//! Threads   main + 1
//! Bound     the preemptions named at each model; none where the table says so
//! Shrunk    as in `cache.rs`
//! Shows     M1 a closure runs once for all who ask meanwhile                          (L1)
//!           M2 who waits is woken, by a value, an error, or a panic                   (L2)
//!           M3 after a panic the next one computes it
//!           M4 what is inserted meanwhile stays
//!           M5 nobody else writes a key while it is being computed upon
//!           M6 nor is it evicted
//!           M7 of two that wait for each other one is told, and the other goes on     (R1, R2)
//! Blind to  load buffering; figures that steer (`sync/gauge.rs`), statistics; looks without a guard
//! Explores  the least number of executions that each model asserts
#![cfg(loom)]
#![allow(unsafe_code)] // the payloads are looked at through loom's cells, which report every race

#[path = "support/cache.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mapless::cache::Op;
use mapless_loom_tests::explore;
use support::{Value, World};

fn load(world: &World, key: u64, number: u64, ran: &AtomicUsize) -> u64 {
    let value = world.cache.get_or_insert_with(key, || {
        ran.fetch_add(1, Relaxed);
        world.value(number)
    });
    value.read()
}

#[test]
fn load_against_load() {
    explore("load/load", None, 10_000, || {
        let (world, ran) = (World::new(3, &[]), Arc::new(AtomicUsize::new(0)));
        let other = Arc::clone(&ran);
        let there = world.spawn(move |world| load(world, 1, 1, &other));
        let here = load(&world, 1, 2, &ran);
        assert_eq!(here, there.join().expect("no panic"), "M2");
        assert_eq!(ran.load(Relaxed), 1, "M1");
        assert_eq!(world.get(1), Some(here));
        world.end();
    });
}

/// M3: one of the two panics.
#[test]
fn load_against_a_load_that_panics() {
    explore("load/panic", None, 10_000, || {
        let (world, ran) = (World::new(3, &[]), AtomicUsize::new(0));
        let there = world.spawn(|world| {
            let loads = || {
                world
                    .cache
                    .get_or_insert_with(1, || resume_unwind(Box::new(())))
            };
            catch_unwind(AssertUnwindSafe(loads)).map(|value| value.read())
        });
        let here = load(&world, 1, 2, &ran);
        let there = there.join().expect("what panics is caught");
        assert!(there.is_err() || there.is_ok_and(|value| value == 2), "M2");
        assert_eq!((here, ran.load(Relaxed)), (2, 1), "M3");
        world.end();
    });
}

/// M2: an error is shared by those who wait, and by no others.
#[test]
fn load_against_a_load_that_fails() {
    explore("load/fail", None, 10_000, || {
        let world = World::new(3, &[]);
        let there = world.spawn(|world| {
            let failed = world
                .cache
                .try_get_or_insert_with(1, || Err::<Value, u64>(7));
            failed.map(|value| value.read()).map_err(|error| *error)
        });
        let here = world
            .cache
            .try_get_or_insert_with(1, || Ok::<Value, u64>(world.value(2)));
        let here = here.map(|value| value.read()).map_err(|error| *error);
        let there = there.join().expect("no panic");
        assert!(there == Err(7) || there == Ok(2), "M2");
        assert!(here == Ok(2) || here == Err(7) && there == Err(7), "M2");
        world.end();
    });
}

/// M4.
#[test]
fn load_against_insert() {
    explore("load/insert", None, 800, || {
        let (world, ran) = (World::new(3, &[]), Arc::new(AtomicUsize::new(0)));
        let there = world.spawn(|world| world.insert(1, 1));
        load(&world, 1, 2, &ran);
        assert!(there.join().expect("no panic"));
        assert_eq!(world.get(1), Some(1), "M4");
        world.end();
    });
}

#[test]
fn load_against_removal() {
    explore("load/remove", Some(4), 2000, || {
        let (world, ran) = (World::new(3, &[1]), AtomicUsize::new(0));
        let there = world.spawn(|world| world.remove(1));
        let here = load(&world, 1, 2, &ran);
        let removed = there.join().expect("no panic").expect("there throughout");
        assert!(here >= removed, "what was removed is not loaded again");
        world.end();
    });
}

fn add_one(world: &World) {
    world.cache.compute(1, |seen| {
        let next = seen.map_or(1, |value| value.read() + 1);
        Op::Put(world.value(next))
    });
}

/// M5: none of two additions is lost.
#[test]
fn compute_against_compute() {
    explore("compute/compute", None, 50, || {
        let world = World::new(3, &[]);
        let there = world.spawn(add_one);
        add_one(&world);
        there.join().expect("no panic");
        assert_eq!(world.get(1), Some(2), "M5");
        world.end();
    });
}

/// M5: an insert comes before or after, and is not overwritten unseen.
#[test]
fn compute_against_insert() {
    explore("compute/insert", None, 90, || {
        let world = World::new(3, &[]);
        let there = world.spawn(add_one);
        assert!(world.insert(1, 5));
        there.join().expect("no panic");
        assert!([5, 6].contains(&world.get(1).expect("it is there")), "M5");
        world.end();
    });
}

#[test]
fn compute_against_removal() {
    explore("compute/remove", Some(4), 2000, || {
        let world = World::new(3, &[1]);
        let there = world.spawn(add_one);
        let removed = world.remove(1).expect("it is there throughout");
        there.join().expect("no panic");
        assert_eq!(world.get(1), (removed == 1).then_some(1), "M5");
        world.end();
    });
}

/// M6.
#[test]
fn compute_against_eviction() {
    explore("compute/evict", Some(3), 500, || {
        let world = World::new(1, &[1]);
        let there = world.spawn(|world| world.insert(2, 5));
        world.cache.compute(1, |seen| {
            let again = world.get(1);
            assert_eq!(seen.map(|value| value.read()), again, "M6");
            Op::Put(world.value(again.map_or(1, |number| number + 1)))
        });
        let inserted = there.join().expect("no panic");
        let (one, two) = (world.get(1), world.get(2));
        assert!(inserted || (one, two) == (Some(2), None), "M6");
        world.end();
    });
}

/// Computes a key, and inside of that another one; whether that could be.
fn load_both(world: &World, outer: u64, inner: u64) -> bool {
    let make = || world.cache.get_or_insert_with(inner, || world.value(inner));
    let loads = || {
        world.cache.get_or_insert_with(outer, || {
            make().read();
            world.value(outer)
        })
    };
    let quietly = AssertUnwindSafe(loads);
    catch_unwind(quietly).is_ok_and(|value| value.read() == outer)
}

/// M7.
#[test]
fn loads_that_wait_for_each_other() {
    explore("load/ring", Some(2), 500, || {
        let world = World::new(3, &[]);
        let there = world.spawn(|world| load_both(world, 1, 2));
        let here = load_both(&world, 2, 1);
        let there = there.join().expect("what panics is caught");
        assert!(here || there, "M7");
        assert_eq!((world.get(1), world.get(2)), (Some(1), Some(2)), "M7");
        world.end();
    });
}
