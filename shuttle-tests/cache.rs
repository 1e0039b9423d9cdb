//! `ClockCache` under random schedules: 4 threads, 12 random calls each, of every kind. Each
//! schedule has a small cache of its own: either mode, 1 to 4 shards, with or without a listener and
//! deadlines. Every thread has keys that it alone writes, and there are keys of all. Closures fail
//! and panic, as the weigher and the listener do. And a few calls around keys that all want the same
//! places of the table, more than there are.
//!
//! * W1  What is reachable or held, and in `Live` mode what readers keep, never weighs more than the
//!   capacity; values count themselves.
//! * W2  Each key and value is dropped once, and nobody looks at it then.
//! * W3  What is found was brought in under that key, and is what the key has: the last that its
//!   thread put there, and not over.
//! * W4  The listener is told of each that leaves, once, with a cause that can be.
//! * W5  One closure at a time computes a key's value; nobody writes it while `compute` does.
//! * W6  At rest the counts are exact, and no room is lost.

#![cfg(shuttle)]

#[path = "cache/census.rs"]
mod census;
#[path = "../tests/support/mod.rs"]
#[allow(unused_imports)] // each user takes its part
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use census::{Census, Key, Planned, Root, Value, panic_as_planned};
use mapless::ClockCache;
use mapless::cache::{Cause, Clock, Computed, Held, ManualClock, Mode, Op, Refused, TICK};
use mapless_shuttle_tests::{Pick, explore, on_threads, seed};
use shuttle::future::block_on;
use shuttle::thread::yield_now;
use support::Rng;

/// The same in every run.
#[derive(Clone, Copy)]
enum Hashes {
    Spread,
    /// All keys have one home.
    Crowded,
}

impl BuildHasher for Hashes {
    type Hasher = Hash;

    fn build_hasher(&self) -> Hash {
        Hash(*self, DefaultHasher::new())
    }
}

struct Hash(Hashes, DefaultHasher);

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        if let Hashes::Spread = self.0 {
            self.1.write(bytes);
        }
    }

    fn finish(&self) -> u64 {
        self.1.finish()
    }
}

type Hold = Held<Key, Value, Hashes>;

const THREADS: u64 = 4;
/// So many keys each thread has, and so many are everybody's.
const KEYS: u64 = 7;
/// So heavy that what left is sealed off after a few.
const UNIT: u64 = 9 << 10;
/// So many keys have room around one home.
const WINDOW: u64 = 16 * 12;
const LIFE: Duration = Duration::from_millis(40);

struct World {
    cache: ClockCache<Key, Value, Hashes>,
    census: Arc<Census>,
    clock: ManualClock,
    kind: Kind,
}

/// What a world is like.
struct Kind {
    mode: Mode,
    capacity: u64,
    shards: usize,
    hashes: Hashes,
    heaviest: u64,
    expires: bool,
    tells: bool,
}

impl Kind {
    fn random(rng: &mut Rng) -> Self {
        Self {
            mode: rng.one_of(&[Mode::Reachable, Mode::Live]),
            capacity: (5 + rng.below(20)) * UNIT,
            shards: rng.one_of(&[1, 2, 4]),
            hashes: Hashes::Spread,
            heaviest: rng.one_of(&[1, 4]),
            expires: rng.below(2) == 0,
            tells: rng.below(4) > 0,
        }
    }

    fn crowded(rng: &mut Rng) -> Self {
        Self {
            capacity: 2 * WINDOW * UNIT,
            shards: 1,
            hashes: Hashes::Crowded,
            expires: false,
            ..Self::random(rng)
        }
    }
}

impl World {
    fn new(kind: Kind) -> Self {
        let census = Census::new(kind.mode, kind.capacity);
        let clock = ManualClock::new();
        let mut builder = ClockCache::builder()
            .max_capacity(kind.capacity)
            .mode(kind.mode)
            .shards(kind.shards)
            .max_weightless(3)
            .weigher(|_: &Key, value: &Value| value.weigh())
            .hasher(kind.hashes);
        if kind.tells {
            let census = Arc::clone(&census);
            builder = builder.eviction_listener(move |key: &Key, value: &Value, cause| {
                tell(&census, key, value, cause, kind.expires);
            });
        }
        if kind.expires {
            builder = builder.clock(clock.clone()).time_to_live(LIFE);
        }
        let cache = builder.build().expect("a number of shards that can be");
        // What the shim makes at first use is made here: shuttle takes a `Once` for poisoned if another
        // thread unwinds just then.
        assert!(cache.get(&Key::new(0, &census)).is_none());
        Self {
            cache,
            census,
            clock,
            kind,
        }
    }

