//! Which parts of a growing address space are free.
//!
//! # Shape
//! ```text
//! offset  0        header                                  end        limit
//!         | reserved | live | gap | live | live | gap | live |   ....   |
//!
//! slab    the segments from the header to the end, linked in offset order
//! bins    the gaps, by length: 16 bins to a power of two
//! places  the live segments, by offset: what `free` is checked against
//! ```
//!
//! # Invariants
//! * G1  The segments cover the space from the header to the end, without overlap.
//! * G2  No two gaps touch.
//! * G3  `bins` holds exactly the gaps, `places` exactly the live segments.
//! * G4  A refused call has changed nothing.
//!
//! How good the fit is: `find.rs`.
//!
//! # Edges
//! None: sequential, under the caller's lock.
//!
//! # Progress
//! `alloc` and `free` take constant time, amortized: tables grow and shrink by being copied. A
//! request that is refused with `NoSpace`, and `claim` within the end, may walk every segment.
//!
//! # Checked by
//! `tests.rs` in this folder, against a `BTreeMap` (G1 to G4).

#![allow(dead_code)] // until the root allocator uses every part

use crate::id::{ByteLen, Extent, FileOffset};

mod bins;
mod error;
mod find;
mod places;
mod slab;
#[cfg(test)]
mod tests;

use bins::{Bin, Bins};
use find::{Fit, Want};
use places::Places;
use slab::{Handle, MAX_SEGMENTS, NIL, Segment, Slab};

pub use error::SpaceError;

