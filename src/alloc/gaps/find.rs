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
//! `find` and `find_beside` take constant time; `find_any` may walk every gap.
//!
//! # Checked by
//! `tests.rs` (T1, T4).

use super::bins::Bin;
use super::slab::Handle;
use super::{GapSet, SpaceError};
use crate::id::{ByteLen, Extent};

/// How many gaps of one bin are looked at, in search of one that fits.
const LOOKS: usize = 8;

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

    /// A gap that fits directly behind a live extent, or else directly before it.
    pub(super) fn find_beside(&self, live: Extent, want: Want) -> Option<Fit> {
        let behind = || self.fit(self.beginning_at(live.end().ok()?.get())?, want);
        let before = || self.fit_at_end(self.ending_at(live.offset.get())?, want);
        behind().or_else(before)
    }

    /// The first aligned place in a gap, if the wanted length fits there.
    fn fit(&self, handle: Handle, want: Want) -> Option<Fit> {
        let gap = self.slab.get(handle);
        let (start, _) = want.place_from(gap.start, gap.end)?;
        Some(Fit { gap: handle, start })
    }

    /// The last aligned place in a gap, if the wanted length fits there.
    fn fit_at_end(&self, handle: Handle, want: Want) -> Option<Fit> {
        let gap = self.slab.get(handle);
        let start = gap.end.checked_sub(want.len)? & !(want.align - 1);
        (start >= gap.start).then_some(Fit { gap: handle, start })
    }
}
