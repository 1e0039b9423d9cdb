//! What `sync` and `future` have in common: all of it, but who waits, and how.
//!
//! # Shape
//! ```text
//! sync::Cache, SegmentedCache --block_on--+
//!                                         +--> Base --> ClockCache<Arc<K>, V, S>
//! future::Cache ------------------await---+      |
//!                                                +-> Notices --> an asynchronous listener
//! ```
//! What may have to wait for another caller is an `async fn`, once. The closures of `sync` come as
//! futures that are ready at their first poll.

use core::convert::Infallible;
use core::future::Future;
use core::hash::{BuildHasher, Hash};
use core::pin::pin;
use std::sync::Arc;

use equivalent::Equivalent;

use super::entry::Entry;
use super::error::PredicateError;
use super::lookup::{Lookup, Wanted};
use super::notices::{Notices, Whose};
use super::ops::compute::{CompResult, Op};
use super::policy::Policy;
use crate::cache::ClockCache;
use crate::cache::engine::Hashed;
use crate::cache::load::{self, Computed, Own};
use crate::cache::put::Rule;
use crate::sync::lock::Mutex;

/// A cache as `sync` and `future` know it, and what it was told.
pub(super) struct Base<K, V, S> {
    pub(super) cache: ClockCache<Arc<K>, V, S>,
    about: Arc<About<K, V>>,
}

pub(super) struct About<K, V> {
    pub(super) policy: Policy,
    /// How many predicates came, if they are taken.
    pub(super) predicates: Option<Mutex<u64>>,
    pub(super) notices: Option<Arc<Notices<K, V>>>,
}

/// An `init` had nothing to insert.
pub(super) struct Nothing;

impl<K, V, S> Clone for Base<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            about: Arc::clone(&self.about),
        }
    }
}

impl<K, V, S> Base<K, V, S> {
    pub(super) fn new(cache: ClockCache<Arc<K>, V, S>, about: About<K, V>) -> Self {
        let about = Arc::new(about);
        Self { cache, about }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.cache.name()
    }

    pub(super) fn policy(&self) -> Policy {
        self.about.policy.clone()
    }

    pub(super) fn entry_count(&self) -> u64 {
        self.cache.entry_count()
    }

    pub(super) fn weighted_size(&self) -> u64 {
        self.cache.weighted_size()
    }
}

