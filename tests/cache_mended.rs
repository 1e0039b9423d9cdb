//! ClockCache where reads, replacements, computations and listeners meet themselves.
#![cfg(feature = "cache")]

#[path = "support/attempts.rs"]
mod attempts;

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use attempts::{in_time, panics};
use mapless::ClockCache;
use mapless::cache::{Cause, Computed, Expiry, ManualClock, Mode, Op, Reason, TICK};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

// ---------------------------------------------------------------- reads and deadlines

/// Lives ten seconds; a read does something and says what is left then.
struct Reads<F>(F);

impl<F: Fn() -> Option<Duration>> Expiry<u64, u64> for Reads<F> {
    fn expire_after_create(&self, _: &u64, _: &u64, _: Instant) -> Option<Duration> {
        Some(10 * SECOND)
    }

    fn expire_after_read(
        &self,
        _: &u64,
        _: &u64,
        _: Instant,
        _: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        (self.0)()
    }
}

#[test]
fn a_read_that_takes_longer_than_the_entry_has_left_revives_nothing() {
    let clock = ManualClock::new();
    let other = clock.clone();
    let slow = Reads(move || {
        other.advance(11 * SECOND);
        Some(100 * SECOND)
    });
    let builder = ClockCache::builder().expire_after(slow);
    let cache: ClockCache<u64, u64> = builder.clock(clock).build().unwrap();
    cache.insert(1, 1).unwrap();
    assert_eq!(cache.get(&1), None, "over when the answer came");
    assert_eq!((cache.peek(&1), cache.get(&1)), (None, None));
}

#[test]
fn a_read_overwrites_no_deadline_that_another_set_meanwhile() {
    static CACHE: OnceLock<ClockCache<u64, u64>> = OnceLock::new();
    let (clock, calls) = (ManualClock::new(), AtomicU64::new(0));
    let nested = Reads(move || {
        if calls.fetch_add(1, SeqCst) > 0 {
            return Some(SECOND);
        }
        assert_eq!(CACHE.get().unwrap().get(&1), Some(1));
        Some(100 * SECOND)
    });
    let builder = ClockCache::builder().expire_after(nested);
    let cache = builder.clock(clock.clone()).build().unwrap();
    let cache = CACHE.get_or_init(|| cache);
    cache.insert(1, 1).unwrap();
    assert_eq!(cache.get(&1), Some(1));
    clock.advance(2 * SECOND);
    assert_eq!(cache.get(&1), None, "the read inside said one second");
}

/// Another read saw the entry as over, while the first one still asks what it has left.
#[test]
fn what_a_read_saw_as_over_stays_so() {
    static CACHE: OnceLock<ClockCache<u64, u64>> = OnceLock::new();
    let clock = ManualClock::new();
    let cache = ClockCache::builder()
        .time_to_live(10 * SECOND)
        .clock(clock.clone())
        .shards(1)
        .build()
        .unwrap();
    let cache = CACHE.get_or_init(|| cache);
    cache.insert(1, 1).unwrap();
    clock.advance(11 * SECOND);
    assert_eq!(cache.get(&1), None);
    // Ticks have 32 bits: without that look it would seem to lie ahead by now.
    clock.advance(250 * DAY);
    assert_eq!((cache.get(&1), cache.peek(&1)), (None, None));
    assert_eq!((cache.iter().count(), cache.contains_key(&1)), (0, false));
    cache.run_pending_tasks();
    assert_eq!((cache.entry_count(), cache.stats().expired), (0, 1));
    assert_eq!(TICK, Duration::from_millis(10));
}

/// Says nothing of reads.
struct Created;

impl Expiry<u64, u64> for Created {
    fn expire_after_create(&self, _: &u64, _: &u64, _: Instant) -> Option<Duration> {
        Some(100 * SECOND)
    }
}

/// As `docs/MOKA.md` says: the two have one deadline.
#[test]
fn a_read_that_leaves_what_is_left_leaves_the_time_to_idle_too() {
    let clock = ManualClock::new();
    let builder = ClockCache::builder().time_to_idle(10 * SECOND);
    let builder = builder.expire_after(Created).clock(clock.clone());
    let cache: ClockCache<u64, u64> = builder.build().unwrap();
    cache.insert(1, 1).unwrap();
    clock.advance(6 * SECOND);
    assert_eq!(cache.get(&1), Some(1));
    clock.advance(6 * SECOND);
    assert_eq!(cache.get(&1), None);
}

// ---------------------------------------------------------------- growing replacements

/// Says of a key which shard it is in, of two.
#[derive(Clone, Default)]
struct ByParity(u64);

