//! [`ClockCache`]: a concurrent cache whose reads take no lock and, on a hot hit, write nothing
//! that others read.
//!
//! # Shape
//! ```text
//! hash(key) ─┬─ high bits ──> a shard
//!            └─ fingerprint ─> its table ──> entry ──> key, value        reads, under a guard
//!
//! a shard    table    tags and entry numbers, a cache line a bucket            (table.rs)
//!            slab     entries at places that never move                        (slab.rs)
//!            lock     policy, limbo, credit, claims, wheel: all that writes    (core.rs)
//! the cache  budget   the capacity, as tokens                                  (budget.rs)
//! ```
//! * **Reads** take two cache misses at most and no lock. They count a use in a byte of the entry,
//!   as far as the policy wants to know it, and then no more.
//! * **Writes** of a shard take turns. No lock is ever held while another is taken, nor while the
//!   user's code runs, but for `Eq`.
//! * **Eviction** is an adaptive two-ring CLOCK with ghosts (policy.rs), a hand for each shard.
//! * **Capacity** is never exceeded: an entry comes into sight only with its weight in tokens.
//! * What leaves is dropped by writers, once the last guard that may see it is gone.
//!
//! # Why `Send + Sync + 'static`
//! Any thread may read, and the last handle or any writer may drop, what another one inserted; and
//! what was removed lives on until readers of any thread are gone.

mod budget;
mod builder;
mod capacity;
mod cause;
mod chunks;
mod claims;
mod clock;
mod coarse;
mod core;
mod engine;
mod error;
mod expire;
mod held;
mod iter;
mod kept;
mod load;
mod loading;
pub mod moka_compat;
mod places;
mod policy;
mod put;
mod refusal;
mod removal;
mod resize;
mod room;
mod shard;
mod slab;
mod stats;
mod table;
mod tags;
mod tasks;
#[cfg_attr(not(feature = "store"), allow(dead_code))] // for the store of objects
pub(crate) mod tend;
pub(crate) mod tick;
mod times;
mod view;
mod wheel;
mod writer;

use ::core::fmt;
use ::core::hash::{BuildHasher, Hash};
use ::core::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

pub use builder::CacheBuilder;
pub use cause::Cause;
pub use clock::{Clock, CoarseClock, Expiry, ManualClock};
pub use engine::Mode;
pub use error::{BuildError, CapacityError, Reason, Refused};
pub use held::Held;
pub use iter::{Drain, Iter};
pub use load::{Computed, Op};
pub use stats::Stats;
pub use tick::TICK;

use self::engine::{Engine, Hashed};
use self::put::Rule;
use crate::sync::epoch::{Domain, Guard};
use equivalent::Equivalent;

/// A sharded cache that evicts by an adaptive two-ring CLOCK, within a capacity that is never
/// exceeded. Cloning yields a handle to the same cache.
///
/// ```
/// use mapless::ClockCache;
///
/// let cache: ClockCache<String, u64> = ClockCache::new(1_000);
/// cache.insert("a".to_string(), 1)?;
/// assert_eq!(cache.get("a"), Some(1)); // any borrowed form of the key
///
/// let guard = cache.pin();
/// assert_eq!(cache.get_in("a", &guard), Some(&1)); // wait-free, and no clone
///
/// assert_eq!(cache.get_or_insert_with("b".to_string(), || 2), 2); // once, for all who ask
/// assert_eq!(cache.remove("a"), Some(1));
/// assert_eq!(cache.entry_count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Progress
/// | methods | |
/// |---|---|
/// | `get_in`, `peek_in`, `get_many_in` | wait-free: at most 16 buckets of 12 places; an entry with a tag of its own bucket is asked for its key |
/// | `get`, `peek`, `contains_key`, `get_many`, `iter_in` | lock-free: they pin (`iter_in` walks) |
/// | `insert`, `insert_if_absent`, `replace`, `remove`, `invalidate`, `remove_if`, `hold`, dropping a `Held` | block on the shard's lock; without room there, on one other shard's after the other; where the key is being [computed](Self::compute), on that |
/// | `insert_wait` | blocks, beside that, on readers' guards (in [`Mode::Live`]) |
/// | `get_or_insert_with`, `compute` and their kin | lock-free on a hit; else block on the shard's lock, and on whoever computes the same key |
/// | `insert_async`, `remove_async` | as `insert` and `remove`, but where the key is being computed, they await that |
/// | `invalidate_all`, `retain`, `drain`, `set_capacity`, `run_pending_tasks`, `stats` | one shard's lock after the other |
/// | `entry_count`, `weighted_size`, .. | wait-free |
///
/// User code under a shard's lock: `Eq` of the key alone. It must not call the cache. If it panics,
/// the call unwinds and the cache is as it was; what was to be inserted is dropped.
pub struct ClockCache<K, V, S = ahash::RandomState> {
    inner: Arc<Inner<K, V, S>>,
}

