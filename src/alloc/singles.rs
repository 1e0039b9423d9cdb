//! Which large object begins at an offset: what `free(extent)` goes by.
//!
//! # Shape
//! ```text
//! places  [ address of a block | distance ] ..   8 bytes: the distance in the address's low bits
//! ```
//! A block tells its own offset, so the table keeps none. The distance from home keeps the table
//! from asking blocks that are not meant: each of them would be a miss in the cache.
//!
//! # Invariants
//! * U1  A block in the table is not freed: whoever inserts it sees to it.
//!
//! # Progress
//! As `Places`; a table that grows or shrinks reads every block.
//!
//! # Checked by
//! The unit test below, and those of `places.rs`; `proptests/basic.rs`.
#![allow(unsafe_code)] // an address has no lifetime: U1 is its lifetime

use core::num::NonZeroU64;

use super::directory::whole;
use super::places::{Entry, Places, hash};
use crate::bitset::BlockRef;
use crate::id::{Extent, FileOffset};
use crate::sync::atomic::AtomicU64;

/// The bits of an address that are 0: a block has words in it, and is aligned as they are.
const LOW: u64 = align_of::<AtomicU64>() as u64 - 1;

/// A block in the table. All of `LOW` set: its distance is not kept.
#[derive(Clone, Copy)]
struct Single(NonZeroU64);

impl Single {
    fn new(block: BlockRef) -> Self {
        let word = NonZeroU64::new(block.to_word() | LOW);
        Self(word.expect("the word of a block is never 0"))
    }

    fn block(self) -> BlockRef {
        let block = BlockRef::from_word(self.0.get() & !LOW);
        block.expect("the word of a block is never 0")
    }

    fn extent(self) -> Extent {
        // SAFETY: S1 alive, by U1: nobody has a `Single` but the table.
        whole(unsafe { self.block().get() })
    }
}

impl Entry for Single {
    fn hash(self) -> u32 {
        hash(self.extent().offset.get())
    }

    fn at(self, distance: usize) -> Self {
        let word = self.block().to_word() | (distance as u64).min(LOW);
        Self(NonZeroU64::new(word).unwrap_or(self.0))
    }

    #[inline]
    fn distance(self) -> Option<usize> {
        let kept = self.0.get() & LOW;
        (kept != LOW).then_some(kept as usize)
    }
}

/// The large objects that are no runs, by their offsets.
pub(super) struct Singles(Places<Single>);

impl Singles {
    pub(super) fn new() -> Self {
        Self(Places::new())
    }

    /// Enters a block whose offset no other block in the table has.
    ///
    /// # Safety
    /// S1: the block is not freed before it is removed here, or the table dropped (U1).
    pub(super) unsafe fn insert(&mut self, block: BlockRef) {
        self.0.insert(Single::new(block));
    }

    /// Says that `offset` will be looked for, or entered, soon.
    #[inline]
    pub(super) fn prefetch(&self, offset: FileOffset) {
        self.0.prefetch(hash(offset.get()));
    }

    /// The large object that begins at an offset, and its bytes.
    pub(super) fn find(&self, offset: FileOffset) -> Option<(BlockRef, Extent)> {
        let is_it = |single: Single| single.extent().offset == offset;
        let found = self.0.find(hash(offset.get()), is_it)?;
        Some((found.entry.block(), found.entry.extent()))
    }

    /// Forgets a block.
    pub(super) fn remove(&mut self, block: BlockRef) {
        let hash = Single::new(block).hash();
        let found = self.0.find(hash, |single| single.block() == block);
        self.0
            .remove(found.expect("a block is entered before it is removed"));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::alloc::directory::NO_CLASS;
    use crate::bitset::{Block, BlockBox, Span};
    use crate::id::{ByteLen, ObjectId, SlotIndex};

    fn block(offset: u64) -> BlockBox {
        Block::new(Span {
            first_id: ObjectId::MIN,
            first_offset: FileOffset::new(offset),
            slot_size: ByteLen::new(offset + 1),
            last: SlotIndex::ZERO,
            class: NO_CLASS,
        })
    }

    #[test]
    fn blocks_are_found_by_their_offsets_until_they_are_removed() {
        let mut singles = Singles::new();
        let blocks: Vec<BlockRef> = (0..5000).map(|n| block(n * 64).leak()).collect();
        let offset = |n: usize| FileOffset::new(n as u64 * 64);
        for &block in &blocks {
            // SAFETY: S1 freed at the end.
            unsafe { singles.insert(block) };
        }
        for odd in blocks.iter().skip(1).step_by(2) {
            singles.remove(*odd);
        }
        for (n, &block) in blocks.iter().enumerate() {
            let found = singles.find(offset(n));
            assert_eq!(found.map(|(block, _)| block), (n % 2 == 0).then_some(block));
            let len = ByteLen::new(n as u64 * 64 + 1);
            assert!(found.is_none_or(|(_, extent)| extent == Extent::new(offset(n), len)));
        }
        drop(singles);
        for block in blocks {
            // SAFETY: S1 leaked once above, and the table is gone.
            unsafe { block.free() };
        }
    }
}
