//! What `mapless::cache::moka_compat` does otherwise than moka, as `docs/MOKA.md` says. The numbers
//! are those of its list.

#![cfg(feature = "cache")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once, yield_now, zip};
use mapless::cache::moka_compat::notification::RemovalCause;
use mapless::cache::moka_compat::ops::compute::{CompResult, Op};
use mapless::cache::moka_compat::{future, sync};

type Told = Arc<Mutex<Vec<(u32, u32, RemovalCause)>>>;

/// A cache of weight 10 in which a value is its own weight, and what its listener was told.
fn weighted() -> (sync::Cache<u32, u32>, Told) {
    let told = Told::default();
    let tell = Arc::clone(&told);
    let cache = sync::Cache::builder()
        .max_capacity(10)
        .weigher(|_, weight| *weight)
        .eviction_listener(move |key, value, cause| {
            tell.lock().unwrap().push((*key, value, cause));
        })
        .build();
    (cache, told)
}

// ---------------------------------------------------------------- 1: the capacity

#[test]
fn the_capacity_is_never_exceeded() {
    let cache = sync::Cache::new(100);
    for n in 0..1_000 {
        cache.insert(n, n);
        assert!(cache.entry_count() <= 100);
    }
    let most = cache.iter().count();
    assert_eq!(most as u64, cache.entry_count());
}

#[test]
fn counts_are_exact_at_once() {
    let cache = sync::Cache::new(100);
    (0..10).for_each(|n| cache.insert(n, n));
    assert_eq!((cache.entry_count(), cache.weighted_size()), (10, 10));
    cache.invalidate(&3);
    assert_eq!(cache.entry_count(), 9);
    cache.invalidate_all();
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn what_is_refused_counts_as_evicted() {
    let (cache, told) = weighted();
    let heard = || std::mem::take(&mut *told.lock().unwrap());
    cache.insert(1, 5);
    cache.insert(1, 11);
    let expected = [(1, 5, RemovalCause::Replaced), (1, 11, RemovalCause::Size)];
    assert_eq!(heard(), expected);
    assert_eq!(cache.get(&1), None); // and not the older value

    assert_eq!(cache.get_with(2, || 20), 20);
    assert_eq!(heard(), [(2, 20, RemovalCause::Size)]);
    assert_eq!(cache.get(&2), None);

    cache.insert(3, 3);
    let result = cache.entry(3).and_compute_with(|_| Op::Put(30));
    assert!(matches!(result, CompResult::ReplacedWith(entry) if *entry.value() == 30));
    let expected = [(3, 3, RemovalCause::Replaced), (3, 30, RemovalCause::Size)];
    assert_eq!(heard(), expected);
    assert_eq!(cache.get(&3), None);

    let result = cache.entry(4).and_compute_with(|_| Op::Put(40));
    assert!(matches!(result, CompResult::Inserted(entry) if *entry.value() == 40));
    assert_eq!(heard(), [(4, 40, RemovalCause::Size)]);

    let stale = cache.entry(5).or_insert(5);
    assert!(stale.is_fresh());
    let fresh = cache.entry(5).or_insert_with_if(|| 50, |_| true);
    assert!(fresh.is_fresh());
    let expected = [(5, 5, RemovalCause::Replaced), (5, 50, RemovalCause::Size)];
    assert_eq!(heard(), expected);
    assert_eq!(cache.weighted_size(), 0);
}

#[test]
fn what_is_refused_is_told_to_an_awaited_listener() {
    use future::FutureExt;

    let told = Told::default();
    let tell = Arc::clone(&told);
    let cache = future::Cache::builder()
        .max_capacity(10)
        .weigher(|_, weight| *weight)
        .async_eviction_listener(move |key: Arc<u32>, value, cause| {
            let tell = Arc::clone(&tell);
            async move {
                yield_now().await;
                tell.lock().unwrap().push((*key, value, cause));
            }
            .boxed()
        })
        .build();
    block_on(async {
        cache.insert(1, 11).await;
        cache.get_with(2, async { 12 }).await;
        cache.entry(3).and_upsert_with(|_| async { 13 }).await;
    });
    let size = RemovalCause::Size;
    let expected = [(1, 11, size), (2, 12, size), (3, 13, size)];
    assert_eq!(*told.lock().unwrap(), expected);
}

// ---------------------------------------------------------------- 3: time

#[test]
fn a_time_beyond_248_days_is_taken() {
    let cache = sync::Cache::builder()
        .time_to_live(Duration::from_secs(900 * 365 * 24 * 3_600))
        .build();
    cache.insert(1, 1);
    assert_eq!(cache.get(&1), Some(1));
}

// ---------------------------------------------------------------- 4: the listener

#[test]
fn a_listener_that_panicked_is_told_of_the_next() {
    let told = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    let cache = sync::Cache::builder()
        .eviction_listener(move |_, _, _| {
            tell.fetch_add(1, SeqCst);
            panic!("on purpose");
        })
        .build();
    cache.insert(1, 1);
    cache.invalidate(&1);
    cache.insert(1, 2);
    cache.invalidate(&1);
    assert_eq!(told.load(SeqCst), 2);
}

#[test]
fn who_causes_a_removal_tells_of_it() {
    let by = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&by);
    let cache = sync::Cache::builder()
        .max_capacity(1)
        .eviction_listener(move |_, _, _| tell.lock().unwrap().push(thread::current().id()))
        .build();
    cache.insert(1, 1);
    let other = {
        let cache = cache.clone();
        thread::spawn(move || {
            cache.insert(2, 2);
            thread::current().id()
        })
    };
    let other = other.join().unwrap();
    assert_eq!(*by.lock().unwrap(), [other]);
    cache.get(&2);
    cache.run_pending_tasks();
    assert_eq!(by.lock().unwrap().len(), 1);
}

