//! How a cache for tasks is made.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use core::time::Duration;
use std::hash::RandomState;
use std::sync::Arc;

use super::Cache;
use crate::cache::moka_compat::notification::{ListenerFuture, RemovalCause};
use crate::cache::moka_compat::policy::{EvictionPolicy, Expiry};
use crate::cache::moka_compat::settings::{Listener, Settings, setters};

/// Makes a [`Cache`].
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

impl<K, V, C> CacheBuilder<K, V, C> {
    setters!();

    /// Is told of each entry that leaves, once, after it left: by the task that caused it, under no
    /// lock and never inside a read. What it panics with is contained.
    pub fn eviction_listener<F>(mut self, listener: F) -> Self
    where
        F: Fn(Arc<K>, V, RemovalCause) + Send + Sync + 'static,
    {
        self.settings.listener = Some(Listener::Sync(Arc::new(listener)));
        self
    }

    /// Is told of each entry that leaves, once, and awaited: by the call that caused it, before that
    /// returns. What `invalidate_all` and `invalidate_entries_if`, which cannot wait, or a call that
    /// is dropped leave behind is awaited by the next call that writes, or `run_pending_tasks`. What
    /// it panics with is contained.
    pub fn async_eviction_listener<F>(mut self, listener: F) -> Self
    where
        F: Fn(Arc<K>, V, RemovalCause) -> ListenerFuture + Send + Sync + 'static,
    {
        self.settings.listener = Some(Listener::Async(Arc::new(listener)));
        self
    }
}

impl<K, V, C> fmt::Debug for CacheBuilder<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
