//! A shard: a table and a slab that readers look at, and what its lock guards.
//!
//! # Shape
//! ```text
//! readers   table -> words -> entries            two cache misses, no lock
//! writers   lock [policy | limbo | credit | ..]  one at a time; never two shards' at once
//! ```
//!
//! # Invariants
//! * H1  The table is replaced under the lock only. It is written anew, or freed, after the last look
//!   of every guard that may have seen it.
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
// Unsafe: the table is behind a pointer, and reads follow numbers into the slab.
#![allow(unsafe_code)]

use core::mem;
use core::ptr::NonNull;

use crossbeam_utils::CachePadded;
use equivalent::Equivalent;

use super::core::Core;
use super::slab::{Node, Slab};
use super::table::{Homes, Table};
use super::times::Stamps;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicPtr, Ordering::*};
use crate::sync::epoch::Guard;
use crate::sync::gauge::Gauge;
use crate::sync::lock::Mutex;

/// A part of the cache, by the high bits of the hash.
pub(super) struct Shard<K, V> {
    table: AtomicPtr<Table>,
    /// Where the table's buckets are, and how many, for whoever has no guard yet.
    homes: Homes,
    pub(super) slab: Slab<K, V>,
    pub(super) stamps: Option<Stamps>,
    pub(super) core: CachePadded<Mutex<Core<K, V>>>,
    pub(super) gauges: CachePadded<Gauges>,
}

/// What the holder of the lock tells everybody.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) entries: Gauge,
    /// Of the entries that are reachable or held.
    pub(super) weight: Gauge,
    /// Of those that are held.
    pub(super) held: Gauge,
    /// Of those that are held for longer than room is made for another.
    pub(super) firm: Gauge,
    /// Inserts that were refused.
    pub(super) refused: Gauge,
    /// Of those that left and that readers may still look at.
    pub(super) retained: Gauge,
    /// How many entries are empty, where an owner asks.
    pub(super) empty: Gauge,
    /// How many of them lie in chunks that can be freed.
    pub(super) hollow: Gauge,
    /// How many entries lie in chunks where none is held, but for the first chunk.
    pub(super) movable: Gauge,
}

/// A filled entry that a reader found, for as long as its guard lives.
pub(super) struct Found<'g, K, V> {
    pub(super) entry: u32,
    pub(super) node: &'g Node<K, V>,
    pub(super) pair: &'g (K, V),
}

impl<K, V> Shard<K, V> {
    pub(super) fn new(core: Core<K, V>, stamps: Option<Stamps>, room: usize) -> Self {
        let table = Box::new(Table::with_room_for(room));
        Self {
            homes: Homes::of(&table),
            table: AtomicPtr::new(Box::into_raw(table)),
            slab: Slab::new(),
            stamps,
            core: CachePadded::new(Mutex::new(core)),
            gauges: CachePadded::default(),
        }
    }

    /// The table.
    ///
    /// # Safety
    /// S1: the caller has a guard of the cache's domain, or the lock, as long as the borrow; or the
    /// cache has no owner, and frees its tables with the shard.
    #[inline(always)]
    pub(super) unsafe fn table(&self) -> &Table {
        // Acquire [TABLE]: see its places before they are looked at.
        let table = self.table.load(Acquire);
        // SAFETY: S1: a table that was published is not freed before (H1).
        unsafe { &*table }
    }

    /// Puts a table in the place of the present one, which comes back. Under the lock.
    pub(super) fn publish(&self, table: SpareTable) -> SpareTable {
        // Relaxed: stored under the lock that we hold.
        let old = self.table.load(Relaxed);
        self.homes.are_of(table.get());
        // Release [TABLE]: its places are written before it is found.
        self.table.store(table.0.as_ptr(), Release);
        SpareTable(NonNull::new(old).expect("a shard has a table"))
    }

    /// A word to the processor, before one pins or locks: the home of this fingerprint is missed while
    /// the fence is waited for.
    #[inline(always)]
    pub(super) fn prefetch(&self, fingerprint: u32) {
        if !SMALL {
            self.homes.prefetch(fingerprint);
        }
    }

    /// As `prefetch`, of the entry that the home seems to name.
    ///
    /// # Safety
    /// S1: as in `table`.
    #[inline(always)]
    pub(super) unsafe fn prefetch_entry(&self, fingerprint: u32) {
        if SMALL {
            return;
        }
        // SAFETY: S1.
        if let Some(entry) = unsafe { self.table() }.first(fingerprint) {
            // SAFETY: numbers in a table are below what the slab was grown to; chunks are freed where
            // tables are (S1).
            crate::sync::hint::prefetch(unsafe { self.slab.node(entry) });
        }
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
        // SAFETY: S1 by S1: the guard.
        let table = unsafe { self.table() };
        table.touch();
        table.find(fingerprint, |_, entry| {
            // SAFETY: the number was read from a place under the guard.
            let node = unsafe { self.slab.node(entry) };
            // SAFETY: H2: it was filled when its place was read, and the guard keeps it so.
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
        let spare = mem::take(&mut self.core.lock().spare);
        for table in spare.into_iter().chain(NonNull::new(table).map(SpareTable)) {
            // SAFETY: S1: `&mut self` says that nobody looks.
            unsafe { table.free() };
        }
    }
}

/// A table that is not published (any more), and stays memory of ours.
pub(super) struct SpareTable(NonNull<Table>);

// SAFETY: it is a shared reference to a `Sync` table that lives as long as this.
unsafe impl Send for SpareTable {}

impl SpareTable {
    pub(super) fn new(table: Table) -> Self {
        Self(NonNull::from(Box::leak(Box::new(table))))
    }

    pub(super) fn get(&self) -> &Table {
        // SAFETY: it is freed by `free`, which takes us.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    /// S1: nobody looks at it, or ever will.
    pub(super) unsafe fn free(self) {
        // SAFETY: S1: it came from `Box::leak`, and is freed once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}
