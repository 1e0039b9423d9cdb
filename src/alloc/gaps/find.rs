//! Finding a gap for what is wanted.
//!
//! # How good the fit is
//! A gap from the wanted length's own bin is taken if one of the first [`LOOKS`] fits; else one
//! of the next bin that has any, which is less than a sixteenth longer than the shortest gap of
//! that bin. So what can be missed is a gap that is less than a sixteenth longer than wanted.
//! With an alignment above 1, also a gap that is shorter than `len + align - 1` can be missed.
//! Before a request is refused (not before the space grows), every gap is considered.
//!
//! # Edges
//! None: sequential.
//!
//! # Progress
//! `find` and `find_beside` take constant time; `find_any` and `gap_at` may walk every segment.
//!
//! # Checked by
//! `tests.rs` (T1, T4).

use super::bins::Bin;
use super::slab::{Handle, NIL, Segment};
use super::{GapSet, SpaceError};
use crate::id::ByteLen;

/// How many gaps of one bin are looked at, in search of one that fits.
const LOOKS: usize = 8;
/// How many segments on either side of the hint are looked at.
const NEAR: usize = 4;

/// A gap and where in it the wanted extent begins.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    pub(super) gap: Handle,
    pub(super) start: u64,
}

/// A length of at least 1 and an alignment that is a power of two.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub(super) len: u64,
    pub(super) align: u64,
}

impl Want {
    pub(super) fn new(len: ByteLen, align: u64) -> Result<Self, SpaceError> {
        if !align.is_power_of_two() {
            return Err(SpaceError::BadAlignment(align));
        }
        let len = len.get().max(1);
        Ok(Self { len, align })
    }

    fn align_up(self, offset: u64) -> Option<u64> {
        Some(offset.checked_add(self.align - 1)? & !(self.align - 1))
    }

    /// The first place from `from` on, if it ends at or before `limit`.
    pub(super) fn place_from(self, from: u64, limit: u64) -> Option<(u64, u64)> {
        let start = self.align_up(from)?;
        let end = start.checked_add(self.len)?;
        (end <= limit).then_some((start, end))
    }
}

impl GapSet {
    /// A gap that fits well, from the bins.
    pub(super) fn find(&self, want: Want) -> Option<Fit> {
        let own = Bin::of(want.len);
        if let Some(fit) = self.look_into(own, want) {
            return Some(fit);
        }
        let next = self.bins.occupied_from(own.next()?)?;
        if let Some(fit) = self.look_into(next, want) {
            return Some(fit);
        }
        // Only an alignment can be in the way: so long a gap has an aligned part.
        let padded = want.len.checked_add(want.align - 1)?;
        let sure = self.bins.occupied_from(Bin::all_at_least(padded)?)?;
        self.fit(self.bins.head(sure), want)
    }

    fn look_into(&self, bin: Bin, want: Want) -> Option<Fit> {
        let mut gaps = self.bin(bin).take(LOOKS);
        gaps.find_map(|gap| self.fit(gap, want))
    }

    /// Any gap that fits, in the bins that `find` did not search to their ends.
    #[cold]
    pub(super) fn find_any(&self, want: Want) -> Option<Fit> {
        let mut bin = Bin::of(want.len);
        loop {
            bin = self.bins.occupied_from(bin)?;
            let fit = self.bin(bin).find_map(|gap| self.fit(gap, want));
            if fit.is_some() {
                return fit;
            }
            bin = bin.next()?;
        }
    }

    /// A gap that fits among the segments beside the live one that begins at `near`.
    pub(super) fn find_beside(&self, near: u64, want: Want) -> Option<Fit> {
        let begins_here = |handle| self.slab.get(handle).offset == near;
        let middle = self.places.find(near, begins_here)?.handle;
        let (mut left, mut right) = (middle, middle);
        for _ in 0..NEAR {
            right = self.step(right, |seg| seg.next);
            if let Some(fit) = self.fit(right, want) {
                return Some(fit);
            }
            left = self.step(left, |seg| seg.prev);
            if let Some(fit) = self.fit_at_end(left, want) {
                return Some(fit);
            }
        }
        None
    }

    fn step(&self, from: Handle, to: impl Fn(&Segment) -> Handle) -> Handle {
        match from {
            NIL => NIL,
            _ => to(self.slab.get(from)),
        }
    }

    /// The first aligned place in a gap, if the wanted length fits there.
    fn fit(&self, handle: Handle, want: Want) -> Option<Fit> {
        let gap = self.slab.gap(handle)?;
        let start = want.align_up(gap.offset)?;
        let fits = start.checked_add(want.len)? <= gap.end();
        fits.then_some(Fit { gap: handle, start })
    }

    /// The last aligned place in a gap, if the wanted length fits there.
    fn fit_at_end(&self, handle: Handle, want: Want) -> Option<Fit> {
        let gap = self.slab.gap(handle)?;
        let start = gap.end().checked_sub(want.len)? & !(want.align - 1);
        (start >= gap.offset).then_some(Fit { gap: handle, start })
    }

    /// The gap around `start..end`, which may end past the end of the space; there it is the
    /// free tail, or `NIL`.
    pub(super) fn gap_at(&self, start: u64, end: u64) -> Option<Handle> {
        if start >= self.end {
            return Some(NIL);
        }
        let mut handle = self.slab.tail();
        while self.slab.get(handle).offset > start {
            handle = self.slab.get(handle).prev;
        }
        let gap = self.slab.gap(handle)?;
        (end <= gap.end() || gap.end() == self.end).then_some(handle)
    }
}
