//! All entries, shard by shard.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::base::Base;
use crate::cache::ClockCache;

/// What a walk needs of a cache, whatever its hasher.
pub(super) trait Scan<K, V>: Sync {
    /// The keys of a shard; nothing where there is no such shard.
    fn keys(&self, shard: usize) -> Option<Vec<Arc<K>>>;

    /// The value that a key has now; it does not count as a use.
    fn value(&self, key: &Arc<K>) -> Option<V>;
}

impl<K, V, S> Scan<K, V> for ClockCache<Arc<K>, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync,
{
    fn keys(&self, shard: usize) -> Option<Vec<Arc<K>>> {
        let engine = &self.inner.engine;
        let shard = engine.shards.get(shard)?;
        let guard = self.pin();
        let table = engine.table_under(shard, &guard);
        let entries = (0..).map_while(|at| table.bucket(at)).flatten();
        let key = |entry| Arc::clone(&engine.pair_under(shard, entry, &guard).0);
        Some(entries.map(key).collect())
    }

    fn value(&self, key: &Arc<K>) -> Option<V> {
        self.peek(key)
    }
}

impl<K, V, S> Base<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Send + Sync,
{
    pub(super) fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            cache: &self.cache,
            shard: 0,
            keys: Vec::new(),
        }
    }
}

/// Keys, and clones of their values.
///
/// # Consistency
/// The keys of a shard are looked up when the walk comes to it, each value when it is returned: an
/// entry that was removed before that is not returned, and none is returned twice.
pub struct Iter<'i, K, V> {
    cache: &'i dyn Scan<K, V>,
    /// The shard that comes next.
    shard: usize,
    /// What is left of the one before.
    keys: Vec<Arc<K>>,
}

impl<K, V> Iterator for Iter<'_, K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    type Item = (Arc<K>, V);

    fn next(&mut self) -> Option<(Arc<K>, V)> {
        loop {
            while let Some(key) = self.keys.pop() {
                if let Some(value) = self.cache.value(&key) {
                    return Some((key, value));
                }
            }
            self.keys = self.cache.keys(self.shard)?;
            self.shard += 1;
        }
    }
}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Iter");
        out.field("shard", &self.shard).finish_non_exhaustive()
    }
}
