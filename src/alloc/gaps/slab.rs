//! The segments of an address space, in a slab: named by 32-bit handles, linked in offset order.
//!
//! # Shape
//! ```text
//! segs    [ offset | len | prev | next | bin_prev | bin_next ] ..   32 bytes each
//! vacant  a chain of unused places, through `next`
//! ```
//!
//! # Invariants
//! * L1  From `head` along `next` the segments touch: each begins where the one before ends.
//! * L2  A segment is live if and only if its `bin_prev` is [`LIVE`]; else it is a gap.
//!
//! # Edges
//! None: sequential.
//!
//! # Progress
//! Every operation takes constant time, amortized over the growth of the slab.
//!
//! # Checked by
//! `tests.rs` (L1, L2), through `GapSet`.

/// The name of a segment while it exists.
pub(super) type Handle = u32;

/// No segment.
pub(super) const NIL: Handle = u32::MAX;
/// In `bin_prev`: given out, and so in no bin.
const LIVE: Handle = u32::MAX - 1;
/// How many segments there can be.
pub(super) const MAX_SEGMENTS: usize = LIVE as usize;

/// One stretch of the space, given out or free.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// The segment that ends where this one begins.
    pub(super) prev: Handle,
    /// The segment that begins where this one ends; of a vacant place, the next vacant one.
    pub(super) next: Handle,
    pub(super) bin_prev: Handle,
    pub(super) bin_next: Handle,
}

impl Segment {
    fn live(offset: u64, len: u64) -> Self {
        Self {
            offset,
            len,
            prev: NIL,
            next: NIL,
            bin_prev: LIVE,
            bin_next: NIL,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.offset + self.len
    }

    pub(super) fn is_live(&self) -> bool {
        self.bin_prev == LIVE
    }

    pub(super) fn set_live(&mut self) {
        self.bin_prev = LIVE;
    }
}

/// All segments, in offset order from `head` to `tail`.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    segs: Vec<Segment>,
    vacant: Handle,
    used: usize,
    head: Handle,
    tail: Handle,
}

impl Slab {
    pub(super) const fn new() -> Self {
        Self {
            segs: Vec::new(),
            vacant: NIL,
            used: 0,
            head: NIL,
            tail: NIL,
        }
    }

    pub(super) fn with_capacity(segments: usize) -> Self {
        let mut slab = Self::new();
        slab.segs.reserve(segments);
        slab
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// How many places there are, vacant ones included.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.segs.len()
    }

    pub(super) fn head(&self) -> Handle {
        self.head
    }

    pub(super) fn tail(&self) -> Handle {
        self.tail
    }

    #[inline]
    pub(super) fn get(&self, handle: Handle) -> &Segment {
        &self.segs[handle as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut Segment {
        &mut self.segs[handle as usize]
    }

    /// The segment, unless there is none or it is live.
    #[inline]
    pub(super) fn gap(&self, handle: Handle) -> Option<&Segment> {
        let segment = self.segs.get(handle as usize)?;
        (!segment.is_live()).then_some(segment)
    }

    /// Whether most of the slab is vacant, so that it is worth copying the rest.
    pub(super) fn is_sparse(&self) -> bool {
        const SMALL: usize = 1024;
        self.segs.len() > SMALL && self.used < self.segs.len() / 4
    }

    /// Adds a segment behind `before` (`NIL`: at the front). It is marked live.
    pub(super) fn insert_after(&mut self, before: Handle, offset: u64, len: u64) -> Handle {
        let handle = self.take_place(Segment::live(offset, len));
        let after = match before {
            NIL => self.head,
            _ => self.get(before).next,
        };
        self.join(before, handle);
        self.join(handle, after);
        handle
    }

    /// Takes a segment out and leaves its place vacant. Its neighbours are joined.
    pub(super) fn remove(&mut self, handle: Handle) {
        let (prev, next) = (self.get(handle).prev, self.get(handle).next);
        self.join(prev, next);
        let vacant = self.vacant;
        let segment = self.get_mut(handle);
        segment.next = vacant;
        segment.set_live();
        self.vacant = handle;
        self.used -= 1;
    }

    /// Makes `second` follow `first`; `NIL` stands for either end.
    fn join(&mut self, first: Handle, second: Handle) {
        match first {
            NIL => self.head = second,
            _ => self.get_mut(first).next = second,
        }
        match second {
            NIL => self.tail = first,
            _ => self.get_mut(second).prev = first,
        }
    }

    fn take_place(&mut self, segment: Segment) -> Handle {
        self.used += 1;
        let handle = self.vacant;
        if handle != NIL {
            self.vacant = self.get(handle).next;
            *self.get_mut(handle) = segment;
            return handle;
        }
        if self.segs.len() == self.segs.capacity() {
            // An eighth more, not twice as much: the slab is most of what a range costs here.
            self.segs.reserve_exact(self.segs.len() / 8 + 8);
        }
        self.segs.push(segment);
        (self.segs.len() - 1) as Handle
    }
}
