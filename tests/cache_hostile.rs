//! ClockCache beside code of the user's that panics, calls back, or answers late.
#![cfg(feature = "cache")]

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mapless::ClockCache;
use mapless::cache::{Clock, Expiry, ManualClock, Mode, Op};

const SECOND: Duration = Duration::from_secs(1);

fn quietly<T>(run: impl FnOnce() -> T) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(run))
}

/// Lives a hundred seconds; a read says what is left then.
struct Reads<F>(F);

impl<F: Fn(u64) -> Option<Duration>> Expiry<u64, u64> for Reads<F> {
    fn expire_after_create(&self, _: &u64, _: &u64, _: Instant) -> Option<Duration> {
        Some(100 * SECOND)
    }

    fn expire_after_read(
        &self,
        &key: &u64,
        _: &u64,
        _: Instant,
        _: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        (self.0)(key)
    }
}

#[test]
fn a_time_to_live_bounds_what_reads_may_add() {
    for own in [None, Some(1000 * SECOND)] {
        let clock = ManualClock::new();
        let builder = ClockCache::builder().time_to_live(10 * SECOND);
        let builder = builder.expire_after(Reads(move |_| own));
        let cache: ClockCache<u64, u64> = builder.clock(clock.clone()).build().unwrap();
        cache.insert(1, 1).unwrap();
        clock.advance(5 * SECOND);
        assert_eq!(cache.get(&1), Some(1));
        clock.advance(4 * SECOND);
        assert_eq!(cache.get(&1), Some(1));
        clock.advance(2 * SECOND);
        assert_eq!(cache.get(&1), None);
    }
}

/// A read lowers the deadline of what is removed while it asks: the wheel must not hear of it.
#[test]
fn a_read_shortens_the_term_of_what_was_removed() {
    let (asked, removed) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let reads = {
        let (asked, removed) = (Arc::clone(&asked), Arc::clone(&removed));
        Reads(move |_| {
            asked.wait();
            removed.wait();
            Some(SECOND)
        })
    };
    let clock = ManualClock::new();
    let builder = ClockCache::builder().max_capacity(8).shards(1);
    let builder = builder.expire_after(reads).clock(clock.clone());
    let cache: ClockCache<u64, u64> = builder.build().unwrap();
    (0..8).for_each(|key| cache.insert(key, key).unwrap());
    thread::scope(|scope| {
        let reader = scope.spawn(|| cache.get(&3));
        asked.wait();
        assert_eq!(cache.remove(&3), Some(3));
        removed.wait();
        assert_eq!(reader.join().unwrap(), Some(3));
    });
    clock.advance(5 * SECOND);
    cache.run_pending_tasks();
    let counts = (cache.entry_count(), cache.iter().count());
    assert_eq!((counts, cache.weighted_size()), ((7, 7), 7));
}

/// Panics in the call that the number says.
struct Bomb {
    now: ManualClock,
    left: AtomicU64,
}

impl Clock for Bomb {
    fn now(&self) -> Duration {
        let left = self.left.load(Relaxed);
        self.left.store(left.saturating_sub(1), Relaxed);
        assert!(left != 1, "as planned");
        self.now.now()
    }
}

#[test]
fn a_clock_that_panics_leaves_the_cache_whole() {
    let mut panicked = 0;
    for call in 1..8 {
        let bomb = Arc::new(Bomb {
            now: ManualClock::new(),
            left: AtomicU64::new(0),
        });
        let builder = ClockCache::builder().max_capacity(4).shards(1);
        let builder = builder.time_to_live(9 * SECOND).clock(Arc::clone(&bomb));
        let cache: ClockCache<u64, u64> = builder.build().unwrap();
        (0..4).for_each(|key| cache.insert(key, key).unwrap());
        bomb.left.store(call, Relaxed);
        panicked += u32::from(quietly(|| cache.insert(9, 9)).is_err());
        bomb.left.store(0, Relaxed);
        (10..40).for_each(|key| cache.insert(key, key).unwrap());
        assert_eq!((cache.entry_count(), cache.weighted_size()), (4, 4));
    }
    assert!(panicked > 1, "it was asked");
}

static IN_REACH: Mutex<Option<ClockCache<Calls, u64>>> = Mutex::new(None);
static EQ_PANICS: AtomicBool = AtomicBool::new(false);
static DROP_CALLS: AtomicBool = AtomicBool::new(false);

/// A key whose `Eq` panics once, and whose `Drop` calls the cache then.
struct Calls(u64);

impl Hash for Calls {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}

impl PartialEq for Calls {
    fn eq(&self, other: &Self) -> bool {
        if EQ_PANICS.swap(false, Relaxed) {
            DROP_CALLS.store(true, Relaxed);
            panic!("as planned");
        }
        self.0 == other.0
    }
}

impl Eq for Calls {}

impl Drop for Calls {
    fn drop(&mut self) {
        if DROP_CALLS.swap(false, Relaxed) {
            let cache = IN_REACH.lock().unwrap().clone();
            cache.unwrap().invalidate_all();
        }
    }
}

#[test]
fn a_key_is_not_dropped_under_the_lock_where_eq_panics() {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let cache: ClockCache<Calls, u64> = ClockCache::new(10);
        cache.insert(Calls(1), 1).unwrap();
        *IN_REACH.lock().unwrap() = Some(cache.clone());
        EQ_PANICS.store(true, Relaxed);
        let panicked = quietly(|| cache.compute(Calls(1), |_| Op::Nop)).is_err();
        done.send((panicked, cache.entry_count())).unwrap();
    });
    let seen = is_done.recv_timeout(10 * SECOND);
    assert_eq!(seen.expect("no deadlock"), (true, 0));
}

/// What a panic carries, and panics again.
struct Again;

impl Drop for Again {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic_any(Again);
        }
    }
}

#[test]
fn a_listeners_panic_is_contained_whatever_it_carries() {
    let panics = Arc::new(AtomicBool::new(true));
    let on = Arc::clone(&panics);
    let listener = move |_: &u64, _: &u64, _| {
        if on.load(Relaxed) {
            panic_any(Again);
        }
    };
    let builder = ClockCache::builder().max_capacity(4).mode(Mode::Live);
    let cache: ClockCache<u64, u64> = builder.eviction_listener(listener).build().unwrap();
    (0..4).for_each(|key| cache.insert(key, key).unwrap());
    cache.invalidate(&1);
    panics.store(false, Relaxed);
    cache.run_pending_tasks();
    let left = (cache.entry_count(), cache.retained_weight());
    assert_eq!((left, cache.stats().listener_panics), ((3, 0), 1));
}

/// Whoever waits for room is weighed once, and was not refused.
#[test]
fn a_wait_is_one_insert() {
    let asked = Arc::new(AtomicU64::new(0));
    let ask = Arc::clone(&asked);
    let builder = ClockCache::builder().max_capacity(1).mode(Mode::Live);
    let builder = builder.weigher(move |_: &u64, _: &u64| {
        ask.fetch_add(1, Relaxed);
        1
    });
    let cache: ClockCache<u64, u64> = builder.build().unwrap();
    cache.insert(1, 1).unwrap();
    let (pinned, is_pinned) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let guard = cache.pin();
            assert_eq!(cache.get_in(&1, &guard), Some(&1));
            pinned.send(()).unwrap();
            thread::sleep(Duration::from_millis(50));
        });
        is_pinned.recv().unwrap();
        asked.store(0, Relaxed);
        cache.insert_wait(2, 2).unwrap();
    });
    assert_eq!(
        (asked.load(Relaxed), cache.stats().rejected_inserts),
        (1, 0)
    );
}
