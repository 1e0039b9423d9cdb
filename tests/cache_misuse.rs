//! ClockCache and bad input: typed errors, or what the docs say; never a hang, a leak or a lost count.
//! What the user's own code may do inside the cache is in `tests/cache_callbacks.rs`.
#![cfg(feature = "cache")]

#[path = "support/attempts.rs"]
mod attempts;

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use attempts::{in_time, panics};
use mapless::cache::{BuildError, Computed, Expiry, ManualClock, Mode, Op, Reason, TICK};
use mapless::{ClockCache, Domain};

type Numbers = ClockCache<u64, u64>;
type Builder = mapless::cache::CacheBuilder<u64, u64>;

fn weighted() -> Builder {
    ClockCache::builder()
        .shards(1)
        .weigher(|_, &weight: &u64| weight)
}

/// Makes all keys alike.
#[derive(Clone, Default)]
struct Alike;

impl BuildHasher for Alike {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self
    }
}

impl Hasher for Alike {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        0
    }
}

#[test]
fn a_capacity_of_nothing_takes_in_what_weighs_nothing() {
    for mode in [Mode::Reachable, Mode::Live] {
        let cache = weighted().max_capacity(0).mode(mode).build().unwrap();
        assert_eq!(cache.insert(1, 1).unwrap_err().reason, Reason::TooHeavy);
        assert_eq!(
            cache.insert_wait(1, 1).unwrap_err().reason,
            Reason::TooHeavy
        );
        assert_eq!(cache.get_or_insert_with(1, || 7), 7);
        assert_eq!(
            cache.compute(1, |_| Op::Put(3)),
            Computed::Refused(3, Reason::TooHeavy)
        );
        cache.insert(1, 0).unwrap();
        assert_eq!(
            (cache.get(&1), cache.entry_count(), cache.weighted_size()),
            (Some(0), 1, 0)
        );
    }
}

#[test]
fn the_greatest_capacity_and_the_greatest_weights() {
    for mode in [Mode::Reachable, Mode::Live] {
        for shards in [1, 8] {
            let cache = weighted().mode(mode).shards(shards).build().unwrap();
            assert_eq!(cache.max_capacity(), u64::MAX);
            for key in 0..20 {
                cache.insert(key, u64::MAX).unwrap();
                assert_eq!((cache.entry_count(), cache.weighted_size()), (1, u64::MAX));
            }
            cache.set_capacity(0).unwrap();
            cache.set_capacity(u64::MAX).unwrap();
            cache.insert(1, u64::MAX - 1).unwrap();
            cache.insert(2, 1).unwrap();
            assert_eq!((cache.entry_count(), cache.weighted_size()), (2, u64::MAX));
        }
    }
}

#[test]
fn what_readers_keep_may_weigh_more_than_a_number_says() {
    for shards in [1, 8] {
        let cache = weighted().shards(shards).build().unwrap();
        let guard = cache.pin();
        for key in 0..20 {
            cache.insert(key, u64::MAX).unwrap();
        }
        assert_eq!(
            cache.retained_weight(),
            u64::MAX,
            "as much as a number says"
        );
        drop(guard);
        cache.run_pending_tasks();
        assert_eq!(
            (cache.retained_weight(), cache.weighted_size()),
            (0, u64::MAX)
        );
    }
}

#[test]
fn numbers_of_shards_that_cannot_be() {
    for shards in [0, 3, 8192] {
        let built = weighted().shards(shards).build();
        assert_eq!(built.unwrap_err(), BuildError::Shards(shards));
    }
}

#[test]
fn entries_without_weight_are_bounded_by_their_number() {
    let cache = weighted()
        .max_capacity(10)
        .max_weightless(3)
        .build()
        .unwrap();
    for key in 0..50 {
        cache.insert(key, 0).unwrap();
    }
    assert_eq!((cache.entry_count(), cache.weighted_size()), (3, 0));
    for _ in 0..5 {
        let kept = cache.iter().next().unwrap().0;
        cache.insert(kept, 0).unwrap();
        assert_eq!((cache.get(&kept), cache.entry_count()), (Some(0), 3));
    }
    let held: Vec<_> = cache
        .iter()
        .map(|(key, _)| cache.hold(&key).unwrap())
        .collect();
    assert_eq!(cache.insert(99, 0).unwrap_err().reason, Reason::AllHeld);
    drop(held);
    cache.insert(99, 0).unwrap();
    let least = weighted().max_weightless(0).shards(4).build().unwrap();
    least.insert(1, 0).unwrap(); // at least one to each shard
}

