//! What can be done with one entry of a cache for threads.

use core::fmt;
use core::future::ready;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use std::sync::Arc;

use crate::cache::moka_compat::Entry;
use crate::cache::moka_compat::base::Base;
use crate::cache::moka_compat::lookup::{Lent, Owned, Wanted};
use crate::cache::moka_compat::ops::compute::{CompResult, Op};
use crate::sync::park::block_on;

/// An entry by an owned key: what [`Cache::entry`](super::Cache::entry) returns.
pub type OwnedKeyEntrySelector<'a, K, V, S> = EntrySelector<'a, Owned<K>, K, V, S>;

/// An entry by a borrowed key: what [`Cache::entry_by_ref`](super::Cache::entry_by_ref) returns.
pub type RefKeyEntrySelector<'a, K, Q, V, S> = EntrySelector<'a, Lent<'a, Q>, K, V, S>;

/// An entry that is there or not, for what is to be done with it. `W` is how its key was given.
///
/// # Progress
/// All methods block on a shard's lock, and on whoever computes the value of the same key.
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
    /// Has `f` say what becomes of the entry, or of none. Other computations of the key, and other
    /// writes of it, wait meanwhile.
    ///
    /// # Panics
    /// If `f` does, and if it writes the same key.
    pub fn and_compute_with<F>(self, f: F) -> CompResult<K, V>
    where
        F: FnOnce(Option<Entry<K, V>>) -> Op<V>,
    {
        block_on(self.base.compute_always(self.wanted, |seen| ready(f(seen))))
    }

    /// As [`and_compute_with`](Self::and_compute_with), with an `f` that may fail.
    ///
    /// # Errors
    /// What `f` returned; then the entry is as it was.
    pub fn and_try_compute_with<F, E>(self, f: F) -> Result<CompResult<K, V>, E>
    where
        F: FnOnce(Option<Entry<K, V>>) -> Result<Op<V>, E>,
        E: Send + Sync + 'static,
    {
        block_on(self.base.compute(self.wanted, |seen| ready(f(seen))))
    }

    /// Brings in what `f` makes of the entry, or of none.
    pub fn and_upsert_with<F>(self, f: F) -> Entry<K, V>
    where
        F: FnOnce(Option<Entry<K, V>>) -> V,
    {
        block_on(self.base.upsert(self.wanted, |seen| ready(f(seen))))
    }

    /// The entry; one that is not there is inserted, with the default of its type.
    pub fn or_default(self) -> Entry<K, V>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// The entry; one that is not there is inserted.
    pub fn or_insert(self, default: V) -> Entry<K, V> {
        self.or_insert_with(|| default)
    }

    /// The entry; one that is not there is made by `init`, once for all who ask meanwhile.
    ///
    /// # Panics
    /// If `init` does; the next who waits then runs its own. If `init` asks for the same key.
    pub fn or_insert_with(self, init: impl FnOnce() -> V) -> Entry<K, V> {
        let init = async { init() };
        block_on(self.base.load_always(self.wanted, |_| false, init))
    }

    /// As [`or_insert_with`](Self::or_insert_with), but a value of which `replace_if` is true counts
    /// as none.
    pub fn or_insert_with_if(
        self,
        init: impl FnOnce() -> V,
        replace_if: impl FnMut(&V) -> bool,
    ) -> Entry<K, V> {
        let init = async { init() };
        block_on(self.base.load_always(self.wanted, replace_if, init))
    }

    /// As [`or_insert_with`](Self::or_insert_with), with an `init` that may have nothing to insert.
    pub fn or_optionally_insert_with(
        self,
        init: impl FnOnce() -> Option<V>,
    ) -> Option<Entry<K, V>> {
        let init = async { init() };
        block_on(self.base.load_perhaps(self.wanted, init))
    }

    /// As [`or_insert_with`](Self::or_insert_with), with an `init` that may fail.
    ///
    /// # Errors
    /// What `init` returned, to all who waited with the same type of error.
    pub fn or_try_insert_with<F, E>(self, init: F) -> Result<Entry<K, V>, Arc<E>>
    where
        F: FnOnce() -> Result<V, E>,
        E: Send + Sync + 'static,
    {
        let init = async { init() };
        block_on(self.base.load(self.wanted, |_| false, init))
    }
}

impl<W: fmt::Debug, K, V, S> fmt::Debug for EntrySelector<'_, W, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("EntrySelector");
        out.field("wanted", &self.wanted).finish_non_exhaustive()
    }
}
