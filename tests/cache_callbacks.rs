//! ClockCache and the user's code that it runs: `Eq`, listeners, closures, futures, `Clone` and `Drop`
//! may call the cache, and may panic, as far as the docs say.
#![cfg(feature = "cache")]

#[path = "support/attempts.rs"]
mod attempts;

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use attempts::{in_time, panics};
use futures_lite::future::block_on;
use mapless::ClockCache;
use mapless::cache::{Cause, Computed, ManualClock, Op};

type Numbers = ClockCache<u64, u64>;

#[derive(Debug, Clone)]
struct Touchy(u64);

static TOUCHY: Mutex<()> = Mutex::new(());
static PANICS: AtomicBool = AtomicBool::new(false);

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        assert!(!PANICS.load(SeqCst), "on purpose");
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn an_eq_that_panics_leaves_the_cache_as_it_was() {
    let _lock = TOUCHY.lock();
    let (clock, told) = (ManualClock::new(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&told);
    let alive = Arc::new(());
    let cache: ClockCache<Touchy, Arc<()>> = ClockCache::builder()
        .max_capacity(100)
        .shards(1)
        .time_to_live(Duration::from_secs(1))
        .clock(clock.clone())
        .eviction_listener(move |_, _, _| {
            count.fetch_add(1, SeqCst);
        })
        .build()
        .unwrap();
    for n in 0..10 {
        cache.insert(Touchy(n), Arc::clone(&alive)).unwrap();
    }
    clock.advance(Duration::from_millis(500));
    cache.insert(Touchy(100), Arc::clone(&alive)).unwrap();
    clock.advance(Duration::from_millis(800)); // ten are over, and leave at the next write
    PANICS.store(true, SeqCst);
    assert!(panics(|| cache.get(&Touchy(100))));
    assert!(panics(|| cache.insert(Touchy(100), Arc::clone(&alive))));
    assert!(panics(|| cache.remove(&Touchy(100))));
    assert!(panics(|| cache.hold(&Touchy(100))));
    assert!(panics(|| cache.compute(Touchy(100), |_| Op::Remove)));
    assert!(panics(
        || cache.get_or_insert_with(Touchy(100), || Arc::clone(&alive))
    ));
    assert!(panics(|| cache.retain(|_, _| false)));
    PANICS.store(false, SeqCst);
    assert_eq!(cache.entry_count(), 1, "exact at rest");
    assert!(cache.get(&Touchy(100)).is_some());
    cache.run_pending_tasks();
    assert_eq!(told.load(SeqCst), 10, "each that left is told of");
    assert_eq!(Arc::strong_count(&alive), 2, "and dropped");
    assert_eq!((cache.retained_weight(), cache.weighted_size()), (0, 1));
}

#[test]
fn a_listener_may_call_the_cache_and_panic() {
    in_time(|| {
        let own: Arc<OnceLock<Numbers>> = Arc::default();
        let inside = Arc::clone(&own);
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let cache = ClockCache::builder()
            .max_capacity(50)
            .shards(1)
            .eviction_listener(move |&key, _, cause| {
                let cache = inside.get().unwrap();
                count.fetch_add(1, SeqCst);
                assert_ne!(cache.get(&key), Some(0), "it has left");
                cache.run_pending_tasks();
                drop(cache.hold(&(key + 1)));
                let _ = (cache.stats(), cache.entry_count());
                if cause == Cause::Size && key % 2 == 0 {
                    let _ = cache.insert(key + 1_001, 1); // an odd one
                    cache.invalidate(&(key + 1));
                }
                assert!(key % 3 > 0, "on purpose");
            })
            .build()
            .unwrap();
        own.set(cache.clone()).unwrap();
        for key in 0..1_000 {
            cache.insert(key, 0).unwrap();
        }
        cache.retain(|key, _| key % 2 == 0);
        drop(cache.drain());
        cache.invalidate_all();
        cache.run_pending_tasks();
        let stats = cache.stats();
        assert_eq!(cache.entry_count(), stats.inserts - told.load(SeqCst));
        assert!(stats.listener_panics > 0);
        assert_eq!(cache.retained_weight(), 0);
    });
}

#[test]
fn recursion_into_the_same_key_is_a_panic() {
    in_time(|| {
        let cache: Numbers = ClockCache::new(10);
        assert!(panics(
            || cache.get_or_insert_with(1, || cache.get_or_insert_with(1, || 1))
        ));
        assert!(panics(|| cache.compute(1, |_| {
            cache.insert(1, 1).unwrap();
            Op::Nop
        })));
        assert!(panics(|| cache.compute(1, |_| {
            cache.remove(&1);
            Op::Nop
        })));
        assert!(panics(|| block_on(
            cache.get_or_insert_with_async(1, async {
                cache.get_or_insert_with_async(1, async { 1 }).await
            })
        )));
        assert!(panics(|| block_on(cache.compute_async(1, |_| async {
            Op::Put(cache.get_or_insert_with(1, || 1))
        }))));
        // What is allowed: other keys, and a write of a key that is being loaded.
        let value = cache.get_or_insert_with(1, || {
            cache.insert(1, 8).unwrap();
            cache.get_or_insert_with(2, || 2) + cache.compute(3, |_| Op::Put(3)).is_put()
        });
        assert_eq!((value, cache.get(&1)), (3, Some(8)));
    });
}

trait IsPut {
    fn is_put(&self) -> u64;
}

impl IsPut for Computed<u64> {
    fn is_put(&self) -> u64 {
        matches!(self, Computed::Inserted(_)).into()
    }
}

#[test]
fn a_future_that_is_dropped_halfway_poisons_nothing() {
    in_time(|| {
        let cache: Numbers = ClockCache::new(10);
        let never = std::future::pending::<u64>;
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut first = pin!(cache.get_or_insert_with_async(1, never()));
            assert!(first.as_mut().poll(&mut context).is_pending());
            let mut second = pin!(cache.get_or_insert_with_async(1, never()));
            assert!(second.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(cache.get_or_insert_with(1, || 1), 1);
        {
            let decide = |_: Option<&u64>| std::future::pending::<Op<u64>>();
            let mut first = pin!(cache.compute_async(1, decide));
            assert!(first.as_mut().poll(&mut context).is_pending());
        }
        cache.insert(1, 2).unwrap();
        assert_eq!(cache.get(&1), Some(2));
    });
}

#[test]
fn closures_that_panic_leave_everything_as_it_was() {
    let cache: Numbers = ClockCache::new(10);
    cache.insert(1, 1).unwrap();
    let no = || -> bool { panic!("on purpose") };
    assert!(panics(|| cache.compute(1, |_| if no() {
        Op::Nop
    } else {
        Op::Remove
    })));
    assert!(panics(|| cache.compute(2, |_| if no() {
        Op::Nop
    } else {
        Op::Remove
    })));
    assert!(panics(|| cache.remove_if(&1, |_, _| no())));
    assert!(panics(|| cache.retain(|_, _| no())));
    assert!(panics(|| cache.invalidate_if(|_, _| no())));
    assert!(panics(|| cache.get_or_insert_with(2, || no().into())));
    assert_eq!(
        (cache.get(&1), cache.get(&2), cache.entry_count()),
        (Some(1), None, 1)
    );
    cache.insert(2, 2).unwrap();
    assert_eq!(cache.compute(1, |_| Op::Remove), Computed::Removed(1));
    cache.run_pending_tasks();
    assert_eq!((cache.entry_count(), cache.retained_weight()), (1, 0));
}

/// A key that calls its cache when it is dropped, or cloned.
struct Caller(u64, Arc<OnceLock<ClockCache<Caller, u64>>>);

impl Caller {
    fn call(&self) {
        if let Some(cache) = self.1.get() {
            cache.run_pending_tasks(); // takes every lock
        }
    }
}

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Caller {}

impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Clone for Caller {
    fn clone(&self) -> Self {
        self.call();
        Self(self.0, Arc::clone(&self.1))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.call();
    }
}

/// No user code but `Eq` runs under a lock: that would wait for itself here.
#[test]
fn keys_may_call_the_cache_when_they_are_cloned_or_dropped() {
    in_time(|| {
        let own: Arc<OnceLock<ClockCache<Caller, u64>>> = Arc::default();
        let builder = ClockCache::builder().max_capacity(10).shards(1);
        let cache = builder.weigher(|_, &weight: &u64| weight).build().unwrap();
        own.set(cache.clone()).unwrap_or_else(|_| panic!());
        let key = |n| Caller(n, Arc::clone(&own));
        for n in 0..100 {
            cache.insert(key(n % 20), 1).unwrap();
            assert_eq!(
                cache.get_or_insert_with(key(n % 30), || 2),
                cache.peek(&key(n % 30)).unwrap_or(2)
            );
            assert_eq!(cache.get_or_insert_with(key(1_000), || 11), 11); // too heavy
            let failed = cache.try_get_or_insert_with(key(1_001), || Err::<u64, _>(()));
            assert!(failed.is_err());
            assert!(panics(
                || cache.get_or_insert_with(key(1_002), || panic!("on purpose"))
            ));
            cache.get_or_insert_with_by_ref(&key(n), || 1);
            cache.compute(key(n % 7), |_| Op::Remove);
            cache.compute(key(n % 7), |_| Op::Put(11));
            cache.compute(key(n % 7), |_| Op::Nop);
            cache.invalidate(&key(n % 5));
        }
        cache.invalidate_all();
        cache.run_pending_tasks();
    });
}

/// Its destructor counts, and may panic.
#[derive(Debug)]
struct Fragile(u64, Arc<AtomicUsize>);

impl PartialEq for Fragile {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Fragile {}

impl Hash for Fragile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
        assert!(!self.0.is_multiple_of(10), "on purpose");
    }
}

#[test]
fn a_destructor_that_panics_costs_no_other_its_drop() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let fragile = |n| Fragile(n, Arc::clone(&dropped));
    let cache = ClockCache::builder().max_capacity(100).shards(1);
    let cache: ClockCache<Fragile, Fragile> = cache.build().unwrap();
    for round in 1..=3 {
        for n in 0..50 {
            cache.insert(fragile(n), fragile(n)).unwrap();
        }
        cache.invalidate_all();
        cache.run_pending_tasks();
        assert_eq!(dropped.load(SeqCst), round * 100, "keys and values");
        assert_eq!(cache.stats().drop_panics, round as u64 * 10);
        assert_eq!((cache.weighted_size(), cache.retained_weight()), (0, 0));
    }
    for n in 0..50 {
        cache.insert(fragile(n), fragile(n)).unwrap();
    }
    drop(cache);
    assert_eq!(dropped.load(SeqCst), 400, "the cache's own end");
}

