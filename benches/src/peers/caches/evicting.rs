//! Caches that others have built.

use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroUsize;

use foyer_memory::{CacheBuilder, CacheProperties, S3FifoConfig};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::DefaultLifecycle;

use super::{Cache, Hasher, Plan, Stored};

macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl<V: Stored> fmt::Debug for $name<V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

opaque!(Quick, Moka, Scc, Sieve, Tiny, Lru);

/// Asks each value what it weighs.
#[derive(Clone, Debug)]
pub(super) struct Weighs;

impl<V: Stored> Weighter<u64, V> for Weighs {
    #[inline]
    fn weight(&self, _: &u64, value: &V) -> u64 {
        value.weight()
    }
}

/// `quick_cache::sync::Cache`.
pub struct Quick<V: Stored>(quick_cache::sync::Cache<u64, V, Weighs, Hasher>);

impl<V: Stored> Cache<V> for Quick<V> {
    const NAME: &'static str = "quick_cache";

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        let hasher = Hasher::default();
        let cache = |plan: Plan| {
            let life = DefaultLifecycle::default();
            quick_cache::sync::Cache::with(plan.entries, plan.capacity, Weighs, hasher, life)
        };
        plan.lives.is_none().then(|| Self(cache(plan)))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.get(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        self.0.insert(key, value);
    }

    #[inline]
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        let mut found = true;
        let fresh = || {
            found = false;
            Ok::<V, Infallible>(make())
        };
        let Ok(_) = self.0.get_or_insert_with(&key, fresh);
        found
    }

    fn capacity(&self) -> Option<u64> {
        Some(self.0.capacity())
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn weight(&self) -> Option<u64> {
        Some(self.0.weight())
    }

    fn clear(&self) -> bool {
        self.0.clear();
        true
    }
}

/// `moka::sync::Cache`.
pub struct Moka<V: Stored>(moka::sync::Cache<u64, V, Hasher>);

impl<V: Stored> Cache<V> for Moka<V> {
    const NAME: &'static str = "moka sync";
    const SLOW: usize = 8;

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        let mut builder = moka::sync::Cache::builder().max_capacity(plan.capacity);
        if plan.weighs {
            builder = builder.weigher(|_, value: &V| value.weight() as u32);
        }
        if let Some(lives) = plan.lives {
            builder = builder.time_to_live(lives);
        }
        Some(Self(builder.build_with_hasher(Hasher::default())))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.get(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        self.0.insert(key, value);
    }

    #[inline]
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        !self.0.entry(key).or_insert_with(make).is_fresh()
    }

    fn capacity(&self) -> Option<u64> {
        self.0.policy().max_capacity()
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.entry_count())
    }

    /// As of its last maintenance.
    fn weight(&self) -> Option<u64> {
        Some(self.0.weighted_size())
    }

    fn settle(&self) {
        self.0.run_pending_tasks();
    }

    fn clear(&self) -> bool {
        self.0.invalidate_all();
        true
    }
}

/// `scc::HashCache`: sets of 32, the least recently used of a set goes. `read_sync` does not
/// count as a use, which makes it the fastest way to read; its `entry_sync` counts.
pub struct Scc<V: Stored>(scc::HashCache<u64, V, Hasher>);

impl<V: Stored> Cache<V> for Scc<V> {
    const NAME: &'static str = "scc::HashCache";

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        let cache = || scc::HashCache::with_capacity_and_hasher(0, plan.entries, Hasher::default());
        plan.plain().then(|| Self(cache()))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.read_sync(&key, |_, value| value.clone())
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        match self.0.entry_sync(key) {
            scc::hash_cache::Entry::Occupied(mut entry) => *entry.get_mut() = value,
            scc::hash_cache::Entry::Vacant(entry) => drop(entry.put_entry(value)),
        }
    }

    #[inline]
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        match self.0.entry_sync(key) {
            scc::hash_cache::Entry::Occupied(_) => true,
            scc::hash_cache::Entry::Vacant(entry) => {
                entry.put_entry(make());
                false
            }
        }
    }

    fn capacity(&self) -> Option<u64> {
        Some(*self.0.capacity_range().end() as u64)
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn clear(&self) -> bool {
        self.0.clear_sync();
        true
    }
}

