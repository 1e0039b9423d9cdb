//! ClockCache: what its writes for tasks wait for, and what they leave behind.
#![cfg(feature = "cache")]

#[path = "support/tasks.rs"]
mod tasks;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::future::{block_on, poll_once, ready, yield_now, zip};
use mapless::ClockCache;
use mapless::cache::{Computed, Op, Reason};
use tasks::is_send;

type Shared = ClockCache<u64, Arc<u64>>;

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A computation of this key that has begun, and goes on when it is polled again.
fn computation(cache: &Shared, key: u64) -> impl Future<Output = Computed<Arc<u64>>> {
    cache.compute_async(key, |_| async {
        yield_now().await;
        Op::Put(Arc::new(0))
    })
}

#[test]
fn what_nobody_computes_is_written_in_one_poll() {
    let cache = Shared::new(10);
    let value = Arc::new(1);
    block_on(async {
        let put = is_send(cache.insert_async(1, Arc::clone(&value)));
        assert!(poll_once(put).await.unwrap().is_ok());
        assert_eq!(cache.get(&1), Some(Arc::clone(&value)));
        let removed = is_send(cache.remove_async(&1));
        assert_eq!(poll_once(removed).await, Some(Some(value)));
        assert_eq!(poll_once(cache.remove_async(&1)).await, Some(None));
    });
    assert_eq!((cache.entry_count(), cache.weighted_size()), (0, 0));
}

#[test]
fn a_future_does_nothing_before_it_is_polled() {
    let cache = Shared::new(10);
    cache.insert(1, Arc::new(1)).unwrap();
    drop(cache.insert_async(2, Arc::new(2)));
    drop(cache.remove_async(&1));
    assert_eq!(cache.iter().collect::<Vec<_>>(), [(1, Arc::new(1))]);
}

/// One thread: would a write block it, the computation could not go on.
#[test]
fn writes_await_a_computation_of_their_key_and_of_no_other() {
    let cache = Shared::new(10);
    block_on(async {
        let mut computed = pin!(computation(&cache, 1));
        assert!(poll_once(computed.as_mut()).await.is_none());
        let mut put = pin!(cache.insert_async(1, Arc::new(7)));
        assert!(poll_once(put.as_mut()).await.is_none());
        // Other keys are free, and this one is to whoever loads or reads it.
        cache.insert_async(2, Arc::new(2)).await.unwrap();
        assert_eq!(cache.remove_async(&2).await, Some(Arc::new(2)));
        assert_eq!(cache.get(&1), None);
        let (computed, put) = zip(computed, put).await;
        assert_eq!(computed, Computed::Inserted(Arc::new(0)));
        assert!(put.is_ok());
        assert_eq!(cache.get(&1), Some(Arc::new(7)));

        let mut computed = pin!(computation(&cache, 1));
        assert!(poll_once(computed.as_mut()).await.is_none());
        let mut removed = pin!(cache.remove_async(&1));
        assert!(poll_once(removed.as_mut()).await.is_none());
        assert_eq!(cache.get(&1), Some(Arc::new(7)));
        let (computed, removed) = zip(computed, removed).await;
        assert_eq!(computed, Computed::ReplacedWith(Arc::new(0)));
        assert_eq!(removed, Some(Arc::new(0)));
    });
    assert_eq!(cache.entry_count(), 0);
}

/// A load keeps others from loading, and not from writing.
#[test]
fn writes_do_not_await_a_load() {
    let cache = Shared::new(10);
    block_on(async {
        let init = async {
            yield_now().await;
            Arc::new(0)
        };
        let mut loaded = pin!(cache.get_or_insert_with_async(1, init));
        assert!(poll_once(loaded.as_mut()).await.is_none());
        let put = poll_once(cache.insert_async(1, Arc::new(7))).await;
        assert!(put.unwrap().is_ok());
        assert_eq!(*loaded.await, 0);
        assert_eq!(cache.get(&1), Some(Arc::new(7)));
    });
}

#[test]
fn who_waits_is_woken_once_the_computation_ends_or_is_dropped() {
    let cache = Shared::new(10);
    for is_dropped in [false, true] {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut context = Context::from_waker(&waker);
        let mut computed = Box::pin(computation(&cache, 1));
        assert!(block_on(poll_once(computed.as_mut())).is_none());
        let mut put = pin!(cache.insert_async(1, Arc::new(7)));
        assert!(put.as_mut().poll(&mut context).is_pending());
        assert!(put.as_mut().poll(&mut context).is_pending());
        assert_eq!(bell.0.load(Relaxed), 0);
        if is_dropped {
            drop(computed);
        } else {
            block_on(computed);
        }
        assert_eq!(bell.0.load(Relaxed), 1);
        assert!(matches!(
            put.as_mut().poll(&mut context),
            Poll::Ready(Ok(()))
        ));
        assert_eq!(cache.remove(&1), Some(Arc::new(7)));
    }
}

#[test]
fn a_dropped_future_leaves_nothing_behind() {
    let cache = Shared::new(10);
    let value = Arc::new(7);
    block_on(async {
        let mut computed = pin!(computation(&cache, 1));
        assert!(poll_once(computed.as_mut()).await.is_none());
        assert!(
            poll_once(cache.insert_async(1, Arc::clone(&value)))
                .await
                .is_none()
        );
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(poll_once(cache.remove_async(&1)).await.is_none());
        assert_eq!(computed.await, Computed::Inserted(Arc::new(0)));
        // No later call waits for what was dropped, and none of it happens later.
        let put = cache.compute_async(1, |seen| ready(Op::Put(Arc::clone(seen.unwrap()))));
        assert_eq!(put.await, Computed::ReplacedWith(Arc::new(0)));
    });
    cache.run_pending_tasks();
    assert_eq!((cache.entry_count(), Arc::strong_count(&value)), (1, 1));
    assert_eq!(cache.stats().inserts, 2);
}

#[test]
fn a_refused_insert_hands_key_and_value_back() {
    let cache = ClockCache::builder()
        .max_capacity(10)
        .weigher(|_: &String, value: &Vec<u8>| value.len() as u64)
        .build()
        .unwrap();
    let refused = block_on(cache.insert_async("a".to_string(), vec![0; 11])).unwrap_err();
    assert_eq!(refused.key, "a");
    assert_eq!(refused.value.len(), 11);
    assert_eq!(refused.reason, Reason::TooHeavy);
    block_on(cache.insert_async("a".to_string(), vec![0; 10])).unwrap();
    let _held = cache.hold("a").unwrap();
    let refused = block_on(cache.insert_async("b".to_string(), vec![0; 1])).unwrap_err();
    assert_eq!((&*refused.key, refused.value), ("b", vec![0; 1]));
    assert_eq!(refused.reason, Reason::AllHeld);
}

#[test]
fn a_write_inside_the_computation_of_its_key_is_a_panic() {
    let cache = Shared::new(10);
    let own = std::panic::catch_unwind(|| {
        block_on(cache.compute_async(1, |_| async {
            cache.insert_async(1, Arc::new(1)).await.unwrap();
            Op::Nop
        }))
    });
    assert!(own.is_err());
    block_on(cache.insert_async(1, Arc::new(2))).unwrap();
    assert_eq!(cache.get(&1), Some(Arc::new(2)));
}
