//! Programs for moka's `future` cache, after what its documentation shows, run against
//! `mapless::cache::moka_compat` on an executor of a few lines, as on any other. Each would run with
//! moka itself, were its `use` line another. Listeners are in
//! `tests/moka_compat_future_listener.rs`, what is computed in `tests/moka_compat_future_computed.rs`.
//! What differs is in `tests/moka_differs.rs`.

#![cfg(feature = "cache")]

#[path = "support/tasks.rs"]
mod tasks;

use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;
use tasks::is_send;

/// Longer than a tick of either clock.
const MOMENT: Duration = Duration::from_millis(100);

// ---------------------------------------------------------------- entries in and out

#[test]
fn many_tasks_insert_get_and_invalidate() {
    use mapless::cache::moka_compat::future::Cache;

    fn value(n: usize) -> String {
        format!("value {n}")
    }
    const TASKS: usize = 8;
    const KEYS: usize = 64;

    let cache = Cache::new(10_000);
    let tasks: Vec<_> = (0..TASKS)
        .map(|i| {
            let cache = cache.clone();
            let task = is_send(async move {
                for key in i * KEYS..(i + 1) * KEYS {
                    cache.insert(key, value(key)).await;
                    assert_eq!(cache.get(&key).await, Some(value(key)));
                }
                for key in (i * KEYS..(i + 1) * KEYS).step_by(4) {
                    cache.invalidate(&key).await;
                }
            });
            thread::spawn(move || block_on(task))
        })
        .collect();
    tasks.into_iter().for_each(|t| t.join().unwrap());

    block_on(async {
        for key in 0..TASKS * KEYS {
            let expected = (key % 4 != 0).then(|| value(key));
            assert_eq!(cache.get(&key).await, expected);
        }
    });
}

#[test]
fn entries_come_and_go() {
    use mapless::cache::moka_compat::future::Cache;

    block_on(async {
        let cache: Cache<String, u32> = Cache::new(100);
        cache.insert("a".to_string(), 1).await;
        assert_eq!(cache.get("a").await, Some(1));
        assert!(cache.contains_key("a"));
        assert_eq!(cache.remove("a").await, Some(1));
        assert_eq!(cache.remove("a").await, None);
        cache.invalidate("a").await;
        for n in 0..50 {
            cache.insert(n.to_string(), n).await;
        }
        cache.run_pending_tasks().await;
        assert_eq!((cache.entry_count(), cache.weighted_size()), (50, 50));
        cache.invalidate_all();
        assert_eq!(cache.get("7").await, None);
        cache.run_pending_tasks().await;
        assert_eq!(cache.entry_count(), 0);
    });
}

#[test]
fn a_future_does_nothing_before_it_is_polled() {
    use mapless::cache::moka_compat::future::Cache;

    let cache: Cache<u8, u8> = Cache::new(100);
    drop(cache.insert(1, 1));
    assert!(!cache.contains_key(&1));
}

#[test]
fn entries_are_invalidated_by_a_predicate() {
    use mapless::cache::moka_compat::PredicateError;
    use mapless::cache::moka_compat::future::{Cache, PredicateId};

    block_on(async {
        let cache = Cache::builder().support_invalidation_closures().build();
        for n in 0..20_u32 {
            cache.insert(n, n.to_string()).await;
        }
        let id: PredicateId = cache.invalidate_entries_if(|key, _| key % 2 == 0).unwrap();
        assert!(!id.is_empty());
        for n in 0..20 {
            assert_eq!(cache.get(&n).await.is_some(), n % 2 == 1);
        }
        let deaf: Cache<u32, u32> = Cache::new(100);
        let error = deaf.invalidate_entries_if(|_, _| true).unwrap_err();
        assert!(matches!(
            error,
            PredicateError::InvalidationClosuresDisabled
        ));
    });
}

#[test]
fn all_entries_are_walked_through() {
    use mapless::cache::moka_compat::future::{Cache, Iter};

    let cache = Cache::new(1_000);
    block_on(async {
        for n in 0..100 {
            cache.insert(n, n * n).await;
        }
    });
    let walk: Iter<'_, u32, u32> = cache.iter();
    let mut all: Vec<(u32, u32)> = walk.map(|(key, value)| (*key, value)).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..100).map(|n| (n, n * n))));
    let mut count = 0;
    for (key, value) in &cache {
        assert_eq!(*key * *key, value);
        count += 1;
    }
    assert_eq!(count, 100);

    let one = Cache::new(10);
    block_on(one.insert("a", 1));
    assert_eq!(format!("{one:?}"), r#"{"a": 1}"#);
}

#[test]
fn a_cache_is_bounded() {
    use mapless::cache::moka_compat::future::Cache;

    block_on(async {
        let cache = Cache::builder()
            .weigher(|_key, value: &String| -> u32 { value.len().try_into().unwrap_or(u32::MAX) })
            .max_capacity(32 * 1024)
            .build();
        for n in 0..100 {
            cache.insert(n, "x".repeat(1_000)).await;
        }
        cache.run_pending_tasks().await;
        assert!(cache.weighted_size() <= 32 * 1024);
        assert_eq!(cache.weighted_size(), cache.entry_count() * 1_000);
    });
}

