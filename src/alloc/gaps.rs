//! Which parts of a growing address space are free.
//!
//! # Shape
//! ```text
//! offset  0        header                                  end        limit
//!         | reserved | live | gap | live | live | gap | live |   ....   |
//!
//! slab    the gaps
//! bins    the gaps, by length: 16 bins to a power of two
//! ends    the gaps, by where they begin and by where they end
//! ```
//! What is given out is kept nowhere here: who frees has it in blocks of its own, and knows by them
//! whether an extent may be freed.
//!
//! # Invariants
//! * G1  Every byte from the header to the end is given out, or in exactly one gap.
//! * G2  No two gaps touch.
//! * G3  `bins` holds exactly the gaps, `ends` exactly their beginnings and their ends.
//! * G4  A refused call has changed nothing.
//! * G5  What is freed was given out, as one extent, and was not freed since: the caller's part.
//! * G6  There is at most one gap more than extents that are given out (by G2), so that bounding
//!   these keeps a handle for the gap that a `free` makes.
//!
//! How good the fit is: `find.rs`.
//!
//! # Edges
//! None: sequential, under the caller's lock.
//!
//! # Progress
//! `alloc`, `free` and `claim` take constant time, amortized: tables grow and shrink by being
//! copied. A request that is refused with `NoSpace` may walk every gap.
//!
//! # Checked by
//! `tests.rs` in this folder, against a `BTreeMap` (G1 to G4, G6); debug assertions (G5, in part).

use crate::id::{ByteLen, Extent, FileOffset};

mod bins;
mod ends;
mod error;
mod find;
mod slab;
#[cfg(test)]
mod tests;

use bins::{Bin, Bins};
use ends::Ends;
use find::{Fit, Want};
use slab::{Gap, Handle, MAX_GAPS, NIL, Slab};

pub use error::SpaceError;

/// How many extents may be given out (G6).
const MAX_LIVE: usize = MAX_GAPS - 1;

/// The gaps of an address space that begins behind a reserved header and grows up to a limit.
pub(crate) struct GapSet {
    header: u64,
    end: u64,
    limit: u64,
    /// Sum of the gaps' lengths.
    free: u64,
    /// How many extents are given out.
    live: usize,
    slab: Slab,
    bins: Bins,
    ends: Ends,
}

impl GapSet {
    /// An empty space behind a header of `header` bytes, that may grow up to `limit`.
    ///
    /// # Errors
    /// [`SpaceError::TooLarge`] if the header does not fit below the limit.
    pub(crate) fn new(header: ByteLen, limit: FileOffset) -> Result<Self, SpaceError> {
        if header.get() > limit.get() {
            return Err(SpaceError::TooLarge);
        }
        Ok(Self {
            header: header.get(),
            end: header.get(),
            limit: limit.get(),
            free: 0,
            live: 0,
            slab: Slab::new(),
            bins: Bins::new(),
            ends: Ends::new(),
        })
    }

    /// The first position past every extent that was given out, and past the free tail.
    pub(crate) fn end(&self) -> FileOffset {
        FileOffset::new(self.end)
    }

    /// The position that the space never grows past.
    pub(crate) fn limit(&self) -> FileOffset {
        FileOffset::new(self.limit)
    }

    /// Sum of the gaps' lengths, the free tail included.
    pub(crate) fn free_bytes(&self) -> ByteLen {
        ByteLen::new(self.free)
    }

    /// Sum of the lengths of what is given out.
    pub(crate) fn live_bytes(&self) -> ByteLen {
        ByteLen::new(self.end - self.header - self.free)
    }

    /// The longest gap, or one of them. Walks one bin.
    pub(crate) fn largest_gap(&self) -> Option<Extent> {
        let bin = self.bins.last_occupied()?;
        let gaps = self.bin(bin).map(|handle| self.slab.get(handle));
        let longest = gaps.max_by_key(|gap| gap.len())?;
        Some(extent(longest.start, longest.end))
    }

    /// The gaps, in offset order: walks the slab, and sorts.
    pub(crate) fn gaps(&self) -> Vec<Extent> {
        let gaps = self.slab.iter().map(|gap| extent(gap.start, gap.end));
        let mut gaps: Vec<Extent> = gaps.collect();
        gaps.sort_unstable();
        gaps
    }

