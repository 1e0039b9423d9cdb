//! Programs for moka's `future` cache, after what its documentation shows, run against
//! `mapless::cache::moka_compat` on an executor of a few lines, as on any other. Each would run with
//! moka itself, were its `use` line another. What differs is in `tests/moka_differs.rs`.

#![cfg(feature = "cache")]

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once, yield_now, zip};

/// Longer than a tick of either clock.
const MOMENT: Duration = Duration::from_millis(100);

/// Gives others their turn, some times.
async fn a_while() {
    for _ in 0..5 {
        yield_now().await;
    }
}

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

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

// ---------------------------------------------------------------- listeners

#[test]
fn a_plain_listener_is_told() {
    use mapless::cache::moka_compat::{future::Cache, notification::RemovalCause};

    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let cache = Cache::builder()
        .max_capacity(10)
        .eviction_listener(move |key: Arc<u32>, value: &str, cause| {
            tell.lock().unwrap().push((*key, value, cause));
        })
        .build();
    block_on(async {
        cache.insert(1, "one").await;
        cache.insert(1, "uno").await;
        cache.invalidate(&1).await;
        cache.run_pending_tasks().await;
    });
    let expected = [
        (1, "one", RemovalCause::Replaced),
        (1, "uno", RemovalCause::Explicit),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn an_asynchronous_listener_is_awaited() {
    use mapless::cache::moka_compat::future::{Cache, FutureExt};
    use mapless::cache::moka_compat::notification::{ListenerFuture, RemovalCause};

    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let listener = move |key: Arc<u32>, value: u32, cause: RemovalCause| -> ListenerFuture {
        let tell = Arc::clone(&tell);
        async move {
            a_while().await;
            tell.lock().unwrap().push((*key, value, cause));
        }
        .boxed()
    };
    let cache = Cache::builder()
        .max_capacity(100)
        .weigher(|_, weight: &u32| *weight)
        .time_to_live(MOMENT * 2)
        .async_eviction_listener(listener)
        .build();
    let last = || told.lock().unwrap().last().copied();
    block_on(is_send(async {
        cache.insert(1, 1).await;
        cache.insert(1, 2).await;
        assert_eq!(last(), Some((1, 1, RemovalCause::Replaced)));
        assert_eq!(cache.remove(&1).await, Some(2));
        assert_eq!(last(), Some((1, 2, RemovalCause::Explicit)));
        cache.entry(2).or_insert(3).await;
        cache.entry(2).and_upsert_with(|_| async { 4 }).await;
        assert_eq!(last(), Some((2, 3, RemovalCause::Replaced)));
        cache.insert(3, 101).await;
        cache.run_pending_tasks().await;
        assert_eq!(last(), Some((3, 101, RemovalCause::Size)));
        thread::sleep(MOMENT * 3);
        cache.run_pending_tasks().await;
        assert_eq!(last(), Some((2, 4, RemovalCause::Expired)));
        assert_eq!(told.lock().unwrap().len(), 5);
    }));
}

#[test]
fn an_asynchronous_listener_hears_of_all_that_is_invalidated() {
    use mapless::cache::moka_compat::future::{Cache, FutureExt};

    let told = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    let cache = Cache::builder()
        .async_eviction_listener(move |_, _, _| {
            let tell = Arc::clone(&tell);
            async move {
                a_while().await;
                tell.fetch_add(1, SeqCst);
            }
            .boxed()
        })
        .build();
    block_on(async {
        for n in 0..100 {
            cache.insert(n, n).await;
        }
        cache.invalidate_all();
        cache.run_pending_tasks().await;
    });
    assert_eq!(told.load(SeqCst), 100);
}

#[test]
fn a_dropped_call_leaves_its_listener_to_the_next() {
    use mapless::cache::moka_compat::future::{Cache, FutureExt};

    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let cache = Cache::builder()
        .async_eviction_listener(move |key: Arc<u32>, value: u32, _| {
            let tell = Arc::clone(&tell);
            async move {
                a_while().await;
                tell.lock().unwrap().push((*key, value));
            }
            .boxed()
        })
        .build();
    block_on(async {
        cache.insert(1, 1).await;
        assert!(poll_once(cache.insert(1, 2)).await.is_none());
        cache.run_pending_tasks().await;
        assert_eq!(*told.lock().unwrap(), [(1, 1)]);
        assert_eq!(cache.get(&1).await, Some(2));
    });
}

#[test]
fn an_asynchronous_listener_that_panics_does_no_harm() {
    use mapless::cache::moka_compat::future::{Cache, FutureExt};

    block_on(async {
        let cache = Cache::builder()
            .async_eviction_listener(|_, _, _| {
                async {
                    a_while().await;
                    panic!("on purpose");
                }
                .boxed()
            })
            .build();
        cache.insert(1, 1).await;
        cache.insert(1, 2).await;
        assert_eq!(cache.remove(&1).await, Some(2));
        cache.insert(2, 2).await;
        assert_eq!(cache.get(&2).await, Some(2));
    });
}

#[test]
fn a_listener_may_call_the_cache() {
    use mapless::cache::moka_compat::future::{Cache, FutureExt};
    use std::sync::OnceLock;

    let second: Arc<OnceLock<Cache<u32, u32>>> = Arc::default();
    let other = Arc::clone(&second);
    let first = Cache::builder()
        .async_eviction_listener(move |key: Arc<u32>, value, _| {
            let other = Arc::clone(&other);
            async move { other.get().unwrap().insert(*key, value).await }.boxed()
        })
        .build();
    second.set(Cache::new(100)).unwrap();
    block_on(async {
        first.insert(1, 10).await;
        first.invalidate(&1).await;
        first.run_pending_tasks().await;
        assert_eq!(second.get().unwrap().get(&1).await, Some(10));
    });
}

// ---------------------------------------------------------------- values that are computed

#[test]
fn a_value_is_computed_once_for_all_tasks() {
    use mapless::cache::moka_compat::future::Cache;

    let cache: Cache<&str, Arc<Vec<u8>>> = Cache::new(100);
    let (runs, start) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(4)));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (cache, runs, start) = (cache.clone(), runs.clone(), start.clone());
            let task = is_send(async move {
                let init = async {
                    runs.fetch_add(1, SeqCst);
                    thread::sleep(MOMENT);
                    a_while().await;
                    Arc::new(vec![0_u8; 1 << 20])
                };
                let value = cache.get_with("key1", init).await;
                assert_eq!(value.len(), 1 << 20);
                assert!(cache.get(&"key1").await.is_some());
            });
            thread::spawn(move || {
                start.wait();
                block_on(task);
            })
        })
        .collect();
    tasks.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(runs.load(SeqCst), 1);
}

