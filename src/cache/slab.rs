//! The entries of a shard: their keys and values, and what is known of them.
//!
//! # Shape
//! ```text
//! entry  [uses 8][limit 8][fingerprint 32][links 2 x 32][key, value]
//! ```
//! An entry is 16 bytes beside its key and value. `uses` and `limit` are the two bytes that reads
//! look at; the other fields belong to the shard's lock.
//!
//! # Invariants
//! * S1  A pair is written by `fill`, before its entry is published, and taken by `empty`, after
//!   the last look of every reader that may have found it.
//! * S2  `limit` is stored under the shard's lock only. `uses` is stored by reads too, which may
//!   lose a count to one another and to a hand: it steers the policy and decides nothing else.
//!
//! # Edges
//! None of its own: a pair is written before the word that names its entry is published (WORD in
//! `table.rs`), and read no more when the batch that it left in is ripe (RIPE in `sync/epoch`).
//!
//! # Progress
//! `node` and `touch` are wait-free. `grow` and `free` call the allocator.
//!
//! # Checked by
//! `loom-tests/cache.rs` and `loom-tests/cache_hold.rs` (S1); the address sanitizer over
//! `tests/stress_cache.rs`.
// Unsafe: pairs are filled, read and emptied at moments that the shard's lock, its table and its
// epochs keep apart.
#![allow(unsafe_code)]

use core::ops::Range;

use super::chunks::{self, Chunks};
use super::policy::Links;
use crate::sync::atomic::{AtomicU8, Ordering::*};
use crate::sync::cell::{Locked, Slot};

/// What only the holder of the shard's lock looks at.
#[derive(Clone, Copy)]
struct Label {
    fingerprint: u32,
    links: Links,
}

/// One entry, filled or not.
pub(super) struct Node<K, V> {
    uses: AtomicU8,
    limit: AtomicU8,
    label: Locked<Label>,
    pair: Slot<(K, V)>,
}

// SAFETY: readers on all threads share the pairs, and any writer may take and drop them; the rest is
// atomic or guarded by the shard's lock.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Node<K, V> {}

impl<K, V> Node<K, V> {
    fn new() -> Self {
        Self {
            uses: AtomicU8::new(0),
            limit: AtomicU8::new(0),
            label: Locked::new(Label {
                fingerprint: 0,
                links: Links::LOOSE,
            }),
            pair: Slot::empty(),
        }
    }

    /// Counts a use, as far as the policy lets reads count: no store once it is counted.
    #[inline(always)]
    pub(super) fn touch(&self) {
        // Relaxed: it steers the policy; nothing is published by it (S2).
        let uses = self.uses.load(Relaxed);
        // Relaxed: as above.
        if uses < self.limit.load(Relaxed) {
            // Relaxed: as above. A plain store: a count lost to another reader is no harm.
            self.uses.store(uses + 1, Relaxed);
        }
    }

    #[inline]
    pub(super) fn uses(&self) -> u8 {
        // Relaxed: it steers the policy (S2).
        self.uses.load(Relaxed)
    }

    #[inline]
    pub(super) fn set_uses(&self, uses: u8) {
        // Relaxed: it steers the policy (S2).
        self.uses.store(uses, Relaxed);
    }

    #[inline]
    pub(super) fn limit(&self) -> u8 {
        // Relaxed: stored under the lock that the policy holds (S2).
        self.limit.load(Relaxed)
    }

    #[inline]
    pub(super) fn set_limit(&self, limit: u8) {
        // Relaxed: reads may count by the old limit for a while (S2).
        self.limit.store(limit, Relaxed);
    }

    /// # Safety
    /// S1: the entry is filled, and stays so during the borrow.
    #[inline(always)]
    pub(super) unsafe fn pair(&self) -> &(K, V) {
        // SAFETY: S1; a filled pair is written by nobody (S1 of the module).
        unsafe { self.pair.get() }
    }
}

/// The entries of one shard.
pub(super) struct Slab<K, V> {
    nodes: Chunks<Node<K, V>>,
}

impl<K, V> Slab<K, V> {
    pub(super) fn new() -> Self {
        Self {
            nodes: Chunks::new(),
        }
    }

    /// Makes some more entries, if there can be any: their numbers.
    pub(super) fn grow(&self) -> Option<Range<u32>> {
        self.nodes.grow(Node::new)
    }

    /// How many entries the chunk has that `grow` would make.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) fn next_len(&self) -> usize {
        self.nodes.next().map_or(0, chunks::len_of)
    }

    /// Frees a chunk.
    ///
    /// # Safety
    /// S1: it is there, and all of its entries are empty. S2: nobody has the number of one, or ever
    /// looks at one that he had.
    #[cfg_attr(not(feature = "store"), allow(dead_code))] // for owners
    pub(super) unsafe fn free(&self, chunk: usize) {
        // SAFETY: S1 by S1 and S2; a node drops nothing of the pair that was in it.
        unsafe { self.nodes.free(chunk) };
    }

    /// # Safety
    /// S1: `entry` was read from a word of this shard's table, under a guard, or from what the
    /// holder of its lock keeps.
    #[inline(always)]
    pub(super) unsafe fn node(&self, entry: u32) -> &Node<K, V> {
        // SAFETY: S1: numbers that get about are below what `grow` said.
        unsafe { self.nodes.get(entry) }
    }

    /// Writes a pair and what belongs to it.
    ///
    /// # Safety
    /// S1: as in `node`. S2: the caller holds the shard's lock, and the entry is empty.
    pub(super) unsafe fn fill(&self, entry: u32, fingerprint: u32, pair: (K, V)) {
        // SAFETY: S1.
        let node = unsafe { self.node(entry) };
        let links = Links::LOOSE;
        // SAFETY: S2.
        unsafe { node.label.set(Label { fingerprint, links }) };
        // SAFETY: S1 by S2: nobody looks at an empty pair.
        unsafe { node.pair.fill(pair) };
    }

    /// Takes the pair out.
    ///
    /// # Safety
    /// S1: as in `node`. S2: the entry is filled, named by no word, and nobody looks at it.
    pub(super) unsafe fn empty(&self, entry: u32) -> (K, V) {
        // SAFETY: S1.
        let node = unsafe { self.node(entry) };
        // SAFETY: S1 by S2: filled, ours alone, and read no more after this.
        unsafe { node.pair.take() }
    }

    /// # Safety
    /// S1: as in `node`. S2: the caller holds the shard's lock.
    #[inline]
    pub(super) unsafe fn fingerprint(&self, entry: u32) -> u32 {
        // SAFETY: S1.
        let node = unsafe { self.node(entry) };
        // SAFETY: S2.
        unsafe { node.label.get() }.fingerprint
    }

    /// # Safety
    /// S1: as in `node`. S2: the caller holds the shard's lock.
    #[inline]
    pub(super) unsafe fn links(&self, entry: u32) -> Links {
        // SAFETY: S1.
        let node = unsafe { self.node(entry) };
        // SAFETY: S2.
        unsafe { node.label.get() }.links
    }

    /// # Safety
    /// S1: as in `node`. S2: the caller holds the shard's lock.
    #[inline]
    pub(super) unsafe fn set_links(&self, entry: u32, links: Links) {
        // SAFETY: S1.
        let node = unsafe { self.node(entry) };
        // SAFETY: S2.
        let fingerprint = unsafe { node.label.get() }.fingerprint;
        // SAFETY: S2.
        unsafe { node.label.set(Label { fingerprint, links }) };
    }
}
