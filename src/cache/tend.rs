//! An owner of entries that knows more of them than the cache: which come in held, what one weighs
//! by now, and when room is wanted elsewhere.
//!
//! # Shape
//! ```text
//! tend    under the shard's lock: the owner looks at an entry and says what becomes of it
//! shed    evicts so much, from the heavier shards first, whatever the cache's own budget says
//! ```
//!
//! # Progress
//! `tend` blocks on the shard's lock, `shed` and `collect` on one shard's after the other. The
//! owner's code runs under the lock; it takes no lock that is held while this crate is called.
//!
//! # Checked by
//! `loom-tests/objects.rs`; the tests below.

use core::hash::{BuildHasher, Hash};

use super::ClockCache;
use super::cause::Cause;
use super::engine::{Engine, Hashed};
use super::policy::Looks;
use super::writer::Writer;
use crate::sync::epoch::Guard;

/// What an owner of entries is asked and told, under the lock of the entry's shard.
pub(crate) trait Owner<V>: Send + Sync {
    /// Whether an entry comes in held.
    fn comes_held(&self, value: &V) -> bool;
    /// An entry is out of sight.
    fn left(&self, value: &V, cause: Cause);
}

/// Where a key would be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought(Hashed);

/// What becomes of an entry that was tended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) hold: Hold,
    /// What it weighs from now on.
    pub(crate) weight: Option<u64>,
    /// It leaves.
    pub(crate) leaves: bool,
}

/// What becomes of the owner's hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    Same,
    Begins,
    Ends,
}

impl Fate {
    /// It stays as it is.
    pub(crate) const STAYS: Self = Self {
        hold: Hold::Same,
        weight: None,
        leaves: false,
    };
}

impl<K, V, S> ClockCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher,
{
    /// Asks `of` what becomes of the entry of this key, and sees to it; nothing if there is none.
    pub(crate) fn tend<T>(&self, key: &K, of: impl FnOnce(&V) -> (Fate, T)) -> Option<T> {
        let (hashed, engine) = (self.hash(key), &self.inner.engine);
        let mut writer = engine.open(engine.shard(hashed));
        let found = writer.find_live(hashed.fingerprint(), key);
        // Where there is none, `of` and what it owns are dropped after the lock.
        let told = match found {
            Some((_, entry)) => {
                let (fate, told) = of(&writer.pair(entry).1);
                writer.follow(entry, fate);
                Some(told)
            }
            None => None,
        };
        writer.close();
        told
    }

    /// Where this key would be; with a word to the processor, before one pins.
    #[inline]
    pub(crate) fn prefetch(&self, key: &K) -> Sought {
        let hashed = self.hash(key);
        self.inner.engine.prefetch(hashed);
        Sought(hashed)
    }

    /// The value of this key, which was sought. Counts as a use, and in no statistics.
    #[inline]
    pub(crate) fn use_in<'g>(&'g self, key: &K, at: Sought, guard: &'g Guard) -> Option<&'g V> {
        let pair = self.inner.engine.find_alive(at.0, key, guard, true);
        pair.map(|pair| &pair.1)
    }

    /// Evicts until so much weight left, or nothing is left that may; how much left.
    pub(crate) fn shed(&self, weight: u64) -> u64 {
        self.inner.engine.shed(weight)
    }

    /// What could be evicted.
    pub(crate) fn loose_weight(&self) -> u64 {
        self.inner.engine.loose()
    }

    /// Lets go of all that nobody looks at any more.
    pub(crate) fn collect(&self) {
        self.inner.engine.collect();
    }
}

impl<K, V> Engine<K, V> {
    fn loose(&self) -> u64 {
        self.sum(|shard| shard.gauges.weight.get() - shard.gauges.held.get())
    }

    fn shed(&self, weight: u64) -> u64 {
        let average = self.loose() / self.shards.len() as u64;
        let (mut looks, mut shed) = (Looks::new(), 0);
        self.sheds.add(1);
        let first = (self.sheds.get() % self.shards.len() as u64) as usize;
        for keep in [average, 0] {
            let (before, after) = self.shards.split_at(first);
            for shard in after.iter().chain(before) {
                if shed >= weight {
                    return shed;
                }
                let mut writer = self.open(shard);
                let keep = keep.saturating_add(writer.core.held);
                shed += writer.evict_for(weight - shed, keep, &mut looks);
                writer.close();
            }
        }
        shed
    }
}

impl<K: Eq, V> Writer<'_, K, V> {
    fn follow(&mut self, entry: u32, fate: Fate) {
        if let Some(weight) = fate.weight {
            self.reweigh(entry, weight);
        }
        match fate.hold {
            Hold::Same => {}
            Hold::Begins => self.hold(entry),
            Hold::Ends => self.release(entry),
        }
        if fate.leaves {
            self.remove(entry, Cause::Explicit);
        }
    }

    /// An entry, which is held, weighs something else from now on.
    fn reweigh(&mut self, entry: u32, weight: u64) {
        self.off_the_rings(entry);
        let before = self.core.book.weight(entry);
        if let Some(more) = weight.checked_sub(before) {
            let lacking = more.saturating_sub(self.core.credit);
            self.core.credit += self.engine.budget.take(lacking);
            debug_assert!(self.core.credit >= more, "the owner sees to the room");
        }
        let core = &mut *self.core;
        core.credit = core.credit + before - weight;
        core.weight = core.weight + weight - before;
        core.held = core.held + weight - before;
        core.weigh(entry, weight);
        if let Some(hold) = core.book.holds.get_mut(&entry) {
            hold.parked = false;
        }
        self.onto_the_rings(entry, None);
    }
}