    /// Gives out `len` bytes (0 counts as 1) at a multiple of `align`.
    ///
    /// With `near`, an extent that is given out, the gaps directly behind and before it come first.
    ///
    /// # Errors
    /// [`SpaceError::BadAlignment`]; [`SpaceError::TooLarge`]; [`SpaceError::NoSpace`];
    /// [`SpaceError::TooManySegments`].
    pub(crate) fn alloc(
        &mut self,
        len: ByteLen,
        align: u64,
        near: Option<Extent>,
    ) -> Result<Extent, SpaceError> {
        let want = Want::new(len, align)?;
        self.check_room()?;
        let beside = near.and_then(|near| self.find_beside(near, want));
        match beside.or_else(|| self.find(want)) {
            Some(fit) => Ok(self.carve(fit, want.len)),
            None => self.extend(want),
        }
    }

    /// Says that an extent is about to be freed, if it should turn out to be given out.
    #[inline]
    pub(crate) fn prefetch(&self, extent: Extent) {
        self.ends.prefetch(extent.offset.get());
        self.ends
            .prefetch(extent.offset.get().wrapping_add(extent.len.get()));
    }

    /// Takes back an extent that is given out (G5). It joins the gaps on both sides.
    pub(crate) fn free(&mut self, extent: Extent) {
        let start = extent.offset.get();
        let end = start + extent.len.get();
        self.check_given_out(start, end);
        self.live -= 1;
        self.free += end - start;
        match (self.ending_at(start), self.beginning_at(end)) {
            (None, None) => self.add(start, end),
            (Some(before), None) => self.reshape(before, self.slab.get(before).start, end),
            (None, Some(behind)) => self.reshape(behind, start, self.slab.get(behind).end),
            (Some(before), Some(behind)) => self.join(before, behind),
        }
        self.slim_down();
    }

    /// Gives out exactly this extent, at or past the end: a space is rebuilt in ascending order.
    ///
    /// # Errors
    /// [`SpaceError::OutOfBounds`]; [`SpaceError::Taken`] if it begins before the end;
    /// [`SpaceError::TooManySegments`].
    pub(crate) fn claim(&mut self, extent: Extent) -> Result<(), SpaceError> {
        let start = extent.offset.get();
        let end = extent.end().map_err(|_| SpaceError::OutOfBounds)?.get();
        if start == end || start < self.header || end > self.limit {
            return Err(SpaceError::OutOfBounds);
        }
        if start < self.end {
            return Err(SpaceError::Taken);
        }
        self.check_room()?;
        self.append(start, end);
        Ok(())
    }

    /// Gives the free tail up: the end falls to that of the last live extent. Returns the end.
    pub(crate) fn truncate(&mut self) -> FileOffset {
        if let Some(tail) = self.ending_at(self.end) {
            let Gap { start, end, .. } = *self.slab.get(tail);
            self.remove(tail);
            self.free -= end - start;
            self.end = start;
        }
        self.end()
    }
}

/// Looking things up.
impl GapSet {
    #[inline]
    fn beginning_at(&self, offset: u64) -> Option<Handle> {
        let begins = |gap| self.slab.get(gap).start == offset;
        self.ends.find(offset, begins)
    }

    #[inline]
    fn ending_at(&self, offset: u64) -> Option<Handle> {
        let ends = |gap| self.slab.get(gap).end == offset;
        self.ends.find(offset, ends)
    }

    /// Room for another extent, and for the gaps beside it (G6).
    fn check_room(&self) -> Result<(), SpaceError> {
        if self.live >= MAX_LIVE {
            return Err(SpaceError::TooManySegments);
        }
        Ok(())
    }

    /// What of G5 is cheap to see.
    fn check_given_out(&self, start: u64, end: u64) {
        debug_assert!(self.live > 0 && end - start <= self.live_bytes().get());
        debug_assert!(self.header <= start && start < end && end <= self.end);
        debug_assert!(self.beginning_at(start).is_none() && self.ending_at(end).is_none());
    }

    fn bin(&self, bin: Bin) -> impl Iterator<Item = Handle> + '_ {
        let some = |handle| (handle != NIL).then_some(handle);
        let next = move |&handle: &Handle| some(self.slab.get(handle).bin_next);
        core::iter::successors(some(self.bins.head(bin)), next)
    }
}

