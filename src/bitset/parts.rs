//! Where the parts of a block are, and where each slot has its bit.
//!
//! # Shape
//! ```text
//! words   [leaf 0 .. leaf P-1][summary ..][leased ..][touched ..]
//!
//! slot    0 .. 62    63    64 .. 126   127   128 ..       63 slots a leaf word, and one bit over
//!         |           \    |             \   |
//! leaf    0            \   1              \  2 ..         place = slot: word slot / 64, bit slot % 64
//!                       \                  \
//! leaf    L             bit 0              bit 1 ..       every 64th slot: in the words behind
//! ```
//! A leaf word has 63 slots and one bit for itself. So that a look at a slot needs a shift and not a
//! division by 63, every 64th slot has its bit in the words behind: one look in 64 takes a branch
//! that is not foreseen. What is built on this knows places only; slots are for the outside.
//!
//! This file owns the geometry: nobody else divides by `BITS` or `USABLE`.
//!
//! # Checked by
//! The unit tests below; `proptests/block.rs` through the whole.

use super::{ALL, BITS, USABLE};
use crate::sync::SMALL;

/// Leaf words for which one word of the summary, the leases and the touched bits speaks.
const FAN: u32 = if SMALL { 2 } else { 64 };

/// Where a slot has its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    #[inline]
    pub(super) fn new(word: usize, bit: u32) -> Self {
        Self(word as u32 * BITS + bit)
    }

    /// As a number: what the marks are kept by.
    #[inline]
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// Which leaf word.
    #[inline]
    pub(super) fn word(self) -> usize {
        (self.0 / BITS) as usize
    }

    /// Which bit of it.
    #[inline]
    pub(super) fn bit(self) -> u64 {
        1 << (self.0 % BITS)
    }
}

/// The numbers of words and slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    last: u32,
    /// Leaf words whose slots have consecutive places.
    plain: u32,
    /// All leaf words.
    leaves: u32,
}

impl Parts {
    pub(super) fn of(last: u32) -> Self {
        let plain = last / BITS + 1;
        let over = (last + 1) / BITS;
        Self {
            last,
            plain,
            leaves: plain + over.div_ceil(USABLE),
        }
    }

    #[inline]
    pub(super) fn last(self) -> u32 {
        self.last
    }

    /// How many snapshot words there are.
    #[inline]
    pub(super) fn plain(self) -> usize {
        self.plain as usize
    }

    #[inline]
    pub(super) fn leaves(self) -> usize {
        self.leaves as usize
    }

    /// Words of the summary, of the leases, and of the touched bits.
    #[inline]
    pub(super) fn groups(self) -> usize {
        self.leaves.div_ceil(FAN) as usize
    }

    /// All words together.
    #[inline]
    pub(super) fn words(self) -> usize {
        self.leaves() + 3 * self.groups()
    }

    /// The place of a slot.
    #[inline]
    pub(super) fn place(self, slot: u32) -> Place {
        if slot % BITS == USABLE {
            self.place_over(slot / BITS)
        } else {
            Place(slot)
        }
    }

    /// The place of the `nth` slot that is one over.
    #[inline]
    pub(super) fn place_over(self, nth: u32) -> Place {
        Place((self.plain + nth / USABLE) * BITS + nth % USABLE)
    }

    /// The slot of a place.
    #[inline]
    pub(super) fn slot(self, place: Place) -> u32 {
        let (word, bit) = (place.0 / BITS, place.0 % BITS);
        if word < self.plain {
            place.0
        } else {
            ((word - self.plain) * USABLE + bit) * BITS + USABLE
        }
    }

    /// The bits of leaf word `word` that are slots.
    #[inline]
    pub(super) fn capacity(self, word: usize) -> u64 {
        let word = word as u32;
        let slots = if word < self.plain {
            self.last - word * BITS + 1
        } else {
            (self.last + 1) / BITS - (word - self.plain) * USABLE
        };
        ALL >> USABLE.saturating_sub(slots)
    }

    /// The word, of those of the summary, the leases or the touched bits, that speaks for a leaf
    /// word, and the bit.
    #[inline]
    pub(super) fn group_of(word: usize) -> (usize, u64) {
        (word / FAN as usize, 1 << (word as u32 % FAN))
    }

    /// The leaf words for which word `group` has bits.
    #[inline]
    pub(super) fn group_mask(self, group: usize) -> u64 {
        let words = self.leaves - group as u32 * FAN;
        u64::MAX >> (64 - words.min(FAN))
    }

    /// The leaf word of a bit of word `group`.
    #[inline]
    pub(super) fn word_in(group: usize, bit: u32) -> usize {
        group * FAN as usize + bit as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        for slots in (1..300).chain([1000, 4032, 4096, 32_768, 70_000]) {
            let parts = Parts::of(slots - 1);
            let mut seen = BTreeSet::new();
            for slot in 0..slots {
                let place = parts.place(slot);
                assert_eq!(parts.slot(place), slot);
                assert!(place.word() < parts.leaves());
                assert_ne!(parts.capacity(place.word()) & place.bit(), 0);
                assert!(seen.insert(place.number()));
            }
            let bits = |word| parts.capacity(word).count_ones();
            assert_eq!((0..parts.leaves()).map(bits).sum::<u32>(), slots);
        }
    }

    #[test]
    fn the_largest_block_has_places() {
        let parts = Parts::of((1 << 31) - 1);
        assert_eq!(parts.slot(parts.place((1 << 31) - 1)), (1 << 31) - 1);
    }

    #[test]
    fn groups_speak_for_all_words() {
        for last in [0, 62, 63, 4000, 5000, 300_000] {
            let parts = Parts::of(last);
            let words = (0..parts.groups()).map(|group| parts.group_mask(group).count_ones());
            assert_eq!(words.sum::<u32>() as usize, parts.leaves());
        }
    }
}