thread_local! {
    static READING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

static DROPPED_IN_A_READ: AtomicUsize = AtomicUsize::new(0);

fn note_what_runs_in_a_read() {
    DROPPED_IN_A_READ.fetch_add(READING.get().into(), SeqCst);
}

/// Its clones are the reader's own.
struct Watched(bool);

impl Clone for Watched {
    fn clone(&self) -> Self {
        Self(true)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.0 {
            note_what_runs_in_a_read();
        }
    }
}

#[test]
fn reads_run_no_destructor_and_no_listener() {
    let cache: ClockCache<u64, Watched> = ClockCache::builder()
        .max_capacity(500)
        .shards(2)
        .time_to_live(Duration::from_millis(3))
        .time_to_idle(Duration::from_millis(2))
        .eviction_listener(|_, _, _| note_what_runs_in_a_read())
        .build()
        .unwrap();
    thread::scope(|scope| {
        for thread in 0..3_u64 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..40_000_u64 {
                    let key = (n * 31 + thread) % 1_500;
                    drop(cache.insert(key, Watched(false)));
                    READING.set(true);
                    drop(cache.get(&(n % 1_500)));
                    cache.contains_key(&key);
                    let guard = cache.pin();
                    cache.get_in(&key, &guard);
                    cache.get_many_in(&[&key], &mut [None], &guard);
                    cache.iter_in(&guard).take(3).count();
                    drop(guard);
                    READING.set(false);
                }
            });
        }
    });
    assert!(cache.stats().size + cache.stats().replaced > 10_000);
    assert_eq!(DROPPED_IN_A_READ.load(SeqCst), 0);
}