/// The gaps and the live extents of an address space that begins behind a reserved header and
/// grows up to a limit.
#[derive(Clone)]
pub(crate) struct GapSet {
    header: u64,
    end: u64,
    limit: u64,
    free: u64,
    slab: Slab,
    bins: Bins,
    places: Places,
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
            slab: Slab::new(),
            bins: Bins::new(),
            places: Places::new(),
        })
    }

    /// The space that ends at `end` and in which exactly `live` (in any order) is given out.
    ///
    /// # Errors
    /// Those of [`GapSet::new`] and [`GapSet::claim`]; [`SpaceError::OutOfBounds`] if `end` is
    /// past the limit, or an extent past `end`.
    pub(crate) fn restore(
        header: ByteLen,
        limit: FileOffset,
        end: FileOffset,
        live: impl IntoIterator<Item = Extent>,
    ) -> Result<Self, SpaceError> {
        let mut space = Self::new(header, end)?;
        if end > limit {
            return Err(SpaceError::OutOfBounds);
        }
        let mut live: Vec<Extent> = live.into_iter().collect();
        live.sort_unstable();
        space.slab = Slab::with_capacity(live.len().saturating_mul(2));
        space.places = Places::with_capacity(live.len());
        for extent in live {
            space.claim(extent)?;
        }
        space.check_room()?;
        space.grow(end.get());
        space.limit = limit.get();
        Ok(space)
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

    /// Sum of the live extents' lengths.
    pub(crate) fn live_bytes(&self) -> ByteLen {
        ByteLen::new(self.end - self.header - self.free)
    }

    /// How many extents are given out.
    pub(crate) fn live_count(&self) -> usize {
        self.places.len()
    }

    /// How many gaps there are.
    pub(crate) fn gap_count(&self) -> usize {
        self.slab.used() - self.places.len()
    }

    /// The longest gap, or one of them. Walks one bin.
    pub(crate) fn largest_gap(&self) -> Option<Extent> {
        let bin = self.bins.last_occupied()?;
        let longest = self.bin(bin).map(|handle| self.slab.get(handle));
        longest.max_by_key(|gap| gap.len).map(extent_of)
    }

    /// The gaps, in offset order.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Extent> + '_ {
        self.segments().filter(|seg| !seg.is_live()).map(extent_of)
    }

    /// The live extents, in offset order: what [`GapSet::restore`] takes.
    pub(crate) fn live(&self) -> impl Iterator<Item = Extent> + '_ {
        self.segments().filter(|seg| seg.is_live()).map(extent_of)
    }

    /// Whether exactly this extent is given out.
    ///
    /// # Errors
    /// [`SpaceError::NotLive`] or [`SpaceError::WrongLen`].
    pub(crate) fn check(&self, extent: Extent) -> Result<(), SpaceError> {
        self.find_live(extent).map(|_| ())
    }

    /// Gives out `len` bytes (0 counts as 1) at a multiple of `align`.
    ///
    /// With `near`, the beginning of a live extent, the gaps beside it come first.
    ///
    /// # Errors
    /// [`SpaceError::BadAlignment`]; [`SpaceError::TooLarge`]; [`SpaceError::NoSpace`];
    /// [`SpaceError::TooManySegments`].
    pub(crate) fn alloc(
        &mut self,
        len: ByteLen,
        align: u64,
        near: Option<FileOffset>,
    ) -> Result<Extent, SpaceError> {
        let want = Want::new(len, align)?;
        self.check_room()?;
        let beside = near.and_then(|near| self.find_beside(near.get(), want));
        let fit = match beside.or_else(|| self.find(want)) {
            Some(fit) => fit,
            None => self.extend(want)?,
        };
        Ok(self.carve(fit, want.len))
    }

    /// Takes an extent back. It joins the gaps on both sides.
    ///
    /// # Errors
    /// [`SpaceError::NotLive`] and [`SpaceError::WrongLen`], unless it is exactly one that is
    /// given out.
    pub(crate) fn free(&mut self, extent: Extent) -> Result<(), SpaceError> {
        let found = self.find_live(extent)?;
        self.places.remove(found);
        self.free += extent.len.get();
        let gap = self.absorb_neighbours(found.handle);
        self.bins.put(&mut self.slab, gap);
        if self.slab.is_sparse() {
            self.compact();
        }
        Ok(())
    }

    /// Gives out exactly this extent; the space grows if it lies past the end.
    ///
    /// Constant time at or past the end, so claiming in ascending order is linear.
    ///
    /// # Errors
    /// [`SpaceError::OutOfBounds`]; [`SpaceError::Taken`]; [`SpaceError::TooManySegments`].
    pub(crate) fn claim(&mut self, extent: Extent) -> Result<(), SpaceError> {
        let start = extent.offset.get();
        let end = extent.end().map_err(|_| SpaceError::OutOfBounds)?.get();
        if start == end || start < self.header || end > self.limit {
            return Err(SpaceError::OutOfBounds);
        }
        self.check_room()?;
        let gap = self.gap_at(start, end).ok_or(SpaceError::Taken)?;
        let gap = if end > self.end { self.grow(end) } else { gap };
        self.carve(Fit { gap, start }, extent.len.get());
        Ok(())
    }

    /// Gives the free tail up: the end falls to that of the last live extent. Returns the end.
    pub(crate) fn truncate(&mut self) -> FileOffset {
        let tail = self.slab.tail();
        if let Some(&gap) = self.slab.gap(tail) {
            self.bins.take(&mut self.slab, tail);
            self.slab.remove(tail);
            self.free -= gap.len;
            self.end = gap.offset;
        }
        self.end()
    }
}

/// Looking things up.
impl GapSet {
    fn find_live(&self, extent: Extent) -> Result<places::Found, SpaceError> {
        let offset = extent.offset.get();
        let begins_here = |handle| self.slab.get(handle).offset == offset;
        let found = self.places.find(offset, begins_here);
        let found = found.ok_or(SpaceError::NotLive)?;
        let live = ByteLen::new(self.slab.get(found.handle).len);
        if live != extent.len {
            return Err(SpaceError::WrongLen { live });
        }
        Ok(found)
    }

    /// Room for the two segments that one call can add.
    fn check_room(&self) -> Result<(), SpaceError> {
        if self.slab.used() + 2 > MAX_SEGMENTS {
            return Err(SpaceError::TooManySegments);
        }
        Ok(())
    }

    fn bin(&self, bin: Bin) -> impl Iterator<Item = Handle> + '_ {
        chain(self.bins.head(bin), |handle| self.slab.get(handle).bin_next)
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> + '_ {
        let handles = chain(self.slab.head(), |handle| self.slab.get(handle).next);
        handles.map(|handle| self.slab.get(handle))
    }
}

