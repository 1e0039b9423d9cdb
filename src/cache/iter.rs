//! Walks through all entries.

use core::fmt;
use std::sync::Arc;

use super::Inner;
use super::engine::Engine;
use super::held::Held;
use super::shard::Shard;
use super::table::Table;
use crate::sync::epoch::Guard;

impl<K, V> Engine<K, V> {
    /// Every entry that is there throughout, and some of those that come or go meanwhile.
    pub(super) fn walk<'g>(&'g self, guard: &'g Guard) -> Walk<'g, K, V> {
        self.domain.check(guard);
        Walk {
            engine: self,
            guard,
            shard: 0,
            table: None,
            bucket: 0,
            place: 0,
        }
    }
}

/// Where a walk is.
pub(super) struct Walk<'g, K, V> {
    engine: &'g Engine<K, V>,
    guard: &'g Guard,
    shard: usize,
    /// The shard's table when we came to it: it is not written anew while our guard lives.
    table: Option<&'g Table>,
    bucket: usize,
    place: usize,
}

impl<'g, K, V> Iterator for Walk<'g, K, V> {
    type Item = (&'g Shard<K, V>, u32, &'g (K, V));

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let shard: &'g Shard<K, V> = self.engine.shards.get(self.shard)?;
            let (engine, guard) = (self.engine, self.guard);
            let table = *self
                .table
                .get_or_insert_with(|| engine.table_under(shard, guard));
            match table.at(self.bucket, self.place) {
                None => {
                    (self.shard, self.table) = (self.shard + 1, None);
                    (self.bucket, self.place) = (0, 0);
                }
                Some(entry) => {
                    (self.bucket, self.place) = Table::following(self.bucket, self.place);
                    let Some(entry) = entry else { continue };
                    let pair = self.engine.pair_under(shard, entry, self.guard);
                    if !self.engine.is_over(shard, entry) {
                        return Some((shard, entry, pair));
                    }
                }
            }
        }
    }
}

/// The entries of a cache; see [`ClockCache::iter_in`](super::ClockCache::iter_in).
pub struct Iter<'g, K, V>(pub(super) Walk<'g, K, V>);

impl<'g, K, V> Iterator for Iter<'g, K, V> {
    type Item = (&'g K, &'g V);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, _, pair) = self.0.next()?;
        Some((&pair.0, &pair.1))
    }
}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// Entries that were removed; see [`ClockCache::drain`](super::ClockCache::drain).
pub struct Drain<K, V, S> {
    pub(super) cache: Arc<Inner<K, V, S>>,
    pub(super) shard: usize,
    pub(super) taken: Vec<Held<K, V, S>>,
}

impl<K, V, S> Iterator for Drain<K, V, S> {
    type Item = Held<K, V, S>;

    fn next(&mut self) -> Option<Held<K, V, S>> {
        loop {
            if let Some(held) = self.taken.pop() {
                return Some(held);
            }
            let engine = &self.cache.engine;
            let entries = engine.drain(engine.shards.get(self.shard)?);
            let held = |entry| Held {
                cache: Arc::clone(&self.cache),
                shard: self.shard,
                entry,
            };
            self.taken = entries.into_iter().map(held).collect();
            self.shard += 1;
        }
    }
}

impl<K, V, S> fmt::Debug for Drain<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}
