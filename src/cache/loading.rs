//! Values that are computed once: the public methods of `load.rs`.

use core::borrow::Borrow;
use core::convert::Infallible;
use core::future::{Future, ready};
use core::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::ClockCache;
use super::load::{Ask, ByRef, Computed, Loaded, Op, Own};
use crate::sync::park::block_on;

/// Values that are computed once, however many ask.
///
/// While one caller computes the value of a key, the others who ask for it wait, and get what it
/// came to: the value, even one that the cache refuses, or the error. If the closure panics, or
/// the future is dropped, the next one computes it. Nothing is poisoned.
///
/// What is inserted under the key meanwhile stays there, and the computed value goes to those who
/// asked for it alone.
///
/// # Panics
/// A closure that asks for the value of its own key would wait for ever: that is a panic. So it is
/// where threads, each in a closure, wait for each other's keys in a ring, be that of one cache or of
/// several, by any of the methods that block: the one that would close the ring panics, its key is
/// given up, and the others go on.
///
/// Futures that wait for each other are not found out, as they may have other ways to go on: where
/// one computation awaits the value of a key whose computation awaits its own, both are pending until
/// one is dropped.
impl<K, V, S> ClockCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher,
{
    /// The value of this key, or what `init` makes, which comes in.
    pub fn get_or_insert_with(&self, key: K, init: impl FnOnce() -> V) -> V {
        block_on(self.get_or_insert_with_async(key, async { init() }))
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with); a key is made only where none is found.
    pub fn get_or_insert_with_by_ref<Q>(&self, key: &Q, init: impl FnOnce() -> V) -> V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        block_on(self.get_or_insert_with_by_ref_async(key, async { init() }))
    }

    /// The value of this key, or what `init` makes, which comes in unless that fails.
    ///
    /// # Errors
    /// What `init` failed with: one error, shared by all who waited for it and expect that type.
    pub fn try_get_or_insert_with<E: Send + Sync + 'static>(
        &self,
        key: K,
        init: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, Arc<E>> {
        block_on(self.try_get_or_insert_with_async(key, async { init() }))
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), for tasks of any executor.
    pub async fn get_or_insert_with_async(&self, key: K, init: impl Future<Output = V>) -> V {
        let hashed = self.hash(&key);
        self.load(hashed, Own(key), init).await.value
    }

    /// As [`get_or_insert_with_by_ref`](Self::get_or_insert_with_by_ref), for tasks.
    pub async fn get_or_insert_with_by_ref_async<Q>(
        &self,
        key: &Q,
        init: impl Future<Output = V>,
    ) -> V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hashed = self.hash(key);
        self.load(hashed, ByRef(key), init).await.value
    }

    /// As [`try_get_or_insert_with`](Self::try_get_or_insert_with), for tasks.
    ///
    /// # Errors
    /// As there.
    pub async fn try_get_or_insert_with_async<E: Send + Sync + 'static>(
        &self,
        key: K,
        init: impl Future<Output = Result<V, E>>,
    ) -> Result<V, Arc<E>> {
        let hashed = self.hash(&key);
        let loaded = self.inner.engine.load(hashed, Own(key), |_| false, init);
        Ok(loaded.await?.value)
    }

    async fn load<A: Ask<K>>(
        &self,
        hashed: super::engine::Hashed,
        ask: A,
        init: impl Future<Output = V>,
    ) -> Loaded<V> {
        let init = async { Ok::<V, Infallible>(init.await) };
        let loaded = self.inner.engine.load(hashed, ask, |_| false, init).await;
        loaded.unwrap_or_else(|never| match *never {})
    }

    /// Decides upon an entry by what it is: `decide` is told the value of the key, or that there is
    /// none, and nobody else inserts, replaces or removes the key until it has decided and that is
    /// done. The entry is held meanwhile, so it is not evicted; in [`Mode::Live`](super::Mode::Live)
    /// there must be room for its successor beside it. What removes all or many entries (`drain`,
    /// `invalidate_all`, `invalidate_if`, `retain`) does not wait, nor does a deadline.
    ///
    /// ```
    /// use mapless::{ClockCache, cache::{Computed, Op}};
    /// let visits: ClockCache<&str, u64> = ClockCache::new(100);
    /// let count = |seen: Option<&u64>| Op::Put(seen.map_or(1, |n| n + 1));
    /// assert_eq!(visits.compute("home", count), Computed::Inserted(1));
    /// assert_eq!(visits.compute("home", count), Computed::ReplacedWith(2));
    /// ```
    ///
    /// # Panics
    /// If `decide` writes, or asks for the computed value of, the same key: it would wait for itself.
    /// Or if in so doing with another key it closes a ring of threads that wait for each other.
    pub fn compute(&self, key: K, decide: impl FnOnce(Option<&V>) -> Op<V>) -> Computed<V> {
        block_on(self.compute_async(key, |seen| ready(decide(seen))))
    }

    /// As [`compute`](Self::compute), for tasks.
    pub async fn compute_async<F: Future<Output = Op<V>>>(
        &self,
        key: K,
        decide: impl FnOnce(Option<&V>) -> F,
    ) -> Computed<V> {
        let hashed = self.hash(&key);
        self.inner.engine.compute(hashed, Own(key), decide).await
    }
}
