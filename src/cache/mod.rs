//! A sharded CLOCK cache whose reads write nothing shared on a hot hit.

mod budget;
mod builder;
mod cause;
mod chunks;
mod claims;
mod clock;
mod coarse;
mod core;
mod engine;
mod error;
mod held;
mod policy;
mod put;
mod room;
mod shard;
mod slab;
mod stats;
mod table;
mod tick;
mod view;
mod wheel;
mod writer;

use ::core::fmt;
use ::core::hash::{BuildHasher, Hash};
use std::sync::Arc;

pub use builder::CacheBuilder;
pub use cause::Cause;
pub use clock::{Clock, CoarseClock, Expiry, ManualClock};
pub use engine::Mode;
pub use error::{BuildError, CapacityError, Reason, Refused};
pub use held::Held;
pub use stats::Stats;
pub use tick::TICK;

use self::engine::{Engine, Hashed};
use self::put::Rule;
use crate::sync::epoch::Guard;
use equivalent::Equivalent;

/// A concurrent cache.
pub struct ClockCache<K: Send + Sync + 'static, V: Send + Sync + 'static, S = ahash::RandomState> {
    inner: Arc<Inner<K, V, S>>,
}

pub(crate) struct Inner<K: Send + Sync + 'static, V: Send + Sync + 'static, S> {
    hasher: S,
    engine: Engine<K, V>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static, S> Clone for ClockCache<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> ClockCache<K, V> {
    /// A cache for so many entries.
    #[must_use]
    pub fn new(max_capacity: u64) -> Self {
        let cache = Self::builder().max_capacity(max_capacity).build();
        cache.expect("the default number of shards is one that can be")
    }

    /// For everything that can be chosen.
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder::new()
    }
}

impl<K, V, S> ClockCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher,
{
    #[inline(always)]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        Hashed::new(self.inner.hasher.hash_one(key))
    }

    /// Enters the cache's domain.
    #[inline]
    pub fn pin(&self) -> Guard {
        self.inner.engine.domain.pin()
    }

    /// The value of this key.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        let hashed = self.hash(key);
        self.inner.engine.prefetch(hashed);
        let guard = self.pin();
        self.read(hashed, key, &guard).cloned()
    }

    /// The value of this key, not cloned.
    #[inline]
    pub fn get_in<'g, Q>(&'g self, key: &Q, guard: &'g Guard) -> Option<&'g V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read(self.hash(key), key, guard)
    }

    #[inline(always)]
    fn read<'g, Q>(&'g self, hashed: Hashed, key: &Q, guard: &'g Guard) -> Option<&'g V>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let found = self.inner.engine.find(hashed, key, guard)?;
        found.node.touch();
        Some(&found.pair.1)
    }

    /// Brings a value in, in place of the one that the key has.
    pub fn insert(&self, key: K, value: V) -> Result<(), Refused<K, V>> {
        let hashed = self.hash(&key);
        let put = self.inner.engine.put(hashed, key, value, Rule::Upsert);
        put.map(drop)
    }

    /// How many entries there are.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.inner.engine.sum(|shard| shard.gauges.entries.get())
    }

    /// What they weigh.
    #[must_use]
    pub fn weighted_size(&self) -> u64 {
        self.inner.engine.sum(|shard| shard.gauges.weight.get())
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static, S> fmt::Debug for ClockCache<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.engine.fmt(f)
    }
}