    fn key(&self, n: u64) -> Key {
        Key::new(n, &self.census)
    }

    /// W1: what a walk meets stays under its guard in `Live` mode, and was there between two walks
    /// in the other one if both meet it.
    fn check_capacity(&self) {
        let guard = self.cache.pin();
        let walk = || self.cache.iter_in(&guard);
        let met = walk().map(|(key, value)| (value.check(key.n), value.weight));
        let met: Vec<_> = met.collect();
        let mut there: BTreeMap<_, _> = met.iter().copied().collect();
        assert_eq!(there.len(), met.len(), "W3: met twice");
        let moment = self.census.moment();
        if self.kind.mode == Mode::Reachable {
            let still: BTreeSet<_> = walk().map(|(_, value)| value.root).collect();
            there.retain(|root, _| still.contains(root));
        }
        there.extend(moment.held);
        let (weight, limit) = (there.values().sum::<u64>(), moment.limit);
        assert!(weight <= limit, "W1: {weight} at a time, {limit} allowed");
    }

    fn let_go(&self, hold: Hold) {
        hold.check(hold.key().n);
        self.census.release(hold.root);
    }

    /// W2, W4 and W6, when nobody calls any more.
    fn finish(self, holds: Vec<Hold>) {
        holds.into_iter().for_each(|hold| self.let_go(hold));
        self.check_capacity();
        let (cache, census) = (&self.cache, &self.census);
        cache.run_pending_tasks();
        census.assert_all_right();
        assert_eq!((cache.retained_weight(), cache.held_weight()), (0, 0), "W6");
        let there = cache
            .iter()
            .map(|(_, value)| (value.root, value.weight))
            .collect::<BTreeMap<_, _>>();
        let (count, weight) = (there.len() as u64, there.values().sum());
        let counted = (cache.entry_count(), cache.weighted_size(), census.live());
        assert_eq!(counted, (count, weight, weight), "W6");
        assert_eq!(census.living() as u64, 2 * count, "W2: keys and values");
        let stats = cache.stats();
        assert_eq!(stats.inserts - stats.removals(), count, "W6");
        if self.kind.tells {
            let told = (stats.removals(), stats.listener_panics);
            assert_eq!(told, census.told_in_all(), "W4");
            let inside = census.inside();
            assert!(inside.iter().all(|root| there.contains_key(root)), "W4");
        }
        self.fill();
    }

    /// W6: all the room can be had, and then the cache goes.
    fn fill(self) {
        let (cache, limit) = (&self.cache, self.census.limit());
        assert_eq!(cache.max_capacity(), limit, "W6");
        for (n, weight) in [(0, limit), (1, limit), (2, 1)] {
            let key = self.key(1_000 + n);
            let value = Value::new(key.n, weight, THREADS, &self.census);
            let inserted = cache.insert(key, value);
            assert!(inserted.is_ok(), "W6: no room for {weight}: {inserted:?}");
            assert_eq!(cache.weighted_size(), weight, "W6");
            self.census.hands_empty(THREADS);
        }
        cache.invalidate_all();
        cache.run_pending_tasks();
        assert_eq!((cache.entry_count(), self.census.live()), (0, 0), "W6");
        let Self { cache, census, .. } = self;
        drop(cache);
        assert_eq!(census.living(), 0, "W2");
        census.assert_all_right();
    }
}

/// The listener: one call in eight panics.
fn tell(census: &Census, key: &Key, value: &Value, cause: Cause, expires: bool) {
    value.check(key.n);
    let panics = seed() < u64::MAX / 8;
    census.told(value.root, cause, expires, panics);
    if panics {
        panic_as_planned();
    }
}

/// What a key of our own has, unless it left.
struct Known {
    root: Root,
    /// It is over then.
    end: Duration,
}

