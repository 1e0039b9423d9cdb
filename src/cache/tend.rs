//! An owner of entries that knows more of them than the cache: which come in held, what one weighs
//! by now, and when room is wanted elsewhere.
//!
//! # Shape
//! ```text
//! come    a new entry, made under the shard's lock once there is a place for it in the index
//! tend    under the shard's lock: the owner looks at an entry and says what becomes of it
//! shed    evicts so much, from the heavier shards first, whatever the cache's own budget says
//! trim    frees what the index has too much
//! ```
//! The index grows only as its owner allows: it asks for each chunk of entries, at so much a place, and
//! says so when it freed one. A place pays for an entry, its part of the table, and what the shard
//! knows of it.
//!
//! # Progress
//! `come` and `tend` block on the shard's lock, `shed`, `trim` and `collect` on one shard's after the
//! other. The owner's code runs under the lock; it takes no lock that is held while this crate is called.
//!
//! # Checked by
//! `loom-tests/objects.rs`; the tests below.
#![allow(unsafe_code)] // vouches for the lock, where entries are taken, filled and freed

use core::hash::{BuildHasher, Hash};
use std::collections::HashMap;

use super::ClockCache;
use super::cause::Cause;
use super::chunks;
use super::engine::{Engine, Hashed};
use super::policy::Looks;
use super::table::Table;
use super::writer::Writer;
use crate::sync::epoch::Guard;

/// What an owner of entries is asked and told, under the lock of the entry's shard.
pub(crate) trait Owner<V>: Send + Sync {
    /// Whether an entry comes in held.
    fn comes_held(&self, value: &V) -> bool;
    /// An entry is out of sight.
    fn left(&self, value: &V, cause: Cause);
    /// What a place in the index costs.
    fn place(&self) -> u64;
    /// Whether the index may grow by so much.
    fn grows(&self, cost: u64) -> bool;
    /// The index is so much smaller. Under no lock.
    fn shrank(&self, cost: u64);
}

/// The index would have to grow by so much, which its owner does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPlace(pub(crate) u64);

