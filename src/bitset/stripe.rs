//! One stripe: a leased word, and which of its slots are still to be had.
//!
//! # Shape
//! ```text
//! [ lock | block | word | avail ]      one cache line, one for some of the threads
//! ```
//!
//! # Invariants
//! * S1  The lock is tried, never waited for. Only its holder changes the other three.
//! * S2  A stripe that names a block holds the lease of the named word: so the block cannot be
//!   revoked, and lives.
//! * S3  `avail` holds slots that were available when it was computed, each until it is popped;
//!   what is popped is live or marked before the lock is let go. So it only holds free slots.
//!
//! # Edges
//! | edge | released by   | acquired by        | what crosses                         |
//! |------|---------------|--------------------|--------------------------------------|
//! | LOCK | `Held::drop`  | `Stripe::try_hold` | the three words, and what they imply |
//!
//! # Checked by
//! `loom-tests/bitset.rs` (S1, S3, LOCK).

// Looks at a block that a stripe names: S2 says that it lives.
#![allow(unsafe_code)]

use super::BITS;
use super::block::{Block, BlockRef};
use crate::id::SlotIndex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

/// Who leases which word, and which of its slots are left.
#[derive(Debug)]
pub(super) struct Stripe {
    lock: AtomicBool,
    block: AtomicU64,
    word: AtomicU64,
    avail: AtomicU64,
}

impl Stripe {
    pub(super) fn new() -> Self {
        Self {
            lock: AtomicBool::new(false),
            block: AtomicU64::new(0),
            word: AtomicU64::new(0),
            avail: AtomicU64::new(0),
        }
    }

    /// Whether there seemed to be a slot left, without the lock.
    #[inline]
    pub(super) fn has_some_hint(&self) -> bool {
        // Relaxed: a hint; it is read again under the lock.
        self.avail.load(Relaxed) != 0
    }

    /// Whether it seemed to name the block, without the lock.
    pub(super) fn names_hint(&self, block: &Block) -> bool {
        // Relaxed: a hint; it is read again under the lock.
        self.block.load(Relaxed) == block.as_ref().to_word()
    }

    /// The lock, if it is free.
    #[inline]
    pub(super) fn try_hold(&self) -> Option<Held<'_>> {
        // Acquire [LOCK]: what the last holder wrote, and all that it saw of free slots.
        let busy = self.lock.swap(true, Acquire);
        (!busy).then_some(Held(self))
    }
}

/// A stripe whose lock is ours; let go on drop.
pub(super) struct Held<'a>(&'a Stripe);

impl Held<'_> {
    /// The word that is leased.
    pub(super) fn leased(&self) -> Option<(&Block, usize)> {
        // Relaxed, both: under the lock.
        let block = BlockRef::from_word(self.0.block.load(Relaxed))?;
        let word = self.0.word.load(Relaxed) as usize;
        // SAFETY: S1 the stripe holds a lease of the block (S2), nobody but the lock's holder
        // gives it back, and a block whose leases are not all in one hand is not freed (the
        // contract of `BlockSource`).
        Some((unsafe { block.get() }, word))
    }

    /// Takes the next slot and has `land` make it live, or mark it, before anybody else may look.
    #[inline]
    pub(super) fn pop<R>(&self, land: &mut impl FnMut(&Block, SlotIndex) -> R) -> Option<R> {
        // Relaxed: under the lock.
        let avail = self.0.avail.load(Relaxed);
        if avail == 0 {
            return None;
        }
        let (block, word) = self.leased()?;
        // Relaxed: under the lock.
        self.0.avail.store(avail & (avail - 1), Relaxed);
        let slot = word as u32 * BITS + avail.trailing_zeros();
        Some(land(block, SlotIndex::new(slot)))
    }

    /// Looks again which slots of the leased word are free; whether there are any.
    pub(super) fn refresh(&self) -> bool {
        let avail = self
            .leased()
            .map_or(0, |(block, word)| block.available(word));
        // Relaxed: under the lock.
        self.0.avail.store(avail, Relaxed);
        avail != 0
    }

    /// Takes over another leased word, and gives back the one that it had.
    pub(super) fn replace(&self, block: BlockRef, word: usize, avail: u64) {
        self.give();
        // Relaxed, all: under the lock.
        self.0.block.store(block.to_word(), Relaxed);
        self.0.word.store(word as u64, Relaxed);
        self.0.avail.store(avail, Relaxed);
    }

    /// Gives back the lease.
    pub(super) fn give(&self) {
        if let Some((block, word)) = self.leased() {
            block.give(word);
        }
        self.forget();
    }

    /// Names nothing any more; the lease is the caller's now.
    pub(super) fn forget(&self) {
        // Relaxed, both: under the lock. The word stays, as the place to go on from.
        self.0.block.store(0, Relaxed);
        self.0.avail.store(0, Relaxed);
    }

    /// Where to look for the next word in `block`: after the last one, if it was of this block.
    pub(super) fn next_in(&self, block: &Block) -> Option<usize> {
        let (named, word) = self.leased()?;
        core::ptr::eq(named, block).then_some(word + 1)
    }

    /// Whether it names this word of this block.
    pub(super) fn names(&self, block: &Block, word: usize) -> bool {
        self.leased()
            .is_some_and(|(named, at)| core::ptr::eq(named, block) && at == word)
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release [LOCK]: the next holder sees the three words, and what was made taken.
        self.0.lock.store(false, Release);
    }
}