// ---------------------------------------------------------------- time

#[test]
fn entries_live_for_a_time() {
    use mapless::cache::moka_compat::future::Cache;

    block_on(async {
        let cache = Cache::builder()
            .time_to_live(MOMENT * 4)
            .time_to_idle(MOMENT * 2)
            .build();
        cache.insert("used", 1).await;
        cache.insert("idle", 2).await;
        for _ in 0..3 {
            thread::sleep(MOMENT);
            assert_eq!(cache.get("used").await, Some(1));
        }
        assert_eq!(cache.get("idle").await, None);
        thread::sleep(MOMENT * 2);
        assert_eq!(cache.get("used").await, None);
        cache.run_pending_tasks().await;
        assert_eq!(cache.entry_count(), 0);
    });
}

#[test]
fn each_entry_has_its_own_time() {
    use mapless::cache::moka_compat::{Expiry, future::Cache};
    use std::time::Instant;

    struct ByValue;
    impl Expiry<u32, Option<Duration>> for ByValue {
        fn expire_after_create(
            &self,
            _: &u32,
            value: &Option<Duration>,
            _: Instant,
        ) -> Option<Duration> {
            *value
        }
    }
    block_on(async {
        let cache = Cache::builder().expire_after(ByValue).build();
        cache.get_with(0, async { Some(MOMENT) }).await;
        cache.get_with(1, async { None }).await;
        assert!(cache.contains_key(&0) && cache.contains_key(&1));
        thread::sleep(MOMENT * 2);
        assert!(!cache.contains_key(&0) && cache.contains_key(&1));
    });
}

// ---------------------------------------------------------------- builders and types

#[test]
fn a_builder_is_told_everything() {
    use mapless::cache::moka_compat::future::{Cache, CacheBuilder};
    use mapless::cache::moka_compat::policy::EvictionPolicy;

    let cache: Cache<char, &str> = CacheBuilder::new(100)
        .name("tracked_sessions")
        .initial_capacity(10)
        .eviction_policy(EvictionPolicy::tiny_lfu())
        .time_to_live(Duration::from_secs(45 * 60))
        .time_to_idle(Duration::from_secs(15 * 60))
        .weigher(|_, _| 1)
        .eviction_listener(|_, _, _| ())
        .support_invalidation_closures()
        .build();
    assert_eq!(cache.name(), Some("tracked_sessions"));
    assert_eq!(cache.policy().max_capacity(), Some(100));
    assert_eq!(
        cache.policy().time_to_live(),
        Some(Duration::from_secs(45 * 60))
    );
    assert_eq!(
        cache.policy().time_to_idle(),
        Some(Duration::from_secs(15 * 60))
    );
    let plain: Cache<char, &str> = CacheBuilder::default().build();
    assert_eq!(plain.policy().max_capacity(), None);
    let hashed: Cache<i32, String, ahash::RandomState> =
        Cache::builder().build_with_hasher(ahash::RandomState::default());
    block_on(async {
        hashed.insert(1, "one".to_string()).await;
        assert_eq!(hashed.get(&1).await.as_deref(), Some("one"));
    });
}

#[test]
#[should_panic(expected = "time_to_live is longer than 1000 years")]
fn a_time_of_more_than_a_thousand_years_is_none() {
    use mapless::cache::moka_compat::future::{Cache, CacheBuilder};

    let years = Duration::from_secs(1_000 * 365 * 24 * 3_600 + 1);
    let builder: CacheBuilder<u8, u8, Cache<u8, u8>> = Cache::builder();
    let _ = builder.time_to_live(years).build();
}

#[test]
fn types_are_named_without_bounds() {
    use mapless::cache::moka_compat::future::{Cache, OwnedKeyEntrySelector, RefKeyEntrySelector};
    use std::collections::hash_map::RandomState;

    #[derive(Clone)]
    struct Layer<K, V> {
        cache: Cache<K, V>,
    }
    impl<K, V> Layer<K, V> {
        fn count(&self) -> u64 {
            self.cache.entry_count()
        }
    }
    async fn one(entry: OwnedKeyEntrySelector<'_, u8, u8, RandomState>) -> u8 {
        entry.or_insert(1).await.into_value()
    }
    async fn two(entry: RefKeyEntrySelector<'_, u8, u8, u8, RandomState>) -> u8 {
        entry.or_insert(2).await.into_value()
    }
    fn is_shared<T: Clone + Send + Sync + 'static>(value: &T) -> T {
        value.clone()
    }

    let layer = is_shared(&Layer {
        cache: Cache::new(10),
    });
    block_on(async {
        assert_eq!(one(layer.cache.entry(1)).await, 1);
        assert_eq!(two(layer.cache.entry_by_ref(&2)).await, 2);
        layer.cache.run_pending_tasks().await;
    });
    assert_eq!(layer.count(), 2);
}
