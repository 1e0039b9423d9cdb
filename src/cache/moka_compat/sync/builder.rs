//! How a cache for threads is made.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use core::time::Duration;
use std::hash::RandomState;
use std::sync::Arc;

use super::{Cache, SegmentedCache};
use crate::cache::moka_compat::notification::RemovalCause;
use crate::cache::moka_compat::policy::{EvictionPolicy, Expiry};
use crate::cache::moka_compat::settings::{Listener, Settings, setters};

/// Makes a [`Cache`] or a [`SegmentedCache`], whichever `C` is.
///
/// ```
/// use mapless::cache::moka_compat::sync::Cache;
/// let cache = Cache::builder()
///     .max_capacity(64 << 20)
///     .weigher(|key: &String, value: &Vec<u8>| (key.len() + value.len()) as u32)
///     .eviction_listener(|key, _value, cause| println!("{key} left: {cause:?}"))
///     .build();
/// cache.insert("a".to_string(), vec![1, 2, 3]);
/// assert_eq!(cache.weighted_size(), 4);
/// ```
#[must_use = "a builder does nothing before `build`"]
pub struct CacheBuilder<K, V, C> {
    settings: Settings<K, V>,
    cache: PhantomData<C>,
}

impl<K, V> Default for CacheBuilder<K, V, Cache<K, V>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            cache: PhantomData,
        }
    }
}

impl<K, V> CacheBuilder<K, V, Cache<K, V>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// For a cache of so many entries.
    pub fn new(max_capacity: u64) -> Self {
        Self::default().max_capacity(max_capacity)
    }

    /// Has it be a [`SegmentedCache`]. The number is one that `Policy` tells, and no more: the cache
    /// has as many shards as suit the machine.
    ///
    /// # Panics
    /// If it is 0.
    pub fn segments(mut self, num_segments: usize) -> CacheBuilder<K, V, SegmentedCache<K, V>> {
        assert!(num_segments != 0, "a cache has a segment or more");
        self.settings.segments = num_segments;
        CacheBuilder {
            settings: self.settings,
            cache: PhantomData,
        }
    }

    /// Makes the cache, empty.
    ///
    /// # Panics
    /// If it was told a time that is longer than 1000 years.
    pub fn build(self) -> Cache<K, V> {
        self.build_with_hasher(RandomState::new())
    }

    /// Makes the cache, with a hasher.
    ///
    /// # Panics
    /// If it was told a time that is longer than 1000 years.
    pub fn build_with_hasher<S>(self, hasher: S) -> Cache<K, V, S>
    where
        S: BuildHasher + Clone + Send + Sync + 'static,
    {
        Cache {
            base: self.settings.build(hasher),
        }
    }
}

impl<K, V> CacheBuilder<K, V, SegmentedCache<K, V>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Makes the cache, empty.
    ///
    /// # Panics
    /// If it was told a time that is longer than 1000 years.
    pub fn build(self) -> SegmentedCache<K, V> {
        self.build_with_hasher(RandomState::new())
    }

    /// Makes the cache, with a hasher.
    ///
    /// # Panics
    /// If it was told a time that is longer than 1000 years.
    pub fn build_with_hasher<S>(self, hasher: S) -> SegmentedCache<K, V, S>
    where
        S: BuildHasher + Clone + Send + Sync + 'static,
    {
        SegmentedCache {
            inner: Cache {
                base: self.settings.build(hasher),
            },
        }
    }
}

impl<K, V, C> CacheBuilder<K, V, C> {
    setters!();

    /// Is told of each entry that leaves, once, after it left: by the thread that caused it, under
    /// no lock and never inside a read. What it panics with is contained.
    pub fn eviction_listener(
        mut self,
        listener: impl Fn(Arc<K>, V, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        self.settings.listener = Some(Listener::Sync(Arc::new(listener)));
        self
    }
}

impl<K, V, C> fmt::Debug for CacheBuilder<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