impl<K, V, S> Base<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher,
{
    pub(super) fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.cache.contains_key(&Lookup(key))
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.cache.get(&Lookup(key))
    }

    /// Waits only for a computation of the key.
    pub(super) async fn insert(&self, key: K, value: V) {
        let hashed = self.cache.hash(&key);
        let engine = &self.cache.inner.engine;
        let put = engine.put_async(hashed, Arc::new(key), value, Rule::Upsert);
        // One that is refused was told of as one that came in and left at once.
        drop(put.await);
    }

    /// Waits only for a computation of the key.
    pub(super) async fn invalidate<Q>(&self, key: &Q)
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.take(key, |_| ()).await;
    }

    /// Waits only for a computation of the key.
    pub(super) async fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.take(key, V::clone).await
    }

    async fn take<Q, T>(&self, key: &Q, of: impl Fn(&V) -> T) -> Option<T>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        let of = |_: &Arc<K>, value: &V| Some(of(value));
        let engine = &self.cache.inner.engine;
        let hashed = self.cache.hash(key);
        engine.remove_async(hashed, &Lookup(key), of).await
    }

    pub(super) fn invalidate_all(&self) {
        self.cache.invalidate_all();
        self.disown();
    }

    /// The predicate's number among all.
    pub(super) fn invalidate_if(
        &self,
        predicate: impl Fn(&K, &V) -> bool,
    ) -> Result<u64, PredicateError> {
        let Some(predicates) = &self.about.predicates else {
            return Err(PredicateError::InvalidationClosuresDisabled);
        };
        let number = {
            let mut last = predicates.lock();
            *last += 1;
            *last
        };
        self.cache.invalidate_if(|key, value| predicate(key, value));
        self.disown();
        Ok(number)
    }

    pub(super) fn run_pending_tasks(&self) {
        self.cache.run_pending_tasks();
    }

    /// An entry, which counts as used.
    fn find<Q>(&self, hashed: Hashed, key: &Q) -> Option<Entry<K, V>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let guard = self.cache.pin();
        let engine = &self.cache.inner.engine;
        let found = engine.find_alive(hashed, &Lookup(key), &guard, true);
        let (key, value) = found?;
        Some(Entry::found(Arc::clone(key), value.clone()))
    }

    /// The entry of a key; one that is not there, or that `is_stale`, is made by `init`, once for
    /// all who ask meanwhile.
    pub(super) async fn load<E: Send + Sync + 'static>(
        &self,
        wanted: impl Wanted<K>,
        mut is_stale: impl FnMut(&V) -> bool,
        init: impl Future<Output = Result<V, E>>,
    ) -> Result<Entry<K, V>, Arc<E>> {
        let hashed = self.cache.hash(wanted.form());
        let engine = &self.cache.inner.engine;
        if let Some(entry) = self.find(hashed, wanted.form())
            && !is_stale(entry.value())
        {
            engine.counters.hit();
            return Ok(entry);
        }
        let key = wanted.into_key();
        let ask = Own(Arc::clone(&key));
        let loaded = engine.load(hashed, ask, is_stale, init).await?;
        Ok(if loaded.is_fresh {
            Entry::fresh(key, loaded.value, false)
        } else {
            Entry::found(key, loaded.value)
        })
    }

    /// As `load`, with an `init` that does not fail.
    pub(super) async fn load_always(
        &self,
        wanted: impl Wanted<K>,
        is_stale: impl FnMut(&V) -> bool,
        init: impl Future<Output = V>,
    ) -> Entry<K, V> {
        let init = async { Ok::<V, Infallible>(init.await) };
        let loaded = self.load(wanted, is_stale, init).await;
        loaded.unwrap_or_else(|never| match *never {})
    }

    /// As `load`, with an `init` that may have nothing to insert.
    pub(super) async fn load_perhaps(
        &self,
        wanted: impl Wanted<K>,
        init: impl Future<Output = Option<V>>,
    ) -> Option<Entry<K, V>> {
        let init = async { init.await.ok_or(Nothing) };
        self.load(wanted, |_| false, init).await.ok()
    }

    /// Has `decide` say what becomes of an entry, by way of `op`; nobody else writes the key meanwhile.
    pub(super) async fn compute<F: Future, E>(
        &self,
        wanted: impl Wanted<K>,
        decide: impl FnOnce(Option<Entry<K, V>>) -> F,
        op: impl FnOnce(F::Output) -> Result<Op<V>, E>,
    ) -> Result<CompResult<K, V>, E> {
        let hashed = self.cache.hash(wanted.form());
        let key = wanted.into_key();
        let (mut was_there, mut failed) = (false, None);
        // The caller's future lies here, and goes through all that follows by reference: it may be
        // large, and each `async` block that took it would have it twice.
        let mut decision = pin!(None);
        let decide = |seen: Option<&V>| {
            was_there = seen.is_some();
            let seen = seen.map(|value| Entry::found(Arc::clone(&key), value.clone()));
            decision.set(Some(decide(seen)));
            let decision = decision.as_pin_mut().expect("it was just set");
            let failed = &mut failed;
            async {
                op(decision.await).map_or_else(
                    |error| {
                        *failed = Some(error);
                        load::Op::Nop
                    },
                    Into::into,
                )
            }
        };
        let engine = &self.cache.inner.engine;
        let computed = engine.compute(hashed, Own(Arc::clone(&key)), decide).await;
        match failed {
            Some(error) => Err(error),
            None => Ok(result(key, computed, was_there)),
        }
    }

    /// Replaces or inserts what `make` says.
    pub(super) async fn upsert<F: Future<Output = V>>(
        &self,
        wanted: impl Wanted<K>,
        make: impl FnOnce(Option<Entry<K, V>>) -> F,
    ) -> Entry<K, V> {
        let put = |value| Ok::<_, Infallible>(Op::Put(value));
        let Ok(result) = self.compute(wanted, make, put).await;
        result.unwrap()
    }

    /// Tells an asynchronous listener what this thread's last call removed, or all.
    pub(super) async fn deliver(&self, whose: Whose) {
        if let Some(notices) = &self.about.notices {
            notices.deliver(whose).await;
        }
    }

    fn disown(&self) {
        if let Some(notices) = &self.about.notices {
            notices.disown();
        }
    }
}

/// An operation that does not fail.
pub(super) fn always<V>(op: Op<V>) -> Result<Op<V>, Infallible> {
    Ok(op)
}

/// What a computation came to, in moka's words.
fn result<K, V>(key: Arc<K>, computed: Computed<V>, was_there: bool) -> CompResult<K, V> {
    match computed {
        Computed::StillNone => CompResult::StillNone(key),
        Computed::Unchanged(value) => CompResult::Unchanged(Entry::found(key, value)),
        Computed::Removed(value) => CompResult::Removed(Entry::found(key, value)),
        Computed::Inserted(value) => CompResult::Inserted(Entry::fresh(key, value, false)),
        Computed::ReplacedWith(value) => CompResult::ReplacedWith(Entry::fresh(key, value, true)),
        // It came in, and left at once for want of room.
        Computed::Refused(value, _) if was_there => {
            CompResult::ReplacedWith(Entry::fresh(key, value, true))
        }
        Computed::Refused(value, _) => CompResult::Inserted(Entry::fresh(key, value, false)),
    }
}
