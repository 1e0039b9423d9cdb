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
//! Neighbouring words have different chains: slots that are reserved in a row, as batches do, need few
//! cells of each chain, and the next batch, elsewhere in the block, takes the same.
//!
//! A block of one slot has one cell, in the very word that leads to chains elsewhere: so a large object
//! has no memory for its marks.
//!
//! # Invariants
//! * M1  A mark stays in the cell in which it was set; it changes in place. So a scan of the chain
//!   cannot miss a mark that is there from its beginning to its end.
//! * M2  Only the call that set a `Hiding` mark changes it; exactly one of those that race for
//!   the same slot clears its live bit and makes its mark `Hidden` or `Retired`, the others take
//!   theirs back. So a slot has at most one mark that is `Hidden` or `Retired`.
//! * M3  A slot may have marks of one key in two cells (two calls found none and each took a
//!   cell): a word's mask is the union over the chain. Or it may have marks of both kinds, and they
//!   may be in one cell, where the block has but that.
//!
//! # Edges
//! | edge   | released by                    | acquired by                   | what crosses                         |
//! |--------|--------------------------------|-------------------------------|--------------------------------------|
//! | FREE   | `Marks::clear`, `end_reserved` | `Marks::word`                 | the last looks and writes of before  |
//! | SHOWN  | both (publish)                 | `Marks::word`, `Marks::find`  | the live bit that replaces the mark  |
//! | HIDE   | `Marks::settle`                | `Marks::retire`               | the live bit's fall                  |
//!
//! # Progress
//! `word` and `find` are wait-free: bounded by the chain, which is as long as it ever needed to be.
//! The others are lock-free: their compare-exchange fails only where another one succeeded.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (M1 to M3, FREE, SHOWN), `loom-tests/bitset_many.rs` (FREE, SHOWN),
//! `loom-tests/block_epoch.rs` (HIDE); `proptests/block.rs`.

use core::fmt;

use super::cell::{Cell, Mark};
use super::chain::{Link, Linked, Word};
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

/// The cells of a chain, or the only one.
struct Cells<'a> {
    now: core::slice::Iter<'a, AtomicU64>,
    then: Option<&'a Link<Chunk>>,
}

impl<'a> Cells<'a> {
    fn only(cell: &'a AtomicU64) -> Self {
        let now = core::slice::from_ref(cell).iter();
        Self { now, then: None }
    }

    fn of(then: Option<&'a Link<Chunk>>) -> Self {
        let now = [].iter();
        Self { now, then }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = &'a AtomicU64;

    #[inline]
    fn next(&mut self) -> Option<&'a AtomicU64> {
        loop {
            if let Some(cell) = self.now.next() {
                return Some(cell);
            }
            let chunk = self.then.take()?.get()?;
            (self.now, self.then) = (chunk.cells.iter(), Some(chunk.next()));
        }
    }
}

impl Chains {
    fn heads(&self) -> &[Link<Chunk>] {
        self.born.touch();
        &self.heads
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
    /// Of a block with this last slot.
    pub(super) fn new(last: u32) -> Self {
        Self(match last {
            0 => Link::own(Cell::ONLY.0),
            _ => Link::new(),
        })
    }

    /// The heads, made for `words` leaf words if this is the first mark of all.
    fn heads_or_make(&self, words: usize) -> &[Link<Chunk>] {
        loop {
            if let Some(chains) = self.0.get() {
                return chains.heads();
            }
            // Whoever loses the race frees its own, and finds the other's in the next round.
            let chains = 1 << words.div_ceil(SHARE).ilog2();
            let heads = (0..chains).map(|_| Link::new()).collect();
            let born = Canary::new();
            drop(self.0.set(Box::new(Chains { heads, born })));
        }
    }

    /// The cells that may hold marks of leaf word `word`.
    #[inline]
    fn cells(&self, word: usize) -> Cells<'_> {
        match self.0.look() {
            Word::Leads(chains) => Cells::of(Some(chain_of(chains.heads(), word))),
            Word::Own(cell) => Cells::only(cell),
            Word::Unset => Cells::of(None),
        }
    }

