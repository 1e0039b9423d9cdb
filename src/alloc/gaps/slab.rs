//! The gaps of an address space, in a slab: named by 32-bit handles.
//!
//! # Shape
//! ```text
//! gaps    [ start | end | bin_prev | bin_next ] ..   24 bytes each
//! vacant  a chain of unused places, through `bin_next`
//! ```
//!
//! # Invariants
//! * L1  A place is vacant if and only if it starts where it ends.
//!
//! # Edges
//! None: sequential.
//!
//! # Progress
//! Every operation takes constant time, amortized over the growth of the slab.
//!
//! # Checked by
//! `tests.rs` (L1), through `GapSet`.

/// The name of a gap while it exists.
pub(super) type Handle = u32;

/// No gap.
pub(super) const NIL: Handle = u32::MAX;
/// How many gaps there can be.
pub(super) const MAX_GAPS: usize = NIL as usize;

/// One stretch of the space that is free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) bin_prev: Handle,
    /// Of a vacant place, the next vacant one.
    pub(super) bin_next: Handle,
}

impl Gap {
    #[inline]
    pub(super) fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// All gaps, in no order.
pub(super) struct Slab {
    gaps: Vec<Gap>,
    vacant: Handle,
    used: usize,
}

impl Slab {
    pub(super) const fn new() -> Self {
        Self {
            gaps: Vec::new(),
            vacant: NIL,
            used: 0,
        }
    }

    pub(super) fn with_capacity(gaps: usize) -> Self {
        let mut slab = Self::new();
        slab.gaps.reserve(gaps);
        slab
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// How many places there are, vacant ones included.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.gaps.len()
    }

    #[inline]
    pub(super) fn get(&self, handle: Handle) -> &Gap {
        &self.gaps[handle as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut Gap {
        &mut self.gaps[handle as usize]
    }

    /// The gaps, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(|gap| gap.start < gap.end)
    }

    /// Whether most of the slab is vacant, so that it is worth copying the rest.
    pub(super) fn is_sparse(&self) -> bool {
        const SMALL: usize = 1024;
        self.gaps.len() > SMALL && self.used < self.gaps.len() / 4
    }

    /// Adds a gap. It is in no bin yet.
    pub(super) fn insert(&mut self, start: u64, end: u64) -> Handle {
        let gap = Gap {
            start,
            end,
            bin_prev: NIL,
            bin_next: NIL,
        };
        self.used += 1;
        let handle = self.vacant;
        if handle != NIL {
            self.vacant = self.get(handle).bin_next;
            *self.get_mut(handle) = gap;
            return handle;
        }
        self.gaps.push(gap);
        (self.gaps.len() - 1) as Handle
    }

    /// Leaves a gap's place vacant. It is in no bin any more.
    pub(super) fn remove(&mut self, handle: Handle) {
        *self.get_mut(handle) = Gap {
            start: 0,
            end: 0,
            bin_prev: NIL,
            bin_next: self.vacant,
        };
        self.vacant = handle;
        self.used -= 1;
    }
}
