//! Many slots in a row.
//!
//! A run is sought in the live bits and marks as they are, then the leases of its words are taken
//! in ascending order, and what is free is looked at again: only then is anything set. Whatever
//! fails, all leases go back.
//!
//! # Invariants
//! * R1  No slot of a run is set before all are known to be free, under their leases.
//! * R2  If slots of a run are not to be had, the search goes on behind the last of them: a run of
//!   the same length that begins before it has it as well.
//!
//! # Checked by
//! `loom-tests/bitset.rs` (R1: run against alloc, run against run); `proptests/block.rs`.

use super::block::Block;
use super::parts::{Parts, Place};
use super::{ALL, BITS, USABLE};
use crate::id::SlotIndex;

/// How far a search for `need` free slots in a row has come.
struct Search {
    need: u64,
    start: u64,
    len: u64,
}

impl Search {
    fn new(need: u64) -> Self {
        Self {
            need,
            start: 0,
            len: 0,
        }
    }

    /// Goes over the free slots of the next word; the first slot of the run if it is long enough.
    fn feed(&mut self, word: usize, free: u64) -> Option<u64> {
        let mut at = 0;
        while at < BITS {
            let ones = (free >> at).trailing_ones().min(BITS - at);
            if self.len == 0 {
                self.start = word as u64 * u64::from(BITS) + u64::from(at);
            }
            self.len += u64::from(ones);
            if self.len >= self.need {
                return Some(self.start);
            }
            at += ones;
            if at < BITS {
                self.len = 0;
                at += (free >> at).trailing_zeros().min(BITS - at);
            }
        }
        None
    }
}

/// The slots of a run.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Run {
    /// The leaf words of the run, and which slots of each, ascending.
    pub(super) fn pieces(self, parts: Parts) -> impl Iterator<Item = (usize, u64)> + Clone {
        let (start, end, bits) = (self.start, self.start + self.len, u64::from(BITS));
        let plain = (start / bits) as usize..=((end - 1) / bits) as usize;
        let plain = plain.map(move |word| {
            let base = word as u64 * bits;
            (word, mask(start.saturating_sub(base), end - base) & ALL)
        });
        // Of every BITS slots the last one is over: those from `first` to before `next`.
        let usable = u64::from(USABLE);
        let (first, next) = (start / bits, end / bits);
        let words = first / usable..next.div_ceil(usable);
        let over = words.map(move |nth| {
            let base = nth * usable;
            let word = parts.place_over(base as u32).word();
            (word, mask(first.saturating_sub(base), next - base) & ALL)
        });
        plain.chain(over).filter(|(_, slots)| *slots != 0)
    }
}

/// The bits from `from` to before `to`, of those that a word has.
fn mask(from: u64, to: u64) -> u64 {
    let below = |bit: u64| if bit >= 64 { u64::MAX } else { (1 << bit) - 1 };
    below(to) & !below(from)
}

impl Block {
    /// Makes the first `len` free slots in a row live; the first of them.
    ///
    /// `None` only after each run of so many slots had, at some moment of the call, one that was
    /// live, marked, or in a word of which a call in progress had the lease.
    pub(crate) fn take_run(&self, len: u64) -> Option<SlotIndex> {
        if len == 0 || len > self.slots() {
            return None;
        }
        let mut from = 0;
        while let Some(start) = self.seek_run(from, len) {
            match self.claim_run(Run { start, len }) {
                Ok(()) => return Some(SlotIndex::new(start as u32)),
                Err(lost) => from = lost + 1,
            }
        }
        None
    }

    /// The first slot, from `from` on, of so many that look free.
    fn seek_run(&self, from: u64, len: u64) -> Option<u64> {
        let bits = u64::from(BITS);
        let first = from / bits;
        let mut search = Search::new(len);
        let free = |word| self.slots_of_word(word, |leaf| self.free_slots(leaf).slots);
        (first as usize..)
            .map_while(|word| Some((word, free(word)?)))
            .find_map(|(word, free)| {
                let within = mask(from.saturating_sub(word as u64 * bits), bits);
                search.feed(word, free & within)
            })
    }

    /// Leases the words of the run, looks again, and sets the bits; or changes nothing, and tells
    /// the last slot of a word of the run that was not to be had.
    fn claim_run(&self, run: Run) -> Result<(), u64> {
        let pieces = run.pieces(self.parts());
        for (done, (word, slots)) in pieces.clone().enumerate() {
            if let Err(lost) = self.lease_for(word, slots) {
                pieces.take(done).for_each(|(word, _)| self.give(word));
                return Err(lost);
            }
        }
        for (word, slots) in pieces {
            self.touch_word(word);
            self.raise_leased(word, slots, &self.free_slots(word));
            self.give(word);
        }
        Ok(())
    }

    /// Leases one word of a run if these slots of it are free; else tells the last that is not.
    fn lease_for(&self, word: usize, slots: u64) -> Result<(), u64> {
        let slot = |slots: u64| {
            let place = Place::new(word, slots.ilog2());
            u64::from(self.parts().slot(place))
        };
        if !self.lease(word) {
            return Err(slot(slots));
        }
        self.leaf(word).guard();
        let lost = slots & !self.free_slots(word).slots;
        if lost == 0 {
            return Ok(());
        }
        self.give(word);
        Err(slot(lost))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_all_of_its_slots() {
        let parts = Parts::of(5000);
        for (start, len) in [
            (0, 1),
            (63, 1),
            (60, 70),
            (0, 64),
            (0, 5001),
            (127, 2),
            (130, 3000),
        ] {
            let pieces = Run { start, len }.pieces(parts);
            let slots = pieces.flat_map(|(word, slots)| {
                let bits = (0..64).filter(move |bit| slots >> bit & 1 == 1);
                bits.map(move |bit| u64::from(parts.slot(Place::new(word, bit))))
            });
            let mut slots: Vec<_> = slots.collect();
            slots.sort_unstable();
            assert!(slots.into_iter().eq(start..start + len));
        }
    }

    #[test]
    fn a_search_crosses_words() {
        let mut search = Search::new(5);
        assert_eq!(search.feed(0, 0b1011 | 3 << 62), None);
        assert_eq!(search.feed(1, 0b111), Some(62));
        let mut search = Search::new(130);
        assert_eq!(search.feed(0, u64::MAX), None);
        assert_eq!(search.feed(1, u64::MAX), None);
        assert_eq!(search.feed(2, 0b11), Some(0));
    }
}