#[test]
fn the_weight_taken_at_insert_counts() {
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    let cache = ClockCache::builder()
        .max_capacity(100)
        .weigher(move |_: &u64, _: &u64| 10 * (1 + count.fetch_add(1, SeqCst)))
        .build()
        .unwrap();
    cache.insert(1, 1).unwrap();
    cache.insert(2, 2).unwrap();
    assert_eq!((cache.weighted_size(), calls.load(SeqCst)), (30, 2));
    cache.get(&1);
    cache.remove(&1);
    assert_eq!((cache.weighted_size(), calls.load(SeqCst)), (20, 2));
    cache.insert(2, 3).unwrap();
    assert_eq!((cache.weighted_size(), calls.load(SeqCst)), (30, 3));
}

#[test]
fn a_full_window_evicts_from_the_window_or_refuses() {
    for mode in [Mode::Reachable, Mode::Live] {
        let builder = ClockCache::builder()
            .max_capacity(10_000)
            .mode(mode)
            .shards(1);
        let cache = builder.hasher(Alike).build().unwrap();
        for key in 0..1_000_u64 {
            cache.insert(key, key).unwrap();
            assert_eq!(cache.get(&key), Some(key));
        }
        let count = cache.entry_count();
        assert!((12..=192).contains(&count), "{count}");
        let held: Vec<_> = cache
            .iter()
            .map(|(key, _)| cache.hold(&key).unwrap())
            .collect();
        let refused = cache.insert(5_000, 1).unwrap_err();
        assert_eq!(
            (refused.key, refused.value, refused.reason),
            (5_000, 1, Reason::AllHeld)
        );
        assert_eq!(cache.get_or_insert_with(5_001, || 8), 8);
        let there = *held[0].key();
        cache.insert(there, 77).unwrap();
        assert_eq!(cache.get(&there), Some(77));
        assert_eq!(cache.entry_count(), count);
        drop(held);
        cache.insert(5_000, 1).unwrap();
        assert_eq!((cache.entry_count(), cache.held_weight()), (count, 0));
    }
}

#[test]
fn no_time_to_live_and_all_time_to_live() {
    let clock = ManualClock::new();
    let make = |live, idle| {
        let builder = weighted().max_capacity(100).clock(clock.clone());
        builder
            .time_to_live(live)
            .time_to_idle(idle)
            .build()
            .unwrap()
    };
    for cache in [
        make(Duration::ZERO, Duration::MAX),
        make(Duration::MAX, Duration::ZERO),
    ] {
        cache.insert(1, 1).unwrap();
        assert_eq!((cache.get(&1), cache.remove(&1)), (None, None));
        assert_eq!(cache.get_or_insert_with(1, || 2), 2);
        assert!(cache.hold(&1).is_none() && cache.iter().next().is_none());
        cache.run_pending_tasks();
        assert_eq!((cache.entry_count(), cache.weighted_size()), (0, 0));
    }
    let cache = make(Duration::MAX, Duration::MAX);
    cache.insert(1, 1).unwrap();
    clock.advance(Duration::from_secs(200 * 86_400));
    assert_eq!(cache.get(&1), Some(1));
    clock.advance(Duration::from_secs(49 * 86_400)); // 248 days are as far as it goes
    assert_eq!(cache.get(&1), None);
}

/// As the value says; a few values panic.
struct ByValue;

impl Expiry<u64, u64> for ByValue {
    fn expire_after_create(&self, _: &u64, value: &u64, _: Instant) -> Option<Duration> {
        match value {
            0 => Some(Duration::ZERO),
            1 => Some(Duration::MAX),
            2 => None,
            3 => panic!("on purpose"),
            ticks => Some(TICK * *ticks as u32),
        }
    }
}