struct Actor<'w> {
    world: &'w World,
    thread: u64,
    rng: Rng,
    own: BTreeMap<u64, Known>,
    holds: Vec<Hold>,
}

impl<'w> Actor<'w> {
    fn new(world: &'w World, thread: u64) -> Self {
        Self {
            world,
            thread,
            rng: Rng::new(seed()),
            own: BTreeMap::new(),
            holds: Vec::new(),
        }
    }

    /// So many calls; what was held in the end.
    fn work(mut self, calls: u64, call: fn(&mut Self)) -> Vec<Hold> {
        for _ in 0..calls {
            let call = catch_unwind(AssertUnwindSafe(|| call(&mut self)));
            if let Some(panic) = call.err().filter(|panic| !panic.is::<Planned>()) {
                resume_unwind(panic);
            }
            self.world.census.hands_empty(self.thread);
            self.world.census.assert_all_right();
        }
        self.holds
    }

    fn call(&mut self) {
        match self.rng.below(32) {
            0..=6 => self.insert(),
            7..=9 => self.look(),
            10 => self.get_many(),
            11 | 12 => self.remove(),
            13 => self.remove_if(),
            14..=16 => self.compute(),
            17..=20 => self.load(),
            21..=23 => self.hold(),
            24 => drop(
                self.rng
                    .take(&mut self.holds)
                    .map(|hold| self.world.let_go(hold)),
            ),
            25 => self.world.cache.run_pending_tasks(),
            26 | 27 => self.world.check_capacity(),
            28 => self.sweep(),
            29 => self.remove_all(),
            30 => self.resize(),
            _ => self.world.clock.advance(TICK * 2),
        }
    }

    /// As `call`, where the window is full.
    fn call_crowded(&mut self) {
        match self.rng.below(8) {
            0..=2 => self.insert_crowded(),
            3..=5 => self.hold_crowded(),
            6 => self.world.check_capacity(),
            _ => self.remove(),
        }
    }

    /// A key that we may write: ours, or everybody's.
    fn key(&mut self) -> u64 {
        let owner = self.rng.one_of(&[self.thread, THREADS]);
        self.rng.below(KEYS) * (THREADS + 1) + owner
    }

    fn any_key(&mut self) -> u64 {
        self.rng.below(KEYS * (THREADS + 1))
    }

    fn value(&mut self, key: u64) -> Value {
        let units = match self.rng.below(8) {
            0 => 0,
            _ => 1 + self.rng.below(self.world.kind.heaviest),
        };
        let mut value = Value::new(key, units * UNIT, self.thread, &self.world.census);
        value.is_unweighable = self.rng.below(30) == 0;
        value
    }

    /// How long a closure takes: others call the cache once in the longest.
    fn pause(&mut self) -> u64 {
        self.rng.one_of(&[0, 5, 100])
    }

    /// W3, of a lookup that began at `asked`.
    fn found(&self, key: u64, value: &Value, asked: Duration) {
        let root = value.check(key);
        if key % (THREADS + 1) == self.thread {
            let known = self.own.get(&key).filter(|known| known.root == root);
            let known = known.expect("W3: not what the key has");
            assert!(!self.world.kind.expires || asked < known.end, "W3: over");
        }
    }

    /// The key has this now, and perhaps `is_certain` not, as what was loaded may be refused.
    fn has(&mut self, key: u64, root: Root, is_certain: bool) {
        let end = self.world.clock.now() + LIFE + TICK;
        self.own.insert(key, Known { root, end });
        if is_certain {
            self.world.census.came_in(root);
        }
    }

    fn insert(&mut self) {
        let (cache, census, n) = (&self.world.cache, &self.world.census, self.key());
        let (key, mut value, before) = (self.world.key(n), self.value(n), census.running(n));
        let (root, how) = (value.root, self.rng.below(10));
        value.waits = how == 2;
        let result = match how {
            0 => cache.insert_if_absent(key, value),
            1 => cache.replace(key, value),
            2 => cache.insert_wait(key, value),
            3 | 4 => block_on(cache.insert_async(key, value)),
            _ => cache.insert(key, value),
        };
        match result {
            Ok(()) => {
                census.wrote(n, before);
                self.has(n, root, true);
            }
            Err(Refused { value, .. }) => {
                assert!(value.root == root, "W3: another one's value");
                census.refused(root);
            }
        }
    }

