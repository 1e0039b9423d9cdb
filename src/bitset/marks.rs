//! The slots that are neither free nor live: reserved, hidden or retired ones. Memory for those
//! in flight only.
//!
//! # Shape
//! ```text
//! chains ──> [head][head]..                one head for 16 leaf words; made at the first mark
//!              |
//!              v
//!            [cell x 7 | next] ──> [cell x 7 | next]      grows at its end, freed with the block
//! cell: { kind | slot / cover | marks }                   no marks: anybody may take it
//! ```
//! Words in a row have chains of their own, and one chain has every 16th or 32nd word of a block: slots that
//! are reserved in a row, as batches do, need few cells of each chain, and the next batch, elsewhere in
//! the block, takes the same.
//!
//! # Invariants
//! * M1  A mark stays in the cell in which it was set; it changes in place. So a scan of the chain
//!   cannot miss a mark that is there from its beginning to its end.
//! * M2  Only the call that set a `Hiding` mark changes it; exactly one of those that race for
//!   the same slot clears its live bit and makes its mark `Hidden` or `Retired`, the others take
//!   theirs back. So a slot has at most one mark that is `Hidden` or `Retired`.
//! * M3  A slot may have marks of one key in two cells (two calls found none and each took a
//!   cell): a word's mask is the union over the chain.
//!
//! # Edges
//! | edge   | released by               | acquired by                        | what crosses                         |
//! |--------|---------------------------|------------------------------------|--------------------------------------|
//! | FREE   | `Marks::clear`            | `Marks::word`                      | the last looks and writes of before  |
//! | SHOWN  | `Marks::clear` (publish)  | `Marks::word`, `Marks::find`        | the live bit that replaces the mark  |
//! | HIDE   | `Marks::settle`           | `Marks::retire`                    | the live bit's fall                  |
//!
//! # Progress
//! `word` and `find` are wait-free: bounded by the chain, which is as long as it ever needed to be.
//! The others are lock-free: their compare-exchange fails only where another one succeeded.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (M1 to M3, FREE, SHOWN), `loom-tests/block_epoch.rs` (HIDE); `proptests/block.rs`.

use core::fmt;

use super::cell::{Cell, Mark};
use super::chain::{Link, Linked};
use super::parts::Place;
use crate::sync::SMALL;
use crate::sync::atomic::{AtomicU64, Ordering::*};
use crate::sync::cell::Canary;

/// So many cells make a chunk of a cache line.
const CELLS: usize = if SMALL { 1 } else { 7 };
/// So many leaf words, or up to twice as many, share a chain.
const SHARE: usize = if SMALL { 2 } else { 16 };

/// The sparse masks of one block.
#[derive(Debug)]
pub(crate) struct Marks(Link<Chains>);

/// A power of two of chains.
struct Chains {
    heads: Box<[Link<Chunk>]>,
    born: Canary,
}

#[repr(align(64))]
struct Chunk {
    cells: [AtomicU64; CELLS],
    next: Link<Chunk>,
    born: Canary,
}

impl Chunk {
    fn new(first: Cell) -> Self {
        let value = |i| if i == 0 { first } else { Cell::FREE };
        Self {
            cells: core::array::from_fn(|i| AtomicU64::new(value(i).0)),
            next: Link::new(),
            born: Canary::new(),
        }
    }
}

impl Linked for Chunk {
    fn next(&self) -> &Link<Self> {
        self.born.touch();
        &self.next
    }

    fn next_mut(&mut self) -> &mut Link<Self> {
        &mut self.next
    }
}

/// The chain of a leaf word.
fn chain_of(heads: &[Link<Chunk>], word: usize) -> &Link<Chunk> {
    &heads[word & (heads.len() - 1)]
}

/// The very cell that holds a mark.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a>(&'a AtomicU64);

impl Marks {
    pub(super) fn new() -> Self {
        Self(Link::new())
    }

    fn heads(&self) -> Option<&[Link<Chunk>]> {
        let chains = self.0.get()?;
        chains.born.touch();
        Some(&chains.heads)
    }

    /// The heads, made for `words` leaf words if this is the first mark of all.
    fn heads_or_make(&self, words: usize) -> &[Link<Chunk>] {
        loop {
            if let Some(heads) = self.heads() {
                return heads;
            }
            // Whoever loses the race frees its own, and finds the other's in the next round.
            let chains = 1 << words.div_ceil(SHARE).ilog2();
            let heads = (0..chains).map(|_| Link::new()).collect();
            let born = Canary::new();
            drop(self.0.set(Box::new(Chains { heads, born })));
        }
    }

    /// The cells that may hold marks of leaf word `word`.
    fn cells(&self, word: usize) -> impl Iterator<Item = &AtomicU64> {
        let head = self.heads().map(|heads| chain_of(heads, word));
        head.into_iter()
            .flat_map(Link::iter)
            .flat_map(|chunk| &chunk.cells)
    }

    fn all_cells(&self) -> impl Iterator<Item = Cell> {
        let heads = self.heads().unwrap_or_default();
        let chunks = heads.iter().flat_map(Link::iter);
        // Relaxed: counted, and nothing is published by a count.
        chunks
            .flat_map(|chunk| &chunk.cells)
            .map(|cell| Cell(cell.load(Relaxed)))
    }

