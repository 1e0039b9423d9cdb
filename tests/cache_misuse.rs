//! ClockCache and bad input: typed errors, or what the docs say; never a hang, a leak or a lost count.
#![cfg(feature = "cache")]

use std::future::Future;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

use mapless::cache::{BuildError, Cause, Computed, Expiry, ManualClock, Mode, Op, Reason, TICK};
use mapless::{ClockCache, Domain};

type Numbers = ClockCache<u64, u64>;
type Builder = mapless::cache::CacheBuilder<u64, u64>;

fn weighted() -> Builder {
    ClockCache::builder()
        .shards(1)
        .weigher(|_, &weight: &u64| weight)
}

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// Runs this in a thread of its own; a hang is a failure.
fn in_time(f: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        f();
        let _ = done.send(());
    });
    if wait.recv_timeout(Duration::from_secs(20)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it hangs");
    }
    thread.join().unwrap();
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

/// Polls until it is ready; gives up after a while.
fn poll_to_the_end<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let (mut future, waker) = (pin!(future), Arc::new(Unpark(thread::current())).into());
    for _ in 0..1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("it hangs");
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
        assert!(panics(|| poll_to_the_end(
            cache.get_or_insert_with_async(1, async {
                cache.get_or_insert_with_async(1, async { 1 }).await
            })
        )));
        assert!(panics(|| poll_to_the_end(
            cache.compute_async(1, |_| async { Op::Put(cache.get_or_insert_with(1, || 1)) })
        )));
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
        let mut context = Context::from_waker(std::task::Waker::noop());
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
