//! A cache that everything happens to at once, for a second a test; under the address sanitizer too
//! (`ci/sanitizers`).
//!
//! * S1  Whoever looks at a value finds it whole, and of its key; nothing is dropped twice, and nothing
//!   is lost, though `Hash`, `Eq`, `Clone`, `Drop`, the weigher, the listener and closures panic.
//! * S2  In `Live` mode the values that live weigh no more than the capacity and what threads have in
//!   their hands; in both modes at rest, exactly what the cache says.
//! * S3  The listener is told of each entry that leaves, once; the counts are exact at rest.
//! * S4  A key that is there throughout is found throughout, while tables grow and are emptied.

#![cfg(feature = "cache")]

#[path = "support/canary.rs"]
mod canary;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use canary::{Census, Key, Value, below, faults, maybe_panic, wrong};
use mapless::ClockCache;
use mapless::cache::{Cause, Held, Mode, Op};

type Cache = ClockCache<Key, Value>;

const THREADS: u64 = 4;
const KEYS: u64 = 600;
const HEAVIEST: u64 = 8;

fn for_a_second(seed: u64, mut turn: impl FnMut()) {
    canary::seed(seed);
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        (0..50).for_each(|_| turn());
    }
}

struct World {
    cache: Cache,
    census: Arc<Census>,
    told: Arc<AtomicI64>,
    capacity: u64,
}

fn world(mode: Mode, capacity: u64, expires: bool) -> World {
    canary::hush();
    let told = Arc::<AtomicI64>::default();
    let count = Arc::clone(&told);
    let mut builder = ClockCache::builder()
        .max_capacity(capacity)
        .mode(mode)
        .shards(4)
        .max_weightless(40)
        .weigher(|key: &Key, value: &Value| value.weigh(key))
        .eviction_listener(move |key: &Key, value: &Value, _: Cause| {
            value.check(key.n);
            value.tell();
            count.fetch_add(1, SeqCst);
            maybe_panic();
        });
    if expires {
        builder = builder.time_to_live(Duration::from_millis(30));
        builder = builder.time_to_idle(Duration::from_millis(20));
    }
    World {
        cache: builder.build().unwrap(),
        census: Arc::default(),
        told,
        capacity,
    }
}

impl World {
    fn key(&self, n: u64) -> Key {
        Key::new(n, &self.census)
    }

    fn value(&self, n: u64) -> Value {
        Value::new(n, below(HEAVIEST + 1), &self.census)
    }

    /// One call of any kind.
    fn turn(&self, held: &mut Vec<Held<Key, Value>>) {
        let (cache, n) = (&self.cache, below(KEYS));
        match below(40) {
            0..=8 => drop(cache.insert(self.key(n), self.value(n))),
            9 => drop(cache.insert_if_absent(self.key(n), self.value(n))),
            10 => drop(cache.replace(self.key(n), self.value(n))),
            11 => drop(cache.insert_wait(self.key(n), self.value(n))),
            12..=15 => {
                let value = cache.get(&self.key(n));
                value.inspect(|value| value.check(n));
            }
            16..=19 => self.look(),
            20 | 21 => drop(cache.remove(&self.key(n))),
            22 => drop(cache.remove_if(&self.key(n), |key, value| {
                value.check(key.n);
                maybe_panic();
                value.serial % 2 == 0
            })),
            23..=25 => cache
                .get_or_insert_with(self.key(n), || self.made(n))
                .check(n),
            26 => drop(
                cache.try_get_or_insert_with(self.key(n), || match below(2) {
                    0 => Err(n),
                    _ => Ok(self.made(n)),
                }),
            ),
            27 | 28 => drop(cache.compute(self.key(n), |found| {
                found.inspect(|value| value.check(n));
                match below(3) {
                    0 => Op::Nop,
                    1 => Op::Remove,
                    _ => Op::Put(self.made(n)),
                }
            })),
            29..=31 => held.extend(cache.hold(&self.key(n))),
            32 | 33 => self.let_go(held),
            34 => cache.run_pending_tasks(),
            35 if below(100) == 0 => cache.invalidate_all(),
            36 if below(40) == 0 => cache.retain(|key, value| {
                value.check(key.n);
                maybe_panic();
                value.serial % 3 > 0
            }),
            37 if below(40) == 0 => cache.drain().take(30).for_each(|held| {
                held.check(held.key().n);
            }),
            38 => drop(cache.set_capacity(self.capacity - below(self.capacity / 2))),
            _ => {
                let guard = cache.pin();
                cache
                    .iter_in(&guard)
                    .for_each(|(key, value)| value.check(key.n));
            }
        }
    }

    fn made(&self, n: u64) -> Value {
        maybe_panic();
        self.value(n)
    }