impl BuildHasher for ByParity {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for ByParity {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        // The cache multiplies by an odd number and folds: bit 32 of that chooses the shard.
        let wanted = self.0 % 2;
        let spread = |raw: u64| {
            let product = u128::from(raw) * 0x9E37_79B9_7F4A_7C15;
            ((product >> 64) as u64 ^ product as u64) >> 32 & 1
        };
        (0..)
            .map(|n| self.0 * 1_000 + n)
            .find(|&raw| spread(raw) == wanted)
            .expect("there is one")
    }
}

type Weighed = ClockCache<u64, u64, ByParity>;

/// Two shards, capacity 10, values are weights.
fn weighed(listener: impl Fn(&u64, &u64, Cause) + Send + Sync + 'static) -> Weighed {
    ClockCache::builder()
        .max_capacity(10)
        .shards(2)
        .weigher(|_: &u64, &weight: &u64| weight)
        .eviction_listener(listener)
        .hasher(ByParity::default())
        .build()
        .unwrap()
}

/// While the first replacement makes room, and keeps what it replaces, the second one comes.
#[test]
fn growing_replacements_are_not_refused_for_each_others_sake() {
    in_time(|| {
        let (asked, ask) = mpsc::channel();
        let asked = Mutex::new(Some(asked));
        let cache = Arc::new(weighed(move |_, _, cause| {
            if cause == Cause::Size
                && let Some(asked) = asked.lock().unwrap().take()
            {
                asked.send(()).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        }));
        cache.insert(2, 5).unwrap();
        cache.insert(3, 1).unwrap();
        cache.insert(1, 4).unwrap();
        let other = Arc::clone(&cache);
        let second = thread::spawn(move || {
            ask.recv().unwrap();
            other.insert(1, 6).map_err(|refused| refused.reason)
        });
        let first = cache.insert(2, 6).map_err(|refused| refused.reason);
        let second = second.join().unwrap();
        for result in [first, second] {
            assert!(
                matches!(result, Ok(()) | Err(Reason::Contended)),
                "{result:?}"
            );
        }
        assert!(first.is_ok() || second.is_ok());
        assert!(cache.weighted_size() <= 10);
    });
}

#[test]
fn only_what_a_user_holds_is_said_to_be_held() {
    let cache = weighed(|_, _, _| {});
    thread::scope(|scope| {
        for key in [1, 2] {
            let cache = &cache;
            scope.spawn(move || {
                for round in 0..3_000 {
                    // A thread that is put aside with tokens in its hand is in the way too.
                    if let Err(no) = cache.insert(key, 5 + round % 3) {
                        assert_eq!(no.reason, Reason::Contended);
                    }
                }
            });
        }
    });
    cache.invalidate_all();
    cache.insert(2, 5).unwrap();
    let held = cache.hold(&2).unwrap();
    let no = cache.insert(1, 6).unwrap_err();
    assert_eq!((no.reason, cache.held_weight()), (Reason::AllHeld, 5));
    drop(held);
    assert_eq!(cache.held_weight(), 0);
    cache.insert(1, 6).unwrap();
}

// ---------------------------------------------------------------- computations that wait in a ring

type Plain = ClockCache<u64, u64>;

/// Each of so many threads computes its own key, and asks for the next one's inside.
fn ring(threads: u64, ask: impl Fn(&Plain, u64, &dyn Fn() -> u64) -> u64 + Copy + Send + 'static) {
    in_time(move || {
        let cache: Plain = ClockCache::new(100);
        let all = Barrier::new(threads as usize);
        let met = AtomicU64::new(0);
        let failed = AtomicUsize::new(0);
        thread::scope(|scope| {
            for key in 0..threads {
                let (cache, all, failed, met) = (&cache, &all, &failed, &met);
                scope.spawn(move || {
                    let first = || {
                        // Only the first computation of a key waits for the others.
                        if met.fetch_or(1 << key, SeqCst) & 1 << key == 0 {
                            all.wait();
                        }
                        ask(cache, (key + 1) % threads, &|| 7)
                    };
                    let alone = panics(|| ask(cache, key, &first));
                    failed.fetch_add(usize::from(alone), SeqCst);
                });
            }
        });
        assert_eq!(failed.load(SeqCst), 1, "one is told, and the others go on");
        for key in 0..threads {
            assert_eq!(cache.get_or_insert_with(key, || 7), 7);
        }
    });
}

#[test]
fn loads_that_wait_for_each_other_are_told() {
    ring(2, |cache, key, init| cache.get_or_insert_with(key, init));
    ring(3, |cache, key, init| cache.get_or_insert_with(key, init));
}

#[test]
fn computations_that_wait_for_each_other_are_told() {
    let compute = |cache: &Plain, key, init: &dyn Fn() -> u64| {
        let computed = cache.compute(key, |_| Op::Put(init()));
        match computed {
            Computed::Inserted(value) | Computed::ReplacedWith(value) => value,
            other => panic!("{other:?}"),
        }
    };
    ring(2, compute);
}

#[test]
fn a_write_inside_a_computation_waits_for_no_ring() {
    in_time(|| {
        let cache: Plain = ClockCache::new(100);
        let both = Barrier::new(2);
        let failed = AtomicUsize::new(0);
        thread::scope(|scope| {
            for key in [1, 2] {
                let (cache, both, failed) = (&cache, &both, &failed);
                scope.spawn(move || {
                    let alone = panics(|| {
                        cache.compute(key, |_| {
                            both.wait();
                            cache.insert(3 - key, 30).unwrap();
                            Op::Put(key)
                        })
                    });
                    failed.fetch_add(usize::from(alone), SeqCst);
                });
            }
        });
        assert_eq!(failed.load(SeqCst), 1);
    });
}

/// A chain without a ring: it only waits.
#[test]
fn a_chain_of_loads_ends() {
    in_time(|| {
        let cache: Plain = ClockCache::new(100);
        let cache = &cache;
        let load = |key| cache.get_or_insert_with(key, || 9);
        let begun = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                cache.get_or_insert_with(1, || {
                    begun.wait();
                    thread::sleep(Duration::from_millis(30));
                    1
                })
            });
            begun.wait();
            let (inside, three) = (|| load(1) + 1, || load(2) + 1);
            let two = scope.spawn(move || cache.get_or_insert_with(2, inside));
            thread::sleep(Duration::from_millis(5));
            assert_eq!(cache.get_or_insert_with(3, three), 3);
            assert_eq!(two.join().unwrap(), 2);
        });
    });
}