    /// Another key that has the same home.
    fn insert_crowded(&mut self) {
        let n = (KEYS + self.rng.below(1 << 40)) * (THREADS + 1) + self.thread;
        let value = Value::new(n, UNIT, self.thread, &self.world.census);
        let root = value.root;
        match self.world.cache.insert(self.world.key(n), value) {
            Ok(()) => {
                self.has(n, root, true);
                (0..4).for_each(|_| drop(self.world.cache.get(&self.world.key(n))));
            }
            Err(_) => self.world.census.refused(root),
        }
    }

    /// Looks at some keys, and at what it found once more, under one guard.
    fn look(&mut self) {
        let (cache, asked) = (&self.world.cache, self.world.clock.now());
        let guard = cache.pin();
        let mut found = Vec::new();
        for _ in 0..2 {
            let n = self.any_key();
            let key = self.world.key(n);
            match self.rng.below(4) {
                0 => drop(cache.get(&key).inspect(|value| self.found(n, value, asked))),
                1 => drop(
                    cache
                        .peek(&key)
                        .inspect(|value| self.found(n, value, asked)),
                ),
                2 => drop(cache.contains_key(&key)),
                _ => found.extend(cache.get_in(&key, &guard).map(|value| (n, value))),
            }
        }
        found
            .into_iter()
            .for_each(|(n, value)| self.found(n, value, asked));
    }

    fn get_many(&mut self) {
        let asked = self.world.clock.now();
        let keys = [(); 4].map(|()| self.world.key(self.any_key()));
        let mut values = [const { None }; 4];
        self.world.cache.get_many(&keys.each_ref(), &mut values);
        for (key, value) in keys.iter().zip(values) {
            value.inspect(|value| self.found(key.n, value, asked));
        }
    }

    fn removed(&self, root: Root) {
        if self.world.kind.tells {
            self.world.census.removed(root);
        }
    }

    fn remove(&mut self) {
        let (cache, census, n) = (&self.world.cache, &self.world.census, self.key());
        let (key, before, asked) = (self.world.key(n), census.running(n), self.world.clock.now());
        let removed = match self.rng.below(3) {
            0 => block_on(cache.remove_async(&key)),
            _ => cache.remove(&key),
        };
        if let Some(value) = removed {
            census.wrote(n, before);
            self.found(n, &value, asked);
            self.removed(value.root);
        }
        self.own.remove(&n);
    }

    fn remove_if(&mut self) {
        let (n, coin) = (self.key(), self.rng.below(3));
        let mut asked_of = None;
        let of = |key: &Key, value: &Value| {
            // It is asked about what is over, too; but says then that it did not remove it.
            self.found(key.n, value, Duration::ZERO);
            asked_of = Some(value.root);
            yield_now();
            match coin {
                0 => panic_as_planned(),
                coin => coin == 1,
            }
        };
        if self.world.cache.remove_if(&self.world.key(n), of) {
            self.own.remove(&n);
            self.removed(asked_of.expect("it was asked"));
        }
    }

    fn compute(&mut self) {
        let (n, asked, cache) = (self.key(), self.world.clock.now(), &self.world.cache);
        let (made, coin, pause) = (self.value(n), self.rng.below(6), self.pause());
        let root = made.root;
        let computed = cache.compute(self.world.key(n), |seen| {
            let _running = self.world.census.begin(n, true);
            seen.inspect(|value| self.found(n, value, asked));
            (0..pause).for_each(|_| yield_now());
            match coin {
                0 => panic_as_planned(),
                1 => Op::Nop,
                2 | 3 => Op::Remove,
                _ => Op::Put(made),
            }
        });
        match computed {
            Computed::Inserted(value) | Computed::ReplacedWith(value) => {
                assert!(coin > 3 && value.root == root, "W3: another one's value");
                self.has(n, root, true);
            }
            Computed::Removed(value) => {
                self.found(n, &value, asked);
                self.own.remove(&n);
            }
            Computed::Unchanged(value) => self.found(n, &value, asked),
            Computed::StillNone => assert!((1..4).contains(&coin), "W3"),
            Computed::Refused(..) => self.world.census.refused(root),
        }
    }

