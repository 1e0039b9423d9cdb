//! A cache for tasks.

use core::fmt;
use core::future::Future;
use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;
use std::sync::Arc;

use equivalent::Equivalent;

use super::builder::CacheBuilder;
use super::selector::{OwnedKeyEntrySelector, RefKeyEntrySelector};
use super::{Iter, PredicateId};
use crate::cache::moka_compat::base::Base;
use crate::cache::moka_compat::lookup::{Lent, Owned};
use crate::cache::moka_compat::notices::Whose;
use crate::cache::moka_compat::{Entry, Policy, PredicateError};

/// A concurrent cache with the methods of moka's `future::Cache`, on any executor.
///
/// Cloning yields a handle to the same cache. A method's future does nothing before its first poll;
/// one that only reads, or writes without a value to be computed and without an asynchronous
/// listener, is ready then. The default hasher is the standard library's, as in moka.
///
/// ```
/// use mapless::cache::moka_compat::future::Cache;
/// # async fn tasks() {
/// let cache = Cache::new(100);
/// cache.insert("a".to_string(), 1).await;
/// assert_eq!(cache.get("a").await, Some(1));
/// cache.invalidate("a").await;
/// assert_eq!(cache.get("a").await, None);
/// # }
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
    /// Ready at its first poll; lock-free.
    pub async fn get<Q>(&self, key: &Q) -> Option<V>
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
    /// meanwhile. Where the caller that runs it is dropped, the next who waits runs its own.
    ///
    /// # Panics
    /// If `init` does; the next who waits then runs its own. If `init` asks for the same key.
    pub async fn get_with(&self, key: K, init: impl Future<Output = V>) -> V {
        self.entry(key).or_insert_with(init).await.into_value()
    }

    /// As [`get_with`](Self::get_with), for a key that is cloned only where it is not there.
    pub async fn get_with_by_ref<Q>(&self, key: &Q, init: impl Future<Output = V>) -> V
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        let entry = self.entry_by_ref(key).or_insert_with(init).await;
        entry.into_value()
    }

    /// As [`get_with`](Self::get_with), but a value of which `replace_if` is true counts as none.
    #[deprecated(
        since = "0.1.0",
        note = "replaced by `entry().or_insert_with_if()`, as in moka"
    )]
    pub async fn get_with_if(
        &self,
        key: K,
        init: impl Future<Output = V>,
        replace_if: impl FnMut(&V) -> bool + Send,
    ) -> V {
        let entry = self.entry(key).or_insert_with_if(init, replace_if).await;
        entry.into_value()
    }

    /// As [`get_with`](Self::get_with), with an `init` that may have nothing to insert: then `None`,
    /// to all who waited.
    pub async fn optionally_get_with<F>(&self, key: K, init: F) -> Option<V>
    where
        F: Future<Output = Option<V>>,
    {
        let entry = self.entry(key).or_optionally_insert_with(init).await;
        entry.map(Entry::into_value)
    }

    /// As [`optionally_get_with`](Self::optionally_get_with), for a key that is cloned only where it
    /// is not there.
    pub async fn optionally_get_with_by_ref<F, Q>(&self, key: &Q, init: F) -> Option<V>
    where
        F: Future<Output = Option<V>>,
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        let entry = self.entry_by_ref(key).or_optionally_insert_with(init).await;
        entry.map(Entry::into_value)
    }

    /// As [`get_with`](Self::get_with), with an `init` that may fail.
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub async fn try_get_with<F, E>(&self, key: K, init: F) -> Result<V, Arc<E>>
    where
        F: Future<Output = Result<V, E>>,
        E: Send + Sync + 'static,
    {
        let entry = self.entry(key).or_try_insert_with(init).await;
        entry.map(Entry::into_value)
    }

    /// As [`try_get_with`](Self::try_get_with), for a key that is cloned only where it is not there.
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub async fn try_get_with_by_ref<F, E, Q>(&self, key: &Q, init: F) -> Result<V, Arc<E>>
    where
        F: Future<Output = Result<V, E>>,
        E: Send + Sync + 'static,
        Q: Equivalent<K> + ToOwned<Owned = K> + Hash + ?Sized,
    {
        let entry = self.entry_by_ref(key).or_try_insert_with(init).await;
        entry.map(Entry::into_value)
    }

    /// Brings a value in, in place of the one that the key has.
    ///
    /// # Progress
    /// Blocks on a shard's lock; waits for whoever computes the key by `and_compute_with` or its kin,
    /// and for an asynchronous listener.
    pub async fn insert(&self, key: K, value: V) {
        self.base.insert(key, value).await;
        self.base.deliver(Whose::Own).await;
    }

    /// Removes the key's value.
    ///
    /// # Progress
    /// Blocks on a shard's lock; waits for whoever computes the key by `and_compute_with` or its kin,
    /// and for an asynchronous listener.
    pub async fn invalidate<Q>(&self, key: &Q)
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.base.invalidate(key).await;
        self.base.deliver(Whose::Own).await;
    }

    /// Removes the key's value, and returns a clone of it.
    ///
    /// # Progress
    /// Blocks on a shard's lock; waits for whoever computes the key by `and_compute_with` or its kin,
    /// and for an asynchronous listener.
    pub async fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        let value = self.base.remove(key).await;
        self.base.deliver(Whose::Own).await;
        value
    }

    /// Removes all entries. An asynchronous listener is told later, by the next call that writes or
    /// `run_pending_tasks`.
    ///
    /// # Progress
    /// Blocks on the shards' locks, one after the other.
    pub fn invalidate_all(&self) {
        self.base.invalidate_all();
    }

    /// Removes the entries of which `predicate` is true. An asynchronous listener is told later, by
    /// the next call that writes or `run_pending_tasks`.
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

    /// Removes what has expired, drops what nobody looks at any more, and has an asynchronous
    /// listener told all that it was not told yet.
    pub async fn run_pending_tasks(&self) {
        self.base.run_pending_tasks();
        self.base.deliver(Whose::All).await;
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