// ---------------------------------------------------------------- listeners that insert

/// What is evicted comes back under another key, until it came so often.
fn cascade(mode: Mode, most: u64) -> (Arc<OnceLock<Plain>>, Arc<Mutex<Vec<u64>>>) {
    let cache: Arc<OnceLock<Plain>> = Arc::default();
    let told: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (inner, seen) = (Arc::downgrade(&cache), Arc::clone(&told));
    let listener = move |&key: &u64, _: &u64, cause| {
        seen.lock().unwrap().push(key);
        if cause == Cause::Size && key < most {
            let cache = inner.upgrade().unwrap();
            let _ = cache.get().unwrap().insert(key + 5, key);
        }
    };
    let builder = ClockCache::builder().max_capacity(4).shards(1).mode(mode);
    let built = builder.eviction_listener(listener).build().unwrap();
    assert!(cache.set(built).is_ok());
    (cache, told)
}

/// 20,000 evictions, each by the listener that is told of another, on a small stack.
#[test]
fn a_listener_that_inserts_needs_little_stack() {
    let run = || {
        const MOST: u64 = 20_000;
        let (cache, told) = cascade(Mode::Reachable, MOST);
        let cache = cache.get().unwrap();
        (0..5).for_each(|key| cache.insert(key, key).unwrap());
        let mut told = told.lock().unwrap().clone();
        let all = told.len();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), all, "each once, before the call returns");
        assert!(all as u64 > MOST / 5, "{all}");
        let stats = cache.stats();
        assert_eq!((stats.size, cache.entry_count()), (all as u64, 4));
        assert_eq!(stats.inserts, all as u64 + 4);
        cache.run_pending_tasks();
        assert_eq!((cache.weighted_size(), cache.retained_weight()), (4, 0));
    };
    let small = thread::Builder::new().stack_size(1 << 18);
    small.spawn(run).unwrap().join().unwrap();
}

/// In `Live` an eviction gives no room before it was told: those too deep inside are refused.
#[test]
fn a_listener_that_inserts_ends_in_live_too() {
    in_time(|| {
        let (cache, told) = cascade(Mode::Live, 2_000);
        let cache = cache.get().unwrap();
        (0..100).for_each(|key| _ = cache.insert(key, key));
        cache.run_pending_tasks();
        let told = told.lock().unwrap().len() as u64;
        assert_eq!((cache.stats().size, cache.retained_weight()), (told, 0));
    });
}

/// What the listener is being told keeps the room that it would wait for.
#[test]
fn a_listener_does_not_wait_for_itself() {
    in_time(|| {
        let cache: Arc<OnceLock<Plain>> = Arc::default();
        let inner = Arc::downgrade(&cache);
        let (refused, seen) = mpsc::channel();
        let listener = move |&key: &u64, _: &u64, _| {
            let cache = inner.upgrade().unwrap();
            let insert = cache.get().unwrap().insert_wait(key + 10, 0);
            refused.send(insert.unwrap_err().reason).unwrap();
        };
        let builder = ClockCache::builder().max_capacity(1).mode(Mode::Live);
        let built = builder.eviction_listener(listener).build().unwrap();
        assert!(cache.set(built).is_ok());
        let cache = cache.get().unwrap();
        cache.insert(1, 1).unwrap();
        cache.insert_wait(2, 2).unwrap();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [Reason::OwnGuard]);
        assert_eq!((cache.get(&2), cache.retained_weight()), (Some(2), 0));
    });
}