#[test]
fn each_task_awaits_the_listener_for_what_it_caused() {
    use future::FutureExt;

    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let cache: future::Cache<u32, u32> = future::Cache::builder()
        .async_eviction_listener(move |key: Arc<u32>, _, _| {
            let tell = Arc::clone(&tell);
            async move {
                for _ in 0..*key {
                    yield_now().await;
                }
                tell.lock().unwrap().push(*key);
            }
            .boxed()
        })
        .build();
    let replace = async |key: u32| {
        cache.insert(key, 1).await;
        cache.insert(key, 2).await;
        assert!(told.lock().unwrap().contains(&key));
    };
    block_on(zip(replace(20), replace(5)));
    assert_eq!(*told.lock().unwrap(), [5, 20]);
}

#[test]
fn what_cannot_wait_leaves_the_listener_to_the_next() {
    use future::FutureExt;

    let told = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&told);
    let cache = future::Cache::builder()
        .async_eviction_listener(move |_, _, _| {
            let tell = Arc::clone(&tell);
            async move {
                yield_now().await;
                tell.fetch_add(1, SeqCst);
            }
            .boxed()
        })
        .build();
    block_on(async {
        cache.insert(1, 1).await;
        cache.insert(2, 2).await;
        cache.invalidate_all();
        assert_eq!(told.load(SeqCst), 0);
        // Given up in the middle of the first: neither is lost, and neither is told twice.
        assert!(poll_once(cache.insert(3, 3)).await.is_none());
        let other = thread::spawn({
            let cache = cache.clone();
            move || block_on(cache.insert(4, 4))
        });
        other.join().unwrap();
        assert_eq!(told.load(SeqCst), 2);
        cache.run_pending_tasks().await;
        assert_eq!(told.load(SeqCst), 2);
        assert_eq!(cache.entry_count(), 2);
    });
}

// ---------------------------------------------------------------- 5: computations

#[test]
fn what_is_inserted_while_a_value_is_computed_stays() {
    let cache = sync::Cache::new(10);
    let init = || {
        cache.insert(1, 5);
        6
    };
    assert_eq!(cache.get_with(1, init), 6);
    assert_eq!(cache.get(&1), Some(5));
}

#[test]
fn writes_of_a_key_wait_for_its_computation() {
    let cache: future::Cache<u8, u8> = future::Cache::new(10);
    let decide = cache.entry(1).and_compute_with(|seen| async move {
        assert!(seen.is_none());
        yield_now().await;
        yield_now().await;
        Op::Put(1)
    });
    let write = async {
        cache.insert(1, 2).await;
        assert_eq!(cache.remove(&1).await, Some(2));
    };
    let (result, ()) = block_on(zip(decide, write));
    assert!(matches!(result, CompResult::Inserted(_)));
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn a_computation_of_its_own_key_is_a_panic() {
    let cache: sync::Cache<u8, u8> = sync::Cache::new(10);
    let nested = || cache.get_with(1, || cache.get_with(1, || 2));
    let panic = catch_unwind(AssertUnwindSafe(nested)).unwrap_err();
    let text = panic.downcast_ref::<&str>().unwrap();
    assert!(text.contains("waits for the value of that key"), "{text}");
    let nested = || {
        cache.entry(1).and_upsert_with(|_| {
            cache.insert(1, 1);
            2
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(nested)).is_err());
    assert_eq!(cache.get_with(1, || 3), 3); // and does no harm
}

// ---------------------------------------------------------------- 6: the rest

#[test]
fn a_predicate_is_asked_before_the_call_returns() {
    let cache = sync::Cache::builder()
        .support_invalidation_closures()
        .build();
    (0..10).for_each(|n| cache.insert(n, n));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let predicate = move |_: &i32, _: &i32| {
        count.fetch_add(1, SeqCst);
        true
    };
    cache.invalidate_entries_if(predicate).unwrap();
    assert_eq!((asked.load(SeqCst), cache.entry_count()), (10, 0));
    cache.insert(1, 1);
    assert_eq!(cache.get(&1), Some(1));
    assert_eq!(asked.load(SeqCst), 10);
}
