//! A cache for threads.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;
use std::sync::Arc;

use equivalent::Equivalent;

use super::builder::CacheBuilder;
use super::selector::{OwnedKeyEntrySelector, RefKeyEntrySelector};
use super::{Iter, PredicateId};
use crate::cache::moka_compat::base::Base;
use crate::cache::moka_compat::lookup::{Lent, Owned};
use crate::cache::moka_compat::{Entry, Policy, PredicateError};
use crate::sync::park::block_on;

/// A concurrent cache with the methods of moka's `sync::Cache`.
///
/// Cloning yields a handle to the same cache. The default hasher is the standard library's, as in
/// moka; `build_with_hasher` takes a faster one, such as `ahash::RandomState`.
///
/// ```
/// use mapless::cache::moka_compat::sync::Cache;
/// let cache = Cache::new(100);
/// cache.insert("a".to_string(), 1);
/// assert_eq!(cache.get("a"), Some(1));
/// cache.invalidate("a");
/// assert_eq!(cache.get("a"), None);
/// ```
pub struct Cache<K, V, S = RandomState> {
    pub(super) base: Base<K, V, S>,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache for so many entries.
    #[must_use]
    pub fn new(max_capacity: u64) -> Self {
        Self::builder().max_capacity(max_capacity).build()
    }

    /// For everything that can be chosen.
    pub fn builder() -> CacheBuilder<K, V, Self> {
        CacheBuilder::default()
    }
}

impl<K, V, S> Cache<K, V, S> {
    /// The name that the builder was told.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.base.name()
    }

    /// What the builder was told.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.base.policy()
    }

    /// How many entries there are: exact while nobody writes. Expired ones count until they are
    /// removed, by a write or by `run_pending_tasks`.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.base.entry_count()
    }

    /// What they weigh: exact while nobody writes.
    #[must_use]
    pub fn weighted_size(&self) -> u64 {
        self.base.weighted_size()
    }
}

