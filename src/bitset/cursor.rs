//! Where each thread goes on looking for a free slot.
//!
//! # Shape
//! ```text
//! bench    [5 cursors][5 cursors] ..  x N    a thread has the cache lines of its number, and there one
//!             |                             cursor for each owner; a handle has one of its own
//!          [block | word]
//! block    |  part 0  |  part 1  | ..  N parts: each cursor goes round in one while that has room
//! ```
//! Owners side by side (size classes) share the cache lines of one thread, never those of two.
//!
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
use std::sync::Arc;
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

/// So many slots a cursor takes outside of its own part before it looks there again: enough that a
/// crowded block is swept evenly.
const VISITS: u64 = 1024;
/// One visit, beside the number of a leaf word.
const VISIT: u64 = 1 << 32;

/// A place to go on from. It publishes nothing, and any value will do.
pub(crate) struct Cursor {
    /// The first id of a block, or 0.
    block: AtomicU64,
    /// A leaf word; above it how many visits are left, and one more, if it is in a part that is
    /// another's. Two threads would else stay in one cache line once their parts had been full.
    place: AtomicU64,
    /// Which cursor it is.
    number: u32,
    /// How many there are: into so many parts a block is divided.
    parts: u32,
}

/// How many words at the beginning of a part are nobody's own: they lie in one cache line with the
/// end of the part before, and the first ones with the block's head.
fn margin(part: usize) -> usize {
    const LINE: usize = 8;
    if part > 2 * LINE { LINE } else { 0 }
}

impl Cursor {
    fn new(number: usize, parts: usize) -> Self {
        Self {
            block: AtomicU64::new(0),
            // Beyond any block: the first word is sought.
            place: AtomicU64::new(u64::MAX),
            number: number as u32,
            parts: parts as u32,
        }
    }

    #[inline]
    fn place(&self) -> u64 {
        // Relaxed: a hint, and any value will do.
        self.place.load(Relaxed)
    }

    /// The leaf word to go on from, unless it is time to look elsewhere.
    #[inline]
    fn visit(&self) -> Option<usize> {
        let place = self.place();
        match place / VISIT {
            0 => {}
            1 => return None,
            // Relaxed: a hint, and any value will do.
            _ => self.place.store(place - VISIT, Relaxed),
        }
        Some(place as u32 as usize)
    }

    #[inline]
    fn block(&self) -> u64 {
        // Relaxed: a hint, and any value will do.
        self.block.load(Relaxed)
    }

    fn set(&self, block: &Block, word: usize) {
        // Relaxed, both: hints, and any value will do.
        self.block.store(block.span().first_id.get(), Relaxed);
        self.place
            .store(word as u64 + self.visits(block, word), Relaxed);
    }

    /// How many visits a word gets: those that are left, if the last one was another's, too.
    fn visits(&self, block: &Block, word: usize) -> u64 {
        let part = block.parts().leaves().div_ceil(self.parts());
        let is_inside = word / part == self.number as usize && word % part >= margin(part);
        if self.number >= self.parts || is_inside {
            return 0;
        }
        match self.place() & !(VISIT - 1) {
            left if (2 * VISIT..=VISITS * VISIT).contains(&left) => left,
            _ => VISITS * VISIT,
        }
    }

    /// How many parts a block has.
    fn parts(&self) -> usize {
        self.parts as usize
    }

    /// The leaf word of `block` from which to search: the next one, but the beginning of the own
    /// part after some time elsewhere, and of the same part at its end, where nearly all words
    /// have room again.
    fn start(&self, block: &Block) -> usize {
        let (place, leaves) = (self.place(), block.parts().leaves());
        let (word, away) = (place as u32 as usize, place / VISIT);
        let home = self.home(leaves);
        if self.block() != block.span().first_id.get() || word >= leaves {
            return home;
        }
        let part = leaves.div_ceil(self.parts());
        let part_from = |begin: usize| begin..(begin + part).min(leaves);
        if away == 1 && block.is_open(part_from(home / part * part)) {
            return home;
        }
        let same = part_from(word / part * part);
        if word + 1 == same.end && block.is_open(same.clone()) {
            return same.start;
        }
        word + 1
    }

