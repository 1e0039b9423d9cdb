//! ClockCache: what each method does, one at a time.
#![cfg(feature = "cache")]

#[path = "support/attempts.rs"]
mod attempts;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mapless::ClockCache;
use mapless::cache::{Cause, Computed, ManualClock, Mode, Op, Reason};

type Told = Arc<Mutex<Vec<(u64, u64, Cause)>>>;

fn listened(capacity: u64) -> (ClockCache<u64, u64>, Told) {
    let told = Told::default();
    let to = Arc::clone(&told);
    let cache = ClockCache::builder()
        .max_capacity(capacity)
        .shards(1)
        .eviction_listener(move |&key, &value, cause| to.lock().unwrap().push((key, value, cause)))
        .build()
        .unwrap();
    (cache, told)
}

#[test]
fn what_goes_in_is_found_and_what_is_removed_is_not() {
    let cache = ClockCache::new(10);
    cache.insert(1, "one").unwrap();
    assert_eq!(cache.get(&1), Some("one"));
    assert_eq!(cache.get_in(&1, &cache.pin()), Some(&"one"));
    assert!(cache.contains_key(&1) && !cache.contains_key(&2));
    cache.insert(1, "uno").unwrap();
    assert_eq!((cache.get(&1), cache.entry_count()), (Some("uno"), 1));
    assert_eq!(cache.remove(&1), Some("uno"));
    assert_eq!((cache.get(&1), cache.remove(&1)), (None, None));
    assert_eq!((cache.entry_count(), cache.weighted_size()), (0, 0));
}

#[test]
fn insert_if_absent_and_replace_hand_back_what_they_refuse() {
    let cache = ClockCache::new(10);
    let refused = cache.replace(1, 10).unwrap_err();
    assert_eq!(
        (refused.key, refused.value, refused.reason),
        (1, 10, Reason::Occupancy)
    );
    cache.insert_if_absent(1, 10).unwrap();
    assert_eq!(cache.insert_if_absent(1, 11).unwrap_err().value, 11);
    cache.replace(1, 12).unwrap();
    assert_eq!(cache.get(&1), Some(12));
}

#[test]
fn the_capacity_is_kept_and_everything_that_leaves_is_told_once() {
    let (cache, told) = listened(100);
    for key in 0..1_000 {
        cache.insert(key, key).unwrap();
        assert!(cache.entry_count() <= 100);
    }
    assert_eq!(cache.entry_count(), 100);
    let mut left: Vec<u64> = told.lock().unwrap().iter().map(|&(key, ..)| key).collect();
    left.sort_unstable();
    assert_eq!(left.len(), 900);
    left.dedup();
    assert_eq!(left.len(), 900);
    assert!(
        told.lock()
            .unwrap()
            .iter()
            .all(|&(_, _, cause)| cause == Cause::Size)
    );
    told.lock().unwrap().clear();
    cache.invalidate_all();
    assert_eq!(told.lock().unwrap().len(), 100);
    assert_eq!(cache.entry_count(), 0);
    assert!((0..1_000).all(|key| cache.get(&key).is_none()));
    for key in 0..1_000 {
        cache.insert(key, key).unwrap();
    }
    assert_eq!(cache.entry_count(), 100);
}

