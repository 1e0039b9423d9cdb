//! Many slots reserved at once, and published at once: a word's slots in one step.
//!
//! # Shape
//! ```text
//! reserve_many   for each BITS slots in a row: lease, look, reserve all that are free, give
//! publish_many   for each word: all live bits in one step, then their marks' end, a cell at once
//! ```
//! What is true of one slot in `slots.rs` is true of each of these: a word is leased while its slots are
//! marked, and no lease is held while another one is taken.
//!
//! # Invariants
//! * N1  What is handed to `land` is reserved, and its caller's: nothing else is, whatever happens.
//!
//! # Progress
//! Lock-free: a lease is tried once, and a word of which another call has it is passed over.
//!
//! # Checked by
//! `loom-tests/bitset_many.rs` (N1; I2, I4, FREE, SHOWN, LIVE of many at once); `tests/store_batch.rs`.

use super::block::Block;
use super::run::Run;
use super::{ALL, BITS, USABLE};
use crate::id::SlotIndex;

/// Slots in a row, as they come.
struct Rows<F> {
    start: u64,
    len: u64,
    land: F,
}

impl<F: FnMut(SlotIndex, u32)> Rows<F> {
    /// These of the `BITS` slots of a snapshot word are ours.
    fn add(&mut self, word: usize, mut slots: u64) {
        while slots != 0 {
            let at = slots.trailing_zeros();
            let ones = (slots >> at).trailing_ones();
            let start = word as u64 * u64::from(BITS) + u64::from(at);
            if start != self.start + self.len {
                self.end();
                self.start = start;
            }
            self.len += u64::from(ones);
            slots &= u64::MAX.checked_shl(at + ones).unwrap_or(0);
        }
    }

    fn end(&mut self) {
        let (start, len) = (self.start, core::mem::take(&mut self.len));
        if len != 0 {
            (self.land)(SlotIndex::new(start as u32), len as u32);
        }
    }
}

/// The first `most` of these.
fn first(slots: u64, most: u64) -> u64 {
    let mut rest = slots;
    for _ in 0..most.min(u64::from(slots.count_ones())) {
        rest &= rest - 1;
    }
    slots & !rest
}

impl Block {
    /// Reserves free slots, `most` of them or fewer, from the first on, and hands those in a row to
    /// `land` together; how many. A block of one slot has none for this.
    pub(crate) fn reserve_many(&self, most: u64, land: impl FnMut(SlotIndex, u32)) -> u64 {
        if self.slots() == 1 || self.looks_full() {
            return 0;
        }
        let (start, len) = (0, 0);
        let mut rows = Rows { start, len, land };
        let mut left = most;
        for word in 0..self.parts().plain() {
            if left == 0 {
                break;
            }
            let slots = self.reserve_row(word, left);
            left -= u64::from(slots.count_ones());
            rows.add(word, slots);
        }
        rows.end();
        most - left
    }

    /// Reserves what is free of `BITS` slots in a row, `most` of them or fewer; which.
    fn reserve_row(&self, word: usize, most: u64) -> u64 {
        let slots = self.reserve_in(word, ALL, most);
        let room = u64::from(slots.count_ones()) < most;
        let over = self.parts().over_of(word).filter(|_| room);
        let last = over.map_or(0, |over| self.reserve_in(over.word(), over.bit(), 1));
        slots | u64::from(last != 0) << USABLE
    }

    /// Reserves what is free of these slots of a leaf word, `most` of them or fewer; which.
    fn reserve_in(&self, word: usize, of: u64, most: u64) -> u64 {
        let seen = self.leaf(word).peek();
        if seen.not_live() & of == 0 {
            if seen.is_full() && self.is_open(word..word + 1) {
                self.note_full(word);
            }
            return 0;
        }
        if !self.lease(word) {
            return 0;
        }
        self.leaf(word).guard();
        let slots = first(self.free_slots(word).slots & of, most);
        self.head.marks.reserve(word, slots, self.parts().leaves());
        self.touch_word(word);
        self.give(word);
        slots
    }

    /// Makes reserved slots of ours, so many in a row, live.
    pub(crate) fn publish_many(&self, start: SlotIndex, len: u32) {
        for (word, slots) in run(start, len).pieces(self.parts()) {
            self.leaf(word).publish(slots);
            self.head.marks.end_reserved(word, slots);
        }
    }

    /// Makes reserved slots of ours, so many in a row, free.
    pub(crate) fn cancel_many(&self, start: SlotIndex, len: u32) {
        for (word, slots) in run(start, len).pieces(self.parts()) {
            self.head.marks.end_reserved(word, slots);
        }
    }
}

fn run(start: SlotIndex, len: u32) -> Run {
    let (start, len) = (start.get().into(), len.into());
    Run { start, len }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn rows_go_on_from_word_to_word() {
        let mut all = Vec::new();
        let land = |start: SlotIndex, len| all.push((start.get(), len));
        let (start, len) = (0, 0);
        let mut rows = Rows { start, len, land };
        for (word, slots) in [
            (0, u64::MAX),
            (1, 0b1101),
            (2, 1 << 63),
            (3, 1),
            (5, 0),
            (6, u64::MAX),
        ] {
            rows.add(word, slots);
        }
        rows.end();
        assert_eq!(all, [(0, 65), (66, 2), (191, 2), (384, 64)]);
    }

    #[test]
    fn the_first_are_the_first() {
        assert_eq!(first(0b1101, 2), 0b101);
        assert_eq!(first(0b1101, 9), 0b1101);
        assert_eq!((first(0b1101, 0), first(0, 3)), (0, 0));
    }
}
