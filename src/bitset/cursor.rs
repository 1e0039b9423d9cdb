//! Where each thread goes on looking for a free slot.
//!
//! # Shape
//! ```text
//! cursors  [block | word]  x N     a thread uses the one of its number; a handle has one of its own
//! block    |  part 0  |  part 1  | ..  N parts: each cursor goes round in one while that has room
//! ```
//! A cursor is a hint and gives no right to anything: nothing is held by it, so nothing is stranded
//! by a thread that exits, panics or sleeps. It keeps threads out of each other's cache lines: each
//! takes slots one word after the other, and comes round in its part of the block while nearly
//! every word there has a free slot; then it goes on to the next.
//!
//! # Progress
//! `take` is lock-free: the search goes over each word once, and is repeated a few times at most.
//!
//! # Checked by
//! `loom-tests/bitset.rs`; `tests/stress_block.rs`; `proptests/block.rs`.

use core::fmt;
use std::thread::available_parallelism;

use crossbeam_utils::CachePadded;

use super::block::Block;
use super::slots::{Taken, Want};
use crate::id::SlotIndex;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::local::thread_number;

/// So often a search is made anew if it met calls in progress.
const ROUNDS: usize = if SMALL { 1 } else { 3 };

/// The most cursors that are made without being asked for.
const DEFAULT_CURSORS: usize = 16;

/// The blocks that slots may be taken from.
pub(crate) trait BlockSource {
    /// The block with this first id, if there still is one.
    fn named(&self, first_id: u64) -> Option<&Block>;

    /// Shows blocks to `look` until it says that it has what it wanted; whether it did.
    fn find(&self, look: &mut dyn FnMut(&Block) -> bool) -> bool;
}

/// A place to go on from. It publishes nothing, and any value will do.
pub(crate) struct Cursor {
    /// The first id of a block, or 0.
    block: AtomicU64,
    word: AtomicU64,
    /// Which cursor it is.
    number: usize,
    /// How many there are: into so many parts a block is divided.
    parts: usize,
}

impl Cursor {
    fn new(number: usize, parts: usize) -> Self {
        Self {
            block: AtomicU64::new(0),
            // Beyond any block: the first word is sought.
            word: AtomicU64::new(u64::MAX),
            number,
            parts,
        }
    }

    #[inline]
    fn word(&self) -> usize {
        // Relaxed: a hint, and any value will do.
        self.word.load(Relaxed) as usize
    }

    #[inline]
    fn block(&self) -> u64 {
        // Relaxed: a hint, and any value will do.
        self.block.load(Relaxed)
    }

    fn set(&self, block: &Block, word: usize) {
        // Relaxed, both: hints, and any value will do.
        self.block.store(block.span().first_id.get(), Relaxed);
        self.word.store(word as u64, Relaxed);
    }

    /// The leaf word of `block` from which to search.
    fn start(&self, block: &Block) -> usize {
        let (word, leaves) = (self.word(), block.parts().leaves());
        if self.block() != block.span().first_id.get() || word >= leaves {
            return self.home(leaves);
        }
        let part = leaves.div_ceil(self.parts);
        let begin = word / part * part;
        let end = (begin + part).min(leaves);
        if word + 1 == end && block.is_open(begin..end) {
            return begin;
        }
        word + 1
    }

    /// Where to begin in a block of so many words: different cursors, different places.
    fn home(&self, leaves: usize) -> usize {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        if self.number < self.parts {
            return self.number * leaves.div_ceil(self.parts) % leaves;
        }
        let spread = (self.number as u64).wrapping_mul(GOLDEN) >> 32;
        ((spread * leaves as u64) >> 32) as usize
    }

    /// Takes a free slot, and hands it to `land`.
    ///
    /// `None` only after each slot of the blocks was, at some moment of the call, live, marked, or
    /// in a word of which a call in progress had the lease.
    #[inline]
    pub(crate) fn take<R>(
        &self,
        source: &impl BlockSource,
        want: Want,
        mut land: impl FnMut(&Block, SlotIndex) -> R,
    ) -> Option<R> {
        if let Some(block) = source.named(self.block()) {
            let word = self.word();
            if word < block.parts().leaves() {
                if let Taken::Slot(slot) = block.take_in(word, want) {
                    return Some(land(block, slot));
                }
            }
        }
        self.search(source, want, &mut land)
    }

    #[cold]
    #[inline(never)]
    fn search<R>(
        &self,
        source: &impl BlockSource,
        want: Want,
        land: &mut impl FnMut(&Block, SlotIndex) -> R,
    ) -> Option<R> {
        for _ in 0..ROUNDS {
            let (mut landed, mut busy) = (None, false);
            source.find(&mut |block| {
                if block.looks_full() {
                    return false;
                }
                let found = block.search(self.start(block), want, &mut busy);
                landed = found.map(|(slot, word)| {
                    self.set(block, word);
                    land(block, slot)
                });
                landed.is_some()
            });
            if landed.is_some() || !busy {
                return landed;
            }
        }
        None
    }
}

/// The cursors of one or more blocks.
pub(crate) struct Cursors {
    shared: Box<[CachePadded<Cursor>]>,
    locals: AtomicU64,
}

impl Cursors {
    /// `cursors` of them, rounded up to a power of two; by default as many as the machine has
    /// processors, and at most 16.
    pub(crate) fn new(cursors: Option<usize>) -> Self {
        let processors = || available_parallelism().map_or(1, usize::from);
        let cursors = cursors.unwrap_or_else(|| processors().min(DEFAULT_CURSORS));
        let cursors = cursors.next_power_of_two();
        let cursor = |number| CachePadded::new(Cursor::new(number, cursors));
        Self {
            shared: (0..cursors).map(cursor).collect(),
            locals: AtomicU64::new(0),
        }
    }

    /// The cursor of this thread, and perhaps of others.
    #[inline]
    pub(crate) fn mine(&self) -> &Cursor {
        &self.shared[thread_number() & (self.shared.len() - 1)]
    }

    /// A cursor of the caller's own.
    pub(crate) fn local(&self) -> Cursor {
        // Relaxed: only that the numbers differ is wanted.
        let local = self.locals.fetch_add(1, Relaxed) as usize;
        Cursor::new(self.shared.len() + local, self.shared.len())
    }

    /// How many bytes they have.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.shared)
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursors({})", self.shared.len())
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("number", &self.number)
            .field("block", &self.block())
            .field("word", &self.word())
            .finish()
    }
}
