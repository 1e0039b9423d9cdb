//! Which gaps have about which length: lists by size, and bitmaps of the lists that have a gap.
//!
//! # Shape
//! ```text
//! rows   1 bit a power of two      subs[row]  1 bit a sixteenth of it
//!            |                         |
//! heads  [row 0: 0 1 .. 15][row 1: 16 17 .. 31][row 2: 32 34 .. 62][row 3: 64 68 ..] ..
//!            a chain of gaps each, through bin_prev and bin_next
//! ```
//! The lengths in one bin differ by less than a sixteenth of the shortest.
//!
//! # Invariants
//! * B1  A gap is in the bin of its length, and in no other.
//! * B2  A bin's bit is set if and only if it has a gap; a row's bit, if one of its bins has.
//!
//! # Edges
//! None: sequential.
//!
//! # Progress
//! Every operation takes constant time.
//!
//! # Checked by
//! `tests.rs` (B1, B2), through `GapSet`.
//!
//! M. Masmano, I. Ripoll, A. Crespo, J. Real, "TLSF: a new dynamic memory allocator for real-time
//! systems", ECRTS 2004.

use super::slab::{Handle, NIL, Slab};

/// Bins in a row, as a power of two: gaps in one bin differ by less than `2^-SUB_BITS`.
const SUB_BITS: u32 = 4;
const SUBS: usize = 1 << SUB_BITS;
/// One row for lengths below `SUBS`, one for each power of two above.
const ROWS: usize = (u64::BITS - SUB_BITS) as usize + 1;

/// The number of a bin; bins are numbered by length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bin(u16);

impl Bin {
    /// The bin of gaps of this length.
    #[inline]
    pub(super) fn of(len: u64) -> Self {
        if len < SUBS as u64 {
            return Self(len as u16);
        }
        let shift = len.ilog2() - SUB_BITS;
        // The leading one and the four bits below it: 16 to 31.
        let lead = (len >> shift) as u16;
        Self((shift as u16) * SUBS as u16 + lead)
    }

    /// The first bin in which every gap has at least this length, if there is one.
    #[inline]
    pub(super) fn all_at_least(len: u64) -> Option<Self> {
        let shift = len.max(SUBS as u64).ilog2() - SUB_BITS;
        let exact = (len >> shift) << shift == len;
        if exact {
            return Some(Self::of(len));
        }
        Self::of(len).next()
    }

    #[inline]
    pub(super) fn next(self) -> Option<Self> {
        (usize::from(self.0) + 1 < ROWS * SUBS).then(|| Self(self.0 + 1))
    }

    fn row(self) -> usize {
        usize::from(self.0) / SUBS
    }

    fn sub(self) -> usize {
        usize::from(self.0) % SUBS
    }
}

/// The gaps, by length.
pub(super) struct Bins {
    rows: u64,
    subs: [u16; ROWS],
    heads: Box<[Handle]>,
}

impl Bins {
    pub(super) fn new() -> Self {
        Self {
            rows: 0,
            subs: [0; ROWS],
            heads: vec![NIL; ROWS * SUBS].into_boxed_slice(),
        }
    }

    pub(super) fn head(&self, bin: Bin) -> Handle {
        self.heads[usize::from(bin.0)]
    }

    /// The first bin from `bin` on that has a gap.
    #[inline]
    pub(super) fn occupied_from(&self, bin: Bin) -> Option<Bin> {
        let row = bin.row();
        let subs = self.subs[row] >> bin.sub();
        if subs != 0 {
            return Some(Bin(bin.0 + subs.trailing_zeros() as u16));
        }
        // `row` is at most 60, so the shift is one of at most 61.
        let rows = self.rows & (u64::MAX << (row + 1));
        if rows == 0 {
            return None;
        }
        let row = rows.trailing_zeros() as usize;
        let sub = self.subs[row].trailing_zeros() as usize;
        Some(Bin((row * SUBS + sub) as u16))
    }

    /// The last bin that has a gap.
    pub(super) fn last_occupied(&self) -> Option<Bin> {
        let row = self.rows.checked_ilog2()? as usize;
        let sub = self.subs[row].ilog2() as usize;
        Some(Bin((row * SUBS + sub) as u16))
    }

    /// Puts a gap first into the bin of its length.
    pub(super) fn put(&mut self, slab: &mut Slab, handle: Handle) {
        let bin = Bin::of(slab.get(handle).len());
        let head = core::mem::replace(&mut self.heads[usize::from(bin.0)], handle);
        if head != NIL {
            slab.get_mut(head).bin_prev = handle;
        }
        let gap = slab.get_mut(handle);
        (gap.bin_prev, gap.bin_next) = (NIL, head);
        self.subs[bin.row()] |= 1 << bin.sub();
        self.rows |= 1 << bin.row();
    }

    /// Takes a gap out of its bin.
    pub(super) fn take(&mut self, slab: &mut Slab, handle: Handle) {
        let gap = *slab.get(handle);
        if gap.bin_next != NIL {
            slab.get_mut(gap.bin_next).bin_prev = gap.bin_prev;
        }
        if gap.bin_prev != NIL {
            slab.get_mut(gap.bin_prev).bin_next = gap.bin_next;
            return;
        }
        let bin = Bin::of(gap.len());
        self.heads[usize::from(bin.0)] = gap.bin_next;
        if gap.bin_next == NIL {
            self.clear(bin);
        }
    }

    fn clear(&mut self, bin: Bin) {
        let row = bin.row();
        self.subs[row] &= !(1 << bin.sub());
        if self.subs[row] == 0 {
            self.rows &= !(1 << row);
        }
    }
}
