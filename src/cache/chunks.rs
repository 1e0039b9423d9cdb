//! Rows of things at places that never move, numbered from 0, which grow by an eighth.
// Unsafe: things are named by numbers and lie in chunks behind pointers.
#![allow(unsafe_code)]
//!
//! # Shape
//! ```text
//! chunks  [ptr][ptr][ptr][ ]..    eight to an octave: at most an eighth more than is asked for
//!           |
//! things  [0 .. 31] [32 .. 63] ..
//! ```
//!
//! # Invariants
//! * C1  A chunk is written once and lives as long as the row.
//!
//! # Edges
//! None of its own. Whoever names a thing to others publishes its number after the chunk was made
//! (WORD in `table.rs`).
//!
//! # Progress
//! `get` is wait-free. `grow` calls the allocator.
//!
//! # Checked by
//! `loom-tests/cache.rs`; the address sanitizer over `tests/stress_cache.rs` (C1).

use core::ptr;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use crate::sync::SMALL;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};

/// The first octave begins here.
const BASE_BITS: u32 = if SMALL { 2 } else { 8 };
/// Chunks to an octave, as a power of two.
const PARTS_BITS: u32 = if SMALL { 0 } else { 3 };
const OCTAVES: usize = if SMALL { 2 } else { 22 };
const CHUNKS: usize = OCTAVES << PARTS_BITS;

/// A row holds at most so many things.
pub(super) const MAX: u32 = (1 << (BASE_BITS + OCTAVES as u32)) - (1 << BASE_BITS);

/// Things numbered from 0, which do not move.
pub(super) struct Chunks<T> {
    /// Where a chunk's sums would begin if they began with 0: behind it, or before all memory.
    chunks: [AtomicPtr<T>; CHUNKS],
    /// How many there are.
    made: AtomicUsize,
}

// SAFETY: a row owns what is in it.
unsafe impl<T: Send> Send for Chunks<T> {}
// SAFETY: it lends shared references only.
unsafe impl<T: Send + Sync> Sync for Chunks<T> {}

/// What is added to a number, so that its highest bit says the octave. A sum is never 0, and is what
/// others may keep in the number's place.
pub(super) const FIRST: u32 = 1 << BASE_BITS;

/// Which chunk, of a number to which [`FIRST`] was added.
#[inline(always)]
fn chunk_of(sum: u32) -> usize {
    /// What the first chunk of the first octave comes to.
    const BEFORE: u32 = (BASE_BITS + 1) << PARTS_BITS;
    // Sums are not 0, which the processor need not be asked about.
    let octave = (sum | 1).ilog2();
    let part = sum >> (octave - PARTS_BITS);
    (part.wrapping_add(octave << PARTS_BITS)).wrapping_sub(BEFORE) as usize
}

/// The first sum that is in a chunk.
fn first_of(chunk: usize) -> usize {
    let (octave, part) = (chunk >> PARTS_BITS, chunk & ((1 << PARTS_BITS) - 1));
    (1 << (BASE_BITS as usize + octave)) + part * len_of(chunk)
}

/// How many things lie in a chunk.
fn len_of(chunk: usize) -> usize {
    1 << (BASE_BITS as usize + (chunk >> PARTS_BITS) - PARTS_BITS as usize)
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
            chunks: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            made: AtomicUsize::new(0),
        }
    }

    /// Makes a chunk for `number`, the first that there is none for; says how many there are then.
    ///
    /// One caller at a time; `number` is below [`MAX`].
    pub(super) fn grow(&self, number: u32, make: impl FnMut() -> T) -> u32 {
        let sum = number + FIRST;
        let chunk = chunk_of(sum);
        // Relaxed: one caller at a time.
        let next = self.made.load(Relaxed);
        let fits = chunk == next && first_of(chunk) == sum as usize;
        assert!(fits, "the first that there is none for");
        let len = len_of(chunk);
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
        let origin = base.wrapping_sub(sum as usize);
        // Relaxed: others come to it through a number that is published later (WORD).
        self.chunks[chunk].store(origin, Relaxed);
        // Relaxed: one caller at a time.
        self.made.store(chunk + 1, Relaxed);
        number + len as u32
    }

    /// # Safety
    /// S1: `number` is below what `grow` said, and the caller learnt of it after that.
    #[inline(always)]
    pub(super) unsafe fn get(&self, number: u32) -> &T {
        let sum = number.wrapping_add(FIRST);
        let chunk = chunk_of(sum);
        debug_assert!(chunk < CHUNKS);
        // SAFETY: S1, so the chunk is one of ours.
        let chunk = unsafe { self.chunks.get_unchecked(chunk) };
        // Relaxed: it was stored before the number was published (WORD).
        let origin = chunk.load(Relaxed);
        // SAFETY: S1, so the chunk is there, and the sum is one of those in it; C1.
        unsafe { &*origin.wrapping_add(sum as usize) }
    }
}

impl<T> Drop for Chunks<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` says that we are alone.
        let made = self.made.load(Relaxed);
        for (chunk, place) in self.chunks.iter().enumerate().take(made) {
            // Relaxed: as above.
            let base = place.load(Relaxed).wrapping_add(first_of(chunk));
            let things = ptr::slice_from_raw_parts_mut(base, len_of(chunk));
            // SAFETY: `grow` filled all of it, and `&mut self` says that nobody looks.
            unsafe { ptr::drop_in_place(things) };
            // SAFETY: it came from `alloc` in `grow`, with this layout; freed once.
            unsafe { dealloc(base.cast(), layout::<T>(len_of(chunk))) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_one_another_without_a_gap() {
        let mut chunk = 0;
        for sum in (FIRST as usize..).take(100_000.min(MAX as usize)) {
            chunk += usize::from(sum == first_of(chunk) + len_of(chunk));
            assert_eq!(chunk_of(sum as u32), chunk, "sum {sum}");
            assert!((first_of(chunk)..first_of(chunk) + len_of(chunk)).contains(&sum));
        }
        assert_eq!(chunk_of(MAX - 1 + FIRST), CHUNKS - 1);
    }
}