    /// Looks at values for a while, under one guard.
    fn look(&self) {
        let guard = self.cache.pin();
        let first = below(KEYS);
        let keys: Vec<Key> = (first..first + 20).map(|n| self.key(n)).collect();
        let found = keys
            .iter()
            .map(|key| (key.n, self.cache.get_in(key, &guard)));
        let found: Vec<_> = found.collect();
        if below(8) == 0 {
            thread::yield_now();
        }
        for (n, value) in found {
            value.inspect(|value| value.check(n));
        }
    }

    fn let_go(&self, held: &mut Vec<Held<Key, Value>>) {
        held.iter().for_each(|held| held.check(held.key().n));
        let keep = below(1 + held.len() as u64) as usize;
        held.truncate(keep);
    }

    /// S2 and S3, when nobody calls any more.
    fn rest(self) {
        let Self {
            cache,
            census,
            told,
            ..
        } = self;
        cache.run_pending_tasks();
        let live = cache.weighted_size() as i64;
        assert_eq!(cache.retained_weight(), 0);
        assert_eq!(census.weight(), live, "S2");
        let count = cache.entry_count() as i64;
        assert_eq!((census.keys(), census.values()), (count, count), "S1");
        let stats = cache.stats();
        assert_eq!(stats.inserts as i64 - told.load(SeqCst), count, "S3");
        assert_eq!(cache.iter_in(&cache.pin()).count() as i64, count, "S3");
        drop(cache);
        assert_eq!((census.keys(), census.values()), (0, 0), "S1");
        canary::assert_all_right();
    }
}

fn hammer(mode: Mode, expires: bool, one_in: u64) {
    let world = world(mode, 800, expires);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let world = &world;
            scope.spawn(move || {
                let mut held = Vec::new();
                for_a_second(thread + 1, || {
                    faults(one_in);
                    let turn = AssertUnwindSafe(|| world.turn(&mut held));
                    let panics = catch_unwind(turn).is_err();
                    faults(0);
                    if panics && one_in == 0 {
                        wrong("a call panicked");
                    }
                });
            });
        }
    });
    if expires {
        // No deadline passes while we count.
        thread::sleep(Duration::from_millis(60));
    }
    world.rest();
}

#[test]
fn nothing_is_lost_in_reachable_mode() {
    hammer(Mode::Reachable, false, 0);
}

#[test]
fn nothing_is_lost_in_live_mode() {
    hammer(Mode::Live, true, 0);
}

#[test]
fn nothing_is_lost_where_all_panics() {
    hammer(Mode::Reachable, false, 60);
}

#[test]
fn nothing_is_lost_where_all_panics_and_entries_expire() {
    hammer(Mode::Live, true, 60);
}

/// S2: the values count themselves.
#[test]
fn live_values_never_weigh_more_than_the_capacity_and_what_is_in_hands() {
    let world = world(Mode::Live, 200, false);
    let most = 200 + (THREADS * HEAVIEST) as i64;
    let (done, highest) = (AtomicBool::new(false), AtomicI64::new(0));
    thread::scope(|scope| {
        let writers = [1, 2, 3, 4].map(|thread| {
            let world = &world;
            scope.spawn(move || {
                let mut held = Vec::new();
                for_a_second(thread, || {
                    let n = below(KEYS);
                    match below(8) {
                        0..=4 => drop(world.cache.insert(world.key(n), world.value(n))),
                        5 => drop(world.cache.insert_wait(world.key(n), world.value(n))),
                        6 if held.len() < 10 => held.extend(world.cache.hold(&world.key(n))),
                        6 => held.clear(),
                        _ => world.look(),
                    }
                });
            })
        });
        scope.spawn(|| {
            while !done.load(SeqCst) {
                highest.fetch_max(world.census.weight(), SeqCst);
            }
        });
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        done.store(true, SeqCst);
    });
    let highest = highest.into_inner();
    println!("at most {highest} lived, of {most} allowed");
    assert!(highest <= most, "S2: {highest} lived, of {most} allowed");
    world.rest();
}

/// S4: keys that are held are there throughout.
#[test]
fn what_stays_is_found_throughout() {
    canary::hush();
    let cache: ClockCache<u64, u64> = ClockCache::builder()
        .max_capacity(40_000)
        .shards(2)
        .build()
        .unwrap();
    let staying: Vec<u64> = (0..300).map(|n| n * 1_000_003).collect();
    let held = staying.iter().map(|&key| {
        cache.insert(key, !key).unwrap();
        cache.hold(&key).unwrap()
    });
    let held: Vec<_> = held.collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers = [1, 2].map(|thread| {
            let cache = &cache;
            scope.spawn(move || {
                let mut n = thread << 40;
                for_a_second(thread, || {
                    n += 1;
                    cache.insert(n, !n).unwrap();
                    if below(3_000) == 0 {
                        cache.retain(|key, _| key % 1_000_003 == 0);
                    }
                });
            })
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    for key in &staying {
                        assert_eq!(cache.get(key), Some(!key), "S4");
                    }
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, SeqCst);
    });
    drop(held);
}