#[test]
fn each_way_out_is_told_once_with_its_cause() {
    let (cache, told) = listened(2);
    cache.insert(1, 10).unwrap();
    cache.insert(1, 11).unwrap();
    cache.compute(1, |_| Op::Put(12));
    cache.replace(1, 13).unwrap();
    assert_eq!(cache.remove(&1), Some(13));
    let replaced = |value| (1, value, Cause::Replaced);
    let expected = [
        replaced(10),
        replaced(11),
        replaced(12),
        (1, 13, Cause::Explicit),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    told.lock().unwrap().clear();
    for key in 1..=3 {
        cache.insert(key, key).unwrap();
    }
    assert!(matches!(told.lock().unwrap()[..], [(_, _, Cause::Size)]));
}

#[test]
fn what_is_held_stays_and_counts() {
    let (cache, told) = listened(10);
    cache.insert(1, 10).unwrap();
    let held = cache.hold(&1).unwrap();
    for key in 100..1_000 {
        cache.insert(key, key).unwrap();
    }
    assert_eq!(cache.get(&1), Some(10));
    assert!(cache.invalidate(&1));
    assert_eq!((cache.get(&1), *held, *held.key()), (None, 10, 1));
    assert_eq!(cache.held_weight(), 1);
    assert_eq!(cache.weighted_size(), 10);
    assert_eq!(cache.entry_count(), 9);
    drop(held);
    assert_eq!((cache.held_weight(), cache.weighted_size()), (0, 9));
    let of_one = |told: &Told| {
        told.lock()
            .unwrap()
            .iter()
            .filter(|left| left.0 == 1)
            .count()
    };
    assert_eq!(of_one(&told), 1);
}

#[test]
fn an_insert_that_finds_only_what_is_held_gets_its_value_back() {
    let cache = ClockCache::builder().max_capacity(8).build().unwrap();
    let held: Vec<_> = (0..8)
        .map(|key| {
            cache.insert(key, key).unwrap();
            cache.hold(&key).unwrap()
        })
        .collect();
    let refused = cache.insert(8, 80).unwrap_err();
    assert_eq!((refused.value, refused.reason), (80, Reason::AllHeld));
    assert_eq!(cache.insert(3, 33).unwrap_err().reason, Reason::AllHeld);
    drop(held);
    cache.insert(8, 80).unwrap();
    assert_eq!(cache.entry_count(), 8);
}

#[test]
fn one_item_as_large_as_the_cache_fits_whatever_the_shards() {
    let cache = ClockCache::builder()
        .max_capacity(1_000)
        .shards(16)
        .weigher(|_, &weight: &u64| weight)
        .build()
        .unwrap();
    for key in 0..100 {
        cache.insert(key, 10).unwrap();
    }
    cache.insert(1_000, 1_000).unwrap();
    assert_eq!((cache.entry_count(), cache.weighted_size()), (1, 1_000));
    assert_eq!(cache.insert(7, 1_001).unwrap_err().reason, Reason::TooHeavy);
    cache.insert(7, 1).unwrap();
    assert_eq!(cache.weighted_size(), 1);
}

#[test]
fn a_live_cache_counts_what_readers_keep() {
    let cache = ClockCache::builder()
        .max_capacity(10)
        .mode(Mode::Live)
        .build()
        .unwrap();
    for key in 0..100 {
        cache.insert(key, key).unwrap();
    }
    assert!(cache.weighted_size() + cache.retained_weight() <= 10);
    let guard = cache.pin();
    let mut refused = 0;
    for key in 100..200 {
        match cache.insert(key, key) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.reason, Reason::Retained);
                refused += 1;
            }
        }
        assert!(cache.weighted_size() + cache.retained_weight() <= 10);
    }
    assert!(refused > 0);
    assert!(
        cache.entry_count() >= 5,
        "a stuck reader does not empty the cache"
    );
    assert_eq!(
        cache.insert_wait(500, 5).unwrap_err().reason,
        Reason::OwnGuard
    );
    drop(guard);
    cache.insert_wait(500, 5).unwrap();
}

#[test]
fn loads_run_once_and_fail_together_or_alone() {
    attempts::in_time(loads_once);
}

fn loads_once() {
    let cache = ClockCache::new(100);
    let runs = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let value = cache.get_or_insert_with(1, || {
                    runs.fetch_add(1, Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                    42
                });
                assert_eq!(value, 42);
            });
        }
    });
    assert_eq!(runs.load(Relaxed), 1);
    let error = cache.try_get_or_insert_with(2, || Err::<i32, _>("no"));
    assert_eq!(*error.unwrap_err(), "no");
    assert_eq!(cache.try_get_or_insert_with(2, || Ok::<_, &str>(7)), Ok(7));
    let panics = std::panic::catch_unwind(|| cache.get_or_insert_with(3, || panic!("on purpose")));
    assert!(panics.is_err());
    assert_eq!(cache.get_or_insert_with(3, || 3), 3);
    let own = std::panic::catch_unwind(|| {
        cache.get_or_insert_with(4, || cache.get_or_insert_with(4, || 4))
    });
    let message = *own.unwrap_err().downcast::<&str>().unwrap();
    assert!(
        message.contains("waits for the value of that key"),
        "{message}"
    );
    assert_eq!(cache.get_or_insert_with(4, || 44), 44);
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_failures), (4, 1));
}