    /// The cells of all leaf words.
    fn all_cells(&self) -> impl Iterator<Item = &AtomicU64> {
        let chains = self.0.get().map_or(&[][..], Chains::heads);
        let only = match self.0.look() {
            Word::Own(cell) => Some(cell),
            Word::Unset | Word::Leads(_) => None,
        };
        let cells = chains.iter().flat_map(|head| Cells::of(Some(head)));
        cells.chain(only)
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
        loop {
            let Some((cell, seen)) = self.room(place, mark)? else {
                let head = chain_of(self.heads_or_make(words), place.word());
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
    fn room(&self, place: Place, mark: Mark) -> Result<Option<(&AtomicU64, Cell)>, Mark> {
        let mut free = None;
        let mut same = None;
        for cell in self.cells(place.word()) {
            // Relaxed: a proposal; the exchange decides.
            let seen = Cell(cell.load(Relaxed));
            if seen.takes(place.number(), mark) {
                if let Some(there) = seen.mark_like(place.number(), mark) {
                    return Err(there);
                }
                same = same.or(Some((cell, seen)));
            } else if seen.is_free() {
                free = free.or(Some((cell, Cell::FREE)));
            }
        }
        Ok(same.or(free))
    }

    /// Reserves these slots of leaf word `word`, which have no mark, in a block of `words` leaf words.
    #[cfg(feature = "store")]
    pub(super) fn reserve(&self, word: usize, slots: u64, words: usize) {
        for wanted in Cell::reserved(word, slots) {
            while !self.try_reserve(word, wanted, words) {}
        }
    }

    /// Sets the marks of `wanted`; whether nobody was in the way.
    #[cfg(feature = "store")]
    fn try_reserve(&self, word: usize, wanted: Cell, words: usize) -> bool {
        let (mut same, mut free) = (None, None);
        for cell in self.cells(word) {
            // Relaxed: a proposal; the exchange decides.
            let seen = Cell(cell.load(Relaxed));
            if seen.is_like(wanted) {
                same = Some((cell, seen));
                break;
            }
            if seen.is_free() && free.is_none() {
                free = Some((cell, seen));
            }
        }
        let Some((cell, seen)) = same.or(free) else {
            let head = chain_of(self.heads_or_make(words), word);
            head.append(Box::new(Chunk::new(wanted)));
            return true;
        };
        // Relaxed, both: as in `set`, for one who takes slots.
        cell.compare_exchange(seen.0, seen.and(wanted).0, Relaxed, Relaxed)
            .is_ok()
    }

    /// Ends the reservations of these slots of leaf word `word`: all of them are ours.
    #[cfg(feature = "store")]
    pub(super) fn end_reserved(&self, word: usize, slots: u64) {
        for ended in Cell::reserved(word, slots) {
            for cell in self.cells(word) {
                // Relaxed: a proposal; the exchange decides.
                let mut seen = Cell(cell.load(Relaxed));
                while seen.but(ended) != seen {
                    let next = seen.but(ended);
                    // Release [FREE] [SHOWN]: our looks and writes, and the live bits if we set them,
                    // come before the marks' end. Relaxed on failure: a new guess.
                    match cell.compare_exchange(seen.0, next.0, Release, Relaxed) {
                        Ok(_) => break,
                        Err(now) => seen = Cell(now),
                    }
                }
            }
        }
    }

    /// Turns our own `Hiding` mark into `mark`: the live bit is gone, and by us.
    pub(super) fn settle(spot: Spot<'_>, place: Place, mark: Mark) {
        // Relaxed: a proposal; the exchange decides.
        let mut seen = Cell(spot.0.load(Relaxed));
        loop {
            debug_assert!(seen.has(place.number(), Mark::Hiding), "M2");
            let next = seen.without(place.number(), Mark::Hiding);
            let next = next.with(place.number(), mark);
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
        while seen.has(place.number(), mark) {
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
        while seen.has(place.number(), Mark::Hidden) {
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
        // Relaxed: counted, and nothing is published by a count.
        let hidden = |cell: &AtomicU64| Cell(cell.load(Relaxed)).hidden();
        self.all_cells().map(hidden).sum()
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
