//! Where the parts of a block are, and where each slot has its bit.
//!
//! # Shape
//! ```text
//! words   [leaf 0 .. leaf P-1][summary ..][leased ..][touched ..]     a word of each for 64 leaf words
//!         [leaf 0 .. leaf P-1][touched | leased | summary]            up to 21 leaf words: one of all
//!                              62 .. 42  41..21   20 .. 0
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
//! All of it follows from the last slot: nothing else is kept.
//!
//! This file owns the geometry: nobody else divides by `BITS` or `USABLE`.
//!
//! # Checked by
//! The unit tests below; `proptests/block.rs` through the whole.

use core::ops::RangeInclusive;

use super::{ALL, BITS, USABLE};
use crate::sync::SMALL;

/// A block has at most so many slots: places are numbers of 32 bits.
pub(crate) const MAX_SLOTS: u32 = 1 << 31;

/// Leaf words for which one word of the summary, the leases and the touched bits speaks.
const FAN: u32 = if SMALL { 2 } else { 64 };

/// So many leaf words share one word for their summary, leases and touched bits, and are one group.
/// Two and no fewer under loom: so the models see both shapes, and those of one leaf word have
/// fewer stores that each load can see.
const SHARED: RangeInclusive<u32> = if SMALL { 2..=2 } else { 1..=21 };

/// What is kept of each leaf word in the words above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Summary,
    Leased,
    Touched,
}

/// How many there are.
const FIELDS: u32 = 3;

/// So many bits of a shared word each field has.
const WIDTH: u32 = *SHARED.end();

const _: () = assert!(WIDTH * FIELDS <= 64 && WIDTH <= FAN);

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

/// The numbers of words and slots: all of them follow from the last slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts(u32);

impl Parts {
    #[inline]
    pub(super) fn of(last: u32) -> Self {
        Self(last)
    }

    #[inline]
    pub(super) fn last(self) -> u32 {
        self.0
    }

    /// Leaf words whose slots have consecutive places.
    #[inline]
    fn plain_words(self) -> u32 {
        self.0 / BITS + 1
    }

    /// How many slots are one over.
    #[inline]
    fn overs(self) -> u32 {
        (self.0 + 1) / BITS
    }

    #[inline]
    fn leaf_words(self) -> u32 {
        self.plain_words() + self.overs().div_ceil(USABLE)
    }

    /// How many snapshot words there are.
    #[inline]
    pub(super) fn plain(self) -> usize {
        self.plain_words() as usize
    }

    /// All leaf words.
    #[inline]
    pub(super) fn leaves(self) -> usize {
        self.leaf_words() as usize
    }

    /// Whether there is such a leaf word.
    #[inline]
    pub(super) fn has_leaf(self, word: usize) -> bool {
        // The first nearly always says it, by a shift; the second divides.
        word < self.plain() || word < self.leaves()
    }

    /// Groups of leaf words: each has one of the words of a field, or shares the only one.
    #[inline]
    pub(super) fn groups(self) -> usize {
        self.leaf_words().div_ceil(FAN) as usize
    }

    /// Whether one word has all fields.
    #[inline]
    fn is_shared(self) -> bool {
        SHARED.contains(&self.leaf_words())
    }

    /// All words together.
    #[inline]
    pub(super) fn words(self) -> usize {
        let above = match self.is_shared() {
            true => 1,
            false => FIELDS as usize * self.groups(),
        };
        self.leaves() + above
    }

    /// The first word of a field, that of group 0, and from which bit on it is the field's. Other
    /// bits of the word may be other fields.
    #[inline]
    pub(super) fn field(self, field: Field) -> (usize, u32) {
        match self.is_shared() {
            true => (self.leaves(), field as u32 * WIDTH),
            false => (self.leaves() + field as usize * self.groups(), 0),
        }
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
        Place((self.plain_words() + nth / USABLE) * BITS + nth % USABLE)
    }

    /// The place of the last of the `BITS` slots of a snapshot word, if there is that slot.
    #[inline]
    pub(super) fn over_of(self, word: usize) -> Option<Place> {
        let nth = word as u32;
        (nth < self.overs()).then(|| self.place_over(nth))
    }

    /// The slot of a place.
    #[inline]
    pub(super) fn slot(self, place: Place) -> u32 {
        let (word, bit) = (place.0 / BITS, place.0 % BITS);
        let plain = self.plain_words();
        if word < plain {
            place.0
        } else {
            ((word - plain) * USABLE + bit) * BITS + USABLE
        }
    }

    /// The bits of leaf word `word` that are slots.
    #[inline]
    pub(super) fn capacity(self, word: usize) -> u64 {
        let (word, plain) = (word as u32, self.plain_words());
        let slots = if word < plain {
            self.0 - word * BITS + 1
        } else {
            self.overs() - (word - plain) * USABLE
        };
        ALL >> USABLE.saturating_sub(slots)
    }

    /// The group of a leaf word, and its bit in each of the group's fields.
    #[inline]
    pub(super) fn group_of(word: usize) -> (usize, u64) {
        (word / FAN as usize, 1 << (word as u32 % FAN))
    }

    /// The leaf words of a group, as bits of a field.
    #[inline]
    pub(super) fn group_mask(self, group: usize) -> u64 {
        let words = self.leaf_words() - group as u32 * FAN;
        u64::MAX >> (64 - words.min(FAN))
    }

    /// The leaf word of a bit in a group's fields.
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

    /// The bits of a field of a group, as word and bit.
    fn bits_of(parts: Parts, field: Field, group: usize) -> impl Iterator<Item = (usize, u64)> {
        let (first, shift) = parts.field(field);
        let word = first + group;
        let ones = (0..64).map(|bit| 1 << bit);
        let ones = ones.filter(move |bit| parts.group_mask(group) & bit != 0);
        ones.map(move |bit| (word, bit << shift))
    }

    #[test]
    fn every_field_has_bits_of_its_own() {
        // Either side of where the fields part, and of a second group.
        for last in [0, 62, 63, 1278, 1279, 1280, 1343, 3968, 4031, 4095, 300_000] {
            let parts = Parts::of(last);
            let mut seen = BTreeSet::new();
            for group in 0..parts.groups() {
                for field in [Field::Summary, Field::Leased, Field::Touched] {
                    for (word, bit) in bits_of(parts, field, group) {
                        assert!((parts.leaves()..parts.words()).contains(&word));
                        assert!(
                            bit != 0 && seen.insert((word, bit)),
                            "{last}: {word}, {bit}"
                        );
                    }
                }
            }
            assert_eq!(seen.len(), 3 * parts.leaves());
        }
    }

    #[test]
    fn the_last_slot_of_a_snapshot_word_is_over_if_there_is_one() {
        for slots in (1..300).chain([4032, 4033, 32_768]) {
            let parts = Parts::of(slots - 1);
            for word in 0..parts.plain() {
                let slot = word as u32 * BITS + USABLE;
                let place = (slot < slots).then(|| parts.place(slot));
                assert_eq!(parts.over_of(word), place);
            }
        }
    }
}