pub(crate) struct Inner<K, V, S> {
    hasher: S,
    name: Option<String>,
    engine: Engine<K, V>,
}

// A panic in the user's code leaves the cache as it was: nothing is poisoned.
impl<K, V, S> UnwindSafe for ClockCache<K, V, S> {}
impl<K, V, S> RefUnwindSafe for ClockCache<K, V, S> {}

impl<K, V, S> Clone for ClockCache<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> ClockCache<K, V> {
    /// A cache for so many entries.
    #[must_use]
    pub fn new(max_capacity: u64) -> Self {
        let cache = Self::builder().max_capacity(max_capacity).build();
        cache.expect("the default number of shards is one that can be")
    }

    /// For everything that can be chosen.
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder::new()
    }
}

/// What is known without a look at a key.
impl<K, V, S> ClockCache<K, V, S> {
    /// Enters the cache's domain: see [`Domain::pin`].
    ///
    /// Keep guards short: what leaves the cache meanwhile stays in memory, and in [`Mode::Live`] it
    /// keeps its room.
    #[inline]
    pub fn pin(&self) -> Guard {
        self.inner.engine.domain.pin()
    }

    /// The cache's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.inner.engine.domain
    }

    /// The name that the builder was given.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// How many entries are reachable, those among them that are over and were not found yet.
    ///
    /// # Consistency
    /// Exact while nobody writes.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.inner.engine.sum(|shard| shard.gauges.entries.get())
    }

    /// What the entries weigh that are reachable or held.
    ///
    /// # Consistency
    /// Exact while nobody writes. While others do, the sum over the shards is of no single moment;
    /// what really is there never exceeds the capacity.
    #[must_use]
    pub fn weighted_size(&self) -> u64 {
        self.inner.engine.sum(|shard| shard.gauges.weight.get())
    }

    /// What the entries weigh that left, and that readers' guards keep or nobody came to drop.
    #[must_use]
    pub fn retained_weight(&self) -> u64 {
        self.inner.engine.retained()
    }

    /// What the entries weigh that are [held](Self::hold).
    #[must_use]
    pub fn held_weight(&self) -> u64 {
        self.inner.engine.held()
    }

    /// The capacity.
    #[must_use]
    pub fn max_capacity(&self) -> u64 {
        self.inner.engine.capacity()
    }

    /// What happened so far. Takes each shard's lock for a moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.engine.stats()
    }

    /// Changes the capacity; entries that have no room any more are evicted before it returns.
    ///
    /// # Errors
    /// If what is held, or in [`Mode::Live`] retained, or what others insert at the same time, leaves
    /// no way to get there: then the capacity is what it was.
    ///
    /// # Progress
    /// Blocks on each shard's lock, and on others who change the capacity.
    pub fn set_capacity(&self, max_capacity: u64) -> Result<(), CapacityError> {
        self.inner.engine.resize(max_capacity)
    }

    /// Drops what is over and what no reader sees any more. Writes do a little of that each; this
    /// does all of it.
    pub fn run_pending_tasks(&self) {
        self.inner.engine.run_pending_tasks();
    }

    /// Removes all entries. Each shard's go out of sight at once, one shard after the other; what is
    /// inserted meanwhile, in a shard that was done, stays.
    pub fn invalidate_all(&self) {
        self.inner.engine.invalidate_all();
    }

    /// Removes all entries and hands them out, [held](Self::hold). Goes shard by shard, as it is
    /// asked for more: what is inserted meanwhile may be among them.
    pub fn drain(&self) -> Drain<K, V, S> {
        Drain {
            cache: Arc::clone(&self.inner),
            shard: 0,
            taken: Vec::new(),
        }
    }

    /// All entries, in no order.
    ///
    /// # Consistency
    /// Weak: an entry that is there throughout is met once; what comes, goes or is replaced meanwhile
    /// may be met or not. It does not count as a use.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    pub fn iter_in<'g>(&'g self, guard: &'g Guard) -> Iter<'g, K, V> {
        Iter(self.inner.engine.walk(guard))
    }
}

