//! A shard: a table and a slab that readers look at, and what its lock guards.
// Unsafe: the table is behind a pointer, and reads follow numbers into the slab.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! readers   table -> words -> entries            two cache misses, no lock
//! writers   lock [policy | limbo | credit | ..]  one at a time; never two shards' at once
//! ```
//!
//! # Invariants
//! * H1  The table is replaced under the lock only, and freed after the last look of every reader
//!   that may have loaded it.
//! * H2  An entry that a word names is filled, and stays so until the last look of every reader
//!   whose guard is older than the word's removal.
//!
//! # Edges
//! | edge  | released by      | acquired by    | what crosses                     |
//! |-------|------------------|----------------|----------------------------------|
//! | TABLE | `Shard::publish` | `Shard::table` | the words that were copied to it |
//!
//! # Progress
//! `find` is wait-free.
//!
//! # Checked by
//! `loom-tests/cache.rs` (H1, H2, TABLE).

use core::ptr::NonNull;

use crossbeam_utils::CachePadded;
use equivalent::Equivalent;

use super::core::Core;
use super::slab::{Node, Slab};
use super::table::Table;
use crate::sync::atomic::{AtomicPtr, Ordering::*};
use crate::sync::epoch::Guard;
use crate::sync::gauge::Gauge;
use crate::sync::lock::Mutex;

/// A part of the cache, by the high bits of the hash.
pub(super) struct Shard<K, V> {
    table: AtomicPtr<Table>,
    aim: Aim,
    pub(super) slab: Slab<K, V>,
    pub(super) core: CachePadded<Mutex<Core<K>>>,
    pub(super) gauges: CachePadded<Gauges>,
}

/// Where the buckets lie: a read has the processor fetch one before it pins, so that the fence of
/// the pin and the cache miss overlap. The two may not fit together, and then nothing is gained.
#[derive(Debug, Default)]
struct Aim {
    base: Gauge,
    buckets: Gauge,
}

impl Aim {
    fn at(&self, table: &Table) {
        let (base, buckets) = table.place_of_buckets();
        self.base.set(base as u64);
        self.buckets.set(buckets as u64);
    }
}

/// What the holder of the lock tells everybody.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) entries: Gauge,
    /// Of the entries that are reachable or held.
    pub(super) weight: Gauge,
    /// Of those that are held.
    pub(super) held: Gauge,
    /// Of those that left and that readers may still look at.
    pub(super) retained: Gauge,
}

/// A filled entry that a reader found, for as long as its guard lives.
pub(super) struct Found<'g, K, V> {
    pub(super) entry: u32,
    pub(super) node: &'g Node<K, V>,
    pub(super) pair: &'g (K, V),
}

impl<K, V> Shard<K, V> {
    pub(super) fn new(core: Core<K>) -> Self {
        let table = Box::new(Table::with_room_for(4));
        let aim = Aim::default();
        aim.at(&table);
        Self {
            table: AtomicPtr::new(Box::into_raw(table)),
            aim,
            slab: Slab::new(),
            core: CachePadded::new(Mutex::new(core)),
            gauges: CachePadded::default(),
        }
    }

    /// The table, for whoever holds a guard or the lock.
    ///
    /// # Safety
    /// S1: during the borrow, a guard of the cache's domain or the shard's lock is held.
    #[inline(always)]
    pub(super) unsafe fn table(&self) -> &Table {
        // Acquire [TABLE]: see the words before they are looked at.
        let table = self.table.load(Acquire);
        // SAFETY: S1, so the table that was published is not freed (H1).
        let table = unsafe { &*table };
        table.touch();
        table
    }

    /// Puts a table in the place of the present one, which comes back. Under the lock.
    pub(super) fn publish(&self, table: Table) -> OldTable {
        // Relaxed: stored under the lock that we hold.
        let old = self.table.load(Relaxed);
        self.aim.at(&table);
        // Release [TABLE]: its words are written before it is found.
        self.table.store(Box::into_raw(Box::new(table)), Release);
        OldTable(NonNull::new(old).expect("a shard has a table"))
    }

    /// A word to the processor that this fingerprint will be looked for soon.
    #[inline(always)]
    pub(super) fn prefetch(&self, fingerprint: u32) {
        let bucket = Table::home_of(fingerprint, self.aim.buckets.get());
        let offset = bucket as usize * Table::BUCKET_BYTES;
        let at = (self.aim.base.get() as usize).wrapping_add(offset);
        crate::sync::hint::prefetch_at(core::ptr::without_provenance(at));
    }

    /// The entry of this key.
    ///
    /// # Safety
    /// S1: the guard was made by the cache's domain.
    #[inline(always)]
    pub(super) unsafe fn find<'g, Q>(
        &'g self,
        fingerprint: u32,
        key: &Q,
        _guard: &'g Guard,
    ) -> Option<Found<'g, K, V>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        // SAFETY: S1: the guard is borrowed for as long as the table is.
        let table = unsafe { self.table() };
        table.find(fingerprint).find_map(|(_, entry)| {
            // SAFETY: the number was read from a word under the guard.
            let node = unsafe { self.slab.node(entry) };
            // SAFETY: H2: it was filled when its word was read, and the guard keeps it so.
            let pair = unsafe { node.pair() };
            key.equivalent(&pair.0)
                .then_some(Found { entry, node, pair })
        })
    }
}

impl<K, V> Drop for Shard<K, V> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that we are alone.
        let table = self.table.load(Relaxed);
        drop(NonNull::new(table).map(OldTable));
    }
}

/// A table that is not published any more; its drop frees it.
pub(super) struct OldTable(NonNull<Table>);

// SAFETY: it owns the table, whose parts are all `Send`.
unsafe impl Send for OldTable {}

impl OldTable {
    pub(super) fn bytes(&self) -> usize {
        // SAFETY: it is freed by our drop alone.
        unsafe { self.0.as_ref() }.bytes()
    }
}

impl Drop for OldTable {
    fn drop(&mut self) {
        // SAFETY: it came from `Box::into_raw`, is freed once, and dropped after the last look of
        // every reader: by a limbo, or with the shard.
        let table = unsafe { Box::from_raw(self.0.as_ptr()) };
        table.bury();
    }
}
