//! What can be done with one entry of a cache for tasks.

use core::fmt;
use core::future::Future;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use core::pin::pin;
use std::sync::Arc;

use crate::cache::moka_compat::Entry;
use crate::cache::moka_compat::base::Base;
use crate::cache::moka_compat::lookup::{Lent, Owned, Wanted};
use crate::cache::moka_compat::notices::Whose;
use crate::cache::moka_compat::ops::compute::{CompResult, Op};

/// An entry by an owned key: what [`Cache::entry`](super::Cache::entry) returns.
pub type OwnedKeyEntrySelector<'a, K, V, S> = EntrySelector<'a, Owned<K>, K, V, S>;

/// An entry by a borrowed key: what [`Cache::entry_by_ref`](super::Cache::entry_by_ref) returns.
pub type RefKeyEntrySelector<'a, K, Q, V, S> = EntrySelector<'a, Lent<'a, Q>, K, V, S>;

/// An entry that is there or not, for what is to be done with it. `W` is how its key was given.
///
/// # Progress
/// All methods block on a shard's lock, and wait for whoever computes the value of the same key and
/// for an asynchronous listener.
#[must_use = "nothing is done with the entry"]
pub struct EntrySelector<'a, W, K, V, S> {
    wanted: W,
    base: &'a Base<K, V, S>,
    key: PhantomData<K>,
}

impl<'a, W, K, V, S> EntrySelector<'a, W, K, V, S> {
    pub(super) fn new(wanted: W, base: &'a Base<K, V, S>) -> Self {
        let key = PhantomData;
        Self { wanted, base, key }
    }
}

impl<W, K, V, S> EntrySelector<'_, W, K, V, S>
where
    W: Wanted<K>,
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    /// Has the future of `f` say what becomes of the entry, or of none. Other computations of the
    /// key, and other writes of it, wait meanwhile; where this is dropped, the entry is as it was.
    ///
    /// # Panics
    /// If `f` does, and if it writes the same key.
    pub async fn and_compute_with<F, Fut>(self, f: F) -> CompResult<K, V>
    where
        F: FnOnce(Option<Entry<K, V>>) -> Fut,
        Fut: Future<Output = Op<V>>,
    {
        let result = self.base.compute_always(self.wanted, f).await;
        self.base.deliver(Whose::Own).await;
        result
    }

    /// As [`and_compute_with`](Self::and_compute_with), with an `f` that may fail.
    ///
    /// # Errors
    /// What `f` returned; then the entry is as it was.
    pub async fn and_try_compute_with<F, Fut, E>(self, f: F) -> Result<CompResult<K, V>, E>
    where
        F: FnOnce(Option<Entry<K, V>>) -> Fut,
        Fut: Future<Output = Result<Op<V>, E>>,
        E: Send + Sync + 'static,
    {
        let result = self.base.compute(self.wanted, f).await;
        self.base.deliver(Whose::Own).await;
        result
    }

    /// Brings in what the future of `f` makes of the entry, or of none.
    pub async fn and_upsert_with<F, Fut>(self, f: F) -> Entry<K, V>
    where
        F: FnOnce(Option<Entry<K, V>>) -> Fut,
        Fut: Future<Output = V>,
    {
        let entry = self.base.upsert(self.wanted, f).await;
        self.base.deliver(Whose::Own).await;
        entry
    }

    /// The entry; one that is not there is inserted, with the default of its type.
    pub async fn or_default(self) -> Entry<K, V>
    where
        V: Default,
    {
        self.or_insert_with(async { V::default() }).await
    }

    /// The entry; one that is not there is inserted.
    pub async fn or_insert(self, default: V) -> Entry<K, V> {
        self.or_insert_with(async { default }).await
    }

    /// The entry; one that is not there is made by `init`, once for all who ask meanwhile. Where the
    /// caller that runs it is dropped, the next who waits runs its own.
    ///
    /// # Panics
    /// If `init` does; the next who waits then runs its own. If `init` asks for the same key.
    pub async fn or_insert_with(self, init: impl Future<Output = V>) -> Entry<K, V> {
        let init = pin!(init);
        let entry = self.base.load_always(self.wanted, |_| false, init).await;
        self.base.deliver(Whose::Own).await;
        entry
    }

    /// As [`or_insert_with`](Self::or_insert_with), but a value of which `replace_if` is true counts
    /// as none.
    pub async fn or_insert_with_if(
        self,
        init: impl Future<Output = V>,
        replace_if: impl FnMut(&V) -> bool + Send,
    ) -> Entry<K, V> {
        let init = pin!(init);
        let entry = self.base.load_always(self.wanted, replace_if, init).await;
        self.base.deliver(Whose::Own).await;
        entry
    }

    /// As [`or_insert_with`](Self::or_insert_with), with an `init` that may have nothing to insert.
    pub async fn or_optionally_insert_with(
        self,
        init: impl Future<Output = Option<V>>,
    ) -> Option<Entry<K, V>> {
        let init = pin!(init);
        let entry = self.base.load_perhaps(self.wanted, init).await;
        self.base.deliver(Whose::Own).await;
        entry
    }

    /// As [`or_insert_with`](Self::or_insert_with), with an `init` that may fail.
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub async fn or_try_insert_with<F, E>(self, init: F) -> Result<Entry<K, V>, Arc<E>>
    where
        F: Future<Output = Result<V, E>>,
        E: Send + Sync + 'static,
    {
        let init = pin!(init);
        let entry = self.base.load(self.wanted, |_| false, init).await;
        self.base.deliver(Whose::Own).await;
        entry
    }
}

impl<W: fmt::Debug, K, V, S> fmt::Debug for EntrySelector<'_, W, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("EntrySelector");
        out.field("wanted", &self.wanted).finish_non_exhaustive()
    }
}