/// Reads.
impl<K, V, S> ClockCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher,
{
    #[inline(always)]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        Hashed::new(self.inner.hasher.hash_one(key))
    }

    /// The value of this key, cloned. Counts as a use, and as a hit or a miss.
    ///
    /// # Progress
    /// Lock-free: it pins. No destructor and no listener runs in it.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        let hashed = self.hash(key);
        self.inner.engine.prefetch(hashed);
        let guard = self.pin();
        self.read(hashed, key, &guard).cloned()
    }

    /// The value of this key, for as long as the guard lives. Counts as a use, and as a hit or a
    /// miss.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free.
    #[inline]
    pub fn get_in<'g, Q>(&'g self, key: &Q, guard: &'g Guard) -> Option<&'g V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read(self.hash(key), key, guard)
    }

    /// Looks up many keys: `values[i]` becomes what [`get`](Self::get) says of `keys[i]`. Their cache
    /// misses overlap. They are single lookups still: others' changes may fall in between.
    ///
    /// # Panics
    /// If the slices have different lengths.
    pub fn get_many<Q>(&self, keys: &[&Q], values: &mut [Option<V>])
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        let guard = self.pin();
        self.look_up(keys, values, &guard, |value| value.clone());
    }

    /// [`get_many`](Self::get_many) under a guard, and without a clone.
    ///
    /// # Panics
    /// If the slices have different lengths, or the guard was made by another domain.
    ///
    /// # Progress
    /// Wait-free.
    pub fn get_many_in<'g, Q>(&'g self, keys: &[&Q], values: &mut [Option<&'g V>], guard: &'g Guard)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.look_up(keys, values, guard, |value| value);
    }

    fn look_up<'g, Q, T>(
        &'g self,
        keys: &[&Q],
        values: &mut [Option<T>],
        guard: &'g Guard,
        shape: impl Fn(&'g V) -> T,
    ) where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        const LANES: usize = 16;
        assert_eq!(keys.len(), values.len(), "a value for each key");
        for (keys, values) in keys.chunks(LANES).zip(values.chunks_mut(LANES)) {
            let mut all = [None; LANES];
            for (hashed, key) in all.iter_mut().zip(keys) {
                *hashed = Some(self.hash(*key));
                hashed.map(|hashed| self.inner.engine.prefetch(hashed));
            }
            all.iter()
                .flatten()
                .for_each(|&hashed| self.inner.engine.prefetch_entry(hashed));
            for ((key, value), hashed) in keys.iter().zip(values).zip(all) {
                // The guard and the cache live as long as what is handed out.
                let found = hashed.and_then(|hashed| self.read(hashed, *key, guard));
                *value = found.map(&shape);
            }
        }
    }

    #[inline(always)]
    fn read<'g, Q>(&'g self, hashed: Hashed, key: &Q, guard: &'g Guard) -> Option<&'g V>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let engine = &self.inner.engine;
        let found = engine.find_alive(hashed, key, guard, true);
        match found {
            Some(_) => engine.counters.hit(),
            None => engine.counters.miss(),
        }
        found.map(|pair| &pair.1)
    }

    /// As [`get`](Self::get), but it does not count.
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.peek_in(key, &self.pin()).cloned()
    }

    /// As [`get_in`](Self::get_in), but it does not count.
    ///
    /// # Panics
    /// If the guard was made by another domain.
    pub fn peek_in<'g, Q>(&'g self, key: &Q, guard: &'g Guard) -> Option<&'g V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let pair = self.inner.engine.find_alive(hashed, key, guard, false)?;
        Some(&pair.1)
    }

    /// Whether the key is there. It does not count.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.peek_in(key, &self.pin()).is_some()
    }

    /// All keys and values, cloned before it returns: of a large cache, much. See
    /// [`iter_in`](Self::iter_in), which needs no clones and goes on as it is asked.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)>
    where
        K: Clone,
        V: Clone,
    {
        let guard = self.pin();
        let all: Vec<_> = self
            .iter_in(&guard)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        all.into_iter()
    }

    /// Holds the entry of this key: it is not evicted, and counts, until the last [`Held`] of it is
    /// dropped. Counts as a use for the policy, not as a hit or a miss, and moves no deadline.
    ///
    /// # Progress
    /// Blocks on the shard's lock.
    pub fn hold<Q>(&self, key: &Q) -> Option<Held<K, V, S>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (shard, entry) = self.inner.engine.hold(self.hash(key), key)?;
        Some(Held {
            cache: Arc::clone(&self.inner),
            shard,
            entry,
        })
    }
}

