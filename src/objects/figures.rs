//! What a store counts.
//!
//! # Progress
//! All of it is wait-free.
//!
//! # Checked by
//! `tests/objects.rs`.

use super::object::OVERHEAD;
use super::stats::ObjectStats;
use crate::cache::Cause;
use crate::sync::gauge::Gauge;
use crate::sync::stripes::Stripes;

/// A bucket for each power of two that a length may have.
pub(super) const BUCKETS: usize = 65;

const HITS: usize = 0;
const MISSES: usize = 1;

/// The figures of one store.
#[derive(Debug)]
pub(super) struct Figures {
    reads: Stripes<2>,
    puts: Gauge,
    objects: Gauge,
    bytes: Gauge,
    sizes: [Gauge; BUCKETS],
    /// How many left, and their bytes, for want of room; and by a caller.
    evicted: [Gauge; 2],
    removed: [Gauge; 2],
    pinned: Gauge,
    pending: Gauge,
    reserved: Gauge,
}

/// Which bucket a length is counted in: how many bits it has.
pub(super) fn bucket(len: usize) -> usize {
    (usize::BITS - len.leading_zeros()) as usize
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            reads: Stripes::new(),
            puts: Gauge::default(),
            objects: Gauge::default(),
            bytes: Gauge::default(),
            sizes: [const { Gauge::new() }; BUCKETS],
            evicted: Default::default(),
            removed: Default::default(),
            pinned: Gauge::default(),
            pending: Gauge::default(),
            reserved: Gauge::default(),
        }
    }

    #[inline]
    pub(super) fn hit(&self) {
        self.reads.add(HITS, 1);
    }

    pub(super) fn miss(&self) {
        self.reads.add(MISSES, 1);
    }

    /// One who waited was told what an object came to.
    pub(super) fn was_told(&self, has_bytes: bool) {
        self.reads.add(if has_bytes { HITS } else { MISSES }, 1);
    }

    /// An object has its bytes.
    pub(super) fn comes(&self, len: usize) {
        self.puts.add(1);
        self.objects.add(1);
        self.bytes.add(len as u64);
        self.sizes[bucket(len)].add(1);
    }

    /// An object with bytes is out of sight.
    pub(super) fn leaves(&self, len: usize, cause: Cause) {
        self.objects.add(u64::MAX);
        self.bytes.add((len as u64).wrapping_neg());
        self.sizes[bucket(len)].add(u64::MAX);
        let [count, bytes] = match cause {
            Cause::Size => &self.evicted,
            _ => &self.removed,
        };
        count.add(1);
        bytes.add(len as u64);
    }
}

/// What steers, and informs of, the room.
impl Figures {
    /// One more, or, by all ones, one less is pending.
    pub(super) fn pending(&self, change: u64) {
        self.pending.add(change);
    }

    /// A builder has so much more, or, by its complement, so much less.
    pub(super) fn reserved(&self, change: u64) {
        self.reserved.add(change);
    }

    pub(super) fn pinned(&self, weight: u64) {
        self.pinned.add(weight);
    }

    pub(super) fn unpinned(&self, weight: u64) {
        self.pinned.add(weight.wrapping_neg());
    }

    pub(super) fn pinned_bytes(&self) -> u64 {
        self.pinned.get()
    }

    /// What builders have, beside the entries of what they build.
    pub(super) fn reserved_bytes(&self) -> u64 {
        self.reserved.get()
    }

    pub(super) fn pending_bytes(&self) -> u64 {
        self.reserved.get() + OVERHEAD * self.pending.get()
    }
}

impl Figures {
    /// All of it, beside what the room knows.
    pub(super) fn stats(&self) -> ObjectStats {
        let (hits, misses) = (self.reads.sum(HITS), self.reads.sum(MISSES));
        ObjectStats {
            objects: self.objects.get(),
            bytes: self.bytes.get(),
            pinned_bytes: self.pinned_bytes(),
            pending: self.pending.get(),
            pending_bytes: self.pending_bytes(),
            hits,
            misses,
            puts: self.puts.get(),
            gets: hits + misses,
            evicted: self.evicted[0].get(),
            evicted_bytes: self.evicted[1].get(),
            removed: self.removed[0].get(),
            removed_bytes: self.removed[1].get(),
            sizes: core::array::from_fn(|at| self.sizes[at].get()),
            ..ObjectStats::default()
        }
    }
}
