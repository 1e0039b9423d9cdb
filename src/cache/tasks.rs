//! Writes for tasks: the public methods that await a computation of their key.
//!
//! # Progress
//! They await nothing else: the shard's lock is taken in a poll, and blocks, as it does in `insert`.
//!
//! # Checked by
//! `tests/cache_async.rs`.

use core::hash::{BuildHasher, Hash};

use equivalent::Equivalent;

use super::put::Rule;
use super::{ClockCache, Refused};

/// Writes, for tasks.
///
/// Each is its blocking namesake, but for a key that is being [computed](Self::compute): there it
/// awaits the end of that, on any executor, where the other blocks its thread. All else happens in
/// one poll, with what that brings: the shard's lock, the listener, the destructors.
///
/// Nothing happens before the first poll. A future that is dropped before it is ready leaves the key
/// as it was, and what it was given is dropped with it. Room may have been made for it.
///
/// # Panics
/// If it is awaited by a computation of its own key, for which it would wait for ever.
impl<K, V, S> ClockCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher,
{
    /// As [`insert`](Self::insert), for tasks: brings a value in once nobody computes the key.
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use mapless::ClockCache;
    ///
    /// let cache = ClockCache::new(100);
    /// block_on(async {
    ///     cache.insert_async("home", 1).await?;
    ///     assert_eq!(cache.get("home"), Some(1));
    ///     assert_eq!(cache.remove_async("home").await, Some(1));
    ///     # Ok::<(), mapless::cache::Refused<&str, i32>>(())
    /// })?;
    /// # Ok::<(), mapless::cache::Refused<&str, i32>>(())
    /// ```
    ///
    /// # Errors
    /// As `insert`: key and value come back, with the [`Reason`](super::Reason).
    ///
    /// # Progress
    /// Awaits a computation of the key, and blocks on locks as `insert` does.
    pub async fn insert_async(&self, key: K, value: V) -> Result<(), Refused<K, V>> {
        let hashed = self.hash(&key);
        let put = self
            .inner
            .engine
            .put_async(hashed, key, value, Rule::Upsert);
        put.await.map(drop)
    }

    /// As [`remove`](Self::remove), for tasks: removes the entry of this key once nobody computes it;
    /// says its value.
    ///
    /// # Progress
    /// Awaits a computation of the key, and blocks on the shard's lock.
    pub async fn remove_async<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        let hashed = self.hash(key);
        let value = |_: &K, value: &V| Some(value.clone());
        self.inner.engine.remove_async(hashed, key, value).await
    }
}