#[test]
fn compute_decides() {
    let cache = ClockCache::new(100);
    assert_eq!(cache.compute(1, |_| Op::Nop), Computed::StillNone);
    assert_eq!(cache.compute(1, |_| Op::Put(5)), Computed::Inserted(5));
    assert_eq!(cache.compute(1, |_| Op::Nop), Computed::Unchanged(5));
    let more = |seen: Option<&i32>| Op::Put(seen.unwrap() + 1);
    assert_eq!(cache.compute(1, more), Computed::ReplacedWith(6));
    assert_eq!(cache.compute(1, |_| Op::Remove), Computed::Removed(6));
    assert_eq!(cache.get(&1), None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    cache.compute(9, |seen| Op::Put(seen.map_or(1, |n| n + 1)));
                }
            });
        }
    });
    assert_eq!(cache.get(&9), Some(4_000));
}

#[test]
fn entries_expire() {
    let clock = ManualClock::new();
    let cache = ClockCache::builder()
        .max_capacity(100)
        .time_to_live(Duration::from_secs(10))
        .time_to_idle(Duration::from_secs(4))
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 1).unwrap();
    cache.insert(2, 2).unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(3));
        assert_eq!(cache.get(&1), Some(1));
    }
    assert_eq!(cache.get(&2), None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get(&1), None);
    cache.run_pending_tasks();
    assert_eq!((cache.entry_count(), cache.retained_weight()), (0, 0));
    assert_eq!(cache.stats().expired, 2);
}

#[test]
fn walks_and_sweeps() {
    let cache: ClockCache<u64, u64> = ClockCache::new(1_000);
    cache.extend((0..500).map(|key| (key, key * 2)));
    let mut all: Vec<_> = cache.iter().collect();
    all.sort_unstable();
    assert!(all.iter().copied().eq((0..500).map(|key| (key, key * 2))));
    cache.retain(|key, _| key % 2 == 0);
    assert_eq!(cache.entry_count(), 250);
    let mut drained: Vec<_> = cache.drain().map(|held| *held.key()).collect();
    drained.sort_unstable();
    assert!(drained.into_iter().eq((0..500).step_by(2)));
    assert_eq!((cache.entry_count(), cache.weighted_size()), (0, 0));
    let mut values = [None; 3];
    cache.insert(5, 50).unwrap();
    cache.get_many(&[&4, &5, &6], &mut values);
    assert_eq!(values, [None, Some(50), None]);
}

#[test]
fn the_capacity_changes() {
    let cache: ClockCache<u64, u64> = ClockCache::builder()
        .max_capacity(1_000)
        .shards(4)
        .build()
        .unwrap();
    cache.extend((0..1_000).map(|key| (key, key)));
    cache.set_capacity(100).unwrap();
    assert!(cache.entry_count() <= 100);
    let held: Vec<_> = cache
        .iter()
        .take(60)
        .map(|(key, _)| cache.hold(&key).unwrap())
        .collect();
    assert!(cache.set_capacity(59).is_err());
    assert_eq!(cache.max_capacity(), 100);
    cache.set_capacity(60).unwrap();
    assert_eq!(cache.entry_count(), 60);
    drop(held);
    cache.set_capacity(2_000).unwrap();
    cache.extend((0..2_000).map(|key| (key, key)));
    assert!(
        cache.entry_count() >= 1_960,
        "shards keep little to themselves"
    );
    cache.set_capacity(0).unwrap();
    assert_eq!(cache.insert(1, 1).unwrap_err().reason, Reason::TooHeavy);
}

/// Weights of 2^32 and more are written down elsewhere than those below.
#[test]
fn weights_are_exact_around_four_billion() {
    let most = u64::from(u32::MAX);
    let builder = ClockCache::builder().max_capacity(8 * most).shards(1);
    let builder = builder.weigher(|_: &u64, &weight: &u64| weight);
    let cache: ClockCache<u64, u64> = builder.build().unwrap();
    let weights = [most - 1, most, most + 1, 1, 2 * most, 0, 7 * most];
    for round in 0..200 {
        cache
            .insert(round % 5, weights[round as usize % 7])
            .unwrap();
        cache.run_pending_tasks();
        let sum: u64 = cache.iter().map(|(_, weight)| weight).sum();
        assert_eq!((cache.weighted_size(), cache.retained_weight()), (sum, 0));
        assert!(sum <= 8 * most);
    }
}