impl<K, V, S> Cache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    /// Whether the key is there; it does not count as a use.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.base.contains_key(key)
    }

    /// A clone of the key's value.
    ///
    /// # Progress
    /// Lock-free.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.base.get(key)
    }

    /// The entry of this key, there or not, for what is to be done with it.
    pub fn entry(&self, key: K) -> OwnedKeyEntrySelector<'_, K, V, S> {
        OwnedKeyEntrySelector::new(Owned(key), &self.base)
    }

    /// As [`entry`](Self::entry), for a key that is cloned only where that is needed.
    pub fn entry_by_ref<'a, Q>(&'a self, key: &'a Q) -> RefKeyEntrySelector<'a, K, Q, V, S>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        RefKeyEntrySelector::new(Lent(key), &self.base)
    }

    /// A clone of the key's value; one that is not there is made by `init`, once for all who ask
    /// meanwhile.
    ///
    /// # Panics
    /// If `init` does; the next who waits then runs its own. If `init` asks for the same key.
    ///
    /// # Progress
    /// Blocks on whoever computes the value.
    pub fn get_with(&self, key: K, init: impl FnOnce() -> V) -> V {
        self.entry(key).or_insert_with(init).into_value()
    }

    /// As [`get_with`](Self::get_with), for a key that is cloned only where it is not there.
    pub fn get_with_by_ref<Q>(&self, key: &Q, init: impl FnOnce() -> V) -> V
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        self.entry_by_ref(key).or_insert_with(init).into_value()
    }

    /// As [`get_with`](Self::get_with), but a value of which `replace_if` is true counts as none.
    #[deprecated(
        since = "0.1.0",
        note = "replaced by `entry().or_insert_with_if()`, as in moka"
    )]
    pub fn get_with_if(
        &self,
        key: K,
        init: impl FnOnce() -> V,
        replace_if: impl FnMut(&V) -> bool,
    ) -> V {
        let entry = self.entry(key).or_insert_with_if(init, replace_if);
        entry.into_value()
    }

    /// As [`get_with`](Self::get_with), with an `init` that may have nothing to insert: then `None`,
    /// to all who waited.
    pub fn optionally_get_with<F>(&self, key: K, init: F) -> Option<V>
    where
        F: FnOnce() -> Option<V>,
    {
        let entry = self.entry(key).or_optionally_insert_with(init);
        entry.map(Entry::into_value)
    }

    /// As [`optionally_get_with`](Self::optionally_get_with), for a key that is cloned only where it
    /// is not there.
    pub fn optionally_get_with_by_ref<F, Q>(&self, key: &Q, init: F) -> Option<V>
    where
        F: FnOnce() -> Option<V>,
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        let entry = self.entry_by_ref(key).or_optionally_insert_with(init);
        entry.map(Entry::into_value)
    }

    /// As [`get_with`](Self::get_with), with an `init` that may fail.
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub fn try_get_with<F, E>(&self, key: K, init: F) -> Result<V, Arc<E>>
    where
        F: FnOnce() -> Result<V, E>,
        E: Send + Sync + 'static,
    {
        let entry = self.entry(key).or_try_insert_with(init);
        entry.map(Entry::into_value)
    }

    /// As [`try_get_with`](Self::try_get_with), for a key that is cloned only where it is not there.
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub fn try_get_with_by_ref<F, E, Q>(&self, key: &Q, init: F) -> Result<V, Arc<E>>
    where
        F: FnOnce() -> Result<V, E>,
        E: Send + Sync + 'static,
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        let entry = self.entry_by_ref(key).or_try_insert_with(init);
        entry.map(Entry::into_value)
    }

    /// Brings a value in, in place of the one that the key has.
    ///
    /// # Progress
    /// Blocks on a shard's lock, and on whoever computes the key by `and_compute_with` or its kin.
    pub fn insert(&self, key: K, value: V) {
        block_on(self.base.insert(key, value));
    }

    /// Removes the key's value.
    ///
    /// # Progress
    /// Blocks on a shard's lock, and on whoever computes the key by `and_compute_with` or its kin.
    pub fn invalidate<Q>(&self, key: &Q)
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        block_on(self.base.invalidate(key));
    }

    /// Removes the key's value, and returns a clone of it.
    ///
    /// # Progress
    /// Blocks on a shard's lock, and on whoever computes the key by `and_compute_with` or its kin.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        block_on(self.base.remove(key))
    }

    /// Removes all entries.
    ///
    /// # Progress
    /// Blocks on the shards' locks, one after the other.
    pub fn invalidate_all(&self) {
        self.base.invalidate_all();
    }

    /// Removes the entries of which `predicate` is true.
    ///
    /// # Errors
    /// If the builder was not told `support_invalidation_closures`.
    ///
    /// # Complexity
    /// All entries are looked at before it returns.
    pub fn invalidate_entries_if<F>(&self, predicate: F) -> Result<PredicateId, PredicateError>
    where
        F: Fn(&K, &V) -> bool + Send + Sync + 'static,
    {
        let number = self.base.invalidate_if(predicate)?;
        Ok(number.to_string())
    }

    /// All keys, and clones of their values, in no order.
    ///
    /// # Consistency
    /// What is there from beginning to end is returned once; what comes or goes meanwhile may or may
    /// not be.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.base.iter()
    }

    /// Removes what has expired, and drops what nobody looks at any more.
    pub fn run_pending_tasks(&self) {
        self.base.run_pending_tasks();
    }
}

impl<K, V, S> Clone for Cache<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            base: self.base.clone(),
        }
    }
}

impl<'a, K, V, S> IntoIterator for &'a Cache<K, V, S>
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

impl<K, V, S> fmt::Debug for Cache<K, V, S>
where
    K: fmt::Debug + Hash + Eq + Send + Sync + 'static,
    V: fmt::Debug + Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}
