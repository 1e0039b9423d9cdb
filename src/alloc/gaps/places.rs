//! Which live segment begins at an offset: a hash table of handles.
//!
//! # Shape
//! ```text
//! table  [ tag | handle ] ..   8 bytes a place, at most 3/4 taken, linear probing
//! ```
//! The tag is 32 bits of the offset's hash, the home of an entry its upper bits: so a probe looks
//! at one segment only, and an entry can be moved without looking at any.
//!
//! # Invariants
//! * P1  From its home to an entry there is no empty place.
//!
//! # Edges
//! None: sequential.
//!
//! # Progress
//! Constant time on average; an insertion that grows the table, or a removal that shrinks it,
//! moves every entry.
//!
//! # Checked by
//! `tests.rs` (P1), through `GapSet`.

use super::slab::{Handle, NIL};

#[derive(Clone, Copy, Debug)]
struct Place {
    tag: u32,
    handle: Handle,
}

const EMPTY: Place = Place {
    tag: 0,
    handle: NIL,
};
const LEAST_BITS: u32 = 4;

/// From offsets to handles. It keeps no offset: the caller says whether a handle is meant.
#[derive(Clone, Debug)]
pub(super) struct Places {
    table: Box<[Place]>,
    bits: u32,
    used: usize,
}

/// Where an entry was found; good until the next change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    index: usize,
    pub(super) handle: Handle,
}

impl Places {
    pub(super) fn new() -> Self {
        Self::with_bits(LEAST_BITS)
    }

    pub(super) fn with_capacity(entries: usize) -> Self {
        let places = entries.saturating_add(entries / 3).saturating_add(1);
        Self::with_bits(places.next_power_of_two().ilog2().max(LEAST_BITS))
    }

    fn with_bits(bits: u32) -> Self {
        Self {
            table: vec![EMPTY; 1 << bits].into_boxed_slice(),
            bits,
            used: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The entry under `offset` that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, offset: u64, is_it: impl Fn(Handle) -> bool) -> Option<Found> {
        let tag = tag_of(offset);
        let mut index = self.home(tag);
        loop {
            let Place { tag: seen, handle } = self.table[index];
            if handle == NIL {
                return None;
            }
            if seen == tag && is_it(handle) {
                return Some(Found { index, handle });
            }
            index = self.after(index);
        }
    }

    /// Adds an entry; the caller knows that `offset` has none.
    pub(super) fn insert(&mut self, offset: u64, handle: Handle) {
        if (self.used + 1) * 4 > self.table.len() * 3 {
            self.resize(self.bits + 1);
        }
        self.used += 1;
        let tag = tag_of(offset);
        self.place(Place { tag, handle });
    }

    /// Removes an entry; the entries behind it move up (P1).
    pub(super) fn remove(&mut self, found: Found) {
        let mut hole = found.index;
        let mut index = self.after(hole);
        while self.table[index].handle != NIL {
            let home = self.home(self.table[index].tag);
            // The entry may move if the hole is not before its home.
            if self.distance(home, index) >= self.distance(hole, index) {
                self.table[hole] = self.table[index];
                hole = index;
            }
            index = self.after(index);
        }
        self.table[hole] = EMPTY;
        self.used -= 1;
        if self.bits > LEAST_BITS && self.used * 8 < self.table.len() {
            self.resize(self.bits - 1);
        }
    }

    #[cold]
    fn resize(&mut self, bits: u32) {
        let old = core::mem::replace(self, Self::with_bits(bits));
        self.used = old.used;
        for place in old.table.iter().filter(|place| place.handle != NIL) {
            self.place(*place);
        }
    }

    fn place(&mut self, place: Place) {
        let mut index = self.home(place.tag);
        while self.table[index].handle != NIL {
            index = self.after(index);
        }
        self.table[index] = place;
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        // At most 2^32 segments, so at most 2^33 places: homes are then every second place.
        ((u64::from(tag) << self.bits) >> 32) as usize
    }

    fn after(&self, index: usize) -> usize {
        (index + 1) & (self.table.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.table.len() - 1)
    }
}

/// 32 well-mixed bits of an offset (offsets are multiples of this and that).
#[inline]
fn tag_of(offset: u64) -> u32 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let product = u128::from(offset ^ ODD) * u128::from(ODD);
    ((product >> 64) as u64 ^ product as u64) as u32
}