#[test]
fn tasks_of_one_thread_wait_for_each_other() {
    use mapless::cache::moka_compat::future::Cache;

    let cache: Cache<String, u32> = Cache::new(100);
    let first = cache.get_with("key".to_string(), async {
        a_while().await;
        1
    });
    let second = cache.get_with_by_ref("key", async { 2 });
    assert_eq!(block_on(zip(first, second)), (1, 1));
}

#[test]
fn when_a_task_is_dropped_another_takes_its_place() {
    use mapless::cache::moka_compat::future::Cache;

    let cache: Cache<&str, u32> = Cache::new(100);
    block_on(async {
        let mut first = Box::pin(cache.get_with("key", async {
            a_while().await;
            1
        }));
        assert!(poll_once(&mut first).await.is_none());
        let mut second = Box::pin(cache.get_with("key", async { 2 }));
        assert!(poll_once(&mut second).await.is_none());
        drop(first);
        assert_eq!(second.await, 2);
        assert_eq!(cache.get(&"key").await, Some(2));
    });
}

#[test]
fn when_a_computation_panics_another_takes_its_place() {
    use mapless::cache::moka_compat::future::Cache;

    let cache: Cache<&str, u32> = Cache::new(100);
    let start = Arc::new(Barrier::new(2));
    let first = {
        let (cache, start) = (cache.clone(), start.clone());
        thread::spawn(move || {
            let init = async {
                start.wait();
                thread::sleep(MOMENT);
                a_while().await;
                panic!("on purpose")
            };
            block_on(cache.get_with("key", init))
        })
    };
    start.wait();
    assert_eq!(block_on(cache.get_with("key", async { 2 })), 2);
    assert!(first.join().is_err());
}

