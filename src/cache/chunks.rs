//! Rows of things at places that never move, which grow by an eighth.
//!
//! # Shape
//! ```text
//! number  [chunk + 1, 8 bits][which of the chunk, 24 bits]     never 0
//! chunks  [ptr][ptr][ptr][ ]..    eight to an octave: at most an eighth more than is asked for
//!           |
//! things  [4][4] .. [8][8] ..
//! ```
//! A number says its chunk without a calculation, since a reader waits for it. A *rank* is how many
//! things come before one, for whoever keeps something in a plain vector. A chunk that was freed is the
//! next to be made: so the lowest chunks are there.
//!
//! # Invariants
//! * C1  A chunk is written once, and lives until it is freed, or as long as the row.
//!
//! # Edges
//! None of its own. Whoever names a thing to others publishes its number after the chunk was made
//! (WORD in `table.rs`), and frees the chunk after the last look at each of its things (RIPE in
//! `sync/epoch`).
//!
//! # Progress
//! `get` is wait-free. `grow` and `free` call the allocator.
//!
//! # Checked by
//! `loom-tests/cache.rs`; the address sanitizer over `tests/stress_cache.rs` (C1).
// Unsafe: things are named by numbers and lie in chunks behind pointers.
#![allow(unsafe_code)]

use core::ops::Range;
use core::ptr;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use crate::sync::SMALL;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};

/// Things of the first octave, as a power of two.
const BASE_BITS: u32 = if SMALL { 2 } else { 5 };
/// Chunks to an octave, as a power of two.
const PARTS_BITS: u32 = if SMALL { 0 } else { 3 };
const OCTAVES: usize = if SMALL { 2 } else { 23 };
const CHUNKS: usize = OCTAVES << PARTS_BITS;
/// The lower bits of a number.
const WHICH_BITS: u32 = 24;

/// A row holds at most so many things.
#[cfg(test)]
const MAX: u32 = (1 << (BASE_BITS + OCTAVES as u32)) - (1 << BASE_BITS);

const _: () = assert!(len_of(CHUNKS - 1) <= 1 << WHICH_BITS);
/// The highest number is none of them.
const _: () = assert!(CHUNKS < u8::MAX as usize);

/// Things that do not move.
pub(super) struct Chunks<T> {
    /// Where a thing of number 0 would be if a chunk began so early: before it, and never looked at.
    origins: [AtomicPtr<T>; CHUNKS + 1],
    /// How many there were at most.
    made: AtomicUsize,
}

// SAFETY: a row owns what is in it.
unsafe impl<T: Send> Send for Chunks<T> {}
// SAFETY: it lends shared references only.
unsafe impl<T: Send + Sync> Sync for Chunks<T> {}

/// How many things lie in a chunk.
pub(super) const fn len_of(chunk: usize) -> usize {
    1 << (BASE_BITS as usize + (chunk >> PARTS_BITS) - PARTS_BITS as usize)
}

/// How many things lie in the chunks before it.
pub(super) const fn len_before(chunk: usize) -> usize {
    let (octave, part) = (chunk >> PARTS_BITS, chunk & ((1 << PARTS_BITS) - 1));
    (1 << (BASE_BITS as usize + octave)) + part * len_of(chunk) - (1 << BASE_BITS)
}

/// The number of a chunk's first thing.
pub(super) fn first_of(chunk: usize) -> u32 {
    (chunk as u32 + 1) << WHICH_BITS
}

/// The chunk of a thing.
pub(super) fn chunk_of(number: u32) -> usize {
    (number >> WHICH_BITS) as usize - 1
}

/// How many things come before this one.
pub(super) fn rank(number: u32) -> usize {
    let chunk = chunk_of(number);
    len_before(chunk) + (number - first_of(chunk)) as usize
}

/// The number of the thing that so many come before.
pub(super) fn number(rank: usize) -> u32 {
    let sum = rank + (1 << BASE_BITS);
    let octave = sum.ilog2();
    let part = (sum >> (octave - PARTS_BITS)) - (1 << PARTS_BITS);
    let chunk = ((octave - BASE_BITS) << PARTS_BITS) as usize + part;
    first_of(chunk) + (rank - len_before(chunk)) as u32
}

/// A chunk begins with a cache line, so that things whose size divides one lie in one.
fn layout<T>(len: usize) -> Layout {
    const { assert!(size_of::<T>() > 0) };
    let layout = Layout::array::<T>(len).and_then(|layout| layout.align_to(64));
    layout.expect("a chunk is less than the address space")
}

impl<T> Chunks<T> {
    pub(super) fn new() -> Self {
        Self {
            origins: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            made: AtomicUsize::new(0),
        }
    }

    /// The chunk that `grow` would make.
    pub(super) fn next(&self) -> Option<usize> {
        // Relaxed: one caller at a time.
        let made = self.made.load(Relaxed);
        let lowest = (0..made).find(|&chunk| self.origin(chunk).is_null());
        lowest.or((made < CHUNKS).then_some(made))
    }