/// Writes.
impl<K, V, S> ClockCache<K, V, S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher,
{
    /// Brings a value in, in place of the one that the key has.
    ///
    /// Room is made first: as long as what may be evicted suffices, and nobody takes the room away,
    /// it succeeds. An insert that replaces a value of the key needs room only for what it grows by,
    /// unless the old one is held or the mode is [`Mode::Live`].
    ///
    /// # Errors
    /// Hands key and value back, with the [`Reason`]. What the key had before stays; in
    /// [`Mode::Live`], or where others replace entries by heavier ones at the same time, it may have
    /// been evicted for the room that then did not suffice.
    ///
    /// # Panics
    /// Where it would wait for ever: inside a [computation](Self::compute) of the key, or of one for
    /// which a computation of the key waits.
    ///
    /// # Progress
    /// Blocks on the shard's lock; without room there, on one other shard's after the other; where
    /// the key is being computed, on that.
    ///
    /// # Complexity
    /// The hands look at a constant number of entries for each that they evict, and some once;
    /// those that are held come on top, once each until they are released.
    pub fn insert(&self, key: K, value: V) -> Result<(), Refused<K, V>> {
        self.put(key, value, Rule::Upsert)
    }

    /// As [`insert`](Self::insert), unless the key is there.
    ///
    /// # Errors
    /// As `insert`, and with [`Reason::Occupancy`] if the key is there.
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), Refused<K, V>> {
        self.put(key, value, Rule::IfAbsent)
    }

    /// As [`insert`](Self::insert), if the key is there.
    ///
    /// # Errors
    /// As `insert`, and with [`Reason::Occupancy`] if the key is not there, or was what had to leave
    /// for the room.
    pub fn replace(&self, key: K, value: V) -> Result<(), Refused<K, V>> {
        self.put(key, value, Rule::IfPresent)
    }

    fn put(&self, key: K, value: V, rule: Rule) -> Result<(), Refused<K, V>> {
        let hashed = self.hash(&key);
        self.inner.engine.put(hashed, key, value, rule).map(drop)
    }

    /// As [`insert`](Self::insert), but where only readers' guards keep it from room (in
    /// [`Mode::Live`]) it waits for them.
    ///
    /// # Errors
    /// As `insert`; [`Reason::OwnGuard`] if this thread has a guard of the domain, or is inside this
    /// cache's listener, for which it would wait for ever.
    ///
    /// # Progress
    /// Blocks on readers.
    pub fn insert_wait(&self, key: K, value: V) -> Result<(), Refused<K, V>> {
        let hashed = self.hash(&key);
        self.inner.engine.put_waiting(hashed, key, value).map(drop)
    }

    /// Inserts all; what is refused is dropped, and counted in [`stats`](Self::stats).
    pub fn extend(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            drop(self.insert(key, value));
        }
    }

    /// Removes the entry of this key; says its value.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        let hashed = self.hash(key);
        let value = |_: &K, value: &V| Some(value.clone());
        self.inner.engine.remove(hashed, key, value)
    }

    /// Removes the entry of this key; says whether it was there.
    pub fn invalidate<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Removes the entry of this key if `of` says so; says whether it did. If the entry is replaced
    /// meanwhile, `of` is asked again, about the other one.
    pub fn remove_if<Q>(&self, key: &Q, mut of: impl FnMut(&K, &V) -> bool) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let of = |key: &K, value: &V| of(key, value).then_some(());
        self.inner.engine.remove(hashed, key, of).is_some()
    }

    /// Removes the entries of which `of` says so. It is asked about each that is there throughout,
    /// once, under a guard and no lock.
    pub fn invalidate_if(&self, of: impl FnMut(&K, &V) -> bool) {
        self.inner.engine.sweep(of);
    }

    /// Removes the entries of which `of` does not say that they stay.
    pub fn retain(&self, mut of: impl FnMut(&K, &V) -> bool) {
        self.invalidate_if(|key, value| !of(key, value));
    }
}

impl<K, V, S> fmt::Debug for ClockCache<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockCache")
            .field("name", &self.inner.name)
            .field("max_capacity", &self.max_capacity())
            .field("entry_count", &self.entry_count())
            .field("weighted_size", &self.weighted_size())
            .finish_non_exhaustive()
    }
}