#[test]
fn an_expiry_of_each_kind() {
    let clock = ManualClock::new();
    let builder = ClockCache::builder().max_capacity(10).clock(clock.clone());
    let cache: Numbers = builder.expire_after(ByValue).build().unwrap();
    for value in [0, 1, 2, 10] {
        cache.insert(value, value).unwrap();
    }
    assert!(panics(|| cache.insert(4, 3)));
    assert!(panics(|| cache.get_or_insert_with(3, || 3)));
    assert_eq!(cache.get_or_insert_with(3, || 30), 30);
    assert_eq!(
        [0, 1, 2, 10].map(|key| cache.get(&key)),
        [None, Some(1), Some(2), Some(10)]
    );
    clock.advance(TICK * 10);
    assert_eq!(
        [1, 2, 10, 3].map(|key| cache.get(&key)),
        [Some(1), Some(2), None, Some(30)]
    );
    cache.run_pending_tasks();
    assert_eq!(cache.entry_count(), 3);
}

#[test]
fn a_cache_may_go_while_guards_and_holds_live() {
    let value = Arc::new(5);
    let domain = Domain::new();
    let cache = ClockCache::builder().domain(&domain).build().unwrap();
    cache.insert(1, Arc::clone(&value)).unwrap();
    cache.insert(2, Arc::clone(&value)).unwrap();
    cache.insert(3, Arc::clone(&value)).unwrap();
    let (guard, held, removed) = (
        cache.pin(),
        cache.hold(&1).unwrap(),
        cache.hold(&3).unwrap(),
    );
    cache.invalidate(&3);
    drop(cache);
    assert_eq!((**held, *held.key(), **removed), (5, 1, 5));
    let again = held.clone();
    drop(held);
    drop(guard);
    drop(removed);
    assert_eq!(**again, 5);
    drop(again);
    assert_eq!(
        Arc::strong_count(&value),
        1,
        "the last hold was the last handle"
    );
}

#[test]
fn guards_of_other_domains_are_refused() {
    let (cache, other) = (Numbers::new(10), Domain::new());
    cache.insert(1, 1).unwrap();
    let guard = other.pin();
    assert!(panics(|| cache.get_in(&1, &guard)));
    assert!(panics(|| cache.peek_in(&1, &guard)));
    assert!(panics(|| cache.iter_in(&guard).count()));
    assert!(panics(|| cache.get_many_in(&[&1], &mut [None], &guard)));
    assert!(panics(|| cache.get_many(&[&1], &mut [])));
    assert_eq!(cache.get(&1), Some(1));
}

#[test]
fn a_thread_that_dies_with_a_guard_lets_it_go() {
    in_time(|| {
        let builder = ClockCache::builder()
            .max_capacity(10)
            .shards(1)
            .mode(Mode::Live);
        let cache: Numbers = builder.build().unwrap();
        (0..10).for_each(|key| cache.insert(key, key).unwrap());
        let (pinned, is_pinned) = mpsc::channel();
        let (die, dies) = mpsc::channel();
        let other = cache.clone();
        let dying = thread::spawn(move || {
            let _guard = other.pin();
            pinned.send(()).unwrap();
            let () = dies.recv().unwrap();
            panic!("on purpose");
        });
        is_pinned.recv().unwrap();
        let refused = (10..40).filter_map(|key| cache.insert(key, key).err());
        let reasons: Vec<_> = refused.map(|refused| refused.reason).collect();
        assert!(!reasons.is_empty() && reasons.iter().all(|&reason| reason == Reason::Retained));
        let waiting = cache.clone();
        let waits = thread::spawn(move || {
            (50..70).for_each(|key| {
                waiting.insert_wait(key, key).unwrap();
            })
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!waits.is_finished(), "it waits for the reader");
        die.send(()).unwrap();
        assert!(dying.join().is_err());
        waits.join().unwrap();
        assert!(cache.weighted_size() + cache.retained_weight() <= 10);
    });
}
