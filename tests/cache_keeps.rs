//! What a key has stays until its successor is in: nobody's room is made of it.
//!
//! * K1  What is being computed anew is not evicted meanwhile.
//! * K2  What is to be replaced is not evicted for its successor, nor lost where that is refused.
//! * K3  A computed value that was refused goes to nobody.
#![cfg(feature = "cache")]

use std::thread;
use std::time::Duration;

use mapless::ClockCache;
use mapless::cache::{Computed, Mode, Op, Reason};

/// Weights are values.
fn weighing(capacity: u64, shards: usize) -> ClockCache<u64, u64> {
    let builder = ClockCache::builder().max_capacity(capacity).shards(shards);
    builder.weigher(|_, value| *value).build().unwrap()
}

#[test]
fn what_is_computed_is_not_evicted() {
    for mode in [Mode::Reachable, Mode::Live] {
        let builder = ClockCache::builder().max_capacity(8).mode(mode);
        let cache: ClockCache<u64, u64> = builder.build().unwrap();
        cache.insert(0, 1).unwrap();
        let computed = cache.compute(0, |seen| {
            for key in 1..1000 {
                let _ = cache.insert(key, 0); // in `Live` what has left may be in the way
                cache.run_pending_tasks();
                assert_eq!(cache.peek(&0), seen.copied(), "K1, {mode:?}");
            }
            Op::Put(2)
        });
        assert_eq!(computed, Computed::ReplacedWith(2));
        assert_eq!(cache.weighted_size(), cache.iter().count() as u64);
        cache.set_capacity(0).unwrap();
        assert_eq!(cache.peek(&0), None, "it is as any other afterwards");
    }
}

#[test]
fn what_is_removed_while_it_is_computed_is_gone() {
    let cache: ClockCache<u64, u64> = ClockCache::new(8);
    cache.insert(0, 1).unwrap();
    let computed = cache.compute(0, |seen| {
        cache.invalidate_all();
        assert_eq!((seen, cache.peek(&0)), (Some(&1), None));
        Op::Nop
    });
    assert_eq!(computed, Computed::Unchanged(1));
    cache.run_pending_tasks();
    let left = (cache.entry_count(), cache.weighted_size());
    assert_eq!((left, cache.retained_weight()), ((0, 0), 0));
}

#[test]
fn what_is_replaced_is_not_evicted_for_it() {
    for shards in [1, 8] {
        let cache = weighing(1000, shards);
        for round in 0..2000u64 {
            let key = round % 40;
            let weight = 1 + round * 7919 % 90;
            if cache.contains_key(&key) {
                let replaced = cache.replace(key, weight).map_err(|refused| refused.reason);
                assert_eq!(replaced, Ok(()), "K2");
            } else {
                cache.insert(key, weight).unwrap();
            }
            assert!(cache.weighted_size() <= 1000);
        }
    }
}

#[test]
fn what_is_not_replaced_stays() {
    for shards in [1, 8] {
        let cache = weighing(100, shards);
        cache.insert(0, 10).unwrap();
        cache.insert(1, 60).unwrap();
        let held = cache.hold(&1).unwrap();
        for weight in [41, 60, 90, 100, 101] {
            let refused = cache.insert(0, weight).unwrap_err();
            let expected = if weight > 100 {
                Reason::TooHeavy
            } else {
                Reason::AllHeld
            };
            assert_eq!(refused.reason, expected);
            assert_eq!(cache.get(&0), Some(10), "K2");
        }
        cache.insert(0, 40).unwrap();
        drop(held);
        cache.insert(0, 100).unwrap();
        assert_eq!((cache.get(&0), cache.get(&1)), (Some(100), None));
    }
}

#[test]
fn a_refused_computation_leaves_those_who_wait_to_themselves() {
    let cache = weighing(10, 1);
    let mut computed = None;
    let loaded = thread::scope(|scope| {
        let mut waiter = None;
        computed = Some(cache.compute(0, |_| {
            let cache = &cache;
            waiter = Some(scope.spawn(move || cache.get_or_insert_with(0, || 5)));
            thread::sleep(Duration::from_millis(20)); // most often it waits by then
            Op::Put(11)
        }));
        waiter.expect("it was asked").join().unwrap()
    });
    assert_eq!(computed, Some(Computed::Refused(11, Reason::TooHeavy)));
    assert_eq!((loaded, cache.get(&0)), (5, Some(5)), "K3");
}
