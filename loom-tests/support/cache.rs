//! What the models of the cache share: a hasher that no run changes, and values that are watched.
//!
//! A value's payload lies in loom's `UnsafeCell`: whoever makes or drops a value writes it, whoever
//! finds the value reads it. So a missing edge is a race that loom reports, and not a lucky number;
//! and values are counted, so that one that is dropped twice, or never, is missed at the end.

use core::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::cell::UnsafeCell;
use loom::thread;
use mapless::cache::{CacheBuilder, ClockCache, Refused};

/// Hashes a number to itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Same(u64);

impl BuildHasher for Same {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) type Cache = ClockCache<u64, Value, Same>;
pub(crate) type Builder = CacheBuilder<u64, Value, Same>;

/// How many values there are. Invisible to loom, whose threads share one thread of the system.
#[derive(Default)]
pub(crate) struct Count {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// A value that is watched.
pub(crate) struct Value {
    pub(crate) number: u64,
    payload: UnsafeCell<()>,
    count: Arc<Count>,
}

// SAFETY: nothing is in the payload; loom says who looks at it while another writes.
unsafe impl Sync for Value {}
// SAFETY: as above.
unsafe impl Send for Value {}

impl Value {
    /// What a reader does: nobody may drop it at the same time.
    #[track_caller]
    pub(crate) fn read(&self) -> u64 {
        self.payload.with(|_| ());
        self.number
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.read();
        self.count.made.fetch_add(1, Relaxed);
        Self {
            number: self.number,
            payload: UnsafeCell::new(()),
            count: Arc::clone(&self.count),
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.payload.with_mut(|_| ());
        self.count.dropped.fetch_add(1, Relaxed);
    }
}

/// A cache, and its values.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) cache: Cache,
    count: Arc<Count>,
}

/// A cache for so many entries, in one shard, whose table need not grow for the first three.
pub(crate) fn builder(capacity: u64) -> Builder {
    let builder = ClockCache::builder().max_capacity(capacity);
    builder
        .initial_capacity(3)
        .shards(1)
        .hasher(Same::default())
}

#[allow(dead_code)] // no file needs all of it
impl World {
    pub(crate) fn with(builder: Builder) -> Self {
        Self {
            cache: builder.build().expect("a small cache"),
            count: Arc::default(),
        }
    }

    /// In which keys have themselves for values.
    pub(crate) fn new(capacity: u64, keys: &[u64]) -> Self {
        Self::with(builder(capacity)).and(keys)
    }

    pub(crate) fn and(self, keys: &[u64]) -> Self {
        for &key in keys {
            assert!(self.insert(key, key), "key {key} has no room");
        }
        self
    }

    pub(crate) fn value(&self, number: u64) -> Value {
        self.count.made.fetch_add(1, Relaxed);
        Value {
            number,
            payload: UnsafeCell::new(()),
            count: Arc::clone(&self.count),
        }
    }

    /// Whether it came in.
    #[track_caller]
    pub(crate) fn insert(&self, key: u64, number: u64) -> bool {
        self.try_insert(key, number).is_ok()
    }

    #[track_caller]
    pub(crate) fn try_insert(&self, key: u64, number: u64) -> Result<(), Refused<u64, Value>> {
        self.cache.insert(key, self.value(number))
    }

    /// A lookup under a guard of its own.
    #[track_caller]
    pub(crate) fn get(&self, key: u64) -> Option<u64> {
        let guard = self.cache.pin();
        self.cache.get_in(&key, &guard).map(Value::read)
    }

    #[track_caller]
    pub(crate) fn remove(&self, key: u64) -> Option<u64> {
        self.cache.remove(&key).map(|value| value.read())
    }

    /// How many values there are, in the cache and beside it.
    pub(crate) fn alive(&self) -> usize {
        let made = self.count.made.load(Relaxed);
        let dropped = self.count.dropped.load(Relaxed);
        made.checked_sub(dropped).expect("a value is dropped once")
    }

    /// At rest: what left was dropped, what is there is what is said, and no token is lost.
    #[track_caller]
    pub(crate) fn check(&self) {
        let cache = &self.cache;
        cache.run_pending_tasks();
        assert_eq!(
            cache.entry_count(),
            self.alive() as u64,
            "what left is dropped"
        );
        assert_eq!(cache.retained_weight(), 0);
        assert_eq!(cache.held_weight(), 0);
        assert!(cache.weighted_size() <= cache.max_capacity(), "the budget");
        let guard = cache.pin();
        assert_eq!(cache.iter_in(&guard).count() as u64, cache.entry_count());
    }

    /// Ends the cache, which drops each value that is left, once.
    #[track_caller]
    pub(crate) fn end(self) {
        self.check();
        let Self { cache, count } = self;
        drop(cache);
        let dropped = count.dropped.load(Relaxed);
        assert_eq!(
            count.made.load(Relaxed),
            dropped,
            "each value is dropped once"
        );
    }

    pub(crate) fn spawn<R: 'static>(
        &self,
        f: impl FnOnce(&Self) -> R + 'static,
    ) -> thread::JoinHandle<R> {
        let world = self.clone();
        thread::spawn(move || f(&world))
    }
}