/// `sieve_cache::ShardedSieveCache`.
pub struct Sieve<V: Stored>(sieve_cache::ShardedSieveCache<u64, V, Hasher>);

impl<V: Stored> Cache<V> for Sieve<V> {
    const NAME: &'static str = "sieve-cache, sharded";

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        let cache =
            || sieve_cache::ShardedSieveCache::new_with_hasher(plan.entries, Hasher::default());
        plan.plain().then(|| Self(cache().expect("a capacity")))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.get(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        self.0.insert(key, value);
    }

    fn capacity(&self) -> Option<u64> {
        Some(self.0.capacity() as u64)
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }

    fn clear(&self) -> bool {
        self.0.clear();
        true
    }
}

/// `tinyufo::TinyUfo`, the fast one. Its weights have 16 bits.
pub struct Tiny<V: Stored>(tinyufo::TinyUfo<u64, V>, u64);

impl<V: Stored> Cache<V> for Tiny<V> {
    const NAME: &'static str = "TinyUFO";
    const SLOW: usize = 5;

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        let limit = (plan.capacity / V::UNIT) as usize;
        let cache = || tinyufo::TinyUfo::new(limit, plan.entries);
        plan.lives.is_none().then(|| Self(cache(), plan.capacity))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.get(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        let weight = value.weight().div_ceil(V::UNIT) as u16;
        self.0.put(key, value, weight);
    }

    fn capacity(&self) -> Option<u64> {
        Some(self.1)
    }

    fn count(&self) -> Option<u64> {
        None
    }
}

/// foyer's cache in memory, S3-FIFO.
#[derive(Debug)]
pub struct Foyer<V: Stored>(foyer_memory::Cache<u64, V, Hasher, CacheProperties>);

impl<V: Stored> Cache<V> for Foyer<V> {
    const NAME: &'static str = "foyer, S3-FIFO";
    const SLOW: usize = 5;

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        let cache = || {
            CacheBuilder::new(plan.capacity as usize)
                .with_eviction_config(S3FifoConfig::default())
                .with_hash_builder(Hasher::default())
                .with_weighter(|_: &u64, value: &V| value.weight() as usize)
                .build()
        };
        plan.lives.is_none().then(|| Self(cache()))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.get(&key).map(|entry| entry.value().clone())
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        self.0.insert(key, value);
    }

    fn capacity(&self) -> Option<u64> {
        Some(self.0.capacity() as u64)
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.entries() as u64)
    }

    fn weight(&self) -> Option<u64> {
        Some(self.0.usage() as u64)
    }

    fn clear(&self) -> bool {
        self.0.clear();
        true
    }
}

/// `lru::LruCache` behind one lock.
pub struct Lru<V: Stored>(Mutex<lru::LruCache<u64, V, Hasher>>);

impl<V: Stored> Cache<V> for Lru<V> {
    const NAME: &'static str = "Mutex<lru>";

    type Hold<'a> = ();

    fn build(plan: Plan) -> Option<Self> {
        let entries = NonZeroUsize::new(plan.entries)?;
        let cache = || lru::LruCache::with_hasher(entries, Hasher::default());
        plan.plain().then(|| Self(Mutex::new(cache())))
    }

    fn hold(&self) {}

    #[inline]
    fn get(&self, key: u64, (): &()) -> Option<V> {
        self.0.lock().get(&key).cloned()
    }

    #[inline]
    fn insert(&self, key: u64, value: V) {
        self.0.lock().put(key, value);
    }

    #[inline]
    fn get_or_insert(&self, key: u64, make: impl FnOnce() -> V) -> bool {
        let mut found = true;
        let fresh = || {
            found = false;
            make()
        };
        self.0.lock().get_or_insert(key, fresh);
        found
    }

    fn capacity(&self) -> Option<u64> {
        Some(self.0.lock().cap().get() as u64)
    }

    fn count(&self) -> Option<u64> {
        Some(self.0.lock().len() as u64)
    }

    fn clear(&self) -> bool {
        self.0.lock().clear();
        true
    }
}