    fn origin(&self, chunk: usize) -> *mut T {
        // Relaxed: one caller at a time, or alone.
        self.origins[chunk + 1].load(Relaxed)
    }

    /// Makes one more chunk; the numbers in it, or none if there can be no more.
    ///
    /// One caller at a time. Rows that grow together have the same numbers.
    pub(super) fn grow(&self, make: impl FnMut() -> T) -> Option<Range<u32>> {
        let chunk = self.next()?;
        let (first, len) = (first_of(chunk), len_of(chunk));
        let layout = layout::<T>(len);
        // SAFETY: a chunk has a size, since things do (checked when this is compiled).
        let base = unsafe { alloc(layout) }.cast::<T>();
        if base.is_null() {
            handle_alloc_error(layout);
        }
        for (at, thing) in core::iter::repeat_with(make).take(len).enumerate() {
            // SAFETY: within the chunk, which nobody else knows of.
            unsafe { base.wrapping_add(at).write(thing) };
        }
        let origin = base.wrapping_sub(first as usize);
        // Relaxed: others come to it through a number that is published later (WORD).
        self.origins[chunk + 1].store(origin, Relaxed);
        // Relaxed, both: one caller at a time.
        let made = self.made.load(Relaxed).max(chunk + 1);
        // Relaxed: as above.
        self.made.store(made, Relaxed);
        Some(first..first + len as u32)
    }

    /// Drops what is in a chunk, and frees it. One caller at a time.
    ///
    /// # Safety
    /// S1: `grow` made the chunk, and nobody has a number of it, or ever looks at one that he had.
    pub(super) unsafe fn free(&self, chunk: usize) {
        let base = self.origin(chunk).wrapping_add(first_of(chunk) as usize);
        // Relaxed: nobody comes to it any more (S1).
        self.origins[chunk + 1].store(ptr::null_mut(), Relaxed);
        let things = ptr::slice_from_raw_parts_mut(base, len_of(chunk));
        // SAFETY: `grow` filled all of it, and nobody looks (S1).
        unsafe { ptr::drop_in_place(things) };
        // SAFETY: it came from `alloc` in `grow`, with this layout; freed once, as it is no more in the row.
        unsafe { dealloc(base.cast(), layout::<T>(len_of(chunk))) };
    }

    /// # Safety
    /// S1: `number` is one that `grow` said, and the caller learnt of it after that.
    #[inline(always)]
    pub(super) unsafe fn get(&self, number: u32) -> &T {
        let chunk = (number >> WHICH_BITS) as usize;
        debug_assert!((1..=CHUNKS).contains(&chunk));
        // SAFETY: S1, so the chunk is one of ours.
        let origin = unsafe { self.origins.get_unchecked(chunk) };
        // Relaxed: it was stored before the number was published (WORD).
        let origin = origin.load(Relaxed);
        // SAFETY: S1, so the chunk is there, and the number is one of those in it; C1.
        unsafe { &*origin.wrapping_add(number as usize) }
    }
}

impl<T> Drop for Chunks<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that we are alone.
        for chunk in 0..self.made.load(Relaxed) {
            if !self.origin(chunk).is_null() {
                // SAFETY: S1: `&mut self` says that nobody looks.
                unsafe { self.free(chunk) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_follow_one_another_without_a_gap() {
        let numbers = (0..CHUNKS).flat_map(|chunk| {
            let first = first_of(chunk);
            first..first + len_of(chunk) as u32
        });
        for (at, seen) in numbers.enumerate().take(100_000) {
            assert_eq!((rank(seen), number(at)), (at, seen));
        }
        let last = first_of(CHUNKS - 1) + len_of(CHUNKS - 1) as u32 - 1;
        assert_eq!(rank(last), MAX as usize - 1);
        assert_eq!(number(MAX as usize - 1), last);
    }

    #[test]
    #[cfg(not(any(loom, shuttle)))]
    fn what_was_made_is_where_its_number_says() {
        let (row, mut made) = (Chunks::new(), 0);
        for _ in 0..20.min(CHUNKS) {
            let numbers = row.grow(|| {
                made += 1;
                Box::new(made - 1)
            });
            for seen in numbers.unwrap() {
                // SAFETY: S1: `grow` just said so.
                assert_eq!(**unsafe { row.get(seen) }, rank(seen));
            }
        }
    }

    #[test]
    #[cfg(not(any(loom, shuttle)))]
    fn a_freed_chunk_is_the_next_to_be_made() {
        let row = Chunks::new();
        let chunks: Vec<_> = (0..4).map(|at| row.grow(|| at).unwrap()).collect();
        // SAFETY: S1: nobody has a number but us, and we do not look.
        unsafe { row.free(1) };
        assert_eq!(row.next(), Some(1));
        assert_eq!(row.grow(|| 7), Some(chunks[1].clone()));
        // SAFETY: S1: `grow` just said so.
        assert_eq!(*unsafe { row.get(chunks[1].start) }, 7);
        assert_eq!(row.next(), Some(4));
    }
}