#[test]
fn a_computation_may_have_nothing_to_insert_or_fail() {
    use mapless::cache::moka_compat::future::Cache;

    let cache: Cache<String, u64> = Cache::new(100);
    let key = || "a".to_string();
    block_on(async {
        assert_eq!(cache.optionally_get_with(key(), async { None }).await, None);
        let none = cache.optionally_get_with_by_ref("a", async { None });
        assert_eq!(none.await, None);
        let error = cache
            .try_get_with(key(), async { "x".parse::<u64>() })
            .await;
        assert!(error.unwrap_err().to_string().contains("invalid digit"));
        let error = cache.try_get_with_by_ref("a", async { Err("no") }).await;
        assert_eq!(error, Err(Arc::new("no")));
        assert!(!cache.contains_key("a"));
        let value = cache.try_get_with_by_ref("a", async { Ok::<_, ()>(7) });
        assert_eq!(value.await, Ok(7));
        let value = cache.optionally_get_with_by_ref("a", async { unreachable!() });
        assert_eq!(value.await, Some(7));
    });
}

#[test]
fn what_a_computation_failed_with_is_shared() {
    use mapless::cache::moka_compat::future::Cache;

    #[derive(Debug)]
    struct NotThere;
    let cache: Cache<&str, u32> = Cache::new(100);
    let first = cache.try_get_with("key", async {
        a_while().await;
        Err(NotThere)
    });
    let second = cache.try_get_with("key", async { Ok::<_, NotThere>(2) });
    let (first, second) = block_on(zip(first, second));
    assert!(Arc::ptr_eq(&first.unwrap_err(), &second.unwrap_err()));

    let first = cache.optionally_get_with("key", async {
        a_while().await;
        None
    });
    let second = cache.optionally_get_with("key", async { Some(2) });
    assert_eq!(block_on(zip(first, second)), (None, None));
}

#[test]
#[allow(deprecated)]
fn a_value_may_count_as_none() {
    use mapless::cache::moka_compat::future::Cache;

    block_on(async {
        let cache = Cache::new(100);
        assert_eq!(cache.get_with_if("a", async { 1 }, |_| true).await, 1);
        assert_eq!(
            cache.get_with_if("a", async { 2 }, |old| *old == 7).await,
            1
        );
        assert_eq!(
            cache.get_with_if("a", async { 3 }, |old| *old == 1).await,
            3
        );
    });
}

// ---------------------------------------------------------------- entries

#[test]
fn an_entry_is_found_or_inserted() {
    use mapless::cache::moka_compat::{Entry, future::Cache};

    block_on(async {
        let cache: Cache<String, u32> = Cache::new(100);
        let key = "key1".to_string();
        let entry: Entry<String, u32> = cache.entry(key.clone()).or_insert(3).await;
        assert!(entry.is_fresh());
        assert_eq!((entry.key(), *entry.value()), (&key, 3));
        let entry = cache.entry(key.clone()).or_insert(6).await;
        assert_eq!((entry.is_fresh(), entry.into_value()), (false, 3));
        let entry = cache.entry_by_ref(&key).or_insert(9).await;
        assert_eq!((entry.is_fresh(), entry.into_value()), (false, 3));
        let entry = cache.entry_by_ref("key2").or_default().await;
        assert_eq!((entry.is_fresh(), entry.into_value()), (true, 0));
        assert!(
            !cache
                .entry("key2".to_string())
                .or_default()
                .await
                .is_fresh()
        );
    });
}

#[test]
fn an_entry_is_found_or_computed() {
    use mapless::cache::moka_compat::future::Cache;

    block_on(async {
        let cache: Cache<String, u32> = Cache::new(100);
        let key = || "key1".to_string();
        let none = cache.entry(key()).or_optionally_insert_with(async { None });
        assert!(none.await.is_none());
        let error = cache
            .entry(key())
            .or_try_insert_with(async { Err("error") });
        assert_eq!(*error.await.unwrap_err(), "error");
        let entry = cache.entry(key()).or_insert_with(async { 3 }).await;
        assert!(entry.is_fresh());
        let entry = cache.entry_by_ref("key1").or_insert_with(async { 4 }).await;
        assert_eq!((entry.is_fresh(), entry.into_value()), (false, 3));
        let entry = cache.entry_by_ref("key1");
        let entry = entry.or_optionally_insert_with(async { Some(6) }).await;
        assert_eq!(entry.unwrap().into_value(), 3);
        let entry = cache.entry_by_ref("key1");
        let entry = entry.or_try_insert_with(async { Ok::<u32, ()>(6) }).await;
        assert_eq!(entry.unwrap().into_value(), 3);
        let entry = cache
            .entry(key())
            .or_insert_with_if(async { 4 }, |old| *old > 3);
        assert!(!entry.await.is_fresh());
        let entry = cache
            .entry_by_ref("key1")
            .or_insert_with_if(async { 4 }, |old| *old == 3);
        let entry = entry.await;
        assert_eq!((entry.is_fresh(), entry.into_value()), (true, 4));
    });
}

