//! As `tests/moka_compat_future.rs`: programs for the listeners of moka's `future` cache.

#![cfg(feature = "cache")]

#[path = "support/tasks.rs"]
mod tasks;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once};
use tasks::{a_while, is_send};

/// Longer than a tick of either clock.
const MOMENT: Duration = Duration::from_millis(100);

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