    /// Where to begin in a block of so many words: different cursors, different places.
    fn home(&self, leaves: usize) -> usize {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        if self.number < self.parts {
            let part = leaves.div_ceil(self.parts());
            return (self.number as usize * part + margin(part)) % leaves;
        }
        let spread = u64::from(self.number).wrapping_mul(GOLDEN) >> 32;
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
            let word = self.visit().filter(|&word| block.parts().has_leaf(word));
            if let Some(Taken::Slot(slot)) = word.map(|word| block.take_in(word, want)) {
                return Some(land(block, slot));
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

/// So many owners side by side: their cursors fill what `CachePadded` takes on x86-64.
const LANES: usize = 5;

/// The cursors of one thread, and perhaps of others.
type Lanes = CachePadded<[Cursor; LANES]>;

/// The cursors of one owner: of one block, or of all blocks of a class.
pub(crate) struct Cursors {
    bench: Arc<[Lanes]>,
    lane: usize,
}

impl Cursors {
    /// `cursors` of them, rounded up to a power of two; by default as many as the machine has
    /// processors, and at most 16.
    pub(crate) fn new(cursors: Option<usize>) -> Self {
        let processors = || available_parallelism().map_or(1, usize::from);
        let cursors = cursors.unwrap_or_else(|| processors().min(DEFAULT_CURSORS));
        let cursors = cursors.next_power_of_two();
        let cursor = |number| Cursor::new(number, cursors);
        let lanes = |number| CachePadded::new(core::array::from_fn(|_| cursor(number)));
        Self {
            bench: (0..cursors).map(lanes).collect(),
            lane: 0,
        }
    }

    /// As many for another owner: in the same cache lines, while there is room.
    ///
    /// Called once for each, or two owners go on from where the other was.
    pub(crate) fn beside(&self) -> Self {
        let lane = self.lane + 1;
        if lane == LANES {
            return Self::new(Some(self.bench.len()));
        }
        let bench = Arc::clone(&self.bench);
        Self { bench, lane }
    }

    /// The cursor of this thread, and perhaps of others.
    #[inline]
    pub(crate) fn mine(&self) -> &Cursor {
        &self.bench[thread_number() & (self.bench.len() - 1)][self.lane]
    }

    /// A cursor of the caller's own, the `nth`.
    pub(crate) fn own(&self, nth: usize) -> Cursor {
        Cursor::new(self.bench.len() + nth, self.bench.len())
    }

    /// How many bytes they have: all that are side by side, for the first of them.
    pub(crate) fn memory(&self) -> usize {
        match self.lane {
            // The counts of an `Arc` take as much as is aligned with them.
            0 => size_of_val(&*self.bench) + size_of::<Lanes>(),
            _ => 0,
        }
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursors({})", self.bench.len())
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("number", &self.number)
            .field("block", &self.block())
            .field("place", &self.place())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn owners_share_lines_and_no_cursor() {
        assert!(size_of::<[Cursor; LANES]>() <= 128);
        let mut owners = vec![Cursors::new(Some(2))];
        for _ in 1..2 * LANES + 1 {
            owners.push(owners[owners.len() - 1].beside());
        }
        let cursors: BTreeSet<_> = owners
            .iter()
            .map(|owner| core::ptr::from_ref(owner.mine()).addr())
            .collect();
        assert_eq!(cursors.len(), owners.len());
        let lines: BTreeSet<_> = cursors
            .iter()
            .map(|cursor| cursor / size_of::<Lanes>())
            .collect();
        assert_eq!(lines.len(), 3);
        let memory = owners.iter().map(Cursors::memory).sum::<usize>();
        assert_eq!(memory, 3 * (2 + 1) * size_of::<Lanes>());
    }
}