#[test]
fn a_counter_is_put_and_removed() {
    use mapless::cache::moka_compat::future::Cache;
    use mapless::cache::moka_compat::ops::compute::{CompResult, Op};

    async fn count(cache: &Cache<String, u64>, key: &str) -> CompResult<String, u64> {
        let entry = cache.entry(key.to_string());
        let decide = |entry: Option<mapless::cache::moka_compat::Entry<String, u64>>| async {
            a_while().await;
            match entry.map(|entry| entry.into_value()) {
                None => Op::Put(1),
                Some(counter) if counter < 2 => Op::Put(counter + 1),
                Some(_) => Op::Remove,
            }
        };
        entry.and_compute_with(decide).await
    }

    block_on(is_send(async {
        let cache: Cache<String, u64> = Cache::new(100);
        let inserted = count(&cache, "key").await;
        assert!(matches!(inserted, CompResult::Inserted(entry) if *entry.value() == 1));
        let replaced = count(&cache, "key").await;
        assert!(matches!(replaced, CompResult::ReplacedWith(entry) if *entry.value() == 2));
        let removed = count(&cache, "key").await;
        assert!(matches!(removed, CompResult::Removed(entry) if *entry.value() == 2));
        assert!(!cache.contains_key("key"));
        let none = cache.entry_by_ref("key");
        let none = none.and_compute_with(|_| async { Op::Nop }).await;
        assert!(matches!(none, CompResult::StillNone(key) if *key == "key"));
        cache.insert("key".to_string(), 5).await;
        let same = cache.entry_by_ref("key");
        let same = same
            .and_try_compute_with(|_| async { Ok::<_, ()>(Op::Nop) })
            .await;
        assert!(matches!(same, Ok(CompResult::Unchanged(entry)) if *entry.value() == 5));
        let failed = cache.entry_by_ref("key");
        let failed = failed.and_try_compute_with(|_| async { Err("no") }).await;
        assert_eq!(failed.unwrap_err(), "no");
        let upserted = cache.entry_by_ref("key");
        let upserted = upserted.and_upsert_with(|old| async { old.unwrap().into_value() + 1 });
        let upserted = upserted.await;
        assert!(upserted.is_old_value_replaced());
        assert_eq!(cache.get("key").await, Some(6));
    }));
}

#[test]
fn computations_of_one_entry_run_one_after_another() {
    use mapless::cache::moka_compat::future::Cache;

    async fn increment(cache: &Cache<String, u64>, rounds: u64) {
        for _ in 0..rounds {
            let entry = cache.entry_by_ref("key");
            let increment = |seen: Option<mapless::cache::moka_compat::Entry<String, u64>>| async {
                yield_now().await;
                seen.map_or(0, |seen| seen.into_value()) + 1
            };
            entry.and_upsert_with(increment).await;
        }
    }

    let cache: Cache<String, u64> = Cache::new(100);
    block_on(zip(increment(&cache, 50), increment(&cache, 50)));
    assert_eq!(block_on(cache.get("key")), Some(100));

    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cache = cache.clone();
            thread::spawn(move || block_on(increment(&cache, 100)))
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    assert_eq!(block_on(cache.get("key")), Some(500));
}

#[test]
fn a_dropped_computation_changes_nothing() {
    use mapless::cache::moka_compat::{future::Cache, ops::compute::Op};

    let cache: Cache<u8, u8> = Cache::new(100);
    block_on(async {
        cache.insert(1, 1).await;
        let slow = cache.entry(1).and_compute_with(|_| async {
            a_while().await;
            Op::Put(2)
        });
        assert!(poll_once(slow).await.is_none());
        assert_eq!(cache.get(&1).await, Some(1));
        let fast = cache.entry(1).and_upsert_with(|_| async { 3 });
        assert_eq!(fast.await.into_value(), 3);
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
