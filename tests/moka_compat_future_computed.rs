//! As `tests/moka_compat_future.rs`: programs for what moka's `future` cache computes, and for its
//! entries.

#![cfg(feature = "cache")]

#[path = "support/tasks.rs"]
mod tasks;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once, yield_now, zip};
use tasks::{a_while, is_send};

/// Longer than a tick of either clock.
const MOMENT: Duration = Duration::from_millis(100);

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
#[allow(deprecated)] // moka's older names are to compile too
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