    fn load(&mut self) {
        let (n, asked, cache) = (self.key(), self.world.clock.now(), &self.world.cache);
        let (made, coin, pause) = (self.value(n), self.rng.below(5), self.pause());
        let root = made.root;
        let init = || {
            let _running = self.world.census.begin(n, false);
            (0..pause).for_each(|_| yield_now());
            match coin {
                0 => panic_as_planned(),
                1 => Err(Planned),
                _ => Ok(made),
            }
        };
        let loaded = match coin {
            0..=2 => cache.try_get_or_insert_with(self.world.key(n), init),
            3 => block_on(cache.try_get_or_insert_with_async(self.world.key(n), async { init() })),
            _ => Ok(cache.get_or_insert_with(self.world.key(n), || {
                init().unwrap_or_else(|_| unreachable!())
            })),
        };
        match loaded {
            Ok(value) if value.root == root => self.has(n, root, false),
            Ok(value) => self.found(n, &value, asked),
            Err(_) => {}
        }
    }

    fn hold(&mut self) {
        let n = self.any_key();
        self.hold_it(n);
    }

    fn hold_crowded(&mut self) {
        let n = self.rng.below(KEYS) * (THREADS + 1) + THREADS;
        self.hold_it(n);
    }

    fn hold_it(&mut self, n: u64) {
        let asked = self.world.clock.now();
        if self.holds.len() == 2 {
            let first = self.holds.remove(0);
            self.world.let_go(first);
        }
        if let Some(hold) = self.world.cache.hold(&self.world.key(n)) {
            self.world.census.hold(hold.root);
            self.found(n, &hold, asked);
            self.holds.push(hold);
        }
        if let [hold] = &self.holds[..] {
            let more = hold.clone();
            self.world.census.hold(more.root);
            self.holds.push(more);
        }
    }

    fn sweep(&mut self) {
        let (cache, bit) = (&self.world.cache, self.rng.below(2));
        let of = |key: &Key, value: &Value| {
            value.check(key.n);
            key.n % 2 == bit
        };
        match self.rng.below(2) {
            0 => cache.invalidate_if(of),
            _ => cache.retain(of),
        }
    }

    fn remove_all(&mut self) {
        let cache = &self.world.cache;
        match self.rng.below(2) {
            0 => cache.invalidate_all(),
            _ => cache.drain().take(3).for_each(|hold| {
                self.world.census.hold(hold.root);
                self.world.let_go(hold);
            }),
        }
    }

    fn resize(&mut self) {
        let capacity = (5 + self.rng.below(20)) * UNIT;
        if let Some(before) = self.world.census.resizes(capacity) {
            let result = self.world.cache.set_capacity(capacity);
            let limit = result.map_or(before, |()| capacity);
            self.world.census.resized(limit);
        }
    }
}

fn four_threads() {
    let world = World::new(Kind::random(&mut Rng::new(seed())));
    let (world, rest) = on_threads(world, THREADS, |world, thread| {
        Actor::new(world, thread).work(12, Actor::call)
    });
    world.finish(rest.into_iter().flatten().collect());
}

/// The window is filled, with few keys that they know among the others; all are used, lest those that
/// are held be the last to be chosen anyway.
fn a_full_window() {
    let world = World::new(Kind::crowded(&mut Rng::new(seed())));
    let known = (0..KEYS).map(|n| n * (THREADS + 1) + THREADS);
    for n in known.chain(1_000_000..).take(WINDOW as usize - 2) {
        let value = Value::new(n, UNIT, THREADS, &world.census);
        world
            .cache
            .insert(world.key(n), value)
            .expect("there is room");
        world.census.hands_empty(THREADS);
        (0..4).for_each(|_| drop(world.cache.get(&world.key(n))));
    }
    let (world, rest) = on_threads(world, THREADS, |world, thread| {
        Actor::new(world, thread).work(6, Actor::call_crowded)
    });
    world.finish(rest.into_iter().flatten().collect());
}

#[test]
fn random_schedules() {
    explore("cache", Pick::Random, four_threads);
}

#[test]
fn few_preemptions() {
    explore("cache", Pick::Pct, four_threads);
}

#[test]
fn full_windows() {
    explore("cache, a window", Pick::Random, a_full_window);
}
