//! The blocks of one owner, linked through their heads: eight bytes a block.
//!
//! # Shape
//! ```text
//! head ─> newest block ─> .. ─> oldest
//! ```
//!
//! # Invariants
//! * T1  Only the holder of the owner's lock changes links.
//! * T2  A removed block keeps its link, and leads to blocks that were removed no earlier than it:
//!   whoever is inside finds the way on, under a guard from before.
//!
//! # Edges
//! | edge | released by                           | acquired by      | what crosses           |
//! |------|---------------------------------------|------------------|------------------------|
//! | LIST | `BlockList::push`, `BlockList::remove` | `BlockList::iter` | the block and its link |
//!
//! # Progress
//! `iter` is wait-free for as many steps as there are blocks.
//!
//! # Checked by
//! `loom-tests/bitset_list.rs` (LIST, T2), `loom-tests/omni.rs` (LIST, T2); `tests/stress_omni.rs`.
#![allow(unsafe_code)] // links are addresses of blocks; T2 and the owner's epochs keep them alive

use core::fmt;

use super::block::{Block, BlockRef};
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::epoch::Guard;

/// Blocks in a row, the newest first.
pub(crate) struct BlockList {
    head: AtomicU64,
}

impl BlockList {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicU64::new(0),
        }
    }

    /// Puts a block in front. Under the owner's lock.
    ///
    /// # Safety
    /// S1  The block lives until it was removed from here and every guard from before is gone,
    ///     or until the list is not used any more.
    /// S2  It is in no list, and was in none before.
    pub(crate) unsafe fn push(&self, block: BlockRef) {
        // SAFETY: S1 the caller's.
        let pushed = unsafe { block.get() };
        // Relaxed: under the lock; what it leads to was published before.
        let first = self.head.load(Relaxed);
        // Relaxed: published by the store below.
        pushed.link().store(first, Relaxed);
        // Release [LIST]: the block and its link come before the way to it.
        self.head.store(block.to_word(), Release);
    }

    /// Takes a block out. Under the owner's lock. It may still be met by who is inside.
    pub(crate) fn remove(&self, block: &Block) {
        let mut link = &self.head;
        loop {
            // Relaxed: under the lock.
            let seen = link.load(Relaxed);
            let met = follow(seen).expect("a block is removed once");
            if core::ptr::eq(met, block) {
                // Relaxed: under the lock.
                let next = block.link().load(Relaxed);
                // Release [LIST]: the blocks that are next now, which others may have pushed after
                // we pinned, and the links that we changed come before this way to them.
                link.store(next, Release);
                return;
            }
            link = met.link();
        }
    }

    /// The blocks behind `after`, or all. What is pushed meanwhile may be missed.
    pub(crate) fn iter<'g>(
        &'g self,
        after: Option<&'g Block>,
        _guard: &'g Guard,
    ) -> impl Iterator<Item = &'g Block> {
        let mut link = after.map_or(&self.head, Block::link);
        core::iter::from_fn(move || {
            // Acquire [LIST]: see the block before it is looked at.
            let block = follow(link.load(Acquire))?;
            link = block.link();
            Some(block)
        })
    }
}

/// The block that a link leads to.
fn follow<'a>(word: u64) -> Option<&'a Block> {
    // SAFETY: S1 of `push`: under the lock the block is in the list; else it was when the
    // guard was taken, or later (T2).
    BlockRef::from_word(word).map(|block| unsafe { block.get() })
}

/// The list by itself, for its models: one thread owns it, others walk.
#[cfg(all(loom, feature = "loom"))]
#[derive(Debug)]
pub struct Row {
    list: BlockList,
    domain: crate::sync::epoch::Domain,
}

#[cfg(all(loom, feature = "loom"))]
// Hidden, and the models' alone: nobody reads its docs or asks for a default.
#[allow(missing_docs, clippy::missing_panics_doc, clippy::new_without_default)]
impl Row {
    pub fn new() -> Self {
        let (list, domain) = (BlockList::new(), crate::sync::epoch::Domain::new());
        Self { list, domain }
    }

    /// Puts a block of one slot in front. It is never freed: executions are short.
    pub fn push(&self, id: crate::id::ObjectId) {
        let block = Block::new(super::Span {
            first_id: id,
            first_offset: crate::id::FileOffset::ZERO,
            slot_size: crate::id::ByteLen::new(8),
            last: crate::id::SlotIndex::ZERO,
            class: 0,
        });
        // SAFETY: S1 it is never freed; S2 it is new.
        unsafe { self.list.push(block.leak()) };
    }

    pub fn pin(&self) -> Guard {
        self.domain.pin()
    }

    pub fn remove(&self, id: crate::id::ObjectId, guard: &Guard) {
        let mut blocks = self.list.iter(None, guard);
        let block = blocks.find(|block| block.id(crate::id::SlotIndex::ZERO) == id);
        self.list.remove(block.expect("it was pushed"));
    }

    /// Looks at every block; how many there were.
    pub fn walk(&self) -> usize {
        self.list.iter(None, &self.pin()).count()
    }
}

impl fmt::Debug for BlockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockList").finish_non_exhaustive()
    }
}