/// Cutting and joining.
impl GapSet {
    /// Lets the space grow by what is wanted; the free tail is used.
    fn extend(&mut self, want: Want) -> Result<Fit, SpaceError> {
        let tail = self.slab.gap(self.slab.tail());
        let from = tail.map_or(self.end, |gap| gap.offset);
        if let Some((start, end)) = want.place_from(from, self.limit) {
            let gap = self.grow(end);
            return Ok(Fit { gap, start });
        }
        if want.place_from(self.header, self.limit).is_none() {
            return Err(SpaceError::TooLarge);
        }
        self.find_any(want).ok_or(SpaceError::NoSpace)
    }

    /// Makes the space end at `end`, if it ends before, with a gap. Returns the last segment.
    fn grow(&mut self, end: u64) -> Handle {
        let tail = self.slab.tail();
        if end <= self.end {
            return tail;
        }
        self.free += end - self.end;
        let tail = if self.slab.gap(tail).is_some() {
            self.bins.take(&mut self.slab, tail);
            self.slab.get_mut(tail).len += end - self.end;
            tail
        } else {
            self.slab.insert_after(tail, self.end, end - self.end)
        };
        self.bins.put(&mut self.slab, tail);
        self.end = end;
        tail
    }

    /// Gives out `len` bytes of a gap; what is left on either side stays a gap.
    fn carve(&mut self, fit: Fit, len: u64) -> Extent {
        let Fit { gap, start } = fit;
        let before = *self.slab.get(gap);
        self.bins.take(&mut self.slab, gap);
        let segment = self.slab.get_mut(gap);
        (segment.offset, segment.len) = (start, len);
        let lead = start - before.offset;
        if lead > 0 {
            let handle = self.slab.insert_after(before.prev, before.offset, lead);
            self.bins.put(&mut self.slab, handle);
        }
        let rest = before.len - lead - len;
        if rest > 0 {
            let handle = self.slab.insert_after(gap, start + len, rest);
            self.bins.put(&mut self.slab, handle);
        }
        self.free -= len;
        self.places.insert(start, gap);
        Extent::new(FileOffset::new(start), ByteLen::new(len))
    }

    /// Joins a segment with the gaps beside it. The result is in no bin yet.
    fn absorb_neighbours(&mut self, handle: Handle) -> Handle {
        let Segment { prev, next, .. } = *self.slab.get(handle);
        if let Some(&gap) = self.slab.gap(next) {
            self.bins.take(&mut self.slab, next);
            self.slab.remove(next);
            self.slab.get_mut(handle).len += gap.len;
        }
        if let Some(&gap) = self.slab.gap(prev) {
            self.bins.take(&mut self.slab, prev);
            self.slab.remove(prev);
            let segment = self.slab.get_mut(handle);
            segment.offset = gap.offset;
            segment.len += gap.len;
        }
        handle
    }

    /// Copies the segments, in offset order, into tables of the size that they need.
    #[cold]
    fn compact(&mut self) {
        let mut slab = Slab::with_capacity(self.slab.used() * 2);
        let mut bins = Bins::new();
        let mut places = Places::with_capacity(self.places.len());
        for segment in self.segments() {
            let handle = slab.insert_after(slab.tail(), segment.offset, segment.len);
            if segment.is_live() {
                places.insert(segment.offset, handle);
            } else {
                bins.put(&mut slab, handle);
            }
        }
        (self.slab, self.bins, self.places) = (slab, bins, places);
    }
}

fn extent_of(segment: &Segment) -> Extent {
    Extent::new(FileOffset::new(segment.offset), ByteLen::new(segment.len))
}

fn chain(first: Handle, next: impl Fn(Handle) -> Handle) -> impl Iterator<Item = Handle> {
    let some = |handle| (handle != NIL).then_some(handle);
    core::iter::successors(some(first), move |&handle| some(next(handle)))
}

impl core::fmt::Debug for GapSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GapSet")
            .field("end", &self.end())
            .field("live", &self.live_count())
            .field("live_bytes", &self.live_bytes())
            .field("gaps", &self.gap_count())
            .field("free_bytes", &self.free_bytes())
            .finish()
    }
}
