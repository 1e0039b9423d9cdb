//! What a node covers, how finely it divides that, and which shape suits which ranges.
//!
//! # Shape
//! ```text
//! id   [ ..... base ..... | bits: which slot | shift: within the slot ]
//! ```
//!
//! # Invariants
//! * S1  `base` is a multiple of `2^(shift + bits)`; `shift < 64`.
//! * S2  [`Shape::suiting`] puts the first and the last range into different slots.
//!
//! # Edges
//! None: plain values.
//!
//! # Progress
//! No function here waits; `suiting` takes `O(n)`.
//!
//! # Checked by
//! The unit tests below; `proptests/index.rs`.

use super::cell::Item;
use super::word::{MAX_BITS, MIN_BITS};

/// The bits of an id below `shift`, which may be 64 or more.
#[inline]
pub(super) const fn below(shift: u32) -> u64 {
    match 1u64.checked_shl(shift) {
        Some(limit) => limit - 1,
        None => u64::MAX,
    }
}

/// What a node covers, and how finely it divides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    base: u64,
    shift: u32,
    bits: u32,
}

impl Shape {
    /// The shape with this shift and so many bits that covers `id`.
    pub(super) fn around(id: u64, shift: u32, bits: u32) -> Self {
        let base = id & !below(shift + bits);
        Self { base, shift, bits }
    }

    /// A shape that divides these ranges, two or more, well.
    ///
    /// Slots are as wide as the median distance between starts; or, where the starts are all aligned
    /// and lie so densely that at least every fourth slot is used, as their alignment, so that what
    /// is inserted between them finds slots of its own. Where that takes more than `MAX_BITS` bits,
    /// the levels below have all of `MAX_BITS`; where it takes more slots than the ranges are worth,
    /// slots are wider.
    pub(super) fn suiting(items: &[Item]) -> Self {
        let (first, last) = (items[0].first, items[items.len() - 1].first);
        let span = (first ^ last).ilog2() + 1;
        let fine = alignment(items, span).unwrap_or_else(|| median_distance(items).ilog2());
        let fine = fine.min(span - 1);
        let levels = (span - fine - 1) / MAX_BITS;
        let shift = fine + levels * MAX_BITS;
        let worth = (items.len().ilog2() + 1).clamp(MIN_BITS, MAX_BITS);
        let bits = (span - shift).clamp(MIN_BITS, worth);
        Self::around(first, shift.max(span.saturating_sub(bits)), bits)
    }

    /// A shape above `self` whose slots tell `self` from `id`, which `self` does not cover.
    pub(super) fn above(self, id: u64) -> Self {
        let span = (id ^ self.base).ilog2();
        let low = self.shift + self.bits;
        let levels = (span - low) / MIN_BITS;
        Self::around(id, low + levels * MIN_BITS, MIN_BITS)
    }

    /// The same slots and as many again beside them.
    pub(super) fn wider(self) -> Option<Self> {
        (self.bits < MAX_BITS).then(|| Self::around(self.base, self.shift, self.bits + 1))
    }

    /// The same cell in twice as many slots.
    pub(super) fn finer(self) -> Option<Self> {
        let fits = self.bits < MAX_BITS && self.shift > 0;
        fits.then(|| Self::around(self.base, self.shift - 1, self.bits + 1))
    }

    #[inline]
    pub(super) fn shift(self) -> u32 {
        self.shift
    }

    #[inline]
    pub(super) fn bits(self) -> u32 {
        self.bits
    }

    #[inline]
    pub(super) fn slots(self) -> u32 {
        1 << self.bits
    }

    /// How many words of 64 bits it takes to have one for each slot.
    #[inline]
    pub(super) fn maps(self) -> u32 {
        self.slots().div_ceil(64)
    }

    /// The first id that it covers.
    #[inline]
    pub(super) fn first(self) -> u64 {
        self.base
    }

    /// The last id that it covers.
    #[inline]
    pub(super) fn last(self) -> u64 {
        self.base | below(self.shift + self.bits)
    }

    #[inline]
    pub(super) fn covers(self, id: u64) -> bool {
        id ^ self.base <= below(self.shift + self.bits)
    }

    /// The slot of an id that it covers.
    #[inline]
    pub(super) fn index_of(self, id: u64) -> u32 {
        (id >> self.shift) as u32 & (self.slots() - 1)
    }

    /// The first id that slot `index` covers.
    pub(super) fn slot_first(self, index: u32) -> u64 {
        self.base | u64::from(index) << self.shift
    }

    /// The last id that slot `index` covers.
    pub(super) fn slot_last(self, index: u32) -> u64 {
        self.slot_first(index) | below(self.shift)
    }
}

/// The bits below which every start is 0, if a fourth of the places that are aligned so is used.
fn alignment(items: &[Item], span: u32) -> Option<u32> {
    let bits = items.iter().fold(0, |bits, item| bits | item.first);
    let aligned = bits.trailing_zeros();
    let places = 1usize.checked_shl(span.checked_sub(aligned)?)?;
    (places / 4 <= items.len()).then_some(aligned)
}

fn median_distance(items: &[Item]) -> u64 {
    let mut distances: Vec<u64> = items.windows(2).map(|w| w[1].first - w[0].first).collect();
    let middle = distances.len() / 2;
    *distances.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(firsts: &[u64]) -> Vec<Item> {
        let item = |&first: &u64| Item {
            first,
            ..Item::NONE
        };
        firsts.iter().map(item).collect()
    }

    #[test]
    fn suiting_shapes_divide_and_cover() {
        for log in 0..63 {
            for other in 0..=log {
                for n in [2u64, 3, 17, 100] {
                    let low = (0..n - 1).map(|k| u128::from(k) << other >> 7);
                    let low = low.take_while(|&first| first < 1 << log);
                    let mut firsts: Vec<u64> = low.map(|first| first as u64).collect();
                    firsts.push(1 << log);
                    firsts.dedup();
                    let shape = Shape::suiting(&items(&firsts));
                    assert!(firsts.iter().all(|&first| shape.covers(first)));
                    assert_ne!(shape.index_of(0), shape.index_of(1 << log));
                    assert!((MIN_BITS..=MAX_BITS).contains(&shape.bits()));
                }
            }
        }
    }

    #[test]
    fn dense_ranges_fall_one_to_a_slot() {
        let firsts: Vec<u64> = (0..1000).map(|k| k << 10).collect();
        let shape = Shape::suiting(&items(&firsts));
        assert_eq!((shape.shift(), shape.slots()), (10, 1024));
    }

    #[test]
    fn a_shape_above_covers_and_tells() {
        for shift in 0..58 {
            let small = Shape::around(5 << shift, shift, MIN_BITS);
            for log in shift + MIN_BITS..64 {
                let id = small.first() ^ 1 << log;
                let above = small.above(id);
                assert!(above.covers(id) && above.covers(small.first()));
                assert!(above.shift() >= shift + MIN_BITS);
                assert_ne!(above.index_of(id), above.index_of(small.first()));
            }
        }
    }
}
