//! Which gap begins at an offset, and which ends there.
//!
//! # Shape
//! ```text
//! places  [ hash | gap ] ..   8 bytes, two for each gap: by its beginning, and by its end
//! ```
//! Nothing says which of the two an entry is: no gap begins where another one ends, so whoever
//! looks for either asks the gap.
//!
//! # Invariants
//! * E1  Each gap has exactly one entry for its beginning and one for its end.
//!
//! # Edges
//! None: sequential.
//!
//! # Progress
//! As `Places`.
//!
//! # Checked by
//! `tests.rs` (E1), through `GapSet`.

use core::num::NonZeroU32;

use super::slab::{Handle, NIL};
use crate::alloc::places::{Entry, Places, hash};

/// An end of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    hash: u32,
    /// The complement of the gap's handle, which is not 0 since no gap is named [`NIL`].
    not_gap: NonZeroU32,
}

impl End {
    fn new(offset: u64, gap: Handle) -> Self {
        let not_gap = NonZeroU32::new(!gap).unwrap_or(NonZeroU32::MIN);
        debug_assert_ne!(gap, NIL);
        Self {
            hash: hash(offset),
            not_gap,
        }
    }

    fn gap(self) -> Handle {
        !self.not_gap.get()
    }
}

impl Entry for End {
    #[inline]
    fn hash(self) -> u32 {
        self.hash
    }
}

/// From offsets to the gaps that begin or end there.
pub(super) struct Ends(Places<End>);

impl Ends {
    pub(super) fn new() -> Self {
        Self(Places::new())
    }

    pub(super) fn with_capacity(gaps: usize) -> Self {
        Self(Places::with_capacity(gaps.saturating_mul(2)))
    }

    /// How many ends there are: two a gap.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The gap with an end at `offset` that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, offset: u64, is_it: impl Fn(Handle) -> bool) -> Option<Handle> {
        let hash = hash(offset);
        let is_it = |end: End| end.hash == hash && is_it(end.gap());
        self.0.find(hash, is_it).map(|found| found.entry.gap())
    }

    /// Says that `offset` will be looked for soon.
    #[inline]
    pub(super) fn prefetch(&self, offset: u64) {
        self.0.prefetch(hash(offset));
    }

    pub(super) fn insert(&mut self, offset: u64, gap: Handle) {
        self.0.insert(End::new(offset, gap));
    }

    pub(super) fn remove(&mut self, offset: u64, gap: Handle) {
        let end = End::new(offset, gap);
        // A gap's other end may have the same hash: then the two entries are equal, and either goes.
        let found = self.0.find(end.hash, |entry| entry == end);
        self.0
            .remove(found.expect("each end of a gap is entered (E1)"));
    }
}