    /// The slots of leaf word `word` that have any mark.
    #[inline]
    pub(super) fn word(&self, word: usize) -> u64 {
        let cells = self.cells(word);
        // Acquire [FREE] [SHOWN]: a mark that is gone is gone for good: see the looks and writes
        // that came before its end, and the live bit that was set before it.
        cells.fold(0, |mask, cell| mask | Cell(cell.load(Acquire)).taken(word))
    }

    /// The mark of `slot`, and where it is. `Hiding` only if it has no other.
    pub(super) fn find(&self, place: Place) -> Option<Mark> {
        let mut found = None;
        for cell in self.cells(place.word()) {
            // Acquire [SHOWN]: if the mark of a published slot is gone, its live bit is there.
            match Cell(cell.load(Acquire)).mark(place.number()) {
                None => {}
                Some(Mark::Hiding) => found = found.or(Some(Mark::Hiding)),
                mark => return mark,
            }
        }
        found
    }

    /// Sets `mark` (reserved or hiding) for `slot` in a block of `words` leaf words.
    ///
    /// A mark of the same kind that `slot` already has is handed back instead.
    pub(super) fn set(&self, place: Place, mark: Mark, words: usize) -> Result<Spot<'_>, Mark> {
        let head = chain_of(self.heads_or_make(words), place.word());
        loop {
            let Some((cell, seen)) = Self::room(head, place, mark)? else {
                let chunk = head.append(Box::new(Chunk::new(Cell::of(place.number(), mark))));
                return Ok(Spot(&chunk.cells[0]));
            };
            // Relaxed, both: whoever finds the slot neither live nor marked has read the fall of
            // its live bit [LIVE] or the lease [LEASE], and either comes after this.
            let next = seen.with(place.number(), mark);
            if cell
                .compare_exchange(seen.0, next.0, Relaxed, Relaxed)
                .is_ok()
            {
                return Ok(Spot(cell));
            }
        }
    }

    /// A cell that takes `mark` for `slot`: one with its key, or else a free one.
    fn room(
        head: &Link<Chunk>,
        place: Place,
        mark: Mark,
    ) -> Result<Option<(&AtomicU64, Cell)>, Mark> {
        let mut free = None;
        let mut same = None;
        for cell in head.iter().flat_map(|chunk| &chunk.cells) {
            // Relaxed: a proposal; the exchange decides.
            let seen = Cell(cell.load(Relaxed));
            if seen.takes(place.number(), mark) {
                if let Some(there) = seen.mark(place.number()) {
                    return Err(there);
                }
                same = same.or(Some((cell, seen)));
            } else if seen.is_free() {
                free = free.or(Some((cell, Cell::FREE)));
            }
        }
        Ok(same.or(free))
    }

    /// Turns our own `Hiding` mark into `mark`: the live bit is gone, and by us.
    pub(super) fn settle(spot: Spot<'_>, place: Place, mark: Mark) {
        // Relaxed: a proposal; the exchange decides.
        let mut seen = Cell(spot.0.load(Relaxed));
        loop {
            debug_assert_eq!(seen.mark(place.number()), Some(Mark::Hiding), "M2");
            let next = seen.without(place.number(), Mark::Hiding);
            let next = if next.is_free() {
                Cell::of(place.number(), mark)
            } else {
                next.with(place.number(), mark)
            };
            // Release [HIDE]: the live bit fell before this. Relaxed on failure: a new guess.
            match spot.0.compare_exchange(seen.0, next.0, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = Cell(now),
            }
        }
    }

    /// Takes back a mark from the very cell in which it was set.
    pub(super) fn clear_at(spot: Spot<'_>, place: Place, mark: Mark) -> bool {
        // Relaxed: a proposal; the exchange decides.
        let mut seen = Cell(spot.0.load(Relaxed));
        while seen.mark(place.number()) == Some(mark) {
            let next = seen.without(place.number(), mark);
            // Release [FREE] [SHOWN]: our looks and writes, and the live bit if we set it, come
            // before the mark's end. Relaxed on failure: a new guess.
            match spot.0.compare_exchange(seen.0, next.0, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = Cell(now),
            }
        }
        false
    }

    /// Takes `mark` from `slot`; whether it had it.
    pub(super) fn clear(&self, place: Place, mark: Mark) -> bool {
        let mut cells = self.cells(place.word());
        cells.any(|cell| Self::clear_at(Spot(cell), place, mark))
    }

    /// Turns `Hidden` into `Retired`; whether `slot` was hidden. Of several calls one succeeds.
    pub(super) fn retire(&self, place: Place) -> bool {
        let mut cells = self.cells(place.word());
        cells.any(|cell| Self::retire_at(cell, place))
    }

    fn retire_at(cell: &AtomicU64, place: Place) -> bool {
        // Relaxed: a proposal; the exchange decides.
        let mut seen = Cell(cell.load(Relaxed));
        while seen.mark(place.number()) == Some(Mark::Hidden) {
            let next = seen.with(place.number(), Mark::Retired);
            // Acquire [HIDE]: the live bit fell before what follows, the sealing of a batch
            // above all. Relaxed on failure: a new guess.
            match cell.compare_exchange(seen.0, next.0, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = Cell(now),
            }
        }
        false
    }

    /// How many slots are hidden or retired.
    pub(super) fn hidden(&self) -> u64 {
        self.all_cells().map(Cell::hidden).sum()
    }
}

impl Drop for Chains {
    fn drop(&mut self) {
        self.heads.iter_mut().for_each(Link::clear);
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.cells).finish()
    }
}