/// Cutting and joining.
impl GapSet {
    /// Lets the space grow by what is wanted; the free tail is used. If it may not grow so far,
    /// every gap is considered.
    fn extend(&mut self, want: Want) -> Result<Extent, SpaceError> {
        let tail = self.ending_at(self.end);
        let from = tail.map_or(self.end, |gap| self.slab.get(gap).start);
        let fit = match (want.place_from(from, self.limit), tail) {
            (Some((start, end)), Some(gap)) if end <= self.end => Fit { gap, start },
            (Some((start, end)), _) => return Ok(self.append(start, end)),
            (None, _) if want.place_from(self.header, self.limit).is_none() => {
                return Err(SpaceError::TooLarge);
            }
            (None, _) => self.find_any(want).ok_or(SpaceError::NoSpace)?,
        };
        Ok(self.carve(fit, want.len))
    }

    /// Gives out `start..end`, of which the last byte lies past the end, and none before the free
    /// tail. What lies before it becomes a gap.
    fn append(&mut self, start: u64, end: u64) -> Extent {
        let from = self.truncate().get();
        if from < start {
            self.add(from, start);
            self.free += start - from;
        }
        self.end = end;
        self.live += 1;
        extent(start, end)
    }

    /// Gives out `len` bytes of a gap; what is left on either side stays a gap.
    fn carve(&mut self, fit: Fit, len: u64) -> Extent {
        let Fit { gap, start } = fit;
        let Gap {
            start: from,
            end: to,
            ..
        } = *self.slab.get(gap);
        let end = start + len;
        match (from < start, end < to) {
            (false, false) => self.remove(gap),
            (false, true) => self.reshape(gap, end, to),
            (true, false) => self.reshape(gap, from, start),
            (true, true) => {
                self.reshape(gap, from, start);
                self.add(end, to);
            }
        }
        self.free -= len;
        self.live += 1;
        self.slim_down();
        extent(start, end)
    }

    /// Makes one of two gaps and what lies between them.
    fn join(&mut self, before: Handle, behind: Handle) {
        let (start, end) = (self.slab.get(before).start, self.slab.get(behind).end);
        self.remove(behind);
        self.reshape(before, start, end);
    }

    /// Enters a gap.
    fn add(&mut self, start: u64, end: u64) {
        let gap = self.slab.insert(start, end);
        self.bins.put(&mut self.slab, gap);
        self.ends.insert(start, gap);
        self.ends.insert(end, gap);
    }

    /// Forgets a gap.
    fn remove(&mut self, gap: Handle) {
        let Gap { start, end, .. } = *self.slab.get(gap);
        self.bins.take(&mut self.slab, gap);
        self.ends.remove(start, gap);
        self.ends.remove(end, gap);
        self.slab.remove(gap);
    }

    /// Moves the ends of a gap.
    fn reshape(&mut self, gap: Handle, start: u64, end: u64) {
        let before = *self.slab.get(gap);
        let moves = Bin::of(before.len()) != Bin::of(end - start);
        if moves {
            self.bins.take(&mut self.slab, gap);
        }
        let shaped = self.slab.get_mut(gap);
        (shaped.start, shaped.end) = (start, end);
        if moves {
            self.bins.put(&mut self.slab, gap);
        }
        for (old, new) in [(before.start, start), (before.end, end)] {
            if old != new {
                self.ends.remove(old, gap);
                self.ends.insert(new, gap);
            }
        }
    }

    #[inline]
    fn slim_down(&mut self) {
        if self.slab.is_sparse() {
            self.compact();
        }
    }

    /// Copies the gaps into tables of the size that they need.
    #[cold]
    fn compact(&mut self) {
        let gaps = self.slab.used();
        let old = core::mem::replace(&mut self.slab, Slab::with_capacity(gaps * 2));
        (self.bins, self.ends) = (Bins::new(), Ends::with_capacity(gaps));
        for gap in old.iter() {
            self.add(gap.start, gap.end);
        }
    }
}

fn extent(start: u64, end: u64) -> Extent {
    Extent::new(FileOffset::new(start), ByteLen::new(end - start))
}

impl core::fmt::Debug for GapSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GapSet")
            .field("end", &self.end())
            .field("limit", &self.limit())
            .field("live", &self.live)
            .field("live_bytes", &self.live_bytes())
            .field("gaps", &self.slab.used())
            .field("free_bytes", &self.free_bytes())
            .finish()
    }
}
