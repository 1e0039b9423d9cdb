//! A cache for threads that was told a number of segments.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;
use std::sync::Arc;

use equivalent::Equivalent;

use super::builder::CacheBuilder;
use super::selector::{OwnedKeyEntrySelector, RefKeyEntrySelector};
use super::{Cache, Iter};
use crate::cache::moka_compat::{Policy, PredicateError};

/// A [`Cache`] under the name of moka's `SegmentedCache`: each cache has shards here.
pub struct SegmentedCache<K, V, S = RandomState> {
    pub(super) inner: Cache<K, V, S>,
}

impl<K, V> SegmentedCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache for so many entries.
    ///
    /// # Panics
    /// If there are 0 segments.
    #[must_use]
    pub fn new(max_capacity: u64, num_segments: usize) -> Self {
        let builder = Self::builder(num_segments);
        builder.max_capacity(max_capacity).build()
    }

    /// For everything that can be chosen.
    ///
    /// # Panics
    /// If there are 0 segments.
    pub fn builder(num_segments: usize) -> CacheBuilder<K, V, Self> {
        CacheBuilder::default().segments(num_segments)
    }
}

impl<K, V, S> SegmentedCache<K, V, S> {
    /// As [`Cache::name`].
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.inner.name()
    }

    /// As [`Cache::policy`].
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.inner.policy()
    }

    /// As [`Cache::entry_count`].
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.inner.entry_count()
    }

    /// As [`Cache::weighted_size`].
    #[must_use]
    pub fn weighted_size(&self) -> u64 {
        self.inner.weighted_size()
    }
}

impl<K, V, S> SegmentedCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    /// As [`Cache::contains_key`].
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.inner.contains_key(key)
    }

    /// As [`Cache::get`].
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.inner.get(key)
    }

    /// As [`Cache::entry`].
    pub fn entry(&self, key: K) -> OwnedKeyEntrySelector<'_, K, V, S> {
        self.inner.entry(key)
    }

    /// As [`Cache::entry_by_ref`].
    pub fn entry_by_ref<'a, Q>(&'a self, key: &'a Q) -> RefKeyEntrySelector<'a, K, Q, V, S>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        self.inner.entry_by_ref(key)
    }

    /// As [`get_with`](Self::get_with).
    #[deprecated(since = "0.1.0", note = "replaced by `get_with`, as in moka")]
    pub fn get_or_insert_with(&self, key: K, init: impl FnOnce() -> V) -> V {
        self.get_with(key, init)
    }

    /// As [`try_get_with`](Self::try_get_with).
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    #[deprecated(since = "0.1.0", note = "replaced by `try_get_with`, as in moka")]
    pub fn get_or_try_insert_with<F, E>(&self, key: K, init: F) -> Result<V, Arc<E>>
    where
        F: FnOnce() -> Result<V, E>,
        E: Send + Sync + 'static,
    {
        self.try_get_with(key, init)
    }

    /// As [`Cache::get_with`].
    pub fn get_with(&self, key: K, init: impl FnOnce() -> V) -> V {
        self.inner.get_with(key, init)
    }

    /// As [`Cache::get_with_by_ref`].
    pub fn get_with_by_ref<Q>(&self, key: &Q, init: impl FnOnce() -> V) -> V
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        self.inner.get_with_by_ref(key, init)
    }

    /// As [`Cache::get_with_if`], which is deprecated.
    pub fn get_with_if(
        &self,
        key: K,
        init: impl FnOnce() -> V,
        replace_if: impl FnMut(&V) -> bool,
    ) -> V {
        let entry = self.entry(key).or_insert_with_if(init, replace_if);
        entry.into_value()
    }

    /// As [`Cache::optionally_get_with`].
    pub fn optionally_get_with<F>(&self, key: K, init: F) -> Option<V>
    where
        F: FnOnce() -> Option<V>,
    {
        self.inner.optionally_get_with(key, init)
    }

    /// As [`Cache::optionally_get_with_by_ref`].
    pub fn optionally_get_with_by_ref<F, Q>(&self, key: &Q, init: F) -> Option<V>
    where
        F: FnOnce() -> Option<V>,
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        self.inner.optionally_get_with_by_ref(key, init)
    }

    /// As [`Cache::try_get_with`].
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub fn try_get_with<F, E>(&self, key: K, init: F) -> Result<V, Arc<E>>
    where
        F: FnOnce() -> Result<V, E>,
        E: Send + Sync + 'static,
    {
        self.inner.try_get_with(key, init)
    }

    /// As [`Cache::try_get_with_by_ref`].
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub fn try_get_with_by_ref<F, E, Q>(&self, key: &Q, init: F) -> Result<V, Arc<E>>
    where
        F: FnOnce() -> Result<V, E>,
        E: Send + Sync + 'static,
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        self.inner.try_get_with_by_ref(key, init)
    }

    /// As [`Cache::insert`].
    pub fn insert(&self, key: K, value: V) {
        self.inner.insert(key, value);
    }

    /// As [`Cache::invalidate`].
    pub fn invalidate<Q>(&self, key: &Q)
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.inner.invalidate(key);
    }

    /// As [`Cache::remove`].
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.inner.remove(key)
    }

    /// As [`Cache::invalidate_all`].
    pub fn invalidate_all(&self) {
        self.inner.invalidate_all();
    }

    /// As [`Cache::invalidate_entries_if`], without a name for the predicate.
    ///
    /// # Errors
    /// If the builder was not told `support_invalidation_closures`.
    pub fn invalidate_entries_if<F>(&self, predicate: F) -> Result<(), PredicateError>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        self.inner.invalidate_entries_if(predicate).map(drop)
    }

    /// As [`Cache::iter`].
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.inner.iter()
    }

    /// As [`Cache::run_pending_tasks`].
    pub fn run_pending_tasks(&self) {
        self.inner.run_pending_tasks();
    }
}

impl<K, V, S> Clone for SegmentedCache<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<'a, K, V, S> IntoIterator for &'a SegmentedCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    type Item = (Arc<K>, V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K, V, S> fmt::Debug for SegmentedCache<K, V, S>
where
    K: fmt::Debug + Hash + Eq + Send + Sync + 'static,
    V: fmt::Debug + Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
