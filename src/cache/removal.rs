//! Entries leave because somebody says so: one, some, or all.
//!
//! # Progress
//! Blocks on the shard's lock; where the key is being computed, on that. What goes over all shards
//! takes one lock after the other, for a bounded number of entries at a time.

use equivalent::Equivalent;

use super::cause::Cause;
use super::claims::{Kind, Wait};
use super::engine::{Engine, Hashed};
use super::shard::Shard;
use super::table::{LEAST_ROOM, Table};
use super::writer::Writer;
use crate::sync::park::block_on;

impl<K: Eq, V> Engine<K, V> {
    /// Removes the entry of this key, which `of` is told first, under a guard and no lock: it says
    /// what is to come of it, and nothing where the entry is to stay.
    pub(super) fn remove<Q, T>(
        &self,
        hashed: Hashed,
        key: &Q,
        mut of: impl FnMut(&K, &V) -> Option<T>,
    ) -> Option<T>
    where
        Q: Equivalent<K> + ?Sized,
    {
        loop {
            match self.try_remove(hashed, key, &mut of) {
                Ok(Removal::Changed) => {}
                Ok(Removal::Done(done)) => return done,
                Err(wait) => drop(block_on(wait)),
            }
        }
    }

    /// As `remove`, for tasks.
    pub(super) async fn remove_async<Q, T>(
        &self,
        hashed: Hashed,
        key: &Q,
        mut of: impl FnMut(&K, &V) -> Option<T>,
    ) -> Option<T>
    where
        Q: Equivalent<K> + ?Sized,
    {
        loop {
            match self.try_remove(hashed, key, &mut of) {
                Ok(Removal::Changed) => {}
                Ok(Removal::Done(done)) => return done,
                Err(wait) => drop(wait.await),
            }
        }
    }

    fn try_remove<Q, T>(
        &self,
        hashed: Hashed,
        key: &Q,
        of: &mut impl FnMut(&K, &V) -> Option<T>,
    ) -> Result<Removal<T>, Wait<V>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.prefetch(hashed);
        let guard = self.domain.pin();
        let found = self.find(hashed, key, &guard);
        let found = found.filter(|found| !self.is_over(self.shard(hashed), found.entry));
        // What a read does not find is not asked about; the lock has the last word on it.
        let answer = match &found {
            Some(found) => match of(&found.pair.0, &found.pair.1) {
                Some(answer) => Some((found.entry, answer)),
                None => return Ok(Removal::Done(None)),
            },
            None => None,
        };
        let mut writer = self.open(self.shard(hashed));
        if let Some(wait) = writer.in_the_way(hashed, key, Kind::Compute) {
            writer.close();
            return Err(wait);
        }
        let there = writer
            .find_live(hashed.fingerprint(), key)
            .map(|(_, entry)| entry);
        let removal = match (there, answer) {
            (Some(there), Some((asked, answer))) if there == asked => {
                writer.remove(there, Cause::Explicit);
                Removal::Done(Some(answer))
            }
            (Some(_), _) => Removal::Changed,
            (None, _) => Removal::Done(None),
        };
        writer.close();
        Ok(removal)
    }

    /// Removes the entry of a key that the caller has a claim of.
    pub(super) fn remove_claimed(&self, hashed: Hashed, key: &K, cause: Cause) {
        let mut writer = self.open(self.shard(hashed));
        if let Some((_, entry)) = writer.find_live(hashed.fingerprint(), key) {
            writer.remove(entry, cause);
        }
        writer.close();
    }

    /// Removes the entries of which `of` says so; each is asked about under a guard and no lock.
    pub(super) fn sweep(&self, mut of: impl FnMut(&K, &V) -> bool) {
        let guard = self.domain.pin();
        for (shard, entry, pair) in self.walk(&guard) {
            if of(&pair.0, &pair.1) {
                self.remove_entry(shard, entry, pair);
            }
        }
    }

    /// Removes an entry that was found under a guard, if it is there still.
    fn remove_entry(&self, shard: &Shard<K, V>, entry: u32, pair: &(K, V)) {
        let mut writer = self.open(shard);
        // The guard keeps the entry from being another's meanwhile.
        let fingerprint = writer.fingerprint(entry);
        let there = writer.find(fingerprint, &pair.0);
        if there.is_some_and(|(_, there)| there == entry) {
            writer.remove(entry, Cause::Explicit);
        }
        writer.close();
    }
}

impl<K, V> Engine<K, V> {
    /// Removes all entries, shard by shard.
    pub(super) fn invalidate_all(&self) {
        for shard in &self.shards {
            let mut writer = self.open(shard);
            writer.remove_all();
            writer.close();
            self.reap(shard);
        }
    }

    /// Removes all entries of a shard, each held once for the caller.
    pub(super) fn drain(&self, shard: &Shard<K, V>) -> Vec<u32> {
        let mut writer = self.open(shard);
        writer.expire_all();
        let all = writer.entries();
        all.iter().for_each(|&entry| writer.hold(entry));
        writer.remove_all();
        writer.close();
        all
    }
}

impl<K, V> Writer<'_, K, V> {
    /// All entries that stand in the table.
    pub(super) fn entries(&self) -> Vec<u32> {
        let table = self.table();
        (0..).map_while(|at| table.bucket(at)).flatten().collect()
    }

    /// Removes all entries: they are out of sight at once, by an empty table.
    fn remove_all(&mut self) {
        let all = self.entries();
        let empty = self.empty_table(Table::buckets_for(LEAST_ROOM));
        self.publish(empty);
        self.core.policy.clear();
        self.core.len = 0;
        for entry in all {
            self.left(entry, Cause::Explicit);
        }
    }
}

/// What an attempt came to.
enum Removal<T> {
    Done(Option<T>),
    /// Another entry has come meanwhile, about which nobody was asked.
    Changed,
}