/// A shard's first chunk has so many places.
pub(crate) const FIRST: u64 = chunks::len_of(0) as u64;
/// After a compaction that gained nothing so many are left out: each looks at all entries.
const REST: u64 = 32;
/// A chunk is sparse if no more than such a part of it is taken.
const SPARSE: usize = 8;

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
    /// Brings in what `make` makes, under a key that is not there, and that weighs so much, if there is a
    /// place for it: else, one for which `paid` has been paid, or which the owner allows.
    pub(crate) fn come(
        &self,
        key: K,
        weight: u64,
        paid: &mut u64,
        make: impl FnOnce() -> V,
    ) -> Result<(), NoPlace> {
        let (hashed, engine) = (self.hash(&key), &self.inner.engine);
        let shard = engine.shard(hashed);
        loop {
            let mut writer = engine.open(shard);
            let Err(no_place) = writer.see_to_place(paid) else {
                writer.come(hashed.fingerprint(), weight, || (key, make()));
                writer.close();
                return Ok(());
            };
            if !writer.close_one() {
                return Err(no_place);
            }
        }
    }

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

    /// How many places of the index are empty.
    pub(crate) fn empty_places(&self) -> u64 {
        self.inner.engine.sum(|shard| shard.gauges.empty.get())
    }

    /// How many places of the index lie where no entry is held, so that they could be freed.
    pub(crate) fn movable_places(&self) -> u64 {
        self.inner.engine.sum(|shard| shard.gauges.movable.get())
    }

    /// Evicts one entry of the shard where this key would be; how many there were.
    pub(crate) fn shed_beside(&self, key: &K) -> usize {
        let (hashed, engine) = (self.hash(key), &self.inner.engine);
        let mut writer = engine.open(engine.shard(hashed));
        let evicted = writer.evict(&mut Looks::new(), false);
        writer.close();
        usize::from(evicted.is_some())
    }

    /// Frees what the index has too much, but for each shard's first chunk.
    pub(crate) fn trim(&self) {
        self.inner.engine.trim();
    }

    /// Evicts those that keep sparse parts of the index, where these cost more than what is in them;
    /// what both come to. Looks at all entries, but not again soon if that came to nothing.
    pub(crate) fn compact(&self) -> u64 {
        self.inner.engine.compact()
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

    fn place(&self) -> u64 {
        self.owner.as_ref().map_or(0, |owner| owner.place())
    }

    fn trim(&self) {
        let hollow = || {
            self.shards
                .iter()
                .filter(|shard| shard.gauges.hollow.get() > 0)
        };
        let narrowed = hollow().filter(|shard| self.open(shard).narrow()).count();
        if narrowed > 0 {
            self.collect();
        }
        let freed: usize = hollow().map(|shard| self.open(shard).trim()).sum();
        if let Some(owner) = &self.owner
            && freed > 0
        {
            owner.shrank(freed as u64 * owner.place());
        }
    }

    fn compact(&self) -> u64 {
        let rest = self.rest.get();
        if rest > 0 {
            self.rest.set(rest - 1);
            return 0;
        }
        let (place, mut gained) = (self.place(), 0);
        for shard in &self.shards {
            let mut writer = self.open(shard);
            gained += writer.compact(place);
            writer.close();
        }
        if gained == 0 {
            self.rest.set(REST);
        }
        gained
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

/// The index.
impl<K, V> Writer<'_, K, V> {
    /// Sees to it that a place can be taken.
    fn see_to_place(&mut self, paid: &mut u64) -> Result<(), NoPlace> {
        let owner = self.engine.owner.as_ref();
        if self.core.places.any() || owner.is_none() {
            return Ok(());
        }
        let next = self.shard.slab.next_len() as u64;
        // A shard's first chunk is the owner's to have paid for.
        let is_first = self.core.places.there() == 0;
        let cost = if is_first {
            0
        } else {
            next * self.engine.place()
        };
        if cost <= *paid {
            *paid -= cost;
            return Ok(());
        }
        let grows = owner.is_some_and(|owner| owner.grows(cost));
        grows.then_some(()).ok_or(NoPlace(cost))
    }

    fn find_credit(&mut self, weight: u64) {
        let lacking = weight.saturating_sub(self.core.credit);
        self.core.credit += self.engine.budget.take(lacking);
        debug_assert!(self.core.credit >= weight, "the owner sees to the room");
    }

    /// Makes the table fit for what is there without hollow chunks, if it is much wider; whether it was.
    fn narrow(&mut self) -> bool {
        let fits = self.core.places.there() - self.core.places.hollow();
        let is_wide = self.table().buckets() > 2 * Table::buckets_for(fits + fits / 2);
        if is_wide {
            self.resize_table(fits + fits / 2);
        }
        is_wide
    }

    /// Frees hollow chunks, and what goes with them; how many places they had. Not before tables that
    /// were wider, which places paid for, are freed.
    fn trim(mut self) -> usize {
        let core = &mut *self.core;
        if core.old_tables.len() > 0 {
            return 0;
        }
        // SAFETY: S1: the lock. S2: what was given back was ripe.
        let freed = unsafe { core.places.free_hollow(&self.shard.slab) };
        core.book.shrink_to(core.places.bound());
        self.settle_only();
        freed
    }

    /// Evicts what is in sparse chunks that cost more than that; what both come to.
    fn compact(&mut self, place: u64) -> u64 {
        let sparse: Vec<usize> = self.core.places.sparse(SPARSE).collect();
        if sparse.is_empty() {
            return 0;
        }
        let mut inside: HashMap<usize, Vec<u32>> =
            sparse.iter().map(|at| (*at, Vec::new())).collect();
        for entry in self.entries() {
            if let Some(some) = inside.get_mut(&chunks::chunk_of(entry)) {
                some.push(entry);
            }
        }
        let mut gained = 0;
        for (chunk, entries) in inside {
            let (book, cost) = (&self.core.book, chunks::len_of(chunk) as u64 * place);
            let weight: u64 = entries.iter().map(|&entry| book.weight(entry)).sum();
            let is_held = entries.iter().any(|&entry| book.is_held(entry));
            if !is_held && weight <= cost {
                entries
                    .iter()
                    .for_each(|&entry| self.remove(entry, Cause::Size));
                gained += weight + cost;
            }
        }
        gained
    }
}

impl<K: Eq, V> Writer<'_, K, V> {
    /// A new entry comes in, for which there is a place.
    fn come(&mut self, fingerprint: u32, weight: u64, make: impl FnOnce() -> (K, V)) {
        self.find_credit(weight);
        let spot = self.free_spot_for(fingerprint);
        // SAFETY: S1: the slab of the shard that we have locked.
        let entry = unsafe { self.core.take_empty(self.shard) };
        let entry = entry.expect("a shard has numbers for more entries than memory has room for");
        // SAFETY: S1 and S2: it was just given to us, and we hold the lock.
        unsafe { self.shard.slab.fill(entry, fingerprint, make()) };
        self.enter_as(entry, (fingerprint, weight), spot, None, None);
    }

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
        self.find_credit(weight.saturating_sub(before));
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
