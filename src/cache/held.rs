//! An entry that stays.

use core::fmt;
use core::ops::Deref;
use std::sync::Arc;

use super::Inner;

/// A held entry: it is not evicted, and counts, until this is dropped.
///
/// It may be removed or replaced meanwhile: then nobody finds it any more, and it goes with the last
/// hold. It keeps the cache's memory, even after the last handle to the cache is gone.
///
/// # Progress
/// A drop blocks on the shard's lock.
pub struct Held<K, V, S = ahash::RandomState> {
    pub(super) cache: Arc<Inner<K, V, S>>,
    pub(super) shard: usize,
    pub(super) entry: u32,
}

impl<K, V, S> Held<K, V, S> {
    /// The entry's key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.cache.engine.held_pair(self.shard, self.entry).0
    }

    /// The entry's value; what `*held` is.
    #[must_use]
    pub fn value(&self) -> &V {
        &self.cache.engine.held_pair(self.shard, self.entry).1
    }
}

impl<K, V, S> Deref for Held<K, V, S> {
    type Target = V;

    fn deref(&self) -> &V {
        self.value()
    }
}

impl<K, V, S> Clone for Held<K, V, S> {
    fn clone(&self) -> Self {
        let engine = &self.cache.engine;
        let mut writer = engine.open(&engine.shards[self.shard]);
        writer.hold(self.entry);
        writer.close();
        Self {
            cache: Arc::clone(&self.cache),
            shard: self.shard,
            entry: self.entry,
        }
    }
}

impl<K, V, S> Drop for Held<K, V, S> {
    fn drop(&mut self) {
        let engine = &self.cache.engine;
        let mut writer = engine.open(&engine.shards[self.shard]);
        writer.release(self.entry);
        writer.close();
    }
}

impl<K, V, S> fmt::Debug for Held<K, V, S>
where
    K: fmt::Debug,
    V: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Held");
        out.field("key", self.key());
        out.field("value", self.value()).finish()
    }
}
